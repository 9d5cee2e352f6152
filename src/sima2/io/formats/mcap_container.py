"""The records of an MCAP file, read with suspicion and written plainly.

Layout as the MCAP specification has it (mcap.dev/spec): magic, records of one byte kind and eight bytes length, magic.
Read front to back, so that a file whose recorder died, without index or footer, is read as far as it goes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from sima2.errors import DatasetError, MissingExtraError
from sima2.io.documents import FETCH, LFS_POINTER, reason, refuse_no_file

MAGIC: Final = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = 1, 2, 3, 4, 5, 6
MESSAGE_INDEX, CHUNK_INDEX = 7, 8
STATISTICS, METADATA, METADATA_INDEX, DATA_END = 11, 12, 13, 15

MAX_CHUNK: Final = 128 * 1024 * 1024
"""Bytes of one chunk, packed and unpacked; rosbag2 writes 0.8 MB."""
MAX_GROWTH: Final = 1000
"""Times by which a chunk may grow as it is unpacked; joint states of JSON grow 30 times."""
SMALL: Final = 1024 * 1024
"""Bytes to which any chunk may grow."""
MAX_RECORD: Final = 16 * 1024 * 1024
"""Bytes of a schema, a channel or a metadata record."""
MAX_KINDS: Final = 4096
"""Schemas, channels and metadata records of a file that are kept."""
MOST_NOTES: Final = 20
_MESSAGE: Final = struct.Struct("<BQHIQQ")
_RECORD: Final = struct.Struct("<BQ")


class Schema(NamedTuple):
    """What messages of a channel look like."""

    name: str
    encoding: str
    data: bytes


class Channel(NamedTuple):
    """A stream of messages."""

    topic: str
    encoding: str
    schema: Schema | None
    metadata: Mapping[str, str]


Sink = Callable[[int, bytes], object]
"""Takes the log time in ns and the bytes of a message."""


@dataclass(slots=True)
class Told:
    """What a file said beside its messages, and what is odd about it."""

    profile: str = ""
    library: str = ""
    metadata: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    channels: dict[int, Channel] = field(default_factory=dict)
    schemas: dict[int, Schema] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    whole: bool = True
    """Whether the end was reached."""

    def note(self, text: str) -> None:
        """Say what is odd, a few times at most."""
        if len(self.notes) < MOST_NOTES:
            self.notes.append(text)


def read_mcap(path: Path, sink_of: Callable[[Channel], Sink | None], *, most: int | None = None) -> Told:
    """Read a file from its beginning.

    Args:
        path: of the file.
        sink_of: what takes the messages of a channel, None where nothing does; asked once for each.
        most: bytes after which no more is read; all where not given.

    Raises:
        DatasetError: if it is no MCAP file.
        MissingExtraError: if a chunk is packed and the library that unpacks it is not installed.
    """
    refuse_no_file(path)
    told = Told()
    sinks: dict[int, Sink | None] = {}
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            _begin(path, file, size)
            for kind, data in _records(file, size, told, size if most is None else most):
                if kind == CHUNK:
                    _chunk(data, told, sinks, sink_of)
                else:
                    _walk(_RECORD.pack(kind, len(data)) + data, told, sinks, sink_of)
    except OSError as error:
        raise DatasetError(path, f"cannot be read: {reason(error)}") from None
    return told


def read_metadata(path: Path) -> list[tuple[str, Mapping[str, str]]]:
    """Metadata records by the index at the end of a file; none where it has no such index."""
    refuse_no_file(path)
    told = Told()
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            _begin(path, file, size)
            if size < 45:
                return []
            file.seek(size - 37)
            kind, length, start, _, _ = struct.unpack("<BQQQI", file.read(29))
            if kind != FOOTER or length != 20 or not 8 <= start < size - 37 or size - start > MAX_RECORD:
                return []
            file.seek(start)
            places = []
            for kind, data in _records(file, size, told, MAX_RECORD):
                if kind == METADATA_INDEX and len(data) >= 16:
                    places.append(struct.unpack_from("<QQ", data))
            for at, length in places[:MAX_KINDS]:
                if not 9 < length <= MAX_RECORD or at + length > size:
                    continue
                file.seek(at)
                record = file.read(length)
                if record[:1] == bytes([METADATA]):
                    _walk(record, told, {}, lambda channel: None)
    except OSError as error:
        raise DatasetError(path, f"cannot be read: {reason(error)}") from None
    return told.metadata


def _begin(path: Path, file: BinaryIO, size: int) -> None:
    """Refuse what is no MCAP file."""
    start = file.read(len(LFS_POINTER))
    if not size:
        raise DatasetError(path, "is empty", "fetch it again")
    if start.startswith(LFS_POINTER):
        raise DatasetError(path, "holds no data", FETCH)
    if not start.startswith(MAGIC):
        raise DatasetError(path, "is no MCAP file: it does not begin as one")
    file.seek(len(MAGIC))


def _records(file: BinaryIO, size: int, told: Told, most: int) -> Iterator[tuple[int, bytes]]:
    """Records outside of chunks that say something."""
    at = file.tell()
    stop = at + most
    while at < stop:
        head = file.read(9)
        if len(head) < 9:
            told.whole = False
            told.note(f"the file ends after {at} bytes without its last record: what came before is read")
            return
        kind, length = _RECORD.unpack(head)
        at += 9
        if length > size - at:
            told.whole = False
            told.note(f"a record at byte {at - 9} is cut off: what came before is read")
            return
        wanted = kind in (HEADER, SCHEMA, CHANNEL, MESSAGE, CHUNK, METADATA, METADATA_INDEX)
        if not wanted or length > (MAX_CHUNK if kind in (CHUNK, MESSAGE) else MAX_RECORD):
            if wanted:
                told.note(f"a record of {length} bytes at byte {at - 9} is too large: it is left out")
            file.seek(length, 1)
        else:
            yield kind, file.read(length)
        at += length
        if kind == FOOTER:
            return


def _chunk(data: bytes, told: Told, sinks: dict[int, Sink | None], sink_of: Callable[[Channel], Sink | None]) -> None:
    """The records of a chunk, unless it is damaged."""
    try:
        _, _, size, crc, words = struct.unpack_from("<QQQII", data)
        packing = data[32 : 32 + words].decode("ascii", "replace")
        (packed,) = struct.unpack_from("<Q", data, 32 + words)
        content = memoryview(data)[40 + words :]
        if packed != len(content):
            raise ValueError("its size does not fit")
        if size > MAX_CHUNK or size > max(SMALL, MAX_GROWTH * packed):
            raise ValueError(f"it would grow to {size} bytes")
        plain = _unpacked(packing, content, size)
        if crc and zlib.crc32(plain) != crc:
            raise ValueError("its checksum is wrong")
    except (ValueError, struct.error) as error:
        told.note(f"a chunk is left out: {error}")
        return
    _walk(plain, told, sinks, sink_of)


def _unpacked(packing: str, data: memoryview, size: int) -> bytes:
    """The content of a chunk, never larger than stated."""
    if packing == "":
        plain = bytes(data)
    elif packing == "lz4":
        try:
            import lz4.frame
        except ImportError:
            raise MissingExtraError("lz4", "mcap") from None
        try:
            plain = lz4.frame.LZ4FrameDecompressor().decompress(bytes(data), max_length=size + 1)
        except (RuntimeError, EOFError) as error:
            raise ValueError(f"lz4: {error}") from None
    elif packing == "zstd":
        try:
            import zstandard
        except ImportError:
            raise MissingExtraError("zstandard", "mcap") from None
        try:
            # a window may take no more memory than the chunk that it is of
            reader = zstandard.ZstdDecompressor(max_window_size=MAX_CHUNK).stream_reader(bytes(data))
            plain = reader.read(size + 1)
        except zstandard.ZstdError as error:
            raise ValueError(f"zstd: {error}") from None
    else:
        raise ValueError(f"it is packed by {packing[:20]!r}, which is not known")
    if len(plain) != size:
        raise ValueError(f"it holds {'more' if len(plain) > size else len(plain)} bytes, {size} are stated")
    return plain


def _walk(data: bytes, told: Told, sinks: dict[int, Sink | None], sink_of: Callable[[Channel], Sink | None]) -> None:
    """Records one after the other in memory."""
    at, end = 0, len(data)
    message = _MESSAGE.unpack_from
    while at + 9 <= end:
        kind = data[at]
        if kind == MESSAGE:
            if at + 31 > end:
                break
            _, length, channel, _, log_time, _ = message(data, at)
            stop = at + 9 + length
            if stop > end or length < 22:
                break
            sink = sinks.get(channel, told)
            if sink is told:
                known = told.channels.get(channel)
                sink = sinks[channel] = None if known is None else sink_of(known)
                if known is None:
                    told.note(f"messages of channel {channel} are left out: nothing says what it is")
            if sink is not None:
                sink(log_time, data[at + 31 : stop])  # type: ignore[operator]
            at = stop
            continue
        (length,) = struct.unpack_from("<Q", data, at + 1)
        stop = at + 9 + length
        if stop > end:
            break
        if length <= MAX_RECORD:
            try:
                _learn(kind, memoryview(data)[at + 9 : stop], told)
            except (struct.error, ValueError):
                told.note(f"a record of kind {kind} cannot be read: it is left out")
        at = stop
    if at != end:
        told.note("a record is cut off: the rest of its chunk is left out")


def _learn(kind: int, data: memoryview, told: Told) -> None:
    """What a record says that is no message."""
    if kind == SCHEMA:
        (number,) = struct.unpack_from("<H", data)
        name, at = _text(data, 2)
        encoding, at = _text(data, at)
        content, _ = _bytes(data, at)
        if number and len(told.schemas) < MAX_KINDS:
            told.schemas.setdefault(number, Schema(name, encoding, content))
    elif kind == CHANNEL:
        number, schema = struct.unpack_from("<HH", data)
        topic, at = _text(data, 4)
        encoding, at = _text(data, at)
        metadata, _ = _pairs(data, at)
        if len(told.channels) < MAX_KINDS:
            told.channels.setdefault(number, Channel(topic, encoding, told.schemas.get(schema), metadata))
    elif kind == METADATA:
        name, at = _text(data, 0)
        pairs, _ = _pairs(data, at)
        if len(told.metadata) < MAX_KINDS:
            told.metadata.append((name, pairs))
    elif kind == HEADER:
        told.profile, at = _text(data, 0)
        told.library, _ = _text(data, at)


def _bytes(data: memoryview, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<I", data, at)
    if length > len(data) - at - 4:
        raise ValueError("text beyond the end")
    return bytes(data[at + 4 : at + 4 + length]), at + 4 + length


def _text(data: memoryview, at: int) -> tuple[str, int]:
    content, at = _bytes(data, at)
    return content.decode("utf-8", "replace"), at


def _pairs(data: memoryview, at: int) -> tuple[dict[str, str], int]:
    content, at = _bytes(data, at)
    inner, place = memoryview(content), 0
    found: dict[str, str] = {}
    while place < len(inner):
        key, place = _text(inner, place)
        found[key], place = _text(inner, place)
    return found, at


# writing

Numbered = tuple[int, int, bytes]
"""A message: number of its channel, from 1; time in ns; content."""


def mcap_bytes(
    channels: Sequence[Channel],
    messages: Sequence[Numbered],
    metadata: Sequence[tuple[str, Mapping[str, str]]] = (),
    *,
    profile: str = "ros2",
    library: str = "sima2",
    chunk_bytes: int = 1 << 20,
    checksums: bool = True,
) -> bytes:
    """A whole file: chunks that are not packed, each with its checksum and index; the same bytes for the same input.

    Args:
        channels: numbered from 1 in this order.
        messages: in order of time.
        metadata: records by name.
        profile: of the file, see the specification's registry.
        library: what wrote it.
        chunk_bytes: size at which a chunk ends.
        checksums: whether chunks have one.
    """
    schemas = list(dict.fromkeys(each.schema for each in channels if each.schema is not None))
    kinds = _kinds(channels, schemas)
    out, chunk_index = bytearray(MAGIC + _record(HEADER, _string(profile) + _string(library))), bytearray()
    chunks, counts = 0, [0] * (len(channels) + 1)
    for part in _parts(messages, chunk_bytes):
        chunk_index += _add_chunk(out, part, b"" if chunks else kinds, counts, checksums=checksums)
        chunks += 1
    for name, pairs in metadata:
        record = _record(METADATA, _string(name) + _map(pairs))
        chunk_index += _record(METADATA_INDEX, struct.pack("<QQ", len(out), len(record)) + _string(name))
        out += record
    out += _record(DATA_END, struct.pack("<I", 0))
    first, last = (messages[0][1], messages[-1][1]) if messages else (0, 0)
    told = b"".join(struct.pack("<HQ", k, count) for k, count in enumerate(counts) if k)
    totals = struct.pack(
        "<QHIIIIQQI", sum(counts), len(schemas), len(channels), 0, len(metadata), chunks, first, last, len(told)
    )
    summary = kinds + chunk_index + _record(STATISTICS, totals + told)
    return bytes(out + summary + _record(FOOTER, struct.pack("<QQI", len(out), 0, 0)) + MAGIC)


def _kinds(channels: Sequence[Channel], schemas: Sequence[Schema]) -> bytes:
    """Records of all schemas, numbered from 1, and of all channels."""
    kinds = b"".join(
        _record(SCHEMA, struct.pack("<H", k) + _string(each.name) + _string(each.encoding) + _string(each.data))
        for k, each in enumerate(schemas, 1)
    )
    for k, each in enumerate(channels, 1):
        schema = 0 if each.schema is None else schemas.index(each.schema) + 1
        head = struct.pack("<HH", k, schema) + _string(each.topic) + _string(each.encoding)
        kinds += _record(CHANNEL, head + _map(each.metadata))
    return kinds


def _add_chunk(out: bytearray, part: Sequence[Numbered], kinds: bytes, counts: list[int], *, checksums: bool) -> bytes:
    """Write a chunk with its message indexes; what the index of chunks says of it.

    Args:
        out: the file so far; it grows.
        part: messages, in order of time.
        kinds: records that go before them.
        counts: messages of each channel so far; they grow.
        checksums: whether it has one.
    """
    begin = len(out)
    content = bytearray(kinds)
    index: dict[int, list[tuple[int, int]]] = {}
    for number, at, data in part:
        index.setdefault(number, []).append((at, len(content)))
        content += _MESSAGE.pack(MESSAGE, 22 + len(data), number, counts[number], at, at) + data
        counts[number] += 1
    times = struct.pack("<QQ", part[0][1], part[-1][1])
    checksum = zlib.crc32(content) if checksums else 0
    sizes = struct.pack("<QII", len(content), checksum, 0) + struct.pack("<Q", len(content))
    out += _record(CHUNK, times + sizes + content)
    length, places, starts = len(out) - begin, b"", len(out)
    for number, rows in sorted(index.items()):
        places += struct.pack("<HQ", number, len(out))
        flat = b"".join(struct.pack("<QQ", *row) for row in rows)
        out += _record(MESSAGE_INDEX, struct.pack("<HI", number, len(flat)) + flat)
    told = struct.pack("<QQI", begin, length, len(places)) + places
    told += struct.pack("<QIQQ", len(out) - starts, 0, len(content), len(content))
    return _record(CHUNK_INDEX, times + told)


def _parts(messages: Sequence[Numbered], most: int) -> Iterator[list[Numbered]]:
    part: list[Numbered] = []
    size = 0
    for each in messages:
        part.append(each)
        size += 31 + len(each[2])
        if size >= most:
            yield part
            part, size = [], 0
    if part:
        yield part


def _record(kind: int, data: bytes) -> bytes:
    return _RECORD.pack(kind, len(data)) + data


def _string(text: str | bytes) -> bytes:
    data = text.encode(errors="replace") if isinstance(text, str) else text
    return struct.pack("<I", len(data)) + data


def _map(pairs: Mapping[str, str]) -> bytes:
    return _string(b"".join(_string(key) + _string(value) for key, value in pairs.items()))
