"""TFRecord files and the ``tf.train.Example`` messages in them, read without TensorFlow.

A record is its length (8 bytes), a checksum of that, the data and a checksum of these (TensorFlow, TFRecord format). An
Example is a map of names to lists of bytes, of floats or of whole numbers (tensorflow/core/example). Only what is asked
for is read: images are stepped over.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Float32s, Int64s

MAX_ENTRIES: Final = 4096
"""Names of one Example."""
MAX_NAME: Final = 1024
MAX_LIST: Final = 256 * 1024 * 1024
"""Bytes of one list that is read."""
HEAD: Final = 12
"""Bytes before the data of a record; there are 4 behind them."""
_VARINT: Final = 10


class ExampleError(ValueError):
    """A file or a record that is not what it should be."""


class Span(NamedTuple):
    """Where the data of a record lie."""

    start: int
    length: int


def _table() -> NDArray[np.uint32]:
    """CRC-32C of each byte (Castagnoli, reflected)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1).astype(np.uint32)
    return table


_CRC: Final[list[int]] = _table().tolist()


def masked_crc(data: bytes) -> int:
    """The checksum of a record, CRC-32C turned and moved, as TFRecord has it.

    >>> hex(masked_crc(b"123456789"))
    '0xc78ab0e5'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 255] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def spans_of(file: int, size: int, note: Callable[[str], object]) -> list[Span]:
    """The records of a file in order, as far as it goes.

    Args:
        file: descriptor.
        size: bytes of the file.
        note: told what is odd.
    """
    found = []
    at = 0
    while at < size:
        head = os.pread(file, HEAD, at)
        if len(head) < HEAD:
            note(f"ends after {at} bytes in the middle of a record: what came before is read")
            break
        length, crc = struct.unpack("<QI", head)
        if masked_crc(head[:8]) != crc:
            note(f"the length of the record at byte {at} does not fit its checksum: what came before is read")
            break
        if length > size - at - HEAD - 4:
            note(f"the record at byte {at} is cut off: what came before is read")
            break
        found.append(Span(at + HEAD, length))
        at += HEAD + length + 4
    return found


def read_example(file: int, span: Span, wanted: Callable[[str], bool]) -> dict[str, NDArray[Any] | list[bytes]]:
    """Some of the lists of an Example by name: numbers as they are stored, or pieces of bytes.

    Raises:
        ExampleError: if it is none.
    """
    found: dict[str, NDArray[Any] | list[bytes]] = {}
    entries = 0
    for number, start, stop in _fields(file, span.start, span.start + span.length):
        if number != 1:
            continue
        for inner, begin, end in _fields(file, start, stop):
            if inner != 1:
                continue
            entries += 1
            if entries > MAX_ENTRIES:
                raise ExampleError(f"holds more than {MAX_ENTRIES} names")
            parts = {key: (first, last) for key, first, last in _fields(file, begin, end)}
            if 1 not in parts or parts[1][1] - parts[1][0] > MAX_NAME:
                continue
            name = os.pread(file, parts[1][1] - parts[1][0], parts[1][0]).decode("utf-8", "replace")
            if 2 in parts and wanted(name):
                value = _list(file, name, *parts[2])
                if value is not None:
                    found[name] = value
    return found


def _fields(file: int, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of each field with a length of a message in the file."""
    while at < stop:
        head = os.pread(file, min(2 * _VARINT, stop - at), at)
        tag, used = _varint(head, 0)
        if tag & 7 != 2:
            raise ExampleError("is no tf.train.Example")
        length, used = _varint(head, used)
        at += used
        if length > stop - at:
            raise ExampleError("is cut off in the middle of a list")
        yield tag >> 3, at, at + length
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for k in range(_VARINT):
        if at + k >= len(data):
            break
        byte = data[at + k]
        value |= (byte & 127) << (7 * k)
        if byte < 128:
            return value, at + k + 1
    raise ExampleError("is no tf.train.Example")


def _list(file: int, name: str, start: int, stop: int) -> NDArray[Any] | list[bytes] | None:
    for kind, begin, end in _fields(file, start, stop):
        if end - begin > MAX_LIST:
            raise ExampleError(f"{name[:100]} holds more than {MAX_LIST} bytes")
        data = os.pread(file, end - begin, begin)
        if len(data) < end - begin:
            raise ExampleError("is cut off in the middle of a list")
        if kind == 1:
            return _pieces(data)
        if kind == 2:
            return _floats(data)
        if kind == 3:
            return _integers(data)
    return None


def _pieces(data: bytes) -> list[bytes]:
    found = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        length, at = _varint(data, at)
        if tag != 10 or length > len(data) - at:
            raise ExampleError("is no tf.train.Example")
        found.append(data[at : at + length])
        at += length
    return found


def _packed(data: bytes, single: int) -> Iterator[tuple[bool, int, int]]:
    """Runs of packed numbers (true), and single ones behind the tag ``single`` (false): begin, and end of a run."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag == 10:
            length, at = _varint(data, at)
            if length > len(data) - at:
                raise ExampleError("is no tf.train.Example")
            yield True, at, at + length
            at += length
        elif tag == single:
            stop = at + 4 if single == 13 else _varint(data, at)[1]
            if stop > len(data):
                raise ExampleError("is no tf.train.Example")
            yield False, at, stop
            at = stop
        else:
            raise ExampleError("is no tf.train.Example")


def _floats(data: bytes) -> Float32s:
    parts = [data[begin:stop] for _, begin, stop in _packed(data, 13)]
    joined = b"".join(parts)
    if len(joined) % 4:
        raise ExampleError("holds a part of a number")
    return np.frombuffer(joined, "<f4").astype(np.float32)


def _integers(data: bytes) -> Int64s:
    """Whole numbers of seven bits a byte, the last of each below 128."""
    raw = np.frombuffer(b"".join(data[begin:stop] for _, begin, stop in _packed(data, 8)), np.uint8)
    ends = np.flatnonzero(raw < 128)
    if len(raw) and (not len(ends) or ends[-1] != len(raw) - 1):
        raise ExampleError("holds a part of a number")
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    if len(ends) and int((ends - starts).max()) >= _VARINT:
        raise ExampleError("holds a number that is too long")
    place = np.arange(len(raw)) - np.repeat(starts, ends - starts + 1)
    bits = (raw & 127).astype(np.uint64) << (7 * place).astype(np.uint64)
    return np.add.reduceat(bits, starts).astype(np.int64) if len(ends) else np.zeros(0, np.int64)
