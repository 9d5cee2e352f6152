"""Segments of windows joined to segments of episodes.

A window hands over where, in its own view, the last segment that began in its block begins: what it kept before is
final, and from there to the end of its block there is one segment, of which later windows say what it is, where it ends
and how. Where none began in the block, the segment that fills it goes on. So a segment across a border is one, two of
equal label that adjoin stay two, and whatever ends in a block is known once the look-ahead of that block is there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.rollout import Episodes, Manipulator
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.vocabulary import LABELS, OUTCOMES, REASONS, TELLS_OF_THINGS
from sima2.segmentation.features import Features
from sima2.segmentation.measures import Measured, measure
from sima2.segmentation.outcomes import Spans
from sima2.segmentation.windows import Windows


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What the parts of the engine make of one arm of a batch of episodes or windows."""

    features: Features
    spans: Spans
    confidence: Float64s
    """shape (s,)."""


@dataclass(frozen=True, eq=False)
class Pieces(Spans):
    """Segments or pieces of them, by episode and start, shape (p,) each; frames count from the episode's start."""

    start_t: Float64s
    end_t: Float64s
    confidence: Float64s
    window: Int64s
    """Number of the window with which it becomes final."""
    measured: Measured

    def __len__(self) -> int:
        return len(self.episode)

    def joined(self, goes_on: Bools) -> Pieces:
        """Pieces that go on the one before made one with it; how it ended is what the last one says."""
        if not goes_on.any():
            return self
        segment = np.cumsum(~goes_on) - 1
        first = np.flatnonzero(~goes_on)
        last = np.append(first[1:], len(goes_on)) - 1
        measured = self.measured.joined(segment, len(first))
        return replace(self.take(last), start=self.start[first], start_t=self.start_t[first], measured=measured)

    def table(
        self, episodes: Episodes, arm: str, objects: tuple[tuple[str, ...], ...], used: str, segment_id: Int64s
    ) -> SegmentTable:
        """The segments as a table; ``objects`` names the slots of each of the episodes."""
        n = len(self)
        slots = zip(self.episode.tolist(), self.slot.tolist(), strict=True)
        about = Text.of(("", *("" if slot < 0 else objects[episode][slot] for episode, slot in slots)))
        return SegmentTable(
            episode_index=episodes.episode_index[self.episode],
            episode_id=Text(self.episode, episodes.episode_id),
            manipulator=Text.full(n, arm),
            segment_id=segment_id,
            label=Text(self.label, LABELS),
            object=Text(about.codes[1:], about.names),
            start_frame=self.start,
            end_frame=self.stop,
            start_t=self.start_t,
            end_t=self.end_t,
            outcome=Text(self.claimed(used), OUTCOMES),
            failure_reason=Text(self.reason, REASONS),
            confidence=self.confidence.astype(np.float32),
            channels_used=Text.full(n, used),
            **self.measured.columns(),
        )

    def claimed(self, used: str) -> NDArray[np.int8]:
        """What was done to a thing has succeeded for all that is known only where a force or a pose tells of things."""
        if TELLS_OF_THINGS & set(used.split("+")):
            return self.outcome.astype(np.int8)
        unseen = np.isin(self.label, [LABELS.index(name) for name in DONE_TO_THINGS])
        won = self.outcome == OUTCOMES.index("success")
        return np.where(unseen & won, OUTCOMES.index("unknown"), self.outcome).astype(np.int8)


DONE_TO_THINGS: Final = ("lift", "transport", "place", "pull", "push", "wipe")


@dataclass(frozen=True, slots=True)
class HandOver:
    """What a window leaves to the next one of its episode."""

    frame: int = 0
    """First frame that it did not keep, counted from the episode's start."""
    open: bool = False
    """Its last segment goes on there."""
    label: int = 0
    """Label of that segment."""


def whole(judged: Judged, channels: Manipulator) -> Pieces:
    """Segments of whole episodes."""
    spans = judged.spans
    rows = np.arange(len(spans.start))
    return _pieces(judged, channels, rows, spans.start, spans.stop, judged.features.ragged.offset, spans.episode, 0)


