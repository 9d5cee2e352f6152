"""Features → what is in the hand, whether it flies, and where it slips or falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.segmentation.features import Features
from sima2.segmentation.fingers import gap, untold, wide_open
from sima2.segmentation.signals import (
    Runs,
    last_where,
    lengths,
    next_where,
    running_max_in,
    runs_of,
    squares,
    without_short,
)
from sima2.segmentation.state_settings import StateSettings


@dataclass(frozen=True, eq=False)
class Loads:
    """What the fingers do and hold, shape (T,) each."""

    loaded: Bools
    flown: Bools
    """What is held has been lifted."""
    slot: Int64s
    """Slot of the object in the hand, or last in it; -1 where none is known."""
    moved_with: Int64s
    """Another slot that moves with the load (the body of a handle), -1 where none."""
    closing: Bools
    opening: Bools

    @classmethod
    def of(cls, features: Features, loaded: Bools, closing: Bools, opening: Bools, settings: StateSettings) -> Loads:
        """What it is that the hand holds."""
        slot, moved_with = _slots(features, loaded, settings)
        return cls(loaded, _flown(features, loaded, closing, settings), slot, moved_with, closing, opening)

    @property
    def busy(self) -> Bools:
        """The fingers move."""
        return self.closing | self.opening

    @property
    def own(self) -> Int64s:
        """The slot, 0 where none is known."""
        return np.maximum(self.slot, 0)


def loaded_hand(features: Features, shut: Bools, closing: Bools, opening: Bools, settings: StateSettings) -> Bools:
    """Something is in the hand."""
    ragged, company, gripping = features.ragged, features.company, features.gripping
    busy = closing | opening
    apart: Any = None
    held: Bools
    if features.width is not None:
        # where nothing tells, the fingers are taken to have closed on something, and the outcome is left open
        apart = gap(features, settings) | untold(features, settings)
    if gripping is not None:
        # a grip begins clearly and goes on faintly; what travels with closed fingers is held however faintly
        faint = features.grip_faint & ~busy
        runs = runs_of(faint, ragged)
        held = runs.spread(runs.any(gripping & ~busy)) & faint
        if apart is not None:
            held = held & apart
            if company is not None:
                # what travels with closed fingers is held, however thin
                held |= without_short(shut & company, ragged, gap=settings.lets_off_s, run=settings.company_s)
    elif apart is not None:
        held = shut & (apart if features.blocked is None else apart | features.blocked)
        if company is not None:
            # poses are known: a hand that travels while nothing travels with it is empty
            held = held & ~_travels_alone(features, shut, company, settings)
    else:
        held = np.zeros(len(busy), np.bool_) if company is None else company
    if features.width is not None:
        # a load comes between the fingers when they close on it, or was there from the start
        untouched = (last_where(busy, ragged.first) < 0) & ~busy
        gripped = untouched & ~wide_open(features, settings) if gripping is not None else untouched & False
        held = (held & (shut | gripped)) | _from_the_start(features, untouched, settings)
    felt = held & ~busy
    held = without_short(felt, ragged, gap=settings.unfelt_s, run=settings.felt_s) & ~busy
    if gripping is not None:
        # a grip with which the episode begins may be as short as it likes
        runs = runs_of(felt, ragged)
        held = held | runs.spread(felt[runs.start] & (runs.start == ragged.first[runs.start]))
    return _until_opening(features, held, shut, closing, opening, settings)


def _from_the_start(features: Features, untouched: Bools, settings: StateSettings) -> Bools:
    """Spans before any finger has moved over which something travels wherever the hand does, shape (T,)."""
    together = features.together
    if together is None:
        return np.zeros(len(untouched), np.bool_)
    runs = runs_of(untouched, features.ragged)
    travels = features.hand_shift > settings.company_m
    moves = runs.count(travels)
    company = runs.count(together & travels[:, None]).max(axis=1, initial=0)
    seconds = moves * features.ragged.period[runs.episode]
    along = (seconds > settings.company_s) & (company > settings.travels_share * moves)
    return runs.spread(untouched[runs.start] & along)


def _until_opening(
    features: Features, held: Bools, shut: Bools, closing: Bools, opening: Bools, settings: StateSettings
) -> Bools:
    """A grip that fades right before the fingers are seen to open has not lost its load: it is being released."""
    ragged = features.ragged
    here = np.arange(len(held), dtype=np.int64)
    last = last_where(held, ragged.first)
    opens = next_where(opening, ragged.last)
    span = ragged.frames(settings.fade_s).take(ragged.episode)
    if features.pose is not None:
        # unless the hand was on its way when it faded
        at = np.maximum(last, 0)
        opens = np.where((features.speed[at] < settings.carrying_speed) | features.mainly_down.take(at), opens, -1)
    between = (last >= 0) & (opens >= 0) & (opens - last <= span) & (here > last) & (here < opens) & shut
    if features.position is not None:
        # or has gone nowhere since it took hold
        rows = np.flatnonzero(between)
        closed = last_where(closing, ragged.first)[rows]
        way = features.position[rows] - features.position[np.maximum(closed, 0)]
        near = (closed >= 0) & (squares(way) < settings.flown_m**2)
        between[rows[near & ((opens - last)[rows] > span[rows] // 2)]] = False
    return held | between


def remainders(features: Features, loads: Loads, slip: Bools, settings: StateSettings) -> Bools:
    """Short remainders of a load between its slip and the opening of the fingers: it was lost."""
    held = loads.loaded & ~slip
    runs = runs_of(held, features.ragged)
    brief = runs.length <= runs.frames(settings.fade_s)
    after_slip = (runs.start > features.ragged.first[runs.start]) & slip[np.maximum(runs.start - 1, 0)]
    then_opens = runs.stop <= features.ragged.last[runs.start]
    then_opens &= loads.opening[np.minimum(runs.stop, len(held) - 1)]
    return runs.spread(held[runs.start] & brief & after_slip & then_opens)


def _travels_alone(features: Features, shut: Bools, accompanied: Bools, settings: StateSettings) -> Bools:
    """Closed spans in which the hand travels some way and no object has moved with it, nor may have while hidden."""
    ragged = features.ragged
    runs = runs_of(shut, ragged)
    travel = runs.total(features.speed * ragged.period.take(ragged.episode))
    company = runs.count(accompanied) * ragged.period[runs.episode]
    alone = shut[runs.start] & (travel > settings.alone_m) & (company < settings.alone_s)
    return runs.spread(alone & ~_hidden_load(features, runs))


def _hidden_load(features: Features, runs: Runs) -> Bools:
    """Spans over most of which what was nearest to the hand when last seen is not seen, shape (r,)."""
    place = features.object_position
    if place is None or features.position is None:
        return np.zeros(len(runs), np.bool_)
    distance = lengths(place[runs.start] - features.position[runs.start][:, None])
    distance[features.last_seen[runs.start] < 0] = np.inf
    hidden = runs.count(~features.object_seen)[runs.here, distance.argmin(axis=1)]
    return np.asarray(2 * hidden > runs.length)


def _slots(features: Features, loaded: Bools, settings: StateSettings) -> tuple[Int64s, Int64s]:
    """Which object each load is: the one that travels with the hand, else the nearest when it was taken."""
    ragged, together, position = features.ragged, features.together, features.position
    none = np.full(len(loaded), -1, np.int64)
    if features.object_position is None or position is None or together is None:
        return none, none
    runs = runs_of(loaded, ragged)
    start, held = runs.start, loaded[runs.start]
    company = runs.count(together & loaded[:, None])
    distance = lengths(features.object_position[start] - position[start][:, None])
    # where an object is hidden, by the hand perhaps, its last known place counts
    distance[features.last_seen[ragged.ahead(runs.stop - 1, settings.sudden_s)] < 0] = np.inf
    distance[distance > (features.load_away[start] + settings.reach_m)[:, None]] = np.inf
    # a few frames of noise are no company
    company[company < settings.least_company * runs.length[:, None]] = 0
    best = company.max(axis=1)[:, None]
    candidate = np.where(best > 1, company >= settings.rival_share * best, True)
    distance = np.where(candidate, distance, np.inf)
    choice = np.argmin(distance, axis=1)
    slot = np.where(held & np.isfinite(distance[runs.here, choice]), choice, -1)
    others = candidate & (best > 1)
    others[runs.here, choice] = False
    other = np.where(held & others.any(axis=1), np.argmax(np.where(others, company, -1), axis=1), -1)
    # after a load is gone, what was in the hand last stays known until the next load
    at = last_where(runs.spread(slot >= 0), ragged.first)
    return np.where(at >= 0, runs.spread(slot)[np.maximum(at, 0)], -1), runs.spread(other)


def _flown(features: Features, loaded: Bools, closing: Bools, settings: StateSettings) -> Bools:
    """The hand holds something, and has risen since its fingers closed on it; or it came with it."""
    if features.position is None:
        return np.zeros(len(loaded), np.bool_)
    last_closed = last_where(closing, features.ragged.first)
    closed = np.maximum(last_closed, features.ragged.first)
    height = features.position[:, 2]
    rise = height - height.take(closed)
    return ((running_max_in(closed, rise) > settings.flown_m) | (last_closed < 0)) & loaded


def slips(features: Features, loads: Loads, settings: StateSettings) -> Bools:
    """The load moves against the hand while the fingers are not opening: it lags, or falls."""
    ragged, loaded, still = features.ragged, loads.loaded, ~loads.busy
    mask = np.zeros(len(loaded), np.bool_)
    if features.object_position is None or features.hand_step is None:
        return mask
    # either it is still between the fingers and lags, or it has just left them and is not yet at rest
    taken_at = last_where(loaded, ragged.first)
    left = (taken_at >= 0) & (last_where(loads.opening, ragged.first) < taken_at) & ~loaded
    at = np.flatnonzero((loads.slot >= 0) & (loaded | left) & still)
    slot = loads.slot[at]
    slack = settings.pose_noises * features.object_noise[ragged.episode, loads.own] + settings.slack_m
    lo, hi = (edge[at] for edge in ragged.around(features.settings.together_s))
    relative = features.apart_from_hand(at, slot) - features.swing(lo, hi)
    apart = features.object_seen[at, slot] & (relative > settings.slip_share * features.hand_shift[at] + slack[at])
    mask[at] = apart & (loaded[at] | (features.object_shift[at, slot] > slack[at]))
    mask = without_short(mask, ragged, gap=settings.slips_s, run=settings.slips_s) & still
    # a late pose seems to lag and catches up again; after a slip the load stays where it slipped to
    return _stays(features, mask, loads, slack, settings) & still


def _stays(features: Features, mask: Bools, loads: Loads, slack: Float64s, settings: StateSettings) -> Bools:
    """Runs of the mask over which the load's place in the hand changes for good, shape (T,)."""
    ragged, place, position = features.ragged, features.object_position, features.position
    if place is None or position is None:
        return mask & False
    runs = runs_of(mask, ragged)
    start, own = runs.start, loads.own[runs.start]
    a, b = ragged.ago(start, settings.stays_s), ragged.ahead(runs.stop - 1, settings.stays_s)
    moved = place[b, own] - place[a, own]
    rest = np.full(len(runs), np.inf)
    # a late pose is where the hand had it a moment ago: what no delay explains of the shift has slipped
    for delay in np.linspace(0.0, settings.pose_delay_s, settings.pose_delays):
        ago = runs.frames(delay) if delay else 0
        way = position[np.maximum(b - ago, ragged.first[start])] - position[np.maximum(a - ago, ragged.first[start])]
        rest = np.minimum(rest, squares(moved - way))
    lasting = np.sqrt(rest) - features.swing(a, b) > slack[start] + settings.stays_m
    return runs.spread(mask[start] & lasting & (loads.slot[start] >= 0))


