"""This process, or processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from sima2.errors import WorkerError
from sima2.execution.executor import AHEAD, CRASHED, Executor, Fault, Result, Task, attempt, in_order, raised

_READY: Final = "ready"
_STARTS: Final = 3
"""A worker that dies before its first task is not the task's fault: so many starts, then the run cannot go on."""


def local(jobs: int) -> Executor:
    """This process for one job, so many processes for more.

    >>> with local(1) as executor:
    ...     list(executor.run(abs, [-2, 3]))
    [2, 3]
    """
    return InProcess() if jobs <= 1 else Processes(jobs)


_GONE: Final = (EOFError, OSError)
"""What a line raises whose other end is gone: that nothing came is no value, for a message may be any."""
_REAPING = threading.Lock()
"""Starting a process asks after all others: two threads that ask at once may leave one without an exit code."""


class InProcess:
    """This process: one task at a time, when its result is asked for. It cannot outlive a crash."""

    apart: ClassVar[bool] = False
    one_machine: ClassVar[bool] = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def run(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], *, fresh: bool = False
    ) -> Iterator[Result | Fault]:
        """Apply ``work`` to each task."""
        return (raised(attempt(work, task)) for task in tasks)


class Processes:
    """``jobs`` processes, each driven by a thread of its own, so that it is known which task a process died of."""

    apart: ClassVar[bool] = True
    one_machine: ClassVar[bool] = True

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="sima2-worker")
        self._own = threading.local()
        self._workers: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._workers:
            worker.end()

    def run(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], *, fresh: bool = False
    ) -> Iterator[Result | Fault]:
        """Apply ``work`` to each task."""
        if not self._begun:
            # the first task is often alone: meanwhile the others get ready
            self._begun = True
            for _ in range(self._jobs - 1):
                self._threads.submit(self._prepare)

        def submit(task: Task) -> Future[Any]:
            return self._threads.submit(self._do, work, task, fresh)

        return in_order(submit, tasks, ahead=AHEAD * self._jobs)

    def _prepare(self) -> None:
        """In a thread: start its process and have it import what it will need."""
        from sima2.pipeline import load_stages

        self._own_worker().do(load_stages, _READY)

    def _do(self, work: Callable[[Any], Any], task: Any, fresh: bool) -> Any:
        """In a thread: have its process do a task."""
        return self._own_worker(fresh).do(work, task)

    def _own_worker(self, fresh: bool = False) -> _Worker:
        """In a thread: its process."""
        worker: _Worker | None = getattr(self._own, "worker", None)
        if worker is None or worker.dead or fresh:
            if worker is not None:
                self._dismiss(worker)
            worker = self._own.worker = self._hire()
        return worker

    def _hire(self) -> _Worker:
        told = ""
        for _ in range(_STARTS):
            with self._lock:  # a process started after the pool was closed would be left behind
                if self._closed:
                    raise WorkerError("the workers are dismissed")
                worker = _Worker()
                self._workers.add(worker)
            told = worker.ready()
            if not told:
                return worker
            self._dismiss(worker)
        raise WorkerError(
            f"worker processes end before they begin ({told}); a script that starts a run needs "
            "`if __name__ == '__main__':`"
        )

    def _dismiss(self, worker: _Worker) -> None:
        worker.kill()
        worker.end()
        with self._lock:
            self._workers.discard(worker)


class _Worker:
    """A process and the line to it."""

    def __init__(self) -> None:
        # spawn, not fork: a forked child inherits threads and locks of the libraries loaded here
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        # Ctrl-C reaches the whole terminal; only the parent answers it. The child inherits the mask of this thread.
        if hasattr(signal, "pthread_sigmask"):
            resource_tracker.ensure_running()  # which would otherwise be started within, and lift the mask
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self._process = context.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
        with _REAPING:
            self._process.start()
        theirs.close()
        self.dead = False

    def ready(self) -> str:
        """Wait until it can take a task; how it ended, if it did."""
        try:
            self._next_message()
        except _GONE:
            return self.end()
        return ""

    def do(self, work: Callable[[Any], Any], task: Any) -> Any:
        """What came of a task."""
        try:
            self._line.send((work, task))
            return self._next_message()
        except _GONE:
            return Fault(CRASHED, self.end())

    def kill(self) -> None:
        """End it now: a worker holds nothing that is not also elsewhere."""
        self._process.kill()

    def end(self) -> str:
        """See it off; how it ended."""
        self.dead = True
        wait([self._process.sentinel], 1.0)
        self._process.kill()  # where it closed the line and lives on
        with _REAPING:
            self._process.join()
        self._line.close()
        return ending(self._process.exitcode)

    def _next_message(self) -> Any:
        """The next message, which may be any value.

        Raises:
            EOFError, OSError: if the process ended before it was whole.
        """
        wait([self._line, self._process.sentinel])
        if not self._line.poll():
            raise EOFError
        return self._line.recv()


def ending(exitcode: int | None) -> str:
    """How a process ended, in words.

    >>> ending(3), ending(-11)
    ('exit code 3', 'SIGSEGV')
    """
    if exitcode is None or exitcode >= 0:
        return f"exit code {exitcode}"
    try:
        return signal.Signals(-exitcode).name
    except ValueError:
        return f"signal {-exitcode}"


def _serve(line: Connection, parent: int) -> None:
    """A worker's life: one task after the other, until the parent hangs up or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    line.send(_READY)
    while True:
        try:
            work, task = line.recv()
        except EOFError:
            return
        except Exception as error:  # noqa: BLE001 - a task that cannot be read here
            outcome: Any = Fault.of(error)
        else:
            outcome = attempt(work, task)
        try:
            line.send(outcome)
        except Exception as error:  # noqa: BLE001 - a result that cannot be sent; no part of it was
            line.send(Fault.of(error))
        del outcome  # not kept while the next one is worked on
