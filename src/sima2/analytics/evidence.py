"""What the counts say of each tag, before any decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from sima2.analytics.counts import INFERRED, Panel
from sima2.analytics.effects import Effects, hanley_mcneil, stratified_effects
from sima2.analytics.gate import Urns, drawn_tails, normal_tail
from sima2.analytics.leakage import NONE, UNCHECKED
from sima2.analytics.premium import NO_PREMIUM, Premium, premium, stratified_means
from sima2.analytics.shadow_tags import Shuffles
from sima2.records.arrays import Float64s
from sima2.records.trust import StratumEffect

_CHUNK_CELLS: Final = 2**20
_Z95: Final = 1.96
"""Standard errors to either side of a 95 % interval."""
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
class How:
    """How evidence is gathered."""

    small_arm: int
    """Where the smaller arms hold fewer episodes, the null is drawn."""
    least_arm: int
    draws: int
    level: float
    """Adjusted p-value up to which a tag passes the gate."""
    shadows: int = 0
    """Times that every tag is shuffled within its strata."""
    keep_strata: int = 50
    """Strata of a tag whose own effect is told."""


@dataclass(frozen=True, slots=True)
class Whole:
    """What a predictive tag would say if it were given at any time of the episode."""

    delta: float
    """In the declared direction."""
    se: float
    n_tagged: int


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
    by_stratum: tuple[StratumEffect, ...] = ()
    whole: Whole | None = None
    """Of a predictive tag, where it was counted too."""

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
    p: Float64s
    """One-sided p-value, NaN where a tag is not tested, shape (m,)."""
    shadow_p: Float64s
    """The same of every shuffle of the tag within its strata, shape (m, shadows)."""
    shadow_cases: Mapping[tuple[str, int], Case] = field(default_factory=dict)
    """By tag and shuffle: those that may pass the gate."""

    @classmethod
    def missing(cls, tests: Sequence[Test], fields: Sequence[str], shadows: int) -> Evidence:
        """Tags for which nothing was counted."""
        nan = float("nan")
        cases = tuple(
            Case(test, field, nan, nan, nan, 0, 0, 0, 0, 0, "no_outcome")
            for test, field in zip(tests, fields, strict=True)
        )
        return cls(cases, np.full(len(cases), nan), np.full((len(cases), shadows), nan))


def join(parts: Sequence[Evidence]) -> Evidence:
    """Evidence on all tags, ordered by tag."""
    cases = [case for part in parts for case in part.cases]
    order = sorted(range(len(cases)), key=lambda k: cases[k].test.tag)
    row = np.array(order, np.intp)
    return Evidence(
        tuple(cases[k] for k in order),
        np.concatenate([part.p for part in parts])[row] if parts else np.zeros(0),
        np.concatenate([part.shadow_p for part in parts])[row] if parts else np.zeros((0, 0)),
        {key: case for part in parts for key, case in part.shadow_cases.items()},
    )


def judge(panel: Panel, name: str, tests: Sequence[Test], how: How) -> Evidence:
    """Effect and p-value of every test on one panel."""
    place = {tag: t for t, tag in enumerate(panel.tags)}
    rows = np.array([place[test.tag] for test in tests], np.intp)
    each = max(1, _CHUNK_CELLS // max(1, panel.cells[0].size if len(panel.tags) else 1))
    cases: list[Case] = []
    shuffled: dict[tuple[str, int], Case] = {}
    p = np.full((len(rows), 1 + how.shadows), np.nan)
    for start in range(0, len(rows), each):
        part, some = rows[start : start + each], tests[start : start + each]
        effects = stratified_effects(panel.cells[part])
        for k, (t, test) in enumerate(zip(part.tolist(), some)):
            case = _case(panel, name, t, test, effects, k, how)
            cases.append(case)
            # leaks are no hypotheses
            if not case.reason and not case.leaks:
                p[start + k], found = _p_values(panel, t, case, float(effects.se_null[k]), how)
                shuffled |= {(test.tag, shuffle): shadow for shuffle, shadow in found.items()}
                if p[start + k, 0] <= how.level:
                    cases[-1] = _with_premium(case, panel, t)
    return Evidence(tuple(cases), p[:, 0], p[:, 1:], shuffled)


def _p_values(panel: Panel, t: int, case: Case, null: float, how: How) -> tuple[Float64s, dict[int, Case]]:
    """One-sided p-values of a tag and of its shuffles, shape (1 + shadows,), and the shuffles that may pass."""
    small = case.smaller_arm < how.small_arm
    if not small and not how.shadows:
        return normal_tail(np.array([case.delta / null])), {}
    urns = Urns.of(panel, t, case.test.direction, case.digest)
    shuffles = Shuffles(urns, how.shadows)
    if small:
        p = drawn_tails(urns, np.append(urns.seen, shuffles.sums), how.draws)
    else:
        p = normal_tail(np.append(case.delta, shuffles.sums / urns.weight) / null)
    shadows = {}
    for k in np.flatnonzero(p[1:] <= how.level).tolist():
        cells = shuffles.cells(k, panel.cells[t])[None]
        one = replace(panel, tags=(case.test.tag,), cells=cells, mass=panel.mass[t : t + 1], dropped=np.zeros(1, int))
        shadow = _case(one, case.field, 0, case.test, stratified_effects(cells), 0, replace(how, keep_strata=0))
        shadows[k] = _with_premium(shadow, one, 0)
    return p, shadows


def _with_premium(case: Case, panel: Panel, t: int) -> Case:
    """Of a tag that may pass the gate; no other has a use for it."""
    return replace(case, premium=premium(panel, t, case.test.direction)) if panel.price else case


def beside(evidence: Evidence, whole: Panel) -> Evidence:
    """The evidence with what the same tags would say if they were given at any time of the episode."""
    place = {tag: t for t, tag in enumerate(whole.tags)}
    cases = []
    for case in evidence.cases:
        if case.test.tag in place:
            effects = stratified_effects(whole.cells[place[case.test.tag]][None])
            delta = case.test.direction * float(effects.delta[0])
            case = replace(case, whole=Whole(delta, float(effects.se[0]), int(effects.tagged[0])))
        cases.append(case)
    return replace(evidence, cases=tuple(cases))


def _case(panel: Panel, name: str, t: int, test: Test, effects: Effects, k: int, how: How) -> Case:
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
        reason=_why_not(effects, k, how.least_arm, panel.known),
        contradicting=_contradicting(panel.strata, effects, k),
        contrast=stratified_means(panel, t, effects.arms[k]).difference,
        given_failure=panel.given_failure,
        digest=panel.digest_at(t),
        by_stratum=_by_stratum(panel.strata, effects, k, test.direction, how.keep_strata),
    )


def _by_stratum(
    strata: tuple[str, ...], effects: Effects, k: int, direction: int, keep: int
) -> tuple[StratumEffect, ...]:
    """The largest strata that have both arms, ``keep`` at most."""
    if not keep:
        return ()
    arms = effects.arms[k]
    size = arms.sum(axis=1)
    known = np.flatnonzero(~np.isnan(effects.by_stratum[k]))
    largest = known[np.argsort(-size[known], kind="stable")][:keep]
    se = effects.largest_by_stratum[k]
    out = []
    for s in largest.tolist():
        delta = direction * float(effects.by_stratum[k, s])
        wide = _Z95 * float(se[s]) if arms[s].min() > 1 and se[s] > 0 else float("nan")
        interval = (max(delta - wide, -1.0), min(delta + wide, 1.0)) if wide == wide else (wide, wide)
        out.append(StratumEffect(strata[s], delta, interval, int(arms[s, 1]), int(size[s])))
    return tuple(out)


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
    large = (effects.arms[k].min(axis=1) >= _LEAST_STRATUM) & (se > 0)
    if not large.any():
        return ()
    # three standard errors: one stratum in 700 by chance
    opposite = large & (np.sign(effects.delta[k]) * delta + 3.0 * se < 0)
    return tuple(strata[s] for s in np.flatnonzero(opposite).tolist())
