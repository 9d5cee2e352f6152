"""LeRobot v2.1 folders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sima2.bench.recordings_maker.follower import Take, column_names
from sima2.bench.recordings_maker.recipes import Recipe

CHUNK: Final = 1000
"""Episodes of a folder of files."""


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


class Columns(NamedTuple):
    """What a file of an episode holds."""

    vectors: Mapping[str, NDArray[np.float32]]
    """Features by name, shape (frames, width) each."""
    time: NDArray[np.float64]
    frame: NDArray[np.int64]
    """``frame_index``."""
    task: int = 0


def write_set(folder: Path, recipe: Recipe, episodes: Sequence[Filed]) -> None:
    """Write a set of a recipe into a folder that holds none yet."""
    names = column_names(recipe.rig)
    shown: Any = {"flat": names, "motors": {"motors": names}, "nested": [names]}[recipe.rig.wrap]
    features = dict.fromkeys(("observation.state", "action") if recipe.commands else ("observation.state",), shown)
    columns = [Columns(_vectors_of(each.take), each.time, each.index, each.task) for each in episodes]
    write_folder(folder, recipe.robot, recipe.fps, features, [task.text for task in recipe.tasks], columns)


def _vectors_of(take: Take) -> dict[str, NDArray[np.float32]]:
    vectors = {"observation.state": take.state}
    return vectors if take.action is None else {**vectors, "action": take.action}


def write_folder(
    folder: Path,
    robot: str,
    fps: int,
    features: Mapping[str, Any],
    tasks: Sequence[str],
    episodes: Sequence[Columns],
) -> None:
    """Write a set into a folder that holds none yet.

    Args:
        folder: of the set.
        robot: ``robot_type``.
        fps: frames a second.
        features: names of their columns, as ``info.json`` shows them.
        tasks: texts.
        episodes: in order, one at least; every one has all features.
    """
    (folder / "meta").mkdir(parents=True)
    for chunk in range(-(-len(episodes) // CHUNK)):
        (folder / f"data/chunk-{chunk:03d}").mkdir(parents=True)
    first, about, stats = 0, [], []
    for number, each in enumerate(episodes):
        file = folder / f"data/chunk-{number // CHUNK:03d}/episode_{number:06d}.parquet"
        pq.write_table(pa.table(_table(each, number, first)), file)
        first += len(each.time)
        about.append({"episode_index": number, "tasks": [tasks[each.task]], "length": len(each.time)})
        parts: dict[str, NDArray[Any]] = {**each.vectors, "timestamp": each.time[:, None]}
        stats.append({"episode_index": number, "stats": {name: _measures(values) for name, values in parts.items()}})
    named = [{"task_index": k, "task": text} for k, text in enumerate(tasks)]
    for name, rows in (("tasks", named), ("episodes", about), ("episodes_stats", stats)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"meta/{name}.jsonl").write_text(text, encoding="utf-8")
    shapes = {name: [values.shape[1]] for name, values in episodes[0].vectors.items()}
    vectors = {name: {"dtype": "float32", "shape": shapes[name], "names": names} for name, names in features.items()}
    info = json.dumps(_info(robot, fps, vectors, len(tasks), len(episodes), first), indent=4)
    (folder / "meta/info.json").write_text(info, encoding="utf-8")


def _table(each: Columns, number: int, first: int) -> dict[str, Any]:
    frames = len(each.time)
    vectors = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), values.shape[1])
        for name, values in each.vectors.items()
    }
    return vectors | {
        "timestamp": pa.array(each.time.astype(np.float32)),
        "frame_index": pa.array(each.frame),
        "episode_index": pa.array(np.full(frames, number, np.int64)),
        "index": pa.array(np.arange(first, first + frames, dtype=np.int64)),
        "task_index": pa.array(np.full(frames, each.task, np.int64)),
    }


def _measures(values: NDArray[Any]) -> dict[str, list[float]]:
    clean = np.nan_to_num(values.astype(np.float64))
    measures = {"min": clean.min(0), "max": clean.max(0), "mean": clean.mean(0), "std": clean.std(0)}
    return {name: [round(float(x), 7) for x in row] for name, row in measures.items()} | {"count": [len(values)]}


def _info(
    robot: str, fps: int, vectors: dict[str, dict[str, Any]], tasks: int, episodes: int, frames: int
) -> dict[str, Any]:
    scalars = {
        name: {"dtype": "float32" if name == "timestamp" else "int64", "shape": [1], "names": None}
        for name in ("timestamp", "frame_index", "episode_index", "index", "task_index")
    }
    return {
        "codebase_version": "v2.1",
        "robot_type": robot,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "total_videos": 0,
        "total_chunks": -(-episodes // CHUNK),
        "chunks_size": CHUNK,
        "fps": fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": None,
        "features": vectors | scalars,
    }
