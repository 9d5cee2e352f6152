"""What a figure of the trust bench is: a rate with its interval, or a size at which something is reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sima2.bench.figures import ratio
from sima2.knowledge.support import interval
from sima2.records.arrays import Float64s
from sima2.records.trust import TrustMatrix


@dataclass(frozen=True, slots=True)
class Line:
    """One figure, and what the rivals say on the same data; NaN where they do not ask."""

    value: float
    pooled: float = float("nan")
    """Of the test of a pooled correlation, p < 0.05."""
    sigmoid: float = float("nan")
    """Of the score ``sigmoid(10 |r|) > 0.5``."""
    runs: int = 1
    low: float = float("nan")
    high: float = float("nan")
    """95 % interval of a rate (Clopper and Pearson 1934)."""
    note: str = ""


def rate(hits: Iterable[Any], pooled: Iterable[Any] = (), sigmoid: Iterable[Any] = (), note: str = "") -> Line:
    """Share of runs in which something happened, with its interval, and the rivals' shares.

    >>> rate([True, False, False, False]).value
    0.25
    """
    given, tested, scored = ([bool(each) for each in column] for column in (hits, pooled, sigmoid))
    n, k = len(given), sum(given)
    return Line(k / n, ratio(sum(tested), len(tested)), ratio(sum(scored), len(scored)), n, *interval(k, n), note)


def levels_of(matrix: TrustMatrix) -> Float64s:
    """Trust of every tag, shape (t,)."""
    return np.array([row.trust_level for row in matrix.values()])


def crossing(sizes: Sequence[int], reached: Sequence[float], part: float) -> float:
    """Size from which on so large a part of the runs gets there, on a logarithmic scale; infinite if none does."""
    for k, share in enumerate(reached):
        if share >= part:
            if k == 0:
                return float(sizes[0])
            step = (part - reached[k - 1]) / (share - reached[k - 1])
            return float(sizes[k - 1] * (sizes[k] / sizes[k - 1]) ** step)
    return float("inf")
