"""Parquet files from anyone: only the row groups and columns that are needed, and never more than fits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sima2.errors import DatasetError
from sima2.io.documents import FETCH, LFS_POINTER, refuse_no_file

MAX_ROWS: Final = 16_000_000
"""Rows read at once: 150 hours at 30 Hz. A file that claims more is damaged or meant to do harm."""
BATCH_ROWS: Final = 65_536
MAX_BYTES: Final = 2**30
"""Bytes of numbers and text read at once, half of the memory that a run may take; LeRobot cuts data files at 100 MB."""
SMALL_FILE: Final = 2**20
"""Bytes below which a file is read whole, whatever is asked of it."""
_WIDTH: Final = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8}
"""Bytes of a value in memory by its physical type: BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE."""
_TEXT: Final = 6  # BYTE_ARRAY


class Chunk(NamedTuple):
    """What a file says of one column in one row group."""

    name: str
    """Path in the schema, with dots."""
    kind: int
    """Physical type."""
    values: int
    size: int
    """Bytes in the file, unpacked."""


@contextmanager
def opened(path: Path, *, text_once: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """A Parquet file, with every way in which it may be broken as one error.

    Args:
        path: of the file.
        text_once: columns of which a text that repeats is kept once.

    Raises:
        DatasetError: if it is missing, no file, damaged, or only a Git-LFS pointer.
    """
    refuse_no_file(path)
    try:
        # a small file is read at once: each look into it costs more than its bytes do
        with path.open("rb") as start:
            data = start.read(SMALL_FILE)
        if data.startswith(LFS_POINTER):
            raise DatasetError(path, "holds no data", FETCH)
        small = len(data) < SMALL_FILE
        content = pa.BufferReader(data) if small else path
        with pq.ParquetFile(content, read_dictionary=list(text_once) or None, pre_buffer=not small) as file:
            yield file
    # pyarrow reports damage as any of these, depending on where it lies
    except (OSError, pa.ArrowException, ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        first = (str(error).strip().splitlines() or [""])[0][:200]
        raise DatasetError(path, f"cannot be read: {first or type(error).__name__}") from None


def read_groups(
    path: Path, file: pq.ParquetFile, groups: Sequence[int], columns: Sequence[str], schema: pa.Schema | None = None
) -> pa.Table:
    """Row groups of an opened file, piece by piece, until they turn out to be more than fits; ``schema`` is the file's.

    Raises:
        DatasetError: if they hold more than ``MAX_ROWS`` rows or ``MAX_BYTES`` bytes.
    """
    pieces: list[pa.RecordBatch] = []
    rows = size = 0
    schema = file.schema_arrow if schema is None else schema
    # a scalar has one value a row, but one piece of anything else can be of any size: a list has any length, and
    # what repeats, numbers or text, lies in the file once
    risky = any(pa.types.is_nested(kind) or not pa.types.is_primitive(kind) for kind in map(_kind(schema), columns))
    told = footer(path) if risky and groups else []
    if sum(_largest(path, group, told[group], columns) for group in groups if group < len(told)) > MAX_BYTES:
        raise _too_much(path)
    for piece in file.iter_batches(BATCH_ROWS, row_groups=list(groups), columns=list(columns), use_threads=False):
        rows += len(piece)
        size += piece.nbytes
        if rows > MAX_ROWS or size > MAX_BYTES:
            raise _too_much(path)
        pieces.append(piece)
    if not pieces:
        return pa.schema([schema.field(name) for name in columns]).empty_table()
    # a name selects all columns that it is the beginning of (``a`` also ``a.b``)
    return pa.Table.from_batches(pieces).select(list(columns))


def read_whole(path: Path, *, skip: str | None = None, only: Sequence[str] | None = None) -> pa.Table:
    """A whole table, or its columns but for those whose name begins with ``skip``, or those of ``only`` it has.

    Raises:
        DatasetError: if the file cannot be read, is too large, or has two columns of one name.
    """
    with opened(path) as file:
        names = [name for name in file.schema_arrow.names if skip is None or not name.startswith(skip)]
        names = [name for name in names if only is None or name in only]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DatasetError(path, f"has two columns of one name, {twice!r}")
        return read_groups(path, file, range(file.num_row_groups), names)


def read_all(path: Path, file: pq.ParquetFile) -> pa.Table:
    """All of an opened file in one piece, as far as it says that it fits; for files that a run has read already.

    Raises:
        DatasetError: if it says that it holds more.
    """
    told = file.metadata
    if (
        told.num_rows > MAX_ROWS
        or sum(told.row_group(k).total_byte_size for k in range(told.num_row_groups)) > MAX_BYTES
    ):
        raise _too_much(path)
    return file.read(use_threads=False)


def _too_much(path: Path) -> DatasetError:
    return DatasetError(path, f"holds more than {MAX_ROWS} rows or {MAX_BYTES} bytes in one piece: cut it")


def _kind(schema: pa.Schema) -> Callable[[str], pa.DataType]:
    return lambda name: schema.field(name).type


def _largest(path: Path, group: int, chunks: Sequence[Chunk], columns: Sequence[str]) -> int:
    """Bytes that a row group takes once read, by what its columns are said to hold.

    A damaged file may say anything; one that says too little is stopped by what its pieces turn out to be.
    """
    size = 0
    text: list[tuple[str, int]] = []
    for chunk in chunks:
        if not any(chunk.name == each or chunk.name.startswith(f"{each}.") for each in columns):
            continue
        size += max(_WIDTH.get(chunk.kind, 0) * chunk.values, chunk.size)
        if chunk.kind == _TEXT:
            text.append((chunk.name, chunk.values * chunk.size))
    # each text is as long as all that the file holds at most; only where that is too much it is worth a look
    if size + sum(worst for _, worst in text) > MAX_BYTES >= size:
        size += _text_bytes(path, group, [name for name, _ in text])
    return size


def _text_bytes(path: Path, group: int, columns: Sequence[str]) -> int:
    """Bytes of texts once each is written out."""
    size = 0
    with opened(path, text_once=columns) as file:
        for piece in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=list(columns), use_threads=False):
            size += sum(_written_out(each) for each in piece.columns)
            if size > MAX_BYTES:
                break
    return size


def _written_out(array: pa.Array) -> int:
    while hasattr(array, "flatten") and not pa.types.is_dictionary(array.type) and array.type.num_fields == 1:
        array = array.flatten()
    if not pa.types.is_dictionary(array.type):
        return int(array.nbytes)
    counted: Any = pc.value_counts(array.indices)
    length = pc.binary_length(array.dictionary.cast(pa.large_binary())).cast(pa.int64())
    there = counted.filter(counted.field("values").is_valid())
    return int(pc.sum(pc.multiply(length.take(there.field("values")), there.field("counts"))).as_py() or 0)


def footer(path: Path) -> list[list[Chunk]]:
    """What the end of a file says of its columns, for each row group.

    Read here, byte by byte: pyarrow ends the whole process where a damaged file's statistics do not fit each other.
    Source: the Parquet format's ``parquet.thrift``, in Thrift's compact protocol.

    Raises:
        ValueError: if it is damaged.
    """
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-8 - length, os.SEEK_END)
        data = file.read(length)
    try:
        return _row_groups(data)
    except IndexError:
        raise ValueError("metadata end too early") from None


def _row_groups(data: bytes) -> list[list[Chunk]]:
    groups: list[list[Chunk]] = []
    name, told = "", {}

    def text(at: int, kind: int) -> int:
        nonlocal name
        parts, at = _texts(data, at, kind)
        name = b".".join(parts).decode("utf-8", "replace")
        return at

    def number(which: int) -> _Reader:
        def read(at: int, kind: int) -> int:
            _need(kind, _NUMBER)
            told[which], at = _signed(data, at)
            return at

        return read

    about_chunk = {1: number(1), 3: text, 5: number(5), 6: number(6)}

    def chunk(at: int, kind: int) -> int:
        nonlocal name
        _need(kind, _STRUCT)
        name = ""
        told.update({1: _TEXT, 5: 0, 6: 0})
        at = _walk(data, at, about_chunk)
        groups[-1].append(Chunk(name, told[1], max(0, told[5]), max(0, told[6])))
        return at

    about_column = {3: chunk}

    def columns(at: int, kind: int) -> int:
        return _structs(data, at, kind, lambda at: _walk(data, at, about_column))

    about_group = {1: columns}

    def group(at: int) -> int:
        groups.append([])
        return _walk(data, at, about_group)

    _walk(data, 0, {4: lambda at, kind: _structs(data, at, kind, group)})
    return groups


# Thrift's compact protocol. A structure is its fields, each with a head: how much its number is larger than that of the
# one before, and its kind. What is not asked for is passed over without being made.
_FLAGS, _NUMBER, _BYTES, _LIST, _STRUCT = (1, 2), (4, 5, 6), (8,), (9, 10), (12,)
DEEPEST: Final = 24
"""Structures within each other; Parquet's have about 8."""


