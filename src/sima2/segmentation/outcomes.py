"""Labelled spans → which object, how it ended, and why, by an ordered list of rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.rollout import RolloutBatch
from sima2.records.vocabulary import LABELS, OUTCOMES, REASONS
from sima2.segmentation.columns import Columns
from sima2.segmentation.features import Features
from sima2.segmentation.labels import CODE, LabelRuns, named
from sima2.segmentation.rules import LAST, Rule, RuleList, above, below
from sima2.segmentation.signals import among, last_where, lengths, next_where, pick, runs_of, squares
from sima2.segmentation.states import State, States

OUTCOME = {name: code for code, name in enumerate(OUTCOMES)}
REASON = {name: code for code, name in enumerate(REASONS)}
ACTIONS = np.array([name not in ("unknown", "idle", "collision", "slip", "recovery_maneuver") for name in LABELS])
HANDLED: Final = ("grasp", "push", "pull", "wipe", "place", "release")
"""What is done to a thing with the hand on it."""


@dataclass(frozen=True, slots=True)
class OutcomeSettings:
    """Distances that decide outcomes, each with its reason."""

    fell_m: float = 0.03
    """A load that came down by more has fallen; less is a slip between the fingers."""
    falls_s: float = 0.6
    """A load let go on the way down has fallen for good by then."""
    late_s: float = 0.2
    """Poses of a load come late by up to so much, so that one on its way down seems to come down on its own."""
    locked_m: float = 0.012
    """Displacement under force below which what is pulled did not give way."""
    came_m: float = 0.05
    """What is pulled and has come so far was not locked."""
    eased_share: float = 0.55
    """Pressing force that falls below that share of what it was no longer does what it did."""
    same_area: float = 0.3
    """Shared part of two wiped areas above which the second is done over the first."""
    settle_s: float = 1.0
    """A placed object is watched so long after it was let go."""
    stirs_m: float = 0.005
    """What has been pushed has moved by more."""
    on_the_way: float = 0.7
    """A hand that moves for more than that share of a closing closes on its way."""
    put_right_m: float = 0.1
    """What is put down again closer than that has been put right."""
    moved_m: float = 0.02
    """A placed object that wanders farther was not stable."""
    noises: float = 5.0
    """Places that differ by more than so many deviations of a pose's noise are not the same."""
    soon_s: float = 0.5
    """A load that slips out of the fingers has come down by then: 1.2 m at g."""
    lasts_share: int = 4
    """A fall is seen in one of so many frames at least: a single late or noisy pose is none."""


@dataclass(frozen=True, eq=False)
class Spans(Columns):
    """Segments of one arm before they become a table, shape (s,) each."""

    start: Int64s
    stop: Int64s
    label: Int64s
    episode: Int64s
    slot: Int64s
    outcome: Int64s
    reason: Int64s

    def put(self, episodes: Int64s, other: Spans, offset: Int64s) -> Spans:
        """With the segments that some episodes, alone, have in another view, instead of theirs.

        ``offset`` tells where all the episodes begin here, shape (n + 1,).
        """
        length = np.diff(offset)[episodes]
        shift = (offset[episodes] - (np.cumsum(length) - length))[other.episode]
        moved = replace(other, start=other.start + shift, stop=other.stop + shift, episode=episodes[other.episode])
        kept = self.take(np.flatnonzero(~np.isin(self.episode, episodes)))
        both = Spans.concat([kept, moved])
        return both.take(np.argsort(both.start, kind="stable"))


def judge(
    batch: RolloutBatch,
    features: Features,
    states: States,
    label: Int64s,
    failed: Bools,
    settings: OutcomeSettings,
    edge: Bools | None = None,
    in_vain: Bools | None = None,
) -> Spans:
    """Cut the labels into segments and judge each from what happened in it and right after.

    At an ``edge`` a segment begins though the one before has the same label; ``in_vain`` are frames of looks after
    which nothing was seen.
    """
    runs = runs_of(label, features.ragged, edge)
    slot, reason = np.full(len(runs), -1, np.int64), np.zeros(len(runs), np.int64)
    outcome = np.full(len(runs), OUTCOME["success"], np.int64)
    unseen = outcome < 0 if in_vain is None else runs.any(in_vain)
    seen = batch, features, states, settings, runs.any(failed), unseen
    segments = Segments(runs.ragged, runs.start, runs.stop, label, *seen, slot, outcome, reason)
    segments.name_objects()
    segments.end()
    return Spans(runs.start, runs.stop, runs.kind, runs.episode, slot, outcome, reason)


