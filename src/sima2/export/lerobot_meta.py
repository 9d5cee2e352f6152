"""Metadata files of a copy: what speaks of episodes is made anew, all else is carried through."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sima2.errors import DatasetError
from sima2.export.lerobot_data import Wanted, Written
from sima2.export.rows import SUCCESS, Shift
from sima2.export.selection import Selection
from sima2.export.stats import is_measure, like, together
from sima2.io.documents import inside, is_file, read_json, read_json_lines, reason, refuse_no_file
from sima2.io.formats.frame_source import NUMERIC
from sima2.io.formats.lerobot_files import numbers_of, whole_numbers
from sima2.io.formats.lerobot_index import INFO, OWN, Index, chunk_size
from sima2.io.parquet import read_whole
from sima2.records.arrays import Float64s

EPISODES: Final = "meta/episodes.jsonl"
EPISODE_STATS: Final = "meta/episodes_stats.jsonl"
STATS: Final = "meta/stats.json"
EPISODES_FOLDER: Final = "meta/episodes"
PROVENANCE: Final = "meta/sima2.json"
MADE_ANEW: Final = (INFO, EPISODES, EPISODE_STATS, STATS, PROVENANCE)
ROOMS: Final = ("meta", "data", "videos")
"""Folders that a LeRobot data set consists of."""
_SPLIT: Final = re.compile(r"(\d{1,12}):(\d{1,12})\Z")
_COLUMN: Final = re.compile(r"stats/(.+)/([^/]+)\Z")

Stats = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, eq=False)
class OldMeta:
    """What the metadata of a source say, as they are in its files."""

    root: Path
    info: Mapping[str, Any]
    rows: Mapping[int, Mapping[str, Any]]
    """Lines of ``episodes.jsonl`` by number; empty for v3.0."""
    stats: Mapping[int, Stats]
    """Lines of ``episodes_stats.jsonl`` by number; empty for v3.0."""
    table: pa.Table | None
    """All rows of ``meta/episodes``; None for v2.0 and v2.1."""
    row_of: Mapping[int, int]
    """Row of each episode in ``table``."""
    total: Stats
    """``stats.json``; empty where there is none."""

    @classmethod
    def read(cls, index: Index) -> OldMeta:
        """Read them.

        Raises:
            DatasetError: if a file is damaged.
        """
        root = index.root
        total = read_json(root, STATS) if is_file(root / STATS) else {}
        info = read_json(root, INFO)
        if index.version == "v3.0":
            table = _episodes_table(root)
            numbers = whole_numbers(table, "episode_index") or []
            row_of = {number: row for row, number in reversed(list(enumerate(numbers))) if number is not None}
            return cls(root, info, {}, {}, table, row_of, total)
        rows = _by_episode(root, EPISODES)
        stats = {number: row["stats"] for number, row in _by_episode(root, EPISODE_STATS).items() if _is_stats(row)}
        return cls(root, info, rows, stats, None, {}, total)

    def keys(self, kept: Sequence[int]) -> Wanted:
        """Statistics that the source has of each of these episodes, by feature."""
        found: dict[str, list[str]] = {}
        if self.table is not None:
            if all(number in self.row_of for number in kept):
                for name in self.table.column_names:
                    if (match := _COLUMN.match(name)) and not self.table.column(name).null_count:
                        found.setdefault(match[1], []).append(match[2])
            return found
        for number in kept:
            if number not in self.stats:
                return {}
            for feature, keys in self.stats[number].items():
                held = found.setdefault(feature, [])
                held += [key for key in keys if key not in held]
        return found

    def wanted(self, index: Index, kept: Sequence[int]) -> tuple[Wanted, Wanted]:
        """Statistics to make: of episodes that are cut, and of all since the source has none of single ones."""
        each = self.keys(kept)
        cut = {name: [key for key in keys if is_measure(key)] for name, keys in each.items() if _numeric(index, name)}
        of_all: dict[str, list[str]] = {}
        for name, held in self.total.items():
            missing = [key for key in held if is_measure(key) and key not in each.get(name, ())]
            if missing and isinstance(held, dict) and _numeric(index, name):
                of_all[name] = list(dict.fromkeys([*missing, "mean", "std"]))
        return cut, of_all


def _numeric(index: Index, feature: str) -> bool:
    return feature in index.features and index.features[feature].dtype in NUMERIC


def _is_stats(row: Mapping[str, Any]) -> bool:
    stats = row.get("stats")
    return isinstance(stats, dict) and all(isinstance(each, dict) for each in stats.values())


def _by_episode(root: Path, name: str) -> dict[int, dict[str, Any]]:
    """Lines of a file by the episode they are about; the first counts."""
    if not is_file(root / name):
        return {}
    found: dict[int, dict[str, Any]] = {}
    for _, row in read_json_lines(root, name)[0]:
        number = row.get("episode_index")
        if type(number) is int:
            found.setdefault(number, row)
    return found


def _episodes_table(root: Path) -> pa.Table:
    names = [file.relative_to(root).as_posix() for file in sorted((root / EPISODES_FOLDER).glob("*/*.parquet"))]
    try:
        tables = [read_whole(inside(root, name)) for name in names]
        return pa.concat_tables(tables, promote_options="default") if tables else pa.table({"episode_index": []})
    except pa.ArrowException as error:
        raise DatasetError(root / EPISODES_FOLDER, f"its files do not fit each other: {str(error)[:200]}") from None


@dataclass(frozen=True, slots=True, eq=False)
class NewMeta:
    """Writes the metadata of a copy."""

    index: Index
    old: OldMeta
    kept: Selection
    written: Written
    said: Mapping[int, bool] = field(default_factory=dict)
    """Whether an episode succeeded, by old number, where a person says it."""

    def write(self, building: Path, provenance: Mapping[str, Any], more: Mapping[str, Any]) -> None:
        """Write all files.

        Args:
            building: folder of the copy.
            provenance: where it comes from.
            more: changes of ``info.json`` besides its counts.
        """
        (building / "meta").mkdir(exist_ok=True)
        if self.old.table is not None:
            table = self._table(self.old.table)
            folder = building / EPISODES_FOLDER / "chunk-000"
            folder.mkdir(parents=True)
            with pa.OSFile(str(folder / "file-000.parquet"), "wb") as sink:
                pq.write_table(table, sink, compression="snappy")
            each = {name: _columns_of(table, name) for name in self.old.total}
        else:
            self._write_lines(building)
            lines = self._stats()
            each = {name: _lines_of(list(lines.values()), name) for name in self.old.total} if lines else {}
        if self.old.total:
            _write_json(building / STATS, {name: self._total(name, each.get(name, {})) for name in self.old.total})
        _write_json(building / INFO, {**self.old.info, **self._counts(), **more})
        _write_json(building / PROVENANCE, provenance)

    def _counts(self) -> dict[str, Any]:
        counts: dict[str, Any] = {"total_episodes": len(self.kept), "total_frames": int(self.kept.offset[-1])}
        if "total_chunks" in self.old.info:
            counts["total_chunks"] = -(-len(self.kept) // chunk_size(self.old.info))
        if "splits" in self.old.info:
            counts["splits"] = _splits(self.old.info["splits"], self.kept)
        return counts

    def _write_lines(self, building: Path) -> None:
        """``episodes.jsonl`` and ``episodes_stats.jsonl`` of v2.0 and v2.1."""
        tasks = {entry.episode: entry.task for entry in self.index.episodes}
        lines = []
        for new, (number, length) in enumerate(zip(self.kept.number.tolist(), self.kept.length.tolist(), strict=True)):
            row = self.old.rows.get(number, {"episode_index": new, "tasks": [tasks[number]] if tasks[number] else []})
            own = {f"{OWN}{key}": value for key, value in self._outcome_of(number).items()}
            lines.append({**row, "episode_index": new, "length": length, **own})
        _write_lines(building / EPISODES, lines)
        stats = self._stats()
        if stats:
            told = [{"episode_index": new, "stats": each} for new, each in stats.items()]
            _write_lines(building / EPISODE_STATS, told)

    def _stats(self) -> dict[int, Stats]:
        """Statistics of kept episodes of v2.1 by new number."""
        found: dict[int, Stats] = {}
        cut = self.kept.cut.tolist()
        for new, number in enumerate(self.kept.number.tolist()):
            if number not in self.old.stats:
                continue
            measured = self.written.measured.get(new, {})
            stats: Stats = {}
            for name, held in self.old.stats[number].items():
                stats[name] = dict(held)
                if (cut[new] or (name == SUCCESS and number in self.said)) and name in measured:
                    stats[name] |= {key: like(held[key], measured[name][key]) for key in held if key in measured[name]}
                elif (shift := _shift_of(name, self.written.shift[new], new)) is not None:
                    for key in held:
                        stats[name][key] = _moved(key, held[key], shift)
            found[new] = stats
        return found

    def _table(self, old: pa.Table) -> pa.Table:
        """Rows of the episodes file of v3.0: those of the source, with what numbers them made anew."""
        numbers = self.kept.number.tolist()
        rows = [self.old.row_of.get(number) for number in numbers]
        table = old.take(pa.array(rows, pa.int64()))
        chunks = chunk_size(self.old.info)
        file = np.array([self.written.file[new] for new in range(len(numbers))])
        columns: dict[str, Any] = {
            "episode_index": np.arange(len(numbers)),
            "length": self.kept.length,
            "data/chunk_index": file // chunks,
            "data/file_index": file % chunks,
            "dataset_from_index": self.kept.offset[:-1],
            "dataset_to_index": self.kept.offset[1:],
            "meta/episodes/chunk_index": np.zeros(len(numbers), np.int64),
            "meta/episodes/file_index": np.zeros(len(numbers), np.int64),
        }
        if None in rows and "tasks" in table.column_names:
            tasks = {entry.episode: entry.task for entry in self.index.episodes}
            held = table.column("tasks").to_pylist()
            columns["tasks"] = [
                [tasks[number]] if row is None else words
                for number, row, words in zip(numbers, rows, held, strict=True)
            ]
        for name in table.column_names:
            if name.startswith("videos/") and name.endswith("/from_timestamp"):
                columns |= self._video_times(table, name)
        for name, values in columns.items():
            table = _set(table, name, values)
        for name in table.column_names:
            if match := _COLUMN.match(name):
                table = self._restated(table, name, match[1], match[2])
        return self._with_outcomes(table, numbers)

    def _outcome_of(self, number: int) -> dict[str, Any]:
        """What the episodes file says of an outcome that a person tells; nothing of another."""
        return {"success": float(self.said[number]), "outcome_source": "person"} if number in self.said else {}

    def _with_outcomes(self, table: pa.Table, numbers: Sequence[int]) -> pa.Table:
        """Rows of the episodes file with the outcomes that persons tell, where they tell any."""
        told = [self._outcome_of(number) for number in numbers]
        if not any(told):
            return table
        for key, kind in (("success", pa.float64()), ("outcome_source", pa.string())):
            name = f"{OWN}{key}"
            held = table.column(name).to_pylist() if name in table.column_names else [None] * len(table)
            values = [each.get(key, old) for each, old in zip(told, held, strict=True)]
            if name in table.column_names:
                table = _set(table, name, values)
            else:
                table = table.append_column(name, pa.array(values, kind))
        return table

    def _video_times(self, table: pa.Table, name: str) -> dict[str, list[float | None]]:
        """Where each episode lies in its video; of those that are cut, what is left of it."""
        begin, end = name, name.replace("/from_timestamp", "/to_timestamp")
        old = table.column(begin).to_pylist()
        stop = table.column(end).to_pylist() if end in table.column_names else [None] * len(old)
        for new in np.flatnonzero(self.kept.cut).tolist():
            if old[new] is None:
                continue
            old[new] += self.written.shift[new].seconds
            if self.index.fps:
                stop[new] = old[new] + int(self.kept.length[new]) / self.index.fps
        return {begin: old, **({end: stop} if end in table.column_names else {})}

    def _restated(self, table: pa.Table, column: str, feature: str, key: str) -> pa.Table:
        """A column of statistics, with those of episodes that were cut or numbered anew."""
        got = numbers_of(table.column(column))
        if got is None or got[1] is not None or table.column(column).null_count:
            return table
        values = got[0].astype(np.float64)
        before = values.copy()
        cut = self.kept.cut.tolist()
        for new in range(len(values)):
            restated = cut[new] or (feature == SUCCESS and int(self.kept.number[new]) in self.said)
            measured = self.written.measured.get(new, {}).get(feature, {}) if restated else {}
            if key in measured and measured[key].shape == values[new].shape:
                values[new] = measured[key]
            elif (shift := _shift_of(feature, self.written.shift[new], new)) is not None:
                values[new] = _shifted(key, values[new], shift)
        kind = table.schema.field(column).type
        # what is nested deeper is of images, which are carried through
        if np.array_equal(values, before, equal_nan=True) or not _is_flat(kind):
            return table
        return _set(table, column, values.tolist() if pa.types.is_nested(kind) else values[:, 0])

    def _total(self, feature: str, each: Mapping[str, Float64s]) -> dict[str, Any]:
        """Statistics of a feature over all that is kept."""
        held = self.old.total[feature]
        measured = [self.written.measured.get(new, {}).get(feature, {}) for new in range(len(self.kept))]
        made = {key: np.stack([one[key] for one in measured]) for key in held if all(key in one for one in measured)}
        if made and "mean" not in made and all("mean" in one for one in measured):
            made["mean"] = np.stack([one["mean"] for one in measured])
        found = {key: made.get(key, each.get(key)) for key in {**made, **each}}
        known = {key: values for key, values in found.items() if values is not None}
        if not known or ("std" in known and "mean" not in known):
            return dict(held)
        count = known["count"][:, 0] if "count" in known else self.kept.length.astype(np.float64)
        total = together(known, count)
        return {key: like(value, total[key]) if key in total else value for key, value in held.items()}


def _shift_of(feature: str, shift: Shift, new: int) -> float | tuple[int] | None:
    """What is subtracted of a feature that numbers or times frames; of the episode's number, that itself in a tuple."""
    if feature == "episode_index":
        return (new,)
    found = {"index": shift.index, "frame_index": shift.frame, "timestamp": shift.seconds}.get(feature)
    return None if found is None or not np.isfinite(found) or found == 0 else found


