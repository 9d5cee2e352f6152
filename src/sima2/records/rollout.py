"""What a robot recorded: the only thing the pipeline's stages may read of the world.

SI units throughout. A channel that was not recorded is ``None``, never zeros; a missing sample is NaN.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import RecordError, RolloutError, UnknownNameError
from sima2.records.arrays import Bools, Float32s, Float64s, Indices, Int64s
from sima2.records.table import read_only
from sima2.records.vocabulary import RELATIONS, UNKNOWN

SOLE_ARM: Final = "arm"
"""Name of the manipulator of a robot that has one."""

ARM_CHANNELS: Final[Mapping[str, tuple[int | str | None, str]]] = MappingProxyType(
    {
        "joint_position": ("j", "rad"),
        "joint_velocity": ("j", "rad/s"),
        "joint_torque": ("j", "N·m"),
        "joint_command": ("j", "rad"),
        "ee_position": (3, "m"),
        "ee_orientation": (4, "unit quaternion w x y z"),
        "gripper_width": (None, "m"),
        "gripper_opening": (None, "0 closed to 1 open"),
        "gripper_closed": (None, "as the gripper"),
        "grip_force": (None, "N"),
        "contact_force": (None, "N"),
        "effort_proxy": ("j", "dimensionless"),
    }
)
"""Channels of a manipulator: width of a row (None is a scalar, "j" the joints) and unit."""

TURNED: Final = "gripper_turned"
"""Key of ``provenance``: the arm whose gripper was recorded the other way round and was turned as it was read."""
CLOCK_OFF: Final = "clock_off"
"""Key of ``provenance``: share of the recorded steps of time that were no period, where frame numbers were taken."""

OBJECT_CHANNELS: Final = MappingProxyType(
    {
        "object_position": 3,
        "object_orientation": 4,
        "object_confidence": None,
    }
)
"""Channels of every object: width of a row."""

SCENE_CHANNELS: Final = ("embedding", "action")


@dataclass(frozen=True, slots=True)
class Goal:
    """What was asked for: the intent, never the result."""

    object: str
    target: str = ""
    relation: str = "placed_on"
    """One of ``vocabulary.RELATIONS``."""
    tolerance: float = 0.0
    """How far off still counts, in metres; for ``opened`` and ``wiped`` the least displacement or extent."""
    place: tuple[float, float, float] | None = None
    """m in the frame of the poses: where the object is to be brought, in the place of a target."""

    def __post_init__(self) -> None:
        if self.relation not in RELATIONS:
            raise UnknownNameError("relation", self.relation, RELATIONS)


@dataclass(frozen=True, slots=True, eq=False)
class Manipulator:
    """Channels of one arm and its gripper, over the frames of a rollout or of a batch (t of them)."""

    joint_position: Float32s | None = None
    """rad, shape (t, j)."""
    joint_velocity: Float32s | None = None
    """rad/s, shape (t, j)."""
    joint_torque: Float32s | None = None
    """N·m, shape (t, j)."""
    joint_command: Float32s | None = None
    """Where each joint is told to be, as it was sent at that frame, rad, shape (t, j); NaN for a joint without one."""
    ee_position: Float32s | None = None
    """m in the robot's base frame, shape (t, 3)."""
    ee_orientation: Float32s | None = None
    """Unit quaternion w x y z, shape (t, 4)."""
    gripper_width: Float32s | None = None
    """m between the fingers, shape (t,)."""
    gripper_opening: Float32s | None = None
    """0 closed to 1 open, shape (t,); where metres are unknown."""
    gripper_closed: Float32s | None = None
    """Width or opening at which the fingers meet with nothing between them, shape (t,). Absent means that it is 0; NaN
    that it is not known: the least that was seen may be a thing's, and whether one is held is not told by it."""
    grip_force: Float32s | None = None
    """N, normal force of the fingers on what is between them, shape (t,)."""
    contact_force: Float32s | None = None
    """N, magnitude of the net external force on hand and held object, averaged over the control period, shape (t,)."""
    effort_proxy: Float32s | None = None
    """Lag-compensated action minus state residual over its usual spread, dimensionless and no force; shape (t, j).

    A recorded set may give the gripper's too: then (t, j + g), the columns of ``joint_position`` (none where that was
    not recorded) before those of the gripper, which are below 0 where the command is more closed than the fingers are.
    A column without a command is NaN, and so are the first frames of an episode, whose command was sent before it.
    """

    def channels(self) -> dict[str, Float32s]:
        """The recorded channels by name."""
        found = {name: getattr(self, name) for name in ARM_CHANNELS}
        return {name: value for name, value in found.items() if value is not None}


