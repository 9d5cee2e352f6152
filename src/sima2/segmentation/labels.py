"""Runs of physical states → labelled segments, by what comes before and after each.

The convention: collision > slip > recovery_maneuver > contact actions > free motion > idle > unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sima2.records.rollout import spans as spans_of
from sima2.records.vocabulary import LABELS
from sima2.segmentation.features import Features, length_of
from sima2.segmentation.signals import (
    Bools,
    Doubles,
    Ints,
    among,
    last_where,
    next_where,
    per_run,
    running_max_in,
    runs_of,
)
from sima2.segmentation.states import State, States

CODE = {name: code for code, name in enumerate(LABELS)}


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """Spans of the annotation convention."""

    idle_s: float = 0.5
    shortest_s: float = 0.1
    locked_m: float = 0.012
    """Displacement under force below which what is pulled did not give way."""
    came_m: float = 0.05
    """What is pulled and has come so far was not locked."""
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


@dataclass(frozen=True, eq=False)
class _Table:
    """Runs of equal state with the place of their episode's first and last run."""

    start: Ints
    stop: Ints
    code: Ints
    episode: Ints
    first: Ints
    last: Ints

    def at(self, *kinds: State) -> Bools:
        """Runs in one of these states."""
        return among(self.code, kinds)

    def previous(self, mask: Bools) -> Ints:
        """Latest earlier run where the mask holds, -1 where none."""
        shifted = np.concatenate([[False], mask[:-1]]) if len(mask) else mask
        found = last_where(shifted, self.first + 1)
        return np.where(found >= 0, found - 1, -1)

    def next(self, mask: Bools) -> Ints:
        """Earliest later run where the mask holds, -1 where none."""
        shifted = np.concatenate([mask[1:], [False]]) if len(mask) else mask
        found = next_where(shifted, self.last - 1)
        return np.where(found >= 0, found + 1, -1)


def _pick(place: Ints, values: NDArray[Any], default: int | bool) -> NDArray[Any]:
    """Values at places; the default where the place is -1."""
    return np.where(place >= 0, values[np.maximum(place, 0)], default)


def _table(code: Ints, features: Features) -> _Table:
    start, stop = runs_of(code, features.ragged)
    episode = features.ragged.episode[start]
    first = np.searchsorted(episode, episode)
    last = np.searchsorted(episode, episode, side="right") - 1
    return _Table(start, stop, code[start], episode, first, last)


