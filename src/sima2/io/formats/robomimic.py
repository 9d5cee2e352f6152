"""robomimic's HDF5, and what is made in its layout: robosuite, MimicGen, LIBERO, robocasa.

A file holds ``data/demo_N`` with ``actions``, ``obs/<key>``, ``rewards``, and attributes that tell the environment.
Source: the documentation and code of robomimic; that of LIBERO for its names of observations.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sima2.errors import DatasetError
from sima2.io.column_map import ColumnMap, Columns, parse_column_map
from sima2.io.documents import inside, parse_json, reason
from sima2.io.formats.frame_source import Declared, Entry, Feature
from sima2.io.formats.hdf5 import Asked, Look, look_into, names_in, texts_in
from sima2.io.formats.hdf5_frames import (
    MOST_EPISODES,
    Hdf5Frames,
    features_of,
    in_words,
    rate_warning,
)
from sima2.io.formats.marks import listed, located
from sima2.io.intake import clean
from sima2.io.outcomes import Ending

NAME: Final = "robomimic"
PATTERNS: Final = ("*.hdf5", "*.h5")
USUAL_HZ: Final = 20.0
"""Control rate of robosuite's environments unless another is asked for."""
MAX_FPS: Final = 1e6
PER_QUESTION: Final = 2000
"""Episodes looked at with one question."""
_DEMO: Final = re.compile(r"demo_(\d{1,15})")
COLUMNS: Final = "sima2_columns"
"""Attribute of ``data`` in which this program tells what of a file that it wrote is which channel."""
SUCCESS: Final = "success"
"""Attribute of an episode, where its end is told (Isaac Lab writes it, too)."""
SOURCE_EPISODE: Final = "sima2_source_episode"
TIMES: Final = "timestamps"
"""Array of an episode whose frames are not at k / fps, in s."""
_OF_DATA: Final = ("env_args", "env", "env_info", "problem_info", COLUMNS)
_OF_DEMO: Final = ("num_samples", "ep_meta", SUCCESS)
_ASKED: Final = Asked(
    deep=2,
    length=("actions", "states"),
    attributes=_OF_DEMO,
    ends=("rewards",),
    skip=("next_obs", "model_file"),
)
_KEY: Final = re.compile(
    r"obs/(?:(?P<robot>robot\d+)_)?(?:(?P<side>left|right)_)?"
    r"(?P<what>eef_pos|eef_quat|base_to_eef_pos|base_to_eef_quat|joint_pos|joint_vel|gripper_qpos"
    r"|ee_pos|joint_states|gripper_states)"
)
_CHANNEL: Final[Mapping[str, tuple[str, str]]] = {
    "eef_pos": ("ee_position", "m"),
    "eef_quat": ("ee_orientation", "quat_xyzw"),
    "base_to_eef_pos": ("ee_position", "m"),
    "base_to_eef_quat": ("ee_orientation", "quat_xyzw"),
    "joint_pos": ("joint_position", "rad"),
    "joint_vel": ("joint_velocity", "rad/s"),
    "ee_pos": ("ee_position", "m"),
    "joint_states": ("joint_position", "rad"),
}
_WIDTH: Final = {"ee_position": 3, "ee_orientation": 4}
_FINGERS: Final = ("gripper_qpos", "gripper_states")
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "ee_position": ("x", "y", "z"),
    "ee_orientation": ("qx", "qy", "qz", "qw"),
}
_KEPT: Final = ("rewards", "dones", "states", TIMES)
"""Arrays that are no signals of a robot's."""
_PANDA: Final = ("panda", "pandaomron", "pandamobile", "mountedpanda", "onthegroundpanda")


