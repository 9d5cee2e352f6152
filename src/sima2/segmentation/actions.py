"""Runs of physical states → actions and anomalies, and the attempts that failed, each by an ordered list of rules.

The convention: collision > slip > recovery_maneuver > contact actions > free motion > idle > unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.segmentation.closings import by_fingers_alone
from sima2.segmentation.features import Features
from sima2.segmentation.labels import CODE, LabelSettings
from sima2.segmentation.signals import among, last_where, next_where, per_run, runs_of
from sima2.segmentation.states import State, States


def label_actions(features: Features, states: States, settings: LabelSettings) -> tuple[Int64s, Bools]:
    """Label of every frame that is an action or an anomaly (``unknown`` = 0 elsewhere), and where an attempt failed.

    Returns:
        Labels and failure flags, shape (T,).
    """
    if not len(states.code):
        return np.zeros(0, np.int64), np.zeros(0, np.bool_)
    runs = Runs.of(features, states, settings)
    label = runs.labels()
    failed = runs.failures(label)
    lengths = runs.stop - runs.start
    frames = np.repeat(label, lengths)
    # fingers that closed on nothing are known to soon after; what comes then is no grasp any more
    since = np.arange(len(frames)) - np.repeat(runs.start, lengths)
    known = features.ragged.frames(settings.given_up_s)[runs.episode]
    frames[np.repeat(_closed_on_nothing(runs, label), lengths) & (since >= np.repeat(known, lengths))] = 0
    by_frame = among(frames, [CODE[name] for name in ("lift", "transport", "idle")])
    frames[runs.descent & by_frame] = CODE["place"]
    frames = _until_rest(features, states, frames, settings)
    return frames, np.repeat(failed, lengths)


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of equal state, with the place of their episode's first and last run; shape (r,) each."""

    features: Features
    states: States
    settings: LabelSettings
    start: Int64s
    stop: Int64s
    code: Int64s
    episode: Int64s
    first: Int64s
    last: Int64s

    @classmethod
    def of(cls, features: Features, states: States, settings: LabelSettings) -> Runs:
        """The runs of the frames."""
        start, stop = runs_of(states.code, features.ragged)
        episode = features.ragged.episode[start]
        first = np.searchsorted(episode, episode)
        last = np.searchsorted(episode, episode, side="right") - 1
        return cls(features, states, settings, start, stop, states.code[start], episode, first, last)

    def labels(self, rules: tuple[LabelRule, ...] | None = None) -> Int64s:
        """Label of each run, 0 where no rule speaks: of the rules that hold the last one counts."""
        label = np.zeros(len(self.code), np.int64)
        for rule in LABEL_RULES if rules is None else rules:
            holds = rule.holds(self, label)
            label[holds] = self.before(label, 0)[holds] if rule.label is None else CODE[rule.label]
        return label

    def failures(self, label: Int64s, rules: tuple[FailureRule, ...] | None = None) -> Bools:
        """Runs in which an attempt fails: any rule is enough."""
        failed = np.zeros(len(self.code), np.bool_)
        for rule in FAILURE_RULES if rules is None else rules:
            failed |= rule(self, label)
        return failed

    def at(self, *kinds: State) -> Bools:
        """Runs in one of these states."""
        return among(self.code, kinds)

    def previous(self, mask: Bools) -> Int64s:
        """Latest earlier run where the mask holds, -1 where none."""
        found = last_where(np.concatenate([[False], mask[:-1]]), self.first + 1)
        return np.where(found >= 0, found - 1, -1)

    def next(self, mask: Bools) -> Int64s:
        """Earliest later run where the mask holds, -1 where none."""
        found = next_where(np.concatenate([mask[1:], [False]]), self.last - 1)
        return np.where(found >= 0, found + 1, -1)

    def before(self, values: NDArray[Any], default: int | bool) -> NDArray[Any]:
        """Value of the run before, the default at the first of an episode."""
        return pick(np.where(self.here > self.first, self.here - 1, -1), values, default)

    def after(self, values: NDArray[Any], default: int | bool) -> NDArray[Any]:
        """Value of the run after, the default at the last of an episode."""
        return pick(np.where(self.here < self.last, self.here + 1, -1), values, default)

    @property
    def here(self) -> Int64s:
        """Its own place."""
        return np.arange(len(self.code))

    @cached_property
    def seconds(self) -> Float64s:
        """Duration."""
        return (self.stop - self.start) * self.features.ragged.period[self.episode]

    @property
    def loaded(self) -> Bools:
        """Something is in the hand as it begins."""
        return self.states.loaded[self.start]

    @cached_property
    def flown(self) -> Bools:
        """What is in the hand has been lifted."""
        return per_run(np.logical_or, self.states.flown, self.start)

    @property
    def holding(self) -> Bools:
        """Something is in the hand."""
        return self.at(State.HOLD, State.RISE, State.SIDE, State.DOWN, State.PRESS, State.STUCK, State.WIGGLE)

    @cached_property
    def grasp(self) -> Bools:
        """The fingers close, and rest with what they hold, or on nothing until the attempt is given up."""
        rest = self.at(State.HOLD, State.STILL)
        closes = self.at(State.CLOSING)
        if not by_fingers_alone(self.features):
            # of hands known by their fingers alone, closings that take nothing are no state of theirs
            closes = closes & ~_preshape(self.features, self.states, self, self.settings)
        just_closed = pick(self.previous(~rest), closes, False)
        grasp = closes | (just_closed & rest)
        return grasp | _not_yet_up(self.features, self.states, self, grasp, self.settings)

    @cached_property
    def descent(self) -> Bools:
        """Frames of the last way down before the fingers open, shape (T,)."""
        return _final_descent(self.features, self.states, self.settings)

    @cached_property
    def along_after(self) -> Bools:
        """Something moves along with the hand afterwards."""
        return _moves_along_after(self.features, self, self.settings)


