"""EconCorrelator: which tags predict cost, and how far each may be leaned on. A noise tag earns nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.analytics.counts import INFERRED, Panel, TrustCounts, as_indicator, tally
from sima2.analytics.evidence import Evidence, Test, join, judge
from sima2.analytics.gate import adjusted, normal_quantile, spent_alpha
from sima2.analytics.leakage import leakage_of
from sima2.analytics.verdict import Standard, verdicts
from sima2.errors import UsageError
from sima2.records.table import Text
from sima2.records.tags import TagSpec
from sima2.records.trust import TrustMatrix

__all__ = ["EconCorrelator", "TrustMatrix"]

_CHUNK_CELLS: Final = 2**20
"""Cells of the count tensor held at once by the plain-array door: 16 MB."""
_BINS: Final = 128
"""Bins of a cost whose scale is not known beforehand, by its midrank within the stratum: exact for strata of up to
128 episodes, and the ties within a bin cost 1 / 128² of the information in larger ones."""


@dataclass(frozen=True, slots=True)
class EconCorrelator:
    """Tests every tag against its cost within strata, and scores what passes. Frozen settings, no state."""

    q: float = 0.05
    """Share of false discoveries among the tags that pass, over all looks."""
    small_arm: int = 30
    """Where the smaller arms hold fewer episodes, the null is drawn rather than approximated."""
    least_arm: int = 5
    """Episodes that each arm needs to be judged at all."""
    draws: int = 19_999
    """Relabellings drawn for a small arm: enough for the first of 1,000 tags to pass."""
    least_known: int = 30
    """Episodes with a recorded outcome from which on inferred outcomes are left aside."""
    money: bool = True
    """A premium may lift the trust of a tag that passed the gate."""
    suspect_above: float = 0.95
    """Lower bound of δ that no honest prediction reaches."""
    self_referential_cap: float = 0.5
    """Highest trust against an outcome inferred from the same segments."""

    def __post_init__(self) -> None:
        if not 0 < self.q < 1:
            raise UsageError(f"q is {self.q}, it must be between 0 and 1")
        if self.draws < 1 or self.least_arm < 1:
            raise UsageError("draws and least_arm must be at least 1")

    def correlate(self, counts: TrustCounts, *, specs: Mapping[str, TagSpec], look: int = 1) -> TrustMatrix:
        """Verdict on every tag that ``specs`` declares: a pure function of counts, settings and look.

        A tag is judged by the panel of its declared cost; where an attempt was counted given a failure
        (``settings.AFTER_FAILURE``), by that one. Recorded outcomes go before inferred ones.

        Args:
            counts: merged over all shards.
            specs: what the tags declare.
            look: 1 for the first calibration; one more for each that saw new data.

        Raises:
            UsageError: if look is not positive.
        """
        tests = [Test(tag, spec.direction, leakage_of(spec)) for tag, spec in sorted(specs.items())]
        chosen = {tag: self._panel_of(tag, spec, counts) for tag, spec in specs.items()}
        parts = []
        for name in sorted({name for name in chosen.values() if name is not None}):
            members = [test for test in tests if chosen[test.tag] == name]
            parts.append(self._judge(counts.panels[name], name, members))
        missing = [test for test in tests if chosen[test.tag] is None]
        parts.append(Evidence.missing(missing, [specs[test.tag].cost_field for test in missing]))
        return self._decide(join(parts), look)

    def calibrate(
        self,
        indicators: Mapping[str, Any],
        outcome: Any,
        strata: Any,
        *,
        groups: Any = None,
        declarations: Mapping[str, TagSpec] | None = None,
        look: int = 1,
    ) -> TrustMatrix:
        """The plain-array door: a tag is right when it goes with a higher outcome.

        Args:
            indicators: by tag, bool of shape (n,).
            outcome: cost of each episode; NaN and infinite ones are left out, shape (n,).
            strata: what kind of episode it is, shape (n,).
            groups: what else episodes share (a collection session), crossed with the strata, shape (n,).
            declarations: what the tags declare; without it a tag's leakage is ``unchecked``.
            look: as in :meth:`correlate`.

        Raises:
            UsageError: if lengths differ or an indicator is not one.

        >>> x = np.arange(400) % 2 == 0
        >>> EconCorrelator().calibrate({"RiskTag": x}, np.arange(400.0) + 80 * x, np.zeros(400, int))["RiskTag"].tier
        'provisional'
        """
        y = np.asarray(outcome, np.float64)
        if y.ndim != 1:
            raise UsageError(f"outcome has shape {y.shape}, expected (n,)")
        given = {tag: as_indicator(tag, indicators[tag], len(y)) for tag in sorted(indicators)}
        stratum = _crossed(strata, groups, len(y))
        declared = declarations or {}
        tests = [
            Test(tag, declared[tag].direction, leakage_of(declared[tag])) if tag in declared else Test(tag, 1)
            for tag in given
        ]
        rank = _midrank(y, stratum.codes)
        edges = np.arange(1, _BINS) / _BINS
        bins = np.searchsorted(edges, rank, side="right")
        grain, high = _grain_for(y)
        price = bool((y[np.isfinite(y)] >= 0).all())
        kinds = len(np.unique(stratum.codes))
        each = max(1, _CHUNK_CELLS // max(1, kinds * (len(edges) + 1)))
        parts = []
        for start in range(0, len(tests), each):
            some = tests[start : start + each]
            panel = tally({test.tag: given[test.tag] for test in some}, y, bins, stratum, edges, grain, high)
            parts.append(self._judge(replace(panel, price=price), "outcome", some))
        return self._decide(join(parts), look)

    def _panel_of(self, tag: str, spec: TagSpec, counts: TrustCounts) -> str | None:
        """Name of the panel that judges a tag, None where there is none."""
        having = {name: panel for name, panel in counts.panels.items() if tag in panel.tags}
        given_failure = {name.removesuffix(INFERRED) for name, panel in having.items() if panel.given_failure}
        for field in (*sorted(given_failure), spec.cost_field):
            known, inferred = field in having, field + INFERRED in having
            if known and (not inferred or _episodes(having[field], tag) >= self.least_known):
                return field
            if inferred:
                return field + INFERRED
        return None

    def _judge(self, panel: Panel, name: str, tests: list[Test]) -> Evidence:
        return judge(panel, name, tests, small_arm=self.small_arm, least_arm=self.least_arm, draws=self.draws)

    def _decide(self, evidence: Evidence, look: int) -> TrustMatrix:
        """The gate over all tags, then the score of each."""
        if look < 1:
            raise UsageError(f"look is {look}, it must be at least 1")
        level = spent_alpha(self.q, look)
        q_value = adjusted(evidence.p)
        tested = int(np.isfinite(evidence.p).sum())
        passed = int((q_value <= level).sum())
        # a selected interval is widened so that the selection costs no coverage (Benjamini and Yekutieli 2005)
        tail = level * max(passed, 1) / max(tested, 1)
        standard = Standard(
            level=level,
            z=normal_quantile(tail),
            tail=tail,
            look=look,
            money=self.money,
            suspect_above=self.suspect_above,
            self_referential_cap=self.self_referential_cap,
        )
        return verdicts(evidence, q_value, standard)


def _episodes(panel: Panel, tag: str) -> int:
    return int(panel.cells[panel.tags.index(tag)].sum())


def _crossed(strata: Any, groups: Any, n: int) -> Text:
    """Strata crossed with groups, as text."""
    columns = [strata] if groups is None else [strata, groups]
    lists = []
    for name, column in zip(("strata", "groups"), columns, strict=False):
        array = np.asarray(column.decode() if isinstance(column, Text) else column)
        if array.shape != (n,):
            raise UsageError(f"{name} of shape {array.shape} for costs of {n} episodes")
        lists.append(np.unique(array.astype(str), return_inverse=True))
    (names, code), *rest = lists
    for more, other in rest:
        kinds, code = np.unique(code * len(more) + other, return_inverse=True)
        names = np.array([f"{names[k // len(more)]}|{more[k % len(more)]}" for k in kinds.tolist()], object)
    return Text(code, [str(name) for name in names.tolist()])


def _midrank(y: NDArray[np.float64], stratum: NDArray[np.int32]) -> NDArray[np.float64]:
    """Share of the finite costs of its stratum that lie below each, ties by half, in (0, 1); 0 elsewhere."""
    out = np.zeros(len(y))
    where = np.flatnonzero(np.isfinite(y))
    order = where[np.lexsort((y[where], stratum[where]))]
    if not len(order):
        return out
    code, value = stratum[order], y[order]
    new_stratum = np.append(True, np.diff(code) != 0)
    new_value = new_stratum | np.append(True, np.diff(value) != 0)
    n = len(order)

    def run(new: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        start = np.flatnonzero(new)
        size = np.diff(np.append(start, n))
        return np.repeat(start, size), np.repeat(size, size)

    (first, size), (tie, ties) = run(new_stratum), run(new_value)
    out[order] = (tie - first + 0.5 * ties) / size
    return out


def _grain_for(y: NDArray[np.float64]) -> tuple[float, float]:
    """Unit and ceiling for adding up costs of unknown scale."""
    top = float(np.max(np.abs(y[np.isfinite(y)]), initial=0.0)) or 1.0
    _, exponent = np.frexp(top)
    return float(np.ldexp(1.0, max(int(exponent) - 31, -1000))), top
