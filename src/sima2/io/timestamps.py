"""Times of frames: which unit they are in, and whether they are the frame's number over the frame rate."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.io.column_map import UNITS
from sima2.io.sample import TIMESTAMP, Sample
from sima2.records.arrays import Bools, Float64s, Int64s

TICK_TOLERANCE_S: Final = 1e-4
"""How far a timestamp may be from k / fps; LeRobot's own tolerance."""
FASTEST_HZ, SLOWEST_HZ = 2_000.0, 1.0
"""No arm is recorded faster than its torque loop, nor so slowly that its motion is lost."""
USUAL_HZ: Final = 30.0
"""What an unknown rate is held against: the most common one of recordings."""
OTHER_UNIT: Final = 100.0
"""Factor between the steps of two episodes of a set above which their units differ."""
OTHER_RATE: Final = 1.2
"""Factor between the rate of the timestamps and the declared one that is said."""
OFF: Final = 0.25
"""Share of a period by which a step of the clock is off."""
_TIMES: Final = ("s", "ms", "us", "ns")


def time_unit(step: float, fps: float | None) -> str:
    """The unit in which a median step between frames is a rate that a robot is recorded at.

    Seconds, where these are possible; else the unit whose rate is nearest to the declared one.

    Args:
        step: in the unit asked for.
        fps: declared rate in Hz, which may be wrong.

    >>> time_unit(1 / 30, 30.0), time_unit(100.0, 30.0), time_unit(1e8, 30.0), time_unit(16.7, None)
    ('s', 'ms', 'ns', 'ms')
    """
    if not np.isfinite(step) or step <= 0.0:
        return "s"
    rates = {name: 1.0 / (step * UNITS[name][1]) for name in _TIMES}
    declared = fps or USUAL_HZ
    possible = {name: rate for name, rate in rates.items() if SLOWEST_HZ <= rate <= FASTEST_HZ}
    if "s" in possible or not possible or (fps is not None and 0.5 < rates["s"] / fps < 2.0):
        return "s"
    return min(possible, key=lambda name: abs(float(np.log(possible[name] / declared))))


def set_step(sample: Sample) -> float | None:
    """Median step between the timestamps of a sample, in their own unit; None where there are none."""
    stamps = sample.values.get(TIMESTAMP)
    if stamps is None or stamps.shape[1] != 1:
        return None
    known = np.where(np.abs(stamps[:, 0]) < 1e300, stamps[:, 0], np.nan)
    steps = [np.diff(known[rows]) for rows in sample.spans()]
    every = np.concatenate(steps) if steps else np.zeros(0)
    every = every[np.isfinite(every)]
    return float(np.median(every)) if len(every) else None


def seconds(stamps: Float64s, ticks: Float64s | None, fps: float | None, usual: float | None = None) -> Float64s:
    """Timestamps in s; where they are the frame's number over the rate but for rounding, that exactly.

    A single-precision timestamp is 4 ms off after ten hours, which would look like jitter of the clock.

    Args:
        stamps: as recorded, shape (t,).
        ticks: frame numbers over the frame rate, s, shape (t,), where both are known.
        fps: declared rate in Hz.
        usual: median step of the set: its unit is that of each episode, unless the episode is a thousand times off.
    """
    if len(stamps) > 1 and np.isfinite(stamps).all():
        own = float(np.median(np.diff(stamps)))
        as_usual = usual is not None and usual > 0.0 and own > 0.0 and abs(np.log(own / usual)) < np.log(OTHER_UNIT)
        unit = time_unit(usual if as_usual and usual is not None else own, fps)
        stamps = stamps if unit == "s" else stamps * UNITS[unit][1]
    if ticks is None or not np.isfinite(stamps).all():
        return stamps
    step = np.diff(stamps)
    if (step == 0.0).any() and (step >= 0.0).all() and _same_way(stamps, ticks):
        return ticks  # a clock that ticks more slowly than the frames come
    spacing = float(np.spacing(np.float32(np.abs(stamps).max(initial=0.0))))
    if (stamps == stamps.astype(np.float32)).all() and fps is not None and spacing * fps > 0.1:
        return ticks  # single precision cannot tell these frames apart, but their numbers can
    rounding = np.spacing(np.abs(np.clip(stamps, -1e30, 1e30)).astype(np.float32)).astype(np.float64)
    return ticks if (np.abs(stamps - ticks) <= TICK_TOLERANCE_S + rounding).all() else stamps


