"""What reading a recorded set costs against its format's own library, and how much memory it takes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.bench.children import ONE_THREAD, measured
from sima2.bench.figures import Limit, Progress, judged, least_cpu_s, quiet, tabled
from sima2.errors import MissingExtraError
from sima2.io.formats import open_dataset
from sima2.io.formats.hdf5 import need_h5py, used_by_child
from sima2.io.formats.mapped import MappedDataset
from sima2.io.formats.mcap_write import joint_states
from sima2.records.arrays import Float64s
from sima2.records.rollout import RolloutBatch

FRAMES: Final = 100
"""Of an episode: 5 s at 20 Hz, short, so that what an episode costs by itself weighs."""
ROUNDS: Final = 3
"""All are timed so often in turn, and the least of each counts: what else the machine does only adds."""
BATCH: Final = 256
"""Episodes read at once, as a run does."""
RATIO: Final = 3.0
MEMORY_MB: Final = 500.0
ROLLOUTS: Final = 200
"""Made rollouts that are written in each format and read back."""
RATE_HZ: Final = 20.0
LATE_NS: Final = 3_000_000
"""How much earlier or later messages come, at most, where topics have clocks of their own."""
LABELS: Final[Mapping[str, float]] = {
    "lerobot_same_labels": 1.0,
    "robomimic_same_labels": 1.0,
    "mcap_same_labels": 1.0,
    "mcap_late_topics_same_labels": 0.99,
    "mcap_slow_things_same_labels": 0.99,
    "mcap_slow_topics_same_labels": 0.99,
}
"""Least share of frames whose label must come back."""

Signals = Mapping[str, Float64s]


@dataclass(frozen=True, slots=True)
class Made:
    """A format: how sets of it are made, and how its own library reads them."""

    write: Callable[[Path, list[Signals]], None]
    plain: Callable[[Path, list[str]], int]
    """Reads features of all episodes, and counts the numbers."""
    column_map: str = ""


def run(*, episodes: int = 10_000, seed: int = 0, progress: Progress = quiet) -> dict[str, Any]:
    """CPU time of opening and reading whole sets by the same columns, each format in a process of its own.

    ``…_over_plain`` is of the frames by feature, opening and looking through the set included; ``…_door_over_plain`` is
    of checked rollouts, which a run gets.
    """
    need_h5py()
    if find_spec("mcap") is None:  # else known only after half of the formats
        raise MissingExtraError("mcap", "mcap")
    values: dict[str, Any] = {"episodes": episodes, "frames": FRAMES, "seed": seed}
    for name in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            progress(name)
            _make(name, Path(folder) / "set", episodes, seed)
            spent = measured(f"{__name__}:cost", ONE_THREAD, name=name, folder=folder)
            memory = measured(f"{__name__}:memory", ONE_THREAD, name=name, folder=folder)
        values |= {
            f"{name}_over_plain": spent["frames"] / spent["plain"],
            f"{name}_door_over_plain": spent["door"] / spent["plain"],
            f"{name}_plain_us_per_episode": spent["plain"] / episodes * 1e6,
            f"{name}_memory_mb": memory["memory_mb"] + memory["reader_mb"],
        }
    progress("the same rollouts in each format")
    kept = labels_kept(min(ROLLOUTS, episodes), seed)
    limits: dict[str, Limit] = {}
    for name in FORMATS:
        limits |= {f"{name}_over_plain": (RATIO, "at most"), f"{name}_memory_mb": (MEMORY_MB, "at most")}
    values |= kept
    values["targets"] = judged(values, limits | {name: (LABELS[name], "at least") for name in kept})
    return values


def labels_kept(episodes: int, seed: int) -> dict[str, float]:
    """Share of the frames of made rollouts that bear the same label when they come back from a format.

    LeRobot, robomimic and MCAP on one clock keep every channel, and so every segment; MCAP on several clocks does not.
    """
    from sima2.client import Sima2Client

    intake = Sima2Client(seed=seed).source(mix="hardening", total=episodes).read(0, episodes)
    made = intake.batch
    place = np.arange(made.frames) - np.repeat(made.offset[:-1], made.length)
    # an even clock and no goals: robomimic holds neither times nor what was asked for
    plain = replace(made.episodes, goal=(None,) * len(made))
    batch = replace(made, time=place / RATE_HZ, episodes=plain)
    known = _labels(batch)
    kept = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, write in _written((batch, intake.outcome), seed).items():
            path = Path(folder) / name
            write(path)
            data = open_dataset(path)
            kept[name] = float((_labels(data.read(0, data.episodes).batch) == known).mean())
    return kept


def _written(part: Any, seed: int) -> dict[str, Callable[[Path], None]]:
    """How the rollouts are written, by what is told of it."""
    from sima2.io.formats.lerobot_write import write_lerobot
    from sima2.io.formats.mcap_write import Stream, write_mcap
    from sima2.io.formats.robomimic_write import write_robomimic

    rng = np.random.default_rng(seed)

    def robomimic(path: Path) -> None:
        path.mkdir()
        write_robomimic(path / "demo.hdf5", [part], fps=RATE_HZ, robot="made")

    def led(each: Stream) -> bool:
        return "joint" in each.topic or "time" in each.topic

    def late(each: Stream) -> Stream:
        off = np.zeros(len(each.times), int) if led(each) else rng.integers(-LATE_NS, LATE_NS, len(each.times))
        return replace(each, times=np.sort(each.times + off))

    def halved(each: Stream) -> Stream:
        return replace(each, times=each.times[::2], messages=each.messages[::2])

    def mcap(clocks: Callable[[Stream], Stream] | None) -> Callable[[Path], None]:
        return lambda path: write_mcap(path, [part], robot="made", clocks=clocks)

    return {
        "lerobot_same_labels": lambda path: write_lerobot(path, [part], fps=RATE_HZ, robot="made"),
        "robomimic_same_labels": robomimic,
        "mcap_same_labels": mcap(None),
        "mcap_late_topics_same_labels": mcap(late),
        "mcap_slow_things_same_labels": mcap(lambda each: halved(each) if "objects" in each.topic else each),
        "mcap_slow_topics_same_labels": mcap(lambda each: each if led(each) else halved(each)),
    }


def _labels(batch: RolloutBatch) -> NDArray[np.object_]:
    """Label of every frame of every arm, shape (T, arms); by no scales of a robot, for a robomimic file names one."""
    from sima2.segmentation_engine import SegmentationEngine

    begin = dict(zip(batch.episodes.episode_id, batch.offset.tolist(), strict=False))
    arms = {name: k for k, name in enumerate(sorted(batch.manipulators))}
    labels = np.full((batch.frames, len(arms)), "", object)
    for row in SegmentationEngine().segment(batch).rows():
        first = begin[row["episode_id"]]
        labels[first + row["start_frame"] : first + row["end_frame"], arms[row["manipulator"]]] = row["label"]
    return labels


rows = tabled
"""The figures as a table."""


def cost(name: str, folder: str) -> dict[str, float]:
    """CPU seconds of this program's reading and of the format's own library's, in turn."""
    features = list(_opened(name, Path(folder)).column_map.features())
    count = FORMATS[name].plain(Path(folder) / "set", features)

    def frames() -> None:
        source = _opened(name, Path(folder)).source
        found = source.read(source.entries, features)
        # a recording of messages gives their times besides
        assert sum(got.features[each].size for got in found for each in features) == count

    work: dict[str, Callable[[], object]] = {
        "plain": lambda: FORMATS[name].plain(Path(folder) / "set", features),
        "frames": frames,
        "door": lambda: sum(_through_door(name, Path(folder))),
    }
    return least_cpu_s(work, ROUNDS, _cpu_s)


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
        given.write_text(FORMATS[name].column_map, encoding="utf-8")
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
        kwargs = {"env_kwargs": {"robots": "Panda", "control_freq": 20}}
        about = {"env_name": "Lift", "env_type": 1, **kwargs}
        file.create_group("data").attrs["env_args"] = json.dumps(about)
        for number, each in enumerate(episodes):
            demo = file.create_group(f"data/demo_{number}")
            demo.attrs["num_samples"] = FRAMES
            demo["actions"], demo["rewards"] = each["joints"], np.zeros(FRAMES)
            demo["dones"] = np.zeros(FRAMES, np.int64)
            demo["obs/robot0_joint_pos"], demo["obs/robot0_joint_vel"] = each["joints"], each["velocity"]
            demo["obs/robot0_eef_pos"], demo["obs/object"] = each["joints"][:, :3], np.zeros((FRAMES, 10))
            demo["obs/robot0_gripper_qpos"] = each["gripper"] * [[0.04, -0.04]]


