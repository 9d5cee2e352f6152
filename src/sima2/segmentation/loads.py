"""Features → what is in the hand, whether it flies, and where it slips or falls."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.segmentation.features import Features
from sima2.segmentation.fingers import gap, untold, wide_open
from sima2.segmentation.signals import Ragged, last_where, next_where, per_run, running_max_in, runs_of, without_short
from sima2.segmentation.state_settings import StateSettings

DELAYS: Final = 9
"""Delays of a pose that are tried, from none to the longest."""


def loaded_hand(features: Features, shut: Bools, closing: Bools, opening: Bools, settings: StateSettings) -> Bools:
    """Something is in the hand."""
    ragged = features.ragged
    busy = closing | opening
    apart: Any = None
    held: Any
    if features.width is not None:
        # where nothing tells, the fingers are taken to have closed on something, and the outcome is left open
        apart = gap(features, settings) | untold(features, settings)
    if features.gripping is not None and features.grip_faint is not None:
        # a grip begins clearly and goes on faintly; what travels with closed fingers is held however faintly
        start, stop = runs_of(features.grip_faint & ~busy, ragged)
        held = np.repeat(per_run(np.logical_or, features.gripping & ~busy, start), stop - start)
        held = held & features.grip_faint & ~busy
        if apart is not None:
            held = held & apart
            if features.company is not None:
                # what travels with closed fingers is held, however thin
                held |= without_short(shut & features.company, ragged, gap=0.12, run=settings.company_s)
    elif apart is not None:
        held = shut & (apart if features.blocked is None else apart | features.blocked)
        if features.company is not None and features.hand_shift is not None:
            # poses are known: a hand that travels while nothing travels with it is empty
            held = held & ~_travels_alone(features, shut, features.company)
    else:
        held = np.zeros(len(busy), np.bool_) if features.company is None else features.company
    if features.width is not None:
        # a load comes between the fingers when they close on it, or was there from the start
        untouched = (last_where(busy, ragged.first) < 0) & ~busy
        gripped = untouched & ~wide_open(features, settings) if features.gripping is not None else untouched & False
        held = (held & (shut | gripped)) | _from_the_start(features, untouched, settings)
    felt = held & ~busy
    held = without_short(felt, ragged, gap=settings.unfelt_s, run=0.1) & ~busy
    if features.gripping is not None:
        # a grip with which the episode begins may be as short as it likes
        start, stop = runs_of(felt, ragged)
        held = held | np.repeat(felt[start] & (start == ragged.first[start]), stop - start)
    return _until_opening(features, held, shut, closing, opening, settings)


def _from_the_start(features: Features, untouched: Bools, settings: StateSettings) -> Bools:
    """Spans before any finger has moved over which something travels wherever the hand does, shape (T,)."""
    ragged = features.ragged
    together = features.together
    if together is None or features.hand_shift is None or not len(untouched):
        return np.zeros(len(untouched), np.bool_)
    start, stop = runs_of(untouched, ragged)
    travels = features.hand_shift > settings.company_m
    moves = per_run(np.add, travels.astype(np.int64), start)
    company = per_run(np.add, (together & travels[:, None]).astype(np.int64), start).max(axis=1, initial=0)
    seconds = moves * ragged.period[ragged.episode[start]]
    return np.repeat(untouched[start] & (seconds > settings.company_s) & (company > 0.7 * moves), stop - start)


def _until_opening(
    features: Features, held: Bools, shut: Bools, closing: Bools, opening: Bools, settings: StateSettings
) -> Bools:
    """A grip that fades right before the fingers are seen to open has not lost its load: it is being released."""
    ragged = features.ragged
    here = np.arange(len(held), dtype=np.int64)
    last = last_where(held, ragged.first)
    opens = next_where(opening, ragged.last)
    span = ragged.frames(settings.fade_s).take(ragged.episode)
    if features.speed is not None:
        # unless the hand was on its way when it faded
        at = np.maximum(last, 0)
        opens = np.where((features.speed[at] < settings.carrying_speed) | features.mainly_down.take(at), opens, -1)
    between = (last >= 0) & (opens >= 0) & (opens - last <= span) & (here > last) & (here < opens) & shut
    if features.position is not None:
        # or has gone nowhere since it took hold
        rows = np.flatnonzero(between)
        closed = last_where(closing, ragged.first)[rows]
        way = features.position[rows] - features.position[np.maximum(closed, 0)]
        near = (closed >= 0) & ((way * way).sum(axis=1) < settings.flown_m**2)
        between[rows[near & ((opens - last)[rows] > span[rows] // 2)]] = False
    return held | between


def remainders(loaded: Bools, slip: Bools, opening: Bools, ragged: Ragged, settings: StateSettings) -> Bools:
    """Short remainders of a load between its slip and the opening of the fingers: it was lost."""
    start, stop = runs_of(loaded & ~slip, ragged)
    brief = stop - start <= ragged.frames(settings.fade_s)[ragged.episode[start]]
    after_slip = (start > ragged.first[start]) & slip[np.maximum(start - 1, 0)]
    then_opens = (stop <= ragged.last[start]) & opening[np.minimum(stop, len(loaded) - 1)] if len(loaded) else brief
    return np.repeat((loaded & ~slip)[start] & brief & after_slip & then_opens, stop - start)


def _travels_alone(features: Features, shut: Bools, accompanied: Bools) -> Bools:
    """Closed spans in which the hand travels 5 cm and no object has moved with it, nor may have while hidden."""
    ragged = features.ragged
    start, stop = runs_of(shut, ragged)
    speed = features.speed if features.speed is not None else np.zeros(len(shut))
    step = speed * ragged.period.take(ragged.episode)
    travel = per_run(np.add, step, start)
    company = per_run(np.add, accompanied.astype(np.int64), start)
    alone = shut[start] & (travel > 0.05) & (company * ragged.period[ragged.episode[start]] < 0.1)
    return np.repeat(alone & ~_hidden_load(features, start, stop), stop - start)


def _hidden_load(features: Features, start: Int64s, stop: Int64s) -> Bools:
    """Spans over most of which what was nearest to the hand when last seen is not seen, shape (r,)."""
    place, seen, ragged = features.object_position, features.object_seen, features.ragged
    if place is None or seen is None or features.position is None or not len(start):
        return np.zeros(len(start), np.bool_)
    apart = place[start] - features.position[start][:, None]
    distance = np.sqrt((apart * apart).sum(axis=2))
    distance[~np.column_stack([last_where(each, ragged.first)[start] >= 0 for each in seen.T])] = np.inf
    nearest = distance.argmin(axis=1)
    hidden = per_run(np.add, (~seen).astype(np.int64), start)[np.arange(len(start)), nearest]
    return np.asarray(2 * hidden > stop - start)


def loads_of(features: Features, loaded: Bools, settings: StateSettings) -> tuple[Int64s, Int64s]:
    """Which object each load is: the one that travels with the hand, else the nearest when it was taken."""
    ragged = features.ragged
    frames = len(ragged.time)
    none = np.full(frames, -1, np.int64)
    together = features.together
    if (
        features.object_position is None
        or features.position is None
        or together is None
        or features.object_seen is None
        or not frames
    ):
        return none, none
    start, stop = runs_of(loaded, ragged)
    company = per_run(np.add, (together & loaded[:, None]).astype(np.int64), start)
    apart = features.object_position[start] - features.position[start][:, None]
    distance = np.sqrt((apart * apart).sum(axis=2))
    # where an object is hidden, by the hand perhaps, its last known place counts
    late = np.minimum(stop - 1 + ragged.frames(settings.sudden_s)[ragged.episode[start]], ragged.last[start])
    known = [last_where(column, ragged.first)[late] >= 0 for column in features.object_seen.T]
    distance[~np.column_stack(known)] = np.inf
    distance[distance > (features.load_away[start] + settings.reach_m)[:, None]] = np.inf
    # a few frames of noise are no company
    company[company < 0.15 * (stop - start)[:, None]] = 0
    best = company.max(axis=1)
    candidate = np.where((best > 1)[:, None], company >= 0.6 * best[:, None], True)
    choice = np.argmin(np.where(candidate, distance, np.inf), axis=1)
    near = np.isfinite(np.take_along_axis(np.where(candidate, distance, np.inf), choice[:, None], 1))[:, 0]
    slot = np.where(loaded[start] & near, choice, -1)
    others = candidate & (best > 1)[:, None]
    others[np.arange(len(start)), choice] = False
    other = np.where(loaded[start] & others.any(axis=1), np.argmax(np.where(others, company, -1), axis=1), -1)
    lengths = stop - start
    # after a load is gone, what was in the hand last stays known until the next load
    at = last_where(np.repeat(slot >= 0, lengths), ragged.first)
    held = np.repeat(slot, lengths)
    return np.where(at >= 0, held[np.maximum(at, 0)], -1), np.repeat(other, lengths)


def flown_loads(features: Features, loaded: Bools, closing: Bools, settings: StateSettings) -> Bools:
    """The hand holds something, and has risen since its fingers closed on it; or it came with it."""
    ragged = features.ragged
    if features.position is None or not len(loaded):
        return np.zeros(len(loaded), np.bool_)
    last_closed = last_where(closing, ragged.first)
    closed = np.maximum(last_closed, ragged.first)
    height = features.position[:, 2]
    rise = height - height.take(closed)
    return ((running_max_in(closed, rise) > settings.flown_m) | (last_closed < 0)) & loaded


def slips(
    features: Features,
    loaded: Bools,
    shut: Bools,
    closing: Bools,
    opening: Bools,
    load: Int64s,
    settings: StateSettings,
) -> Bools:
    """The load moves against the hand while the fingers are not opening: it lags, or falls."""
    ragged = features.ragged
    if (
        features.object_shift is None
        or features.hand_shift is None
        or features.object_seen is None
        or features.object_noise is None
    ):
        return np.zeros(len(loaded), np.bool_)
    # either it is still between the fingers and lags, or it has just left them and is not yet at rest
    taken_at = last_where(loaded, ragged.first)
    let_go = last_where(opening, ragged.first)
    left = (taken_at >= 0) & (let_go < taken_at) & ~loaded
    at = np.flatnonzero((load >= 0) & (loaded | left) & ~opening & ~closing)
    slot = load[at]
    relative = features.apart_from_hand(at, slot)
    if relative is None:
        return np.zeros(len(loaded), np.bool_)
    slack = 4.0 * features.object_noise[ragged.episode, np.maximum(load, 0)] + 0.008
    lo, hi = (edge[at] for edge in ragged.around(features.together_s))
    relative = relative - features.swing(lo, hi)
    apart = features.object_seen[at, slot] & (relative > settings.slip_share * features.hand_shift[at] + slack[at])
    apart &= loaded[at] | (features.object_shift[at, slot] > slack[at])
    mask = np.zeros(len(loaded), np.bool_)
    mask[at] = apart
    mask = without_short(mask, ragged, gap=0.1, run=0.1) & ~opening & ~closing
    if features.object_position is None or features.position is None:
        return mask
    # a late pose seems to lag and catches up again; after a slip the load stays where it slipped to
    slipped = _stays(features, mask, load, slack, settings)
    return slipped & ~opening & ~closing


def _stays(features: Features, mask: Bools, load: Int64s, slack: Float64s, settings: StateSettings) -> Bools:
    """Runs of the mask over which the load's place in the hand changes for good, shape (T,)."""
    ragged = features.ragged
    if features.object_position is None or features.position is None:
        return mask & False
    start, stop = runs_of(mask, ragged)
    margin = ragged.frames(0.2)[ragged.episode[start]]
    a = np.maximum(start - margin, ragged.first[start])
    b = np.minimum(stop - 1 + margin, ragged.last[start])
    own = np.maximum(load[start], 0)
    moved = features.object_position[b, own] - features.object_position[a, own]
    rest = np.full(len(start), np.inf)
    # a late pose is where the hand had it a moment ago: what no delay explains of the shift has slipped
    for delay in np.linspace(0.0, settings.pose_delay_s, DELAYS):
        ago = ragged.frames(delay)[ragged.episode[start]] if delay else 0
        way = features.position[np.maximum(b - ago, ragged.first[start])]
        way = way - features.position[np.maximum(a - ago, ragged.first[start])]
        rest = np.minimum(rest, ((moved - way) ** 2).sum(axis=1))
    lasting = np.sqrt(rest) - features.swing(a, b) > slack[start] + 0.004
    return np.repeat(mask[start] & lasting & (load[start] >= 0), stop - start)


