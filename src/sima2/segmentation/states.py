"""Features → what the arm and its gripper are physically doing at each frame."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Final

import numpy as np

from sima2.segmentation.features import Features
from sima2.segmentation.motion import MotionSettings, carries
from sima2.segmentation.signals import (
    Bools,
    Doubles,
    Ints,
    Ragged,
    among,
    last_where,
    next_where,
    per_run,
    running_max_in,
    runs_of,
    without_short,
)


class State(IntEnum):
    """Physical state of one arm at one frame."""

    UNKNOWN = 0
    STILL = 1
    """Unloaded and at rest."""
    FREE = 2
    """Unloaded and moving."""
    CLOSING = 3
    OPENING = 4
    HOLD = 5
    """Loaded and at rest."""
    RISE = 6
    """Loaded, mainly up."""
    SIDE = 7
    """Loaded, mainly sideways."""
    DOWN = 8
    """Loaded, mainly down."""
    PRESS = 9
    """Sustained external force along or across the motion."""
    SLIP = 10
    """The load moves against the hand."""
    BUMP = 11
    """External force that nothing explains."""
    STROKE = 12
    """Unloaded, pressed on something that does not move along."""
    BLOCKED = 13
    """A load on its way down is stopped."""
    STUCK = 14
    """Force on what is held, and it does not give way."""
    WIGGLE = 15
    """To and fro under force, getting nowhere."""


BY_CARRY: Final = np.array([State.HOLD, State.RISE, State.SIDE, State.DOWN, State.STROKE])
"""State of each :class:`~sima2.segmentation.motion.Carry`."""


BEYOND: Final = 10.0
"""Times the range of the fingers: no travel is that far."""


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Spans and shares of the states, each with its reason."""

    finger_share_per_s: float = 0.12
    """Fingers move when they would cross that share of their range in a second; the slowest grippers need 3 s."""
    finger_travel: float = 0.05
    """Share of the range that a closing or opening covers at least."""
    begun_share: float = 0.005
    """Fingers have begun to move where they are farther than that share of their range from where they were."""
    letting_go: float = 0.02
    """The same of an opening with which the grip force ends."""
    able_m: float = 0.004
    """m; fingers whose range so far is smaller have not been used."""
    able_share: float = 0.15
    """The same as a share, where only the opening 0–1 is known."""
    flicker_s: float = 0.08
    """States shorter than that are noise (the convention's shortest segment is 0.1 s)."""
    fade_s: float = 0.3
    """Grip force fades so long before slow fingers are seen to open."""
    company_m: float = 0.02
    """Displacement of the hand over the window of ``together_s`` that would leave behind what is not held."""
    company_s: float = 0.3
    """What has travelled with the hand for so long was in it."""
    reach_m: float = 0.2
    """What lies so much farther from the hand than what it holds as a rule has not been grasped by it."""
    unfelt_s: float = 0.3
    """A load that is felt again within so much, with no finger moved, was never lost."""
    load_gap: float = 0.03
    """Share of the range between the fingers that tells a load from nothing."""
    pose_delay_s: float = 0.12
    """Object poses of camera trackers come late by up to so much."""
    grown: float = 1.5
    """Force at so many times that of the closing is pulled with."""
    strained_factor: float = 3.0
    """Grip force at so many times that of the grasp is not the gripper's."""
    eased_s: float = 0.3
    eased_share: float = 0.65
    """A grip has let up where it is below that share of what it is ``eased_s`` before and after."""
    flown_m: float = 0.02
    """Rise after which a load is free of what it stood on or in."""
    slip_share: float = 0.2
    """Relative over absolute displacement above which a load slips."""
    falls_s: float = 0.6
    """A load let go above a table has fallen for good by then (1.8 m at g)."""
    at_once_s: float = 0.1
    """Fingers that close as soon as they are open did not mean to open."""
    carrying_speed: float = 0.05
    """m/s; a hand that opens its fingers at more than that does not mean to put down."""
    fine_speed: float = 0.005
    fine_noise: float = 3.5
    """m/s, and deviations of the speed's noise: what wiggles under force moves less than a free hand."""
    turning_s: float = 0.3
    """A wiggle rests no longer where it turns."""
    wiggle_m: float = 0.004
    """Extent of a wiggle at least."""
    eases_s: float = 0.6
    """Force that comes back within so much belongs to the same struggle."""
    recoil_s: float = 0.7
    recoil_m: float = 0.01
    """A hand that has run into something moves back by more than that, within so much at the first and again so much
    (the reaction time of people and of stage controllers is a third to half a second)."""
    elsewhere_s: float = 1.0
    elsewhere_cosine: float = 0.5
    """One that was stopped goes elsewhere within so much after the touch: at more than 60° from where it was going."""
    insists_s: float = 2.0
    """Longer than people and controllers take to give way to what they have run into."""
    stops_s: float = 0.1
    """A hand that runs into something that does not give way has stopped within so much of its speed."""
    came_m: float = 0.005
    """Way just before a touch without which nothing is run into."""
    sudden_s: float = 0.15
    sudden_newtons: float = 1.0
    sudden_share: float = 8.0
    """A bump rises by more than so many newtons plus noise deviations within ``sudden_s``."""
    set_down_m: float = 0.03
    """A load whose touch is followed by so short a way until the fingers open was being set down."""
    rested_share: float = 0.3
    """Below that share of its speed of a moment ago it has come to rest."""
    stopped_share: float = 0.4
    """What runs into something is left with less than that share of its speed."""
    same_height_s: float = 0.3
    """Half window over which strokes keep their height."""
    touched_share: float = 0.2
    """Of such a motion, in which some force must be felt where force is recorded."""
    turns_back: float = 2.2
    turns_back_felt: float = 1.8
    """Path over span of a motion that turns back on itself; less is enough where it is felt."""
    weighed_s: float = 0.5
    """A load that has left the ground hangs as heavy as it is within so much."""
    heavier_share: float = 0.5
    """By that share of its weight a load is heavier while it is carried up or round: half g is a fast arm."""
    press_s: float = 0.3
    """Force held so long is work on something, not a bump."""
    hard_newtons: float = 25.0
    """What slides under a push resists with less than its weight, and such hands do not push more than 2.5 kg."""
    firm: float = 2.0
    """Mean force of strokes over the least force that stands out."""
    lifted_m: float = 0.012
    """A tool that touches again within so much, and has not risen by so much, was not lifted."""
    stroke_m: float = 0.05
    """Path under force that makes a stroke."""
    motion: MotionSettings = MotionSettings()
    """Of movements with a load where the hand is not tracked."""


