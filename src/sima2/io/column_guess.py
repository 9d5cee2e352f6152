"""Guess a column map from the names of columns and a sample of frames.

What a guess rests on is said in a note; what of it decides the meaning of the data and may be wrong, in a warning.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from sima2.io.column_behaviour import STOP, gripper_places, unit_quaternions
from sima2.io.column_map import UNITS, ColumnMap, Columns
from sima2.io.column_units import TURN, Unit, extent, joint_units, speed_unit
from sima2.io.column_words import (
    AXES,
    SIDES,
    STRANGER,
    TURNS,
    UNKNOWN,
    kind_of,
    names_a_part,
    quaternion_axis,
    says_nothing,
    side_of,
    slides,
    tokens,
    unit_of,
)
from sima2.io.command_lag import Commands
from sima2.io.gripper_ends import Blocked, Opening, blocked, is_bit, moves, open_end
from sima2.io.robots import robot_rows
from sima2.io.sample import Sample as Sample
from sima2.records.arrays import Bools, Float64s
from sima2.records.rollout import SOLE_ARM

STATE_FEATURES: Final = (
    "observation.state",
    "observation.states",
    "state",
    "states",
    "observation.qpos",
    "qpos",
    "observations/qpos",
)
ACTION_FEATURES: Final = ("action", "actions")
SEPARATE_FEATURES: Final[Mapping[str, str]] = {
    "observation.joint_position": "joint_position",
    "observation.joint_positions": "joint_position",
    "observation.state.joint_position": "joint_position",
    "observation.velocity": "joint_velocity",
    "observation.joint_velocity": "joint_velocity",
    "observation.qvel": "joint_velocity",
    "observation.torque": "joint_torque",
    "observation.joint_torque": "joint_torque",
    "observation.ee_position": "ee_position",
    "observation.eef_position": "ee_position",
    "observation.eef_pos": "ee_position",
    "observation.tcp_position": "ee_position",
    "observation.gripper_position": "gripper",
    "observation.gripper": "gripper",
    "observation.state.gripper_position": "gripper",
    "observation.gripper_width": "gripper_width",
}
"""Names in use for a channel that has a feature of its own, read only where the state does not hold it."""

REACH_M: Final = 5.0
"""No arm reaches farther from its base, in m; a larger position is in another unit."""
REACH_CM: Final = 150.0
"""An arm's reach in cm; a larger position is in mm."""
USED_SHARE: Final = 0.25
"""Least part of a nominal 0–1 range that must be used for values within it to be taken as shares of it."""
MOVING_SHARE: Final = 0.2
"""A finger whose range is below this share of the widest one's says nothing about the opening."""
FEWEST_JOINTS: Final = 3
"""Columns whose names are not understood may be joints if there are so many, and none whose name is."""
PERCENT: Final = 101.0
"""A share of the range from -100 to 100 is not larger, but for rounding."""

_PARTS: Final = ("observation.state.", "observation.states.", "state.", "states.")
"""How the names of features begin that hold a part of the state each."""
_SO100: Final = frozenset({"shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll"})
_NOT_CLOSING: Final = frozenset({"rotation", "rot", "abduction", "spread", "yaw", "side"})
_OF_ARMS: Final = frozenset({"joint_position", "joint_velocity", "joint_torque", "finger", "gripper", "ee_position"})


@dataclass(slots=True)
class _Guess:
    sample: Sample
    robot: str
    commands: Commands | None = None
    fps: float = 0.0
    joints: dict[str, dict[int, str]] = field(default_factory=dict)
    """Unit of each joint of a feature, decided of all of them together, …"""
    told: dict[str, Unit] = field(default_factory=dict)
    """… and what that rests on."""
    halves: bool = False
    """Features hold the left arm in their first half and the right arm in the other."""
    arms: dict[str, dict[str, Columns]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, arm: str, channel: str, columns: Columns) -> None:
        self.arms.setdefault(arm, {}).setdefault(channel, columns)

    def warn(self, text: str, confidence: float, edit: str) -> None:
        """Say what decides the meaning of the data, how sure it is, and what to edit in the map."""
        told = text if len(text) < 400 else text[:400] + " …"
        self.warnings.append(f"{told} (confidence {confidence:.2g}; to change it, edit {edit} in column_map.toml)")

    @property
    def has_gripper(self) -> bool:
        """Whether any arm has one."""
        return any({"gripper_opening", "gripper_width"} & set(arm) for arm in self.arms.values())


def is_state(feature: str) -> bool:
    """Whether a feature may hold a part of the robot's state."""
    return feature in STATE_FEATURES or bool(_channel(feature)) or feature.startswith(_PARTS)


def action_of(features: Iterable[str]) -> str | None:
    """The feature that holds the commands; None where there is none."""
    given = list(features)
    whole = next((name for name in ACTION_FEATURES if name in given), None)
    parts = [name for name in given if name.startswith(("action.", "actions.", "observation.actions"))]
    joints = [name for name in parts if "joint" in name]
    return whole or next(iter([*joints, *parts]), None)


