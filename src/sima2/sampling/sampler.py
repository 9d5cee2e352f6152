"""DataPackRLSampler: draws episodes by a plan, systematically, the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.errors import UsageError
from sima2.records.arrays import Float64s, Int64s
from sima2.records.plan import SamplePlan
from sima2.sampling.pool import Pool
from sima2.sampling.weight_settings import SamplingSettings, strategy
from sima2.sampling.weights import plan_weights, strategy_weights

MOST_DRAWS: Final = 10_000_000
"""Draws of an epoch: so many episodes are more than any data set holds, and take a gigabyte to draw and list."""

__all__ = ["DataPackRLSampler", "draw", "plan_weights", "systematic"]


@dataclass(frozen=True, slots=True)
class DataPackRLSampler:
    """Draws from a plan; strategies other than ``uniform`` and ``trust_weighted`` need the pool it was made of."""

    plan: SamplePlan
    seed: int = 0
    pool: Pool | None = None
    settings: SamplingSettings = SamplingSettings()
    objective: str = "rl"
    """What strategies other than that of the plan are narrowed by."""

    def __post_init__(self) -> None:
        p = self.plan.p
        if len(p) and not (np.isfinite(p).all() and (p >= 0).all() and abs(p.sum() - 1) < 1e-6):
            raise UsageError("the plan's probabilities must be finite, not negative, and sum to 1")
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}, it must not be negative")
        if self.pool is not None and not np.array_equal(self.pool.episode_index, self.plan.episode_index):
            raise UsageError("pool and plan are not of the same episodes in the same order")

    def probabilities(self, strategy_name: str = "trust_weighted") -> Float64s:
        """Probability of each episode of the plan under a strategy, shape (n,).

        Raises:
            UnknownNameError: if there is no such strategy.
            UsageError: if the strategy needs a pool and there is none.
        """
        row = strategy(strategy_name)
        if row.name == "trust_weighted":
            return self.plan.p
        if row.name == "uniform":
            return np.full(len(self.plan), 1.0 / max(len(self.plan), 1))
        if self.pool is None:
            raise UsageError(f"strategy {row.name} looks at families and tags: give the sampler its pool")
        return strategy_weights(self.pool, row.name, self.settings, self.objective)

    def sample(
        self, n: int, epoch: int = 0, strategy: str = "trust_weighted", rank: int = 0, world_size: int = 1
    ) -> Int64s:
        """Episode indices of one epoch: every episode n · p times, give or take one, in random order.

        Args:
            n: draws of all ranks together.
            epoch: another one draws anew.
            strategy: a row of ``settings.STRATEGIES``.
            rank: takes every ``world_size``-th draw from here on.
            world_size: number of ranks.

        Raises:
            UsageError: if an argument is out of range or there is nothing to draw from.
        """
        if n < 0 or epoch < 0:
            raise UsageError(f"n is {n} and epoch {epoch}, neither may be negative")
        if n > MOST_DRAWS:
            raise UsageError(
                f"n is {n}; at most {MOST_DRAWS} draws are made at once: give more epochs instead (--epoch)"
            )
        if not 0 <= rank < world_size:
            raise UsageError(f"rank {rank} is not in 0 to {world_size - 1}")
        if n and not len(self.plan):
            raise UsageError("the plan holds no episode to draw")
        draws = draw(self.probabilities(strategy), n, seed=self.seed, epoch=epoch)
        index: Int64s = self.plan.episode_index[draws][rank::world_size]
        return index


def draw(p: Float64s, n: int, *, seed: int, epoch: int) -> Int64s:
    """n places of ``p`` in random order, each n · pᵢ times, give or take one; the same wherever numpy runs.

    >>> sorted(draw(np.array([0.75, 0.25]), 4, seed=0, epoch=3).tolist())
    [0, 0, 0, 1]
    """
    # Philox counts, so a seed and an epoch give the same draws on every machine
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch])))
    return np.asarray(rng.permutation(systematic(p, n, rng)), np.int64)


def systematic(p: Float64s, n: int, rng: np.random.Generator) -> Int64s:
    """n places drawn with one random number: place i comes ⌊n·pᵢ⌋ or ⌈n·pᵢ⌉ times, n · pᵢ on average.

    >>> systematic(np.array([0.5, 0.0, 0.5]), 4, np.random.default_rng(0)).tolist()
    [0, 0, 2, 2]

    Source: Madow 1949.
    """
    if not n:
        return np.zeros(0, np.int64)
    upto = np.cumsum(p)
    mark = (np.arange(n) + rng.random()) / n * upto[-1]
    # the last mark may round up to the total: it belongs to the last place that has any probability
    last = np.searchsorted(upto, upto[-1], side="left")
    return np.asarray(np.minimum(np.searchsorted(upto, mark, side="right"), last), np.int64)
