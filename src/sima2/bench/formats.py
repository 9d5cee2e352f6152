"""What reading a recorded set costs against its format's own library, and how much memory it takes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.bench.children import measured
from sima2.io.formats import open_dataset
from sima2.io.formats.hdf5 import need_h5py, used_by_child
from sima2.io.formats.mapped import MappedDataset

FRAMES: Final = 100
"""Of an episode: 5 s at 20 Hz, short, so that what an episode costs by itself weighs."""
ROUNDS: Final = 3
"""All are timed so often in turn, and the least of each counts: what else the machine does only adds."""
BATCH: Final = 256
"""Episodes read at once, as a run does."""
RATIO: Final = 3.0
MEMORY_MB: Final = 500.0

Signals = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Made:
    """A format: how sets of it are made, and how its own library reads them."""

    write: Callable[[Path, list[Signals]], None]
    plain: Callable[[Path, list[str]], int]
    """Reads features of all episodes, and counts the numbers."""
    column_map: str = ""


def run(*, episodes: int = 10_000, seed: int = 0, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """CPU time of opening and reading whole sets by the same columns, each format in a process of its own.

    ``…_over_plain`` is of the frames by feature, opening and looking through the set included; ``…_door_over_plain`` is
    of checked rollouts, which a run gets.
    """
    need_h5py()
    values: dict[str, Any] = {"episodes": episodes, "frames": FRAMES, "seed": seed}
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for name in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            progress(name)
            _make(name, Path(folder) / "set", episodes, seed)
            told = measured(f"{__name__}:cost", one_thread, name=name, folder=folder)
            memory = measured(f"{__name__}:memory", one_thread, name=name, folder=folder)
        values |= {
            f"{name}_over_plain": told["frames_s"] / told["plain_s"],
            f"{name}_door_over_plain": told["door_s"] / told["plain_s"],
            f"{name}_plain_us_per_episode": told["plain_s"] / episodes * 1e6,
            f"{name}_memory_mb": memory["memory_mb"] + memory["reader_mb"],
        }
    limits = {f"{name}_over_plain": RATIO for name in FORMATS} | {f"{name}_memory_mb": MEMORY_MB for name in FORMATS}
    values["targets"] = {
        name: {"limit": limit, "sense": "at most", "met": bool(values[name] <= limit)} for name, limit in limits.items()
    }
    return values


def rows(values: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The figures as a table: name, result, target."""
    out = []
    for name, value in values.items():
        if isinstance(value, int | float):
            target = values["targets"].get(name)
            limit = f"{target['sense']} {target['limit']:g}: {'met' if target['met'] else 'MISSED'}" if target else ""
            out.append((name.replace("_", " "), f"{value:,.4g}", limit))
    return out


def cost(name: str, folder: str) -> dict[str, float]:
    """CPU seconds of this program's reading and of the format's own library's, in turn."""
    spent: dict[str, list[float]] = {"plain_s": [], "frames_s": [], "door_s": []}
    features = list(_opened(name, Path(folder)).column_map.features())
    count = 0
    for _ in range(ROUNDS):
        for what in spent:
            begin = _cpu_s()
            if what == "plain_s":
                count = FORMATS[name].plain(Path(folder) / "set", features)
            elif what == "frames_s":
                source = _opened(name, Path(folder)).source
                found = source.read(source.entries, features)
                assert sum(each.size for got in found for each in got.features.values()) == count
            else:
                assert sum(_through_door(name, Path(folder))) > 0
            spent[what].append(_cpu_s() - begin)
    return {what: min(seconds) for what, seconds in spent.items()}


def _cpu_s() -> float:
    """CPU seconds of this process and of the one that reads HDF5 for it."""
    return time.process_time() + used_by_child().cpu_s


def memory(name: str, folder: str) -> dict[str, float]:
    """What a whole pass takes, in this process and in the one that reads HDF5."""
    return {"episodes": float(sum(_through_door(name, Path(folder)))), "reader_mb": used_by_child().memory_mb}


def _through_door(name: str, folder: Path) -> Iterator[int]:
    data = _opened(name, folder)
    for start in range(0, data.episodes, BATCH):
        yield len(data.read(start, start + BATCH).batch)


def _opened(name: str, folder: Path) -> MappedDataset:
    given = folder / "map.toml" if FORMATS[name].column_map else None
    if given is not None:
        given.write_text(FORMATS[name].column_map)
    data = open_dataset(folder / "set", column_map=given)
    assert isinstance(data, MappedDataset)
    return data


def _make(name: str, path: Path, episodes: int, seed: int) -> None:
    """A set of a hundred motions, again and again: to draw ten thousand would take longer than to read them."""
    rng = np.random.default_rng(seed)
    motions: list[Signals] = []
    for _ in range(min(episodes, 100)):
        t = np.linspace(0, 1, FRAMES)[:, None]
        joints = rng.uniform(0.4, 1.2, 7) * np.sin(np.pi * t) + rng.normal(0, 2e-4, (FRAMES, 7))
        gripper = np.clip(np.abs(4 * t - 2) - 0.4, 0, 1)
        motions.append({"joints": joints, "velocity": np.gradient(joints, axis=0) * 20, "gripper": gripper})
    path.mkdir()
    FORMATS[name].write(path, [motions[k % len(motions)] for k in range(episodes)])


