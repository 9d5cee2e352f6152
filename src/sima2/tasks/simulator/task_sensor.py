"""The task sensor: whether the goal holds in the world as it was left."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.rollout import Goal
from sima2.tasks.simulator.contact_scripts import goal_opening, wiped_share
from sima2.tasks.simulator.exchange_scripts import LIFTED_M
from sima2.tasks.simulator.inspect_scripts import sight
from sima2.tasks.simulator.physics import World
from sima2.tasks.simulator.recording import COLUMNS, Recording
from sima2.tasks.simulator.skills import SURFACE

_STILL: Final = 0.05
"""m/s."""
_UPRIGHT: Final = 0.95
"""Cosine of the tilt a dish may have."""


def goal_of(world: World) -> Goal:
    """What the episode was asked to do."""
    made = world.scenario
    relation, names = made.family.relation, made.names
    if relation == "opened":
        return Goal(names["drawer"], "", relation, goal_opening())
    if relation in ("held", "visible"):
        return Goal(names["item"], "", relation, made.family.tolerance)
    target = "bin_a" if made.family.name == "sort_objects" else "target"
    tolerance = made.family.tolerance * (made.plan["tolerance"] if relation in ("placed_on", "placed_in") else 1.0)
    return Goal(names["item"], names[target], relation, round(tolerance, 6))


def reached(recording: Recording, world: World) -> bool:
    """Whether the goal holds at the end."""
    made, goal = world.scenario, goal_of(world)
    if goal.relation == "opened":
        return bool(world.data.qpos[world.drawer_qpos] >= goal.tolerance)
    slot = list(made.names).index("item")
    if goal.relation == "wiped":
        item = np.stack(recording.bodies)[:, slot, :3]
        held = np.array([world.body[name] for name in recording.held])
        t = np.arange(len(held))
        gripped = np.stack(recording.touching)[t, world.body["finger_left"], held]
        pressed = np.stack(recording.rows)[:, COLUMNS["contact"]][:, 2] * gripped
        return wiped_share(made, item, pressed) >= goal.tolerance
    if goal.relation == "visible":
        return bool(sight(world.hand[None], world.where("item")[None], made)[0] >= goal.tolerance)
    if goal.relation == "held":
        return world.holding("item") and bool(world.where("item")[2] - made.half_height > LIFTED_M)
    target = made.place["bin_a" if goal.relation == "placed_in" else "target"]
    place = world.where("item")
    off = float(np.sqrt(np.square((place - target)[:2]).sum()))
    size = np.array(world.model.geom("item").size)
    rests = (
        SURFACE - 0.004 + float(size.min(where=size > 0, initial=1.0))
        <= place[2]
        <= SURFACE + float(size.max()) + 0.006
    )
    upright = made.family.name != "dish_place" or world.data.xmat[world.body["item"]][8] > _UPRIGHT
    still = float(np.abs(world.velocity("item")).max()) < _STILL
    return bool(off <= goal.tolerance and rests and upright and still and not world.holding("item"))
