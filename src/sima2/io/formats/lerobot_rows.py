"""In which files of a LeRobot data set the rows of each episode lie, whatever its index says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from sima2.errors import DatasetError
from sima2.io.documents import inside
from sima2.io.formats.frame_source import Entry
from sima2.io.formats.lerobot_files import episodes_in


def in_order(names: list[str]) -> list[str]:
    """Names of files by the numbers in them.

    >>> in_order(["file-1000.parquet", "file-999.parquet"])
    ['file-999.parquet', 'file-1000.parquet']
    """
    return sorted(names, key=lambda name: [int(each) if each.isdigit() else each for each in re.split(r"(\d+)", name)])


@lru_cache(maxsize=4)
def rows_by_file(root: Path) -> Mapping[int, Mapping[str, int]]:
    """Rows of each episode in each file that holds any, files in order, by looking into all of them."""
    found: dict[int, dict[str, int]] = {}
    for name in in_order([file.relative_to(root).as_posix() for file in (root / "data").glob("*/*.parquet")]):
        try:
            held = episodes_in(inside(root, name))
        except DatasetError:
            continue  # told when it is read
        for episode, rows in held:
            found.setdefault(episode, {})[name] = rows
    return found


def files_to_read(entry: Entry, held: Mapping[str, int]) -> tuple[str, ...]:
    """Files that the rows of an episode are read from: that of the index, unless it lacks some of them, or may.

    Args:
        entry: of the index.
        held: rows of the episode by file.
    """
    if not held or (entry.length is not None and held.get(entry.file, 0) >= entry.length):
        return (entry.file,)
    return tuple(held)
