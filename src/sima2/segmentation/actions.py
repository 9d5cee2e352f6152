"""Runs of physical states → actions and anomalies, and the attempts that failed, each by an ordered list of rules.

The convention: collision > slip > recovery_maneuver > contact actions > free motion > idle > unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Int64s
from sima2.records.vocabulary import LABELS
from sima2.segmentation.closings import by_fingers_alone
from sima2.segmentation.features import Features
from sima2.segmentation.labels import CODE, LabelSettings
from sima2.segmentation.rules import ANY, LAST, Rule, RuleList, above, below, note_change
from sima2.segmentation.signals import Runs, among, last_where, lengths, next_where, pick, runs_of, squares
from sima2.segmentation.states import State, States

MOST: Final = 0.5
"""More than half of a run."""


def label_actions(features: Features, states: States, settings: LabelSettings) -> tuple[Int64s, Bools]:
    """Label of every frame that is an action or an anomaly (``unknown`` = 0 elsewhere), and where an attempt failed.

    Returns:
        Labels and failure flags, shape (T,).
    """
    found = runs_of(states.code, features.ragged)
    unnamed = np.zeros(len(found), np.int64)
    runs = StateRuns(found.ragged, found.start, found.stop, found.column, features, states, settings, unnamed)
    runs.name()
    failed = np.zeros(len(runs), np.bool_)
    for _, holds in FAILURE_RULES.asked(runs):
        failed |= holds
    label: Int64s = runs.spread(runs.label)
    for step in (_given_up, _comes_to_its_place, _until_rest):
        before, label = label, step(runs, label)
        note_change("label", step, before, label, LABELS)
    return label, runs.spread(failed)


@dataclass(frozen=True, eq=False)
class StateRuns(Runs):
    """Runs of equal state, shape (r,) each."""

    features: Features
    states: States
    settings: LabelSettings
    label: Int64s
    """As the rules asked so far name them; 0 where none has spoken."""

    def name(self) -> None:
        """Let the rules fill in the labels: of those that hold the last one counts."""
        for rule, holds in LABEL_RULES.asked(self):
            self.label[holds] = self.before(self.label, 0)[holds] if rule.says == AS_BEFORE else CODE[rule.says]

    def at(self, *kinds: State) -> Bools:
        """Runs in one of these states."""
        return among(self.kind, kinds)

    def named(self, *names: str) -> Bools:
        """Runs with one of these labels so far."""
        return among(self.label, [CODE[name] for name in names])

    def next_at(self, *kinds: State) -> Bools:
        """Runs after which one in one of these states comes."""
        return among(self.after(self.kind, -1), kinds)

    @property
    def loaded(self) -> Bools:
        """Something is in the hand as it begins."""
        return self.states.loaded[self.start]

    @cached_property
    def flown(self) -> Bools:
        """What is in the hand has been lifted."""
        return self.any(self.states.flown)

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
            closes = closes & ~_preshape(self)
        just_closed = pick(self.previous(~rest), closes, False)
        grasp = closes | (just_closed & rest)
        return grasp | _not_yet_up(self, grasp)

    @cached_property
    def descent(self) -> Bools:
        """Frames of the last way down before the fingers open, shape (T,)."""
        return _final_descent(self.features, self.states, self.settings)

    @cached_property
    def end(self) -> Int64s:
        """Frame after the last, or the episode's last."""
        return np.minimum(self.stop, self.ragged.last[self.start])

    @cached_property
    def along_after(self) -> Bools:
        """Something moves along with the hand afterwards."""
        if self.features.company is None:
            return np.zeros(len(self), np.bool_)
        later = self.ragged.ahead(self.end, self.settings.along_s)
        # what they take hold of next is not what they took hold of here
        again = self.next(self.at(State.CLOSING))
        later = np.where(again >= 0, np.minimum(later, np.maximum(pick(again, self.start, 0) - 1, self.end)), later)
        share = self.ragged.mean(self.features.company.astype(np.float64), self.end, later)
        return above("share with company afterwards", share, self.settings.along_share)


def _grasps(runs: StateRuns) -> Bools:
    """Fingers that close to take hold."""
    return runs.grasp


def _carries(runs: StateRuns) -> Bools:
    """A load, moved or at rest."""
    return runs.at(State.RISE, State.SIDE, State.DOWN, State.HOLD) & ~runs.grasp


def _lifts(runs: StateRuns) -> Bools:
    """The first rise after a grasp or a pull, with no way sideways or down between."""
    risen = runs.previous(runs.at(State.RISE))
    shifted = runs.previous(runs.at(State.SIDE, State.DOWN) & ~runs.grasp)
    taken = runs.previous(runs.grasp | runs.at(State.PRESS))
    return runs.at(State.RISE) & (np.maximum(risen, shifted) < taken)


