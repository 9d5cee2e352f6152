"""What to train on, and what to ask the pump for next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sima2.records.table import Table, Text, column, text


@dataclass(frozen=True, eq=False)
class SamplePlan(Table):
    """Sampling probabilities over the pool of episodes."""

    episode_index: NDArray[np.int64] = column(np.int64)
    episode_id: Text = text()
    p: NDArray[np.float64] = column(np.float64)
    """Probability of each draw; sums to 1."""
    is_weight: NDArray[np.float64] = column(np.float64)
    """Importance weight 1 / (n p) over the largest such weight, for unbiased losses."""
    reasons: Text = text()
    """Which trusted tags raised or lowered it, in words."""


@dataclass(frozen=True, eq=False)
class AuditTable(Table):
    """The auditor's verdict on each datapack."""

    episode_id: Text = text()
    status: Text = text()
    """``passed``, ``requires_review`` or ``rejected``."""
    quality: NDArray[np.float64] = column(np.float64)
    """0–1."""
    reasons: Text = text()
