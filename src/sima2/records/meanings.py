"""What columns mean that stand in several tables: said once, the same in each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sima2.records.vocabulary import ENDS, LABELS, OUTCOMES, REASONS


def one_of(names: Iterable[str]) -> str:
    """The values that a text column may hold, the empty one apart.

    >>> one_of(("", "kept", "dropped"))
    'one of `kept`, `dropped`'
    """
    return f"one of {', '.join(f'`{name}`' for name in names if name)}"


EPISODE_INDEX: Final = (
    "Number of the episode, which may have gaps and is no place: the source's own where the folder holds one source; "
    "those of a later source go on after those of the sources before it."
)
EPISODE_ID: Final = "Name of the episode, unique over all sources: id of its source and its own number there."
FAMILY: Final = "Kind of task; `unknown` where the source does not tell."
ROBOT: Final = "Kind of robot; `unknown` where the source does not tell."
INSTRUCTION: Final = "The task in words, as the source gives it; empty where it gives none."
MANIPULATOR: Final = "Name of the arm; `arm` where the robot has one."
SEGMENT_ID: Final = "Number of the segment, unique within the episode, from 0 in the order in which they became final."
OBJECT: Final = "Name of the object concerned; empty where there is none or it is not known."
OBJECT_CLASS: Final = "Class of the object concerned: its name without the number of the instance; empty where none is."
START_FRAME: Final = "First frame, counted from the episode's start."
END_FRAME: Final = "One past the last frame."
SUCCESS: Final = "1 success, 0 failure, NaN not known."
INFERRED_END: Final = (
    f"How it seems to end by its last attempt at taking something: {one_of(ENDS)}; empty where poses or forces tell of "
    "things."
)
DEBUG_MODE: Final = "Recorded for debugging: no reference, and never called strange."
DRAW_P: Final = "Probability of each draw; sums to 1 over the plan."
DRAW_WEIGHT: Final = "Importance weight 1 / (n p) over the largest such weight, for unbiased losses; 0 where p is 0."
SEGMENT_LABEL: Final = f"What the arm does: {one_of(LABELS)}."
SEGMENT_OUTCOME: Final = (
    f"How it ended: {one_of(OUTCOMES)}; `retry` is a failed attempt followed by another at the same action and object."
)
FAILURE_REASON: Final = f"Why it failed: {one_of(REASONS)}; empty where it did not."
CONFIDENCE: Final = "Calibrated probability that the label is right, 0 to 1."
