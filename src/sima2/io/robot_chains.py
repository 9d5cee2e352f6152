"""How robots in common use are built, as numbers: the joints from base to hand, their limits, who published them.

Rows hold measures, no file of anyone's: nothing is fetched, and numpy suffices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from sima2.io.kinematics import Chain, Step, rpy, transform

Vector = tuple[float, float, float]

_NONE: Final[Vector] = (0.0, 0.0, 0.0)
_X: Final[Vector] = (1.0, 0.0, 0.0)
_Y: Final[Vector] = (0.0, 1.0, 0.0)
_Z: Final[Vector] = (0.0, 0.0, 1.0)
_UP: Final[Vector] = (math.pi / 2, 0.0, 0.0)
_DOWN: Final[Vector] = (-math.pi / 2, 0.0, 0.0)
_PI: Final = math.pi
_TAU: Final = math.tau


class JointRow(NamedTuple):
    """A joint that turns, and what rigidly leads to it from the one before."""

    names: tuple[str, ...]
    """By any of which a column is known, without side and robot; the first is the description's."""
    shift: Vector
    """m, in the frame of the joint before."""
    turn: Vector
    """Roll, pitch, yaw about the fixed x, y, z of that frame, rad."""
    axis: Vector
    low: float
    """rad."""
    high: float


@dataclass(frozen=True, slots=True)
class ArmRow:
    """An arm: a row of numbers, and where they are from."""

    title: str
    """The robot, as one says it."""
    base: str
    """What the pose is told in the frame of."""
    tip: str
    """What the pose is of."""
    joints: tuple[JointRow, ...]
    tip_shift: Vector
    """m, from the last joint."""
    tip_turn: Vector
    source: str
    """Who published the numbers."""
    licence: str
    """… and under which licence."""

    def chain(self, columns: Mapping[str, int]) -> Chain:
        """The chain, given the column of ``joint_position`` of each joint by its first name."""
        steps = tuple(
            Step(
                name=joint.names[0],
                before=transform(joint.shift, rpy(*joint.turn)),
                moves="turns",
                axis=joint.axis,
                column=columns[joint.names[0]],
                factor=1.0,
                offset=0.0,
                limits=(joint.low, joint.high),
            )
            for joint in self.joints
        )
        return Chain(steps, transform(self.tip_shift, rpy(*self.tip_turn)))


def _numbered(*joints: tuple[Vector, Vector, float, float]) -> tuple[JointRow, ...]:
    """Joints 1, 2, …, each about its own z."""
    return tuple(
        JointRow((f"joint{k}",), shift, turn, _Z, *limits) for k, (shift, turn, *limits) in enumerate(joints, 1)
    )


def _franka(title: str, limits: tuple[tuple[float, float], ...]) -> ArmRow:
    links = (
        ((0.0, 0.0, 0.333), _NONE),
        (_NONE, _DOWN),
        ((0.0, -0.316, 0.0), _UP),
        ((0.0825, 0.0, 0.0), _UP),
        ((-0.0825, 0.384, 0.0), _DOWN),
        (_NONE, _UP),
        ((0.088, 0.0, 0.0), _UP),
    )
    return ArmRow(
        title=title,
        base="its base",
        tip="the point between the Franka Hand's fingertips (another tool: a point 0.21 m along the last axis)",
        joints=_numbered(*((*link, *limit) for link, limit in zip(links, limits, strict=True))),
        tip_shift=(0.0, 0.0, 0.107 + 0.1034),
        tip_turn=(0.0, 0.0, -math.pi / 4),
        source="frankaemika/franka_description",
        licence="Apache-2.0",
    )


PANDA: Final = _franka(
    "Franka Panda",
    (
        (-2.8973, 2.8973),
        (-1.7628, 1.7628),
        (-2.8973, 2.8973),
        (-3.0718, -0.0698),
        (-2.8973, 2.8973),
        (-0.0175, 3.7525),
        (-2.8973, 2.8973),
    ),
)
FR3: Final = _franka(
    "Franka Research 3",
    (
        (-2.7437, 2.7437),
        (-1.7837, 1.7837),
        (-2.9007, 2.9007),
        (-3.0421, -0.1518),
        (-2.8065, 2.8065),
        (0.5445, 4.5169),
        (-3.0159, 3.0159),
    ),
)


