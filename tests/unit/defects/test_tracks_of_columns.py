"""Position columns, their noise, and below what motion each stands still: number by number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scripted_tracks import joints, tracks_of
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.tracks import (
    GRIPPER,
    HAND,
    JOINT,
    Column,
    Tracks,
    _counts,
    _noise_and_fast,
    _still,
    periods,
    runs,
    starts,
    tracks,
)
from sima2.records.rollout import Manipulator, Rollout, RolloutBatch

SETTINGS = DefectSettings()
NOISE = 0.6745 * 6**0.5
"""Median second difference of noise of one standard deviation."""


def read(*rollouts: Rollout, settings: DefectSettings = SETTINGS) -> Tracks:
    return tracks(RolloutBatch.from_rollouts(list(rollouts)), settings)


def one(x: Any, time: Any = None, name: str = "e", fps: float = 10) -> Rollout:
    x = np.asarray(x, float)
    return Rollout(name, time=np.arange(len(x)) / fps if time is None else time, joint_position=x.reshape(len(x), -1))


# ---- columns


def test_columns_are_joints_then_hand_then_one_gripper_of_each_arm() -> None:
    t = np.arange(3.0)
    both = Manipulator(
        joint_position=np.stack([t, 2 * t], axis=1), ee_position=np.stack([t, t, 5 * t], axis=1),
        gripper_width=3 * t, gripper_opening=4 * t,
    )  # fmt: skip
    found = read(Rollout("e", time=t, manipulators={"a": both, "b": Manipulator(gripper_opening=7 * t)}))
    assert found.columns == (
        Column("a", "joint_position", 0, JOINT),
        Column("a", "joint_position", 1, JOINT),
        Column("a", "ee_position", 0, HAND),
        Column("a", "ee_position", 1, HAND),
        Column("a", "ee_position", 2, HAND),
        Column("a", "gripper_width", 0, GRIPPER),
        Column("b", "gripper_opening", 0, GRIPPER),
    )
    assert found.x[:, 2].tolist() == [2, 4, 2, 2, 10, 6, 14]
    assert [found.columns[k].name for k in (1, 4, 5)] == ["joint_position[1]", "ee_position[2]", "gripper_width"]
    assert found.rows() == [0, 1, 2, 3, 4, 5, 6]
    assert found.rows(arm="b") == [6]
    assert found.rows(kind=GRIPPER) == [5, 6]
    assert found.rows(arm="a", kind=HAND) == [2, 3, 4]
    assert found.rows(arm="b", kind=HAND) == []


def test_gaps_are_filled_along_lines_within_an_episode() -> None:
    x = [[0, 9], [np.nan, 9], [np.nan, np.nan], [3, 9]]
    y = [[np.nan, np.nan], [7, np.nan], [8, np.nan], [np.nan, np.nan]]
    found = read(one(x), one(y, name="f"))
    assert found.x.tolist() == [[0, 1, 2, 3, 7, 7, 8, 8], [9, 9, 9, 9, 0, 0, 0, 0]]
    assert found.known is not None
    assert found.known.tolist() == [[1, 0, 0, 1, 0, 1, 1, 0], [1, 1, 0, 1, 0, 0, 0, 0]]
    assert read(one([1, 2, 3])).known is None
    assert read(one([1, 2]), one([np.nan, 5, 6], name="f")).x.tolist() == [[1, 2, 5, 5, 6]]


# ---- the clock


def test_the_period_is_the_median_step_of_each_episode() -> None:
    time = np.r_[5.0, 0.0, 3.0, 0.0, 1.0, 3.0, 0.0, 1.0, 5.0, 7.0, 0.0, 1.0, 9.0, 12.0, 16.0]
    offset = np.array([0, 1, 1, 3, 6, 10, 15])
    assert periods(time, offset).tolist() == [1.0, 1.0, 3.0, 1.5, 2.0, 3.5]
    assert time[2] == 3.0


def test_a_step_over_a_gap_is_taken_as_if_frames_came_evenly() -> None:
    time = [0.0, 1.0, 2.0, 4.0, 5.0, 5.5, 6.5]
    found = read(one([0, 1, 3, 7, 7, 9, 10], time), one([5, 6], [0, 9], "f"))
    assert found.step.tolist() == [[0, 1, 2, 2, 0, 2, 1, 0, 1]]
    assert found.first.tolist() == [1, 0, 0, 0, 0, 0, 0, 1, 0]
    assert found.length.tolist() == [7, 2]


def test_frames_are_rounded_and_at_least_one() -> None:
    made = replace(tracks_of([np.ones(3), np.ones(3), np.ones(3)]), period=np.array([0.1, 0.04, 1.0]))
    assert made.frames(0.3).tolist() == [3, 8, 1]
    assert made.frames(0.26).tolist() == [3, 6, 1]


@pytest.mark.parametrize(
    ("fps", "half"),
    [(10, 1), (20, 2), (26, 3), (24, 2), (4, 1)],
)
def test_motion_is_what_changes_over_a_fifth_of_a_second_within_an_episode(fps: int, half: int) -> None:
    square = np.arange(12.0) ** 2
    found = read(one(square, fps=fps), one(-square, fps=fps, name="f"))
    k = np.arange(12)
    expected = square[np.minimum(k + half, 11)] - square[np.maximum(k - half, 0)]
    assert found.motion[0].tolist() == [*expected, *expected]


# ---- stretches


def test_stretches_end_with_their_episode() -> None:
    mask = np.array([1, 1, 0, 1, 1, 1, 0, 0, 1], bool)
    first = np.array([1, 0, 0, 0, 1, 0, 0, 0, 1], bool)
    assert [each.tolist() for each in runs(mask, first)] == [[0, 3, 4, 8], [2, 4, 6, 9]]
    assert [each.tolist() for each in runs(mask[:0], first[:0])] == [[], []]
    assert mask.tolist() == [1, 1, 0, 1, 1, 1, 0, 0, 1]


def test_an_episode_without_frames_begins_nowhere() -> None:
    assert starts(np.array([0, 2, 2, 3, 3]), 3).tolist() == [1, 0, 1]


def test_a_frame_is_repeated_where_no_column_changes() -> None:
    x = np.array([[0, 0], [0, 0], [1, 0], [1, 0], [1, 1]])
    made = tracks_of([np.ones(5), np.ones(2)], [x, x[:2]], columns=joints(2))
    assert made.repeated.tolist() == [0, 1, 0, 1, 0, 0, 1]
    assert not tracks_of([np.ones(5)], columns=()).repeated.any()


def test_a_column_moves_beyond_its_limit_and_not_on_it() -> None:
    made = tracks_of([np.ones(3), np.ones(2)], columns=joints(2))
    motion = np.array([[0, 1, 2, 1, 2], [0, 0, 0, 0, 0]], np.float32)
    made = replace(made, motion=motion, still=np.array([[1, 2], [1, 1]], np.float32))
    assert made.moves.tolist() == [[0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert made.anything_moves.tolist() == [0, 0, 1, 0, 0]
    assert made.moving([0]).tolist() == made.moving([0, 1]).tolist() == [0, 0, 1, 0, 0]
    assert not made.moving([1]).any()


# ---- noise


def bent(bends: Any) -> Any:
    """A column of these second differences, shape (1, t)."""
    x = np.zeros(len(bends) + 2)
    for k, each in enumerate(bends):
        x[k + 2] = 2 * x[k + 1] - x[k] + each * (-1) ** k
    return x[None].astype(np.float64)


def noise_and_fast(bends: Any, moved: Any) -> tuple[float, float]:
    """Of the middle one of three episodes."""
    x = bent(bends)
    other = np.full((1, 3), 7.0)
    motion = np.r_[0.0, np.asarray(moved, float), 0.0][None]
    offset = np.array([0, 3, 3 + x.shape[1], 6 + x.shape[1]])
    still = np.zeros((1, 3))
    noise, fast = _noise_and_fast(np.hstack([other, x, other]), np.hstack([still, motion, still]), offset)
    assert noise[0, [0, 2]].tolist() == fast[0, [0, 2]].tolist() == [0.0, 0.0]
    return float(noise[0, 1]) * NOISE, float(fast[0, 1])


@pytest.mark.parametrize(
    ("frames", "slowest", "quiet"),
    [
        # of ten the median is the sixth, of nine and of eight the fifth
        (30, 6, True),
        (30, 5, False),
        (27, 5, True),
        (27, 4, False),
        (24, 5, True),
        (12, 5, True),
        (12, 4, False),
        (8, 5, True),
        (8, 4, False),
        (5, 3, True),
        (5, 2, False),
        (1, 1, True),
        (1, 0, False),
    ],
)
def test_noise_is_told_where_it_moves_least(frames: int, slowest: int, quiet: bool) -> None:
    """In the slowest third, in eight frames at least: all others bend much."""
    bends = np.where(np.arange(frames) < slowest, 1.0, 3.0)
    order = np.random.default_rng(frames).permutation(frames)
    noise, _ = noise_and_fast(bends[order], np.arange(frames)[order])
    assert noise == pytest.approx(1.0 if quiet else 3.0, rel=1e-4)


@pytest.mark.parametrize(("frames", "thin"), [(256, 1), (257, 2), (512, 2), (513, 3), (700, 3)])
def test_of_long_episodes_every_so_many_frames_are_looked_at(frames: int, thin: int) -> None:
    at = np.arange(frames) % thin == 0
    noise, fast = noise_and_fast(np.where(at, 1.0, 3.0), np.where(at, 5.0, 9.0))
    assert (noise, fast) == (pytest.approx(1.0, rel=1e-2), 5.0)
    if thin > 1:
        noise, fast = noise_and_fast(np.where(at, 3.0, 1.0), np.where(at, 9.0, 5.0))
        assert (noise, fast) == (pytest.approx(3.0, rel=1e-2), 9.0)


@pytest.mark.parametrize(("frames", "fast"), [(1, 0), (20, 18), (21, 19), (41, 38), (100, 94)])
def test_the_fast_motion_is_the_95th_percentile(frames: int, fast: int) -> None:
    moved = np.random.default_rng(frames).permutation(frames)
    assert noise_and_fast(np.ones(frames), moved)[1] == fast


@pytest.mark.parametrize(("frames", "known"), [(2, False), (3, True)])
def test_three_frames_tell_a_noise(frames: int, known: bool) -> None:
    x = np.array([[0.0, 1.0, 0.0][:frames]])
    noise, fast = _noise_and_fast(x, np.ones_like(x), np.array([0, frames]))
    assert (noise[0, 0] > 0, fast[0, 0] > 0) == (known, known)


# ---- counts


def counts(*episodes: Any, columns: Any = None) -> list[list[float]]:
    x = np.concatenate([np.atleast_2d(np.asarray(each, np.float32)) for each in episodes], axis=1)
    offset = np.r_[0, np.cumsum([np.atleast_2d(each).shape[1] for each in episodes])].astype(np.int64)
    made = joints(len(x)) if columns is None else columns
    return np.asarray(_counts(x, offset, list(made))).tolist()


@pytest.mark.parametrize(("far", "count"), [(49.0, 0.0), (49.9, 0.0), (50.0, 1.0), (1000.0, 1.0), (-50.0, 1.0)])
def test_a_column_through_fifty_counts_has_them(far: float, count: float) -> None:
    assert counts([0, 0, 1, 0, far]) == [[count]]


def test_counts_are_each_episodes_own_and_none_is_made_between_two() -> None:
    assert counts([0, 2, 100], [100.5, 200, 300], [0], [7, 7, 7]) == [[2.0, 0.0, 0.0, 0.0]]
    assert counts([0, 2, 100], [100.5, 102.5, 900.5]) == [[2.0, 2.0]]
    empty = _counts(np.zeros((1, 0), np.float32), np.zeros(1, np.int64), list(joints(1)))
    assert empty.shape == (1, 0)


def test_the_columns_of_a_channel_share_the_greatest_count() -> None:
    hand = Column("arm", "ee_position", 0, HAND)
    both = [[0, 1, 50], [0, 3, 300], [0, 5, 1000]]
    assert counts(both, columns=(*joints(2), hand)) == [[3.0], [3.0], [5.0]]
    other = Column("other", "joint_position", 0, JOINT)
    assert counts(both, columns=(*joints(2), other)) == [[5.0], [5.0], [5.0]]


# ---- standing still


def test_a_column_stands_below_a_share_of_the_fastest_of_its_channel() -> None:
    columns = [*joints(2), *joints(1, "other"), Column("arm", "gripper_width", 0, GRIPPER)]
    fast = np.array([[1, 8], [2, 4], [5, 0], [9, 9]], np.float32)
    assert _still(fast, columns, SETTINGS) == pytest.approx(
        np.array([[0.1, 0.16], [0.1, 0.16], [0.1, 0.16], [0.18, 0.18]])
    )


def test_the_greatest_of_three_limits_decides() -> None:
    k = np.arange(40)
    zigzag = np.where(k % 2, 0.5, -0.5)
    noisy = read(one(zigzag))
    assert noisy.noise[0, 0] == pytest.approx(2 / NOISE)
    assert noisy.still[0, 0] == pytest.approx(6 * 2**0.5 * 2 / NOISE)
    # straight on it has no noise: two steps of the window of motion, or two and a half counts of a hundredth of them
    straight = read(one(2.0 * k), settings=replace(SETTINGS, still_counts=0.0))
    assert straight.still[0, 0] == pytest.approx(0.02 * 4.0)
    counted = read(one(np.r_[2.0 * k, 80 + 0.2 * np.arange(1, 3)]))
    assert counted.still[0, 0] == pytest.approx(2.5 * 0.2, rel=1e-3)
