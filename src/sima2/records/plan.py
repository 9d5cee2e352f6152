"""What to train on, and what to ask the pump for next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sima2.records.meanings import DRAW_P, DRAW_WEIGHT, EPISODE_ID, EPISODE_INDEX
from sima2.records.table import Table, Text, column, text


@dataclass(frozen=True, eq=False)
class SamplePlan(Table):
    """Sampling probabilities over the pool of episodes."""

    episode_index: NDArray[np.int64] = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    p: NDArray[np.float64] = column(np.float64, DRAW_P, unit="1")
    is_weight: NDArray[np.float64] = column(np.float64, DRAW_WEIGHT, unit="1")
    reasons: Text = text("Which trusted tags raised or lowered it and by how much; empty where none did.")


@dataclass(frozen=True, eq=False)
class DrawTable(Table):
    """Episodes in the order in which they were drawn."""

    episode_index: NDArray[np.int64] = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    p: NDArray[np.float64] = column(np.float64, DRAW_P, unit="1")
    is_weight: NDArray[np.float64] = column(np.float64, DRAW_WEIGHT, unit="1")


@dataclass(frozen=True, eq=False)
class FrameWeights(Table):
    """A weight for every frame of the source, for trainers that draw frames or weigh their losses.

    Columns as in the per-sample files of LeRobot: ``index`` is that of its data files, by which each batch is joined.
    """

    index: NDArray[np.int64] = column(
        np.int64,
        "The source's own number of the frame (`index` of LeRobot); in order, with gaps where frames were removed.",
        unit="frame",
    )
    weight: NDArray[np.float64] = column(
        np.float64,
        "Weight of the frame: 1 in the mean over all rows, 0 in episodes that are not in the plan.",
        unit="1",
    )


@dataclass(frozen=True, eq=False)
class PumpRequest(Table):
    """What to make next: how many rollouts of each kind."""

    family: Text = text("Family of tasks.")
    template: Text = text("A template of the family; empty for its standard mix.")
    count: NDArray[np.int64] = column(np.int64, "How many, at least 1.", unit="rollouts")

    def cells(self) -> tuple[tuple[str, str, int], ...]:
        """The rows as plain values."""
        return tuple(zip(self.family, self.template, self.count.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class AuditTable(Table):
    """The auditor's verdict on each datapack."""

    schema_version: ClassVar[int] = 2

    episode_id: Text = text("Name of the episode; of one in quarantine, as the source gives it.")
    status: Text = text("`passed`, `requires_review` or `rejected`.")
    quality: NDArray[np.float64] = column(np.float64, "0 to 1, by outcome and tags; 0 where it is rejected.", unit="1")
    reasons: Text = text("What was found, in words; empty where nothing was.")
    codes: Text = text(
        "The same as stable codes, comma-separated, some with a kind after a colon: `failed,severe_defect:teleport`."
    )
