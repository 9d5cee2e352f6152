"""A recorded data set of any format as rollouts: column map, units, time, kinematics, effort, outcomes, the door."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError, RolloutError
from sima2.io.angle_unwrapping import may_wrap, unwrapped, unwrapped_columns
from sima2.io.column_guess import ACTION_FEATURES, action_of, guess, is_state
from sima2.io.column_map import ColumnMap, load_column_map
from sima2.io.command_lag import Commands, fit_commands
from sima2.io.derived import CommandResidual, commanded, effort
from sima2.io.effort import with_effort
from sima2.io.formats.alike import alike, end_to_end
from sima2.io.formats.dataset import DatasetReport, lacking
from sima2.io.formats.frame_source import (
    NUMERIC,
    Entry,
    Feature,
    Features,
    FrameSource,
    Recorded,
)
from sima2.io.goals import OPTION, by_task, check_goals, merged, parse_goal_options
from sima2.io.gripper_ends import judged_alone
from sima2.io.hand_pose import HandPose, beyond_limits, hand_poses
from sima2.io.intake import Intake, RawBlock, RawEpisode, admit, clean
from sima2.io.map_check import check_indices, doubts
from sima2.io.merging import Reading, reading_of
from sima2.io.outcomes import OUTCOME_FEATURES, Ending, OutcomeFile, beyond_the_end, load_outcomes, to_outcome
from sima2.io.robot_pose import asked_poses, named_poses
from sima2.io.sample import FRAME, TIMESTAMP, Sample, other_scale
from sima2.io.source_id import id_of
from sima2.io.task_kinds import task_kinds
from sima2.io.timestamps import clock_doubt, in_seconds, seconds_of_each, set_step, shares_off
from sima2.records.arrays import Float64s, Int64s
from sima2.records.rollout import CLOCK_OFF, SCENE_CHANNELS, TURNED, Goal, RolloutBatch

SAMPLE_EPISODES: Final = 32
"""Episodes, evenly spread, whose frames a guess of units looks at."""
MAX_FPS: Final = 1e6
"""No control loop is faster than so many Hz."""
SAMPLE_FRAMES: Final = 200_000
"""Frames after which the sample ends."""


@dataclass(frozen=True, slots=True, eq=False)
class MappedDataset:
    """A source of frames, and how its columns are read."""

    source: FrameSource
    column_map: ColumnMap
    mapping: str
    """``given``, ``guessed`` or ``own``."""
    outcomes: OutcomeFile | None
    doubts: tuple[str, ...] = ()
    """What looks wrong with a given map, or is a guess that decides what the data mean."""
    hands: Mapping[str, HandPose] = field(default_factory=dict)
    """By arm: kinematics that the map names."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Kind of episode by task; see ``task_kinds``."""
    goals: Mapping[str, Goal] = field(default_factory=dict)
    """What was asked for by task, where the map or the command line names it."""
    step: float | None = None
    """Median step between the timestamps of the set, in their own unit."""

    @classmethod
    def open(
        cls,
        source: FrameSource,
        column_map: Path | None = None,
        outcomes: Path | None = None,
        goals: Sequence[str] = (),
    ) -> MappedDataset:
        """Read a data set by a given map, by its own, or by a guess.

        Args:
            source: the data set.
            column_map: TOML that says which columns are what; guessed from names and values where not given.
            outcomes: csv, json, jsonl or parquet keyed by ``episode_index`` or ``episode_id``.
            goals: what was asked for, as ``--goal`` names it; they count before those of the map.

        Raises:
            DatasetError: if a file or a goal is missing or wrong.
        """
        strange: tuple[str, ...] = ()
        hands: dict[str, HandPose] = {}
        step: float | None = None
        if column_map is not None:
            source = _at_given_rate(source, column_map)
        own = source.own_map
        if column_map is not None:
            mapping, source = "given", source.plain()
            columns, hands, strange, step = _given(source, column_map)
        elif own is not None:
            mapping, columns = "own", own
        else:
            mapping = "guessed"
            columns, hands, strange, step = _guessed(source)
        ending = None
        if outcomes:
            ending = load_outcomes(outcomes, lambda: {source.name(each): each.episode for each in source.entries})
        tasks = [entry.task for entry in source.entries]
        columns = replace(columns, goals=merged(columns.goals, parse_goal_options(goals)))
        things = None if mapping == "own" else columns.objects
        strange = (*strange, *check_goals(column_map or OPTION, columns.goals, things, set(tasks)))
        asked = by_task(columns.goals, set(tasks))
        return cls(source, columns, mapping, ending, strange, hands, task_kinds(tasks), asked, step)

    @property
    def episodes(self) -> int:
        """How many the metadata or the files tell of."""
        return len(self.source.entries)

    @property
    def numbers(self) -> Int64s:
        """The source's own number of the episode at each place, strictly increasing, shape (n,)."""
        return np.array([entry.episode for entry in self.source.entries], np.int64)

    def frame_numbers(self) -> Mapping[int, Int64s]:
        """As the data set has them."""
        return self.source.frame_rows().by_episode()

    @property
    def source_id(self) -> str:
        """Of the data set's content; the same wherever it lies."""
        return self.source.source_id

    @property
    def collection(self) -> str:
        """Format, robot type and a digest of the declared numeric features with their shapes and names."""
        recorded = {
            name: [each.shape, each.names]
            for name, each in self.source.features.items()
            if each.dtype in NUMERIC and name not in self.source.bookkeeping
        }
        digest = id_of(json.dumps(recorded, sort_keys=True))
        return f"{self.source.format} {self.source.robot.replace('|', '/')} {digest}"

    def name(self, place: int) -> str:
        """Id of the episode at a place."""
        return self.source.name(self.source.entries[place])

    def describe(self) -> DatasetReport:
        """What it is, what it lacks and what was assumed."""
        channels = {name for arm in self.column_map.arms.values() for name in arm}
        channels |= {name for group in self.column_map.objects.values() for name in group}
        channels |= {"ee_position" for hand in self.hands.values() if hand.chain is not None}
        if self.outcomes is not None or self.mapping == "own" or self.source.tells_outcomes:
            channels.add("outcome")
        absent, not_assessed = lacking(channels)
        return DatasetReport(
            format=self.source.format,
            version=self.source.version,
            episodes=self.episodes,
            robot=clean(self.column_map.robot.get("name", self.source.robot)),
            fps=self.source.fps,
            mapping=self.mapping,
            column_map=self.column_map.to_toml(),
            assumptions=self.column_map.notes,
            unmapped=self._unmapped(),
            absent=absent,
            not_assessed=not_assessed,
            warnings=(*self.source.warnings, *map(clean, self._doubtful_outcomes()), *map(clean, self.doubts)),
            joint_names=self._joint_names(),
        )

    def reading(self, sample: Sequence[RolloutBatch]) -> Reading:
        """How it is read, and what some of its episodes look like once read."""
        robot = clean(self.column_map.robot.get("name", self.source.robot))
        return reading_of(robot, self.column_map.arms, self._joint_names(), sample)

    def _joint_names(self) -> dict[str, tuple[str, ...]]:
        """What the data set calls the joints of each arm."""
        told = {}
        for arm, channels in self.column_map.arms.items():
            if (joints := channels.get("joint_position")) is not None and joints.feature in self.source.features:
                labels = [clean(each) for each in _labels(self.source.features[joints.feature])]
                places = range(len(labels)) if joints.index is None else joints.index
                told[arm] = tuple(labels[k] if k < len(labels) else "" for k in places)
        return told

    def read(self, start: int, stop: int) -> Intake:
        """Episodes start .. stop by place in order of their numbers; what cannot be read is quarantined."""
        entries = self.source.entries[max(start, 0) : max(stop, 0)]
        raws: list[RawEpisode | RawBlock] = []
        endings: list[Ending] = []
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is judged at the door
            for together in alike(self.source.read(entries, self._wanted())):
                for raw, ended in self._raws(together):
                    raws.append(raw)
                    endings += ended
        return admit(raws, to_outcome(endings))

    def _wanted(self) -> list[str]:
        return [*self.column_map.features(), *self.source.outcome_features]

    def _raws(self, together: Sequence[Recorded]) -> Iterator[tuple[RawEpisode | RawBlock, list[Ending]]]:
        """Alike episodes, ready for the door: as a block, but for those in which an angle may wrap."""
        if len(together) > 1 and not self.source.restores and not self.column_map.objects:
            features, offset = end_to_end(together)
            alone = may_wrap(self.column_map, features, offset)
            edges = [0, *(np.flatnonzero(np.diff(alone)) + 1).tolist(), len(together)]
        else:
            alone, edges = np.ones(len(together), np.bool_), [0, len(together)]
        for first, stop in pairwise(edges):
            if not alone[first]:
                rows = slice(int(offset[first]), int(offset[stop]))
                mine = {name: values[rows] for name, values in features.items()}
                try:
                    block = self._block(together[first:stop], mine, offset[first : stop + 1] - offset[first])
                except RolloutError:  # each says so by itself
                    pass
                else:
                    yield block
                    continue
            for recorded in together[first:stop]:
                raw, ending = self._raw(recorded)
                yield raw, [ending]

    def _block(self, together: Sequence[Recorded], features: Features, offset: Int64s) -> tuple[RawBlock, list[Ending]]:
        """Alike episodes whose frames lie end to end, and none of whose angles wraps."""
        entries = [each.entry for each in together]
        notes = [list(each.notes) for each in together]
        words = [self._words(entry) for entry in entries]
        arms = self._arms(features, offset, notes, words)
        time = self._time(self.source.name(entries[0]), features, offset, words)
        raw = RawBlock(
            episode_index=[entry.episode for entry in entries],
            episode_id=[self.source.name(entry) for entry in entries],
            source=[entry.file for entry in entries],
            offset=offset,
            arms={arm: channels for arm, channels in arms.items() if channels},
            scene={"time": time, **self._scene(features)},
            words=[said | self._asked(entry) for said, entry in zip(words, entries, strict=True)],
            notes=[tuple(each) for each in notes],
        )
        endings = [
            self._ending(each.entry, each.features, time[raw.rows(place)]) for place, each in enumerate(together)
        ]
        return raw, endings

    def _raw(self, recorded: Recorded) -> tuple[RawEpisode, Ending]:
        """One episode, ready for the door."""
        entry, trouble = recorded.entry, recorded.trouble
        name = self.source.name(entry)
        notes = list(recorded.notes)
        values: dict[str, Any] = {}
        ending = Ending()
        if trouble is None:
            try:
                values = self._values(name, entry, recorded.features, notes)
                ending = self._ending(entry, recorded.features, values["time"])
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
        return RawEpisode(entry.episode, name, entry.file, values, trouble, tuple(notes)), ending

    def _values(self, name: str, entry: Entry, recorded: Features, notes: list[str]) -> dict[str, Any]:
        """Keyword arguments of the rollout; what is odd is added to ``notes``."""
        read = self.column_map
        features = unwrapped(read, recorded)
        frames = len(next(iter(features.values()))) if features else entry.length or 0
        offset = np.array([0, frames], np.int64)
        words = self._words(entry)
        arms = self._arms(features, offset, [notes], [words])
        values: dict[str, Any] = {
            "time": self._time(name, features, offset, [words]),
            "manipulators": {arm: channels for arm, channels in arms.items() if channels},
            **words,
        }
        for channel in ("object_position", "object_orientation", "object_confidence"):
            values[channel] = {
                key: group[channel].read(channel, features)
                for key, group in read.objects.items()
                if channel in group and group[channel].feature in features
            }
        return self.source.restore(entry, values | self._scene(recorded)) | self._asked(entry)

    def _words(self, entry: Entry) -> dict[str, Any]:
        """What is said of an episode."""
        return {
            "robot": self.column_map.robot.get("name", self.source.robot),
            "instruction": entry.task,
            "family": self.kinds.get(entry.task),
            "provenance": {"source": f"{self.source.format} {self.source.version}", "file": entry.file},
        }

    def _asked(self, entry: Entry) -> dict[str, Goal]:
        """What was asked for, where it is named: it counts before what the source itself says."""
        return {"goal": self.goals[entry.task]} if entry.task in self.goals else {}

    def _scene(self, recorded: Features) -> dict[str, NDArray[Any]]:
        """What belongs to no arm, as it was recorded."""
        scene = {name: self.column_map.scene[name] for name in SCENE_CHANNELS if name in self.column_map.scene}
        return {name: each.read(name, recorded) for name, each in scene.items() if each.feature in recorded}

    def _arms(
        self,
        features: Features,
        offset: Int64s,
        notes: Sequence[list[str]],
        words: Sequence[dict[str, Any]],
    ) -> dict[str, dict[str, Any]]:
        """Channels of every arm over the frames of some episodes.

        What is odd about each is added to its ``notes``, and the arm whose gripper was turned to its ``words``.
        """
        read = self.column_map
        arms = {
            arm: {channel: each.read(channel, features) for channel, each in group.items() if each.feature in features}
            for arm, group in read.arms.items()
        }
        for arm, channels in arms.items():
            turned = judged_alone(arm, read.arms[arm], channels, offset)
            for told, said, each in zip(notes, words, turned, strict=True):
                if each:
                    told += each
                    said["provenance"][TURNED] = arm
        for arm in dict.fromkeys([*self.hands, *read.residuals]):
            self._derive(arm, arms.setdefault(arm, {}), features, offset)
        return arms

    def _derive(self, arm: str, channels: dict[str, Any], features: Features, offset: Int64s) -> None:
        """Add the channels of an arm that no column holds."""
        joints = channels.get("joint_position")
        hand = self.hands.get(arm)
        if hand is not None and hand.chain is not None and joints is not None:
            position, orientation = hand.chain.pose(joints)
            channels["ee_position"] = position
            channels.setdefault("ee_orientation", orientation)
        parts = self.column_map.residuals.get(arm)
        if parts:
            proxy = effort(parts, features, 0 if joints is None else joints.shape[1], offset)
            if proxy is not None:
                channels["effort_proxy"] = proxy
                command = self._command(arm, parts, features, joints)
                if command is not None:
                    channels.setdefault("joint_command", command)

    def _command(
        self, arm: str, parts: Mapping[str, CommandResidual], features: Features, joints: NDArray[Any] | None
    ) -> Float64s | None:
        state = self.column_map.arms.get(arm, {}).get("joint_position")
        return None if joints is None or state is None else commanded(parts, features, joints, state.factor)

    def _time(self, name: str, features: Features, offset: Int64s, words: Sequence[dict[str, Any]]) -> Float64s:
        """s: the mapped column, else timestamps, else frame numbers over the frame rate.

        How much of an episode's clock was mended is put into its ``words``.
        """
        mapped = self.column_map.scene.get("time")
        if mapped is not None and mapped.feature in features:
            return np.asarray(mapped.read("time", features), np.float64)
        fps = self.source.fps
        frame = features.get(FRAME)
        stamps = features.get(TIMESTAMP)
        ticks = None if fps is None or frame is None or frame.shape[1] != 1 else frame[:, 0].astype(np.float64) / fps
        if stamps is None or stamps.shape[1] != 1:
            if ticks is not None:
                return ticks
            if fps is None:
                raise RolloutError(name, "time", "has neither timestamps nor a frame rate", reason="no_time")
            place = np.arange(offset[-1]) - np.repeat(offset[:-1], np.diff(offset))
            return place.astype(np.float64) / fps
        told = stamps[:, 0].astype(np.float64)
        taken, ticked = seconds_of_each(told, ticks, fps, self.step, offset)
        for episode, off in shares_off(in_seconds(told, fps, self.step), fps, offset).items():
            if ticked[episode]:
                words[episode]["provenance"][CLOCK_OFF] = f"{off:.4f}"
        return taken

    def _ending(self, entry: Entry, features: Features, time: Float64s) -> Ending:
        if self.outcomes is not None and entry.episode in self.outcomes:
            return _within(self.outcomes[entry.episode], time)
        return self.source.ending(entry, features)

    def _unmapped(self) -> tuple[str, ...]:
        """Columns that nothing reads."""
        used: dict[str, set[int] | None] = {}
        for columns in self.column_map.entries().values():
            before = used.get(columns.feature, set())
            whole = columns.index is None or before is None
            used[columns.feature] = None if whole else {*(before or ()), *(columns.index or ())}
        unmapped = []
        for name, feature in self.source.features.items():
            if name in self.source.bookkeeping or name in OUTCOME_FEATURES or feature.dtype == "video":
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
        known = {entry.episode: entry for entry in self.source.entries}
        stray = sorted(set(self.outcomes.endings) - set(known))
        if stray:
            found.append(f"outcomes are given for {len(stray)} episodes that are not here, {stray[0]} first")
        silent = [episode for episode in known if episode not in self.outcomes]
        if silent:
            rest = "the data set itself tells" if self.source.tells_outcomes else "how they ended is not known"
            found.append(f"outcomes are not given for {len(silent)} episodes, {silent[0]} first; {rest}")
        fps = self.source.fps
        late = [
            episode
            for episode, entry in known.items()
            if episode in self.outcomes and fps is not None and entry.length is not None
            if beyond_the_end(self.outcomes[episode], entry.length / fps, 1.0 / fps)
        ]
        if late:
            at = self.outcomes[late[0]].failed_at_s
            found.append(
                f"failed_at_s lies beyond the end of {len(late)} episodes ({late[0]} first, at {at:.6g} s), "
                "so when they failed is not known; is it in s since the start of the episode?"
            )
        return found


