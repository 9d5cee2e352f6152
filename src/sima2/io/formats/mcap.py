"""MCAP recordings: a folder of files or of rosbag2 bags, an episode each, or a single file.

Numbers of all topics that can be read are features: ``observation.<topic>.<field>``, of commands
``action.<topic>.<field>``, with the dots of a topic for its slashes. Frames are the messages of one topic; see
``mcap_clock`` for what of the others falls on them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError, RolloutError
from sima2.io.column_map import ColumnMap, load_column_map
from sima2.io.column_words import kind_of, tokens
from sima2.io.documents import inside, is_file, read_document
from sima2.io.formats.frame_source import (
    Declared,
    Entry,
    Feature,
    Features,
    FrameRows,
    Recorded,
    counted_rows,
)
from sima2.io.formats.lerobot_own import OwnEpisodes
from sima2.io.formats.mcap_clock import clock_of, on_frames
from sima2.io.formats.mcap_container import Channel, Sink, read_mcap, read_metadata
from sima2.io.formats.mcap_messages import MAX_HELD, SILENT, Decoded, Key, Room, TopicReader, unreadable
from sima2.io.formats.mcap_own import OWN_RECORD, first_of_each_kind, own_episodes, own_rows
from sima2.io.intake import MAX_FRAMES, clean
from sima2.io.outcomes import Ending
from sima2.io.sample import TIMESTAMP
from sima2.io.source_id import files_id

ENDING: Final = ".mcap"
BAG: Final = "metadata.yaml"
"""What rosbag2 writes beside the files of a bag."""
OWN_MAP: Final = "sima2_columns.toml"
"""Column map of a data set written by this program."""
OWN_CLOCK: Final = "/sima2/time"
"""Topic of such a data set that holds the time of each frame in s, exactly."""
DEEPEST: Final = 3
"""Folders within folders in which files are looked for."""
MAX_FILES: Final = 1_000_000
LOOK_FILES: Final = 8
"""Recordings, evenly spread, that are looked at for what there is."""
LOOK_KINDS: Final = 256
"""Recordings of this program's own that are looked at beside these, one for each set of channels."""
LOOK_BYTES: Final = 64 << 20
"""Bytes of each of these."""
LOOK_MESSAGES: Final = 2000
"""Messages of a topic that are looked at for its columns."""
MAX_TOPICS: Final = 200
TAIL: Final = 4096
"""Bytes of the end of a file that tell it from others, as its footer and statistics are there."""
COMMANDS: Final = frozenset(
    {"command", "commands", "cmd", "cmds", "target", "targets", "goal", "desired", "setpoint", "reference", "action"}
    | {"actions", "leader", "master", "gello"}
)
"""Words of a topic or a field that say that it was asked for and not measured."""
JOINTS: Final = ("position", "velocity", "effort")
EFFORT: Final = "torque"
"""What ``effort`` of sensor_msgs/JointState is: N·m of a joint that turns."""
TASK_KEYS: Final = ("task", "instruction", "language_instruction")
ROBOT_KEYS: Final = ("robot_type", "robot")
"""Keys of metadata records, and of ``custom_data`` of rosbag2, in which an episode's task and robot are looked for."""
SUCCESS_KEY: Final = "success"
_TRUTH: Final[Mapping[str, float]] = {"true": 1.0, "1": 1.0, "yes": 1.0, "false": 0.0, "0": 0.0, "no": 0.0}
_FILE: Final = re.compile(r"^  - ['\"]?([^'\"\n]+?)['\"]?\s*$", re.MULTILINE)
_CUSTOM: Final = re.compile(r"^  custom_data:[^\n]*\n((?:    [^\n]*\n?)+)", re.MULTILINE)
_PAIR: Final = re.compile(r"^    ['\"]?([\w./-]+)['\"]?: ['\"]?(.*?)['\"]?\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Bag:
    """One recording: its files in order, and what is said of it."""

    files: tuple[str, ...]
    """Relative to the data set."""
    about: Mapping[str, str]
    """Metadata records of all files in one."""
    own: str = ""
    """What ``sima2 generate`` wrote of it, JSON."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic whose numbers are features."""

    name: str
    columns: Mapping[Key, int]
    features: Mapping[str, tuple[int, ...]]
    """Columns of each feature."""
    joints: bool
    """Whether it holds the state of joints."""


@dataclass(frozen=True, eq=False)
class McapFrames:
    """MCAP recordings as a source of frames."""

    folder: Path
    bags: Mapping[int, Bag]
    """By the number of the episode."""
    entries: Sequence[Entry]
    topics: Sequence[Topic]
    clock: Topic
    """The topic whose messages are the frames."""
    features: Mapping[str, Feature]
    profile: str
    robot: str
    warnings: tuple[str, ...]
    own: OwnEpisodes | None = None
    rate: float | None = None
    """Hz at which frames are taken, where somebody gives it: not every message of ``clock`` is one then."""
    most: int = field(default=MAX_FRAMES)

    @classmethod
    def open(cls, path: Path) -> McapFrames:
        """Look at what there is: every file's metadata, and the messages of some.

        Raises:
            DatasetError: if there is no recording, or none of those looked at holds numbers that can be read.
            MissingExtraError: if the files are packed and the libraries that unpack them are not installed.
        """
        folder = path if path.is_dir() else path.parent
        warnings: list[str] = []
        found = _recordings(path, folder)
        numbers = _numbers([name for name, _ in found], warnings)
        bags = {number: _bag(folder, files) for number, (_, files) in zip(numbers, found, strict=True)}
        bags = dict(sorted(bags.items()))
        rows = own_rows([bag.own for bag in bags.values()])
        kinds = first_of_each_kind(rows or [])[:LOOK_KINDS]
        seen = _look(folder, list(bags.values()), kinds)
        topics = _topics(seen.readers, warnings)
        if not topics:
            there = f"there are {', '.join(seen.there[:10])}" if seen.there else "there are no messages"
            told = clean("; ".join([*seen.refused, *seen.broken][:5]) or there)
            raise DatasetError(path, "no topic of these recordings holds numbers that can be read", told)
        features = {
            name: Feature("float64", (len(columns),), _labels(topic, columns))
            for topic in topics
            for name, columns in topic.features.items()
        }
        features[TIMESTAMP] = Feature("float64", (1,), ())
        entries = [
            Entry(number, None, bag.files[0], _said(bag.about, TASK_KEYS), row)
            for row, (number, bag) in enumerate(bags.items())
        ]
        robot = next((said for bag in bags.values() if (said := _said(bag.about, ROBOT_KEYS))), "unknown")
        warnings += seen.refused
        own = None if rows is None else own_episodes(rows, entries)
        whole = own is not None and path.is_dir() and is_file(folder / OWN_MAP)
        notes = tuple(dict.fromkeys(map(clean, warnings)))
        clock = _clock(topics, seen.readers)
        return cls(folder, bags, entries, topics, clock, features, seen.profile, robot, notes, own if whole else None)

    @property
    def format(self) -> str:
        """``mcap``."""
        return "mcap"

    @property
    def version(self) -> str:
        """Profile of the files, such as ``ros2``."""
        return clean(self.profile) or "0"

    @property
    def root(self) -> Path:
        """Folder of the data set."""
        return self.folder

    @property
    def fps(self) -> float | None:
        """As given; a recording declares no rate, its messages have times."""
        return self.rate

    def at_rate(self, fps: float) -> McapFrames:
        """Frames at an even rate in Hz, beginning with the first message of ``clock``."""
        return replace(self, rate=fps)

    @property
    def declared(self) -> Declared | None:
        """None: names of topics and joints are guessed from."""
        return None

    @property
    def tells_outcomes(self) -> bool:
        """Whether any metadata say so."""
        return self.own is not None or any(SUCCESS_KEY in bag.about for bag in self.bags.values())

    @cached_property
    def source_id(self) -> str:
        """Of every file's name, size and end."""
        return files_id(self.folder, [name for bag in self.bags.values() for name in bag.files])

    @property
    def own_map(self) -> ColumnMap | None:
        """Of a data set that ``sima2 generate`` wrote."""
        return None if self.own is None else load_column_map(inside(self.folder, OWN_MAP))

    def plain(self) -> McapFrames:
        """As a data set of another program."""
        return replace(self, own=None)

    @property
    def bookkeeping(self) -> Collection[str]:
        """Times of the frames."""
        return (TIMESTAMP,)

    @property
    def outcome_features(self) -> Sequence[str]:
        """None: how an episode ended is said in its metadata."""
        return ()

    def frame_rows(self) -> FrameRows:
        """By counting: messages have times and no numbers. Every recording is read for it."""
        lengths = (
            each.entry._replace(length=len(each.features[TIMESTAMP]) if each.trouble is None else None)
            for each in self.read(self.entries, [])
        )
        return counted_rows(list(lengths))

    def name(self, entry: Entry) -> str:
        """The id given when it was written, else the source's id and its number."""
        return f"{self.source_id}-{entry.episode:06d}" if self.own is None else self.own.name(entry)

    @property
    def restores(self) -> bool:
        """Whether ``sima2 generate`` wrote it."""
        return self.own is not None

    def restore(self, entry: Entry, values: dict[str, Any]) -> dict[str, Any]:
        """What ``sima2 generate`` wrote, as it was."""
        return values if self.own is None else self.own.restore(entry, values)

    def ending(self, entry: Entry, features: Features) -> Ending:
        """By ``success`` of the metadata."""
        if self.own is not None:
            return self.own.ending(entry)
        said = _TRUTH.get(self.bags[entry.episode].about.get(SUCCESS_KEY, "").strip().lower(), math.nan)
        return Ending() if math.isnan(said) else Ending(said, math.nan, math.nan, False, "recorded")

    def read(self, entries: Sequence[Entry], features: Sequence[str]) -> Iterator[Recorded]:
        """Frames recording by recording; topics that hold none of the features are not decoded."""
        wanted = [topic for topic in self.topics if set(topic.features) & set(features) or topic is self.clock]
        for entry in entries:
            try:
                yield self._read(entry, wanted, set(features))
            except DatasetError as error:
                problem = str(error).removeprefix(f"{self.root}/").removeprefix(f"{self.root.resolve()}/")
                yield Recorded(entry, {}, RolloutError(self.name(entry), "data", problem, reason="unreadable"))
            except RolloutError as error:
                yield Recorded(entry, {}, error.with_traceback(None))

    def _read(self, entry: Entry, wanted: Sequence[Topic], features: set[str]) -> Recorded:
        readers: dict[str, TopicReader] = {}
        room = Room()
        known = {topic.name: topic for topic in wanted}

        def sink_of(channel: Channel) -> Sink | None:
            topic = known.get(channel.topic)
            if topic is None or unreadable(channel):
                return None
            last = readers.get(channel.topic)
            if last is None or last.channel != channel:
                before = () if last is None else (*last.before, last)
                readers[channel.topic] = TopicReader(channel, topic.columns, self.most, before, room)
            return readers[channel.topic].take

        notes: list[str] = []
        for name in self.bags[entry.episode].files:
            notes += read_mcap(inside(self.folder, name), sink_of).notes
        rows = {name: reader.done() for name, reader in readers.items()}
        for reader in readers.values():
            notes += reader.notes
        if room.numbers < 0:
            problem = f"holds more than {MAX_HELD} numbers: cut it, or leave out topics by a map"
            raise RolloutError(self.name(entry), "data", problem, reason="too_long")
        if self.clock.name not in rows or not len(rows[self.clock.name].log):
            problem = f"there is no message of {self.clock.name}, which the frames are"
            raise RolloutError(self.name(entry), "data", clean(problem), reason="empty")
        return self._recorded(entry, rows, known, features, notes)

    def _recorded(
        self,
        entry: Entry,
        rows: Mapping[str, Decoded],
        known: Mapping[str, Topic],
        features: set[str],
        notes: list[str],
    ) -> Recorded:
        base = rows[self.clock.name]
        taken = base.pattern == _fullest(base)
        clock = clock_of(self.clock.name, base, taken)
        notes += clock.notes
        if self.rate is not None:
            clock = clock.at(self.rate, self.most + 1)
        if len(clock.frames) > self.most:
            problem = f"has more than {self.most} frames"
            raise RolloutError(self.name(entry), "time", problem, reason="too_long", end_frame=self.most)
        out: dict[str, NDArray[Any]] = {}
        for name, decoded in rows.items():
            mine = {each: list(columns) for each, columns in known[name].features.items() if each in features}
            if not mine or not len(decoded.log):
                continue
            if name == self.clock.name:
                times = decoded.stamp if clock.stamped else decoded.log
            else:
                times, odd = clock.of(decoded)
                notes += [f"{name}: {odd}"] if odd else []
            values = on_frames(decoded, times, clock.frames, may_wait=not known[name].joints)
            out |= {each: values[:, columns] for each, columns in mine.items()}
        out[TIMESTAMP] = ((clock.frames - clock.frames[0]) / 1e9)[:, None]
        ordered = {name: out[name] for name in self.features if name in out}
        return Recorded(entry, ordered, None, tuple(dict.fromkeys(map(clean, notes))))


def _fullest(rows: Decoded) -> int:
    """The kind of message of a topic whose coming is a frame: of all that name the most columns, the most frequent."""
    counts = np.bincount(rows.pattern, minlength=len(rows.patterns))
    return max(range(len(rows.patterns)), key=lambda k: (len(rows.patterns[k]) if counts[k] else -1, counts[k], -k))


@dataclass(slots=True)
class _Seen:
    readers: dict[str, list[TopicReader]]
    refused: list[str]
    """Topics that cannot be read, with why."""
    broken: list[str]
    """What is wrong with files."""
    there: list[str]
    """Topics, read or not."""
    profile: str = ""


def _look(folder: Path, bags: Sequence[Bag], kinds: Sequence[int]) -> _Seen:
    """Messages of some recordings, evenly spread, and of those at the places ``kinds``: the same in every run."""
    most = min(LOOK_FILES, len(bags))
    places = sorted({round(k * (len(bags) - 1) / max(most - 1, 1)) for k in range(most)} | set(kinds))
    seen = _Seen({}, [], [], [])
    for place in places:
        here: list[TopicReader] = []

        def sink_of(channel: Channel, here: list[TopicReader] = here) -> Sink | None:
            problem = unreadable(channel)
            seen.there.append(channel.topic[:200])
            if problem:
                if problem != SILENT:
                    seen.refused.append(f"{channel.topic[:200]}: {problem}")
                return None
            if len(here) >= MAX_TOPICS:
                return None
            here.append(TopicReader(channel, None, LOOK_MESSAGES))
            return here[-1].take

        for name in bags[place].files[:1]:
            try:
                told = read_mcap(inside(folder, name), sink_of, most=LOOK_BYTES)
            except DatasetError as error:
                seen.broken.append(str(error).removeprefix(f"{folder}/").removeprefix(f"{folder.resolve()}/"))
                continue
            seen.profile = seen.profile or told.profile
        for reader in here:
            reader.decode()
            seen.readers.setdefault(reader.channel.topic, []).append(reader)
    seen.refused, seen.there = list(dict.fromkeys(seen.refused)), list(dict.fromkeys(seen.there))
    return seen


def _topics(readers: Mapping[str, Sequence[TopicReader]], warnings: list[str]) -> list[Topic]:
    """Topics with the columns that any of the recordings looked at has, those of joints first."""
    found = []
    for name in sorted(readers):
        keys = list(dict.fromkeys(key for reader in readers[name] for key in reader.found))
        if any(reader.permuted for reader in readers[name]) or len({tuple(each.found) for each in readers[name]}) > 1:
            # no order is the recording's own: that of the names is the same in every run
            fields = list(dict.fromkeys(key.field for key in keys))
            keys.sort(key=lambda key: (fields.index(key.field), _natural(key.label)))
        columns = {key: place for place, key in enumerate(keys)}
        if columns:
            schema = readers[name][0].channel.schema
            features, joints = features_of(name, "" if schema is None else schema.name, columns)
            found.append(Topic(name, columns, features, joints))
        elif any(reader.notes for reader in readers[name]):
            warnings += [note for reader in readers[name] for note in reader.notes[:1]]
    taken: set[str] = set()
    out = []
    for topic in sorted(found, key=lambda each: (not each.joints, each.name)):
        named: dict[str, tuple[int, ...]] = {}
        for name, places in topic.features.items():
            number = 2
            free = name
            while free in taken:
                free, number = f"{name}~{number}", number + 1
            taken.add(free)
            named[free] = places
        out.append(Topic(topic.name, topic.columns, named, topic.joints))
    return out


def features_of(topic: str, schema: str, columns: Mapping[Key, int]) -> tuple[dict[str, tuple[int, ...]], bool]:
    """Features of a topic with their columns, and whether they are the measured state of joints.

    Args:
        topic: its name.
        schema: name of its messages.
        columns: place of each.

    >>> features_of("/left/joint_states", "JointState", {Key("position", "j1"): 0, Key("effort", "finger"): 1})[0]
    {'observation.left.joint_states.position': (0,), 'observation.left.joint_states.gripper_torque': (1,)}
    """
    dotted = clean(topic).strip("/").replace("/", ".") or "topic"
    fields: dict[str, list[Key]] = {}
    for key in columns:
        fields.setdefault(key.field, []).append(key)
    told = set(tokens(dotted))
    joints = schema.rpartition("/")[2].startswith("JointState") or {"position", "velocity"} <= set(fields)
    out: dict[str, tuple[int, ...]] = {}
    for name, keys in fields.items():
        asked = bool((told | set(tokens(name))) & COMMANDS)
        head = "action" if asked else "observation"
        if name in JOINTS and joints:
            for part, mine in _parts(keys).items():
                what = EFFORT if name == "effort" else name
                what = what if not part else part if name == "position" else f"{part}_{what}"
                out[f"{'body' if part == 'body' else head}.{dotted}.{what}"] = tuple(columns[key] for key in mine)
        else:
            out[f"{head}.{dotted}.{clean(name)}"] = tuple(columns[key] for key in keys)
    return out, joints and not told & COMMANDS


def _parts(keys: Sequence[Key]) -> dict[str, list[Key]]:
    """Joints of arms under the empty name, fingers as ``gripper``, and what else a robot turns as ``body``."""
    parts: dict[str, list[Key]] = {}
    for key in keys:
        kind = kind_of(tokens(key.label))
        part = "gripper" if kind in ("gripper", "finger") else "body" if kind in ("body", "ignored") else ""
        parts.setdefault(part, []).append(key)
    return parts if "" in parts or "gripper" in parts else {"": list(keys)}


def _clock(topics: Sequence[Topic], readers: Mapping[str, Sequence[TopicReader]]) -> Topic:
    """The fastest topic of joints; of any numbers where there is none."""
    own = next((topic for topic in topics if topic.name == OWN_CLOCK), None)
    if own is not None:
        return own
    joints = [topic for topic in topics if topic.joints] or list(topics)

    def rate(topic: Topic) -> tuple[float, int]:
        steps = [np.diff(np.sort(np.concatenate(each.log))) for each in readers[topic.name] if each.log]
        steps = [each[each > 0] for each in steps]
        every = np.concatenate(steps) if steps else np.zeros(0)
        usual = float(np.median(every)) if len(every) else math.inf
        return -usual, sum(each.count for each in readers[topic.name])

    # times of logging tremble: rates that are a tenth apart are one
    best = max(rate(topic)[0] for topic in joints)
    near = [topic for topic in joints if rate(topic)[0] >= 1.1 * best]
    return max(near, key=lambda topic: (len(topic.columns), rate(topic)[1], topic.name))


def _labels(topic: Topic, columns: Sequence[int]) -> tuple[str, ...]:
    """Names of columns; none where they are only numbered."""
    names = {place: key.label for key, place in topic.columns.items()}
    labels = [names[place] for place in columns]
    return () if all(label == str(k) for k, label in enumerate(labels)) else tuple(map(clean, labels))


def _recordings(path: Path, folder: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Names of the recordings, and the files of each in order."""
    if not path.is_dir():
        return [(path.stem, (path.name,))]
    files = [
        file.relative_to(folder).as_posix()
        for depth in range(DEEPEST)
        for file in folder.glob("*/" * depth + f"*{ENDING}")
    ]
    if not files:
        raise DatasetError(path, f"there is no file *{ENDING}")
    if len(files) > MAX_FILES:
        raise DatasetError(path, f"there are more than {MAX_FILES} files *{ENDING}")
    folders: dict[str, list[str]] = {}
    for name in files:
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    out = []
    for head, names in folders.items():
        at = f"{head}/" if head else ""
        if is_file(folder / f"{at}{BAG}"):
            out.append((head or folder.name, _bag_files(folder, at, names)))
        else:
            out += [(name.removesuffix(ENDING), (name,)) for name in names]
    return sorted(out, key=lambda each: _natural(each[0]))


def _bag_files(folder: Path, at: str, names: Sequence[str]) -> tuple[str, ...]:
    """Files of a bag in the order of its index; in that of their names where it does not tell."""
    try:
        text = read_document(folder, f"{at}{BAG}", most=16 << 20)
    except DatasetError:
        text = ""
    start = text.find("relative_file_paths:")
    listed = [f"{at}{name.strip()}" for name in _FILE.findall(text[start:])] if start >= 0 else []
    known = [name for name in dict.fromkeys(listed) if name in names]
    return tuple(known or sorted(names, key=_natural))


def _natural(name: str) -> tuple[Any, ...]:
    """A key by which file 10 comes after file 9."""
    return tuple((1, int(part[:18]), "") if part.isdigit() else (0, 0, part) for part in re.split(r"([0-9]+)", name))


def _numbers(names: Sequence[str], warnings: list[str]) -> list[int]:
    """Numbers of episodes: those that end their names, where all differ; else their places."""
    ends = [re.search(r"([0-9]{1,9})$", name) for name in names]
    numbers = [int(end.group(1)) for end in ends if end is not None]
    if len(numbers) == len(names) == len(set(numbers)):
        return numbers
    if len(names) > 1:
        warnings.append(
            "names of the recordings do not end in numbers of their own: episodes are numbered in their order"
        )
    return list(range(len(names)))


def _bag(folder: Path, files: tuple[str, ...]) -> Bag:
    """What is said of a recording."""
    about: dict[str, str] = {}
    own = ""
    for name in files:
        try:
            records = read_metadata(inside(folder, name))
        except DatasetError:
            continue  # told when it is read
        for record, pairs in records:
            if record == OWN_RECORD:
                own = own or pairs.get("episode", "")
            about |= {key: value for key, value in pairs.items() if len(value) <= 4096}
    head = files[0].rpartition("/")[0]
    try:
        text = read_document(folder, f"{head}/{BAG}" if head else BAG, most=16 << 20)
    except DatasetError:
        text = ""
    custom = _CUSTOM.search(text)
    if custom is not None:
        about |= dict(_PAIR.findall(custom.group(1)))
    return Bag(files, about, own)


def _said(about: Mapping[str, str], keys: Sequence[str]) -> str:
    return next((clean(about[key]) for key in keys if about.get(key, "").strip()), "")
