"""Reasons in words."""

from __future__ import annotations

import math

import pytest

from finished_run import trust_row
from sima2.records.trust import StratumEffect, TrustRow
from sima2.report.strata import strata
from sima2.report.trust_reasons import by_trust, impact, why


def row(tag: str = "RiskTag", effect: float = 0.2, half: float = 0.4, reason: str = "not_significant") -> TrustRow:
    return trust_row(tag, 0.9 if reason == "ok" else 0.0, effect, half, reason, n_tagged=30, n=1000)


def test_a_verdict_tells_who_was_compared_how_often_it_was_right_and_by_how_much_at_least() -> None:
    told = why(row(effect=0.42, half=0.09, reason="ok"))
    assert told.seen == (
        "30 high-risk of 1,000 episodes: damage higher in 71 of 100 comparisons (δ 0.42, at least 0.33)."
    )


def test_the_direction_is_the_declared_one_and_not_made_up_where_none_is_declared() -> None:
    assert "damage lower" in why(row("OODTag")).seen
    assert "damage as declared" in why(row("HouseTag")).seen


def test_a_recovery_is_told_among_failures() -> None:
    told = why(trust_row("RecoveryTag", 0.9, 0.6, 0.1, cost_field="mpl_after_failure"))
    assert told.seen.startswith("212 of 1,240 failures met by an attempt to mend them: ")


def test_what_could_be_chance_says_how_many_episodes_would_tell() -> None:
    # the half-width is twice the effect and falls with the root of n: four times as many
    assert "about 120 tagged episodes" in why(row(effect=0.2, half=0.4)).act


@pytest.mark.parametrize(("effect", "half"), [(-0.1, 0.4), (0.0, 0.4), (0.01, 0.5)])
def test_no_number_of_episodes_is_promised_where_the_effect_points_nowhere(effect: float, half: float) -> None:
    assert not any(character.isdigit() for character in why(row(effect=effect, half=half)).act)


def test_an_interval_without_room_for_trust_asks_for_a_better_tag_not_for_more_episodes() -> None:
    assert "sharpen" in why(row(effect=0.0, half=0.1)).act
    assert "sharpen" not in why(row(effect=0.0, half=0.3)).act


def test_weak_is_not_called_trusted() -> None:
    weak, strong = (why(trust_row("RiskTag", level, 0.2, 0.1)) for level in (0.3, 0.9))
    assert "too weak" in weak.seen
    assert "too weak" not in strong.seen


def test_impact_is_in_the_unit_of_its_cost() -> None:
    assert impact(trust_row("T", 0.9, 0.5, 0.1, economic_impact=-1.5)) == "1.5 currency less with the tag"
    success = trust_row("T", 0.9, 0.5, 0.1, economic_impact=-0.2, cost_field="success")
    assert impact(success) == "20 percentage points less with the tag"
    assert impact(trust_row("T", 0.9, 0.5, 0.1, economic_impact=math.nan)) == ""


def test_order_is_by_trust_then_effect() -> None:
    rows = [row("a", 0.1), row("b", math.nan), row("c", 0.3), row("d", 0.2, 0.1, "ok")]
    assert [each.tag for each in by_trust(rows)] == ["d", "c", "a", "b"]


def kinds(*effects: tuple[float, float, float]) -> tuple[StratumEffect, ...]:
    return tuple(
        StratumEffect(f"family_{k}|robot|policy|s{k}", effect, (low, high), 10, 100 - k)
        for k, (effect, low, high) in enumerate(effects)
    )


def test_strata_apart_come_first_then_the_largest() -> None:
    one = trust_row("T", 0.9, 0.5, 0.1, by_stratum=kinds((0.5, 0.3, 0.7), (0.1, 0.0, 0.3), (-0.5, -0.8, -0.2)))
    shown, sentence = strata(one)
    assert [(each.family, each.apart) for each in shown] == [
        ("family 2", "opposite"),
        ("family 1", "apart"),
        ("family 0", ""),
    ]
    assert (
        "2 of the 3 with an interval lie apart from the whole (by chance about 0.15), 1 clearly the other" in sentence
    )


def test_what_all_strata_share_is_left_out_of_their_names() -> None:
    shown, _ = strata(trust_row("T", 0.9, 0.5, 0.1, by_stratum=kinds((0.5, 0.3, 0.7), (0.5, 0.3, 0.7))))
    assert [each.rest for each in shown] == ["s0", "s1"]


def test_strata_left_out_are_counted() -> None:
    shown, sentence = strata(trust_row("T", 0.9, 0.5, 0.1, by_stratum=kinds(*[(0.5, 0.3, 0.7)] * 25)))
    assert len(shown) == 20
    assert "5 more in trust_matrix.json" in sentence


def test_strata_that_were_not_kept_are_not_passed_over() -> None:
    one = trust_row("T", 0.9, 0.5, 0.1, by_stratum=kinds(*[(0.5, 0.3, 0.7)] * 3), strata=90)
    assert strata(one)[1].startswith("The 3 largest of 90 kinds of episode; ")
