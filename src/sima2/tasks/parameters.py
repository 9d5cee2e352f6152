"""The numbers behind the words of the scripts: durations, widths, forces and offsets of every task of a batch.

All ranges are of hand-sized household manipulation with a table-top arm; conditions shift them as the risk law says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.tasks.draws import Draws
from sima2.tasks.families import ALL_FAMILIES
from sima2.tasks.risk import CONDITIONS, GRIP_SCALE
from sima2.tasks.scene import Scene
from sima2.tasks.steps import BANDS, SCALARS, VECTORS
from sima2.tasks.world_settings import PhysicsSettings

FAMILY_NAMES: Final = tuple(ALL_FAMILIES)
SPEED_SCALE: Final = 0.17
"""Change of the log speed per unit of the speed condition."""
NEEDED_PRESS: Final = 0.55
"""Share of the intended pressing force that still cleans."""
UNIFORMS: Final = 150
NORMALS: Final = 24
"""Draws a task may use."""


@dataclass(frozen=True, slots=True)
class Tasks:
    """The tasks of a batch (m of them): one an episode, three where the template is mixed."""

    episode: Int64s
    """Shape (m,)."""
    stage: Int64s
    """0, 1, 2 within the episode, shape (m,)."""
    family: Int64s
    """Index into FAMILY_NAMES, shape (m,)."""
    main: Bools
    """Whether it is the task of the episode's own family, shape (m,)."""
    roles: Int64s
    """Slot of each role, shape (m, roles)."""
    tolerance: Float64s
    """m (or the goal's own unit), shape (m,)."""
    fast: Float64s
    """Speed of the policy relative to the mean, shape (m,)."""
    hesitant: Float64s
    """Chance of pauses and second approaches relative to the mean, shape (m,)."""
    stroke: Float64s
    """m between the open fingers, shape (m,)."""

    def is_a(self, skeleton: str) -> Bools:
        """Which tasks follow a skeleton, shape (m,)."""
        return np.array([ALL_FAMILIES[name].skeleton == skeleton for name in FAMILY_NAMES])[self.family]


@dataclass(slots=True)
class _Context:
    """What the parameters are drawn from."""

    tasks: Tasks
    draws: Draws
    x: Float64s
    settings: PhysicsSettings
    item: Float64s
    target: Float64s
    third: Float64s
    obstacle: Float64s
    item_height: Float64s
    item_width: Float64s
    mass: Float64s
    friction: Float64s
    target_height: Float64s
    home: Float64s

    def condition(self, name: str) -> Float64s:
        return self.x[:, CONDITIONS.index(name)]


def draw_parameters(
    scene: Scene, tasks: Tasks, conditions: Float64s, draws: Draws, settings: PhysicsSettings
) -> tuple[Float64s, Float64s]:
    """Scalars of every task, shape (m, len(SCALARS)), and vectors, shape (m, len(VECTORS), 3)."""
    at, slot = tasks.episode, tasks.roles
    c = _Context(
        tasks=tasks,
        draws=draws,
        x=np.where(tasks.main[:, None], conditions[at], 0.0),
        settings=settings,
        item=scene.position[at, slot[:, 0]],
        target=scene.position[at, slot[:, 1]],
        third=scene.position[at, slot[:, 2]],
        obstacle=scene.position[at, slot[:, 3]],
        item_height=scene.height[at, slot[:, 0]],
        item_width=scene.width[at, slot[:, 0]],
        mass=scene.mass[at, slot[:, 0]],
        friction=scene.friction[at],
        target_height=scene.height[at, slot[:, 1]],
        home=scene.home[at],
    )
    scalars = _durations(c)
    scalars |= _forces(c, scalars)
    scalars |= _shapes(c)
    scalars |= _sight(c)
    table = np.zeros((len(at), len(SCALARS)))
    for name, value in scalars.items():
        table[:, SCALARS.index(name)] = value
    offsets = _vectors(c)
    vectors = np.zeros((len(at), len(VECTORS), 3))
    for name, offset in offsets.items():
        vectors[:, VECTORS.index(name)] = offset
    return table, vectors


