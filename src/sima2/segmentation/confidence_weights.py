"""Weights of the confidence model; written by ``scripts/fit_confidence.py``, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WEIGHTS: Final[Mapping[str, tuple[float, ...]]] = {
    "unknown": (0.000, 0.000, 0.000),
    "idle": (0.917, 1.661, 2.916),
    "approach": (1.687, 2.999, 0.550),
    "grasp": (0.031, 6.818, 1.855),
    "lift": (4.104, 0.450, -2.926),
    "transport": (0.648, 3.822, 0.378),
    "place": (2.667, -0.020, 1.738),
    "pull": (2.850, 2.576, 0.093),
    "push": (2.207, 1.044, 0.669),
    "wipe": (2.004, 2.028, 1.338),
    "release": (1.048, 0.699, 0.104),
    "retreat": (0.978, 1.802, 0.884),
    "collision": (1.328, 1.134, -0.206),
    "slip": (3.959, 2.375, 2.888),
    "recovery_maneuver": (2.887, -2.128, 0.061),
}
"""Of one, agreement and log seconds, by label."""
SHARED_WEIGHTS: Final = (-0.289, -0.528, 0.065, 0.727)
"""Of absent forces, absent objects, an absent hand pose, and a neighbour's log seconds."""
