"""``sima2 trust`` between two calibrations."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from finished_run import trust_row, trust_rows
from sima2.cli import app
from sima2.records.trust import StratumEffect, TrustMatrix, TrustRow


def matrix(folder: Path, name: str, **changed: TrustRow | None) -> Path:
    rows = {tag: row for tag, row in {**trust_rows(), **changed}.items() if row is not None}
    path = folder / f"{name}.json"
    path.write_text(TrustMatrix(rows).to_json())
    return path


def call(*arguments: object, width: int = 100) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": str(width)})
    return result.exit_code, result.stdout


@pytest.mark.parametrize(
    ("tag", "now", "code"),
    [
        ("RiskTag", trust_row("RiskTag", 0.9, 0.6, 0.1), 0),
        ("RiskTag", trust_row("RiskTag", 0.81, 0.45, 0.1), 0),
        ("RiskTag", trust_row("RiskTag", 0.8, 0.45, 0.1), 5),
        ("RiskTag", trust_row("RiskTag", 0.0, 0.1, 0.2, "not_significant"), 5),
        ("RecoveryTag", trust_row("RecoveryTag", 0.4, 0.2, 0.1), 5),
        ("RecoveryTag", trust_row("RecoveryTag", 0.9, 0.6, 0.1), 0),
        ("OODTag", None, 5),
        ("NewTag", trust_row("NewTag", 0.0, 0.1, 0.2, "not_significant"), 0),
    ],
)
def test_the_gate_fails_where_a_tier_was_lost_or_a_tag_is_gone(
    tmp_path: Path, tag: str, now: TrustRow | None, code: int
) -> None:
    before, after = matrix(tmp_path, "before"), matrix(tmp_path, "after", **{tag: now})
    got, out = call("trust", after, "--diff", before, "--json")
    assert got == code
    assert json.loads(out)["lost"] == ([tag] if code else [])


def test_changes_tell_effects_overlap_and_data(tmp_path: Path) -> None:
    before = matrix(tmp_path, "before")
    after = matrix(
        tmp_path,
        "after",
        RiskTag=trust_row("RiskTag", 0.9, 0.9, 0.05, digest="abcdef12" * 2),
        NewTag=trust_row("NewTag", 0.9, 0.6, 0.1),
        OODTag=None,
    )
    found = json.loads(call("trust", after, "--diff", before, "--json")[1])
    risk = found["changes"]["RiskTag"]
    assert risk["effect_change"] == pytest.approx(0.38)
    assert risk["overlap"] is False
    assert risk["same_data"] is False
    assert found["changes"]["RecoveryTag"]["overlap"] is True
    assert found["changes"]["FragilityTag"]["overlap"] is None
    assert (found["new"], found["gone"]) == (["NewTag"], ["OODTag"])


@pytest.mark.parametrize("width", [60, 100])
def test_changes_fit_the_terminal_what_was_lost_first(tmp_path: Path, width: int) -> None:
    before = matrix(tmp_path, "before")
    after = matrix(tmp_path, "after", RiskTag=trust_row("RiskTag", 0.6, 0.3, 0.05, digest="abcdef12" * 2))
    code, out = call("trust", after, "--diff", before, width=width)
    assert code == 5
    assert max(map(len, out.splitlines())) <= width
    for told in ("trusted → provisional  LOST", "0.87 → 0.6", "0.52 → 0.30", "apart", "00000000 → abcdef12"):
        assert told in out, told
    assert out.index("RiskTag") < out.index("FragilityTag")


def test_bounds_of_an_effect_that_is_not_known_overlap_with_nothing(tmp_path: Path) -> None:
    unknown = trust_row("RiskTag", 0.0, math.nan, 0.1, "too_few", interval=(-1.0, 1.0))
    found = json.loads(
        call("trust", matrix(tmp_path, "a", RiskTag=unknown), "--diff", matrix(tmp_path, "b"), "--json")[1]
    )
    assert found["changes"]["RiskTag"]["overlap"] is None
    assert found["changes"]["RiskTag"]["effect_now"] is None


def test_strata_are_listed_on_demand_and_always_in_json(tmp_path: Path) -> None:
    kinds = (StratumEffect("dish_place|arm|a|s1", 0.5, (0.4, 0.6), 20, 90),)
    path = matrix(tmp_path, "one", RiskTag=trust_row("RiskTag", 0.9, 0.5, 0.1, by_stratum=kinds))
    assert "dish place" not in call("trust", path)[1]
    assert "dish place" in call("trust", path, "--strata")[1]
    told = json.loads(call("trust", path, "--json")[1])["RiskTag"]["by_stratum"]
    assert told[0]["stratum"] == "dish_place|arm|a|s1"
