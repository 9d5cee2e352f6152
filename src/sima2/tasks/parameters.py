"""The numbers behind the words of the scripts: durations, widths, forces and offsets of every task of a batch.

All ranges are of hand-sized household manipulation with a table-top arm; conditions shift them as the risk law says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.tasks.design import EpisodePlan
from sima2.tasks.draws import Draws
from sima2.tasks.families import ALL_FAMILIES
from sima2.tasks.risk import CONDITIONS, GRIP_SCALE
from sima2.tasks.scene import Scene
from sima2.tasks.steps import BANDS, ROLES, SCALARS, VECTORS
from sima2.tasks.world_settings import ARMS, PhysicsSettings

FAMILY_NAMES: Final = tuple(ALL_FAMILIES)
STAGES: Final = 3
"""Tasks of an episode at most."""
SPEED_SCALE: Final = 0.17
"""Change of the log speed per unit of the speed condition."""
NEEDED_PRESS: Final = 0.55
"""Share of the intended pressing force that still cleans."""
UNIFORMS: Final = 150
NORMALS: Final = 24
"""Draws a task may use."""


class Tasks:
    """The tasks of a batch (m of them): one an episode, three where it is mixed: another family's, its own, the other's
    again."""

    def __init__(self, plan: EpisodePlan, scene: Scene, robot: Int64s, policy: Int64s, draws: Draws) -> None:
        mixed = plan.template.isin("mixed")
        count = np.where(mixed, STAGES, 1)
        self.episode = np.repeat(np.arange(len(plan)), count)
        """Shape (m,)."""
        self.first = np.cumsum(count) - count
        """Row of each episode's first task, shape (n,)."""
        self.stage = np.arange(len(self.episode)) - self.first[self.episode]
        """0, 1, 2 within the episode, shape (m,)."""
        self.main: Bools = ~mixed[self.episode] | (self.stage == 1)
        """Whether it is the task of the episode's own family, shape (m,)."""
        families = (each.recode(FAMILY_NAMES)[self.episode] for each in (plan.family, plan.other))
        self.family = np.where(self.main, *families)
        """Index into FAMILY_NAMES, shape (m,)."""
        self.roles = scene.roles[self.episode, np.where(self.main, 0, 1)]
        """Slot of each role, shape (m, roles)."""
        narrow = self.main & np.isin(self.own("relation"), ("placed_on", "placed_in"))
        self.tolerance = self.own("tolerance") * np.where(narrow, plan.tolerance[self.episode], 1.0)
        """m (or the goal's own unit), shape (m,)."""
        pace = np.array([1.0, 1.12])[policy] * np.exp(0.08 * draws.normal())
        self.fast = pace[self.episode]
        """Speed of the policy relative to the mean, shape (m,)."""
        self.hesitant = np.array([0.8, 1.2])[policy][self.episode]
        """Chance of pauses and second approaches relative to the mean, shape (m,)."""
        self.stroke = np.array([model.stroke_m for model in ARMS])[robot][self.episode]
        """m between the open fingers, shape (m,)."""

    def own(self, attribute: str) -> NDArray[Any]:
        """What the families of the tasks have, shape (m,)."""
        return np.array([getattr(ALL_FAMILIES[name], attribute) for name in FAMILY_NAMES])[self.family]

    def is_a(self, *skeletons: str) -> Bools:
        """Which tasks follow one of the skeletons, shape (m,)."""
        return np.isin(self.own("skeleton"), skeletons)


_FLAT: Final = np.array([1.0, 1.0, 0.0])