def _shifted(key: str, values: Float64s, shift: float | tuple[int]) -> Float64s:
    """A statistic after its values were shifted, or all made one."""
    if key == "count" or not is_measure(key):
        return values
    if isinstance(shift, tuple):
        return np.full(values.shape, 0.0 if key == "std" else float(shift[0]))
    return values if key == "std" else values - shift


def _moved(key: str, held: Any, shift: float | tuple[int]) -> Any:
    """The same for numbers in lists, as they stand in JSON."""
    if isinstance(held, list):
        return [_moved(key, each, shift) for each in held]
    if key == "count" or not is_measure(key) or not isinstance(held, int | float):
        return held
    if isinstance(shift, tuple):
        return type(held)(0 if key == "std" else shift[0])
    whole = type(held) is int and float(shift).is_integer()
    return held if key == "std" else held - (int(shift) if whole else shift)


def _columns_of(table: pa.Table, feature: str) -> dict[str, Float64s]:
    """Statistics of a feature by key, shape (n, w), out of an episodes file."""
    found = {}
    for name in table.column_names:
        match = _COLUMN.match(name)
        if match and match[1] == feature and is_measure(match[2]) and not table.column(name).null_count:
            got = numbers_of(table.column(name))
            if got is not None and got[1] is None:
                found[match[2]] = got[0].astype(np.float64)
    return found


