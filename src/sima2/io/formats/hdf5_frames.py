"""Episodes that are groups of HDF5 files, as a source of frames; each format says where they lie and what they are."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from sima2.errors import DatasetError, RolloutError
from sima2.io.column_map import ColumnMap
from sima2.io.documents import insider
from sima2.io.formats.frame_source import (
    NUMERIC,
    Declared,
    Entry,
    Feature,
    Features,
    FrameRows,
    Recorded,
    counted_rows,
)
from sima2.io.formats.hdf5 import AT_ONCE, Asked, Look, look_into, read_arrays
from sima2.io.formats.marks import listed
from sima2.io.intake import MAX_WIDTH
from sima2.io.outcomes import Ending
from sima2.io.source_id import files_id

MOST_EPISODES: Final = 1_000_000
SHOWN: Final = 3
"""Of many things of one kind, so many are named in a warning."""
IMAGE_DIMENSIONS: Final = 3
"""Height, width and colours: such an array holds pictures."""
PICTURES: Final = "video"
"""Type of a feature that holds pictures, which are not read."""


@dataclass(frozen=True, eq=False)
class Hdf5Frames:
    """A data set in HDF5 files."""

    format: str
    root: Path
    version: str
    robot: str
    fps: float | None
    features: Mapping[str, Feature]
    entries: Sequence[Entry]
    groups: Sequence[str]
    """Where each episode lies in its file, by ``Entry.row``."""
    files: Sequence[str]
    """Of which the data set consists."""
    declared: Declared | None = None
    endings: Mapping[int, Ending] = field(default_factory=dict)
    """By episode number, where the data set tells."""
    warnings: tuple[str, ...] = ()
    own_map: ColumnMap | None = None
    bookkeeping: Collection[str] = ()
    outcome_features: Sequence[str] = ()
    restores: bool = False

    @cached_property
    def source_id(self) -> str:
        """Of every file's name, size and some of its bytes."""
        return files_id(self.root, self.files)

    @property
    def tells_outcomes(self) -> bool:
        """Whether any episode's end is told."""
        return bool(self.endings)

    def plain(self) -> Hdf5Frames:
        """Without the map that this program left in it."""
        return replace(self, own_map=None)

    def at_rate(self, fps: float) -> Hdf5Frames:
        """At a rate that somebody gives, in Hz."""
        return replace(self, fps=fps, warnings=tuple(each for each in self.warnings if each != usual_rate(self)))

    def frame_rows(self) -> FrameRows:
        """By counting: nothing in the files numbers them."""
        return counted_rows(self.entries)

    def name(self, entry: Entry) -> str:
        """The source's id and its number."""
        return f"{self.source_id}-{entry.episode:06d}"

    def restore(self, entry: Entry, values: dict[str, Any]) -> dict[str, Any]:
        """The values as they are."""
        return values

    def ending(self, entry: Entry, features: Features) -> Ending:
        """What the index found."""
        return self.endings.get(entry.episode, Ending())

    def read(self, entries: Sequence[Entry], features: Sequence[str]) -> Iterator[Recorded]:
        """Frames file by file, many episodes at a time."""
        names = [name for name in dict.fromkeys(features) if name in self.features]
        find = insider(self.root)
        for start in range(0, len(entries), AT_ONCE):
            some = entries[start : start + AT_ONCE]
            asked: list[tuple[Path, str]] = []
            strays: dict[int, DatasetError] = {}
            for place, entry in enumerate(some):
                try:
                    asked.append((find(entry.file), self.groups[entry.row]))
                except DatasetError as error:
                    strays[place] = error
            got = read_arrays(asked, names)
            for place, entry in enumerate(some):
                found = strays[place] if place in strays else next(got)
                yield (
                    self._unreadable(entry, found) if isinstance(found, DatasetError) else self._recorded(entry, found)
                )

    def _recorded(self, entry: Entry, got: Features) -> Recorded:
        kept = {name: values for name, values in got.items() if 0 < values.shape[1] <= MAX_WIDTH}
        frames = max(map(len, kept.values()), default=0)
        if entry.length is not None and frames < entry.length:
            problem = f"holds {frames} frames, the file says {entry.length}: the rest is missing"
            trouble = RolloutError(
                self.name(entry), "data", problem, reason="length_mismatch", start_frame=frames, end_frame=entry.length
            )
            return Recorded(entry, {}, trouble)
        more = entry.length is not None and frames > entry.length
        notes = (f"holds {frames} frames, the file says {entry.length}; all are read",) if more else ()
        return Recorded(entry, kept, None, notes)

    def _unreadable(self, entry: Entry, error: DatasetError) -> Recorded:
        problem = str(error).removeprefix(f"{self.root}/").removeprefix(f"{self.root.resolve()}/")
        trouble = RolloutError(self.name(entry), "file", problem, reason="unreadable", end_frame=entry.length or 0)
        return Recorded(entry, {}, trouble)


