"""The closed vocabularies: codes in memory, names in every file. Order is part of the format."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

LABELS: Final = (
    "unknown",
    "idle",
    "approach",
    "grasp",
    "lift",
    "transport",
    "place",
    "pull",
    "push",
    "wipe",
    "release",
    "retreat",
    "collision",
    "slip",
    "recovery_maneuver",
)
"""What a manipulator does in a segment.

A press or a poke is a ``push``, hooking something along a ``pull``. A hand that closes with nothing it acts on within
reach keeps the label of its free motion.
"""

CONTACT_ACTIONS: Final = ("grasp", "lift", "transport", "place", "pull", "push", "wipe", "release")
ANOMALIES: Final = ("collision", "slip")
FREE_MOTION: Final = ("approach", "retreat")

OUTCOMES: Final = ("unknown", "success", "failure", "retry")
"""How a segment ended; ``retry`` is a failed attempt followed by another at the same (action, object)."""

REASONS: Final = (
    "",
    "missed_grasp",
    "gripper_slip",
    "drop",
    "locked",
    "collision",
    "obstructed",
    "insufficient_force",
    "misplaced",
    "unstable",
    "incomplete",
    "timeout",
)
"""Why a segment failed; empty where it did not."""

TELLS_OF_THINGS: Final = frozenset({"grip_force", "contact_force", "objects"})
"""Of the kinds of channel that a segment rests on, those that tell whether something is there: else a slip, drop
or collision does not show, and neither does success with a thing. Fingers and motion alone do not tell."""

TAG_KINDS: Final = ("predictive", "diagnostic")
OUTCOME_SOURCES: Final = ("none", "recorded", "task_sensor", "inferred", "person")
"""Where an outcome is known from: what a person says goes before what was recorded, that before what is inferred."""
RELATIONS: Final = ("opened", "placed_on", "placed_in", "wiped", "visible", "held", "home")
"""What a goal asks of its object: moved along its joint, at rest on or in the target, wiped, seen, held, at home."""
UNKNOWN: Final = "unknown"

_INSTANCE: Final = re.compile(r"(?:_(?:[A-Za-z]|[0-9]+))+$")


@lru_cache(maxsize=4096)
def object_class(name: str) -> str:
    """Class of an object: its name without the suffixes that number an instance (``_<letter>``, ``_<digits>``).

    Only the form of the suffix counts, never what a name means.

    >>> object_class("drawer_handle_a"), object_class("cup_12"), object_class("unknown_mesh_v9"), object_class("_a")
    ('drawer_handle', 'cup', 'unknown_mesh_v9', '_a')
    """
    return _INSTANCE.sub("", name) or name


ENDS: Final = ("let_go", "holding", "empty", "lost", "nothing_taken", "unsure")
"""How an episode known by joints and fingers alone seems to end: with what was taken let go, still held, not taken, or
lost on the way; with nothing that was to be taken; or with fingers that do not tell."""
