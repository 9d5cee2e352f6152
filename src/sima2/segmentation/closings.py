"""Where the fingers of an arm close, what was measured of the rest after each closing, and what is asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.rollout import spans
from sima2.segmentation.features import Features
from sima2.segmentation.rules import above, within
from sima2.segmentation.signals import Ragged, per_run, pick, runs_of
from sima2.segmentation.state_settings import StateSettings

FAR: Final = 1000.0
"""Usual spreads beyond which more says nothing more."""


@dataclass(frozen=True, eq=False)
class Closings:
    """One row for each stretch of closing fingers, by episode and time; shape (c,) each."""

    features: Features
    settings: StateSettings
    start: Int64s
    stop: Int64s
    until: Int64s
    """One past the frames at rest: where the fingers move next, or one past the episode's end."""
    opens: Bools
    """They open next."""
    episode: Int64s
    width: Float64s
    """At rest."""
    behind: Float64s
    """How far the fingers are kept from where they are told to close to, in usual spreads; NaN without commands."""
    early: tuple[Float64s, Float64s]
    """Width and the same over the first third of the rest,"""
    late: tuple[Float64s, Float64s]
    """… and over the last third."""

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def more(self) -> Bools:
        """The fingers close further before they open."""
        return np.append(self.episode[1:] == self.episode[:-1], False)[: len(self)] & ~self.opens

    @cached_property
    def phase(self) -> Int64s:
        """Number of the span, from one opening to the next, in which it lies."""
        return np.cumsum(np.append(True, ~self.more[:-1])[: len(self)])

    @cached_property
    def let_go(self) -> Bools:
        """That span ends with fingers that open."""
        return np.asarray(self.opens[np.searchsorted(self.phase, self.phase, side="right") - 1])

    def next(self, values: Int64s, default: Int64s) -> Int64s:
        """Value of the next closing where there is more, else the default."""
        return np.where(self.more, np.append(values[1:], 0)[: len(self)], default)

    def earlier(self, mask: Bools, group: Int64s) -> Bools:
        """Whether the mask holds of an earlier closing of the same group; groups stand together."""
        count = np.append(0, np.cumsum(mask))[: len(self)]
        return np.asarray(count > count[np.searchsorted(group, group)])

    def later(self, mask: Bools, group: Int64s) -> Bools:
        """… of a later one."""
        count = np.append(0, np.cumsum(mask))
        return np.asarray(count[np.searchsorted(group, group, side="right")] > count[1:])

    @cached_property
    def at(self) -> Int64s:
        """A frame of each, at which the hand's limits are known."""
        return np.minimum(self.stop, self.features.ragged.last[self.start])

    @cached_property
    def told(self) -> Bools:
        """It is known where the fingers are told to go."""
        return np.isfinite(self.behind)

    @cached_property
    def away(self) -> Bools:
        """They come to rest away from there."""
        behind = np.nan_to_num(self.behind)
        return self.told & self.rests & above("spreads behind", behind, self.features.kept_back[self.at])

    @cached_property
    def kept(self) -> Bools:
        """… and it is not where they meet that keeps them."""
        return self.away & ~(self.at_stop & (self.behind < np.nan_to_num(self.features.stop_back[self.at])))

    @cached_property
    def finely(self) -> Float64s:
        """Width within which fingers stop again at their end."""
        return self.features.finely(self.at, self.settings.stop_share)

    @cached_property
    def at_stop(self) -> Bools:
        """They stop as far shut as they ever do, as exactly as that can be told."""
        return within("width at rest", self.width, self.features.width_closed[self.at] + self.finely)

    @cached_property
    def known(self) -> Bools:
        """It is known where they meet."""
        closed = self.features.closed_known
        return np.ones(len(self), np.bool_) if closed is None else closed[self.at]

    @cached_property
    def met(self) -> Bools:
        """They are as far shut as they were ever seen, or are known to go."""
        tolerance = self.features.finely(self.at, self.settings.load_gap)
        return within("width at rest", self.width, self.features.width_closed[self.at] + tolerance)

    @cached_property
    def empty(self) -> Bools:
        """They meet, with nothing between them."""
        # where they are known to meet, or shut as far as they are told by commands that others were kept from
        telling = self.told & (self.features.most_back[self.at] > self.features.kept_back[self.at])
        known = self.known & (self.told | self.at_stop)
        met = self.met & ~self.kept & (known | (telling & ~self.away))
        return met | self.follows

    @cached_property
    def follows(self) -> Bools:
        """They shut nearly, as they are told, and this robot's fingers do not do so with something between them."""
        nearly = self.over <= self.settings.nearly_shut * self.features.width_range[self.at]
        return self.told & self.features.back_told[self.at] & self.rests & nearly & ~self.away

    @cached_property
    def held(self) -> Bools:
        """Something keeps them apart: from where they are told to be, or, with no command known, from each other."""
        return self.kept | (~self.told & ~self.met & ~self.half_way)

    @cached_property
    def over(self) -> Float64s:
        """How far apart they are beyond where they meet."""
        return self.width - self.features.width_closed[self.at]

    @cached_property
    def rests(self) -> Bools:
        """They come to rest before they move again."""
        settles = self.features.ragged.frames(self.settings.settles_s)[self.episode]
        return self.until - self.stop > settles

    @cached_property
    def half_way(self) -> Bools:
        """They then come much nearer to each other, and rest there with something between them, or do so where the arm
        has stopped elsewhere: only then have they closed on something, if at all."""
        following = np.minimum(np.arange(len(self)) + 1, len(self) - 1)
        nearer = self.over[following] < self.settings.collapsed_share * self.over
        elsewhere = self.apart(self.stop - 1, self.start[following]) > self.settings.near_share
        return self.more & nearer & ((~self.met & self.rests)[following] | (elsewhere & ~self.moves[following]))

    @cached_property
    def moves(self) -> Bools:
        """The arm moves over most of the closing."""
        length = self.stop - self.start
        rows = self.features.moving[spans(self.start, length)].astype(np.int64)
        return np.asarray(2 * per_run(np.add, rows, np.cumsum(length) - length) > length)

    @cached_property
    def holding(self) -> Bools:
        """Something is held already, since an earlier closing."""
        return self.earlier(self.held, self.phase)

    @cached_property
    def pose(self) -> Float64s:
        """Where the arm is; always at one place where that was not recorded, shape (T, d)."""
        pose = self.features.pose
        return np.zeros((len(self.features.ragged.time), 1)) if pose is None else pose

    @cached_property
    def extent(self) -> Float64s:
        """How far the arm goes in the episode."""
        begin = self.features.ragged.offset[:-1]
        low, high = (per_run(ufunc, self.pose, begin) for ufunc in (np.minimum, np.maximum))
        return np.asarray((high - low).max(axis=1)[self.episode])

    def apart(self, a: Int64s, b: Int64s) -> Float64s:
        """How far the arm is at some frames from where it is at others, as a share of its extent."""
        return np.asarray(np.abs(self.pose[a] - self.pose[b]).max(axis=1) / np.maximum(self.extent, 1e-9))

    @cached_property
    def way(self) -> Float64s:
        """How far the arm gets from where the fingers close while they rest, as a share of its extent."""
        length = np.maximum(self.until - self.stop, 1)
        rows = np.minimum(spans(self.at, length), np.repeat(self.features.ragged.last[self.start], length))
        far = np.abs(self.pose[rows] - np.repeat(self.pose[self.at], length, axis=0)).max(axis=1)
        return np.asarray(per_run(np.maximum, far, np.cumsum(length) - length) / np.maximum(self.extent, 1e-9))

    @cached_property
    def carried(self) -> Bools:
        """The arm goes somewhere with them as they are, and then they open."""
        return self.opens & above("share of its extent it goes", self.way, self.settings.carried_share)

    @cached_property
    def done(self) -> Bools:
        """What was held, or may have been, has been let go before, and nothing is held now or later."""
        taken = self.held | (self.carried & ~self.follows)
        return ~self.held & self.earlier(taken & self.let_go, self.episode) & ~self.later(taken, self.episode)

    @cached_property
    def again(self) -> Bools:
        """It is where an earlier closing of the episode took hold of something, or tried to."""
        out = np.zeros(len(self), np.bool_)
        for k in range(1, len(self)):
            before = self.stop[np.searchsorted(self.episode, self.episode[k]) : k] - 1
            apart = np.abs(self.pose[before] - self.pose[self.stop[k] - 1]).max(axis=1)
            out[k] = bool((apart < self.settings.near_share * self.extent[k]).any())
        return out

    @cached_property
    def steps(self) -> Bools:
        """The fingers close further at once, at the same place."""
        ragged = self.features.ragged
        following = self.next(self.start, ragged.last[self.start])
        soon = following - self.stop <= ragged.frames(self.settings.steps_s)[self.episode]
        near = self.apart(self.stop - 1, following) < self.settings.near_share
        return self.more & ~self.held & soon & near

    @cached_property
    def begun(self) -> Int64s:
        """Where the first step of the closing begins."""
        first = np.append(True, ~self.steps[:-1])[: len(self)]
        return self.start[np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))]


