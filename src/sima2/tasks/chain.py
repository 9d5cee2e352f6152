"""Where the hand and the objects are at the ends of each move.

The path is laid step by step because a step starts where the one before it ended, which may be where a failure cut it
short; all episodes of a batch take their k-th step together.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Float64s, Int64s
from sima2.tasks.profiles import bump, bump_rate, carry_over, carry_over_rate, min_jerk, min_jerk_rate
from sima2.tasks.steps import FIELD, LEVELS, OWN_MOTIONS, PROFILES, REFERENCES, SCALARS
from sima2.tasks.world import World

MIN_SEGMENT_S: Final = 0.1
"""Shortest segment of the annotation convention."""
_TOPPLES_RAD: Final = 0.5
"""Tilt beyond which an object ends up lying on its side."""
BOUNCE: Final = 0.22
"""Restitution of a household object on a table top."""
_FLAT: Final = np.array([1.0, 1.0, 0.0])


def shortest_segment(rate_hz: float) -> int:
    """Frames of the shortest segment.

    >>> shortest_segment(20.0), shortest_segment(10.0)
    (2, 1)
    """
    return max(1, int(np.ceil(MIN_SEGMENT_S * rate_hz - 1e-9)))


_PARTS: Final = ("role", "role2", "carry", "carry2", "own_role")


class _Turn:
    """The k-th steps of the episodes that have one (a of them)."""

    def __init__(self, world: World, k: int, row: Int64s, speed: Float64s) -> None:
        self.row, self.k = row, k
        """Episode, shape (a,)."""
        self.code = world.moves.codes[:, row, k].astype(np.int64)
        """shape (fields, a)."""
        self.task = world.moves.task[row, k]
        roles = np.column_stack([world.tasks.roles[self.task], np.full(len(row), -1)])
        self.slots = {part: roles[np.arange(len(row)), self.of(part)] for part in _PARTS}
        """Slot of the object in each part, -1 for none."""
        halted = self.of("profile") == PROFILES.index("halt")
        self.speed = np.where(halted[:, None], 0.0, speed[row])
        """m/s of the hand at the start, shape (a, 3)."""

    def of(self, field: str) -> Int64s:
        codes: Int64s = self.code[FIELD[field]]
        return codes


def chain(world: World, start_level: Float64s) -> None:
    """Fill in where everything is at the start of each move, and in the end.

    Args:
        world: its moves get what was not planned.
        start_level: width, force and angles at the start, shape (n, levels).
    """
    moves, scene = world.moves, world.scene
    n, steps = moves.frames.shape
    hand = np.concatenate([scene.home, start_level], axis=1)
    objects = np.nan_to_num(scene.position)
    turned = np.stack([scene.yaw, np.zeros_like(scene.yaw)], axis=2)
    moves.start, moves.object_start, moves.object_turn = (
        np.zeros((n, steps, *each.shape[1:])) for each in (hand, objects, turned)
    )
    moves.change, moves.momentum = np.zeros_like(moves.start), np.zeros((n, steps, 3))
    moves.own_change, moves.fall_s = np.zeros((n, steps, 4)), np.zeros((n, steps))
    moves.slot = np.full((n, steps, 3), -1, np.int64)
    speed = np.zeros((n, 3))
    for k in range(steps):
        row = np.flatnonzero(moves.frames[:, k] > 0)
        if not len(row):
            continue
        turn = _Turn(world, k, row, speed)
        before, there = hand[row], objects[row]
        moves.start[row, k], moves.object_start[row, k], moves.object_turn[row, k] = before, there, turned[row]
        _time_falls(world, objects, turn)
        speed[row] = _move(world, turn, hand, _target(world, turn, before, there))
        moved = hand[row, :3] - before[:, :3]
        yaw = np.arctan2(hand[row, 1], hand[row, 0]) - np.arctan2(before[:, 1], before[:, 0])
        for which, part in enumerate(("carry", "carry2")):
            moves.slot[row, k, which] = slot = turn.slots[part]
            held = np.flatnonzero(slot >= 0)
            objects[row[held], slot[held]] += moved[held]
            turned[row[held], slot[held], 0] += yaw[held]
        _own(world, objects, turned, turn)
    moves.final_object, moves.final_turn, moves.final_hand = objects, turned, hand
    moves.final_object[scene.code < 0] = np.nan


def _move(world: World, turn: _Turn, hand: Float64s, target: Float64s) -> Float64s:
    """Move the hands and set their levels; their speed at the end, shape (a, 3)."""
    moves, row, k = world.moves, turn.row, turn.k
    lasts = (moves.planned[row, k] * (1.0 / world.settings.rate_hz))[:, None]
    coast = np.flatnonzero(turn.of("profile") == PROFILES.index("coast"))
    target[coast] = hand[row[coast], :3] + 0.5 * turn.speed[coast] * lasts[coast]
    change = np.concatenate([target, hand[row, 3:]], axis=1)
    for place, level in enumerate(LEVELS, start=3):
        which = turn.of(level)
        change[:, place] = np.where(which >= 0, world.scalars[turn.task, which], change[:, place])
    change -= hand[row]
    momentum, arc = turn.speed * lasts, world.scalars[turn.task, turn.of("arc")]
    moves.change[row, k], moves.momentum[row, k] = change, momentum
    s = moves.frames[row, k] / moves.planned[row, k]
    moved = change * min_jerk(s)[:, None]
    moved[:, :3] += momentum * carry_over(s)[:, None]
    moved[:, 2] += arc * bump(s)
    hand[row] += moved
    rate = change[:, :3] * min_jerk_rate(s)[:, None] + momentum * carry_over_rate(s)[:, None]
    rate[:, 2] += arc * bump_rate(s)
    return np.where((s < 1)[:, None], rate / lasts, 0.0)


def _target(world: World, turn: _Turn, hand: Float64s, objects: Float64s) -> Float64s:
    """Where each hand is to go, shape (a, 3)."""
    scene, offset = world.scene, world.vectors[turn.task, turn.of("vector")]
    each = np.arange(len(hand))
    here, there = objects[each, turn.slots["role"]], objects[each, turn.slots["role2"]]
    start, begin = hand[:, :3], scene.position[turn.row, turn.slots["role"]]
    way = (there - here) * _FLAT
    way /= np.maximum(np.sqrt(np.square(way).sum(axis=1)), 1e-6)[:, None]
    targets = {
        "stay": start,
        "rel": start + offset,
        "at": here + offset,
        "onto": start + (there + offset - here),
        "rail": start + (begin + offset - here),
        "home": scene.home[turn.row] + offset,
        # beside the object, on the far side of where it is to go
        "behind": here - way * offset[:, :1] + (1.0 - _FLAT) * offset,
    }
    return np.stack([targets[name] for name in REFERENCES])[turn.of("ref"), each]


def _time_falls(world: World, objects: Float64s, turn: _Turn) -> None:
    """A fall lasts until the object rests after one small bounce."""
    at = np.flatnonzero(turn.of("own") == OWN_MOTIONS.index("fall"))
    if not len(at):
        return
    moves, rate = world.moves, world.settings.rate_hz
    row, slot = turn.row[at], turn.slots["own_role"][at]
    height = np.maximum(objects[row, slot, 2] - world.scene.rest[row, slot], 1e-3)
    seconds = np.sqrt(2.0 * height / world.settings.fall_gravity)
    count = np.ceil((seconds * (1.0 + 2.0 * BOUNCE) + 0.03) * rate).astype(np.int64)
    moves.fall_s[row, turn.k] = seconds
    moves.frames[row, turn.k] = moves.planned[row, turn.k] = np.maximum(count, shortest_segment(rate))


def _own(world: World, objects: Float64s, turned: Float64s, turn: _Turn) -> None:
    """Displace what moves by itself."""
    at = np.flatnonzero(turn.of("own") > 0)
    if not len(at):
        return
    moves, scene, settings = world.moves, world.scene, world.settings
    row, task, slot, kind = turn.row[at], turn.task[at], turn.slots["own_role"][at], turn.of("own")[at]
    shift = world.vectors[task, turn.of("own_vector")[at]]
    tilt = np.zeros(len(at))
    falls, tips, rights = (kind == OWN_MOTIONS.index(name) for name in ("fall", "tip", "right"))
    # what sinks softly gets no further than what falls
    glide_s = moves.fall_s[row[falls], turn.k, None] * np.sqrt(settings.fall_gravity / settings.gravity)
    shift[falls] += turn.speed[at[falls]] * glide_s
    shift[falls, 2] = (scene.rest[row, slot] - objects[row, slot, 2])[falls]
    tilt[tips] = world.scalars[task[tips], SCALARS.index("tilt")]
    tilt[rights] = -turned[row[rights], slot[rights], 1]
    lying = 0.5 * np.minimum(scene.width[row, slot], scene.height[row, slot])
    sinks = tips & (tilt > _TOPPLES_RAD)
    shift[sinks, 2] += np.minimum(lying - scene.rest[row, slot], 0.0)[sinks]
    moves.slot[row, turn.k, 2] = slot
    moves.own_change[row, turn.k] = np.concatenate([shift, tilt[:, None]], axis=1)
    objects[row, slot] += shift
    turned[row, slot, 1] += tilt
