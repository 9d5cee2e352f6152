"""Defects planted in otherwise normal recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.bench.recordings_maker.follower import Take, hand_columns
from sima2.bench.recordings_maker.layout import Filed
from sima2.bench.recordings_maker.recipes import NORM_RANGE, Recipe
from sima2.bench.recordings_maker.truth import KINDS, Attempt, Planted

STATE: Final = "observation.state"
IDLE_S: Final = (5.0, 20.0)
"""Rest planted before or after the motion, seconds."""
COPIES: Final = ("duplicate", "near_duplicate")
SIMULATED: Final = ("idle_start", "idle_end")
"""Kinds that the operator performs."""
UNITS: Final[Mapping[str, tuple[str, float]]] = {
    "rad": ("degrees", 180 / np.pi),
    "deg": ("radians", np.pi / 180),
    "norm": ("radians", NORM_RANGE / 100),
}
"""What another script would have recorded, and the factor to it."""


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What a planter may know of the set."""

    recipe: Recipe
    rng: np.random.Generator
    span: NDArray[np.float64]
    """Usual range of each column of the state over clean episodes (1st to 99th percentile), shape (columns,)."""

    @property
    def hands(self) -> list[int]:
        """Columns of hands."""
        return hand_columns(self.recipe.rig)

    @property
    def joints(self) -> list[int]:
        """Columns of joints."""
        hands = set(self.hands)
        return [k for k in range(len(self.span)) if k not in hands]

    @property
    def radian(self) -> float:
        """One radian as recorded."""
        return {"rad": 1.0, "deg": 180 / np.pi, "norm": 100 / NORM_RANGE}[self.recipe.rig.units]

    def frames(self, low: float, high: float) -> int:
        """A number of frames between two times in seconds."""
        return max(2, round(self.rng.uniform(low, high) * self.recipe.fps))


Planter = Callable[[Context, Filed], "Planted | None"]


def kinds_of(recipe: Recipe) -> tuple[str, ...]:
    """Kinds that can be planted in a recipe's sets."""
    out = set()
    if not recipe.commands:
        out |= {"action_lag", "leader_offset", "stalled"}
    if not recipe.outcomes:
        out.add("label_flipped")
    if len(recipe.tasks) < 2:
        out.add("wrong_task")
    return tuple(kind for kind in KINDS if kind not in out)


def file(recipe: Recipe, take: Take, rng: np.random.Generator) -> Filed:
    """A recording without a defect."""
    index = np.arange(len(take.state), dtype=np.int64)
    late = np.clip(rng.normal(0, 1, len(index)) * recipe.clock, -0.1, 0.1) * (index > 0)
    return Filed(take, (index + late) / recipe.fps, index, take.task)


def plant(kind: str, context: Context, filed: Filed) -> Planted | None:
    """Plant a defect in place; None if this episode has no room for it (it is unchanged then)."""
    return PLANTERS[kind](context, filed)


def _copy(take: Take) -> None:
    take.state = take.state.copy()
    take.action = None if take.action is None else take.action.copy()


def keep_frames(filed: Filed, kept: NDArray[np.int64]) -> None:
    """Leave only some frames, in state, action and truth; times run evenly again."""
    take = filed.take
    where = np.searchsorted(kept, np.arange(len(take.state) + 1))
    take.state = take.state[kept]
    take.action = None if take.action is None else take.action[kept]
    _move_truth(take, where, len(kept))
    filed.time = filed.time[: len(kept)]
    filed.index = filed.index[: len(kept)]


def _move_truth(take: Take, where: NDArray[np.int64], frames: int) -> None:
    attempts = []
    for attempt in take.attempts:
        start, end = int(where[attempt.start]), int(where[attempt.end])
        if end >= frames or end <= start:
            continue
        lost = None if attempt.lost_at is None else int(where[attempt.lost_at])
        lost = None if lost is not None and lost >= frames else lost
        attempts.append(replace(attempt, start=start, end=end, lost_at=lost))
    take.attempts = attempts
    spans = [(int(where[a]), int(where[b])) for a, b in take.idle_closings]
    take.idle_closings = [(a, b) for a, b in spans if a < b < frames]
    take.releases = [int(where[k]) for k in take.releases if where[k] < frames]