def _lines_of(lines: Sequence[Stats], feature: str) -> dict[str, Float64s]:
    """The same out of lines."""
    held = [line.get(feature, {}) for line in lines]
    keys = [key for key in held[0] if is_measure(key) and all(key in one for one in held)]
    found = {}
    for key in keys:
        values = [np.asarray(one[key], np.float64).reshape(-1) for one in held]
        if len({len(each) for each in values}) == 1:
            found[key] = np.stack(values)
    return found


def _set(table: pa.Table, name: str, values: Any) -> pa.Table:
    """A column in its own type; one that is not there stays away."""
    at = table.schema.get_field_index(name)
    if at < 0:
        return table
    held = table.schema.field(at)
    return table.set_column(at, held, pa.array(values, held.type))


def _is_flat(kind: pa.DataType) -> bool:
    return not pa.types.is_nested(kind) or not pa.types.is_nested(kind.value_type)


def _splits(old: Any, kept: Selection) -> dict[str, str]:
    """Splits as ranges of the new numbers: a range of the source becomes that of its episodes which are kept."""
    every = np.array(sorted({*kept.left_out, *kept.number.tolist()}), np.int64)
    place = np.searchsorted(every, kept.number)
    found = {}
    for name, words in old.items() if isinstance(old, dict) else ():
        match = _SPLIT.match(words) if isinstance(words, str) else None
        if match is None:
            return {"train": f"0:{len(kept)}"}
        a, b = (int(np.searchsorted(place, int(each))) for each in match.groups())
        found[str(name)] = f"{a}:{b}"
    return found or {"train": f"0:{len(kept)}"}