def open_robomimic(path: Path) -> Hdf5Frames:
    """A file in robomimic's layout, or a folder of such files (LIBERO has one a task).

    Raises:
        DatasetError: if nothing of it can be read.
        MissingExtraError: if h5py is not installed.
    """
    root, files = located(path, *PATTERNS)
    if not files:
        raise DatasetError(path, "holds no file of HDF5")
    entries: list[Entry] = []
    groups: list[str] = []
    looks: list[Look] = []
    warnings: list[str] = []
    facts: list[_Facts] = []
    endings: dict[int, Ending] = {}
    first, failed = 0, list[DatasetError]()
    for name in files:
        try:
            file = inside(root, name)
            told = _Facts.of(file)
        except DatasetError as error:
            failed.append(error)
            continue
        facts.append(told)
        demos = told.demos
        rewards: dict[int, tuple[list[float], int]] = {}
        told_ends: dict[int, Ending] = {}
        for start in range(0, len(demos), PER_QUESTION):
            some = demos[start : start + PER_QUESTION]
            look = _looked(file, some)
            looks.append(look)
            for text, found in zip(some, look.episodes, strict=True):
                number = first + int(text)
                entries.append(_entry(number, found, name, told, len(groups)))
                groups.append(f"data/demo_{text}")
                if "ends" in found:
                    rewards[number] = found["ends"]
                if isinstance(said := found.get("at", {}).get(SUCCESS), bool | int) and said in (0, 1):
                    told_ends[number] = Ending(success=float(said), source="recorded")
        endings |= told_ends or _endings(rewards)
        warnings += told.warnings
        first += int(demos[-1]) + 1 if demos else 0
    if not entries:
        raise failed[0] if failed else DatasetError(path, "holds no episode: no demo_N in the group data")
    if len(entries) > MOST_EPISODES:
        raise DatasetError(path, f"holds more than {MOST_EPISODES} episodes")
    warnings += in_words(failed, "files cannot be read and are left out", root)
    if not any(name.startswith("obs/") for look in looks for name in look.shapes):
        raise DatasetError(
            path,
            "holds no observations, only states of the simulator and actions",
            "make them with robomimic's dataset_states_to_obs.py",
        )
    return _source(root, files, entries, groups, looks, facts, endings, warnings)


def _looked(file: Path, demos: Sequence[str]) -> Look:
    """What episodes hold; of one that brings the library down, that it does."""
    told = next(look_into([(file, [f"data/demo_{text}" for text in demos])], _ASKED))
    if not isinstance(told, DatasetError):
        return told
    if len(demos) == 1:
        return Look([{"error": str(told)}], [], {})
    half = len(demos) // 2
    first, rest = _looked(file, demos[:half]), _looked(file, demos[half:])
    return Look([*first.episodes, *rest.episodes], [], {**rest.shapes, **first.shapes})


def _source(
    root: Path,
    files: Sequence[str],
    entries: list[Entry],
    groups: list[str],
    looks: Sequence[Look],
    facts: Sequence[_Facts],
    endings: Mapping[int, Ending],
    warnings: list[str],
) -> Hdf5Frames:
    named = {name: _NAMES.get(_channel(name), ()) for look in looks for name in look.shapes}
    features, strange = features_of(looks, named)
    warnings += [clean(each) for each in in_words(strange, "arrays are not read")]
    robots = {each.robot for each in facts}
    robot = robots.pop() if len(robots) == 1 else "unknown"
    rates = {each.fps for each in facts}
    fps = rates.pop() if len(rates) == 1 else None
    if rates:
        warnings.append("its files state different rates: run each by itself")
    if fps is None:
        fps = USUAL_HZ
        warnings.append(rate_warning(NAME, fps))
    return Hdf5Frames(
        format=NAME,
        root=root,
        version="HDF5",
        robot=robot,
        fps=fps,
        features=features,
        entries=entries,
        groups=groups,
        files=files,
        declared=_declared(features, robot, [note for each in facts for note in each.notes]),
        endings=endings,
        warnings=tuple(warnings),
        bookkeeping=_KEPT,
        own_map=facts[0].own if len(facts) == 1 else None,
    )


def _entry(number: int, found: Mapping[str, Any], file: str, told: _Facts, row: int) -> Entry:
    at = found.get("at", {})
    length = at.get("num_samples", found.get("frames"))
    good = isinstance(length, int | float) and math.isfinite(length) and 0 <= length < 2**40
    return Entry(number, int(length) if good and length is not None else None, file, _task(at, told), row)


def _task(at: Mapping[str, Any], told: _Facts) -> str:
    """What an episode is about, in the words of the episode, else of the file."""
    try:
        said = parse_json(str(at.get("ep_meta", "{}")), "ep_meta")
    except DatasetError:
        said = {}
    words = said.get("lang") if isinstance(said, dict) else None
    return clean(words) if isinstance(words, str) and words.strip() else told.task


