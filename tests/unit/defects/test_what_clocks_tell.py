"""Lost frames, leaps and an unsteady clock, and frames that are lost though it is steady: each at its limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scripted_tracks import joints, tracks_of
from sima2.defects.clock import _gap_limit, _skips, _suspects, _unsteady, clock_findings, skip_findings
from sima2.defects.commands import Following
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import Finding
from sima2.defects.tracks import GRIPPER, HAND, Column

SETTINGS = DefectSettings()
N, AT = 40, 20
"""Frames of an episode, and the step between two of them at which something happens."""
FPS = 8
GRIP = Column("arm", "gripper_width", 0, GRIPPER)
HANDS = tuple(Column("arm", "ee_position", k, HAND) for k in range(3))


def steps(count: int, **at: float) -> Any:
    """So many steps of one, but for some: ``s20=2.0``."""
    out = np.ones(count)
    for name, value in at.items():
        out[int(name[1:])] = value
    return out


def summed(each: Any) -> Any:
    """What is gone through by these steps, from nought."""
    return np.concatenate([np.zeros((1, *each.shape[1:])), np.cumsum(each, axis=0)])


# ---- which clocks are looked at


@pytest.mark.parametrize(("step", "odd"), [(1.09, False), (1.11, True), (0.91, False), (0.89, True)])
def test_a_clock_is_looked_at_where_a_step_is_a_tenth_off(step: float, odd: bool) -> None:
    times = [summed(steps(N - 1)) / FPS, 7.0 + summed(steps(N - 1, s38=step)) / FPS, summed(steps(N - 1)) / FPS]
    made = tracks_of([np.ones(N)] * 3, time=times, fps=FPS)
    assert _suspects(made, SETTINGS).tolist() == [1] * odd


@pytest.mark.parametrize(("frames", "odd"), [(8, False), (9, True)])
def test_of_a_clock_of_eight_steps_something_is_said(frames: int, odd: bool) -> None:
    made = tracks_of([np.ones(frames)], time=[summed(steps(frames - 1, s2=3.0)) / FPS], fps=FPS)
    assert _suspects(made, SETTINGS).tolist() == [0] * odd
    assert _suspects(tracks_of([np.ones(0)]), SETTINGS).tolist() == []


def test_a_gap_stands_out_of_the_period_and_of_its_jitter() -> None:
    assert _gap_limit(steps(20, s3=9.0), SETTINGS) == 1.75
    assert _gap_limit(np.linspace(0.5, 1.5, 11), SETTINGS) == pytest.approx(1.0 + 8 * 0.8 / 2.563)
    assert _gap_limit(np.linspace(0.9, 1.1, 11), SETTINGS) == pytest.approx(1.75)


# ---- gaps


def clock(took: Any, way: Any, *, columns: Any = None, noise: float = 0.0, still: float = 0.1) -> list[Finding]:
    """Of the second of two episodes whose frames come after so many periods each, and that goes these steps."""
    took = np.asarray(took, float)
    way = np.asarray(way, float)
    x = summed(way if way.ndim > 1 else way[:, None])
    made = tracks_of(
        [np.ones(9), np.ones(len(x))],
        [np.zeros((9, x.shape[1])), x],
        columns=joints(x.shape[1]) if columns is None else columns,
        time=[np.arange(9) / FPS, summed(took) / FPS],
        fps=FPS, noise=noise, still=still,
    )  # fmt: skip
    rows = clock_findings(made, SETTINGS)
    assert {each.episode for each in rows} <= {1}
    return rows


def gap(ratio: float, over: float, **more: Any) -> list[str]:
    """Kinds told of one long step of the clock, over which the robot goes so many steps."""
    return [each.defect for each in clock(steps(N - 1, s20=ratio), steps(N - 1, s20=over), **more)]


LOST, LEAP = ["dropped_frames"], ["clock_jump"]


@pytest.mark.parametrize(
    ("ratio", "over", "kinds"),
    [
        (1.74, 9.0, []),
        (1.75, 9.0, LOST),
        (2.0, 1.49, []),
        (2.0, 1.5, LOST),
        (3.0, 1.99, []),
        (3.0, 2.0, LOST),
        (5.0, 1.99, []),
        (5.0, 2.0, LOST),
        (5.0, -3.0, []),
        (9.9, 2.0, LOST),
        (10.0, 2.0, LEAP),
        (10.0, 0.0, LEAP),
        (10.0, -2.0, LEAP),
        (10.0, 2.1, LOST),
    ],
)
def test_over_a_gap_the_robot_goes_on_or_the_clock_leaps(ratio: float, over: float, kinds: list[str]) -> None:
    assert gap(ratio, over) == kinds


def test_lost_frames_are_counted_and_the_longest_gap_is_shown() -> None:
    way = steps(N - 1, s10=5.0, s20=5.0, s30=5.0)
    (row,) = clock(steps(N - 1, s10=2.4, s20=4.6, s30=2.0), way)
    assert (row.manipulator, row.defect, row.value, row.unit) == ("", "dropped_frames", 6.0, "frames")
    assert (row.start, row.end) == (20, 22)
    assert row.severity == pytest.approx(6 / 46)
    assert row.details == ("6 frames missing in 3 gaps (13 % of the episode), the longest of 0.575 s, 4.6 periods")
    (row,) = clock(steps(N - 1, s20=2.0), way)
    assert row.details.startswith("1 frames missing in 1 gap (2 % of the episode)")


def test_a_leap_costs_what_comes_after_it() -> None:
    (row,) = clock(steps(N - 1, s20=16.0), steps(N - 1))
    assert (row.manipulator, row.start, row.end, row.value, row.unit) == ("", 20, 22, 2.0, "s")
    assert row.severity == pytest.approx(1 - 21 / 40)
    assert row.details == "the clock leaps by 2 s (16 periods); the robot moved no further than in one"


@pytest.mark.parametrize(("at", "kinds"), [(0, LOST), (1, LEAP), (N - 4, LEAP), (N - 3, LEAP), (N - 2, LOST)])
def test_a_leap_has_a_step_before_and_one_after_it(at: int, kinds: list[str]) -> None:
    assert [each.defect for each in clock(steps(N - 1, **{f"s{at}": 10.0}), steps(N - 1))] == kinds


@pytest.mark.parametrize(("at", "kinds"), [(1, LOST), (2, []), (N - 4, []), (N - 3, LOST)])
def test_the_motion_tells_a_gap_that_has_two_steps_before_and_after_it(at: int, kinds: list[str]) -> None:
    """Where it does not, the clock does, which never comes back."""
    assert [each.defect for each in clock(steps(N - 1, **{f"s{at}": 3.0}), steps(N - 1))] == kinds


@pytest.mark.parametrize(
    ("noise", "still", "kinds"),
    [(0.16, 0.1, LEAP), (0.17, 0.1, []), (0.0, 3.9, LEAP), (0.0, 4.1, [])],
)
def test_only_a_robot_in_motion_tells_a_leap(noise: float, still: float, kinds: list[str]) -> None:
    assert gap(10.0, 1.0, noise=noise, still=still) == kinds


def test_a_leap_is_told_by_the_faster_side_and_by_all_that_move() -> None:
    sets_out = (np.arange(N - 1) > 20).astype(float)
    stops = (np.arange(N - 1) < 20).astype(float)
    for way in (sets_out, stops):
        assert [each.defect for each in clock(steps(N - 1, s20=10.0), way)] == LEAP
    two = np.stack([steps(N - 1), steps(N - 1, s20=4.0)], axis=1)
    assert [each.defect for each in clock(steps(N - 1, s20=10.0), two)] == LOST
    rests = np.stack([steps(N - 1), steps(N - 1, s20=4.0) - 1.0], axis=1)
    assert [each.defect for each in clock(steps(N - 1, s20=10.0), rests)] == LEAP


@pytest.mark.parametrize(("noise", "kinds"), [(0.24, []), (0.26, LOST)])
def test_a_motion_within_its_noise_leaves_it_to_the_clock(noise: float, kinds: list[str]) -> None:
    assert gap(3.0, 1.0, noise=noise) == kinds
    two = np.stack([steps(N - 1)] * 2, axis=1)
    assert [each.defect for each in clock(steps(N - 1, s20=3.0), two, noise=noise)] == kinds


@pytest.mark.parametrize(("after", "kinds"), [(0.18, []), (0.17, LOST), (-1.0, LOST), (4.0, [])])
def test_a_motion_that_turns_leaves_it_to_the_clock(after: float, kinds: list[str]) -> None:
    way = np.r_[np.ones(21), np.full(18, after)]
    way[20] = (1 + after) / 2
    assert [each.defect for each in clock(steps(N - 1, s20=3.0), way)] == kinds


def test_joints_speak_for_the_robot_then_hands_and_no_gripper() -> None:
    went, stood = steps(N - 1, s20=3.0), steps(N - 1)
    took = steps(N - 1, s20=3.0)
    assert clock(took, np.stack([stood, went, went, went], axis=1), columns=(*joints(1), *HANDS)) == []
    assert clock(took, np.stack([stood, stood, stood, went], axis=1), columns=(*HANDS, GRIP)) == []
    assert [each.defect for each in clock(took, stood, columns=(GRIP,))] == LOST


def came_back(took: Any) -> bool:
    """Whether a clock beside a robot at rest lost nothing, whatever else is the matter with it."""
    return "dropped_frames" not in {each.defect for each in clock(took, np.zeros(N - 1))}


@pytest.mark.parametrize(("left", "back"), [(0.59, True), (0.61, False), (1.0, False), (0.01, True)])
def test_of_a_robot_at_rest_the_clock_tells_whether_it_came_back(left: float, back: bool) -> None:
    assert came_back(steps(N - 1, s20=2.0, s21=left)) == back
    assert not came_back(steps(N - 1, s0=2.0))


@pytest.mark.parametrize(("frames", "back"), [(4, True), (5, False)])
def test_a_clock_comes_back_within_eight_frames(frames: int, back: bool) -> None:
    assert came_back(steps(N - 1, s20=2.0, **{f"s{20 + frames}": 0.01})) == back


@pytest.mark.parametrize(("frames", "back"), [(3, False), (4, False), (5, True), (8, True)])
def test_a_clock_that_was_late_before_has_less_to_come_back(frames: int, back: bool) -> None:
    """Half a period late in so many of the eight frames before; a whole one in all that follow."""
    assert came_back(steps(N - 1, s20=1.9, s21=0.6, **{f"s{20 - frames}": 1.5})) == back


# ---- an unsteady clock


def unsteady(took: Any) -> list[Finding]:
    return _unsteady(3, np.asarray(took, float), 77, SETTINGS)


@pytest.mark.parametrize(("later", "told"), [(1.09, False), (1.11, True), (1 / 1.09, False), (1 / 1.11, True)])
def test_a_clock_that_changes_its_rate_midway_is_told(later: float, told: bool) -> None:
    rows = unsteady(np.r_[np.ones(50), np.full(51, later)] / 8)
    assert [each.defect for each in rows] == ["rate_change"] * told
    for row in rows:
        assert row[:2] == (3, "")
        assert (row.severity, row.start, row.end, row.unit) == (1.0, 0, 77, "relative change")
        assert row.value == pytest.approx(0.11)
        assert row.details == f"8 Hz in the first half, {8 / later:.4g} Hz in the second"


@pytest.mark.parametrize(("count", "told"), [(12, False), (14, True)])
def test_the_halves_of_few_steps_differ_by_chance(count: int, told: bool) -> None:
    """A fifth against four deciles' distances over the root of the number: 0.21 of twelve, 0.194 of fourteen."""
    took = np.r_[np.ones(count // 2), np.full(count // 2, 1.2)]
    assert [each.defect for each in unsteady(took)] == ["rate_change"] * told


@pytest.mark.parametrize(
    ("count", "late", "told"), [(3, 1.5, False), (4, 1.5, True), (4, 1.24, False), (4, 1.26, True), (4, 0.74, True)]
)
def test_a_clock_is_irregular_where_more_than_three_in_a_hundred_are_late(count: int, late: float, told: bool) -> None:
    took = np.ones(100)
    took[10 : 10 + count] = late
    rows = unsteady(took / 8)
    assert [each.defect for each in rows] == ["irregular_clock"] * told
    for row in rows:
        assert (row.episode, row.manipulator, row.start, row.end) == (3, "", 0, 77)
        assert (row.severity, row.value, row.unit) == (0.04, 0.0, "of the period")
        assert row.details == (
            "4 % of the frames come early or late by more than 25 % of the period (0.125 s): one in ten within "
            "0.125 s, one after 0.125 s; no motion is missing"
        )


def test_the_spread_of_an_irregular_clock_is_that_of_nine_in_ten() -> None:
    took = np.tile([0.5, 1.0, 1.0, 1.0, 1.6], 20)
    (row,) = unsteady(took)
    assert (row.defect, row.value, row.severity) == ("irregular_clock", pytest.approx(1.1), 0.4)


@pytest.mark.parametrize(("frames", "told"), [(9, False), (10, True)])
def test_eight_steps_beside_the_gaps_tell_of_a_clock(frames: int, told: bool) -> None:
    took = steps(frames - 1, s0=1.5, s4=30.0)
    rows = clock(took, steps(frames - 1, s4=9.0))
    assert [each.defect for each in rows] == [*LOST, *["irregular_clock"] * told]


def test_gaps_that_are_lost_frames_are_no_jitter_and_others_are() -> None:
    places = {f"s{k}": 2.0 for k in (8, 16, 24, 32)}
    assert [each.defect for each in clock(steps(N - 1, **places), steps(N - 1, **places))] == LOST
    assert [each.defect for each in clock(steps(N - 1, **places), steps(N - 1))] == ["irregular_clock"]
    assert clock(steps(N - 1), steps(N - 1)) == []


# ---- steps of motion


def test_a_step_is_held_against_those_within_two_frames() -> None:
    found = _skips(summed(steps(40, s10=1.0, s11=2.0, s12=7.0, s13=3.0, s14=4.0)[:, None]).T)
    assert len(found.strict) == 40
    assert (found.strict[12], found.loose[12], found.along[12]) == pytest.approx((7 / 4, 7 / 2.5, 1.0))
    assert (found.strict[20], found.loose[20]) == (1.0, 1.0)
    for each in found:
        assert each[[0, 1, 38, 39]].tolist() == [0.0] * 4
        assert (each[2:38] != 0).all()
    assert all((each == 0).all() for each in _skips(summed(steps(4)[:, None]).T))
    assert _skips(summed(steps(5)[:, None]).T).strict.tolist() == [0, 0, 1, 0, 0]


def test_where_it_rests_a_step_is_held_against_the_fast_ones() -> None:
    rest = steps(60, s28=0.0, s29=0.0, s30=0.3, s31=0.0, s32=0.0)
    found = _skips(summed(4 * rest[:, None]).T)
    assert (found.strict[30], found.loose[30], found.along[30]) == pytest.approx((0.3 / 0.05, 0.3 / 0.15, 0.0))
    still = _skips(np.zeros((2, 30)))
    assert all((each == 0).all() for each in still)


def test_a_step_within_three_times_the_noise_is_none() -> None:
    """Bends of two: noise of 1.21, of both columns 1.71."""
    jagged = np.tile([1.0, -1.0], 20)
    jagged[21] = -30.0
    noise = 2 / (0.6745 * 6**0.5)
    found = _skips(summed(np.stack([jagged, jagged], axis=1)).T)
    assert found.strict[21] == pytest.approx(30 / (3 * noise))
    assert found.loose[21] == pytest.approx(30 / (3 * noise))


def test_a_step_goes_along_with_the_motion_around_it() -> None:
    way = np.stack([steps(40, s20=3.0, s18=-9.0, s22=-9.0), steps(40, s20=-1.0)], axis=1)
    assert _skips(summed(way).T).along[20] == pytest.approx((3 - 1) / (10**0.5 * 2**0.5))
    way[19], way[21] = [4.0, 0.0], [0.0, 2.0]
    assert _skips(summed(way).T).along[20] == pytest.approx((12 - 2) / (10**0.5 * 20**0.5))


# ---- skips of state and command


def both(state: Any, command: Any = None, *, fps: float = 20.0, took: Any = None, before: Any = None) -> list[Finding]:
    """Of the second of two episodes of joints that go these steps."""
    state = np.asarray(state, float)
    state = state[:, None] if state.ndim == 1 else state
    sent = state if command is None else np.asarray(command, float).reshape(len(state), -1)
    x, told = summed(state), summed(sent)
    first = np.zeros((9, x.shape[1]))
    made = tracks_of(
        [np.ones(9), np.ones(len(x))], [first, x], columns=joints(x.shape[1]), fps=fps,
        time=None if took is None else [np.arange(9) / fps, summed(np.asarray(took)) / fps],
    )  # fmt: skip
    whole = np.concatenate([first, told]).T.astype(np.float32)
    if before is not None:
        whole[before, 9:] = np.nan
    n = x.shape[1]
    follow = Following(list(range(n)), whole, *np.zeros((1, 2)), *np.zeros((3, n, 2)), np.zeros(2))
    rows = skip_findings(made, {"arm": follow}, SETTINGS)
    assert {each.episode for each in rows} <= {1}
    return rows


@pytest.mark.parametrize(("times", "lost"), [(1.44, None), (1.46, 1), (1.6, 1), (3.2, 2), (-3.2, 2), (0.0, None)])
def test_a_step_of_both_at_once_that_no_motion_makes_is_a_loss(times: float, lost: int | None) -> None:
    rows = both(steps(N - 1, s20=times))
    assert [each.value for each in rows] == [] if lost is None else [lost]
    for row in rows:
        assert (row.manipulator, row.defect, row.start, row.end, row.unit) == ("", "dropped_frames", 20, 22, "frames")
        assert row.severity == pytest.approx(lost / (lost + N))
        assert row.details == (
            f"about {lost} frames missing in 1 place, though the clock is regular: "
            f"all joints together go {abs(times):.2g} steps at once"
        )


def test_several_places_are_told_together_and_the_worst_is_shown() -> None:
    (row,) = both(steps(N - 1, s10=2.0, s20=4.0, s30=3.0))
    assert (row.start, row.end, row.value) == (20, 22, 6.0)
    assert row.details.startswith("about 6 frames missing in 3 places")
    assert row.severity == pytest.approx(6 / 46)


def test_one_of_the_two_alone_is_no_loss() -> None:
    big, small, none = steps(N - 1, s20=3.0), steps(N - 1, s20=1.44), steps(N - 1)
    assert len(both(big, big)) == 1
    for state, command in ((big, small), (small, big), (big, none), (none, big)):
        assert both(state, command) == []
    assert both(big, steps(N - 1, s21=3.0)) == []


def turned(times: float, cosine: float) -> Any:
    way = np.stack([steps(N - 1), np.zeros(N - 1)], axis=1)
    way[20] = times * cosine, times * (1 - cosine**2) ** 0.5
    return way


@pytest.mark.parametrize(
    ("times", "cosine", "told"), [(1.9, 0.79, False), (1.9, 0.81, True), (2.1, 0.79, True), (2.1, -1.0, True)]
)
def test_a_loss_goes_along_with_the_motion_or_is_clear(times: float, cosine: float, told: bool) -> None:
    for state, command in ((cosine, cosine), (cosine, 1.0), (1.0, cosine)):
        assert bool(both(turned(times, state), turned(times, command))) == told


def often(count: int, times: float = 1.6) -> Any:
    """Steps that stand out of the middle ones within two frames, and not clearly of the greatest."""
    way = np.ones(80)
    for k in range(count):
        way[10 + 8 * k], way[11 + 8 * k] = times, 1.2
    return way


@pytest.mark.parametrize(
    ("count", "times", "fps", "told"),
    [(3, 1.6, 20.0, False), (4, 1.6, 20.0, True), (4, 1.51, 20.0, True), (4, 1.49, 20.0, False), (4, 1.6, 19.0, False)],
)
def test_less_clear_steps_are_losses_where_there_are_many(count: int, times: float, fps: float, told: bool) -> None:
    rows = both(often(count, times), fps=fps)
    assert [each.value for each in rows] == [4.0] * told
    other = often(count, 1.49)
    assert both(often(count, times), other, fps=fps) == []
    aside = np.stack([often(count, times), np.zeros(80)], axis=1)
    aside[10 : 10 + 8 * count : 8, 1] = 1.3
    assert both(aside, fps=fps) == []


@pytest.mark.parametrize(("at", "told"), [(18, True), (19, False), (21, False), (22, True)])
def test_beside_a_frame_that_repeats_the_one_before_a_step_is_no_loss(at: int, told: bool) -> None:
    way = steps(N - 1, s20=3.0, **{f"s{at}": 0.0})
    assert bool(both(way)) == told
    # it is the state that tells a repetition
    assert len(both(steps(N - 1, s20=3.0), way)) == 1
    assert bool(both(way, steps(N - 1, s20=3.0))) == told


@pytest.mark.parametrize(("ratio", "places"), [(1.74, 2), (1.76, 1)])
def test_a_loss_that_the_clock_shows_is_not_told_again(ratio: float, places: int) -> None:
    (row,) = both(steps(N - 1, s20=3.0, s30=2.0), took=steps(N - 1, s20=ratio))
    assert f"in {places} place" in row.details
    assert row.start == (20 if places == 2 else 30)
    assert both(steps(N - 1, s20=3.0), took=steps(N - 1, s20=1.76)) == []


@pytest.mark.parametrize(("frames", "told"), [(7, False), (8, True)])
def test_eight_frames_tell_of_a_loss(frames: int, told: bool) -> None:
    assert bool(both(steps(frames - 1, s3=3.0))) == told


def test_joints_without_commands_have_no_say() -> None:
    """Beside a joint of even steps of five one of a step of three is little."""
    way = np.stack([steps(N - 1, s20=3.0), 5 * steps(N - 1)], axis=1)
    assert both(way) == []
    assert len(both(way, before=[1])) == 1
    assert both(way, before=[0, 1]) == []


# ---- skips of joints alone


def alone(way: Any, *, columns: Any = None, noise: float = 0.0, after: Any = None) -> list[Finding]:
    """Joints that go these steps, in the second of three episodes."""
    way = np.asarray(way, float)
    x = summed(way)
    rest = np.zeros((9, x.shape[1]))
    last = rest if after is None else summed(np.asarray(after, float))
    parts = [rest, x, last]
    made = tracks_of(
        [np.ones(len(each)) for each in parts], parts,
        columns=joints(x.shape[1]) if columns is None else columns, noise=noise,
    )  # fmt: skip
    return skip_findings(made, {}, SETTINGS)


def pair(count: int = N - 1, **at: float) -> Any:
    return np.stack([steps(count, **at)] * 2, axis=1)


@pytest.mark.parametrize(("times", "told"), [(2.69, False), (2.71, True), (-3.0, False)])
def test_all_joints_by_nearly_three_steps_at_once_are_a_loss(times: float, told: bool) -> None:
    rows = alone(pair(s20=times) * [1.0, -2.0])
    assert [(each.episode, each.start, each.end, each.value) for each in rows] == [(1, 20, 22, 2.0)] * told
    for row in rows:
        assert (row.manipulator, row.defect, row.unit) == ("", "dropped_frames", "frames")
        assert row.severity == pytest.approx(2 / 42)
        assert "about 2 frames missing in 1 place" in row.details
        assert row.details.endswith("all joints together go 2.7 steps at once")


def test_a_joint_alone_is_no_loss_and_hands_stand_in_for_joints() -> None:
    assert alone(pair(s20=4.0)[:, :1]) == []
    three = np.concatenate([pair(s20=4.0), pair(s20=4.0)[:, :1]], axis=1)
    assert len(alone(three, columns=HANDS)) == 1
    assert alone(np.concatenate([pair(), three], axis=1), columns=(*joints(2), *HANDS)) == []
    assert len(alone(np.concatenate([pair(s20=4.0), 0 * three], axis=1), columns=(*joints(2), *HANDS))) == 1


@pytest.mark.parametrize("at", [18, 19, 21, 22])
@pytest.mark.parametrize(("step", "told"), [(0.32, False), (0.35, True), (1.98, True), (2.03, False)])
def test_the_motion_around_a_loss_is_even(at: int, step: float, told: bool) -> None:
    """Each step from 0.4 to 1.6 of the mean of four: of one beside three of one, from a third to two."""
    assert bool(alone(pair(s20=9.0, **{f"s{at}": step}))) == told


@pytest.mark.parametrize(("cosine", "told"), [(0.985, False), (0.995, True)])
def test_a_loss_goes_straight_on(cosine: float, told: bool) -> None:
    way = np.stack([steps(N - 1), np.zeros(N - 1)], axis=1)
    way[20] = 4 * cosine, 4 * (1 - cosine**2) ** 0.5
    assert bool(alone(way)) == told


@pytest.mark.parametrize(("noise", "told"), [(0.166, True), (0.167, False)])
def test_a_loss_stands_out_of_the_noise(noise: float, told: bool) -> None:
    assert bool(alone(pair(s20=4.0), noise=noise)) == told


@pytest.mark.parametrize(("at", "told"), [(1, False), (2, True), (N - 4, True), (N - 3, False)])
def test_a_loss_has_two_steps_before_and_after_it_in_its_episode(at: int, told: bool) -> None:
    assert bool(alone(pair(**{f"s{at}": 4.0}), after=pair())) == told


@pytest.mark.parametrize("steps_", [5, 6, 7])
def test_some_frames_are_enough(steps_: int) -> None:
    x = summed(pair(steps_, s2=4.0))
    assert len(skip_findings(tracks_of([np.ones(len(x))], [x], columns=joints(2)), {}, SETTINGS)) == (steps_ == 7)


def test_each_episode_has_its_losses() -> None:
    rows = alone(pair(s10=4.0, s30=5.0), after=pair(s20=3.0))
    assert [(each.episode, each.start, each.value) for each in rows] == [(1, 30, 7.0), (2, 20, 2.0)]
