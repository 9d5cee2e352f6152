"""``sima2 run`` from end to end: made rollouts, recordings, garbage, and a run that was interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sima2.cli import app
from sima2.tags.specs import TAGS

SMALL_SHARDS = (
    "import runpy; from sima2.pipeline import pass_one; pass_one.SHARD_EPISODES = 32; "
    "runpy.run_module('sima2', run_name='__main__')"
)
"""The program with so small shards that a run of some hundred episodes can be cut between two of them."""
REAL = Path(__file__).parents[2].parent / "shared" / "data" / "lerobot_v21_g1"


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["run", *words])
    return done.exit_code, done.stdout, done.stderr


def test_made_rollouts_end_in_a_report_and_one_json_object(tmp_path: Path) -> None:
    code, out, _ = run("--families", "drawer_open", "--episodes", "30", "--out", str(tmp_path / "out"), "--json")
    values = json.loads(out)
    assert code == 0
    assert values["episodes"] == {"in": 30, "ok": 30, "quarantined": 0, "skipped": 0}
    assert values["labels"]["pull"] > 20
    assert set(values["trust"]) == set(TAGS)
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def test_garbage_is_put_aside_by_name_and_the_rest_goes_through(tmp_path: Path) -> None:
    code, out, _ = run("--mix", "stress_mix_v1", "--episodes", "60", "--out", str(tmp_path / "out"), "--json")
    told = json.loads(out)["episodes"]
    assert code == 4
    assert told["in"] == 60 == told["ok"] + told["quarantined"]
    assert 0 < told["quarantined"] < 13
    rows = json.loads(CliRunner().invoke(app, ["audit", str(tmp_path / "out"), "--json"]).stdout)["episodes"]
    assert sum("quarantined:" in row["codes"] for row in rows) == told["quarantined"]
    broken = [row for row in rows if "idle" in row["codes"].split(",")]
    assert broken
    assert "passed" not in {row["status"] for row in broken}, "garbage that went through is not used as it is"


@pytest.mark.skipif(not REAL.exists(), reason="needs the real recordings in ../shared/data")
def test_a_recording_of_joints_and_hands_says_what_it_could_not_assess(tmp_path: Path) -> None:
    code, out, _ = run("--source", "lerobot", "--path", str(REAL), "--out", str(tmp_path / "out"), "--json")
    values = json.loads(out)
    assert code == 0
    assert values["episodes"]["ok"] == 20
    assert not {"collision", "wipe"} & set(values["labels"])
    assert {row["trust_level"] for row in values["trust"].values()} == {0.0}, "what was inferred tests nothing"
    assert values["weights"]["uniform"] is True
    told = " ".join(values["not_assessed"])
    assert all(word in told for word in ("force", "pose", "outcome"))


def test_nothing_usable_is_exit_code_3_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "set" / "meta").mkdir(parents=True)
    (tmp_path / "set" / "meta" / "info.json").write_text("")
    code, out, err = run("--source", "lerobot", "--path", str(tmp_path / "set"), "--out", str(tmp_path / "out"))
    assert (code, out) == (3, "")
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "value", "valid"),
    [
        ("--source", "lerobott", "lerobot"),
        ("--mix", "hard", "hardening"),
        ("--families", "drawr_open", "drawer_open"),
        ("--engine", "local2", "local"),
    ],
)
def test_a_wrong_name_lists_the_valid_ones(tmp_path: Path, option: str, value: str, valid: str) -> None:
    code, _, err = run(option, value, "--out", str(tmp_path / "out"))
    assert code == 2
    assert valid in err


def test_an_interrupted_run_resumes_to_the_same_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sima2.pipeline.pass_one.SHARD_EPISODES", 32)
    words = ["--episodes", "320", "--seed", "5"]
    whole = json.loads(run(*words, "--out", str(tmp_path / "whole"), "--json")[1])
    out = tmp_path / "cut"
    child = subprocess.Popen(
        [sys.executable, "-c", SMALL_SHARDS, "run", *words, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list(out.glob("segments/shard-*.parquet")) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    child.wait()
    code, told, _ = run(*words, "--out", str(out), "--resume", "--json")
    assert code == 0
    assert json.loads(told)["digest"] == whole["digest"]


@pytest.mark.parametrize(
    "words",
    [
        ("--seed", "99999999999999999999"),
        ("--source", "mujoco", "--path", "somewhere"),
        ("--map", "map.toml"),
        ("--goal", "object=cup,relation=held"),
        ("--source", "lerobot", "--path", "x", "--goal", "the cup"),
        ("--source", "lerobot", "--path", "x", "--mix", "stress_mix_v1"),
        ("--source", "lerobot", "--path", "x", "--families", "drawer_open"),
    ],
    ids=" ".join,
)
def test_options_that_cannot_apply_are_refused_in_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, out, err = run(*words, "--out", str(tmp_path / "out"))
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
