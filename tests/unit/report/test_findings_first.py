"""Where nothing can be tested the terminal and the page begin with what was found in the episodes."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from finished_run import episodes_of, made_report, summary, trust_row, trust_rows, write_folder
from sima2.cli import app
from sima2.io.store import Coming, Store
from sima2.records.courses import WHOLE, CourseTable, Endings, UnusualTable
from sima2.records.defects import DefectTable
from sima2.records.episodes import EpisodeTable
from sima2.records.table import Text
from sima2.report import terminal
from sima2.report.first import PARTS, ended_sentence, first_findings, leads
from sima2.report.html import render
from sima2.report.text import visible

HOSTILE = "<script>x</script>\u202e\x1b[31m[bold]"


def episodes(n: int = 24) -> EpisodeTable:
    ids = [f"61927e-{k:06d}" for k in range(n)]
    success = np.where(np.arange(n) % 3 == 2, np.nan, (np.arange(n) % 4 != 1) * 1.0)
    return replace(
        episodes_of(ids),
        success=success,
        inferred_success=success,
        inferred_confidence=np.where(np.isnan(success), 0, 0.75 + np.arange(n) / 100).astype(np.float32),
        outcome_source=Text.of("none" if math.isnan(x) else "inferred" for x in success),
        failure_reason=["gripper_slip"] * n,
    )


def ended(table: EpisodeTable) -> Endings:
    n = len(table)
    zero = np.zeros(n, np.int64)
    tried = (np.arange(n) % 5 == 0).astype(np.int64)
    return Endings(
        episode_id=table.episode_id,
        failed=["grasp"] * n,
        failed_because=["gripper_slip"] * n,
        failed_start=zero + 30,
        failed_end=zero + 50,
        last=["release"] * n,
        last_start=zero + 60,
        last_end=zero + 80,
        retries=tried,
        retried=["grasp" if k else "" for k in tried],
        retried_because=["missed_grasp" if k else "" for k in tried],
        retry_start=zero + 10,
        retry_end=zero + 30,
    )


def defects(table: EpisodeTable, words: str = "nothing moves for 3 s") -> DefectTable:
    kinds = ["idle", "idle", "teleport", "repeated_grasp", "label_conflict"]
    k = len(kinds)
    return DefectTable(
        episode_index=np.arange(k),
        episode_id=table.episode_id[:k],
        manipulator=["left"] * k,
        defect=kinds,
        severity=np.linspace(0.9, 0.5, k),
        start_frame=np.arange(k),
        end_frame=np.arange(k) + 9,
        value=np.full(k, 2.0),
        unit=["s"] * k,
        details=[words] * k,
    )


def unusual(table: EpisodeTable, words: str = "9 s before the first motion, others 0.2 s") -> UnusualTable:
    n = len(table)
    return UnusualTable(
        episode_index=np.arange(n),
        episode_id=table.episode_id,
        family=["pick"] * n,
        robot=["r"] * n,
        episodes=np.full(n, n),
        rank=np.arange(n) + 1,
        p=(np.arange(n) + 1) / n,
        score=np.linspace(9, 0, n),
        shown=np.arange(n) < 3,
        start_frame=np.zeros(n, np.int64),
        end_frame=np.full(n, 90),
        words=[words] * n,
        nearest=[""] * n,
        nearest_distance=np.ones(n),
        coverage=["rare", "alike", *[""] * (n - 2)],
    )


def courses(family: str = "pick_the_cup") -> CourseTable:
    phases = [WHOLE, "approach", "grasp"]
    n = len(phases)
    return CourseTable(
        family=[family] * n,
        robot=["r"] * n,
        manipulator=["", "arm", "arm"],
        phase=phases,
        place=np.arange(n),
        episodes=np.full(n, 24),
        share=np.ones(n),
        times=np.ones(n),
        start_s=np.zeros(n),
        duration_s=np.full(n, 4.0),
        low_s=np.full(n, 3.0),
        high_s=np.full(n, 5.0),
    )


def values(**more: Any) -> dict[str, Any]:
    table = episodes()
    found = first_findings(table, ended(table), defects(table), unusual(table), courses())
    to_label = [{"episode_id": table.episode_id[k], "episode_index": k, "chosen": "random"} for k in range(0, 24, 2)]
    return {
        **summary(),
        "format": "lerobot",
        "trust": {tag: {"trust_level": 0.0, "tier": "untrusted", "reason": "no_outcome"} for tag in trust_rows()},
        "sources": [{"source": "x", "collection": "lerobot r", "is": "x"}],
        "defects": {"idle": {"findings": 2, "episodes": 2}},
        "first": {**found, "to_label": to_label},
        **more,
    }


def told(**more: Any) -> dict[str, Any]:
    """The same where every fourth outcome was recorded."""
    found = values(**more)
    outcomes = {"recorded": 6, "inferred_success": 8, "inferred_failure": 2, "unknown": 8}
    return {**found, "first": {**found["first"], "outcomes": outcomes}}


def untested() -> dict[str, Any]:
    return {tag: trust_row(tag, 0.0, math.nan, math.nan, "no_outcome") for tag in trust_rows()}


def shown(renderable: Any, width: int = 60) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_findings_come_first_and_trust_is_one_line() -> None:
    out = shown(terminal.summary(values(), trust=untested(), report="out/report.html"))
    line = " ".join(out.split())
    places = [line.index(title) for title in PARTS.values()]
    assert places == sorted(places)
    assert places[-1] < line.index("The usual course") < line.index("Training and trust")
    assert (
        "not testable without outcomes. Label 12 episodes (sima2 view --label, or --outcomes FILE with "
        "episode_index, success): 0, 2, 4" in line
    )
    assert "RiskTag" not in out
    assert "far from every other: 0" in line
    assert "nearly the motion of another: 1" in line
    assert "Damage is known of no episode" not in line
    assert line.endswith("report: out/report.html")


def test_an_inferred_failure_says_so_with_its_probability_reason_and_frames() -> None:
    line = " ".join(shown(terminal.summary(values(), trust=untested())).split())
    assert "episode 21, frames 30–50: grasp: gripper slip (inferred, 0.96)" in line
    assert "No outcome is recorded. Inferred from the motion:" in line


def test_few_episodes_that_ended_nobody_knows_how_are_named_and_many_by_the_command_that_lists_them() -> None:
    def sentence(open_: Sequence[int], **summary: object) -> str:
        rows = [{"episode_id": f"id{k}", "episode_index": k} for k in open_]
        ends = {"recorded": 0, "inferred_success": 3, "inferred_failure": 1, "unknown": len(rows), "open": rows}
        return ended_sentence({"first": {"outcomes": ends}, **summary}).split("failed; ")[1]

    recorded = {"sources": [{}], "format": "lerobot"}
    assert sentence([2, 5], **recorded) == "2 not known (2, 5)."
    assert sentence(range(7), **recorded) == "7 not known (`sima2 episodes --unknown`)."
    assert sentence([2, 5]) == "2 not known (`sima2 episodes --unknown`)."
    assert sentence([], **recorded) == "0 not known."


def test_the_first_screen_fits_sixty_columns_and_one_screen_and_breaks_no_word() -> None:
    long = {"warnings": [f"the channel number {k} of the second arm could not be read" for k in range(30)]}
    given = values(**long)
    out = shown(terminal.summary(given, trust=untested(), report="out/report.html"))
    lines = out.splitlines()
    assert len(lines) <= 48
    assert max(map(len, lines)) <= 60
    words = set(shown(terminal.summary(given, trust=untested(), report="out/report.html"), 1000).split())
    assert set(out.split()) <= words, "a word was broken"


def test_trust_by_inferred_outcomes_alone_does_not_come_first_and_says_so() -> None:
    trusted = {"RecoveryTag": {"trust_level": 0.9, "tier": "trusted", "reason": "ok"}}
    line = " ".join(shown(terminal.summary(values(trust=trusted), trust=trust_rows())).split())
    assert "Which tags predict cost: RecoveryTag by inferred outcomes only. Label 12 episodes" in line


def test_where_something_is_tested_trust_keeps_its_place() -> None:
    out = shown(terminal.summary(told(), trust=trust_rows(), report="r.html"), 80)
    titles = [line for line in out.splitlines() if line and not line.startswith(" ")]
    assert titles[-2:] == ["Trust: which tags predict cost here", "report: r.html"]
    assert "Unusual, not bad: 3 episodes unlike the others of their task; see `sima2 audit`." in " ".join(out.split())
    assert not leads(told(), trust_rows())
    assert leads(told(), untested())
    assert not leads(summary(), untested())


def test_each_kind_of_finding_is_counted_by_episodes_and_kinds_of_defects_take_turns() -> None:
    table = episodes()
    found = first_findings(table, ended(table), defects(table), unusual(table), courses())
    assert [row["words"].split(":")[0] for row in found["defects"]["rows"]] == ["idle", "teleport", "idle"]
    assert found["failed"]["count"] == int((table.success == 0).sum())
    assert [row["p"] for row in found["failed"]["rows"]] == sorted(
        (row["p"] for row in found["failed"]["rows"]), reverse=True
    )
    assert found["retried"]["count"] == len({0, 5, 10, 15, 20} | {3})
    assert found["conflicts"]["count"] == 1
    assert {kind: [row["episode_index"] for row in rows] for kind, rows in found["coverage"].items()} == {
        "rare": [0],
        "alike": [1],
    }
    assert json.loads(json.dumps(found)) == found


def test_recorded_failures_stand_before_inferred_ones_and_are_not_called_inferred() -> None:
    table = replace(episodes(), outcome_source=Text.of("recorded" if k == 1 else "inferred" for k in range(24)))
    found = first_findings(table, ended(table), defects(table), unusual(table), courses())
    head = found["failed"]["rows"][0]
    assert (head["episode_index"], head["inferred"], head["p"]) == (1, False, None)
    assert not any("nan" in json.dumps(row) for row in found["failed"]["rows"])


def test_nothing_found_is_said_and_nothing_known_is_not_called_good() -> None:
    table = replace(episodes(), success=np.full(24, np.nan), outcome_source=Text.full(24, "none"))
    none = replace(ended(table), retries=np.zeros(24, np.int64))
    found = first_findings(table, none, DefectTable.empty(), UnusualTable.empty(), CourseTable.empty())
    out = shown(terminal.summary(values(first={**found, "to_label": []}), trust=untested()))
    assert "Failed: not known of any episode" in out
    assert "What is wrong with the data: nothing found" in out
    assert "could not be inferred" in " ".join(out.split())
    assert "Unusual" not in out


def test_the_page_keeps_the_same_order_and_folds_the_table_of_trust() -> None:
    page = render(replace(made_report(), summary=values(), trust=untested(), defects=defects(episodes())))
    order = [
        "Failed: ",
        "Outcome and motion disagree",
        "Tried again",
        "What is wrong with my data",
        "Unusual, not bad",
        "The usual course of each task",
        "not testable without outcomes",
        "<h2>Some episodes</h2>",
        "Why each tag could not be tested",
    ]
    places = [page.index(each) for each in order]
    assert places == sorted(places)
    assert "(inferred, 0.96)" in page
    tested = render(replace(made_report(), summary=told(), defects=defects(episodes())))
    assert tested.index("Which tags predict cost here") < tested.index("Unusual, not bad")


def test_hostile_words_are_shown_and_do_nothing() -> None:
    table = episodes()
    found = first_findings(table, ended(table), defects(table, HOSTILE), unusual(table, HOSTILE), courses(HOSTILE))
    given = values(first={**found, "to_label": []})
    page = render(replace(made_report(), summary=given, trust=untested()))
    assert "<script" not in page
    out = shown(terminal.summary(given, trust=untested()), 200)
    assert visible(HOSTILE) in out
    assert not {"\u202e", "\x1b"} & set(out + page)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = write_folder(tmp_path / "out", replace(made_report(), summary=values()))
    with Store.open(out, [Coming({"seed": 0})], resume=True) as store:
        store.write_table(
            "episodes", replace(episodes(12), episode_id=store.read_table(EpisodeTable, "episodes").episode_id[:12])
        )
        store.write_table("unusual", unusual(episodes()))
    return out


def call(*arguments: object, width: int = 60) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": str(width)})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_audit_tells_the_unusual_last_and_explain_where_one_stands(folder: Path) -> None:
    out = call("audit", folder)
    assert out.index("Unusual, not bad") > out.index("status")
    assert "61927e-000000  frames 0–90" in out
    assert len(json.loads(call("audit", folder, "--json"))["unusual"]) == 3


def test_failed_episodes_are_listed_with_how_sure_that_is_and_no_word_broken(folder: Path) -> None:
    out = call("episodes", folder, "--failed")
    assert "failure (inferred, 0.76)" in out
    assert max(map(len, out.splitlines())) <= 60
    rows = json.loads(call("episodes", folder, "--failed", "--json"))["episodes"]
    assert {row["outcome_source"] for row in rows} == {"inferred"}
    assert all(row["inferred_confidence"] > 0.7 for row in rows)
