"""The door: raw episodes in, checked rollouts out, and a record of each that had to be put aside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import RolloutError, masked
from sima2.io.raw import RawBlock as RawBlock
from sima2.io.raw import RawEpisode as RawEpisode
from sima2.io.soundness import MISSING_SHARE, check_signal, glance, oddities
from sima2.records.arrays import Bools, Indices
from sima2.records.intake import NoteTable, QuarantineTable
from sima2.records.outcome import Outcome
from sima2.records.rollout import (
    ARM_CHANNELS,
    OBJECT_CHANNELS,
    SCENE_CHANNELS,
    Episodes,
    Goal,
    Manipulator,
    Rollout,
    RolloutBatch,
)
from sima2.records.vocabulary import UNKNOWN

QUARANTINE_REASONS: Final[Mapping[str, str]] = {
    "empty": "no frames",
    "one_frame": "a single frame: nothing can be seen to move",
    "not_finite": "an infinite number in a channel, or a time that is not a finite number",
    "not_numeric": "a channel that does not hold numbers",
    "time_not_increasing": "time repeats or goes back",
    "mixed_dimensions": "a channel whose shape does not fit the others or its definition",
    "no_signal": "no arm or object channel holds a number",
    "mostly_missing": "of every channel of motion more than half of the samples are missing",
    "frozen": "no channel ever changes, not even a force or a speed that is not zero: the recorder had stopped",
    "too_long": "more frames than fit into memory",
    "too_wide": "a channel or a number of objects far wider than any robot's",
    "unreadable": "the episode's file is missing, damaged or lies outside the data set",
    "wrong_episode": "the file holds another episode than the data set's index says",
    "length_mismatch": "the data hold fewer frames than the data set's index says: a part is missing",
    "no_time": "neither timestamps nor a frame rate to make them from",
    "unknown_field": "a value under a name that no rollout has",
}
"""Stable reason codes, each with what it means."""

MAX_FRAMES: Final = 4_000_000
"""Frames of one episode: at about 60 numbers a frame 1 GB, the half of the memory a run may take (spec: 2 GB)."""
MAX_WIDTH: Final = 8192
"""Numbers in one row of a channel; the widest embeddings in use have 4096."""
MAX_OBJECTS: Final = 512
MAX_NAME: Final = 4096
"""Characters of a name or an instruction; the rest is cut."""
_UNSAID: Final[Mapping[str, Any]] = MappingProxyType(
    {
        **dict.fromkeys(("family", "robot", "policy", "session"), UNKNOWN),
        "instruction": "",
        "goal": None,
        "debug_mode": False,
        "provenance": {},
    }
)
"""What is said of an episode of which nothing is."""
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True, eq=False)
class Intake:
    """What came through the door; every episode is in ``batch`` or in ``quarantine``."""

    batch: RolloutBatch
    outcome: Outcome
    """Rows as the episodes of ``batch``."""
    quarantine: QuarantineTable
    notes: NoteTable = field(default_factory=NoteTable.empty)
    """What is odd about episodes that were let in."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes in a line each."""
        return tuple(f"{name}: {told}" for name, told in zip(self.notes.episode_id, self.notes.message, strict=True))


def admit(raws: Iterable[RawEpisode | RawBlock], outcome: Outcome | None = None) -> Intake:
    """Check raw episodes; a bad one never costs a good one, and none depends on those that it is read with.

    Time is shifted to start at 0; names are cleaned for display; an id that occurs again gets its episode index.

    Args:
        raws: in the order of the source.
        outcome: how they ended, rows as ``raws``; unknown where not given.

    >>> taken = admit([RawEpisode(0, "a", "memory", {"time": [5.0, 6.0], "gripper_width": [0.1, 0.0]}),
    ...                RawEpisode(1, "b", "memory", {"time": []})])
    >>> taken.batch.time.tolist(), taken.quarantine.reason.tolist()
    ([0.0, 1.0], ['empty'])
    """
    door = _Door()
    count = 0
    for raw in raws:
        if isinstance(raw, RawBlock):
            door.block(count, raw)
            count += len(raw)
        else:
            door.one(count, raw)
            count += 1
    known = Outcome.unknown(count) if outcome is None else outcome
    batch = RolloutBatch.concat(door.parts())
    batch = replace(batch, episodes=replace(batch.episodes, episode_index=np.array(door.index, np.int64)))
    return Intake(batch, known.take(np.array(door.kept, np.intp)), quarantine(door.bad), NoteTable.of(door.notes))