def _stretch(
    context: Context, filed: Filed, column: int, seconds: tuple[float, float], least: float
) -> tuple[int, int] | None:
    """A stretch in which a joint and its command move a share of the joint's usual range, if there is one."""
    take = filed.take
    guide = take.state if take.action is None else take.action
    for _ in range(25):
        n = context.frames(*seconds)
        if n >= len(guide) - 4:
            continue
        start = int(context.rng.integers(2, len(guide) - n - 1))
        moves = [np.ptp(part[start : start + n, column]) for part in (guide, take.state)]
        if min(moves) >= least * context.span[column] and context.span[column] > 0.1 * context.radian:
            return start, start + n
    return None


def _busy(context: Context, filed: Filed, seconds: tuple[float, float], least: float) -> tuple[int, int, int] | None:
    for column in context.rng.permutation(context.joints):
        found = _stretch(context, filed, int(column), seconds, least)
        if found is not None:
            return (*found, int(column))
    return None


def _frozen_channel(context: Context, filed: Filed) -> Planted | None:
    found = _busy(context, filed, (1.0, 4.0), 0.25)
    if found is None:
        return None
    start, stop, column = found
    state = filed.take.state
    if context.rng.random() < 0.2 and np.ptp(state[start:, column]) > 0:
        stop = len(state)
    state[start:stop, column] = state[start, column]
    return Planted("frozen_channel", STATE, column, start, stop)


def _clipped(context: Context, filed: Filed) -> Planted | None:
    rng, take = context.rng, filed.take
    on_action = take.action is not None and rng.random() < 0.25
    values = take.action if on_action and take.action is not None else take.state
    for column in rng.permutation(context.joints):
        track = values[:, column]
        if np.ptp(track) < max(0.5 * context.span[column], 0.15 * context.radian):
            continue
        share = rng.uniform(0.06, 0.25)
        top = bool(rng.random() < 0.5)
        limit = np.quantile(track, 1 - share if top else share)
        beyond = np.flatnonzero(track > limit if top else track < limit)
        depth = float(np.max(np.abs(track[beyond] - limit))) if len(beyond) else 0.0
        if depth < 0.12 * context.span[column]:
            continue
        values[:, column] = np.minimum(track, limit) if top else np.maximum(track, limit)
        name = "action" if on_action else STATE
        return Planted("clipped", name, int(column), int(beyond[0]), int(beyond[-1]) + 1, note=f"depth {depth:.4g}")
    return None


def _action_lag(context: Context, filed: Filed) -> Planted | None:
    take, rng = filed.take, context.rng
    if take.action is None:
        return None
    shift = max(3, context.frames(0.15, 0.4))
    n = len(take.state)
    if n < 8 * shift:
        return None
    if rng.random() < 0.5:
        action = take.action[shift:].copy()
        keep_frames(filed, np.arange(n - shift))
        take.action, note = action, f"states {shift} frames late"
    else:
        action = take.action[: n - shift].copy()
        keep_frames(filed, np.arange(shift, n))
        take.action, note = action, f"actions {shift} frames late"
    return Planted("action_lag", "action", None, 0, n - shift, note=note)


def _leader_offset(context: Context, filed: Filed) -> Planted | None:
    take, rng = filed.take, context.rng
    if take.action is None:
        return None
    column = int(rng.choice(context.joints))
    usual = context.recipe.rig.offset + context.recipe.rig.sag
    size = float(rng.uniform(0.06, 0.2) + 2 * usual) * (1 if rng.random() < 0.5 else -1)
    take.action[:, column] += np.float32(size * context.radian)
    return Planted("leader_offset", "action", column, 0, len(take.state), note=f"{size:.3f} rad")


