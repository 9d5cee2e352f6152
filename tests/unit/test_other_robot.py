"""The second generator is itself held to the physics and to the annotation convention it claims to follow."""

from __future__ import annotations

import itertools
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import other_robot
from other_robot import SCENARIOS, TrueSegment
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.records.vocabulary import ANOMALIES, LABELS, OUTCOMES, REASONS

Episode = tuple[Rollout, list[TrueSegment], bool]
EACH = 6


@cache
def episodes(scenario: str, rate_hz: float = 50.0) -> list[Episode]:
    return other_robot.make(EACH, seed=11, rate_hz=rate_hz, scenario=scenario)


def everything() -> list[Episode]:
    return [each for scenario in SCENARIOS for each in episodes(scenario)]


def spans(scenario: str, label: str) -> list[tuple[Rollout, TrueSegment]]:
    return [(r, s) for r, segments, _ in episodes(scenario) for s in segments if s.label == label]


def seen(rollout: Rollout, segment: TrueSegment, name: str = "") -> NDArray[np.float64]:
    """Where the thing was seen during a segment, gaps left out."""
    track = rollout.object_position[name or segment.object][segment.start_frame : segment.end_frame]
    return np.asarray(track[~np.isnan(track).any(axis=1)], float)


def test_it_shares_nothing_with_the_rooms_it_tests() -> None:
    imports = re.findall(r"^\s*(?:from|import) (sima2\S*)", Path(other_robot.__file__).read_text(), re.MULTILINE)
    assert imports == ["sima2.records.rollout"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_truth_covers_every_frame_once_with_names_of_the_vocabulary(scenario: str) -> None:
    for rollout, segments, _ in episodes(scenario):
        assert segments[0].start_frame == 0
        assert segments[-1].end_frame == len(rollout)
        assert all(a.end_frame == b.start_frame for a, b in itertools.pairwise(segments))
        assert all((a.label, a.object) != (b.label, b.object) for a, b in itertools.pairwise(segments))
        for each in segments:
            assert each.label in LABELS
            assert each.outcome in OUTCOMES
            assert each.failure_reason in REASONS
            assert each.object in {"", *rollout.object_position}
            assert (each.failure_reason == "") == (each.outcome == "success")


@pytest.mark.parametrize("rate_hz", [20.0, 30.0, 50.0, 100.0])
def test_segments_have_their_least_length_at_every_rate(rate_hz: float) -> None:
    for rollout, segments, _ in other_robot.make(len(SCENARIOS), seed=2, rate_hz=rate_hz):
        assert np.median(np.diff(rollout.time)) == pytest.approx(1 / rate_hz, rel=0.02)
        for each in segments:
            least = 0.5 if each.label == "idle" else 0.1
            assert (each.end_frame - each.start_frame) / rate_hz >= least - 1e-9


def test_the_rate_changes_the_frames_and_not_the_story() -> None:
    for scenario in ("pick_place", "drop", "drawer_open"):
        slow, fast = episodes(scenario, 25.0), episodes(scenario, 100.0)
        for (_, a, _), (_, b, _) in zip(slow, fast):
            assert [s.label for s in a if s.label != "idle"] == [s.label for s in b if s.label != "idle"]
            assert a[-1].end_frame / 25.0 == pytest.approx(b[-1].end_frame / 100.0, rel=0.05)


def test_the_same_seed_gives_the_same_bytes_whatever_else_is_asked() -> None:
    one, more = other_robot.make(4, seed=3), other_robot.make(7, seed=3)
    for (a, truth_a, ok_a), (b, truth_b, ok_b) in zip(one, more):
        assert (a.episode_id, truth_a, ok_a) == (b.episode_id, truth_b, ok_b)
        assert a.time.tobytes() == b.time.tobytes()
        channels = b.manipulators["arm"].channels()
        assert all(v.tobytes() == channels[k].tobytes() for k, v in a.manipulators["arm"].channels().items())
        assert all(v.tobytes() == b.object_position[k].tobytes() for k, v in a.object_position.items())
    other = other_robot.make(4, seed=4)
    assert all(a.time.tobytes() != b.time.tobytes() for (a, _, _), (b, _, _) in zip(one, other))


def test_all_of_it_fits_into_one_batch() -> None:
    batch = RolloutBatch.from_rollouts([r for r, _, _ in other_robot.make(len(SCENARIOS), seed=1)])
    assert len(batch) == len(SCENARIOS)
    assert not batch.layouts  # everybody recorded the same channels


def test_an_unknown_scenario_is_an_error_that_lists_the_valid_ones() -> None:
    with pytest.raises(ValueError, match="pick_place"):
        other_robot.make(1, seed=0, scenario="juggle")


DEFINING: dict[str, list[tuple[str, str, str]]] = {
    "pick_place": [("place", "success", "")],
    "missed_grasp": [
        ("grasp", "retry", "missed_grasp"),
        ("recovery_maneuver", "success", ""),
        ("grasp", "success", ""),
    ],
    "slip_transport": [("slip", "failure", "*")],
    "drop": [("transport", "*", "drop"), ("slip", "failure", "drop")],
    "drawer_open": [("grasp", "success", ""), ("pull", "success", "")],
    "locked_drawer": [("pull", "*", "locked")],
    "push": [("approach", "success", ""), ("push", "success", "")],
    "wipe": [("wipe", "success", "")],
    "wipe_weak": [("wipe", "*", "insufficient_force")],
    "collision": [("*", "*", "collision"), ("collision", "failure", "collision")],
    "obstructed_place": [("place", "*", "obstructed"), ("recovery_maneuver", "*", "*")],
    "second_approach": [("approach", "success", ""), ("approach", "success", ""), ("grasp", "success", "")],
    "pauses": [("idle", "success", ""), ("approach", "success", ""), ("idle", "success", ""), ("place", "success", "")],
    "two_objects": [("place", "success", ""), ("approach", "success", ""), ("place", "success", "")],
    "abort": [("grasp", "failure", "missed_grasp"), ("retreat", "success", "")],
}


def contains(segments: list[TrueSegment], wanted: list[tuple[str, str, str]]) -> bool:
    """Whether the wanted (label, outcome, reason) occur in that order."""
    rest = iter((s.label, s.outcome, s.failure_reason) for s in segments)
    return all(any(all(w in ("*", f) for w, f in zip(want, found)) for found in rest) for want in wanted)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_yields_its_defining_segments(scenario: str) -> None:
    assert all(contains(segments, DEFINING[scenario]) for _, segments, _ in episodes(scenario))


HARMLESS = ("pick_place", "drawer_open", "push", "wipe", "second_approach", "pauses", "two_objects")


@pytest.mark.parametrize("scenario", HARMLESS)
def test_a_hard_negative_has_no_failure_and_no_recovery(scenario: str) -> None:
    for _, segments, success in episodes(scenario):
        assert success
        assert all(s.outcome == "success" for s in segments)
        assert not {s.label for s in segments} & {"recovery_maneuver", *ANOMALIES}


def test_failures_end_both_ways() -> None:
    both = ("slip_transport", "drop", "locked_drawer", "wipe_weak", "collision", "obstructed_place")
    ends = {name: {ok for _, _, ok in other_robot.make(20, 5, 20.0, name)} for name in (*both, "abort")}
    assert all(ends[scenario] == {True, False} for scenario in both)
    assert ends["abort"] == {False}


def test_a_recovery_follows_a_failure_and_an_anomaly_interrupts_a_failed_segment() -> None:
    for _, segments, _ in everything():
        for before, after in itertools.pairwise(segments):
            if after.label == "recovery_maneuver":
                assert before.outcome != "success"
            if after.label in ANOMALIES:
                assert before.outcome != "success"


def test_a_retry_is_followed_by_another_attempt_and_a_failure_is_not() -> None:
    for _, segments, _ in everything():
        for k, each in enumerate(segments):
            if each.label not in (*ANOMALIES, "recovery_maneuver") and each.outcome != "success":
                again = any((s.label, s.object) == (each.label, each.object) for s in segments[k + 1 :])
                assert (each.outcome == "retry") == again


@pytest.mark.parametrize("rate_hz", [20.0, 50.0])
def test_joint_angles_lead_to_the_pose_of_the_hand(rate_hz: float) -> None:
    for rollout, _, _ in other_robot.make(len(SCENARIOS), seed=8, rate_hz=rate_hz):
        q = np.asarray(rollout.joint_position, float)
        hand, rotation, _, _ = other_robot.forward(q)
        assert np.abs(hand - rollout.ee_position).max() < 1e-4
        w, x, y, z = np.asarray(rollout.ee_orientation, float).T
        tool = np.column_stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)])
        assert np.abs(rotation[:, :, 0] - tool).max() < 1e-4
        assert np.abs(np.diff(q, axis=0)).max() < 0.35 * 50.0 / rate_hz  # no jump from one branch to another
        slope = np.gradient(q, 1 / rate_hz, axis=0)
        assert np.median(np.abs(slope - rollout.joint_velocity)) < 0.01


