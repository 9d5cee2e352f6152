"""Fingers whose closed end is not known: what they do is seen, whether they hold is left open, and evidence decides."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from recordings import HZ, recording
from sima2 import Rollout, RolloutBatch, Segment, SegmentationEngine

MADE = recording(3, held=0.0)


def segments(**channels: np.ndarray | None) -> list[Segment]:
    given = {"joint_position": MADE.joints, "gripper_opening": MADE.opening, **channels}
    one = Rollout(episode_id="e", time=np.arange(len(MADE)) / HZ, **given)
    return list(SegmentationEngine().segment(RolloutBatch.from_rollouts([one])))


def unknown() -> np.ndarray:
    return np.full(len(MADE), np.nan, np.float32)


def grasps(found: list[Segment]) -> Iterator[str]:
    return (each.outcome for each in found if each.label == "grasp")


def test_fingers_at_a_closed_end_that_is_known_have_missed() -> None:
    assert list(grasps(segments())) == ["failure"]
    assert list(grasps(segments(gripper_closed=np.zeros(len(MADE), np.float32)))) == ["failure"]


def test_fingers_at_the_most_closed_that_was_seen_may_hold() -> None:
    found = segments(gripper_closed=unknown())
    assert list(grasps(found)) == ["unknown"]
    assert {"lift", "transport"} & {each.label for each in found}
    assert "success" not in {each.outcome for each in found if each.label in ("lift", "transport", "place")}


def test_fingers_that_stop_before_it_hold() -> None:
    thick = recording(3, held=0.4)
    opening = np.concatenate([thick.opening[:-1], [0.0]])  # they can shut farther
    found = grasps(segments(gripper_opening=opening, joint_position=thick.joints, gripper_closed=unknown()))
    assert next(found) == "success"


def test_fingers_kept_from_where_they_are_told_to_go_hold() -> None:
    effort = np.zeros((len(MADE), 7), np.float32)
    effort[MADE.opening < 0.05, 6] = -60.0
    assert list(grasps(segments(gripper_closed=unknown(), effort_proxy=effort))) == ["success"]


@pytest.mark.parametrize("closed", [0.1, 0.2])
def test_a_closed_end_that_is_told_is_where_nothing_is_held(closed: float) -> None:
    opening = closed + (1 - closed) * MADE.opening
    told = np.full(len(MADE), closed, np.float32)
    assert list(grasps(segments(gripper_opening=opening, gripper_closed=told))) == ["failure"]
    assert list(grasps(segments(gripper_opening=opening))) == ["success"]


def test_a_stream_says_the_same() -> None:
    stream = SegmentationEngine().stream("e")
    for k in range(len(MADE)):
        stream.push(
            {
                "time": k / HZ,
                "joint_position": MADE.joints[k],
                "gripper_opening": MADE.opening[k],
                "gripper_closed": np.nan,
            }
        )
    whole = segments(gripper_closed=unknown())
    assert [(s.label, s.start_frame, s.outcome) for s in stream.finish()] == [
        (s.label, s.start_frame, s.outcome) for s in whole
    ]
