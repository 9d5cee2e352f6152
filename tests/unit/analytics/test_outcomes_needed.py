"""How many outcomes more would settle a tag: what is said, of whom, and when nothing is promised."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from finished_run import NAN, trust_row
from sima2.analytics.power import MOST, TYPICAL, WEAKEST, Needed, outcomes_needed
from sima2.bench import trust_prior
from sima2.records.trust import TrustMatrix, TrustRow


def needed(row: TrustRow, look: int = 1, **given: Any) -> Needed | None:
    return outcomes_needed(TrustMatrix({row.tag: row}, look=look), **given).get(row.tag)


def unknown(reason: str = "no_outcome", **changes: Any) -> TrustRow:
    blank = {"n_tagged": 0, "n": 0, "p_value": NAN, "q_value": NAN, "cost_field": "success"}
    return trust_row("OODTag", 0.0, NAN, NAN, reason, **{**blank, **changes})


def seen(effect: float, se: float, n_tagged: int = 20, n: int = 80) -> TrustRow:
    row = trust_row("OODTag", 0.0, effect, 2 * se, "not_significant", n_tagged=n_tagged, n=n, q_value=0.2)
    return replace(row, standard_error=se, cost_field="success")


def test_of_what_nothing_is_known_a_useful_tag_is_assumed_and_both_arms_alike() -> None:
    need = needed(unknown())
    assert need is not None
    assert (need.assumed, need.effect, need.promised) == ("typical", TYPICAL, False)
    assert abs(need.tagged - need.untagged) <= 1
    assert 30 < need.outcomes < 100
    assert need.weakest > 3 * need.outcomes


@pytest.mark.parametrize(
    "reason", ["ok", "leak", "suspect_leak", "wrong_direction", "constant_tag", "constant_within_strata"]
)
def test_what_more_outcomes_would_not_change_is_asked_none_for(reason: str) -> None:
    assert needed(unknown(reason)) is None


def test_an_effect_that_is_seen_asks_for_fewer_the_stronger_it_is_and_of_the_smaller_arm_first() -> None:
    weak, strong = needed(seen(0.3, 0.13)), needed(seen(0.45, 0.13))
    assert weak is not None
    assert strong is not None
    assert weak.promised
    assert strong.promised
    assert strong.outcomes < weak.outcomes
    assert strong.tagged > strong.untagged


def test_a_tag_too_weak_to_matter_is_promised_nothing_and_a_quiet_one_only_a_condition() -> None:
    assert needed(seen(-0.2, 0.1)) is None
    quiet = needed(seen(0.05, 0.15))
    assert quiet is not None
    assert not quiet.promised
    assert needed(seen(0.05, 0.1)) == replace(needed(seen(0.05, 0.1)) or quiet, effect=WEAKEST, assumed="weakest")


def test_a_handful_of_episodes_shows_nothing() -> None:
    few = needed(replace(seen(0.9, 0.4, 2, 12), reason="too_few", p_value=NAN, q_value=NAN))
    assert few is not None
    assert few.assumed == "typical"


def test_the_next_look_is_stricter_and_asks_for_more() -> None:
    first, later = needed(unknown(), look=1), needed(unknown(), look=4)
    assert first is not None
    assert later is not None
    assert later.outcomes > first.outcomes


def test_an_arm_is_filled_from_the_other_where_its_episodes_run_out() -> None:
    need = needed(unknown(), stock={"OODTag": (25, 500)})
    assert need is not None
    assert need.tagged == 25 or (need.tagged > 25 and need.untagged < need.tagged + 30)
    large = needed(unknown(), stock={"OODTag": (28, 500)})
    assert large is not None
    assert large.tagged == 28 < large.untagged


def test_inferred_outcomes_count_for_nothing_that_is_to_come() -> None:
    need = needed(replace(seen(0.3, 0.05, 200, 800)), recorded={"OODTag": (0, 0)})
    assert need is not None
    assert need.assumed == "typical"
    assert need.outcomes > 30


def test_beyond_what_anybody_would_record_no_number_is_given() -> None:
    assert needed(seen(0.17, 0.12, 5, 4_000_000)) is None or MOST >= 10_000


def test_as_many_as_are_said_settle_it_more_often_than_not_and_a_null_tag_is_promised_little() -> None:
    """The estimate proves itself; the bench does the same many times over."""
    lines = trust_prior._needed(30, [7, 0])
    assert lines["needed_typical_settles"].value >= 0.5
    assert lines["needed_seen_settles"].value >= 0.5
    assert lines["needed_null_promised"].low <= 0.1
    assert lines["needed_null_settles"].low <= 0.05
