"""The words scripts are written in: a step is one move of the hand, naming its ends instead of holding numbers.

Positions, durations, widths and forces are names here; ``scene`` draws their values for every episode, so that one
script serves all episodes of a structure and a batch of any structures is laid out without a loop over episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
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
    pulse: str = "zero"
    """Impulse at the start."""
    direction: str = "vertical"
    """Vector: where the external force points."""
    carry: tuple[str, ...] = ()
    """Roles of the objects that move with the hand."""
    own: tuple[str, str, str] = ("", "item", "none")
    """Own motion of an object: kind, role, displacement."""
    profile: str = "smooth"
    arc: str = "zero"
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


_VOCABULARIES: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("time", "pulse", "arc", "sight", *LEVELS), SCALARS),
    **dict.fromkeys(("vector", "direction", "own_vector"), VECTORS),
    **dict.fromkeys(("about", "role", "role2", "carry", "carry2", "own_role"), ROLES),
    "label": LABELS, "ref": REFERENCES, "own": OWN_MOTIONS, "profile": PROFILES, "outcome": OUTCOMES, "reason": REASONS,
}  # fmt: skip
_NUMBERS: Final = ("exposed", "event", "recovery", "band", "again", "stage")

FIELD: Final = {name: place for place, name in enumerate((*_VOCABULARIES, *_NUMBERS))}
"""Columns of a compiled script: words by their place in a vocabulary, then numbers."""


def compile_steps(steps: Steps) -> NDArray[np.int16]:
    """Codes of a script, one row a step, shape (k, fields); -1 stands for "keep" and "none"."""
    return np.array([_codes(step) for step in steps], np.int16).reshape(-1, len(FIELD))


def _codes(step: Step) -> list[int]:
    kind, *roles, vector = step.to or ("stay", "none")
    role, role2 = (*roles, "", "")[:2]
    carry, carry2 = (*step.carry, "", "")[:2]
    own, own_role, own_vector = step.own
    told = asdict(step) | {
        "ref": kind, "role": role, "role2": role2, "vector": vector, "carry": carry, "carry2": carry2,
        "own": own, "own_role": own_role, "own_vector": own_vector,
    }  # fmt: skip
    words = (names.index(told[name]) if told[name] or "" in names else -1 for name, names in _VOCABULARIES.items())
    return [*words, *(int(told[name]) for name in _NUMBERS)]
