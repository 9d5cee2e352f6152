"""What was done: segments as candidate skills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.records.meanings import (
    CONFIDENCE,
    EPISODE_ID,
    EPISODE_INDEX,
    FAILURE_REASON,
    INFERRED_END,
    OBJECT,
    SEGMENT_OUTCOME,
    SUCCESS,
)
from sima2.records.table import Table, Text, column, text

AMBIGUOUS_BELOW: Final = 0.5
"""Confidence under which a label is more likely wrong than right."""


@dataclass(frozen=True, eq=False)
class PrimitiveTable(Table):
    """One row a segment that is an action, ordered as the segments are."""

    schema_version: ClassVar[int] = 2

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    primitive_id: Int64s = column(np.int64, "Number of the primitive, unique within the episode, from 0.")
    segment_id: Int64s = column(np.int64, "Segment of the same episode that it is.")
    action: Text = text("What is done: the label of the segment.")
    object: Text = text(OBJECT)
    outcome: Text = text(SEGMENT_OUTCOME)
    failure_reason: Text = text(FAILURE_REASON)
    duration_s: Float64s = column(np.float64, "How long it took.", unit="s")
    energy_wh: Float64s = column(
        np.float64, "Mechanical work of the joints; NaN where torque or velocity is absent.", unit="Wh"
    )
    confidence: Float32s = column(np.float32, CONFIDENCE, unit="1")
    ambiguous: Bools = column(
        np.bool_, "Its confidence is so low that the label is more likely wrong than right: no evidence rests on it."
    )


@dataclass(frozen=True, eq=False)
class InferredOutcome(Table):
    """How each episode seems to have ended, from its segments and goal alone; one row an episode."""

    episode_id: Text = text(EPISODE_ID)
    success: Float64s = column(np.float64, SUCCESS, unit="1")
    confidence: Float32s = column(
        np.float32, "Confidence in it, 0 to 1 (see ``OutcomeInference``); 0 where success is not known.", unit="1"
    )
    failed_at_s: Float64s = column(np.float64, "End of the last failed segment; NaN where none failed.", unit="s")
    reason: Text = text("Failure reason of the last failed segment; empty where none failed.")
    end: Text = text(INFERRED_END)