def _plain_robomimic(path: Path, features: list[str]) -> int:
    import h5py

    with h5py.File(path / "low_dim.hdf5") as file:
        data = file["data"]
        return sum(data[demo][name][()].size for demo in data for name in features)


def _write_aloha(path: Path, episodes: list[Signals]) -> None:
    for number, each in enumerate(episodes):
        both = np.hstack([each["joints"][:, :6], each["gripper"]] * 2)
        _hdf5(path / f"episode_{number}.hdf5", {"observations/qpos": both, "observations/qvel": both, "action": both})


def _write_droid(path: Path, episodes: list[Signals]) -> None:
    for number, each in enumerate(episodes):
        joints, state = each["joints"], "observation/robot_state"
        (path / f"success/run_{number:06d}").mkdir(parents=True)
        signals = {
            f"{state}/joint_positions": joints,
            f"{state}/joint_velocities": each["velocity"],
            f"{state}/gripper_position": each["gripper"][:, 0],
            f"{state}/cartesian_position": joints[:, :6],
            "action/joint_position": joints,
        }
        _hdf5(path / f"success/run_{number:06d}/trajectory.h5", signals)


def _hdf5(file: Path, signals: Signals) -> None:
    import h5py

    with h5py.File(file, "w") as opened:
        for name, values in signals.items():
            opened[name] = values


