"""Made recordings: they are LeRobot folders, their truth fits them, and every planted defect is what it says."""

from __future__ import annotations

import ast
import atexit
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import sima2.bench.recordings_maker as maker
from sima2.bench.recordings_maker import ENDS, KINDS, RECIPES, EpisodeTruth, Planted, Recipe, kinds_of, make_set
from sima2.bench.recordings_maker.follower import column_names, hand_columns

BY_NAME = {recipe.name: recipe for recipe in RECIPES}
NAMES = sorted(BY_NAME)
ROOT = Path(mkdtemp(prefix="recordings_maker"))
atexit.register(shutil.rmtree, ROOT, ignore_errors=True)


class Episode(NamedTuple):
    """What a file holds."""

    state: NDArray[np.float32]
    action: NDArray[np.float32] | None
    time: NDArray[np.float32]
    frame_index: NDArray[np.int64]
    task: int


def read(folder: Path, number: int) -> Episode:
    table = pq.read_table(folder / f"data/chunk-000/episode_{number:06d}.parquet")
    vectors = [
        np.stack(table[name].to_numpy(zero_copy_only=False)) if name in table.column_names else None
        for name in ("observation.state", "action")
    ]
    assert vectors[0] is not None
    columns = [table[name].to_numpy() for name in ("timestamp", "frame_index", "task_index")]
    return Episode(vectors[0], vectors[1], columns[0], columns[1], int(columns[2][0]))


@cache
def made(
    name: str, planted: tuple[tuple[str, int], ...] = (), episodes: int = 12
) -> tuple[Path, tuple[EpisodeTruth, ...]]:
    folder = Path(mkdtemp(dir=ROOT)) / name
    return folder, make_set(folder, BY_NAME[name], episodes, 5, dict(planted), failures=0.3)


class Case(NamedTuple):
    """A planted episode, and the same one without the defect."""

    recipe: Recipe
    truth: EpisodeTruth
    clean_truth: EpisodeTruth
    mark: Planted
    made: Episode
    clean: Episode
    folder: Path


def cases(kind: str, name: str, count: int = 4) -> list[Case]:
    folder, truths = made(name, ((kind, count),))
    plain, clean_truths = made(name)
    found = [truth for truth in truths if truth.planted]
    assert len(found) == count
    assert all(truth.planted[0].kind == kind for truth in found)
    return [
        Case(
            BY_NAME[name],
            truth,
            clean_truths[truth.episode_index],
            truth.planted[0],
            read(folder, truth.episode_index),
            read(plain, truth.episode_index),
            folder,
        )
        for truth in found
    ]


def opening(recipe: Recipe, values: NDArray[np.float32], arm: int) -> NDArray[np.float64]:
    """Mean of the fingers that close, 0 shut and 1 open."""
    hand, fingers = recipe.rig.hand, len(recipe.rig.hand.names)
    columns = hand_columns(recipe.rig)[arm * fingers : (arm + 1) * fingers][:4]
    share = (values[:, columns].mean(axis=1) - hand.closed) / (hand.opened - hand.closed)
    return np.asarray(share, np.float64)


