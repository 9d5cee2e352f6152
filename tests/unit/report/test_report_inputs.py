"""A finished folder, read back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from finished_run import made_report, trust_row, trust_rows, write_folder
from sima2.errors import StoreError
from sima2.records.trust import StratumEffect, TrustMatrix
from sima2.report.html import render
from sima2.report.inputs import load_report, read_trust


def test_a_report_from_a_folder_equals_the_one_from_memory(tmp_path: Path) -> None:
    report = made_report()
    write_folder(tmp_path / "out", report)
    loaded = load_report(tmp_path / "out")
    shown = ("segments", "tags", "signals", "overview", "details")  # of episodes that the folder chooses
    report = replace(report, **{name: getattr(loaded, name) for name in shown})
    drop = lambda page: page[: page.index("Provenance")]  # noqa: E731
    assert drop(render(loaded)) == drop(render(report))


def test_every_episode_has_a_row_and_those_that_fit_are_told_whole(tmp_path: Path) -> None:
    report = made_report()
    write_folder(tmp_path / "out", report)
    loaded = load_report(tmp_path / "out")
    assert loaded.overview["id"] == report.episodes.episode_id.tolist()
    assert sorted(map(int, loaded.details)) == list(range(len(report.episodes)))
    assert {each["episode_id"] for each in loaded.signals} >= set(loaded.segments.episode_id)


def test_a_verdict_comes_back_as_it_was(tmp_path: Path) -> None:
    report = made_report()
    write_folder(tmp_path / "out", report)
    back = read_trust(tmp_path / "out")
    assert back["RiskTag"] == report.trust["RiskTag"]
    assert math.isnan(back["FragilityTag"].effect)
    assert all(math.isnan(bound) for bound in back["FragilityTag"].interval)


def test_effects_by_stratum_come_back_as_they_were(tmp_path: Path) -> None:
    kinds = (
        StratumEffect("a|r|p|s", 0.5, (0.4, 0.6), 20, 90),
        StratumEffect("b|r|p|s", 0.1, (math.nan, math.nan), 1, 9),
    )
    row = trust_row("T", 0.9, 0.5, 0.1, by_stratum=kinds)
    path = tmp_path / "of_last_week.json"
    path.write_text(TrustMatrix({"T": row}).to_json())
    back = read_trust(path)["T"]
    assert back.by_stratum[0] == kinds[0]
    assert all(map(math.isnan, back.by_stratum[1].interval))


def test_a_matrix_of_before_strata_were_kept_is_read(tmp_path: Path) -> None:
    rows = json.loads(TrustMatrix(trust_rows()).to_json())
    for row in rows.values():
        del row["by_stratum"]
    (tmp_path / "trust_matrix.json").write_text(json.dumps(rows))
    assert read_trust(tmp_path)["RiskTag"] == trust_rows()["RiskTag"]


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"RiskTag": {"tag": "RiskTag"}}', '{"RiskTag": 3}', '{"T": {"interval": [1]}}']
)
def test_a_damaged_matrix_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "trust_matrix.json").write_text(text)
    with pytest.raises(StoreError, match="trust_matrix"):
        read_trust(tmp_path)


def test_a_folder_without_results_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="finished run"):
        load_report(tmp_path)
