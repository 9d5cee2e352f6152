"""Where things are: the objects of each episode, their places, masses and how well they are seen."""

from __future__ import annotations

from functools import lru_cache
from itertools import chain, permutations
from typing import Final

import numpy as np

from sima2.records.arrays import Float64s, Int64s
from sima2.tasks.design import EpisodePlan
from sima2.tasks.draws import Draws
from sima2.tasks.families import ALL_FAMILIES, OBSTACLE, SCENE_OBJECTS
from sima2.tasks.risk import CONDITIONS
from sima2.tasks.steps import ROLES

_SECTORS: Final = np.radians([-50.0, -25.0, 0.0, 25.0, 50.0])
_ORDERS: Final = np.array([order for order in permutations(range(5)) if abs(order[0] - order[1]) > 1])
"""Sectors of the slots; the object acted on and its target are never neighbours."""
_REACHABLE: Final = (0.27, 0.56)
"""Distances from the robot's axis, m, at which it can push things about."""
_OBSTACLE_SIZE: Final = (0.07, 0.12, 0.3, 0.3)
"""Its width and height in m and its mass in kg, light and heavy."""
_BREADTH: Final = 0.2
"""m, width of what things are put on."""
_FRICTION: Final = {"low": 0.25, "medium": 0.5, "high": 0.9}
"""Coefficients of rubber fingers on greasy, plain and rough surfaces."""


class Scene:
    """The episodes of a batch before anything moves (n of them), object slots padded to SCENE_OBJECTS."""

    def __init__(self, plan: EpisodePlan, draws: Draws, conditions: Float64s) -> None:
        n = len(plan)
        told = zip(plan.family, plan.other, plan.geometry, plan.inject_object, draws.integers(3).tolist(), strict=True)
        rows = [_contents(*each) for each in told]
        self.names = tuple(row[0] for row in rows)
        """Objects of each episode."""
        self.codebook = tuple(dict.fromkeys(chain.from_iterable(self.names)))
        """Names behind the codes."""
        known = {name: code for code, name in enumerate(self.codebook)}
        self.code = np.full((n, SCENE_OBJECTS), -1, np.int64)
        """Which object it is, for its looks and its value, shape (n, 6); -1 where the slot is empty."""
        for row, found in enumerate(self.names):
            self.code[row, : len(found)] = [known[name] for name in found]
        size = np.array([row[1] for row in rows]).reshape(n, SCENE_OBJECTS, 4)
        self.width, self.height = size[:, :, 0], size[:, :, 1]
        """m, shape (n, 6)."""
        self.rest = 0.5 * self.height
        """m, height of the centre when it lies on the table, shape (n, 6)."""
        self.roles = np.array([row[2] for row in rows], np.int64).reshape(n, 2, len(ROLES))
        """Slot of each role for the home task, then for the tasks of the other family, shape (n, 2, roles)."""
        self.mass = size[:, :, 2].copy()
        """kg, shape (n, 6)."""
        self.mass[:, 0] = np.where(plan.mass.isin("heavy"), size[:, 0, 3], size[:, 0, 2])
        self.mass *= np.exp(0.12 * draws.normals(SCENE_OBJECTS))
        self.position = _places(self.code, self.roles, draws, plan, conditions)
        """m, shape (n, 6, 3)."""
        self.position[:, :, 2] += self.rest
        friction = np.array([_FRICTION[name] for name in plan.friction])
        self.friction = friction * np.exp(0.06 * draws.normal())
        """Coefficient between fingers and object, shape (n,)."""
        visible = conditions[:, CONDITIONS.index("visibility")]
        seen = 0.86 + 0.12 * draws.uniforms(SCENE_OBJECTS)
        seen[:, 0] = 0.45 + 0.52 / (1.0 + np.exp(-(1.7 - 0.8 * visible)))
        self.confidence = np.where(self.code >= 0, seen, np.nan)
        """Pose confidence, shape (n, 6)."""
        self.yaw = np.pi * (draws.uniforms(SCENE_OBJECTS) - 0.5)
        """rad, shape (n, 6)."""
        self.home = np.stack(list(draws.within(x=(0.30, 0.38), y=(-0.08, 0.08), z=(0.34, 0.44)).values()), axis=1)
        """m, resting place of the hand, shape (n, 3)."""


