"""Pictures as few numbers: brightness of coarse fields, colours of coarser ones."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Float32s
from sima2.records.video import CELLS

ROWS, COLUMNS = 24, 32
"""Fields of a picture: of 20 by 20 pixels where it has 640 by 480."""
EVERY: Final = 2
"""Of the pixels of a row or column one in so many is taken, where there are enough: the mean of 100 is a mean."""
PLANAR: Final = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"})
"""Formats whose first plane is brightness, a byte a pixel."""
FULL_RANGE: Final = 2
"""``AVCOL_RANGE_JPEG``: black is 0, not 16."""


def brightness(frame: Any) -> Float32s:
    """Mean brightness of each field above black, shape (ROWS, COLUMNS)."""
    name = str(frame.format.name)
    plain = frame if name in PLANAR else frame.reformat(format="gray")
    plane = plain.planes[0]
    pixels = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plain.height, : plain.width]
    full = name.startswith("yuvj") or name not in PLANAR or int(frame.color_range) == FULL_RANGE
    return _pooled(pixels, ROWS, COLUMNS) - np.float32(0 if full else 16)


def coarse_colours(frame: Any) -> Float32s:
    """Mean colour of 8 by 8 fields, 0 to 1, shape (192,)."""
    pixels = frame.to_ndarray(format="rgb24")
    planes = [_pooled(np.ascontiguousarray(pixels[..., k]), CELLS, CELLS) / np.float32(255) for k in range(3)]
    return np.asarray(np.stack(planes, axis=-1).reshape(-1), np.float32)


def _pooled(pixels: NDArray[np.uint8], rows: int, columns: int) -> Float32s:
    """Means over fields that cover the picture, as even as its size allows."""
    height, width = pixels.shape
    if height >= 4 * EVERY * rows and width >= 4 * EVERY * columns:
        pixels = pixels[::EVERY, ::EVERY]
        height, width = pixels.shape
    if height < rows or width < columns:
        pixels = pixels.repeat(-(-rows // height), axis=0).repeat(-(-columns // width), axis=1)
        height, width = pixels.shape
    tops = np.linspace(0, height, rows + 1).astype(np.int64)
    lefts = np.linspace(0, width, columns + 1).astype(np.int64)
    lines = np.add.reduceat(pixels, tops[:-1], axis=0, dtype=np.uint32)
    sums = np.add.reduceat(lines, lefts[:-1], axis=1)
    return np.asarray(sums / np.outer(np.diff(tops), np.diff(lefts)), np.float32)
