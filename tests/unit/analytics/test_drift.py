"""Drift: silent where nothing changes, loud where an effect vanishes, and it says since when."""

import numpy as np
import pytest

from sima2.analytics.counts import TrustCounts, count, merge
from sima2.analytics.drift import cusum_threshold
from sima2.analytics.econ_correlator import EconCorrelator
from sima2.analytics.econ_settings import COST_FIELDS
from sima2.errors import UsageError
from sima2.records.table import Text
from sima2.records.tags import TagSpec

JUDGE = EconCorrelator(shadows=0)


def specs(tags):
    return {tag: TagSpec(tag, "predictive", ("prefix signals",), "landmark", "damage", 1) for tag in tags}


def batch(rng, n, session, effects, share=0.2):
    """Damage of episodes of two families in one session, which tag k raises by ``effects[k]`` sigmas."""
    family = rng.integers(0, 2, n)
    tags = {f"t{k:03d}": rng.random(n) < share for k in range(len(effects))}
    y = np.exp(rng.normal(size=n) + family + rng.normal() + sum(e * x for e, x in zip(effects, tags.values())))
    strata = Text.of(f"f{f}|arm|p|s{session}" for f in family.tolist())
    return count(tags, y, strata, COST_FIELDS["damage"])


def matrix_of(batches):
    whole = TrustCounts()
    for each in batches:
        whole = merge(whole, each)
    return JUDGE.correlate(whole, specs=specs(batches[0].panels["damage"].tags), batches=batches)


def drifts(matrix):
    return {alert.tag: alert.message for alert in matrix.alerts if alert.kind == "drift"}


@pytest.mark.parametrize("share", [0.2, 0.03])
def test_nothing_drifts_where_nothing_changes(share):
    """20 tags, some strong, over 12 sessions: at most a stated 5 % of calibrations may raise any alarm."""
    effects = [1.5, 0.7] + [0.0] * 18
    false = 0
    for repeat in range(40):
        rng = np.random.default_rng([repeat, 1])
        false += bool(drifts(matrix_of([batch(rng, 150, s, effects, share) for s in range(12)])))
    # P(more than 6 of 40 at 5 %) is 0.3 %
    assert false <= 6


@pytest.mark.parametrize("seed", range(3))
def test_an_effect_that_vanishes_midway_is_found_and_dated(seed):
    rng = np.random.default_rng([seed, 2])
    batches = [batch(rng, 200, s, [1.2 if s < 7 else 0.0, 0.0, 0.8]) for s in range(14)]
    matrix = matrix_of(batches)
    assert list(drifts(matrix)) == ["t000"]
    assert matrix["t000"].needs_recalibration
    assert not matrix["t001"].needs_recalibration
    since = int(drifts(matrix)["t000"].split("before batch ")[1].split()[0])
    assert abs(since - 8) <= 1
    assert "calibrate again" in drifts(matrix)["t000"]


def test_an_effect_that_appears_is_a_drift_too():
    rng = np.random.default_rng(3)
    assert list(drifts(matrix_of([batch(rng, 200, s, [0.0 if s < 7 else 1.2, 0.0]) for s in range(14)]))) == ["t000"]


def test_another_mix_of_families_is_no_drift():
    """The tag works in one family only; that family comes late."""
    rng = np.random.default_rng(4)
    batches = []
    for s in range(12):
        n = 300
        family = (rng.random(n) < (0.3 if s < 6 else 0.7)).astype(int)
        x = rng.random(n) < 0.3
        y = np.exp(rng.normal(size=n) + 1.5 * x * family)
        strata = Text.of(f"f{f}|arm|p|s{s}" for f in family.tolist())
        batches.append(count({"t000": x}, y, strata, COST_FIELDS["damage"]))
    assert not drifts(matrix_of(batches))


def test_tiny_batches_are_joined_until_they_tell_something():
    rng = np.random.default_rng(5)
    batches = [batch(rng, 10, s, [1.5 if s < 150 else 0.0]) for s in range(300)]
    assert list(drifts(matrix_of(batches))) == ["t000"]
    rng = np.random.default_rng(6)
    assert not drifts(matrix_of([batch(rng, 10, s, [1.5]) for s in range(300)]))


def test_batches_that_lack_a_tag_or_a_cost_are_passed_over():
    rng = np.random.default_rng(7)
    batches = [batch(rng, 200, s, [1.2 if s < 7 else 0.0]) for s in range(14)]
    mixed = [each for one in batches for each in (one, TrustCounts())]
    assert list(drifts(matrix_of(mixed))) == ["t000"]
    assert not drifts(matrix_of(batches[:1]))


def test_the_threshold_holds_its_rate_on_normal_steps():
    """Two hundred charts of 20 steps each, 5 % of calibrations: an average run length that Siegmund's law gives."""
    rng = np.random.default_rng(8)
    h = cusum_threshold(200 * 20, 0.05)
    alarms = 0
    for _ in range(400):
        step = rng.normal(size=(20, 200))
        up, down, crossed = np.zeros(200), np.zeros(200), False
        for z in step:
            up, down = np.maximum(0, up + z - 0.5), np.maximum(0, down - z - 0.5)
            crossed |= bool(max(up.max(), down.max()) > h)
        alarms += crossed
    # 5 % of 400 is 20; the chart starts at zero, so a little fewer; P(more than 32) is 0.5 %
    assert 4 <= alarms <= 32


def test_more_charts_ask_for_more():
    assert cusum_threshold(10, 0.05) < cusum_threshold(1000, 0.05) < cusum_threshold(1000, 0.01)
    with pytest.raises(UsageError):
        cusum_threshold(0, 0.05)
    with pytest.raises(UsageError):
        EconCorrelator(drift_alarms=0.0)
