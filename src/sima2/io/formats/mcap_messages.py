"""Messages of a topic as numbers in columns: decoded many at a time, wherever they have the same layout."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.io.formats.mcap_container import Channel, Schema
from sima2.io.formats.mcap_definition import (
    MAX_NUMBERS,
    STAMP,
    Definition,
    DefinitionError,
    Layout,
    Leaf,
    layout_of,
    parse_definition,
)
from sima2.records.arrays import Float64s, Indices, Int64s

NOT_STAMPED: Final = np.iinfo(np.int64).min
"""In place of the time of making of a message that says none."""
LARGEST_MESSAGE: Final = 64 * 1024
"""Bytes of a message that may be a robot's state; larger ones are images and scans."""
BLOCK_MESSAGES, BLOCK_BYTES = 4096, 512 * 1024
"""Messages, and bytes of them, that are kept before they are decoded."""
MAX_LAYOUTS: Final = 64
"""Layouts of a topic that are remembered."""
MAX_ODD: Final = 200_000
"""Fields gone through to find layouts, after which a topic whose every message has one of its own is given up …"""
ODD: Final = 10
"""… and what a layout costs beside its fields."""
MAX_HELD: Final = 64_000_000
"""Numbers of a recording in memory: an hour of 17 of them a thousand times a second, 512 MB."""
NAMES: Final = ("name", "names", "joint_names")
"""Fields that name the columns of the lists beside them."""
COMPOUND: Final[Mapping[str, Mapping[str, str]]] = {
    "pose": {
        **{f"position.{axis}": axis for axis in "xyz"},
        **{f"orientation.{axis}": f"q{axis}" for axis in "xyzw"},
    },
    "transform": {
        **{f"translation.{axis}": axis for axis in "xyz"},
        **{f"rotation.{axis}": f"q{axis}" for axis in "xyzw"},
    },
    "wrench": {
        **{f"force.{axis}": f"f{axis}" for axis in "xyz"},
        **{f"torque.{axis}": f"t{axis}" for axis in "xyz"},
    },
    "twist": {
        **{f"linear.{axis}": f"v{axis}" for axis in "xyz"},
        **{f"angular.{axis}": f"w{axis}" for axis in "xyz"},
    },
}
"""Messages of geometry_msgs that are one vector: their fields, and what its columns are called."""
VECTORS: Final = ({"x", "y", "z"}, {"x", "y", "z", "w"})
"""Fields of a message that are one vector."""
NO_STATE: Final = ("covariance", ".sec", ".nanosec", ".nsec")
"""Ends of the paths of numbers that say nothing of a state."""
OF_THE_SYSTEM: Final = ("rcl_interfaces/", "rosbag2_interfaces/", "action_msgs/", "tf2_msgs/", "rosgraph_msgs/")
"""Packages whose messages hold no state of a robot; transforms name frames, which no column map can."""
SERVICE: Final = "srv"
SILENT: Final = "holds no state"
"""Why a topic is not read of which nothing need be said."""
ENCODINGS: Final = "CDR with ros2msg, or JSON"


class Key(NamedTuple):
    """A column of a topic."""

    field: str
    label: str


@dataclass(slots=True)
class Decoded:
    """Messages of a topic in order of their logging."""

    log: Int64s
    """ns, shape (n,)."""
    stamp: Int64s
    """ns, ``NOT_STAMPED`` where none is said, shape (n,)."""
    values: Float64s
    """Shape (n, c)."""
    pattern: Int64s
    """Which columns each message holds, as a place in ``patterns``, shape (n,)."""
    patterns: list[frozenset[int]]
    """Sets of columns."""

    def take(self, order: Indices) -> Decoded:
        """Some messages."""
        return Decoded(self.log[order], self.stamp[order], self.values[order], self.pattern[order], self.patterns)


