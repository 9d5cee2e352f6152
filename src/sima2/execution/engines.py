"""The engines by name: a row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from sima2.errors import UnknownNameError
from sima2.execution.executor import Executor
from sima2.execution.local import local
from sima2.execution.ray_engine import RayTasks

ENGINES: Final[Mapping[str, Callable[[int], Executor]]] = MappingProxyType({"local": local, "ray": RayTasks})
"""Name of ``--engine`` and what makes its executor for a number of jobs."""


def open_executor(engine: str, jobs: int) -> Executor:
    """The executor of an engine; its workers start with the first task.

    Raises:
        UnknownNameError: for an unknown engine, naming the valid ones.
        MissingExtraError: if the engine needs an extra that is not installed.
    """
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    return ENGINES[engine](jobs)
