"""Files that after a crash are there as a whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

TEMPORARY: Final = ".writing-"
"""How the name of a file begins that is not whole yet."""


def replace_file(target: Path, write: Callable[[Path], Any]) -> str:
    """Write a file so that after a crash it is there as a whole or not at all; its sha256."""
    temporary = target.with_name(f"{TEMPORARY}{target.name}")
    write(temporary)
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    sha256 = sha256_of(temporary)
    temporary.replace(target)
    sync_folder(target.parent)
    return sha256


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, for :func:`replace_file`."""
    path.write_bytes(data)


def link_or_copy(file: Path, target: Path) -> None:
    """The same content under another name, which stays as it is when the first name is given to another file."""
    try:
        os.link(file, target)
    except OSError:  # a file system without links
        shutil.copy2(file, target)


def make_folder(folder: Path) -> None:
    """Make a folder where it is missing, for good."""
    if not folder.is_dir():
        folder.mkdir()
        sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Make what was renamed into a folder stay there after a crash."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """sha256 of the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(path: Path) -> str:
    """What tells two states of a file or folder apart without reading it whole: names, sizes and times of change."""
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    hashed = hashlib.sha256()
    for each in files:
        try:
            state = each.stat()
        except OSError:
            continue
        hashed.update(f"{each.relative_to(path)}\0{state.st_size}\0{state.st_mtime_ns}\0".encode(errors="replace"))
    return hashed.hexdigest()[:32]
