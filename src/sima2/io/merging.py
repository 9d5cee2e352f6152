"""What differs between sources that are judged together: how each is read, and what its values look like once read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from sima2.io.column_map import Columns
from sima2.records.arrays import Float64s
from sima2.records.rollout import RolloutBatch

SAMPLED: Final = 8
"""Episodes, evenly spread, whose values are looked at: enough for where joints are and how episodes begin."""
MOST_TASKS: Final = 200
"""Different task words of a source that are kept."""
SAME_RATE: Final = 0.05
"""Share by which rates may differ: recorders lose a few frames."""
TURNED: Final = (40.0, 80.0)
"""How many times as large angles are that are degrees taken for radians (57.3), for unlike motions."""
FAR_RAD: Final = 0.35
"""rad (20 degrees) by which a joint is elsewhere before it may be another joint …"""
NEAR: Final = 0.25
"""… and the share of that distance within which it is like another one."""
OPEN_STARTS: Final = 0.75
"""Share of episodes that start open, or shut, from which a source is one that starts so."""
START_S: Final = 0.3
"""s taken for the start of an episode."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm as a source holds it."""

    joints: tuple[str, ...] = ()
    """Names of its joints, empty where they have none."""
    index: tuple[int, ...] = ()
    """Their places in their feature."""
    unit: str = ""
    """Of the joints, as they are read."""
    ends: tuple[tuple[float, float], ...] = ()
    """Closed and open of each column of the gripper."""
    channels: tuple[str, ...] = ()
    """That it has."""
    spans: tuple[tuple[float, float, float], ...] = ()
    """rad: 5 %, 50 % and 95 % of each joint over the sampled frames."""
    opens: float | None = None
    """Share of the sampled episodes that start more open than shut."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source is read, kept with its run so that what comes later is compared with it."""

    robot: str
    rate_hz: float | None
    """As the frames lie in time, Hz."""
    tasks: tuple[str, ...] = ()
    arms: Mapping[str, Arm] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def of_plain(cls, told: Mapping[str, Any]) -> Reading:
        """Of what :meth:`to_plain` gave, through JSON."""
        arms = {
            str(name): Arm(
                tuple(map(str, arm["joints"])),
                tuple(map(int, arm["index"])),
                str(arm["unit"]),
                tuple((float(shut), float(wide)) for shut, wide in arm["ends"]),
                tuple(map(str, arm["channels"])),
                tuple((float(low), float(mid), float(high)) for low, mid, high in arm["spans"]),
                arm["opens"],
            )
            for name, arm in told["arms"].items()
        }
        return cls(str(told["robot"]), told["rate_hz"], tuple(map(str, told["tasks"])), arms)


def reading_of(
    robot: str,
    arms: Mapping[str, Mapping[str, Columns]],
    joint_names: Mapping[str, Sequence[str]],
    sample: Sequence[RolloutBatch],
) -> Reading:
    """How a source is read.

    Args:
        robot: its type.
        arms: by arm and channel, the columns it is read from.
        joint_names: by arm, what the data set calls its joints.
        sample: some of its episodes, as read.
    """
    steps = [np.diff(batch.time[a:b]) for batch in sample for a, b in pairwise(batch.offset.tolist()) if b - a > 1]
    step = float(np.median(np.concatenate(steps))) if steps else 0.0
    tasks = sorted({each for batch in sample for each in batch.episodes.instruction if each})[:MOST_TASKS]
    return Reading(
        robot,
        round(1 / step, 3) if step > 0 else None,
        tuple(tasks),
        {arm: _arm(arm, channels, tuple(joint_names.get(arm, ())), sample) for arm, channels in arms.items()},
    )


def _arm(name: str, channels: Mapping[str, Columns], labels: tuple[str, ...], sample: Sequence[RolloutBatch]) -> Arm:
    joints, gripper = channels.get("joint_position"), channels.get("gripper_opening")
    places = () if joints is None else joints.index or tuple(range(len(labels)))
    unit = "" if joints is None else ", ".join(dict.fromkeys(joints.units or (joints.unit,)))
    if joints is not None and joints.scale is not None:
        unit = f"{joints.scale:g} rad"
    ends = () if gripper is None else tuple(zip(gripper.closed, gripper.open, strict=True))
    there = [batch for batch in sample if name in batch.manipulators]
    return Arm(
        labels if any(labels) else (),
        places,
        unit,
        ends,
        tuple(sorted(channels)),
        _spans(name, there),
        _opens(name, there),
    )


