"""The hand's pose follows from the joints by the robot's own description; a wrong description says what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lerobot_sets import episode_file, info, make_v21, write_info
from scipy.spatial.transform import Rotation

from sima2.errors import DatasetError, MissingExtraError
from sima2.io.column_map import parse_column_map
from sima2.io.formats import open_dataset
from sima2.io.kinematics import Chain
from sima2.io.urdf import compile_chain, drivers, parse_urdf

SEVEN = [  # joint, origin, roll pitch yaw, axis: the offsets and turns of an arm like those in use
    ("turn1", (0.0, 0.0, 0.333), (0.0, 0.0, 0.0), (0, 0, 1)),
    ("turn2", (0.0, 0.0, 0.0), (-1.5707963, 0.0, 0.0), (0, 0, 1)),
    ("turn3", (0.0, -0.316, 0.0), (1.5707963, 0.0, 0.0), (0, 0, 1)),
    ("turn4", (0.0825, 0.0, 0.0), (1.5707963, 0.1, 0.0), (0, 1, 0)),
    ("turn5", (-0.0825, 0.384, 0.0), (-1.5707963, 0.0, 0.2), (1, 1, 0)),
    ("turn6", (0.0, 0.0, 0.0), (1.5707963, 0.0, 0.3), (0, 0, -1)),
    ("turn7", (0.088, 0.0, 0.0), (1.5707963, 0.0, 0.0), (0, 0, 2)),
]
SHAPE = '<visual><geometry><mesh filename="/nowhere/mesh.stl"/></geometry></visual><collision/>'


def joint(name: str, parent: str, child: str, xyz: Any = (0, 0, 0), rpy: Any = (0, 0, 0), **more: str) -> str:
    kind, axis = more.get("kind", "revolute"), more.get("axis", "0 0 1")
    numbers = [" ".join(map(str, each)) for each in (xyz, rpy)]
    limit = more.get("limit", '<limit lower="-3" upper="3" effort="1" velocity="1"/>')
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{numbers[0]}" rpy="{numbers[1]}"/><axis xyz="{axis}"/>{limit}{more.get("mimic", "")}</joint>'
    )


def robot(links: list[str], joints: list[str], more: str = "") -> str:
    made = "".join(f'<link name="{link}">{SHAPE}</link>' for link in links)
    return f'<?xml version="1.0"?><robot name="r">{made}{"".join(joints)}{more}</robot>'


PLANAR = robot(
    ["base", "upper", "fore", "hand"],
    [
        joint("shoulder", "base", "upper"),
        joint("elbow", "upper", "fore", (0.4, 0, 0)),
        joint("wrist", "fore", "hand", (0.3, 0, 0), kind="fixed"),
    ],
    '<transmission name="t"><joint name="shoulder"/></transmission>',
)


def chain(text: str, names: list[str], base: str = "", tip: str = "") -> Chain:
    description = parse_urdf(text, "r.urdf")
    return compile_chain(description, description.path(base, tip), {name: k for k, name in enumerate(names)})


def angles(n: int, joints: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(-2.5, 2.5, (n, joints))


def test_two_links_in_a_plane_reach_where_trigonometry_says() -> None:
    q = angles(200, 2)
    position, orientation = chain(PLANAR, ["shoulder", "elbow"]).pose(q)
    both = q.sum(axis=1)
    expected = [0.4 * np.cos(q[:, 0]) + 0.3 * np.cos(both), 0.4 * np.sin(q[:, 0]) + 0.3 * np.sin(both), 0 * both]
    np.testing.assert_allclose(position, np.stack(expected, 1), atol=1e-12)
    about_z = np.stack([np.cos(both / 2), 0 * both, 0 * both, np.sin(both / 2)], 1)
    np.testing.assert_allclose(np.abs(np.sum(about_z * orientation, 1)), 1.0, atol=1e-12)


def test_seven_joints_agree_with_a_product_of_rotation_matrices() -> None:
    links = ["base", *(f"link{k}" for k in range(1, 8)), "hand"]
    joints = [
        joint(name, links[k], links[k + 1], xyz, rpy, axis=" ".join(map(str, axis)))
        for k, (name, xyz, rpy, axis) in enumerate(SEVEN)
    ]
    joints.append(joint("mount", "link7", "hand", (0.01, 0.02, 0.1), (0.0, 0.0, -0.785), kind="fixed"))
    q = angles(50, 7)
    position, orientation = chain(robot(links, joints), [each[0] for each in SEVEN]).pose(q)
    for row, at, turn in zip(q, position, orientation, strict=True):
        frame, origin = np.eye(3), np.zeros(3)
        for angle, (_, xyz, rpy, axis) in zip(row, SEVEN, strict=True):
            origin = origin + frame @ np.array(xyz)
            unit = np.array(axis) / np.linalg.norm(axis)
            frame = frame @ Rotation.from_euler("xyz", rpy).as_matrix() @ Rotation.from_rotvec(angle * unit).as_matrix()
        origin = origin + frame @ [0.01, 0.02, 0.1]
        frame = frame @ Rotation.from_euler("z", -0.785).as_matrix()
        np.testing.assert_allclose(at, origin, atol=1e-9)
        np.testing.assert_allclose(Rotation.from_quat(turn[[1, 2, 3, 0]]).as_matrix(), frame, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(orientation, axis=1), 1.0, atol=1e-12)


def test_a_joint_slides_and_another_mimics_it() -> None:
    mimic = '<mimic joint="lift" multiplier="-2" offset="0.5"/>'
    joints = [
        joint("lift", "base", "carriage", axis="0 0 1", kind="prismatic"),
        joint("turn", "carriage", "hand", (1, 0, 0), kind="continuous", limit="", mimic=mimic),
        joint("end", "hand", "tool", (1, 0, 0), kind="fixed"),
    ]
    text = robot(["base", "carriage", "hand", "tool"], joints)
    made = parse_urdf(text, "r")
    assert drivers(made, made.path("", "")) == ["lift"]
    position, _ = chain(text, ["lift"]).pose(np.array([[0.2], [0.5]]))
    turned = 0.5 - 2 * np.array([0.2, 0.5])
    np.testing.assert_allclose(position, np.stack([1 + np.cos(turned), np.sin(turned), [0.2, 0.5]], 1), atol=1e-12)


def test_a_frame_with_an_unknown_joint_has_no_pose_and_the_others_keep_theirs() -> None:
    q = angles(5, 2)
    whole, turns = chain(PLANAR, ["shoulder", "elbow"]).pose(q)
    q[2, 1] = np.nan
    position, orientation = chain(PLANAR, ["shoulder", "elbow"]).pose(q)
    assert np.isnan(position[2]).all()
    assert np.isnan(orientation[2]).all()
    rest = [0, 1, 3, 4]
    assert (position[rest] == whole[rest]).all()
    assert (orientation[rest] == turns[rest]).all()


def test_a_pose_can_be_told_in_the_frame_of_a_link_on_the_way() -> None:
    position, _ = chain(PLANAR, ["elbow"], base="upper").pose(np.array([[0.5]]))
    np.testing.assert_allclose(position, [[0.4 + 0.3 * np.cos(0.5), 0.3 * np.sin(0.5), 0.0]], atol=1e-12)


BOMB = '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><robot name="&b;"/>'
FILE = '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]><robot name="r">&x;</robot>'
FAR = '<!DOCTYPE r SYSTEM "http://localhost/r.dtd"><robot name="r"/>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "declares a document type"),
        (FILE, "declares a document type"),
        (FAR, "declares a document type"),
        ("<robot name='&x;'/>", "is not XML"),
        ("<robot>", "is not XML"),
        ("no xml", "is not XML"),
        ("<mujoco/>", "begins with <mujoco>"),
        ("<robot xmlns:xacro='x'><xacro:macro/></robot>", "is a xacro"),
        ("<robot>" + "<a>" * 100 + "</a>" * 100 + "</robot>", "deep"),
        (robot(["a", "a"], []), "more than one link 'a'"),
        (
            robot(["a", "b"], [joint("j", "a", "b"), joint("k", "a", "b")]),
            "more than one joint that moves the link 'b'",
        ),
        (robot(["a", "b"], [joint("j", "a", "c")]), "'c', which is not there"),
        (robot(["a", "b", "c"], [joint("j", "a", "b"), joint("k", "a", "c")]), "2 links that carry no other: b, c"),
        (robot(["a", "b"], [joint("j", "a", "b"), joint("k", "b", "a")]), "0 links that carry no other"),
        (robot(["a", "b"], [joint("j", "a", "b", kind="planar")]), "'j' is 'planar'"),
        (robot(["a", "b"], [joint("j", "a", "b", axis="0 0 0")]), "axis too small"),
        (robot(["a", "b"], [joint("j", "a", "b", ("x", 0, 0))]), "cannot be used: XML Error"),
        (robot(["a", "b"], [joint("j", "a", "b", ("nan", 0, 0))]), "xyz of its origin is not made of numbers"),
        (robot(["a", "b"], [joint("j", "a", "b", ("1e999", 0, 0))]), "cannot be used|beyond reason"),
        (robot(["a", "b"], [joint("j", "a", "b", ("${h}", 0, 0))]), "xyz of its origin is not made of numbers"),
        (robot(["a", "b"], [joint("k", "a", "b", mimic='<mimic joint="j" offset="x"/>')]), "offset of its mimic"),
        (robot(["a", "b"], [joint("k", "a", "b", mimic='<mimic joint="k2"/>')]), "'k' is not recorded"),
        (robot(["a", "b"], [joint("k", "a", "b")]), "'k' is not recorded"),
    ],
)
def test_a_wrong_description_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        chain(text, ["j"])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(PLANAR) - 1), st.integers(0, 60), st.text('<>/="& 01enai', max_size=6))
def test_a_damaged_description_is_read_or_refused_and_nothing_else(at: int, cut: int, put: str) -> None:
    text = PLANAR[:at] + put + PLANAR[at + cut :]
    try:
        position, _ = chain(text, ["shoulder", "elbow"]).pose(np.zeros((2, 2)))
    except DatasetError:
        return
    assert np.isfinite(position).all()


def test_links_in_a_circle_end() -> None:
    text = robot(["r", "a", "b", "c"], [joint("j", "a", "b"), joint("k", "b", "a"), joint("l", "r", "c")])
    with pytest.raises(DatasetError, match="circle"):
        chain(text, ["j"], tip="b")


def test_unknown_ends_are_named_with_those_there_are() -> None:
    with pytest.raises(DatasetError, match=r"no link 'claw' \(tip\).*base, upper, fore, hand"):
        chain(PLANAR, ["shoulder", "elbow"], tip="claw")
    with pytest.raises(DatasetError, match="'fore' does not carry 'upper'"):
        chain(PLANAR, ["shoulder", "elbow"], base="fore", tip="upper")


# ---- through the column map


def state_map(more: str = 'urdf = "robot.urdf"', index: str = "[0, 1]", unit: str = "rad", feature: str = "") -> str:
    feature = feature or "observation.state"
    return f"""
