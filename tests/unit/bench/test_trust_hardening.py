"""The bench of trust tells worlds apart, and its targets can be missed."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from sima2.analytics.econ import econ_vectors
from sima2.analytics.econ_correlator import EconCorrelator
from sima2.bench import trust_hardening
from sima2.bench.trust_hardening import CLAIMS, JUDGED, _targets, rows, run, strange_ones_fail
from sima2.records.trust import TrustRow
from sima2.tasks.plan import mix_plan
from sima2.tasks.synthetic import generate
from sima2.tasks.world_settings import PhysicsSettings

FAMILIES = ("drawer_open", "dish_place", "wipe_surface", "pick_and_place", "sort_objects")
"""What is counted below is counted of these."""


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return run(episodes=200, seed=8201)


def _true_risk(*, hurts: bool, shuffled: bool = False) -> TrustRow:
    """The verdict on true high risk against damage."""
    plan = mix_plan("hardening", families=FAMILIES, episodes=300, seed=8202)
    made = generate(plan, PhysicsSettings(hazard_hurts=hurts))
    each = made.batch.episodes
    strata = ["|".join(kind) for kind in zip(each.family, each.robot, each.policy, each.session, strict=True)]
    high = made.truth.episodes.initial_risk > 0.8
    if shuffled:
        high = np.random.default_rng(0).permutation(high)
    harm = econ_vectors(made.batch, made.outcome).damage
    return EconCorrelator().calibrate({"RiskTag": high}, harm, strata)["RiskTag"]


def test_true_risk_earns_trust_only_where_hazard_alters_impacts() -> None:
    hurting, harmless = _true_risk(hurts=True), _true_risk(hurts=False)
    assert hurting.tier == "trusted"
    assert hurting.effect > 0.2
    assert harmless.trust_level == 0.0
    assert abs(harmless.effect) < 0.06
    assert harmless.n_tagged == hurting.n_tagged > 150
    assert _true_risk(hurts=True, shuffled=True).trust_level == 0.0


def test_tag_and_oracle_are_judged_on_the_same_episodes(values: dict[str, Any]) -> None:
    for found in values["worlds"].values():
        for tag in ("RiskTag", "OODTag"):
            assert found["tag"][tag]["n"] == found["oracle"][tag]["n"] == found["oracle_same_share"][tag]["n"]
            assert found["tag"][tag]["n_tagged"] == found["oracle_same_share"][tag]["n_tagged"]
        assert set(found["tag"]) == set(JUDGED)


def test_the_oracle_ends_where_the_physics_of_each_world_says(values: dict[str, Any]) -> None:
    ordinary, harmless, strange = (values["worlds"][name] for name in ("ordinary", "harmless", "strange_fails"))
    assert ordinary["oracle"]["RiskTag"]["tier"] == "trusted"
    assert harmless["oracle"]["RiskTag"]["trust_level"] == 0.0
    assert ordinary["risk_premium"]["oracle"]["value"] > 2 > harmless["risk_premium"]["oracle"]["value"]
    # the switch takes away what risk breaks, not how well it tells failure
    told = [world["risk_against_success"]["oracle"]["effect"] for world in (ordinary, harmless)]
    assert min(told) > 0.2
    assert abs(told[0] - told[1]) < 0.05
    damaged = harmless["damaged"]
    assert abs(damaged["with_failure_event"] - damaged["without"]) < 0.08
    assert ordinary["damaged"]["with_failure_event"] > 0.3 > 0.02 > ordinary["damaged"]["without"]
    assert ordinary["oracle"]["OODTag"]["trust_level"] == 0.0
    assert strange["oracle"]["OODTag"]["tier"] == "trusted"


def test_tags_follow_where_so_few_episodes_can_tell(values: dict[str, Any]) -> None:
    worlds = values["worlds"]
    assert worlds["ordinary"]["tag"]["RecoveryTag"]["effect"] > 0.4
    assert worlds["strange_fails"]["tag"]["OODTag"]["tier"] != "untrusted"
    assert worlds["ordinary"]["tag"]["OODTag"]["tier"] == "untrusted"
    assert worlds["harmless"]["tag"]["RiskTag"]["tier"] == "untrusted"
    for found in worlds.values():
        assert found["shuffled"]["with_any_trust"] <= 6


def test_a_world_of_other_physics_misses_the_targets(values: dict[str, Any]) -> None:
    swapped = deepcopy(values["worlds"])
    swapped["harmless"], swapped["ordinary"] = swapped["ordinary"], swapped["harmless"]
    told = _targets(swapped)
    assert not told["harmless RiskTag oracle"]["met"]
    assert not told["ordinary RiskTag oracle"]["met"]
    assert not told["ordinary risk_premium oracle"]["met"]
    leaky = deepcopy(values["worlds"])
    leaky["ordinary"]["shuffled"]["with_any_trust"] = 10
    assert not _targets(leaky)["ordinary shuffled_share"]["met"]


def test_every_claim_is_a_target_and_every_figure_a_row(values: dict[str, Any]) -> None:
    for world, claims in CLAIMS.items():
        for tag in claims:
            assert {f"{world} {tag} tag", f"{world} {tag} oracle"} <= set(values["targets"])
    table = rows(values)
    assert sum(bool(limit) for _, _, limit in table) == len(values["targets"])
    assert len({name for name, _, _ in table}) == len(table)
    assert trust_hardening.__doc__
    assert all(world in trust_hardening.__doc__ for world in CLAIMS)


def test_as_many_episodes_are_strange_and_all_of_them_fail() -> None:
    plan = mix_plan("hardening", families=FAMILIES, episodes=200, seed=1)
    other = strange_ones_fail(plan)
    assert (~other.ood_source.isin("")).sum() == (~plan.ood_source.isin("")).sum() == 30
    assert set(other.take(~other.ood_source.isin("")).template) == {"failure"}
    assert other.take(~plan.ood_source.isin("visual")).template.tolist() == (
        plan.take(~plan.ood_source.isin("visual")).template.tolist()
    )