def label_actions(features: Features, states: States, settings: LabelSettings) -> tuple[Ints, Bools]:
    """Label of every frame that is an action or an anomaly (``unknown`` = 0 elsewhere), and where an attempt failed.

    Returns:
        Labels and failure flags, shape (T,).
    """
    t = _table(states.code, features)
    if not len(t.start):
        return np.zeros(0, np.int64), np.zeros(0, np.bool_)
    here = np.arange(len(t.code))
    before = np.where(here > t.first, here - 1, -1)
    after = np.where(here < t.last, here + 1, -1)
    before_code = _pick(before, t.code, -1)
    after_code = _pick(after, t.code, -1)
    seconds = (t.stop - t.start) * features.ragged.period[t.episode]
    holding = t.at(State.HOLD, State.RISE, State.SIDE, State.DOWN, State.PRESS, State.STUCK, State.WIGGLE)
    label = np.zeros(len(t.code), np.int64)
    failed = np.zeros(len(t.code), np.bool_)

    # at rest after closing is still the grasp: the load is held, or the attempt not yet given up
    rest = t.at(State.HOLD, State.STILL)
    closes = t.at(State.CLOSING) & ~_preshape(features, states, t, settings)
    just_closed = _pick(t.previous(~rest), closes, False)
    grasp = closes | (just_closed & t.at(State.HOLD))
    grasp |= just_closed & t.at(State.STILL)
    grasp |= _not_yet_up(features, states, t, grasp, settings)
    label[grasp] = CODE["grasp"]

    carried = t.at(State.RISE, State.SIDE, State.DOWN, State.HOLD) & ~grasp
    last_grasp = t.previous(grasp | t.at(State.PRESS))
    risen_before = t.previous(t.at(State.RISE))
    side_before = t.previous(t.at(State.SIDE, State.DOWN) & ~grasp)
    fresh = np.maximum(risen_before, side_before) < last_grasp
    label[carried] = CODE["transport"]
    label[t.at(State.RISE) & fresh] = CODE["lift"]

    # a load that was never lifted and moves slides: pulled (on a rail, or over the table)
    flown = per_run(np.logical_or, states.flown, t.start)
    slides = t.at(State.SIDE) & ~flown & ~grasp & (features.position is not None)
    rises_next = t.next(t.at(State.RISE))
    opens_next = t.next(t.at(State.OPENING))
    soon_lifted = (rises_next >= 0) & ((opens_next < 0) | (rises_next < opens_next)) & (seconds < 0.3)
    label[slides & ~soon_lifted] = CODE["pull"]

    label[t.at(State.PRESS) & ~flown & states.loaded[t.start] & ~grasp] = CODE["pull"]
    label[t.at(State.STUCK) & ~grasp] = CODE["pull"]
    label[t.at(State.WIGGLE)] = CODE["recovery_maneuver"]
    label[(label == CODE["pull"]) & _to_and_fro(features, t, label == CODE["pull"], settings)] = CODE["wipe"]
    label[t.at(State.PRESS) & flown] = CODE["wipe"]
    label[t.at(State.PRESS) & ~states.loaded[t.start]] = CODE["push"]
    label[t.at(State.STROKE)] = CODE["wipe"]

    # the last descent before the fingers open is the place, and so is all up to their opening
    place = _final_descent(features, states, settings)
    label[per_run(np.add, place.astype(np.int64), t.start) * 2 > (t.stop - t.start)] = CODE["place"]
    blocked_next = after_code == State.BLOCKED
    label[t.at(State.DOWN) & blocked_next] = CODE["place"]

    from_load = _pick(t.previous(~t.at(State.HOLD)), holding, False) | _pick(before, holding, False)
    opening = t.at(State.OPENING)
    label[opening & from_load] = CODE["release"]
    label[opening & _pick(before, label == CODE["place"], False)] = CODE["place"]
    # the hand waits until the object rests
    waits = t.at(State.STILL) & (before_code == State.OPENING) & (seconds < 2 * settings.idle_s)
    label[waits] = _pick(before, label, 0)[waits]
    # a loaded pause is part of what it interrupts, unless nothing follows: then the hand has given up
    ends = t.next(~t.at(State.HOLD, State.STILL)) < 0
    held_pause = t.at(State.HOLD) & ~grasp & (label == CODE["transport"]) & (seconds >= settings.idle_s) & ends
    # or nothing has begun
    begins = t.previous(~t.at(State.HOLD, State.STILL)) < 0
    held_pause |= t.at(State.HOLD) & ~grasp & (label == CODE["transport"]) & (seconds >= settings.idle_s) & begins
    label[held_pause] = CODE["idle"]
    # shorter pauses belong to the motion around them
    brief = t.at(State.HOLD) & ~grasp & (label == CODE["transport"])
    same = _pick(before, label, 0)
    label[brief & (same > 0) & among(same, [CODE[n] for n in ("lift", "pull", "wipe", "place")])] = 0
    label = np.where(brief & (label == 0), same, label)

    label[t.at(State.SLIP)] = CODE["slip"]
    label[t.at(State.BUMP, State.BLOCKED)] = CODE["collision"]
    failed |= t.at(State.SLIP, State.BUMP, State.BLOCKED)
    failed |= t.at(State.STUCK) & ~grasp & ~_came(features, t, grasp, settings)

    # a grasp after which nothing is held, and a load gone with no opening
    after_grasp_empty = grasp & among(after_code, (State.FREE, State.STILL, State.OPENING)) & ~t.at(State.HOLD)
    opens_loaded = grasp & t.at(State.HOLD) & (after_code == State.OPENING)
    if features.gripping is None and features.object_position is None:
        opens_loaded &= seconds < 0.2
    # what then moves along with closed fingers is pushed by them, or held: no miss
    along = _moves_along_after(features, t, settings)
    failed |= after_grasp_empty & ~(t.at(State.CLOSING) & (after_code == State.STILL)) & ~along
    empty = grasp & t.at(State.STILL) & ~_pick(after, holding, False)
    failed |= empty & ~along
    failed |= opens_loaded
    lost = holding & states.loaded[t.start] & among(after_code, (State.FREE, State.STILL))
    failed |= lost
    failed |= holding & among(after_code, (State.SLIP, State.BUMP, State.BLOCKED))
    if features.position is not None:
        failed |= (label == CODE["pull"]) & t.at(State.PRESS) & (_travel(features, t) < settings.locked_m)
    lengths = t.stop - t.start
    frames = np.repeat(label, lengths)
    # fingers that closed on nothing are known to soon after; what comes then is no grasp any more
    given_up = np.repeat(empty, lengths)
    since = np.arange(len(frames)) - np.repeat(t.start, lengths)
    frames[given_up & (since >= np.repeat(features.ragged.frames(settings.given_up_s)[t.episode], lengths))] = 0
    by_frame = among(frames, [CODE[name] for name in ("lift", "transport", "idle")])
    frames[place & by_frame] = CODE["place"]
    frames = _until_rest(features, states, frames, settings)
    return frames, np.repeat(failed, lengths)


