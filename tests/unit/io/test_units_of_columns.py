"""The unit of each column is its own: by name, by size without wild samples, by resolution, by slope."""

from __future__ import annotations

import numpy as np
import pytest

from recordings import NAMES, laid, recordings, sample_of
from sima2.io.column_guess import guess
from sima2.io.column_map import ColumnMap
from sima2.io.column_units import joint_units

MADE = recordings(8)
LARGEST = float(np.abs(np.concatenate([each.joints for each in MADE])).max())


def guessed(states: list[np.ndarray], names: list[str]) -> ColumnMap:
    made = sample_of(states)
    return guess({"observation.state": names}, made, fps=25.0)


def joints_of(made: ColumnMap, state: np.ndarray) -> np.ndarray:
    return made.arms["arm"]["joint_position"].read("joint_position", {"observation.state": state})


@pytest.mark.parametrize("wild", [12.0, -700.0, 4e4])
def test_a_wild_sample_decides_nothing(wild: float) -> None:
    states = laid(MADE)
    states[2][30, 4] = wild
    made = guessed(states, [*NAMES, "gripper"])
    np.testing.assert_allclose(joints_of(made, states[5]), MADE[5].joints)
    assert made.arms["arm"]["joint_position"].index == (0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize("turns", [-2, 1, 3])
def test_a_joint_that_has_gone_round_is_still_in_rad(turns: int) -> None:
    states = laid(MADE, joints=lambda q: q + np.array([0, 0, 0, 0, 0, turns * 2 * np.pi]))
    made = guessed(states, [*NAMES, "gripper"])
    np.testing.assert_allclose(joints_of(made, states[1]), states[1][:, :6])


@pytest.mark.parametrize("degrees", [(0, 1, 2), (5,), (0, 1, 2, 3, 4)])
def test_columns_in_degrees_beside_columns_in_rad_are_each_read_in_theirs_with_a_warning(
    degrees: tuple[int, ...],
) -> None:
    factor = np.where(np.isin(np.arange(6), degrees), 180 / np.pi, 1.0)
    states = laid(MADE, joints=lambda q: q * factor)
    made = guessed(states, [*NAMES, "gripper"])
    np.testing.assert_allclose(joints_of(made, states[1]), MADE[1].joints, rtol=1e-6)
    assert any("unit of [arms" in each and "confidence" in each for each in made.warnings)


def test_degrees_in_all_columns_need_no_warning() -> None:
    states = laid(MADE, joints=np.degrees)
    made = guessed(states, [*NAMES, "gripper"])
    np.testing.assert_allclose(joints_of(made, states[1]), MADE[1].joints, rtol=1e-6)
    assert not any("joint_position" in each for each in made.warnings)


def test_a_parked_joint_has_the_unit_of_the_others() -> None:
    still = np.array([1, 1, 1, 1, 1, 0.0])
    aside = np.array([0, 0, 0, 0, 0, 1.5])
    states = [np.column_stack([np.degrees(each.joints * still) + aside, each.opening]) for each in MADE]
    rng = np.random.default_rng(0)
    states = [each + np.column_stack([rng.normal(0, 0.02, (len(each), 6)), np.zeros(len(each))]) for each in states]
    assert guessed(states, [*NAMES, "gripper"]).arms["arm"]["joint_position"].units == ()


@pytest.mark.parametrize(("suffix", "factor"), [("deg", 180 / np.pi), ("rad", 1.0), ("turns", 0.5 / np.pi)])
def test_a_unit_in_the_name_is_taken_at_its_word(suffix: str, factor: float) -> None:
    states = laid(MADE, joints=lambda q: q * factor)
    made = guessed(states, [*(f"{name}_{suffix}" for name in NAMES), "gripper"])
    np.testing.assert_allclose(joints_of(made, states[3]), MADE[3].joints, rtol=1e-6)


@pytest.mark.parametrize(("size", "unit"), [(1.0, "m"), (100.0, "cm"), (1000.0, "mm")])
def test_a_slide_among_joints_that_turn_is_a_length(size: float, unit: str) -> None:
    states = [np.column_stack([each.joints, size * (0.2 + 0.1 * each.joints[:, 0]), each.opening]) for each in MADE]
    made = guessed(states, [*NAMES, "lift", "gripper"])
    assert made.arms["arm"]["joint_position"].units in (("rad",) * 6 + (unit,), ())
    np.testing.assert_allclose(joints_of(made, states[0])[:, 6], states[0][:, 6] / size, rtol=1e-6)
    assert any("slide" in each for each in made.warnings) == (unit != "m")


def test_counts_of_an_encoder_are_not_angles() -> None:
    states = laid(MADE, joints=lambda q: 2048 + q * 651.9)
    made = guessed(states, [*NAMES, "gripper"])
    assert "joint_position" not in made.arms["arm"]
    assert any("neither radians nor degrees" in each for each in made.warnings)


@pytest.mark.parametrize(("factor", "unit"), [(1.0, "rad/s"), (180 / np.pi, "deg/s"), (9.55, None)])
def test_the_slope_of_the_positions_tells_the_unit_of_velocities(factor: float, unit: str | None) -> None:
    speeds = [np.gradient(each.joints, axis=0) * 25.0 * factor for each in MADE]
    states = [np.column_stack([each.joints, speed, each.opening]) for each, speed in zip(MADE, speeds, strict=True)]
    made = guessed(states, [*NAMES, *(f"{name}.vel" for name in NAMES), "gripper"])
    found = made.arms["arm"].get("joint_velocity")
    assert (found.unit if found else None) == unit


def test_a_joint_that_turns_on_and_on_stays_in_the_unit_of_the_others() -> None:
    turning = np.linspace(0, 3000, 4000)[:, None]
    rest = np.degrees(np.concatenate([each.joints for each in MADE]))[:4000]
    values = np.hstack([rest[: len(turning)], turning[: len(rest)]])
    found = joint_units(values, [""] * 7)
    assert set(found.units) == {"deg"}
    assert found.doubt


def test_a_parked_arm_has_the_unit_of_the_arm_beside_it() -> None:
    parked = np.array([152.5, 0.3, 43.1, -12.0, 90.0, 0.0])
    states = [np.hstack([np.tile(parked, (len(each), 1)), np.degrees(each.joints)]) for each in MADE]
    names = [*(f"left_{name}" for name in NAMES), *(f"right_{name}" for name in NAMES)]
    made = guessed(states, names)
    assert [made.arms[arm]["joint_position"].unit for arm in ("left", "right")] == ["deg", "deg"]
    alone = guessed([state[:, :6] for state in states], NAMES)
    assert alone.arms["arm"]["joint_position"].unit == "deg"
