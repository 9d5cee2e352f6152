"""What it means: tags on episodes and their spans, always recorded raw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from sima2.records.arrays import Float64s, Int64s
from sima2.records.meanings import END_FRAME, EPISODE_ID, EPISODE_INDEX, START_FRAME
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
    threshold: float = 0.0
    """The tag is given where its level is above this."""
    pulls: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Objective (``bc``, ``rl``) or strategy of sampling to +1 where episodes that have the tag gain weight, -1 where
    they lose, 0 where neither; what is not named is as the objective says of unknown tags."""
    meaning: str = ""
    """What it says of an episode, in words."""
    group: str = "tagged"
    """What its episodes are called."""


@dataclass(frozen=True, eq=False)
class TagTable(Table):
    """Tags ordered by episode, tag and start. A tag that was assessed and does not apply has a row with level 0."""

    schema_version: ClassVar[int] = 2

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    tag: Text = text("Name of the tag: `RiskTag`, `FragilityTag`, `OODTag`, `RecoveryTag` or `LuckySuccessTag`.")
    kind: Text = text(
        "`predictive` where the row was known before the outcome, `diagnostic` where it reads how it went."
    )
    value: Float64s = column(
        np.float64,
        "RecoveryTag: what the correction was worth, 1 (high), 2/3 or 1/3 (low); OODTag: surprise in nats, minus the "
        "logarithm of the share of nominal rollouts as strange; NaN for other tags, or where nothing was found.",
        unit="1",
    )
    level: Float64s = column(
        np.float64,
        "How strongly it applies, 0 to 1: for RiskTag the probability of a later failure, for FragilityTag the failure "
        "rate of the object, for OODTag 1 − p, for RecoveryTag the confidence, for LuckySuccessTag the risk that was "
        "run; 0 where it does not apply, NaN where it could not be assessed.",
        unit="1",
    )
    severity: Float64s = column(
        np.float64, "How bad it is, 0 to 1, by OODTag alone; NaN for other tags, or where not assessed.", unit="1"
    )
    source: Text = text(
        "Which channel or rule fired; `not_assessed` or `uncalibrated` where none could; empty where OODTag is quiet."
    )
    start_frame: Int64s = column(np.int64, START_FRAME, unit="frame")
    end_frame: Int64s = column(np.int64, END_FRAME, unit="frame")
    details: Text = text("Evidence in words and units.")
    available_at_frame: Int64s = column(
        np.int64,
        "Frame at which the tag could first be known, counted from the episode's start: it rests on those before it.",
        unit="frame",
    )