def _durations(c: _Context) -> dict[str, Float64s]:
    """Seconds. Motions shorten with speed; pauses do not."""
    d, t = c.draws, c.tasks
    pace = t.fast * np.exp(SPEED_SCALE * c.condition("speed"))
    far = np.linalg.norm(c.item - c.home, axis=1)
    way = np.linalg.norm(np.nan_to_num(c.target - c.item), axis=1)
    moving = {
        "reach": d.uniform(0.7, 1.1) + far / d.uniform(0.38, 0.52),
        "detour": d.sometimes(0.10, 0.45, 0.8) * t.hesitant,
        "descend": d.uniform(0.65, 1.1),
        "lift": d.uniform(0.7, 1.2),
        "carry": d.uniform(0.8, 1.2) + way / d.uniform(0.30, 0.42),
        "lower": d.uniform(0.75, 1.2),
        "leave": d.uniform(0.55, 0.95),
        "go_home": d.uniform(1.2, 1.9),
        "raise": d.uniform(0.5, 0.9),
        "aside": d.uniform(1.0, 1.5),
        "wiggle": d.uniform(0.22, 0.42),
        "pull": d.uniform(1.2, 2.0),
        "stroke": d.uniform(0.7, 1.1),
        "turn": d.uniform(0.3, 0.5),
        "push": d.uniform(0.9, 1.5),
        "back_off": d.uniform(0.5, 0.9),
    }
    drawer = t.is_a("drawer")
    moving["descend"] = np.where(drawer, 0.9, 1.0) * moving["descend"]
    fixed = {
        "hesitate": d.sometimes(0.22, 0.15, 0.32),
        "pause": d.sometimes(0.10, 0.75, 1.6) * (t.hesitant > 0.5),
        "close": d.uniform(0.35, 0.65),
        "squeeze": d.uniform(0.35, 0.6),
        "touch": d.uniform(0.12, 0.28),
        "open": d.uniform(0.3, 0.55),
        "settle": d.uniform(0.24, 0.42),
        "dwell": d.sometimes(0.35, 0.75, 1.5),
        "react": d.uniform(0.2, 0.8),
        "pop": d.uniform(0.12, 0.25),
        "fall": d.uniform(0.16, 0.4),
        "strain": d.uniform(0.8, 2.0),
        "pretension": d.uniform(0.4, 0.8),
        "press": d.uniform(0.25, 0.45),
        "bump": d.uniform(0.2, 0.5),
        "look": d.uniform(0.75, 1.5),
        "tip": d.uniform(0.4, 0.8),
        "still": d.uniform(0.8, 2.0),
    }
    return {name: value / pace for name, value in moving.items()} | fixed


def _forces(c: _Context, seconds: dict[str, Float64s]) -> dict[str, Float64s]:
    """Newtons and newton-seconds. Grip force follows from the margin the risk law asks for, friction and load."""
    d, x = c.draws, c.condition
    gravity = c.settings.gravity
    hurt = 1.0 if c.settings.hazard_hurts else 0.0
    way = np.linalg.norm(np.nan_to_num(c.target - c.item), axis=1)
    accelerates = 5.77 * way / np.square(seconds["carry"])
    pressing = d.uniform(7.0, 12.0) * np.exp(-0.10 * x("load"))
    pulling = (3.5 + 4.0 * c.mass) * np.exp(0.12 * d.normal() + 0.15 * x("load"))
    drawer, wiping = c.tasks.is_a("drawer"), c.tasks.is_a("wipe")
    load = c.mass * (gravity + accelerates)
    load = np.where(drawer, pulling, np.where(wiping, load + 0.35 * pressing, load))
    margin = np.exp(0.85 - GRIP_SCALE * x("grip") + 0.03 * d.normal())
    hold = np.clip(margin * load / (2.0 * c.friction), 0.5, 120.0)
    speed = 1.9 * way / seconds["carry"] * np.exp((0.25 if hurt else -SPEED_SCALE) * x("speed"))
    reaching = np.where(drawer, 0.3, 0.45) * np.exp(hurt * (0.4 * x("speed") + 0.3 * x("clearance")))
    struck = np.where(drawer | c.tasks.is_a("inspect"), reaching, np.maximum(speed, 0.5 * reaching))
    return {
        "hold": hold,
        "weak_hold": 0.55 * hold,
        "light_touch": d.uniform(1.0, 2.5),
        "pressing": pressing,
        "light_press": pressing * NEEDED_PRESS * d.uniform(0.2, 0.6),
        "pulling": pulling,
        "breakaway": pulling * d.uniform(1.15, 1.5),
        "straining": pulling * d.uniform(2.0, 3.2) + d.uniform(6.0, 14.0),
        "pushing": d.uniform(1.0, 2.0) + 0.4 * c.mass * gravity,
        "bumping": d.uniform(4.0, 12.0),
        "touchdown": c.mass * d.uniform(0.04, 0.10),
        "crash": (1.1 + c.mass) * struck * d.uniform(0.9, 1.3) * np.exp(hurt * 0.15 * x("height")),
    }


