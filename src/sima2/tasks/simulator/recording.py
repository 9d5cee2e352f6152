"""What is written down in every control period: the state of the world, and what the controller meant by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from sima2.records.arrays import Bools, Float64s
from sima2.tasks.simulator.physics import ARM, World


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


@dataclass(slots=True)
class Recording:
    """Frames of one episode as they were, before sensor noise; a row a control period."""

    stages: list[Stage] = field(default_factory=list)
    stage: list[int] = field(default_factory=list)
    rows: list[Float64s] = field(default_factory=list)
    """Joint position, velocity, torque; hand; its rotation; width, grip, contact: see :data:`COLUMNS`."""
    bodies: list[Float64s] = field(default_factory=list)
    """Pose of each named body: position and quaternion, shape (k, 7)."""
    touching: list[Bools] = field(default_factory=list)
    """Which bodies touched."""
    loads: list[tuple[float, ...]] = field(default_factory=list)
    """N on each free body."""
    held: list[str] = field(default_factory=list)
    """Body the hand means to hold."""
    strange: list[bool] = field(default_factory=list)
    """Whether the hand moves much faster or slower than any usual one."""

    fault: int = -1
    """Frame from which a grip was made to fail before it held, -1 never."""

    def let_go(self) -> None:
        """From the next frame on the fingers are opened on purpose."""
        self.stages[-1].opened = len(self.rows)

    def write(self, world: World, strange: bool = False) -> None:
        """One frame."""
        self.strange.append(strange)
        data = world.data
        self.stage.append(len(self.stages) - 1)
        self.rows.append(
            np.concatenate(
                [
                    data.qpos[:ARM],
                    data.qvel[:ARM],
                    data.qfrc_actuator[:ARM],
                    world.hand,
                    data.site_xmat[world.tcp],
                    (world.width, world.grip),
                    world.contact,
                ]
            )
        )
        self.bodies.append(np.stack([_pose(world, body) for body in world.scenario.names]))
        self.touching.append(world.touch.copy())
        self.loads.append(tuple(world.load.values()))
        self.held.append(world.held)


COLUMNS: Final[Mapping[str, Any]] = {
    "joint_position": slice(0, 7),
    "joint_velocity": slice(7, 14),
    "joint_torque": slice(14, 21),
    "ee_position": slice(21, 24),
    "rotation": slice(24, 33),
    "gripper_width": 33,
    "grip_force": 34,
    "contact": slice(35, 38),
}


def _pose(world: World, body: str) -> Float64s:
    turn = world.data.xquat[world.body["drawer" if body == "handle" else body]]
    return np.concatenate([world.where(body), turn])
