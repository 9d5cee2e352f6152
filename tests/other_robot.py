"""A second, independent little generator: another robot, other timing, other noise, no shared code or constants.

A seven-joint arm (shoulder at the origin of its base, table below it, work on the negative y side, tool axis x) with
a wide, slow gripper. Every episode is stepped forward in time: a controller sends way-points and grip commands,
contacts, friction and gravity do the rest, and the truth is read off the simulated state by the convention.

Where the convention leaves room, this is how it is read here:

* What follows a failure is ``recovery_maneuver`` when another attempt comes, or when a loaded hand backs off;
  an unloaded hand that leaves for good makes a ``release`` and a ``retreat``.
* A contact action outranks ``idle``: a loaded pause under way is still ``transport``.
* A hand that has given up, stands still and still holds something is ``idle``.
* A slip and a collision are failures themselves; a correction succeeds when what failed then succeeds.
* ``wipe`` and ``push`` begin at contact and concern the surface and the pushed object.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.records.rollout import Goal, Rollout

Array = NDArray[Any]
Vector = tuple[float, float, float]

GRAVITY = 9.81
TABLE_Z = -0.25
UPPER_ARM, FOREARM, TOOL = 0.43, 0.41, 0.12
"""m."""
SPAN = 0.14
"""Widest opening of the gripper, m."""
ANOMALIES = ("slip", "collision")
STILL = 0.01
"""Hand speed below which it does not move, m/s."""


class TrueSegment(NamedTuple):
    """What happened in frames [start_frame, end_frame)."""

    label: str
    object: str
    start_frame: int
    end_frame: int
    outcome: str
    failure_reason: str


# --------------------------------------------------------------------------------------------- the world


@dataclass(slots=True)
class Thing:
    """A body of the scene; ``pos`` is its centre (of the handle, for a drawer)."""

    name: str
    pos: list[float]
    half: float
    """Half its height, m."""
    width: float
    """Between its graspable sides, m; negative where it has none."""
    mass: float
    friction: float
    radius: float = 0.03
    fall: float = 0.0
    """Downward speed in free fall, m/s; of a drawer, how far it moved in the last step, m."""
    falling: bool = False
    axis: Vector | None = None
    """Direction in which a drawer opens; None for a loose thing."""
    travel: float = 0.0
    travel_max: float = 0.0
    locked: bool = False
    drag: float = 0.0
    """Kinetic friction of a drawer, N."""
    yaw: float = 0.0


@dataclass(slots=True)
class Wall:
    """Something in the way that no camera sees: a slab that starts at a point, faces a direction and has a top."""

    at: Vector
    facing: Vector
    top: float


@dataclass(slots=True)
class Cell:
    """Robot, gripper and things, stepped by ``dt``; every step appends a row to ``log``."""

    rng: np.random.Generator
    dt: float
    things: dict[str, Thing]
    hand: list[float]
    tool: Vector
    """Direction in which the working hand points."""
    width: float = SPAN
    board: float = 0.0
    """Thickness of the board's surface above the table, m; 0 without a board."""
    walls: list[Wall] = field(default_factory=list)
    block: Thing | None = None
    """A loose thing on whose top others can come to rest."""
    log: list[tuple[float, ...]] = field(default_factory=list)
    intents: list[tuple[str, str]] = field(default_factory=list)
    intent: tuple[str, str] = ("wait", "")
    held: Thing | None = None
    offset: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    pushed: tuple[Thing, Vector] | None = None
    closing: int = 0
    """1 fingers close, -1 open, 0 stay."""
    opening_goal: float = SPAN
    grip: float = 0.0
    grip_goal: float = 0.0
    slide: float = 0.0
    """Speed of the held thing within the fingers, m/s."""
    slid: float = 0.0
    turn: float = 0.0
    """0 posture of rest to 1 posture of work."""
    force: Vector = (0.0, 0.0, 0.0)
    touch: bool = False
    hit: bool = False
    # facts of the robot, drawn by `build`
    accel: float = 1.0
    close_speed: float = 0.06
    grip_lag: float = 0.15
    stiffness: float = 900.0
    hold_length: float = 0.03
    softness: float = 0.0001
    """m/N by which a thing gives between the fingers."""
    turn_rate: float = 1.0
    command: list[float] = field(default_factory=list)
    speed: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    anchor: tuple[Vector, float] = ((0.0, 0.0, 0.0), 0.0)
    """Where the handle was taken, and the drawer's travel there."""

    def level(self, x: float, y: float) -> float:
        """Height of what lies under a point."""
        block = self.block
        stands = block is not None and block is not self.held and not block.falling
        if block is not None and stands and math.hypot(x - block.pos[0], y - block.pos[1]) < block.radius + 0.03:
            return block.pos[2] + block.half
        return TABLE_Z + self.board

    def load(self, thing: Thing) -> float:
        """Least grip force that holds a thing against gravity, N."""
        return thing.mass * GRAVITY / (2.0 * thing.friction)

    @property
    def pressure(self) -> float:
        """Magnitude of the external force, N."""
        return math.sqrt(sum(f * f for f in self.force))

    def step(self, target: Sequence[float] | None = None, limit: float = 0.0) -> None:
        """One step: towards a target at most at a speed, or braking where there is none."""
        if len(self.log) * self.dt > 120.0:
            raise RuntimeError(f"{self.intent} does not end")
        self._drive(target, limit)
        self.turn = min(1.0, self.turn + self.turn_rate * self.dt) if self.intent[0] == "reach" else self.turn
        self._contacts()
        self._fingers()
        self._gravity()
        row = [*self.hand, self.width, self.grip, *self.force, self.hit, self.touch, self.slide > 0 or self._falling()]
        held = self.held
        row += [self.turn, -1.0 if held is None else list(self.things).index(held.name)]
        for thing in self.things.values():
            row += thing.pos
        self.log.append(tuple(row))
        self.intents.append(self.intent)

    def _falling(self) -> bool:
        return any(thing.falling for thing in self.things.values())

    def _drive(self, target: Sequence[float] | None, limit: float) -> None:
        c, u, dt = self.command, self.speed, self.dt
        wish = [0.0, 0.0, 0.0]
        if target is not None:
            gap = [target[k] - c[k] for k in range(3)]
            far = math.sqrt(gap[0] ** 2 + gap[1] ** 2 + gap[2] ** 2)
            if far > 1e-9:
                pace = min(limit, math.sqrt(1.6 * self.accel * far), far / dt) / far
                wish = [g * pace for g in gap]
        change = [wish[k] - u[k] for k in range(3)]
        size = math.sqrt(change[0] ** 2 + change[1] ** 2 + change[2] ** 2)
        share = min(1.0, self.accel * dt / size) if size > 0 else 0.0
        for k in range(3):
            u[k] += change[k] * share
            c[k] += u[k] * dt

    def _contacts(self) -> None:
        """Where the hand really is: the command, kept back by what it presses against."""
        p, force, k = list(self.command), [0.0, 0.0, 0.0], self.stiffness
        self.hit = self.touch = False
        for wall in self.walls:
            deep = sum((p[i] - wall.at[i]) * wall.facing[i] for i in range(2))
            if 0.0 < deep < 0.3 and p[2] < wall.top:
                push = k * deep + 60.0 * max(0.0, sum(self.speed[i] * wall.facing[i] for i in range(2)))
                for i in range(2):
                    p[i] -= deep * wall.facing[i]
                    force[i] -= push * wall.facing[i]
                self.hit = True
        held = self.held
        if held is not None and held.axis is not None:
            self._articulated(held, p, force)
        else:
            low = p[2] + (self.offset[2] - held.half if held is not None else 0.0)
            deep = self.level(p[0], p[1]) - low
            if deep > 0.0:
                p[2] += deep
                force[2] += k * deep
                pace = math.hypot(self.speed[0], self.speed[1])
                for i in range(2):
                    force[i] -= 0.3 * k * deep * self.speed[i] / (pace + 0.005)
                self.touch = True
        if self.pushed is not None:
            thing, way = self.pushed
            deep = sum((p[i] - thing.pos[i]) * way[i] for i in range(2)) + thing.width / 2
            if deep > 0.0:
                give = thing.friction * thing.mass * GRAVITY / k
                moved = max(0.0, deep - give)
                for i in range(2):
                    thing.pos[i] += moved * way[i]
                    p[i] -= (deep - moved) * way[i]
                    force[i] -= k * (deep - moved) * way[i]
                self.touch = True
        self.hand, self.force = p, (force[0], force[1], force[2])

    def _articulated(self, drawer: Thing, p: list[float], force: list[float]) -> None:
        axis, (start, travel0) = drawer.axis or (0.0, 0.0, 0.0), self.anchor
        rel = [p[i] - start[i] for i in range(3)]
        along = sum(rel[i] * axis[i] for i in range(3))
        before, moving = drawer.travel, drawer.fall > 0
        stretch = along - (drawer.travel - travel0)
        need = drawer.drag if moving else 1.5 * drawer.drag
        if abs(stretch) * self.stiffness > need:
            goal = drawer.travel + stretch - math.copysign(drawer.drag / self.stiffness, stretch)
            drawer.travel = min(max(goal, 0.0), 0.001 if drawer.locked else drawer.travel_max)
        drawer.fall = abs(drawer.travel - before)
        stretch = along - (drawer.travel - travel0)
        for i in range(3):
            side = rel[i] - along * axis[i]
            p[i] = start[i] + axis[i] * (drawer.travel - travel0) + 0.3 * side
            force[i] -= self.stiffness * (axis[i] * stretch + 0.7 * side)
            drawer.pos[i] = p[i] + self.offset[i] - 0.3 * side
        self.touch = abs(stretch) * self.stiffness > 0.5

    def _between(self) -> Thing | None:
        """What the fingers would close on here."""
        for thing in self.things.values():
            rel = [thing.pos[i] - self.hand[i] for i in range(3)]
            deep = sum(rel[i] * self.tool[i] for i in range(3))
            side = math.sqrt(max(0.0, sum(r * r for r in rel) - deep * deep))
            if abs(deep) < thing.half * 0.9 + 0.004 and side < 0.03 + 0.5 * thing.half and self.width <= thing.width:
                return thing
        return None

    def _fingers(self) -> None:
        dt, held = self.dt, self.held
        if self.closing > 0 and held is None:
            self.width = max(0.0, self.width - self.close_speed * dt)
            thing = self._between()
            if thing is not None:
                self.held, self.slid = thing, 0.0
                self.offset = [thing.pos[i] - self.hand[i] for i in range(3)]
                self.anchor = ((self.hand[0], self.hand[1], self.hand[2]), thing.travel)
        elif self.closing < 0 and (held is None or self.grip < 0.5):
            self.width = min(self.opening_goal, self.width + self.close_speed * dt)
            if held is not None and self.width > held.width + 0.002:
                self._let_go(0.0)
        goal = self.grip_goal if self.held is not None and self.closing >= 0 else 0.0
        lag = self.grip_lag if goal > self.grip else 0.35 * self.grip_lag
        self.grip += (goal - self.grip) * min(1.0, dt / lag)
        if self.held is not None and self.closing >= 0:
            self.width = max(0.0, self.held.width - self.softness * self.grip)

    def _let_go(self, speed: float) -> None:
        thing, self.held, self.slide = self.held, None, 0.0
        if thing is not None and thing.axis is None:
            thing.falling = thing.pos[2] - thing.half > self.level(thing.pos[0], thing.pos[1]) + 0.002
            thing.fall = speed

    def _gravity(self) -> None:
        dt, held = self.dt, self.held
        if held is not None and held.axis is None:
            share = self.grip / self.load(held)
            low = held.pos[2] - held.half - self.level(held.pos[0], held.pos[1])
            gripping = self.closing >= 0 and self.slid >= 0.0
            if gripping and low > 0.001 and (share < 1.0 or self.slide > 0.0) and self.intent[0] != "close":
                self.slide = max(0.0, self.slide + (GRAVITY * (1.0 - share) - 12.0 * share * self.slide) * dt)
                self.offset[2] -= self.slide * dt
                self.slid += self.slide * dt
            else:
                self.slide = 0.0
            for i in range(3):
                held.pos[i] = self.hand[i] + self.offset[i]
            if self.slid > self.hold_length:
                self._let_go(self.slide)
        for thing in self.things.values():
            if thing.falling:
                thing.fall += GRAVITY * dt
                thing.pos[2] -= thing.fall * dt
                ground = self.level(thing.pos[0], thing.pos[1]) if thing is not self.block else TABLE_Z
                if thing.pos[2] - thing.half <= ground:
                    thing.pos[2], thing.falling, thing.fall = ground + thing.half, False, 0.0

    # ----------------------------------------------------------------------------------- the controller

    def draw(self, low: float, high: float) -> float:
        """A number between two."""
        return float(self.rng.uniform(low, high))

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return bool(self.rng.random() < p)

    def wait(self, seconds: float, intent: str = "wait", name: str = "") -> None:
        """Stand still."""
        self.intent = (intent, name)
        for _ in range(round(seconds / self.dt)):
            self.step()

    def go(
        self,
        target: Sequence[float],
        limit: float,
        intent: str,
        name: str,
        *,
        blend: float = 0.0005,
        until: Callable[[], bool] | None = None,
    ) -> bool:
        """Move until the target is nearer than ``blend``; True if ``until`` came first."""
        self.intent = (intent, name)
        while math.dist(self.command, target) >= blend:
            self.step(target, limit)
            if until is not None and until():
                return True
        return False

    def close(self, name: str, dwell: float) -> bool:
        """Close the fingers; True if they hold something."""
        self.intent, self.closing = ("close", name), 1
        while self.width > 0.0 and self.grip < 0.9 * self.grip_goal:
            self.step()
        self.wait(dwell, "close", name)
        if self.held is None:
            self.closing = 0
        return self.held is not None

    def open(self, intent: str, name: str, to: float) -> None:
        """Open the fingers to a width."""
        self.intent, self.closing, self.opening_goal = (intent, name), -1, max(to, self.width)
        while self.width < self.opening_goal - 1e-9 or self.held is not None:
            self.step()
        self.closing = 0

    def back(self, distance: float) -> list[float]:
        """Point behind the hand, against the tool's direction."""
        return [self.hand[i] - distance * self.tool[i] for i in range(3)]

    def settle(self) -> None:
        """Let the command meet the hand, so that nothing is pressed any more."""
        self.command, self.speed = list(self.hand), [0.0, 0.0, 0.0]