def _within(ending: Ending, time: Float64s) -> Ending:
    """An ending without a time of failure that lies beyond the last frame, ``time`` in s, shape (t,)."""
    if len(time) > 1 and beyond_the_end(ending, float(time[-1] - time[0]), float(np.median(np.diff(time)))):
        return ending._replace(failed_at_s=math.nan)
    return ending


def _at_given_rate(source: FrameSource, file: Path) -> FrameSource:
    """A source at the rate that a map gives, where it gives one."""
    told = load_column_map(file).robot.get("rate_hz")
    if told is None:
        return source
    try:
        rate = float(told)
    except ValueError:
        rate = math.nan
    if not 0 < rate <= MAX_FPS:
        raise DatasetError(file, f"[robot]: rate_hz {told!r} is no rate in Hz", "rate_hz = 30, say")
    return source.at_rate(rate)


def _given(source: FrameSource, file: Path) -> tuple[ColumnMap, dict[str, HandPose], tuple[str, ...], float | None]:
    """A map as it was given, with what follows from it, what looks wrong with it, and the usual step of time."""
    columns = load_column_map(file)
    missing = [name for name in columns.features() if name not in source.features]
    if missing:
        raise DatasetError(file, f"names the feature {missing[0]!r}", f"there are {', '.join(source.features)}")
    labels = {name: _labels(source.features[name]) for name in columns.features()}
    check_indices(file, columns, {name: len(held) for name, held in labels.items()})
    action = columns.scene["action"].feature if "action" in columns.scene else None
    commands = {*ACTION_FEATURES, *([action] if action else [])}
    hands = hand_poses(columns, file, source.root, labels, commands)
    hands |= asked_poses(columns, file, labels, commands)
    sample = _sample(source, columns.features())
    strange = (*doubts(columns, sample.values), *_limits(columns, hands, sample), *clock_doubt(sample, source.fps))
    states = {each.feature for channels in columns.arms.values() for each in channels.values()}
    noted = replace(columns, notes=tuple(note for hand in hands.values() for note in hand.notes))
    return with_effort(noted, _fit(source, sample, labels, action, states), labels), hands, strange, set_step(sample)


