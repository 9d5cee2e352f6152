"""What the numbers of a gripper tell: a width, a share, a bit, a range whose closed end is not known; and their way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recordings import NAMES, Recording, laid, recordings, sample_of, write_set
from sima2 import SegmentationEngine
from sima2.io.column_guess import guess
from sima2.io.column_map import Columns, parse_column_map
from sima2.io.formats import open_dataset

ONE_SIZE = recordings(10)
WITH_EMPTY = [*recordings(7), *recordings(10, held=0.0)[7:]]


def gripper(made: list[Recording], numbers, name: str = "gripper", robot: str = "") -> Columns:
    states = laid(made, gripper=numbers)
    arm = guess({"observation.state": [*NAMES, name]}, sample_of(states), robot=robot).arms["arm"]
    return arm.get("gripper_opening") or arm["gripper_width"]


def grasps(root: Path) -> list[list[str]]:
    """Outcomes of the grasps of each episode."""
    batch = open_dataset(root).read(0, 100).batch
    table = SegmentationEngine().segment(batch)
    rows = table.label.isin("grasp")
    return [table.outcome[rows & table.episode_id.isin(name)].tolist() for name in batch.episodes.episode_id]


@pytest.mark.parametrize("numbers", [lambda g: 80 * g, lambda g: 1000 + 900 * g, lambda g: 0.3 + 0.1 * g])
def test_fingers_that_always_stop_at_one_thing_do_not_tell_their_closed_end(tmp_path: Path, numbers) -> None:
    assert gripper(ONE_SIZE, numbers).kind == "closed_unknown"
    root = write_set(tmp_path / "set", laid(ONE_SIZE, gripper=numbers), [*NAMES, "gripper"])
    assert {outcome for each in grasps(root) for outcome in each} <= {"unknown", "success"}
    warnings = open_dataset(root).describe().warnings
    assert any("most closed" in each and "kind of [arms.arm.gripper_opening]" in each for each in warnings)


@pytest.mark.parametrize("numbers", [lambda g: 80 * g, lambda g: 0.05 + 0.9 * g])
def test_fingers_that_went_farther_than_the_thing_tell_held_from_empty(tmp_path: Path, numbers) -> None:
    assert gripper(WITH_EMPTY, numbers).kind == "share"
    root = write_set(tmp_path / "set", laid(WITH_EMPTY, gripper=numbers), [*NAMES, "gripper"])
    found = grasps(root)
    assert [each[0] for each in found] == ["success"] * 7 + ["failure"] * 3


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.0), (1.0, -1.0)])
def test_a_bit_says_nothing_of_what_is_held(tmp_path: Path, low: float, high: float) -> None:
    states = laid(ONE_SIZE, gripper=lambda g: np.where(g > 0.7, high, low))
    root = write_set(tmp_path / "set", states, [*NAMES, "gripper"])
    found = open_dataset(root)
    assert found.column_map.arms["arm"]["gripper_opening"].kind == "bit"
    assert np.isnan(found.read(0, 1).batch.arm.gripper_closed).all()
    assert {outcome for each in grasps(root) for outcome in each} == {"unknown"}
    table = SegmentationEngine().segment(found.read(0, 1).batch)
    assert {"lift", "transport"} <= set(table.label)


@pytest.mark.parametrize("inverted", [False, True])
def test_a_hand_that_is_parked_shut_is_told_by_what_it_carries(tmp_path: Path, inverted: bool) -> None:
    made = recordings(8, parked=0.0)
    states = laid(made, gripper=lambda g: 1 - g if inverted else g)
    batch = open_dataset(write_set(tmp_path / "set", states, [*NAMES, "gripper"])).read(0, 8).batch
    for k, each in enumerate(made):
        assert np.corrcoef(batch[k].gripper_opening, each.opening)[0, 1] > 0.9


def test_a_merged_set_of_two_polarities_is_read_each_its_own_way_with_a_warning(tmp_path: Path) -> None:
    states = [*laid(ONE_SIZE[:7]), *laid(ONE_SIZE[7:], gripper=lambda g: 1 - g)]
    found = open_dataset(write_set(tmp_path / "set", states, [*NAMES, "gripper"], numbers=range(100, 110)))
    taken = found.read(0, 10)
    for k, each in enumerate(ONE_SIZE):
        assert np.corrcoef(taken.batch[k].gripper_opening, each.opening)[0, 1] > 0.9
    assert any("107, 108, 109" in each for each in found.describe().warnings)
    assert sum("the other way round" in each for each in taken.warnings) == 3


def test_a_single_odd_episode_turns_nothing_round(tmp_path: Path) -> None:
    states = [*laid(ONE_SIZE[:9]), *laid(ONE_SIZE[9:], gripper=lambda g: 1 - g)]
    made = guess({"observation.state": [*NAMES, "gripper"]}, sample_of(states))
    assert made.arms["arm"]["gripper_opening"].polarity == "set"


def test_fingers_that_slide_are_a_width_where_the_robot_is_known() -> None:
    columns = [np.column_stack([each.joints, 0.04 * each.opening, 0.04 * each.opening]) for each in ONE_SIZE]
    names = [*NAMES, "panda_finger_joint1", "panda_finger_joint2"]
    arm = guess({"observation.state": names}, sample_of(columns), robot="panda").arms["arm"]
    width = arm["gripper_width"].read("gripper_width", {"observation.state": columns[0]})
    np.testing.assert_allclose(width, 0.08 * ONE_SIZE[0].opening)


def test_a_width_in_mm_by_name_is_in_m() -> None:
    found = gripper(ONE_SIZE, lambda g: 85 * g, name="gripper_width_mm")
    assert found.unit == "mm"


def test_a_command_stands_in_for_a_gripper_that_is_not_recorded(tmp_path: Path) -> None:
    states = [each.joints for each in ONE_SIZE]
    root = write_set(tmp_path / "set", states, NAMES, actions=[each.command for each in ONE_SIZE])
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["action"]["names"] = [*NAMES, "gripper"]
    (root / "meta/info.json").write_text(json.dumps(info))
    found = open_dataset(root)
    assert found.column_map.arms["arm"]["gripper_opening"].kind == "command"
    assert any("told to close" in each for each in found.describe().warnings)
    assert {outcome for each in grasps(root) for outcome in each} == {"unknown"}


def test_kinds_and_polarities_are_kept_by_a_map(tmp_path: Path) -> None:
    made = guess(
        {"observation.state": [*NAMES, "gripper"]},
        sample_of([*laid(ONE_SIZE[:7]), *laid(ONE_SIZE[7:], gripper=lambda g: 1 - g)]),
    )
    text = made.to_toml()
    assert 'polarity = "each"' in text
    assert parse_column_map(text, "here").arms == made.arms