def by_fingers_alone(features: Features) -> bool:
    """Whether neither grip force nor poses of things tell what is in the hand."""
    return features.width is not None and features.gripping is None and features.object_position is None


def closings_of(features: Features, closing: Bools, opening: Bools, settings: StateSettings) -> Closings:
    """The closings of an arm, with what was measured of the rests after them."""
    ragged = features.ragged
    runs = runs_of(closing + 2 * opening.astype(np.int64), ragged)
    following = runs.next((closing | opening)[runs.start])
    ends = ragged.last[runs.start] + 1
    mine = np.flatnonzero(closing[runs.start])
    start, stop, until = runs.start[mine], runs.stop[mine], pick(following, runs.start, 0)[mine]
    until = np.where(following[mine] >= 0, until, ends[mine])
    opens = pick(following, opening[runs.start], False)[mine]
    # at rest, if they come to rest at all; else where they have come to
    settles, last = runs.frames(settings.settles_s)[mine], ragged.last[start]
    lo = np.minimum(np.where(until - stop > 2 * settles, stop + settles, np.maximum(until - 1, stop)), last)
    hi = np.minimum(np.maximum(until - 1, lo), last)
    third = (hi - lo) // 3
    parts = (lo, hi), (lo, lo + third), (hi - third, hi)
    kept = None if features.behind is None else np.clip(np.nan_to_num(features.behind), -FAR, FAR)
    (width, *widths), (behind, *behinds) = _means(features.width, ragged, *parts), _means(kept, ragged, *parts)
    if features.width is not None and len(start):
        # too little to be seen as an opening, but they are wider apart when they close again
        at = np.minimum(until, last)
        play = features.finely(at, settings.stop_share)
        opens |= (until <= last) & (features.width[at] > width + 2.0 * play)
    early, late = zip(widths, behinds, strict=True)
    return Closings(features, settings, start, stop, until, opens, runs.episode[mine], width, behind, early, late)


def _means(x: Float64s | None, ragged: Ragged, *spans: tuple[Int64s, Int64s]) -> list[Float64s]:
    """Means over spans, NaN where nothing was recorded."""
    if x is None or not len(spans[0][0]):
        return [np.full(len(lo), np.nan) for lo, _ in spans]
    return list(ragged.means(x, *spans))
