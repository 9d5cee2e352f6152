"""How each joint follows its command in an episode: by how long, how far beside it, and where it does not follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sima2.defects.defect_settings import DefectSettings
from sima2.defects.tracks import JOINT, Tracks
from sima2.records.arrays import Bools, Float32s, Float64s
from sima2.records.rollout import RolloutBatch

FRAMES = 192
"""Frames, evenly spread, on which an episode's lag rests."""
LEAST_FRAMES = 24
"""Frames below which no lag is told."""
USED = 0.15
"""Share of the range of the robot's widest joint from which a joint has a say in the lag; what only trembles sticks."""
NEAR = 0.1
"""Share of the way that is worth a word, within which a joint stands on its extreme."""
SIDE_S = 0.25
"""Time beside the best lag,"""
SHARP = 1.5
"""… at which the variance of the residual is so many times as large; else the lag is not told."""


@dataclass(frozen=True, slots=True, eq=False)
class Following:
    """The joints of one arm and their commands, over the frames of a batch."""

    rows: list[int]
    """Rows of the tracks."""
    command: Float32s
    """rad, NaN where there is none, shape (j, T)."""
    lag: Float64s
    """Frames by which the joints follow in each episode, also below 0; NaN where it is not told, shape (n,)."""
    usual: Float64s
    """Frames by which each joint follows in the set, as the import found; NaN where it did not, shape (j, n)."""
    offset: Float64s
    """Median of command less position, that lag taken out, rad; NaN where there is no command; shape (j, n)."""
    spread: Float64s
    """How far that varies within the episode (10th to 90th percentile), rad, shape (j, n)."""
    floor: Float64s
    """Way that is worth a word: a share of the widest range of a joint of the robot, rad, shape (n,)."""


def following(tracks: Tracks, batch: RolloutBatch, settings: DefectSettings) -> dict[str, Following]:
    """By arm, of those whose joints have commands."""
    found = {}
    joints = tracks.rows(kind=JOINT)
    span = _spans(tracks, joints)
    floor = settings.stall_floor * span.max(axis=0, initial=0.0)
    for arm, channels in batch.manipulators.items():
        rows = tracks.rows(arm=arm, kind=JOINT)
        if channels.joint_command is None or not rows or channels.joint_command.shape[1] != len(rows):
            continue
        command = np.ascontiguousarray(channels.joint_command.T)
        mine = span[[joints.index(row) for row in rows]]
        lag, offset, spread = _followed(tracks, rows, command, mine, span.max(axis=0, initial=0.0), settings)
        usual = _usual(channels.effort_proxy, len(rows), tracks)
        found[arm] = Following(rows, command, lag, usual, offset, spread, floor)
    return found


def _usual(proxy: Float32s | None, joints: int, tracks: Tracks) -> Float64s:
    """Lags of the set: the proxy is not known in so many frames of an episode, whose command was sent before it."""
    out = np.full((joints, len(tracks.length)), np.nan)
    if proxy is None or proxy.shape[1] < joints:
        return out
    for i in np.flatnonzero(tracks.length >= LEAST_FRAMES).tolist():
        known = np.isfinite(proxy[tracks.offset[i] : tracks.offset[i + 1], :joints])
        some = known.any(axis=0)
        out[some, i] = known.argmax(axis=0)[some]
    return out


def far_off(tracks: Tracks, follow: Following, i: int) -> Bools:
    """Where joints are farther beside their commands than is worth a word, of one episode, shape (t, j)."""
    a, b = int(tracks.offset[i]), int(tracks.offset[i + 1])
    lags = np.where(np.isfinite(follow.lag[i]), follow.lag[i], np.nan_to_num(follow.usual[:, i]))
    at = np.maximum(np.arange(b - a) - np.maximum(np.rint(lags), 0).astype(np.int64)[:, None], 0)
    sent = np.take_along_axis(follow.command[:, a:b], at, axis=1)
    now = tracks.x[follow.rows, a:b]
    rest = sent - now - np.nan_to_num(follow.offset[:, i])[:, None]
    # a joint on its own extreme, its command beyond it, may be at its end stop
    near = NEAR * float(follow.floor[i])
    low, high = now.min(axis=1, keepdims=True) + near, now.max(axis=1, keepdims=True) - near
    stopped = ((now >= high) & (rest > 0)) | ((now <= low) & (rest < 0))
    return np.asarray(((np.abs(rest) >= follow.floor[i]) & ~stopped).T)


