"""A small data set in every format of the registry, made of the same signals by the format's own library.

A new format needs a row in ``SETS``: then all promises (``contracts/test_format_promises.py``) and the damaged inputs
(``faults/readers.py``) run on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from recorded_sets import record

Signals = dict[str, np.ndarray]
"""Of an episode: ``joints`` (t, j), ``velocity`` (t, j), which may lack, ``gripper`` (t,) from 0 closed to 1 open."""
RATE = 20.0


def signals(seed: int, joints: int = 7) -> Signals:
    """Joints that travel there and back while the gripper closes and opens."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, int(rng.integers(50, 90)))[:, None]
    moved = rng.uniform(0.4, 1.2, joints) * np.sin(np.pi * t) + rng.normal(0, 2e-4, (len(t), joints))
    gripper = np.clip(np.abs(4 * t[:, 0] - 2) - 0.4, 0, 1)
    return {"joints": moved, "velocity": np.gradient(moved, axis=0) * RATE, "gripper": gripper}


@dataclass(frozen=True)
class Made:
    """How a format's sets are made and what they promise."""

    write: Callable[[Path, Mapping[int, Signals]], Path]
    """Writes episodes by number under a new path, and says which path is the data set."""
    joints: int = 7
    arm: str = "arm"
    numbered: bool = True
    """Whether files tell the numbers of episodes."""
    shared: bool = False
    """Whether one file holds all episodes, so that a broken file is a broken set."""
    gap: bool = True
    """Whether an episode may lack a feature that others have."""
    ends: str = ""
    """How the names of its data files end; those are damaged."""
    column_map: str = ""
    """A map that it needs."""


