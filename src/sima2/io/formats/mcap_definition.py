"""What the bytes of a ROS 2 message mean: its definition (``ros2msg``), and where its numbers lie in CDR.

Definitions as rosbag2 stores them: the message's own, then those it uses, each under ``MSG: package/Name`` after a line
of ``=``. CDR is plain (XCDR version 1, OMG DDS-XTypes 7.4): four bytes of encapsulation, then fields aligned to their
size, at most 8.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

PRIMITIVES: Final[Mapping[str, str]] = {
    "bool": "u1",
    "byte": "u1",
    "char": "u1",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "int64": "i8",
    "uint64": "u8",
    "float32": "f4",
    "float64": "f8",
}
"""Types of numbers as numpy names them, without the order of bytes."""
WORDS: Final = "string"
"""Kind of a field that holds text."""
DEEPEST: Final = 12
"""Messages within messages; the deepest of the standard ones has 5."""
MAX_DEFINITION: Final = 256 * 1024
MAX_FIELDS: Final = 2000
"""Fields of a definition, those of the messages it uses among them."""
MAX_NUMBERS: Final = 1024
"""Numbers of one list that may be a robot's state; more are an image or a scan."""
MAX_LEAVES: Final = 4096
"""Fields of a message with values; what has more is no state."""
STAMP: Final = "header.stamp"
"""Path of the time at which a message was made."""
_ARRAY: Final = re.compile(r"^([^\[\]<=]+)(?:<=\d+)?(?:\[(<=)?(\d*)\])?$")
_SPLIT: Final = re.compile(r"^=+\s*$", re.MULTILINE)
_BUILT_IN: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "builtin_interfaces/Time": (("int32", "sec"), ("uint32", "nanosec")),
    "builtin_interfaces/Duration": (("int32", "sec"), ("uint32", "nanosec")),
}


class DefinitionError(ValueError):
    """A definition or a message that cannot be read."""


class Member(NamedTuple):
    """A field of a message."""

    name: str
    kind: str
    """A type of numbers as numpy names it, ``string``, or the full name of a message."""
    length: int | None
    """None for one value, 0 for a sequence that says its own length, else the length of an array."""


Definition = Mapping[str, tuple[Member, ...]]
"""Messages by full name; the outermost under the empty name."""


class Leaf(NamedTuple):
    """Numbers of a message side by side."""

    path: str
    kind: str
    """As numpy names it, with the order of bytes."""
    at: int
    """First byte in the message."""
    length: int | None
    """How many; None for one that is no list."""


@dataclass(slots=True)
class Layout:
    """Where everything lies in a message."""

    leaves: list[Leaf] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    """Lists of text by path, as they name joints."""
    fixed: list[tuple[int, int]] = field(default_factory=list)
    """Bytes, from and to, that say how long things are and what they are called: a message in which they are the same
    has the same layout."""
    stamp: int | None = None
    """First byte of the time of making."""
    steps: int = 0
    """Fields and texts that were gone through to find it."""


@lru_cache(maxsize=256)  # of many files the definitions are the same
def parse_definition(name: str, text: str) -> Definition:
    """A definition of messages.

    Args:
        name: full name of the outermost, such as ``sensor_msgs/msg/JointState``.
        text: its definition and those of what it uses.

    Raises:
        DefinitionError: if it cannot be read, uses what is not there, or a message holds itself.

    >>> parse_definition("a/msg/B", "float64[] position\\nstring<=5 name 'x' # a name\\nint32 LIMIT=3")[""]
    (Member(name='position', kind='f8', length=0), Member(name='name', kind='string', length=None))
    """
    if len(text) > MAX_DEFINITION:
        raise DefinitionError("its definition is too long")
    parts = _SPLIT.split(text)
    raw: dict[str, list[tuple[str, str]]] = {"": _fields(parts[0])}
    for part in parts[1:]:
        head, _, body = part.strip().partition("\n")
        if head.startswith("MSG:"):
            raw.setdefault(_short(head[4:].strip()), _fields(body))
    if sum(map(len, raw.values())) > MAX_FIELDS:
        raise DefinitionError("its definition has too many fields")
    for built_in, members in _BUILT_IN.items():
        raw.setdefault(built_in, list(members))
    found: dict[str, tuple[Member, ...]] = {}
    _resolve("", _short(name), raw, found, ())
    return found


def _fields(text: str) -> list[tuple[str, str]]:
    """Type and name of each field; constants and comments are none."""
    found = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split(None, 2)
        if len(words) < 2 or "=" in words[1] or (len(words) > 2 and words[2].startswith("=")):
            continue
        found.append((words[0], words[1]))
    return found


def _short(name: str) -> str:
    """``package/Name``, whether or not ``msg`` stands between them."""
    parts = name.split("/")
    return f"{parts[0]}/{parts[-1]}" if len(parts) > 1 else name


