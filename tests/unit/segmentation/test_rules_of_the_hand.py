"""Each rule of what a hand does, in a small scripted world: it takes a block, carries it and puts it down."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from scripted_hand import GRIP, HELD, HZ, OPEN, World, taken
from sima2 import Rollout, RolloutBatch, Segment, SegmentationEngine
from sima2.primitives.outcome_inference import OutcomeInference


def labels(found: list[Segment]) -> list[str]:
    names = [each.label for each in found]
    return [names[0], *(b for a, b in pairwise(names) if a != b)]


def failures(found: list[Segment]) -> list[tuple[str, str]]:
    return [(each.label, each.failure_reason) for each in found if each.outcome in ("failure", "retry")]


def outcome(found: list[Segment], label: str) -> list[str]:
    return [each.outcome for each in found if each.label == label]


def test_the_world_itself_is_understood() -> None:
    found = taken().go((0.6, 0.0, 0.2), 1.5).go((0.6, 0.0, 0.02), 1.0).fingers(OPEN).go((0.6, 0.0, 0.3), 1.0).segments()
    assert labels(found) == ["idle", "approach", "grasp", "lift", "transport", "place", "retreat"]
    assert not failures(found)


@pytest.mark.parametrize("newtons", [0.0, 3.0, 20.0])
def test_the_weight_of_a_load_is_no_contact(newtons: float) -> None:
    found = (
        taken(weight=newtons)
        .go((0.6, 0.0, 0.2), 0.8)
        .go((0.6, 0.0, 0.02), 1.0)
        .fingers(OPEN)
        .go((0.6, 0.0, 0.3), 1.0)
        .segments()
    )
    assert {"collision", "wipe", "pull"}.isdisjoint(labels(found))
    assert not failures(found)


def test_fingers_begin_to_close_when_they_move() -> None:
    world = World().rest(1.0).go((0.3, 0.0, 0.02), 2.0).rest(0.3)
    begins = len(world.frames)
    found = world.fingers(HELD, hold=True).rest(0.3).go((0.3, 0.0, 0.2), 1.0).rest(0.5).segments()
    (grasp,) = [each for each in found if each.label == "grasp"]
    assert abs(grasp.start_frame - begins) <= 2


def test_fingers_that_spread_under_their_grip_have_not_opened() -> None:
    world = taken()
    for _ in range(40):  # they yield, as firmly as ever
        world.width += 0.0005
        world._note(0.0)
    found = world.go((0.6, 0.0, 0.2), 1.5).rest(0.6).segments()
    assert "release" not in labels(found)
    assert not failures(found)


def test_what_is_let_go_high_up_is_open_until_it_is_taken_again() -> None:
    def dropped() -> World:
        return taken().go((0.5, 0.0, 0.2), 1.0).fingers(OPEN, 0.3, fall=0.18)

    alone = dropped().go((0.5, 0.0, 0.35), 1.0).rest(1.0).segments()
    assert not failures(alone)
    assert outcome(alone, "release") == ["unknown"]


def test_an_opening_on_the_way_that_the_hand_does_not_heed_is_a_drop() -> None:
    world = taken()
    start = world.hand.copy()
    n = 60
    for k in range(n):  # the hand goes on as if nothing had happened
        world.hand = start + np.array([0.4 * (k + 1) / n, 0, 0])
        opening = k > 25
        if opening:
            world.width = min(OPEN, world.width + 0.005)
            world.grip, world.holding = 0.0, False
            world.block[2] = max(0.02, world.block[2] - 0.02)
        else:
            world.block = world.hand.copy()
        world._note(0.0)
    found = world.rest(1.0).segments()
    assert ("slip", "drop") in failures(found)


def test_fingers_that_close_again_at_once_did_not_mean_to_open() -> None:
    found = (
        taken()
        .go((0.5, 0.0, 0.2), 1.0)
        .go((0.55, 0.0, 0.2), 0.2)
        .fingers(OPEN, 0.2, fall=0.18)
        .fingers(0.0, 0.4, hold=False)
        .go((0.7, 0.0, 0.2), 1.0)
        .rest(0.6)
        .segments()
    )
    assert "drop" in {reason for _, reason in failures(found)} | {"drop" if "slip" in labels(found) else ""}


def test_a_fist_holds_nothing_whatever_presses_on_it() -> None:
    world = World().rest(1.0).fingers(0.0, hold=False).go((0.2, 0.0, 0.05), 1.5)
    world.grip, world.width = 30.0, 0.012  # what it pushes spreads its pads
    world.holding = True
    found = world.go((0.5, 0.0, 0.05), 2.0, force=20.0).segments()
    assert {"lift", "transport", "slip"}.isdisjoint(labels(found))
    assert not failures(found)


def test_a_hand_that_closes_in_passing_takes_nothing() -> None:
    world = World().rest(1.0)
    for k in range(60):
        world.hand = world.hand + np.array([0.01, 0.0, -0.002])
        world.width = max(0.0, OPEN - 0.002 * max(0, k - 10))
        world._note(0.0)
    found = world.rest(1.0).segments()
    assert "grasp" not in labels(found)
    assert not failures(found)


@pytest.mark.parametrize("away", [0.0, 0.18])
def test_a_miss_beside_the_thing_is_one_wherever_the_hand_is_tracked(away: float) -> None:
    good = taken(away=away).go((0.6, 0.0, 0.2), 1.0).go((0.6, 0.0, 0.02), 1.0).fingers(OPEN).go((0.6, 0.0, 0.3), 1.0)
    missed = World(away=away).rest(1.0).go((0.3, 0.04, 0.02), 2.0).rest(0.2).fingers(0.0, hold=False).rest(0.4)
    missed.go((0.3, 0.04, 0.3), 1.0).rest(0.5)
    batch = RolloutBatch.from_rollouts([good.rollout("good"), missed.rollout("missed")])
    found = list(SegmentationEngine().fit([batch]).segment(batch))
    assert [each.failure_reason for each in found if each.episode_id == "missed" and each.label == "grasp"] == [
        "missed_grasp"
    ]
    assert not failures([each for each in found if each.episode_id == "good"])


def test_what_gives_way_under_an_empty_hand_is_pushed_though_nothing_shows_it() -> None:
    world = World(width=0.0).rest(1.0).go((0.2, 0.0, 0.1), 1.5)
    pressed = world.go((0.24, 0.0, 0.1), 1.0, force=20.0).go((0.05, 0.0, 0.25), 1.0).rest(0.6)
    rollout = pressed.rollout()
    batch = RolloutBatch.from_rollouts([rollout]).without("objects")
    found = list(SegmentationEngine().fit([batch]).segment(batch))
    assert "collision" not in labels(found)
    assert "push" in labels(found)


def test_a_push_in_vain_is_a_failure_once_the_next_one_moves_something() -> None:
    def pushes(*moved: bool) -> list[Segment]:
        world = World(width=0.0, block=np.array([0.22, 0.0, 0.1])).rest(1.0)
        for each in moved:
            world.go((0.18, 0.0, 0.1), 1.2)
            world.holding = each  # it goes along
            world.go((0.22, 0.0, 0.1), 1.2, force=20.0)
            world.holding = False
            world.go((0.1, 0.0, 0.25), 0.8)
        return world.rest(0.6).segments()

    assert failures(pushes(False, True))[:1] == [("push", "insufficient_force")]
    assert not failures(pushes(True, True))


def test_what_is_put_down_again_close_by_was_put_right() -> None:
    def placed(x: float) -> list[Segment]:
        world = taken().go((0.6, 0.0, 0.2), 1.2).go((0.6, 0.0, 0.02), 1.0).fingers(OPEN).go((0.6, 0.0, 0.15), 0.8)
        world.go((0.6, 0.0, 0.02), 0.8).fingers(HELD, hold=True).rest(0.3).go((0.6, 0.0, 0.2), 1.0)
        world.go((x, 0.0, 0.2), 1.0).go((x, 0.0, 0.02), 1.0).fingers(OPEN).go((x, 0.0, 0.3), 1.0)
        return world.segments()

    assert ("place", "misplaced") in failures(placed(0.67))
    assert not failures(placed(0.95))


def test_what_comes_down_hard_and_rests_until_it_is_let_go_was_set_down() -> None:
    world = taken().go((0.6, 0.0, 0.2), 1.2).go((0.6, 0.0, 0.06), 0.5)
    found = world.go((0.6, 0.0, 0.02), 0.3, force=25.0).rest(1.5, force=20.0).fingers(OPEN).go((0.6, 0.0, 0.3), 1.0)
    assert not failures(found.segments())


def test_a_grasp_lasts_while_the_hand_rests() -> None:
    world = World().rest(1.0).go((0.3, 0.0, 0.02), 2.0).fingers(HELD, hold=True)
    closed = len(world.frames)
    found = world.rest(1.0, force=6.0).go((0.3, 0.0, 0.2), 1.0).go((0.6, 0.0, 0.2), 1.0).rest(0.6).segments()
    (grasp,) = [each for each in found if each.label == "grasp"]
    assert grasp.end_frame >= closed + 0.9 * HZ
    assert "pull" not in labels(found)


def test_jitter_about_one_place_is_rest() -> None:
    n = 4 * HZ
    swing = 0.0015 * np.sin(2 * np.pi * 3.0 * np.arange(n) / HZ)  # of a controller
    still = Rollout(
        episode_id="e",
        time=np.arange(n) / HZ,
        ee_position=np.column_stack([swing, np.zeros(n), np.full(n, 0.3)]),
        gripper_width=np.full(n, OPEN),
        contact_force=np.zeros(n),
    )
    found = list(SegmentationEngine().segment(RolloutBatch.from_rollouts([still])))
    assert labels(found) == ["idle"]


def test_fingers_that_close_from_a_load_to_none_have_lost_it() -> None:
    world = taken().go((0.45, 0.0, 0.2), 0.8)
    for k in range(30):
        world.hand = world.hand + np.array([0.004, 0.0, 0.0])
        world.width = max(0.0, HELD - 0.004 * k)
        world.grip = 0.0
        world._note(0.0)
    rollout = world.rest(0.6).rollout()
    fingers_alone = Rollout(
        episode_id="e",
        time=rollout.time,
        joint_position=np.asarray(rollout.manipulators["arm"].ee_position) * 3.0,
        gripper_width=rollout.manipulators["arm"].gripper_width,
    )
    found = list(SegmentationEngine().segment(RolloutBatch.from_rollouts([fingers_alone])))
    assert ("slip", "gripper_slip") in failures(found)


def test_what_strains_the_fingers_is_pulled_on() -> None:
    world = (
        World(block=np.array([0.3, 0.0, 0.02])).rest(1.0).go((0.3, 0.0, 0.02), 2.0).fingers(HELD, hold=True).rest(0.4)
    )
    world.holding = False  # a handle that does not come along
    world.go((0.305, 0.0, 0.02), 0.2)
    world.grip = 8 * GRIP
    strained = world.rest(1.5).fingers(OPEN).go((0.3, 0.0, 0.3), 1.0).rollout("strained")
    usual = [taken().go((0.6, 0.0, 0.2), 1.5).rest(0.6).rollout(f"usual {k}") for k in range(3)]
    batch = RolloutBatch.from_rollouts([strained, *usual])
    found = [each for each in SegmentationEngine().fit([batch]).segment(batch) if each.episode_id == "strained"]
    assert "pull" in labels(found)
    assert {reason for label, reason in failures(found) if label == "pull"} == {"locked"}


def by_bits(**worlds: World) -> dict[str, list[Segment]]:
    batch = RolloutBatch.from_rollouts([world.rollout(name, bit=True) for name, world in worlds.items()])
    found = list(SegmentationEngine().fit([batch]).segment(batch))
    return {name: [each for each in found if each.episode_id == name] for name in worlds}


def test_fingers_of_which_a_bit_is_told_let_go_before_it_turns() -> None:
    def placed(x: float) -> World:
        world = taken().go((x, 0.0, 0.2), 1.0).go((x, 0.0, 0.02), 1.0).fingers(OPEN, 2.0)
        return world.go((x, 0.0, 0.3), 1.0).rest(0.6)

    found = by_bits(a=placed(0.6), b=placed(0.5))
    for segments in found.values():
        assert labels(segments) == ["idle", "approach", "grasp", "lift", "transport", "place", "retreat", "idle"]
        assert not failures(segments)


def test_what_a_shut_hand_meets_on_its_way_is_not_in_it_though_its_fingers_tell_a_bit_alone() -> None:
    def pushing(far: float) -> World:
        world = World(block=np.array([0.25, 0.0, 0.1])).rest(1.0).fingers(0.0, hold=False).rest(0.3)
        world.go((0.22, 0.0, 0.1), 1.5)
        world.holding, world.grip = True, GRIP  # what it pushes presses on its fingers, and goes along
        world.go((far, 0.0, 0.1), 1.5, force=15.0)
        world.holding, world.grip = False, 0.0
        return world.go((0.1, 0.0, 0.3), 1.0).rest(0.6)

    found = by_bits(a=pushing(0.4), b=pushing(0.35), good=taken().go((0.6, 0.0, 0.2), 1.0).fingers(OPEN).rest(0.6))
    for name in "ab":
        assert {"lift", "transport", "slip"}.isdisjoint(labels(found[name]))
        assert not failures(found[name])


@pytest.mark.parametrize("seconds", [0.1, 0.2])
def test_what_is_seen_late_has_not_slipped(seconds: float) -> None:
    world = taken().go((0.6, 0.0, 0.2), 0.8).go((0.6, 0.0, 0.02), 0.6).rest(0.3).fingers(OPEN).go((0.6, 0.0, 0.3), 1.0)
    late = round(seconds * HZ)
    seen = [frame[1] for frame in world.frames]
    for k, frame in enumerate(world.frames):
        world.frames[k] = (frame[0], seen[max(0, k - late)], *frame[2:])
    found = world.rest(0.6).segments()
    assert "slip" not in labels(found)
    assert not failures(found)


def test_a_slow_way_is_seen_through_noise() -> None:
    world = World().rest(1.5).go((0.3, 0.0, 0.15), 6.0).go((0.3, 0.0, 0.02), 2.5).fingers(HELD, hold=True).rest(0.3)
    world.go((0.3, 0.0, 0.2), 3.0).go((0.5, 0.0, 0.2), 4.0).go((0.5, 0.0, 0.02), 3.0).fingers(OPEN)
    batch = RolloutBatch.from_rollouts([world.go((0.5, 0.0, 0.3), 2.0).rollout(noise=0.002)])
    found = list(SegmentationEngine().fit([batch]).segment(batch))
    assert labels(found) == ["idle", "approach", "grasp", "lift", "transport", "place", "retreat"]
    assert not failures(found)


def hidden_by_the_hand(world: World) -> World:
    for k, frame in enumerate(world.frames):
        if np.linalg.norm(frame[0] - frame[1]) < 0.12:
            world.frames[k] = (frame[0], np.full(3, np.nan), *frame[2:])
    return world


def test_what_the_hand_hid_has_not_moved_as_it_is_seen_again() -> None:
    def carried() -> World:
        world = taken().go((0.6, 0.0, 0.2), 1.2).go((0.6, 0.0, 0.02), 1.0).fingers(OPEN)
        return world.go((0.6, 0.0, 0.3), 1.0).rest(0.6)

    told = hidden_by_the_hand(carried()).table()
    found = list(told)
    assert labels(found) == ["idle", "approach", "grasp", "lift", "transport", "place", "retreat", "idle"]
    assert not failures(found)
    assert OutcomeInference().infer(told, ["e"], [None]).success.tolist() == [1.0]


def test_where_a_thing_lies_that_is_never_seen_again_is_not_known() -> None:
    world = hidden_by_the_hand(taken().go((0.6, 0.0, 0.2), 1.2).fingers(OPEN, fall=0.0).rest(1.0))
    world.frames = [(f[0], np.full(3, np.nan), *f[2:]) if k > 200 else f for k, f in enumerate(world.frames)]
    assert np.isnan(OutcomeInference().infer(world.table(), ["e"], [None]).success).all()


def test_a_hand_that_rests_before_it_touches_and_then_leans_on_it_came_to_touch() -> None:
    def touches(*, aims: bool, leans: float) -> list[Segment]:
        world = World(width=0.0, block=np.array([0.8, 0.0, 0.02])).rest(1.0).go((0.2, 0.0, 0.12), 1.2)
        world = world.rest(0.4) if aims else world
        world.go((0.2, 0.0, 0.105), 0.3).rest(leans, force=25.0).go((0.2, 0.0, 0.3), 0.7)
        return world.rest(0.8).segments()

    assert "collision" not in labels(touches(aims=True, leans=0.8))
    assert not failures(touches(aims=True, leans=0.8))
    assert ("collision", "collision") in failures(touches(aims=True, leans=0.2))


def test_what_is_rubbed_and_let_go_where_it_was_rubbed_is_a_wipe() -> None:
    world = taken().go((0.5, 0.0, 0.2), 1.0).go((0.5, 0.0, 0.06), 1.0)
    for _ in range(3):
        world.go((0.65, 0.0, 0.06), 0.6, force=8.0).go((0.5, 0.0, 0.06), 0.6, force=8.0)
    found = world.fingers(OPEN).go((0.5, 0.0, 0.3), 1.0).segments()
    assert "wipe" in labels(found)
    assert labels(found)[-1] == "retreat"
    assert not failures(found)