def _shapes(c: _Context) -> dict[str, Float64s]:
    """Gripper widths, arcs and angles."""
    d, t = c.draws, c.tasks
    horizontal = t.is_a("drawer") | t.is_a("inspect")
    soft = np.where(t.is_a("wipe"), d.uniform(0.06, 0.14), d.uniform(0.005, 0.025))
    width = np.minimum(c.item_width * (1 + 0.03 * d.normal()), t.stroke - 0.012)
    down = -0.5 * np.pi
    return {
        "wide": np.minimum(t.stroke, width + d.uniform(0.016, 0.04)),
        "item_width": width,
        "squeezed": width * (1 - soft),
        "shut": d.uniform(0.0005, 0.002),
        "rim_width": d.uniform(0.006, 0.012),
        "reach_arc": d.uniform(-0.01, 0.04),
        "carry_arc": np.minimum(d.uniform(0.0, 0.05), 0.10 * np.linalg.norm(np.nan_to_num(c.target - c.item), axis=1)),
        "high_arc": d.uniform(0.015, 0.03),
        "pitch": np.where(horizontal, d.uniform(-0.45, 0.15), down + d.uniform(-0.1, 0.28)),
        "roll": d.uniform(-0.6, 0.6) * np.where(t.is_a("drawer"), 0.3, 1.0),
        "rest_pitch": d.uniform(-1.25, -0.85),
        "rest_roll": d.uniform(-0.3, 0.3),
        "tilt": d.uniform(0.7, 1.5) * np.where(d.uniform(0.0, 1.0) < 0.6, 1.0, 0.06),
    }


def _sight(c: _Context) -> dict[str, Float64s]:
    """Pose confidences of a view."""
    d = c.draws
    return {"seen": d.uniform(0.86, 0.97), "dim": d.uniform(0.3, 0.55), "blind": d.uniform(0.02, 0.1)}


def _unit(vector: Float64s) -> Float64s:
    """Horizontal direction of a vector, shape (m, 3)."""
    flat: Float64s = np.nan_to_num(vector) * np.array([1.0, 1.0, 0.0])
    size = np.sqrt(np.square(flat).sum(axis=1))
    flat /= np.where(size > 0, size, 1.0)[:, None]
    return flat


def _up(height: Float64s) -> Float64s:
    zero = np.zeros_like(height)
    return np.stack([zero, zero, height], axis=1)