def pick(place: Int64s, values: NDArray[Any], default: int | bool) -> NDArray[Any]:
    """Values at places; the default where the place is -1."""
    return np.where(place >= 0, values[np.maximum(place, 0)], default)


def _grasps(runs: Runs, label: Int64s) -> Bools:
    """Fingers that close to take hold."""
    return runs.grasp


def _carries(runs: Runs, label: Int64s) -> Bools:
    """A load, moved or at rest."""
    return runs.at(State.RISE, State.SIDE, State.DOWN, State.HOLD) & ~runs.grasp


def _lifts(runs: Runs, label: Int64s) -> Bools:
    """The first rise after a grasp or a pull, with no way sideways or down between."""
    risen = runs.previous(runs.at(State.RISE))
    shifted = runs.previous(runs.at(State.SIDE, State.DOWN) & ~runs.grasp)
    taken = runs.previous(runs.grasp | runs.at(State.PRESS))
    return runs.at(State.RISE) & (np.maximum(risen, shifted) < taken)


def _slides(runs: Runs, label: Int64s) -> Bools:
    """A load that was never lifted and moves: on a rail, or over the table."""
    if runs.features.position is None or by_fingers_alone(runs.features):
        # a flat way through the air is told from a rail by force or by what moves along
        return runs.at(State.SIDE) & False
    rises, opens = runs.next(runs.at(State.RISE)), runs.next(runs.at(State.OPENING))
    soon_up = (rises >= 0) & ((opens < 0) | (rises < opens)) & (runs.seconds < runs.settings.shift_s)
    return runs.at(State.SIDE) & ~runs.flown & ~runs.grasp & ~soon_up


def _pulls(runs: Runs, label: Int64s) -> Bools:
    """Force on a load that was never lifted."""
    return ((runs.at(State.PRESS) & ~runs.flown & runs.loaded) | runs.at(State.STUCK)) & ~runs.grasp


def _wiggles(runs: Runs, label: Int64s) -> Bools:
    """To and fro on what does not give way."""
    return runs.at(State.WIGGLE)


def _turns_back(runs: Runs, label: Int64s) -> Bools:
    """A pull that turns back on itself again and again."""
    pulled = label == CODE["pull"]
    return np.asarray(pulled & _to_and_fro(runs.features, runs, pulled, runs.settings))


def _rubs(runs: Runs, label: Int64s) -> Bools:
    """Force along something, with a load in the air."""
    return runs.at(State.PRESS) & runs.flown


