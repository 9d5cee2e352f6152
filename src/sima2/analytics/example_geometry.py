"""How far episodes are from those whose outcome was said, by one view of them, along paths over all the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from sima2.records.arrays import Float64s, Indices
from sima2.records.robust import MAD_TO_SIGMA

NEIGHBOURS: Final = 12
"""Steps of a path lead to so many of the nearest: enough that no group of episodes falls into pieces by chance."""
POWER: Final = 4.0
"""Power of a step's length: many short steps through episodes in between are nearer than one over a gap."""
ROUNDS: Final = 5
"""Of fitting without what does not fit; the residuals no longer change then."""
RIDGE: Final = 1e-3
"""Keeps a fit to few episodes from following their noise; what is fitted by has a spread near 1."""


class View(NamedTuple):
    """One way of looking at n episodes."""

    name: str
    """In words that complete "they differ by …"."""
    place: Float64s
    """Where each is, shape (n, d); finite, distances alone matter."""


def scaled(values: Float64s, reach: Float64s, floor: float) -> Float64s:
    """Columns from their median in their own spread, but in none that is small beside what they reach.

    Args:
        values: shape (n, d), finite.
        reach: what the column, and others of its unit, range over in an episode; shape (d,).
        floor: least spread as a share of the reach.

    >>> scaled(np.array([[0.0, 5.0], [2.0, 5.1]]), np.array([1.0, 10.0]), 0.1).round(2).tolist()
    [[-1.0, -0.05], [1.0, 0.05]]
    """
    spread = np.maximum(values.std(axis=0), floor * reach)
    return np.asarray((values - np.median(values, axis=0)) / np.where(spread > 0, spread, 1.0))


def in_few(values: Float64s, most: int) -> Float64s:
    """The same as coordinates along the few directions in which they differ most, shape (n, ≤ most)."""
    centred = values - values.mean(axis=0)
    u, size, _ = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(u[:, :most] * size[:most])


def beyond(values: Float64s, given: Float64s) -> Float64s:
    """What of ``values`` (n, d) does not follow from ``given`` (n, k), by a linear fit that few episodes do not move.

    Where the end of an episode varies with where the thing lay, its failures show in what is left.
    """
    by = np.column_stack([np.ones(len(given)), given / np.maximum(given.std(axis=0), 1e-12)])
    keep = RIDGE * len(by) * np.diag([0.0, *[1.0] * given.shape[1]])
    weight = np.ones(len(by))
    for _ in range(ROUNDS):
        weighed = by * weight[:, None]
        left = values - by @ np.linalg.lstsq(by.T @ weighed + keep, weighed.T @ values, rcond=None)[0]
        usual = MAD_TO_SIGMA * np.median(np.abs(left), axis=0)
        off = np.sqrt(((left / np.where(usual > 0, usual, 1.0)) ** 2).mean(axis=1))
        weight = 1.0 / np.maximum(off, 1.0) ** 2
    return np.asarray(left)


def path_lengths(place: Float64s, rows: Sequence[int] | Indices) -> Float64s:
    """Length of the shortest path from each of n places to each of some of them, shape (n, len(rows)).

    A path goes through other places, and the lengths of its steps are raised to a power (a Fermat distance, Groisman et
    al. 2022): within a group of places it is short however far the group reaches, over a gap it is long.

    >>> chain = np.array([[0.0], [1.0], [2.0], [3.0], [7.0]])
    >>> path_lengths(chain, [0]).round(2).ravel().tolist()
    [0.0, 1.0, 1.19, 1.32, 4.01]
    """
    n, chosen = len(place), np.asarray(rows, np.intp)
    k = min(NEIGHBOURS + 1, n)
    step, to = cKDTree(place).query(place, k=k)
    step, to = np.reshape(step, (n, k)), np.reshape(to, (n, k))
    # a step of no length would be no step
    cost = np.maximum(step, 1e-9) ** POWER
    graph = csr_matrix((cost.ravel(), (np.repeat(np.arange(n), k), to.ravel())), shape=(n, n))
    along = dijkstra(graph.maximum(graph.T), directed=False, indices=chosen).T
    direct = cdist(place, place[chosen]) ** POWER
    return np.asarray(np.minimum(along, direct) ** (1.0 / POWER))
