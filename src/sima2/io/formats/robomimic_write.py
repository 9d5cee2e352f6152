"""Rollouts as one HDF5 file in robomimic's layout, channels that it has no name for under their own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError, RecordError
from sima2.io.column_map import ColumnMap, Columns
from sima2.io.durable import replace_file
from sima2.io.formats.hdf5 import need_h5py
from sima2.io.formats.hdf5_child import MOST_TEXT
from sima2.io.formats.lerobot_layout import UNITS_WRITTEN
from sima2.io.formats.robomimic import COLUMNS, SOURCE_EPISODE, SUCCESS, TIMES, env_args
from sima2.records.outcome import Outcome
from sima2.records.rollout import OBJECT_CHANNELS, SOLE_ARM, Rollout, RolloutBatch

KEYS: Final[Mapping[str, str]] = {
    "joint_position": "joint_pos",
    "joint_velocity": "joint_vel",
    "ee_position": "eef_pos",
    "ee_orientation": "eef_quat",
}
"""robosuite's names of channels; others keep this package's."""
EXACT_S: Final = 1e-9
"""Times this close to k / fps are not written, for the rate tells them."""

Part = tuple[RolloutBatch, Outcome | None]


def write_robomimic(
    path: Path,
    parts: Iterable[Part],
    *,
    fps: float,
    robot: str,
    environment: str = "sima2",
    numbers: Sequence[int] = (),
    masks: Mapping[str, Sequence[int]] | None = None,
) -> int:
    """Write a file that robomimic trains on; the same rollouts give the same bytes. How many episodes it holds.

    Orientations are x y z w, as robosuite has them. What of it is which channel stands in an attribute of ``data``, by
    which this program reads it back as it was. ``success`` is an attribute of an episode where it is known, and a
    sparse reward. Times are written where they are not k / fps.

    Args:
        path: a file that is not there.
        parts: batches with what is known of how their episodes ended.
        fps: Hz, > 0; ``control_freq``.
        robot: its name.
        environment: ``env_name``.
        numbers: of the episodes in their source, in their order; told where given.
        masks: filter keys, each with places of episodes.

    Raises:
        DatasetError: if there are no episodes, or something is there.
        MissingExtraError: if h5py is not installed.
        RecordError: if the settings do not fit.
    """
    need_h5py()
    if not (math.isfinite(fps) and fps > 0):
        raise RecordError(f"fps {fps} must be positive")
    if path.exists() or path.is_symlink():
        raise DatasetError(path, "is there already", "name a new file")
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0

    def write(target: Path) -> None:
        nonlocal count
        import h5py

        with h5py.File(target, "w", libver="latest", track_order=False) as file:
            count = _Writer(file.create_group("data"), fps, list(numbers)).run(parts, robot, environment)
            for name, places in (masks or {}).items():
                write_mask(file, name, [f"demo_{place}" for place in places])

    try:
        replace_file(path, write)
    finally:
        for left in path.parent.glob(f".writing-{path.name}"):
            left.unlink()
    return count


def write_mask(file: Any, name: str, demos: Sequence[str]) -> None:
    """A filter key of robomimic: names of episodes as fixed texts."""
    longest = max(map(len, demos), default=1)
    file.create_dataset(f"mask/{name}", data=np.array([each.encode() for each in demos], f"S{longest}"))


class _Writer:
    """Episodes one after the other, and the map of what they hold."""

    def __init__(self, data: Any, fps: float, numbers: list[int]) -> None:
        self.data, self.fps, self.numbers = data, fps, numbers
        self.arms: dict[str, dict[str, Columns]] = {}
        self.objects: dict[str, dict[str, Columns]] = {}
        self.scene: dict[str, Columns] = {}
        self.written = self.frames = 0

    def run(self, parts: Iterable[Part], robot: str, environment: str) -> int:
        """Write all."""
        for batch, outcome in parts:
            if outcome is not None and len(outcome) != len(batch):
                raise RecordError(f"outcomes of {len(outcome)} episodes for {len(batch)}")
            success = np.full(len(batch), np.nan) if outcome is None else outcome.success
            for rollout, good in zip(batch, success.tolist(), strict=True):
                self._episode(rollout, good)
        if not self.written:
            raise DatasetError(self.data.file.filename, "there are no episodes to write")
        self.data.attrs["total"] = self.frames
        self.data.attrs["env_args"] = env_args(environment, robot, self.fps)
        text = ColumnMap(self.arms, self.objects, self.scene).to_toml()
        if len(text) < MOST_TEXT - 4096:  # an attribute has no more room
            self.data.attrs[COLUMNS] = text
        return self.written

    def _episode(self, rollout: Rollout, success: float) -> None:
        group = self.data.create_group(f"demo_{self.written}")
        frames = len(rollout)
        group.attrs["num_samples"] = frames
        if rollout.instruction:
            group.attrs["ep_meta"] = json.dumps({"lang": rollout.instruction})
        if self.numbers:
            group.attrs[SOURCE_EPISODE] = self.numbers[self.written]
        last = np.arange(frames) == frames - 1
        group["dones"] = last.astype(np.int64)
        if math.isfinite(success):
            group.attrs[SUCCESS] = bool(success == 1.0)
            group["rewards"] = np.where(last, success, 0.0)
        if rollout.action is not None:
            group["actions"] = rollout.action
            self.scene.setdefault("action", Columns("actions"))
        obs = group.create_group("obs")
        for key, values in self._channels(rollout):
            obs[key] = values
        told = np.arange(frames) / self.fps
        if np.abs(rollout.time - told).max(initial=0.0) > EXACT_S:
            group[TIMES] = rollout.time
            self.scene.setdefault("time", Columns(TIMES, unit="s"))
        self.written += 1
        self.frames += frames

    def _channels(self, rollout: Rollout) -> Iterator[tuple[str, NDArray[Any]]]:
        """Arrays of an episode under the names that they are written by; the map learns of them."""
        for arm, channels in rollout.manipulators.items():
            prefix = "robot0_" if arm == SOLE_ARM else f"robot0_{_plain(arm)}_"
            for name, values in channels.channels().items():
                key = f"{prefix}{KEYS.get(name, name)}"
                turned = name == "ee_orientation"
                unit = "quat_xyzw" if turned else UNITS_WRITTEN.get(name, "raw")
                self.arms.setdefault(arm, {}).setdefault(name, Columns(f"obs/{key}", unit=unit))
                yield key, values[:, [1, 2, 3, 0]] if turned else values
        for name in OBJECT_CHANNELS:
            for thing, values in getattr(rollout, name).items():
                key = f"{_plain(thing)}_{name.removeprefix('object_')}"
                self.objects.setdefault(thing, {}).setdefault(name, Columns(f"obs/{key}", unit=UNITS_WRITTEN[name]))
                yield key, values
        if rollout.embedding is not None:
            self.scene.setdefault("embedding", Columns("obs/embedding"))
            yield "embedding", rollout.embedding


def _plain(name: str) -> str:
    """A name that is a part of a path of HDF5.

    >>> _plain("a/b"), _plain(".")
    ('a_b', '_')
    """
    return name.replace("/", "_").replace(".", "_") or "_"
