"""Data set formats behind one registry: a format is a file here and a row there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sima2.errors import DatasetError
from sima2.io.documents import reason
from sima2.io.formats.dataset import Dataset as Dataset
from sima2.io.formats.dataset import DatasetReport as DatasetReport
from sima2.io.formats.frame_source import FrameSource
from sima2.io.formats.lerobot import INFO, LeRobotFrames
from sima2.io.formats.mapped import MappedDataset
from sima2.io.remote import url_of


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the registry."""

    name: str
    mark: str
    """File by which a data set of this format is recognised, relative to its folder."""
    open: Callable[[Path], FrameSource]


FORMATS: Final = (Format("lerobot", INFO, LeRobotFrames.open),)


def format_of(path: Path) -> str:
    """The name of the format of a recorded data set.

    Raises:
        DatasetError: if it is none of a known format.
    """
    return _row(path).name


def open_dataset(
    path: Path, *, column_map: Path | None = None, outcomes: Path | None = None, goals: Sequence[str] = ()
) -> Dataset:
    """Open a recorded data set of any known format.

    Args:
        path: its folder.
        column_map: TOML that says which columns are what; guessed from names and values where not given.
        outcomes: csv, json, jsonl or parquet keyed by ``episode_index``.
        goals: what was asked for, as ``--goal`` names it.

    Raises:
        DatasetError: if it is no data set of a known format, or malformed as a whole.
    """
    row = _row(path)
    try:
        return MappedDataset.open(row.open(path), column_map, outcomes, goals)
    except OSError as error:
        raise DatasetError(path, f"cannot be read: {reason(error)}") from None


def _row(path: Path) -> Format:
    """The row of the registry that a data set is of."""
    try:
        if not path.exists():
            url = url_of(path)
            if url is not None:
                raise DatasetError(url, "is at a URL, and only files here are read for this", "copy it, name the copy")
            raise DatasetError(path, "is missing")
        if not path.is_dir():
            raise DatasetError(path, "is a file, expected the folder of a data set")
        for each in FORMATS:
            mark = path / each.mark
            if mark.is_symlink() or mark.exists():
                return each
    except OSError as error:  # a folder that may not be entered
        raise DatasetError(path, f"cannot be read: {reason(error)}") from None
    marks = ", ".join(f"{each.mark} ({each.name})" for each in FORMATS)
    raise DatasetError(path, "is no data set of a known format", f"none of {marks} is there")
