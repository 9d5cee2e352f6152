"""Per-episode reductions whose result depends on the episode's own frames alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Float64s, Int64s


def episode_sum(values: NDArray[Any], offset: Int64s) -> Float64s:
    """Sum over the frames of each episode, 0 for an empty one, shape (n,).

    >>> episode_sum(np.array([1.0, 2.0, 4.0]), np.array([0, 2, 2, 3])).tolist()
    [3.0, 0.0, 4.0]
    """
    out = np.zeros(len(offset) - 1)
    some = np.diff(offset) > 0
    if some.any():
        # reduceat runs the same pairwise loop on an episode's frames wherever they stand
        out[some] = np.add.reduceat(np.ascontiguousarray(values, np.float64), offset[:-1][some])
    return out


def episode_min(values: NDArray[Any], offset: Int64s) -> Float64s:
    """Smallest value of each episode, +inf for an empty one, shape (n,)."""
    out = np.full(len(offset) - 1, np.inf)
    some = np.diff(offset) > 0
    if some.any():
        out[some] = np.minimum.reduceat(np.asarray(values, np.float64), offset[:-1][some])
    return out


def frame_seconds(time: Float64s, offset: Int64s) -> Float64s:
    """Time each frame stands for: half of the way to each neighbour in its episode, s, shape (T,).

    >>> frame_seconds(np.array([0.0, 1.0, 3.0, 0.0]), np.array([0, 3, 4])).tolist()
    [0.5, 1.5, 1.0, 0.0]
    """
    gap = np.diff(time, append=0.0)
    last = offset[1:][np.diff(offset) > 0] - 1
    gap[last] = 0.0
    seconds = 0.5 * gap
    seconds[1:] += 0.5 * gap[:-1]
    return np.asarray(seconds)


def episode_seconds(time: Float64s, offset: Int64s) -> Float64s:
    """From first to last frame, s, 0 for an empty episode, shape (n,)."""
    out = np.zeros(len(offset) - 1)
    some = np.diff(offset) > 0
    out[some] = time[offset[1:][some] - 1] - time[offset[:-1][some]]
    return out
