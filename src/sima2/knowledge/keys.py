"""Distinct combinations of codes, by one integer each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Int64s

_LARGEST: Final = 2**62


def distinct(codes: Sequence[NDArray[Any]], sizes: Sequence[int]) -> tuple[Int64s, Int64s]:
    """First row of each distinct combination, in the order of the codes, and the combination of each row.

    Args:
        codes: from 0 on, one array a key, the first key decides first; shape (n,) each.
        sizes: one more than the largest possible code of each key.

    >>> first, place = distinct([np.array([1, 0, 1]), np.array([0, 5, 0])], [2, 6])
    >>> first.tolist(), place.tolist()
    ([1, 0], [1, 0, 1])
    """
    key, bound = codes[0].astype(np.int64), max(sizes[0], 1)
    for row, size in zip(codes[1:], sizes[1:], strict=True):
        if bound > _LARGEST // max(size, 1):
            kinds, key = np.unique(key, return_inverse=True)
            bound = len(kinds)
        key = key * max(size, 1) + row
        bound *= max(size, 1)
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    return np.asarray(first, np.int64), np.asarray(place, np.int64)
