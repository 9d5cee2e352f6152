"""What the name of a column says: its side, and what kind of column it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

SIDES: Final = {"left": "left", "l": "left", "right": "right", "r": "right"}
_GRIPPER: Final = frozenset({"gripper", "grip", "claw", "jaw"})
_FINGERS: Final = frozenset({"hand", "finger", "thumb", "pinky", "little", "knuckle"})
_BODY: Final = frozenset({"head", "neck", "hip", "knee", "ankle", "leg", "wheel", "base", "theta", "foot"})
_TORSO: Final = frozenset({"waist", "torso", "trunk"})
_IGNORED: Final = frozenset(
    {"pad", "padding", "reserved", "unused", "effort", "current", "temperature", "voltage", "rx", "ry", "rz"}
)
AXES: Final = {"x": 0, "y": 1, "z": 2}
TURNS: Final = {"roll": 0, "pitch": 1, "yaw": 2}
QUATERNION: Final = {"qw": 0, "qx": 1, "qy": 2, "qz": 3}
_POSE_WORDS: Final = frozenset({"ee", "eef", "tcp", "pose", "position", "pos", "cartesian", "end", "effector", "tool"})


def tokens(name: str) -> tuple[str, ...]:
    """Words of a column's name.

    >>> tokens("kLeftHandThumbBend"), tokens("shoulder_pan.pos"), tokens("joint1")
    (('left', 'hand', 'thumb', 'bend'), ('shoulder', 'pan', 'pos'), ('joint', '1'))
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])", " ", name)
    words = [word.lower() for word in re.split(r"[\s_./\-:\[\]()]+", spaced) if word]
    return tuple(words[1:] if words[:1] == ["k"] and len(words) > 1 else words)


def side_of(words: Sequence[str]) -> str:
    """``left``, ``right`` or empty.

    >>> side_of(("left", "waist")), side_of(("wrist", "roll"))
    ('left', '')
    """
    whole = next((word for word in words if word in ("left", "right")), "")
    return whole or (SIDES.get(words[0], "") if len(words) > 1 else "")


def kind_of(words: Sequence[str]) -> str:
    """What a column of a state is, by its words.

    >>> [kind_of(tokens(name)) for name in ("kLeftElbow", "gripper.pos", "z", "pitch", "wrist_pitch", "x.vel", "pad")]
    ['joint_position', 'gripper', 'ee_position', 'rpy', 'joint_position', 'body', 'ignored']
    """
    bare = [word for word in words if word not in SIDES]
    have = set(bare)
    if not bare or have & _IGNORED:
        return "ignored"
    if have & _BODY:
        return "body"
    moves = bool(have & {"vel", "velocity", "qvel", "speed"})
    core = [word for word in bare if word not in _POSE_WORDS and word not in ("vel", "velocity", "speed")]
    if core and all(word in AXES for word in core):
        return "body" if moves else "ee_position"
    if core and all(word in QUATERNION for word in core):
        return "quat"
    if core and all(word in TURNS for word in core):
        return "body" if moves else "rpy"
    if have & {"torque", "tau"}:
        return "joint_torque"
    if moves:
        return "joint_velocity"
    if have & _FINGERS and not have & {"wrist"}:
        return "finger"
    if have & _GRIPPER:
        return "gripper"
    return "torso" if have & _TORSO else "joint_position"