def _slides(runs: StateRuns) -> Bools:
    """A load that was never lifted and moves: on a rail, or over the table."""
    if runs.features.position is None or by_fingers_alone(runs.features):
        # a flat way through the air is told from a rail by force or by what moves along
        return runs.at(State.SIDE) & False
    rises, opens = runs.next(runs.at(State.RISE)), runs.next(runs.at(State.OPENING))
    brief = below("s sideways", runs.seconds, runs.settings.shift_s)
    soon_up = (rises >= 0) & ((opens < 0) | (rises < opens)) & brief
    return runs.at(State.SIDE) & ~runs.flown & ~runs.grasp & ~soon_up


def _pulls(runs: StateRuns) -> Bools:
    """Force on a load that was never lifted."""
    return ((runs.at(State.PRESS) & ~runs.flown & runs.loaded) | runs.at(State.STUCK)) & ~runs.grasp


def _wiggles(runs: StateRuns) -> Bools:
    """To and fro on what does not give way."""
    return runs.at(State.WIGGLE)


def _turns_back(runs: StateRuns) -> Bools:
    """A pull that turns back on itself again and again: strokes."""
    position, pulled = runs.features.position, runs.named("pull")
    if position is None or not pulled.any():
        return pulled & False
    pulls = runs_of(runs.spread(pulled), runs.ragged)
    span, path = lengths(pulls.extent(position)), pulls.total(runs.features.way(runs.features.speed))
    far = pulls.spread(span)[runs.start]
    turns = above("m of path", pulls.spread(path)[runs.start], runs.settings.strokes_turn * far)
    return pulled & above("m of span", far, runs.settings.strokes_m) & turns


def _rubs(runs: StateRuns) -> Bools:
    """Force along something, with a load in the air."""
    return runs.at(State.PRESS) & runs.flown


def _pushes(runs: StateRuns) -> Bools:
    """Force on something with an empty hand."""
    return runs.at(State.PRESS) & ~runs.loaded


def _strokes(runs: StateRuns) -> Bools:
    """Along what stays where it is."""
    return runs.at(State.STROKE)


def _comes_down(runs: StateRuns) -> Bools:
    """The last descent before the fingers open, and all up to their opening."""
    mostly = above("frames of descent", runs.count(runs.descent), MOST * runs.length)
    # what is rubbed on something has been put on it before
    return mostly & ~(runs.at(State.PRESS) & runs.flown)


def _stopped_short(runs: StateRuns) -> Bools:
    """A descent that something stops."""
    return runs.at(State.DOWN) & runs.next_at(State.BLOCKED)


def _lets_go(runs: StateRuns) -> Bools:
    """Fingers that open from a load."""
    held = pick(runs.previous(~runs.at(State.HOLD)), runs.holding, False) | runs.before(runs.holding, False)
    return runs.at(State.OPENING) & held


def _ends_place(runs: StateRuns) -> Bools:
    """Fingers that open after the descent."""
    return runs.at(State.OPENING) & runs.before(runs.named("place"), False)


def _waits(runs: StateRuns) -> Bools:
    """The hand waits until what it has let go rests."""
    opened = runs.before(runs.at(State.OPENING), False)
    return runs.at(State.STILL) & opened & below("s at rest", runs.seconds, 2 * runs.settings.idle_s)


def _rests_loaded(runs: StateRuns) -> Bools:
    """A loaded pause after which nothing follows, for the hand has given up, or before which nothing has begun."""
    motion = ~runs.at(State.HOLD, State.STILL)
    alone = (runs.next(motion) < 0) | (runs.previous(motion) < 0)
    return _pauses(runs) & ~below("s at rest", runs.seconds, runs.settings.idle_s) & alone


def _part_of_before(runs: StateRuns) -> Bools:
    """A loaded pause belongs to what it interrupts."""
    return _pauses(runs) & runs.before(runs.named("lift", "pull", "wipe", "place"), False)


def _pauses(runs: StateRuns) -> Bools:
    return runs.at(State.HOLD) & ~runs.grasp & runs.named("transport")


def _slips(runs: StateRuns) -> Bools:
    """The load moves against the hand."""
    return runs.at(State.SLIP)


def _collides(runs: StateRuns) -> Bools:
    """A touch that was not meant."""
    return runs.at(State.BUMP, State.BLOCKED)


AS_BEFORE: Final = "as before"
LABEL_RULES = RuleList(
    "label",
    "What a run of one physical state is called",
    LAST,
    (
        Rule("grasp", _grasps),
        Rule("transport", _carries),
        Rule("lift", _lifts),
        Rule("pull", _slides),
        Rule("pull", _pulls),
        Rule("recovery_maneuver", _wiggles),
        Rule("wipe", _turns_back),
        Rule("wipe", _rubs),
        Rule("push", _pushes),
        Rule("wipe", _strokes),
        Rule("place", _comes_down),
        Rule("place", _stopped_short),
        Rule("release", _lets_go),
        Rule("place", _ends_place),
        Rule(AS_BEFORE, _waits),
        Rule("idle", _rests_loaded),
        Rule(AS_BEFORE, _part_of_before),
        Rule("slip", _slips),
        Rule("collision", _collides),
    ),
)