def _pushes(runs: Runs, label: Int64s) -> Bools:
    """Force on something with an empty hand."""
    return runs.at(State.PRESS) & ~runs.loaded


def _strokes(runs: Runs, label: Int64s) -> Bools:
    """Along what stays where it is."""
    return runs.at(State.STROKE)


def _comes_down(runs: Runs, label: Int64s) -> Bools:
    """The last descent before the fingers open, and all up to their opening."""
    mostly = per_run(np.add, runs.descent.astype(np.int64), runs.start) * 2 > runs.stop - runs.start
    # what is rubbed on something has been put on it before
    return mostly & ~(runs.at(State.PRESS) & runs.flown)


def _stopped_short(runs: Runs, label: Int64s) -> Bools:
    """A descent that something stops."""
    return np.asarray(runs.at(State.DOWN) & (runs.after(runs.code, -1) == State.BLOCKED))


def _lets_go(runs: Runs, label: Int64s) -> Bools:
    """Fingers that open from a load."""
    held = pick(runs.previous(~runs.at(State.HOLD)), runs.holding, False) | runs.before(runs.holding, False)
    return np.asarray(runs.at(State.OPENING) & held)


def _ends_place(runs: Runs, label: Int64s) -> Bools:
    """Fingers that open after the descent."""
    return np.asarray(runs.at(State.OPENING) & runs.before(label == CODE["place"], False))


def _waits(runs: Runs, label: Int64s) -> Bools:
    """The hand waits until what it has let go rests."""
    opened = runs.before(runs.code, -1) == State.OPENING
    return np.asarray(runs.at(State.STILL) & opened & (runs.seconds < 2 * runs.settings.idle_s))


def _rests_loaded(runs: Runs, label: Int64s) -> Bools:
    """A loaded pause after which nothing follows, for the hand has given up, or before which nothing has begun."""
    motion = ~runs.at(State.HOLD, State.STILL)
    alone = (runs.next(motion) < 0) | (runs.previous(motion) < 0)
    return _pauses(runs, label) & (runs.seconds >= runs.settings.idle_s) & alone


def _part_of_before(runs: Runs, label: Int64s) -> Bools:
    """A loaded pause belongs to what it interrupts."""
    interrupted = [CODE[name] for name in ("lift", "pull", "wipe", "place")]
    return _pauses(runs, label) & among(runs.before(label, 0), interrupted)


def _pauses(runs: Runs, label: Int64s) -> Bools:
    return np.asarray(runs.at(State.HOLD) & ~runs.grasp & (label == CODE["transport"]))


def _slips(runs: Runs, label: Int64s) -> Bools:
    """The load moves against the hand."""
    return runs.at(State.SLIP)


def _collides(runs: Runs, label: Int64s) -> Bools:
    """A touch that was not meant."""
    return runs.at(State.BUMP, State.BLOCKED)


@dataclass(frozen=True, slots=True)
class LabelRule:
    """What runs of which something holds are called; ``None``: as the run before."""

    label: str | None
    holds: Callable[[Runs, Int64s], Bools]


FailureRule = Callable[[Runs, Int64s], Bools]

LABEL_RULES: Final = (
    LabelRule("grasp", _grasps),
    LabelRule("transport", _carries),
    LabelRule("lift", _lifts),
    LabelRule("pull", _slides),
    LabelRule("pull", _pulls),
    LabelRule("recovery_maneuver", _wiggles),
    LabelRule("wipe", _turns_back),
    LabelRule("wipe", _rubs),
    LabelRule("push", _pushes),
    LabelRule("wipe", _strokes),
    LabelRule("place", _comes_down),
    LabelRule("place", _stopped_short),
    LabelRule("release", _lets_go),
    LabelRule("place", _ends_place),
    LabelRule(None, _waits),
    LabelRule("idle", _rests_loaded),
    LabelRule(None, _part_of_before),
    LabelRule("slip", _slips),
    LabelRule("collision", _collides),
)
"""In order: a later rule overrules an earlier one."""


