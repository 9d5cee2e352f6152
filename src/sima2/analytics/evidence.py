"""What the counts say of each tag, before any decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.analytics.counts import INFERRED, Panel
from sima2.analytics.effects import Effects, hanley_mcneil, stratified_effects
from sima2.analytics.gate import drawn_tail, normal_tail
from sima2.analytics.leakage import NONE, UNCHECKED
from sima2.analytics.premium import NO_PREMIUM, Premium, premium, stratified_means

Array = NDArray[np.float64]

_CHUNK_CELLS: Final = 2**20
_LEAST_STRATUM: Final = 10
"""Episodes in each arm of a stratum before its own δ is compared with the others'."""


@dataclass(frozen=True, slots=True)
class Test:
    """A tag and what it claims."""

    __test__ = False

    tag: str
    direction: int
    """+1 where the tagged are declared to have the higher cost."""
    leakage: str = UNCHECKED


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of one tag, apart from its p-value."""

    test: Test
    field: str
    delta: float
    """In the declared direction."""
    se: float
    p_against: float
    """p-value of the opposite of what is declared."""
    n_tagged: int
    n: int
    strata: int
    smaller_arm: int
    dropped: int
    reason: str
    """Why it cannot be tested, empty where it can."""
    contradicting: tuple[str, ...] = ()
    """Strata whose own δ points clearly the other way."""
    contrast: float = float("nan")
    """Mean cost of the tagged minus the untagged, stratified, in the cost's unit."""
    premium: Premium = NO_PREMIUM
    given_failure: bool = False
    """An attempted correction was judged, among episodes that failed."""
    digest: str = ""

    @property
    def self_referential(self) -> bool:
        """The outcome was inferred from the same segments."""
        return self.field.endswith(INFERRED)

    @property
    def leaks(self) -> bool:
        """The declaration says that the tag reads the outcome, and it is not an attempt that is judged."""
        return self.test.leakage not in (NONE, UNCHECKED) and not self.given_failure

    def bounds(self, z: float) -> tuple[float, float]:
        """Interval of δ, z standard errors to either side, within [-1, 1]."""
        return max(-1.0, self.delta - z * self.se), min(1.0, self.delta + z * self.se)

    def leak_bound(self, z: float) -> float:
        """Lower bound of δ by the spread of the effect alone, for the null's is that of a tag without effect.

        The area is kept one episode short of perfect, so that few episodes never look certain.
        """
        n1, n0 = self.n_tagged, self.n - self.n_tagged
        if self.delta != self.delta or self.smaller_arm < 1:
            return -1.0
        area = min((self.delta + 1.0) / 2.0, 1.0 - 1.0 / (self.smaller_arm + 2.0))
        spread = float(np.sqrt(hanley_mcneil(*(np.array(each, np.float64) for each in (area, n1, n0)))))
        return 2.0 * area - 1.0 - z * 2.0 * spread


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Cases with the p-values that the gate looks at."""

    cases: tuple[Case, ...]
    p: Array
    """One-sided p-value, NaN where a tag is not tested, shape (m,)."""

    @classmethod
    def missing(cls, tests: Sequence[Test], fields: Sequence[str]) -> Evidence:
        """Tags for which nothing was counted."""
        nan = float("nan")
        cases = tuple(
            Case(test, field, nan, nan, nan, 0, 0, 0, 0, 0, "no_outcome")
            for test, field in zip(tests, fields, strict=True)
        )
        return cls(cases, np.full(len(cases), nan))


def join(parts: Sequence[Evidence]) -> Evidence:
    """Evidence on all tags, ordered by tag."""
    cases = [case for part in parts for case in part.cases]
    p = np.concatenate([part.p for part in parts]) if parts else np.zeros(0)
    order = sorted(range(len(cases)), key=lambda k: cases[k].test.tag)
    return Evidence(tuple(cases[k] for k in order), p[np.array(order, np.intp)])


def judge(panel: Panel, name: str, tests: Sequence[Test], *, small_arm: int, least_arm: int, draws: int) -> Evidence:
    """Effect and p-value of every test on one panel."""
    place = {tag: t for t, tag in enumerate(panel.tags)}
    rows = np.array([place[test.tag] for test in tests], np.intp)
    each = max(1, _CHUNK_CELLS // max(1, panel.cells[0].size if len(panel.tags) else 1))
    cases: list[Case] = []
    p: list[Array] = []
    for start in range(0, len(rows), each):
        part, some = rows[start : start + each], tests[start : start + each]
        effects = stratified_effects(panel.cells[part])
        found = [_case(panel, name, int(t), test, effects, k, least_arm) for k, (t, test) in enumerate(zip(part, some))]
        cases += found
        p.append(_p_values(panel, part, some, effects, found, small_arm, draws))
    return Evidence(tuple(cases), np.concatenate(p) if p else np.zeros(0))


def _case(panel: Panel, name: str, t: int, test: Test, effects: Effects, k: int, least_arm: int) -> Case:
    delta = test.direction * float(effects.delta[k])
    se = float(effects.se[k])
    null = float(effects.se_null[k])
    against = float(normal_tail(np.array([-delta / null]))[0]) if null > 0 else float("nan")
    return Case(
        test=test,
        field=name,
        delta=delta,
        se=se,
        p_against=against,
        n_tagged=int(effects.tagged[k]),
        n=int(effects.tagged[k] + effects.untagged[k]),
        strata=int(effects.informative[k]),
        smaller_arm=int(effects.smaller_arm[k]),
        dropped=int(panel.dropped[t]),
        reason=_why_not(effects, k, least_arm, panel.known),
        contradicting=_contradicting(panel.strata, effects, k),
        contrast=stratified_means(panel, t, effects.arms[k]).difference,
        premium=premium(panel, t, test.direction) if panel.price else NO_PREMIUM,
        given_failure=panel.given_failure,
        digest=panel.digest(test.tag),
    )


def _why_not(effects: Effects, k: int, least_arm: int, known: int) -> str:
    """Reason code of a tag that cannot be tested, empty where it can."""
    tagged, untagged = int(effects.tagged[k]), int(effects.untagged[k])
    if tagged + untagged == 0:
        return "not_assessed" if known else "no_outcome"
    if not tagged or not untagged:
        return "constant_tag"
    if not effects.informative[k]:
        return "constant_within_strata"
    if not effects.se_null[k] > 0:
        return "constant_outcome"
    return "too_few" if effects.smaller_arm[k] < least_arm else ""


def _contradicting(strata: tuple[str, ...], effects: Effects, k: int) -> tuple[str, ...]:
    """Strata whose own δ lies clearly on the other side of zero than the combined one."""
    delta, se = effects.by_stratum[k], effects.se_by_stratum[k]
    large = (effects.arms[k] >= _LEAST_STRATUM).all(axis=1) & (se > 0)
    # three standard errors: one stratum in 700 by chance
    opposite = large & (np.sign(effects.delta[k]) * delta + 3.0 * se < 0)
    return tuple(strata[s] for s in np.flatnonzero(opposite).tolist())


def _p_values(
    panel: Panel,
    rows: NDArray[np.intp],
    tests: Sequence[Test],
    effects: Effects,
    cases: Sequence[Case],
    small_arm: int,
    draws: int,
) -> Array:
    """One-sided p-values, NaN for tags that cannot be tested or that leak (they are no hypotheses), shape (m,)."""
    sign = np.array([test.direction for test in tests], np.float64)
    z = np.divide(sign * effects.delta, effects.se_null, out=np.full(len(rows), np.nan), where=effects.se_null > 0)
    p = normal_tail(z)
    for k, case in enumerate(cases):
        if case.reason or case.leaks:
            p[k] = np.nan
        elif case.smaller_arm < small_arm:
            p[k] = drawn_tail(panel, int(rows[k]), case.test.direction, draws)
    return p
