"""Closed-form motion profiles over the share s of a move's time."""

from __future__ import annotations

import numpy as np

from sima2.records.arrays import Float64s


def min_jerk(s: Float64s) -> Float64s:
    """Share of the way done at share s of the time, at rest at both ends. Source: Flash & Hogan 1985."""
    return s * s * s * (10.0 + s * (6.0 * s - 15.0))


def min_jerk_rate(s: Float64s) -> Float64s:
    """Derivative of :func:`min_jerk`."""
    return 30.0 * np.square(s * (1.0 - s))


def carry_over(s: Float64s) -> Float64s:
    """Share of (initial speed × duration) travelled on top of :func:`min_jerk` by a quintic that starts in motion."""
    return s * (1.0 + s * s * (s * (8.0 - 3.0 * s) - 6.0))


def carry_over_rate(s: Float64s) -> Float64s:
    """Derivative of :func:`carry_over`."""
    return 1.0 + s * s * (s * (32.0 - 15.0 * s) - 18.0)


def bump(s: Float64s) -> Float64s:
    """An arc of height 1 with no speed at its ends."""
    return 16.0 * np.square(s * (1.0 - s))


def bump_rate(s: Float64s) -> Float64s:
    """Derivative of :func:`bump`."""
    return 32.0 * s * (1.0 - s) * (1.0 - 2.0 * s)
