"""What the maker knows of its recordings, and never writes beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KINDS: Final = (
    "frozen_channel", "clipped", "action_lag", "leader_offset", "truncated", "duplicate", "near_duplicate",
    "dropped_frames", "timestamp_jitter", "wrong_fps", "flipped_gripper", "mixed_units", "teleport", "nan_burst",
    "idle_start", "idle_end", "wrong_task", "label_flipped", "noise_burst", "stalled",
)  # fmt: skip
"""Every kind of defect the maker plants."""
ENDS: Final = ("released", "empty", "holding", "cut_off", "dropped")
"""How an episode may end."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to take something, in frames of its episode."""

    start: int
    """Frame at which the fingers start to close."""
    end: int
    """Frame from which the fingers have settled; ``start < end``."""
    held: bool
    """Something is between the fingers at ``end``."""
    lost_at: int | None = None
    """Frame at which the thing falls out before it was meant to."""
    arm: int = 0
    """Which hand, in the order of the columns."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A defect of one episode, in frames [start, end)."""

    kind: str
    """One of ``KINDS``."""
    feature: str
    """``observation.state``, ``action``, ``timestamp``, ``task``, ``outcome`` or ``episode`` (all of it)."""
    column: int | None
    """Column of the feature; None: all or several."""
    start: int
    end: int
    of: int | None = None
    """Of a copy: the ``episode_index`` it was copied from."""
    note: str = ""
    """The variant and its strength, in words."""


@dataclass(frozen=True, slots=True)
class EpisodeTruth:
    """What happened in an episode."""

    episode_index: int
    success: bool
    """The operator got the task done (a defect of the data changes nothing about it, except a cut)."""
    ends: str
    """One of ``ENDS``; of a task without a grasp, ``released`` if done and ``empty`` if given up."""
    attempts: tuple[Attempt, ...]
    """In order of time; complete (none is cut by the end of the episode)."""
    retries: int
    """Attempts that follow one that missed or lost the same thing."""
    idle_closings: tuple[tuple[int, int], ...]
    """Closings of a hand, [start, end), that try to take nothing."""
    planted: tuple[Planted, ...]
    """At most one."""
    task: str
    """Text of the task that was done, whatever the recording says."""
    success_told: bool | None = None
    """What the operator's list of outcomes says; None where the recipe has no list."""
    session: int = 0
    """Which recording session, from 0."""
