"""A fixed part of a data set, read once, on which every guess rests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from sima2.records.arrays import Float64s, Indices, Int64s

TIMESTAMP: Final = "timestamp"
"""Feature that holds the time of a frame, in a unit that the values tell; need not be there."""
FRAME: Final = "frame_index"
"""Feature that numbers the frames of an episode; need not be there."""
OTHER_SCALE: Final = 15.0
"""Factor between the ranges of an episode and the usual ones from which it is in another unit: degrees are 57 radians,
and no two episodes of a task differ by so much in most of their columns."""
FEW: Final = 0.25
"""Share of the sample that may be in another unit; of more, none is the usual one."""
LEAST: Final = 4
"""Episodes below which none is compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Frames of some episodes, feature by feature."""

    values: Mapping[str, Float64s]
    """Feature to frames, shape (n, w)."""
    starts: Int64s
    """Rows at which an episode starts, shape (e,)."""
    numbers: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))
    """The source's own number of each of these episodes, shape (e,); none where not known."""

    @property
    def rows(self) -> int:
        """Frames n."""
        return min((len(each) for each in self.values.values()), default=0)

    def episode(self, n: int) -> Int64s:
        """Episode of each of the first ``n`` frames, shape (n,)."""
        return np.searchsorted(self.starts, np.arange(n), side="right") - 1

    def spans(self) -> list[slice]:
        """Rows of each episode."""
        ends = [*self.starts[1:].tolist(), self.rows]
        return [slice(a, b) for a, b in zip(self.starts.tolist(), ends, strict=True) if b > a]

    def number(self, place: int) -> int:
        """The source's own number of the episode at a place of the sample; its place where not known."""
        return int(self.numbers[place]) if place < len(self.numbers) else place

    def without(self, places: Indices) -> Sample:
        """The sample without some of its episodes."""
        if not len(places):
            return self
        spans = [rows for place, rows in enumerate(self.spans()) if place not in places.tolist()]
        lengths = [rows.stop - rows.start for rows in spans]
        rows = np.concatenate([np.arange(each.start, each.stop) for each in spans])
        kept = np.setdiff1d(np.arange(len(self.starts)), places)
        return Sample(
            {name: values[rows] for name, values in self.values.items()},
            np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64),
            self.numbers[kept] if len(self.numbers) == len(self.starts) else self.numbers,
        )


def other_scale(sample: Sample, features: Sequence[str]) -> Indices:
    """Episodes of a sample that are in another unit than most, which must not decide what the unit is.

    Args:
        sample: frames of some episodes.
        features: those that hold states, which are long enough to tell.
    """
    odd = np.zeros(len(sample.starts), np.bool_)
    spans = sample.spans()
    if len(spans) < LEAST or len(spans) < len(sample.starts):
        return np.zeros(0, np.intp)
    for name in features:
        values = sample.values.get(name)
        if values is None or values.shape[1] < 2:
            continue
        known = np.where(np.isfinite(values), values, 0.0)
        size = np.stack([np.percentile(np.abs(known[rows]), 90.0, axis=0) for rows in spans])
        usual = np.median(size, axis=0)
        if not (usual > 0).any():
            continue
        with np.errstate(divide="ignore"):
            ratio = np.median(np.abs(np.log(size[:, usual > 0] / usual[usual > 0])), axis=1)
        odd |= ratio > np.log(OTHER_SCALE)
    return np.flatnonzero(odd) if 0 < odd.sum() <= FEW * len(odd) else np.zeros(0, np.intp)
