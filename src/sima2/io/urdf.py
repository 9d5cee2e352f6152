"""A robot's description (URDF), read with suspicion: the chain of links from its base to a hand, as numbers."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

import numpy as np

from sima2.errors import DatasetError, MissingExtraError
from sima2.io.documents import shown
from sima2.io.kinematics import Chain, Step, transform

MAX_URDF: Final = 16 * 1024 * 1024
"""Bytes; descriptions of whole humanoids take less than 1 MB, meshes are files of their own."""
MAX_DEPTH: Final = 64
"""Elements within each other; URDF needs 5, the extensions of simulators about 10."""
MAX_LINKS: Final = 256
"""Links of one chain; the longest robot arms have about 20."""
TYPES: Final = ("fixed", "revolute", "continuous", "prismatic")

_KEPT: Final = frozenset({"origin", "parent", "child", "axis", "limit", "mimic"})
_PASSED_ON: Final = ("origin", "parent", "child", "axis", "limit")
_ODD: Final = re.compile(r"nan|inf|\$\{", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Joint:
    """A joint of the description, its numbers still text."""

    name: str
    type: str
    parts: Mapping[str, Mapping[str, str]]
    """Attributes of ``origin``, ``parent``, ``child``, ``axis``, ``limit``, ``mimic`` where given."""

    @property
    def parent(self) -> str:
        """Link that carries it."""
        return self.parts.get("parent", {}).get("link", "")

    @property
    def child(self) -> str:
        """Link that it moves."""
        return self.parts.get("child", {}).get("link", "")


@dataclass(frozen=True, slots=True)
class Description:
    """Links and joints of a robot."""

    source: object
    """For messages."""
    links: tuple[str, ...]
    joints: tuple[Joint, ...]

    def leaves(self) -> tuple[str, ...]:
        """Links that carry no other."""
        carrying = {joint.parent for joint in self.joints}
        return tuple(link for link in self.links if link not in carrying)

    def path(self, base: str, tip: str) -> tuple[Joint, ...]:
        """Joints from ``base`` to ``tip``; an empty base is the root, an empty tip the only leaf.

        Raises:
            DatasetError: if there is no such link or way, or a choice to be made.
        """
        if not tip:
            leaves = self.leaves()
            if len(leaves) != 1:
                problem = f"has {len(leaves)} links that carry no other: {_list(leaves)}"
                raise DatasetError(self.source, problem, "name the hand's by tip")
            tip = leaves[0]
        for key, link in (("tip", tip), ("base", base)):
            if link and link not in self.links:
                raise DatasetError(self.source, f"has no link {shown(link)} ({key})", f"there are {_list(self.links)}")
        above = {joint.child: joint for joint in self.joints}
        found: list[Joint] = []
        link = tip
        while link != base and link in above:
            found.append(above[link])
            link = above[link].parent
            if len(found) > MAX_LINKS:
                raise DatasetError(
                    self.source, f"more than {MAX_LINKS} joints lead to {shown(tip)}: do they form a circle?"
                )
        if base and link != base:
            raise DatasetError(self.source, f"{shown(base)} does not carry {shown(tip)}", f"{shown(link)} does")
        return tuple(reversed(found))


@dataclass(slots=True)
class _Reading:
    """What an XML parser has seen so far: links and joints directly below the root, nothing else."""

    source: object
    depth: int = 0
    links: list[str] = field(default_factory=list)
    joints: list[tuple[str, str, dict[str, dict[str, str]]]] = field(default_factory=list)
    within: str = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise DatasetError(self.source, f"has elements {MAX_DEPTH} deep")
        if self.depth == 1 and tag != "robot":
            raise DatasetError(self.source, f"is no URDF: it begins with <{tag[:40]}>, not with <robot>")
        if tag.startswith("xacro:"):
            raise DatasetError(self.source, "is a xacro, not a URDF", "run `xacro file.xacro > robot.urdf`")
        if self.depth == 2:
            self.within = tag
            if tag == "link":
                self.links.append(attributes.get("name", ""))
            elif tag == "joint":
                self.joints.append((attributes.get("name", ""), attributes.get("type", ""), {}))
        elif self.depth == 3 and self.within == "joint" and tag in _KEPT:
            self.joints[-1][2][tag] = dict(attributes)

    def end(self, tag: str) -> None:
        self.depth -= 1

    def refuse(self, *_: Any) -> None:
        raise DatasetError(self.source, "declares a document type, which no URDF needs", "remove <!DOCTYPE …>")


def parse_urdf(text: str, source: object) -> Description:
    """Links and joints of a URDF; document types, and so entities of any kind, are refused.

    Raises:
        DatasetError: if it is no well-formed URDF, or larger or deeper than any.
    """
    if len(text) > MAX_URDF:
        raise DatasetError(source, f"is larger than {MAX_URDF} bytes")
    reading = _Reading(source)
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.StartDoctypeDeclHandler = reading.refuse
    parser.EntityDeclHandler = reading.refuse
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # not XML; an encoding nobody knows
        raise DatasetError(source, f"is not XML: {error}") from None
    joints = tuple(Joint(name, kind, parts) for name, kind, parts in reading.joints)
    _check_names(source, "link", reading.links)
    _check_names(source, "joint", [joint.name for joint in joints])
    _check_names(source, "joint that moves the link", [joint.child for joint in joints])
    links = set(reading.links)
    for joint in joints:
        for end in (joint.parent, joint.child):
            if end not in links:
                raise DatasetError(source, f"joint {shown(joint.name)} ties the link {shown(end)}, which is not there")
    return Description(source, tuple(reading.links), joints)


def _check_names(source: object, what: str, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DatasetError(source, f"has more than one {what} {shown(twice[0])}")


def compile_chain(description: Description, path: Sequence[Joint], columns: Mapping[str, int]) -> Chain:
    """The joints of a path as numbers.

    MuJoCo reads them: given the bare skeleton of the path, without shapes, and with inertias that mean nothing.

    Args:
        description: for messages and for the joints that others mimic.
        path: from base to hand.
        columns: of ``joint_position``, by the name of the joint that each records.

    Raises:
        DatasetError: if a joint is of another kind than ``TYPES``, has no column, or its numbers are none.
        MissingExtraError: if MuJoCo is not installed.
    """
    try:
        import mujoco
    except ImportError as absent:
        raise MissingExtraError("mujoco", "sim") from absent
    if not path:
        raise DatasetError(description.source, "has no joint between base and tip", "name other links by base and tip")
    for joint in path:
        _check(description, joint)
    try:
        model = mujoco.MjModel.from_xml_string(_skeleton(path))
    except ValueError as error:
        first = " ".join(str(error).split())[:200]
        raise DatasetError(description.source, f"cannot be used: {first}") from None
    if not all(np.isfinite(each).all() for each in (model.body_pos, model.body_quat, model.jnt_axis)):
        raise DatasetError(description.source, "has numbers beyond reason in the origin or axis of a joint")
    slides = int(mujoco.mjtJoint.mjJNT_SLIDE)
    steps = []
    known = {joint.name: joint for joint in description.joints}
    waiting = transform()
    for number, joint in enumerate(path):
        body = number + 2  # the world and the base come first
        waiting = waiting @ transform(model.body_pos[body], model.body_quat[body])
        if joint.type == "fixed":
            continue
        at = int(model.body_jntadr[body])
        limits = tuple(map(float, model.jnt_range[at])) if model.jnt_limited[at] else None
        column, factor, offset = _drive(description, known, joint, columns)
        moves = "slides" if int(model.jnt_type[at]) == slides else "turns"
        axis = tuple(map(float, model.jnt_axis[at]))
        steps.append(Step(joint.name, waiting, moves, axis, column, factor, offset, limits))
        waiting = transform()
    return Chain(tuple(steps), waiting)


def drivers(description: Description, path: Sequence[Joint]) -> list[str]:
    """Joints of a path whose angle must be recorded, in order: those that mimic none."""
    return [joint.name for joint in path if joint.type != "fixed" and "mimic" not in joint.parts]


def _check(description: Description, joint: Joint) -> None:
    if joint.type not in TYPES:
        raise DatasetError(
            description.source, f"joint {shown(joint.name)} is {shown(joint.type)}", f"known are {', '.join(TYPES)}"
        )
    for part, attributes in joint.parts.items():
        odd = [name for name, value in attributes.items() if part in ("origin", "axis", "limit") and _ODD.search(value)]
        if odd:
            raise DatasetError(
                description.source, f"joint {shown(joint.name)}: {odd[0]} of its {part} is not made of numbers"
            )


def _drive(
    description: Description, known: Mapping[str, Joint], joint: Joint, columns: Mapping[str, int]
) -> tuple[int, float, float]:
    """The column that moves a joint, and how: position = factor * column + offset."""
    factor, offset, name = 1.0, 0.0, joint.name
    for _ in range(MAX_LINKS):
        if name in columns:
            return columns[name], factor, offset
        mimic = known[name].parts.get("mimic") if name in known else None
        if mimic is None:
            break
        more, shift = (_number(description, name, mimic, *each) for each in (("multiplier", 1.0), ("offset", 0.0)))
        factor, offset, name = factor * more, factor * shift + offset, mimic.get("joint", "")
    raise DatasetError(
        description.source,
        f"joint {shown(joint.name)} is not recorded",
        f"name the joint of each column by joints; recorded are {_list(tuple(columns))}",
    )


def _number(description: Description, joint: str, attributes: Mapping[str, str], key: str, otherwise: float) -> float:
    value = attributes.get(key, "")
    try:
        number = float(value) if value else otherwise
    except ValueError:
        number = float("nan")
    if not abs(number) < 1e9:
        raise DatasetError(
            description.source, f"joint {shown(joint)}: {key} of its mimic is not a number: {value[:40]!r}"
        )
    return number


def _skeleton(path: Sequence[Joint]) -> str:
    """A URDF of links without shape, each with mass and inertia 1, so that MuJoCo takes them as they are."""
    robot = ET.Element("robot", name="chain")
    ET.SubElement(ET.SubElement(robot, "mujoco"), "compiler", fusestatic="false", angle="radian")
    for link in [path[0].parent, *(joint.child for joint in path)]:
        inertial = ET.SubElement(ET.SubElement(robot, "link", name=link), "inertial")
        ET.SubElement(inertial, "mass", value="1")
        ET.SubElement(inertial, "inertia", ixx="1", iyy="1", izz="1", ixy="0", ixz="0", iyz="0")
    for joint in path:
        made = ET.SubElement(robot, "joint", name=joint.name, type=joint.type)
        for part in _PASSED_ON:
            if part in joint.parts:
                ET.SubElement(made, part, dict(joint.parts[part]))
    return ET.tostring(robot, encoding="unicode")


def _list(names: Sequence[str]) -> str:
    some = ", ".join(name[:60] for name in names[:30])
    return f"{some} and {len(names) - 30} more" if len(names) > 30 else some or "none"