[arms.right]
{more}

[arms.right.joint_position]
feature = "{feature}"
index = {index}
unit = "{unit}"
"""


def opened(tmp_path: Path, text: str, urdf: str | None = PLANAR, folder: str = "set") -> Any:
    """A small set whose first two columns are joints, opened by a map that lies beside it."""
    root = tmp_path / "set"
    if not root.exists():
        make_v21(root)
    if urdf is not None:
        (tmp_path / folder / "robot.urdf").write_text(urdf)
    (tmp_path / "map").mkdir(exist_ok=True)
    (tmp_path / "map" / "map.toml").write_text(text)
    return open_dataset(root, column_map=tmp_path / "map" / "map.toml")


@pytest.mark.parametrize("unit", ["rad", "deg"])
def test_a_map_that_names_a_urdf_gives_the_hand_a_pose(tmp_path: Path, unit: str) -> None:
    data = opened(tmp_path, state_map(unit=unit))
    batch = data.read(0, 4).batch
    arm = batch.manipulators["right"]
    q = np.asarray(arm.joint_position, np.float64)
    expected, turns = chain(PLANAR, ["shoulder", "elbow"]).pose(q)
    np.testing.assert_allclose(arm.ee_position, expected, atol=1e-6)
    np.testing.assert_allclose(arm.ee_orientation, turns, atol=1e-6)
    told = data.describe()
    assert any("forward kinematics of robot.urdf from base to hand, 2 joints matched by" in t for t in told.assumptions)
    assert "hand pose or joints" not in told.absent
    again = parse_column_map(told.column_map, "again")
    assert again.poses == data.column_map.poses
    alone = data.read(2, 3).batch.manipulators["right"]
    assert (alone.ee_position == arm.ee_position[16:24]).all()


def test_the_urdf_may_lie_beside_the_map_which_is_said(tmp_path: Path) -> None:
    (tmp_path / "map").mkdir()
    told = opened(tmp_path, state_map(), folder="map").describe()
    assert any("lies beside the map that was given" in each for each in told.assumptions)


@pytest.mark.parametrize("name", ["../robot.urdf", "link.urdf", "/etc/hostname"])
def test_a_urdf_outside_both_folders_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "robot.urdf").write_text(PLANAR)
    make_v21(tmp_path / "set")
    (tmp_path / "set" / "link.urdf").symlink_to(tmp_path / "robot.urdf")
    with pytest.raises(DatasetError, match="leads out of"):
        opened(tmp_path, state_map(f'urdf = "{name}"'), None)


def test_a_urdf_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"names 'robot.urdf', which is not there"):
        opened(tmp_path, state_map(), None)


def test_columns_of_the_set_win_over_kinematics(tmp_path: Path) -> None:
    text = state_map() + '\n[arms.right.ee_position]\nfeature = "observation.state"\nindex = [0, 1, 2]\n'
    data = opened(tmp_path, text)
    batch = data.read(0, 1).batch.manipulators["right"]
    np.testing.assert_allclose(batch.ee_position[:, :2], batch.joint_position)
    assert batch.ee_orientation is None
    assert any("columns of its own" in each for each in data.describe().assumptions)


def test_commands_are_never_taken_for_where_the_hand_was(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="which are commands"):
        opened(tmp_path, state_map(feature="action"))


@pytest.mark.parametrize(
    ("keys", "index", "message"),
    [
        ("", "[0, 1, 2]", "3 joints are recorded, 2 move in the URDF between base and tip: shoulder, elbow"),
        ('tip = "upper"', "[0, 1]", "2 joints are recorded, 1 move"),
        ('joints = ["shoulder"]', "[0, 1]", "joints names 1, joint_position has 2 columns"),
        ('joints = ["shoulder", "knee"]', "[0, 1]", "no joint 'knee'"),
        ('joints = ["elbow", "elbow"]', "[0, 1]", "names one joint twice"),
        ('joints = ["elbow", ""]', "[0, 1]", "'shoulder' is not recorded"),
        ('tip = "base"', "[0, 1]", "no joint moves"),
        ("tip = 3", "[0, 1]", "tip is not a text"),
    ],
)
def test_joints_that_cannot_be_matched_are_named(tmp_path: Path, keys: str, index: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        opened(tmp_path, state_map(f'urdf = "robot.urdf"\n{keys}', index))


def test_a_map_can_say_which_column_is_which_joint(tmp_path: Path) -> None:
    keys = 'urdf = "robot.urdf"\ntip = "hand"\nbase = "base"\njoints = ["", "elbow", "shoulder"]'
    arm = opened(tmp_path, state_map(keys, "[0, 1, 2]")).read(0, 1).batch.manipulators["right"]
    q = np.asarray(arm.joint_position, np.float64)[:, [2, 1]]
    np.testing.assert_allclose(arm.ee_position, chain(PLANAR, ["shoulder", "elbow"]).pose(q)[0], atol=1e-6)


def test_joints_are_found_by_the_names_of_columns_in_any_order(tmp_path: Path) -> None:
    text = PLANAR.replace('"elbow"', '"shoulder_pan"').replace('"shoulder"', '"elbow_flex_joint"')
    data = opened(tmp_path, state_map(), text)  # columns: shoulder_pan.pos, elbow_flex.pos
    assert "by the words of their names" in data.column_map.notes[0]
    arm = data.read(0, 1).batch.manipulators["right"]
    q = np.asarray(arm.joint_position, np.float64)[:, [1, 0]]
    np.testing.assert_allclose(arm.ee_position, chain(PLANAR, ["shoulder", "elbow"]).pose(q)[0], atol=1e-6)


def test_a_sliding_joint_is_not_in_degrees(tmp_path: Path) -> None:
    sliding = PLANAR.replace('"elbow" type="revolute"', '"elbow" type="prismatic"')
    with pytest.raises(DatasetError, match="'elbow' slides, its column cannot be in deg"):
        opened(tmp_path, state_map(unit="deg"), sliding)


def test_joints_beyond_the_limits_of_the_description_are_doubted(tmp_path: Path) -> None:
    tight = PLANAR.replace('lower="-3" upper="3"', 'lower="-0.1" upper="0.5"')
    warned = opened(tmp_path, state_map(), tight).describe().warnings
    assert any("joint 'elbow' goes from" in each and "-0.1 to 0.5" in each for each in warned)
    assert not any("goes from" in each for each in opened(tmp_path, state_map()).describe().warnings)


def test_an_episode_without_the_joints_has_no_pose(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    file = episode_file(root, 1)
    pq.write_table(pq.read_table(file).drop_columns(["observation.state"]), file)
    intake = opened(tmp_path, state_map()).read(0, 4)
    assert intake.quarantine.reason.tolist() == ["no_signal"]


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(MissingExtraError, match=r"sima2\[sim\]"):
        opened(tmp_path, state_map())


def test_joints_of_a_feature_without_names_are_taken_in_order(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    values = info("v2.1", 4, 8)
    values["features"]["qpos"] = {"dtype": "float32", "shape": [2], "names": None}
    write_info(root, values)
    for k in range(4):
        table = pq.read_table(episode_file(root, k))
        qpos = pa.array(np.full((8, 2), 0.1 * k, np.float32).tolist(), pa.list_(pa.float32(), 2))
        pq.write_table(table.append_column("qpos", qpos), episode_file(root, k))
    text = '[arms.arm]\nurdf = "robot.urdf"\n[arms.arm.joint_position]\nfeature = "qpos"\n'
    data = opened(tmp_path, text)
    assert "by their order" in data.column_map.notes[0]
    np.testing.assert_allclose(data.read(0, 1).batch.arm.ee_position[0], [0.7, 0.0, 0.0], atol=1e-6)
