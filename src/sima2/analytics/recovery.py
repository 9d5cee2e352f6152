"""Recovery is judged by the attempt: among episodes that failed at some point, did trying to correct it pay?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.analytics.counts import TrustCounts, count
from sima2.analytics.econ_settings import cost_field
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.econ import AFTER_FAILURE
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.vocabulary import ANOMALIES

ATTEMPT_WINDOW_S: Final = 10.0
"""s after a failure event in which a correction counts as an attempt at it: the order of one task."""
_LEAST_S: Final = 1.0
"""s that the rest of an episode is taken to last at least, so that a rate stays finite."""


@dataclass(frozen=True, slots=True, eq=False)
class Attempts:
    """First failure event of each of n episodes, and whether a correction was attempted."""

    failed_at_s: Float64s
    """End of the first failed segment, s; NaN where nothing failed, shape (n,)."""
    attempted: Bools
    """shape (n,)."""
    reason: Text
    """Failure reason, or the anomaly's label; empty where nothing failed, shape (n,)."""


def find_attempts(segments: SegmentTable, episode_id: Text, *, window_s: float = ATTEMPT_WINDOW_S) -> Attempts:
    """What followed the first failure event of each episode.

    A failure event is a segment that ended in failure or retry, or an anomaly. An attempt is, within the window, a
    recovery maneuver, the same action at the same object again, or (after an anomaly) a new grasp of it.

    Args:
        segments: ordered by episode, manipulator and start.
        episode_id: the episodes in order, shape (n,).
        window_s: s.
    """
    n = len(episode_id)
    row = _places(segments.episode_id, episode_id)
    anomaly = segments.label.isin(*ANOMALIES)
    event = segments.outcome.isin("failure", "retry") | anomaly
    first = _first_event(row, segments.end_t, event, n)
    some = first >= 0
    at = np.where(some, first, 0)
    failed_at = np.full(n, np.nan)
    reason = np.zeros(n, object)
    reason[:] = ""
    attempted = np.zeros(n, np.bool_)
    if some.any():
        failed_at[some] = segments.end_t[first[some]]
        words = segments.failure_reason.decode()
        reason[some] = np.where(words == "", segments.label.decode(), words)[first[some]]
        known = np.flatnonzero(row >= 0)
        known = known[some[row[known]]]
        origin = at[row[known]]
        since = segments.start_t[known] - segments.end_t[origin]
        near = (since >= -1e-9) & (since <= window_s) & (known != origin)
        same_object = segments.object.codes[known] == segments.object.codes[origin]
        again = same_object & (segments.label.codes[known] == segments.label.codes[origin]) & ~anomaly[origin]
        regrasp = anomaly[origin] & segments.label.isin("grasp")[known] & same_object
        tried = near & (segments.label.isin("recovery_maneuver")[known] | again | regrasp)
        attempted[row[known[tried]]] = True
    return Attempts(failed_at, attempted, Text.of(reason.tolist()))


def recovery_counts(
    tag: str,
    attempts: Attempts,
    success: Float64s,
    duration_s: Float64s,
    strata: Text,
    *,
    name: str = AFTER_FAILURE,
) -> TrustCounts:
    """Counts of attempts against task units an hour from the failure event on, stratified by reason too.

    Args:
        tag: whose trust the attempt earns.
        attempts: of n episodes; those in which nothing failed are left aside.
        success: 1, 0 or NaN, shape (n,).
        duration_s: s, shape (n,).
        strata: shape (n,).
        name: of the panel.
    """
    where = np.flatnonzero(~np.isnan(attempts.failed_at_s))
    rest = np.maximum(duration_s[where] - attempts.failed_at_s[where], _LEAST_S)
    after = success[where] * 3600.0 / rest
    stratum = Text.of(f"{a}|{b}" for a, b in zip(strata[where], attempts.reason[where], strict=True))
    return count({tag: attempts.attempted[where]}, after, stratum, cost_field(AFTER_FAILURE), name=name)


def _places(values: Text, episode_id: Text) -> Int64s:
    """Place of each row's episode, -1 where it is another's, shape (m,)."""
    place = {name: i for i, name in enumerate(episode_id)}
    known = np.array([place.get(name, -1) for name in values.names], np.int64)
    return known[values.codes] if len(values) else np.zeros(0, np.int64)


def _first_event(row: Int64s, end: Float64s, event: Bools, n: int) -> Int64s:
    """Row of the segment whose event ended first, -1 where there is none, shape (n,)."""
    rows = np.flatnonzero(event & (row >= 0))
    order = rows[np.lexsort((rows, end[rows], row[rows]))]
    episodes, start = np.unique(row[order], return_index=True)
    out = np.full(n, -1, np.int64)
    out[episodes] = order[start]
    return out