@dataclass(frozen=True, eq=False)
class States:
    """State of every frame, and what it is about; shape (T,) each."""

    code: Ints
    """:class:`State`."""
    loaded: Bools
    load: Ints
    """Slot of the object in the hand, or last in it; -1 where none is known."""
    flown: Bools
    """The load has been lifted since it was grasped."""
    unsure: Bools
    """Loaded by assumption: the fingers are closed, and nothing tells whether something is between them."""
    moved_with: Ints
    """Another slot that moves with the load (the body of a handle), -1 where none."""

    def take(self, rows: Ints) -> States:
        """Some of the frames."""
        return States(**{each.name: getattr(self, each.name).take(rows) for each in fields(self)})


def compute_states(features: Features, settings: StateSettings) -> States:
    """States of every frame of one arm."""
    ragged = features.ragged
    frames = len(ragged.time)
    closing, opening = _fingers(features, settings)
    shut = _shut(features, closing, opening)
    fist = _fist(features, shut, opening, settings)
    # pads that were pressed apart and come together again close on nothing
    closing = closing & ~fist
    shut = _shut(features, closing, opening)
    loaded = _loaded(features, shut & ~fist, closing, opening, settings)
    load, moved_with = _load(features, loaded, settings)
    flown = _flown(features, loaded, closing, settings)
    slip = _slip(features, loaded, shut, closing, opening, load, settings)
    strained = _strained(features, loaded & ~flown, settings)
    slip &= ~strained
    press, stroke, bump = _contacts(features, loaded, flown, closing, opening, slip, settings)
    level = _strokes(features, slip | closing | opening, settings)
    bump = bump & ~level
    press = press | (level & loaded) | strained
    if features.touching is not None or features.object_position is not None:
        # an empty hand of which nothing but its way is known may as well be waving
        stroke = stroke | (level & ~loaded)
    press &= ~_settles(features, loaded, closing, settings)
    press = press | (_pushes(features, loaded, slip | closing | opening, settings) & ~bump & ~stroke)

    loaded = loaded & ~_gone(loaded, slip, opening, ragged, settings)
    moving = without_short(features.moving, ragged, gap=settings.flicker_s, run=settings.flicker_s)
    code = np.where(moving, State.FREE, State.STILL).astype(np.int64)
    code[loaded] = State.HOLD
    if features.velocity is not None:
        up = features.velocity[:, 2]
        steep = np.abs(up) > features.sideways
        code[loaded & moving] = State.SIDE
        code[loaded & moving & steep & (up > 0)] = State.RISE
        code[loaded & moving & steep & (up < 0)] = State.DOWN
    else:
        carried = carries(features, loaded, opening, settings.motion)
        code[loaded & moving] = BY_CARRY[carried[loaded & moving]]
    if features.velocity is not None:
        # what comes up with the hand is lifted, however heavy
        press = press & ~(loaded & moving & steep & (up > 0))
    code[press] = State.PRESS
    code[stroke] = State.STROKE
    if features.position is not None:
        stuck, wiggle = _unyielding(features, press & loaded & ~flown, loaded & ~flown & moving, settings)
        code[stuck] = State.STUCK
        code[wiggle] = State.WIGGLE
    code[closing] = State.CLOSING
    code[opening] = State.OPENING
    code[_collapsed(closing, opening, loaded, ragged, settings)] = State.SLIP
    slip &= ~_before_opening(features, slip, opening, settings)
    code[slip | _let_fall(features, loaded & flown, opening, closing, load, settings)] = State.SLIP
    code[bump] = State.BUMP
    if features.position is not None:
        code[bump & loaded & _coming_down(features, bump)] = State.BLOCKED
    if features.speed is None:
        code[:] = State.UNKNOWN
    else:
        gone = without_short(features.missing, ragged, gap=0.0, run=0.25)
        code[gone] = State.UNKNOWN
    code = _steady(code, features, settings) if frames else code
    unsure = loaded & _unsure(features, settings)
    return States(code=code, loaded=loaded, load=load, flown=flown, unsure=unsure, moved_with=moved_with)


