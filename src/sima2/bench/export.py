"""What a copy of a recorded set costs, against a plain one: its rows read and written again, or its bytes alone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sima2.bench.children import ONE_THREAD, measured
from sima2.bench.figures import Progress, judged, least_cpu_s, quiet, tabled
from sima2.bench.source_stage import sets
from sima2.export.lerobot_copy import copy_lerobot, episodes_of
from sima2.export.selection import select
from sima2.io.durable import sync_tree
from sima2.records.plan import TrainingPlan
from sima2.records.table import Text

ROUNDS: Final = 3
"""All are timed so often in turn, and the least of each counts: what else the machine does only adds."""
DROPPED: Final = 0.1
"""Share of episodes that are left out …"""
TRIMMED: Final = 0.3
"""… and that are cut at both ends."""
CUT: Final = 0.2
"""Share of an episode that is cut at most, at each end."""
TARGETS: Final = {  # against a plain copy of the files; what rewriting rows costs at all stands beside it
    "copy_over_bytes": (5.0, "at most"),
    "copy_over_bytes_shared_files": (5.0, "at most"),
}


def run(*, episodes: int = 1000, seed: int = 0, progress: Progress = quiet) -> dict[str, Any]:
    """CPU time of a copy of a set without videos, of v2.1 (a file an episode) and of v3.0 (files that hold many)."""
    progress("recordings")
    with sets(episodes, seed) as both:
        progress("copies")
        alone, shared = (measured(f"{__name__}:cost", ONE_THREAD, folder=str(each), seed=seed) for each in both)
    values: dict[str, Any] = {"episodes": episodes, "seed": seed}
    for spent, ending in ((alone, ""), (shared, "_shared_files")):
        values |= {f"copy_over_{other}{ending}": spent["copy"] / spent[other] for other in ("rows", "bytes")}
        values |= {f"{name}_us_per_episode{ending}": spent[name] / episodes * 1e6 for name in ("copy", "rows", "bytes")}
    values["targets"] = judged(values, TARGETS)
    return values


rows = tabled
"""The figures as a table."""


def cost(folder: str, seed: int) -> dict[str, float]:
    """CPU seconds of a copy as planned, of reading and writing all rows, and of copying the bytes, on one thread.

    All three end with every file on the disk.
    """
    pa.set_cpu_count(1)
    source = Path(folder)
    with tempfile.TemporaryDirectory(dir=source.parent) as beside:
        work = {
            name: partial(_copied, copied, source, Path(beside), seed)
            for name, copied in (("copy", _planned), ("rows", _rows), ("bytes", _bytes))
        }
        return least_cpu_s(work, ROUNDS)


def _copied(copied: Callable[[Path, Path, int], None], source: Path, beside: Path, seed: int) -> None:
    copied(source, Path(tempfile.mkdtemp(dir=beside)) / "copy", seed)


def _planned(source: Path, target: Path, seed: int) -> None:
    index, held = episodes_of(source)
    frames = {entry.episode: entry.length or 0 for entry in index.episodes}
    copy_lerobot(index, select(plan(frames, seed), frames, held), target, {"source": "bench"})


def _rows(source: Path, target: Path, seed: int) -> None:
    shutil.copytree(source / "meta", target / "meta")
    for file in sorted((source / "data").rglob("*.parquet")):
        made = target / file.relative_to(source)
        made.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetFile(file) as opened:
            pq.write_table(opened.read(use_threads=False), made)
    sync_tree(target)


def _bytes(source: Path, target: Path, seed: int) -> None:
    shutil.copytree(source, target)
    sync_tree(target)


def plan(frames: dict[int, int], seed: int) -> TrainingPlan:
    """Some episodes dropped and some trimmed, by chance."""
    rng = np.random.default_rng(seed)
    n = len(frames)
    length = np.fromiter(frames.values(), np.int64, n)
    action = rng.choice(3, n, p=[1 - DROPPED - TRIMMED, TRIMMED, DROPPED])
    least = np.where(action == 1, (length * CUT * rng.random((2, n))).astype(np.int64), 0)
    names = ("keep", "trim", "drop")
    return TrainingPlan(
        episode_index=np.fromiter(frames, np.int64, n),
        episode_id=Text.of([f"bench-{number}" for number in frames]),
        source=Text.full(n, "bench"),
        action=Text.of([names[each] for each in action.tolist()]),
        weight=(action < 2).astype(np.float64),
        keep_start_frame=least[0],
        keep_end_frame=length - least[1],
        codes=Text.full(n, ""),
        words=Text.full(n, ""),
        kind_of_knowledge=Text.full(n, ""),
    )
