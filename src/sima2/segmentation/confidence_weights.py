"""Weights of the confidence model; written by ``scripts/fit_confidence.py``, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WEIGHTS: Final[Mapping[str, tuple[float, ...]]] = {
    "unknown": (0.000, 0.000, 0.000),
    "idle": (2.268, 0.435, 2.447),
    "approach": (3.265, 0.180, 1.305),
    "grasp": (-0.220, 7.699, 3.040),
    "lift": (2.979, 3.222, -1.435),
    "transport": (0.673, 3.997, 0.452),
    "place": (3.243, -0.027, 1.707),
    "pull": (2.638, 2.467, 2.013),
    "push": (2.757, 0.865, 0.869),
    "wipe": (1.267, 2.248, 1.509),
    "release": (1.327, 1.315, 0.762),
    "retreat": (1.918, 1.919, 1.484),
    "collision": (1.446, 1.712, -0.096),
    "slip": (3.184, 1.911, 1.996),
    "recovery_maneuver": (3.970, -1.057, 1.748),
}
"""Of one, agreement and log seconds, by label."""
SHARED_WEIGHTS: Final = (-0.358, -0.579, -0.342, 0.890)
"""Of absent forces, absent objects, an absent hand pose, and a neighbour's log seconds."""