def _fingers(features: Features, settings: StateSettings) -> tuple[Bools, Bools]:
    """Where the fingers close and open."""
    ragged = features.ragged
    nothing = np.zeros(len(ragged.time), np.bool_)
    if features.width is None or features.width_rate is None:
        return nothing, nothing
    half = ragged.frames(0.1).take(ragged.episode)
    rate_noise = features.width_noise * np.sqrt(2.0 / (half + 1)) / (half * ragged.period.take(ragged.episode))
    fast = np.maximum(settings.finger_share_per_s * features.width_range, 5.0 * rate_noise)
    able = features.width_range > (settings.able_m if features.metric_width else settings.able_share)
    found: list[Bools] = []
    for sign in (-1.0, 1.0):
        mask = without_short(
            (sign * features.width_rate > fast) & able,
            ragged,
            gap=settings.flicker_s,
            run=settings.flicker_s,
        )
        start, stop = runs_of(mask, ragged)
        travel = np.abs(features.width[np.minimum(stop, ragged.last[start])] - features.width[start])
        share = np.full(len(start), settings.finger_travel)
        if sign > 0 and features.gripping is not None:
            # fingers that were pressing and no longer are have let go, however little they opened
            reach = ragged.frames(settings.fade_s)[ragged.episode[start]]
            pressed = features.gripping[np.maximum(start - reach, ragged.first[start])]
            freed = ~features.gripping[np.minimum(stop, ragged.last[start])]
            share[pressed & freed] = settings.letting_go
            # and those that press on, however far they spread, yield to what they hold
            if features.grip is not None:
                end = np.minimum(stop, ragged.last[start])
                share[~freed & (features.grip[end] > settings.eased_share * features.grip[start])] = BEYOND
        enough = np.maximum(share * features.width_range[start], 5.0 * features.width_noise[start])
        keep = mask[start] & (travel > enough)
        found.append(_under_way(features, start, stop, keep, sign, settings))
    return found[0], found[1]


