"""A person steering the arm to bring the cube to the pad: well, or badly in one of the ways that people do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from sima2.bench.receipts.world import CUBE, OPEN, RATE_HZ
from sima2.bench.recordings_maker.operator import ease
from sima2.records.arrays import Bools, Float64s

GOOD: Final = "good"
COPY: Final = "copy"
KINDS: Final[dict[str, float]] = {
    "dropped": 0.14,
    "missed": 0.22,
    "retried": 0.12,
    "hesitated": 0.12,
    "shaky": 0.04,
    "elsewhere": 0.26,
    COPY: 0.06,
    "lucky": 0.04,
}
"""Ways in which a demonstration is not good, and their shares among those."""
OVER: Final = 0.11
"""Height from which a thing is approached and at which it is carried, m."""
GRASP: Final = CUBE / 2
SHORT: Final = (0.035, 0.055)
"""A grasp misses so far in front of the cube, m, …"""
HIGH: Final = (0.015, 0.04)
"""… and so much too high, m."""
ASIDE: Final = (0.08, 0.20)
"""The thing is set down so far from the pad where it is not brought to the other mark, m."""
LET_GO: Final = (0.045, 0.07)
"""Height of the fingers when the cube is let go too high and comes to lie right, m."""
STOPS: Final = (0.30, 0.50)
"""Share of the time that somebody stands still who hesitates."""
SHAKE: Final = 0.010
"""Standard deviation of a shaky hand in each direction, m."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Where things are when an episode starts, m."""

    cube: Float64s
    pad: Float64s
    tray: Float64s
    start: Float64s
    """Of the hand, shape (3,)."""
    yaw: float
    """How the cube is turned, rad."""


@dataclass(slots=True)
class Move:
    """Bring the hand to a place and the fingers to an opening."""

    to: Float64s
    opening: float
    seconds: float
    good: bool = True
    still: bool = False
    """Nothing moves."""


@dataclass(slots=True)
class Plan:
    """What the operator does, move after move; seconds are relative until a length is given."""

    scene: Scene
    rng: np.random.Generator
    moves: list[Move] = field(default_factory=list)

    def add(self, to: Sequence[float] | Float64s, opening: float, seconds: float, good: bool = True) -> None:
        """A motion, at this operator's unevenness."""
        self.moves.append(Move(np.asarray(to, np.float64), opening, seconds * self.rng.uniform(0.8, 1.25), good))

    def stay(self, seconds: float, good: bool = True) -> None:
        """No motion."""
        last = self.moves[-1]
        self.moves.append(Move(last.to, last.opening, seconds, good, still=True))

    def near(self, xy: Float64s, up: float, off: float) -> Float64s:
        """A place aimed at with a human's precision, m."""
        return np.append(xy + self.rng.normal(0, off, 2), up + self.rng.normal(0, off / 2))


def tell(kind: str, scene: Scene, rng: np.random.Generator) -> Plan:
    """The moves of an episode of a kind."""
    plan = Plan(scene, rng)
    if kind == "missed":
        for _ in range(int(rng.integers(1, 3))):
            _miss(plan)
        plan.add(plan.near(scene.start[:2], scene.start[2], 0.02), OPEN, 1.5, good=False)
        plan.stay(0.3, good=False)
        return plan
    if kind == "retried":
        for _ in range(int(rng.integers(1, 3))):
            _miss(plan)
    _take(plan)
    if kind == "dropped":
        _drop(plan)
    elif kind == "elsewhere":
        _bring(plan, _elsewhere(scene, rng), good=False)
    else:
        _bring(plan, scene.pad, high=kind == "lucky")
    if kind == "hesitated":
        _stop(plan)
    return plan


def _take(plan: Plan) -> None:
    scene, rng = plan.scene, plan.rng
    plan.add(plan.near(scene.cube, OVER + rng.uniform(-0.02, 0.02), 0.008), OPEN, 1.3)
    at = plan.near(scene.cube, GRASP, 0.003)
    plan.add(at, OPEN, 0.8)
    plan.add(at, 0.0, 0.45)
    plan.add(plan.near(at[:2], OVER + rng.uniform(-0.02, 0.02), 0.008), 0.0, 0.7)


def _bring(plan: Plan, mark: Float64s, *, good: bool = True, high: bool = False) -> None:
    rng = plan.rng
    plan.add(plan.near(mark, OVER + rng.uniform(-0.02, 0.02), 0.008), 0.0, 1.4, good)
    at = plan.near(mark, GRASP + 0.006, 0.005)
    if high:
        at[2] = rng.uniform(*LET_GO)
    plan.add(at, 0.0, 0.35 if high else 0.7, good and not high)
    plan.add(at, OPEN, 0.3 if high else 0.4, good and not high)
    plan.add(plan.near(at[:2], OVER + rng.uniform(-0.02, 0.02), 0.01), OPEN, 0.6, good)
    plan.stay(0.2, good)