def guess(
    names: Mapping[str, Sequence[str]],
    sample: Sample,
    *,
    robot: str = "",
    commands: Commands | None = None,
    fps: float | None = None,
    declared: Known | None = None,
) -> ColumnMap:
    """A column map from names, with units and grippers from the values.

    Args:
        names: numeric features with the names of their columns, empty where they have none.
        sample: frames of them.
        robot: the robot's type as the data set states it.
        commands: how columns follow their commands, which tells the closing end of a gripper; none where not known.
        fps: Hz, where known: it tells the unit of velocities.
        declared: what the format itself says of columns; it comes first.

    Source: the naming habits of published LeRobot sets (Unitree, SO-100/101, ALOHA, DROID, Bridge).
    """
    made = _Guess(sample, robot, commands, fps or 0.0)
    if declared is not None:
        _read_declared(made, declared, names)
    state = next((name for name in STATE_FEATURES if name in names), None)
    if state is not None and not made.arms:
        _read_state(made, state, names[state])
    made.halves = _in_halves(names, sample)
    if made.halves:
        text = "of joints and grippers without names the first half is taken as the left arm, the other as the right"
        made.warn(text, 0.7, "[arms.left…] and [arms.right…]")
    for feature in names if declared is None or not made.arms else ():
        channel = _channel(feature) if feature not in STATE_FEATURES else ""
        kinds = {kind_of(tokens(name)) for name in names[feature]}
        more = kinds & {"gripper", "finger", "ee_position", "rpy", "quat"}
        if (channel.startswith("joint") and more) or (not channel and feature.startswith(_PARTS) and names[feature]):
            _read_state(made, feature, names[feature])
        elif channel:
            _read_separate(made, feature, channel, names[feature])
    action = declared.action if declared is not None and declared.action else action_of(names)
    scene = {} if action is None else {"action": Columns(action)}
    if made.arms and not made.has_gripper:
        _without_gripper(made, state or "the state", action, names.get(action or "", ()))
    if not made.arms:
        made.notes.append(f"no state was recognised among {', '.join(names) or 'no numeric features'}")
        unread = f"no column of {', '.join(names) or 'any feature'} was recognised as a joint, a gripper or a pose"
        made.warn(unread, 0.5, "[arms.arm.joint_position]")
    return ColumnMap(
        arms=_in_order(made.arms), scene=scene, notes=tuple(made.notes), warnings=tuple(dict.fromkeys(made.warnings))
    )


class Known(Protocol):
    """What a format itself says of columns (``frame_source.Declared``)."""

    @property
    def arms(self) -> Mapping[str, Mapping[str, Columns]]:
        """By arm and channel."""
        ...

    @property
    def grippers(self) -> Mapping[str, Columns]:
        """By arm, columns of which values tell which end is open."""
        ...

    @property
    def action(self) -> str:
        """Feature that holds the commands, or empty."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What it rests on."""
        ...


def _read_declared(made: _Guess, declared: Known, names: Mapping[str, Sequence[str]]) -> None:
    """Columns that the format defines, and grippers of which it says where they are."""
    for arm, channels in declared.arms.items():
        for channel, columns in channels.items():
            if columns.feature in names and _reaches(made.sample, columns):
                made.add(arm, channel, columns)
    made.notes += declared.notes
    for arm, columns in declared.grippers.items():
        values = made.sample.values.get(columns.feature)
        if values is None or not _reaches(made.sample, columns):
            continue
        words: list[tuple[str, ...]] = [tokens(name) for name in names[columns.feature][: values.shape[1]]]
        words += [()] * (values.shape[1] - len(words))
        _add_gripper(made, _Gripper(arm, columns.feature, words, columns.index or range(values.shape[1])))


def _reaches(sample: Sample, columns: Columns) -> bool:
    """Whether a feature, where it was sampled, is as wide as the format says."""
    values = sample.values.get(columns.feature)
    return values is None or max(columns.index or (0,)) < values.shape[1]


def _in_halves(names: Mapping[str, Sequence[str]], sample: Sample) -> bool:
    """Whether features without names hold two arms side by side: twice as many joints, and two grippers."""
    widths: dict[str, int] = {}
    for feature, columns in names.items():
        values = sample.values.get(feature)
        if values is not None and feature not in STATE_FEATURES and not any(side_of(tokens(name)) for name in columns):
            widths.setdefault(_channel(feature), values.shape[1])
    return widths.get("gripper") == 2 and widths.get("joint_position", 1) in (12, 14)


