"""What one episode's world is like: shapes, places, masses, friction, the arm; written into the scene file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np

from sima2.records.arrays import Float64s
from sima2.tasks.families import ALL_FAMILIES, MASSES, OBSTACLE
from sima2.tasks.simulator.settings import FRICTION, SimulatorSettings, drawn

_SECTORS = np.radians([-48.0, -24.0, 0.0, 24.0, 48.0])
"""Bearings of the places on the table; the object acted on and its target are never neighbours."""
_REACH = (0.38, 0.48)
"""m from the robot's axis."""
_FIXED = ("target", "bin_a", "bin_b")
_ROOM = 0.16
"""m between the middles of a fixed body, 0.08 to its edge, and of one to be grasped: half an open hand more."""
_ROUND = ("cup", "can", "tube", "bowl", "jar", "mug")
"""Shapes that are cylinders; others are boxes."""
_DEPTH = 0.044
"""m, extent of a box along the fingers' breadth."""
VASE_HEIGHT = 0.12
SURFACE = 0.006
"""m, top of trays, mats and bin floors above the table."""
HOME = np.array([0.36, 0.0, 0.30])
"""m, where the hand rests."""
OLD_HALF = 0.026
"""m, half the height of the tool that is in the hand at first."""
OLD_KG = 0.15
SCREEN = (0.07, 0.06, 0.14)
"""m: how far before the object the screen stands, half its breadth, and its height."""
_ALIEN_SIZE = (1.3, 1.6)
"""Factors on breadth and height of an object of a kind never seen."""
_ALIEN_MASS = 2.5
"""Factor on its mass, and on the friction of an unusual drawer."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm."""

    upper_m: float
    """m from shoulder to elbow."""
    fore_m: float
    """m from elbow to wrist."""
    base_m: float
    """m of the shoulder above the table."""
    stroke_m: float
    """m between the open fingers."""
    finger_m_s: float
    """m/s at which they open and close together."""
    stiffness: float
    """Factor on the stiffness of the joints."""


