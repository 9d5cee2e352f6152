"""The arm in closed form: five joints (yaw, shoulder, elbow, wrist pitch, roll) in a vertical plane that yaws."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Float32s, Int64s
from sima2.tasks.world_settings import ArmModel

JOINTS: Final = 5


@dataclass(frozen=True, slots=True)
class ArmPlanes:
    """Dimensions of the arm at every frame, shape (T,) each."""

    upper_m: Float32s
    fore_m: Float32s
    hand_m: Float32s
    base_m: Float32s
    upper_kg: Float32s
    fore_kg: Float32s
    hand_kg: Float32s
    friction_nm: Float32s

    @classmethod
    def of(cls, models: tuple[ArmModel, ...], which: NDArray[Any], length: NDArray[Any]) -> ArmPlanes:
        """Dimensions of episodes with the given models and lengths."""
        names = [each.name for each in fields(cls)]
        table = np.array([[getattr(model, name) for model in models] for name in names], np.float32)
        return cls(*np.repeat(table[:, which], length, axis=1))


class Pose:
    """Joint angles that bring the fingertips to a pose (elbow up), and what was computed on the way, shape (T,) each.

    Args:
        hand: m in the base frame, x y z, shape (T,) each.
        pitch: rad of the hand above the horizontal; −π/2 points down.
        roll: rad about the hand's axis.

    Source: planar two-link inverse kinematics, Craig, Introduction to Robotics, ch. 4.
    """

    def __init__(self, hand: list[Float32s], pitch: Float32s, roll: Float32s, arm: ArmPlanes) -> None:
        x, y, z = hand
        a, b, c = arm.upper_m, arm.fore_m, arm.hand_m
        yaw = np.arctan2(y, x)
        self.radius: Float32s = np.sqrt(x * x + y * y)
        """m from the yaw axis to the fingertips."""
        half_cos, half_sin = np.cos(0.5 * pitch), np.sin(0.5 * pitch)
        self.pitch_cos: Float32s = half_cos * half_cos - half_sin * half_sin
        self.pitch_sin: Float32s = 2 * half_sin * half_cos
        self.wrist_r: Float32s = self.radius - c * self.pitch_cos
        self.wrist_z: Float32s = z - arm.base_m - c * self.pitch_sin
        """m above the shoulder."""
        square = self.wrist_r * self.wrist_r + self.wrist_z * self.wrist_z
        bend = (square - a * a - b * b) / (2 * a * b)
        np.clip(bend, -1, 1, out=bend)
        elbow = -np.arccos(bend)
        k1, k2 = a + b * bend, -b * np.sqrt(1 - bend * bend)
        along, across = self.wrist_r * k1 + self.wrist_z * k2, self.wrist_z * k1 - self.wrist_r * k2
        shoulder = np.arctan2(across, along)
        self.elbow_r: Float32s = along * (a / square)
        self.elbow_z: Float32s = across * (a / square)
        """m above the shoulder."""
        self.joints: list[Float32s] = [yaw, shoulder, elbow, pitch - shoulder - elbow, roll]
        """rad: yaw, shoulder, elbow, wrist pitch, roll."""
        self.quaternion = _quaternion(np.float32(0.5) * yaw, half_cos, half_sin, np.float32(0.5) * roll)
        """w, x, y, z of the hand."""


def _quaternion(half_yaw: Float32s, cp: Float32s, sp: Float32s, half_roll: Float32s) -> list[Float32s]:
    """Rz(yaw) Ry(−pitch) Rx(roll): the hand's x axis points out of the palm."""
    cy, sy, cr, sr = np.cos(half_yaw), np.sin(half_yaw), np.cos(half_roll), np.sin(half_roll)
    w, x, y, z = cy * cp, sy * sp, -cy * sp, sy * cp
    return [w * cr - x * sr, w * sr + x * cr, y * cr + z * sr, z * cr - y * sr]


def rates(value: Float32s, rate_hz: float, first: Int64s, last: Int64s) -> Float32s:
    """Central differences within each episode, 0 at its ends, shape (T,)."""
    rate = np.zeros_like(value)
    np.subtract(value[2:], value[:-2], out=rate[1:-1])
    rate *= np.float32(0.5 * rate_hz)
    rate[first] = 0
    rate[last] = 0
    return rate


def torques(
    pose: Pose,
    speed: list[Float32s],
    acceleration: list[Float32s],
    payload_n: Float32s,
    force: list[Float32s],
    hand: list[Float32s],
    arm: ArmPlanes,
    gravity: float,
) -> list[Float32s]:
    """Joint torques in N·m: weight of links and payload, the external force, inertia and friction.

    Args:
        pose: of the hand.
        speed, acceleration: rad/s and rad/s² of each joint.
        payload_n: N, weight of what the hand carries, shape (T,).
        force: N, external force on the hand in the base frame, x y z.
        hand: m, position of the fingertips, x y z.

    Source: static equilibrium of a planar chain plus lumped inertias; the coupling of the joints' accelerations is left
    out, which at these speeds is a few per cent of the gravity terms.
    """
    g = np.float32(gravity)
    radius, elbow_r, wrist_r = pose.radius, pose.elbow_r, pose.wrist_r
    half_hand = np.float32(0.5) * arm.hand_m * pose.pitch_cos
    weight2, weight3, weight4 = g * arm.upper_kg, g * arm.fore_kg, g * arm.hand_kg
    hand_moment = weight4 * (wrist_r + half_hand)
    down = payload_n - force[2]
    radial = (force[0] * hand[0] + force[1] * hand[1]) / radius
    sideways = (force[1] * hand[0] - force[0] * hand[1]) / radius
    hand_z = arm.hand_m * pose.pitch_sin
    tip_z = pose.wrist_z + hand_z
    tau2 = weight2 * (np.float32(0.5) * elbow_r) + weight3 * (np.float32(0.5) * (elbow_r + wrist_r)) + hand_moment
    tau2 += down * radius + radial * tip_z
    tau3 = weight3 * (np.float32(0.5) * (wrist_r - elbow_r)) + hand_moment - weight4 * elbow_r
    tau3 += down * (radius - elbow_r) + radial * (tip_z - pose.elbow_z)
    tau4 = weight4 * half_hand + down * (radius - wrist_r) + radial * hand_z
    reach2 = radius * radius
    moving = arm.fore_kg + arm.hand_kg
    inertia = (np.float32(0.4) * moving * reach2, np.float32(0.4) * moving * reach2, np.float32(0.12) * moving,
               np.float32(0.02), np.float32(0.004))  # fmt: skip
    static = [-radius * sideways, tau2, tau3, tau4, np.zeros_like(radius)]
    share = (1.0, 1.0, 0.7, 0.3, 0.15)
    for joint in range(JOINTS):
        drag = arm.friction_nm * np.float32(share[joint])
        static[joint] += inertia[joint] * acceleration[joint]
        static[joint] += drag * (
            speed[joint] / (np.abs(speed[joint]) + np.float32(0.05)) + np.float32(0.4) * speed[joint]
        )
    return static