def _write_robomimic(path: Path, episodes: list[Signals]) -> None:
    import h5py

    with h5py.File(path / "low_dim.hdf5", "w") as file:
        data = file.create_group("data")
        kwargs = {"env_kwargs": {"robots": "Panda", "control_freq": 20}}
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "env_type": 1, **kwargs})
        for number, each in enumerate(episodes):
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = FRAMES
            demo["actions"] = each["joints"]
            demo["rewards"] = np.zeros(FRAMES)
            demo["dones"] = np.zeros(FRAMES, np.int64)
            obs = demo.create_group("obs")
            obs["robot0_joint_pos"], obs["robot0_joint_vel"] = each["joints"], each["velocity"]
            obs["robot0_eef_pos"], obs["object"] = each["joints"][:, :3], np.zeros((FRAMES, 10))
            obs["robot0_gripper_qpos"] = each["gripper"] * [[0.04, -0.04]]


def _plain_robomimic(path: Path, features: list[str]) -> int:
    import h5py

    with h5py.File(path / "low_dim.hdf5") as file:
        data = file["data"]
        return sum(data[demo][name][()].size for demo in data for name in features)


def _write_aloha(path: Path, episodes: list[Signals]) -> None:
    import h5py

    for number, each in enumerate(episodes):
        both = np.hstack([each["joints"][:, :6], each["gripper"]] * 2)
        with h5py.File(path / f"episode_{number}.hdf5", "w") as file:
            file["observations/qpos"], file["observations/qvel"], file["action"] = both, both, both


def _plain_aloha(path: Path, features: list[str]) -> int:
    return _plain_files([path / name for name in os.listdir(path)], features)  # noqa: PTH208 - its order is any


def _write_droid(path: Path, episodes: list[Signals]) -> None:
    import h5py

    for number, each in enumerate(episodes):
        folder = path / "success" / f"run_{number:06d}"
        folder.mkdir(parents=True)
        with h5py.File(folder / "trajectory.h5", "w") as file:
            state = file.create_group("observation/robot_state")
            state["joint_positions"], state["joint_velocities"] = each["joints"], each["velocity"]
            state["gripper_position"], state["cartesian_position"] = each["gripper"][:, 0], each["joints"][:, :6]
            file["action/joint_position"] = each["joints"]


def _plain_droid(path: Path, features: list[str]) -> int:
    return _plain_files(list(path.rglob("trajectory.h5")), features)


def _plain_files(files: list[Path], features: list[str]) -> int:
    import h5py

    count = 0
    for each in files:
        with h5py.File(each) as file:
            count += sum(file[name][()].size for name in features)
    return count


def _write_npz(path: Path, episodes: list[Signals]) -> None:
    for number, each in enumerate(episodes):
        np.savez(path / f"run_{number}.npz", allow_pickle=False, **each)


def _plain_npz(path: Path, features: list[str]) -> int:
    count = 0
    for name in os.listdir(path):  # noqa: PTH208 - its order is any
        with np.load(path / name) as file:
            count += sum(file[each].size for each in features)
    return count


def _write_csv(path: Path, episodes: list[Signals]) -> None:
    made: dict[int, Path] = {}
    for number, each in enumerate(episodes):
        file = path / f"run_{number}.csv"
        if id(each) in made:
            shutil.copyfile(made[id(each)], file)
            continue
        made[id(each)] = file
        with file.open("w", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerow([f"q{k}" for k in range(7)] + ["gripper"])
            writer.writerows(np.hstack([each["joints"], each["gripper"]]).tolist())


def _plain_csv(path: Path, features: list[str]) -> int:
    import pyarrow.csv

    count = 0
    for name in os.listdir(path):  # noqa: PTH208 - its order is any
        options = pyarrow.csv.ReadOptions(use_threads=False)
        table = pyarrow.csv.read_csv(path / name, read_options=options)
        count += np.column_stack([column.to_numpy() for column in table.columns]).size
    return count


_NPZ_MAP: Final = """[arms.arm.joint_position]
feature = "joints"
[arms.arm.joint_velocity]
feature = "velocity"
[arms.arm.gripper_opening]
feature = "gripper"
[robot]
rate_hz = 20
"""
_CSV_MAP: Final = """[arms.arm.joint_position]
feature = "row"
index = [0, 1, 2, 3, 4, 5, 6]
[arms.arm.gripper_opening]
feature = "row"
index = [7]
[robot]
rate_hz = 20
"""
FORMATS: Final[Mapping[str, Made]] = {
    "robomimic": Made(_write_robomimic, _plain_robomimic),
    "aloha": Made(_write_aloha, _plain_aloha),
    "droid": Made(_write_droid, _plain_droid),
    "npz": Made(_write_npz, _plain_npz, _NPZ_MAP),
    "csv": Made(_write_csv, _plain_csv, _CSV_MAP),
}
"""LeRobot's cost is that of ``bench throughput``."""
