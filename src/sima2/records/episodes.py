"""One row an episode: who, what, how long, and how it ended as far as known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sima2.records.table import Table, Text, column, text


@dataclass(frozen=True, eq=False)
class EpisodeTable(Table):
    """The episodes of a folder in the order of their sources; those in quarantine are not here."""

    schema_version: ClassVar[int] = 2

    episode_index: NDArray[np.int64] = column(np.int64)
    """Number among all episodes of the folder: the source's own of the first source, of later ones shifted."""
    episode_id: Text = text()
    family: Text = text()
    robot: Text = text()
    policy: Text = text()
    session: Text = text()
    instruction: Text = text()
    debug_mode: NDArray[np.bool_] = column(np.bool_)
    frames: NDArray[np.int64] = column(np.int64)
    duration_s: NDArray[np.float64] = column(np.float64)
    success: NDArray[np.float64] = column(np.float64)
    """1, 0 or NaN."""
    outcome_source: Text = text()
    inferred_success: NDArray[np.float64] = column(np.float64)
    """What the segments alone suggest: 1, 0 or NaN."""
    inferred_confidence: NDArray[np.float32] = column(np.float32)
    failure_reason: Text = text()
    """Reason of the last failed segment, empty where none failed."""
    nominal: NDArray[np.bool_] = column(np.bool_)
    """A reference episode: designated, else by the rule that the summary states."""
    segments: NDArray[np.int64] = column(np.int64)
    defects: NDArray[np.int64] = column(np.int64)
    """How many rows of ``defects.parquet`` are about it; 0 until all episodes are judged."""
    worst_defect: Text = text()
    """Kind of its most severe defect, empty where it has none."""
    defect_severity: NDArray[np.float64] = column(np.float64)
    """Of that one, 0 to 1."""
    source: Text = text()
    """Id of the source it came from."""
    source_index: NDArray[np.int64] = column(np.int64)
    """The source's own number, never shifted."""


@dataclass(frozen=True, eq=False)
class GoalTable(Table):
    """What episodes were asked for: the intent, never the result. One row an episode that has a goal."""

    episode_id: Text = text()
    object: Text = text()
    target: Text = text()
    """Empty where the goal names none."""
    relation: Text = text()
    """One of ``vocabulary.RELATIONS``."""
    instruction: Text = text()