@dataclass(slots=True)
class _Context:
    """What the parameters are drawn from."""

    scene: Scene
    tasks: Tasks
    draws: Draws
    conditions: Float64s
    settings: PhysicsSettings

    def of(self, name: str, role: str = "item") -> Float64s:
        """A column of the scene for the objects in a role, shape (m, …)."""
        column: Float64s = getattr(self.scene, name)[self.tasks.episode, self.tasks.roles[:, ROLES.index(role)]]
        return column

    def condition(self, name: str) -> Float64s:
        """In standard units; subtasks of other families run no hazard."""
        return np.where(self.tasks.main, self.conditions[self.tasks.episode, CONDITIONS.index(name)], 0.0)

    def way(self) -> Float64s:
        """m from the item to its target."""
        far: Float64s = np.linalg.norm(np.nan_to_num(self.of("position", "target") - self.of("position")), axis=1)
        return far

    def hurting(self, factor: float) -> float:
        """The factor, where hazard hurts at all."""
        return factor if self.settings.hazard_hurts else 0.0

    def about(self, size: Float64s) -> Float64s:
        """A random horizontal offset of that length."""
        angle = self.draws.uniform(-np.pi, np.pi)
        return np.stack([size * np.cos(angle), size * np.sin(angle), np.zeros(len(size))], axis=1)

    def around(self, low: float, high: float) -> Float64s:
        """A random horizontal offset of a random length."""
        return self.about(self.draws.uniform(low, high))

    def up(self, low: float, high: float) -> Float64s:
        """A random height."""
        return _up(self.draws.uniform(low, high))

    def along(self, direction: Float64s, low: float, high: float) -> Float64s:
        """A random length in a direction."""
        return direction * self.draws.uniform(low, high)[:, None]


def draw_parameters(
    scene: Scene, tasks: Tasks, conditions: Float64s, draws: Draws, settings: PhysicsSettings
) -> tuple[Float64s, Float64s]:
    """Scalars of every task, shape (m, len(SCALARS)), and vectors, shape (m, len(VECTORS), 3)."""
    c = _Context(scene, tasks, draws, conditions, settings)
    scalars = _durations(c)
    scalars |= _forces(c, scalars["carry"])
    scalars |= _shapes(c)
    # pose confidences of a view
    scalars |= draws.within(seen=(0.86, 0.97), dim=(0.3, 0.55), blind=(0.02, 0.1))
    table = np.zeros((len(tasks.episode), len(SCALARS)))
    for name, value in scalars.items():
        table[:, SCALARS.index(name)] = value
    vectors = np.zeros((len(tasks.episode), len(VECTORS), 3))
    for name, offset in _vectors(c).items():
        vectors[:, VECTORS.index(name)] = offset
    return table, vectors


def _durations(c: _Context) -> dict[str, Float64s]:
    """Seconds. Motions shorten with speed; pauses do not."""
    d, t = c.draws, c.tasks
    pace = t.fast * np.exp(SPEED_SCALE * c.condition("speed"))
    far = np.linalg.norm(c.of("position") - c.scene.home[t.episode], axis=1)
    moving = {
        "reach": d.uniform(0.7, 1.1) + far / d.uniform(0.38, 0.52),
        "detour": d.sometimes(0.10, 0.45, 0.8) * t.hesitant,
        "descend": np.where(t.is_a("drawer"), 0.9, 1.0) * d.uniform(0.65, 1.1),
        "lift": d.uniform(0.7, 1.2),
        "carry": d.uniform(0.8, 1.2) + c.way() / d.uniform(0.30, 0.42),
        **d.within(
            lower=(0.75, 1.2), leave=(0.55, 0.95), go_home=(1.2, 1.9), **{"raise": (0.5, 0.9)}, aside=(1.0, 1.5),
            wiggle=(0.22, 0.42), pull=(1.2, 2.0), stroke=(0.7, 1.1), turn=(0.3, 0.5), push=(0.9, 1.5),
            back_off=(0.5, 0.9)),
    }  # fmt: skip
    fixed = {
        "hesitate": d.sometimes(0.22, 0.15, 0.32),
        "pause": d.sometimes(0.10, 0.75, 1.6) * (t.hesitant > 0.5),
        **d.within(close=(0.35, 0.65), squeeze=(0.35, 0.6), touch=(0.12, 0.28), open=(0.3, 0.55), settle=(0.24, 0.42)),
        "dwell": d.sometimes(0.35, 0.75, 1.5),
        **d.within(
            react=(0.2, 0.8), pop=(0.12, 0.25), fall=(0.16, 0.4), strain=(0.8, 2.0), pretension=(0.4, 0.8),
            press=(0.25, 0.45), bump=(0.2, 0.5), look=(0.75, 1.5), tip=(0.4, 0.8), still=(0.8, 2.0)),
    }  # fmt: skip
    return {name: value / pace for name, value in moving.items()} | fixed


