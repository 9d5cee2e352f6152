"""The summary in a terminal."""

from __future__ import annotations

import io
import math
import re

import pytest
from rich.console import Console, Group
from rich.text import Text

from finished_run import summary, trust_row, trust_rows
from sima2.records.trust import StratumEffect
from sima2.report import terminal


def shown(renderable: object, width: int, **more: bool) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False, **more)
    console.print(renderable)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(width: int) -> None:
    out = shown(terminal.summary(summary(), trust=trust_rows(), report="results/report.html"), width)
    assert max(len(line) for line in out.splitlines()) <= width
    assert "…" not in out
    for told in (
        "1,250",
        "0.87",
        "802",
        "RecoveryTag",
        "not assessed",
        "results/report.html",
        "energy",
        "11,873",
    ):
        assert told in out


def test_names_are_no_markup_and_steer_nothing() -> None:
    values = {
        **summary(),
        "warnings": ["[red]x[/red] \x1b[2J \u202e"],
        "tags": {"[bold]T\x07": {"assessed": 1, "fired": 1, "share": 1.0}},
    }
    out = shown(terminal.summary(values), 80)
    assert "[red]x[/red] \\x1b[2J \\u202e" in out
    assert "[bold]T\\x07" in out
    assert not {"\x1b", "\x07", "\u202e"} & set(out)


def test_colour_is_left_out_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = shown(terminal.summary(summary(), trust=trust_rows()), 80, force_terminal=True)
    assert "\x1b[32m" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in shown(terminal.summary(summary(), trust=trust_rows()), 80, force_terminal=True)


def test_an_empty_summary_is_told_without_an_error() -> None:
    out = shown(terminal.summary({}), 60)
    assert "not assessed" in out
    assert "nan" not in out


def test_trust_comes_last_and_only_the_page_after_it() -> None:
    lines = shown(terminal.summary(summary(), trust=trust_rows(), report="results/report.html"), 80).splitlines()
    titles = [line for line in lines if line and not line.startswith(" ")]
    assert titles[-2:] == ["Trust: which tags predict cost here", "report: results/report.html"]


@pytest.mark.parametrize("width", [60, 100])
def test_every_verdict_says_why_in_words_best_first(width: int) -> None:
    rows = trust_rows()
    for part in (terminal.verdicts(rows, {}), terminal.forest(rows, {})):
        out = shown(part, width)
        words = " ".join(out.split())
        assert max(len(line) for line in out.splitlines()) <= width
        assert out.index("RiskTag") < out.index("RecoveryTag") < out.index("OODTag")
        assert "nan" not in out
        assert {"●", "◐", "○"} <= set(out)
        assert "…" not in out
        assert "212 high-risk of 1,240 episodes: damage higher in 76 of 100 comparisons (δ 0.52" in words


@pytest.mark.parametrize("width", [60, 100])
def test_the_forest_shows_effect_interval_and_counts_whole(width: int) -> None:
    out = shown(terminal.forest(trust_rows(), {}), width)
    for told in ("0.52 [0.43, 0.61]", "212 of 1,240", "·│···├●┤····", "not assessed"):
        assert told in out, told


@pytest.mark.parametrize("width", [60, 100])
def test_kinds_of_episode_fit_and_those_apart_are_marked(width: int) -> None:
    kinds = (
        StratumEffect("dish_place|arm|a_policy_of_a_very_long_name|s1", 0.5, (0.4, 0.6), 20, 90),
        StratumEffect("wipe_surface|arm|b|s2", -0.4, (-0.6, -0.2), 10, 60),
        StratumEffect("sort_objects|arm|b|s2", math.nan, (math.nan, math.nan), 1, 9),
    )
    out = shown(Group(*terminal.by_kind({"T": trust_row("T", 0.9, 0.5, 0.1, by_stratum=kinds)})), width)
    assert max(len(line) for line in out.splitlines()) <= width
    assert out.index("wipe surface") < out.index("dish place")
    assert "a_polic…ng_name / s1" in out
    assert "1 clearly the other way" in " ".join(out.split())
    assert out.count("◆") == 2
    assert ("├" in out) == (width == 100)
    assert "nan" not in out


def test_alerts_that_repeat_a_verdict_are_left_out_of_what_to_bear_in_mind() -> None:
    out = shown(terminal.summary(summary(), trust=trust_rows()), 120)
    assert "gather more episodes" not in out
    assert "the clock of 3 episodes jumps" in out


def test_the_share_of_draws_is_told_against_an_even_one() -> None:
    weights = {
        "effective_sample_size": 900.0, "largest": 3.0, "uniform": False, "n": 1240,
        "failed": {"share": 0.3, "even": 0.2},
        "families": {"dish_place": {"share": 0.5, "even": 0.25}, "wipe": {"share": 0.26, "even": 0.25}},
        "tags": {"RiskTag": {"share": 0.4, "even": 0.1}},
    }  # fmt: skip
    out = shown(terminal.summary({**summary(), "weights": weights}), 80)
    assert re.search(r"RiskTag +40 % +10 % +4 ×", out)
    assert re.search(r"dish place +50 % +25 % +2 ×", out)
    assert "wipe" not in out


def test_an_episode_is_explained_in_a_narrow_terminal() -> None:
    tags = [
        {
            "tag": "RiskTag",
            "level": 0.86,
            "source": "landmark",
            "details": "grip margin 0.8 N",
            "trust_level": 0.9,
            "tier": "trusted",
            "trust_reason": "ok",
        },
        {"tag": "OODTag", "level": math.nan, "source": "uncalibrated", "details": "", "trust_level": None},
    ]
    rendered = terminal.tag_rows(tags)
    assert rendered is not None
    out = shown(rendered, 60)
    assert "trust 0.9 (trusted, ok)" in " ".join(out.split())
    assert "not assessed" in out


def test_text_from_data_is_plain() -> None:
    assert terminal.plain("[b]x") == Text("[b]x")


def test_defects_are_told_in_one_sentence_where_there_are_any() -> None:
    kinds = {"idle": {"findings": 3, "episodes": 2}, "near_duplicate": {"findings": 7, "episodes": 7}}
    assert "near duplicate in 7 episodes, idle in 2" in shown(terminal.summary({**summary(), "defects": kinds}), 120)
    assert "Defects" not in shown(terminal.summary({**summary(), "defects": {}}), 120)
