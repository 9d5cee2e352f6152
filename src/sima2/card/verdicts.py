"""The verdicts on segments that a card measures: their names, what each is measured by, and where it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from sima2.records.segments import Segment

FAILED_ATTEMPT, DROP, FAILED_EPISODE = "failed_attempt", "drop", "failed_episode"
UNNOTICED, OPENED, UNNOTICED_EPISODE = "failed_attempt_unnoticed", "drop_opened", "failed_episode_unnoticed"
BEHAVIOUR_OF: Final[Mapping[str, tuple[str, ...]]] = {
    FAILED_ATTEMPT: ("missed_grasp", "missed_grasp_retried"),
    UNNOTICED: ("missed_and_carried_on",),
    DROP: ("slip",),
    OPENED: ("drop", "early_release"),
}
"""What each verdict on segments is measured by. Who carries on with empty fingers, or opens them on the way, leaves
little that tells: these are rows of their own, of which the verdict is the same."""
EPISODE_OF: Final[Mapping[str, str]] = {
    FAILED_ATTEMPT: FAILED_EPISODE,
    DROP: FAILED_EPISODE,
    UNNOTICED: UNNOTICED_EPISODE,
    OPENED: UNNOTICED_EPISODE,
}
"""The verdict on the episode that is measured by the same."""
SAME_AS: Final[Mapping[str, str]] = {
    UNNOTICED: FAILED_ATTEMPT,
    OPENED: DROP,
    UNNOTICED_EPISODE: FAILED_EPISODE,
}
"""Rows that measure a verdict by other faults: how often it is told, and falsely, stands in the other row."""
LOST: Final = ("drop", "gripper_slip")
"""Reasons of a segment from which a thing was lost."""


def failed_attempts(segments: Iterable[Segment]) -> list[tuple[int, int]]:
    """Frames of the grasps of an episode that are told to have failed."""
    return [
        (each.start_frame, each.end_frame)
        for each in segments
        if each.label == "grasp" and each.outcome in ("failure", "retry") and each.failure_reason not in LOST
    ]


def losses(segments: Iterable[Segment]) -> list[tuple[int, int]]:
    """Frames in which a thing is told to have been lost; segments of one loss that touch are one."""
    out: list[tuple[str, int, int]] = []
    for each in sorted(segments, key=lambda each: (each.manipulator, each.start_frame)):
        bad = each.outcome in ("failure", "retry") and each.failure_reason in LOST
        if not (bad or each.label == "slip"):
            continue
        if out and out[-1][0] == each.manipulator and out[-1][2] >= each.start_frame:
            out[-1] = (each.manipulator, out[-1][1], each.end_frame)
        else:
            out.append((each.manipulator, each.start_frame, each.end_frame))
    return [(start, end) for _, start, end in out]


EVENTS: Final[Mapping[str, Callable[[Iterable[Segment]], list[tuple[int, int]]]]] = {
    FAILED_ATTEMPT: failed_attempts,
    UNNOTICED: failed_attempts,
    DROP: losses,
    OPENED: losses,
}
"""What each verdict on segments tells of an episode."""
TOLD_OF: Final = (FAILED_ATTEMPT, DROP)
"""Of those that are the same, the row that tells how often it is told in the set, and how sure it is there."""


def asked_of(segments: Iterable[Segment]) -> int:
    """Places at which a grasp may have failed or a thing been lost."""
    return sum(each.label == "grasp" for each in segments)
