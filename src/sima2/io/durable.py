"""Files that after a crash are there as a whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


def is_taken(folder: Path) -> bool:
    """Whether no new folder may be made here: there is a link, a file, or a folder that holds anything."""
    if folder.is_symlink() or not folder.exists():
        return folder.is_symlink()
    return not folder.is_dir() or any(folder.iterdir())


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which appears under its name only when the block ends, all of it on the disk.

    After an error or a crash nothing is there under the name; after an error nothing is left of what was written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder.parent))
    try:
        yield building
        sync_tree(building)
        building.chmod(0o755)  # a temporary folder is made for its owner alone
        if folder.is_dir():
            folder.rmdir()  # fails where somebody has put anything into it meanwhile
        building.rename(folder)
        sync_folder(folder.parent)
    finally:
        if building.is_dir():
            shutil.rmtree(building)


def sync_tree(root: Path) -> None:
    """Make sure that all files of a folder are on the disk."""
    for file in sorted(root.rglob("*")):
        if file.is_file():
            with file.open("rb+") as handle:
                os.fsync(handle.fileno())
        else:
            sync_folder(file)


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
