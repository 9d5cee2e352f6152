"""Measurements of every episode by which the population judges it."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from sima2.defects.settings import DefectSettings
from sima2.defects.stillness import moving_span
from sima2.defects.tracks import GRIPPER, HAND, JOINT, Tracks
from sima2.records.defects import POINTS, SLOTS, EpisodeVitals
from sima2.records.rollout import Floats, RolloutBatch
from sima2.records.table import Text

MOST_JOINTS = 20
LEAST_FRAMES = 8
"""Shorter episodes have no motion to compare."""


def vitals_of(tracks: Tracks, batch: RolloutBatch, settings: DefectSettings) -> EpisodeVitals:
    """One row for each manipulator of each episode, manipulator by manipulator."""
    begin, end = moving_span(tracks)
    return EpisodeVitals.concat(
        [_of_arm(tracks, batch, arm, begin, end, settings) for arm in batch.manipulators if batch.frames]
    )


def _of_arm(
    tracks: Tracks,
    batch: RolloutBatch,
    arm: str,
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    settings: DefectSettings,
) -> EpisodeVitals:
    n, each = len(batch), batch.episodes
    joints, hand, grip = (tracks.rows(arm=arm, kind=kind) for kind in (JOINT, HAND, GRIPPER))
    slots = dict(zip([*joints[:MOST_JOINTS], *hand, *grip], _places(len(joints), len(hand), len(grip)), strict=True))
    spread, noise = np.full((2, n, SLOTS), np.nan, np.float32)
    span = _span(tracks)
    for row, slot in slots.items():
        spread[:, slot], noise[:, slot] = span[row], tracks.noise[row]
    tracking = _tracking(tracks, batch.manipulators[arm].effort_proxy, len(joints), settings)
    return EpisodeVitals(
        episode_index=each.episode_index,
        episode_id=Text.of(each.episode_id),
        manipulator=Text.full(n, arm),
        family=Text.of(each.family),
        robot=Text.of(each.robot),
        frames=batch.length,
        duration_s=_duration(tracks),
        period_s=np.where(batch.length > 1, tracks.period, np.nan),
        jerk=_jerk(tracks, joints or hand),
        tracking=tracking[0],
        tracking_slot=tracking[1].astype(np.int64),
        tracking_start=tracking[2].astype(np.int64),
        tracking_end=tracking[3].astype(np.int64),
        moving_start=begin,
        moving_end=end,
        layout=Text.full(n, f"{len(joints)} joints, {len(hand)} hand, {len(grip)} gripper"),
        content=_content(tracks, [*joints, *hand, *grip], span),
        span=spread,
        noise=noise,
        signature=_signature(tracks, slots, begin, end),
    )


def _places(joints: int, hand: int, grip: int) -> list[int]:
    kept = min(joints, MOST_JOINTS)
    return [*range(kept), *range(MOST_JOINTS, MOST_JOINTS + hand), *range(SLOTS - 1, SLOTS - 1 + grip)]


def _duration(tracks: Tracks) -> NDArray[np.float64]:
    out = np.zeros(len(tracks.length))
    some = tracks.length > 0
    out[some] = tracks.time[tracks.offset[1:][some] - 1] - tracks.time[tracks.offset[:-1][some]]
    return out


def _span(tracks: Tracks) -> Floats:
    """Range of each column in each episode, NaN where it has no sample, shape (C, n)."""
    out = np.full((len(tracks.columns), len(tracks.length)), np.nan, np.float32)
    some = np.flatnonzero(tracks.length)
    at = tracks.offset[:-1][some]
    if len(tracks.columns) and len(some):
        out[:, some] = np.maximum.reduceat(tracks.x, at, axis=1) - np.minimum.reduceat(tracks.x, at, axis=1)
        if tracks.known is not None:
            known = np.full(out.shape, False)
            known[:, some] = np.logical_or.reduceat(tracks.known, at, axis=1)
            out[~known] = np.nan
    return out


def _jerk(tracks: Tracks, rows: list[int]) -> NDArray[np.float64]:
    """Mean size of the third derivative, summed over columns, rad/s³ (hand: m/s³), shape (n,); NaN where unknown."""
    n, frames = len(tracks.length), len(tracks.time)
    out = np.full(n, np.nan)
    if not rows or not frames:
        return out
    shake = np.zeros(frames, np.float32)
    for row in rows:
        d = tracks.step[row]
        shake[2:] += np.abs(d[2:] - 2 * d[1:-1] + d[:-2])
    for i in np.flatnonzero(tracks.length >= LEAST_FRAMES).tolist():
        inside = shake[int(tracks.offset[i]) + 3 : int(tracks.offset[i + 1])]
        out[i] = float(inside.sum(dtype=np.float64)) / len(inside) / tracks.period[i] ** 3
    return out


def _tracking(tracks: Tracks, proxy: Floats | None, joints: int, settings: DefectSettings) -> NDArray[np.float64]:
    """Largest lasting residual of each episode, its joint, start and end, shape (4, n)."""
    n = len(tracks.length)
    out = np.zeros((4, n))
    out[0] = np.nan
    if proxy is None or not joints:
        return out
    size = np.abs(proxy[:, :joints])
    for i, (a, b) in enumerate(zip(tracks.offset[:-1].tolist(), tracks.offset[1:].tolist(), strict=True)):
        width = int(tracks.frames(settings.tracking_s)[i])
        if b - a <= width:
            continue
        held = size[a : b - width + 1].copy()
        for k in range(1, width):
            np.minimum(held, size[a + k : b - width + 1 + k], out=held)
        if np.isnan(held).all():
            continue
        t, j = np.unravel_index(int(np.nanargmax(held)), held.shape)
        out[:, i] = float(held[t, j]), j, t, t + width
    return out


def _content(tracks: Tracks, rows: list[int], span: Floats) -> NDArray[np.int64]:
    """Digest of an episode's positions, 0 where it is short or nothing moves, shape (n,)."""
    out = np.zeros(len(tracks.length), np.int64)
    x = tracks.x[rows]
    moves = (np.nan_to_num(span[rows]) > 0).any(axis=0) & (tracks.length >= LEAST_FRAMES)
    for i in np.flatnonzero(moves).tolist():
        part = np.ascontiguousarray(x[:, tracks.offset[i] : tracks.offset[i + 1]])
        digest = hashlib.blake2b(part.tobytes(), digest_size=8).digest()
        out[i] = int.from_bytes(digest, "little", signed=True) or 1
    return out


def _signature(tracks: Tracks, slots: dict[int, int], begin: NDArray[np.int64], end: NDArray[np.int64]) -> Floats:
    """Positions at even places between the first and the last moving frame, shape (n, SLOTS × POINTS)."""
    n = len(tracks.length)
    out = np.full((n, SLOTS, POINTS), np.nan, np.float32)
    some = np.flatnonzero(tracks.length)
    first, last = begin[some], np.maximum(end[some] - 1, begin[some])
    place = first[:, None] + (last - first)[:, None] * (np.arange(POINTS) / (POINTS - 1))
    low = np.floor(place).astype(np.int64)
    share = (place - low).astype(np.float32)
    base = tracks.offset[:-1][some][:, None]
    high = np.minimum(low + 1, tracks.length[some][:, None] - 1)
    for row, slot in slots.items():
        x = tracks.x[row]
        out[some, slot] = x[base + low] * (1 - share) + x[base + high] * share
    return out.reshape(n, SLOTS * POINTS)