def _channel(feature: str) -> str:
    """What a feature of its own holds, by its name; empty where it holds no part of the state.

    >>> [_channel(f"observation.{name}") for name in ("right_arm.joint_pos", "gripper_state", "images.top", "eef_pose")]
    ['joint_position', 'gripper', '', 'ee_pose']
    """
    if feature in SEPARATE_FEATURES:
        return SEPARATE_FEATURES[feature]
    words = [word for word in tokens(feature) if word not in ("observation", "observations", "obs", "state", "states")]
    if not feature.startswith("obs") or not words or set(words) & {"image", "images", "depth", "environment", "env"}:
        return ""
    have = set(words)
    kind = kind_of(words)
    if kind == STRANGER or kind == "body":
        return ""
    if kind == "gripper":
        return "gripper_width" if "width" in have else "gripper"
    if have & {"ee", "eef", "tcp", "cartesian", "endpose"} and have & {"pose", "position", "pos", "cartesian"}:
        return "ee_pose"
    if kind in ("joint_velocity", "joint_torque"):
        return kind if have & {"joint", "joints", "qvel", "arm"} else ""
    return "joint_position" if have & {"joint", "joints", "qpos", "arm"} and kind == "joint_position" else ""


def _read_state(made: _Guess, feature: str, names: Sequence[str]) -> None:
    values = made.sample.values.get(feature)
    width = values.shape[1] if values is not None else len(names)
    words: list[tuple[str, ...]] = [tokens(name) for name in names[:width]]
    words += [()] * (width - len(words))
    if any("rw" in each for each in words):  # an orientation r w, r x, … and no turns about x, y, z
        words = [
            tuple({"rw": "qw", "rx": "qx", "ry": "qy", "rz": "qz"}.get(word, word) for word in each) for each in words
        ]
    kinds = [kind_of(each) if each else UNKNOWN for each in words]
    if all(says_nothing(each) for each in words) and not {"left", "right"} <= set(map(side_of, words)):
        _read_unnamed(made, feature, words, named=any(set(each) & {"joint", "j", "q"} for each in words))
        return
    if not {"joint_position", "finger", "gripper", "ee_position", "joint_velocity"} & set(kinds):
        places = [place for place, kind in enumerate(kinds) if kind == UNKNOWN]
        if len(places) >= FEWEST_JOINTS and values is not None:
            _read_unnamed(made, feature, words, places=places)
            return
    if values is not None:
        kinds = _by_behaviour(made, feature, values, words, kinds)
    sides = [side_of(each) for each in words]
    split = _two_arms(sides, kinds)
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, (side, kind) in enumerate(zip(sides, kinds, strict=True)):
        # of a robot with two arms, what has no side is its body; the waist of a single arm is a joint of it
        belongs = not split or bool(side)
        groups[side if split else ""]["joint_position" if kind == "torso" and belongs else kind].append(place)
    arms = {"left": "left", "right": "right"} if split else {"": SOLE_ARM}
    so100 = {
        "_".join(word for word in each if word not in ("pos", "main") and word not in SIDES) for each in words
    } >= _SO100
    mechanisms = _mechanisms(words, groups)
    places = sorted(place for found in groups.values() for place in found["joint_position"])
    if values is not None and places:
        _decide_units(made, feature, places, words)
    for side, arm in arms.items():
        found = groups[side]
        for channel in ("joint_position", "joint_velocity", "joint_torque"):
            if found[channel]:
                _add_joints(made, arm, channel, feature, found[channel], words, so100=so100)
        _add_pose(made, arm, feature, words, found)
        fingers = found["finger"] or found["gripper"]
        if fingers:
            _add_gripper(made, _Gripper(arm, feature, words, fingers, mechanisms, percent=so100))


def _two_arms(sides: Sequence[str], kinds: Sequence[str]) -> bool:
    """Whether the columns are of two arms; a left and a right finger are of one, where nothing else has a side."""
    sided: dict[bool, set[str]] = {True: set(), False: set()}
    for side, kind in zip(sides, kinds, strict=True):
        if kind in _OF_ARMS:
            sided[kind in ("finger", "gripper")].add(side)
    moved = sided[False] or sided[True]
    return {"left", "right"} <= moved


def _odd_ones(words: Sequence[Sequence[str]], kinds: Sequence[str]) -> list[int]:
    """Joints outside of the series of most (joint_1, joint_2, …) that are not named after a part of an arm either."""
    stems = [tuple(word for word in each if not word.isdigit() and word not in SIDES) for each in words]
    joints = [place for place, kind in enumerate(kinds) if kind == "joint_position"]
    series = Counter(stems[place] for place in joints).most_common(1)
    if not series or series[0][1] < FEWEST_JOINTS:
        return []
    return [place for place in joints if stems[place] != series[0][0] and not names_a_part(words[place])]


