"""What every closing of the fingers came to, on hands of which only the fingers, and perhaps their commands, are known.

Fingers are kept from where they are told to go by what is between them; without a command, they stop short of where
they meet. How far is far on a robot is told by its own closings (``hand_scale``): some end on something, some do not.
Whether a closing on nothing was an attempt is told by what the arm did: it had come from somewhere, was slow, and did
not do so on its way home.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.rollout import spans
from sima2.segmentation.closings import Closings, closings_of
from sima2.segmentation.features import Features
from sima2.segmentation.fingers import wide_open
from sima2.segmentation.rules import LAST, Rule, RuleList, above, below
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


def _kept_apart(each: Closings) -> Bools:
    """Something keeps the fingers apart."""
    return each.held


def _met(each: Closings) -> Bools:
    """The fingers meet."""
    return each.empty


def _may_be_thin(each: Closings) -> Bools:
    """The arm goes on with them and lets go, and they are not quite where they are told to be: something thin may be
    between them."""
    nearly = np.where(each.told, above("spreads behind", each.behind, CLOSELY), ~each.at_stop)
    return each.empty & each.carried & nearly & ~each.follows


def _at_home(each: Closings) -> Bools:
    """The arm is where the episode began: it has not come to anything yet, or has come back."""
    away = each.apart(each.start, each.features.ragged.first[each.start])
    return ~each.held & below("share of its extent away", away, each.settings.home_share)


def _in_passing(each: Closings) -> Bools:
    """The arm is on its way all along, and still fast when the fingers are shut: it slows down to what it takes."""
    features, settings, length = each.features, each.settings, each.stop - each.begun
    rows, begin = spans(each.begun, length), np.cumsum(length) - length
    top = per_run(np.maximum, features.speed[rows], begin)
    fast = above("speed at its end", features.speed[each.stop - 1], settings.passing_share * top)
    moves = per_run(np.add, features.moving[rows].astype(np.int64), begin) > settings.passing_moves * length
    far = above("share of its extent it goes", each.apart(each.begun, each.stop - 1), settings.passing_way)
    return ~each.held & fast & moves & far


def _after_all(each: Closings) -> Bools:
    """What was held has been let go, nothing is held after, and they open again, but not where anything was taken."""
    return each.done & each.opens & ~each.again


def _when_all_is_done(each: Closings) -> Bools:
    """What was held has been let go, nothing is held after, and the fingers stay shut, or are where the arm ends."""
    left = each.apart(each.stop - 1, each.features.ragged.last[each.start])
    ends = below("share of its extent left to go", left, each.settings.home_share)
    return each.done & ~each.more & (~each.opens | ends)


def _commanded_to_stop(each: Closings) -> Bools:
    """The fingers are where they are told to be, half open, and the arm takes nothing anywhere with them."""
    ready = each.told & ~each.kept & ~each.empty
    # with which the recording ends: it may be all that was to be done
    ends = ~each.opens & ~each.more & ~each.earlier(~each.empty, each.episode)
    return ready & ~ends & ~each.carried


def _step(each: Closings) -> Bools:
    """The fingers close further at once, at the same place."""
    return each.steps


def _holds_already(each: Closings) -> Bools:
    """What is held is held on to."""
    return each.holding


def _holds_no_more(each: Closings) -> Bools:
    """What was held is there no more: the fingers meet, were about to when they opened, or are where they are told."""
    before = _before(each.held, each.over, each.phase)
    nearer = each.over < each.settings.collapsed_share * before
    # what gives way under fingers that close on, and no longer keeps them from where they are told to be
    gone = each.told & (before - each.over > each.settings.gave_way * each.features.width_range[each.at])
    return each.holding & ~each.kept & (each.empty | gone | (nearer & each.opens & ~each.rests))


def _before(held: Bools, width: Float64s, phase: Int64s) -> Float64s:
    """Width of the last rest before in the same span at which something was held, NaN where none was, shape (c,)."""
    before = last_where(np.append(False, held[:-1]), np.searchsorted(phase, phase) + 1) - 1
    return np.where(before >= 0, width[np.maximum(before, 0)], np.nan)


def _slips_out(each: Closings) -> Bools:
    """What keeps them apart at first does so no more, though they were not told to move: they have come nearer."""
    (width, behind), (last_width, last_behind) = each.early, each.late
    limit, end = each.features.kept_back[each.at], each.features.width_closed[each.at] + each.finely
    kept = each.told & each.rests & (behind > limit) & (width > end)
    gone = (last_behind < limit) | (last_width <= end)
    return kept & gone & ~each.more & (width - last_width > each.finely)


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


def verdicts(found: Closings) -> Int64s:
    """:class:`Verdict` of each closing, shape (c,)."""
    out = np.full(len(found), int(Verdict.UNKNOWN), np.int64)
    if len(found):
        for rule, holds in VERDICT_RULES.asked(found):
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

    episode, along = runs.episode[first], (mean(features.width), mean(features.behind))
    found = Closings(features, settings, start, start + 1, stop, let_go, episode, *along, along, along)
    held = let_go & found.held & ~wide_open(features, settings)[start]
    return runs.spread(_put(first, held & runs.any(features.moving)[first]))


def _put(where: Bools, values: Bools) -> Bools:
    """Values where the mask holds, nothing elsewhere."""
    out = where & False
    out[where] = values
    return out


def hand_of(features: Features, closing: Bools, opening: Bools, settings: StateSettings) -> Hand:
    """What the fingers alone tell of every frame."""
    found = closings_of(features, closing, opening, settings)
    verdict = verdicts(found)
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
            out = _slipped(found, k)
            loaded[stop:out] = True
            lost[out : min(out + soon, end)] = True
        if each == Verdict.LOST:
            lost[start:stop] = True
            loaded[start:end] = False
        begun = -1
    return Hand(taking, loaded | brought_along(features, closing, opening, settings), unsure & loaded, lost)


def _slipped(found: Closings, k: int) -> int:
    """Frame in the rest of a closing from which on the fingers are nearer to where they end than to where they held."""
    rest = slice(int(found.stop[k]), max(int(found.until[k]), int(found.stop[k]) + 1))
    if found.features.width is None:
        return rest.stop
    middle = 0.5 * (found.early[0][k] + found.late[0][k])
    wide = np.flatnonzero(found.features.width[rest] > middle)
    return rest.start + int(wide[-1]) + 1 if len(wide) else rest.start
