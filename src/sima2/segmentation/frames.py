"""Frames as they arrive: checked, packed into rows of one matrix, and kept no longer than they are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import RolloutError, UnknownNameError, UsageError
from sima2.records.arrays import Bools, Float32s, Float64s
from sima2.records.rollout import (
    ARM_CHANNELS,
    OBJECT_CHANNELS,
    SCENE_CHANNELS,
    SOLE_ARM,
    Episodes,
    Manipulator,
    Rollout,
    RolloutBatch,
)

Key = tuple[str, str]
"""Arm and channel, or a channel of objects and an object's name."""

MOST_OBJECTS: Final = 1000
"""Objects that one episode can name; a tracker that gives ever new names is a defect to be told."""

_NAMES: Final = ("time", "manipulators", *ARM_CHANNELS, *OBJECT_CHANNELS, *SCENE_CHANNELS)


@dataclass(frozen=True, slots=True)
class Column:
    """Where a channel lies in a row."""

    place: Any
    """Index or slice."""
    shape: tuple[int, ...]
    """Of one frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Which channels a stream has, and where they lie in a row of numbers."""

    arms: Mapping[str, tuple[str, ...]]
    """Channels of each."""
    kinds: Mapping[str, slice]
    """Channels that every object has, and where they lie among an object's numbers."""
    objects: tuple[str, ...]
    """By slot."""
    scene: int
    """Where the first object's numbers begin."""
    span: int
    """Numbers of one object."""
    columns: Mapping[Key, Column]

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return self.scene + self.span * len(self.objects)

    @classmethod
    def of(cls, names: tuple[str, ...], values: Mapping[Key, Float32s], axis: int, objects: tuple[str, ...]) -> Layout:
        """Of the first frames.

        Args:
            names: of the arms.
            values: channels of these frames.
            axis: leading axes of frames.
            objects: that are known before they are seen.
        """
        columns: dict[Key, Column] = {}
        place = 0
        for (arm, name), value in values.items():
            if arm not in OBJECT_CHANNELS:
                columns[arm, name] = _column(place, _row_shape(name, value.shape[axis:]))
                place += int(np.prod(columns[arm, name].shape))
        arms = {arm: tuple(name for each, name in columns if each == arm) for arm in names}
        kinds: dict[str, slice] = {}
        span = 0
        for name, width in OBJECT_CHANNELS.items():
            if any(kind == name for kind, _ in values) or (name == "object_position" and objects):
                kinds[name] = slice(span, span + (width or 1))
                span += width or 1
        return cls(arms, kinds, (), place, span, columns).with_objects(objects)

    def with_objects(self, names: tuple[str, ...]) -> Layout:
        """With slots for more objects behind those there are."""
        columns = dict(self.columns)
        for slot, name in enumerate(names, len(self.objects)):
            for kind, part in self.kinds.items():
                width = OBJECT_CHANNELS[kind]
                columns[kind, name] = _column(self.scene + slot * self.span + part.start, (width,) if width else ())
        return replace(self, objects=(*self.objects, *names), columns=columns)


def _column(place: int, shape: tuple[int, ...]) -> Column:
    """Numbers from a place on; a single one is no vector."""
    return Column(slice(place, place + shape[0]) if shape else place, shape)