class Ending(NamedTuple):
    """What a rule says of the end of a segment."""

    outcome: str
    reason: str | None = None
    """None keeps that of an earlier rule."""
    over: tuple[str, ...] = OUTCOMES
    """Outcomes so far that it overrules."""

    @property
    def overruled(self) -> list[int]:
        """Codes of those outcomes."""
        return [OUTCOME[name] for name in self.over]

    def __str__(self) -> str:
        return f"{self.outcome} ({self.reason})" if self.reason else self.outcome


def _fails(reason: str) -> Ending:
    """A failure, for the reason of the first rule that says so."""
    return Ending("failure", reason, ("unknown", "success", "retry"))


OPEN: Final = Ending("unknown", None, ("success",))
"""What seems to have succeeded is left open."""


@dataclass(frozen=True, eq=False)
class Segments(LabelRuns):
    """Segments of one arm, and what speaks for how each ended; shape (s,) each."""

    batch: RolloutBatch
    features: Features
    states: States
    settings: OutcomeSettings
    failed: Bools
    """An attempt has failed within it."""
    unseen: Bools
    """A look after which nothing was seen."""
    slot: Int64s
    """Object that it is about, -1 where none is known."""
    outcome: Int64s
    """As the rules asked so far say."""
    reason: Int64s

    def end(self) -> None:
        """Let the rules fill in outcomes and reasons."""
        for rule, holds in OUTCOME_RULES.asked(self, may=lambda ending: among(self.outcome, ending.overruled)):
            self.outcome[holds] = OUTCOME[rule.says.outcome]
            if rule.says.reason is not None:
                self.reason[holds] = REASON[rule.says.reason]

    @property
    def blank(self) -> Bools:
        """None of them."""
        return np.zeros(len(self), np.bool_)

    @property
    def following(self) -> Bools:
        """Another comes after it."""
        return self.here < self.last

    @cached_property
    def next_kind(self) -> Int64s:
        """Label of the one after it, -1 where none comes."""
        return self.after(self.kind, -1)

    @property
    def next_frame(self) -> Int64s:
        """The frame after it, or the last one of all."""
        return np.minimum(self.stop, len(self.states.code) - 1)

    @cached_property
    def acting(self) -> Bools:
        """Something is meant by it."""
        return np.asarray(ACTIONS[self.kind])

    @property
    def fingers_alone(self) -> bool:
        """Fingers alone show whether they closed on something, but not whether it stayed or where it went."""
        return self.features.gripping is None and self.features.object_position is None

    @cached_property
    def fell(self) -> Bools:
        """The load came down by itself within or right after it."""
        place = self.features.object_position
        if place is None:
            return self.blank
        ahead = self.ragged.ahead(self.stop - 1, self.settings.soon_s)
        load = self.states.load[self.start]
        own, height = np.maximum(load, 0), place[:, :, 2]
        down = above("m that the load came down", height[self.start, own] - height[ahead, own], self.settings.fell_m)
        return (load >= 0) & down & ~self.states.loaded[ahead]

    @cached_property
    def blocked(self) -> Bools:
        """A load on its way down was stopped."""
        return self.any(self.states.code == State.BLOCKED)

    @cached_property
    def kept(self) -> Bools:
        """Something is in the hand at its end."""
        return self.states.loaded[self.stop - 1] | (self.states.loaded[self.next_frame] & self.following)

    @cached_property
    def passing(self) -> Bools:
        """A hand that closes on its way: whether it means to take anything nothing tells, unless it tries again."""
        if self.features.object_position is not None or self.fingers_alone:
            return self.blank
        moving = self.count(self.features.moving)
        way = above("frames of motion", moving, self.settings.on_the_way * self.length)
        next_try = self.next(self.at("grasp"))
        done = self.next(self.at("grasp", "idle", "push", "pull", "place"))
        tries_again: Bools = (next_try >= 0) & (next_try == done)
        return self.at("grasp") & self.takes_in_vain & ~self.kept & way & ~tries_again

    @property
    def takes_in_vain(self) -> Bools:
        """An attempt has failed within it, as far as what was recorded can tell."""
        return self.failed & self.at("grasp", "pull") if self.fingers_alone else self.failed

    @cached_property
    def taken_next(self) -> Bools:
        """The hand next takes hold of the thing that it was about."""
        following = self.next(self.at(*HANDLED))
        same: Bools = pick(following, self.slot, -2) == self.slot
        return pick(following, self.at("grasp"), False) & same & (self.slot >= 0)

    @cached_property
    def last_action(self) -> Bools:
        """No action comes after it."""
        return self.next(self.acting & ~self.at("retreat")) < 0

    @cached_property
    def moved(self) -> Bools:
        """A push under which something that is seen has moved."""
        moved, place = self.blank, self.features.object_position
        if place is not None:
            noise = self.settings.noises * self.features.object_noise[self.episode]
            for k in np.flatnonzero(self.at("push")).tolist():
                way = np.ptp(place[self.start[k] : self.stop[k]], axis=0).max(axis=1)
                moved[k] = bool((way > self.settings.stirs_m + noise[k]).any())
        return moved

    @property
    def pushed_in_vain(self) -> Bools:
        """A push under which nothing that is seen has moved."""
        return self.blank if self.features.object_position is None else self.at("push") & ~self.moved

    @cached_property
    def force(self) -> Float64s:
        """Mean external force of a hand that is tracked, N; NaN without a sensor."""
        contact = self.features.contact
        if contact is None or self.features.position is None:
            return np.full(len(self), np.nan)
        return self.ragged.mean(contact, self.start, self.stop - 1)

    @cached_property
    def next_wipe(self) -> Int64s:
        """The next strokes, if they are over the same place and the tool has not been put down before; else -1."""
        position, wipe = self.features.position, self.at("wipe")
        if position is None or not wipe.any():
            return np.full(len(self), -1, np.int64)
        later, put = self.next(wipe), next_where(self.at("place"), self.last)
        after = np.maximum(later, 0)
        low, high = self.least(position[:, :2]), self.largest(position[:, :2])
        shared = np.prod(np.maximum(np.minimum(high, high[after]) - np.maximum(low, low[after]), 0.0), axis=1)
        area = np.minimum(np.prod(high - low, axis=1), np.prod(high[after] - low[after], axis=1))
        same = above("m² wiped twice", shared, self.settings.same_area * area)
        return np.where(wipe & (later >= 0) & ((put < self.here) | (put > later)) & same, later, -1)

    @cached_property
    def put_down(self) -> Bools:
        """What it was about has been let go, or pushed."""
        return self.at("place", "release", "push") & (self.slot >= 0) & (self.features.object_position is not None)

    @property
    def settled(self) -> Int64s:
        """Frame at which what was put down lies still."""
        return self.ragged.ahead(self.stop - 1, self.settings.settle_s)

    def name_objects(self) -> None:
        """Fill in which object each is about."""
        place, states, slot = self.features.object_position, self.states, self.slot
        if place is None:
            return
        middle, end = (self.start + self.stop) // 2, self.stop - 1

        def put(which: Bools, slots: Int64s) -> None:
            slot[which] = slots[which]

        put(self.at("lift", "transport", "place", "wipe", "slip"), states.load[middle])
        # place, release and slip end with empty fingers: what they held at the start
        put(self.at("place", "release", "slip", "pull"), states.load[self.start])
        body = states.moved_with[middle]
        put(self.at("pull") & (body >= 0), body)
        if self.features.position is not None:
            distance = lengths(place[end] - self.features.position[end][:, None])
            slots = np.array([len(names) for names in self.batch.objects])[self.episode]
            distance[~self.features.object_seen[end] | (np.arange(distance.shape[1]) >= slots[:, None])] = np.inf
            nearest = _nearest(distance)
            put(self.at("approach", "push"), nearest)
            taken = np.where(states.loaded[end], states.load[end], -1)
            put(self.at("grasp"), np.where(taken >= 0, taken, nearest))
            # what was run into: the nearest thing that is not in the hand
            if distance.shape[1] > 1:
                own = np.where(states.loaded[self.start], states.load[self.start], -1)
                held = np.flatnonzero(own >= 0)
                distance[held, own[held]] = np.inf
                put(self.at("collision"), _nearest(distance))
        about = self.acting & ~self.at("approach", "retreat") & (slot >= 0)
        following, earlier = next_where(about, self.last), last_where(about, self.first)
        put(self.at("approach") & (following >= 0), slot[following])
        back = self.at("retreat", "recovery_maneuver", "release") & (slot < 0) & (earlier >= 0)
        put(back, slot[earlier])
        put(self.at("recovery_maneuver") & (slot < 0) & (following >= 0), slot[following])