# ------------------------------------------------------------------------------------------- the scripts


@dataclass(slots=True)
class Job:
    """One episode in the making: pace of this operator, and what is asked."""

    cell: Cell
    fast: float
    slow: float
    clear: float
    """How far off the hand stops before the last stretch, m."""
    rise: float
    """How high things are carried, m."""
    goals: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    """Where each thing belongs: x, y and how far off still counts, m."""
    needed_force: float = 0.0
    """N a wipe has to press with."""
    needed_travel: float = 0.0

    def thing(self, name: str) -> Thing:
        return self.cell.things[name]

    def reach(self, name: str, short: float = 0.0) -> None:
        """Approach a thing; ``short`` m too little."""
        cell, at = self.cell, self.thing(name).pos
        goal = [at[i] - short * cell.tool[i] for i in range(3)]
        pre = [goal[i] - self.clear * cell.tool[i] for i in range(3)]
        pre[2] = max(pre[2], TABLE_Z + 0.03)
        cell.go(pre, self.fast, "reach", name, blend=0.02)
        while cell.turn < 1.0 or (cell.closing < 0 and cell.width < SPAN):
            cell.step(pre, self.fast)
        cell.go(goal, self.slow, "reach", name)

    def take(self, name: str, short: float = 0.0) -> bool:
        """Approach and grasp; True if it is held."""
        cell, thing = self.cell, self.thing(name)
        cell.closing, cell.opening_goal = -1, SPAN
        self.reach(name, short)
        if thing.axis is None:
            cell.grip_goal = min(80.0, max(5.0, cell.draw(1.6, 3.0) * cell.load(thing)))
        else:
            cell.grip_goal = cell.draw(25.0, 80.0)
        return cell.close(name, cell.draw(0.1, 0.4))

    def lift(self, name: str) -> None:
        cell = self.cell
        top = [cell.command[0], cell.command[1], cell.command[2] + self.rise]
        cell.go(top, self.fast, "raise", name, blend=0.03)

    def above(self, name: str, x: float, y: float) -> list[float]:
        """Hand position that brings a held thing over a point at carrying height."""
        off = self.cell.offset
        return [x - off[0], y - off[1], TABLE_Z + self.thing(name).half - off[2] + self.rise]

    def carry(self, name: str, x: float, y: float, until: Callable[[], bool] | None = None) -> bool:
        return self.cell.go(self.above(name, x, y), self.fast, "carry", name, blend=0.03, until=until)

    def lower(self, name: str, x: float, y: float) -> None:
        """Guarded descent to where the thing should rest, or to what stands there."""
        cell, felt = self.cell, self.cell.draw(2.5, 7.0)
        goal = self.above(name, x, y)
        goal[2] -= self.rise + felt / cell.stiffness + 0.004
        cell.go(goal, self.slow, "lower", name, until=lambda: cell.pressure > felt)
        cell.wait(cell.draw(0.08, 0.25), "lower", name)

    def let_go(self, name: str) -> None:
        cell = self.cell
        cell.settle()
        cell.open("let_go", name, min(SPAN, self.thing(name).width + cell.draw(0.006, 0.02)))

    def put(self, name: str) -> None:
        """Lift what is held, carry it where it belongs, set it down, go away."""
        x, y, _ = self.goals[name]
        self.lift(name)
        self.carry(name, x, y)
        self.lower(name, x, y)
        self.let_go(name)

    def leave(self) -> None:
        cell = self.cell
        cell.settle()
        cell.go(cell.back(cell.draw(0.09, 0.16)), self.fast, "leave", "", blend=0.02)

    def home(self) -> None:
        cell = self.cell
        self.leave()
        cell.go([cell.draw(-0.3, -0.1), -0.42, TABLE_Z + 0.36], self.fast, "leave", "")
        cell.wait(cell.draw(0.1, 1.6))

    def open_and_back_off(self, name: str) -> None:
        """What an operator does after a failure and before another try."""
        cell = self.cell
        cell.settle()
        cell.wait(cell.draw(0.1, 0.7), "correct", name)
        cell.open("correct", name, cell.draw(0.11, SPAN))
        cell.go(cell.back(cell.draw(0.05, 0.1)), self.slow, "correct", name)
        cell.wait(cell.draw(0.05, 0.4), "correct", name)


