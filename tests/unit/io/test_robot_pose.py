"""A robot known by name gives the hand its pose; where anything does not fit, there is none, and it is said why."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot_sets import FPS, write_info
from reference_poses import POSTURES, Posture
from test_hand_pose import PLANAR

from sima2.errors import DatasetError, MissingExtraError
from sima2.io.column_map import parse_column_map
from sima2.io.formats import open_dataset
from sima2.io.robot_chains import ArmRow
from sima2.io.robots import ROBOTS, chain_names, chain_row, chain_rows, robot_rows

ROWS = {f"{row.name}_{side}".rstrip("_"): arm for row in ROBOTS for side, arm in row.chains.items()}
FRANKA = [f"panda_joint{k}" for k in range(1, 8)]
G1 = ["ShoulderPitch", "ShoulderRoll", "ShoulderYaw", "Elbow", "WristRoll", "WristPitch", "WristYaw"]
UR = ["shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3"]
ALOHA = ["waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate"]
SO = ["shoulder_pan.pos", "shoulder_lift.pos", "elbow_flex.pos", "wrist_flex.pos", "wrist_roll.pos"]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here needs the physics simulator."""
    monkeypatch.setitem(sys.modules, "mujoco", None)


def swept(row: ArmRow, frames: int = 40) -> np.ndarray:
    """Joints that go to and fro within the middle of their limits."""
    low, high = np.array([(joint.low, joint.high) for joint in row.joints]).T
    phase = np.linspace(0.0, 2.0, frames)[:, None] + np.arange(len(low))
    return np.asarray(0.5 * (low + high) + 0.3 * (high - low) * np.sin(phase) * np.minimum(1.0, 5.0 / (high - low)))


def made(root: Path, robot: str, names: list[str] | None, joints: np.ndarray) -> Path:
    """A set of two episodes of some joints and one gripper column for each arm, the last of the columns."""
    width = joints.shape[1]
    features: dict[str, Any] = {"observation.state": {"dtype": "float32", "shape": [width], "names": names}}
    features |= {
        name: {"dtype": "int64", "shape": [1], "names": None} for name in ("frame_index", "episode_index", "task_index")
    }
    values = {"codebase_version": "v2.1", "robot_type": robot, "total_episodes": 2, "total_frames": 2 * len(joints)}
    write_info(root, {**values, "fps": FPS, "chunks_size": 1000, "splits": {"train": "0:2"}, "features": features})
    (root / "data/chunk-000").mkdir(parents=True)
    episodes = "".join(f'{{"episode_index": {k}, "tasks": ["do"], "length": {len(joints)}}}\n' for k in range(2))
    (root / "meta/episodes.jsonl").write_text(episodes)
    (root / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "do"}\n')
    for k in range(2):
        table = {
            "observation.state": pa.array(joints.astype(np.float32).tolist(), pa.list_(pa.float32(), width)),
            "frame_index": pa.array(np.arange(len(joints))),
            "episode_index": pa.array(np.full(len(joints), k)),
            "task_index": pa.array(np.zeros(len(joints), int)),
        }
        pq.write_table(pa.table(table), root / f"data/chunk-000/episode_{k:06d}.parquet")
    return root


def gripper(frames: int = 40) -> np.ndarray:
    """0 to 1, resting at either end."""
    return np.clip(np.linspace(-2.0, 3.0, frames), 0.0, 1.0)[:, None]


def one_arm(root: Path, robot: str, names: list[str] | None, row: ArmRow, factor: float = 1.0) -> Path:
    named = None if names is None else [*names, "gripper"]
    return made(root, robot, named, np.hstack([factor * swept(row), gripper()]))


def expected(row: ArmRow, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return row.chain({joint.names[0]: place for place, joint in enumerate(row.joints)}).pose(joints)


# ---- the rows


@pytest.mark.parametrize("posture", POSTURES, ids=lambda each: each.robot)
def test_the_hand_is_where_the_published_description_has_it(posture: Posture) -> None:
    position, orientation = expected(ROWS[posture.robot], np.array([posture.joints]))
    np.testing.assert_allclose(position[0], posture.position, atol=1e-6)
    assert abs(float(orientation[0] @ posture.orientation)) == pytest.approx(1.0, abs=1e-6)


def test_every_row_has_reference_poses_a_source_and_a_licence() -> None:
    assert {posture.robot for posture in POSTURES} == set(ROWS)
    for row in ROWS.values():
        assert row.source
        assert row.licence in ("Apache-2.0", "BSD-3-Clause")
        assert all(joint.low < joint.high for joint in row.joints)
        assert all(np.linalg.norm(joint.axis) == 1.0 for joint in row.joints)


def test_a_chain_has_one_name_and_rows_of_a_name_one_chain() -> None:
    for name in chain_names():
        found = [row.chains for row in ROBOTS if row.name == name]
        assert all(chains == found[0] for chains in found)
        assert chain_row(name) is not None
    assert chain_row("none") is None


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("Unitree_G1_Inspire", ["g1"]),
        ("UR5e", ["ur5e"]),
        ("xArm7", ["xarm7"]),
        ("xarm", ["xarm6", "xarm7"]),
        ("franka_fr3", ["fr3", "franka"]),
        ("panda", ["franka"]),
        ("so101_follower", ["so101"]),
        ("koch_follower", ["koch"]),
        ("aloha", ["vx300s"]),
        ("widowx", []),
        ("ur", []),
        ("robotiq", []),
        ("", []),
    ],
)
def test_a_robot_is_known_by_a_word_of_its_name(name: str, rows: list[str]) -> None:
    assert [row.name for row in chain_rows(name)] == rows


