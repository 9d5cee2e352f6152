"""From trust to probabilities: gains, cap, uniform mix and effective sample size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from sima2.errors import UsageError
from sima2.records.arrays import Bools, Float64s
from sima2.records.plan import SamplePlan
from sima2.records.table import Text
from sima2.records.trust import TrustRow
from sima2.sampling.pool import Pool
from sima2.sampling.weight_settings import (
    PROVISIONAL,
    SUCCESS,
    TRUSTED,
    Objective,
    SamplingSettings,
    Strategy,
    objective,
)
from sima2.sampling.weight_settings import strategy as strategy_row

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


class Pull(NamedTuple):
    """What raises or lowers the weight of episodes."""

    name: str
    gain: float
    """Added to the weight 1 at level 1; where negative, to what the weight is divided by."""
    level: Float64s
    """0 to 1, shape (n,)."""
    note: str


def plan_weights(
    pool: Pool,
    *,
    for_objective: str = "rl",
    strategy: str = "trust_weighted",
    base: Float64s | None = None,
    settings: SamplingSettings | None = None,
) -> SamplePlan:
    """Probabilities of sampling; ``trust_weighted`` is exactly that of the base weights where no tag is trusted.

    The order of the pool changes no episode's probability.

    Args:
        pool: the episodes with tags and trust.
        for_objective: ``bc`` (imitation) or ``rl``.
        strategy: a row of ``settings.STRATEGIES``.
        base: what facts leave of each episode, at least 0, shape (n,); all alike by default. Tags act on top of it, and
            the limits are relative to it; what has none is never drawn.
        settings: limits.

    Raises:
        UnknownNameError: if there is no such objective or strategy.
        UsageError: if no base weight is above 0.
    """
    settings = settings or SamplingSettings()
    row, goal = strategy_row(strategy), objective(for_objective)
    p = _probabilities(pool, row, goal, base, settings)
    return SamplePlan(
        episode_index=pool.episode_index,
        episode_id=pool.episode_id,
        p=p,
        is_weight=importance(p),
        reasons=_reasons(_pulls(pool, row, goal, settings), len(pool)),
    )


def strategy_weights(
    pool: Pool, name: str, settings: SamplingSettings | None = None, for_objective: str = "rl"
) -> Float64s:
    """Probabilities of a strategy of the table, shape (n,).

    Raises:
        UnknownNameError: if there is no such strategy or objective.
    """
    return _probabilities(pool, strategy_row(name), objective(for_objective), None, settings or SamplingSettings())


def importance(p: Float64s) -> Float64s:
    """Weights 1 / (n p) over the largest of them, for unbiased losses, shape (n,); 0 where nothing is drawn.

    >>> importance(np.array([0.5, 0.25, 0.25, 0.0])).tolist()
    [0.5, 1.0, 1.0, 0.0]
    """
    drawn = p > 0
    least = float(p[drawn].min(initial=1.0))
    return np.divide(least, p, out=np.zeros(len(p)), where=drawn)


def _probabilities(
    pool: Pool, row: Strategy, goal: Objective, base: Float64s | None, settings: SamplingSettings
) -> Float64s:
    may_gain = pool.success != 0 if goal.only_successes_gain else None
    if row.by_family:
        # cap and effective size hold, so that a family of few episodes is not learnt by heart
        return limited(_balanced(pool, base), replace(settings, uniform_mix=0.0), may_gain, base)
    up, down = np.ones(len(pool)), np.ones(len(pool))
    for pull in _pulls(pool, row, goal, settings):
        if pull.gain > 0:
            up += pull.gain * pull.level
        else:
            down -= pull.gain * pull.level
    return limited(up / down, settings, may_gain, base)


def _pulls(pool: Pool, row: Strategy, goal: Objective, settings: SamplingSettings) -> list[Pull]:
    """All that pulls at a weight under a strategy and an objective, tags by name."""
    may_gain = pool.success != 0 if goal.only_successes_gain else np.ones(len(pool), np.bool_)
    pulls = []
    for tag, level in pool.levels.items():
        declared = pool.pulls.get(tag, {})
        wanted = declared.get(goal.name, goal.others)
        sign = wanted if row.by_objective else declared.get(row.name, 0)
        if sign > 0 >= wanted:
            continue
        for member, trust in pool.tested:
            gain = sign * gain_of(trust[tag], settings) if sign and tag in trust else 0.0
            if gain:
                given = np.where(member & may_gain if gain > 0 else member, level, 0.0)
                pulls.append(Pull(tag, gain, given, f" (trust {trust[tag].trust_level:.2f})"))
    if row.success > 0:
        pulls.append(Pull(SUCCESS, settings.trusted_gain, np.where(pool.success == 1, 1.0, 0.0), ""))
    return pulls


def _balanced(pool: Pool, base: Float64s | None) -> Float64s:
    """Times its base weight that each episode gets, so that families share alike, shape (n,)."""
    number = np.bincount(pool.family.codes, base, minlength=len(pool.family.names))
    mine = number[pool.family.codes]
    return np.asarray(np.divide(1.0, (number > 0).sum() * mine, out=np.zeros(len(pool)), where=mine > 0))


def limited(
    weight: Float64s,
    settings: SamplingSettings,
    may_gain: Bools | None = None,
    base: Float64s | None = None,
) -> Float64s:
    """Probabilities proportional to base × weight but for cap, base mix and effective sample size, shape (n,).

    Args:
        weight: shape (n,).
        settings: the limits, relative to the base.
        may_gain: where false, an episode gets no more than its share of the base, shape (n,).
        base: shape (n,); all alike by default. What has none gets nothing, and counts for nothing.

    Raises:
        UsageError: if a weight is negative or not finite, or all are zero.
    """
    n = len(weight)
    if not n:
        return np.zeros(0)
    if base is not None and base.min() != base.max():
        held = base > 0
        _refuse_weights(base)
        share: Float64s = base[held] / _total(base[held])
        out: Float64s = np.zeros(n)
        out[held] = _limited(weight[held], settings, None if may_gain is None else may_gain[held], share)
        return out
    return _limited(weight, settings, may_gain, np.full(n, 1.0 / n))


def _refuse_weights(weight: Float64s) -> None:
    if not (np.isfinite(weight).all() and weight.min() >= 0 and weight.max() > 0):
        raise UsageError("weights must be finite, not negative, and not all zero")


def _limited(weight: Float64s, settings: SamplingSettings, may_gain: Bools | None, share: Float64s) -> Float64s:
    """The same where all have a share of the base above 0; shares sum to 1."""
    _refuse_weights(weight)
    if weight.min() == weight.max() or (may_gain is not None and not may_gain.any()):
        return share
    cap = share * (settings.cap if may_gain is None else np.where(may_gain, settings.cap, 1.0))
    pulled = share * weight
    p = _capped(pulled / _total(pulled), cap, share)
    # Σp²/s of the mixture is (1 − m)² (Σp²/s − 1) + 1: the mix that leaves the effective sample size has a closed form
    excess = max(_total(p**2 / share) - 1.0, 0.0)
    allowed = 1.0 / settings.least_effective - 1.0 if settings.least_effective > 0 else np.inf
    # a hair more than needed, so that rounding leaves it fulfilled
    needed = 1.0 - np.sqrt(allowed / excess) * (1.0 - 1e-9) if excess > allowed else 0.0
    mix = max(settings.uniform_mix, needed)
    p = (1.0 - mix) * p + mix * share
    return np.asarray(p / _total(p))


def _total(x: Float64s) -> float:
    """The sum, rounded once: the same in any order."""
    return math.fsum(x.tolist())


def _capped(p: Float64s, cap: Float64s, share: Float64s) -> Float64s:
    """Probabilities cut at ``cap``; what is cut off goes to the others in proportion. The caps sum to 1 at least."""
    full = np.zeros(len(p), np.bool_)
    while True:
        over = (p > cap) & ~full
        if not over.any():
            return p
        full |= over
        rest = _total(p[~full])
        left = max(0.0, 1.0 - _total(cap[full]))
        # where the others have no weight to speak of, they share by their base
        others: Float64s = (
            p * (left / rest) if rest > _NO_WEIGHT else share * (left / max(_total(share[~full]), _NO_WEIGHT))
        )
        p = np.where(full, cap, others)


def _reasons(pulls: Sequence[Pull], n: int) -> Text:
    """In words, what raised or lowered each weight; alike to a hundredth, alike in words."""
    code, words = np.zeros(n, np.int64), [""]
    for pull in pulls:
        hundredths, own = np.unique(np.rint(100 * pull.gain * pull.level).astype(np.int64), return_inverse=True)
        parts = [f"{pull.name} {each / 100:+.2f}{pull.note}" if each else "" for each in hundredths.tolist()]
        both, code = np.unique(code * len(parts) + own, return_inverse=True)
        pairs = [divmod(each, len(parts)) for each in both.tolist()]
        words = ["; ".join(filter(None, (words[i], parts[k]))) for i, k in pairs]
    return Text(code, words)
