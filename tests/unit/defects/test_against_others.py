"""What the other episodes tell: units, polarity, task, end, copies, tremble, constant columns; and jitter."""

from __future__ import annotations

import numpy as np
import pytest

from damaged_rollouts import alone, kinds, taken, together
from sima2.defects.judge import by_episode
from sima2.records.defects import DefectTable
from sima2.records.rollout import CLOCK_OFF, TURNED, Rollout

FRAMES = 240


def made(seed: int, goal: float = 1.0, task: str = "put it in", name: str = "") -> Rollout:
    """An arm that goes out to a goal, closes there, comes home and opens; 30 Hz."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, FRAMES)
    out = np.clip(np.sin(np.pi * np.clip((t - 0.06) / 0.88, 0, 1)), 0, 1) ** 1.5
    way = out[:, None] * np.array([goal, 0.7, -0.5, 0.3]) * rng.normal(1, 0.15, 4)
    way += (np.sin(np.pi * t)[:, None] * np.sin(2 * np.pi * t[:, None] + rng.uniform(0, 6, 4))) * rng.normal(0, 0.1, 4)
    q = way + np.array([0.8, 0.5, -0.6, 1.0]) + rng.normal(0, 5e-4, (FRAMES, 4))
    shut = np.convolve(np.pad((t > 0.4) & (t < 0.85), 3, "edge").astype(float), np.ones(7) / 7, "valid")
    grip = 0.9 - 0.7 * shut + rng.normal(0, 2e-3, FRAMES) + rng.normal(0, 0.01)
    return Rollout(
        name or f"e{seed}",
        time=np.arange(FRAMES) / 30,
        joint_position=q,
        gripper_opening=np.clip(grip, 0, 1),
        instruction=task,
        family=task,
    )


def run(count: int = 20) -> list[Rollout]:
    return [made(k) for k in range(count)]


def of(table: DefectTable, defect: str) -> list[str]:
    return table.episode_id[table.defect.isin(defect)].tolist()


def test_an_ordinary_run_has_nothing() -> None:
    assert len(together(run())) == 0


@pytest.mark.parametrize("factor", [np.degrees(1.0), np.radians(1.0)])
def test_an_episode_in_another_unit_is_told_and_a_smaller_motion_is_not(factor: float) -> None:
    runs = run()
    runs[5] = runs[5].with_(joint_position=runs[5].joint_position * np.float32(factor))
    runs[8] = made(8, goal=0.5)
    assert of(together(runs), "mixed_units") == ["e5"]


def test_a_gripper_that_runs_the_other_way_round_is_told_and_one_that_closes_twice_is_not() -> None:
    runs = run()
    runs[5] = runs[5].with_(gripper_opening=1.0 - runs[5].gripper_opening)
    grip = runs[8].gripper_opening.copy()
    grip[130:150] = 0.9
    runs[8] = runs[8].with_(gripper_opening=grip)
    assert of(together(runs), "mixed_polarity") == ["e5"]


def test_what_the_import_turned_round_is_told() -> None:
    assert kinds(alone(made(0).with_(provenance={TURNED: "arm"}))) == {"mixed_polarity"}


def test_a_clock_that_was_put_aside_is_told_unless_all_are_coarse() -> None:
    runs = [each.with_(provenance={CLOCK_OFF: "0.4"}) if k == 3 else each for k, each in enumerate(run())]
    assert of(together(runs), "irregular_clock") == ["e3"]
    assert of(together([each.with_(provenance={CLOCK_OFF: "0.4"}) for each in run()]), "irregular_clock") == []


def test_a_task_that_contradicts_the_motion_is_told_where_tasks_differ() -> None:
    left, right = (
        [made(k + a, goal, task) for k in range(15)] for a, goal, task in ((0, 1.0, "left"), (50, -1.0, "right"))
    )
    left[4] = made(4, -1.0, "left")
    assert of(together([*left, *right]), "task_mismatch") == ["e4"]
    same = [made(k, 1.0, "left" if k % 2 else "right") for k in range(30)]
    assert of(together(same), "task_mismatch") == []


def test_an_episode_that_ends_in_mid_motion_is_truncated_and_one_that_stops_out_there_is_not() -> None:
    runs = run()
    runs[6] = taken(runs[6], np.arange(175))
    stops = taken(runs[9], np.r_[0:120, np.full(60, 119)], runs[9].time[:180])
    rng = np.random.default_rng(1)
    runs[9] = stops.with_(joint_position=stops.joint_position + rng.normal(0, 5e-4, stops.joint_position.shape))
    row = next(row for row in together(runs).rows() if row["defect"] == "truncated")
    assert of(together(runs), "truncated") == ["e6"]
    assert (row["start_frame"], row["end_frame"], row["severity"]) == (174, 175, 1.0)


@pytest.mark.parametrize("cut", [slice(0, None), slice(3, None), slice(5, -4)])
@pytest.mark.parametrize("noise", [0.0, 0.002])
def test_a_copy_is_found_whatever_is_declared_beside_it(cut: slice, noise: float) -> None:
    runs = run()
    copy = taken(runs[2], np.arange(FRAMES)[cut])
    q = copy.joint_position + np.random.default_rng(0).normal(0, noise, copy.joint_position.shape)
    copy = copy.with_(episode_id="copy", joint_position=q, robot="another", family="other", instruction="another")
    assert of(together([*runs, copy]), "near_duplicate") == ["copy"]


def test_a_value_that_trembles_for_a_while_is_told_and_a_tremble_of_all_is_not() -> None:
    rng = np.random.default_rng(3)
    runs = run()
    q = runs[7].joint_position.copy()
    q[100:130, 2] += rng.normal(0, 0.03, 30).astype(np.float32)
    runs[7] = runs[7].with_(joint_position=q)
    rows = [row for row in together(runs).rows() if row["defect"] == "noise_burst"]
    assert [row["episode_id"] for row in rows] == ["e7"]
    assert 85 <= rows[0]["start_frame"] < rows[0]["end_frame"] <= 145
    shaken = []
    for each in run():
        q = each.joint_position.copy()
        q[100:130, 2] += rng.normal(0, 0.03, 30).astype(np.float32)
        shaken.append(each.with_(joint_position=q))
    assert of(together(shaken), "noise_burst") == []


def test_constant_columns_are_listed_once_of_the_set_and_are_no_episodes() -> None:
    still = [
        each.with_(joint_position=np.column_stack([each.joint_position[:, :3], np.full(FRAMES, 0.5)])) for each in run()
    ]
    found = together(still)
    assert [(row["defect"], row["episode_index"], row["episode_id"]) for row in found.rows()] == [
        ("constant_channel", -1, "")
    ]
    assert found.details[0].startswith("joint_position[3] never changes in any of 20")
    count, worst, _ = by_episode(found, np.arange(20))
    assert count.sum() == 0
    assert set(worst) == {""}


def test_late_stamps_are_jitter_and_missing_motion_is_loss() -> None:
    late = made(1).time.copy()
    late[100:104] += np.array([0.06, 0.03, 0.02, 0.01])
    late[150:153] += np.array([0.05, 0.03, 0.01])
    late[50:53] += np.array([0.05, 0.03, 0.01])
    told = kinds(alone(taken(made(1), np.arange(FRAMES), late)))
    assert "irregular_clock" in told
    assert "dropped_frames" not in told
    lost = alone(taken(made(1), np.r_[0:100, 103:FRAMES]))
    assert kinds(lost) == {"dropped_frames"}
