"""What no word list knows is no joint: it is told by what it does, or left over and listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recordings import NAMES, Recording, laid, recordings, sample_of, write_set
from sima2.io.column_guess import guess
from sima2.io.column_map import ColumnMap
from sima2.io.formats import open_dataset

MADE = recordings(8)
RNG = np.random.default_rng(5)


def guessed(states: list[np.ndarray], names: list[str], robot: str = "") -> ColumnMap:
    return guess({"observation.state": names}, sample_of(states), robot=robot, fps=25.0)


def opening_goes_with(made: ColumnMap, state: np.ndarray, opening: np.ndarray, arm: str = "arm") -> float:
    found = made.arms[arm]["gripper_opening"].read("gripper_opening", {"observation.state": state})
    return float(np.corrcoef(found, opening)[0, 1])


Strange = Callable[[Recording], np.ndarray]
STRANGERS: dict[str, tuple[list[str], Strange]] = {
    "temperatures": ([f"{name}.temperature" for name in NAMES], lambda e: 40 + RNG.normal(0, 0.2, (len(e), 6))),
    "a wrench": (["wrench_fx", "wrench_fy", "wrench_tz"], lambda e: RNG.normal(0, 900, (len(e), 3))),
    "an IMU": (["imu_acc_x", "imu_gyro_y"], lambda e: 9.8 + RNG.normal(0, 0.1, (len(e), 2))),
    "a battery": (["battery_soc"], lambda e: np.linspace(99, 98, len(e))[:, None]),
    "a clock": (["ros_time"], lambda e: 1.7e9 + np.arange(len(e))[:, None] / 25),
    "a flag": (["is_homed_flag"], lambda e: np.ones((len(e), 1))),
    "a word unknown": (["flux_capacitor"], lambda e: RNG.normal(0, 30, (len(e), 1))),
    "a torque that is no joint's": (["torque_x"], lambda e: RNG.normal(0, 3, (len(e), 1))),
    "cosines": ([f"joint_{k}_cos" for k in range(6)], lambda e: np.cos(e.joints)),
    "the leader's arm": ([f"leader_joint_{k}" for k in range(6)], lambda e: np.degrees(e.joints)),
}


@pytest.mark.parametrize("what", STRANGERS)
def test_a_stranger_in_the_state_is_no_joint_and_is_listed(tmp_path: Path, what: str) -> None:
    names, values = STRANGERS[what]
    states = [np.column_stack([each.joints, each.opening, values(each)]) for each in MADE]
    found = open_dataset(write_set(tmp_path / "set", states, [*NAMES, "gripper", *names]))
    arm = found.read(0, 1).batch.arm
    np.testing.assert_allclose(arm.joint_position, MADE[0].joints, atol=1e-6)
    assert arm.gripper_opening is not None
    assert set(found.describe().unmapped) >= {f"observation.state.{name}" for name in names}


def test_four_columns_of_norm_one_are_an_orientation_though_their_names_are_not_understood() -> None:
    half = [each.joints[:, :1] / 2 for each in MADE]
    spin = [np.hstack([0 * h, 0 * h, np.sin(h), np.cos(h)]) for h in half]
    states = [np.column_stack([each.joints, each.opening, q]) for each, q in zip(MADE, spin, strict=True)]
    named = guessed(states, [*NAMES, "gripper", *(f"ee_quat_{axis}" for axis in "xyzw")])
    unknown = guessed(states, [*NAMES, "gripper", *(f"haltung{k}" for k in "abcd")])
    for made in (named, unknown):
        read = made.arms["arm"]["ee_orientation"].read("ee_orientation", {"observation.state": states[0]})
        np.testing.assert_allclose(read, spin[0][:, [3, 0, 1, 2]])
        assert len(made.arms["arm"]["joint_position"].index or ()) == 6
    assert any("orientation" in each for each in unknown.warnings)


@pytest.mark.parametrize("name", ["drive_joint", "effector", "trigger", "夹爪", "rh_r1_joint", "Zange", "joint_7"])
def test_a_gripper_by_another_name_is_found(name: str) -> None:
    states = laid(MADE)
    made = guessed(states, [*NAMES, name])
    inverted = name == "drive_joint"  # larger is more closed, by the xArm gripper's description
    assert opening_goes_with(made, states[0], MADE[0].opening) * (-1 if inverted else 1) > 0.9
    assert len(made.arms["arm"]["joint_position"].index or ()) == 6


def test_joints_alone_make_no_gripper_and_that_is_said() -> None:
    made = guessed([each.joints for each in MADE], NAMES)
    assert "gripper_opening" not in made.arms["arm"]
    assert any("no gripper was found" in each for each in made.warnings)


@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("names", [[], ["state"] * 7, [str(k) for k in range(7)], [f"joint_{k}" for k in range(7)]])
def test_a_gripper_among_columns_without_names_is_told_by_what_it_does(names: list[str], place: int) -> None:
    states = [np.insert(each.joints, place, each.opening, axis=1) for each in MADE]
    made = guessed(states, names)
    assert made.arms["arm"]["gripper_opening"].index == (place,)
    assert opening_goes_with(made, states[2], MADE[2].opening) > 0.9
    assert any("taken as" in each and "confidence" in each for each in made.warnings)


def test_two_arms_without_names_are_told_by_their_grippers() -> None:
    right = recordings(8, held=0.5)
    for each, other in zip(MADE, right, strict=True):
        assert len(each) == len(other)
    states = [np.column_stack([a.joints, a.opening, b.joints, b.opening]) for a, b in zip(MADE, right, strict=True)]
    made = guessed(states, [])
    assert {arm: made.arms[arm]["gripper_opening"].index for arm in made.arms} == {"left": (6,), "right": (13,)}
    assert opening_goes_with(made, states[0], right[0].opening, "right") > 0.9


def test_a_robot_s_name_tells_its_layout() -> None:
    still = [np.column_stack([each.joints[:, :5], 0.4 + 0.001 * each.joints[:, 5]]) for each in MADE]
    made = guessed(still, [], robot="so101_follower")
    assert made.arms["arm"]["joint_position"].index == (0, 1, 2, 3, 4)


def test_two_fingers_of_one_hand_are_no_two_arms() -> None:
    states = [np.column_stack([each.joints, 0.04 * each.opening, -0.04 * each.opening]) for each in MADE]
    made = guessed(states, [*NAMES, "gripper_qpos_left", "gripper_qpos_right"])
    assert list(made.arms) == ["arm"]
    assert opening_goes_with(made, states[0], MADE[0].opening) > 0.9


def test_parts_of_the_state_in_features_of_their_own_are_read() -> None:
    values = {
        "observation.state.arm": [each.joints for each in MADE],
        "observation.state.tool": [each.opening[:, None] for each in MADE],
    }
    starts = np.cumsum([0, *map(len, MADE)])[:-1]
    made = guess(
        {"observation.state.arm": NAMES, "observation.state.tool": ["tool"]},
        type(sample_of([np.zeros((1, 1))]))({name: np.concatenate(each) for name, each in values.items()}, starts),
    )
    assert set(made.arms["arm"]) == {"joint_position", "gripper_opening"}


def test_every_column_unknown_is_said_with_the_line_to_edit() -> None:
    made = guess({"observation.readings": ["a", "b"]}, sample_of([np.zeros((9, 2))], "observation.readings"))
    assert made.arms == {}
    assert any("[arms.arm.joint_position]" in each for each in made.warnings)
