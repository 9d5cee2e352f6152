"""Measurements of every episode by which the population judges it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.defects.bursts import burst_of
from sima2.defects.commands import Following, far_off
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.limits import PER_LIMIT, limits_of
from sima2.defects.stillness import moving_span
from sima2.defects.tracks import GRIPPER, HAND, JOINT, Tracks
from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.records.defects import LIMITS, POINTS, SKETCH, SLOTS, EpisodeMeasures
from sima2.records.rollout import CLOCK_OFF, RolloutBatch
from sima2.records.table import Text

MOST_JOINTS = 20
LEAST_FRAMES = 8
"""Shorter episodes have no motion to compare."""
END_S: Final = 0.15
"""Time over which the motion at the end is measured."""
CHANGED: Final = 3
"""Columns that change at once, by values which two episodes do not share by chance."""
_ODD: Final = 0x9E3779B97F4A7C15


def measures_of(
    tracks: Tracks, batch: RolloutBatch, follows: Mapping[str, Following], settings: DefectSettings
) -> EpisodeMeasures:
    """One row for each manipulator of each episode, manipulator by manipulator."""
    moving = moving_span(tracks)
    return EpisodeMeasures.concat(
        [
            _of_arm(_Arm(tracks, batch, arm, moving, follows.get(arm), settings))
            for arm in batch.manipulators
            if batch.frames
        ]
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Arm:
    """An arm in the episodes of a batch, and what is known of its motion."""

    tracks: Tracks
    batch: RolloutBatch
    name: str
    moving: tuple[Int64s, Int64s]
    """First frame in which anything moves and one past the last, shape (n,) each."""
    follow: Following | None
    settings: DefectSettings

    def rows(self, kind: str) -> list[int]:
        """Columns of its joints, hand or gripper."""
        return self.tracks.rows(arm=self.name, kind=kind)

    @property
    def every(self) -> list[int]:
        """All its columns."""
        return [*self.rows(JOINT), *self.rows(HAND), *self.rows(GRIPPER)]

    @property
    def slots(self) -> dict[int, int]:
        """Slot of each of its columns that has one."""
        return slots_of(self.rows(JOINT), self.rows(HAND), self.rows(GRIPPER))


def _of_arm(arm: _Arm) -> EpisodeMeasures:
    return EpisodeMeasures(**_about(arm), **_of_columns(arm), **_of_commands(arm), **_of_motion(arm))


def _about(arm: _Arm) -> dict[str, Any]:
    """Which episodes these are, and what was recorded of the arm."""
    n, each = len(arm.batch), arm.batch.episodes
    joints, hand, grip = (len(arm.rows(kind)) for kind in (JOINT, HAND, GRIPPER))
    return {
        "episode_index": each.episode_index,
        "episode_id": Text.of(each.episode_id),
        "manipulator": Text.full(n, arm.name),
        "task": Text.of(each.instruction),
        "family": Text.of(each.family),
        "robot": Text.of(each.robot),
        "frames": arm.batch.length,
        "duration_s": _duration(arm.tracks),
        "period_s": np.where(arm.batch.length > 1, arm.tracks.period, np.nan),
        "clock_off": np.array([float(words.get(CLOCK_OFF, 0.0)) for words in each.provenance], np.float64),
        "layout": Text.full(n, f"{joints} joints, {hand} hand, {grip} gripper"),
    }


def _of_columns(arm: _Arm) -> dict[str, Any]:
    """What the values of its columns are: their range, noise and least value, by slot, and what tells them again."""
    tracks = arm.tracks
    spread, noise, low = np.full((3, len(arm.batch), SLOTS), np.nan, np.float32)
    least, span = _extent(tracks)
    for row, slot in arm.slots.items():
        spread[:, slot], noise[:, slot], low[:, slot] = span[row], tracks.noise[row], least[row]
    return {"span": spread, "noise": noise, "low": low, "content": _content(tracks, arm.every, span)}


def _of_commands(arm: _Arm) -> dict[str, Any]:
    """How its joints follow what is commanded; NaN where nothing is."""
    n, tracks, follow, settings = len(arm.batch), arm.tracks, arm.follow, arm.settings
    joints = len(arm.rows(JOINT))
    kept = min(joints, MOST_JOINTS)
    offset, varies = np.full((2, n, SLOTS), np.nan, np.float32)
    extent = np.full((n, 2, SLOTS), np.nan, np.float32)
    limits = np.full((n, LIMITS * PER_LIMIT), np.nan)
    lag_s = np.full(n, np.nan)
    if follow is not None:
        offset[:, :kept], varies[:, :kept] = follow.offset[:kept].T, follow.spread[:kept].T
        limits = limits_of(tracks, follow, arm.slots, settings)
        lag_s = follow.lag * tracks.period
        some = np.flatnonzero(tracks.length)
        for side, extreme in enumerate((np.fmin, np.fmax)):
            if len(some):
                extent[some, side, :kept] = extreme.reduceat(follow.command[:kept], tracks.offset[:-1][some], axis=1).T
    tracking = _tracking(tracks, arm.batch.manipulators[arm.name].effort_proxy, follow, joints, settings)
    return {
        "tracking": tracking[0],
        "tracking_slot": tracking[1].astype(np.int64),
        "tracking_start": tracking[2].astype(np.int64),
        "tracking_end": tracking[3].astype(np.int64),
        "lag_s": lag_s,
        "command_extent": extent.reshape(n, 2 * SLOTS),
        "limits": limits,
        "offset": offset,
        "offset_spread": varies,
    }


def _of_motion(arm: _Arm) -> dict[str, Any]:
    """When and how it moves, and the course of it."""
    tracks, slots, (begin, end) = arm.tracks, arm.slots, arm.moving
    joints = arm.rows(JOINT)
    led = joints or arm.rows(HAND)
    burst = burst_of(tracks, arm.name, arm.settings)
    return {
        "jerk": _jerk(tracks, led),
        "moving_start": begin,
        "moving_end": end,
        "burst": burst[0],
        "burst_slot": np.array([slots.get(int(row), 0) for row in burst[1]], np.int64),
        "burst_start": burst[2].astype(np.int64),
        "burst_end": burst[3].astype(np.int64),
        "end_pace": _end_pace(tracks, led, tracks.rows(kind=JOINT if joints else HAND)),
        "signature": _signature(tracks, slots, begin, end),
        "whole": _signature(tracks, slots, np.zeros_like(begin), tracks.length),
        "sketch": _sketch(tracks, arm.every),
    }


def slots_of(joints: list[int], hand: list[int], grip: list[int]) -> dict[int, int]:
    """Slot of each row of an arm's positions that has one; joints beyond the first have none.

    >>> slots_of([4, 5], [6, 7, 8], [9])
    {4: 0, 5: 1, 6: 20, 7: 21, 8: 22, 9: 23}
    """
    kept = joints[:MOST_JOINTS]
    places = [*range(len(kept)), *range(MOST_JOINTS, MOST_JOINTS + len(hand)), *range(SLOTS - 1, SLOTS - 1 + len(grip))]
    return dict(zip([*kept, *hand, *grip], places, strict=True))


def _duration(tracks: Tracks) -> Float64s:
    out = np.zeros(len(tracks.length))
    some = tracks.length > 0
    out[some] = tracks.time[tracks.offset[1:][some] - 1] - tracks.time[tracks.offset[:-1][some]]
    return out


def _extent(tracks: Tracks) -> tuple[Float32s, Float32s]:
    """Least value and range of each column in each episode, NaN where it has no sample, shape (C, n) each."""
    low, span = np.full((2, len(tracks.columns), len(tracks.length)), np.nan, np.float32)
    some = np.flatnonzero(tracks.length)
    at = tracks.offset[:-1][some]
    if len(tracks.columns) and len(some):
        low[:, some] = np.minimum.reduceat(tracks.x, at, axis=1)
        span[:, some] = np.maximum.reduceat(tracks.x, at, axis=1) - low[:, some]
        if tracks.known is not None:
            known = np.full(span.shape, False)
            known[:, some] = np.logical_or.reduceat(tracks.known, at, axis=1)
            low[~known] = span[~known] = np.nan
    return low, span


def _end_pace(tracks: Tracks, rows: list[int], of_robot: list[int]) -> Float64s:
    """Motion at the last frame of the fastest column over the fast motion of the robot's fastest, shape (n,)."""
    out = np.full(len(tracks.length), np.nan)
    if not rows:
        return out
    mine = [of_robot.index(row) for row in rows]
    for i in np.flatnonzero(tracks.length >= LEAST_FRAMES).tolist():
        a, b = int(tracks.offset[i]), int(tracks.offset[i + 1])
        half = max(1, round(END_S / float(tracks.period[i])))
        # over whole windows, so that the end is measured as the rest is
        way = np.abs(tracks.x[of_robot, a + half : b] - tracks.x[of_robot, a : b - half]).astype(np.float64)
        if not way.shape[1]:
            continue
        fast = float(np.sort(way, axis=1)[:, int(0.95 * (way.shape[1] - 1))].max())
        if fast > 0.0 and (tracks.moves[of_robot, a:b]).any():
            out[i] = float(way[mine, -1].max()) / fast
    return out


