"""What a plan says of every frame of a source."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sima2.errors import UsageError
from sima2.records.plan import EpisodePlan, FrameWeights, PlannedFrames, PlannedSpans
from sima2.records.table import Text

Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class SourceFrames:
    """The frames of a source in its own order."""

    episode: Whole
    """The source's own number of the episode of each, shape (n,); frames of one lie together."""
    index: Whole
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

    def bounds(self) -> tuple[Whole, Whole, Whole]:
        """Number, first frame and one past the last of each episode, shape (e,) each, frames of each together."""
        edges = np.flatnonzero(np.diff(self.episode)) + 1
        begin = np.r_[0, edges].astype(np.int64) if len(self) else np.zeros(0, np.int64)
        return self.episode[begin], begin, np.r_[begin[1:], len(self)].astype(np.int64)[: len(begin)]

    @property
    def frame(self) -> Whole:
        """Place of each frame in its episode, shape (n,)."""
        _, begin, end = self.bounds()
        return np.arange(len(self)) - np.repeat(begin, end - begin)


def planned_frames(plan: EpisodePlan, spans: PlannedSpans, frames: SourceFrames) -> PlannedFrames:
    """Every frame of the plan's episodes with its weight: that of its episode times that of its span.

    Frames outside what is kept of an episode weigh 0.

    Args:
        plan: of the episodes of this source, under its own numbers.
        spans: frames that weigh less than their episode, under the same numbers.
        frames: of the source.

    Raises:
        UsageError: if an episode of the plan has no frames in the source, or spans leave it.
    """
    frames = frames.sorted()
    number, begin, end = frames.bounds()
    place = np.searchsorted(number, plan.episode_index)
    there = np.minimum(place, max(len(number) - 1, 0))
    if len(plan) and (not len(number) or (number[there] != plan.episode_index).any()):
        raise UsageError("the plan has an episode that the source does not hold: it has changed since the run")
    row = {int(each): at for at, each in enumerate(plan.episode_index.tolist())}
    of = np.array([row.get(int(each), -1) for each in number.tolist()], np.int64)
    owner = np.repeat(of, end - begin)
    frame = np.arange(len(frames)) - np.repeat(begin, end - begin)
    weight = np.where(owner >= 0, plan.weight[owner], 0.0) if len(plan) else np.zeros(len(frames))
    reason = np.where(weight == 1.0, -1, owner)
    codes, kinds = [*plan.codes.tolist()], [*plan.kind_of_knowledge.tolist()]
    cut = (frame < plan.keep_start_frame[owner]) | (frame >= plan.keep_end_frame[owner]) if len(plan) else frame < 0
    weight[cut & (owner >= 0)] = 0.0
    reason = np.where(cut, owner, reason)
    first = dict(zip(number.tolist(), zip(begin.tolist(), end.tolist(), strict=True), strict=True))
    for at in range(len(spans)):
        a, b = first.get(int(spans.episode_index[at]), (0, 0))
        low, high = int(spans.start_frame[at]), int(spans.end_frame[at])
        if not 0 <= low <= high <= b - a:
            raise UsageError(
                f"episode {spans.episode_index[at]} has {b - a} frames, its plan speaks of {low} to {high}: "
                "the source has changed since the run"
            )
        weight[a + low : a + high] *= spans.weight[at]
        if spans.weight[at] != 1.0:
            inner = slice(a + low, a + high)
            reason[inner] = np.where(reason[inner] < 0, len(codes), reason[inner])
            codes.append(spans.reason[at])
            kinds.append(spans.kind_of_knowledge[at])
    known = owner >= 0
    owner, reason = owner[known], reason[known]
    return PlannedFrames(
        source=plan.source[owner],
        episode_id=plan.episode_id[owner],
        episode_index=frames.episode[known],
        frame_index=frame[known],
        index=frames.index[known],
        weight=weight[known].astype(np.float32),
        reason=_words(reason, codes),
        kind_of_knowledge=_words(reason, kinds),
    )


def _words(code: Whole, words: list[str]) -> Text:
    """Words by their place; empty where it is -1."""
    names = list(dict.fromkeys(["", *words]))
    known = {name: at for at, name in enumerate(names)}
    table = np.array([known[word] for word in [*words, ""]], np.int32)
    return Text(table[code], names)


def frame_weights(planned: PlannedFrames, frames: SourceFrames) -> FrameWeights:
    """``index, weight`` of every frame of the source, as ``sima2 sample --frames`` writes it: 1 in the mean.

    Frames of episodes that are not in the plan weigh 0.

    Raises:
        UsageError: if no frame has any weight.
    """
    order = np.argsort(frames.index, kind="stable")
    index, weight = frames.index[order], np.zeros(len(frames))
    weight[np.searchsorted(index, planned.index)] = planned.weight
    total = math.fsum(weight.tolist())
    if not total:
        raise UsageError("no frame of this source has any weight: choose another --preset")
    return FrameWeights(index=index, weight=weight * (len(weight) / total))
