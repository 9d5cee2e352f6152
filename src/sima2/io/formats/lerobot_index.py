"""The metadata of a LeRobot data set of version 2.0, 2.1 or 3.0, believed only as far as it can be checked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from sima2.errors import DatasetError
from sima2.io.documents import FETCH, inside, is_file, is_lfs_pointer, read_json, read_json_lines, shown
from sima2.io.formats.frame_source import NUMERIC, Entry, Feature
from sima2.io.formats.lerobot_files import MAX_WIDTH, episodes_in, texts_column, whole_numbers
from sima2.io.formats.lerobot_rows import in_order
from sima2.io.formats.lerobot_tasks import with_tasks
from sima2.io.intake import clean
from sima2.io.parquet import read_whole

INFO: Final = "meta/info.json"
VERSIONS: Final = ("v2.0", "v2.1", "v3.0")
OWN: Final = "sima2/"
"""Prefix of the columns that ``sima2 generate`` adds to the episodes file."""
DEFAULTS: Final = ("timestamp", "frame_index", "episode_index", "index", "task_index", "next.done", "next.truncated")
V2_DATA: Final = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
V3_DATA: Final = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
MAX_FPS: Final = 1e6
"""No control loop is faster than so many Hz."""

_FIELD: Final = re.compile(r"\{(\w+)(?::0?(\d{1,2})d)?\}")


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """All that the metadata say."""

    root: Path
    version: str
    robot: str
    fps: float | None
    features: dict[str, Feature]
    episodes: tuple[Entry, ...]
    extras: pa.Table | None
    """Columns of the episodes file that only this program writes."""
    warnings: tuple[str, ...]

    @property
    def shared_files(self) -> bool:
        """Whether a file holds many episodes."""
        return self.version == "v3.0"


def load_index(root: Path) -> Index:
    """Read and check the metadata.

    Raises:
        DatasetError: if nothing could be read by them.
    """
    info = read_json(root, INFO)
    version = info.get("codebase_version")
    if not isinstance(version, str) or version not in VERSIONS:
        what = "codebase_version is missing" if version is None else f"codebase_version {shown(version)} is not known"
        raise DatasetError(root / INFO, what, f"known: {', '.join(VERSIONS)}")
    warnings: list[str] = []
    features = _features(root, info.get("features"), warnings)
    fps = _fps(info.get("fps"), warnings)
    if not (root / "data").is_dir():
        raise DatasetError(root, "has metadata but no data folder", "fetch the whole data set")
    if version == "v3.0":
        episodes, extras = _episodes_v3(root, info, warnings)
    else:
        episodes, extras = _episodes_v2(root, info, warnings), None
    if not episodes:
        raise DatasetError(root, "has no episodes")
    _refuse_pointers(root, episodes)
    _check_totals(root, info, features, episodes, warnings)
    robot = clean(info.get("robot_type") or "unknown")
    return Index(root, version, robot, fps, features, tuple(episodes), extras, tuple(map(clean, warnings)))


def _features(root: Path, declared: Any, warnings: list[str]) -> dict[str, Feature]:
    if not isinstance(declared, dict) or not declared:
        raise DatasetError(root / INFO, "declares no features")
    found = {}
    for name, spec in declared.items():
        feature = _feature(spec)
        if feature is None:
            warnings.append(f"feature {clean(name)}: its shape or dtype is malformed; not read")
            continue
        width = math.prod(feature.shape)
        if feature.dtype in NUMERIC and width > MAX_WIDTH:
            warnings.append(f"feature {clean(name)}: {width} numbers a frame is not low-dimensional; not read")
            continue
        if feature.dtype in NUMERIC and feature.names and len(feature.names) != width and len(feature.shape) == 1:
            warnings.append(
                f"feature {clean(name)}: declares {width} columns and {len(feature.names)} names; "
                "the names are taken in order"
            )
        found[name] = feature
    return found


def _feature(spec: Any) -> Feature | None:
    shape = spec.get("shape") if isinstance(spec, dict) else None
    if not isinstance(shape, list) or any(type(each) is not int or not 0 <= each < 2**31 for each in shape):
        return None
    if len(shape) > 8 or not isinstance(spec.get("dtype"), str):
        return None
    return Feature(spec["dtype"], tuple(shape), _names(spec.get("names")))


def _names(value: Any) -> tuple[str, ...]:
    """Names of columns: a list, a nested list, a mapping to lists or to places, or nothing."""
    if isinstance(value, dict):
        if value and all(type(each) is int for each in value.values()):
            return tuple(clean(name) for name, _ in sorted(value.items(), key=lambda item: (item[1], item[0])))
        value = list(value.values())
    if not isinstance(value, list):
        return ()
    flat: list[str] = []
    for each in value:
        if isinstance(each, list):
            flat += [clean(name) for name in each if not isinstance(name, (list, dict))]
        elif isinstance(each, str):
            flat.append(clean(each))
    return tuple(flat)


def _fps(value: Any, warnings: list[str]) -> float | None:
    if type(value) in (int, float) and 0 < value < MAX_FPS:
        return float(value)
    warnings.append(f"fps {shown(value)} is no frame rate; time is read from timestamps alone")
    return None


def _template(root: Path, info: Mapping[str, Any], default: str) -> str:
    """The path of data files; only whole numbers are ever filled in."""
    template = info.get("data_path") or default
    # written on Windows
    template = template.replace("\\", "/") if isinstance(template, str) else template
    if not isinstance(template, str) or not template.isprintable() or len(template) > 1000:
        raise DatasetError(root / INFO, "data_path is no path")
    plain = _FIELD.sub("0", template)
    known = {match[1] for match in _FIELD.finditer(default)}
    if "{" in plain or "}" in plain or not {match[1] for match in _FIELD.finditer(template)} <= known:
        problem = f"data_path {shown(template)} has a field that is not understood"
        raise DatasetError(root / INFO, problem, f"known: {', '.join(sorted(known))}")
    parts = plain.split("/")
    if parts[0] in ("", "~") or ".." in parts or ":" in parts[0]:
        raise DatasetError(root / INFO, f"data_path {shown(template)} leads out of the data set", "it must be relative")
    return template


def data_template(root: Path, info: Mapping[str, Any]) -> str:
    """The path of data files as ``info.json`` of a version gives it; only whole numbers are ever filled in.

    Raises:
        DatasetError: if it is no path within the data set.
    """
    if info.get("codebase_version") == "v3.0":
        return _template(root, info, V3_DATA)
    # some writers of v2.1 call the chunk as v3.0 does
    path = info.get("data_path")
    if isinstance(path, str):
        info = {**info, "data_path": path.replace("{chunk_index", "{episode_chunk")}
    return _template(root, info, V2_DATA)


def chunk_size(info: Mapping[str, Any]) -> int:
    """Files in a folder; LeRobot's default where the metadata do not tell."""
    chunks = info.get("chunks_size", 1000)
    return chunks if type(chunks) is int and chunks > 0 else 1000