class FrameBuffer:
    """The latest frames of one episode, packed into the rows of one matrix that grows only as far as it is read.

    Frames that cannot be taken are refused whole, and what was there before stays.
    """

    def __init__(self, episodes: Episodes, objects: tuple[str, ...]) -> None:
        self._episodes = episodes
        self._declared = objects
        self._layout: Layout | None = None
        self._time = np.empty(64)
        self._rows = np.empty((64, 0), np.float32)
        self._one = np.empty(0, np.float32)
        self._used = 0
        self._latest = -np.inf
        self.first = 0
        """Number of the first frame that is still here."""

    @property
    def total(self) -> int:
        """Frames that have come."""
        return self.first + self._used

    @property
    def objects(self) -> tuple[str, ...]:
        """Names of the objects by slot."""
        return self._layout.objects if self._layout else self._declared

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the manipulators; none before the first frame."""
        return tuple(self._layout.arms) if self._layout else ()

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
        return self._time.nbytes + self._rows.nbytes + self._one.nbytes

    def take(self, frames: Rollout | Mapping[str, Any]) -> tuple[Float64s, Float32s]:
        """Append a frame of known channels; of what needs a closer look the times and rows, for :meth:`append` to take.

        Raises:
            RolloutError: if time does not increase, a row has the wrong width, a value is infinite, or a channel was
                not there from the first frame on; the message names the frame.
            UnknownNameError: if a channel has no known name.
        """
        time, arms, values = _flat(frames, self._episode_id)
        if self._takes_one(time, values):
            return self._time[:0], self._rows[:0]
        return self._checked(time, arms, values)

    def _takes_one(self, time: Any, values: Mapping[Key, Any]) -> bool:
        """Append a frame of known channels; False, and nothing done, where that needs a closer look.

        The quick way: no chunk is built, nothing allocated.
        """
        if self._layout is None or not isinstance(time, float) or not self._latest < time < np.inf:
            return False
        columns, row = self._layout.columns, self._one
        row.fill(np.nan)
        with np.errstate(over="ignore"):
            for key, value in values.items():
                if not _put(row, columns.get(key), value):
                    return False
        if np.isinf(row).any():
            return False
        self._room_for(1)
        self._time[self._used] = self._latest = time
        self._rows[self._used] = row
        self._used += 1
        return True

    def _checked(self, time: Any, arms: tuple[str, ...], values: Mapping[Key, Any]) -> tuple[Float64s, Float32s]:
        """Times and rows of frames."""
        at = self._numbers("time", time, np.float64)
        if at.ndim > 1:
            raise self._error("time", f"has shape {at.shape}, expected (t,) or a number", "mixed_dimensions")
        arrays = {key: self._numbers(_title(key), value, np.float32) for key, value in values.items()}
        axis = at.ndim
        at = np.atleast_1d(at)
        self._check_time(at)
        layout = self._layout_for(arms, arrays, axis)
        rows = np.full((len(at), layout.width), np.nan, np.float32)
        for key, array in arrays.items():
            column = layout.columns.get(key)
            if column is None:
                remedy = "declare objects" if key[0] == "object_position" else "give NaN from the first frame on"
                problem = f"first comes at frame {self.total}: {remedy} where a channel starts later"
                raise self._error(_title(key), problem, "mixed_dimensions")
            expected = (*at.shape[:axis], *column.shape)
            if array.shape != expected:
                problem = f"has shape {array.shape} at frame {self.total}, expected {expected}"
                raise self._error(_title(key), problem, "mixed_dimensions")
            infinite = np.isinf(array).reshape(len(at), -1).any(axis=1) if array.size else np.zeros(0, np.bool_)
            self._refuse(_title(key), "is infinite", infinite, "not_finite")
            rows[:, column.place] = array
        if len(at):
            self._settle(layout)
        return at, rows

    def append(self, time: Float64s, rows: Float32s) -> None:
        """Take checked frames, at least one."""
        n = len(time)
        self._room_for(n)
        self._time[self._used : self._used + n] = time
        self._rows[self._used : self._used + n] = rows
        self._used += n
        self._latest = float(time[-1])

    def drop(self, frames: int) -> None:
        """Forget the first so many frames."""
        left = self._used - frames
        self._time[:left] = self._time[frames : self._used]
        self._rows[:left] = self._rows[frames : self._used]
        self._used = left
        self.first += frames

    def times(self) -> Float64s:
        """Times of the frames that are here, s."""
        return self._time[: self._used].copy()

    def batch(self, begin: int, end: int) -> RolloutBatch:
        """Frames ``begin`` to ``end``, counted from the stream's first, as an episode of their own."""
        if self._layout is None:
            raise self._error("time", "has no frame yet", "empty")
        layout = self._layout
        rows = self._rows[begin - self.first : end - self.first]
        n = len(rows)
        things = rows[:, layout.scene : layout.width].reshape(n, len(layout.objects), layout.span)
        scene: dict[str, Any] = {
            kind: things[:, :, part.start if OBJECT_CHANNELS[kind] is None else part].copy()
            for kind, part in layout.kinds.items()
        }
        return RolloutBatch(
            episodes=self._episodes,
            offset=np.array([0, n]),
            time=self._time[begin - self.first : end - self.first].copy(),
            manipulators={
                arm: Manipulator(**{name: rows[:, layout.columns[arm, name].place].copy() for name in channels})
                for arm, channels in layout.arms.items()
            },
            objects=(layout.objects,),
            **scene,
        )

    @property
    def _episode_id(self) -> str:
        return self._episodes.episode_id[0]

    def _error(self, field: str, problem: str, reason: str, frame: int = 0) -> RolloutError:
        at = self.total + frame
        return RolloutError(self._episode_id, field, problem, reason=reason, start_frame=at, end_frame=at + 1)

    def _numbers(self, title: str, value: Any, dtype: type[Any]) -> NDArray[Any]:
        try:
            with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as that
                return np.asarray(value, dtype=dtype)
        except (TypeError, ValueError):
            problem = f"does not hold numbers in rows of one length at frame {self.total}"
            raise self._error(title, problem, "not_numeric") from None

    def _refuse(self, field: str, problem: str, where: Bools, reason: str) -> None:
        """Refuse frames of which something holds, naming the first."""
        if where.any():
            frame = int(np.argmax(where))
            raise self._error(field, f"{problem} at frame {self.total + frame}", reason, frame)

    def _check_time(self, time: Float64s) -> None:
        self._refuse("time", "is not finite", ~np.isfinite(time), "not_finite")
        back = np.diff(time, prepend=self._latest) <= 0
        self._refuse("time", "does not increase", back, "time_not_increasing")

    def _layout_for(self, arms: tuple[str, ...], arrays: Mapping[Key, Float32s], axis: int) -> Layout:
        """The layout with the objects that these frames are the first to show."""
        layout = self._layout or Layout.of(arms, arrays, axis, self._declared)
        named = dict.fromkeys(name for kind, name in arrays if kind == "object_position")
        for kind, name in arrays:
            if kind in OBJECT_CHANNELS and name not in named:
                raise self._error("object_position", f"is missing for {name} at frame {self.total}", "mixed_dimensions")
        fresh = tuple(name for name in named if name not in layout.objects)
        if len(layout.objects) + len(fresh) > MOST_OBJECTS:
            problem = f"names more than {MOST_OBJECTS} objects at frame {self.total}: give each one name throughout"
            raise self._error("object_position", problem, "mixed_dimensions")
        return layout.with_objects(fresh) if fresh and layout.kinds else layout

    def _settle(self, layout: Layout) -> None:
        if layout is self._layout:
            return
        wider = np.full((len(self._time), layout.width), np.nan, np.float32)
        wider[:, : self._rows.shape[1]] = self._rows
        self._layout, self._rows = layout, wider
        self._one = np.empty(layout.width, np.float32)

    def _room_for(self, frames: int) -> None:
        need = self._used + frames
        if need <= len(self._time):
            return
        size = max(need, 2 * len(self._time))
        self._time = np.resize(self._time, size)
        self._rows = np.resize(self._rows, (size, self._rows.shape[1]))


