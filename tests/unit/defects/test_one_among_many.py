"""What the other episodes say of one number: outliers, rates, clocks, tremble, dead columns; each at its limits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scripted_measures import ARM, FRAMES, GRIPPER, HAND, measures, slots, told
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import SET, Finding
from sima2.defects.population import outlier_cut, population_findings, slot_name
from sima2.records.defects import EpisodeMeasures

SETTINGS = DefectSettings()
N = 12


def found(table: EpisodeMeasures, kind: str, settings: DefectSettings = SETTINGS) -> list[Finding]:
    return [each for each in population_findings(table, settings) if each.defect == kind]


def alike(n: int = N) -> Any:
    """Numbers about 1 that differ by next to nothing."""
    return np.exp(1e-5 * (np.arange(n) - n // 2))


def with_one(times: float, n: int = N, at: int = 3) -> Any:
    out = alike(n)
    out[at] = times
    return out


# ---- the cut


def test_the_cut_lies_as_far_above_the_upper_quartile_as_the_quarter_above_it_reaches() -> None:
    # quartiles 2 and 4, one value above
    heavy = np.array([0.0, 2.0, 3.0, 4.0, 9.0])
    scale = 5.0 / math.log(2.0) * (1 + 1 / math.sqrt(5 / 4))
    assert outlier_cut(heavy, 4, SETTINGS) == pytest.approx(4.0 + scale * math.log(0.25 * 4 / 0.05))
    # of three above, the middle one
    longer = np.array([0.0] * 9 + [1.0, 2.0, 90.0])
    scale = 1.75 / math.log(2.0) * (1 + 1 / math.sqrt(3))
    assert outlier_cut(longer, 4, SETTINGS) == pytest.approx(0.25 + scale * math.log(20.0))


def test_a_light_tail_is_taken_for_a_normal_one() -> None:
    even = np.arange(12.0)
    scale = 0.51 * 5.5 * (1 + 1 / math.sqrt(3))
    assert outlier_cut(even, 24, SETTINGS) == pytest.approx(8.25 + scale * math.log(0.25 * 24 / 0.05))
    # fewer than four widen it no further
    assert outlier_cut(np.array([0.0, 1.0]), 4, SETTINGS) == pytest.approx(0.75 + 2 * 0.25 / math.log(2) * math.log(20))


def test_nothing_judged_is_one_judged_and_what_is_all_alike_has_its_cut_there() -> None:
    even = np.arange(12.0)
    assert outlier_cut(even, 0, SETTINGS) == outlier_cut(even, 1, SETTINGS) < outlier_cut(even, 2, SETTINGS)
    assert outlier_cut(np.ones(5), 10, SETTINGS) == 1.0


# ---- outliers


@pytest.mark.parametrize("kind", ["duration_outlier", "jerk_outlier"])
@pytest.mark.parametrize(
    ("off", "is_told"), [(0.249, False), (0.251, True), (3.0, True), (-0.249, False), (-0.251, True)]
)
def test_among_numbers_alike_one_is_told_that_is_a_quarter_off_either_way(kind: str, off: float, is_told: bool) -> None:
    column = {"duration_outlier": "duration_s", "jerk_outlier": "jerk"}[kind]
    rows = found(measures(N, **{column: with_one(math.exp(off))}), kind)
    assert told(rows) == [3] * is_told
    for row in rows:
        assert row.value == pytest.approx(math.exp(off), rel=1e-4)
        assert row.severity == pytest.approx(1 - math.exp(-abs(off)), rel=1e-3)
        assert (row.start, row.end, row.unit) == (0, FRAMES, "times the median")
        assert row.manipulator == ("" if kind == "duration_outlier" else ARM)


@pytest.mark.parametrize("column", ["duration_s", "jerk"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(("beside", "is_told"), [(-0.001, False), (0.001, True)])
def test_among_numbers_that_vary_one_is_told_beyond_the_cut(
    column: str, sign: float, beside: float, is_told: bool
) -> None:
    x = np.linspace(0.0, 1.0, N)
    # the outermost has no say in the cut; each of twelve is judged on both sides
    x[-1] = outlier_cut(x, 2 * N, SETTINGS) + beside
    kind = {"duration_s": "duration_outlier", "jerk": "jerk_outlier"}[column]
    assert told(found(measures(N, **{column: np.exp(sign * x)}), kind)) == [N - 1] * is_told


@pytest.mark.parametrize(("column", "judged"), [("duration_s", N), ("jerk", 2 * N)])
def test_a_second_arm_is_judged_by_its_jerk_and_not_by_its_time(column: str, judged: int) -> None:
    x = np.linspace(0.0, 1.0, N)
    both: dict[str, Any] = {"episode_index": np.repeat(np.arange(N), 2), "manipulator": ["a", "b"] * N}
    kind = {"duration_s": "duration_outlier", "jerk": "jerk_outlier"}[column]
    for beside, is_told in ((-0.001, False), (0.001, True)):
        x[-1] = outlier_cut(x, 2 * judged, SETTINGS) + beside
        rows = found(measures(2 * N, **{column: np.repeat(np.exp(x), 2)}, **both), kind)
        last = [(2 * N - 2, "a"), (2 * N - 1, "b")] if column == "jerk" else [(2 * N - 2, "")]
        assert [(each.episode, each.manipulator) for each in rows] == last * is_told


@pytest.mark.parametrize("kind", ["duration_outlier", "jerk_outlier"])
@pytest.mark.parametrize(("n", "count"), [(11, 0), (12, 1)])
def test_fewer_than_twelve_are_no_population(kind: str, n: int, count: int) -> None:
    column = {"duration_outlier": "duration_s", "jerk_outlier": "jerk"}[kind]
    assert len(found(measures(n, **{column: with_one(5.0, n)}), kind)) == count
    for unknown in (np.nan, 0.0, -1.0, np.inf):
        x = with_one(5.0, n + 1)
        x[-1] = unknown
        assert told(found(measures(n + 1, **{column: x}), kind)) == [3] * count


@pytest.mark.parametrize(
    ("kind", "keys"),
    [("duration_outlier", ["family", "robot"]), ("jerk_outlier", ["family", "robot", "manipulator"])],
)
def test_outliers_are_told_among_those_of_a_kind(kind: str, keys: list[str]) -> None:
    column = {"duration_outlier": "duration_s", "jerk_outlier": "jerk"}[kind]
    for key in keys:
        for split, count in ((11, 0), (12, 1)):
            apart = ["one" if k < split else "other" for k in range(split + 11)]
            assert len(found(measures(split + 11, **{column: with_one(5.0, split + 11), key: apart}), kind)) == count


def test_the_words_of_outliers_name_the_family_or_the_run() -> None:
    table = {"duration_s": 2 * with_one(4.0), "jerk": with_one(0.5)}
    assert found(measures(N, **table), "duration_outlier")[0].details == ("lasts 8 s, 4 times the median 2 s of put")
    assert found(measures(N, **table), "jerk_outlier")[0].details == "mean jerk is 0.5 times the median of put"
    unknown = measures(N, family="unknown", **table)
    assert found(unknown, "duration_outlier")[0].details.endswith("2 s of the run")
    assert found(unknown, "jerk_outlier")[0].details.endswith("of the run")


# ---- joints off their command


def of_tracking(values: Any, **more: Any) -> list[Finding]:
    more = {"tracking_start": 20, "tracking_end": 50, "tracking_slot": 2, **more}
    return found(measures(len(values), tracking=values, **more), "tracking_fault")


@pytest.mark.parametrize(("value", "is_told"), [(8.0, False), (8.01, True), (np.nan, False)])
@pytest.mark.parametrize("n", [1, 11, 12])
def test_a_residual_is_a_fault_beyond_eight_spreads_where_the_others_stay_near(
    n: int, value: float, is_told: bool
) -> None:
    rows = of_tracking(with_one(value, n, n - 1))
    assert told(rows) == [n - 1] * is_told
    for row in rows:
        assert (row.manipulator, row.start, row.end, row.value, row.unit) == (ARM, 20, 50, value, "usual spreads")
        assert row.severity == pytest.approx(0.3)
        assert row.details == ("joint 2 stays 8.01 usual spreads off its command; beyond 8 is no longer ordinary here")


@pytest.mark.parametrize(("n", "beside", "is_told"), [(12, -0.001, False), (12, 0.001, True), (11, -0.001, True)])
def test_where_all_are_far_off_a_fault_lies_beyond_their_cut(n: int, beside: float, is_told: bool) -> None:
    x = np.log(np.linspace(2.0, 7.9, n))
    x[-1] = outlier_cut(x, n, SETTINGS) + beside
    assert math.exp(x[-1]) > 8.0
    assert told(of_tracking(np.exp(x))) == [n - 1] * is_told


def test_only_known_residuals_are_a_population_for_the_cut() -> None:
    x = np.log(np.linspace(2.0, 7.9, N))
    x[-1] = outlier_cut(x, 2 * N, SETTINGS) - 0.1
    assert of_tracking(np.r_[np.exp(x), np.zeros(N)]) == []
    assert told(of_tracking(np.r_[np.nan, np.exp(x)[1:], np.zeros(N)])) == [N - 1]


@pytest.mark.parametrize("key", ["robot", "manipulator"])
def test_residuals_are_held_against_the_same_arm(key: str) -> None:
    x = np.log(np.linspace(2.0, 7.9, N))
    x[-1] = outlier_cut(x, N, SETTINGS) - 0.001
    assert of_tracking(np.exp(x)) == []
    assert told(of_tracking(np.exp(x), **{key: ["b", *["a"] * (N - 1)]})) == [N - 1]


def test_a_fault_over_all_of_one_frame_is_the_whole_episode() -> None:
    (row,) = of_tracking([9.0], frames=1, tracking_start=0, tracking_end=1)
    assert row.severity == 1.0


# ---- rates and clocks


def of_rates(periods: Any, settings: DefectSettings = SETTINGS, **more: Any) -> list[Finding]:
    return found(measures(len(periods), period_s=periods, **more), "rate_change", settings)


@pytest.mark.parametrize("way", [1.0, -1.0])
@pytest.mark.parametrize(("times", "is_told"), [(1.09, False), (1.11, True), (2.0, True)])
def test_a_rate_is_another_from_a_tenth_on(way: float, times: float, is_told: bool) -> None:
    rows = of_rates(np.r_[[0.05] * 11, 0.05 * times**way])
    assert told(rows) == [11] * is_told
    for row in rows:
        assert (row.manipulator, row.severity, row.start, row.end, row.unit) == ("", 1.0, 0, FRAMES, "relative change")
        assert row.value == pytest.approx(times - 1)
        assert row.details == f"{20 * times**-way:.4g} Hz, where most episodes have 20 Hz"


def test_a_change_of_just_so_much_is_none() -> None:
    twice = replace(SETTINGS, rate_change=1.0)
    assert of_rates([0.25] * 11 + [0.5], twice) == []
    assert len(of_rates([0.25] * 11 + [0.5625], twice)) == 1


@pytest.mark.parametrize(("n", "odd", "count"), [(11, 1, 0), (12, 1, 1), (12, 3, 3), (12, 4, 0)])
def test_a_rate_of_more_than_a_quarter_or_of_few_is_no_defect(n: int, odd: int, count: int) -> None:
    assert len(of_rates([0.1] * odd + [0.05] * (n - odd))) == count


def test_unknown_rates_other_robots_and_second_arms_have_no_say() -> None:
    assert of_rates([0.1, *[0.05] * 10, np.nan]) == []
    assert told(of_rates([0.1, *[0.05] * 11, np.nan])) == [0]
    assert of_rates([0.1, *[0.05] * 23], robot=["a"] * 11 + ["b"] * 13) == []
    both = {"episode_index": np.repeat(np.arange(N), 2), "manipulator": ["a", "b"] * N}
    assert told(of_rates(np.repeat([0.05] * 11 + [0.1], 2), **both)) == [22]
    assert of_rates([0.1] * 2 + [0.05] * 20, episode_index=np.repeat(np.arange(11), 2)) == []


@pytest.mark.parametrize(("off", "is_told"), [(0.03, False), (0.031, True), (0.4, True)])
def test_times_that_were_put_aside_are_told(off: float, is_told: bool) -> None:
    rows = found(measures(4, clock_off=[0, 0, off, 0]), "irregular_clock")
    assert told(rows) == [2] * is_told
    for row in rows:
        assert (row.manipulator, row.severity, row.value) == ("", off, off)
        assert (row.start, row.end, row.unit) == (0, FRAMES, "of the steps")
        assert row.details.startswith(f"{100 * off:.0f} % of the steps of time are no period")


@pytest.mark.parametrize(("odd", "count"), [(1, 1), (2, 2), (3, 0), (8, 0)])
def test_a_clock_that_is_coarse_in_more_than_a_quarter_is_said_elsewhere(odd: int, count: int) -> None:
    assert len(found(measures(8, clock_off=[0.5] * odd + [0.0] * (8 - odd)), "irregular_clock")) == count
    apart = ["a"] * odd + ["b"] * (8 - odd)
    assert found(measures(8, clock_off=[0.5] * odd + [0.0] * (8 - odd), robot=apart), "irregular_clock") == []
    twice = measures(16, clock_off=np.repeat([0.5] * odd + [0.0] * (8 - odd), 2), episode_index=np.repeat(range(8), 2))
    assert told(found(twice, "irregular_clock")) == list(range(0, 2 * count, 2))


# ---- tremble


def of_bursts(values: Any, **more: Any) -> list[Finding]:
    more = {"burst_start": 10, "burst_end": 30, "burst_slot": 1, **more}
    return found(measures(len(values), burst=values, **more), "noise_burst")


@pytest.mark.parametrize(
    ("n", "period", "value", "is_told"),
    [
        (11, 0.05, 8.0, False),
        (11, 0.05, 8.01, True),
        (11, 0.06, 8.0, False),
        (12, 0.05, 3.5, False),
        (12, 0.05, 3.51, True),
        (12, 0.051, 5.0, False),
        (12, 0.051, 5.01, True),
    ],
)
def test_a_tremble_is_told_from_its_limit_on(n: int, period: float, value: float, is_told: bool) -> None:
    rows = of_bursts(np.r_[np.ones(n - 1), value], period_s=np.r_[np.nan, np.full(n - 1, period)])
    assert told(rows) == [n - 1] * is_told
    for row in rows:
        assert (row.manipulator, row.start, row.end, row.value, row.unit) == (ARM, 10, 30, value, "times its usual")
        assert row.severity == pytest.approx(0.2)
        limit = 8.0 if n < 12 else 5.0 if period > 0.05 else 3.5
        assert row.details == (
            f"joint_position[1] trembles from frame to frame {value:.3g} times as much as it usually does; "
            f"beyond {limit:.2g} is no longer ordinary here"
        )


@pytest.mark.parametrize(("value", "is_told"), [(5.79, False), (5.81, True)])
def test_a_tremble_is_twice_what_nine_of_ten_others_stay_below(value: float, is_told: bool) -> None:
    """Of twelve, the 90th percentile lies nine tenths of the way from the tenth to the eleventh."""
    assert told(of_bursts([*[1.0] * 9, 2.0, 3.0, value])) == [11] * is_told


@pytest.mark.parametrize("key", ["robot", "manipulator"])
def test_a_tremble_is_held_against_the_same_arm(key: str) -> None:
    assert told(of_bursts([*[1.0] * 11, 4.0])) == [11]
    assert of_bursts([*[1.0] * 11, 4.0], **{key: ["a", *["b"] * 11]}) == []


def test_a_tremble_over_all_of_one_frame_is_the_whole_episode() -> None:
    assert of_bursts([9.0], frames=1, burst_start=0, burst_end=1)[0].severity == 1.0


# ---- columns


def test_a_slot_is_called_as_its_channel() -> None:
    assert [slot_name(k) for k in (0, HAND - 1, HAND, GRIPPER - 1, GRIPPER)] == [
        "joint_position[0]",
        "joint_position[19]",
        "ee_position[0]",
        "ee_position[2]",
        "gripper",
    ]


@pytest.mark.parametrize(("n", "count"), [(2, 0), (3, 1)])
def test_a_column_that_never_changes_is_told_once_of_the_set(n: int, count: int) -> None:
    span = np.tile([1.0, 0.0, np.nan], (n, 1))
    rows = found(measures(n, span=slots(span)), "constant_channel")
    assert [each.details for each in rows] == ["joint_position[1] never changes in any of 3 episodes"] * count
    for row in rows:
        assert (row.episode, row.manipulator, row.severity, row.start, row.end) == (SET, ARM, 0.0, 0, 0)
        assert (row.value, row.unit) == (1.0, "columns")


def test_several_columns_that_never_change_are_told_together() -> None:
    span = slots(np.tile([1.0, 0.0, 0.0], (3, 1)))
    span[:, GRIPPER] = [0.0, np.nan, 0.0]
    (row,) = found(measures(3, span=span), "constant_channel")
    assert row.details == "joint_position[1], joint_position[2], gripper never change in any of 3 episodes"
    assert row.value == 3.0
    span[1, 1] = 1e-6
    span[0, 2] = 1.0
    span[2, GRIPPER] = 0.5
    assert found(measures(3, span=span), "constant_channel") == []


@pytest.mark.parametrize("key", ["robot", "manipulator", "layout"])
def test_a_column_is_constant_among_those_recorded_alike(key: str) -> None:
    span = slots(np.array([[0.0]] * 3 + [[1.0]] * 3))
    assert found(measures(6, span=span), "constant_channel") == []
    names = ["one"] * 3 + ["other"] * 3
    (row,) = found(measures(6, span=span, **{key: names}), "constant_channel")
    assert row.manipulator == ("one" if key == "manipulator" else ARM)
    span = slots(np.zeros((6, 1)))
    assert len(found(measures(6, span=span, **{key: names}), "constant_channel")) == 2
    assert found(measures(4, span=span[:4], **{key: ["one", "one", "other", "other"]}), "constant_channel") == []


DEAD = ("frozen_channel", "missing_samples")


def of_dead(first: Any, noise: Any = 0.01, *, slot: int = 0, other: float = 1.0, **more: Any) -> list[Finding]:
    """Episodes of which one column goes as far as said, and another one always moves."""
    span = slots(np.asarray(first, float)[:, None], slot=slot)
    span[:, 1 if slot != 1 else 0] = other
    table = measures(len(first), span=span, noise=np.broadcast_to(np.reshape(noise, (-1, 1)), span.shape), **more)
    return [each for kind in DEAD for each in found(table, kind)]


@pytest.mark.parametrize(("value", "kind"), [(0.0, "frozen_channel"), (np.nan, "missing_samples")])
@pytest.mark.parametrize("slot", [0, HAND, GRIPPER - 1, GRIPPER])
def test_a_column_that_varies_in_nearly_all_others_is_dead_but_for_fingers(value: float, kind: str, slot: int) -> None:
    rows = of_dead([*[1.0] * 12, value], slot=slot)
    assert [(each.episode, each.defect) for each in rows] == [(12, kind)] * (slot != GRIPPER)
    for row in rows:
        assert (row.manipulator, row.severity, row.start, row.end, row.value, row.unit) == (
            ARM, 1.0, 0, FRAMES, FRAMES * 0.05, "s",
        )  # fmt: skip
        what = "never changes" if value == 0.0 else "has no sample"
        assert row.details == f"{slot_name(slot)} {what} in all of the episode; it varies in 12 of 13"


@pytest.mark.parametrize(("n", "odd", "count"), [(11, 1, 0), (12, 1, 1), (16, 4, 4), (16, 5, 0)])
def test_a_column_must_vary_in_three_of_four_of_twelve(n: int, odd: int, count: int) -> None:
    assert told(of_dead([0.0] * odd + [1.0] * (n - odd))) == list(range(count))


def test_an_episode_in_which_nothing_moves_is_not_asked_and_does_not_count() -> None:
    n = 12
    for still, count in ((0, 1), (1, 0)):
        span = slots(np.tile([1.0, 1.0], (n, 1)))
        span[3, 0] = 0.0
        span[4 : 4 + still] = 0.0
        rows = found(measures(n, span=span, noise=0.01), "frozen_channel")
        assert told(rows) == [3] * count
    span = slots(np.tile([1.0, 1.0], (n + 5, 1)))
    span[3, 0], span[12:] = 0.0, 0.0
    assert told(found(measures(n + 5, span=span, noise=0.01), "frozen_channel")) == [3]


@pytest.mark.parametrize(("small", "is_told"), [(0.099, False), (0.101, True)])
def test_a_column_that_hardly_moves_in_some_may_not_move_at_all(small: float, is_told: bool) -> None:
    """Of 120, the 2nd percentile lies between the third and the fourth."""
    assert bool(of_dead([*[small] * 4, *[1.0] * 116, 0.0])) == is_told
    assert len(of_dead([*[0.01] * 2, *[1.0] * 118, 0.0])) == 1


def test_the_middle_range_is_what_others_are_held_against() -> None:
    assert len(of_dead([*[0.45] * 7, *[4.0] * 5, 0.0])) == 1
    assert len(of_dead([*[0.35] * 5, *[4.0] * 7, 0.0])) == 0


@pytest.mark.parametrize(("noise", "is_told"), [(0.083, True), (0.084, False)])
def test_a_column_must_go_twelve_times_its_noise(noise: float, is_told: bool) -> None:
    assert bool(of_dead([*[1.0] * 12, 0.0], noise)) == is_told
    # those that do not vary have no say
    assert bool(of_dead([*[1.0] * 12, *[0.0] * 4], np.r_[[noise] * 7, [0.084] * 5, [9.0] * 4])) == is_told


@pytest.mark.parametrize("key", ["robot", "manipulator", "layout"])
def test_a_dead_column_is_told_among_those_recorded_alike(key: str) -> None:
    assert len(of_dead([*[1.0] * 12, 0.0])) == 1
    assert of_dead([*[1.0] * 12, 0.0], **{key: ["a"] * 2 + ["b"] * 11}) == []
    assert told(of_dead([1.0, 1.0, *[1.0] * 12, 0.0], **{key: ["b"] * 2 + ["a"] * 13})) == [14]
