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
    state: str
    """What it leaves behind: ``lost`` (the object left the hand), ``held``, ``placed`` (let go at a wrong place),
    ``clear`` (nothing was held yet), ``wiping`` or ``unseen``."""
    strikes: tuple[str, ...]
    """Steps of the script in which it strikes, by the name of their duration (``steps.SCALARS``)."""
    exposes: tuple[str, ...]
    """Conditions that raise its hazard, of ``risk.CONDITIONS``, the strongest first."""
    evidence: str
    """What the world shows of it."""
    channels: tuple[str, ...]
    """Channels that evidence needs."""
    resolves: bool = False
    """It can come right with no attempt."""


def _modes(*rows: FailureMode) -> Mapping[str, FailureMode]:
    return MappingProxyType({row.name: row for row in rows})


FAILURE_MODES: Final = _modes(
    FailureMode(
        "grasp_slip", "gripper_slip", "lost", ("squeeze", "pull"), ("grip", "speed", "alignment"),
        "the object lags behind the hand while the grip force falls",
        ("ee_position", "object_position", "grip_force", "gripper_width"), resolves=True),
    FailureMode(
        "locked_joint", "locked", "held", ("pretension",), ("load", "visibility", "speed"),
        "external force rises while neither hand nor object moves",
        ("contact_force", "ee_position", "joint_torque")),
    FailureMode(
        "collision_with_frame", "collision", "clear", ("descend",), ("clearance", "alignment", "speed"),
        "an external force pulse stops the empty hand before it has reached the handle",
        ("contact_force", "ee_position"), resolves=True),
    FailureMode(
        "drop", "drop", "lost", ("lift",), ("grip", "speed", "height"),
        "the held object leaves the hand, falls at g and hits the ground",
        ("object_position", "grip_force", "gripper_width")),
    FailureMode(
        "misalignment", "misplaced", "placed", ("lower",), ("alignment", "visibility", "speed"),
        "the object rests off its target by more than the tolerance", ("object_position",)),
    FailureMode(
        "unstable_place", "unstable", "placed", ("settle",), ("alignment", "speed", "height"),
        "the object tips or slides after the fingers have let go",
        ("object_position", "object_orientation", "gripper_width")),
    FailureMode(
        "insufficient_force", "insufficient_force", "wiping", ("stroke",), ("load", "alignment", "visibility"),
        "tangential strokes under a contact force below what wiping needs", ("contact_force", "ee_position")),
    FailureMode(
        "missed_patch", "incomplete", "wiping", ("stroke",), ("visibility", "speed", "alignment"),
        "the strokes leave part of the surface uncovered", ("ee_position", "contact_force")),
    FailureMode(
        "tool_loss", "gripper_slip", "lost", ("stroke",), ("grip", "speed", "load"),
        "the tool stays on the surface while the hand moves on", ("ee_position", "object_position", "grip_force")),
    FailureMode(
        "drop_en_route", "drop", "lost", ("carry",), ("grip", "speed", "height"),
        "the held object leaves the moving hand, falls at g and hits the ground",
        ("object_position", "grip_force", "gripper_width")),
    FailureMode(
        "target_obstructed", "obstructed", "held", ("lower",), ("clearance", "visibility", "speed"),
        "an external force stops the descent above the target", ("contact_force", "ee_position", "object_position")),
    FailureMode(
        "wrong_bin", "misplaced", "placed", ("carry",), ("visibility", "speed", "alignment"),
        "the object rests in another bin than the goal's", ("object_position",)),
    FailureMode(
        "bin_full", "obstructed", "placed", ("lower",), ("load", "visibility", "height"),
        "the descent meets contact too high and the object rests outside the bin",
        ("contact_force", "object_position", "ee_position")),
    FailureMode(
        "clutter_collision", "collision", "held", ("carry",), ("clearance", "speed", "visibility"),
        "an external force pulse stops the loaded arm on its way and shoves what it met",
        ("contact_force", "ee_position", "object_position"), resolves=True),
    FailureMode(
        "collision_lock", "collision", "held", ("carry",), ("clearance", "speed", "visibility"),
        "an external force pulse stops the arm, and the force stays", ("contact_force", "ee_position", "joint_torque")),
    FailureMode(
        "occlusion", "timeout", "unseen", ("carry",), ("visibility", "clearance", "alignment"),
        "pose confidence stays low from the chosen view", ("object_confidence",)),
    FailureMode(
        "lost_object", "timeout", "unseen", ("carry",), ("visibility", "alignment", "clearance"),
        "no pose of the object is seen from the chosen view", ("object_position", "object_confidence")),
    FailureMode(
        "tool_drop", "drop", "lost", ("carry",), ("grip", "speed", "height"),
        "the tool falls from the hand on the way to its dock", ("object_position", "grip_force", "gripper_width")),
    FailureMode(
        "slip", "gripper_slip", "lost", ("squeeze",), ("grip", "alignment", "speed"),
        "the object slides out of the closing fingers", ("gripper_width", "grip_force", "ee_position")),
    FailureMode(
        "tool_slip", "gripper_slip", "lost", ("squeeze",), ("grip", "alignment", "visibility"),
        "the new tool stays behind when the fingers close on it", ("gripper_width", "grip_force", "object_position")),
)  # fmt: skip
"""Failure mode to the reason segments give it, the physical evidence and the channels that evidence needs."""
