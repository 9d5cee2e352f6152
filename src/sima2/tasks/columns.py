"""What the frames are rendered from and into: columns of numbers of the executed moves, room for the channels."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.records.vocabulary import LABELS
from sima2.tasks import scene_embedding
from sima2.tasks.families import SCENE_OBJECTS
from sima2.tasks.kinematics import JOINTS
from sima2.tasks.world import World

LET_GO_S: Final = 0.1
"""s for a contact force to vanish when what carried it is gone."""
SNAP_S: Final = 0.25
"""s for fingers to close when what was between them is gone."""

ARM_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    "joint_position": (JOINTS,), "joint_velocity": (JOINTS,), "joint_torque": (JOINTS,), "ee_position": (3,),
    "ee_orientation": (4,), "gripper_width": (), "grip_force": (), "contact_force": (),
}  # fmt: skip
SCENE_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    "object_position": (SCENE_OBJECTS, 3), "object_orientation": (SCENE_OBJECTS, 4),
    "object_confidence": (SCENE_OBJECTS,), "embedding": (scene_embedding.WIDTH,), "action": (4,),
}  # fmt: skip
"""Channel to what follows the frames in its shape."""

Channels = dict[str, Float32s]
"""The frames of a batch (T of them) by channel, filled chunk by chunk."""


def blank(frames: int) -> Channels:
    """Room for that many frames."""
    return {name: np.empty((frames, *tail), np.float32) for name, tail in (ARM_SHAPES | SCENE_SHAPES).items()}


class Columns:
    """What the frames need of the rows (r of them), as single-precision columns."""

    def __init__(self, world: World) -> None:
        moves, rows = world.moves, world.rows
        task = rows.gather(moves.task)
        start, change = rows.gather(moves.start), rows.gather(moves.change)
        self.start, self.change = _single(start.T), _single(change.T)
        """Transposed: shape (8, r)."""
        self.momentum = _single(rows.gather(moves.momentum).T)
        self.arc = _single(world.scalars[task, rows.field("arc")])
        self.scale = _single(1.0 / rows.gather(moves.planned))
        """1 / planned frames."""
        self.direction = _single(_unit(world.vectors[task, rows.field("direction")]).T)
        """shape (3, r)."""
        pulse = rows.field("pulse")
        self.impulse = np.where(pulse > 0, world.scalars[task, pulse], 0.0)
        objects, turn = rows.gather(moves.object_start), rows.gather(moves.object_turn)
        attitude = tilted(turn[:, :, 0], turn[:, :, 1])
        absent = world.scene.code[rows.episode] < 0
        attitude[absent] = objects[absent] = np.nan
        self.objects = _single(objects)
        """shape (r, 6, 3)."""
        self.attitude = _single(attitude)
        """Quaternions, shape (r, 6, 4)."""
        self.slot = np.ascontiguousarray(rows.gather(moves.slot).T)
        """Transposed: shape (3, r)."""
        self.own = rows.field("own")
        self.weight = _single(_carried_weight(world, objects, self.slot, change[:, 2]))
        """N of what is carried off its support."""
        self.sight = _sight(world, task)
        """Confidence of the item at the start and end, shape (r, 2)."""
        self.strange = rows.gather(moves.strange)
        self.sudden = _sudden(rows.field("label"), start[:, 5:], change[:, 5:])
        """Of width, grip and external force: s within which they change, 0 for the whole move; shape (3, r)."""


def _single(table: NDArray[Any]) -> Float32s:
    return np.ascontiguousarray(table, np.float32)


def tilted(yaw: Float64s, tilt: Float64s) -> Float64s:
    """Quaternions w x y z of things that are turned about the vertical, then tilted, shape (…, 4)."""
    cy, sy, ct, st = np.cos(0.5 * yaw), np.sin(0.5 * yaw), np.cos(0.5 * tilt), np.sin(0.5 * tilt)
    return np.stack([cy * ct, cy * st, sy * st, sy * ct], axis=-1)


def _sudden(label: Int64s, start: Float64s, change: Float64s) -> Float32s:
    """What is let go or lost is gone at once, what is pushed pushes back at once: shape (3, r)."""
    within = np.zeros((3, len(label)), np.float32)
    lets_go = (change < 0) & (start + change <= 0)
    within[1:][lets_go[:, 1:].T] = LET_GO_S
    within[0, (label == LABELS.index("slip")) & (change[:, 0] < 0)] = SNAP_S
    within[2, (label == LABELS.index("push")) & (change[:, 2] > 0)] = LET_GO_S
    return within


def _unit(vector: Float64s) -> Float64s:
    unit: Float64s = vector / np.maximum(np.sqrt(np.square(vector).sum(axis=1)), 1e-9)[:, None]
    return unit


def _carried_weight(world: World, objects: Float64s, slot: Int64s, rise: Float64s) -> Float64s:
    """Weight of the object in the hand while it is off its support; a drawer (two things at once) never is."""
    scene, episode, held = world.scene, world.rows.episode, np.maximum(slot[0], 0)
    height = objects[np.arange(len(held)), held, 2] + np.maximum(rise, 0.0)
    aloft = height > scene.rest[episode, held] + 0.03
    weight = world.settings.gravity * scene.mass[episode, held]
    return np.where((slot[0] >= 0) & aloft & (slot[1] < 0), weight, 0.0)


def _sight(world: World, task: Int64s) -> Float64s:
    """Confidence of the item at both ends of each row: it stays until a step says otherwise."""
    rows, code = world.rows, world.rows.field("sight")
    initial, begin = world.scene.confidence[rows.episode, 0], rows.edge[:-1][rows.episode]
    last = np.maximum.accumulate(np.where(code >= 0, np.arange(len(code)), -1))
    told = np.maximum(last, 0)
    end = np.where(last >= begin, world.scalars[task[told], code[told]], initial)
    start = np.where(np.arange(len(code)) > begin, np.concatenate([[np.nan], end[:-1]]), initial)
    return np.stack([start, end], axis=1)
