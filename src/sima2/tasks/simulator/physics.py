"""The physics of one episode: steps of MuJoCo, and what of them is read in each control period."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, Final

import numpy as np

from sima2.errors import MissingExtraError
from sima2.records.arrays import Float64s
from sima2.tasks.simulator.scenario import Scenario, scene_of

ARM: Final = 7
"""Joints of the arm."""
HAND: Final = ("hand", "finger_left", "finger_right")
"""Bodies of the hand."""


@functools.cache
def engine() -> ModuleType:
    """MuJoCo.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        import mujoco
    except ImportError as absent:
        raise MissingExtraError("mujoco", "sim") from absent
    found: ModuleType = mujoco
    return found


class World:
    """One episode's world; :meth:`advance` moves it on by one control period.

    Forces are averaged over the period from the constraint forces of every physics step.
    """

    def __init__(self, made: Scenario) -> None:
        mj = engine()
        self.scenario = made
        self.model: Any = mj.MjModel.from_xml_string(scene_of(made))
        self.data: Any = mj.MjData(self.model)
        self.body = {self.model.body(i).name: i for i in range(int(self.model.nbody))}
        self.tcp = int(self.model.site("tcp").id)
        self.grip_actuator = int(self.model.actuator("grip").id)
        self.period = 1.0 / made.rate_hz
        self.held = next(name for name in ("drawer", "old", "item") if name in self.body)
        """Body the hand means to hold; what is free counts as part of the hand, what has a rail pulls on it."""
        self.touch = np.zeros((len(self.body),) * 2, np.bool_)
        """Which bodies touched during the last period."""
        self.contact = np.zeros(3)
        """N, net external force on hand and held object, mean of the last period."""
        self.load = dict.fromkeys(self.movable, 0.0)
        """N on each free object, mean of the last period."""
        self.grip = 0.0
        """N, what both fingers press with, mean of the last period."""
        self.drag: tuple[str, Float64s] | None = None
        """A free body that someone moves along the table, and at which velocity, m/s."""
        self._geom_body = np.array(self.model.geom_bodyid)
        self._hand = [self.body[name] for name in HAND]

    @property
    def movable(self) -> tuple[str, ...]:
        """Bodies that are free."""
        return tuple(name for name in ("item", "old", "parcel", "vase") if name in self.body)

    def start(self, q: Float64s, width: float) -> None:
        """Put the arm there, at rest."""
        self.data.qpos[:ARM] = q
        self.data.qpos[ARM : ARM + 2] = 0.5 * width
        self.data.ctrl[:ARM] = q
        self.data.ctrl[self.grip_actuator] = width
        engine().mj_forward(self.model, self.data)

    def advance(self, q: Float64s, velocity: Float64s, width: float, force: float) -> None:
        """One control period: targets of the joints in rad and rad/s, of the width in m; the grip's limit in N."""
        mj, model, data = engine(), self.model, self.data
        steps = self.scenario.steps
        ctrl, geom_body, hand = data.ctrl, self._geom_body, self._hand
        lead = velocity * (-model.actuator_biasprm[:ARM, 2] / model.actuator_gainprm[:ARM, 0])
        begin = np.append(ctrl[:ARM], ctrl[self.grip_actuator])
        rise = (np.append(q + lead, width) - begin) / steps
        model.actuator_forcerange[self.grip_actuator] = (-force, max(force, 20.0))
        bodies = [*hand, self.body[self.held]] if self.held in self.movable and self.holding() else hand
        loads = [self.body[name] for name in self.movable]
        axis = data.xmat[hand[0]].reshape(3, 3)[:, 1].copy()
        outside = np.empty((steps, len(self.body), 3))
        self.touch[:] = False
        place = np.append(np.arange(ARM), self.grip_actuator)
        for k in range(steps):
            ctrl[place] = begin + rise * (k + 1)
            if self.drag is not None:
                self._dragged(*self.drag)
            mj.mj_step(model, data)
            mj.mj_rnePostConstraint(model, data)
            outside[k] = data.cfrc_ext[:, 3:]
            if data.ncon:
                pair = geom_body[data.contact.geom]
                self.touch[pair[:, 0], pair[:, 1]] = True
        self.touch |= self.touch.T
        self.contact = outside[:, bodies].sum(axis=(0, 1)) / steps
        pressed = outside[:, hand[1:]].sum(axis=0) @ axis
        self.grip = max(0.0, min(float(pressed[0]), -float(pressed[1])) / steps)
        load = np.sqrt(np.square(outside[:, loads]).sum(axis=2)).sum(axis=0)
        self.load = dict(zip(self.movable, (load / steps).tolist(), strict=True))

    def holding(self, body: str = "") -> bool:
        """Whether both fingers touched the body in the last period."""
        where = self.body[body or self.held]
        return bool(self.touch[self._hand[1], where] and self.touch[self._hand[2], where])

    @property
    def width(self) -> float:
        """m between the fingers."""
        return float(self.data.qpos[ARM] + self.data.qpos[ARM + 1])

    @property
    def hand(self) -> Float64s:
        """m, the point between the fingertips, shape (3,)."""
        return np.array(self.data.site_xpos[self.tcp])

    def turn(self) -> Float64s:
        """Rotation of the hand, shape (3, 3)."""
        return np.array(self.data.site_xmat[self.tcp]).reshape(3, 3)

    def where(self, body: str) -> Float64s:
        """m, centre of a body, shape (3,); of the handle or the drawer's front too."""
        return np.array(self.data.geom("handle").xpos if body == "handle" else self.data.xpos[self.body[body]])

    def opened(self) -> float:
        """m that the drawer is open."""
        return float(self.data.joint("rail").qpos[0])

    def velocity(self, body: str) -> Float64s:
        """m/s of a free body, shape (3,)."""
        return np.array(self.data.joint(body).qvel[:3])

    def shove(self, body: str, velocity: Float64s) -> None:
        """An outside push: a free body suddenly moves at that velocity, m/s."""
        self.data.joint(body).qvel[:2] += velocity[:2]

    def _dragged(self, body: str, velocity: Float64s) -> None:
        """Held upright from outside and moved along the table."""
        motion = self.data.joint(body).qvel
        motion[:2], motion[3:] = velocity[:2], 0.0

    def unlock(self) -> None:
        """The drawer's rail gives way."""
        self.model.jnt_range[int(self.model.joint("rail").id)] = (0.0, 0.26)