def _nearest(distance: Float64s) -> Int64s:
    """Slot of the nearest object, -1 where none is known."""
    return np.where(np.isfinite(distance).any(axis=1), np.argmin(distance, axis=1), -1)


def _slipped_and_fell(each: Segments) -> Bools:
    """What slips and comes down by itself has been dropped."""
    return each.at("slip") & each.fell


def _slipped(each: Segments) -> Bools:
    """A slip is a failure of the grip."""
    return each.at("slip")


def _stopped_on_the_way_down(each: Segments) -> Bools:
    """Something is in the way of a load on its way down."""
    return each.at("collision") & each.blocked


def _collided(each: Segments) -> Bools:
    """A touch that was not meant."""
    return each.at("collision")


def _lost_by_a_fall(each: Segments) -> Bools:
    """A slip ends it, and the load falls."""
    return each.acting & ~each.at("grasp") & named(each.next_kind, "slip") & each.after(each.fell, False)


def _lost_by_a_slip(each: Segments) -> Bools:
    """A slip ends it."""
    return each.acting & named(each.next_kind, "slip")


def _ended_by_an_obstacle(each: Segments) -> Bools:
    """Something in the way of its load ends it."""
    return each.acting & named(each.next_kind, "collision") & each.after(each.blocked, False)


def _ended_by_a_collision(each: Segments) -> Bools:
    """A touch that was not meant ends it."""
    return each.acting & named(each.next_kind, "collision")


