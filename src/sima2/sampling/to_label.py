"""Which episodes to say the outcome of next, where too few are known for anything to be tested."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import numpy as np

from sima2.records.episodes import EpisodeTable

WANTED: Final = 12
"""So many are looked at in a few minutes, and half of them alone tell the share of successes to about ± 0.2."""
SAID: Final = ("none", "inferred")
"""Sources of an outcome that nobody said."""


class Chosen(NamedTuple):
    """An episode to label, and by what it was chosen: a sample that is to stand for all must not be of the doubtful."""

    row: int
    by: str
    """``random`` or ``active``."""


def to_label(episodes: EpisodeTable, n: int = WANTED, *, seed: int = 0) -> list[Chosen]:
    """Half at random, half where the inferred outcome is least sure, in the order of the episodes.

    The choice rests on names and the seed, so that it is the same however the episodes came.

    Args:
        episodes: of which those that nobody said the outcome of are chosen from.
        n: how many at most.
        seed: another one draws another random half.
    """
    open_ = np.flatnonzero(episodes.outcome_source.isin(*SAID) & ~episodes.debug_mode)
    if len(open_) <= n:
        return [Chosen(int(row), "random") for row in open_]
    lots = [_lot(episodes.episode_id[int(row)], seed) for row in open_]
    order = open_[np.array(sorted(range(len(open_)), key=lots.__getitem__))]
    chance, rest = order[: n // 2], order[n // 2 :]
    # an outcome that is not known is as unsure as one can be
    known = np.isfinite(episodes.inferred_success[rest])
    sure = np.where(known, np.maximum(episodes.inferred_confidence[rest], 0.5), 0.5)
    doubtful = rest[np.argsort(sure, kind="stable")[: n - len(chance)]]
    by = {**dict.fromkeys(chance.tolist(), "random"), **dict.fromkeys(doubtful.tolist(), "active")}
    return [Chosen(row, by[row]) for row in sorted(by)]


def _lot(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()
