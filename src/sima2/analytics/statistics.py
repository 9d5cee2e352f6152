"""Descriptive statistics of tags and costs, raw and stratified, each with n and a bootstrap interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.analytics.counts import INFERRED, Panel, TrustCounts
from sima2.records.arrays import Float64s
from sima2.records.tags import TagSpec, TagStatistic

DRAWS: Final = 400
"""Bootstrap samples: the 2.5 % quantile then rests on ten of them."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """A number with its interval, over all episodes and within strata."""

    name: str
    meaning: str
    raw: float
    """Over all episodes, whatever mix of tasks; NaN where an arm is empty."""
    raw_interval: tuple[float, float]
    """95 % bootstrap interval, resampled within stratum and arm; NaN where no two episodes of an arm differ."""
    stratified: float
    """Within strata that have both arms, combined with weights n₁n₀/(n₁+n₀)."""
    stratified_interval: tuple[float, float]
    n_tagged: int
    n: int
    target: str
    bias: str = ""
    """What is wrong with reading it plainly."""


def describe(counts: TrustCounts, specs: Mapping[str, TagSpec]) -> Mapping[str, Statistic]:
    """The statistics that tags declare and the counts can tell, by name. The bootstrap is seeded by the counts'
    digests.

    Args:
        counts: of all episodes.
        specs: what the tags declare.
    """
    out = {}
    for tag, wanted in ((tag, each) for tag, spec in specs.items() for each in spec.statistics):
        for name in (wanted.cost, wanted.cost + INFERRED):
            panel = counts.panels.get(name)
            if panel is not None and tag in panel.tags and panel.cells[panel.tags.index(tag)].any():
                out[wanted.name] = _statistic(wanted, panel, tag, inferred=name.endswith(INFERRED))
                break
    return out


def _statistic(wanted: TagStatistic, panel: Panel, tag: str, *, inferred: bool) -> Statistic:
    t = panel.tags.index(tag)
    n = panel.cells[t].sum(axis=1).astype(np.float64)
    total = panel.mass[t].sum(axis=1) * panel.grain
    resampled = _resampled(panel, t)
    form = _FORMS[wanted.form]
    raw, stratified = (float(form(arms(n[None], total[None]))[0]) for arms in (_raw, _stratified))
    raw_interval, stratified_interval = (_interval(form(arms(*resampled))) for arms in (_raw, _stratified))
    words = [wanted.bias] if wanted.bias else []
    if inferred:
        words.append("the outcome was inferred")
    if any(
        value == value and low != low for value, (low, _) in ((raw, raw_interval), (stratified, stratified_interval))
    ):
        words.append(
            f"no interval: the costs of {int(n[:, 1].sum())} tagged episodes do not differ, so their spread is unknown"
        )
    return Statistic(
        name=wanted.name,
        meaning=wanted.meaning,
        raw=raw,
        raw_interval=raw_interval,
        stratified=stratified,
        stratified_interval=stratified_interval,
        n_tagged=int(n[:, 1].sum()),
        n=int(n.sum()),
        target=wanted.target,
        bias="; ".join(words),
    )


def _resampled(panel: Panel, t: int) -> tuple[Float64s, Float64s]:
    """Episodes and total costs of bootstrap samples of each arm, by stratum, each of shape (draws, s, 2).

    An arm is drawn from as a whole: drawn stratum by stratum, those with a single episode would never vary.
    """
    rng = np.random.default_rng(int(panel.digest(panel.tags[t]), 16))
    cells, mass = panel.cells[t], panel.mass[t]
    number = np.zeros((DRAWS, len(panel.strata), 2))
    total = np.zeros_like(number)
    for arm in range(2):
        s, b = np.nonzero(cells[..., arm])
        if not len(s):
            continue
        here = cells[s, b, arm]
        value = mass[s, b, arm] * panel.grain / here
        drawn = rng.multinomial(here.sum(), here / here.sum(), size=DRAWS).astype(np.float64)
        order = np.flatnonzero(np.append(True, np.diff(s) != 0))
        number[:, s[order], arm] = np.add.reduceat(drawn, order, axis=1)
        total[:, s[order], arm] = np.add.reduceat(drawn * value, order, axis=1)
    return number, total


def _raw(n: Float64s, total: Float64s) -> Float64s:
    """Mean of each arm over all episodes, shape (draws, 2)."""
    number = n.sum(axis=1)
    mean: Float64s = np.divide(total.sum(axis=1), number, out=np.full(number.shape, np.nan), where=number > 0)
    return mean


def _stratified(n: Float64s, total: Float64s) -> Float64s:
    """Mean of each arm over strata that have both, shape (draws, 2)."""
    weight = n[..., 0] * n[..., 1] / np.maximum(n.sum(axis=2), 1.0)
    sum_ = weight.sum(axis=1, keepdims=True)
    share = np.divide(weight, sum_, out=np.full(weight.shape, np.nan), where=sum_ > 0)
    return np.asarray(np.einsum("ds,dsa->da", share, total / np.maximum(n, 1.0)))


def _ratio(mean: Float64s) -> Float64s:
    ratio: Float64s = np.divide(mean[:, 1], mean[:, 0], out=np.full(len(mean), np.nan), where=mean[:, 0] > 0)
    return ratio


def _difference(mean: Float64s) -> Float64s:
    return np.asarray(mean[:, 1] - mean[:, 0])


def _tagged(mean: Float64s) -> Float64s:
    return mean[:, 1]


_FORMS: Final[Mapping[str, Callable[[Float64s], Float64s]]] = {
    "ratio": _ratio,
    "difference": _difference,
    "mean": _tagged,
}


def _interval(values: Float64s) -> tuple[float, float]:
    """95 % interval; NaN where all resamples are alike, for episodes that do not differ tell nothing of the spread."""
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    # sums of equal costs in another order may end in other last bits
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return float("nan"), float("nan")
    return float(low), float(high)
