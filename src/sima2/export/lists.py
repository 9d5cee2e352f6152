"""Files for users of LeRobot who change nothing and copy nothing: lists, a ready command, and sidecars by ``index``.

What is said of LeRobot here is from its release v0.6.1: ``lerobot-edit-dataset`` (``scripts/lerobot_edit_dataset.py``),
``LeRobotDataset(episode_filter=…)`` (``datasets/lerobot_dataset.py``; a predicate over rows of ``meta/episodes``), the
columns of a file of progress (``rewards/sarm/compute_rabc_weights.py``, read by ``rewards/sarm/rabc.py``), language
columns (``datasets/language.py``, ``docs/source/language_and_recipes.mdx``) and ``next.success``
(``utils/constants.py``; a truth value a frame, as ``scripts/lerobot_eval.py`` declares it).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sima2.export.frames import SourceFrames, frame_weights, planned_frames
from sima2.export.selection import Selection
from sima2.export.target import target_folder
from sima2.io.arrow import write_table
from sima2.records.arrays import Bools
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import PlannedFrames, PlannedSpans, TrainingPlan
from sima2.records.segments import SegmentTable
from sima2.sampling.plan import SAID

_ROW: Final = [
    pa.field("role", pa.string(), nullable=False),
    pa.field("content", pa.string()),
    pa.field("style", pa.string()),
    pa.field("camera", pa.string()),
    pa.field("tool_calls", pa.list_(pa.string())),
]
EVENT: Final = pa.struct(_ROW)
"""A row of ``language_events``; LeRobot's tool calls are JSON, which are text where Arrow has no such type."""
PERSISTENT: Final = pa.struct([*_ROW[:3], pa.field("timestamp", pa.float32(), nullable=False), *_ROW[3:]])
"""A row of ``language_persistent``: what is so from its time on, until another of its style."""
STYLE: Final = "subtask"
ROLE: Final = "assistant"
GROUP_EPISODES: Final = 64
"""Episodes of a row group of ``subtasks.parquet``: each frame repeats the list of its episode."""


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """All that is exported of a run: tables of one source, under its own numbers."""

    plan: TrainingPlan
    spans: PlannedSpans
    episodes: EpisodeTable
    segments: SegmentTable
    frames: SourceFrames

    def by_frame(self) -> PlannedFrames:
        """Every frame with its weight."""
        return planned_frames(self.plan, self.spans, self.frames)


def write_lists(planned: Planned, kept: Selection, target: Path, *, source: Path | None) -> dict[str, Any]:
    """Write the folder of lists; which files, and what they hold, as plain values.

    Args:
        planned: what is known of the source.
        kept: episodes that are kept.
        target: a folder that is missing or empty.
        source: the data set, for the command; its folder's name stands for ``repo_id``.

    Raises:
        UsageError: if the target is taken, or no frame has any weight.
    """
    by_frame = planned.by_frame()
    weights = frame_weights(planned.plan, planned.spans, planned.frames)
    dropped = sorted(kept.left_out)
    with target_folder(target, source) as building:
        _write_text(building / "drop.txt", "".join(f"{number}\n" for number in dropped))
        _write_text(building / "keep.txt", "".join(f"{number}\n" for number in kept.number.tolist()))
        _write_text(building / "command.txt", command(dropped, source))
        write_table(building / "episodes.parquet", filter_columns(planned.plan, kept))
        _write_text(building / "numbers.csv", _numbers(kept))
        write_table(building / "weights.parquet", weights)
        _write_text(building / "ranges.json", json.dumps(ranges(by_frame), indent=0) + "\n")
        write_table(building / "progress.parquet", progress(by_frame, planned.frames))
        with pq.ParquetWriter(building / "subtasks.parquet", _SUBTASKS, compression="snappy") as writer:
            for part in subtasks(planned.segments, planned.frames):
                writer.write_table(part)
        write_table(building / "outcomes.parquet", outcomes(planned.episodes, planned.frames))
        files = sorted(each.name for each in building.iterdir())
    return {
        "files": files,
        "episodes": len(kept),
        "left_out": len(dropped),
        "frames": len(weights),
        "without_weight": int((weights.weight == 0).sum()),
        "numbered": planned.frames.numbered,
    }


