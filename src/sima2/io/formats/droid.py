"""Recordings of DROID: a folder an episode, with ``trajectory.h5`` and ``metadata_*.json``, under success or failure.

Source: the recording code of the DROID project.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sima2.errors import DatasetError
from sima2.io.column_map import Columns
from sima2.io.documents import read_json
from sima2.io.formats.frame_source import Declared, Entry, Feature
from sima2.io.formats.hdf5 import Asked, Look
from sima2.io.formats.hdf5_frames import Hdf5Frames, features_of, in_words, looks_of, rate_warning
from sima2.io.formats.marks import DEEPEST, files_of, located
from sima2.io.intake import clean
from sima2.io.outcomes import Ending

NAME: Final = "droid"
FILE: Final = "trajectory.h5"
USUAL_HZ: Final = 15.0
"""Rate of DROID's control loop."""
_STATE: Final = "observation/robot_state"
_CHANNELS: Final[Mapping[str, tuple[str, tuple[int, ...], str]]] = {
    "joint_position": (f"{_STATE}/joint_positions", tuple(range(7)), "rad"),
    "joint_velocity": (f"{_STATE}/joint_velocities", tuple(range(7)), "rad/s"),
    "joint_torque": (f"{_STATE}/motor_torques_measured", tuple(range(7)), "N*m"),
    "ee_position": (f"{_STATE}/cartesian_position", (0, 1, 2), "m"),
    "ee_orientation": (f"{_STATE}/cartesian_position", (3, 4, 5), "rpy_rad"),
}
_WIDTH: Final = {"joint_position": 7, "joint_velocity": 7, "joint_torque": 7, "ee_position": 6, "ee_orientation": 6}
_GRIPPER: Final = f"{_STATE}/gripper_position"
_ACTIONS: Final = ("action/joint_position", "action/cartesian_position", "action/joint_velocity")
_ENDED: Final = {"success": 1.0, "failure": 0.0}
_AXES: Final = ("x", "y", "z", "roll", "pitch", "yaw")


def open_droid(path: Path) -> Hdf5Frames:
    """A folder with folders of episodes at any depth, or the folder or file of one.

    Raises:
        DatasetError: if nothing of it can be read.
        MissingExtraError: if h5py is not installed.
    """
    root, files = located(path, FILE, deep=DEEPEST)
    looks: list[Look] = []
    entries: list[Entry] = []
    endings: dict[int, Ending] = {}
    failed: list[DatasetError] = []
    held = looks_of(root, files, Asked(3, (_CHANNELS["joint_position"][0], _GRIPPER)))
    for number, (name, found) in enumerate(zip(files, held, strict=True)):
        relative = Path(name)
        length = None
        if isinstance(found, DatasetError):
            failed.append(found)
        else:
            looks.append(found)
            length = found.episodes[0]["frames"]
        said = _metadata(root, relative)
        ended = next((_ENDED[part] for part in reversed(relative.parts[:-1]) if part in _ENDED), said.get("success"))
        if isinstance(ended, bool | float):
            endings[number] = Ending(success=float(ended), source="recorded")
        task = said.get("current_task")
        entries.append(Entry(number, length, relative.as_posix(), clean(task) if isinstance(task, str) else "", 0))
    if not looks:
        raise failed[0] if failed else DatasetError(path, f"holds no {FILE}")
    named = {_CHANNELS["ee_position"][0]: _AXES}
    features, strange = features_of(looks, named)
    warnings = [rate_warning(NAME, USUAL_HZ), *in_words(failed, "files cannot be read", root)]
    warnings += in_words(strange, "arrays are not read")
    return Hdf5Frames(
        format=NAME,
        root=root,
        version="HDF5",
        robot=NAME,
        fps=USUAL_HZ,
        features=features,
        entries=entries,
        groups=["/"],
        files=[entry.file for entry in entries],
        declared=_declared(features),
        endings=endings,
        warnings=tuple(map(clean, warnings)),
    )


def _metadata(root: Path, relative: Path) -> dict[str, Any]:
    """What lies beside an episode; nothing where it cannot be read."""
    folder = (root / relative).parent
    for file in files_of(folder, "metadata*.json")[:1]:
        try:
            return read_json(root, (relative.parent / file.name).as_posix())
        except DatasetError:
            continue
    return {}


def _declared(features: Mapping[str, Feature]) -> Declared:
    arm = {
        channel: Columns(feature, index, unit)
        for channel, (feature, index, unit) in _CHANNELS.items()
        if feature in features and features[feature].shape == (_WIDTH[channel],)
    }
    grippers = {"arm": Columns(_GRIPPER, (0,))} if _GRIPPER in features else {}
    notes = tuple(f"arm.{channel}: {each.feature} in {each.unit}, as DROID records it" for channel, each in arm.items())
    return Declared({"arm": arm}, grippers, next((each for each in _ACTIONS if each in features), ""), notes)
