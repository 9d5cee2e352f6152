"""The verb of the first pass: a batch of raw signals and its segments → findings and measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np

from sima2.defects.clock import clock_findings, skip_findings
from sima2.defects.commands import following
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.episode_measures import measures_of
from sima2.defects.findings import Finding, table_of
from sima2.defects.grasps import from_gripper, from_segments, grasp_spans
from sima2.defects.sensors import sensor_findings
from sima2.defects.state_samples import points_of
from sima2.defects.stillness import idle_findings, pauses, stall_findings
from sima2.defects.teleports import teleport_findings
from sima2.defects.tracks import tracks
from sima2.records.courses import PointTable
from sima2.records.defects import DefectTable, EpisodeMeasures, PauseTable
from sima2.records.rollout import TURNED, RolloutBatch
from sima2.records.segments import SegmentTable
from sima2.records.table import Text

Rows = TypeVar("Rows", EpisodeMeasures, PointTable)


class Inspection(NamedTuple):
    """What an episode tells by itself, and what only others can judge."""

    defects: DefectTable
    measures: EpisodeMeasures
    pauses: PauseTable
    """Where nothing moves, short stops left aside."""
    points: PointTable
    """What is done in which states."""


class _Part(NamedTuple):
    """What is told of episodes that have the same channels, by their places among them."""

    findings: list[Finding]
    measures: EpisodeMeasures
    still: list[tuple[int, int, int]]
    points: PointTable


@dataclass(frozen=True, slots=True)
class DefectInspector:
    """Looks at each episode alone: the same findings in any batch."""

    settings: DefectSettings = field(default_factory=DefectSettings)

    def inspect(self, batch: RolloutBatch, segments: SegmentTable | None = None) -> Inspection:
        """Findings of the batch by episode, and its measures.

        Args:
            batch: whole episodes; may mix layouts.
            segments: of the same episodes; without them grasps are counted from the gripper alone.
        """
        findings: list[Finding] = []
        measures: list[EpisodeMeasures] = []
        still: list[tuple[int, int, int]] = []
        points: list[PointTable] = []
        for where, part in batch.by_layout():
            seen = self._of_part(part)
            places = where.tolist()
            findings += [Finding(places[each.episode], *each[1:]) for each in seen.findings]
            measures.append(seen.measures)
            still += [(places[i], start, end) for i, start, end in seen.still]
            points.append(seen.points)
        if segments is not None:
            retries = from_segments(segments, batch.episodes.episode_id, batch.length.tolist())
            findings = _with_retries(findings, retries, grasp_spans(segments, batch.episodes.episode_id))
        table = table_of(findings, batch.episodes.episode_index, Text.of(batch.episodes.episode_id))
        return Inspection(
            table,
            _in_order(EpisodeMeasures.concat(measures)),
            _paused(sorted(still), batch),
            _in_order(PointTable.concat(points)),
        )

    def _of_part(self, batch: RolloutBatch) -> _Part:
        seen = tracks(batch, self.settings)
        follows = following(seen, batch, self.settings)
        sensors = sensor_findings(seen, batch, follows, self.settings)
        stalls = stall_findings(seen, batch, follows, self.settings)
        frozen = {(f.episode, f.manipulator, f.end) for f in sensors if f.defect == "frozen_channel"}
        skips = skip_findings(seen, follows, self.settings)
        lost = {(f.episode, f.start) for f in skips}
        jumps = [f for f in teleport_findings(seen, follows, self.settings) if (f.episode, f.start) not in lost]
        findings = [
            *sensors,
            # what was frozen jumps to where it has got to meanwhile
            *(f for f in jumps if (f.episode, f.manipulator, f.start + 1) not in frozen),
            *clock_findings(seen, self.settings),
            *skips,
            *idle_findings(seen, self.settings),
            *(f for f in stalls if not _within(f, [f for f in sensors if f.defect == "frozen_channel"])),
            *from_gripper(seen, self.settings),
            *_turned(batch),
        ]
        return _Part(
            findings,
            measures_of(seen, batch, follows, self.settings),
            pauses(seen, self.settings),
            points_of(seen, batch, follows),
        )


def _paused(still: list[tuple[int, int, int]], batch: RolloutBatch) -> PauseTable:
    rows = np.array(still, np.int64).reshape(-1, 3)
    return PauseTable(
        episode_index=batch.episodes.episode_index[rows[:, 0]],
        episode_id=Text.of(batch.episodes.episode_id)[rows[:, 0]],
        start_frame=rows[:, 1],
        end_frame=rows[:, 2],
    )


def _within(stall: Finding, others: list[Finding]) -> bool:
    """Whether a stall lies within a freeze of the same arm."""
    return any(
        f.episode == stall.episode
        and f.manipulator == stall.manipulator
        and f.start <= stall.end
        and stall.start <= f.end
        for f in others
    )


def _turned(batch: RolloutBatch) -> list[Finding]:
    """Grippers that were turned round as they were read."""
    found = []
    for i, words in enumerate(batch.episodes.provenance):
        if TURNED in words:
            told = "the gripper was recorded the other way round than in most episodes; it was turned as it was read"
            frames = int(batch.length[i])
            found.append(Finding(i, words[TURNED], "mixed_polarity", 1.0, 0, frames, 1.0, "of the range", told))
    return found


def _with_retries(
    findings: list[Finding], retries: list[Finding], grasps: Mapping[tuple[int, str], list[tuple[int, int]]]
) -> list[Finding]:
    """Retries that segments tell, in place of the same seen in the gripper, of which they must tell two grasps."""
    told = [(f.episode, f.manipulator, f.start, f.end) for f in retries]

    def kept(f: Finding) -> bool:
        if f.defect != "repeated_grasp":
            return True
        same = any(
            i == f.episode and arm == f.manipulator and start < f.end and f.start < end for i, arm, start, end in told
        )
        tried = [each for each in grasps.get((f.episode, f.manipulator), []) if each[0] < f.end and f.start < each[1]]
        return not same and len(tried) > 1

    return [*filter(kept, findings), *retries]


def _in_order(table: Rows) -> Rows:
    return table.take(np.lexsort((table.manipulator.decode().astype(str), table.episode_index)))
