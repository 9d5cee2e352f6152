"""Unit, way of the gripper, task and end of an episode against others: each at its limits, on courses written down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scripted_measures import FRAMES, GRIPPER, HAND, courses, measures, slots, told
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import Finding
from sima2.defects.peers import _far_from_usual, _over, _placed_rightly, _to_third, peer_findings
from sima2.records.defects import POINTS, EpisodeMeasures

SETTINGS = DefectSettings()
N = 12
WAY = np.linspace(0.0, 1.0, POINTS)
UP, ROUND = np.stack([WAY, WAY, 0 * WAY]), np.stack([WAY, -WAY, 0 * WAY])
"""Two courses of three joints at right angles to each other."""


def found(table: EpisodeMeasures, kind: str) -> list[Finding]:
    return [each for each in peer_findings(table, SETTINGS) if each.defect == kind]


# ---- units


def of_units(
    odd: Any, ratio: float, *, n: int = N, at: int = 3, slot: int = 0, beside: Any = None, **more: Any
) -> list[Finding]:
    """A set in which all take one course, but for one that takes another and goes so many times as far."""
    x, span = np.stack([UP] * n), np.tile([1.0, 1.0, 0.0], (n, 1))
    x[at], span[at] = odd, span[at] * ratio
    if beside is not None:
        span[at] = beside
    return found(measures(n, signature=courses(x, slot=slot), span=slots(span, slot=slot), **more), "mixed_units")


@pytest.mark.parametrize(
    ("times", "factor"),
    [
        (1.0, None),
        (57.3 / 1.61, None),
        (57.3 / 1.59, 57.3),
        (57.3, 57.3),
        (1 / 57.3, 1 / 57.3),
        (57.3 * 1.59, 57.3),
        (57.3 * 1.61, 100.0),
        (100 * 1.59, 100.0),
        (100 * 1.61, None),
        (1 / 159.0, 1 / 100.0),
        (1 / 161.0, None),
        (1000 / 1.61, None),
        (1000 / 1.59, 1000.0),
        (1590.0, 1000.0),
        (1 / 1590.0, 1 / 1000.0),
        (1610.0, None),
    ],
)
def test_positions_larger_by_a_factor_between_units_are_in_another_unit(times: float, factor: float | None) -> None:
    rows = of_units(UP * times, times)
    if factor is None:
        assert rows == []
        return
    assert [each.episode for each in rows] == [3]
    assert rows[0].value == pytest.approx(factor, rel=1e-3)
    assert (rows[0].manipulator, rows[0].severity, rows[0].start, rows[0].end) == ("arm", 1.0, 0, FRAMES)


@pytest.mark.parametrize(("ratio", "is_told"), [(2.5, True), (2.6, False), (1 / 2.5, True), (1 / 2.6, False)])
def test_ranges_meet_a_unit_less_closely_than_sizes(ratio: float, is_told: bool) -> None:
    assert bool(of_units(UP * 100, 100 * ratio)) == is_told


@pytest.mark.parametrize(("cosine", "is_told"), [(0.59, False), (0.61, True), (-1.0, False)])
def test_what_goes_another_way_is_in_no_other_unit(cosine: float, is_told: bool) -> None:
    mixed = cosine * UP + np.sqrt(1 - cosine**2) * ROUND
    assert bool(of_units(mixed * 100, 100)) == is_told


def test_the_words_say_which_way_and_guess_angles_alone() -> None:
    words = {
        57.3: "57.3 times as large than in other episodes, on the same course: degrees among radians, it seems",
        1 / 57.3: "57.3 times smaller than in other episodes, on the same course: radians among degrees, it seems",
        100.0: "100 times as large than in other episodes, on the same course",
        0.001: "1e+03 times smaller than in other episodes, on the same course",
    }
    for times, said in words.items():
        assert of_units(UP * times, times)[0].details.endswith(said)


@pytest.mark.parametrize(("n", "count"), [(7, 0), (8, 1)])
def test_fewer_than_eight_tell_no_unit(n: int, count: int) -> None:
    assert len(of_units(UP * 100, 100, n=n)) == count


@pytest.mark.parametrize("key", ["robot", "manipulator", "layout"])
def test_only_those_recorded_alike_are_compared(key: str) -> None:
    apart = ["one" if k < 7 else "other" for k in range(14)]
    assert len(of_units(UP * 100, 100, n=14)) == 1
    assert of_units(UP * 100, 100, n=14, **{key: apart}) == []


def test_the_hand_speaks_where_there_are_no_joints_and_the_fingers_never() -> None:
    assert len(of_units(UP * 100, 100, slot=HAND)) == 1
    grip = np.stack([UP[:1]] * N)
    grip[3] *= 100
    table = measures(N, signature=courses(grip, slot=GRIPPER), span=slots(np.ones((N, 1)), slot=GRIPPER))
    assert found(table, "mixed_units") == []


def test_a_hand_beside_joints_is_not_asked() -> None:
    both = np.stack([np.concatenate([UP, UP])] * N)
    hands = both.copy()
    hands[3, 3:] *= 100
    for x, count in ((both, 0), (hands, 0)):
        wide = np.tile([1.0, 1.0, 0.0], (N, 1))
        span = slots(wide)
        span[:, HAND : HAND + 3] = wide * np.where(np.arange(N) == 3, 100, 1)[:, None]
        signature = courses(x[:, :3]).reshape(N, -1, POINTS)
        signature[:, HAND : HAND + 3] = x[:, 3:]
        assert len(found(measures(N, signature=signature.reshape(N, -1), span=span), "mixed_units")) == count


def test_joints_that_all_rest_leave_it_to_the_hand() -> None:
    x = np.stack([UP] * N)
    x[3] *= 100
    signature = courses(np.zeros((N, 3, POINTS))).reshape(N, -1, POINTS)
    signature[:, HAND : HAND + 3] = x
    span = slots(np.zeros((N, 3)))
    span[:, HAND : HAND + 3] = np.where(np.arange(N) == 3, 100.0, 1.0)[:, None]
    assert told(found(measures(N, signature=signature.reshape(N, -1), span=span), "mixed_units")) == [3]


@pytest.mark.parametrize(("third", "is_told"), [(0.049, True), (0.051, False)])
def test_a_joint_that_hardly_moves_has_no_say_in_the_range(third: float, is_told: bool) -> None:
    x, span = np.stack([UP] * N), np.tile([1.0, third, 0.0], (N, 1))
    x[3] *= 100
    # of two ranges the median is their mean
    span[3] = [100.0, 1000.0 * third, 0.0]
    assert bool(found(measures(N, signature=courses(x), span=slots(span)), "mixed_units")) == is_told


def test_an_arm_that_does_not_move_is_in_no_unit() -> None:
    assert of_units(UP * 100, 0.0) == []
    assert of_units(UP * 0, 100.0) == []


def test_a_joint_that_one_episode_lacks_is_left_aside() -> None:
    x = np.stack([UP] * N)
    x[3] *= 100
    x[7, 1] = np.nan
    span = np.tile([1.0, 1.0, 0.0], (N, 1))
    span[3] *= 100
    assert told(found(measures(N, signature=courses(x), span=slots(span)), "mixed_units")) == [3]


# ---- the way of the gripper

SHUTS = np.where((WAY > 0.3) & (WAY < 0.8), 0.0, 1.0)
"""Open, shut on the way, open."""


def of_polarity(odd: Any, others: Any = SHUTS, *, n: int = N, wide: float = 1.0, **more: Any) -> list[Finding]:
    x = np.stack([np.broadcast_to(others, (n, POINTS))[k] for k in range(n)])[:, None]
    x[3, 0] = odd
    table = measures(n, signature=courses(x, slot=GRIPPER), span=slots(np.full((n, 1), wide), slot=GRIPPER), **more)
    return found(table, "mixed_polarity")


def test_a_mirrored_gripper_is_told_in_shares_of_the_range() -> None:
    (row,) = of_polarity(1 - SHUTS)
    assert (row.episode, row.severity, row.start, row.end, row.value) == (3, 1.0, 0, FRAMES, 1.0)
    assert "it starts at 0 % of the range, the others at 100 %, and is 100 % off their course, 0 % once" in row.details
    (row,) = of_polarity(0.02 + 0.05 * (1 - SHUTS), 0.02 + 0.05 * SHUTS, wide=0.05)
    assert (row.episode, row.value) == (3, pytest.approx(1.0))


@pytest.mark.parametrize(("n", "count"), [(7, 0), (8, 1)])
def test_fewer_than_eight_tell_no_way(n: int, count: int) -> None:
    assert len(of_polarity(1 - SHUTS, n=n)) == count


def test_only_episodes_that_know_the_gripper_are_counted() -> None:
    x = np.tile(SHUTS, (9, 1))
    x[8, 5] = np.nan
    assert len(of_polarity(1 - SHUTS, x, n=9)) == 1
    x[7, 0] = np.nan
    assert len(of_polarity(1 - SHUTS, x, n=9)) == 0


@pytest.mark.parametrize(("wide", "is_told"), [(0.39, False), (0.41, True)])
def test_fingers_that_mostly_rest_tell_no_way(wide: float, is_told: bool) -> None:
    assert bool(of_polarity(1 - SHUTS, wide=wide)) == is_told


def test_fingers_that_never_move_tell_no_way() -> None:
    assert of_polarity(np.ones(POINTS), np.ones(POINTS), wide=0.0) == []


def jagged(start: float) -> Any:
    """A course that is at either end of the range by turns."""
    return np.r_[start, np.arange(POINTS - 1) % 2]


def half_turned(start: float, off: float) -> Any:
    """The same, so far off: more than half of the range is nearer to the mirrored one."""
    way = jagged(0.0)[1:]
    return np.r_[start, np.where(way > 0.5, 1.0 - off, off)]


@pytest.mark.parametrize(
    ("usual", "start", "is_told"),
    [
        (1.0, 0.0, True),
        (1.0, 0.24, True),
        (1.0, 0.26, False),
        (1.0, 1.0, False),
        (0.7, 0.29, True),
        (0.7, 0.31, False),
        (0.3, 0.71, True),
        (0.3, 0.69, False),
    ],
)
def test_it_must_start_far_from_the_others_and_near_them_once_turned_round(
    usual: float, start: float, is_told: bool
) -> None:
    assert bool(of_polarity(half_turned(start, 0.6), jagged(usual))) == is_told


@pytest.mark.parametrize(("off", "is_told"), [(0.525, False), (0.54, True)])
def test_turned_round_it_must_be_nearer_to_the_course(off: float, is_told: bool) -> None:
    """0.525: 0.565 of the range off, 0.435 turned round, which is more than three quarters of that."""
    assert bool(of_polarity(half_turned(0.0, off), jagged(1.0))) == is_told


@pytest.mark.parametrize(
    ("apart", "by", "is_told"), [(0, 0.5, True), (1, 0.5, True), (2, 0.3, True), (2, 0.33, False), (3, 0.5, False)]
)
def test_where_hands_start_here_and_there_a_start_says_nothing(apart: int, by: float, is_told: bool) -> None:
    """Of twelve, the 80th percentile lies between the ninth and the tenth, four fifths of the way."""
    others = np.tile(jagged(1.0), (N, 1)).astype(float)
    others[N - apart :, 0] = 1.0 - by
    assert bool(of_polarity(half_turned(0.0, 0.6), others)) == is_told


def amid(off: float) -> Any:
    """Others that start in the middle of the range, and are for most of the way so far from their mirrored course."""
    return np.r_[0.55, 1.0, 0.0, np.full(POINTS - 3, (1 + off) / 2)]


@pytest.mark.parametrize(("off", "start", "is_told"), [(0.28, 0.45, False), (0.32, 0.45, True), (0.32, 0.55, False)])
def test_fingers_that_start_in_the_middle_are_told_by_their_course(off: float, start: float, is_told: bool) -> None:
    """0.28: 0.385 of the range off, where 0.4 is asked for."""
    assert bool(of_polarity(np.r_[start, 1.0 - amid(off)[1:]], amid(off))) == is_told


@pytest.mark.parametrize(("beside", "is_told"), [(0.22, True), (0.235, False)])
def test_by_its_course_alone_the_mirrored_one_must_be_very_near(beside: float, is_told: bool) -> None:
    """0.235: 0.449 of the range off, 0.176 turned round, which is more than three eighths of that."""
    odd = np.r_[0.45, 1.0 - amid(0.6)[1:3], 1.0 - amid(0.6)[3:] + beside]
    assert bool(of_polarity(odd, amid(0.6))) == is_told


def test_where_hands_agree_counts_more_than_on_the_way() -> None:
    """Half of the way is as the others go, and there they are of one mind: it is not turned round."""
    others = np.tile(SHUTS, (N, 1)).astype(float)
    loose = slice(6, 12)
    others[:, loose] = np.linspace(0, 1, N)[:, None]
    odd = np.r_[1.0 - SHUTS[:1], SHUTS[1:6], np.full(6, 0.5)]
    assert of_polarity(odd, others) == []


# ---- tasks


def line(*places: float) -> Any:
    """Episodes whose first joint goes from nought to a place each."""
    return np.array(places)[:, None, None] * WAY[None, None, :]


def of_tasks(x: Any, tasks: list[str], **more: Any) -> list[Finding]:
    return found(measures(len(x), signature=courses(x), task=tasks, **more), "task_mismatch")


def two(count: int, other: int | None = None, odd: float = 1.0, gap: float = 1.0) -> tuple[Any, list[str]]:
    """Two tasks, one about 0, one about ``gap``; the first episode of the first is at ``odd``."""
    other = count if other is None else other
    places = [*np.linspace(-0.05, 0.05, count), *np.linspace(gap - 0.05, gap + 0.05, other)]
    places[0] = odd
    return line(*places), ["out"] * count + ["back"] * other


def test_an_episode_amid_another_task_is_told_with_its_neighbours() -> None:
    (row,) = of_tasks(*two(9))
    assert (row.episode, row.manipulator, row.severity, row.start, row.end) == (0, "", 1.0, 0, FRAMES)
    assert row.details == (
        "moves as episodes of “back” do, not as those of its own “out”: 5 of the 5 nearest are of the other task"
    )
    assert row.value == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("count", "other", "is_told"), [(8, 8, True), (7, 8, False), (8, 7, False)])
def test_a_task_of_fewer_than_eight_is_not_compared(count: int, other: int, is_told: bool) -> None:
    assert bool(of_tasks(*two(count, other))) == is_told


def test_episodes_without_a_task_or_without_motion_are_left_aside() -> None:
    x, names = two(9)
    assert of_tasks(x, ["" if name == "back" else name for name in names]) == []
    assert of_tasks(x, names, content=np.where(np.arange(18) == 0, 0, np.arange(18))) == []
    assert told(of_tasks(x, names, content=np.where(np.arange(18) == 17, 0, np.arange(1, 19)))) == [0]


def test_an_episode_of_a_task_alone_is_no_neighbour() -> None:
    x, names = two(9)
    assert told(of_tasks(np.concatenate([x, line(1.0)]), [*names, "once"])) == [0]


def test_where_tasks_move_alike_nothing_is_told() -> None:
    assert of_tasks(*two(9, gap=0.0, odd=0.0)) == []


@pytest.mark.parametrize("key", ["robot", "layout", "manipulator"])
def test_tasks_of_robots_recorded_otherwise_are_not_compared(key: str) -> None:
    x, names = two(9)
    assert of_tasks(x, names, **{key: ["a"] * 9 + ["b"] * 9}) == []


def test_an_episode_is_laid_at_the_door_of_the_task_that_it_is_farthest_in() -> None:
    x, names = two(9)
    third = line(*np.linspace(1.95, 2.05, 9))
    (row,) = of_tasks(np.concatenate([x, third]), [*names, *["far"] * 9])
    assert "as episodes of “back” do" in row.details
    x[0] = third[0]
    (row,) = of_tasks(np.concatenate([x, third]), [*names, *["far"] * 9])
    assert "as episodes of “far” do" in row.details


@pytest.mark.parametrize("arms", [1, 2])
def test_all_arms_of_a_robot_speak(arms: int) -> None:
    """The second arm alone makes the difference."""
    x, names = two(9)
    both = np.repeat(x, 2, axis=0)
    both[::2] = 0.0 if arms == 2 else both[::2]
    rows = found(
        measures(
            36,
            episode_index=np.repeat(np.arange(18), 2),
            manipulator=["left", "right"] * 18,
            signature=courses(both),
            task=list(np.repeat(names, 2)),
        ),
        "task_mismatch",
    )
    assert told(rows) == [0]


OVER_ONE = np.array([[-0.1], [-0.05], [0.0], [0.0], [0.0], [0.0], [0.05], [0.1]])


@pytest.mark.parametrize(("place", "over"), [(0.0, None), (0.79, None), (0.81, 0.62), (1.0, 1.0), (1.5, 2.0)])
@pytest.mark.parametrize("turned", [False, True])
def test_how_far_over_is_counted_from_median_to_median(place: float, over: float | None, turned: bool) -> None:
    x = np.concatenate([OVER_ONE, [[place]], OVER_ONE + 1.0, OVER_ONE + 40.0])
    task = np.array([0] * 9 + [1] * 8 + [2] * 8, np.int32)
    if turned:
        task = np.where(task == 2, 2, 1 - task).astype(np.int32)
    rows = list(_over(x, task, 0, 1))
    assert [k for k, _ in rows] == ([] if over is None else [8])
    if over is not None:
        assert rows[0][1] == pytest.approx(over, abs=1e-6)


@pytest.mark.parametrize(("others", "count"), [(2, 1), (3, 0)])
def test_a_task_a_quarter_of_which_lies_with_the_other_is_told_apart_by_nothing(others: int, count: int) -> None:
    x = np.concatenate([OVER_ONE, np.full((others, 1), 1.0), OVER_ONE + 1.0])
    x[2:6] = 0.0
    task = np.array([0] * (8 + others) + [1] * 8, np.int32)
    assert len(list(_over(x, task, 0, 1))) == count * others


def test_what_varies_much_within_the_tasks_weighs_little() -> None:
    """Two columns tell the tasks apart; the third differs by as much, but wanders a hundred times as far in each."""
    wide = np.array([[-10.0], [-5.0], [-2.0], [0.0], [0.0], [2.0], [5.0], [10.0]])
    one, two_ = np.hstack([OVER_ONE, OVER_ONE, wide]), np.hstack([OVER_ONE + 1.0, OVER_ONE + 1.0, wide + 1.0])
    x = np.concatenate([one, [[0.0, 0.0, 30.0]], two_])
    task = np.array([0] * 9 + [1] * 8, np.int32)
    assert list(_over(x, task, 0, 1)) == []
    x[8] = [1.0, 1.0, -30.0]
    assert [k for k, _ in _over(x, task, 0, 1)] == [8]


def test_tasks_with_one_middle_are_told_apart_by_nothing() -> None:
    x = np.concatenate([OVER_ONE, OVER_ONE])
    assert list(_over(x, np.array([0] * 8 + [1] * 8, np.int32), 0, 1)) == []


@pytest.mark.parametrize(("right", "share"), [(3, 1.0), (2, 0.0), (5, 1.0)])
def test_an_episode_is_placed_rightly_by_more_than_half_of_its_neighbours(right: int, share: float) -> None:
    def around(rows: Any) -> Any:
        return np.tile([7] * right + [8] * (5 - right), (len(rows), 1))

    content = np.arange(10)
    assert _placed_rightly(around, content, np.arange(4), 7) == share


def test_of_many_episodes_those_of_the_least_content_are_asked() -> None:
    asked = []

    def around(rows: Any) -> Any:
        asked.extend(rows.tolist())
        return np.full((len(rows), 5), 7)

    content = np.arange(1000)[::-1].copy()
    _placed_rightly(around, content, np.arange(400), 7)
    assert asked == list(range(399, 99, -1))


# ---- ends


def of_ends(pace: Any, ends: Any = None, grip: Any = None, **more: Any) -> list[Finding]:
    """Episodes that end at such a pace, their first joint at such a place, their gripper at such another."""
    pace = np.asarray(pace, np.float64)
    n = len(pace)
    whole = courses(line(*(np.linspace(-0.02, 0.02, n) if ends is None else ends))).reshape(n, -1, POINTS)
    if grip is not None:
        whole[:, GRIPPER] = np.asarray(grip)[:, None]
    return found(measures(n, end_pace=pace, whole=whole.reshape(n, -1), **more), "truncated")


def at_rest(odd: float, usual: float = 0.01, n: int = N) -> Any:
    return np.where(np.arange(n) == 3, odd, usual)


@pytest.mark.parametrize(("pace", "is_told"), [(0.39, False), (0.41, True)])
def test_an_end_at_pace_is_told_where_others_rest(pace: float, is_told: bool) -> None:
    assert told(of_ends(at_rest(pace))) == [3] * is_told


@pytest.mark.parametrize(("usual", "is_told"), [(0.14, True), (0.16, False)])
def test_it_must_be_many_times_what_most_end_at(usual: float, is_told: bool) -> None:
    assert told(of_ends(at_rest(0.6, usual))) == [3] * is_told


def test_the_finding_is_its_last_frame_and_names_both_paces() -> None:
    (row,) = of_ends(at_rest(0.6, 0.02))
    assert (row.start, row.end, row.value, row.severity) == (FRAMES - 1, FRAMES, 0.6, 1.0)
    assert row.details == "ends in mid-motion, at 60 % of its fast pace; 80 % of the others end below 2 %"


@pytest.mark.parametrize(("n", "count"), [(7, 0), (8, 1)])
def test_fewer_than_eight_tell_no_end(n: int, count: int) -> None:
    assert len(of_ends(at_rest(0.6, n=n))) == count
    unknown = np.append(at_rest(0.6, n=n), [np.nan, np.nan])
    assert len(of_ends(unknown)) == count


@pytest.mark.parametrize("key", ["task", "robot", "layout"])
def test_ends_are_compared_within_a_task_of_a_robot(key: str) -> None:
    assert told(of_ends(at_rest(0.6, n=14), **{key: ["a"] * 7 + ["b"] * 7})) == []
    assert told(of_ends(at_rest(0.6, n=16), **{key: ["a"] * 8 + ["b"] * 8})) == [3]


FAR = np.r_[0.0, 0.01, 0.02, 3.0, np.linspace(0.03, 0.1, 8)]


@pytest.mark.parametrize(("pace", "is_told"), [(0.119, False), (0.121, True)])
def test_at_a_strange_place_a_lower_pace_is_told(pace: float, is_told: bool) -> None:
    assert told(of_ends(at_rest(pace, 0.01), FAR)) == [3] * is_told
    assert told(of_ends(at_rest(pace, 0.01))) == []


@pytest.mark.parametrize(("usual", "is_told"), [(0.049, True), (0.051, False)])
def test_at_a_strange_place_too_it_must_be_many_times_the_usual(usual: float, is_told: bool) -> None:
    assert told(of_ends(at_rest(0.2, usual), FAR)) == [3] * is_told


GRIPS = np.where(np.arange(N) == 3, 0.0, 1.0)


@pytest.mark.parametrize(("pace", "usual", "is_told"), [(0.119, 0.01, False), (0.121, 0.01, True), (0.31, 0.2, True)])
def test_fingers_shut_where_others_are_open_make_a_lower_pace_an_end(pace: float, usual: float, is_told: bool) -> None:
    assert told(of_ends(at_rest(pace, usual), grip=GRIPS)) == [3] * is_told
    assert told(of_ends(at_rest(1.49 * usual, usual), grip=GRIPS)) == [3] * (1.49 * usual > 0.12) * 0


def test_the_faster_of_two_arms_tells_the_end() -> None:
    pace = np.full(24, 0.01)
    pace[6] = 0.6
    whole = courses(line(*np.repeat(np.linspace(0, 0.1, 12), 2)))
    both = {"episode_index": np.repeat(np.arange(12), 2), "manipulator": ["left", "right"] * 12, "whole": whole}
    for at in (6, 7):
        slow = np.full(24, 0.01)
        slow[at] = 0.6
        slow[at + (1 if at == 6 else -1)] = np.nan
        table = measures(24, end_pace=slow, **both)
        assert told(found(table, "truncated")) == [6]


@pytest.mark.parametrize(
    ("ends", "far"),
    [
        ([0.0] * 8 + [1.0], [8]),
        ([0.0] * 8 + [0.39, 1.0], [9]),
        ([0.0] * 8 + [0.41, 1.0], [8, 9]),
        ([0.0, 0.0, 0.0, 1.0, 1.0], []),
        ([0.0] * 9 + [1.0, 1.0], [9, 10]),
        ([0.0] * 7 + [1.0] * 3, []),
        ([0.5] * 8, []),
        ([0.0] * 8 + [np.nan, 1.0], []),
    ],
)
def test_a_gripper_is_far_from_the_usual_where_nearly_all_agree(ends: list[float], far: list[int]) -> None:
    assert np.flatnonzero(_far_from_usual(np.array(ends))).tolist() == far


def test_a_place_is_as_strange_as_its_third_neighbour_is_far() -> None:
    places = np.array([0.0, 1.0, 3.0, 7.0, 20.0])[:, None]
    assert _to_third(places).tolist() == [7.0, 6.0, 4.0, 7.0, 19.0]
    assert _to_third(places[:2]).tolist() == [1.0, 1.0]


def test_where_no_place_varies_no_end_is_strange() -> None:
    assert told(of_ends(at_rest(0.2), np.zeros(N))) == []
    assert told(of_ends(at_rest(0.6), np.zeros(N))) == [3]


def test_settings_hold_for_ends() -> None:
    table = measures(N, end_pace=at_rest(0.3), whole=courses(line(*np.linspace(-0.02, 0.02, N))))
    assert told(peer_findings(table, SETTINGS)) == []
    assert told(peer_findings(table, replace(SETTINGS, end_pace=0.2))) == [3]
