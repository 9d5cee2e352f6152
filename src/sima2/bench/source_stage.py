"""What it costs to take in a recorded set, against reading the same columns of the same files with pyarrow alone."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sima2.bench.children import measured
from sima2.bench.recordings_maker import RECIPES, make_set
from sima2.client import RecordedSource
from sima2.io.formats.lerobot import open_lerobot

RECIPE: Final = "so101_cube"
BATCH: Final = 250
"""Episodes read at once, as a run does by default."""
ROUNDS: Final = 3
"""Both are timed so often in turn, and the least of each counts: what else the machine does only adds."""
TOGETHER: Final = 500
"""Episodes in a file of the set of version 3.0."""


def figures(episodes: int, seed: int) -> dict[str, Any]:
    """The source stage over reading the columns, of a set with a file an episode and of one whose files hold many.

    Args:
        episodes: of the sets that are made.
        seed: of what is made.
    """
    with tempfile.TemporaryDirectory() as folder:
        made, joined = Path(folder) / "made", Path(folder) / "joined"
        recipe = next(each for each in RECIPES if each.name == RECIPE)
        make_set(made, recipe, episodes, seed)
        join(made, joined)
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        alone, shared = (measured(f"{__name__}:cost", one_thread, folder=str(each)) for each in (made, joined))
    return {
        "source_stage_episodes": episodes,
        "source_stage_over_columns": alone["ratio"],
        "source_stage_us_per_episode": alone["source_us"],
        "source_stage_columns_us_per_episode": alone["columns_us"],
        "source_stage_over_columns_shared_files": shared["ratio"],
        "source_stage_us_per_episode_shared_files": shared["source_us"],
        "source_stage_columns_us_per_episode_shared_files": shared["columns_us"],
    }


def cost(folder: str) -> dict[str, float]:
    """CPU time of both for a set, on one thread.

    Returns:
        ``source_us`` and ``columns_us`` an episode, and their ``ratio``.
    """
    pa.set_cpu_count(1)
    dataset = open_lerobot(Path(folder))
    source, n = RecordedSource(dataset), dataset.episodes
    names = [*dataset.column_map.features(), "timestamp", "frame_index", "episode_index"]
    files = [Path(folder) / name for name in dict.fromkeys(entry.file for entry in dataset.source.entries)]

    def stage() -> None:
        for start in range(0, n, BATCH):
            source.read(start, min(start + BATCH, n))

    def columns() -> None:
        for file in files:
            with pq.ParquetFile(file) as opened:
                table = opened.read(columns=names, use_threads=False)
            for name in names:
                _numbers(table.column(name))

    spent = [[_cpu_s(part) for part in (columns, stage)] for _ in range(ROUNDS)]
    plain, ours = (min(each) for each in zip(*spent, strict=True))
    return {"source_us": ours / n * 1e6, "columns_us": plain / n * 1e6, "ratio": ours / plain}


def _numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    array = column.combine_chunks()
    n = len(array)
    while isinstance(array, pa.FixedSizeListArray | pa.ListArray):
        array = array.flatten()
    return np.asarray(array.to_numpy(zero_copy_only=False)).reshape(n, -1)


def _cpu_s(work: Callable[[], None]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def join(made: Path, joined: Path) -> None:
    """Write a made set of version 2.1 again as one of version 3.0, ``TOGETHER`` episodes in a file.

    Source: LeRobot's own conversion, ``lerobot/datasets/v30/convert_dataset_v21_to_v30.py``.
    """
    info = json.loads((made / "meta/info.json").read_text(encoding="utf-8"))
    listed = _lines(made / "meta/episodes.jsonl")
    (joined / "meta/episodes/chunk-000").mkdir(parents=True)
    (joined / "data/chunk-000").mkdir(parents=True)
    shutil.copy(made / "meta/tasks.jsonl", joined / "meta/tasks.jsonl")
    path = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    about = {**info, "codebase_version": "v3.0", "data_path": path}
    (joined / "meta/info.json").write_text(json.dumps(about), encoding="utf-8")
    rows = []
    for file, first in enumerate(range(0, len(listed), TOGETHER)):
        tables = []
        for row in listed[first : first + TOGETHER]:
            number = row["episode_index"]
            where = info["data_path"].format(episode_chunk=number // info["chunks_size"], episode_index=number)
            tables.append(pq.read_table(made / where, partitioning=None))
            rows.append({**row, "data/chunk_index": 0, "data/file_index": file})
        pq.write_table(pa.concat_tables(tables), joined / path.format(chunk_index=0, file_index=file))
    pq.write_table(pa.Table.from_pylist(rows), joined / "meta/episodes/chunk-000/file-000.parquet")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
