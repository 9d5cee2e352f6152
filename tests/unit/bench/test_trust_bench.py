"""The bench of trust measures what it says, its rivals fail where they must, and its targets can be missed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sima2.analytics.econ_correlator import EconCorrelator
from sima2.bench import trust
from sima2.bench import trust_worlds as worlds
from sima2.bench.trust import TARGETS, rate, rows, run


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return run(episodes=4000, seed=3, real=Path("no such file"))


def test_every_target_is_measured_and_met_in_the_quick_form(values: dict[str, Any]) -> None:
    assert set(values["targets"]) == {name for name in TARGETS if not name.startswith("real_")}
    assert values["repetitions"] == 8
    # shares of eight runs are too coarse for these two limits
    loose = {"rare_trusted_1000", "common_trusted_1000"}
    assert {name for name, each in values["targets"].items() if not each["met"]} <= loose
    assert values["rare_trusted_5000"] == 1.0
    assert values["premium_3_episodes_to_0.8_in_50_percent"] < 4000


def test_both_rivals_trust_noise_and_the_opposite_and_miss_what_is_reversed(values: dict[str, Any]) -> None:
    lines = values["lines"]
    for name in ("null_any_trust_100", "null_any_trust_3000", "inverted_any_trust", "recalibrated_any_trust_ever"):
        assert lines[name]["pooled"] == lines[name]["sigmoid"] == 1.0
    assert all(lines[f"noise_above_half_{name}"]["sigmoid"] > 0.99 for name in worlds.NOISE)
    assert lines["noise_above_half_confounded"]["pooled"] > 0.5
    assert lines["reversed_found"]["pooled"] == lines["reversed_found"]["sigmoid"] == 0.0


def test_the_table_names_rivals_repetitions_and_what_is_left_out(values: dict[str, Any]) -> None:
    told = {name: (result, target) for name, result, target in rows(values)}
    assert told["seed"][0] == "3"
    assert "pooled test 1, sigmoid 1" in told["null any trust 500"][0]
    assert told["null any trust 500"][1] == "at most 0.05: met"
    assert "never" in told["premium 2 episodes to 0.8 in 90 percent"][0]
    assert "left out" in told["real cell"][0]


def test_a_judge_without_a_gate_misses_its_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the bench: the same measure, a judge that lets everything through."""
    monkeypatch.setattr(trust, "JUDGE", replace(trust.JUDGE, q=0.9))
    loose = trust._null(10, [1, 0])
    assert all(line.low > 0.05 for line in loose.values())
    assert not trust._met("null_any_trust_500", loose["null_any_trust_500"], 0.05, "at most")
    assert trust._recalibrated(10, [1, 6])["recalibrated_any_trust_ever"].value > 0.3


def test_a_judge_that_does_not_watch_finds_no_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "JUDGE", EconCorrelator(shadows=0, drift_alarms=1e-12))
    assert trust._drifts(4, [1, 7], n=40)["drift_found"].value < 0.9
    monkeypatch.setattr(trust, "JUDGE", EconCorrelator(shadows=0, drift_alarms=0.99))
    assert trust._drifts(4, [1, 7])["drift_false_alarms"].value > 0.2


def test_useless_recoveries_look_useful_until_they_are_compared_by_reason() -> None:
    """The world would fool a judge that does not stratify, so the line can fail."""
    _, world = worlds.recovery_world(np.random.default_rng(0), 4000, 0.0)
    pooled = EconCorrelator(shadows=0).calibrate(world.named, world.cost, np.zeros(len(world.cost), int))
    by_reason = EconCorrelator(shadows=0).calibrate(world.named, world.cost, world.strata)
    assert pooled["t000"].trust_level > 0.0
    assert by_reason["t000"].trust_level == 0.0


def test_rivals_agree_with_the_tests_of_scipy() -> None:
    from scipy.stats import spearmanr

    world = worlds.null_world(np.random.default_rng(1), 80, 30)
    said = worlds.rivals(world.tags, world.cost)
    for k, column in enumerate(world.tags):
        other = spearmanr(column, world.cost)
        assert said.r[k] == pytest.approx(other.statistic)
        assert bool(said.tested[k]) == (other.pvalue < 0.05)


def test_a_rate_has_the_exact_binomial_interval() -> None:
    from scipy.stats import binomtest

    line = rate([True] * 3 + [False] * 97)
    exact = binomtest(3, 100).proportion_ci(0.95, method="exact")
    assert (line.value, line.runs) == (0.03, 100)
    assert (line.low, line.high) == pytest.approx((exact.low, exact.high))
    assert rate([False] * 10).low == 0.0
    assert rate([True] * 10).high == 1.0
    assert math.isnan(line.pooled)