class Scenario:
    """One episode before anything moves: the world of a row of the plan."""

    def __init__(self, plan: Mapping[str, Any], rng: np.random.Generator, settings: SimulatorSettings) -> None:
        self.plan = plan
        """The row of the plan."""
        self.family = ALL_FAMILIES[plan["family"]]
        self.geometry = next(each for each in self.family.geometries if each.name == plan["geometry"])
        self.rate_hz = float(settings.rates_hz[int(rng.integers(len(settings.rates_hz)))])
        self.steps = max(1, math.ceil(round(1.0 / (self.rate_hz * settings.step_s), 9)))
        """Physics steps of a control period."""
        u = rng.random(12).tolist()
        odd = _ALIEN_MASS if self.alien else 1.0
        self.friction = FRICTION[plan["friction"]] * drawn(settings.friction, u[0])
        self.mass = self.family.mass_kg[MASSES.index(plan["mass"])] * drawn(settings.mass, u[1]) * odd
        """kg, of the object acted on, or of the drawer."""
        self.speed = drawn(settings.speed, u[2])
        """m/s, mean of the hand."""
        self.arm = Arm(*(drawn(getattr(settings.arm, each.name), share) for each, share in zip(fields(Arm), u[3:9])))
        self.size = drawn(settings.size, u[9])
        """Factor on the object's width and height."""
        self.rail_n = drawn(settings.rail_n, u[10]) * odd
        """N of friction of the drawer's rail."""
        # a uniform share has variance 1/12
        self.novelty = float(np.sqrt(12.0 * np.square(np.array(u[:3]) - 0.5).sum()))
        """Mahalanobis distance of the drawn parameters from their law."""
        self.delay = 0
        """Frames the hand rests before it begins, so that a forced event falls on its frame."""
        self.place: dict[str, Float64s] = {}
        """m, where each body's foot stands, shape (3,)."""
        self.yaw: dict[str, float] = {}
        """rad."""
        self.names: dict[str, str] = {}
        """Body to the object's name in the rollout."""
        self._arrange(rng)

    @property
    def item(self) -> str:
        """Name of the object acted on, or of what stands in for it."""
        return self.plan["inject_object"] or self.geometry.name

    @property
    def goal(self) -> str:
        """Body that the object acted on is brought to."""
        return "bin_a" if self.family.relation == "placed_in" else "target"

    @property
    def alien(self) -> bool:
        """Whether the object acted on is of a kind never seen: another shape, size and mass."""
        return bool(self.plan["ood_source"] == "visual")

    @property
    def width(self) -> float:
        """m between the fingers, of the object acted on."""
        odd = _ALIEN_SIZE[0] if self.alien else 1.0
        return min(self.geometry.width_m * self.size * odd, self.arm.stroke_m - 0.014)

    @property
    def half_height(self) -> float:
        """m, of the object acted on."""
        return 0.5 * self.geometry.height_m * self.size * (_ALIEN_SIZE[1] if self.alien else 1.0)

    @property
    def round(self) -> bool:
        """Whether the object acted on is a cylinder; one never seen is what its kind is not."""
        return (self.geometry.name.rpartition("_")[0] in _ROUND) != self.alien

    def _arrange(self, rng: np.random.Generator) -> None:
        """Names and places."""
        family, mode, place = self.family, self.plan["failure_mode"], self.place
        others = {"parcel": f"parcel_{'abc'[int(rng.integers(3))]}", "vase": OBSTACLE}
        bins = ["bin_a", "bin_b"] if family.relation == "placed_in" else []
        order = _order(rng, bool(bins))
        bodies = ["item", *(bins or ["target"])]
        if family.skeleton == "drawer":
            bodies = []
            self.names = {"handle": self.item, "drawer": "drawer"}
            place["cabinet"] = np.array([rng.uniform(0.62, 0.68), rng.uniform(-0.05, 0.05), 0.0])
            order = [0, 4] if rng.random() < 0.5 else [4, 0]
        elif family.skeleton == "inspect":
            bodies = ["item"]
            self.names = {"item": self.item, "screen": family.names[0]}
        else:
            self.names = dict(zip((*bodies, "old"), (self.item, *family.names), strict=False))
        if family.skeleton == "exchange":
            place["old"] = HOME - [0.0, 0.0, OLD_HALF]
        self.names |= others
        slots = dict(zip((*bodies, *others), order, strict=False))
        roomy = False
        while not roomy:
            place |= {body: _spot(slot, rng) for body, slot in slots.items()}
            roomy = _roomy(place, slots)
        for body in slots:
            self.yaw[body] = float(rng.uniform(-0.15, 0.15) if body in _FIXED else rng.uniform(-0.5, 0.5))
        if family.skeleton == "inspect":
            place["screen"] = place["item"] * (1.0 - SCREEN[0] / length(place["item"]))
            self.yaw["screen"] = math.atan2(place["item"][1], place["item"][0])
        if mode in ("target_obstructed", "bin_full"):
            place["vase"] = place[self.goal] + np.array([*rng.uniform(-0.01, 0.01, 2), 0.012])
        if mode in ("clutter_collision", "collision_lock"):
            place["vase"] = place["item"] + rng.uniform(0.5, 0.6) * (place[self.goal] - place["item"])
            place["parcel"] = free_spot({body: spot for body, spot in place.items() if body != "parcel"})


def length(vector: Float64s) -> float:
    """Of a vector."""
    return float(np.sqrt(np.square(vector).sum()))


def _spot(slot: int, rng: np.random.Generator) -> Float64s:
    """A place in a sector of the table."""
    bearing, reach = _SECTORS[slot] + rng.uniform(-0.06, 0.06), rng.uniform(*_REACH)
    return np.array([reach * math.cos(bearing), reach * math.sin(bearing), 0.0])


def _roomy(place: Mapping[str, Float64s], bodies: Iterable[str]) -> bool:
    """Whether open fingers fit between what is to be grasped and what stands fixed."""
    fixed, loose = ([place[body] for body in bodies if (body in _FIXED) == which] for which in (True, False))
    return all(length(a - b) > _ROOM for a in fixed for b in loose)


def _order(rng: np.random.Generator, bins: bool) -> list[int]:
    """Places of item, target and others: the first two no neighbours, and no second bin between them."""
    while True:
        order = [int(i) for i in rng.permutation(5)]
        between = bins and min(order[:2]) < order[2] < max(order[:2])
        if abs(order[0] - order[1]) > 1 and not between:
            return order


