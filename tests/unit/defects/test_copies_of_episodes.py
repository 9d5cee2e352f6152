"""Copies bit for bit, copies cut otherwise, and the same motion again: each at its limits, on measures written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scripted_measures import FRAMES, courses, measures, slots, told
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.duplicates import (
    Motions,
    _aligned,
    _motions,
    _near,
    _neighbours,
    _references,
    _standardised,
    _unlikely,
    content_keys,
    duplicate_findings,
)
from sima2.defects.findings import Finding
from sima2.records.defects import POINTS, SKETCH, EpisodeMeasures

SETTINGS = DefectSettings()
WAY = np.linspace(0.0, 1.0, POINTS)
BOTH: dict[str, Any] = {"manipulator": ["left", "right"] * 3, "episode_index": [0, 0, 1, 1, 2, 2]}
"""Three episodes of two arms."""
DECILES = 2.563
"""From the tenth to the ninetieth percentile, in standard deviations."""


def found(table: EpisodeMeasures) -> list[Finding]:
    rows = duplicate_findings(table, SETTINGS)
    assert {(each.defect, each.manipulator, each.unit) for each in rows} <= {
        ("near_duplicate", "", "spreads over the run")
    }
    return rows


# ---- bit for bit


def test_the_first_of_a_kind_is_no_copy_and_the_later_ones_are_of_it() -> None:
    rows = found(measures(6, content=[7, 8, 7, 9, 7, 8], robot=["a", *["b"] * 5], task=["x", *["y"] * 5]))
    assert told(rows) == [2, 4, 5]
    assert [each.details for each in rows] == [
        "the positions of e0 bit for bit, as 1 more are",
        "the positions of e0 bit for bit, as 1 more are",
        "the positions of e1 bit for bit",
    ]
    assert {(each.severity, each.start, each.end, each.value) for each in rows} == {(1.0, 0, FRAMES, 0.0)}


def test_what_was_recorded_otherwise_or_does_not_move_is_no_copy() -> None:
    assert found(measures(2, content=7, layout=["2 joints", "3 joints"])) == []
    assert found(measures(2, content=0)) == []


def test_all_arms_must_be_the_same_and_one_of_them_must_move() -> None:
    assert told(found(measures(6, content=[1, 2, 1, 3, 1, 2], **BOTH))) == [4]
    assert told(found(measures(6, content=[0, 2, 0, 0, 0, 2], **BOTH))) == [4]
    assert found(measures(6, content=[1, 2, 2, 1, 3, 3], **BOTH)) == []


def test_motion_is_known_again_by_robot_layout_and_digests() -> None:
    table = measures(6, content=[1, 2, 0, 0, 0, 3], layout="7 joints", robot=["a"] * 4 + ["b"] * 2, **BOTH)
    assert content_keys(table) == {"e0": ("a", "7 joints", "1", "2"), "e2": ("b", "7 joints", "0", "3")}


# ---- cut otherwise


def sketches(*digests: Any) -> Any:
    out = np.zeros((len(digests), SKETCH), np.int64)
    for row, given in enumerate(digests):
        out[row, : len(given)] = list(given)
    return out


@pytest.mark.parametrize(
    ("mine", "is_told"),
    [
        (range(1, 17), True),
        (range(9, 25), True),
        (range(10, 26), False),
        ((1, 2, 90, 91), True),
        ((1, 2, 90, 91, 92), False),
        ((1,), True),
        ((90,), False),
        ((), False),
    ],
)
def test_half_of_the_least_digests_tell_a_copy(mine: Any, is_told: bool) -> None:
    rows = found(measures(3, sketch=sketches(range(1, 17), range(30, 46), mine)))
    assert told(rows) == [2] * is_told
    for row in rows:
        assert row.details == "frames of e0 bit for bit, cut otherwise"
        assert (row.severity, row.start, row.end, row.value) == (1.0, 0, FRAMES, 0.0)


def test_the_one_that_shares_most_is_named_and_of_equals_the_first() -> None:
    one, other = [1, 2, 3, 4], [5, 6, 7, 8]
    for mine, named in (([1, 2, 5, 6], "e0"), ([1, 5, 6, 7], "e1"), ([1, 2, 3, 5], "e0")):
        (row,) = found(measures(3, sketch=sketches(one, other, mine)))
        assert (row.episode, row.details) == (2, f"frames of {named} bit for bit, cut otherwise")


def test_digests_of_all_arms_count_together() -> None:
    mine = sketches([1, 2], [3, 4], [9], [8], [1, 11], [3, 12])
    assert told(found(measures(6, sketch=mine, **BOTH))) == [4]
    mine[5, 2] = 13
    assert found(measures(6, sketch=mine, **BOTH)) == []
    # within one episode nothing is a copy
    assert found(measures(6, sketch=sketches([1, 2], [1, 2], [3], [3], [], []), **BOTH)) == []


def test_what_is_a_copy_bit_for_bit_is_told_once() -> None:
    x = courses(np.random.default_rng(0).normal(size=(4, 1, POINTS)))
    x[3] = x[0]
    rows = found(measures(4, content=[7, 8, 9, 7], sketch=sketches([1], [2], [3], [1]), signature=x, noise=0.1))
    assert [(each.episode, each.details) for each in rows] == [(3, "the positions of e0 bit for bit")]
    rows = found(measures(4, sketch=sketches([1], [2], [3], [1]), signature=x, noise=0.1))
    assert [(each.episode, each.details) for each in rows] == [(3, "frames of e0 bit for bit, cut otherwise")]


# ---- the same motion again


def level(values: Any) -> Any:
    """Motions that each stay at one value all along: as far apart as their values are."""
    return np.repeat(np.asarray(values, float)[:, None], POINTS, axis=1)


def near(values: Any, noise: Any = 0.0, index: Any = None, settings: DefectSettings = SETTINGS) -> dict[int, Any]:
    n = len(values)
    motions = Motions(np.arange(n), level(values), np.broadcast_to(np.asarray(noise, float), n))
    table = measures(n) if index is None else measures(n, episode_index=index)
    return {row: (twin, round(d, 6)) for row, (twin, d) in _near(table, motions, settings).items()}


@pytest.mark.parametrize(
    ("noise", "apart", "is_told"),
    [
        (1.0, 0.0999, True),
        (1.0, 0.1001, False),
        (0.01, 0.0424, True),
        (0.01, 0.0425, False),
        (0.0, 0.0001, False),
        ([0.03, 0.04, 9.0], 0.0999, True),
        ([0.003, 0.004, 9.0], 0.0149, True),
        ([0.003, 0.004, 9.0], 0.0151, False),
    ],
)
def test_a_few_episodes_are_copies_within_their_noise_and_a_tenth_of_a_spread(
    noise: Any, apart: float, is_told: bool
) -> None:
    """Three times the noise of both together."""
    assert near([0.0, apart, 5.0], noise) == ({1: (0, round(apart, 6))} if is_told else {})


def test_of_a_pair_the_later_is_the_copy_and_its_nearest_is_named() -> None:
    assert near([0.0, 0.05, 0.07, 9.0], 1.0) == {1: (0, 0.05), 2: (1, 0.02)}
    assert near([0.0, 0.05, 0.02, 9.0], 1.0) == {1: (0, 0.05), 2: (0, 0.02)}
    assert near([0.0, 0.05, 9.0], 1.0, [5, 2, 7]) == {0: (1, 0.05)}


def test_one_episode_or_none_that_varies_has_no_copy() -> None:
    assert near([0.0], 1.0) == {}
    assert _near(measures(3), Motions(np.arange(3), np.zeros((3, 0)), np.ones(3)), SETTINGS) == {}
    assert near([0.0, 0.05], 1.0) == {1: (0, 0.05)}


@pytest.mark.parametrize(
    ("noise", "apart", "is_told"),
    [(0.0, 0.0999, True), (0.0, 0.1001, False), (0.05, 0.311, True), (0.05, 0.313, False)],
)
def test_among_many_that_are_far_apart_a_copy_is_a_tenth_of_a_spread_and_its_noise_away(
    noise: float, apart: float, is_told: bool
) -> None:
    line = [*(1e4 * np.arange(40)), 2e5 + apart]
    assert near(line, noise) == ({40: (20, round(apart, 6))} if is_told else {})
    # eleven are no population: without noise nothing is a copy
    assert near([*(1e4 * np.arange(10)), 5e4 + apart], 0.0) == {}
    assert bool(near([*(1e4 * np.arange(11)), 5e4 + apart], 0.0)) == (apart < 0.1)


@pytest.mark.parametrize(("times", "is_told"), [(0.97, True), (1.03, False)])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_among_many_that_are_near_each_other_a_copy_is_nearer_than_chance_makes_it(
    times: float, is_told: bool, noise: float
) -> None:
    """Of 41 on a line of one spread, the twelfth neighbour is six steps off, the sixth half as far: one dimension.

    Chance brings one of 41 nearer than a share c of that with 1 - (1 - c)^11 = 0.05 / 41.
    """
    step = 10.0
    chance = 1 - (1 - 0.05 / 41) ** (1 / 11)
    apart = times * 6 * step * chance
    assert apart < 0.1
    assert bool(near([*(step * np.arange(40)), 20 * step + apart], noise)) == is_told


def test_what_is_ordinary_in_a_crowd_makes_a_copy_out_of_it() -> None:
    crowd = [*(0.1 * np.arange(40)), 60.0, 90.0]
    assert near([*crowd, 60.0 + 0.005]) == {42: (40, 0.005)}
    assert near([*crowd, 2.0 + 0.005]) == {}


@pytest.mark.parametrize(("middle", "dimensions"), [(0.5, 1.0), (0.25, 0.5), (0.5**0.5, 2.0)])
def test_how_near_chance_brings_the_nearest_follows_from_the_ratio_of_later_neighbours(
    middle: float, dimensions: float
) -> None:
    distance = np.full((20, 12), np.nan)
    distance[:, 5], distance[:, 11] = 3 * middle, 3.0
    chance = 1 - (1 - 0.05 / 20) ** (1 / 11)
    assert _unlikely(distance, 20, SETTINGS) == pytest.approx(chance ** (1 / dimensions))
    # copies, which lie in one place, have no say
    distance[:12, 11] = distance[:12, 5] = 0.0
    assert _unlikely(distance, 20, SETTINGS) == pytest.approx(chance ** (1 / dimensions))


def test_of_three_neighbours_the_first_and_of_two_none_tells_it() -> None:
    chance = 1 - (1 - 0.05 / 20) ** 0.5
    three = np.tile([1.0, 1.5, 3.0], (20, 1))
    assert _unlikely(three, 20, SETTINGS) == pytest.approx(chance)
    assert _unlikely(three[:, :2], 20, SETTINGS) == 0.0
    for lame in (np.ones((20, 6)), np.zeros((20, 6)), np.tile([0, 0, 0, 1.0], (20, 1))):
        assert _unlikely(lame, 20, SETTINGS) == 0.0


def test_a_quarter_and_a_half_of_the_neighbours_but_three_at_least_are_asked() -> None:
    assert [_references(k) for k in (1, 2, 3, 4, 6, 8, 12, 16)] == [
        [1], [2], [3], [3, 4], [3, 6], [3, 4, 8], [3, 6, 12], [4, 8, 16],
    ]  # fmt: skip


# ---- distances


def test_a_shift_and_a_stretch_in_time_are_taken_out() -> None:
    rng = np.random.default_rng(1)
    slope = rng.normal(size=(5, 2 * POINTS))
    stretch = slope * np.tile(np.linspace(-1, 1, POINTS), 2)
    shift, pace = np.array([[0.3, -0.9, 0.0, 1.0, 0.5], [0.4, 1.0, -0.9, 0.0, -0.2]])[..., None]
    gap = shift * slope + pace * stretch
    assert _aligned(gap, slope) == pytest.approx(0.0, abs=1e-9)
    gap += 0.1 * rng.normal(size=gap.shape)
    for k in range(5):
        basis = np.stack([slope[k], stretch[k]], axis=1)
        rest = gap[k] - basis @ np.clip(np.linalg.lstsq(basis, gap[k], rcond=None)[0], -1, 1)
        assert _aligned(gap, slope)[k] == pytest.approx(np.sqrt(np.mean(rest**2)))


@pytest.mark.parametrize(("times", "left"), [(0.9, 0.0), (1.5, 0.5), (-1.5, 0.5), (-3.0, 2.0)])
def test_no_more_than_one_place_is_taken_out(times: float, left: float) -> None:
    slope = np.ones((1, POINTS))
    stretch = np.linspace(-1, 1, POINTS)[None]
    assert _aligned(times * slope, slope)[0] == pytest.approx(left, abs=1e-9)
    size = float(np.sqrt(np.mean(stretch**2)))
    assert _aligned(times * stretch, slope)[0] == pytest.approx(left * size, abs=1e-9)


def test_where_shift_and_stretch_are_one_or_nothing_moves_nothing_is_taken_out() -> None:
    lone = np.zeros((2, POINTS))
    lone[0, 3] = 1.0
    assert _aligned(lone + 1.0, lone).tolist() == pytest.approx([np.sqrt((11 + 4) / 12), 1.0])


def test_neighbours_come_nearest_first_and_without_oneself() -> None:
    place, distance = _neighbours(Motions(np.arange(4), level([0.0, 1.0, 3.0, 7.0]), np.zeros(4)), 2)
    assert place.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    assert distance == pytest.approx(np.array([[1, 3], [1, 2], [2, 3], [4, 6]]))


def test_neighbours_among_many_are_those_that_all_pairs_tell() -> None:
    rng = np.random.default_rng(2)
    kinds = np.stack([np.r_[WAY, WAY**2], np.r_[np.sin(3 * WAY), 0 * WAY], np.r_[0 * WAY, np.cos(5 * WAY)]])
    n, k = 300, 3
    values = rng.normal(size=(n, 3)) @ kinds
    place, distance = _neighbours(Motions(np.arange(n), values, np.zeros(n)), k)
    slopes = np.gradient(values.reshape(n, -1, POINTS), axis=2).reshape(n, -1)
    for i in (0, 255, 256, 299):
        for c in range(k):
            j = place[i, c]
            assert j != i
            basis = 0.5 * (slopes[i] + slopes[j])
            assert distance[i, c] == pytest.approx(_aligned((values[i] - values[j])[None], basis[None])[0])
        assert (np.diff(distance[i]) >= 0).all()


# ---- standardised motions


def test_motions_are_told_in_spreads_of_their_slot() -> None:
    n = 11
    values = np.stack([level(np.arange(n)), level(np.full(n, 4.0))], axis=1)
    table = measures(n, noise=slots(np.tile([0.8, 5.0], (n, 1))))
    spread = 8.0 / DECILES
    made = _standardised(table, np.arange(n), 1, courses(values))
    assert made.values == pytest.approx(level((np.arange(n) - 5.0) / spread))
    assert made.noise == pytest.approx(0.8 / spread)
    values[2, 0, 4] = np.nan
    assert _standardised(table, np.arange(n), 1, courses(values)).values[2, 4] == 0.0


def test_the_noise_of_all_slots_and_arms_that_vary_is_their_root_mean_square() -> None:
    n = 11
    x = np.zeros((2 * n, 3, POINTS))
    x[::2, 0], x[1::2, 1] = level(np.arange(n)), level(2 * np.arange(n))
    noise = slots(np.tile([[0.3, 9.0, 9.0], [9.0, 0.8, np.nan]], (n, 1)))
    table = measures(2 * n, noise=noise, episode_index=np.repeat(range(n), 2))
    made = _standardised(table, np.arange(0, 2 * n, 2), 2, courses(x))
    spread = 8.0 / DECILES
    assert made.values.shape == (n, 2 * POINTS)
    assert made.values[:, 0] == pytest.approx((np.arange(n) - 5) / spread)
    assert made.values[:, -1] == pytest.approx((np.arange(n) - 5) / spread)
    assert made.noise == pytest.approx(np.sqrt((0.3**2 + 0.4**2) / 2) / spread)
    still = _standardised(table, np.arange(0, 2 * n, 2), 2, courses(0 * x))
    assert still.values.shape == (n, 0)
    assert still.noise.tolist() == [0.0] * n


def test_motions_are_compared_of_the_same_arms_and_layouts_where_they_move() -> None:
    def rows(n: int = 4, **more: Any) -> list[list[int]]:
        table = measures(n, noise=0.1, **more)
        x = courses(np.arange(n)[:, None, None] * WAY[None, None])
        first = np.unique(table.episode_index, return_index=True)[1]
        return [each.row.tolist() for each in _motions(table, first, x)]

    assert rows() == [[0, 1, 2, 3]]
    assert rows(robot=["a", "a", "b", "b"]) == [[0, 1, 2, 3]]
    assert rows(manipulator=["a", "a", "b", "b"]) == [[0, 1], [2, 3]]
    assert rows(layout=["a", "a", "a", "b"]) == [[0, 1, 2]]
    assert rows(content=[1, 0, 2, 0]) == [[0, 2]]
    assert rows(6, content=[1, 0, 0, 2, 0, 0], **BOTH) == [[0, 2]]
    assert rows(6, layout=["a", "b", "a", "c", "a", "b"], **BOTH) == [[0, 4]]


# ---- told


def crowd(n: int = 20) -> Any:
    """Courses of three joints that differ all along."""
    return np.random.default_rng(3).normal(size=(n, 3, 1)) * np.stack([WAY, np.sin(4 * WAY), np.cos(3 * WAY)])


def test_a_copy_over_the_motion_or_over_all_is_told_with_the_less_distance() -> None:
    x, other = crowd(), crowd()[::-1]
    again = x.copy()
    again[9] = x[4] + 0.01 * np.cos(9 * WAY)
    nearer = x.copy()
    nearer[9] = x[4] + 0.001 * np.cos(9 * WAY)
    assert found(measures(20, signature=courses(x), whole=courses(other), noise=0.001)) == []
    values = []
    for signature, whole in ((again, other), (other, again), (again, nearer), (nearer, again)):
        rows = found(measures(20, signature=courses(signature), whole=courses(whole), noise=0.001))
        assert told(rows) == [9]
        assert (rows[0].severity, rows[0].start, rows[0].end) == (1.0, 0, FRAMES)
        assert rows[0].details == f"the motion of e4 again; they differ by {rows[0].value:.2g} spreads"
        values.append(rows[0].value)
    assert values[0] == pytest.approx(values[1])
    assert values[2] == pytest.approx(values[3])
    assert values[2] < 0.2 * values[0]


def test_several_copies_of_one_say_how_many_more_there_are() -> None:
    x = crowd()
    x[9], x[12] = x[4] + 0.002 * np.cos(9 * WAY), x[4] - 0.002 * np.cos(9 * WAY)
    rows = found(measures(20, signature=courses(x), noise=0.001))
    assert told(rows) == [9, 12]
    assert all("the motion of e4 again, as 1 more are; they differ" in each.details for each in rows)


def test_a_copy_bit_for_bit_does_not_hide_that_of_another() -> None:
    x = crowd()
    x[9] = x[4] + 0.002 * np.cos(9 * WAY)
    x[7] = x[4]
    content = np.arange(1, 21)
    content[7] = content[4]
    rows = found(measures(20, signature=courses(x), content=content, noise=0.001))
    assert [(each.episode, each.value > 0) for each in rows] == [(7, False), (9, True)]
    assert "e4" in rows[1].details
