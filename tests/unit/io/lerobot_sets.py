"""Small LeRobot sets made by hand, as other tools write them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NAMES = ["shoulder_pan.pos", "elbow_flex.pos", "gripper.pos"]
FPS = 20


def info(version: str, episodes: int, frames: int, **changes: Any) -> dict[str, Any]:
    """An info.json."""
    features = {
        "observation.state": {"dtype": "float32", "shape": [3], "names": [NAMES]},
        "action": {"dtype": "float32", "shape": [3], "names": {"motors": NAMES}},
        "observation.images.top": {"dtype": "video", "shape": [480, 640, 3], "names": ["height", "width", "channel"]},
    }
    for name, dtype in (("timestamp", "float32"), ("frame_index", "int64"), ("episode_index", "int64")):
        features[name] = {"dtype": dtype, "shape": [1], "names": None}
    return {
        "codebase_version": version,
        "robot_type": "arm3",
        "total_episodes": episodes,
        "total_frames": frames * episodes,
        "fps": FPS,
        "chunks_size": 1000,
        "splits": {"train": f"0:{episodes}"},
        "features": features,
        **changes,
    }


def state(episode: int, frames: int = 8) -> np.ndarray:
    """What an episode holds: two joints in rad and a gripper between 0 and 1 that closes."""
    t = np.linspace(0, 1, frames)
    return np.stack([0.1 * episode + t, np.cos(t), 1 - t], axis=1).astype(np.float32)


def columns(episode: int, frames: int = 8, *, fixed: bool = True) -> dict[str, Any]:
    """Data columns of an episode."""
    rows = state(episode, frames)
    kind = pa.list_(pa.float32(), 3) if fixed else pa.list_(pa.float64())
    return {
        "observation.state": pa.array(rows.tolist(), kind),
        "action": pa.array((rows + 0.01).tolist(), kind),
        "timestamp": pa.array(np.arange(frames, dtype=np.float32) / FPS),
        "frame_index": pa.array(np.arange(frames)),
        "episode_index": pa.array(np.full(frames, episode)),
        "index": pa.array(np.arange(frames) + episode * frames),
        "task_index": pa.array(np.zeros(frames, int)),
    }


def write_info(root: Path, values: Mapping[str, Any]) -> None:
    """Write info.json."""
    (root / "meta").mkdir(parents=True, exist_ok=True)
    (root / "meta/info.json").write_text(json.dumps(values))


def episode_file(root: Path, episode: int) -> Path:
    """Data file of an episode of version 2.1."""
    return root / f"data/chunk-000/episode_{episode:06d}.parquet"


def make_v21(root: Path, episodes: int = 4, frames: int = 8, *, fixed: bool = True, **changes: Any) -> Path:
    """A set of version 2.1."""
    write_info(root, info("v2.1", episodes, frames, **changes))
    (root / "data/chunk-000").mkdir(parents=True)
    lines = [{"episode_index": k, "tasks": ["put it there"], "length": frames} for k in range(episodes)]
    (root / "meta/episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (root / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "put it there"}\n')
    for k in range(episodes):
        pq.write_table(pa.table(columns(k, frames, fixed=fixed)), episode_file(root, k))
    return root


def make_v30(root: Path, episodes: int = 4, frames: int = 8, *, per_file: int = 2, **changes: Any) -> Path:
    """A set of version 3.0 with several episodes a file in one row group."""
    write_info(root, info("v3.0", episodes, frames, **changes))
    for folder in ("data/chunk-000", "meta/episodes/chunk-000"):
        (root / folder).mkdir(parents=True)
    for file in range(0, episodes, per_file):
        parts = [pa.table(columns(k, frames)) for k in range(file, min(file + per_file, episodes))]
        pq.write_table(pa.concat_tables(parts), root / f"data/chunk-000/file-{file // per_file:03d}.parquet")
    index = list(range(episodes))
    rows = {
        "episode_index": index,
        "tasks": [["put it there"]] * episodes,
        "length": [frames] * episodes,
        "data/chunk_index": [0] * episodes,
        "data/file_index": [k // per_file for k in index],
        "dataset_from_index": [k * frames for k in index],
        "dataset_to_index": [(k + 1) * frames for k in index],
        "stats/action/min": [[0.0]] * episodes,
    }
    pq.write_table(pa.table(rows), root / "meta/episodes/chunk-000/file-000.parquet")
    tasks = {"task_index": [0], "__index_level_0__": ["put it there"]}
    pq.write_table(pa.table(tasks), root / "meta/tasks.parquet")
    return root


MAKERS = {"v2.1": make_v21, "v3.0": make_v30}