def _forces(c: _Context, carry_s: Float64s) -> dict[str, Float64s]:
    """Newtons and newton-seconds. Grip force follows from the margin the risk law asks for, friction and load."""
    d, x, mass, gravity = c.draws, c.condition, c.of("mass"), c.settings.gravity
    way, drawer = c.way(), c.tasks.is_a("drawer")
    pressing = d.uniform(7.0, 12.0) * np.exp(-0.10 * x("load"))
    pulling = (3.5 + 4.0 * mass) * np.exp(0.12 * d.normal() + 0.15 * x("load"))
    load = mass * (gravity + 5.77 * way / np.square(carry_s))
    load = np.where(drawer, pulling, np.where(c.tasks.is_a("wipe"), load + 0.35 * pressing, load))
    margin = np.exp(0.85 - GRIP_SCALE * x("grip") + 0.03 * d.normal())
    hold = np.clip(margin * load / (2.0 * c.scene.friction[c.tasks.episode]), 0.5, 120.0)
    speed = 1.9 * way / carry_s * np.exp((0.25 if c.settings.hazard_hurts else -SPEED_SCALE) * x("speed"))
    reaching = np.where(drawer, 0.3, 0.45) * np.exp(c.hurting(1.0) * (0.4 * x("speed") + 0.3 * x("clearance")))
    struck = np.where(c.tasks.is_a("drawer", "inspect"), reaching, np.maximum(speed, 0.5 * reaching))
    return {
        "hold": hold,
        "weak_hold": 0.55 * hold,
        "light_touch": d.uniform(1.0, 2.5),
        "pressing": pressing,
        "light_press": pressing * NEEDED_PRESS * d.uniform(0.2, 0.6),
        "pulling": pulling,
        "breakaway": pulling * d.uniform(1.15, 1.5),
        "straining": pulling * d.uniform(2.0, 3.2) + d.uniform(6.0, 14.0),
        "pushing": d.uniform(1.0, 2.0) + 0.4 * mass * gravity,
        "bumping": d.uniform(4.0, 12.0),
        "touchdown": mass * d.uniform(0.04, 0.10),
        "crash": (1.1 + mass) * struck * d.uniform(0.9, 1.3) * np.exp(c.hurting(1.0) * 0.15 * x("height")),
    }


def _shapes(c: _Context) -> dict[str, Float64s]:
    """Gripper widths, arcs and angles."""
    d, t = c.draws, c.tasks
    soft = np.where(t.is_a("wipe"), d.uniform(0.06, 0.14), d.uniform(0.005, 0.025))
    width = np.minimum(c.of("width") * (1 + 0.03 * d.normal()), t.stroke - 0.012)
    return {
        "wide": np.minimum(t.stroke, width + d.uniform(0.016, 0.04)),
        "item_width": width,
        "squeezed": width * (1 - soft),
        **d.within(shut=(0.0005, 0.002), rim_width=(0.006, 0.012), reach_arc=(-0.01, 0.04)),
        "carry_arc": np.minimum(d.uniform(0.0, 0.05), 0.10 * c.way()),
        "high_arc": d.uniform(0.015, 0.03),
        "pitch": np.where(t.is_a("drawer", "inspect"), d.uniform(-0.45, 0.15), -0.5 * np.pi + d.uniform(-0.1, 0.28)),
        "roll": d.uniform(-0.6, 0.6) * np.where(t.is_a("drawer"), 0.3, 1.0),
        **d.within(rest_pitch=(-1.25, -0.85), rest_roll=(-0.3, 0.3)),
        "tilt": d.uniform(0.7, 1.5) * np.where(d.uniform(0.0, 1.0) < 0.6, 1.0, 0.06),
    }


