"""Labelled spans → which object, how it ended, and why."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from sima2.records.arrays import Bools, Int64s
from sima2.records.rollout import RolloutBatch
from sima2.records.vocabulary import LABELS, OUTCOMES, REASONS
from sima2.segmentation.features import Features
from sima2.segmentation.labels import CODE
from sima2.segmentation.signals import among, last_where, next_where, per_run, runs_of
from sima2.segmentation.states import State, States

OUTCOME = {name: code for code, name in enumerate(OUTCOMES)}
REASON = {name: code for code, name in enumerate(REASONS)}
ACTIONS = np.array([name not in ("unknown", "idle", "collision", "slip", "recovery_maneuver") for name in LABELS])


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


@dataclass(frozen=True, eq=False)
class Spans:
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
        kept = np.flatnonzero(~np.isin(self.episode, episodes))
        columns = {
            each.name: np.concatenate([getattr(self, each.name)[kept], getattr(moved, each.name)])
            for each in fields(self)
        }
        order = np.argsort(columns["start"], kind="stable")
        return Spans(**{name: column[order] for name, column in columns.items()})


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
    start, stop = runs_of(label, features.ragged, edge)
    kind = label[start]
    episode = features.ragged.episode[start]
    first = np.searchsorted(episode, episode)
    last = np.searchsorted(episode, episode, side="right") - 1
    slot = _objects(batch, features, states, kind, start, stop, first, last)
    outcome, reason = _outcomes(batch, features, states, kind, start, stop, slot, failed, first, last, settings)
    if in_vain is not None and len(kind):
        blind = _is(kind, "approach") & per_run(np.logical_or, in_vain, start)
        outcome[blind], reason[blind] = OUTCOME["failure"], REASON["timeout"]
    outcome = _retries(kind, slot, outcome, episode, last)
    return Spans(start, stop, kind, episode, slot, outcome, reason)


def _is(kind: Int64s, *names: str) -> Bools:
    return among(kind, [CODE[name] for name in names])


def _objects(
    batch: RolloutBatch,
    features: Features,
    states: States,
    kind: Int64s,
    start: Int64s,
    stop: Int64s,
    first: Int64s,
    last: Int64s,
) -> Int64s:
    """Slot of the object that each segment is about."""
    slot = np.full(len(kind), -1, np.int64)
    if features.object_position is None or not len(kind):
        return slot
    middle = (start + stop) // 2
    held = _is(kind, "lift", "transport", "place", "wipe", "slip")
    slot[held] = states.load[middle][held]
    # place, release and slip end with empty fingers: what they held at the start
    early = _is(kind, "place", "release", "slip", "pull")
    slot[early] = states.load[start][early]
    pull = _is(kind, "pull")
    body = states.moved_with[middle]
    slot[pull & (body >= 0)] = body[pull & (body >= 0)]
    if features.position is not None and features.object_seen is not None:
        end = stop - 1
        apart = features.object_position[end] - features.position[end][:, None]
        distance = np.sqrt((apart * apart).sum(axis=2))
        distance[~features.object_seen[end]] = np.inf
        slots = np.array([len(names) for names in batch.objects])[features.ragged.episode[start]]
        distance[np.arange(distance.shape[1]) >= slots[:, None]] = np.inf
        nearest = np.where(np.isfinite(distance).any(axis=1), np.argmin(distance, axis=1), -1)
        toward_it = _is(kind, "approach")
        slot[toward_it] = nearest[toward_it]
        grasp = _is(kind, "grasp")
        taken = np.where(states.loaded[end], states.load[end], -1)
        slot[grasp] = np.where(taken >= 0, taken, nearest)[grasp]
        slot[_is(kind, "push")] = nearest[_is(kind, "push")]
        # what was run into: the nearest thing that is not in the hand
        if distance.shape[1] > 1:
            own = np.where(states.loaded[start], states.load[start], -1)
            others = distance.copy()
            held_rows = np.flatnonzero(own >= 0)
            others[held_rows, own[held_rows]] = np.inf
            hit = np.where(np.isfinite(others).any(axis=1), np.argmin(others, axis=1), -1)
            slot[_is(kind, "collision")] = hit[_is(kind, "collision")]
    acting = ACTIONS[kind] & ~_is(kind, "approach", "retreat") & (slot >= 0)
    following = next_where(acting, last)
    earlier = last_where(acting, first)
    toward = _is(kind, "approach")
    slot[toward & (following >= 0)] = slot[following[toward & (following >= 0)]]
    back = _is(kind, "retreat", "recovery_maneuver", "release") & (slot < 0) & (earlier >= 0)
    slot[back] = slot[earlier[back]]
    ahead = _is(kind, "recovery_maneuver") & (slot < 0) & (following >= 0)
    slot[ahead] = slot[following[ahead]]
    return slot


def _outcomes(
    batch: RolloutBatch,
    features: Features,
    states: States,
    kind: Int64s,
    start: Int64s,
    stop: Int64s,
    slot: Int64s,
    failed: Bools,
    first: Int64s,
    last: Int64s,
    settings: OutcomeSettings,
) -> tuple[Int64s, Int64s]:
    n = len(kind)
    here = np.arange(n)
    following = np.where(here < last, here + 1, -1)
    next_kind = np.where(following >= 0, kind[np.maximum(following, 0)], -1)
    outcome = np.full(n, OUTCOME["success"], np.int64)
    reason = np.zeros(n, np.int64)

    def fail(mask: Bools, why: str) -> None:
        fresh = mask & (outcome != OUTCOME["failure"])
        outcome[fresh] = OUTCOME["failure"]
        reason[fresh] = REASON[why]

    fell = _fall(features, states, start, stop, last, settings)
    slip = _is(kind, "slip")
    fail(slip & fell, "drop")
    fail(slip, "gripper_slip")
    blocked = per_run(np.logical_or, states.code == State.BLOCKED, start) if n else np.zeros(0, np.bool_)
    fail(_is(kind, "collision") & blocked, "obstructed")
    fail(_is(kind, "collision"), "collision")
    acting = ACTIONS[kind]
    cut_by_slip = acting & (next_kind == CODE["slip"])
    fell_next = np.where(following >= 0, fell[np.maximum(following, 0)], False)
    fail(cut_by_slip & fell_next & ~_is(kind, "grasp"), "drop")
    fail(cut_by_slip, "gripper_slip")
    blocked_next = np.where(following >= 0, blocked[np.maximum(following, 0)], False)
    fail(acting & (next_kind == CODE["collision"]) & blocked_next, "obstructed")
    fail(acting & (next_kind == CODE["collision"]), "collision")
    flag = per_run(np.logical_or, failed, start) if n else np.zeros(0, np.bool_)
    fingers_alone = features.gripping is None and features.object_position is None
    if fingers_alone:
        # fingers alone show whether they closed on something, but not whether it stayed or where it went
        carried = _is(kind, "lift", "transport", "place", "release", "wipe", "push")
        outcome[carried & (outcome == OUTCOME["success"])] = OUTCOME["unknown"]
        flag &= _is(kind, "grasp", "pull")
    kept = states.loaded[stop - 1] | (states.loaded[np.minimum(stop, len(states.loaded) - 1)] & (here < last))
    told = np.ones(n, np.bool_)
    if features.object_position is None and not fingers_alone and n:
        # nothing tells whether a hand that closes on its way means to take anything, unless it tries again
        way = per_run(np.add, features.moving.astype(np.int64), start) > settings.on_the_way * (stop - start)
        next_try = next_where(np.append(_is(kind, "grasp")[1:], False), last - 1)
        done = next_where(np.append(_is(kind, "grasp", "idle", "push", "pull", "place")[1:], False), last - 1)
        passing = _is(kind, "grasp") & flag & ~kept & way & ~((next_try >= 0) & (next_try == done))
        outcome[passing] = OUTCOME["unknown"]
        told = told & ~passing
    fail(_is(kind, "grasp") & flag & ~kept & told, "missed_grasp")
    if not fingers_alone:
        # let go or lost before anything was done with it
        after = states.code[np.minimum(stop, len(states.code) - 1)]
        freed = np.isin(after, (State.FREE, State.STILL, State.OPENING)) & (here < last)
        fail(_is(kind, "grasp") & flag & freed, "gripper_slip")
    if features.position is not None and n:
        moved = np.sqrt(((features.position[stop - 1] - features.position[start]) ** 2).sum(axis=1))
        stuck = states.code == State.STUCK
        ends_stuck = stuck[stop - 1] | (per_run(np.add, stuck.astype(np.int64), start) * 2 > stop - start)
        # what came some way and then came no farther may have come to its end
        fail(_is(kind, "pull") & ((moved < settings.locked_m) | (ends_stuck & (moved < settings.came_m))), "locked")
    weak, again = _wiped_again(features, kind, start, stop, slot, last, settings)
    fail(_is(kind, "wipe") & weak, "insufficient_force")
    fail(_is(kind, "wipe") & flag, "gripper_slip")
    fail(again, "incomplete")
    held_on = states.loaded[stop - 1] & (
        _is(np.where(following >= 0, next_kind, 0), "lift", "transport", "recovery_maneuver")
    )
    fail(_is(kind, "place") & flag & held_on, "obstructed")
    fail(_is(kind, "lift", "transport", "place", "pull") & flag & fell, "drop")
    fail(_is(kind, "lift", "transport", "place", "pull") & flag, "gripper_slip")
    fail(_is(kind, "release") & fell & _taken_next(kind, slot, last), "drop")
    fail(_let_go_high(features, states, kind, start, stop, slot, last, settings), "drop")
    in_vain, again = _pushed_in_vain(features, kind, start, stop, last, settings)
    fail(again, "insufficient_force")
    outcome[in_vain & (outcome == OUTCOME["success"])] = OUTCOME["unknown"]
    _judge_places(batch, features, kind, start, stop, slot, outcome, reason, first, last, settings)
    outcome[_is(kind, "unknown")] = OUTCOME["unknown"]
    # a load that is carried and then only held has arrived nowhere
    action_ahead = next_where(ACTIONS[kind] & ~_is(kind, "retreat"), last)
    later = np.where(here < last, action_ahead[np.minimum(here + 1, n - 1)] if n else -1, -1)
    open_ended = _is(kind, "recovery_maneuver") & (following < 0)
    open_ended |= _is(kind, "approach") & (following < 0) & (slot < 0)
    open_ended |= _is(kind, "transport") & (later < 0)
    # let go above where it then fell to: into a bin, or lost
    open_ended |= _is(kind, "release") & fell
    # what was closed on by assumption alone
    unsure = states.unsure[np.minimum(stop, len(states.unsure) - 1)] & (here < last)
    unsure |= states.unsure[stop - 1]
    open_ended |= _is(kind, "grasp", "pull") & unsure
    if fingers_alone:
        # fingers that closed and with which nothing was done after may have closed on nothing
        empty = np.ones(n, np.bool_)
        if features.blocked is not None:
            empty = ~per_run(np.logical_or, features.blocked, start)
        open_ended |= _is(kind, "grasp") & (later < 0) & empty
    outcome[open_ended & (outcome == OUTCOME["success"])] = OUTCOME["unknown"]
    return outcome, reason


def _taken_next(kind: Int64s, slot: Int64s, last: Int64s) -> Bools:
    """Segments after which the hand next takes hold of the thing that they were about."""
    acting = _is(kind, "grasp", "push", "pull", "wipe", "place", "release")
    here = np.arange(len(kind))
    following = next_where(acting, last)[np.minimum(here + 1, last)] if len(kind) else here
    at = np.maximum(following, 0)
    out: Bools = (following > here) & _is(kind, "grasp")[at] & (slot[at] == slot) & (slot >= 0)
    return out


def _pushed_in_vain(
    features: Features, kind: Int64s, start: Int64s, stop: Int64s, last: Int64s, settings: OutcomeSettings
) -> tuple[Bools, Bools]:
    """Pushes under which nothing that is seen has moved, and those of them after which the next one moved something."""
    push = _is(kind, "push")
    if features.object_position is None or features.object_noise is None or not push.any():
        return push & False, push & False
    moved = np.zeros(len(kind), np.bool_)
    for k in np.flatnonzero(push).tolist():
        place = features.object_position[start[k] : stop[k]]
        slack = settings.stirs_m + 5.0 * features.object_noise[features.ragged.episode[start[k]]]
        moved[k] = bool((np.ptp(place, axis=0).max(axis=1) > slack).any())
    in_vain = push & ~moved
    acting = _is(kind, "push", "grasp", "pull", "wipe", "place")
    later = next_where(np.append(acting[1:], False), last - 1) + 1
    at = np.maximum(later, 0)
    step = features.position[start[at]] - features.position[start] if features.position is not None else np.zeros(3)
    near = (step * step).sum(axis=-1) < settings.put_right_m**2
    return in_vain, in_vain & (later > 0) & push[at] & moved[at] & near


def _wiped_again(
    features: Features, kind: Int64s, start: Int64s, stop: Int64s, slot: Int64s, last: Int64s, settings: OutcomeSettings
) -> tuple[Bools, Bools]:
    """Strokes that pressed too little, and strokes over a place that is wiped again before the tool is put down.

    Too little is less than a share of what the robot presses with as a rule, or of what it then does again with.
    """
    n = len(kind)
    nothing = np.zeros(n, np.bool_)
    wipe = _is(kind, "wipe")
    if features.position is None or not wipe.any():
        return nothing, nothing
    here = np.arange(n)
    later = next_where(np.append(wipe[1:], False), last - 1)
    later = np.where(later >= 0, np.minimum(later + 1, n - 1), -1)
    put = next_where(_is(kind, "place"), last)
    nxt = np.maximum(later, 0)
    low = per_run(np.minimum, features.position[:, :2], start)
    high = per_run(np.maximum, features.position[:, :2], start)
    shared = np.prod(np.maximum(np.minimum(high, high[nxt]) - np.maximum(low, low[nxt]), 0.0), axis=1)
    area = np.minimum(np.prod(high - low, axis=1), np.prod(high[nxt] - low[nxt], axis=1))
    again = wipe & (later > here) & ((put < here) | (put > later)) & (shared > settings.same_area * area)
    if features.contact is None:
        return nothing, again
    force = features.ragged.mean(features.contact, start, stop - 1)
    typical = features.press_force[start]
    weak = wipe & (force < settings.eased_share * typical)
    weak |= again & (force < settings.eased_share * force[nxt])
    return weak, again


def _fall(
    features: Features, states: States, start: Int64s, stop: Int64s, last: Int64s, settings: OutcomeSettings
) -> Bools:
    """The load came down by itself within or right after each segment."""
    if features.object_position is None or not len(start):
        return np.zeros(len(start), np.bool_)
    ragged = features.ragged
    ahead = np.minimum(stop - 1 + ragged.frames(0.5)[ragged.episode[start]], ragged.last[start])
    load = states.load[start]
    at = np.maximum(load, 0)
    height = features.object_position[:, :, 2]
    down = height[start, at] - height[ahead, at]
    out: Bools = (load >= 0) & (down > settings.fell_m) & ~states.loaded[ahead]
    return out


def _let_go_high(
    features: Features,
    states: States,
    kind: Int64s,
    start: Int64s,
    stop: Int64s,
    slot: Int64s,
    last: Int64s,
    settings: OutcomeSettings,
) -> Bools:
    """Fingers that open in mid-air, from where the load comes down by itself, and that next take it again.

    Where the hand is not tracked, of every way to let go; else of those on the way down, which may be meant to end so.
    """
    found = np.zeros(len(kind), np.bool_)
    if features.object_position is None or not len(kind):
        return found
    tracked = features.position is not None
    frame = np.arange(len(states.code))
    opens = per_run(np.minimum, np.where(states.code == State.OPENING, frame, len(frame)), start)
    if tracked:
        own, again = states.load[start], _taken_next(kind, slot, last)
        let_go = _is(kind, "place")
    else:
        thing = _travelling(features, states, settings)
        own = thing[np.maximum(np.minimum(opens, stop - 1) - 1, features.ragged.first[start])]
        taken = next_where(thing >= 0, features.ragged.last)[stop - 1]
        again = (taken >= stop) & (thing[np.maximum(taken, 0)] == own)
        let_go = _is(kind, "place", "release")
    for k in np.flatnonzero(let_go & again & (opens < stop) & (own >= 0)).tolist():
        found[k] = _falls(features, max(int(opens[k]) - 1, int(features.ragged.first[start[k]])), int(own[k]), settings)
    return found


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
    if features.object_noise is not None:
        slack += 5.0 * float(features.object_noise[episode, own])
    # a fall lasts; a single late or noisy pose does not
    return bool((fall > slack).sum() >= max(2, (end - at) // 4))


def _travelling(features: Features, states: States, settings: OutcomeSettings) -> Int64s:
    """Slot of what went farthest while the fingers held something, -1 where nothing went anywhere, shape (T,)."""
    place = features.object_position
    if place is None:
        return np.full(len(states.code), -1, np.int64)
    start, stop = runs_of(states.loaded, features.ragged)
    way = np.sqrt(((place[stop - 1] - place[start]) ** 2).sum(axis=2))
    way = np.where(np.isfinite(way), way, 0.0)
    slot = np.where(states.loaded[start] & (way.max(axis=1) > settings.fell_m), way.argmax(axis=1), -1)
    return np.repeat(slot, stop - start)


def _judge_places(
    batch: RolloutBatch,
    features: Features,
    kind: Int64s,
    start: Int64s,
    stop: Int64s,
    slot: Int64s,
    outcome: Int64s,
    reason: Int64s,
    first: Int64s,
    last: Int64s,
    settings: OutcomeSettings,
) -> None:
    """A placed object must stay, and where a goal names its target, lie within its tolerance; in place."""
    if features.object_position is None or features.object_seen is None:
        return
    ragged = features.ragged
    rows = np.flatnonzero(_is(kind, "place", "release", "push") & (slot >= 0) & (outcome == OUTCOME["success"]))
    if not len(rows):
        return
    end = stop[rows] - 1
    episode = ragged.episode[end]
    settled = np.minimum(end + ragged.frames(settings.settle_s)[episode], ragged.last[end])
    own = slot[rows]
    position = features.object_position
    # a hand may hide what it holds: where that lies is known once it is seen again
    shown = features.next_seen(end, own)
    wander = np.sqrt(((position[settled, own] - position[np.maximum(shown, 0), own]) ** 2).sum(axis=1))
    wander[(shown < 0) | (shown > settled)] = 0.0
    noise = features.object_noise[episode, own] if features.object_noise is not None else np.zeros(len(rows))
    # what is still in the hand has not been let go
    held = _is(kind, "wipe", "transport", "lift", "pull")[np.minimum(rows + 1, last[rows])] & (rows < last[rows])
    unstable = (wander > settings.moved_m + 5.0 * noise) & _is(kind[rows], "place") & ~held
    blocked = _is(kind, "collision") | (_is(kind, "place") & (reason == REASON["obstructed"]))
    aside = _set_aside(kind, blocked, rows, first)
    off = np.zeros(len(rows), np.bool_)
    for place, (row, e) in enumerate(zip(rows.tolist(), episode.tolist(), strict=True)):
        goal, names = batch.episodes.goal[e], batch.objects[e]
        if goal is None or goal.object not in names or goal.tolerance <= 0:
            continue
        if goal.place is None and goal.target not in names:
            continue
        if names.index(goal.object) != slot[row] or not goal.relation.startswith("placed"):
            continue
        ahead = slice(row + 1, last[row] + 1)
        if kind[row] == CODE["push"] and (_is(kind[ahead], "grasp") & (slot[ahead] == slot[row])).any():
            continue  # only nudged on the way to take it
        target = np.array(goal.place) if goal.place else position[settled[place], names.index(goal.target)]
        far = bool(np.hypot(*(position[settled[place], own[place], :2] - target[:2])) > goal.tolerance)
        off[place] = far and not aside[place]
    off |= _put_right(features, kind, slot, rows, stop, last, settings)
    for mask, why in ((unstable, "unstable"), (off, "misplaced")):
        fresh = rows[mask & (outcome[rows] == OUTCOME["success"])]
        outcome[fresh] = OUTCOME["failure"]
        reason[fresh] = REASON[why]


def _put_right(
    features: Features, kind: Int64s, slot: Int64s, rows: Int64s, stop: Int64s, last: Int64s, settings: OutcomeSettings
) -> Bools:
    """Which put-downs are corrected: what was put down is taken up at once, and put down close by."""
    acting = _is(kind, "grasp", "push", "pull", "wipe", "place", "release")
    taken = next_where(acting, last)[np.minimum(rows + 1, last[rows])]
    again = next_where(_is(kind, "place"), last)[np.minimum(np.maximum(taken, rows) + 1, last[rows])]
    at = np.maximum(again, 0)
    found = _is(kind, "place")[rows] & (taken > rows) & (again > taken) & (slot[at] == slot[rows])
    found &= _is(kind, "grasp")[np.maximum(taken, 0)] & (slot[np.maximum(taken, 0)] == slot[rows])
    position = features.object_position
    if position is None:
        return np.zeros(len(rows), np.bool_)
    put, right = (features.next_seen(stop[which] - 1, slot[rows]) for which in (rows, at))
    found &= (put >= 0) & (put < stop[np.maximum(taken, 0)]) & (right >= 0)
    step = position[right, slot[rows]] - position[put, slot[rows]]
    out: Bools = found & ((step * step).sum(axis=1) < settings.put_right_m**2)
    return out


def _set_aside(kind: Int64s, stopped: Bools, rows: Int64s, first: Int64s) -> Bools:
    """Which put-downs follow on a way found blocked: for the time being, and that failure is known already."""
    blocked = last_where(stopped, first)[rows]
    carried = last_where(_is(kind, "grasp"), first)[rows]
    out: Bools = blocked > carried
    return out


def _retries(kind: Int64s, slot: Int64s, outcome: Int64s, episode: Int64s, last: Int64s) -> Int64s:
    """A failed attempt followed by another at the same (action, object) of the episode is a retry."""
    n = len(kind)
    out = outcome.copy()
    if not n:
        return out
    key = (episode * (len(LABELS) + 1) + kind) * 1024 + (slot + 1)
    order = np.argsort(key, kind="stable")
    repeated = np.zeros(n, np.bool_)
    repeated[order[:-1]] = key[order[:-1]] == key[order[1:]]
    again = repeated & (outcome == OUTCOME["failure"]) & ACTIONS[kind]
    out[again] = OUTCOME["retry"]
    return out
