"""Shrunk covariance of a few robustly scaled features.

Source: Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, 2004.
"""

from __future__ import annotations

import numpy as np

from sima2.records.arrays import Float64s
from sima2.records.robust import MAD_TO_SIGMA

_CLIP = 5.0
"""Robust deviations beyond which a nominal sample no longer pulls its covariance."""


def robust_location_scale(x: Float64s) -> tuple[Float64s, Float64s]:
    """Median and scaled median absolute deviation of the known values of each column, shapes (k,).

    A column without any known value has location and scale NaN; a constant one has scale 0.
    """
    k = x.shape[1]
    location, scale = np.full(k, np.nan), np.full(k, np.nan)
    for j in range(k):
        known = x[~np.isnan(x[:, j]), j]
        if len(known):
            location[j] = _median(known)
            scale[j] = MAD_TO_SIGMA * _median(np.abs(known - location[j]))
    return location, scale


def _median(values: Float64s) -> float:
    """Median of known values; references ask for it some ten thousand times, of few values each."""
    ordered = np.sort(values)
    return float(0.5 * (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]))


def shrunk_covariance(z: Float64s) -> Float64s:
    """Ledoit–Wolf covariance of robust deviations, clipped so that a few outliers do not widen it, shape (k, k).

    >>> shrunk_covariance(np.zeros((4, 2))).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    z = np.clip(z, -_CLIP, _CLIP)
    n, k = z.shape
    z = z - z.mean(axis=0)
    sample = z.T @ z / n
    level = float(np.trace(sample)) / k
    if level <= 0:
        return np.eye(k)
    spread = float(np.sum((sample - level * np.eye(k)) ** 2)) / k
    noise = float(np.sum(np.sum(z**2, axis=1) ** 2) / n - np.sum(sample**2)) / (n * k)
    share = 1.0 if spread <= 0 else min(1.0, max(noise, 0.0) / spread)
    # A feature that never varied keeps a floor, so that the inverse exists even when nothing is shrunk.
    return np.asarray((1.0 - share) * sample + max(share, 1e-3) * level * np.eye(k))
