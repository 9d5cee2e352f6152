"""Closed-form motion profiles over the share s of a move's time."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Shares: TypeAlias = Any
"""An array of single or double precision: so is what comes of it."""


def min_jerk(s: Shares) -> Shares:
    """Share of the way done at share s of the time, at rest at both ends. Source: Flash & Hogan 1985."""
    return s * s * s * (10.0 + s * (6.0 * s - 15.0))


def min_jerk_rate(s: Shares) -> Shares:
    """Derivative of :func:`min_jerk`."""
    return 30.0 * np.square(s * (1.0 - s))


def carry_over(s: Shares) -> Shares:
    """Share of (initial speed × duration) travelled on top of :func:`min_jerk` by a quintic that starts in motion."""
    return s * (1.0 + s * s * (s * (8.0 - 3.0 * s) - 6.0))


def carry_over_rate(s: Shares) -> Shares:
    """Derivative of :func:`carry_over`."""
    return 1.0 + s * s * (s * (32.0 - 15.0 * s) - 18.0)


def bump(s: Shares) -> Shares:
    """An arc of height 1 with no speed at its ends."""
    return 16.0 * np.square(s * (1.0 - s))


def bump_rate(s: Shares) -> Shares:
    """Derivative of :func:`bump`."""
    return 32.0 * s * (1.0 - s) * (1.0 - 2.0 * s)


def smooth(s: Shares) -> Shares:
    """From 0 to 1 with no speed at the ends."""
    return s * s * (3.0 - 2.0 * s)
