"""How much more a tagged episode costs: stratified means and the lower bound of their ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.analytics.counts import Panel
from sima2.records.arrays import Float64s, Int64s

WINSOR: Final = 0.95
"""Costs are cut at this quantile of those above zero: what lies beyond is luck of the draw, not of the tag."""
LEAST_EVENTS: Final = 10
"""Episodes with a cost above zero that each arm needs before a ratio of means is near normal on the log scale."""


@dataclass(frozen=True, slots=True)
class Means:
    """Mean costs of one tag's arms over the strata that have both."""

    tagged: float
    untagged: float
    """In the cost's unit, combined with weights n₁n₀/(n₁+n₀); NaN without a stratum that has both arms."""

    @property
    def difference(self) -> float:
        """Tagged minus untagged."""
        return self.tagged - self.untagged


def stratified_means(panel: Panel, t: int, arms: Int64s) -> Means:
    """Exact means of the costs as counted, for arms of so many episodes, shape (s, 2)."""
    n = arms.astype(np.float64)
    total = panel.mass[t].sum(axis=1) * panel.grain
    weight = _weights(n)
    if not weight.sum() > 0:
        return Means(np.nan, np.nan)
    mean = np.divide(total, n, out=np.zeros_like(n), where=n > 0)
    share = weight / weight.sum()
    return Means(float(share @ mean[:, 1]), float(share @ mean[:, 0]))


@dataclass(frozen=True, slots=True)
class Premium:
    """Ratio of winsorised mean costs, the declared dearer arm over the other, on the log scale."""

    log_ratio: float
    se: float
    """Standard error of ``log_ratio``, infinite where too little is known."""

    def bound(self, z: float) -> float:
        """Lower bound of the ratio, z standard errors below it, at least 1."""
        return float(np.exp(max(0.0, self.log_ratio - z * self.se)))


NO_PREMIUM: Final = Premium(0.0, float("inf"))


def premium(panel: Panel, t: int, direction: int) -> Premium:
    """Stratified premium of a tag on a non-negative price.

    Strata are combined before the ratio is taken, so one without costs does no harm; the error is the delta method's.

    Args:
        panel: of a non-negative price.
        t: index of the tag.
        direction: +1 where the tagged are declared dearer.
    """
    cells = panel.cells[t].astype(np.float64)
    value = winsorised_values(panel, t)
    # a ratio needs no unit, and squares of very large or small prices do not fit in a double
    value = value / (value.max(initial=0.0) or 1.0)
    n = cells.sum(axis=1)
    weight = _weights(n)
    events = cells[value > 0].sum(axis=0)
    if not weight.sum() > 0 or events.min() < LEAST_EVENTS:
        return NO_PREMIUM
    size = np.maximum(n, 1.0)
    mean = np.einsum("sba,sb->sa", cells, value) / size
    spread = np.maximum(np.einsum("sba,sb->sa", cells, value**2) / size - mean**2, 0.0)
    # one episode in an arm of a stratum has no spread of its own: that of the stratum stands in
    pooled = (spread * n).sum(axis=1, keepdims=True) / np.maximum(n.sum(axis=1, keepdims=True), 1.0)
    variance = np.where(n > 1, spread / np.maximum(n - 1.0, 1.0), pooled)
    top = weight @ mean
    if not top.min() > 0:
        return NO_PREMIUM
    se = np.sqrt(((weight**2) @ variance / top**2).sum())
    return Premium(direction * float(np.log(top[1] / top[0])), float(se))


def winsorised_values(panel: Panel, t: int) -> Float64s:
    """Mean cost of the episodes of each stratum and bin, cut at the winsorising quantile of all, shape (s, b)."""
    number = panel.cells[t].sum(axis=2)
    mass = panel.mass[t].sum(axis=2) * panel.grain
    value: Float64s = np.divide(mass, number, out=np.zeros(number.shape), where=number > 0)
    above = np.flatnonzero(value.ravel() > 0)
    if not len(above):
        return value
    order = above[np.argsort(value.ravel()[above], kind="stable")]
    upto = np.cumsum(number.ravel()[order])
    cut = int(np.searchsorted(upto, WINSOR * upto[-1]))
    return np.asarray(np.minimum(value, value.ravel()[order[min(cut, len(order) - 1)]]))


def _weights(n: Float64s) -> Float64s:
    """n₁n₀/(n₁+n₀) of strata with both arms, shape (s,)."""
    return np.asarray(n[:, 0] * n[:, 1] / np.maximum(n.sum(axis=1), 1.0))
