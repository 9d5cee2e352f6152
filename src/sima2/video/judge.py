"""What only the other episodes of a camera can tell: which files, lengths, stands, repeats and lags are usual."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from sima2.records.arrays import Indices
from sima2.records.robust import MAD_TO_SIGMA
from sima2.records.video import CameraTable
from sima2.video.inspector import Told, frozen
from sima2.video.picture_checks import LAGS
from sima2.video.video_settings import VideoSettings

SET: Final = -1
"""Row of a finding that is about the set."""
Rows = Indices
Found = tuple[int, str, Told]
"""Row of the table (``SET`` for none), camera, finding."""


def judged_cameras(cameras: CameraTable, settings: VideoSettings) -> list[Found]:
    """Findings that rest on all episodes."""
    found: list[Found] = []
    for code, name in enumerate(cameras.camera.names):
        rows = np.flatnonzero(cameras.camera.codes == code)
        for rule in (_missing, _length, _clock, _standing, _repeating, _late):
            found += [(row, name, told) for row, told in rule(cameras, rows, settings)]
    return found


def _missing(cameras: CameraTable, rows: Rows, settings: VideoSettings) -> Iterator[tuple[int, Told]]:
    gone = rows[~cameras.here[rows]]
    if len(gone) and len(gone) == len(rows):
        words = f"none of its {len(rows)} videos is there ({cameras.missing[int(gone[0])]})"
        yield SET, Told("video_missing", 1.0, 0, 0, float(len(gone)), "episodes", words)
        return
    for row in gone.tolist():
        frames = int(cameras.frames[row])
        yield row, Told("video_missing", 1.0, 0, frames, 1.0, "of the video", cameras.missing[row])


def _length(cameras: CameraTable, rows: Rows, settings: VideoSettings) -> Iterator[tuple[int, Told]]:
    read = rows[cameras.here[rows] & (cameras.pictures[rows] > 0)]
    more = cameras.pictures[read] - cameras.frames[read]
    usual, times = Counter(more.tolist()).most_common(1)[0] if len(read) else (0, 0)
    of_all = usual != 0 and len(read) >= settings.lag_peers and 2 * times > len(read)
    if of_all:
        words = f"{times} of {len(read)} videos hold {_more(usual)} than the episode has frames"
        yield SET, Told("video_length", times / len(read), 0, 0, float(usual), "pictures", words)
    for row, off in zip(read.tolist(), more.tolist(), strict=True):
        if off != 0 and not (of_all and off == usual):
            frames, pictures = int(cameras.frames[row]), int(cameras.pictures[row])
            words = f"holds {pictures} pictures for {frames} frames"
            begin = min(pictures, frames)
            yield row, Told("video_length", max(-off, 0) / frames, begin, frames, float(pictures), "pictures", words)


def _more(off: int) -> str:
    return f"{abs(off)} picture{'s' if abs(off) > 1 else ''} {'more' if off > 0 else 'fewer'}"


def _clock(cameras: CameraTable, rows: Rows, settings: VideoSettings) -> Iterator[tuple[int, Told]]:
    """Videos that run at another rate than the frames of the table."""
    known = rows[np.isfinite(cameras.clock[rows])]
    off = cameras.clock[known] - 1.0
    both = np.minimum(cameras.pictures[known], cameras.frames[known]) - 1
    wrong = (np.abs(off) > settings.rate_off) & (np.abs(off) * both > settings.rate_frames)
    if len(known) >= settings.lag_peers and 2 * wrong.sum() > len(known):
        usual = float(np.median(cameras.clock[known]))
        words = f"in {int(wrong.sum())} of {len(known)} videos pictures take {usual:.3f} times the time of their frames"
        yield SET, Told("video_rate", float(wrong.mean()), 0, 0, usual, "times", words)
        return
    for k in np.flatnonzero(wrong).tolist():
        row, clock = int(known[k]), float(cameras.clock[known[k]])
        words = f"its pictures take {clock:.3f} times the time of their frames in the table"
        yield row, Told("video_rate", min(abs(clock - 1), 1.0), 0, int(cameras.frames[row]), clock, "times", words)


def _standing(cameras: CameraTable, rows: Rows, settings: VideoSettings) -> Iterator[tuple[int, Told]]:
    """Stands that no leap ends: only of a camera that shows motion wherever else there is some."""
    length = (cameras.stand_end - cameras.stand_start) * cameras.period_s
    for row in rows[length[rows] > 0].tolist():
        other = rows[(rows != row) & (cameras.moving[rows] >= settings.fewest_spans)]
        if len(other) < settings.fewest_peers:
            continue
        share = cameras.standing[other] / cameras.moving[other]
        usual = float(np.median(share)) <= settings.usual_stand
        rare = length[row] >= settings.rare_stand * np.quantile(length[other], 0.8)
        within = cameras.stand_spans[row]
        rest, stood = cameras.moving[row] - within, cameras.standing[row] - within
        own = rest >= settings.fewest_spans and stood <= settings.usual_stand * rest + 1
        whole = cameras.stand_end[row] - cameras.stand_start[row] >= settings.stand_whole * cameras.pictures[row]
        if usual and rare and (own or whole):
            start, stop = int(cameras.stand_start[row]), int(cameras.stand_end[row])
            yield row, frozen(start, stop, int(cameras.pictures[row]), 1.0 / float(cameras.period_s[row]))


def _repeating(cameras: CameraTable, rows: Rows, settings: VideoSettings) -> Iterator[tuple[int, Told]]:
    read = rows[cameras.moving[rows] > 0]
    share = cameras.repeats[read]
    least = settings.repeats
    if len(read) >= settings.lag_peers:
        usual = float(np.median(share))
        spread = MAD_TO_SIGMA * float(np.median(np.abs(share - usual)))
        least = min(least, max(settings.repeats_least, usual + settings.repeat_spreads * spread))
    many = read[share >= least]
    if len(read) >= settings.lag_peers and 2 * len(many) > len(read):
        words = f"in {len(many)} of {len(read)} videos a picture is often the one before over again: {_rate(usual)}"
        yield SET, Told("video_repeats", usual, 0, 0, usual, "of the pictures", words)
        return
    for row in many.tolist():
        own = float(cameras.repeats[row])
        words = f"a picture is often the one before over again: {_rate(own)}"
        yield row, Told("video_repeats", own, 0, int(cameras.frames[row]), own, "of the pictures", words)


def _rate(share: float) -> str:
    return f"{share:.0%} of those in which the robot moves"


def _late(cameras: CameraTable, rows: Rows, settings: VideoSettings) -> Iterator[tuple[int, Told]]:
    """Lags that are far from what is usual of the camera, by the spread of the set itself."""
    grid = np.array(LAGS)
    rows = rows[np.isfinite(cameras.agreement[rows]).all(axis=1)]
    if not len(rows):
        return
    curves = cameras.agreement[rows].astype(np.float64)
    at, fit = curves.argmax(axis=1), curves.max(axis=1)
    # at the edge of what is looked for nothing tells that it is a peak
    known = (fit >= settings.lag_fit) & (at > 0) & (at < len(grid) - 1)
    lag = grid[at]
    if known.sum() < settings.lag_peers:
        return
    usual = float(np.median(lag[known]))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(lag[known] - usual)))
    most = max(settings.lag_least, 2 * float(np.median(cameras.period_s[rows])), settings.lag_spreads * spread)
    if abs(usual) >= settings.lag_set and spread <= settings.lag_set / 3:
        words = f"in {int(known.sum())} episodes {_lag(usual)}, give or take {spread:.2f} s"
        yield SET, Told("video_lag", 1.0, 0, 0, usual, "s", words)
    near = np.abs(grid - usual) <= max(settings.lag_least / 2, spread) + 1e-9
    clear = fit - curves[:, near].max(axis=1)
    sure = known & (fit >= settings.lag_sure) & (clear >= settings.lag_clear)
    for k in np.flatnonzero(sure & (np.abs(lag - usual) > most)).tolist():
        row, own = int(rows[k]), float(lag[k])
        words = f"{_lag(own)}; usual are {usual:.2f} s, give or take {spread:.2f} s (agreement {fit[k]:.2f})"
        yield row, Told("video_lag", 1.0, 0, int(cameras.frames[row]), own, "s", words)


def _lag(lag: float) -> str:
    return f"the picture changes {abs(lag):.2f} s {'later' if lag >= 0 else 'earlier'} than the joints move"
