"""This process, or a pool of processes on this machine."""

from __future__ import annotations

import copyreg
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from types import MappingProxyType
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def _viewed(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)


def _unviewed(view: MappingProxyType[Any, Any]) -> tuple[Any, tuple[dict[Any, Any]]]:
    return _viewed, (dict(view),)


# settings hold read-only mappings, which Python does not send between processes of its own accord
copyreg.pickle(MappingProxyType, _unviewed)


def one_thread() -> Any:
    """A context in which linear algebra runs on one thread: sums split over threads end in other last bits."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


def _begin_worker(parent: int) -> None:
    """One thread for linear algebra, and an end with the parent: a killed run must leave nothing behind."""
    one_thread()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_shards(work: Callable[[Task], Result], tasks: Iterable[Task], *, jobs: int) -> Iterator[Result]:
    """Apply ``work`` to each task; results in the order of the tasks, at most 2 · jobs under way.

    >>> list(run_shards(abs, [-2, 3], jobs=1))
    [2, 3]
    """
    if jobs <= 1:
        yield from map(work, tasks)
        return
    # spawn, not fork: a forked child inherits threads and locks of the libraries loaded here
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin_worker, initargs=(os.getpid(),)) as pool:
        waiting: deque[Future[Result]] = deque()
        pending = iter(tasks)
        try:
            for task in pending:
                waiting.append(pool.submit(work, task))
                if len(waiting) >= 2 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