def unreadable(channel: Channel) -> str:
    """Why messages of a channel cannot be read; empty where they can."""
    schema = channel.schema
    if schema is not None and (f"/{SERVICE}/" in schema.name or schema.name.startswith(OF_THE_SYSTEM)):
        return SILENT
    if channel.encoding == "json":
        return ""
    if channel.encoding != "cdr":
        return f"its messages are encoded as {channel.encoding[:40]!r}, which is not read ({ENCODINGS})"
    if schema is None or schema.encoding != "ros2msg":
        return f"what its messages look like is said in {'' if schema is None else schema.encoding[:40]!r}, not ros2msg"
    try:
        parse_definition(schema.name, schema.data.decode("utf-8", "replace"))
    except DefinitionError as error:
        return str(error)
    return ""


def keys_of(leaves: Iterable[tuple[str, int | None]], texts: Mapping[str, Sequence[str]]) -> list[Key | None]:
    """The column of each number of a message in order, None for what is no state.

    Args:
        leaves: path, and length where it is a list.
        texts: lists of text by path.
    """
    given = list(leaves)
    names = next((texts[each] for each in NAMES if each in texts), ())
    beside: dict[str, set[str]] = {}
    for path, _ in given:
        head, _, last = path.rpartition(".")
        beside.setdefault(head, set()).add(last)
    compound = _compounds([path for path, _ in given])
    keys: list[Key | None] = []
    for path, count in given:
        head, _, last = path.rpartition(".")
        if path.startswith(("header.", "layout.")) or path.endswith(NO_STATE):
            keys += [None] * (1 if count is None else count)
            continue
        if count is not None:
            labels = names if len(names) == count else [str(k) for k in range(count)]
            keys += [Key(path, label) for label in _distinct(labels)]
            continue
        above = head.rpartition(".")[0]
        if (above, _kind(head)) in compound:
            keys.append(Key(above or _kind(head), COMPOUND[_kind(head)][f"{head.rpartition('.')[2]}.{last}"]))
        elif beside[head] in VECTORS:
            keys.append(Key(head or ("quaternion" if "w" in beside[head] else "point"), last))
        else:
            keys.append(Key(path, last))
    return keys


def _kind(head: str) -> str:
    """The compound that has a part of this name."""
    part = head.rpartition(".")[2]
    return next((kind for kind, fields in COMPOUND.items() if any(each.startswith(f"{part}.") for each in fields)), "")


def _compounds(paths: Sequence[str]) -> set[tuple[str, str]]:
    """Paths at which all fields of a compound are, and which it is."""
    there = set(paths)
    found = set()
    for path in paths:
        above = path.rpartition(".")[0].rpartition(".")[0]
        for kind, fields in COMPOUND.items():
            if all((f"{above}.{each}" if above else each) in there for each in fields):
                found.add((above, kind))
    return found


def _distinct(labels: Sequence[str]) -> list[str]:
    """Names of which none occurs twice."""
    taken: set[str] = set()
    out = []
    for k, label in enumerate(labels):
        name = label if label and label not in taken else f"{label}#{k}"
        taken.add(name)
        out.append(name)
    return out


@dataclass(frozen=True, slots=True)
class _Plan:
    """How messages of one layout are decoded."""

    fixed: Indices
    content: NDArray[np.uint8]
    leaves: tuple[Leaf, ...]
    places: Indices
    """Among the numbers of the message, those that are wanted …"""
    columns: Indices
    """… and their columns."""
    stamp: int | None
    order: str
    pattern: int


@dataclass(slots=True)
class Room:
    """How many more numbers of a recording may be held; below 0 no more messages are taken."""

    numbers: int = MAX_HELD


