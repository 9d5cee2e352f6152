"""Robots that follow an operator: lag, backlash, sag, end stops, fingers on things, and what a recorder sees of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.bench.recordings_maker.operator import Array, Closing, Performance
from sima2.bench.recordings_maker.recipes import NORM_RANGE, Recipe, Rig
from sima2.bench.recordings_maker.truth import Attempt

UPPER: Final = 0.3
FORE: Final = 0.3
"""Lengths of the plain arm, metres."""
SHOULDER: Final = 0.12
"""Its height."""
GAIN: Final = (1.0, 1.0, 0.96, 0.93, 0.9, -0.3)
"""How far each finger of a hand of six goes with the hand: the thumb less, its turn the other way."""
CONTACT: Final = (0.92, 1.0, 1.04, 1.08, 1.0, 0.0)
"""Where each meets a thing, as a share of its width."""
GIVE: Final = 0.025
"""Pads and thing give way so far before they stop a finger, strokes."""
GIVE_S: Final = 0.1
"""Time constant of it."""
THINNEST: Final = 0.012
"""The least that a thing holds fingers apart beyond their end stop, strokes."""
SETTLED: Final = 0.012
"""Fingers that move less within 0.2 s stand, strokes."""


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """What stays the same for one occasion of recording."""

    number: int
    offset: Array
    """Command minus state at rest, radians, shape (arms, joints)."""
    homes: Array
    """Start postures, shape (arms, 5)."""
    pace: float
    end_stop: Array
    """Opening of the empty shut hand, shape (arms, fingers)."""
    open_error: Array
    """State minus command of the open hand, strokes, shape (arms, fingers)."""


def session(rng: np.random.Generator, recipe: Recipe, number: int) -> Session:
    """Draw an occasion."""
    rig = recipe.rig
    arms, fingers = len(rig.sides), len(rig.hand.names)
    homes = np.tile([0.2, 0.0, 0.2, 1.0, 0.0], (arms, 1)) + rng.normal(0, 0.02, (arms, 5)) * (1, 1, 1, 3, 2)
    exact = 0.2 if rig.hand.noise < 1e-3 else 1.0
    return Session(
        number,
        rng.normal(0, rig.offset, (arms, len(rig.joints))),
        homes,
        recipe.pace * float(rng.uniform(0.85, 1.2)),
        rng.uniform(*rig.hand.end_stop, (arms, fingers)),
        rng.normal(0, 0.008 * exact, (arms, fingers)),
    )


def plain_joints(pose: Array) -> Array:
    """Pan, lift, elbow, wrist and roll of the plain arm; shape (..., 5) to (..., 5), radians."""
    x, y, z, tilt, roll = (pose[..., k] for k in range(5))
    radius = np.hypot(x, y) - 0.02
    rise = z + 0.1 - SHOULDER
    far = np.clip(np.hypot(radius, rise), 0.12, UPPER + FORE - 0.01)
    bend = np.arccos(np.clip((UPPER**2 + FORE**2 - far**2) / (2 * UPPER * FORE), -1, 1))
    inner = np.arccos(np.clip((UPPER**2 + far**2 - FORE**2) / (2 * UPPER * far), -1, 1))
    lift = np.arctan2(rise, radius) + inner
    elbow = np.pi - bend
    return np.stack([np.arctan2(y, x), lift, elbow, tilt + lift - elbow, roll], axis=-1)


def _slow_noise(rng: np.random.Generator, frames: int, shape: tuple[int, ...], hertz: float, fps: int) -> Array:
    """Noise of about unit variance with most of its power below a frequency, shape (frames, *shape)."""
    count = max(3, int(frames / fps * hertz * 2) + 3)
    knots = rng.normal(0, 1, (count, int(np.prod(shape))))
    at = np.linspace(0, count - 1.001, frames)
    low = at.astype(int)
    part = (0.5 - 0.5 * np.cos(np.pi * (at - low)))[:, None]
    mixed: Array = knots[low] * (1 - part) + knots[np.minimum(low + 1, count - 1)] * part
    return mixed.reshape(frames, *shape)


def _live(recipe: Recipe, act: Performance, working: tuple[int, ...]) -> Array:
    """How far an operator's hand is on each arm, 0 to 1, shape (frames, arms, 1)."""
    frames, arms = act.grip.shape
    live = np.ones((frames, arms, 1))
    live[act.calm] = 0.0
    if recipe.parked_still:
        for arm in set(range(arms)) - set(working):
            live[:, arm] = 0.0
    return _smooth(live, max(1, recipe.fps // 3))


def _tremble(rng: np.random.Generator, recipe: Recipe, act: Performance, live: Array) -> Array:
    """The pose with the operator's drift and trembling, shape (frames, arms, 5)."""
    frames, arms = act.pose.shape[:2]
    size = np.array([0.001, 0.001, 0.0008, 0.006, 0.008]) * recipe.rig.tremor
    shake = _slow_noise(rng, frames, (arms, 5), min(7.0, recipe.fps / 3), recipe.fps) * size * 0.35
    drift = _slow_noise(rng, frames, (arms, 5), 0.4, recipe.fps) * size * 2.2
    return act.pose + (shake + drift) * live


def _smooth(track: Array, width: int) -> Array:
    kernel = np.ones(width) / width
    flat = track.reshape(len(track), -1)
    padded = np.pad(flat, ((width // 2, width - 1 - width // 2), (0, 0)), mode="edge")
    out = np.stack([np.convolve(column, kernel, "valid") for column in padded.T], axis=1)
    return out.reshape(track.shape)


def _delayed(track: Array, frames: float) -> Array:
    """The same, later by a number of frames that need not be whole."""
    at = np.clip(np.arange(len(track)) - frames, 0, None)
    low = at.astype(int)
    part = (at - low).reshape(-1, *[1] * (track.ndim - 1))
    late: Array = track[low] * (1 - part) + track[np.minimum(low + 1, len(track) - 1)] * part
    return late


def _follow(command: Array, rig: Rig, fps: int) -> Array:
    """Joints behind their command: dead time, first-order lag, then a band in which nothing moves."""
    late = _delayed(command, rig.delay_s * fps).reshape(len(command), -1)
    taps = np.exp(-np.arange(math.ceil(7 * rig.lag_s * fps)) / (rig.lag_s * fps))
    taps /= taps.sum()
    padded = np.pad(late, ((len(taps) - 1, 0), (0, 0)), mode="edge")
    out = np.stack([np.convolve(column, taps, "valid") for column in padded.T], axis=1)
    if rig.play:
        low, high, stuck = out - rig.play, out + rig.play, out[0].copy()
        for k in range(len(out)):
            np.maximum(stuck, low[k], out=stuck)
            np.minimum(stuck, high[k], out=stuck)
            out[k] = stuck
    return out.reshape(command.shape)


def _floors(recipe: Recipe, day: Session, act: Performance, lag: int) -> tuple[Array, NDArray[np.bool_]]:
    """Where something stops each finger, shape (frames, arms, fingers), and whether a hand holds, (frames, arms)."""
    frames, arms = act.grip.shape
    fingers = len(recipe.rig.hand.names)
    floor = np.tile(day.end_stop, (frames, 1, 1))
    holds = np.zeros((frames, arms), bool)
    contact = np.array(CONTACT) if fingers == 6 else np.ones(fingers)
    for closing in act.closings:
        if not closing.held:
            continue
        stop = frames if closing.until is None else min(frames, closing.until)
        if closing.until is not None and not closing.lost:
            # the thing is there until the fingers open beyond it
            wider = np.flatnonzero(act.grip[stop:, closing.arm] > closing.width)
            stop = min(frames, stop + (int(wider[0]) if len(wider) else 0) + lag)
        age = np.arange(stop - closing.start) / recipe.fps
        width = closing.width - closing.creep * (1 - np.exp(-age / 2.0))
        stops = np.maximum(width[:, None] * contact, day.end_stop[closing.arm] + THINNEST)
        floor[closing.start : stop, closing.arm] = stops
        holds[closing.start : stop, closing.arm] = True
    return floor, holds


def _close(command: Array, floor: Array, rig: Rig, fps: int) -> Array:
    """Openings of all fingers behind their command, shape (frames, arms, fingers)."""
    hand = rig.hand
    late = _delayed(command, rig.delay_s * fps)
    gain, most = 1 - math.exp(-1 / (hand.lag_s * fps)), hand.rate / fps
    decay = math.exp(-1 / (GIVE_S * fps))
    out = np.empty_like(late)
    for arm, finger in np.ndindex(late.shape[1:]):
        goals, stops = late[:, arm, finger].tolist(), floor[:, arm, finger].tolist()
        at, track = max(goals[0], stops[0]), []
        for goal, stop in zip(goals, stops):
            over = at - stop
            bound = stop + (0.0 if over < 0 else over if over < GIVE else GIVE) * decay
            step = (goal - at) * gain
            step = most if step > most else -most if step < -most else step
            # a thing that comes between the fingers pushes them no faster than they go
            least = bound if bound < at + most else at + most
            at = at + step if at + step > least else least
            track.append(at)
        out[:, arm, finger] = track
    # a hard squeeze presses pads and thing together a little
    touching = np.clip(1 - (out - floor) / GIVE, 0, 1)
    return out - 0.04 * np.clip(out - late, 0, 0.5) * touching


def _native(joints: Array, rig: Rig) -> Array:
    scale = {"rad": 1.0, "deg": 180 / np.pi, "norm": 100 / NORM_RANGE}[rig.units]
    return joints * scale


def _stepped(values: Array, step: float) -> Array:
    return np.round(values / step) * step if step else values


def _columns(arms: Array, hands: Array, rig: Rig) -> NDArray[np.float32]:
    frames, count = arms.shape[:2]
    if rig.hands_last:
        return np.hstack([arms.reshape(frames, -1), hands.reshape(frames, -1)]).astype(np.float32)
    parts = [part for k in range(count) for part in (arms[:, k], hands[:, k])]
    return np.hstack(parts).astype(np.float32)


def column_names(rig: Rig) -> list[str]:
    """Names of the columns of state and command."""
    joints = [[name.format(side) for name in rig.joints] for side in rig.sides]
    hands = [[name.format(side) for name in rig.hand.names] for side in rig.sides]
    pairs = [*joints, *hands] if rig.hands_last else [part for pair in zip(joints, hands) for part in pair]
    return [name for part in pairs for name in part]


def hand_columns(rig: Rig) -> list[int]:
    """Columns that belong to hands."""
    hands = {name.format(side) for side in rig.sides for name in rig.hand.names}
    return [k for k, name in enumerate(column_names(rig)) if name in hands]


@dataclass(slots=True, eq=False)
class Take:
    """A recorded episode and what happened in it."""

    state: NDArray[np.float32]
    action: NDArray[np.float32] | None
    attempts: list[Attempt]
    idle_closings: list[tuple[int, int]]
    releases: list[int]
    """Frames at which the command starts to let something go."""
    success: bool
    ends: str
    task: int
    session: int
    calm: tuple[int, int] = (0, 0)
    """Frames of planted rest before and after."""


def record(rng: np.random.Generator, recipe: Recipe, day: Session, act: Performance, task: int) -> Take:
    """What the recorder writes of a performance."""
    rig, fps = recipe.rig, recipe.fps
    kind, arm = recipe.tasks[task].kind, recipe.tasks[task].arm
    live = _live(recipe, act, (0, 1) if kind == "handover" else (arm,))
    pose = _tremble(rng, recipe, act, live)
    plain = plain_joints(pose)
    lag = round((rig.delay_s + 0.5 * rig.hand.lag_s) * fps)
    floor, holds = _floors(recipe, day, act, lag)
    posture = rng.normal(0, 0.015, (pose.shape[1], len(rig.joints))) * rig.tremor
    led = plain @ np.array(rig.mix).T + np.array(rig.zero) + posture
    true = _follow(_stepped(led, rig.step), rig, fps) + _sag(plain, holds, rig)
    if rig.stop is not None:
        true[..., 1] = np.maximum(true[..., 1], rig.stop)
    arms = _stepped(_native(true + rng.normal(0, rig.noise, true.shape), rig), float(_native(np.array(rig.step), rig)))
    told = _stepped(_native(led + day.offset, rig), float(_native(np.array(rig.step), rig)))
    asked = _asked(rng, recipe, act, live)
    fingers = _close(asked, floor, rig, fps)
    seen, commanded = _read_hands(rng, recipe, day, asked, fingers, floor)
    opening = fingers[..., :4].mean(2)
    attempts, idle = _tell_closings(act, opening, fps, lag)
    return Take(
        _columns(arms, seen, rig)[_stale(len(arms), recipe)],
        _columns(told, commanded, rig) if recipe.commands else None,
        attempts,
        idle,
        [c.until for c in act.closings if c.held and c.until is not None and not c.lost],
        act.success,
        act.ends,
        task,
        day.number,
    )


def _stale(frames: int, recipe: Recipe) -> NDArray[np.int64]:
    """Frame whose state each frame shows, where states come slower than frames, shape (frames,)."""
    now = np.arange(frames)
    if not recipe.read_hz:
        return now
    last: NDArray[np.int64] = np.ceil(
        np.floor(now * recipe.read_hz / recipe.fps) * recipe.fps / recipe.read_hz - 1e-9
    ).astype(int)
    return last


def _sag(plain: Array, holds: NDArray[np.bool_], rig: Rig) -> Array:
    """Droop of each joint, radians: shoulder and elbow of a stretched arm, more with a load."""
    reach = np.cos(plain[..., 1] - 0.6) * (1 + 0.25 * _smooth(holds.astype(float), 7))
    droop = np.zeros_like(plain)
    droop[..., 1], droop[..., 2] = -rig.sag * reach, 0.7 * rig.sag * reach
    turned: Array = droop @ np.array(rig.mix).T
    return turned


def _asked(rng: np.random.Generator, recipe: Recipe, act: Performance, live: Array) -> Array:
    """Command of each finger as an opening, shape (frames, arms, fingers)."""
    hand = recipe.rig.hand
    fingers = len(hand.names)
    asked = np.repeat(act.grip[..., None], fingers, 2)
    if hand.bits:
        return asked
    frames, arms = act.grip.shape
    play = _slow_noise(rng, frames, (arms, 1), 0.6, recipe.fps) * 0.006
    if fingers == 6:
        lean = rng.normal(0, 0.02, (arms, 6))
        play = play + _slow_noise(rng, frames, (arms, 6), 0.8, recipe.fps) * 0.012 + lean
        asked = 1 + (asked - 1) * np.abs(np.array(GAIN))
        asked[..., 5] = 0.35 - 0.3 * (1 - act.grip)
    return np.clip(asked + play * live * hand.wander, -0.012 if fingers == 1 else 0.0, 1.02)


def _read_hands(
    rng: np.random.Generator, recipe: Recipe, day: Session, asked: Array, fingers: Array, floor: Array
) -> tuple[Array, Array]:
    hand = recipe.rig.hand
    span = hand.opened - hand.closed
    commanded = hand.closed + span * asked
    free = fingers > floor + 0.02
    seen = fingers + day.open_error * _smooth(free.astype(float), 5)
    if hand.bits == "both":
        late = _delayed(asked, (recipe.rig.delay_s + hand.lag_s) * recipe.fps)
        return hand.closed + span * (late > 0.5).astype(np.float64), commanded
    if hand.bits == "command":
        closed_is_one = hand.closed > hand.opened
        commanded = np.where(asked > 0.5, 0.0, 1.0) if closed_is_one else np.where(asked > 0.5, 1.0, 0.0)
    seen = seen + rng.normal(0, 1, seen.shape) * hand.noise
    low, high = min(hand.opened, hand.closed), max(hand.opened, hand.closed)
    seen = np.clip(_stepped(hand.closed + span * seen, hand.step), low - 0.03 * abs(span), high + 0.03 * abs(span))
    return np.asarray(seen, np.float64), commanded if hand.bits else _stepped(commanded, hand.step)


def _settle(opening: Array, closing: Closing, stop: int, fps: int, lag: int) -> tuple[int, int] | None:
    """First frame of the closing motion and first frame after it, of one hand's opening; None if nothing moved."""
    begin = closing.start
    part = opening[begin:stop]
    if len(part) < 3:
        return None
    near = part[: max(3, closing.stop - begin + lag + round(0.8 * fps))]
    drop = part[0] - near.min()
    if drop < 0.06:
        return None
    start = int(np.argmax(part < part[0] - 0.03 * drop - 0.003))
    down = int(np.argmax(part < part[0] - 0.85 * drop))
    ahead = max(1, round(0.2 * fps))
    still = np.zeros(len(part), bool)
    still[:-ahead] = np.abs(part[ahead:] - part[:-ahead]) < SETTLED
    still[:down] = False
    end = int(np.argmax(still)) if still.any() else len(part) - 1
    return begin + max(0, start - 1), begin + max(end, start + 1)


def _tell_closings(act: Performance, opening: Array, fps: int, lag: int) -> tuple[list[Attempt], list[tuple[int, int]]]:
    attempts: list[Attempt] = []
    idle: list[tuple[int, int]] = []
    for closing in act.closings:
        track = opening[:, closing.arm]
        after = np.flatnonzero(np.diff(act.grip[closing.stop :, closing.arm]) > 0.004)
        stop = len(track) if not len(after) else min(len(track), closing.stop + int(after[0]) + lag + 1)
        if closing.lost and closing.until is not None:
            stop = min(stop, closing.until)
        span = _settle(track, closing, stop, fps, lag)
        if span is None:
            continue
        if closing.tries:
            lost = closing.until if closing.lost else None
            attempts.append(Attempt(*span, closing.held, lost, closing.arm))
        else:
            idle.append(span)
    return attempts, idle
