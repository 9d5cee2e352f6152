"""Where a sequence was found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sima2.records.arrays import Float64s, Int64s
from sima2.records.meanings import EPISODE_ID, EPISODE_INDEX
from sima2.records.table import Table, Text, column, matrix, text


@dataclass(frozen=True, eq=False)
class SequenceMatches(Table):
    """Places at which a sequence was found, in the order of episodes, then by first frame. Kept in memory only."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    manipulator: Text = text("Arm of the first step; empty where the sequence names no step.")
    start_frame: Int64s = column(np.int64, "First frame of the first step; 0 where there is no step.", unit="frame")
    end_frame: Int64s = column(
        np.int64, "One past the last frame of the last step; the episode's length where there is no step.", unit="frame"
    )
    start_t: Float64s = column(np.float64, "Time of the first frame since the rollout's start.", unit="s")
    end_t: Float64s = column(np.float64, "Time of `end_frame`.", unit="s")
    segment_id: Int64s = matrix(np.int64, "Number of the segment of each step.", unit="")
    step_start_frame: Int64s = matrix(np.int64, "First frame of each step.", unit="frame")
    step_end_frame: Int64s = matrix(np.int64, "One past the last frame of each step.", unit="frame")
