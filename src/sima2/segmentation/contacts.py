"""Features → what the hand touches: work that is meant, and what it runs into."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.robust import medians
from sima2.segmentation.features import Features, length_of
from sima2.segmentation.loads import Loads
from sima2.segmentation.rules import FIRST, Rule, RuleList, above, below
from sima2.segmentation.signals import (
    Runs,
    last_where,
    lengths,
    next_where,
    quantile,
    running_max_in,
    runs_of,
    squares,
    without_short,
)
from sima2.segmentation.state_settings import StateSettings

MOST: Final = 0.5
"""More than half of a touch."""


def contacts(features: Features, loads: Loads, slip: Bools, settings: StateSettings) -> tuple[Bools, Bools, Bools]:
    """Split external force into work on what moves along or is held (press), strokes, and what nothing explains."""
    if features.touching is None or features.contact is None or features.position is None:
        nothing = np.zeros(len(slip), np.bool_)
        return nothing, nothing, nothing
    touching = features.touching & _more_than_weight(features, features.contact, loads.flown, settings)
    touching = without_short(touching, features.ragged, gap=settings.lets_off_s, run=settings.touches_s)
    runs = runs_of(touching, features.ragged)
    seen = features, settings, features.position, features.contact
    touches = Touches(runs.ragged, runs.start, runs.stop, touching, *seen, loads)
    kind = touches.spread(touches.kinds())
    # what nothing explains is a bump from where it grows hard
    hard = touching & ~loads.loaded & (features.contact > settings.hard_newtons) & (kind == Touch.UNTOLD)
    since = last_where(hard, features.ragged.first) >= touches.spread(touches.start)
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
class Touches(Runs):
    """Runs of frames with and without external force over what the load of a tracked hand weighs, shape (r,) each."""

    features: Features
    settings: StateSettings
    position: Float64s
    contact: Float64s
    loads: Loads

    def kinds(self) -> Int64s:
        """:class:`Touch` of each run."""
        out = np.full(len(self), Touch.UNTOLD, np.int64)
        for rule, found in TOUCH_RULES.asked(self, self.kind):
            out[found] = rule.says
        return out

    @property
    def following(self) -> Int64s:
        """Frame after the last, or the episode's last."""
        return np.minimum(self.stop, self.ragged.last[self.start])

    @property
    def long(self) -> Bools:
        """Long enough for work."""
        return self.seconds >= self.settings.press_s

    def share(self, mask: Bools) -> Float64s:
        """Share of the run in which the mask holds."""
        out: Float64s = self.count(mask) / np.maximum(self.length, 1)
        return out

    def latest(self, mask: Bools) -> Int64s:
        """Frame before or at the start where the mask last holds, -1 where none."""
        return last_where(mask, self.ragged.first)[self.start]

    def coming(self, mask: Bools) -> Int64s:
        """Frame after or at the start where the mask next holds, -1 where none."""
        return next_where(mask, self.ragged.last)[self.start]

    @cached_property
    def way(self) -> Float64s:
        """Way of the moving hand in each frame, m, shape (T,)."""
        return self.features.way(self.features.speed)

    @cached_property
    def path(self) -> Float64s:
        """Way of the hand over the run, m."""
        return self.total(self.way)

    @cached_property
    def came(self) -> Float64s:
        """Way just before, m, shape (r, 3)."""
        return self.position[self.start] - self.position[self.ragged.ago(self.start, self.settings.sudden_s, 2)]

    @cached_property
    def came_by(self) -> Float64s:
        """Its length, m."""
        return lengths(self.came)

    @property
    def has_come(self) -> Bools:
        """It was on its way: a hand at rest runs into nothing."""
        return above("m of way before", self.came_by, self.settings.came_m)

    @cached_property
    def _speeds(self) -> tuple[Float64s, Float64s]:
        """Speed shortly before, and as shortly after the start, m/s."""
        speed, brief = self.features.speed, self.settings.sudden_s
        return speed[self.ragged.ago(self.start, brief)], speed[self.ragged.ahead(self.start, brief)]

    @property
    def comes_down(self) -> Bools:
        """The touch ends a descent."""
        return np.asarray(-self.came[:, 2] > self.settings.down_cosine * self.came_by)

    @cached_property
    def with_load(self) -> Bools:
        """The hand holds something over most of the run."""
        return np.asarray(self.share(self.loads.loaded) > MOST)

    @cached_property
    def at_first(self) -> Bools:
        """The hand holds something as the touch begins."""
        before = np.maximum(self.start - 1, self.ragged.first[self.start])
        return self.loads.loaded[self.start] | self.loads.loaded[before]

    @property
    def in_air(self) -> Bools:
        """What it holds has been lifted."""
        return np.asarray(self.share(self.loads.flown) > MOST)

    @cached_property
    def flying(self) -> Bools:
        """What it holds was in the air as the touch began."""
        return self.at_first & self.loads.flown[np.minimum(self.start + 1, self.stop - 1)]

    @cached_property
    def into(self) -> Bools:
        """A load in the air runs into something: it ends a motion sideways, since strokes begin with coming down."""
        ragged, settings, start = self.ragged, self.settings, self.start
        before, after = ragged.ago(start, settings.sudden_s), ragged.ahead(start, settings.sudden_s, 2)
        velocity, speed = self.features.velocity[before], self.features.speed
        sideways = np.hypot(velocity[:, 0], velocity[:, 1])
        stopped = speed[after] < settings.stopped_share * speed[before]
        # a hand that has come to rest before it touches has stopped of itself, and presses
        rested = speed[np.maximum(start - 1, ragged.first[start])] < settings.rested_share * speed[before]
        fast = (sideways > np.abs(velocity[:, 2])) & (sideways > settings.carrying_speed)
        return np.asarray(self.flying & fast & stopped & ~rested)

    @cached_property
    def halts(self) -> Bools:
        """Little is left of the speed."""
        before, after = self._speeds
        slow = below("m/s left of the speed", after, self.settings.stopped_share * before)
        return above("m/s before", before, self.settings.carrying_speed) & slow

    @cached_property
    def firm(self) -> Bools:
        """Clearly over the least force that stands out: sensors drift."""
        mean = self.total(np.maximum(self.contact, 0.0)) / self.length
        return above("N on average", mean, self.settings.firm * self.features.contact_floor[self.start])

    @cached_property
    def stroke(self) -> Bools:
        """A way along what is touched: of a hand that comes down and presses, only that sideways."""
        along = self.total(self.features.way(self.features.sideways))
        return above("m along it", np.where(self.comes_down, along, self.path), self.settings.stroke_m)

    @cached_property
    def yields(self) -> Bools:
        """What gives way under an empty hand is pushed: the hand goes on, farther than one that runs into something
        needs to stop."""
        way = self.position - self.spread(self.position[self.start])
        ahead = (way * self.spread(self.came / np.maximum(self.came_by, 1e-9)[:, None])).sum(axis=1)
        least = np.maximum(self.settings.recoil_m, self.settings.stops_s * self._speeds[0])
        return self.has_come & above("m onward", self.largest(ahead), least) & ~self.with_load

    @property
    def insists(self) -> Bools:
        """A hand that stays and presses on means to."""
        return above("s of touch", self.seconds, self.settings.insists_s) & ~self.at_first & ~self.with_load

    @property
    def company(self) -> Bools:
        """Something moves along."""
        if self.features.company is None:
            return np.zeros(len(self), np.bool_)
        return above("share with company", self.share(self.features.company), self.settings.company_share)

    @property
    def still_fingers(self) -> Bools:
        """The fingers do not close meanwhile."""
        return np.asarray(self.share(self.loads.closing) < self.settings.still_fingers)

    @cached_property
    def just_closed(self) -> Bools:
        """The fingers have closed a moment ago."""
        closed = self.latest(self.loads.closing)
        return (closed >= 0) & (self.start - closed <= self.frames(self.settings.just_s))

    @cached_property
    def pushes(self) -> Bools:
        """Work of an empty hand."""
        pushed = (self.insists | self.guarded | self.yields) & self.firm
        pushed |= self.company & ~self.just_closed
        pushed |= self.stroke & self.firm & (self.seconds > self.settings.rub_s)
        return ~self.with_load & self.still_fingers & self.long & pushed

    @property
    def turns_away(self) -> Bools:
        """The hand goes elsewhere afterwards than it was going."""
        ragged, settings, end = self.ragged, self.settings, self.following
        after = np.minimum(end, ragged.ahead(self.start, settings.sudden_s, 2))
        gone = self.position[ragged.ahead(end, settings.elsewhere_s)] - self.position[after]
        far = lengths(gone)
        onward: Bools = (self.came * gone).sum(axis=1) > settings.elsewhere_cosine * self.came_by * far
        return self.has_come & above("m away afterwards", far, settings.recoil_m) & ~onward

    @property
    def recoils(self) -> Bools:
        """The hand moves back along the way by which it came."""
        after = np.minimum(self.following, self.ragged.ahead(self.start, self.settings.recoil_s))

        def onward(at: Int64s) -> Float64s:
            step = self.position[at] - self.position[self.start]
            return np.asarray((step * self.came).sum(axis=1) / np.maximum(self.came_by, 1e-9))

        back = np.maximum(onward(after), 0.0) - onward(self.ragged.ahead(after, self.settings.recoil_s))
        return self.has_come & above("m back", back, self.settings.recoil_m)

    @cached_property
    def unmeant(self) -> Bools:
        """The hand recoils, is turned away or halts for a moment, and nothing has given way under it."""
        stopped = self.halts & self.has_come & ((self.turns_away & ~self.insists) | ~self.long)
        return (stopped | self.recoils) & ~self.yields & ~self.guarded

    @cached_property
    def guarded(self) -> Bools:
        """An empty hand that has rested just before, close by, and stays there pressing, came to touch."""
        settings, start = self.settings, self.start
        rested = self.latest(~self.features.moving)
        step = self.position[start] - self.position[np.maximum(rested, 0)]
        near = (rested >= 0) & (squares(step) < settings.guard_m**2)
        late = np.maximum(self.stop - np.maximum(self.length // 3, 1), start)
        held = self.ragged.mean(self.contact, late, self.stop - 1)
        leans = held > settings.leans_share * self.largest(self.contact)
        return near & leans & (self.seconds > settings.leans_s) & ~self.at_first & ~self.with_load


def _pulls(touch: Touches) -> Bools:
    """A firm hold on what has not been lifted."""
    return touch.with_load & ~touch.in_air & touch.long & ~touch.into & touch.firm


def _wipes(touch: Touches) -> Bools:
    """A way along something with what is held."""
    long = touch.long & above("s of touch", touch.seconds, touch.settings.wipe_s)
    return touch.with_load & touch.in_air & long & touch.stroke & ~touch.into


def _pushes_along(touch: Touches) -> Bools:
    """What an empty hand works on moves along, gives way or is leant on."""
    if touch.features.together is not None:
        return touch.pushes & (touch.company | touch.yields | touch.insists | touch.guarded)
    # with no poses: strokes turn back, a push does not
    net = lengths(touch.position[touch.stop - 1] - touch.position[touch.start])
    return touch.pushes & below("m of path", touch.path, touch.settings.straight * net)


def _rubs(touch: Touches) -> Bools:
    """What an empty hand works on stays where it is."""
    return touch.pushes


def _grasps(touch: Touches) -> Bools:
    """The fingers have just closed, or close where they have just touched or pressed until they hold something."""
    end, just, closes = touch.stop - 1, touch.frames(touch.settings.just_s), touch.coming(touch.loads.closing)
    held = next_where(touch.loads.loaded, touch.ragged.last)[touch.following]
    soon = (closes <= touch.start + just) | ((closes > end) & (closes <= end + just))
    soon |= (closes <= end) & (held >= 0) & (held <= end + just)
    return touch.just_closed | ((closes >= 0) & soon)


def _releases(touch: Touches) -> Bools:
    """The fingers have just opened, or what they hold rests where it came down until they do."""
    settings, end, just = touch.settings, touch.stop - 1, touch.frames(touch.settings.just_s)
    opened, opens = touch.latest(touch.loads.opening), touch.coming(touch.loads.opening)
    until = np.where(opens >= 0, opens, end)
    far = touch.ragged.mean(touch.way, touch.start, until) * (until - touch.start + 1)
    # before the hand has gone anywhere, or, however hard, at the end of a descent
    near = below("m until the fingers open", far, settings.set_down_m)
    set_down = (opens >= 0) & (near | ((opens <= end + just) & touch.comes_down))
    return ((opened >= 0) & (touch.start - opened <= just)) | (touch.at_first & set_down)


def _under_fingers(touch: Touches) -> Bools:
    """The fingers open over much of it."""
    much = above("share with moving fingers", touch.share(touch.loads.busy), touch.settings.moving_fingers)
    return much & ~touch.into & touch.still_fingers


def _bumps(touch: Touches) -> Bools:
    """It comes suddenly, or stops a load in the air, and the hand did not mean it, or has lost what it held."""
    settings, start, loads = touch.settings, touch.start, touch.loads
    before = touch.ragged.ago(start, settings.sudden_s)
    rise = touch.largest(touch.contact) - np.maximum(touch.contact[before], 0.0)
    least = settings.sudden_share * np.maximum(touch.features.contact_noise[start], 1e-9) + settings.sudden_newtons
    lost = touch.at_first & ~loads.loaded[touch.following] & ~loads.opening[touch.following]
    return (above("N of rise", rise, least) | (touch.flying & touch.halts)) & (touch.unmeant | lost)


def _carries_on(touch: Touches) -> Bools:
    """A hand that moves on, or stays and presses, does what it means to do, however hard."""
    return ~touch.unmeant


TOUCH_RULES = RuleList(
    "touch",
    "What a touch is",
    FIRST,
    (
        Rule(Touch.WORK, _pulls),
        Rule(Touch.WORK, _wipes),
        Rule(Touch.WORK, _pushes_along),
        Rule(Touch.STROKE, _rubs),
        Rule(Touch.MEANT, _grasps),
        Rule(Touch.MEANT, _releases),
        Rule(Touch.MEANT, _under_fingers),
        Rule(Touch.BUMP, _bumps),
        Rule(Touch.MEANT, _carries_on),
    ),
)


def _more_than_weight(features: Features, contact: Float64s, flown: Bools, settings: StateSettings) -> Bools:
    """External force over what the load in the air itself makes the sensor feel, shape (T,)."""
    ragged = features.ragged
    runs = runs_of(flown, ragged)
    begin, end = runs.spread(runs.start), runs.spread(runs.stop - 1)
    lo, hi = ragged.around(settings.sudden_s)
    average = ragged.mean(contact, np.maximum(lo, begin), np.minimum(hi, end))
    lightest = -running_max_in(runs.spread(runs.here), -average)
    # at the beginning the hand still accelerates: its load weighs what it weighs a moment later
    settled = np.minimum(begin + ragged.frames(settings.weighed_s).take(ragged.episode), end)
    weight = np.maximum(lightest.take(np.maximum(settled, np.arange(len(flown), dtype=np.int64))), 0.0)
    least = np.maximum(np.where(flown, weight, 0.0), _inertia(features, contact, runs, settings))
    return np.asarray(contact > features.contact_floor + (1.0 + settings.heavier_share) * least)


def _inertia(features: Features, force: Float64s, runs: Runs, settings: StateSettings) -> Float64s:
    """What the sensor feels of the mass that it carries as the hand speeds up and slows down, N, shape (T,).

    How heavy that is shows while the hand speeds up, when nothing stands in its way. ``runs`` are in the air and not.
    """
    velocity = list(features.velocity.T)
    lo, hi = features.ragged.around(settings.sudden_s / 2)
    span = np.maximum(features.ragged.time.take(hi) - features.ragged.time.take(lo), 1e-9)
    steps = [(x.take(hi) - x.take(lo)) / span for x in velocity]
    size = length_of(steps)
    faster = sum((a * v for a, v in zip(steps, velocity, strict=True)), np.zeros(len(force)))
    faster = (faster > settings.speeding_up * size * length_of(velocity)) & (size > settings.accelerates)
    evenly = features.moving & (size < settings.even_share * settings.accelerates)
    mass = np.zeros(len(runs))
    for k in np.flatnonzero(runs.count(faster) >= settings.accelerated_frames).tolist():
        mine = slice(int(runs.start[k]), int(runs.stop[k]))
        rows, even = faster[mine], force[mine][evenly[mine]]
        if len(even) and medians(even) > features.contact_floor[mine][0]:
            continue  # what is felt in even motion too is touched, or weighs
        # if it is heavy, it is so nearly all the time
        mass[k] = max(quantile(force[mine][rows] / size[mine][rows], settings.always_share), 0.0)
    # force and motion are not measured at the same instant
    most = np.maximum(np.maximum(size, size.take(lo)), size.take(hi))
    return np.asarray(runs.spread(mass) * most)


def strokes(features: Features, other: Bools, settings: StateSettings) -> Bools:
    """Motion that turns back again and again at one height: strokes, however faint the force, shape (T,)."""
    ragged, position, touching = features.ragged, features.position, features.touching
    if position is None:
        return other & False
    lo, hi = ragged.around(settings.same_height_s)
    climb = np.abs(position[hi, 2] - position[lo, 2])
    level = (np.abs(features.velocity[:, 2]) < np.maximum(features.sideways, features.still_below)) & ~other
    level &= climb < settings.lifted_m
    level = without_short(level, ragged, gap=settings.lets_off_s, run=settings.levels_s) & ~other
    runs = runs_of(level, ragged)
    extent = runs.extent(position)
    span, path = np.hypot(*extent[:, :2].T), runs.total(features.way(features.sideways))
    rubs, begins, turns_back = features.moving, np.zeros(1, np.int64), settings.turns_back
    touched = np.ones(len(runs), np.bool_)
    if touching is not None:
        # a force that comes and goes is enough where the motion says the rest, and less of the motion with it
        rubs, turns_back = features.moving & touching, settings.turns_back_felt
        touched = runs.count(touching) > settings.touched_share * runs.count(features.moving)
        begins = runs.spread(runs.first_in(rubs))
    flat = (extent[:, 2] < settings.flown_m) & (span > settings.stroke_m)
    strokes = level[runs.start] & touched & flat & (path > turns_back * span)
    # the stroke felt last goes on to its rest
    last, here = runs.last_in(rubs), np.arange(len(level))
    rest = next_where(~features.moving, runs.spread(runs.stop - 1))[last]
    last = runs.spread(np.where(rest >= 0, rest, runs.stop - 1))
    return runs.spread(strokes) & (here >= begins) & (here <= last)


def pushes(features: Features, loaded: Bools, other: Bools, settings: StateSettings) -> Bools:
    """Something moves with a hand that does not hold it, shape (T,)."""
    if features.company is None:
        return loaded & False
    along = features.company & (features.hand_shift > settings.company_m / 2) & ~loaded & ~other
    return without_short(along, features.ragged, gap=settings.lets_off_s, run=settings.press_s)


def unyielding(
    features: Features, position: Float64s, pulling: Bools, dragging: Bools, settings: StateSettings
) -> tuple[Bools, Bools]:
    """Where what is pulled does not give way, and where the hand then moves to and fro.

    Being stuck counts when the hand wiggles or gives up after it; what yields after a while was only tight.
    """
    ragged = features.ragged
    # what is pulled without giving way moves little: finer than the motion of a free hand
    fine = features.speed > np.maximum(settings.fine_speed, settings.fine_noise * features.rate_noise)
    held_fast = without_short(pulling | dragging, ragged, gap=settings.eases_s, run=0.0)
    motion = without_short(fine, ragged, gap=settings.turning_s, run=settings.wiggles_s)
    code = held_fast.astype(np.int64) * (1 + motion)
    runs = runs_of(code, ragged)
    kind, long = code[runs.start], runs.seconds > settings.press_s
    net = lengths(position[runs.stop - 1] - position[runs.start])
    path = runs.total(features.speed * ragged.period.take(ragged.episode))
    span = lengths(runs.extent(position))
    wiggle = (kind == 2) & (path > settings.wiggle_turns * net) & (net < settings.wiggle_net_m) & long
    wiggle &= (span < settings.wiggle_most_m) & (span > settings.wiggle_m)
    stuck = (kind == 1) & long & (np.append(wiggle[1:], False) | (np.append(kind[1:], 0) == 0))
    # once the force is gone the attempt is over
    return runs.spread(stuck) & pulling, runs.spread(wiggle)


def coming_down(features: Features, bump: Bools, settings: StateSettings) -> Bools:
    """Bumps that end a descent, for all of their frames."""
    runs = runs_of(bump, features.ragged)
    down = features.velocity[features.ragged.ago(runs.start, settings.descends_s)]
    steep = (down[:, 2] < 0) & (np.abs(down[:, 2]) > np.hypot(down[:, 0], down[:, 1]))
    return runs.spread(steep & bump[runs.start])
