import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from sima2.errors import UnknownNameError, UsageError
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import SamplePlan
from sima2.records.table import Text
from sima2.records.tags import TagTable
from sima2.records.trust import TrustRow
from sima2.sampling.pool import Pool, given_levels
from sima2.sampling.sampler import DataPackRLSampler, systematic
from sima2.sampling.weight_settings import OBJECTIVES, STRATEGIES, SamplingSettings
from sima2.sampling.weights import gain_of, importance, limited, plan_weights, strategy_weights
from sima2.tags.specs import TAGS

LIMITS = SamplingSettings()
NAMES = ("RiskTag", "RecoveryTag", "OODTag")


def row(tag, level, effect=0.6):
    tier = "trusted" if level > 0.8 else "provisional" if level > 0.5 else "untrusted"
    return TrustRow(
        tag=tag,
        trust_level=level,
        tier=tier,
        correlation_strength="strong",
        economic_impact=1.0,
        cost_field="damage",
        note="",
        effect=effect,
        interval=(0.0, 1.0),
        p_value=0.0,
        q_value=0.0,
        n_tagged=1,
        n=2,
        strata=1,
        reason="ok",
        digest="",
        needs_recalibration=False,
    )


def pool(n, seed=0, **trust):
    rng = np.random.default_rng(seed)
    return Pool(
        episode_index=np.arange(100, 100 + n),
        episode_id=Text.of(f"e{k}" for k in range(n)),
        family=Text.of(rng.choice(["a", "b", "b", "c"], n).tolist()),
        success=rng.choice([0.0, 1.0, np.nan], n),
        levels={tag: np.where(rng.random(n) < 0.2, rng.uniform(0.8, 1, n), 0.0) for tag in NAMES},
        trust={tag: row(tag, level) for tag, level in trust.items()},
        pulls={name: spec.pulls for name, spec in TAGS.items()},
        templates={name: spec.template for name, spec in TAGS.items() if spec.template},
    )


ANY_TRUST = st.dictionaries(st.sampled_from(sorted(NAMES)), st.floats(0, 1))
ANY_GOAL = st.sampled_from(sorted(OBJECTIVES))
ANY_STRATEGY = st.sampled_from(sorted(STRATEGIES))


@settings(max_examples=120, deadline=None)
@given(n=st.integers(1, 300), seed=st.integers(0, 99), trust=ANY_TRUST, goal=ANY_GOAL, name=ANY_STRATEGY)
def test_weights_sum_to_one_within_cap_and_effective_size(n, seed, trust, goal, name):
    episodes = pool(n, seed, **trust)
    plan = plan_weights(episodes, for_objective=goal, strategy=name)
    assert abs(plan.p.sum() - 1) < 1e-12
    assert plan.p.max() <= LIMITS.cap / n * (1 + 1e-12)
    assert plan.p.min() > 0
    if name != "balanced":
        assert plan.p.min() >= LIMITS.uniform_mix / n * (1 - 1e-12)
    assert 1 / (plan.p**2).sum() >= LIMITS.least_effective * n * (1 - 1e-12)
    assert plan.is_weight.max() == 1.0
    np.testing.assert_allclose(plan.p * plan.is_weight, (plan.p * plan.is_weight)[0])
    np.testing.assert_array_equal(plan.p, strategy_weights(episodes, name, for_objective=goal))


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 200), seed=st.integers(0, 99), trust=ANY_TRUST, goal=ANY_GOAL, name=ANY_STRATEGY)
def test_the_order_of_the_pool_changes_no_probability(n, seed, trust, goal, name):
    episodes = pool(n, seed, **trust)
    order = np.random.default_rng(seed).permutation(n)
    straight = plan_weights(episodes, for_objective=goal, strategy=name)
    shuffled = plan_weights(episodes.take(order), for_objective=goal, strategy=name)
    np.testing.assert_array_equal(shuffled.p, straight.p[order])
    assert shuffled.reasons.tolist() == straight.reasons[order].tolist()


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 200), seed=st.integers(0, 99), trust=ANY_TRUST, goal=ANY_GOAL, name=ANY_STRATEGY)
def test_a_noise_tag_without_trust_changes_nothing(n, seed, trust, goal, name):
    """Negative control: the same tag with trust does change the weights, as the next test shows."""
    episodes = pool(n, seed, **trust)
    noisy = with_noise(episodes, 0.0)
    np.testing.assert_array_equal(
        plan_weights(noisy, for_objective=goal, strategy=name).p,
        plan_weights(episodes, for_objective=goal, strategy=name).p,
    )