@lru_cache(maxsize=1 << 17)
def fold_of(episode_id: str, folds: int) -> int:
    """Fold of an episode, from its id alone.

    >>> fold_of("drawer_open-000007", 5) == fold_of("drawer_open-000007", 5)
    True
    """
    return int.from_bytes(hashlib.blake2b(episode_id.encode(), digest_size=8).digest(), "big") % folds


def _numbers(episode_id: str, name: str, value: Any, dtype: type[Any]) -> NDArray[Any]:
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as that
            return np.ascontiguousarray(value, dtype=dtype)
    except (TypeError, ValueError):
        problem = "does not hold numbers in rows of one length"
        raise RolloutError(episode_id, name, problem, reason="not_numeric") from None


def _as_channel(episode_id: str, name: str, value: Any, frames: int, width: int | str | None) -> Float32s:
    """Check one channel of one rollout and freeze it."""
    array = _numbers(episode_id, name, value, np.float32)
    good = array.ndim == (1 if width is None else 2) and len(array) == frames
    if good and isinstance(width, int):
        good = array.shape[1] == width
    if not good:
        expected = f"({frames},)" if width is None else f"({frames}, {width})"
        raise RolloutError(episode_id, name, f"has shape {array.shape}, expected {expected}", reason="mixed_dimensions")
    infinite = np.isinf(array)
    if infinite.any():
        frame = int(np.argmax(infinite.reshape(frames, -1).any(axis=1)))
        raise RolloutError(
            episode_id,
            name,
            f"is infinite at frame {frame}",
            reason="not_finite",
            start_frame=frame,
            end_frame=frame + 1,
        )
    return read_only(array)


