"""From weights of episodes to weights of frames, numbered as in the source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import UnknownNameError, UsageError
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import FrameWeights, SamplePlan

PER: Final = ("episode", "frame")
"""What a probability of the plan is spread by."""
UNKNOWN: Final = -1
"""Length of an episode that nobody knows."""

Whole = NDArray[np.int64]


def source_frames(episodes: EpisodeTable, aside: Whole, known: Mapping[int, int] | None = None) -> Whole:
    """Frames of every episode of the source by its index, shape (last index + 1,).

    A run takes in every episode of its source, so an index that it never met has no frames.

    Args:
        episodes: those that went through; their lengths are known.
        aside: indices of those that were put aside or skipped; their lengths are not known.
        known: lengths by episode index from elsewhere, as the metadata of a data set state them.
    """
    known = known or {}
    last = max(int(each.max(initial=-1)) for each in (episodes.episode_index, aside))
    frames = np.zeros(last + 1, np.int64)
    for index in aside.tolist():
        frames[index] = known.get(index, UNKNOWN)
    frames[episodes.episode_index] = episodes.frames
    return frames


def frame_weights(plan: SamplePlan, frames: Whole, *, per: str = "episode") -> FrameWeights:
    """A weight for every frame: frames drawn in proportion to it give each episode its probability.

    For trainers that draw frames (``torch.utils.data.WeightedRandomSampler``) or that weigh the loss of each sample, as
    LeRobot does with files that its batches are joined to by their ``index``. The mean is 1, so a learning rate stays
    what it was.

    Args:
        plan: probability of each episode.
        frames: length of every episode of the source by its index, -1 where it is not known; see ``source_frames``.
        per: ``episode`` spreads an episode's probability over its frames; ``frame`` gives it to each of them, so that
            long episodes get more draws, as they do when frames are drawn evenly.

    Raises:
        UsageError: if an episode of the plan has no frames, or one that lies before it is of unknown length.

    >>> from sima2.records.table import Text
    >>> plan = SamplePlan(np.array([0, 2]), Text.of("ab"), np.array([0.5, 0.5]), np.ones(2), Text.full(2, ""))
    >>> frame_weights(plan, np.array([2, 1, 1])).weight.tolist()
    [1.0, 1.0, 0.0, 2.0]
    """
    if per not in PER:
        raise UnknownNameError("way of spreading", per, PER)
    if not len(plan):
        return FrameWeights.empty()
    last = int(plan.episode_index.max())
    if last >= len(frames) or (frames[plan.episode_index] <= 0).any():
        raise UsageError("the plan has an episode without frames: plan and lengths are not of the same source")
    # what lies behind the last one moves no number
    end = len(frames) if (frames[last:] >= 0).all() else last + 1
    lost = np.flatnonzero(frames[:end] < 0)
    if len(lost):
        raise UsageError(
            f"the length of {len(lost)} episodes that were put aside is not known (the first is episode {lost[0]}), so "
            "frames after them cannot be numbered: give the data set whose metadata state it (--path)"
        )
    length = frames[:end]
    share = np.zeros(end)
    share[plan.episode_index] = plan.p / frames[plan.episode_index] if per == "episode" else plan.p
    scale = int(length.sum()) / math.fsum((share * length).tolist())
    return FrameWeights(index=np.arange(int(length.sum())), weight=np.repeat(share * scale, length))