def _ur(title: str, height: float, upper: float, fore: float, wrists: Vector) -> ArmRow:
    """An arm of Universal Robots by its lengths in m: of the shoulder, the two links, and from wrist to wrist."""
    return ArmRow(
        title=f"{title} of Universal Robots, as built on paper (calibrated ones differ by some mm)",
        base="the controller's base",
        tip="the flange",
        joints=(
            JointRow(("shoulder_pan", "base"), (0.0, 0.0, height), _NONE, _Z, -_TAU, _TAU),
            JointRow(("shoulder_lift", "shoulder"), _NONE, _UP, _Z, -_TAU, _TAU),
            JointRow(("elbow",), (-upper, 0.0, 0.0), _NONE, _Z, -_PI, _PI),
            JointRow(("wrist_1",), (-fore, 0.0, wrists[0]), _NONE, _Z, -_TAU, _TAU),
            JointRow(("wrist_2",), (0.0, -wrists[1], 0.0), _UP, _Z, -_TAU, _TAU),
            JointRow(("wrist_3",), (0.0, wrists[2], 0.0), _DOWN, _Z, -_TAU, _TAU),
        ),
        tip_shift=_NONE,
        tip_turn=_NONE,
        source="UniversalRobots/Universal_Robots_ROS2_Description",
        licence="BSD-3-Clause",
    )


UR: Final[Mapping[str, ArmRow]] = MappingProxyType(
    {
        "ur3": _ur("the UR3", 0.1519, 0.24365, 0.21325, (0.11235, 0.08535, 0.0819)),
        "ur3e": _ur("the UR3e", 0.15185, 0.24355, 0.2132, (0.13105, 0.08535, 0.0921)),
        "ur5": _ur("the UR5", 0.089159, 0.425, 0.39225, (0.10915, 0.09465, 0.0823)),
        "ur5e": _ur("the UR5e", 0.1625, 0.425, 0.3922, (0.1333, 0.0997, 0.0996)),
        "ur10": _ur("the UR10", 0.1273, 0.612, 0.5723, (0.163941, 0.1157, 0.0922)),
        "ur10e": _ur("the UR10e", 0.1807, 0.6127, 0.57155, (0.17415, 0.11985, 0.11655)),
        "ur16e": _ur("the UR16e", 0.1807, 0.4784, 0.36, (0.17415, 0.11985, 0.11655)),
    }
)
"""By the model's name."""


def _xarm(title: str, joints: tuple[JointRow, ...]) -> ArmRow:
    return ArmRow(
        title=title,
        base="its base",
        tip="the flange",
        joints=joints,
        tip_shift=_NONE,
        tip_turn=_NONE,
        source="xArm-Developer/xarm_ros",
        licence="BSD-3-Clause",
    )


XARM6: Final = _xarm(
    "UFACTORY xArm 6",
    _numbered(
        ((0.0, 0.0, 0.267), _NONE, -_TAU, _TAU),
        (_NONE, _DOWN, -2.059, 2.0944),
        ((0.0535, -0.2845, 0.0), _NONE, -3.927, 0.19198),
        ((0.0775, 0.3425, 0.0), _DOWN, -_TAU, _TAU),
        (_NONE, _UP, -1.69297, _PI),
        ((0.076, 0.097, 0.0), _DOWN, -_TAU, _TAU),
    ),
)
XARM7: Final = _xarm(
    "UFACTORY xArm 7",
    _numbered(
        ((0.0, 0.0, 0.267), _NONE, -_TAU, _TAU),
        (_NONE, _DOWN, -2.059, 2.0944),
        ((0.0, -0.293, 0.0), _UP, -_TAU, _TAU),
        ((0.0525, 0.0, 0.0), _UP, -0.19198, 3.927),
        ((0.0775, -0.3425, 0.0), _UP, -_TAU, _TAU),
        (_NONE, _UP, -1.69297, _PI),
        ((0.076, 0.097, 0.0), _DOWN, -_TAU, _TAU),
    ),
)

VX300S: Final = ArmRow(
    title="ViperX 300 6DOF",
    base="its own base",
    tip="the point between the gripper's fingertips",
    joints=(
        JointRow(("waist",), (0.0, 0.0, 0.079), _NONE, _Z, -3.14158, 3.14158),
        JointRow(("shoulder",), (0.0, 0.0, 0.04805), _NONE, _Y, -1.85005, 1.25664),
        JointRow(("elbow",), (0.05955, 0.0, 0.3), _NONE, _Y, -1.76278, 1.6057),
        JointRow(("forearm_roll",), (0.2, 0.0, 0.0), _NONE, _X, -3.14158, 3.14158),
        JointRow(("wrist_angle",), (0.1, 0.0, 0.0), _NONE, _Y, -1.8675, 2.23402),
        JointRow(("wrist_rotate",), (0.069744, 0.0, 0.0), _NONE, _X, -3.14158, 3.14158),
    ),
    tip_shift=(0.042825 + 0.025875 + 0.0385, 0.0, 0.0),
    tip_turn=_NONE,
    source="Interbotix/interbotix_ros_manipulators",
    licence="BSD-3-Clause",
)

