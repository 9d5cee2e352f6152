"""Small text files of a data set, read with suspicion: bounded, inside the data set, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from sima2.errors import DatasetError

LFS_POINTER: Final = b"version https://git-lfs"
"""How a file begins that Git LFS has not fetched (Git LFS specification)."""
MAX_DOCUMENT: Final = 256 * 1024 * 1024
"""Bytes of one text file; the index of a million episodes takes about 100 MB."""
FETCH: Final = "only a Git-LFS pointer is here: run `git lfs pull` in the data set"


def inside(root: Path, relative: str) -> Path:
    """A path of a data set, wherever links lead.

    Raises:
        DatasetError: if it is not below ``root`` after all links are followed.
    """
    try:
        whole = (root / relative).resolve()
        good = whole.is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # name too long, links in a circle, NUL in a name
        raise DatasetError(root, f"{relative!r} is no path: {error}") from None
    if not good:
        raise DatasetError(root, f"{relative!r} leads out of the data set", "copy the files it links to into it")
    return whole


def is_file(path: Path) -> bool:
    """Whether a regular file is there."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_lfs_pointer(path: Path) -> bool:
    """Whether the file is only the address of one that was not fetched."""
    with path.open("rb") as file:
        return file.read(len(LFS_POINTER)) == LFS_POINTER


def read_document(root: Path, relative: str) -> str:
    """The text of a small file.

    Raises:
        DatasetError: if it is missing, empty, too large, not text, or only a Git-LFS pointer.
    """
    path = inside(root, relative)
    name = root / relative
    if not is_file(path):
        raise DatasetError(name, "is missing")
    try:
        if path.stat().st_size > MAX_DOCUMENT:
            raise DatasetError(name, f"is larger than {MAX_DOCUMENT} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(name, f"cannot be read: {error.strerror}") from error
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
    for number, line in enumerate(read_document(root, relative).split("\n"), 1):
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


def parse_json(text: str, name: object) -> Any:
    """Parsed JSON.

    Raises:
        DatasetError: if it is not JSON, or nested beyond reason.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DatasetError(name, f"is not JSON: {error.msg} in line {error.lineno}") from None
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits, brackets without end
        raise DatasetError(name, f"is not JSON one can read: {error}") from None
