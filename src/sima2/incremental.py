"""A later run joins the results that are there: numbered on, nothing twice, no name taken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from sima2.defects.duplicates import content_keys
from sima2.records.arrays import Int64s
from sima2.records.defects import EpisodeMeasures
from sima2.records.episodes import EpisodeTable
from sima2.records.intake import NoteTable, QuarantineTable, SkippedTable
from sima2.records.table import Table, Text
from sima2.shard_tables import NOTES, SKIPPED

_NUMBERED: Final = "episode_index"
_NAMED: Final = "episode_id"


@dataclass(frozen=True, slots=True)
class Known:
    """Episodes that earlier runs brought."""

    ids: frozenset[str] = frozenset()
    contents: frozenset[tuple[str, ...]] = frozenset()
    """What their recorded motion is known again by."""
    quarantined: frozenset[tuple[str, ...]] = frozenset()
    endings: Mapping[tuple[str, ...], tuple[str, float]] = field(default_factory=dict)
    """By what the motion is known again by, the episode and its recorded success (1, 0 or NaN)."""

    @classmethod
    def of(
        cls,
        episodes: Iterable[EpisodeTable],
        measures: Iterable[EpisodeMeasures],
        quarantine: Iterable[QuarantineTable],
    ) -> Known:
        """What the tables of earlier runs tell, one shard after the other."""
        ended = {
            name: success
            for part in episodes
            for name, success in zip(part.episode_id, part.success.tolist(), strict=True)
        }
        keys = {name: key for part in measures for name, key in content_keys(part).items()}
        return cls(
            ids=frozenset(ended),
            contents=frozenset(keys.values()),
            quarantined=frozenset(key for part in quarantine for key in _put_aside(part)),
            endings={key: (name, ended.get(name, math.nan)) for name, key in keys.items()},
        )


def joined(tables: Mapping[str, Table], known: Known, *, run: int, first_episode: int) -> dict[str, Table]:
    """A shard's tables as they join those of earlier runs, and a table of the episodes that were there already.

    A recording that is there already is left out: its motion is the same bit by bit. (Episodes in which nothing moves
    cannot be known again.) The source's numbers are shifted by ``first_episode``; a name that is taken gets ``#run``.

    >>> from sima2.records.episodes import GoalTable
    >>> goals = GoalTable(*(Text.of([name]) for name in ("pick-0", "cup", "", "in", "")))
    >>> joined({"goals": goals}, Known(ids=frozenset({"pick-0"})), run=2, first_episode=10)["goals"].episode_id
    Text(['pick-0#2'])
    """
    copies = {
        name: key
        for table in tables.values()
        if isinstance(table, EpisodeMeasures)
        for name, key in content_keys(table).items()
        if key in known.contents
    }
    out: dict[str, Table] = {}
    skipped = [SkippedTable.empty()]
    for kind, table in tables.items():
        again = _column(table, _NAMED).isin(*copies)
        if isinstance(table, QuarantineTable):
            again = np.array([key in known.quarantined for key in _put_aside(table)], np.bool_)
        if isinstance(table, QuarantineTable | EpisodeTable):
            skipped.append(SkippedTable(table.episode_index[again] + first_episode, table.episode_id[again]))
        out[kind] = _renumbered(table.take(np.flatnonzero(~again)), known.ids, run, first_episode)
    out[SKIPPED.folder] = SkippedTable.concat(skipped)
    notes = out.get(NOTES.folder)
    for table in tables.values():
        if isinstance(table, EpisodeTable) and isinstance(notes, NoteTable):
            out[NOTES.folder] = NoteTable.concat([notes, NoteTable.of(_otherwise(table, copies, known, first_episode))])
    return out


def _otherwise(
    table: EpisodeTable, copies: Mapping[str, tuple[str, ...]], known: Known, first_episode: int
) -> Iterator[tuple[int, str, str]]:
    """Number, name and words of each skipped episode that is said to have ended otherwise than its copy here."""
    columns = zip(table.episode_index.tolist(), table.episode_id, table.success.tolist(), strict=True)
    for number, name, success in columns:
        there, before = known.endings.get(copies.get(name, ()), ("", math.nan))
        if {success, before} == {0.0, 1.0}:
            words = f"a copy, bit for bit, of {there} that is said to have ended otherwise: skipped, say which is right"
            yield number + first_episode, name, words


def _renumbered(table: Table, taken: frozenset[str], run: int, first_episode: int) -> Table:
    columns = vars(table)
    changed: dict[str, Text | Int64s] = {}
    if _NUMBERED in columns:
        changed[_NUMBERED] = columns[_NUMBERED] + first_episode
    if _NAMED in columns:
        ids = _column(table, _NAMED)
        changed[_NAMED] = Text(ids.codes, [f"{name}#{run}" if name in taken else name for name in ids.names])
    return replace(table, **changed) if changed else table  # type: ignore[type-var]


def _put_aside(table: QuarantineTable) -> list[tuple[str, ...]]:
    return list(zip(table.episode_id, table.reason, table.source, table.message, strict=True))


def _column(table: Table, name: str) -> Text:
    column: Text = vars(table)[name]
    return column
