"""Findings of a batch, gathered row by row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Final, NamedTuple

import numpy as np

from sima2.records.arrays import Int64s
from sima2.records.defects import DefectTable
from sima2.records.table import Text

SET: Final = -1
"""Episode of a finding that is about the set."""


class Finding(NamedTuple):
    """One defect of one episode; frames count from the episode's start."""

    episode: int
    """Its place; ``SET`` where the finding is about the set."""
    manipulator: str
    defect: str
    severity: float
    start: int
    end: int
    value: float
    unit: str
    details: str


_BY_FRAME = attrgetter("episode", "start", "end", "defect", "manipulator", "details")


def graded(x: float, half: float) -> float:
    """Severity of a measure that is 0.5 at ``half`` and tends to 1.

    >>> graded(0.0, 2.0), graded(2.0, 2.0), round(graded(200.0, 2.0), 2)
    (0.0, 0.5, 0.99)
    """
    return float(x / (x + half)) if np.isfinite(x) else 1.0


_JOINT: Final = re.compile(r"(joint(?:_position)? ?\[?)(\d+)(\]?)(?! more)")


def named(defects: DefectTable, joints: Mapping[str, Sequence[str]]) -> DefectTable:
    """The same with the recorded name of each joint beside its number.

    Args:
        defects: findings.
        joints: by manipulator, the name of each of its joints.
    """

    def told(words: str, names: Sequence[str]) -> str:
        def one(match: re.Match[str]) -> str:
            place = int(match[2])
            known = place < len(names) and names[place]
            return f"{match[0]} ({names[place]})" if known else match[0]

        return _JOINT.sub(one, words)

    if not any(joints.values()):
        return defects
    details = [
        told(words, joints.get(arm, ())) for words, arm in zip(defects.details, defects.manipulator, strict=True)
    ]
    return replace(defects, details=Text.of(details))


def table_of(findings: Sequence[Finding], episode_index: Int64s, episode_id: Text) -> DefectTable:
    """The findings as a table, by episode, then frame."""
    order = sorted(findings, key=_BY_FRAME)
    columns = list(zip(*order, strict=True)) if order else [()] * len(Finding._fields)
    episode, manipulator, defect, severity, start, end, value, unit, details = columns
    # the last place is that of the set
    index = np.append(np.asarray(episode_index, np.int64), SET)
    names = Text.concat([episode_id, Text.of([""])])
    return DefectTable(
        episode_index=index[np.array(episode, np.int64)],
        episode_id=names[np.array(episode, np.int64)],
        manipulator=Text.of(manipulator),
        defect=Text.of(defect),
        severity=np.array([round(min(max(grade, 0.0), 1.0), 4) for grade in severity], np.float64),
        start_frame=np.array(start, np.int64),
        end_frame=np.array(end, np.int64),
        value=np.array([float(f"{each:.6g}") for each in value], np.float64),
        unit=Text.of(unit),
        details=Text.of(details),
    )
