"""Carried trust: what an earlier or pooled set says of a tag, weighed by how far the counts here agree with it.

The gate is the business of the counts here alone. Where it is closed a prior is told and does nothing. Where it is open
a prior joins the effect seen here by inverse variances, its own discounted by conflict; the bound from which trust is
computed is at most doubled by it, goes above that of trust 0.5 only where chance shows so much once in 2,000, and is
never lowered.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from sima2.analytics.gate import normal_tail_of
from sima2.errors import RecordError, UsageError
from sima2.records.trust import TrustRow, row_of

BETWEEN_SETS: Final = 0.18
"""Standard deviation of a tag's δ between sets. No more is claimed than its class of strength (weak 0.147 to medium
0.33, Romano and others 2006). It bounds what any prior is worth: 1 / 0.18² is the precision of some 60 episodes of
which a fifth have the tag."""
MOST_SHARE: Final = 0.5
"""Precision that a prior counts for, over that of the counts here, at most."""
MOST_TIMES: Final = 2.0
"""Times the bound that the counts here have proven by themselves, at most: a tag of no proof is lifted to none."""
ACTS_FROM: Final = 3.3
"""Standard errors of the effect here from which a prior may lift its trust above 0.5: chance gets so far
once in 2,000. Without it a wrong prior lets three times as many noise tags of small sets act."""
_HALF: Final = 0.172
"""Lower bound of δ at which trust is just below 0.5."""
MOST_ALONE: Final = 0.5
"""Trust that a prior shows by itself: the highest that does not act."""
_ONE_SIDED: Final = 1.6448536269514722
"""Standard errors to a one-sided 95 % bound."""
_USABLE: Final = frozenset({"ok", "not_significant", "wrong_direction", "too_few"})
"""Reasons under which a row's δ is an estimate. Others read the outcome, or compare nothing."""
MOST_ROWS: Final = 10_000
"""Tags of an earlier matrix: more than any calibration is made for."""
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Belief:
    """What an earlier calibration says of one tag."""

    cost_field: str
    effect: float
    """δ in the declared direction, −1 to 1."""
    se: float
    """Its standard error there, > 0."""
    data: str
    """Digest of the counts it came from."""