def lerobot(root: Path, episodes: Mapping[int, Signals]) -> Path:
    """LeRobot v2.1, of joints and gripper."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"joint_{k}.pos" for k in range(7)] + ["gripper.pos"]
    record(root, list(range(len(episodes))), numbers=list(episodes), names=names)
    lines = []
    for number, each in episodes.items():
        file = root / f"data/chunk-000/episode_{number:06d}.parquet"
        frames = len(each["joints"])
        state = np.hstack([each["joints"], each["gripper"][:, None]])
        kept = pq.read_table(file).schema.names
        columns = {
            "observation.state": pa.array(state.tolist(), pa.list_(pa.float64(), 8)),
            "timestamp": pa.array(np.arange(frames) / RATE),
            **{name: pa.array(np.arange(frames)) for name in kept if name in ("frame_index", "index")},
            "episode_index": pa.array(np.full(frames, number)),
            "task_index": pa.array(np.zeros(frames, np.int64)),
        }
        pq.write_table(pa.table(columns), file)
        lines.append(json.dumps({"episode_index": number, "tasks": ["do it"], "length": frames}))
    (root / "meta/episodes.jsonl").write_text("\n".join(lines) + "\n")
    return root


def robomimic(root: Path, episodes: Mapping[int, Signals]) -> Path:
    """One file of robomimic's."""
    import h5py

    root.mkdir(parents=True)
    kwargs = {"env_name": "Lift", "env_type": 1, "env_kwargs": {"robots": ["Sawyer"], "control_freq": RATE}}
    with h5py.File(root / "low_dim.hdf5", "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps(kwargs)
        for number, each in episodes.items():
            demo = data.create_group(f"demo_{number}")
            frames = len(each["joints"])
            demo.attrs["num_samples"] = frames
            demo["actions"] = np.zeros((frames, 7))
            demo["rewards"] = np.where(np.arange(frames) == frames - 1, float(number % 2), 0.0)
            obs = demo.create_group("obs")
            obs.create_dataset("robot0_joint_pos", data=each["joints"], compression="gzip", chunks=True)
            obs["robot0_gripper_qpos"] = each["gripper"][:, None] * [[0.02, -0.02]]
            if "velocity" in each:
                obs["robot0_joint_vel"] = each["velocity"]
        file["mask/train"] = np.array([b"demo_0"])
    return root


def aloha(root: Path, episodes: Mapping[int, Signals]) -> Path:
    """A folder of ALOHA's episodes, both arms alike."""
    import h5py

    root.mkdir(parents=True)
    for number, each in episodes.items():
        with h5py.File(root / f"episode_{number}.hdf5", "w") as file:
            file.attrs["sim"] = False
            one = np.hstack([each["joints"], each["gripper"][:, None]])
            file["observations/qpos"] = np.hstack([one, one])
            if "velocity" in each:
                speed = np.hstack([each["velocity"], each["gripper"][:, None]])
                file["observations/qvel"] = np.hstack([speed, speed])
            file["observations/effort"] = np.zeros((len(one), 14))
            file["observations/images/cam_high"] = np.zeros((len(one), 2, 2, 3), np.uint8)
            file["action"] = np.hstack([one, one])
    return root


def droid(root: Path, episodes: Mapping[int, Signals]) -> Path:
    """Folders of DROID's episodes."""
    import h5py

    for number, each in episodes.items():
        folder = root / f"day_{number:04d}" / ("success" if number % 2 else "failure")
        folder.mkdir(parents=True)
        (folder / "metadata_x.json").write_text(json.dumps({"current_task": "pick it up", "lab": "here"}))
        with h5py.File(folder / "trajectory.h5", "w") as file:
            state = file.create_group("observation/robot_state")
            state["joint_positions"] = each["joints"]
            if "velocity" in each:
                state["joint_velocities"] = each["velocity"]
            state["gripper_position"] = 1.0 - each["gripper"]
            state["cartesian_position"] = each["joints"][:, :6]
            file["action/joint_position"] = each["joints"]
    return root


def npz(root: Path, episodes: Mapping[int, Signals]) -> Path:
    """A folder of npz files."""
    root.mkdir(parents=True)
    for number, each in episodes.items():
        np.savez_compressed(root / f"run_{number}.npz", **each)
    return root


def csv(root: Path, episodes: Mapping[int, Signals]) -> Path:
    """A folder of csv files."""
    root.mkdir(parents=True)
    for number, each in episodes.items():
        columns = [each["joints"], each["gripper"][:, None], *([each["velocity"]] if "velocity" in each else [])]
        heads = [f"q{k}" for k in range(7)] + ["gripper"] + [f"v{k}" for k in range(7 * ("velocity" in each))]
        rows = np.hstack(columns)
        lines = [",".join("" if np.isnan(value) else repr(float(value)) for value in row) for row in rows]
        (root / f"run_{number}.csv").write_text("\n".join([",".join(heads), *lines]) + "\n")
    return root


def mcap(root: Path, episodes: Mapping[int, Signals]) -> Path:
    """A folder of recordings: joint states, and the gripper on a topic of its own."""
    from sima2.io.formats.mcap_write import NUMBER, joint_states, recording, vectors

    root.mkdir(parents=True)
    for number, each in episodes.items():
        times = 10**9 + np.arange(len(each["joints"])) * 50_000_000
        lists = {"position": each["joints"], **({"velocity": each["velocity"]} if "velocity" in each else {})}
        names = [f"joint_{k}" for k in range(7)]
        streams = [joint_states("/joint_states", times, lists, names)]
        streams.append(vectors("/gripper_position", NUMBER, times, each["gripper"][:, None]))
        (root / f"run_{number}.mcap").write_bytes(recording(streams, [("about", {"task": "do it"})]))
    return root


def rlds(root: Path, episodes: Mapping[int, Signals]) -> Path:
    """A shard an episode, as TensorFlow Datasets lays it out (see ``unit/io/rlds_of_tfds``)."""
    import struct

    from sima2.io.formats.tfrecord import masked_crc

    def varint(value: int) -> bytes:
        return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)

    def part(number: int, data: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(data)) + data

    root.mkdir(parents=True)
    inner = {}
    for key, name in (("joints", "joint_position"), ("velocity", "joint_velocity"), ("gripper", "gripper_position")):
        width = 1 if key == "gripper" else 7
        inner[name] = (key, {"tensor": {"dtype": "float32", "encoding": "none", "shape": {"dimensions": [str(width)]}}})
    for k, each in enumerate(episodes.values()):
        frames = len(each["joints"])
        lists = {f"steps/observation/{name}": each[key] for name, (key, _) in inner.items() if key in each}
        rows = {name: part(2, part(1, value.astype("<f4").tobytes())) for name, value in lists.items()}
        rows["steps/is_first"] = part(3, part(1, bytes([1] + [0] * (frames - 1))))
        rows["steps/language_instruction"] = part(1, part(1, b"do it") * frames)
        data = part(1, b"".join(part(1, part(1, name.encode()) + part(2, value)) for name, value in rows.items()))
        head = struct.pack("<Q", len(data))
        record = head + struct.pack("<I", masked_crc(head)) + data + struct.pack("<I", masked_crc(data))
        (root / f"set-train.tfrecord-{k:05d}-of-{len(episodes):05d}").write_bytes(record)
    observation = {"featuresDict": {"features": {name: told for name, (_, told) in inner.items()}}}
    steps = {"observation": observation, "language_instruction": {"text": {}}}
    whole = {"steps": {"sequence": {"feature": {"featuresDict": {"features": steps}}}}}
    (root / "features.json").write_text(json.dumps({"featuresDict": {"features": whole}}))
    splits = [{"name": "train", "shardLengths": ["1"] * len(episodes)}]
    (root / "dataset_info.json").write_text(json.dumps({"name": "set", "version": "1.0.0", "splits": splits}))
    return root