def _anomaly(runs: Runs, label: Int64s) -> Bools:
    """A slip or a collision, too short for a segment of its own perhaps."""
    return _slips(runs, label) | _collides(runs, label)


def _nothing_held(runs: Runs, label: Int64s) -> Bools:
    """A grasp that ends with nothing in the hand, nor pushed by it."""
    empty = among(runs.after(runs.code, -1), (State.FREE, State.STILL, State.OPENING))
    # at rest the attempt is not yet given up
    waits = runs.at(State.CLOSING) & (runs.after(runs.code, -1) == State.STILL)
    return np.asarray(runs.grasp & empty & ~runs.at(State.HOLD) & ~waits & ~runs.along_after)


def _gives_up(runs: Runs, label: Int64s) -> Bools:
    """Fingers that rest on nothing, and nothing moves along with them."""
    return _closed_on_nothing(runs, label) & ~runs.along_after


def _closed_on_nothing(runs: Runs, label: Int64s) -> Bools:
    return np.asarray(runs.grasp & runs.at(State.STILL) & ~runs.after(runs.holding, False))


def _opens_at_once(runs: Runs, label: Int64s) -> Bools:
    """A grasp that opens again without any way."""
    opens = runs.grasp & runs.at(State.HOLD) & (runs.after(runs.code, -1) == State.OPENING)
    if runs.features.gripping is None and runs.features.object_position is None:
        opens = opens & (runs.seconds < runs.settings.at_once_s)
    return np.asarray(opens)


def _loses(runs: Runs, label: Int64s) -> Bools:
    """A load that is gone, with no finger moved."""
    return runs.holding & runs.loaded & among(runs.after(runs.code, -1), (State.FREE, State.STILL))


FAILURE_RULES: Final[tuple[FailureRule, ...]] = (
    _anomaly,
    _nothing_held,
    _gives_up,
    _opens_at_once,
    _loses,
)
"""In any order: each alone is enough."""


def _until_rest(features: Features, states: States, label: Int64s, settings: LabelSettings) -> Int64s:
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


def _not_yet_up(features: Features, states: States, runs: Runs, grasp: Bools, settings: LabelSettings) -> Bools:
    """Runs between a grasp and the lift in which the load is pressed, tugged or shifted, but stays, shape (r,)."""
    if features.position is None:
        return np.zeros(len(runs.start), np.bool_)
    here = np.arange(len(runs.start))
    tugged = runs.at(State.PRESS, State.STUCK, State.WIGGLE, State.SIDE, State.HOLD) & ~states.flown[runs.stop - 1]
    taken = runs.previous(~tugged)
    up = runs.next(~tugged)
    carried = runs.at(State.RISE, State.SIDE, State.DOWN)
    found = tugged & (taken >= 0) & (up > here) & grasp[np.maximum(taken, 0)] & carried[np.maximum(up, 0)]
    begin, end = runs.stop[np.maximum(taken, 0)], runs.start[np.maximum(up, 0)]
    step = (
        features.position[np.minimum(end, len(features.position) - 1)]
        - features.position[np.minimum(begin, len(features.position) - 1)]
    )
    out: Bools = found & ((step * step).sum(axis=1) < settings.sunk_m**2)
    return out


def _to_and_fro(features: Features, runs: Runs, pulled: Bools, settings: LabelSettings) -> Bools:
    """Runs of a way under load that turns back on itself again and again: strokes, not a pull, shape (r,)."""
    if features.position is None or features.speed is None or not pulled.any():
        return pulled & False
    frames = np.repeat(pulled, runs.stop - runs.start)
    start, stop = runs_of(frames, features.ragged)
    low = per_run(np.minimum, features.position, start)
    high = per_run(np.maximum, features.position, start)
    span = np.sqrt(((high - low) ** 2).sum(axis=1))
    way = features.speed * features.moving * features.ragged.period.take(features.ragged.episode)
    path = per_run(np.add, way, start)
    strokes = (span > settings.strokes_m) & (path > settings.strokes_turn * span)
    return np.repeat(strokes, stop - start)[runs.start]


