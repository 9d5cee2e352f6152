"""LeRobot data sets of version 2.0, 2.1 and 3.0, read with pyarrow alone."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError, RolloutError
from sima2.io.column_guess import ACTION_FEATURES, SEPARATE_FEATURES, STATE_FEATURES, guess
from sima2.io.column_map import UNITS, ColumnMap, load_column_map
from sima2.io.command_lag import Commands, fit_commands
from sima2.io.derived import effort
from sima2.io.documents import inside, is_file
from sima2.io.effort import with_effort
from sima2.io.formats.dataset import DatasetReport, lacking
from sima2.io.formats.lerobot_files import Frames, read_frames
from sima2.io.formats.lerobot_index import DEFAULTS, NUMERIC, Entry, Feature, Index, load_index
from sima2.io.formats.lerobot_index import INFO as INFO
from sima2.io.formats.lerobot_own import OWN_MAP, OwnEpisodes
from sima2.io.hand_pose import HandPose, beyond_limits, hand_poses
from sima2.io.intake import Intake, RawEpisode, admit, clean
from sima2.io.map_check import check_indices, doubts
from sima2.io.outcomes import (
    OUTCOME_FEATURES,
    Ending,
    OutcomeFile,
    beyond_the_end,
    from_columns,
    load_outcomes,
    to_outcome,
)
from sima2.io.sample import Sample

SAMPLE_EPISODES: Final = 32
"""Episodes, evenly spread, whose frames a guess of units looks at."""
SAMPLE_FRAMES: Final = 200_000
"""Frames after which the sample ends."""
TICK_TOLERANCE_S: Final = 1e-4
"""How far a timestamp may be from k / fps; LeRobot's own tolerance."""


