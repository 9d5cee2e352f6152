"""The forest plot."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from finished_run import trust_row, trust_rows
from sima2.report.trust import effect_plot, forest, level_plot


def test_the_dot_lies_on_its_interval_on_a_scale_from_minus_one_to_one() -> None:
    plot = ET.fromstring(effect_plot(trust_row("T", 0.5, 0.5, 0.1)))
    dot = plot.find("circle")
    assert dot is not None
    assert dot.attrib["cx"] == "75.00%"
    whisker = next(line for line in plot.iter("line") if line.attrib["class"] == "whisker")
    assert (whisker.attrib["x1"], whisker.attrib["x2"]) == ("70.00%", "80.00%")


def test_an_effect_that_is_not_known_has_no_dot() -> None:
    assert ET.fromstring(effect_plot(trust_row("T", 0.0, math.nan, math.nan))).find("circle") is None


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


def test_rows_are_ordered_by_trust_then_name() -> None:
    plot = ET.fromstring(forest(trust_rows()))
    names = [th.text or "" for th in plot.iter("th") if th.attrib.get("scope") == "row"]
    assert [name.split()[-1] for name in names] == [
        "RiskTag",
        "RecoveryTag",
        "FragilityTag",
        "LuckySuccessTag",
        "OODTag",
    ]


def test_a_stale_verdict_says_so() -> None:
    assert "Needs recalibration" in forest({"T": trust_row("T", 0.9, 0.6, 0.1, needs_recalibration=True)})
