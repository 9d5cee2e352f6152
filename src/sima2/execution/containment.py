"""What is done about tasks that had no result: the part of a task that is at fault is given up, and no other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn, Protocol, TypeVar

from sima2.errors import WorkerError
from sima2.execution.executor import CRASHED, Executor, Fault

Task = TypeVar("Task")
Result = TypeVar("Result")

MOST_SHARE: Final = 0.05
MOST_FEW: Final = 3
"""Of a small source a few may be lost, though they are more than the share."""


class Divisible(Protocol[Task, Result]):
    """Work on tasks that can be split: the results of its parts, joined, are the result of the whole."""

    def __call__(self, task: Task, /) -> Result:
        """The result of a task."""
        ...

    def parts(self, task: Task, /) -> Sequence[Task]:
        """The task in two halves, in order; none where it cannot be split."""
        ...

    def joined(self, task: Task, results: Sequence[Result], /) -> Result:
        """The result of a task from those of its parts."""
        ...

    def lost(self, task: Task, fault: Fault, /) -> Result:
        """The result of a task that cannot be split and cannot be done."""
        ...


@dataclass(slots=True)
class Losses:
    """What went wrong in a run, and how much of it is borne.

    A rare episode may bring a worker down. Many of them are a defect of ours or of the machine, and a run that put
    them all aside would hide it.
    """

    total: int
    """Episodes there are."""
    lost: int = 0
    """Episodes given up."""
    mended: list[Fault] = field(default_factory=list)
    """Faults of tasks that then came through, whole or in parts."""

    def bear(self, fault: Fault) -> None:
        """Give up one episode.

        Raises:
            WorkerError: if they have become too many.
        """
        self.lost += 1
        most = max(MOST_FEW, int(MOST_SHARE * self.total))
        if self.lost > most or self.lost >= self.total:
            self.fail(fault, f"{self.lost} of {self.total} episodes")

    def fail(self, fault: Fault, what: str) -> NoReturn:
        """End the run."""
        error = WorkerError(f"{what} brought the worker down: {fault.message}")
        if fault.trace:
            error.add_note(fault.trace)
        raise error


def contained(
    executor: Executor, work: Divisible[Task, Result], tasks: Iterable[Task], losses: Losses
) -> Iterator[Result]:
    """The result of every task, in order.

    A task whose worker died is tried once more in a fresh worker, for the cause may have been outside or in an earlier
    task. A task that fails again, or that raised an exception, is halved until what is at fault is alone.

    Raises:
        WorkerError: if more is lost than can be borne.
        Sima2Error: that the work raised.
    """
    given: deque[Task] = deque()

    def noted() -> Iterator[Task]:
        for task in tasks:
            given.append(task)
            yield task

    for outcome in executor.run(work, noted()):
        task = given.popleft()
        yield _saved(executor, work, task, outcome, losses, whole=True) if isinstance(outcome, Fault) else outcome


def _saved(
    executor: Executor, work: Divisible[Task, Result], task: Task, fault: Fault, losses: Losses, *, whole: bool
) -> Result:
    before = losses.lost
    parts = work.parts(task)
    if fault.reason == CRASHED and (whole or not parts):
        again = next(executor.run(work, [task], fresh=True))
        if not isinstance(again, Fault):
            losses.mended.append(fault)
            return again
        fault = again
    if not parts:
        losses.bear(fault)
        return work.lost(task, fault)
    results = []
    for part, outcome in zip(parts, executor.run(work, parts, fresh=fault.reason == CRASHED), strict=True):
        results.append(
            _saved(executor, work, part, outcome, losses, whole=False) if isinstance(outcome, Fault) else outcome
        )
    if losses.lost == before and whole:
        losses.mended.append(fault)
    return work.joined(task, results)
