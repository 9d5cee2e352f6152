"""Free motion between actions → its name by what comes before and after; and segments too short to stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.rollout import spans as spans_of
from sima2.records.vocabulary import LABELS
from sima2.segmentation.features import Features, length_of
from sima2.segmentation.signals import last_where, next_where, per_run, running_max_in, runs_of
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


def label_gaps(features: Features, states: States, action: Int64s, failed: Bools, settings: LabelSettings) -> Int64s:
    """Give the free motion between actions its name: approach, retreat, recovery or idle; shape (T,)."""
    ragged = features.ragged
    frames = len(ragged.time)
    out = action.copy()
    if not frames or features.pose is None:
        return out
    gap = (action == 0) & (states.code != State.UNKNOWN)
    start, stop = runs_of(gap, ragged)
    is_gap = gap[start]
    here = np.arange(len(start))
    has_before = (start > ragged.first[start]) & is_gap
    has_after = (stop <= ragged.last[start]) & is_gap
    known_before = has_before & (action[np.maximum(start - 1, 0)] > 0)
    known_after = has_after & (action[np.minimum(stop, frames - 1)] > 0)
    after_failure = known_before & failed[np.maximum(start - 1, 0)]

    # what leads away from where the next action begins ends at the turning point
    run = np.repeat(here, stop - start)
    turn = start.copy()
    asked = np.flatnonzero(known_before)
    turn[asked] = _parting(features, start[asked], stop[asked], settings)
    approach_from = np.where(known_before, turn, start)
    approach_from = np.where(known_after, approach_from, stop)

    frame = np.arange(frames)
    inside = is_gap[run]
    leaving = inside & (frame < approach_from[run])
    out[inside] = CODE["approach"]
    out[leaving & known_before[run]] = CODE["retreat"]
    out[leaving & ~known_before[run]] = CODE["unknown"]
    recovering = leaving & (after_failure & known_after)[run]
    # rest of half a second or more is idle, unless it is the pause of a recovery
    # fingers that open meanwhile are no motion of the arm; closing ones prepare a grasp or a push
    still = (states.code == State.STILL) | ((states.code == State.OPENING) & ~features.moving)
    s, e = runs_of(still & inside, ragged)
    # but what they do right after an action ends it
    ends_action = (states.code[s] != State.STILL) & (s > ragged.first[s]) & ~inside[np.maximum(s - 1, 0)]
    resting = (still & inside)[s] & ~ends_action & ((e - s) * ragged.period[ragged.episode[s]] >= settings.idle_s)
    idle = np.repeat(resting, e - s)
    out[idle] = CODE["idle"]
    out[recovering] = CODE["recovery_maneuver"]
    # free motion with no action around it says nothing about intent
    alone = inside & ~(known_before | known_after)[run] & ~idle
    out[alone] = CODE["unknown"]
    _name_by_objects(features, out, inside & ~idle & ~recovering, np.where(known_after, stop - 1, -1)[run])
    return out


def _name_by_objects(features: Features, label: Int64s, free: Bools, action_at: Int64s) -> None:
    """Free motion between rests, with no action beside it: towards where the next action begins, or away; in place.

    Where no action follows, towards the object that it ends nearest to. ``action_at`` is the frame before the next
    action, -1 where none follows, shape (T,).
    """
    ragged = features.ragged
    if features.object_position is None or features.position is None or features.object_seen is None:
        return
    start, stop = runs_of(free, ragged)
    end = stop - 1
    last = len(label) - 1
    beside = ((start > ragged.first[start]) & (label[np.maximum(start - 1, 0)] != CODE["idle"])) | (
        (stop <= ragged.last[start]) & (label[np.minimum(stop, last)] != CODE["idle"])
    )
    apart = features.object_position[end] - features.position[end][:, None]
    distance = np.sqrt((apart * apart).sum(axis=2))
    distance[~per_run(np.logical_or, features.object_seen, start)] = np.inf
    nearest = np.argmin(distance, axis=1)
    row = np.arange(len(start))
    before = features.object_position[start, nearest] - features.position[start]
    closer = np.sqrt((before * before).sum(axis=1)) - distance[row, nearest]
    at = action_at[start]
    goal = features.position[np.maximum(at, 0)]
    to_goal = np.linalg.norm(goal - features.position[start], axis=1) - np.linalg.norm(
        goal - features.position[end], axis=1
    )
    closer = np.where(at >= 0, to_goal, closer)
    step = features.position[end] - features.position[start]
    net = np.sqrt((step * step).sum(axis=1))
    known = free[start] & ~beside & np.isfinite(distance[row, nearest])
    name = np.where(closer > 0.3 * net, CODE["approach"], CODE["retreat"])
    told = np.repeat(known, stop - start)
    label[told] = np.repeat(name, stop - start)[told]


def _parting(features: Features, start: Int64s, stop: Int64s, settings: LabelSettings) -> Int64s:
    """Frame of each run at which leaving ends and approaching begins, shape (r,).

    Where the first motion comes to an end and the next begins, or else where the arm is last farthest from where the
    run ends.
    """
    if features.pose is None or features.speed is None or not len(start):
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
    ragged = features.ragged
    start, stop = runs_of(label, ragged)
    long = (stop - start) >= ragged.frames(settings.shortest_s)[ragged.episode[start]]
    episode = ragged.episode[start]
    first = np.searchsorted(episode, episode)
    last = np.searchsorted(episode, episode, side="right") - 1
    before, after = last_where(long, first), next_where(long, last)
    source = np.where(before >= 0, before, np.where(after >= 0, after, np.arange(len(start))))
    return np.repeat(label[start][source], stop - start)