def _spans(name: str, sample: Sequence[RolloutBatch]) -> tuple[tuple[float, float, float], ...]:
    told = [each for batch in sample if (each := batch.manipulators[name].joint_position) is not None]
    if not told or len({each.shape[1] for each in told}) != 1:
        return ()
    values = np.concatenate(told).astype(np.float64)
    if not np.isfinite(values).any(axis=0).all():
        return ()
    low, mid, high = np.nanpercentile(values, (5, 50, 95), axis=0).round(4)
    return tuple(zip(low.tolist(), mid.tolist(), high.tolist(), strict=True))


def _opens(name: str, sample: Sequence[RolloutBatch]) -> float | None:
    starts: list[bool] = []
    for batch in sample:
        opening = batch.manipulators[name].gripper_opening
        if opening is None:
            continue
        for a, b in pairwise(batch.offset.tolist()):
            first = opening[a:b][batch.time[a:b] <= START_S]
            if np.isfinite(first).any():
                starts.append(bool(np.nanmean(first) >= 0.5))
    return float(np.mean(starts)) if starts else None


def differences(known: str, first: Reading, name: str, other: Reading) -> list[str]:
    """What differs between two sources, each with what to do about it; nothing where they are read alike.

    Args:
        known: what the first is called.
        first: how it is read.
        name: what the other is called.
        other: how that is read.
    """
    found: list[str] = []
    if first.robot != other.robot:
        found.append(
            f"robot type: {known} says {first.robot}, {name} {other.robot}; if they are one robot, write the same "
            f'name = "{first.robot}" under [robot] in the map of {name}, else leave it: trust is then kept for each'
        )
    found += _rates(known, first.rate_hz, name, other.rate_hz)
    found += _words(known, first.tasks, name, other.tasks)
    missing = sorted(set(first.arms) ^ set(other.arms))
    if missing:
        has, lacks = (known, name) if missing[0] in first.arms else (name, known)
        found.append(
            f"column names: {has} has the arm {missing[0]!r}, {lacks} has not; if its columns are called otherwise, "
            f"name the arm so in the map of {lacks}"
        )
    for arm in sorted(set(first.arms) & set(other.arms)):
        found += _of_arm(arm, known, first.arms[arm], name, other.arms[arm])
    return found


def _rates(known: str, first: float | None, name: str, other: float | None) -> list[str]:
    if first is None or other is None or abs(first - other) <= SAME_RATE * max(first, other):
        return []
    return [
        f"rate: the frames of {known} come at {first:g} Hz, those of {name} at {other:g} Hz; each is read by its own "
        f"clock, so leave it if both are right, else correct fps of {name}, or name its clock by [time] in its map"
    ]


def _words(known: str, first: Sequence[str], name: str, other: Sequence[str]) -> list[str]:
    """Tasks that are the same but for how they are written: they would be judged apart."""
    plain = {_plain(each): each for each in first}
    for each in other:
        alike = plain.get(_plain(each))
        if alike is not None and each not in first:
            return [
                f"task words: {known} says {alike!r}, {name} {each!r}, so they count as two tasks; if they are one, "
                f"write it alike in the tasks of {name}"
            ]
    return []


def _plain(words: str) -> str:
    """A task without what tells no two apart.

    >>> _plain("Pick  the cup.") == _plain("pick_the_cup")
    True
    """
    return " ".join(re.findall(r"[^\W_]+", words.casefold()))


def _of_arm(arm: str, known: str, first: Arm, name: str, other: Arm) -> list[str]:
    found: list[str] = []
    lost = sorted(set(first.channels) ^ set(other.channels))
    if lost:
        has, lacks = (known, name) if lost[0] in first.channels else (name, known)
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        found.append(
            f"column names: {has} has {arm}.{lost[0]}{more}, {lacks} has not, so what rests on it is judged in {has} "
            f"alone; if {lacks} holds it under another name, add [arms.{arm}.{lost[0]}] to its map"
        )
    table = f"[arms.{arm}.joint_position] in the map of {name}"
    order = _order(first, other)
    if order is not None:
        index = [other.index[k] for k in order] if len(other.index) == len(order) else order
        swapped = next(k for k, place in enumerate(order) if place != k)
        is_what = f" ({first.joints[swapped]})" if first.joints else ""
        found.append(
            f"joint order: joint {swapped} of {known}{is_what} is joint {order[swapped]} of {name}; write "
            f"index = {list(index)} under {table}"
        )
    elif (named := _names(first, other)) is not None:
        found.append(
            f"column names: {known} calls a joint of {arm} {named[0]!r}, {name} calls its own {named[1]!r}; if they "
            f"are not the same joints, choose those that are by index under {table}"
        )
    found += _units(table, known, first, name, other)
    found += _polarity(arm, known, first, name, other)
    return found


