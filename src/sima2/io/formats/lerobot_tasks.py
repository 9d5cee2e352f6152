"""What each episode of a LeRobot data set is about: from the index of episodes, else from the frames themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from sima2.errors import DatasetError
from sima2.io.documents import inside, is_file, read_json_lines
from sima2.io.formats.frame_source import Entry
from sima2.io.formats.lerobot_files import read_frames, texts_column, whole, whole_numbers
from sima2.io.intake import clean
from sima2.io.parquet import read_whole

TASK: Final = "task_index"
_TEXTS: Final = ("task", "__index_level_0__")
"""Column of ``meta/tasks.parquet`` that holds the words; LeRobot writes them as the index of a data frame."""


def with_tasks(
    root: Path,
    entries: Sequence[Entry],
    told: Mapping[int, tuple[str, ...]],
    warnings: list[str],
    *,
    shared_files: bool,
) -> list[Entry]:
    """The episodes, each with its task in words.

    Where the index names one, that; where it names none or several, the one of most frames.

    Args:
        root: folder of the data set.
        entries: its episodes.
        told: what the index of episodes says, by episode.
        warnings: added to.
        shared_files: whether a file holds many episodes.
    """
    unclear = [entry for entry in entries if len(told.get(entry.episode, ())) != 1]
    found: dict[int, str] = {}
    if unclear:
        words = _words(root, warnings)
        counts = _frames_by_task(root, unclear, shared_files=shared_files) if words else {}
        several = 0
        for entry in unclear:
            known = {words[index]: n for index, n in counts.get(entry.episode, {}).items() if index in words}
            several += len(known) > 1
            named = told.get(entry.episode, ())
            found[entry.episode] = max(known, key=lambda text: known[text]) if known else (named[0] if named else "")
        if several:
            warnings.append(f"{several} episodes hold frames of several tasks; each is named by the one of most frames")
    return [
        entry._replace(task=found[entry.episode] if entry.episode in found else told[entry.episode][0])
        for entry in entries
    ]


def _words(root: Path, warnings: list[str]) -> dict[int, str]:
    """Every task in words, by its index; none where no file tells."""
    try:
        if is_file(root / "meta/tasks.jsonl"):
            rows, problems = read_json_lines(root, "meta/tasks.jsonl")
            warnings += problems
            return {
                row[TASK]: clean(row["task"])
                for _, row in rows
                if type(row.get(TASK)) is int and isinstance(row.get("task"), str)
            }
        if is_file(root / "meta/tasks.parquet"):
            table = read_whole(inside(root, "meta/tasks.parquet"))
            index = whole_numbers(table, TASK)
            texts = next((each for name in _TEXTS if (each := texts_column(table, name)) is not None), None)
            if index is not None and texts is not None:
                pairs = zip(index, texts, strict=True)
                return {each: clean(text[0]) for each, text in pairs if each is not None and text}
    except DatasetError as error:
        warnings.append(f"{error}; what episodes are about is not known")
    return {}


def _frames_by_task(root: Path, entries: Sequence[Entry], *, shared_files: bool) -> dict[int, dict[int, int]]:
    """Frames of each task in each episode, in order of first frame."""
    by_file: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_file[entry.file].append(entry)
    found: dict[int, dict[int, int]] = {}
    for file, together in by_file.items():
        try:
            wanted = {entry.episode for entry in together} if shared_files else None
            frames = read_frames(inside(root, file), [TASK], wanted)
        except DatasetError:
            continue  # put aside when it is read
        tasks = frames.features.get(TASK)
        if tasks is None or tasks.shape[1] != 1:
            continue
        for entry in together:
            rows = slice(None) if frames.episode is None or not shared_files else frames.episode == entry.episode
            values, first, count = np.unique(whole(tasks[rows, 0]), return_index=True, return_counts=True)
            found[entry.episode] = {int(values[k]): int(count[k]) for k in np.argsort(first)}
    return found