_Reader = Callable[[int, int], int]
"""Reads a value of a kind at a place, and tells where it ends."""


def _need(kind: int, kinds: tuple[int, ...]) -> None:
    """A damaged file may hold anything where it should hold one of some kinds."""
    if kind not in kinds:
        raise ValueError("its end is damaged")


def _walk(data: bytes, at: int, readers: Mapping[int, _Reader]) -> int:
    """Read some fields of a structure, by their numbers, and tell where it ends."""
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _signed(data, at)
        reader = readers.get(number)
        at = _behind(data, at, head & 15, 1) if reader is None else reader(at, head & 15)
    return at + 1


def _behind(data: bytes, at: int, kind: int, depth: int) -> int:
    """Where a value ends."""
    if kind in _NUMBER:
        while data[at] > 127:
            at += 1
        return at + 1
    if kind == 12:
        if depth > DEEPEST:
            raise ValueError("metadata are nested beyond reason")
        while head := data[at]:
            at += 1
            if head < 16:
                at = _behind(data, at, 5, depth)
            kind = head & 15
            if 4 <= kind <= 6:
                while data[at] > 127:
                    at += 1
                at += 1
            elif kind == 8 and data[at] < 128:
                at += 1 + data[at]
            elif kind > 2:  # a flag is part of its head
                at = _behind(data, at, kind, depth + 1)
        return at + 1
    if kind == 8:
        size, at = _unsigned(data, at)
        at += size
    elif kind in _LIST:
        size, inner, at = _sized(data, at)
        inner = 3 if inner in _FLAGS else inner  # a flag in a list is a byte
        for _ in range(size):
            at = _behind(data, at, inner, depth)
    elif kind in (3, 7):
        at += 1 if kind == 3 else 8
    elif kind not in _FLAGS:
        raise ValueError(f"metadata hold a value of unknown type {kind}")
    if at > len(data):
        raise ValueError("metadata end too early")
    return at


