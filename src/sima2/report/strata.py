"""What the kinds of episode say of a tag, one by one, and which of them stand apart."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from sima2.records.trust import StratumEffect, TrustRow
from sima2.report.text import as_number, count, number

LEVEL: Final = 0.95
"""Confidence of the intervals of single strata."""
MOST: Final = 20
"""Strata of a tag that are shown; the file holds all."""


class Stratum(NamedTuple):
    """One kind of episode, ready to be shown."""

    family: str
    rest: str
    """Robot, policy and session, those that all strata share left out, each shortened."""
    effect: StratumEffect
    apart: str
    """``opposite``, ``apart`` or empty."""


def strata(row: TrustRow, most: int = MOST) -> tuple[list[Stratum], str]:
    """Effects by stratum, those apart first, then as they come (the largest first), and a sentence on all of them."""
    if not row.by_stratum:
        return [], ""
    parts = [each.stratum.split("|") for each in row.by_stratum]
    width = max(map(len, parts))
    varies = [len({p[k] if k < len(p) else "" for p in parts}) > 1 for k in range(width)]
    told = [
        Stratum(
            p[0].replace("_", " "),
            " / ".join(_short(x) for x, shown in zip(p[1:], varies[1:]) if shown and x),
            each,
            _apart(row, each),
        )
        for p, each in zip(parts, row.by_stratum)
    ]
    order = sorted(told, key=lambda each: ("opposite", "apart", "").index(each.apart))
    known = sum(all(map(math.isfinite, each.interval)) for each in row.by_stratum)
    apart = sum(bool(each.apart) for each in told)
    opposite = sum(each.apart == "opposite" for each in told)
    kinds = f"{count(len(told), 'kind')} of episode"
    if len(told) < row.strata:
        kinds = f"The {number(len(told))} largest of {number(row.strata)} kinds of episode"
    sentence = (
        f"{kinds}; "
        f"{number(apart) if apart else 'none'} of the {number(known)} with an interval "
        f"{'lies' if apart == 1 else 'lie'} apart from the whole"
        f" (by chance about {number((1 - LEVEL) * known, 2)})"
        f"{f', {opposite} clearly the other way' if opposite else ''}."
    )
    if len(told) > most:
        sentence += (
            f" Shown: {most}, those apart first, then the largest; {len(told) - most} more in trust_matrix.json."
        )
    return order[:most], sentence


def _apart(row: TrustRow, each: StratumEffect) -> str:
    low, high = each.interval
    whole = as_number(row.effect)
    if whole is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    if (high < 0 < whole) or (whole < 0 < low):
        return "opposite"
    return "apart" if not low <= whole <= high else ""


def _short(name: str, longest: int = 14) -> str:
    """A name with its middle left out.

    >>> _short("franka_emika_panda_v2"), _short("s1")
    ('franka_…anda_v2', 's1')
    """
    half = longest // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"
