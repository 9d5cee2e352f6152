"""Stretches of episodes that segments tell a trainer may not want: failed attempts, and the drive home."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Bools
from sima2.records.plan import SegmentVerdicts
from sima2.records.segments import SegmentTable
from sima2.records.table import Text

VERDICTS: Final = ("failed_attempt", "lost_grip", "failed_step", "drive_home")
LOST: Final = ("drop", "gripper_slip")
"""Reasons of a segment by which what was held is lost."""
_HOMEWARD: Final = ("retreat", "idle")
"""Labels of what follows the last thing done."""


def segment_verdicts(segments: SegmentTable) -> SegmentVerdicts:
    """Attempts that failed and were made again, a grasp with the approach to it, and what follows the last deed.

    Segments of an episode and manipulator stand together in their order; what was tried with success, and the way back
    to the next attempt, stay out.

    Args:
        segments: of whole episodes.
    """
    n = len(segments)
    if not n:
        return SegmentVerdicts.empty()
    same = _continues(segments)
    failed = segments.outcome.isin("retry")
    lost = failed & segments.failure_reason.isin(*LOST)
    grasp = failed & ~lost & segments.label.isin("grasp")
    # a grasp that misses was approached in vain
    led = grasp & same & np.append(False, segments.label.isin("approach")[:-1])
    start = np.where(led, np.append(0, segments.start_frame[:-1]), segments.start_frame)
    homeward = _homeward(segments.label.isin(*_HOMEWARD), same) & ~failed
    kinds = [grasp, lost, failed & ~lost & ~grasp, homeward]
    rows = np.concatenate([np.flatnonzero(each) for each in kinds])
    return SegmentVerdicts(
        episode_id=segments.episode_id[rows],
        verdict=Text(np.repeat(np.arange(len(kinds)), [int(each.sum()) for each in kinds]), VERDICTS),
        start_frame=start[rows],
        end_frame=segments.end_frame[rows],
        confidence=segments.confidence[rows].astype(np.float64),
    )


def _continues(segments: SegmentTable) -> Bools:
    """Whether a segment is of the same episode and manipulator as the one before it, shape (n,)."""
    episode, arm = segments.episode_id.codes, segments.manipulator.codes
    return np.append(False, (episode[1:] == episode[:-1]) & (arm[1:] == arm[:-1]))


def _homeward(fits: Bools, same: Bools) -> Bools:
    """The unbroken run of fitting segments at the end of each manipulator's row, where it is not all of it."""
    group = np.cumsum(~same)
    other = np.flatnonzero(~fits)
    last = np.full(int(group[-1]) + 1, len(fits))  # a manipulator that did nothing else goes nowhere
    last[group[other]] = other  # of several the last one stays
    return np.asarray(fits & (np.arange(len(fits)) > last[group]))