def _sized(data: bytes, at: int) -> tuple[int, int, int]:
    """How many values a list has, of which kind, and where they begin."""
    head = data[at]
    if head >> 4 < 15:
        return head >> 4, head & 15, at + 1
    size, at = _unsigned(data, at + 1)
    return size, head & 15, at


def _structs(data: bytes, at: int, kind: int, read: Callable[[int], int]) -> int:
    """Read each structure of a list, and tell where it ends."""
    _need(kind, _LIST)
    size, inner, at = _sized(data, at)
    if size:
        _need(inner, _STRUCT)
    for _ in range(size):
        at = read(at)
    return at


def _texts(data: bytes, at: int, kind: int) -> tuple[list[bytes], int]:
    """A list of texts, and where it ends."""
    _need(kind, _LIST)
    size, inner, at = _sized(data, at)
    found = []
    if size:
        _need(inner, _BYTES)
    for _ in range(size):
        length, at = _unsigned(data, at)
        found.append(data[at : at + length])
        at += length
    return found, at


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    found = shift = 0
    while shift < 70:
        byte = data[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, at
        shift += 7
    raise ValueError("metadata hold a number without end")


def _signed(data: bytes, at: int) -> tuple[int, int]:
    """The same, with signs folded in."""
    found, at = _unsigned(data, at)
    return (found >> 1) ^ -(found & 1), at
