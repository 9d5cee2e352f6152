"""Data set formats behind one registry: a format is a file here and a row there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from sima2.errors import DatasetError, UsageError
from sima2.io.documents import reason
from sima2.io.formats.aloha import open_aloha
from sima2.io.formats.dataset import Dataset as Dataset
from sima2.io.formats.dataset import DatasetReport as DatasetReport
from sima2.io.formats.droid import open_droid
from sima2.io.formats.frame_source import FrameSource
from sima2.io.formats.hdf5_kind import is_aloha, is_droid, is_robomimic, members_told
from sima2.io.formats.lerobot import INFO, LeRobotFrames, lerobot_id
from sima2.io.formats.mapped import MappedDataset
from sima2.io.formats.marks import Mark, document, holds
from sima2.io.formats.mcap import DEEPEST, McapFrames
from sima2.io.formats.rlds import LAYOUT, RldsFrames
from sima2.io.formats.robomimic import open_robomimic
from sima2.io.formats.tables import CSV, NPZ, TableFrames, columns_told, open_tables
from sima2.io.remote import url_of


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the registry: all that commands, messages and documents know of a format."""

    name: str
    mark: str
    """By what a data set of this format is recognised, in words."""
    fits: Mark
    """Whether a path is one."""
    open: Callable[[Path], FrameSource]
    read: str
    """What is read of it, for the documents."""
    guessed: str
    missing: str
    extra: str = ""
    """Of this package, that it needs."""
    rate: str = "stated in its files"
    """Where the frame rate comes from."""
    needs_map: bool = False
    """Whether nothing but a map can tell its columns."""
    identify: Callable[[Path], str | None] | None = None
    """The source id without opening it; None where a part of it is missing."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A format that is known by sight and not read."""

    name: str
    mark: str
    fits: Mark
    way_on: str


FORMATS: Final = (
    Format(
        "lerobot",
        INFO,
        document(INFO),
        LeRobotFrames.open,
        read="LeRobot v2.0, v2.1 and v3.0: states, actions, tasks, next.success or a sparse next.reward, "
        "subtasks, videos for the page and for cuts",
        guessed="which columns are joints, grippers, poses; units; which end of a gripper is open; lag of commands",
        missing="nothing that a run needs; episodes whose rows lie elsewhere than the index says are looked for",
        identify=lerobot_id,
    ),
    Format(
        "droid",
        "trajectory.h5 (in folders)",
        is_droid,
        open_droid,
        read="joints, their speeds and torques, the hand's pose, the gripper, actions; success or failure by the "
        "folder, the task of metadata_*.json",
        guessed="nothing but the ends of the gripper; episodes are numbered as their paths sort",
        missing="videos (SVO, MP4 beside it), language files, times of single sensors",
        extra="hdf5",
        rate="15 Hz, the usual one, as a warning",
    ),
    Format(
        "aloha",
        "episode_*.hdf5 (observations/qpos)",
        is_aloha,
        open_aloha,
        read="observations/qpos, qvel, action; of 14 columns six joints and a gripper of the left arm, "
        "then of the right",
        guessed="another number of columns by what they do; which end of a gripper is open",
        missing="pictures, effort (a current of no stated unit), outcomes (give --outcomes)",
        extra="hdf5",
        rate="an attribute fps where there is one, else 50 Hz, the usual one, as a warning",
    ),
    Format(
        "robomimic",
        "*.hdf5 (data/demo_N)",
        is_robomimic,
        open_robomimic,
        read="robomimic, robosuite, MimicGen, LIBERO, robocasa, Isaac Lab: obs by their names, actions, the task "
        "of ep_meta, problem_info or env_args, an attribute success or sparse rewards that differ as outcomes, "
        "filter keys; a folder of such files is one set",
        guessed="grippers other than the Panda's, keys of obs with other names",
        missing="pictures, states of the simulator, obs/object (its layout is the environment's), LIBERO's ee_ori",
        extra="hdf5",
        rate="control_freq of env_args, else 20 Hz, the usual one, as a warning",
    ),
    Format(
        "mcap",
        "*.mcap (in folders)",
        holds("*.mcap", deep=DEEPEST - 1),
        McapFrames.open,
        read="files and rosbag2 bags, an episode each: numbers of all topics in CDR (ros2msg) or JSON, such as "
        "sensor_msgs, geometry_msgs and std_msgs; task, success and robot of metadata records and custom_data",
        guessed="the topic whose messages are the frames (the fastest of joints); arms, grippers, poses and commands "
        "by the names of topics and joints",
        missing="pictures, transforms (tf2), forces (give a map), definitions in other languages (protobuf, ros2idl)",
        extra="mcap",
        rate="times of making of its messages, else of logging",
    ),
    Format(
        "rlds",
        LAYOUT,
        document(LAYOUT),
        RldsFrames.open,
        read="TFRecord shards of TensorFlow Datasets: numbers of a fixed shape of every step, language_instruction, "
        "success of episode_metadata or a sparse reward",
        guessed="which columns are joints and grippers, as the format names none",
        missing="pictures, checksums of the data (lengths are checked), numbers of no fixed shape",
        rate="10 Hz, as a warning",
    ),
    Format(
        "npz",
        "*.npz (with --map)",
        holds(NPZ.pattern),
        partial(open_tables, NPZ),
        read="a file an episode, arrays with frames first, by a map",
        guessed="nothing: --map is needed",
        missing="outcomes and tasks (give --outcomes)",
        rate="[time] or rate_hz of [robot] in the map",
        needs_map=True,
    ),
    Format(
        "csv",
        "*.csv (with --map)",
        holds(CSV.pattern),
        partial(open_tables, CSV),
        read="a file an episode, a line a frame; its columns are the feature row, by a map",
        guessed="nothing: --map is needed",
        missing="outcomes and tasks (give --outcomes)",
        rate="[time] or rate_hz of [robot] in the map",
        needs_map=True,
    ),
)
UNREAD: Final = (
    Unread("zarr", ".zgroup or zarr.json", holds("*.zarr", "*.zarr.zip", "zarr.json"), "write it as npz files, one an "
           "episode, and give --map; or convert it to LeRobot"),
    Unread("rosbag", "*.bag or *.db3", holds("*.bag", "*.db3"), "convert it to MCAP (ros2 bag convert)"),
)  # fmt: skip


