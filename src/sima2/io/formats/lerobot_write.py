"""Rollouts as a LeRobot v3.0 data set that comes back bit for bit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sima2.errors import DatasetError, RecordError
from sima2.io.arrow import WRITER
from sima2.io.durable import is_taken, new_folder
from sima2.io.formats.lerobot_index import V3_DATA, fill
from sima2.io.formats.lerobot_layout import (
    TIME,
    Placed,
    Widths,
    channels_of,
    episode_layouts,
    place,
    to_features,
    widths_of,
)
from sima2.io.formats.lerobot_own import SCHEMA, own_columns
from sima2.io.formats.lerobot_stats import Stats
from sima2.io.formats.lerobot_write_meta import CHUNKS_SIZE, DEFAULTS, Facts, write_meta
from sima2.records.arrays import Bools, Float32s
from sima2.records.outcome import Outcome
from sima2.records.rollout import RolloutBatch, spans

KNOWN: Final = "success_known"
GROUP_FRAMES: Final = 32_768
"""Frames after which a row group ends, at the end of an episode: a hundred episodes or so are read at once."""
GROUP_EPISODES: Final = 10_000
"""Rows of a row group of the episodes file."""
FRAME_BYTES: Final = 49
"""Bytes a frame takes in ``DEFAULTS``."""


_EPISODES: Final = pa.schema(
    [
        ("episode_index", pa.int64()),
        ("tasks", pa.list_(pa.string())),
        ("length", pa.int64()),
        ("data/chunk_index", pa.int64()),
        ("data/file_index", pa.int64()),
        ("dataset_from_index", pa.int64()),
        ("dataset_to_index", pa.int64()),
        ("meta/episodes/chunk_index", pa.int64()),
        ("meta/episodes/file_index", pa.int64()),
        *SCHEMA,
    ]
)

Part = tuple[RolloutBatch, Outcome | None]


def write_lerobot(path: Path, parts: Iterable[Part], *, fps: float, robot: str, data_file_mb: float = 100.0) -> None:
    """Write a LeRobot v3.0 data set; the same rollouts give the same bytes, however they came in parts.

    Joints and grippers are ``observation.state``; every other channel is a feature ``observation.<channel>`` (with
    several arms ``observation.<arm>.<channel>``); exact times are ``observation.time``; what else is known of an
    episode is in ``sima2/…`` columns of the episodes file. ``next.success`` is null where it is not known.
    Statistics of single episodes, which LeRobot does not read, are left out.

    Args:
        path: a folder that is missing or empty; the data set appears there only when all of it is written.
        parts: batches with what is known of how their episodes ended.
        fps: frames per second as stated to LeRobot, > 0.
        robot: type of the robot.
        data_file_mb: size at which a data file ends, in 10^6 bytes before compression.

    Raises:
        DatasetError: if the folder holds anything, or there are no episodes.
        RecordError: if the settings or an outcome do not fit.
    """
    if not (math.isfinite(fps) and fps > 0 and data_file_mb > 0):
        raise RecordError(f"fps {fps} and data_file_mb {data_file_mb} must be positive")
    if is_taken(path):
        raise DatasetError(path, "is not empty", "choose a new folder")
    with new_folder(path) as building:
        writer = _Writer(building, int(data_file_mb * 1e6))
        placed = writer.run(parts)
        if not writer.episodes:
            raise DatasetError(path, "there are no episodes to write")
        facts = Facts(writer.episodes, writer.frames, list(writer.tasks), writer.arms, placed, writer.stats)
        write_meta(building, facts, fps=fps, robot=robot, data_file_mb=data_file_mb)


@dataclass(slots=True)
class _Pending:
    """Episodes that wait for their row group to end."""

    frames: int
    channels: dict[str, Float32s]
    defaults: dict[str, NDArray[Any]]
    success_known: Bools


@dataclass(slots=True)
class _Writer:
    """Data and episodes files, a row group at a time. Channels may grow wider or more as episodes come in."""

    root: Path
    file_bytes: int
    widths: Widths = field(default_factory=dict)
    arms: list[str] = field(default_factory=list)
    stats: Stats = field(default_factory=Stats)
    tasks: dict[str, int] = field(default_factory=dict)
    episodes: int = 0
    frames: int = 0
    files: int = 0
    """Data files that were ended."""
    groups: list[tuple[int, Path]] = field(default_factory=list)
    """Row groups in the spool: the data file each belongs to, and where it waits."""
    pending: list[_Pending] = field(default_factory=list)
    rows: dict[str, list[Any]] = field(default_factory=dict)
    bytes_in_file: int = 0
    frames_in_group: int = 0
    index: pq.ParquetWriter | None = None

    def run(self, parts: Iterable[Part]) -> list[Placed]:
        """Write all data and episodes files; how channels lie in them.

        Row groups wait in a spool: how wide the features are is known when the last episode has come.
        """
        self.spool.mkdir()
        try:
            for batch, outcome in parts:
                self._add(batch, Outcome.unknown(len(batch)) if outcome is None else outcome)
            self._end_file()
            self._end_rows()
        finally:
            if self.index is not None:
                self.index.close()
        placed = place(self.widths, self.arms)
        for file, groups in groupby(self.groups, key=lambda group: group[0]):
            self._lay_out(file, [group for _, group in groups], placed)
        self.spool.rmdir()
        return placed

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    def _add(self, batch: RolloutBatch, outcome: Outcome) -> None:
        """The episodes of a batch, in runs that end where a row group or a file ends.

        A loop over episodes, of whole numbers alone: where a file ends must not depend on how episodes came in.
        """
        if len(outcome) != len(batch):
            raise RecordError(f"outcomes of {len(outcome)} episodes for {len(batch)}")
        layouts = episode_layouts(batch)
        widths = [widths_of(layout, len(names)) for layout, names in zip(layouts, batch.objects, strict=True)]
        own = own_columns(batch, outcome, layouts)
        start = 0
        for i, length in enumerate(batch.length.tolist()):
            size = length * (FRAME_BYTES + 4 * sum(widths[i].values()))
            if self.bytes_in_file and self.bytes_in_file + size > self.file_bytes:
                self._take(batch, outcome, own, widths, start, i)
                start = i
                self._end_file()
            self.bytes_in_file += size
            self.frames_in_group += length
            if self.frames_in_group >= GROUP_FRAMES:
                self._take(batch, outcome, own, widths, start, i + 1)
                start = i + 1
                self._end_group()
        self._take(batch, outcome, own, widths, start, len(batch))

    def _take(
        self,
        batch: RolloutBatch,
        outcome: Outcome,
        own: Mapping[str, list[Any]],
        widths: Sequence[Widths],
        start: int,
        stop: int,
    ) -> None:
        """Episodes start .. stop of a batch into the open row group."""
        if start == stop:
            return
        where = np.arange(start, stop)
        part, outcome = batch.take(where), outcome.take(where)
        present: Widths = {}
        for each in widths[start:stop]:
            for name, width in each.items():
                present[name] = max(present.get(name, 0), width)
        for name, width in present.items():
            self.widths[name] = max(self.widths.get(name, 0), width)
        used = {name.rpartition(".")[0] for name in present}
        self.arms += [arm for arm in batch.manipulators if arm in used and arm not in self.arms]
        task = [words or family for words, family in zip(part.episodes.instruction, part.episodes.family, strict=True)]
        for words in task:
            self.tasks.setdefault(words, len(self.tasks))
        channels = channels_of(part, present)
        defaults, known = self._defaults(part, outcome, task)
        for name, values in {**channels, **{name: defaults[name] for name in DEFAULTS}}.items():
            self.stats.add(name, values, part.offset)
        self.pending.append(_Pending(part.frames, channels, defaults, known))
        self._note(part, task, {name: values[start:stop] for name, values in own.items()})

    def _defaults(
        self, part: RolloutBatch, outcome: Outcome, task: Sequence[str]
    ) -> tuple[dict[str, NDArray[Any]], Bools]:
        """What every LeRobot set has, exact times, how it ended, and where that is known."""
        length = part.length
        last = np.zeros(part.frames, np.bool_)
        last[part.offset[1:][length > 0] - 1] = True
        success = np.repeat(outcome.success, length)
        number = np.array([self.tasks[each] for each in task], np.int64)
        known = ~np.isnan(success)
        return {
            "timestamp": part.time.astype(np.float32),
            "frame_index": spans(np.zeros(len(part), np.int64), length),
            "episode_index": np.repeat(np.arange(self.episodes, self.episodes + len(part), dtype=np.int64), length),
            "index": np.arange(self.frames, self.frames + part.frames, dtype=np.int64),
            "task_index": np.repeat(number, length),
            "next.reward": np.where(known, last * np.nan_to_num(success), np.nan).astype(np.float32),
            "next.done": last,
            "next.success": last & (success == 1.0),
            TIME: part.time,
        }, known

    def _note(self, part: RolloutBatch, task: Sequence[str], own: Mapping[str, list[Any]]) -> None:
        """Rows of the episodes file."""
        n, file = len(part), self.files
        rows: dict[str, list[Any]] = {
            "episode_index": list(range(self.episodes, self.episodes + n)),
            "tasks": [[each] for each in task],
            "length": part.length.tolist(),
            "data/chunk_index": [file // CHUNKS_SIZE] * n,
            "data/file_index": [file % CHUNKS_SIZE] * n,
            "dataset_from_index": (part.offset[:-1] + self.frames).tolist(),
            "dataset_to_index": (part.offset[1:] + self.frames).tolist(),
            "meta/episodes/chunk_index": [0] * n,
            "meta/episodes/file_index": [0] * n,
            **own,
        }
        for name, values in rows.items():
            self.rows.setdefault(name, []).extend(values)
        self.episodes += n
        self.frames += part.frames
        while len(self.rows.get("length", ())) >= GROUP_EPISODES:
            self._end_rows()

    def _end_group(self) -> None:
        """Put the open row group into the spool."""
        self.frames_in_group = 0
        if not self.pending:
            return
        frames = sum(each.frames for each in self.pending)
        arrays = {name: np.concatenate([each.defaults[name] for each in self.pending]) for name in DEFAULTS}
        arrays[KNOWN] = np.concatenate([each.success_known for each in self.pending])
        for key in dict.fromkeys(key for each in self.pending for key in each.channels):
            width = max(each.channels[key].shape[1] for each in self.pending if key in each.channels)
            arrays[key] = np.full((frames, width), np.nan, np.float32)
            at = 0
            for each in self.pending:
                if key in each.channels:
                    values = each.channels[key]
                    arrays[key][at : at + each.frames, : values.shape[1]] = values
                at += each.frames
        self.pending = []
        waiting = self.spool / f"{len(self.groups)}.npz"
        np.savez(waiting, allow_pickle=False, **arrays)
        self.groups.append((self.files, waiting))

    def _end_file(self) -> None:
        self._end_group()
        self.bytes_in_file = 0
        self.files += 1

    def _end_rows(self) -> None:
        """Write a row group of the episodes file."""
        if not self.rows:
            return
        if self.index is None:
            path = self.root / "meta/episodes/chunk-000/file-000.parquet"
            path.parent.mkdir(parents=True)
            self.index = _parquet_writer(path, _EPISODES)
        taken = {name: values[:GROUP_EPISODES] for name, values in self.rows.items()}
        self.rows = {name: values[GROUP_EPISODES:] for name, values in self.rows.items() if values[GROUP_EPISODES:]}
        self.index.write_table(pa.table(taken, schema=_EPISODES))

    def _lay_out(self, file: int, groups: Sequence[Path], placed: Sequence[Placed]) -> None:
        """Write a data file out of its row groups."""
        name = fill(V3_DATA, {"chunk_index": file // CHUNKS_SIZE, "file_index": file % CHUNKS_SIZE})
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = None
        try:
            for group in groups:
                with np.load(group, allow_pickle=False) as arrays:
                    columns = to_features(placed, arrays, len(arrays[KNOWN]))
                    for key, kind in DEFAULTS.items():
                        mask = ~arrays[KNOWN] if key == "next.success" else None
                        columns[key] = pa.array(arrays[key], kind, mask=mask)
                table = pa.table(columns)
                writer = writer or _parquet_writer(path, table.schema)
                writer.write_table(table, row_group_size=WRITER["row_group_size"])
                group.unlink()
        finally:
            if writer is not None:
                writer.close()


def _parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    options = {key: value for key, value in WRITER.items() if key != "row_group_size"}
    # measured floats hardly ever repeat: to look for repetition would take most of the time
    options["use_dictionary"] = [each.name for each in schema if not _holds_floats(each.type)]
    return pq.ParquetWriter(path, schema, **options)


def _holds_floats(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind.value_type if pa.types.is_fixed_size_list(kind) else kind))
