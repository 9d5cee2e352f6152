"""Where the hand is, from the joints alone: forward kinematics over whole batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.errors import RolloutError
from sima2.records.arrays import Float64s


class Transform(NamedTuple):
    """A shift, then a turn, of one frame within another."""

    shift: Float64s
    """m, shape (3,) or (t, 3)."""
    turn: Float64s
    """Unit quaternion w x y z, shape (4,) or (t, 4)."""

    def __matmul__(self, inner: Transform) -> Transform:
        return Transform(self.shift + rotated(inner.shift, self.turn), product(self.turn, inner.turn))


def transform(shift: Any = (0.0, 0.0, 0.0), turn: Any = (1.0, 0.0, 0.0, 0.0)) -> Transform:
    """A transform out of anything like an array; none by default."""
    return Transform(np.array(shift, np.float64), np.array(turn, np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A joint and what rigidly leads to it from the one before."""

    name: str
    before: Transform
    moves: str
    """``turns`` (rad) or ``slides`` (m)."""
    axis: tuple[float, ...]
    """Unit vector, in the joint's frame."""
    column: int
    """Of ``joint_position``."""
    factor: float
    offset: float
    """The joint's position is ``factor * column + offset``: not 1 and 0 where it mimics another."""
    limits: tuple[float, ...] | None
    """Least and largest position, where the description gives them."""

    def position(self, joint_position: NDArray[Any]) -> Float64s:
        """rad or m over the frames, shape (t,)."""
        return np.asarray(joint_position[:, self.column].astype(np.float64) * self.factor + self.offset)


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """The joints between the robot's base and its hand."""

    steps: tuple[Step, ...]
    last: Transform
    """From the last joint to the hand."""

    def pose(self, joint_position: NDArray[Any]) -> tuple[Float64s, Float64s]:
        """Where the hand is; a frame in which a joint is NaN has no pose.

        Args:
            joint_position: rad (m where a joint slides), shape (t, j).

        Returns:
            Position in m in the base's frame, shape (t, 3), and orientation as a unit quaternion w x y z, shape (t, 4).

        Raises:
            RolloutError: if there are fewer columns than the chain needs.
        """
        needed = max((step.column for step in self.steps), default=-1)
        if needed >= joint_position.shape[1]:
            problem = f"has {joint_position.shape[1]} columns, the kinematic chain needs column {needed}"
            raise RolloutError("", "joint_position", problem, reason="mixed_dimensions")
        hand = transform(np.zeros((len(joint_position), 3)), np.tile([1.0, 0.0, 0.0, 0.0], (len(joint_position), 1)))
        unknown = np.zeros(len(joint_position), np.bool_)
        for step in self.steps:
            moved = step.position(joint_position)
            unknown |= ~np.isfinite(moved)
            moved = np.where(unknown, 0.0, moved)
            hand = hand @ step.before @ _motion(step, moved)
        shift, turn = hand @ self.last
        turn = turn / np.linalg.norm(turn, axis=1, keepdims=True)  # rounding of a long product
        shift[unknown], turn[unknown] = np.nan, np.nan
        return shift, turn


def rpy(roll: float, pitch: float, yaw: float) -> Float64s:
    """Unit quaternion w x y z of turns about the fixed x, y and z in that order, rad, shape (4,).

    >>> rpy(np.pi, 0.0, 0.0).round(6).tolist()
    [0.0, 1.0, 0.0, 0.0]
    """
    c, s = np.cos(0.5 * np.array([roll, pitch, yaw])), np.sin(0.5 * np.array([roll, pitch, yaw]))
    about_x, about_y, about_z = np.array([[c[0], s[0], 0, 0], [c[1], 0, s[1], 0], [c[2], 0, 0, s[2]]])
    return product(about_z, product(about_y, about_x))


def _motion(step: Step, moved: Float64s) -> Transform:
    axis = np.array(step.axis)
    if step.moves == "slides":
        return Transform(moved[:, None] * axis, np.array([1.0, 0.0, 0.0, 0.0]))
    half = 0.5 * moved[:, None]
    return Transform(np.zeros(3), np.hstack([np.cos(half), np.sin(half) * axis]))


def product(a: Float64s, b: Float64s) -> Float64s:
    """Quaternions a times b, w x y z, along the last axis."""
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def rotated(vector: Float64s, turn: Float64s) -> Float64s:
    """Vectors turned by unit quaternions, along the last axis."""
    w, x, y, z = np.moveaxis(turn, -1, 0)
    a, b, c = np.moveaxis(vector, -1, 0)
    # v + 2 w (u x v) + 2 u x (u x v) for the quaternion (w, u)
    i, j, k = 2.0 * (y * c - z * b), 2.0 * (z * a - x * c), 2.0 * (x * b - y * a)
    return np.stack([a + w * i + y * k - z * j, b + w * j + z * i - x * k, c + w * k + x * j - y * i], axis=-1)
