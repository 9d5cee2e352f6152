"""The bench of the card: recalls are compared set by set, and a bound that promises too much is told."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from sima2.bench.card import Tally, rows, summed


def row(at_least: float, true: float) -> dict[str, Any]:
    return {"set": "a", "who": "people", "detector": "drop", "at_least": at_least, "true": true, "told": 20}


def tallies(own: tuple[int, int], card: tuple[int, int]) -> dict[str, Tally]:
    kinds: dict[str, Tally] = defaultdict(Tally)
    kinds["people: slip"].own["a"], kinds["people: slip"].card["a"] = list(own), list(card)
    return kinds


def test_sets_weigh_by_their_own_faults() -> None:
    kinds = tallies((9, 10), (20, 20))
    kinds["people: slip"].own["b"], kinds["people: slip"].card["b"] = [0, 30], [0, 5]
    each = summed(kinds, [])["kinds"]["people: slip"]
    assert (each["n"], each["own"], each["card"]) == (40, 9 / 40, 10 / 40)


def test_a_kind_that_could_not_be_planted_in_a_set_is_not_compared_there() -> None:
    kinds = tallies((9, 10), (0, 0))
    assert summed(kinds, [])["kinds"] == {}


def test_recall_that_is_off_by_more_than_ten_points_is_a_miss() -> None:
    name = "people: slip: recall by card less by truth"
    assert not summed(tallies((5, 10), (20, 20)), [])["targets"][name]["met"]
    assert summed(tallies((19, 20), (20, 20)), [])["targets"][name]["met"]


def test_a_bound_above_nine_tenths_where_fewer_than_eight_tenths_are_right_is_dangerous() -> None:
    values = summed(tallies((19, 20), (20, 20)), [row(0.95, 0.7), row(0.95, 0.85), row(0.5, 0.3), row(math.nan, 0.2)])
    assert [each["true"] for each in values["dangerous"]] == [0.7]
    assert values["bounds"] == {"judged": 3, "below_truth": 0, "act": 2}
    assert not values["targets"]["verdicts that act and are wrong too often"]["met"]
    told = [" ".join(line) for line in rows({**values, "seed": 0})]
    assert any("at least 0.95 by the card, 0.7 of 20 right" in line for line in told)
