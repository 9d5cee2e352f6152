"""One row an episode: who, what, how long, and how it ended as far as known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.records.meanings import (
    DEBUG_MODE,
    EPISODE_ID,
    EPISODE_INDEX,
    FAMILY,
    INFERRED_END,
    INSTRUCTION,
    ROBOT,
    SUCCESS,
    one_of,
)
from sima2.records.table import Table, Text, column, text
from sima2.records.vocabulary import OUTCOME_SOURCES, REASONS, RELATIONS


@dataclass(frozen=True, eq=False)
class EpisodeTable(Table):
    """The episodes of a folder in the order of their sources; those in quarantine are not here."""

    schema_version: ClassVar[int] = 3

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    family: Text = text(FAMILY)
    robot: Text = text(ROBOT)
    policy: Text = text("What steered the robot; `unknown` where the source does not tell.")
    session: Text = text("Recording session; `unknown` where the source does not tell.")
    instruction: Text = text(INSTRUCTION)
    debug_mode: Bools = column(np.bool_, DEBUG_MODE)
    frames: Int64s = column(np.int64, "Length of the episode.", unit="frames")
    duration_s: Float64s = column(np.float64, "Time from the first frame to the last.", unit="s")
    success: Float64s = column(np.float64, SUCCESS, unit="1")
    outcome_source: Text = text(f"Where `success` comes from: {one_of(OUTCOME_SOURCES)}.")
    inferred_success: Float64s = column(
        np.float64,
        "What the segments suggest, or (in `episodes.parquet` alone) episodes of known outcome that it is like, as "
        "`by_example.parquet` tells: 1 success, 0 failure, NaN not known.",
        unit="1",
    )
    inferred_confidence: Float32s = column(
        np.float32,
        "Confidence of the segment that decided it, 0 to 1; 0.75 where fingers alone or things alone tell, 0.95 where "
        "the poses that a goal names do, by example what `by_example.parquet` says; 0 where `inferred_success` is NaN.",
        unit="1",
    )
    inferred_end: Text = text(INFERRED_END)
    failure_reason: Text = text(f"Reason of the last failed segment, {one_of(REASONS)}; empty where none is known.")
    nominal: Bools = column(
        np.bool_,
        "A reference episode: designated by the source, else (in `episodes.parquet` alone) by the rule that "
        "`summary.json` states.",
    )
    segments: Int64s = column(np.int64, "Segments of all arms.", unit="segments")
    defects: Int64s = column(
        np.int64, "Rows of `defects.parquet` about it; 0 until all episodes are judged.", unit="defects"
    )
    worst_defect: Text = text("Kind of its most severe defect; empty where it has none.")
    defect_severity: Float64s = column(np.float64, "Severity of that one, 0 to 1; 0 where it has none.", unit="1")
    source: Text = text("Id of the source that it came from.")
    source_index: Int64s = column(np.int64, "The source's own number of the episode, never shifted.")


@dataclass(frozen=True, eq=False)
class GoalTable(Table):
    """What episodes were asked for: the intent, never the result. One row an episode that has a goal."""

    episode_id: Text = text(EPISODE_ID)
    object: Text = text("Name of the object that is to be acted on.")
    target: Text = text("Name of what it is to be brought to; empty where the goal names none.")
    relation: Text = text(f"What is asked of the object: {one_of(RELATIONS)}.")
    instruction: Text = text(INSTRUCTION)