def _under_way(features: Features, start: Ints, stop: Ints, keep: Bools, sign: float, settings: StateSettings) -> Bools:
    """Runs of moving fingers without what smoothing puts before them, nor yielding to a load, shape (T,).

    Pads and links give way under a firm grip: fingers that spread, while they grip as firmly as before or what they
    grip still goes where the hand goes, have not opened.
    """
    begun = np.maximum(settings.begun_share * features.width_range, 3.0 * features.width_noise)
    span = stop - start
    before = np.repeat(features.width[start], span) if features.width is not None else np.zeros(span.sum())
    begins = sign * (features.width - before) > begun if features.width is not None else before > 0
    if sign > 0 and features.gripping is not None and features.grip is not None:
        firm = features.grip > settings.eased_share * np.repeat(features.grip[start], span)
        begins = begins & ~(features.gripping & (firm if features.company is None else firm | features.company))
    first = per_run(np.minimum, np.where(begins, np.arange(len(begins)), len(begins)), start)
    # the frame before the first that has moved
    first = np.maximum(first - 1, start)
    return np.repeat(keep, span) & (np.arange(len(begins)) >= np.repeat(first, span))


def _shut(features: Features, closing: Bools, opening: Bools) -> Bools:
    """Fingers closed on something or on nothing: from the end of a closing to the next opening."""
    ragged = features.ragged
    if features.width is None:
        return np.ones(len(ragged.time), np.bool_)
    closed_at = last_where(closing, ragged.first)
    opened_at = last_where(opening, ragged.first)
    # before any finger motion nothing is known of a load; only force or company can show one there
    out: Bools = (closed_at > opened_at) & ~closing & ~opening
    return out


def _loaded(features: Features, shut: Bools, closing: Bools, opening: Bools, settings: StateSettings) -> Bools:
    """Something is in the hand."""
    ragged = features.ragged
    busy = closing | opening
    gap: Any = None
    held: Any
    if features.width is not None:
        # where nothing tells, the fingers are taken to have closed on something, and the outcome is left open
        gap = _gap(features, settings) | _untold(features, settings)
    if features.gripping is not None and features.grip_faint is not None:
        # a grip begins clearly and goes on faintly; what travels with closed fingers is held however faintly
        start, stop = runs_of(features.grip_faint & ~busy, ragged)
        held = np.repeat(per_run(np.logical_or, features.gripping & ~busy, start), stop - start)
        held = held & features.grip_faint & ~busy
        if gap is not None:
            held = held & gap
            if features.company is not None:
                # what travels with closed fingers is held, however thin
                held |= without_short(shut & features.company, ragged, gap=0.12, run=settings.company_s)
    elif gap is not None:
        held = shut & (gap if features.blocked is None else gap | features.blocked)
        if features.company is not None and features.hand_shift is not None:
            # poses are known: a hand that travels while nothing travels with it is empty
            held = held & ~_travels_alone(features, shut, features.company)
        else:
            # fingers alone cannot show when a load is lost: what was closed on something stays so until they open
            brought = _brought(features, closing, opening)
            held = _whole_runs(shut | brought, held | (brought & gap), ragged)
            shut = shut | brought
    else:
        held = np.zeros(len(busy), np.bool_) if features.company is None else features.company
    if features.width is not None:
        # a load comes between the fingers when they close on it, or was there from the start
        untouched = (last_where(busy, ragged.first) < 0) & ~busy
        gripped = untouched & ~_wide_open(features, settings) if features.gripping is not None else untouched & False
        held = (held & (shut | gripped)) | _from_the_start(features, untouched, settings)
    felt = held & ~busy
    held = without_short(felt, ragged, gap=settings.unfelt_s, run=0.1) & ~busy
    if features.gripping is not None:
        # a grip with which the episode begins may be as short as it likes
        start, stop = runs_of(felt, ragged)
        held = held | np.repeat(felt[start] & (start == ragged.first[start]), stop - start)
    return _until_opening(features, held, shut, closing, opening, settings)


