"""Which episodes to say the outcome of next, where too few are known for anything to be tested."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.records.episodes import EpisodeTable
from sima2.records.table import Text

WANTED: Final = 12
"""So many are looked at in a few minutes, and half of them alone tell the share of successes to about ± 0.2."""
SAID: Final = ("none", "inferred")
"""Sources of an outcome that nobody said."""


class Chosen(NamedTuple):
    """An episode to label, and by what it was chosen: a sample that is to stand for all must not be of the doubtful."""

    row: int
    by: str
    """``random`` or ``active``."""
    tagged: bool | None = None
    """Whether it has the tag that it was chosen for; None where it was chosen for none."""


def to_label(episodes: EpisodeTable, n: int = WANTED, *, seed: int = 0) -> list[Chosen]:
    """Half at random, half where the inferred outcome is least sure, in the order of the episodes.

    The choice rests on names and the seed, so that it is the same however the episodes came.

    Args:
        episodes: of which those that nobody said the outcome of are chosen from.
        n: how many at most.
        seed: another one draws another random half.
    """
    open_ = np.flatnonzero(unsaid(episodes))
    if len(open_) <= n:
        return [Chosen(int(row), "random") for row in open_]
    by = _half_by_lot(episodes, open_, n, seed)
    return [Chosen(row, by[row]) for row in sorted(by)]


def unsaid(episodes: EpisodeTable) -> NDArray[np.bool_]:
    """Episodes that nobody said the outcome of, shape (n,)."""
    return episodes.outcome_source.isin(*SAID) & ~episodes.debug_mode


def to_label_for_tag(
    episodes: EpisodeTable,
    given: NDArray[np.int8],
    strata: Text,
    open_: NDArray[np.bool_],
    wanted: tuple[int, int],
    *,
    seed: int = 0,
) -> list[Chosen]:
    """Episodes that settle one tag: tagged ones, and untagged ones of the same strata, in the order of the episodes.

    Half of each arm at random, half where the inferred outcome is least sure. An outcome tells of a tag only beside one
    of the other arm in its stratum, so that strata with one arm are left out, and untagged episodes are shared out over
    strata as the tagged ones are.

    Args:
        episodes: n of them.
        given: 1 tagged, 0 not, -1 not assessed, shape (n,).
        strata: within which episodes are compared, shape (n,).
        open_: episodes that may be chosen, shape (n,).
        wanted: how many tagged and how many untagged at most.
        seed: another one draws another random half.
    """
    arms = [np.bincount(strata.codes[given == arm], minlength=len(strata.names)) for arm in (0, 1)]
    both = (arms[0] > 0) & (arms[1] > 0)
    may = open_ & both[strata.codes] if len(given) else open_
    by = _half_by_lot(episodes, np.flatnonzero(may & (given == 1)), wanted[0], seed)
    # a known tagged episode asks for an untagged one just as a chosen one does
    beside = strata.codes[np.flatnonzero((given == 1) & both[strata.codes] & ~open_).tolist() + list(by)]
    rest = np.flatnonzero(may & (given == 0))
    quota = _shared_out(
        np.bincount(beside, minlength=len(strata.names)),
        np.bincount(strata.codes[rest], minlength=len(strata.names)),
        wanted[1],
    )
    other: dict[int, str] = {}
    for code in np.flatnonzero(quota).tolist():
        other |= _half_by_lot(episodes, rest[strata.codes[rest] == code], int(quota[code]), seed)
    chosen = [*((row, how, True) for row, how in by.items()), *((row, how, False) for row, how in other.items())]
    return [Chosen(*each) for each in sorted(chosen)]


def _shared_out(weight: NDArray[np.int64], stock: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """``n`` shared out over strata in proportion to the weights as far as each stock goes, shape (s,).

    >>> _shared_out(np.array([3, 1, 0]), np.array([9, 9, 9]), 8).tolist()
    [6, 2, 0]
    >>> _shared_out(np.array([3, 1, 0]), np.array([2, 9, 9]), 20).tolist()
    [2, 9, 9]
    """
    quota = np.zeros(len(stock), np.int64)
    n = min(n, int(stock.sum()))
    for _ in range(n):
        free = quota < stock
        # the stratum that is furthest behind its share; those without weight come last
        behind = np.where(free, weight / (quota + 1.0), -1.0)
        quota[int(np.argmax(behind))] += 1
    return quota


def _half_by_lot(episodes: EpisodeTable, open_: NDArray[np.intp], n: int, seed: int) -> dict[int, str]:
    """By what each chosen episode was chosen, ``n`` of them at most."""
    if len(open_) <= n:
        return dict.fromkeys(open_.tolist(), "random")
    lots = [_lot(episodes.episode_id[int(row)], seed) for row in open_]
    order = open_[np.array(sorted(range(len(open_)), key=lots.__getitem__), np.intp)]
    chance, rest = order[: n // 2], order[n // 2 :]
    # an outcome that is not known is as unsure as one can be
    known = np.isfinite(episodes.inferred_success[rest])
    sure = np.where(known, np.maximum(episodes.inferred_confidence[rest], 0.5), 0.5)
    doubtful = rest[np.argsort(sure, kind="stable")[: n - len(chance)]]
    return {**dict.fromkeys(chance.tolist(), "random"), **dict.fromkeys(doubtful.tolist(), "active")}


def _lot(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()