def _unit(vector: Float64s) -> Float64s:
    """Horizontal direction of a vector, shape (m, 3)."""
    flat: Float64s = np.nan_to_num(vector) * _FLAT
    size = np.sqrt(np.square(flat).sum(axis=1))
    flat /= np.where(size > 0, size, 1.0)[:, None]
    return flat


def _up(height: Float64s) -> Float64s:
    zero = np.zeros_like(height)
    return np.stack([zero, zero, height], axis=1)


def _left(forward: Float64s) -> Float64s:
    """Horizontal direction to the left of another."""
    return np.stack([-forward[:, 1], forward[:, 0], np.zeros(len(forward))], axis=1)


class _Places:
    """Offsets that others are made of."""

    def __init__(self, c: _Context) -> None:
        d, t = c.draws, c.tasks
        self.out = _unit(c.of("position"))
        """From the robot to the item, horizontally, shape (m, 3)."""
        self.side = _left(self.out)
        self.off = _unit(c.of("position", "target") - np.nan_to_num(c.of("position", "obstacle")))
        """From the obstacle to the target."""
        self.tolerance = np.where(t.is_a("carry", "exchange"), t.tolerance, 0.05)
        self.flip = np.where(d.uniform(0.0, 1.0) < 0.5, -1.0, 1.0)
        """1 or -1, shape (m,)."""
        drawer, looking = t.is_a("drawer")[:, None], t.is_a("inspect")[:, None]
        error = 0.003 * np.exp(0.5 * c.condition("alignment"))
        above = c.up(0.08, 0.14)
        pre = np.where(
            drawer,
            c.along(-self.out, 0.09, 0.14) + c.along(self.side, -0.02, 0.02) + c.up(-0.01, 0.03),
            above + c.around(0.0, 0.035),
        )
        self.at = np.where(
            drawer,
            self.side * (self.flip * error)[:, None] + _up(0.5 * error * d.normal()),
            c.about(error) + c.up(-0.004, 0.006),
        )
        self.pre = np.where(looking, c.along(-self.out, 0.10, 0.13) + c.up(0.10, 0.16), pre)
        self.lift = np.exp(c.hurting(0.18) * c.condition("height")) * d.uniform(0.10, 0.16)
        """m."""
        support = c.of("height", "target")
        self.resting = support + 0.5 * c.of("height") - 0.5 * support
        """Height of the item's middle over that of its target when it lies there, m."""
        self.landing = c.about(np.minimum(0.22 * np.abs(d.normal()), 0.65) * self.tolerance) + _up(self.resting)
        self.hover = d.uniform(0.09, 0.15)
        """m."""
        partly = np.where(t.stage == 0, d.uniform(0.08, 0.11), d.uniform(0.14, 0.18))
        self.pulled = np.where(t.main, d.uniform(0.14, 0.20), partly)
        """m that a drawer is pulled."""


def _vectors(c: _Context) -> dict[str, Float64s]:
    """Offsets and directions in metres."""
    p, back = _Places(c), np.nan_to_num(c.of("position") - c.of("position", "target"))
    vectors = _of_handling(c, p) | _of_mishaps(c, p) | _of_views(c, p)
    vectors["sway_b"] = -vectors["sway_a"]
    vectors["rebound"] = np.where(c.tasks.is_a("drawer", "inspect")[:, None], vectors["rebound"], c.up(0.008, 0.02))
    vectors |= {"dock": back, "back": back + _up(p.hover), **_bands(c, p.resting)}
    first, last = vectors["b0"], vectors["e0"]
    wiping = first + _up(0.4 * p.hover) - 0.4 * (last - first)
    vectors["over"] = np.where(c.tasks.is_a("wipe")[:, None], wiping, vectors["over"])
    return vectors