def _anomaly(runs: StateRuns) -> Bools:
    """A slip or a collision, too short for a segment of its own perhaps."""
    return _slips(runs) | _collides(runs)


def _nothing_held(runs: StateRuns) -> Bools:
    """A grasp that ends with nothing in the hand, nor pushed by it."""
    empty = runs.next_at(State.FREE, State.STILL, State.OPENING)
    # at rest the attempt is not yet given up
    waits = runs.at(State.CLOSING) & runs.next_at(State.STILL)
    return runs.grasp & empty & ~runs.at(State.HOLD) & ~waits & ~runs.along_after


def _gives_up(runs: StateRuns) -> Bools:
    """Fingers that rest on nothing, and nothing moves along with them."""
    return _closed_on_nothing(runs) & ~runs.along_after


def _closed_on_nothing(runs: StateRuns) -> Bools:
    return runs.grasp & runs.at(State.STILL) & ~runs.after(runs.holding, False)


def _opens_at_once(runs: StateRuns) -> Bools:
    """A grasp that opens again without any way."""
    opens = runs.grasp & runs.at(State.HOLD) & runs.next_at(State.OPENING)
    if runs.features.gripping is None and runs.features.object_position is None:
        opens = opens & below("s of hold", runs.seconds, runs.settings.at_once_s)
    return opens


def _loses(runs: StateRuns) -> Bools:
    """A load that is gone, with no finger moved."""
    return runs.holding & runs.loaded & runs.next_at(State.FREE, State.STILL)


FAILURE_RULES = RuleList(
    "failed attempt",
    "In which runs an attempt fails",
    ANY,
    (
        Rule("failed", _anomaly),
        Rule("failed", _nothing_held),
        Rule("failed", _gives_up),
        Rule("failed", _opens_at_once),
        Rule("failed", _loses),
    ),
)


def _given_up(runs: StateRuns, label: Int64s) -> Int64s:
    """Fingers that closed on nothing are known to soon after; what comes then is no grasp any more."""
    since = np.arange(len(label)) - runs.spread(runs.start)
    known = runs.spread(runs.frames(runs.settings.given_up_s))
    return np.where(runs.spread(_closed_on_nothing(runs)) & (since >= known), 0, label)


def _comes_to_its_place(runs: StateRuns, label: Int64s) -> Int64s:
    """The last way down of a load before the fingers open is its place."""
    carried = among(label, [CODE[name] for name in ("lift", "transport", "idle")])
    return np.where(runs.descent & carried, CODE["place"], label)


def _until_rest(runs: StateRuns, label: Int64s) -> Int64s:
    """A place lasts until what was let go lies still."""
    features, states, ragged = runs.features, runs.states, runs.ragged
    together = features.together
    if together is None:
        return label
    here = np.arange(len(label))
    placed = label == CODE["place"]
    since = last_where(placed, ragged.first)
    at = np.flatnonzero((since >= 0) & (label == 0))
    at = at[states.load[since[at]] >= 0]
    own = states.load[since[at]]
    by_itself = features.objects_moving[at, own] & ~together[at, own]
    at, own = at[by_itself], own[by_itself]
    stirs = np.zeros(len(label), np.bool_)
    stirs[at] = features.object_speed(at, own) > runs.settings.stirs_share * features.still_below[at]
    span = ragged.frames(runs.settings.rest_s).take(ragged.episode)
    waits = (label == 0) & (states.code == State.STILL)
    places = runs_of(placed | ((stirs | waits) & (since >= 0) & (here - since <= span)), ragged)
    until = places.spread(places.last_in(placed | stirs))
    return np.where(places.spread(placed[places.start]) & (here <= until), CODE["place"], label)


def _not_yet_up(runs: StateRuns, grasp: Bools) -> Bools:
    """Runs between a grasp and the lift in which the load is pressed, tugged or shifted, but stays, shape (r,)."""
    position, states = runs.features.position, runs.states
    if position is None:
        return np.zeros(len(runs), np.bool_)
    tugged = runs.at(State.PRESS, State.STUCK, State.WIGGLE, State.SIDE, State.HOLD) & ~states.flown[runs.stop - 1]
    taken, up = runs.previous(~tugged), runs.next(~tugged)
    carried = runs.at(State.RISE, State.SIDE, State.DOWN)
    found = tugged & (up > runs.here) & pick(taken, grasp, False) & carried[np.maximum(up, 0)]
    most = len(position) - 1
    begin, end = (np.minimum(each, most) for each in (runs.stop[np.maximum(taken, 0)], runs.start[np.maximum(up, 0)]))
    return found & (squares(position[end] - position[begin]) < runs.settings.sunk_m**2)