def _resolve(
    name: str,
    full: str,
    raw: Mapping[str, Sequence[tuple[str, str]]],
    found: dict[str, tuple[Member, ...]],
    within: tuple[str, ...],
) -> None:
    if name in found:
        return
    if name in within:
        raise DefinitionError(f"{full[:60]} holds itself")
    if len(within) >= DEEPEST:
        raise DefinitionError("its definition is too deep")
    members = []
    for kind, called in raw[name]:
        match = _ARRAY.match(kind)
        if match is None:
            raise DefinitionError(f"type {kind[:40]!r} cannot be read")
        base, bounded, count = match.groups()
        length = None if count is None else 0 if bounded or not count else int(count[:10])
        if count and not bounded and length == 0:
            raise DefinitionError("an array of length 0")
        if base in PRIMITIVES:
            members.append(Member(called, PRIMITIVES[base], length))
        elif base == WORDS:
            members.append(Member(called, WORDS, length))
        else:
            used = _find(base, full, raw)
            _resolve(used, used, raw, found, (*within, name))
            members.append(Member(called, used, length))
    found[name] = tuple(members)


def _find(base: str, within: str, raw: Mapping[str, object]) -> str:
    """The full name of a message that is used in another, which may leave out its own package."""
    candidates = [_short(base)] if "/" in base else [f"{within.split('/')[0]}/{base}", f"std_msgs/{base}"]
    for each in candidates:
        if each in raw:
            return each
    raise DefinitionError(f"type {base[:60]!r} is not defined")


def layout_of(definition: Definition, data: bytes) -> Layout:
    """Where everything lies in a message of CDR.

    Raises:
        DefinitionError: if the message does not fit its definition.
    """
    if len(data) < 4 or data[0] != 0 or data[1] not in (0, 1):
        raise DefinitionError("its encapsulation is no plain CDR")
    layout = Layout(fixed=[(0, 2)])
    walk = _Walk(definition, data, ">" if data[1] == 0 else "<", layout)
    try:
        walk.message("", "", 0)
    except struct.error:
        raise DefinitionError("it ends before its last field") from None
    layout.steps = walk.steps
    return layout


@dataclass(slots=True)
class _Walk:
    definition: Definition
    data: bytes
    order: str
    layout: Layout
    at: int = 4
    steps: int = 0

    def message(self, name: str, path: str, inside: int) -> None:
        """The fields of a message; ``inside`` counts the lists of messages around it."""
        if not self.definition[name]:  # of an empty message there is one byte that says nothing
            self.at += 1
        for member in self.definition[name]:
            where = f"{path}.{member.name}" if path else member.name
            if member.kind == WORDS:
                self._words(where, member.length, inside)
            elif member.kind in self.definition:
                self._messages(where, member, inside)
            else:
                self._numbers(where, member, inside)
            self.steps += 1
            if self.steps > MAX_LEAVES:
                raise DefinitionError("it has too many fields for a state")

    def _messages(self, where: str, member: Member, inside: int) -> None:
        if member.length is None:
            if where == STAMP:
                self.layout.stamp = self.at + (-(self.at - 4)) % 4
            self.message(member.kind, where, inside)
            return
        for _ in range(member.length or self._length()):
            self.message(member.kind, where, inside + 1)
            if self.at > len(self.data):
                raise DefinitionError("it ends before its last field")

    def _length(self) -> int:
        at = self.at + (-(self.at - 4)) % 4
        (count,) = struct.unpack_from(f"{self.order}I", self.data, at)
        self.layout.fixed.append((at, at + 4))
        self.at = at + 4
        return int(count)

    def _words(self, where: str, length: int | None, inside: int) -> None:
        texts = []
        for _ in range(1 if length is None else length or self._length()):
            size = self._length()
            if size > len(self.data) - self.at:
                raise DefinitionError("a text goes beyond its end")
            self.layout.fixed.append((self.at, self.at + size))
            texts.append(self.data[self.at : self.at + size].rstrip(b"\0").decode("utf-8", "replace"))
            self.at += size
            self.steps += 1
            if self.steps > MAX_LEAVES:
                raise DefinitionError("it has too many texts for a state")
        if length is not None and not inside:
            self.layout.texts[where] = texts

    def _numbers(self, where: str, member: Member, inside: int) -> None:
        size = int(member.kind[1])
        count = 1 if member.length is None else member.length or self._length()
        if count:
            self.at += (-(self.at - 4)) % size
        if count * size > len(self.data) - self.at:
            raise DefinitionError("numbers go beyond its end")
        if not inside and count <= MAX_NUMBERS:
            listed = None if member.length is None else count
            self.layout.leaves.append(Leaf(where, f"{self.order}{member.kind}", self.at, listed))
        self.at += count * size
