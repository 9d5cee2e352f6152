"""Where the hand and the objects are at the ends of each move.

The path is laid step by step because a step starts where the one before it ended, which may be where a failure cut it
short; all episodes of a batch take their k-th step together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Float64s, Int64s
from sima2.tasks.profiles import bump, bump_rate, carry_over, carry_over_rate, min_jerk, min_jerk_rate
from sima2.tasks.scene import Scene
from sima2.tasks.steps import FIELD, LEVELS, OWN_MOTIONS, PROFILES, REFERENCES, SCALARS
from sima2.tasks.world_settings import PhysicsSettings

MIN_SEGMENT_S: Final = 0.1
"""Shortest segment of the annotation convention."""
_TOPPLES_RAD: Final = 0.5
"""Tilt beyond which an object ends up lying on its side."""
BOUNCE: Final = 0.22
"""Restitution of a household object on a table top."""


@dataclass(slots=True)
class Moves:
    """The moves of a batch, padded to (n, k): a move of no frames does not happen."""

    codes: NDArray[np.int16]
    """The steps' codes by field, shape (fields, n, k)."""
    frames: Int64s
    """Frames it lasts, shape (n, k)."""
    planned: Int64s
    """Frames it would have lasted uncut."""
    task: Int64s
    """Row of the task it serves."""
    roles: Int64s
    """Slot of each role of the tasks, shape (m, roles)."""
    seconds: Float64s
    exposure: Int64s
    """Frames in which the hazard may strike."""
    spared: Int64s
    """Frames of the step before those."""
    strange: NDArray[np.int8]
    """0 nominal, 2 kinematic, 3 temporal: index into ("", visual, kinematic, temporal)."""
    event_step: Int64s
    """Step that starts with the failure event, -1 where none occurs, shape (n,)."""
    start: Float64s
    """Position of the hand and the levels at the start, shape (n, k, 3 + levels)."""
    change: Float64s
    """Towards where, shape (n, k, 3 + levels)."""
    momentum: Float64s
    """Initial speed × planned duration, shape (n, k, 3)."""
    arc: Float64s
    object_start: Float64s
    """shape (n, k, 6, 3)."""
    object_turn: Float64s
    """Yaw and tilt at the start, rad, shape (n, k, 6, 2)."""
    own_change: Float64s
    """Displacement and tilt of the object that moves by itself, shape (n, k, 4)."""
    fall_s: Float64s
    """s of free fall, 0 where nothing falls, shape (n, k)."""
    slot: Int64s
    """Slots of the two carried objects and of the one that moves by itself, -1 for none, shape (3, n, k)."""
    final_object: Float64s
    """Where the objects are in the end, shape (n, 6, 3)."""
    final_turn: Float64s
    final_hand: Float64s
    """shape (n, 3 + levels)."""

    def field(self, name: str) -> NDArray[np.int16]:
        """Codes of a field, shape (n, k)."""
        codes: NDArray[np.int16] = self.codes[FIELD[name]]
        return codes


def shortest_segment(rate_hz: float) -> int:
    """Frames of the shortest segment.

    >>> shortest_segment(20.0), shortest_segment(10.0)
    (2, 1)
    """
    return max(1, int(np.ceil(MIN_SEGMENT_S * rate_hz - 1e-9)))


@dataclass(frozen=True, slots=True)
class _Turn:
    """The k-th steps of the episodes that have one (a of them)."""

    row: Int64s
    """Episode, shape (a,)."""
    k: int
    code: Int64s
    """shape (fields, a)."""
    task: Int64s
    slots: dict[str, Int64s]
    """Slot of the object in each part, -1 for none."""
    speed: Float64s
    """m/s of the hand at the start, shape (a, 3)."""

    def of(self, field: str) -> Int64s:
        codes: Int64s = self.code[FIELD[field]]
        return codes


_PARTS: Final = ("role", "role2", "carry", "carry2", "own_role")


def chain(
    moves: Moves, scene: Scene, scalars: Float64s, vectors: Float64s, start_level: Float64s, settings: PhysicsSettings
) -> None:
    """Fill in where everything is at the start of each move, and in the end."""
    n, steps = moves.frames.shape
    hand = np.concatenate([scene.home, start_level], axis=1)
    objects = np.nan_to_num(scene.position)
    turned = np.stack([scene.yaw, np.zeros_like(scene.yaw)], axis=2)
    speed = np.zeros((n, 3))
    slot_of = np.concatenate([moves.roles, np.full((len(moves.roles), 1), -1)], axis=1)
    for k in range(steps):
        row = np.flatnonzero(moves.frames[:, k] > 0)
        if not len(row):
            continue
        code = moves.codes[:, row, k].astype(np.int64)
        task = moves.task[row, k]
        slots = {part: slot_of[task, code[FIELD[part]]] for part in _PARTS}
        halted = code[FIELD["profile"]] == PROFILES.index("halt")
        turn = _Turn(row, k, code, task, slots, np.where(halted[:, None], 0.0, speed[row]))
        moves.start[row, k], moves.object_start[row, k], moves.object_turn[row, k] = (
            hand[row],
            objects[row],
            turned[row],
        )
        _time_falls(moves, scene, objects, turn, settings)
        before = hand[row]
        target = _target(turn, before, objects[row], scene, vectors)
        speed[row] = _move(moves, turn, hand, target, scalars, 1.0 / settings.rate_hz)
        moved = hand[row, :3] - before[:, :3]
        yaw = np.arctan2(hand[row, 1], hand[row, 0]) - np.arctan2(before[:, 1], before[:, 0])
        for which, part in enumerate(("carry", "carry2")):
            moves.slot[which, row, k] = slots[part]
            held = np.flatnonzero(slots[part] >= 0)
            objects[row[held], slots[part][held]] += moved[held]
            turned[row[held], slots[part][held], 0] += yaw[held]
        _own(moves, scene, scalars, vectors, objects, turned, turn, settings)
    moves.final_object, moves.final_turn, moves.final_hand = objects, turned, hand
    moves.final_object[scene.code < 0] = np.nan