def _preshape(features: Features, states: States, runs: Runs, settings: LabelSettings) -> Bools:
    """Fingers that close on the way, not all the way, and on nothing: they prepare for a grasp."""
    if features.width is None or not len(runs.start):
        return np.zeros(len(runs.start), np.bool_)
    moving = per_run(np.add, features.moving.astype(np.int64), runs.start) > 0.7 * (runs.stop - runs.start)
    end = np.minimum(runs.stop, features.ragged.last[runs.start])
    open_still = features.width[end] > features.width_closed[end] + 0.25 * features.width_range[end]
    # or they make the fist that pushes next
    here = np.arange(len(runs.code))
    touch = runs.next(runs.at(State.PRESS, State.STROKE) & ~states.loaded[runs.start])
    other = runs.next(runs.at(State.CLOSING, State.OPENING))
    empty = runs.next(states.loaded[runs.start])
    fist = (touch > here) & ((other < 0) | (touch < other)) & ((empty < 0) | (touch < empty))
    # or close further later, without having opened
    goes_on = (other > here) & (runs.code[np.maximum(other, 0)] == State.CLOSING)
    # fingers that open again have tried to take something, and are wide open for the next try
    opens = (other == here + 1) & (runs.code[np.maximum(other, 0)] == State.OPENING)
    far = _out_of_reach(features, end, settings)
    if features.object_position is None:
        # a hand that has put down what it had, and closes on its way and on nothing, goes home with a fist
        put_down = runs.at(State.OPENING) & states.loaded[np.maximum(runs.start - 1, 0)] & (here > runs.first)
        far = far | (moving & (runs.previous(put_down) >= 0) & (runs.next(runs.at(State.CLOSING)) < 0))
    past = _closed_in_passing(features, runs, moving, settings)
    return np.asarray(((open_still & ((moving & ~opens) | goes_on)) | fist | far | past) & ~states.loaded[end])


def _closed_in_passing(features: Features, runs: Runs, moving: Bools, settings: LabelSettings) -> Bools:
    """Runs over which the hand goes a long way, and at whose end it is still fast: it took aim at nothing, shape (r,).

    A hand that means to take something slows down to it, however fast it came.
    """
    if features.speed is None:
        return np.zeros(len(runs.start), np.bool_)
    top = per_run(np.maximum, features.speed, runs.start)
    still_fast = features.speed[runs.stop - 1] > settings.passing_share * top
    # where the hand is not tracked, joints that never rest
    far = _travel(features, runs) > settings.reach_m / 2 if features.position is not None else moving
    return np.asarray(still_fast & far)


def _moves_along_after(features: Features, runs: Runs, settings: LabelSettings) -> Bools:
    """Runs after which some object moves along with the hand, shape (r,)."""
    if features.company is None:
        return np.zeros(len(runs.start), np.bool_)
    ragged = features.ragged
    end = np.minimum(runs.stop, ragged.last[runs.start])
    later = np.minimum(end + ragged.frames(settings.along_s)[runs.episode], ragged.last[runs.start])
    # what they take hold of next is not what they took hold of here
    again = runs.next(runs.at(State.CLOSING))
    later = np.where(again >= 0, np.minimum(later, np.maximum(runs.start[np.maximum(again, 0)] - 1, end)), later)
    share = ragged.mean(features.company.astype(np.float64), end, later)
    out: Bools = share > settings.along_share
    return out


def _out_of_reach(features: Features, at: Int64s, settings: LabelSettings) -> Bools:
    """Frames at which every object that was ever seen is far from the hand."""
    if features.object_position is None or features.object_seen is None or features.position is None:
        return np.zeros(len(at), np.bool_)
    apart = features.object_position[at] - features.position[at][:, None]
    reach = features.load_away[at] + settings.reach_m
    near = (apart * apart).sum(axis=2) < (reach * reach)[:, None]
    known = np.column_stack([last_where(seen, features.ragged.first)[at] >= 0 for seen in features.object_seen.T])
    out: Bools = known.any(axis=1) & ~(near & known).any(axis=1)
    return out


def _travel(features: Features, runs: Runs) -> Float64s:
    """Distance between the hand's first and last place of each run, m, shape (r,)."""
    if features.position is None:
        return np.zeros(len(runs.start))
    step = features.position[runs.stop - 1] - features.position[runs.start]
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
