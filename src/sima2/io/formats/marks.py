"""By what a data set is known: files that lie in its folder, or the path itself being one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Final

MOST_FILES: Final = 1_000_000
"""Files of a data set that are listed; a longer list is not what it says."""
DEEPEST: Final = 8
"""Folders below that of a data set in which its files are looked for."""

Mark = Callable[[Path], bool]


def document(name: str) -> Mark:
    """Whether a folder holds a file of this name; a link that leads nowhere counts, for it says what was meant."""

    def fits(path: Path) -> bool:
        mark = path / name
        return mark.is_symlink() or mark.exists()

    return fits


def holds(*patterns: str, deep: int = 0) -> Mark:
    """Whether a path is a file of one of these patterns, or a folder that has one in it."""

    def fits(path: Path) -> bool:
        return next(iter(islice(_walk(path, patterns, deep), 1)), None) is not None

    return fits


def files_of(path: Path, *patterns: str, deep: int = 0) -> list[Path]:
    """Files that a path is or holds, by pattern of their names, sorted by their paths."""
    return sorted(islice(_walk(path, patterns, deep), MOST_FILES))


def located(path: Path, *patterns: str, deep: int = 0) -> tuple[Path, list[str]]:
    """The folder of a data set, and its files by pattern of their names, relative and sorted.

    A file that is named itself may be a link to anywhere; those of a folder may not lead out of it.
    """
    if not path.is_dir():
        whole = path.resolve()
        return whole.parent, [whole.name]
    return path, [file.relative_to(path).as_posix() for file in files_of(path, *patterns, deep=deep)]


def listed(words: Sequence[str], most: int) -> str:
    """Some of many words.

    >>> listed(["a", "b", "c"], 2)
    'a; b; …'
    """
    return "; ".join([*words[:most], *(["…"] if len(words) > most else [])])


def _walk(path: Path, patterns: Sequence[str], deep: int) -> Iterator[Path]:
    if not path.is_dir():
        if _named(path.name, patterns):
            yield path
        return
    folders: list[Path] = []
    with os.scandir(path) as found:
        for each in found:
            if each.name.startswith("."):
                continue
            if _named(each.name, patterns):
                yield Path(each.path)
            elif deep and each.is_dir(follow_symlinks=False):
                folders.append(Path(each.path))
    for folder in folders:
        yield from _walk(folder, patterns, deep - 1)


def _named(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern) for pattern in patterns)
