"""How many outcomes more would settle a tag: the power formula of the gate, from what is counted so far.

"Settled" means that the gate opens if the tag is as strong as assumed. What is assumed is stated: the effect as it
is seen, where that is unlikely to be chance; else a typical useful tag. A tag of which nothing is seen is promised
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sima2.analytics.econ_settings import COST_FIELDS
from sima2.analytics.gate import normal_quantile, spent_alpha
from sima2.records.trust import TrustMatrix, TrustRow

TYPICAL: Final = 0.4
"""δ of a tag worth having (AUROC 0.70), at which a proven tag has trust 0.8."""
WEAKEST: Final = 0.172
"""δ below which no number of outcomes lifts trust above 0.5."""
POWER: Final = 0.8
"""Chance to open the gate for which outcomes are counted, the usual one of a trial (Cohen 1988). As an effect that is
seen is on average larger than the true one, fewer of such tags get there."""
SEEN: Final = 0.1
"""One-sided p-value up to which an effect is taken as seen: a tag of no effect gets so far once in ten."""
LEAST_ARM: Final = 5
"""Episodes that each arm needs to be judged at all, as ``EconCorrelator.least_arm``."""
LEAST_KNOWN: Final = 30
"""Recorded outcomes from which on inferred ones are left aside, as ``EconCorrelator.least_known``."""
MOST: Final = 10_000
"""Outcomes beyond which nobody records them for one tag."""
_ENOUGH: Final = 1.5
"""An arm of so many times the information wanted needs the other only twice as large."""
OPEN: Final = frozenset(
    {"no_outcome", "too_few", "not_significant", "not_assessed", "constant_outcome", "self_referential"}
)
"""Reasons that more outcomes may change."""
_COUNTED: Final = ("too_few", "not_significant")
"""Those of which an effect was estimated."""


@dataclass(frozen=True, slots=True)
class Needed:
    """Outcomes more that would settle a tag."""

    tagged: int
    """Of episodes that have it."""
    untagged: int
    """Of episodes that do not."""
    effect: float
    """δ that is assumed."""
    assumed: str
    """``seen``, ``typical`` or ``weakest``."""
    weakest: int
    """Outcomes more after which even the weakest tag that may act would show; −1 for more than :data:`MOST`."""
    promised: bool
    """The effect is seen, so that the number is an expectation and not only a condition."""

    @property
    def outcomes(self) -> int:
        """In all."""
        return self.tagged + self.untagged


def outcomes_needed(
    matrix: TrustMatrix,
    stock: Mapping[str, tuple[int, int]] | None = None,
    *,
    recorded: Mapping[str, tuple[int, int]] | None = None,
    q: float = 0.05,
) -> dict[str, Needed]:
    """What each tag that is not settled would need; nothing for a tag that more outcomes will hardly settle.

    Args:
        matrix: as calibrated, with its look: new outcomes are judged at the next one, by a stricter level.
        stock: by tag, episodes tagged and untagged whose outcome could still be said; where given, the arms are filled
            from them as far as they go.
        recorded: by tag whose verdict rests on inferred outcomes, episodes tagged and untagged of recorded outcome:
            these alone count for what is to come, and nothing is taken as seen.
        q: as in ``EconCorrelator``.
    """
    rows = matrix.rows.values()
    tested = [row for row in rows if row.q_value == row.q_value]
    passed = sum(row.q_value <= spent_alpha(q, matrix.look) for row in tested)
    told = {}
    for row in rows:
        if row.reason not in OPEN:
            continue
        others = len(tested) if row.q_value == row.q_value else len(tested) + 1
        tail = spent_alpha(q, matrix.look + 1) * min(passed + 1, others) / others
        found = _needed(row, normal_quantile(tail), (stock or {}).get(row.tag), (recorded or {}).get(row.tag))
        if found is not None:
            told[row.tag] = found
    return told


def _needed(row: TrustRow, z: float, stock: tuple[int, int] | None, recorded: tuple[int, int] | None) -> Needed | None:
    counted = recorded or ((row.n_tagged, row.n - row.n_tagged) if row.reason in _COUNTED else (0, 0))
    effect, se = row.effect, row.standard_error
    known = recorded is None and min(counted) > 0 and effect == effect and se == se and se > 0
    if known and effect + normal_quantile(0.05) * se < WEAKEST:
        return None  # too weak to matter, whatever is recorded
    spread = se**2 * _information(*counted) if known else _spread_of(row.cost_field)
    assumed, delta = _assumed(row) if known else ("typical", TYPICAL)
    reach = z + normal_quantile(1.0 - POWER)
    # recorded outcomes are judged once there are enough of them beside inferred ones
    least_known = 0 if recorded is None else LEAST_KNOWN
    more = _more(counted, spread * (reach / delta) ** 2, stock, least_known)
    least = _more(counted, spread * (reach / WEAKEST) ** 2, None)
    if more is None:
        return None
    return Needed(*more, delta, assumed, -1 if least is None else sum(least), promised=assumed == "seen")


def _assumed(row: TrustRow) -> tuple[str, float]:
    """The effect as seen, drawn half an error towards nothing, for those that stand out were lucky; else a typical one,
    or the weakest where a typical one is ruled out."""
    effect, se = row.effect, row.standard_error
    # of a handful of episodes chance shows any effect
    if row.reason != "too_few" and effect >= normal_quantile(SEEN) * se:
        return "seen", max(effect - 0.5 * se, WEAKEST)
    return ("typical", TYPICAL) if effect + normal_quantile(0.05) * se >= TYPICAL else ("weakest", WEAKEST)


def _information(tagged: int, untagged: int) -> float:
    """Inverse of the variance of δ, in units of the spread: van Elteren's weight of one stratum."""
    return tagged * untagged / (tagged + untagged + 1.0)


def _spread_of(cost_field: str) -> float:
    """Variance of δ times the weight, under no effect: at most a quarter for what splits once, a third without ties."""
    binary = cost_field in COST_FIELDS and not COST_FIELDS[cost_field].per_decade
    return 0.25 if binary else 1.0 / 3.0


def _more(
    counted: tuple[int, int], wanted: float, stock: tuple[int, int] | None, least: int = 0
) -> tuple[int, int] | None:
    """Fewest outcomes more, tagged and untagged, that carry so much information; None beyond :data:`MOST`.

    Where an arm's stock is used up the other is filled, if it can get there by that; else episodes are to be recorded.

    >>> _more((0, 0), 15.0, None), _more((5, 100), 15.0, None), _more((20, 20), 15.0, (3, 500))
    ((31, 30), (13, 0), (3, 25))
    """
    arms, more = [*counted], [0, 0]
    left = [*(stock or (MOST, MOST))]
    while min(arms) < LEAST_ARM or sum(arms) < least or _information(*arms) < wanted:
        k = 0 if arms[0] <= arms[1] else 1
        if left[k] <= 0 < left[1 - k] and arms[k] >= max(LEAST_ARM, _ENOUGH * wanted):
            k = 1 - k
        arms[k], more[k], left[k] = arms[k] + 1, more[k] + 1, left[k] - 1
        if sum(more) > MOST:
            return None
    return more[0], more[1]
