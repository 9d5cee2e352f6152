"""What the robot can do: approach, grasp, lift, carry, place, push, back off; each names its stage and why it ended.

A skill acts on what the robot would know: its own forces and widths, and where it sees the objects.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from sima2.records.arrays import Float64s
from sima2.tasks.simulator.controller import Controller, up
from sima2.tasks.simulator.physics import World, engine
from sima2.tasks.simulator.recording import Stage
from sima2.tasks.simulator.scenario import HOME, OLD_KG, Scenario, length
from sima2.tasks.simulator.settings import SimulatorSettings, Spans, drawn

_HIT: Final = 5.0
"""N of external force at which a carried or empty hand stops."""
_FEEL: Final = 0.4
"""N below which the fingers feel nothing between them."""
_CLEAR_M: Final = 0.03
"""m more than its width that fingers open to let a body go."""
_STRONG: Final = 70.0
"""N the gripper can give."""


class Skills:
    """Skills of one episode's robot."""

    def __init__(self, control: Controller, rng: np.random.Generator, settings: SimulatorSettings) -> None:
        self.control = control
        self.world: World = control.world
        self.made: Scenario = control.world.scenario
        self.rng = rng
        self.settings = settings
        self.grip = self._needed_grip()
        self._nothing = 0

    def _needed_grip(self) -> float:
        """N: twice what friction needs to carry, pull or wipe."""
        load = {"drawer": 15.0 + 2.0 * self.made.mass, "wipe": 20.0}.get(self.made.family.skeleton, 0.0)
        load = load or 12.0 * (max(self.made.mass, OLD_KG) if "old" in self.made.place else self.made.mass)
        return float(np.clip(2.0 * load / (2.0 * self.made.friction), 6.0, _STRONG))

    # what the robot notices

    def lost(self) -> str:
        """Nothing has been between the fingers for a tenth of a second."""
        self._nothing = self._nothing + 1 if self.world.grip < _FEEL else 0
        return "lost" if self._nothing > 0.1 * self.made.rate_hz else ""

    def hit(self) -> str:
        """Something pushes against hand or load."""
        return "hit" if float(np.abs(self.world.contact).max()) > _HIT else ""

    def lost_or_hit(self) -> str:
        """Either."""
        return self.lost() or self.hit()

    # benign irregularities

    def sometimes(self) -> bool:
        """Whether one of them happens."""
        return bool(self.rng.random() < self.settings.pause)

    def _linger(self, label: str, body: str) -> None:
        """A pause: too short to be one, or idle."""
        seconds = float(self.rng.uniform(0.15, 1.2))
        if seconds >= 0.5:
            self.control.begin("idle")
        self.control.wait(seconds)
        self.control.begin(label, body)

    def draw(self, spans: Spans) -> float:
        """A number of the settings for this occasion."""
        return drawn(spans, float(self.rng.random()))

    # skills

    def approach(self, body: str, bias: Float64s, *, until_hit: bool = False) -> str:
        """Over the body or beside it, then down to where the fingers may close; the reason it ended."""
        control, world, until = self.control, self.world, self.hit if until_hit else None
        control.begin("approach", body)
        spot, yaw = self._aim(body, bias)
        above = spot + up(float(self.rng.uniform(0.08, 0.12)))
        if control.target[2] < above[2] - 0.02:
            control.move(np.array([*control.target[:2], above[2] + 0.03]))
        if body != "handle" and "cabinet" in self.made.place:
            # over the open drawer, not through it
            control.move(np.array([*above[:2], max(above[2], control.target[2], 0.3)]), yaw=yaw)
        why = control.move(above, yaw=yaw, until=until)
        if why:
            return why
        if self.sometimes():
            self._linger("approach", body)
        if self.sometimes():  # a second look that nothing called for
            away = above + np.array([*self.rng.uniform(-0.05, 0.05, 2), 0.03])
            control.move(away)
            control.move(above)
        if body in world.movable and self.rng.random() < self.settings.outside_push:
            self._pushed(body)
            spot, yaw = self._aim(body, bias)
            control.move(spot + up(above[2] - spot[2]), yaw=yaw)
        why = control.move(spot, speed=0.6 * self.made.speed, until=until)
        if not until_hit:
            control.wait(2.0 / self.made.rate_hz)
        return why

    def _aim(self, body: str, bias: Float64s) -> tuple[Float64s, float]:
        """Where to have a body between the fingertips or beside them, and the hand's yaw; opens the fingers for it."""
        spot, yaw, width = self.graspable(body)
        self.control.width = self._opening(body, width)
        return spot + bias, yaw

    def _opening(self, body: str, width: float) -> float:
        """m to open the fingers to: all the way, or as far as what stands beside the body leaves room.

        Fingers that are wider open already stay so: closing would look like grasping.
        """
        others = {each: at for each, at in self.located(body).items() if each not in ("cabinet", "drawer")}
        here, room = self.world.where(body), self.control.open_m
        for each, at in others.items():
            half = 0.03 if each in self.world.movable else 0.085
            room = min(room, 2.0 * (length((at - here)[:2]) - half - 0.016))
        return min(self.control.open_m, max(room, width + _CLEAR_M, self.world.width))

    def located(self, apart: str) -> dict[str, Float64s]:
        """Where everything is, apart from one body, m."""
        moved = {body: self.world.where(body) for body in self.world.movable}
        return {body: place for body, place in {**self.made.place, **moved}.items() if body != apart}

    def _pushed(self, body: str) -> None:
        """Someone moves the body a little along the table, to where there is room; the hand waits above."""
        world, where = self.world, self.world.where(body)
        gap = np.stack([where - place for place in self.located(body).values()])[:, :2]
        away = (gap / np.square(gap).sum(axis=1, keepdims=True) ** 1.5).sum(axis=0)
        away = away / max(float(np.sqrt(away @ away)), 1e-9)
        world.drag = (body, away * float(self.rng.uniform(0.06, 0.12)))
        self.control.wait(float(self.rng.uniform(0.2, 0.4)))
        world.drag = None
        self.control.wait(0.15)

    def graspable(self, body: str) -> tuple[Float64s, float, float]:
        """Where between the fingertips to have a body, the hand's yaw, and its width there, however it lies."""
        centre = self.world.where(body)
        size, turn, upright = self._lies(body)
        sides = [1] if body == "handle" else [k for k in range(3) if k != upright]
        across = min(sides, key=lambda k: (round(float(size[k]), 6), k != 1))
        axis = turn[:, across]
        yaw = math.remainder(math.atan2(-axis[0], axis[1]), math.pi)
        half = float(size[upright])
        spot = centre + up(max(0.0, half - 0.03))
        if body != "handle":
            spot[2] = max(spot[2], 0.013, centre[2] - half + 0.016)
        return spot, yaw, 2.0 * float(size[across])

    def half_height(self, body: str) -> float:
        """m, half the extent along the vertical, however it lies."""
        size, _, upright = self._lies(body)
        return float(size[upright])

    def _lies(self, body: str) -> tuple[Float64s, Float64s, int]:
        """Half extents along a body's own axes, its rotation, and which axis is the most upright."""
        shape = self.world.model.geom(body)
        size = np.array(shape.size)
        if int(shape.type[0]) == int(engine().mjtGeom.mjGEOM_CYLINDER):
            size = np.array([size[0], size[0], size[1]])
        turn = self.world.data.geom(body).xmat.reshape(3, 3)
        return size, turn, int(np.argmax(np.abs(turn[2])))

    def grasp(self, body: str, force: float | None = None, *, slips: bool = False) -> bool:
        """Close the fingers; whether something is between them, and stays there unless it is to slip out."""
        control, world = self.control, self.world
        stage = control.begin("grasp", body)
        control.force = self.grip if force is None else force
        control.width = -0.02
        wanted = 0.6 * control.force * control.weak
        for _ in range(round((0.5 + control.closing_s()) * self.made.rate_hz)):
            control.tick()
            if world.grip > wanted or world.width < 0.003:
                break
        control.wait(float(self.rng.uniform(0.1, 0.3)))
        self._nothing = 0
        if world.grip < _FEEL or not world.holding("drawer" if body == "handle" else body):
            stage.reason = "missed_grasp"
            return False
        if slips:
            self._gape(stage)
        return not slips

    def _gape(self, stage: Stage) -> None:
        """The fingers give way as soon as they hold, until the robot notices."""
        control = self.control
        control.recording.fault = len(control.recording.frames)
        stage.reason = "gripper_slip"
        control.width = self._clear(stage.body)
        control.wait(self.draw(self.settings.faults.open_s), until=self.lost)

    def pick(self, body: str, *, miss: bool = False, force: float | None = None, slips: bool = False) -> bool:
        """Approach and grasp, beside the body if it is to be missed; whether it is held."""
        self.world.held = "drawer" if body == "handle" else body
        bias = np.zeros(3)
        if miss:
            _, yaw, width = self.graspable(body)
            side = 0.5 * (self.control.open_m + width) + float(self.rng.uniform(0.022, 0.035))
            bias = side * np.array([-math.sin(yaw), math.cos(yaw), 0.0]) * (1.0 if self.rng.random() < 0.5 else -1.0)
        self.approach(body, bias)
        return self.grasp(body, force, slips=slips)

    def lift(self, body: str, height: float) -> str:
        """Straight up with the load."""
        stage = self.control.begin("lift", body)
        why = self.control.move(self.control.target + up(height), until=self.lost)
        if why:
            stage.reason = "gripper_slip"
        return why

    def over(self, body: str, spot: Float64s) -> Float64s:
        """Where the hand must be for the load to be at a spot."""
        return spot + (self.world.hand - self.world.where(body))

    def carry(self, body: str, spot: Float64s, *, sink: float = 0.0, speed: float = 0.0) -> str:
        """Sideways until the load is above a spot, ``sink`` m lower than now, at the hand's own speed or another; the
        reason it ended early."""
        stage = self.control.begin("transport", body)
        goal = self.over(body, spot)
        goal[2] = max(self.world.hand[2] - sink, goal[2] + 0.03)
        why = self.control.move(goal, speed=speed, until=self.lost_or_hit)
        if not why and self.sometimes():
            self.control.wait(0.3)
        if why == "hit":
            stage.reason = "collision"
        return why

    def lower(self, body: str, spot: Float64s) -> tuple[str, Stage]:
        """Down until the load touches; ``high`` where that is well above the spot."""
        stage = self.control.begin("place", body)
        goal = self.over(body, spot) - up(0.004)
        why = self.control.move(goal, speed=0.5 * self.made.speed, until=lambda: self.lost() or self._touched())
        gap = float(self.world.where(body)[2] - spot[2])
        self.control.halt()
        return ("lost" if why == "lost" else "high" if gap > 0.02 else ""), stage

    def put(self, body: str, spot: Float64s, *, anyway: bool = False) -> bool:
        """Carry, lower and let go; whether it came so far, or is let go ``anyway``."""
        if self.carry(body, spot) and not anyway:
            return False
        self.lower(body, spot)
        self.open(body)
        return True

    def _touched(self) -> str:
        return "touch" if length(self.world.contact) > 2.5 else ""

    def open(self, body: str) -> None:
        """Open the fingers and let the load settle."""
        self._let_go(body)
        self.control.wait(float(self.rng.uniform(0.2, 0.4)))

    def _let_go(self, body: str) -> None:
        """Open the fingers as far as the load needs to be clear of them."""
        self.control.recording.let_go()
        self.control.finger(self._clear(body))

    def _clear(self, body: str) -> float:
        """m between fingers that are clear of a body."""
        return min(self.control.open_m, self.graspable(body)[2] + _CLEAR_M)

    def leave(self) -> None:
        """Straight up and away."""
        self.control.begin("retreat")
        self.control.move(self.control.target + up(0.12))

    def go_home(self) -> None:
        """Back to where the hand rests, and rest."""
        self.control.begin("retreat")
        self.control.width = self.control.open_m
        self.control.move(HOME.copy(), yaw=0.0)
        self.rest()

    def rest(self) -> None:
        """Stay."""
        self.control.begin("idle")
        self.control.wait(float(self.rng.uniform(0.6, 1.2)))

    def back_off(self, offset: Float64s, *, let_go: bool) -> None:
        """Stop, let go or not, and move away: a recovery maneuver."""
        control = self.control
        control.recovering = True
        control.begin("recovery_maneuver")
        control.halt()
        control.wait(float(self.rng.uniform(0.2, 0.6)))
        if let_go:
            control.weak = 1.0
            self._let_go("handle" if self.world.held == "drawer" else self.world.held)
        control.move(control.target + offset)

    def wait_for_rest(self, body: str) -> None:
        """Until the body lies still, 1.5 s at most."""
        for _ in range(round(1.5 * self.made.rate_hz)):
            if float(np.abs(self.world.velocity(body)).max()) < 0.01:
                return
            self.control.tick()

    def push(self, body: str, spot: Float64s) -> str:
        """Push a body along the surface with closed fingers until it is at a spot."""
        control, world = self.control, self.world
        control.begin("recovery_maneuver")
        control.force, control.width = 10.0, 0.0
        control.finger(0.0)
        where = world.where(body)
        way = (spot - where) * [1.0, 1.0, 0.0]
        far = length(way)
        along = way / max(far, 1e-6)
        size = world.model.geom(body).size
        reach = float(max(size[0], size[1])) + 0.03
        behind = where - along * reach
        behind[2] = max(0.02, where[2])
        yaw = math.remainder(math.atan2(along[1], along[0]), math.pi)
        control.begin("approach", body)
        control.move(np.array([behind[0], behind[1], where[2] + 0.14]), yaw=yaw)
        control.move(behind, speed=0.6 * self.made.speed)
        stage = control.begin("push", body)

        def there() -> str:
            left = float((spot - world.where(body)) @ along)
            return "there" if left < 0.004 else ""

        why = control.move(behind + along * (far + reach), speed=0.4 * self.made.speed, until=there)
        control.halt()
        control.wait(0.2)
        if length((world.where(body) - spot)[:2]) > 0.9 * self.made.family.tolerance:
            stage.reason = "misplaced"
        self.leave()
        return "" if why == "there" else "missed"


class Task:
    """A family's task: attempts, and what to do about what they leave behind (empty where all is well)."""

    def __init__(self, skills: Skills) -> None:
        self.skills, self.control = skills, skills.control
        self.world, self.made = skills.world, skills.made
        self.fault, self.strategy = self.made.plan["failure_mode"], self.made.plan["recovery_strategy"]

    def attempt(self, fault: str) -> str:
        """The whole task once."""
        raise NotImplementedError

    def recover(self, state: str) -> str:
        """Put it right and finish."""
        raise NotImplementedError

    def in_vain(self, state: str) -> str:
        """Try to, and fail."""
        raise NotImplementedError

    def fetch(self, body: str, fault: str) -> bool:
        """Pick a body, which ends a correction; whether it is held."""
        if not self.skills.pick(body, slips=fault == "slip"):
            return False
        self.control.recovering = False
        return True

    def abort(self, state: str) -> None:
        """Give up: leave."""
        self.skills.leave()
        self.skills.go_home()
