"""Robust spreads."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Float64s

MAD_TO_SIGMA: Final = 1.4826
"""Standard deviations in a median absolute deviation, of normal numbers: 1 / Φ⁻¹(3/4) (Rousseeuw and Croux 1993)."""


def medians(x: Float64s) -> Float64s:
    """Medians along the last axis, to the last bit as numpy's, which takes ten times as long for few values.

    Args:
        x: shape (..., n), n > 0; the median is NaN where one value is.

    >>> medians(np.array([[4.0, 1.0, 2.0], [3.0, 1.0, np.nan]])).tolist()
    [2.0, nan]
    """
    ordered = np.sort(x, axis=-1)
    half, odd = divmod(x.shape[-1], 2)
    middle = ordered[..., half] if odd else (ordered[..., half - 1] + ordered[..., half]) / 2
    return np.where(np.isnan(ordered[..., -1]), np.nan, middle)