class _Door:
    """What has come through so far, in order, and what has not."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        """Places among the raw episodes."""
        self.index: list[int] = []
        """The source's own numbers."""
        self.bad: list[tuple[RawEpisode, RolloutError]] = []
        self.notes: list[tuple[int, str, str]] = []
        self._taken: set[str] = set()
        self._single: list[Rollout] = []
        self._parts: list[RolloutBatch] = []

    def parts(self) -> list[RolloutBatch]:
        """Batches of what came through; one at least."""
        if self._single or not self._parts:
            self._parts.append(RolloutBatch.from_rollouts(self._single))
            self._single = []
        return self._parts

    def one(self, place: int, raw: RawEpisode) -> None:
        """Check an episode by itself."""
        name = self._name(raw.episode_id, raw.episode_index)
        try:
            if raw.trouble is not None:
                raise raw.trouble
            rollout = _rollout(name, raw.values)
        except RolloutError as error:
            self.bad.append((replace(raw, episode_id=name), error.with_traceback(None)))
            return
        joints = {arm: m.joint_position for arm, m in rollout.manipulators.items() if m.joint_position is not None}
        self._single.append(rollout)
        self._let_in(place, raw.episode_index, name, (*raw.notes, *oddities(rollout.time, joints)))

    def block(self, first: int, raw: RawBlock) -> None:
        """Check alike episodes together, and by itself each that is not plainly sound."""
        seen = _together(raw)
        begin = 0
        for place in range(len(raw) + 1):
            if place < len(raw) and seen is not None and seen.sound[place]:
                continue
            if seen is not None and begin < place:
                self._span(first, raw, seen, begin, place)
            if place < len(raw):
                self.one(first + place, raw.one(place))
            begin = place + 1

    def _span(self, first: int, raw: RawBlock, seen: _Together, begin: int, stop: int) -> None:
        """Let in episodes begin .. stop of a block."""
        names = []
        for place in range(begin, stop):
            name = self._name(raw.episode_id[place], raw.episode_index[place])
            told = raw.notes[place]
            if seen.odd[place]:
                mine = raw.rows(place)
                joints = {arm: m["joint_position"][mine] for arm, m in seen.arms.items() if "joint_position" in m}
                told = (*told, *oddities(seen.scene["time"][mine], joints))
            self._let_in(first + place, raw.episode_index[place], name, told)
            names.append(name)
        earlier = self.parts() if self._single else self._parts
        earlier.append(_batch(names, raw, seen, begin, stop))

    def _name(self, given: str | bytes, index: int) -> str:
        return _unique(clean(given) or f"episode_{index}", index, self._taken)

    def _let_in(self, place: int, index: int, name: str, told: tuple[str, ...]) -> None:
        self._taken.add(name)
        self.kept.append(place)
        self.index.append(index)
        self.notes += [(index, name, clean(each)) for each in told]


@dataclass(frozen=True, slots=True, eq=False)
class _Together:
    """Channels of the episodes of a block, and what a first look at all of them shows."""

    arms: Mapping[str, Mapping[str, NDArray[Any]]]
    scene: Mapping[str, NDArray[Any]]
    """``time`` since the start of each episode, and the other channels."""
    sound: Bools
    """Episodes of which nothing can be wrong, shape (n,)."""
    odd: Bools
    """Episodes of which something may have to be said, shape (n,)."""


def _together(raw: RawBlock) -> _Together | None:
    """None where no episode of a block is plainly sound, for a channel that all have is not."""
    try:
        arms = {
            arm: {name: _numbers("", name, value) for name, value in channels.items()}
            for arm, channels in _by_clean_name(raw.arms, lambda _, channels: channels).items()
        }
        scene = {name: _numbers("", name, value) for name, value in raw.scene.items() if name != "time"}
        time = _numbers("", "time", raw.scene["time"], np.float64)
    except RolloutError:
        return None
    if not arms or time.ndim != 1 or not all(_fits(arms, scene, len(time))):
        return None
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is not sound
        time -= np.repeat(time[raw.offset[:-1]], np.diff(raw.offset))
    sound, odd = glance(time, raw.offset, arms, scene)
    sound &= np.diff(raw.offset) <= MAX_FRAMES
    return _Together(arms, {"time": time, **scene}, sound, odd)


def _fits(
    arms: Mapping[str, Mapping[str, NDArray[Any]]], scene: Mapping[str, NDArray[Any]], frames: int
) -> Iterator[bool]:
    """Whether each channel has the shape that a rollout's must have."""
    for channels in arms.values():
        for name, value in channels.items():
            width = ARM_CHANNELS[name][0] if name in ARM_CHANNELS else -1
            good = value.ndim == (1 if width is None else 2) and len(value) == frames
            yield good and (not isinstance(width, int) or value.shape[1] == width)
    for value in scene.values():
        yield value.ndim == 2 and len(value) == frames


