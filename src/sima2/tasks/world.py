"""What is decided of a batch before a frame is rendered, and the moves in order of time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Float64s, Int64s
from sima2.tasks.design import EpisodePlan
from sima2.tasks.parameters import Tasks
from sima2.tasks.scene import Scene
from sima2.tasks.steps import FIELD
from sima2.tasks.world_settings import PhysicsSettings


@dataclass(slots=True)
class Moves:
    """The moves of a batch, padded to (n, k): a move of no frames does not happen."""

    codes: NDArray[np.int16]
    """The steps' codes by field, shape (fields, n, k)."""
    task: Int64s
    """Row of the task it serves."""
    frames: Int64s
    """Frames it lasts."""
    planned: Int64s
    """Frames it would have lasted uncut."""
    exposure: Int64s
    """Frames in which the hazard may strike."""
    spared: Int64s
    """Frames of the step before those."""
    strange: NDArray[np.int8]
    """0 nominal, 2 kinematic, 3 temporal: index into ("", visual, kinematic, temporal)."""
    event_step: Int64s
    """Step that starts with the failure event, -1 where none occurs, shape (n,)."""
    start: Float64s = field(init=False)
    """Position of the hand and the levels at the start, shape (n, k, 3 + levels)."""
    change: Float64s = field(init=False)
    """Towards where, shape (n, k, 3 + levels)."""
    momentum: Float64s = field(init=False)
    """Initial speed × planned duration, shape (n, k, 3)."""
    object_start: Float64s = field(init=False)
    """shape (n, k, 6, 3)."""
    object_turn: Float64s = field(init=False)
    """Yaw and tilt at the start, rad, shape (n, k, 6, 2)."""
    own_change: Float64s = field(init=False)
    """Displacement and tilt of the object that moves by itself, shape (n, k, 4)."""
    fall_s: Float64s = field(init=False)
    """s of free fall, 0 where nothing falls, shape (n, k)."""
    slot: Int64s = field(init=False)
    """Slots of the two carried objects and of the one that moves by itself, -1 for none, shape (n, k, 3)."""
    final_object: Float64s = field(init=False)
    """Where the objects are in the end, shape (n, 6, 3)."""
    final_turn: Float64s = field(init=False)
    final_hand: Float64s = field(init=False)
    """shape (n, 3 + levels)."""

    def field(self, name: str) -> NDArray[np.int16]:
        """Codes of a field, shape (n, k)."""
        codes: NDArray[np.int16] = self.codes[FIELD[name]]
        return codes


class Rows:
    """The executed moves of a batch in order of time (r of them)."""

    def __init__(self, moves: Moves) -> None:
        self.moves = moves
        happen = moves.frames > 0
        self.episode, self.step = np.nonzero(happen)
        self.frames = moves.frames[happen]
        self.first = np.concatenate([[0], np.cumsum(self.frames)])[:-1]
        """First frame in the batch."""
        self.offset = np.concatenate([[0], np.cumsum(moves.frames.sum(axis=1))])
        """First frame of each episode and one past the last, shape (n + 1,)."""
        self.edge = np.concatenate([[0], np.cumsum(happen.sum(axis=1))])
        """First row of each episode and one past the last, shape (n + 1,)."""

    def gather(self, table: NDArray[Any], which: NDArray[Any] | slice = slice(None)) -> NDArray[Any]:
        """A column of the moves for all rows, shape (r, …), or for those asked for."""
        return table[self.episode[which], self.step[which]]

    def field(self, name: str) -> Int64s:
        """Codes of a field, shape (r,)."""
        codes: Int64s = self.gather(self.moves.field(name)).astype(np.int64)
        return codes


@dataclass(slots=True)
class World:
    """All that was decided of a batch; what follows the moves is added when they are laid out."""

    plan: EpisodePlan
    settings: PhysicsSettings
    generators: list[np.random.Generator]
    score: Float64s
    """Logit of the initial risk, shape (n,)."""
    fragile: Float64s
    """The same with less friction and grip force."""
    conditions: Float64s
    """Shape (n, conditions)."""
    robot: Int64s
    """Index into ARMS, shape (n,)."""
    policy: Int64s
    session: Int64s
    scene: Scene
    tasks: Tasks
    scalars: Float64s
    """Of the tasks, shape (m, len(SCALARS))."""
    vectors: Float64s
    """Of the tasks, shape (m, len(VECTORS), 3)."""
    moves: Moves = field(init=False)
    rows: Rows = field(init=False)
    base: Float64s = field(init=False)
    """Embedding before pose and nonlinearity, shape (n, scene_embedding.WIDTH)."""
    torque_factor: Float64s = field(init=False)
    """Factor on torques during an unusual motion."""
    burst: Float64s = field(init=False)
    """Bursts without poses: slot (-1 none), place in [0, 1), seconds; shape (n, 3)."""
    nominal: Float64s = field(init=False)
    """Uniform draw that designates reference episodes."""

    def slots_of(self, name: str) -> Int64s:
        """Slot of the object whose role a field names, at each row; -1 for none."""
        role = self.rows.field(name)
        slot = self.tasks.roles[self.rows.gather(self.moves.task), np.maximum(role, 0)]
        return np.where(role >= 0, slot, -1)
