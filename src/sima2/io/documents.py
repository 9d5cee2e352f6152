"""Small text files of a data set, read with suspicion: bounded, inside the data set, never a traceback."""

from __future__ import annotations

import json
import reprlib
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sima2.errors import DatasetError
from sima2.io.on_demand import bring, reading

LFS_POINTER: Final = b"version https://git-lfs"
"""How a file begins that Git LFS has not fetched (Git LFS specification)."""
MAX_DOCUMENT: Final = 256 * 1024 * 1024
"""Bytes of one text file; the index of a million episodes takes about 100 MB."""
MAX_VALUES: Final = 8_000_000
"""Values in one JSON file, five a row for a million episodes and more; an empty list takes 3 bytes of text and 64 of
memory, so that bytes alone do not bound it."""
FETCH: Final = "only a Git-LFS pointer is here: run `git lfs pull` in the data set"
LONG_NAME: Final = 200
"""Bytes of a name that every file system takes."""
_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


def inside(root: Path, relative: str) -> Path:
    """A path of a data set, wherever links lead.

    Raises:
        DatasetError: if it is not below ``root`` after all links are followed.
    """
    try:
        whole = (root / relative).resolve()
        good = whole.is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # name too long, links in a circle, NUL in a name
        raise DatasetError(root, f"{relative!r} is no path: {reason(error)}") from None
    if not good:
        raise DatasetError(root, f"{relative!r} leads out of the data set", "copy the files it links to into it")
    return whole


def insider(root: Path) -> Callable[[str], Path]:
    """:func:`inside` for many files of one data set: links of their folders are followed once."""
    folders: dict[str, Path] = {}

    def find(relative: str) -> Path:
        head, _, name = relative.rpartition("/")
        if head and name not in ("", ".", "..") and len(name.encode(errors="replace")) < LONG_NAME:
            try:
                folder = folders[head] if head in folders else folders.setdefault(head, inside(root, head))
            except DatasetError:
                return inside(root, relative)
            whole = folder / name
            if "\0" not in name and not whole.is_symlink():
                return whole
        return inside(root, relative)

    return find


def is_file(path: Path) -> bool:
    """Whether a regular file is there."""
    try:
        return path.is_file()
    except OSError:
        return False


def refuse_no_file(path: Path, name: Path | None = None) -> None:
    """Nothing but a regular file is ever opened: a pipe would wait for a writer, a device has no end.

    What lies elsewhere is brought here: whatever opens a file of a data set calls this before.

    Raises:
        DatasetError: if there is something else, or nothing; ``name`` is how the message calls it.
    """
    bring(path)
    if is_file(path):
        return
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        raise DatasetError(name or path, "is missing") from None
    except (OSError, ValueError) as error:
        raise DatasetError(name or path, f"cannot be read: {reason(error)}") from None
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISLNK, "a link that leads to no file"), (bool, "a pipe or a device"))
    raise DatasetError(name or path, f"is {next(what for is_it, what in kinds if is_it(mode))}", "a file was expected")


def reason(error: Exception) -> str:
    """Why the operating system refused, without the path, which the message names already."""
    return str(getattr(error, "strerror", None) or error)


def shown(value: object) -> str:
    """A value as it appears in a message: short, however long or deep it is.

    >>> shown("x" * 1000), shown([[[[[[[1]]]]]]])
    ("'xxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxx'", '[[[[[[[...]]]]]]]')
    """
    return _SHORT.repr(value)


def is_lfs_pointer(path: Path) -> bool:
    """Whether the file is only the address of one that was not fetched.

    Raises:
        DatasetError: if it cannot be read.
    """
    try:
        with reading(path) as file:
            return file.read(len(LFS_POINTER)) == LFS_POINTER
    except OSError as error:
        raise DatasetError(path, f"cannot be read: {reason(error)}") from None


def read_document(root: Path, relative: str, *, most: int = MAX_DOCUMENT) -> str:
    """The text of a small file.

    Raises:
        DatasetError: if it is missing, empty, too large, not text, or only a Git-LFS pointer.
    """
    path = inside(root, relative)
    name = root / relative
    refuse_no_file(path, name)
    try:
        if path.stat().st_size > most:
            raise DatasetError(name, f"is larger than {most} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(name, f"cannot be read: {reason(error)}") from error
    if not data.strip():
        raise DatasetError(name, "is empty", "fetch it again")
    if data.startswith(LFS_POINTER):
        raise DatasetError(name, "holds no data", FETCH)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(name, f"is not UTF-8: {error.reason} at byte {error.start}") from None


def read_json(root: Path, relative: str) -> dict[str, Any]:
    """A file that holds one JSON object.

    Raises:
        DatasetError: if it does not.
    """
    value = parse_json(read_document(root, relative), root / relative)
    if not isinstance(value, dict):
        raise DatasetError(root / relative, f"holds {type(value).__name__}, expected an object")
    return value


def read_json_lines(root: Path, relative: str) -> tuple[list[tuple[int, dict[str, Any]]], list[str]]:
    """Objects of a file with one a line, each with its line number, and what was wrong with other lines."""
    rows, problems = [], []
    text = read_document(root, relative)
    _refuse_many(text, root / relative)
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = parse_json(line, f"{relative} line {number}")
        except DatasetError as error:
            problems.append(str(error))
            continue
        if isinstance(value, dict):
            rows.append((number, value))
        else:
            problems.append(f"{relative} line {number}: holds {type(value).__name__}, expected an object")
    return rows, problems


def parse_json(text: str, name: object, *, once: bool = False) -> Any:
    """Parsed JSON.

    Args:
        text: of the file.
        name: for messages.
        once: whether an object that has a key twice is refused; otherwise the last of them counts.

    Raises:
        DatasetError: if it is not JSON, nested beyond reason, or holds more values than any file needs.
    """
    _refuse_many(text, name)
    try:
        return json.loads(text, object_pairs_hook=_once if once else None)
    except json.JSONDecodeError as error:
        raise DatasetError(name, f"is not JSON: {error.msg} in line {error.lineno}") from None
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits, brackets without end
        raise DatasetError(name, f"is not JSON one can read: {error}") from None


def _refuse_many(text: str, name: object) -> None:
    if len(text) > MAX_VALUES and sum(map(text.count, "[{,")) > MAX_VALUES:
        raise DatasetError(name, f"holds more than {MAX_VALUES} values")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"{shown(key)} occurs twice in one object")
            seen.add(key)
    return found