def seconds_of_each(
    stamps: Float64s, ticks: Float64s | None, fps: float | None, usual: float | None, offset: Int64s
) -> tuple[Float64s, Bools]:
    """:func:`seconds` of several episodes end to end, each judged by itself; and of which frame numbers were taken.

    Args:
        stamps: as recorded, shape (t,).
        ticks: frame numbers over the frame rate, s, shape (t,), where both are known.
        fps: declared rate in Hz.
        usual: median step of the set.
        offset: the first frame of each episode and one past the last, shape (n + 1,); two frames each at least,
            unless there is but one.
    """
    if len(offset) == 2:
        alone = seconds(stamps, ticks, fps, usual)
        return alone, np.array([alone is ticks])
    out = np.empty(len(stamps)) if ticks is None else ticks.copy()
    unclear = np.ones(len(offset) - 1, np.bool_)
    if ticks is not None and usual is not None and usual > 0.0 and len(stamps) > 1:
        with np.errstate(over="ignore", invalid="ignore"):
            near = np.abs(in_seconds(stamps, fps, usual) - ticks) <= TICK_TOLERANCE_S
            ratio = np.diff(stamps) / usual
        # all steps near the usual one: so is their median, whatever it is
        near[:-1] &= _between_episodes(offset, (ratio > 2.0 / OTHER_UNIT) & (ratio < 0.5 * OTHER_UNIT))
        unclear = ~np.logical_and.reduceat(near, offset[:-1])
    ticked = ~unclear
    for place in np.flatnonzero(unclear).tolist():
        mine = slice(int(offset[place]), int(offset[place + 1]))
        numbers = None if ticks is None else ticks[mine]
        out[mine] = taken = seconds(stamps[mine], numbers, fps, usual)
        ticked[place] = taken is numbers
    return out, ticked


def _between_episodes(offset: Int64s, good: Bools) -> Bools:
    """What holds of the steps between frames, shape (t - 1,), but for those from one episode to the next."""
    good[offset[1:-1] - 1] = True
    return good


def _same_way(stamps: Float64s, ticks: Float64s) -> bool:
    """Whether both clocks show about the same time between the first and the last frame."""
    a, b = float(stamps[-1] - stamps[0]), float(ticks[-1] - ticks[0])
    return b > 0.0 and 1.0 / OTHER_RATE <= a / b <= OTHER_RATE


def in_seconds(stamps: Float64s, fps: float | None, usual: float | None) -> Float64s:
    """Timestamps in the set's unit as seconds, shape (t,)."""
    unit = "s" if usual is None else time_unit(usual, fps)
    return stamps if unit == "s" else np.asarray(stamps * UNITS[unit][1])


def share_off(stamps: Float64s, fps: float | None) -> float:
    """Share of the steps between timestamps that are no period, by more than a quarter of one; 0 where none is told.

    Args:
        stamps: in seconds, as recorded, shape (t,).
        fps: declared rate in Hz.

    >>> share_off(np.array([0.0, 0.1, 0.1, 0.3, 0.4]), 10.0)
    0.5
    """
    if fps is None or len(stamps) < 2 or not np.isfinite(stamps).all():
        return 0.0
    return float((np.abs(np.diff(stamps) * fps - 1.0) > OFF).mean())


def shares_off(stamps: Float64s, fps: float | None, offset: Int64s) -> dict[int, float]:
    """:func:`share_off` of several episodes end to end by their place, where it is not 0.

    Args:
        stamps: in seconds, as recorded, shape (t,).
        fps: declared rate in Hz.
        offset: the first frame of each episode and one past the last, shape (n + 1,).

    >>> shares_off(np.array([0.0, 0.1, 0.2, 0.0, 0.1, 0.1]), 10.0, np.array([0, 3, 6]))
    {1: 0.5}
    """
    if fps is None:
        return {}
    off = np.flatnonzero(np.abs(np.diff(stamps) * fps - 1.0) > OFF)
    places = np.unique(np.searchsorted(offset, off, side="right") - 1).tolist()
    found = {place: share_off(stamps[offset[place] : offset[place + 1]], fps) for place in places}
    return {place: share for place, share in found.items() if share > 0.0}


def clock_doubt(sample: Sample, fps: float | None) -> tuple[str, ...]:
    """What a sample of timestamps says against seconds at the declared rate."""
    stamps = sample.values.get(TIMESTAMP)
    if stamps is None or stamps.shape[1] != 1:
        return ()
    known = np.where(np.abs(stamps[:, 0]) < 1e300, stamps[:, 0], np.nan)
    steps = [np.diff(known[rows]) for rows in sample.spans()]
    known = np.concatenate(steps) if steps else np.zeros(0)
    known = known[np.isfinite(known)]
    if not len(known):
        return ()
    repeated = float(np.mean(known == 0.0))
    step = float(np.mean(known) if repeated else np.median(known))
    unit = time_unit(step, fps)
    rate = 1.0 / (step * UNITS[unit][1]) if step > 0.0 else np.nan
    other = fps is not None and not 1.0 / OTHER_RATE <= rate / fps <= OTHER_RATE
    if unit == "s" and not other and not repeated:
        return ()
    if repeated and not other:
        return (f"timestamps repeat in {repeated:.0%} of the steps: frame numbers over the frame rate are taken",)
    declared = f"; {fps:g} Hz are declared" if other and fps is not None else ""
    return (f"timestamps are taken as {unit}, which makes {rate:.3g} Hz{declared}",)
