"""Labelled time lines of single manipulators, true or predicted, in the one form that every measure reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from sima2.records.rollout import RolloutBatch
from sima2.records.segments import SegmentTable
from sima2.records.truth import Truth, TruthSegments
from sima2.records.vocabulary import ANOMALIES

FAILED = ("failure", "retry")
"""Outcomes of a segment that did not do what it was for."""

Key = tuple[str, str]
"""Episode id and manipulator."""


class Piece(NamedTuple):
    """A segment, in half-open frames."""

    label: str
    start: int
    stop: int
    outcome: str = "unknown"
    reason: str = ""
    confidence: float = float("nan")

    @property
    def span(self) -> tuple[str, int, int]:
        """Label and frames alone."""
        return self.label, self.start, self.stop


Pieces = tuple[Piece, ...]


class Event(NamedTuple):
    """A failure: when, and why."""

    frame: int
    reason: str


@dataclass(frozen=True, slots=True)
class Track:
    """What one manipulator truly did in one episode."""

    episode_id: str
    manipulator: str
    family: str
    failure_mode: str
    """Empty where the generator meant none."""
    rate_hz: float
    pieces: Pieces

    @property
    def key(self) -> Key:
        """Episode and manipulator."""
        return self.episode_id, self.manipulator

    @property
    def frames(self) -> int:
        """One past the last labelled frame."""
        return self.pieces[-1].stop if self.pieces else 0

    @property
    def nominal(self) -> bool:
        """Nothing failed, whatever was planned."""
        return not failures(self.pieces) and not recoveries(self.pieces)


def tracks(batch: RolloutBatch, truth: Truth) -> list[Track]:
    """Truth of a batch, a track for each manipulator that has true segments."""
    told = pieces_of(truth.segments)
    mode = dict(zip(truth.episodes.episode_id, truth.episodes.failure_mode, strict=True))
    out = []
    for i, (name, family) in enumerate(zip(batch.episodes.episode_id, batch.episodes.family, strict=True)):
        time = batch.time[batch.offset[i] : batch.offset[i + 1]]
        rate = 1.0 / float(np.median(np.diff(time))) if len(time) > 1 else 1.0
        out += [
            Track(name, arm, family, mode.get(name, ""), rate, told[name, arm])
            for arm in batch.manipulators
            if (name, arm) in told
        ]
    return out


def pieces_of(table: SegmentTable | TruthSegments) -> dict[Key, Pieces]:
    """Rows of a table of segments, gathered by episode and manipulator."""
    sure = table.confidence.tolist() if isinstance(table, SegmentTable) else [float("nan")] * len(table)
    rows = zip(
        table.episode_id,
        table.manipulator,
        table.label,
        table.start_frame.tolist(),
        table.end_frame.tolist(),
        table.outcome,
        table.failure_reason,
        sure,
        strict=True,
    )
    out: dict[Key, list[Piece]] = {}
    for name, arm, *rest in rows:
        out.setdefault((name, arm), []).append(Piece(*rest))
    return {key: tuple(pieces) for key, pieces in out.items()}


def failures(pieces: Pieces) -> list[Event]:
    """Failure events by the annotation convention, the same rule for truth and prediction.

    An anomaly is a failure at its onset, with the segment that it interrupts; any other failed segment fails where
    it ends. A recovery that did not help is no failure of its own: the attempt after it is.

    >>> failures((Piece("lift", 0, 9, "failure", "drop"), Piece("slip", 9, 12, "failure", "drop")))
    [Event(frame=9, reason='drop')]
    """
    events = []
    for piece, after in pairwise((*pieces, None)):
        if piece is None:
            continue
        if piece.label in ANOMALIES:
            events.append(Event(piece.start, piece.reason))
        elif piece.label == "recovery_maneuver":
            continue
        elif piece.outcome in FAILED and (after is None or after.label not in ANOMALIES):
            events.append(Event(piece.stop, piece.reason))
    return events


def recoveries(pieces: Pieces) -> list[tuple[str, int, int]]:
    """Spans of recovery maneuvers, adjoining ones joined."""
    spans: list[tuple[str, int, int]] = []
    for label, start, stop in (piece.span for piece in pieces if piece.label == "recovery_maneuver"):
        if spans and spans[-1][2] == start:
            start = spans.pop()[1]
        spans.append((label, start, stop))
    return spans


def shuffled(track: Track, predicted: Mapping[Key, Pieces], rng: np.random.Generator) -> Pieces:
    """The control: the same segments of an episode in random order, so that only their times are wrong."""
    pieces = predicted.get(track.key, ())
    out: list[Piece] = []
    for i in rng.permutation(len(pieces)).tolist():
        start = out[-1].stop if out else 0
        length = pieces[i].stop - pieces[i].start
        if out and out[-1].label == pieces[i].label:
            start, length = out[-1].start, length + start - out[-1].start
            out.pop()
        out.append(pieces[i]._replace(start=start, stop=start + length))
    return tuple(out)
