"""What commands beside states tell: stalls, offsets, lags, freezes and limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from damaged_rollouts import alone, kinds, together
from sima2.records.defects import DefectTable
from sima2.records.rollout import Rollout

FPS = 30
LAG = 3


def course(seed: int, frames: int = 300) -> np.ndarray:
    """Three joints on their way, out and home again, each time a little otherwise; rad."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames) / FPS
    bend = np.sin(np.pi * np.clip((t - 0.5) / (t[-1] - 1.0), 0, 1)) ** 2
    sway = np.stack([np.sin(1.3 * t + rng.uniform(0, 6)), np.sin(1.9 * t + 1), np.sin(0.8 * t + 2)], axis=1)
    return bend[:, None] * (np.array([1.0, -0.8, 0.6]) * rng.normal(1, 0.08, 3) + 0.25 * sway)


def followed(seed: int = 0, offset: float = 0.0, lag: int = LAG, **changes: Any) -> Rollout:
    """An arm that follows its commands ``lag`` frames later, with the noise of its encoders."""
    rng = np.random.default_rng(1000 + seed)
    told = course(seed) + np.array([0.01, -0.02, 0.015])
    state = np.concatenate([np.repeat(told[:1], lag, axis=0), told[:-lag]]) + rng.normal(0, 4e-4, told.shape)
    told = told + np.array([0.0, offset, 0.0])
    made = Rollout(f"e{seed}", time=np.arange(len(told)) / FPS, joint_position=state, joint_command=told)
    return made.with_(**changes)


def run(count: int = 20) -> list[Rollout]:
    return [followed(k) for k in range(count)]


def of(table: DefectTable, defect: str) -> list[str]:
    return table.episode_id[table.defect.isin(defect)].tolist()


def test_an_ordinary_run_has_nothing() -> None:
    assert len(together(run())) == 0


@pytest.mark.parametrize("parked", [False, True])
def test_a_joint_that_stands_while_its_command_goes_on_stalls_and_a_parked_one_does_not(parked: bool) -> None:
    made = followed(3)
    q, c = made.joint_position.copy(), made.joint_command.copy()
    noise = np.random.default_rng(5).normal(0, 4e-4, (45, 3))
    if parked:
        # a hair beside its command, all along
        q[:, 2], c[:, 2] = np.random.default_rng(6).normal(0, 4e-4, len(q)), np.radians(0.05)
        assert kinds(alone(made.with_(joint_position=q, joint_command=c))) == set()
        return
    q[100:145] = q[100] + noise
    rows = list(together([*run()[:3], made.with_(joint_position=q), *run()[4:]]).rows())
    stalls = [row for row in rows if row["defect"] == "stalled"]
    assert {row["episode_id"] for row in stalls} == {"e3"}
    assert all(90 <= row["start_frame"] < row["end_frame"] <= 155 for row in stalls)
    assert all(row["severity"] == pytest.approx(45 / 300, abs=0.04) for row in stalls)


def test_a_joint_at_its_end_stop_is_no_stall_and_told_once_of_the_set() -> None:
    runs = []
    for k in range(20):
        made = followed(k)
        q = made.joint_position.copy()
        # counts of an encoder, larger than its noise
        q[:, 0] = np.round(np.minimum(q[:, 0], 0.6) / 0.0015) * 0.0015
        runs.append(made.with_(joint_position=q))
    found = together(runs)
    assert set(found.episode_id) == {""}
    assert found.defect.tolist() == ["clipped_channel"]
    assert "end stop" in found.details[0]


def test_a_joint_that_saturates_where_others_go_farther_is_clipped() -> None:
    runs = run()
    q = runs[7].joint_position.copy()
    level = np.quantile(q[:, 0], 0.8)
    runs[7] = runs[7].with_(joint_position=np.column_stack([np.minimum(q[:, 0], level), q[:, 1:]]))
    c = runs[9].joint_command.copy()
    c[:, 1] = np.maximum(c[:, 1], np.quantile(c[:, 1], 0.2))
    runs[9] = runs[9].with_(joint_command=c)
    assert sorted(of(together(runs), "clipped_channel")) == ["e7", "e9"]


def test_a_command_offset_is_told_of_the_one_episode_and_a_change_between_sessions_of_the_set() -> None:
    runs = run()
    runs[4] = followed(4, offset=0.15)
    found = together(runs)
    assert of(found, "command_offset") == ["e4"]
    assert "joint 1" in next(iter(found.rows()))["details"]
    sessions = [followed(k, offset=0.12 if k >= 12 else 0.0) for k in range(24)]
    rows = list(together(sessions).rows())
    assert [(row["defect"], row["episode_index"], row["episode_id"]) for row in rows] == [("command_offset", -1, "")]
    assert "episodes 0 to 11" in rows[0]["details"]
    assert "episodes 12 to 23" in rows[0]["details"]


@pytest.mark.parametrize(("lag", "told"), [(LAG + 5, True), (LAG + 1, False)])
def test_actions_shifted_in_time_more_than_usual_are_told(lag: int, told: bool) -> None:
    runs = run()
    runs[6] = followed(6, lag=lag)
    assert of(together(runs), "action_lag") == (["e6"] if told else [])


def test_one_channel_that_freezes_under_a_moving_command_is_frozen_and_not_stalled() -> None:
    made = followed(2)
    q = np.round(made.joint_position / 0.0015) * 0.0015  # an encoder, whose noise is less than a count
    q[100:150, 1] = q[100, 1]
    rows = [row for row in alone(made.with_(joint_position=q)).rows() if row["defect"] in ("frozen_channel", "stalled")]
    assert [(row["defect"], row["end_frame"]) for row in rows] == [("frozen_channel", 150)]
    assert rows[0]["start_frame"] in (99, 100)


def test_frames_lost_from_state_and_command_alike_are_told_though_the_clock_is_regular() -> None:
    made = followed(8)
    kept = np.r_[0:120, 128:300]
    cut = made.with_(
        time=made.time[: len(kept)], joint_position=made.joint_position[kept], joint_command=made.joint_command[kept]
    )
    assert [row["start_frame"] for row in alone(cut).rows() if row["defect"] == "dropped_frames"] == [119]
    # one fast step of the arm alone is none
    q = made.joint_position.copy()
    q[120:] = np.concatenate([made.joint_position[122:], np.repeat(made.joint_position[-1:], 2, axis=0)])
    assert "dropped_frames" not in kinds(alone(made.with_(joint_position=q)))


def test_lost_values_of_actions_are_told() -> None:
    action = np.random.default_rng(0).normal(size=(300, 4)).cumsum(axis=0)
    action[50:60, 3] = np.nan
    found = alone(followed(0, action=action))
    assert [(row["defect"], row["start_frame"], row["end_frame"]) for row in found.rows()] == [
        ("missing_samples", 50, 60)
    ]
