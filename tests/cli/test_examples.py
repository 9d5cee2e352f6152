"""Every example runs, on a small made set, and does what the documents say of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from finished_run import trust_row, trust_rows, write_folder
from sima2.bench.recordings_maker import RECIPES, make_set
from sima2.cli import app

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
EPISODES = 6


def ran(name: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """An example as a user starts it."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small recorded set, ``my_set``, and its results, ``out``."""
    folder = tmp_path_factory.mktemp("made")
    recipe = next(each for each in RECIPES if each.name == "so101_cube")
    make_set(folder / "my_set", recipe, EPISODES, 3, failures=0.5)
    done = CliRunner().invoke(app, ["run", "--path", str(folder / "my_set"), "--out", str(folder / "out")])
    assert done.exit_code == 0, done.output
    return folder


def test_an_example_without_arguments_says_how_to_call_it(tmp_path: Path) -> None:
    for name in ("make_recordings.py", "trust_on_your_own_tags.py"):
        done = ran(name, cwd=tmp_path)
        assert done.returncode == 1
        assert f"examples/{name}" in done.stderr


def test_the_set_of_getting_started_is_made_with_its_truth_beside_it(tmp_path: Path) -> None:
    done = ran("make_recordings.py", "my_set", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    truth = json.loads((tmp_path / "my_set_truth.json").read_text("utf-8"))
    info = json.loads((tmp_path / "my_set/meta/info.json").read_text("utf-8"))
    assert len(truth) == info["total_episodes"] == 60
    assert f"{sum(not each['success'] for each in truth)} of which failed" in done.stdout


def shares(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What each library says of the segments that failed."""
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if "share of segments" in line]
    return {line.split(",")[0]: line.split(": ", 1)[1] for line in told}


def test_the_tables_are_read_with_pyarrow_and_polars(made: Path) -> None:
    done = ran("look_at_results.py", "out", cwd=made)
    assert done.stdout.startswith(f"{EPISODES} episodes, ")
    assert shares(done)["polars"] != "{}"


@pytest.mark.extras
def test_pandas_and_polars_say_the_same_of_the_tables(made: Path) -> None:
    said = shares(ran("look_at_results.py", "out", cwd=made))
    assert set(said) == {"pandas", "polars"}
    assert said["pandas"] == said["polars"]


def test_the_tables_are_read_with_pyarrow_alone(made: Path) -> None:
    hidden = "import importlib.util as u, runpy, sys; u.find_spec = lambda name: None; "
    code = f"{hidden}sys.argv = ['', 'out']; runpy.run_path({str(EXAMPLES / 'look_at_results.py')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=made)
    assert done.returncode == 0, done.stderr
    assert "weights leave" in done.stdout
    assert "pandas" not in done.stdout


def test_own_tags_are_trusted_where_they_predict_the_cost_and_not_where_they_are_noise(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["block,timestamp,protective_stop,grip_lost"]
    for block in range(120):
        stop, noise = block % 3 == 0, int(rng.integers(2))
        lasts = 60 + 60 * stop + int(rng.integers(30))
        for second in (0, lasts):
            at = f"2024-01-01T00:{second // 60:02}:{second % 60:02}Z"
            lines.append(f"{block},{at},{int(stop)},{noise}")
    (tmp_path / "log.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = ran("trust_on_your_own_tags.py", "log.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    stop_line, noise_line, shuffled = done.stdout.splitlines()
    assert "  trusted " in stop_line
    assert "  untrusted " in noise_line
    assert "trust 0.00" in shuffled


def gate(now: Path, before: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return ran("ci_gate.py", now, before, *options, cwd=now.parent)


def test_the_gate_lets_through_what_did_not_get_worse(made: Path) -> None:
    done = gate(made / "out", made / "out")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_gate_stops_defects_that_rose(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "out", tmp_path / "worse")
    file = tmp_path / "worse/summary.json"
    told = json.loads(file.read_text("utf-8"))
    told["defects"]["frozen_channel"] = {"episodes": 3, "findings": 3}
    file.write_text(json.dumps(told), encoding="utf-8")
    done = gate(tmp_path / "worse", made / "out")
    assert done.returncode == 5
    assert "frozen_channel: 50% of the episodes, before 0%" in done.stdout
    assert gate(tmp_path / "worse", made / "out", "--most", 0.6).returncode == 0


def test_the_gate_stops_trust_that_fell(tmp_path: Path) -> None:
    before = write_folder(tmp_path / "before")
    lost = {**trust_rows(), "RiskTag": trust_row("RiskTag", 0.6, 0.3, 0.1)}
    done = gate(write_folder(tmp_path / "now", trust=lost), before)
    assert done.returncode == 5
    assert "RiskTag" in done.stdout


def test_the_gate_says_where_no_results_are(made: Path, tmp_path: Path) -> None:
    done = gate(made / "out", tmp_path)
    assert done.returncode == 3
    assert "holds no finished run" in done.stderr


@pytest.mark.extras
def test_a_policy_is_trained_by_the_weights(made: Path, tmp_path: Path) -> None:
    export = ["export", str(made / "out"), "--lists", str(tmp_path / "lists")]
    assert CliRunner().invoke(app, export).exit_code == 0
    done = ran("train_with_weights.py", "my_set", tmp_path / "lists/weights.parquet", cwd=made)
    assert done.returncode == 0, done.stderr
    losses = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert len(losses) == 3
    assert losses[-1] < 0.8 * losses[0]
