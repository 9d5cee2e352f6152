"""Copies of one recording with opposite outcomes are kept out for that reason, until a person says which is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from recorded_sets import record
from sima2.io.label_log import append_label
from sima2.orchestrator import run_pipeline
from sima2.pipeline import RunSettings
from sima2.records.labels import Label


def ends(file: Path, success: Sequence[int]) -> Path:
    file.write_text("episode_index,success\n" + "".join(f"{k},{each}\n" for k, each in enumerate(success)))
    return file


def plan(out: Path) -> dict[int, dict[str, Any]]:
    rows = pq.read_table(out / "plan.parquet").to_pylist()
    return {row["episode_index"]: row for row in rows}


@pytest.mark.parametrize("success", [[1, 0], [0, 1]])
def test_both_are_kept_out_by_a_fact_that_names_the_other(success, tmp_path) -> None:
    root = record(tmp_path / "set", [1, 2, 3, 7, 7, 4, 5, 6])
    outcomes = ends(tmp_path / "ends.csv", [1, 1, 1, *success, 1, 1, 0])
    run_pipeline(path=root, outcomes=outcomes, out=tmp_path / "out")
    told = plan(tmp_path / "out")
    for mine, other in ((3, 4), (4, 3)):
        assert told[mine]["action"] == "drop"
        assert told[mine]["codes"].split(",")[0] == "outcome_contradicted"
        assert f"the recording of {told[other]['episode_id']} bit for bit" in told[mine]["words"]
    assert [row["action"] for k, row in told.items() if k not in (3, 4, 7)] == ["keep"] * 5
    assert "outcome_contradicted" not in told[7]["codes"]


def test_what_a_person_says_of_one_settles_it(tmp_path) -> None:
    root = record(tmp_path / "set", [1, 2, 3, 7, 7, 4, 5, 6])
    outcomes = ends(tmp_path / "ends.csv", [1, 1, 1, 1, 0, 1, 1, 1])
    run_pipeline(path=root, outcomes=outcomes, out=tmp_path / "out")
    append_label(tmp_path / "out", Label(plan(tmp_path / "out")[3]["episode_id"], "success", by="ann"))
    run_pipeline(path=root, outcomes=outcomes, out=tmp_path / "out")
    told = plan(tmp_path / "out")
    assert (told[3]["action"], told[3]["codes"]) == ("keep", "")
    assert told[4]["codes"].split(",")[0] == "outcome_contradicted"


def test_copies_that_ended_alike_are_only_copies(tmp_path) -> None:
    root = record(tmp_path / "set", [1, 2, 3, 7, 7, 4, 5, 6])
    run_pipeline(path=root, outcomes=ends(tmp_path / "ends.csv", [1] * 8), out=tmp_path / "out")
    assert [row["codes"] for row in plan(tmp_path / "out").values()] == ["", "", "", "", "near_duplicate", "", "", ""]


def test_a_copy_that_comes_later_with_the_opposite_outcome_is_named(tmp_path) -> None:
    first = RunSettings(path=record(tmp_path / "a", range(6)), outcomes=ends(tmp_path / "a.csv", [1] * 6))
    other = RunSettings(path=record(tmp_path / "b", [5, 0, 11, 12]), outcomes=ends(tmp_path / "b.csv", [0, 1, 1, 1]))
    values = run_pipeline(first, also=[other], out=tmp_path / "out").values
    assert values["episodes"]["skipped"] == 2
    told = [each for each in values["warnings"] if "said to have ended otherwise" in each]
    assert len(told) == 1
    assert "-000005 that is said" in told[0]
