"""Which columns of a data set are which channels, in which unit: guessed once, written down, edited, given back."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError, RolloutError
from sima2.io.documents import read_document
from sima2.records.rollout import ARM_CHANNELS, OBJECT_CHANNELS

UNITS: Final[Mapping[str, tuple[str, float]]] = MappingProxyType(
    {
        "rad": ("angle", 1.0),
        "deg": ("angle", math.pi / 180.0),
        "turn": ("angle", math.tau),
        "rad/s": ("angular speed", 1.0),
        "deg/s": ("angular speed", math.pi / 180.0),
        "N*m": ("torque", 1.0),
        "m": ("length", 1.0),
        "cm": ("length", 1e-2),
        "mm": ("length", 1e-3),
        "N": ("force", 1.0),
        "share": ("share", 1.0),
        "percent": ("share", 1e-2),
        "raw": ("anything", 1.0),
        "quat_wxyz": ("orientation", 1.0),
        "quat_xyzw": ("orientation", 1.0),
        "rpy_rad": ("orientation", 1.0),
        "rpy_deg": ("orientation", math.pi / 180.0),
        "s": ("time", 1.0),
        "ms": ("time", 1e-3),
        "us": ("time", 1e-6),
        "ns": ("time", 1e-9),
    }
)
"""What a unit measures, and its size in SI."""

MEASURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "joint_position": "angle",
        "joint_velocity": "angular speed",
        "joint_torque": "torque",
        "ee_position": "length",
        "ee_orientation": "orientation",
        "gripper_width": "length",
        "gripper_opening": "share",
        "grip_force": "force",
        "contact_force": "force",
        "effort_proxy": "anything",
        "object_position": "length",
        "object_orientation": "orientation",
        "object_confidence": "share",
        "embedding": "anything",
        "action": "anything",
        "time": "time",
    }
)
"""What each channel measures."""

_SI: Final = {
    "angle": "rad",
    "angular speed": "rad/s",
    "torque": "N*m",
    "length": "m",
    "orientation": "quat_wxyz",
    "force": "N",
    "share": "share",
    "anything": "raw",
    "time": "s",
}
_SCENE: Final[tuple[str, ...]] = ("time", "action", "embedding")


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of one feature, and how their numbers become a channel."""

    feature: str
    index: tuple[int, ...] | None = None
    """Places in the feature, in the channel's order; None is all of it."""
    unit: str = "raw"
    """One of ``UNITS``."""
    scale: float | None = None
    """SI units per count where no unit has the right size (encoder ticks, say)."""
    closed: tuple[float, ...] = ()
    """Of ``gripper_opening``: the value of each column where the gripper is closed."""
    open: tuple[float, ...] = ()
    """… and where it is open."""

    def read(self, name: str, features: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The channel ``name`` of one episode, out of its features, each of shape (t, w).

        Raises:
            RolloutError: if the feature has fewer columns than the map says.
        """
        values = features[self.feature]
        if self.index is not None:
            if max(self.index, default=-1) >= values.shape[1]:
                problem = f"{self.feature} has {values.shape[1]} columns, the column map asks for {max(self.index)}"
                raise RolloutError("", name, problem, reason="mixed_dimensions")
            whole = self.index == tuple(range(values.shape[1]))
            values = values if whole else values[:, list(self.index)]
        if name == "gripper_opening" and self.open:
            if values.shape[1] != len(self.open):
                problem = f"has {values.shape[1]} columns, the column map gives the ends of {len(self.open)}"
                raise RolloutError("", name, problem, reason="mixed_dimensions")
            return _opening(values, self.closed, self.open)
        if self.unit.startswith(("quat", "rpy")):
            return _quaternion(name, values, self.unit)
        factor = UNITS[self.unit][1] if self.scale is None else self.scale
        # a factor of 1 must keep every bit
        scaled = values if factor == 1.0 else values.astype(np.float64) * factor
        return scaled[:, 0] if is_scalar(name) and scaled.shape[1] == 1 else scaled


def is_scalar(channel: str) -> bool:
    """Whether a channel has one number a frame."""
    if channel in ARM_CHANNELS:
        return ARM_CHANNELS[channel][0] is None
    return channel == "time" or (channel in OBJECT_CHANNELS and OBJECT_CHANNELS[channel] is None)


def _opening(values: NDArray[Any], closed: tuple[float, ...], open_: tuple[float, ...]) -> NDArray[np.float64]:
    """Median over the fingers of how far each is from closed towards open, 0–1, shape (t,).

    The median, so that one finger that touches something or rests does not decide.
    """
    share = (values.astype(np.float64) - np.array(closed)) / (np.array(open_) - np.array(closed))
    return np.asarray(np.clip(np.median(share, axis=1), 0.0, 1.0))


def _quaternion(name: str, values: NDArray[Any], unit: str) -> NDArray[Any]:
    """Orientation as w x y z, shape (t, 4); roll, pitch, yaw turn about the fixed x, y, z in that order."""
    if unit == "quat_wxyz":
        return values
    if unit == "quat_xyzw":
        return values[:, [3, 0, 1, 2]] if values.shape[1] == 4 else values
    if values.shape[1] != 3:
        problem = f"has {values.shape[1]} columns, roll pitch yaw are 3"
        raise RolloutError("", name, problem, reason="mixed_dimensions")
    half = np.ascontiguousarray(values.T, np.float64) * (UNITS[unit][1] / 2.0)
    (cr, cp, cy), (sr, sp, sy) = np.cos(half), np.sin(half)
    return np.stack(
        [
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        ],
        axis=1,
    )


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Columns of every channel.

    >>> m = ColumnMap(arms={"arm": {"joint_position": Columns("observation.state", (0, 1), "deg")}})
    >>> print(m.to_toml())
    [arms.arm.joint_position]
    feature = "observation.state"
    index = [0, 1]
    unit = "deg"
    <BLANKLINE>
    >>> parse_column_map(m.to_toml(), "here") == m
    True
    """

    arms: Mapping[str, Mapping[str, Columns]] = field(default_factory=dict)
    """Name of the arm, channel, columns."""
    objects: Mapping[str, Mapping[str, Columns]] = field(default_factory=dict)
    """Name of the object, channel, columns."""
    scene: Mapping[str, Columns] = field(default_factory=dict)
    """``time``, ``action`` and ``embedding``."""
    robot: Mapping[str, str] = field(default_factory=dict)
    """Facts about the robot, such as ``name``."""
    notes: tuple[str, ...] = ()
    """What a guess rests on."""

    def entries(self) -> dict[str, Columns]:
        """All columns by dotted name."""
        found = {f"arms.{arm}.{name}": each for arm, channels in self.arms.items() for name, each in channels.items()}
        found |= {f"objects.{key}.{name}": each for key, group in self.objects.items() for name, each in group.items()}
        return found | dict(self.scene)

    def features(self) -> list[str]:
        """Features that are read, in order of first use."""
        return list(dict.fromkeys(each.feature for each in self.entries().values()))

    def to_toml(self) -> str:
        """The map as text that :func:`load_column_map` reads."""
        lines = [f"# {note}" for note in self.notes]
        tables: list[tuple[tuple[str, ...], Columns]]
        tables = [(("arms", arm, name), each) for arm, group in self.arms.items() for name, each in group.items()]
        tables += [
            (("objects", key, name), each) for key, group in self.objects.items() for name, each in group.items()
        ]
        tables += [((name,), each) for name, each in self.scene.items()]
        for path, columns in tables:
            lines += ["" if lines else None, f"[{'.'.join(map(_key, path))}]", *_entry(columns)]  # type: ignore[list-item]
        if self.robot:
            lines += ["", "[robot]", *(f"{_key(key)} = {_string(value)}" for key, value in self.robot.items())]
        return "\n".join(line for line in lines if line is not None) + "\n"


def load_column_map(path: Path) -> ColumnMap:
    """Read a column map from TOML.

    Raises:
        DatasetError: if it is missing, is not TOML, or names an unknown channel or unit.
    """
    return parse_column_map(read_document(path.parent, path.name), path)


def parse_column_map(text: str, source: object) -> ColumnMap:
    """A column map out of TOML text; ``source`` is for messages."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(source, f"is not TOML: {error}") from None
    unknown = sorted(set(data) - {"arms", "objects", "robot", *_SCENE})
    if unknown:
        raise DatasetError(source, f"unknown table [{unknown[0]}]", f"use arms, objects, robot, {', '.join(_SCENE)}")
    arms = {
        arm: {name: _columns(source, f"arms.{arm}", name, each, ARM_CHANNELS) for name, each in group.items()}
        for arm, group in _tables(source, "arms", data.get("arms", {})).items()
    }
    objects = {
        key: {name: _columns(source, f"objects.{key}", name, each, OBJECT_CHANNELS) for name, each in group.items()}
        for key, group in _tables(source, "objects", data.get("objects", {})).items()
    }
    scene: dict[str, Columns] = {
        name: _columns(source, "", name, data[name], _SCENE) for name in _SCENE if name in data
    }
    robot = _table(source, "robot", data.get("robot", {}))
    return ColumnMap(arms, objects, scene, {str(key): str(value) for key, value in robot.items()})


def _table(source: object, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DatasetError(source, f"{name} is {type(value).__name__}, expected a table [{name}]")
    return value


def _tables(source: object, name: str, value: Any) -> dict[str, dict[str, Any]]:
    return {key: _table(source, f"{name}.{key}", each) for key, each in _table(source, name, value).items()}


def _columns(source: object, where: str, name: str, value: Any, allowed: Any) -> Columns:
    """One entry, checked."""
    at = f"{where}.{name}".lstrip(".")
    table = _table(source, at, value)
    if name not in allowed:
        raise DatasetError(source, f"[{at}]: unknown channel {name!r}", f"one of {', '.join(allowed)}")
    stray = sorted(set(table) - {"feature", "index", "unit", "scale", "closed", "open"})
    if stray:
        raise DatasetError(source, f"[{at}]: unknown key {stray[0]!r}", "use feature, index, unit, scale, closed, open")
    feature = table.get("feature")
    if not isinstance(feature, str) or not feature:
        raise DatasetError(source, f"[{at}]: feature is missing", 'feature = "observation.state", say')
    measure = MEASURES[name]
    unit = table.get("unit", _SI[measure])
    fitting = [each for each, (what, _) in UNITS.items() if what == measure or measure == "anything"]
    scale = _numbers(source, at, "scale", [table["scale"]])[0] if "scale" in table else None
    closed, open_ = (_numbers(source, at, key, table.get(key, [])) for key in ("closed", "open"))
    free = scale is not None or (name == "gripper_opening" and open_)
    if unit not in (UNITS if free else fitting):
        raise DatasetError(source, f"[{at}]: unit {unit!r} does not measure {measure}", f"one of {', '.join(fitting)}")
    index = table.get("index")
    if index is not None:
        if not isinstance(index, list) or not index or any(type(each) is not int or each < 0 for each in index):
            raise DatasetError(source, f"[{at}]: index is not a list of column numbers from 0")
        index = tuple(index)
    if len(closed) != len(open_) or (open_ and index is not None and len(open_) != len(index)):
        raise DatasetError(source, f"[{at}]: closed and open need one number for each column")
    if any(a == b for a, b in zip(closed, open_, strict=True)):
        raise DatasetError(source, f"[{at}]: closed and open are the same")
    return Columns(feature, index, unit, scale, closed, open_)


def _numbers(source: object, at: str, key: str, value: Any) -> tuple[float, ...]:
    good = isinstance(value, list) and all(type(each) in (int, float) and abs(each) < 1e300 for each in value)
    if not good:
        raise DatasetError(source, f"[{at}]: {key} is not made of numbers")
    return tuple(float(each) for each in value)


def _entry(columns: Columns) -> list[str]:
    lines = [f"feature = {_string(columns.feature)}"]
    if columns.index is not None:
        lines.append(f"index = [{', '.join(map(str, columns.index))}]")
    lines.append(f"unit = {_string(columns.unit)}")
    if columns.scale is not None:
        lines.append(f"scale = {columns.scale!r}")
    if columns.open:
        lines += [
            f"closed = [{', '.join(map(repr, columns.closed))}]",
            f"open = [{', '.join(map(repr, columns.open))}]",
        ]
    return lines


def _key(name: str) -> str:
    plain = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if plain else _string(name)


def _string(value: str) -> str:
    """A TOML basic string; JSON's escapes are TOML's but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
