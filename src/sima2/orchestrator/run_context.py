"""What every phase of a run needs: where results lie, who works, the sources, how far it has come and what it cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sima2.execution.containment import Losses
from sima2.execution.executor import Executor
from sima2.orchestrator.sources import Given
from sima2.pipeline import Progress, RunSettings

if TYPE_CHECKING:
    from sima2.analytics.prior import Prior
    from sima2.client import Source
    from sima2.io.store import Run, Store

FIRST: Final = "pass 1"
LOOKED: Final = "video"
SECOND: Final = "pass 2"
PLANNED: Final = "plan"
"""Names of the phases that leave shards, as the ledger has them."""


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A source that is taken in."""

    given: Given
    run: Run
    """What it brings to the folder."""
    losses: Losses
    """Its episodes that brought a worker down."""

    @property
    def source(self) -> Source:
        """Its episodes."""
        return self.given.source

    @property
    def settings(self) -> RunSettings:
        """How it was asked for."""
        return self.given.settings


@dataclass(frozen=True, slots=True, eq=False)
class RunContext:
    """A run under way over one or several sources."""

    store: Store
    executor: Executor
    taken: tuple[Taken, ...]
    """Its sources; the settings of the first say how and where to run."""
    prior: Prior | None
    """What an earlier set says of the tags."""
    tell: ProgressCounter
    watch: Stopwatch

    @property
    def settings(self) -> RunSettings:
        """How and where to run."""
        return self.taken[0].settings

    @property
    def alone(self) -> bool:
        """Whether there is one source only."""
        return len(self.taken) == 1


class ProgressCounter:
    """Tells how far the phases have come."""

    def __init__(self, progress: Callable[[Progress], None] | None, total: int) -> None:
        self.total = total
        """Episodes of the phase."""
        self._progress = progress
        self._done: dict[str, int] = {}

    def __call__(self, phase: str, episodes: int) -> None:
        """So many more are done."""
        self._done[phase] = min(self._done.get(phase, 0) + episodes, self.total)
        if self._progress:
            self._progress(Progress(phase, self._done[phase], self.total))


class Stopwatch:
    """CPU seconds of each phase, summed over processes."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._name = ""
        self._begin = 0.0

    def add(self, laps: Mapping[str, float]) -> None:
        """Seconds of some phases more."""
        for name, value in laps.items():
            self.spent[name] = self.spent.get(name, 0.0) + value

    def __call__(self, name: str) -> Stopwatch:
        self._name = name
        return self

    def __enter__(self) -> None:
        self._begin = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.add({self._name: time.process_time() - self._begin})
