"""What is kept, dropped and put first where the findings of episodes and of the set come together; and rows alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scripted_measures import measures
from scripted_tables import table_of_columns
from sima2.defects.groups import groups, joints_follow, robust_spread
from sima2.defects.judge import DefectJudge, _not_twice, _settled, by_episode, ranked
from sima2.records.defects import DefectTable


def defects(*rows: tuple[Any, ...]) -> DefectTable:
    """Of an episode, an arm, a kind, a severity, a start, an end and a unit each."""
    names = ("episode_index", "manipulator", "defect", "severity", "start_frame", "end_frame", "unit")
    columns = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    named = {"episode_id": [f"e{k}" for k in columns["episode_index"]]} if rows else {}
    return table_of_columns(DefectTable, len(rows), **named, **columns)


def test_the_worst_comes_first_then_episode_kind_arm_and_frames() -> None:
    order = [
        (5, "a", "stalled", 0.9, 3, 4, ""),
        (1, "b", "idle", 0.5, 9, 9, ""),
        (1, "a", "stalled", 0.5, 8, 9, ""),
        (1, "b", "stalled", 0.5, 1, 9, ""),
        (1, "b", "stalled", 0.5, 2, 3, ""),
        (1, "b", "stalled", 0.5, 2, 4, ""),
        (2, "a", "idle", 0.5, 0, 1, ""),
        (0, "a", "idle", 0.1, 0, 1, ""),
    ]
    for seed in range(3):
        mixed = [order[k] for k in np.random.default_rng(seed).permutation(len(order))]
        assert list(ranked(defects(*mixed)).rows()) == list(defects(*order).rows())


def test_each_episode_has_its_count_and_its_first_of_a_ranked_table() -> None:
    table = defects(
        (7, "", "idle", 0.9, 0, 0, ""),
        (-1, "", "constant_channel", 0.8, 0, 0, ""),
        (3, "", "stalled", 0.5, 0, 0, ""),
        (7, "", "stalled", 0.4, 0, 0, ""),
        (7, "", "teleport", 0.1, 0, 0, ""),
    )
    count, worst, severity = by_episode(table, np.array([7, 5, 3]))
    assert count.tolist() == [3, 0, 1]
    assert worst.tolist() == ["idle", "", "stalled"]
    assert severity.tolist() == [0.9, 0.0, 0.5]


@pytest.mark.parametrize("rows", [[], [(-1, "", "constant_channel", 0.8, 0, 0, "")]])
def test_without_findings_of_episodes_all_is_nought(rows: list[Any]) -> None:
    count, worst, severity = by_episode(defects(*rows), np.array([4, 2]))
    assert (count.tolist(), worst.tolist(), severity.tolist()) == ([0, 0], ["", ""], [0.0, 0.0])


def test_a_limit_that_the_others_tell_of_the_same_arm_is_told_once() -> None:
    alone = defects(
        (1, "a", "clipped_channel", 0.1, 1, 2, ""),
        (1, "b", "clipped_channel", 0.1, 3, 4, ""),
        (2, "a", "clipped_channel", 0.1, 5, 6, ""),
        (1, "a", "idle", 0.1, 7, 8, ""),
    )
    others = defects((1, "a", "clipped_channel", 0.5, 0, 9, ""), (2, "a", "idle", 0.5, 0, 9, ""))
    assert _not_twice(alone, others).start_frame.tolist() == [3, 5, 7]
    assert _not_twice(alone, others.take(np.zeros(0, np.intp))).start_frame.tolist() == [1, 3, 5, 7]


def test_stalls_by_commands_are_dropped_of_robots_whose_joints_do_not_follow() -> None:
    lag = np.array([0.1, np.nan, np.nan, 0.1, 0.1, np.nan])
    table = measures(6, robot=["a"] * 3 + ["b"] * 3, lag_s=lag, episode_index=[10, 11, 12, 13, 14, 15])
    alone = defects(
        (10, "arm", "stalled", 0.1, 1, 2, "rad"),
        (12, "arm", "stalled", 0.1, 2, 3, "rad"),
        (12, "arm", "stalled", 0.1, 3, 4, "usual spreads"),
        (12, "arm", "tracking_fault", 0.1, 4, 5, "rad"),
        (13, "arm", "stalled", 0.1, 5, 6, "rad"),
        (15, "arm", "stalled", 0.1, 6, 7, "rad"),
    )
    assert _settled(alone, table).start_frame.tolist() == [3, 4, 5, 6]


def test_the_judge_takes_what_episodes_told_and_what_the_set_tells() -> None:
    table = measures(20, lag_s=np.nan, content=[1, 2, 1, *range(4, 21)])
    alone = defects((4, "arm", "stalled", 0.9, 1, 2, "rad"), (5, "arm", "idle", 0.25, 3, 9, "s"))
    found = DefectJudge().judge(alone, table)
    assert list(zip(found.defect, found.episode_id, found.severity.tolist(), strict=True)) == [
        ("near_duplicate", "e2", 1.0),
        ("idle", "e5", 0.25),
    ]
    assert found.episode_index.tolist() == [2, 5]


# ---- rows alike


def test_rows_of_equal_keys_stand_together_in_their_order() -> None:
    a, b = np.array([1, 0, 1, 0, 1], np.int32), np.array([2, 2, 2, 3, 1], np.int32)
    assert [rows.tolist() for rows in groups(a)] == [[1, 3], [0, 2, 4]]
    assert sorted(rows.tolist() for rows in groups(a, b)) == [[0, 2], [1], [3], [4]]
    assert list(groups(a[:0])) == []
    assert [rows.tolist() for rows in groups(np.zeros(3, np.int32))] == [[0, 1, 2]]


@pytest.mark.parametrize(("known", "follow"), [(1, False), (2, True), (4, True), (0, False)])
def test_joints_follow_where_half_of_the_episodes_tell_a_lag(known: int, follow: bool) -> None:
    lag = np.where(np.arange(4) < known, 0.1, np.nan)
    assert joints_follow(measures(4, lag_s=lag), np.arange(4)) == follow
    # one arm is enough, and a second one counts no more
    both = measures(8, lag_s=np.stack([lag, np.full(4, np.nan)], axis=1).ravel(), episode_index=np.repeat(range(4), 2))
    assert joints_follow(both, np.arange(8)) == follow
    twice = measures(8, lag_s=np.repeat(lag, 2), episode_index=np.repeat(range(4), 2))
    assert joints_follow(twice, np.arange(8)) == follow


def test_the_spread_is_that_of_the_middle_deviation() -> None:
    assert robust_spread(np.array([0.0, 1.0, 2.0, 3.0, 100.0])) == pytest.approx(1.4826, rel=1e-4)
    assert robust_spread(np.array([5.0, 9.0])) == pytest.approx(2 * 1.4826, rel=1e-4)
    assert robust_spread(np.zeros(0)) == 0.0