@lru_cache(maxsize=4096)
def _contents(
    family: str, other: str, geometry: str, stand_in: str, pick: int
) -> tuple[tuple[str, ...], Float64s, Int64s]:
    """Names, (width, height, light, heavy) and roles of a scene; ``pick`` is the shape of what no plan tells."""
    names: list[str] = []
    sizes: list[tuple[float, ...]] = []
    roles = []
    for kind in (ALL_FAMILIES[family], ALL_FAMILIES[other]):
        first, count = len(names), len(kind.objects)
        roles.append([first, first + 1, first + count - 1])
        for place, each in enumerate(kind.objects):
            shape = kind.geometries[pick]
            if not names:
                shape = next(known for known in kind.geometries if known.name == geometry)
            if place == 0 or each.height_m is None:
                sizes.append((shape.width_m, shape.height_m, *kind.mass_kg))
            else:
                sizes.append((_BREADTH, each.height_m, 1.0, 1.0))
            names.append(each.name if place else shape.name)
    names[0] = stand_in or names[0]
    roles = [[*slots, len(names)] for slots in roles]
    names.append(OBSTACLE)
    sizes += [_OBSTACLE_SIZE] + [(np.nan,) * 4] * (SCENE_OBJECTS - len(names))
    return tuple(names), np.array(sizes), np.array(roles)


def _places(code: Int64s, roles: Int64s, draws: Draws, plan: EpisodePlan, conditions: Float64s) -> Float64s:
    """Places on the table (z = 0), each object in a sector of its own; drawers stand further off and higher."""
    n = len(code)
    order = _ORDERS[draws.integers(len(_ORDERS))]
    azimuth = _SECTORS[order] + np.radians(4.0) * (2 * draws.uniforms(5) - 1)
    radius = 0.42 + 0.11 * draws.uniforms(5)
    place = np.zeros((n, SCENE_OBJECTS, 3))
    place[:, :5, 0], place[:, :5, 1] = radius * np.cos(azimuth), radius * np.sin(azimuth)
    far, high, depth = draws.uniform(0.57, 0.62), draws.uniform(0.14, 0.26), draws.uniform(0.14, 0.18)
    for which, family in enumerate((plan.family, plan.other)):
        rows = np.flatnonzero(family.isin("drawer_open"))
        handle, body = roles[rows, which, 0], roles[rows, which, 1]
        angle = azimuth[rows, handle]
        for slot, reach in ((handle, far[rows]), (body, far[rows] + depth[rows])):
            place[rows, slot] = np.stack([reach * np.cos(angle), reach * np.sin(angle), high[rows]], axis=1)
        rows = np.flatnonzero(family.isin("inspect_scene"))
        place[rows, roles[rows, which, 1]] = place[rows, roles[rows, which, 0]] * np.array([0.86, 0.86, 1.0])
    place[np.arange(n), roles[:, 0, 3]] = _obstacle(place, roles, draws, plan, conditions)
    place[code < 0] = np.nan
    return place


def _obstacle(place: Float64s, roles: Int64s, draws: Draws, plan: EpisodePlan, conditions: Float64s) -> Float64s:
    """Beside what the hazard is about, as near as the clearance condition says."""
    every = np.arange(len(place))
    item, target = place[every, roles[:, 0, 0]], place[every, roles[:, 0, 1]]
    at_target = plan.hazard.isin("target_obstructed")
    at_item = plan.family.isin("drawer_open", "inspect_scene")
    centre = np.where(at_target[:, None], target, 0.5 * (item + target))
    centre = np.where(at_item[:, None], item, centre)
    clear = draws.uniform(0.11, 0.15) * np.exp(-0.45 * conditions[:, CONDITIONS.index("clearance")])
    clear = np.clip(np.where(at_target, 0.75, 1.0) * clear, 0.035, 0.32)
    away = np.arctan2(centre[:, 1], centre[:, 0]) + draws.uniform(-1.1, 1.1)
    side = np.where(draws.uniform(0.0, 1.0) < 0.5, -1.0, 1.0)
    along = target - item
    along[at_item | at_target] = np.stack([-np.sin(away), np.cos(away), 0 * away], axis=1)[at_item | at_target]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.hypot(along[:, 0], along[:, 1])[:, None]
    spot = centre.copy()
    spot[:, :2] += across * (side * clear)[:, None]
    far = np.hypot(spot[:, 0], spot[:, 1])
    spot[:, :2] *= (np.clip(far, *_REACHABLE) / far)[:, None]
    spot[:, 2] = 0.0
    return spot
