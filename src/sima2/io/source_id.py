"""What tells a source from every other: its content, not its folder's name or times."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from os import SEEK_END
from pathlib import Path
from typing import Final

from sima2.errors import DatasetError
from sima2.io.documents import inside, is_file

DIGITS: Final = 6
"""Of an id, in hexadecimal: that two of a hundred sources agree by chance happens once in 3,000 times."""
TAIL: Final = 4096
"""Bytes read of the end of each file: the footer of a Parquet file, whose statistics tell its content …"""
WITHIN: Final = (0.2, 0.5, 0.8)
"""… and at these shares of it, for not every footer tells."""


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
    hashed = hashlib.sha256((root / document).read_bytes())
    return _of_files(hashed, root, sorted(file.relative_to(root).as_posix() for file in root.glob(data)))


def files_id(root: Path, names: Sequence[str]) -> str:
    """The id of a data set that consists of some files and has none that describes it."""
    return _of_files(hashlib.sha256(), root, names)


def _of_files(hashed: hashlib._Hash, root: Path, names: Sequence[str]) -> str:
    for name in names:
        hashed.update(f"\0{name}\0".encode(errors="replace"))
        try:
            hashed.update(_end(inside(root, name)))
        except (DatasetError, OSError):  # a link that leads out of it, or what may not be read: its name must do
            continue
    return hashed.hexdigest()[:DIGITS]


def _end(file: Path) -> bytes:
    """Size, last bytes and some within of a file; of what is none, nothing is ever read."""
    if not is_file(file):
        return b""
    with file.open("rb") as opened:
        size = opened.seek(0, SEEK_END)
        opened.seek(max(0, size - TAIL))
        parts = [f"{size}\0".encode(), opened.read(TAIL)]
        for share in WITHIN if size > 2 * TAIL else ():
            opened.seek(int(share * size))
            parts.append(opened.read(TAIL))
        return b"".join(parts)
