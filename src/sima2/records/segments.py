"""What happened when: the segments of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.records.meanings import (
    CONFIDENCE,
    END_FRAME,
    EPISODE_ID,
    EPISODE_INDEX,
    FAILURE_REASON,
    MANIPULATOR,
    OBJECT,
    SEGMENT_ID,
    SEGMENT_LABEL,
    SEGMENT_OUTCOME,
    START_FRAME,
)
from sima2.records.table import Table, Text, column, text
from sima2.records.vocabulary import TELLS_OF_THINGS


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: half-open frames, times in s since the rollout's start."""

    episode_index: int
    episode_id: str
    manipulator: str
    segment_id: int
    label: str
    object: str
    start_frame: int
    end_frame: int
    start_t: float
    end_t: float
    outcome: str
    failure_reason: str
    confidence: float
    channels_used: str

    @property
    def duration_s(self) -> float:
        """s."""
        return self.end_t - self.start_t


@dataclass(frozen=True, eq=False)
class SegmentTable(Table):
    """Segments ordered by episode, manipulator and start; per manipulator no gaps and no overlaps."""

    schema_version: ClassVar[int] = 2

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    manipulator: Text = text(MANIPULATOR)
    segment_id: Int64s = column(np.int64, SEGMENT_ID)
    label: Text = text(SEGMENT_LABEL)
    object: Text = text(OBJECT)
    start_frame: Int64s = column(np.int64, START_FRAME, unit="frame")
    end_frame: Int64s = column(np.int64, END_FRAME, unit="frame")
    start_t: Float64s = column(np.float64, "Time of the first frame since the rollout's start.", unit="s")
    end_t: Float64s = column(
        np.float64, "Time of `end_frame`; at the episode's end that of the last frame plus one median period.", unit="s"
    )
    outcome: Text = text(SEGMENT_OUTCOME)
    failure_reason: Text = text(FAILURE_REASON)
    confidence: Float32s = column(np.float32, CONFIDENCE, unit="1")
    channels_used: Text = text(
        "The kinds of channel that the label rests on, joined by `+`: `motion`, `gripper`, `grip_force`, "
        "`contact_force`, `effort_proxy`, `objects`."
    )
    max_speed: Float32s = column(
        np.float32,
        "Greatest speed of the hand (of the fastest joint where no pose was recorded); NaN where neither was.",
        unit="m/s (joint: rad/s)",
    )
    distance: Float32s = column(np.float32, "Length of the hand's path; NaN where no pose was recorded.", unit="m")
    peak_force: Float32s = column(np.float32, "Greatest external force; NaN where it was not recorded.", unit="N")
    impulse: Float32s = column(
        np.float32, "External force summed over time; NaN where it was not recorded.", unit="N·s"
    )
    grip_force: Float32s = column(np.float32, "Mean grip force; NaN where it was not recorded.", unit="N")
    width_change: Float32s = column(
        np.float32,
        "Gripper width of the last frame minus that of the first (opening, where metres are not known); NaN where "
        "neither was recorded.",
        unit="m (opening: 1)",
    )
    object_moved: Float32s = column(
        np.float32,
        "How far from its place at the first frame the object that moved most is at the last; NaN where none was in "
        "sight then.",
        unit="m",
    )
    max_joint_speed: Float32s = column(
        np.float32, "Greatest speed of a joint; NaN where it was not recorded.", unit="rad/s"
    )
    max_joint_torque: Float32s = column(
        np.float32, "Greatest torque of a joint, without its sign; NaN where it was not recorded.", unit="N·m"
    )
    energy_wh: Float32s = column(
        np.float32, "Mechanical work of the joints; NaN where torque or velocity is absent.", unit="Wh"
    )

    @property
    def tells_of_things(self) -> Bools:
        """Whether a segment rests on any channel that tells of things, shape (n,)."""
        used = self.channels_used
        able = np.array([bool(TELLS_OF_THINGS & set(name.split("+"))) for name in used.names], np.bool_)
        return able[used.codes] if len(self) else np.zeros(0, np.bool_)

    def __iter__(self) -> Iterator[Segment]:
        """The rows one by one."""
        lists = [getattr(self, each.name).tolist() for each in fields(Segment)]
        return (Segment(*row) for row in zip(*lists, strict=True))
