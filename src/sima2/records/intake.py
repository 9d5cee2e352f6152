"""What comes through the door: good episodes, and a record of each that was not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sima2.records.table import Table, Text, column, text


@dataclass(frozen=True, eq=False)
class QuarantineTable(Table):
    """Episodes that were put aside, each with why."""

    episode_index: NDArray[np.int64] = column(np.int64)
    episode_id: Text = text()
    reason: Text = text()
    """Stable code: ``empty``, ``one_frame``, ``not_finite``, ``time_not_increasing``, ``mixed_dimensions``,
    ``unreadable``, ``length_mismatch``, …"""
    source: Text = text()
    """File or generator it came from, relative to the data set."""
    start_frame: NDArray[np.int64] = column(np.int64)
    end_frame: NDArray[np.int64] = column(np.int64)
    message: Text = text()


@dataclass(frozen=True, eq=False)
class SkippedTable(Table):
    """Episodes of a later run that an earlier one had brought already."""

    episode_index: NDArray[np.int64] = column(np.int64)
    episode_id: Text = text()
    """Under the name that this run's source gives it."""
