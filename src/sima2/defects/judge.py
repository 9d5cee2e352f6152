"""The verb of the end: what each episode told, and the vitals of all → one ranked table."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sima2.defects.calibration import calibration_findings
from sima2.defects.duplicates import duplicate_findings
from sima2.defects.findings import SET, table_of
from sima2.defects.peers import peer_findings
from sima2.defects.population import population_findings
from sima2.defects.settings import DefectSettings
from sima2.records.defects import DefectTable, EpisodeVitals
from sima2.records.table import Text


@dataclass(frozen=True, slots=True)
class DefectJudge:
    """Looks at all episodes together."""

    settings: DefectSettings = field(default_factory=DefectSettings)

    def judge(self, defects: DefectTable, vitals: EpisodeVitals) -> DefectTable:
        """All findings, the worst first."""
        found = [
            *population_findings(vitals, self.settings),
            *calibration_findings(vitals, self.settings),
            *peer_findings(vitals, self.settings),
            *duplicate_findings(vitals, self.settings),
        ]
        by_row = table_of(found, vitals.episode_index, vitals.episode_id)
        return ranked(DefectTable.concat([defects, by_row]))


def ranked(defects: DefectTable) -> DefectTable:
    """By severity, then in the order of episodes and frames."""
    kind, arm = (each.recode(sorted(each.names)) for each in (defects.defect, defects.manipulator))
    order = np.lexsort((defects.end_frame, defects.start_frame, arm, kind, defects.episode_index, -defects.severity))
    return defects.take(order)


def by_episode(
    defects: DefectTable, episode_index: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Text, NDArray[np.float64]]:
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
