"""What is found of the data of all episodes: defects, what is unusual, what contradicts, how sure detectors are."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sima2.execution.shards import Judged, calibrated
from sima2.orchestrator.run_context import RunContext
from sima2.pipeline import (
    Courses,
    Frozen,
    with_conflicts,
    with_contradicted,
    with_joint_names,
    with_said,
)
from sima2.records.defects import DefectTable, EpisodeMeasures
from sima2.records.episodes import EpisodeTable
from sima2.records.labels import SaidTable
from sima2.records.plan import CardTable, SegmentVerdicts
from sima2.shard_tables import MEASURES, SEGMENTS

if TYPE_CHECKING:
    from sima2.io.label_log import LabelLog

FEWEST_VERDICTS: Final = 3
"""Fewer failed attempts in all are not worth a card: they are shown to a person."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was found of the data of all episodes."""

    defects: DefectTable
    """The worst first."""
    courses: Courses
    doubts: list[str]
    """What must be said of outcomes and labels."""
    card: CardTable
    """How sure the verdicts are that the plan acts on; empty where that is not known."""


def found_in(
    run: RunContext,
    recorded: EpisodeTable,
    frozen: Frozen,
    log: LabelLog,
    judging: Callable[[], Judged],
) -> Found:
    """What is found of the data of all episodes.

    Args:
        run: after pass 2.
        recorded: its episodes, as pass 1 left them.
        frozen: the same, with outcomes as persons say them.
        log: the labels of the folder.
        judging: waits for what is judged of defects and courses meanwhile.
    """
    store, said = run.store, frozen.said
    defects, courses, seconds = judging()
    run.watch.add(seconds)
    with run.watch("courses"):
        defects, doubts = with_conflicts(defects, frozen.episodes, courses.ended)
        defects = with_said(defects, recorded, said)
        defects = with_contradicted(defects, frozen.episodes, MEASURES.shards(store))
        defects = with_joint_names(defects, [each.source.describe() for each in run.taken])
    with run.watch("card"):
        card = _card(run, frozen.episodes, defects, courses.verdicts)
    return Found(defects, courses, [*doubts, *_label_doubts(log, said, recorded)], card)


def _card(run: RunContext, episodes: EpisodeTable, defects: DefectTable, verdicts: SegmentVerdicts) -> CardTable:
    """How sure the verdicts are that the plan would act on, where recordings have enough of them to tell.

    Of several sources the least sure counts, for the plan is one; where some are not at hand, nothing is known.
    """
    from sima2.card import DROP, FAILED_ATTEMPT, CardSettings, KnownSet, detection_card, least_sure

    told = Counter(verdicts.verdict.tolist())
    enough = max(told["failed_attempt"], told["lost_grip"]) >= FEWEST_VERDICTS
    at_hand = {each.run.number for each in run.taken} == {each.number for each in run.store.runs}
    if not (enough and at_hand and all(each.run.settings.get("path") for each in run.taken)):
        return CardTable.empty()
    segments = SEGMENTS.whole(run.store)
    cards = []
    for each in run.taken:
        calibration, _ = calibrated(run.executor, each.source, time.process_time)
        known = KnownSet(
            source=each.source,
            calibration=calibration,
            episodes=episodes.take(each.run.holds(episodes.episode_index)),
            segments=segments.take(each.run.holds(segments.episode_index)),
            defects=defects,
            measures=EpisodeMeasures.empty(),  # which verdicts on segments do not look at
        )
        cards.append(detection_card(known, CardSettings(only=(FAILED_ATTEMPT, DROP))))
    return least_sure(cards)


def _label_doubts(log: LabelLog, said: SaidTable, episodes: EpisodeTable) -> list[str]:
    """What must be said of labels: lines that are none, and such as fit no episode."""
    frames = dict(zip(episodes.episode_id, episodes.frames.tolist(), strict=True))
    strange = [name for name in dict.fromkeys(log.labels.episode_id) if name not in frames]
    late = [
        name
        for name, frame in zip(said.episode_id, said.failed_at_frame.tolist(), strict=True)
        if name in frames and frame >= frames[name]
    ]
    told = list(log.problems)
    if strange:
        told.append(f"labels are kept of {len(strange)} episodes that are not here ({strange[0]}, …): not used")
    if late:
        told.append(f"{len(late)} episodes are said to have failed at a frame behind their last ({late[0]}, …)")
    return told