def _came(features: Features, t: _Table, grasp: Bools, settings: LabelSettings) -> Bools:
    """Runs that begin some way from where the hand last took hold: what then stands has come to its end, shape (r,)."""
    if features.position is None:
        return np.zeros(len(t.start), np.bool_)
    taken = t.previous(grasp)
    step = features.position[t.start] - features.position[t.stop[np.maximum(taken, 0)] - 1]
    return np.asarray((taken >= 0) & ((step * step).sum(axis=1) > settings.came_m**2))


def _until_rest(features: Features, states: States, label: Ints, settings: LabelSettings) -> Ints:
    """A place lasts until what was let go lies still, shape (T,)."""
    ragged = features.ragged
    moving, together = features.objects_moving, features.together
    if moving is None or together is None or not len(label):
        return label
    here = np.arange(len(label))
    placed = label == CODE["place"]
    since = last_where(placed, ragged.first)
    at = np.flatnonzero((since >= 0) & (label == 0))
    at = at[states.load[since[at]] >= 0]
    own = states.load[since[at]]
    by_itself = moving[at, own] & ~together[at, own]
    at, own = at[by_itself], own[by_itself]
    speed = features.object_speed(at, own)
    stirs = np.zeros(len(label), np.bool_)
    if speed is not None:
        stirs[at] = speed > settings.stirs_share * features.still_below[at]
    span = ragged.frames(settings.rest_s).take(ragged.episode)
    waits = (label == 0) & (states.code == State.STILL)
    start, stop = runs_of(placed | ((stirs | waits) & (since >= 0) & (here - since <= span)), ragged)
    until = per_run(np.maximum, np.where(placed | stirs, here, -1), start)
    out = label.copy()
    out[np.repeat(placed[start], stop - start) & (here <= np.repeat(until, stop - start))] = CODE["place"]
    return out


def _not_yet_up(features: Features, states: States, t: _Table, grasp: Bools, settings: LabelSettings) -> Bools:
    """Runs between a grasp and the lift in which the load is pressed, tugged or shifted, but stays, shape (r,)."""
    if features.position is None:
        return np.zeros(len(t.start), np.bool_)
    here = np.arange(len(t.start))
    tugged = t.at(State.PRESS, State.STUCK, State.WIGGLE, State.SIDE, State.HOLD) & ~states.flown[t.stop - 1]
    taken = t.previous(~tugged)
    up = t.next(~tugged)
    carried = t.at(State.RISE, State.SIDE, State.DOWN)
    found = tugged & (taken >= 0) & (up > here) & grasp[np.maximum(taken, 0)] & carried[np.maximum(up, 0)]
    begin, end = t.stop[np.maximum(taken, 0)], t.start[np.maximum(up, 0)]
    step = (
        features.position[np.minimum(end, len(features.position) - 1)]
        - features.position[np.minimum(begin, len(features.position) - 1)]
    )
    out: Bools = found & ((step * step).sum(axis=1) < settings.sunk_m**2)
    return out


