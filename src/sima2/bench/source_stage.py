"""What it costs to take in a recorded set, against reading the same columns of the same files with pyarrow alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sima2.bench.children import ONE_THREAD, measured
from sima2.bench.figures import least_cpu_s
from sima2.bench.recorded_sets import join, made, recipe_named
from sima2.client import RecordedSource
from sima2.io.formats.lerobot import open_lerobot

RECIPE: Final = "so101_cube"
BATCH: Final = 250
"""Episodes read at once, as a run does by default."""
ROUNDS: Final = 3
"""Both are timed so often in turn, and the least of each counts: what else the machine does only adds."""
TOGETHER: Final = 500
"""Episodes in a file of the set of version 3.0."""


@contextmanager
def sets(episodes: int, seed: int) -> Iterator[tuple[Path, Path]]:
    """The same recordings with a file an episode (version 2.1), and with files that hold many (3.0)."""
    with made(recipe_named(RECIPE), episodes, seed) as (alone, _):
        joined = alone.with_name("joined")
        join(alone, joined, TOGETHER)
        yield alone, joined


def figures(episodes: int, seed: int) -> dict[str, Any]:
    """The source stage over reading the columns, of a set with a file an episode and of one whose files hold many.

    Args:
        episodes: of the sets that are made.
        seed: of what is made.
    """
    with sets(episodes, seed) as both:
        alone, shared = (measured(f"{__name__}:cost", ONE_THREAD, folder=str(each)) for each in both)
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

    spent = least_cpu_s({"columns": columns, "source": stage}, ROUNDS)
    ours, plain = spent["source"], spent["columns"]
    return {"source_us": ours / n * 1e6, "columns_us": plain / n * 1e6, "ratio": ours / plain}


def _numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    array = column.combine_chunks()
    n = len(array)
    while isinstance(array, pa.FixedSizeListArray | pa.ListArray):
        array = array.flatten()
    return np.asarray(array.to_numpy(zero_copy_only=False)).reshape(n, -1)