@dataclass(frozen=True, slots=True, eq=False)
class Rollout:
    """One episode of one robot.

    The flat keywords describe one arm; a robot with several gives ``manipulators`` instead.

    Raises:
        RolloutError: if a channel has the wrong shape or time does not increase.

    >>> r = Rollout(episode_id="e", time=[0.0, 0.1], ee_position=[[0, 0, 0], [0, 0, 0.1]])
    >>> list(r.manipulators), len(r)
    (['arm'], 2)
    """

    episode_id: str
    time: Float64s
    """s since the start, strictly increasing, shape (t,)."""
    joint_position: Float32s | None = None
    joint_velocity: Float32s | None = None
    joint_torque: Float32s | None = None
    joint_command: Float32s | None = None
    ee_position: Float32s | None = None
    ee_orientation: Float32s | None = None
    gripper_width: Float32s | None = None
    gripper_opening: Float32s | None = None
    gripper_closed: Float32s | None = None
    grip_force: Float32s | None = None
    contact_force: Float32s | None = None
    effort_proxy: Float32s | None = None
    object_position: Mapping[str, Float32s] = field(default_factory=dict)
    """m, name to shape (t, 3); a whole row of NaN where the object was not seen."""
    object_orientation: Mapping[str, Float32s] = field(default_factory=dict)
    """Unit quaternion, name to shape (t, 4)."""
    object_confidence: Mapping[str, Float32s] = field(default_factory=dict)
    """Pose confidence 0–1, name to shape (t,)."""
    embedding: Float32s | None = None
    """Vision embedding, shape (t, d)."""
    action: Float32s | None = None
    """Whatever the source recorded, shape (t, a)."""
    manipulators: Mapping[str, Manipulator] = field(default_factory=dict)
    family: str = UNKNOWN
    robot: str = UNKNOWN
    policy: str = UNKNOWN
    session: str = UNKNOWN
    instruction: str = ""
    goal: Goal | None = None
    debug_mode: bool = False
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Source, versions and an opaque id; nothing from which truth could be derived."""

    def __post_init__(self) -> None:
        put = partial(object.__setattr__, self)
        eid = self.episode_id
        time = _numbers(eid, "time", self.time, np.float64)
        if time.ndim != 1:
            raise RolloutError(eid, "time", f"has shape {time.shape}, expected (t,)", reason="mixed_dimensions")
        bad = ~np.isfinite(time)
        if bad.any():
            at = int(np.argmax(bad))
            raise RolloutError(
                eid, "time", f"is not finite at frame {at}", reason="not_finite", start_frame=at, end_frame=at + 1
            )
        back = np.diff(time) <= 0
        if back.any():
            at = int(np.argmax(back)) + 1
            raise RolloutError(
                eid,
                "time",
                f"does not increase at frame {at}",
                reason="time_not_increasing",
                start_frame=at,
                end_frame=at + 1,
            )
        put("time", read_only(time))
        t = len(time)
        flat = {name: getattr(self, name) for name in ARM_CHANNELS}
        arms = dict(self.manipulators)
        if arms and any(value is not None for value in flat.values()):
            raise RolloutError(eid, "manipulators", "given together with flat arm channels", reason="mixed_dimensions")
        if not arms:
            arms = {SOLE_ARM: Manipulator(**flat)}
        checked = {}
        for arm, channels in arms.items():
            prefix = "" if arm == SOLE_ARM else f"{arm}."
            checked[arm] = Manipulator(
                **{
                    name: _as_channel(eid, prefix + name, value, t, ARM_CHANNELS[name][0])
                    for name, value in channels.channels().items()
                }
            )
        put("manipulators", MappingProxyType(checked))
        if SOLE_ARM in checked:
            for name, value in checked[SOLE_ARM].channels().items():
                put(name, value)
        for name, width in OBJECT_CHANNELS.items():
            given = {
                key: _as_channel(eid, f"{name}[{key}]", value, t, width) for key, value in getattr(self, name).items()
            }
            put(name, MappingProxyType(given))
        stray = (set(self.object_orientation) | set(self.object_confidence)) - set(self.object_position)
        if stray:
            raise RolloutError(
                eid, "object_position", f"is missing for {', '.join(sorted(stray))}", reason="mixed_dimensions"
            )
        for name in SCENE_CHANNELS:
            if getattr(self, name) is not None:
                put(name, _as_channel(eid, name, getattr(self, name), t, "d"))
        put("provenance", MappingProxyType(dict(self.provenance)))

    def __len__(self) -> int:
        return len(self.time)

    def with_(self, **changes: Any) -> Rollout:
        """A copy with other values; a changed arm channel replaces that of the sole arm."""
        if SOLE_ARM in self.manipulators and "manipulators" not in changes:
            changes["manipulators"] = {}
        return replace(self, **changes)


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """What is known of each episode of a batch before looking at its frames (n of them)."""

    episode_id: tuple[str, ...]
    episode_index: Int64s
    """Place in the source, shape (n,)."""
    family: tuple[str, ...]
    robot: tuple[str, ...]
    policy: tuple[str, ...]
    session: tuple[str, ...]
    instruction: tuple[str, ...]
    goal: tuple[Goal | None, ...]
    debug_mode: Bools
    """shape (n,)."""
    provenance: tuple[Mapping[str, str], ...]

    def __post_init__(self) -> None:
        n = len(self.episode_id)
        for each in fields(self):
            value = getattr(self, each.name)
            if len(value) != n:
                raise RecordError(f"Episodes.{each.name} has {len(value)} entries for {n} episodes")
        if len(set(self.episode_id)) != n:
            raise RecordError("episode ids are not unique within the batch")
        object.__setattr__(self, "episode_index", read_only(np.asarray(self.episode_index, np.int64)))
        object.__setattr__(self, "debug_mode", read_only(np.asarray(self.debug_mode, np.bool_)))

    def __len__(self) -> int:
        return len(self.episode_id)

    def take(self, index: Indices) -> Episodes:
        """Episodes by index."""
        picked: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            picked[each.name] = (
                value[index] if isinstance(value, np.ndarray) else tuple(value[i] for i in index.tolist())
            )
        return Episodes(**picked)

    @classmethod
    def concat(cls, parts: Sequence[Episodes]) -> Episodes:
        """Episodes end to end."""
        picked: dict[str, Any] = {}
        for each in fields(cls):
            values = [getattr(part, each.name) for part in parts]
            if isinstance(values[0], np.ndarray):
                picked[each.name] = np.concatenate(values)
            else:
                picked[each.name] = tuple(item for value in values for item in value)
        return cls(**picked)


Layout = tuple[tuple[str, int], ...]
"""Channels of an episode with the width of their rows, sorted: ``(("arm.joint_position", 7), …)``."""


def spans(start: NDArray[Any], length: NDArray[Any]) -> Int64s:
    """Concatenated ranges ``start[i] .. start[i] + length[i]``.

    >>> spans(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    length = np.asarray(length, np.int64)
    ends = np.cumsum(length)
    total = int(ends[-1]) if len(ends) else 0
    shift: Int64s = np.repeat(np.asarray(start, np.int64) - (ends - length), length)
    return np.arange(total, dtype=np.int64) + shift


@dataclass(frozen=True, slots=True, eq=False)
class RolloutBatch:
    """Whole episodes in ragged columns: one array per channel over all T frames, plus ``offset``.

    Episodes of one batch may have recorded different channels; then the missing ones are NaN, ``layout``
    tells who has what, and :meth:`by_layout` gives parts in which everybody has the same.
    """

    episodes: Episodes
    offset: Int64s
    """First frame of each episode and one past the last, shape (n + 1,)."""
    time: Float64s
    """s since each rollout's start, shape (T,)."""
    manipulators: Mapping[str, Manipulator]
    """Arm channels over all frames, by name of the arm."""
    objects: tuple[tuple[str, ...], ...]
    """Names of each episode's objects, at most K; an object's place is its slot."""
    object_position: Float32s | None = None
    """m, shape (T, K, 3); NaN where a slot is empty or its object unseen."""
    object_orientation: Float32s | None = None
    """Unit quaternion, shape (T, K, 4)."""
    object_confidence: Float32s | None = None
    """0–1, shape (T, K)."""
    embedding: Float32s | None = None
    """shape (T, d)."""
    action: Float32s | None = None
    """shape (T, a)."""
    layouts: tuple[Layout, ...] = ()
    """Distinct layouts; none means that every episode has all channels of the batch."""
    layout: NDArray[np.int32] | None = None
    """Index into ``layouts``, shape (n,)."""

    def __post_init__(self) -> None:
        put = partial(object.__setattr__, self)
        offset = np.ascontiguousarray(self.offset, np.int64)
        n, frames = len(self.episodes), len(self.time)
        if offset.shape != (n + 1,) or offset[0] != 0 or offset[-1] != frames or (np.diff(offset) < 0).any():
            raise RecordError(f"offset of shape {offset.shape} does not cut {frames} frames into {n} episodes")
        put("offset", read_only(offset))
        put("time", read_only(np.ascontiguousarray(self.time, np.float64)))
        if len(self.objects) != n:
            raise RecordError(f"object names of {len(self.objects)} episodes for {n}")
        arms = {}
        for arm, channels in self.manipulators.items():
            arms[arm] = Manipulator(
                **{
                    name: self._checked(f"{arm}.{name}", value, 1 if ARM_CHANNELS[name][0] is None else 2)
                    for name, value in channels.channels().items()
                }
            )
        put("manipulators", MappingProxyType(arms))
        for name, ndim in (
            ("object_position", 3),
            ("object_orientation", 3),
            ("object_confidence", 2),
            ("embedding", 2),
            ("action", 2),
        ):
            value = getattr(self, name)
            if value is not None:
                put(name, self._checked(name, value, ndim))
        if self.layout is not None:
            put("layout", read_only(np.asarray(self.layout, np.int32)))

    def _checked(self, name: str, value: Float32s, ndim: int) -> Float32s:
        if value.dtype != np.float32 or value.ndim != ndim or len(value) != len(self.time):
            raise RecordError(
                f"{name}: {value.dtype} of shape {value.shape}, expected float32 of {ndim} axes "
                f"and {len(self.time)} frames"
            )
        return read_only(np.ascontiguousarray(value))

    def __len__(self) -> int:
        return len(self.episodes)

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return len(self.time)

    @property
    def length(self) -> Int64s:
        """Frames of each episode, shape (n,)."""
        length: Int64s = np.diff(self.offset)
        return length

    @property
    def frame_episode(self) -> Int64s:
        """Episode of each frame, shape (T,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.length)

    @property
    def arm(self) -> Manipulator:
        """The sole manipulator.

        Raises:
            RecordError: if the robot has several.
        """
        if len(self.manipulators) != 1:
            raise RecordError(f"the robot has {len(self.manipulators)} manipulators: {', '.join(self.manipulators)}")
        return next(iter(self.manipulators.values()))

    @classmethod
    def from_rollouts(cls, rollouts: Sequence[Rollout], *, first_index: int = 0) -> RolloutBatch:
        """Columns out of single rollouts, which may have recorded different channels."""
        rollouts = list(rollouts)
        offset = np.concatenate([[0], np.cumsum([len(r) for r in rollouts], dtype=np.int64)]).astype(np.int64)
        names = list(dict.fromkeys(arm for r in rollouts for arm in r.manipulators))
        signature = [_layout_of(r) for r in rollouts]
        layouts = tuple(dict.fromkeys(signature))
        code = np.array([layouts.index(each) for each in signature], np.int32)
        return cls(
            episodes=_episodes_of(rollouts, first_index),
            offset=offset,
            time=np.concatenate([r.time for r in rollouts]) if rollouts else np.zeros(0),
            manipulators={arm: _stacked_arm(rollouts, arm, offset) for arm in names},
            objects=tuple(tuple(r.object_position) for r in rollouts),
            object_position=_stacked_objects(rollouts, "object_position", offset),
            object_orientation=_stacked_objects(rollouts, "object_orientation", offset),
            object_confidence=_stacked_objects(rollouts, "object_confidence", offset),
            embedding=_stacked([r.embedding for r in rollouts], offset),
            action=_stacked([r.action for r in rollouts], offset),
            layouts=layouts if len(layouts) > 1 else (),
            layout=code if len(layouts) > 1 else None,
        )

    @classmethod
    def concat(cls, parts: Sequence[RolloutBatch]) -> RolloutBatch:
        """Batches end to end, which may have recorded different channels."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.from_rollouts([])
        own = [part.layouts if part.layout is not None else (_layout(part),) for part in parts]
        layouts = tuple(dict.fromkeys(layout for each in own for layout in each))
        codes = [
            np.full(len(part), layouts.index(each[0]), np.int32)
            if part.layout is None
            else np.array([layouts.index(layout) for layout in each], np.int32)[part.layout]
            for part, each in zip(parts, own, strict=True)
        ]
        frames = [part.frames for part in parts]

        def stack(values: list[Float32s | None]) -> Float32s | None:
            present = [value for value in values if value is not None]
            if not present:
                return None
            tails = {value.shape[1:] for value in present}
            if len(present) == len(values) and len(tails) == 1:
                return np.concatenate(present)
            tail = tuple(max(sizes) for sizes in zip(*tails, strict=True))
            out = np.full((sum(frames), *tail), np.nan, np.float32)
            first = 0
            for value, rows in zip(values, frames, strict=True):
                if value is not None:
                    out[(slice(first, first + rows), *(slice(k) for k in value.shape[1:]))] = value
                first += rows
            return out

        names = dict.fromkeys(arm for part in parts for arm in part.manipulators)
        arms = [{arm: part.manipulators.get(arm, Manipulator()) for arm in names} for part in parts]
        scene = {name: stack([getattr(part, name) for part in parts]) for name in (*OBJECT_CHANNELS, *SCENE_CHANNELS)}
        starts = np.concatenate([[0], np.cumsum(frames)])
        return cls(
            episodes=Episodes.concat([part.episodes for part in parts]),
            offset=np.concatenate(
                [[0], *(part.offset[1:] + start for part, start in zip(parts, starts, strict=False))]
            ).astype(np.int64),
            time=np.concatenate([part.time for part in parts]),
            manipulators={
                arm: Manipulator(**{name: stack([getattr(each[arm], name) for each in arms]) for name in ARM_CHANNELS})
                for arm in names
            },
            objects=tuple(names for part in parts for names in part.objects),
            layouts=layouts if len(layouts) > 1 else (),
            layout=np.concatenate(codes) if len(layouts) > 1 else None,
            **scene,
        )

    def by_layout(self) -> Iterator[tuple[Indices, RolloutBatch]]:
        """Parts whose episodes recorded the same channels, each with the places of its episodes."""
        if self.layout is None:
            yield np.arange(len(self)), self
            return
        for code, layout in enumerate(self.layouts):
            where = np.flatnonzero(self.layout == code)
            if len(where):
                yield where, _strip(self.take(where), layout)

    def take(self, index: NDArray[Any] | Sequence[int]) -> RolloutBatch:
        """Whole episodes by index or mask, in that order; the first ones are a view and no copy."""
        where = np.asarray(index)
        where = np.flatnonzero(where) if where.dtype == np.bool_ else where.astype(np.intp)
        length = self.length[where]
        if np.array_equal(where, np.arange(len(where))):
            return self._pick(where, slice(0, int(length.sum())), length)
        return self._pick(where, spans(self.offset[:-1][where], length), length)

    def prefix(self, frames: Int64s) -> RolloutBatch:
        """Every episode cut after its first ``frames[i]`` frames, shape (n,)."""
        length = np.clip(frames, 0, self.length)
        return self._pick(np.arange(len(self)), spans(self.offset[:-1], length), length)

    def _pick(self, where: Indices, rows: Int64s | slice, length: Int64s) -> RolloutBatch:
        def some(value: NDArray[Any]) -> NDArray[Any]:
            return value[rows] if isinstance(rows, slice) else value.take(rows, axis=0)

        def cut(value: Float32s | None) -> Float32s | None:
            return None if value is None else some(value)

        return RolloutBatch(
            episodes=self.episodes.take(where),
            offset=np.concatenate([[0], np.cumsum(length)]).astype(np.int64),
            time=some(self.time),
            manipulators={
                arm: Manipulator(**{name: some(value) for name, value in m.channels().items()})
                for arm, m in self.manipulators.items()
            },
            objects=tuple(self.objects[i] for i in where.tolist()),
            object_position=cut(self.object_position),
            object_orientation=cut(self.object_orientation),
            object_confidence=cut(self.object_confidence),
            embedding=cut(self.embedding),
            action=cut(self.action),
            layouts=self.layouts,
            layout=None if self.layout is None else self.layout[where],
        )

    def without(self, *names: str) -> RolloutBatch:
        """The batch as if the named channels had not been recorded (``objects`` means all of the objects')."""
        arms = {
            arm: Manipulator(**{name: value for name, value in m.channels().items() if name not in names})
            for arm, m in self.manipulators.items()
        }
        changes: dict[str, Any] = {name: None for name in (*SCENE_CHANNELS, *OBJECT_CHANNELS) if name in names}
        if "objects" in names or "object_position" in names:
            changes |= dict.fromkeys(OBJECT_CHANNELS)
            changes["objects"] = ((),) * len(self)
        layouts = tuple(
            tuple(item for item in layout if item[0].rpartition(".")[2] not in {*names, *changes})
            for layout in self.layouts
        )
        return replace(self, manipulators=arms, layouts=layouts, **changes)

    def __getitem__(self, index: int) -> Rollout:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"episode {index} of {n}")
        index %= n
        if self.layout is not None:
            return _strip(self.take([index]), self.layouts[self.layout[index]])[0]
        cut = slice(int(self.offset[index]), int(self.offset[index + 1]))
        each = self.episodes
        arms = {
            arm: Manipulator(**{name: value[cut] for name, value in m.channels().items()})
            for arm, m in self.manipulators.items()
        }
        sole = list(arms) == [SOLE_ARM]

        def by_name(value: Float32s | None) -> dict[str, Float32s]:
            return {} if value is None else {name: value[cut, k] for k, name in enumerate(self.objects[index])}

        return Rollout(
            episode_id=each.episode_id[index],
            time=self.time[cut],
            object_position=by_name(self.object_position),
            object_orientation=by_name(self.object_orientation),
            object_confidence=by_name(self.object_confidence),
            embedding=None if self.embedding is None else self.embedding[cut],
            action=None if self.action is None else self.action[cut],
            manipulators={} if sole else arms,
            family=each.family[index],
            robot=each.robot[index],
            policy=each.policy[index],
            session=each.session[index],
            instruction=each.instruction[index],
            goal=each.goal[index],
            debug_mode=bool(each.debug_mode[index]),
            provenance=each.provenance[index],
            **(arms[SOLE_ARM].channels() if sole else {}),
        )

    def __iter__(self) -> Iterator[Rollout]:
        return (self[i] for i in range(len(self)))


