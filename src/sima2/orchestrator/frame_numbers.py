"""The weight of every frame of a run, numbered as its source numbers it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sima2.client import place_here
from sima2.errors import DataError
from sima2.orchestrator.run_context import FIRST, PLANNED, RunContext
from sima2.pipeline import Results
from sima2.records.arrays import Int64s
from sima2.records.episodes import EpisodeTable
from sima2.shard_tables import EPISODES, FRAME_WEIGHTS

if TYPE_CHECKING:
    from sima2.io.store import Run


def write_frame_weights(run: RunContext, results: Results) -> None:
    """The weight of every frame, shard by shard as the episodes lie."""
    from sima2.sampling.frames import planned_frames
    from sima2.sampling.plan import Plan

    store = run.store
    store.forget(PLANNED)
    table, spans = results.training
    place = dict(zip(table.episode_id, range(len(table)), strict=True))
    numbers = {each.number: _frame_numbers(run, each) for each in store.runs}
    counted = dict.fromkeys(numbers, 0)
    shards = sorted(store.committed(FIRST))
    for shard, episodes in zip(shards, EPISODES.shards(store), strict=True):
        rows = np.array([place[name] for name in episodes.episode_id], np.int64)
        mine = store.run_of(shard)
        index = _numbered(episodes, numbers[mine.number])
        if not numbers[mine.number] and not mine.holds(results.quarantine.episode_index).any():
            index = counted[mine.number] + np.arange(len(index))
        counted[mine.number] += len(index)
        part = planned_frames(Plan(table.take(rows), spans), episodes.frames, index)
        store.commit(PLANNED, shard, {FRAME_WEIGHTS.folder: part}, {})


def _frame_numbers(run: RunContext, earlier: Run) -> Mapping[int, Int64s]:
    """What the source of a run of the folder numbers the frames of each episode by; nothing where it is not there."""
    source = next((each.source for each in run.taken if each.run.number == earlier.number), None)
    if source is not None:
        return source.frame_numbers()
    path = earlier.settings.get("path")
    if path is None:
        return {}
    # as late as this: made rollouts need no format
    from sima2.io.formats import is_dataset
    from sima2.io.frame_rows import frame_numbers

    if not is_dataset(place_here(Path(path))):
        return {}
    try:
        return frame_numbers(place_here(Path(path)))
    except DataError:
        return {}


def _numbered(episodes: EpisodeTable, known: Mapping[int, Int64s]) -> Int64s:
    """The source's own number of each frame, those of an episode behind those of the one before; -1 unknown."""
    none = np.zeros(0, np.int64)
    told = [none]
    for number, frames in zip(episodes.source_index.tolist(), episodes.frames.tolist(), strict=True):
        own = known.get(number, none)
        told.append(own if len(own) == frames else np.full(frames, -1))
    return np.concatenate(told)
