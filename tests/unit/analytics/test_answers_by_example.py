"""Answers by example: what must hold before anything is answered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sima2.analytics.by_example import Answers, ByExample, mean_error
from sima2.analytics.example_geometry import View, beyond, path_lengths
from sima2.errors import RecordError

NAN = np.nan


def two_groups(seed: int = 0, apart: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Places of 60 episodes, the first 12 of which failed and end elsewhere."""
    rng = np.random.default_rng(seed)
    won = np.arange(60) >= 12
    return rng.normal(0, 0.1, (60, 2)) + apart * ~won[:, None], won


def answered(place: np.ndarray, won: np.ndarray, rows: list[int], **more: object) -> Answers:
    said = np.full(len(won), NAN)
    said[rows] = won[rows]
    return ByExample().answer([View("the end", place)], said, **more)  # type: ignore[arg-type]


SPREAD = [0, 5, 9, 12, 16, 20, 25, 30, 35, 40, 50, 59]
"""Three that failed and nine that did not."""


def test_where_ends_differ_all_others_are_told_rightly() -> None:
    place, won = two_groups()
    found = answered(place, won, SPREAD)
    assert (found.answer == np.where(won, 1, -1)).mean() > 0.95
    assert not (found.answer == np.where(won, -1, 1)).any()
    assert (found.told, found.wrong) == (12, 0)
    assert found.stated_error == ByExample().error
    assert found.confidence == pytest.approx(13 / 14)


def test_where_nothing_differs_all_are_unsure() -> None:
    place, won = two_groups(apart=0.0)
    found = answered(place, won, SPREAD)
    assert not found.answer.any()
    assert np.isnan(found.stated_error)
    assert found.confidence == 0


def test_a_group_of_which_nothing_was_said_is_unsure() -> None:
    place, won = two_groups()
    place[50:59] = place[50:59] * 0.2 + [2.0, -40.0]
    found = answered(place, won, [row for row in SPREAD if row not in range(50, 59)] + [22])
    assert not found.answer[50:59].any()
    assert found.answer[12:50].all()


def test_with_one_failure_said_no_other_failure_is_told() -> None:
    place, won = two_groups()
    found = answered(place, won, [0, *range(13, 46, 3)])
    assert not (found.answer < 0).any()
    assert (found.answer > 0).any()


def test_those_said_by_choice_do_not_count_for_an_answer() -> None:
    place, won = two_groups()
    random = np.zeros(60, np.bool_)
    random[[0, 20, 30]] = True
    assert not answered(place, won, SPREAD, random=random).answer.any()
    random[[40, 50]] = True
    assert answered(place, won, SPREAD, random=random).answer.any()


def test_those_said_by_choice_count_against_an_answer() -> None:
    place, won = two_groups()
    random = np.isin(np.arange(60), [0, 5, 20, 30, 40, 50])
    odd = won.copy()
    odd[[12, 16, 25, 35]] = False
    assert not answered(place, odd, SPREAD, random=random).answer.any()


@pytest.mark.parametrize("said", [[], [0, 5], [20, 30, 40, 50], [0, 20, 30]])
def test_too_little_said_is_no_answer(said: list[int]) -> None:
    found = answered(*two_groups(), said)
    assert not found.answer.any()
    assert np.isnan(found.stated_error)


def test_p_is_small_for_the_other_kind_and_never_below_its_least() -> None:
    place, won = two_groups()
    found = answered(place, won, SPREAD)
    assert found.p.min() >= 1 / 13 - 1e-12
    assert found.p.max() <= 1
    open_ = ~np.isin(np.arange(60), SPREAD)
    assert (found.p[open_ & won, 1] >= found.p[open_ & won, 0]).all()


def test_the_nearest_said_one_is_of_its_group() -> None:
    place, won = two_groups()
    found = answered(place, won, SPREAD)
    assert (won[found.like] == won).all()
    assert not (found.like == np.arange(60)).any()


def test_a_group_that_rests_on_one_example_is_unsure() -> None:
    """Hidden, that example is told by none of its group, so that no count of errors speaks for the others in it."""
    place, won = two_groups()
    place[12:20] = place[12:20] * 0.2 + [-40.0, 0.0]
    found = answered(place, won, SPREAD)
    alone = [row for row in range(13, 20) if row != 16]
    assert found.answer[alone].any()
    found = answered(place, won, [row for row in SPREAD if row != 16])
    assert not found.answer[13:20].any()


def test_a_view_that_tells_is_found_among_such_that_do_not() -> None:
    place, won = two_groups()
    rng = np.random.default_rng(5)
    views = [*(View(f"noise {k}", rng.normal(size=(60, 3))) for k in range(5)), View("the end", place)]
    said = np.full(60, NAN)
    said[SPREAD] = won[SPREAD]
    found = ByExample().answer(views, said)
    assert found.view == "the end"
    assert (found.answer == np.where(won, 1, -1)).mean() > 0.9


def test_views_of_other_episodes_are_refused() -> None:
    with pytest.raises(RecordError, match=r"\[3\].*of 4"):
        ByExample().answer([View("end", np.zeros((3, 1)))], np.full(4, NAN))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 5), st.floats(0.0, 1.0))
def test_the_stated_error_holds_for_every_true_share_of_wrong_answers(told: int, wrong: int, share: float) -> None:
    from scipy.stats import binom

    assert share * binom.cdf(wrong, told, share) <= mean_error(told, wrong) + 1e-3


def test_labels_by_chance_are_answered_in_few_sets() -> None:
    """The negative control: 100 sets with labels handed out by chance."""
    error, some = [], 0
    for seed in range(100):
        place, won = two_groups(seed)
        rng = np.random.default_rng([seed, 1])
        luck, rows = rng.permutation(won), rng.permutation(60)[:12].tolist()
        found = answered(place, luck, rows)
        open_ = ~np.isin(np.arange(60), rows) & (found.answer != 0)
        error.append(float((found.answer != np.where(luck, 1, -1))[open_].mean()) if open_.any() else 0.0)
        some += bool(open_.any())
    assert some <= 15
    assert np.mean(error) <= 0.1


def test_many_said_are_thinned_out_evenly() -> None:
    place, won = two_groups()
    many, outcome = np.tile(place, (10, 1)) + np.random.default_rng(0).normal(0, 0.01, (600, 2)), np.tile(won, 10)
    said = np.where(np.arange(600) < 500, outcome, NAN)
    found = ByExample(most_said=40).answer([View("the end", many)], said)
    assert (found.answer[500:] == np.where(outcome[500:], 1, -1)).mean() > 0.95


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30))
def test_paths_are_no_longer_than_the_straight_way_and_as_long_back(seed: int, n: int) -> None:
    place = np.random.default_rng(seed).normal(size=(n, 2))
    length = path_lengths(place, range(n))
    straight = np.linalg.norm(place[:, None] - place[None], axis=2)
    assert (length <= straight + 1e-9).all()
    np.testing.assert_allclose(length, length.T, atol=1e-9)


def test_what_follows_from_the_place_is_taken_out() -> None:
    rng = np.random.default_rng(0)
    place = rng.normal(size=(60, 2))
    end = place @ [[1.0, 0.5], [0.2, 2.0]]
    end[:10] += 1.0
    left = beyond(end, place)
    assert np.abs(left[10:]).max() < 0.1 < 0.8 < np.abs(left[:10]).min()
