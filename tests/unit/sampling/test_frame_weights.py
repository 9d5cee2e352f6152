import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_datapack_auditor import filled

from sima2.errors import UnknownNameError, UsageError
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import SamplePlan
from sima2.records.table import Text
from sima2.sampling.frames import counted_frames, frame_weights


def plan_of(index, p):
    n = len(index)
    return SamplePlan(np.array(index, np.int64), Text.of(map(str, index)), np.array(p), np.ones(n), Text.full(n, ""))


def of_each(table, frames):
    """Sum of weights of each episode."""
    return np.add.reduceat(table.weight, np.cumsum(np.r_[0, frames[:-1]]))


def counted(frames):
    """Episode and index of each frame, where episodes are numbered and frames counted from 0."""
    return np.repeat(np.arange(len(frames)), frames), np.arange(np.sum(frames))


@settings(max_examples=80, deadline=None)
@given(
    frames=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    seed=st.integers(0, 99),
    per=st.sampled_from(["episode", "frame"]),
)
def test_frames_drawn_by_weight_give_episodes_their_probability(frames, seed, per):
    frames = np.array(frames)
    p = np.random.default_rng(seed).dirichlet(np.ones(len(frames)))
    table = frame_weights(plan_of(range(len(frames)), p), *counted(frames), per=per)
    assert table.index.tolist() == list(range(frames.sum()))
    assert table.weight.mean() == pytest.approx(1.0)
    wanted = p if per == "episode" else p * frames / (p * frames).sum()
    np.testing.assert_allclose(of_each(table, frames) / table.weight.sum(), wanted, atol=1e-12)


def test_a_uniform_plan_by_frame_weighs_all_frames_alike():
    assert frame_weights(plan_of([0, 1], [0.5, 0.5]), *counted([3, 5]), per="frame").weight.tolist() == [1.0] * 8


def test_frames_keep_the_index_of_the_source_whatever_its_gaps_and_order():
    episode, index = np.array([105, 105, 7, 7, 9]), np.array([40, 41, 3, 2, 90])
    table = frame_weights(plan_of([7, 105], [0.75, 0.25]), episode, index)
    assert table.index.tolist() == [2, 3, 40, 41, 90]
    np.testing.assert_allclose(table.weight, [1.875, 1.875, 0.625, 0.625, 0.0])


def tables(indices, frames, aside):
    episodes = filled(
        EpisodeTable,
        len(indices),
        episode_id=Text.of(map(str, indices)),
        episode_index=np.array(indices, np.int64),
        frames=np.array(frames, np.int64),
    )
    return episodes, np.array(aside, np.int64)


def test_frames_are_counted_through_all_episodes_with_those_put_aside():
    episode = counted_frames(*tables([0, 2], [2, 3], [1]), {1: 4})
    assert episode.tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2]
    table = frame_weights(plan_of([0, 2], [0.4, 0.6]), episode, np.arange(9))
    np.testing.assert_allclose(table.weight, np.array([1, 1, 0, 0, 0, 0, 1, 1, 1]) * 9 / 5)


@pytest.mark.parametrize(("numbers", "words"), [([0, 1, 3], "after 1 comes 3"), ([100, 101], "first comes 100")])
def test_numbers_with_gaps_are_not_counted_through(numbers, words):
    with pytest.raises(UsageError, match=rf"{words}.*--path"):
        counted_frames(*tables(numbers, [2] * len(numbers), []))


def test_an_episode_of_unknown_length_before_others_is_an_error_that_says_what_to_do():
    with pytest.raises(UsageError, match=r"the first is episode 1.*metadata"):
        counted_frames(*tables([0, 2], [2, 3], [1]))


def test_an_episode_of_unknown_length_behind_all_others_harms_nothing():
    assert len(counted_frames(*tables([0, 1], [2, 3], [2]))) == 5


def test_episodes_that_are_not_in_the_plan_have_weight_zero():
    table = frame_weights(plan_of([1], [1.0]), *counted([2, 2, 2]))
    assert table.weight.tolist() == [0, 0, 3, 3, 0, 0]


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="not of the same source"):
        frame_weights(plan_of([3], [1.0]), *counted([2]))
    with pytest.raises(UsageError, match="not of the same source"):
        frame_weights(plan_of([3], [1.0]), *counted([]))
    with pytest.raises(UsageError, match="none of its frames has any weight"):
        frame_weights(SamplePlan.empty(), *counted([2]))
    with pytest.raises(UnknownNameError, match="valid: episode, frame"):
        frame_weights(plan_of([0], [1.0]), *counted([2]), per="second")


def test_nothing_has_no_frames():
    assert len(frame_weights(SamplePlan.empty(), counted_frames(*tables([], [], [])), np.arange(0))) == 0


def test_three_million_frames_are_weighed_at_once():
    frames = np.full(10_000, 300)
    table = frame_weights(plan_of(range(10_000), np.full(10_000, 1e-4)), *counted(frames))
    assert len(table) == 3_000_000
    assert table.weight[0] == pytest.approx(1.0)
