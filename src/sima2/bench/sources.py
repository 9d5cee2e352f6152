"""Sources that benches read: of what is made here, of another source changed, and of one whose truth is kept aside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sima2.client import Intake, Source
from sima2.records.truth import Truth


@dataclass(frozen=True, slots=True, eq=False)
class Given(Source):
    """Rollouts that are made or held here."""

    count: int
    """Of episodes."""
    span: Callable[[int, int], Intake]
    """What is read from one place to another."""
    source_id: str = "given"
    collection: str = "given"

    @property
    def episodes(self) -> int:
        """How many there are."""
        return self.count

    def read(self, start: int, stop: int) -> Intake:
        """A span."""
        return self.span(start, min(stop, self.episodes))

    def describe(self) -> Mapping[str, Any]:
        """Nothing to warn of."""
        return {"warnings": [], "not_assessed": [], "column_map": None}


@dataclass(frozen=True, slots=True, eq=False)
class Changed(Source):
    """Another source of which spans are read otherwise: what derives from this says how."""

    inner: Source

    @property
    def episodes(self) -> int:
        """As many as there."""
        return self.inner.episodes

    def describe(self) -> Mapping[str, Any]:
        """As there."""
        return self.inner.describe()


@dataclass(frozen=True, slots=True, eq=False)
class Watched(Changed):
    """A source that keeps the truth of what was read, which no stage sees."""

    kept: dict[tuple[int, int], Truth] = field(default_factory=dict)
    """By the span."""

    def read(self, start: int, stop: int) -> Intake:
        """A span."""
        got = self.inner.read(start, stop)
        if got.truth is not None and len(got.truth):
            self.kept[start, stop] = got.truth
        return got