def _to_and_fro(features: Features, t: _Table, pulled: Bools, settings: LabelSettings) -> Bools:
    """Runs of a way under load that turns back on itself again and again: strokes, not a pull, shape (r,)."""
    if features.position is None or features.speed is None or not pulled.any():
        return pulled & False
    frames = np.repeat(pulled, t.stop - t.start)
    start, stop = runs_of(frames, features.ragged)
    low = per_run(np.minimum, features.position, start)
    high = per_run(np.maximum, features.position, start)
    span = np.sqrt(((high - low) ** 2).sum(axis=1))
    way = features.speed * features.moving * features.ragged.period.take(features.ragged.episode)
    path = per_run(np.add, way, start)
    strokes = (span > settings.strokes_m) & (path > settings.strokes_turn * span)
    return np.repeat(strokes, stop - start)[t.start]


def _preshape(features: Features, states: States, t: _Table, settings: LabelSettings) -> Bools:
    """Fingers that close on the way, not all the way, and on nothing: they prepare for a grasp."""
    if features.width is None or not len(t.start):
        return np.zeros(len(t.start), np.bool_)
    moving = per_run(np.add, features.moving.astype(np.int64), t.start) > 0.7 * (t.stop - t.start)
    end = np.minimum(t.stop, features.ragged.last[t.start])
    open_still = features.width[end] > features.width_closed[end] + 0.25 * features.width_range[end]
    # or they make the fist that pushes next
    here = np.arange(len(t.code))
    touch = t.next(t.at(State.PRESS, State.STROKE) & ~states.loaded[t.start])
    other = t.next(t.at(State.CLOSING, State.OPENING))
    empty = t.next(states.loaded[t.start])
    fist = (touch > here) & ((other < 0) | (touch < other)) & ((empty < 0) | (touch < empty))
    # or close further later, without having opened
    goes_on = (other > here) & (t.code[np.maximum(other, 0)] == State.CLOSING)
    # fingers that open again have tried to take something, and are wide open for the next try
    opens = (other == here + 1) & (t.code[np.maximum(other, 0)] == State.OPENING)
    far = _out_of_reach(features, end, settings)
    if features.object_position is None:
        # a hand that has put down what it had, and closes on its way and on nothing, goes home with a fist
        put_down = t.at(State.OPENING) & states.loaded[np.maximum(t.start - 1, 0)] & (here > t.first)
        far = far | (moving & (t.previous(put_down) >= 0) & (t.next(t.at(State.CLOSING)) < 0))
    past = _closed_in_passing(features, t, moving, settings)
    return np.asarray(((open_still & ((moving & ~opens) | goes_on)) | fist | far | past) & ~states.loaded[end])


def _closed_in_passing(features: Features, t: _Table, moving: Bools, settings: LabelSettings) -> Bools:
    """Runs over which the hand goes a long way, and at whose end it is still fast: it took aim at nothing, shape (r,).

    A hand that means to take something slows down to it, however fast it came.
    """
    if features.speed is None:
        return np.zeros(len(t.start), np.bool_)
    top = per_run(np.maximum, features.speed, t.start)
    still_fast = features.speed[t.stop - 1] > settings.passing_share * top
    # where the hand is not tracked, joints that never rest
    far = _travel(features, t) > settings.reach_m / 2 if features.position is not None else moving
    return np.asarray(still_fast & far)


