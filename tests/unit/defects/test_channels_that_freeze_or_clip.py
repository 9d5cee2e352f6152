"""A column that keeps one value is frozen, clipped, an encoder's, or at rest: each told by what speaks for it alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from damaged_rollouts import alone
from sima2.records.rollout import Rollout

N, AT = 200, 60
RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 1e-3, N)


def swing(frames: int = N) -> np.ndarray:
    """A column that goes to and fro without noise, at its fastest at frame ``AT``."""
    return np.sin(2 * np.pi * (np.arange(frames) - AT) / 80.0)


def episode(velocity: np.ndarray, joints: np.ndarray | None = None, **channels: Any) -> Rollout:
    """One episode at 20 Hz of two joints, of which the first moves all along and its velocity is the given one."""
    t = np.arange(len(velocity)) * 0.05
    moving = np.stack([np.sin(t), 0.7 * np.cos(0.8 * t)], axis=1)
    both = np.stack([velocity, 0.8 * np.cos(t)], axis=1)
    joints = moving if joints is None else joints
    return Rollout(episode_id="made", time=t, joint_position=joints, joint_velocity=both, **channels)


def spans(rollout: Rollout, kind: str, channel: str = "joint_velocity") -> list[tuple[int, int]]:
    rows = [row for row in alone(rollout).rows() if row["defect"] == kind and row["details"].startswith(channel)]
    return [(row["start_frame"], row["end_frame"]) for row in rows]


def held(values: np.ndarray, start: int, frames: int, value: float | None = None) -> np.ndarray:
    out = values.copy()
    out[start : start + frames] = values[start] if value is None else value
    return out


def resting(frames: int = N) -> np.ndarray:
    """Two joints of which nothing moves after the first second."""
    t = np.minimum(np.arange(frames) * 0.05, 1.0)
    return np.stack([np.sin(t), 0.7 * np.cos(0.8 * t)], axis=1)


@pytest.mark.parametrize(("frames", "told"), [(7, False), (8, True), (12, True)])
def test_a_motion_that_stops_dead_and_goes_on_elsewhere_froze_if_it_lasts(frames: int, told: bool) -> None:
    assert spans(episode(held(swing(), AT, frames)), "frozen_channel") == [(AT, AT + frames)] * told


def eased(stop: bool, go: bool) -> np.ndarray:
    """A swing that keeps one value for 12 frames, and comes to rest, or sets out, as a motion does by itself."""
    values, ramp = swing(), np.linspace(1.0, 0.0, 20) ** 2
    still = values[AT]
    out = held(values, AT, 12)
    if stop:
        out[AT - 20 : AT] = still + (values[AT - 20] - still) * ramp
    if go:
        out[AT + 12 : AT + 32] = still + (values[AT + 32] - still) * ramp[::-1]
    return out


@pytest.mark.parametrize("eases", [(True, False), (False, True), (True, True)])
def test_what_comes_to_rest_or_sets_out_by_itself_did_not_freeze(eases: tuple[bool, bool]) -> None:
    assert spans(episode(eased(*eases)), "frozen_channel") == []
    assert spans(episode(eased(False, False)), "frozen_channel") == [(AT, AT + 12)]


def test_nothing_froze_where_it_goes_on_as_it_came() -> None:
    values = swing()
    delayed = np.concatenate([values[:AT], np.full(12, values[AT]), values[AT:-12]])
    assert spans(episode(delayed), "frozen_channel") == []


@pytest.mark.parametrize("start", [0, N - 12])
def test_what_keeps_its_value_to_an_end_of_the_episode_tells_nothing(start: int) -> None:
    assert spans(episode(held(swing(), start, 12)), "frozen_channel") == []


def test_where_the_robot_rests_a_value_without_noise_may_keep_still() -> None:
    assert spans(episode(held(swing(), AT, 12), resting()), "frozen_channel") == []


def test_an_extreme_of_the_episode_is_no_freeze() -> None:
    top = np.minimum(swing(), 0.3)
    assert spans(episode(top), "frozen_channel") == []
    assert spans(episode(np.full(N, 0.3)), "frozen_channel") == []


def test_noise_that_falls_silent_froze_whether_the_robot_moves_or_rests() -> None:
    for joints in (None, resting()):
        assert spans(episode(held(NOISE, AT, 12), joints), "frozen_channel") == [(AT, AT + 12)]


@pytest.mark.parametrize("count", [1e-2, 1e-3])
def test_counts_of_an_encoder_repeat_and_are_no_noise(count: float) -> None:
    steps = np.rint(NOISE / count * 3) * count + np.rint(0.02 * swing() / count) * count
    assert spans(episode(held(steps, AT, 12), resting()), "frozen_channel") == []


def test_too_few_values_tell_no_noise() -> None:
    few = np.where(np.isin(np.arange(N), [*range(30, AT), *range(AT, AT + 12)]), NOISE, np.nan)
    assert spans(episode(held(few, AT, 12), resting()), "frozen_channel") == []


def test_a_joint_that_never_repeats_freezes_only_while_another_moves() -> None:
    still = 1e-5 * RNG.normal(size=N)

    def second(frames: int, moves: bool) -> np.ndarray:
        first = episode(swing()).joint_position[:, 0] if moves else resting()[:, 0] + still
        return np.stack([first, held(0.2 * swing() + still, AT, frames)], axis=1)

    assert spans(episode(swing(), second(12, True)), "frozen_channel", "joint_position[1]") == [(AT, AT + 12)]
    assert spans(episode(swing(), second(7, True)), "frozen_channel", "joint_position[1]") == []
    assert spans(episode(swing(), second(12, False)), "frozen_channel", "joint_position[1]") == []


@pytest.mark.parametrize(
    ("channel", "value", "told"),
    [
        ("grip_force", 0.0, False),
        ("grip_force", 5.001, True),
        ("gripper_width", 0.0401, True),
        ("gripper_width", 0.0003, False),
        ("gripper_width", 0.0797, False),
    ],
)
def test_a_force_of_nothing_and_fingers_at_a_stop_keep_one_value(channel: str, value: float, told: bool) -> None:
    whole = {"grip_force": 5.0, "gripper_width": 0.04}[channel]
    own = held(whole * (1 + 0.5 * swing() + 20 * NOISE), 100, 40, value)
    if channel == "gripper_width":
        own[:2] = 0.0, 0.08
    assert spans(episode(swing(), **{channel: own}), "frozen_channel", channel) == [(100, 140)] * told


def plateaus(*at: int, frames: int = 5, side: float = 1.0, length: int = N) -> np.ndarray:
    """A jagged column without noise that is cut at its extreme in these places."""
    saw = (np.arange(length) % 9 - 4) * 0.1 + 0.01 * np.sin(np.arange(length))
    for each in at:
        saw[each : each + frames] = 0.7
    return side * saw


def clipped(velocity: np.ndarray, **channels: Any) -> list[tuple[int, int]]:
    return spans(episode(velocity, **channels), "clipped_channel")


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_limit_that_is_run_into_twice_is_told_and_once_is_a_goal(side: float) -> None:
    assert clipped(plateaus(50, 120, side=side)) == [(50, 55)]
    assert clipped(plateaus(50, side=side)) == []
    words = next(row["details"] for row in alone(episode(plateaus(50, 120, side=side))).rows())
    assert f"its {'greatest' if side > 0 else 'least'} value for 10 frames in 2 stretches" in words
    assert "entered and left at speed" in words


def test_the_longest_stretch_at_a_limit_is_shown() -> None:
    longer = plateaus(50, 120)
    longer[150:160] = 0.7
    assert clipped(longer) == [(150, 160)]


@pytest.mark.parametrize(("at", "told"), [(1, False), (2, True), (N - 7, True), (N - 6, False)])
def test_a_stretch_at_an_end_of_the_episode_is_entered_or_left_by_nobody(at: int, told: bool) -> None:
    assert clipped(plateaus(50, at)) == [(min(at, 50), min(at, 50) + 5)] * told


def test_a_limit_reached_slowly_is_a_goal() -> None:
    slow = plateaus(50, 120)
    for at in (50, 120):
        slow[at - 10 : at] = np.linspace(0.3, 0.6999, 10) ** 0.2 * 0.7 / 0.6999**0.2
        slow[at - 3 : at] = 0.6999
    assert clipped(slow) == []


def test_few_frames_at_a_limit_of_a_long_episode_are_not_worth_a_word() -> None:
    assert clipped(plateaus(50, 120, frames=3, length=500)) == [(50, 53)]
    assert clipped(plateaus(50, 120, frames=3, length=700)) == []


def test_one_stretch_bare_of_its_noise_is_enough() -> None:
    loud = np.minimum(NOISE + 0.01 * np.arange(N) / N, 10.0)
    silent = held(loud, AT, 12, 0.5)
    assert clipped(silent) == [(AT, AT + 12)]
    words = [row["details"] for row in alone(episode(silent)).rows() if row["defect"] == "clipped_channel"]
    assert "for 12 frames in 1 stretch, bare of its noise" in words[0]


def test_a_force_has_no_least_value_to_run_into() -> None:
    force = plateaus(50, 120) + 1.0
    assert spans(episode(swing(), grip_force=force), "clipped_channel", "grip_force") == [(50, 55)]
    low = 2.0 - force
    assert spans(episode(swing(), grip_force=low - low.min()), "clipped_channel", "grip_force") == []


@pytest.mark.parametrize(("every", "told"), [(2, True), (4, True), (5, False), (10, False)])
def test_frames_that_repeat_all_positions_are_told_from_a_fifth_of_the_motion_on(every: int, told: bool) -> None:
    rows = np.arange(N)
    rows[::every] = np.maximum(rows[::every] - 1, 0)
    t = rows * 0.05
    repeated = np.stack([np.sin(t), 0.7 * np.cos(0.8 * t)], axis=1)
    found = [row for row in alone(episode(swing(), repeated)).rows() if row["defect"] == "repeated_frames"]
    assert bool(found) == told
    if told:
        assert abs(found[0]["value"] - 1 / every) < 0.02
        assert (found[0]["start_frame"], found[0]["end_frame"]) == (0, N)


def test_lost_samples_are_told_by_stretch_with_the_columns_that_lose_them() -> None:
    both = np.stack([swing(), swing()], axis=1)
    both[50:53, :] = np.nan
    both[70:71, 1] = np.nan
    t = np.arange(N) * 0.05
    made = Rollout(
        episode_id="made", time=t, joint_position=np.stack([np.sin(t), np.cos(t)], axis=1), joint_velocity=both
    )
    rows = [row for row in alone(made).rows() if row["defect"] == "missing_samples"]
    assert {(row["start_frame"], row["end_frame"], row["details"]) for row in rows} == {
        (50, 53, "joint_velocity[0, 1] has no sample for 3 frames (0.15 s)"),
        (70, 71, "joint_velocity[1] has no sample for 1 frame (0.05 s)"),
    }
    never = Rollout(
        episode_id="made", time=t, joint_position=made.joint_position, joint_velocity=np.full((N, 2), np.nan)
    )
    assert not [row for row in alone(never).rows() if row["defect"] == "missing_samples"]
