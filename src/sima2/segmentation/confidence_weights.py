"""Weights of the confidence model; written by ``scripts/fit_confidence.py``, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WEIGHTS: Final[Mapping[str, tuple[float, ...]]] = {
    "unknown": (0.000, 0.000, 0.000),
    "idle": (1.283, 1.420, 2.718),
    "approach": (2.098, 2.777, 0.352),
    "grasp": (-0.153, 7.274, 2.748),
    "lift": (2.845, 3.417, -1.561),
    "transport": (0.354, 4.358, 0.463),
    "place": (3.214, -0.218, 1.637),
    "pull": (2.715, 2.540, 1.958),
    "push": (2.575, 1.190, 1.324),
    "wipe": (2.004, 2.907, 0.472),
    "release": (0.980, 1.004, 0.013),
    "retreat": (2.343, 0.498, 1.356),
    "collision": (1.550, 1.260, -0.500),
    "slip": (3.125, 1.875, 1.920),
    "recovery_maneuver": (4.106, -1.656, 2.238),
}
"""Of one, agreement and log seconds, by label."""
SHARED_WEIGHTS: Final = (-0.342, -0.540, -0.213, 1.062)
"""Of absent forces, absent objects, an absent hand pose, and a neighbour's log seconds."""
