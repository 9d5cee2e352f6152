"""A person steering the arms: where the steering hand is and how far it closes, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.bench.recordings_maker.recipes import Recipe, Task

Array = NDArray[np.float64]
Grip = tuple[int, float, float, float]
"""Arm, opening to go to, and the share of the motion in which it goes there."""

LEVEL: Final = 0.015
"""Height of the fingers when they take something, metres."""
TOP: Final = 0.13
"""Height of travel, metres."""
SPEED: Final = 0.25
"""Of an operator's hand at pace 1, metres per second."""
FAILURES: Final = (("missed", 0.4), ("dropped", 0.3), ("holding", 0.17), ("gave_up", 0.13))
"""How episodes fail, and how often."""


@dataclass(slots=True)
class Closing:
    """A closing of a hand, in frames of its command."""

    arm: int
    start: int
    stop: int
    tries: bool
    """Meant to take something."""
    held: bool = False
    width: float = 0.0
    creep: float = 0.0
    until: int | None = None
    """Frame at which the thing leaves the fingers; None: it is still there at the end."""
    lost: bool = False
    """It left by itself."""


@dataclass(slots=True)
class Performance:
    """What the operator did."""

    pose: Array
    """Forward, left, up, tilt and roll of each arm, shape (frames, arms, 5)."""
    grip: Array
    """Opening asked for, shape (frames, arms)."""
    calm: NDArray[np.bool_]
    """The operator is not touching the arm, shape (frames,)."""
    closings: list[Closing]
    success: bool
    ends: str


def ease(
    rng: np.random.Generator,
    frames: int,
    uneven: float = 0.45,
    pause: bool = False,
    waves: int = 3,
    smooth: float = 1.5,
) -> Array:
    """Progress of one human motion, one uneven bump of speed, perhaps with a stop; shape (frames,), ends at 1.

    Args:
        rng: of this motion.
        frames: how long it takes.
        uneven: how far speed departs from the bump.
        pause: whether it stops on the way.
        waves: of which that is made.
        smooth: how gently the bump begins and ends.
    """
    u = (np.arange(frames) + 0.5) / frames
    parts = (rng.normal(0, 1 / k) * np.sin(2 * np.pi * (k * u + rng.random())) for k in range(1, waves + 1))
    speed = (u * (1 - u)) ** smooth * np.exp(uneven * np.asarray(sum(parts)))
    if pause:
        middle, half = rng.uniform(0.3, 0.75), rng.uniform(0.05, 0.14)
        speed *= 1 - 0.97 * np.exp(-(((u - middle) / half) ** 4))
    progress = np.cumsum(speed)
    share: Array = progress / progress[-1]
    return share


