"""Guess a column map from the names of columns and a sample of frames; every assumption is said in a note."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.io.column_map import ColumnMap, Columns
from sima2.io.column_words import AXES, QUATERNION, SIDES, TURNS, kind_of, side_of, tokens
from sima2.io.command_lag import Commands
from sima2.io.gripper_ends import Blocked, blocked, moves, open_end
from sima2.io.sample import Sample as Sample
from sima2.records.rollout import SOLE_ARM

Floats = NDArray[np.float64]

STATE_FEATURES: Final = ("observation.state", "observation.states", "state", "states", "observation.qpos", "qpos")
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

TURN: Final = 2.0 * np.pi * 1.05
"""Largest angle in radians that a joint of one turn shows, with a margin for offsets."""
FULL_CIRCLE_DEG: Final = 360.0 * 1.05
REACH_M: Final = 5.0
"""No arm reaches farther from its base, in m; a larger position is in another unit."""
USED_SHARE: Final = 0.25
"""Least part of a nominal 0–1 range that must be used for values within it to be taken as shares of it."""
MOVING_SHARE: Final = 0.2
"""A finger whose range is below this share of the widest one's says nothing about the opening."""

_SO100: Final = frozenset({"shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll"})
_NOT_CLOSING: Final = frozenset({"rotation", "rot", "abduction", "spread", "yaw", "side"})
_SAYS_NOTHING: Final = frozenset(
    {"motor", "motors", "state", "dim", "obs", "observation", "feature", "value", "channel"}
)
_OF_ARMS: Final = frozenset({"joint_position", "joint_velocity", "joint_torque", "finger", "gripper", "ee_position"})


@dataclass(slots=True)
class _Guess:
    commands: Commands | None = None
    arms: dict[str, dict[str, Columns]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, arm: str, channel: str, columns: Columns) -> None:
        self.arms.setdefault(arm, {}).setdefault(channel, columns)


def guess(
    names: Mapping[str, Sequence[str]], sample: Sample, *, robot: str = "", commands: Commands | None = None
) -> ColumnMap:
    """A column map from names, with units from the size of the values.

    Args:
        names: numeric features with the names of their columns, empty where they have none.
        sample: frames of them.
        robot: the robot's type as the data set states it.
        commands: how columns follow their commands, which tells the closing end of a gripper; none where not known.

    Source: the naming habits of published LeRobot sets (Unitree, SO-100/101, ALOHA, DROID, Bridge).
    """
    made = _Guess(commands)
    state = next((name for name in STATE_FEATURES if name in names), None)
    if state is not None:
        _read_state(made, state, names[state], sample, robot)
    for feature, channel in SEPARATE_FEATURES.items():
        if feature in names:
            _read_separate(made, feature, channel, names[feature], sample, robot)
    action = next((name for name in ACTION_FEATURES if name in names), None)
    scene = {} if action is None else {"action": Columns(action)}
    if not made.arms:
        made.notes.append(f"no state was recognised among {', '.join(names) or 'no numeric features'}")
    return ColumnMap(arms=_in_order(made.arms), scene=scene, notes=tuple(made.notes))


def _read_state(made: _Guess, feature: str, names: Sequence[str], sample: Sample, robot: str) -> None:
    width = sample.values[feature].shape[1] if feature in sample.values else len(names)
    if not names:
        made.notes.append(f"{feature} names no columns: all {width} are taken as joints of one arm, none as a gripper")
        _add_joints(made, SOLE_ARM, "joint_position", feature, tuple(range(width)), sample, so100=False)
        return
    words = [tokens(name) for name in names[:width]]
    if all(set(each) <= _SAYS_NOTHING or all(word.isdigit() for word in set(each) - _SAYS_NOTHING) for each in words):
        made.notes.append(f"{feature}: the names say nothing; all columns are taken as joints, none as a gripper")
    sides = [side_of(each) for each in words]
    split = {"left", "right"} <= {side for side, each in zip(sides, words, strict=True) if kind_of(each) in _OF_ARMS}
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, (side, each) in enumerate(zip(sides, words, strict=True)):
        # of a robot with two arms, what has no side is its body; the waist of a single arm is a joint of it
        kind = kind_of(each)
        belongs = not split or bool(side)
        groups[side if split else ""]["joint_position" if kind == "torso" and belongs else kind].append(place)
    arms = {"left": "left", "right": "right"} if split else {"": SOLE_ARM}
    so100 = {
        "_".join(word for word in each if word not in ("pos", "main") and word not in SIDES) for each in words
    } >= _SO100
    mechanisms = _mechanisms(words, groups)
    for side, arm in arms.items():
        kinds = groups[side]
        for channel in ("joint_position", "joint_velocity", "joint_torque"):
            if kinds[channel]:
                _add_joints(made, arm, channel, feature, tuple(kinds[channel]), sample, so100=so100)
        _add_pose(made, arm, feature, words, kinds, sample)
        fingers = kinds["finger"] or kinds["gripper"]
        if fingers:
            _add_gripper(made, arm, feature, words, fingers, mechanisms, sample, robot=robot, percent=so100)