def _episodes_of(rollouts: Sequence[Rollout], first_index: int) -> Episodes:
    """What is told of each rollout as a whole, numbered from ``first_index``."""
    return Episodes(
        episode_id=tuple(r.episode_id for r in rollouts),
        episode_index=np.arange(first_index, first_index + len(rollouts)),
        family=tuple(r.family for r in rollouts),
        robot=tuple(r.robot for r in rollouts),
        policy=tuple(r.policy for r in rollouts),
        session=tuple(r.session for r in rollouts),
        instruction=tuple(r.instruction for r in rollouts),
        goal=tuple(r.goal for r in rollouts),
        debug_mode=np.array([r.debug_mode for r in rollouts], np.bool_),
        provenance=tuple(r.provenance for r in rollouts),
    )


def _stacked(values: Sequence[Float32s | None], offset: Int64s) -> Float32s | None:
    """A channel of all rollouts end to end, as wide as the widest and NaN where one lacks it; None where all do."""
    present = [value for value in values if value is not None]
    if not present:
        return None
    tail = tuple(int(m) for m in np.max([value.shape[1:] for value in present], axis=0))
    out = np.full((int(offset[-1]), *tail), np.nan, np.float32)
    for i, value in enumerate(values):
        if value is not None:
            out[(slice(offset[i], offset[i + 1]), *(slice(k) for k in value.shape[1:]))] = value
    return out


