"""The bench itself, on sizes that take seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from sima2.bench import BENCHES, segment_rivals, segmentation
from sima2.bench.annotations import Piece, Track, tracks
from sima2.bench.mocap import boundaries_of_people, speed_minima
from sima2.bench.raw_signals import signals, windows
from sima2.bench.segment_rivals import (
    as_pieces,
    gripper_toggles,
    kernel_change_points,
    learned_oracle,
    one_label,
    shuffled_in_time,
)
from sima2.bench.segment_scores import scores, segmental
from sima2.bench.segmentation import CHANNEL_SETS, SOURCES, LabelledSource, page, read, rows, run
from sima2.cli import app
from sima2.cli.answer import plain
from sima2.client import Sima2Client
from sima2.errors import UsageError
from sima2.records.rollout import Rollout, RolloutBatch

SYNTHETIC = SOURCES[0]
NOWHERE = Path("no such folder")
RECORDINGS = Path("../shared/data/mocap_pick_place")


def small(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"episodes": 1, "sources": (SYNTHETIC,), "mocap": NOWHERE, "learned": False}
    return run(**{**given, **changes})


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return small(episodes=2)


def without_speed(values: Mapping[str, Any]) -> str:
    found = plain(values)
    for source in found["sources"].values():
        source.pop("engine_frames_per_cpu_s")
        source.pop("online")
        source.pop("rollouts_per_cpu_s")
    found.pop("targets")
    return json.dumps(found)


def test_the_bench_is_in_the_registry() -> None:
    assert "segmentation" in BENCHES


def test_the_same_seed_gives_the_same_figures_and_another_seed_others(values: dict[str, Any]) -> None:
    assert without_speed(values) == without_speed(small(episodes=2))
    assert without_speed(values) != without_speed(small(episodes=2, seed=5))


def test_every_group_is_there_and_adds_up(values: dict[str, Any]) -> None:
    found = values["sources"]["synthetic"]
    assert set(found["channel_sets"]) == set(CHANNEL_SETS)
    for kind in ("families", "failure_modes"):
        assert sum(row["episodes"] for row in found[kind].values()) == found["overall"]["episodes"]
    assert found["channel_sets"]["full"] == pytest.approx(found["overall"], nan_ok=True)


def test_controls_score_far_below_the_engine(values: dict[str, Any]) -> None:
    found = values["sources"]["synthetic"]
    engine = found["overall"]["f1_50"]
    for control in ("one_label", "shuffled_in_time", "gripper_toggles"):
        assert found["rivals"][control]["f1_50"] < engine / 2


def test_channel_sets_take_away_what_they_say() -> None:
    batch, _ = read(SYNTHETIC, 1, 1)
    kept = {name: batch.without(*absent) for name, absent in CHANNEL_SETS.items()}
    assert set(kept["joints_and_gripper"].arm.channels()) == {"joint_position", "joint_velocity", "gripper_width"}
    assert kept["joints_and_gripper"].object_position is None
    assert kept["without_object_poses"].object_position is None
    assert kept["without_object_poses"].arm.grip_force is not None
    assert kept["without_force"].arm.grip_force is None
    assert kept["without_force"].arm.contact_force is None
    assert kept["without_force"].object_position is not None


def test_a_source_that_cannot_be_opened_is_reported_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mujoco", None)
    found = small(sources=(LabelledSource("simulated", "mujoco"),))
    assert found["sources"]["simulated"]["available"] is False
    assert found["sources"]["simulated"]["why"]
    assert found["targets"] == {}
    assert ("simulated", "not available", found["sources"]["simulated"]["why"]) in rows(found)


@pytest.fixture
def _coarse_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """An oracle that learns in a second: what is asked of it here does not depend on how fine it is."""
    monkeypatch.setattr(segment_rivals, "ORACLE_TREES", {**segment_rivals.ORACLE_TREES, "max_iter": 10, "max_bins": 24})


@pytest.mark.usefixtures("_coarse_trees")
def test_what_learned_elsewhere_is_judged_beside_the_oracle_of_the_same_generator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("ruptures")
    made: list[tuple[str, int]] = []

    def reading(source: LabelledSource, episodes: int, seed: int) -> segmentation.Labelled:
        made.append((source.name, seed))
        return read(source, episodes, seed)

    monkeypatch.setattr(segmentation, "read", reading)
    monkeypatch.setattr(segmentation, "CHANNEL_SETS", {"full": (), "without_force": CHANNEL_SETS["without_force"]})
    usual = replace(SYNTHETIC, most=1)
    other = LabelledSource("faster", "synthetic", rate_hz=50.0, most=1, taught_by="synthetic")
    values = small(sources=(usual, other), learned=True)
    found = values["sources"]["faster"]
    assert set(found["learned_oracle"]) == set(found["learned_oracle_transferred"]) == {"full", "without_force"}
    assert found["learned_oracle"]["full"] != found["learned_oracle_transferred"]["full"]
    behind = found["learned_oracle"]["full"]["f1_50"] - found["overall"]["f1_50"]
    assert values["targets"]["faster: f1_50_behind_oracle"]["value"] == pytest.approx(behind)
    assert {"kernel_change_points_transferred", "engine_fitted_elsewhere"} <= set(found["rivals"])
    assert values["sources"]["synthetic"]["learned_oracle_transferred"] == {}
    assert any("oracle taught by synthetic" in name for name, _, _ in rows(values))
    # each seed of each source once, though two sources learn from one of them
    assert sorted(made) == sorted(set(made))


def test_the_left_out_source_is_of_another_cell_than_the_usual_one() -> None:
    pytest.importorskip("mujoco")
    names = {each.name: each for each in SOURCES}
    left_out = names["mujoco_left_out"]
    assert left_out.taught_by == "mujoco"
    rates = []
    for source in (names["mujoco"], left_out):
        _, truth = read(replace(source, most=1), 1, 1)
        rates.append({min((20, 25, 30, 40, 50, 80, 100), key=lambda r: abs(r - t.rate_hz)) for t in truth})
    assert rates[0] <= {20, 30, 50, 100}
    assert rates[1] <= {25, 40, 80}


def test_rows_show_each_target_and_whether_it_was_met(values: dict[str, Any]) -> None:
    table = rows(values)
    assert all(len(row) == 3 for row in table)
    verdicts = [row for row in table if row[2].endswith(("met", "MISSED"))]
    assert len(verdicts) == len(values["targets"])
    for name, target in values["targets"].items():
        above = target["value"] >= target["limit"]
        assert target["met"] == (above if target["sense"] == "at least" else target["value"] <= target["limit"]), name


def test_values_are_json(values: dict[str, Any]) -> None:
    assert json.loads(json.dumps(plain(values), allow_nan=False))["episodes"] == 2


def test_the_page_shows_the_worst_episodes_and_loads_nothing(values: dict[str, Any]) -> None:
    text = page(values)
    worst = values["sources"]["synthetic"]["worst"]
    assert len(worst) == segmentation.WORST
    assert [each["f1_50"] for each in worst] == sorted(each["f1_50"] for each in worst)
    assert all(each["episode_id"] in text for each in worst)
    assert text.count("segments of true") == text.count("segments of predicted") >= len(worst)
    assert "<script" not in text
    assert "src=" not in text


def test_a_bench_without_pictures_refuses_to_write_a_page(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "throughput", "--html", str(tmp_path / "x.html")])
    assert done.exit_code == 2
    assert "--html" in done.stderr
    assert not (tmp_path / "x.html").exists()


def test_no_episodes_are_nothing_to_judge() -> None:
    with pytest.raises(UsageError):
        run(episodes=0)


def test_a_page_in_a_folder_that_does_not_exist_is_refused_before_the_work(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "segmentation", "--html", str(tmp_path / "no" / "x.html")])
    assert done.exit_code == 2
    assert "x.html" in done.stderr


# ---- rivals


def gripper(width: list[float]) -> RolloutBatch:
    n = len(width)
    hand = np.zeros((n, 3), np.float32)
    one = Rollout(episode_id="e", time=np.arange(n) * 0.05, ee_position=hand, gripper_width=np.array(width, np.float32))
    return RolloutBatch.from_rollouts([one])


def test_gripper_toggles_split_where_the_fingers_move() -> None:
    closing, opening = np.linspace(0.08, 0.02, 10).tolist(), np.linspace(0.02, 0.08, 10).tolist()
    found = gripper_toggles(gripper([0.08] * 30 + closing + [0.02] * 30 + opening + [0.08] * 30))["e", "arm"]
    assert [p.label for p in found] == ["approach", "grasp", "transport", "place", "retreat"]
    assert [p.start for p in found] == pytest.approx([0, 30, 40, 70, 80], abs=3)


def test_gripper_toggles_of_a_still_or_unseen_gripper_are_one_segment() -> None:
    assert len(gripper_toggles(gripper([0.05] * 20))["e", "arm"]) == 1
    assert len(gripper_toggles(gripper([float("nan")] * 20))["e", "arm"]) == 1


def test_runs_of_labels_become_segments() -> None:
    assert as_pieces(np.array(["a", "a", "b"], object)) == (Piece("a", 0, 2), Piece("b", 2, 3))
    assert as_pieces(np.zeros(0, object)) == ()


def test_rivals_cover_every_frame_once_and_ignore_the_batch_they_came_in() -> None:
    batch, truth = read(SYNTHETIC, 1, 3)
    predicted = gripper_toggles(batch)
    for each in (predicted, one_label(truth), shuffled_in_time(truth, predicted, 0)):
        for track in truth:
            spans = each[track.key]
            assert (spans[0].start, spans[-1].stop) == (0, track.frames)
            assert all(a.stop == b.start for a, b in pairwise(spans))
    alone = signals(batch.take([2]), "arm")
    both = signals(batch, "arm")[batch.offset[2] : batch.offset[3]]
    assert np.array_equal(alone[:, : both.shape[1]], both, equal_nan=True)
    assert np.isfinite(windows(batch, "arm")).any(axis=0).all()


@pytest.mark.usefixtures("_coarse_trees")
def test_an_oracle_beats_controls_only_with_the_labels_of_its_own_episodes() -> None:
    pytest.importorskip("sklearn")
    (batch, truth), (other, labelled) = (_pick_and_place(seed) for seed in (1, 2))
    told = segmental(scores(truth, learned_oracle(other, labelled)(batch)))
    swapped = [replace(a, pieces=_stretched(b.pieces, a.frames)) for a, b in zip(labelled, labelled[3:] + labelled[:3])]
    fooled = segmental(scores(truth, learned_oracle(other, swapped)(batch)))
    assert told["frame_accuracy"] > 0.8
    assert told["f1_50"] > fooled["f1_50"] + 20


def _pick_and_place(seed: int) -> tuple[RolloutBatch, list[Track]]:
    source = Sima2Client(seed=seed).source(families=("pick_and_place",), episodes=8)
    intake = source.read(0, source.episodes)
    assert intake.truth is not None
    return intake.batch, tracks(intake.batch, intake.truth)


def _stretched(pieces: tuple[Piece, ...], frames: int) -> tuple[Piece, ...]:
    end = pieces[-1].stop
    out = [p._replace(start=p.start * frames // end, stop=p.stop * frames // end) for p in pieces]
    return tuple(p for p in out if p.stop > p.start)


def test_change_points_find_a_step_that_labels_mark() -> None:
    pytest.importorskip("ruptures")
    batch = gripper([0.08] * 40 + [0.02] * 40)
    truth = [Track("e", "arm", "", "", 20.0, (Piece("a", 0, 40), Piece("b", 40, 80)))]
    assert kernel_change_points(batch, truth, batch, truth, 0.15)["boundary_f1"] > 0.5


# ---- recordings marked by people


def test_speed_minima_are_where_a_path_pauses() -> None:
    time = np.arange(240) / 60
    hand = np.column_stack([1 - np.cos(np.pi * time), 0 * time, 0 * time])
    assert [each / 60 for each in speed_minima(time, hand)] == pytest.approx([1, 2, 3], abs=0.05)


def test_an_absent_folder_of_recordings_is_reported() -> None:
    assert boundaries_of_people(NOWHERE)["available"] is False


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="needs the shared recordings beside the checkout")
def test_speed_minima_reach_on_the_shared_subject_what_is_known_of_them() -> None:
    found = boundaries_of_people(RECORDINGS)
    assert found["runs"] == 9
    assert found["speed_minima_boundary_f1"] == pytest.approx(0.31, abs=0.04)


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="needs the shared recordings beside the checkout")
def test_boundaries_of_a_hands_path_lie_where_people_draw_them_and_those_of_the_controls_do_not() -> None:
    found = boundaries_of_people(RECORDINGS)
    assert found["engine_boundary_f1"] >= 0.75
    assert found["evenly_spaced_boundary_f1"] < 0.3
    assert found["random_boundary_f1"] < 0.2