def _wide_open(features: Features, settings: StateSettings) -> Bools:
    """The fingers are as far apart as is known of them: what presses on them is not between them, shape (T,)."""
    if features.width is None:
        return np.zeros(len(features.ragged.time), np.bool_)
    open_end = features.width_closed + features.width_range
    return np.asarray(features.width > open_end - settings.load_gap * features.width_range)


def _fist(features: Features, shut: Bools, opening: Bools, settings: StateSettings) -> Bools:
    """From where closing fingers have met, with no grip, to where they open: what presses on them spreads them."""
    ragged = features.ragged
    gap = _gap(features, settings) | _untold(features, settings)
    nothing = ~gap if features.gripping is None else ~gap & ~features.gripping
    if features.company is not None:
        nothing &= ~features.company
    if features.blocked is not None:
        nothing &= ~features.blocked
    start, stop = runs_of(shut, ragged)
    settled = np.minimum(start + ragged.frames(settings.flicker_s)[ragged.episode[start]], stop - 1)
    met = shut[start] & nothing[start] & nothing[settled]
    at = np.zeros(len(shut), np.bool_)
    at[start[met]] = True
    met_at, opened_at = last_where(at, ragged.first), last_where(opening, ragged.first)
    return np.asarray((met_at >= 0) & (met_at > opened_at))


def _gap(features: Features, settings: StateSettings) -> Bools:
    """The fingers stop before the most closed that is known of them, shape (T,)."""
    if features.width is None:
        return np.zeros(len(features.ragged.time), np.bool_)
    least = np.maximum(settings.load_gap * features.width_range, 4.0 * features.width_noise)
    return np.asarray(features.width > features.width_closed + least)


def _unsure(features: Features, settings: StateSettings) -> Bools:
    """Fingers alone do not tell whether something is between them, shape (T,).

    Their closed end is not known, they stop at the most closed that was seen, and neither command, grip force nor
    company speaks for a load.
    """
    if features.gripping is not None or features.object_position is not None:
        return np.zeros(len(features.ragged.time), np.bool_)
    return _untold(features, settings)


def _untold(features: Features, settings: StateSettings) -> Bools:
    """The width of the fingers does not tell whether something is between them, nor does their command, shape (T,)."""
    if features.width is None or features.closed_known is None:
        return np.zeros(len(features.ragged.time), np.bool_)
    unknown = ~features.closed_known & ~_gap(features, settings)
    return unknown if features.blocked is None else unknown & ~features.blocked


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


def _brought(features: Features, closing: Bools, opening: Bools) -> Bools:
    """Before the fingers first move, if they then open at rest after a way: they let go what the arm came with.

    Fingers that open on the way prepare for a grasp, and those that open before any way say nothing.
    """
    ragged = features.ragged
    fingers = next_where(closing | opening, ragged.last)
    start, stop = runs_of(last_where(closing | opening, ragged.first) < 0, ragged)
    travelled = per_run(np.logical_or, features.moving, start)
    opens = np.maximum(fingers[start], 0)
    let_go = (fingers[start] == stop) & opening[opens] & ~features.moving[opens]
    first = (start == ragged.first[start]) & ~(closing | opening)[start]
    return np.repeat(first & travelled & let_go, stop - start)


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


