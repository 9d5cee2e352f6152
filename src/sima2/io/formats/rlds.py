"""RLDS data sets as TensorFlow Datasets writes them: TFRecord shards, an episode a record, read without TensorFlow.

Of ``steps`` the numbers of a fixed shape are features: ``observation.<name>``, ``action``, ``next.reward`` and so on,
with dots for slashes. Episodes are numbered over the splits in the order of ``dataset_info.json``.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError, RolloutError
from sima2.io.column_map import ColumnMap
from sima2.io.documents import inside, is_file, is_lfs_pointer, read_json, reason, refuse_no_file
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
from sima2.io.formats.tfrecord import ExampleError, Span, read_example, spans_of
from sima2.io.intake import MAX_FRAMES, MAX_WIDTH, clean
from sima2.io.outcomes import OUTCOME_FEATURES, Ending, from_columns
from sima2.io.source_id import content_id

LAYOUT: Final = "features.json"
INFO: Final = "dataset_info.json"
RATE_HZ: Final = 10.0
"""Frames per second where nothing says it, as the format has no place for it: sets in use have 3 to 20."""
NO_RATE: Final = f"the format states no rate: {RATE_HZ:g} Hz are taken, which scales all times and speeds"
STEPS: Final = "steps/"
SUCCESS: Final = "episode_metadata/success"
TASKS: Final = ("language_instruction", "natural_language_instruction", "instruction", "task")
"""Last words of texts that say what an episode is about."""
FLAGS: Final = ("is_first", "is_last", "is_terminal", "discount")
"""Numbers of every step that are no signal."""
SHARDS: Final = "*.tfrecord-*-of-*"
MAX_EPISODES: Final = 10_000_000
DEEPEST: Final = 12
_SHARD: Final = re.compile(r"^(.+)-([^-]+)\.tfrecord-([0-9]{1,9})-of-([0-9]{1,9})$")


@dataclass(frozen=True, slots=True)
class Stored:
    """How a feature lies in an Example."""

    name: str
    feature: Feature
    width: int


@dataclass(slots=True)
class _Spans:
    """Records of the shard that was read last."""

    file: str = ""
    spans: Sequence[Span] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class RldsFrames:
    """An RLDS data set as a source of frames."""

    folder: Path
    entries: Sequence[Entry]
    stored: Mapping[str, Stored]
    version: str
    """As ``dataset_info.json`` has it."""
    robot: str
    warnings: tuple[str, ...]
    rate: float = RATE_HZ
    success: bool = False
    """Whether ``episode_metadata/success`` is there."""
    last: _Spans = field(default_factory=_Spans)

    @classmethod
    def open(cls, path: Path) -> RldsFrames:
        """Read what the data set says of itself, and the task of every episode.

        Raises:
            DatasetError: if it is malformed as a whole.
        """
        layout, info = read_json(path, LAYOUT), read_json(path, INFO) if is_file(path / INFO) else {}
        warnings = [NO_RATE]
        found: dict[str, Any] = {}
        _declared(layout, "", found, 0)
        stored = _features(found)
        if not stored:
            raise DatasetError(path / LAYOUT, "declares no steps with numbers of a fixed shape", "is it RLDS?")
        version, robot = (clean(info.get(key) or other) for key, other in (("version", "0"), ("name", "unknown")))
        made = cls(path, (), stored, version, robot, ())
        shards = _shards(path, info, warnings)
        tasks = sorted((name for name, kind in found.items() if kind is None), key=_likely)
        tasks = [name for name in tasks if name.rpartition("/")[2] in TASKS]
        entries: list[Entry] = []
        number = 0
        for name, count in shards:
            there, problem = made._open_shard(name) if name else ([], "")
            if problem:
                warnings.append(problem)
            for place in range(len(there) if count is None else count):
                if name:
                    task = made._task(name, there[place], tasks) if place < len(there) and tasks else ""
                    entries.append(Entry(number, None, name, task, place))
                number += 1
                if number > MAX_EPISODES:
                    raise DatasetError(path, f"has more than {MAX_EPISODES} episodes")
        if not entries:
            raise DatasetError(path, "no shard of it is there", f"{SHARDS} was looked for")
        told = tuple(map(clean, dict.fromkeys(warnings)))
        return cls(path, entries, stored, version, robot, told, success=SUCCESS in found)

    @property
    def format(self) -> str:
        """``rlds``."""
        return "rlds"

    @property
    def root(self) -> Path:
        """Folder of the data set."""
        return self.folder

    @property
    def fps(self) -> float | None:
        """Hz; as given, else taken, for the format states none."""
        return self.rate

    def at_rate(self, fps: float) -> RldsFrames:
        """The same at the rate that somebody gives."""
        said = tuple(each for each in self.warnings if each != NO_RATE)
        return replace(self, rate=fps, warnings=said)

    @property
    def declared(self) -> Declared | None:
        """None: the format says nothing of columns."""
        return None

    @property
    def tells_outcomes(self) -> bool:
        """Whether there is a success or a reward."""
        return bool(set(OUTCOME_FEATURES) & set(self.features))

    @cached_property
    def features(self) -> Mapping[str, Feature]:
        """Of ``features.json`` what is a number of every step."""
        found = {name: each.feature for name, each in self.stored.items()}
        return found | ({"next.success": Feature("bool", (1,), ())} if self.success else {})

    @cached_property
    def source_id(self) -> str:
        """Of ``features.json`` and every shard's name, size and end."""
        return content_id(self.folder, LAYOUT, SHARDS)

    @property
    def own_map(self) -> ColumnMap | None:
        """None: this program writes no such set."""
        return None

    def plain(self) -> RldsFrames:
        """The same."""
        return self

    @property
    def bookkeeping(self) -> Collection[str]:
        """None: what numbers the frames is not read."""
        return ()

    @property
    def outcome_features(self) -> Sequence[str]:
        """Success of the episode's metadata, and rewards."""
        return OUTCOME_FEATURES

    def frame_rows(self) -> FrameRows:
        """By counting: steps have no numbers."""
        first = next(iter(self.stored))
        lengths = (
            each.entry._replace(length=len(each.features[first]) if first in each.features else None)
            for each in self.read(self.entries, [first])
        )
        return counted_rows(list(lengths))

    def name(self, entry: Entry) -> str:
        """The source's id and the episode's number."""
        return f"{self.source_id}-{entry.episode:06d}"

    @property
    def restores(self) -> bool:
        """False."""
        return False

    def restore(self, entry: Entry, values: dict[str, Any]) -> dict[str, Any]:
        """As they are."""
        return values

    def ending(self, entry: Entry, features: Features) -> Ending:
        """By the data set's own columns."""
        return from_columns(features)

    def read(self, entries: Sequence[Entry], features: Sequence[str]) -> Iterator[Recorded]:
        """Frames episode by episode; images are stepped over."""
        wanted = {self.stored[name].name: name for name in features if name in self.stored}
        success = self.success and "next.success" in features
        for entry in entries:
            try:
                yield self._read(entry, wanted, success)
            except (DatasetError, OSError) as error:
                problem = reason(error).removeprefix(f"{self.root}/").removeprefix(f"{self.root.resolve()}/")
                yield Recorded(entry, {}, RolloutError(self.name(entry), "data", problem, reason="unreadable"))
            except ExampleError as error:
                trouble = RolloutError(self.name(entry), "data", f"its record {error}", reason="unreadable")
                yield Recorded(entry, {}, trouble)
            except RolloutError as error:
                yield Recorded(entry, {}, error.with_traceback(None))

    def _read(self, entry: Entry, wanted: Mapping[str, str], success: bool) -> Recorded:
        spans, problem = self._open_shard(entry.file)
        if entry.row >= len(spans):
            raise ExampleError(f"is not there: {problem or f'the file holds {len(spans)}'}")
        asked = {*wanted, f"{STEPS}is_first", *((SUCCESS,) if success else ())}
        with _opened(inside(self.folder, entry.file)) as (file, _):
            lists = read_example(file, spans[entry.row], asked.__contains__)
        numbers = {name: value for name, value in lists.items() if isinstance(value, np.ndarray)}
        frames = self._frames(numbers)
        if frames > MAX_FRAMES:
            problem = f"has {frames} frames, more than {MAX_FRAMES}: cut the episode"
            raise RolloutError(self.name(entry), "time", problem, reason="too_long", end_frame=frames)
        out: dict[str, NDArray[Any]] = {}
        for stored, name in wanted.items():
            width = self.stored[name].width
            if stored in numbers:
                if len(numbers[stored]) != frames * width:
                    problem = f"holds {len(numbers[stored])} numbers, {frames} frames of {width} were expected"
                    raise RolloutError(self.name(entry), name, problem, reason="mixed_dimensions", end_frame=frames)
                out[name] = numbers[stored].reshape(frames, width)
        if success and len(numbers.get(SUCCESS, ())) == 1:
            ended = np.zeros((frames, 1), np.bool_)
            ended[-1:] = numbers[SUCCESS][0] != 0
            out["next.success"] = ended
        return Recorded(entry, {name: out[name] for name in self.features if name in out})

    def _frames(self, numbers: Mapping[str, NDArray[Any]]) -> int:
        """Steps of an episode: as often as it says whether it is the first, else as its first feature tells."""
        if f"{STEPS}is_first" in numbers:
            return len(numbers[f"{STEPS}is_first"])
        for each in self.stored.values():
            if each.name in numbers:
                return len(numbers[each.name]) // each.width
        return 0

    def _open_shard(self, name: str) -> tuple[Sequence[Span], str]:
        """Records of a shard, and what is odd about it."""
        if self.last.file != name:
            notes: list[str] = []
            try:
                with _opened(inside(self.folder, name)) as (file, size):
                    spans = spans_of(file, size, lambda text: notes.append(f"{name} {text}"))
            except (DatasetError, OSError) as error:
                problem = reason(error).removeprefix(f"{self.folder}/").removeprefix(f"{self.folder.resolve()}/")
                spans, notes = [], [problem]
            self.last.file, self.last.spans, self.last.notes = name, spans, tuple(notes)
        return self.last.spans, "; ".join(self.last.notes)

    def _task(self, name: str, span: Span, tasks: Sequence[str]) -> str:
        """What an episode is about: the first text that says anything."""
        try:
            with _opened(inside(self.folder, name)) as (file, _):
                lists = read_example(file, span, set(tasks).__contains__)
        except (DatasetError, ExampleError, OSError):
            return ""  # told when it is read
        for each in tasks:
            pieces = lists.get(each)
            if isinstance(pieces, list):
                said = next((clean(piece).strip() for piece in pieces if piece.strip()), "")
                if said:
                    return said
        return ""


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, int]]:
    """Descriptor and size of a file."""
    refuse_no_file(path)
    if is_lfs_pointer(path):
        raise DatasetError(path, "holds no data", "only a Git-LFS pointer is here: run `git lfs pull` in the data set")
    file = os.open(path, os.O_RDONLY)
    try:
        yield file, os.fstat(file).st_size
    finally:
        os.close(file)


