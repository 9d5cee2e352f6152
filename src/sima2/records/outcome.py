"""What is known of how episodes ended. Only ``io``, ``client``, ``analytics`` and ``bench`` read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from sima2.records.arrays import Bools, Float64s
from sima2.records.meanings import SUCCESS, one_of
from sima2.records.table import Table, Text, column, text
from sima2.records.vocabulary import OUTCOME_SOURCES


@dataclass(frozen=True, eq=False)
class Outcome(Table):
    """How each of n episodes ended, in the order of their batch; every field may be unknown.

    >>> Outcome.unknown(2).success.tolist()
    [nan, nan]
    """

    success: Float64s = column(np.float64, SUCCESS, unit="1")
    failed_at_s: Float64s = column(
        np.float64,
        "Time since the start at which it had failed; NaN where it never did or that is not known.",
        unit="s",
    )
    damage: Float64s = column(
        np.float64, "Damage where the source states it; NaN where it does not.", unit="the source's currency"
    )
    nominal: Bools = column(np.bool_, "A designated reference episode.")
    source: Text = text(f"Where it is known from: {one_of(OUTCOME_SOURCES)}.")

    @classmethod
    def unknown(cls, n: int) -> Self:
        """Nothing known of n episodes."""
        nothing = np.full(n, np.nan)
        return cls(
            success=nothing,
            failed_at_s=nothing,
            damage=nothing,
            nominal=np.zeros(n, np.bool_),
            source=Text(np.zeros(n, np.int32), OUTCOME_SOURCES),
        )

    @property
    def known(self) -> Bools:
        """Where success is known, shape (n,)."""
        return ~np.isnan(self.success)

    def filled_with(self, success: Float64s, failed_at_s: Float64s) -> Outcome:
        """Where success is not known, what the segments suggest, marked ``inferred``; arrays of shape (n,)."""
        gaps = ~self.known
        told = gaps & ~np.isnan(success)
        source = self.source.recode(OUTCOME_SOURCES)
        return Outcome(
            success=np.where(gaps, success, self.success),
            failed_at_s=np.where(np.isnan(self.failed_at_s), failed_at_s, self.failed_at_s),
            damage=self.damage,
            nominal=self.nominal,
            source=Text(np.where(told, OUTCOME_SOURCES.index("inferred"), source), OUTCOME_SOURCES),
        )
