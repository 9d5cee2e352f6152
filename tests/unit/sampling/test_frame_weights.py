import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_datapack_auditor import filled

from sima2.errors import UnknownNameError, UsageError
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import SamplePlan
from sima2.records.table import Text
from sima2.sampling.frames import frame_weights, source_frames


def plan_of(index, p):
    n = len(index)
    return SamplePlan(np.array(index, np.int64), Text.of(map(str, index)), np.array(p), np.ones(n), Text.full(n, ""))


def of_each(table, frames):
    """Sum of weights of each episode."""
    return np.add.reduceat(table.weight, np.cumsum(np.r_[0, frames[:-1]]))


@settings(max_examples=80, deadline=None)
@given(
    frames=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    seed=st.integers(0, 99),
    per=st.sampled_from(["episode", "frame"]),
)
def test_frames_drawn_by_weight_give_episodes_their_probability(frames, seed, per):
    frames = np.array(frames)
    p = np.random.default_rng(seed).dirichlet(np.ones(len(frames)))
    table = frame_weights(plan_of(range(len(frames)), p), frames, per=per)
    assert table.index.tolist() == list(range(frames.sum()))
    assert table.weight.mean() == pytest.approx(1.0)
    wanted = p if per == "episode" else p * frames / (p * frames).sum()
    np.testing.assert_allclose(of_each(table, frames) / table.weight.sum(), wanted, atol=1e-12)


def test_a_uniform_plan_by_frame_weighs_all_frames_alike():
    assert frame_weights(plan_of([0, 1], [0.5, 0.5]), np.array([3, 5]), per="frame").weight.tolist() == [1.0] * 8


def tables(indices, frames, aside):
    episodes = filled(
        EpisodeTable,
        len(indices),
        episode_id=Text.of(map(str, indices)),
        episode_index=np.array(indices, np.int64),
        frames=np.array(frames, np.int64),
    )
    return episodes, np.array(aside, np.int64)


def test_frames_are_numbered_as_in_the_source():
    """Episode 1 was put aside and has 4 frames; 3 does not exist there."""
    frames = source_frames(*tables([0, 2, 4], [2, 3, 1], [1]), {1: 4})
    assert frames.tolist() == [2, 4, 3, 0, 1]
    table = frame_weights(plan_of([0, 2, 4], [0.2, 0.3, 0.5]), frames)
    assert table.index.tolist() == list(range(10))
    np.testing.assert_allclose(table.weight, [1, 1, 0, 0, 0, 0, 1, 1, 1, 5])


def test_an_episode_of_unknown_length_before_others_is_an_error_that_says_what_to_do():
    frames = source_frames(*tables([0, 2], [2, 3], [1]))
    assert frames.tolist() == [2, -1, 3]
    with pytest.raises(UsageError, match=r"the first is episode 1.*metadata"):
        frame_weights(plan_of([0, 2], [0.5, 0.5]), frames)


def test_an_episode_of_unknown_length_behind_all_others_harms_nothing():
    frames = source_frames(*tables([0, 1], [2, 3], [2]))
    assert len(frame_weights(plan_of([0, 1], [0.5, 0.5]), frames)) == 5


def test_episodes_that_are_not_in_the_plan_have_weight_zero():
    table = frame_weights(plan_of([1], [1.0]), np.array([2, 2, 2]))
    assert table.weight.tolist() == [0, 0, 3, 3, 0, 0]


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="not of the same source"):
        frame_weights(plan_of([3], [1.0]), np.array([2]))
    with pytest.raises(UnknownNameError, match="valid: episode, frame"):
        frame_weights(plan_of([0], [1.0]), np.array([2]), per="second")


def test_nothing_has_no_frames():
    assert len(frame_weights(SamplePlan.empty(), source_frames(*tables([], [], [])))) == 0


def test_three_million_frames_are_weighed_at_once():
    frames = np.full(10_000, 300)
    table = frame_weights(plan_of(range(10_000), np.full(10_000, 1e-4)), frames)
    assert len(table) == 3_000_000
    assert table.weight[0] == pytest.approx(1.0)
