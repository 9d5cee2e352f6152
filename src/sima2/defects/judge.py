"""The verb of the end: what each episode told, and the measures of all → one ranked table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from sima2.defects.calibration import calibration_findings
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.duplicates import duplicate_findings
from sima2.defects.findings import SET, table_of
from sima2.defects.groups import groups, joints_follow
from sima2.defects.limits import limit_findings
from sima2.defects.peers import peer_findings
from sima2.defects.population import population_findings
from sima2.records.arrays import Float64s, Int64s
from sima2.records.defects import DefectTable, EpisodeMeasures
from sima2.records.table import Text

BY_COMMAND: Final = "rad"
"""Unit of a stall that is told by a joint's own command."""


@dataclass(frozen=True, slots=True)
class DefectJudge:
    """Looks at all episodes together."""

    settings: DefectSettings = field(default_factory=DefectSettings)

    def judge(self, defects: DefectTable, measures: EpisodeMeasures) -> DefectTable:
        """All findings, the worst first."""
        found = [
            *population_findings(measures, self.settings),
            *calibration_findings(measures, self.settings),
            *limit_findings(measures, self.settings),
            *peer_findings(measures, self.settings),
            *duplicate_findings(measures, self.settings),
        ]
        by_row = table_of(found, measures.episode_index, measures.episode_id)
        return ranked(DefectTable.concat([_not_twice(_settled(defects, measures), by_row), by_row]))


def _not_twice(defects: DefectTable, others: DefectTable) -> DefectTable:
    """Findings of single episodes without limits of an arm that the others tell as well."""
    limits = others.take(others.defect.isin("clipped_channel"))
    told = set(zip(limits.episode_index.tolist(), limits.manipulator, strict=True))
    again = [
        kind == "clipped_channel" and (episode, arm) in told
        for episode, arm, kind in zip(defects.episode_index.tolist(), defects.manipulator, defects.defect, strict=True)
    ]
    return defects.take(np.flatnonzero(~np.array(again, np.bool_)))


def _settled(defects: DefectTable, measures: EpisodeMeasures) -> DefectTable:
    """Findings without those that rest on commands which the joints of the robot do not follow."""
    drop = np.zeros(len(defects), np.bool_)
    for rows in groups(measures.robot.codes):
        if not joints_follow(measures, rows):
            mine = np.isin(defects.episode_index, measures.episode_index[rows])
            drop |= mine & defects.defect.isin("stalled") & defects.unit.isin(BY_COMMAND)
    return defects.take(np.flatnonzero(~drop))


def ranked(defects: DefectTable) -> DefectTable:
    """By severity, then in the order of episodes and frames."""
    kind, arm = (each.recode(sorted(each.names)) for each in (defects.defect, defects.manipulator))
    order = np.lexsort((defects.end_frame, defects.start_frame, arm, kind, defects.episode_index, -defects.severity))
    return defects.take(order)


def by_episode(defects: DefectTable, episode_index: Int64s) -> tuple[Int64s, Text, Float64s]:
    """Count, worst kind and greatest severity of each episode, of a ranked table, shape (n,) each."""
    n = len(episode_index)
    # what is about the set is no episode's
    defects = defects.take(np.flatnonzero(defects.episode_index != SET))
    worst, severity = [""] * n, np.zeros(n)
    if not len(defects):
        return np.zeros(n, np.int64), Text.of(worst), severity
    order = np.argsort(episode_index, kind="stable")
    place = order[np.searchsorted(episode_index, defects.episode_index, sorter=order)]
    having, first = np.unique(place, return_index=True)
    severity[having] = defects.severity[first]
    for k, kind in zip(having.tolist(), defects.defect[first], strict=True):
        worst[k] = kind
    return np.bincount(place, minlength=n), Text.of(worst), severity
