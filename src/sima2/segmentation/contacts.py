"""Features → what the hand touches: work that is meant, and what it runs into."""

from __future__ import annotations

from typing import Any

import numpy as np

from sima2.segmentation.features import Features
from sima2.segmentation.signals import (
    Bools,
    Doubles,
    Ints,
    last_where,
    next_where,
    per_run,
    running_max_in,
    runs_of,
    without_short,
)
from sima2.segmentation.state_settings import StateSettings


def contacts(
    features: Features,
    loaded: Bools,
    flown: Bools,
    closing: Bools,
    opening: Bools,
    slip: Bools,
    settings: StateSettings,
) -> tuple[Bools, Bools, Bools]:
    """Split external force into work on what moves along or is held (press), strokes, and what nothing explains."""
    ragged = features.ragged
    nothing = np.zeros(len(loaded), np.bool_)
    if (
        features.touching is None
        or features.contact is None
        or features.contact_floor is None
        or features.position is None
        or features.speed is None
        or not len(loaded)
    ):
        return nothing, nothing, nothing
    touching = without_short(
        features.touching & _more_than_weight(features, flown, settings), ragged, gap=0.12, run=0.05
    )
    start, stop = runs_of(touching, ragged)
    length = stop - start
    seconds = length * ragged.period[ragged.episode[start]]

    def share(mask: Any) -> Doubles:
        out: Doubles = per_run(np.add, mask.astype(np.int64), start) / np.maximum(length, 1)
        return out

    path = per_run(np.add, features.speed * features.moving * ragged.period.take(ragged.episode), start)
    together = features.together
    company = share(features.company) if features.company is not None else np.zeros(len(start))
    end = stop - 1
    opens = next_where(opening, ragged.last)[start]
    # where the fingers open before the hand has gone anywhere, the load was being set down
    way = features.speed * features.moving * ragged.period.take(ragged.episode)
    until = np.where(opens >= 0, opens, end)
    far = ragged.mean(way, start, until) * (until - start + 1)
    set_down = (opens >= 0) & (far < settings.set_down_m)
    came, size = _way_before(features, start, settings)
    comes_down = -came[:, 2] > 0.7 * size
    closes = next_where(closing, ragged.last)
    just = ragged.frames(0.25)[ragged.episode[start]]
    # fingers that close where they have just touched: the touch is part of the grasp
    closes_soon = (closes[start] >= 0) & (closes[start] <= start + just)
    closes_soon |= (closes[start] >= 0) & (closes[start] > end) & (closes[start] <= end + just)
    # and what is pressed on until they close on it was aimed at
    held_after = next_where(loaded, ragged.last)[np.minimum(end + 1, ragged.last[start])]
    # what rests where it came down until the fingers let it go was set down, however hard
    set_down |= (opens >= 0) & (opens <= end + just) & comes_down
    closes_soon |= (closes[start] >= 0) & (closes[start] <= end) & (held_after >= 0) & (held_after <= end + just)
    last_close = last_where(closing, ragged.first)[start]
    just_closed = (last_close >= 0) & (start - last_close <= just)

    on = touching[start]
    with_load = share(loaded) > 0.5
    at_first = loaded[start] | loaded[np.maximum(start - 1, ragged.first[start])]
    last_open = last_where(opening, ragged.first)[start]
    just_opened = (last_open >= 0) & (start - last_open <= just)
    in_air = share(flown) > 0.5
    long = seconds >= settings.press_s
    # a hand that comes down and presses has not begun to rub: only its way along what it presses on counts
    along = per_run(np.add, features.sideways * features.moving * ragged.period.take(ragged.episode), start)
    stroke = np.where(comes_down, along, path) > settings.stroke_m
    before = np.maximum(start - ragged.frames(settings.sudden_s)[ragged.episode[start]], ragged.first[start])
    into = _runs_into(features, start, settings) & at_first & flown[np.minimum(start + 1, end)]
    halts = _halts(features, start, settings)
    unmeant = _recoils(features, start, stop, settings)
    # a hand that stays and presses on means to
    insists = (seconds > settings.insists_s) & ~at_first & ~with_load
    # what stops the hand for a moment, or turns it away, was not meant either
    unmeant |= halts & (size > settings.came_m) & ((_turns_away(features, start, stop, settings) & ~insists) | ~long)
    # what gives way under an empty hand is pushed
    yields = _gives_way(features, start, stop, settings) & ~with_load
    unmeant &= ~yields
    lost = at_first & ~loaded[np.minimum(stop, ragged.last[start])] & ~opening[np.minimum(stop, ragged.last[start])]
    # sensors drift: work presses clearly
    mean_force = per_run(np.add, np.maximum(features.contact, 0.0), start) / length
    firm = mean_force > settings.firm * features.contact_floor[start]
    pull = on & with_load & ~in_air & long & ~into & firm
    wipe = on & with_load & in_air & long & stroke & (seconds > 0.6) & ~into
    still_open = share(closing) < 0.05
    pushed = (insists & firm) | ((company > 0.4) & ~just_closed) | (stroke & firm & (seconds > 1.0)) | (yields & firm)
    push = on & ~with_load & still_open & long & pushed
    explained = closes_soon | just_closed | just_opened | (at_first & set_down)
    explained |= (share(closing | opening) > 0.3) & ~into & still_open
    # a bump is sudden: the force rises well over what it was just before
    rise = per_run(np.maximum, features.contact, start) - np.maximum(features.contact[before], 0.0)
    sudden = rise > settings.sudden_share * np.maximum(features.contact_noise[start], 1e-9) + settings.sudden_newtons
    work = pull | wipe | push
    # or light, and yet the load is stopped by it
    halted = at_first & flown[np.minimum(start + 1, end)] & halts
    # a hand that moves on, or stays and presses, does what it means to do, however hard
    bump = np.repeat(on & ~work & ~explained & (sudden | halted) & (unmeant | lost), length)
    meant = np.repeat(work | explained | ~unmeant, length)
    hard = touching & ~loaded & (features.contact > settings.hard_newtons) & ~meant
    bump |= touching & (last_where(hard, ragged.first) >= np.repeat(start, length))
    moved_along = (company > 0.4) | yields | insists
    if together is None:
        # with no poses: strokes turn back, a push does not
        ends = np.sqrt(((features.position[end] - features.position[start]) ** 2).sum(axis=1))
        moved_along = path < 1.5 * ends
    held_work = np.repeat(pull | wipe | (push & moved_along), length)
    strokes = np.repeat(push & ~moved_along, length)
    return held_work & ~slip, strokes & ~slip, bump