def _by_behaviour(
    made: _Guess, feature: str, values: Float64s, words: Sequence[tuple[str, ...]], kinds: list[str]
) -> list[str]:
    """The kinds, with what behaves like a gripper or an orientation though no name says so."""
    kinds = list(kinds)
    unknown = [place for place, kind in enumerate(kinds) if kind == UNKNOWN]
    sided = {side_of(each) for each in words} >= {"left", "right"}
    if "quat" not in kinds and not sided:
        for group in unit_quaternions(values, unknown)[:1]:
            for place in group:
                kinds[place] = "norm"
            made.add(SOLE_ARM, "ee_orientation", Columns(feature, group, "quat_xyzw"))
            told = f"columns {group[0]} to {group[-1]} of {feature} have norm 1 and are taken as an orientation x y z w"
            made.warn(told, 0.7, "[arms.arm.ee_orientation]")
    if not {"gripper", "finger"} & set(kinds):
        odd = _odd_ones(words, kinds)
        asked = [
            place
            for place, each in enumerate(words)
            if kinds[place] == UNKNOWN or place in odd or (kinds[place] == "joint_position" and says_nothing(each))
        ]
        likely = gripper_places(values, asked, made.sample, _sent(made, values))
        for place in _one_a_side(likely, words):
            kinds[place] = "gripper"
            made.warn(
                f"column {place} of {feature} ({' '.join(words[place])}) rests at two levels with quick moves between "
                "them, unlike the others, and is taken as a gripper",
                0.8,
                f"index = [{place}] of the gripper",
            )
    return kinds


def _sent(made: _Guess, values: Float64s) -> Float64s | None:
    """The commands of a state's columns, where the action has as many."""
    sent = None if made.commands is None else made.sample.values.get(made.commands.action)
    return sent if sent is not None and sent.shape == values.shape else None


def _one_a_side(places: Sequence[int], words: Sequence[Sequence[str]]) -> list[int]:
    """The first of each side's."""
    first: dict[str, int] = {}
    for place in places:
        first.setdefault(side_of(words[place]), place)
    return list(first.values())


