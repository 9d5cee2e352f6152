"""Rows of the vitals that are compared with each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]
SIGMA: Final = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation (Hampel 1974)."""


def groups(*keys: NDArray[np.int32]) -> Iterator[Rows]:
    """Rows of equal keys.

    >>> [rows.tolist() for rows in groups(np.array([1, 0, 1], np.int32))]
    [[1], [0, 2]]
    """
    if not len(keys[0]):
        return
    order = np.lexsort(keys)
    table = np.stack([key[order] for key in keys])
    cuts = np.flatnonzero((table[:, 1:] != table[:, :-1]).any(axis=0)) + 1
    yield from np.split(order, cuts)


def robust_spread(values: NDArray[np.float64]) -> float:
    """Standard deviation by the median size of the deviations from the median."""
    return SIGMA * float(np.median(np.abs(values - np.median(values)))) if len(values) else 0.0