def test_the_same_tag_with_trust_changes_weights_for_reinforcement_alone():
    episodes = pool(200)
    noisy = with_noise(episodes, 0.95)
    assert plan_weights(noisy).p.max() > 2 / 200
    assert (plan_weights(noisy, for_objective="bc").p == 1 / 200).all()


def with_noise(episodes, level):
    noise = (np.random.default_rng(5).random(len(episodes)) < 0.3).astype(float)
    return replace(
        episodes,
        levels={**episodes.levels, "NoiseTag": noise},
        trust={**episodes.trust, "NoiseTag": row("NoiseTag", level)},
    )


@settings(max_examples=80, deadline=None)
@given(n=st.integers(1, 200), seed=st.integers(0, 99), trust=ANY_TRUST, name=ANY_STRATEGY)
def test_for_imitation_no_strategy_gives_a_known_failure_more_than_its_even_share(n, seed, trust, name):
    episodes = pool(n, seed, **trust)
    p = plan_weights(episodes, for_objective="bc", strategy=name).p
    assert (p[episodes.success == 0] <= 1 / n * (1 + 1e-12)).all()


def test_for_reinforcement_known_failures_may_gain():
    episodes = pool(200, RiskTag=0.95)
    p = plan_weights(episodes, for_objective="rl", strategy="advanced").p
    assert p[episodes.success == 0].max() > 2 / 200


def test_every_objective_speaks_for_every_tag():
    for spec in TAGS.values():
        assert set(spec.pulls) >= set(OBJECTIVES)
    assert {tag for tag, spec in TAGS.items() if spec.pulls["bc"] > 0} == {"RecoveryTag"}


def test_curricula_are_narrowed_by_what_imitation_wants():
    episodes = pool(400, RiskTag=0.95)
    assert (plan_weights(episodes, for_objective="bc", strategy="advanced").p == 1 / 400).all()
    risky = episodes.levels["RiskTag"] > 0
    early = plan_weights(episodes, for_objective="bc", strategy="early").p
    assert early[risky].mean() < early[~risky].mean()


def test_a_million_episodes_are_weighed_and_drawn_in_seconds():
    n = 1_000_000
    rng = np.random.default_rng(0)
    episodes = Pool(
        np.arange(n),
        Text(np.arange(n), tuple(map(str, range(n)))),
        Text(rng.integers(0, 5, n), tuple("abcde")),
        rng.choice([0.0, 1.0], n),
        {tag: np.where(rng.random(n) < 0.2, rng.random(n), 0.0) for tag in NAMES},
        {tag: row(tag, 0.95) for tag in NAMES},
    )
    before = time.process_time()
    plan = plan_weights(episodes)
    draws = DataPackRLSampler(plan).sample(n)
    assert time.process_time() - before < 15
    assert abs(plan.p.sum() - 1) < 1e-12
    assert len(draws) == n


def test_importance_weights_make_a_weighted_mean_unbiased():
    p = np.random.default_rng(0).dirichlet(np.ones(30))
    x = np.arange(30.0)
    weight = importance(p)
    assert (p * weight * x).sum() / (p * weight).sum() == pytest.approx(x.mean())
    assert importance(np.array([1.0, 0.0])).tolist() == [1.0, 0.0]


@settings(max_examples=100, deadline=None)
@given(
    weight=st.lists(st.floats(0, 1e6), min_size=1, max_size=60).filter(lambda w: max(w) > 1e-9),
    cap=st.floats(1, 8),
    mix=st.floats(0, 1),
    least=st.floats(0, 1),
)
def test_limits_hold_for_any_weights(weight, cap, mix, least):
    n = len(weight)
    p = limited(np.array(weight), SamplingSettings(cap=cap, uniform_mix=mix, least_effective=least))
    assert abs(p.sum() - 1) < 1e-12
    assert p.min() >= 0
    assert p.max() <= cap / n * (1 + 1e-9)
    assert 1 / (p**2).sum() >= least * n * (1 - 1e-6)


@pytest.mark.parametrize("trust", [{}, {"RiskTag": 0.0, "OODTag": 0.5, "RecoveryTag": 0.3}])
def test_when_nothing_is_trusted_every_episode_is_drawn_alike(trust):
    for goal in ("bc", "rl"):
        assert (plan_weights(pool(77, **trust), for_objective=goal).p == 1 / 77).all()


