"""The kinematic chain that a column map names: the file found, the recorded joints matched with the robot's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError
from sima2.io.column_map import UNITS, ColumnMap, Columns
from sima2.io.column_words import tokens
from sima2.io.derived import PoseSource
from sima2.io.documents import inside, is_file, read_document
from sima2.io.kinematics import Chain
from sima2.io.urdf import MAX_URDF, Description, compile_chain, drivers, parse_urdf

BEYOND: Final = 0.02
"""Share of a joint's range by which a recording may pass its limits before it is doubted: calibration, rounding."""
OF_URDF: Final = "the URDF"
_SAY_NOTHING: Final = frozenset({"joint", "pos", "position", "qpos"})


@dataclass(frozen=True, slots=True, eq=False)
class HandPose:
    """The chain of one arm, and how its columns were matched."""

    chain: Chain | None
    """None where the data set holds the pose itself."""
    notes: tuple[str, ...]
    limits_of: str = OF_URDF
    """What says how far its joints go."""


def hand_poses(
    columns: ColumnMap, map_file: Path, root: Path, labels: Mapping[str, Sequence[str]], commands: Collection[str]
) -> dict[str, HandPose]:
    """The chain of every arm for which the map names a URDF.

    Args:
        columns: the map.
        map_file: where it was read from; a URDF lies in its folder or in that of the data set.
        root: the data set's folder.
        labels: every feature with the name of each of its columns, empty text where it has none.
        commands: features that hold actions.

    Raises:
        DatasetError: if a file is missing, lies elsewhere or is wrong, or joints cannot be matched.
        MissingExtraError: if MuJoCo is not installed.
    """
    return {
        arm: _hand_pose(arm, pose, columns.arms.get(arm, {}), map_file, root, labels, commands)
        for arm, pose in columns.poses.items()
        if pose.urdf
    }


def _hand_pose(
    arm: str,
    pose: PoseSource,
    channels: Mapping[str, Columns],
    map_file: Path,
    root: Path,
    labels: Mapping[str, Sequence[str]],
    commands: Collection[str],
) -> HandPose:
    at = f"[arms.{arm}]"
    joints = joints_of_pose(at, "urdf", channels, map_file, commands)
    if "ee_position" in channels:
        told = f"{arm}.ee_position: the data set has columns of its own, so {pose.urdf} is not used"
        return HandPose(None, (told,))
    text, folder = read_urdf(pose.urdf, map_file, root)
    file = folder / pose.urdf
    description = parse_urdf(text, file)
    path = description.path(pose.base, pose.tip)
    moving = drivers(description, path)
    if not moving:
        raise DatasetError(file, f"no joint moves between {pose.base or 'its root'!r} and {pose.tip or 'its leaf'!r}")
    held = labels[joints.feature]
    picked = list(held) if joints.index is None else [held[place] for place in joints.index]
    recorded, how = _match(map_file, at, pose, description, moving, picked)
    chain = compile_chain(description, path, recorded)
    units = joints.units or (joints.unit,) * len(picked)
    for step in chain.steps:
        unit = units[recorded[step.name]] if step.moves == "slides" and step.name in recorded else "m"
        if joints.scale is None and UNITS[unit][0] == "angle" and UNITS[unit][1] != 1.0:
            problem = f"{at}: joint {step.name!r} slides, its column cannot be in {unit}"
            raise DatasetError(map_file, problem, "give m, cm or mm in a list of units, or a scale")
    told = f"{arm}.ee_position: forward kinematics of {pose.urdf} from {path[0].parent} to {path[-1].child}"
    notes = [f"{told}, {len(moving)} joints matched {how}"]
    if not is_file(root / pose.urdf):
        notes.append(f"{arm}.ee_position: {pose.urdf} lies beside the map that was given: keep the two together")
    return HandPose(chain, tuple(notes))


def joints_of_pose(
    at: str, asked: str, channels: Mapping[str, Columns], map_file: Path, commands: Collection[str]
) -> Columns:
    """The columns of joints that a pose is computed from, for an arm of which the map names ``asked``.

    Raises:
        DatasetError: if the map says none, or takes commands for them.
    """
    joints = channels.get("joint_position")
    if joints is None:
        raise DatasetError(map_file, f"{at}: {asked} without joint_position", "say which columns are the joints")
    if joints.feature in commands:
        problem = f"{at}: joint_position is read from {joints.feature!r}, which are commands"
        raise DatasetError(map_file, problem, "a pose made of commands is not where the hand was: name the state")
    return joints


