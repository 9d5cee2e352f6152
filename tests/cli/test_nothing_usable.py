"""A data set of which nothing is understood: what was seen, what would decide it, and a folder to look into."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from recordings import laid, recordings, write_set
from sima2.cli import app

MADE = recordings(6)


def sima2(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


def test_a_set_that_is_not_understood_tells_the_way_on_and_a_map_then_reads_it(tmp_path: Path) -> None:
    strange = [state[:, :2] for state in laid(MADE)]
    root = write_set(tmp_path / "set", strange, ["schwenk", "wippe"])
    out = tmp_path / "out"
    code, _, told = sima2("run", "--path", root, "--out", out)
    assert code == 3
    assert "no column of" in told
    assert "observation.state" in told
    assert "--map" in told
    code, listed, _ = sima2("quarantine", out, "--json")
    assert (code, json.loads(listed)["reasons"]) == (0, {"no_signal": 6})
    named = out / "column_map.toml"
    named.write_text('[arms.arm.joint_position]\nfeature = "observation.state"\nindex = [0, 1]\nunit = "rad"\n')
    code, done, told = sima2("run", "--path", root, "--map", named, "--out", out, "--fresh", "--json")
    assert code == 0, told
    assert json.loads(done)["episodes"]["ok"] == 6


def test_a_folder_without_results_has_no_quarantine(tmp_path: Path) -> None:
    code, _, told = sima2("quarantine", tmp_path)
    assert code == 3
    assert "no results here" in told
