"""Defects on the page and in a terminal."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from finished_run import made_report, summary, write_folder
from sima2.cli import app
from sima2.io.store import Coming, Store
from sima2.records.defects import DefectTable
from sima2.report import defects
from sima2.report.html import render


def found(n: int = 3, name: str = "pick_and_place-000007") -> DefectTable:
    return DefectTable(
        episode_index=np.arange(n),
        episode_id=[name, *(f"e{k:04d}" for k in range(1, n))],
        manipulator=["left", *["arm"] * (n - 1)],
        defect=["teleport", *["idle"] * (n - 1)],
        severity=np.linspace(0.9, 0.2, n),
        start_frame=np.arange(n) + 10,
        end_frame=np.arange(n) + 20,
        value=np.full(n, 3.0),
        unit=["s"] * n,
        details=["joint_position[2] jumps by <b>2 rad", *["nothing moves for 3 s at the end"] * (n - 1)],
    )


def told(n: int) -> dict[str, object]:
    return {**summary(), "defects": {"teleport": {"findings": 1, "episodes": 1},
                                     "idle": {"findings": n - 1, "episodes": n - 1}}}  # fmt: skip


def test_the_page_lists_the_worst_first_with_counts_and_meanings() -> None:
    page = render(replace(made_report(), summary=told(3), defects=found()))
    assert "What is wrong with my data" in page
    assert "left: joint_position[2] jumps by &lt;b&gt;2 rad" in page
    assert page.index("jumps by") < page.index("nothing moves for 3 s")
    assert "a position jumps further in one frame" in page


def test_a_long_list_is_folded_and_its_rest_counted() -> None:
    page = str(defects.page(told(150), found(150)))
    assert "The next 88" in page
    assert "50 more in defects.parquet" in page


def test_a_run_that_found_nothing_says_so_and_one_that_did_not_look_says_nothing() -> None:
    assert "Nothing was found" in render(replace(made_report(), summary={**summary(), "defects": {}}))
    assert "What is wrong" not in render(made_report())


@pytest.mark.parametrize("width", [60, 100])
def test_rows_fit_the_terminal_and_keep_names_whole(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    console.print(defects.rows(found().rows()))
    out = console.file.getvalue()
    assert max(len(line) for line in out.splitlines()) <= width
    assert "teleport  pick_and_place-000007, left, frames 10–20" in out


def test_what_is_about_the_set_names_no_episode_and_no_frames() -> None:
    about = replace(found(1, ""), episode_index=np.array([-1]))
    console = Console(file=io.StringIO(), width=100)
    console.print(defects.rows(about.rows()))
    lines = [line.strip() for line in console.file.getvalue().splitlines()]
    assert any(line.endswith("teleport  the whole set, left") for line in lines)
    assert "the whole set" in str(defects.page(told(1), about))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = write_folder(tmp_path / "out", replace(made_report(), summary=told(3)))
    with Store.open(out, [Coming({"seed": 0})], resume=True) as store:
        store.write_table("defects", found())
    return out


def test_audit_and_explain_tell_defects(folder: Path) -> None:
    def call(*arguments: object) -> str:
        result = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "100"})
        assert result.exit_code == 0
        return result.stdout

    audit = call("audit", folder)
    assert audit.index("What is wrong with the data") < audit.index("The worst of it") < audit.index("jumps by")
    listed = json.loads(call("audit", folder, "--json"))["defects"]
    assert [row["defect"] for row in listed] == ["teleport", "idle", "idle"]
    explained = call("explain", folder, "pick_and_place-000007")
    assert "What is wrong with its data" in explained
    assert "nothing moves" not in explained
    assert len(json.loads(call("explain", folder, "pick_and_place-000007", "--json"))["findings"]) == 1
