"""What the generator or simulator meant. Sealed: only ``tasks``, ``client`` and ``bench`` may import this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sima2.errors import RecordError
from sima2.records.arrays import Bools, Float32s, Float64s, Indices, Int64s
from sima2.records.meanings import (
    DEBUG_MODE,
    END_FRAME,
    EPISODE_ID,
    FAILURE_REASON,
    MANIPULATOR,
    OBJECT,
    SEGMENT_LABEL,
    SEGMENT_OUTCOME,
    START_FRAME,
)
from sima2.records.rollout import spans
from sima2.records.table import Table, Text, column, read_only, text
from sima2.records.vocabulary import LABELS, OUTCOMES


@dataclass(frozen=True, eq=False)
class TruthFrames(Table):
    """Truth of every frame of a batch (T of them)."""

    risk: Float32s = column(
        np.float32,
        "Probability of a first failure event in (t, end], given parameters and state at t and none so far; NaN from "
        "the event on, and where it is not known.",
        unit="1",
    )
    fragility: Float32s = column(
        np.float32, "Rise of `risk` when friction and grip force fall by 10 %; NaN where `risk` is.", unit="1"
    )
    recovery: Bools = column(np.bool_, "A correction is under way.")
    novelty: Float32s = column(
        np.float32, "Mahalanobis distance of the scene's parameters from the nominal law.", unit="1"
    )
    ood: Bools = column(np.bool_, "The scene or its motion is outside the nominal law.")
    label: NDArray[np.int8] = column(np.int8, f"What is done, by its place from 0 in: {', '.join(LABELS)}.")
    outcome: NDArray[np.int8] = column(
        np.int8,
        f"Outcome of the true segment that the frame lies in, by its place from 0 in: {', '.join(OUTCOMES)}.",
    )


@dataclass(frozen=True, eq=False)
class TruthEpisodes(Table):
    """Truth of every episode of a batch (n of them)."""

    episode_id: Text = text(EPISODE_ID)
    template: Text = text("How the episode was meant to go.")
    failure_mode: Text = text("What went wrong; empty where nothing did.")
    recovery_strategy: Text = text("How it was to be put right; empty where that was not tried.")
    recovery_attempts: NDArray[np.int32] = column(np.int32, "Attempts to put it right.", unit="attempts")
    success: Bools = column(np.bool_, "The task was done.")
    geometry: Text = text("Shape of the family's first object.")
    friction: Text = text("Friction of the scene: `low`, `medium` or `high`.")
    mass: Text = text("Mass of the object: `light` or `heavy`.")
    initial_risk: Float64s = column(np.float64, "Risk at the first frame, 0 to 1; NaN where it is not known.", unit="1")
    event_frame: Int64s = column(np.int64, "Frame of the first failure event; -1 where none occurred.", unit="frame")
    ood_source: Text = text("What is unusual: `visual`, `kinematic` or `temporal`; empty where nothing is.")
    debug_mode: Bools = column(np.bool_, DEBUG_MODE)
    noise: Bools = column(np.bool_, "Garbage on purpose, of a stress mix.")
    seed: Int64s = column(np.int64, "Seed of the run that made it.")
    spec: Text = text("The full plan of the episode as JSON.")


@dataclass(frozen=True, eq=False)
class TruthSegments(Table):
    """True segments by the annotation convention, ordered by episode, manipulator and start."""

    episode_id: Text = text(EPISODE_ID)
    manipulator: Text = text(MANIPULATOR)
    label: Text = text(SEGMENT_LABEL)
    object: Text = text(OBJECT)
    start_frame: Int64s = column(np.int64, START_FRAME, unit="frame")
    end_frame: Int64s = column(np.int64, END_FRAME, unit="frame")
    outcome: Text = text(SEGMENT_OUTCOME)
    failure_reason: Text = text(FAILURE_REASON)


@dataclass(frozen=True, eq=False)
class TruthEvents(Table):
    """Point events: failures, impacts, injected faults."""

    episode_id: Text = text(EPISODE_ID)
    kind: Text = text("`failure`, `impact`, `recovery_start` or `recovery_end`.")
    reason: Text = text("Failure reason of a failure or an impact; empty otherwise.")
    object: Text = text(OBJECT)
    frame: Int64s = column(np.int64, "When, counted from the episode's start.", unit="frame")
    impulse: Float64s = column(np.float64, "Impulse of an impact; 0 of other events.", unit="N·s")
    damage: Float64s = column(
        np.float64, "Damage that an impact did; 0 of other events.", unit="currency of its prices"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """All that was meant, for the episodes of one batch in its order."""

    frames: TruthFrames
    episodes: TruthEpisodes
    segments: TruthSegments
    events: TruthEvents
    offset: Int64s
    """First frame of each episode and one past the last, shape (n + 1,)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", read_only(np.asarray(self.offset, np.int64)))
        if self.offset.shape != (len(self.episodes) + 1,) or self.offset[-1] != len(self.frames):
            raise RecordError(
                f"truth of {len(self.episodes)} episodes and {len(self.frames)} frames, "
                f"offset of shape {self.offset.shape}"
            )

    def __len__(self) -> int:
        return len(self.episodes)

    @classmethod
    def of_noise(cls, episode_id: Sequence[str], offset: Int64s) -> Truth:
        """Truth of episodes that mean nothing: garbage that could be read after all."""
        n, frames = len(episode_id), int(offset[-1])
        blank = np.full(frames, np.nan, np.float32)
        empty = Text.full(n, "")
        nowhere = np.zeros(frames, np.int8)
        return cls(
            frames=TruthFrames(
                risk=blank,
                fragility=blank,
                recovery=nowhere.astype(np.bool_),
                novelty=blank,
                ood=nowhere.astype(np.bool_),
                label=nowhere,
                outcome=nowhere,
            ),
            episodes=TruthEpisodes(
                episode_id=Text.of(episode_id),
                template=empty,
                failure_mode=empty,
                recovery_strategy=empty,
                recovery_attempts=np.zeros(n, np.int32),
                success=np.zeros(n, np.bool_),
                geometry=empty,
                friction=empty,
                mass=empty,
                initial_risk=np.full(n, np.nan),
                event_frame=np.full(n, -1),
                ood_source=empty,
                debug_mode=np.zeros(n, np.bool_),
                noise=np.ones(n, np.bool_),
                seed=np.zeros(n, np.int64),
                spec=Text.full(n, "{}"),
            ),
            segments=TruthSegments.empty(),
            events=TruthEvents.empty(),
            offset=offset,
        )

    def take(self, index: NDArray[Any] | Sequence[int]) -> Truth:
        """Whole episodes by index, in that order."""
        where = np.asarray(index, np.intp)
        length = np.diff(self.offset)[where]
        picked = self.episodes.take(where)
        rank = {eid: k for k, eid in enumerate(picked.episode_id)}

        def rows(column: Text) -> Indices:
            place = np.array([rank.get(eid, -1) for eid in column.tolist()], np.intp)
            kept = np.flatnonzero(place >= 0)
            return kept[np.argsort(place[kept], kind="stable")]

        return Truth(
            frames=self.frames.take(spans(self.offset[:-1][where], length)),
            episodes=picked,
            segments=self.segments.take(rows(self.segments.episode_id)),
            events=self.events.take(rows(self.events.episode_id)),
            offset=np.concatenate([[0], np.cumsum(length)]).astype(np.int64),
        )

    @classmethod
    def concat(cls, parts: Sequence[Truth]) -> Truth:
        """Parts end to end."""
        lengths = [np.diff(part.offset) for part in parts] or [np.zeros(0, np.int64)]
        return cls(
            frames=TruthFrames.concat([part.frames for part in parts]),
            episodes=TruthEpisodes.concat([part.episodes for part in parts]),
            segments=TruthSegments.concat([part.segments for part in parts]),
            events=TruthEvents.concat([part.events for part in parts]),
            offset=np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64),
        )