def let_go_unseen(features: Features, slip: Bools, opening: Bools, settings: StateSettings) -> Bools:
    """Slips from a hand at rest right before its fingers are seen to open: slow ones let go before that, shape (T,)."""
    if features.pose is None or not slip.any():
        return slip & False
    runs = runs_of(slip, features.ragged)
    at = np.minimum(runs.stop, features.ragged.last[runs.start])
    rests = runs.largest(features.speed) < settings.carrying_speed
    return runs.spread(slip[runs.start] & opening[at] & (runs.length <= runs.frames(settings.fade_s)) & rests)


def let_fall(features: Features, loads: Loads, settings: StateSettings) -> Bools:
    """Fingers that open while the hand carries on, and from between which the load falls, until it rests."""
    ragged, opening = features.ragged, loads.opening
    dropped = np.zeros(len(opening), np.bool_)
    if features.object_position is None or features.position is None:
        return dropped
    openings = runs_of(opening, ragged)
    start = openings.start
    before = np.maximum(start - 1, ragged.first[start])
    # coming down, the hand is about to set down
    carrying = features.speed[before] > np.maximum(
        settings.carrying_speed, settings.carrying_noises * features.still_below[before]
    )
    drops = opening[start] & (loads.loaded & loads.flown)[before] & carrying & ~features.mainly_down[before]
    drops &= _falls_from(features, loads, start, before, settings)
    again = next_where(loads.closing, ragged.last)[start]
    end = next_where(~opening, ragged.last)[start]
    at_once = (again >= 0) & (end >= 0) & (again - end <= openings.frames(settings.at_once_s))
    drops &= at_once | _goes_on(features, start, settings) | _taken_again(features, loads, start, before, settings)
    dropped[start[drops]] = True
    # the fall ends where the load lies still
    here = np.arange(len(opening))
    since = last_where(dropped, ragged.first)
    slot = loads.own[np.maximum(since, 0)]
    falling = (since >= 0) & (here - since < 2 * ragged.frames(settings.falls_s).take(ragged.episode))
    moves = falling & (features.objects_moving[here, slot] | (here == since))
    runs = runs_of(moves, ragged)
    return runs.spread(moves[runs.start] & (since[runs.start] == runs.start))


