"""What every closing of the fingers came to, on hands of which only the fingers, and perhaps their commands, are known.

Fingers are kept from where they are told to go by what is between them; without a command, they stop short of where
they meet. How far is far on a robot is told by its own closings (``hand_scale``): some end on something, some do not.
Whether a closing on nothing was an attempt is told by what the arm did: it had come from somewhere, was slow, and did
not do so on its way home.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.rollout import spans
from sima2.segmentation.closings import Closings, closings_of
from sima2.segmentation.features import Features
from sima2.segmentation.fingers import wide_open
from sima2.segmentation.rules import LAST, Rule, RuleList, above, below, within
from sima2.segmentation.signals import last_where, per_run, runs_of
from sima2.segmentation.state_settings import StateSettings

CLOSELY: Final = 3.0
"""Usual spreads within which fingers are where they are told to be."""


class Verdict(IntEnum):
    """What is between the fingers when they have come to rest."""

    UNKNOWN = 0
    HELD = 1
    EMPTY = 2
    """Nothing, after an attempt at taking something."""
    IDLE = 3
    """Nothing was to be taken: fingers that make ready, shut on the way home, or are parked shut."""
    STEP = 4
    """One step of the closing that follows."""
    FIRMER = 5
    """Another grip on what is held already."""
    LOST = 6
    """Nothing any more, though something was held until then."""
    SLIPS = 7
    """Something, until it slips out while the fingers rest."""


TAKING: Final = (Verdict.UNKNOWN, Verdict.HELD, Verdict.EMPTY, Verdict.SLIPS)
"""Of closings by which something was to be taken."""


@dataclass(frozen=True, eq=False)
class Judging:
    """The closings of a batch, and what is asked of them; shape (c,) each."""

    found: Closings
    features: Features
    settings: StateSettings

    @cached_property
    def at(self) -> Int64s:
        """A frame of each, at which the hand's limits are known."""
        return np.minimum(self.found.stop, self.features.ragged.last[self.found.start])

    @cached_property
    def told(self) -> Bools:
        """It is known where the fingers are told to go."""
        return np.isfinite(self.found.behind)

    @cached_property
    def behind(self) -> Bools:
        """They come to rest away from there."""
        behind = np.nan_to_num(self.found.behind)
        return self.told & self.rests & above("spreads behind", behind, self.features.kept_back[self.at])

    @cached_property
    def kept(self) -> Bools:
        """… and it is not where they meet that keeps them."""
        return self.behind & ~(self.at_stop & (self.found.behind < np.nan_to_num(self.features.stop_back[self.at])))

    @property
    def start(self) -> Int64s:
        """First frame."""
        return self.found.start

    @property
    def stop(self) -> Int64s:
        """One past the last frame."""
        return self.found.stop

    @cached_property
    def finely(self) -> Float64s:
        """Width within which fingers stop again at their end."""
        return self.features.finely(self.at, self.settings.stop_share)

    @cached_property
    def at_stop(self) -> Bools:
        """They stop as far shut as they ever do, as exactly as that can be told."""
        return within("width at rest", self.found.width, self.features.width_closed[self.at] + self.finely)

    @cached_property
    def known(self) -> Bools:
        """It is known where they meet."""
        closed = self.features.closed_known
        return np.ones(len(self.found), np.bool_) if closed is None else closed[self.at]

    @cached_property
    def met(self) -> Bools:
        """They are as far shut as they were ever seen, or are known to go."""
        tolerance = self.features.finely(self.at, self.settings.load_gap)
        return within("width at rest", self.found.width, self.features.width_closed[self.at] + tolerance)

    @cached_property
    def empty(self) -> Bools:
        """They meet, with nothing between them."""
        # where they are known to meet, or shut as far as they are told by commands that others were kept from
        telling = self.told & (self.features.most_back[self.at] > self.features.kept_back[self.at])
        known = self.known & (self.told | self.at_stop)
        met = self.met & ~self.kept & (known | (telling & ~self.behind))
        return met | self.follows

    @cached_property
    def follows(self) -> Bools:
        """They shut nearly, as they are told, and this robot's fingers do not do so with something between them."""
        nearly = self.over <= self.settings.nearly_shut * self.features.width_range[self.at]
        return self.told & self.features.back_told[self.at] & self.rests & nearly & ~self.behind

    @cached_property
    def held(self) -> Bools:
        """Something keeps them apart: from where they are told to be, or, with no command known, from each other."""
        return self.kept | (~self.told & ~self.met & ~self.half_way)

    @cached_property
    def over(self) -> Float64s:
        """How far apart they are beyond where they meet."""
        return self.found.width - self.features.width_closed[self.at]

    @cached_property
    def rests(self) -> Bools:
        """They come to rest before they move again."""
        settles = self.features.ragged.frames(self.settings.settles_s)[self.found.episode]
        return self.found.until - self.found.stop > settles

    @cached_property
    def half_way(self) -> Bools:
        """They then come much nearer to each other, and rest there with something between them, or do so where the arm
        has stopped elsewhere: only then have they closed on something, if at all."""
        found = self.found
        following = np.minimum(np.arange(len(found)) + 1, len(found) - 1)
        nearer = self.over[following] < self.settings.collapsed_share * self.over
        elsewhere = self.apart(found.stop - 1, found.start[following]) > self.settings.near_share
        return found.more & nearer & ((~self.met & self.rests)[following] | (elsewhere & ~self.moves[following]))

    @cached_property
    def moves(self) -> Bools:
        """The arm moves over most of the closing."""
        length = self.found.stop - self.found.start
        rows = self.features.moving[spans(self.found.start, length)].astype(np.int64)
        return np.asarray(2 * per_run(np.add, rows, np.cumsum(length) - length) > length)

    @cached_property
    def holding(self) -> Bools:
        """Something is held already, since an earlier closing."""
        return self.found.earlier(self.held, self.found.phase)

    @cached_property
    def extent(self) -> Float64s:
        """How far the arm goes in the episode."""
        ragged, pose = self.features.ragged, self.features.pose
        if pose is None or not len(self.found):
            return np.zeros(len(self.found))
        low, high = (per_run(ufunc, pose, ragged.offset[:-1]) for ufunc in (np.minimum, np.maximum))
        return np.asarray((high - low).max(axis=1)[self.found.episode])

    def apart(self, a: Int64s, b: Int64s) -> Float64s:
        """How far the arm is at some frames from where it is at others, as a share of its extent."""
        if self.features.pose is None:
            return np.zeros(len(a))
        return self._share(np.abs(self.features.pose[a] - self.features.pose[b]).max(axis=1))

    def _share(self, way: Float64s) -> Float64s:
        return np.asarray(way / np.maximum(self.extent, 1e-9))

    @cached_property
    def way(self) -> Float64s:
        """How far the arm gets from where the fingers close while they rest, as a share of its extent."""
        found, pose = self.found, self.features.pose
        if pose is None or not len(found):
            return np.zeros(len(found))
        length = np.maximum(found.until - found.stop, 1)
        begin = np.minimum(found.stop, self.features.ragged.last[found.start])
        rows = np.minimum(spans(begin, length), np.repeat(self.features.ragged.last[found.start], length))
        far = np.abs(pose[rows] - np.repeat(pose[begin], length, axis=0)).max(axis=1)
        return self._share(per_run(np.maximum, far, np.cumsum(length) - length))

    @cached_property
    def carried(self) -> Bools:
        """The arm goes somewhere with them as they are, and then they open."""
        return self.found.opens & above("share of its extent it goes", self.way, self.settings.carried_share)

    @cached_property
    def done(self) -> Bools:
        """What was held, or may have been, has been let go before, and nothing is held now or later."""
        found = self.found
        taken = self.held | (self.carried & ~self.follows)
        return ~self.held & found.earlier(taken & found.let_go, found.episode) & ~found.later(taken, found.episode)

    @cached_property
    def again(self) -> Bools:
        """It is where an earlier closing of the episode took hold of something, or tried to."""
        found = self.found
        out = np.zeros(len(found), np.bool_)
        pose = self.features.pose
        for k in range(1, len(found)):
            if pose is None:
                break
            before = found.stop[np.searchsorted(found.episode, found.episode[k]) : k] - 1
            apart = np.abs(pose[before] - pose[found.stop[k] - 1]).max(axis=1)
            out[k] = bool((apart < self.settings.near_share * self.extent[k]).any())
        return out

    @cached_property
    def steps(self) -> Bools:
        """The fingers close further at once, at the same place."""
        found, ragged = self.found, self.features.ragged
        following = found.next(found.start, ragged.last[found.start])
        soon = following - found.stop <= ragged.frames(self.settings.steps_s)[found.episode]
        near = self.apart(found.stop - 1, following) < self.settings.near_share
        return found.more & ~self.held & soon & near

    @cached_property
    def begun(self) -> Int64s:
        """Where the first step of the closing begins."""
        first = np.append(True, ~self.steps[:-1])[: len(self.found)]
        return self.found.start[np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))]


