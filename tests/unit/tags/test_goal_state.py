"""Whether what was asked for is so at the end: by poses, and only where they tell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tag_worlds import segments_of, story

from scripted_hand import OPEN, World, taken
from sima2 import RolloutBatch, SegmentationEngine, Sima2Client
from sima2.primitives.goal_state import goal_reached
from sima2.primitives.outcome_inference import OutcomeInference
from sima2.records.rollout import Goal, Rollout

NAN = math.nan
TARGET = (0.5, 0.0, 0.0)
ON = Goal("cup", "plate", "placed_on", 0.05)


def reached(end: tuple[float, float, float], goal: Goal, unseen: int = 0) -> float:
    cup = np.linspace((0.0, 0.0, 0.0), end, 40)
    cup[30:] = end
    cup[40 - unseen :] = NAN
    both = {"cup": cup, "plate": np.tile(TARGET, (40, 1))}
    one = Rollout(episode_id="e", time=np.arange(40) / 20, object_position=both, goal=goal)
    return float(goal_reached(RolloutBatch.from_rollouts([one]))[0])


@pytest.mark.parametrize(
    ("end", "goal", "told"),
    [
        ((0.52, 0.02, 0.3), ON, 1.0),
        ((0.6, 0.0, 0.0), ON, 0.0),
        ((0.5, 0.0, 0.3), Goal("cup", "", "placed_on", 0.05, TARGET), 0.0),  # a place is one in height too
        ((0.5, 0.0, 0.03), Goal("cup", "", "held", 0.05, TARGET), 1.0),
        ((0.2, 0.0, 0.0), Goal("cup", "", "opened", 0.15), 1.0),
        ((0.1, 0.0, 0.0), Goal("cup", "", "opened", 0.15), 0.0),
        ((0.5, 0.0, 0.0), Goal("cup", "plate", "placed_on", 0.0), NAN),
        ((0.5, 0.0, 0.0), Goal("cup", "dish", "placed_on", 0.05), NAN),
        ((0.5, 0.0, 0.0), Goal("mug", "plate", "placed_on", 0.05), NAN),
        ((0.5, 0.0, 0.0), Goal("cup", "", "wiped", 0.05), NAN),
    ],
)
def test_a_goal_is_reached_or_not_or_untold(end: tuple[float, float, float], goal: Goal, told: float) -> None:
    assert reached(end, goal) == pytest.approx(told, nan_ok=True)


def test_what_is_out_of_sight_for_a_moment_is_where_it_was_and_later_anywhere() -> None:
    assert reached((0.5, 0.0, 0.0), ON, unseen=5) == 1.0
    assert math.isnan(reached((0.5, 0.0, 0.0), ON, unseen=25))


@pytest.mark.parametrize(
    ("text", "there", "success"),
    [
        ("grasp+ transport+ place+ retreat+", 1.0, 1.0),
        ("grasp+ transport+ place+ retreat+", 0.0, 0.0),
        ("grasp+ transport- approach+ push+ retreat+", 1.0, 1.0),  # lost, and pushed to its place
        ("grasp+ transport+ idle+", 1.0, NAN),  # over its place, and not let go
        ("grasp+ transport+ idle+", 0.0, 0.0),
        ("grasp+ transport+ place- collision- idle+", 1.0, 0.0),
    ],
)
def test_the_end_counts_once_the_thing_is_let_go(text: str, there: float, success: float) -> None:
    table = segments_of([{**row, "object_moved": 0.3} for row in story("e", text)])
    told = OutcomeInference().infer(table, ["e"], [ON], reached=[there])
    assert float(told.success[0]) == pytest.approx(success, nan_ok=True)


def test_to_know_a_goal_that_poses_do_not_show_tells_no_less() -> None:
    table = segments_of([{**row, "object_moved": 0.3} for row in story("e", "grasp+ transport+")])
    held = Goal("cup", relation="held")
    assert OutcomeInference().infer(table, ["e"], [held]).success.tolist() == [1.0]


@pytest.mark.parametrize("family", ["drawer_open", "dish_place", "sort_objects"])
def test_made_rollouts_are_told_right(family: str) -> None:
    batch, outcome, _ = Sima2Client(seed=5).rollouts(family=family, count=60)
    table = SegmentationEngine().fit([batch]).segment(batch)
    names, goals = batch.episodes.episode_id, batch.episodes.goal
    told = OutcomeInference().infer(table, names, goals, reached=goal_reached(batch)).success
    known = ~np.isnan(told)
    assert known.mean() > 0.9
    assert (told[known] == outcome.success[known]).all()
    assert len(set(told[known].tolist())) == 2


def put_at(x: float) -> World:
    return taken().go((x, 0, 0.2), 1.0).go((x, 0, 0.02), 1.0).fingers(OPEN).go((x, 0, 0.3), 1.0).rest(0.6)


@pytest.mark.parametrize(("x", "success"), [(0.6, 1.0), (0.5, 0.0)])
def test_a_named_place_tells_success_also_without_force(x: float, success: float) -> None:
    goal = Goal("block", "", "placed_on", 0.03, (0.6, 0.0, 0.02))
    batch = RolloutBatch.from_rollouts([put_at(x).rollout().with_(goal=goal)]).without("grip_force", "contact_force")
    table = SegmentationEngine().fit([batch]).segment(batch)
    told = OutcomeInference().infer(table, ["e"], [goal], reached=goal_reached(batch))
    assert told.success.tolist() == [success]
    assert ("misplaced" in table.failure_reason.tolist()) == (success == 0.0)
