"""What fingers that lag their command say of a grasp, where no force and no object was recorded."""

from __future__ import annotations

import numpy as np

from sima2 import Rollout, RolloutBatch, SegmentationEngine

PERIOD = 1 / 50


def closes_at_the_end(residual: float) -> Rollout:
    """An arm that moves, then closes its fingers for good; their residual from then on, in usual spreads."""
    time = np.arange(300) * PERIOD
    way = np.clip((time - 0.5) / 2.0, 0.0, 1.0)
    joint = 10 * way**3 - 15 * way**4 + 6 * way**5
    opening = 1.0 - 0.6 * np.clip((time - 3.0) / 0.8, 0.0, 1.0)
    effort = np.column_stack([np.zeros(300), np.where(time > 3.8, residual, 0.0)])
    return Rollout(
        episode_id="e", time=time, joint_position=joint[:, None], gripper_opening=opening, effort_proxy=effort
    )


def grasp_of(residual: float) -> str:
    found = SegmentationEngine().segment(RolloutBatch.from_rollouts([closes_at_the_end(residual)]))
    return next(s.outcome for s in found if s.label == "grasp")


def test_fingers_stopped_short_of_their_command_have_something_between_them() -> None:
    assert grasp_of(-80.0) == "success"


def test_fingers_that_follow_their_command_may_have_closed_on_nothing() -> None:
    assert grasp_of(-2.0) == "unknown"


def test_fingers_pushed_open_beyond_their_command_hold_nothing() -> None:
    assert grasp_of(80.0) == "unknown"
