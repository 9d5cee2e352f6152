"""Weights of the confidence model; written by ``scripts/fit_confidence.py``, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WEIGHTS: Final[Mapping[str, tuple[float, ...]]] = {
    "unknown": (0.000, 0.000, 0.000),
    "idle": (2.273, 0.424, 2.455),
    "approach": (3.271, 0.160, 1.295),
    "grasp": (-0.207, 7.643, 2.967),
    "lift": (2.974, 3.222, -1.430),
    "transport": (0.672, 3.983, 0.455),
    "place": (3.236, -0.017, 1.707),
    "pull": (2.293, 2.709, 1.845),
    "push": (2.735, 0.872, 0.885),
    "wipe": (1.264, 2.248, 1.508),
    "release": (1.347, 1.332, 0.732),
    "retreat": (1.928, 1.951, 1.462),
    "collision": (1.439, 1.705, -0.095),
    "slip": (3.323, 1.994, 2.162),
    "recovery_maneuver": (3.969, -1.119, 1.809),
}
"""Of one, agreement and log seconds, by label."""
SHARED_WEIGHTS: Final = (-0.320, -0.587, -0.378, 0.874)
"""Of absent forces, absent objects, an absent hand pose, and a neighbour's log seconds."""
