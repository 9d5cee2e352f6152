"""Nothing moves for long, or does not although it should: each at its limits, on motion written down."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from scripted_tracks import FPS, joints, still_in, tracks_of
from sima2.defects.commands import Following
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import Finding
from sima2.defects.stillness import idle_findings, moving_span, pauses, stall_findings
from sima2.defects.tracks import GRIPPER, Column, Tracks
from sima2.records.rollout import Manipulator, Rollout, RolloutBatch

SETTINGS = DefectSettings()
HELD = (*joints(1), Column("arm", "gripper_width", 0, GRIPPER))
N, A, B = 60, 20, 40
"""Frames of an episode, and of the stretch in which it stands."""


# ---- when it moves at all


def test_the_moving_span_goes_from_the_first_moving_frame_to_the_last() -> None:
    begin, end = moving_span(
        tracks_of([still_in(9, (0, 2), (4, 6), (8, 9)), still_in(5, (0, 5)), still_in(4), still_in(6, (0, 5)), []])
    )
    assert begin.tolist() == [2, 0, 0, 5, 0]
    assert end.tolist() == [8, 5, 4, 6, 0]


def idle(*moves: Any, fps: float = 8) -> list[Finding]:
    return idle_findings(tracks_of(moves, fps=fps), SETTINGS)


@pytest.mark.parametrize(
    ("frames", "start", "stop", "told"),
    [
        # three seconds at the start and the end: from a frame to the one that moves again, or the last
        (201, 0, 23, False),
        (201, 0, 24, True),
        (201, 177, 201, False),
        (201, 176, 201, True),
        # 3.8 s in the middle, also right before the last frame
        (201, 1, 31, False),
        (201, 1, 32, True),
        (201, 170, 200, False),
        (201, 169, 200, True),
        # a tenth of a longer one, of 40 s
        (321, 0, 31, False),
        (321, 0, 32, True),
        (321, 100, 131, False),
        (321, 100, 132, True),
        # and no more than 10 s of a very long one, of 150 s
        (1201, 0, 79, False),
        (1201, 0, 80, True),
        (1201, 400, 480, True),
    ],
)
def test_standing_is_told_from_so_many_seconds_on(frames: int, start: int, stop: int, told: bool) -> None:
    rows = idle(still_in(7), still_in(frames, (start, stop)))
    assert [(each.episode, each.start, each.end) for each in rows] == [(1, start, stop)] * told
    for row in rows:
        assert (row.manipulator, row.defect, row.unit) == ("", "idle", "s")
        assert row.severity == pytest.approx((stop - start) / frames)
        assert row.value == (min(stop, frames - 1) - start) / 8


def test_the_words_say_where_it_stands_and_what_can_be_cut() -> None:
    head, tail = still_in(200, (0, 50)), still_in(200, (150, 200))
    (at_start,), (at_end,), (amid,), (all_along,) = (
        idle(each) for each in (head, tail, still_in(200, (50, 100)), still_in(200, (0, 200)))
    )
    assert at_start.details == "nothing moves for 6.25 s at the start, 25 % of the episode: frames 0 to 49 can be cut"
    assert at_end.details == "nothing moves for 6.12 s at the end, 25 % of the episode: frames 150 to 199 can be cut"
    assert amid.details == "nothing moves for 6.25 s in the middle, 25 % of the episode"
    assert all_along.details == "nothing moves for 24.9 s all along, 100 % of the episode"


def test_a_clock_need_not_start_at_nought() -> None:
    late = [100.0 + np.arange(321) / 8]
    tracks = [tracks_of([still_in(321, (0, stop))], fps=8, time=late) for stop in (31, 32)]
    assert [len(idle_findings(each, SETTINGS)) for each in tracks] == [0, 1]


def test_each_stretch_of_each_episode_is_told_and_none_reaches_over_an_end() -> None:
    rows = idle(still_in(200, (50, 90), (180, 200)), still_in(200, (0, 20), (60, 100)))
    assert [(each.episode, each.start, each.end) for each in rows] == [(0, 50, 90), (1, 60, 100)]


def test_one_moving_column_is_motion() -> None:
    moves = np.stack([still_in(200, (0, 200)), still_in(200, (50, 200))], axis=1)
    rows = idle_findings(tracks_of([moves], columns=joints(2), fps=8), SETTINGS)
    assert [(each.start, each.end) for each in rows] == [(50, 200)]


def test_without_columns_nothing_is_told() -> None:
    bare = tracks_of([still_in(200, (0, 200))], columns=())
    assert idle_findings(bare, SETTINGS) == []
    assert pauses(bare, SETTINGS) == []
    assert stalls(bare, action=far_command()) == []


# ---- pauses


@pytest.mark.parametrize(
    ("start", "stop", "pause"),
    [
        # at 8 Hz 0.8 s are 6.4 steps, and 0.3 s 2 frames
        (10, 16, None),
        (10, 17, (12, 17)),
        (0, 6, None),
        (0, 7, (0, 7)),
        (33, 40, None),
        (32, 40, (34, 40)),
    ],
)
def test_a_pause_is_what_comes_after_its_first_moments(start: int, stop: int, pause: tuple[int, int] | None) -> None:
    found = pauses(tracks_of([still_in(5), still_in(40, (start, stop))], fps=8), SETTINGS)
    assert found == ([] if pause is None else [(1, *pause)])


@pytest.mark.parametrize(("linger", "count"), [(0.75, 1), (0.875, 0), (2.0, 0)])
def test_a_pause_that_is_over_before_it_counts_is_none(linger: float, count: int) -> None:
    settings = replace(SETTINGS, linger_s=linger)
    assert len(pauses(tracks_of([still_in(40, (10, 17))], fps=8), settings)) == count


def test_a_pause_of_just_so_long_counts() -> None:
    assert pauses(tracks_of([still_in(40, (10, 16))], fps=8), replace(SETTINGS, pause_s=0.75)) == [(0, 12, 16)]


# ---- stalls


def stalls(
    tracks: Tracks,
    *,
    follow: Following | None = None,
    settings: DefectSettings = SETTINGS,
    action: Any = None,
    **channels: Any,
) -> list[Finding]:
    """Of episodes of an arm with these channels, one array over all frames each."""
    offset = tracks.offset.tolist()
    count = len(tracks.rows(arm="arm", kind="joint")) or 1
    parts = []
    for i, (a, b) in enumerate(pairwise(offset)):
        mine = {name: np.asarray(value)[a:b] for name, value in channels.items()}
        arm = Manipulator(joint_position=np.zeros((b - a, count), np.float32), **mine)
        more = {} if action is None else {"action": np.asarray(action)[a:b]}
        parts.append(Rollout(f"e{i}", time=tracks.time[a:b], manipulators={"arm": arm}, **more))
    follows = {} if follow is None else {"arm": follow}
    found = stall_findings(tracks, RolloutBatch.from_rollouts(parts), follows, settings)
    assert {each.defect for each in found} <= {"stalled"}
    return found


def constant_from(at: int, to: float, before: float = 0.0, frames: int = N) -> Any:
    out = np.full(frames, before)
    out[at:] = to
    return out


STOPS = still_in(N, (A, B))
AMID = np.select([np.arange(N) < A, np.arange(N) < B], [-1.0, 0.0], 1.0)
"""Stands between where it was and where it will be."""


def left_behind(
    command: Any,
    *,
    moves: Any = STOPS,
    x: Any = AMID,
    lag: float = 0.0,
    usual: float = np.nan,
    offset: float = 0.0,
    floor: float = 0.25,
) -> list[Finding]:
    """One joint behind its command, in the second of two episodes; a second joint moves all along."""
    both = np.stack([moves, still_in(N)], axis=1)
    tracks = tracks_of(
        [np.ones((N, 2), bool), both], [np.zeros((N, 2)), np.stack([x, np.zeros(N)], axis=1)],
        columns=joints(2), still=0.01,
    )  # fmt: skip
    sent = np.zeros((2, 2 * N), np.float32)
    sent[0, N:] = command
    follow = Following(
        rows=[0, 1],
        command=sent,
        lag=np.array([0.0, lag]),
        usual=np.array([[0.0, usual], [0.0, 0.0]]),
        offset=np.array([[0.0, offset], [0.0, 0.0]]),
        spread=np.zeros((2, 2)),
        floor=np.array([0.25, floor]),
    )
    return stalls(tracks, follow=follow)


@pytest.mark.parametrize(("by", "told"), [(0.249, False), (0.25, True), (-0.25, True), (-0.249, False)])
def test_a_joint_stalls_where_its_command_goes_on_by_what_is_worth_a_word(by: float, told: bool) -> None:
    rows = left_behind(constant_from(24, by))
    assert [(each.episode, each.start, each.end) for each in rows] == [(1, A, B)] * told
    for row in rows:
        assert (row.manipulator, row.value, row.unit) == ("arm", 0.25, "rad")
        assert row.severity == pytest.approx(20 / 60)
        assert row.details == "joint 0 stands while its command goes on, up to 14.3° away, for 2 s"


@pytest.mark.parametrize(("frames", "told"), [(4, False), (5, True)])
def test_a_joint_must_stand_and_be_away_for_half_a_second(frames: int, told: bool) -> None:
    away = np.zeros(N)
    away[25 : 25 + frames] = 1.0
    assert bool(left_behind(away)) == told
    short = np.r_[np.zeros(A), 0.5, np.ones(N - A - 1)]
    assert bool(left_behind(short, moves=still_in(N, (A, A + frames)))) == told


@pytest.mark.parametrize(
    ("lag", "usual", "last"),
    [(6.0, 2.0, 32), (5.4, np.nan, 33), (np.nan, 6.0, 32), (np.nan, np.nan, 28), (0.0, 9.0, 38), (-5.0, 9.0, 38)],
)
def test_what_was_sent_last_may_not_have_arrived(lag: float, usual: float, last: int) -> None:
    """A lag in frames, one more for the window of motion; without any lag it is a second."""
    assert len(left_behind(constant_from(last, 0.0, 1.0), lag=lag, usual=usual)) == 1
    assert left_behind(constant_from(last + 1, 0.0, 1.0), lag=lag, usual=usual) == []


@pytest.mark.parametrize(("lag", "told"), [(2.0, True), (3.0, False), (4.0, False), (9.0, False), (30.0, False)])
def test_a_command_that_did_not_arrive_in_two_frames_tells_nothing(lag: float, told: bool) -> None:
    jumps = np.r_[np.zeros(A), 0.5, np.ones(N - A - 1)]
    assert bool(left_behind(jumps, moves=still_in(N, (A, A + 5)), lag=lag)) == told


@pytest.mark.parametrize("floor", [0.0, np.nan])
def test_where_nothing_is_worth_a_word_nothing_is_told(floor: float) -> None:
    assert left_behind(constant_from(24, 1.0), floor=floor) == []


@pytest.mark.parametrize(("offset", "value"), [(0.0, 1.0), (np.nan, 1.0), (0.7, 0.7), (0.8, None), (-0.5, 1.5)])
def test_a_usual_offset_is_no_way(offset: float, value: float | None) -> None:
    """What is left of one radian is 0.3 or 0.2, and of nought before it 0.7, which is the most, or 0.8."""
    rows = left_behind(constant_from(22, 1.0), offset=offset)
    assert [each.value for each in rows] == ([] if value is None else [pytest.approx(value)])


def test_a_joint_on_its_own_extreme_may_be_at_its_end_stop() -> None:
    top = np.where(np.arange(N) < A, -1.0, 0.0)
    assert left_behind(constant_from(24, 1.0), x=top) == []
    assert len(left_behind(constant_from(24, -1.0), x=top)) == 1


def test_a_command_that_stands_too_is_judged_elsewhere() -> None:
    assert left_behind(np.full(N, 1.0)) == []


def test_the_way_is_taken_from_where_the_joint_is() -> None:
    (row,) = left_behind(constant_from(24, 6.0, 5.0), x=AMID + 5.0)
    assert row.value == 1.0
    assert left_behind(constant_from(24, 0.2), x=AMID - 5.0, floor=6.0) == []


# ---- fingers


def shut(
    wants: Any, *, stops: tuple[int, int] = (A, B), columns: Any = HELD, joint: bool = True,
    before: float = 0.0,
) -> list[Finding]:  # fmt: skip
    """Fingers that stand for a while; ``before`` is what they were told in the episode before."""
    told = np.asarray(wants, float)
    told = told[:, None] if told.ndim == 1 else told
    width = len(columns)
    moves = np.ones((N, width), bool)
    moves[:, -1] = still_in(N, stops)
    tracks = tracks_of([np.ones((N, width), bool), moves], columns=columns)
    all_told = np.concatenate([np.full_like(told, before), told])
    proxy = np.concatenate([np.zeros((2 * N, 1)), all_told], axis=1) if joint else all_told
    follow = Following([0], np.zeros((1, 2 * N), np.float32), *np.zeros((1, 2)), *np.zeros((3, 1, 2)), np.zeros(2))
    return stalls(tracks, follow=follow, effort_proxy=proxy)


@pytest.mark.parametrize(("want", "told"), [(29.9, False), (30.0, True), (-40.0, False), (np.nan, False)])
def test_fingers_that_are_told_to_open_and_stand_are_stalled(want: float, told: bool) -> None:
    rows = shut(constant_from(25, want))
    assert [(each.episode, each.start, each.end) for each in rows] == [(1, 25, B)] * told
    for row in rows:
        assert (row.manipulator, row.value, row.unit) == ("arm", 30.0, "usual spreads")
        assert row.severity == pytest.approx(15 / 60)
        assert row.details == "fingers stand though they are told to open, 30 usual spreads away, for 1.5 s"


@pytest.mark.parametrize(("frames", "told"), [(4, False), (5, True)])
def test_fingers_must_stand_for_half_a_second(frames: int, told: bool) -> None:
    assert bool(shut(constant_from(A, 40.0), stops=(A, A + frames))) == told
    assert bool(shut(constant_from(B - frames, 40.0))) == told


@pytest.mark.parametrize(("before", "told"), [(20.0, True), (20.1, False)])
def test_the_wish_to_open_must_have_come_about(before: float, told: bool) -> None:
    assert bool(shut(constant_from(25, 40.0, before), before=40.0)) == told


@pytest.mark.parametrize(("low", "told"), [(9, False), (10, True), (19, True)])
def test_the_wish_to_open_came_about_within_a_second(low: int, told: bool) -> None:
    wants = np.full(N, 40.0)
    wants[low] = 0.0
    assert bool(shut(wants, before=0.0)) == told
    # the first frame of the stretch counts, too, and no other episode
    assert len(shut(np.where(np.arange(N) <= A, 30.0, 60.0))) == 1
    assert shut(np.where(np.arange(N) <= A, 30.2, 60.0), stops=(A, B)) == []
    assert shut(np.full(N, 40.0), stops=(5, 15), before=0.0) == []


def test_most_of_the_fingers_must_be_told_to_open() -> None:
    opens = constant_from(25, 40.0)
    assert len(shut(np.stack([opens, opens, 0 * opens], axis=1))) == 1
    assert shut(np.stack([opens, 0 * opens, 0 * opens], axis=1)) == []


def test_without_fingers_or_what_they_are_told_nothing_is_said_of_them() -> None:
    assert shut(constant_from(25, 40.0), columns=joints(1)) == []
    assert shut(constant_from(25, 40.0), joint=False) == []


def test_lost_samples_of_what_fingers_are_told_do_no_harm() -> None:
    wants = constant_from(25, 40.0)
    wants[17:20] = np.nan
    assert len(shut(wants)) == 1
    wants[:25] = np.nan
    assert shut(wants) == []


# ---- where the residual alone is known


def behind(proxy: Any, *, moves: Any = STOPS, before: float = 0.0) -> list[Finding]:
    both = np.stack([np.full(N, before), np.asarray(proxy, float)]).reshape(-1)
    # the last column is that of the fingers, which have no say here
    wide = np.stack([both, np.zeros(2 * N), 40.0 * (np.arange(2 * N) > N + 25)], axis=1)
    other = np.ones(N, bool) if before == 0.0 else np.zeros(N, bool)
    return stalls(tracks_of([other, moves], columns=joints(2)), effort_proxy=wide)


@pytest.mark.parametrize(("value", "told"), [(9.9, False), (10.0, True), (-10.0, True), (np.nan, False)])
def test_a_residual_that_comes_about_while_the_joint_stands_is_a_stall(value: float, told: bool) -> None:
    rows = behind(constant_from(25, value))
    assert [(each.episode, each.start, each.end) for each in rows] == [(1, 25, B)] * told
    for row in rows:
        assert (row.manipulator, row.value, row.unit) == ("arm", 10.0, "usual spreads")
        assert row.details == "joint 0 stands, 10 usual spreads behind its command, for 1.5 s"


@pytest.mark.parametrize(("frames", "told"), [(4, False), (5, True)])
def test_a_residual_must_last_half_a_second(frames: int, told: bool) -> None:
    assert bool(behind(constant_from(B - frames, 20.0))) == told


@pytest.mark.parametrize(("before", "told"), [(5.0, True), (5.1, False), (-6.0, False), (np.nan, False)])
def test_a_residual_that_was_there_before_is_no_stall(before: float, told: bool) -> None:
    assert bool(behind(constant_from(25, 10.0, before))) == told


@pytest.mark.parametrize(("low", "told"), [(24, False), (25, True), (29, True)])
def test_a_residual_comes_about_within_half_a_second(low: int, told: bool) -> None:
    proxy = constant_from(30, 12.0, 9.0)
    proxy[low] = 2.0
    assert bool(behind(proxy)) == told


@pytest.mark.parametrize(("stands", "told"), [((24, 25), False), ((25, 26), True), ((29, 30), True), ((30, 31), False)])
def test_the_joint_must_stand_as_the_residual_comes_about(stands: tuple[int, int], told: bool) -> None:
    assert bool(behind(constant_from(30, 12.0), moves=still_in(N, stands, (30, 40)))) == told


def test_the_greatest_residual_is_told_and_lost_samples_do_no_harm() -> None:
    proxy = constant_from(25, 12.0)
    proxy[28], proxy[22] = 30.0, np.nan
    assert [each.value for each in behind(proxy)] == [30.0]


def test_what_was_in_the_episode_before_does_not_count() -> None:
    proxy = np.r_[np.full(10, 12.0), np.zeros(N - 10)]
    assert behind(proxy, moves=still_in(N, (0, 10)), before=0.01) == []


def test_one_moving_joint_of_the_arm_is_motion() -> None:
    moves = np.stack([STOPS, np.ones(N, bool)], axis=1)
    assert behind(constant_from(25, 20.0), moves=moves) == []


# ---- loads


def loaded(torque: Any, *, moves: Any = STOPS) -> list[Finding]:
    """Two joints, of which the arm's motion is the same; a loud episode before it, and one without frames after."""
    values = np.asarray(torque, float)
    values = np.stack([values, np.zeros(N)], axis=1) if values.ndim == 1 else values
    tracks = tracks_of([np.ones(N, bool), moves, np.ones(0, bool)], columns=joints(2))
    return stalls(tracks, joint_torque=np.concatenate([np.full((N, 2), 100.0), values]))