def carry(index: Index, building: Path) -> tuple[list[str], list[str]]:
    """Copy what else lies in the source: other files of ``meta``, and those beside the folders, such as a licence.

    Returns:
        Files of ``meta`` that this program does not know, and folders and links that were left behind: what lies
        outside of the data set is no part of it, and the copy is whole without what nothing reads.

    Raises:
        DatasetError: if one cannot be read, or one that is read is a link that leads out.
    """
    root = index.root
    unknown: list[str] = []
    links: list[str] = []
    for file in sorted([*root.glob("*"), *(root / "meta").rglob("*")]):
        name = file.relative_to(root).as_posix()
        if not (file.is_file() or (file.is_symlink() and not file.is_dir())):
            continue
        if name in MADE_ANEW or (index.version == "v3.0" and name.startswith(f"{EPISODES_FOLDER}/")):
            continue
        strange = not name.startswith("meta/tasks.")
        if strange and file.is_symlink() and not _leads_in(root, file):
            links.append(f"{name} (a link out of the data set)")
            continue
        copy_file(root, name, building / name)
        if name.startswith("meta/") and strange:
            unknown.append(name)
    folders = [each.name for each in sorted(root.iterdir()) if each.is_dir() and each.name not in ROOMS]
    return unknown, [*folders, *links]


def _leads_in(root: Path, link: Path) -> bool:
    """Whether a link leads to a place within the data set."""
    try:
        return link.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # links in a circle
        return False


def copy_file(root: Path, name: str, target: Path) -> None:
    """The bytes of a file of a data set.

    Raises:
        DatasetError: if it cannot be read, or is a link that leads out.
    """
    import shutil

    source = inside(root, name)
    refuse_no_file(source, root / name)
    try:
        opened = source.open("rb")
    except OSError as error:
        raise DatasetError(root / name, f"cannot be read: {reason(error)}") from None
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened, target.open("wb") as sink:
        shutil.copyfileobj(opened, sink, 1 << 20)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=4, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8", newline="\n")
