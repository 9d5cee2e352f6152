"""Whether an episode's signals tell anything, and what is odd about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from sima2.errors import RolloutError
from sima2.records.arrays import Bools, Float32s, Float64s, Int64s

MISSING_SHARE: Final = 0.5
"""Share of missing samples of motion above which an episode is not judged."""
JUMP_PERIODS: Final = 20.0
"""A step of the clock longer than so many median periods is reported as a jump (a buffer or a network that stalled)."""

WILD_RAD: Final = 4.0 * np.pi
"""A joint whose samples span less in an episode has none that is out of the question."""
WILD: Final = 10.0
"""A sample so many times as far from the median as 99 % of the others is wild."""

_MOTION: Final = ("joint_position", "joint_velocity", "ee_position")
_ALIVE: Final = ("joint_velocity", "joint_torque", "grip_force", "contact_force")
"""Rates and forces: an arm at rest may show the same angles for ever, but no sensor the same force, other than none."""


def glance(
    time: Float64s,
    offset: Int64s,
    arms: Mapping[str, Mapping[str, Float32s]],
    scene: Mapping[str, Float32s],
) -> tuple[Bools, Bools]:
    """A first look at many episodes at once.

    Args:
        time: s since the start of each, shape (t,).
        offset: first frame of each and one past the last, shape (n + 1,); two frames each at least.
        arms: channels by arm.
        scene: what else was recorded.

    Returns:
        Episodes that are sound: time increases, nothing is infinite, and a channel of motion is never missing and
        changes. Any other needs a closer look. And those of which :func:`oddities` may say something. Shape (n,) each.
    """
    start = offset[:-1]
    step = np.diff(time)
    between = offset[1:-1] - 1
    step[between] = step[between - 1]
    least, longest = np.minimum.reduceat(step, start), np.maximum.reduceat(step, start)
    sound = (least > 0.0) & np.isfinite(longest)
    odd = longest > JUMP_PERIODS * least
    seen = np.zeros(len(start), np.bool_)
    rest = list(scene.values())
    for channels in arms.values():
        for name, value in channels.items():
            if name not in _MOTION or not value.shape[1]:
                rest.append(value)
                continue
            low, high = np.minimum.reduceat(value, start), np.maximum.reduceat(value, start)
            known = (np.isfinite(low) & np.isfinite(high)).all(axis=1)
            sound &= known
            with np.errstate(invalid="ignore", over="ignore"):
                span = high - low
            seen |= known & (span > 0.0).any(axis=1)
            if name == "joint_position":
                odd |= (span > WILD_RAD).any(axis=1)
    for value in rest:
        infinite = np.isinf(value)
        if infinite.any():
            sound &= ~np.logical_or.reduceat(infinite.reshape(len(value), -1).any(axis=1), start)
    return sound & seen, odd


def check_signal(
    name: str,
    frames: int,
    signals: Sequence[tuple[str, Float32s]],
    scene: Sequence[Float32s],
) -> None:
    """Something must have been recorded: of one channel of motion at least half of the samples, and not one value.

    Args:
        name: of the episode.
        frames: how long it is.
        signals: channels of arms, and objects' positions; several may share a name.
        scene: what else was recorded.
    """
    motion = _sight([each for each in signals if each[0] in _MOTION], frames) or _sight(signals, frames)
    if not motion:
        raise RolloutError(
            name, "channels", "no arm or object channel holds a number", reason="no_signal", end_frame=frames
        )
    best = max(motion, key=lambda key: int(motion[key].sum()))
    missing = ~motion[best]
    if missing.mean() > MISSING_SHARE:
        lost = np.flatnonzero(missing)
        raise RolloutError(
            name,
            "channels",
            f"{missing.mean():.0%} of the samples of {best} are missing, and of any other motion no less",
            reason="mostly_missing",
            start_frame=int(lost[0]),
            end_frame=int(lost[-1]) + 1,
        )
    if any(_changes(value) for value in (*(value for _, value in signals), *scene)):
        return
    alive = [key for key, value in signals if key in _ALIVE and np.nan_to_num(value).any()]
    if alive:
        raise RolloutError(
            name, "channels", f"no channel ever changes, not even {alive[0]}", reason="frozen", end_frame=frames
        )


def _sight(signals: Sequence[tuple[str, Float32s]], frames: int) -> dict[str, Bools]:
    """Frames in which each channel that ever holds a number holds one, by name, shape (t,)."""
    seen: dict[str, Bools] = {}
    for key, value in signals:
        seen[key] = seen.get(key, np.zeros(frames, np.bool_)) | _seen(value)
    return {key: where for key, where in seen.items() if where.any()}


def _changes(values: Float32s) -> bool:
    rows = values.reshape(len(values), -1)
    return bool((np.fmax.reduce(rows) > np.fmin.reduce(rows)).any())


def _seen(values: Float32s) -> Bools:
    """Frames in which a channel holds a number, shape (t,)."""
    finite: Bools = ~np.isnan(values.reshape(len(values), -1))
    return np.asarray(finite.any(axis=1))


def oddities(time: Float64s, joints: Mapping[str, Float32s]) -> list[str]:
    """What is odd about an episode that can be read.

    Args:
        time: s, shape (t,).
        joints: ``joint_position`` by arm, shape (t, j) each.
    """
    step = np.diff(time)
    longest = int(np.argmax(step)) if len(step) else 0
    told = []
    if len(step) and step[longest] > JUMP_PERIODS * float(np.median(step)):
        told.append(f"the clock jumps by {step[longest]:.3g} s at frame {longest + 1}")
    for arm, values in joints.items():
        told += [f"{arm}.joint_position: {each}" for each in _wild(values)]
    return told


def _wild(values: Float32s) -> list[str]:
    """Columns with single samples that lie far outside of all the others, shape (t, j)."""
    low, high = np.nanmin(values, axis=0, initial=np.inf), np.nanmax(values, axis=0, initial=-np.inf)
    far = high - low > WILD_RAD
    told = []
    for place in np.flatnonzero(far).tolist():
        column = values[:, place].astype(np.float64)
        middle = float(np.nanmedian(column))
        usual = float(np.nanpercentile(np.abs(column - middle), 99.0))
        outside = np.flatnonzero(np.abs(column - middle) > WILD * max(usual, 1e-6))
        if len(outside):
            at = int(outside[0])
            told.append(f"column {place} is {column[at]:.4g} at frame {at}, far outside of the rest: a wild sample")
    return told
