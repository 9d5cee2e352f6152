"""``labels.jsonl``: what persons say, one JSON object a line; a file that is only ever added to.

A line is written whole or not at all, and is on the disk when the call returns. One that is no label, or that was cut
off by a crash, is left where it is, told, and does no harm to the others: the next label goes on a line of its own.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from sima2.errors import DatasetError, StoreError, UsageError
from sima2.io.documents import parse_json, reason
from sima2.io.durable import sync_folder
from sima2.io.lock import one_writer
from sima2.io.store import LABELS, LEDGER
from sima2.records.labels import Label, LabelTable

MOST_BYTES: Final = 64 * 1024 * 1024
"""Bytes of the file: some 400,000 labels, more than a team says in a year."""
LONGEST_LINE: Final = 128 * 1024
"""Bytes of a line: more than the longest name and value take in escapes of twelve bytes a character."""
SHOWN: Final = 20
"""Of many lines that are no labels, so many are told one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelLog:
    """What the file holds."""

    labels: LabelTable
    problems: tuple[str, ...] = ()
    """What was wrong with lines that hold no label, in words, of the first of them; and how many there are besides."""


def read_labels(out: Path) -> LabelTable:
    """What persons said, in the order in which they said it; nothing where nobody did.

    Args:
        out: folder of the run.

    Raises:
        StoreError: if the file cannot be read, or is larger than any that this program writes.
    """
    return read_log(out).labels


def read_log(out: Path) -> LabelLog:
    """The same, with what was wrong with lines that hold no label.

    Raises:
        StoreError: as :func:`read_labels`.
    """
    path = out / LABELS
    labels: list[Label] = []
    problems: list[str] = []
    wrong = 0
    try:
        handle = os.open(path, os.O_RDONLY | _PLAIN)
    except (FileNotFoundError, NotADirectoryError):
        return LabelLog(LabelTable.empty())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {_why(error)}") from None
    with os.fdopen(_checked(handle, path), "rb") as file:
        for number, line in _lines(file):
            try:
                label = _parsed(number, line)
            except (DatasetError, UsageError) as error:
                wrong += 1
                if wrong <= SHOWN:
                    torn = "" if line.endswith(b"\n") else ", cut off while it was written"
                    problems.append(f"{LABELS} line {number} is no label{torn}: {str(error)[:200]}")
                continue
            if label is not None:
                labels.append(label)
    if wrong > SHOWN:
        problems.append(f"{LABELS}: {wrong - SHOWN} more lines are no labels")
    return LabelLog(LabelTable.of(labels), tuple(problems))


def append_label(out: Path, label: Label) -> None:
    """Say one thing: it is on the disk when this returns.

    Several processes and threads may say something at once; each waits for the others. Nothing that is there changes.

    Args:
        out: folder of a run.
        label: what is said.

    Raises:
        StoreError: if there is no run, the file cannot be written, is full, or others keep it for seconds.
    """
    if not (out / LEDGER).is_file():
        raise StoreError(f"{out}: no results here, so there is nothing to label")
    path = out / LABELS
    line = json.dumps(label.plain(), sort_keys=True).encode() + b"\n"
    with _opened(path) as handle, one_writer(handle, path):
        size = _size(handle, path)
        if size and _last_byte(handle, size) != b"\n":
            line = b"\n" + line  # what was cut off stays a line of its own
        if size + len(line) > MOST_BYTES:
            raise StoreError(f"{path}: would be larger than {MOST_BYTES} bytes; move it away, and keep what counts")
        try:
            _write(handle, line)
            os.fsync(handle)
        except OSError as error:
            os.ftruncate(handle, size)
            raise StoreError(f"{path}: could not be written: {_why(error)}; nothing was said") from None
    if not size:
        sync_folder(out)


_PLAIN: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
"""No link is followed, and no pipe waited for."""


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | _PLAIN, 0o666)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {_why(error)}") from None
    try:
        yield handle
    finally:
        os.close(handle)


def _why(error: Exception) -> str:
    return "it is a link" if getattr(error, "errno", None) == errno.ELOOP else reason(error)


def _size(handle: int, path: Path) -> int:
    told = os.fstat(handle)
    if not stat.S_ISREG(told.st_mode):
        raise StoreError(f"{path}: is no file; move it away")
    return told.st_size


def _checked(handle: int, path: Path) -> int:
    """The handle, closed where there is nothing to read behind it."""
    try:
        if _size(handle, path) > MOST_BYTES:
            raise StoreError(f"{path}: is larger than {MOST_BYTES} bytes; move it away, and keep what counts")
    except StoreError:
        os.close(handle)
        raise
    return handle


def _last_byte(handle: int, size: int) -> bytes:
    os.lseek(handle, size - 1, os.SEEK_SET)
    return os.read(handle, 1)


def _write(handle: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; of one that is too long, its beginning, which is more than any label has."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        yield number, line
        while not line.endswith(b"\n") and len(line) > LONGEST_LINE:
            line = file.readline(LONGEST_LINE + 1)


def _parsed(number: int, line: bytes) -> Label | None:
    """The label of a line; None of an empty one.

    Raises:
        DatasetError: if it is not JSON.
        UsageError: if it is no label.
    """
    if len(line) > LONGEST_LINE:
        raise UsageError(f"is longer than {LONGEST_LINE} bytes")
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        raise UsageError(f"is not UTF-8 at byte {error.start}") from None
    if not text:
        return None
    value = parse_json(text, f"line {number}")
    if not isinstance(value, dict):
        raise UsageError(f"holds {type(value).__name__}, expected an object")
    return Label.of(value)
