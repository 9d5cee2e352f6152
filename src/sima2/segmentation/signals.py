"""Windowed arithmetic on ragged columns that no neighbour episode can touch.

Sums run over fixed-point integers, so a window has the same value wherever its episode lies in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools, Float64s, Indices, Int64s
from sima2.records.robust import MAD_TO_SIGMA, medians
from sima2.records.rollout import RolloutBatch, spans
from sima2.records.table import read_only
from sima2.segmentation.window_context import Memory, Past, Start

N = TypeVar("N", bound=np.generic)

FIXED_POINT: Final = float(1 << 22)
"""Steps per unit of the integers that sums run over: 0.24 µm or µN, exact up to 2 · 10⁶ units a window."""

PERIOD_FRAMES: Final = 33
"""The period of an episode is the median step between so many first frames."""


def alike(batch: RolloutBatch) -> Iterator[tuple[Indices, RolloutBatch]]:
    """Parts of a batch whose episodes have frames and recorded the same channels, each with their places."""
    for where, part in batch.by_layout():
        filled = np.flatnonzero(part.length)
        if len(filled):
            yield where[filled], part if len(filled) == len(part) else part.take(filled)


@dataclass(frozen=True, eq=False)
class Ragged:
    """Where each frame of a batch stands in its own episode; every episode has one at least."""

    offset: Int64s
    """First frame of each episode and one past the last, shape (n + 1,)."""
    time: Float64s
    """s since each rollout's start, shape (T,)."""
    memory: Memory | None = None
    """What came before each first frame, where the columns hold windows and not whole episodes."""

    def __post_init__(self) -> None:
        length = np.diff(self.offset)
        put = object.__setattr__
        put(self, "episode", np.repeat(np.arange(len(length), dtype=np.int64), length))
        put(self, "first", np.repeat(self.offset[:-1], length))
        put(self, "last", np.repeat(self.offset[1:] - 1, length))
        put(self, "period", _period(self.offset, self.time) if self.memory is None else self.memory.start.period)

    episode: Int64s = None  # type: ignore[assignment]
    """Episode of each frame, shape (T,)."""
    first: Int64s = None  # type: ignore[assignment]
    """First frame of each frame's episode, shape (T,)."""
    last: Int64s = None  # type: ignore[assignment]
    """Last frame of each frame's episode, shape (T,)."""
    period: Float64s = None  # type: ignore[assignment]
    """s between frames, of each episode, shape (n,); measured at its start or remembered from it."""

    windows: dict[float, tuple[Int64s, Int64s]] = field(default_factory=dict, init=False, repr=False)
    """Windows made so far: several features share them."""
    counts: dict[float, Int64s] = field(default_factory=dict, init=False, repr=False)
    """Frames of the spans of time asked for so far."""

    def take(self, episodes: Int64s) -> Ragged:
        """Some of the episodes, their period known."""
        length = np.diff(self.offset)[episodes]
        rows = spans(self.offset[episodes], length)
        memory = Memory(Start.untold(self.period[episodes], 0), Past.none(len(episodes)))
        return Ragged(np.concatenate([[0], np.cumsum(length)]), self.time[rows], memory)

    def frames(self, seconds: float) -> Int64s:
        """Frames in a span of time, at least one, of each episode, shape (n,)."""
        if seconds not in self.counts:
            self.counts[seconds] = read_only(np.maximum(1, np.rint(seconds / self.period)).astype(np.int64))
        return self.counts[seconds]

    def begun(self, name: str, measure: Callable[[], Float64s]) -> Float64s:
        """What each episode's first second told (a field of ``Start``), measured where its frames begin here."""
        if self.memory is None:
            return measure()
        remembered: Float64s = getattr(self.memory.start, name)
        untold = np.isnan(remembered)
        return np.where(untold, measure(), remembered) if untold.any() else remembered

    def ahead(self, at: Int64s, seconds: float, times: int = 1) -> Int64s:
        """Frames so much later than others, cut at their episodes' ends."""
        return np.asarray(np.minimum(at + times * self.frames(seconds)[self.episode[at]], self.last[at]))

    def ago(self, at: Int64s, seconds: float, times: int = 1) -> Int64s:
        """Frames so much earlier than others, cut at their episodes' beginnings."""
        return np.asarray(np.maximum(at - times * self.frames(seconds)[self.episode[at]], self.first[at]))

    def around(self, seconds: float) -> tuple[Int64s, Int64s]:
        """First and last frame of the window ± ``seconds`` about each frame, cut at the episode's ends, shape (T,)."""
        if seconds not in self.windows:
            half = self.frames(seconds).take(self.episode)
            here = np.arange(len(self.time), dtype=np.int64)
            self.windows[seconds] = (np.maximum(here - half, self.first), np.minimum(here + half, self.last))
        return self.windows[seconds]

    def mean(self, x: NDArray[Any], lo: Int64s, hi: Int64s) -> Float64s:
        """Mean of a column over frames lo .. hi inclusive, shape as they."""
        return next(self.means(x, (lo, hi)))

    def means(self, x: NDArray[Any], *windows: tuple[Int64s, Int64s]) -> Iterator[Float64s]:
        """Means of a column over several windows, shape (T,) each."""
        total = _prefix_sums(x)
        for lo, hi in windows:
            yield (total[1:].take(hi) - total.take(lo)) / ((hi - lo + 1) * FIXED_POINT)

    def slope(self, x: NDArray[Any], seconds: float) -> Float64s:
        """Rate of change: mean of the frames ahead minus mean of those behind, per s, shape as ``x``."""
        lo, hi = self.around(seconds)
        here = np.arange(len(self.time), dtype=np.int64)
        after, before = hi - here + 1, here - lo + 1
        span = np.maximum((self.time.take(hi) - self.time.take(lo)) / 2, 1e-9) * FIXED_POINT

        def rate(column: Float64s) -> Float64s:
            total = _prefix_sums(column)
            ahead = (total[1:].take(hi) - total[:-1]) / after
            ahead -= (total[1:] - total.take(lo)) / before
            ahead /= span
            return ahead

        return rate(x) if x.ndim == 1 else _by_column(x, rate)

    def running(self, x: NDArray[Any], seconds: float, *, largest: bool, past: str = "") -> Float64s:
        """Largest (or least) value from the episode's start up to ``seconds`` ahead of each frame, shape (T,).

        ``past`` is the field of ``Past`` that remembers the one before each episode's first frame here.
        """
        sign = 1 if largest else -1
        above = self.episode << 44
        best = _running_max(_fixed(x) * sign + above)
        _, ahead = self.around(seconds)
        out: Float64s = (best.take(ahead) - above) * (sign / FIXED_POINT)
        if past and self.memory is not None:
            out = (np.fmax if largest else np.fmin)(out, getattr(self.memory.past, past).take(self.episode))
        return out

    def recent_least(self, x: Float64s, seconds: float, ahead: float) -> Float64s:
        """Least value from ``seconds`` before each frame to ``ahead`` s after it, shape (T,)."""
        width = self.frames(seconds) + self.frames(ahead) + 1
        _, end = self.around(ahead)
        age = np.arange(len(x), dtype=np.int64) - self.first
        full = age.take(end) >= (width - 1).take(self.episode)
        longest = min(int(width.max()), int(np.diff(self.offset).max()))
        best, least, size = np.empty(len(x)), x.copy(), 1
        while True:
            # least of the 2^k frames up to each
            level = (width >= size) & (width < 2 * size)
            if level.any():
                mine = np.flatnonzero(full & level.take(self.episode))
                last = end[mine]
                best[mine] = np.minimum(least[last], least[last - width[self.episode[mine]] + size])
            if size >= longest:
                break
            np.copyto(least[size:], np.minimum(least[size:], least[:-size]), where=age[size:] >= size)
            size *= 2
        # by now it is that of all frames since the first
        young = np.flatnonzero(~full)
        best[young] = least[end[young]]
        return best

    def noise(self, x: NDArray[Any], seconds: float) -> Float64s:
        """Sensor noise of each episode from its first ``seconds``, shape (n,); 0 where there are too few frames.

        Third differences cancel smooth motion; their spread is √20 times that of white noise.
        """
        found: Float64s = self.noises(np.atleast_2d(np.asarray(x, np.float64).T)[None], seconds)[0]
        return found

    def noises(self, components: Float64s, seconds: float) -> Float64s:
        """The same of several things at once, their components along the frames: shape (k, d, T) to (k, n)."""
        things, d, _ = components.shape
        n = len(self.offset) - 1
        reach = np.minimum(self.frames(seconds), np.diff(self.offset) - 3)
        out = np.zeros((things, n))
        for frames in np.unique(reach[reach > 0]).tolist():
            rows = np.flatnonzero(reach == frames)
            third = components.take(self.offset[:-1][rows][:, None] + np.arange(frames + 3), axis=2)
            for _ in range(3):
                third = third[..., 1:] - third[..., :-1]
            each = np.abs(third, out=third).swapaxes(1, 2).reshape(things, len(rows), d * frames)
            out[:, rows] = medians(each) * (MAD_TO_SIGMA / np.sqrt(20.0))
        return out

    def spread(self, x: NDArray[Any], seconds: float) -> Float64s:
        """Robust standard deviation over the quieter half of the first ``seconds`` of each episode, shape (n,).

        A hand may take hold within its first second: that is no noise.
        """
        n = len(self.offset) - 1
        reach = np.minimum(self.frames(seconds), np.diff(self.offset))
        out = np.zeros(n)
        for frames in np.unique(reach[reach > 0]).tolist():
            rows = np.flatnonzero(reach == frames)
            block = np.asarray(x, np.float64)[self.offset[:-1][rows][:, None] + np.arange(frames)]
            halves = (block[:, : (frames + 1) // 2], block[:, frames // 2 :])
            out[rows] = MAD_TO_SIGMA * np.minimum(*(medians(np.abs(h - medians(h)[:, None])) for h in halves))
        return out


def quantile(x: Float64s, share: float) -> float:
    """Quantile of some values, to the last bit as numpy's, which takes ten times as long for a few; shape (n,), n > 0.

    >>> quantile(np.array([4.0, 1.0, 2.0]), 0.25)
    1.5
    """
    ordered = np.sort(x)
    place = (len(x) - 1) * share
    below = int(place)
    low, high = ordered[below], ordered[min(below + 1, len(x) - 1)]
    gap, part = high - low, place - below
    found = high - gap * (1 - part) if part >= 0.5 else low + gap * part
    return float(found) if ordered[-1] == ordered[-1] else np.nan


def _period(offset: Int64s, time: Float64s) -> Float64s:
    """Median step of the first frames, shape (n,); 0.05 s where there is but one frame."""
    n = len(offset) - 1
    steps = np.clip(np.diff(offset) - 1, 0, PERIOD_FRAMES - 1)
    out = np.full(n, 0.05)
    for count in np.unique(steps[steps > 0]).tolist():
        rows = np.flatnonzero(steps == count)
        block = time[offset[:-1][rows][:, None] + np.arange(count + 1)]
        out[rows] = medians(block[:, 1:] - block[:, :-1])
    floor: Float64s = np.maximum(out, 1e-6)
    return floor


LARGEST: Final = float(1 << 20)
"""Values are cut at so many units: a million metres or newtons are no measurement, and sums must not overflow."""


def _fixed(x: NDArray[Any]) -> Int64s:
    """Fixed-point integers."""
    steps = np.clip(np.asarray(x, np.float64), -LARGEST, LARGEST)
    steps *= FIXED_POINT
    return np.rint(steps, out=steps).astype(np.int64)


def _prefix_sums(x: NDArray[Any]) -> Int64s:
    total = np.zeros(len(x) + 1, np.int64)
    np.cumsum(_fixed(x), out=total[1:])
    return total


def _by_column(x: NDArray[Any], verb: Callable[[NDArray[Any]], Float64s]) -> Float64s:
    """Columns of ``x`` one by one, each contiguous in the result, shape as ``x``."""
    out = np.empty(x.shape, np.float64, order="F")
    for k in range(x.shape[1]):
        out[:, k] = verb(x[:, k])
    return out


def hold_last(x: NDArray[Any], ragged: Ragged) -> tuple[Float64s, Bools]:
    """Fill missing samples with the last seen one (the first seen one before that; 0 where none was).

    Args:
        x: shape (T,) or (T, d).
        ragged: where each frame stands.

    Returns:
        The filled column, its coordinates contiguous, and where it was seen, shape (T,).
    """
    held = np.array(x, np.float64, order="F")
    return held, fill_gaps(held.T if held.ndim > 1 else held[None], ragged)


def fill_gaps(components: Float64s, ragged: Ragged) -> Bools:
    """Fill the missing samples of components as :func:`hold_last` does, in place, and tell where all were seen.

    Args:
        components: shape (d, T).
        ragged: where each frame stands.

    Returns:
        shape (T,).
    """
    seen: Bools = np.isfinite(components[0])
    for each in components[1:]:
        seen &= np.isfinite(each)
    gap = np.flatnonzero(~seen)
    if not len(gap):
        return seen
    # the k-th gap, at frame g, has g - k seen frames before it; -1 stands for none before the first, after the last
    known = np.concatenate([[-1], np.flatnonzero(seen), [-1]])
    before = gap - np.arange(len(gap))
    source = known.take(before)
    source[source < ragged.first[gap]] = -1
    early = np.flatnonzero(source < 0)
    later = known.take(before[early] + 1)
    source[early] = np.where(later <= ragged.last[gap[early]], later, -1)
    none = source < 0
    for each in components:
        value = each.take(source)
        value[none] = 0.0
        each[gap] = value
    return seen


def squares(x: NDArray[Any]) -> Float64s:
    """Sums of squares over the last axis: lengths of vectors, squared."""
    out: Float64s = (x * x).sum(axis=-1)
    return out


def lengths(x: NDArray[Any]) -> Float64s:
    """Lengths of vectors along the last axis."""
    out: Float64s = np.sqrt(squares(x))
    return out


def orderless(track: NDArray[Any]) -> bool:
    """Whether a track, shape (t, d), jumps about as no body does; what never changes does not.

    Of values without any order in time, successive ones differ by twice their variance (von Neumann 1941); of a motion
    that was sampled often enough, by a small part of it. Half of the variance lies between.
    """
    part = track.astype(np.float64)
    part = part[np.isfinite(part).all(axis=1)]
    if len(part) <= 2:
        return False
    spread, step = part.var(axis=0).sum(), np.square(np.diff(part, axis=0)).mean(axis=0).sum()
    return bool(step > 0.5 * spread > 0.0)


@dataclass(frozen=True, eq=False)
class Runs:
    """Stretches of frames one after another, none across the border of two episodes; shape (r,) each."""

    ragged: Ragged
    start: Int64s
    """First frame."""
    stop: Int64s
    """One past the last frame."""
    column: NDArray[Any]
    """What does not change within one, shape (T,)."""

    @classmethod
    def of(cls, column: NDArray[Any], ragged: Ragged, edge: Bools | None = None) -> Self:
        """Runs of equal values, begun anew at each ``edge``."""
        begins = np.ones(len(column), np.bool_)
        np.not_equal(column[1:], column[:-1], out=begins[1:])
        begins[ragged.offset[:-1]] = True
        if edge is not None:
            begins |= edge
        start = begins.nonzero()[0]
        return cls(ragged, start, np.append(start[1:], len(column)), column)

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def kind(self) -> NDArray[Any]:
        """The value in it."""
        return self.column[self.start]

    @cached_property
    def length(self) -> Int64s:
        """Frames."""
        return self.stop - self.start

    @cached_property
    def episode(self) -> Int64s:
        """Episode in which it lies."""
        return self.ragged.episode[self.start]

    @cached_property
    def seconds(self) -> Float64s:
        """Duration."""
        return self.length * self.ragged.period[self.episode]

    @property
    def here(self) -> Int64s:
        """Its own place among the runs."""
        return np.arange(len(self.start))

    @cached_property
    def first(self) -> Int64s:
        """Place of its episode's first run."""
        return np.searchsorted(self.episode, self.episode)

    @cached_property
    def last(self) -> Int64s:
        """Place of its episode's last run."""
        return np.searchsorted(self.episode, self.episode, side="right") - 1

    def frames(self, seconds: float) -> Int64s:
        """Frames in a span of time."""
        return self.ragged.frames(seconds)[self.episode]

    def spread(self, values: NDArray[N]) -> NDArray[N]:
        """Values of runs at each of their frames, shape (T,)."""
        return values.repeat(self.length, axis=0)

    def any(self, mask: Bools) -> Bools:
        """Whether a mask of frames holds somewhere in it."""
        return per_run(np.logical_or, mask, self.start)

    def count(self, mask: Bools) -> Int64s:
        """Frames in which the mask holds."""
        return per_run(np.add, mask.astype(np.int64), self.start)

    def total(self, x: NDArray[N]) -> NDArray[N]:
        """Sum over its frames."""
        return per_run(np.add, x, self.start)

    def largest(self, x: NDArray[N]) -> NDArray[N]:
        """Largest of its frames."""
        return per_run(np.maximum, x, self.start)

    def least(self, x: NDArray[N]) -> NDArray[N]:
        """Least of its frames."""
        return per_run(np.minimum, x, self.start)

    def extent(self, x: Float64s) -> Float64s:
        """Between least and largest of its frames, of each coordinate, shape (r, d)."""
        return self.largest(x) - self.least(x)

    def first_in(self, mask: Bools) -> Int64s:
        """First frame in which the mask holds; the number of all frames where none does."""
        return self.least(np.where(mask, np.arange(len(mask)), len(mask)))

    def last_in(self, mask: Bools) -> Int64s:
        """Last frame in which the mask holds; -1 where none does."""
        return self.largest(np.where(mask, np.arange(len(mask)), -1))

    def previous(self, mask: Bools) -> Int64s:
        """Latest earlier run of the episode for which the mask holds, -1 where none."""
        found = last_where(np.append(False, mask[:-1]), self.first + 1)
        return np.where(found >= 0, found - 1, -1)

    def next(self, mask: Bools) -> Int64s:
        """Earliest later run of the episode for which the mask holds, -1 where none."""
        found = next_where(np.append(mask[1:], False), self.last - 1)
        return np.where(found >= 0, found + 1, -1)

    def before(self, values: NDArray[N], default: int | bool) -> NDArray[N]:
        """Value of the run before, the default at the first of an episode."""
        return pick(np.where(self.here > self.first, self.here - 1, -1), values, default)

    def after(self, values: NDArray[N], default: int | bool) -> NDArray[N]:
        """Value of the run after, the default at the last of an episode."""
        return pick(np.where(self.here < self.last, self.here + 1, -1), values, default)

    def without_brief(self, code: Int64s, long: Bools) -> Int64s:
        """Code of every frame, that of runs that are not long from the run before, else from the one after."""
        before, after = last_where(long, self.first), next_where(long, self.last)
        source = np.where(before >= 0, before, np.where(after >= 0, after, self.here))
        return self.spread(code[self.start][source])


def pick(place: Int64s, values: NDArray[N], default: int | bool) -> NDArray[N]:
    """Values at places; the default where the place is -1."""
    return np.where(place >= 0, values[np.maximum(place, 0)], default)


runs_of: Final = Runs.of


def without_short(mask: Bools, ragged: Ragged, *, gap: float, run: float) -> Bools:
    """Close gaps shorter than ``gap`` s between two runs, then drop runs shorter than ``run`` s."""
    out = mask
    for value, seconds in ((False, gap), (True, run)):
        if seconds <= 0:
            continue
        runs = runs_of(out, ragged)
        flip = (runs.kind == value) & (runs.length < runs.frames(seconds))
        if not value:
            flip &= (runs.here > runs.first) & (runs.here < runs.last)
        if flip.any():
            out = out ^ runs.spread(flip)
    return out


def per_run(ufunc: np.ufunc, x: NDArray[N], start: Int64s) -> NDArray[N]:
    """Reduce consecutive runs that begin at ``start`` and together cover ``x``, shape (r, …)."""
    out: NDArray[N] = ufunc.reduceat(x, start, axis=0)
    return out


def running_max_in(group: Int64s, x: Float64s) -> Float64s:
    """Largest value so far within each group of consecutive frames; ``group`` never falls, shape (T,)."""
    if not len(x):
        return x
    # numbered without gaps, and in parts where there are more groups than the upper bits can hold
    rank = np.cumsum(np.append(False, group[1:] != group[:-1]))
    part = rank >> 18
    above = (rank & ((1 << 18) - 1)) << 44
    coded = _fixed(x) + above
    edges = np.flatnonzero(part[1:] != part[:-1]) + 1
    parts = np.split(coded, edges) if len(edges) else [coded]
    best = np.concatenate([_running_max(each) for each in parts])
    out: Float64s = (best - above) / FIXED_POINT
    return out


STRIDE: Final = 32
"""Frames that a running extreme takes at once."""


def _running_max(x: Int64s) -> Int64s:
    """Largest so far, shape (T,); most strides hold no new one, and need not be gone through frame by frame."""
    if len(x) < 64 * STRIDE:
        return np.maximum.accumulate(x)
    top = np.maximum.reduceat(x, np.arange(0, len(x), STRIDE))
    best = np.maximum.accumulate(top)
    before = np.append(np.iinfo(np.int64).min, best[:-1])
    out = np.repeat(before, STRIDE)[: len(x)]
    new = np.flatnonzero(top > before)
    rows = spans(new * STRIDE, np.minimum(len(x) - new * STRIDE, STRIDE))
    # what a stride brings never falls below what came before it
    out[rows] = np.maximum.accumulate(np.maximum(x[rows], out[rows]))
    return out


def last_where(mask: Bools, first: Int64s) -> Int64s:
    """Latest place at or before each where the mask holds, no earlier than ``first``; else -1, shape (T,)."""
    at = _enclosed(mask)
    found = at[:-1].repeat(at[1:] - at[:-1])[1:]
    np.copyto(found, -1, where=found < first)
    return found


def next_where(mask: Bools, last: Int64s) -> Int64s:
    """Earliest place at or after each where the mask holds, no later than ``last``; else -1, shape (T,)."""
    at = _enclosed(mask)
    found = at[1:].repeat(at[1:] - at[:-1])[:-1]
    np.copyto(found, -1, where=found > last)
    return found


def _enclosed(mask: Bools) -> Int64s:
    """Where the mask holds, between -1 and its length."""
    at = mask.nonzero()[0]
    out = np.empty(len(at) + 2, np.int64)
    out[0], out[1:-1], out[-1] = -1, at, len(mask)
    return out


def among(code: Int64s, kinds: Sequence[int]) -> Bools:
    """Where small codes are one of some kinds; -1 is none of them."""
    out: Bools = _table_of(tuple(kinds)).take(code)
    return out


@cache
def _table_of(kinds: tuple[int, ...]) -> Bools:
    table = np.zeros(64, np.bool_)
    table[list(kinds)] = True
    return read_only(table)
