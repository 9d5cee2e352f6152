"""Rollouts as MCAP recordings of ROS 2 messages, a file an episode, that come back bit for bit.

Messages are sensor_msgs, geometry_msgs and std_msgs in CDR, so that any viewer of ROS 2 recordings shows them; what no
message has a place for is in a metadata record (see ``mcap_own``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError, RecordError
from sima2.io.column_map import ColumnMap, Columns
from sima2.io.durable import is_taken, new_folder, write_bytes
from sima2.io.formats.lerobot_index import OWN
from sima2.io.formats.lerobot_layout import UNITS_WRITTEN, channels_of, episode_layouts, widths_of
from sima2.io.formats.lerobot_own import SLOT, own_columns
from sima2.io.formats.mcap import OWN_CLOCK, OWN_MAP, features_of
from sima2.io.formats.mcap_container import Channel, Schema, mcap_bytes
from sima2.io.formats.mcap_definition import MAX_NUMBERS
from sima2.io.formats.mcap_messages import Key
from sima2.io.formats.mcap_own import OWN_RECORD, own_text
from sima2.records.arrays import Float64s, Int64s
from sima2.records.outcome import Outcome
from sima2.records.rollout import ARM_CHANNELS, OBJECT_CHANNELS, SCENE_CHANNELS, SOLE_ARM, RolloutBatch

Part = tuple[RolloutBatch, Outcome | None]

BEGIN_NS: Final = 1_000_000_000
"""Time of the first frame: a stamp of zero would mean that none is known."""
_TIME: Final = "MSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n"
_HEADER: Final = f"MSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n{'=' * 80}\n{_TIME}"
_XYZ: Final = "float64 x\nfloat64 y\nfloat64 z\n"


def _defined(name: str, *parts: str) -> Schema:
    return Schema(name, "ros2msg", f"{'=' * 80}\n".join(parts).encode())


JOINT_STATE: Final = _defined(
    "sensor_msgs/msg/JointState",
    "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort\n",
    _HEADER,
)
POSE: Final = _defined(
    "geometry_msgs/msg/PoseStamped",
    "std_msgs/Header header\ngeometry_msgs/Pose pose\n",
    "MSG: geometry_msgs/Pose\ngeometry_msgs/Point position\ngeometry_msgs/Quaternion orientation\n",
    f"MSG: geometry_msgs/Point\n{_XYZ}",
    f"MSG: geometry_msgs/Quaternion\n{_XYZ}float64 w\n",
    _HEADER,
)
POINT: Final = _defined(
    "geometry_msgs/msg/PointStamped",
    "std_msgs/Header header\ngeometry_msgs/Point point\n",
    f"MSG: geometry_msgs/Point\n{_XYZ}",
    _HEADER,
)
QUATERNION: Final = _defined(
    "geometry_msgs/msg/QuaternionStamped",
    "std_msgs/Header header\ngeometry_msgs/Quaternion quaternion\n",
    f"MSG: geometry_msgs/Quaternion\n{_XYZ}float64 w\n",
    _HEADER,
)
NUMBER: Final = _defined("std_msgs/msg/Float64", "float64 data\n")
NUMBERS: Final = _defined(
    "std_msgs/msg/Float64MultiArray",
    "std_msgs/MultiArrayLayout layout\nfloat64[] data\n",
    "MSG: std_msgs/MultiArrayLayout\nstd_msgs/MultiArrayDimension[] dim\nuint32 data_offset\n",
    "MSG: std_msgs/MultiArrayDimension\nstring label\nuint32 size\nuint32 stride\n",
)
"""Messages as their packages define them, without comments."""
_OF_WIDTH: Final[Mapping[int | str | None, Schema]] = {3: POINT, 4: QUATERNION, "j": NUMBERS, None: NUMBER}
"""By the width of a channel's rows."""
_LISTS: Final[Mapping[str, str]] = {
    "joint_position": "position",
    "joint_velocity": "velocity",
    "joint_torque": "effort",
}
WXYZ: Final = (3, 0, 1, 2)
"""Places of w x y z in an orientation of ROS."""


