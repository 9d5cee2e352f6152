"""Rows of one tag under construction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Float64s, Int64s
from sima2.records.table import Text
from sima2.records.tags import TagTable

NOT_ASSESSED: Final = "not_assessed"
UNCALIBRATED: Final = "uncalibrated"
UNNUMBERED: Final = -1
"""Episode index of rows that go by the name of their episode, until all of them are put in order."""


@dataclass(slots=True, eq=False)
class TagRows:
    """Columns of a :class:`TagTable` for one tag, filled by masks; only the function that made them writes them."""

    tag: str
    episode: Text
    kind: NDArray[np.object_]
    value: Float64s
    level: Float64s
    severity: Float64s
    source: NDArray[np.object_]
    start: Int64s
    end: Int64s
    details: NDArray[np.object_]
    available: Int64s

    def fill(self, where: NDArray[Any], **columns: Any) -> None:
        """Set columns of some rows."""
        for name, values in columns.items():
            getattr(self, name)[where] = values

    def frozen(self) -> TagTable:
        """The finished rows."""
        return TagTable(
            episode_index=np.full(len(self.episode), UNNUMBERED),
            episode_id=self.episode,
            tag=Text.full(len(self.episode), self.tag),
            kind=Text.of(self.kind.tolist()),
            value=self.value,
            level=self.level,
            severity=self.severity,
            source=Text.of(self.source.tolist()),
            start_frame=self.start,
            end_frame=self.end,
            details=Text.of(self.details.tolist()),
            available_at_frame=self.available,
        )


def blank_rows(episode_id: Text, tag: str, kind: str, *, end: Int64s, available: Int64s) -> TagRows:
    """One row an episode, not assessed yet."""
    n = len(episode_id)

    def words(value: str) -> NDArray[np.object_]:
        out = np.empty(n, object)
        out[:] = value
        return out

    def nothing() -> Float64s:
        return np.full(n, np.nan)

    return TagRows(
        tag=tag,
        episode=episode_id,
        kind=words(kind),
        value=nothing(),
        level=nothing(),
        severity=nothing(),
        source=words(NOT_ASSESSED),
        start=np.zeros(n, np.int64),
        end=np.array(end, np.int64),
        details=words(""),
        available=np.array(available, np.int64),
    )