def test_what_grippers_mean_is_known_as_before() -> None:
    for name in ("so100", "koch", "aloha", "viperx", "wx250s"):
        (row,) = robot_rows(name)
        assert row.larger_is_open
        assert row.closed_at_zero
    assert robot_rows("fr3")[0].finger_reach == 0.04


# ---- by the robot's name alone


@pytest.mark.parametrize(
    ("robot", "names", "row", "how"),
    [
        ("franka", FRANKA, "franka", "by name"),
        ("Franka_Research fr3", [f"fr3_joint{k}" for k in range(1, 8)], "fr3", "by name"),
        ("panda", [f"joint_{k}.pos" for k in range(7)], "franka", "by their order"),
        ("panda", None, "franka", "by their order"),
        ("UR5e", UR, "ur5e", "by name"),
        ("ur10e", ["shoulder_pan", "shoulder", "elbow", "wrist1", "wrist2", "wrist3"], "ur10e", "by name"),
        ("ur3", [f"joint_{k}" for k in range(6)], "ur3", "by their order"),
        ("xarm", [f"joint{k}" for k in range(1, 7)], "xarm6", "by name"),
        ("xarm", [f"joint{k}" for k in range(1, 8)], "xarm7", "by name"),
        ("viperx", ALOHA, "vx300s", "by name"),
    ],
)
def test_a_robot_of_that_name_gives_the_hand_a_pose(
    tmp_path: Path, robot: str, names: list[str] | None, row: str, how: str
) -> None:
    data = open_dataset(one_arm(tmp_path / "set", robot, names, ROWS[row]))
    arm = data.read(0, 1).batch.arm
    position, orientation = expected(ROWS[row], swept(ROWS[row]))
    np.testing.assert_allclose(arm.ee_position, position, atol=1e-5)
    assert (np.abs((arm.ee_orientation * orientation).sum(axis=1)) > 1.0 - 1e-6).all()
    told = data.describe()
    (note,) = [each for each in told.assumptions if "ee_position" in each]
    assert f"forward kinematics of {ROWS[row].title} (built-in row)" in note
    assert how in note
    assert 'turn off with robot = "none" under [arms.arm] in the map' in note
    assert f'[arms.arm]\nrobot = "{row}"' in told.column_map
    assert "hand pose or joints" not in told.absent
    assert not any("limits" in each for each in told.warnings)


def test_degrees_are_told_by_their_size(tmp_path: Path) -> None:
    row = ROWS["franka"]
    data = open_dataset(one_arm(tmp_path / "set", "franka", FRANKA, row, factor=180.0 / np.pi))
    np.testing.assert_allclose(data.read(0, 1).batch.arm.ee_position, expected(row, swept(row))[0], atol=1e-5)


def test_columns_may_stand_in_any_order_if_they_name_the_joints(tmp_path: Path) -> None:
    row, order = ROWS["ur5e"], [2, 1, 0, 3, 4, 5]  # as drivers that sort by name have them
    joints = np.hstack([swept(row)[:, order], gripper()])
    root = made(tmp_path / "set", "ur5e", [*[f"{UR[k]}_joint" for k in order], "gripper"], joints)
    arm = open_dataset(root).read(0, 1).batch.arm
    np.testing.assert_allclose(arm.ee_position, expected(row, swept(row))[0], atol=1e-5)


