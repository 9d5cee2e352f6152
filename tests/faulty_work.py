"""Work and sources that go wrong on purpose; importable, since workers are processes of their own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from sima2.client import Intake, Source
from sima2.errors import MissingExtraError, RolloutError
from sima2.execution.executor import Fault
from sima2.records.intake import QuarantineTable

Span = tuple[int, int]
EMPTY: Final = (None, False, 0, 0.0, "", (), b"", "ready")
"""Results that may be taken for none at all."""


def process_of(_: int) -> int:
    """Which process does it."""
    return os.getpid()


def slower_the_earlier(task: int) -> int:
    """The last of eight is done first."""
    time.sleep(0.03 * (8 - task))
    return task


def sleep_for(seconds: float) -> float:
    """Busy with nothing."""
    time.sleep(seconds)
    return seconds


def itself(task: Any) -> Any:
    """The task."""
    return task


def unsendable(_: int) -> Any:
    """What no process can be sent."""
    return lambda: None


def do(task: str) -> str:
    """What the task says."""
    match task:
        case "exit":
            os._exit(7)
        case "leave":
            raise SystemExit(5)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "raise":
            raise KeyError("cup")
        case "refuse":
            raise MissingExtraError("ray", "ray")
        case "refuse a rollout":
            raise RolloutError("ep7", "time", "goes back", reason="time_not_increasing", start_frame=3)
    return task


@dataclass(frozen=True)
class Listing:
    """The numbers of a span; goes wrong where one of the bad is in it."""

    exits: frozenset[int] = frozenset()
    raises: frozenset[int] = frozenset()
    longest: int = 1 << 30
    """A longer span raises."""
    once: Path | None = None
    """Exits as long as this file is not there, and makes it."""

    def __call__(self, span: Span) -> list[int | str]:
        numbers = range(*span)
        if self.once is not None and not self.once.exists():
            self.once.touch()
            os._exit(9)
        if self.exits.intersection(numbers):
            os._exit(9)
        if self.raises.intersection(numbers) or len(numbers) > self.longest:
            raise ValueError(f"{len(numbers)} numbers")
        return list(numbers)

    def parts(self, span: Span) -> Sequence[Span]:
        start, stop = span
        middle = (start + stop) // 2
        return [(start, middle), (middle, stop)] if stop - start > 1 else []

    def joined(self, span: Span, results: Sequence[list[int | str]]) -> list[int | str]:
        return [number for result in results for number in result]

    def lost(self, span: Span, fault: Fault) -> list[int | str]:
        return [f"{span[0]}: {fault.reason}: {fault.message}"]


@dataclass(frozen=True, eq=False)
class FaultySource(Source):
    """Some episodes of a source bring down who reads them."""

    inner: Source
    exits: frozenset[int] = frozenset()
    raises: frozenset[int] = frozenset()
    slow: float = 0.0
    """Seconds that every read takes."""

    @property
    def episodes(self) -> int:
        return self.inner.episodes

    @property
    def source_id(self) -> str:
        return self.inner.source_id

    def read(self, start: int, stop: int) -> Intake:
        time.sleep(self.slow)
        if self.exits.intersection(range(start, stop)):
            os._exit(9)
        for bad in sorted(self.raises.intersection(range(start, stop))):
            raise ArithmeticError(f"episode {bad}")
        return self.inner.read(start, stop)

    def describe(self) -> Mapping[str, Any]:
        return self.inner.describe()


@dataclass(frozen=True, eq=False)
class SortedSource(Source):
    """The same source with those episodes put in quarantine as they are read: what a run over it should come to."""

    inner: Source
    bad: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    """Reason and message of each."""

    @property
    def episodes(self) -> int:
        return self.inner.episodes

    @property
    def source_id(self) -> str:
        return self.inner.source_id

    def read(self, start: int, stop: int) -> Intake:
        got = self.inner.read(start, stop)
        bad = [k for k in range(start, stop) if k in self.bad]
        good = np.flatnonzero(~np.isin(got.batch.episodes.episode_index, bad))
        aside = QuarantineTable(
            episode_index=np.array(bad, np.int64),
            episode_id=[f"episode_{k:06d}" for k in bad],
            reason=[self.bad[k][0] for k in bad],
            source=["synthetic"] * len(bad),
            start_frame=np.zeros(len(bad), np.int64),
            end_frame=np.zeros(len(bad), np.int64),
            message=[self.bad[k][1] for k in bad],
        )
        both = QuarantineTable.concat([got.quarantine, aside])
        both = both.take(np.argsort(both.episode_index, kind="stable"))
        return replace(got, batch=got.batch.take(good), outcome=got.outcome.take(good), quarantine=both, truth=None)

    def describe(self) -> Mapping[str, Any]:
        return self.inner.describe()
