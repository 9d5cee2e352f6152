"""Interval bounds of a proportion, digests of what is proposed, and samples of the episodes behind it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SAMPLE: Final = 20
"""Episodes named by a proposal: the smallest ids, so that the sample of a union is known from the samples."""


def lower_bound(successes: Any, trials: Any, confidence: float = 0.95) -> NDArray[np.float64]:
    """One-sided lower bound of a proportion (Clopper and Pearson, 1934), 0 without trials.

    >>> [round(float(lower_bound(k, 10)), 4) for k in (0, 5, 10)]
    [0.0, 0.2224, 0.7411]
    """
    from scipy.special import betaincinv

    k, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    some = k > 0
    bound: NDArray[np.float64] = np.zeros(k.shape)
    bound[some] = betaincinv(k[some], n[some] - k[some] + 1.0, 1.0 - confidence)
    return bound


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
