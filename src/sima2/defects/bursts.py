"""Stretches in which a value trembles as it does nowhere else: a loose plug, a failing encoder."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.defects.defect_settings import DefectSettings
from sima2.defects.tracks import HAND, JOINT, Tracks
from sima2.records.arrays import Float64s, Int64s
from sima2.records.robust import medians

LEAST_FRAMES: Final = 6
"""Frames of a window, however few a second has."""
ALTERNATES: Final = 0.6
"""Share of second differences that change sign: 0.77 of white noise, far below a half of a smooth motion."""
LEAST_TURNS: Final = 0.5
"""Large turns of a burst, over the frames of a window: half are large, most of them turn, and it lasts longer."""
USUAL: Final = 0.75
"""Quantile over the moving windows of an episode that counts as usual."""


def burst_of(tracks: Tracks, arm: str, settings: DefectSettings) -> Float64s:
    """Of each episode the column of an arm that trembles most: how much, its row, first frame and end, shape (4, n)."""
    out = np.zeros((4, len(tracks.length)))
    rows = tracks.rows(arm=arm, kind=JOINT) or tracks.rows(arm=arm, kind=HAND)
    if not rows:
        return out
    kind = tracks.rows(kind=tracks.columns[rows[0]].kind)
    widest = _widest(tracks, kind)
    widths = np.maximum(tracks.frames(settings.burst_s), LEAST_FRAMES)
    long = tracks.length >= 4 * widths
    for row in rows:
        # a burst has that many turns of that size; all else is left alone
        restless = _large_turns(tracks, row, settings.burst_floor * widest)
        for i in np.flatnonzero(long & (restless >= LEAST_TURNS * widths)).tolist():
            a, b = int(tracks.offset[i]), int(tracks.offset[i + 1])
            times, size, start, stop = _burst(tracks, row, a, b, int(widths[i]))
            if size >= settings.burst_floor * widest[i] and times > out[0, i]:
                out[:, i] = times, row, start, stop
    return out


def _widest(tracks: Tracks, rows: list[int]) -> Float64s:
    """Range of the column that goes farthest, shape (n,)."""
    out = np.zeros(len(tracks.length))
    some = np.flatnonzero(tracks.length)
    if len(some):
        at, x = tracks.offset[:-1][some], tracks.x[rows]
        span = np.maximum.reduceat(x, at, axis=1) - np.minimum.reduceat(x, at, axis=1)
        out[some] = span.max(axis=0)
    return out


def _large_turns(tracks: Tracks, row: int, least: Float64s) -> Int64s:
    """Second differences of at least so much that go against the one before, in each episode, shape (n,)."""
    out = np.zeros(len(tracks.length), np.int64)
    some = np.flatnonzero(tracks.length)
    x = tracks.x[row]
    if len(x) < 4 or not len(some):
        return out
    bend = np.zeros(len(x), np.float32)
    bend[2:] = x[2:] - 2 * x[1:-1] + x[:-2]
    turn = np.zeros(len(x), np.bool_)
    turn[1:] = bend[1:] * bend[:-1] < 0
    turn &= np.abs(bend) >= np.repeat(least, tracks.length)
    out[some] = np.add.reduceat(turn.astype(np.int64), tracks.offset[:-1][some])
    return out


def _burst(tracks: Tracks, row: int, a: int, b: int, width: int) -> tuple[float, float, int, int]:
    """Of a column of an episode: the greatest tremble of a window over the usual one, its size, first frame, end."""
    bend = np.diff(tracks.x[row, a:b].astype(np.float64), 2)
    hop = max(width // 2, 1)
    turns = np.concatenate([[False], bend[1:] * bend[:-1] < 0])
    restless = _windows(turns, width, hop).mean(axis=1) >= ALTERNATES
    if not restless.any():
        return 0.0, 0.0, 0, 0
    size = medians(_windows(np.abs(bend), width, hop))
    moving = _windows(tracks.anything_moves[a + 1 : b - 1], width, hop).mean(axis=1) > 0.5
    usual = float(np.quantile(size[moving], USUAL)) if moving.any() else 0.0
    # steps of an encoder are no tremble
    usual = max(usual, float(np.median(np.abs(bend[bend != 0]))) if (bend != 0).any() else 0.0)
    strong = np.where(restless, size, 0.0)
    k = int(np.argmax(strong))
    if not usual > 0:
        return 0.0, 0.0, 0, 0
    hot = np.flatnonzero(restless & (size >= 0.5 * strong[k]))
    first, last = k, k
    while first - 1 in hot:
        first -= 1
    while last + 1 in hot:
        last += 1
    return float(strong[k]) / usual, float(strong[k]), first * hop + 1, min(last * hop + width + 1, b - a)


def _windows(values: NDArray[Any], width: int, hop: int) -> NDArray[Any]:
    return np.lib.stride_tricks.sliding_window_view(values, width)[::hop]