def _miss(plan: Plan) -> None:
    """Close in front of the cube and above it, lift nothing, look."""
    scene, rng = plan.scene, plan.rng
    off = -scene.cube / np.linalg.norm(scene.cube) * rng.uniform(*SHORT)
    plan.add(plan.near(scene.cube + off, OVER + rng.uniform(-0.02, 0.02), 0.008), OPEN, 1.2, good=False)
    at = plan.near(scene.cube + off, GRASP + rng.uniform(*HIGH), 0.003)
    plan.add(at, OPEN, 0.7, good=False)
    plan.add(at, 0.0, 0.45, good=False)
    plan.add(plan.near(at[:2], OVER, 0.008), 0.0, 0.6, good=False)
    plan.add(plan.near(at[:2], OVER, 0.008), OPEN, 0.4, good=False)


def _drop(plan: Plan) -> None:
    """Lose the cube on the way, look where it is, and give up."""
    scene, rng = plan.scene, plan.rng
    over = plan.near(scene.pad, OVER, 0.008)
    share = rng.uniform(0.25, 0.65)
    lost = plan.moves[-1].to + share * (over - plan.moves[-1].to)
    plan.add(lost, 0.0, 1.4 * share)
    plan.add(lost + 0.1 * (over - lost), OPEN, 0.3, good=False)
    plan.add(lost + 0.4 * (over - lost), OPEN, 0.8, good=False)
    plan.stay(0.4, good=False)
    plan.add(plan.near(scene.start[:2], scene.start[2], 0.02), OPEN, 1.2, good=False)


def _elsewhere(scene: Scene, rng: np.random.Generator) -> Float64s:
    """The other mark mostly, else somewhere beside the pad within reach."""
    if rng.random() < 0.7:
        return scene.tray
    angle = rng.uniform(np.pi / 2, 3 * np.pi / 2)
    return np.asarray(scene.pad + rng.uniform(*ASIDE) * np.array([np.cos(angle), np.sin(angle) / 2]))


def _stop(plan: Plan) -> None:
    """Stand still once to three times before the cube is let go."""
    rng = plan.rng
    share = rng.uniform(*STOPS)
    whole = sum(move.seconds for move in plan.moves)
    stops = sorted(rng.choice(len(plan.moves) - 3, int(rng.integers(1, 4)), replace=False) + 1, reverse=True)
    parts = rng.dirichlet(np.full(len(stops), 3.0)) * whole * share / (1 - share)
    for place, seconds in zip(stops, parts.tolist(), strict=True):
        before = plan.moves[place - 1]
        plan.moves.insert(place, Move(before.to, before.opening, seconds, good=False, still=True))


@dataclass(frozen=True, slots=True, eq=False)
class Steered:
    """What the operator asks for, frame by frame."""

    place: Float64s
    """Of the hand, m, shape (frames, 3)."""
    opening: Float64s
    """m, shape (frames,)."""
    good: Bools
    """Worth imitating, shape (frames,)."""


def steer(plan: Plan, seconds: float, *, shake: float = 0.0) -> Steered:
    """Carry a plan out within a time: every move takes its share of it."""
    rng = plan.rng
    whole = sum(move.seconds for move in plan.moves)
    frames = [max(2, round(move.seconds / whole * seconds * RATE_HZ)) for move in plan.moves]
    at, opening = plan.scene.start, OPEN
    places, openings = [], []
    for move, n in zip(plan.moves, frames, strict=True):
        share = np.zeros(n) if move.still else ease(rng, n, 0.3, waves=2, smooth=0.8)
        bow = rng.normal(0, 0.06) * np.linalg.norm(move.to - at) * np.array([0.5, 0.5, 1.0]) * rng.normal(0, 1, 3)
        bow[2] = abs(bow[2])
        places.append(at + share[:, None] * (move.to - at) + (4 * share * (1 - share))[:, None] * bow)
        openings.append(opening + np.minimum(1.0, 1.4 * share) * (move.opening - opening))
        at, opening = (at, opening) if move.still else (move.to, move.opening)
    place = np.concatenate(places)
    if shake:
        place = place + _shaking(rng, len(place), shake)
    place[:, 2] = np.maximum(place[:, 2], 0.012)
    good = np.repeat([move.good for move in plan.moves], frames)
    return Steered(place, np.concatenate(openings), good)


def _shaking(rng: np.random.Generator, frames: int, size: float) -> Float64s:
    """Noise that lasts some frames, m, shape (frames, 3)."""
    noise, kept = rng.normal(0, 1, (frames, 3)), 0.5
    for k in range(1, frames):
        noise[k] = kept * noise[k - 1] + np.sqrt(1 - kept**2) * noise[k]
    return np.asarray(noise * size * [1.0, 1.0, 0.5])
