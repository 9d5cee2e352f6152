"""Findings of a batch, gathered row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sima2.records.defects import DefectTable
from sima2.records.table import Text


class Finding(NamedTuple):
    """One defect of one episode; frames count from the episode's start."""

    episode: int
    manipulator: str
    defect: str
    severity: float
    start: int
    end: int
    value: float
    unit: str
    details: str


def graded(x: float, half: float) -> float:
    """Severity of a measure that is 0.5 at ``half`` and tends to 1.

    >>> graded(0.0, 2.0), graded(2.0, 2.0), round(graded(200.0, 2.0), 2)
    (0.0, 0.5, 0.99)
    """
    return float(x / (x + half)) if np.isfinite(x) else 1.0


def table_of(findings: Sequence[Finding], episode_index: Sequence[int], episode_id: Sequence[str]) -> DefectTable:
    """The findings as a table, by episode, then frame."""
    order = sorted(findings, key=lambda f: (f.episode, f.start, f.end, f.defect, f.manipulator, f.details))
    return DefectTable(
        episode_index=np.array([episode_index[f.episode] for f in order], np.int64),
        episode_id=Text.of(episode_id[f.episode] for f in order),
        manipulator=Text.of(f.manipulator for f in order),
        defect=Text.of(f.defect for f in order),
        severity=np.array([round(min(max(f.severity, 0.0), 1.0), 4) for f in order], np.float64),
        start_frame=np.array([f.start for f in order], np.int64),
        end_frame=np.array([f.end for f in order], np.int64),
        value=np.array([float(f"{f.value:.6g}") for f in order], np.float64),
        unit=Text.of(f.unit for f in order),
        details=Text.of(f.details for f in order),
    )