def _move(moves: Moves, turn: _Turn, hand: Float64s, target: Float64s, scalars: Float64s, dt: float) -> Float64s:
    """Move the hands and set their levels; their speed at the end, shape (a, 3)."""
    row, k = turn.row, turn.k
    lasts = (moves.planned[row, k] * dt)[:, None]
    coast = np.flatnonzero(turn.of("profile") == PROFILES.index("coast"))
    target[coast] = hand[row[coast], :3] + 0.5 * turn.speed[coast] * lasts[coast]
    change = np.concatenate([target, hand[row, 3:]], axis=1)
    for place, level in enumerate(LEVELS, start=3):
        which = turn.of(level)
        change[:, place] = np.where(which >= 0, scalars[turn.task, which], change[:, place])
    change -= hand[row]
    momentum, arc = turn.speed * lasts, moves.arc[row, k]
    moves.change[row, k], moves.momentum[row, k] = change, momentum
    s = moves.frames[row, k] / moves.planned[row, k]
    moved = change * min_jerk(s)[:, None]
    moved[:, :3] += momentum * carry_over(s)[:, None]
    moved[:, 2] += arc * bump(s)
    hand[row] += moved
    rate = change[:, :3] * min_jerk_rate(s)[:, None] + momentum * carry_over_rate(s)[:, None]
    rate[:, 2] += arc * bump_rate(s)
    return np.where((s < 1)[:, None], rate / lasts, 0.0)


def _target(turn: _Turn, hand: Float64s, objects: Float64s, scene: Scene, vectors: Float64s) -> Float64s:
    """Where each hand is to go, shape (a, 3)."""
    offset = vectors[turn.task, turn.of("vector")]
    kind = turn.of("ref")
    each = np.arange(len(hand))
    here, there = objects[each, turn.slots["role"]], objects[each, turn.slots["role2"]]
    target = hand[:, :3].copy()
    for which, name in enumerate(REFERENCES):
        at = np.flatnonzero(kind == which)
        if not len(at) or name == "stay":
            continue
        if name == "rel":
            target[at] += offset[at]
        elif name == "at":
            target[at] = here[at] + offset[at]
        elif name == "onto":
            target[at] += there[at] + offset[at] - here[at]
        elif name == "rail":
            target[at] += scene.position[turn.row[at], turn.slots["role"][at]] + offset[at] - here[at]
        elif name == "home":
            target[at] = scene.home[turn.row[at]] + offset[at]
        else:  # behind: beside the object, on the far side of where it is to go
            way = (there[at] - here[at]) * np.array([1.0, 1.0, 0.0])
            way /= np.maximum(np.sqrt(np.square(way).sum(axis=1)), 1e-6)[:, None]
            target[at] = here[at] - way * offset[at, :1]
            target[at, 2] += offset[at, 2]
    return target


def _time_falls(moves: Moves, scene: Scene, objects: Float64s, turn: _Turn, settings: PhysicsSettings) -> None:
    """A fall lasts until the object rests after one small bounce."""
    at = np.flatnonzero(turn.of("own") == OWN_MOTIONS.index("fall"))
    if not len(at):
        return
    row, slot = turn.row[at], turn.slots["own_role"][at]
    height = np.maximum(objects[row, slot, 2] - scene.rest[row, slot], 1e-3)
    seconds = np.sqrt(2.0 * height / settings.fall_gravity)
    count = np.ceil((seconds * (1.0 + 2.0 * BOUNCE) + 0.03) * settings.rate_hz).astype(np.int64)
    moves.fall_s[row, turn.k] = seconds
    moves.frames[row, turn.k] = moves.planned[row, turn.k] = np.maximum(count, shortest_segment(settings.rate_hz))


def _own(
    moves: Moves,
    scene: Scene,
    scalars: Float64s,
    vectors: Float64s,
    objects: Float64s,
    turned: Float64s,
    turn: _Turn,
    settings: PhysicsSettings,
) -> None:
    """Displace what moves by itself."""
    at = np.flatnonzero(turn.of("own") > 0)
    if not len(at):
        return
    row, task, slot, kind = turn.row[at], turn.task[at], turn.slots["own_role"][at], turn.of("own")[at]
    shift = vectors[task, turn.of("own_vector")[at]]
    tilt = np.zeros(len(at))
    falls, tips, rights = (kind == OWN_MOTIONS.index(name) for name in ("fall", "tip", "right"))
    # what sinks softly gets no further than what falls
    glide_s = moves.fall_s[row[falls], turn.k, None] * np.sqrt(settings.fall_gravity / settings.gravity)
    shift[falls] += turn.speed[at[falls]] * glide_s
    shift[falls, 2] = (scene.rest[row, slot] - objects[row, slot, 2])[falls]
    tilt[tips] = scalars[task[tips], SCALARS.index("tilt")]
    tilt[rights] = -turned[row[rights], slot[rights], 1]
    lying = 0.5 * np.minimum(scene.width[row, slot], scene.height[row, slot])
    sinks = tips & (tilt > _TOPPLES_RAD)
    shift[sinks, 2] += np.minimum(lying - scene.rest[row, slot], 0.0)[sinks]
    moves.slot[2, row, turn.k] = slot
    moves.own_change[row, turn.k] = np.concatenate([shift, tilt[:, None]], axis=1)
    objects[row, slot] += shift
    turned[row, slot, 1] += tilt
