"""What the camera's network makes of a scene: a fixed noisy nonlinear function of shape, pose and lighting."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s

WIDTH: Final = 16
"""Dimensions of the embedding."""

_SHAPE: Final = 0.32
_LIGHT: Final = 0.22
_ALIEN: Final = (0.45, 1.5)
"""How far an alien object pulls the embedding away from what all nominal scenes share; the clouds overlap."""


def _fixed(name: str, *shape: int) -> Float64s:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape)


@lru_cache(maxsize=1024)
def _of_object(name: str) -> Float64s:
    return _fixed(f"shape of {name}", WIDTH)


SHARED: Final = 0.75 * np.sign(_fixed("what all scenes share", WIDTH))
LIGHTING: Final = _fixed("lighting", WIDTH)
POSE: Final = (0.45 * _fixed("pose", 3, WIDTH)).astype(np.float32)
"""Weights of the hand's position relative to the object acted on, per m, shape (3, WIDTH)."""


def base_of(names: list[tuple[str, str]], light: Float64s, alien: Bools, u: Float64s, z: Float64s) -> Float64s:
    """What an episode's embeddings have in common before the nonlinearity, shape (n, WIDTH).

    Args:
        names: object acted on and target of each episode: they stand for shapes, no stage sees them.
        light: standard normal, shape (n,).
        alien: scenes outside the nominal law.
        u: uniform, how alien, shape (n,).
        z: standard normal, in which direction, shape (n, WIDTH).
    """
    if not names:
        return np.zeros((0, WIDTH))
    item = np.stack([_of_object(first) for first, _ in names])
    target = np.stack([_of_object(second) for _, second in names])
    nominal = SHARED + _SHAPE * (item + 0.4 * target) + _LIGHT * light[:, None] * LIGHTING
    pull = (_ALIEN[0] + (_ALIEN[1] - _ALIEN[0]) * u)[:, None]
    return np.where(alien[:, None], nominal - pull * SHARED + 0.55 * pull * z, nominal)
