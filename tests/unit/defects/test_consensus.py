"""Consensus: who does otherwise than others in like states is told, without any label; no copy vouches for another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from sima2.defects.consensus import ConsensusSettings, consensus, copied
from sima2.defects.inspector import DefectInspector
from sima2.defects.unusual import unusual_episodes
from sima2.records.courses import MOMENTS, THINGS, PointTable, moments_of
from sima2.records.defects import SLOTS
from sima2.records.rollout import Goal, Rollout, RolloutBatch
from sima2.records.table import Text
from unit.defects.test_unusual import Recording

FRAMES = 120
STATE = SLOTS + 3 * THINGS


def points(n: int = 60, bad: int = 12, *, seed: int = 0, family: str = "pick") -> PointTable:
    """Episodes that all go to a goal; the first few do so for half of the time, and then turn."""
    rng = np.random.default_rng(seed)
    state = np.full((n, MOMENTS, STATE), np.nan, np.float32)
    motion = np.full((n, MOMENTS, SLOTS), np.nan, np.float32)
    for i in range(n):
        start, goal = rng.normal(0, 0.1, 3), np.array([1.0, 0.0, 0.0]) + rng.normal(0, 0.1, 3)
        at = np.linspace(0, 1, MOMENTS)[:, None]
        place = start + (goal - start) * at
        ahead = 0.1 * (goal - place)
        if i < bad:
            ahead[MOMENTS // 2 :] = rng.normal(0, 0.2, 3)
        state[i, :, SLOTS - 4 : SLOTS - 1] = place
        state[i, :, SLOTS : SLOTS + 3] = goal - place
        motion[i, :, SLOTS - 4 : SLOTS - 1] = ahead + rng.normal(0, 0.02, (MOMENTS, 3))
    return table(state, motion, family)


def table(state: np.ndarray, motion: np.ndarray, family: str = "pick") -> PointTable:
    n = len(state)
    return PointTable(
        episode_index=np.arange(n),
        episode_id=Text.of(f"e{i}" for i in range(n)),
        manipulator=Text.full(n, "arm"),
        family=Text.full(n, family),
        robot=Text.full(n, "robot"),
        frames=np.full(n, FRAMES),
        state=state.reshape(n, -1),
        motion=motion.reshape(n, -1),
    )


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    u = mannwhitneyu(score[positive], score[~positive]).statistic
    return float(u / (positive.sum() * (~positive).sum()))


def test_who_does_otherwise_than_others_in_like_states_is_told_and_where() -> None:
    found = consensus(points())
    bad = found.episode_index < 12
    assert auroc(found.disagreement, bad) > 0.95
    middle = (found.start_frame + found.end_frame)[bad] / 2
    assert (middle > FRAMES / 2).mean() > 0.8
    assert ((found.p > 0) & (found.p <= 1)).all()
    assert found.p[np.argmax(found.disagreement)] == pytest.approx(1 / 60)


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_actions_tell_nothing(seed: int) -> None:
    made = points(seed=seed, n=200, bad=60)
    order = np.random.default_rng(seed).permutation(len(made))
    each = made.motion.reshape(len(made), MOMENTS, SLOTS)[order]
    rows = np.argsort(np.random.default_rng(seed).random((len(made), MOMENTS)), axis=0)
    mixed = np.take_along_axis(each, rows[:, :, None], axis=0).reshape(len(made), -1)
    found = consensus(replace(made, motion=np.ascontiguousarray(mixed)))
    assert 0.4 < auroc(found.disagreement, found.episode_index < 60) < 0.6


def test_copies_do_not_vouch_for_each_other() -> None:
    made = points(60, 1)
    twins = np.array([0] * 30)
    state, motion = made.state[np.r_[np.arange(60), twins]], made.motion[np.r_[np.arange(60), twins]]
    many = table(state, motion)
    names = [f"e{i}" for i in range(60, 90)]
    trusting, wary = consensus(many), consensus(many, names)
    alike = wary.disagreement[[0, *range(60, 90)]]
    assert alike.min() > np.quantile(wary.disagreement[1:60], 0.9)
    assert trusting.disagreement[0] < alike.min() - 0.2


def test_copies_are_those_of_the_defects() -> None:
    from damaged_rollouts import clean, together

    run = list(clean()[:12])
    run[6] = run[0].with_(episode_id="copy")
    assert copied(together(run)) == {"copy"}


def test_order_and_units_change_nothing() -> None:
    made = points()
    order = np.random.default_rng(1).permutation(len(made))
    a, b = consensus(made), consensus(made.take(order))
    assert b.episode_id.tolist() == a.episode_id.tolist()
    assert b.disagreement.tolist() == a.disagreement.tolist()
    scaled = replace(made, state=made.state * np.float32(8), motion=made.motion * np.float32(4))
    assert consensus(scaled).disagreement.tolist() == a.disagreement.tolist()


def test_fewer_than_twenty_of_a_task_are_compared_with_nothing() -> None:
    assert not len(consensus(points(19)))
    assert len(consensus(points(20))) == 20
    assert not len(consensus(PointTable.empty()))


def test_tasks_are_not_compared_with_each_other() -> None:
    one, other = points(30, 5), points(30, 5, seed=1, family="push")
    both = PointTable.concat([one, replace(other, episode_index=other.episode_index + 30)])
    found = consensus(both)
    assert found.disagreement[:30].tolist() == consensus(one).disagreement.tolist()
    assert (found.episodes == 30).all()


def test_what_is_not_known_is_compared_with_nothing() -> None:
    made = points(40)
    state = made.state.copy()
    state[3] = np.nan
    state[4].reshape(MOMENTS, STATE)[:10] = np.nan
    found = consensus(replace(made, state=state))
    assert np.isnan(found.disagreement[3])
    assert np.isnan(found.p[3])
    assert np.isfinite(np.delete(found.disagreement, 3)).all()
    nothing = consensus(replace(made, state=np.full_like(state, np.nan)))
    assert np.isnan(nothing.disagreement).all()


def test_actions_that_never_differ_put_nobody_aside() -> None:
    made = points(40)
    found = consensus(replace(made, motion=np.ones_like(made.motion)))
    assert np.isnan(found.disagreement).all()


def test_few_episodes_are_asked_of_many() -> None:
    made = points(200, 40)
    few = consensus(made, settings=ConsensusSettings(references=40))
    assert auroc(few.disagreement, few.episode_index < 40) > 0.9


@pytest.mark.parametrize("frames", [1, 2, 31, 32, 33, 1000])
def test_moments_lie_within_an_episode_from_its_first_frame_to_its_last(frames: int) -> None:
    (at,) = moments_of(np.array([frames]))
    assert (at[0], at[-1]) == (0, frames - 1)
    assert (np.diff(at) >= 0).all()


def recorded(n: int = 50, goal: Goal | None = None, **more: object) -> Rollout:
    t = np.arange(n) / 10
    joints = np.stack([t, 2 * t], axis=1).astype(np.float32)
    hand = np.stack([t, 0 * t, 0 * t], axis=1).astype(np.float32)
    things = {f"thing{k}": np.full((n, 3), k, np.float32) for k in range(6)}
    return Rollout("e0", t, joint_position=joints, ee_position=hand, object_position=things, goal=goal, **more)  # type: ignore[arg-type]


def seen(rollout: Rollout) -> tuple[np.ndarray, np.ndarray]:
    found = DefectInspector().inspect(RolloutBatch.from_rollouts([rollout])).points
    return found.state.reshape(MOMENTS, STATE), found.motion.reshape(MOMENTS, SLOTS)


def test_the_things_of_the_goal_come_first_and_all_are_seen_from_the_hand() -> None:
    state, _ = seen(recorded(goal=Goal("thing5", "thing3")))
    assert state[0, SLOTS::3].tolist() == [5.0, 3.0, 0.0, 1.0]
    assert state[-1, SLOTS] == pytest.approx(5 - 4.9)


def test_a_command_says_what_is_done_and_without_one_the_motion_does() -> None:
    told = np.full((50, 2), 9.0, np.float32)
    told[:, 1] = np.nan
    state, motion = seen(recorded(joint_command=told))
    assert motion[0, 0] == pytest.approx(9.0)
    assert motion[0, 1] == pytest.approx(0.6)
    assert motion[0, SLOTS - 4] == pytest.approx(0.3)
    assert motion[-1, 1] == 0.0
    assert np.isnan(motion[:, 5]).all()
    assert np.isnan(state[:, 0]).all()


def test_joints_stand_for_a_hand_that_is_not_known() -> None:
    state, _ = seen(recorded().with_(ee_position=None))
    assert state[-1, 1] == pytest.approx(9.8)
    assert np.isnan(state[:, SLOTS:]).all()


def test_who_disagrees_far_is_shown_as_unusual_in_words() -> None:
    made = Recording(0)
    for _ in range(60):
        made.add()
    course = made.strides()
    agreed = consensus(points(60, 1))
    known = np.random.default_rng(0).normal(0.45, 0.02, 60)
    known[7] = 0.95
    found = unusual_episodes(course, consensus=replace(agreed, disagreement=known))
    row = found.take(found.episode_index == 7)
    assert row.shown[0]
    assert "moves otherwise than others in like states, most in frames" in row.words[0]
    assert not any("like states" in words for words in unusual_episodes(course).words)