def _more_than_weight(features: Features, flown: Bools, settings: StateSettings) -> Bools:
    """External force over what the load in the air itself makes the sensor feel, shape (T,)."""
    ragged = features.ragged
    if features.contact is None or features.contact_floor is None:
        return np.ones(len(flown), np.bool_)
    start, stop = runs_of(flown, ragged)
    length = stop - start
    run = np.repeat(np.arange(len(start), dtype=np.int64), length)
    begin, end = np.repeat(start, length), np.repeat(stop - 1, length)
    lo, hi = ragged.around(settings.sudden_s)
    average = ragged.mean(features.contact, np.maximum(lo, begin), np.minimum(hi, end))
    lightest = -running_max_in(run, -average)
    # at the beginning the hand still accelerates: its load weighs what it weighs a moment later
    settled = np.minimum(begin + ragged.frames(settings.weighed_s).take(ragged.episode), end)
    weight = np.maximum(lightest.take(np.maximum(settled, np.arange(len(flown), dtype=np.int64))), 0.0)
    out: Bools = ~flown | (features.contact > features.contact_floor + (1.0 + settings.heavier_share) * weight)
    return out


def _way_before(features: Features, start: Ints, settings: StateSettings) -> tuple[Doubles, Doubles]:
    """Way of the hand just before each touch, m, shape (r, 3), and its length, shape (r,)."""
    ragged = features.ragged
    position = features.position if features.position is not None else np.zeros((len(features.missing), 3))
    before = np.maximum(start - 2 * ragged.frames(settings.sudden_s)[ragged.episode[start]], ragged.first[start])
    came = position[start] - position[before]
    return came, np.sqrt((came * came).sum(axis=1))


def _halts(features: Features, start: Ints, settings: StateSettings) -> Bools:
    """Touches after which little is left of the speed before, shape (r,)."""
    ragged = features.ragged
    if features.speed is None:
        return np.zeros(len(start), np.bool_)
    half = ragged.frames(settings.sudden_s)[ragged.episode[start]]
    before = features.speed[np.maximum(start - half, ragged.first[start])]
    after = features.speed[np.minimum(start + half, ragged.last[start])]
    out: Bools = (before > settings.carrying_speed) & (after < settings.stopped_share * before)
    return out