def test_left_and_right_have_chains_of_their_own(tmp_path: Path) -> None:
    left, right = ROWS["g1_left"], ROWS["g1_right"]
    joints = np.hstack([swept(left), swept(right), gripper(), gripper()])
    names = [f"k{side}{joint}" for side in ("Left", "Right") for joint in G1]
    root = made(tmp_path / "set", "Unitree_G1_Dex1", [*names, "kLeftGripper", "kRightGripper"], joints)
    data = open_dataset(root)
    arms = data.read(0, 1).batch.manipulators
    np.testing.assert_allclose(arms["left"].ee_position, expected(left, swept(left))[0], atol=1e-5)
    np.testing.assert_allclose(arms["right"].ee_position, expected(right, swept(right))[0], atol=1e-5)
    assert data.column_map.poses["left"].robot == data.column_map.poses["right"].robot == "g1"


# ---- a wrong pose is worse than none


@pytest.mark.parametrize(
    ("robot", "names", "row", "factor", "why"),
    [
        ("my_arm", FRANKA, "franka", 1.0, None),
        ("h1", FRANKA, "franka", 1.0, None),
        ("so101_follower", SO, "so101", 180.0 / np.pi, 'calibrated.*robot = "so101" under'),
        ("koch", SO, "koch", 180.0 / np.pi, "calibrated"),
        ("aloha", ALOHA, "vx300s", 1.0, "made with other arms"),
        ("viperx", ALOHA, "vx300s", 180.0 / np.pi, "needs joints in rad"),
        ("ur5e", None, "ur5e", 1.0, "no column is named after a joint"),
        ("ur5e", [f"joint_{k}" for k in (2, 1, 0, 3, 4, 5)], "ur5e", 1.0, "no column is named after a joint"),
        ("franka", UR, "ur5e", 1.0, "no arm of franka is known to have 6 joints"),
        ("Unitree_G1", G1, "g1_left", 1.0, "no arm of g1 is known to have 7 joints"),
    ],
)
def test_where_the_chain_is_not_certain_there_is_no_pose_and_it_is_said(
    tmp_path: Path, robot: str, names: list[str] | None, row: str, factor: float, why: str | None
) -> None:
    data = open_dataset(one_arm(tmp_path / "set", robot, names, ROWS[row], factor))
    assert all(arm.ee_position is None for arm in data.read(0, 1).batch.manipulators.values())
    assert not data.column_map.poses
    notes = " ".join(each for each in data.describe().assumptions if "ee_position" in each)
    if why is None:
        assert not notes
    else:
        assert "ee_position: none" in notes
        assert re.search(why, notes)


def test_joints_beyond_the_limits_give_no_pose_but_a_warning(tmp_path: Path) -> None:
    row = ROWS["franka"]
    joints = swept(row)
    joints[:, 3] = -joints[:, 3]  # an elbow that bends the other way
    root = made(tmp_path / "set", "franka", [*FRANKA, "gripper"], np.hstack([joints, gripper()]))
    data = open_dataset(root)
    assert data.read(0, 1).batch.arm.ee_position is None
    (warned,) = [each for each in data.describe().warnings if "limits" in each]
    assert "joint 'joint4' goes from" in warned
    assert "No pose of the hand is computed" in warned


def test_what_looks_like_an_orientation_is_not_taken_for_joints(tmp_path: Path) -> None:
    turn = np.linspace(0.2, 1.2, 40)
    pose = np.stack([0.3 + 0.1 * turn, 0.1 * turn, 0.2 * turn, -np.cos(turn), 0 * turn, np.sin(turn), 0 * turn], axis=1)
    data = open_dataset(made(tmp_path / "set", "franka", None, np.hstack([pose, gripper()])))
    assert not data.column_map.poses
    assert any("norm 1" in each for each in data.describe().assumptions)


def test_a_hand_position_that_was_recorded_is_kept(tmp_path: Path) -> None:
    row = ROWS["franka"]
    place = 0.1 + np.linspace(0.0, 0.3, 40)[:, None] * np.ones(3)
    names = [*FRANKA, "ee_x", "ee_y", "ee_z", "gripper"]
    data = open_dataset(made(tmp_path / "set", "franka", names, np.hstack([swept(row), place, gripper()])))
    np.testing.assert_allclose(data.read(0, 1).batch.arm.ee_position, place, atol=1e-6)
    assert not data.column_map.poses


# ---- by the map


def by_map(tmp_path: Path, root: Path, keys: str, width: int = 7, unit: str = "rad") -> Any:
    joints = f'feature = "observation.state"\nindex = {list(range(width))}\nunit = "{unit}"'
    (tmp_path / "map.toml").write_text(f"[arms.arm]\n{keys}\n\n[arms.arm.joint_position]\n{joints}\n")
    return open_dataset(root, column_map=tmp_path / "map.toml")


