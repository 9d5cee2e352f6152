"""Features → what the hand touches: work that is meant, and what it runs into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.segmentation.features import Features, length_of
from sima2.segmentation.signals import last_where, next_where, per_run, running_max_in, runs_of, without_short
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
        features.touching & _more_than_weight(features, flown, settings), features.ragged, gap=0.12, run=0.05
    )
    touches = Touches(
        features,
        settings,
        position=features.position,
        speed=features.speed,
        contact=features.contact,
        contact_floor=features.contact_floor,
        touching=touching,
        loaded=loaded,
        flown=flown,
        closing=closing,
        opening=opening,
    )
    kind = np.repeat(touches.kinds(), touches.length)
    # what nothing explains is a bump from where it grows hard
    hard = touching & ~loaded & (features.contact > settings.hard_newtons) & (kind == Touch.UNTOLD)
    since = last_where(hard, features.ragged.first) >= np.repeat(touches.start, touches.length)
    bump = (kind == Touch.BUMP) | (touching & since)
    return (kind == Touch.WORK) & ~slip, (kind == Touch.STROKE) & ~slip, bump


class Touch(IntEnum):
    """What a touch is."""

    UNTOLD = 0
    WORK = 1
    """On what is held, or moves along."""
    STROKE = 2
    """Along what stays where it is."""
    MEANT = 3
    """Part of a grasp, of a release, or of a motion that goes on as it was."""
    BUMP = 4
    """Unmeant."""


@dataclass(frozen=True, eq=False)
class Touches:
    """Runs of frames with and without a touch, and what speaks for what each of them is; shape (r,) each."""

    features: Features
    settings: StateSettings
    position: Float64s
    speed: Float64s
    contact: Float64s
    contact_floor: Float64s
    touching: Bools
    """External force over what the load weighs, shape (T,)."""
    loaded: Bools
    flown: Bools
    closing: Bools
    opening: Bools

    def kinds(self, rules: tuple[TouchRule, ...] | None = None) -> Int64s:
        """:class:`Touch` of each run: the first rule that holds names it."""
        out = np.full(len(self.start), Touch.UNTOLD, np.int64)
        left = self.touching[self.start]
        for rule in TOUCH_RULES if rules is None else rules:
            found = left & rule.holds(self)
            out[found] = rule.kind
            left = left & ~found
        return out

    @cached_property
    def _runs(self) -> tuple[Int64s, Int64s]:
        return runs_of(self.touching, self.features.ragged)

    @property
    def start(self) -> Int64s:
        """First frame."""
        return self._runs[0]

    @property
    def stop(self) -> Int64s:
        """Frame after the last."""
        return self._runs[1]

    @property
    def length(self) -> Int64s:
        """Frames."""
        return self.stop - self.start

    @cached_property
    def seconds(self) -> Float64s:
        """Duration."""
        ragged = self.features.ragged
        return self.length * ragged.period[ragged.episode[self.start]]

    @property
    def long(self) -> Bools:
        """Long enough for work."""
        return self.seconds >= self.settings.press_s

    def frames(self, seconds: float) -> Int64s:
        """Frames of so many seconds."""
        ragged = self.features.ragged
        return ragged.frames(seconds)[ragged.episode[self.start]]

    def share(self, mask: Bools) -> Float64s:
        """Share of the run in which the mask holds."""
        out: Float64s = per_run(np.add, mask.astype(np.int64), self.start) / np.maximum(self.length, 1)
        return out

    def latest(self, mask: Bools) -> Int64s:
        """Frame before or at the start where the mask last holds, -1 where none."""
        return last_where(mask, self.features.ragged.first)[self.start]

    def coming(self, mask: Bools) -> Int64s:
        """Frame after or at the start where the mask next holds, -1 where none."""
        return next_where(mask, self.features.ragged.last)[self.start]

    @cached_property
    def way(self) -> Float64s:
        """Way of the moving hand in each frame, m, shape (T,)."""
        features = self.features
        return self.speed * features.moving * features.ragged.period.take(features.ragged.episode)

    @cached_property
    def path(self) -> Float64s:
        """Way of the hand over the run, m."""
        return per_run(np.add, self.way, self.start)

    @cached_property
    def came(self) -> tuple[Float64s, Float64s]:
        """Way just before, and its length, m."""
        return _way_before(self.features, self.start, self.settings)

    @property
    def comes_down(self) -> Bools:
        """The touch ends a descent."""
        came, size = self.came
        return np.asarray(-came[:, 2] > self.settings.down_cosine * size)

    @cached_property
    def with_load(self) -> Bools:
        """The hand holds something over most of the run."""
        return np.asarray(self.share(self.loaded) > 0.5)

    @cached_property
    def at_first(self) -> Bools:
        """The hand holds something as the touch begins."""
        before = np.maximum(self.start - 1, self.features.ragged.first[self.start])
        return self.loaded[self.start] | self.loaded[before]

    @property
    def in_air(self) -> Bools:
        """What it holds has been lifted."""
        return np.asarray(self.share(self.flown) > 0.5)

    @cached_property
    def flying(self) -> Bools:
        """What it holds was in the air as the touch began."""
        return self.at_first & self.flown[np.minimum(self.start + 1, self.stop - 1)]

    @cached_property
    def into(self) -> Bools:
        """A load in the air runs into something."""
        return self.flying & _runs_into(self.features, self.start, self.settings)

    @cached_property
    def halts(self) -> Bools:
        """Little is left of the speed."""
        return _halts(self.features, self.start, self.settings)

    @cached_property
    def firm(self) -> Bools:
        """Clearly over the least force that stands out: sensors drift."""
        mean = per_run(np.add, np.maximum(self.contact, 0.0), self.start) / self.length
        return np.asarray(mean > self.settings.firm * self.contact_floor[self.start])

    @cached_property
    def stroke(self) -> Bools:
        """A way along what is touched: of a hand that comes down and presses, only that sideways."""
        features = self.features
        aside = features.sideways * features.moving * features.ragged.period.take(features.ragged.episode)
        along = per_run(np.add, aside, self.start)
        return np.asarray(np.where(self.comes_down, along, self.path) > self.settings.stroke_m)

    @cached_property
    def yields(self) -> Bools:
        """What gives way under an empty hand is pushed."""
        return _gives_way(self.features, self.start, self.stop, self.settings) & ~self.with_load

    @property
    def insists(self) -> Bools:
        """A hand that stays and presses on means to."""
        return (self.seconds > self.settings.insists_s) & ~self.at_first & ~self.with_load

    @property
    def company(self) -> Bools:
        """Something moves along."""
        if self.features.company is None:
            return np.zeros(len(self.start), np.bool_)
        return np.asarray(self.share(self.features.company) > self.settings.company_share)

    @property
    def still_fingers(self) -> Bools:
        """The fingers do not close meanwhile."""
        return np.asarray(self.share(self.closing) < 0.05)

    @cached_property
    def just_closed(self) -> Bools:
        """The fingers have closed a moment ago."""
        closed = self.latest(self.closing)
        return (closed >= 0) & (self.start - closed <= self.frames(self.settings.just_s))

    @cached_property
    def pushes(self) -> Bools:
        """Work of an empty hand."""
        pushed = (
            ((self.insists | self.guarded) & self.firm) | (self.company & ~self.just_closed) | (self.yields & self.firm)
        )
        pushed |= self.stroke & self.firm & (self.seconds > self.settings.rub_s)
        return ~self.with_load & self.still_fingers & self.long & pushed

    @cached_property
    def unmeant(self) -> Bools:
        """The hand recoils, is turned away or halts for a moment, and nothing has given way under it."""
        settings, size = self.settings, self.came[1]
        away = _turns_away(self.features, self.start, self.stop, settings) & ~self.insists
        out = self.halts & (size > settings.came_m) & (away | ~self.long)
        out |= _recoils(self.features, self.start, self.stop, settings)
        return out & ~self.yields & ~self.guarded

    @cached_property
    def guarded(self) -> Bools:
        """An empty hand that has rested just before, close by, and stays there pressing, came to touch."""
        features, ragged, start = self.features, self.features.ragged, self.start
        rested = last_where(~features.moving, ragged.first)[start]
        step = self.position[start] - self.position[np.maximum(rested, 0)]
        near = (rested >= 0) & ((step * step).sum(axis=1) < self.settings.guard_m**2)
        late = np.maximum(self.stop - np.maximum(self.length // 3, 1), start)
        held = ragged.mean(self.contact, late, self.stop - 1)
        leans = held > self.settings.leans_share * per_run(np.maximum, self.contact, start)
        long = self.seconds > self.settings.leans_s
        return np.asarray(near & leans & long & ~self.at_first & ~self.with_load)


def _pulls(touch: Touches) -> Bools:
    """A firm hold on what has not been lifted."""
    return touch.with_load & ~touch.in_air & touch.long & ~touch.into & touch.firm


def _wipes(touch: Touches) -> Bools:
    """A way along something with what is held."""
    long = touch.long & (touch.seconds > touch.settings.wipe_s)
    return touch.with_load & touch.in_air & long & touch.stroke & ~touch.into


def _pushes_along(touch: Touches) -> Bools:
    """What an empty hand works on moves along, gives way or is leant on."""
    if touch.features.together is not None:
        return touch.pushes & (touch.company | touch.yields | touch.insists | touch.guarded)
    # with no poses: strokes turn back, a push does not
    step = touch.position[touch.stop - 1] - touch.position[touch.start]
    return np.asarray(touch.pushes & (touch.path < touch.settings.straight * np.sqrt((step**2).sum(axis=1))))


def _rubs(touch: Touches) -> Bools:
    """What an empty hand works on stays where it is."""
    return touch.pushes


def _grasps(touch: Touches) -> Bools:
    """The fingers have just closed, or close where they have just touched or pressed until they hold something."""
    ragged, end = touch.features.ragged, touch.stop - 1
    just, closes = touch.frames(touch.settings.just_s), touch.coming(touch.closing)
    held = next_where(touch.loaded, ragged.last)[np.minimum(touch.stop, ragged.last[touch.start])]
    soon = (closes <= touch.start + just) | ((closes > end) & (closes <= end + just))
    soon |= (closes <= end) & (held >= 0) & (held <= end + just)
    return touch.just_closed | ((closes >= 0) & soon)


def _releases(touch: Touches) -> Bools:
    """The fingers have just opened, or what they hold rests where it came down until they do."""
    ragged, settings, end = touch.features.ragged, touch.settings, touch.stop - 1
    just, opened, opens = touch.frames(settings.just_s), touch.latest(touch.opening), touch.coming(touch.opening)
    until = np.where(opens >= 0, opens, end)
    far = ragged.mean(touch.way, touch.start, until) * (until - touch.start + 1)
    # before the hand has gone anywhere, or, however hard, at the end of a descent
    set_down = (opens >= 0) & ((far < settings.set_down_m) | ((opens <= end + just) & touch.comes_down))
    return ((opened >= 0) & (touch.start - opened <= just)) | (touch.at_first & set_down)


def _under_fingers(touch: Touches) -> Bools:
    """The fingers open over much of it."""
    return (touch.share(touch.closing | touch.opening) > 0.3) & ~touch.into & touch.still_fingers


def _bumps(touch: Touches) -> Bools:
    """It comes suddenly, or stops a load in the air, and the hand did not mean it, or has lost what it held."""
    features, settings = touch.features, touch.settings
    ragged, start = features.ragged, touch.start
    before = np.maximum(start - touch.frames(settings.sudden_s), ragged.first[start])
    rise = per_run(np.maximum, touch.contact, start) - np.maximum(touch.contact[before], 0.0)
    least = settings.sudden_share * np.maximum(features.contact_noise[start], 1e-9) + settings.sudden_newtons
    after = np.minimum(touch.stop, ragged.last[start])
    lost = touch.at_first & ~touch.loaded[after] & ~touch.opening[after]
    return np.asarray(((rise > least) | (touch.flying & touch.halts)) & (touch.unmeant | lost))


def _carries_on(touch: Touches) -> Bools:
    """A hand that moves on, or stays and presses, does what it means to do, however hard."""
    return ~touch.unmeant


@dataclass(frozen=True, slots=True)
class TouchRule:
    """What touches of which something holds are."""

    kind: Touch
    holds: Callable[[Touches], Bools]


TOUCH_RULES: Final = (
    TouchRule(Touch.WORK, _pulls),
    TouchRule(Touch.WORK, _wipes),
    TouchRule(Touch.WORK, _pushes_along),
    TouchRule(Touch.STROKE, _rubs),
    TouchRule(Touch.MEANT, _grasps),
    TouchRule(Touch.MEANT, _releases),
    TouchRule(Touch.MEANT, _under_fingers),
    TouchRule(Touch.BUMP, _bumps),
    TouchRule(Touch.MEANT, _carries_on),
)
"""In order: the first that holds names the touch."""


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
    least = np.maximum(np.where(flown, weight, 0.0), _inertia(features, features.contact, flown, settings))
    return np.asarray(features.contact > features.contact_floor + (1.0 + settings.heavier_share) * least)


def _inertia(features: Features, force: Float64s, flown: Bools, settings: StateSettings) -> Float64s:
    """What the sensor feels of the mass that it carries as the hand speeds up and slows down, N, shape (T,).

    How heavy that is shows while the hand speeds up, when nothing stands in its way.
    """
    ragged, velocity = features.ragged, features.velocity
    if velocity is None or features.contact_floor is None or not len(flown):
        return np.zeros(len(flown))
    lo, hi = ragged.around(settings.sudden_s / 2)
    span = np.maximum(ragged.time.take(hi) - ragged.time.take(lo), 1e-9)
    steps = [(x.take(hi) - x.take(lo)) / span for x in velocity.T]
    size = length_of(steps)
    faster = sum((a * v for a, v in zip(steps, velocity.T, strict=True)), np.zeros(len(flown)))
    faster = (faster > settings.speeding_up * size * length_of(list(velocity.T))) & (size > settings.accelerates)
    evenly = features.moving & (size < 0.5 * settings.accelerates)
    start, stop = runs_of(flown, ragged)
    mass = np.zeros(len(start))
    for k in np.flatnonzero(per_run(np.add, faster.astype(np.int64), start) >= settings.accelerated_frames).tolist():
        mine = slice(int(start[k]), int(stop[k]))
        rows, even = faster[mine], force[mine][evenly[mine]]
        if len(even) and np.median(even) > features.contact_floor[mine][0]:
            continue  # what is felt in even motion too is touched, or weighs
        # if it is heavy, it is so nearly all the time
        mass[k] = max(float(np.quantile(force[mine][rows] / size[mine][rows], settings.always_share)), 0.0)
    # force and motion are not measured at the same instant
    most = np.maximum(np.maximum(size, size.take(lo)), size.take(hi))
    return np.asarray(np.repeat(mass, stop - start) * most)


def _way_before(features: Features, start: Int64s, settings: StateSettings) -> tuple[Float64s, Float64s]:
    """Way of the hand just before each touch, m, shape (r, 3), and its length, shape (r,)."""
    ragged = features.ragged
    position = features.position if features.position is not None else np.zeros((len(features.missing), 3))
    before = np.maximum(start - 2 * ragged.frames(settings.sudden_s)[ragged.episode[start]], ragged.first[start])
    came = position[start] - position[before]
    return came, np.sqrt((came * came).sum(axis=1))


def _halts(features: Features, start: Int64s, settings: StateSettings) -> Bools:
    """Touches after which little is left of the speed before, shape (r,)."""
    ragged = features.ragged
    if features.speed is None:
        return np.zeros(len(start), np.bool_)
    half = ragged.frames(settings.sudden_s)[ragged.episode[start]]
    before = features.speed[np.maximum(start - half, ragged.first[start])]
    after = features.speed[np.minimum(start + half, ragged.last[start])]
    out: Bools = (before > settings.carrying_speed) & (after < settings.stopped_share * before)
    return out


def _recoils(features: Features, start: Int64s, stop: Int64s, settings: StateSettings) -> Bools:
    """Touches after which the hand moves back along the way by which it came, shape (r,)."""
    ragged = features.ragged
    if features.position is None:
        return np.zeros(len(start), np.bool_)
    came, size = _way_before(features, start, settings)
    span = ragged.frames(settings.recoil_s)[ragged.episode[start]]
    after = np.minimum(np.minimum(stop, start + span), ragged.last[start])
    later = np.minimum(after + span, ragged.last[start])

    def ahead(at: Int64s) -> Float64s:
        step = features.position[at] - features.position[start]  # type: ignore[index]
        return np.asarray((step * came).sum(axis=1) / np.maximum(size, 1e-9))

    out: Bools = (size > settings.came_m) & (np.maximum(ahead(after), 0.0) - ahead(later) > settings.recoil_m)
    return out


def _gives_way(features: Features, start: Int64s, stop: Int64s, settings: StateSettings) -> Bools:
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


def _turns_away(features: Features, start: Int64s, stop: Int64s, settings: StateSettings) -> Bools:
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


def _runs_into(features: Features, start: Int64s, settings: StateSettings) -> Bools:
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