@dataclass(frozen=True, slots=True)
class Lent:
    """What a prior lends to one tag."""

    belief: Belief
    agreement: float
    """0 to 1; NaN where nothing is counted here."""
    level_bound: float
    """Lower bound of δ by the prior alone."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Beliefs by tag, and what of the earlier matrix was left aside."""

    beliefs: Mapping[str, Belief] = field(default_factory=lambda: MappingProxyType({}))
    ignored: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Why, by tag."""

    def __bool__(self) -> bool:
        return bool(self.beliefs or self.ignored)

    @property
    def digest(self) -> str:
        """Of all that can move a trust; empty for none."""
        if not self:
            return ""
        plain = [[tag, b.cost_field, b.effect, b.se, b.data] for tag, b in sorted(self.beliefs.items())]
        return hashlib.blake2b(json.dumps(plain).encode(), digest_size=16).hexdigest()

    @classmethod
    def of_rows(cls, rows: Mapping[str, TrustRow]) -> Prior:
        """The beliefs of a trust matrix."""
        return cls.of_plain({tag: _plain_row(row) for tag, row in rows.items()}) if rows else cls()

    @classmethod
    def of_plain(cls, told: Any) -> Prior:
        """The beliefs of a parsed ``trust_matrix.json``; a row that cannot be used is left aside with the reason.

        Raises:
            UsageError: if it is no object of rows, or no row can be read.
        """
        if not isinstance(told, dict) or not told:
            raise UsageError("the prior is no trust matrix: give a trust_matrix.json that sima2 run wrote")
        if len(told) > MOST_ROWS:
            raise UsageError(f"the prior names {len(told):,} tags: more than {MOST_ROWS:,} are no trust matrix")
        beliefs: dict[str, Belief] = {}
        ignored: dict[str, str] = {}
        read = 0
        for tag, plain in sorted(told.items()):
            try:
                row = row_of(plain)
            except RecordError:
                ignored[tag] = "its row is not one of a trust matrix of this version"
                continue
            read += 1
            why = _why_not(tag, row)
            if why:
                ignored[tag] = why
            else:
                beliefs[tag] = Belief(row.cost_field, row.effect, _standard_error(row), row.digest)
        if not read:
            raise UsageError(
                "the prior holds no row of a trust matrix of this version: give a trust_matrix.json that this version "
                "of sima2 run wrote"
            )
        return cls(MappingProxyType(beliefs), MappingProxyType(ignored))

    def why_not(self, tag: str, cost_field: str, digest: str) -> str:
        """Why the earlier row of a tag does not count here; empty where it does, or where there is none."""
        if tag in self.ignored:
            return self.ignored[tag]
        belief = self.beliefs.get(tag)
        if belief is None:
            return ""
        if belief.cost_field != cost_field:
            return f"it was tested against {belief.cost_field:.60} there and against {cost_field} here"
        if belief.data == digest:
            return "it was made of the very counts that are judged here, which would count twice"
        return ""

    def strangers(self, known: Iterable[str]) -> str:
        """A sentence that names tags of the earlier matrix which are not tested here; empty for none."""
        names = sorted({*self.beliefs, *self.ignored} - set(known))
        if not names:
            return ""
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        listed = ", ".join(f"{name:.60}" for name in names[:_NAMED])
        return f"the prior also names {listed}{more}, which are no tags here: left aside"

    def lent(self, tag: str, delta: float, se: float) -> Lent | None:
        """What is lent to a tag of so large an effect here; None where nothing is known of it.

        The agreement is the two-sided p-value of the difference of both effects, doubled and cut at 1: nearer than half
        of all that agree counts in full.

        Source: discounting a historical estimate by its predictive conflict, Box 1980; between-set variance as in a
        meta-analytic-predictive prior, Neuenschwander and others 2010.
        """
        belief = self.beliefs.get(tag)
        if belief is None:
            return None
        variance = belief.se**2 + BETWEEN_SETS**2
        known = delta == delta and se == se and se > 0
        agreement = math.nan
        if known:
            conflict = abs(delta - belief.effect) / math.sqrt(variance + se**2)
            agreement = min(1.0, 4.0 * normal_tail_of(conflict))
        weight = agreement if known else 1.0
        spread = math.sqrt(variance / weight) if weight > 0 else math.inf
        return Lent(belief, agreement, belief.effect - _ONE_SIDED * spread)


def lifted(lent: Lent, delta: float, se: float, z: float) -> float:
    """Lower bound of δ, z standard errors below the effect, once a prior has been weighed in: no lower than without.

    Args:
        lent: by the prior.
        delta: δ here.
        se: its standard error, > 0.
        z: standard errors to the bound.

    >>> belief = Belief("damage", 0.5, 0.05, "")
    >>> lent = Prior({"RiskTag": belief}).lent("RiskTag", 0.4, 0.1)
    >>> round(0.4 - 2.3 * 0.1, 3), round(lifted(lent, 0.4, 0.1, 2.3), 3)
    (0.17, 0.219)
    """
    own = delta - z * se
    if not (own > 0 and lent.agreement > 0):
        return own
    here = 1.0 / se**2
    there = min(lent.agreement / (lent.belief.se**2 + BETWEEN_SETS**2), MOST_SHARE * here)
    pooled = (here * delta + there * lent.belief.effect) / (here + there)
    bound = min(pooled - z / math.sqrt(here + there), MOST_TIMES * own)
    return max(own, bound if delta >= ACTS_FROM * se else min(bound, _HALF))


def _why_not(tag: str, row: TrustRow) -> str:
    if row.tag != tag:
        return f"it holds the row of {row.tag!r:.60}"
    if row.reason not in _USABLE:
        return f"nothing was estimated there ({row.reason:.40})"
    if not abs(row.effect) <= 1.0:
        return "its effect is no number from −1 to 1"
    se = _standard_error(row)
    return "" if 0.0 < se < math.inf else "its effect has no error by which it could be weighed"


def _standard_error(row: TrustRow) -> float:
    """As stated; else half of the interval's wider side over the narrowest that any calibration takes."""
    if row.standard_error == row.standard_error:
        return row.standard_error
    low, high = row.interval
    return max(row.effect - low, high - row.effect) / _ONE_SIDED


def _plain_row(row: TrustRow) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(row)
