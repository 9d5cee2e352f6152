"""Looking for an object: which moves of the hand found it, told by the tracker's confidence alone."""

from __future__ import annotations

import numpy as np

from sima2 import Rollout, RolloutBatch, SegmentationEngine
from sima2.records.rollout import Goal
from sima2.records.segments import Segment

PERIOD = 1 / 50
PLACES = ((0.0, 0.0, 0.5), (0.3, 0.0, 0.5), (0.3, 0.3, 0.5), (0.2, 0.4, 0.5), (0.5, 0.4, 0.5))


def looks_around(confidence: tuple[float, ...], relation: str = "visible", stays: int = 5) -> list[Segment]:
    """A hand that visits the places in turn and rests at each; the pose confidence of the object at each of them."""
    way, sure = [], []
    for k in range(1, stays):
        share = np.linspace(0, 1, round(1.0 / PERIOD))[:, None]
        bell = 10 * share**3 - 15 * share**4 + 6 * share**5
        move = np.asarray(PLACES[k - 1]) + bell * (np.asarray(PLACES[k]) - np.asarray(PLACES[k - 1]))
        way += [move, np.repeat(np.asarray(PLACES[k])[None], round(0.8 / PERIOD), axis=0)]
        sure += [np.full(len(move), confidence[k - 1]), np.full(round(0.8 / PERIOD), confidence[k])]
    path = np.concatenate(way)
    rollout = Rollout(
        episode_id="e",
        time=np.arange(len(path)) * PERIOD,
        ee_position=path,
        object_position={"dial": np.tile([0.6, 0.6, 0.3], (len(path), 1))},
        object_confidence={"dial": np.concatenate(sure)},
        goal=Goal("dial", "", relation, 0.8),
    )
    return [s for s in SegmentationEngine().segment(RolloutBatch.from_rollouts([rollout])) if s.label != "idle"]


def test_a_look_after_which_the_object_is_seen_has_succeeded() -> None:
    found = looks_around((0.9, 0.4, 0.95), stays=3)
    assert [(s.label, s.outcome) for s in found] == [("approach", "success"), ("approach", "success")]


def test_a_look_that_shows_nothing_has_failed_and_is_made_good_by_the_one_after_the_next_move() -> None:
    found = looks_around((0.9, 0.4, 0.3, 0.3, 0.95))
    assert [s.label for s in found] == ["approach", "approach", "recovery_maneuver", "approach"]
    assert (found[1].outcome, found[1].failure_reason) == ("retry", "timeout")
    assert found[3].outcome == "success"


def test_where_nothing_is_to_be_seen_no_move_is_a_look() -> None:
    found = looks_around((0.9, 0.4, 0.3, 0.3, 0.95), relation="home")
    assert not any(s.failure_reason == "timeout" for s in found)
