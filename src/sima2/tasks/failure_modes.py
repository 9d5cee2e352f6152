"""Ways to fail: what segments call them, what shows them, which channels that needs, and what they leave behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class FailureMode:
    """A way to fail and how it is known."""

    name: str
    reason: str
    """``failure_reason`` of the segment it ends, one of ``vocabulary.REASONS``."""
    evidence: str
    """What the world shows of it."""
    channels: tuple[str, ...]
    """Channels that evidence needs."""
    exposes: tuple[str, ...]
    """Conditions that raise its hazard, of ``risk.CONDITIONS``, the strongest first."""
    state: str
    """What it leaves behind: ``lost`` (the object left the hand), ``held`` or ``placed`` (let go at a wrong place)."""
    resolves: bool = False
    """It can come right with no attempt."""


def _modes(*rows: FailureMode) -> Mapping[str, FailureMode]:
    return MappingProxyType({row.name: row for row in rows})


FAILURE_MODES: Final[Mapping[str, FailureMode]] = _modes(
    FailureMode(
        "grasp_slip",
        "gripper_slip",
        "the object lags behind the hand while the grip force falls",
        ("ee_position", "object_position", "grip_force", "gripper_width"),
        ("grip", "speed", "alignment"),
        "lost",
        resolves=True,
    ),
    FailureMode(
        "locked_joint",
        "locked",
        "external force rises while neither hand nor object moves",
        ("contact_force", "ee_position", "joint_torque"),
        ("load", "visibility", "speed"),
        "held",
    ),
    FailureMode(
        "collision_with_frame",
        "collision",
        "an external force pulse stops the empty hand before it has reached the handle",
        ("contact_force", "ee_position"),
        ("clearance", "alignment", "speed"),
        "clear",
        resolves=True,
    ),
    FailureMode(
        "drop",
        "drop",
        "the held object leaves the hand, falls at g and hits the ground",
        ("object_position", "grip_force", "gripper_width"),
        ("grip", "speed", "height"),
        "lost",
    ),
    FailureMode(
        "misalignment",
        "misplaced",
        "the object rests off its target by more than the tolerance",
        ("object_position",),
        ("alignment", "visibility", "speed"),
        "placed",
    ),
    FailureMode(
        "unstable_place",
        "unstable",
        "the object tips or slides after the fingers have let go",
        ("object_position", "object_orientation", "gripper_width"),
        ("alignment", "speed", "height"),
        "placed",
    ),
    FailureMode(
        "insufficient_force",
        "insufficient_force",
        "tangential strokes under a contact force below what wiping needs",
        ("contact_force", "ee_position"),
        ("load", "alignment", "visibility"),
        "wiping",
    ),
    FailureMode(
        "missed_patch",
        "incomplete",
        "the strokes leave part of the surface uncovered",
        ("ee_position", "contact_force"),
        ("visibility", "speed", "alignment"),
        "wiping",
    ),
    FailureMode(
        "tool_loss",
        "gripper_slip",
        "the tool stays on the surface while the hand moves on",
        ("ee_position", "object_position", "grip_force"),
        ("grip", "speed", "load"),
        "lost",
    ),
    FailureMode(
        "drop_en_route",
        "drop",
        "the held object leaves the moving hand, falls at g and hits the ground",
        ("object_position", "grip_force", "gripper_width"),
        ("grip", "speed", "height"),
        "lost",
    ),
    FailureMode(
        "target_obstructed",
        "obstructed",
        "an external force stops the descent above the target",
        ("contact_force", "ee_position", "object_position"),
        ("clearance", "visibility", "speed"),
        "held",
    ),
    FailureMode(
        "wrong_bin",
        "misplaced",
        "the object rests in another bin than the goal's",
        ("object_position",),
        ("visibility", "speed", "alignment"),
        "placed",
    ),
    FailureMode(
        "bin_full",
        "obstructed",
        "the descent meets contact too high and the object rests outside the bin",
        ("contact_force", "object_position", "ee_position"),
        ("load", "visibility", "height"),
        "placed",
    ),
    FailureMode(
        "clutter_collision",
        "collision",
        "an external force pulse stops the loaded arm on its way and shoves what it met",
        ("contact_force", "ee_position", "object_position"),
        ("clearance", "speed", "visibility"),
        "held",
        resolves=True,
    ),
    FailureMode(
        "collision_lock",
        "collision",
        "an external force pulse stops the arm, and the force stays",
        ("contact_force", "ee_position", "joint_torque"),
        ("clearance", "speed", "visibility"),
        "held",
    ),
    FailureMode(
        "occlusion",
        "timeout",
        "pose confidence stays low from the chosen view",
        ("object_confidence",),
        ("visibility", "clearance", "alignment"),
        "unseen",
    ),
    FailureMode(
        "lost_object",
        "timeout",
        "no pose of the object is seen from the chosen view",
        ("object_position", "object_confidence"),
        ("visibility", "alignment", "clearance"),
        "unseen",
    ),
    FailureMode(
        "tool_drop",
        "drop",
        "the tool falls from the hand on the way to its dock",
        ("object_position", "grip_force", "gripper_width"),
        ("grip", "speed", "height"),
        "lost",
    ),
    FailureMode(
        "slip",
        "gripper_slip",
        "the object slides out of the closing fingers",
        ("gripper_width", "grip_force", "ee_position"),
        ("grip", "alignment", "speed"),
        "lost",
    ),
    FailureMode(
        "tool_slip",
        "gripper_slip",
        "the new tool stays behind when the fingers close on it",
        ("gripper_width", "grip_force", "object_position"),
        ("grip", "alignment", "visibility"),
        "lost",
    ),
)
"""Failure mode to the reason segments give it, the physical evidence and the channels that evidence needs."""
