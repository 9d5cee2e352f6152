"""What holds of all defects: no batch, no unit and no shift in time changes a finding; ordinary data have none."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from damaged_rollouts import SENSED, changed, clean, joints_and_gripper, taken, together, with_pause
from sima2 import Sima2Client
from sima2.defects.inspector import DefectInspector, Inspection
from sima2.defects.judge import DefectJudge, by_episode
from sima2.records.courses import PointTable
from sima2.records.defects import DefectTable, EpisodeMeasures, PauseTable
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.records.table import Table

REAL = Path(__file__).parents[4] / "shared/data/lerobot_v21_g1"


def spoiled() -> list[Rollout]:
    """A run with a little of everything."""
    run = list(clean()[:24])
    run[1] = with_pause(run[1], 50, 6.0)
    run[2] = changed(run[2], "joint_position", 1, slice(50, 60), np.nan)
    run[3] = taken(run[3], np.r_[0:60, 70 : len(run[3])])
    q = run[4].joint_position.copy()
    q[80, 2] += 2.0
    run[4] = run[4].with_(joint_position=q)
    run[5] = changed(run[5], "joint_torque", 0, slice(30, 60), run[5].joint_torque[30, 0])
    run[6] = run[0].with_(episode_id="copy")
    run[7] = taken(run[7], np.arange(1))
    run[8] = joints_and_gripper()[8]
    run[9] = taken(run[9], np.arange(2))
    return run


def plain(table: Table) -> list[dict[str, Any]]:
    return [{k: repr(v) for k, v in row.items()} for row in table.rows()]


def inspected(rollouts: list[Rollout], *cuts: int) -> Inspection:
    edges = [0, *cuts, len(rollouts)]
    parts = [
        DefectInspector().inspect(RolloutBatch.from_rollouts(rollouts[a:b], first_index=a)) for a, b in pairwise(edges)
    ]
    return Inspection(
        DefectTable.concat([part.defects for part in parts]),
        EpisodeMeasures.concat([part.measures for part in parts]),
        PauseTable.concat([part.pauses for part in parts]),
        PointTable.concat([part.points for part in parts]),
    )


@pytest.mark.parametrize("cuts", [range(1, 24), (5,), (7, 8, 20)])
def test_nothing_depends_on_how_episodes_fell_into_batches(cuts: Any) -> None:
    whole, parts = inspected(spoiled()), inspected(spoiled(), *cuts)
    assert len(whole.defects) >= 5
    assert plain(whole.defects) == plain(parts.defects)
    assert plain(whole.pauses) == plain(parts.pauses)
    for table, other in ((whole.measures, parts.measures), (whole.points, parts.points)):
        for name in table.columns():
            a, b = getattr(table, name), getattr(other, name)
            assert a.tobytes() == b.tobytes() if isinstance(a, np.ndarray) else a.tolist() == b.tolist(), name


def told(table: DefectTable) -> list[tuple[Any, ...]]:
    return sorted((r["episode_id"], r["defect"], r["start_frame"], r["end_frame"]) for r in table.rows())


@pytest.mark.parametrize("factor", [8.0, 0.25, 57.29578])
def test_units_of_joints_change_no_finding(factor: float) -> None:
    run = [r.with_(**dict.fromkeys(("ee_position", "ee_orientation"))) for r in spoiled()]
    other = [r.with_(joint_position=r.joint_position * np.float32(factor)) for r in run]
    assert told(together(other)) == told(together(run))


def test_a_later_start_of_the_clock_changes_no_finding() -> None:
    assert told(together([r.with_(time=r.time + 64.0) for r in spoiled()])) == told(together(spoiled()))


def test_the_order_of_the_run_changes_only_which_of_two_copies_came_first() -> None:
    run = spoiled()
    a, b = told(together(run)), told(together(run[::-1]))
    assert [row for row in a if row[1] != "near_duplicate"] == [row for row in b if row[1] != "near_duplicate"]
    assert [row[0] for row in a if row[1] == "near_duplicate"] == ["copy"]
    assert [row[0] for row in b if row[1] == "near_duplicate"] == [run[0].episode_id]


@pytest.mark.parametrize("family", ["pick_and_place", "drawer_open", "wipe_surface", "tool_change", "dish_place"])
@pytest.mark.parametrize(
    "absent",
    [(), (*SENSED, "action"), (*SENSED, "action", "gripper_width")],
    ids=["all", "joints and gripper", "joints"],
)
def test_nominal_episodes_have_next_to_no_defects(family: str, absent: tuple[str, ...]) -> None:
    batch = Sima2Client(seed=23).rollouts(family=family, template="success", count=100)[0].without(*absent)
    found = DefectJudge().judge(*DefectInspector().inspect(batch)[:2])
    assert len(set(found.episode_id)) <= 1, [row["details"] for row in found.rows()]


def test_hands_alone_and_nothing_at_all_are_taken() -> None:
    run = RolloutBatch.from_rollouts(spoiled())
    hands = run.without("joint_position", "joint_velocity", "joint_torque", "gripper_width", "grip_force")
    found = DefectJudge().judge(*DefectInspector().inspect(hands)[:2])
    assert "idle" in set(found.defect)
    nothing = run.without(*SENSED, "joint_position", "gripper_width", "action")
    assert set(DefectJudge().judge(*DefectInspector().inspect(nothing)[:2]).defect) <= {
        "dropped_frames",
        "duration_outlier",
    }


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_the_shortest_episodes_alone_in_a_run_are_taken(frames: int) -> None:
    found = together([taken(clean()[0], np.arange(frames))])
    assert len(found) == 0


def test_an_empty_batch_gives_empty_tables() -> None:
    seen = DefectInspector().inspect(RolloutBatch.from_rollouts([]))
    assert len(seen.defects) == len(seen.measures) == 0
    assert len(DefectJudge().judge(*seen[:2])) == 0


def test_the_worst_comes_first_and_episodes_know_theirs() -> None:
    run = spoiled()
    found = together(run)
    assert (np.diff(found.severity) <= 0).all()
    assert (found.severity >= 0).all()
    assert (found.severity <= 1).all()
    count, worst, severity = by_episode(found, np.arange(len(run)))
    assert count.sum() == len(found)
    assert worst[6] == "near_duplicate"
    assert severity[6] == 1.0
    assert worst[10] == ""


def test_findings_and_measures_come_back_from_a_store(tmp_path: Any) -> None:
    from sima2.io.arrow import read_table, write_table

    seen = inspected(spoiled())
    for table in (seen.defects, seen.measures):
        write_table(tmp_path / "t.parquet", table)
        assert plain(read_table(type(table), tmp_path / "t.parquet")) == plain(table)


@pytest.mark.skipif(not REAL.exists(), reason="needs the real recordings in ../shared/data")
def test_a_teleoperated_humanoid_has_one_skip_in_both_states_and_commands_and_a_copy_of_it_is_found() -> None:
    batch = Sima2Client(backend="dataset", path=REAL).source().read(0, 20).batch
    rows = list(DefectJudge().judge(*DefectInspector().inspect(batch)[:2]).rows())
    # three joints of the right arm and their commands go four steps at once between the same two frames
    skip = [("dropped_frames", 1, 236, 238)]
    assert [(r["defect"], r["episode_index"], r["start_frame"], r["end_frame"]) for r in rows] == skip
    found = together([*batch, batch[4].with_(episode_id="copy")])
    assert found.defect.tolist() == ["near_duplicate", "dropped_frames"]
    assert found.episode_id.tolist()[0] == "copy"
