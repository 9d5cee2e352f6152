"""What is written down in every control period: the state of the world, and what the controller meant by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.tasks.simulator.physics import ARM, World

SUPPORTS: Final = ("world", "target", "bin_a", "bin_b")
"""Bodies that things lie on."""


@dataclass(slots=True)
class Stage:
    """A stage of the controller: what it is doing, to what, and how that ended."""

    label: str
    """One of ``vocabulary.LABELS``."""
    body: str
    """Body concerned, empty for none."""
    recovery: bool
    """Whether a correction is under way."""
    reason: str = ""
    """Why it failed, one of ``vocabulary.REASONS``; empty where it did not."""
    opened: int = -1
    """Frame from which the fingers were opened on purpose, -1 never."""


COLUMNS: Final[Mapping[str, Any]] = {
    "joint_position": slice(0, 7), "joint_velocity": slice(7, 14), "joint_torque": slice(14, 21),
    "ee_position": slice(21, 24), "rotation": slice(24, 33), "gripper_width": 33, "grip_force": 34,
    "contact": slice(35, 38),
}  # fmt: skip
"""Where the columns of a frame's row are."""


class Frame(NamedTuple):
    """One control period as it was, before sensor noise."""

    stage: int
    """Place of its stage among the stages."""
    row: Float64s
    """Joint position, velocity, torque; hand; its rotation; width, grip, contact: see :data:`COLUMNS`."""
    bodies: Float64s
    """Pose of each named body: position and quaternion, shape (k, 7)."""
    touching: Bools
    """Which bodies touched, shape (b, b)."""
    loads: tuple[float, ...]
    """N on each free body."""
    held: str
    """Body the hand means to hold."""
    strange: bool
    """Whether the hand moves much faster or slower than any usual one."""


@dataclass(slots=True)
class Recording:
    """Frames of one episode, and what the controller was about."""

    stages: list[Stage] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    fault: int = -1
    """Frame from which a grip was made to fail before it held, -1 never."""

    def let_go(self) -> None:
        """From the next frame on the fingers are opened on purpose."""
        self.stages[-1].opened = len(self.frames)

    def write(self, world: World, strange: bool) -> None:
        """One frame."""
        data, loads = world.data, tuple(world.load.values())
        arm = (data.qpos[:ARM], data.qvel[:ARM], data.qfrc_actuator[:ARM])
        hand = (world.hand, data.site_xmat[world.tcp], (world.width, world.grip), world.contact)
        row = np.concatenate([*arm, *hand])
        bodies = np.stack([_pose(world, body) for body in world.scenario.names])
        self.frames.append(Frame(len(self.stages) - 1, row, bodies, world.touch.copy(), loads, world.held, strange))


def _pose(world: World, body: str) -> Float64s:
    turn = world.data.xquat[world.body["drawer" if body == "handle" else body]]
    return np.concatenate([world.where(body), turn])


class Played:
    """One episode that was played: the world as it was left, and the columns of its frames as arrays (t of them)."""

    def __init__(self, recording: Recording, world: World) -> None:
        self.world, self.made, self.rate = world, world.scenario, world.scenario.rate_hz
        self.stages, self.fault = recording.stages, recording.fault
        columns = [np.array(each) for each in zip(*recording.frames, strict=True)]
        self.stage, self.rows, self.bodies, self.touching, self.loads, held, self.strange = columns
        self.held: list[str] = held.tolist()
        self.load = np.array([world.body[name] for name in self.held])
        """Number of the body the hand means to hold, shape (t,)."""
        self.contact = np.sqrt(np.square(self.column("contact")).sum(axis=1))
        """N of external force, shape (t,)."""
        self.recovery = np.array([each.recovery for each in self.stages])[self.stage]
        """Whether a correction is under way, shape (t,)."""
        left, right = (self._touched(world.body[name]) for name in ("finger_left", "finger_right"))
        self.gripped: Bools = left & right
        """Whether both fingers touch what the hand means to hold, shape (t,)."""
        self.left = left
        supports = [self._touched(world.body[name]) for name in SUPPORTS if name in world.body]
        self.rests: Bools = np.logical_or.reduce(supports)
        """Whether that touches something to lie on, shape (t,)."""

    def _touched(self, body: int) -> Bools:
        """Whether a body touches what the hand means to hold, shape (t,)."""
        found: Bools = self.touching[np.arange(len(self.load)), body, self.load]
        return found

    def column(self, name: str) -> Float64s:
        """Some columns of the rows."""
        found: Float64s = self.rows[:, COLUMNS[name]]
        return found

    def place(self, body: str) -> Float64s:
        """Where a named body was, m, shape (t, 3)."""
        found: Float64s = self.bodies[:, list(self.made.names).index(body), :3]
        return found

    def slots(self) -> Int64s:
        """Place among the named bodies of what the hand means to hold, shape (t,)."""
        order = list(self.made.names)
        return np.array([order.index("handle" if name == "drawer" else name) for name in self.held])