def test_the_joint_axes_that_carry_the_torques_also_carry_the_hand() -> None:
    rng = np.random.default_rng(0)
    q, qd, step = rng.uniform(-1, 1, (20, 7)), rng.uniform(-1, 1, (20, 7)), 1e-6
    hand, _, axes, origins = other_robot.forward(q)
    velocity = (np.cross(axes, hand[:, None] - origins) * qd[:, :, None]).sum(axis=1)
    moved = other_robot.forward(q + step * qd)[0] - other_robot.forward(q - step * qd)[0]
    assert np.abs(velocity - moved / (2 * step)).max() < 1e-6


def test_recorded_channels_are_whole_and_an_unseen_thing_has_no_confidence() -> None:
    gaps = 0
    for rollout, _, _ in everything():
        for channel in rollout.manipulators["arm"].channels().values():
            assert not np.isnan(channel).any()
        assert np.allclose(np.linalg.norm(np.asarray(rollout.ee_orientation), axis=1), 1, atol=1e-5)
        assert (np.asarray(rollout.grip_force) >= 0).all()
        for name, track in rollout.object_position.items():
            missing = np.isnan(track)
            assert (missing.any(axis=1) == missing.all(axis=1)).all()
            assert (rollout.object_confidence[name][missing.all(axis=1)] == 0).all()
            gaps += int(missing.any())
    assert gaps > len(everything())


