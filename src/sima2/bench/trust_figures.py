"""What a figure of the trust bench is: a rate with its interval, or a size at which something is reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


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
    from scipy.stats import beta

    given, tested, scored = ([bool(each) for each in column] for column in (hits, pooled, sigmoid))
    n, k = len(given), sum(given)
    nan = float("nan")
    return Line(
        k / n,
        sum(tested) / len(tested) if tested else nan,
        sum(scored) / len(scored) if scored else nan,
        n,
        float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0,
        float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0,
        note,
    )


def crossing(sizes: Sequence[int], reached: Sequence[float], part: float) -> float:
    """Size from which on so large a part of the runs gets there, on a logarithmic scale; infinite if none does."""
    for k, share in enumerate(reached):
        if share >= part:
            if k == 0:
                return float(sizes[0])
            step = (part - reached[k - 1]) / (share - reached[k - 1])
            return float(sizes[k - 1] * (sizes[k] / sizes[k - 1]) ** step)
    return float("inf")
