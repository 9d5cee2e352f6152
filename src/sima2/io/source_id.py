"""What tells a source from every other: its content, not its folder's name or times."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from os import SEEK_END
from pathlib import Path
from typing import Final

from sima2.errors import DatasetError
from sima2.io.documents import inside, is_file
from sima2.io.on_demand import bring, elsewhere, reading

DIGITS: Final = 6
"""Of an id, in hexadecimal: that two of a hundred sources agree by chance happens once in 3,000 times."""
TAIL: Final = 4096
"""Bytes read of the end of each file: the footer of a Parquet file, whose statistics tell its content …"""
WITHIN: Final = (0.2, 0.5, 0.8)
"""… and at these shares of it, for not every footer tells."""
AT_ONCE: Final = 16
"""Requests at once for parts of files that lie elsewhere."""
WHOLE: Final = 256 * 2**20
"""Bytes up to which a file is read whole to tell its state: LeRobot cuts data files at 100 MB; a second's work."""
SEEN: Final = (".mp4", ".mkv", ".avi", ".webm", ".png", ".jpg", ".jpeg", ".webp")
"""Ends of the names of pictures and films."""


def id_of(*parts: str) -> str:
    """An id of words.

    >>> id_of("synthetic", "seed 1") == id_of("synthetic", "seed 1") != id_of("synthetic", "seed 2")
    True
    """
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:DIGITS]


def content_id(root: Path, document: str, data: str) -> str:
    """The id of a data set in files.

    Args:
        root: its folder.
        document: the file that describes it, taken whole; relative.
        data: pattern of its data files, of which names, sizes and ends are taken; relative.
    """
    bring(root / document)
    hashed = hashlib.sha256((root / document).read_bytes())
    return _of_files(hashed, root, sorted(file.relative_to(root).as_posix() for file in root.glob(data)))


def files_id(root: Path, names: Sequence[str]) -> str:
    """The id of a data set that consists of some files and has none that describes it."""
    return _of_files(hashlib.sha256(), root, names)


def _of_files(hashed: hashlib._Hash, root: Path, names: Sequence[str]) -> str:
    for name, end in zip(names, _ends(root, names), strict=True):
        hashed.update(f"\0{name}\0".encode(errors="replace"))
        hashed.update(end)
    return hashed.hexdigest()[:DIGITS]


def _ends(root: Path, names: Sequence[str]) -> Iterator[bytes]:
    """What is taken of each file; many at once where each is a request to another machine."""
    if elsewhere(root) is None:
        yield from map(partial(_end_of, root), names)
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(partial(_end_of, root), names)


def _end_of(root: Path, name: str) -> bytes:
    try:
        return _end(inside(root, name))
    except (DatasetError, OSError):  # a link that leads out of it, or what may not be read: its name must do
        return b""


def _end(file: Path) -> bytes:
    """Size, last bytes and some within of a file; of what is none, nothing is ever read."""
    if not is_file(file):
        return b""
    with reading(file) as opened:
        size = opened.seek(0, SEEK_END)
        opened.seek(max(0, size - TAIL))
        parts = [f"{size}\0".encode(), opened.read(TAIL)]
        for share in WITHIN if size > 2 * TAIL else ():
            opened.seek(int(share * size))
            parts.append(opened.read(TAIL))
        return b"".join(parts)


def state_of(path: Path) -> str:
    """What tells two states of a data set apart: content, not times, so that a copy is the same; 32 hexadecimal digits.

    Pictures and films, of which no result depends, count by name and size. A file too large to be read for this alone
    counts by size, parts and its time of change, for what is written into it may lie between those parts. Elsewhere the
    listing tells.
    """
    found = elsewhere(path)
    if found is not None:
        rows = [f"{name}\0{size}\0{'' if _is_seen(name) else state}" for name, size, state in found[0].state()]
        return hashlib.sha256("\n".join(rows).encode(errors="replace")).hexdigest()[:32]
    files = sorted(each for each in path.rglob("*") if is_file(each)) if path.is_dir() else [path]
    hashed = hashlib.sha256()
    for each in files:
        hashed.update(f"{each.relative_to(path)}\0".encode(errors="replace"))
        try:
            hashed.update(_state_of(each))
        except OSError:
            continue
    return hashed.hexdigest()[:32]


def _state_of(file: Path) -> bytes:
    told = file.stat()
    if _is_seen(file.name):
        return f"{told.st_size}\0".encode()
    if told.st_size <= WHOLE:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    return _end(file) + f"{told.st_mtime_ns}\0".encode()


def _is_seen(name: str) -> bool:
    return name.lower().endswith(SEEN)
