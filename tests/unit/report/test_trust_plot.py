"""The forest plot."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from finished_run import trust_row, trust_rows
from sima2.records.trust import StratumEffect
from sima2.report.trust import effect_plot, forest, level_plot


def test_the_dot_lies_on_its_interval_on_a_scale_from_minus_one_to_one() -> None:
    plot = ET.fromstring(effect_plot(trust_row("T", 0.5, 0.5, 0.1)))
    dot = plot.find("circle")
    assert dot is not None
    assert dot.attrib["cx"] == "75.00%"
    whisker = next(line for line in plot.iter("line") if line.attrib["class"] == "whisker")
    assert (whisker.attrib["x1"], whisker.attrib["x2"]) == ("70.00%", "80.00%")


def test_an_effect_that_is_not_known_has_neither_dot_nor_interval() -> None:
    for row in (trust_row("T", 0.0, math.nan, math.nan), trust_row("T", 0.0, math.nan, 0.1, interval=(-1.0, 1.0))):
        plot = ET.fromstring(effect_plot(row))
        assert plot.find("circle") is None
        assert "whisker" not in {line.attrib["class"] for line in plot.iter("line")}


def test_the_bands_are_the_tiers() -> None:
    plot = ET.fromstring(level_plot(trust_row("T", 0.66, 0.3, 0.1)))
    bands = [(r.attrib["x"], r.attrib["width"], r.attrib["class"]) for r in plot.iter("rect")][:3]
    assert bands == [
        ("0%", "50%", "band untrusted"),
        ("50%", "30%", "band provisional"),
        ("80%", "20%", "band trusted"),
    ]
    dot = plot.find("circle")
    assert dot is not None
    assert dot.attrib["cx"] == "66.00%"


def test_the_lower_bound_is_the_thick_end() -> None:
    plot = ET.fromstring(effect_plot(trust_row("T", 0.5, 0.5, 0.1)))
    bound = [line.attrib["x1"] for line in plot.iter("line") if line.attrib["class"] == "bound"]
    assert bound == ["70.00%"]


def test_rows_are_ordered_by_trust_then_effect_and_those_without_one_last() -> None:
    plot = ET.fromstring(forest(trust_rows(), {}))
    names = [th.text or "" for th in plot.iter("th") if th.attrib.get("scope") == "row"]
    assert [name.split()[-1] for name in names] == [
        "RiskTag",
        "RecoveryTag",
        "LuckySuccessTag",
        "OODTag",
        "FragilityTag",
    ]


def test_kinds_of_episode_stand_below_their_tag_the_rest_counted() -> None:
    many = tuple(StratumEffect(f"f{k}|r|p|s", 0.5, (0.4, 0.6), 5, 50 - k) for k in range(30))
    page = forest({"T": trust_row("T", 0.9, 0.5, 0.1, by_stratum=many)}, {})
    assert page.count('class="strip"', page.index("By kind of episode (30)")) == 20
    assert "10 more in trust_matrix.json" in page


def test_money_and_trust_are_two_numbers() -> None:
    page = forest({"T": trust_row("T", 0.9, 0.5, 0.1, economic_impact=-1.5)}, {})
    assert "1.5 currency less with the tag" in page
    assert "0.9 trusted" in page


def test_a_difference_in_cost_that_may_be_chance_is_no_number() -> None:
    page = forest({"T": trust_row("T", 0.0, 0.1, 0.2, "not_significant", economic_impact=1234.0)}, {})
    assert "1,234" not in page
    assert "nothing proven" in page


def test_the_negative_control_stands_below_the_verdicts_where_there_is_one() -> None:
    shadow = {"calibrations": 20, "with_any_trust": 1, "highest_trust": 0.12}
    assert "Shuffled copies: of 20 calibrations with all tags shuffled, 1 gave any trust (at most 0.12)." in forest(
        trust_rows(), {"shadow": shadow}
    )
    assert "none gave any trust." in forest(trust_rows(), {"shadow": {**shadow, "with_any_trust": 0}})
    assert "Shuffled" not in forest(trust_rows(), {"shadow": None})


def test_a_stale_verdict_says_so() -> None:
    assert "Needs recalibration" in forest({"T": trust_row("T", 0.9, 0.6, 0.1, needs_recalibration=True)}, {})
