"""Whether what was asked for is so at the end of an episode, by the poses of the things that the goal names."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Float64s
from sima2.records.robust import medians
from sima2.records.rollout import Goal, RolloutBatch

END_S: Final = 0.2
"""The end is so long, s: a median over it passes over single wrong poses."""
UNSEEN_S: Final = 1.0
"""A thing not seen for longer before the end may be anywhere by then."""
BROUGHT: Final = ("placed_on", "placed_in", "home", "held")
"""Relations that a place decides: the thing is where it was to be brought, or is not."""


def goal_reached(batch: RolloutBatch) -> Float64s:
    """1 where the goal of an episode is so at its end, 0 where it is not, NaN where poses do not tell; shape (n,).

    What is to be brought somewhere must lie there within the tolerance: from a named place in all directions, from a
    target seen from above, for things of any height lie on each other. What is to be opened must have come by the
    tolerance. Without a tolerance, or poses of what is named, nothing is told.

    >>> from sima2.records.rollout import Rollout
    >>> cup, goal = [[0.3, 0, 0]] * 9 + [[0.5, 0, 0]], Goal("cup", place=(0.5, 0.0, 0.01), tolerance=0.03)
    >>> one = Rollout(episode_id="e", time=np.arange(10.0), object_position={"cup": cup}, goal=goal)
    >>> goal_reached(RolloutBatch.from_rollouts([one])).tolist()
    [1.0]
    """
    out = np.full(len(batch), np.nan)
    if batch.object_position is None:
        return out
    for i, goal in enumerate(batch.episodes.goal):
        if goal is not None and goal.tolerance > 0 and goal.object in batch.objects[i]:
            out[i] = _reached(batch, i, goal)
    return out


def _reached(batch: RolloutBatch, i: int, goal: Goal) -> float:
    opened = goal.relation == "opened"
    if not opened and goal.relation not in BROUGHT:
        return np.nan
    last = _place(batch, i, goal.object)
    if opened:
        off = last - _place(batch, i, goal.object, first=True)
    elif goal.place is not None:
        off = last - np.array(goal.place)
    elif goal.target in batch.objects[i]:
        off = (last - _place(batch, i, goal.target))[:2]
    else:
        return np.nan
    if not np.isfinite(off).all():
        return np.nan
    way = float(np.linalg.norm(off))
    return float(way >= goal.tolerance if opened else way <= goal.tolerance)


def _place(batch: RolloutBatch, i: int, name: str, *, first: bool = False) -> Float64s:
    """Where a thing was last or first seen, m, shape (3,); NaN where it was not seen at the end."""
    rows = slice(int(batch.offset[i]), int(batch.offset[i + 1]))
    if batch.object_position is None:
        return np.full(3, np.nan)
    place, time = batch.object_position[rows, batch.objects[i].index(name)], batch.time[rows]
    seen = np.flatnonzero(np.isfinite(place).all(axis=1))
    if not len(seen) or time[-1] - time[seen[-1]] > UNSEEN_S:
        return np.full(3, np.nan)
    near = time[seen] <= time[seen[0]] + END_S if first else time[seen] >= time[seen[-1]] - END_S
    return medians(place[seen[near]].T.astype(np.float64))
