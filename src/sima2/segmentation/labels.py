"""Free motion between actions → its name by what comes before and after; and segments too short to stand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.rollout import spans as spans_of
from sima2.records.vocabulary import LABELS
from sima2.segmentation.features import Features, length_of
from sima2.segmentation.rules import LAST, Rule, RuleList
from sima2.segmentation.signals import Runs, among, lengths, per_run, running_max_in, runs_of
from sima2.segmentation.states import State, States

CODE = {name: code for code, name in enumerate(LABELS)}


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """Spans of the annotation convention."""

    idle_s: float = 0.5
    shortest_s: float = 0.1
    farthest_share: float = 0.97
    """So far as that share of the farthest is as good as farthest."""
    dip_share: float = 0.3
    dip_peak: float = 4.0
    dip_m: float = 0.03
    """A motion ends so far from where it began, where its speed, having passed so many times that of rest, is less than
    a share of its peak."""
    rest_s: float = 2.0
    """What was put down has come to rest by then."""
    stirs_share: float = 1.0
    """Of the speed of rest of the hand, above which an object is not at rest."""
    shift_s: float = 0.3
    """So short a way sideways before the rise is part of the lift."""
    at_once_s: float = 0.2
    """Fingers that open so soon after they closed have not taken hold."""
    given_up_s: float = 0.25
    """Reaction time after which fingers that closed on nothing are no longer a grasp."""
    strokes_m: float = 0.05
    strokes_turn: float = 2.5
    """Strokes span at least so much, and their path is so many times their span."""
    aside_m: float = 0.01
    """A load that moves sideways by more is not yet on its final way down."""
    sunk_m: float = 0.02
    """A load that comes down and goes up again by more was to be set down."""
    along_s: float = 1.0
    along_share: float = 0.3
    """Something moves along with the hand if it does so for that share of that time."""
    passing_share: float = 0.5
    """Fingers that close on the way, and at whose end the hand goes at more than that share of its speed, pass by."""
    reach_m: float = 0.15
    """Fingers that close so much farther from any object than what they hold as a rule take hold of none."""
    sinks_m: float = 0.008
    """A descent to less than that above where the fingers open is none."""
    sinking_share: float = 0.5
    """Of the speed of rest, above which a load sinks: hands set down slowly."""
    on_the_way: float = 0.7
    """A hand that moves for more than that share of a closing closes on its way."""
    open_share: float = 0.25
    """Fingers that stay farther open than that share of their range have not closed all the way."""
    closer_share: float = 0.3
    """Of its way, by which a hand has to come nearer to a thing to go towards it: half of a way at 70° to it."""


@dataclass(frozen=True, eq=False)
class LabelRuns(Runs):
    """Runs of equal label, shape (r,) each."""

    def at(self, *names: str) -> Bools:
        """Runs with one of these labels."""
        return named(self.kind, *names)


def named(label: Int64s, *names: str) -> Bools:
    """Where a label is one of these."""
    return among(label, [CODE[name] for name in names])


def label_gaps(features: Features, states: States, action: Int64s, failed: Bools, settings: LabelSettings) -> Int64s:
    """Give the free motion between actions its name: approach, retreat, recovery or idle; shape (T,)."""
    label = action.copy()
    if features.pose is None:
        return label
    free = (action == 0) & (states.code != State.UNKNOWN)
    runs = runs_of(free, features.ragged)
    gaps = Gaps(runs.ragged, runs.start, runs.stop, free, features, states, action, failed, settings, free, label)
    for rule, holds in GAP_RULES.asked(gaps):
        label[holds] = CODE[rule.says]
    return label


@dataclass(frozen=True, eq=False)
class Gaps(Runs):
    """Runs of free motion between actions, and what lies between them, shape (r,) each; rules tell of frames."""

    features: Features
    states: States
    action: Int64s
    """Label of every frame that is an action, shape (T,)."""
    failed: Bools
    settings: LabelSettings
    free: Bools
    """Frames of free motion, shape (T,)."""
    label: Int64s
    """As the rules asked so far name each frame, shape (T,)."""

    @cached_property
    def known_before(self) -> Bools:
        """An action comes right before."""
        begins = (self.start > self.ragged.first[self.start]) & self.free[self.start]
        return begins & (self.action[np.maximum(self.start - 1, 0)] > 0)

    @cached_property
    def known_after(self) -> Bools:
        """An action comes right after."""
        ends = (self.stop <= self.ragged.last[self.start]) & self.free[self.start]
        return ends & (self.action[np.minimum(self.stop, len(self.action) - 1)] > 0)

    @cached_property
    def leaving(self) -> Bools:
        """What leads away from where the next action begins ends at the turning point, shape (T,)."""
        turn = self.start.copy()
        asked = np.flatnonzero(self.known_before)
        turn[asked] = _parting(self.features, self.start[asked], self.stop[asked], self.settings)
        ends = self.spread(np.where(self.known_after, turn, self.stop))
        return self.free & (np.arange(len(ends)) < ends)

    @cached_property
    def idle(self) -> Bools:
        """Rest that is long enough, shape (T,)."""
        states, ragged = self.states, self.ragged
        # fingers that open meanwhile are no motion of the arm; closing ones prepare a grasp or a push
        still = (states.code == State.STILL) | ((states.code == State.OPENING) & ~self.features.moving)
        rests = runs_of(still & self.free, ragged)
        start = rests.start
        # but what they do right after an action ends it
        after_action = (start > ragged.first[start]) & ~self.free[np.maximum(start - 1, 0)]
        ends_action = (states.code[start] != State.STILL) & after_action
        long = rests.seconds >= self.settings.idle_s
        return rests.spread((still & self.free)[start] & ~ends_action & long)

    @cached_property
    def closer(self) -> tuple[Bools, Bools]:
        """Free motion between rests, with no action beside it, of which things or the next action tell where it leads,
        and whether that is towards them, shape (T,) each.

        Towards where the next action begins, or, where none follows, towards the object that it ends nearest to.
        """
        features, ragged, label = self.features, self.ragged, self.label
        free = self.free & ~self.idle & ~_corrects(self)
        if features.object_position is None or features.position is None:
            return free & False, free
        runs = runs_of(free, ragged)
        start, end, position = runs.start, runs.stop - 1, features.position
        idle, last = CODE["idle"], len(label) - 1
        beside = (start > ragged.first[start]) & (label[np.maximum(start - 1, 0)] != idle)
        beside |= (runs.stop <= ragged.last[start]) & (label[np.minimum(runs.stop, last)] != idle)
        distance = lengths(features.object_position[end] - position[end][:, None])
        distance[~runs.any(features.object_seen)] = np.inf
        nearest = np.argmin(distance, axis=1)
        left = distance[runs.here, nearest]
        at = self.spread(np.where(self.known_after, self.stop - 1, -1))[start]
        goal = position[np.maximum(at, 0)]
        closer = np.where(
            at >= 0,
            lengths(goal - position[start]) - lengths(goal - position[end]),
            lengths(features.object_position[start, nearest] - position[start]) - left,
        )
        towards = closer > self.settings.closer_share * lengths(position[end] - position[start])
        return runs.spread(free[start] & ~beside & np.isfinite(left)), runs.spread(towards)


def _leads_on(gaps: Gaps) -> Bools:
    """Free motion before an action leads to it."""
    return gaps.free


def _leads_away(gaps: Gaps) -> Bools:
    """After an action the arm goes away from where the next one begins."""
    return gaps.leaving & gaps.spread(gaps.known_before)


def _rests(gaps: Gaps) -> Bools:
    """Rest of half a second or more is idle, unless it is the pause of a recovery."""
    return gaps.idle


def _corrects(gaps: Gaps) -> Bools:
    """The way back from a failed attempt to the next one."""
    failed = gaps.known_before & gaps.failed[np.maximum(gaps.start - 1, 0)]
    return gaps.leaving & gaps.spread(failed & gaps.known_after)


def _stands_alone(gaps: Gaps) -> Bools:
    """Free motion with no action around it says nothing about intent."""
    return gaps.free & ~gaps.spread(gaps.known_before | gaps.known_after) & ~gaps.idle


def _towards_things(gaps: Gaps) -> Bools:
    """Between rests the hand comes nearer to where the next action begins, or to a thing."""
    told, towards = gaps.closer
    return told & towards


def _away_from_things(gaps: Gaps) -> Bools:
    """Between rests the hand comes no nearer to where the next action begins, nor to a thing."""
    told, towards = gaps.closer
    return told & ~towards


GAP_RULES = RuleList(
    "label",
    "What free motion between actions is called",
    LAST,
    (
        Rule("approach", _leads_on),
        Rule("retreat", _leads_away),
        Rule("idle", _rests),
        Rule("recovery_maneuver", _corrects),
        Rule("unknown", _stands_alone),
        Rule("approach", _towards_things),
        Rule("retreat", _away_from_things),
    ),
)


def _parting(features: Features, start: Int64s, stop: Int64s, settings: LabelSettings) -> Int64s:
    """Frame of each run at which leaving ends and approaching begins, shape (r,).

    Where the first motion comes to an end and the next begins, or else where the arm is last farthest from where the
    run ends.
    """
    if features.pose is None or not len(start):
        return start
    length = stop - start
    at = spans_of(start, length)
    run = np.repeat(np.arange(len(start)), length)
    begin = np.cumsum(length) - length

    pose = features.pose

    def apart(place: Int64s) -> Float64s:
        return length_of([x[at] - x[place][run] for x in pose.T])

    distance = apart(stop - 1)
    near_farthest = distance >= settings.farthest_share * per_run(np.maximum, distance, begin)[run]
    turn = per_run(np.maximum, np.where(near_farthest, at, -1), begin)
    # a motion worth the name, then slower than a share of its peak, then no slower
    speed = features.speed[at]
    fastest = running_max_in(run, speed)
    slow = (speed < settings.dip_share * fastest) & (fastest > settings.dip_peak * features.still_below[at])
    slow &= np.append(speed[1:] >= speed[:-1], True) & (at < stop[run] - 1)
    if features.position is not None:
        slow &= apart(start) > settings.dip_m
    dip = per_run(np.minimum, np.where(slow, at, len(features.speed)), begin)
    out: Int64s = np.minimum(turn, dip)
    return out


def merge_short(label: Int64s, features: Features, settings: LabelSettings) -> Int64s:
    """Join what is shorter than the shortest segment to its neighbour, shape (T,)."""
    runs = runs_of(label, features.ragged)
    out: Int64s = runs.without_brief(label, runs.length >= runs.frames(settings.shortest_s))
    return out