NPZ_MAP = """[arms.arm.joint_position]
feature = "joints"
[arms.arm.joint_velocity]
feature = "velocity"
[arms.arm.gripper_opening]
feature = "gripper"
[robot]
rate_hz = 20
"""
CSV_MAP = """[arms.arm.joint_position]
feature = "row"
index = [0, 1, 2, 3, 4, 5, 6]
[arms.arm.gripper_opening]
feature = "row"
index = [7]
[robot]
rate_hz = 20
"""
SETS: dict[str, Made] = {
    "lerobot": Made(lerobot, ends=".parquet"),
    "droid": Made(droid, numbered=False, ends=".h5"),
    "aloha": Made(aloha, joints=6, arm="left", ends=".hdf5"),
    "robomimic": Made(robomimic, shared=True, ends=".hdf5"),
    "mcap": Made(mcap, ends=".mcap"),
    "rlds": Made(rlds, numbered=False, ends="tfrecord-*"),
    "npz": Made(npz, column_map=NPZ_MAP, ends=".npz"),
    "csv": Made(csv, column_map=CSV_MAP, ends=".csv"),
}
NEEDS_H5PY = ("droid", "aloha", "robomimic")


def make(name: str, root: Path, numbers: Sequence[int], change: Callable[[int, Signals], None] | None = None) -> Path:
    """A set of one episode a number, whose signals the number tells; its path, with a map beside it where it needs one.

    Args:
        name: of the format.
        root: new folder.
        numbers: of the episodes.
        change: what is done to the signals of each before they are written.
    """
    if name not in SETS:
        pytest.fail(f"format {name} has no set: add SETS[{name!r}] to tests/format_sets.py")
    made = SETS[name]
    episodes = {number: signals(number, made.joints) for number in numbers}
    for number, each in episodes.items():
        if change is not None:
            change(number, each)
    return made.write(root, episodes)


def opened(name: str, path: Path):
    """The set, opened by the registry."""
    from sima2.io.formats import open_dataset

    made = SETS[name]
    if not made.column_map:
        return open_dataset(path)
    beside = path.parent / f"{path.name}.toml"
    beside.write_text(made.column_map)
    return open_dataset(path, column_map=beside)
