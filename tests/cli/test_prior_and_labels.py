"""A run with a prior, what it says and refuses; and the episodes to label for a tag."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import recorded_sets
from finished_run import trust_row
from sima2.cli import app
from sima2.orchestrator import identity
from sima2.pipeline import RunSettings
from sima2.records.trust import TrustMatrix

N = 40


def call(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "100"})
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def prior_file(folder: Path, **rows: object) -> Path:
    told = {
        tag: replace(trust_row(tag, 0.9, 0.6, 0.1), standard_error=0.05, cost_field=field)
        for tag, field in (("RiskTag", "damage"), ("OODTag", "success"))
    }
    path = folder / "trust_matrix.json"
    path.write_text(json.dumps({**json.loads(TrustMatrix(told).to_json()), **rows}))
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_sets.record(tmp_path_factory.mktemp("set") / "set", range(N))


@pytest.fixture(scope="module")
def carried(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("carried")
    code, _, error = call("run", "--path", recorded, "--prior", prior_file(root), "--out", root / "out")
    assert code == 0, error
    return root / "out"


def test_a_prior_alone_moves_no_weight_and_is_shown_beside_the_trust(carried: Path) -> None:
    summary = json.loads((carried / "summary.json").read_text())
    assert summary["weights"]["uniform"]
    assert summary["prior"]["tags"]
    assert summary["prior"]["moved"] == []
    matrix = json.loads((carried / "trust_matrix.json").read_text())
    for tag in summary["prior"]["tags"]:
        assert matrix[tag]["trust_level"] == 0
        assert 0 < matrix[tag]["carried"]["level"] <= 0.5
        assert matrix[tag]["carried"]["digest"] == summary["prior"]["digest"]
    shown = call("trust", carried)[1]
    assert f"prior {summary['prior']['digest'][:8]}" in " ".join(shown.split())
    assert json.loads(call("trust", carried, "--json")[1])["OODTag"]["carried"]["effect"] == 0.6
    assert "it does not act until these episodes show it too" in (carried / "report.html").read_text()


def test_the_prior_is_part_of_what_a_run_is(recorded: Path, carried: Path, tmp_path: Path) -> None:
    settings = RunSettings(path=recorded)
    with_it = replace(settings, prior=prior_file(tmp_path))
    assert "prior" not in identity(settings)
    assert len(identity(with_it)["prior"]) == 32
    code, _, error = call("run", "--path", recorded, "--out", carried)
    assert code == 3
    assert "judged with the prior" in error
    code, _, error = call("run", "--path", recorded, "--out", carried, "--prior", carried)
    assert code == 2
    assert "would count twice" in error


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON one can read"),
        ("[]", "no trust matrix"),
        ('{"a": 1, "b": {"tag": "b"}}', "no row of a trust matrix of this version"),
        ("\ufeff\x00", "is not JSON"),
    ],
)
def test_what_is_no_matrix_is_refused_before_anything_is_read(
    recorded: Path, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "prior.json"
    path.write_text(text, encoding="utf-8")
    code, _, error = call("run", "--path", recorded, "--out", tmp_path / "out", "--prior", path)
    assert code in (2, 3)
    assert words in error
    assert not (tmp_path / "out").exists()


def test_a_bad_row_is_left_aside_with_a_word(recorded: Path, tmp_path: Path) -> None:
    path = prior_file(tmp_path, FragilityTag={"tag": "\x1b[31m"}, Strange="x")
    code, shown, _ = call("run", "--path", recorded, "--out", tmp_path / "out", "--prior", path)
    assert code == 0
    alerts = json.loads((tmp_path / "out/summary.json").read_text())["alerts"]
    told = {each["tag"]: each["message"] for each in alerts if each["kind"] == "prior_ignored"}
    assert "not one of a trust matrix" in told["FragilityTag"]
    assert "Strange" in told["prior"]
    assert "\x1b[31m" not in shown


def test_the_run_and_the_sample_say_that_tags_bring_nothing_and_what_is_missing(carried: Path) -> None:
    told = json.loads((carried / "summary.json").read_text())["no_gain"]
    assert told.startswith("No curation gain from tags")
    assert "missing: outcomes" in told
    for shown in (call("sample", carried)[1], (carried / "report.html").read_text()):
        assert told in " ".join(shown.split())
    assert json.loads(call("sample", carried, "--json")[1])["no_gain"] == told


def test_the_episodes_to_label_are_a_file_of_outcomes_to_fill_in(carried: Path, recorded: Path, tmp_path: Path) -> None:
    code, out, error = call("trust", carried, "--label", "RecoveryTag", "--json")
    assert code == 0, error
    told = json.loads(out)
    code, out, error = call("trust", carried, "--label", "RecoveryTag")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [int(row["episode_index"]) for row in rows] == [each["episode_index"] for each in told["episodes"]]
    assert all(row["success"] == "" for row in rows)
    assert "to fill in" in error
    filled = tmp_path / "outcomes.csv"
    filled.write_text("episode_index,success\n" + "".join(f"{row['episode_index']},1\n" for row in rows) or "0,1\n")
    if rows:
        assert call("run", "--path", recorded, "--outcomes", filled, "--out", tmp_path / "out")[0] == 0
    assert call("trust", carried, "--n", 3)[0] == 2
    assert call("trust", carried, "--label", "NoTag")[0] == 2
    assert call("trust", carried / "trust_matrix.json", "--label", "OODTag")[0] == 2