def fill(template: str, numbers: Mapping[str, int]) -> str:
    """A data path with its numbers filled in.

    >>> fill(V3_DATA, {"chunk_index": 0, "file_index": 7})
    'data/chunk-000/file-007.parquet'
    """

    def number(match: re.Match[str]) -> str:
        name, width = match.groups()
        return f"{numbers[name]:0{int(width or 1)}d}"

    return _FIELD.sub(number, template)


def _episodes_v2(root: Path, info: Mapping[str, Any], warnings: list[str]) -> list[Entry]:
    template, chunk = data_template(root, info), chunk_size(info)

    def path(index: int) -> str:
        return fill(template, {"episode_chunk": index // chunk, "episode_index": index})

    rows: list[tuple[int, dict[str, Any]]] = []
    try:
        rows, problems = read_json_lines(root, "meta/episodes.jsonl")
        warnings += problems
    except DatasetError as error:
        problems = [str(error)]
        warnings.append(f"{error}; episodes are taken from the files there are")
    found: dict[int, Entry] = {}
    told: dict[int, tuple[str, ...]] = {}
    for number, row in rows:
        index = row.get("episode_index")
        if type(index) is not int or not 0 <= index < 2**62:
            problems.append(
                f"meta/episodes.jsonl line {number}: episode_index {shown(index)} is not a whole number from 0"
            )
            warnings.append(problems[-1])
        elif index in found:
            warnings.append(f"meta/episodes.jsonl line {number}: episode {index} occurs twice; the first counts")
        else:
            found[index] = Entry(index, _length(row.get("length")), path(index), "", -1)
            told[index] = _tasks(row.get("tasks"))
    if problems or not found or info.get("total_episodes") != len(found):
        listed = len(found)
        for index in _indices_of_files(root):
            if index not in found and is_file(root / path(index)):
                found[index] = Entry(index, None, path(index), "", -1)
        if len(found) > listed:
            warnings.append(f"{len(found) - listed} episodes have files but are not listed; they are read")
    return with_tasks(root, [found[index] for index in sorted(found)], told, warnings, shared_files=False)


def _indices_of_files(root: Path) -> list[int]:
    numbers = (re.search(r"(\d{1,18})\.parquet\Z", file.name) for file in sorted((root / "data").glob("**/*.parquet")))
    return sorted({int(match[1]) for match in numbers if match})


def _episodes_v3(root: Path, info: Mapping[str, Any], warnings: list[str]) -> tuple[list[Entry], pa.Table | None]:
    template = data_template(root, info)
    found: dict[int, Entry] = {}
    told: dict[int, tuple[str, ...]] = {}
    extras: list[pa.Table] = []
    rows = 0
    damaged = False
    for file in sorted((root / "meta/episodes").glob("*/*.parquet")):
        name = file.relative_to(root).as_posix()
        try:
            table = read_whole(inside(root, name), skip="stats/")
            entries, bad = _entries_v3(root, template, table, rows)
        except DatasetError as error:
            damaged = True
            warnings.append(f"{error}; its episodes are looked for in the data")
            continue
        if bad:
            damaged = True
            problem = f"{name}: row {bad[0]} has no episode_index, chunk_index or file_index"
            warnings.append(f"{problem}, one of {len(bad)} such; their episodes are looked for in the data")
        own = table.select([each for each in table.column_names if each.startswith(OWN)])
        if own.num_columns:
            extras.append(own)
            rows += len(table)
        for entry in entries:
            if entry.episode in found:
                warnings.append(f"{name}: episode {entry.episode} occurs twice; the first counts")
            found.setdefault(entry.episode, entry)
        told = {**_tasks_v3(table), **told}
    if damaged or not found or info.get("total_episodes") != len(found):
        listed = len(found)
        unlisted: dict[int, Entry] = {}
        for name in in_order([file.relative_to(root).as_posix() for file in (root / "data").glob("*/*.parquet")]):
            try:
                for index, length in episodes_in(inside(root, name)):
                    before = unlisted.get(index)
                    if index not in found or before is not None:
                        # the rows of one episode may lie in several files
                        more = length + (before.length or 0) if before is not None else length
                        unlisted[index] = Entry(index, more, name if before is None else before.file, "", -1)
            except DatasetError as error:
                warnings.append(str(error))
        found |= unlisted
        if len(found) > listed:
            warnings.append(f"{len(found) - listed} episodes are in the data but not listed; they are read")
    together = _together(extras, rows)
    if together is None:
        found = {index: entry._replace(row=-1) for index, entry in found.items()}
    entries = [found[index] for index in sorted(found)]
    return with_tasks(root, entries, told, warnings, shared_files=True), together


def _together(extras: list[pa.Table], rows: int) -> pa.Table | None:
    if not extras or any(each.schema != extras[0].schema for each in extras):
        return None
    joined = pa.concat_tables(extras)
    return joined if len(joined) == rows else None


def _entries_v3(root: Path, template: str, table: pa.Table, first_row: int) -> tuple[list[Entry], list[int]]:
    """Episodes of one file of the index, and the rows that name none."""
    columns = {
        name: whole_numbers(table, name) for name in ("episode_index", "length", "data/chunk_index", "data/file_index")
    }
    index = columns["episode_index"]
    chunks, files = columns["data/chunk_index"], columns["data/file_index"]
    if index is None or chunks is None or files is None:
        raise DatasetError(root / "meta/episodes", "episode_index, data/chunk_index or data/file_index is missing")
    lengths = columns["length"] or [None] * len(table)
    entries: list[Entry] = []
    bad: list[int] = []
    for row, (each, chunk, file, length) in enumerate(zip(index, chunks, files, lengths, strict=True)):
        if each is None or chunk is None or file is None or min(each, chunk, file) < 0 or each >= 2**62:
            bad.append(row)
            continue
        path = fill(template, {"chunk_index": chunk, "file_index": file})
        entries.append(Entry(each, _length(length), path, "", first_row + row))
    return entries, bad


def _length(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**62 else None


def _tasks(value: Any) -> tuple[str, ...]:
    """What an episode is said to be about."""
    values = value if isinstance(value, list) else [value]
    return tuple(clean(each) for each in values if isinstance(each, str) and each)


def _tasks_v3(table: pa.Table) -> dict[int, tuple[str, ...]]:
    index, texts = whole_numbers(table, "episode_index"), texts_column(table, "tasks")
    if index is None or texts is None:
        return {}
    return {each: _tasks(list(text)) for each, text in zip(index, texts, strict=True) if each is not None}


def _refuse_pointers(root: Path, episodes: list[Entry]) -> None:
    """Data that were never fetched make the whole set unusable: better one clear error than a heap of quarantine."""
    first = list(dict.fromkeys(entry.file for entry in episodes))[:8]
    there = []
    for name in first:
        try:
            path = inside(root, name)
            if is_file(path):
                there.append(is_lfs_pointer(path))
        except DatasetError:
            continue  # put aside when it is read
    if there and all(there):
        raise DatasetError(root, "holds no data", FETCH)


def _check_totals(
    root: Path, info: Mapping[str, Any], features: Mapping[str, Feature], episodes: list[Entry], warnings: list[str]
) -> None:
    if info.get("total_episodes") != len(episodes):
        warnings.append(f"total_episodes is {shown(info.get('total_episodes'))}, found {len(episodes)}")
    if "video" in {feature.dtype for feature in features.values()} and not (root / "videos").is_dir():
        where = "are in video/ instead of videos/" if (root / "video").is_dir() else "are not here"
        warnings.append(f"videos {where}; the low-dimensional data are read all the same")
    splits = info.get("splits")
    covered = 0
    for split in splits.values() if isinstance(splits, dict) else ():
        match = re.fullmatch(r"(\d{1,12}):(\d{1,12})", split) if isinstance(split, str) else None
        covered += max(0, int(match[2]) - int(match[1])) if match else 0
    if splits and covered != len(episodes):
        warnings.append(f"splits cover {covered} of {len(episodes)} episodes; all are read")
