"""Tracks of episodes as they are written down: where each column is and when it moves, whatever its numbers say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sima2.defects.tracks import JOINT, Column, Tracks

FPS = 10


def spread(values: Any, frames: int, columns: int) -> Any:
    """One value for all, one a frame, or one for each frame and column: shape (columns, frames)."""
    given = np.asarray(values)
    return np.broadcast_to(given[:, None] if given.ndim == 1 else given, (frames, columns)).T


def tracks_of(
    moves: Sequence[Any],
    x: Sequence[Any] | None = None,
    *,
    columns: Sequence[Column] = (Column("arm", "joint_position", 0, JOINT),),
    fps: float = FPS,
    time: Sequence[Any] | None = None,
    noise: float = 0.0,
    still: float = 0.5,
) -> Tracks:
    """Episodes one after the other, each by when it moves (and where it is), shape (t,) or (t, columns).

    What moves has a motion of twice ``still``, all else none.
    """
    length = [len(each) for each in moves]
    wide, n = len(columns), len(moves)
    places = [np.zeros(each) for each in length] if x is None else x
    at = np.concatenate([spread(each, k, wide) for each, k in zip(places, length, strict=True)], axis=1)
    move = np.concatenate([spread(each, k, wide) for each, k in zip(moves, length, strict=True)], axis=1)
    offset = np.r_[0, np.cumsum(length)].astype(np.int64)
    at = np.ascontiguousarray(at, np.float32)
    step = np.zeros_like(at)
    step[:, 1:] = np.diff(at, axis=1)
    step[:, offset[:-1][np.diff(offset) > 0]] = 0.0
    clock = [np.arange(each) / fps for each in length] if time is None else time
    return Tracks(
        offset=offset,
        time=np.concatenate([np.asarray(each, np.float64) for each in clock]),
        period=np.full(n, 1 / fps),
        columns=tuple(columns),
        x=at,
        known=None,
        step=step,
        noise=np.full((wide, n), noise, np.float32),
        motion=(2 * still * move.astype(np.float32)).astype(np.float32),
        still=np.full((wide, n), still, np.float32),
    )


def still_in(frames: int, *stretches: tuple[int, int]) -> Any:
    """Motion all along but for these stretches, shape (frames,)."""
    out = np.ones(frames, np.bool_)
    for start, stop in stretches:
        out[start:stop] = False
    return out


def joints(count: int, arm: str = "arm") -> tuple[Column, ...]:
    return tuple(Column(arm, "joint_position", k, JOINT) for k in range(count))