def _kept_apart(each: Judging) -> Bools:
    """Something keeps the fingers apart."""
    return each.held


def _met(each: Judging) -> Bools:
    """The fingers meet."""
    return each.empty


def _may_be_thin(each: Judging) -> Bools:
    """The arm goes on with them and lets go, and they are not quite where they are told to be: something thin may be
    between them."""
    nearly = np.where(each.told, above("spreads behind", each.found.behind, CLOSELY), ~each.at_stop)
    return each.empty & each.carried & nearly & ~each.follows


def _at_home(each: Judging) -> Bools:
    """The arm is where the episode began: it has not come to anything yet, or has come back."""
    away = each.apart(each.start, each.features.ragged.first[each.start])
    return ~each.held & below("share of its extent away", away, each.settings.home_share)


def _in_passing(each: Judging) -> Bools:
    """The arm is on its way all along, and still fast when the fingers are shut: it slows down to what it takes."""
    features, settings, length = each.features, each.settings, each.stop - each.begun
    rows, begin = spans(each.begun, length), np.cumsum(length) - length
    top = per_run(np.maximum, features.speed[rows], begin)
    fast = above("speed at its end", features.speed[each.stop - 1], settings.passing_share * top)
    moves = per_run(np.add, features.moving[rows].astype(np.int64), begin) > settings.passing_moves * length
    far = above("share of its extent it goes", each.apart(each.begun, each.stop - 1), settings.passing_way)
    return ~each.held & fast & moves & far


