"""The gate that a noise tag does not pass: one-sided permutation p-values, and false discoveries controlled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, pi, sqrt
from statistics import NormalDist

import numpy as np

from sima2.analytics.counts import Panel
from sima2.records.arrays import Float64s, Indices, Int64s

_DECIDED = 25
"""Exceedances after which more draws cannot bring a p-value down to a level that matters."""


def normal_tail(z: Float64s) -> Float64s:
    """P(N(0, 1) >= z), NaN where z is."""
    return np.array([normal_tail_of(each) if each == each else np.nan for each in z.tolist()])


def normal_tail_of(z: float) -> float:
    """P(N(0, 1) >= z) of one number.

    >>> round(normal_tail_of(1.96), 3)
    0.025
    """
    return 0.5 * erfc(z / sqrt(2.0))


def normal_quantile(tail: float) -> float:
    """z with P(N(0, 1) >= z) = tail.

    >>> round(normal_quantile(0.025), 2)
    1.96
    """
    return -NormalDist().inv_cdf(tail)


def drawn_tails(urns: Urns, seen: Float64s, draws: int) -> Float64s:
    """Share of relabellings within strata whose rank sum is at least as large as each one seen, shape as ``seen``.

    Stops early for those whose p-value is clearly of no use (Besag and Clifford 1991).
    """
    rng = np.random.default_rng(urns.seed)
    limit = seen - 1e-9 * np.maximum(1.0, np.abs(seen))
    p = np.full(len(seen), np.nan)
    reached, made = np.zeros(len(seen), np.int64), 0
    for upto in (max(draws // 20, 1), max(draws // 4, 1), draws):
        if upto <= made:
            continue
        drawn = urns.draw(rng, upto - made)
        drawn.sort()
        reached += len(drawn) - np.searchsorted(drawn, limit, side="left")
        made = upto
        decided = np.isnan(p) & ((reached > _DECIDED) | (made == draws))
        p[decided] = (reached[decided] + 1.0) / (made + 1.0)
        if not np.isnan(p).any():
            break
    return p


@dataclass(frozen=True, slots=True, eq=False)
class Urns:
    """One tag's episodes by stratum, to be relabelled: the count of each bin among the tagged is drawn from its
    multivariate hypergeometric law."""

    seed: int
    """From the digest of the counts."""
    seen: float
    """Rank sum of the tagged, in the declared direction."""
    strata: tuple[int, ...]
    """Those with both arms, k of them."""
    bins: tuple[Indices, ...]
    """Bins of each that hold episodes."""
    urns: tuple[Int64s, ...]
    """Episodes in them."""
    tagged: tuple[int, ...]
    ranks: tuple[Float64s, ...]
    """What each bin has below it minus above it: a stratum's δ is linear in the tagged, whoever they are."""

    @classmethod
    def of(cls, panel: Panel, t: int, direction: int, digest: str = "") -> Urns:
        """The urns of tag ``t``, whose digest is computed where it is not given."""
        cells = panel.cells[t]
        tagged, both = cells[..., 1].sum(axis=1), cells.sum(axis=2)
        used = np.flatnonzero((tagged > 0) & (tagged < both.sum(axis=1))).tolist()
        bins = tuple(np.flatnonzero(both[s]) for s in used)
        urns = tuple(both[s, b] for s, b in zip(used, bins))
        ranks = tuple(direction * (2 * np.cumsum(urn) - urn - urn.sum()) / (urn.sum() + 1.0) for urn in urns)
        seen = sum(float(rank @ cells[s, b, 1]) for s, b, rank in zip(used, bins, ranks))
        seed = int(digest or panel.digest_at(t), 16)
        return cls(seed, seen, tuple(used), bins, urns, tuple(tagged[used].tolist()), ranks)

    @property
    def weight(self) -> float:
        """Rank sum of the tagged over δ: the sum of van Elteren's weights."""
        sizes = [(n, int(urn.sum())) for n, urn in zip(self.tagged, self.urns)]
        return sum(n * (total - n) / (total + 1.0) for n, total in sizes)

    def draw(self, rng: np.random.Generator, size: int) -> Float64s:
        """Rank sums of relabellings, shape (size,)."""
        out = np.zeros(size)
        for urn, n, rank in zip(self.urns, self.tagged, self.ranks):
            few = min(n, int(urn.sum()) - n)
            # drawing the smaller arm is cheaper; the ranks of all sum to 0
            sums = relabelled(rng, urn, few, size) @ rank
            out += sums if few == n else -sums
        return out


def relabelled(rng: np.random.Generator, urn: Int64s, n: int, size: int) -> Int64s:
    """Counts by bin of ``n`` episodes drawn without replacement, shape (size, bins)."""
    return rng.multivariate_hypergeometric(urn, n, size=size, method="count" if urn.sum() < 10**6 else "marginals")


def next_look(history: Sequence[tuple[str, int]], digest: str) -> int:
    """Which look at the data a calibration is: a look needs new data, so the same digest is the same look.

    Args:
        history: digest of the counts and look of each calibration so far, in order.
        digest: of the counts to be calibrated now.

    >>> next_look([], "a"), next_look([("a", 1)], "a"), next_look([("a", 1), ("b", 2)], "c")
    (1, 1, 3)
    """
    if not history:
        return 1
    last, look = history[-1]
    return look if digest == last else look + 1


def spent_alpha(level: float, look: int) -> float:
    """Share of ``level`` that look b may spend, level · 6 / (π² b²), so that all looks together spend it once.

    >>> round(sum(spent_alpha(0.05, look) for look in range(1, 5000)), 4)
    0.05
    """
    return level * 6.0 / (pi**2 * look**2)


def adjusted(p: Float64s) -> Float64s:
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
