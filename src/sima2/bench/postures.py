"""Makes sets of 60 episodes of an arm that brings a thing somewhere, with failures of known kind: what is stored of
their postures, at once. It shares nothing with what is judged by it but the columns in which they lie.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from sima2.records.arrays import Bools, Float32s, Float64s, Indices, Int64s
from sima2.records.courses import MOMENTS, THINGS, PointTable
from sima2.records.defects import SLOTS
from sima2.records.episodes import EpisodeTable
from sima2.records.table import Text
from sima2.records.vocabulary import OUTCOME_SOURCES

EPISODES: Final = 60
JOINTS: Final = 6
SHARES: Final = (0.5, 0.3, 0.2)
"""Of the kinds of failure, where there are several."""


@dataclass(frozen=True, slots=True)
class World:
    """How the failures of a set show."""

    says: str
    """In words."""
    shows: str
    """``end``: another posture at the end; ``kinds``: one of three; ``stopped``: it stays where it stopped on its way;
    ``fingers``: they have closed on nothing; ``held``: held lower, wherever the thing lay; ``late``: it lets go beside
    the place, and ends as all do; ``picture``: only a camera sees it; empty: in nothing."""
    size: float = 0.5
    """How far another place is, in units of the arm's reach; the noise at the end is 0.04."""
    spread: float = 0.12
    """Of the place of the thing."""
    failures: int = 12
    gaps: float = 0.0
    """Share of the moments of which nothing is known."""
    groups: bool = False
    """Episodes end at either of two places, whether they failed or not."""
    shuffled: bool = False
    """What is said is of another episode."""
    by_choice: int = 0
    """Of the twelve that are said, those chosen because they look odd, and not by lot."""
    unseen: bool = False
    """A kind of failure is not among those that are said."""


DIFFER: Final[Mapping[str, World]] = {
    "apart": World("they end elsewhere", "end"),
    "kinds": World("failures of three kinds", "kinds"),
    "stopped": World("they end where they stopped", "stopped"),
    "fingers": World("fingers closed on nothing", "fingers"),
    "by_choice": World("they end elsewhere; half was said by choice", "end", by_choice=6),
}
"""Sets whose ends differ in posture."""
HARD: Final[Mapping[str, World]] = {
    "place": World("they end lower, beside a place that varies more", "held", spread=0.35),
    "late": World("they let go beside the place, then end as all do", "late"),
    "near": World("they end elsewhere, but near", "end", size=0.125),
    "unseen": World("a kind of failure of which nothing is said", "kinds", unseen=True),
    "gaps": World("they end elsewhere; most is not known", "end", gaps=0.6),
    "rare": World("they end elsewhere, three in all", "end", failures=3),
    "picture": World("only the last picture differs", "picture"),
}
"""Sets of which less can be known; what is answered must be right all the same."""
CONTROLS: Final[Mapping[str, World]] = {
    "same": World("nothing differs", ""),
    "groups": World("ends of two groups, failures in both", "", groups=True),
    "shuffled": World("they end elsewhere; said of others", "end", shuffled=True),
    "half": World("nothing differs, half failed", "", failures=30),
}
"""Sets in which what is said tells nothing of the others."""


class Looks(NamedTuple):
    """Last pictures, 8 by 8 fields of three colours, shape (n, 192)."""

    episode_id: Text
    camera: Text
    values: Float32s


class Made(NamedTuple):
    """A set, and what became of its episodes."""

    episodes: EpisodeTable
    """With what is said of twelve of them; of all others nothing is known."""
    points: PointTable
    looks: Looks
    success: Bools
    """Shape (n,)."""
    said: Indices
    """Episodes of which something is said, those by lot first."""
    active: tuple[str, ...]
    """Names of those that were said by choice."""


def make(name: str, world: World, number: int, *, seed: int = 0, said: int = 12) -> Made:
    """Set ``number`` of a world; the same numbers make the same set."""
    rng = np.random.default_rng([seed, number, zlib.crc32(name.encode())])
    success = np.ones(EPISODES, np.bool_)
    success[rng.permutation(EPISODES)[: world.failures]] = False
    kinds = np.where(success, -1, rng.choice(len(SHARES), EPISODES, p=SHARES))
    motion = _Motion.drawn(rng, world)
    state = np.array([motion.episode(rng, int(kind)) for kind in kinds])
    if world.gaps:
        state[rng.random(state.shape[:2]) < world.gaps] = np.nan
    looks = _looks(rng, world, success)
    if world.shuffled:
        success = rng.permutation(success)
    rows = _chosen(rng, world, kinds, state, said)
    names = [f"{name}-{number}-{i}" for i in range(EPISODES)]
    told = np.full(EPISODES, np.nan)
    told[rows] = success[rows]
    return Made(
        episodes=_episodes(names, told),
        points=_points(names, state),
        looks=looks._replace(episode_id=Text.of(names)),
        success=success,
        said=rows,
        active=tuple(names[row] for row in rows[said - world.by_choice :]),
    )