def test_a_trusted_tag_weighs_up_to_five_times_and_a_provisional_one_one_and_a_half():
    assert gain_of(row("A", 1.0), LIMITS) == 4.0
    assert 0.39 < gain_of(row("A", 0.8), LIMITS) < 0.5
    assert gain_of(row("A", 0.5), LIMITS) == 0.0
    assert gain_of(row("A", 1.0, effect=0.1), LIMITS) < 1.0
    assert gain_of(row("A", 1.0, effect=-0.5), LIMITS) == 0.0
    for level, most in ((1.0, 5.0), (0.8, 1.5), (0.5, 1.0)):
        assert 1 + gain_of(row("A", level), LIMITS) <= most


def test_imitation_never_gains_from_risk_nor_from_failure():
    episodes = pool(200, RiskTag=0.95, OODTag=0.95, RecoveryTag=0.95)
    plan = plan_weights(episodes, for_objective="bc")
    gained = plan.p > plan.p.min() * (1 + 1e-9)
    assert gained.any()
    assert (episodes.levels["RecoveryTag"][gained] > 0).all()
    assert (episodes.success[gained] != 0).all()
    assert all("RecoveryTag" in words for words in plan.reasons[np.flatnonzero(gained)])


def test_reinforcement_wants_the_risky_the_strange_and_the_rescued():
    episodes = pool(200, RiskTag=0.95, OODTag=0.95, RecoveryTag=0.95)
    plan = plan_weights(episodes, for_objective="rl")
    for level in episodes.levels.values():
        assert plan.p[level > 0].mean() > plan.p[level == 0].mean()


def test_reasons_name_the_tag_and_its_trust():
    episodes = pool(100, RiskTag=0.9)
    words = plan_weights(episodes).reasons
    for tagged, told in zip(episodes.levels["RiskTag"] > 0, words, strict=True):
        assert told.startswith("RiskTag +") == tagged
        assert ("trust 0.90" in told) == tagged


@pytest.mark.parametrize("weight", [[1.0, np.nan], [-1.0, 2.0], [0.0, 0.0], [np.inf, 1.0]])
def test_weights_that_are_none_are_refused(weight):
    with pytest.raises(UsageError, match="weights must be finite"):
        limited(np.array(weight), LIMITS)


def test_curricula_go_from_safe_to_risky():
    episodes = pool(400, RiskTag=0.95, RecoveryTag=0.95)
    risky, rescued = episodes.levels["RiskTag"] > 0, episodes.levels["RecoveryTag"] > 0
    early, mid, advanced = (strategy_weights(episodes, name) for name in ("early", "mid", "advanced"))
    assert early[risky].sum() < mid[risky].sum() < advanced[risky].sum()
    assert early[episodes.success == 1].mean() > early[episodes.success == 0].mean()
    assert mid[rescued].mean() > mid[~rescued].mean()
    assert strategy_weights(pool(400), "advanced").tolist() == [1 / 400] * 400


def test_balanced_gives_every_family_the_same_share():
    episodes = pool(400)
    p = strategy_weights(episodes, "balanced")
    shares = np.bincount(episodes.family.codes, weights=p)
    np.testing.assert_allclose(shares, 1 / 3)


def test_a_family_of_one_episode_is_not_learnt_by_heart():
    n = 200
    episodes = Pool(np.arange(n), Text.of(map(str, range(n))), Text.of(["rare"] + ["usual"] * (n - 1)), np.ones(n))
    assert strategy_weights(episodes, "balanced")[0] <= LIMITS.cap / n * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(weights=st.lists(st.floats(0.01, 5), min_size=1, max_size=80), n=st.integers(0, 500), seed=st.integers(0, 999))
def test_systematic_counts_are_within_one_of_what_is_expected(weights, n, seed):
    p = np.array(weights) / np.sum(weights)
    counts = np.bincount(systematic(p, n, np.random.default_rng(seed)), minlength=len(p))
    assert counts.sum() == n
    assert (np.abs(counts - n * p) < 1 + 1e-6).all()


def plan_of(p):
    n = len(p)
    return SamplePlan(np.arange(n) * 3, Text.of(map(str, range(n))), np.array(p), np.ones(n), Text.full(n, ""))


def test_what_cannot_be_drawn_is_not_even_by_rounding():
    class AlmostOne:
        """Of all that a generator may answer, what rounds up most."""

        def random(self):
            return np.nextafter(1.0, 0.0)

    assert systematic(np.array([0.3, 0.7, 0.0, 0.0]), 3_000_000, AlmostOne()).max() == 1