def test_a_seed_makes_the_same_bytes_and_truth_again(tmp_path: Path) -> None:
    recipe, planted = BY_NAME["koch_bricks"], dict.fromkeys(KINDS, 1)
    first, second = (make_set(tmp_path / name, recipe, 30, 8, planted) for name in ("one", "two"))
    assert first == second
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert all((tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes() for path in files)
    assert make_set(tmp_path / "other", recipe, 30, 9, planted) != first


def test_clean_episodes_do_not_depend_on_what_is_planted_in_others() -> None:
    folder, truths = made("so101_cube", (("teleport", 4),))
    plain, clean = made("so101_cube")
    for truth in truths:
        if not truth.planted:
            assert truth == clean[truth.episode_index]
            assert np.array_equal(read(folder, truth.episode_index).state, read(plain, truth.episode_index).state)


@pytest.mark.parametrize("name", NAMES)
def test_a_set_is_a_lerobot_folder_that_says_nothing_of_the_truth(name: str) -> None:
    recipe = BY_NAME[name]
    folder, truths = made(name)
    info = json.loads((folder / "meta/info.json").read_text())
    rows = [json.loads(line) for line in (folder / "meta/episodes.jsonl").read_text().splitlines()]
    assert (info["codebase_version"], info["fps"], info["total_episodes"]) == ("v2.1", recipe.fps, len(truths))
    assert ("action" in info["features"]) == recipe.commands
    assert sorted(path.name for path in folder.iterdir()) == ["data", "meta"]
    assert {path.stem for path in (folder / "meta").iterdir()} == {"info", "tasks", "episodes", "episodes_stats"}
    start = 0
    for truth, row in zip(truths, rows, strict=True):
        table = pq.read_table(folder / f"data/chunk-000/episode_{truth.episode_index:06d}.parquet")
        episode = read(folder, truth.episode_index)
        frames = np.arange(row["length"])
        assert episode.state.shape == (row["length"], len(column_names(recipe.rig)))
        assert np.array_equal(episode.frame_index, frames)
        assert np.array_equal(table["index"].to_numpy(), frames + start)
        assert np.allclose(episode.time, frames / recipe.fps, atol=0.11 / recipe.fps if recipe.clock else 1e-4)
        assert row["tasks"] == [truth.task]
        assert np.isfinite(episode.state).all()
        start += row["length"]
    assert info["total_frames"] == start


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_fits_the_recording(name: str) -> None:
    recipe = BY_NAME[name]
    folder, truths = made(name)
    for truth in truths:
        frames = len(read(folder, truth.episode_index).time)
        assert truth.ends in ENDS
        assert truth.planted == ()
        assert (truth.success_told is None) != recipe.outcomes
        assert truth.success_told in (None, truth.success)
        assert list(truth.attempts) == sorted(truth.attempts, key=lambda attempt: attempt.start)
        for attempt in truth.attempts:
            assert 0 <= attempt.start < attempt.end < frames
            assert attempt.lost_at is None or (attempt.held and attempt.end <= attempt.lost_at < frames)
        assert all(0 <= start < end <= frames for start, end in truth.idle_closings)
        wrong = [not attempt.held or attempt.lost_at is not None for attempt in truth.attempts]
        assert truth.retries == sum(wrong[:-1])
        if truth.success and truth.attempts:
            assert not wrong[-1]
        if truth.ends == "dropped":
            assert truth.attempts[-1].lost_at is not None


@pytest.mark.parametrize("name", [n for n in NAMES if BY_NAME[n].commands and not BY_NAME[n].rig.hand.bits])
def test_the_command_runs_ahead_of_fingers_that_hold(name: str) -> None:
    recipe = BY_NAME[name]
    folder, truths = made(name)
    for truth in truths:
        episode = read(folder, truth.episode_index)
        for attempt in truth.attempts:
            assert episode.action is not None
            at = attempt.end + 1
            state, command = (opening(recipe, v, attempt.arm)[at] for v in (episode.state, episode.action))
            assert not attempt.held or state - command > 0.03
            assert attempt.held or state < 0.1


@pytest.mark.parametrize("name", [n for n in NAMES if BY_NAME[n].rig.hand.bits != "both"])
def test_fingers_close_within_an_attempt_and_an_idle_closing(name: str) -> None:
    recipe = BY_NAME[name]
    folder, truths = made(name)
    for truth in truths:
        state = read(folder, truth.episode_index).state
        for attempt in truth.attempts:
            track = opening(recipe, state, attempt.arm)
            assert track[attempt.start] - track[attempt.end] > 0.05
        for start, end in truth.idle_closings:
            drops = [opening(recipe, state, arm)[[start, end - 1]] for arm in range(len(recipe.rig.sides))]
            assert max(before - after for before, after in drops) > 0.03


def test_recipes_cover_what_sets_differ_in() -> None:
    hands = [recipe.rig.hand for recipe in RECIPES]
    assert len(RECIPES) >= 10
    assert len(BY_NAME) == len(RECIPES)
    assert {recipe.rig.units for recipe in RECIPES} == {"rad", "deg", "norm"}
    assert {10, 15, 30, 50} <= {recipe.fps for recipe in RECIPES}
    assert {hand.opened > hand.closed for hand in hands} == {True, False}
    assert {hand.bits for hand in hands} == {"", "command", "both"}
    assert {len(hand.names) for hand in hands} == {1, 6}
    assert {len(recipe.rig.joints) for recipe in RECIPES} == {5, 6, 7}
    for name in ("commands", "outcomes", "home_closed"):
        assert {getattr(recipe, name) for recipe in RECIPES} == {True, False}
    assert {task.kind for recipe in RECIPES for task in recipe.tasks} == {"place", "lift", "drawer", "push", "handover"}
    fitting = {kind for recipe in RECIPES for kind in kinds_of(recipe)}
    assert fitting == set(KINDS)


def test_failures_and_retries_come_as_often_as_asked(tmp_path: Path) -> None:
    truths = make_set(tmp_path / "set", replace(BY_NAME["widowx_bits"], retry=0.2), 300, 1, failures=0.3)
    assert 0.22 < np.mean([not truth.success for truth in truths]) < 0.38
    assert 0.12 < np.mean([truth.retries > 0 for truth in truths if truth.success]) < 0.28
    assert {truth.ends for truth in truths} == {"released", "empty", "holding", "dropped"}


@pytest.mark.parametrize(
    ("name", "planted", "episodes", "words"),
    [
        ("so101_states", {"stalled": 1}, 5, "cannot plant stalled"),
        ("so101_cube", {"wrong_task": 1}, 5, "cannot plant wrong_task"),
        ("so101_cube", {"label_flipped": 1, "odd": 1}, 5, "label_flipped, odd"),
        ("so101_cube", {"teleport": 6}, 5, "more episodes"),
        ("so101_cube", {"duplicate": 5}, 5, "more episodes"),
    ],
)
def test_what_cannot_be_planted_is_refused(
    tmp_path: Path, name: str, planted: Mapping[str, int], episodes: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        make_set(tmp_path / "set", BY_NAME[name], episodes, 0, planted)


def test_the_maker_imports_nothing_it_could_judge() -> None:
    for path in Path(str(maker.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom | ast.Import):
                names = (
                    [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                )
                for name in names:
                    own = name.startswith("sima2.bench.recordings_maker")
                    assert own or name.split(".")[0] in {"numpy", "pyarrow", *sys.stdlib_module_names}


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_that_fits_can_be_planted_once_an_episode(name: str, tmp_path: Path) -> None:
    kinds = kinds_of(BY_NAME[name])
    truths = make_set(tmp_path / "set", BY_NAME[name], 45, 2, dict.fromkeys(kinds, 1))
    marks = [mark for truth in truths for mark in truth.planted]
    assert sorted(mark.kind for mark in marks) == sorted(kinds)
    for truth in truths:
        frames = len(read(tmp_path / "set", truth.episode_index).time)
        assert len(truth.planted) <= 1
        assert all(0 <= mark.start < mark.end <= frames for mark in truth.planted)
        assert all(0 <= a.start < a.end < frames for a in truth.attempts)


@pytest.mark.parametrize("name", ["so101_cube", "aloha_transfer", "g1_bottle"])
def test_a_frozen_channel_stands_while_its_command_moves(name: str) -> None:
    for case in cases("frozen_channel", name):
        part, column = slice(case.mark.start, case.mark.end), case.mark.column
        assert case.mark.end - case.mark.start >= case.recipe.fps
        assert case.made.action is not None
        assert np.ptp(case.made.state[part, column]) == 0
        assert np.ptp(case.made.action[part, column]) > 0
        assert np.ptp(case.clean.state[part, column]) > 0


@pytest.mark.parametrize("name", ["so101_cube", "panda_states"])
def test_a_clipped_channel_stops_short_of_its_range(name: str) -> None:
    for case in cases("clipped", name):
        made, clean = (e.state if case.mark.feature != "action" else e.action for e in (case.made, case.clean))
        assert made is not None
        assert clean is not None
        track, column = made[:, case.mark.column], case.mark.column
        assert np.ptp(track) < 0.95 * np.ptp(clean[:, column])
        assert max(np.mean(track == track.max()), np.mean(track == track.min())) > 0.04


def best_lag(episode: Episode, columns: list[int]) -> int:
    """Frames by which states follow commands, by their velocities."""
    assert episode.action is not None
    state, action = (np.gradient(v[:, columns].astype(float), axis=0) for v in (episode.state, episode.action))
    scores = {
        k: float(np.sum(state[max(0, k) : len(state) + min(0, k)] * action[max(0, -k) : len(action) - max(0, k)]))
        for k in range(-25, 26)
    }
    return max(scores, key=lambda k: scores[k])


@pytest.mark.parametrize("name", ["so101_cube", "franka_drawer"])
def test_an_action_lag_shifts_by_at_least_three_frames(name: str) -> None:
    for case in cases("action_lag", name):
        hands = hand_columns(case.recipe.rig)
        columns = [k for k in range(case.made.state.shape[1]) if k not in hands]
        shift = int(case.mark.note.split()[1]) * (1 if case.mark.note.startswith("states") else -1)
        assert abs(shift) >= 3
        assert abs(best_lag(case.made, columns) - best_lag(case.clean, columns) - shift) <= 1


def test_a_leader_offset_is_constant_and_of_one_joint() -> None:
    for case in cases("leader_offset", "koch_bricks"):
        assert case.made.action is not None
        change = case.made.action - case.clean.action
        assert np.ptp(change[:, case.mark.column]) < 1e-3
        assert abs(change[0, case.mark.column]) > np.degrees(0.06)
        assert np.count_nonzero(np.abs(change).max(axis=0)) == 1


def test_a_truncated_episode_ends_in_motion_before_the_task_is_done() -> None:
    for case in cases("truncated", "so101_cube"):
        n = len(case.made.state)
        assert n < len(case.clean.state)
        assert np.array_equal(case.made.state, case.clean.state[:n])
        assert (case.truth.ends, case.truth.success) == ("cut_off", False)
        assert np.abs(np.diff(case.made.state[-4:], axis=0)).max() > 0


@pytest.mark.parametrize("kind", ["duplicate", "near_duplicate"])
def test_a_copy_is_another_episode_again(kind: str) -> None:
    for case in cases(kind, "koch_bricks"):
        assert case.mark.of is not None
        source = read(case.folder, case.mark.of).state
        copy = case.made.state
        hit = min(np.abs(source[k : k + len(copy)] - copy).max() for k in range(len(source) - len(copy) + 1))
        assert (hit == 0) == (kind == "duplicate")
        assert hit < np.degrees(0.1)
        assert len(source) - len(copy) <= 10


def test_dropped_frames_are_gone_and_the_motion_jumps() -> None:
    for case in cases("dropped_frames", "so100_pens"):
        lost = int(case.mark.note.split()[0])
        assert len(case.clean.time) - len(case.made.time) == lost
        clean = {row.tobytes() for row in case.clean.state}
        assert all(row.tobytes() in clean for row in case.made.state)
        gap = np.diff(case.made.time).max() * case.recipe.fps
        assert (gap > 1.5) == ("times show it" in case.mark.note)


def test_timestamp_jitter_leaves_index_and_motion() -> None:
    for case in cases("timestamp_jitter", "so101_cube"):
        assert np.array_equal(case.made.state, case.clean.state)
        assert np.array_equal(case.made.frame_index, case.clean.frame_index)
        assert np.std(np.diff(case.made.time)) > 0.05 / case.recipe.fps
        assert (np.diff(case.made.time) >= 0).all()


def test_wrong_fps_runs_at_another_rate() -> None:
    for case in cases("wrong_fps", "so101_cube"):
        rate = 1 / np.median(np.diff(case.made.time))
        assert rate == pytest.approx(int(case.mark.note.split()[0]), rel=0.01)
        assert abs(rate / case.recipe.fps - 1) > 0.1


@pytest.mark.parametrize("name", ["so101_cube", "ur5_plugs", "widowx_bits", "gr1_cups"])
def test_a_flipped_gripper_is_open_where_it_was_closed(name: str) -> None:
    for case in cases("flipped_gripper", name):
        was, now = (opening(case.recipe, e.state, 0) for e in (case.clean, case.made))
        assert np.allclose(was + now, 1, atol=1e-5)
        assert case.made.action is not None
        assert not np.array_equal(case.made.action, case.clean.action)
        if case.recipe.rig.hand.bits == "command":
            assert set(np.unique(case.made.action[:, hand_columns(case.recipe.rig)])) <= {0.0, 1.0}


@pytest.mark.parametrize("name", ["so101_cube", "koch_bricks", "panda_states"])
def test_mixed_units_are_the_same_motion_scaled(name: str) -> None:
    for case in cases("mixed_units", name):
        hands = hand_columns(case.recipe.rig)
        assert np.array_equal(case.made.state[:, hands], case.clean.state[:, hands])
        ratio = case.made.state[:, 1] / case.clean.state[:, 1]
        assert np.allclose(ratio[np.abs(case.clean.state[:, 1]) > 1e-2], np.median(ratio), rtol=1e-4)
        assert max(np.median(ratio), 1 / np.median(ratio)) > 5


def test_a_teleport_is_one_joint_for_one_to_three_frames() -> None:
    for case in cases("teleport", "so101_cube"):
        made, clean = (e.state if case.mark.feature != "action" else e.action for e in (case.made, case.clean))
        assert made is not None
        frames, columns = np.nonzero(made - clean)
        assert set(columns) == {case.mark.column}
        assert sorted(frames) == list(range(case.mark.start, case.mark.end))
        assert len(frames) <= 3


def test_a_nan_burst_is_where_it_is_said() -> None:
    for case in cases("nan_burst", "so101_cube"):
        values = case.made.state if case.mark.feature != "action" else case.made.action
        assert values is not None
        missing = np.isnan(values)
        assert np.array_equal(np.flatnonzero(missing.any(axis=1)), np.arange(case.mark.start, case.mark.end))
        assert missing.any(axis=0).sum() == (values.shape[1] if case.mark.column is None else 1)


@pytest.mark.parametrize("kind", ["idle_start", "idle_end"])
@pytest.mark.parametrize("name", ["so101_cube", "g1_bottle"])
def test_an_idle_part_has_no_motion(kind: str, name: str) -> None:
    for case in cases(kind, name):
        hands = hand_columns(case.recipe.rig)
        joints = [k for k in range(case.made.state.shape[1]) if k not in hands]
        # the arm still arrives, or the operator's hand settles, within the first and last half second
        half = case.recipe.fps // 2
        part = case.made.state[case.mark.start + half : case.mark.end - half][:, joints]
        assert 5 * case.recipe.fps <= case.mark.end - case.mark.start <= 20 * case.recipe.fps
        scale = {"rad": 1.0, "deg": 57.3, "norm": 57.1}[case.recipe.rig.units]
        assert np.ptp(part, axis=0).max() < 0.02 * scale


def test_a_wrong_task_keeps_the_motion() -> None:
    for case in cases("wrong_task", "koch_bricks"):
        assert case.made.task != case.clean.task
        assert np.array_equal(case.made.state, case.clean.state)
        assert case.truth.task == case.clean_truth.task


def test_a_flipped_label_is_told_the_other_way_round() -> None:
    for case in cases("label_flipped", "koch_bricks"):
        assert case.truth.success_told is (not case.truth.success)
        assert np.array_equal(case.made.state, case.clean.state)


def test_a_noise_burst_stays_within_its_frames() -> None:
    for case in cases("noise_burst", "so101_cube"):
        change = np.abs(case.made.state - case.clean.state).max(axis=1)
        assert change[: case.mark.start].max(initial=0) == 0
        assert change[case.mark.end :].max(initial=0) == 0
        assert np.std(case.made.state - case.clean.state) > 0


@pytest.mark.parametrize("name", ["so101_cube", "ur5_plugs"])
def test_a_stalled_robot_stands_while_commands_move_and_then_catches_up(name: str) -> None:
    for case in cases("stalled", name):
        hands = hand_columns(case.recipe.rig)
        joints = [k for k in range(case.made.state.shape[1]) if k not in hands]
        columns = hands if case.mark.note == "hand" else joints
        part = slice(case.mark.start, case.mark.end)
        assert case.made.action is not None
        assert np.array_equal(case.made.action, case.clean.action)
        moved = np.ptp(case.made.action[part][:, columns], axis=0).max()
        assert np.ptp(case.made.state[part][:, columns], axis=0).max() < 0.1 * moved
        assert np.allclose(case.made.state[-1], case.clean.state[-1], atol=0.02 * moved)
