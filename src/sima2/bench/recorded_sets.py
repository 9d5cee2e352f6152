"""Sets of made recordings, written to be read as a user's are, and what is told of their episodes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from sima2.bench.recordings_maker import RECIPES, EpisodeTruth, Recipe, make_set
from sima2.primitives.outcome_inference import OutcomeInference
from sima2.records.rollout import RolloutBatch
from sima2.records.segments import Segment, SegmentTable

Wanted = Callable[[Recipe], Mapping[str, int]]
"""How many episodes of a recipe are given each kind of defect."""


def clean(recipe: Recipe) -> Mapping[str, int]:
    """No defects."""
    return {}


@contextmanager
def made(
    recipe: Recipe, episodes: int, seed: int, wanted: Wanted = clean
) -> Iterator[tuple[Path, tuple[EpisodeTruth, ...]]]:
    """A set in a temporary folder, beside which there is room for results, and its truth."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / recipe.name
        yield folder, make_set(folder, recipe, episodes, seed, wanted(recipe))


def recipe_named(name: str) -> Recipe:
    """A recipe of the maker."""
    return next(each for each in RECIPES if each.name == name)


def by_episode(segments: SegmentTable, names: Iterable[str]) -> dict[str, list[Segment]]:
    """Segments of each of these episodes."""
    out: dict[str, list[Segment]] = {name: [] for name in names}
    for segment in segments:
        out[segment.episode_id].append(segment)
    return out


def inferred(table: SegmentTable, batch: RolloutBatch, goals: Sequence[Any]) -> list[float]:
    """How each episode ended by its segments: 1, 0 or NaN."""
    names, families = batch.episodes.episode_id, batch.episodes.family
    knowing = OutcomeInference().knowing(table, names, families)
    said: list[float] = knowing.infer(table, names, goals, families).success.tolist()
    return said


def lines(path: Path) -> list[dict[str, Any]]:
    """Rows of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


V3_DATA: Final = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"


def join(made: Path, joined: Path, together: int, rows: Sequence[Mapping[str, Any]] = (), **about: str) -> None:
    """Write a made set of version 2.1 again as one of version 3.0.

    Args:
        made: its folder.
        joined: the new one.
        together: episodes in a file.
        rows: what is told of each episode, if more than before.
        about: other facts of ``info.json``.

    Source: LeRobot's own conversion, ``lerobot/datasets/v30/convert_dataset_v21_to_v30.py``.
    """
    info = json.loads((made / "meta/info.json").read_text(encoding="utf-8"))
    (joined / "meta/episodes/chunk-000").mkdir(parents=True)
    (joined / "data/chunk-000").mkdir(parents=True)
    (joined / "meta/tasks.jsonl").write_bytes((made / "meta/tasks.jsonl").read_bytes())
    info |= {"codebase_version": "v3.0", "data_path": V3_DATA, **about}
    (joined / "meta/info.json").write_text(json.dumps(info), encoding="utf-8")
    listed = [
        {**row, "data/chunk_index": 0, "data/file_index": k // together}
        for k, row in enumerate(rows or lines(made / "meta/episodes.jsonl"))
    ]
    files = sorted((made / "data").glob("*/*.parquet"))
    for file, first in enumerate(range(0, len(files), together)):
        tables = [pq.read_table(each, partitioning=None) for each in files[first : first + together]]
        pq.write_table(pa.concat_tables(tables), joined / V3_DATA.format(chunk_index=0, file_index=file))
    pq.write_table(pa.Table.from_pylist(listed), joined / "meta/episodes/chunk-000/file-000.parquet")
