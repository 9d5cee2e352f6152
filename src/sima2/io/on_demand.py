"""Files of a data set that lies elsewhere: each is brought here when it is first opened.

A data set at a URL has a folder here in which every file that it lists stands under its own name, empty until it is
asked for (:mod:`sima2.io.remote`). So all that reads folders reads it too, if it calls :func:`bring` before it opens a
file, as ``documents.refuse_no_file`` does, or reads parts of it by :func:`reading`. Local files are left as they are.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Final, Protocol


class Elsewhere(Protocol):
    """Where the files of a folder come from."""

    def bring(self, relative: str) -> None:
        """Have a file of the folder here whole; of a name that is not listed, nothing."""
        ...

    def reading(self, relative: str) -> BinaryIO | None:
        """A file of the folder, to read parts of without bringing all of it; None where it is here or not listed."""
        ...

    def state(self) -> list[tuple[str, int, str]]:
        """Name, bytes and state (an etag, else a time) of every file, in order of names."""
        ...


_FOLDERS: Final[dict[str, Elsewhere]] = {}
"""By folder, what fills it; of this process."""


def register(folder: Path, elsewhere: Elsewhere) -> None:
    """From now on the files of a folder (links followed) are brought from elsewhere."""
    _FOLDERS[os.fspath(folder)] = elsewhere


def elsewhere(path: Path) -> tuple[Elsewhere, str] | None:
    """What fills the folder that a path is in or is, and the path in it; None for what is only here."""
    if not _FOLDERS:
        return None
    text = os.fspath(path)
    for folder, each in _FOLDERS.items():
        if text == folder or text.startswith(folder + os.sep):
            return each, text[len(folder) + 1 :].replace(os.sep, "/")
    return None


def bring(path: Path) -> None:
    """Have a file here whole, before it is opened.

    Raises:
        SourceLostError: if it cannot be had any more.
    """
    found = elsewhere(path)
    if found is not None:
        found[0].bring(found[1])


def reading(path: Path) -> BinaryIO:
    """A file to read small parts of, opened.

    Raises:
        OSError: if it cannot be opened.
        SourceLostError: if it cannot be had any more.
    """
    found = elsewhere(path)
    parts = None if found is None else found[0].reading(found[1])
    return path.open("rb") if parts is None else parts
