"""Topics on clocks of their own, brought onto the clock of the frames.

The clock is that of the topic whose messages are the frames: the times at which it says its messages were made, where
it says so. Of another topic a frame gets the latest message by its end, never a later one and nothing between two: what
a robot acted on is not smoothed, and no frame knows the future. A value is held for a few periods of its topic.

A frame ends a quarter of a period after its message, for what a robot samples in one cycle is not sent at once: where
other topics come up to 2 ms before or after, made rollouts keep 94 % of their labels without this, and all with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sima2.io.formats.mcap_messages import NOT_STAMPED, Decoded
from sima2.records.arrays import Bools, Float64s, Int64s

Times = Int64s

HELD_PERIODS: Final = 5.0
"""Periods of a topic for which a value is held; one lost message in a row or two are no gap, half a second is."""
SAME_CYCLE: Final = 0.25
"""Share of a period after which a frame ends."""
EVENT_SPREAD: Final = 5.0
"""Factor between the 90th percentile and the median of the steps of a topic above which it is sent as things happen."""
FEWEST: Final = 10
"""Messages below which a topic is sent as things happen."""
SAME_CLOCK_NS: Final = 500_000_000
"""Delay between making and logging that is possible on one clock, beyond that of the topic of the frames."""
JUMP_NS: Final = 1_000_000_000
"""A clock of making that goes back by so much was set: it is not used."""
STAMPED_SHARE: Final = 0.95
"""Messages of a topic that must say when they were made, and later than the one before, for that to be used."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of the frames."""

    frames: Times
    """ns, increasing, shape (t,)."""
    log: Times
    """Log times of some messages of the topic, increasing, shape (k,) …"""
    ahead: Times
    """… and how far the clock is ahead of them, ns, shape (k,)."""
    stamped: bool
    """Whether messages' own times are the clock, and not those of logging."""
    notes: tuple[str, ...]

    def at(self, rate: float, most: int) -> Clock:
        """The same with frames at an even rate in Hz, ``most`` at most."""
        span = float(self.frames[-1] - self.frames[0]) / 1e9
        count = min(int(span * rate * (1.0 + 1e-9)) + 1, most)
        return replace(self, frames=self.frames[0] + np.rint(np.arange(count) * (1e9 / rate)).astype(np.int64))

    def of(self, rows: Decoded) -> tuple[Times, str]:
        """Times of the messages of another topic on this clock, and what is odd about them.

        Its own times, where they are on this clock; else those of logging, moved as those of the frames' topic are.
        """
        moved = rows.log + self._ahead(rows.log)
        if not self.stamped or not _stamped(rows):
            return moved, ""
        off = int(np.median(rows.stamp - moved))
        if abs(off) > SAME_CLOCK_NS:
            return moved, f"its own clock is {off / 1e9:+.3g} s off: times of logging are taken"
        return rows.stamp, ""

    def _ahead(self, log: Times) -> Times:
        if not len(self.log):
            return np.zeros(len(log), np.int64)
        base = int(self.ahead[0])
        moved = np.interp(
            (log - self.log[0]).astype(np.float64),
            (self.log - self.log[0]).astype(np.float64),
            (self.ahead - base).astype(np.float64),
        )
        shifted: Times = base + np.rint(moved).astype(np.int64)
        return shifted


def _stamped(rows: Decoded) -> bool:
    """Whether the messages say when they were made, and that can be believed."""
    known = rows.stamp != NOT_STAMPED
    if not len(known) or known.mean() < 1.0:
        return False
    steps = np.diff(rows.stamp)
    return bool(not len(steps) or ((steps > 0).mean() >= STAMPED_SHARE and steps.min() > -JUMP_NS))


