"""What to train on, and what to ask the pump for next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.records.meanings import (
    CONFIDENCE,
    DRAW_P,
    DRAW_WEIGHT,
    END_FRAME,
    EPISODE_ID,
    EPISODE_INDEX,
    START_FRAME,
    one_of,
)
from sima2.records.table import Table, Text, column, text

ACTIONS: Final = ("keep", "trim", "review", "drop")
"""What a plan does with an episode: use it whole, use a part of it, ask a person first, leave it out."""
KNOWLEDGE: Final = ("fact", "tag", "inference")
"""Kinds of knowledge, each with its own right: a fact acts by a rule, a tag by its trust, an inference asks for review
or acts with its probability."""
_WEIGHT: Final = "1 is as it came, 0 left out."


@dataclass(frozen=True, eq=False)
class TrainingPlan(Table):
    """What to train on: one row an episode. Nothing of a source is ever changed by it."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    source: Text = text("Id of the source that it came from.")
    action: Text = text(
        f"{one_of(ACTIONS).capitalize()}: used whole (short stops weigh nothing); in part; shown to a person first "
        "(used meanwhile by its weight); left out."
    )
    weight: Float64s = column(np.float64, f"Weight of the episode: {_WEIGHT}", unit="1")
    keep_start_frame: Int64s = column(np.int64, f"{START_FRAME} Of those that are kept.", unit="frame")
    keep_end_frame: Int64s = column(np.int64, f"{END_FRAME} Of those that are kept.", unit="frame")
    codes: Text = text("Why, as stable codes, comma-separated, the gravest first; empty where it is kept as it is.")
    words: Text = text("The same in words.")
    kind_of_knowledge: Text = text(
        f"What moved it, comma-separated: {one_of(KNOWLEDGE)}; empty where it is kept as it is."
    )


@dataclass(frozen=True, eq=False)
class SegmentVerdicts(Table):
    """Stretches of episodes that a trainer may not want, as segments tell them. Kept in memory only."""

    episode_id: Text = text(EPISODE_ID)
    verdict: Text = text(
        "`failed_attempt` at a grasp, with the approach to it; `lost_grip`; `failed_step`; `drive_home`."
    )
    start_frame: Int64s = column(np.int64, START_FRAME, unit="frame")
    end_frame: Int64s = column(np.int64, END_FRAME, unit="frame")
    confidence: Float64s = column(np.float64, CONFIDENCE, unit="1")


@dataclass(frozen=True, eq=False)
class PlannedSpans(Table):
    """Frames of an episode that weigh less than it; spans of one episode do not overlap, in order."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    start_frame: Int64s = column(np.int64, START_FRAME, unit="frame")
    end_frame: Int64s = column(np.int64, END_FRAME, unit="frame")
    weight: Float64s = column(np.float64, f"Weight beside other frames of the episode: {_WEIGHT}", unit="1")
    reason: Text = text("Why, as a stable code.")
    kind_of_knowledge: Text = text(f"What moved it: {one_of(KNOWLEDGE)}.")


@dataclass(frozen=True, eq=False)
class PlannedFrames(Table):
    """Every frame of the episodes of a shard with its weight."""

    source: Text = text("Id of the source that the episode came from.")
    episode_id: Text = text(EPISODE_ID)
    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    frame_index: Int64s = column(np.int64, "Number of the frame within the episode, from 0.", unit="frame")
    index: Int64s = column(
        np.int64,
        "The source's own number of the frame (`index` of LeRobot), counted through where it has none; -1 where the "
        "source is no longer there to tell.",
        unit="frame",
    )
    weight: Float32s = column(np.float32, f"Weight of the frame, that of its episode included: {_WEIGHT}", unit="1")
    reason: Text = text("Why it is not 1, as a stable code; empty where it is.")
    kind_of_knowledge: Text = text(f"What moved it: {one_of(KNOWLEDGE)}; empty where nothing did.")


@dataclass(frozen=True, eq=False)
class CardTable(Table):
    """Detection card: what became of faults that were planted into the set's own episodes. No outcome is needed."""

    detector: Text = text("What was to be found: a kind of defect, or a verdict on segments or episodes.")
    planted: Int64s = column(np.int64, "Faults that were planted.", unit="faults")
    found: Int64s = column(np.int64, "Of them, those that were found.", unit="faults")
    recall: Float64s = column(np.float64, "Share that was found; NaN where none could be planted.", unit="1")
    recall_low: Float64s = column(np.float64, "Lower end of its 95 % interval (Wilson).", unit="1")
    recall_high: Float64s = column(np.float64, "Upper end of its 95 % interval.", unit="1")
    clean: Int64s = column(np.int64, "Places judged where nothing was planted and nothing is known to be.")
    false_alarms: Int64s = column(np.int64, "Of them, those at which it was found all the same.")
    told: Int64s = column(np.int64, "How often it was found in the set itself, nothing planted.")
    asked: Int64s = column(np.int64, "Places of the set at which it could have been found.")
    precision: Float64s = column(
        np.float64,
        "Share of what was told in the set that is so, at the least: by the upper end of the interval of the false "
        "alarms; NaN where nothing was told.",
        unit="1",
    )
    note: Text = text("What was planted and where, or why nothing could be.")


