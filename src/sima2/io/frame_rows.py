"""Which frames a recorded data set holds, and how it numbers them: two columns of its files, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError
from sima2.io.documents import inside
from sima2.io.formats.lerobot_files import read_frames
from sima2.io.formats.lerobot_index import load_index

Whole = NDArray[np.int64]
BY_INDEX, BY_ROW = "the column index of the data", "the place of each row, for the column index is missing or repeats"


@dataclass(frozen=True, slots=True, eq=False)
class FrameRows:
    """Rows of a data set in the order of its files."""

    episode: Whole
    """The data set's own number of the episode of each row, shape (n,)."""
    index: Whole
    """What a row is known by, shape (n,)."""
    numbered: str
    """What ``index`` is: ``BY_INDEX`` or ``BY_ROW``."""
    unread: tuple[int, ...]
    """Episodes whose rows cannot be read."""
    stated: dict[int, int]
    """Frames of each episode as the metadata state them."""


def frame_rows(root: Path) -> FrameRows:
    """The frames of a LeRobot data set.

    Raises:
        DatasetError: if its metadata cannot be read.
    """
    known = load_index(root)
    episodes: list[Whole] = []
    indices: list[Whole] = []
    unread: list[int] = []
    files: dict[str, list[int]] = {}
    for entry in known.episodes:
        files.setdefault(entry.file, []).append(entry.episode)
    for file, held in files.items():
        try:
            frames = read_frames(inside(root, file), ["index"], None)
        except DatasetError:
            unread += held
            continue
        shared = known.shared_files and frames.episode is not None
        episodes.append(frames.episode if shared else np.full(frames.rows, held[0], np.int64))  # type: ignore[arg-type]
        column = frames.features.get("index")
        if column is not None and column.shape[1] == 1:
            indices.append(np.nan_to_num(column[:, 0], nan=-1).astype(np.int64))
    episode = np.concatenate([np.zeros(0, np.int64), *episodes])
    index = np.concatenate([np.zeros(0, np.int64), *indices])
    whole = len(index) == len(episode) and len(np.unique(index)) == len(index) and bool((index >= 0).all())
    return FrameRows(
        episode=episode,
        index=index if whole else np.arange(len(episode)),
        numbered=BY_INDEX if whole else BY_ROW,
        unread=tuple(unread),
        stated={entry.episode: entry.length for entry in known.episodes if entry.length is not None},
    )
