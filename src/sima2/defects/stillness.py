"""Time in which nothing moves, and time in which nothing moves although it should."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from sima2.defects.commands import Following
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import Finding
from sima2.defects.limits import at_limit
from sima2.defects.tracks import GRIPPER, JOINT, NORMAL_MEDIAN, Tracks, runs
from sima2.records.arrays import Bools, Float32s, Int64s
from sima2.records.rollout import RolloutBatch

LEAST_LOAD: Final = 0.1
"""Share of the greatest torque of the arm below which a joint bears no load."""
TREMBLE: Final = 12.0
"""Range of a command in standard deviations of its noise that chance does not make."""


def moving_span(tracks: Tracks) -> tuple[Int64s, Int64s]:
    """First moving frame of each episode and one past the last, the whole episode where nothing moves, shape (n,)."""
    begin, end = np.zeros_like(tracks.length), tracks.length.copy()
    moving = np.flatnonzero(tracks.anything_moves)
    low, high = np.searchsorted(moving, tracks.offset[:-1]), np.searchsorted(moving, tracks.offset[1:])
    some = high > low
    begin[some] = moving[low[some]] - tracks.offset[:-1][some]
    end[some] = moving[high[some] - 1] + 1 - tracks.offset[:-1][some]
    return begin, end


def idle_findings(tracks: Tracks, settings: DefectSettings) -> list[Finding]:
    """Long stretches in which no joint, hand or gripper of the robot moves."""
    if not tracks.columns:
        return []
    start, stop = runs(~tracks.anything_moves, tracks.first)
    episode = np.searchsorted(tracks.offset, start, side="right") - 1
    first, last = tracks.offset[:-1][episode], tracks.offset[1:][episode] - 1
    whole = tracks.time[last] - tracks.time[first]
    lasts = tracks.time[np.minimum(stop, last)] - tracks.time[start]
    inside = (start > first) & (stop <= last)
    least = np.where(inside, settings.idle_middle_s, settings.idle_ends_s)
    least = np.minimum(np.maximum(least, settings.idle_share * whole), settings.idle_most_s)
    found = []
    for k in np.flatnonzero(lasts >= least).tolist():
        i, a = int(episode[k]), int(first[k])
        s, e = int(start[k]) - a, int(stop[k]) - a
        share = (e - s) / float(tracks.length[i])
        where = _place(s, e, int(tracks.length[i]))
        words = f"nothing moves for {lasts[k]:.3g} s {where}, {100 * share:.0f} % of the episode"
        words += _cut(s, e, int(tracks.length[i]))
        found.append(Finding(i, "", "idle", share, s, e, float(lasts[k]), "s", words))
    return found


def pauses(tracks: Tracks, settings: DefectSettings) -> list[tuple[int, int, int]]:
    """Stretches in which nothing moves: episode, first frame and one past the last, counted from its start.

    Whoever grips, looks or turns round stops for a moment: the first of it stays, as does all of a short stop.
    """
    if not tracks.columns:
        return []
    start, stop = runs(~tracks.anything_moves, tracks.first)
    episode = np.searchsorted(tracks.offset, start, side="right") - 1
    first, last = tracks.offset[:-1][episode], tracks.offset[1:][episode] - 1
    lasts = tracks.time[np.minimum(stop, last)] - tracks.time[start]
    begin = np.where(start == first, start, start + tracks.frames(settings.linger_s)[episode])
    rows = np.flatnonzero((lasts >= settings.pause_s) & (begin < stop))
    columns = (episode[rows], begin[rows] - first[rows], stop[rows] - first[rows])
    return list(zip(*(each.tolist() for each in columns), strict=True))


def _cut(start: int, end: int, length: int) -> str:
    """Which frames a trainer can leave out without a gap."""
    if (start == 0) == (end == length):
        return ""
    return f": frames {start} to {end - 1} can be cut"


def _place(start: int, end: int, length: int) -> str:
    if start == 0:
        return "all along" if end == length else "at the start"
    return "at the end" if end == length else "in the middle"


def stall_findings(
    tracks: Tracks, batch: RolloutBatch, follows: Mapping[str, Following], settings: DefectSettings
) -> list[Finding]:
    """Joints that stand although their command goes on, or that are under a load that they never bear in motion.

    A joint that stands beside a command that stands too is where it was left: its offset is judged elsewhere.
    """
    found: list[Finding] = []
    for arm, channels in batch.manipulators.items():
        rows = tracks.rows(arm=arm, kind=JOINT)
        if not rows:
            continue
        still = ~tracks.moving(rows)
        if arm in follows:
            found += _left_behind(tracks, arm, follows[arm], settings)
            found += _shut_hand(tracks, arm, channels.effort_proxy, len(rows), settings)
        elif channels.effort_proxy is not None:
            found += _behind(tracks, arm, still, channels.effort_proxy[:, : len(rows)], settings)
        if channels.joint_torque is not None:
            found += _loaded(tracks, arm, still, channels.joint_torque, settings)
    # where the commands of joints are known, each is held against its own joint
    if batch.action is not None and tracks.columns and not follows:
        found += _ignored(tracks, batch.action, settings)
    return found


def _held(tracks: Tracks, mask: Bools, seconds: float) -> list[tuple[int, int, int]]:
    """Stretches of at least so long: episode, first frame of the batch, one past the last."""
    start, stop = runs(mask, tracks.first)
    episode = np.searchsorted(tracks.offset, start, side="right") - 1
    enough = stop - start >= tracks.frames(seconds)[episode]
    return list(zip(episode[enough].tolist(), start[enough].tolist(), stop[enough].tolist(), strict=True))


def _stall(tracks: Tracks, i: int, arm: str, a: int, b: int, value: float, unit: str, words: str) -> Finding:
    first = int(tracks.offset[i])
    lasts = float((b - a) * tracks.period[i])
    share = (b - a) / float(tracks.length[i])
    return Finding(i, arm, "stalled", share, a - first, b - first, value, unit, f"{words} for {lasts:.3g} s")


def _left_behind(tracks: Tracks, arm: str, follow: Following, settings: DefectSettings) -> list[Finding]:
    """Joints that stand while their own command goes far, and stay away from it."""
    found = []
    half = settings.window_s / 2
    for j, row in enumerate(follow.rows):
        for i, a, b in _held(tracks, ~tracks.moves[row], settings.stall_s):
            lag = _lag(follow, j, i, settings.longest_lag_s / float(tracks.period[i]))
            # what was sent last may only not have arrived yet
            late = b - round(lag + half / float(tracks.period[i]))
            floor = float(follow.floor[i])
            if late - a < 2 or not floor > 0 or not float(np.ptp(follow.command[j, a:late])) >= floor:
                continue
            rest = np.abs(follow.command[j, a:b] - tracks.x[row, a:b] - np.nan_to_num(follow.offset[j, i]))
            if np.count_nonzero(rest >= floor) < tracks.frames(settings.stall_s)[i]:
                continue
            if at_limit(tracks, follow, j, i, a, b):
                continue  # what others do there tells whether it is its end stop
            degrees = float(np.degrees(rest.max()))
            words = f"joint {j} stands while its command goes on, up to {degrees:.3g}° away,"
            found.append(_stall(tracks, i, arm, a, b, float(rest.max()), "rad", words))
    return found


def _shut_hand(
    tracks: Tracks, arm: str, proxy: Float32s | None, joints: int, settings: DefectSettings
) -> list[Finding]:
    """Fingers that stand while they are told to open: what they hold keeps them from closing, nothing from opening."""
    rows = tracks.rows(arm=arm, kind=GRIPPER)
    if proxy is None or proxy.shape[1] <= joints or not rows:
        return []
    wants = proxy[:, joints:]
    with np.errstate(invalid="ignore"):
        # most of the fingers, as their opening is the median of them
        mask = ~tracks.moves[rows[0]] & (np.median(wants, axis=1) >= settings.stall_hand)
    found = []
    for i, a, b in _held(tracks, mask, settings.stall_s):
        before = max(a - 2 * int(tracks.frames(settings.stall_s)[i]), int(tracks.offset[i]))
        came = np.median(wants[before : a + 1], axis=1)
        most = float(np.nanmax(np.median(wants[a:b], axis=1)))
        if not np.isfinite(came).any() or np.nanmin(came) > most / 2:
            continue
        words = f"fingers stand though they are told to open, {most:.3g} usual spreads away,"
        found.append(_stall(tracks, i, arm, a, b, most, "usual spreads", words))
    return found


def _lag(follow: Following, joint: int, i: int, longest: float) -> float:
    """Frames by which a joint follows: in the episode, else in the set, else the longest."""
    for lag in (follow.lag[i], follow.usual[joint, i]):
        if np.isfinite(lag):
            return max(float(lag), 0.0)
    return longest


def _behind(tracks: Tracks, arm: str, still: Bools, proxy: Float32s, settings: DefectSettings) -> list[Finding]:
    """The same where only the residual is known, in usual spreads: it must come about while the joint stands."""
    found = []
    for j in range(proxy.shape[1]):
        size = np.abs(proxy[:, j])
        with np.errstate(invalid="ignore"):
            mask = still & (size >= settings.stall_spreads)
        for i, a, b in _held(tracks, mask, settings.stall_s):
            before = max(a - int(tracks.frames(settings.stall_s)[i]), int(tracks.offset[i]))
            came = np.nanmin(size[before : a + 1]) if np.isfinite(size[before : a + 1]).any() else np.inf
            most = float(size[a:b].max())
            if most - came < settings.stall_spreads / 2 or not still[before:a].any():
                continue
            words = f"joint {j} stands, {most:.3g} usual spreads behind its command,"
            found.append(_stall(tracks, i, arm, a, b, most, "usual spreads", words))
    return found


def _loaded(tracks: Tracks, arm: str, still: Bools, torque: Float32s, settings: DefectSettings) -> list[Finding]:
    found = []
    length = tracks.length
    some = np.flatnonzero(length)
    known = np.nan_to_num(np.abs(torque))
    floor = np.zeros(len(length), np.float32)
    # a joint that bears next to nothing of what the arm bears is under no load
    floor[some] = LEAST_LOAD * np.maximum.reduceat(known.max(axis=1), tracks.offset[:-1][some])
    for j in range(torque.shape[1]):
        size = known[:, j]
        most = np.zeros(len(length), np.float32)
        most[some] = np.maximum.reduceat(np.where(still, np.float32(0), size), tracks.offset[:-1][some])
        mask = still & (size >= np.repeat(settings.stall_torque * most, length)) & np.repeat(most > 0, length)
        mask &= size >= np.repeat(floor, length)
        for i, a, b in _held(tracks, mask, settings.stall_s):
            times = float(size[a:b].max() / most[i])
            words = f"joint {j} stands under {times:.3g} times the greatest torque it bears in motion"
            found.append(_stall(tracks, i, arm, a, b, times, "times its torque in motion", words))
    return found


def _ignored(tracks: Tracks, action: Float32s, settings: DefectSettings) -> list[Finding]:
    """Commands that go far while nothing of the robot moves; the last moments may not have arrived yet."""
    lags = tracks.frames(settings.command_lag_s)
    held = [
        (i, a, b)
        for i, a, b in _held(tracks, ~tracks.anything_moves, settings.stall_s + 2 * settings.command_lag_s)
        if b - a > 2 * lags[i]
    ]
    episode, start, stop = np.array(held, np.int64).reshape(-1, 3).T
    span = _ranges(action, tracks.offset[episode], tracks.offset[episode + 1])
    crossed = _ranges(action, start + lags[episode], stop - lags[episode])
    share = np.nan_to_num(np.divide(crossed, span, out=np.zeros_like(span), where=span > 0))
    share[_trembles(action, tracks.offset, episode, crossed)] = 0.0
    most = share.argmax(axis=1)
    found = []
    for k in np.flatnonzero(share.max(axis=1) >= settings.stall_command).tolist():
        (i, a, b), j, part = held[k], int(most[k]), float(share[k, most[k]])
        words = f"nothing moves while command {j} crosses {100 * part:.0f} % of its range,"
        found.append(_stall(tracks, i, "", a, b, part, "of the command's range", words))
    return found


def _trembles(action: Float32s, offset: Int64s, episode: Int64s, crossed: Float32s) -> Bools:
    """Where a range is what the noise of a command makes by chance, shape (r, d)."""
    noise = np.zeros_like(crossed)
    for i in np.unique(episode).tolist():
        bend = np.abs(np.diff(action[offset[i] : offset[i + 1]], 2, axis=0))
        if len(bend):
            noise[episode == i] = np.median(bend, axis=0) / (NORMAL_MEDIAN * 6**0.5)
    return np.asarray(crossed < TREMBLE * noise)


def _ranges(x: Float32s, start: Int64s, stop: Int64s) -> Float32s:
    """Range of each column in each stretch, none of them empty, shape (r, d); NaN where one is among them."""
    places = np.stack([start, stop], axis=1).reshape(-1)
    # a stretch may end with the frames: the place after them is that of one more
    more = np.concatenate([x, x[-1:]])
    return np.asarray(np.maximum.reduceat(more, places)[::2] - np.minimum.reduceat(more, places)[::2])
