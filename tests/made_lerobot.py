"""Small LeRobot sets with all that a copy has to carry: pictures in Parquet, unknown columns, statistics, odd files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sima2.records.plan import TrainingPlan

FPS = 20
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
VERSIONS = ("v2.0", "v2.1", "v3.0")
KEYS = ("min", "max", "mean", "std", "count")
NUMBERED = ("timestamp", "frame_index", "episode_index", "index")


def episode_table(number: int, length: int, first: int, seed: int = 0) -> pa.Table:
    """Rows of an episode."""
    rng = np.random.default_rng((seed, number))
    frame = np.arange(length)
    state = np.cumsum(rng.normal(0, 0.02, (length, 3)), axis=0).astype(np.float32)
    pictures = [{"bytes": rng.bytes(20), "path": f"{k}.png"} for k in range(length)]
    return pa.table(
        {
            "observation.state": pa.array(list(state), pa.list_(pa.float32(), 3)),
            "action": pa.array(list(state + np.float32(0.01)), pa.list_(pa.float32())),
            "observation.image": pa.array(pictures, IMAGE),
            "timestamp": pa.array((frame / FPS).astype(np.float32)),
            "frame_index": pa.array(frame),
            "episode_index": pa.array(np.full(length, number)),
            "index": pa.array(frame + first),
            "task_index": pa.array(np.full(length, number % 2)),
            "odd.words": pa.array([f"«{k}»" for k in range(length)]),
        }
    )


def stats_of(table: pa.Table, keys: Sequence[str] = (*KEYS, "q50")) -> dict[str, dict[str, Any]]:
    """Statistics of an episode as LeRobot writes them; those of pictures are of three channels."""
    found: dict[str, dict[str, Any]] = {}
    for name in ("observation.state", "action", *NUMBERED, "task_index"):
        values = np.array(table.column(name).to_pylist(), np.float64).reshape(len(table), -1)
        made = {key: getattr(np, key)(values, axis=0).tolist() for key in KEYS[:-1]}
        found[name] = {**made, "count": [len(table)], "q50": np.quantile(values, 0.5, axis=0).tolist()}
        found[name] = {key: found[name][key] for key in keys}
    found["observation.image"] = {key: [[[0.5]], [[0.25]], [[0.125]]] for key in keys if key != "count"}
    found["observation.image"]["count"] = [min(len(table), 100)]
    return found


def write_set(root: Path, version: str, lengths: Sequence[int], numbers: Sequence[int] | None = None) -> Path:
    """A data set of episodes of these lengths; of v3.0 two files, the first with one row group an episode."""
    numbers = list(range(len(lengths)) if numbers is None else numbers)
    first = np.r_[0, np.cumsum(lengths)].tolist()
    tables = [episode_table(k, n, a) for k, n, a in zip(numbers, lengths, first, strict=False)]
    (root / "meta").mkdir(parents=True)
    (root / "data/chunk-000").mkdir(parents=True)
    tasks = ["open «it»", "close it"]
    rows: list[dict[str, Any]] = [
        {"episode_index": k, "tasks": [tasks[k % 2]], "length": n, "operator": f"p{k}"}
        for k, n in zip(numbers, lengths, strict=True)
    ]
    info: dict[str, Any] = {
        "codebase_version": version,
        "robot_type": "arm3",
        "total_episodes": len(lengths),
        "total_frames": sum(lengths),
        "total_tasks": 2,
        "chunks_size": 1000,
        "fps": FPS,
        "splits": {"train": f"0:{len(lengths)}"},
        "features": features(),
        "our_own": {"note": "kept"},
    }
    stats = [stats_of(table) for table in tables]
    if version == "v3.0":
        _write_v3(root, tables, rows, stats)
        info["data_path"] = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
        pq.write_table(pa.table({"task_index": [0, 1], "__index_level_0__": tasks}), root / "meta/tasks.parquet")
    else:
        for number, table in zip(numbers, tables, strict=True):
            file = root / f"data/chunk-{number // 1000:03d}/episode_{number:06d}.parquet"
            file.parent.mkdir(exist_ok=True)
            pq.write_table(table, file)
        _lines(root / "meta/episodes.jsonl", rows)
        _lines(root / "meta/tasks.jsonl", [{"task_index": k, "task": text} for k, text in enumerate(tasks)])
        info["data_path"] = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
        info["total_chunks"] = 1
    if version == "v2.1":
        told = [{"episode_index": k, "stats": each} for k, each in zip(numbers, stats, strict=True)]
        _lines(root / "meta/episodes_stats.jsonl", told)
    else:
        (root / "meta/stats.json").write_text(json.dumps(stats_of(pa.concat_tables(tables))))
    (root / "meta/info.json").write_text(json.dumps(info))
    (root / "meta/camera.json").write_text('{"focal": 2.5}')
    (root / "LICENSE").write_text("yours")
    return root


def _write_v3(root: Path, tables: list[pa.Table], rows: list[dict[str, Any]], stats: list[dict[str, Any]]) -> None:
    half, at = max(1, len(tables) // 2), 0
    for file, part in enumerate((tables[:half], tables[half:])):
        if part:
            with pq.ParquetWriter(root / f"data/chunk-000/file-{file:03d}.parquet", part[0].schema) as writer:
                for table in part if file == 0 else [pa.concat_tables(part)]:
                    writer.write_table(table)
    for k, (row, each) in enumerate(zip(rows, stats, strict=True)):
        row |= {"data/chunk_index": 0, "data/file_index": int(k >= half), "dataset_from_index": at}
        at += row["length"]
        row |= {"dataset_to_index": at, "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        row |= {f"stats/{name}/{key}": values for name, told in each.items() for key, values in told.items()}
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), root / "meta/episodes/chunk-000/file-000.parquet")


def features() -> dict[str, Any]:
    """As ``info.json`` declares them."""
    vector = {"dtype": "float32", "shape": [3], "names": ["shoulder.pos", "elbow.pos", "gripper.pos"]}
    found: dict[str, Any] = {"observation.state": vector, "action": vector}
    found["observation.image"] = {"dtype": "image", "shape": [2, 2, 3], "names": ["height", "width", "channel"]}
    found["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    for name in ("frame_index", "episode_index", "index", "task_index"):
        found[name] = {"dtype": "int64", "shape": [1], "names": None}
    found["odd.words"] = {"dtype": "string", "shape": [1], "names": None}
    return found


def _lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def plan_of(lengths: Sequence[int], numbers: Sequence[int] | None = None, **given: Any) -> TrainingPlan:
    """A plan that keeps every episode whole, but for the columns that are given."""
    n = len(lengths)
    numbers = list(range(n) if numbers is None else numbers)
    columns: dict[str, Any] = {
        "episode_index": np.array(numbers, np.int64),
        "episode_id": [f"a-{k}" for k in numbers],
        "source": ["a"] * n,
        "action": ["keep"] * n,
        "weight": np.ones(n),
        "keep_start_frame": np.zeros(n, np.int64),
        "keep_end_frame": np.array(lengths, np.int64),
        "codes": [""] * n,
        "words": [""] * n,
        "kind_of_knowledge": [""] * n,
    }
    return TrainingPlan(**{**columns, **given})


def rows_by_episode(root: Path) -> dict[int, pa.Table]:
    """All rows by episode, files in order."""
    files = sorted((root / "data").rglob("*.parquet"))
    whole = pa.concat_tables([pq.read_table(file) for file in files])
    number = whole.column("episode_index").to_numpy()
    return {int(k): whole.filter(pa.array(number == k)) for k in np.unique(number)}


def digest(root: Path) -> str:
    """Of every file's name and bytes."""
    hashed = hashlib.sha256()
    for file in sorted(each for each in root.rglob("*") if each.is_file()):
        hashed.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return hashed.hexdigest()
