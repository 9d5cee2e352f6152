"""Looking for an object: where the goal is to see something, moves of the empty hand are looks, and some fail.

A task sensor of the outcome is not read: what counts is how sure the tracker is of the goal's object while the hand
rests after a move.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Int64s
from sima2.records.rollout import RolloutBatch
from sima2.segmentation.features import Features
from sima2.segmentation.labels import CODE, named
from sima2.segmentation.signals import runs_of, without_short
from sima2.segmentation.states import State, States

_FREE = ("unknown", "idle", "approach", "retreat", "recovery_maneuver")


MOSTLY: Final = 0.5
"""The object is seen after a look if it is for that share of the rest."""


@dataclass(frozen=True, slots=True)
class LookSettings:
    """Spans of a look."""

    idle_s: float = 0.5
    """The convention's shortest rest."""
    move_s: float = 0.15
    """Moves and halts between them last at least so long, or they are one."""
    move_m: float = 0.015
    """A hand that shifts by less has not moved."""
    dip_share: float = 0.3
    """Two moves without a halt are parted where the speed falls below that share of both peaks."""
    brief: int = 4
    """Moves of so few frames are not parted: no dip shows in them."""
    looks: int = 2
    """After so many looks that failed, the hand that moves away has given up."""


def sighted(batch: RolloutBatch) -> tuple[Bools, Bools] | None:
    """Frames of episodes whose goal is to see an object, and those at which it is seen well enough, shape (T,) each.

    ``None`` where no episode has such a goal or no pose confidence was recorded.
    """
    if batch.object_confidence is None or not batch.object_confidence.shape[1]:
        return None
    looking, seen = np.zeros(batch.frames, np.bool_), np.zeros(batch.frames, np.bool_)
    for i, goal in enumerate(batch.episodes.goal):
        if goal is not None and goal.relation == "visible" and goal.object in batch.objects[i]:
            cut = slice(int(batch.offset[i]), int(batch.offset[i + 1]))
            sure = batch.object_confidence[cut, batch.objects[i].index(goal.object)]
            looking[cut], seen[cut] = True, np.nan_to_num(sure) >= goal.tolerance
    return (looking, seen) if looking.any() else None


def label_looks(
    batch: RolloutBatch, features: Features, states: States, label: Int64s, settings: LookSettings
) -> tuple[Int64s, Bools]:
    """Labels with the looks told apart, and the frames of those that failed, shape (T,) each.

    The hand goes to where it looks from and rests. Each move from then on is a look; one after which the object is not
    seen has failed, and if two more moves follow, the next one corrects and the one after looks again.
    """
    failed = np.zeros(len(label), np.bool_)
    goal = sighted(batch)
    if goal is None or features.pose is None:
        return label, failed
    looking, seen = goal
    ragged, out = features.ragged, label.copy()
    free = looking & named(label, *_FREE)
    moving = without_short(free & (states.code != State.STILL), ragged, gap=settings.move_s, run=settings.move_s) & free
    runs = runs_of(free, ragged)
    mine = free[runs.start]
    # looks tell a story, one after the other, and few episodes look for anything
    for a, b in zip(runs.start[mine].tolist(), runs.stop[mine].tolist(), strict=True):
        _tell(a, b, a > ragged.first[a], features, moving, seen, out, failed, settings)
    return out, failed


def _tell(
    begin: int,
    end: int,
    after_action: bool,
    features: Features,
    moving: Bools,
    seen: Bools,
    label: Int64s,
    failed: Bools,
    settings: LookSettings,
) -> None:
    """Name the moves of one stretch of free motion; in place."""
    moves = _moves(features, moving, begin, end, settings)
    last = features.ragged.last[begin]
    rest = max(1, round(settings.idle_s / float(features.ragged.period[features.ragged.episode[begin]])))
    leaves = end > last
    arrived, pending, done, missed = False, False, False, 0
    for k, (a, b) in enumerate(moves):
        following = moves[k + 1][0] if k + 1 < len(moves) else end
        before = moves[k - 1][1] if k else begin
        name = "approach"
        if not arrived:
            arrived = following - b >= rest
            if k == 0 and after_action and not arrived:
                name = "retreat"
        elif not leaves and k + 1 == len(moves):
            return
        elif pending:
            name, pending = "recovery_maneuver", False
        elif done or missed >= settings.looks:
            if not leaves:
                return
            name = "retreat"
        else:
            # a move that ends with its episode shows nothing any more
            done = b <= last and bool(np.median(seen[b : max(b + 1, min(following, b + rest))]) >= MOSTLY)
            if not done:
                missed += 1
                failed[a:b] = True
                pending = len(moves) - k > 2 and missed < settings.looks
        # with the halt before it if that is too short to be a rest
        label[before if a - before < rest else a : b] = CODE[name]


def _moves(features: Features, moving: Bools, begin: int, end: int, settings: LookSettings) -> list[tuple[int, int]]:
    """Half-open moves within a stretch that lead anywhere, parted at rests and at dips of the speed."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], moving[begin:end], [False]]).astype(np.int8)))
    out: list[tuple[int, int]] = []
    for a, b in zip((edges[::2] + begin).tolist(), (edges[1::2] + begin).tolist(), strict=True):
        own = features.speed[a:b]
        low = np.flatnonzero((own[1:-1] <= own[:-2]) & (own[1:-1] < own[2:]) & (b - a > settings.brief)) + 1
        left = np.maximum.accumulate(own)[low]
        right = np.maximum.accumulate(own[::-1])[::-1][low]
        cut = low[own[low] < settings.dip_share * np.minimum(left, right)]
        middle = [a + int(cut[np.argmin(own[cut])])] if len(cut) else []
        out += pairwise([a, *middle, b])
    position = features.position
    if position is None:
        return out
    ways = [position[b - 1] - position[a] for a, b in out]
    return [move for move, way in zip(out, ways, strict=True) if float(way @ way) > settings.move_m**2]
