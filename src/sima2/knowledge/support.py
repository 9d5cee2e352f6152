"""Interval bounds of a proportion, digests of what is proposed, and samples of the episodes behind it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from sima2.records.arrays import Float64s

SAMPLE: Final = 20
"""Episodes named by a proposal: the smallest ids, so that the sample of a union is known from the samples."""
ALPHA: Final = 0.05
"""Share of errors allowed: of a bound, and among everything that is claimed of many things at once."""


def lower_bound(successes: Any, trials: Any, confidence: float = 1 - ALPHA) -> Float64s:
    """One-sided lower bound of a proportion (Clopper and Pearson, 1934), 0 without trials.

    >>> [round(float(lower_bound(k, 10)), 4) for k in (0, 5, 10)]
    [0.0, 0.2224, 0.7411]
    """
    from scipy.special import betaincinv

    k, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    some = k > 0
    bound: Float64s = np.zeros(k.shape)
    bound[some] = betaincinv(k[some], n[some] - k[some] + 1.0, 1.0 - confidence)
    return bound


def upper_bound(successes: Any, trials: Any, confidence: float = 1 - ALPHA) -> Float64s:
    """One-sided upper bound of a proportion, 1 without trials.

    >>> [round(float(upper_bound(k, 10)), 4) for k in (0, 5, 10)]
    [0.2589, 0.7776, 1.0]
    """
    k, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    return np.asarray(1.0 - lower_bound(n - k, n, confidence))


def interval(successes: int, trials: int) -> tuple[float, float]:
    """Two-sided 95 % interval of a proportion (Clopper and Pearson, 1934).

    >>> [round(bound, 4) for bound in interval(5, 10)]
    [0.1871, 0.8129]
    """
    level = 1 - ALPHA / 2
    return float(lower_bound(successes, trials, level)), float(upper_bound(successes, trials, level))


def exceeds(successes: Any, trials: Any, rate: float) -> Float64s:
    """Exact p-value of the claim that a proportion is above ``rate``; 1 without a success.

    >>> round(float(exceeds(3, 10, 0.05)), 4)
    0.0115
    """
    from scipy.special import betainc

    k, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    some = k > 0
    p: Float64s = np.ones(k.shape)
    p[some] = betainc(k[some], n[some] - k[some] + 1.0, rate)
    return p


def selection_level(p_values: Sequence[float]) -> float:
    """Confidence at which the bounds of selected claims hold together.

    Benjamini and Hochberg (1995) select so that at most one selected claim in twenty is wrong; their bounds are then
    taken at the level of Benjamini and Yekutieli (2005), which the selected claims, and no others, satisfy.

    >>> selection_level([0.5]), selection_level([0.001, 0.5])
    (0.95, 0.975)
    """
    m = max(len(p_values), 1)
    ranked = np.sort(np.asarray(p_values, np.float64))
    passed = np.flatnonzero(ranked <= ALPHA * np.arange(1, len(ranked) + 1) / m)
    selected = int(passed[-1]) + 1 if len(passed) else 1
    return 1.0 - ALPHA * selected / m


def proposal_id(*parts: str) -> str:
    """Digest of what is proposed: the same in every run, whatever its support.

    >>> proposal_id("affordance", "drawer", "pull") == proposal_id("affordance", "drawer", "pull")
    True
    """
    return hashlib.blake2b(json.dumps(parts).encode(errors="surrogatepass"), digest_size=8).hexdigest()


def sample(episodes: Iterable[str]) -> str:
    """JSON list of the smallest :data:`SAMPLE` ids.

    >>> sample(["b", "a", "b"])
    '["a", "b"]'
    """
    return json.dumps(sorted(set(episodes))[:SAMPLE])
