"""Stretches of episodes that segments tell a trainer may not want: failed attempts, and the drive home."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.plan import SegmentVerdicts
from sima2.records.segments import SegmentTable
from sima2.records.table import Text

FAILED_ATTEMPT: Final = "failed_attempt"
DRIVE_HOME: Final = "drive_home"
_HOMEWARD: Final = ("retreat", "idle")
"""Labels of what follows the last thing done."""


def segment_verdicts(segments: SegmentTable) -> SegmentVerdicts:
    """Failed attempts that were followed by another, each with the approach to it, and what follows the last deed.

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
    approach = segments.label.isin("approach")
    leads = np.append(approach[:-1] & failed[1:] & same[1:], False)
    # an attempt begins with its approach
    start = np.where(
        failed & np.append(False, leads[:-1]), np.append(0, segments.start_frame[:-1]), segments.start_frame
    )
    homeward = _homeward(segments.label.isin(*_HOMEWARD), same)
    rows = np.concatenate([np.flatnonzero(failed), np.flatnonzero(homeward)])
    verdict = np.repeat([0, 1], [int(failed.sum()), int(homeward.sum())])
    return SegmentVerdicts(
        episode_id=segments.episode_id[rows],
        verdict=Text(verdict, (FAILED_ATTEMPT, DRIVE_HOME)),
        start_frame=np.where(verdict == 0, start[rows], segments.start_frame[rows]),
        end_frame=segments.end_frame[rows],
        confidence=segments.confidence[rows].astype(np.float64),
    )


def _continues(segments: SegmentTable) -> NDArray[np.bool_]:
    """Whether a segment is of the same episode and manipulator as the one before it, shape (n,)."""
    episode, arm = segments.episode_id.codes, segments.manipulator.codes
    return np.append(False, (episode[1:] == episode[:-1]) & (arm[1:] == arm[:-1]))


def _homeward(fits: NDArray[np.bool_], same: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The unbroken run of fitting segments at the end of each manipulator's row, where it is not all of it."""
    group = np.cumsum(~same)
    other = np.flatnonzero(~fits)
    last = np.full(int(group[-1]) + 1, len(fits))  # a manipulator that did nothing else goes nowhere
    last[group[other]] = other  # of several the last one stays
    return np.asarray(fits & (np.arange(len(fits)) > last[group]))
