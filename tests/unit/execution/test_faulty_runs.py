"""Whole runs over sources that bring down who reads them."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from faulty_work import FaultySource, SortedSource
from sima2.client import Sima2Client, Source
from sima2.errors import WorkerError
from sima2.io.store import Store
from sima2.orchestrator import run_source
from sima2.pipeline import Progress, RunSettings
from sima2.records.intake import QuarantineTable

EPISODES = 40


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sima2.pipeline.pass_one.SHARD_EPISODES", 8)


@pytest.fixture(scope="module")
def source() -> Source:
    return Sima2Client(seed=3).source(families=("drawer_open",), episodes=EPISODES)


def values_of(source: Source, out: Path, **changes: Any) -> dict[str, Any]:
    progress = changes.pop("progress", None)
    return dict(run_source(source, RunSettings(out=out, **changes), progress=progress).values)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_exception_costs_its_episode_and_no_other(source: Source, tmp_path: Path, jobs: int) -> None:
    told = values_of(FaultySource(source, raises=frozenset({11, 38})), tmp_path / "faulty", jobs=jobs, batch_size=5)
    with Store.read_only(tmp_path / "faulty") as store:
        aside = store.read_table(QuarantineTable, "quarantine")
    assert aside.reason.tolist() == ["worker_error"] * 2
    assert aside.message[0].startswith("ArithmeticError: episode 11 (faulty_work.py:")
    bad = {k: ("worker_error", aside.message[i]) for i, k in enumerate((11, 38))}
    assert told["digest"] == values_of(SortedSource(source, bad), tmp_path / "sorted")["digest"]
    assert told["episodes"] == {"in": 40, "ok": 38, "quarantined": 2, "skipped": 0}
    assert any("2 episodes raised an unforeseen error" in line for line in told["warnings"])


def test_a_crash_costs_its_episode_and_no_other(source: Source, tmp_path: Path) -> None:
    told = values_of(FaultySource(source, exits=frozenset({13})), tmp_path / "faulty", jobs=2)
    bad = {13: ("worker_crashed", "exit code 9")}
    assert told["digest"] == values_of(SortedSource(source, bad), tmp_path / "sorted")["digest"]
    assert any("1 episodes killed their worker" in line for line in told["warnings"])


def test_neither_processes_nor_batches_change_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sima2.pipeline.pass_one.SHARD_EPISODES", 50)
    mixed = Sima2Client(seed=4).source(mix="stress_mix_v1", episodes=120)
    cases = [(1, 500), (2, 1), (4, 64)]
    digests = {
        values_of(mixed, tmp_path / f"{jobs}-{batch}", jobs=jobs, batch_size=batch)["digest"] for jobs, batch in cases
    }
    assert len(digests) == 1


def test_too_many_failures_end_the_run_with_the_error(source: Source, tmp_path: Path) -> None:
    faulty = FaultySource(source, raises=frozenset(range(20, 24)))
    with pytest.raises(WorkerError, match="4 of 40 episodes brought the worker down: ArithmeticError: episode 23"):
        values_of(faulty, tmp_path / "out")


def test_a_worker_killed_from_outside_changes_nothing(source: Source, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(at: Progress) -> None:
        workers = [child.pid for child in multiprocessing.active_children() if child.pid is not None]
        if at.phase == "pass 1" and at.done and workers and not killed:
            killed.append(workers[0])
            os.kill(workers[0], signal.SIGKILL)

    slow = FaultySource(source, slow=0.2)  # so that the worker dies at work
    told = values_of(slow, tmp_path / "killed", jobs=2, progress=kill)
    assert killed
    assert told["episodes"]["ok"] == EPISODES
    assert told["digest"] == values_of(source, tmp_path / "whole")["digest"]


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to a group of processes")
def heeds_interrupts() -> None:
    """As in a terminal: who starts tests in the background may have them ignored, and programs inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_leaves_no_process_and_a_run_that_resumes(tmp_path: Path) -> None:
    words = ["--families", "drawer_open", "--episodes", "1200", "--seed", "5", "--json"]
    command = [sys.executable, "-m", "sima2", "run", *words]
    with subprocess.Popen(
        [*command, "--jobs", "2", "--out", str(tmp_path / "cut")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=heeds_interrupts,
        text=True,
    ) as run:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("cut/segments/shard-*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(run.pid, signal.SIGINT)
        _, told = run.communicate(timeout=120)
    assert run.returncode == 130
    assert "--resume" in told
    assert "Traceback" not in told
    assert gone(run.pid)
    resumed = subprocess.run([*command, "--resume", "--out", str(tmp_path / "cut")], capture_output=True, check=True)
    whole = subprocess.run([*command, "--out", str(tmp_path / "whole")], capture_output=True, check=True)
    assert json.loads(resumed.stdout)["digest"] == json.loads(whole.stdout)["digest"]


def gone(group: int, within_s: float = 3.0) -> bool:
    """Whether no process of a group is left; what Python keeps for bookkeeping ends a moment after its parent."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
