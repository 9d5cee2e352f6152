"""From weights of episodes to weights of frames, each under the number that its source gives it."""

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

Whole = NDArray[np.int64]


def counted_frames(episodes: EpisodeTable, aside: Whole, known: Mapping[int, int] | None = None) -> Whole:
    """The episode of each frame, where frames are numbered by counting through all episodes, shape (frames,).

    Args:
        episodes: those that went through; their lengths are known.
        aside: numbers of those that were put aside or skipped; their lengths are not known.
        known: lengths by number from elsewhere, as the metadata of a data set state them.

    Raises:
        UsageError: if numbers have gaps, so that nobody knows what was counted, or a length before the last is unknown.
    """
    frames = {each: (known or {}).get(each, -1) for each in aside.tolist()}
    frames |= dict(zip(episodes.episode_index.tolist(), episodes.frames.tolist(), strict=True))
    numbers = sorted(frames)
    gap = next((k for k, number in enumerate(numbers) if k != number), None)
    if gap is not None:
        before = f"after {numbers[gap - 1]}" if gap else "first"
        raise UsageError(
            f"episodes are numbered with gaps ({before} comes {numbers[gap]}), so frames cannot be counted through: "
            "give the data set, whose column index numbers them (--path)"
        )
    # what lies behind the last one that can be drawn moves no number
    while numbers and frames[numbers[-1]] < 0:
        numbers.pop()
    lost = [number for number in numbers if frames[number] < 0]
    if lost:
        raise UsageError(
            f"the length of {len(lost)} episodes that were put aside is not known (the first is episode {lost[0]}), so "
            "frames after them cannot be numbered: give the data set whose metadata state it (--path)"
        )
    return np.repeat(np.array(numbers, np.int64), np.array([frames[number] for number in numbers], np.int64))


def frame_weights(plan: SamplePlan, episode: Whole, index: Whole, *, per: str = "episode") -> FrameWeights:
    """A weight for every frame: frames drawn in proportion to it give each episode its probability.

    For trainers that draw frames (``torch.utils.data.WeightedRandomSampler``) or that weigh the loss of each sample, as
    LeRobot does with files that its batches are joined to by their ``index``. The mean is 1, so a learning rate stays
    what it was.

    Args:
        plan: probability of each episode, by the numbers of ``episode``.
        episode: whose each frame of the source is, shape (n,).
        index: what the source numbers each frame by, each once, shape (n,).
        per: ``episode`` spreads an episode's probability over its frames; ``frame`` gives it to each of them, so that
            long episodes get more draws, as they do when frames are drawn evenly.

    Raises:
        UsageError: if an episode of the plan has no frames, or none of the source is in the plan.

    >>> from sima2.records.table import Text
    >>> plan = SamplePlan(np.array([0, 5]), Text.of("ab"), np.array([0.5, 0.5]), np.ones(2), Text.full(2, ""))
    >>> frame_weights(plan, np.array([0, 0, 3, 5]), np.array([0, 1, 7, 9])).weight.tolist()
    [1.0, 1.0, 0.0, 2.0]
    """
    if per not in PER:
        raise UnknownNameError("way of spreading", per, PER)
    if not len(episode) and not len(plan):
        return FrameWeights.empty()
    if not len(plan):
        raise UsageError("no episode of this source can be drawn, so none of its frames has any weight")
    numbers, owner, length = np.unique(episode, return_inverse=True, return_counts=True)
    place = np.minimum(np.searchsorted(numbers, plan.episode_index), max(len(numbers) - 1, 0))
    if not len(numbers) or (numbers[place] != plan.episode_index).any():
        raise UsageError("the plan has an episode without frames: plan and frames are not of the same source")
    share = np.zeros(len(numbers))
    share[place] = plan.p / length[place] if per == "episode" else plan.p
    scale = len(episode) / math.fsum((share * length).tolist())
    order = np.argsort(index, kind="stable")
    return FrameWeights(index=index[order], weight=(share * scale)[owner][order])
