"""What is known of robots by their name: how their sets lay out a state, and what their grippers' numbers mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Robot:
    """A row of the table."""

    words: tuple[str, ...]
    """Any of which in the robot's name, or in those of its gripper's columns, means it."""
    source: str
    """Who says so."""
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


ROBOTS: Final = (
    Robot(
        words=("so100", "so101", "so", "koch", "lekiwi"),
        source="0 is closed and 100 open, as LeRobot calibrates the SO-100, SO-101 and Koch",
        larger_is_open=True,
        closed_at_zero=True,
        arms=((5, 1),),
    ),
    Robot(
        words=("aloha", "viperx", "vx300s", "widowx", "wx250s"),
        source="0 is closed and 1 open, as ALOHA records it",
        larger_is_open=True,
        closed_at_zero=True,
        arms=((6, 1), (6, 1)),
    ),
    Robot(("inspire",), "as the Inspire hand's interface defines it", larger_is_open=True, share_only=True),
    Robot(("robotiq", "2f85", "2f140"), "as the Robotiq gripper's register defines it", larger_is_open=False),
    Robot(("droid",), "as DROID records its Robotiq gripper", larger_is_open=False),
    Robot(("drive",), "as the description of the xArm gripper's drive joint defines it", larger_is_open=False),
    Robot(
        words=("franka", "panda", "fr3"),
        source="each finger slides 0 to 0.04 m, as the Franka Hand's description defines it",
        larger_is_open=True,
        finger_unit="m",
        finger_reach=0.04,
        arms=((7, 1),),
    ),
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