def _order(first: Arm, other: Arm) -> list[int] | None:
    """Places of the first arm's joints in the other; None where they lie alike, or nothing tells."""
    mine, theirs = (_labels(each.joints) for each in (first, other))
    if mine and len(set(mine)) == len(mine) and sorted(mine) == sorted(theirs):
        return None if mine == theirs else [theirs.index(each) for each in mine]
    if (mine and theirs) or len(first.spans) != len(other.spans) or not first.spans:
        return None
    return _like(np.array(first.spans), np.array(other.spans))


def _like(first: Float64s, other: Float64s) -> list[int] | None:
    """Which joint of the other moves as each of the first does, by where they are; None where each is its own.

    Told only where each that lies otherwise is far from its own place and near the other's: unlike motions of one robot
    are far from each other too, but seldom near by exchange.
    """
    apart = np.abs(first[:, None] - other[None]).max(axis=2)
    rows, places = linear_sum_assignment(apart)
    moved = rows[places != rows]
    own = apart[moved, moved]
    if not len(moved) or (own < FAR_RAD).any() or (apart[moved, places[moved]] > NEAR * own).any():
        return None
    return [int(each) for each in places]


def _labels(joints: Sequence[str]) -> list[str]:
    """Names of joints without what writers add: ``shoulder_pan.pos`` is ``shoulder_pan``."""
    return [re.sub(r"[._ ](pos|position|q|qpos)\Z", "", each.casefold()) for each in joints]


def _names(first: Arm, other: Arm) -> tuple[str, str] | None:
    """Two joints at one place that are called otherwise."""
    mine, theirs = (_labels(each.joints) for each in (first, other))
    if not mine or not theirs:
        return None
    if len(mine) != len(theirs):
        return f"{len(mine)} joints, {first.joints[-1]} last", f"{len(theirs)} joints, {other.joints[-1]} last"
    return next((pair for pair, a, b in zip(zip(first.joints, other.joints), mine, theirs) if a != b), None)


def _units(table: str, known: str, first: Arm, name: str, other: Arm) -> list[str]:
    if len(first.index) != len(other.index):
        return []
    if first.unit != other.unit and first.unit and other.unit:
        return [
            f"units: joints of {known} are read as {first.unit}, those of {name} as {other.unit}; each is converted, "
            f'so leave it if both are right, else write unit = "{first.unit}" under {table}'
        ]
    widths = [np.abs(np.array(each.spans)).max() if each.spans else 0.0 for each in (first, other)]
    if min(widths) <= 0:
        return []
    times = max(widths) / min(widths)
    if not TURNED[0] <= times <= TURNED[1]:
        return []
    larger = known if widths[0] > widths[1] else name
    return [
        f"units: both are read as {first.unit}, yet joints of {larger} are {times:.0f} times as far out, as degrees "
        f'are to radians; write unit = "{"rad" if larger == known else "deg"}" under {table} if that is right of it'
    ]


def _polarity(arm: str, known: str, first: Arm, name: str, other: Arm) -> list[str]:
    table = f"[arms.{arm}.gripper_opening] in the map of {name}"
    ways = [{wide > shut for shut, wide in each.ends} for each in (first, other)]
    if all(len(each) == 1 for each in ways) and ways[0] != ways[1]:
        larger, smaller = (known, name) if True in ways[0] else (name, known)
        return [
            f"gripper polarity: larger numbers are more open in {larger} and more closed in {smaller}; each is read by "
            f"its own ends, so leave it if both are right, else exchange closed and open under {table}"
        ]
    if first.opens is None or other.opens is None:
        return []
    low, high = sorted((first.opens, other.opens))
    if low > 1 - OPEN_STARTS or high < OPEN_STARTS:
        return []
    opened, shut = (known, name) if first.opens > other.opens else (name, known)
    return [
        f"gripper polarity: episodes of {opened} start open and those of {shut} shut; if they start alike, exchange "
        f"closed and open under {table}"
    ]
