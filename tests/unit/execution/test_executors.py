"""Every executor's promises, and what processes promise besides: who died is known, and nobody is left behind."""

from __future__ import annotations

import multiprocessing
import multiprocessing.spawn
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import faulty_work
from sima2.errors import MissingExtraError, RolloutError, UnknownNameError, WorkerError
from sima2.execution.engines import ENGINES, open_executor
from sima2.execution.executor import Fault, begun
from sima2.execution.local import Processes, local

JOBS = (1, 2)


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_results_come_in_the_order_of_the_tasks(jobs: int) -> None:
    with local(jobs) as executor:
        assert list(executor.run(faulty_work.slower_the_earlier, range(8))) == list(range(8))


@pytest.mark.parametrize("jobs", [1, 2, 3])
@pytest.mark.parametrize("fresh", [False, True], ids=["", "fresh"])
def test_a_result_may_be_any_value_also_one_that_looks_like_none(jobs: int, fresh: bool) -> None:
    with local(jobs) as executor:
        told = list(executor.run(faulty_work.itself, faulty_work.EMPTY, fresh=fresh))
        beside = begun(executor, faulty_work.itself, None)()
    assert list(map(repr, told)) == list(map(repr, faulty_work.EMPTY))
    assert beside is None


def test_a_result_that_cannot_be_sent_is_an_error_and_no_crash() -> None:
    with Processes(1) as executor:
        worker, fault, after = (
            *executor.run(faulty_work.process_of, [0]),
            *executor.run(faulty_work.unsendable, [0]),
            *executor.run(faulty_work.process_of, [0]),
        )
    assert isinstance(fault, Fault)
    assert fault.reason == "worker_error"
    assert "pickle" in fault.message
    assert worker == after


@pytest.mark.parametrize("jobs", JOBS)
def test_tasks_are_taken_as_workers_come_free(jobs: int) -> None:
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        for task in range(100):
            taken += 1
            yield task

    with local(jobs) as executor:
        results = executor.run(abs, tasks())
        assert taken == 0
        for received in range(1, 20):
            next(results)
            assert received <= taken <= received + 2 * jobs


@pytest.mark.parametrize("jobs", JOBS)
def test_an_unforeseen_exception_is_a_fault_that_names_class_and_place(jobs: int) -> None:
    with local(jobs) as executor:
        before, fault, after = executor.run(faulty_work.do, ["a", "raise", "b"])
    assert (before, after) == ("a", "b")
    assert isinstance(fault, Fault)
    assert fault.reason == "worker_error"
    assert fault.message.startswith("KeyError: 'cup' (faulty_work.py:")
    assert "raise KeyError" in fault.trace


@pytest.mark.parametrize("jobs", JOBS)
def test_an_error_on_purpose_comes_through_as_it_was(jobs: int) -> None:
    with local(jobs) as executor:
        with pytest.raises(MissingExtraError, match=r"pip install 'sima2\[ray\]'") as refused:
            list(executor.run(faulty_work.do, ["a", "refuse"]))
        assert refused.value.exit_code == 2
        with pytest.raises(RolloutError, match="rollout ep7, time: goes back") as told:
            list(executor.run(faulty_work.do, ["refuse a rollout"]))
    assert (told.value.reason, told.value.start_frame) == ("time_not_increasing", 3)


@pytest.mark.parametrize("jobs", JOBS)
def test_a_run_within_a_run_gets_its_own_results(jobs: int) -> None:
    with local(jobs) as executor:
        pairs = [(each, list(executor.run(abs, [-each, -1]))) for each in executor.run(abs, range(6))]
    assert pairs == [(k, [k, 1]) for k in range(6)]


def test_a_dead_worker_is_the_fault_of_its_own_task_alone() -> None:
    tasks = ["a", "b", "exit", "c", "segfault", "d", "leave", "e"]
    with Processes(2) as executor:
        told = list(executor.run(faulty_work.do, tasks))
    faults = {task: each.message for task, each in zip(tasks, told, strict=True) if isinstance(each, Fault)}
    assert faults == {"exit": "exit code 7", "segfault": "SIGSEGV", "leave": "exit code 5"}
    assert [each for each in told if not isinstance(each, Fault)] == ["a", "b", "c", "d", "e"]


def test_a_fresh_worker_has_done_nothing_before() -> None:
    with Processes(2) as executor:
        usual = set(executor.run(faulty_work.process_of, range(6)))
        fresh = list(executor.run(faulty_work.process_of, range(3), fresh=True))
    assert len(usual) <= 2
    assert len(set(fresh)) == 3
    assert not usual & set(fresh)


def test_workers_start_with_the_first_task_and_end_with_the_context() -> None:
    with Processes(2) as executor:
        assert not multiprocessing.active_children()
        results = executor.run(faulty_work.sleep_for, [0.0, 60.0, 60.0, 60.0])
        next(results)
        begin = time.monotonic()
    assert time.monotonic() - begin < 5
    assert not multiprocessing.active_children()


def test_a_worker_that_cannot_even_start_ends_the_run() -> None:
    python = multiprocessing.spawn.get_executable()
    try:
        multiprocessing.spawn.set_executable("/bin/false")
        with Processes(2) as executor, pytest.raises(WorkerError, match=r"exit code 1.*__main__"):
            list(executor.run(abs, range(4)))
    finally:
        multiprocessing.spawn.set_executable(python)


def test_a_killed_parent_leaves_no_worker_behind(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import multiprocessing, faulty_work\n"
        "from sima2.execution.local import Processes\n"
        "if __name__ == '__main__':\n"
        "    with Processes(2) as executor:\n"
        "        results = executor.run(faulty_work.sleep_for, [0.0, 0.0, 60.0, 60.0])\n"
        "        next(results)\n"
        "        print(*(each.pid for each in multiprocessing.active_children()), flush=True)\n"
        "        list(results)\n"
    )
    path = os.pathsep.join([str(Path(faulty_work.__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    ) as run:
        assert run.stdout is not None
        workers = [int(pid) for pid in run.stdout.readline().split()]
        run.send_signal(signal.SIGKILL)
    assert workers
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Not gone, and not a zombie that waits for whoever inherited it."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_engine_goes_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(ENGINES) == {"local", "ray"}
    with pytest.raises(UnknownNameError, match="did you mean 'ray'"):
        open_executor("rai", 1)
    monkeypatch.setattr("sima2.execution.ray_engine.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"sima2\[ray\]"):
        open_executor("ray", 1)