def _jerk(tracks: Tracks, rows: list[int]) -> Float64s:
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


def _tracking(
    tracks: Tracks, proxy: Float32s | None, follow: Following | None, joints: int, settings: DefectSettings
) -> Float64s:
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
        if follow is not None:
            # spreads of a joint that follows closely are next to nothing
            size[a:b][~far_off(tracks, follow, i)] = 0.0
        held = size[a : b - width + 1].copy()
        for k in range(1, width):
            np.minimum(held, size[a + k : b - width + 1 + k], out=held)
        if np.isnan(held).all():
            continue
        t, j = np.unravel_index(int(np.nanargmax(held)), held.shape)
        out[:, i] = float(held[t, j]), j, t, t + width
    return out


def _content(tracks: Tracks, rows: list[int], span: Float32s) -> Int64s:
    """Digest of an episode's positions, 0 where it is short or nothing moves, shape (n,)."""
    out = np.zeros(len(tracks.length), np.int64)
    x = tracks.x[rows]
    moves = (np.nan_to_num(span[rows]) > 0).any(axis=0) & (tracks.length >= LEAST_FRAMES)
    for i in np.flatnonzero(moves).tolist():
        part = np.ascontiguousarray(x[:, tracks.offset[i] : tracks.offset[i + 1]])
        digest = hashlib.blake2b(part.tobytes(), digest_size=8).digest()
        out[i] = int.from_bytes(digest, "little", signed=True) or 1
    return out


