"""Carried trust: a prior supports what the counts show, opens no gate, and is read with suspicion."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sima2.analytics.econ_correlator import EconCorrelator
from sima2.analytics.prior import ACTS_FROM, MOST_TIMES, Belief, Prior, lifted
from sima2.bench import trust_worlds as worlds
from sima2.bench.trust_worlds import World
from sima2.errors import UsageError
from sima2.records.trust import TrustMatrix, TrustRow

JUDGE = EconCorrelator(shadows=3)


def world(n: int = 220, shift: float = 0.74, seed: int = 0) -> World:
    return worlds.shifted_world(np.random.default_rng(seed), n, 0.25, shift, 4)


def believed(effect: float, se: float = 0.06, field: str = "outcome") -> Prior:
    return Prior({"t000": Belief(field, effect, se, "of another set")})


def judged(of: World, prior: Prior | None = None) -> TrustMatrix:
    return JUDGE.calibrate(of.named, of.cost, of.strata, prior=prior)


def rows(**changes: Any) -> dict[str, Any]:
    """A parsed trust matrix of one row."""
    plain: dict[str, Any] = json.loads(judged(world(800)).to_json())
    return {"t000": {**plain["t000"], **changes}}


def test_a_right_prior_lifts_a_trust_that_the_counts_opened_and_says_by_how_much() -> None:
    lifts = []
    for seed in range(12):
        of = world(seed=seed)
        without, with_it = judged(of)["t000"], judged(of, believed(0.4))["t000"]
        carried = with_it.carried
        assert carried is not None
        assert carried.without == without.trust_level
        assert with_it.trust_level >= without.trust_level
        lifts.append(with_it.trust_level - without.trust_level)
        assert replace(with_it, carried=None, trust_level=0, tier="") == replace(without, trust_level=0, tier="")
    assert max(lifts) > 0.05


def test_a_closed_gate_stays_closed_and_what_is_told_of_the_prior_does_not_act() -> None:
    of, belief = worlds.null_world(np.random.default_rng(3), 300, 6), believed(0.9).beliefs["t000"]
    rows_ = JUDGE.calibrate(of.named, of.cost, of.strata, prior=Prior(dict.fromkeys(of.named, belief)))
    for row in rows_.values():
        assert row.trust_level == 0
        assert row.tier == "untrusted"
        assert row.carried is not None
        assert 0 <= row.carried.level <= 0.5


def test_conflict_discounts_a_prior_until_nothing_is_left_of_it() -> None:
    of = world(400, 0.5)
    agreement = [judged(of, believed(effect))["t000"].carried for effect in (0.25, 0.6, 0.95)]
    values = [each.agreement for each in agreement if each is not None]
    assert values[0] > values[1] > values[2]
    assert values[2] < 0.01
    assert judged(of, believed(-0.6))["t000"].trust_level == judged(of)["t000"].trust_level


@settings(max_examples=200, deadline=None)
@given(
    delta=st.floats(-1, 1),
    se=st.floats(1e-3, 1),
    z=st.floats(0.5, 5),
    effect=st.floats(-1, 1),
    error=st.floats(1e-3, 2),
)
def test_a_prior_never_lowers_and_at_most_doubles_what_the_counts_prove(
    delta: float, se: float, z: float, effect: float, error: float
) -> None:
    lent = believed(effect, error).lent("t000", delta, se)
    assert lent is not None
    own, bound = delta - z * se, lifted(lent, delta, se, z)
    assert own <= bound <= max(own, MOST_TIMES * own)
    if delta < ACTS_FROM * se:
        assert bound <= max(own, 0.172)
    if own <= 0:
        assert bound == own


def test_trust_with_a_prior_is_a_pure_function_of_counts_and_prior() -> None:
    assert judged(world(), believed(0.4)).to_json() == judged(world(), believed(0.4)).to_json()
    assert believed(0.4).digest != believed(0.41).digest != Prior().digest == ""


def test_the_rows_with_a_prior_are_read_back_as_they_were_written() -> None:
    matrix = judged(world(), believed(0.4))
    again = TrustMatrix.from_json(matrix.to_json())
    assert again["t000"].carried == matrix["t000"].carried is not None
    assert again.to_json() == matrix.to_json()


def test_a_matrix_becomes_a_prior_with_its_own_errors() -> None:
    prior = Prior.of_plain(rows())
    row = judged(world(800))["t000"]
    assert prior.beliefs["t000"] == Belief("outcome", row.effect, row.standard_error, row.digest)
    wide = Prior.of_plain(rows(standard_error=None)).beliefs["t000"]
    assert wide.se > row.standard_error  # of an interval whose level nobody knows the narrowest is taken


def test_the_very_counts_are_no_prior_for_themselves() -> None:
    of = world(800)
    matrix = judged(of)
    again = judged(of, Prior.of_rows(matrix.rows))
    assert again["t000"].trust_level == matrix["t000"].trust_level
    assert again["t000"].carried is None
    assert any("count twice" in alert.message for alert in again.alerts if alert.kind == "prior_ignored")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reason": "leak"}, "nothing was estimated there"),
        ({"reason": "suspect_leak"}, "nothing was estimated there"),
        ({"effect": None}, "no number"),
        ({"effect": 7.0}, "no number"),
        ({"effect": 1e400}, "no number"),
        ({"standard_error": None, "interval": [None, None]}, "no error"),
        ({"standard_error": -1.0}, "no error"),
        ({"tag": "other"}, "holds the row of 'other'"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_aside_with_a_word(change: Mapping[str, Any], words: str) -> None:
    prior = Prior.of_plain(rows(**change))
    assert not prior.beliefs
    assert words in prior.ignored["t000"]
    alerts = [each for each in judged(world(), prior).alerts if each.kind == "prior_ignored"]
    assert [each.tag for each in alerts] == ["t000"]
    assert words in alerts[0].message


def test_one_bad_row_does_not_take_the_others_with_it_and_strange_tags_are_named() -> None:
    plain = {**rows(), "Bad": {"tag": "Bad"}, "Deep": [[[]]], "Other": {**rows()["t000"], "tag": "Other"}}
    prior = Prior.of_plain(plain)
    assert set(prior.beliefs) == {"t000", "Other"}
    assert set(prior.ignored) == {"Bad", "Deep"}
    told = [each.message for each in judged(world(), prior).alerts if each.tag == "prior"]
    assert told == ["the prior also names Bad, Deep, Other, which are no tags here: left aside"]


@pytest.mark.parametrize("plain", [None, [], {}, "x", 3, {"a": 1}, {"a": {}}, {str(k): {} for k in range(10_001)}])
def test_what_is_no_trust_matrix_is_refused(plain: Any) -> None:
    with pytest.raises(UsageError, match="prior"):
        Prior.of_plain(plain)


def test_another_cost_is_another_question() -> None:
    row: TrustRow = judged(world(), believed(0.4, field="damage"))["t000"]
    assert row.carried is None
    assert not math.isnan(row.trust_level)
