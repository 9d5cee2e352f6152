"""What the name of a column says: its side, and what kind of column it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

SIDES: Final = {"left": "left", "l": "left", "right": "right", "r": "right"}
_GRIPPER: Final = frozenset(
    {"gripper", "grip", "claw", "jaw", "effector", "trigger", "drive", "夹爪", "robotiq", "wsg", "2f85", "2f140"}
)
_FINGERS: Final = frozenset({"hand", "finger", "fingers", "thumb", "pinky", "little", "knuckle"})
_BODY: Final = frozenset(
    {"head", "neck", "hip", "knee", "ankle", "leg", "wheel", "base", "theta", "foot", "odom", "odometry", "chassis"}
)
_OF_A_BASE: Final = frozenset({"base", "pos", "position", "joint", "rotation", "rotate", "pan", "yaw"})
"""With no other words the base is the first joint of an arm, and no vehicle's."""
_TORSO: Final = frozenset({"waist", "torso", "trunk"})
_JOINTS: Final = frozenset(
    {"joint", "joints", "j", "q", "qpos", "shoulder", "elbow", "wrist", "forearm", "upperarm", "arm", "pan", "tilt"}
    | {"lift", "flex", "rotate", "rotation", "swivel", "axis", "dof", "panda", "iiwa", "bend", "bicep", "link"}
)
_STRANGERS: Final = frozenset(
    {
        "pad",
        "padding",
        "reserved",
        "unused",
        "effort",
        "eff",
        "ext",
        "current",
        "temperature",
        "temp",
        "voltage",
        "battery",
        "power",
    }
    | {"rx", "ry", "rz", "force", "forces", "wrench", "ft", "fx", "fy", "fz", "tx", "ty", "tz", "imu", "acc", "accel"}
    | {"acceleration", "gyro", "mag", "time", "timestamp", "stamp", "flag", "done", "success", "contact", "touch"}
    | {"tactile", "pressure", "mode", "error", "status", "id", "count", "counter", "gps", "range", "button", "key"}
    | {"joystick", "weight", "load", "humidity", "lidar", "laser", "enabled", "valid", "ok", "reward", "6d", "rot6d"}
    | {"drawer", "door", "cabinet", "cube", "object", "obj", "block", "target", "goal"}
    | {"cos", "sin", "leader", "master", "ticks", "counts", "intervention"}
)
AXES: Final = {"x": 0, "y": 1, "z": 2}
TURNS: Final = {"roll": 0, "pitch": 1, "yaw": 2}
QUATERNION: Final = {"qw": 0, "qx": 1, "qy": 2, "qz": 3}
_EULER: Final = frozenset({"euler", "rpy"})
_SLIDES: Final = frozenset(
    {"lift", "slide", "slider", "linear", "prismatic", "elevator", "rail", "gantry", "height", "carriage"}
)
_TURNING: Final = frozenset({"shoulder", "elbow", "wrist", "forearm"})
_TURNED: Final = {"w": "qw", "x": "qx", "y": "qy", "z": "qz"}
_QUATERNION_WORDS: Final = frozenset({"quat", "quaternion", "orientation", "ori", "rot", "q"})
_POSE_WORDS: Final = frozenset(
    {"ee", "eef", "tcp", "pose", "position", "pos", "cartesian", "end", "effector", "tool", "hand", "flange"}
)
_SPEEDS: Final = frozenset({"vel", "velocity", "qvel", "speed", "dq"})
_TORQUES: Final = frozenset({"torque", "tau", "trq"})
SAYS_NOTHING: Final = frozenset(
    {"motor", "motors", "state", "states", "dim", "obs", "observation", "feature", "value", "channel", "robot"}
    | {"data", "pos", "position", "main", "main_follower", "col", "column", "s", "joint", "joints", "j", "q", "qpos"}
)
"""Words that every column of a set may bear, whatever it is."""
UNIT_WORDS: Final = {
    "deg": "deg",
    "degree": "deg",
    "degrees": "deg",
    "rad": "rad",
    "radian": "rad",
    "radians": "rad",
    "mm": "mm",
    "cm": "cm",
    "m": "m",
    "turn": "turn",
    "turns": "turn",
    "rev": "turn",
}
"""Words that name a unit."""
UNKNOWN: Final = "unknown"
"""Kind of a column whose name is not understood."""
STRANGER: Final = "ignored"
"""Kind of a column that is neither a joint nor a gripper nor a pose, as its name says."""


