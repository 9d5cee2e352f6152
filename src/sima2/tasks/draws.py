"""Each episode's own randomness, as columns that read the same alone and in any batch."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from sima2.records.arrays import Float64s, Int64s


class Draws:
    """A block of uniform and one of normal draws, a row an episode or task, read column by column.

    Columns are handed out in the order of the calls, which is the same for every batch.
    """

    def __init__(self, uniform: Float64s, normal: Float64s) -> None:
        self._uniform = uniform
        self._normal = normal
        self._u = 0
        self._z = 0

    def uniforms(self, count: int) -> Float64s:
        """Uniform on [0, 1), shape (n, count)."""
        self._u += count
        if self._u > self._uniform.shape[1]:
            raise IndexError(f"more than {self._uniform.shape[1]} uniform draws an episode")
        return self._uniform[:, self._u - count : self._u].copy()

    def normals(self, count: int) -> Float64s:
        """Standard normal, shape (n, count)."""
        self._z += count
        if self._z > self._normal.shape[1]:
            raise IndexError(f"more than {self._normal.shape[1]} normal draws an episode")
        return self._normal[:, self._z - count : self._z].copy()

    def uniform(self, low: float, high: float) -> Float64s:
        """Uniform on [low, high), shape (n,)."""
        result: Float64s = low + (high - low) * self.uniforms(1)[:, 0]
        return result

    def within(self, **spans: tuple[float, float]) -> dict[str, Float64s]:
        """Uniform on each of the spans, by its name, shape (n,) each."""
        low, high = np.array(list(spans.values())).T
        return dict(zip(spans, (low + (high - low) * self.uniforms(len(spans))).T, strict=True))

    def normal(self) -> Float64s:
        """Standard normal, shape (n,)."""
        result: Float64s = self.normals(1)[:, 0]
        return result

    def integers(self, count: int) -> Int64s:
        """Whole numbers below count, shape (n,)."""
        result: Int64s = (count * self.uniforms(1)[:, 0]).astype(np.int64)
        return result

    def sometimes(self, chance: float, low: float, high: float) -> Float64s:
        """Uniform on [low, high) with the given chance, else 0, shape (n,)."""
        happens = self.uniforms(1)[:, 0] < chance
        return np.where(happens, self.uniform(low, high), 0.0)


def generator(seed: int, name: str, *more: int) -> np.random.Generator:
    """The source of randomness of (seed, name, …)."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence((seed, zlib.crc32(name.encode()), *more))))


def episode_generator(row: Mapping[str, Any]) -> np.random.Generator:
    """The source of the randomness of a plan's row: seed, family, index within the family and nothing else."""
    return generator(row["seed"], row["family"], row["family_index"] + 1)