def pick_place(job: Job) -> None:
    job.take("item_a")
    job.put("item_a")
    job.home()


def missed_grasp(job: Job) -> None:
    for _ in range(1 + job.cell.chance(0.25)):
        _miss(job, "item_a")
        job.open_and_back_off("item_a")
    pick_place(job)


def _miss(job: Job, name: str) -> None:
    """Close the fingers short of the thing."""
    thing = job.thing(name)
    reach = thing.half if abs(job.cell.tool[2]) > 0.7 else thing.half + thing.width / 2
    job.take(name, short=reach + job.cell.draw(0.012, 0.04))


def slip_transport(job: Job) -> None:
    """Too weak a grip under way: the thing creeps through the fingers until they tighten, or it is lost."""
    cell, name = job.cell, "item_a"
    caught = cell.chance(0.6)
    react = cell.draw(0.12, 0.3) if caught else cell.draw(1.5, 2.5)
    clock = [0.0]

    def noticed() -> bool:
        clock[0] += cell.dt if cell.slide > 0 else 0.0
        return clock[0] >= react or cell.held is None

    job.take(name)
    job.lift(name)
    x, y, _ = job.goals[name]
    here = job.thing(name).pos
    share = cell.draw(0.25, 0.5)
    job.carry(name, here[0] + share * (x - here[0]), here[1] + share * (y - here[1]))
    firm, cell.grip_goal = cell.grip_goal, cell.load(job.thing(name)) * cell.draw(0.8, 0.93)
    cell.hold_length = 0.06 if caught else cell.draw(0.015, 0.03)
    stopped = cell.go(job.above(name, x, y), job.fast * 0.6, "carry", name, blend=0.03, until=noticed)
    while not stopped and not noticed():
        cell.step()
    if cell.held is None:
        _after_loss(job, name)
        return
    cell.grip_goal = firm * 1.3
    if cell.chance(0.5):
        cell.wait(cell.draw(0.5, 1.0), "correct", name)
    job.carry(name, x, y)
    job.lower(name, x, y)
    job.let_go(name)
    job.home()


def drop(job: Job) -> None:
    """The grip is gone at once and the thing falls."""
    cell, name = job.cell, "item_a"
    job.take(name)
    job.lift(name)
    x, y, _ = job.goals[name]
    here = job.thing(name).pos
    share = cell.draw(0.15, 0.75)
    job.carry(name, here[0] + share * (x - here[0]), here[1] + share * (y - here[1]))
    cell.grip_goal, cell.grip_lag, cell.hold_length = 0.0, 0.1, 0.012
    cell.go(job.above(name, x, y), job.fast, "carry", name, until=lambda: cell.held is None)
    cell.grip_lag = 0.15
    _after_loss(job, name)


def _after_loss(job: Job, name: str) -> None:
    """Stop until the thing lies still; then either fetch it or give up."""
    cell = job.cell
    cell.closing = 0
    again = cell.chance(0.55)
    while cell.things[name].falling:
        cell.wait(cell.dt, "carry", name)
    if not again:
        cell.wait(cell.draw(0.1, 1.2))
        job.home()
        return
    cell.hold_length = 0.05
    job.open_and_back_off(name)
    pick_place(job)


def drawer_open(job: Job) -> None:
    job.take("locker")
    _pull(job)
    _release_drawer(job)


