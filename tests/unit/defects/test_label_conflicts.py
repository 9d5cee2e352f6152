"""A recorded outcome that the motion contradicts is a finding with the evidence of both sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from finished_run import episodes_of
from sima2.defects.conflicts import label_conflicts
from sima2.pipeline import with_conflicts
from sima2.records.courses import Endings
from sima2.records.defects import DefectTable
from sima2.records.episodes import EpisodeTable
from sima2.records.table import Text
from sima2.sampling.auditor import DatapackAuditor

NAN = float("nan")


def episodes(recorded: list[float], inferred: list[float], sure: list[float], source: str = "recorded") -> EpisodeTable:
    n = len(recorded)
    return replace(
        episodes_of([f"pick-{k}" for k in range(n)]),
        success=np.array(recorded),
        outcome_source=Text.full(n, source),
        inferred_success=np.array(inferred),
        inferred_confidence=np.array(sure, np.float32),
    )


def ended(n: int) -> Endings:
    zero = np.zeros(n, np.int64)
    return Endings(
        episode_id=[f"pick-{k}" for k in range(n)],
        failed=["grasp"] * n,
        failed_because=["gripper_slip"] * n,
        failed_start=zero + 30,
        failed_end=zero + 50,
        last=["release"] * n,
        last_start=zero + 60,
        last_end=zero + 80,
        retries=zero,
        retried=[""] * n,
        retried_because=[""] * n,
        retry_start=zero,
        retry_end=zero,
    )


def test_both_sides_are_told_with_the_frames_that_decide() -> None:
    found = list(label_conflicts(episodes([1.0, 0.0], [0.0, 1.0], [0.9, 0.8]), ended(2)).found.rows())
    assert [row["defect"] for row in found] == ["label_conflict"] * 2
    assert [row["severity"] for row in found] == [0.9, 0.8]
    assert [(row["start_frame"], row["end_frame"]) for row in found] == [(30, 50), (60, 80)]
    assert found[0]["details"] == (
        "recorded as a success, inferred a failure (0.9): its last failed step is a grasp (gripper slip)"
    )
    assert "recorded as a failure" in found[1]["details"]
    assert "its last release went well" in found[1]["details"]


@pytest.mark.parametrize(
    ("recorded", "inferred", "sure", "source"),
    [
        (1.0, 1.0, 0.99, "recorded"),
        (1.0, 0.0, 0.69, "recorded"),
        (1.0, NAN, 0.0, "recorded"),
        (NAN, 0.0, 0.9, "none"),
        (0.0, 1.0, 0.9, "inferred"),
        (0.0, 1.0, 0.9, "task_sensor"),
    ],
)
def test_what_agrees_is_doubted_or_was_said_by_nobody_is_no_conflict(
    recorded: float, inferred: float, sure: float, source: str
) -> None:
    assert len(label_conflicts(episodes([recorded], [inferred], [sure], source), ended(1)).found) == 0


def test_the_surest_come_first_among_all_findings_and_a_person_is_asked() -> None:
    table = episodes([1.0, 1.0, 1.0], [0.0, 1.0, 0.0], [0.72, 0.9, 0.95])
    found, told = with_conflicts(DefectTable.empty(), table, ended(3))
    assert found.episode_id.tolist() == ["pick-2", "pick-0"]
    assert told == []
    audit = list(DatapackAuditor().audit(table, _no_tags(), {}, {}, None, found).rows())
    assert [row["status"] for row in audit] == ["requires_review", "passed", "requires_review"]
    assert audit[0]["codes"] == "label_conflict"
    assert "severe" not in audit[2]["reasons"]


def test_an_inference_that_sees_no_failure_here_contradicts_none() -> None:
    recorded, inferred = [0.0] * 9 + [1.0] * 9, [0.0] + [1.0] * 17
    table = episodes(recorded, inferred, [0.9] * 18)
    found, told = with_conflicts(DefectTable.empty(), table, ended(18))
    assert len(found) == 0
    assert told[0].startswith("in 8 episodes the motion suggests another outcome than recorded")
    seeing = replace(table, inferred_success=np.array([0.0] * 6 + [1.0] * 12))
    assert label_conflicts(seeing, ended(18)).found.episode_id.tolist() == ["pick-6", "pick-7", "pick-8"]
    assert label_conflicts(seeing, ended(18)).doubted == 0


def _no_tags():  # type: ignore[no-untyped-def]
    from sima2.records.tags import TagTable

    return TagTable.empty()
