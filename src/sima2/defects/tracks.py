"""The position columns of a batch, and where each of them moves; an episode's numbers rest on its own frames alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from sima2.defects.defect_settings import DefectSettings
from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.records.rollout import RolloutBatch

NORMAL_MEDIAN: Final = 0.6745
"""Median size of a standard normal value."""
SAMPLE: Final = 256
"""Frames, evenly spread, on which an episode's quantiles rest."""
MANY_COUNTS: Final = 50
"""Counts that a column with a resolution goes through; a bit has one."""
JOINT, HAND, GRIPPER = "joint", "hand", "gripper"
POSITIONS: Final = (
    ("joint_position", JOINT),
    ("ee_position", HAND),
    ("gripper_width", GRIPPER),
    ("gripper_opening", GRIPPER),
)


class Column(NamedTuple):
    """Which column of which channel of which manipulator."""

    arm: str
    channel: str
    place: int
    kind: str

    @property
    def name(self) -> str:
        """As people call it."""
        if self.kind == GRIPPER:
            return self.channel
        return f"{self.channel}[{self.place}]"


@dataclass(frozen=True, eq=False)
class Tracks:
    """Position columns, one a row."""

    offset: Int64s
    """First frame of each episode and one past the last, shape (n + 1,)."""
    time: Float64s
    """s, shape (T,)."""
    period: Float64s
    """Median time between frames of each episode, s; 1 for one frame; shape (n,)."""
    columns: tuple[Column, ...]
    x: Float32s
    """Positions, gaps filled along straight lines, shape (C, T)."""
    known: Bools | None
    """Where the position was recorded, shape (C, T); None means everywhere."""
    step: Float32s
    """Change since the frame before, as if frames came evenly; 0 at an episode's start; shape (C, T)."""
    noise: Float32s
    """Standard deviation of each column's noise in each episode, shape (C, n)."""
    motion: Float32s
    """Size of the change over ``window_s`` about each frame, shape (C, T)."""
    still: Float32s
    """Motion below which a column stands still, shape (C, n)."""

    @cached_property
    def length(self) -> Int64s:
        """Frames of each episode, shape (n,)."""
        return np.diff(self.offset)

    @cached_property
    def first(self) -> Bools:
        """Where an episode begins, shape (T,)."""
        return starts(self.offset, len(self.time))

    @cached_property
    def repeated(self) -> Bools:
        """Where all positions are, bit for bit, those of the frame before, shape (T,)."""
        same = np.ones(len(self.time), np.bool_) if self.columns else np.zeros(len(self.time), np.bool_)
        for row in self.step:
            same &= row == 0.0
        same &= ~self.first
        return same

    def frames(self, seconds: float) -> Int64s:
        """Frames in a span of time, at least one, shape (n,)."""
        return np.maximum(1, np.rint(seconds / self.period)).astype(np.int64)

    @cached_property
    def moves(self) -> Bools:
        """Where each column moves, shape (C, T)."""
        return np.asarray(self.motion > np.repeat(self.still, self.length, axis=1))

    @cached_property
    def anything_moves(self) -> Bools:
        """Where any column moves, shape (T,)."""
        return np.asarray(self.moves.any(axis=0))

    def moving(self, rows: list[int]) -> Bools:
        """Where any of these columns moves, shape (T,)."""
        return np.asarray(self.moves[rows].any(axis=0))

    def rows(self, *, arm: str | None = None, kind: str | None = None) -> list[int]:
        """Rows of a manipulator or of a kind."""
        return [
            i
            for i, each in enumerate(self.columns)
            if (arm is None or each.arm == arm) and (kind is None or each.kind == kind)
        ]


def starts(offset: Int64s, frames: int) -> Bools:
    """Where an episode begins, shape (T,)."""
    first = np.zeros(frames, np.bool_)
    begin = offset[:-1]
    first[begin[np.diff(offset) > 0]] = True
    return first