def _gone(loaded: Bools, slip: Bools, opening: Bools, ragged: Ragged, settings: StateSettings) -> Bools:
    """Short remainders of a load between its slip and the opening of the fingers: it was lost."""
    start, stop = runs_of(loaded & ~slip, ragged)
    brief = stop - start <= ragged.frames(settings.fade_s)[ragged.episode[start]]
    after_slip = (start > ragged.first[start]) & slip[np.maximum(start - 1, 0)]
    then_opens = (stop <= ragged.last[start]) & opening[np.minimum(stop, len(loaded) - 1)] if len(loaded) else brief
    return np.repeat((loaded & ~slip)[start] & brief & after_slip & then_opens, stop - start)


def _whole_runs(runs: Bools, evidence: Bools, ragged: Ragged) -> Bools:
    """The runs for more than half of which there is evidence."""
    start, stop = runs_of(runs, ragged)
    share = per_run(np.add, evidence.astype(np.int64), start) / np.maximum(stop - start, 1)
    return np.repeat(runs[start] & (share > 0.5), stop - start)


def _travels_alone(features: Features, shut: Bools, accompanied: Bools) -> Bools:
    """Closed spans in which the hand travels 5 cm and no object has moved with it."""
    ragged = features.ragged
    start, stop = runs_of(shut, ragged)
    speed = features.speed if features.speed is not None else np.zeros(len(shut))
    step = speed * ragged.period.take(ragged.episode)
    travel = per_run(np.add, step, start)
    company = per_run(np.add, accompanied.astype(np.int64), start)
    alone = shut[start] & (travel > 0.05) & (company * ragged.period[ragged.episode[start]] < 0.1)
    return np.repeat(alone, stop - start)


def _load(features: Features, loaded: Bools, settings: StateSettings) -> tuple[Ints, Ints]:
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


def _flown(features: Features, loaded: Bools, closing: Bools, settings: StateSettings) -> Bools:
    """The hand holds something, and has risen since its fingers closed on it; or it came with it."""
    ragged = features.ragged
    if features.position is None or not len(loaded):
        return np.zeros(len(loaded), np.bool_)
    last_closed = last_where(closing, ragged.first)
    closed = np.maximum(last_closed, ragged.first)
    height = features.position[:, 2]
    rise = height - height.take(closed)
    return ((running_max_in(closed, rise) > settings.flown_m) | (last_closed < 0)) & loaded


