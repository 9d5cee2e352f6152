"""What tells a run from others is what its files hold, not when they were written or where they lie."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from recorded_sets import record
from sima2.errors import StoreError, UsageError
from sima2.orchestrator import run_pipeline


@pytest.fixture
def here(tmp_path) -> Path:
    return record(tmp_path / "set", range(8))


def touched(folder: Path) -> None:
    for file in folder.rglob("*"):
        os.utime(file, (1e9, 1e9))


def test_a_set_with_other_times_is_nothing_new(here, tmp_path) -> None:
    run_pipeline(path=here, out=tmp_path / "out")
    touched(here)
    again = run_pipeline(path=here, out=tmp_path / "out").values
    assert again["nothing_new"]
    assert len(again["runs"]) == 1


def test_a_set_that_was_moved_is_nothing_new(here, tmp_path) -> None:
    run_pipeline(path=here, out=tmp_path / "out")
    shutil.copytree(here, tmp_path / "elsewhere")
    assert run_pipeline(path=tmp_path / "elsewhere", out=tmp_path / "out").values["nothing_new"]


def test_outcomes_that_were_written_again_are_nothing_new_and_others_are_refused(here, tmp_path) -> None:
    ends, moved = tmp_path / "ends.csv", tmp_path / "moved.csv"
    ends.write_text("episode_index,success\n" + "".join(f"{k},{k % 2}\n" for k in range(8)))
    run_pipeline(path=here, outcomes=ends, out=tmp_path / "out")
    touched(tmp_path)
    shutil.copy(ends, moved)
    assert run_pipeline(path=here, outcomes=moved, out=tmp_path / "out").values["nothing_new"]
    ends.write_text("episode_index,success\n0,1\n")
    with pytest.raises(StoreError, match="other outcomes"):
        run_pipeline(path=here, outcomes=ends, out=tmp_path / "out")


def test_other_bytes_of_the_same_size_and_time_are_another_state(here, tmp_path) -> None:
    run_pipeline(path=here, out=tmp_path / "out")
    file = here / "meta/episodes.jsonl"
    text, state = file.read_text(), file.stat()
    assert '"length": ' in text
    changed = text.replace('"tasks"', '"tasKs"', 1)
    assert changed != text
    file.write_text(changed)
    os.utime(file, (state.st_atime, state.st_mtime))
    assert len(run_pipeline(path=here, out=tmp_path / "out").values["runs"]) == 2


def test_a_copy_in_the_same_command_is_the_same_source(here, tmp_path) -> None:
    shutil.copytree(here, tmp_path / "copy")
    from sima2.pipeline import RunSettings

    with pytest.raises(UsageError, match="given twice"):
        run_pipeline(path=here, also=[RunSettings(path=tmp_path / "copy")], out=tmp_path / "out")
