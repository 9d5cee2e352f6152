"""Recordings of ALOHA and ACT: ``episode_N.hdf5`` with ``observations/qpos``, ``qvel``, ``effort`` and ``action``.

Source: the recording scripts of the two projects, and of those that write the same layout (Mobile ALOHA, RoboTwin).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sima2.errors import DatasetError
from sima2.io.column_map import Columns
from sima2.io.formats.frame_source import Declared, Entry, Feature
from sima2.io.formats.hdf5 import Asked, Look
from sima2.io.formats.hdf5_frames import Hdf5Frames, features_of, in_words, looks_of, number_in, rate_warning
from sima2.io.formats.marks import located
from sima2.io.intake import clean

NAME: Final = "aloha"
PATTERNS: Final = ("*.hdf5", "*.h5")
USUAL_HZ: Final = 50.0
"""Rate of ALOHA's recording script."""
_JOINTS: Final = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
_ARM: Final = len(_JOINTS) + 1
_SIDES: Final = ("left", "right")
_NAMES: Final = tuple(f"{side}_{name}" for side in _SIDES for name in (*_JOINTS, "gripper"))
_QPOS, _QVEL, _ACTION = "observations/qpos", "observations/qvel", "action"
_SAID: Final = ("language_instruction", "instruction", "task", "task_name", "prompt")
_RATES: Final = ("fps", "frequency", "rate")


def open_aloha(path: Path) -> Hdf5Frames:
    """A folder of ``episode_N.hdf5``, or one such file.

    Raises:
        DatasetError: if nothing of it can be read.
        MissingExtraError: if h5py is not installed.
    """
    root, files = located(path, *PATTERNS)
    numbers = [number_in(name) for name in files]
    own = -1 not in numbers and len(set(numbers)) == len(numbers)
    order = sorted(range(len(files)), key=lambda k: numbers[k] if own else k)
    looks: list[Look] = []
    entries: list[Entry] = []
    failed: list[DatasetError] = []
    rates: set[float] = set()
    held = looks_of(root, [files[k] for k in order], Asked(2, (_QPOS, _ACTION), (*_SAID, *_RATES)))
    for place, (k, found) in enumerate(zip(order, held, strict=True)):
        length, task = None, ""
        if isinstance(found, DatasetError):
            failed.append(found)
        else:
            looks.append(found)
            length, at = found.episodes[0]["frames"], found.episodes[0]["at"]
            task = next((clean(at[name]) for name in _SAID if isinstance(at.get(name), str)), "")
            rates |= {float(at[name]) for name in _RATES if _is_rate(at.get(name))}
        entries.append(Entry(numbers[k] if own else place, length, files[k], task, 0))
    if not looks:
        raise failed[0] if failed else DatasetError(path, "holds no file of HDF5")
    return _source(root, [files[k] for k in order], entries, looks, failed, rates, own=own)


def _source(
    root: Path,
    files: list[str],
    entries: list[Entry],
    looks: list[Look],
    failed: list[DatasetError],
    rates: set[float],
    *,
    own: bool,
) -> Hdf5Frames:
    named = dict.fromkeys((_QPOS, _QVEL, "observations/effort", _ACTION), _NAMES)
    features, strange = features_of(looks, named)
    if _QPOS not in features:
        raise DatasetError(root, f"holds no {_QPOS}, where ALOHA has its joints", "name the columns with --map")
    warnings = in_words(failed, "files cannot be read", root) + in_words(strange, "arrays are not read")
    if not own:
        warnings.append("its files have no numbers of their own in their names: episodes are numbered as these sort")
    fps = rates.pop() if len(rates) == 1 else USUAL_HZ
    if rates or not _is_rate(fps):
        warnings.append("its files state different rates: run those of one rate by themselves")
    elif fps == USUAL_HZ:
        warnings.append(rate_warning(NAME, fps))
    declared = _declared(features)
    return Hdf5Frames(
        format=NAME,
        root=root,
        version="HDF5",
        robot=NAME if declared else "unknown",
        fps=fps,
        features=features,
        entries=entries,
        groups=["/"],
        files=files,
        declared=declared,
        warnings=tuple(map(clean, warnings)),
    )


def _is_rate(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and 0 < value <= 1e6


def _declared(features: Mapping[str, Feature]) -> Declared | None:
    """Two arms of six joints and a gripper; nothing is said of another number of columns."""
    if features[_QPOS].shape != (2 * _ARM,):
        return None
    arms: dict[str, dict[str, Columns]] = {}
    grippers: dict[str, Columns] = {}
    for k, side in enumerate(_SIDES):
        joints = tuple(range(k * _ARM, k * _ARM + len(_JOINTS)))
        arms[side] = {"joint_position": Columns(_QPOS, joints, "rad")}
        if _QVEL in features and features[_QVEL].shape == (2 * _ARM,):
            arms[side]["joint_velocity"] = Columns(_QVEL, joints, "rad/s")
        grippers[side] = Columns(_QPOS, (k * _ARM + len(_JOINTS),))
    note = f"{_QPOS}: 14 columns are taken as six joints in rad and a gripper of the left arm, then of the right"
    return Declared(arms, grippers, _ACTION if _ACTION in features else "", (note,))
