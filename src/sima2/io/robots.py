"""What is known of robots by their name: how their sets lay out a state, what their grippers' numbers mean, and the
chain of joints that carries the hand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sima2.io.robot_chains import (
    FR3,
    G1_LEFT,
    G1_RIGHT,
    KOCH,
    PANDA,
    SO101,
    UR,
    VX300S,
    XARM6,
    XARM7,
    ArmRow,
)

ANY_ARM: Final = ""
"""Key of the chain of a robot whose arms are alike."""
CALIBRATED: Final = (
    "where its joints are 0 and which way they turn depends on how it was calibrated, and numbers from -100 to 100 may "
    "be percent of a range, which are no angles"
)


@dataclass(frozen=True, slots=True)
class Robot:
    """A row of the table."""

    words: tuple[str, ...]
    """Any of which in the robot's name, or in those of its gripper's columns, means it."""
    source: str = ""
    """Who says what its gripper's numbers mean."""
    larger_is_open: bool | None = None
    """Of the gripper's number; None where nothing defines it."""
    share_only: bool = False
    """… only where the numbers lie from 0 to 1."""
    closed_at_zero: bool = False
    """Calibrated so that 0, or the closed end of 0 to 1, is where the fingers meet with nothing between them."""
    finger_unit: str = ""
    """Unit of fingers that slide, 0 where they meet."""
    finger_reach: float = 0.0
    """Farthest that one of these goes, in that unit."""
    arms: tuple[tuple[int, int], ...] = ()
    """Joints and gripper columns of each arm, one after the other, in a state whose columns have no names."""
    name: str = ""
    """By which a column map asks for its chain."""
    chains: Mapping[str, ArmRow] = field(default_factory=dict)
    """From base to hand, by ``left`` and ``right`` where they differ, else under ``ANY_ARM``."""
    units: tuple[str, ...] = ("rad", "deg")
    """Units in which its joints are recorded as the chain has them; another unit means another calibration."""
    nameless: tuple[str, ...] = ()
    """Columns that do not name the joints are taken in the chain's order where they are ``numbered`` or ``unnamed``."""
    unsure: str = ""
    """Why the chain is used only where a map asks for it; empty where the name suffices."""

    def chain_of(self, arm: str, joints: int | None = None) -> ArmRow | None:
        """The chain of an arm by its name; none where it has none, or none of so many joints."""
        found = self.chains.get(arm, self.chains.get(ANY_ARM))
        return found if found is not None and joints in (None, len(found.joints)) else None


_SO: Final = Robot(
    words=("so100", "so101", "so", "lekiwi"),
    source="0 is closed and 100 open, as LeRobot calibrates the SO-100, SO-101 and Koch",
    larger_is_open=True,
    closed_at_zero=True,
    arms=((5, 1),),
    name="so101",
    chains={ANY_ARM: SO101},
    units=("deg",),
    unsure=CALIBRATED,
)
_ALOHA: Final = Robot(
    words=("aloha",),
    source="0 is closed and 1 open, as ALOHA records it",
    larger_is_open=True,
    closed_at_zero=True,
    arms=((6, 1), (6, 1)),
    name="vx300s",
    chains={ANY_ARM: VX300S},
    units=("rad",),
    unsure="sets of that name are made with other arms, too",
)
_FRANKA: Final = Robot(
    words=("franka", "panda", "fer"),
    source="each finger slides 0 to 0.04 m, as the Franka Hand's description defines it",
    larger_is_open=True,
    finger_unit="m",
    finger_reach=0.04,
    arms=((7, 1),),
    name="franka",
    chains={ANY_ARM: PANDA},
    nameless=("numbered", "unnamed"),
)

ROBOTS: Final = (
    _SO,
    replace(_SO, words=("koch",), name="koch", chains={ANY_ARM: KOCH}),
    _ALOHA,
    replace(_ALOHA, words=("viperx", "vx300s"), unsure=""),
    replace(_ALOHA, words=("widowx", "wx250s"), name="", chains={}, unsure=""),
    Robot(("inspire",), "as the Inspire hand's interface defines it", larger_is_open=True, share_only=True),
    Robot(("robotiq", "2f85", "2f140"), "as the Robotiq gripper's register defines it", larger_is_open=False),
    Robot(("droid",), "as DROID records its Robotiq gripper", larger_is_open=False),
    Robot(("drive",), "as the description of the xArm gripper's drive joint defines it", larger_is_open=False),
    replace(_FRANKA, words=("fr3",), name="fr3", chains={ANY_ARM: FR3}),
    _FRANKA,
    *(Robot((model,), name=model, chains={ANY_ARM: row}, nameless=("numbered",)) for model, row in UR.items()),
    Robot(("xarm6", "xarm"), name="xarm6", chains={ANY_ARM: XARM6}, nameless=("numbered", "unnamed")),
    Robot(("xarm7", "xarm"), name="xarm7", chains={ANY_ARM: XARM7}, nameless=("numbered", "unnamed")),
    Robot(("g1",), name="g1", chains={"left": G1_LEFT, "right": G1_RIGHT}),
)
"""Rows in order: the first that fits is taken."""


def robot_rows(name: str, columns: Sequence[Sequence[str]] = ()) -> list[Robot]:
    """The rows that a robot's name, or a word of the names of its gripper's columns, points to.

    >>> [row.words[0] for row in robot_rows("so101_follower")], robot_rows("my_arm")
    (['so100'], [])
    """
    said = {word for word in re.split(r"[^a-z0-9]+", name.lower()) if word}
    said |= {word for each in columns for word in each}
    return [row for row in ROBOTS if said & set(row.words)]


def chain_rows(name: str) -> list[Robot]:
    """The rows with a chain that a robot's name points to.

    >>> [row.name for row in chain_rows("Unitree_G1_Inspire")], [row.name for row in chain_rows("xarm")]
    (['g1'], ['xarm6', 'xarm7'])
    """
    return [row for row in robot_rows(name) if row.chains]


def chain_names() -> tuple[str, ...]:
    """Robots whose chain a column map may ask for."""
    return tuple(dict.fromkeys(row.name for row in ROBOTS if row.chains))


def chain_row(name: str) -> Robot | None:
    """The row whose chain a column map asks for by this name."""
    return next((row for row in ROBOTS if row.chains and row.name == name), None)
