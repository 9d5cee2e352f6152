"""robomimic's layout and what is made in it: names, rates, tasks, outcomes, numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from format_sets import make, signals
from sima2.errors import DatasetError
from sima2.io.formats import open_dataset

h5py = pytest.importorskip("h5py")


def write(file: Path, demos: dict[int, dict[str, Any]], **attributes: Any) -> Path:
    """A file of episodes: ``obs/…`` and other arrays, ``at`` for attributes."""
    with h5py.File(file, "w") as opened:
        data = opened.create_group("data")
        for name, value in attributes.items():
            data.attrs[name] = value if isinstance(value, str) else json.dumps(value)
        for number, arrays in demos.items():
            demo = data.create_group(f"demo_{number}")
            for name, values in arrays.items():
                if name == "at":
                    for key, value in values.items():
                        demo.attrs[key] = value
                else:
                    demo[name] = values
    return file


def robosuite(seed: int, **more: Any) -> dict[str, Any]:
    each = signals(seed)
    frames = len(each["joints"])
    quaternion = np.tile([0.0, 0.0, np.sin(0.3), np.cos(0.3)], (frames, 1))
    finger = 0.04 * each["gripper"]
    return {
        "obs/robot0_joint_pos": each["joints"],
        "obs/robot0_eef_pos": each["joints"][:, :3],
        "obs/robot0_eef_quat": quaternion,
        "obs/robot0_gripper_qpos": np.stack([finger, -finger], axis=1),
        "obs/object": np.zeros((frames, 10)),
        "obs/agentview_image": np.zeros((frames, 2, 2, 3), np.uint8),
        "actions": np.zeros((frames, 7)),
        **more,
    }


PANDA = {"env_name": "Lift", "env_type": 1, "env_kwargs": {"robots": "Panda", "control_freq": 25}}


def test_robosuites_names_are_read_as_it_defines_them(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path / "a.hdf5", {k: robosuite(k) for k in range(3)}, env_args=PANDA))
    report = data.describe()
    assert (report.robot, report.fps, report.format) == ("Panda", 25.0, "robomimic")
    assert not any("rate" in each for each in report.warnings)
    first = data.read(0, 1).batch[0]
    arm = first.manipulators["arm"]
    assert np.allclose(arm.ee_orientation[0], [np.cos(0.3), 0, 0, np.sin(0.3)])
    assert np.allclose(arm.gripper_width, 0.08 * signals(0)["gripper"], atol=1e-7)
    assert first.instruction == "Lift"
    assert "obs/object" in report.unmapped
    assert not any("image" in each for each in report.unmapped)


def test_demos_are_in_order_of_their_numbers(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path / "a.hdf5", {k: robosuite(k) for k in (10, 2, 1, 0)}, env_args=PANDA))
    assert data.numbers.tolist() == [0, 1, 2, 10]


@pytest.mark.parametrize(
    ("rewards", "told"),
    [
        ({0: [0, 0, 1], 1: [0, 0, 0]}, [1.0, 0.0]),
        ({0: [0, 0, 1], 1: [0, 0, 1]}, [np.nan, np.nan]),
        ({0: [0, 0, 0], 1: [0, 0, 0]}, [np.nan, np.nan]),
        ({0: [0, 0.3, 0.9], 1: [0, 0, 0]}, [np.nan, np.nan]),
    ],
)
def test_sparse_rewards_tell_outcomes_where_they_differ(
    rewards: dict[int, list[float]], told: list[float], tmp_path: Path
) -> None:
    demos = {k: robosuite(k, rewards=np.array(each, float)) for k, each in rewards.items()}
    data = open_dataset(write(tmp_path / "a.hdf5", demos, env_args=PANDA))
    assert np.array_equal(data.read(0, 2).outcome.success, told, equal_nan=True)
    assert ("outcome" in data.describe().absent) == bool(np.isnan(told).all())


def test_an_attribute_of_success_comes_before_rewards(tmp_path: Path) -> None:
    demos = {k: robosuite(k, at={"success": k == 1}) for k in range(3)}
    data = open_dataset(write(tmp_path / "a.hdf5", demos, env_args=PANDA))
    assert data.read(0, 3).outcome.success.tolist() == [0.0, 1.0, 0.0]


def test_a_folder_of_liberos_files_is_one_set_with_a_task_a_file(tmp_path: Path) -> None:
    def libero(seed: int) -> dict[str, Any]:
        each = signals(seed)
        finger = 0.04 * each["gripper"]
        return {
            "obs/ee_pos": each["joints"][:, :3],
            "obs/ee_ori": each["joints"][:, :3],
            "obs/ee_states": each["joints"][:, :6],
            "obs/gripper_states": np.stack([finger, -finger], axis=1),
            "obs/joint_states": each["joints"],
            "actions": np.zeros((len(finger), 7)),
        }

    for name, words in (("a_demo.hdf5", "open the drawer"), ("b_demo.hdf5", "close it")):
        demos = {k: libero(k) for k in range(2)}
        write(tmp_path / name, demos, env_args=PANDA, problem_info={"language_instruction": words})
    data = open_dataset(tmp_path)
    assert data.numbers.tolist() == [0, 1, 2, 3]
    got = data.read(0, 4).batch
    assert got.episodes.instruction == ("open the drawer", "open the drawer", "close it", "close it")
    arm = got[0].manipulators["arm"]
    assert arm.ee_position is not None
    assert arm.ee_orientation is None
    assert np.allclose(arm.gripper_width, 0.08 * signals(0)["gripper"], atol=1e-7)


def test_the_words_of_an_episode_come_before_those_of_the_file(tmp_path: Path) -> None:
    demos = {0: robosuite(0, at={"ep_meta": json.dumps({"lang": "pick the cup"})}), 1: robosuite(1)}
    data = open_dataset(write(tmp_path / "a.hdf5", demos, env_args=PANDA))
    assert data.read(0, 2).batch.episodes.instruction == ("pick the cup", "Lift")


def test_two_robots_are_two_arms(tmp_path: Path) -> None:
    demos = {}
    for k in range(2):
        one = robosuite(k)
        demos[k] = one | {name.replace("robot0", "robot1"): each for name, each in one.items() if "robot0" in name}
    data = open_dataset(write(tmp_path / "a.hdf5", demos, env_args=PANDA))
    assert set(data.read(0, 1).batch.manipulators) == {"robot0", "robot1"}


def test_what_was_not_made_for_learning_yet_is_told_the_way_on(tmp_path: Path) -> None:
    demos = {0: {"states": np.zeros((5, 40)), "actions": np.zeros((5, 7))}}
    with pytest.raises(DatasetError, match="dataset_states_to_obs"):
        open_dataset(write(tmp_path / "demo.hdf5", demos))


def test_a_rate_that_no_file_states_is_a_warning_with_the_remedy(tmp_path: Path) -> None:
    file = write(tmp_path / "a.hdf5", {k: robosuite(k) for k in range(2)})
    data = open_dataset(file)
    assert any("20 Hz is taken" in each for each in data.describe().warnings)
    given = tmp_path / "map.toml"
    given.write_text(data.column_map.to_toml() + "\n[robot]\nrate_hz = 40\n")
    again = open_dataset(file, column_map=given)
    assert again.describe().fps == 40.0
    assert not any("Hz is taken" in each for each in again.describe().warnings)
    assert np.allclose(np.diff(again.read(0, 1).batch.time), 1 / 40)
    given.write_text(data.column_map.to_toml() + "\n[robot]\nrate_hz = 'fast'\n")
    with pytest.raises(DatasetError, match="is no rate"):
        open_dataset(file, column_map=given)


def test_fewer_frames_than_stated_are_put_aside(tmp_path: Path) -> None:
    path = make("robomimic", tmp_path / "set", (0, 1))
    with h5py.File(path / "low_dim.hdf5", "r+") as file:
        file["data/demo_0"].attrs["num_samples"] = 500
    got = open_dataset(path).read(0, 2)
    assert got.quarantine.reason[0] == "length_mismatch"
    assert len(got.batch) == 1


def test_filter_keys_are_told(tmp_path: Path) -> None:
    notes = open_dataset(make("robomimic", tmp_path / "set", (0, 1))).describe().assumptions
    assert any("filter keys of low_dim.hdf5: train (1)" in each for each in notes)