@dataclass(slots=True)
class Script:
    """Motions written one after another, for all arms together."""

    rng: np.random.Generator
    recipe: Recipe
    pace: float
    at: Array
    """Where each arm is, shape (arms, 5)."""
    opening: Array
    """What each hand was last asked for, shape (arms,)."""
    poses: list[Array] = field(default_factory=list)
    grips: list[Array] = field(default_factory=list)
    calm: list[NDArray[np.bool_]] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    frame: int = 0
    flowing: bool = False
    """The last thing written is a motion, into which the next may flow."""

    def frames(self, seconds: float) -> int:
        """Of so many seconds at this operator's pace."""
        return max(2, round(seconds / self.pace * self.recipe.fps))

    def _add(self, pose: Array, grip: Array, calm: bool = False) -> None:
        self.poses.append(pose)
        self.grips.append(grip)
        self.calm.append(np.full(len(pose), calm))
        self.frame += len(pose)
        self.at, self.opening = pose[-1].copy(), grip[-1].copy()
        self.flowing = False

    def rest(self, seconds: float, calm: bool = False) -> None:
        """Stay; ``calm``: nobody touches the arm, and seconds are not divided by the pace."""
        n = max(1, round(seconds * self.recipe.fps)) if calm else self.frames(seconds)
        self._add(np.repeat(self.at[None], n, 0), np.repeat(self.opening[None], n, 0), calm)

    def _grips(self, n: int, grips: Sequence[Grip]) -> Array:
        track = np.repeat(self.opening[None], n, 0)
        for arm, goal, begin, stop in grips:
            first, last = int(begin * n), max(int(begin * n) + 1, round(stop * n))
            if self.recipe.rig.hand.bits:
                goal, last = float(goal > 0.5), first + 1
            before = track[first, arm]
            track[first:last, arm] += (goal - before) * ease(self.rng, last - first, 0.25)
            track[last:, arm] = goal
            if goal < before - 0.08:
                self.closings.append(Closing(arm, self.frame + first, self.frame + last, False))
        return track

    def move(self, goals: Mapping[int, Array], arc: float = 0.0, grips: Sequence[Grip] = (), slow: float = 1.0) -> None:
        """Bring arms to goals; now and then past them, and then back."""
        rng = self.rng
        if rng.random() < 0.1 * self.recipe.pause:
            self.rest(rng.uniform(1.0, 3.0))
        far = max(float(np.linalg.norm(goal[:3] - self.at[arm, :3])) for arm, goal in goals.items())
        seconds = slow * (0.3 + far / SPEED) * float(rng.lognormal(0, 0.2))
        over = far > 0.05 and rng.random() < 0.4
        pause = far > 0.05 and rng.random() < self.recipe.pause
        n = self.frames(seconds * (1.5 if pause else 1.0))
        path = np.repeat(self.at[None], n, 0)
        for arm, goal in goals.items():
            miss = rng.normal(0, 0.011, 5) * (1, 1, 0.7, 3, 4) if over else np.zeros(5)
            hand, wrist = ease(rng, n, pause=pause), ease(rng, n, pause=pause)
            share = np.column_stack([hand, hand, hand, wrist, wrist])
            path[:, arm] += share * (goal + miss - self.at[arm])
            bend = np.sin(np.pi * hand)
            path[:, arm, 1] += rng.normal(0, 0.05 * far) * bend
            path[:, arm, 2] += arc * bend
        early = self._flow(path)
        self._add(path[early:], self._grips(n - early, grips))
        self.flowing = True
        if over:
            self._correct(goals)

    def _flow(self, path: Array) -> int:
        """Let a motion begin before the last one has ended, as people do; returns its frames already written."""
        if not self.flowing or self.rng.random() < 0.3:
            return 0
        most = min(len(path) // 2, len(self.poses[-1]) // 2)
        early = int(most * self.rng.uniform(0.2, 0.9))
        if early:
            self.poses[-1][-early:] += path[:early] - self.at
        return early

    def _correct(self, goals: Mapping[int, Array]) -> None:
        n = self.frames(self.rng.uniform(0.2, 0.5))
        path = np.repeat(self.at[None], n, 0)
        for arm, goal in goals.items():
            path[:, arm] += ease(self.rng, n)[:, None] * (goal - self.at[arm])
        self._add(path, np.repeat(self.opening[None], n, 0))

    def hand(self, arm: int, opening: float, seconds: float) -> None:
        """Open or close while the arm stays, and wait for the fingers."""
        rig, fps = self.recipe.rig, self.recipe.fps
        wait = 0.15 + 2 * rig.hand.lag_s
        n = max(self.frames(seconds), 2)
        lazy = max(2, round(self.rng.uniform(0.6, 1.6) * wait * fps))
        travel = (self.opening[arm] - opening) / rig.hand.rate + rig.delay_s + 3 * rig.hand.lag_s + 0.1
        lazy = max(lazy, math.ceil(travel * fps) - n)
        drift = self.rng.normal(0, 0.003, 5)
        pose = self.at[None] + 0.0 * np.zeros((n + lazy, 1, 1))
        pose[:, arm] += ease(self.rng, n + lazy)[:, None] * drift
        self._add(pose, self._grips(n + lazy, [(arm, opening, 0.0, n / (n + lazy))]))

    def open_to(self) -> float:
        """How far the operator opens this time."""
        return float(self.rng.uniform(*self.recipe.rig.hand.reach))


def _spot(place: Array, height: float, rng: np.random.Generator, roll: float = 0.0) -> Array:
    return np.array([place[0], place[1], height, 1.35 + rng.normal(0, 0.04), roll])


def _empty_trip(script: Script, arm: int, goal: Array) -> None:
    """Go above a place with an empty hand: it opens on the way, fingers may play."""
    recipe, rng = script.recipe, script.rng
    grips: list[Grip] = []
    if script.opening[arm] < 0.4 or rng.random() < 0.3:
        grips = [(arm, script.open_to(), rng.uniform(0.0, 0.25), rng.uniform(0.4, 0.8))]
    if rng.random() < recipe.fidget:
        low = float(rng.uniform(0.0, 0.6)) * script.opening[arm]
        middle = float(rng.uniform(0.25, 0.45))
        grips = [(arm, float(low), 0.05, middle), (arm, script.open_to(), middle + 0.15, 0.95)]
    script.move({arm: goal}, arc=0.02, grips=grips)


def _take(script: Script, arm: int, task: Task, place: Array, roll: float, width: float, held: bool) -> Closing:
    """Approach from above, go down and close."""
    rng, recipe = script.rng, script.recipe
    off = rng.normal(0, 0.003, 2) if held else rng.normal(0, 0.012, 2)
    target = place + off
    height = TOP * rng.uniform(0.6, 1.0) if task.kind != "drawer" else 0.07
    _empty_trip(script, arm, _spot(target + rng.normal(0, 0.008, 2), height, rng, roll))
    if rng.random() < 0.35:
        script.rest(rng.uniform(0.1, 0.7))
    wide = min(1.0, width + rng.uniform(0.15, 0.35))
    shape: list[Grip] = []
    if rng.random() < recipe.preshape and wide < script.opening[arm] - 0.12:
        shape = [(arm, wide, 0.1, 0.6)]
    level = LEVEL + (0.05 if task.kind == "drawer" else 0.0)
    script.move({arm: _spot(target, level, rng, roll + rng.normal(0, 0.03))}, grips=shape, slow=1.3)
    if rng.random() < 0.5:
        script.rest(rng.uniform(0.05, 0.5))
    hand = recipe.rig.hand
    ahead = max(width - 0.8 * task.creep - rng.uniform(*hand.squeeze), -0.01) if held else 0.0
    begin = script.frame
    script.hand(arm, ahead + float(rng.normal(0, 0.006)), rng.uniform(0.3, 0.8))
    closing = next((c for c in script.closings if c.start >= begin and c.arm == arm), None)
    if closing is None:
        closing = Closing(arm, begin, script.frame, True)
        script.closings.append(closing)
    closing.tries, closing.held, closing.width, closing.creep = True, held, width, task.creep
    return closing


def _let_go(script: Script, arm: int, closing: Closing | None) -> None:
    if closing is not None and closing.until is None:
        closing.until = script.frame + 1
    script.hand(arm, script.open_to(), script.rng.uniform(0.25, 0.6))


def _leave(script: Script, arm: int) -> None:
    """Rise after letting go, perhaps shutting the hand."""
    rng, up = script.rng, script.at[arm].copy()
    up[2] = TOP * rng.uniform(0.6, 1.1)
    up[:2] += rng.normal(0, 0.015, 2)
    shut = rng.random() < script.recipe.shut
    script.move({arm: up}, grips=[(arm, float(rng.normal(0.01, 0.01)), 0.3, 0.9)] if shut else ())


@dataclass(slots=True)
class Story:
    """How an episode is meant to go."""

    failure: str
    """One of ``FAILURES``, or nothing."""
    troubles: tuple[str, ...]
    """``missed`` or ``dropped``, before one thing is taken for good."""


def _carry(script: Script, arm: int, closing: Closing, goal: Array, task: Task, lost: bool) -> Array:
    """Lift and carry; if the thing is lost on the way, stop there.

    Returns:
        Where the thing lies now, shape (2,).
    """
    rng = script.rng
    if task.kind == "drawer":
        level = script.at[arm, 2]
        share = rng.uniform(0.3, 0.7) if lost else 1.0
        begin = script.frame
        way = script.at[arm, :2] + share * (goal - script.at[arm, :2])
        script.move({arm: _spot(way, level, rng, script.at[arm, 4])}, slow=1.5)
    else:
        up = script.at[arm].copy()
        up[2] = TOP * rng.uniform(0.8, 1.4)
        begin = script.frame
        script.move({arm: up})
        share = rng.uniform(0.25, 0.8) if lost else 1.0
        way = script.at[arm, :2] + share * (goal - script.at[arm, :2])
        script.move({arm: _spot(way, up[2] * rng.uniform(0.8, 1.0), rng, script.at[arm, 4] * 0.5)}, arc=0.02)
    if not lost:
        return goal
    closing.lost, closing.until = True, round(begin + rng.uniform(0.3, 0.85) * (script.frame - begin))
    script.rest(rng.uniform(0.2, 0.8))
    fell: Array = script.at[arm, :2] + rng.normal(0, 0.012, 2)
    return fell


def _put(script: Script, arm: int, closing: Closing | None, goal: Array, fine: bool) -> None:
    """Go down at the goal and let go; a fit takes small corrections first."""
    rng = script.rng
    if script.at[arm, 2] > 0.06:
        script.move({arm: _spot(goal, LEVEL + rng.uniform(0.0, 0.03), rng, script.at[arm, 4])}, slow=1.2)
    for _ in range(int(rng.integers(1, 4)) if fine else 0):
        near = script.at[arm] + rng.normal(0, 1, 5) * (0.004, 0.004, 0.003, 0.02, 0.05)
        script.move({arm: near}, slow=1.5)
    _let_go(script, arm, closing)


def _one_thing(script: Script, task: Task, places: tuple[Array, Array], story: Story) -> str:
    """Move one thing; returns how it ended."""
    rng, arm = script.rng, task.arm
    place, goal = places
    roll, width = rng.normal(0, 0.35), rng.uniform(*task.width)
    if story.failure == "gave_up":
        _empty_trip(script, arm, _spot(place, TOP * 0.7, rng, roll))
        script.rest(rng.uniform(0.3, 1.5))
        script.move({arm: _spot(place + rng.normal(0, 0.02, 2), 0.05, rng, roll)})
        return "empty"
    fates = [*story.troubles, story.failure or "held"]
    if story.failure == "missed":
        fates += ["missed"] * int(rng.choice(3, p=(0.4, 0.35, 0.25)))
    for number, fate in enumerate(fates):
        last = number + 1 == len(fates)
        closing = _take(script, arm, task, place, roll, width, fate != "missed")
        if fate == "missed":
            _after_miss(script, arm, last)
        elif fate == "dropped":
            place = _carry(script, arm, closing, goal, task, True)
            if not last or rng.random() < 0.6:
                _let_go(script, arm, closing)
        elif fate == "holding":
            if rng.random() < 0.7:
                _carry(script, arm, closing, goal, task, False)
        else:
            return _finish(script, task, closing, goal)
        if last:
            return {"missed": "empty"}.get(fate, fate)
    return "empty"


def _after_miss(script: Script, arm: int, last: bool) -> None:
    """Notice, perhaps only after lifting, and open for the next try."""
    rng = script.rng
    if rng.random() < 0.6:
        up = script.at[arm].copy()
        up[2] += rng.uniform(0.02, 0.08)
        script.move({arm: up})
    script.rest(rng.uniform(0.1, 0.7))
    if not last or rng.random() < 0.5:
        _let_go(script, arm, None)


def _finish(script: Script, task: Task, closing: Closing, goal: Array) -> str:
    rng, arm = script.rng, task.arm
    if task.kind == "handover":
        other = 1 - arm
        meet = {k: np.array([0.27, (-0.13, 0.13)[k], 0.2, 0.6, 0.0]) + rng.normal(0, 0.01, 5) for k in (arm, other)}
        ready = meet[other] + (0.0, (-0.07, 0.07)[other], 0, 0, 0)
        grips = [(other, script.open_to(), 0.1, 0.5)]
        script.move({arm: meet[arm], other: ready}, arc=0.02, grips=grips)
        script.move({other: meet[other]}, slow=1.4)
        begin = script.frame
        ahead = max(closing.width - rng.uniform(*script.recipe.rig.hand.squeeze), -0.01)
        script.hand(other, ahead, rng.uniform(0.3, 0.7))
        taken = next(c for c in script.closings if c.start >= begin and c.arm == other)
        taken.tries, taken.held, taken.width = True, True, closing.width * rng.uniform(0.95, 1.05)
        script.rest(rng.uniform(0.1, 0.4))
        _let_go(script, arm, closing)
        script.move({arm: meet[arm] + (-0.02, (-0.08, 0.08)[arm], 0.0, 0.0, 0.0)}, slow=0.8)
        _carry(script, other, taken, goal, task, False)
        _put(script, other, taken, goal, False)
        _leave(script, other)
        return "released"
    _carry(script, arm, closing, goal, task, False)
    if task.kind == "lift":
        script.rest(rng.uniform(0.3, 1.5))
        return "holding"
    _put(script, arm, closing, goal, task.goal_spread < 0.003)
    _leave(script, arm)
    return "released"


def _push(script: Script, task: Task, places: tuple[Array, Array], failed: bool) -> str:
    """Strokes that each bring the thing nearer; a failed one stops half way."""
    rng, arm = script.rng, task.arm
    place, goal = places
    strokes = int(rng.integers(task.things[0], task.things[1] + 1))
    for number in range(strokes):
        share = 1.0 if number + 1 == strokes else float(rng.uniform(0.3, 0.7))
        aim = place + share * (goal - place) + rng.normal(0, 0.01, 2)
        along = (goal - place) / max(float(np.linalg.norm(goal - place)), 1e-3)
        behind = place - 0.05 * along + rng.normal(0, 0.008, 2)
        _above_then(script, arm, behind)
        script.move({arm: _spot(aim, LEVEL, rng)}, slow=1.6)
        if failed and number + 1 >= strokes // 2:
            break
        place = aim + rng.normal(0, 0.01, 2)
        up = script.at[arm].copy()
        up[2] += rng.uniform(0.04, 0.08)
        script.move({arm: up})
    return "empty" if failed else "released"


def _above_then(script: Script, arm: int, place: Array) -> None:
    script.move({arm: _spot(place, 0.08, script.rng)})
    script.move({arm: _spot(place, LEVEL, script.rng)})


def _home(script: Script, arms: Sequence[int], homes: Array, holding: bool) -> None:
    rng = script.rng
    goals = {arm: homes[arm] + rng.normal(0, 0.006, 5) for arm in arms}
    grips: list[Grip] = []
    for arm in arms:
        shut = script.recipe.home_closed and not holding and script.opening[arm] > 0.1
        if shut:
            grips.append((arm, float(rng.normal(0.012, 0.008)), rng.uniform(0.1, 0.4), rng.uniform(0.6, 0.95)))
    script.move(goals, arc=0.02, grips=grips)


def tell(rng: np.random.Generator, recipe: Recipe, failures: float) -> Story:
    """Draw how an episode goes; failed ones may have trouble first as well."""
    failure = ""
    if rng.random() < failures:
        names = [name for name, _ in FAILURES]
        failure = str(rng.choice(names, p=[share for _, share in FAILURES]))
    troubles: list[str] = []
    if rng.random() < recipe.retry:
        count = 1 + int(rng.random() < 0.25)
        troubles = [("missed", "dropped")[int(rng.random() < 0.25)] for _ in range(count)]
    return Story(failure, tuple(troubles))


def perform(
    rng: np.random.Generator,
    recipe: Recipe,
    task: Task,
    story: Story,
    homes: Array,
    pace: float,
    idle: tuple[float, float] = (0.0, 0.0),
) -> Performance:
    """One episode of a task.

    Args:
        rng: of this episode.
        recipe: habits and robot.
        task: one of the recipe's.
        story: how it goes.
        homes: start posture, shape (arms, 5).
        pace: of this operator.
        idle: seconds without motion before and after.
    """
    arms = len(recipe.rig.sides)
    start = 0.015 if recipe.home_closed else float(rng.uniform(*recipe.rig.hand.reach))
    bits = bool(recipe.rig.hand.bits)
    opening = np.full(arms, float(start > 0.5) if bits else start)
    script = Script(rng, recipe, pace, homes + rng.normal(0, 0.005, homes.shape), opening)
    if idle[0]:
        script.rest(idle[0], calm=True)
    script.rest(min(0.2 + rng.exponential(0.6), 3.5))
    ends = _act(script, task, story)
    working = (0, 1) if task.kind == "handover" else (task.arm,)
    back = {"released": recipe.homing, "holding": 0.3 if task.kind != "lift" else 0.0}.get(ends, 0.75)
    if rng.random() < back:
        _home(script, working, homes, ends == "holding")
    script.rest(min(0.2 + rng.exponential(0.4), 3.5))
    if idle[1]:
        script.rest(idle[1], calm=True)
    good = not story.failure
    return Performance(
        np.concatenate(script.poses),
        np.concatenate(script.grips),
        np.concatenate(script.calm),
        sorted(script.closings, key=lambda c: c.start),
        good,
        ends,
    )


def _act(script: Script, task: Task, story: Story) -> str:
    rng = script.rng
    first = np.asarray(task.source) + np.clip(rng.normal(0, task.spread, 2), -1.6 * task.spread, 1.6 * task.spread)
    goal = np.asarray(task.goal) + rng.normal(0, task.goal_spread, 2)
    if task.kind == "push":
        return _push(script, task, (first, goal), bool(story.failure))
    count = int(rng.integers(task.things[0], task.things[1] + 1))
    at_fail = int(rng.integers(count)) if story.failure else count
    at_trouble = int(rng.integers(min(count, at_fail + 1)))
    ends = "released"
    for number in range(count):
        trouble = story.troubles if number == at_trouble else ()
        part = Story(story.failure if number == at_fail else "", trouble)
        place = np.asarray(task.source) + np.clip(rng.normal(0, task.spread, 2), -1.6 * task.spread, 1.6 * task.spread)
        spot = goal + rng.normal(0, min(0.3 * task.goal_spread + 0.001, 0.01), 2)
        ends = _one_thing(script, task, (place, spot), part)
        if number == at_fail:
            break
    return ends
