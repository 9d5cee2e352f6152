"""A fixed part of a data set, read once, on which every guess rests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Frames of some episodes, feature by feature."""

    values: Mapping[str, Floats]
    """Feature to frames, shape (n, w)."""
    starts: NDArray[np.int64]
    """Rows at which an episode starts, shape (e,)."""

    @property
    def rows(self) -> int:
        """Frames n."""
        return min((len(each) for each in self.values.values()), default=0)

    def episode(self, n: int) -> NDArray[np.int64]:
        """Episode of each of the first ``n`` frames, shape (n,)."""
        return np.searchsorted(self.starts, np.arange(n), side="right") - 1