def read_urdf(name: str, map_file: Path, root: Path) -> tuple[str, Path]:
    """The text of a URDF and the folder it was found in: the map's, else the data set's.

    Raises:
        DatasetError: if it is in neither, or leads out of both.
    """
    outside: DatasetError | None = None
    for folder in (map_file.parent, root):
        try:
            whole = inside(folder, name)
        except DatasetError as error:
            outside = error
            continue
        if is_file(whole):
            if whole.stat().st_size > MAX_URDF:
                raise DatasetError(folder / name, f"is larger than {MAX_URDF} bytes: is it a URDF?")
            return read_document(folder, name), folder
    if outside is not None:
        raise outside
    raise DatasetError(map_file, f"names {name!r}, which is not there", "put it beside the map or into the data set")


def _match(
    map_file: Path, at: str, pose: PoseSource, description: Description, moving: Sequence[str], labels: Sequence[str]
) -> tuple[dict[str, int], str]:
    """Column of each joint of the robot that is recorded, and how it was found."""
    if pose.joints:
        return _given(map_file, at, pose, description, labels), "as the map says"
    for same, how in ((_whole, "by name"), (_words, "by the words of their names")):
        found = _by_name(labels, [joint.name for joint in description.joints], same)
        if all(name in found for name in moving):
            return found, how
    if len(moving) == len(labels):
        return {name: place for place, name in enumerate(moving)}, "by their order"
    raise DatasetError(
        map_file,
        f"{at}: {len(labels)} joints are recorded, {len(moving)} move in the URDF between base and tip: "
        f"{', '.join(moving)}",
        "name the URDF joint of each column by joints = [...], or other ends by base and tip",
    )


def _given(
    map_file: Path, at: str, pose: PoseSource, description: Description, labels: Sequence[str]
) -> dict[str, int]:
    if len(pose.joints) != len(labels):
        problem = f"{at}: joints names {len(pose.joints)}, joint_position has {len(labels)} columns"
        raise DatasetError(map_file, problem, "one name for each column, empty for one that is no joint of the robot")
    known = {joint.name for joint in description.joints}
    named = [name for name in pose.joints if name]
    wrong = [name for name in named if name not in known]
    if wrong:
        problem = f"{at}: the URDF has no joint {wrong[0]!r}"
        raise DatasetError(map_file, problem, f"there are {', '.join(sorted(known)[:30])}")
    if len(set(named)) < len(named):
        raise DatasetError(map_file, f"{at}: joints names one joint twice")
    return {name: place for place, name in enumerate(pose.joints) if name}


def _whole(name: str) -> tuple[str, ...]:
    return (name,)


def _words(name: str) -> tuple[str, ...]:
    return tuple(word for word in tokens(name) if word not in _SAY_NOTHING)


def _by_name(labels: Sequence[str], joints: Sequence[str], same: Callable[[str], tuple[str, ...]]) -> dict[str, int]:
    """Joints whose name, or what ``same`` makes of it, is that of exactly one column."""
    keys = [same(label) if label else () for label in labels]
    theirs = [same(joint) for joint in joints]
    return {
        joint: keys.index(key)
        for joint, key in zip(joints, theirs, strict=True)
        if key and keys.count(key) == 1 and theirs.count(key) == 1
    }


def beyond_limits(arm: str, chain: Chain, joint_position: NDArray[Any], limits_of: str = OF_URDF) -> list[str]:
    """Joints that pass the limits of the description in a sample of frames, shape (t, j): a wrong order or unit."""
    found = []
    for step in chain.steps:
        moved = step.position(joint_position)
        if step.limits is None or not np.isfinite(moved).any():
            continue
        low, high = step.limits
        least, most = float(np.nanmin(moved)), float(np.nanmax(moved))
        margin = BEYOND * (high - low)
        if least < low - margin or most > high + margin:
            found.append(
                f"arms.{arm}: joint {step.name!r} goes from {least:.3g} to {most:.3g}, its limits in {limits_of} are "
                f"{low:.3g} to {high:.3g}: are the order of the joints and their unit right?"
            )
    return found
