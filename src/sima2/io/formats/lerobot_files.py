"""Frames out of Parquet files: only the columns and row groups that are needed, and never more than fits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sima2.errors import DatasetError
from sima2.io.arrow import plain_rows
from sima2.io.intake import MAX_WIDTH as MAX_WIDTH
from sima2.io.on_demand import bring
from sima2.io.parquet import BATCH_ROWS, MAX_BYTES, opened, read_groups
from sima2.records.arrays import Int64s

HELD_BYTES: Final = 96 * 2**20
"""Bytes of frames that are held for the next read: a fifth of what a run may take."""


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Features over rows of a file."""

    features: dict[str, NDArray[Any]]
    """Name to numbers, shape (n, w)."""
    widths: dict[str, Int64s]
    """Of features whose rows differ in it, the width of each row, -1 for a null, shape (n,)."""
    unusable: dict[str, str]
    """Features that hold no numbers, and what instead."""
    episode: Int64s | None
    """``episode_index`` of each row, shape (n,)."""
    rows: int
    complete: bool
    """Whether these are all rows of the file."""

    @classmethod
    def concat(cls, parts: Sequence[Frames]) -> Frames:
        """Rows of several files end to end; a feature that one of them lacks, or has in another width, is left out."""
        shared = [
            name
            for name in parts[0].features
            if all(name in part.features and name not in part.widths for part in parts)
            and len({part.features[name].shape[1] for part in parts}) == 1
        ]
        told = [part.episode for part in parts if part.episode is not None]
        return cls(
            {name: np.concatenate([part.features[name] for part in parts]) for name in shared},
            {},
            {name: why for part in parts for name, why in part.unusable.items()},
            np.concatenate(told) if len(told) == len(parts) else None,
            sum(part.rows for part in parts),
            False,
        )


def read_frames(path: Path, features: Sequence[str], wanted: Collection[int] | None) -> Frames:
    """Features of a file, of the row groups that hold any of the ``wanted`` episodes, or of all.

    Raises:
        DatasetError: if the file is missing, damaged or larger than fits.
    """
    with opened(path) as file:
        schema = file.schema_arrow
        there = [name for name in dict.fromkeys(features) if schema.get_all_field_indices(name)]
        # what holds no numbers is not even unpacked
        unusable = {name: why for name in there if (why := _unusable(schema, name))}
        names = [name for name in there if name not in unusable]
        groups = range(file.num_row_groups) if wanted is None else _groups(path, file, schema, wanted)
        told_apart = "episode_index" in schema.names and not _unusable(schema, "episode_index")
        columns = [*names, *(["episode_index"] if told_apart and "episode_index" not in names else [])]
        table = read_groups(path, file, list(groups), columns, schema)
        values: dict[str, NDArray[Any]] = {}
        widths: dict[str, Int64s] = {}
        for name in names:
            got = numbers_of(table.column(name))
            if got is None:
                unusable[name] = str(schema.field(name).type)
                continue
            values[name], each = got
            if each is not None:
                widths[name] = each
        episode = None
        if told_apart:
            got = numbers_of(table.column("episode_index"))
            episode = None if got is None or got[0].shape[1] != 1 else whole(got[0][:, 0])
        complete = len(groups) == file.num_row_groups
        return Frames(values, widths, unusable, episode, len(table), complete)


