"""The task sensor: whether the goal holds in the world as it was left."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.rollout import Goal
from sima2.tasks import made as making
from sima2.tasks.simulator.contact_scripts import goal_opening, wiped_share
from sima2.tasks.simulator.meta_scripts import LIFTED_M, sight
from sima2.tasks.simulator.recording import Played
from sima2.tasks.simulator.scenario import SURFACE, Scenario

_STILL: Final = 0.05
"""m/s."""
_UPRIGHT: Final = 0.95
"""Cosine of the tilt that an object may have which is to stand upright."""


def goal_of(made: Scenario) -> Goal:
    """What the episode was asked to do."""
    family, names = made.family, made.names
    if family.relation == "opened":
        return making.goal_of(family, names["handle"], names["drawer"], goal_opening())
    narrow = made.plan["tolerance"] if family.relation in ("placed_on", "placed_in") else 1.0
    return making.goal_of(family, names["item"], names.get(made.goal, ""), family.tolerance * narrow)


def reached(played: Played) -> bool:
    """Whether the goal holds at the end."""
    made, world, goal = played.made, played.world, goal_of(played.made)
    if goal.relation == "opened":
        return world.opened() >= goal.tolerance
    place = world.where("item")
    if goal.relation == "wiped":
        return wiped_share(made, played.place("item"), played.column("contact")[:, 2] * played.left) >= goal.tolerance
    if goal.relation == "visible":
        return bool(sight(world.hand[None], place[None], made)[0] >= goal.tolerance)
    if goal.relation == "held":
        return world.holding("item") and bool(place[2] - made.half_height > LIFTED_M)
    off = float(np.sqrt(np.square((place - made.place[made.goal])[:2]).sum()))
    size = np.array(world.model.geom("item").size)
    lying, standing = float(size.min(where=size > 0, initial=1.0)), float(size.max())
    rests = SURFACE - 0.004 + lying <= place[2] <= SURFACE + standing + 0.006
    upright = not made.family.upright or world.data.xmat[world.body["item"]][8] > _UPRIGHT
    still = float(np.abs(world.velocity("item")).max()) < _STILL
    return bool(off <= goal.tolerance and rests and upright and still and not world.holding("item"))
