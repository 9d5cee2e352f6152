"""Which channels robots may lack: the same rollouts without forces, without poses, with joints and gripper alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sima2.records.rollout import ARM_CHANNELS, OBJECT_CHANNELS, SCENE_CHANNELS, RolloutBatch

_JOINTS: Final = ("joint_position", "joint_velocity", "gripper_width", "gripper_opening")
CHANNEL_SETS: Final[Mapping[str, tuple[str, ...]]] = {
    "full": (),
    "without_force": ("grip_force", "contact_force", "joint_torque", "effort_proxy"),
    "without_object_poses": ("objects",),
    "joints_and_gripper": (
        *(name for name in (*ARM_CHANNELS, *OBJECT_CHANNELS, *SCENE_CHANNELS) if name not in _JOINTS), "objects",
    ),
}  # fmt: skip
"""What is taken away."""


def with_channels(batch: RolloutBatch, name: str) -> RolloutBatch:
    """A batch with one of the sets of channels."""
    absent = CHANNEL_SETS[name]
    return batch.without(*absent) if absent else batch
