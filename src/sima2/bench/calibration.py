"""Is a probability what it says? Brier skill, reliability table, expected calibration error, and a shuffled control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools

BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well probabilities ``p`` matched events."""

    n: int
    base_rate: float
    brier_skill: float
    """1 − Brier score over that of the base rate; 0 is as good as knowing the base rate alone."""
    expected_error: float
    """Mean |event rate − mean probability| over equal-width bins, weighted by count."""
    reliability: tuple[tuple[float, float, int], ...]
    """Mean probability, event rate and count of each bin that has any."""
    auroc: float

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "n": self.n,
            "base_rate": self.base_rate,
            "brier_skill": self.brier_skill,
            "expected_calibration_error": self.expected_error,
            "auroc": self.auroc,
            "reliability": [{"p": p, "rate": rate, "n": n} for p, rate, n in self.reliability],
        }


def calibration(p: NDArray[Any], event: NDArray[Any]) -> Calibration:
    """Judge probabilities by what happened, shape (n,) each.

    >>> calibration(np.array([0.0, 1.0]), np.array([False, True])).brier_skill
    1.0
    """
    p = np.asarray(p, np.float64)
    event = np.asarray(event, np.float64)
    rate = float(event.mean()) if len(event) else float("nan")
    brier = float(((p - event) ** 2).mean()) if len(event) else float("nan")
    reference = rate * (1 - rate)
    place = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    rows = []
    for k in range(BINS):
        mine = place == k
        if mine.any():
            rows.append((float(p[mine].mean()), float(event[mine].mean()), int(mine.sum())))
    error = sum(abs(a - b) * n for a, b, n in rows) / max(len(p), 1)
    return Calibration(
        n=len(p),
        base_rate=rate,
        brier_skill=1 - brier / reference if reference > 0 else float("nan"),
        expected_error=error,
        reliability=tuple(rows),
        auroc=auroc(p, event > 0.5),
    )


def auroc(score: NDArray[Any], event: Bools) -> float:
    """P(score of an event > score of none), ties half; NaN where one of them never occurs."""
    from scipy.stats import rankdata

    positive = int(event.sum())
    negative = len(event) - positive
    if not positive or not negative:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[event].sum() - positive * (positive + 1) / 2) / (positive * negative))
