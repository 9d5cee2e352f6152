"""What an engine has to do: run tasks in workers, give the results in order, and tell of those that had none."""

from __future__ import annotations

import copyreg
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, ClassVar, Final, Protocol, Self, TypeVar

from sima2.errors import Sima2Error, WorkerError

Task = TypeVar("Task")
Result = TypeVar("Result")

CRASHED: Final = "worker_crashed"
FAILED: Final = "worker_error"
AHEAD: Final = 2
"""Tasks under way for each worker: one in work, one in wait, so that no worker waits for the parent."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What came of a task instead of a result."""

    reason: str
    """``worker_crashed``: the worker died; ``worker_error``: it raised what nobody had foreseen."""
    message: str
    trace: str = ""
    """Traceback of the exception."""
    error: Sima2Error | None = None
    """What was raised on purpose; no mishap, and raised again in the parent."""

    @classmethod
    def of(cls, error: Exception) -> Fault:
        """The fault that an exception is.

        >>> Fault.of(KeyError("cup")).message
        "KeyError: 'cup'"
        """
        if isinstance(error, Sima2Error):
            return cls(FAILED, str(error), error=error)
        frames = traceback.extract_tb(error.__traceback__)
        at = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
        told = (str(error).strip().splitlines() or [""])[0]
        message = f"{type(error).__name__}: {told}".rstrip(": ") + at
        return cls(FAILED, message, "".join(traceback.format_exception(error)))


class Executor(Protocol):
    """Runs tasks. Workers are started when first needed, and gone when the context ends, however it ends."""

    apart: ClassVar[bool]
    """Workers are other processes."""
    one_machine: ClassVar[bool]
    """They see the files of this machine."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None, /
    ) -> None: ...

    def run(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], *, fresh: bool = False
    ) -> Iterator[Result | Fault]:
        """Apply ``work`` to each task.

        Args:
            work: a pure function that can be sent to a process.
            tasks: taken as workers come free: at most ``AHEAD`` · jobs are under way.
            fresh: a worker that has done nothing yet for each task.

        Returns:
            What came of each task, in the order of the tasks. May be called again before it is used up.

        Raises:
            Sima2Error: that ``work`` raised; every other exception, and a worker's death, is a fault.
        """
        ...


class Handle(Protocol):
    """A task under way."""

    def result(self) -> Any:
        """Wait for what came of it."""
        ...

    def cancel(self) -> Any:
        """Nobody waits for it any more."""
        ...


def in_order(submit: Callable[[Task], Handle], tasks: Iterable[Task], *, ahead: int) -> Iterator[Any]:
    """What came of each task in the order of the tasks, at most ``ahead`` of them under way.

    Raises:
        Sima2Error: that a task raised on purpose.
    """
    waiting: deque[Handle] = deque()
    try:
        for task in tasks:
            waiting.append(submit(task))
            if len(waiting) >= ahead:
                yield raised(waiting.popleft().result())
        while waiting:
            yield raised(waiting.popleft().result())
    finally:
        for handle in waiting:
            handle.cancel()


def begun(executor: Executor, work: Callable[[Task], Result], task: Task) -> Callable[[], Result]:
    """Begin a task beside what this process does; what is returned waits for its result.

    Raises:
        WorkerError: when asked for the result of a task that brought its worker down twice.
    """

    def done() -> Result:
        outcome = next(executor.run(work, [task]))
        if isinstance(outcome, Fault) and outcome.reason == CRASHED:
            outcome = next(executor.run(work, [task], fresh=True))
        if isinstance(outcome, Fault):
            raise WorkerError(f"a worker failed: {outcome.message}")
        return outcome

    if not executor.apart:
        return done
    thread = ThreadPoolExecutor(1)
    waiting = thread.submit(done)
    thread.shutdown(wait=False)
    return waiting.result


def raised(outcome: Any) -> Any:
    """The outcome, unless it was an error on purpose."""
    if isinstance(outcome, Fault) and outcome.error is not None:
        raise outcome.error
    return outcome


def attempt(work: Callable[[Task], Result], task: Task) -> Result | Fault:
    """Do a task where it is to be done: in the worker.

    >>> attempt(len, "abc"), attempt(len, 3).reason
    (3, 'worker_error')
    """
    try:
        with one_thread():
            return work(task)
    except Exception as error:  # noqa: BLE001 - the border of the worker, where every exception becomes a fault
        return Fault.of(error)


def one_thread() -> Any:
    """A context in which linear algebra runs on one thread: sums split over threads end in other last bits."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


def _viewed(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)


def _unviewed(view: MappingProxyType[Any, Any]) -> tuple[Any, tuple[dict[Any, Any]]]:
    return _viewed, (dict(view),)


# settings hold read-only mappings, which Python does not send between processes of its own accord
copyreg.pickle(MappingProxyType, _unviewed)
