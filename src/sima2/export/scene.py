"""Episodes as viewers of recordings show them: signals, what happened when, and where the videos are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from sima2.errors import DatasetError
from sima2.records.arrays import Float32s, Int64s
from sima2.records.rollout import Rollout
from sima2.records.segments import SegmentTable
from sima2.records.tags import TagTable

LONGEST: Final = 2000
"""Characters of a text that is shown."""
SIGNALS: Final = ("gripper_width", "gripper_opening", "grip_force", "contact_force")
"""Channels of an arm that are one number a frame."""
OUTCOMES: Final[Mapping[str, str]] = {
    "success": "#3c9d6b",
    "failure": "#c4451c",
    "retry": "#d99a1c",
    "unknown": "#9a9a9a",
}
"""Colours of how a segment ended."""


@dataclass(frozen=True, slots=True)
class ViewerBudget:
    """How much of a set is handed to a viewer."""

    episodes: int = 50
    """Episodes; what a person looks through, and some 50 MB of signals."""
    frames: int = 3000
    """Frames of an episode whose signals are written, evenly thinned beyond: more than a screen has columns. What
    happened when stays exact."""


@dataclass(frozen=True, slots=True)
class VideoPlace:
    """Where the video of an episode is."""

    camera: str
    file: Path
    begins_s: float
    """Second in the file at which the episode begins."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """An episode to be looked at."""

    rollout: Rollout
    segments: SegmentTable
    """Of this episode."""
    tags: TagTable
    """Those that it was given."""
    words: str
    """How it ended and what the plan does with it, in words."""
    videos: tuple[VideoPlace, ...] = ()

    def rows(self, budget: ViewerBudget) -> Int64s:
        """Frames whose signals are written, the last one among them."""
        n = len(self.rollout)
        if n <= budget.frames:
            return np.arange(n)
        return np.unique(np.linspace(0, n - 1, budget.frames).round().astype(np.int64))

    def lanes(self) -> Iterator[tuple[str, SegmentTable]]:
        """Segments of each arm by time."""
        for arm in sorted(set(self.segments.manipulator)):
            mine = self.segments.take(self.segments.manipulator.isin(arm))
            yield arm, mine.take(np.argsort(mine.start_frame, kind="stable"))

    def marks(self) -> list[tuple[float, str, bool]]:
        """What is worth a line of text: second, words, and whether it is a failure; by time."""
        found = [
            (float(self.rollout.time[min(max(row["start_frame"], 0), len(self.rollout) - 1)]), _tag(row), False)
            for row in self.tags.rows()
            if len(self.rollout)
        ]
        several = len(set(self.segments.manipulator)) > 1
        for row in self.segments.rows():
            failed = row["outcome"] in ("failure", "retry")
            why = f": {row['failure_reason']}" if row["failure_reason"] else ""
            named = " ".join(each for each in (row["manipulator"] * several, row["label"], row["object"]) if each)
            found.append((row["start_t"], f"{named} {row['outcome']}{why}" if failed else named, failed))
        return sorted(((at, safe(words), failed) for at, words, failed in found), key=lambda mark: (mark[0], mark[1]))


def _tag(row: Mapping[str, object]) -> str:
    return f"{row['tag']} {row['level']:.2f}: {row['details']}"


def safe(text: object) -> str:
    """Text from data without control, bidirectional or other invisible characters, and of bounded length.

    >>> safe("cup\\x1b[31m\\u202e")
    'cup\\\\x1b[31m\\\\u202e'
    """
    raw = str(text)[:LONGEST]
    if raw.isprintable():
        return raw
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "backslashreplace").decode() for each in raw
    )


def videos_of(root: Path, numbers: Sequence[int]) -> dict[int, tuple[VideoPlace, ...]]:
    """Videos of episodes of a LeRobot data set, by its own numbers; those whose file is not there are left out."""
    from sima2.export.lerobot_meta import OldMeta
    from sima2.export.lerobot_videos import VideoCopier
    from sima2.io.documents import inside, is_file, is_lfs_pointer
    from sima2.io.formats.lerobot_index import load_index

    index = load_index(root)
    copier = VideoCopier(index, OldMeta.read(index), {})
    found: dict[int, tuple[VideoPlace, ...]] = {}
    for number in numbers:
        mine = []
        for key in copier.keys:
            try:
                place = copier.place(key, number)
                file = None if place is None else inside(root, place[0])
            except DatasetError:
                continue
            if place is not None and file is not None and is_file(root / place[0]) and not is_lfs_pointer(file):
                mine.append(VideoPlace(key, file, place[1]))
        found[number] = tuple(mine)
    return found


def path_points(positions: Float32s) -> Float32s:
    """Places that are known, shape (m, 3)."""
    return positions[np.isfinite(positions).all(axis=1)]