def _spans(tracks: Tracks, rows: list[int]) -> Float64s:
    """Range of columns in each episode, shape (r, n)."""
    out = np.zeros((len(rows), len(tracks.length)))
    some = np.flatnonzero(tracks.length)
    if len(rows) and len(some):
        at, x = tracks.offset[:-1][some], tracks.x[rows]
        out[:, some] = np.maximum.reduceat(x, at, axis=1) - np.minimum.reduceat(x, at, axis=1)
    return out


def _followed(
    tracks: Tracks, rows: list[int], command: Float32s, span: Float64s, widest: Float64s, settings: DefectSettings
) -> tuple[Float64s, Float64s, Float64s]:
    n = len(tracks.length)
    lag, offset, spread = np.full(n, np.nan), np.full((len(rows), n), np.nan), np.full((len(rows), n), np.nan)
    most = tracks.frames(settings.longest_lag_s)
    for i, (a, b) in enumerate(zip(tracks.offset[:-1].tolist(), tracks.offset[1:].tolist(), strict=True)):
        if b - a < LEAST_FRAMES:
            continue
        sent, now = command[:, a:b].astype(np.float64), tracks.x[rows, a:b].astype(np.float64)
        used = np.isfinite(sent).all(axis=1) & (span[:, i] >= USED * widest[i]) & (span[:, i] > 0)
        longest = min(int(most[i]), (b - a) // 4)
        beside = max(round(SIDE_S / float(tracks.period[i])), 2)
        if used.any():
            lag[i] = _lag(sent[used], now[used], longest, beside)
        # what is constant between the two shows at any lag; the usual one leaves the least beside it
        shift = int(np.rint(lag[i])) if np.isfinite(lag[i]) else 0
        early, late = max(-shift, 0), max(shift, 0)
        rest = sent[:, early : b - a - late] - now[:, late : b - a - early]
        told = np.isfinite(rest).mean(axis=1) > 0.5
        if told.any():
            low, middle, high = np.nanquantile(rest[told], (0.1, 0.5, 0.9), axis=1)
            offset[told, i], spread[told, i] = middle, high - low
    return lag, offset, spread


def _lag(sent: Float64s, now: Float64s, longest: int, beside: int) -> float:
    """Frames by which ``now`` follows ``sent``, shape (j, t) each, to a fraction of one; NaN where nothing tells it."""
    frames = now.shape[1]
    at = np.arange(longest, frames - longest)
    if len(at) < LEAST_FRAMES // 2:
        return float("nan")
    at = at[:: max(len(at) // FRAMES, 1)]
    shifts = np.arange(-longest, longest + 1)
    rest = sent[:, at[None, :] - shifts[:, None]] - now[:, None, at]
    scale = now[:, at].var(axis=1)
    if not (scale > 0).all():
        return float("nan")
    # of all joints alike: one that was held up must not hide what the others tell
    cost = np.exp(np.log(rest.var(axis=2) / scale[:, None] + 1e-9).mean(axis=0))
    k = int(np.argmin(cost))
    if k in (0, len(cost) - 1):
        return float("nan")
    sides = cost[max(k - beside, 0)], cost[min(k + beside, len(cost) - 1)]
    if min(sides) < SHARP * cost[k]:
        return float("nan")
    before, here, after = cost[k - 1 : k + 2]
    bend = before - 2 * here + after
    return float(shifts[k] + (0.5 * (before - after) / bend if bend > 0 else 0.0))
