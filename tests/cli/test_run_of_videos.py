"""A run looks at videos only where that is asked for, and says which it was."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recorded_sets import record
from sima2.cameras import NOT_LOOKED
from sima2.cli import app


def with_camera(root: Path) -> Path:
    record(root, [1, 2, 3, 4])
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["top"] = {"dtype": "video", "shape": [48, 64, 3], "names": None}
    (root / "meta/info.json").write_text(json.dumps(info))
    return root


def test_a_run_that_did_not_look_at_videos_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    root = with_camera(tmp_path / "set")
    unseen = CliRunner().invoke(app, ["run", "--path", str(root), "--out", str(tmp_path / "none")])
    assert NOT_LOOKED not in " ".join(unseen.stdout.split())  # there is nothing to look at
    (root / "videos").mkdir()
    told = CliRunner().invoke(app, ["run", "--path", str(root), "--out", str(tmp_path / "out")])
    assert told.exit_code == 0
    assert NOT_LOOKED in " ".join(told.stdout.split())
    assert json.loads((tmp_path / "out/summary.json").read_text())["videos"] == {"looked": False, "words": NOT_LOOKED}


def test_a_set_without_cameras_says_nothing_of_videos(tmp_path: Path) -> None:
    record(tmp_path / "set", [1, 2, 3])
    told = CliRunner().invoke(app, ["run", "--path", str(tmp_path / "set"), "--out", str(tmp_path / "out"), "--json"])
    assert "videos" not in json.loads(told.stdout)


def test_without_the_extra_the_run_names_it_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    root = with_camera(tmp_path / "set")
    told = CliRunner().invoke(app, ["run", "--path", str(root), "--video", "--out", str(tmp_path / "out")])
    assert told.exit_code == 2
    assert "sima2[video]" in str(told.stderr) + str(told.exception)
    assert not (tmp_path / "out").exists()


def test_made_rollouts_have_no_videos(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["run", "--video", "--out", str(tmp_path / "out")])
    assert told.exit_code == 2
    assert "--video belongs to a recorded source" in " ".join((told.stderr + str(told.exception)).split())
