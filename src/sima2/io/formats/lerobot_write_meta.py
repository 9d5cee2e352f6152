"""The metadata files of a LeRobot v3.0 data set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from sima2.io.arrow import WRITER, strings
from sima2.io.formats.lerobot_index import INFO, V3_DATA
from sima2.io.formats.lerobot_layout import TIME, Placed, own_map
from sima2.io.formats.lerobot_own import OWN_MAP
from sima2.io.formats.lerobot_stats import Stats

VERSION: Final = "v3.0"
CHUNKS_SIZE: Final = 1000
"""Data files in a folder; LeRobot's default."""
DEFAULTS: Final[Mapping[str, pa.DataType]] = {
    "timestamp": pa.float32(),
    "frame_index": pa.int64(),
    "episode_index": pa.int64(),
    "index": pa.int64(),
    "task_index": pa.int64(),
    "next.reward": pa.float32(),
    "next.done": pa.bool_(),
    "next.success": pa.bool_(),
    TIME: pa.float64(),
}
"""Features that do not depend on what was recorded."""
_INDEX: Final = "__index_level_0__"
_PANDAS: Final = {
    "index_columns": [_INDEX],
    "column_indexes": [],
    "columns": [
        {"name": name, "field_name": field_name, "pandas_type": kind, "numpy_type": numpy_type, "metadata": None}
        for name, field_name, kind, numpy_type in (
            ("task_index", "task_index", "int64", "int64"),
            (None, _INDEX, "unicode", "object"),
        )
    ],
    "creator": {"library": "pyarrow", "version": "15.0.0"},
    "pandas_version": "2.0.0",
}
"""Metadata by which pandas, and so LeRobot, takes the text of a task as the index."""


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What is known when all frames are written."""

    episodes: int
    frames: int
    tasks: Sequence[str]
    """By index."""
    arms: Sequence[str]
    placed: Sequence[Placed]
    """How channels lie in features."""
    stats: Stats


def write_meta(root: Path, facts: Facts, *, fps: float, robot: str, data_file_mb: float) -> None:
    """info.json, stats.json, tasks.parquet and the column map."""
    rate: float | int = int(fps) if float(fps).is_integer() else float(fps)
    features: dict[str, dict[str, Any]] = {
        each.feature: {"dtype": "float32", "shape": [each.width], "names": list(each.names), "fps": rate}
        for each in facts.placed
    }
    for name, kind in DEFAULTS.items():
        dtype = {"float": "float32", "double": "float64"}.get(str(kind), str(kind))
        features[name] = {"dtype": dtype, "shape": [1], "names": None, "fps": rate}
    info = {
        "codebase_version": VERSION,
        "robot_type": robot,
        "total_episodes": facts.episodes,
        "total_frames": facts.frames,
        "total_tasks": len(facts.tasks),
        "chunks_size": CHUNKS_SIZE,
        "data_files_size_in_mb": int(data_file_mb) if float(data_file_mb).is_integer() else data_file_mb,
        "video_files_size_in_mb": 200,
        "fps": rate,
        "splits": {"train": f"0:{facts.episodes}"},
        "data_path": V3_DATA,
        "video_path": None,
        "features": features,
    }
    stats = {each.feature: facts.stats.plain(list(each.channels)) for each in facts.placed}
    stats |= {name: facts.stats.plain([(name, 1)]) for name in DEFAULTS}
    _write_text(root / INFO, json.dumps(info, indent=4, ensure_ascii=False) + "\n")
    known = {name: each for name, each in stats.items() if each is not None}
    _write_text(root / "meta/stats.json", json.dumps(known, indent=4, allow_nan=False) + "\n")
    _write_text(root / OWN_MAP, own_map(facts.placed, facts.arms, robot).to_toml())
    tasks = pa.table({"task_index": pa.array(range(len(facts.tasks)), pa.int64()), _INDEX: strings(facts.tasks)})
    pq.write_table(
        tasks.replace_schema_metadata({"pandas": json.dumps(_PANDAS)}), root / "meta/tasks.parquet", **WRITER
    )


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
