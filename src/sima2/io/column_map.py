"""Which columns of a data set are which channels, in which unit: guessed once, written down, edited, given back."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError, RolloutError
from sima2.io import toml_values as toml
from sima2.io.derived import (
    PARTS,
    POSE_KEYS,
    CommandResidual,
    PoseSource,
    parse_pose,
    parse_residuals,
    pose_lines,
    residual_lines,
)
from sima2.io.documents import read_document, shown
from sima2.io.goals import goal_lines, parse_goals
from sima2.records.arrays import Float64s
from sima2.records.rollout import ARM_CHANNELS, OBJECT_CHANNELS, Goal

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
        "joint_command": "angle",
        "ee_position": "length",
        "ee_orientation": "orientation",
        "gripper_width": "length",
        "gripper_opening": "share",
        "gripper_closed": "anything",
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

SLIDES: Final = "length"
"""What a joint that slides instead of turning is measured in."""
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "share": "0 is where the fingers meet with nothing between them, 1 is open",
        "closed_unknown": "0 is the most closed that was seen, with or without something between the fingers",
        "bit": "only open or closed is told, so it never says whether anything is held",
        "command": "what the fingers were told, not where they are, so it never says whether anything is held",
    }
)
"""Kinds of a gripper's column, and what its numbers mean."""
POLARITIES: Final = ("set", "each", "each_shut")
"""Which end is open is the same in all episodes, or judged in each by itself (sets merged from several), of which most
start open or, with ``each_shut``, shut."""

MAX_MAP: Final = 1024 * 1024
"""Bytes of a column map; one of a whole humanoid takes about 10 kB, and TOML's dotted keys take time squared."""
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
    kind: str = "share"
    """Of a gripper: one of ``KINDS``."""
    polarity: str = "set"
    """Of a gripper: one of ``POLARITIES``."""
    units: tuple[str, ...] = ()
    """One of ``UNITS`` for each column, where they differ; ``unit`` is then that of the first."""

    @property
    def factor(self) -> float | Float64s:
        """SI units in one of each column, shape (w,) where they differ."""
        if self.units:
            return np.array([UNITS[unit][1] for unit in self.units])
        return UNITS[self.unit][1] if self.scale is None else self.scale

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
        for each, what in ((self.open if name == "gripper_opening" else (), "ends"), (self.units, "units")):
            if each and values.shape[1] != len(each):
                problem = f"has {values.shape[1]} columns, the column map gives the {what} of {len(each)}"
                raise RolloutError("", name, problem, reason="mixed_dimensions")
        if name == "gripper_opening" and self.open:
            return _opening(values, self.closed, self.open)
        if self.unit.startswith(("quat", "rpy")):
            return _quaternion(name, values, self.unit)
        factor = self.factor
        # a factor of 1 must keep every bit
        same = not self.units and factor == 1.0
        scaled = values if same else np.asarray(np.multiply(values, factor, dtype=np.float64))
        if name == "gripper_width" and scaled.shape[1] > 1:
            return np.asarray(scaled.sum(axis=1))  # fingers that slide, each from the middle
        return scaled[:, 0] if is_scalar(name) and scaled.shape[1] == 1 else scaled


def is_scalar(channel: str) -> bool:
    """Whether a channel has one number a frame."""
    if channel in ARM_CHANNELS:
        return ARM_CHANNELS[channel][0] is None
    return channel == "time" or (channel in OBJECT_CHANNELS and OBJECT_CHANNELS[channel] is None)


