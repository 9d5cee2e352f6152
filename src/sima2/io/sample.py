"""A fixed part of a data set, read once, on which every guess rests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """The source's own number of each of these episodes, shape (e,); none where not known."""

    @property
    def rows(self) -> int:
        """Frames n."""
        return min((len(each) for each in self.values.values()), default=0)

    def episode(self, n: int) -> NDArray[np.int64]:
        """Episode of each of the first ``n`` frames, shape (n,)."""
        return np.searchsorted(self.starts, np.arange(n), side="right") - 1

    def spans(self) -> list[slice]:
        """Rows of each episode."""
        ends = [*self.starts[1:].tolist(), self.rows]
        return [slice(a, b) for a, b in zip(self.starts.tolist(), ends, strict=True) if b > a]

    def number(self, place: int) -> int:
        """The source's own number of the episode at a place of the sample; its place where not known."""
        return int(self.numbers[place]) if place < len(self.numbers) else place