def locked_drawer(job: Job) -> None:
    """Force without motion; sometimes a wiggle and another try, sometimes freed by it."""
    cell, locker = job.cell, job.thing("locker")
    locker.locked = True
    job.take("locker")
    _pull(job)
    if cell.chance(0.6):
        freed = cell.chance(0.5)
        cell.wait(cell.draw(0.1, 0.5), "correct", "locker")
        axis = locker.axis or (0.0, 0.0, 0.0)
        rest, side = list(cell.command), [axis[1], -axis[0], 0.0]
        for k in range(int(cell.rng.integers(2, 5))):
            swing = (-1) ** k * cell.draw(0.008, 0.016)
            cell.go([rest[i] + swing * side[i] for i in range(3)], 0.06, "correct", "locker")
        cell.go(rest, 0.06, "correct", "locker")
        locker.locked = not freed
        _pull(job)
    _release_drawer(job)


def _pull(job: Job) -> None:
    cell, locker = job.cell, job.thing("locker")
    axis = locker.axis or (0.0, 0.0, 0.0)
    far = job.needed_travel + cell.draw(0.01, 0.03)
    goal = [cell.hand[i] + axis[i] * (far + locker.drag / cell.stiffness) for i in range(3)]
    tired = cell.draw(40.0, 110.0)
    cell.settle()
    if cell.go(goal, 0.6 * job.slow, "pull", "locker", until=lambda: cell.pressure > tired):
        cell.wait(cell.draw(0.2, 0.8), "pull", "locker")
    cell.go(cell.hand, 0.1, "pull", "locker", blend=0.002)
    cell.settle()


def _release_drawer(job: Job) -> None:
    job.cell.open("open", "locker", job.cell.draw(0.07, SPAN))
    job.home()


def push(job: Job) -> None:
    cell, thing = job.cell, job.thing("item_a")
    x, y, _ = job.goals["item_a"]
    far = math.dist((x, y), thing.pos[:2])
    way = ((x - thing.pos[0]) / far, (y - thing.pos[1]) / far, 0.0)
    gap = thing.width / 2 + cell.draw(0.03, 0.06)
    low = [thing.pos[0] - gap * way[0], thing.pos[1] - gap * way[1], TABLE_Z + thing.half]
    cell.go([low[0], low[1], low[2] + job.clear], job.fast, "reach", "item_a", blend=0.02)
    cell.go(low, job.slow, "reach", "item_a")
    cell.pushed = (thing, way)
    give = thing.friction * thing.mass * GRAVITY / cell.stiffness
    end = far - thing.width / 2 + give
    start = [x - far * way[0], y - far * way[1]]
    cell.go([start[0] + end * way[0], start[1] + end * way[1], low[2]], job.slow, "push", "item_a")
    cell.wait(cell.draw(0.05, 0.2), "push", "item_a")
    cell.pushed = None
    cell.settle()
    cell.go(
        [cell.hand[0] - 0.03 * way[0], cell.hand[1] - 0.03 * way[1], cell.hand[2]], job.slow, "leave", "", blend=0.01
    )
    job.home()


def wipe(job: Job) -> None:
    _wipe_with(job, [job.needed_force * job.cell.draw(1.3, 2.2)])


def wipe_weak(job: Job) -> None:
    weak = job.needed_force * job.cell.draw(0.25, 0.45)
    _wipe_with(job, [weak, 1.6 * job.needed_force] if job.cell.chance(0.5) else [weak])


def _wipe_with(job: Job, presses: list[float]) -> None:
    """Strokes over the board, with the padded hand or with a sponge; one pass a pressing force."""
    cell, centre = job.cell, job.thing("board").pos
    sponge = cell.width > 0.01
    if sponge:
        job.take("item_a")
        job.lift("item_a")
    length, pitch, strokes = cell.draw(0.1, 0.18), cell.draw(0.02, 0.04), int(cell.rng.integers(3, 6))
    x0, y0 = centre[0] - length / 2, centre[1] - pitch * strokes / 2
    below = job.thing("item_a").half - cell.offset[2] if sponge else 0.0
    high = TABLE_Z + cell.board + below + job.clear
    for k, press in enumerate(presses):
        if k:
            cell.settle()
            cell.go([cell.hand[0], cell.hand[1], high], job.slow, "correct", "board", blend=0.02)
            cell.wait(cell.draw(0.1, 0.5), "correct", "board")
            cell.go([x0, y0, high], job.fast, "correct", "board")
        elif sponge:
            cell.go([x0, y0, high], job.fast, "carry", "item_a", blend=0.02)
        else:
            cell.go([x0, y0, high], job.fast, "reach", "board", blend=0.02)
        deep = TABLE_Z + cell.board + below - press / cell.stiffness
        cell.go([x0, y0, deep], 0.5 * job.slow, "wipe", "board")
        for stroke in range(strokes):
            y = y0 + pitch * stroke
            ends = (x0 + length, x0) if stroke % 2 == 0 else (x0, x0 + length)
            cell.go([ends[0], y, deep], 1.2 * job.slow, "wipe", "board", blend=0.006)
            cell.go([ends[0], y + pitch, deep], 1.2 * job.slow, "wipe", "board", blend=0.006)
    if sponge:
        x, y, _ = job.goals["item_a"]
        cell.go([cell.hand[0], cell.hand[1], high], job.slow, "raise", "item_a", blend=0.02)
        job.carry("item_a", x, y)
        job.lower("item_a", x, y)
        job.let_go("item_a")
    job.home()


def collision(job: Job) -> None:
    """A slab on the way that nobody had seen: contact, stop, back off, go over it or give up."""
    cell, name = job.cell, "item_a"
    x, y, _ = job.goals[name]
    loaded = cell.chance(0.6)
    if loaded:
        job.take(name)
        job.lift(name)
        end = job.above(name, x, y)
    else:
        at = job.thing(name).pos
        end = [at[i] - job.clear * cell.tool[i] for i in range(3)]
    here, share = cell.command, cell.draw(0.4, 0.6)
    far = math.dist(here[:2], end[:2])
    way = ((end[0] - here[0]) / far, (end[1] - here[1]) / far, 0.0)
    at_wall = (here[0] + share * (end[0] - here[0]), here[1] + share * (end[1] - here[1]), 0.0)
    cell.walls.append(Wall(at_wall, way, max(here[2], end[2]) + cell.draw(0.03, 0.06)))
    limit = cell.draw(15.0, 60.0)
    doing = "carry" if loaded else "reach"
    if not cell.go(end, job.fast, doing, name, until=lambda: cell.pressure > limit):
        raise RuntimeError("the slab was not met")
    cell.speed = [0.0, 0.0, 0.0]  # a protective stop
    cell.wait(cell.draw(0.1, 0.4), doing, name)
    again = cell.chance(0.6)
    away = "correct" if again or loaded else "leave"
    far = cell.draw(0.04, 0.06)
    off = [cell.hand[i] - way[i] * far for i in range(3)]
    cell.go(off, job.slow, away, name if away == "correct" else "")
    if not again:
        if loaded:
            cell.wait(cell.draw(0.7, 1.5))
        else:
            job.home()
        return
    cell.wait(cell.draw(0.1, 0.6), "correct", name)
    over = cell.walls[0].top + 0.04 + (0.0 if loaded else 0.02)
    cell.go([off[0], off[1], over], job.slow, "correct", name)
    cell.go([end[0], end[1], over], job.fast, doing, name, blend=0.02)
    cell.walls.clear()
    if loaded:
        job.lower(name, x, y)
        job.let_go(name)
        job.home()
    else:
        pick_place(job)


