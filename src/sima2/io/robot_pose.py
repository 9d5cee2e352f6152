"""The hand's pose of a robot known by its name: the chain of the table, matched with the joints that are recorded.

A wrong pose is worse than none. Without being asked, it is told only where the robot's name, the names and the number
of the joints, their unit and their limits all fit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from sima2.errors import DatasetError
from sima2.io.column_behaviour import unit_quaternions
from sima2.io.column_map import UNITS, ColumnMap, Columns
from sima2.io.column_words import SAYS_NOTHING, SIDES, UNIT_WORDS, tokens
from sima2.io.derived import NO_ROBOT, PoseSource
from sima2.io.hand_pose import HandPose, beyond_limits, joints_of_pose
from sima2.io.robot_chains import ArmRow
from sima2.io.robots import Robot, chain_row, chain_rows
from sima2.io.sample import Sample

_LEFT_OUT: Final = SAYS_NOTHING | frozenset(UNIT_WORDS) | frozenset(SIDES) | {"arm", "follower"}


def asked_poses(
    columns: ColumnMap, map_file: Path, labels: Mapping[str, Sequence[str]], commands: Collection[str]
) -> dict[str, HandPose]:
    """The chain of every arm for which the map names a robot.

    Args:
        columns: the map.
        map_file: where it was read from.
        labels: every feature with the name of each of its columns, empty text where it has none.
        commands: features that hold actions.

    Raises:
        DatasetError: if the robot has no such arm, or its joints cannot be matched.
    """
    return {
        arm: _asked(arm, pose, columns.arms.get(arm, {}), map_file, labels, commands)
        for arm, pose in columns.poses.items()
        if pose.robot and pose.robot != NO_ROBOT
    }


def _asked(
    arm: str,
    pose: PoseSource,
    channels: Mapping[str, Columns],
    map_file: Path,
    labels: Mapping[str, Sequence[str]],
    commands: Collection[str],
) -> HandPose:
    at = f"[arms.{arm}]"
    robot = chain_row(pose.robot)
    row = None if robot is None else robot.chain_of(arm)
    if robot is None or row is None:
        there = [] if robot is None else list(robot.chains)
        problem = f"{at}: the chains of {pose.robot!r} are those of the arms {' and '.join(there)}"
        raise DatasetError(map_file, problem, "name the arm so")
    joints = joints_of_pose(at, "robot", channels, map_file, commands)
    if "ee_position" in channels:
        told = f"{arm}.ee_position: the data set has columns of its own, so {pose.robot} is not used"
        return HandPose(None, (told,))
    picked = _labels(joints, labels)
    names = [joint.names[0] for joint in row.joints]
    if pose.joints:
        found, how = _as_said(map_file, at, pose, names, picked), "as the map says"
    else:
        named = _by_name(robot, row, picked)
        found, how = (
            named or {name: place for place, name in enumerate(names)},
            "by name" if named else "by their order",
        )
        if not named and len(picked) != len(names):
            problem = f"{at}: {len(picked)} joints are recorded, {row.title} has {len(names)}: {', '.join(names)}"
            raise DatasetError(map_file, problem, "name the joint of each column by joints = [...]")
    wrong = [unit for unit in _units(joints, len(picked)) if joints.scale is None and UNITS[unit][0] != "angle"]
    if wrong:
        raise DatasetError(map_file, f"{at}: the joints of {row.title} turn, a column cannot be in {wrong[0]}")
    notes = [_described(arm, row, how)]
    if robot.unsure:
        notes.append(f"{arm}.ee_position: it is as right as the joints' zeros: {robot.unsure}")
    return HandPose(row.chain(found), tuple(notes), _of(row))


def named_poses(
    columns: ColumnMap,
    name: str,
    sample: Sample,
    labels: Mapping[str, Sequence[str]],
    commands: Collection[str],
) -> tuple[ColumnMap, dict[str, HandPose], tuple[str, ...]]:
    """A guessed map with the chain of every arm that the robot's name and its joints tell, and what does not fit.

    Args:
        columns: the map.
        name: of the robot, as the data set states it.
        sample: frames, in the units of the data set.
        labels: every feature with the name of each of its columns, empty text where it has none.
        commands: features that hold actions.
    """
    robots = chain_rows(name)
    poses: dict[str, PoseSource] = {}
    hands: dict[str, HandPose] = {}
    notes: list[str] = []
    doubts: list[str] = []
    for arm, channels in columns.arms.items():
        joints = channels.get("joint_position")
        if not robots or joints is None or "ee_position" in channels or joints.feature in commands:
            continue
        picked = _labels(joints, labels)
        robot = next((each for each in robots if each.chain_of(arm, len(picked))), None)
        row = None if robot is None else robot.chain_of(arm)
        if robot is None or row is None:
            notes.append(f"{arm}.ee_position: none, no arm of {robots[0].name} is known to have {len(picked)} joints")
            continue
        matched = _matched(robot, row, arm, joints, picked, sample)
        if isinstance(matched, str):
            notes.append(f"{arm}.ee_position: none, {matched}")
            continue
        found, how = matched
        chain = row.chain(found)
        beyond = beyond_limits(arm, chain, joints.read("joint_position", sample.values), _of(row))
        if beyond:
            doubts.append(f"{beyond[0]} No pose of the hand is computed")
            continue
        hand = HandPose(chain, (_described(arm, row, how),), _of(row))
        poses[arm], hands[arm] = PoseSource(robot=robot.name), hand
        notes += hand.notes
    made = replace(columns, poses={**columns.poses, **poses}, notes=(*columns.notes, *notes))
    return made, hands, tuple(doubts)


def _matched(
    robot: Robot, row: ArmRow, arm: str, joints: Columns, picked: Sequence[str], sample: Sample
) -> tuple[dict[str, int], str] | str:
    """Column of each joint of a chain and how it was found, or why the chain cannot be used."""
    ask = f'robot = "{robot.name}" under [arms.{arm}] computes it all the same'
    if robot.unsure:
        return f"{robot.unsure}; {ask}"
    units = sorted(set(_units(joints, len(picked))) - set(robot.units))
    if units or joints.scale is not None:
        return f"the chain of {row.title} needs joints in {' or '.join(robot.units)}"
    found, how = _by_name(robot, row, picked), "by name"
    if not found:
        kind = _nameless(picked)
        if kind not in robot.nameless:
            return f"no column is named after a joint of {row.title}; if they are in its order, {ask}"
        found, how = {joint.names[0]: place for place, joint in enumerate(row.joints)}, "by their order"
    values = sample.values.get(joints.feature)
    if values is None or not len(values):
        return f"nothing was read by which the joints of {row.title} could be checked"
    places = list(joints.index) if joints.index is not None else list(range(len(picked)))
    if how == "by their order" and unit_quaternions(values, places):
        return "four of the columns have norm 1, so they may be an orientation, not joints"
    return found, how


def _described(arm: str, row: ArmRow, how: str) -> str:
    return (
        f"{arm}.ee_position: forward kinematics of {row.title} (built-in row) from {row.base} to {row.tip}, "
        f"{len(row.joints)} joints matched {how}; measures of {row.source}; turn off with "
        f'robot = "{NO_ROBOT}" under [arms.{arm}] in the map'
    )


def _of(row: ArmRow) -> str:
    return f"the row of {row.title}"


def _labels(joints: Columns, labels: Mapping[str, Sequence[str]]) -> list[str]:
    held = labels[joints.feature]
    return list(held) if joints.index is None else [held[place] for place in joints.index]


def _units(joints: Columns, width: int) -> tuple[str, ...]:
    return joints.units or (joints.unit,) * width


def _as_said(map_file: Path, at: str, pose: PoseSource, names: Sequence[str], labels: Sequence[str]) -> dict[str, int]:
    found = {name: place for place, name in enumerate(pose.joints) if name}
    if len(pose.joints) != len(labels) or sorted(filter(None, pose.joints)) != sorted(names):
        problem = f"{at}: joints names {', '.join(pose.joints)[:200]} for {len(labels)} columns"
        raise DatasetError(map_file, problem, f"name each of {', '.join(names)} once, and none by an empty text")
    return found


def _by_name(robot: Robot, row: ArmRow, labels: Sequence[str]) -> dict[str, int]:
    """Column of each joint by the words of the columns' names; nothing unless each joint is that of one column."""
    known = {tokens(name): joint.names[0] for joint in row.joints for name in joint.names}
    bare = [_bare(robot, label) for label in labels]
    # a word that no joint is named by may stand in all names alike
    found = [known.get(_plain(words)) or known.get(words) for words in bare]
    places = {name: place for place, name in enumerate(found) if name}
    return places if len(places) == len(row.joints) == sum(map(bool, found)) else {}


def _bare(robot: Robot, label: str) -> tuple[str, ...]:
    """Words of a column's name without the robot's."""
    words = tokens(label)
    for word in robot.words:
        begins = tokens(word)
        if begins and words[: len(begins)] == begins:
            return words[len(begins) :]
    return words


def _plain(words: Sequence[str]) -> tuple[str, ...]:
    kept = tuple(word for word in words if word not in _LEFT_OUT)
    return ("joint", *kept) if len(kept) == 1 and kept[0].isdigit() else kept


def _nameless(labels: Sequence[str]) -> str:
    """``unnamed`` where no name says anything, ``numbered`` where they only count up, else empty.

    >>> _nameless(["", ""]), _nameless(["joint_0", "joint_1"]), _nameless(["joint_1", "joint_0"]), _nameless(["a", "b"])
    ('unnamed', 'numbered', '', '')
    """
    kept = [[word for word in tokens(label) if word not in _LEFT_OUT] for label in labels]
    if not any(kept):
        return "unnamed"
    numbers = [int(words[0]) if len(words) == 1 and words[0].isdecimal() else -1 for words in kept]
    counting = numbers[0] >= 0 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return "numbered" if counting else ""
