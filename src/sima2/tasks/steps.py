"""The words scripts are written in: a step is one move of the hand, naming its ends instead of holding numbers.

Positions, durations, widths and forces are names here; ``scene`` draws their values for every episode, so that one
script serves all episodes of a structure and a batch of any structures is laid out without a loop over episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.vocabulary import LABELS, OUTCOMES, REASONS

ROLES: Final = ("item", "target", "third", "obstacle")
"""What an object is to a task; ``third`` is a second bin, tool or screen."""

SCALARS: Final = (
    "zero",
    # durations, s
    "reach", "hesitate", "pause", "detour", "descend", "close", "squeeze", "lift", "carry", "lower", "touch", "open",
    "settle", "leave", "go_home", "dwell", "react", "raise", "aside", "wiggle", "pop", "fall", "strain", "pretension",
    "pull", "press", "stroke", "turn", "push", "bump", "back_off", "look", "tip", "still",
    # gripper, m and N
    "wide", "item_width", "squeezed", "shut", "rim_width", "hold", "weak_hold",
    # external force, N, and impulses, N s
    "light_touch", "pressing", "light_press", "pulling", "breakaway", "straining", "pushing", "bumping",
    "touchdown", "crash",
    # arcs, m, and angles, rad
    "reach_arc", "carry_arc", "high_arc", "pitch", "roll", "rest_pitch", "rest_roll", "tilt",
    # pose confidence
    "seen", "dim", "blind",
)  # fmt: skip
"""Names of the scalars of a task."""

VECTORS: Final = (
    "none", "pre", "side", "at", "miss", "lift", "over", "down", "off_target", "high_stop", "outside", "short", "back",
    "up", "away", "raise", "rest", "retract", "toward", "dock", "aside", "sway_a", "sway_b", "pull", "rebound",
    "behind", "shove", "slide", "drift", "fist", "rim", "b0", "e0", "b1", "e1", "b2", "e2", "b3", "e3", "edge",
    "view_a", "view_b", "view_c", "vertical", "axis", "against",
)  # fmt: skip
"""Names of the offsets and directions of a task, m."""

LEVELS: Final = ("pitch", "roll", "width", "grip", "force")
"""What a step may change besides the position of the hand, in the order of the state."""

REFERENCES: Final = ("stay", "rel", "at", "onto", "behind", "home", "rail")
"""What a position is told by: the hand, an object, an object to be brought onto another, the far side of an object, the
resting place of the hand, or where an object stood in the beginning."""

OWN_MOTIONS: Final = ("", "glide", "fall", "tip", "right")
"""How an object moves besides being carried; ``right`` sets a tipped one upright."""

PROFILES: Final = ("smooth", "coast", "halt")
"""Minimum jerk from whatever speed there is; brake to a stop; stopped at once."""

BANDS: Final = 4
"""Strokes it takes to cover a surface."""


@dataclass(frozen=True, slots=True)
class Step:
    """One move of the hand and what goes with it."""

    label: str
    """One of ``vocabulary.LABELS``."""
    time: str
    """Scalar: s it takes; a step of no duration does not happen."""
    to: tuple[str, ...] = ()
    """Reference, roles and the offset's name; empty is to stay."""
    about: str = ""
    """Role of the object the segment concerns."""
    pitch: str = ""
    roll: str = ""
    width: str = ""
    grip: str = ""
    force: str = ""
    """Level of the external force at the end; empty keeps it."""
    pulse: str = ""
    """Impulse at the start."""
    direction: str = "vertical"
    """Vector: where the external force points."""
    carry: tuple[str, ...] = ()
    """Roles of the objects that move with the hand."""
    own: tuple[str, str, str] = ("", "item", "none")
    """Own motion of an object: kind, role, displacement."""
    profile: str = "smooth"
    arc: str = ""
    sight: str = ""
    """Pose confidence of the item at the end; empty keeps it."""
    exposed: bool = False
    """The hazard may strike here."""
    event: bool = False
    """The failure event is the start of this step."""
    outcome: str = "success"
    reason: str = ""
    recovery: bool = False
    """A correction is under way."""
    band: int = -1
    """Band of the surface this stroke covers."""
    again: bool = False
    """Begins a segment even after one of the same kind."""
    stage: int = 0
    """Which of the episode's tasks it serves."""


Steps = tuple[Step, ...]


def corrected(steps: Iterable[Step]) -> Steps:
    """The same steps as part of a correction."""
    return tuple(replace(step, recovery=True) for step in steps)


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The scripts of one kind of task."""

    nominal: Steps
    """All goes well."""
    strikes: Mapping[str, Steps]
    """Failure mode to what its event does."""
    recover: Callable[[str, str], Steps]
    """Mode and strategy to the way from the failure to the goal."""
    vain: Callable[[str, str], Steps]
    """Mode and strategy to an attempt that fails."""
    abort: Callable[[str], Steps]
    """What is done after the last attempt."""
    carry_on: Callable[[str], Steps] | None = None
    """Event and end of an episode whose failure comes right with no attempt."""


@dataclass(frozen=True, slots=True)
class Program:
    """A script in codes: one row a step, columns of small integers."""

    codes: NDArray[np.int16]
    """Shape (k, len(FIELDS))."""

    def __len__(self) -> int:
        return len(self.codes)


FIELDS: Final = (
    "label", "time", "ref", "role", "role2", "vector", *LEVELS, "pulse", "direction", "carry", "carry2",
    "own", "own_role", "own_vector", "profile", "arc", "sight", "exposed", "event", "outcome", "reason", "recovery",
    "band", "again", "stage", "about",
)  # fmt: skip
"""Columns of a program."""

FIELD: Final = {name: place for place, name in enumerate(FIELDS)}
_SCALAR: Final = {name: code for code, name in enumerate(SCALARS)}
_VECTOR: Final = {name: code for code, name in enumerate(VECTORS)}
_ROLE: Final = {"": -1, **{name: code for code, name in enumerate(ROLES)}}


def compile_steps(steps: Steps) -> Program:
    """Codes of a script; -1 stands for "keep" and "none"."""

    def keep(name: str) -> int:
        return _SCALAR[name] if name else -1

    def row(step: Step) -> list[int]:
        kind, *rest = step.to or ("stay",)
        vector = rest.pop() if rest else "none"
        roles = [*rest, "", ""]
        carry = [*step.carry, "", ""]
        own, own_role, own_vector = step.own
        return [
            LABELS.index(step.label),
            _SCALAR[step.time],
            REFERENCES.index(kind),
            _ROLE[roles[0]],
            _ROLE[roles[1]],
            _VECTOR[vector],
            *(keep(getattr(step, level)) for level in LEVELS),
            _SCALAR[step.pulse or "zero"],
            _VECTOR[step.direction],
            _ROLE[carry[0]],
            _ROLE[carry[1]],
            OWN_MOTIONS.index(own),
            _ROLE[own_role],
            _VECTOR[own_vector],
            PROFILES.index(step.profile),
            _SCALAR[step.arc or "zero"],
            keep(step.sight),
            step.exposed,
            step.event,
            OUTCOMES.index(step.outcome),
            REASONS.index(step.reason),
            step.recovery,
            step.band,
            step.again,
            step.stage,
            _ROLE[step.about],
        ]

    return Program(np.array([row(step) for step in steps], np.int16).reshape(-1, len(FIELDS)))