def _opening(values: NDArray[Any], closed: tuple[float, ...], open_: tuple[float, ...]) -> Float64s:
    """Median over the fingers of how far each is from closed towards open, 0–1, shape (t,).

    The median, so that one finger that touches something or rests does not decide.
    """
    share = np.subtract(values, np.array(closed), dtype=np.float64)
    share /= np.array(open_) - np.array(closed)
    # the median of one number is that number, but for the sign of a zero
    middle = share[:, 0] + 0.0 if share.shape[1] == 1 else np.median(share, axis=1)
    return np.asarray(np.clip(middle, 0.0, 1.0))


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
    warnings: tuple[str, ...] = ()
    """What of a guess decides the meaning of the data and may be wrong, with a confidence and the line to edit."""
    poses: Mapping[str, PoseSource] = field(default_factory=dict)
    """Name of the arm, and how its hand's pose follows from its joints."""
    residuals: Mapping[str, Mapping[str, CommandResidual]] = field(default_factory=dict)
    """Name of the arm, part (``joints``, ``gripper``) of its ``effort_proxy``, and what it is made of."""
    goals: Mapping[str, Goal] = field(default_factory=dict)
    """What episodes of a task were asked for; ``*`` of all other tasks."""

    def entries(self) -> dict[str, Columns]:
        """All columns by dotted name."""
        found = {f"arms.{arm}.{name}": each for arm, channels in self.arms.items() for name, each in channels.items()}
        found |= {f"objects.{key}.{name}": each for key, group in self.objects.items() for name, each in group.items()}
        return found | dict(self.scene)

    def features(self) -> list[str]:
        """Features that are read, in order of first use."""
        parts = [each for group in self.residuals.values() for each in group.values()]
        behind = [name for each in parts for name in (each.feature, each.state)]
        return list(dict.fromkeys([*(each.feature for each in self.entries().values()), *behind]))

    def to_toml(self) -> str:
        """The map as text that :func:`load_column_map` reads."""
        blocks: list[tuple[tuple[str, ...], list[str]]] = []
        for arm in dict.fromkeys([*self.arms, *self.poses, *self.residuals]):
            if arm in self.poses:
                blocks.append((("arms", arm), pose_lines(self.poses[arm])))
            blocks += [(("arms", arm, name), _entry(each)) for name, each in self.arms.get(arm, {}).items()]
            parts = self.residuals.get(arm, {})
            blocks += [(("arms", arm, "effort_proxy", part), residual_lines(each)) for part, each in parts.items()]
        blocks += [
            (("objects", key, name), _entry(each))
            for key, group in self.objects.items()
            for name, each in group.items()
        ]
        blocks += [((name,), _entry(each)) for name, each in self.scene.items()]
        if self.robot:
            blocks.append((("robot",), [f"{toml.key(key)} = {toml.string(each)}" for key, each in self.robot.items()]))
        blocks += [(("goals", task), goal_lines(goal)) for task, goal in self.goals.items()]
        texts = ["\n".join([f"[{'.'.join(map(toml.key, path))}]", *lines]) for path, lines in blocks]
        # a name in a note may hold what no comment can
        notes = [f"# {note if note.isprintable() else toml.string(note)[1:-1]}" for note in self.notes]
        return "\n\n".join([*(["\n".join(notes)] if notes else []), *texts]) + "\n"


def load_column_map(path: Path) -> ColumnMap:
    """Read a column map from TOML.

    Raises:
        DatasetError: if it is missing, is not TOML, or names an unknown channel or unit.
    """
    return parse_column_map(read_document(path.parent, path.name, most=MAX_MAP), path)