@dataclass(frozen=True, slots=True)
class _Motion:
    """Where things are in a set, and the arm that reaches them."""

    world: World
    straight: Float64s
    """Joints by a place, shape (6, 3)."""
    bent: Float64s
    source: Float64s
    goal: Float64s
    away: Float64s
    """Directions to other places, shape (3, 3)."""

    @classmethod
    def drawn(cls, rng: np.random.Generator, world: World) -> _Motion:
        away = rng.normal(size=(3, 3))
        return cls(
            world,
            0.5 * rng.normal(size=(JOINTS, 3)),
            0.3 * rng.normal(size=(JOINTS, 3)),
            np.array([1.0, 0.0, 0.0]) + 0.5 * rng.normal(size=3),
            np.array([0.0, 1.0, 0.0]) + 0.5 * rng.normal(size=3),
            away / np.linalg.norm(away, axis=1, keepdims=True),
        )

    def episode(self, rng: np.random.Generator, kind: int) -> Float64s:
        """Joints and fingers at the moments of an episode that failed by a kind, -1 of none; shape (MOMENTS, 7)."""
        world, up = self.world, np.array([0.0, 0.0, 0.3])
        thing = self.source + world.spread * rng.normal(size=3)
        goal = self.goal + 0.04 * rng.normal(size=3)
        home = 0.04 * rng.normal(size=3)
        if world.groups and rng.random() < 0.4:
            home = home + 0.8 * self.away[1]
        way = [0.04 * rng.normal(size=3), thing, thing + up, goal, goal + 0.7 * up, home]
        grip = [1.0, 1.0, 0.35, 0.35, 1.0, 1.0]
        failed = kind >= 0
        if world.shows == "held":
            there = way[2] + (-0.33 if failed else 1.2) * up
            way[3:] = [there, there, there + 0.03 * rng.normal(size=3)]
            grip[3:] = [0.35] * 3
        elif failed and world.shows in ("end", "kinds"):
            way[5] = home + world.size * self.away[kind if world.shows == "kinds" else 0]
        elif failed and world.shows == "stopped":
            stop = thing + rng.uniform(0.2, 0.9) * (goal - thing)
            way[3:] = [stop, stop, stop + 0.03 * rng.normal(size=3)]
            grip[3:] = [0.35] * 3
        elif failed and world.shows == "fingers":
            grip[2:] = [0.0] * 4
        elif failed and world.shows == "late":
            way[4] = goal + 0.4 * self.away[0]
        joints = np.array([self.straight @ place + 0.5 * np.sin(2 * self.bent @ place) for place in way])
        poses = np.column_stack([joints, np.array(grip) + 0.02 * rng.normal(size=6)])
        return self._moved(rng, poses) + 0.01 * rng.normal(size=(MOMENTS, JOINTS + 1))

    def _moved(self, rng: np.random.Generator, poses: Float64s) -> Float64s:
        """From pose to pose, each at its time, with the uneven speed of a hand."""
        times = np.array([0.0, 0.25, 0.4, 0.65, 0.75, 1.0 - 0.08 * rng.random()])
        times[1:5] += 0.04 * rng.normal(size=4)
        times = np.maximum.accumulate(np.clip(times, 0.0, 1.0))
        now = np.linspace(0.0, 1.0, MOMENTS)
        out = np.repeat(poses[:1], MOMENTS, axis=0)
        for begin, end, before, after in zip(times, times[1:], poses, poses[1:], strict=False):
            share = np.clip((now - begin) / max(end - begin, 1e-6), 0.0, 1.0) ** rng.uniform(0.7, 1.4)
            out += (share * share * (3 - 2 * share))[:, None] * (after - before)
        return out


def _looks(rng: np.random.Generator, world: World, success: Bools) -> Looks:
    """A scene under changing light, a thing in it that lies where it should or beside."""
    n = len(success)
    scene = rng.random((8, 8, 3)) * 0.5
    values = scene + 0.05 * rng.normal(size=(n, 1, 1, 3)) + 0.02 * rng.normal(size=(n, 8, 8, 3))
    column = np.where(success | (world.shows != "picture"), 2, 5) + rng.integers(0, 2, n)
    values[np.arange(n), 3, column] += [0.4, -0.1, -0.1]
    return Looks(Text.of([""] * n), Text.full(n, "front"), np.clip(values, 0, 1).reshape(n, -1).astype(np.float32))


def _chosen(rng: np.random.Generator, world: World, kinds: Int64s, state: Float64s, said: int) -> Indices:
    order = rng.permutation(EPISODES)
    if world.unseen:
        while len(set(kinds[order[:said]]) - {-1}) >= len(set(kinds) - {-1}):
            order = rng.permutation(EPISODES)
    lot, rest = order[: said - world.by_choice], order[said - world.by_choice :]
    if not world.by_choice:
        return np.asarray(lot)
    ends = state[:, -1]
    odd = np.abs(ends - np.median(ends, axis=0)).sum(axis=1)
    return np.concatenate([lot, rest[np.argsort(-odd[rest], kind="stable")][: world.by_choice]])


def _episodes(names: list[str], told: Float64s) -> EpisodeTable:
    n = len(names)
    blank = EpisodeTable.empty()
    columns: dict[str, Any] = {
        name: Text.full(n, "") if dtype is None else np.zeros(n, dtype) for name, dtype in blank.columns().items()
    }
    said = np.isfinite(told)
    columns |= {
        "episode_index": np.arange(n),
        "episode_id": Text.of(names),
        "success": told,
        "outcome_source": Text(np.where(said, OUTCOME_SOURCES.index("recorded"), 0), OUTCOME_SOURCES),
        "inferred_success": np.full(n, np.nan),
    }
    return EpisodeTable(**columns)


def _points(names: list[str], state: Float64s) -> PointTable:
    n = len(names)
    full = np.full((n, MOMENTS, SLOTS + 3 * THINGS), np.nan, np.float32)
    full[..., :JOINTS], full[..., SLOTS - 1] = state[..., :JOINTS], state[..., JOINTS]
    return PointTable(
        episode_index=np.arange(n),
        episode_id=Text.of(names),
        manipulator=Text.full(n, "arm"),
        family=Text.full(n, ""),
        robot=Text.full(n, ""),
        frames=np.full(n, 300),
        state=full.reshape(n, -1),
        motion=np.full((n, MOMENTS * SLOTS), np.nan, np.float32),
    )