def _falls_from(features: Features, loads: Loads, start: Int64s, before: Int64s, settings: StateSettings) -> Bools:
    """Openings from which the load comes down farther than the hand, or is out of sight or left behind, shape (r,)."""
    place, position = features.object_position, features.position
    if place is None or position is None:
        return np.zeros(len(start), np.bool_)
    own, ahead = loads.own[before], features.ragged.ahead(start, settings.falls_s)
    fall = place[before, own, 2] - place[ahead, own, 2]
    lowered = np.maximum(position[before, 2] - position[ahead, 2], 0.0)
    # poses come late
    sinking = np.maximum(-features.velocity[before, 2], 0.0)
    lost = fall - lowered > settings.flown_m + settings.pose_delay_s * sinking
    # where the load is out of sight, no hand lets go of it on the way
    seen = features.object_seen[before, own] | features.object_seen[ahead, own]
    lost |= (loads.slot[before] < 0) | ~seen
    if features.touching is not None:
        # or it is left behind in the middle of a stroke
        lost |= features.touching[before] & features.touching[features.ragged.ago(before, settings.press_s)]
    return np.asarray(lost)


def _goes_on(features: Features, start: Int64s, settings: StateSettings) -> Bools:
    """Openings after which the hand carries on as if nothing had happened, shape (r,).

    One that slows down, or turns to something else, may have let go because it had arrived.
    """
    speed, velocity = features.speed, features.velocity
    before = features.ragged.ago(start, settings.sudden_s)
    after = features.ragged.ahead(start, settings.sudden_s, 2)
    along = (velocity[before] * velocity[after]).sum(axis=1)
    onward = along > settings.elsewhere_cosine * speed[before] * speed[after]
    return np.asarray(onward & (speed[after] > settings.stopped_share * speed[before]))


