"""Stretches in which a value trembles as it does nowhere else in its episode: a loose plug, a failing encoder."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.defects.findings import Finding
from sima2.defects.settings import DefectSettings
from sima2.defects.tracks import HAND, JOINT, Tracks

LEAST_FRAMES: Final = 6
"""Frames of a window, however few a second has."""
ALTERNATES: Final = 0.6
"""Share of second differences that change sign: 0.77 of white noise, far below a half of a smooth motion."""
USUAL: Final = 0.75
"""Quantile over the moving windows of an episode that counts as usual."""


def burst_findings(tracks: Tracks, settings: DefectSettings) -> list[Finding]:
    """One finding for each arm and episode: the column that trembles most."""
    found = []
    for arm in dict.fromkeys(each.arm for each in tracks.columns):
        rows = tracks.rows(arm=arm, kind=JOINT) or tracks.rows(arm=arm, kind=HAND)
        kind = tracks.rows(kind=tracks.columns[rows[0]].kind) if rows else []
        for i in np.flatnonzero(tracks.length >= 4 * LEAST_FRAMES).tolist() if rows else []:
            a, b = int(tracks.offset[i]), int(tracks.offset[i + 1])
            width = max(LEAST_FRAMES, int(tracks.frames(settings.burst_s)[i]))
            if b - a < 4 * width:
                continue
            widest = float(np.ptp(tracks.x[kind, a:b], axis=1).max())
            seen = [_burst(tracks, row, a, b, width) for row in rows]
            times = [each[0] if each[1] >= settings.burst_floor * widest else 0.0 for each in seen]
            k = int(np.argmax(times))
            if times[k] < settings.burst_times:
                continue
            _, _, start, stop = seen[k]
            also = sum(each >= settings.burst_times for each in times) - 1
            words = (
                f"{tracks.columns[rows[k]].name} trembles from frame to frame {times[k]:.3g} times as much as it does "
                f"otherwise{f', {also} more with it' if also else ''}"
            )
            share = (stop - start) / (b - a)
            found.append(Finding(i, arm, "noise_burst", share, start, stop, times[k], "times its usual", words))
    return found


def _burst(tracks: Tracks, row: int, a: int, b: int, width: int) -> tuple[float, float, int, int]:
    """Of a column of an episode: the greatest tremble of a window over the usual one, its size, first frame, end."""
    bend = np.diff(tracks.x[row, a:b].astype(np.float64), 2)
    hop = max(width // 2, 1)
    turns = np.concatenate([[False], bend[1:] * bend[:-1] < 0])
    size = np.median(_windows(np.abs(bend), width, hop), axis=1)
    restless = _windows(turns, width, hop).mean(axis=1) >= ALTERNATES
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


def _windows(values: NDArray[np.generic], width: int, hop: int) -> NDArray[np.generic]:
    return np.lib.stride_tricks.sliding_window_view(values, width)[::hop]