def kept(
    judged: Judged, channels: Manipulator, windows: Windows, before: HandOver, shortest_s: float
) -> tuple[Pieces, Bools, HandOver]:
    """The pieces that each window keeps, whether each goes on the one before it, and what the last window leaves.

    A rest, shorter than the shortest segment, of one that the window before had ended goes to what follows it.

    Args:
        judged: of the windows, each an episode of its batch.
        channels: of that batch.
        windows: consecutive ones.
        before: what the window before the first of them has left.
        shortest_s: length of the shortest segment.
    """
    spans, ragged = judged.spans, judged.features.ragged
    owner = spans.episode
    shift = ragged.offset[:-1] - windows.begin
    begun = spans.start - shift[owner]
    shortest = ragged.frames(shortest_s)
    until, goes_on = _until(begun, owner, windows, shortest)
    # the last segment of each window that begins before the frame up to which it keeps; an empty window has none
    inside = np.flatnonzero(begun < until[owner])
    last = np.searchsorted(owner[inside], np.arange(len(windows)), side="right") - 1
    label = np.append(spans.label[inside], 0)[last]
    fresh = windows.number == 0
    since = np.where(fresh, 0, np.append(before.frame, until[:-1]))
    resumes = ~fresh & np.append(before.open, goes_on[:-1])
    resumed_label = np.append(before.label, label[:-1])

    # what the window before saw to reach beyond its block is one segment, of which the first piece that does tells
    stop = np.minimum(spans.stop - shift[owner], until[owner])
    rows = np.flatnonzero((stop > begun) & (stop > np.maximum(since, windows.block)[owner]))
    window = owner[rows]
    head = _changes(window)
    cut_off = head & (begun[rows] != since[window])
    same = resumes[window] & (spans.label[rows] == resumed_label[window])
    followed = np.append(~head[1:], False)[: len(rows)]
    brief = stop[rows] - since[window] < shortest[window]
    rest = cut_off & ~same & followed & brief
    joins = (same & (cut_off | np.append(False, rest[:-1])[: len(rows)]))[~rest]
    rows, window = rows[~rest], window[~rest]
    first = np.where(_changes(window), since[window], begun[rows])
    final = windows.number[window] + (goes_on[window] & (stop[rows] == until[window]))
    place = shift[window]
    pieces = _pieces(judged, channels, rows, first + place, stop[rows] + place, shift, windows.episode[window], final)
    return pieces, joins, HandOver(int(until[-1]), bool(goes_on[-1]), int(label[-1]))


def _changes(group: Int64s) -> Bools:
    """Where another group begins, shape (p,)."""
    return np.append(True, group[1:] != group[:-1])[: len(group)]


def _until(begun: Int64s, owner: Int64s, windows: Windows, shortest: Int64s) -> tuple[Int64s, Bools]:
    """One past the last frame that each window keeps, and whether its last segment goes on, shape (w,) each."""
    # what ends sooner than a shortest segment may only be a rest of what was handed over
    edge = (begun >= (windows.block + shortest)[owner]) & (begun <= windows.border[owner])
    latest = np.full(len(windows), -1, np.int64)
    np.maximum.at(latest, owner[edge], begun[edge])
    goes_on = ~windows.last & (latest < 0)
    return np.where(windows.last | goes_on, windows.border, latest), goes_on


def _pieces(
    judged: Judged,
    channels: Manipulator,
    rows: Int64s,
    start: Int64s,
    stop: Int64s,
    shift: Int64s,
    episode: Int64s,
    final: Int64s | int,
) -> Pieces:
    """Frames ``start`` to ``stop`` of the columns as pieces with what the spans at ``rows`` say."""
    told, ragged = judged.spans.take(rows), judged.features.ragged
    time, window = ragged.time, told.episode
    ends = stop > ragged.last[start] if len(start) else np.zeros(0, np.bool_)
    after = np.minimum(stop, max(len(time) - 1, 0))
    return Pieces(
        **vars(replace(told, episode=episode, start=start - shift[window], stop=stop - shift[window])),
        start_t=time[start],
        end_t=np.where(ends, time[stop - 1] + ragged.period[window], time[after]) if len(start) else np.zeros(0),
        confidence=judged.confidence[rows],
        window=np.zeros(len(rows), np.int64) + final,
        measured=measure(channels, judged.features, start, stop),
    )


def channels_used(features: Features) -> str:
    """The kinds of channel that labels rest on.

    Joined by ``+``: ``motion`` (hand pose or joints), ``gripper``, ``grip_force``, ``contact_force``, ``effort_proxy``,
    ``objects``.
    """
    kinds = {
        "gripper": features.width,
        "grip_force": features.grip,
        "contact_force": features.contact,
        "effort_proxy": features.blocked,
        "objects": features.object_position,
    }
    return "+".join(["motion", *(name for name, channel in kinds.items() if channel is not None)])
