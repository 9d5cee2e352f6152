"""What is wrong with the data: findings in the raw signals, and the measurements that a population is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.records.meanings import END_FRAME, EPISODE_ID, EPISODE_INDEX, FAMILY, MANIPULATOR, ROBOT, START_FRAME, one_of
from sima2.records.table import Table, Text, column, matrix, text

DEFECTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "label_conflict": "the recorded outcome contradicts what the motion tells",
        "outcome_overridden": "a person says otherwise than was recorded of how it ended",
        "outcome_disputed": "persons disagree on how it ended",
        "outcome_contradicted": "a copy of the recording, bit for bit, has the opposite outcome",
        "near_duplicate": "the motion of another episode over again",
        "teleport": "a position jumps further in one frame than it ever moves otherwise",
        "frozen_channel": "a value stands bit for bit still while it should not",
        "missing_samples": "samples that are no numbers",
        "clipped_channel": "a value runs into its extreme and stays on it",
        "repeated_frames": "frames that are the one before over again while the robot moves",
        "dropped_frames": "frames are missing between two that follow each other",
        "clock_jump": "the clock leaps while the robot does not",
        "irregular_clock": "the time between frames varies",
        "rate_change": "frames come at another rate than elsewhere",
        "tracking_fault": "a joint stays further from its command than its lag explains",
        "stalled": "told to move or under load, and not moving",
        "command_offset": "a joint stands beside its command by another distance than in other episodes",
        "action_lag": "actions come earlier or later beside the states than in other episodes",
        "mixed_units": "positions in another unit than in other episodes",
        "mixed_polarity": "the gripper's numbers run the other way round than in other episodes",
        "task_mismatch": "moves as episodes of another task do, not as those of its own",
        "truncated": "ends in mid-motion, where other episodes of the task come to rest",
        "constant_channel": "a column that never changes in the set: nothing can be learnt from it",
        "idle": "nothing moves for long",
        "noise_burst": "a value trembles for a while as it does nowhere else",
        "repeated_grasp": "the gripper closes again where it has just closed",
        "duration_outlier": "much longer or shorter than other episodes of the task",
        "jerk_outlier": "much jerkier or smoother than other episodes of the task",
        "video_missing": "a camera's video is not there",
        "video_unreadable": "a camera's video cannot be read, or pictures of it cannot",
        "video_length": "a video holds more or fewer pictures than the episode has frames",
        "video_rate": "a video runs at another rate than the frames of the table",
        "video_black": "a camera shows nothing but black",
        "video_frozen": "a camera's picture stands while the robot moves",
        "video_repeats": "pictures of a camera are the one before over again while the robot moves",
        "video_lag": "a camera shows motion earlier or later beside the joints than it does otherwise",
    }
)
"""Kinds of defect and what each means."""

SLOTS: Final = 24
"""Position columns of a manipulator that measures keep: joints (at most 20), hand (3), gripper (1)."""
POINTS: Final = 12
"""Places along an episode's motion at which its signature is taken."""
LIMITS: Final = 3
"""Plateaus on extreme values that measures keep."""
SKETCH: Final = 16
"""Digests of frames that measures keep."""
_SLOT_UNITS: Final = "rad; m of the hand; m or share of the gripper"


@dataclass(frozen=True, eq=False)
class DefectTable(Table):
    """Findings; in ``defects.parquet`` ranked by severity, then by episode."""

    episode_index: Int64s = column(
        np.int64, f"{EPISODE_INDEX} -1 where the finding is about the set and no single episode."
    )
    episode_id: Text = text(f"{EPISODE_ID} Empty where the finding is about the set.")
    manipulator: Text = text("Name of the arm; empty where it concerns the whole robot.")
    defect: Text = text(f"Kind of defect: {one_of(DEFECTS)}.")
    severity: Float64s = column(
        np.float64,
        "0 to 1: what it costs a trainer, which is the share of the episode's frames that should be left out or mended "
        "(1 is the whole episode; of a finding about the set, the share of its episodes).",
        unit="1",
    )
    start_frame: Int64s = column(np.int64, START_FRAME, unit="frame")
    end_frame: Int64s = column(np.int64, END_FRAME, unit="frame")
    value: Float64s = column(np.float64, "The measure that decided.", unit="that of column `unit`")
    unit: Text = text("Unit of `value`, in words.")
    details: Text = text("The evidence in words.")


@dataclass(frozen=True, eq=False)
class RankedDefects(DefectTable):
    """Findings of a finished run, each with what it costs a trainer of imitation by the rules of the plan."""

    kind_of_knowledge: Text = text(
        "`fact`: measured, acts by a rule; `inference`: suggested by other episodes or by segments, asks for review; "
        "empty where no rule of the plan is about it."
    )
    frames_lost: Int64s = column(
        np.int64, "Frames of the episode that the rule leaves out: 0 where it only asks.", unit="frames"
    )
    cut_start: Int64s = column(
        np.int64, f"{START_FRAME} Of those that can be cut off at an end of the episode.", unit="frame"
    )
    cut_end: Int64s = column(
        np.int64, f"{END_FRAME} Equal to `cut_start` where nothing can be cut off without a gap.", unit="frame"
    )


