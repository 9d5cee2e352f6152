"""Column maps: guessed from names, written down, given back; units are always said."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sima2.errors import DatasetError, RolloutError
from sima2.io.column_guess import Sample, guess
from sima2.io.column_map import ColumnMap, Columns, load_column_map, parse_column_map

G1 = [
    *(f"k{side}{joint}" for side in ("Left", "Right") for joint in ("ShoulderPitch", "Elbow", "WristYaw")),
    *(f"k{side}Hand{finger}" for side in ("Left", "Right") for finger in ("Pinky", "Index", "ThumbRotation")),
]
SO101 = [f"{joint}.pos" for joint in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")]
ALOHA = [f"{side}_{joint}" for side in ("left", "right") for joint in ("waist", "shoulder", "elbow", "gripper")]
DROID = ["x", "y", "z", "roll", "pitch", "yaw", "pad", "gripper"]


def sample(values: np.ndarray, feature: str = "observation.state", starts: tuple[int, ...] = (0,)) -> Sample:
    return Sample({feature: np.asarray(values, float)}, np.array(starts))


def guessed(names: list[str], values: np.ndarray, **more) -> ColumnMap:
    return guess({"observation.state": names}, sample(values, starts=more.pop("starts", (0,))), **more)


def ramp(width: int, low: float = -1.0, high: float = 1.0, n: int = 50) -> np.ndarray:
    return np.tile(np.linspace(high, low, n)[:, None], (1, width))


def test_a_humanoid_has_two_arms_with_hands() -> None:
    values = np.hstack([ramp(6), ramp(6, 0.0, 1.0)])
    arms = guessed(G1, values).arms
    assert arms["left"]["joint_position"] == Columns("observation.state", (0, 1, 2), "rad")
    assert arms["right"]["joint_position"].index == (3, 4, 5)
    assert arms["left"]["gripper_opening"].index == (6, 7)  # a thumb's rotation closes nothing
    assert arms["right"]["gripper_opening"].index == (9, 10)


def test_so101_is_in_degrees_and_percent() -> None:
    values = np.hstack([ramp(5, -90.0, 90.0), ramp(1, 2.0, 95.0)])
    made = guessed([*SO101, "gripper.pos"], values)
    arm = made.arms["arm"]
    assert arm["joint_position"] == Columns("observation.state", (0, 1, 2, 3, 4), "deg")
    assert (arm["gripper_opening"].closed, arm["gripper_opening"].open) == ((0.0,), (100.0,))
    assert any("-100..100 %" in note for note in made.notes + made.warnings)


def test_aloha_has_two_arms_whose_waists_are_joints() -> None:
    arms = guessed(ALOHA, ramp(8, 0.0, 1.0)).arms
    assert arms["left"]["joint_position"].index == (0, 1, 2)
    assert arms["left"]["gripper_opening"].index == (3,)
    assert arms["right"]["gripper_opening"].index == (7,)


def test_a_pose_is_read_from_its_axes() -> None:
    arm = guessed(DROID, ramp(8, 0.0, 0.9)).arms["arm"]
    assert arm["ee_position"] == Columns("observation.state", (0, 1, 2), "m")
    assert arm["ee_orientation"] == Columns("observation.state", (3, 4, 5), "rpy_rad")
    assert arm["gripper_opening"].index == (7,)
    assert "joint_position" not in arm


def test_names_that_say_nothing_claim_no_gripper() -> None:
    for names in ([], [f"motor_{k}" for k in range(4)]):
        made = guessed(names, ramp(4))
        assert set(made.arms["arm"]) == {"joint_position"}
        assert any("none as a gripper" in note for note in made.notes)


def test_a_body_is_no_arm() -> None:
    names = ["left_elbow", "right_elbow", "waist_yaw", "head_pitch", "left_knee", "x.vel"]
    arms = guessed(names, ramp(6)).arms
    assert {arm: group["joint_position"].index for arm, group in arms.items()} == {"left": (0,), "right": (1,)}


@pytest.mark.parametrize(
    ("largest", "unit"), [(1.5, "rad"), (6.5, "rad"), (7.0, "deg"), (179.0, "deg"), (4095.0, None), (math.inf, "rad")]
)
def test_the_size_of_values_tells_the_unit_and_a_note_says_so(largest: float, unit: str | None) -> None:
    values = ramp(1, -largest if math.isfinite(largest) else -1.0, 1.0)
    made = guessed(["elbow"], values)
    found = made.arms.get("arm", {}).get("joint_position")
    assert (found and found.unit) == unit
    assert any("largest value" in note for note in made.notes)


def test_the_end_at_which_episodes_start_is_open() -> None:
    up, down = ramp(1, 1.0, 0.0), ramp(1, 0.0, 1.0)
    opening = {}
    for name, values in (("from 0", up), ("from 1", down)):
        made = guessed(["gripper"], values)
        columns = made.arms["arm"]["gripper_opening"]
        opening[name] = columns.read("gripper_opening", {"observation.state": values})
        assert any("assumed to be open" in note for note in made.notes)
    for share in opening.values():
        assert share[0] == 1.0
        assert share[-1] == 0.0


def test_fingers_that_close_in_opposite_directions_agree() -> None:
    close = np.linspace(0.0, 1.0, 60) ** 2
    values = np.stack([1.7 * close - 0.2, -0.9 * close, 0.01 * np.sin(40 * close)], axis=1)
    names = ["hand_index", "hand_middle", "hand_ring"]
    columns = guessed(names, values).arms["arm"]["gripper_opening"]
    assert columns.index == (0, 1)  # the third does not move
    share = columns.read("gripper_opening", {"observation.state": values})
    assert (np.diff(share) <= 1e-12).all()
    assert share[0] > 0.95
    assert share[-1] < 0.05


def test_a_hand_that_rests_is_measured_by_the_range_of_the_other() -> None:
    close = np.linspace(0.0, 1.6, 60)
    rest = 0.8 + 0.01 * np.sin(np.arange(60.0))
    columns = guessed(["left_hand_thumb", "right_hand_thumb"], np.stack([rest, close], axis=1)).arms["left"]
    share = columns["gripper_opening"].read("gripper_opening", {"observation.state": rest[:, None].repeat(2, 1)})
    assert np.ptp(share) < 0.05


def test_features_of_their_own_are_read_too() -> None:
    names = {
        "observation.state": ["elbow"],
        "observation.velocity": ["elbow"],
        "observation.eef_pos": ["x", "y", "z"],
        "observation.gripper_width": [],
        "action": ["elbow"],
    }
    width = {"observation.eef_pos": 3}
    values = {name: ramp(width.get(name, 1), 0.0, 0.08) for name in names}
    made = guess(names, Sample(values, np.array([0])))
    assert {name: each.unit for name, each in made.arms["arm"].items()} == {
        "joint_position": "rad",
        "joint_velocity": "rad/s",
        "ee_position": "m",
        "gripper_width": "m",
    }
    assert made.scene["action"].feature == "action"


def test_nothing_recognised_is_said() -> None:
    made = guess({"mood": []}, Sample({"mood": ramp(2)}, np.array([0])))
    assert made.arms == {}
    assert "no state was recognised among mood" in made.notes[0]


@given(
    st.lists(
        st.sampled_from([*G1, *SO101, *ALOHA, *DROID, "pad", "", "qw", "qx", "left", "motor_1", "tau_2"]), max_size=9
    ),
    st.integers(0, 9),
    st.sampled_from([0.0, 1.0, 50.0, 1e5, np.nan]),
    st.integers(0, 3),
)
def test_any_names_and_values_give_a_map_that_can_be_given_back(names, width, size, n) -> None:
    values = size * np.random.default_rng(0).standard_normal((n, width))
    made = guessed(names, values)
    again = parse_column_map(made.to_toml(), "again")
    assert (again.arms, again.scene) == (made.arms, made.scene)


def test_units_become_si_and_a_factor_of_one_keeps_every_bit() -> None:
    raw = np.array([[180.0, 1.0]], np.float32)
    features = {"f": raw}
    assert Columns("f", (0,), "deg").read("joint_position", features).tolist() == [[math.pi]]
    assert Columns("f", (0,), "mm").read("gripper_width", features).tolist() == [0.18]
    assert Columns("f", (1,), scale=0.5).read("joint_position", features).tolist() == [[0.5]]
    assert Columns("f", None, "rad").read("joint_position", features).dtype == np.float32
    with pytest.raises(RolloutError, match="asks for 2"):
        Columns("f", (2,), "m").read("gripper_width", features)


def test_roll_pitch_yaw_become_a_unit_quaternion() -> None:
    turns = np.array([[0.0, 0.0, 90.0], [90.0, 0.0, 0.0], [30.0, -20.0, 70.0]])
    quaternion = Columns("f", None, "rpy_deg").read("ee_orientation", {"f": turns})
    half = math.sqrt(0.5)
    np.testing.assert_allclose(quaternion[:2], [[half, 0, 0, half], [half, half, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(quaternion, axis=1), 1.0)
    from scipy.spatial.transform import Rotation

    expected = Rotation.from_euler("xyz", turns, degrees=True).as_quat()[:, [3, 0, 1, 2]]
    np.testing.assert_allclose(np.abs(np.sum(expected * quaternion, axis=1)), 1.0)
    xyzw = Columns("f", None, "quat_xyzw").read("ee_orientation", {"f": np.array([[1.0, 2.0, 3.0, 4.0]])})
    assert xyzw.tolist() == [[4.0, 1.0, 2.0, 3.0]]


FULL = """
[arms."left arm".joint_position]
feature = "observation.state"
index = [0, 1]
unit = "deg"

