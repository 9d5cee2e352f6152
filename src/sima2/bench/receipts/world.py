"""A table, an arm of four joints with two fingers, a cube and two marks to bring it to: real contacts at small cost.

Every state of many trials is advanced in one call, so that a trial of eight seconds costs some ten milliseconds.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, Final

import numpy as np

from sima2.errors import MissingExtraError
from sima2.records.arrays import Bools, Float64s

RATE_HZ: Final = 20.0
"""Of control and of recording."""
STEPS: Final = 5
"""Physics steps of 10 ms in a control period."""
JOINTS: Final = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex")
SHOULDER: Final = 0.20
LINKS: Final = (0.25, 0.25, 0.14)
"""Upper arm, forearm, and wrist to between the fingertips, m."""
CUBE: Final = 0.04
"""Edge, m."""
OPEN: Final = 0.08
"""Between the fingers at most, m."""
PLACED: Final = 0.025
"""The cube counts as placed within so far of the mark, seen from above, m."""
_QPOS: Final = slice(1, 14)
_QVEL: Final = slice(14, 26)
_XML: Final = f"""
<mujoco model="pick and place">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="{1 / RATE_HZ / STEPS}" integrator="implicitfast" cone="pyramidal"/>
  <default>
    <geom condim="3" friction="1.0 0.01 0.001" contype="0" conaffinity="0"/>
    <joint armature="0.05" damping="0.5"/>
    <position kp="150" kv="12"/>
  </default>
  <worldbody>
    <geom name="table" type="plane" size="2 2 0.1" contype="2" conaffinity="0"/>
    <body pos="0 0 {SHOULDER}" gravcomp="1">
      <joint name="{JOINTS[0]}" axis="0 0 1" range="-2 2"/>
      <geom type="sphere" size="0.05" mass="1.0"/>
      <body gravcomp="1">
        <joint name="{JOINTS[1]}" axis="0 1 0" range="-1.6 2.6"/>
        <geom type="capsule" size="0.03" fromto="0 0 0 0 0 {LINKS[0]}" mass="0.8"/>
        <body pos="0 0 {LINKS[0]}" gravcomp="1">
          <joint name="{JOINTS[2]}" axis="0 1 0" range="0 3"/>
          <geom type="capsule" size="0.025" fromto="0 0 0 0 0 {LINKS[1]}" mass="0.6"/>
          <body pos="0 0 {LINKS[1]}" gravcomp="1">
            <joint name="{JOINTS[3]}" axis="0 1 0" range="-1 3"/>
            <geom type="box" size="0.02 0.05 0.02" pos="0 0 0.03" mass="0.3"/>
            <body pos="0 0 {LINKS[2]}" gravcomp="1">
              <joint name="finger_left" type="slide" axis="0 1 0" range="0 {OPEN / 2}" damping="6" armature="0.05"/>
              <geom name="left" type="capsule" size="0.008" fromto="-0.012 0.008 0 0.012 0.008 0" mass="0.05"
                    contype="1" conaffinity="2"/>
            </body>
            <body pos="0 0 {LINKS[2]}" gravcomp="1">
              <joint name="finger_right" type="slide" axis="0 -1 0" range="0 {OPEN / 2}" damping="6" armature="0.05"/>
              <geom name="right" type="capsule" size="0.008" fromto="-0.012 -0.008 0 0.012 -0.008 0" mass="0.05"
                    contype="1" conaffinity="2"/>
            </body>
          </body>
        </body>
      </body>
    </body>
    <body name="cube" pos="0.35 0 {CUBE / 2}">
      <freejoint/>
      <geom name="cube" type="box" size="{CUBE / 2} {CUBE / 2} {CUBE / 2}" mass="0.08" contype="2" conaffinity="3"/>
    </body>
  </worldbody>
  <actuator>
    <position joint="{JOINTS[0]}"/><position joint="{JOINTS[1]}"/>
    <position joint="{JOINTS[2]}"/><position joint="{JOINTS[3]}"/>
    <position joint="finger_left" kp="250" kv="8"/><position joint="finger_right" kp="250" kv="8"/>
  </actuator>
