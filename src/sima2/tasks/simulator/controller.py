"""The hand under control: joint impedance towards a target pose that damped least squares turns into joint angles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from sima2.records.arrays import Float64s
from sima2.tasks.simulator.physics import ARM, World, engine
from sima2.tasks.simulator.recording import Recording, Stage
from sima2.tasks.simulator.scenario import HOME

_REST: Final = np.array([0.0, 0.15, 0.0, 1.9, 0.0, math.pi - 2.05, 0.0])
"""rad, posture the spare joint is drawn to."""
_DAMPING: Final = 0.02
_POSTURE: Final = 0.05
_LEASH: Final = 0.03
"""m by which the target may lead the hand: more would wind up against what does not give."""
IDLE_S: Final = 0.5
"""s without motion that are idle. Source: the annotation convention."""
_FAR_M: Final = 0.1
"""m of a way on which another pace shows."""
_SQUEEZE: Final = 0.03
"""m by which the width's target may lead the width."""


def up(height: float) -> Float64s:
    """That much along the vertical, m."""
    return np.array([0.0, 0.0, height])


class OutOfTime(Exception):
    """The episode lasted as long as it may."""


class Controller:
    """Moves a world's hand and writes the frames down."""

    def __init__(self, world: World, longest_s: float) -> None:
        mj = engine()
        self.world = world
        self.recording = Recording()
        self.rate = world.scenario.rate_hz
        self.target = HOME.copy()
        """m, where the hand shall be."""
        self.yaw = 0.0
        """rad, of the hand about the vertical."""
        self.open_m = world.scenario.arm.stroke_m
        """m between the open fingers."""
        self.width = self.open_m
        self.force = 20.0
        """N, limit of the grip."""
        self.weak = 1.0
        """Share of the grip's limit that the gripper really gives."""
        self.recovering = False
        self.strange = False
        """Whether an unusual move is under way."""
        self.unusual: tuple[int, float] | None = None
        """Which move of the hand, free where it is fast, takes how many times its time."""
        self.delay = world.scenario.delay
        """Frames to rest before the first stage."""
        self._moves = 0
        self._last = int(longest_s * self.rate)
        self._mirror: Any = mj.MjData(world.model)
        self._q = _REST.copy()
        for _ in range(60):
            self._solve()
        world.start(self._q, self.width)
        self._width = self.width

    def begin(self, label: str, body: str = "") -> Stage:
        """A new stage from the next frame on; before the first one the hand rests as long as the scenario says."""
        stage, rest = Stage(label, body, self.recovering), self.delay
        self.delay = 0
        if rest >= IDLE_S * self.rate:
            self.recording.stages.append(Stage("idle", "", recovery=False))
            self.wait(rest / self.rate)
            rest = 0
        self.recording.stages.append(stage)
        if rest:
            self.wait(rest / self.rate)
        return stage

    def tick(self) -> None:
        """One control period towards the present target, written down."""
        if len(self.recording.frames) >= self._last:
            raise OutOfTime
        self._step()
        self.recording.write(self.world, self.strange)

    def take(self, width: float, force: float) -> None:
        """Before the first frame: close the fingers on what is between them, so wide, until it is held."""
        self.world.start(self._q, width)
        self._width, self.width, self.force = width, -0.02, force
        for _ in range(round(0.5 * self.rate)):
            self._step()

    def _step(self) -> None:
        world = self.world
        gap = self.target - world.hand
        far = float(np.sqrt(np.square(gap).sum()))
        # a fast hand needs more room to lag behind in
        leash = _LEASH * (3.0 if self.strange else 1.0)
        if far > leash:
            self.target = world.hand + gap * (leash / far)
        before = self._q.copy()
        # at high rates what a step of the solver leaves is little, and the next period takes it up
        for _ in range(2 if self.rate < 50.0 else 1):
            self._solve()
        step = world.scenario.arm.finger_m_s / self.rate
        if self.width > self._width:
            # what squeezed lets go at once
            self._width = max(self._width, min(self.width, world.width - 0.002))
        self._width += min(max(self.width - self._width, -step), step)
        self._width = max(self._width, world.width - _SQUEEZE, -0.02)
        world.advance(self._q, (self._q - before) * self.rate, self._width, self.force * self.weak)

    def _solve(self) -> None:
        """One step of damped least squares towards target and yaw, drawn to the resting posture where free."""
        mj, model, mirror = engine(), self.world.model, self._mirror
        mirror.qpos[:ARM] = self._q
        mj.mj_kinematics(model, mirror)
        mj.mj_comPos(model, mirror)
        jacobian = np.zeros((6, int(model.nv)))
        mj.mj_jacSite(model, mirror, jacobian[:3], jacobian[3:], self.world.tcp)
        jacobian = jacobian[:, :ARM]
        turn = mirror.site_xmat[self.world.tcp].reshape(3, 3)
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        # columns of the wanted rotation: fingers close along y, the hand points down
        wanted = np.array([[-c, -s, 0.0], [-s, c, 0.0], [0.0, 0.0, -1.0]])
        error = np.zeros(6)
        error[:3] = self.target - mirror.site_xpos[self.world.tcp]
        error[3:] = 0.5 * np.cross(turn, wanted, axis=0).sum(axis=1)
        square = jacobian @ jacobian.T + _DAMPING**2 * np.eye(6)
        change = np.linalg.solve(square, np.stack([error, jacobian @ (_POSTURE * (_REST - self._q))], axis=1))
        change = jacobian.T @ (change[:, 0] - change[:, 1]) + _POSTURE * (_REST - self._q)
        most = float(np.abs(change).max())
        self._q = self._q + change * min(1.0, 0.3 / max(most, 1e-9))

    def move(
        self,
        goal: Float64s,
        *,
        speed: float = 0.0,
        yaw: float | None = None,
        until: Callable[[], str] | None = None,
    ) -> str:
        """Minimum-jerk motion of the target; ends early where ``until`` tells a reason, which is returned."""
        start, turned = self.target.copy(), self.yaw
        way = float(np.sqrt(np.square(goal - start).sum()))
        turn = 0.0 if yaw is None else math.remainder(yaw - turned, math.pi)
        seconds = max(way / (speed or self.world.scenario.speed), 0.25, abs(turn) / 1.2)
        if way > _FAR_M:
            seconds *= self._pace(free=until is None)
        count, why = max(2, math.ceil(seconds * self.rate)), ""
        for k in range(1, count + 1):
            s = k / count
            share = s**3 * (10 - 15 * s + 6 * s * s)
            self.target = start + share * (goal - start)
            self.yaw = turned + share * turn
            self.tick()
            why = until() if until else ""
            if why:
                break
        self.strange = False
        return why

    def _pace(self, *, free: bool) -> float:
        """Factor on the duration of the next move that leads far: 1 but for the one that is unusual."""
        if self.unusual is None:
            return 1.0
        which, factor = self.unusual
        self._moves += free or factor > 1.0
        self.strange = self._moves == which + 1 and (free or factor > 1.0)
        return factor if self.strange else 1.0

    def wait(self, seconds: float, until: Callable[[], str] | None = None) -> str:
        """Hold the target; ends early where ``until`` tells a reason."""
        for _ in range(max(1, round(seconds * self.rate))):
            self.tick()
            why = until() if until else ""
            if why:
                return why
        return ""

    def closing_s(self) -> float:
        """s that the fingers take over their whole stroke."""
        arm = self.world.scenario.arm
        return arm.stroke_m / arm.finger_m_s

    def halt(self) -> None:
        """From here on the hand shall stay where it is."""
        self.target = self.world.hand

    def finger(self, width: float) -> None:
        """Move the fingers until they arrive, or for a little longer than that takes where they are stopped."""
        self.width = width
        seconds = 0.3 + self.closing_s()
        for _ in range(max(2, math.ceil(seconds * self.rate))):
            self.tick()
            if abs(self.world.width - width) < 0.002:
                return
