"""LuckySuccessTag: risk was high, it went well, and nothing had to be recovered (invariant 1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sima2.records.table import Text
from sima2.tags.rows import TagRows, blank_rows
from sima2.tags.specs import THRESHOLDS


def luck_rows(
    episode_id: Text,
    frames: NDArray[np.int64],
    risk: NDArray[np.float64],
    success: NDArray[np.float64],
    recovered: NDArray[np.bool_],
) -> TagRows:
    """One row an episode.

    Args:
        episode_id: shape (n,).
        frames: frames of each episode, shape (n,).
        risk: level of its RiskTag, NaN where not assessed, shape (n,).
        success: 1, 0 or NaN as inferred from the segments, shape (n,).
        recovered: it has a RecoveryTag, shape (n,).
    """
    rows = blank_rows(episode_id, "LuckySuccessTag", "diagnostic", end=frames, available=frames)
    high = risk > THRESHOLDS["RiskTag"]
    rows.fill(np.arange(len(episode_id)), details="risk, or how it ended, is not known")
    # What is surely not lucky is assessed even where the other half is unknown.
    plain = (risk <= THRESHOLDS["RiskTag"]) | (success == 0) | recovered
    rows.fill(plain, level=0.0, source="risk+outcome", details="")
    lucky = high & (success == 1) & ~recovered
    at = np.flatnonzero(lucky)
    words = [f"risk {level:.3f}, yet success with nothing to recover from" for level in risk[at].tolist()]
    rows.fill(at, level=risk[at], source="risk+outcome", details=np.array(words, object))
    return rows