def _fingers_do_not_tell(each: Segments) -> Bools:
    """Fingers alone do not tell what became of what they closed on."""
    carried = each.at("lift", "transport", "place", "release", "wipe", "push")
    return carried if each.fingers_alone else each.blank


def _closes_in_passing(each: Segments) -> Bools:
    """A hand that closes on its way may not have meant to take anything."""
    return each.passing


def _missed(each: Segments) -> Bools:
    """The fingers closed, and nothing is in the hand."""
    return each.at("grasp") & each.takes_in_vain & ~each.kept & ~each.passing


def _lost_at_once(each: Segments) -> Bools:
    """Let go or lost before anything was done with it."""
    after = each.states.code[each.next_frame]
    freed = among(after, (State.FREE, State.STILL, State.OPENING)) & each.following
    return each.blank if each.fingers_alone else each.at("grasp") & each.failed & freed & ~each.passing


def _held_fast(each: Segments) -> Bools:
    """What is pulled has not come along, or only some way before it stuck."""
    position, settings = each.features.position, each.settings
    if position is None:
        return each.blank
    way = lengths(position[each.stop - 1] - position[each.start])
    stuck = each.states.code == State.STUCK
    ends_stuck: Bools = stuck[each.stop - 1] | (each.count(stuck) * 2 > each.length)
    # what came some way and then came no farther may have come to its end
    stops_soon = ends_stuck & below("m that it came", way, settings.came_m)
    return each.at("pull") & (below("m that it came", way, settings.locked_m) | stops_soon)


