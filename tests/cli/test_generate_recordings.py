"""`sima2 generate --format mcap`: recordings that the same commands read."""

import json
from pathlib import Path

from typer.testing import CliRunner

from sima2.cli import app


def test_recordings_are_generated_and_run_like_any_data_set(tmp_path: Path) -> None:
    made = tmp_path / "recordings"
    options = ["--episodes", "6", "--seed", "3", "--format", "mcap", "--out", str(made), "--json"]
    done = CliRunner().invoke(app, ["generate", *options])
    assert done.exit_code == 0, done.output
    assert len(list(made.glob("episode_*.mcap"))) == json.loads(done.stdout)["episodes"]["ok"] == 6
    run = CliRunner().invoke(app, ["run", "--path", str(made), "--out", str(tmp_path / "out"), "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["episodes"]["ok"] == 6
    one = made / "episode_000002.mcap"
    alone = CliRunner().invoke(app, ["run", "--path", str(one), "--out", str(tmp_path / "one"), "--json"])
    assert alone.exit_code == 0, alone.output


def test_a_format_that_cannot_be_written_is_refused_with_those_that_can(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["generate", "--format", "mcapp", "--out", str(tmp_path / "x")])
    assert done.exit_code == 2
    assert "did you mean 'mcap'?" in done.output
    assert not (tmp_path / "x").exists()
