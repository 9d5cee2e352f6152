"""How hard a segment accelerates: what tells a hurried move from a long one, whose speeds may be alike."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.records.rollout import RolloutBatch
from sima2.records.segments import SegmentTable
from sima2.tags.reductions import span_max

HALF_S: Final = 0.1
"""s before and after a frame between which it is measured: the noise of a pose of 0.3 mm is then 0.07 m/s², a tenth of
what an unhurried arm does, at any control rate."""


def accelerations(batch: RolloutBatch, segments: SegmentTable, place: Int64s) -> dict[str, Float64s]:
    """``max_acceleration`` of the hand and ``max_joint_acceleration`` of the fastest joint, NaN where unknown.

    Args:
        batch: whole episodes.
        segments: their segments (m of them).
        place: episode of each segment, shape (m,).
    """
    start, stop = batch.offset[place] + segments.start_frame, batch.offset[place] + segments.end_frame
    window = _Window.of(batch)
    hand, joints = np.full(len(segments), np.nan), np.full(len(segments), np.nan)
    for name, arm in batch.manipulators.items():
        mine = segments.manipulator.isin(name)
        if arm.ee_position is not None:
            size = np.sqrt(window.square(arm.ee_position, np.add))
            hand[mine] = span_max(size, start[mine], stop[mine])
        if arm.joint_position is not None:
            size = np.sqrt(window.square(arm.joint_position, np.fmax))
            joints[mine] = span_max(size, start[mine], stop[mine])
    return {"max_acceleration": hand, "max_joint_acceleration": joints}


class _Window:
    """Frames :data:`HALF_S` before and after each frame, where the episode has both."""

    def __init__(self, before: Int64s, middle: Int64s, after: Int64s, time: Float64s) -> None:
        self._before, self._middle, self._after = before, middle, after
        half = 0.5 * (time[after] - time[before])
        self._scale = 1.0 / np.square(np.square(np.maximum(half, 1e-9)))
        self._frames = len(time)

    @classmethod
    def of(cls, batch: RolloutBatch) -> _Window:
        seconds = np.zeros(len(batch))
        some = batch.length > 1
        seconds[some] = batch.time[batch.offset[1:][some] - 1] - batch.time[batch.offset[:-1][some]]
        period = seconds / np.maximum(batch.length - 1, 1)
        half = np.ones(len(batch), np.int64)
        half[some] = np.maximum(1, np.rint(HALF_S / np.maximum(period[some], 1e-6))).astype(np.int64)
        half = np.minimum(half, np.maximum(batch.length, 1))
        row = np.arange(batch.frames)
        reach = np.repeat(half, batch.length)
        inside = (row - reach >= np.repeat(batch.offset[:-1], batch.length)) & (
            row + reach < np.repeat(batch.offset[1:], batch.length)
        )
        middle = row[inside]
        return cls(middle - reach[inside], middle, middle + reach[inside], batch.time)

    def square(self, position: Float32s, across: np.ufunc) -> Float64s:
        """Square of the second difference over time squared, columns joined by ``across``, NaN at ends, shape (T,)."""
        total: Float64s | None = None
        for column in position.T:
            x = column.astype(np.float64)
            bend = np.square(x[self._before] - 2.0 * x[self._middle] + x[self._after])
            total = bend if total is None else across(total, bend)
        out = np.full(self._frames, np.nan)
        if total is not None:
            out[self._middle] = total * self._scale
        return out