def free_spot(taken: Mapping[str, Float64s], further: float = 0.0) -> Float64s:
    """Of a grid on the table, the spot farthest from the edges of all that is taken; ``further`` m nearer."""
    wide = np.array([0.06 if body in _FIXED else 0.0 for body in taken])
    places = np.stack(list(taken.values()))[:, :2]
    bearing, reach = np.meshgrid(np.linspace(-0.9, 0.9, 13), np.linspace(*_REACH, 3) - further)
    spots = np.stack([reach * np.cos(bearing), reach * np.sin(bearing)], axis=-1).reshape(-1, 2)
    gap = np.sqrt(np.square(spots[:, None] - places[None]).sum(axis=2)) - wide
    gap = gap.min(axis=1)
    best = spots[int(np.argmax(gap))]
    return np.array([best[0], best[1], 0.0])


@lru_cache(maxsize=1)
def _scene_text() -> str:
    return files("sima2.tasks.simulator").joinpath("scene.xml").read_text(encoding="utf-8")


def scene_of(made: Scenario) -> str:
    """The scene of an episode as XML."""
    root = Xml.fromstring(_scene_text())
    world, arm, drawer = _found(root, "worldbody"), made.arm, made.family.skeleton == "drawer"
    _set(_found(root, "option"), timestep=1.0 / (made.rate_hz * made.steps))
    bodies, geoms = ({each.get("name", ""): each for each in root.iter(tag)} for tag in ("body", "geom"))
    for body in list(world.findall("body")):
        if body.get("name") not in ("shoulder", *made.place):
            world.remove(body)
    if not drawer:
        root.remove(_found(root, "contact"))
    _set(bodies["shoulder"], pos=[0.0, 0.0, arm.base_m])
    halves = {"upper_roll": arm.upper_m, "fore": arm.upper_m, "fore_roll": arm.fore_m, "wrist": arm.fore_m}
    for link, link_m in halves.items():
        _set(bodies[link], pos=[0.0, 0.0, 0.5 * link_m])
    for finger in ("finger_left", "finger_right"):
        _set(_found(bodies[finger], "joint"), range=[0.0, 0.5 * arm.stroke_m + 0.001])
    _set(geoms["palm"], size=[0.025, 0.5 * arm.stroke_m + 0.013, 0.025])
    for actuator in _found(root, "actuator"):
        if actuator.get("joint"):
            scale = {"kp": arm.stiffness, "kv": math.sqrt(arm.stiffness)}
            _set(actuator, **{key: float(actuator.get(key, "0")) * by for key, by in scale.items()})
    _shape(made, geoms, drawer)
    for name, foot in made.place.items():
        lift = {"item": made.half_height, "old": OLD_HALF, "parcel": 0.025, "vase": 0.5 * VASE_HEIGHT}.get(name, 0.0)
        half = 0.5 * made.yaw.get(name, 0.0)
        _set(bodies[name], pos=foot + np.array([0.0, 0.0, lift]), quat=[math.cos(half), 0, 0, math.sin(half)])
    if drawer:
        # a tight range locks a joint; friction loss only makes it slow
        rail = _found(bodies["drawer"], "joint")
        gives_m = 0.0005 if made.plan["failure_mode"] == "locked_joint" else 0.26
        _set(rail, range=[0.0, gives_m], frictionloss=made.rail_n)
    return Xml.tostring(root, encoding="unicode")


def _shape(made: Scenario, geoms: Mapping[str, Xml.Element], drawer: bool) -> None:
    """Size, mass and friction of what is held; friction on both geoms, for the larger of the two counts."""
    own = geoms["handle" if drawer else "item"]
    pads = [geoms["pad_left"], geoms["pad_right"], geoms["old"], own]
    for geom in pads:
        _set(geom, friction=[made.friction, 0.01, 0.003])
    half = 0.5 * made.width
    if drawer:
        _set(own, size=[0.011, half, 0.022])
        _set(geoms["drawer_front"], mass=made.mass)
        return
    if made.round:
        own.set("type", "cylinder")
        _set(own, size=[half, made.half_height])
    else:
        _set(own, size=[0.5 * _DEPTH, half, made.half_height])
    _set(own, mass=made.mass)
    if made.family.skeleton == "wipe":
        # sponge and surface give way to each other: hard ones would chatter under a stiff arm
        _set(geoms["target"], solref=[0.05, 1.0], friction=[0.5, 0.01, 0.0002])
        geoms["target"].set("priority", "1")


def _found(root: Xml.Element, tag: str) -> Xml.Element:
    found = root.find(tag)
    if found is None:  # pragma: no cover - the file is ours
        raise KeyError(tag)
    return found


def _set(element: Xml.Element, **values: Any) -> None:
    for key, value in values.items():
        element.set(key, " ".join(repr(float(x)) for x in np.atleast_1d(value)))