def _signature(tracks: Tracks, slots: dict[int, int], begin: Int64s, end: Int64s) -> Float32s:
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


def _sketch(tracks: Tracks, rows: list[int]) -> Int64s:
    """Least digests of pairs of frames between which something moves, shape (n, SKETCH).

    Source: Broder 1997, "On the resemblance and containment of documents": the share of least digests that two sets
    have in common estimates how much of them is the same. A copy that was cut by some frames keeps nearly all of its
    own, whatever was written beside them.
    """
    out = np.zeros((len(tracks.length), SKETCH), np.int64)
    if not rows or len(tracks.time) < 2:
        return out
    mixed = np.zeros(len(tracks.time), np.uint64)
    changed = np.zeros(len(tracks.time), np.int64)
    for place, row in enumerate(rows):
        bits = np.ascontiguousarray(tracks.x[row]).view(np.uint32).astype(np.uint64)
        mixed ^= _mixed(bits + np.uint64((place + 1) * _ODD % 2**64))
        changed += tracks.step[row] != 0.0
    pair = np.zeros_like(mixed)
    pair[1:] = _mixed(mixed[1:] * np.uint64(_ODD) + mixed[:-1])
    # frames at rest, and a servo's whole degrees one after the other, may be those of any other episode
    used = (changed >= CHANGED) & tracks.moving(rows)
    used[tracks.first] = False
    for i in np.flatnonzero(tracks.length >= LEAST_FRAMES).tolist():
        mine = np.unique(pair[tracks.offset[i] : tracks.offset[i + 1]][used[tracks.offset[i] : tracks.offset[i + 1]]])
        if len(mine) >= SKETCH:
            out[i] = mine[:SKETCH].view(np.int64)
    return out


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Bits stirred (the finaliser of MurmurHash3, Appleby 2011)."""
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return np.asarray(x ^ (x >> np.uint64(33)))
