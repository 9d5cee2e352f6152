"""The picture of an episode."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

from finished_run import segments_of, signal_of, tags_of
from sima2.records.segments import Segment
from sima2.records.vocabulary import LABELS, OUTCOMES
from sima2.report.label_style import LOOKS, OUTCOME_MARKS, PATTERNS, definitions
from sima2.report.timeline import describe, timeline


def drawn(segments: list[Segment], tags: list[dict[str, Any]], signal: dict[str, Any], **tiers: str) -> ET.Element:
    return ET.fromstring(timeline(segments, tags, signal, tiers))


def test_every_label_can_be_told_without_colour_from_those_of_its_colour() -> None:
    assert set(LOOKS) == set(LABELS)
    assert len(set(LOOKS.values())) == len(LABELS)
    assert all(look.pattern in PATTERNS for look in LOOKS.values())
    for a, b in product(LABELS, LABELS):
        if a < b and LOOKS[a].light == LOOKS[b].light:
            assert LOOKS[a].pattern != LOOKS[b].pattern


def test_every_outcome_has_a_mark_and_every_pattern_is_defined() -> None:
    assert set(OUTCOME_MARKS) == set(OUTCOMES)
    assert {p.get("id") for p in ET.fromstring(definitions()).iter("pattern")} == {f"look-{name}" for name in LABELS}


def _luminance(colour: str) -> float:
    linear = [
        ((c / 12.92) if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
        for c in (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("ink", "which"), [("#22211f", "light"), ("#e6e3dc", "dark")])
def test_text_on_a_segment_has_the_contrast_that_wcag_asks_for(ink: str, which: str) -> None:
    for look in LOOKS.values():
        a, b = sorted((_luminance(ink), _luminance(getattr(look, which))), reverse=True)
        assert (a + 0.05) / (b + 0.05) >= 4.5


def test_segments_lie_end_to_end_over_the_whole_width() -> None:
    figure = drawn(list(segments_of("e")), [], {"episode_id": "e"})
    strip = figure.find("div/svg")
    assert strip is not None
    pieces = [(float(p.attrib["x"][:-1]), float(p.attrib["width"][:-1])) for p in strip.findall("svg")]
    assert pieces[0][0] == 0
    assert pieces[-1][0] + pieces[-1][1] == pytest.approx(100, abs=0.01)
    for (x, width), (following, _) in pairwise(pieces):
        assert x + width == pytest.approx(following, abs=0.01)


def test_each_arm_has_a_strip_of_its_own_under_its_name() -> None:
    figure = drawn(list(segments_of("e", ("left", "right"))), [], {"episode_id": "e"})
    assert [c.text for c in figure.iter("figcaption")] == ["left", "right"]


def test_an_unknown_outcome_is_no_mark_and_the_others_are_theirs() -> None:
    text = " ".join("".join(t.itertext()) for t in drawn(list(segments_of("e")), [], {"episode_id": "e"}).iter("text"))
    assert "✓" in text
    assert "✗" in text
    assert "↻" in text
    assert "idle ?" not in text


def test_a_tag_spans_the_time_of_its_frames_and_one_at_level_zero_is_not_drawn() -> None:
    figure = drawn(list(segments_of("e")), list(tags_of("e").rows()), signal_of("e"), OODTag="trusted")
    rows = {svg.attrib["aria-label"]: svg for svg in figure.findall("svg") if "tags" in svg.attrib["class"]}
    assert set(rows) == {"RiskTag", "OODTag", "RecoveryTag"}
    bar = rows["OODTag"].find("rect")
    assert bar is not None
    # frames 100 to 134 at 0.05 s of 10.4 s
    assert float(bar.attrib["x"][:-1]) == pytest.approx(100 * 5 / 10.4, abs=0.5)
    assert float(bar.attrib["width"][:-1]) == pytest.approx(100 * 1.7 / 10.4, abs=0.5)
    assert "●" in "".join(rows["OODTag"].itertext())


def test_a_line_has_a_gap_where_nothing_was_recorded() -> None:
    figure = drawn(list(segments_of("e")), [], signal_of("e"))
    force = next(p.attrib["d"] for p in figure.iter("path"))
    assert force.count("M") == 2
    assert "nan" not in force


def test_a_channel_without_a_value_says_so() -> None:
    figure = drawn([], [], signal_of("e"))
    assert "grip_force: not assessed" in "".join(figure.itertext())


def test_a_long_track_is_thinned() -> None:
    time = np.arange(100_000) * 0.01
    track = {"name": "x", "unit": "", "values": np.sin(time).tolist()}
    figure = drawn([], [], {"time": time.tolist(), "tracks": [track]})
    assert next(p.attrib["d"] for p in figure.iter("path")).count("L") <= 600


def test_an_episode_of_no_length_is_told_in_words() -> None:
    assert "no frames" in timeline([], [], {"time": [0.0]}, {})


def test_a_description_names_label_object_outcome_and_frames() -> None:
    segment = replace(
        next(iter(segments_of("e"))), label="place", object="a\u202eb", outcome="failure", failure_reason="drop"
    )
    assert re.match(
        r"place a\\u202eb: failure \(drop\), 0\.00–0\.60 s, frames 0–12, confidence 0\.91", describe(segment)
    )
