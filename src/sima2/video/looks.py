"""Which pictures of an episode are looked at, and what they show: black, standing, repeated, late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.video.settings import VideoSettings

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Cells = Mapping[int, Floats]
"""Frame of the episode to the brightness of the fields of its picture."""

NEIGHBOURS: Final = 3
"""Pictures on each side that a repeated one is compared with."""
AFTER: Final = 12
"""Pictures behind a stand that show how much changes from one to the next."""


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """What the robot does in an episode, frame by frame."""

    moves: Bools
    """Whether any part of it moves, shape (t,)."""
    pace: NDArray[np.float64]
    """How fast each arm moves, shape (arms, t)."""


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
    pace = motion.pace[:, :frames].sum(axis=0) if len(motion.pace) else np.zeros(frames)
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


def is_black(cells: Floats, settings: VideoSettings) -> bool:
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

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    change: Floats
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
    pairs = list(zip(there[:-1], there[1:], strict=True))
    start, stop = (np.array([pair[k] for pair in pairs], np.int64) for k in (0, 1))
    change = np.array([np.abs(cells[b] - cells[a]).max() for a, b in pairs], np.float32)
    moving = np.array([motion.moves[a + 1 : b + 1].mean() >= settings.stand_moving for a, b in pairs], np.bool_)
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
    moving: float
    """Share of its frames in which the robot moves."""


def exact(cells: Cells, near: tuple[int, int], most: float, motion: Motion, frames: int, leap_least: float) -> Stand:
    """A stand to the frame, of pictures around it that were all looked at."""
    anchor = cells[near[0]]
    start, stop = near[0], near[0] + 1
    while start - 1 in cells and np.abs(cells[start - 1] - anchor).max() <= most:
        start -= 1
    while stop in cells and np.abs(cells[stop] - anchor).max() <= most:
        stop += 1
    moving = float(motion.moves[start + 1 : stop].mean()) if stop - start > 1 else 0.0
    if stop >= frames or stop not in cells:
        return Stand(start, stop, 0.0, moving)
    behind = [k for k in range(stop + 1, stop + 1 + AFTER) if k in cells and k - 1 in cells]
    changes = [float(np.abs(cells[k] - cells[k - 1]).mean()) for k in behind]
    first = float(np.abs(cells[stop] - cells[stop - 1]).mean())
    usual = max(float(np.quantile(changes, 0.9)) if changes else 0.0, leap_least / 4)
    return Stand(start, stop, first / usual if first >= leap_least else 0.0, moving)


def repeats(
    cells: Cells, spans: Sequence[tuple[int, int]], motion: Motion, settings: VideoSettings
) -> tuple[float, int]:
    """Share of the pictures of stretches that are the one before over again while all around changes, and of how many.

    Only where the robot moves as fast as usual counts: else it may have stopped for a moment.
    """
    pace = motion.pace.sum(axis=0) if len(motion.pace) else np.zeros(len(motion.moves))
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
            if not (motion.moves[frame] and pace[frame] >= 0.5 * fast and before and after and own == own):
                continue
            around = min(np.nanmax([*before, 0.0]), np.nanmax([*after, 0.0]))
            counted += 1
            same += bool(around >= settings.repeat_loud and own <= settings.repeat_share * around)
    return (same / counted if counted >= settings.fewest_pictures else 0.0), counted


def lag_of(
    cells: Cells, spans: Sequence[tuple[int, int]], motion: Motion, fps: float, settings: VideoSettings
) -> tuple[float, float]:
    """By how many seconds pictures change later than the robot moves, and how well the two agree then.

    The arm that agrees best counts: a camera may see but one. NaN where nothing varies.
    """
    width = max(1, round(settings.smooth_s * fps))
    most = max(1, round(settings.lag_s * fps))
    frames = len(motion.moves)
    change = np.full(frames, np.nan)
    for start, stop in spans:
        for k in range(start + 1, stop):
            if k in cells and k - 1 in cells:
                change[k] = np.abs(cells[k] - cells[k - 1]).mean()
    change = _smooth(change, width)
    best = (np.nan, np.nan)
    for arm in motion.pace:
        pace = _smooth(arm.astype(np.float64), width)
        fits = [_agree(change, pace, shift) for shift in range(-most, most + 1)]
        if not np.isfinite(fits).any():
            continue
        at = int(np.nanargmax(fits))
        far = round(settings.lag_apart_s * fps)
        aside = [fit for k, fit in enumerate(fits) if abs(k - at) > far and np.isfinite(fit)]
        if aside and max(aside) > fits[at] - settings.lag_clear:
            continue  # motion that goes to and fro agrees at several lags
        if not best[1] >= fits[at]:
            best = (_peak(fits, at, most) / fps, fits[at])
    return best


def _peak(fits: Sequence[float], at: int, most: int) -> float:
    """Place of a peak between samples, by a parabola."""
    if 0 < at < len(fits) - 1 and np.isfinite(fits[at - 1]) and np.isfinite(fits[at + 1]):
        bend = fits[at - 1] - 2 * fits[at] + fits[at + 1]
        if bend < 0:
            return at - most + 0.5 * (fits[at - 1] - fits[at + 1]) / bend
    return float(at - most)


def _agree(change: NDArray[np.float64], pace: NDArray[np.float64], shift: int) -> float:
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


def _smooth(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Means over a window about each value; NaN where any in it is."""
    if width < 2 or len(values) < width:
        return values
    padded = np.convolve(values, np.ones(width) / width, mode="same")
    edge = width // 2
    padded[:edge], padded[len(padded) - edge :] = values[:edge], values[len(values) - edge :]
    return padded