def _recoils(features: Features, start: Ints, stop: Ints, settings: StateSettings) -> Bools:
    """Touches after which the hand moves back along the way by which it came, shape (r,)."""
    ragged = features.ragged
    if features.position is None:
        return np.zeros(len(start), np.bool_)
    came, size = _way_before(features, start, settings)
    span = ragged.frames(settings.recoil_s)[ragged.episode[start]]
    after = np.minimum(np.minimum(stop, start + span), ragged.last[start])
    later = np.minimum(after + span, ragged.last[start])

    def ahead(at: Ints) -> Doubles:
        step = features.position[at] - features.position[start]  # type: ignore[index]
        return np.asarray((step * came).sum(axis=1) / np.maximum(size, 1e-9))

    out: Bools = (size > settings.came_m) & (np.maximum(ahead(after), 0.0) - ahead(later) > settings.recoil_m)
    return out


def _gives_way(features: Features, start: Ints, stop: Ints, settings: StateSettings) -> Bools:
    """Touches under which the hand goes on, farther than one that runs into something needs to stop, shape (r,)."""
    ragged = features.ragged
    if features.position is None or features.speed is None:
        return np.zeros(len(start), np.bool_)
    came, size = _way_before(features, start, settings)
    length = stop - start
    way = features.position - np.repeat(features.position[start], length, axis=0)
    ahead = (way * np.repeat(came / np.maximum(size, 1e-9)[:, None], length, axis=0)).sum(axis=1)
    before = np.maximum(start - ragged.frames(settings.sudden_s)[ragged.episode[start]], ragged.first[start])
    least = np.maximum(settings.recoil_m, settings.stops_s * features.speed[before])
    out: Bools = (size > settings.came_m) & (per_run(np.maximum, ahead, start) > least)
    return out


def _turns_away(features: Features, start: Ints, stop: Ints, settings: StateSettings) -> Bools:
    """Touches after which the hand goes elsewhere than it was going, shape (r,)."""
    ragged = features.ragged
    if features.position is None:
        return np.zeros(len(start), np.bool_)
    came, size = _way_before(features, start, settings)
    end = np.minimum(stop, ragged.last[start])
    after = np.minimum(end, start + 2 * ragged.frames(settings.sudden_s)[ragged.episode[start]])
    later = np.minimum(end + ragged.frames(settings.elsewhere_s)[ragged.episode[start]], ragged.last[start])
    gone = features.position[later] - features.position[after]
    far = np.sqrt((gone * gone).sum(axis=1))
    onward = (came * gone).sum(axis=1) > settings.elsewhere_cosine * size * far
    out: Bools = (size > settings.came_m) & (far > settings.recoil_m) & ~onward
    return out


def _runs_into(features: Features, start: Ints, settings: StateSettings) -> Bools:
    """Touches that end a motion sideways, shape (r,): strokes begin with coming down."""
    ragged = features.ragged
    if features.velocity is None or features.speed is None:
        return np.zeros(len(start), np.bool_)
    half = ragged.frames(settings.sudden_s)[ragged.episode[start]]
    before = np.maximum(start - half, ragged.first[start])
    after = np.minimum(start + 2 * half, ragged.last[start])
    came = features.velocity[before]
    sideways = np.hypot(came[:, 0], came[:, 1])
    stopped = features.speed[after] < settings.stopped_share * features.speed[before]
    # a hand that has come to rest before it touches has stopped of itself, and presses
    just = np.maximum(start - 1, ragged.first[start])
    rested = features.speed[just] < settings.rested_share * features.speed[before]
    out: Bools = (sideways > np.abs(came[:, 2])) & (sideways > settings.carrying_speed) & stopped & ~rested
    return out