def parse_column_map(text: str, source: object) -> ColumnMap:
    """A column map out of TOML text; ``source`` is for messages."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(source, f"is not TOML: {error}") from None
    tables = ("arms", "objects", "robot", "goals", *_SCENE)
    unknown = sorted(set(data) - set(tables))
    if unknown:
        raise DatasetError(source, f"unknown table [{unknown[0]}]", f"use {', '.join(tables)}")
    arms: dict[str, dict[str, Columns]] = {}
    poses: dict[str, PoseSource] = {}
    residuals: dict[str, dict[str, CommandResidual]] = {}
    for arm, group in toml.tables(source, "arms", data.get("arms", {})).items():
        pose = parse_pose(source, arm, group)
        poses |= {} if pose is None else {arm: pose}
        derived = _parts(source, arm, group)
        residuals |= {arm: derived} if derived else {}
        held = [name for name in group if name not in POSE_KEYS and not (derived and name == "effort_proxy")]
        if not (held or pose or derived):
            continue  # an empty table says nothing
        arms[arm] = {name: _columns(source, f"arms.{arm}", name, group[name], ARM_CHANNELS) for name in held}
    objects = {
        key: {name: _columns(source, f"objects.{key}", name, each, OBJECT_CHANNELS) for name, each in group.items()}
        for key, group in toml.tables(source, "objects", data.get("objects", {})).items()
        if group
    }
    scene: dict[str, Columns] = {
        name: _columns(source, "", name, data[name], _SCENE) for name in _SCENE if name in data
    }
    robot = toml.table(source, "robot", data.get("robot", {}))
    named = {str(key): str(value) for key, value in robot.items()}
    goals = parse_goals(source, data.get("goals", {}))
    return ColumnMap(arms, objects, scene, named, poses=poses, residuals=residuals, goals=goals)


def _parts(source: object, arm: str, group: Mapping[str, Any]) -> dict[str, CommandResidual]:
    """The parts of an effort proxy that is made of commands; none where columns hold it, or nothing does."""
    proxy = group.get("effort_proxy")
    if not isinstance(proxy, dict) or not set(proxy) & set(PARTS):
        return {}
    stray = sorted(set(proxy) - set(PARTS))
    if stray:
        problem = f"[arms.{arm}.effort_proxy]: {shown(stray[0])} besides {' and '.join(PARTS)}"
        raise DatasetError(source, problem, "give the columns of the proxy, or the parts it is made of")
    return parse_residuals(source, arm, proxy)


def _columns(source: object, where: str, name: str, value: Any, allowed: Any) -> Columns:
    """One entry, checked."""
    at = f"{where}.{name}".lstrip(".")
    table = toml.table(source, at, value)
    if name not in allowed:
        raise DatasetError(source, f"[{at}]: unknown channel {shown(name)}", f"one of {', '.join(allowed)}")
    keys = ("feature", "index", "unit", "scale", "closed", "open", "kind", "polarity")
    stray = sorted(set(table) - set(keys))
    if stray:
        raise DatasetError(source, f"[{at}]: unknown key {shown(stray[0])}", f"use {', '.join(keys)}")
    feature = table.get("feature")
    if not isinstance(feature, str) or not feature:
        raise DatasetError(source, f"[{at}]: feature is missing", 'feature = "observation.state", say')
    measure = MEASURES[name]
    unit = table.get("unit", _SI[measure])
    measures = {measure, SLIDES} if name == "joint_position" else {measure}
    fitting = [each for each, (what, _) in UNITS.items() if what in measures or measure == "anything"]
    scale = toml.numbers(source, at, "scale", [table["scale"]])[0] if "scale" in table else None
    closed, open_ = (toml.numbers(source, at, key, table.get(key, [])) for key in ("closed", "open"))
    free = scale is not None or (name == "gripper_opening" and open_)
    units = unit if isinstance(unit, list) else [unit]
    for each in units or [""]:
        if not isinstance(each, str) or each not in (UNITS if free else fitting):
            raise DatasetError(
                source, f"[{at}]: unit {shown(each)} does not measure {measure}", f"one of {', '.join(fitting)}"
            )
    index = table.get("index")
    if index is not None:
        index = toml.places(source, at, "index", index)
    each_own = units if isinstance(unit, list) else []
    if each_own and (index is None or len(each_own) != len(index) or scale is not None or measure == "orientation"):
        raise DatasetError(source, f"[{at}]: a list of units needs one for each place of index, and no scale")
    kind, polarity = (_word(source, at, table, *each) for each in (("kind", KINDS), ("polarity", POLARITIES)))
    if not name.startswith("gripper") and {"kind", "polarity"} & set(table):
        raise DatasetError(source, f"[{at}]: kind and polarity are said of grippers alone")
    if len(closed) != len(open_) or (open_ and index is not None and len(open_) != len(index)):
        raise DatasetError(source, f"[{at}]: closed and open need one number for each column")
    if any(a == b for a, b in zip(closed, open_, strict=True)):
        raise DatasetError(source, f"[{at}]: closed and open are the same")
    return Columns(feature, index, units[0], scale, closed, open_, kind, polarity, tuple(each_own))


def _word(source: object, at: str, table: Mapping[str, Any], key: str, known: Collection[str]) -> str:
    """One of some words; the first where none is given."""
    value = table.get(key, next(iter(known)))
    if not isinstance(value, str) or value not in known:
        raise DatasetError(source, f"[{at}]: {key} {shown(value)} is not known", f"one of {', '.join(known)}")
    return value


def _entry(columns: Columns) -> list[str]:
    lines = [f"feature = {toml.string(columns.feature)}"]
    if columns.index is not None:
        lines.append(f"index = {toml.array(columns.index)}")
    lines.append(f"unit = {toml.array(columns.units) if columns.units else toml.string(columns.unit)}")
    if columns.scale is not None:
        lines.append(f"scale = {columns.scale!r}")
    if columns.open:
        lines += [f"closed = {toml.array(columns.closed)}", f"open = {toml.array(columns.open)}"]
    lines += [
        f"{key} = {toml.string(value)}"
        for key, value, usual in (("kind", columns.kind, "share"), ("polarity", columns.polarity, "set"))
        if value != usual
    ]
    return lines