def _vectors(c: _Context) -> dict[str, Float64s]:
    """Offsets and directions in metres."""
    d, t = c.draws, c.tasks
    m = len(t.episode)

    def about(size: Float64s) -> Float64s:
        """A random horizontal offset of that length."""
        angle = d.uniform(-np.pi, np.pi)
        return np.stack([size * np.cos(angle), size * np.sin(angle), np.zeros(m)], axis=1)

    out = _unit(c.item)
    side = np.stack([-out[:, 1], out[:, 0], np.zeros(m)], axis=1)
    drawer, wiping, looking = (t.is_a(name)[:, None] for name in ("drawer", "wipe", "inspect"))
    error = 0.003 * np.exp(0.5 * c.condition("alignment"))
    flip = np.where(d.uniform(0.0, 1.0) < 0.5, -1.0, 1.0)
    tolerance = np.where(t.is_a("carry") | t.is_a("exchange"), t.tolerance, 0.05)
    clear = d.uniform(0.08, 0.14)
    pre = np.where(
        drawer,
        -out * d.uniform(0.09, 0.14)[:, None] + side * d.uniform(-0.02, 0.02)[:, None] + _up(d.uniform(-0.01, 0.03)),
        _up(clear) + about(d.uniform(0.0, 0.035)),
    )
    at = np.where(
        drawer,
        side * (flip * error)[:, None] + _up(0.5 * error * d.normal()),
        about(error) + _up(d.uniform(-0.004, 0.006)),
    )
    pre = np.where(looking, -out * d.uniform(0.10, 0.13)[:, None] + _up(d.uniform(0.10, 0.16)), pre)
    lift = np.exp((0.18 if c.settings.hazard_hurts else 0.0) * c.condition("height")) * d.uniform(0.10, 0.16)
    resting = c.target_height + 0.5 * c.item_height - 0.5 * c.target_height
    landing = about(np.minimum(0.22 * np.abs(d.normal()), 0.65) * tolerance) + _up(resting)
    off = _unit(c.target - np.nan_to_num(c.obstacle))
    obstacle_out = _unit(np.nan_to_num(c.obstacle))
    shove = np.stack([-obstacle_out[:, 1], obstacle_out[:, 0], np.zeros(m)], axis=1)
    shove *= np.where((shove * off).sum(axis=1) > 0, -1.0, 1.0)[:, None]  # round the robot, away from the target
    hover = d.uniform(0.09, 0.15)
    partly = np.where(t.stage == 0, d.uniform(0.08, 0.11), d.uniform(0.14, 0.18))
    length = np.where(t.main, d.uniform(0.14, 0.20), partly)
    vectors = {
        "pre": pre,
        "side": pre + np.where(drawer, side, out) * (flip * d.uniform(0.025, 0.05))[:, None] + _up(d.uniform(0, 0.03)),
        "at": at,
        "miss": at + side * (-flip * d.uniform(0.035, 0.05))[:, None] + _up(0.4 * c.item_height),
        "lift": _up(lift) + about(d.uniform(0.0, 0.012)),
        "over": landing + _up(hover) + about(d.uniform(0.0, 0.02)),
        "down": landing,
        "off_target": about(tolerance * d.uniform(1.5, 2.8)) + _up(resting),
        "high_stop": np.where(drawer, 0.35 * pre + at, landing + _up(d.uniform(0.03, 0.06))),
        "outside": off * (t.tolerance * d.uniform(1.6, 2.4))[:, None],
        "short": about(tolerance * d.uniform(1.6, 2.6)) + _up(resting),
        "away": off * (0.55 * tolerance)[:, None] + _up(resting),
        "up": _up(d.uniform(0.07, 0.13)),
        "raise": _up(d.uniform(0.06, 0.11)),
        "rest": about(d.uniform(0.0, 0.02)),
        "retract": -out * d.uniform(0.07, 0.11)[:, None] + _up(d.uniform(0.0, 0.03)),
        "toward": out * d.uniform(0.05, 0.09)[:, None],
        "aside": off * d.uniform(0.13, 0.17)[:, None] + _up(0.5 * c.item_height - 0.5 * c.target_height),
        "sway_a": side * d.uniform(0.008, 0.02)[:, None],
        "rebound": -out * d.uniform(0.008, 0.02)[:, None] + _up(d.uniform(0.0, 0.01)),
        "behind": np.stack([0.5 * c.item_width + 0.015, np.zeros(m), np.zeros(m)], axis=1),
        "shove": shove * d.uniform(0.12, 0.17)[:, None],
        "fist": -shove * d.uniform(0.05, 0.065)[:, None] + _up(d.uniform(-0.02, 0.01)),
        "slide": about(np.clip(tolerance * d.uniform(2.0, 3.0), 0.02, 0.15)),
        "drift": about(d.uniform(0.005, 0.02)),
        "rim": side * 0.07 + _up(d.uniform(0.015, 0.03)),
        "view_a": -out * d.uniform(0.16, 0.22)[:, None] + _up(d.uniform(0.18, 0.26)),
        "view_b": -out * d.uniform(0.12, 0.15)[:, None] + side * (flip * d.uniform(0.08, 0.12))[:, None]
        + _up(d.uniform(0.14, 0.2)),
        "view_c": -out * d.uniform(0.10, 0.15)[:, None] - side * (flip * d.uniform(0.08, 0.13))[:, None]
        + _up(d.uniform(0.2, 0.28)),
        "vertical": _up(np.ones(m)),
        "axis": out,
        "against": _unit(-out + 0.3 * side) + _up(d.uniform(0.1, 0.6)),
        "pull": -out * length[:, None] + side * (0.004 * d.normal())[:, None],
    }  # fmt: skip
    vectors["sway_b"] = -vectors["sway_a"]
    vectors["rebound"] = np.where(drawer | looking, vectors["rebound"], _up(d.uniform(0.008, 0.02)))
    back = np.nan_to_num(c.item - c.target)
    vectors["dock"] = back
    vectors["back"] = back + _up(hover)
    bands = _bands(c, resting)
    vectors |= bands
    vectors["over"] = np.where(
        wiping, bands["b0"] + _up(0.4 * hover) - 0.4 * (bands["e0"] - bands["b0"]), vectors["over"]
    )
    return vectors


def _bands(c: _Context, resting: Float64s) -> dict[str, Float64s]:
    """Ends of the strokes that cover the surface, relative to its centre."""
    d = c.draws
    out = _unit(c.target)
    along = np.stack([-out[:, 1], out[:, 0], np.zeros(len(out))], axis=1)
    half, pitch = d.uniform(0.07, 0.10), d.uniform(0.024, 0.032)
    ends = {}
    for band in range(BANDS):
        across = out * ((band - 0.5 * (BANDS - 1)) * pitch)[:, None] + _up(resting)
        ends[f"b{band}"] = across - along * half[:, None]
        ends[f"e{band}"] = across + along * half[:, None]
    ends["edge"] = ends["b0"] - out * (d.uniform(0.5, 1.0) * pitch)[:, None]
    return ends