def _guessed(source: FrameSource) -> tuple[ColumnMap, dict[str, HandPose], tuple[str, ...], float | None]:
    """A map from the names and a sample of the values, what follows from it, what of it decides the meaning, and the
    usual step of time."""
    features = _readable(source)
    sample = _sample(source, list(features))
    labels = {name: _labels(source.features[name]) for name in features}
    known = source.declared
    action = known.action if known is not None and known.action else action_of(features)
    states = {name for name in features if is_state(name)} | (known.features() & set(features) if known else set())
    sample = sample.without(other_scale(sample, sorted(states)))
    commands = _fit(source, sample, labels, action, states)
    made = guess(features, sample, robot=source.robot, commands=commands, fps=source.fps, declared=known)
    acts = {*ACTION_FEATURES, *([action] if action else [])}
    made, hands, unfit = named_poses(made, source.robot, sample, labels, acts)
    doubt = (*made.warnings, *unfit, *clock_doubt(sample, source.fps))
    return with_effort(made, commands, labels), hands, doubt, set_step(sample)


def _labels(feature: Feature) -> tuple[str, ...]:
    """A name for each column of a feature, empty where it has none."""
    width = math.prod(feature.shape)
    return (*feature.names[:width], *[""] * (width - len(feature.names)))


def _fit(
    source: FrameSource,
    sample: Sample,
    labels: Mapping[str, tuple[str, ...]],
    action: str | None,
    states: Collection[str],
) -> Commands:
    """How the columns of the state follow their commands."""
    return fit_commands(sample, labels, action or "", [name for name in labels if name in states], source.fps)


