"""Movements of which only the path is known, and phases of joints and fingers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sima2 import Rollout, RolloutBatch, SegmentationEngine
from sima2.segmentation.motion import MotionSettings

PERIOD = 1 / 60


def minimum_jerk(start, stop, seconds, period=PERIOD):
    """A movement with the bell-shaped speed of a reach, shape (t, d)."""
    share = np.linspace(0, 1, max(2, round(seconds / period)), endpoint=False)[:, None]
    way = 10 * share**3 - 15 * share**4 + 6 * share**5
    return np.asarray(start) + way * (np.asarray(stop) - np.asarray(start))


def path(*legs):
    """Legs of (place, seconds): a movement to the place, or a rest where it is the one before."""
    here, parts = np.asarray(legs[0][0], float), []
    for place, seconds in legs:
        parts.append(minimum_jerk(here, place, seconds))
        here = np.asarray(place, float)
    return np.concatenate([*parts, here[None]])


def hand(position, name="e", **more):
    return Rollout(episode_id=name, time=np.arange(len(position)) * PERIOD, ee_position=position, **more)


def segments(*rollouts, engine=None, first_index=0):
    batch = RolloutBatch.from_rollouts(list(rollouts), first_index=first_index)
    return list((engine or SegmentationEngine()).segment(batch))


HOME, SHELF, TABLE = (0.0, 0.0, 0.0), (0.6, 0.0, 0.2), (0.0, 0.5, 0.0)


def test_a_rest_is_bounded_by_the_end_of_one_movement_and_the_start_of_the_next():
    found = segments(hand(path((HOME, 0.2), (SHELF, 1.2), (SHELF, 0.8), (TABLE, 1.0))))
    assert [s.label for s in found] == ["unknown", "idle", "unknown"]
    assert found[1].start_t == pytest.approx(1.4, abs=0.15)
    assert found[1].end_t == pytest.approx(2.2, abs=0.15)


def test_a_halt_too_short_to_be_a_rest_is_one_boundary():
    found = segments(hand(path((HOME, 0.1), (SHELF, 1.2), (SHELF, 0.1), (TABLE, 1.0))))
    assert [s.label for s in found] == ["unknown", "unknown"]
    assert found[1].start_t == pytest.approx(1.35, abs=0.1)


def test_a_boundary_without_a_rest_lies_where_the_hand_turns():
    seconds = np.arange(0, 2, PERIOD)
    # fast out, slow back, and never at rest: it drifts sideways all the time
    out = np.where(seconds < 0.8, np.sin(seconds / 0.8 * np.pi / 2), np.cos((seconds - 0.8) / 1.2 * np.pi / 2))
    found = segments(hand(np.column_stack([0.5 * out, 0.1 * seconds, 0 * seconds])))
    assert len(found) == 2
    assert found[1].start_t == pytest.approx(0.8, abs=0.07)


def test_a_shallow_dip_of_speed_does_not_part_a_movement():
    one, two = minimum_jerk(HOME, SHELF, 1.0), minimum_jerk(HOME, SHELF, 1.0)
    blended = np.zeros((90, 3))
    blended[:60] += one
    blended[60:] += SHELF
    blended[30:] += two
    assert len(segments(hand(blended))) == 1


def test_a_hand_out_of_sight_has_not_stopped():
    seen = path((HOME, 0.1), (SHELF, 1.5))
    hidden = seen.copy()
    hidden[40:50] = np.nan
    assert len(segments(hand(seen))) == len(segments(hand(hidden))) == 1


def test_a_movement_is_the_same_at_any_scale_of_length():
    """Only shares of peaks count while all is faster than a hand at rest trembles."""
    legs = ((HOME, 0.1), (SHELF, 1.0), (SHELF, 0.7), (TABLE, 0.9), (HOME, 1.1))
    small, large = (segments(hand(scale * path(*legs))) for scale in (1.0, 3.0))
    assert [(s.label, s.start_frame) for s in small] == [(s.label, s.start_frame) for s in large]


def test_movements_of_an_episode_do_not_depend_on_its_batch():
    ways = [
        hand(path((HOME, 0.1 * i), (SHELF, 1.0), (SHELF, 0.2 * i), (TABLE, 0.8)) * (1 + i), f"e{i}") for i in range(5)
    ]
    alone = [s for index, way in enumerate(ways) for s in segments(way, first_index=index)]
    assert segments(*ways) == alone
    still = hand(np.zeros((40, 3)), "still")
    assert segments(still, *ways, first_index=-1)[-len(alone) :] == alone


@pytest.mark.parametrize("frames", [1, 2, 3, 50])
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_what_never_moves_is_one_segment(frames, value):
    assert len(segments(hand(np.full((frames, 3), value)))) == 1


def test_where_force_is_known_motion_alone_decides_nothing():
    way = path((HOME, 0.1), (SHELF, 1.2), (SHELF, 0.8), (TABLE, 1.0))
    force = np.zeros(len(way), np.float32)
    found = [
        segments(hand(way, contact_force=force), engine=SegmentationEngine(motion=settings))
        for settings in (MotionSettings(), replace(MotionSettings(), dip_share=0.01))
    ]
    assert found[0] == found[1]


# joints and fingers: three joints that act as sideways, forth and up; the engine is not told so
ABOVE, DOWN, UP, OVER, SET = (0.8, 0.4, 0.5), (0.8, 0.4, 0.0), (0.8, 0.4, 0.6), (-0.7, 0.5, 0.6), (-0.7, 0.5, 0.1)
OPEN, HELD, SHUT = 0.08, 0.04, 0.0


def arm(*legs, name="e"):
    """Legs of (joints, width at the end, seconds)."""
    joints = path(*((place, seconds) for place, _, seconds in legs))
    widths, width = [], legs[0][1]
    for _, goal, seconds in legs:
        frames = max(2, round(seconds / PERIOD))
        widths.append(np.linspace(width, goal, frames, endpoint=False))
        width = goal
    return Rollout(
        episode_id=name,
        time=np.arange(len(joints)) * PERIOD,
        joint_position=joints,
        gripper_width=np.append(np.concatenate(widths), width),
    )


REACH = (((0.0, 0.0, 0.8), OPEN, 0.2), (ABOVE, OPEN, 1.2), (DOWN, OPEN, 0.9), (DOWN, HELD, 0.5), (DOWN, HELD, 0.2))
LEAVE = ((SET, HELD, 0.2), (SET, OPEN, 0.5), (SET, OPEN, 0.2), ((-0.7, 0.5, 0.6), OPEN, 0.8))


def test_joints_and_fingers_tell_lift_transport_and_place():
    found = segments(arm(*REACH, (UP, HELD, 0.8), (OVER, HELD, 1.5), (SET, HELD, 0.9), *LEAVE))
    assert [s.label for s in found] == ["approach", "grasp", "lift", "transport", "place", "retreat"]
    assert all(s.outcome == "unknown" for s in found[2:5])


def test_the_only_movement_of_a_load_is_neither_a_lift_nor_a_place():
    drawn = (0.2, 0.4, 0.0)
    found = segments(arm(*REACH, (drawn, HELD, 1.2), (drawn, HELD, 0.2), (drawn, OPEN, 0.5), (drawn, OPEN, 0.5)))
    assert [s.label for s in found][:4] == ["approach", "grasp", "transport", "release"]


def test_strokes_of_a_load_to_and_fro_are_a_wipe():
    left, right = (-0.7, 0.5, 0.1), (-0.2, 0.5, 0.1)
    strokes = [(place, HELD, 0.6) for place in (right, left, right, left, right)]
    up = (-0.2, 0.5, 0.6)
    found = segments(
        arm(*REACH, (UP, HELD, 0.8), (OVER, HELD, 1.5), (SET, HELD, 0.9), *strokes, (up, HELD, 0.8), (up, HELD, 0.3))
    )
    assert [s.label for s in found][:5] == ["approach", "grasp", "lift", "transport", "wipe"]


def test_only_the_first_movement_of_a_load_is_its_lift_and_the_last_its_place():
    found = segments(
        arm(*REACH, (UP, HELD, 0.8), (OVER, HELD, 1.5), (UP, HELD, 1.5), (OVER, HELD, 1.5), (SET, HELD, 0.9), *LEAVE)
    )
    assert [s.label for s in found] == ["approach", "grasp", "lift", "transport", "place", "retreat"]


def test_fingers_that_open_at_rest_let_go_what_the_arm_came_with():
    fitted = SegmentationEngine().fit([RolloutBatch.from_rollouts([arm(*REACH, (DOWN, SHUT, 0.5), (DOWN, OPEN, 0.5))])])
    legs = ((UP, HELD, 0.2), (OVER, HELD, 1.5), (SET, HELD, 0.9), *LEAVE)
    assert [s.label for s in segments(arm(*legs), engine=fitted)] == ["transport", "place", "retreat"]


def test_an_open_hand_that_takes_nothing_goes_and_comes_back():
    rest = ((ABOVE, OPEN, 0.9), ((0.0, 0.0, 0.8), OPEN, 1.2))
    found = segments(arm(((0.0, 0.0, 0.8), OPEN, 0.2), (ABOVE, OPEN, 1.2), *rest))
    assert [s.label for s in found] == ["approach", "idle", "retreat"]