class _Facts:
    """What a file says of itself."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.fps: float | None = None
        self.robot, self.task = "unknown", ""
        self.own: ColumnMap | None = None
        self.demos: list[str] = []
        self.warnings: list[str] = []
        self.notes: list[str] = []

    @classmethod
    def of(cls, file: Path) -> _Facts:
        """Read its attributes, and the names of its episodes.

        Raises:
            DatasetError: if it cannot be opened.
        """
        told = cls(file)
        try:
            members, at = names_in(file, "data", _OF_DATA)
        except OSError as error:
            raise DatasetError(file, f"cannot be read: {reason(error)}") from None
        numbers = {match[1]: int(match[1]) for each in members if (match := _DEMO.fullmatch(each))}
        same = len(set(numbers.values())) < len(numbers)
        told.demos = sorted(numbers, key=lambda text: (numbers[text], text))
        if same:
            raise DatasetError(file, "two of its episodes have the same number")
        others = [each for each in members if each not in {f"demo_{text}" for text in told.demos}]
        told.warnings += [clean(each) for each in in_words(others, "members of data are no demo_N and are not read")]
        arguments = told._read("env_args", at)
        kwargs = arguments.get("env_kwargs")
        kwargs = kwargs if isinstance(kwargs, dict) else {}
        if not kwargs:
            kwargs = told._read("env_info", at)
        rate = kwargs.get("control_freq")
        if isinstance(rate, int | float) and not isinstance(rate, bool) and 0 < rate <= MAX_FPS:
            told.fps = float(rate)
        robots = kwargs.get("robots")
        robots = robots if isinstance(robots, list) else [robots]
        told.robot = clean(" ".join(dict.fromkeys(each for each in robots if isinstance(each, str)))) or "unknown"
        words = told._read("problem_info", at).get("language_instruction")
        name = next((each for each in (words, arguments.get("env_name"), at.get("env")) if isinstance(each, str)), "")
        told.task = clean(name.strip('"'))
        if isinstance(text := at.get(COLUMNS), str):
            told.own = parse_column_map(text, f"{file.name}: {COLUMNS}")
        keys = texts_in(file, ["mask"])
        if keys:
            sizes = [f"{clean(name)} ({len(names)})" for name, names in sorted(keys.items())]
            told.notes.append(f"filter keys of {clean(file.name)}: {listed(sizes, 20)}")
        return told

    def _read(self, name: str, at: Mapping[str, Any]) -> dict[str, Any]:
        text = at.get(name)
        if not isinstance(text, str) or not text.strip().startswith("{"):
            return {}
        try:
            value = parse_json(text, name)
        except DatasetError as error:
            self.warnings.append(clean(f"{self.file.name}: {error}"))
            return {}
        return value if isinstance(value, dict) else {}


def _endings(rewards: Mapping[int, tuple[list[float], int]]) -> dict[int, Ending]:
    """Successes of sparse rewards: 1 where the goal was reached.

    Of a file in which every episode has such a reward, or none, nothing is said: people keep only what went well, and
    whether rewards were recorded is not known. Nor is a dense reward a success.
    """
    told = {number: values for number, (values, count) in rewards.items() if count}
    sparse = all(rewards[number][1] <= 2 and min(values) >= 0.0 for number, values in told.items())
    reached = {number: max(values) > 0.0 for number, values in told.items()}
    if not sparse or len(set(reached.values())) < 2:
        return {}
    return {number: Ending(success=float(good), source="recorded") for number, good in reached.items()}


def _channel(name: str) -> str:
    match = _KEY.fullmatch(name)
    return "" if match is None else _CHANNEL.get(match["what"], ("", ""))[0]


def _declared(features: Mapping[str, Feature], robot: str, notes: list[str]) -> Declared:
    """Columns by robosuite's names."""
    found = {name: match for name in features if (match := _KEY.fullmatch(name))}
    hands = list(dict.fromkeys((match["robot"] or "", match["side"] or "") for match in found.values()))
    arms: dict[str, dict[str, Columns]] = {}
    grippers: dict[str, Columns] = {}
    for name, match in found.items():
        hand = (match["robot"] or "", match["side"] or "")
        arm = (
            "arm"
            if len(hands) == 1
            else hand[1]
            if len({each[0] for each in hands}) == 1
            else "_".join(hand).strip("_")
        )
        arm = arm or "arm"
        width = math.prod(features[name].shape)
        if match["what"] in _FINGERS:
            if width == 2 and robot.lower() in _PANDA:
                # two fingers, q and -q, each 0 to 0.04 m from the middle
                arms.setdefault(arm, {})["gripper_width"] = Columns(name, (0,), "m", scale=2.0)
                notes.append(f"{arm}.gripper_width: twice the first finger of {name}, as robosuite has its Panda")
            else:
                grippers[arm] = Columns(name, tuple(range(width)))
            continue
        channel, unit = _CHANNEL[match["what"]]
        if width == _WIDTH.get(channel, width):
            arms.setdefault(arm, {}).setdefault(channel, Columns(name, tuple(range(width)), unit))
            notes.append(f"{arm}.{channel}: {name} in {unit}, as robosuite defines it")
    return Declared(arms, grippers, "actions" if "actions" in features else "", tuple(notes))


def env_args(name: str, robot: str, fps: float) -> str:
    """What robomimic expects to know of an environment, as JSON.

    >>> env_args("Lift", "Panda", 20.0)
    '{"env_name": "Lift", "env_type": 1, "env_kwargs": {"robots": "Panda", "control_freq": 20.0}}'
    """
    return json.dumps({"env_name": name, "env_type": 1, "env_kwargs": {"robots": robot, "control_freq": fps}})
