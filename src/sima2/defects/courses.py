"""What episodes of a task have in common: their phases in order, how long each takes, how many attempts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from sima2.records.arrays import Float64s, Indices, Int64s
from sima2.records.courses import WHOLE, CourseTable, Endings, PointTable, Strides
from sima2.records.defects import EpisodeMeasures
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.vocabulary import ANOMALIES, CONTACT_ACTIONS, LABELS

Rows = Indices
LEAST_COURSE: Final = 5
"""Fewer episodes of a task have no usual course."""
USUAL: Final = 0.5
"""Share of the episodes from which a phase belongs to the usual course."""
NO_PHASES: Final = ("unknown", "idle")
GRASP: Final = LABELS.index("grasp")
_IDLE: Final = LABELS.index("idle")


def strides(measures: EpisodeMeasures, segments: SegmentTable) -> Strides:
    """What the episodes of a shard are compared by: a row for each row of ``measures``.

    Args:
        measures: of the shard.
        segments: of the same episodes.
    """
    n, labels = len(measures), len(LABELS)
    arms = sorted(set(measures.manipulator.names) | set(segments.manipulator.names))
    names = list(measures.episode_id.names)
    row_of = np.full(len(names) * len(arms), -1)
    row_of[measures.episode_id.codes.astype(np.int64) * len(arms) + measures.manipulator.recode(arms)] = np.arange(n)
    episode = segments.episode_id.recode(names).astype(np.int64)
    key = np.where(episode < 0, 0, episode) * len(arms) + segments.manipulator.recode(arms)
    row = np.where(episode < 0, -1, row_of[key]) if len(row_of) and len(segments) else np.full(len(segments), -1)
    mine = np.flatnonzero(row >= 0)
    row, label = row[mine], segments.label.recode(LABELS)[mine].astype(np.int64)
    start, end = segments.start_frame[mine], segments.end_frame[mine]
    took = segments.end_t[mine] - segments.start_t[mine]
    cell = row * labels + label
    start_s = np.full(n * labels, np.inf)
    np.minimum.at(start_s, cell, segments.start_t[mine])
    first = np.full(n * labels, np.iinfo(np.int64).max)
    np.minimum.at(first, cell, start)
    last = np.zeros(n * labels, np.int64)
    np.maximum.at(last, cell, end)
    count = np.bincount(cell, minlength=n * labels)
    pause_s, pause_start, pause_end = _pauses(n, row, label, start, end, took)
    begin, stop = _moving(measures, row, label == _IDLE, start, end)
    period = np.nan_to_num(measures.period_s)
    return Strides(
        episode_index=measures.episode_index,
        episode_id=measures.episode_id,
        manipulator=measures.manipulator,
        family=measures.family,
        robot=measures.robot,
        frames=measures.frames,
        duration_s=measures.duration_s,
        before_s=begin * period,
        after_s=np.maximum(measures.frames - stop, 0) * period,
        moving_start=begin,
        moving_end=stop,
        jerk=measures.jerk,
        pause_s=pause_s,
        pause_start=pause_start,
        pause_end=pause_end,
        count=count.reshape(n, labels).astype(np.int32),
        seconds=np.bincount(cell, weights=took, minlength=n * labels).reshape(n, labels).astype(np.float32),
        start_s=np.where(count > 0, start_s, np.nan).reshape(n, labels).astype(np.float32),
        first=np.where(count > 0, first, 0).reshape(n, labels).astype(np.int32),
        last=last.reshape(n, labels).astype(np.int32),
        signature=measures.signature,
    )


def _moving(measures: EpisodeMeasures, row: Any, idle: Any, start: Any, end: Any) -> tuple[Any, Any]:
    """First frame in which an episode moves, and one past its last, for each row of ``measures``.

    A hand on the leader trembles, so that raw positions move before anything is done: where all arms begin or end with
    an idle segment, that is where the motion begins or ends.
    """
    n = len(measures)
    lead, tail = np.zeros(n, np.int64), measures.frames.copy()
    at_start = idle & (start == 0)
    lead[row[at_start]] = end[at_start]
    at_end = idle & (end == measures.frames[row])
    tail[row[at_end]] = start[at_end]
    _, one, of = np.unique(measures.episode_index, return_index=True, return_inverse=True)
    begin, stop = np.full(len(one), np.iinfo(np.int64).max), np.zeros(len(one), np.int64)
    np.minimum.at(begin, of, lead)
    np.maximum.at(stop, of, tail)
    begin, stop = np.maximum(measures.moving_start, begin[of]), np.minimum(measures.moving_end, stop[of])
    still = begin >= stop
    return np.where(still, measures.moving_start, begin), np.where(still, measures.moving_end, stop)


def _pauses(n: int, row: Any, label: Any, start: Any, end: Any, took: Any) -> tuple[Any, Any, Any]:
    """Length, first frame and end of the longest idle segment of each row that is neither its first nor its last."""
    seconds, begin, stop = np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.int64)
    if not len(row):
        return seconds, begin, stop
    low, high = np.full(n, np.iinfo(np.int64).max), np.full(n, -1)
    np.minimum.at(low, row, start)
    np.maximum.at(high, row, start)
    inner = np.flatnonzero((label == _IDLE) & (start > low[row]) & (start < high[row]))
    # ascending, so that of several the longest is written last
    order = inner[np.lexsort((-start[inner], took[inner]))]
    seconds[row[order]], begin[row[order]], stop[row[order]] = took[order], start[order], end[order]
    return seconds, begin, stop


def endings(episode_id: Text, segments: SegmentTable) -> Endings:
    """By which segments the episodes of a shard failed, ended and were tried again, in the order of ``episode_id``."""
    n = len(episode_id)
    episode = segments.episode_id.recode(list(episode_id))
    # in order of time, whichever arm: of several of one episode the last one is written last
    order = np.lexsort((segments.end_frame, segments.start_frame, episode))
    order = order[episode[order] >= 0]
    failed = order[segments.outcome.isin("failure", "retry")[order]]
    acts = order[segments.label.isin(*CONTACT_ACTIONS)[order]]
    again = order[(segments.outcome.isin("retry") & ~segments.label.isin(*ANOMALIES))[order]]

    def place(rows: Rows) -> Int64s:
        found = np.full(n, -1)
        found[episode[rows]] = rows
        return found

    def words(column: Text, rows: Int64s) -> Text:
        return Text.of("" if row < 0 else column[row] for row in rows.tolist())

    def frame(column: Int64s, rows: Int64s) -> Int64s:
        return np.where(rows < 0, 0, column[np.maximum(rows, 0)]) if len(column) else np.zeros(n, np.int64)

    bad, end, once, last = place(failed), place(acts), place(again[::-1]), place(again)
    return Endings(
        episode_id=episode_id,
        failed=words(segments.label, bad),
        failed_because=words(segments.failure_reason, bad),
        failed_start=frame(segments.start_frame, bad),
        failed_end=frame(segments.end_frame, bad),
        last=words(segments.label, end),
        last_start=frame(segments.start_frame, end),
        last_end=frame(segments.end_frame, end),
        retries=np.bincount(episode[again], minlength=n),
        retried=words(segments.label, once),
        retried_because=words(segments.failure_reason, once),
        retry_start=frame(segments.start_frame, once),
        retry_end=frame(segments.end_frame, last),
    )


def tasks_of(table: Strides | PointTable) -> Iterator[Rows]:
    """Rows of each task (family and robot), by name."""
    family, robot = (each.recode(sorted(each.names)) for each in (table.family, table.robot))
    order = np.lexsort((np.arange(len(table)), robot, family))
    keys = np.stack([family[order], robot[order]])
    cuts = np.flatnonzero((keys[:, 1:] != keys[:, :-1]).any(axis=0)) + 1
    yield from (part for part in np.split(order, cuts) if len(part))


def usual_courses(table: Strides) -> CourseTable:
    """The usual course of each task with enough episodes."""
    parts = [_course(table.take(rows)) for rows in tasks_of(table)]
    return CourseTable.concat([part for part in parts if part is not None])


def _course(task: Strides) -> CourseTable | None:
    _, one = np.unique(task.episode_id.codes, return_index=True)
    if len(one) < LEAST_COURSE:
        return None
    attempts = np.bincount(task.episode_id.codes, weights=task.count[:, GRASP])[task.episode_id.codes[one]]
    rows = [
        ("", WHOLE, 0, 1.0, float(np.median(attempts)), float(np.median(task.before_s[one])), task.duration_s[one]),
        *(row for arm in sorted(set(task.manipulator)) for row in _phases(task, arm)),
    ]
    arm, phase, place, share, times, start, took = zip(*rows, strict=True)
    n = len(rows)
    return CourseTable(
        family=Text.full(n, task.family[0]),
        robot=Text.full(n, task.robot[0]),
        manipulator=Text.of(arm),
        phase=Text.of(phase),
        place=np.array(place, np.int64),
        episodes=np.full(n, len(one)),
        share=np.array(share, np.float64),
        times=np.array(times, np.float64),
        start_s=_short(start),
        duration_s=_short([np.median(each) for each in took]),
        low_s=_short([np.quantile(each, 0.1) for each in took]),
        high_s=_short([np.quantile(each, 0.9) for each in took]),
    )


def _phases(task: Strides, arm: str) -> list[tuple[str, str, int, float, float, float, Float64s]]:
    """The phases of a manipulator that belong to the usual course, in the order in which they usually begin."""
    mine = np.flatnonzero(task.manipulator.isin(arm))
    has = task.count[mine] > 0
    found = []
    for code, name in enumerate(LABELS):
        some = mine[has[:, code]]
        if name in NO_PHASES or len(some) < USUAL * len(mine):
            continue
        start = float(np.median(task.start_s[some, code]))
        times = float(np.median(task.count[some, code]))
        found.append((start, code, name, len(some) / len(mine), times, task.seconds[some, code]))
    found.sort(key=lambda each: each[:2])
    return [
        (arm, name, place, share, times, start, took)
        for place, (start, _, name, share, times, took) in enumerate(found, start=1)
    ]


def _short(values: Sequence[float]) -> Float64s:
    """To a thousandth of a second: what no two machines compute otherwise."""
    return np.asarray(np.round(np.array(values, np.float64), 3), np.float64)