def clock_of(topic: str, rows: Decoded, taken: Bools) -> Clock:
    """The clock of the frames, each a message of a topic.

    Args:
        topic: its name, for notes.
        rows: its messages.
        taken: those that are frames, shape (n,).
    """
    notes = []
    stamped = _stamped(rows)
    if not stamped and len(rows.stamp) and (rows.stamp != NOT_STAMPED).any():
        notes.append(f"{topic}: its own times are missing or go back: times of logging are taken")
    times = rows.stamp if stamped else rows.log
    mine = times[taken]
    frames = np.unique(mine)
    if len(mine) and (np.diff(mine) < 0).any():
        notes.append(f"{topic}: messages are out of order: they are taken by their time")
    if len(frames) < len(mine):
        notes.append(f"{topic}: {len(mine) - len(frames)} messages are of the same time as another: the last counts")
    log, first = np.unique(rows.log, return_index=True)
    if stamped and len(log) > 1:
        ahead = (rows.stamp - rows.log)[first]
        off = int(np.median(ahead))
        if abs(off) > SAME_CLOCK_NS:
            notes.append(
                f"{topic}: its own clock is {off / 1e9:+.3g} s ahead of that of logging: it is the clock taken"
            )
        return Clock(frames, log, ahead, True, tuple(notes))
    # logged all at once: times of logging say nothing
    return Clock(frames, np.zeros(0, np.int64), np.zeros(0, np.int64), stamped, tuple(notes))


def is_event(times: Times) -> bool:
    """Whether a topic is sent as things happen and not by a clock; ``times`` in order, shape (n,).

    >>> is_event(np.arange(100) * 10), is_event(np.array([0, 5, 900]))
    (False, True)
    """
    if len(times) < FEWEST:
        return True
    steps = np.diff(times)
    return bool(np.percentile(steps, 90) > EVENT_SPREAD * max(float(np.median(steps)), 1.0))


def held(times: Times, frames: Times, *, event: bool) -> Int64s:
    """For each frame the latest message by then, -1 where there is none or it is too old.

    Args:
        times: of the messages in order, ns, shape (n,).
        frames: ns, shape (t,).
        event: whether a value is held until the next.

    >>> held(np.array([0, 10, 22]), np.array([5, 20, 30, 40, 190, 200]), event=False).tolist()
    [0, 2, 2, 2, -1, -1]
    """
    steps = np.diff(frames)
    usual = float(np.median(steps)) if len(steps) else 0.0
    # where frames come quickly one after the other, each ends before the next
    ends = frames + (SAME_CYCLE * np.minimum(np.append(steps, usual), usual)).astype(np.int64)
    place: Int64s = np.searchsorted(times, ends, side="right").astype(np.int64) - 1
    if not event and len(times) > 1:
        period = max(float(np.median(np.diff(times))), usual)
        age = frames - times[np.maximum(place, 0)]
        place[age > HELD_PERIODS * period] = -1
    return place


def on_frames(rows: Decoded, times: Times, frames: Times, *, may_wait: bool) -> Float64s:
    """All columns of a topic at each frame, shape (t, c); NaN where nothing recent is known.

    Args:
        rows: messages of the topic.
        times: of each, on the clock of the frames, shape (n,).
        frames: shape (t,).
        may_wait: whether the topic may be one that is sent as things happen.
    """
    order = np.argsort(times, kind="stable")
    times, values, pattern = times[order], rows.values[order], rows.pattern[order]
    out = np.full((len(frames), values.shape[1]), np.nan)
    groups: dict[tuple[int, ...], list[int]] = {}
    for column in range(values.shape[1]):
        groups.setdefault(tuple(k for k, each in enumerate(rows.patterns) if column in each), []).append(column)
    for holding, columns in groups.items():
        mine = np.flatnonzero(np.isin(pattern, holding))
        if not len(mine):
            continue
        at = times[mine]
        place = held(at, frames, event=may_wait and is_event(at))
        known = place >= 0
        wide = np.array(columns, np.intp)
        out[np.ix_(known, wide)] = values[np.ix_(mine[place[known]], wide)]
    return out