def strokes(features: Features, other: Bools, settings: StateSettings) -> Bools:
    """Motion that turns back again and again at one height: strokes, however faint the force, shape (T,)."""
    ragged = features.ragged
    if features.position is None or features.velocity is None or features.speed is None or not len(other):
        return other & False
    aside = features.sideways
    lo, hi = ragged.around(settings.same_height_s)
    climb = np.abs(features.position[hi, 2] - features.position[lo, 2])
    level = (np.abs(features.velocity[:, 2]) < np.maximum(aside, features.still_below)) & ~other
    level &= climb < settings.lifted_m
    level = without_short(level, ragged, gap=0.12, run=0.3) & ~other
    start, stop = runs_of(level, ragged)
    low = per_run(np.minimum, features.position, start)
    high = per_run(np.maximum, features.position, start)
    span = np.hypot(*(high - low)[:, :2].T)
    path = per_run(np.add, aside * features.moving * ragged.period.take(ragged.episode), start)
    flat = (high - low)[:, 2] < settings.flown_m
    touched, turns_back = np.ones(len(start), np.bool_), settings.turns_back
    if features.touching is not None:
        # a force that comes and goes is enough where the motion says the rest, and less of the motion with it
        turns_back = settings.turns_back_felt
        felt, moved = (per_run(np.add, x.astype(np.int64), start) for x in (features.touching, features.moving))
        touched = felt > settings.touched_share * moved
    strokes = level[start] & touched & flat & (span > settings.stroke_m) & (path > turns_back * span)
    here, rubs = np.arange(len(level)), features.moving
    if features.touching is not None:
        rubs = rubs & features.touching
    first = np.repeat(per_run(np.minimum, np.where(rubs, here, len(level)), start), stop - start)
    # the stroke felt last goes on to its rest
    rest = next_where(~features.moving, np.repeat(stop - 1, stop - start))
    last = per_run(np.maximum, np.where(rubs, here, -1), start)
    last = np.repeat(np.where(rest[last] >= 0, rest[last], stop - 1), stop - start)
    begins = first if features.touching is not None else 0
    return np.repeat(strokes, stop - start) & (here >= begins) & (here <= last)


def pushes(features: Features, loaded: Bools, other: Bools, settings: StateSettings) -> Bools:
    """Something moves with a hand that does not hold it, shape (T,)."""
    ragged = features.ragged
    if features.company is None or features.hand_shift is None:
        return loaded & False
    along = features.company & (features.hand_shift > settings.company_m / 2) & ~loaded & ~other
    return without_short(along, ragged, gap=0.12, run=settings.press_s)


def unyielding(features: Features, pulling: Bools, dragging: Bools, settings: StateSettings) -> tuple[Bools, Bools]:
    """Where what is pulled does not give way, and where the hand then moves to and fro.

    Being stuck counts when the hand wiggles or gives up after it; what yields after a while was only tight.
    """
    ragged = features.ragged
    if features.position is None or features.speed is None:
        return pulling & False, pulling & False
    # what is pulled without giving way moves little: finer than the motion of a free hand
    fine = features.speed > np.maximum(settings.fine_speed, settings.fine_noise * features.rate_noise)
    held_fast = without_short(pulling | dragging, ragged, gap=settings.eases_s, run=0.0)
    motion = without_short(fine, ragged, gap=settings.turning_s, run=0.1)
    start, stop = runs_of(held_fast.astype(np.int64) * (1 + motion), ragged)
    kind = (held_fast.astype(np.int64) * (1 + motion))[start]
    step = features.position[stop - 1] - features.position[start]
    net = np.sqrt((step * step).sum(axis=1))
    path = per_run(np.add, features.speed * ragged.period.take(ragged.episode), start)
    seconds = (stop - start) * ragged.period[ragged.episode[start]]
    low = per_run(np.minimum, features.position, start)
    high = per_run(np.maximum, features.position, start)
    span = np.sqrt(((high - low) ** 2).sum(axis=1))
    wiggle = (kind == 2) & (path > 2.0 * net) & (net < 2 * settings.flown_m) & (seconds > settings.press_s)
    wiggle &= (span < 3 * settings.flown_m) & (span > settings.wiggle_m)
    rest = (kind == 1) & (seconds > settings.press_s)
    following = np.append(kind[1:], 0)
    then_wiggles = np.append(wiggle[1:], False)
    stuck = rest & (then_wiggles | (following == 0))
    # once the force is gone the attempt is over
    return np.repeat(stuck, stop - start) & pulling, np.repeat(wiggle, stop - start)


def coming_down(features: Features, bump: Bools) -> Bools:
    """Bumps that end a descent, for all of their frames."""
    ragged = features.ragged
    if features.velocity is None:
        return np.zeros(len(bump), np.bool_)
    start, stop = runs_of(bump, ragged)
    before = np.maximum(start - ragged.frames(0.2)[ragged.episode[start]], ragged.first[start])
    down = features.velocity[before]
    steep = (down[:, 2] < 0) & (np.abs(down[:, 2]) > np.hypot(down[:, 0], down[:, 1]))
    return np.repeat(steep & bump[start], stop - start)
