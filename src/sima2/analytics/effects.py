"""δ = P(Y₁ > Y₀) − P(Y₁ < Y₀) within strata, from counts, with three standard errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.records.arrays import Float64s, Int64s

_CHUNK_CELLS: Final = 2**20
"""Cells of the count tensor worked on at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """δ of t tags, combined over s strata with van Elteren's weights n₁n₀/(n₁+n₀+1)."""

    delta: Float64s
    """−1 to 1, NaN where no stratum has both arms, shape (t,)."""
    se_null: Float64s
    """Of the permutation distribution given the ties, shape (t,)."""
    se_placement: Float64s
    """DeLong's, from the spread of placements, shape (t,)."""
    se_model: Float64s
    """Twice Hanley and McNeil's, for δ = 2 AUROC − 1, shape (t,)."""
    se: Float64s
    """The largest of the three, shape (t,)."""
    tagged: Int64s
    """shape (t,)."""
    untagged: Int64s
    """shape (t,)."""
    informative: Int64s
    """Strata with both arms, shape (t,)."""
    smaller_arm: Int64s
    """Sum over strata of the smaller arm: how many episodes the comparison hangs on, shape (t,)."""
    arms: Int64s
    """Episodes untagged and tagged of each stratum, shape (t, s, 2)."""
    by_stratum: Float64s
    """δ of each stratum, NaN where an arm is empty, shape (t, s)."""
    se_by_stratum: Float64s
    """Placement standard error of each, NaN where an arm has fewer than 2, shape (t, s)."""
    largest_by_stratum: Float64s
    """The largest of the three errors of each, NaN where an arm is empty, shape (t, s); the model's is taken at the
    combined δ, for that of a stratum of few episodes is often ±1."""


def stratified_effects(cells: Int64s) -> Effects:
    """Effects from counts of shape (t, s, b, 2).

    Source: van Elteren 1960 (weights); Lehmann, *Nonparametrics* (variance with ties); DeLong, DeLong and
    Clarke-Pearson 1988 (placements); Hanley and McNeil 1982.
    """
    n0, n1, delta_s, null_s, placed_s = _of_strata(cells)
    both = (n0 > 0) & (n1 > 0)
    weight = np.where(both, n0 * n1 / (n0 + n1 + 1.0), 0.0)
    total = weight.sum(axis=1)
    known = total > 0
    share = np.divide(weight, total[:, None], out=np.zeros_like(weight), where=known[:, None])
    lone = both & ((n0 < 2) | (n1 < 2))
    delta = np.where(known, (share * delta_s).sum(axis=1), np.nan)
    model_s = 4.0 * hanley_mcneil((np.nan_to_num(delta)[:, None] + 1.0) / 2.0, n1, n0)

    def combined(variance: Float64s) -> Float64s:
        return np.where(known, np.sqrt((share**2 * np.where(both, variance, 0.0)).sum(axis=1)), np.nan)

    # with one episode in an arm there is no spread to measure: the null's stands in
    null, placed, model = combined(null_s), combined(np.where(lone, null_s, placed_s)), combined(model_s)
    return Effects(
        delta=delta,
        se_null=null,
        se_placement=placed,
        se_model=model,
        se=np.fmax(np.fmax(null, placed), model),
        tagged=n1.sum(axis=1).astype(np.int64),
        untagged=n0.sum(axis=1).astype(np.int64),
        informative=both.sum(axis=1),
        smaller_arm=np.minimum(n0, n1).sum(axis=1).astype(np.int64),
        arms=np.stack([n0, n1], axis=2).astype(np.int64),
        by_stratum=np.where(both, delta_s, np.nan),
        se_by_stratum=np.where(both & ~lone, np.sqrt(placed_s), np.nan),
        largest_by_stratum=np.where(both, np.sqrt(np.fmax(np.fmax(null_s, placed_s), model_s)), np.nan),
    )


def _of_strata(cells: Int64s) -> tuple[Float64s, Float64s, Float64s, Float64s, Float64s]:
    """Untagged, tagged, δ, its variance under the null and by placements, each of shape (t, s); some at a time."""
    t, s, b, _ = cells.shape
    out = tuple(np.zeros((t, s)) for _ in range(5))
    each = max(1, _CHUNK_CELLS // max(1, t * b))
    for start in range(0, s, each):
        part = np.s_[:, start : start + each]
        c0, c1 = cells[(*part, slice(None), 0)].astype(np.float64), cells[(*part, slice(None), 1)].astype(np.float64)
        n0, n1 = c0.sum(axis=2), c1.sum(axis=2)
        pairs = np.where((n0 > 0) & (n1 > 0), n0 * n1, 1.0)
        # untagged below minus above each bin, and tagged above minus below
        over0 = 2.0 * np.cumsum(c0, axis=2) - c0 - n0[..., None]
        over1 = n1[..., None] - 2.0 * np.cumsum(c1, axis=2) + c1
        delta = np.einsum("tsb,tsb->ts", c1, over0) / pairs
        placed = _placement_variance(c1, over0, n0, n1, delta) + _placement_variance(c0, over1, n1, n0, delta)
        for whole, found in zip(out, (n0, n1, delta, _null_variance(c0 + c1, n0, n1), placed), strict=True):
            whole[part] = found
    n0, n1, delta, null, placed = out
    return n0, n1, delta, null, placed


def _null_variance(m: Float64s, n0: Float64s, n1: Float64s) -> Float64s:
    """Variance of a stratum's δ under permutation of the tag, shape (t, s)."""
    n = n0 + n1
    ties = np.einsum("tsb,tsb,tsb->ts", m, m, m) - n
    spread = n + 1.0 - np.divide(ties, n * (n - 1.0), out=np.zeros_like(n), where=n > 1)
    out: Float64s = np.divide(spread, 3.0 * n0 * n1, out=np.zeros_like(n), where=(n0 > 0) & (n1 > 0))
    return out


def _placement_variance(own: Float64s, over: Float64s, other: Float64s, size: Float64s, delta: Float64s) -> Float64s:
    """Variance of the mean placement of one arm: ``over / other`` with weights ``own``, shape (t, s)."""
    square = np.einsum("tsb,tsb,tsb->ts", own, over, over)
    ok = (size > 1) & (other > 0)
    mean_square = np.divide(square, size * other**2, out=np.zeros_like(size), where=ok)
    out: Float64s = np.divide(np.maximum(mean_square - delta**2, 0.0), size - 1.0, out=np.zeros_like(size), where=ok)
    return out


def hanley_mcneil(area: Float64s, n1: Float64s, n0: Float64s) -> Float64s:
    """Variance of an area under the ROC curve of that size; infinite where an arm is empty."""
    q1, q2 = area / (2.0 - area), 2.0 * area**2 / (1.0 + area)
    spread = area * (1.0 - area) + (n1 - 1.0) * (q1 - area**2) + (n0 - 1.0) * (q2 - area**2)
    variance = np.divide(spread, n1 * n0, out=np.full(np.shape(n1 * spread), np.inf), where=(n1 > 0) & (n0 > 0))
    return np.asarray(np.maximum(variance, 0.0))
