"""The task sensor: whether the goal holds in the final, noise-free state of the world."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s
from sima2.tasks.parameters import NEEDED_PRESS
from sima2.tasks.steps import BANDS, LEVELS, SCALARS
from sima2.tasks.world import World

_UPRIGHT_RAD: Final = 0.3
_HOME_M: Final = 0.06
_LIFTED_M: Final = 0.04
_GRIP: Final = 3 + LEVELS.index("grip")
_FORCE: Final = 3 + LEVELS.index("force")


def reached(world: World) -> Bools:
    """Whether the goal of each episode's own task is reached in the end, shape (n,)."""
    moves, scene = world.moves, world.scene
    own = np.flatnonzero(world.tasks.main)
    relation = world.tasks.own("relation")[own]
    each = np.arange(len(own))
    item, target = world.tasks.roles[own, :2].T
    tolerance = world.tasks.tolerance[own]
    end, begin = moves.final_object, scene.position
    moved = np.sqrt(np.square(end[each, target] - begin[each, target]).sum(axis=1))
    gap = end[each, item] - end[each, target]
    off = np.sqrt(np.square(gap[:, :2]).sum(axis=1))
    support = 0.5 * (scene.height[each, item] + scene.height[each, target])
    upright = np.abs(moves.final_turn[each, item, 1]) < _UPRIGHT_RAD
    released = moves.final_hand[:, _GRIP] <= 0
    rests = (off <= tolerance) & upright & released & (np.abs(gap[:, 2] - support) < 0.02)
    at_home = np.sqrt(np.square(moves.final_hand[:, :3] - scene.home).sum(axis=1)) < _HOME_M
    aloft = end[each, item, 2] - scene.rest[each, item] > _LIFTED_M
    holds = {
        "opened": moved >= tolerance,
        "placed_on": rests,
        "placed_in": rests,
        "home": rests & at_home,
        "held": aloft & ~released,
        "wiped": wiped_share(world) >= tolerance,
        "visible": _final_sight(world) >= tolerance,
    }
    return np.select([relation == name for name in holds], list(holds.values()), False)


def wiped_share(world: World) -> Float64s:
    """Share of the surface stroked under enough force: for each band the longest stroke, shape (n,)."""
    moves, band = world.moves, world.moves.field("band")
    force = np.minimum(moves.start[:, :, _FORCE], moves.start[:, :, _FORCE] + moves.change[:, :, _FORCE])
    needed = NEEDED_PRESS * world.scalars[moves.task, SCALARS.index("pressing")]
    counts = world.tasks.main[moves.task] & (force >= needed) & (moves.frames > 0)
    done = np.where(counts, moves.frames / np.maximum(moves.planned, 1), 0.0)
    longest = [np.where(band == which, done, 0.0).max(axis=1, initial=0.0) for which in range(BANDS)]
    share: Float64s = np.sum(longest, axis=0) / BANDS
    return share


def _final_sight(world: World) -> Float64s:
    """Pose confidence of the item in the end, shape (n,)."""
    moves, code = world.moves, world.moves.field("sight")
    told = (code >= 0) & (moves.frames > 0)
    last = code.shape[1] - 1 - np.argmax(told[:, ::-1], axis=1)
    each = np.arange(len(code))
    value = world.scalars[moves.task[each, last], code[each, last]]
    return np.where(told.any(axis=1), value, world.scene.confidence[:, 0])
