"""The door: raw episodes in, checked rollouts out, and a record of each that had to be put aside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import RolloutError, masked
from sima2.records.intake import NoteTable, QuarantineTable
from sima2.records.outcome import Outcome
from sima2.records.rollout import (
    ARM_CHANNELS,
    OBJECT_CHANNELS,
    SCENE_CHANNELS,
    Goal,
    Manipulator,
    Rollout,
    RolloutBatch,
)

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
MISSING_SHARE: Final = 0.5
"""Share of missing samples of motion above which an episode is not judged."""
JUMP_PERIODS: Final = 20.0
"""A step of the clock longer than so many median periods is reported as a jump (a buffer or a network that stalled)."""

WILD_RAD: Final = 4.0 * np.pi
"""A joint whose samples span less in an episode has none that is out of the question."""
WILD: Final = 10.0
"""A sample so many times as far from the median as 99 % of the others is wild."""

_MOTION: Final = ("joint_position", "joint_velocity", "ee_position")
_ALIVE: Final = ("joint_velocity", "joint_torque", "grip_force", "contact_force")
"""Rates and forces: an arm at rest may show the same angles for ever, but no sensor the same force, other than none."""
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True, eq=False)
class RawEpisode:
    """An episode as it was found, unchecked."""

    episode_index: int
    """The source's own number."""
    episode_id: str | bytes
    source: str
    """File or generator, relative to the data set."""
    values: Mapping[str, Any]
    """Keyword arguments of ``Rollout``; anything may be wrong with them. An ``episode_id`` here is passed over."""
    trouble: RolloutError | None = None
    """Why it could not even be read, where that is so."""
    notes: tuple[str, ...] = ()
    """What is odd about it, as it was read."""


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


def admit(raws: Iterable[RawEpisode], outcome: Outcome | None = None) -> Intake:
    """Check raw episodes one by one; a bad one never costs a good one.

    Time is shifted to start at 0; names are cleaned for display; an id that occurs again gets its episode index.

    Args:
        raws: in the order of the source.
        outcome: how they ended, rows as ``raws``; unknown where not given.

    >>> taken = admit([RawEpisode(0, "a", "memory", {"time": [5.0, 6.0], "gripper_width": [0.1, 0.0]}),
    ...                RawEpisode(1, "b", "memory", {"time": []})])
    >>> taken.batch.time.tolist(), taken.quarantine.reason.tolist()
    ([0.0, 1.0], ['empty'])
    """
    raws = list(raws)
    known = Outcome.unknown(len(raws)) if outcome is None else outcome
    rollouts: list[Rollout] = []
    kept: list[int] = []
    bad: list[tuple[RawEpisode, RolloutError]] = []
    notes: list[tuple[int, str, str]] = []
    taken: set[str] = set()
    for place, raw in enumerate(raws):
        name = _unique(clean(raw.episode_id) or f"episode_{raw.episode_index}", raw.episode_index, taken)
        try:
            if raw.trouble is not None:
                raise raw.trouble
            rollout = _rollout(name, raw.values)
        except RolloutError as error:
            bad.append((replace(raw, episode_id=name), error.with_traceback(None)))
            continue
        taken.add(name)
        rollouts.append(rollout)
        kept.append(place)
        notes += [(raw.episode_index, name, clean(each)) for each in (*raw.notes, *_oddities(rollout))]
    batch = RolloutBatch.from_rollouts(rollouts)
    index = np.array([raws[place].episode_index for place in kept], np.int64)
    batch = replace(batch, episodes=replace(batch.episodes, episode_index=index))
    return Intake(batch, known.take(np.array(kept, np.intp)), quarantine(bad), NoteTable.of(notes))


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
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
    text = masked(text[:MAX_NAME]).replace("\r\n", " ").replace("\n", " ").replace("\t", " ")
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
    _check_signal(name, len(rollout), signals, scene)
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


