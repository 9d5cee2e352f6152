"""What it means: tags on episodes and their spans, always recorded raw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sima2.records.table import Table, Text, column, text


@dataclass(frozen=True, slots=True)
class TagSpec:
    """What a kind of tag declares about itself."""

    name: str
    kind: str
    """``predictive`` (known before the outcome) or ``diagnostic`` (reads how it went)."""
    inputs: tuple[str, ...]
    """What it is computed from."""
    available: str
    """The moment from which it is known, in words."""
    cost_field: str
    """Column of the econ table that it should predict."""
    direction: int
    """+1 where a higher value of that column is expected with the tag, -1 where a lower one."""


@dataclass(frozen=True, eq=False)
class TagTable(Table):
    """Tags ordered by episode, tag and start. A tag that was assessed and does not apply has a row with level 0."""

    episode_id: Text = text()
    tag: Text = text()
    kind: Text = text()
    """One of ``vocabulary.TAG_KINDS``."""
    value: NDArray[np.float64] = column(np.float64)
    """What the tag says is gained or lost, in the tag's own unit; NaN where it has none."""
    level: NDArray[np.float64] = column(np.float64)
    """0–1, how strongly it applies; NaN where it could not be assessed."""
    severity: NDArray[np.float64] = column(np.float64)
    """0–1, how bad it is; NaN where it has none."""
    source: Text = text()
    """Which channel or rule fired; ``not_assessed`` or ``uncalibrated`` where none could."""
    start_frame: NDArray[np.int64] = column(np.int64)
    end_frame: NDArray[np.int64] = column(np.int64)
    details: Text = text()
    """Evidence in words and units."""
    available_at_frame: NDArray[np.int64] = column(np.int64)
    """First frame at which the tag could have been known."""
