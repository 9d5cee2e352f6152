"""What a column does, whatever it is called: rests and quick moves of a gripper, unit norm of an orientation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.io.sample import Sample
from sima2.records.arrays import Float64s, Int64s

REST_STEP: Final = 0.02
"""Share of its range by which a column that rests changes within ``REST_FRAMES``."""
REST_FRAMES: Final = 3
"""Frames over which a rest shows: a tenth of a second at 30 Hz."""
SAME_LEVEL: Final = 0.08
"""Share of its range within which rests are at one level: what fingers hold differs a little, and so do commands."""
MOVED: Final = 0.1
"""Share of its range that a column moves between two rests at least."""
LEVELS: Final = 0.65
"""Share of its rests that a gripper spends at two levels; a joint rests wherever the work is."""
AT_STOP: Final = 0.4
"""Share of the frames in which a gripper is at one end of its range: open, as a rule. Joints of robots at work are at
an end of theirs in a twentieth of the frames, and rarely in more than a fifth."""
STOP: Final = 0.03
"""Share of the range that counts as its end."""
MOST_MOVES: Final = 30.0
"""Moves an episode, above which a column flickers."""
JUMPS: Final = 0.3
"""Share of a command's way that is made in a fiftieth of the frames, where it is told to open or close at once."""
UNIT_NORM: Final = 0.02
"""How far four numbers may be from norm 1 to be an orientation."""


@dataclass(frozen=True, slots=True, eq=False)
class Rests:
    """Rests of a column over a sample, in order, shape (r,) each."""

    episode: Int64s
    """Place of the episode in the sample."""
    start: Int64s
    """First row."""
    stop: Int64s
    """One past the last row."""
    level: Float64s
    """Median value."""


def rests(values: Float64s, sample: Sample) -> Rests:
    """Where a column rests, once what lies between two rests at one level is counted to them.

    Args:
        values: of the column, scaled so that its range is about 0 to 1, shape (n,).
        sample: which rows belong to which episode.
    """
    episode: list[int] = []
    spans: list[tuple[int, int]] = []
    levels: list[float] = []
    for place, rows in enumerate(sample.spans()):
        first = len(spans)
        for start, stop in _quiet(values[rows]):
            level = float(np.nanmedian(values[rows.start + start : rows.start + stop]))
            if len(spans) > first and abs(level - levels[-1]) < MOVED:
                before, _ = spans[-1]
                spans[-1] = (before, rows.start + stop)
                levels[-1] = float(np.nanmedian(values[before : rows.start + stop]))
                continue
            spans.append((rows.start + start, rows.start + stop))
            levels.append(level)
            episode.append(place)
    ends = np.array(spans, np.int64).reshape(-1, 2)
    return Rests(np.array(episode, np.int64), ends[:, 0], ends[:, 1], np.array(levels))


def _quiet(values: Float64s) -> list[tuple[int, int]]:
    """Runs of frames in which a column of one episode rests."""
    if len(values) <= REST_FRAMES:
        return []
    filled = np.where(np.isfinite(values), values, np.nan)
    lag = np.abs(filled[REST_FRAMES:] - filled[:-REST_FRAMES])
    still = np.zeros(len(values), np.bool_)
    calm = lag <= REST_STEP
    for shift in range(REST_FRAMES + 1):  # all frames of a quiet window rest
        still[shift : shift + len(calm)] |= calm
    # a switch goes from one rest to the next within a frame
    steps = np.flatnonzero(np.abs(np.diff(filled)) > REST_STEP) + 1
    parts = np.zeros(len(values), np.int64)
    parts[steps] = 1
    run = np.where(still, np.cumsum(parts) + 1, 0)
    edge = np.concatenate([[0], np.flatnonzero(np.diff(run)) + 1, [len(run)]])
    spans = zip(edge[:-1].tolist(), edge[1:].tolist(), strict=True)
    return [(a, b) for a, b in spans if run[a] and b - a > REST_FRAMES]


def scaled(values: Float64s) -> Float64s | None:
    """A column over its range without the outermost values, 0 to 1; None where it has none."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.percentile(known, (1.0, 99.0))
    if high - low <= 0.0:
        low, high = float(known.min()), float(known.max())
    return None if high - low <= 0.0 else (values - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Habit:
    """How a column moves."""

    levels: float
    """Share of the rests' time at the two commonest levels."""
    at_stop: float
    """Share of the frames at one end of its range."""
    moves: float
    """Moves an episode."""

    @property
    def two_levels(self) -> bool:
        """Whether it rests at two levels, one of them an end of its range, and moves between them now and then."""
        return self.levels >= LEVELS and self.at_stop >= AT_STOP and 0.5 <= self.moves <= MOST_MOVES


def habit(values: Float64s, sample: Sample) -> Habit:
    """How a column of a sample moves, shape (n,)."""
    share = scaled(values)
    found = None if share is None else rests(share, sample)
    if share is None or found is None or not len(found.level):
        return Habit(0.0, 0.0, 0.0)
    time = (found.stop - found.start).astype(np.float64)
    levels = _two_commonest(found.level, time) / time.sum()
    moves = (len(found.level) - len(np.unique(found.episode))) / max(len(sample.starts), 1)
    at_stop = max(float(np.mean(share <= STOP)), float(np.mean(share >= 1.0 - STOP)))
    return Habit(levels, at_stop, moves)


def _two_commonest(level: Float64s, time: Float64s) -> float:
    """Time at the two levels, apart from each other, at which most is spent."""
    near = np.abs(level[:, None] - level[None, :]) <= SAME_LEVEL
    spent = near @ time
    first = int(np.argmax(spent))
    rest = np.where(near[first], 0.0, time)
    second = float((near @ rest).max(initial=0.0))
    return float(spent[first]) + second if second > 0.0 else 0.0


def gripper_places(values: Float64s, places: Sequence[int], sample: Sample, sent: Float64s | None = None) -> list[int]:
    """Columns among those that behave like a gripper, the likeliest first.

    They rest at two levels, one of which is an end of their range. Of several, those come first whose command jumps.

    Args:
        values: of a feature, shape (n, w).
        places: the columns asked about.
        sample: which rows belong to which episode.
        sent: commands of the same columns, shape (n, w), where there are any.
    """
    habits = {place: habit(values[:, place], sample) for place in places}
    found = [place for place in places if habits[place].two_levels]
    jump = {place: 0.0 if sent is None else _jump(sent[:, place], sample) for place in found}
    return sorted(found, key=lambda place: (jump[place] < JUMPS, -habits[place].at_stop, -place))


def _jump(command: Float64s, sample: Sample) -> float:
    """Share of a command's way that is made in a fiftieth of the frames."""
    steps = np.concatenate([np.abs(np.diff(command[rows])) for rows in sample.spans()] or [np.zeros(0)])
    steps = np.sort(steps[np.isfinite(steps)])
    total = float(steps.sum())
    return float(steps[-max(len(steps) // 50, 1) :].sum()) / total if total > 0.0 else 0.0


def unit_quaternions(values: Float64s, places: list[int]) -> list[tuple[int, ...]]:
    """Four neighbouring columns at a time whose norm is 1 in every frame, and which are not all constant."""
    found: list[tuple[int, ...]] = []
    for first in places:
        group = tuple(range(first, first + 4))
        if not set(group) <= set(places) or (found and first <= found[-1][-1]):
            continue
        four = values[:, list(group)]
        known = four[np.isfinite(four).all(axis=1)]
        if len(known) and np.abs(np.sqrt((known * known).sum(axis=1)) - 1.0).max() < UNIT_NORM and np.ptp(known) > 0.0:
            found.append(group)
    return found