@dataclass(frozen=True, slots=True, eq=False)
class LeRobotDataset:
    """A LeRobot data set and how its columns are read."""

    index: Index
    column_map: ColumnMap
    mapping: str
    outcomes: OutcomeFile | None
    own: OwnEpisodes | None
    """What ``sima2 generate`` wrote of each episode beyond the format."""
    doubts: tuple[str, ...] = ()
    """What looks wrong with a given map."""
    hands: Mapping[str, HandPose] = field(default_factory=dict)
    """By arm: kinematics that the map names."""

    @property
    def episodes(self) -> int:
        """How many the metadata or the files tell of."""
        return len(self.index.episodes)

    def describe(self) -> DatasetReport:
        """What it is, what it lacks and what was assumed."""
        channels = {name for arm in self.column_map.arms.values() for name in arm}
        channels |= {name for group in self.column_map.objects.values() for name in group}
        channels |= {"ee_position" for hand in self.hands.values() if hand.chain is not None}
        if self.outcomes is not None or self.own is not None or set(OUTCOME_FEATURES) & set(self.index.features):
            channels.add("outcome")
        absent, not_assessed = lacking(channels)
        return DatasetReport(
            format="lerobot",
            version=self.index.version,
            episodes=self.episodes,
            robot=clean(self.column_map.robot.get("name", self.index.robot)),
            fps=self.index.fps,
            mapping=self.mapping,
            column_map=self.column_map.to_toml(),
            assumptions=self.column_map.notes,
            unmapped=self._unmapped(),
            absent=absent,
            not_assessed=not_assessed,
            warnings=(*self.index.warnings, *map(clean, self._doubtful_outcomes()), *map(clean, self.doubts)),
        )

    def read(self, start: int, stop: int) -> Intake:
        """Episodes start .. stop by place in order of ``episode_index``; what cannot be read is quarantined."""
        entries = self.index.episodes[max(start, 0) : max(stop, 0)]
        raws: list[RawEpisode] = []
        endings: list[Ending] = []
        warnings: list[str] = []
        for file, group in groupby(entries, key=lambda entry: entry.file):
            together = list(group)
            try:
                frames = self._frames(file, together)
            except DatasetError as error:
                problem = str(error).removeprefix(f"{self.index.root}/")
                frames = None
            for entry in together:
                with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is judged at the door
                    raw, ending = self._broken(entry, problem) if frames is None else self._raw(entry, frames, warnings)
                raws.append(raw)
                endings.append(ending)
        taken = admit(raws, to_outcome(endings))
        return Intake(taken.batch, taken.outcome, taken.quarantine, (*warnings, *taken.warnings))

    def _frames(self, file: str, entries: list[Entry]) -> Frames:
        """The needed features of the rows of some episodes in one file."""
        wanted = {entry.episode for entry in entries} if self.index.shared_files else None
        names = [*self.column_map.features(), "timestamp", "frame_index"]
        if self.own is None:
            names += OUTCOME_FEATURES
        return read_frames(inside(self.index.root, file), names, wanted)

    def _name(self, entry: Entry) -> str:
        return f"episode_{entry.episode:06d}" if self.own is None else self.own.name(entry)

    def _broken(self, entry: Entry, problem: str) -> tuple[RawEpisode, Ending]:
        name = self._name(entry)
        error = RolloutError(name, "data", problem, reason="unreadable")
        return RawEpisode(entry.episode, name, entry.file, {}, error), Ending()

    def _raw(self, entry: Entry, frames: Frames, warnings: list[str]) -> tuple[RawEpisode, Ending]:
        """One episode out of the rows of its file."""
        name = self._name(entry)
        ending = Ending()
        try:
            features = self._features(name, entry, frames, warnings)
            values = self._values(name, entry, features)
            ending = self._ending(entry, features, values["time"])
            trouble = None
        except RolloutError as error:
            values = {}
            trouble = RolloutError(
                name,
                error.field,
                error.problem,
                reason=error.reason,
                start_frame=error.start_frame,
                end_frame=error.end_frame,
            )
        return RawEpisode(entry.episode, name, entry.file, values, trouble), ending

    def _features(self, name: str, entry: Entry, frames: Frames, warnings: list[str]) -> dict[str, NDArray[Any]]:
        """The features over the frames of one episode, once they fit each other."""
        rows: NDArray[np.int64] | slice = slice(None)
        found = frames.rows
        if not self.index.shared_files and frames.episode is not None and found:
            stray = np.flatnonzero(frames.episode != entry.episode)
            if len(stray):
                problem = f"holds episode {frames.episode[stray[0]]} where {entry.episode} was expected"
                raise RolloutError(name, "data", problem, reason="wrong_episode", end_frame=found)
        if self.index.shared_files and frames.episode is not None:
            where = np.flatnonzero(frames.episode == entry.episode)
            found = len(where)
            # a slice where rows lie together: no copy
            together = found and int(where[-1]) - int(where[0]) + 1 == found
            rows = slice(int(where[0]), int(where[-1]) + 1) if together else where
        if entry.length is not None and found < entry.length:
            problem = f"holds {found} frames, the index says {entry.length}: the rest is missing"
            raise RolloutError(
                name, "data", problem, reason="length_mismatch", start_frame=found, end_frame=entry.length
            )
        if entry.length is not None and found > entry.length:
            warnings.append(f"{name}: holds {found} frames, the index says {entry.length}; all are read")
        cut = {feature: values[rows] for feature, values in frames.features.items()}
        for feature, widths in frames.widths.items():
            known = widths[rows][widths[rows] >= 0]
            if known.size and (known != known[0]).any():
                raise RolloutError(name, feature, "rows differ in length", reason="mixed_dimensions", end_frame=found)
            cut[feature] = cut[feature][:, : known[0] if known.size else 0]
        return {feature: values for feature, values in cut.items() if values.shape[1]}

    def _values(self, name: str, entry: Entry, features: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Keyword arguments of the rollout."""
        read = self.column_map
        arms = {
            arm: {channel: each.read(channel, features) for channel, each in group.items() if each.feature in features}
            for arm, group in read.arms.items()
        }
        for arm in dict.fromkeys([*self.hands, *read.residuals]):
            self._derive(arm, arms.setdefault(arm, {}), features)
        values: dict[str, Any] = {
            "time": self._time(name, entry, features),
            "manipulators": {arm: channels for arm, channels in arms.items() if channels},
            "robot": read.robot.get("name", self.index.robot),
            "instruction": entry.task,
            "provenance": {"source": f"lerobot {self.index.version}", "file": entry.file},
        }
        for channel in ("object_position", "object_orientation", "object_confidence"):
            values[channel] = {
                key: group[channel].read(channel, features)
                for key, group in read.objects.items()
                if channel in group and group[channel].feature in features
            }
        for channel in ("action", "embedding"):
            if channel in read.scene and read.scene[channel].feature in features:
                values[channel] = read.scene[channel].read(channel, features)
        return values if self.own is None else self.own.restore(entry, values)

    def _derive(self, arm: str, channels: dict[str, Any], features: Mapping[str, NDArray[Any]]) -> None:
        """Add the channels of an arm that no column holds."""
        joints = channels.get("joint_position")
        hand = self.hands.get(arm)
        if hand is not None and hand.chain is not None and joints is not None:
            position, orientation = hand.chain.pose(joints)
            channels["ee_position"] = position
            channels.setdefault("ee_orientation", orientation)
        parts = self.column_map.residuals.get(arm)
        if parts:
            proxy = effort(parts, features, 0 if joints is None else joints.shape[1])
            if proxy is not None:
                channels["effort_proxy"] = proxy

    def _time(self, name: str, entry: Entry, features: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """s: the mapped column, else timestamps, else frame numbers over the frame rate."""
        mapped = self.column_map.scene.get("time")
        if mapped is not None and mapped.feature in features:
            return np.asarray(mapped.read("time", features), np.float64)
        fps = self.index.fps
        frame = features.get("frame_index")
        stamps = features.get("timestamp")
        ticks = None if fps is None or frame is None or frame.shape[1] != 1 else frame[:, 0].astype(np.float64) / fps
        if stamps is None or stamps.shape[1] != 1:
            if ticks is not None:
                return ticks
            if fps is None:
                raise RolloutError(name, "time", "has neither timestamps nor a frame rate", reason="no_time")
            frames = len(next(iter(features.values()))) if features else entry.length or 0
            return np.arange(frames, dtype=np.float64) / fps
        return _on_ticks(stamps[:, 0].astype(np.float64), ticks, fps)

    def _ending(self, entry: Entry, features: Mapping[str, NDArray[Any]], time: NDArray[np.float64]) -> Ending:
        if self.outcomes is not None and entry.episode in self.outcomes:
            return _within(self.outcomes[entry.episode], time)
        return from_columns(features) if self.own is None else self.own.ending(entry)

    def _unmapped(self) -> tuple[str, ...]:
        """Columns that nothing reads."""
        used: dict[str, set[int] | None] = {}
        for columns in self.column_map.entries().values():
            before = used.get(columns.feature, set())
            whole = columns.index is None or before is None
            used[columns.feature] = None if whole else {*(before or ()), *(columns.index or ())}
        unmapped = []
        for name, feature in self.index.features.items():
            if name in DEFAULTS or name in OUTCOME_FEATURES or feature.dtype == "video":
                continue
            taken = used.get(name, set())
            if taken is None:
                continue
            if not taken:
                unmapped.append(name)
            else:
                labels = feature.names or tuple(map(str, range(math.prod(feature.shape))))
                unmapped += [f"{name}.{label}" for place, label in enumerate(labels) if place not in taken]
        return tuple(unmapped)

    def _doubtful_outcomes(self) -> list[str]:
        """What does not fit between the given outcomes and the episodes there are."""
        if self.outcomes is None:
            return []
        found = list(self.outcomes.warnings)
        known = {entry.episode: entry for entry in self.index.episodes}
        stray = sorted(set(self.outcomes.endings) - set(known))
        if stray:
            found.append(f"outcomes are given for {len(stray)} episodes that are not here, {stray[0]} first")
        silent = [episode for episode in known if episode not in self.outcomes]
        if silent:
            found.append(
                f"outcomes are not given for {len(silent)} episodes, {silent[0]} first; their own columns tell"
            )
        late = [
            episode
            for episode, entry in known.items()
            if episode in self.outcomes and self.index.fps is not None and entry.length is not None
            if beyond_the_end(self.outcomes[episode], entry.length / self.index.fps, 1.0 / self.index.fps)
        ]
        if late:
            at = self.outcomes[late[0]].failed_at_s
            found.append(
                f"failed_at_s lies beyond the end of {len(late)} episodes ({late[0]} first, at {at:.6g} s), "
                "so when they failed is not known; is it in s since the start of the episode?"
            )
        return found


def open_lerobot(path: Path, column_map: Path | None = None, outcomes: Path | None = None) -> LeRobotDataset:
    """Open a LeRobot data set.

    Raises:
        DatasetError: if it is malformed as a whole.
    """
    index = load_index(path)
    own = None
    strange: tuple[str, ...] = ()
    hands: dict[str, HandPose] = {}
    if column_map is not None:
        mapping = "given"
        columns, hands, strange = _given(index, column_map)
    elif is_file(path / OWN_MAP) and index.extras is not None:
        mapping, columns = "own", load_column_map(inside(path, OWN_MAP))
        own = OwnEpisodes.of(index.extras, index.episodes)
    else:
        mapping, columns = "guessed", _guessed(index)
    ending = load_outcomes(outcomes) if outcomes else None
    return LeRobotDataset(index, columns, mapping, ending, own, strange, hands)


def _within(ending: Ending, time: NDArray[np.float64]) -> Ending:
    """An ending without a time of failure that lies beyond the last frame, ``time`` in s, shape (t,)."""
    if len(time) > 1 and beyond_the_end(ending, float(time[-1] - time[0]), float(np.median(np.diff(time)))):
        return ending._replace(failed_at_s=math.nan)
    return ending


def _given(index: Index, file: Path) -> tuple[ColumnMap, dict[str, HandPose], tuple[str, ...]]:
    """A map as it was given, with what follows from it, and what looks wrong with it."""
    columns = load_column_map(file)
    missing = [name for name in columns.features() if name not in index.features]
    if missing:
        raise DatasetError(file, f"names the feature {missing[0]!r}", f"there are {', '.join(index.features)}")
    labels = {name: _labels(index.features[name]) for name in columns.features()}
    check_indices(file, columns, {name: len(held) for name, held in labels.items()})
    action = columns.scene["action"].feature if "action" in columns.scene else None
    commands = {*ACTION_FEATURES, *([action] if action else [])}
    hands = hand_poses(columns, file, index.root, labels, commands)
    sample = _sample(index, columns.features())
    strange = (*doubts(columns, sample.values), *_limits(columns, hands, sample))
    states = {each.feature for channels in columns.arms.values() for each in channels.values()}
    noted = replace(columns, notes=tuple(note for hand in hands.values() for note in hand.notes))
    return with_effort(noted, _fit(index, sample, labels, action, states), labels), hands, strange


def _guessed(index: Index) -> ColumnMap:
    """A map from the names and a sample of the values."""
    features = _readable(index.features)
    sample = _sample(index, list(features))
    labels = {name: _labels(index.features[name]) for name in features}
    action = next((name for name in ACTION_FEATURES if name in features), None)
    commands = _fit(index, sample, labels, action, {*STATE_FEATURES, *SEPARATE_FEATURES})
    return with_effort(guess(features, sample, robot=index.robot, commands=commands), commands, labels)


def _labels(feature: Feature) -> tuple[str, ...]:
    """A name for each column of a feature, empty where it has none."""
    width = math.prod(feature.shape)
    return (*feature.names[:width], *[""] * (width - len(feature.names)))


def _fit(
    index: Index, sample: Sample, labels: Mapping[str, tuple[str, ...]], action: str | None, states: Collection[str]
) -> Commands:
    """How the columns of the state follow their commands."""
    return fit_commands(sample, labels, action or "", [name for name in labels if name in states], index.fps)


def _limits(columns: ColumnMap, hands: Mapping[str, HandPose], sample: Sample) -> list[str]:
    """Joints that pass the limits of their robot's description."""
    found = []
    for arm, hand in hands.items():
        joints = columns.arms[arm]["joint_position"]
        if hand.chain is not None and len(sample.values.get(joints.feature, ())):
            found += beyond_limits(arm, hand.chain, joints.read("joint_position", sample.values))
    return found


def _readable(features: Mapping[str, Feature]) -> dict[str, tuple[str, ...]]:
    """Names of the columns of features that hold one vector of numbers a frame."""
    return {
        name: feature.names
        for name, feature in features.items()
        if name not in DEFAULTS and feature.dtype in NUMERIC and len(feature.shape) <= 1
    }


def _sample(index: Index, features: list[str]) -> Sample:
    """Frames of episodes spread evenly over the data set: the same in every run."""
    count = len(index.episodes)
    most = min(SAMPLE_EPISODES, count)
    places = sorted({round(k * (count - 1) / max(most - 1, 1)) for k in range(most)})
    parts: list[dict[str, NDArray[Any]]] = []
    lengths: list[int] = []
    for file, group in groupby([index.episodes[place] for place in places], key=lambda entry: entry.file):
        wanted = [entry.episode for entry in group]
        try:
            frames = read_frames(inside(index.root, file), features, wanted if index.shared_files else None)
        except DatasetError:
            continue  # quarantined when it is read
        for each in wanted if index.shared_files and frames.episode is not None else [None]:
            rows = np.arange(frames.rows) if each is None else np.flatnonzero(frames.episode == each)
            if len(rows) and sum(lengths) < SAMPLE_FRAMES:
                rows = rows[: SAMPLE_FRAMES - sum(lengths)]
                parts.append({name: values[rows] for name, values in frames.features.items()})
                lengths.append(len(rows))
    values = {}
    for name in features:
        arrays = [part[name] for part in parts if name in part]
        if len(arrays) == len(parts) and arrays and len({array.shape[1] for array in arrays}) == 1:
            with np.errstate(invalid="ignore"):
                stacked = np.concatenate(arrays).astype(np.float64)
            # numbers without meaning must not decide on a unit
            values[name] = np.where(np.abs(stacked) < 1e9, stacked, np.nan)
    return Sample(values, np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64))


def _on_ticks(stamps: NDArray[np.float64], ticks: NDArray[np.float64] | None, fps: float | None) -> NDArray[np.float64]:
    """Timestamps in s; where they are the frame's number over the rate but for rounding, that exactly.

    A single-precision timestamp is 4 ms off after ten hours, which would look like jitter of the clock.
    """
    if fps is not None and len(stamps) > 1 and np.isfinite(stamps).all():
        step = float(np.median(np.diff(stamps))) * fps
        for unit in ("ms", "us", "ns"):
            if 0.5 < step * UNITS[unit][1] < 2.0:
                stamps = stamps * UNITS[unit][1]
    if ticks is None or not np.isfinite(stamps).all():
        return stamps
    spacing = float(np.spacing(np.float32(np.abs(stamps).max(initial=0.0))))
    if (stamps == stamps.astype(np.float32)).all() and fps is not None and spacing * fps > 0.1:
        return ticks  # single precision cannot tell these frames apart, but their numbers can
    rounding = np.spacing(np.abs(np.clip(stamps, -1e30, 1e30)).astype(np.float32)).astype(np.float64)
    return ticks if (np.abs(stamps - ticks) <= TICK_TOLERANCE_S + rounding).all() else stamps