def _after_all(each: Judging) -> Bools:
    """What was held has been let go, nothing is held after, and they open again, but not where anything was taken."""
    return each.done & each.found.opens & ~each.again


def _when_all_is_done(each: Judging) -> Bools:
    """What was held has been let go, nothing is held after, and the fingers stay shut, or are where the arm ends."""
    left = each.apart(each.stop - 1, each.features.ragged.last[each.start])
    ends = below("share of its extent left to go", left, each.settings.home_share)
    return each.done & ~each.found.more & (~each.found.opens | ends)


def _commanded_to_stop(each: Judging) -> Bools:
    """The fingers are where they are told to be, half open, and the arm takes nothing anywhere with them."""
    found = each.found
    ready = each.told & ~each.kept & ~each.empty
    # with which the recording ends: it may be all that was to be done
    ends = ~found.opens & ~found.more & ~found.earlier(~each.empty, found.episode)
    return ready & ~ends & ~each.carried


def _step(each: Judging) -> Bools:
    """The fingers close further at once, at the same place."""
    return each.steps


def _holds_already(each: Judging) -> Bools:
    """What is held is held on to."""
    return each.holding


def _holds_no_more(each: Judging) -> Bools:
    """What was held is there no more: the fingers meet, were about to when they opened, or are where they are told."""
    before = _before(each.held, each.over, each.found.phase)
    nearer = each.over < each.settings.collapsed_share * before
    # what gives way under fingers that close on, and no longer keeps them from where they are told to be
    gone = each.told & (before - each.over > each.settings.gave_way * each.features.width_range[each.at])
    return each.holding & ~each.kept & (each.empty | gone | (nearer & each.found.opens & ~each.rests))


def _before(held: Bools, width: Float64s, phase: Int64s) -> Float64s:
    """Width of the last rest before in the same span at which something was held, NaN where none was, shape (c,)."""
    before = last_where(np.append(False, held[:-1]), np.searchsorted(phase, phase) + 1) - 1
    return np.where(before >= 0, width[np.maximum(before, 0)], np.nan)


def _slips_out(each: Judging) -> Bools:
    """What keeps them apart at first does so no more, though they were not told to move: they have come nearer."""
    (width, behind), (last_width, last_behind) = each.found.early, each.found.late
    limit, end = each.features.kept_back[each.at], each.features.width_closed[each.at] + each.finely
    kept = each.told & each.rests & (behind > limit) & (width > end)
    gone = (last_behind < limit) | (last_width <= end)
    return kept & gone & ~each.found.more & (width - last_width > each.finely)