def names() -> tuple[str, ...]:
    """Names of the formats that are read, as ``--source`` takes them."""
    return tuple(each.name for each in FORMATS)


def format_of(path: Path) -> str:
    """The name of the format of a recorded data set.

    Raises:
        DatasetError: if it is none of a known format.
    """
    return row_of(path).name


def is_dataset(path: Path) -> bool:
    """Whether a recorded data set of a known format is there."""
    try:
        row_of(path)
    except DatasetError:
        return False
    return True


def open_frames(path: Path) -> FrameSource:
    """The frames of a data set of any known format, before anything is said of its columns.

    Raises:
        DatasetError: if it is no data set of a known format, or malformed as a whole.
    """
    row = row_of(path)
    try:
        return row.open(path)
    except OSError as error:
        raise DatasetError(path, f"cannot be read: {reason(error)}") from None


def open_dataset(
    path: Path,
    *,
    column_map: Path | None = None,
    outcomes: Path | None = None,
    goals: Sequence[str] = (),
) -> Dataset:
    """Open a recorded data set of any known format.

    Args:
        path: its folder, or its file.
        column_map: TOML that says which columns are what; guessed from names and values where not given.
        outcomes: csv, json, jsonl or parquet keyed by ``episode_index``.
        goals: what was asked for, as ``--goal`` names it.

    Raises:
        DatasetError: if it is no data set of a known format, or malformed as a whole.
        UsageError: if it needs a map.
    """
    row = row_of(path)
    try:
        frames = row.open(path)
        if row.needs_map and column_map is None:
            told = columns_told(frames) if isinstance(frames, TableFrames) else ""
            raise UsageError(f"{path}: only a map can tell what the columns of {row.name} files are (--map). {told}")
        return MappedDataset.open(frames, column_map, outcomes, goals)
    except OSError as error:
        raise DatasetError(path, f"cannot be read: {reason(error)}") from None


def source_id_of(path: Path) -> str | None:
    """The source id of a data set; None where a part of it is missing.

    Raises:
        DatasetError: if it cannot be read.
    """
    row = row_of(path)
    return row.open(path).source_id if row.identify is None else row.identify(path)


def row_of(path: Path) -> Format:
    """The row of the registry that a data set is of.

    Raises:
        DatasetError: if it is none of a known format; what is known, and the way on, is said.
    """
    try:
        if not path.exists():
            url = url_of(path)
            if url is not None:
                raise DatasetError(url, "is at a URL, and only files here are read for this", "copy it, name the copy")
            raise DatasetError(path, "is missing")
        for each in FORMATS:
            if each.fits(path):
                return each
        for other in UNREAD:
            if other.fits(path):
                raise DatasetError(path, f"is a data set of the format {other.name}, which is not read", other.way_on)
        inside = members_told(path)
    except OSError as error:  # a folder that may not be entered
        raise DatasetError(path, f"cannot be read: {reason(error)}") from None
    marks = ", ".join(f"{each.mark} ({each.name})" for each in FORMATS)
    what = "file" if path.is_file() else "data set"
    raise DatasetError(path, f"is no {what} of a known format{inside}", f"none of {marks} is there")
