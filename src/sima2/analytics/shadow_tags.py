"""Shadow tags: the negative control of a calibration, every tag shuffled within its strata."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.analytics.gate import Urns, relabelled
from sima2.records.arrays import Int64s

_BUDGET: Final = 125_000_000
"""Episodes moved by all shuffles together: between one and two CPU-seconds."""
_CALL: Final = 1000
"""Episodes that could be moved in the time it takes to turn to the next stratum of a tag."""
_TAILS: Final = 3000
"""Relabellings of a small arm that the p-values of its shadows ask for, on average, beyond those of the tag itself."""


def affordable(wanted: int, strata: int, arms: Int64s, small_arm: int) -> int:
    """How many times all tags can be shuffled at bounded cost, at most ``wanted``; 0 where there are too many tags.

    Args:
        wanted: times.
        strata: of the largest panel.
        arms: episodes in the smaller arm of each tag, shape (t,).
        small_arm: below so many the null is drawn.

    >>> affordable(20, 40, np.full(200, 20_000), 30), affordable(20, 40, np.full(100_000, 20_000), 30)
    (20, 0)
    """
    moved = int(arms.sum())
    fixed = len(arms) * strata * _CALL + _TAILS * int(arms[arms < small_arm].sum())
    return max(0, min(wanted, (_BUDGET - fixed) // max(moved, 1)))


class Shuffles:
    """One tag's labels shuffled within its strata, ``size`` times; seeded by the counts."""

    __slots__ = ("counts", "sums", "urns")

    def __init__(self, urns: Urns, size: int) -> None:
        rng = np.random.default_rng([urns.seed, 1])
        self.urns = urns
        self.counts = [relabelled(rng, urn, min(n, int(urn.sum()) - n), size) for urn, n in zip(urns.urns, urns.tagged)]
        """Of the smaller arm by bin, shape (size, bins) for each stratum."""
        self.sums = np.zeros(size)
        """Rank sums of the tagged, shape (size,)."""
        for drawn, urn, n, rank in zip(self.counts, urns.urns, urns.tagged, urns.ranks):
            self.sums += (drawn @ rank) * (1.0 if 2 * n <= urn.sum() else -1.0)

    def cells(self, k: int, cells: Int64s) -> Int64s:
        """The tag's counts of shape (s, b, 2) after shuffle ``k``."""
        out = np.array(cells)
        for s, bins, urn, n, drawn in zip(
            self.urns.strata, self.urns.bins, self.urns.urns, self.urns.tagged, self.counts
        ):
            few = drawn[k]
            tagged = few if 2 * n <= urn.sum() else urn - few
            out[s, bins, 0], out[s, bins, 1] = urn - tagged, tagged
        return out
