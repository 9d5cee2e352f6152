"""Tables as Arrow and Parquet: stable bytes, and a digest of what they say rather than of how it is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sima2.errors import RecordError, StoreError
from sima2.records.table import Table, Text

T = TypeVar("T", bound=Table)

WRITER: Final[dict[str, Any]] = {
    "compression": "zstd",
    "compression_level": 3,
    "version": "2.6",
    "data_page_version": "1.0",
    "use_dictionary": True,
    "write_statistics": True,
    "row_group_size": 1 << 20,
}
"""Everything that decides the bytes of a file, so that no default of the library does."""
SHARD_WRITER: Final[dict[str, Any]] = {**WRITER, "compression": "snappy", "compression_level": None}
"""The same for tables of a run: many small files, written and read again, of which a slow codec is most of the time."""


def to_arrow(table: Table) -> pa.Table:
    """A table as Arrow: text as utf8, vectors as lists of one width, the schema version in the metadata.

    Every field tells its ``unit`` and ``description`` in metadata of its own, on which no digest depends. Text is not
    written as an Arrow dictionary: its vocabulary, used or not, would become part of the bytes.

    >>> from sima2.records.intake import QuarantineTable
    >>> schema = to_arrow(QuarantineTable.empty()).schema
    >>> schema.metadata[b"table"], schema.field("start_frame").metadata[b"unit"]
    (b'QuarantineTable', b'frame')
    """
    told = table.declared()
    arrays = [_array(getattr(table, each.name)) for each in told]
    fields = [
        pa.field(each.name, array.type, nullable=False, metadata={"unit": each.unit, "description": each.meaning})
        for each, array in zip(told, arrays, strict=True)
    ]
    metadata = {"table": type(table).__name__, "schema_version": str(table.schema_version)}
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=metadata))


def from_arrow(cls: type[T], data: pa.Table) -> T:
    """The table of class ``cls`` that ``data`` holds; further columns are ignored.

    Raises:
        StoreError: if a column is missing, of another kind or holds nulls, or the schema version is another.
    """
    metadata = data.schema.metadata or {}
    written = metadata.get(b"schema_version", str(cls.schema_version).encode()).decode(errors="replace")
    if written != str(cls.schema_version):
        raise StoreError(f"{cls.__name__}: schema version {written}, this program reads {cls.schema_version}")
    missing = [name for name in cls.columns() if name not in data.column_names]
    if missing:
        raise StoreError(f"{cls.__name__}: no column {', '.join(missing)}")
    columns = {name: _column(cls, name, data[name], dtype) for name, dtype in cls.columns().items()}
    try:
        # a number too large for its column is damage, not infinity
        with np.errstate(over="raise"):
            return cls(**columns)
    except (RecordError, TypeError, FloatingPointError) as error:
        raise StoreError(f"{cls.__name__}: {error}") from error


def write_table(path: Path, table: Table | pa.Table) -> None:
    """Write a Parquet file; the same table gives the same bytes."""
    data = table if isinstance(table, pa.Table) else to_arrow(table)
    # numbers hardly repeat: a dictionary of them is larger than they are, and takes longer
    words = [each.name for each in data.schema if pa.types.is_string(each.type)]
    with pa.OSFile(str(path), "wb") as sink:
        pq.write_table(data, sink, **{**SHARD_WRITER, "use_dictionary": words})


def release() -> None:
    """Give what Arrow holds and no table uses back to the system; it keeps it otherwise, more with every shard."""
    pa.default_memory_pool().release_unused()


def read_table(cls: type[T], path: Path) -> T:
    """Read a table written by :func:`write_table`.

    Raises:
        StoreError: if the file is missing, damaged or holds something else.
    """
    return from_arrow(cls, read_parquet(path))


def read_parquet(path: Path) -> pa.Table:
    """One Parquet file, whole.

    Raises:
        StoreError: if the file is missing or damaged.
    """
    path = Path(path)
    if path.is_symlink() or not path.is_file():  # we write neither links nor pipes
        raise StoreError(
            f"{path}: cannot be read: {'is no file' if path.is_symlink() or path.exists() else 'is missing'}"
        )
    try:
        # a shard is too small for threads and read-ahead to pay
        with pa.OSFile(str(path), "rb") as source, pq.ParquetFile(source, pre_buffer=False) as file:
            data = file.read(use_threads=False)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot be read: {_first_line(error)}") from error
    if len(set(data.column_names)) < data.num_columns:
        raise StoreError(f"{path}: cannot be read: has two columns of one name")
    return data


class LogicalDigest:
    """A digest of the values of a table that comes in parts.

    Independent of dictionary coding, chunks, row groups and of where the parts were cut; every NaN counts as the same.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._columns: dict[str, tuple[str, Any, Any]] = {}

    def update(self, part: Table | pa.Table) -> None:
        """Append the rows of a part.

        Raises:
            RecordError: if the part has other columns than those before it.
        """
        data = to_arrow(part) if isinstance(part, Table) else part
        kinds = {field.name: _kind(field.type) for field in data.schema}
        if not self._columns:
            self._columns = {name: (kind, hashlib.sha256(), hashlib.sha256()) for name, kind in kinds.items()}
        elif kinds != {name: kind for name, (kind, _, _) in self._columns.items()}:
            raise RecordError(f"parts of one table have different columns: {', '.join(kinds)}")
        self._rows += len(data)
        for name, (_, values, lengths) in self._columns.items():
            for chunk in data[name].chunks:
                _feed(chunk, values, lengths)

    def hexdigest(self) -> str:
        """sha256 over all rows so far."""
        whole = hashlib.sha256(f"{self._rows}".encode())
        for name, (kind, values, lengths) in self._columns.items():
            whole.update(f"\0{name}\0{kind}\0{values.hexdigest()}{lengths.hexdigest()}".encode())
        return whole.hexdigest()


