"""From weights of episodes to weights of frames, each under the number that its source gives it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from sima2.errors import UnknownNameError, UsageError
from sima2.records.arrays import Float64s, Int64s
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import KNOWLEDGE, FrameWeights, PlannedFrames, PlannedSpans, SamplePlan, TrainingPlan
from sima2.records.table import Text
from sima2.sampling.plan import Plan
from sima2.sampling.plan_settings import CUT, ON_SPANS, RULES

PER: Final = ("episode", "frame")
"""What a probability of the plan is spread by."""


def counted_frames(episodes: EpisodeTable, aside: Int64s, known: Mapping[int, int] | None = None) -> Int64s:
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


UNKNOWN: Final = -1
"""Number of a frame that nobody can tell."""
BY_TAGS: Final = "tags"
"""Reason of a weight that only tags moved."""


def planned_frames(plan: Plan, length: Int64s, index: Int64s) -> PlannedFrames:
    """Every frame with its weight: that of its episode times that of its span.

    Args:
        plan: n episodes, with the spans of these, and of any others.
        length: frames of each, shape (n,).
        index: the source's own number of each frame, episode by episode, shape (frames,).
    """
    table, spans = plan
    offset = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    owner = np.repeat(np.arange(len(table)), length)
    names, knowledge, code, kind = _moved(table)
    weight, reason, known = table.weight[owner], code[owner], kind[owner]
    for row, place in _rows_of(spans, table.episode_id):
        part = slice(offset[place] + spans.start_frame[row], offset[place] + spans.end_frame[row])
        weight[part] *= spans.weight[row]
        reason[part] = names.index(spans.reason[row])
        known[part] = knowledge.index(spans.kind_of_knowledge[row])
    return PlannedFrames(
        source=table.source[owner],
        episode_id=table.episode_id[owner],
        episode_index=table.episode_index[owner],
        frame_index=np.arange(len(owner)) - offset[owner],
        index=index,
        weight=weight.astype(np.float32),
        reason=Text(reason, names),
        kind_of_knowledge=Text(known, knowledge),
    )


def _moved(table: TrainingPlan) -> tuple[tuple[str, ...], tuple[str, ...], Int64s, Int64s]:
    """What moved the weight of each whole episode, as codes over names: the gravest rule that is about all of it.

    A code that is no rule (somebody left the episode out) is its own reason, and no knowledge.
    """
    listed = {codes: [code for code in codes.split(",") if code] for codes in table.codes.names}
    others = sorted({code for codes in listed.values() for code in codes} - set(RULES))
    names, knowledge = ("", *RULES, BY_TAGS, *others), ("", *KNOWLEDGE)
    found = {}
    for codes, single in listed.items():
        each = [code for code in single if code in others or (RULES[code].act != CUT and code not in ON_SPANS)]
        found[codes] = each[0] if each else BY_TAGS
    said = [found[codes] for codes in table.codes]
    moved = table.weight != 1
    code = np.where(moved, [names.index(each) for each in said], 0).astype(np.int64)
    kinds = [
        knowledge.index(RULES[each].knowledge if each in RULES else "tag" if each == BY_TAGS else "") for each in said
    ]
    return names, knowledge, code, np.where(moved, kinds, 0).astype(np.int64)


def _rows_of(spans: PlannedSpans, episode_id: Text) -> list[tuple[int, int]]:
    """Spans of these episodes, each with the place of its episode."""
    at = {name: i for i, name in enumerate(episode_id)}
    place = np.array([at.get(name, -1) for name in spans.episode_id.names], np.int64)
    mine = place[spans.episode_id.codes] if len(spans) else np.zeros(0, np.int64)
    return [(row, int(mine[row])) for row in np.flatnonzero(mine >= 0).tolist()]


def inside_weights(spans: PlannedSpans, episode: Int64s, index: Int64s) -> Float64s:
    """What each frame weighs beside others of its episode, shape (n,).

    Args:
        spans: by the numbers of ``episode``; frames count in the order of ``index``.
        episode: whose each frame is, shape (n,).
        index: what the source numbers it by, shape (n,).
    """
    order = np.lexsort((index, episode))
    numbers, first = np.unique(episode[order], return_index=True)
    begin = dict(zip(numbers.tolist(), first.tolist(), strict=True))
    out = np.ones(len(episode))
    rows = zip(spans.episode_index.tolist(), spans.start_frame.tolist(), spans.end_frame.tolist(), strict=True)
    for (number, start, end), weight in zip(rows, spans.weight.tolist(), strict=True):
        if number in begin:
            out[order[begin[number] + start : begin[number] + end]] *= weight
    return out


def frame_weights(
    plan: SamplePlan, episode: Int64s, index: Int64s, *, per: str = "episode", inside: Float64s | None = None
) -> FrameWeights:
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
        inside: what each frame weighs beside others of its episode, shape (n,); all alike by default.

    Raises:
        UsageError: if an episode of the plan has no frames, or nothing of the source has any weight.

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
    within = np.ones(len(episode)) if inside is None else inside
    held = length if inside is None else np.bincount(owner, inside, minlength=len(numbers))
    share = np.zeros(len(numbers))
    spread = held[place] if per == "episode" else np.ones(len(place))
    share[place] = np.divide(plan.p, spread, out=np.zeros(len(place)), where=spread > 0)
    whole = math.fsum((share * held).tolist())
    if not whole > 0:
        raise UsageError("no frame of this source has any weight")
    order = np.argsort(index, kind="stable")
    return FrameWeights(index=index[order], weight=(share * (len(episode) / whole))[owner][order] * within[order])