class SharedFrames:
    """The frames of the file that was read last, while most of its episodes are still to be asked for.

    A row group is unpacked as a whole and may hold a thousand episodes, which are asked for some hundred at a time.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._held: Frames | None = None

    def __reduce__(self) -> tuple[type[SharedFrames], tuple[()]]:
        return SharedFrames, ()  # to another process goes nothing

    def read(self, path: Path, features: Sequence[str], wanted: Collection[int]) -> Frames:
        """What :func:`read_frames` gives, or all rows of the file.

        Raises:
            DatasetError: as :func:`read_frames`.
        """
        bring(path)
        try:
            state = path.stat()
        except OSError:
            return read_frames(path, features, wanted)
        key = (path, state.st_mtime_ns, state.st_size, *features)
        held = self._held if key == self._key else None
        again = held is not None
        self._key, self._held = (), None  # before more is read
        frames = read_frames(path, features, wanted) if held is None else held
        if frames.complete and frames.episode is not None and frames.rows and int(frames.episode[-1]) not in wanted:
            asked = np.count_nonzero(np.isin(frames.episode, list(wanted)))
            size = sum(values.nbytes for values in frames.features.values())
            if size <= HELD_BYTES and (again or 4 * asked <= 3 * frames.rows):
                self._key, self._held = key, frames
        return frames


def episodes_in(path: Path) -> list[tuple[int, int]]:
    """Episodes whose rows a file holds, each with how many, in order of index.

    Raises:
        DatasetError: if the file cannot be read or has no ``episode_index``.
    """
    with opened(path) as file:
        _need_index(path, file.schema_arrow)
        seen: dict[int, int] = {}
        for group in range(file.num_row_groups):
            got = numbers_of(read_groups(path, file, [group], ["episode_index"]).column("episode_index"))
            if got is None or got[0].shape[1] != 1:
                raise DatasetError(path, "episode_index is not a number")
            index, count = np.unique(whole(got[0][:, 0]), return_counts=True)
            for each, rows in zip(index.tolist(), count.tolist(), strict=True):
                seen[each] = seen.get(each, 0) + rows
        return sorted((index, rows) for index, rows in seen.items() if index >= 0)


def whole_numbers(table: pa.Table, name: str) -> list[int | None] | None:
    """A column of whole numbers; None where it is missing or something else."""
    if name not in table.column_names or not pa.types.is_integer(table.column(name).type):
        return None
    return list(table.column(name).to_pylist())


def texts_column(table: pa.Table, name: str) -> list[tuple[str, ...]] | None:
    """A column of text, or of lists of text; None where it is missing."""
    if name not in table.column_names:
        return None
    rows = plain_rows(table.column(name))
    return [tuple(each for each in (row if isinstance(row, list) else [row]) if isinstance(each, str)) for row in rows]


def _need_index(path: Path, schema: pa.Schema) -> None:
    problem = _unusable(schema, "episode_index") if "episode_index" in schema.names else "is missing"
    if problem:
        raise DatasetError(path, f"episode_index {problem}: its rows cannot be told apart")


def _groups(path: Path, file: pq.ParquetFile, schema: pa.Schema, wanted: Collection[int]) -> list[int]:
    """Row groups that hold any of the wanted episodes.

    By looking, not by statistics: pyarrow ends the whole process where those of a damaged file do not fit each other.
    """
    _need_index(path, schema)
    count = file.num_row_groups
    if count < 2:
        return list(range(count))
    rows = np.array([file.metadata.row_group(group).num_rows for group in range(count)])
    asked = np.fromiter(wanted, np.int64)
    found: list[int] = []
    # many groups at once, for each may be an episode; yet no more than fits
    for part in np.split(np.arange(count), np.flatnonzero(np.diff(np.cumsum(rows) // BATCH_ROWS)) + 1):
        got = numbers_of(read_groups(path, file, part.tolist(), ["episode_index"], schema).column("episode_index"))
        if got is None:
            continue
        there = np.asarray(np.isin(whole(got[0]), asked).any(axis=1))
        held = np.repeat(part, rows[part])
        found += (np.unique(held[there]) if len(held) == len(there) else part).tolist()
    return found


def rows_of_episodes(episode: Int64s) -> dict[int, slice | Int64s]:
    """Rows of each episode that a file holds; a slice where they lie together, so that to take them is no copy.

    >>> rows_of_episodes(np.array([4, 4, 7, 2, 7]))
    {2: slice(3, 4, None), 4: slice(0, 2, None), 7: array([2, 4])}
    """
    step = np.diff(episode)
    if (step >= 0).all():
        edges = np.flatnonzero(step) + 1
        bounds = [0, *edges.tolist(), len(episode)] if len(episode) else []
        return {int(episode[a]): slice(a, b) for a, b in pairwise(bounds)}
    order = np.argsort(episode, kind="stable")
    edges = np.flatnonzero(np.diff(episode[order])) + 1
    found: dict[int, slice | Int64s] = {}
    for first, stop in pairwise([0, *edges.tolist(), len(order)]):
        a, b = int(order[first]), int(order[stop - 1]) + 1
        found[int(episode[a])] = slice(a, b) if b - a == stop - first else order[first:stop]
    return found


def numbers_of(column: pa.ChunkedArray) -> tuple[NDArray[Any], Int64s | None] | None:
    """A column as numbers, shape (n, w); None if it holds none.

    A scalar has width 1, nested lists are laid flat. Where rows differ in width, the widths come too, shape (n,), and
    rows end in NaN; a null is a row of NaN, its width -1.
    """
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    while isinstance(array, pa.ExtensionArray):
        array = array.storage
    n = len(array)
    rows = array
    if not _is_list(array.type):
        return (_plain(array).reshape(n, 1), None) if _is_numeric(array.type) else None
    owner: Int64s | None = None  # row to which each value belongs, as lists are laid flat
    fixed = 1
    while _is_list(array.type):
        if pa.types.is_fixed_size_list(array.type) and not array.null_count and owner is None:
            fixed *= array.type.list_size
        else:
            owner = np.repeat(np.arange(n), fixed) if owner is None else owner
            owner = np.repeat(owner, _lengths(array))
        array = array.flatten()
    if not _is_numeric(array.type):
        return None
    values = _plain(array)
    if owner is None:
        return (values.reshape(n, fixed), None) if fixed <= MAX_WIDTH else None
    counts = np.bincount(owner, minlength=n) if n else np.zeros(0, np.int64)
    widest = int(counts.max(initial=0))
    if widest > MAX_WIDTH or widest * n > MAX_BYTES // 8:
        return None
    if (counts == widest).all():
        return values.reshape(n, widest), None
    out = np.full((n, widest), np.nan, np.result_type(values.dtype, np.float32))
    place = np.arange(len(values)) - np.repeat(np.cumsum(counts) - counts, counts)
    out[owner, place] = values
    missing = np.asarray(rows.is_null().to_numpy(zero_copy_only=False), np.bool_)
    return out, np.where(missing, -1, counts)


def _unusable(schema: pa.Schema, name: str) -> str:
    """Why a column cannot be read as numbers; empty where it can."""
    if len(schema.get_all_field_indices(name)) > 1:
        return "occurs twice"
    kind = schema.field(name).type
    while isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    inner = kind
    while _is_list(inner):
        inner = inner.value_type
    return "" if _is_numeric(inner) else str(kind)


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _lengths(array: pa.Array) -> Int64s:
    """Values that each row contributes when the lists are laid flat: none where the row is null, shape (n,)."""
    return np.asarray(array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False), np.int64)


def _plain(array: pa.Array) -> NDArray[Any]:
    values = np.asarray(array.to_numpy(zero_copy_only=False))
    if values.dtype.kind == "O":  # booleans with nulls
        values = np.array([np.nan if each is None else float(each) for each in values], np.float64)
    return values


def whole(values: NDArray[Any]) -> Int64s:
    """Indices; what is not a whole number becomes -1, which no episode has."""
    if values.dtype.kind in "iu":
        return values.astype(np.int64, copy=False)
    good = np.isfinite(values) & (np.abs(values) < 2**53)
    return np.where(good, np.where(good, values, 0), -1).astype(np.int64)