def test_draws_over_epochs_follow_the_plan():
    p = np.random.default_rng(0).dirichlet(np.ones(20))
    sampler = DataPackRLSampler(plan_of(p), seed=4)
    # one draw an epoch: epochs are independent, which systematic draws within one are not
    draws = np.array([sampler.sample(1, epoch)[0] // 3 for epoch in range(3000)])
    assert chisquare(np.bincount(draws, minlength=20), 3000 * p).pvalue > 1e-3


def test_shards_unite_to_the_global_draw():
    sampler = DataPackRLSampler(plan_of(np.full(30, 1 / 30)), seed=1)
    whole = sampler.sample(101, epoch=3)
    for world in (1, 2, 7):
        parts = [sampler.sample(101, 3, "trust_weighted", rank, world) for rank in range(world)]
        for rank, part in enumerate(parts):
            np.testing.assert_array_equal(part, whole[rank::world])
        assert sum(map(len, parts)) == 101


def test_a_seed_and_an_epoch_give_the_same_draws_and_others_give_others():
    plan = plan_of(np.random.default_rng(1).dirichlet(np.ones(50)))
    first = DataPackRLSampler(plan, seed=0).sample(40).tolist()
    assert first == DataPackRLSampler(plan, seed=0).sample(40).tolist()
    assert first != DataPackRLSampler(plan, seed=1).sample(40).tolist()
    assert first != DataPackRLSampler(plan, seed=0).sample(40, epoch=1).tolist()


def test_draws_are_episode_indices_of_the_plan():
    episodes = pool(50, RiskTag=0.9)
    draws = DataPackRLSampler(plan_weights(episodes), pool=episodes).sample(500, strategy="advanced")
    assert set(draws.tolist()) <= set(episodes.episode_index.tolist())


def test_uniform_needs_no_pool_and_curricula_say_that_they_do():
    sampler = DataPackRLSampler(plan_of(np.random.default_rng(1).dirichlet(np.ones(10))))
    assert np.bincount(sampler.sample(100, strategy="uniform") // 3).tolist() == [10] * 10
    with pytest.raises(UsageError, match="give the sampler its pool"):
        sampler.sample(10, strategy="early")


@pytest.mark.parametrize(
    "arguments", [{"n": -1}, {"n": 1, "epoch": -1}, {"n": 1, "rank": 2, "world_size": 2}, {"n": 1, "rank": -1}]
)
def test_draws_out_of_range_are_refused(arguments):
    with pytest.raises(UsageError):
        DataPackRLSampler(plan_of([1.0])).sample(**arguments)


def test_unknown_names_are_listed():
    with pytest.raises(UnknownNameError, match="did you mean 'uniform'"):
        DataPackRLSampler(plan_of([1.0])).sample(1, strategy="unifrm")
    with pytest.raises(UnknownNameError, match="valid: bc, rl"):
        plan_weights(pool(3), for_objective="il")


def test_an_empty_pool_makes_an_empty_plan_that_cannot_be_drawn_from():
    plan = plan_weights(pool(0))
    assert len(plan) == 0
    assert DataPackRLSampler(plan).sample(0).tolist() == []
    with pytest.raises(UsageError, match="no episode to draw"):
        DataPackRLSampler(plan).sample(1)


def test_pool_and_plan_must_be_of_the_same_episodes():
    with pytest.raises(UsageError, match="not of the same episodes"):
        DataPackRLSampler(plan_of([0.5, 0.5]), pool=pool(3))
    with pytest.raises(UsageError, match="success has 1 entries for 2"):
        Pool(np.arange(2), Text.of("ab"), Text.of("ff"), np.ones(1))


def filled(cls, n, **columns):
    blank = {name: Text.full(n, "") if dtype is None else np.zeros(n, dtype) for name, dtype in cls.columns().items()}
    return cls(**{**blank, **columns})


def test_a_pool_is_read_from_the_tables_of_a_run():
    names = Text.of(["e0", "e1", "e2"])
    tags = filled(
        TagTable,
        4,
        episode_id=Text.of(["e0", "e0", "e1", "e2"]),
        tag=Text.full(4, "RiskTag"),
        level=np.array([0.85, 0.95, 0.5, np.nan]),
    )
    assert given_levels(tags, names, TAGS)["RiskTag"].tolist() == [0.95, 0.0, 0.0]
    episodes = filled(EpisodeTable, 3, episode_id=names, episode_index=np.arange(3))
    plan = plan_weights(Pool.of(episodes, tags, {"RiskTag": row("RiskTag", 0.9)}, TAGS))
    assert plan.p[0] > plan.p[1] == plan.p[2]