def tokens(name: str) -> tuple[str, ...]:
    """Words of a column's name.

    >>> tokens("kLeftHandThumbBend"), tokens("shoulder_pan.pos"), tokens("joint1")
    (('left', 'hand', 'thumb', 'bend'), ('shoulder', 'pan', 'pos'), ('joint', '1'))
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[^\W\d_])(?=[0-9])", " ", name)
    words = [word.lower() for word in re.split(r"[\s_./\-:\[\]()]+", spaced) if word]
    return tuple(words[1:] if words[:1] == ["k"] and len(words) > 1 else words)


def side_of(words: Sequence[str]) -> str:
    """``left``, ``right`` or empty.

    >>> side_of(("left", "waist")), side_of(("wrist", "roll"))
    ('left', '')
    """
    whole = next((word for word in words if word in ("left", "right")), "")
    return whole or (SIDES.get(words[0], "") if len(words) > 1 else "")


def says_nothing(words: Sequence[str]) -> bool:
    """Whether a name is a number, or a word that any column may bear with a number.

    >>> says_nothing(tokens("joint_3")), says_nothing(tokens("7")), says_nothing(tokens("elbow"))
    (True, True, False)
    """
    return all(word.isdigit() or word in SAYS_NOTHING for word in words if word not in SIDES)


def unit_of(words: Sequence[str]) -> str:
    """The unit that a name states, or empty."""
    return next((UNIT_WORDS[word] for word in words if word in UNIT_WORDS), "")


def names_a_part(words: Sequence[str]) -> bool:
    """Whether a joint is named after the part of an arm that it moves."""
    return bool(set(words) & (_TURNING | _TORSO | {"pan", "tilt"}))


def slides(words: Sequence[str]) -> bool:
    """Whether a joint slides instead of turning, as its name says.

    >>> slides(tokens("torso_lift")), slides(tokens("shoulder_lift"))
    (True, False)
    """
    return bool(set(words) & _SLIDES) and not set(words) & _TURNING


def quaternion_axis(words: Sequence[str]) -> int | None:
    """Place in w x y z of a column of an orientation.

    >>> [quaternion_axis(tokens(name)) for name in ("qx", "ee_quat_w", "rot.z", "x")]
    [1, 0, 3, None]
    """
    direct = next((QUATERNION[word] for word in words if word in QUATERNION), None)
    if direct is not None or not set(words) & _QUATERNION_WORDS:
        return direct
    letter = next((word for word in reversed(words) if word in _TURNED), None)
    return None if letter is None else QUATERNION[_TURNED[letter]]


def kind_of(words: Sequence[str]) -> str:
    """What a column of a state is, by its words; ``unknown`` where none is understood.

    >>> [kind_of(tokens(name)) for name in ("kLeftElbow", "gripper.pos", "z", "pitch", "wrist_pitch", "x.vel", "pad")]
    ['joint_position', 'gripper', 'ee_position', 'rpy', 'joint_position', 'body', 'ignored']
    >>> [kind_of(tokens(name)) for name in ("base.pos", "base_x", "base.vel", "base_pos_1")]
    ['joint_position', 'body', 'body', 'body']
    >>> [kind_of(tokens(name)) for name in ("joint_2.temp", "ee_quat_w", "drive_joint", "Drehung_3", "joint_2.torque")]
    ['ignored', 'quat', 'gripper', 'unknown', 'joint_torque']
    """
    bare = [word for word in words if word not in SIDES]
    have = set(bare)
    if not bare or have & _STRANGERS or {"axis", "angle"} <= have:
        return STRANGER
    if have & _BODY and not (have & _BODY == {"base"} and have <= _OF_A_BASE):
        return "body"
    moves = bool(have & _SPEEDS)
    core = [word for word in bare if word not in _POSE_WORDS and word not in _SPEEDS and word not in UNIT_WORDS]
    if core and all(word in AXES for word in core):
        return "body" if moves else "ee_position"
    if have & _EULER and any(word in AXES or word in TURNS for word in core):
        return "rpy"
    turned = [word in QUATERNION or word in _QUATERNION_WORDS or word in _TURNED for word in core]
    if core and all(turned) and quaternion_axis(bare) is not None:
        return "quat"
    if core and all(word in TURNS for word in core):
        return "body" if moves else "rpy"
    what = [word for word in bare if word not in _SPEEDS and word not in _TORQUES and word not in UNIT_WORDS]
    known = (
        bool(have & _JOINTS)
        or says_nothing(what)
        or "base" in have
        or any(word.startswith(tuple(_TURNING)) for word in what)
    )
    if moves or have & _TORQUES:
        if not known or have & (_GRIPPER | _FINGERS):
            return STRANGER
        return "joint_velocity" if moves else "joint_torque"
    if have & _FINGERS and not have & {"wrist"}:
        return "finger"
    if have & _GRIPPER:
        return "gripper"
    if have & _TORSO:
        return "torso"
    return "joint_position" if known or bool(have & set(TURNS)) else UNKNOWN