VERDICT_RULES = RuleList(
    "closing",
    "What a closing of the fingers came to",
    LAST,
    (
        Rule(Verdict.HELD, _kept_apart),
        Rule(Verdict.EMPTY, _met),
        Rule(Verdict.UNKNOWN, _may_be_thin),
        Rule(Verdict.UNKNOWN, _after_all),
        Rule(Verdict.IDLE, _at_home),
        Rule(Verdict.IDLE, _in_passing),
        Rule(Verdict.IDLE, _when_all_is_done),
        Rule(Verdict.IDLE, _commanded_to_stop),
        Rule(Verdict.STEP, _step),
        Rule(Verdict.FIRMER, _holds_already),
        Rule(Verdict.LOST, _holds_no_more),
        Rule(Verdict.SLIPS, _slips_out),
    ),
)
"""Where none holds it is not known what is between the fingers."""


def verdicts(found: Closings, features: Features, settings: StateSettings) -> Int64s:
    """:class:`Verdict` of each closing, shape (c,)."""
    out = np.full(len(found), int(Verdict.UNKNOWN), np.int64)
    if len(found):
        for rule, holds in VERDICT_RULES.asked(Judging(found, features, settings)):
            out[holds] = rule.says
    return out


@dataclass(frozen=True, eq=False)
class Hand:
    """What the closings make of every frame, shape (T,) each."""

    taking: Bools
    """The fingers close to take something."""
    loaded: Bools
    """Something is between them, or nothing tells that there is not."""
    unsure: Bools
    """… the latter."""
    lost: Bools
    """They close further, on nothing, from what they held."""


def brought_along(features: Features, closing: Bools, opening: Bools, settings: StateSettings) -> Bools:
    """Before the fingers first move, if they then open at rest after a way, from what keeps them apart, shape (T,).

    The arm came with it. Fingers that open on the way prepare for a grasp, those that open before any way say nothing.
    """
    ragged = features.ragged
    runs = runs_of(last_where(closing | opening, ragged.first) < 0, ragged)
    first = (runs.start == ragged.first[runs.start]) & ~(closing | opening)[runs.start]
    first &= runs.stop <= ragged.last[runs.start]
    start, stop = runs.start[first], runs.stop[first]
    let_go = opening[stop] & ~features.moving[stop]

    def mean(x: Float64s | None) -> Float64s:
        return np.full(len(start), np.nan) if x is None or not len(start) else ragged.mean(x, start, stop - 1)

    all_along = mean(features.width), mean(features.behind)
    found = Closings(start, start + 1, stop, let_go, runs.episode[first], *all_along, all_along, all_along)
    held = let_go & Judging(found, features, settings).held & ~wide_open(features, settings)[start]
    return runs.spread(_put(first, held & runs.any(features.moving)[first]))


def _put(where: Bools, values: Bools) -> Bools:
    """Values where the mask holds, nothing elsewhere."""
    out = where & False
    out[where] = values
    return out


def hand_of(features: Features, closing: Bools, opening: Bools, settings: StateSettings) -> Hand:
    """What the fingers alone tell of every frame."""
    found = closings_of(features, closing, opening, settings)
    verdict = verdicts(found, features, settings)
    taking, loaded, unsure, lost = np.zeros((4, len(closing)), np.bool_)
    # the span from one opening to the next ends where its last closing's rest does
    ends = found.until[np.searchsorted(found.phase, found.phase, side="right") - 1] if len(found) else found.until
    seen = features.ragged.frames(settings.settles_s)[found.episode]
    columns = zip(*(x.tolist() for x in (verdict, found.start, found.stop, ends, seen)), strict=True)
    begun = -1
    for k, (each, start, stop, end, soon) in enumerate(columns):
        begun = start if begun < 0 else begun
        if each == Verdict.STEP:
            continue
        if each in TAKING:
            taking[begun:stop] = True
        if each in (Verdict.HELD, Verdict.UNKNOWN):
            loaded[stop:end] = True
            unsure[stop:end] = each == Verdict.UNKNOWN
        if each == Verdict.SLIPS:
            out = _slipped(found, k, features)
            loaded[stop:out] = True
            lost[out : min(out + soon, end)] = True
        if each == Verdict.LOST:
            lost[start:stop] = True
            loaded[start:end] = False
        begun = -1
    return Hand(taking, loaded | brought_along(features, closing, opening, settings), unsure & loaded, lost)


def _slipped(found: Closings, k: int, features: Features) -> int:
    """Frame in the rest of a closing from which on the fingers are nearer to where they end than to where they held."""
    rest = slice(int(found.stop[k]), max(int(found.until[k]), int(found.stop[k]) + 1))
    if features.width is None:
        return rest.stop
    middle = 0.5 * (found.early[0][k] + found.late[0][k])
    wide = np.flatnonzero(features.width[rest] > middle)
    return rest.start + int(wide[-1]) + 1 if len(wide) else rest.start