def _wiped_weakly(each: Segments) -> Bools:
    """Strokes press less than a share of what the robot presses with as a rule, or of what it then does again with."""
    share, force = each.settings.eased_share, each.force
    weak = below("N of force", force, share * each.features.press_force[each.start])
    weak |= (each.next_wipe >= 0) & below("N of force", force, share * force[np.maximum(each.next_wipe, 0)])
    return each.at("wipe") & weak


def _lost_the_tool(each: Segments) -> Bools:
    """What is wiped with is lost."""
    return each.at("wipe") & each.takes_in_vain


def _wiped_again(each: Segments) -> Bools:
    """Strokes over a place that is wiped again before the tool is put down have not done."""
    return each.next_wipe >= 0


def _not_put_down(each: Segments) -> Bools:
    """Something kept the load from its place: it was not let go, and is carried on."""
    on = named(each.next_kind, "lift", "transport", "recovery_maneuver")
    return each.at("place") & each.takes_in_vain & each.states.loaded[each.stop - 1] & on


def _dropped(each: Segments) -> Bools:
    """A load that was lost on its way, and falls."""
    return each.at("lift", "transport", "place", "pull") & each.takes_in_vain & each.fell


def _lost(each: Segments) -> Bools:
    """A load that was lost on its way."""
    return each.at("lift", "transport", "place", "pull") & each.takes_in_vain


def _let_fall_and_taken_again(each: Segments) -> Bools:
    """What is let go falls, and the hand takes it again."""
    return each.at("release") & each.fell & each.taken_next


def _let_go_high(each: Segments) -> Bools:
    """Fingers that open in mid-air, from where the load comes down by itself, and that next take it again.

    Where the hand is not tracked, of every way to let go; else of those on the way down, which may be meant to end so.
    """
    features, ragged, found = each.features, each.ragged, each.blank
    if features.object_position is None:
        return found
    opens = each.first_in(each.states.code == State.OPENING)
    if features.position is not None:
        own, again = each.states.load[each.start], each.taken_next
        let_go = each.at("place")
    else:
        thing = _travelling(features, each.states, each.settings)
        own = thing[np.maximum(np.minimum(opens, each.stop - 1) - 1, ragged.first[each.start])]
        taken = next_where(thing >= 0, ragged.last)[each.stop - 1]
        again = (taken >= each.stop) & (thing[np.maximum(taken, 0)] == own)
        let_go = each.at("place", "release")
    before = np.maximum(opens - 1, ragged.first[each.start])
    for k in np.flatnonzero(let_go & again & (opens < each.stop) & (own >= 0)).tolist():
        found[k] = _falls(features, int(before[k]), int(own[k]), each.settings)
    return found


def _pushed_too_weakly(each: Segments) -> Bools:
    """A push in vain, after which another one close by moves something."""
    position = each.features.position
    later = np.maximum(each.next(each.at("push", "grasp", "pull", "wipe", "place")), 0)
    step = np.zeros((1, 3)) if position is None else position[each.start[later]] - position[each.start]
    near = squares(step) < each.settings.put_right_m**2
    return each.pushed_in_vain & (later > 0) & each.moved[later] & near


def _pushed_in_vain(each: Segments) -> Bools:
    """Nothing that is seen has moved under the push: whether anything should have nothing tells."""
    return each.pushed_in_vain


def _wanders(each: Segments) -> Bools:
    """What was placed does not stay where it was let go."""
    features, own, place = each.features, each.slot, each.features.object_position
    if place is None or not each.put_down.any():
        return each.blank
    # a hand may hide what it holds: where that lies is known once it is seen again
    shown = features.next_seen[each.stop - 1, own]
    wander = lengths(place[each.settled, own] - place[np.maximum(shown, 0), own])
    wander[(shown < 0) | (shown > each.settled)] = 0.0
    slack = each.settings.moved_m + each.settings.noises * features.object_noise[each.episode, own]
    # what is still in the hand has not been let go
    held = each.after(each.at("wipe", "transport", "lift", "pull"), False)
    return each.put_down & each.at("place") & above("m that it wandered", wander, slack) & ~held


