"""What the frames of a window must know of their episode before it: how its sensors began, and what it has shown."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """Extremes of what lies before a window, shape (n,) each; NaN where nothing does."""

    widest: Doubles
    """Largest gripper width or opening."""
    narrowest: Doubles
    """Least gripper width or opening."""
    lightest: Doubles
    """Least average grip force, N."""

    def joined(self, other: Past) -> Past:
        """Extremes of both, row by row."""
        return Past(
            np.fmax(self.widest, other.widest),
            np.fmin(self.narrowest, other.narrowest),
            np.fmin(self.lightest, other.lightest),
        )

    def take(self, index: NDArray[np.int64]) -> Past:
        """Rows by index; none at -1."""
        return Past(*(np.append(getattr(self, each.name), np.nan)[index] for each in fields(self)))

    @classmethod
    def none(cls, n: int) -> Past:
        """Nothing came before."""
        return cls(*(np.full(n, np.nan) for _ in fields(cls)))


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """What the first second of an episode told of its sensors, shape (n,) each.

    All but the period are NaN of a window with which its episode starts: it tells by itself.
    """

    period: Doubles
    """s between frames."""
    rate_noise: Doubles
    """Of the speed."""
    width_noise: Doubles
    grip_noise: Doubles
    contact_noise: Doubles
    object_noise: Doubles
    """m, shape (n, K)."""

    def take(self, index: NDArray[np.int64], objects: int) -> Start:
        """Rows by index, for as many objects; those first seen later have shown no noise."""
        noise = np.zeros((len(index), objects))
        known = min(objects, self.object_noise.shape[1])
        noise[:, :known] = self.object_noise[index, :known]
        columns = {each.name: getattr(self, each.name)[index] for each in fields(self)}
        return Start(**{**columns, "object_noise": noise})

    @classmethod
    def untold(cls, period: Doubles, objects: int) -> Start:
        """Of episodes of which but the period is known."""
        width, grip, contact, rate = (np.full(len(period), np.nan) for _ in range(4))
        return cls(period, rate, width, grip, contact, np.full((len(period), objects), np.nan))

    def put(self, index: NDArray[np.int64], other: Start) -> Start:
        """With other rows at some places."""
        columns = {each.name: getattr(self, each.name).copy() for each in fields(self)}
        for name, column in columns.items():
            column[index] = getattr(other, name)
        return Start(**columns)


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Start and past of each window."""

    start: Start
    past: Past
