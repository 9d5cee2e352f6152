"""Which frames a LeRobot data set holds, and how it numbers them: two columns of its files, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sima2.errors import DatasetError
from sima2.io.documents import inside
from sima2.io.formats.frame_source import BY_INDEX, BY_ROW, FrameRows
from sima2.io.formats.lerobot_files import read_frames, whole
from sima2.io.formats.lerobot_index import Index, load_index
from sima2.io.formats.lerobot_rows import files_to_read, in_order, rows_by_file
from sima2.records.arrays import Int64s


def lerobot_rows(root: Path) -> FrameRows:
    """The frames of a LeRobot data set.

    Raises:
        DatasetError: if its metadata cannot be read.
    """
    known = load_index(root)
    episodes: list[Int64s] = []
    indices: list[Int64s] = []
    unread: list[int] = []
    counted = True
    for file, held in _files(known).items():
        try:
            frames = read_frames(inside(root, file), ["index"], None)
        except DatasetError:
            unread += held
            lengths = [known_length for each in held if (known_length := _stated(known).get(each)) is not None]
            counted &= len(lengths) == len(held)
            # they have rows, though nobody can read them: what comes after is not numbered by what is left
            episodes.append(np.repeat(np.array(held, np.int64)[: len(lengths)], lengths))
            continue
        shared = known.shared_files and frames.episode is not None
        owner = frames.episode if shared else np.full(frames.rows, held[0], np.int64)
        kept = np.isin(owner, held)  # type: ignore[arg-type]
        episodes.append(owner[kept])  # type: ignore[index]
        column = frames.features.get("index")
        if column is not None and column.shape[1] == 1:
            indices.append(whole(column[:, 0])[kept])
    episode = np.concatenate([np.zeros(0, np.int64), *episodes])
    index = np.concatenate([np.zeros(0, np.int64), *indices])
    lost = np.isin(episode, unread)
    told = len(index) == np.count_nonzero(~lost) and len(np.unique(index)) == len(index) and bool((index >= 0).all())
    if not told and not counted:
        raise DatasetError(root, "rows cannot be numbered: the column index is missing, and so are lengths of episodes")
    number = np.arange(len(episode))
    return FrameRows(
        episode=episode[~lost],
        index=index if told else number[~lost],
        numbered=BY_INDEX if told else BY_ROW,
        unread=tuple(unread),
        stated=_stated(known),
    )


def _stated(known: Index) -> dict[int, int]:
    """Frames of each episode as the metadata state them."""
    return {entry.episode: entry.length for entry in known.episodes if entry.length is not None}


def _files(known: Index) -> dict[str, list[int]]:
    """The files that are read, in order, and the episodes whose rows are read from each."""
    held = rows_by_file(known.root) if known.shared_files else {}
    files: dict[str, list[int]] = {}
    for entry in known.episodes:
        for file in files_to_read(entry, held.get(entry.episode, {})):
            files.setdefault(file, []).append(entry.episode)
    return {file: files[file] for file in in_order(list(files))} if known.shared_files else files