def _moves_along_after(features: Features, t: _Table, settings: LabelSettings) -> Bools:
    """Runs after which some object moves along with the hand, shape (r,)."""
    if features.company is None:
        return np.zeros(len(t.start), np.bool_)
    ragged = features.ragged
    end = np.minimum(t.stop, ragged.last[t.start])
    later = np.minimum(end + ragged.frames(settings.along_s)[t.episode], ragged.last[t.start])
    # what they take hold of next is not what they took hold of here
    again = t.next(t.at(State.CLOSING))
    later = np.where(again >= 0, np.minimum(later, np.maximum(t.start[np.maximum(again, 0)] - 1, end)), later)
    share = ragged.mean(features.company.astype(np.float64), end, later)
    out: Bools = share > settings.along_share
    return out


def _out_of_reach(features: Features, at: Ints, settings: LabelSettings) -> Bools:
    """Frames at which every object that was ever seen is far from the hand."""
    if features.object_position is None or features.object_seen is None or features.position is None:
        return np.zeros(len(at), np.bool_)
    apart = features.object_position[at] - features.position[at][:, None]
    reach = features.load_away[at] + settings.reach_m
    near = (apart * apart).sum(axis=2) < (reach * reach)[:, None]
    known = np.column_stack([last_where(seen, features.ragged.first)[at] >= 0 for seen in features.object_seen.T])
    out: Bools = known.any(axis=1) & ~(near & known).any(axis=1)
    return out


def _travel(features: Features, t: _Table) -> NDArray[np.float64]:
    """Distance between the hand's first and last place of each run, m, shape (r,)."""
    if features.position is None:
        return np.zeros(len(t.start))
    step = features.position[t.stop - 1] - features.position[t.start]
    return np.asarray(np.sqrt((step * step).sum(axis=1)))


def _final_descent(features: Features, states: States, settings: LabelSettings) -> Bools:
    """Frames of the last way down of a load before the fingers open, up to their opening, shape (T,)."""
    ragged = features.ragged
    frames = len(states.code)
    if not frames:
        return np.zeros(0, np.bool_)
    opens = next_where(states.code == State.OPENING, ragged.last)
    lost = next_where(~states.loaded & (states.code != State.OPENING), ragged.last)
    under_way = states.loaded & (opens >= 0) & ((lost < 0) | (lost > opens))
    if features.position is None or features.velocity is None:
        # where no vertical is known, the movement that the hand leaves back along is the descent
        begun = last_where(states.code == State.DOWN, ragged.first)
        carried_on = last_where(among(states.code, (State.RISE, State.SIDE)), ragged.first)
        return under_way & (begun > carried_on)
    here = np.arange(frames)
    drop = features.position[:, 2] - features.position[np.maximum(opens, 0), 2]
    down = -features.velocity[:, 2]
    steep = down > np.maximum(features.sideways, 0.5 * features.still_below)
    # the last stretch sideways ends where the final descent begins
    start, stop = runs_of(under_way & features.moving & ~steep, ragged)
    step = features.position[stop - 1, :2] - features.position[start, :2]
    aside = (under_way & features.moving & ~steep)[start] & (np.hypot(step[:, 0], step[:, 1]) > settings.aside_m)
    # what is shifted where it is let go has come down already
    aside &= per_run(np.maximum, drop, start) > settings.sinks_m
    next_aside = next_where(np.repeat(aside, stop - start), ragged.last)
    late = under_way & ((next_aside < 0) | (next_aside > opens))
    sinks = late & steep & (drop > settings.sinks_m)
    start, stop = runs_of(late, ragged)
    first_sink = per_run(np.minimum, np.where(sinks, here, frames), start)
    return late & (here >= np.repeat(first_sink, stop - start))


def label_gaps(features: Features, states: States, action: Ints, failed: Bools, settings: LabelSettings) -> Ints:
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


def _name_by_objects(features: Features, label: Ints, free: Bools, action_at: Ints) -> None:
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


def _parting(features: Features, start: Ints, stop: Ints, settings: LabelSettings) -> Ints:
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

    def apart(place: Ints) -> Doubles:
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
    out: Ints = np.minimum(turn, dip)
    return out


def merge_short(label: Ints, features: Features, settings: LabelSettings) -> Ints:
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
