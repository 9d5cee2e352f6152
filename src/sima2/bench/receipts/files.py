"""A made set as a user has it: a LeRobot v2.1 folder, what people said of the outcomes, and which columns are what."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from sima2.bench.receipts.demonstrations import Episode, Made
from sima2.bench.receipts.world import JOINTS, PLACED, RATE_HZ, hand
from sima2.io.column_map import ColumnMap, Columns
from sima2.records.arrays import Float32s

TASK: Final = "put the cube on the pad"
THINGS: Final = ("cube", "pad", "tray")
GOAL: Final = f"object=cube,target=pad,relation=placed_on,tolerance={PLACED}"
"""What was asked for, as ``--goal`` names it."""
_NAMES: Final = [f"{name}.pos" for name in (*JOINTS, "gripper")]
_VECTORS: Final[dict[str, list[str]]] = {
    "observation.state": _NAMES,
    "observation.hand_position": ["x", "y", "z"],
    "observation.environment_state": [f"{thing}.{axis}" for thing in THINGS for axis in "xyz"],
    "action": _NAMES,
}


class Filed(NamedTuple):
    """Where a set lies."""

    path: Path
    outcomes: Path
    column_map: Path


def write(folder: Path, made: Made) -> Filed:
    """Write a set into a folder that is not there yet; its truth stays out of it."""
    path = folder / "set"
    (path / "meta").mkdir(parents=True)
    (path / "data/chunk-000").mkdir(parents=True)
    first, about, stats = 0, [], []
    for number, episode in enumerate(made.episodes):
        vectors = _vectors_of(episode)
        _write_episode(path / f"data/chunk-000/episode_{number:06d}.parquet", vectors, number, first)
        first += len(episode)
        about.append({"episode_index": number, "tasks": [TASK], "length": len(episode)})
        measures = {name: _measures(values) for name, values in vectors.items()}
        stats.append({"episode_index": number, "stats": measures})
    documents = {"tasks": [{"task_index": 0, "task": TASK}], "episodes": about, "episodes_stats": stats}
    for name, rows in documents.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (path / f"meta/{name}.jsonl").write_text(text, encoding="utf-8")
    info = json.dumps(_info(len(made.episodes), first), indent=4)
    (path / "meta/info.json").write_text(info, encoding="utf-8")
    filed = Filed(path, folder / "outcomes.csv", folder / "map.toml")
    told = [f"{k},{int(label)}\n" for k, label in enumerate(made.labels.tolist()) if not math.isnan(label)]
    filed.outcomes.write_text("episode_index,success\n" + "".join(told), encoding="utf-8")
    filed.column_map.write_text(column_map().to_toml(), encoding="utf-8")
    return filed


def column_map() -> ColumnMap:
    """Which columns are what, as a user writes it down."""
    state, joints = "observation.state", tuple(range(len(JOINTS)))
    things = "observation.environment_state"
    return ColumnMap(
        arms={
            "arm": {
                "joint_position": Columns(state, joints, "rad"),
                "joint_command": Columns("action", joints, "rad"),
                "gripper_width": Columns(state, (len(JOINTS),), "m"),
                "ee_position": Columns("observation.hand_position", (0, 1, 2), "m"),
            }
        },
        objects={
            thing: {"object_position": Columns(things, (3 * k, 3 * k + 1, 3 * k + 2), "m")}
            for k, thing in enumerate(THINGS)
        },
        scene={"action": Columns("action")},
    )


def _vectors_of(episode: Episode) -> dict[str, Float32s]:
    values = (episode.state, hand(episode.state[:, :4]), episode.things, episode.action)
    return {name: each.astype(np.float32) for name, each in zip(_VECTORS, values, strict=True)}


def _write_episode(file: Path, vectors: dict[str, Float32s], number: int, first: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    frames = len(vectors["action"])
    columns: dict[str, Any] = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), values.shape[1])
        for name, values in vectors.items()
    }
    columns |= {
        "timestamp": pa.array((np.arange(frames) / RATE_HZ).astype(np.float32)),
        "frame_index": pa.array(np.arange(frames)),
        "episode_index": pa.array(np.full(frames, number)),
        "index": pa.array(np.arange(first, first + frames)),
        "task_index": pa.array(np.zeros(frames, np.int64)),
    }
    pq.write_table(pa.table(columns), file)


def _measures(values: Float32s) -> dict[str, list[float]]:
    rows = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0)}
    return {name: [round(float(x), 7) for x in row] for name, row in rows.items()} | {"count": [len(values)]}


def _info(episodes: int, frames: int) -> dict[str, Any]:
    features: dict[str, Any] = {
        name: {"dtype": "float32", "shape": [len(names)], "names": names} for name, names in _VECTORS.items()
    }
    features["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    for name in ("frame_index", "episode_index", "index", "task_index"):
        features[name] = {"dtype": "int64", "shape": [1], "names": None}
    return {
        "codebase_version": "v2.1",
        "robot_type": "made_arm",
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": 1,
        "total_videos": 0,
        "total_chunks": 1,
        "chunks_size": 1000,
        "fps": round(RATE_HZ),
        "splits": {"train": f"0:{episodes}"},
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": None,
        "features": features,
    }
