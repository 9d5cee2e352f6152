"""Worlds in which it is known what a tag is worth, and two rivals that are asked on the same data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sima2.analytics.counts import TrustCounts, count
from sima2.analytics.econ_settings import COST_FIELDS
from sima2.analytics.recovery import Attempts, recovery_counts
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.table import Text

Rng = np.random.Generator

SIGMOID_SLOPE: Final = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Episodes with tags and a cost."""

    tags: Bools
    """shape (t, n)."""
    cost: Float64s
    """shape (n,)."""
    strata: Int64s
    """shape (n,)."""

    @property
    def named(self) -> dict[str, Bools]:
        """Tags by name; the first is ``t000``."""
        return {f"t{k:03d}": column for k, column in enumerate(self.tags)}

    def part(self, episodes: Any) -> World:
        """Some of its episodes."""
        return World(self.tags[:, episodes], self.cost[episodes], self.strata[episodes])


@dataclass(frozen=True, slots=True, eq=False)
class Rivals:
    """What pooled correlation says of t tags."""

    r: Float64s
    """Spearman's, with the cost, shape (t,)."""
    tested: Bools
    """Trusted by the test: p < 0.05, two-sided, shape (t,)."""
    sigmoid: Bools
    """Trusted by the score: ``sigmoid(10 |r|) > 0.5``, shape (t,)."""


def rivals(tags: Bools, cost: Float64s) -> Rivals:
    """Spearman's correlation, for Pearson's would be worse on heavy tails.

    >>> said = rivals(np.array([[True, True, False, False, False]]), np.array([3.0, 4.0, 0.0, 1.0, 2.0]))
    >>> round(float(said.r[0]), 2), bool(said.sigmoid[0])
    (0.87, True)
    """
    from scipy.stats import rankdata, t

    rank = rankdata(cost)
    rank = rank - rank.mean()
    n = len(cost)
    share = tags.mean(axis=1)
    spread = np.sqrt(n * share * (1 - share) * (rank @ rank))
    r = np.divide(tags @ rank, spread, out=np.zeros(len(tags)), where=spread > 0)
    limit = float(t.isf(0.025, n - 2))
    bound = limit / np.sqrt(n - 2 + limit**2)
    return Rivals(r, np.abs(r) > bound, 1 / (1 + np.exp(-SIGMOID_SLOPE * np.abs(r))) > 0.5)


def noise_tags(rng: Rng, n: int, tags: int, low: float = 0.02) -> Bools:
    """Tags that say nothing, in 2 to 50 % of the episodes, shape (tags, n)."""
    return rng.random((tags, n)) < rng.uniform(low, 0.5, tags)[:, None]


def null_world(rng: Rng, n: int, tags: int) -> World:
    """A normal cost in six strata of their own levels."""
    strata = rng.integers(0, 6, n)
    return World(noise_tags(rng, n, tags), rng.normal(size=n) + strata, strata)


def _cauchy(rng: Rng, n: int, tags: int) -> World:
    return World(noise_tags(rng, n, tags), rng.standard_cauchy(n), rng.integers(0, 6, n))


def _lognormal(rng: Rng, n: int, tags: int) -> World:
    return World(noise_tags(rng, n, tags), rng.lognormal(0, 3, n), rng.integers(0, 6, n))


def _zero_inflated(rng: Rng, n: int, tags: int) -> World:
    cost: Float64s = np.where(rng.random(n) < 0.15, rng.lognormal(0, 1.5, n), 0.0)
    return World(noise_tags(rng, n, tags), cost, rng.integers(0, 6, n))


def _sessions(rng: Rng, n: int, tags: int) -> World:
    """Tags come in sessions, and so do costs; the session is a stratum."""
    kinds = 20
    session = rng.integers(0, kinds, n)
    cost = np.exp(1.5 * rng.normal(size=kinds)[session] + rng.normal(size=n))
    share = rng.beta(0.5, 0.5, (tags, kinds))
    return World(rng.random((tags, n)) < share[:, session], cost, session)


