"""Which pictures of an episode are looked at, and what they show: black, standing, repeated, late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.video.video_settings import VideoSettings

Cells = Mapping[int, Float32s]
"""Frame of the episode to the brightness of the fields of its picture."""

NEIGHBOURS: Final = 4
"""Pictures on each side that a repeated one is compared with: with the second most changed of them, for a lamp that
blinks changes one."""
LAGS: Final = tuple(float(lag) for lag in np.round(np.arange(-20, 21) * 0.05, 2))
"""s by which pictures may come later than the joints move."""
LEAPS: Final = 3
"""Pictures behind a stand among which the leap is: coding spreads it."""
AFTER: Final = 12
"""Pictures behind a stand that show how much changes from one to the next."""


@dataclass(frozen=True, eq=False)
class Motion:
    """What the robot does in an episode, frame by frame."""

    moves: Bools
    """Whether any part of it moves, shape (t,)."""
    pace: Float64s
    """How fast each arm moves, shape (arms, t)."""

    @cached_property
    def whole(self) -> Float64s:
        """Pace of all arms together, shape (t,)."""
        return np.asarray(self.pace.sum(axis=0)) if len(self.pace) else np.zeros(len(self.moves))

    def travels(self, start: int, stop: int, settings: VideoSettings) -> bool:
        """Whether it moves over some frames, and at a pace that shows: hands that tremble change no picture."""
        if stop <= start or self.moves[start:stop].mean() < settings.stand_moving:
            return False
        usual = float(self.whole[self.moves].mean())
        return bool(self.whole[start:stop].mean() >= settings.stand_pace * usual)


class Span(NamedTuple):
    """Frames start .. stop with a measure."""

    start: int
    stop: int
    value: float


def even_looks(frames: int, fps: float, key: Bools, settings: VideoSettings) -> list[int]:
    """Frames to look at all over an episode: a key picture where one is near, for it costs least.

    Args:
        frames: of which there are pictures.
        fps: pictures a second.
        key: whether each picture needs no other, shape (frames,).
        settings: how dense.
    """
    step = max(1, round(fps * settings.look_s), -(-frames // (settings.most_pictures // 2)))
    keys = np.flatnonzero(key)
    chosen = {0, frames - 1}
    for place in range(0, frames, step):
        near = keys[np.abs(keys - place) <= step // 3]
        chosen.add(int(near[np.argmin(np.abs(near - place))]) if len(near) else place)
    return sorted(chosen)


def stretches(motion: Motion, frames: int, fps: float, settings: VideoSettings) -> list[tuple[int, int]]:
    """Stretches in which the pace changes most, apart and in order; they tell repeats and lag best."""
    size = min(max(round(fps * settings.stretch_s), settings.fewest_pictures), frames)
    pace = motion.whole[:frames]
    free = np.ones(frames, np.bool_)
    found: list[tuple[int, int]] = []
    for _ in range(settings.stretches):
        begins = [k for k in range(0, frames - size + 1, max(size // 3, 1)) if free[k : k + size].all()]
        worth = [float(np.std(pace[k : k + size])) for k in begins]
        if not begins or max(worth) == 0.0:
            break
        best = begins[int(np.argmax(worth))]
        free[best : best + size] = False
        found.append((best, best + size))
    return sorted(found)


def is_black(cells: Float32s, settings: VideoSettings) -> bool:
    """Whether a picture shows nothing at all."""
    return bool(cells.mean() <= settings.black_mean and cells.max() <= settings.black_most)


def black_spans(cells: Cells, frames: int, fps: float, settings: VideoSettings) -> list[Span]:
    """Where looks are black, one after the other; bounds are as near as the looks."""
    looks = sorted(cells)
    black = [is_black(cells[k], settings) for k in looks]
    found: list[Span] = []
    begin = None
    for at, dark in zip([*looks, frames], [*black, False], strict=True):
        if dark and begin is None:
            begin = at
        if not dark and begin is not None:
            if at - begin >= min(settings.black_s * fps, frames):
                found.append(Span(begin, at, (at - begin) / frames))
            begin = None
    return found


class Grid(NamedTuple):
    """Spans between two looks."""

    start: Int64s
    stop: Int64s
    change: Float32s
    """Of the field that changes most."""
    moving: Bools
    """Whether the robot moves in most of it."""
    standing: Bools
    """Whether the picture stands."""
    most: float
    """Change up to which it does."""


def grid_of(cells: Cells, looks: Sequence[int], motion: Motion, settings: VideoSettings) -> Grid:
    """The spans between looks; those from or to a black picture tell nothing."""
    there = [k for k in looks if k in cells and not is_black(cells[k], settings)]
    pairs = list(pairwise(there))
    start, stop = (np.array([pair[k] for pair in pairs], np.int64) for k in (0, 1))
    change = np.array([np.abs(cells[b] - cells[a]).max() for a, b in pairs], np.float32)
    moving = np.array([motion.travels(a + 1, b + 1, settings) for a, b in pairs], np.bool_)
    usual = float(np.quantile(change[moving], 0.75)) if moving.any() else 0.0
    most = min(max(settings.stand_most, settings.stand_share * usual), settings.stand_loud)
    return Grid(start, stop, change, moving, change <= most, most)


def stands(grid: Grid, fps: float, settings: VideoSettings) -> list[tuple[int, int]]:
    """Frames between which the picture stands for long while the robot moves, as near as the looks."""
    found: list[tuple[int, int]] = []
    for a, b, moving, standing in zip(*(x.tolist() for x in (grid.start, grid.stop, grid.moving, grid.standing))):
        if standing and moving and found and found[-1][1] == a:
            found[-1] = (found[-1][0], b)
        elif standing and moving:
            found.append((a, b))
    least = settings.stand_s - 2 * settings.look_s
    return [(a, b) for a, b in found if b - a >= min(least * fps, max(grid.stop[-1] - 1, 1))]


class Stand(NamedTuple):
    """A stretch in which the picture stands, to the frame."""

    start: int
    stop: int
    leap: float
    """Change of the first picture behind it over what changes from one to the next there; 0 where it ends the
    episode."""
    moved_s: float
    """How long the robot moves in it; 0 where the picture does not stand all the way."""


def exact(cells: Cells, near: tuple[int, int], grid: Grid, frames: int, fps: float, settings: VideoSettings) -> Stand:
    """A stand to the frame, where all pictures about its ends were looked at."""
    middle = (near[0] + near[1]) // 2
    middle = middle if middle in cells else near[0]
    anchor = cells[middle]
    known = sorted(cells)
    same = [bool(np.abs(cells[k] - anchor).max() <= settings.stand_refresh) for k in known]
    at = known.index(middle)
    behind = next((k for k in range(at, len(known)) if not same[k]), len(known))
    before = next((k for k in range(at, -1, -1) if not same[k]), -1)
    start = known[before] + 1 if before >= 0 else 0
    stop = known[behind] if behind < len(known) else frames
    steps = [np.abs(cells[k] - cells[k - 1]).max() for k in range(start + 1, stop) if {k, k - 1} <= cells.keys()]
    stands = bool(steps) and float(np.mean(np.array(steps) <= grid.most)) >= settings.stand_still
    within = grid.moving & (grid.start >= start) & (grid.stop <= stop)
    moved = int((grid.stop - grid.start)[within].sum())
    moved_s = moved / fps if stands else 0.0
    if stop >= frames or stop - 1 not in cells:
        # a camera that sees nothing move still has noise
        whole = stop - start >= settings.stand_whole * frames
        exact_too = whole or (bool(steps) and float(np.median(steps)) <= settings.stand_exact)
        return Stand(start, stop, 0.0, moved_s if exact_too else 0.0)
    changes = [
        float(np.abs(cells[k] - cells[k - 1]).mean()) if {k, k - 1} <= cells.keys() else 0.0
        for k in range(stop, min(stop + LEAPS + AFTER, frames))
    ]
    first, after = max(changes[:LEAPS]), changes[LEAPS:]
    usual = max(float(np.quantile(after, 0.9)) if after else 0.0, settings.leap_least / 4)
    return Stand(start, stop, first / usual if first >= settings.leap_least else 0.0, moved_s)


def repeats(
    cells: Cells, spans: Sequence[tuple[int, int]], motion: Motion, settings: VideoSettings
) -> tuple[float, int]:
    """Share of the pictures, of those around which much changes, that are the one before over again; and of how many.

    Only where the robot moves as fast as usual counts: else it may have stopped for a moment.
    """
    pace = _smooth(motion.whole, 2 * NEIGHBOURS - 1)
    fast = float(np.quantile(pace[motion.moves], 0.5)) if motion.moves.any() else np.inf
    same = counted = 0
    for start, stop in spans:
        change = [
            float(np.abs(cells[k] - cells[k - 1]).max()) if k in cells and k - 1 in cells else np.nan
            for k in range(start + 1, stop)
        ]
        for at, own in enumerate(change):
            frame = start + 1 + at
            before, after = change[max(at - NEIGHBOURS, 0) : at], change[at + 1 : at + 1 + NEIGHBOURS]
            if not (motion.moves[frame] and pace[frame] >= 0.5 * fast and own == own):
                continue
            around = min(_second(before), _second(after))
            if around >= settings.repeat_loud:
                counted += 1
                same += own <= settings.repeat_share * around
    return (same / counted if counted >= settings.fewest_pictures else 0.0), counted


def _second(values: Sequence[float]) -> float:
    """The second largest number; 0 where there are fewer."""
    known = sorted(value for value in values if value == value)
    return known[-2] if len(known) > 1 else 0.0


def agreement(
    cells: Cells, spans: Sequence[tuple[int, int]], motion: Motion, fps: float, settings: VideoSettings
) -> Float32s:
    """How well change of the picture and motion of the robot agree at each lag of ``LAGS``, shape (41,).

    The arm that agrees best counts: a camera may see but one. Sizes are compressed (logarithm of the change, root of
    the pace), for how much of a picture changes tells more of what is near than of how fast it goes. NaN where nothing
    varies.
    """
    width = max(1, round(settings.smooth_s * fps))
    change = np.full(len(motion.moves), np.nan)
    for start, stop in spans:
        for k in range(start + 1, stop):
            if k in cells and k - 1 in cells:
                change[k] = np.log(np.abs(cells[k] - cells[k - 1]).mean() + settings.still_change)
    change = _smooth(change, width)
    best = np.full(len(LAGS), np.nan)
    for arm in motion.pace:
        pace = _smooth(np.sqrt(arm), width)
        fits = np.array([_agree(change, pace, round(lag * fps)) for lag in LAGS])
        if np.isfinite(fits).all() and not np.nanmax(best, initial=-1.0) >= fits.max():
            best = fits
    return np.asarray(best, np.float32)


def _agree(change: Float64s, pace: Float64s, shift: int) -> float:
    """Correlation of change with the pace so many frames before."""
    late = change[shift:] if shift >= 0 else change[:shift]
    early = pace[: len(pace) - shift] if shift >= 0 else pace[-shift:]
    known = np.isfinite(late) & np.isfinite(early)
    if known.sum() < 20:
        return np.nan
    x, y = late[known], early[known]
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum() / size) if size > 1e-12 else np.nan


def _smooth(values: Float64s, width: int) -> Float64s:
    """Means over a window about each value; NaN where any in it is."""
    if width < 2 or len(values) < width:
        return values
    padded = np.convolve(values, np.ones(width) / width, mode="same")
    edge = width // 2
    padded[:edge], padded[len(padded) - edge :] = values[:edge], values[len(values) - edge :]
    return padded