def _preshape(runs: StateRuns) -> Bools:
    """Fingers that close on the way, not all the way, and on nothing: they prepare for a grasp."""
    features, settings, loaded = runs.features, runs.settings, runs.states.loaded
    if features.width is None:
        return np.zeros(len(runs), np.bool_)
    here, end = runs.here, runs.end
    moving = runs.count(features.moving) > settings.on_the_way * runs.length
    open_still = features.width[end] > features.width_closed[end] + settings.open_share * features.width_range[end]
    # or they make the fist that pushes next
    touch = runs.next(runs.at(State.PRESS, State.STROKE) & ~runs.loaded)
    other = runs.next(runs.at(State.CLOSING, State.OPENING))
    empty = runs.next(runs.loaded)
    fist = (touch > here) & ((other < 0) | (touch < other)) & ((empty < 0) | (touch < empty))
    # or close further later, without having opened
    goes_on = (other > here) & (runs.kind[np.maximum(other, 0)] == State.CLOSING)
    # fingers that open again have tried to take something, and are wide open for the next try
    opens = (other == here + 1) & (runs.kind[np.maximum(other, 0)] == State.OPENING)
    far = _out_of_reach(features, end, settings)
    if features.object_position is None:
        # a hand that has put down what it had, and closes on its way and on nothing, goes home with a fist
        put_down = runs.at(State.OPENING) & loaded[np.maximum(runs.start - 1, 0)] & (here > runs.first)
        far = far | (moving & (runs.previous(put_down) >= 0) & (runs.next(runs.at(State.CLOSING)) < 0))
    past = _closed_in_passing(runs, moving)
    ready: Bools = (open_still & ((moving & ~opens) | goes_on)) | fist | far | past
    return ready & ~loaded[end]


def _closed_in_passing(runs: StateRuns, moving: Bools) -> Bools:
    """Runs over which the hand goes a long way, and at whose end it is still fast: it took aim at nothing, shape (r,).

    A hand that means to take something slows down to it, however fast it came.
    """
    speed, position = runs.features.speed, runs.features.position
    still_fast = speed[runs.stop - 1] > runs.settings.passing_share * runs.largest(speed)
    if position is None:
        # where the hand is not tracked, joints that never rest
        return still_fast & moving
    return still_fast & (lengths(position[runs.stop - 1] - position[runs.start]) > runs.settings.reach_m / 2)


def _out_of_reach(features: Features, at: Int64s, settings: LabelSettings) -> Bools:
    """Frames at which every object that was ever seen is far from the hand."""
    if features.object_position is None or features.position is None:
        return np.zeros(len(at), np.bool_)
    reach = features.load_away[at] + settings.reach_m
    near = squares(features.object_position[at] - features.position[at][:, None]) < (reach * reach)[:, None]
    known = features.last_seen[at] >= 0
    return np.asarray(known.any(axis=1) & ~(near & known).any(axis=1))


def _final_descent(features: Features, states: States, settings: LabelSettings) -> Bools:
    """Frames of the last way down of a load before the fingers open, up to their opening, shape (T,)."""
    ragged, position = features.ragged, features.position
    opens = next_where(states.code == State.OPENING, ragged.last)
    lost = next_where(~states.loaded & (states.code != State.OPENING), ragged.last)
    under_way = states.loaded & (opens >= 0) & ((lost < 0) | (lost > opens))
    if position is None:
        # where no vertical is known, the movement that the hand leaves back along is the descent
        begun = last_where(states.code == State.DOWN, ragged.first)
        carried_on = last_where(among(states.code, (State.RISE, State.SIDE)), ragged.first)
        return under_way & (begun > carried_on)
    drop = position[:, 2] - position[np.maximum(opens, 0), 2]
    steep = -features.velocity[:, 2] > np.maximum(features.sideways, settings.sinking_share * features.still_below)
    # the last stretch sideways ends where the final descent begins
    level = under_way & features.moving & ~steep
    runs = runs_of(level, ragged)
    step = position[runs.stop - 1, :2] - position[runs.start, :2]
    aside = level[runs.start] & (np.hypot(step[:, 0], step[:, 1]) > settings.aside_m)
    # what is shifted where it is let go has come down already
    aside &= runs.largest(drop) > settings.sinks_m
    next_aside = next_where(runs.spread(aside), ragged.last)
    late = under_way & ((next_aside < 0) | (next_aside > opens))
    runs = runs_of(late, ragged)
    first_sink = runs.spread(runs.first_in(late & steep & (drop > settings.sinks_m)))
    return late & (np.arange(len(late)) >= first_sink)