@pytest.mark.parametrize(("load", "told"), [(2.9, False), (3.0, True), (-3.0, True), (6.0, True), (np.nan, False)])
def test_a_standing_joint_under_more_than_it_bears_in_motion_is_stalled(load: float, told: bool) -> None:
    rows = loaded(np.where(STOPS, -2.0, load))
    assert [(each.episode, each.start, each.end) for each in rows] == [(1, A, B)] * told
    for row in rows:
        assert (row.manipulator, row.value) == ("arm", abs(load) / 2)
        assert row.unit == "times its torque in motion"
        assert row.details == (
            f"joint 0 stands under {abs(load) / 2:.3g} times the greatest torque it bears in motion for 2 s"
        )


@pytest.mark.parametrize(("frames", "told"), [(4, False), (5, True)])
def test_a_load_must_last_half_a_second(frames: int, told: bool) -> None:
    load = np.where(STOPS, 2.0, 0.0)
    load[30 : 30 + frames] = 5.0
    assert bool(loaded(load)) == told


def test_the_greatest_torque_counts_in_motion_and_at_rest() -> None:
    load = np.where(STOPS, 1.0, 3.0)
    load[30] = 5.0
    assert [each.value for each in loaded(load)] == [5.0]
    load = np.where(STOPS, 1.0, 3.0)
    load[50] = 2.1
    assert loaded(load) == []