def let_go_unseen(features: Features, slip: Bools, opening: Bools, settings: StateSettings) -> Bools:
    """Slips from a hand at rest right before its fingers are seen to open: slow ones let go before that, shape (T,)."""
    ragged = features.ragged
    if features.speed is None or not slip.any():
        return slip & False
    start, stop = runs_of(slip, ragged)
    at = np.minimum(stop, ragged.last[start])
    reach = ragged.frames(settings.fade_s)[ragged.episode[start]]
    rests = per_run(np.maximum, features.speed, start) < settings.carrying_speed
    return np.repeat(slip[start] & opening[at] & (stop - start <= reach) & rests, stop - start)


def let_fall(
    features: Features, flown: Bools, opening: Bools, closing: Bools, load: Int64s, settings: StateSettings
) -> Bools:
    """Fingers that open while the hand carries on, and from between which the load falls, until it rests."""
    ragged = features.ragged
    if (
        features.object_position is None
        or features.position is None
        or features.speed is None
        or features.objects_moving is None
        or not len(flown)
    ):
        return np.zeros(len(flown), np.bool_)
    start, _ = runs_of(opening, ragged)
    before = np.maximum(start - 1, ragged.first[start])
    ahead = np.minimum(start + ragged.frames(settings.falls_s)[ragged.episode[start]], ragged.last[start])
    own = np.maximum(load[before], 0)
    height = features.object_position[:, :, 2]
    fall = height[before, own] - height[ahead, own]
    lowered = np.maximum(features.position[before, 2] - features.position[ahead, 2], 0.0)
    carrying = features.speed[before] > np.maximum(settings.carrying_speed, 3.0 * features.still_below[before])
    # coming down, the hand is about to set down; and poses come late
    carrying &= ~features.mainly_down[before]
    sinking = np.maximum(-features.velocity[before, 2], 0.0) if features.velocity is not None else 0.0
    lost = fall - lowered > settings.flown_m + settings.pose_delay_s * sinking
    if features.object_seen is not None:
        # where the load is out of sight, no hand lets go of it on the way
        lost |= (load[before] < 0) | (~features.object_seen[before, own] & ~features.object_seen[ahead, own])
    if features.touching is not None:
        # or it is left behind in the middle of a stroke
        earlier = np.maximum(before - ragged.frames(settings.press_s)[ragged.episode[start]], ragged.first[start])
        lost |= features.touching[before] & features.touching[earlier]
    drops = opening[start] & flown[before] & carrying & lost
    again = next_where(closing, ragged.last)[start]
    end = next_where(~opening, ragged.last)[start]
    at_once = (again >= 0) & (end >= 0) & (again - end <= ragged.frames(settings.at_once_s)[ragged.episode[start]])
    drops &= at_once | _goes_on(features, start, settings) | _taken_again(features, start, own, closing, settings)
    # the fall ends where the load lies still
    here = np.arange(len(flown))
    dropped = np.zeros(len(flown), np.bool_)
    dropped[start[drops]] = True
    since = last_where(dropped, ragged.first)
    slot = np.maximum(load[np.maximum(since, 0)], 0)
    falling = (since >= 0) & (here - since < 2 * ragged.frames(settings.falls_s).take(ragged.episode))
    moves = falling & (features.objects_moving[here, slot] | (here == since))
    run_start, run_stop = runs_of(moves, ragged)
    return np.repeat(moves[run_start] & (since[run_start] == run_start), run_stop - run_start)