def logical_digest(*parts: Table | pa.Table) -> str:
    """sha256 over the values of a table that is given in parts, in row order.

    >>> from sima2.records.outcome import Outcome
    >>> logical_digest(Outcome.unknown(3)) == logical_digest(Outcome.unknown(1), Outcome.unknown(2))
    True
    """
    digest = LogicalDigest()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def fixed_lists(values: NDArray[Any]) -> pa.Array:
    """Rows of a matrix as Arrow lists of one width, shape (n, d); Arrow has no lists of width 0 but plain ones."""
    if values.shape[1] == 0:
        return pa.array([[]] * len(values), pa.list_(pa.from_numpy_dtype(values.dtype)))
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).reshape(-1)), values.shape[1])


def strings(values: Text | Iterable[str]) -> pa.StringArray:
    """Text as Arrow utf8."""
    if not isinstance(values, Text):
        return pa.array(list(values), pa.string())
    coded = pa.DictionaryArray.from_arrays(pa.array(values.codes), pa.array(values.names, pa.string()))
    return coded.cast(pa.string())


def plain_rows(column: pa.ChunkedArray) -> list[Any]:
    """Values of a column of any kind; bytes that are not UTF-8 are shown as such, not refused."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_decoded(each) for each in column.cast(_as_bytes(column.type)).to_pylist()]


def _as_bytes(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_as_bytes(kind.value_type))
    return pa.binary() if pa.types.is_string(kind) or pa.types.is_large_string(kind) else kind


def _decoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return [_decoded(each) for each in value] if isinstance(value, list) else value


def _array(values: Text | NDArray[Any]) -> pa.Array:
    if isinstance(values, Text):
        return strings(values)
    return pa.array(np.ascontiguousarray(values)) if values.ndim == 1 else fixed_lists(values)


def _column(cls: type[Table], name: str, values: pa.ChunkedArray, dtype: np.dtype[Any] | None) -> Any:
    if values.null_count:
        raise StoreError(f"{cls.__name__}.{name}: holds {values.null_count} nulls")
    if dtype is None:
        return _text(cls, name, values)
    if pa.types.is_list(values.type) and not len(values.combine_chunks().flatten()):
        return np.zeros((len(values), 0), dtype)
    if pa.types.is_fixed_size_list(values.type):
        width = values.type.list_size
        flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in values.chunks]
        stacked = np.concatenate(flat) if flat else np.zeros(0, dtype)
        return stacked.astype(dtype, copy=False).reshape(len(values), width)
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_boolean(values.type)):
        raise StoreError(f"{cls.__name__}.{name}: is {values.type}, expected {dtype}")
    return values.to_numpy()


def _text(cls: type[Table], name: str, values: pa.ChunkedArray) -> Text:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise StoreError(f"{cls.__name__}.{name}: is {values.type}, expected text")
    coded = values.cast(pa.string()).combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks() if coded.num_chunks != 1 else coded.chunk(0)
    try:
        names = coded.dictionary.to_pylist()
    except UnicodeDecodeError as error:
        raise StoreError(f"{cls.__name__}.{name}: is not UTF-8: {error.reason}") from None
    return Text(coded.indices.to_numpy(zero_copy_only=False), tuple(names))


def _kind(type_: pa.DataType) -> str:
    """What a column holds, apart from how it is coded."""
    if pa.types.is_dictionary(type_):
        return _kind(type_.value_type)
    if pa.types.is_large_string(type_):
        return "string"
    if pa.types.is_fixed_size_list(type_) or pa.types.is_list(type_):
        return f"{type_.value_type}[]"  # the width follows from rows and values, and no rows have none
    return str(type_)


def _feed(chunk: pa.Array, values: Any, lengths: Any) -> None:
    """Hash the values of a chunk; of text and lists the lengths too, or "ab","c" would equal "a","bc"."""
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.cast(chunk.type.value_type)
    if chunk.null_count:
        lengths.update(np.asarray(chunk.is_null().to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_string(chunk.type) or pa.types.is_large_string(chunk.type):
        if len(chunk):
            _, ends, data = chunk.buffers()
            width = np.int32 if pa.types.is_string(chunk.type) else np.int64
            offset = np.frombuffer(ends, width)[chunk.offset : chunk.offset + len(chunk) + 1]
            lengths.update(np.diff(offset).astype("<i8").tobytes())
            if data is not None:
                values.update(memoryview(data)[int(offset[0]) : int(offset[-1])])
        return
    if pa.types.is_list(chunk.type) or pa.types.is_large_list(chunk.type):
        lengths.update(np.asarray(chunk.value_lengths().fill_null(-1).to_numpy(), "<i8").tobytes())
        _feed(chunk.flatten(), values, lengths)
        return
    if pa.types.is_fixed_size_list(chunk.type):
        chunk = chunk.flatten()
    array = np.ascontiguousarray(chunk.to_numpy(zero_copy_only=False))
    if array.dtype.kind == "f" and (unknown := np.isnan(array)).any():
        array = np.where(unknown, array.dtype.type(np.nan), array)
    values.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
