"""How far behind and beside its command each joint is, and where it is farther than that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sima2.defects.commands import Following, far_off, following
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.limits import at_limit
from sima2.defects.tracks import Tracks, tracks
from sima2.records.rollout import Rollout, RolloutBatch

FPS, N = 20, 240


def course(frames: int = N, seed: int = 0) -> np.ndarray:
    """Two joints of which the first goes farther."""
    t = np.arange(frames) / FPS + seed
    return np.stack([np.sin(1.1 * t) + 0.5 * np.sin(2.3 * t), 0.6 * np.cos(1.7 * t)], axis=1)


def behind(told: np.ndarray, lag: int) -> np.ndarray:
    """What follows a command so many frames later; below 0, what goes before it."""
    return told[np.clip(np.arange(len(told)) - lag, 0, len(told) - 1)]


def rollout(state: np.ndarray, told: np.ndarray | None, name: str = "e", **more: object) -> Rollout:
    time = np.arange(len(state)) / FPS
    return Rollout(name, time=time, joint_position=state, joint_command=told, **more)  # type: ignore[arg-type]


def followed(rollouts: Sequence[Rollout]) -> tuple[Tracks, Following]:
    settings = DefectSettings()
    batch = RolloutBatch.from_rollouts(list(rollouts))
    found = tracks(batch, settings)
    return found, following(found, batch, settings)["arm"]


@pytest.mark.parametrize("lag", [-4, 0, 1, 7, 19])
def test_the_lag_is_found_to_a_frame_and_taken_out_of_the_offset(lag: int) -> None:
    told = course() + np.array([0.03, -0.02])
    _, follow = followed([rollout(behind(course(), lag), told)])
    assert follow.lag[0] == pytest.approx(lag, abs=0.1)
    assert follow.offset[:, 0] == pytest.approx([0.03, -0.02], abs=1e-3)
    assert (follow.spread[:, 0] < 1e-3).all()


def test_half_a_frame_is_told() -> None:
    fine = course(2 * N)
    _, follow = followed([rollout(behind(fine, 5)[::2], fine[::2])])
    assert follow.lag[0] == pytest.approx(2.5, abs=0.15)


@pytest.mark.parametrize("lag", [20, 21, -20])
def test_a_lag_beyond_a_second_is_none(lag: int) -> None:
    assert np.isnan(followed([rollout(behind(course(), lag), course())])[1].lag[0])


def test_what_does_not_follow_at_all_has_no_lag_and_an_offset_all_the_same() -> None:
    noise = np.random.default_rng(0).normal(size=(N, 2))
    _, follow = followed([rollout(course(), noise)])
    assert np.isnan(follow.lag[0])
    assert np.isfinite(follow.offset[:, 0]).all()
    assert (follow.spread[:, 0] > 1.0).all()


def test_one_joint_that_is_held_up_does_not_hide_what_the_other_tells() -> None:
    state = behind(course(), 4)
    state[80:160, 1] = state[80, 1]
    assert followed([rollout(state, course())])[1].lag[0] == pytest.approx(4, abs=0.1)


def test_a_joint_that_only_trembles_has_no_say_in_the_lag() -> None:
    trembling = course() * [1.0, 0.0] + np.random.default_rng(0).normal(0, 0.02, (N, 2)) * [0.0, 1.0]
    assert followed([rollout(behind(trembling, 4), trembling)])[1].lag[0] == pytest.approx(4, abs=0.1)
    noise = np.random.default_rng(1).normal(0, 0.02, N)
    with_other = np.stack([trembling[:, 0], noise], axis=1)
    assert followed([rollout(behind(trembling, 4), with_other)])[1].lag[0] == pytest.approx(4, abs=0.1)


def test_a_resting_arm_has_no_lag() -> None:
    assert np.isnan(followed([rollout(np.zeros((N, 2)), course())])[1].lag[0])
    assert np.isnan(followed([rollout(course(), np.zeros((N, 2)))])[1].lag[0])


def test_a_command_that_is_lacking_has_no_offset_and_lost_samples_do_no_harm() -> None:
    told = course()
    told[:, 1] = np.nan
    _, follow = followed([rollout(behind(course(), 3), told)])
    assert follow.lag[0] == pytest.approx(3, abs=0.1)
    assert np.isfinite(follow.offset[:, 0]).tolist() == [True, False]
    half = course()
    half[: N // 2 + 3, 1] = np.nan
    assert np.isfinite(followed([rollout(course(), half)])[1].offset[:, 0]).tolist() == [True, False]
    few = course()
    few[: N // 3, 1] = np.nan
    assert np.isfinite(followed([rollout(course(), few)])[1].offset[:, 0]).tolist() == [True, True]


@pytest.mark.parametrize(("frames", "known"), [(23, False), (24, True)])
def test_of_a_very_short_episode_nothing_is_told(frames: int, known: bool) -> None:
    _, follow = followed([rollout(course(frames), course(frames))])
    assert np.isfinite(follow.offset[:, 0]).all() == known


def test_each_episode_is_told_by_itself() -> None:
    lags = (2, 6, 0)
    _, follow = followed([rollout(behind(course(seed=k), lag), course(seed=k), f"e{k}") for k, lag in enumerate(lags)])
    assert follow.lag == pytest.approx(lags, abs=0.1)


def test_what_is_worth_a_word_is_a_share_of_the_farthest_going_joint() -> None:
    _, follow = followed([rollout(course(), course()), rollout(2 * course(), 2 * course(), "f")])
    assert follow.floor == pytest.approx(0.05 * np.ptp(course()[:, 0]) * np.array([1, 2]), rel=1e-3)


def test_arms_without_commands_or_with_others_are_left_out() -> None:
    settings = DefectSettings()
    for told in (None, course()[:, :1]):
        batch = RolloutBatch.from_rollouts([rollout(course(), told)])
        assert following(tracks(batch, settings), batch, settings) == {}


def late(joint: int, start: int, frames: int, by: float) -> np.ndarray:
    """A course behind which one joint stays by so much for a while."""
    state = behind(course(), 3).copy()
    state[start : start + frames, joint] -= by
    return state


@pytest.mark.parametrize(("by", "told"), [(0.1, False), (0.2, True), (-0.2, True)])
def test_a_joint_is_far_off_where_it_is_beside_its_command_by_more_than_is_worth_a_word(by: float, told: bool) -> None:
    found, follow = followed([rollout(late(1, 100, 20, by), course())])
    off = far_off(found, follow, 0)
    assert off.shape == (N, 2)
    assert not off[:, 0].any()
    assert np.flatnonzero(off[:, 1]).tolist() == (list(range(100, 120)) if told else [])


def test_a_constant_offset_is_not_far_off() -> None:
    found, follow = followed([rollout(behind(course(), 3), course() + np.array([0.5, -0.5]))])
    assert not far_off(found, follow, 0).any()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_joint_on_its_own_extreme_with_its_command_beyond_may_be_at_its_end_stop(sign: float) -> None:
    told = sign * course()
    stop = float(np.quantile(course()[:, 0], 0.8))
    state = behind(sign * np.minimum(course(), [stop, 9.0]), 3)
    found, follow = followed([rollout(state, told)])
    assert np.abs(told[:, 0] - state[:, 0]).max() > 2 * follow.floor[0]
    assert not far_off(found, follow, 0)[10:].any()
    held = int(np.argmax(sign * told[20:200, 0])) + 20
    assert at_limit(found, follow, 0, 0, held - 2, held + 5)
    # on its extreme, but its command wants it back
    assert not at_limit(found, follow, 0, 0, 60, 65) or sign * (told[62, 0] - state[62, 0]) > 0
    back = told.copy()
    back[:, 0] -= sign * 2.0
    found, follow = followed([rollout(state, np.where(np.arange(N)[:, None] >= 150, back, told))])
    assert far_off(found, follow, 0)[160:, 0].any()


def test_the_lag_that_the_import_found_serves_where_the_episode_tells_none() -> None:
    proxy = np.ones((N, 2), np.float32)
    proxy[:5, 0] = np.nan
    proxy[:, 1] = np.nan
    noise = np.random.default_rng(0).normal(size=(N, 2))
    _, follow = followed([rollout(course(), noise, effort_proxy=proxy)])
    assert np.isnan(follow.lag[0])
    assert follow.usual[0, 0] == 5
    assert np.isnan(follow.usual[1, 0])
