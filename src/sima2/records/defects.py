"""What is wrong with the data: findings in the raw signals, and the measurements that a population is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.table import Table, Text, column, matrix, text

DEFECTS: Final[Mapping[str, str]] = MappingProxyType(
    {
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
        "stalled": "commanded or under load, and not moving",
        "idle": "nothing moves for long",
        "repeated_grasp": "the gripper closes again where it has just closed in vain",
        "duration_outlier": "much longer or shorter than other episodes of the task",
        "jerk_outlier": "much jerkier or smoother than other episodes of the task",
    }
)
"""Kinds of defect and what each means."""

SLOTS: Final = 24
"""Position columns of a manipulator that vitals keep: joints (at most 20), hand (3), gripper (1)."""
POINTS: Final = 12
"""Places along an episode's motion at which its signature is taken."""


@dataclass(frozen=True, eq=False)
class DefectTable(Table):
    """Findings; in ``defects.parquet`` ranked by severity, then by episode."""

    episode_index: NDArray[np.int64] = column(np.int64)
    episode_id: Text = text()
    manipulator: Text = text()
    """Empty where it concerns the whole robot."""
    defect: Text = text()
    """One of ``DEFECTS``."""
    severity: NDArray[np.float64] = column(np.float64)
    """0 to 1: how much of the episode, or how far beyond the ordinary."""
    start_frame: NDArray[np.int64] = column(np.int64)
    end_frame: NDArray[np.int64] = column(np.int64)
    """One past the last frame."""
    value: NDArray[np.float64] = column(np.float64)
    """The measure that decided, in ``unit``."""
    unit: Text = text()
    details: Text = text()
    """The evidence in words."""


@dataclass(frozen=True, eq=False)
class EpisodeVitals(Table):
    """One row for each manipulator of an episode: what only a comparison with other episodes can judge.

    A slot is a position column of the manipulator: joints first, then the hand's three, then the gripper.
    """

    schema_version: ClassVar[int] = 1

    episode_index: NDArray[np.int64] = column(np.int64)
    episode_id: Text = text()
    manipulator: Text = text()
    family: Text = text()
    robot: Text = text()
    frames: NDArray[np.int64] = column(np.int64)
    duration_s: NDArray[np.float64] = column(np.float64)
    period_s: NDArray[np.float64] = column(np.float64)
    """Median time between frames; NaN for one frame."""
    jerk: NDArray[np.float64] = column(np.float64)
    """Mean size of the third derivative, over joints (else the hand's axes), rad/s³ (m/s³); NaN of few frames."""
    tracking: NDArray[np.float64] = column(np.float64)
    """Largest residual of a joint behind its command that lasted, in usual spreads; NaN without commands."""
    tracking_slot: NDArray[np.int64] = column(np.int64)
    tracking_start: NDArray[np.int64] = column(np.int64)
    tracking_end: NDArray[np.int64] = column(np.int64)
    moving_start: NDArray[np.int64] = column(np.int64)
    moving_end: NDArray[np.int64] = column(np.int64)
    """Frames between which the robot moves."""
    layout: Text = text()
    """How many joints, hand and gripper columns there are."""
    content: NDArray[np.int64] = column(np.int64)
    """Digest of the positions, bit for bit; 0 where nothing moves."""
    span: NDArray[np.float32] = matrix(np.float32)
    """Greatest minus least value of each slot, shape (n, SLOTS); NaN where it is empty or without a number."""
    noise: NDArray[np.float32] = matrix(np.float32)
    """Standard deviation of the noise of each slot, shape (n, SLOTS)."""
    signature: NDArray[np.float32] = matrix(np.float32)
    """Positions at ``POINTS`` places evenly over the motion, slot by slot, shape (n, SLOTS × POINTS)."""