[arms."left arm".gripper_opening]
feature = "observation.state"
index = [2]
unit = "raw"
closed = [3.5]
open = [-1.0]

[objects.cup.object_position]
feature = "cup"
unit = "mm"

[time]
feature = "clock"
unit = "ms"

[robot]
name = "lab arm"
"""


def test_a_map_can_hold_everything(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(FULL)
    made = load_column_map(tmp_path / "map.toml")
    assert made.arms["left arm"]["gripper_opening"].closed == (3.5,)
    assert made.objects["cup"]["object_position"].unit == "mm"
    assert made.scene["time"].unit == "ms"
    assert made.robot == {"name": "lab arm"}
    assert parse_column_map(made.to_toml(), "again") == made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[arms", "is not TOML"),
        ("[legs.left]", r"unknown table \[legs\]"),
        ("arms = 3", "arms is int, expected a table"),
        ("[arms.a]\njoint_position = 3", "joint_position is int"),
        ("[arms.a.joint_angle]\nfeature = 'f'", "unknown channel 'joint_angle'"),
        ("[arms.a.joint_position]", "feature is missing"),
        ("[arms.a.joint_position]\nfeature = 'f'\nunits = 'rad'", "unknown key 'units'"),
        ("[arms.a.joint_position]\nfeature = 'f'\nunit = 'N'", "'N' does not measure angle"),
        ("[arms.a.joint_position]\nfeature = 'f'\nindex = [-1]", "index is not a list of column numbers"),
        ("[arms.a.joint_position]\nfeature = 'f'\nindex = []", "index is not a list of column numbers"),
        ("[arms.a.joint_position]\nfeature = 'f'\nscale = nan", "scale is not made of numbers"),
        ("[arms.a.gripper_opening]\nfeature = 'f'\nindex = [0]\nclosed = [1]", "one number for each column"),
        ("[arms.a.gripper_opening]\nfeature = 'f'\nclosed = [1]\nopen = [1]", "are the same"),
        (f"[arms.a.gripper_opening]\nfeature = 'f'\nclosed = [1{'0' * 400}]\nopen = [1]", "not made of numbers"),
    ],
)
def test_a_wrong_map_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(DatasetError, match=message):
        load_column_map(tmp_path / "map.toml")


def test_a_map_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is missing"):
        load_column_map(tmp_path / "map.toml")
