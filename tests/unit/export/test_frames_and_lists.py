"""Weights, progress, subtasks and outcomes by frame, and the lists for LeRobot: what is planned, under its numbers."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finished_run import NAN, episodes_of, segments_of
from made_lerobot import plan_of
from sima2.errors import UnknownNameError, UsageError
from sima2.export.frames import SourceFrames, copy_weights, frame_weights, planned_frames
from sima2.export.lists import Planned, command, outcomes, progress, ranges, subtasks, write_lists
from sima2.export.selection import select
from sima2.export.tables import write_tables
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import FrameWeights, PlannedSpans, TrainingPlan
from sima2.records.segments import SegmentTable

LENGTHS = [6, 4, 5]
FRAMES = SourceFrames(np.repeat([0, 1, 2], LENGTHS), np.arange(15) + 100, "by hand")
EVEN = SourceFrames(np.repeat([0, 1, 2], 5), np.arange(15), "by hand")
PLAN: dict[str, Any] = {
    "action": ["trim", "drop", "keep"],
    "weight": np.array([1.0, 0.0, 0.5]),
    "keep_start_frame": np.array([2, 0, 0]),
    "codes": ["idle", "failed", ""],
    "kind_of_knowledge": ["fact", "fact", "inference"],
}


def spans_of(*rows: tuple[int, int, int, float]) -> PlannedSpans:
    index, start, end, weight = (list(each) for each in zip(*rows, strict=True)) if rows else ([], [], [], [])
    n = len(index)
    return PlannedSpans(
        np.array(index, np.int64), [f"a-{k}" for k in index], np.array(start, np.int64), np.array(end, np.int64),
        np.array(weight, np.float64), ["failed_attempt"] * n, ["inference"] * n,
    )  # fmt: skip


def episodes(success: list[float]) -> EpisodeTable:
    from dataclasses import replace

    made = episodes_of([f"a-{k}" for k in range(len(success))])
    return replace(made, success=np.array(success), frames=np.array(LENGTHS[: len(success)]))


def test_a_frame_weighs_its_episode_times_its_span() -> None:
    made = planned_frames(plan_of(LENGTHS, **PLAN), spans_of((0, 0, 2, 0.0), (0, 3, 5, 0.0), (2, 0, 2, 0.5)), FRAMES)
    assert made.weight.tolist() == [0, 0, 1, 0, 0, 1] + [0] * 4 + [0.25, 0.25, 0.5, 0.5, 0.5]
    assert made.index.tolist() == list(range(100, 115))
    assert made.frame_index.tolist() == [*range(6), *range(4), *range(5)]
    assert made.reason[0] == "failed_attempt"
    assert made.reason[2] == ""
    assert made.reason[3] == "failed_attempt"
    assert made.kind_of_knowledge[7] == "fact"


def test_no_facts_and_no_spans_is_one_everywhere() -> None:
    made = planned_frames(plan_of(LENGTHS), spans_of(), FRAMES)
    assert set(made.weight.tolist()) == {1.0}
    assert set(made.reason) == {""}
    assert frame_weights(plan_of([5, 5, 5]), spans_of(), EVEN).weight.tolist() == [1.0] * 15


def test_spans_beyond_the_episode_are_of_a_changed_source() -> None:
    with pytest.raises(UsageError, match="episode 1 has 4 frames, its plan speaks of 2 to 5"):
        planned_frames(plan_of(LENGTHS), spans_of((1, 2, 5, 0.0)), FRAMES)
    with pytest.raises(UsageError, match="does not hold"):
        planned_frames(plan_of([*LENGTHS, 3]), spans_of(), FRAMES)


@given(st.lists(st.floats(0.01, 4), min_size=3, max_size=3), st.integers(0, 999))
def test_weights_of_frames_are_one_in_the_mean_and_in_order_of_index(weight: list[float], seed: int) -> None:
    index = np.random.default_rng(seed).permutation(15).tolist()
    frames = SourceFrames(FRAMES.episode, np.array(index), "")
    made = frame_weights(plan_of(LENGTHS, weight=np.array(weight)), spans_of(), frames)
    assert isinstance(made, FrameWeights)
    assert made.index.tolist() == list(range(15))
    assert abs(made.weight.sum() - 15) < 1e-9
    of = dict(zip(index, FRAMES.episode.tolist(), strict=True))
    expected = np.array([weight[of[k]] for k in range(15)])
    assert np.allclose(made.weight / made.weight[0], expected / expected[0])


def test_frames_of_episodes_outside_the_plan_weigh_nothing() -> None:
    made = frame_weights(plan_of(LENGTHS[:2]), spans_of(), FRAMES)
    assert np.allclose(made.weight, [1.5] * 10 + [0.0] * 5)


def test_no_weight_at_all_is_an_error() -> None:
    with pytest.raises(UsageError, match="no frame of this source has any weight"):
        frame_weights(plan_of(LENGTHS, weight=np.zeros(3)), spans_of(), FRAMES)


def test_progress_rises_over_what_counts_and_falls_where_nothing_does() -> None:
    planned = planned_frames(plan_of(LENGTHS, **PLAN), spans_of((0, 0, 2, 0.0), (0, 3, 5, 0.0)), FRAMES)
    made = progress(planned, FRAMES)
    assert made.column_names == ["index", "episode_index", "frame_index", "progress_sparse"]
    values = made.column("progress_sparse").to_numpy()
    assert values[:6].tolist() == [0, 0, 0.5, 0.5, 0.5, 1]
    assert (np.diff(values[6:10]) < 0).all()
    assert np.allclose(values[10:], [0.2, 0.4, 0.6, 0.8, 1.0])


def table_of(parts: list[Any]) -> list[dict[str, Any]]:
    return [row for part in parts for row in part.to_pylist()]


def test_subtasks_are_what_persists_on_every_frame_of_the_episode() -> None:
    from dataclasses import replace

    segments = segments_of("a-0", ("arm",))
    segments = replace(segments, episode_index=np.zeros(len(segments), np.int64))
    rows = table_of(list(subtasks(segments, FRAMES)))
    assert [row["index"] for row in rows] == FRAMES.index.tolist()
    first = rows[0]["language_persistent"]
    assert rows[5]["language_persistent"] == first
    assert rows[6]["language_persistent"] == []
    assert {row["style"] for row in first} == {"subtask"}
    assert {row["camera"] for row in first} == {None}
    assert [row["timestamp"] for row in first] == sorted(segments.start_t.astype(np.float32).tolist())
    assert all(row["language_events"] == [] for row in rows)


def test_two_hands_never_say_two_things_at_one_moment() -> None:
    from dataclasses import replace

    segments = segments_of("a-0", ("left", "right"))
    segments = replace(segments, episode_index=np.zeros(len(segments), np.int64))
    told = table_of(list(subtasks(segments, FRAMES)))[0]["language_persistent"]
    stamps = [row["timestamp"] for row in told]
    assert len(set(stamps)) == len(stamps)
    assert told[-1]["content"].startswith("left: ")
    assert "; right: " in told[-1]["content"]


def test_success_is_told_on_the_last_frame_and_null_where_not_known() -> None:
    made = outcomes(episodes([1.0, 0.0, NAN]), FRAMES).column("next.success").to_pylist()
    assert made == [False] * 5 + [True] + [False] * 4 + [None] * 5


def planned(plan: TrainingPlan | None = None) -> Planned:
    return Planned(
        plan_of(LENGTHS, **PLAN) if plan is None else plan, spans_of((0, 0, 2, 0.0)), episodes([1.0, 0.0, NAN]),
        SegmentTable.empty(), FRAMES,
    )  # fmt: skip


def test_lists_name_episodes_by_the_sources_numbers(tmp_path: Path) -> None:
    given = planned()
    kept = select(given.plan, dict(enumerate(LENGTHS)), np.array([0, 1, 2, 7]))
    told = write_lists(given, kept, tmp_path / "lists", source=tmp_path / "my set")
    assert (tmp_path / "lists/drop.txt").read_text().split() == ["1", "7"]
    assert (tmp_path / "lists/keep.txt").read_text().split() == ["0", "2"]
    rows = list(csv.reader((tmp_path / "lists/numbers.csv").read_text().splitlines()))
    assert rows == [["episode_index", "new_episode_index"], ["0", "0"], ["1", ""], ["2", "1"], ["7", ""]]
    columns = pq.read_table(tmp_path / "lists/episodes.parquet").to_pylist()
    assert [row["sima2_keep"] for row in columns] == [True, False, True, False]
    assert [row["sima2_codes"] for row in columns] == ["idle", "failed", "", "not_read"]
    assert told["files"] == sorted(told["files"])
    assert told["without_weight"] == 6
    weights = pq.read_table(tmp_path / "lists/weights.parquet")
    assert weights.column_names == ["index", "weight"]
    assert weights.column("weight").to_pylist() == pytest.approx([0] * 2 + [15 / 6.5] * 4 + [0] * 4 + [7.5 / 6.5] * 5)


def test_the_command_names_the_dropped_and_takes_any_path() -> None:
    words = shlex.split(command([3, 7], Path("/data/it's 1")))
    assert words[words.index("--operation.episode_indices") + 1] == "[3, 7]"
    assert words[words.index("--root") + 1] == "/data/it's 1"
    assert words[words.index("--operation.type") + 1] == "delete_episodes"
    assert command([], None).startswith("#")


def test_tables_are_written_in_each_form(tmp_path: Path) -> None:
    tables = {"plan": planned().plan, "episodes": planned().episodes}
    for kind in ("csv", "json", "parquet"):
        assert list(write_tables(tables, tmp_path / kind, kind).values()) == [3, 3]
    rows = [json.loads(line) for line in (tmp_path / "json/episodes.jsonl").read_text().splitlines()]
    assert [row["success"] for row in rows] == [1.0, 0.0, None]
    made = list(csv.DictReader((tmp_path / "csv/episodes.csv").read_text().splitlines()))
    assert [row["success"] for row in made] == ["1", "0", ""]
    assert pq.read_table(tmp_path / "parquet/plan.parquet").column("action").to_pylist() == ["trim", "drop", "keep"]
    with pytest.raises(UnknownNameError, match="valid: csv, json, parquet"):
        write_tables(tables, tmp_path / "more", "xml")
    with pytest.raises(UsageError, match="never overwritten"):
        write_tables(tables, tmp_path / "csv", "csv")


def test_weights_of_a_copy_are_by_its_own_numbers() -> None:
    kept = select(plan_of(LENGTHS, **PLAN), dict(enumerate(LENGTHS)), np.arange(3))
    made = copy_weights(kept, spans_of((0, 0, 2, 0.0), (0, 3, 5, 0.0), (1, 0, 4, 0.0), (2, 0, 2, 0.5)))
    assert made.index.tolist() == list(range(9))  # four frames of the first, five of the third
    assert np.allclose(made.weight / made.weight[0], [1, 0, 0, 1, 0.25, 0.25, 0.5, 0.5, 0.5])
    assert abs(made.weight.mean() - 1) < 1e-12


def test_ranges_are_of_frames_that_weigh_anything_and_end_with_their_episode() -> None:
    made = planned_frames(plan_of(LENGTHS, **PLAN), spans_of((0, 0, 2, 0.0), (0, 3, 5, 0.0), (2, 0, 2, 0.5)), FRAMES)
    assert ranges(made) == {"0": [[2, 3], [5, 6]], "2": [[0, 5]]}
    whole = planned_frames(plan_of(LENGTHS), spans_of(), FRAMES)
    assert ranges(whole) == {"0": [[0, 6]], "1": [[0, 4]], "2": [[0, 5]]}
