"""A small policy imitates what counts, by how much it counts, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sima2.errors import UsageError
from sima2.imitation.policy import FitSettings, Policy, fit

SMALL = FitSettings(hidden=8, steps=20, batch=32)


def demonstrations(seed: int = 0, n: int = 200) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    seen = rng.normal(0, 1, (n, 3))
    return seen, np.stack([np.sin(seen[:, 0]), seen[:, 1] * 0.1 + 5], axis=1)


def same(one: Policy, other: Policy) -> bool:
    layers = zip(one.layers, other.layers, strict=True)
    return all(np.array_equal(a, b) for left, right in layers for a, b in zip(left, right, strict=True)) and (
        np.array_equal(one.seen_mean, other.seen_mean) and np.array_equal(one.done_spread, other.done_spread)
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), garbage=st.sampled_from([0.0, 1e9, np.nan, np.inf]))
def test_frames_of_no_weight_have_no_say_whatever_they_hold(seed: int, garbage: float) -> None:
    seen, done = demonstrations(seed)
    weights = np.random.default_rng(seed).uniform(0.1, 1, len(seen)) * (np.arange(len(seen)) % 3 > 0)
    spoiled, wrong = seen.copy(), done.copy()
    spoiled[weights == 0], wrong[weights == 0] = garbage, garbage
    clean = fit(seen, done, weights, seed=seed, settings=SMALL)
    assert same(clean, fit(spoiled, wrong, weights, seed=seed, settings=SMALL))


@settings(max_examples=10, deadline=None)
@given(weight=st.floats(1e-6, 1e6))
def test_weights_that_are_all_alike_are_as_weights_of_1(weight: float) -> None:
    seen, done = demonstrations()
    one = fit(seen, done, np.ones(len(seen)), seed=1, settings=SMALL)
    assert same(one, fit(seen, done, np.full(len(seen), weight), seed=1, settings=SMALL))


def test_the_same_seed_gives_the_same_policy_and_another_seed_another() -> None:
    seen, done = demonstrations()
    a, b, c = (fit(seen, done, np.ones(len(seen)), seed=seed, settings=SMALL) for seed in (3, 3, 4))
    assert same(a, b)
    assert not same(a, c)


def test_it_does_what_was_shown_it_in_its_own_units() -> None:
    seen, done = demonstrations(n=2000)
    policy = fit(seen, done, np.ones(len(seen)), seed=0, settings=FitSettings(hidden=32, steps=800))
    held_out, right = demonstrations(1)
    assert np.abs(policy.act(held_out) - right).mean(axis=0).max() < 0.1


def test_what_weighs_more_is_followed() -> None:
    seen = np.zeros((200, 1)) + np.linspace(-1, 1, 200)[:, None]
    done = np.where(np.arange(200)[:, None] % 2, 1.0, -1.0)
    weights = np.where(np.arange(200) % 2, 9.0, 1.0)
    policy = fit(seen, done, weights, seed=0, settings=FitSettings(hidden=16, steps=400))
    assert policy.act(np.zeros((1, 1)))[0, 0] == pytest.approx(0.8, abs=0.2)


def test_an_input_or_an_action_that_never_varies_does_no_harm() -> None:
    seen, done = demonstrations()
    seen[:, 2], done[:, 1] = 0.3, 7.0
    policy = fit(seen, done, np.ones(len(seen)), seed=0, settings=SMALL)
    other = seen.copy()
    other[:, 2] = 1e6
    assert np.array_equal(policy.act(seen), policy.act(other))
    assert (policy.act(seen)[:, 1] == 7.0).all()


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.zeros(200), "above 0"),
        (np.full(200, -1.0), "at least 0"),
        (np.full(200, np.nan), "numbers"),
        (np.ones(199), "shapes"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights: NDArray[np.float64], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        fit(*demonstrations(), weights, seed=0, settings=SMALL)


def test_a_frame_that_counts_and_is_not_known_is_refused() -> None:
    seen, done = demonstrations()
    done[5, 0] = np.nan
    with pytest.raises(UsageError, match="give it the weight 0"):
        fit(seen, done, np.ones(len(seen)), seed=0, settings=SMALL)


def test_settings_that_train_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="steps"):
        FitSettings(steps=0)