def _stacked_arm(rollouts: Sequence[Rollout], arm: str, offset: Int64s) -> Manipulator:
    """The channels of an arm of all rollouts, of which some may lack it."""
    each = [r.manipulators.get(arm) for r in rollouts]
    return Manipulator(
        **{
            name: _stacked([None if one is None else getattr(one, name) for one in each], offset)
            for name in ARM_CHANNELS
        }
    )


def _stacked_objects(rollouts: Sequence[Rollout], name: str, offset: Int64s) -> Float32s | None:
    """A channel of objects of all rollouts, in the slots of each; None where no rollout has it."""

    def one(r: Rollout) -> Float32s | None:
        given: Mapping[str, Float32s] = getattr(r, name)
        if not given:
            return None
        width = OBJECT_CHANNELS[name]
        blank = np.full((len(r), width) if width else (len(r),), np.nan, np.float32)
        return np.stack([given.get(key, blank) for key in r.object_position], axis=1)

    return _stacked([one(r) for r in rollouts], offset)


def _layout_of(rollout: Rollout) -> Layout:
    return _layout(rollout, [name for name in OBJECT_CHANNELS if getattr(rollout, name)])


def _layout(recorded: Rollout | RolloutBatch, objects: Sequence[str] | None = None) -> Layout:
    """The layout of a rollout, or of a batch in which all have the same; ``objects`` are its channels of objects."""
    if objects is None:
        objects = [name for name in OBJECT_CHANNELS if getattr(recorded, name) is not None]
    items = [
        (f"{arm}.{name}", 0 if value.ndim == 1 else value.shape[1])
        for arm, m in recorded.manipulators.items()
        for name, value in m.channels().items()
    ]
    items += [(name, 0) for name in objects]
    for name in SCENE_CHANNELS:
        value = getattr(recorded, name)
        if value is not None:
            items.append((name, value.shape[1]))
    return tuple(sorted(items))


def _strip(batch: RolloutBatch, layout: Layout) -> RolloutBatch:
    """Drop the channels and the padding that the episodes of one layout do not have."""
    width = dict(layout)

    def cut(name: str, value: Float32s | None) -> Float32s | None:
        if value is None or name not in width:
            return None
        return value if value.ndim == 1 or name in OBJECT_CHANNELS else value[:, : width[name]]

    arms = {
        arm: Manipulator(**{name: cut(f"{arm}.{name}", value) for name, value in m.channels().items()})
        for arm, m in batch.manipulators.items()
    }
    scene: dict[str, Any] = {name: cut(name, getattr(batch, name)) for name in (*OBJECT_CHANNELS, *SCENE_CHANNELS)}
    kept = {arm: m for arm, m in arms.items() if m.channels()} or dict(list(arms.items())[:1])
    return replace(batch, manipulators=kept, layouts=(), layout=None, **scene)
