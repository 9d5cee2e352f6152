import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sampling_weights import ANY_TRUST, pool, row

from sima2.errors import UsageError
from sima2.records.table import Text
from sima2.sampling.effective import effective
from sima2.sampling.request import request
from sima2.sampling.weight_settings import PumpSettings
from sima2.sampling.weights import plan_weights
from sima2.tasks.families import ALL_FAMILIES
from sima2.tasks.plan import rollouts_plan


def test_a_uniform_plan_is_worth_all_its_episodes_and_favours_nobody():
    episodes = pool(80)
    told = effective(episodes, plan_weights(episodes).p)
    assert told["n"] == 80
    assert told["effective_sample_size"] == pytest.approx(80)
    assert told["largest"] == pytest.approx(1)
    assert told["uniform"] is True
    for each in (told["failed"], *told["families"].values(), *told["tags"].values()):
        assert each["share"] == pytest.approx(each["even"])
    json.dumps(told)


def test_a_trusted_tag_is_drawn_more_and_the_sample_is_worth_less():
    episodes = pool(200, RiskTag=0.95)
    plan = plan_weights(episodes)
    told = effective(episodes, plan.p)
    assert told["tags"]["RiskTag"]["share"] > 1.5 * told["tags"]["RiskTag"]["even"]
    assert told["effective_sample_size"] == pytest.approx(1 / (plan.p**2).sum())
    assert told["largest"] == pytest.approx(200 * plan.p.max())
    assert not told["uniform"]
    assert sum(each["share"] for each in told["families"].values()) == pytest.approx(1)


def test_for_imitation_failed_episodes_are_drawn_less_than_evenly():
    episodes = pool(200, RecoveryTag=0.95)
    failed = effective(episodes, plan_weights(episodes, for_objective="bc").p)["failed"]
    assert failed["even"] == (episodes.success == 0).mean()
    assert failed["share"] < failed["even"]


def test_an_empty_pool_has_no_effect_and_another_pool_is_refused():
    assert effective(pool(0), np.zeros(0))["effective_sample_size"] == 0.0
    with pytest.raises(UsageError, match="3 probabilities for 2"):
        effective(pool(2), np.full(3, 1 / 3))


def counts(table):
    return {(family, template): n for family, template, n in zip(*map(list, vars(table).values()), strict=True)}


def asked(episodes, n, **more):
    return counts(request(plan_weights(episodes), episodes, n, **more))


@pytest.mark.parametrize("trust", [{}, {"RiskTag": 0.0, "OODTag": 0.5, "RecoveryTag": 0.3}])
def test_when_nothing_is_trusted_all_families_are_asked_for_alike(trust):
    """The pool holds family b twice as often as the others."""
    assert asked(pool(400, **trust), 300) == {("a", ""): 100, ("b", ""): 100, ("c", ""): 100}
    assert asked(pool(400, **trust), 5) == {("a", ""): 2, ("b", ""): 2, ("c", ""): 1}


@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(0, 500), size=st.integers(1, 200), seed=st.integers(0, 50), trust=ANY_TRUST, rarity=st.floats(0, 1)
)
def test_counts_sum_to_what_is_asked_and_every_family_keeps_its_floor(n, size, seed, trust, rarity):
    episodes = pool(size, seed, **trust)
    found = asked(episodes, n, settings=PumpSettings(rarity=rarity))
    assert sum(found.values()) == n
    families = set(episodes.family)
    for name in families:
        mine = sum(count for (family, _), count in found.items() if family == name)
        assert mine >= int(0.2 * n / len(families))
    assert {template for _, template in found} <= {"", "recovery"}


def test_recoveries_are_asked_for_in_the_share_in_which_they_are_drawn():
    episodes = pool(400, RecoveryTag=0.95)
    plan = plan_weights(episodes)
    found = counts(request(plan, episodes, 10_000))
    for name in "abc":
        mine = episodes.family.isin(name) & (episodes.levels["RecoveryTag"] > 0)
        assert found[name, "recovery"] == pytest.approx(8_000 * plan.p[mine].sum(), abs=1)


def test_no_template_is_asked_for_because_of_a_tag_without_trust():
    """Negative control: recoveries are there, but only the risk is trusted."""
    assert {template for _, template in asked(pool(400, RiskTag=0.95, RecoveryTag=0.5), 100)} == {""}


def test_rarity_asks_for_what_is_drawn_beyond_its_even_share():
    """Only c is risky: with rarity, being frequent earns b nothing."""
    episodes = pool(400, RiskTag=0.95)
    risky = np.where(episodes.family.isin("c"), 1.0, 0.0)
    episodes = replace(episodes, levels={"RiskTag": risky})
    plain, rare = asked(episodes, 1000), asked(episodes, 1000, settings=PumpSettings(rarity=1.0))
    assert rare["c", ""] > plain["c", ""]
    assert abs(rare["a", ""] - rare["b", ""]) <= 1 < plain["b", ""] - plain["a", ""]


def test_the_order_of_the_pool_changes_no_request():
    episodes = pool(300, RecoveryTag=0.9, RiskTag=0.7)
    assert asked(episodes.take(np.random.default_rng(0).permutation(300)), 77) == asked(episodes, 77)


def test_further_families_get_their_floor_and_the_unknown_one_cannot_be_made():
    episodes = pool(100, RiskTag=0.95)
    named = replace(episodes, family=Text.of(["unknown" if name == "b" else name for name in episodes.family]))
    found = asked(named, 100, families=["z"])
    assert {family for family, _ in found} == {"a", "c", "z"}
    assert found["z", ""] == 7
    nameless = replace(episodes, family=Text.full(100, "unknown"))
    with pytest.raises(UsageError, match="no family is known"):
        asked(nameless, 1)
    assert asked(nameless, 0) == {}


def test_what_is_out_of_range_is_refused():
    episodes = pool(10)
    with pytest.raises(UsageError, match="-1 rollouts"):
        request(plan_weights(episodes), episodes, -1)
    with pytest.raises(UsageError, match="not of the same episodes"):
        request(plan_weights(pool(9)), episodes, 1)
    with pytest.raises(UsageError, match="rarity is 2"):
        PumpSettings(rarity=2)


def test_the_task_library_can_make_what_is_asked_for():
    n = 16 * len(ALL_FAMILIES)
    episodes = replace(
        pool(n), family=Text.of(list(ALL_FAMILIES) * 16), trust={"RecoveryTag": row("RecoveryTag", 0.95)}
    )
    wanted = request(plan_weights(episodes), episodes, 100)
    assert "recovery" in set(wanted.template)
    for each in wanted.rows():
        made = rollouts_plan(each["family"], template=each["template"] or None, count=each["count"], seed=0)
        assert len(made) == each["count"]
