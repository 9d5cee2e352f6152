"""LeRobot v2.1 folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sima2.bench.recordings_maker.follower import Take, column_names
from sima2.bench.recordings_maker.recipes import Recipe


@dataclass(slots=True, eq=False)
class Filed:
    """An episode as it is written."""

    take: Take
    time: NDArray[np.float64]
    """Seconds, shape (frames,)."""
    index: NDArray[np.int64]
    """``frame_index``, shape (frames,)."""
    task: int
    """The task the recording names."""


def write_set(folder: Path, recipe: Recipe, episodes: Sequence[Filed]) -> None:
    """Write a set into a folder that holds none yet."""
    (folder / "meta").mkdir(parents=True)
    for chunk in range(-(-len(episodes) // 1000)):
        (folder / f"data/chunk-{chunk:03d}").mkdir(parents=True)
    first, about, stats = 0, [], []
    for number, filed in enumerate(episodes):
        columns = _columns(filed, number, first)
        pq.write_table(pa.table(columns), folder / f"data/chunk-{number // 1000:03d}/episode_{number:06d}.parquet")
        length = len(filed.time)
        first += length
        about.append({"episode_index": number, "tasks": [recipe.tasks[filed.task].text], "length": length})
        stats.append({"episode_index": number, "stats": _stats(filed)})
    named = [{"task_index": k, "task": task.text} for k, task in enumerate(recipe.tasks)]
    for name, rows in (("tasks", named), ("episodes", about), ("episodes_stats", stats)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"meta/{name}.jsonl").write_text(text, encoding="utf-8")
    info = json.dumps(_info(recipe, len(episodes), first), indent=4)
    (folder / "meta/info.json").write_text(info, encoding="utf-8")


def _vectors(values: NDArray[np.float32]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), values.shape[1])


def _columns(filed: Filed, number: int, first: int) -> dict[str, Any]:
    frames = len(filed.time)
    columns: dict[str, Any] = {"observation.state": _vectors(filed.take.state)}
    if filed.take.action is not None:
        columns["action"] = _vectors(filed.take.action)
    return columns | {
        "timestamp": pa.array(filed.time.astype(np.float32)),
        "frame_index": pa.array(filed.index),
        "episode_index": pa.array(np.full(frames, number, np.int64)),
        "index": pa.array(np.arange(first, first + frames, dtype=np.int64)),
        "task_index": pa.array(np.full(frames, filed.task, np.int64)),
    }


def _stats(filed: Filed) -> dict[str, dict[str, list[float]]]:
    parts = {"observation.state": filed.take.state, "action": filed.take.action, "timestamp": filed.time[:, None]}
    return {name: _measures(np.asarray(values)) for name, values in parts.items() if values is not None}


def _measures(values: NDArray[Any]) -> dict[str, list[float]]:
    clean = np.nan_to_num(values.astype(np.float64))
    measures = {"min": clean.min(0), "max": clean.max(0), "mean": clean.mean(0), "std": clean.std(0)}
    return {name: [round(float(x), 7) for x in row] for name, row in measures.items()} | {"count": [len(values)]}


def _info(recipe: Recipe, episodes: int, frames: int) -> dict[str, Any]:
    names = column_names(recipe.rig)
    shown: Any = {"flat": names, "motors": {"motors": names}, "nested": [names]}[recipe.rig.wrap]
    vector = {"dtype": "float32", "shape": [len(names)], "names": shown}
    features: dict[str, Any] = {"observation.state": vector}
    if recipe.commands:
        features["action"] = vector
    features["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    for name in ("frame_index", "episode_index", "index", "task_index"):
        features[name] = {"dtype": "int64", "shape": [1], "names": None}
    return {
        "codebase_version": "v2.1",
        "robot_type": recipe.robot,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": len(recipe.tasks),
        "total_videos": 0,
        "total_chunks": -(-episodes // 1000),
        "chunks_size": 1000,
        "fps": recipe.fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": None,
        "features": features,
    }
