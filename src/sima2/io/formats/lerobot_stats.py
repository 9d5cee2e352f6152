"""Statistics of channels over a data set that streams by: the same to the bit however it came in parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Float64s, Int64s


@dataclass(slots=True)
class _Column:
    """Running moments about ``shift``, the first number seen, so that no digits are lost to a large mean."""

    shift: Float64s
    count: Float64s
    total: Float64s
    square: Float64s
    low: Float64s
    high: Float64s

    @classmethod
    def empty(cls, width: int) -> _Column:
        def full(value: float) -> Float64s:
            return np.full(width, value)

        return cls(full(np.nan), full(0.0), full(0.0), full(0.0), full(np.inf), full(-np.inf))

    def widened(self, width: int) -> _Column:
        more = _Column.empty(width)
        for name in self.__slots__:
            getattr(more, name)[: len(self.shift)] = getattr(self, name)
        return more


@dataclass(slots=True)
class Stats:
    """Count, least, largest, mean and standard deviation of every column of every channel; NaN is left out."""

    columns: dict[str, _Column] = field(default_factory=dict)

    def add(self, name: str, values: NDArray[Any], offset: Int64s) -> None:
        """Whole episodes of a channel, shape (T,) or (T, w), cut by ``offset``, shape (n + 1,)."""
        rows = np.ascontiguousarray(values.reshape(len(values), -1), np.float64)
        kept = self.columns.get(name) or _Column.empty(rows.shape[1])
        if rows.shape[1] > len(kept.shift):
            kept = kept.widened(rows.shape[1])
        self.columns[name] = kept
        starts = offset[:-1][np.diff(offset) > 0]
        if not len(starts):
            return
        width = slice(0, rows.shape[1])
        good = np.isfinite(rows)
        first = np.where(good.any(axis=0), rows[good.argmax(axis=0), np.arange(rows.shape[1])], np.nan)
        kept.shift[width] = np.where(np.isnan(kept.shift[width]), first, kept.shift[width])
        centred = np.where(good, rows - np.where(np.isnan(kept.shift[width]), 0.0, kept.shift[width]), 0.0)
        kept.count[width] += good.sum(axis=0)
        for running, each in ((kept.total, centred), (kept.square, centred * centred)):
            # episode by episode in order, each by itself: the cut into parts leaves no trace
            sums = np.add.reduceat(each, starts, axis=0)
            running[width] = np.add.accumulate(np.concatenate([running[None, width], sums]), axis=0)[-1]
        kept.low[width] = np.minimum(kept.low[width], np.where(good, rows, np.inf).min(axis=0))
        kept.high[width] = np.maximum(kept.high[width], np.where(good, rows, -np.inf).max(axis=0))

    def plain(self, parts: list[tuple[str, int]]) -> dict[str, list[float]] | None:
        """Statistics of channels side by side, each cut to its width; None where a column holds no number."""
        found = [(self.columns[name], max(width, 1)) for name, width in parts if name in self.columns]
        if len(found) < len(parts) or any((each.count[:width] == 0).any() for each, width in found):
            return None
        out: dict[str, list[float]] = {"min": [], "max": [], "mean": [], "std": []}
        counts = []
        for each, width in found:
            count, total = each.count[:width], each.total[:width]
            out["min"] += each.low[:width].tolist()
            out["max"] += each.high[:width].tolist()
            out["mean"] += (each.shift[:width] + total / count).tolist()
            variance = (each.square[:width] - total * total / count) / count
            out["std"] += np.sqrt(np.maximum(variance, 0.0)).tolist()
            counts.append(float(count.max()))
        return {**out, "count": [int(max(counts))]}