def _limits(columns: ColumnMap, hands: Mapping[str, HandPose], sample: Sample) -> list[str]:
    """Joints that pass the limits of their robot's description."""
    found = []
    for arm, hand in hands.items():
        joints = columns.arms[arm]["joint_position"]
        if hand.chain is not None and len(sample.values.get(joints.feature, ())):
            moved = joints.read("joint_position", sample.values)
            found += beyond_limits(arm, hand.chain, moved, hand.limits_of)
    return found


def _readable(source: FrameSource) -> dict[str, tuple[str, ...]]:
    """Names of the columns of features that hold one vector of numbers a frame."""
    return {
        name: feature.names
        for name, feature in source.features.items()
        if name not in source.bookkeeping
        and feature.dtype in NUMERIC
        # a row or a column of numbers is a vector too
        and math.prod(feature.shape) == max(feature.shape, default=1)
    }


def _sample(source: FrameSource, features: list[str]) -> Sample:
    """Frames of episodes spread evenly over the data set: the same in every run."""
    count = len(source.entries)
    most = min(SAMPLE_EPISODES, count)
    places = sorted({round(k * (count - 1) / max(most - 1, 1)) for k in range(most)})
    entries = [source.entries[place] for place in places]
    found = [each for each in source.read(entries, features) if any(map(len, each.features.values()))]
    alike = _alike(found)
    parts: list[Recorded] = []
    lengths: list[int] = []
    for recorded in _of_usual_widths(found, alike):
        if sum(lengths) < SAMPLE_FRAMES:
            parts.append(recorded)
            lengths.append(min(len(recorded.features[alike[0]]), SAMPLE_FRAMES - sum(lengths)))
    values = {}
    for name in alike if parts else ():
        arrays = [part.features[name][:length] for part, length in zip(parts, lengths, strict=True)]
        with np.errstate(invalid="ignore"):
            stacked = np.concatenate(arrays).astype(np.float64)
        # numbers without meaning must not decide on a unit
        values[name] = stacked if name == TIMESTAMP else np.where(np.abs(stacked) < 1e9, stacked, np.nan)
    numbers = np.array([part.entry.episode for part in parts], np.int64)
    taken = Sample(values, np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64), numbers)
    rows = taken.spans()
    turned = {name: each if name == TIMESTAMP else unwrapped_columns(each, rows) for name, each in values.items()}
    return replace(taken, values=turned)


def _alike(found: Sequence[Recorded]) -> list[str]:
    """Features that at least half of some episodes have; those that lack one tell nothing of the set."""
    counts = Counter(name for each in found for name, values in each.features.items() if len(values))
    return [name for name, count in counts.items() if 2 * count >= len(found) and name != FRAME]


def _of_usual_widths(found: Sequence[Recorded], alike: Sequence[str]) -> list[Recorded]:
    """Episodes that have all these features, in the widths that most have: what one lacks or has more is its own."""
    whole = [each for each in found if alike and all(name in each.features for name in alike)]
    widths = [tuple(each.features[name].shape[1] for name in alike) for each in whole]
    usual = Counter(widths).most_common(1)
    return [each for each, own in zip(whole, widths, strict=True) if own == usual[0][0]]
