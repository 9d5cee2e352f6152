"""What the frames of a window must know of their episode before it: how its sensors began, and what it has shown."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from sima2.records.arrays import Float64s, Int64s
from sima2.segmentation.columns import Columns


@dataclass(frozen=True, slots=True, eq=False)
class Past(Columns):
    """Extremes of what lies before a window, shape (n,) each; NaN where nothing does."""

    widest: Float64s
    """Largest gripper width or opening."""
    narrowest: Float64s
    """Least gripper width or opening."""
    lightest: Float64s
    """Least average grip force, N."""

    def joined(self, other: Past) -> Past:
        """Extremes of both, row by row."""
        return Past(
            np.fmax(self.widest, other.widest),
            np.fmin(self.narrowest, other.narrowest),
            np.fmin(self.lightest, other.lightest),
        )

    def take(self, index: Int64s) -> Past:
        """Rows by index; none at -1."""
        return Past(*(np.append(getattr(self, each.name), np.nan)[index] for each in fields(self)))

    @classmethod
    def none(cls, n: int) -> Past:
        """Nothing came before."""
        return cls(*(np.full(n, np.nan) for _ in fields(cls)))


@dataclass(frozen=True, slots=True, eq=False)
class Start(Columns):
    """What the first second of an episode told of its sensors, shape (n,) each.

    All but the period are NaN of a window with which its episode starts: it tells by itself.
    """

    period: Float64s
    """s between frames."""
    rate_noise: Float64s
    """Of the speed."""
    width_noise: Float64s
    grip_noise: Float64s
    contact_noise: Float64s
    object_noise: Float64s
    """m, shape (n, K)."""

    def of_objects(self, objects: int) -> Start:
        """The same for as many objects; those first seen later have shown no noise."""
        noise = np.zeros((len(self.period), objects))
        known = min(objects, self.object_noise.shape[1])
        noise[:, :known] = self.object_noise[:, :known]
        return replace(self, object_noise=noise)

    @classmethod
    def untold(cls, period: Float64s, objects: int) -> Start:
        """Of episodes of which but the period is known."""
        width, grip, contact, rate = (np.full(len(period), np.nan) for _ in range(4))
        return cls(period, rate, width, grip, contact, np.full((len(period), objects), np.nan))

    def put(self, index: Int64s, other: Start) -> Start:
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
