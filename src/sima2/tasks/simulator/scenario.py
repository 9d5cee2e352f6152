"""What one episode's world is like: shapes, places, masses, friction, the arm; written into the scene file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
from numpy.typing import NDArray

from sima2.tasks.families import ALL_FAMILIES, MASSES, OBSTACLE, Family, Geometry
from sima2.tasks.simulator.settings import FRICTION, SimulatorSettings

Reals = NDArray[np.float64]

_SECTORS = np.radians([-48.0, -24.0, 0.0, 24.0, 48.0])
"""Bearings of the places on the table; the object acted on and its target are never neighbours."""
_REACH = (0.38, 0.48)
"""m from the robot's axis."""
_ROUND = ("cup", "can", "tube", "bowl", "jar", "mug")
"""Shapes that are cylinders; others are boxes."""
_DEPTH = 0.044
"""m, extent of a box along the fingers' breadth."""
VASE_RADIUS = 0.024
VASE_HEIGHT = 0.12


@dataclass(slots=True)
class Scenario:
    """One episode before anything moves."""

    plan: Mapping[str, Any]
    """The row of the plan."""
    family: Family
    geometry: Geometry
    rate_hz: float
    steps: int
    """Physics steps of a control period."""
    friction: float
    mass: float
    """kg, of the object acted on, or of the drawer."""
    arm_scale: float
    gain: float
    speed: float
    """m/s, mean of the hand."""
    place: dict[str, Reals] = field(default_factory=dict)
    """m, where each body's foot stands, shape (3,)."""
    yaw: dict[str, float] = field(default_factory=dict)
    """rad."""
    names: dict[str, str] = field(default_factory=dict)
    """Body to the object's name in the rollout."""
    novelty: float = 0.0
    """Mahalanobis distance of the drawn parameters from their law."""
    locked: bool = False

    @property
    def half_height(self) -> float:
        """m, of the object acted on."""
        return 0.5 * self.geometry.height_m


def draw_scenario(plan: Mapping[str, Any], rng: np.random.Generator, settings: SimulatorSettings) -> Scenario:
    """The world of a row of the plan."""
    family = ALL_FAMILIES[plan["family"]]
    geometry = next(each for each in family.geometries if each.name == plan["geometry"])
    rate = float(settings.rates_hz[int(rng.integers(len(settings.rates_hz)))])
    u = rng.random(4)

    def between(span: tuple[float, float], share: float) -> float:
        return span[0] + (span[1] - span[0]) * share

    made = Scenario(
        plan=plan,
        family=family,
        geometry=geometry,
        rate_hz=rate,
        steps=max(1, math.ceil(round(1.0 / (rate * settings.step_s), 9))),
        friction=FRICTION[plan["friction"]] * float(np.exp(0.05 * rng.standard_normal())),
        mass=family.mass_kg[MASSES.index(plan["mass"])] * float(np.exp(0.1 * rng.standard_normal())),
        arm_scale=between(settings.arm_scale, u[0]),
        gain=between(settings.gain_scale, u[1]),
        speed=between(settings.speed, u[2]),
    )
    # a uniform share has variance 1/12
    made.novelty = float(np.sqrt(12.0 * np.square(u[:3] - 0.5).sum()))
    _arrange(made, rng)
    return made


def _arrange(made: Scenario, rng: np.random.Generator) -> None:
    """Names and places."""
    family, mode = made.family, made.plan["failure_mode"]
    others = {"parcel": f"parcel_{'abc'[int(rng.integers(3))]}", "vase": OBSTACLE}
    order = _order(rng, family.name == "sort_objects")
    if family.skeleton == "drawer":
        made.names = {"handle": made.geometry.name, "drawer": "drawer"} | others
        made.place["cabinet"] = np.array([rng.uniform(0.62, 0.68), rng.uniform(-0.05, 0.05), 0.0])
        sides = [0, 4] if rng.random() < 0.5 else [4, 0]
        slots = dict(zip(("parcel", "vase"), sides, strict=True))
    else:
        bodies = ["item", "bin_a", "bin_b"] if family.name == "sort_objects" else ["item", "target"]
        made.names = dict(zip(bodies, (made.geometry.name, *family.names), strict=False)) | others
        slots = dict(zip((*bodies, "parcel", "vase"), order, strict=False))
    for body, slot in slots.items():
        bearing = _SECTORS[slot] + rng.uniform(-0.06, 0.06)
        reach = rng.uniform(*_REACH)
        made.place[body] = reach * np.array([math.cos(bearing), math.sin(bearing), 0.0])
        fixed = body in ("target", "bin_a", "bin_b")
        made.yaw[body] = float(rng.uniform(-0.15, 0.15) if fixed else rng.uniform(-0.5, 0.5))
    if mode in ("target_obstructed", "bin_full"):
        under = made.place["target" if mode == "target_obstructed" else "bin_a"]
        made.place["vase"] = under + np.array([*rng.uniform(-0.01, 0.01, 2), 0.012])
    if mode in ("clutter_collision", "collision_lock"):
        target = made.place["bin_a" if family.name == "sort_objects" else "target"]
        made.place["vase"] = made.place["item"] + rng.uniform(0.5, 0.6) * (target - made.place["item"])
        made.place["parcel"] = free_spot({body: place for body, place in made.place.items() if body != "parcel"})
    made.locked = mode == "locked_joint"


