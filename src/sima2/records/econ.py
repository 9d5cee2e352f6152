"""What it cost: one vector an episode, from raw signals and the outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.records.arrays import Float64s
from sima2.records.meanings import EPISODE_ID, SUCCESS, one_of
from sima2.records.table import Table, Text, column, text
from sima2.records.vocabulary import OUTCOME_SOURCES

AFTER_FAILURE: Final = "mpl_after_failure"
"""Task units an hour from the first failure event on, no column of the table: what a recovery is judged by."""


@dataclass(frozen=True, eq=False)
class EconTable(Table):
    """One row an episode; NaN where a channel or the outcome it needs is absent."""

    episode_id: Text = text(EPISODE_ID)
    success: Float64s = column(np.float64, SUCCESS, unit="1")
    duration_s: Float64s = column(np.float64, "Time from the first frame to the last.", unit="s")
    mpl: Float64s = column(
        np.float64,
        "Marginal product of labour: successful task units an hour; NaN where success is not known or no time passed.",
        unit="units/h",
    )
    energy_wh: Float64s = column(
        np.float64,
        "Electrical energy of all arms: mechanical, resistive and idle; NaN where torque or velocity of an arm is "
        "absent or mostly missing.",
        unit="Wh",
    )
    damage: Float64s = column(
        np.float64,
        "Harm done, as the source states it, else impulse times fragility times price of what was hit or dropped; NaN "
        "where neither contact force nor object poses are known.",
        unit="US dollars of 2024 (the source's currency where it states damage)",
    )
    wage_parity: Float64s = column(
        np.float64,
        "Wage that the robot's work implies, over a human's; NaN where `mpl`, `energy_wh` or `damage` is.",
        unit="1",
    )
    resilience: Float64s = column(
        np.float64,
        "Of an episode that failed at some time, units an hour it still brought as a share of a clean episode's, 0 to "
        "1; NaN where nothing failed or success is not known.",
        unit="1",
    )
    outcome_source: Text = text(f"Where `success` comes from: {one_of(OUTCOME_SOURCES)}.")