def _put(row: Float32s, column: Column | None, value: Any) -> bool:
    """Write one channel of one frame; False where it is no array or number, or does not fit."""
    if column is None:
        return False
    if type(value) is not np.ndarray:
        if type(value) is float and not column.shape:
            row[column.place] = value
            return True
        if not isinstance(value, np.number):
            return False
        value = np.asarray(value)
    if value.shape != column.shape or value.dtype.kind not in "fiu":
        return False
    row[column.place] = value
    return True


def _row_shape(channel: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """What a frame of an arm's channel looks like, where the first one looks like ``shape``."""
    width = ARM_CHANNELS[channel][0]
    if width is None:
        return ()
    return (width if isinstance(width, int) else shape[-1] if shape else 1,)


def _title(key: Key) -> str:
    kind, name = key
    return f"{kind}[{name}]" if kind in OBJECT_CHANNELS else name if kind == SOLE_ARM else f"{kind}.{name}"


def _flat(frames: Rollout | Mapping[str, Any], episode_id: str) -> tuple[Any, tuple[str, ...], dict[Key, Any]]:
    """Time, names of the arms, and every channel of them and of the objects."""
    if isinstance(frames, Rollout):
        scene = {name: getattr(frames, name) for name in OBJECT_CHANNELS}
        frames = {"time": frames.time, "manipulators": frames.manipulators, **scene}
    if not isinstance(frames, Mapping):
        kind = type(frames).__name__
        raise UsageError(f"push takes a Rollout or a mapping of channels, not {kind}: {{'time': 0.0, ...}} is a frame")
    values: dict[Key, Any] = {}
    for name, value in frames.items():
        if name in ARM_CHANNELS:
            values[SOLE_ARM, name] = value
        elif name not in _NAMES:
            raise UnknownNameError("channel", name, _NAMES)
        elif (name in OBJECT_CHANNELS or name == "manipulators") and not isinstance(value, Mapping):
            raise RolloutError(episode_id, name, "is not a mapping by name", reason="mixed_dimensions")
        elif name in OBJECT_CHANNELS:
            values |= {(name, each): found for each, found in value.items()}
        elif name == "manipulators":
            for arm, channels in value.items():
                told = channels.channels() if isinstance(channels, Manipulator) else channels
                for each, found in told.items():
                    if each not in ARM_CHANNELS:
                        raise UnknownNameError("channel", each, ARM_CHANNELS)
                    values[arm, each] = found
    if "time" not in frames:
        raise RolloutError(episode_id, "time", "is missing: every frame needs its time in s", reason="mixed_dimensions")
    if frames.get("manipulators") and any(frames.get(name) is not None for name in ARM_CHANNELS):
        problem = "given together with flat arm channels"
        raise RolloutError(episode_id, "manipulators", problem, reason="mixed_dimensions")
    arms = tuple(frames.get("manipulators") or (SOLE_ARM,))
    return frames["time"], arms, {key: value for key, value in values.items() if value is not None}
