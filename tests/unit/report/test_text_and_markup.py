"""What comes from data is shown, and does nothing."""

from __future__ import annotations

import math
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sima2.report.markup import Markup, escaped, join, node
from sima2.report.text import NOT_ASSESSED, interval, number, percent, visible

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=60)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(ANYTHING)
def test_no_character_that_cannot_be_seen_gets_through(text: str) -> None:
    shown = visible(text)
    assert all(unicodedata.category(c)[0] != "C" and unicodedata.category(c) not in ("Zl", "Zp") for c in shown)
    shown.encode("utf-8")


@given(ANYTHING)
def test_showing_twice_changes_nothing(text: str) -> None:
    assert visible(visible(text, longest=10_000), longest=10_000) == visible(text, longest=10_000)


@given(ANYTHING)
def test_text_can_add_no_element_and_reads_as_it_was(text: str) -> None:
    parser = _Tags()
    parser.feed(node("p", text, title=text))
    parser.close()
    assert [tag for tag, _ in parser.seen] == ["p"]
    assert parser.text == visible(text, longest=4000)
    assert parser.seen[0][1] == [("title", visible(text, longest=4000))]


def test_only_built_nodes_are_markup() -> None:
    assert escaped("<b>") == "&lt;b&gt;"
    assert node("p", node("b", "x")) == "<p><b>x</b></p>"
    assert isinstance(join(["a", None, "<"]), Markup)
    assert join(["a", None, "<"]) == "a&lt;"


def test_bidirectional_and_escape_characters_are_spelled_out() -> None:
    assert visible("a\u202eb\x1b[2J\u2066\x00") == "a\\u202eb\\x1b[2J\\u2066\\x00"


def test_a_name_as_long_as_a_book_is_cut() -> None:
    assert len(visible("x" * 10**6)) == 160


@pytest.mark.parametrize("absent", [None, math.nan, math.inf, -math.inf])
def test_what_is_absent_is_not_assessed(absent: float | None) -> None:
    assert number(absent) == NOT_ASSESSED
    assert percent(absent) == NOT_ASSESSED
    assert interval(absent, 1.0) == ""


@given(st.floats(-1e300, 1e300))
def test_a_number_keeps_three_digits_of_its_value(value: float) -> None:
    shown = float(number(value).replace(",", "").replace("−", "-"))
    assert shown == pytest.approx(value, rel=0.0051, abs=0)