def _likely(name: str) -> tuple[int, str]:
    last = name.rpartition("/")[2]
    return (TASKS.index(last) if last in TASKS else len(TASKS), name)


def _declared(value: Any, path: str, found: dict[str, Any], deep: int) -> None:
    """Dtype and shape of every feature by its path; None of a text."""
    if deep > DEEPEST or not isinstance(value, Mapping) or len(found) > 4096:
        return
    if isinstance(held := value.get("featuresDict"), Mapping) and isinstance(each := held.get("features"), Mapping):
        for name, inner in each.items():
            _declared(inner, f"{path}/{name}" if path else str(name), found, deep + 1)
    elif isinstance(held := value.get("sequence"), Mapping):
        if path == STEPS.rstrip("/"):
            _declared(held.get("feature"), path, found, deep + 1)
    elif isinstance(held := value.get("tensor"), Mapping):
        shape = held.get("shape")
        sizes = shape.get("dimensions", ()) if isinstance(shape, Mapping) else ()
        kind, packed = held.get("dtype"), held.get("encoding", "none")
        if isinstance(kind, str) and packed == "none" and isinstance(sizes, list | tuple):
            found[path] = (kind, tuple(int(each) if str(each).lstrip("-").isdigit() else -1 for each in sizes[:8]))
    elif "text" in value:
        found[path] = None


