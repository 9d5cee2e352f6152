"""What a plan says of every frame of a source."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sima2.errors import UsageError
from sima2.export.selection import Selection
from sima2.records.arrays import Int64s
from sima2.records.plan import FrameWeights, PlannedFrames, PlannedSpans, SamplePlan, TrainingPlan
from sima2.records.table import Text
from sima2.sampling.frames import frame_weights as spread
from sima2.sampling.frames import inside_weights
from sima2.sampling.frames import planned_frames as by_plan
from sima2.sampling.plan import Plan
from sima2.sampling.weights import importance


@dataclass(frozen=True, slots=True, eq=False)
class SourceFrames:
    """The frames of a source in its own order."""

    episode: Int64s
    """The source's own number of the episode of each, shape (n,); frames of one lie together."""
    index: Int64s
    """The source's own number of each frame, shape (n,)."""
    numbered: str
    """What ``index`` is, in words."""

    @classmethod
    def none(cls) -> SourceFrames:
        """Where frames are not asked for."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), "")

    def __len__(self) -> int:
        return len(self.episode)

    def sorted(self) -> SourceFrames:
        """The same with the frames of each episode together, in their order."""
        order = np.argsort(self.episode, kind="stable")
        return SourceFrames(self.episode[order], self.index[order], self.numbered)

    def bounds(self) -> tuple[Int64s, Int64s, Int64s]:
        """Number, first frame and one past the last of each episode, shape (e,) each, frames of each together."""
        edges = np.flatnonzero(np.diff(self.episode)) + 1
        begin = np.r_[0, edges].astype(np.int64) if len(self) else np.zeros(0, np.int64)
        return self.episode[begin], begin, np.r_[begin[1:], len(self)].astype(np.int64)[: len(begin)]

    @property
    def frame(self) -> Int64s:
        """Place of each frame in its episode, shape (n,)."""
        _, begin, end = self.bounds()
        return np.arange(len(self)) - np.repeat(begin, end - begin)


def planned_frames(plan: TrainingPlan, spans: PlannedSpans, frames: SourceFrames) -> PlannedFrames:
    """Every frame of the plan's episodes with its weight: that of its episode times that of its span.

    Args:
        plan: of the episodes of this source, under its own numbers.
        spans: frames that weigh less than their episode, under the same numbers.
        frames: of the source.

    Raises:
        UsageError: if an episode of the plan has no frames in the source, or spans leave it.
    """
    frames = frames.sorted()
    number, begin, end = frames.bounds()
    held = {each: row for row, each in enumerate(number.tolist())}
    if any(each not in held for each in plan.episode_index.tolist()):
        raise UsageError("the plan has an episode that the source does not hold: it has changed since the run")
    rows = np.array([held[each] for each in plan.episode_index.tolist()], np.int64)
    length = dict(zip(plan.episode_index.tolist(), (end - begin)[rows].tolist(), strict=True))
    for each, start, stop in zip(spans.episode_index.tolist(), spans.start_frame, spans.end_frame, strict=True):
        if not 0 <= start <= stop <= length.get(each, 0):
            raise UsageError(
                f"episode {each} has {length.get(each, 0)} frames, its plan speaks of {start} to {stop}: the source "
                "has changed since the run"
            )
    index = [np.zeros(0, np.int64), *(frames.index[begin[row] : end[row]] for row in rows.tolist())]
    return by_plan(Plan(plan, spans), (end - begin)[rows], np.concatenate(index))


def frame_weights(plan: TrainingPlan, spans: PlannedSpans, frames: SourceFrames) -> FrameWeights:
    """``index, weight`` of every frame of the source, as the plan weighs it: 1 in the mean.

    This is what receipts measure. Each frame has the weight of its episode times that of its span, so that longer
    episodes have more; frames of episodes that are not in the plan weigh 0.

    Raises:
        UsageError: if no frame has any weight.
    """
    total = math.fsum(plan.weight.tolist())
    if not total > 0:
        raise UsageError("no frame of this source has any weight: choose another --preset")
    p = plan.weight / total
    draws = SamplePlan(plan.episode_index, plan.episode_id, p, importance(p), Text.full(len(plan), ""))
    inside = inside_weights(spans, frames.episode, frames.index)
    return spread(draws, frames.episode, frames.index, per="frame", inside=inside)


def copy_weights(kept: Selection, spans: PlannedSpans) -> FrameWeights:
    """``index, weight`` of every frame of a copy, by its own numbers: 1 in the mean.

    Args:
        kept: what the copy holds.
        spans: frames that weigh less than their episode, under the source's own numbers.

    Raises:
        UsageError: if no frame has any weight.
    """
    place = {number: k for k, number in enumerate(kept.number.tolist())}
    weight = np.repeat(kept.weight, kept.length)
    rows = zip(spans.episode_index.tolist(), spans.start_frame.tolist(), spans.end_frame.tolist(), strict=True)
    for (number, start, end), share in zip(rows, spans.weight.tolist(), strict=True):
        k = place.get(number)
        if k is None:
            continue
        first, begin, stop = int(kept.offset[k]), int(kept.start[k]), int(kept.stop[k])
        low, high = max(start, begin), min(end, stop)
        if low < high:
            weight[first + low - begin : first + high - begin] *= share
    total = math.fsum(weight.tolist())
    if not total > 0:
        raise UsageError("no frame of the copy has any weight: choose another --preset")
    return FrameWeights(index=np.arange(len(weight)), weight=weight * (len(weight) / total))
