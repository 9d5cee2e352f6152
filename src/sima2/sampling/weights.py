"""From trust to probabilities: gains, cap, uniform mix and effective sample size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.errors import UsageError
from sima2.records.plan import SamplePlan
from sima2.records.table import Text
from sima2.records.trust import TrustRow
from sima2.sampling.pool import Pool
from sima2.sampling.settings import PROVISIONAL, SUCCESS, TRUSTED, Objective, SamplingSettings, Strategy, objective
from sima2.sampling.settings import strategy as strategy_row

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


class Pull(NamedTuple):
    """What raises or lowers the weight of episodes."""

    name: str
    gain: float
    """Added to the weight 1 at level 1; where negative, to what the weight is divided by."""
    level: Array
    """0 to 1, shape (n,)."""
    note: str


def plan_weights(
    pool: Pool,
    *,
    for_objective: str = "rl",
    strategy: str = "trust_weighted",
    settings: SamplingSettings | None = None,
) -> SamplePlan:
    """Probabilities of sampling; ``trust_weighted`` is exactly uniform where no tag is trusted.

    The order of the pool changes no episode's probability.

    Args:
        pool: the episodes with tags and trust.
        for_objective: ``bc`` (imitation) or ``rl``.
        strategy: a row of ``settings.STRATEGIES``.
        settings: limits.

    Raises:
        UnknownNameError: if there is no such objective or strategy.
    """
    settings = settings or SamplingSettings()
    row, goal = strategy_row(strategy), objective(for_objective)
    p = _probabilities(pool, row, goal, settings)
    return SamplePlan(
        episode_index=pool.episode_index,
        episode_id=pool.episode_id,
        p=p,
        is_weight=importance(p),
        reasons=_reasons(_pulls(pool, row, goal, settings), len(pool)),
    )


def strategy_weights(
    pool: Pool, name: str, settings: SamplingSettings | None = None, for_objective: str = "rl"
) -> Array:
    """Probabilities of a strategy of the table, shape (n,).

    Raises:
        UnknownNameError: if there is no such strategy or objective.
    """
    return _probabilities(pool, strategy_row(name), objective(for_objective), settings or SamplingSettings())


def importance(p: Array) -> Array:
    """Weights 1 / (n p) over the largest of them, for unbiased losses, shape (n,); 0 where nothing is drawn.

    >>> importance(np.array([0.5, 0.25, 0.25, 0.0])).tolist()
    [0.5, 1.0, 1.0, 0.0]
    """
    drawn = p > 0
    least = float(p[drawn].min(initial=1.0))
    return np.divide(least, p, out=np.zeros(len(p)), where=drawn)


def _probabilities(pool: Pool, row: Strategy, goal: Objective, settings: SamplingSettings) -> Array:
    may_gain = pool.success != 0 if goal.only_successes_gain else None
    if row.by_family:
        # cap and effective size hold, so that a family of few episodes is not learnt by heart
        return limited(_balanced(pool), replace(settings, uniform_mix=0.0), may_gain)
    up, down = np.ones(len(pool)), np.ones(len(pool))
    for pull in _pulls(pool, row, goal, settings):
        if pull.gain > 0:
            up += pull.gain * pull.level
        else:
            down -= pull.gain * pull.level
    return limited(up / down, settings, may_gain)


def _pulls(pool: Pool, row: Strategy, goal: Objective, settings: SamplingSettings) -> list[Pull]:
    """All that pulls at a weight under a strategy and an objective, tags by name."""
    may_gain = pool.success != 0 if goal.only_successes_gain else np.ones(len(pool), np.bool_)
    pulls = []
    for tag, level in pool.levels.items():
        wanted = goal.direction(tag)
        sign = wanted if row.by_objective else row.directions.get(tag, 0)
        if sign > 0 >= wanted:
            continue
        for member, trust in pool.tested:
            gain = sign * gain_of(trust[tag], settings) if sign and tag in trust else 0.0
            if gain:
                given = np.where(member & may_gain if gain > 0 else member, level, 0.0)
                pulls.append(Pull(tag, gain, given, f" (trust {trust[tag].trust_level:.2f})"))
    if SUCCESS in row.directions:
        pulls.append(Pull(SUCCESS, settings.trusted_gain, np.where(pool.success == 1, 1.0, 0.0), ""))
    return pulls


def _balanced(pool: Pool) -> Array:
    number = np.bincount(pool.family.codes, minlength=len(pool.family.names))
    return np.asarray(1.0 / ((number > 0).sum() * number[pool.family.codes])) if len(pool) else np.zeros(0)


def limited(weight: Array, settings: SamplingSettings, may_gain: NDArray[np.bool_] | None = None) -> Array:
    """Probabilities proportional to the weights but for cap, uniform mix and effective sample size, shape (n,).

    Args:
        weight: shape (n,).
        settings: the limits.
        may_gain: where false, an episode gets no more than its even share, shape (n,).

    Raises:
        UsageError: if a weight is negative or not finite, or all are zero.
    """
    n = len(weight)
    if not n:
        return np.zeros(0)
    if not (np.isfinite(weight).all() and weight.min() >= 0 and weight.max() > 0):
        raise UsageError("weights must be finite, not negative, and not all zero")
    if weight.min() == weight.max() or (may_gain is not None and not may_gain.any()):
        return np.full(n, 1.0 / n)
    cap = np.full(n, settings.cap / n) if may_gain is None else np.where(may_gain, settings.cap, 1.0) / n
    p = _capped(weight / _total(weight), cap)
    # Σp² of the mixture is (1 − m)² (Σp² − 1/n) + 1/n: the mix that leaves the effective sample size has a closed form
    excess = max(_total(p**2) - 1.0 / n, 0.0)
    allowed = (1.0 / settings.least_effective - 1.0) / n if settings.least_effective > 0 else np.inf
    # a hair more than needed, so that rounding leaves it fulfilled
    needed = 1.0 - np.sqrt(allowed / excess) * (1.0 - 1e-9) if excess > allowed else 0.0
    mix = max(settings.uniform_mix, needed)
    p = (1.0 - mix) * p + mix / n
    return np.asarray(p / _total(p))


def _total(x: Array) -> float:
    """The sum, rounded once: the same in any order."""
    return math.fsum(x.tolist())


def _capped(p: Array, cap: Array) -> Array:
    """Probabilities cut at ``cap``; what is cut off goes to the others in proportion. The caps sum to 1 at least."""
    full = np.zeros(len(p), np.bool_)
    while True:
        over = (p > cap) & ~full
        if not over.any():
            return p
        full |= over
        rest = _total(p[~full])
        share = max(0.0, 1.0 - _total(cap[full]))
        # where the others have no weight to speak of, they share alike
        others = p * (share / rest) if rest > _NO_WEIGHT else np.full(len(p), share / max(int((~full).sum()), 1))
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
