"""What it cost: one vector an episode, from raw signals and the outcome."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sima2.records.table import Table, Text, column, text


@dataclass(frozen=True, eq=False)
class EconTable(Table):
    """One row an episode; NaN where a channel or the outcome it needs is absent."""

    episode_id: Text = text()
    success: NDArray[np.float64] = column(np.float64)
    """1, 0 or NaN."""
    duration_s: NDArray[np.float64] = column(np.float64)
    """s."""
    mpl: NDArray[np.float64] = column(np.float64)
    """Marginal product of labour: successful task units per hour."""
    energy_wh: NDArray[np.float64] = column(np.float64)
    """Wh: mechanical, resistive and idle."""
    damage: NDArray[np.float64] = column(np.float64)
    """Currency: impulse times fragility of what was hit or dropped."""
    wage_parity: NDArray[np.float64] = column(np.float64)
    """Implied robot wage over human wage."""
    resilience: NDArray[np.float64] = column(np.float64)
    """Value kept after the first failure event as a share of a clean episode's; NaN where nothing failed."""
    outcome_source: Text = text()
    """One of ``vocabulary.OUTCOME_SOURCES``."""
