"""This process, or a pool of processes on this machine."""

from __future__ import annotations

import copyreg
import multiprocessing
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


def run_shards(work: Callable[[Task], Result], tasks: Iterable[Task], *, jobs: int) -> Iterator[Result]:
    """Apply ``work`` to each task; results in the order of the tasks, at most 2 · jobs under way.

    >>> list(run_shards(abs, [-2, 3], jobs=1))
    [2, 3]
    """
    if jobs <= 1:
        yield from map(work, tasks)
        return
    # spawn, not fork: a forked child inherits threads and locks of the libraries loaded here
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
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