def _confounded(rng: Rng, n: int, tags: int) -> World:
    """Tags are common where everything is dear; within a task they say nothing."""
    task = rng.integers(0, 4, n)
    share = rng.permuted(np.tile([0.05, 0.2, 0.5, 0.8], (tags, 1)), axis=1)
    return World(rng.random((tags, n)) < share[:, task], np.exp(1.5 * task + rng.normal(size=n)), task)


Maker = Callable[[Rng, int, int], World]
"""From chance, episodes and tags to a world."""

NOISE: Final[Mapping[str, Maker]] = {
    "cauchy": _cauchy,
    "lognormal": _lognormal,
    "zero_inflated": _zero_inflated,
    "sessions": _sessions,
    "confounded": _confounded,
}
"""Worlds of noise tags; all but the first have non-negative prices, so that the premium is asked too."""


def shifted_world(rng: Rng, n: int, share: float, shift: float, beside: int = 19) -> World:
    """One tag that moves a normal cost by ``shift`` standard deviations, among others that say nothing."""
    x = rng.random(n) < share
    strata = rng.integers(0, 4, n)
    cost: Float64s = rng.normal(size=n) + shift * x + strata
    return World(np.vstack([x, noise_tags(rng, n, beside)]), cost, strata)


def damage_world(rng: Rng, n: int, with_tag: float, without: float) -> World:
    """Damage in so many of the episodes with the tag (30 % of all) and without it, of the same size where it occurs."""
    x = rng.random(n) < 0.3
    harmed = rng.random(n) < np.where(x, with_tag, without)
    return World(x[None], np.where(harmed, rng.lognormal(0, 0.7, n), 0.0), rng.integers(0, 4, n))


def reversed_world(rng: Rng, n: int) -> World:
    """Right within both tasks (δ 0.52), reversed over both together."""
    task = rng.integers(0, 2, n)
    x = rng.random(n) < np.where(task == 0, 0.8, 0.2)
    return World(x[None], 3.0 * task + 1.0 * x + rng.normal(size=n), task)


def recovery_world(rng: Rng, n: int, worth: float) -> tuple[TrustCounts, World]:
    """Attempts after failures of three reasons: the easier one is to mend, the more often a correction is tried.

    Args:
        rng: source of chance.
        n: episodes, half of which fail at some time.
        worth: what an attempt adds to the chance of success.

    Returns:
        Counts of attempts by reason, and what a plain comparison of all episodes sees.
    """
    failed = rng.random(n) < 0.5
    reason = rng.integers(0, 3, n)
    tried = failed & (rng.random(n) < np.array([0.2, 0.5, 0.8])[reason])
    mended = rng.random(n) < np.array([0.1, 0.3, 0.5])[reason] + worth * tried
    success = np.where(failed, mended, True).astype(np.float64)
    duration = rng.uniform(5.0, 9.0, n)
    at = np.where(failed, rng.uniform(1.0, 3.0, n), np.nan)
    words = Text(np.where(failed, reason, 3).astype(np.int32), ("missed_grasp", "slip", "locked_joint", ""))
    counts = recovery_counts("t000", Attempts(at, tried, words), success, duration, Text.full(n, "f|r|p|s"))
    where = np.flatnonzero(failed)
    return counts, World(tried[None, where], (success / duration)[where] * 3600.0, reason[where])


def drifting_batches(rng: Rng, effects: Float64s, n: int) -> list[TrustCounts]:
    """Sessions of ``n`` episodes of two families.

    Args:
        rng: source of chance.
        effects: what each tag adds to the logarithm of damage in each session, in standard deviations, shape (b, t).
        n: episodes of each.
    """
    out = []
    for session, effect in enumerate(effects):
        tags = rng.random((len(effect), n)) < 0.2
        family = rng.integers(0, 2, n)
        cost = np.exp(rng.normal(size=n) + family + rng.normal() + effect @ tags)
        strata = Text(family.astype(np.int32), [f"{name}|arm|policy|{session}" for name in ("a", "b")])
        named = {f"t{k:03d}": column for k, column in enumerate(tags)}
        out.append(count(named, cost, strata, COST_FIELDS["damage"]))
    return out
