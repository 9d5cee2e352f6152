"""Of which format a file of HDF5 is: by its groups where it can be opened, else by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sima2.errors import DatasetError, MissingExtraError
from sima2.io.documents import inside
from sima2.io.formats.droid import FILE
from sima2.io.formats.hdf5 import names_in
from sima2.io.formats.marks import DEEPEST, holds, located
from sima2.io.formats.robomimic import PATTERNS
from sima2.io.intake import clean

_MARKS: Final = {"data": "robomimic", "observations": "aloha", "observation": "droid"}
"""Group of a file, and the format that has it."""
_LOOKED_AT: Final = 3
"""Files of a folder that are opened to tell its format: the first may be damaged."""

is_droid = holds(FILE, deep=DEEPEST)


def is_aloha(path: Path) -> bool:
    """Whether a file, or the files of a folder, are ALOHA's."""
    return _kind(path) == "aloha"


def is_robomimic(path: Path) -> bool:
    """Whether a file, or the files of a folder, are robomimic's."""
    return _kind(path) == "robomimic"


def members_told(path: Path) -> str:
    """What an HDF5 file of no known format holds, in words; empty where it is none."""
    root, files = located(path, *PATTERNS)
    for file in files[:1] if path.is_dir() or holds(*PATTERNS)(path) else ():
        members = _members(root, file)
        if members is not None:
            return clean(f": its HDF5 files hold {', '.join(members[:10]) or 'nothing'}")
    return ""


def _kind(path: Path) -> str:
    if not holds(*PATTERNS)(path):
        return ""
    root, files = located(path, *PATTERNS)
    for file in files[:_LOOKED_AT]:
        members = _members(root, file)
        if members is not None:
            return next((_MARKS[each] for each in _MARKS if each in members), "")
    # the extra is missing, or the files are damaged: opening them will say so
    return "aloha" if files[0].startswith("episode_") else "robomimic"


def _members(root: Path, file: str) -> list[str] | None:
    try:
        return names_in(inside(root, file))[0]
    except (DatasetError, MissingExtraError):
        return None