def runs(mask: Bools, first: Bools) -> tuple[Int64s, Int64s]:
    """Starts and ends of the stretches where ``mask`` holds, none reaching over a first frame.

    >>> a, b = runs(np.array([1, 1, 1, 0, 1], bool), np.array([1, 0, 1, 0, 0], bool))
    >>> list(zip(a.tolist(), b.tolist()))
    [(0, 2), (2, 3), (4, 5)]
    """
    if not len(mask):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    begin, end = mask.copy(), mask.copy()
    begin[1:] &= first[1:] | ~mask[:-1]
    end[:-1] &= first[1:] | ~mask[1:]
    return np.flatnonzero(begin), np.flatnonzero(end) + 1


def periods(time: Float64s, offset: Int64s) -> Float64s:
    """Median time between frames, s, 1 where there is none, shape (n,)."""
    out = np.ones(len(offset) - 1)
    took = np.diff(time)
    for i, (a, b) in enumerate(zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True)):
        if b - a > 1:
            own = took[a : b - 1]
            own.sort()
            middle = (b - a - 1) // 2
            out[i] = own[middle] if (b - a) % 2 == 0 else (own[middle - 1] + own[middle]) / 2
    return out


def tracks(batch: RolloutBatch, settings: DefectSettings) -> Tracks:
    """Columns of a batch in which all episodes have the same channels."""
    columns, values = _columns(batch)
    frames = batch.frames
    x = np.empty((len(columns), frames), np.float32)
    for row, value in enumerate(values):
        x[row] = value
    known = ~np.isnan(x)
    whole = bool(known.all())
    if not whole:
        _fill(x, known, batch.offset)
    period = periods(batch.time, batch.offset)
    first = starts(batch.offset, frames)
    step = np.zeros_like(x)
    if frames:
        np.subtract(x[:, 1:], x[:, :-1], out=step[:, 1:])
        step[:, first] = 0.0
        step *= _evenly(batch.time, batch.offset, period, first)
    motion = _motion(x, batch.offset, period, settings)
    noise, fast = _noise_and_fast(x, motion, batch.offset)
    still = np.maximum(_still(fast, columns, settings), np.float32(settings.noise_times * 2**0.5) * noise)
    still = np.maximum(still, np.float32(settings.still_counts) * _counts(x, batch.offset, columns))
    return Tracks(
        offset=batch.offset,
        time=batch.time,
        period=period,
        columns=tuple(columns),
        x=x,
        known=None if whole else known,
        step=step,
        noise=noise,
        motion=motion,
        still=still,
    )


def _columns(batch: RolloutBatch) -> tuple[list[Column], list[Float32s]]:
    columns, values = [], []
    for arm, channels in batch.manipulators.items():
        gripped = False
        for channel, kind in POSITIONS:
            value = getattr(channels, channel)
            if value is None or (kind == GRIPPER and gripped):
                continue
            gripped = gripped or kind == GRIPPER
            for place in range(1 if value.ndim == 1 else value.shape[1]):
                columns.append(Column(arm, channel, place, kind))
                values.append(value if value.ndim == 1 else value[:, place])
    return columns, values


def _fill(x: Float32s, known: Bools, offset: Int64s) -> None:
    """Straight lines over what is missing, the nearest value at the ends, 0 where nothing is known."""
    for row in np.flatnonzero(~known.all(axis=1)).tolist():
        lost = np.unique(np.searchsorted(offset, np.flatnonzero(~known[row]), side="right") - 1)
        for i in lost.tolist():
            span = slice(int(offset[i]), int(offset[i + 1]))
            there = np.flatnonzero(known[row, span])
            values = x[row, span]
            at = np.arange(len(values))
            x[row, span] = np.interp(at, there, values[there]) if len(there) else 0.0


def _evenly(time: Float64s, offset: Int64s, period: Float64s, first: Bools) -> Float32s:
    """What a step is multiplied by where it took longer than usual; 1 elsewhere, shape (T,)."""
    took = np.ones(len(time))
    took[1:] = np.diff(time)
    took[first] = 1.0
    usual = np.repeat(period, np.diff(offset))
    ratio = usual / np.maximum(took, 1e-12)
    ratio[first] = 1.0
    return np.minimum(ratio, 1.0).astype(np.float32)