@dataclass(frozen=True, eq=False)
class SamplePlan(Table):
    """Sampling probabilities over the pool of episodes."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    p: Float64s = column(np.float64, DRAW_P, unit="1")
    is_weight: Float64s = column(np.float64, DRAW_WEIGHT, unit="1")
    reasons: Text = text(
        "What moved it: what the plan leaves of the episode and why, then which trusted tags raised or lowered it and "
        "by how much; empty where nothing did."
    )


@dataclass(frozen=True, eq=False)
class DrawTable(Table):
    """Episodes in the order in which they were drawn."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    p: Float64s = column(np.float64, DRAW_P, unit="1")
    is_weight: Float64s = column(np.float64, DRAW_WEIGHT, unit="1")


@dataclass(frozen=True, eq=False)
class FrameWeights(Table):
    """A weight for every frame of the source, for trainers that draw frames or weigh their losses.

    Columns as in the per-sample files of LeRobot: ``index`` is that of its data files, by which each batch is joined.
    """

    index: Int64s = column(
        np.int64,
        "The source's own number of the frame (`index` of LeRobot); in order, with gaps where frames were removed.",
        unit="frame",
    )
    weight: Float64s = column(
        np.float64,
        "Weight of the frame: 1 in the mean over all rows, 0 in episodes that are not in the plan.",
        unit="1",
    )


@dataclass(frozen=True, eq=False)
class PumpRequest(Table):
    """What to make next: how many rollouts of each kind."""

    family: Text = text("Family of tasks.")
    template: Text = text("A template of the family; empty for its standard mix.")
    count: Int64s = column(np.int64, "How many, at least 1.", unit="rollouts")

    def cells(self) -> tuple[tuple[str, str, int], ...]:
        """The rows as plain values."""
        return tuple(zip(self.family, self.template, self.count.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class AuditTable(Table):
    """The auditor's verdict on each datapack."""

    schema_version: ClassVar[int] = 3

    episode_id: Text = text("Name of the episode; of one in quarantine, as the source gives it.")
    action: Text = text("That of `plan.parquet`; `drop` where it is in quarantine.")
    status: Text = text(
        "`passed`: may be used as it is; `requires_review`: in part, or after a look; `rejected`: left out."
    )
    quality: Float64s = column(np.float64, "0 to 1, by outcome and tags; 0 where it is rejected.", unit="1")
    reasons: Text = text("What was found, in words; empty where nothing was.")
    codes: Text = text(
        "The same as stable codes, comma-separated, some with a kind after a colon: `idle`, `quarantined:empty`."
    )
