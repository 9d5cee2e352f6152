"""Folders of npz or csv files, an episode each, whose columns only a map can tell."""

from __future__ import annotations

import io
import math
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError, RolloutError
from sima2.io.column_map import ColumnMap
from sima2.io.documents import FETCH, insider, is_lfs_pointer, reason, refuse_no_file
from sima2.io.formats.frame_source import Declared, Entry, Feature, Features, FrameRows, Recorded, counted_rows
from sima2.io.formats.hdf5_frames import in_words, number_in
from sima2.io.formats.marks import located
from sima2.io.intake import MAX_FRAMES, MAX_WIDTH, clean
from sima2.io.outcomes import Ending
from sima2.io.source_id import files_id
from sima2.records.arrays import Float64s

ROWS: Final = "row"
"""The feature of a csv file: all its columns, under the names of its head."""
MOST_BYTES: Final = 2**28
"""Bytes of one file once it is unpacked."""
MOST_HEAD: Final = 2**12
"""Bytes of the head of an array in an npz file; numpy writes 128."""

Shapes = Mapping[str, tuple[str, tuple[int, ...], tuple[str, ...]]]
"""Of a file: by feature its type, its shape with frames first, and names of its columns."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file."""

    name: str
    pattern: str
    shapes: Callable[[Path], Shapes]
    read: Callable[[Path, Sequence[str]], dict[str, NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class TableFrames:
    """A folder of tables."""

    kind: Kind
    root: Path
    features: Mapping[str, Feature]
    entries: Sequence[Entry]
    warnings: tuple[str, ...]
    fps: float | None = None
    version: str = "1"
    robot: str = "unknown"
    declared: Declared | None = None
    own_map: ColumnMap | None = None
    bookkeeping: Collection[str] = ()
    outcome_features: Sequence[str] = ()
    restores: bool = False
    tells_outcomes: bool = False
    problems: Mapping[int, str] = field(default_factory=dict)
    """Of episodes that cannot be read."""
    places: Mapping[tuple[str, str], NDArray[np.intp]] = field(default_factory=dict)
    """By file and feature where each named column lies in it, -1 where it does not, of files in another order; empty
    where that cannot be told."""

    @property
    def format(self) -> str:
        """``npz`` or ``csv``."""
        return self.kind.name

    @cached_property
    def source_id(self) -> str:
        """Of every file's name, size and some of its bytes."""
        return files_id(self.root, [entry.file for entry in self.entries])

    def plain(self) -> TableFrames:
        """Itself."""
        return self

    def at_rate(self, fps: float) -> TableFrames:
        """At a rate that somebody gives, in Hz."""
        return replace(self, fps=fps)

    def frame_rows(self) -> FrameRows:
        """By counting."""
        return counted_rows(self.entries)

    def name(self, entry: Entry) -> str:
        """The source's id and its number."""
        return f"{self.source_id}-{entry.episode:06d}"

    def restore(self, entry: Entry, values: dict[str, Any]) -> dict[str, Any]:
        """The values as they are."""
        return values

    def ending(self, entry: Entry, features: Features) -> Ending:
        """Nothing: outcomes are given by a file."""
        return Ending()

    def read(self, entries: Sequence[Entry], features: Sequence[str]) -> Iterator[Recorded]:
        """A file at a time."""
        names = [name for name in dict.fromkeys(features) if name in self.features]
        find = insider(self.root)
        for entry in entries:
            try:
                held = self.kind.read(find(entry.file), names)
                ordered = {name: self._ordered(entry.file, name, each) for name, each in held.items()}
                yield Recorded(entry, {name: each for name, each in ordered.items() if 0 < each.shape[1] <= MAX_WIDTH})
            except DatasetError as error:
                problem = str(error).removeprefix(f"{self.root}/").removeprefix(f"{self.root.resolve()}/")
                trouble = RolloutError(
                    self.name(entry), "file", problem, reason="unreadable", end_frame=entry.length or 0
                )
                yield Recorded(entry, {}, trouble)

    def _ordered(self, file: str, feature: str, values: NDArray[Any]) -> NDArray[Any]:
        """The columns in the order of the other files; NaN where this one has none.

        Raises:
            DatasetError: if it has another number of them, under other names.
        """
        place = self.places.get((file, feature))
        if place is None:
            return values
        if not len(place):
            usual = len(self.features[feature].names)
            raise DatasetError(
                self.root / file,
                f"has {values.shape[1]} columns where the other files have {usual}, and names them otherwise",
            )
        return np.where(place < 0, np.nan, values[:, np.maximum(place, 0)])


def open_tables(kind: Kind, path: Path) -> TableFrames:
    """A folder of files, or one of them.

    Raises:
        DatasetError: if none can be read.
    """
    root, files = located(path, kind.pattern)
    numbers = [number_in(name) for name in files]
    own = -1 not in numbers and len(set(numbers)) == len(numbers)
    order = sorted(range(len(files)), key=lambda k: numbers[k] if own else k)
    find = insider(root)
    features: dict[str, Feature] = {}
    named: dict[str, dict[str, tuple[str, ...]]] = {}
    entries, failed = [], list[DatasetError]()
    for place, k in enumerate(order):
        length = None
        try:
            shapes = kind.shapes(find(files[k]))
        except DatasetError as error:
            failed.append(error)
        else:
            for name, (dtype, shape, names) in shapes.items():
                if 0 in shape[1:] or math.prod(shape[1:]) > MAX_WIDTH:
                    continue
                features.setdefault(name, Feature(dtype, shape[1:] or (1,), names))
                if names:
                    named.setdefault(name, {})[files[k]] = names
            length = max((shape[0] for _, shape, _ in shapes.values()), default=None)
        entries.append(Entry(numbers[k] if own else place, length, files[k], "", 0))
    if not features:
        raise failed[0] if failed else DatasetError(path, f"holds no numbers in {kind.pattern}")
    warnings = in_words(failed, "files cannot be read", root)
    if not own:
        warnings.append("its files have no numbers of their own in their names: episodes are numbered as these sort")
    places: dict[tuple[str, str], NDArray[np.intp]] = {}
    for name, of_files in named.items():
        usual, ordered, told = _by_name(of_files)
        features[name] = Feature(features[name].dtype, (len(usual),), usual)
        places |= {(file, name): place for file, place in ordered.items()}
        warnings += told
    return TableFrames(kind, root, features, entries, tuple(map(clean, warnings)), places=places)


def _by_name(
    named: Mapping[str, tuple[str, ...]],
) -> tuple[tuple[str, ...], dict[str, NDArray[np.intp]], list[str]]:
    """The names that most files give their columns, where these lie in files that order them otherwise, and warnings.

    A file that shares fewer than half of the names, such as one without a head, is read by the places of its columns,
    or not at all where it has more or fewer.
    """
    usual = Counter(named.values()).most_common(1)[0][0]
    ordered: dict[str, NDArray[np.intp]] = {}
    others: list[str] = []
    strange: list[str] = []
    for file, names in named.items():
        if names == usual:
            continue
        at = {name: place for place, name in enumerate(names)}
        place = np.array([at.get(name, -1) for name in usual], np.intp)
        if 2 * int((place >= 0).sum()) < len(usual) or len(at) < len(names):
            strange.append(file)
            if len(names) != len(usual):
                ordered[file] = np.zeros(0, np.intp)
        else:
            ordered[file] = place
            others.append(file)
    told = [
        f"{len(files)} of {len(named)} files {words} ({', '.join(files[:3])}{', …' if len(files) > 3 else ''})"
        for files, words in (
            (others, "have their columns in another order, or others: they are read by name"),
            (strange, "name their columns otherwise than the others: they are read by place, if they have as many"),
        )
        if files
    ]
    return usual, ordered, told


def columns_told(source: TableFrames) -> str:
    """What a map may name, for the message that asks for one."""
    told = []
    for name, feature in source.features.items():
        of = f": {', '.join(f'{k} {each}' for k, each in enumerate(feature.names))}" if feature.names else ""
        told.append(clean(f"{name} {list(feature.shape)}{of}")[:300])
    return "; ".join(told[:20])


# npz


def _npz_shapes(path: Path) -> Shapes:
    with _zip(path) as archive:
        return {
            name.removesuffix(".npy"): (dtype.name, shape, ())
            for name in archive.namelist()
            if name.endswith(".npy") and (told := _head(path, archive, name)) is not None
            for dtype, shape, _ in [told]
        }


def _npz_read(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    found = {}
    with _zip(path) as archive:
        held = set(archive.namelist())
        for name in names:
            if f"{name}.npy" not in held or (told := _head(path, archive, f"{name}.npy", whole=True)) is None:
                continue
            found[name] = told[2]
    return found


def _head(
    path: Path, archive: zipfile.ZipFile, name: str, *, whole: bool = False
) -> tuple[np.dtype[Any], tuple[int, ...], NDArray[Any]] | None:
    """Type and shape of an array, and its numbers, shape (t, w), if wanted; None where it holds no numbers by frame.

    Raises:
        DatasetError: if it claims more than fits, or than is there.
    """
    size = archive.getinfo(name).file_size
    with archive.open(name) as opened:
        begin = opened.read(MOST_HEAD)
        stream = io.BytesIO(begin)
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise DatasetError(path, f"{name!r} is of an unknown version of npy")
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, turned, dtype = reader(stream, max_header_size=MOST_HEAD)
        if dtype.kind not in "biuf" or not shape:
            return None
        claimed = dtype.itemsize
        for each in shape:
            claimed *= each
        if claimed > min(MOST_BYTES, size) or min(shape) < 0 or shape[0] > MAX_FRAMES:
            raise DatasetError(path, f"{name!r} claims {claimed} bytes where {size} are, or more than {MOST_BYTES}")
        if not whole or not claimed:
            return dtype, shape, np.empty((shape[0], 0 if 0 in shape[1:] else 1), dtype)
        data = begin[stream.tell() :]
        data += opened.read(claimed - len(data)) if len(data) < claimed else b""
    values = np.frombuffer(data, dtype, count=claimed // dtype.itemsize)
    values = values.reshape(shape[::-1]).T if turned else values.reshape(shape)
    return dtype, shape, values.reshape(shape[0], -1)


class _zip:
    """An archive, with every way in which it may be broken as one error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _refuse(path)

    def __enter__(self) -> zipfile.ZipFile:
        try:
            self.archive = zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise DatasetError(self.path, f"cannot be read: {reason(error)}") from None
        return self.archive

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        self.archive.close()
        known = (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError, NotImplementedError,
                 RuntimeError, SyntaxError, IndexError, OverflowError)  # fmt: skip
        import zlib

        if isinstance(error, (*known, zlib.error)):
            first = (str(error).strip().splitlines() or [""])[0][:200]
            raise DatasetError(self.path, f"cannot be read: {first or type(error).__name__}") from None


# csv


def _csv(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.csv as pc

    _refuse(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DatasetError(path, f"is larger than {MOST_BYTES} bytes")
        return pc.read_csv(path, read_options=pc.ReadOptions(use_threads=False))
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        first = (str(error).strip().splitlines() or [""])[0][:200]
        raise DatasetError(path, f"cannot be read: {first}") from None


def _csv_numbers(path: Path) -> tuple[tuple[str, ...], Float64s]:
    """Columns by their heads, those of text as NaN, so that places stay."""
    import pyarrow as pa

    table = _csv(path)
    if len(table.column_names) > MAX_WIDTH:
        raise DatasetError(path, f"has {len(table.column_names)} columns, more than {MAX_WIDTH}")
    values = np.full((len(table), len(table.column_names)), np.nan)
    for k, column in enumerate(table.columns):
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type):
            values[:, k] = column.cast(pa.float64()).to_numpy()
    return tuple(clean(name) for name in table.column_names), values


def _csv_shapes(path: Path) -> Shapes:
    names, values = _csv_numbers(path)
    return {ROWS: ("float64", values.shape, names)} if values.shape[1] else {}


def _csv_read(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    return {ROWS: _csv_numbers(path)[1]} if ROWS in names else {}


def _refuse(path: Path) -> None:
    refuse_no_file(path)
    if is_lfs_pointer(path):
        raise DatasetError(path, "holds no data", FETCH)


NPZ: Final = Kind("npz", "*.npz", _npz_shapes, _npz_read)
CSV: Final = Kind("csv", "*.csv", _csv_shapes, _csv_read)
