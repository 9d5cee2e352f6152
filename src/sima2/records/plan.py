"""What to train on, and what to ask the pump for next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sima2.records.table import Table, Text, column, text


@dataclass(frozen=True, eq=False)
class SamplePlan(Table):
    """Sampling probabilities over the pool of episodes."""

    episode_index: NDArray[np.int64] = column(np.int64)
    """As in ``EpisodeTable``: a number, which may have gaps, and no place."""
    episode_id: Text = text()
    p: NDArray[np.float64] = column(np.float64)
    """Probability of each draw; sums to 1."""
    is_weight: NDArray[np.float64] = column(np.float64)
    """Importance weight 1 / (n p) over the largest such weight, for unbiased losses."""
    reasons: Text = text()
    """Which trusted tags raised or lowered it, in words."""


@dataclass(frozen=True, eq=False)
class DrawTable(Table):
    """Episodes in the order in which they were drawn."""

    episode_index: NDArray[np.int64] = column(np.int64)
    episode_id: Text = text()
    p: NDArray[np.float64] = column(np.float64)
    """Probability of each draw of it."""
    is_weight: NDArray[np.float64] = column(np.float64)
    """Importance weight, as in ``SamplePlan``."""


@dataclass(frozen=True, eq=False)
class FrameWeights(Table):
    """A weight for every frame of the source, for trainers that draw frames or weigh their losses.

    Columns as in the per-sample files of LeRobot: ``index`` is that of its data files, by which each batch is joined.
    """

    index: NDArray[np.int64] = column(np.int64)
    """In order; with gaps where frames of the source were removed."""
    weight: NDArray[np.float64] = column(np.float64)
    """Mean 1 over all rows; 0 in episodes that are not in the plan."""


@dataclass(frozen=True, eq=False)
class PumpRequest(Table):
    """What to make next: how many rollouts of each kind."""

    family: Text = text()
    template: Text = text()
    """A template of the family, or empty for its standard mix."""
    count: NDArray[np.int64] = column(np.int64)
    """At least 1."""

    def cells(self) -> tuple[tuple[str, str, int], ...]:
        """The rows as plain values."""
        return tuple(zip(self.family, self.template, self.count.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class AuditTable(Table):
    """The auditor's verdict on each datapack."""

    schema_version: ClassVar[int] = 2

    episode_id: Text = text()
    status: Text = text()
    """``passed``, ``requires_review`` or ``rejected``."""
    quality: NDArray[np.float64] = column(np.float64)
    """0–1."""
    reasons: Text = text()
    """In words."""
    codes: Text = text()
    """The same as stable codes, comma-separated, some with a kind after a colon: ``failed,severe_defect:teleport``."""
