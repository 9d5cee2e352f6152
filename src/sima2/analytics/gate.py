"""The gate that a noise tag does not pass: one-sided permutation p-values, and false discoveries controlled."""

from __future__ import annotations

from math import erfc, pi, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sima2.analytics.counts import Panel

Array = NDArray[np.float64]

_DECIDED = 25
"""Exceedances after which more draws cannot bring a p-value down to a level that matters."""


def normal_tail(z: Array) -> Array:
    """P(N(0, 1) >= z), NaN where z is."""
    return np.array([0.5 * erfc(each / sqrt(2.0)) if each == each else np.nan for each in z.tolist()])


def normal_quantile(tail: float) -> float:
    """z with P(N(0, 1) >= z) = tail.

    >>> round(normal_quantile(0.025), 2)
    1.96
    """
    return -NormalDist().inv_cdf(tail)


def drawn_tail(panel: Panel, t: int, direction: int, draws: int) -> float:
    """Share of relabellings within strata whose δ is at least as large as seen, in the declared direction.

    The count of each bin among the tagged is drawn from its multivariate hypergeometric law, with a generator seeded
    by the digest of the counts. Stops early where the p-value is clearly of no use (Besag and Clifford 1991).
    """
    cells = panel.cells[t]
    tagged, both = cells[..., 1].sum(axis=1), cells.sum(axis=2)
    used = np.flatnonzero((tagged > 0) & (tagged < both.sum(axis=1)))
    rng = np.random.default_rng(int(panel.digest(panel.tags[t]), 16))
    seen, score, urns = 0.0, [], []
    for s in used.tolist():
        bins = np.flatnonzero(both[s])
        urn = both[s, bins]
        # a stratum's δ is linear in the tagged: what each bin has below it minus above it, whoever is tagged
        rank = direction * (2 * np.cumsum(urn) - urn - urn.sum()) / (urn.sum() + 1.0)
        seen += float(rank @ cells[s, bins, 1])
        score.append(rank)
        urns.append((urn, int(tagged[s])))
    reached = made = 0
    for batch in (max(draws // 20, 1), draws - max(draws // 20, 1)):
        if not batch:
            break
        drawn = np.zeros(batch)
        for rank, (urn, n) in zip(score, urns, strict=True):
            drawn += _draw(rng, urn, n, batch, rank)
        reached += int((drawn >= seen - 1e-9 * max(1.0, abs(seen))).sum())
        made += batch
        if reached > _DECIDED:
            break
    return (reached + 1.0) / (made + 1.0)


def _draw(rng: np.random.Generator, urn: NDArray[np.int64], n: int, size: int, rank: Array) -> Array:
    """Rank sums of ``n`` drawn from an urn without replacement, shape (size,)."""
    total = int(urn.sum())
    few = min(n, total - n)
    # drawing the smaller arm is cheaper; the ranks of all sum to 0
    counts = rng.multivariate_hypergeometric(urn, few, size=size, method="count" if total < 10**6 else "marginals")
    sums: Array = counts @ rank
    return sums if few == n else -sums


def spent_alpha(level: float, look: int) -> float:
    """Share of ``level`` that look b may spend, level · 6 / (π² b²), so that all looks together spend it once.

    >>> round(sum(spent_alpha(0.05, look) for look in range(1, 5000)), 4)
    0.05
    """
    return level * 6.0 / (pi**2 * look**2)


def adjusted(p: Array) -> Array:
    """Benjamini and Hochberg's adjusted p-values of the finite entries, NaN elsewhere, shape (m,).

    >>> adjusted(np.array([0.01, 0.5, 0.02])).tolist()
    [0.03, 0.5, 0.03]
    """
    out = np.full(len(p), np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    m = len(tested)
    if m:
        order = tested[np.argsort(p[tested], kind="stable")]
        scaled = p[order] * m / np.arange(1, m + 1)
        out[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return out