def test_a_held_thing_moves_with_the_hand_once_the_camera_s_delay_is_known() -> None:
    for scenario in ("pick_place", "pauses", "two_objects"):
        for rollout, each in spans(scenario, "transport"):
            hand, track = np.asarray(rollout.ee_position), rollout.object_position[each.object]
            spread = []
            for late in range(8):
                apart = track[each.start_frame + late : each.end_frame] - hand[each.start_frame : each.end_frame - late]
                spread.append(np.nanmax(np.nanstd(apart, axis=0)))
            assert min(spread) < 0.003


def test_a_thing_that_nobody_touches_stays() -> None:
    for scenario in ("pick_place", "wipe", "drawer_open", "missed_grasp"):
        for rollout, each in spans(scenario, "approach"):
            if each.start_frame < 100:
                assert np.ptp(seen(rollout, each), axis=0).max() < 0.015


def test_the_fingers_stop_at_what_they_hold_and_meet_where_they_missed() -> None:
    for scenario in ("pick_place", "missed_grasp"):
        for rollout, each in spans(scenario, "grasp"):
            width = np.asarray(rollout.gripper_width)[each.end_frame - 3]
            force = np.asarray(rollout.grip_force)[each.end_frame - 3]
            if each.outcome == "success":
                assert width > 0.015
                assert force > 3.0
            else:
                assert width < 0.003
                assert force < 2.0


def test_a_thing_that_slips_sinks_beneath_the_hand() -> None:
    for scenario in ("slip_transport", "drop"):
        for rollout, each in spans(scenario, "slip"):
            tail = slice(each.end_frame + 6, each.end_frame + 26)
            head = slice(max(0, each.start_frame - 10), each.start_frame)
            track, hand = rollout.object_position[each.object], np.asarray(rollout.ee_position)
            sunk = np.nanmedian((track - hand)[head, 2]) - np.nanmedian((track - hand)[tail, 2])
            assert sunk > (0.03 if each.failure_reason == "drop" else 0.002)


def test_a_locked_drawer_takes_force_and_does_not_move_and_a_free_one_moves() -> None:
    for rollout, each in spans("locked_drawer", "pull"):
        moved = np.linalg.norm(np.ptp(seen(rollout, each), axis=0))
        if each.failure_reason == "locked":
            assert moved < 0.025
            assert np.asarray(rollout.contact_force)[each.start_frame : each.end_frame].max() > 30.0
    for rollout, each in spans("drawer_open", "pull"):
        assert np.linalg.norm(np.ptp(seen(rollout, each), axis=0)) > 0.08


def test_a_wipe_presses_while_it_strokes_and_a_weak_one_presses_less() -> None:
    def press(rollout: Rollout, each: TrueSegment) -> float:
        return float(np.median(np.asarray(rollout.contact_force)[each.start_frame : each.end_frame]))

    strong = [press(r, s) for name in ("wipe", "wipe_weak") for r, s in spans(name, "wipe") if s.outcome == "success"]
    weak = [press(r, s) for r, s in spans("wipe_weak", "wipe") if s.outcome != "success"]
    assert min(strong) > max(weak)
    for rollout, each in spans("wipe", "wipe"):
        path = np.asarray(rollout.ee_position)[each.start_frame : each.end_frame]
        assert np.ptp(path[:, 0]) > 0.08
        assert np.ptp(path[:, 2]) < 0.02


def test_a_collision_is_felt_and_stops_the_hand() -> None:
    for rollout, each in spans("collision", "collision"):
        inside = slice(each.start_frame, each.end_frame)
        assert np.asarray(rollout.contact_force)[inside].max() > 10.0
        assert np.ptp(np.asarray(rollout.ee_position)[inside], axis=0).max() < 0.03


def test_a_scene_does_not_give_the_result_away() -> None:
    names: dict[str, set[tuple[str, ...]]] = {}
    for rollout, _, _ in everything():
        names.setdefault(rollout.family, set()).add(tuple(rollout.object_position))
        assert set(rollout.provenance) == {"source"}
        assert not any(scenario in rollout.episode_id for scenario in SCENARIOS)
    assert all(len(each) == 1 for each in names.values())
