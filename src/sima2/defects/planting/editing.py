"""Changes to the frames of one rollout: what every planted fault is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.records.rollout import ARM_CHANNELS, OBJECT_CHANNELS, SCENE_CHANNELS, SOLE_ARM, Manipulator, Rollout

Rows = Int64s

NORMAL_MEDIAN: Final = 0.6745
"""Median of the size of a standard normal."""
LONGEST_LAG_S: Final = 0.6
"""Longest time looked for between a command and what follows it."""
FITS: Final = 0.98
"""Share of a command that position and residual must explain to be of it."""


def with_arm(rollout: Rollout, arm: str, changes: Mapping[str, Float32s | None]) -> Rollout:
    """The rollout with other channels of one arm."""
    if list(rollout.manipulators) == [SOLE_ARM]:
        return rollout.with_(**changes)
    arms = dict(rollout.manipulators)
    arms[arm] = Manipulator(**{**arms[arm].channels(), **changes})
    return rollout.with_(manipulators=arms)


def at_rows(rollout: Rollout, rows: Rows, time: Float64s | None = None) -> Rollout:
    """Some frames of the rollout, in that order and as often; counted through by its median period without ``time``."""
    clock = np.asarray(np.arange(len(rows)) * period_of(rollout) if time is None else time, np.float64)
    things: dict[str, Any] = {
        name: {key: value[rows] for key, value in getattr(rollout, name).items()} for name in OBJECT_CHANNELS
    }
    scene: dict[str, Any] = {
        name: None if getattr(rollout, name) is None else getattr(rollout, name)[rows] for name in SCENE_CHANNELS
    }
    arms = {
        arm: Manipulator(**{name: value[rows] for name, value in m.channels().items()})
        for arm, m in rollout.manipulators.items()
    }
    if list(arms) == [SOLE_ARM]:
        flat = dict.fromkeys(ARM_CHANNELS) | arms[SOLE_ARM].channels()
        return rollout.with_(time=clock, **things, **scene, **flat)
    return rollout.with_(time=clock, **things, **scene, manipulators=arms)


def period_of(rollout: Rollout) -> float:
    """Median time between frames in s; 1 for a single frame."""
    return float(np.median(np.diff(rollout.time))) if len(rollout) > 1 else 1.0


def frames_of(rollout: Rollout, seconds: float) -> int:
    """Frames that so many seconds last, at least 1."""
    return max(1, round(seconds / period_of(rollout)))


def noise_of(values: Float32s) -> Float64s:
    """Standard deviation of the noise of each column, by its third differences, shape (k,); 0 where nothing trembles.

    Of white noise the third difference has 20 times the variance; a motion's is small beside it (Rice 1984).
    """
    columns = np.asarray(values, np.float64).reshape(len(values), -1)
    if len(columns) < 8:
        return np.zeros(columns.shape[1])
    third = np.abs(np.diff(columns, 3, axis=0))
    known = np.where(np.isnan(third).all(axis=0), 0.0, 1.0)
    middle = np.nanmedian(np.where(known > 0, third, 0.0), axis=0)
    return np.asarray(middle / (NORMAL_MEDIAN * np.sqrt(20.0)))


@dataclass(frozen=True, slots=True)
class Follows:
    """How a position hangs together with its command and the residual that was made of both."""

    lag: int
    """Frames by which the position follows."""
    unit: float
    """Of the position, for one of the residual: ``position + unit * residual`` is where it would be unhindered."""
    column: int
    """Of the commands."""
    fit: tuple[float, float, float]
    """``command[t - lag] = a + b * position + c * residual``."""

    def residual(self, sent: Float64s, position: Float64s) -> Float64s:
        """The residual of other commands or positions, shape (t,); NaN in the first frames, as where it is recorded."""
        a, b, c = self.fit
        late = np.full(len(sent), np.nan)
        late[self.lag :] = sent[: len(sent) - self.lag]
        return (late - a - b * position) / c


def follows(sent: Float32s, position: Float32s, residual: Float32s, period: float) -> Follows | None:
    """Of which column of ``sent`` and how late the residual was made; None where none explains it.

    Args:
        sent: commands, shape (t, a).
        position: what follows, shape (t,).
        residual: command of some frames before, less position, in some unit, shape (t,).
        period: s between frames.
    """
    best: tuple[float, Follows] | None = None
    for lag in range(min(round(LONGEST_LAG_S / period), len(position) // 4) + 1):
        now = slice(lag, len(position))
        told = np.isfinite(residual[now]) & np.isfinite(position[now])
        if np.count_nonzero(told) < 20 or np.ptp(position[now][told]) == 0 or np.ptp(residual[now][told]) == 0:
            continue
        basis = np.column_stack([np.ones(len(position) - lag), position[now], residual[now]])[told].astype(np.float64)
        before = sent[: len(position) - lag][told].astype(np.float64)
        held, _, rank, _ = np.linalg.lstsq(basis, before, rcond=None)
        left = before - basis @ held
        spread = before.var(axis=0)
        share = np.where(spread > 0, 1.0 - left.var(axis=0) / np.maximum(spread, 1e-30), 0.0)
        column = int(np.nanargmax(share))
        a, b, c = (float(x) for x in held[:, column])
        if rank == 3 and b != 0 and c != 0 and (best is None or share[column] > best[0] + 1e-9):
            best = float(share[column]), Follows(lag, c / b, column, (a, b, c))
    return best[1] if best is not None and best[0] >= FITS else None