def _batch(names: Sequence[str], raw: RawBlock, seen: _Together, begin: int, stop: int) -> RolloutBatch:
    """Sound episodes begin .. stop of a block."""
    rows = slice(int(raw.offset[begin]), int(raw.offset[stop]))
    words = [{**_UNSAID, **_descriptions(each)} for each in raw.words[begin:stop]]
    said = {key: tuple(each[key] for each in words) for key in _UNSAID if key not in ("debug_mode", "provenance")}
    scene: dict[str, Any] = {name: value[rows] for name, value in seen.scene.items()}
    return RolloutBatch(
        episodes=Episodes(
            episode_id=tuple(names),
            episode_index=np.array(raw.episode_index[begin:stop], np.int64),
            debug_mode=np.array([each["debug_mode"] for each in words], np.bool_),
            provenance=tuple(MappingProxyType(each["provenance"]) for each in words),
            **said,
        ),
        offset=raw.offset[begin : stop + 1] - raw.offset[begin],
        manipulators={
            arm: Manipulator(**{name: value[rows] for name, value in channels.items()})
            for arm, channels in seen.arms.items()
        },
        objects=((),) * (stop - begin),
        **scene,
    )


def quarantine(bad: Sequence[tuple[RawEpisode, RolloutError]]) -> QuarantineTable:
    """The record of episodes that were put aside."""
    return QuarantineTable(
        episode_index=np.array([raw.episode_index for raw, _ in bad], np.int64),
        episode_id=[clean(raw.episode_id) for raw, _ in bad],  # type: ignore[arg-type]
        reason=[error.reason for _, error in bad],  # type: ignore[arg-type]
        source=[clean(raw.source) for raw, _ in bad],  # type: ignore[arg-type]
        start_frame=np.array([error.start_frame for _, error in bad], np.int64),
        end_frame=np.array([error.end_frame for _, error in bad], np.int64),
        # which episode and which file stand beside it
        message=[clean(f"{error.field}: {error.problem}") for _, error in bad],  # type: ignore[arg-type]
    )


def clean(name: object) -> str:
    """A name that can be shown and stored: text, valid UTF-8, no control characters or credentials, of bounded length.

    >>> clean(b"caf\\xc3\\xa9 \\xff"), clean("a\\x00b\\nc")
    ('café �', 'a�b c')
    """
    return _clean((name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name))[:MAX_NAME])


@lru_cache(maxsize=1024)  # of many episodes most is said in the same words
def _clean(text: str) -> str:
    text = masked(text).replace("\r\n", " ").replace("\n", " ").replace("\t", " ")
    return _UNSAFE.sub("\ufffd", text)


def _unique(name: str, index: int, taken: set[str]) -> str:
    while name in taken:
        name = f"{name}#{index}"
    return name


def _rollout(name: str, values: Mapping[str, Any]) -> Rollout:
    """One checked rollout."""
    allowed = {each.name for each in fields(Rollout)}
    stray = sorted(str(key) for key in values if key not in allowed)
    if stray:
        raise RolloutError(name, clean(", ".join(stray)), "is no field of a rollout", reason="unknown_field")
    time = _numbers(name, "time", values.get("time", ()), np.float64)
    if time.ndim == 1:
        _check_length(name, len(time))
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite, the rollout refuses
            time = time - time[0] if np.isfinite(time[0]) else time
    given: dict[str, Any] = {"episode_id": name, "time": time}
    for channel in (*ARM_CHANNELS, *SCENE_CHANNELS):
        if values.get(channel) is not None:
            given[channel] = _numbers(name, channel, values[channel])
    arms = _mapping(name, "manipulators", values.get("manipulators"))
    given["manipulators"] = _by_clean_name(arms, partial(_manipulator, name))
    for channel in OBJECT_CHANNELS:
        objects = _mapping(name, channel, values.get(channel))
        if len(objects) > MAX_OBJECTS:
            raise RolloutError(name, channel, f"has {len(objects)} objects", reason="too_wide")
        given[channel] = _by_clean_name(objects, partial(_object, name, channel))
    given |= _descriptions(values)
    rollout = Rollout(**given)
    signals = [(key, value) for m in rollout.manipulators.values() for key, value in m.channels().items()]
    signals += [("object_position", value) for value in rollout.object_position.values()]
    scene = [value for value in (rollout.embedding, rollout.action) if value is not None]
    check_signal(name, len(rollout), signals, scene)
    return rollout


def _object(name: str, channel: str, key: str, value: Any) -> NDArray[Any]:
    return _numbers(name, f"{channel}[{key}]", value)