def command(dropped: list[int], source: Path | None) -> str:
    """The command by which LeRobot leaves episodes out, into a new data set.

    It takes sets of version 3.0 alone, which the file says: of others ``sima2 export --lerobot`` makes the copy.
    """
    name = source.name if source is not None else "DATASET"
    words = ["lerobot-edit-dataset", "--repo_id", f"local/{name}"]
    words += ["--root", str(source)] if source is not None else []
    words += ["--new_repo_id", f"local/{name}_kept", "--new_root", f"{source or name}_kept"]
    words += ["--operation.type", "delete_episodes", "--operation.episode_indices", str(dropped)]
    if not dropped:
        return "# nothing is to be left out\n"
    return f"# for LeRobot sets of version 3.0; of others, sima2 export --lerobot makes a copy\n{shlex.join(words)}\n"


def filter_columns(plan: TrainingPlan, kept: Selection) -> pa.Table:
    """A row an episode of the source, keyed by ``episode_index``: what ``episode_filter`` may ask for.

    ``new_episode_index`` is the number after the command of :func:`command`; null where it is left out.
    """
    row = {number: at for at, number in enumerate(plan.episode_index.tolist())}
    new = {number: at for at, number in enumerate(kept.number.tolist())}
    numbers = sorted({*kept.left_out, *new})
    at = [row.get(number) for number in numbers]

    def told(column: Any) -> list[Any]:
        values = column.tolist()
        return [None if each is None else values[each] for each in at]

    return pa.table(
        {
            "episode_index": pa.array(numbers, pa.int64()),
            "new_episode_index": pa.array([new.get(number) for number in numbers], pa.int64()),
            "sima2_keep": pa.array([number in new for number in numbers], pa.bool_()),
            "sima2_action": pa.array(told(plan.action), pa.string()),
            "sima2_weight": pa.array([0.0 if each is None else each for each in told(plan.weight)], pa.float64()),
            "sima2_keep_start_frame": pa.array(told(plan.keep_start_frame), pa.int64()),
            "sima2_keep_end_frame": pa.array(told(plan.keep_end_frame), pa.int64()),
            "sima2_codes": pa.array([kept.left_out.get(k) or c or "" for k, c in zip(numbers, told(plan.codes))]),
        }
    )


def ranges(planned: PlannedFrames) -> dict[str, list[list[int]]]:
    """Frames that weigh anything, half-open, by the source's own number of the episode: for loaders that take ranges.

    Args:
        planned: every frame, those of an episode together and in order.
    """
    counts = np.concatenate([[0], (planned.weight > 0).astype(np.int8), [0]])
    episode = planned.episode_index
    # a run ends where its episode does
    breaks = np.flatnonzero(np.diff(episode)) + 1
    edge = np.diff(counts)
    start, end = set(np.flatnonzero(edge == 1).tolist()), set(np.flatnonzero(edge == -1).tolist())
    for row in breaks.tolist():
        if planned.weight[row - 1] > 0 and planned.weight[row] > 0:
            start.add(row)
            end.add(row)
    told: dict[str, list[list[int]]] = {}
    for a, b in zip(sorted(start), sorted(end), strict=True):
        frames = [int(planned.frame_index[a]), int(planned.frame_index[b - 1]) + 1]
        told.setdefault(str(int(episode[a])), []).append(frames)
    return told


def _numbers(kept: Selection) -> str:
    new = {number: at for at, number in enumerate(kept.number.tolist())}
    numbers = sorted({*kept.left_out, *new})
    return "episode_index,new_episode_index\n" + "".join(f"{each},{new.get(each, '')}\n" for each in numbers)


def progress(planned: PlannedFrames, frames: SourceFrames) -> pa.Table:
    """``index, episode_index, frame_index, progress_sparse`` of every frame, as RA-BC reads it.

    Progress is the share of the episode's weight that lies behind a frame, so that it stands still over frames that
    weigh nothing and reaches 1 at the end of what is kept: a rule, no learned reward. RA-BC weighs a frame by how much
    progress the next 50 bring: nothing where it falls. Episodes of no weight therefore fall, from 1 to 0: LeRobot would
    take one without progress for a good one. It sees no frame's own weight: one of none before good ones counts as they
    do, and the last frame of an episode that falls stands still. Where weights must be exact, use ``weights.parquet``.
    """
    frames = frames.sorted()
    weight = np.zeros(len(frames))
    order = np.argsort(frames.index, kind="stable")
    weight[order[np.searchsorted(frames.index[order], planned.index)]] = planned.weight
    _, begin, end = frames.bounds()
    made = np.zeros(len(frames), np.float32)
    for a, b in zip(begin.tolist(), end.tolist(), strict=True):
        behind = np.cumsum(weight[a:b])
        made[a:b] = behind / behind[-1] if behind[-1] > 0 else np.linspace(1.0, 0.0, b - a)
    back = np.argsort(frames.index, kind="stable")
    return pa.table(
        {
            "index": frames.index[back],
            "episode_index": frames.episode[back],
            "frame_index": frames.frame[back],
            "progress_sparse": made[back],
        }
    )