def _misplaced(each: Segments) -> Bools:
    """What was put down lies farther from its goal than the goal's tolerance."""
    place, off = each.features.object_position, each.blank
    if place is None:
        return off
    blocked = each.at("collision") | (each.at("place") & (each.reason == REASON["obstructed"]))
    # put aside from a way found blocked is for the time being, and that failure is known already
    aside = last_where(blocked, each.first) > last_where(each.at("grasp"), each.first)
    for row in np.flatnonzero(each.put_down & (each.outcome == OUTCOME["success"]) & ~aside).tolist():
        goal, names = each.batch.episodes.goal[each.episode[row]], each.batch.objects[each.episode[row]]
        own, ahead = each.slot[row], slice(row + 1, each.last[row] + 1)
        if goal is None or goal.object not in names or goal.tolerance <= 0 or names.index(goal.object) != own:
            continue
        if not goal.relation.startswith("placed") or (goal.place is None and goal.target not in names):
            continue
        if each.kind[row] == CODE["push"] and (each.at("grasp")[ahead] & (each.slot[ahead] == own)).any():
            continue  # only nudged on the way to take it
        at = each.settled[row]
        target = np.array(goal.place) if goal.place else place[at, names.index(goal.target)]
        off[row] = bool(np.hypot(*(place[at, own, :2] - target[:2])) > goal.tolerance)
    return off


def _put_right(each: Segments) -> Bools:
    """What was put down is taken up at once, and put down close by: that corrects it."""
    place, own = each.features.object_position, each.slot
    if place is None or not each.put_down.any():
        return each.blank
    grasp, put_down = each.at("grasp"), each.at("place")
    taken = next_where(each.at(*HANDLED), each.last)[np.minimum(each.here + 1, each.last)]
    again = next_where(put_down, each.last)[np.minimum(np.maximum(taken, each.here) + 1, each.last)]
    at, took = np.maximum(again, 0), np.maximum(taken, 0)
    found: Bools = put_down & each.put_down & (taken > each.here) & (again > taken) & (own[at] == own)
    found &= grasp[took] & (own[took] == own)
    put, right = (each.features.next_seen[each.stop[which] - 1, own] for which in (each.here, at))
    found &= (put >= 0) & (put < each.stop[took]) & (right >= 0)
    apart = squares(place[right, own] - place[put, own])
    return found & (apart < each.settings.put_right_m**2)


def _without_a_name(each: Segments) -> Bools:
    """How it ended is not known of what it is not known what it is."""
    return each.at("unknown")


def _corrects_into_nothing(each: Segments) -> Bools:
    """A recovery after which nothing comes."""
    return each.at("recovery_maneuver") & ~each.following


def _approaches_nothing(each: Segments) -> Bools:
    """The hand comes to nothing before the end."""
    return each.at("approach") & ~each.following & (each.slot < 0)


def _arrives_nowhere(each: Segments) -> Bools:
    """A load that is carried and then only held has arrived nowhere."""
    return each.at("transport") & each.last_action


def _falls_after_release(each: Segments) -> Bools:
    """Let go above where it then fell to: into a bin, or lost."""
    return each.at("release") & each.fell


def _taken_by_assumption(each: Segments) -> Bools:
    """The fingers are closed, and nothing tells whether something is between them."""
    unsure = (each.states.unsure[each.next_frame] & each.following) | each.states.unsure[each.stop - 1]
    return each.at("grasp", "pull") & unsure


def _nothing_done_after(each: Segments) -> Bools:
    """Fingers that closed and with which nothing was done after may have closed on nothing."""
    if not each.fingers_alone:
        return each.blank
    empty = ~each.blank if each.features.blocked is None else ~each.any(each.features.blocked)
    return each.at("grasp") & each.last_action & empty


def _sees_nothing(each: Segments) -> Bools:
    """A look after which what was looked for was not seen."""
    return each.at("approach") & each.unseen


def _tried_again(each: Segments) -> Bools:
    """A failed attempt is followed by another at the same (action, object) of the episode."""
    key = (each.episode * (len(LABELS) + 1) + each.kind) * 1024 + (each.slot + 1)
    order = np.argsort(key, kind="stable")
    repeated = each.blank
    repeated[order[:-1]] = key[order[:-1]] == key[order[1:]]
    return repeated & each.acting