def _truncated(context: Context, filed: Filed) -> Planted | None:
    take, rng = filed.take, context.rng
    n = len(take.state)
    speed = np.abs(np.diff(take.state[:, context.joints], axis=0)).sum(1)
    speed = np.convolve(speed, np.ones(5) / 5, "same")
    inside = np.zeros(n - 1, bool)
    for a, b in [(a.start, a.end) for a in take.attempts] + take.idle_closings:
        inside[max(0, a - 2) : b + 2] = True
    # before the last thing is let go, so that the task is not done
    last = max(take.releases, default=n) if take.success else n
    frame = np.arange(n - 1)
    moving = speed > 0.6 * np.quantile(speed, 0.75)
    fit = np.flatnonzero(~inside & moving & (frame > 0.25 * n) & (frame < min(last, n - context.recipe.fps)))
    if not len(fit):
        return None
    cut = int(rng.choice(fit))
    keep_frames(filed, np.arange(cut))
    held = _holding(take, cut)
    take.ends, take.success = "cut_off", False
    return Planted("truncated", "episode", None, cut - 1, cut, note="holding" if held else "in motion")


def _holding(take: Take, frame: int) -> bool:
    last = max((a for a in take.attempts if a.held and a.lost_at is None), key=lambda a: a.end, default=None)
    return last is not None and not any(last.end <= k < frame for k in take.releases)


def _dropped_frames(context: Context, filed: Filed) -> Planted | None:
    rng, n = context.rng, len(filed.time)
    at_once = bool(rng.random() < 0.6)
    found = _busy(context, filed, (0.25, 1.0) if at_once else (2.0, 4.0), 0.12 if at_once else 0.3)
    if found is None:
        return None
    start, stop, _ = found
    gone = np.ones(stop - start, bool) if at_once else rng.random(stop - start) < rng.uniform(0.15, 0.35)
    lost = np.flatnonzero(gone) + start
    if not len(lost):
        return None
    note = f"{len(lost)} frames {'at once' if at_once else 'here and there'}"
    kept = np.setdiff1d(np.arange(n), lost)
    ends_before = filed.take.attempts
    time, index = filed.time[kept], filed.index[kept]
    keep_frames(filed, kept)
    if len(filed.take.attempts) < len(ends_before):
        filed.take.attempts = _squeezed(ends_before, kept)
    shown = rng.random() < 0.5
    if shown:
        filed.time = time
        if rng.random() < 0.5:
            filed.index = index
    first, last = (int(x) for x in np.searchsorted(kept, [lost[0], lost[-1] + 1]))
    word = "times show it" if shown else "times renumbered"
    return Planted("dropped_frames", "episode", None, first, max(last, first + 1), note=f"{note}, {word}")


def _squeezed(attempts: list[Attempt], kept: NDArray[np.int64]) -> list[Attempt]:
    """Attempts after a loss, none left out: one within the loss is two frames long."""
    top = len(kept) - 1
    out = []
    for attempt in attempts:
        start, end = (int(x) for x in np.searchsorted(kept, [attempt.start, attempt.end]))
        start = min(start, top - 1)
        lost = None if attempt.lost_at is None else min(top, int(np.searchsorted(kept, attempt.lost_at)))
        out.append(replace(attempt, start=start, end=min(top, max(end, start + 1)), lost_at=lost))
    return out


