"""The task sensor: whether the goal holds in the final, noise-free state of the world."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s
from sima2.tasks.chain import Moves
from sima2.tasks.families import ALL_FAMILIES
from sima2.tasks.parameters import FAMILY_NAMES, NEEDED_PRESS, Tasks
from sima2.tasks.rows import Rows
from sima2.tasks.scene import Scene
from sima2.tasks.steps import BANDS, LEVELS, SCALARS

_UPRIGHT_RAD: Final = 0.3
_HOME_M: Final = 0.06
_LIFTED_M: Final = 0.04
_GRIP: Final = 3 + LEVELS.index("grip")
_FORCE: Final = 3 + LEVELS.index("force")


def reached(moves: Moves, rows: Rows, scene: Scene, tasks: Tasks, scalars: Float64s) -> Bools:
    """Whether the goal of each episode's own task is reached in the end, shape (n,)."""
    n = len(scene.names)
    own = np.flatnonzero(tasks.main)
    relation = np.array([ALL_FAMILIES[name].relation for name in FAMILY_NAMES])[tasks.family[own]]
    each = np.arange(n)
    item, target = tasks.roles[own, 0], tasks.roles[own, 1]
    tolerance = tasks.tolerance[own]
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
    result = np.zeros(n, np.bool_)
    for name, holds in (
        ("opened", moved >= tolerance),
        ("placed_on", rests),
        ("placed_in", rests),
        ("home", rests & at_home),
        ("held", aloft & ~released),
        ("wiped", wiped_share(moves, scalars, tasks.main) >= tolerance),
        ("visible", _final_sight(moves, rows, scene, scalars) >= tolerance),
    ):
        result = np.where(relation == name, holds, result)
    return result


def wiped_share(moves: Moves, scalars: Float64s, main: Bools) -> Float64s:
    """Share of the surface stroked under enough force: for each band the longest stroke, shape (n,)."""
    band = moves.field("band").astype(np.int64)
    force = np.minimum(moves.start[:, :, _FORCE], moves.start[:, :, _FORCE] + moves.change[:, :, _FORCE])
    needed = NEEDED_PRESS * scalars[moves.task, SCALARS.index("pressing")]
    done = np.where(
        main[moves.task] & (force >= needed) & (moves.frames > 0), moves.frames / np.maximum(moves.planned, 1), 0.0
    )
    share = np.zeros(len(band))
    for which in range(BANDS):
        share += np.where(band == which, done, 0.0).max(axis=1, initial=0.0)
    return share / BANDS


def _final_sight(moves: Moves, rows: Rows, scene: Scene, scalars: Float64s) -> Float64s:
    """Pose confidence of the item in the end, shape (n,)."""
    code = moves.field("sight").astype(np.int64)
    told = (code >= 0) & (moves.frames > 0)
    last = np.where(told.any(axis=1), code.shape[1] - 1 - np.argmax(told[:, ::-1], axis=1), 0)
    each = np.arange(len(code))
    value = scalars[moves.task[each, last], code[each, last]]
    return np.where(told.any(axis=1), value, scene.confidence[:, 0])