def _motion(x: Float32s, offset: Int64s, period: Float64s, settings: DefectSettings) -> Float32s:
    length = np.diff(offset)
    half = np.repeat(np.maximum(1, np.rint(settings.window_s / 2 / period)).astype(np.int64), length)
    here = np.arange(x.shape[1], dtype=np.int64)
    low = np.maximum(here - half, np.repeat(offset[:-1], length))
    high = np.minimum(here + half, np.repeat(offset[1:] - 1, length))
    return np.asarray(np.abs(x.take(high, axis=1) - x.take(low, axis=1)))


def _noise_and_fast(x: Float32s, motion: Float32s, offset: Int64s) -> tuple[Float32s, Float32s]:
    """Noise (median second difference of the slowest third) and the 95th percentile of motion, shape (C, n) each.

    A loop over episodes, since a median needs its episode's frames sorted; on at most ``SAMPLE`` frames.
    """
    n = len(offset) - 1
    noise, fast = np.zeros((2, len(x), n), np.float32)
    row = np.arange(len(x))[:, None]
    bends = np.abs(x[:, 2:] - 2 * x[:, 1:-1] + x[:, :-2])
    for i, (a, b) in enumerate(zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True)):
        if b - a < 3:
            continue
        thin = -(-(b - a - 2) // SAMPLE)
        bend, moved = bends[:, a : b - 2 : thin], motion[:, a + 1 : b - 1 : thin]
        # where it moves least: elsewhere motion bends the curve too, more so the fewer frames a second has
        slow = max(moved.shape[1] // 3, min(8, moved.shape[1]))
        if slow < moved.shape[1]:
            bend = bend[row, np.argpartition(moved, slow, axis=1)[:, :slow]]
        # so few are sorted sooner than parted
        noise[:, i] = np.sort(bend, axis=1)[:, bend.shape[1] // 2] / np.float32(NORMAL_MEDIAN * 6**0.5)
        fast[:, i] = np.sort(moved, axis=1)[:, int(0.95 * (moved.shape[1] - 1))]
    return noise, fast


def _counts(x: Float32s, offset: Int64s, columns: list[Column]) -> Float32s:
    """Greatest resolution among a channel's columns, where a column goes through many counts; else 0, shape (C, n).

    An encoder at rest goes back and forth between two counts, of which its noise, being less than one, tells nothing.
    """
    n = len(offset) - 1
    count, out = np.zeros((2, len(x), n), np.float32)
    some = np.flatnonzero(np.diff(offset))
    if not len(some) or not len(x):
        return out
    at = offset[:-1][some]
    step = np.full_like(x, np.inf)
    np.abs(np.subtract(x[:, 1:], x[:, :-1]), out=step[:, 1:])
    step[:, starts(offset, x.shape[1])] = np.inf
    step[step == 0.0] = np.inf
    least = np.minimum.reduceat(step, at, axis=1)
    span = np.maximum.reduceat(x, at, axis=1) - np.minimum.reduceat(x, at, axis=1)
    count[:, some] = np.where(span >= MANY_COUNTS * least, least, np.float32(0))
    for channel in {each.channel for each in columns}:
        rows = [i for i, each in enumerate(columns) if each.channel == channel]
        out[rows] = count[rows].max(axis=0)
    return out


def _still(fast: Float32s, columns: list[Column], settings: DefectSettings) -> Float32s:
    """A share of the fastest ordinary motion among all manipulators' columns of one channel, which share a unit."""
    still = np.zeros_like(fast)
    for channel in {each.channel for each in columns}:
        rows = [i for i, each in enumerate(columns) if each.channel == channel]
        still[rows] = np.float32(settings.still_share) * fast[rows].max(axis=0)
    return still
