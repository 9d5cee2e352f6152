"""What is made of the trials: success by selection, what is paired by seed, and which settings tell anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from sima2.bench.figures import verdict
from sima2.bench.receipts.selections import LENGTHS, NAMES, ORACLE, RANDOM, TRAP
from sima2.receipt import BASELINE, CONSERVATIVE, MEASURED, Interval, around, mean
from sima2.records.arrays import Float64s

ROOM: Final = 0.15
"""A setting tells something where the oracle by segments beats both of ``BELOW`` by that, with the interval off 0."""
BELOW: Final = (BASELINE, LENGTHS)
RATIO: Final = 0.96
LEAST: Final = 0.88
"""Aims: success under ``measured`` over that under the oracle by segments, and the lower end of its interval."""
KNOWS: Final = 0.85
"""A trap must tell good from bad so well at least, as an area under the curve, to be one."""


def ratio(above: Float64s, below: Float64s) -> Interval:
    """Ratio of two means over the same seeds, by the ratio estimator (Cochran 1977, §2.11); NaN where below is 0."""
    whole = float(np.mean(below))
    if not whole:
        return Interval(math.nan, math.nan, math.nan)
    value = float(np.mean(above)) / whole
    return around(value, (above - value * below) / whole)


def setting(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Figures of one setting from the lines of its seeds.

    Args:
        lines: one for each seed, as ``judged.unit`` leaves them.
    """
    names = [name for name in NAMES if all(name in line["success"] for line in lines)]
    success = {name: np.array([line["success"][name] for line in lines]) for name in names}

    def over(name: str, other: str) -> dict[str, float] | None:
        if name not in success or other not in success:
            return None
        return mean(success[name] - success[other])._asdict()

    room = {other: mean(success[ORACLE] - success[other])._asdict() for other in BELOW}
    return {
        "n": lines[0]["n"],
        "contamination": lines[0]["contamination"],
        "seeds": [line["seed"] for line in lines],
        "trials": lines[0]["trials"],
        "success": {name: mean(values)._asdict() for name, values in success.items()},
        "over_baseline": {name: over(name, BASELINE) for name in names if name != BASELINE},
        "room": room,
        "informative": all(each["value"] >= ROOM and each["low"] > 0 for each in room.values()),
        "ratio": {
            name: ratio(success[name], success[ORACLE])._asdict() for name in (MEASURED, CONSERVATIVE) if name in names
        },
        "measured_over_random": over(MEASURED, RANDOM),
        "trap": {
            "auroc": float(np.mean([line["trap_auroc"] for line in lines])),
            "over_baseline": over(TRAP, BASELINE),
        },
        "length_auroc": [min(line["length_auroc"] for line in lines), max(line["length_auroc"] for line in lines)],
    }


def targets(settings: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Aims and whether they are met; one that was not measured is missed."""
    out: dict[str, dict[str, Any]] = {}
    for each in settings:
        named = f"n = {each['n']}, {each['contamination']:.0%} not good"
        if each["informative"]:
            share = each["ratio"].get(MEASURED, {"value": math.nan, "low": math.nan})
            out[f"{named}: measured / oracle"] = verdict(share["value"], RATIO, "at least")
            out[f"{named}: measured / oracle, lower end"] = verdict(share["low"], LEAST, "at least")
        if each["measured_over_random"] is not None:
            worse = each["measured_over_random"]["high"]
            out[f"{named}: measured over random, upper end"] = verdict(worse, 0.0, "at least")
        out[f"{named}: trap's area under the curve"] = verdict(each["trap"]["auroc"], KNOWS, "at least")
        out[f"{named}: trap over baseline, upper end"] = verdict(each["trap"]["over_baseline"]["high"], 0.0, "below")
    return out