@dataclass(slots=True)
class _Template:
    """A message of CDR with the places of its numbers."""

    data: bytearray = field(default_factory=lambda: bytearray(b"\0\1\0\0"))
    stamp: int | None = None
    places: list[tuple[int, int]] = field(default_factory=list)

    def _align(self, size: int) -> None:
        self.data += b"\0" * (-(len(self.data) - 4) % size)

    def whole(self, value: int) -> None:
        """A uint32."""
        self._align(4)
        self.data += struct.pack("<I", value)

    def text(self, value: str) -> None:
        """A string."""
        content = value.encode() + b"\0"
        self.whole(len(content))
        self.data += content

    def header(self) -> None:
        """A std_msgs/Header without a frame."""
        self.stamp = len(self.data)
        self.data += b"\0" * 8
        self.text("")

    def numbers(self, count: int, *, listed: bool) -> None:
        """So many float64."""
        if listed:
            self.whole(count)
        if count:
            self._align(8)
            self.places.append((len(self.data), count))
            self.data += b"\0" * (8 * count)

    def rows(self, times: Int64s, values: Float64s) -> list[bytes]:
        """A message a row of ``values``, shape (t, w)."""
        out = np.tile(np.frombuffer(bytes(self.data), np.uint8), (len(times), 1))
        if self.stamp is not None:
            out[:, self.stamp : self.stamp + 4] = _raw((times // 10**9).astype("<i4")[:, None])
            out[:, self.stamp + 4 : self.stamp + 8] = _raw((times % 10**9).astype("<u4")[:, None])
        start = 0
        for at, count in self.places:
            out[:, at : at + 8 * count] = _raw(values[:, start : start + count].astype("<f8"))
            start += count
        return [row.tobytes() for row in out]


def _raw(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)


@dataclass(frozen=True, slots=True)
class Stream:
    """The messages of a topic."""

    topic: str
    schema: Schema
    times: Int64s
    """ns, shape (t,)."""
    messages: Sequence[bytes]


def joint_states(topic: str, times: Int64s, lists: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Stream:
    """A topic of sensor_msgs/JointState.

    Args:
        topic: its name.
        times: ns, shape (t,).
        lists: ``position``, ``velocity``, ``effort``, those that are known, shape (t, j) each.
        names: of the joints.
    """
    made = _Template()
    made.header()
    made.whole(len(names))
    for name in names:
        made.text(name)
    for each in ("position", "velocity", "effort"):
        made.numbers(lists[each].shape[1] if each in lists else 0, listed=True)
    held = [np.asarray(lists[each], np.float64) for each in ("position", "velocity", "effort") if each in lists]
    return Stream(topic, JOINT_STATE, times, made.rows(times, np.concatenate(held, axis=1)))


def vectors(topic: str, schema: Schema, times: Int64s, values: NDArray[Any]) -> Stream:
    """A topic of ``POSE``, ``POINT``, ``QUATERNION``, ``NUMBER`` or ``NUMBERS``.

    Args:
        topic: its name.
        schema: one of these.
        times: ns, shape (t,).
        values: in the order of the message's fields, shape (t, w).
    """
    made = _Template()
    if schema is NUMBERS:
        made.whole(0)
        made.whole(0)
    elif schema is not NUMBER:
        made.header()
    made.numbers(values.shape[1], listed=schema is NUMBERS)
    return Stream(topic, schema, times, made.rows(times, np.asarray(values, np.float64)))


def recording(streams: Sequence[Stream], metadata: Sequence[tuple[str, Mapping[str, str]]] = ()) -> bytes:
    """A file of some topics, each on its own clock; messages by time, then in the order of topics."""
    channels = [Channel(each.topic, "cdr", each.schema, {}) for each in streams]
    messages = [
        (number, at, data)
        for number, each in enumerate(streams, 1)
        for at, data in zip(each.times.tolist(), each.messages, strict=True)
    ]
    messages.sort(key=lambda each: (each[1], each[0]))
    return mcap_bytes(channels, messages, metadata)


def write_mcap(
    path: Path, parts: Iterable[Part], *, robot: str, clocks: Callable[[Stream], Stream] | None = None
) -> None:
    """Write a folder of MCAP files, ``episode_000000.mcap`` and so on; the same rollouts give the same bytes.

    Args:
        path: a folder that is missing or empty; the data set appears there only when all of it is written.
        parts: batches with what is known of how their episodes ended.
        robot: type of the robot.
        clocks: what becomes of the messages of each topic, such as fewer of them, or later ones.

    Raises:
        DatasetError: if the folder holds anything, or there are no episodes.
        RecordError: if an outcome or a channel does not fit.
    """
    if is_taken(path):
        raise DatasetError(path, "is not empty", "choose a new folder")
    with new_folder(path) as building:
        columns: dict[str, Columns] = {}
        number = 0
        for batch, outcome in parts:
            known = Outcome.unknown(len(batch)) if outcome is None else outcome
            if len(known) != len(batch):
                raise RecordError(f"outcomes of {len(known)} episodes for {len(batch)}")
            number = _write(building, batch, known, columns, number, robot, clocks)
        if not number:
            raise DatasetError(path, "there are no episodes to write")
        write_bytes(building / OWN_MAP, _map(columns, robot).to_toml().encode())


def _write(
    folder: Path,
    batch: RolloutBatch,
    outcome: Outcome,
    columns: dict[str, Columns],
    number: int,
    robot: str,
    clocks: Callable[[Stream], Stream] | None,
) -> int:
    """The episodes of a batch; the number of the next."""
    layouts = episode_layouts(batch)
    own = own_columns(batch, outcome, layouts)
    for k, (layout, names) in enumerate(zip(layouts, batch.objects, strict=True)):
        one = batch.take(np.array([k]))
        streams = [*_streams(one, channels_of(one, widths_of(layout, len(names))), columns)]
        if len({each.topic for each in streams}) < len(streams):
            raise RecordError(f"the arms {', '.join(one.manipulators)} cannot be told apart in the names of topics")
        row = {name: values[k] for name, values in own.items()}
        said = {OWN_RECORD: {"episode": own_text(row)}}
        task = row[f"{OWN}instruction"] or row[f"{OWN}family"]
        about = {"task": task, "robot_type": robot}
        if outcome.success[k] == outcome.success[k]:
            about["success"] = "true" if outcome.success[k] == 1.0 else "false"
        if clocks is not None:
            streams = [clocks(each) for each in streams]
        content = recording(streams, [("episode", about), *said.items()])
        write_bytes(folder / f"episode_{number:06d}.mcap", content)
        number += 1
    return number


def _streams(one: RolloutBatch, channels: Mapping[str, NDArray[Any]], columns: dict[str, Columns]) -> Iterable[Stream]:
    """The topics of an episode; how they are read back is added to ``columns``."""
    times = np.rint(one.time * 1e9).astype(np.int64) + BEGIN_NS
    _keep(columns, "time", Columns(_feature(OWN_CLOCK, NUMBER, "data", 1), None, "s"))
    yield vectors(OWN_CLOCK, NUMBER, times, one.time[:, None])
    for arm in one.manipulators:
        mine = {name: channels[f"{arm}.{name}"] for name in ARM_CHANNELS if f"{arm}.{name}" in channels}
        yield from _arm(arm, mine, times, columns)
    for name in OBJECT_CHANNELS:
        if name in channels:
            step = OBJECT_CHANNELS[name] or 1
            schema = _OF_WIDTH[OBJECT_CHANNELS[name]]
            for k in range(channels[name].shape[1] // step):
                slot = SLOT.format(k)
                topic = f"/objects/{slot}/{name.removeprefix('object_')}"
                _keep(columns, f"{slot}/{name}", _columns(topic, schema, name, step))
                yield vectors(topic, schema, times, _turned(schema, channels[name][:, k * step : (k + 1) * step]))
    for name in SCENE_CHANNELS:
        if name in channels:
            if channels[name].shape[1] > MAX_NUMBERS:
                raise RecordError(f"{name} has {channels[name].shape[1]} numbers a frame, {MAX_NUMBERS} at most")
            _keep(columns, name, _columns(f"/{name}", NUMBERS, name, channels[name].shape[1]))
            yield vectors(f"/{name}", NUMBERS, times, channels[name])


def _arm(arm: str, mine: Mapping[str, NDArray[Any]], times: Int64s, columns: dict[str, Columns]) -> Iterable[Stream]:
    head = "" if arm == SOLE_ARM else f"/{_part(arm)}"
    lists = {_LISTS[name]: mine[name] for name in _LISTS if name in mine}
    if lists:
        topic, names = f"{head}/joint_states", _joints(next(iter(lists.values())).shape[1])
        for name in _LISTS:
            if name in mine:
                feature = _feature(topic, JOINT_STATE, _LISTS[name], len(names))
                _keep(columns, f"{arm}.{name}", Columns(feature, tuple(range(len(names))), UNITS_WRITTEN[name]))
        yield joint_states(topic, times, lists, names)
    for name, values in mine.items():
        topic = f"{head}/{name}"
        if name == "joint_command":
            names = _joints(values.shape[1])
            feature = _feature(topic, JOINT_STATE, "position", len(names))
            _keep(columns, f"{arm}.{name}", Columns(feature, tuple(range(len(names))), UNITS_WRITTEN[name]))
            yield joint_states(topic, times, {"position": values}, names)
        elif name not in _LISTS:
            schema = _OF_WIDTH[ARM_CHANNELS[name][0]]
            _keep(columns, f"{arm}.{name}", _columns(topic, schema, name, values.shape[1]))
            yield vectors(topic, schema, times, _turned(schema, values))


def _keep(columns: dict[str, Columns], key: str, each: Columns) -> None:
    """The widest of a channel over all episodes."""
    known = columns.get(key)
    if known is None or len(known.index or ()) < len(each.index or ()):
        columns[key] = each


def _joints(count: int) -> list[str]:
    return [f"joint_{k}" for k in range(1, count + 1)]


def _part(name: str) -> str:
    """A name as a part of a topic."""
    return "".join(each if each.isascii() and each.isalnum() else "_" for each in name) or "_"


def _turned(schema: Schema, values: NDArray[Any]) -> NDArray[Any]:
    """An orientation w x y z as x y z w, as messages have it."""
    return values[:, [1, 2, 3, 0]] if schema is QUATERNION else values


def _columns(topic: str, schema: Schema, channel: str, width: int) -> Columns:
    what = {POINT.name: "point", QUATERNION.name: "quaternion"}.get(schema.name, "data")
    index = WXYZ if schema is QUATERNION else None if schema is NUMBER else tuple(range(width))
    return Columns(_feature(topic, schema, what, width), index, UNITS_WRITTEN.get(channel, "raw"))


def _feature(topic: str, schema: Schema, what: str, width: int) -> str:
    """What the reader calls it."""
    labels = _joints(width) if schema is JOINT_STATE else [str(k) for k in range(width)]
    return next(iter(features_of(topic, schema.name, {Key(what, each): k for k, each in enumerate(labels)})[0]))


def _map(columns: Mapping[str, Columns], robot: str) -> ColumnMap:
    """The column map by which the features are read back."""
    arms: dict[str, dict[str, Columns]] = {}
    objects: dict[str, dict[str, Columns]] = {}
    for key, each in columns.items():
        arm, _, channel = key.rpartition(".")
        slot, _, of_object = key.rpartition("/")
        if channel in ARM_CHANNELS and arm:
            arms.setdefault(arm, {})[channel] = each
        elif slot and of_object in OBJECT_CHANNELS:
            objects.setdefault(slot, {})[of_object] = each
    scene = {name: columns[name] for name in ("time", *SCENE_CHANNELS) if name in columns}
    return ColumnMap(arms, objects, scene, {"name": robot})
