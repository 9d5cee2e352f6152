"""RecoveryTag: a failure, a correction, and success of the step that was retried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.tags import TagTable
from sima2.records.vocabulary import ANOMALIES, CONTACT_ACTIONS
from sima2.tags.observations import episode_places
from sima2.tags.rows import TagRows, blank_rows

CRITICAL: Final = ("drop", "gripper_slip", "collision", "locked")
"""Reasons after which object, arm or task is at stake, not only time."""
RESTORED: Final = ("unstable", "misplaced")
"""Reasons mended by any later ``push`` or ``place`` of the object: it is back at a safe pose."""
VALUE_ADD: Final = {"high": 1.0, "medium": 2 / 3, "low": 1 / 3}
_FAST: Final = 1.0
_SLOW: Final = 2.0
"""A correction is fast when it took no longer than the episode had taken until the failure, which is what starting
over would cost; it is of little value when it took twice that."""


@dataclass(frozen=True, slots=True, eq=False)
class Recoveries:
    """Pairs of a failed step and its success when retried (m of them), as rows of the segment table."""

    failed: NDArray[np.int64]
    """Row of the failed segment, shape (m,)."""
    mended: NDArray[np.int64]
    """Row of the successful retry, shape (m,)."""


def failures_of(segments: SegmentTable) -> NDArray[np.bool_]:
    """Segments that are a failure event: ended in failure or retry, or are an anomaly, shape (n,)."""
    return segments.outcome.isin("failure", "retry") | segments.label.isin(*ANOMALIES)


def find_recoveries(segments: SegmentTable) -> Recoveries:
    """Failed steps whose next attempt succeeded after a correction.

    Of several failed attempts in a row only the last was corrected. The next attempt is the next segment of the same
    label and object of the same manipulator; after an unstable or misplaced end, also a push or place of the object.
    """
    step = segments.label.isin("approach", *CONTACT_ACTIONS)
    failed = step & segments.outcome.isin("failure", "retry")
    succeeded = step & segments.outcome.isin("success")
    same_step = _pairs(segments, step, failed, succeeded, by_label=True)
    settles = segments.label.isin("push", "place")
    unstable = failed & segments.failure_reason.isin(*RESTORED)
    restored = _pairs(
        segments, unstable | (settles & (failed | succeeded)), unstable, settles & succeeded, by_label=False
    )
    first = {int(f): int(m) for f, m in restored.T}
    first |= {int(f): int(m) for f, m in same_step.T}
    pairs = [(f, m) for f, m in sorted(first.items()) if _corrected(segments, f, m)]
    array = np.array(pairs, np.int64).reshape(-1, 2)
    return Recoveries(failed=array[:, 0], mended=array[:, 1])


def _pairs(
    segments: SegmentTable,
    member: NDArray[np.bool_],
    failed: NDArray[np.bool_],
    succeeded: NDArray[np.bool_],
    *,
    by_label: bool,
) -> NDArray[np.int64]:
    """Rows (failed, succeeded) that follow each other among the members of a group, shape (2, m)."""
    rows = np.flatnonzero(member)
    label = segments.label.codes[rows] if by_label else np.zeros(len(rows), np.int32)
    key = np.stack(
        [segments.episode_id.codes[rows], segments.manipulator.codes[rows], segments.object.codes[rows], label]
    )
    order = rows[np.lexsort((rows, *key[::-1]))]
    place = np.empty(len(segments), np.int64)
    place[rows] = np.arange(len(rows))
    a, b = order[:-1], order[1:]
    same = (key[:, place[a]] == key[:, place[b]]).all(axis=0) & failed[a] & succeeded[b]
    return np.stack([a[same], b[same]])


def _corrected(segments: SegmentTable, failed: int, mended: int) -> bool:
    """Something was done between: a recovery maneuver, another way to the object, or fingers that close anew.

    Waiting is no correction, and neither is a slip that comes to an end by itself.
    """
    between = segments.label[np.arange(failed + 1, mended)]
    done = any(name not in ("idle", "unknown", *ANOMALIES) for name in between)
    return done or (segments.label[mended] == "grasp" and segments.outcome[failed] == "retry")


def recovery_rows(
    segments: SegmentTable,
    doubtful: NDArray[np.bool_],
    episode_id: Text,
    frames: NDArray[np.int64],
    assumed_watts: float,
) -> TagTable:
    """One row a recovery, and one for each episode without.

    Args:
        segments: of whole episodes.
        doubtful: segments that are too uncertain for a recovery to rest on, shape (m,).
        episode_id: the episodes in order, shape (n,).
        frames: frames of each, shape (n,).
        assumed_watts: power with which the cost is estimated where none was measured.
    """
    place = episode_places(segments.episode_id, episode_id)
    found = find_recoveries(segments)
    calm = blank_rows(episode_id, "RecoveryTag", "diagnostic", end=frames, available=frames)
    calm.fill(np.arange(len(episode_id)), level=0.0, source="no_failure")
    event = np.unique(place[failures_of(segments)])
    calm.fill(event, source="not_corrected", details="a failure that no retry made good")
    tried = np.unique(place[segments.label.isin("recovery_maneuver") | segments.outcome.isin("retry")])
    calm.fill(
        np.intersect1d(event, tried), source="attempt_failed", details="a correction was tried; the step failed again"
    )
    recovered = np.zeros(len(episode_id), np.bool_)
    recovered[place[found.failed]] = True
    calm_rows = calm.frozen().take(~recovered)
    return TagTable.concat([calm_rows, _found_rows(segments, doubtful, found, assumed_watts).frozen()])


def _found_rows(
    segments: SegmentTable, doubtful: NDArray[np.bool_], found: Recoveries, assumed_watts: float
) -> TagRows:
    f, m = found.failed, found.mended
    out = blank_rows(
        segments.episode_id[f], "RecoveryTag", "diagnostic", end=segments.end_frame[m], available=segments.end_frame[m]
    )
    out.start[:] = segments.end_frame[f]
    sure = np.nan_to_num(segments.confidence.astype(np.float64))
    out.level[:] = np.minimum(sure[f], sure[m])
    for k, (a, b) in enumerate(zip(f.tolist(), m.tolist(), strict=True)):
        out.source[k], out.value[k], out.details[k] = _account(segments, a, b, assumed_watts)
    unsure = doubtful[f] | doubtful[m]
    out.fill(unsure, level=0.0, source="ambiguous")
    return out


def _account(segments: SegmentTable, failed: int, mended: int, assumed_watts: float) -> tuple[str, float, str]:
    """Kind of correction, what it added and what it cost."""
    between = np.arange(failed + 1, mended)
    correction = "recovery_maneuver" if segments.label[between].isin("recovery_maneuver").any() else "retry"
    seconds = max(float(segments.start_t[mended] - segments.end_t[failed]), 0.0)
    energy = segments.energy_wh[between].astype(np.float64)
    measured = bool(len(energy)) and not bool(np.isnan(energy).any())
    cost = float(energy.sum()) if measured else seconds * assumed_watts / 3600.0
    reason = segments.failure_reason[failed]
    spent = float(segments.end_t[failed])
    ratio = seconds / spent if spent > 0 else float("inf")
    value_add = "high" if reason in CRITICAL and ratio <= _FAST else "low" if ratio > _SLOW else "medium"
    how = "measured" if measured else f"estimated at {assumed_watts:g} W"
    words = (
        f"{segments.label[failed]} failed ({reason or 'reason unknown'}), {correction} for {seconds:.2f} s, "
        f"{segments.label[mended]} succeeded; value_add={value_add}, cost_wh={cost:.5f} ({how})"
    )
    return correction, VALUE_ADD[value_add], words