def _check_length(name: str, frames: int) -> None:
    if frames == 0:
        raise RolloutError(name, "time", "has no frames", reason="empty")
    if frames == 1:
        raise RolloutError(name, "time", "has a single frame", reason="one_frame", end_frame=1)
    if frames > MAX_FRAMES:
        problem = f"has {frames} frames, more than {MAX_FRAMES}: cut the episode"
        raise RolloutError(name, "time", problem, reason="too_long", end_frame=frames)


def _numbers(name: str, channel: str, value: Any, dtype: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
    """Whatever was given as an array of floats; overflow becomes infinity, which the rollout then refuses."""
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        ragged = "inhomogeneous" in str(error) or "sequence" in str(error)
        reason = "mixed_dimensions" if ragged else "not_numeric"
        problem = "rows differ in length" if ragged else "holds something that is not a number"
        raise RolloutError(name, channel, problem, reason=reason) from None
    if array.dtype.kind not in "fiub" and array.size:
        raise RolloutError(name, channel, f"holds {array.dtype}, not numbers", reason="not_numeric")
    if array.ndim > 1 and max(array.shape[1:]) > MAX_WIDTH:
        raise RolloutError(name, channel, f"has shape {array.shape}", reason="too_wide")
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(dtype) if array.size else np.zeros(array.shape, dtype)


def _mapping(name: str, field: str, value: Any) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise RolloutError(name, field, f"is {type(value).__name__}, expected names and arrays", reason="not_numeric")
    return value


def _by_clean_name(values: Mapping[Any, Any], convert: Callable[[str, Any], Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        name = clean(key)
        number = 2
        while name in out:
            name, number = f"{clean(key)}~{number}", number + 1
        out[name] = convert(name, value)
    return out


def _manipulator(name: str, arm: str, value: Any) -> Manipulator:
    channels = value.channels() if isinstance(value, Manipulator) else _mapping(name, f"manipulators[{arm}]", value)
    stray = sorted(clean(key) for key in channels if key not in ARM_CHANNELS)
    if stray:
        raise RolloutError(name, f"{arm}.{stray[0]}", "is no channel of an arm", reason="unknown_field")
    return Manipulator(
        **{
            channel: _numbers(name, f"{arm}.{channel}", array)
            for channel, array in channels.items()
            if array is not None
        }
    )


def _descriptions(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of the episode in words, cleaned."""
    words = {
        key: clean(values[key])
        for key in ("family", "robot", "policy", "session", "instruction")
        if values.get(key) is not None
    }
    provenance = values.get("provenance")
    if isinstance(provenance, Mapping):
        words_of = {clean(key): clean(value) for key, value in provenance.items()}
    else:
        words_of = {}
    goal = values.get("goal")
    goal = replace(goal, object=clean(goal.object), target=clean(goal.target)) if isinstance(goal, Goal) else None
    return {**words, "provenance": words_of, "goal": goal, "debug_mode": bool(values.get("debug_mode", False))}


def sift(batch: RolloutBatch, source: str) -> tuple[Indices, QuarantineTable]:
    """Places of the episodes of a batch that hold enough of a signal, and a record of the others.

    :func:`admit` does this for episodes one by one; a made batch comes whole.
    """
    keep = np.ones(len(batch), np.bool_)
    bad = []
    scene = [value for value in (batch.embedding, batch.action) if value is not None]
    signals = [(name, value) for m in batch.manipulators.values() for name, value in m.channels().items()]
    if batch.object_position is not None:
        signals.append(("object_position", batch.object_position))
    for row in np.flatnonzero(_doubtful(batch)).tolist():
        name, index = batch.episodes.episode_id[row], int(batch.episodes.episode_index[row])
        mine = slice(int(batch.offset[row]), int(batch.offset[row + 1]))
        try:
            check_signal(
                name,
                int(batch.length[row]),
                [(key, value[mine]) for key, value in signals],
                [value[mine] for value in scene],
            )
        except RolloutError as error:
            keep[row] = False
            # a traceback would keep this frame, and with it the whole batch
            bad.append((RawEpisode(index, name, source, {}), error.with_traceback(None)))
    return np.flatnonzero(keep), quarantine(bad)


def _doubtful(batch: RolloutBatch) -> Bools:
    """Episodes of which no hand is seen to move in half of the frames or more, shape (n,): worth a closer look."""
    sound = np.zeros(len(batch), np.bool_)
    start = batch.offset[:-1]
    some = batch.length > 1
    for arm in batch.manipulators.values():
        if arm.ee_position is None or not some.any():
            continue
        x = arm.ee_position[:, 0]
        seen = np.add.reduceat(np.isfinite(x), start[some], dtype=np.int64)
        low, high = np.fmin.reduceat(x, start[some]), np.fmax.reduceat(x, start[some])
        sound[some] |= (seen >= (1 - MISSING_SHARE) * batch.length[some]) & (high > low)
    return ~sound
