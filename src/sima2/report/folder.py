"""A finished run as the page asks for it: a row of every episode at once, all about some of them when needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from sima2.errors import StoreError
from sima2.records.arrays import Int64s
from sima2.records.courses import UnusualTable
from sima2.records.defects import DefectTable
from sima2.records.episodes import EpisodeTable
from sima2.records.labels import LabelTable, standing
from sima2.records.plan import TrainingPlan
from sima2.records.segments import SegmentTable
from sima2.records.table import Table, Text
from sima2.report.page_data import FEW_DETAILS, MOST_DETAILS, Overview, details, said_words, with_pictures, within
from sima2.shard_tables import SEGMENTS, SIGNALS, TAG_ROWS, THUMBNAILS

T = TypeVar("T", bound=Table)
_BY_EPISODE: Final[Mapping[str, type[Table]]] = {
    kind.folder: kind.table for kind in (SEGMENTS, TAG_ROWS, SIGNALS, THUMBNAILS)
}


class ReportFolder:
    """Tables of a folder, of which at most one shard is in memory at a time.

    Raises:
        StoreError: if it is not one of a finished run, or a table is damaged.
    """

    labels: LabelTable
    """What persons say, as far as it stands."""

    def __init__(self, out: Path) -> None:
        from sima2.io.store import Store
        from sima2.report.inputs import read_single

        self._out = out
        if not (out / "episodes.parquet").exists():
            raise StoreError(f"{out}: episodes.parquet is missing; give the run again, and it is made again")
        self.episodes = read_single(out, EpisodeTable, "episodes")
        self.plan = read_single(out, TrainingPlan, "plan")
        self.defects = read_single(out, DefectTable, "defects")
        self.unusual = read_single(out, UnusualTable, "unusual")
        overview = Overview(self.episodes)
        self._shard_of: dict[str, int] = {}
        self._held: tuple[int, dict[str, Any]] = (-1, {})
        with Store.read_only(out) as store:
            for shard, segments in zip(store.shards(SEGMENTS.folder), SEGMENTS.shards(store), strict=True):
                overview.add_segments(segments)
                self._shard_of |= dict.fromkeys(segments.episode_id.names, shard)
            for tags in TAG_ROWS.shards(store):
                overview.add_tags(tags)
        self._overview = overview
        self.fired = overview.given()
        self.listen()

    def listen(self) -> None:
        """Read what persons say anew."""
        from sima2.io.label_log import read_labels

        self.labels = standing(read_labels(self._out))

    def overview(self) -> dict[str, Any]:
        """A row of every episode, by columns, as plain values."""
        return self._overview.plain(self.plan, self.defects, self.unusual, said_words(self.labels))

    def segments(self) -> SegmentTable:
        """The segments of all episodes."""
        from sima2.io.store import Store

        with Store.read_only(self._out) as store:
            return SEGMENTS.whole(store)

    def rows(self, names: Text) -> Int64s:
        """Places in the overview of episodes that are named, each once, in order."""
        return np.flatnonzero(self.episodes.episode_id.isin(*set(names)))

    def tables(self, names: Sequence[str]) -> dict[str, Any]:
        """Segments, tags and signals of some episodes, by kind."""
        shards = sorted({self._shard_of[name] for name in names if name in self._shard_of})
        parts = [self._of_shard(shard) for shard in shards]
        return {kind: _of(cls, (part[kind] for part in parts), names) for kind, cls in _BY_EPISODE.items()}

    def details(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """All about some episodes, by their ids, as plain values; of very many only of the first."""
        held = self.tables(names)
        told = details(
            names,
            self.episodes,
            held["segments"],
            held["tags"],
            self.defects,
            held["signals"],
            self.plan,
            self.unusual,
            self.labels,
        )
        return with_pictures(within(told), held["thumbnails"])

    def chosen_details(self, *kinds: Sequence[str]) -> dict[str, Any]:
        """All about as many episodes as one file can show, by their place in the overview.

        Args:
            *kinds: ids of episodes that must not be missing where not all can be there, the most important first.
        """
        ids = self.episodes.episode_id.tolist()
        names = [*dict.fromkeys([*(name for kind in kinds for name in kind), *ids])]
        names = names[: MOST_DETAILS if len(ids) <= MOST_DETAILS else FEW_DETAILS]
        known = dict(zip(ids, range(len(ids)), strict=True))
        told = self.details([name for name in names if name in known])
        return {str(known[name]): values for name, values in told.items()}

    def _of_shard(self, shard: int) -> dict[str, Any]:
        """The tables of a shard; those of the last one are kept."""
        from sima2.io.arrow import read_table
        from sima2.io.store import Store

        if self._held[0] != shard:
            held: dict[str, Any] = {}
            with Store.read_only(self._out) as store:
                for kind, cls in _BY_EPISODE.items():
                    there = shard in store.shards(kind)
                    held[kind] = read_table(cls, store.shard_file(kind, shard)) if there else cls.empty()
            self._held = (shard, held)
        return self._held[1]


def _of(cls: type[T], parts: Iterable[T], names: Sequence[str]) -> T:
    from sima2.report.inputs import of_episodes

    return cls.concat([of_episodes(part, names) for part in parts])
