"""A flipped bit anywhere in a finished folder is noticed; a lost ledger is made again from the shards."""

import contextlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from sima2 import run_pipeline
from sima2.cli.doctor import examined
from sima2.errors import Sima2Error, StoreError
from sima2.io.store import LEDGER, Store
from sima2.orchestrator import rebuild_ledger, redecide
from sima2.pipeline import RunSettings
from sima2.records.knowledge import ProposalTable
from sima2.report.inputs import load_report, read_trust

SETTINGS = RunSettings(families=("drawer_open", "dish_place"), total=60)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "out"
    run_pipeline(SETTINGS, out=out)
    return out


@pytest.fixture
def out(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "out")
    return tmp_path / "out"


def files_of(folder):
    return sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".sima2"))


def flip(file, rng) -> None:
    data = bytearray(file.read_bytes())
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    file.write_bytes(data)


def noticed(out) -> bool:
    try:
        return bool(examined(out)["problems"])
    except Sima2Error:
        return True


def test_a_sound_folder_has_no_problems(finished) -> None:
    assert not noticed(finished)


def test_a_flipped_bit_in_any_file_is_noticed(finished, out) -> None:
    rng = np.random.default_rng(7)
    for file in files_of(out):
        if file.stat().st_size and file.name != "history.json":
            flip(file, rng)
            assert noticed(out), file.name
            shutil.copy2(finished / file.relative_to(out), file)
    assert not noticed(out)


def test_a_flipped_bit_in_the_ledger_is_noticed_and_nothing_but_our_errors_come_of_it(finished, out) -> None:
    rng = np.random.default_rng(8)
    for _ in range(60):
        flip(out / LEDGER, rng)
        assert noticed(out)
        with contextlib.suppress(Sima2Error):
            load_report(out)
        shutil.copy2(finished / LEDGER, out / LEDGER)


@pytest.mark.parametrize("how", ["lost", "damaged", "cut"])
def test_a_ledger_is_made_again_from_the_shards(finished, out, how) -> None:
    with Store.read_only(out) as store:
        row = next(r for r in store.read_table(ProposalTable, "proposals").rows() if r["status"] == "accepted")
    redecide(out, undo=row["proposal_id"], because="to see it kept")
    ledger = out / LEDGER
    if how == "lost":
        ledger.unlink()
    else:
        ledger.write_bytes(ledger.read_bytes()[:5000] if how == "cut" else b"\0" * 9000)
    assert noticed(out)
    assert rebuild_ledger(out) == 1
    assert (out / f"{LEDGER}.damaged").exists() == (how != "lost")
    with Store.read_only(out) as store:
        assert store.verify() == []
    values = run_pipeline(SETTINGS, out=out).values
    assert not noticed(out)
    assert sum(kind["undone"] for kind in values["proposals"].values()) == 1
    redecide(out, restore=row["proposal_id"])
    before, now = (json.loads((folder / "summary.json").read_text())["digest"] for folder in (finished, out))
    assert now == before


@pytest.mark.parametrize(
    "kind", ["tags", "segments", "weights.parquet", "trust_matrix.json", "report.html", "summary.json"]
)
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_the_same_command_makes_what_is_damaged_again(finished, out, kind, how) -> None:
    file = out / kind if "." in kind else out / kind / "shard-000000.parquet"
    if how == "gone":
        file.unlink()
    else:
        flip(file, np.random.default_rng(3))
    assert noticed(out)
    if kind == "trust_matrix.json":
        with pytest.raises(Sima2Error):
            read_trust(out)
    assert "nothing_new" not in run_pipeline(SETTINGS, out=out).values
    assert not noticed(out)
    before, now = (json.loads((folder / "summary.json").read_text())["digest"] for folder in (finished, out))
    assert now == before


def test_without_a_history_nothing_is_guessed(out) -> None:
    (out / LEDGER).unlink()
    (out / "history.json").write_text("[1]")
    with pytest.raises(StoreError, match="cannot be read"):
        rebuild_ledger(out)


def test_a_full_disk_is_a_clear_error_and_the_run_goes_on_when_there_is_room(tmp_path, finished) -> None:
    out = tmp_path / "out"
    program = """
import resource, sys, signal
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
from sima2.cli import app
command = ["run", "--families", "drawer_open,dish_place", "--episodes", "60", "--out", sys.argv[1]]
sys.exit(app(command, prog_name="sima2"))
"""
    for limit in (1000, 10_000, 30_000, 60_000, 120_000):
        done = subprocess.run([sys.executable, "-c", program, str(out), str(limit)], capture_output=True, text=True)
        assert done.returncode in (1, 3), done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("error: ")
    values = run_pipeline(SETTINGS, out=out).values
    assert values["digest"] == json.loads((finished / "summary.json").read_text())["digest"]
    assert not noticed(out)