@dataclass(slots=True)
class TopicReader:
    """Takes the messages of a topic, and gives them as columns."""

    channel: Channel
    columns: Mapping[Key, int] | None = None
    """Where columns lie; all are taken as they come where not given."""
    most: int | None = None
    """Messages taken; the others are not looked at."""
    before: tuple[TopicReader, ...] = ()
    """Readers of other channels of the same topic, whose messages come among these."""
    room: Room = field(default_factory=lambda: Room())
    notes: list[str] = field(default_factory=list)
    count: int = 0
    found: dict[Key, int] = field(default_factory=dict)
    log: list[Int64s] = field(default_factory=list)
    stamp: list[Int64s] = field(default_factory=list)
    values: list[Float64s] = field(default_factory=list)
    pattern: list[Int64s] = field(default_factory=list)
    patterns: list[frozenset[int]] = field(default_factory=list)
    permuted: bool = False
    """Whether the same columns came in more than one order."""
    _orders: dict[frozenset[int], tuple[int, ...]] = field(default_factory=dict)
    _waiting: list[tuple[int, bytes]] = field(default_factory=list)
    _bytes: int = 0
    _plans: dict[int, list[_Plan]] = field(default_factory=dict)
    _definition: Definition | None = None
    _odd: int = 0
    _bad: int = 0

    def __post_init__(self) -> None:
        self.found = dict(self.columns or {})
        if self.before:
            last = self.before[-1]
            self.log, self.stamp, self.values = last.log, last.stamp, last.values
            self.pattern, self.patterns, self.notes = last.pattern, last.patterns, last.notes
        schema = self.channel.schema
        if self.channel.encoding == "cdr" and isinstance(schema, Schema):
            self._definition = parse_definition(schema.name, schema.data.decode("utf-8", "replace"))

    def take(self, log_time: int, data: bytes) -> None:
        """A message: its log time in ns and its bytes."""
        self.count += 1
        if self.room.numbers < 0 or (self.most is not None and self.count > self.most):
            return
        if len(data) > LARGEST_MESSAGE:
            self._bad += 1
            return
        self._waiting.append((log_time, data))
        self._bytes += len(data)
        if len(self._waiting) >= BLOCK_MESSAGES or self._bytes >= BLOCK_BYTES:
            self.decode()

    def decode(self) -> None:
        """Decode what waits."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if not waiting:
            return
        log = np.array([min(at, 2**63 - 1) for at, _ in waiting], np.int64)
        rows = [data for _, data in waiting]
        if self.channel.encoding == "json":
            self._json(log, rows)
            return
        sizes = np.array([len(data) for data in rows])
        parts: list[tuple[Indices, _Plan, NDArray[np.uint8]]] = []
        for size in np.unique(sizes).tolist():
            mine = np.flatnonzero(sizes == size)
            content = np.frombuffer(b"".join(rows[k] for k in mine.tolist()), np.uint8).reshape(len(mine), size)
            self._alike(mine, content, parts)
        self._gather(log, [(mine, plan, *_numbers(plan, content)) for mine, plan, content in parts])

    def _alike(
        self,
        mine: Indices,
        content: NDArray[np.uint8],
        parts: list[tuple[Indices, _Plan, NDArray[np.uint8]]],
    ) -> None:
        """Divide messages of one size by their layouts."""
        size = content.shape[1]
        known = list(self._plans.get(size, ()))
        while len(mine):
            if known:
                plan = known.pop(0)
            else:
                if self._odd >= MAX_ODD:
                    self._bad += len(mine)
                    return
                made = self._plan(content[0].tobytes())
                if made is None:
                    self._bad += 1
                    mine, content = mine[1:], content[1:]
                    continue
                plan = made
            same = (content[:, plan.fixed] == plan.content).all(axis=1)
            if same.any():
                parts.append((mine[same], plan, content[same]))
                mine, content = mine[~same], content[~same]

    def _plan(self, data: bytes) -> _Plan | None:
        """How messages with the layout of this one are decoded; None where it cannot be read."""
        assert self._definition is not None
        try:
            layout = layout_of(self._definition, data)
            self._odd += ODD + layout.steps
        except DefinitionError as error:
            self._odd += 10 * ODD
            if not self._bad:
                self.notes.append(f"{self.channel.topic}: a message cannot be read: {error}")
            return None
        places, columns = self._wanted(keys_of([(each.path, each.length) for each in layout.leaves], layout.texts))
        fixed = _bytes_of(layout)
        order = layout.leaves[0].kind[0] if layout.leaves else ("<" if data[1] else ">")
        stamp = layout.stamp
        plan = _Plan(
            fixed,
            np.frombuffer(data, np.uint8)[fixed],
            tuple(layout.leaves),
            places,
            columns,
            stamp,
            order,
            self._pattern(columns),
        )
        if sum(map(len, self._plans.values())) < MAX_LAYOUTS:
            self._plans.setdefault(len(data), []).append(plan)
        return plan

    def _wanted(self, keys: Sequence[Key | None]) -> tuple[Indices, Indices]:
        """Places among the numbers of a message, and the columns of each."""
        places, columns = [], []
        for place, key in enumerate(keys):
            if key is None:
                continue
            column = self.found.get(key)
            if column is None and self.columns is None and len(self.found) < MAX_NUMBERS:
                column = self.found[key] = len(self.found)
            if column is not None:
                places.append(place)
                columns.append(column)
        return np.array(places, np.intp), np.array(columns, np.intp)

    def _pattern(self, columns: Indices) -> int:
        """Which columns a message holds, as a place in ``patterns``."""
        order = tuple(columns.tolist())
        held = frozenset(order)
        self.permuted |= self._orders.setdefault(held, order) != order
        if held not in self.patterns:
            self.patterns.append(held)
        return self.patterns.index(held)

    def _gather(
        self,
        log: Int64s,
        parts: Sequence[tuple[Indices, _Plan, Int64s | None, Float64s]],
    ) -> None:
        values = np.full((len(log), len(self.found)), np.nan)
        stamp = np.full(len(log), NOT_STAMPED, np.int64)
        pattern = np.full(len(log), -1, np.int64)
        for mine, plan, stamps, numbers in parts:
            if len(plan.columns):
                values[np.ix_(mine, plan.columns)] = numbers[:, plan.places]
            if stamps is not None:
                stamp[mine] = stamps
            pattern[mine] = plan.pattern
        good = pattern >= 0
        self._keep(log[good], stamp[good], values[good], pattern[good])

    def _keep(self, log: Int64s, stamp: Int64s, values: Float64s, pattern: Int64s) -> None:
        self.room.numbers -= values.size + 4 * len(values)
        self.log.append(log)
        self.stamp.append(stamp)
        self.values.append(values)
        self.pattern.append(pattern)

    def _json(self, log: Int64s, rows: Sequence[bytes]) -> None:
        """Messages in JSON, one by one."""
        kept, stamps, patterns = [], [], []
        taken: list[tuple[Indices, list[float]]] = []
        plans: dict[Any, tuple[Indices, Indices, int]] = {}
        for k, data in enumerate(rows):
            try:
                value = json.loads(data)
                leaves, texts, numbers, stamp = flat(value)
            except (ValueError, RecursionError, DefinitionError):
                if not self._bad:
                    self.notes.append(f"{self.channel.topic}: a message is not JSON that can be read")
                self._bad += 1
                continue
            shape = (tuple(leaves), tuple((path, tuple(each)) for path, each in texts.items()))
            if shape not in plans:
                if len(plans) >= MAX_LAYOUTS:
                    plans.clear()
                places, columns = self._wanted(keys_of(leaves, texts))
                plans[shape] = (places, columns, self._pattern(columns))
            places, columns, pattern = plans[shape]
            kept.append(k)
            stamps.append(stamp)
            patterns.append(pattern)
            taken.append((columns, [numbers[place] for place in places.tolist()]))
        values = np.full((len(kept), len(self.found)), np.nan)
        for row, (columns, numbers) in enumerate(taken):
            values[row, columns] = numbers
        self._keep(log[kept], np.array(stamps, np.int64), values, np.array(patterns, np.int64))

    def done(self) -> Decoded:
        """All that was taken, by this reader and those it goes on for."""
        for each in (*self.before, self):
            each.decode()
        bad = sum(each._bad for each in (*self.before, self))
        if bad:
            self.notes.append(f"{self.channel.topic}: {bad} messages could not be read and are left out")
        width = len(self.found)
        values = [
            np.pad(each, ((0, 0), (0, width - each.shape[1])), constant_values=np.nan)
            if each.shape[1] < width
            else each
            for each in self.values
        ]
        log = _joined(self.log, np.zeros(0, np.int64))
        rows = Decoded(
            log,
            _joined(self.stamp, np.zeros(0, np.int64)),
            _joined(values, np.zeros((0, width))),
            _joined(self.pattern, np.zeros(0, np.int64)),
            self.patterns,
        )
        return rows if (np.diff(log) >= 0).all() else rows.take(np.argsort(log, kind="stable"))


def _joined(parts: Sequence[NDArray[Any]], empty: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else empty


def _bytes_of(layout: Layout) -> Indices:
    return np.concatenate([np.arange(start, stop, dtype=np.intp) for start, stop in layout.fixed])


def _numbers(plan: _Plan, content: NDArray[np.uint8]) -> tuple[Int64s | None, Float64s]:
    """Times of making, and all numbers of messages of one layout, shape (n, k)."""
    parts = []
    for leaf in plan.leaves:
        count = 1 if leaf.length is None else leaf.length
        size = int(leaf.kind[2])
        raw = np.ascontiguousarray(content[:, leaf.at : leaf.at + count * size])
        parts.append(raw.view(leaf.kind).astype(np.float64) if count else np.zeros((len(content), 0)))
    numbers = np.concatenate(parts, axis=1) if parts else np.zeros((len(content), 0))
    if plan.stamp is None:
        return None, numbers
    raw = np.ascontiguousarray(content[:, plan.stamp : plan.stamp + 8])
    sec, nanosec = raw.view(f"{plan.order}i4")[:, 0], raw.view(f"{plan.order}u4")[:, 1]
    stamps = sec.astype(np.int64) * 10**9 + nanosec.astype(np.int64)
    return np.where(stamps == 0, NOT_STAMPED, stamps), numbers


def flat(value: Any) -> tuple[list[tuple[str, int | None]], dict[str, list[str]], list[float], int]:
    """A message in JSON as paths, lists of text, numbers and its time of making in ns.

    Raises:
        DefinitionError: if it is no object, or holds more than a state does.

    >>> flat({"header": {"stamp": {"sec": 1, "nanosec": 5}}, "name": ["a"], "position": [0.5]})[1:]
    ({'name': ['a']}, [1.0, 5.0, 0.5], 1000000005)
    """
    if not isinstance(value, dict):
        raise DefinitionError("it is no object")
    leaves: list[tuple[str, int | None]] = []
    texts: dict[str, list[str]] = {}
    numbers: list[float] = []
    _flatten(value, "", leaves, texts, numbers)
    made = value.get("timestamp")
    if not isinstance(made, dict):
        header = value.get("header")
        made = header.get(STAMP.rpartition(".")[2]) if isinstance(header, dict) else None
    return leaves, texts, numbers, _stamp(made)


def _stamp(made: Any) -> int:
    if not isinstance(made, dict):
        return NOT_STAMPED
    sec, rest = made.get("sec"), made.get("nanosec", made.get("nsec", 0))
    if type(sec) is not int or type(rest) is not int or not (0 <= sec < 2**33 and 0 <= rest < 10**9):
        return NOT_STAMPED
    return sec * 10**9 + rest or NOT_STAMPED


def _flatten(
    value: Mapping[str, Any],
    path: str,
    leaves: list[tuple[str, int | None]],
    texts: dict[str, list[str]],
    numbers: list[float],
) -> None:
    for key, each in value.items():
        where = f"{path}.{key}" if path else key
        if isinstance(each, (int, float)):
            leaves.append((where, None))
            numbers.append(_number(each))
        elif isinstance(each, dict):
            if where.count(".") > 8:
                raise DefinitionError("it is too deep")
            _flatten(each, where, leaves, texts, numbers)
        elif isinstance(each, list) and each and len(each) <= MAX_NUMBERS:
            if all(isinstance(one, str) for one in each):
                texts[where] = each
            elif all(one is None or isinstance(one, (int, float)) for one in each):
                leaves.append((where, len(each)))
                numbers += [float("nan") if one is None else _number(one) for one in each]
        if len(leaves) > MAX_NUMBERS:
            raise DefinitionError("it holds more than a state does")


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")
