"""What is known of how episodes ended. Only ``io``, ``client``, ``analytics`` and ``bench`` read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sima2.records.table import Table, Text, column, text
from sima2.records.vocabulary import OUTCOME_SOURCES


@dataclass(frozen=True, eq=False)
class Outcome(Table):
    """How each of n episodes ended, in the order of their batch; every field may be unknown.

    >>> Outcome.unknown(2).success.tolist()
    [nan, nan]
    """

    success: NDArray[np.float64] = column(np.float64)
    """1 success, 0 failure, NaN unknown, shape (n,)."""
    failed_at_s: NDArray[np.float64] = column(np.float64)
    """s since the start at which it had failed, NaN unknown or never, shape (n,)."""
    damage: NDArray[np.float64] = column(np.float64)
    """Damage where the source states it, in currency, NaN unknown, shape (n,)."""
    nominal: NDArray[np.bool_] = column(np.bool_)
    """A designated reference episode, shape (n,)."""
    source: Text = text()
    """One of ``vocabulary.OUTCOME_SOURCES``, shape (n,)."""

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
    def known(self) -> NDArray[np.bool_]:
        """Where success is known, shape (n,)."""
        return ~np.isnan(self.success)
