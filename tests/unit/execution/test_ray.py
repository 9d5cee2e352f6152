"""The Ray engine, against the local one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import faulty_work
from faulty_work import FaultySource, Listing
from sima2.client import Sima2Client
from sima2.errors import MissingExtraError
from sima2.execution.containment import Losses, contained
from sima2.execution.executor import Fault
from sima2.execution.ray_engine import RayTasks
from sima2.orchestrator import run_pipeline, run_source
from sima2.pipeline import Progress, RunSettings

pytestmark = pytest.mark.extras


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's workers find the tests' own work where the tests do."""
    path = [str(Path(faulty_work.__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))


@pytest.fixture
def executor(_importable: None) -> Iterator[RayTasks]:
    with RayTasks(2) as executor:
        yield executor


def test_order_faults_and_errors_are_those_of_the_local_engine(executor: RayTasks) -> None:
    assert list(executor.run(faulty_work.slower_the_earlier, range(8))) == list(range(8))
    for fresh in (False, True):
        told = list(executor.run(faulty_work.itself, faulty_work.EMPTY, fresh=fresh))
        assert list(map(repr, told)) == list(map(repr, faulty_work.EMPTY))
    told = list(executor.run(faulty_work.do, ["a", "raise", "exit", "b"]))
    assert [told[0], told[3]] == ["a", "b"]
    faults = [each for each in told if isinstance(each, Fault)]
    assert [each.reason for each in faults] == ["worker_error", "worker_crashed"]
    assert faults[0].message.startswith("KeyError: 'cup' (faulty_work.py:")
    (alone,) = executor.run(faulty_work.do, ["segfault"], fresh=True)
    assert alone == Fault("worker_crashed", "SIGSEGV")
    with pytest.raises(MissingExtraError, match=r"sima2\[ray\]"):
        list(executor.run(faulty_work.do, ["refuse"]))
    losses = Losses(24)
    parts = contained(executor, Listing(exits=frozenset({5})), [(0, 8), (8, 16)], losses)
    assert [each for part in parts for each in part] == [
        *range(5),
        "5: worker_crashed: exit code 9",
        *range(6, 16),
    ]


def test_a_local_ray_is_for_this_machine_alone_and_ends_with_the_context() -> None:
    with RayTasks(2) as executor:
        (worker,) = executor.run(faulty_work.process_of, [0])
        import ray

        assert ray.cluster_resources()["CPU"] == 2
        assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}
        assert not {"RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"} & os.environ.keys()
    assert not ray.is_initialized()
    deadline = time.monotonic() + 10
    while (Path("/proc") / str(worker)).exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_ray_that_is_there_is_used_and_left(executor: RayTasks) -> None:
    import ray

    list(executor.run(abs, [1]))
    with RayTasks(2) as second:
        assert list(second.run(abs, [-3])) == [3]
    assert ray.is_initialized()


def test_a_run_on_ray_gives_the_local_digest_also_when_a_worker_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sima2.pipeline.pass_one.SHARD_EPISODES", 10)
    source = Sima2Client(seed=3).source(families=("drawer_open",), episodes=60)
    killed: list[int] = []

    def kill(at: Progress) -> None:
        if at.phase == "pass 1" and at.done and not killed and (workers := busy()):
            killed.append(workers[0])
            os.kill(workers[0], signal.SIGKILL)

    def values(out: str, engine: str, **changes: Any) -> dict[str, Any]:
        slow = FaultySource(source, slow=0.3)  # so that a worker dies at work
        settings = RunSettings(out=tmp_path / out, engine=engine, jobs=2 if engine == "ray" else 1)
        return dict(run_source(slow, settings, **changes).values)

    told = values("ray", "ray", progress=kill)
    assert killed
    assert any("taken again" in line for line in told["warnings"])
    assert told["digest"] == values("local", "local")["digest"]


def test_the_stress_mix_has_one_digest_on_ray_and_off_it(tmp_path: Path) -> None:
    def digest(**changes: Any) -> str:
        out = tmp_path / "-".join(map(str, changes.values()))
        return str(run_pipeline(mix="stress_mix_v1", episodes=600, seed=2, out=out, **changes).values["digest"])

    assert digest(engine="ray", jobs=2) == digest(engine="ray", jobs=1, batch_size=64) == digest(jobs=1, batch_size=500)


def busy() -> list[int]:
    """Processes of Ray workers that have a task."""
    names = {int(each.parent.name): each.read_text() for each in Path("/proc").glob("[0-9]*/cmdline") if readable(each)}
    return [pid for pid, name in names.items() if name.startswith("ray::attempt")]


def readable(file: Path) -> bool:
    try:
        return bool(file.read_text())
    except OSError:
        return False
