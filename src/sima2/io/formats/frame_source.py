"""What a format has to give of a data set; all that is shared between formats is made of it by ``mapped``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sima2.errors import RolloutError
from sima2.io.column_map import ColumnMap, Columns
from sima2.io.outcomes import Ending
from sima2.records.arrays import Int64s

NUMERIC: Final = frozenset(
    {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"}
)
"""Types of features that hold numbers."""

Features = Mapping[str, NDArray[Any]]
"""Name to the numbers of one episode's frames, shape (t, w)."""


class Feature(NamedTuple):
    """A declared feature."""

    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...]
    """Of its columns; empty where it has none."""


class Entry(NamedTuple):
    """An episode as the metadata know it."""

    episode: int
    """The source's own number (``episode_index``); never a place."""
    length: int | None
    """Frames, where stated."""
    file: str
    """Relative to the data set."""
    task: str
    """What it is about, in words; empty where nothing tells."""
    row: int
    """Row in what a source keeps of its own, -1 where it has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """One episode as it was read."""

    entry: Entry
    features: Features
    """Empty where it could not be read."""
    trouble: RolloutError | None = None
    """Why it could not be read."""
    notes: tuple[str, ...] = ()
    """What is odd about it."""


class Declared(NamedTuple):
    """What a format itself says its columns are; a guess fills in the rest."""

    arms: Mapping[str, Mapping[str, Columns]]
    """By arm and channel."""
    grippers: Mapping[str, Columns]
    """By arm, where the opening is recorded; which end is open is told by the values."""
    action: str = ""
    """Feature that holds the commands."""
    notes: tuple[str, ...] = ()
    """What that rests on."""

    def features(self) -> set[str]:
        """Features of the robot's state that are named."""
        told = [each for group in self.arms.values() for each in group.values()]
        return {each.feature for each in (*told, *self.grippers.values())}


BY_INDEX: Final = "the column index of the data"
BY_ROW: Final = "the place of each row, for the column index is missing or repeats"
BY_COUNT: Final = "counting through the episodes in order of their numbers"


@dataclass(frozen=True, slots=True, eq=False)
class FrameRows:
    """Rows of a data set in the order of its files."""

    episode: Int64s
    """The data set's own number of the episode of each row, shape (n,)."""
    index: Int64s
    """What a row is known by, shape (n,)."""
    numbered: str
    """What ``index`` is: ``BY_INDEX``, ``BY_ROW`` or ``BY_COUNT``."""
    unread: tuple[int, ...]
    """Episodes whose rows cannot be read."""
    stated: dict[int, int]
    """Frames of each episode as the metadata state them."""

    def by_episode(self) -> dict[int, Int64s]:
        """What the frames of each episode are numbered by, in their order."""
        order = np.lexsort((self.index, self.episode))
        numbers, first = np.unique(self.episode[order], return_index=True)
        return dict(zip(numbers.tolist(), np.split(self.index[order], first[1:]), strict=True))


def counted_rows(entries: Sequence[Entry]) -> FrameRows:
    """The frames of episodes of known length, of a format that numbers none."""
    known = [entry for entry in entries if entry.length is not None]
    stated = {entry.episode: entry.length or 0 for entry in known}
    episode = np.repeat(np.array(list(stated), np.int64), np.array(list(stated.values()), np.int64))
    unread = tuple(entry.episode for entry in entries if entry.length is None)
    return FrameRows(episode, np.arange(len(episode)), BY_COUNT, unread, stated)


class FrameSource(Protocol):
    """A recorded data set of some format: episodes, and their frames by feature."""

    @property
    def format(self) -> str:
        """Its name, as in the registry."""
        ...

    @property
    def version(self) -> str:
        """Of the format."""
        ...

    @property
    def root(self) -> Path:
        """Its folder: nothing outside of it is read."""
        ...

    @property
    def robot(self) -> str:
        """The robot's type as the data set states it, or ``unknown``."""
        ...

    @property
    def fps(self) -> float | None:
        """Hz, where declared."""
        ...

    @property
    def features(self) -> Mapping[str, Feature]:
        """What it declares, by name."""
        ...

    @property
    def entries(self) -> Sequence[Entry]:
        """Its episodes in order of their numbers."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about it."""
        ...

    @property
    def source_id(self) -> str:
        """Six hex digits of a fingerprint of its content; the same wherever it lies."""
        ...

    @property
    def own_map(self) -> ColumnMap | None:
        """The map that a data set written by this program brings along."""
        ...

    def plain(self) -> FrameSource:
        """The same without what this program wrote of it, to be read by another map."""
        ...

    @property
    def bookkeeping(self) -> Collection[str]:
        """Features that number and time the frames, and hold no signal."""
        ...

    def read(self, entries: Sequence[Entry], features: Sequence[str]) -> Iterator[Recorded]:
        """The frames of some episodes, in the order given; those features that are there."""
        ...

    @property
    def declared(self) -> Declared | None:
        """What the format itself says of its columns; None where it says nothing."""
        ...

    def at_rate(self, fps: float) -> FrameSource:
        """The same at a frame rate that somebody gives, in Hz."""
        ...

    def frame_rows(self) -> FrameRows:
        """Which frames it holds, and how it numbers them."""
        ...

    def name(self, entry: Entry) -> str:
        """Id of an episode, unique over all sources."""
        ...

    @property
    def restores(self) -> bool:
        """Whether :meth:`restore` changes anything."""
        ...

    def restore(self, entry: Entry, values: dict[str, Any]) -> dict[str, Any]:
        """The values of an episode (keywords of ``Rollout``) with what the source itself says of it."""
        ...

    def ending(self, entry: Entry, features: Features) -> Ending:
        """How an episode ended, as the source itself tells."""
        ...

    @property
    def outcome_features(self) -> Sequence[str]:
        """Features that :meth:`ending` needs."""
        ...

    @property
    def tells_outcomes(self) -> bool:
        """Whether :meth:`ending` may know how any episode ended."""
        ...
