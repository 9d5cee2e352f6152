"""The nearest rows of a table of many columns, where a tree of them is slower than looking at all."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 512
"""Rows that are compared with all others at once."""
SPARE: Final = 8
"""Candidates beyond those that are asked for: their distances are computed anew, without cancellation."""


def nearest(x: NDArray[np.float64], k: int) -> NDArray[np.intp]:
    """The k nearest rows of each, itself among them, the nearest first; of equally near ones the first first.

    Args:
        x: shape (n, d), finite; n at least k.
        k: how many.

    Returns:
        Shape (n, k).

    >>> nearest(np.array([[0.0], [1.0], [1.5], [9.0]]), 2).tolist()
    [[0, 1], [1, 2], [2, 1], [3, 2]]
    """
    n = len(x)
    some = min(k + SPARE, n)
    squares = np.einsum("ij,ij->i", x, x)
    found = np.empty((n, k), np.intp)
    for begin in range(0, n, BLOCK):
        rows = slice(begin, min(begin + BLOCK, n))
        rough = squares - 2.0 * (x[rows] @ x.T)
        near = np.sort(np.argpartition(rough, some - 1, axis=1)[:, :some], axis=1)
        exact = ((x[rows, None, :] - x[near]) ** 2).sum(axis=2)
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        found[rows] = np.take_along_axis(near, order, axis=1)
    return found
