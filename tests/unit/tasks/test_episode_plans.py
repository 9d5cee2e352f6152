"""Plans: quotas, coverage, mixes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sima2.errors import UnknownNameError, UsageError
from sima2.tasks.design import MALFORMED, WELL_FORMED, EpisodePlan, Injection, quotas
from sima2.tasks.failure_modes import FAILURE_MODES
from sima2.tasks.families import ALL_FAMILIES, FAMILIES, FRICTIONS, MASSES, TEMPLATES
from sima2.tasks.plan import mix_plan, rollouts_plan


def _same(one: EpisodePlan, other: EpisodePlan) -> bool:
    return list(one.rows()) == list(other.rows())


@given(st.integers(0, 5000), st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6))
def test_quotas_sum_to_the_total_and_are_exact_to_rounding(total, shares) -> None:
    whole = quotas(total, shares)
    exact = total * np.array(shares) / np.sum(shares)
    assert whole.sum() == total
    assert (np.abs(whole - exact) < 1.0 + 1e-6).all()


def test_a_hardening_batch_of_a_thousand_has_its_exact_quotas() -> None:
    plan = mix_plan("hardening", families=["sort_objects"], episodes=1000, seed=3)
    count = Counter(plan.template)
    assert [count[name] for name in TEMPLATES] == [600, 200, 150, 50]
    failed = plan.take(~plan.template.isin("success"))
    modes = Counter(failed.failure_mode)
    assert max(modes.values()) - min(modes.values()) <= 2 * 3
    tried = plan.take(plan.template.isin("failure"))
    assert (tried.attempts > 0).mean() >= 0.4
    strategies = Counter(plan.recovery_strategy[np.flatnonzero(plan.template.isin("recovery"))])
    strategies.pop("", None)
    assert max(strategies.values()) - min(strategies.values()) <= 0.2 * 150


def test_bare_hardening_makes_every_family_in_equal_number() -> None:
    plan = mix_plan("hardening", seed=0)
    assert Counter(plan.family) == dict.fromkeys(ALL_FAMILIES, 250)


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_every_combination_of_geometry_friction_and_mass_is_covered_whatever_the_template(family) -> None:
    plan = mix_plan("hardening", families=[family], episodes=1000, seed=1)
    cells = Counter(zip(plan.geometry, plan.friction, plan.mass, strict=True))
    assert len(cells) == 3 * len(FRICTIONS) * len(MASSES)
    assert max(cells.values()) - min(cells.values()) <= 1
    heavy = plan.mass.isin("heavy")
    for name in ("success", "failure", "recovery"):
        share = heavy[plan.template.isin(name)].mean()
        assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(150)


def test_the_order_of_the_episodes_tells_nothing() -> None:
    plan = mix_plan("hardening", families=["drawer_open", "dish_place"], episodes=500, seed=2)
    failed = plan.template.isin("failure").astype(float)
    assert abs(np.corrcoef(failed[1:], failed[:-1])[0, 1]) < 0.12
    assert abs(np.corrcoef(failed, np.arange(len(plan)))[0, 1]) < 0.12


def test_no_object_of_the_scene_gives_the_template_away() -> None:
    plan = mix_plan("hardening", families=["pick_and_place"], episodes=2000, seed=5)
    others = sorted(set(plan.other))
    table = np.array([[(plan.template.isin(t) & plan.other.isin(o)).sum() for o in others] for t in TEMPLATES])
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    assert (np.square(table - expected) / expected).sum() < 27.9  # chi-square of 9 degrees of freedom, p = 0.001


@given(st.integers(0, 2**31), st.sampled_from(["hardening", "stress_mix_v1", "edge_cases_v1"]))
@settings(max_examples=15, deadline=None)
def test_a_plan_depends_on_its_arguments_alone(seed, mix) -> None:
    assert _same(mix_plan(mix, episodes=3, seed=seed), mix_plan(f"dataset_{mix}", episodes=3, seed=seed))


def test_another_seed_gives_another_plan_and_ids_stay_unique() -> None:
    one, other = (mix_plan("hardening", episodes=30, seed=seed) for seed in (0, 1))
    assert not _same(one, other)
    assert len(set(one.episode_id)) == len(one)
    assert one.episode_index.tolist() == list(range(len(one)))


def test_the_stress_mix_has_its_families_noise_and_rates() -> None:
    plan = mix_plan("stress_mix_v1", seed=0)
    honest = plan.garbage.isin("")
    assert len(plan) == 10_000
    assert honest.sum() == 8000
    assert Counter(plan.family[np.flatnonzero(honest)]) == {"drawer_open": 4000, "dish_place": 4000}
    assert plan.template[np.flatnonzero(honest)].isin("failure").mean() == pytest.approx(0.3)
    assert plan.template[np.flatnonzero(honest)].isin("recovery").mean() == pytest.approx(0.1)
    assert (~plan.ood_source.isin("")).sum() == pytest.approx(0.05 * 8000, abs=1)
    assert set(plan.friction[np.flatnonzero(plan.family.isin("drawer_open"))]) == {"high"}
    assert plan.garbage.isin(*WELL_FORMED).sum() == pytest.approx(1000, abs=10)


def test_edge_cases_hold_each_kind_of_garbage_among_good_episodes() -> None:
    plan = mix_plan("edge_cases_v1", seed=0)
    kinds = Counter(plan.garbage)
    assert kinds.pop("") == 2 * len(FAMILIES)
    assert kinds == dict.fromkeys((*WELL_FORMED, *MALFORMED), 1)


def test_some_failures_come_right_with_no_attempt() -> None:
    plan = rollouts_plan("drawer_open", template="recovery", count=200, seed=0)
    alone = plan.attempts == 0
    assert 0.05 <= alone.mean() <= 0.15
    assert set(plan.recovery_strategy[np.flatnonzero(alone)]) == {""}
    assert all(FAILURE_MODES[mode].resolves for mode in plan.failure_mode[np.flatnonzero(alone)])


def test_a_request_is_met_to_the_letter() -> None:
    plan = rollouts_plan(
        "wipe_surface", template="recovery", failure_mode="tool_loss", recovery_strategy="re_trace", count=7, seed=0
    )
    assert set(plan.template) == {"recovery"}
    assert set(plan.failure_mode) == {"tool_loss"}
    assert set(plan.recovery_strategy) == {"re_trace"}
    assert (plan.attempts >= 1).all()


@pytest.mark.parametrize(
    ("ask", "error", "told"),
    [
        (lambda: mix_plan("hardning"), UnknownNameError, "stress_mix_v1"),
        (lambda: mix_plan("hardening", families=["drawer"]), UnknownNameError, "drawer_open"),
        (lambda: mix_plan("hardening", episodes=-1), UsageError, "negative"),
        (lambda: rollouts_plan("drawer_open", template="succes", count=1), UnknownNameError, "recovery"),
        (lambda: rollouts_plan("drawer_open", failure_mode="drop", count=1), UnknownNameError, "locked_joint"),
        (lambda: rollouts_plan("drawer_open", recovery_strategy="nudge", count=1), UnknownNameError, "wiggle_pull"),
        (
            lambda: rollouts_plan("drawer_open", template="success", failure_mode="grasp_slip", count=1),
            UsageError,
            "leave",
        ),
        (lambda: rollouts_plan("dish_place", count=1, inject=Injection("locked_joint")), UnknownNameError, "slip"),
        (lambda: rollouts_plan("dish_place", count=1, inject=Injection("gremlin")), UnknownNameError, "unknown_object"),
        (lambda: rollouts_plan("dish_place", count=1, inject=Injection("slip", frame=0)), UsageError, "frame"),
    ],
)
def test_what_cannot_be_had_is_an_error_that_says_what_can(ask, error, told) -> None:
    with pytest.raises(error, match=told):
        ask()
