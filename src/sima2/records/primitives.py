"""What was done: segments as candidate skills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sima2.records.table import Table, Text, column, text


@dataclass(frozen=True, eq=False)
class PrimitiveTable(Table):
    """One row a segment that is an action, ordered as the segments are."""

    primitive_id: NDArray[np.int64] = column(np.int64)
    """Unique within the episode, from 0."""
    episode_id: Text = text()
    segment_id: NDArray[np.int64] = column(np.int64)
    action: Text = text()
    """The segment's label."""
    object: Text = text()
    outcome: Text = text()
    failure_reason: Text = text()
    duration_s: NDArray[np.float64] = column(np.float64)
    energy_wh: NDArray[np.float64] = column(np.float64)
    """NaN where power is not known."""
    confidence: NDArray[np.float32] = column(np.float32)
    ambiguous: NDArray[np.bool_] = column(np.bool_)
    """Confidence below the extractor's threshold."""


@dataclass(frozen=True, eq=False)
class InferredOutcome(Table):
    """How each episode seems to have ended, from its segments and goal alone; one row an episode."""

    episode_id: Text = text()
    success: NDArray[np.float64] = column(np.float64)
    """1 success, 0 failure, NaN unknown."""
    confidence: NDArray[np.float32] = column(np.float32)
    failed_at_s: NDArray[np.float64] = column(np.float64)
    """End of the last failed segment, NaN where none failed."""
    reason: Text = text()
    """Failure reason of the last failed segment, empty where none failed."""
