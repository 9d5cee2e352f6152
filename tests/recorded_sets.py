"""Small recordings of an arm with a gripper, as a curator may leave them: numbers and frame indices with gaps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NAMES = ["shoulder.pos", "elbow.pos", "gripper.pos"]
FPS = 20


def motion(seed: int, joints: int = 2) -> np.ndarray:
    """Joints that travel there and back while the gripper closes and opens, shape (frames, joints + 1)."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, int(rng.integers(50, 90)))[:, None]
    reach = rng.uniform(0.4, 1.2, joints)
    arm = reach * np.sin(np.pi * t) + rng.normal(0, 2e-4, (len(t), joints))
    return np.hstack([arm, np.clip(np.abs(4 * t - 2) - 0.4, 0, 1)]).astype(np.float32)


def record(
    root: Path,
    seeds: Sequence[int],
    *,
    numbers: Sequence[int] | None = None,
    first: Sequence[int] | None = None,
    robot: str = "arm3",
    names: Sequence[str] = NAMES,
    version: str = "v2.1",
) -> Path:
    """A data set of one motion a seed.

    Args:
        root: new folder.
        seeds: of the motions; the same seed is the same recording.
        numbers: ``episode_index`` of each; as they lie, if not given.
        first: ``index`` of the first frame of each; counted through, if not given.
        robot: its type.
        names: of the columns, the gripper's last.
        version: v2.1, a file an episode; or v3.0, one file for all.
    """
    moves = [motion(seed, len(names) - 1) for seed in seeds]
    lengths = [len(move) for move in moves]
    numbers = list(range(len(moves)) if numbers is None else numbers)
    first = list(np.r_[0, np.cumsum(lengths)[:-1]]) if first is None else list(first)
    (root / "meta").mkdir(parents=True)
    (root / "data/chunk-000").mkdir(parents=True)
    tables = []
    for number, begin, move in zip(numbers, first, moves, strict=True):
        frame = np.arange(len(move))
        columns: dict[str, Any] = {
            "observation.state": pa.array(move.tolist(), pa.list_(pa.float32(), len(names))),
            "timestamp": pa.array((frame / FPS).astype(np.float32)),
            "frame_index": pa.array(frame),
            "episode_index": pa.array(np.full(len(move), number)),
            "index": pa.array(frame + begin),
            "task_index": pa.array(np.zeros(len(move), np.int64)),
        }
        tables.append(pa.table(columns))
    single = version == "v3.0"
    name = "data/chunk-000/file-000.parquet" if single else "data/chunk-000/episode_{:06d}.parquet"
    for number, table in zip(numbers, tables, strict=True):
        if not single:
            pq.write_table(table, root / name.format(number))
    rows = [{"episode_index": k, "tasks": ["do it"], "length": n} for k, n in zip(numbers, lengths, strict=True)]
    if single:
        pq.write_table(pa.concat_tables(tables), root / name)
        folder = root / "meta/episodes/chunk-000"
        folder.mkdir(parents=True)
        placed = [{**row, "data/chunk_index": 0, "data/file_index": 0} for row in rows]
        pq.write_table(pa.Table.from_pylist(placed), folder / "file-000.parquet")
    else:
        (root / "meta/episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    features: dict[str, Any] = {
        "observation.state": {"dtype": "float32", "shape": [len(names)], "names": list(names)},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    }
    for each in ("frame_index", "episode_index", "index", "task_index"):
        features[each] = {"dtype": "int64", "shape": [1], "names": None}
    info = {
        "codebase_version": version,
        "robot_type": robot,
        "total_episodes": len(moves),
        "total_frames": sum(lengths),
        "fps": FPS,
        "chunks_size": 1000,
        "features": features,
    }
    (root / "meta/info.json").write_text(json.dumps(info))
    return root


def rows_of(root: Path) -> dict[int, list[int]]:
    """``index`` of the frames of each episode as the data files hold them."""
    found: dict[int, list[int]] = {}
    for file in sorted((root / "data").glob("*/*.parquet")):
        table = pq.read_table(file, columns=["episode_index", "index"])
        for number, index in zip(*(table[name].to_pylist() for name in table.column_names), strict=True):
            found.setdefault(number, []).append(index)
    return found
