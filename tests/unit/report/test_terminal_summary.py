"""The summary in a terminal."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from finished_run import summary, trust_rows
from sima2.report import terminal


def shown(renderable: object, width: int, **more: bool) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False, **more)
    console.print(renderable)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(width: int) -> None:
    out = shown(terminal.summary(summary(), report="results/report.html"), width)
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
    coloured = shown(terminal.summary(summary()), 80, force_terminal=True)
    assert "\x1b[32m" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in shown(terminal.summary(summary()), 80, force_terminal=True)


def test_an_empty_summary_is_told_without_an_error() -> None:
    out = shown(terminal.summary({}), 60)
    assert "not assessed" in out
    assert "nan" not in out


def test_verdicts_come_with_their_evidence_best_first() -> None:
    rows = trust_rows()
    out = shown(
        terminal.trust(
            {tag: {"trust_level": row.trust_level, "tier": row.tier, "reason": row.reason} for tag, row in rows.items()}
        ),
        100,
    )
    assert out.index("RiskTag") < out.index("RecoveryTag") < out.index("OODTag")
    evidence = shown(terminal.evidence(rows), 100)
    assert "0.43 to 0.61" in evidence
    assert "nan" not in evidence


def test_tiers_are_told_by_shape_as_well_as_colour() -> None:
    out = shown(
        terminal.trust({tag: {"trust_level": row.trust_level, "tier": row.tier} for tag, row in trust_rows().items()}),
        100,
    )
    assert {"●", "◐", "○"} <= set(out)


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


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_name_of_a_tag_or_cost_is_folded_in_the_evidence(width: int) -> None:
    rows = {tag: replace(row, cost_field="mpl_after_failure") for tag, row in trust_rows().items()}
    out = shown(Padding(terminal.evidence(rows), (0, 0, 0, 2)), width)
    assert max(len(line) for line in out.splitlines()) <= width
    for told in (*rows, "mpl_after_failure", "0.43 to 0.61", "212 of 1,240", "not assessed"):
        assert told in out, told


def test_defects_are_told_in_one_sentence_where_there_are_any() -> None:
    kinds = {"idle": {"findings": 3, "episodes": 2}, "near_duplicate": {"findings": 7, "episodes": 7}}
    assert "near duplicate in 7 episodes, idle in 2" in shown(terminal.summary({**summary(), "defects": kinds}), 120)
    assert "Defects" not in shown(terminal.summary({**summary(), "defects": {}}), 120)
