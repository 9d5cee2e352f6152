"""Force alone is no accident: a hand that moves on or presses means it, one that is thrown back does not."""

from __future__ import annotations

import numpy as np
import pytest

from recordings import HZ, recording
from sima2 import Rollout, RolloutBatch, Segment, SegmentationEngine

STEP = 0.02
N = 200


def segments(**channels: object) -> list[Segment]:
    made = Rollout(episode_id="e", time=np.arange(N) * STEP, **channels)  # type: ignore[arg-type]
    return list(SegmentationEngine().segment(RolloutBatch.from_rollouts([made])))


def hand(way: np.ndarray) -> np.ndarray:
    """A hand that moves along x, shape (N, 3), with a tremble."""
    tremble = np.random.default_rng(0).normal(0, 1e-4, (N, 3))
    return np.column_stack([way, np.zeros(N), np.full(N, 0.3)]) + tremble


def felt(where: slice, newtons: float) -> np.ndarray:
    force = np.abs(np.random.default_rng(1).normal(0, 0.05, N))
    force[where] += newtons
    return force


@pytest.mark.parametrize("newtons", [8.0, 80.0, 4000.0])
def test_a_thing_that_moves_along_is_pushed_however_hard(newtons: float) -> None:
    way = 0.4 * np.clip(np.arange(N) / 160, 0, 1)
    touch = 80
    thing = np.where(np.arange(N) >= touch, way, way[touch]) + 0.03
    found = segments(
        ee_position=hand(way),
        gripper_width=np.full(N, 0.01),
        contact_force=felt(slice(touch, 160), newtons),
        object_position={"drawer": hand(thing)},
    )
    assert "push" in {each.label for each in found}
    assert not [each for each in found if each.outcome == "failure"]


@pytest.mark.parametrize("newtons", [8.0, 80.0, 4000.0])
def test_a_hand_that_is_thrown_back_has_run_into_something(newtons: float) -> None:
    way = np.concatenate([np.linspace(0, 0.4, 100), np.full(6, 0.4), np.linspace(0.4, 0.25, 40), np.full(54, 0.25)])
    found = segments(ee_position=hand(way), gripper_width=np.full(N, 0.05), contact_force=felt(slice(99, 108), newtons))
    assert [each.failure_reason for each in found if each.label == "collision"] == ["collision"]


def test_a_hand_that_presses_and_stays_has_not_failed() -> None:
    way = np.concatenate([np.linspace(0, 0.4, 120), np.full(N - 120, 0.4)])
    found = segments(ee_position=hand(way), gripper_width=np.full(N, 0.01), contact_force=felt(slice(119, N), 900.0))
    assert not [each for each in found if each.outcome == "failure"]


def test_fingers_that_close_far_from_every_thing_take_hold_of_none() -> None:
    way = 0.3 * np.clip(np.arange(N) / 160, 0, 1)
    width = 0.06 - 0.06 * np.clip((np.arange(N) - 40) / 20, 0, 1)
    found = segments(
        ee_position=hand(way), gripper_width=width, object_position={"cup": np.tile([0.9, 0.5, 0.0], (N, 1))}
    )
    assert "grasp" not in {each.label for each in found}
    assert not [each for each in found if each.outcome == "failure"]


def test_a_hand_that_is_shut_on_the_way_home_has_missed_nothing() -> None:
    made = recording(1, held=0.4, parked=0.0)  # shut while it is parked
    one = Rollout(
        episode_id="e",
        time=np.arange(len(made)) / HZ,
        joint_position=made.joints,
        gripper_opening=made.opening,
    )
    found = list(SegmentationEngine().segment(RolloutBatch.from_rollouts([one])))
    assert [each.outcome for each in found if each.label == "grasp"] == ["success"]
    assert not [each for each in found if each.outcome == "failure"]