def _slip(
    features: Features,
    loaded: Bools,
    shut: Bools,
    closing: Bools,
    opening: Bools,
    load: Ints,
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


def _settles(features: Features, loaded: Bools, closing: Bools, settings: StateSettings) -> Bools:
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


def _strained(features: Features, held: Bools, settings: StateSettings) -> Bools:
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


def _before_opening(features: Features, slip: Bools, opening: Bools, settings: StateSettings) -> Bools:
    """Slips from a hand at rest right before its fingers are seen to open: slow ones let go before that, shape (T,)."""
    ragged = features.ragged
    if features.speed is None or not slip.any():
        return slip & False
    start, stop = runs_of(slip, ragged)
    at = np.minimum(stop, ragged.last[start])
    reach = ragged.frames(settings.fade_s)[ragged.episode[start]]
    rests = per_run(np.maximum, features.speed, start) < settings.carrying_speed
    return np.repeat(slip[start] & opening[at] & (stop - start <= reach) & rests, stop - start)


def _let_fall(
    features: Features, flown: Bools, opening: Bools, closing: Bools, load: Ints, settings: StateSettings
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


def _goes_on(features: Features, start: Ints, settings: StateSettings) -> Bools:
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


def _taken_again(features: Features, start: Ints, slot: Ints, closing: Bools, settings: StateSettings) -> Bools:
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


def _stays(features: Features, mask: Bools, load: Ints, slack: Doubles, settings: StateSettings) -> Bools:
    """Runs of the mask over which the load's place in the hand changes for good, shape (T,)."""
    ragged = features.ragged
    if features.object_position is None or features.position is None or features.velocity is None:
        return mask & False
    start, stop = runs_of(mask, ragged)
    margin = ragged.frames(0.2)[ragged.episode[start]]
    a = np.maximum(start - margin, ragged.first[start])
    b = np.minimum(stop - 1 + margin, ragged.last[start])
    own = np.maximum(load[start], 0)
    shift = (features.object_position[b, own] - features.position[b]) - (
        features.object_position[a, own] - features.position[a]
    )
    # a late pose stands off by delay times velocity: what no delay explains of the shift has slipped
    change = features.velocity[b] - features.velocity[a]
    delay = -(shift * change).sum(axis=1) / np.maximum((change * change).sum(axis=1), 1e-12)
    rest = shift + np.clip(delay, 0.0, settings.pose_delay_s)[:, None] * change
    lasting = np.sqrt((rest * rest).sum(axis=1)) - features.swing(a, b) > slack[start] + 0.004
    return np.repeat(mask[start] & lasting & (load[start] >= 0), stop - start)


def _collapsed(closing: Bools, opening: Bools, loaded: Bools, ragged: Ragged, settings: StateSettings) -> Bools:
    """Fingers that close from a load to none: it has slipped out from between them, shape (T,)."""
    start, stop = runs_of(closing, ragged)
    reach = ragged.frames(settings.fade_s)[ragged.episode[start]]
    before = last_where(loaded, ragged.first)[start]
    after = next_where(loaded, ragged.last)[np.minimum(stop, ragged.last[start])]
    let_go = last_where(opening, ragged.first)[start]
    held_before = (before > let_go) & (start - before <= reach)
    held_after = (after >= 0) & (after - stop <= reach)
    return np.repeat(closing[start] & held_before & ~held_after, stop - start)


def _contacts(
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


def _strokes(features: Features, other: Bools, settings: StateSettings) -> Bools:
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


def _pushes(features: Features, loaded: Bools, other: Bools, settings: StateSettings) -> Bools:
    """Something moves with a hand that does not hold it, shape (T,)."""
    ragged = features.ragged
    if features.company is None or features.hand_shift is None:
        return loaded & False
    along = features.company & (features.hand_shift > settings.company_m / 2) & ~loaded & ~other
    return without_short(along, ragged, gap=0.12, run=settings.press_s)


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


def _way_before(features: Features, start: Ints, settings: StateSettings) -> tuple[Doubles, Doubles]:
    """Way of the hand just before each touch, m, shape (r, 3), and its length, shape (r,)."""
    ragged = features.ragged
    position = features.position if features.position is not None else np.zeros((len(features.missing), 3))
    before = np.maximum(start - 2 * ragged.frames(settings.sudden_s)[ragged.episode[start]], ragged.first[start])
    came = position[start] - position[before]
    return came, np.sqrt((came * came).sum(axis=1))


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


def _unyielding(features: Features, pulling: Bools, dragging: Bools, settings: StateSettings) -> tuple[Bools, Bools]:
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


def _coming_down(features: Features, bump: Bools) -> Bools:
    """Bumps that end a descent, for all of their frames."""
    ragged = features.ragged
    if features.velocity is None:
        return np.zeros(len(bump), np.bool_)
    start, stop = runs_of(bump, ragged)
    before = np.maximum(start - ragged.frames(0.2)[ragged.episode[start]], ragged.first[start])
    down = features.velocity[before]
    steep = (down[:, 2] < 0) & (np.abs(down[:, 2]) > np.hypot(down[:, 0], down[:, 1]))
    return np.repeat(steep & bump[start], stop - start)


def _steady(code: Ints, features: Features, settings: StateSettings) -> Ints:
    """Give runs shorter than the flicker time to the run before them (the first ones to the run after)."""
    ragged = features.ragged
    start, stop = runs_of(code, ragged)
    long = (stop - start) >= ragged.frames(settings.flicker_s)[ragged.episode[start]]
    long |= among(code[start], (State.CLOSING, State.OPENING, State.SLIP))
    episode = ragged.episode[start]
    first = np.searchsorted(episode, episode)
    last = np.searchsorted(episode, episode, side="right") - 1
    before = last_where(long, first)
    after = next_where(long, last)
    source = np.where(before >= 0, before, np.where(after >= 0, after, np.arange(len(start))))
    return np.repeat(code[start][source], stop - start)
