"""What the frames are rendered from and into: rows of executed moves, columns of numbers, room for the channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.records.vocabulary import LABELS
from sima2.tasks import scene_embedding
from sima2.tasks.chain import Moves
from sima2.tasks.families import SCENE_OBJECTS
from sima2.tasks.kinematics import JOINTS
from sima2.tasks.scene import Scene
from sima2.tasks.world_settings import PhysicsSettings

LET_GO_S: Final = 0.1
"""s for a contact force to vanish when what carried it is gone."""
SNAP_S: Final = 0.25
"""s for fingers to close when what was between them is gone."""


@dataclass(frozen=True, slots=True)
class Bodies:
    """What of an episode does not change while it runs (n of them)."""

    robot: Int64s
    """Index into ARMS."""
    noise: Float64s
    """Factor on the sensor noise of the session."""
    lag: Int64s
    """Frames by which object poses come late."""
    base: Float64s
    """Embedding before pose and nonlinearity, shape (n, scene_embedding.WIDTH)."""
    torque_factor: Float64s
    """Factor on torques during an unusual motion."""
    burst: Float64s
    """Bursts without poses: slot (-1 none), place in [0, 1), seconds; shape (n, 3)."""


@dataclass(slots=True)
class Channels:
    """The frames of a batch (T of them), filled chunk by chunk."""

    time: Float64s
    joint_position: Float32s
    joint_velocity: Float32s
    joint_torque: Float32s
    ee_position: Float32s
    ee_orientation: Float32s
    gripper_width: Float32s
    grip_force: Float32s
    contact_force: Float32s
    object_position: Float32s
    object_orientation: Float32s
    object_confidence: Float32s
    embedding: Float32s
    action: Float32s

    @classmethod
    def blank(cls, frames: int) -> Channels:
        """Room for that many frames."""

        def room(*tail: int) -> Float32s:
            return np.empty((frames, *tail), np.float32)

        return cls(
            np.empty(frames), room(JOINTS), room(JOINTS), room(JOINTS), room(3), room(4), room(), room(), room(),
            room(SCENE_OBJECTS, 3), room(SCENE_OBJECTS, 4), room(SCENE_OBJECTS), room(scene_embedding.WIDTH), room(4),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rows:
    """The executed moves of a batch in order of time (r of them)."""

    episode: Int64s
    step: Int64s
    frames: Int64s
    first: Int64s
    """First frame in the batch."""
    offset: Int64s
    """First frame of each episode and one past the last, shape (n + 1,)."""
    edge: Int64s
    """First row of each episode and one past the last, shape (n + 1,)."""

    @classmethod
    def of(cls, moves: Moves) -> Rows:
        """Rows of all moves that happen."""
        episode, step = np.nonzero(moves.frames > 0)
        frames = moves.frames[episode, step]
        offset = np.concatenate([[0], np.cumsum(moves.frames.sum(axis=1))])
        edge = np.concatenate([[0], np.cumsum((moves.frames > 0).sum(axis=1))])
        return cls(episode, step, frames, np.concatenate([[0], np.cumsum(frames)])[:-1], offset, edge)

    def gather(self, table: NDArray[Any]) -> NDArray[Any]:
        """A column of the moves, shape (r, …)."""
        return table[self.episode, self.step]


@dataclass(slots=True)
class Columns:
    """What the frames need of the rows, as single-precision columns."""

    start: Float32s
    """Transposed: shape (8, r)."""
    change: Float32s
    momentum: Float32s
    arc: Float32s
    scale: Float32s
    """1 / planned frames."""
    direction: Float32s
    """shape (3, r)."""
    impulse: Float64s
    objects: Float32s
    """shape (r, 18)."""
    attitude: Float32s
    """Quaternions, shape (r, 24)."""
    turn: Float64s
    slot: Int64s
    own: Int64s
    own_change: Float64s
    fall_s: Float64s
    weight: Float32s
    """N of what is carried off its support."""
    sight: Float64s
    """Confidence of the item at the start and end, shape (r, 2)."""
    strange: NDArray[np.int8]
    sudden: Float32s
    """Of width, grip and external force: s within which they change, 0 for the whole move; shape (3, r)."""


def columns_of(
    moves: Moves, rows: Rows, scene: Scene, scalars: Float64s, vectors: Float64s, settings: PhysicsSettings
) -> Columns:
    task = rows.gather(moves.task)

    def single(table: NDArray[Any]) -> Float32s:
        return np.ascontiguousarray(table, np.float32)

    def field(name: str) -> Int64s:
        return rows.gather(moves.field(name)).astype(np.int64)

    objects, turn = rows.gather(moves.object_start), rows.gather(moves.object_turn)
    half_yaw, half_tilt = 0.5 * turn[:, :, 0], 0.5 * turn[:, :, 1]
    cy, sy, ct, st = np.cos(half_yaw), np.sin(half_yaw), np.cos(half_tilt), np.sin(half_tilt)
    attitude = np.stack([cy * ct, cy * st, sy * st, sy * ct], axis=2)
    attitude[scene.code[rows.episode] < 0] = np.nan
    objects[scene.code[rows.episode] < 0] = np.nan
    slot = np.stack([rows.gather(each) for each in moves.slot])
    start, change = rows.gather(moves.start), rows.gather(moves.change)
    pulse = field("pulse")
    return Columns(
        start=single(start.T),
        change=single(change.T),
        momentum=single(rows.gather(moves.momentum).T),
        arc=single(rows.gather(moves.arc)),
        scale=single(1.0 / rows.gather(moves.planned)),
        direction=single(_unit(vectors[task, field("direction")]).T),
        impulse=np.where(pulse > 0, scalars[task, pulse], 0.0),
        objects=single(objects.reshape(len(objects), 3 * SCENE_OBJECTS)),
        attitude=single(attitude.reshape(len(attitude), 4 * SCENE_OBJECTS)),
        turn=turn,
        slot=slot,
        own=field("own"),
        own_change=rows.gather(moves.own_change),
        fall_s=rows.gather(moves.fall_s),
        weight=single(_carried_weight(objects, slot, change[:, 2], scene, rows, settings)),
        sight=_sight(field("sight"), task, scene, scalars, rows),
        strange=rows.gather(moves.strange),
        sudden=_sudden(field("label"), start[:, 5:], change[:, 5:]),
    )


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


def _carried_weight(
    objects: Float64s, slot: Int64s, rise: Float64s, scene: Scene, rows: Rows, settings: PhysicsSettings
) -> Float64s:
    """Weight of the object in the hand while it is off its support."""
    held = np.maximum(slot[0], 0)
    each = np.arange(len(held))
    aloft = objects[each, held, 2] + np.maximum(rise, 0.0) > scene.rest[rows.episode, held] + 0.03
    drawer = slot[1] >= 0
    weight = settings.gravity * scene.mass[rows.episode, held]
    return np.where((slot[0] >= 0) & aloft & ~drawer, weight, 0.0)


def _sight(code: Int64s, task: Int64s, scene: Scene, scalars: Float64s, rows: Rows) -> Float64s:
    """Confidence of the item at both ends of each row: it stays until a step says otherwise."""
    initial = scene.confidence[rows.episode, 0]
    place = np.where(code >= 0, np.arange(len(code)), -1)
    begin = rows.edge[:-1][rows.episode]
    last = np.maximum.accumulate(np.where(place >= 0, place, -1))
    end = np.where(last >= begin, scalars[task[np.maximum(last, 0)], code[np.maximum(last, 0)]], initial)
    start = np.where(np.arange(len(code)) > begin, np.concatenate([[np.nan], end[:-1]]), initial)
    return np.stack([start, end], axis=1)
