"""Grasps that come again: as segments tell them, and as fingers do; each at its limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scripted_tables import table_of_columns
from scripted_tracks import joints, tracks_of
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import Finding
from sima2.defects.grasps import from_gripper, from_segments, grasp_spans
from sima2.defects.tracks import GRIPPER, HAND, Column
from sima2.records.segments import SegmentTable

SETTINGS = DefectSettings()

# ---- segments


def steps(*rows: tuple[Any, ...], **more: Any) -> SegmentTable:
    """Of an episode, an arm, a label, an object, a start, an end, an outcome and a reason each."""
    names = ("episode_id", "manipulator", "label", "object", "start_frame", "end_frame", "outcome", "failure_reason")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return table_of_columns(SegmentTable, len(rows), **columns, **more)


def test_grasps_that_were_tried_again_are_told_to_the_end_of_the_next_one() -> None:
    table = steps(
        ("f", "left", "grasp", "cup", 10, 20, "retry", "missed"),
        ("f", "left", "reach", "cup", 20, 30, "retry", "late"),
        ("f", "left", "grasp", "cup", 30, 40, "retry", "not_closed"),
        ("f", "left", "grasp", "cup", 50, 60, "success", "odd"),
        ("f", "left", "grasp", "cup", 70, 80, "success", ""),
        ("f", "left", "grasp", "pan", 90, 95, "success", ""),
        ("f", "right", "grasp", "cup", 0, 95, "success", ""),
    )
    (row,) = from_segments(table, ["e", "f"], [7, 100])
    assert row == Finding(
        1, "left", "repeated_grasp", 0.5, 10, 60, 2.0, "closings before",
        "2 of 3 grasps at cup failed and came again (missed, not closed)",
    )  # fmt: skip


def test_a_retry_without_another_grasp_ends_with_itself() -> None:
    table = steps(("e", "arm", "grasp", "", 10, 20, "retry", ""), ("e", "arm", "grasp", "", 30, 40, "retry", ""))
    (row,) = from_segments(table, ["e"], [40])
    assert (row.start, row.end, row.value, row.severity) == (10, 40, 2.0, 0.75)
    assert row.details == "2 of 2 grasps failed and came again"
    (row,) = from_segments(table, ["e"], [0])
    assert row.severity == 30.0


def test_what_did_not_fail_or_is_of_another_episode_is_not_told() -> None:
    assert from_segments(steps(("e", "arm", "grasp", "", 10, 20, "success", "")), ["e"], [40]) == []
    assert from_segments(steps(("other", "arm", "grasp", "", 10, 20, "retry", "")), ["e"], [40]) == []
    assert from_segments(steps(("e", "arm", "lift", "", 10, 20, "retry", "")), ["e"], [40]) == []


def test_the_spans_of_grasps_are_told_by_episode_and_arm() -> None:
    table = steps(
        ("f", "left", "grasp", "", 1, 2, "", ""),
        ("f", "left", "place", "", 3, 4, "", ""),
        ("f", "left", "grasp", "", 5, 6, "", ""),
        ("e", "right", "grasp", "", 7, 8, "", ""),
    )
    assert grasp_spans(table, ["e", "f"]) == {(1, "left"): [(1, 2), (5, 6)], (0, "right"): [(7, 8)]}


# ---- fingers

N = 100
WIDTH, OPENING = (Column("arm", name, 0, GRIPPER) for name in ("gripper_width", "gripper_opening"))


def fingers(*turns: tuple[int, float], start: float = 1.0, frames: int = N) -> Any:
    """Open at first, and from each of these frames on at this value."""
    out = np.full(frames, start)
    for at, value in turns:
        out[at:] = value
    return out


TWICE = ((10, 0.0), (20, 1.0), (30, 0.0), (60, 1.0))
"""Closes, opens, closes again and opens."""


def grasps(grip: Any, place: Any = None, *, column: Column = WIDTH, noise: float = 0.0, **more: Any) -> list[Finding]:
    """Of the second of two episodes, in which a joint goes its way once the fingers have closed for good."""
    grip = np.asarray(grip, float)
    way = fingers((50, 1.0), start=0.0, frames=len(grip)) if place is None else place
    own = np.stack([way, grip], axis=1)
    before = np.stack([np.zeros(9), np.ones(9)], axis=1)
    columns = more.pop("columns", (*joints(1), column))
    rows = from_gripper(
        tracks_of(
            [np.ones(9), np.ones(0), np.ones(len(grip))], [before, before[:0], own], columns=columns, noise=noise
        ),
        SETTINGS,
    )
    assert {each.episode for each in rows} <= {2}
    return rows


def test_fingers_that_close_again_at_the_same_place_are_told() -> None:
    (row,) = grasps(fingers(*TWICE))
    assert row == Finding(
        2, "arm", "repeated_grasp", 0.21, 10, 31, 1.0, "closings before",
        "closes 2 times at the same place, and opens between without having gone anywhere",
    )  # fmt: skip
    (row,) = grasps(fingers((5, 0.0), (9, 1.0), (12, 0.0), (15, 1.0), *TWICE[2:]))
    assert (row.start, row.end, row.value) == (5, 31, 2.0)
    assert row.details.startswith("closes 3 times")


def test_chains_are_told_one_by_one() -> None:
    way = fingers((37, 0.5), (77, 1.0), start=0.0)
    grip = fingers((10, 0.0), (20, 1.0), (30, 0.0), (40, 1.0), (50, 0.0), (60, 1.0), (70, 0.0), (90, 1.0))
    assert [(each.start, each.end, each.value) for each in grasps(grip, way)] == [(10, 31, 1.0), (50, 71, 1.0)]


@pytest.mark.parametrize(("off", "count"), [(0.099, 1), (0.101, 0), (-0.101, 0)])
@pytest.mark.parametrize("at", [11, 19])
def test_what_was_carried_for_a_tenth_of_the_way_was_no_vain_grasp(off: float, count: int, at: int) -> None:
    way = fingers((50, 1.0), start=0.0)
    way[at] = off
    # of a range that may grow by it
    way[50:] += min(off, 0.0)
    assert len(grasps(fingers(*TWICE), way)) == count


@pytest.mark.parametrize(
    ("off", "at", "count"), [(0.24, 30, 1), (0.26, 30, 0), (0.26, 31, 1), (-0.26, 25, 0), (0.26, 9, 1)]
)
def test_what_closes_elsewhere_is_another_grasp(off: float, at: int, count: int) -> None:
    way = fingers((50, 1.0), start=0.0)
    way[at] = off
    way[50:] += min(off, 0.0)
    assert len(grasps(fingers(*TWICE), way)) == count


def test_what_was_closed_from_the_first_frame_on_was_no_attempt() -> None:
    assert grasps(fingers((0, 0.0), (20, 1.0), (30, 0.0), (60, 1.0))) == []
    assert len(grasps(fingers((1, 0.0), (20, 1.0), (30, 0.0), (60, 1.0)))) == 1


def test_one_closing_or_a_way_between_tells_nothing() -> None:
    assert grasps(fingers((10, 0.0), (20, 1.0))) == []
    assert grasps(fingers(*TWICE), fingers((15, 1.0), start=0.0)) == []
    assert len(grasps(fingers((10, 0.0), (20, 1.0), (30, 0.0)))) == 1


def test_where_nothing_but_the_fingers_moves_nothing_is_told() -> None:
    assert grasps(fingers(*TWICE), np.zeros(N)) == []
    own = tracks_of([np.ones(N)], [fingers(*TWICE)[:, None]], columns=(WIDTH,))
    assert from_gripper(own, SETTINGS) == []


def test_hands_tell_the_place_where_there_are_no_joints() -> None:
    hand = Column("arm", "ee_position", 0, HAND)
    assert len(grasps(fingers(*TWICE), columns=(hand, WIDTH))) == 1
    # beside joints they are not asked, nor those of another arm
    jumps = np.stack([fingers((50, 1.0), start=0.0), fingers((15, 1.0), start=0.0), fingers(*TWICE)], axis=1)
    for columns in ((*joints(1), hand, WIDTH), (*joints(1), *joints(1, "other"), WIDTH)):
        assert len(from_gripper(tracks_of([np.ones(N)], [jumps], columns=columns), SETTINGS)) == 1
    other = (*joints(1, "other"), WIDTH)
    assert from_gripper(tracks_of([np.ones(N)], [jumps[:, [0, 2]]], columns=other), SETTINGS) == []


def test_the_joint_that_moves_most_tells_how_far_is_far() -> None:
    little = np.where(np.arange(N) == 15, 0.2, 0.0)
    for far, count in ((1.9, 0), (2.1, 1)):
        own = np.stack([little, fingers((50, far), start=0.0), fingers(*TWICE)], axis=1)
        assert len(from_gripper(tracks_of([np.ones(N)], [own], columns=(*joints(2), WIDTH)), SETTINGS)) == count


# ---- whether fingers close at all


@pytest.mark.parametrize(("shut", "open_", "count"), [(0.34, 0.66, 1), (0.36, 0.66, 0), (0.34, 0.64, 0)])
@pytest.mark.parametrize("scale", [1.0, 0.08])
def test_fingers_close_and_open_beyond_a_third_and_two_thirds_of_their_range(
    shut: float, open_: float, count: int, scale: float
) -> None:
    grip = fingers((10, shut), (20, open_), (30, 0.0), (60, 1.0))
    assert len(grasps(scale * grip)) == count


def test_what_lies_between_is_still_what_it_was() -> None:
    (row,) = grasps(fingers((8, 0.5), (10, 0.0), (14, 0.5), (16, 0.0), (18, 0.5), (20, 1.0), *TWICE[2:]))
    assert (row.start, row.end) == (10, 31)
    # what is carried on the way there counts
    way = fingers((50, 1.0), start=0.0)
    way[19] = 0.2
    grip = fingers((10, 0.0), (18, 0.5), (20, 1.0), *TWICE[2:])
    assert grasps(grip, way) == []


@pytest.mark.parametrize(("noise", "count"), [(0.099, 1), (0.101, 0)])
def test_a_range_within_ten_times_the_noise_is_no_way(noise: float, count: int) -> None:
    assert len(grasps(fingers(*TWICE), noise=noise)) == count


@pytest.mark.parametrize("column", [WIDTH, OPENING])
@pytest.mark.parametrize(("low", "count"), [(0.84, 1), (0.86, 0), (-0.86, 1)])
def test_a_range_of_less_than_a_seventh_of_the_widest_is_play(column: Column, low: float, count: int) -> None:
    assert len(grasps(low + (1 - low) * fingers(*TWICE), column=column)) == count
    assert len(grasps(-1.0 + (1 - low) * fingers(*TWICE), column=column)) == count


@pytest.mark.parametrize(("wide", "count"), [(0.14, 0), (0.16, 1)])
def test_an_opening_must_go_through_a_seventh_of_the_whole_way_and_a_width_need_not(wide: float, count: int) -> None:
    assert len(grasps(wide * fingers(*TWICE), column=OPENING)) == count
    assert len(grasps(wide * fingers(*TWICE))) == 1


@pytest.mark.parametrize(("frames", "count"), [(11, 0), (12, 1)])
def test_fingers_that_change_in_three_of_ten_frames_by_counts_only_tremble(frames: int, count: int) -> None:
    grip = fingers((2, 0.0), (4, 1.0), (6, 0.0), frames=frames)
    way = fingers((8, 1.0), start=0.0, frames=frames)
    assert len(grasps(grip, way)) == count


@pytest.mark.parametrize(("counts", "count"), [(29, 0), (31, 1)])
def test_restless_fingers_go_through_thirty_counts(counts: int, count: int) -> None:
    grip = fingers((2, 0.0), (4, 1.0), (6, 0.0), frames=11)
    grip[7] = 1.0 / counts
    way = fingers((8, 1.0), start=0.0, frames=11)
    assert len(grasps(grip, way)) == count


def test_each_gripper_speaks_for_its_own_arm() -> None:
    other = Column("other", "gripper_width", 0, GRIPPER)
    columns = (*joints(1), WIDTH, *joints(1, "other"), other)
    way = fingers((50, 1.0), start=0.0)
    own = np.stack([way, fingers(*TWICE), way, fingers((5, 0.0), (8, 1.0), (12, 0.0))], axis=1)
    rows = from_gripper(tracks_of([np.ones(N)], [own], columns=columns), SETTINGS)
    assert [(each.manipulator, each.start) for each in rows] == [("arm", 10), ("other", 5)]
    assert from_gripper(tracks_of([np.ones(0)], columns=columns), SETTINGS) == []
