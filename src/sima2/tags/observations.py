"""What pass 1 sees of each segment and of each episode up to its landmark: measurements, nothing fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.records.meanings import (
    CONFIDENCE,
    END_FRAME,
    EPISODE_ID,
    FAMILY,
    OBJECT,
    SEGMENT_ID,
    SEGMENT_LABEL,
    START_FRAME,
)
from sima2.records.primitives import AMBIGUOUS_BELOW
from sima2.records.rollout import RolloutBatch
from sima2.records.segments import SegmentTable
from sima2.records.table import Table, Text, column, matrix, text
from sima2.records.vocabulary import ANOMALIES
from sima2.tags.acceleration import accelerations
from sima2.tags.landmark import Landmarks, LandmarkSettings, landmarks
from sima2.tags.prefix import FEATURES, nearest_names, prefix_features
from sima2.tags.reductions import span_mean

KINEMATICS: Final = (
    "max_speed",
    "max_acceleration",
    "max_joint_speed",
    "max_joint_acceleration",
    "max_joint_torque",
    "peak_force",
    "grip_force",
)
"""Kinematic columns of a segment: those of ``SegmentTable`` with its units, and accelerations in m/s² and rad/s²."""

PLAIN: Final = ("end_x", "end_y", "end_z", "end_width", "mean_force", "grip_force", "distance", "log_duration")
"""What a segment was like as a whole: where and with what between the fingers it ended, how heavy, far and long."""
END: Final = "{} at its last frame; NaN where unknown, also for the last segment of a cut episode."


def _measured(name: str) -> Any:
    """A measure of ``SegmentTable``, with more digits."""
    told = {each.name: each for each in SegmentTable.declared()}[name]
    return column(np.float64, told.meaning, unit=told.unit)


@dataclass(frozen=True, eq=False)
class SegmentObservations(Table):
    """One row a segment, of whole episodes (``cut`` false) and of episodes cut at their landmark (``cut`` true)."""

    episode_id: Text = text(EPISODE_ID)
    family: Text = text(FAMILY)
    cut: Bools = column(np.bool_, "Seen in the episode cut at its landmark, and segmented as cut.")
    segment_id: Int64s = column(np.int64, SEGMENT_ID)
    label: Text = text(SEGMENT_LABEL)
    object: Text = text(OBJECT)
    start_frame: Int64s = column(np.int64, START_FRAME, unit="frame")
    end_frame: Int64s = column(np.int64, END_FRAME, unit="frame")
    failed: Bools = column(np.bool_, "It ended in failure or retry, and is more likely what it is taken for than not.")
    confidence: Float64s = column(np.float64, CONFIDENCE, unit="1")
    log_duration: Float64s = column(
        np.float64,
        "Natural logarithm of how long it took; NaN for the last segment of a cut episode, whose end is not known.",
        unit="ln(s)",
    )
    max_speed: Float64s = _measured("max_speed")
    max_acceleration: Float64s = column(
        np.float64, "Greatest acceleration of the hand; NaN where no pose was recorded or it is too short.", unit="m/s²"
    )
    max_joint_speed: Float64s = _measured("max_joint_speed")
    max_joint_acceleration: Float64s = column(
        np.float64,
        "Greatest acceleration of a joint; NaN where no joints were recorded or it is too short.",
        unit="rad/s²",
    )
    max_joint_torque: Float64s = _measured("max_joint_torque")
    peak_force: Float64s = _measured("peak_force")
    grip_force: Float64s = _measured("grip_force")
    mean_force: Float64s = column(
        np.float64, "Mean external force; NaN where none was recorded or its end is not known.", unit="N"
    )
    distance: Float64s = _measured("distance")
    end_x: Float64s = column(np.float64, END.format("Hand position"), unit="m")
    end_y: Float64s = column(np.float64, END.format("Hand position"), unit="m")
    end_z: Float64s = column(np.float64, END.format("Hand position"), unit="m")
    end_width: Float64s = column(np.float64, END.format("Gripper width or opening"), unit="m or 1")
    embedding: Float32s = matrix(
        np.float32, "Mean vision embedding; NaN where unseen, of no width where nobody recorded one.", unit="1"
    )


@dataclass(frozen=True, eq=False)
class RiskObservations(Table):
    """One row an episode: what was known at its landmark. All but the identity comes from the cut episode."""

    episode_id: Text = text(EPISODE_ID)
    family: Text = text(FAMILY)
    object: Text = text("Object about to be acted on, as far as known at the landmark; empty where none is known.")
    landmark: Int64s = column(np.int64, "Length up to and including the landmark; 0 where it has none.", unit="frames")
    contact: Bools = column(np.bool_, "The landmark is a contact, not a share of time.")
    failed_before: Bools = column(
        np.bool_, "A segment that ended before the landmark had failed: the episode has left the risk set."
    )
    feature: Float64s = matrix(
        np.float64,
        f"Measures up to the landmark, NaN where a channel is missing; in order: {', '.join(FEATURES)}.",
        unit="SI, each its own",
    )
    embedding: Float32s = matrix(
        np.float32,
        "Mean vision embedding up to the landmark; NaN where unseen, of no width where nobody recorded one.",
        unit="1",
    )


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """What pass 1 leaves behind for the references and for pass 2."""

    segments: SegmentObservations
    risk: RiskObservations


def observe(
    batch: RolloutBatch,
    segments: SegmentTable,
    segment: Callable[[RolloutBatch], SegmentTable],
    nominal_s: Mapping[str, float],
    settings: LandmarkSettings | None = None,
) -> Observations:
    """Measure every segment of a batch, and every episode up to its landmark.

    Args:
        batch: whole episodes.
        segments: their segments.
        segment: segments a batch; it is called on the episodes cut at their landmarks.
        nominal_s: nominal duration in s by family, for episodes without an early contact.
        settings: how the landmark is found.
    """
    marks = landmarks(batch, nominal_s, settings)
    prefix = batch.prefix(marks.frames)
    cut = segment(prefix)
    rows = pool([_observe_segments(batch, segments, cut=False), _observe_segments(prefix, cut, cut=True)])
    # episode by episode, so that the order of rows does not tell how episodes fell into batches
    order = np.lexsort((rows.cut, _places(batch, rows)))
    return Observations(segments=rows.take(order), risk=observe_risk(prefix, cut, marks))


def observe_risk(prefix: RolloutBatch, cut: SegmentTable, marks: Landmarks) -> RiskObservations:
    """What was known of each episode at its landmark.

    Args:
        prefix: the episodes cut at their landmarks: nothing later reaches this function.
        cut: their segments, segmented as cut.
        marks: the landmarks, for the arm that touched.
    """
    place = _places(prefix, cut)
    running = _last_of_episode(cut)
    bad = cut.outcome.isin("failure", "retry") | cut.label.isin(*ANOMALIES, "recovery_maneuver")
    failed = np.zeros(len(prefix), np.bool_)
    # The segment that is under way at the landmark has no outcome yet, whatever its cut end looks like.
    failed[place[bad & ~running]] = True
    return RiskObservations(
        episode_id=Text.of(prefix.episodes.episode_id),
        family=Text.of(prefix.episodes.family),
        object=Text.of(_object_ahead(prefix, cut, place)),
        landmark=marks.frames,
        contact=marks.contact,
        failed_before=failed,
        feature=prefix_features(prefix, cut, place, marks.arm),
        embedding=_mean_embedding(prefix, prefix.offset[:-1], prefix.offset[1:]),
    )


def _observe_segments(batch: RolloutBatch, segments: SegmentTable, *, cut: bool) -> SegmentObservations:
    place = _places(batch, segments)
    first = batch.offset[place]
    seconds = np.maximum(segments.end_t - segments.start_t, 0.0)
    log_duration = np.log(seconds, out=np.full(len(seconds), np.nan), where=seconds > 0)
    under_way = _last_of_episode(segments) & cut
    log_duration[under_way] = np.nan
    ends = _ends(batch, segments, first)
    mean_force = segments.impulse.astype(np.float64) / np.where(seconds > 0, seconds, np.nan)
    for each in (mean_force, *ends.values()):
        each[under_way] = np.nan
    family = Text.of(batch.episodes.family)
    return SegmentObservations(
        episode_id=segments.episode_id,
        family=family[place] if len(batch) else Text.of(()),
        cut=np.full(len(segments), cut),
        segment_id=segments.segment_id,
        label=segments.label,
        object=segments.object,
        start_frame=segments.start_frame,
        end_frame=segments.end_frame,
        failed=segments.outcome.isin("failure", "retry") & (segments.confidence >= AMBIGUOUS_BELOW),
        confidence=segments.confidence.astype(np.float64),
        log_duration=log_duration,
        embedding=_mean_embedding(batch, first + segments.start_frame, first + segments.end_frame),
        mean_force=mean_force,
        distance=segments.distance.astype(np.float64),
        **ends,
        **accelerations(batch, segments, place),
        **{name: getattr(segments, name).astype(np.float64) for name in KINEMATICS if hasattr(segments, name)},
    )


def _ends(batch: RolloutBatch, segments: SegmentTable, first: Int64s) -> dict[str, Float64s]:
    """Hand and fingers at the last frame of each segment, NaN where unknown."""
    out = {name: np.full(len(segments), np.nan) for name in PLAIN if name.startswith("end_")}
    last = first + segments.end_frame - 1
    for name, arm in batch.manipulators.items():
        mine = np.flatnonzero(segments.manipulator.isin(name))
        width = arm.gripper_width if arm.gripper_width is not None else arm.gripper_opening
        if arm.ee_position is not None:
            for axis, column_name in enumerate(("end_x", "end_y", "end_z")):
                out[column_name][mine] = arm.ee_position[last[mine], axis]
        if width is not None:
            out["end_width"][mine] = width[last[mine]]
    return out


def pool(parts: Sequence[SegmentObservations]) -> SegmentObservations:
    """Observations end to end; embeddings of unequal width are filled up with NaN."""
    widest = max((part.embedding.shape[1] for part in parts), default=0)
    return SegmentObservations.concat([replace(part, embedding=_widen(part.embedding, widest)) for part in parts])


def pool_risk(parts: Sequence[RiskObservations]) -> RiskObservations:
    """Observations end to end; embeddings of unequal width are filled up with NaN."""
    widest = max((part.embedding.shape[1] for part in parts), default=0)
    return RiskObservations.concat(
        [
            replace(
                part,
                embedding=_widen(part.embedding, widest),
                feature=part.feature if len(part) else np.zeros((0, len(FEATURES))),
            )
            for part in parts
        ]
    )


def failed_later(segments: SegmentObservations, risk: RiskObservations) -> Bools:
    """Episodes in which a segment failed that was not over at the landmark, in the order of ``risk``, shape (n,).

    A grasp that began before the landmark and failed after it counts: at the landmark it had not failed.
    """
    place = episode_places(segments.episode_id, risk.episode_id)
    bad = (segments.failed | segments.label.isin(*ANOMALIES)) & ~segments.cut & (place >= 0)
    late = np.flatnonzero(bad)
    late = late[segments.end_frame[late] > risk.landmark[place[late]]]
    failed = np.zeros(len(risk), np.bool_)
    failed[place[late]] = True
    return failed


def episode_places(episode_id: Text, among: Text) -> Int64s:
    """Row of each episode id in a table with one row an episode, -1 where it is not there, shape (n,)."""
    if not len(episode_id):
        return np.zeros(0, np.int64)
    row = np.full(len(among.names), -1, np.int64)
    row[among.codes] = np.arange(len(among))
    if episode_id.names != among.names:
        by_name = dict(zip(among.names, row.tolist(), strict=True))
        row = np.array([by_name.get(name, -1) for name in episode_id.names], np.int64)
    return row[episode_id.codes]


def _places(batch: RolloutBatch, segments: SegmentTable | SegmentObservations) -> Int64s:
    return episode_places(segments.episode_id, Text.of(batch.episodes.episode_id))


def _last_of_episode(segments: SegmentTable) -> Bools:
    """The segment under way at the end, of each manipulator, shape (n,)."""
    n = len(segments)
    last = np.ones(n, np.bool_)
    if n > 1:
        last[:-1] = (np.diff(segments.episode_id.codes) != 0) | (np.diff(segments.manipulator.codes) != 0)
    return last


def _object_ahead(prefix: RolloutBatch, cut: SegmentTable, place: Int64s) -> list[str]:
    """Object of the last cut segment that names one, else the goal's, else the nearest."""
    last = np.full(len(prefix), -1, np.int64)
    named = np.flatnonzero(~cut.object.isin(""))
    ordered = named[np.lexsort((cut.end_frame[named], place[named]))]
    last[place[ordered]] = ordered
    near = nearest_names(prefix)
    names = []
    for row, goal, fallback in zip(last.tolist(), prefix.episodes.goal, near, strict=True):
        names.append(cut.object[row] if row >= 0 else goal.object if goal is not None else fallback)
    return names


def _mean_embedding(batch: RolloutBatch, start: Int64s, stop: Int64s) -> Float32s:
    if batch.embedding is None:
        return np.zeros((len(start), 0), np.float32)
    return span_mean(batch.embedding, start, stop).astype(np.float32)


def _widen(embedding: Float32s, width: int) -> Float32s:
    missing = width - embedding.shape[1]
    if not missing:
        return embedding
    return np.concatenate([embedding, np.full((len(embedding), missing), np.nan, np.float32)], axis=1)