def obstructed_place(job: Job) -> None:
    """Something stands on the target: the descent ends early."""
    cell, name = job.cell, "item_a"
    x, y, _ = job.goals[name]
    block = cell.block
    if block is None:
        raise RuntimeError("nothing stands in the way")
    block.pos[:2] = [x, y]
    job.rise += 2 * block.half
    job.take(name)
    job.lift(name)
    job.carry(name, x, y)
    job.lower(name, x, y)
    cell.settle()
    cell.wait(cell.draw(0.05, 0.4), "correct", name)
    cell.go([cell.hand[0], cell.hand[1], cell.hand[2] + cell.draw(0.06, 0.1)], job.slow, "correct", name)
    if cell.chance(0.4):
        cell.wait(cell.draw(0.7, 1.5))
        return
    side = 1.0 if y < -0.5 else -1.0
    beside = y + side * (block.radius + 0.03 + 0.02)
    here = list(cell.command)
    cell.go([here[0], here[1] + beside - y, here[2]], job.slow, "correct", name)
    job.lower(name, x, beside)
    job.let_go(name)
    job.home()


def second_approach(job: Job) -> None:
    """Hovers, goes away or waits, and comes again: nothing had failed."""
    cell, name = job.cell, "item_a"
    at = job.thing(name).pos
    pre = [at[i] - (job.clear + 0.02) * cell.tool[i] for i in range(3)]
    cell.go(pre, job.fast, "reach", name)
    cell.wait(cell.draw(0.05, 0.3), "reach", name)
    if cell.chance(0.6):
        cell.go([pre[0] + cell.draw(0.05, 0.1), pre[1], pre[2] + cell.draw(0.06, 0.12)], job.fast, "leave", "")
        cell.wait(cell.draw(0.0, 1.0))
    else:
        cell.wait(cell.draw(0.7, 1.5))
    pick_place(job)


def pauses(job: Job) -> None:
    cell, name = job.cell, "item_a"
    at = job.thing(name).pos
    cell.wait(cell.draw(0.6, 1.2))
    half = [(cell.command[i] + at[i]) / 2 for i in range(3)]
    half[2] = cell.command[2]
    cell.go(half, job.fast, "reach", name)
    cell.wait(cell.draw(0.7, 1.5), "reach", name)
    job.take(name)
    job.lift(name)
    x, y, _ = job.goals[name]
    if cell.chance(0.5):
        here = job.thing(name).pos
        job.carry(name, (here[0] + x) / 2, (here[1] + y) / 2)
        cell.wait(cell.draw(0.5, 1.2), "carry", name)
    job.carry(name, x, y)
    job.lower(name, x, y)
    job.let_go(name)
    cell.wait(cell.draw(0.7, 1.2))
    job.home()


def two_objects(job: Job) -> None:
    job.take("item_a")
    job.put("item_a")
    job.leave()
    job.take("item_b")
    job.put("item_b")
    job.home()


def abort(job: Job) -> None:
    for k in range(int(job.cell.rng.integers(1, 4))):
        if k:
            job.open_and_back_off("item_a")
        _miss(job, "item_a")
    job.home()


_SCRIPTS: dict[str, tuple[str, Callable[[Job], None]]] = {
    "pick_place": ("fetch", pick_place),
    "missed_grasp": ("fetch", missed_grasp),
    "slip_transport": ("fetch", slip_transport),
    "drop": ("fetch", drop),
    "drawer_open": ("locker", drawer_open),
    "locked_drawer": ("locker", locked_drawer),
    "push": ("shove", push),
    "wipe": ("scrub", wipe),
    "wipe_weak": ("scrub", wipe_weak),
    "collision": ("fetch", collision),
    "obstructed_place": ("fetch", obstructed_place),
    "second_approach": ("fetch", second_approach),
    "pauses": ("fetch", pauses),
    "two_objects": ("fetch", two_objects),
    "abort": ("fetch", abort),
}
SCENARIOS: tuple[str, ...] = tuple(_SCRIPTS)