def _timestamp_jitter(context: Context, filed: Filed) -> Planted | None:
    rng, n, period = context.rng, len(filed.time), 1 / context.recipe.fps
    if rng.random() < 0.6:
        size = rng.uniform(0.12, 0.4)
        noise = rng.normal(0, size * period, n)
        note = f"{size:.2f} periods"
    else:
        # a disk that blocks now and then: some stamps late, the next ones close behind
        noise, note = np.zeros(n), "stamps late in bursts"
        for start in rng.integers(1, n - 6, max(2, n // 60)):
            late = rng.uniform(0.6, 2.5) * period
            noise[start : start + 4] = np.maximum(noise[start : start + 4], late - np.arange(4) * period)
    time = np.maximum.accumulate(filed.time + noise + np.arange(n) * 1e-9)
    filed.time = time - min(0.0, float(time[0]))
    return Planted("timestamp_jitter", "timestamp", None, 0, n, note=note)


def _wrong_fps(context: Context, filed: Filed) -> Planted | None:
    fps = context.recipe.fps
    rates = [rate for rate in (5, 10, 15, 20, 25, 30, 50, 60) if rate != fps and 0.45 <= rate / fps <= 2.1]
    rate = int(context.rng.choice(rates))
    filed.time = filed.time * fps / rate
    return Planted("wrong_fps", "timestamp", None, 0, len(filed.time), note=f"{rate} Hz")


def _flipped_gripper(context: Context, filed: Filed) -> Planted | None:
    hand, columns = context.recipe.rig.hand, context.hands
    both = np.float32(hand.opened + hand.closed)
    take = filed.take
    take.state[:, columns] = both - take.state[:, columns]
    if take.action is not None:
        one = np.float32(1.0) if hand.bits == "command" else both
        take.action[:, columns] = one - take.action[:, columns]
    column = columns[0] if len(columns) == 1 else None
    return Planted("flipped_gripper", STATE, column, 0, len(take.state), note="state and action")


def _mixed_units(context: Context, filed: Filed) -> Planted | None:
    name, factor = UNITS[context.recipe.rig.units]
    take = filed.take
    for values in (take.state, take.action):
        if values is not None:
            values[:, context.joints] *= np.float32(factor)
    return Planted("mixed_units", STATE, None, 0, len(take.state), note=f"joints of state and action in {name}")


def _pick(context: Context, filed: Filed, chance: float) -> tuple[str, NDArray[np.float32]]:
    action = filed.take.action
    if action is not None and context.rng.random() < chance:
        return "action", action
    return STATE, filed.take.state


def _teleport(context: Context, filed: Filed) -> Planted | None:
    rng = context.rng
    name, values = _pick(context, filed, 0.3)
    n, column = int(rng.integers(1, 4)), int(rng.choice(context.joints))
    start = int(rng.integers(3, len(values) - n - 3))
    size = float(rng.uniform(0.25, 1.2)) * (1 if rng.random() < 0.5 else -1)
    values[start : start + n, column] += np.float32(size * context.radian)
    return Planted("teleport", name, column, start, start + n, note=f"{size:.2f} rad")


def _nan_burst(context: Context, filed: Filed) -> Planted | None:
    rng = context.rng
    name, values = _pick(context, filed, 0.3)
    n = min(int(rng.integers(2, 25)), len(values) // 3)
    start = int(rng.integers(0, len(values) - n))
    if rng.random() < 0.5:
        values[start : start + n] = np.nan
        return Planted("nan_burst", name, None, start, start + n)
    column = int(rng.integers(values.shape[1]))
    values[start : start + n, column] = np.nan
    return Planted("nan_burst", name, column, start, start + n)


def _idle(context: Context, filed: Filed, kind: str) -> Planted | None:
    before, after = filed.take.calm
    n = len(filed.time)
    start, stop = (0, before) if kind == "idle_start" else (n - after, n)
    return Planted(kind, STATE, None, start, stop) if stop > start else None


def _wrong_task(context: Context, filed: Filed) -> Planted | None:
    others = [k for k in range(len(context.recipe.tasks)) if k != filed.take.task]
    filed.task = int(context.rng.choice(others))
    return Planted("wrong_task", "task", None, 0, len(filed.time))


def _label_flipped(context: Context, filed: Filed) -> Planted | None:
    return Planted("label_flipped", "outcome", None, 0, len(filed.time))


def _noise_burst(context: Context, filed: Filed) -> Planted | None:
    rng, state = context.rng, filed.take.state
    n = context.frames(0.5, 2.0)
    if n > len(state) - 4:
        return None
    start = int(rng.integers(1, len(state) - n - 1))
    one = bool(rng.random() < 0.6)
    columns = [int(rng.choice(context.joints))] if one else context.joints
    size = rng.uniform(0.02, 0.08)
    noise = rng.normal(0, size * context.radian, (n, len(columns)))
    state[start : start + n, columns] += noise.astype(np.float32)
    return Planted("noise_burst", STATE, columns[0] if one else None, start, start + n, note=f"{size:.3f} rad")


def _stalled(context: Context, filed: Filed) -> Planted | None:
    take, rng, fps = filed.take, context.rng, context.recipe.fps
    if take.action is None:
        return None
    of_hand = context.recipe.rig.hand.bits != "both" and bool(take.releases) and rng.random() < 0.25
    if of_hand:
        start, columns = int(rng.choice(take.releases)), context.hands
        stop = start + context.frames(1.0, 2.0)
    else:
        found = _busy(context, filed, (1.0, 3.0), 0.35)
        if found is None:
            return None
        (start, stop, _), columns = found, context.joints
    if stop >= len(take.state) - fps // 3:
        return None
    truth = take.state[:, columns].copy()
    take.state[start:stop, columns] = truth[start] + _reading(context, stop - start, len(columns), of_hand)
    left = np.arange(len(truth) - stop)[:, None]
    decay = np.exp(-left / (rng.uniform(0.1, 0.25) * fps)) * (left < 2 * fps)
    take.state[stop:, columns] = truth[stop:] + ((truth[start] - truth[stop]) * decay).astype(np.float32)
    column = columns[0] if len(columns) == 1 else None
    return Planted("stalled", STATE, column, start, stop, note="hand" if of_hand else "all joints")


def _reading(context: Context, frames: int, columns: int, of_hand: bool) -> NDArray[np.float32]:
    """Noise of a standing robot's readings, shape (frames, columns)."""
    rig = context.recipe.rig
    unit = abs(rig.hand.opened - rig.hand.closed) if of_hand else context.radian
    noise = context.rng.normal(0, rig.hand.noise if of_hand else rig.noise, (frames, columns)) * unit
    step = rig.hand.step if of_hand else rig.step * unit
    return (np.round(noise / step) * step if step else noise).astype(np.float32)


def copy_of(kind: str, context: Context, source: Filed, number: int) -> tuple[Filed, Planted]:
    """A copy of an episode, perhaps trimmed, told as another task, or with a little noise."""
    rng, old = context.rng, source.take
    take = replace(old, attempts=list(old.attempts), idle_closings=list(old.idle_closings), releases=list(old.releases))
    _copy(take)
    filed = Filed(take, source.time.copy(), source.index.copy(), source.task)
    notes = []
    if rng.random() < 0.4:
        head, tail = (int(x) for x in rng.integers(0, 6, 2))
        keep_frames(filed, np.arange(head, len(take.state) - tail))
        notes.append(f"trimmed by {head} and {tail}")
    if kind == "near_duplicate":
        size = rng.uniform(0.0005, 0.004)
        noise = rng.normal(0, 1, take.state.shape) * context.span * size
        take.state += noise.astype(np.float32)
        if take.action is not None and rng.random() < 0.5:
            take.action += (rng.normal(0, 1, take.action.shape) * context.span * size).astype(np.float32)
        notes.append(f"noise {size:.4f} of the range")
    elif rng.random() < 0.3 and len(context.recipe.tasks) > 1:
        filed.task = (source.task + 1) % len(context.recipe.tasks)
        notes.append("another task's text")
    elif rng.random() < 0.25:
        filed.time = filed.time + rng.uniform(0.5, 30.0)
        notes.append("times start later")
    return filed, Planted(kind, "episode", None, 0, len(filed.time), of=number, note=", ".join(notes))


PLANTERS: Final[Mapping[str, Planter]] = {
    "frozen_channel": _frozen_channel,
    "clipped": _clipped,
    "action_lag": _action_lag,
    "leader_offset": _leader_offset,
    "truncated": _truncated,
    "dropped_frames": _dropped_frames,
    "timestamp_jitter": _timestamp_jitter,
    "wrong_fps": _wrong_fps,
    "flipped_gripper": _flipped_gripper,
    "mixed_units": _mixed_units,
    "teleport": _teleport,
    "nan_burst": _nan_burst,
    "idle_start": lambda context, filed: _idle(context, filed, "idle_start"),
    "idle_end": lambda context, filed: _idle(context, filed, "idle_end"),
    "wrong_task": _wrong_task,
    "label_flipped": _label_flipped,
    "noise_burst": _noise_burst,
    "stalled": _stalled,
}
"""A planter a kind, except copies."""
