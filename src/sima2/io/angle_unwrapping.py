"""Angles that an encoder wraps at one turn, made continuous again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.io.column_map import UNITS, ColumnMap, Columns
from sima2.io.derived import CommandResidual, columns_of
from sima2.records.arrays import Bools, Float64s, Int64s

WRAPPED: Final = 0.9
"""Share of a turn by which an angle steps where an encoder wraps."""
WITHIN: Final = 1.02
"""What wraps never leaves one turn, but for rounding."""
SMOOTH: Final = 4.0
"""What is left of such a step is no larger than so many usual steps of the joint …"""
SMOOTH_SHARE: Final = 0.05
"""… or that share of a turn."""
OFTEN: Final = 0.125
"""A joint that usually steps by more of a turn is not sampled often enough to tell a wrap from a step."""
CLEARLY: Final = 0.98
"""Share of a limit below which rounding of single precision decides nothing."""
PERIODS: Final = (math.tau, 360.0)
"""A turn in the units that angles are recorded in."""


def unwrap(angle: NDArray[Any], turn: float) -> NDArray[Any]:
    """The angle without the steps of a turn that wrapping makes; itself where there are none.

    A step that is no turn (a glitch, a lost frame) stays as it is.

    Args:
        angle: of one episode, shape (t,).
        turn: what a full turn is in its unit.

    >>> unwrap(np.array([3.0, 3.1, -3.1, -3.0]), math.tau).round(2).tolist()
    [3.0, 3.1, 3.18, 3.28]
    """
    known = np.flatnonzero(np.isfinite(angle))
    seen = angle[known].astype(np.float64)
    step = np.diff(seen)
    wraps = np.abs(step) >= WRAPPED * turn
    if not wraps.any() or float(seen.max() - seen.min()) > WITHIN * turn:
        return angle
    usual = float(np.percentile(np.abs(step[~wraps]), 95.0)) if (~wraps).any() else 0.0
    if usual > OFTEN * turn:
        return angle
    left = np.abs(np.abs(step) - turn)
    wraps &= left <= max(SMOOTH * usual, SMOOTH_SHARE * turn)
    out = angle.astype(np.float64)
    out[known[1:]] -= np.cumsum(np.where(wraps, np.sign(step) * turn, 0.0))
    return out


def unwrapped(columns: ColumnMap, features: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """The features of one episode, each of shape (t, w), with the angles of joints continuous, and their commands."""
    made: dict[str, NDArray[Any]] = {}

    def column(feature: str, place: int) -> NDArray[Any]:
        return made.get(feature, features[feature])[:, place]

    def put(feature: str, place: int, values: NDArray[Any]) -> None:
        if feature not in made:
            made[feature] = features[feature].astype(np.float64)
        made[feature][:, place] = values

    for arm, channels in columns.arms.items():
        joints = channels.get("joint_position")
        if joints is None or joints.feature not in features:
            continue
        residual = columns.residuals.get(arm, {}).get("joints")
        for place, turn in _turns(joints, features[joints.feature].shape[1]):
            before = column(joints.feature, place)
            after = unwrap(before, turn)
            if after is not before:
                put(joints.feature, place, after)
            sent = _command(residual, joints.feature, place)
            if residual is None or sent < 0 or residual.feature not in features:
                continue
            if sent < features[residual.feature].shape[1]:
                asked = column(residual.feature, sent)
                follows = unwrap(asked, turn)
                apart = np.nanmedian(after - follows) if np.isfinite(after - follows).any() else 0.0
                turns = turn * np.round(apart / turn)
                if follows is not asked or turns:
                    put(residual.feature, sent, follows + turns)
    return {**features, **made} if made else features


def may_wrap(columns: ColumnMap, features: Mapping[str, NDArray[Any]], offset: Int64s) -> Bools:
    """Which of several episodes :func:`unwrapped` may change; it leaves all others as they are, shape (n,).

    Args:
        columns: the map.
        features: of the episodes end to end, each of shape (t, w).
        offset: the first frame of each episode and one past the last, shape (n + 1,); two frames each at least.
    """
    start = offset[:-1]
    steady = np.ones(len(start), np.bool_)
    for arm, channels in columns.arms.items():
        joints = channels.get("joint_position")
        if joints is None or joints.feature not in features:
            continue
        residual = columns.residuals.get(arm, {}).get("joints")
        by_turn: dict[float, list[int]] = {}
        for place, turn in _turns(joints, features[joints.feature].shape[1]):
            by_turn.setdefault(turn, []).append(place)
        for turn, places in by_turn.items():
            angle = _floats(columns_of(features[joints.feature], places))
            low, high = np.minimum.reduceat(angle, start), np.maximum.reduceat(angle, start)
            steady &= _even(angle, high - low, turn, offset)
            sent = [_command(residual, joints.feature, place) for place in places]
            if residual is None or residual.feature not in features:
                continue
            commands = features[residual.feature]
            followed = [k for k, each in enumerate(sent) if 0 <= each < commands.shape[1]]
            asked = _floats(columns_of(commands, [sent[k] for k in followed]))
            least, most = np.minimum.reduceat(asked, start), np.maximum.reduceat(asked, start)
            steady &= _even(asked, most - least, turn, offset)
            # the median of what is always less than half a turn is less too
            low, high = columns_of(low, followed), columns_of(high, followed)
            half = CLEARLY * 0.5 * turn
            near = (np.maximum(high - least, most - low) < half).all(axis=1)
            for place in np.flatnonzero(steady & ~near).tolist():
                mine = slice(int(offset[place]), int(offset[place + 1]))
                near[place] = bool((np.abs(columns_of(angle[mine], followed) - asked[mine]) < half).all())
            steady &= near
    return ~steady


def _even(angle: NDArray[Any], span: NDArray[Any], turn: float, offset: Int64s) -> Bools:
    """Episodes in which no column steps by what may be a turn, or lacks a number, shape (n,).

    Args:
        angle: of the episodes end to end, shape (t, w).
        span: largest less smallest of each column in each, shape (n, w).
        turn: a full turn.
        offset: as in :func:`may_wrap`.
    """
    limit = CLEARLY * WRAPPED * turn
    even = np.asarray((span < limit).all(axis=1))  # no step is larger than all of the way
    for place in np.flatnonzero(~even & np.isfinite(span).all(axis=1)).tolist():
        mine = slice(int(offset[place]), int(offset[place + 1]))
        even[place] = bool((np.abs(np.diff(angle[mine], axis=0)) < limit).all())
    return even


def _floats(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)


def unwrapped_columns(values: Float64s, rows: list[slice]) -> Float64s:
    """Columns of a sample whose unit is not known yet, shape (n, w), with what wraps at a turn continuous within
    each episode; ``rows`` are those of each."""
    out = values
    for place in range(values.shape[1]):
        seen = values[np.isfinite(values[:, place]), place]
        if len(seen) < 2:
            continue
        span = float(seen.max() - seen.min())
        turn = next((each for each in PERIODS if WRAPPED * each <= span <= WITHIN * each), None)
        for part in rows if turn is not None else ():
            before = values[part, place]
            after = unwrap(before, turn or math.tau)
            if after is not before:
                out = values.copy() if out is values else out
                out[part, place] = after
    return out


def _turns(joints: Columns, width: int) -> list[tuple[int, float]]:
    """Columns of joints that turn, and a full turn in the unit of each."""
    places = range(width) if joints.index is None else joints.index
    units = joints.units or (joints.unit,) * len(places)
    if joints.scale is not None:
        return []
    return [
        (place, math.tau / UNITS[unit][1])
        for place, unit in zip(places, units, strict=False)
        if UNITS[unit][0] == "angle" and place < width
    ]


def _command(residual: CommandResidual | None, feature: str, place: int) -> int:
    """Column of the action that a joint follows; -1 where none is known."""
    if residual is None or residual.state != feature or place not in residual.state_index:
        return -1
    return residual.index[residual.state_index.index(place)]
