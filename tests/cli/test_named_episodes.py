"""Which episode is meant: ids are unique over all sources, and a number is enough where only one has it."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from recorded_sets import record
from sima2.cli import app
from sima2.io.formats import open_dataset
from sima2.io.source_id import content_id


def sima2(*words: Any) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Two sets of the same numbers in one folder, and their ids."""
    root = tmp_path_factory.mktemp("keys")
    sets = record(root / "a", range(4), numbers=(0, 2, 6, 7)), record(root / "b", range(10, 13), numbers=(0, 1, 6))
    for each in sets:
        code, _, error = sima2("run", "--source", "lerobot", "--path", each, "--out", root / "out")
        assert code == 0, error
    return root / "out", *(open_dataset(each).source_id for each in sets)


@pytest.mark.parametrize("typed", ["7", "episode_000007", "episode_7"])
def test_a_number_that_one_episode_has_is_enough(folder: tuple[Path, str, str], typed: str) -> None:
    out, first, _ = folder
    assert json.loads(sima2("explain", out, typed, "--json")[1])["episode_id"] == f"{first}-000007"


def test_a_number_that_several_have_lists_them(folder: tuple[Path, str, str]) -> None:
    out, first, second = folder
    for typed in ("6", "episode_000006"):
        code, _, error = sima2("explain", out, typed)
        assert code == 2
        assert f"{first}-000006, {second}-000006" in error
        assert "give the whole id" in error
    found = json.loads(sima2("explain", out, f"{second}-000006", "--json")[1])
    assert (found["source"], found["source_index"], found["episode_index"]) == (second, 6, 14)
    assert json.loads(sima2("explain", out, "14", "--json")[1])["episode_id"] == found["episode_id"]


def test_a_number_that_nobody_has_names_some_that_are(folder: tuple[Path, str, str]) -> None:
    out, first, _ = folder
    code, _, error = sima2("explain", out, "99")
    assert code == 2
    assert "unknown episode '99': the run has 7" in error
    assert first in error


def test_the_id_of_a_source_is_of_its_content_and_of_nothing_else(tmp_path: Path) -> None:
    data = record(tmp_path / "set", range(3))
    name = open_dataset(data).source_id
    assert len(name) == 6
    moved = tmp_path / "under another name"
    shutil.copytree(data, moved)
    for file in moved.rglob("*"):
        os.utime(file, (1, 1))
    assert open_dataset(moved).source_id == name
    assert open_dataset(record(tmp_path / "other", (0, 1, 5))).source_id != name
    file = moved / "meta" / "info.json"
    file.write_text(file.read_text().replace("arm3", "arm4"))
    assert open_dataset(moved).source_id != name


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_what_is_no_file_of_the_set_is_never_opened_for_its_id(tmp_path: Path) -> None:
    data = record(tmp_path / "set", range(2))
    os.mkfifo(data / "data/chunk-000/pipe.parquet")
    (data / "data/chunk-000/far.parquet").symlink_to("/etc/hostname")
    assert len(content_id(data, "meta/info.json", "data/**/*.parquet")) == 6


def test_made_episodes_keep_their_own_ids_when_they_are_written_and_read(tmp_path: Path) -> None:
    assert sima2("generate", "--families", "drawer_open", "--episodes", 3, "--out", tmp_path / "made")[0] == 0
    made = open_dataset(tmp_path / "made")
    assert [made.name(k) for k in range(3)] == [f"drawer_open-{k:06d}" for k in range(3)]
