"""Frames in, segments out: the online form of the engine, on the same windows as the batch form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sima2.errors import UsageError
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.records.segments import SegmentTable
from sima2.segmentation.features import FeatureSettings
from sima2.segmentation.frames import FrameBuffer
from sima2.segmentation.signals import PERIOD_FRAMES, Ragged
from sima2.segmentation.window_context import Memory, Past, Start
from sima2.segmentation.window_joining import HandOver, Judged, Pieces, channels_used, kept
from sima2.segmentation.windows import Grid, WindowSettings, blocks_of, past_of, start_frames


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the engine does with a window."""

    windows: WindowSettings
    features: FeatureSettings
    shortest_s: float
    judge: Callable[[RolloutBatch, str, Memory | None], Judged]
    start: Callable[[RolloutBatch, str], Start]


@dataclass(frozen=True, slots=True)
class _Arm:
    """What is carried from one window of an arm to the next."""

    start: Start
    past: Past = field(default_factory=lambda: Past.none(1))
    before: HandOver = HandOver()
    held: Pieces | None = None
    """The segment that goes on, where one does."""


class SegmentStream:
    """Segments of one episode while its frames come, the same as those of the whole episode in a batch.

    A segment is given once it is final: at most ``look_ahead_s`` after its last frame (or 66 frames, where that is
    longer). Only another attempt within the look-ahead makes a failed one a ``retry``. Memory does not grow with the
    stream. Made by ``SegmentationEngine.stream``.
    """

    def __init__(self, kernel: Kernel, buffer: FrameBuffer) -> None:
        self._kernel = kernel
        self._buffer = buffer
        self._arms: dict[str, _Arm] = {}
        self._grid: Grid | None = None
        self._number = 0
        self._due = PERIOD_FRAMES
        self._given = 0
        self._finished = False
        self._nothing = SegmentTable.empty()

    @property
    def look_ahead_s(self) -> float:
        """Longest time from a segment's last frame until it is given, s."""
        return self._kernel.windows.look_ahead_s

    @property
    def frames(self) -> int:
        """Frames that have come."""
        return self._buffer.total

    @property
    def held_bytes(self) -> int:
        """Bytes of all arrays held; bounded by the windows, the rate and the number of channels and objects."""
        arms = self._arms.values()
        carried = (each.nbytes for arm in arms for each in (arm.start, arm.past, arm.held) if each is not None)
        return self._buffer.nbytes + sum(carried)

    def push(self, frames: Rollout | Mapping[str, Any]) -> SegmentTable:
        """Take one frame or several, and give the segments that have become final.

        Args:
            frames: a :class:`Rollout` that holds the next frames, or a mapping with the names and shapes of one:
                ``time`` of shape (t,), channels of shape (t, ...), ``object_position`` by name, and ``manipulators``
                by name where there are several arms. Where ``time`` is a number it is one frame, and channels lack the
                first axis. The first frames tell which channels there are; one that is left out later is missing (NaN)
                there. Objects that have not been declared get their slot at first sight, if the first frames had
                objects or some were declared.

        Returns:
            Segments in the order in which they became final: none of most pushes.

        Raises:
            RolloutError: if a frame cannot be taken (time that does not increase, a row of another width, an infinite
                value, a channel that was not there before). Nothing of these frames is taken; the stream goes on.
            UnknownNameError: if a channel has no known name; the same.
            UsageError: if the stream was finished.
        """
        if self._finished:
            raise UsageError("the stream was finished: engine.stream(...) opens another")
        buffer = self._buffer
        time, rows = buffer.take(frames)
        if buffer.total < self._due and not len(time):
            return self._nothing
        found = self._advance()
        while len(time):
            part = max(self._due - buffer.total, 1)
            buffer.append(time[:part], rows[:part])
            time, rows = time[part:], rows[part:]
            found += self._advance()
        return SegmentTable.concat(found)

    def provisional(self) -> SegmentTable:
        """What has not been given yet as it looks now, as if the stream ended here; asking changes nothing.

        Costs the work of a window.
        """
        if self._finished or not self._buffer.total:
            return SegmentTable.empty()
        return SegmentTable.concat(self._label(self._grid or self._measured(), last=True)[0])

    def finish(self) -> SegmentTable:
        """The remaining segments; the stream takes no more frames.

        Raises:
            UsageError: if it was finished before.
        """
        if self._finished:
            raise UsageError("the stream was finished already: engine.stream(...) opens another")
        self._finished = True
        if not self._buffer.total:
            return SegmentTable.empty()
        self._grid = self._grid or self._measured()
        found = self._advance()
        return SegmentTable.concat([*found, *self._label(self._grid, last=True)[0]])

    def _measured(self) -> Grid:
        """The grid, by the rate of the first frames."""
        time = self._buffer.times()[:PERIOD_FRAMES]
        return self._kernel.windows.grid(Ragged(np.array([0, len(time)]), time).period)

    def _advance(self) -> list[SegmentTable]:
        """Label every block whose look-ahead is there."""
        found: list[SegmentTable] = []
        if self._buffer.total < self._due and self._grid is None:
            return found
        self._grid = self._grid or self._measured()
        block, ahead = int(self._grid.block[0]), int(self._grid.ahead[0])
        self._due = (self._number + 1) * block + ahead
        while self._buffer.total >= self._due:
            tables, self._arms = self._label(self._grid, last=False)
            self._given += sum(map(len, tables))
            found += tables
            self._number += 1
            self._due += block
            self._forget(self._grid)
        return found

    def _label(self, grid: Grid, *, last: bool) -> tuple[list[SegmentTable], dict[str, _Arm]]:
        """Segments that the next window makes final, and what each arm carries on from it."""
        buffer, kernel = self._buffer, self._kernel
        total = np.array([buffer.total])
        window = grid.window(np.zeros(1, np.int64), np.array([self._number]), np.array([last]), total)
        batch = buffer.batch(int(window.begin[0]), int(window.end[0]))
        tables: list[SegmentTable] = []
        arms: dict[str, _Arm] = {}
        for name in buffer.arms:
            arm = self._arms.get(name) or self._begun(grid, name)
            memory = Memory(arm.start.of_objects(len(buffer.objects)), arm.past)
            judged = kernel.judge(batch, name, memory)
            pieces, joins, before = kept(judged, batch.manipulators[name], window, arm.before, kernel.shortest_s)
            if arm.held is not None:
                pieces, joins = Pieces.concat([arm.held, pieces]), np.append(False, joins)
            pieces = pieces.joined(joins)
            final = len(pieces) - before.open
            held = pieces.take(np.array([final])) if before.open else None
            arms[name] = replace(arm, before=before, held=held)
            done = pieces.take(np.arange(final))
            number = self._given + sum(map(len, tables)) + np.arange(final)
            tables.append(done.table(batch.episodes, name, (buffer.objects,), channels_used(judged.features), number))
        return tables, arms

    def _begun(self, grid: Grid, arm: str) -> _Arm:
        """An arm at the first window."""
        frames = int(start_frames(grid, self._kernel.features)[0])
        return _Arm(self._kernel.start(self._buffer.batch(0, min(frames, self._buffer.total)), arm))

    def _forget(self, grid: Grid) -> None:
        """Drop the block that the next window does not look at, but for its extremes."""
        block, past = int(grid.block[0]), int(grid.past[0])
        begin = max(0, self._number * block - past)
        if begin <= self._buffer.first:
            return
        left = self._buffer.batch(self._buffer.first, begin)
        for name, arm in self._arms.items():
            blocks = blocks_of(left.offset, left.time, grid.period)
            seen = past_of(left.manipulators[name], blocks, self._kernel.features)
            self._arms[name] = replace(arm, past=arm.past.joined(seen))
        self._buffer.drop(begin - self._buffer.first)
