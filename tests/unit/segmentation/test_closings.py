"""Hands known by their fingers alone: a scripted case of each verdict rule; what robots show of their fingers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from scripted_fingers import Fingers
from sima2 import RolloutBatch, SegmentationEngine
from sima2.segmentation.closing_verdicts import Verdict, verdicts
from sima2.segmentation.closings import closings_of
from sima2.segmentation.features import compute_features
from sima2.segmentation.fingers import moving_fingers
from sima2.segmentation.hand_scale import hand_scale, kept_back

PICK, PUT = (1.0, 0.4), (-0.6, 0.8)
HELD = 0.3
Script = Callable[[], Fingers]


def at_thing() -> Fingers:
    return Fingers().rest(0.6).go(PICK).rest(0.3)


def carried() -> Fingers:
    """Something is taken, carried and put down."""
    return at_thing().close(stop=HELD).rest(0.4).go(PUT).rest(0.3).open().rest(0.3)


def home(fingers: Fingers) -> Fingers:
    return fingers.go((0.0, 0.0)).rest(0.8)


def taken() -> Fingers:
    return home(carried())


def missed_twice() -> Fingers:
    fingers = at_thing().close().rest(0.4).open().rest(0.2).go((0.95, 0.45), 0.3).rest(0.2)
    return home(fingers.close(stop=HELD).rest(0.4).go(PUT).rest(0.3).open().rest(0.3))


def thin() -> Fingers:
    return home(at_thing().close(to=-0.025, stop=0.0).rest(0.4).go(PUT).rest(0.3).open().rest(0.3))


def shut_at_the_start() -> Fingers:
    return home(Fingers().rest(0.6).close().rest(0.5).open().rest(0.4).go(PICK).rest(0.5))


def shut_on_the_way() -> Fingers:
    fingers = Fingers().rest(0.6).go((0.5, 0.1), 0.6, steady=True).close(going=(0.9, 0.18), seconds=0.48)
    return fingers.go((1.4, 0.28), 0.6, steady=True).open().rest(0.4).go((0.4, 0.4)).rest(0.5)


def shut_when_done() -> Fingers:
    return home(carried().go((-0.2, 0.6), 0.5).rest(0.3).close().rest(0.3))


def fidget_after() -> Fingers:
    return home(carried().go((-1.4, 0.2), 0.6).rest(0.3).close().rest(0.4).open().rest(0.3))


def half_shut() -> Fingers:
    return home(at_thing().close(to=0.5).rest(0.4).open().rest(0.3))


def made_ready() -> Fingers:
    fingers = Fingers().rest(0.6).go((0.5, 0.0), 0.6).rest(0.3).close(to=0.6).rest(0.5).go(PICK).rest(0.3)
    return home(fingers.close(stop=HELD).rest(0.4).go(PUT).rest(0.3).open().rest(0.3))


def in_steps() -> Fingers:
    fingers = at_thing().close(to=0.6).rest(0.3).close(stop=HELD).rest(0.4)
    return home(fingers.go(PUT).rest(0.3).open().rest(0.3))


def pressed_firmer() -> Fingers:
    fingers = at_thing().close(to=0.2, stop=0.45).rest(0.4).close(stop=HELD).rest(0.3)
    return home(fingers.go(PUT).rest(0.3).open().rest(0.3))


def lost() -> Fingers:
    fingers = at_thing().close(stop=HELD).rest(0.4).go((0.2, 0.6), 0.8)
    return fingers.close(seconds=0.2).rest(0.3).go((0.4, 0.2)).rest(0.6)


def slipped_out() -> Fingers:
    fingers = at_thing().close(to=-0.03, stop=0.04).rest(0.4).go((0.6, 0.5), 0.6)
    fingers.opening = 0.0  # something thin is gone, and the command is as it was
    return fingers.go(PUT).rest(0.6)


CASES: dict[str, tuple[Script, list[Verdict]]] = {
    "kept apart": (taken, [Verdict.HELD]),
    "met": (missed_twice, [Verdict.EMPTY, Verdict.HELD]),
    "may be thin": (thin, [Verdict.UNKNOWN]),
    "after all": (fidget_after, [Verdict.HELD, Verdict.UNKNOWN]),
    "at home": (shut_at_the_start, [Verdict.IDLE]),
    "in passing": (shut_on_the_way, [Verdict.IDLE]),
    "when all is done": (shut_when_done, [Verdict.HELD, Verdict.IDLE]),
    "commanded to stop": (half_shut, [Verdict.IDLE]),
    "step": (in_steps, [Verdict.STEP, Verdict.HELD]),
    "holds already": (pressed_firmer, [Verdict.HELD, Verdict.FIRMER]),
    "holds no more": (lost, [Verdict.HELD, Verdict.LOST]),
    "slips out": (slipped_out, [Verdict.SLIPS]),
}


def told(script: Script, *, commands: bool = True) -> list[Verdict]:
    engine = SegmentationEngine()
    batch = RolloutBatch.from_rollouts([script().rollout(commands=commands)])
    features = compute_features(batch, "arm", engine.scales, engine.features)
    found = closings_of(features, *moving_fingers(features, engine.states), engine.states)
    return [Verdict(each) for each in verdicts(found)]


@pytest.mark.parametrize("rule", CASES)
def test_closings_come_to_what_the_case_says(rule: str) -> None:
    script, expected = CASES[rule]
    assert told(script) == expected


def test_fingers_that_make_ready_elsewhere_take_nothing() -> None:
    assert told(made_ready) == [Verdict.IDLE, Verdict.HELD]


def test_without_commands_fingers_stop_short_on_things_alone() -> None:
    assert told(taken, commands=False) == [Verdict.HELD]
    assert told(missed_twice, commands=False) == [Verdict.EMPTY, Verdict.HELD]


def test_what_takes_nothing_is_no_grasp() -> None:
    for script in (shut_at_the_start, shut_on_the_way, half_shut):
        batch = RolloutBatch.from_rollouts([script().rollout()])
        assert "grasp" not in {each.label for each in SegmentationEngine().segment(batch)}


def test_a_grasp_in_steps_is_one() -> None:
    batch = RolloutBatch.from_rollouts([in_steps().rollout()])
    grasps = [each for each in SegmentationEngine().segment(batch) if each.label == "grasp"]
    assert [each.outcome for each in grasps] == ["success"]


def test_a_robot_tells_how_far_behind_its_fingers_are_when_they_hold() -> None:
    weak = np.array([0.4, 0.9, 1.5, 2.0, 16.0, 17.0, 18.0])
    strong = np.array([1.0, 2.0, 2.5, 150.0, 180.0, 210.0])
    assert 2.0 < kept_back(weak) < 16.0
    assert 2.5 < kept_back(strong) < 150.0
    assert np.isnan(kept_back(np.array([3.0, 5.0, 8.0, 12.0, 18.0])))  # no gap


@pytest.mark.parametrize("end", [0.0, 0.12])
def test_where_fingers_meet_is_where_closings_that_take_nothing_stop(end: float) -> None:
    rollouts = []
    for k in range(6):
        missed = at_thing().close(to=-0.1, stop=end).rest(0.4).open().rest(0.3).go((0.9, 0.5), 0.3).rest(0.2)
        missed.close(to=-0.1, stop=end + 0.1 + 0.03 * k).rest(0.4).go(PUT).rest(0.3).open().rest(0.3)
        rollouts.append(home(missed).rollout(f"e{k}"))
    batch = RolloutBatch.from_rollouts(rollouts)
    engine = SegmentationEngine().fit([batch])
    grasps = [each.outcome for each in engine.segment(batch) if each.label == "grasp"]
    assert grasps == ["retry", "success"] * 6


def test_fingers_that_follow_a_command_nearly_shut_have_missed_where_others_were_kept_back() -> None:
    rollouts = []
    for k in range(6):
        missed = at_thing().close(to=0.05, stop=0.06).rest(0.4).go((0.2, 0.7)).open().rest(0.3).go(PICK).rest(0.2)
        missed.close(to=0.05, stop=0.3).rest(0.4).go(PUT).rest(0.3).open().rest(0.3)
        rollouts.append(home(missed).rollout(f"e{k}"))
    batch = RolloutBatch.from_rollouts(rollouts)
    alone = [each.outcome for each in SegmentationEngine().segment(batch) if each.label == "grasp"]
    fitted = [each.outcome for each in SegmentationEngine().fit([batch]).segment(batch) if each.label == "grasp"]
    assert alone == ["unknown", "success"] * 6
    assert fitted == ["retry", "success"] * 6


def test_things_of_one_size_are_no_end_of_the_fingers() -> None:
    rollouts = [home(carried()).rollout(f"e{k}") for k in range(6)]
    engine = SegmentationEngine().fit([RolloutBatch.from_rollouts(rollouts)])
    assert np.isnan(engine.scales.of("unknown", "arm").width_stop)


def test_no_closings_tell_nothing() -> None:
    nothing = hand_scale([])
    assert np.isnan(nothing.kept_back)
    assert np.isnan(nothing.width_stop)