def _build(rng: np.random.Generator, family: str, dt: float) -> Job:
    """A scene of a family: the same things whatever is going to happen."""

    def draw(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def loose(name: str, x: float, y: float) -> Thing:
        half, width = draw(0.02, 0.05), draw(0.02, 0.1)
        pos = [x, y, TABLE_Z + half]
        return Thing(
            name, pos, half, width, draw(0.15, 1.2), draw(0.35, 0.8), max(half, width / 2), yaw=draw(-1.5, 1.5)
        )

    steep = draw(1.25, 1.75) if family in ("shove", "scrub") or rng.random() < 0.5 else draw(0.0, 0.25)
    heading = draw(-0.4, 0.4)
    tool = (math.cos(steep) * math.sin(heading), -math.cos(steep) * math.cos(heading), -math.sin(steep))
    y_a = draw(-0.62, -0.44)
    things = [loose("item_a", draw(0.08, 0.3), y_a)]
    pad = (draw(-0.3, -0.14), draw(-0.6, -0.46))
    if family in ("fetch", "shove"):
        things.append(loose("item_b", draw(0.08, 0.3), y_a + (0.17 if y_a < -0.53 else -0.17)))
        things.append(Thing("pad", [*pad, TABLE_Z], 0.0, -1.0, 1.0, 1.0))
    if family == "fetch":
        block = loose("item_c", 0.0, draw(-0.78, -0.74))
        block.radius = 0.03
        things.append(block)
    if family == "scrub":
        things.append(Thing("board", [*pad, TABLE_Z + 0.012], 0.0, -1.0, 1.0, 1.0))
    if family == "locker":
        axis = (-math.sin(heading), math.cos(heading), 0.0)
        at = [draw(-0.2, 0.2), draw(-0.72, -0.66), TABLE_Z + draw(0.1, 0.25)]
        most, drag = draw(0.2, 0.3), draw(5.0, 20.0)
        locker = Thing("locker", at, 0.012, draw(0.012, 0.03), 5.0, 0.6, axis=axis, travel_max=most, drag=drag)
        things.insert(0, locker)
        tool = (math.sin(heading), -math.cos(heading), 0.0)
    hand = [draw(-0.3, -0.1), draw(-0.46, -0.4), TABLE_Z + draw(0.3, 0.4)]
    padded = family == "shove" or (family == "scrub" and rng.random() < 0.5)
    cell = Cell(rng, dt, {thing.name: thing for thing in things}, hand, tool, width=0.0 if padded else SPAN)
    cell.command = list(hand)
    cell.board = 0.012 if family == "scrub" else 0.0
    cell.block = cell.things.get("item_c")
    cell.accel, cell.close_speed, cell.grip_lag = draw(0.6, 2.0), draw(0.045, 0.09), draw(0.08, 0.2)
    cell.stiffness, cell.turn_rate, cell.softness = draw(500.0, 1500.0), draw(0.8, 1.6), draw(0.0, 1.5e-4)
    cell.hold_length = 0.05
    job = Job(cell, draw(0.2, 0.5), draw(0.07, 0.14), draw(0.07, 0.12), draw(0.1, 0.18))
    spread = 0.06 if family == "fetch" else 0.0
    job.goals["item_a"] = (pad[0], pad[1] + spread, 0.16)
    if family == "fetch":
        job.goals["item_b"] = (pad[0], pad[1] - spread - 0.02, 0.16)
    if family == "scrub":
        job.goals["item_a"] = (draw(0.1, 0.3), draw(-0.6, -0.5), 0.03)
    job.needed_force, job.needed_travel = draw(7.0, 11.0), draw(0.1, 0.16)
    return job


# --------------------------------------------------------------------------------------------- the truth


class _State(NamedTuple):
    """Noise-free state at the control rate; n frames, k things."""

    rate: float
    hand: Array
    velocity: Array
    width: Array
    grip: Array
    force: Array
    """Averaged over the control period, shape (n, 3)."""
    hit: Array
    touch: Array
    slipping: Array
    turn: Array
    held: Array
    """Index of what is held, -1 nothing."""
    things: Array
    """shape (n, k, 3)."""
    intent: Array
    name: Array


def _sample(cell: Cell, rate: float) -> _State:
    """Every ``sub``-th step of the log; forces averaged over the steps of the period."""
    log = np.array(cell.log)
    sub = round(1.0 / (rate * cell.dt))
    n = len(log) // sub
    cut = log[: n * sub].reshape(n, sub, -1)
    last, mean = cut[:, -1], cut.mean(axis=1)
    names = np.array(cell.intents, dtype=object)[sub - 1 : n * sub : sub]
    return _State(
        rate=rate,
        hand=last[:, :3],
        velocity=np.gradient(last[:, :3], 1.0 / rate, axis=0),
        width=last[:, 3],
        grip=last[:, 4],
        force=mean[:, 5:8],
        hit=last[:, 8] > 0,
        touch=last[:, 9] > 0,
        slipping=last[:, 10] > 0,
        turn=last[:, 11],
        held=last[:, 12].astype(int),
        things=last[:, 13:].reshape(n, -1, 3),
        intent=names[:, 0],
        name=names[:, 1],
    )


def _runs(values: Array) -> list[tuple[int, int]]:
    """Half-open spans of equal neighbours."""
    if not len(values):
        return []
    cuts = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    return list(itertools.pairwise(cuts))


_LABEL_OF = {
    "wait": "idle",
    "reach": "approach",
    "close": "grasp",
    "raise": "lift",
    "carry": "transport",
    "lower": "transport",
    "let_go": "place",
    "open": "release",
    "leave": "retreat",
    "pull": "pull",
    "correct": "recovery_maneuver",
}


def _labels(s: _State) -> tuple[Array, Array]:
    """Label and object of each frame by the convention, shapes (n,)."""
    up, aside = s.velocity[:, 2], np.hypot(s.velocity[:, 0], s.velocity[:, 1])
    speed = np.hypot(up, aside)
    loaded = s.held >= 0
    label = np.array([_LABEL_OF.get(intent, intent) for intent in s.intent], dtype=object)
    name = s.name.copy()
    label[(label == "transport") & ~loaded] = "idle"
    label[(s.intent == "push") & ~s.touch] = "approach"
    label[(s.intent == "wipe") & ~s.touch & ~loaded] = "approach"
    label[(s.intent == "wipe") & ~s.touch & loaded] = "transport"
    for a, b in _runs(s.intent):
        if s.intent[a] == "raise":  # a lift lasts while the thing rises more than it moves aside
            rising = np.flatnonzero((up[a:b] > STILL) & (up[a:b] >= aside[a:b]))
            first = a + int(rising[0]) if len(rising) else b
            label[a:first], name[a:first] = label[a - 1], name[a - 1]
            over = np.flatnonzero((aside[first:] > up[first:]) | (up[first:] < STILL))
            end = first + int(over[0]) if len(over) else len(label)
            moves = np.isin(s.intent[first:end], ["raise", "carry"])
            label[first:end][moves] = "lift"
            label[end:b] = "transport"
        if s.intent[a] == "lower":  # the final descent begins where it goes down more than aside
            down = np.flatnonzero((-up[a:b] > aside[a:b]) & (-up[a:b] > STILL))
            label[a + int(down[0]) if len(down) else b : b] = "place"
        if s.intent[a] == "leave":  # what is still pressed by an action belongs to it
            pressed = int(np.argmin(s.touch[a:b])) if not s.touch[a:b].all() else b - a
            if a and pressed:
                label[a : a + pressed], name[a : a + pressed] = label[a - 1], name[a - 1]
    carried = np.isin(label, ["transport"]) & (s.intent == "wipe")
    if carried.any():
        name[carried] = "item_a"
    for a, b in _runs(s.slipping):
        if s.slipping[a] and b - a >= 0.1 * s.rate:
            label[a:b], name[a:b] = "slip", name[a]
    for a, b in _runs(s.hit):
        if s.hit[a]:  # what was hit is not known; what it was hit with may be
            label[a:b], name[a:b] = "collision", name[a] if loaded[a] else ""
    _stand_still(label, name, speed < STILL, s.rate)
    return label, name


def _stand_still(label: Array, name: Array, still: Array, rate: float) -> None:
    """A still free hand is idle from 0.5 s on; a shorter stop joins what was before (after an anomaly: next)."""
    calm = still & np.isin(label, ["approach", "retreat", "idle"])
    idle = np.zeros(len(label), bool)
    for a, b in _runs(calm):
        idle[a:b] = calm[a] and b - a >= 0.5 * rate
    loose = (label == "idle") & ~idle
    label[idle], name[idle] = "idle", ""
    for a, b in _runs(loose):
        if loose[a]:
            source = a - 1 if a and label[a - 1] not in ANOMALIES else b
            if source < len(label):
                label[a:b], name[a:b] = label[source], name[source]


def _spans(label: Array, name: Array, rate: float) -> list[tuple[int, int]]:
    """Segments' frames; what is shorter than 0.1 s goes to its predecessor (the first one to its successor)."""
    key = np.array([f"{a}/{b}" for a, b in zip(label, name)], dtype=object)
    while True:
        runs = _runs(key)
        short = [(a, b) for a, b in runs if b - a < 0.1 * rate - 1e-9]
        if not short or len(runs) == 1:
            return runs
        a, b = min(short, key=lambda each: each[1] - each[0])
        source = a - 1 if a else b
        key[a:b], label[a:b], name[a:b] = key[source], label[source], name[source]


def _verdict(job: Job, s: _State, label: str, name: str, a: int, b: int) -> str:
    """Why the action of a segment failed, from the physical state at its end; empty where it did not."""
    order = list(job.cell.things)
    end = b - 1
    at = s.things[end, order.index(name)] if name in order else None
    if label == "grasp" and s.held[end] < 0:
        return "missed_grasp"
    if label == "pull" and at is not None:
        moved = math.dist(at, s.things[0, order.index(name)])
        return "" if moved >= job.needed_travel - 0.005 else "locked"
    if label == "wipe":
        press = float(np.median(s.force[a:b, 2]))
        return "" if press >= job.needed_force else "insufficient_force"
    if label in ("place", "push") and at is not None:
        if label == "place" and s.held[end] >= 0:
            return "obstructed"
        x, y, tolerance = job.goals[name]
        off = math.dist((x, y), at[:2]) > tolerance
        return ("misplaced" if label == "place" else "incomplete") if off else ""
    return ""


def _truth(job: Job, s: _State) -> list[TrueSegment]:
    label, name = _labels(s)
    spans = _spans(label, name, s.rate)
    found: list[TrueSegment] = []
    for k, (a, b) in enumerate(spans):
        reason = _verdict(job, s, label[a], name[a], a, b)
        if label[a] == "collision":
            reason = "collision"
        elif label[a] == "slip":
            reason = "gripper_slip" if s.held[min(b, len(label) - 1)] >= 0 else "drop"
        elif k + 1 < len(spans) and label[b] == "collision":
            reason = "collision"
        elif k + 1 < len(spans) and label[b] == "slip":
            end = min(spans[k + 1][1], len(label) - 1)
            reason = "gripper_slip" if s.held[end] >= 0 else "drop"
        elif not reason and s.slipping[a:b].any():
            reason = "gripper_slip"
        found.append(TrueSegment(label[a], name[a], a, b, "failure" if reason else "success", reason))
    return [_in_context(found, k) for k in range(len(found))]


def _in_context(found: list[TrueSegment], k: int) -> TrueSegment:
    """A failed attempt followed by another is a retry; a correction is as good as what it led to."""
    one = found[k]
    if one.label == "recovery_maneuver":
        failed = next((p for p in reversed(found[:k]) if p.failure_reason and p.label not in ANOMALIES), None)
        if failed is not None:
            later = [n for n in found[k + 1 :] if (n.label, n.object) == (failed.label, failed.object)]
            reason = later[0].failure_reason if later else failed.failure_reason
            return one._replace(outcome="failure" if reason else "success", failure_reason=reason)
    again = any((n.label, n.object) == (one.label, one.object) for n in found[k + 1 :])
    if one.outcome == "failure" and again and one.label not in ANOMALIES:
        return one._replace(outcome="retry")
    return one


def _succeeded(job: Job, family: str, s: _State, segments: list[TrueSegment], asked: Sequence[str]) -> bool:
    """The task's own switch, from the last state of the world."""
    if family == "locker":
        return job.thing("locker").travel >= job.needed_travel - 0.005
    if family == "scrub":
        return any(each.label == "wipe" and each.outcome == "success" for each in segments)
    done = [
        math.dist(job.goals[name][:2], job.thing(name).pos[:2]) <= job.goals[name][2] and int(s.held[-1]) < 0
        for name in asked
    ]
    return all(done)


# ------------------------------------------------------------------------------------------- the sensors


def _coloured(rng: np.random.Generator, n: int, width: int, scale: float, memory: float) -> Array:
    """First-order coloured noise of standard deviation ``scale``; ``memory`` frames long, shape (n, width)."""
    from scipy.signal import lfilter

    keep = math.exp(-1.0 / memory)
    white = rng.standard_normal((n, width))
    white[0] /= math.sqrt(1 - keep * keep)
    out: Array = scale * math.sqrt(1 - keep * keep) * lfilter([1.0], [1.0, -keep], white, axis=0)
    return out


def _frame(x: Array, z_like: Array) -> Array:
    """Rotation whose first axis is x and whose third is near z_like, shape (n, 3, 3)."""
    y = np.cross(z_like, x)
    y /= np.linalg.norm(y, axis=-1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def _slerp(a: Array, b: Array, share: Array) -> Array:
    """Unit quaternions from a to b, shape (n, 4)."""
    b = b if float(a @ b) >= 0 else -b
    angle = math.acos(min(1.0, float(a @ b)))
    if angle < 1e-6:
        return np.tile(a, (len(share), 1))
    mix: Array = (np.sin((1 - share) * angle)[:, None] * a + np.sin(share * angle)[:, None] * b) / math.sin(angle)
    return mix


def _quaternion(r: Array) -> Array:
    from scipy.spatial.transform import Rotation

    q: Array = np.roll(Rotation.from_matrix(r).as_quat(), 1)
    return q


def _matrix(q: Array) -> Array:
    from scipy.spatial.transform import Rotation

    r: Array = Rotation.from_quat(np.roll(q, -1, axis=-1)).as_matrix()
    return r


def _zyx(r: Array) -> Array:
    """Angles whose product Rz Ry Rx is r, continuous in time, shape (n, 3)."""
    angles = [
        np.arctan2(r[:, 1, 0], r[:, 0, 0]),
        np.arctan2(-r[:, 2, 0], np.hypot(r[:, 0, 0], r[:, 1, 0])),
        np.arctan2(r[:, 2, 1], r[:, 2, 2]),
    ]
    return np.unwrap(np.stack(angles, axis=1), axis=0)


def _about(axis: int, angle: Array) -> Array:
    """Rotations about a coordinate axis, shape (n, 3, 3)."""
    out = np.zeros((len(angle), 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out[:, axis, axis] = 1
    out[:, i, i] = out[:, j, j] = np.cos(angle)
    out[:, j, i] = np.sin(angle)
    out[:, i, j] = -np.sin(angle)
    return out


def _joints(hand: Array, r: Array, swivel: float) -> Array:
    """Joint angles of a hand pose, elbow in the plane that ``swivel`` names, shape (n, 7)."""
    wrist = hand - TOOL * r[:, :, 0]
    far = np.linalg.norm(wrist, axis=1, keepdims=True)
    out = wrist / far
    pole = np.array([math.sin(swivel), 0.0, math.cos(swivel)])
    lift = pole - (out @ pole)[:, None] * out
    lift /= np.linalg.norm(lift, axis=1, keepdims=True)
    cosine = np.clip((UPPER_ARM**2 + far**2 - FOREARM**2) / (2 * UPPER_ARM * far), -1, 1)
    upper = cosine * out + np.sqrt(1 - cosine**2) * lift
    fore = (wrist - UPPER_ARM * upper) / FOREARM
    normal = np.cross(upper, fore)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    shoulder = np.stack([upper, np.cross(normal, upper), normal], axis=-1)
    forearm = np.stack([fore, np.cross(normal, fore), normal], axis=-1)
    elbow = np.arctan2((fore * shoulder[:, :, 1]).sum(1), (fore * upper).sum(1))
    return np.column_stack([_zyx(shoulder), elbow, _zyx(np.swapaxes(forearm, 1, 2) @ r)])


def forward(q: Array) -> tuple[Array, Array, Array, Array]:
    """Hand position (n, 3), its rotation (n, 3, 3), joint axes (n, 7, 3) and origins (n, 7, 3)."""
    q = np.asarray(q, float)
    r, at = np.broadcast_to(np.eye(3), (len(q), 3, 3)), np.zeros((len(q), 3))
    axes, origins = [], []
    for k, axis in enumerate((2, 1, 0, 2, 2, 1, 0)):
        if k == 3:
            at = at + UPPER_ARM * r[:, :, 0]
        if k == 4:
            at = at + FOREARM * r[:, :, 0]
        axes.append(r[:, :, axis])
        origins.append(at)
        r = r @ _about(axis, q[:, k])
    return at + TOOL * r[:, :, 0], r, np.stack(axes, 1), np.stack(origins, 1)


def _torques(q: Array, qd: Array, qdd: Array, payload: Array, force: Array) -> Array:
    """Torque of each joint: gravity of three lumps and payload, external force, inertia, friction; shape (n, 7)."""
    hand, _, axes, origins = forward(q)
    lumps = [(0.5 * origins[:, 3], 4.0, 0), (0.5 * (origins[:, 3] + origins[:, 4]), 2.5, 3), (hand, 1.3, 4)]
    lowest = np.arange(7)
    total = np.array([0.9, 0.9, 0.3, 0.4, 0.05, 0.05, 0.02]) * qdd + 0.8 * qd + 0.4 * np.tanh(qd / 0.05)
    for at, mass, first in lumps:
        weight = np.zeros_like(hand)
        weight[:, 2] = -GRAVITY * mass
        if first == 4:
            weight[:, 2] -= GRAVITY * payload
            weight = weight + force
        moment = np.cross(at[:, None] - origins, weight[:, None])
        carries = lowest <= (2 if first == 0 else 3 if first == 3 else 6)
        total = total - np.where(carries, (axes * moment).sum(-1), 0.0)
    return total


def _backlash(width: Array, play: float) -> Array:
    """What a geared sensor reads: it follows only once the play is used up."""
    out, now = np.empty_like(width), float(width[0])
    for k, w in enumerate(width.tolist()):
        now = min(max(now, w - play / 2), w + play / 2)
        out[k] = now
    return out


def _seen(rng: np.random.Generator, track: Array, rate: float, shaky: float) -> tuple[Array, Array]:
    """A camera's view of a track: late by some frames, coloured noise, gaps; position and confidence."""
    n = len(track)
    late = int(rng.integers(1, max(2, round(0.1 * rate))))
    seen = np.concatenate([np.repeat(track[:1], late, axis=0), track])[:n]
    seen = seen + _coloured(rng, n, 3, float(rng.uniform(0.0004, 0.0015)), 0.15 * rate)
    confidence = np.clip(0.9 - np.abs(_coloured(rng, n, 1, 0.05, 0.5 * rate))[:, 0], 0.05, 1.0)
    for _ in range(rng.poisson(shaky * n / rate)):
        a = int(rng.integers(n))
        b = a + 1 + int(rng.exponential(0.08 * rate))
        seen[a:b], confidence[a:b] = np.nan, 0.0
        confidence[max(0, a - 2) : a] *= 0.5
    return seen, confidence


def _rollout(rng: np.random.Generator, job: Job, s: _State, about: dict[str, Any]) -> Rollout:
    """What the robot recorded of an episode."""
    n, rate, cell = len(s.hand), s.rate, job.cell
    loaded = s.held >= 0
    tremor = _coloured(rng, n, 3, float(rng.uniform(0.0001, 0.0003)), 0.05 * rate)
    hand = s.hand + tremor
    up = np.array([0.0, 0.0, 1.0])
    work, rest = np.array(cell.tool), np.array([0.1, -0.7, -0.7]) / math.sqrt(0.99)
    ahead = np.array([0.0, -1.0, 0.0])
    posture = [_quaternion(_frame(d, up if abs(d[2]) < 0.9 else -ahead)) for d in (rest, work)]
    smooth = s.turn**2 * (3 - 2 * s.turn)
    orientation = _slerp(posture[0], posture[1], smooth)
    joints = _joints(hand, _matrix(orientation), float(rng.uniform(-0.4, 0.4)))
    velocity = np.gradient(joints, 1 / rate, axis=0)
    masses = np.array([thing.mass if thing.axis is None else 0.0 for thing in cell.things.values()])
    payload = np.where(loaded, masses[s.held], 0.0)
    torque = _torques(joints, velocity, np.gradient(velocity, 1 / rate, axis=0), payload, s.force)
    torque = torque + _coloured(rng, n, 7, 0.15, 0.05 * rate)
    drift = rng.normal(0, 0.4, 3) + np.cumsum(rng.normal(0, 0.15 / math.sqrt(rate), (n, 3)), axis=0)
    felt = s.force + drift + _coloured(rng, n, 3, float(rng.uniform(0.15, 0.4)), 0.06 * rate)
    felt[:, 2] -= payload * GRAVITY * float(rng.uniform(0.0, 0.15))  # the load is not fully compensated
    felt += 0.3 * np.gradient(s.velocity, 1 / rate, axis=0)
    grip = s.grip * rng.uniform(0.95, 1.05) + rng.uniform(0, 0.5) + _coloured(rng, n, 1, 0.3, 0.05 * rate)[:, 0]
    width = _backlash(s.width, float(rng.uniform(0.0005, 0.0015)))
    tick = float(rng.choice([0.0005, 0.001]))
    position, faces, sure = {}, {}, {}
    for k, (name, thing) in enumerate(cell.things.items()):
        track = s.things[:, k] + np.where((s.held == k)[:, None], tremor, 0.0)
        position[name], sure[name] = _seen(rng, track, rate, 0.15)
        yaw = thing.yaw + _coloured(rng, n, 1, 0.01, 0.2 * rate)[:, 0]
        quaternion = np.column_stack([np.cos(yaw / 2), np.zeros(n), np.zeros(n), np.sin(yaw / 2)])
        faces[name] = np.where(np.isnan(position[name][:, :1]), np.nan, quaternion)
    jitter = rng.uniform(-0.02, 0.02, n) / rate
    jitter[0] = 0.0
    return Rollout(
        time=np.arange(n) / rate + jitter,
        joint_position=joints,
        joint_velocity=velocity + _coloured(rng, n, 7, 0.002, 0.02 * rate + 0.5),
        joint_torque=torque,
        ee_position=hand,
        ee_orientation=orientation,
        gripper_width=(np.round(width / tick) * tick).astype(np.float32),
        grip_force=(np.round(np.maximum(grip, 0.0) / 0.2) * 0.2).astype(np.float32),
        contact_force=np.linalg.norm(felt, axis=1),
        object_position=position,
        object_orientation=faces,
        object_confidence=sure,
        robot="lateral7",
        policy="scripted",
        provenance={"source": "other_robot"},
        **about,
    )


_GOALS = {
    "fetch": ("bring {0} to the pad", "pad", "placed_on"),
    "locker": ("open the locker", "", "opened"),
    "shove": ("push {0} onto the pad", "pad", "placed_on"),
    "scrub": ("wipe the board", "", "wiped"),
}


def make(
    n: int, seed: int, rate_hz: float = 50.0, scenario: str | None = None
) -> list[tuple[Rollout, list[TrueSegment], bool]]:
    """Episodes with their true segments (gap-free) and whether the task succeeded.

    Args:
        n: how many; without a scenario they go through ``SCENARIOS`` in turn.
        seed: the same seed gives the same bytes, whatever n is.
        rate_hz: control rate.
        scenario: one of ``SCENARIOS``, or None for all.
    """
    if scenario is not None and scenario not in _SCRIPTS:
        raise ValueError(f"unknown scenario {scenario!r}: valid: {', '.join(SCENARIOS)}")
    return [_episode(seed, i, rate_hz, scenario or SCENARIOS[i % len(SCENARIOS)]) for i in range(n)]


def _episode(seed: int, index: int, rate: float, scenario: str) -> tuple[Rollout, list[TrueSegment], bool]:
    rng = np.random.default_rng([seed, index, SCENARIOS.index(scenario)])
    family, script = _SCRIPTS[scenario]
    job = _build(rng, family, 1.0 / (rate * math.ceil(100.0 / rate)))
    job.cell.wait(job.cell.draw(0.0, 1.2))
    script(job)
    s = _sample(job.cell, rate)
    segments = _truth(job, s)
    asked = ["item_a", "item_b"] if scenario == "two_objects" else ["item_a"]
    text, target, relation = _GOALS[family]
    subject = {"locker": "locker", "scrub": "board"}.get(family, asked[-1])
    tolerance = {"locker": job.needed_travel, "scrub": 0.05}.get(family, job.goals["item_a"][2])
    about = {
        "episode_id": f"other-{seed}-{index:04d}",
        "family": family,
        "session": f"s{index // 50}",
        "instruction": text.format(" and ".join(asked)),
        "goal": Goal(subject, target, relation, tolerance),
    }
    return _rollout(rng, job, s, about), segments, _succeeded(job, family, s, segments, asked)
