"""`sima2 query --episodes` writes the list that `sima2 export --episodes` takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recorded_sets import record
from sima2.cli import app
from sima2.io.arrow import read_table
from sima2.records.plan import FrameWeights


def call(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(each) for each in words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    source = record(folder / "set", range(5), numbers=[0, 2, 3, 7, 9])
    assert call("run", "--path", source, "--out", folder / "out")[0] == 0
    return folder / "out"


def test_only_the_episodes_of_a_list_are_copied_or_weighed(out: Path, tmp_path: Path) -> None:
    names = tmp_path / "mine.txt"
    code, _, err = call("query", out, "--sequence", "!wipe", "--episodes", names)
    assert code == 0, err
    ids = names.read_text().splitlines()
    assert len(ids) == 5
    names.write_text(f"# two of them\n{ids[1]}\n\n7\n")
    told = json.loads(call("export", out, "--lerobot", tmp_path / "copy", "--episodes", names, "--json")[1])
    assert (told["episodes"], told["left_out_for"]) == (2, {"not_chosen": 3})
    code, _, err = call("export", out, "--lists", tmp_path / "lists", "--episodes", names)
    assert code == 0, err
    assert (tmp_path / "lists/keep.txt").read_text().split() == ["2", "7"]
    weights = read_table(FrameWeights, tmp_path / "lists/weights.parquet")
    assert 0 < (weights.weight > 0).sum() < len(weights) / 2


@pytest.mark.parametrize("content", ["", "# nothing\n", "no-such-episode\n", "99\n", "\x00\n"])
def test_a_list_that_names_no_episode_is_wrong_usage(content: str, out: Path, tmp_path: Path) -> None:
    names = tmp_path / "mine.txt"
    names.write_text(content)
    assert call("export", out, "--lists", tmp_path / "lists", "--episodes", names)[0] == 2
    assert not (tmp_path / "lists").exists()


def test_a_list_that_is_none_is_wrong_usage(out: Path, tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for file in (tmp_path, tmp_path / "absent", tmp_path / "bytes"):
        assert call("export", out, "--lists", tmp_path / "lists", "--episodes", file)[0] == 2
