"""Parquet files from anyone: only the row groups and columns that are needed, and never more than fits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sima2.errors import DatasetError
from sima2.io.documents import FETCH, is_lfs_pointer, refuse_no_file

MAX_ROWS: Final = 16_000_000
"""Rows read at once: 150 hours at 30 Hz. A file that claims more is damaged or meant to do harm."""
BATCH_ROWS: Final = 65_536
MAX_BYTES: Final = 2**30
"""Bytes of numbers and text read at once, half of the memory that a run may take; LeRobot cuts data files at 100 MB."""
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
        if is_lfs_pointer(path):
            raise DatasetError(path, "holds no data", FETCH)
        with pq.ParquetFile(path, read_dictionary=list(text_once) or None) as file:
            yield file
    # pyarrow reports damage as any of these, depending on where it lies
    except (OSError, pa.ArrowException, ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        first = (str(error).strip().splitlines() or [""])[0][:200]
        raise DatasetError(path, f"cannot be read: {first or type(error).__name__}") from None


def read_groups(path: Path, file: pq.ParquetFile, groups: Sequence[int], columns: Sequence[str]) -> pa.Table:
    """Row groups of an opened file, piece by piece, until they turn out to be more than fits.

    Raises:
        DatasetError: if they hold more than ``MAX_ROWS`` rows or ``MAX_BYTES`` bytes.
    """
    pieces: list[pa.RecordBatch] = []
    rows = size = 0
    schema = file.schema_arrow
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
        metadata = _Compact(file.read(length)).struct()
    groups: list[list[Chunk]] = []
    for group in _structs(metadata.get(4)):
        columns = [column.get(3) for column in _structs(group.get(1))]
        groups.append([_chunk(each) for each in columns if isinstance(each, dict)])
    return groups


def _structs(value: Any) -> list[dict[int, Any]]:
    """A list of structs, which a damaged file may not hold where it should."""
    found = value or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError("its end is damaged")
    return found


def _chunk(told: dict[int, Any]) -> Chunk:
    name = b".".join(told.get(3) or ()).decode("utf-8", "replace")
    return Chunk(name, int(told.get(1, _TEXT)), max(0, int(told.get(5, 0))), max(0, int(told.get(6, 0))))


class _Compact:
    """Thrift's compact protocol: structures as field number to value."""

    DEEPEST: Final = 24
    """Structures within each other; Parquet's have about 8."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.depth = 0

    def struct(self) -> dict[int, Any]:
        """The fields of a structure."""
        self.depth += 1
        if self.depth > self.DEEPEST:
            raise ValueError("metadata are nested beyond reason")
        found: dict[int, Any] = {}
        number = 0
        while head := self.byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self.signed()
            # a flag is part of its head
            found[number] = kind == 1 if kind in (1, 2) else self.value(kind)
        self.depth -= 1
        return found

    def value(self, kind: int) -> Any:
        """A value of one of the protocol's types."""
        if kind in (4, 5, 6):
            return self.signed()
        if kind == 8:
            return self.take(self.unsigned())
        if kind == 12:
            return self.struct()
        if kind in (9, 10):
            head = self.byte()
            size, inner = head >> 4, head & 15
            return [self.value(inner) for _ in range(self.unsigned() if size == 15 else size)]
        if kind in (1, 2, 3):
            return self.byte()
        if kind == 7:
            return self.take(8)
        raise ValueError(f"metadata hold a value of unknown type {kind}")

    def byte(self) -> int:
        """The next byte."""
        if self.at >= len(self.data):
            raise ValueError("metadata end too early")
        self.at += 1
        return self.data[self.at - 1]

    def unsigned(self) -> int:
        """A number of variable length."""
        found = shift = 0
        while shift < 70:
            byte = self.byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
        raise ValueError("metadata hold a number without end")

    def signed(self) -> int:
        """The same, with signs folded in."""
        found = self.unsigned()
        return (found >> 1) ^ -(found & 1)

    def take(self, size: int) -> bytes:
        """So many bytes."""
        if size > len(self.data) - self.at:
            raise ValueError("metadata end too early")
        self.at += size
        return self.data[self.at - size : self.at]
