"""Signals of every episode, thinned for the eye."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.records.meanings import EPISODE_ID, EPISODE_INDEX, MANIPULATOR
from sima2.records.table import Table, Text, column, matrix, text

STRETCHES: Final = 128
"""Stretches of equal length into which an episode is cut; a picture of it is hardly wider in points that tell."""
STEPS: Final = 250
"""Steps between the least and the greatest value of an episode: finer than a picture can show."""
NOTHING: Final = 255
"""Stands where nothing was recorded in a stretch."""


@dataclass(frozen=True, eq=False)
class SignalTable(Table):
    """What a picture of an episode draws: one row a signal, its least and greatest value in each stretch of time."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    manipulator: Text = text(MANIPULATOR)
    signal: Text = text("What it is, in words.")
    unit: Text = text("Its unit; empty for a pure number.")
    low: Float32s = column(
        np.float32, "Least value of the episode; NaN where nothing was recorded.", unit="that of the signal"
    )
    high: Float32s = column(np.float32, "Greatest value; NaN likewise.", unit="that of the signal")
    least: NDArray[np.uint8] = matrix(
        np.uint8,
        f"Least value in each of {STRETCHES} stretches of equally many frames: 0 is `low`, {STEPS} `high`, {NOTHING} "
        "nothing.",
        unit=f"1/{STEPS} of the range",
    )
    most: NDArray[np.uint8] = matrix(np.uint8, "Greatest value in each, likewise.", unit=f"1/{STEPS} of the range")

    def values(self, row: int) -> tuple[Float64s, Float64s]:
        """Least and greatest value of a signal in each stretch, in its unit, shape (128,) each; NaN for nothing."""
        low, high = float(self.low[row]), float(self.high[row])

        def of(steps: NDArray[np.uint8]) -> Float64s:
            return np.where(steps == NOTHING, np.nan, low + (high - low) * (steps / STEPS))

        return of(self.least[row]), of(self.most[row])
