"""The verb of the end: what each episode told, and the vitals of all → one ranked table."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sima2.defects.duplicates import duplicate_findings
from sima2.defects.findings import table_of
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
        found = [*population_findings(vitals, self.settings), *duplicate_findings(vitals, self.settings)]
        by_row = table_of(found, vitals.episode_index.tolist(), vitals.episode_id.tolist())
        return ranked(DefectTable.concat([defects, by_row]))


def ranked(defects: DefectTable) -> DefectTable:
    """By severity, then in the order of episodes and frames."""
    kind, arm = (np.asarray(each.tolist(), str) for each in (defects.defect, defects.manipulator))
    order = np.lexsort((defects.end_frame, defects.start_frame, arm, kind, defects.episode_index, -defects.severity))
    return defects.take(order)


def by_episode(
    defects: DefectTable, episode_index: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Text, NDArray[np.float64]]:
    """Count, worst kind and greatest severity of each episode, of a ranked table, shape (n,) each."""
    place = {index: k for k, index in enumerate(episode_index.tolist())}
    count, severity = np.zeros(len(place), np.int64), np.zeros(len(place))
    worst = [""] * len(place)
    for index, kind, grade in zip(
        defects.episode_index.tolist(), defects.defect, defects.severity.tolist(), strict=True
    ):
        k = place[index]
        if not count[k]:
            worst[k], severity[k] = kind, grade
        count[k] += 1
    return count, Text.of(worst), severity
