"""Split-conformal calibration of one statistic, with the exact finite-sample rank.

Source: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World; the law of the realised false-alarm rate
given the calibration set is Beta(k, n + 1 - k) (Vovk, Conditional validity of inductive conformal predictors, 2012).
"""

from __future__ import annotations

import math

import numpy as np

from sima2.records.arrays import Float64s


def certified_rank(n: int, rate: float = 0.05, confidence: float = 0.95) -> int:
    """Largest rank k among n calibration values at which the false-alarm rate is certified, 0 where none is.

    An alarm at the k-th smallest of n exchangeable values has a realised rate of law Beta(k, n + 1 - k);
    k is the largest for which that rate is at most ``rate`` with probability ``confidence``.

    >>> [certified_rank(n) for n in (58, 59, 300, 1000)]
    [0, 1, 9, 39]
    """
    # P(Beta(k, n + 1 - k) <= rate) = P(Binomial(n, rate) >= k).
    below = 0.0
    for k in range(n + 1):
        if 1.0 - below < confidence:
            return max(k - 1, 0)
        log_choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        below += math.exp(log_choose + k * math.log(rate) + (n - k) * math.log1p(-rate))
    return n


def conformal_p(calibration: Float64s, value: Float64s) -> Float64s:
    """Share of calibration values, the judged one counted in, that are as small or smaller, shape of ``value``.

    Args:
        calibration: ascending, shape (n,).
        value: the smaller, the stranger; NaN gives NaN.

    >>> conformal_p(np.array([0.2, 0.5, 0.9]), np.array([0.1, 0.5])).tolist()
    [0.25, 0.75]
    """
    rank = np.searchsorted(calibration, value, side="right")
    return np.where(np.isnan(value), np.nan, (rank + 1.0) / (len(calibration) + 1.0))