def _order(rng: np.random.Generator, bins: bool) -> list[int]:
    """Places of item, target and others: the first two no neighbours, and no second bin between them."""
    while True:
        order = [int(i) for i in rng.permutation(5)]
        between = bins and min(order[:2]) < order[2] < max(order[:2])
        if abs(order[0] - order[1]) > 1 and not between:
            return order


def free_spot(taken: Mapping[str, Reals], further: float = 0.0) -> Reals:
    """Of a grid on the table, the spot farthest from all that is taken; ``further`` m nearer to the robot."""
    places = np.stack(list(taken.values()))[:, :2]
    bearing, reach = np.meshgrid(np.linspace(-0.9, 0.9, 13), np.linspace(*_REACH, 3) - further)
    spots = np.stack([reach * np.cos(bearing), reach * np.sin(bearing)], axis=-1).reshape(-1, 2)
    gap = np.sqrt(np.square(spots[:, None] - places[None]).sum(axis=2)).min(axis=1)
    best = spots[int(np.argmax(gap))]
    return np.array([best[0], best[1], 0.0])


@lru_cache(maxsize=1)
def _scene_text() -> str:
    return files("sima2.tasks.simulator").joinpath("scene.xml").read_text(encoding="utf-8")


def scene_of(made: Scenario) -> str:
    """The scene of an episode as XML."""
    root = Xml.fromstring(_scene_text())
    world = root.find("worldbody")
    if world is None:  # pragma: no cover - the file is ours
        return ""
    step = 1.0 / (made.rate_hz * made.steps)
    _set(root.find("option"), timestep=step)
    bodies = {each.get("name", ""): each for each in root.iter("body")}
    geoms = {each.get("name", ""): each for each in root.iter("geom")}
    drawer = made.family.skeleton == "drawer"
    kept = {"shoulder", *made.place}
    for body in list(world.findall("body")):
        if body.get("name") not in kept:
            world.remove(body)
    if not drawer:
        root.remove(_found(root, "contact"))
    for name in ("upper_roll", "fore", "fore_roll", "wrist"):
        bodies[name].set("pos", f"0 0 {0.2 * made.arm_scale:.6f}")
    for actuator in _found(root, "actuator"):
        if actuator.get("joint"):
            scale = {"kp": made.gain, "kv": math.sqrt(made.gain)}
            _set(actuator, **{key: float(actuator.get(key, "0")) * by for key, by in scale.items()})
    _shape(made, geoms, drawer)
    for name, foot in made.place.items():
        lift = {"item": made.half_height, "parcel": 0.025, "vase": 0.5 * VASE_HEIGHT}.get(name, 0.0)
        half = 0.5 * made.yaw.get(name, 0.0)
        _set(bodies[name], pos=foot + np.array([0.0, 0.0, lift]), quat=[math.cos(half), 0, 0, math.sin(half)])
    if drawer:
        rail = next(each for each in bodies["drawer"].iter("joint"))
        # a tight range locks a joint; friction loss only makes it slow
        _set(rail, range=[0.0, 0.0005 if made.locked else 0.26])
    return Xml.tostring(root, encoding="unicode")


def _shape(made: Scenario, geoms: Mapping[str, Xml.Element], drawer: bool) -> None:
    """Size, mass and friction of what is held; friction on both geoms, for the larger of the two counts."""
    shape, own = made.geometry, geoms["handle" if drawer else "item"]
    pads = [geoms["pad_left"], geoms["pad_right"], own]
    for geom in pads:
        _set(geom, friction=[made.friction, 0.01, 0.003])
    half = 0.5 * shape.width_m
    if drawer:
        _set(own, size=[0.011, half, 0.022])
        _set(geoms["drawer_front"], mass=made.mass)
        return
    if shape.name.rpartition("_")[0] in _ROUND:
        own.set("type", "cylinder")
        _set(own, size=[half, made.half_height])
    else:
        _set(own, size=[0.5 * _DEPTH, half, made.half_height])
    _set(own, mass=made.mass)


def _found(root: Xml.Element, tag: str) -> Xml.Element:
    found = root.find(tag)
    if found is None:  # pragma: no cover - the file is ours
        raise KeyError(tag)
    return found


def _set(element: Xml.Element | None, **values: Any) -> None:
    if element is not None:
        for key, value in values.items():
            element.set(key, " ".join(repr(float(x)) for x in np.atleast_1d(value)))
