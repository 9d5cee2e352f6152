"""Roles that an object plays in an action on another: what is pulled along, put on, put into, or wiped.

Segments name one object each, and tables hold no poses. So the thing at the other end is known in two ways only: the
hand holds it, or the goal names it. What neither shows is not claimed: a dock or a second bin that no goal ever names
earns nothing, however often it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from sima2.records.arrays import Int64s
from sima2.records.episodes import GoalTable
from sima2.records.primitives import PrimitiveTable
from sima2.records.table import Text
from sima2.records.vocabulary import CONTACT_ACTIONS

SUPPORT: Final = "support"
CONTAIN: Final = "contain"
SORT: Final = "sort"
BE_WIPED: Final = "be_wiped"
_BY_RELATION: Final = {
    "placed_on": ("place", (SUPPORT,)),
    "home": ("place", (SUPPORT,)),
    "placed_in": ("place", (CONTAIN,)),
    # a patch that takes strokes under force bears them
    "wiped": ("wipe", (BE_WIPED, SUPPORT)),
}
"""Relation of a goal to the action that fulfils it and the roles its target then plays."""
# Two containers are never seen in one goal, so that to sort and to put away differ in words only.
_SORTING: Final = re.compile(r"\bsort", re.IGNORECASE)

Role = tuple[Int64s, Text, str]
"""Primitives (rows), the thing that played the role in each, and the action it underwent."""


def looked_at(primitives: PrimitiveTable, goals: GoalTable) -> PrimitiveTable:
    """The same primitives, in which a look is about what the goal wants seen.

    The hand that goes to a view touches nothing, so a segment can only name what stands nearest; where the goal is to
    see a thing, an approach that no touch of its object follows was for that thing.
    """
    wanted = goals.take(goals.relation.isin("visible"))
    if not len(wanted) or not len(primitives):
        return primitives
    goal = primitives.episode_id.recode(wanted.episode_id.tolist())
    reach = primitives.action.isin("approach")
    ahead = np.append(np.arange(1, len(primitives)), 0)
    touched = primitives.action.isin(*CONTACT_ACTIONS)[ahead] & (
        primitives.object.codes[ahead] == primitives.object.codes
    )
    touched[-1] = False
    look = reach & (goal >= 0) & ~touched
    both = Text.concat([primitives.object, wanted.object[np.maximum(goal, 0)]])
    n = len(primitives)
    return replace(primitives, object=Text(np.where(look, both.codes[n:], both.codes[:n]), both.names))


def carried_along(primitives: PrimitiveTable) -> Iterator[Role]:
    """What the hand holds while it pulls another thing is pulled as well: the handle with its drawer."""
    pulls = np.flatnonzero(primitives.action.isin("pull"))
    if not len(pulls):
        return
    held = _held_before(primitives)[pulls]
    codes = primitives.object.codes
    along = (held >= 0) & (codes[np.maximum(held, 0)] != codes[pulls])
    if along.any():
        yield pulls[along], primitives.object[held[along]], "pull"


def opened(primitives: PrimitiveTable, goals: GoalTable) -> Iterator[Role]:
    """A pull that fails moves nothing, so its segment names what was held; it was at what the goal wants open."""
    wanted = goals.take(goals.relation.isin("opened") & ~goals.object.isin(""))
    if not len(wanted) or not len(primitives):
        return
    goal = primitives.episode_id.recode(wanted.episode_id.tolist())
    place = np.maximum(goal, 0)
    lost = primitives.action.isin("pull") & primitives.outcome.isin("failure", "retry") & (goal >= 0)
    lost &= _held_before(primitives) >= 0
    rows = np.flatnonzero(lost & (primitives.object.recode(wanted.object.names) != wanted.object.codes[place]))
    if len(rows):
        yield rows, wanted.object[place[rows]], "pull"


def let_go_wrongly(primitives: PrimitiveTable) -> Int64s:
    """Releases after which the object stands badly though no descent was told: they are failed places, as rows."""
    wrong = primitives.action.isin("release") & primitives.outcome.isin("failure", "retry")
    wrong &= primitives.failure_reason.isin("misplaced", "unstable")
    before = np.append([False], primitives.action.isin("place")[:-1]) if len(primitives) else wrong
    return np.flatnonzero(wrong & ~before)


def _held_before(primitives: PrimitiveTable) -> Int64s:
    """Row of the grasp whose object the hand still holds before each primitive, -1 where none, shape (n,)."""
    n = len(primitives)
    rows = np.arange(n)
    grasped = primitives.action.isin("grasp") & primitives.outcome.isin("success") & ~primitives.object.isin("")
    let_go = primitives.action.isin("release", "place", "grasp") & ~grasped
    begin = np.concatenate([[True], np.diff(primitives.episode_id.codes) != 0])
    last_grasp = np.maximum.accumulate(np.where(grasped, rows, -1))
    last_loss = np.maximum.accumulate(np.where(let_go | begin, rows, -1))
    return np.where((last_grasp >= last_loss) & (last_grasp >= 0) & ~grasped, last_grasp, -1)


def received(primitives: PrimitiveTable, goals: GoalTable) -> Iterator[Role]:
    """What the goal's target, and a sorted object, show when the goal's own object is put there or strokes it."""
    if not len(primitives):
        return
    goal = primitives.episode_id.recode(goals.episode_id.tolist())
    place = np.maximum(goal, 0)
    about = (goal >= 0) & (primitives.object.recode(goals.object.names) == goals.object.codes[place])
    targets, things = goals.target.codes[place], goals.object
    words = np.array([bool(_SORTING.search(each)) for each in goals.instruction.names], np.bool_)
    sorting = words[goals.instruction.codes[place]]
    for relation, (action, roles) in _BY_RELATION.items():
        mine = about & primitives.action.isin(action) & goals.relation.isin(relation)[place]
        rows = np.flatnonzero(mine & ~goals.target.isin("")[place])
        if not len(rows):
            continue
        for role in roles:
            yield rows, Text(targets[rows], goals.target.names), role
        sorted_rows = rows[sorting[rows]]
        if relation == "placed_in" and len(sorted_rows):
            yield sorted_rows, things[place[sorted_rows]], SORT
