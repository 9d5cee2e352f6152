"""Where a sequence of segments occurs: columns all the way, no loop over episodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sima2.errors import RecordError, UnknownNameError
from sima2.query.pattern import Condition, Limit, Pattern, Step, parsed
from sima2.records.arrays import Bools, Indices, Int64s
from sima2.records.episodes import EpisodeTable
from sima2.records.matches import SequenceMatches
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.vocabulary import OUTCOMES, REASONS, object_class

FAILED: Final = ("failure", "retry")
"""Outcomes of a segment that failed, whether or not it was tried again."""
MICROSECONDS: Final = 1e6
_LARGEST_KEY: Final = 2**62
_NAMES_SHOWN: Final = 50
"""Arms or objects that an error looks among."""


def matches(segments: SegmentTable, episodes: EpisodeTable, pattern: Pattern | str) -> SequenceMatches:
    """Where a sequence occurs.

    Every segment that can begin it gives at most one match: the one whose further steps come earliest, the second
    before the third and so on. Steps go on in the arm of the step before unless they name another; there the next is
    the first segment that begins at or after the end of the step before.

    Args:
        segments: of the episodes, in any order; those of other episodes count for nothing.
        episodes: which are looked at, and how they ended.
        pattern: as :func:`parsed` takes or gives it.

    Raises:
        QueryError: if the pattern is wrong.
    """
    wanted = parsed(pattern) if isinstance(pattern, str) else pattern
    lane = _Lanes.of(segments, episodes)
    allowed = _ended(episodes, wanted.end)
    if not wanted.steps:
        for each in wanted.absent:
            allowed[lane.episode[lane.holds(each)]] = False
        return _whole(episodes, np.flatnonzero(allowed))
    found = _found(lane, wanted, allowed)
    return _table(lane, episodes, found[np.lexsort((found[:, 0], lane.start[found[:, 0]], lane.episode[found[:, 0]]))])


def refuse_unknown(segments: SegmentTable, pattern: Pattern) -> None:
    """Refuse an arm or an object that no segment has: it would silently find nothing.

    Raises:
        UnknownNameError: naming the nearest.
    """
    asked = [*(step.what for step in pattern.steps), *pattern.absent]
    asked += [each for step in pattern.steps for each in step.absent]
    arms, objects = set(segments.manipulator), set(segments.object) - {""}
    known = objects | {object_class(name) for name in objects}
    for each in asked:
        if each.arm and each.arm not in arms:
            raise UnknownNameError("arm", each.arm, sorted(arms)[:_NAMES_SHOWN])
        if each.object and each.object not in known:
            raise UnknownNameError("object", each.object, sorted(known)[:_NAMES_SHOWN])


@dataclass(frozen=True, slots=True, eq=False)
class _Lanes:
    """Segments by lane (an arm of an episode) and time; columns of shape (n,)."""

    table: SegmentTable
    episode: Int64s
    """Row of the episode."""
    key: Int64s
    """Number of the lane, never decreasing."""
    start: Int64s
    end: Int64s
    start_us: Int64s
    end_us: Int64s

    @classmethod
    def of(cls, segments: SegmentTable, episodes: EpisodeTable) -> _Lanes:
        row_of = np.full(len(episodes.episode_id.names), -1, np.int64)
        row_of[episodes.episode_id.codes] = np.arange(len(episodes))
        code = segments.episode_id.recode(episodes.episode_id.names)
        episode = np.where(code >= 0, row_of[code], -1) if len(row_of) else np.full(len(segments), -1, np.int64)
        kept = np.flatnonzero(episode >= 0)
        # lanes of an episode by the name of the arm, whatever order the names were met in
        names = sorted(segments.manipulator.names)
        arm = segments.manipulator.recode(names)
        key: Int64s = (episode * max(1, len(names)) + arm).astype(np.int64)
        order = kept[np.lexsort((segments.start_frame[kept], key[kept]))]
        table = replace(segments, manipulator=Text(arm, names)).take(order)
        micro = [np.rint(each * MICROSECONDS).astype(np.int64) for each in (table.start_t, table.end_t)]
        return cls(table, episode[order], key[order], table.start_frame, table.end_frame, micro[0], micro[1])

    def __len__(self) -> int:
        return len(self.key)

    def lane(self, rows: Int64s, arm: str) -> Int64s:
        """The lane of an arm in the episodes of these rows, their own where none is named; -1 where there is none."""
        if not arm:
            return self.key[rows]
        names = self.table.manipulator.names
        if arm not in names:
            return np.full(len(rows), -1, np.int64)
        return self.episode[rows] * len(names) + names.index(arm)

    def holds(self, what: Condition, *, kind_only: bool = False) -> Bools:
        """Which segments are what a condition asks for; of its kind, however they ended."""
        table = self.table
        good = np.ones(len(self), np.bool_)
        if what.labels:
            good &= table.label.isin(*what.labels)
        if what.arm:
            good &= table.manipulator.isin(what.arm)
        if what.object:
            good &= table.object.isin(*(name for name in table.object.names if what.object in _called(name)))
        if what.results and not kind_only:
            outcomes = {each for each in what.results if each in OUTCOMES}
            outcomes |= set(FAILED) if "failure" in outcomes else set()
            reasons = [each for each in what.results if each in REASONS]
            good &= table.outcome.isin(*outcomes) | table.failure_reason.isin(*reasons)
        return good

    def step(self, step: Step) -> Bools:
        """Which segments a step may be, by themselves."""
        good = self.holds(step.what)
        if step.nth:
            good &= self._numbered(self.holds(step.what, kind_only=True), step.nth)
        return good

    def _numbered(self, kind: Bools, nth: int) -> Bools:
        """The n-th of a kind in its episode by first frame (arms by name where equal)."""
        rows = np.flatnonzero(kind)
        rows = rows[np.lexsort((rows, self.start[rows], self.episode[rows]))]
        first = np.searchsorted(self.episode[rows], self.episode[rows], "left")
        last = np.searchsorted(self.episode[rows], self.episode[rows], "right")
        place = np.arange(len(rows))
        good = np.zeros(len(self), np.bool_)
        good[rows] = (place - first + 1 == nth) if nth > 0 else (place - last == nth)
        return good


def _called(name: str) -> tuple[str, ...]:
    return (name, object_class(name)) if name else ()


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """Places of values within lanes, for values that never decrease within one."""

    key: Int64s
    low: int
    width: int
    composed: Int64s

    @classmethod
    def of(cls, key: Int64s, values: Int64s, *others: Int64s) -> _Index:
        every = [each for each in (values, *others) if len(each)]
        low = min((int(each.min()) for each in every), default=0)
        # one more than there are values: what lies beyond all of them
        width = max((int(each.max()) for each in every), default=0) - low + 2
        if len(key) and (int(key[-1]) + 1) * width > _LARGEST_KEY:
            raise RecordError("times or frames of segments are too far apart to be looked through")
        return cls(key, low, width, key * width + (values - low))

    def before(self, lane: Int64s, value: Int64s) -> Int64s:
        """First row of a lane at or above a value; one past its last row where there is none."""
        inside = np.clip(value - self.low, 0, self.width - 1)
        return _places(np.searchsorted(self.composed, lane * self.width + inside, "left"))

    def behind(self, lane: Int64s, value: Int64s) -> Int64s:
        """One past the last row of a lane at or below a value; its first row where there is none."""
        inside = np.clip(value - self.low, -1, self.width - 1)
        return _places(np.searchsorted(self.composed, lane * self.width + inside, "right"))


def _places(found: Indices) -> Int64s:
    places: Int64s = found.astype(np.int64, copy=False)
    return places


def _following(mask: Bools) -> Int64s:
    """First row at or after each that holds, n where none does, shape (n + 1,)."""
    n = len(mask)
    rows = np.where(mask, np.arange(n), n)
    after: Int64s = np.r_[np.minimum.accumulate(rows[::-1])[::-1], n].astype(np.int64)
    return after


def _found(lane: _Lanes, wanted: Pattern, allowed: Bools) -> Int64s:
    """Rows of the segments of each match, shape (matches, steps)."""
    steps = wanted.steps
    links = _Links.of(lane)
    good = lane.step(steps[-1]) & links.none_after(wanted.absent)
    chosen: list[Int64s] = []
    for step, before in zip(steps[:0:-1], steps[-2::-1]):
        rows = np.flatnonzero(lane.step(before))
        low, high = links.span(rows, step)
        to = _following(good)[low]
        linked = to < high
        choice = np.full(len(lane), -1, np.int64)
        choice[rows[linked]] = to[linked]
        chosen.append(choice)
        good = choice >= 0
    good &= links.none_before(steps[0].absent) & allowed[lane.episode]
    found = [np.flatnonzero(good)]
    for choice in reversed(chosen):
        found.append(choice[found[-1]])
    return np.stack(found, axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Links:
    """Which segments may follow which."""

    lane: _Lanes
    starts: _Index
    ends: _Index
    starts_us: _Index

    @classmethod
    def of(cls, lane: _Lanes) -> _Links:
        return cls(
            lane,
            _Index.of(lane.key, lane.start, lane.end),
            _Index.of(lane.key, lane.end, lane.start),
            _Index.of(lane.key, lane.start_us, lane.end_us),
        )

    def span(self, rows: Int64s, step: Step) -> tuple[Int64s, Int64s]:
        """First row, and one past the last, among which the segment of a step must be after each of ``rows``."""
        lane = self.lane.lane(rows, step.what.arm)
        ended = self.lane.end[rows]
        low = self.starts.before(lane, ended)
        high = np.searchsorted(self.lane.key, lane, "right")
        if not step.later:
            high = np.minimum(high, low + 1)
        for limit in step.limits:
            least, most = self._within(rows, lane, limit)
            low, high = np.maximum(low, least), np.minimum(high, most)
        for each in step.absent:
            high = np.minimum(high, self.starts.behind(lane, self._first(rows, each)))
        none = lane < 0
        return np.where(none, 0, low), np.where(none, 0, high)

    def _within(self, rows: Int64s, lane: Int64s, limit: Limit) -> tuple[Int64s, Int64s]:
        index, end = (self.starts, self.lane.end) if limit.unit == "frames" else (self.starts_us, self.lane.end_us)
        return index.before(lane, end[rows] + limit.least), index.behind(lane, end[rows] + limit.most)

    def _first(self, rows: Int64s, what: Condition) -> Int64s:
        """Latest start after each row before which nothing of a condition lies in between."""
        lane, ended = self.lane.lane(rows, what.arm), self.lane.end[rows]
        at = _following(self.lane.holds(what))[self.ends.behind(lane, ended)]
        there = (at < np.searchsorted(self.lane.key, lane, "right")) & (lane >= 0)
        beyond = np.iinfo(np.int64).max // 2
        start = self.lane.start[np.where(there, at, 0)] if len(self.lane) else np.zeros(0, np.int64)
        return np.where(there, np.maximum(start, ended), beyond)

    def none_after(self, absent: tuple[Condition, ...]) -> Bools:
        """Segments after whose end nothing of these comes, in their own arm or the one that is named."""
        good = np.ones(len(self.lane), np.bool_)
        rows = np.arange(len(self.lane))
        for each in absent:
            lane = self.lane.lane(rows, each.arm)
            at = _following(self.lane.holds(each))[self.ends.behind(lane, self.lane.end)]
            good &= (lane < 0) | (at >= np.searchsorted(self.lane.key, lane, "right"))
        return good

    def none_before(self, absent: tuple[Condition, ...]) -> Bools:
        """Segments before whose start nothing of these began."""
        good = np.ones(len(self.lane), np.bool_)
        rows = np.arange(len(self.lane))
        for each in absent:
            lane = self.lane.lane(rows, each.arm)
            at = _following(self.lane.holds(each))[np.searchsorted(self.lane.key, lane, "left")]
            there = (at < np.searchsorted(self.lane.key, lane, "right")) & (lane >= 0)
            began = self.lane.start[np.where(there, at, 0)] if len(rows) else np.zeros(0, np.int64)
            good &= ~there | (began >= self.lane.start)
        return good


def _ended(episodes: EpisodeTable, end: str) -> Bools:
    """Which episodes ended as asked."""
    if not end:
        return np.ones(len(episodes), np.bool_)
    if end == "unknown":
        return np.isnan(episodes.success)
    return np.asarray(episodes.success == (1.0 if end == "success" else 0.0))


def _whole(episodes: EpisodeTable, rows: Int64s) -> SequenceMatches:
    """Whole episodes, for patterns without a step."""
    chosen, n = episodes.take(rows), len(rows)
    none = np.zeros((n, 0), np.int64)
    return SequenceMatches(
        episode_index=chosen.episode_index,
        episode_id=chosen.episode_id,
        manipulator=Text.full(n, ""),
        start_frame=np.zeros(n, np.int64),
        end_frame=chosen.frames,
        start_t=np.zeros(n),
        end_t=chosen.duration_s,
        segment_id=none,
        step_start_frame=none,
        step_end_frame=none,
    )


def _table(lane: _Lanes, episodes: EpisodeTable, found: Int64s) -> SequenceMatches:
    table, first, last = lane.table, found[:, 0], found[:, -1]
    chosen = episodes.take(lane.episode[first])
    return SequenceMatches(
        episode_index=chosen.episode_index,
        episode_id=chosen.episode_id,
        manipulator=table.manipulator[first],
        start_frame=table.start_frame[first],
        end_frame=table.end_frame[last],
        start_t=table.start_t[first],
        end_t=table.end_t[last],
        segment_id=table.segment_id[found],
        step_start_frame=table.start_frame[found],
        step_end_frame=table.end_frame[found],
    )
