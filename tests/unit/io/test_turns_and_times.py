"""Angles that wrap, times in any unit, tasks by any way, files where the index does not say."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings import HZ, NAMES, laid, recordings, write_set
from sima2.io.angle_unwrapping import unwrap
from sima2.io.formats import open_dataset
from sima2.io.frame_rows import frame_rows
from sima2.io.task_kinds import task_kinds
from sima2.io.timestamps import seconds, time_unit

MADE = recordings(6)


def wrapped(angle: np.ndarray, turn: float, low: float) -> np.ndarray:
    return (angle - low) % turn + low


@given(
    turn=st.sampled_from([math.tau, 360.0]),
    centred=st.booleans(),
    start=st.floats(-0.5, 0.5),
    steps=st.lists(st.floats(-0.04, 0.04), min_size=2, max_size=60),
)
def test_an_angle_wrapped_at_a_turn_is_continuous_again(
    turn: float, centred: bool, start: float, steps: list[float]
) -> None:
    true = turn * (start + np.cumsum(steps))
    seen = wrapped(true, turn, -turn / 2 if centred else 0.0)
    out = unwrap(seen, turn)
    np.testing.assert_allclose(np.cos((out - true) * math.tau / turn), 1.0, atol=1e-9)
    if np.ptp(seen) < turn:
        assert np.abs(np.diff(out)).max(initial=0.0) <= turn * 0.05


def test_a_glitch_is_no_turn() -> None:
    angle = np.linspace(0.0, 1.0, 50)
    angle[20] = -3.0
    np.testing.assert_array_equal(unwrap(angle, math.tau), angle)


def test_steps_of_a_quarter_turn_tell_no_wrap() -> None:
    angle = np.array([1.56, -0.76, 1.70, 3.24, -2.42, 0.06])
    np.testing.assert_array_equal(unwrap(angle, math.tau), angle)


@pytest.mark.parametrize(("factor", "low"), [(1.0, -math.pi), (180 / math.pi, -180.0), (180 / math.pi, 0.0)])
def test_a_wrist_that_wraps_is_read_as_one_that_does_not(tmp_path: Path, factor: float, low: float) -> None:
    turn = math.tau * factor

    def driver(q: np.ndarray) -> np.ndarray:
        near = q + np.array([0, 0, 0, 0, 0, low / factor + math.tau])  # it works about where it wraps
        return wrapped(near * factor, turn, low)

    root = write_set(
        tmp_path / "set",
        laid(MADE, joints=driver),
        [*NAMES, "gripper"],
        actions=[np.column_stack([driver(each.command[:, :6]), each.command[:, 6]]) for each in MADE],
    )
    batch = open_dataset(root).read(0, 6).batch
    for k, each in enumerate(MADE):
        got = batch[k]
        assert np.abs(np.diff(got.joint_position, axis=0)).max() < 0.5
        np.testing.assert_allclose(np.cos(got.joint_position - driver(each.joints) / factor), 1.0, atol=1e-5)
        assert np.nanmax(np.abs(got.effort_proxy[:, 5])) < 20


@pytest.mark.parametrize("hz", [5.0, 10.0, 25.0, 60.0, 500.0])
@pytest.mark.parametrize(("unit", "size"), [("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_times_in_any_unit_at_any_rate_are_seconds_whatever_is_declared(hz: float, unit: str, size: float) -> None:
    stamps = np.arange(40) * size / hz
    assert time_unit(size / hz, 30.0) == unit
    np.testing.assert_allclose(seconds(stamps, None, 30.0), np.arange(40) / hz)


def test_a_unit_or_a_rate_other_than_declared_is_said(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", laid(MADE), [*NAMES, "gripper"], stamps=lambda n: np.arange(n) * 100)
    found = open_dataset(root)
    assert any("taken as ms" in each and "10 Hz" in each for each in found.describe().warnings)
    assert found.read(0, 1).batch.time[-1] == pytest.approx((len(MADE[0]) - 1) / 10)


def test_a_clock_that_ticks_more_slowly_than_the_frames_is_replaced_by_their_numbers(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", laid(MADE), [*NAMES, "gripper"], stamps=lambda n: (np.arange(n) // 2) * 2 / HZ)
    found = open_dataset(root)
    np.testing.assert_allclose(np.diff(found.read(0, 1).batch.time), 1 / HZ)
    assert any("timestamps repeat" in each for each in found.describe().warnings)


def test_episodes_of_a_task_are_of_one_kind_where_there_are_enough() -> None:
    kinds = task_kinds(["Open  the box"] * 6 + ["open the box", "wave"] + [""] * 9)
    assert (kinds["Open  the box"], kinds["open the box"], kinds["wave"], kinds[""]) == (
        "open the box",
        "open the box",
        "wave",
        "unknown",
    )
    rare = task_kinds(["sweep"] * 5 + [f"words of its own {k}" for k in range(50)])
    assert (rare["sweep"], rare["words of its own 3"]) == ("sweep", "unknown")
    assert set(task_kinds(["alone"]).values()) == {"alone"}
    assert set(task_kinds([f"words of its own {k}" for k in range(500)]).values()) == {"unknown"}


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_tasks_that_the_index_does_not_name_are_found_by_the_frames(tmp_path: Path, version: str) -> None:
    tasks = ["peel", "slice", "peel", "slice", "peel", "slice"]
    root = write_set(tmp_path / "set", laid(MADE), [*NAMES, "gripper"], tasks=tasks)
    if version == "v2.1":
        lines = [json.loads(line) for line in (root / "meta/episodes.jsonl").read_text().splitlines()]
        (root / "meta/episodes.jsonl").write_text("\n".join(json.dumps({**line, "tasks": []}) for line in lines))
    else:
        as_v30(root, tasks)
    assert open_dataset(root).read(0, 6).batch.episodes.instruction == tuple(tasks)


def test_an_episode_of_several_tasks_bears_the_one_of_most_frames(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", laid(MADE), [*NAMES, "gripper"])
    (root / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "reach"}\n{"task_index": 1, "task": "hold"}')
    lines = [json.loads(line) for line in (root / "meta/episodes.jsonl").read_text().splitlines()]
    told = [json.dumps({**line, "tasks": ["reach", "hold"]}) for line in lines]
    (root / "meta/episodes.jsonl").write_text("\n".join(told))
    file = root / "data/chunk-000/episode_000002.parquet"
    table = pq.read_table(file)
    split = pa.array((np.arange(len(table)) > 20).astype(np.int64))
    pq.write_table(table.set_column(table.column_names.index("task_index"), "task_index", split), file)
    found = open_dataset(root)
    assert found.read(0, 6).batch.episodes.instruction == ("reach", "reach", "hold", "reach", "reach", "reach")
    assert any("1 episodes hold frames of several tasks" in each for each in found.describe().warnings)


def as_v30(root: Path, tasks: list[str], stale: tuple[int, ...] = (0, 0, 0, 1, 1, 1)) -> None:
    """The same set in the layout of v3.0: two files, an index that may point to the wrong one."""
    tables = [pq.read_table(file) for file in sorted(root.glob("data/*/*"))]
    shutil.rmtree(root / "data/chunk-000")
    (root / "data/chunk-000").mkdir()
    for number, part in enumerate((tables[:3], tables[3:])):
        pq.write_table(pa.concat_tables(part), root / f"data/chunk-000/file-{number:03d}.parquet")
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    index = {"episode_index": range(6), "length": [len(each) for each in tables], "data/chunk_index": [0] * 6}
    pq.write_table(
        pa.table({**{name: list(each) for name, each in index.items()}, "data/file_index": list(stale)}),
        root / "meta/episodes/chunk-000/file-000.parquet",
    )
    words = list(dict.fromkeys(tasks))
    named = {"task_index": list(range(len(words))), "__index_level_0__": words}
    pq.write_table(pa.table(named), root / "meta/tasks.parquet")
    (root / "meta/tasks.jsonl").unlink()
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps({**info, "codebase_version": "v3.0"}))


def test_every_episode_is_read_where_its_rows_are_however_stale_the_index(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", laid(MADE), [*NAMES, "gripper"])
    as_v30(root, ["move the thing"], stale=(1, 0, 0, 0, 7, 1))
    taken = open_dataset(root).read(0, 6)
    assert taken.batch.length.tolist() == [len(each) for each in MADE]
    assert sum("its rows are in" in each for each in taken.warnings) == 3


def test_rows_that_a_file_cut_in_two_are_joined(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", laid(MADE), [*NAMES, "gripper"])
    as_v30(root, ["move the thing"])
    first, second = (root / f"data/chunk-000/file-00{k}.parquet" for k in (0, 1))
    tables = [pq.read_table(first), pq.read_table(second)]
    pq.write_table(tables[0].slice(0, len(tables[0]) - 10), first)
    pq.write_table(pa.concat_tables([tables[0].slice(len(tables[0]) - 10), tables[1]]), second)
    batch = open_dataset(root).read(0, 6).batch
    np.testing.assert_allclose(batch[2].joint_position, MADE[2].joints, atol=1e-6)


@pytest.mark.parametrize("told", ["no lengths", "no index"])
def test_rows_cut_in_two_are_joined_where_no_length_is_stated(tmp_path: Path, told: str) -> None:
    root = write_set(tmp_path / "set", laid(MADE), [*NAMES, "gripper"])
    as_v30(root, ["move the thing"])
    first, second = (root / f"data/chunk-000/file-{k}.parquet" for k in (999, 1000))
    tables = [pq.read_table(root / f"data/chunk-000/file-00{k}.parquet") for k in (0, 1)]
    for k in (0, 1):
        (root / f"data/chunk-000/file-00{k}.parquet").unlink()
    pq.write_table(tables[0].slice(0, len(tables[0]) - 10), first)
    pq.write_table(pa.concat_tables([tables[0].slice(len(tables[0]) - 10), tables[1]]), second)
    index = root / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(index)
    files = pa.array([999, 999, 999, 1000, 1000, 1000])
    table = table.set_column(table.column_names.index("data/file_index"), "data/file_index", files)
    pq.write_table(table.drop_columns(["length"]), index)
    if told == "no index":
        index.unlink()
    assert open_dataset(root).read(0, 6).batch.length.tolist() == [len(each) for each in MADE]
    rows = frame_rows(root)
    assert np.bincount(rows.episode).tolist() == [len(each) for each in MADE]
    assert rows.index.tolist() == list(range(sum(len(each) for each in MADE)))


def test_rows_after_an_episode_that_cannot_be_read_keep_their_places(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", laid(MADE), [*NAMES, "gripper"])
    for file in root.glob("data/*/*"):
        pq.write_table(pq.read_table(file).drop_columns(["index"]), file)
    (root / "data/chunk-000/episode_000001.parquet").write_bytes(b"x")
    rows = frame_rows(root)
    first = len(MADE[0]) + len(MADE[1])
    assert rows.index[rows.episode == 2].tolist() == list(range(first, first + len(MADE[2])))


def test_one_odd_step_of_the_clock_does_not_change_its_unit(tmp_path: Path) -> None:
    count = iter(range(6))
    root = write_set(
        tmp_path / "set",
        laid(MADE),
        [*NAMES, "gripper"],
        stamps=lambda n: np.arange(n) * (1.25 if next(count) == 2 else 1 / HZ),
    )
    batch = open_dataset(root).read(0, 6).batch
    assert batch[2].time[-1] == pytest.approx(1.25 * (len(MADE[2]) - 1))


def test_a_path_written_with_backslashes_is_a_path(tmp_path: Path) -> None:
    path = "data\\chunk-{episode_chunk:03d}\\episode_{episode_index:06d}.parquet"
    root = write_set(tmp_path / "set", laid(MADE), [*NAMES, "gripper"], data_path=path)
    assert len(open_dataset(root).read(0, 6).batch) == 6


def test_a_source_is_known_by_its_content_and_not_by_where_it_lies(tmp_path: Path) -> None:
    states = laid(MADE)
    one = write_set(tmp_path / "one", states, [*NAMES, "gripper"])
    copy = Path(shutil.copytree(one, tmp_path / "elsewhere"))
    states[3] = states[3] + 0.01
    other = write_set(tmp_path / "other", states, [*NAMES, "gripper"])
    ids = [open_dataset(each).source_id for each in (one, copy, other)]
    assert ids[0] == ids[1] != ids[2]
    (tmp_path / "link").symlink_to(one)
    assert open_dataset(tmp_path / "link").source_id == ids[0]
    assert open_dataset(one).read(2, 3).batch.episodes.episode_id == (f"{ids[0]}-000002",)