def test_a_joint_that_bears_nothing_in_motion_is_not_asked() -> None:
    assert loaded(np.where(STOPS, 0.0, 3.0)) == []
    assert loaded(np.full(N, 3.0), moves=np.zeros(N, bool)) == []


@pytest.mark.parametrize(("other", "told"), [(29.0, True), (31.0, False)])
def test_a_tenth_of_what_the_arm_bears_is_a_load(other: float, told: bool) -> None:
    both = np.stack([np.where(STOPS, 1.0, 3.0), np.where(STOPS, other, 0.0)], axis=1)
    assert bool(loaded(both)) == told


# ---- commands of unknown meaning


def far_command(part: float = 1.0, at: int = 30) -> Any:
    """A command that goes a part of its range while nothing moves, and all of it before."""
    out = np.where(np.arange(200) < 5, 1.0, 0.0)
    out[at:] = part
    return np.stack([np.zeros(200), out, np.full(200, np.nan)], axis=1)


def ignored(action: Any, stops: tuple[int, int] = (A, B), settings: DefectSettings = SETTINGS) -> list[Finding]:
    moves = [still_in(7, (0, 7)), still_in(193, (stops[0] - 7, stops[1] - 7))]
    return stalls(tracks_of(moves), action=action, settings=settings)


@pytest.mark.parametrize(("part", "told"), [(0.29, False), (0.301, True), (1.0, True), (-1.0, True)])
def test_a_command_that_crosses_a_third_of_its_range_while_nothing_moves_is_ignored(part: float, told: bool) -> None:
    action = far_command(part)
    action[7:12, 1] = 1.0
    rows = ignored(action)
    assert [(each.episode, each.start, each.end) for each in rows] == [(1, A - 7, B - 7)] * told
    for row in rows:
        share = part if part > 0 else 0.5
        assert (row.manipulator, row.unit) == ("", "of the command's range")
        assert row.value == pytest.approx(share)
        assert row.severity == pytest.approx(20 / 193)
        assert row.details == f"nothing moves while command 1 crosses {100 * share:.0f} % of its range, for 2 s"


