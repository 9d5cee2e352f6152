"""Rows of the vitals that are compared with each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.defects import EpisodeVitals

Rows = NDArray[np.intp]
FOLLOWS: Final = 0.5
"""Share of the episodes in which the lag is told."""
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


def joints_follow(vitals: EpisodeVitals, rows: Rows) -> bool:
    """Whether the joints of a robot follow their commands in most episodes clearly enough to tell by how long."""
    known = np.unique(vitals.episode_index[rows][np.isfinite(vitals.lag_s[rows])])
    return len(known) >= FOLLOWS * len(np.unique(vitals.episode_index[rows]))


def robust_spread(values: NDArray[np.float64]) -> float:
    """Standard deviation by the median size of the deviations from the median."""
    return SIGMA * float(np.median(np.abs(values - np.median(values)))) if len(values) else 0.0
