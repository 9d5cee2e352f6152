"""States of an episode and what is done in them, at moments spread evenly over it: what consensus is looked for in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from sima2.defects.commands import Following
from sima2.defects.episode_measures import MOST_JOINTS, slots_of
from sima2.defects.tracks import GRIPPER, HAND, JOINT, Tracks
from sima2.records.arrays import Float32s, Int64s
from sima2.records.courses import THINGS, PointTable, moments_of
from sima2.records.defects import SLOTS
from sima2.records.rollout import RolloutBatch
from sima2.records.table import Text

AHEAD_S: Final = 0.3
"""What is done within this time counts as done in a state: longer than robots lag, shorter than a grasp takes."""
HAND_AT: Final = slice(SLOTS - 4, SLOTS - 1)


def points_of(tracks: Tracks, batch: RolloutBatch, follows: Mapping[str, Following]) -> PointTable:
    """One row for each manipulator of each episode of a batch in which all have the same channels."""
    some = np.flatnonzero(tracks.length)
    frames = tracks.length[some]
    at = tracks.offset[:-1][some][:, None] + moments_of(frames)
    last = tracks.offset[1:][some][:, None] - 1
    later = np.minimum(at + tracks.frames(AHEAD_S)[some][:, None], last)
    arms = batch.manipulators if len(some) else {}
    each = batch.episodes
    return PointTable.concat(
        [
            PointTable(
                episode_index=each.episode_index[some],
                episode_id=Text.of(each.episode_id)[some],
                manipulator=Text.full(len(some), arm),
                family=Text.of(each.family)[some],
                robot=Text.of(each.robot)[some],
                frames=frames,
                state=_state(tracks, batch, arm, some, at).reshape(len(some), -1),
                motion=_motion(tracks, arm, follows.get(arm), at, later).reshape(len(some), -1),
            )
            for arm in arms
        ]
    )


def _slots(tracks: Tracks, arm: str) -> dict[int, int]:
    joints, hand, grip = (tracks.rows(arm=arm, kind=kind) for kind in (JOINT, HAND, GRIPPER))
    return slots_of(joints, hand, grip)


def _state(tracks: Tracks, batch: RolloutBatch, arm: str, some: Int64s, at: Int64s) -> Float32s:
    """Positions, and things from the hand, shape (n, MOMENTS, SLOTS + 3 * THINGS)."""
    out = np.full((*at.shape, SLOTS + 3 * THINGS), np.nan, np.float32)
    by_hand = bool(tracks.rows(arm=arm, kind=HAND))
    for row, slot in _slots(tracks, arm).items():
        # the hand says it in metres; the joints would say it again
        if not by_hand or slot >= MOST_JOINTS:
            out[..., slot] = tracks.x[row][at]
    where = batch.object_position
    if where is None or not by_hand:
        return out
    order = np.array([_things(batch, i) for i in some.tolist()], np.int64)
    for place in range(THINGS):
        which = order[:, place]
        known = np.flatnonzero(which >= 0)
        off = where[at[known], which[known][:, None]] - out[known][..., HAND_AT]
        out[known, :, SLOTS + 3 * place : SLOTS + 3 * place + 3] = off
    return out


def _things(batch: RolloutBatch, i: int) -> list[int]:
    """Slots of the things of an episode that are kept, those of its goal first; -1 where there are no more."""
    names, goal = batch.objects[i], batch.episodes.goal[i]
    first = [names.index(name) for name in ((goal.object, goal.target) if goal else ()) if name in names]
    kept = [*dict.fromkeys([*first, *range(len(names))])][:THINGS]
    return kept + [-1] * (THINGS - len(kept))


def _motion(tracks: Tracks, arm: str, follow: Following | None, at: Int64s, later: Int64s) -> Float32s:
    """What is done next, shape (n, MOMENTS, SLOTS)."""
    out = np.full((*at.shape, SLOTS), np.nan, np.float32)
    command: dict[int, Float32s] = {}
    if follow is not None:
        command = dict(zip(follow.rows[:MOST_JOINTS], follow.command, strict=False))
    for row, slot in _slots(tracks, arm).items():
        now = tracks.x[row][at]
        moved = tracks.x[row][later] - now
        told = command[row][later] - now if row in command else moved
        out[..., slot] = np.where(np.isnan(told), moved, told)
    return out