def test_a_command_that_crosses_just_so_much_is_ignored() -> None:
    action = far_command(0.5)
    action[7:12, 1] = 1.0
    assert len(ignored(action, settings=replace(SETTINGS, stall_command=0.5))) == 1
    assert ignored(action, settings=replace(SETTINGS, stall_command=0.501)) == []


@pytest.mark.parametrize(("stop", "told"), [(34, False), (35, True)])
def test_nothing_must_move_for_half_a_second_and_twice_the_lag(stop: int, told: bool) -> None:
    assert bool(ignored(far_command(at=28), (A, stop))) == told


@pytest.mark.parametrize(("at", "told"), [(25, False), (26, True), (34, True), (35, False)])
def test_what_a_command_does_about_the_ends_of_a_stretch_does_not_count(at: int, told: bool) -> None:
    assert bool(ignored(far_command(at=at))) == told


def test_a_stretch_that_is_all_ends_tells_nothing() -> None:
    hasty = replace(SETTINGS, stall_s=0.01)
    assert ignored(far_command(at=25), (A, A + 10), hasty) == []
    assert ignored(far_command(at=25), (A, A + 11), hasty) == []
    assert len(ignored(far_command(at=26), (A, A + 12), hasty)) == 1


def test_a_stretch_at_the_very_end_is_told() -> None:
    assert len(ignored(far_command(at=190), (170, 200))) == 1


@pytest.mark.parametrize(("times", "told"), [(13.4, False), (13.7, True)])
def test_a_range_that_noise_makes_by_chance_is_no_command(times: float, told: bool) -> None:
    """Second differences of twice the tremble are those of noise of 1.21 times it; twelve times that is 14.5."""
    action = np.zeros((200, 1))
    action[30:, 0] = times
    action[:, 0] += np.arange(200) % 2
    assert bool(ignored(action)) == told


def test_where_commands_of_joints_are_known_others_are_not_asked() -> None:
    tracks = tracks_of([still_in(N, (A, B))])
    follow = Following([0], np.zeros((1, N), np.float32), *np.zeros((1, 1)), *np.zeros((3, 1, 1)), np.zeros(1))
    action = far_command()[:N]
    assert len(stalls(tracks, action=action)) == 1
    assert stalls(tracks, action=action, follow=follow) == []
    assert FPS == 10
