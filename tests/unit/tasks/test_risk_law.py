"""The risk law: exact quotas and calibrated risk at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sima2.tasks.failure_modes import FAILURE_MODES
from sima2.tasks.plan import mix_plan
from sima2.tasks.risk import (
    CONDITIONS,
    draw_conditions,
    draw_score,
    fragile_score,
    loadings,
    remaining,
    sigmoid,
)
from sima2.tasks.synthetic import generate

SIGMA = 2.0


def _draw(n: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    event = np.arange(n) < round(share * n)
    score, _ = draw_score(np.full(n, share), event, rng.random(n), sigma=SIGMA)
    return sigmoid(score), event


@pytest.mark.parametrize("share", [0.1, 0.4, 0.5])
def test_risk_is_calibrated_though_the_quota_is_exact(share) -> None:
    risk, event = _draw(20_000, share, 1)
    assert risk.mean() == pytest.approx(share, abs=0.01)
    for low in np.arange(0.0, 1.0, 0.1):
        here = (risk >= low) & (risk < low + 0.1)
        if here.sum() < 50:
            continue
        spread = np.sqrt(risk[here].mean() * (1 - risk[here].mean()) / here.sum())
        assert abs(event[here].mean() - risk[here].mean()) < 4 * spread + 0.005


def test_shuffled_risk_has_no_skill() -> None:
    risk, event = _draw(3000, 0.4, 2)
    reference = event.mean() * (1 - event.mean())
    skill = 1 - np.square(risk - event).mean() / reference
    shuffled = np.random.default_rng(0).permutation(risk)
    assert skill > 0.3
    assert 1 - np.square(shuffled - event).mean() / reference < 0.0


@given(st.integers(0, 2**32 - 1), st.sampled_from(list(FAILURE_MODES)))
def test_conditions_have_exactly_the_score_that_was_drawn(seed, mode) -> None:
    rng = np.random.default_rng(seed)
    b = loadings(SIGMA)[np.full(5, list(FAILURE_MODES).index(mode))]
    score, intercept, z = 3 * rng.standard_normal(5), rng.standard_normal(5), rng.standard_normal((5, len(CONDITIONS)))
    x = draw_conditions(score, intercept, b, z)
    assert np.allclose(intercept + (b * x).sum(axis=1), score)


def test_conditions_stay_standard_normal_over_all_episodes() -> None:
    n = 20_000
    rng = np.random.default_rng(3)
    event = np.arange(n) < round(0.4 * n)
    b = np.repeat(loadings(SIGMA)[:1], n, axis=0)
    score, intercept = draw_score(np.full(n, 0.4), event, rng.random(n), sigma=SIGMA)
    x = draw_conditions(score, intercept, b, rng.standard_normal((n, len(CONDITIONS))))
    assert np.allclose(x.mean(axis=0), 0.0, atol=0.04)
    assert np.allclose(np.cov(x.T), np.eye(len(CONDITIONS)), atol=0.06)


def test_less_friction_and_grip_hurt_only_where_grip_matters() -> None:
    b = loadings(SIGMA)
    rise = fragile_score(np.zeros(len(b)), b)
    for name, value in zip(FAILURE_MODES, rise, strict=False):
        assert (value > 0) == ("grip" in FAILURE_MODES[name].exposes)


@given(st.floats(0.01, 0.99), st.floats(0.0, 0.99))
def test_remaining_risk_is_the_conditional_probability(risk, elapsed) -> None:
    left = float(remaining(np.float32([risk]), np.float32([elapsed]))[0])
    ahead = risk * (1 - elapsed)
    assert left == pytest.approx(ahead / (ahead + 1 - risk), abs=1e-4)


def test_the_frames_of_generated_episodes_carry_calibrated_risk() -> None:
    plan = mix_plan("hardening", families=["drawer_open", "dish_place", "sort_objects"], episodes=600, seed=11)
    truth = generate(plan).truth
    event, start = truth.episodes.event_frame, truth.offset[:-1]
    for frame in (0, 60, 110):
        alive = np.diff(truth.offset) > frame
        risk = truth.frames.risk[start[alive] + frame].astype(np.float64)
        left = ~np.isnan(risk)
        struck = (event[alive][left] > frame).astype(np.float64)
        risk = risk[left]
        spread = np.sqrt((risk * (1 - risk)).sum()) / len(risk)
        assert abs(risk.mean() - struck.mean()) < 4 * spread
        assert np.square(risk - struck).mean() < struck.mean() * (1 - struck.mean())
    first = truth.frames.risk[start]
    assert np.allclose(first, truth.episodes.initial_risk, atol=1e-6)
    lucky = (truth.episodes.initial_risk > 0.8) & truth.episodes.success & (event < 0)
    black_swan = (truth.episodes.initial_risk < 0.2) & ~truth.episodes.success
    assert lucky.any()
    assert black_swan.any()