def usual_rate(source: Hdf5Frames) -> str:
    """The warning that a rate is taken for want of a stated one."""
    return rate_warning(source.format, source.fps or 0.0)


def rate_warning(name: str, fps: float) -> str:
    """Words for a rate that no file states.

    >>> rate_warning("aloha", 50.0)
    'no file states its rate: 50 Hz is taken, the usual one of aloha (give another as rate_hz = … in [robot] of a map)'
    """
    told = f"no file states its rate: {fps:g} Hz is taken, the usual one of {name}"
    return f"{told} (give another as rate_hz = … in [robot] of a map)"


def features_of(looks: Iterable[Look], named: Mapping[str, Sequence[str]]) -> tuple[dict[str, Feature], list[str]]:
    """What some files declare together, as each was first met, and what of it is not read and why.

    Args:
        looks: of the files.
        named: names of the columns of features that the format defines.
    """
    found: dict[str, Feature] = {}
    refused: dict[str, str] = {}
    for look in looks:
        for name, (kind, shape) in look.shapes.items():
            if shape is None:
                refused.setdefault(name, str(kind))
            elif name not in found:
                inner = tuple(shape[1:]) or (1,)
                pictures = len(inner) >= IMAGE_DIMENSIONS
                if 0 in inner or (not pictures and math.prod(inner) > MAX_WIDTH):
                    continue
                names = tuple(named.get(name, ()))
                whole = len(names) == inner[0] if len(inner) == 1 else False
                found[name] = Feature(PICTURES if pictures else kind, inner, names if whole else ())
    usable = {name: each for name, each in found.items() if each.dtype in NUMERIC or each.dtype == PICTURES}
    strange = [why for name, why in refused.items() if name not in found and "plain numbers" not in why]
    return usable, strange


def looks_of(root: Path, files: Sequence[str], asked: Asked) -> Iterator[Look | DatasetError]:
    """What files that are an episode each hold; or why one cannot be read."""
    find = insider(root)
    whole: list[tuple[Path, Sequence[str]]] = []
    strays: dict[int, DatasetError] = {}
    for place, name in enumerate(files):
        try:
            whole.append((find(name), ["/"]))
        except DatasetError as error:
            strays[place] = error
    told = look_into(whole, asked)
    for place, name in enumerate(files):
        found = strays[place] if place in strays else next(told)
        if not isinstance(found, DatasetError) and "error" in found.episodes[0]:
            found = DatasetError(root / name, found.episodes[0]["error"])
        yield found


def number_in(name: str) -> int:
    """The last number in a name.

    >>> number_in("episode_12.hdf5"), number_in("demo")
    (12, -1)
    """
    digits = re.findall(r"\d{1,15}", Path(name).stem)
    return int(digits[-1]) if digits else -1


def in_words(problems: Sequence[object], what: str, root: Path | None = None) -> list[str]:
    """Many problems of one kind as one warning, the same words wherever the data set lies."""
    told = [str(each).removeprefix(f"{root}/") for each in problems]
    return [f"{len(told)} {what}: {listed(told, SHOWN)}"] if told else []
