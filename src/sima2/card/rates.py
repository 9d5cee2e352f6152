"""Shares with their intervals, and the least precision that follows from them."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

Z95: Final = 1.959964
"""Standard normal deviate of a two-sided 95 % interval."""


class Interval(NamedTuple):
    """A share and its 95 % interval."""

    share: float
    low: float
    high: float


def wilson(hits: int, n: int) -> Interval:
    """Share of hits with the interval of Wilson (1927); NaN and 0 to 1 where there is nothing to measure.

    >>> [round(x, 3) for x in wilson(24, 24)], wilson(0, 0).high
    ([1.0, 0.862, 1.0], 1.0)
    """
    if not n:
        return Interval(math.nan, 0.0, 1.0)
    share, z2 = hits / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low = 0.0 if hits == 0 else max(middle - half, 0.0)
    return Interval(share, low, 1.0 if hits == n else min(middle + half, 1.0))


def precision_at_least(told: int, asked: int, recall: float, false_high: float) -> float:
    """Share of what was told that is so, at the least; NaN where nothing was told.

    With t the share told, f the share of false alarms and r the recall, the share of true ones is (t - f) / (r - f)
    (Rogan and Gladen 1978), and of those told f (1 - that) / t are false.

    Args:
        told: how often a detector spoke up.
        asked: out of how many.
        recall: of what is there, the share that it finds, at the most: to find more leaves less room for true ones.
        false_high: share of false alarms, at the most.

    >>> precision_at_least(0, 100, 0.9, 0.02), round(precision_at_least(20, 100, 0.9, 0.02), 3)
    (nan, 0.92)
    """
    if not told or not asked:
        return math.nan
    t = told / asked
    if not recall > false_high:
        return max(0.0, 1.0 - false_high / t)
    true = min(max((t - false_high) / (recall - false_high), 0.0), 1.0)
    return min(max(1.0 - false_high * (1.0 - true) / t, 0.0), 1.0)