def _read_separate(made: _Guess, feature: str, channel: str, names: Sequence[str], sample: Sample, robot: str) -> None:
    """A channel with a feature of its own: split by side where names tell, else of the sole arm."""
    words = [tokens(name) for name in names]
    width = sample.values[feature].shape[1] if feature in sample.values else len(words)
    sides = [side_of(each) if each else "" for each in words[:width]]
    split = {"left", "right"} <= set(sides)
    for arm in ("left", "right") if split else (SOLE_ARM,):
        places = [place for place in range(width) if not split or sides[place] == arm]
        if set(made.arms) - {arm} and arm not in made.arms:
            made.notes.append(f"{feature} does not tell which arm it belongs to: not used")
        elif channel in made.arms.get(arm, {}) or (
            channel == "gripper" and {"gripper_width", "gripper_opening"} & set(made.arms.get(arm, {}))
        ):
            continue
        elif channel.startswith("joint"):
            _add_joints(made, arm, channel, feature, tuple(places), sample, so100=False)
        elif channel == "ee_position" and len(places) == 3:
            _add_position(made, arm, feature, tuple(places), sample)
        elif channel == "gripper_width" and len(places) == 1 and _largest(sample, feature, places) < 1.0:
            made.add(arm, channel, Columns(feature, tuple(places), "m"))
        elif channel.startswith("gripper"):
            padded = [*words, *[()] * (width - len(words))]
            _add_gripper(made, arm, feature, padded, places, {}, sample, robot=robot, percent=False)


def _add_joints(
    made: _Guess, arm: str, channel: str, feature: str, index: tuple[int, ...], sample: Sample, *, so100: bool
) -> None:
    if not index:
        return
    largest = _largest(sample, feature, index)
    if channel == "joint_torque":
        made.notes.append(f"{arm}.{channel}: taken as N*m")
        made.add(arm, channel, Columns(feature, index, "N*m"))
        return
    suffix = "/s" if channel == "joint_velocity" else ""
    if so100 and largest > TURN:
        made.notes.append(
            f"{arm}.{channel}: taken as degrees; such sets also hold -100..100 % of the range, which looks the same"
        )
        unit = "deg"
    elif largest <= (TURN * 10 if suffix else TURN):
        made.notes.append(f"{arm}.{channel}: taken as rad{suffix}, the largest value is {largest:.3g}")
        unit = "rad"
    elif largest <= (FULL_CIRCLE_DEG * 10 if suffix else FULL_CIRCLE_DEG):
        made.notes.append(f"{arm}.{channel}: taken as deg{suffix}, the largest value is {largest:.3g}")
        unit = "deg"
    else:
        made.notes.append(
            f"{arm}.{channel}: not used, the largest value {largest:.3g} is neither radians nor degrees; "
            "give its size by a column map with scale"
        )
        return
    made.add(arm, channel, Columns(feature, index, unit + suffix))


def _add_pose(
    made: _Guess, arm: str, feature: str, words: list[tuple[str, ...]], kinds: Mapping[str, list[int]], sample: Sample
) -> None:
    position = _by_axis(words, kinds.get("ee_position", []), AXES)
    if position:
        _add_position(made, arm, feature, position, sample)
    quaternion = _by_axis(words, kinds.get("quat", []), QUATERNION)
    turns = _by_axis(words, kinds.get("rpy", []), TURNS)
    if quaternion:
        made.add(arm, "ee_orientation", Columns(feature, quaternion, "quat_wxyz"))
    elif turns:
        unit = "rpy_rad" if _largest(sample, feature, turns) <= TURN else "rpy_deg"
        made.notes.append(f"{arm}.ee_orientation: roll, pitch, yaw taken as turns about fixed axes in {unit[4:]}")
        made.add(arm, "ee_orientation", Columns(feature, turns, unit))


def _add_position(made: _Guess, arm: str, feature: str, index: tuple[int, ...], sample: Sample) -> None:
    largest = _largest(sample, feature, index)
    if largest > REACH_M * 1000.0:
        made.notes.append(f"{arm}.ee_position: not used, {largest:.3g} is neither m nor mm")
        return
    unit = "m" if largest <= REACH_M else "mm"
    made.notes.append(
        f"{arm}.ee_position: taken as {unit} in the robot's base frame, the largest value is {largest:.3g}"
    )
    made.add(arm, "ee_position", Columns(feature, index, unit))


def _by_axis(words: list[tuple[str, ...]], places: Sequence[int], axes: Mapping[str, int]) -> tuple[int, ...]:
    """Places in the order of the axes; none unless each axis occurs once."""
    found = {axes[word]: place for place in places for word in words[place] if word in axes}
    return tuple(found[axis] for axis in range(len(axes))) if len(found) == len(places) == len(axes) else ()


