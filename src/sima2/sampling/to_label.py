"""Which episodes to say the outcome of next, where too few are known for anything to be tested."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools, Float64s, Indices, Int64s
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


def unsaid(episodes: EpisodeTable) -> Bools:
    """Episodes that nobody said the outcome of, shape (n,)."""
    return episodes.outcome_source.isin(*SAID) & ~episodes.debug_mode


class Asked(NamedTuple):
    """An episode that a person should look at next."""

    row: int
    by: str
    """``random`` or ``active``."""
    why: str
    """In words."""


_TIES: Final = -1
"""Seed of the lot among those that are equally unsure: their order in the source would favour its beginning."""
BY_LOT: Final = "drawn by lot, to stand for all"


def asking_order(
    episodes: EpisodeTable,
    open_: Bools,
    teaching: Sequence[tuple[int, str]],
    n: int = WANTED,
    *,
    said: tuple[int, int] = (0, 0),
    seed: int = 0,
) -> list[Asked]:
    """Whom to look at next, in order: by lot and by what teaches most in turns, at least half of all by lot.

    The lot is drawn once, by name and seed, so that the order goes on as it was when labels come in. Where more were
    looked at by choice than by lot, as many by lot come first.

    Args:
        episodes: n of them.
        open_: those that the lot may fall on, shape (n,).
        teaching: places of episodes that would teach, the most first, each with why; need not be open.
        n: how many at most.
        said: how many episodes were labelled so far by lot, and by choice.
        seed: another one draws another lot.
    """
    rows = np.flatnonzero(open_).tolist()
    lot: Iterator[Asked] = (
        Asked(row, "random", BY_LOT) for row in sorted(rows, key=lambda row: _lot(episodes.episode_id[row], seed))
    )
    active: Iterator[Asked] = (Asked(row, "active", why) for row, why in teaching)
    by_lot, by_choice = said
    taken: dict[int, Asked] = {}
    while len(taken) < n:
        drawn = by_lot <= by_choice or (by_lot + by_choice) % 2 == 0
        # where the lot has fallen on all there are, what is contradicted is left
        turns = (lot, active) if drawn else (active, lot)
        found = next((each for turn in turns for each in turn if each.row not in taken), None)
        if found is None:
            break
        taken[found.row] = found
        by_lot, by_choice = by_lot + (found.by == "random"), by_choice + (found.by == "active")
    return list(taken.values())


def most_teaching(
    episodes: EpisodeTable, open_: Bools, first: Sequence[tuple[int, str]], central: Float64s
) -> list[tuple[int, str]]:
    """Places of episodes whose label would teach most, with why: what is contradicted, unsure, or stands for many.

    What is contradicted comes first, then in turns the episode that is least sure, and the middle of the largest group
    of those of one task that seem to end alike.

    Args:
        episodes: n of them.
        open_: those that nobody said the outcome of, shape (n,).
        first: what is contradicted, each with why.
        central: how near each is to the middle of its task, the largest is the nearest; NaN unknown, shape (n,).
    """
    known = np.isfinite(episodes.inferred_success)
    sure = np.where(known, np.maximum(episodes.inferred_confidence, 0.5), 0.5)
    # of all episodes, so that those that are left keep their order when something is said of others
    doubtful = [
        (row, f"its outcome is inferred with {sure[row]:.2g}" if known[row] else "nothing tells how it ended")
        for row in sorted(range(len(episodes)), key=lambda row: (sure[row], _lot(episodes.episode_id[row], _TIES)))
    ]
    middles = list(_middles(episodes, central))
    turns = [each for pair in zip(doubtful, middles, strict=False) for each in pair]
    told = dict(first)
    for row, why in (*turns, *doubtful[len(middles) :]):
        if open_[row]:
            told.setdefault(row, why)
    return list(told.items())


def _middles(episodes: EpisodeTable, central: Float64s) -> Iterator[tuple[int, str]]:
    """The middle of each group of episodes of one task that seem to end alike, the largest group first."""
    groups: dict[tuple[str, ...], list[int]] = {}
    columns = (episodes.family, episodes.robot, episodes.failure_reason, episodes.inferred_end)
    for row, key in enumerate(zip(*columns, map(str, episodes.inferred_success.tolist()), strict=True)):
        groups.setdefault(key, []).append(row)
    for _, rows in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        middle = float(np.median(episodes.duration_s[rows]))

        def nearest(row: int, middle: float = middle) -> tuple[float, float, str]:
            apart = abs(float(episodes.duration_s[row]) - middle)
            return (-float(np.nan_to_num(central[row], nan=-1.0)), apart, episodes.episode_id[row])

        yield min(rows, key=nearest), f"stands in the middle of {len(rows)} that go alike"


def to_label_for_tag(
    episodes: EpisodeTable,
    given: NDArray[np.int8],
    strata: Text,
    open_: Bools,
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


def _shared_out(weight: Int64s, stock: Int64s, n: int) -> Int64s:
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


def _half_by_lot(episodes: EpisodeTable, open_: Indices, n: int, seed: int) -> dict[int, str]:
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
