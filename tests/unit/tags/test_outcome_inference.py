"""What an episode came to, from what the hand did last and what became of the things."""

from __future__ import annotations

import math

import pytest
from tag_worlds import segments_of, story

from sima2.primitives.outcome_inference import OutcomeInference
from sima2.records.rollout import Goal

NAN = math.nan


def inferred(text: str, moved: list[float], goal: Goal | None = None) -> tuple[float, float]:
    rows = story("e", text)
    table = segments_of([{**row, "object_moved": m} for row, m in zip(rows, moved, strict=True)])
    answer = OutcomeInference().infer(table, ["e"], [goal])
    return float(answer.success[0]), float(answer.confidence[0])


@pytest.mark.parametrize(
    ("text", "moved", "success"),
    [
        ("grasp+ transport+ place+", [0.0, 0.3, 0.01], 1.0),
        ("grasp+ transport+", [0.0, 0.3], 1.0),  # a recording may end with the thing in the hand
        ("grasp+ wipe- lift+", [0.0, 0.3, 0.1], NAN),  # which tells nothing of what was done with it
        ("approach+ push+", [0.0, 0.001], NAN),  # it says it pushed, and nothing went anywhere
        ("approach+ wipe+", [0.0, 0.0], NAN),
        ("approach+ grasp retreat+", [0.0, 0.1, 0.2], 1.0),
        ("approach+ grasp retreat+", [0.0, 0.0, 0.0], 0.0),
        ("approach+ retreat+", [0.0, 0.0], NAN),  # it may have pressed a button
        ("grasp- retreat+", [0.0, 0.01], 0.0),
        ("grasp- retreat+", [0.13, 0.02], NAN),  # what was missed moved along
        ("grasp+ transport+ collision-", [0.0, 0.3, 0.2], NAN),
        ("push+ approach- collision- retreat+", [0.3, 0.0, 0.01, 0.0], 0.0),  # nothing moved since that began
        ("push+ approach- collision- retreat+", [0.3, 0.2, 0.01, 0.0], NAN),
        ("push+ approach:collision- collision:collision-", [0.3, 0.0, 0.01], NAN),  # all was done before
        ("grasp:missed_grasp- approach+ push+", [0.0, 0.0, 0.3], NAN),  # what was to be taken was pushed about
        ("lift+ transport- collision- place+", [0.1, 0.1, 0.0, 0.1], NAN),  # given up, and set down where it was
        ("lift+ transport- collision- transport+ place+", [0.1, 0.1, 0.0, 0.2, 0.1], 1.0),
    ],
)
def test_hand_and_things_must_agree(text: str, moved: list[float], success: float) -> None:
    found, confidence = inferred(text, moved)
    assert found == pytest.approx(success, nan_ok=True)
    assert (confidence > 0) == (not math.isnan(success))


@pytest.mark.parametrize(("text", "success"), [("grasp+ place+", 1.0), ("grasp- retreat+", 0.0), ("approach+", NAN)])
def test_without_poses_of_things_the_hand_is_the_only_witness(text: str, success: float) -> None:
    found, _ = inferred(text, [NAN] * len(text.split()))
    assert found == pytest.approx(success, nan_ok=True)


def test_a_known_goal_says_which_action_counts() -> None:
    goal = Goal(object="block_a", relation="placed_in")
    assert inferred("grasp+ place+ push-", [0.0, 0.0, 0.0], goal)[0] == 0.0  # lost after it
    assert inferred("push- grasp+ place+", [0.0, 0.0, 0.0], goal)[0] == 1.0


def test_an_action_of_low_confidence_says_nothing() -> None:
    rows = [{**row, "object_moved": NAN, "confidence": 0.3} for row in story("e", "grasp+ place+")]
    assert math.isnan(OutcomeInference().infer(segments_of(rows), ["e"], [None]).success[0])


def test_what_any_arm_loses_later_counts_in_order_of_time() -> None:
    left = [{**row, "manipulator": "left", "start_frame": 60, "end_frame": 80} for row in story("e", "transport-")]
    right = [
        {**row, "manipulator": "right", "start_frame": 20 * k, "end_frame": 20 * k + 20}
        for k, row in enumerate(story("e", "grasp+ place+"))
    ]
    rows = [{**row, "object_moved": NAN} for row in [*left, *right]]
    assert OutcomeInference().infer(segments_of(rows), ["e"], [None]).success.tolist() == [0.0]