def _goes_on(features: Features, start: Int64s, settings: StateSettings) -> Bools:
    """Openings after which the hand carries on as if nothing had happened, shape (r,).

    One that slows down, or turns to something else, may have let go because it had arrived.
    """
    ragged = features.ragged
    if features.velocity is None or features.speed is None:
        return np.ones(len(start), np.bool_)
    half = ragged.frames(settings.sudden_s)[ragged.episode[start]]
    before = np.maximum(start - half, ragged.first[start])
    after = np.minimum(start + 2 * half, ragged.last[start])
    along = (features.velocity[before] * features.velocity[after]).sum(axis=1)
    onward = along > settings.elsewhere_cosine * features.speed[before] * features.speed[after]
    out: Bools = onward & (features.speed[after] > settings.stopped_share * features.speed[before])
    return out


def _taken_again(features: Features, start: Int64s, slot: Int64s, closing: Bools, settings: StateSettings) -> Bools:
    """Openings after which the fingers next close at the very thing that they let go, shape (r,)."""
    ragged = features.ragged
    if features.object_position is None or features.position is None:
        return np.zeros(len(start), np.bool_)
    at = np.flatnonzero(closing)
    apart = features.object_position[at] - features.position[at][:, None]
    distance = np.sqrt((apart * apart).sum(axis=2))
    # fingers that close far from everything make ready
    near = distance.min(axis=1, initial=np.inf) < features.load_away[at] + settings.reach_m / 2
    grasping = np.full(len(closing), -1, np.int64)
    grasping[at[near]] = distance[near].argmin(axis=1)
    closes = next_where(grasping >= 0, ragged.last)[start]
    out: Bools = (closes >= 0) & (grasping[np.maximum(closes, 0)] == slot)
    return out