def sift(batch: RolloutBatch, source: str) -> tuple[NDArray[np.intp], QuarantineTable]:
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
            _check_signal(
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


def _doubtful(batch: RolloutBatch) -> NDArray[np.bool_]:
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


def _check_signal(
    name: str,
    frames: int,
    signals: Sequence[tuple[str, NDArray[np.float32]]],
    scene: Sequence[NDArray[np.float32]],
) -> None:
    """Something must have been recorded: of one channel of motion at least half of the samples, and not one value.

    Args:
        name: of the episode.
        frames: how long it is.
        signals: channels of arms, and objects' positions; several may share a name.
        scene: what else was recorded.
    """
    motion = _sight([each for each in signals if each[0] in _MOTION], frames) or _sight(signals, frames)
    if not motion:
        raise RolloutError(
            name, "channels", "no arm or object channel holds a number", reason="no_signal", end_frame=frames
        )
    best = max(motion, key=lambda key: int(motion[key].sum()))
    missing = ~motion[best]
    if missing.mean() > MISSING_SHARE:
        lost = np.flatnonzero(missing)
        raise RolloutError(
            name,
            "channels",
            f"{missing.mean():.0%} of the samples of {best} are missing, and of any other motion no less",
            reason="mostly_missing",
            start_frame=int(lost[0]),
            end_frame=int(lost[-1]) + 1,
        )
    if any(_changes(value) for value in (*(value for _, value in signals), *scene)):
        return
    alive = [key for key, value in signals if key in _ALIVE and np.nan_to_num(value).any()]
    if alive:
        raise RolloutError(
            name, "channels", f"no channel ever changes, not even {alive[0]}", reason="frozen", end_frame=frames
        )


def _sight(signals: Sequence[tuple[str, NDArray[np.float32]]], frames: int) -> dict[str, NDArray[np.bool_]]:
    """Frames in which each channel that ever holds a number holds one, by name, shape (t,)."""
    seen: dict[str, NDArray[np.bool_]] = {}
    for key, value in signals:
        seen[key] = seen.get(key, np.zeros(frames, np.bool_)) | _seen(value)
    return {key: where for key, where in seen.items() if where.any()}


def _changes(values: NDArray[np.float32]) -> bool:
    rows = values.reshape(len(values), -1)
    return bool((np.fmax.reduce(rows) > np.fmin.reduce(rows)).any())


def _seen(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Frames in which a channel holds a number, shape (t,)."""
    finite: NDArray[np.bool_] = ~np.isnan(values.reshape(len(values), -1))
    return np.asarray(finite.any(axis=1))


def _oddities(rollout: Rollout) -> list[str]:
    step = np.diff(rollout.time)
    longest = int(np.argmax(step))
    told = []
    if step[longest] > JUMP_PERIODS * float(np.median(step)):
        told.append(f"the clock jumps by {step[longest]:.3g} s at frame {longest + 1}")
    for arm, channels in rollout.manipulators.items():
        if channels.joint_position is not None:
            told += [f"{arm}.joint_position: {each}" for each in _wild(channels.joint_position)]
    return told


def _wild(values: NDArray[np.float32]) -> list[str]:
    """Columns with single samples that lie far outside of all the others, shape (t, j)."""
    low, high = np.nanmin(values, axis=0, initial=np.inf), np.nanmax(values, axis=0, initial=-np.inf)
    far = high - low > WILD_RAD
    told = []
    for place in np.flatnonzero(far).tolist():
        column = values[:, place].astype(np.float64)
        middle = float(np.nanmedian(column))
        usual = float(np.nanpercentile(np.abs(column - middle), 99.0))
        outside = np.flatnonzero(np.abs(column - middle) > WILD * max(usual, 1e-6))
        if len(outside):
            at = int(outside[0])
            told.append(f"column {place} is {column[at]:.4g} at frame {at}, far outside of the rest: a wild sample")
    return told
