"""Plain signals and windows of the raw channels, for rivals that share no code with the engine."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.records.rollout import Manipulator, RolloutBatch

RATE_S: Final = 0.1
"""Half span of a difference."""
OFFSETS_S: Final = (-1.6, -0.8, -0.3, 0.0, 0.3, 0.8, 1.6)
"""Where a window looks, before and after its frame."""


def period(batch: RolloutBatch) -> Float64s:
    """Median step of each episode, s, shape (n,)."""
    steps = [np.diff(batch.time[a:b]) for a, b in zip(batch.offset[:-1], batch.offset[1:])]
    return np.array([float(np.median(each)) if len(each) else 1.0 for each in steps])


def shifted(batch: RolloutBatch, seconds: float) -> Int64s:
    """The frame so many seconds later, within the episode, shape (T,)."""
    episode = batch.frame_episode
    by = np.rint(seconds / period(batch)).astype(np.int64)
    there = np.arange(batch.frames) + by[episode]
    out: Int64s = np.clip(there, batch.offset[:-1][episode], batch.offset[1:][episode] - 1)
    return out


def signals(batch: RolloutBatch, arm: str) -> Float64s:
    """Raw channels and their rates, NaN where absent, shape (T, d)."""
    channels = batch.manipulators[arm]
    before, after = shifted(batch, -RATE_S), shifted(batch, RATE_S)
    span = np.maximum(batch.time[after] - batch.time[before], 1e-9)
    first = batch.offset[:-1][batch.frame_episode]

    def rate(x: Float64s) -> Float64s:
        out: Float64s = (x[after] - x[before]) / (span if x.ndim == 1 else span.reshape(-1, *[1] * (x.ndim - 1)))
        return out

    columns: list[Float64s] = []
    width = channels.gripper_width if channels.gripper_width is not None else channels.gripper_opening
    for scalar in (width, channels.grip_force, channels.contact_force):
        if scalar is not None:
            x = scalar.astype(np.float64)
            columns += [x, x - x[first], rate(x)]
    columns += _joints(channels, first, rate)
    if channels.ee_position is not None:
        hand = channels.ee_position.astype(np.float64)
        moved = rate(hand)
        columns += [hand[:, 2] - hand[first, 2], np.hypot(moved[:, 0], moved[:, 1]), moved[:, 2]]
        if batch.object_position is not None and batch.object_position.shape[1]:
            columns += _objects(batch.object_position, hand, moved, rate)
    return np.column_stack(columns) if columns else np.zeros((batch.frames, 0))


def _joints(channels: Manipulator, first: Int64s, rate: Any) -> list[Float64s]:
    """Each joint where there is no hand position to sum them up, and the fastest in any case."""
    if channels.joint_position is None:
        return []
    x = channels.joint_position.astype(np.float64)
    speed = rate(x)
    fastest = np.abs(speed).max(axis=1)
    return [fastest] if channels.ee_position is not None else [fastest, *(x - x[first]).T, *speed.T]


def _objects(position: Float32s, hand: Float64s, moved: Float64s, rate: Any) -> list[Float64s]:
    """The object nearest to the hand, and the one that moves most."""
    at = position.astype(np.float64)
    speed = rate(at)
    rows = np.arange(len(at))
    size = np.sqrt((speed * speed).sum(axis=2))
    far = np.sqrt(((at - hand[:, None]) ** 2).sum(axis=2))
    near = np.argmin(np.where(np.isnan(far), np.inf, far), axis=1)
    fast = np.argmax(np.where(np.isnan(size), -np.inf, size), axis=1)
    apart = np.sqrt(((speed[rows, near] - moved) ** 2).sum(axis=1))
    return [far[rows, near], size[rows, near], apart, size[rows, fast], speed[rows, fast, 2], far[rows, fast]]


def windows(batch: RolloutBatch, arm: str) -> Float64s:
    """Signals at ``OFFSETS_S`` around each frame, shape (T, d)."""
    plain = signals(batch, arm).astype(np.float32)
    return np.column_stack([plain[shifted(batch, seconds)] for seconds in OFFSETS_S])