SO101: Final = ArmRow(
    title="SO-101 calibrated to the middle of each joint's range (the SO-100 has the same lengths)",
    base="its base",
    tip="the point between the gripper's fingertips",
    joints=(
        JointRow(("shoulder_pan",), (0.0388353, 0.0, 0.0624), (3.14159, 0.0, -3.14159), _Z, -1.91986, 1.91986),
        JointRow(("shoulder_lift",), (-0.0303992, -0.0182778, -0.0542), (-1.5708, -1.5708, 0.0), _Z, -1.74533, 1.74533),
        JointRow(("elbow_flex",), (-0.11257, -0.028, 0.0), (0.0, 0.0, 1.5708), _Z, -1.69, 1.69),
        JointRow(("wrist_flex",), (-0.1349, 0.0052, 0.0), (0.0, 0.0, -1.5708), _Z, -1.65806, 1.65806),
        JointRow(("wrist_roll",), (0.0, -0.0611, 0.0181), (1.5708, 0.0486795, 3.14159), _Z, -2.74385, 2.84121),
    ),
    tip_shift=(-0.0079, -0.000218121, -0.0981274),
    tip_turn=(0.0, 3.14159, 0.0),
    source="TheRobotStudio/SO-ARM100, so101_new_calib",
    licence="Apache-2.0",
)

KOCH: Final = ArmRow(
    title="Koch arm, upper arm upright and forearm level at 0",
    base="its base",
    tip="the pad of the gripper's fixed finger",
    joints=(
        JointRow(("shoulder_pan", "base_rotation"), (0.012, 0.0, 0.0409), _NONE, (0.0, 0.0, -1.0), -2.2, 2.2),
        JointRow(("shoulder_lift", "pitch"), (0.0, -0.0209, 0.0154), _NONE, _Y, -1.57, 0.6),
        JointRow(("elbow_flex", "elbow"), (-0.0148, 0.0065, 0.1083), _NONE, (0.0, -1.0, 0.0), -1.57, 1.45),
        JointRow(("wrist_flex", "wrist_pitch"), (-0.10048, 5e-05, 0.0026999), _NONE, _Y, -2.0, 2.0),
        JointRow(("wrist_roll",), (-0.045, 0.013097, 0.0), _NONE, _X, -3.14, 3.14),
    ),
    tip_shift=(-0.0668, 0.0105, 0.00045),
    tip_turn=_NONE,
    source="google-deepmind/mujoco_menagerie, low_cost_robot_arm",
    licence="Apache-2.0",
)


def _g1(side: str, out: float, shoulder_y: float, roll_limits: tuple[float, float]) -> ArmRow:
    """An arm of the G1; ``out`` is 1 on the left and -1 on the right, where y points to the left."""
    return ArmRow(
        title=f"the Unitree G1's {side} arm with 7 joints",
        base="its torso",
        tip="the palm",
        joints=(
            JointRow(
                ("shoulder_pitch",),
                (0.0039563, shoulder_y, 0.24778),
                (out * 0.27931, 5.4949e-05, out * -0.00019159),
                _Y,
                -3.0892,
                2.6704,
            ),
            JointRow(("shoulder_roll",), (0.0, out * 0.038, -0.013831), (out * -0.27925, 0.0, 0.0), _X, *roll_limits),
            JointRow(("shoulder_yaw",), (0.0, out * 0.00624, -0.1032), _NONE, _Z, -2.618, 2.618),
            JointRow(("elbow", "elbow_pitch"), (0.015783, 0.0, -0.080518), _NONE, _Y, -1.0472, 2.0944),
            JointRow(("wrist_roll",), (0.1, out * 0.00188791, -0.01), _NONE, _X, -1.972222054, 1.972222054),
            JointRow(("wrist_pitch",), (0.038, 0.0, 0.0), _NONE, _Y, -1.614429558, 1.614429558),
            JointRow(("wrist_yaw",), (0.046, 0.0, 0.0), _NONE, _Z, -1.614429558, 1.614429558),
        ),
        tip_shift=(0.0415, out * 0.003, 0.0),
        tip_turn=_NONE,
        source="unitreerobotics/unitree_ros, g1_29dof_rev_1_0",
        licence="BSD-3-Clause",
    )


G1_LEFT: Final = _g1("left", 1.0, 0.10022, (-1.5882, 2.2515))
G1_RIGHT: Final = _g1("right", -1.0, -0.10021, (-2.2515, 1.5882))