def test_a_map_that_was_written_and_is_given_back_reads_the_same(tmp_path: Path) -> None:
    root = one_arm(tmp_path / "set", "franka", FRANKA, ROWS["franka"])
    first = open_dataset(root)
    (tmp_path / "map.toml").write_text(first.column_map.to_toml())
    second = open_dataset(root, column_map=tmp_path / "map.toml")
    assert second.column_map.poses == first.column_map.poses
    assert (second.read(0, 2).batch.arm.ee_position == first.read(0, 2).batch.arm.ee_position).all()
    assert any("built-in row" in each for each in second.describe().assumptions)


@pytest.mark.parametrize("instead", ['robot = "none"', ""])
def test_a_map_can_do_without(tmp_path: Path, instead: str) -> None:
    root = one_arm(tmp_path / "set", "franka", FRANKA, ROWS["franka"])
    (tmp_path / "map.toml").write_text(open_dataset(root).column_map.to_toml().replace('robot = "franka"', instead))
    data = open_dataset(root, column_map=tmp_path / "map.toml")
    assert data.read(0, 1).batch.arm.ee_position is None
    assert parse_column_map(data.column_map.to_toml(), "again").poses == data.column_map.poses


def test_a_map_can_ask_for_a_robot_that_the_set_does_not_name(tmp_path: Path) -> None:
    row = ROWS["franka"]
    root = one_arm(tmp_path / "set", "my_arm", None, row)
    arm = by_map(tmp_path, root, 'robot = "franka"').read(0, 1).batch.arm
    np.testing.assert_allclose(arm.ee_position, expected(row, swept(row))[0], atol=1e-5)


def test_a_map_can_say_which_column_is_which_joint(tmp_path: Path) -> None:
    row = ROWS["franka"]
    root = made(tmp_path / "set", "my_arm", None, np.hstack([swept(row)[:, ::-1], gripper()]))
    names = [f"joint{k}" for k in range(7, 0, -1)]
    arm = by_map(tmp_path, root, f'robot = "franka"\njoints = {names}').read(0, 1).batch.arm
    np.testing.assert_allclose(arm.ee_position, expected(row, swept(row))[0], atol=1e-5)


def test_what_is_asked_for_in_spite_of_a_doubt_says_the_doubt(tmp_path: Path) -> None:
    row = ROWS["so101"]
    root = one_arm(tmp_path / "set", "so101", SO, row, 180.0 / np.pi)
    data = by_map(tmp_path, root, 'robot = "so101"', 5, "deg")
    np.testing.assert_allclose(data.read(0, 1).batch.arm.ee_position, expected(row, swept(row))[0], atol=1e-5)
    assert any("as right as the joints' zeros" in each for each in data.describe().assumptions)


def test_what_is_asked_for_beyond_the_limits_is_doubted(tmp_path: Path) -> None:
    root = made(tmp_path / "set", "franka", None, np.hstack([-swept(ROWS["franka"]), gripper()]))
    told = by_map(tmp_path, root, 'robot = "franka"').describe()
    assert any("its limits in the row of Franka Panda are" in each for each in told.warnings)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('robot = "frnka"', "robot 'frnka' is not known.*one of so101, koch, vx300s, fr3, franka.*or none"),
        ('robot = ""', "robot is not a text"),
        ("robot = 3", "robot is not a text"),
        ('robot = "franka"\nurdf = "robot.urdf"', "robot besides urdf"),
        ('robot = "franka"\ntip = "hand"', "robot besides tip"),
        ('robot = "g1"', "the arms left and right"),
        ('robot = "franka"\njoints = ["joint1"]', "joints names joint1 for 7 columns"),
    ],
)
def test_a_robot_that_does_not_fit_says_so(tmp_path: Path, keys: str, message: str) -> None:
    root = one_arm(tmp_path / "set", "my_arm", None, ROWS["franka"])
    with pytest.raises(DatasetError, match=message):
        by_map(tmp_path, root, keys)


def test_an_arm_with_other_joints_than_the_robot_that_is_asked_for_is_refused(tmp_path: Path) -> None:
    root = one_arm(tmp_path / "set", "my_arm", UR, ROWS["ur5e"])
    with pytest.raises(DatasetError, match="3 joints are recorded, Franka Panda has 7: joint1, joint2"):
        by_map(tmp_path, root, 'robot = "franka"', 3)


def test_a_urdf_needs_the_simulator_still_and_a_named_robot_does_not(tmp_path: Path) -> None:
    root = one_arm(tmp_path / "set", "franka", FRANKA, ROWS["franka"])
    (root / "robot.urdf").write_text(PLANAR)
    assert open_dataset(root).read(0, 1).batch.arm.ee_position is not None
    with pytest.raises(MissingExtraError):
        by_map(tmp_path, root, 'urdf = "robot.urdf"\njoints = ["shoulder", "elbow"]', 2)