@dataclass(frozen=True, eq=False)
class PauseTable(Table):
    """Stretches in which nothing of the robot moves, short ones too: no defect, but nothing to imitate either."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    start_frame: Int64s = column(
        np.int64, f"{START_FRAME} Where something moved before, some time after it stopped.", unit="frame"
    )
    end_frame: Int64s = column(np.int64, END_FRAME, unit="frame")


@dataclass(frozen=True, eq=False)
class EpisodeMeasures(Table):
    """One row for each manipulator of an episode: what only a comparison with other episodes can judge.

    A slot is a position column of the manipulator: joints first, then the hand's three, then the gripper.
    """

    schema_version: ClassVar[int] = 2

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    manipulator: Text = text(MANIPULATOR)
    task: Text = text("What the episode says it is about, in words; empty where nothing tells.")
    family: Text = text(FAMILY)
    robot: Text = text(ROBOT)
    frames: Int64s = column(np.int64, "Length of the episode.", unit="frames")
    duration_s: Float64s = column(np.float64, "Time from the first frame to the last.", unit="s")
    period_s: Float64s = column(np.float64, "Median time between frames; NaN for one frame.", unit="s")
    jerk: Float64s = column(
        np.float64,
        "Mean size of the third derivative, summed over joints (over the hand's axes where no joints were recorded); "
        "NaN where there is neither, or too few frames.",
        unit="rad/s³ (hand: m/s³)",
    )
    tracking: Float64s = column(
        np.float64,
        "Largest residual of a joint behind its command that lasted, in usual spreads of it; NaN without commands.",
        unit="1",
    )
    tracking_slot: Int64s = column(np.int64, "Joint of that residual; 0 where `tracking` is NaN.")
    tracking_start: Int64s = column(np.int64, "First frame of that residual; 0 where `tracking` is NaN.", unit="frame")
    tracking_end: Int64s = column(np.int64, "One past its last frame; 0 where `tracking` is NaN.", unit="frame")
    moving_start: Int64s = column(
        np.int64, "First frame in which the robot moves; 0 where nothing moves.", unit="frame"
    )
    moving_end: Int64s = column(
        np.int64, "One past the last frame in which it moves; the length where nothing moves.", unit="frame"
    )
    burst: Float64s = column(
        np.float64,
        "Greatest tremble from frame to frame of a joint (else of the hand) over a window, in times what is usual of "
        "it in the episode; 0 where nothing trembles.",
        unit="1",
    )
    burst_slot: Int64s = column(np.int64, "Slot of that tremble; 0 where `burst` is 0.")
    burst_start: Int64s = column(np.int64, "First frame of that tremble; 0 where `burst` is 0.", unit="frame")
    burst_end: Int64s = column(np.int64, "One past its last frame; 0 where `burst` is 0.", unit="frame")
    lag_s: Float64s = column(
        np.float64,
        "Time by which the joints follow their commands, below 0 where they go before; NaN where nothing tells it.",
        unit="s",
    )
    end_pace: Float64s = column(
        np.float64,
        "Motion of the joint (else of the hand's axis) that is fastest at the last frame, over the fast motion of the "
        "robot's fastest in the episode (95th percentile); NaN where nothing moves.",
        unit="1",
    )
    clock_off: Float64s = column(
        np.float64,
        "Share of the recorded steps of time that were no period, where frame numbers were taken for them; else 0.",
        unit="1",
    )
    layout: Text = text("How many joint, hand and gripper columns were recorded, in words.")
    content: Int64s = column(
        np.int64, "Digest of the recorded positions, bit for bit; 0 where nothing moves or there are too few frames."
    )
    span: Float32s = matrix(
        np.float32,
        f"Greatest minus least value of each of the {SLOTS} slots; NaN where a slot is empty or without a number.",
        unit=_SLOT_UNITS,
    )
    noise: Float32s = matrix(
        np.float32,
        f"Standard deviation of the noise of each of the {SLOTS} slots; NaN where a slot is empty.",
        unit=_SLOT_UNITS,
    )
    signature: Float32s = matrix(
        np.float32,
        f"Positions at {POINTS} places evenly over the motion, slot by slot; NaN where a slot is empty.",
        unit=_SLOT_UNITS,
    )
    whole: Float32s = matrix(
        np.float32,
        f"The same at {POINTS} places evenly over all of the episode.",
        unit=_SLOT_UNITS,
    )
    low: Float32s = matrix(
        np.float32, f"Least value of each of the {SLOTS} slots; NaN where a slot is empty.", unit=_SLOT_UNITS
    )
    command_extent: Float32s = matrix(
        np.float32,
        f"Least, then greatest command of each of the {SLOTS} slots; NaN where there is none.",
        unit=_SLOT_UNITS,
    )
    limits: Float64s = matrix(
        np.float64,
        f"The {LIMITS} longest plateaus on a joint's (or its command's) own extreme while its counterpart goes on, "
        f"each by five numbers: (2 if of the command, plus 1 if the greatest value) times {SLOTS} plus the slot, "
        "frames, first frame, one past the last, and radians by which the counterpart goes beyond; NaN where there "
        "are fewer.",
        unit="1",
    )
    offset: Float32s = matrix(
        np.float32,
        f"Median of command less position of each of the {SLOTS} slots, the lag taken out; NaN where there is no "
        "command.",
        unit=_SLOT_UNITS,
    )
    offset_spread: Float32s = matrix(
        np.float32,
        f"How far that varies within the episode (10th to 90th percentile), for each of the {SLOTS} slots.",
        unit=_SLOT_UNITS,
    )
    sketch: Int64s = matrix(
        np.int64,
        f"The {SKETCH} least digests of two moving frames that follow each other: episodes that share most of them "
        "share frames bit for bit; 0 where there are fewer.",
        unit="1",
    )
