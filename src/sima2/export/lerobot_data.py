"""Data files of a copy, one source file at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from sima2.errors import DatasetError, UsageError
from sima2.export.rows import SUCCESS, Placed, Shift, ended, renumbered, taken
from sima2.export.stats import measures
from sima2.io.documents import inside, insider
from sima2.io.formats.frame_source import Entry
from sima2.io.formats.lerobot_files import numbers_of, rows_of_episodes, whole
from sima2.io.formats.lerobot_index import Index
from sima2.io.formats.lerobot_rows import files_to_read, rows_by_file
from sima2.io.parquet import opened, read_all
from sima2.records.arrays import Float64s

BUFFER: Final = 1 << 20
"""Bytes that are written at once."""

Wanted = Mapping[str, Sequence[str]]
"""Feature to the statistics that are kept of it."""


@dataclass(slots=True)
class Written:
    """What the data files of a copy turned out to be."""

    file: dict[int, int] = field(default_factory=dict)
    """Place of the data file of each episode among all, by new number."""
    shift: dict[int, Shift] = field(default_factory=dict)
    """What became of the numbers of each, by new number."""
    measured: dict[int, dict[str, dict[str, Float64s]]] = field(default_factory=dict)
    """Statistics of episodes by new number, feature and key, where they were asked for."""
    files: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _File:
    """A source file in memory."""

    table: pa.Table
    rows: Mapping[int, Any] | None
    """Of each episode; None where all are of one."""
    codec: str
    group_rows: int
    """Rows of its longest row group."""
    one_each: bool
    """Whether each episode is a row group of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class DataCopier:
    """Writes the kept frames of a source into a folder."""

    index: Index
    placed: Mapping[int, Placed]
    """By old number."""
    wanted: Wanted
    """Statistics of episodes that are cut."""
    wanted_of_all: Wanted
    """Statistics of every episode: where the source has none of single episodes."""
    said: Mapping[int, bool] = field(default_factory=dict)
    """Whether an episode succeeded, by old number, where a person says it."""

    def run(self, building: Path, path_of: Any) -> Written:
        """Write all files.

        Args:
            building: folder of the copy.
            path_of: the path of a data file, relative, of its place among all and the new number of its first episode.

        Raises:
            DatasetError: if a file of the source cannot be read.
            UsageError: if it holds other frames than the run read.
        """
        written = Written()
        find = insider(self.index.root)
        kept = [entry for entry in self.index.episodes if entry.episode in self.placed]
        for name, group in groupby(kept, key=lambda entry: entry.file):
            entries = list(group)
            source = self._read(find(name))
            parts = [self._kept(source, entry) for entry in entries]
            placed = [self.placed[entry.episode] for entry in entries]
            table, shifts = renumbered(name, _joined(name, parts), placed, self.index.fps)
            relative = path_of(written.files, placed[0].new)
            table = ended(name, table, placed, self.said)
            target = inside(building, relative)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                raise DatasetError(self.index.root, f"data_path names one file {relative} for several episodes")
            _write(target, table, source, [each.length for each in placed])
            at = 0
            for each, shift in zip(placed, shifts, strict=True):
                written.file[each.new] = written.files
                written.shift[each.new] = shift
                asked = {**self.wanted_of_all, **(self.wanted if each.cut else {})}
                if each.old in self.said and SUCCESS in self.wanted:
                    asked[SUCCESS] = list(dict.fromkeys([*asked.get(SUCCESS, ()), *self.wanted[SUCCESS]]))
                if asked:
                    written.measured[each.new] = dict(_measured(table.slice(at, each.length), asked))
                at += each.length
            written.files += 1
        return written

    def _read(self, path: Path) -> _File:
        with opened(path) as file:
            schema = file.schema_arrow
            names = list(schema.names)
            if len(set(names)) < len(names):
                raise DatasetError(path, "has two columns of one name")
            table = read_all(path, file)
            groups = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
            codec = file.metadata.row_group(0).column(0).compression if groups and names else "SNAPPY"
        rows = None
        if self.index.shared_files:
            got = numbers_of(table.column("episode_index")) if "episode_index" in names else None
            if got is None or got[0].shape[1] != 1:
                raise DatasetError(path, "episode_index is missing or no number: its rows cannot be told apart")
            rows = rows_of_episodes(whole(got[0][:, 0]))
        one_each = rows is not None and len(groups) > 1 and len(groups) == len(rows)
        return _File(table.replace_schema_metadata(schema.metadata), rows, codec, max(groups, default=1), one_each)

    def _kept(self, source: _File, entry: Entry) -> pa.Table:
        """The kept frames of an episode, as they are in the source."""
        placed = self.placed[entry.episode]
        if source.rows is None:
            table, rows, found = source.table, slice(0, len(source.table)), len(source.table)
        else:
            table, rows = source.table, source.rows.get(entry.episode, slice(0, 0))
            found = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
            if found < placed.frames:
                table = self._elsewhere(entry)
                rows, found = slice(0, len(table)), len(table)
        if found != placed.frames:
            raise UsageError(
                f"{self.index.root}: episode {entry.episode} has {found} frames, the run read {placed.frames}: "
                "the data have changed since; run again, with --fresh"
            )
        return taken(table, rows, placed)

    def _elsewhere(self, entry: Entry) -> pa.Table:
        """Frames of an episode that its file lacks: of all files that hold any, as the reader does."""
        parts = []
        for name in files_to_read(entry, rows_by_file(self.index.root).get(entry.episode, {})):
            source = self._read(inside(self.index.root, name))
            rows = (source.rows or {}).get(entry.episode, slice(0, 0))
            length = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
            parts.append(taken(source.table, rows, Placed(0, 0, 0, length, length, 0)))
        return _joined(entry.file, parts)


def _joined(name: str, parts: Sequence[pa.Table]) -> pa.Table:
    try:
        return parts[0] if len(parts) == 1 else pa.concat_tables(parts)
    except pa.ArrowInvalid:
        raise DatasetError(name, "holds an episode together with a file whose columns are others") from None


def _measured(table: pa.Table, wanted: Wanted) -> Iterator[tuple[str, dict[str, Float64s]]]:
    for name, keys in wanted.items():
        if name in table.column_names and (got := numbers_of(table.column(name))) is not None and len(got[0]):
            yield name, measures(got[0], keys)


def _write(path: Path, table: pa.Table, source: _File, lengths: Sequence[int]) -> None:
    """A file as its source was written: codec, row groups, dictionaries where values may repeat."""
    # each page by itself would be a call to the system
    with pa.output_stream(str(path), compression=None, buffer_size=BUFFER) as sink:
        writer = pq.ParquetWriter(
            sink,
            table.schema,
            compression=source.codec if source.codec != "UNCOMPRESSED" else "none",
            # measured floats and images hardly ever repeat: to look for repetition would take most of the time
            use_dictionary=[each.name for each in table.schema if _repeats(each.type)],
        )
        with closing(writer):
            if not source.one_each:
                writer.write_table(table, row_group_size=max(source.group_rows, 1))
                return
            at = 0
            for length in lengths:
                writer.write_table(table.slice(at, length))
                at += length


def _repeats(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind))