OUTCOME_RULES = RuleList(
    "outcome",
    "How a segment ended",
    LAST,
    (
        Rule(_fails("drop"), _slipped_and_fell),
        Rule(_fails("gripper_slip"), _slipped),
        Rule(_fails("obstructed"), _stopped_on_the_way_down),
        Rule(_fails("collision"), _collided),
        Rule(_fails("drop"), _lost_by_a_fall),
        Rule(_fails("gripper_slip"), _lost_by_a_slip),
        Rule(_fails("obstructed"), _ended_by_an_obstacle),
        Rule(_fails("collision"), _ended_by_a_collision),
        Rule(OPEN, _fingers_do_not_tell),
        Rule(Ending("unknown"), _closes_in_passing),
        Rule(_fails("missed_grasp"), _missed),
        Rule(_fails("gripper_slip"), _lost_at_once),
        Rule(_fails("locked"), _held_fast),
        Rule(_fails("insufficient_force"), _wiped_weakly),
        Rule(_fails("gripper_slip"), _lost_the_tool),
        Rule(_fails("incomplete"), _wiped_again),
        Rule(_fails("obstructed"), _not_put_down),
        Rule(_fails("drop"), _dropped),
        Rule(_fails("gripper_slip"), _lost),
        Rule(_fails("drop"), _let_fall_and_taken_again),
        Rule(_fails("drop"), _let_go_high),
        Rule(_fails("insufficient_force"), _pushed_too_weakly),
        Rule(OPEN, _pushed_in_vain),
        Rule(Ending("failure", "unstable", ("success",)), _wanders),
        Rule(Ending("failure", "misplaced", ("success",)), _misplaced),
        Rule(Ending("failure", "misplaced", ("success",)), _put_right),
        Rule(Ending("unknown"), _without_a_name),
        Rule(OPEN, _corrects_into_nothing),
        Rule(OPEN, _approaches_nothing),
        Rule(OPEN, _arrives_nowhere),
        Rule(OPEN, _falls_after_release),
        Rule(OPEN, _taken_by_assumption),
        Rule(OPEN, _nothing_done_after),
        Rule(Ending("failure", "timeout"), _sees_nothing),
        Rule(Ending("retry", None, ("failure",)), _tried_again),
    ),
)
"""Each overrules only the outcomes that it names."""


def _falls(features: Features, at: int, own: int, settings: OutcomeSettings) -> bool:
    """From a frame on the load comes down farther than the hand does, and than late poses make of its way so far."""
    ragged, place = features.ragged, features.object_position
    if place is None:
        return False
    episode = ragged.episode[at]
    reach, late = (int(ragged.frames(seconds)[episode]) for seconds in (settings.falls_s, settings.late_s))
    end, before = min(at + reach, int(ragged.last[at])) + 1, max(at - late, int(ragged.first[at]))
    fall = place[at, own, 2] - place[at:end, own, 2]
    hand = place[:, own, 2] if features.position is None else features.position[:, 2]
    if features.position is not None:
        fall = fall - np.maximum(hand[at] - hand[at:end], 0.0)
    slack = max(settings.fell_m, settings.stirs_m + max(float(hand[before] - hand[at]), 0.0))
    slack += settings.noises * float(features.object_noise[episode, own])
    return bool((fall > slack).sum() >= max(2, (end - at) // settings.lasts_share))


def _travelling(features: Features, states: States, settings: OutcomeSettings) -> Int64s:
    """Slot of what went farthest while the fingers held something, -1 where nothing went anywhere, shape (T,)."""
    place = features.object_position
    if place is None:
        return np.full(len(states.code), -1, np.int64)
    runs = runs_of(states.loaded, features.ragged)
    way = lengths(place[runs.stop - 1] - place[runs.start])
    way = np.where(np.isfinite(way), way, 0.0)
    far = states.loaded[runs.start] & (way.max(axis=1) > settings.fell_m)
    return runs.spread(np.where(far, way.argmax(axis=1), -1))
