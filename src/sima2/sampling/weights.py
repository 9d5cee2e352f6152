"""From trust to probabilities: gains, cap, uniform mix and effective sample size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import UsageError
from sima2.records.plan import SamplePlan
from sima2.records.table import Text
from sima2.records.trust import TrustRow
from sima2.sampling.pool import Pool
from sima2.sampling.settings import PROVISIONAL, SUCCESS, TRUSTED, SamplingSettings, Strategy, objective, strategy

Array = NDArray[np.float64]

_NO_WEIGHT: Final = 1e-12
"""A sum of probabilities below it is rounding."""


def gain_of(row: TrustRow, settings: SamplingSettings) -> float:
    """``trust · impact`` of a tag: what it adds to the weight of an episode that has it in full.

    The impact is the effect δ as a share of a large one, not currency, times what the tier allows. 0 unless the tag is
    at least provisional.
    """
    if not row.trust_level > PROVISIONAL:
        return 0.0
    limit = settings.trusted_gain if row.trust_level > TRUSTED else settings.provisional_gain
    return row.trust_level * limit * min(1.0, max(0.0, row.effect) / settings.full_effect)


def plan_weights(pool: Pool, *, for_objective: str = "rl", settings: SamplingSettings | None = None) -> SamplePlan:
    """Probabilities of ``trust_weighted`` sampling; exactly uniform where no tag is trusted.

    Args:
        pool: the episodes with tags and trust.
        for_objective: ``bc`` (imitation) or ``rl``.
        settings: limits.

    Raises:
        UnknownNameError: if there is no such objective.
    """
    settings = settings or SamplingSettings()
    goal = objective(for_objective)
    signs = {tag: goal.directions.get(tag, goal.others) for tag in pool.levels}
    gains = _gains(pool, signs, settings)
    may_gain = pool.success != 0 if goal.only_successes_gain else np.ones(len(pool), np.bool_)
    weight = np.ones(len(pool))
    for tag, gain in gains.items():
        weight += np.where(may_gain, gain * pool.levels[tag], 0.0)
    p = limited(weight, settings)
    n = len(pool)
    rarity = 1.0 / (n * p) if n else np.zeros(0)
    return SamplePlan(
        episode_index=pool.episode_index,
        episode_id=pool.episode_id,
        p=p,
        is_weight=rarity / rarity.max(initial=0.0) if n else rarity,
        reasons=Text.of(_reasons(pool, gains, may_gain)),
    )


def strategy_weights(pool: Pool, name: str, settings: SamplingSettings | None = None) -> Array:
    """Probabilities of a strategy of the table, ``trust_weighted`` apart, shape (n,).

    Raises:
        UnknownNameError: if there is no such strategy.
    """
    settings = settings or SamplingSettings()
    row = strategy(name)
    if row.by_family:
        # cap and effective size hold, so that a family of few episodes is not learnt by heart
        return limited(_balanced(pool), replace(settings, uniform_mix=0.0))
    return limited(_curriculum(pool, row, settings), settings)


def _gains(pool: Pool, signs: Mapping[str, int], settings: SamplingSettings) -> dict[str, float]:
    """Gain of every tag that has earned one, signed."""
    found = {
        tag: signs[tag] * gain_of(pool.trust[tag], settings)
        for tag in pool.levels
        if tag in pool.trust and signs.get(tag, 0)
    }
    return {tag: gain for tag, gain in found.items() if gain}


def _curriculum(pool: Pool, row: Strategy, settings: SamplingSettings) -> Array:
    up, down = np.ones(len(pool)), np.ones(len(pool))
    for tag, gain in _gains(pool, row.directions, settings).items():
        if gain > 0:
            up += gain * pool.levels[tag]
        else:
            down += -gain * pool.levels[tag]
    if SUCCESS in row.directions:
        up += settings.trusted_gain * np.where(pool.success == 1, 1.0, 0.0)
    return np.asarray(up / down)


def _balanced(pool: Pool) -> Array:
    number = np.bincount(pool.family.codes, minlength=len(pool.family.names))
    return np.asarray(1.0 / ((number > 0).sum() * number[pool.family.codes])) if len(pool) else np.zeros(0)


def limited(weight: Array, settings: SamplingSettings) -> Array:
    """Probabilities proportional to the weights but for cap, uniform mix and effective sample size, shape (n,).

    Raises:
        UsageError: if a weight is negative or not finite, or all are zero.
    """
    n = len(weight)
    if not n:
        return np.zeros(0)
    if not (np.isfinite(weight).all() and weight.min() >= 0 and weight.max() > 0):
        raise UsageError("weights must be finite, not negative, and not all zero")
    if weight.min() == weight.max():
        return np.full(n, 1.0 / n)
    p = _capped(weight / weight.sum(), settings.cap / n)
    # Σp² of the mixture is (1 − m)² (Σp² − 1/n) + 1/n: the mix that leaves the effective sample size has a closed form
    excess = max(float((p**2).sum()) - 1.0 / n, 0.0)
    allowed = (1.0 / settings.least_effective - 1.0) / n if settings.least_effective > 0 else np.inf
    # a hair more than needed, so that rounding leaves it fulfilled
    needed = 1.0 - np.sqrt(allowed / excess) * (1.0 - 1e-9) if excess > allowed else 0.0
    mix = max(settings.uniform_mix, needed)
    p = (1.0 - mix) * p + mix / n
    return np.asarray(p / p.sum())


def _capped(p: Array, cap: float) -> Array:
    """Probabilities cut at ``cap``; what is cut off goes to the others in proportion."""
    full = np.zeros(len(p), np.bool_)
    while True:
        over = (p > cap) & ~full
        if not over.any():
            return p
        full |= over
        rest = float(p[~full].sum())
        share = max(0.0, 1.0 - cap * int(full.sum()))
        # where the others have no weight to speak of, they share alike
        others = p * (share / rest) if rest > _NO_WEIGHT else np.full(len(p), share / max(int((~full).sum()), 1))
        p = np.where(full, cap, others)


def _reasons(pool: Pool, gains: Mapping[str, float], may_gain: NDArray[np.bool_]) -> list[str]:
    """In words, what raised or lowered each weight."""
    words = [""] * len(pool)
    for tag, gain in gains.items():
        row = pool.trust[tag]
        for i in np.flatnonzero((pool.levels[tag] > 0) & may_gain).tolist():
            part = f"{tag} {gain * pool.levels[tag][i]:+.2f} (trust {row.trust_level:.2f})"
            words[i] = f"{words[i]}; {part}" if words[i] else part
    return words
