"""What is wrong with the data and unusual in it: of single episodes, and of what all of them show together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sima2.records.courses import ConsensusTable, CourseTable, Endings, PointTable, Strides, UnusualTable
from sima2.records.defects import DefectTable, EpisodeMeasures, PauseTable, RankedDefects
from sima2.records.episodes import EpisodeTable
from sima2.records.labels import SaidTable
from sima2.records.plan import CardTable, SegmentVerdicts
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.video import CameraTable


@dataclass(frozen=True, slots=True, eq=False)
class DataFindings:
    """What was found of the data, besides tags."""

    defects: DefectTable = field(default_factory=DefectTable.empty)
    """What is wrong with them."""
    verdicts: SegmentVerdicts = field(default_factory=SegmentVerdicts.empty)
    """What segments tell of stretches of them."""
    pauses: PauseTable = field(default_factory=PauseTable.empty)
    """Where nothing moves in them."""
    consensus: ConsensusTable = field(default_factory=ConsensusTable.empty)
    """How far each episode does otherwise than others in like states."""
    card: CardTable = field(default_factory=CardTable.empty)
    """How well what was found is found on this very set; unknown where none was made."""


def judged(defects: DefectTable, measures: EpisodeMeasures, cameras: Sequence[CameraTable] = ()) -> DefectTable:
    """All defects, the worst first: those of single episodes, and those that the others show.

    Args:
        defects: of single episodes.
        measures: of all episodes.
        cameras: what was measured in their pictures, each source by itself.
    """
    from sima2.cameras import judged_cameras
    from sima2.defects.judge import DefectJudge

    shown = [judged_cameras(each) for each in cameras]
    return DefectJudge().judge(DefectTable.concat([defects, *shown]), measures)


def with_joint_names(defects: DefectTable, described: Sequence[Mapping[str, Any]]) -> DefectTable:
    """Findings that also say what the data set calls the joints, where all sources call them alike."""
    from sima2.defects.findings import named

    names = [dict(each.get("joint_names") or {}) for each in described]
    return named(defects, names[0]) if names and all(each == names[0] for each in names) else defects


def with_said(defects: DefectTable, episodes: EpisodeTable, said: SaidTable) -> DefectTable:
    """All findings, and outcomes that persons say otherwise than they were recorded or than each other, worst first.

    Args:
        defects: so far.
        episodes: with outcomes as they were before anybody spoke.
        said: what persons say.
    """
    from sima2.defects.judge import ranked
    from sima2.defects.outcome_overrides import said_otherwise

    found = said_otherwise(episodes, said)
    return ranked(DefectTable.concat([defects, found])) if len(found) else defects


def with_contradicted(defects: DefectTable, episodes: EpisodeTable, measures: Iterable[EpisodeMeasures]) -> DefectTable:
    """All findings, and copies of one recording with opposite outcomes, the worst first."""
    from sima2.defects.contradicted_copies import contradicted
    from sima2.defects.judge import ranked

    found = contradicted(episodes, measures)
    return ranked(DefectTable.concat([defects, found])) if len(found) else defects


def with_conflicts(defects: DefectTable, episodes: EpisodeTable, ended: Endings) -> tuple[DefectTable, list[str]]:
    """All defects, and recorded outcomes that contradict the inferred ones, the worst first; and what must be said."""
    from sima2.defects.conflicts import label_conflicts
    from sima2.defects.judge import ranked

    found, doubted = label_conflicts(episodes, ended)
    told = [
        f"in {doubted} episodes the motion suggests another outcome than recorded, but it contradicts most of such "
        "outcomes here: not counted as conflicts"
    ]
    whole = ranked(DefectTable.concat([defects, found])) if len(found) else defects
    return whole, told if doubted else []


def with_cuts(defects: DefectTable, episodes: EpisodeTable) -> RankedDefects:
    """Findings with what each costs a trainer by the rules of the plan, and what can be cut off at an end."""
    from sima2.sampling.plan_settings import CUT, DROP, RULES

    frames = dict(zip(episodes.episode_id, episodes.frames.tolist(), strict=True))
    length = np.array([frames.get(name, 0) for name in defects.episode_id], np.int64)
    acts = np.array([RULES[kind].act if kind in RULES else "" for kind in defects.defect], object)
    start, end = defects.start_frame, np.minimum(defects.end_frame, length)
    cut, gone = acts == CUT, acts == DROP
    head, tail = cut & (start == 0), cut & (end == length) & (start > 0)
    return RankedDefects(
        **{name: getattr(defects, name) for name in DefectTable.columns()},
        kind_of_knowledge=Text.of(RULES[kind].knowledge if kind in RULES else "" for kind in defects.defect),
        frames_lost=np.where(cut, np.maximum(end - start, 0), np.where(gone, length, 0)),
        cut_start=np.where(tail, start, 0),
        cut_end=np.where(head | tail, end, 0),
    )


def with_defects(episodes: EpisodeTable, found: DefectTable) -> EpisodeTable:
    """The episodes with what they have of the defects."""
    from sima2.defects.judge import by_episode

    count, worst, severity = by_episode(found, episodes.episode_index)
    return replace(episodes, defects=count, worst_defect=worst, defect_severity=severity)


@dataclass(frozen=True, slots=True, eq=False)
class Courses:
    """What the episodes of each task have in common, how far each is from it, and by what it ended."""

    usual: CourseTable
    unusual: UnusualTable
    ended: Endings
    verdicts: SegmentVerdicts
    """Failed attempts and drives home."""
    consensus: ConsensusTable
    """How far each does otherwise than others in like states."""

    @classmethod
    def of(
        cls,
        shards: Iterable[tuple[EpisodeTable, EpisodeMeasures, SegmentTable]],
        points: PointTable,
        defects: DefectTable,
    ) -> Courses:
        """Of all shards, of which only what is compared is kept.

        Args:
            shards: tables of each.
            points: of all episodes.
            defects: the same; copies vouch for nobody.
        """
        from sima2.defects.consensus import consensus, copied
        from sima2.defects.courses import endings, strides, usual_courses
        from sima2.defects.unusual import unusual_episodes
        from sima2.sampling.verdicts import segment_verdicts

        taken, ended, told = [], [], []
        for episodes, measures, segments in shards:
            taken.append(strides(measures, segments))
            ended.append(endings(episodes.episode_id, segments))
            told.append(segment_verdicts(segments))
        every = Strides.concat(taken)
        verdicts = SegmentVerdicts.concat(told)
        agreed = consensus(points, copied(defects))
        unusual = unusual_episodes(every, consensus=agreed)
        return cls(usual_courses(every), unusual, Endings.concat(ended), verdicts, agreed)