_SUBTASKS: Final = pa.schema(
    [("index", pa.int64()), ("language_persistent", pa.list_(PERSISTENT)), ("language_events", pa.list_(EVENT))]
)


def subtasks(segments: SegmentTable, frames: SourceFrames) -> Iterator[pa.Table]:
    """``index, language_persistent, language_events`` of every frame, some episodes at a time.

    A segment is a row of style ``subtask`` from its first frame on, repeated on every frame of its episode, as LeRobot
    stores what persists. Where several hands move, a row tells all of them, for one style may say one thing at a time.
    No segment is an event, so ``language_events`` is empty.
    """
    frames = frames.sorted()
    number, begin, end = frames.bounds()
    rows = _rows_of(segments)
    for first in range(0, len(number), GROUP_EPISODES):
        part = slice(first, first + GROUP_EPISODES)
        indices, lists = [], []
        for episode, a, b in zip(number[part].tolist(), begin[part].tolist(), end[part].tolist(), strict=True):
            told = pa.array(rows.get(episode, []), PERSISTENT)
            each = np.tile(np.arange(len(told)), b - a)
            offsets = pa.array(np.arange(b - a + 1) * len(told), pa.int32())
            repeated = told.take(pa.array(each, pa.int64()))
            lists.append(pa.ListArray.from_arrays(offsets, repeated).cast(_SUBTASKS.field(1).type))
            indices.append(frames.index[a:b])
        index = np.concatenate(indices)
        none = pa.ListArray.from_arrays(pa.array(np.zeros(len(index) + 1, np.int32)), pa.array([], EVENT))
        yield pa.table([pa.array(index), pa.chunked_array(lists, _SUBTASKS.field(1).type), none], schema=_SUBTASKS)


def _rows_of(segments: SegmentTable) -> dict[int, list[dict[str, Any]]]:
    """Rows of ``language_persistent`` by episode."""
    by_episode: dict[int, dict[str, list[tuple[float, str]]]] = {}
    named = zip(segments.episode_index.tolist(), segments.manipulator, segments.label, segments.object, strict=True)
    for (episode, hand, label, thing), start in zip(named, segments.start_t.tolist(), strict=True):
        words = " ".join(filter(None, (label.replace("_", " "), thing)))
        by_episode.setdefault(episode, {}).setdefault(hand, []).append((start, words))
    return {episode: list(_merged(hands)) for episode, hands in by_episode.items()}


def _merged(hands: dict[str, list[tuple[float, str]]]) -> Iterator[dict[str, Any]]:
    """One row for each moment at which any hand begins something."""
    now = dict.fromkeys(hands, "")
    begun = sorted((start, hand, words) for hand, each in hands.items() for start, words in each)
    for at, (start, hand, words) in enumerate(begun):
        now[hand] = words
        if at + 1 < len(begun) and begun[at + 1][0] == start:
            continue
        told = now[hand] if len(now) == 1 else "; ".join(f"{name}: {doing}" for name, doing in now.items() if doing)
        yield {"role": ROLE, "content": told, "style": STYLE, "timestamp": start, "camera": None, "tool_calls": None}


def outcomes(episodes: EpisodeTable, frames: SourceFrames) -> pa.Table:
    """``index, next.success`` of every frame: true on the last of an episode that succeeded.

    Null where that is not known; what is only inferred is not: as a column of the set it would be read as recorded.
    """
    frames = frames.sorted()
    number, begin, end = frames.bounds()
    said = np.where(episodes.outcome_source.isin(*SAID), episodes.success, np.nan)
    success = dict(zip(episodes.episode_index.tolist(), said.tolist(), strict=True))
    ended = np.array([success.get(each, np.nan) for each in number.tolist()])
    known: Bools = np.repeat(np.isfinite(ended), end - begin)
    made = np.zeros(len(frames), np.bool_)
    made[end[ended == 1.0] - 1] = True
    order = np.argsort(frames.index, kind="stable")
    return pa.table({"index": frames.index[order], "next.success": pa.array(made[order], mask=~known[order])})


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