def _of_handling(c: _Context, p: _Places) -> dict[str, Float64s]:
    """Of what is grasped and put down, at the right and at wrong places."""
    d, drawer = c.draws, c.tasks.is_a("drawer")[:, None]
    beside = np.where(drawer, p.side, p.out)
    return {
        "pre": p.pre,
        "side": p.pre + beside * (p.flip * d.uniform(0.025, 0.05))[:, None] + c.up(0, 0.03),
        "at": p.at,
        "miss": p.at + p.side * (-p.flip * d.uniform(0.035, 0.05))[:, None] + _up(0.4 * c.of("height")),
        "lift": _up(p.lift) + c.around(0.0, 0.012),
        "over": p.landing + _up(p.hover) + c.around(0.0, 0.02),
        "down": p.landing,
        "off_target": c.about(p.tolerance * d.uniform(1.5, 2.8)) + _up(p.resting),
        "high_stop": np.where(drawer, 0.35 * p.pre + p.at, p.landing + c.up(0.03, 0.06)),
        "outside": p.off * (c.tasks.tolerance * d.uniform(1.6, 2.4))[:, None],
        "short": c.about(p.tolerance * d.uniform(1.6, 2.6)) + _up(p.resting),
        "away": p.off * (0.55 * p.tolerance)[:, None] + _up(p.resting),
    }


def _of_mishaps(c: _Context, p: _Places) -> dict[str, Float64s]:
    """Of ways back, pushes and falls."""
    d, width = c.draws, c.of("width")
    # round the robot, away from the target
    shove = _left(_unit(np.nan_to_num(c.of("position", "obstacle"))))
    shove *= np.where((shove * p.off).sum(axis=1) > 0, -1.0, 1.0)[:, None]
    return {
        "up": c.up(0.07, 0.13),
        "raise": c.up(0.06, 0.11),
        "rest": c.around(0.0, 0.02),
        "retract": c.along(-p.out, 0.07, 0.11) + c.up(0.0, 0.03),
        "toward": c.along(p.out, 0.05, 0.09),
        "aside": c.along(p.off, 0.13, 0.17) + _up(0.5 * c.of("height") - 0.5 * c.of("height", "target")),
        "sway_a": c.along(p.side, 0.008, 0.02),
        "rebound": c.along(-p.out, 0.008, 0.02) + c.up(0.0, 0.01),
        "behind": np.stack([0.5 * width + 0.015, 0 * width, 0 * width], axis=1),
        "shove": c.along(shove, 0.12, 0.17),
        "fist": c.along(-shove, 0.05, 0.065) + c.up(-0.02, 0.01),
        "slide": c.about(np.clip(p.tolerance * d.uniform(2.0, 3.0), 0.02, 0.15)),
        "drift": c.around(0.005, 0.02),
        "rim": p.side * 0.07 + c.up(0.015, 0.03),
    }


def _of_views(c: _Context, p: _Places) -> dict[str, Float64s]:
    """Of places to look from, and directions."""
    d, out, left = c.draws, p.out, p.side * p.flip[:, None]
    return {
        "view_a": c.along(-out, 0.16, 0.22) + c.up(0.18, 0.26),
        "view_b": c.along(-out, 0.12, 0.15) + c.along(left, 0.08, 0.12) + c.up(0.14, 0.2),
        "view_c": c.along(-out, 0.10, 0.15) - c.along(left, 0.08, 0.13) + c.up(0.2, 0.28),
        "vertical": _up(np.ones(len(out))),
        "axis": out,
        "against": _unit(-out + 0.3 * p.side) + c.up(0.1, 0.6),
        "pull": -out * p.pulled[:, None] + p.side * (0.004 * d.normal())[:, None],
    }


def _bands(c: _Context, resting: Float64s) -> dict[str, Float64s]:
    """Ends of the strokes that cover the surface, relative to its centre."""
    d, out = c.draws, _unit(c.of("position", "target"))
    half, pitch = _left(out) * d.uniform(0.07, 0.10)[:, None], d.uniform(0.024, 0.032)
    ends: dict[str, Float64s] = {}
    for band in range(BANDS):
        across = out * ((band - 0.5 * (BANDS - 1)) * pitch)[:, None] + _up(resting)
        ends |= {f"b{band}": across - half, f"e{band}": across + half}
    ends["edge"] = ends["b0"] - out * (d.uniform(0.5, 1.0) * pitch)[:, None]
    return ends
