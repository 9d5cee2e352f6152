"""How channels lie in the features of a data set that this program writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from sima2.errors import RecordError
from sima2.io.arrow import fixed_lists
from sima2.io.column_map import ColumnMap, Columns
from sima2.io.formats.lerobot_own import SLOT
from sima2.records.arrays import Float32s
from sima2.records.rollout import ARM_CHANNELS, OBJECT_CHANNELS, SCENE_CHANNELS, SOLE_ARM, Layout, RolloutBatch

STATE: Final = "observation.state"
TIME: Final = "observation.time"
_GRIPPER: Final = ("gripper_width", "gripper_opening")
UNITS_WRITTEN: Final[Mapping[str, str]] = {
    "joint_position": "rad",
    "joint_velocity": "rad/s",
    "joint_torque": "N*m",
    "joint_command": "rad",
    "ee_position": "m",
    "ee_orientation": "quat_wxyz",
    "gripper_width": "m",
    "gripper_opening": "share",
    "grip_force": "N",
    "contact_force": "N",
    "object_position": "m",
    "object_orientation": "quat_wxyz",
    "object_confidence": "share",
}
_AXES: Final[Mapping[str, tuple[str, ...]]] = {
    "ee_position": ("x", "y", "z"),
    "ee_orientation": ("qw", "qx", "qy", "qz"),
    "object_position": ("x", "y", "z"),
    "object_orientation": ("qw", "qx", "qy", "qz"),
    "object_confidence": ("confidence",),
}

Widths = dict[str, int]
"""Numbers a frame of each channel: ``arm.joint_position``, ``object_position``, …"""


class Placed(NamedTuple):
    """A feature, the channels that lie in it side by side, and the names of its columns."""

    feature: str
    channels: tuple[tuple[str, int], ...]
    names: tuple[str, ...]

    @property
    def width(self) -> int:
        """Numbers a frame."""
        return sum(width for _, width in self.channels)


def episode_layouts(batch: RolloutBatch) -> list[Layout]:
    """What each episode of a batch recorded."""
    if batch.layout is not None:
        return [batch.layouts[code] for code in batch.layout.tolist()]
    items = [
        (f"{arm}.{name}", 0 if value.ndim == 1 else value.shape[1])
        for arm, channels in batch.manipulators.items()
        for name, value in channels.channels().items()
    ]
    items += [(name, 0) for name in OBJECT_CHANNELS if getattr(batch, name) is not None]
    items += [(name, getattr(batch, name).shape[1]) for name in SCENE_CHANNELS if getattr(batch, name) is not None]
    alone = tuple(sorted(items))
    without = tuple(item for item in alone if item[0] not in OBJECT_CHANNELS)
    return [alone if names else without for names in batch.objects]


def widths_of(layout: Layout, objects: int) -> Widths:
    """Numbers a frame of each channel of one episode."""
    return {
        name: objects * (OBJECT_CHANNELS[name] or 1) if name in OBJECT_CHANNELS else max(width, 1)
        for name, width in layout
    }


def channels_of(batch: RolloutBatch, widths: Widths) -> dict[str, Float32s]:
    """Channels over the frames of a batch, cut to ``widths``, shape (T, w)."""
    out = {}
    for name, width in widths.items():
        arm, _, channel = name.rpartition(".")
        value = getattr(batch.manipulators[arm], channel) if arm else getattr(batch, name)
        out[name] = value.reshape(batch.frames, -1)[:, :width]
    return out


def place(widths: Widths, arms: Sequence[str]) -> list[Placed]:
    """Features in their order: the state, each other channel, the action.

    Raises:
        RecordError: if two arms' names lead to the same feature.
    """
    state = [(f"{arm}.{name}", arm, name) for name in ("joint_position", *_GRIPPER) for arm in arms]
    held = [(key, arm, name) for key, arm, name in state if key in widths]
    placed = []
    if held:
        names = tuple(each for key, arm, name in held for each in _names(arm, name, widths[key], arms))
        placed.append(Placed(STATE, tuple((key, widths[key]) for key, _, _ in held), names))
    for arm in arms:
        for name in ARM_CHANNELS:
            key = f"{arm}.{name}"
            if key in widths and (key, arm, name) not in held:
                prefix = "" if list(arms) == [SOLE_ARM] else arm.replace("/", "_") + "."
                feature = f"observation.{prefix}{name}"
                placed.append(Placed(feature, ((key, widths[key]),), _names(arm, name, widths[key], arms)))
    for name in (*OBJECT_CHANNELS, "embedding", "action"):
        if name in widths:
            feature = name if name == "action" else f"observation.{name}"
            placed.append(Placed(feature, ((name, widths[name]),), _names("", name, widths[name], arms)))
    features = [each.feature for each in placed]
    if len(set(features)) < len(features):
        raise RecordError(f"the arms {', '.join(arms)} cannot be told apart in the names of features")
    return placed


def _names(arm: str, channel: str, width: int, arms: Sequence[str]) -> tuple[str, ...]:
    prefix = "" if not arm or list(arms) == [SOLE_ARM] else f"{arm}."
    axes = _AXES.get(channel, ())
    if channel in OBJECT_CHANNELS:
        return tuple(f"{SLOT.format(k // len(axes))}.{axes[k % len(axes)]}" for k in range(width))
    if axes:
        return tuple(f"{prefix}{axis}" for axis in axes)
    if width == 1 and channel in ARM_CHANNELS and ARM_CHANNELS[channel][0] is None:
        return (f"{prefix}{channel}",)
    return tuple(f"{prefix}{channel}_{k}" for k in range(width))


def own_map(placed: Sequence[Placed], arms: Sequence[str], robot: str) -> ColumnMap:
    """The column map by which the features are read back."""
    columns: dict[str, Columns] = {}
    objects: dict[str, dict[str, Columns]] = {}
    for each in placed:
        start = 0
        for key, width in each.channels:
            name = key.rpartition(".")[2]
            unit = UNITS_WRITTEN.get(name, "raw")
            if name in OBJECT_CHANNELS:
                step = OBJECT_CHANNELS[name] or 1
                for k in range(width // step):
                    index = tuple(range(k * step, (k + 1) * step))
                    objects.setdefault(SLOT.format(k), {})[name] = Columns(each.feature, index, unit)
            else:
                index = tuple(range(start, start + width))
                columns[key] = Columns(each.feature, None if width == each.width else index, unit)
            start += width
    by_arm = {
        arm: {name: columns[f"{arm}.{name}"] for name in ARM_CHANNELS if f"{arm}.{name}" in columns} for arm in arms
    }
    scene = {"time": Columns(TIME, None, "s")} | {name: columns[name] for name in SCENE_CHANNELS if name in columns}
    return ColumnMap(by_arm, objects, scene, {"name": robot})


def to_features(placed: Sequence[Placed], channels: Mapping[str, Float32s], frames: int) -> dict[str, pa.Array]:
    """Features out of channels; NaN where a channel is absent or narrower than its place."""
    out = {}
    for each in placed:
        values = np.full((frames, each.width), np.nan, np.float32)
        start = 0
        for key, width in each.channels:
            if key in channels:
                given = channels[key]
                values[:, start : start + given.shape[1]] = given
            start += width
        out[each.feature] = fixed_lists(values) if each.width > 1 else pa.array(values[:, 0])
    return out