def _taken_again(features: Features, loads: Loads, start: Int64s, before: Int64s, settings: StateSettings) -> Bools:
    """Openings after which the fingers next close at the very thing that they let go, shape (r,)."""
    if features.object_position is None or features.position is None:
        return np.zeros(len(start), np.bool_)
    at = np.flatnonzero(loads.closing)
    distance = lengths(features.object_position[at] - features.position[at][:, None])
    # fingers that close far from everything make ready
    near = distance.min(axis=1, initial=np.inf) < features.load_away[at] + settings.reach_m / 2
    grasping = np.full(len(loads.closing), -1, np.int64)
    grasping[at[near]] = distance[near].argmin(axis=1)
    closes = next_where(grasping >= 0, features.ragged.last)[start]
    return np.asarray((closes >= 0) & (grasping[np.maximum(closes, 0)] == loads.own[before]))


def settles(features: Features, loads: Loads, settings: StateSettings) -> Bools:
    """From the end of a closing on, while the hand rests and feels no more than it did then: still the grasp, (T,)."""
    ragged, loaded, contact = features.ragged, loads.loaded, features.contact
    if contact is None:
        return loaded & False
    runs = runs_of(loaded, ragged)
    start = runs.start
    fresh = loads.closing[np.maximum(start - 1, ragged.first[start])] & loaded[start]
    soon = np.minimum(start + runs.frames(settings.sudden_s), runs.stop - 1)
    most = settings.grown * np.maximum(ragged.mean(contact, start, soon), 0.0) + features.contact_floor[start]
    begins = runs.first_in(features.moving | (contact > runs.spread(most)))
    return runs.spread(fresh) & (np.arange(len(loaded)) < runs.spread(begins))


def strained(features: Features, held: Bools, settings: StateSettings) -> Bools:
    """Held spans from where the fingers are pressed far harder than they grip: the arm pulls on them, shape (T,).

    A gripper keeps its force; what raises it is the load that does not come along.
    """
    if features.grip is None or features.gripping is None or not held.any():
        return held & False
    runs = runs_of(held, features.ragged)
    settled = np.minimum(runs.start + runs.frames(settings.sudden_s), runs.stop - 1)
    grip = runs.spread(features.ragged.mean(features.grip, runs.start, settled))
    return held & features.gripping & (features.grip > settings.strained_factor * np.maximum(grip, features.usual_grip))