Mechanisms = Mapping[tuple[str, ...], list[int]]
"""Finger joints that are the same part of the left and of the right hand, by their words without the side."""


def _mechanisms(words: list[tuple[str, ...]], groups: Mapping[str, Mapping[str, list[int]]]) -> Mechanisms:
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for kinds in groups.values():
        for place in [*kinds.get("finger", ()), *kinds.get("gripper", ())]:
            alike[tuple(word for word in words[place] if word not in SIDES)].append(place)
    return alike


def _add_gripper(
    made: _Guess,
    arm: str,
    feature: str,
    words: Sequence[tuple[str, ...]],
    places: Sequence[int],
    mechanisms: Mechanisms,
    sample: Sample,
    *,
    robot: str,
    percent: bool,
) -> None:
    """The opening as a median over fingers; which end is open is told by convention, else by the episodes' starts."""
    values = sample.values.get(feature)
    if values is None or not len(values):
        return
    closing = [place for place in places if not set(words[place]) & _NOT_CLOSING] or list(places)
    alike = [
        _same_way(values, place, mechanisms.get(tuple(word for word in words[place] if word not in SIDES), []))
        for place in closing
    ]
    pooled = [np.concatenate([values[:, k] for k in group]) for group in alike]
    if not all(np.isfinite(each).any() for each in pooled):
        return
    low, high = (np.array([float(np.nanpercentile(each, q)) for each in pooled]) for q in (1.0, 99.0))
    unit, ends = _nominal(low, high, percent=percent)
    if ends is not None:
        low, high = np.full(len(closing), ends[0]), np.full(len(closing), ends[1])
        kept, flipped = np.ones(len(closing), np.bool_), np.zeros(len(closing), np.bool_)
    else:
        span = high - low
        starts = [np.concatenate([sample.starts + k * len(values) for k in range(len(group))]) for group in alike]
        restless = [not moves(*each) for each in zip(pooled, starts, span.tolist(), strict=True)]
        span = np.where(restless, 0.0, span)
        if span.max() <= 0:
            made.notes.append(f"{arm}.gripper_opening: not used, it never moves by more than it trembles")
            return
        kept = span >= MOVING_SHARE * span.max()
        leader = int(np.argmax(span))
        flipped = np.array([_opposite(values[:, closing[leader]], values[:, place]) for place in closing])
    places_kept = tuple(place for place, keep in zip(closing, kept, strict=True) if keep)
    first, last = np.where(flipped, high, low)[kept], np.where(flipped, low, high)[kept]
    groups = [group for group, keep in zip(alike, kept, strict=True) if keep]
    found = _blocked(made.commands, feature, places_kept, groups, flipped[kept])
    open_is_last, why = open_end(
        np.median((values[:, list(places_kept)] - first) / (last - first), axis=1),
        sample,
        [words[place] for place in places_kept],
        robot,
        found,
        nominal=ends is not None,
        one_way=not flipped[kept].any(),
    )
    closed, open_ = (first, last) if open_is_last else (last, first)
    made.notes.append(
        f"{arm}.gripper_opening: median of {len(places_kept)} column{'s' if len(places_kept) > 1 else ''}, from "
        f"{'the nominal range' if ends else 'the 1st to the 99th percentile'}; {why}"
    )
    made.add(
        arm,
        "gripper_opening",
        Columns(feature, places_kept, unit, closed=tuple(map(float, closed)), open=tuple(map(float, open_))),
    )


def _same_way(values: Floats, place: int, twins: Sequence[int]) -> list[int]:
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
    flipped: NDArray[np.bool_],
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


def _nominal(low: Floats, high: Floats, *, percent: bool) -> tuple[str, tuple[float, float] | None]:
    """The unit and its nominal ends, where values look like a share of a range."""
    used = float((high - low).max())
    if low.min() >= -0.05 and high.max() <= 1.05 and used > USED_SHARE:
        return "share", (0.0, 1.0)
    if percent and low.min() >= -5.0 and high.max() <= 105.0:
        return "percent", (0.0, 100.0)
    return "raw", None


def _opposite(leader: Floats, other: Floats) -> bool:
    """Whether a finger goes down where the leading one goes up."""
    good = np.isfinite(leader) & np.isfinite(other)
    if not good.any():
        return False
    a, b = leader[good] - leader[good].mean(), other[good] - other[good].mean()
    return bool(np.sum(a * b) < 0.0)


def _largest(sample: Sample, feature: str, index: Sequence[int]) -> float:
    values = sample.values.get(feature)
    if values is None or not len(values):
        return 0.0
    picked = np.abs(values[:, [place for place in index if place < values.shape[1]]])
    picked = picked[np.isfinite(picked)]
    return float(picked.max()) if picked.size else 0.0


def _in_order(arms: Mapping[str, Mapping[str, Columns]]) -> dict[str, dict[str, Any]]:
    return {arm: dict(arms[arm]) for arm in sorted(arms)}