def settles(features: Features, loaded: Bools, closing: Bools, settings: StateSettings) -> Bools:
    """From the end of a closing on, while the hand rests and feels no more than it did then: still the grasp, (T,)."""
    ragged = features.ragged
    if features.contact is None or features.contact_floor is None or not len(loaded):
        return loaded & False
    start, stop = runs_of(loaded, ragged)
    length = stop - start
    fresh = closing[np.maximum(start - 1, ragged.first[start])] & loaded[start]
    soon = np.minimum(start + ragged.frames(settings.sudden_s)[ragged.episode[start]], stop - 1)
    most = settings.grown * np.maximum(ragged.mean(features.contact, start, soon), 0.0) + features.contact_floor[start]
    begins = features.moving | (features.contact > np.repeat(most, length))
    here = np.arange(len(loaded))
    first = per_run(np.minimum, np.where(begins, here, len(here)), start)
    return np.repeat(fresh, length) & (here < np.repeat(first, length))


def strained(features: Features, held: Bools, settings: StateSettings) -> Bools:
    """Held spans from where the fingers are pressed far harder than they grip: the arm pulls on them, shape (T,).

    A gripper keeps its force; what raises it is the load that does not come along.
    """
    ragged = features.ragged
    if features.grip is None or features.gripping is None or not held.any():
        return held & False
    start, stop = runs_of(held, ragged)
    settled = np.minimum(start + ragged.frames(settings.sudden_s)[ragged.episode[start]], stop - 1)
    grip = np.repeat(ragged.mean(features.grip, start, settled), stop - start)
    return held & features.gripping & (features.grip > settings.strained_factor * np.maximum(grip, features.usual_grip))
