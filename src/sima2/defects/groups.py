"""Rows of the measures that are compared with each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Float64s, Indices
from sima2.records.defects import EpisodeMeasures
from sima2.records.robust import MAD_TO_SIGMA

Rows = Indices
FOLLOWS: Final = 0.5
"""Share of the episodes in which the lag is told."""


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


def joints_follow(measures: EpisodeMeasures, rows: Rows) -> bool:
    """Whether the joints of a robot follow their commands in most episodes clearly enough to tell by how long."""
    known = np.unique(measures.episode_index[rows][np.isfinite(measures.lag_s[rows])])
    return len(known) >= FOLLOWS * len(np.unique(measures.episode_index[rows]))


def robust_spread(values: Float64s) -> float:
    """Standard deviation by the median size of the deviations from the median."""
    return MAD_TO_SIGMA * float(np.median(np.abs(values - np.median(values)))) if len(values) else 0.0