</mujoco>
"""


@functools.cache
def engine() -> ModuleType:
    """MuJoCo, with its batched stepping.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        import mujoco
        from mujoco import rollout
    except ImportError as absent:
        raise MissingExtraError("mujoco", "sim") from absent
    found: ModuleType = mujoco
    assert rollout is not None
    return found


class Worlds:
    """Many worlds side by side; :meth:`advance` moves all on by one control period."""

    def __init__(self, joints: Float64s, cube: Float64s, yaw: Float64s) -> None:
        """
        Args:
            joints: where the arms are, rad, shape (n, 4); fingers are open.
            cube: where the cubes lie, x and y in m, shape (n, 2).
            yaw: how they are turned, rad, shape (n,).
        """
        mujoco = engine()
        self._model: Any = mujoco.MjModel.from_xml_string(_XML)
        self._data: Any = mujoco.MjData(self._model)
        n = len(joints)
        self.state = np.zeros((n, 26))
        qpos = self.state[:, _QPOS]
        qpos[:, :4], qpos[:, 4:6] = joints, OPEN / 2
        qpos[:, 6:8], qpos[:, 8] = cube, CUBE / 2
        qpos[:, 9], qpos[:, 12] = np.cos(yaw / 2), np.sin(yaw / 2)

    @property
    def joints(self) -> Float64s:
        """Joint angles, rad, shape (n, 4)."""
        return self.state[:, 1:5]

    @property
    def opening(self) -> Float64s:
        """Between the fingers, m, shape (n,)."""
        return np.asarray(self.state[:, 5] + self.state[:, 6])

    @property
    def cube(self) -> Float64s:
        """Places of the cubes, m, shape (n, 3)."""
        return self.state[:, 7:10]

    @property
    def cube_speed(self) -> Float64s:
        """m/s, shape (n,)."""
        return np.asarray(np.linalg.norm(self.state[:, 20:23], axis=1))

    def advance(self, command: Float64s, among: Bools | None = None) -> None:
        """One control period on.

        Args:
            command: joint angles and opening asked for, shape (n, 5).
            among: worlds that move, shape (n,); the others stay as they are.
        """
        from mujoco import rollout

        rows = np.arange(len(self.state)) if among is None else np.flatnonzero(among)
        if not len(rows):
            return
        fingers = np.clip(command[rows, 4:], 0.0, OPEN) / 2
        control = np.concatenate([command[rows, :4], fingers, fingers], axis=1)[:, None]
        control = np.ascontiguousarray(np.repeat(control, STEPS, axis=1))
        after, _ = rollout.rollout(self._model, self._data, np.ascontiguousarray(self.state[rows]), control)
        self.state[rows] = after[:, -1]


def hand(joints: Float64s) -> Float64s:
    """Where the middle between the fingertips is, m, shape (n, 3) of joints (n, 4).

    >>> hand(joints_of(np.array([[0.3, 0.1, 0.05]]))).round(6).tolist()
    [[0.3, 0.1, 0.05]]
    """
    bend = np.cumsum(joints[:, 1:4], axis=1)
    out = (np.sin(bend) * LINKS).sum(axis=1)
    up = SHOULDER + (np.cos(bend) * LINKS).sum(axis=1)
    return np.stack([out * np.cos(joints[:, 0]), out * np.sin(joints[:, 0]), up], axis=1)


def joints_of(place: Float64s) -> Float64s:
    """Joint angles that bring the hand there, pointing down, shape (n, 4) of places (n, 3) in m."""
    out = np.hypot(place[:, 0], place[:, 1])
    up = place[:, 2] + LINKS[2] - SHOULDER
    far = np.clip((out**2 + up**2 - LINKS[0] ** 2 - LINKS[1] ** 2) / (2 * LINKS[0] * LINKS[1]), -1.0, 1.0)
    elbow = np.arccos(far)
    lift = np.arctan2(out, up) - np.arctan2(LINKS[1] * np.sin(elbow), LINKS[0] + LINKS[1] * far)
    return np.stack([np.arctan2(place[:, 1], place[:, 0]), lift, elbow, np.pi - lift - elbow], axis=1)