def _features(found: Mapping[str, Any]) -> dict[str, Stored]:
    out: dict[str, Stored] = {}
    for path, kind in found.items():
        if kind is None or not path.startswith(STEPS) or path.rpartition("/")[2] in FLAGS:
            continue
        dtype, shape = kind
        width = math.prod(shape)
        if dtype not in NUMERIC or not 0 < width <= MAX_WIDTH or any(size <= 0 for size in shape):
            continue
        name = clean(path.removeprefix(STEPS)).replace("/", ".")
        name = "next.reward" if name == "reward" else name
        # whole numbers and truth are stored as such, all others in single precision
        out[name] = Stored(path, Feature(dtype, shape or (1,), ()), width)
    return out


def _shards(path: Path, info: Mapping[str, Any], warnings: list[str]) -> list[tuple[str, int | None]]:
    """Files in the order of their episodes, and how many episodes are in each where that is said; an empty name where
    the file is not there."""
    there: dict[str, dict[int, str]] = {}
    of: dict[str, int] = {}
    for file in sorted(path.glob(SHARDS)):
        match = _SHARD.match(file.name)
        if match:
            there.setdefault(match.group(2), {})[int(match.group(3))] = file.name
            of[match.group(2)] = int(match.group(4))
    lengths: dict[str, list[int]] = {}
    splits = info.get("splits")
    for split in splits if isinstance(splits, list) else ():
        if isinstance(split, Mapping) and isinstance(counts := split.get("shardLengths"), list):
            known = [int(each) if str(each).isdecimal() and len(str(each)) < 9 else 0 for each in counts]
            lengths[str(split.get("name"))] = known
    out: list[tuple[str, int | None]] = []
    for split in [*[each for each in lengths if each in there], *sorted(set(there) - set(lengths))]:
        counts = lengths.get(split, [])
        if len(counts) == of[split]:
            missing = [k for k in range(len(counts)) if k not in there[split]]
            if missing:
                warnings.append(f"{len(missing)} of {len(counts)} shards of {split} are not there")
            out += [(there[split].get(k, ""), count) for k, count in enumerate(counts)]
        else:
            out += [(there[split][k], None) for k in sorted(there[split])]
    return out