def _read_unnamed(
    made: _Guess,
    feature: str,
    words: Sequence[tuple[str, ...]],
    *,
    places: Sequence[int] | None = None,
    named: bool = False,
) -> None:
    """A state whose columns have no names that say anything: by the robot's layout, else by what they do."""
    values = made.sample.values.get(feature)
    width = len(words) if values is None else values.shape[1]
    picked = list(range(width)) if places is None else list(places)
    if len(picked) < FEWEST_JOINTS:
        made.notes.append(f"{feature}: {len(picked)} columns without names are no arm: not used")
        return
    if named:
        what = "numbers its columns"
    else:
        what = "names its columns in words not understood" if any(words) else "names no columns"
    row = next((row for row in robot_rows(made.robot) if row.arms and sum(map(sum, row.arms)) == len(picked)), None)
    grippers: list[int] = []
    confidence, why = 0.8, "rest at two levels with quick moves between them"
    if row is not None:
        at = 0
        for joints, fingers in row.arms:
            grippers += picked[at + joints : at + joints + fingers]
            at += joints + fingers
        arms, confidence, why = len(row.arms), 0.9, f"are where {row.words[0]} has its grippers"
    elif values is not None:
        for group in unit_quaternions(values, picked):
            picked = [place for place in picked if place not in group]
        likely = gripper_places(values, picked, made.sample, _sent(made, values))
        half = len(picked) // 2
        pairs = [[place, place + half] for place in likely if place + half in likely and len(picked) == 2 * half]
        arms = 2 if pairs and half >= FEWEST_JOINTS else 1
        grippers = pairs[0] if arms == 2 else likely[:1]
    else:
        arms = 1
    joints_of = [place for place in picked if place not in grippers]
    if not grippers:
        told = f"{feature} {what}: all {len(joints_of)} are taken as joints of one arm, none as a gripper"
        made.notes.append(told)
        if not named:
            made.warn(told, 0.6, "[arms.arm.joint_position]")
    else:
        told = (
            f"{feature} {what}: of {len(picked)}, {', '.join(map(str, grippers))} {why} and are taken as the "
            f"gripper{'s of two arms' if arms == 2 else ''}, the others as joints"
        )
        made.notes.append(told)
        made.warn(told, confidence, "index of [arms….gripper_opening] and [arms….joint_position]")
    middle = picked[len(picked) // 2] if picked else 0
    for arm in ("left", "right") if arms == 2 else (SOLE_ARM,):
        mine = [place for place in joints_of if arms == 1 or (place < middle) == (arm == "left")]
        ends = [place for place in grippers if arms == 1 or (place < middle) == (arm == "left")]
        _add_joints(made, arm, "joint_position", feature, mine, words, so100=False)
        if ends:
            _add_gripper(made, _Gripper(arm, feature, words, ends))


def _without_gripper(made: _Guess, state: str, action: str | None, names: Sequence[str]) -> None:
    """No column of the state is a gripper: its command may tell when it was to close; else that is said."""
    values = made.sample.values.get(action or "")
    if action is not None and values is not None and len(made.arms) == 1:
        words: list[tuple[str, ...]] = [tokens(name) for name in names[: values.shape[1]]]
        words += [()] * (values.shape[1] - len(words))
        called = [place for place, each in enumerate(words) if each and kind_of(each) == "gripper"]
        last = [values.shape[1] - 1] if not any(words) else []
        found = called or gripper_places(values, last, made.sample)
        arm = next(iter(made.arms))
        if len(found) == 1:
            _add_gripper(made, _Gripper(arm, action, words, found, command=True))
        if made.has_gripper:
            told = f"{state} holds no gripper; column {found[0]} of {action} tells when it was told to close"
            made.warn(told + ", not whether anything was held", 0.8, f"[arms.{arm}.gripper_opening]")
            return
    made.warn(f"no gripper was found in {state}: grasp and release are not seen", 0.6, "[arms….gripper_opening]")


def _read_separate(made: _Guess, feature: str, channel: str, names: Sequence[str]) -> None:
    """A channel with a feature of its own: split by side where names tell, else of the sole arm."""
    words = [tokens(name) for name in names]
    values = made.sample.values.get(feature)
    width = values.shape[1] if values is not None else len(words)
    sides = [side_of(each) if each else "" for each in words[:width]]
    if made.halves and width % 2 == 0 and not any(sides):
        sides = ["left"] * (width // 2) + ["right"] * (width // 2)
    split = {"left", "right"} <= set(sides)
    own = side_of(tokens(feature))
    padded = [*words[:width], *[()] * (width - len(words))]
    for arm in ("left", "right") if split else (own or SOLE_ARM,):
        places = [place for place in range(width) if not split or sides[place] == arm]
        held = set(made.arms.get(arm, {}))
        if set(made.arms) - {arm} and arm not in made.arms and not own:
            made.notes.append(f"{feature} does not tell which arm it belongs to: not used")
        elif channel in held or (channel.startswith("gripper") and {"gripper_width", "gripper_opening"} & held):
            continue
        elif channel.startswith("joint"):
            _add_joints(made, arm, channel, feature, places, padded, so100=False)
        elif channel in ("ee_position", "ee_pose"):
            _add_whole_pose(made, arm, feature, places)
        elif channel == "gripper_width" and len(places) == 1 and _largest(made.sample, feature, places) < 1.0:
            made.add(arm, channel, Columns(feature, tuple(places), "m"))
        elif channel.startswith("gripper"):
            _add_gripper(made, _Gripper(arm, feature, padded, places))


def _add_joints(
    made: _Guess,
    arm: str,
    channel: str,
    feature: str,
    places: Sequence[int],
    words: Sequence[Sequence[str]],
    *,
    so100: bool,
) -> None:
    values = made.sample.values.get(feature)
    places = [place for place in places if values is None or place < values.shape[1]]
    if not places:
        return
    if channel == "joint_torque":
        made.notes.append(f"{arm}.{channel}: taken as N*m")
        made.add(arm, channel, Columns(feature, tuple(places), "N*m"))
        return
    columns = np.zeros((0, len(places))) if values is None else values[:, list(places)]
    if channel == "joint_velocity":
        found = _speeds(made, arm, columns)
    else:
        if not set(places) <= set(made.joints.get(feature, ())):
            _decide_units(made, feature, places, words)
        decided = made.joints[feature]
        found = replace(made.told[feature], units=tuple(decided[place] for place in places))
    kept = [(place, unit) for place, unit in zip(places, found.units, strict=True) if unit != "raw"]
    lost = [place for place, unit in zip(places, found.units, strict=True) if unit == "raw"]
    if lost:
        size = _largest(made.sample, feature, lost)
        told = (
            f"{arm}.{channel}: {'not used' if not kept else f'columns {lost} are not used'}, the largest value "
            f"{size:.3g} is neither radians nor degrees"
        )
        made.notes.append(f"{told}; give its size by a column map with scale")
        made.warn(told, 0.9, f"scale of [arms.{arm}.{channel}]")
    if not kept:
        return
    index, units = zip(*kept, strict=True)
    note = f"{arm}.{channel}: {found.why}"
    if so100 and units[0] == "deg":
        note = f"{arm}.{channel}: taken as degrees; such sets also hold -100..100 % of the range, which looks the same"
        if _largest(made.sample, feature, index) <= PERCENT:
            made.warn(note, 0.6, f"unit, or scale, of [arms.{arm}.{channel}]")
            note = ""
    made.notes += [note] if note else []
    mixed = len(set(units)) > 1
    made.add(arm, channel, Columns(feature, index, units[0], units=units if mixed else ()))


def _decide_units(made: _Guess, feature: str, places: Sequence[int], words: Sequence[Sequence[str]]) -> None:
    """The unit of each joint of a feature: of all arms together, for one that is parked tells nothing."""
    values = made.sample.values.get(feature)
    columns = np.zeros((0, len(places))) if values is None else values[:, list(places)]
    named = [unit_of(words[place]) for place in places]
    found = joint_units(columns, named, [slides(words[place]) for place in places])
    made.joints[feature] = dict(zip(places, found.units, strict=True))
    made.told[feature] = found
    if found.doubt:
        told = f"joints of {feature}: {found.why}; {found.doubt}"
        made.warn(told, found.confidence, "unit of [arms….joint_position]")


def _speeds(made: _Guess, arm: str, columns: Float64s) -> Unit:
    """The unit of velocities beside the positions of the same arm."""
    joints = made.arms.get(arm, {}).get("joint_position")
    positions = None if joints is None else made.sample.values.get(joints.feature)
    if joints is None or positions is None or joints.index is None or len(positions) != len(columns):
        return speed_unit(columns, None, None, made.sample, made.fps)
    units = joints.units or (joints.unit,) * len(joints.index)
    factors = np.array([UNITS[unit][1] for unit in units])
    return speed_unit(columns, positions[:, list(joints.index)], factors, made.sample, made.fps)


def _add_pose(
    made: _Guess, arm: str, feature: str, words: list[tuple[str, ...]], kinds: Mapping[str, list[int]]
) -> None:
    position = _by_axis(words, kinds.get("ee_position", []), AXES)
    if position:
        _add_position(made, arm, feature, position)
    quaternion = _in_turn(words, kinds.get("quat", []))
    turns = _by_axis(words, kinds.get("rpy", []), TURNS) or _by_axis(words, kinds.get("rpy", []), AXES)
    if quaternion:
        made.add(arm, "ee_orientation", Columns(feature, quaternion, "quat_wxyz"))
    elif turns:
        _add_turns(made, arm, feature, turns)


def _add_turns(made: _Guess, arm: str, feature: str, index: tuple[int, ...]) -> None:
    unit = "rpy_rad" if _largest(made.sample, feature, index) <= TURN else "rpy_deg"
    made.notes.append(f"{arm}.ee_orientation: roll, pitch, yaw taken as turns about fixed axes in {unit[4:]}")
    made.add(arm, "ee_orientation", Columns(feature, index, unit))


def _add_whole_pose(made: _Guess, arm: str, feature: str, places: Sequence[int]) -> None:
    """Position, with roll, pitch, yaw after it where there are six numbers, or an orientation where there are seven."""
    if len(places) not in (3, 6, 7):
        return
    _add_position(made, arm, feature, tuple(places[:3]))
    if len(places) == 6:
        _add_turns(made, arm, feature, tuple(places[3:]))
    values = made.sample.values.get(feature)
    if len(places) == 7 and values is not None and unit_quaternions(values, list(places[3:])):
        made.add(arm, "ee_orientation", Columns(feature, tuple(places[3:]), "quat_xyzw"))
        made.warn(f"{arm}.ee_orientation: taken as x y z w", 0.7, f"unit of [arms.{arm}.ee_orientation]")


def _add_position(made: _Guess, arm: str, feature: str, index: tuple[int, ...]) -> None:
    largest = _largest(made.sample, feature, index)
    if largest > REACH_M * 1000.0:
        made.notes.append(f"{arm}.ee_position: not used, {largest:.3g} is neither m nor mm")
        made.warn(f"{arm}.ee_position: not used, {largest:.3g} is no unit known", 0.9, f"[arms.{arm}.ee_position]")
        return
    unit = "m" if largest <= REACH_M else "cm" if largest <= REACH_CM else "mm"
    made.notes.append(
        f"{arm}.ee_position: taken as {unit} in the robot's base frame, the largest value is {largest:.3g}"
    )
    if unit == "cm":
        made.warn(f"{arm}.ee_position: taken as cm, mm is possible", 0.6, f"unit of [arms.{arm}.ee_position]")
    made.add(arm, "ee_position", Columns(feature, index, unit))


def _by_axis(words: list[tuple[str, ...]], places: Sequence[int], axes: Mapping[str, int]) -> tuple[int, ...]:
    """Places in the order of the axes; none unless each axis occurs once."""
    found = {axes[word]: place for place in places for word in words[place] if word in axes}
    return tuple(found[axis] for axis in range(len(axes))) if len(found) == len(places) == len(axes) else ()


def _in_turn(words: list[tuple[str, ...]], places: Sequence[int]) -> tuple[int, ...]:
    """Places of an orientation in the order w x y z; none unless each occurs once."""
    found = {axis: place for place in places if (axis := quaternion_axis(words[place])) is not None}
    return tuple(found[axis] for axis in range(4)) if len(found) == len(places) == 4 else ()


Mechanisms = Mapping[tuple[str, ...], list[int]]
"""Finger joints that are the same part of the left and of the right hand, by their words without the side."""


def _mechanisms(words: list[tuple[str, ...]], groups: Mapping[str, Mapping[str, list[int]]]) -> Mechanisms:
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for kinds in groups.values():
        for place in [*kinds.get("finger", ()), *kinds.get("gripper", ())]:
            alike[tuple(word for word in words[place] if word not in SIDES)].append(place)
    return alike


class _Gripper(NamedTuple):
    """Columns that are taken for the gripper of an arm."""

    arm: str
    feature: str
    words: Sequence[tuple[str, ...]]
    """Of the name of each column of the feature."""
    places: Sequence[int]
    """Columns of its fingers."""
    mechanisms: Mechanisms = MappingProxyType({})
    percent: bool = False
    """Its values may be shares in percent."""
    command: bool = False
    """It is what was commanded."""


class _Fingers(NamedTuple):
    """How far fingers go: those that move, k of them."""

    places: tuple[int, ...]
    alike: list[list[int]]
    """Of each its column, with those of its twins of the other hand."""
    flipped: Bools
    """Which go down where the leading one goes up, shape (k,)."""
    first: Float64s
    """Where each is while the leading one is lowest, shape (k,)."""
    last: Float64s
    """… and while it is highest, shape (k,)."""
    unit: str
    nominal: bool
    """The ends are those of the unit, not those that were seen."""


def _add_gripper(made: _Guess, given: _Gripper) -> None:
    """The opening as a median over fingers, with which end is open and what the closed end tells."""
    values = made.sample.values.get(given.feature)
    if values is None or not len(values):
        return
    if _slides(made, given.arm, given.feature, given.words, given.places, values):
        return
    fingers = _fingers(made, given, values)
    if fingers is None:
        return
    opening = _opening(made, given, values, fingers)
    closed, open_ = (fingers.first, fingers.last) if opening.upper else (fingers.last, fingers.first)
    closed = closed + opening.closed * (open_ - closed)
    n = len(fingers.places)
    made.notes.append(
        f"{given.arm}.gripper_opening: median of {n} column{'s' if n > 1 else ''}, from "
        f"{'the nominal range' if fingers.nominal else 'the 1st to the 99th percentile'}; {opening.why}"
    )
    kind = "command" if given.command else opening.kind
    _doubt_gripper(made, given.arm, opening, kind)
    made.add(
        given.arm,
        "gripper_opening",
        Columns(
            given.feature,
            fingers.places,
            fingers.unit,
            closed=tuple(map(float, closed)),
            open=tuple(map(float, open_)),
            kind=kind,
            polarity=opening.polarity,
        ),
    )


def _fingers(made: _Guess, given: _Gripper, values: Float64s) -> _Fingers | None:
    """How far its fingers go; None where nothing was recorded or none of them moves, which is noted."""
    words, mechanisms = given.words, given.mechanisms
    closing = [place for place in given.places if not set(words[place]) & _NOT_CLOSING] or list(given.places)
    alike = [
        _same_way(values, place, mechanisms.get(tuple(word for word in words[place] if word not in SIDES), []))
        for place in closing
    ]
    pooled = [np.concatenate([values[:, k] for k in group]) for group in alike]
    if not all(np.isfinite(each).any() for each in pooled):
        return None
    low, high = (np.array([float(np.nanpercentile(each, q)) for each in pooled]) for q in (1.0, 99.0))
    unit, ends = _nominal(low, high, percent=given.percent)
    if ends is not None:
        low, high = np.full(len(closing), ends[0]), np.full(len(closing), ends[1])
        kept, flipped = np.ones(len(closing), np.bool_), np.zeros(len(closing), np.bool_)
    else:
        starts = [np.concatenate([made.sample.starts + k * len(values) for k in range(len(group))]) for group in alike]
        restless = [not moves(*each) for each in zip(pooled, starts, (high - low).tolist(), strict=True)]
        span = np.where(restless, 0.0, high - low)
        if span.max() <= 0:
            made.notes.append(f"{given.arm}.gripper_opening: not used, it never moves by more than it trembles")
            return None
        kept = span >= MOVING_SHARE * span.max()
        leader = int(np.argmax(span))
        flipped = np.array([_opposite(values[:, closing[leader]], values[:, place]) for place in closing])
    return _Fingers(
        places=tuple(place for place, keep in zip(closing, kept, strict=True) if keep),
        alike=[group for group, keep in zip(alike, kept, strict=True) if keep],
        flipped=flipped[kept],
        first=np.where(flipped, high, low)[kept],
        last=np.where(flipped, low, high)[kept],
        unit=unit,
        nominal=ends is not None,
    )


def _opening(made: _Guess, given: _Gripper, values: Float64s, fingers: _Fingers) -> Opening:
    """Which end of their range is open, and what the closed one tells."""
    first, last, places = fingers.first, fingers.last, fingers.places
    found = Blocked(0, 0, 0)
    if not given.command:
        found = _blocked(made.commands, given.feature, places, fingers.alike, fingers.flipped)
    return open_end(
        np.median((values[:, list(places)] - first) / (last - first), axis=1),
        made.sample,
        [given.words[place] for place in places],
        made.robot,
        found,
        nominal=fingers.nominal,
        one_way=not fingers.flipped.any(),
        natural=bool((np.abs(first) <= STOP * np.abs(last - first)).all()),
        arm=_joints_of(made, given.arm),
        bit=len(places) == 1 and is_bit(values[:, places[0]]),
    )


def _doubt_gripper(made: _Guess, arm: str, opening: Opening, kind: str) -> None:
    at = f"[arms.{arm}.gripper_opening]"
    for doubt in opening.doubts:
        made.warn(f"{arm}.gripper_opening: {doubt}", opening.confidence, f"closed, open and polarity of {at}")
    if kind == "bit":
        told = "takes two values only, so whether anything is held is not known"
        made.warn(f"{arm}.gripper_opening: {told}", 0.95, f"kind of {at}")
    elif kind == "closed_unknown":
        told = "whether fingers at their most closed hold something is not known, for nothing tells their closed end"
        made.warn(f"{arm}.gripper_opening: {told}", 0.8, f"closed and kind of {at}")


def _joints_of(made: _Guess, arm: str) -> Float64s | None:
    """The joints (or the hand's place) of an arm in the sample, shape (n, j)."""
    channels = made.arms.get(arm, {})
    columns = channels.get("joint_position") or channels.get("ee_position")
    values = None if columns is None else made.sample.values.get(columns.feature)
    if columns is None or values is None:
        return None
    return values if columns.index is None else values[:, list(columns.index)]


def _slides(
    made: _Guess, arm: str, feature: str, words: Sequence[Sequence[str]], places: Sequence[int], values: Float64s
) -> bool:
    """Fingers whose distance is recorded in a unit of length, as their names or their robot say: a width in m."""
    named = {unit_of(words[place]) for place in places}
    unit, why = "", ""
    if len(named) == 1 and named <= {"mm", "cm"}:
        unit, why = named.pop(), "as the column's name says"
    for row in robot_rows(made.robot):
        sizes = np.array([extent(values[:, place])[1] for place in places])
        low = np.array([float(np.nanmin(values[:, place], initial=np.inf)) for place in places])
        within = (sizes <= 1.1 * row.finger_reach * (2 if len(places) == 1 else 1)) & (low > -0.05 * row.finger_reach)
        if row.finger_unit and within.all() and (sizes > 0.1 * row.finger_reach).all():
            unit, why = row.finger_unit, row.source
    if not unit:
        return False
    made.notes.append(f"{arm}.gripper_width: taken as {unit}: {why}")
    made.add(arm, "gripper_width", Columns(feature, tuple(places), unit))
    return True


def _same_way(values: Float64s, place: int, twins: Sequence[int]) -> list[int]:
    """A finger and its twin of the other hand, unless that is mounted mirrored: then its range lies elsewhere."""
    if not np.isfinite(values[:, place]).any():
        return [place]
    low, high = np.nanpercentile(values[:, place], (1.0, 99.0))
    found = [place]
    for twin in twins:
        if twin == place or not np.isfinite(values[:, twin]).any():
            continue
        least, most = np.nanpercentile(values[:, twin], (1.0, 99.0))
        if least <= 0.5 * (low + high) <= most or low <= 0.5 * (least + most) <= high:
            found.append(twin)
    return sorted(found)


def _blocked(
    commands: Commands | None,
    feature: str,
    places: Sequence[int],
    alike: Sequence[Sequence[int]],
    flipped: Bools,
) -> Blocked:
    """What blocks the fingers; where that does not tell, what blocks those and their twins of the other hand."""
    if commands is None:
        return Blocked(0, 0, 0)
    own = blocked(commands, feature, places, flipped)
    both = [twin for group in alike for twin in group]
    if own.closing_upwards is not None or len(both) == len(places):
        return own
    against = np.repeat(flipped, [len(group) for group in alike])
    shared = blocked(commands, feature, both, against)
    return own if shared.closing_upwards is None else shared


def _nominal(low: Float64s, high: Float64s, *, percent: bool) -> tuple[str, tuple[float, float] | None]:
    """The unit and its nominal ends, where values look like a share of a range."""
    used = float((high - low).max())
    if low.min() >= -0.05 and high.max() <= 1.05 and used > USED_SHARE:
        return "share", (0.0, 1.0)
    if percent and low.min() >= -5.0 and high.max() <= 105.0:
        return "percent", (0.0, 100.0)
    return "raw", None


def _opposite(leader: Float64s, other: Float64s) -> bool:
    """Whether a finger goes down where the leading one goes up."""
    good = np.isfinite(leader) & np.isfinite(other)
    if not good.any():
        return False
    a, b = leader[good] - leader[good].mean(), other[good] - other[good].mean()
    return bool(np.sum(a * b) < 0.0)


def _largest(sample: Sample, feature: str, index: Sequence[int]) -> float:
    """Largest size of some columns, a few wild samples left out."""
    values = sample.values.get(feature)
    if values is None or not len(values):
        return 0.0
    sizes = (extent(values[:, place])[1] for place in index if place < values.shape[1])
    return max(sizes, default=0.0)


def _in_order(arms: Mapping[str, Mapping[str, Columns]]) -> dict[str, dict[str, Any]]:
    return {arm: dict(arms[arm]) for arm in sorted(arms)}
