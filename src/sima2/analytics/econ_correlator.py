"""EconCorrelator: which tags predict cost, and how far each may be leaned on. A noise tag earns nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.analytics.counts import INFERRED, WHOLE, TrustCounts, as_indicator, tally, unmasked
from sima2.analytics.drift import drifting
from sima2.analytics.evidence import Evidence, How, Test, beside, join, judge
from sima2.analytics.gate import adjusted, normal_quantile, spent_alpha
from sima2.analytics.leakage import leakage_of
from sima2.analytics.prior import Prior
from sima2.analytics.shadow_tags import affordable
from sima2.analytics.verdict import Standard, verdicts
from sima2.errors import UsageError
from sima2.records.arrays import Bools, Float64s, Indices, Int64s
from sima2.records.table import Text
from sima2.records.tags import TagSpec
from sima2.records.trust import TrustMatrix

__all__ = ["EconCorrelator", "TrustMatrix"]

_CHUNK_CELLS: Final = 2**20
"""Cells of the count tensor held at once by the plain-array door: 16 MB."""
_STRATA_OF_TAG: Final = 50
_STRATA_OF_MATRIX: Final = 20_000
"""Strata whose own effect is told, so that a matrix of many tags stays a few megabytes."""
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
    shadows: int = 20
    """Times that all tags are shuffled within their strata and calibrated again, as a negative control: one in twenty
    may give a tag some trust. Fewer where the tags are many, 0 for none; no verdict depends on it."""
    drift_alarms: float = 0.05
    """Probability of any false alarm of drift over all tags and batches of one calibration."""

    def __post_init__(self) -> None:
        if not 0 < self.q < 1:
            raise UsageError(f"q is {self.q}, it must be between 0 and 1")
        if self.draws < 1 or self.least_arm < 1 or self.shadows < 0:
            raise UsageError("draws and least_arm must be at least 1, and shadows no less than 0")
        if not 0 < self.drift_alarms < 1:
            raise UsageError(f"drift_alarms is {self.drift_alarms}, it must be between 0 and 1")

    def correlate(
        self,
        counts: TrustCounts,
        *,
        specs: Mapping[str, TagSpec],
        look: int = 1,
        batches: Sequence[TrustCounts] = (),
        prior: Prior | None = None,
    ) -> TrustMatrix:
        """Verdict on every tag that ``specs`` declares: a pure function of counts, settings, look and prior.

        A tag is judged by the panel of its declared cost; where an attempt was counted given a failure
        (``records.econ.AFTER_FAILURE``), by that one. Recorded outcomes go before inferred ones.

        Args:
            counts: merged over all shards.
            specs: what the tags declare.
            look: 1 for the first calibration; one more for each that saw new data (``gate.next_look``).
            batches: counts of the same tags in order of arrival, by shard, session or run, to be watched for drift.
            prior: what an earlier set says; it opens no gate (``analytics.prior``).

        Raises:
            UsageError: if look is not positive.
        """
        tests = [Test(tag, spec.direction, leakage_of(spec)) for tag, spec in sorted(specs.items())]
        places = {name: {tag: t for t, tag in enumerate(panel.tags)} for name, panel in counts.panels.items()}
        chosen = {tag: self._panel_of(tag, spec, counts, places) for tag, spec in specs.items()}
        panels = [counts.panels[name] for name in {name for name in chosen.values() if name is not None}]
        how = self._how(
            look,
            len(tests),
            max((len(panel.strata) for panel in panels), default=0),
            np.concatenate([np.zeros(0, np.int64), *(panel.cells.sum(axis=(1, 2)).min(axis=1) for panel in panels)]),
        )
        parts = []
        for name in sorted({name for name in chosen.values() if name is not None}):
            members = [test for test in tests if chosen[test.tag] == name]
            part = judge(counts.panels[name], name, members, how)
            parts.append(beside(part, counts.panels[name + WHOLE]) if name + WHOLE in counts.panels else part)
        missing = [test for test in tests if chosen[test.tag] is None]
        parts.append(Evidence.missing(missing, [specs[test.tag].cost_field for test in missing], how.shadows))
        evidence = join(parts)
        matrix = self._decide(evidence, look, prior or Prior())
        return drifting(matrix, evidence.cases, batches, self.drift_alarms) if batches else matrix

    def calibrate(
        self,
        indicators: Mapping[str, Any],
        outcome: Any,
        strata: Any = None,
        *,
        groups: Any = None,
        declarations: Mapping[str, TagSpec] | None = None,
        look: int = 1,
        prior: Prior | None = None,
    ) -> TrustMatrix:
        """The plain-array door: a tag is right when it goes with a higher outcome.

        Args:
            indicators: by tag, bool of shape (n,).
            outcome: cost of each episode; NaN and infinite ones are left out, shape (n,).
            strata: what kind of episode it is, shape (n,); one kind if not given.
            groups: what else episodes share (a collection session), crossed with the strata, shape (n,).
            declarations: what the tags declare; without it a tag's leakage is ``unchecked``.
            look: as in :meth:`correlate`.
            prior: the same.

        Raises:
            UsageError: if lengths differ or an indicator is not one.

        >>> x = np.arange(400) % 2 == 0
        >>> EconCorrelator().calibrate({"RiskTag": x}, np.arange(400.0) + 80 * x, np.zeros(400, int))["RiskTag"].tier
        'provisional'
        """
        if not isinstance(indicators, Mapping):
            raise UsageError(f"indicators must be a mapping of tag to array, not {type(indicators).__name__}")
        y = _costs(outcome)
        if y.ndim != 1:
            raise UsageError(f"outcome has shape {y.shape}, expected (n,)")
        given = {tag: as_indicator(tag, indicators[tag], len(y)) for tag in sorted(indicators)}
        stratum = _crossed(np.zeros(len(y), np.int64) if strata is None else strata, groups, len(y))
        declared = declarations or {}
        tests = [
            Test(tag, declared[tag].direction, leakage_of(declared[tag])) if tag in declared else Test(tag, 1)
            for tag in given
        ]
        edges, bins = _binned(y, stratum.codes)
        grain, high = _grain_for(y)
        price = bool((y[np.isfinite(y)] >= 0).all())
        kinds = len(np.unique(stratum.codes))
        each = max(1, _CHUNK_CELLS // max(1, kinds * (len(edges) + 1)))
        tagged = np.array([(int((x == 1).sum()), int((x == 0).sum())) for x in given.values()], np.int64).reshape(-1, 2)
        how = self._how(look, len(tests), kinds, tagged.min(axis=1))
        parts = []
        for start in range(0, len(tests), each):
            some = tests[start : start + each]
            panel = tally({test.tag: given[test.tag] for test in some}, y, bins, stratum, edges, grain, high)
            parts.append(judge(replace(panel, price=price), "outcome", some, how))
        return self._decide(join(parts), look, prior or Prior())

    def _panel_of(
        self, tag: str, spec: TagSpec, counts: TrustCounts, places: Mapping[str, Mapping[str, int]]
    ) -> str | None:
        """Name of the panel that judges a tag, None where there is none."""
        having = {name: counts.panels[name] for name, place in places.items() if tag in place}
        given_failure = {name.removesuffix(INFERRED) for name, panel in having.items() if panel.given_failure}
        for field in (*sorted(given_failure), spec.cost_field):
            known, inferred = field in having, field + INFERRED in having
            if known and (not inferred or having[field].cells[places[field][tag]].sum() >= self.least_known):
                return field
            if inferred:
                return field + INFERRED
        return None

    def _how(self, look: int, tags: int, strata: int, arms: Int64s) -> How:
        """How so many tags are judged, the smaller arms of which hold so many episodes, shape (t,)."""
        if look < 1:
            raise UsageError(f"look is {look}, it must be at least 1")
        return How(
            small_arm=self.small_arm,
            least_arm=self.least_arm,
            draws=self.draws,
            level=spent_alpha(self.q, look),
            shadows=affordable(self.shadows, strata, arms, self.small_arm),
            keep_strata=min(_STRATA_OF_TAG, _STRATA_OF_MATRIX // max(1, tags)),
        )

    def _decide(self, evidence: Evidence, look: int, prior: Prior) -> TrustMatrix:
        """The gate over all tags, then the score of each."""
        level = spent_alpha(self.q, look)

        def judged_by(p: Float64s) -> tuple[Float64s, Standard]:
            q_value = adjusted(p)
            tested = int(np.isfinite(p).sum())
            passed = int((q_value <= level).sum())
            # a selected interval is widened so that the selection costs no coverage, however strict the selection was
            # (Benjamini and Yekutieli 2005)
            tail = self.q * max(passed, 1) / max(tested, 1)
            return q_value, Standard(
                level=level,
                z=normal_quantile(tail),
                tail=tail,
                look=look,
                money=self.money,
                suspect_above=self.suspect_above,
                self_referential_cap=self.self_referential_cap,
                prior=prior,
            )

        return verdicts(evidence, judged_by)


def _costs(outcome: Any) -> Float64s:
    """Costs as numbers, NaN where they are None, NA or masked."""
    try:
        given = np.asarray(unmasked(outcome))
        if given.dtype == np.object_:
            flat = [None if type(each).__name__ == "NAType" else each for each in given.ravel().tolist()]
            given = np.array(flat, np.float64).reshape(given.shape)
        if given.dtype.kind not in "biuf":
            raise TypeError(f"they are of type {given.dtype}")
        return given.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"outcomes must be numbers: {error}") from None


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


def _binned(y: Float64s, stratum: NDArray[np.int32]) -> tuple[Float64s, Int64s]:
    """Edges on the midrank of each cost within its stratum, no more than the largest stratum needs, and bins (n,)."""
    known = np.isfinite(y)
    largest = int(np.bincount(stratum[known], minlength=1).max(initial=0)) if len(y) else 0
    # ranks in a stratum of m episodes lie 1 / m apart or more, so that many bins hold its order exactly
    count = min(_BINS, 1 << max(1, (largest - 1).bit_length()))
    edges = np.arange(1, count) / count
    return edges, np.searchsorted(edges, _midrank(y, stratum), side="right")


def _midrank(y: Float64s, stratum: NDArray[np.int32]) -> Float64s:
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

    def run(new: Bools) -> tuple[Indices, Indices]:
        start = np.flatnonzero(new)
        size = np.diff(np.append(start, n))
        return np.repeat(start, size), np.repeat(size, size)

    (first, size), (tie, ties) = run(new_stratum), run(new_value)
    out[order] = (tie - first + 0.5 * ties) / size
    return out


def _grain_for(y: Float64s) -> tuple[float, float]:
    """Unit and ceiling for adding up costs of unknown scale."""
    top = float(np.max(np.abs(y[np.isfinite(y)]), initial=0.0)) or 1.0
    _, exponent = np.frexp(top)
    return float(np.ldexp(1.0, max(int(exponent) - 31, -1000))), top
