"""Ray, extra ``[ray]``: a shard is a task, on this machine or on a cluster that is there already."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.util import find_spec
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from sima2.errors import MissingExtraError, WorkerError
from sima2.execution.executor import AHEAD, CRASHED, Fault, Result, Task, attempt, in_order
from sima2.execution.local import Processes

_LOCAL: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # by its name for other systems, but the one switch that has all of Ray listen on the loopback address alone
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
_OBJECT_STORE: Final = 256 << 20
"""Bytes of shared memory of a local Ray: a shard's result is about 1 MB, and few are under way."""


class RayTasks:
    """Shards as Ray tasks, one CPU each.

    A Ray that this process has joined already is used, else the one that ``RAY_ADDRESS`` names (its machines need the
    same version of this package, and see the data under the same path), else one is started here with ``jobs`` CPUs:
    without dashboard, without usage statistics, for this machine alone, and gone with the context.

    Raises:
        MissingExtraError: if Ray is not installed.
    """

    apart: ClassVar[bool] = True
    one_machine: ClassVar[bool] = False

    def __init__(self, jobs: int) -> None:
        if find_spec("ray") is None:
            raise MissingExtraError("ray", "ray")
        self._jobs = jobs
        self._ray: Any = None
        self._joined = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._joined:
            self._ray.shutdown()
        self._ray, self._joined = None, False

    def run(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], *, fresh: bool = False
    ) -> Iterator[Result | Fault]:
        """Apply ``work`` to each task."""
        ray = self._connected()
        # Ray's own retries are off: they would not tell which task a worker died of
        do = ray.remote(num_cpus=1, max_retries=0)(_attempt_alone if fresh else attempt)

        def submit(task: Task) -> _Underway:
            return _Underway(ray, do.remote(work, task))

        return in_order(submit, tasks, ahead=AHEAD * self._jobs)

    def _connected(self) -> Any:
        if self._ray is None:
            here = "RAY_ADDRESS" not in os.environ
            before = dict(os.environ)
            try:
                if here:  # read when Ray is imported, and by what it starts
                    os.environ.update({name: value for name, value in _LOCAL.items() if name not in before})
                import ray

                if not ray.is_initialized():
                    told = {"log_to_driver": False, "logging_level": "ERROR"}
                    if here:
                        ray.init(
                            "local",
                            num_cpus=self._jobs,
                            include_dashboard=False,
                            object_store_memory=_OBJECT_STORE,
                            **told,
                        )
                    else:
                        ray.init(**told)
                    self._joined = True
                self._ray = ray
            finally:
                for name in _LOCAL.keys() - before.keys():
                    os.environ.pop(name, None)
        return self._ray


class _Underway:
    """A task that was given to Ray."""

    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray, self._reference = ray, reference

    def result(self) -> Any:
        died = self._ray.exceptions
        try:
            return self._ray.get(self._reference)
        except (died.WorkerCrashedError, died.OutOfMemoryError, died.NodeDiedError, died.ObjectLostError) as error:
            return Fault(CRASHED, type(error).__name__)
        except died.RayError as error:
            told = (str(error).strip().splitlines() or [""])[-1]
            raise WorkerError(f"Ray cannot run the task ({type(error).__name__}): {told}") from error

    def cancel(self) -> None:
        self._ray.cancel(self._reference, force=True)


def _attempt_alone(work: Callable[[Task], Result], task: Task) -> Result | Fault:
    """A task in a fresh process below the Ray worker: it outlives a crash, and knows how the process ended."""
    return attempt(partial(_alone, work), task)


def _alone(work: Callable[[Task], Result], task: Task) -> Result | Fault:
    with Processes(1) as executor:
        return next(executor.run(work, [task]))
