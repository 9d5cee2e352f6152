"""The episode that somebody means by what they typed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from sima2.errors import UsageError

if TYPE_CHECKING:
    from sima2.io.store import Run
    from sima2.records.episodes import EpisodeTable
    from sima2.records.intake import QuarantineTable

_NUMBER: Final = re.compile(r"(?:episode_)?([0-9]{1,18})")
SHOWN: Final = 5
"""Candidates that an error names."""


def meant(typed: str, episodes: EpisodeTable, aside: QuarantineTable, runs: Sequence[Run]) -> str:
    """The id of the one episode that is meant.

    Args:
        typed: a whole id, else a number, with or without ``episode_`` before it: the source's own, or the folder's.
        episodes: those that went through.
        aside: those that were put aside.
        runs: of the folder.

    Raises:
        UsageError: if there is no such episode, naming the nearest; or several, naming them.
    """
    known = [*episodes.episode_id, *aside.episode_id]
    number = _NUMBER.fullmatch(typed)
    if typed in known or number is None:
        found = [typed] if typed in known else []
    else:
        wanted = int(number[1])
        found = [name for name, *both in _numbered(episodes, aside, runs) if wanted in both]
    if len(found) == 1:
        return found[0]
    if found:
        more = ", …" if len(found) > SHOWN else ""
        raise UsageError(
            f"episode {typed!r} may be any of {len(found)}: {', '.join(found[:SHOWN])}{more}; give the whole id"
        )
    raise UsageError(_unknown(typed, known))


def _numbered(episodes: EpisodeTable, aside: QuarantineTable, runs: Sequence[Run]) -> Iterator[tuple[str, int, int]]:
    """Id, the folder's and the source's own number of each episode."""
    for table in (episodes, aside):
        for run in runs:
            mine = table.take(run.holds(table.episode_index).nonzero()[0])
            for name, index in zip(mine.episode_id, mine.episode_index.tolist(), strict=True):
                yield name, index, index - run.first_episode


def _unknown(typed: str, known: Sequence[str]) -> str:
    """There may be a million names, so the nearest stand for all."""
    if not known:
        return f"unknown episode {typed!r}: the run has none"
    near = difflib.get_close_matches(typed, known, n=3, cutoff=0.5) or known[:3]
    return f"unknown episode {typed!r}: the run has {len(known)}, such as {', '.join(near)}"