def _plain_hdf5(path: Path, features: list[str]) -> int:
    import h5py

    count = 0
    for each in path.rglob("*.h*5"):
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


def _write_mcap(path: Path, episodes: list[Signals]) -> None:
    """Joint states of ROS 2 as the library of the format writes them."""
    from mcap.writer import CompressionType, Writer

    names = [*(f"joint{k + 1}" for k in range(7)), "gripper"]
    times = 10**18 + np.arange(FRAMES) * 50_000_000
    for number, each in enumerate(episodes):
        lists = {"position": [each["joints"], each["gripper"]], "velocity": [each["velocity"], each["gripper"]]}
        stream = joint_states("/joint_states", times, {key: np.hstack(each) for key, each in lists.items()}, names)
        with (path / f"run_{number:06d}.mcap").open("wb") as file:
            writer = Writer(file, compression=CompressionType.NONE)
            writer.start(profile="ros2")
            schema = writer.register_schema(stream.schema.name, stream.schema.encoding, stream.schema.data)
            channel = writer.register_channel(stream.topic, "cdr", schema)
            for at, message in zip(times.tolist(), stream.messages, strict=True):
                writer.add_message(channel, at, message, at)
            writer.finish()


def _plain_mcap(path: Path, features: list[str]) -> int:
    """Messages as the library hands them out, not even decoded: as many numbers as the features have."""
    from mcap.reader import make_reader

    count = 0
    for name in os.listdir(path):  # noqa: PTH208 - its order is any
        with (path / name).open("rb") as file:
            count += sum(1 for _ in make_reader(file).iter_messages())
    return count * sum(1 if "gripper" in each else 7 for each in features)


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


_MAP: Final = "robot.rate_hz = 20\n[arms.arm]\n"
_NPZ_MAP: Final = (
    _MAP
    + """joint_position = { feature = "joints" }
joint_velocity = { feature = "velocity" }
gripper_opening = { feature = "gripper" }
"""
)
_CSV_MAP: Final = (
    _MAP
    + """joint_position = { feature = "row", index = [0, 1, 2, 3, 4, 5, 6] }
gripper_opening = { feature = "row", index = [7] }
"""
)
FORMATS: Final[Mapping[str, Made]] = {
    "robomimic": Made(_write_robomimic, _plain_robomimic),
    "aloha": Made(_write_aloha, _plain_hdf5),
    "droid": Made(_write_droid, _plain_hdf5),
    "npz": Made(_write_npz, _plain_npz, _NPZ_MAP),
    "mcap": Made(_write_mcap, _plain_mcap),
    "csv": Made(_write_csv, _plain_csv, _CSV_MAP),
}
"""LeRobot's cost is that of ``bench throughput``."""
