"""The risk law: what hazard an episode runs, given that it is known how often failures occur.

Initial risk r = sigmoid(a + b·x) with conditions x ~ N(0, I), so r is logit-normal with density f whose mean is the
share of events. Quotas fix which episodes fail, so r is drawn given the class by Bayes' rule (density f(r)·r given an
event, f(r)·(1 − r) given none) and x given r exactly. The event strikes uniformly over the frames its hazard acts in.
Source: the project's specification, "exact quotas and calibrated risk"; logit-normal law: Atchison & Shen 1980.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float32s, Float64s
from sima2.tasks.failure_modes import FAILURE_MODES

CONDITIONS: Final = ("grip", "speed", "clearance", "alignment", "visibility", "height", "load")
"""Conditions of an episode in standard units; positive is more hazardous."""

_WEIGHTS: Final = (0.66, 0.56, 0.50)
"""Loadings of the conditions a mode names, the strongest first; their squares sum to 1."""

GRIP_SCALE: Final = 0.35
"""Change of the log grip margin 2 mu F / (m (g + a)) per unit of the grip condition."""

_NODES: Final = 2001
"""Nodes of the tabulated laws over ±8 standard deviations; the error of a quantile is below 1e-4 of one."""


def loadings(sigma: float) -> Float64s:
    """b of every failure mode and, last, of none: shape (modes + 1, conditions); rows have norm ``sigma`` or 0.

    >>> bool(np.allclose(np.linalg.norm(loadings(2.0)[:-1], axis=1), 2.0))
    True
    """
    table = np.zeros((len(FAILURE_MODES) + 1, len(CONDITIONS)))
    for row, mode in enumerate(FAILURE_MODES.values()):
        for weight, name in zip(_WEIGHTS, mode.exposes, strict=True):
            table[row, CONDITIONS.index(name)] = weight
        table[row] *= sigma / np.linalg.norm(table[row])
    return table


def sigmoid(s: Float64s) -> Float64s:
    """1 / (1 + exp(−s))."""
    result: Float64s = 1.0 / (1.0 + np.exp(-s))
    return result


@lru_cache(maxsize=64)
def _law(share: float, sigma: float) -> tuple[float, Float64s, Float64s, Float64s]:
    """Intercept a with mean of sigmoid(a + sigma z) = share, nodes of s, and its CDFs given none and given an event."""
    z = np.linspace(-8.0, 8.0, _NODES)
    mass = np.exp(-0.5 * z * z)
    mass /= mass.sum()
    low, high = -40.0, 40.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        if float((mass * sigmoid(middle + sigma * z)).sum()) < share:
            low = middle
        else:
            high = middle
    s = middle + sigma * z
    given_event = np.cumsum(mass * sigmoid(s))
    given_none = np.cumsum(mass * (1.0 - sigmoid(s)))
    return middle, s, given_none / given_none[-1], given_event / given_event[-1]


def draw_score(share: Float64s, event: Bools, u: Float64s, *, sigma: float) -> tuple[Float64s, Float64s]:
    """Score s = logit of the initial risk given the class, and the intercept a of its law.

    Args:
        share: share of events of the law, in (0, 1), shape (n,).
        event: whether the event occurs, shape (n,).
        u: uniform draws, shape (n,).
        sigma: standard deviation of s over all episodes.
    """
    score, intercept = np.empty(len(u)), np.empty(len(u))
    for value in np.unique(share).tolist():
        a, nodes, none, some = _law(min(max(value, 1e-3), 1 - 1e-3), sigma)
        here = share == value
        intercept[here] = a
        score[here] = np.where(event[here], np.interp(u[here], some, nodes), np.interp(u[here], none, nodes))
    return score, intercept


def draw_conditions(score: Float64s, intercept: Float64s, b: Float64s, z: Float64s) -> Float64s:
    """Conditions with a + b·x = s exactly: x = z + b (s − a − b·z) / |b|², shape (n, conditions)."""
    square = np.square(b).sum(axis=1)
    gap = (score - intercept - (b * z).sum(axis=1)) / np.where(square > 0, square, 1.0)
    x: Float64s = z + b * (gap * (square > 0))[:, None]
    return x


def fragile_score(score: Float64s, b: Float64s) -> Float64s:
    """Score when friction and grip force both fall by 10 %: the margin falls to 0.81 of itself."""
    fragile: Float64s = score + b[:, CONDITIONS.index("grip")] * (-2.0 * np.log(0.9) / GRIP_SCALE)
    return fragile


def remaining(initial: Float32s, elapsed: Float32s) -> Float32s:
    """Risk still ahead when a share ``elapsed`` of the hazard has passed without an event: r (1 − H) / (1 − r H)."""
    left: Float32s = initial * (1 - elapsed) / (1 - initial * elapsed)
    return left
