"""LuckySuccessTag: risk was high, it went well, and nothing had to be recovered (invariant 1)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.table import Text
from sima2.records.tags import TagSpec
from sima2.tags import risk as risk_tag
from sima2.tags.rows import TagRows, blank_rows

SPEC: Final = TagSpec(
    name="LuckySuccessTag",
    kind="diagnostic",
    inputs=("RiskTag", "RecoveryTag", "inferred outcome"),
    available="the end of the episode",
    cost_field="success",
    direction=1,
    pulls=MappingProxyType({"bc": 0, "rl": 1}),  # luck is no skill to copy
    meaning="succeeded against high risk and without a correction",
    group="lucky",
)


def luck_rows(
    episode_id: Text,
    frames: Int64s,
    risk: Float64s,
    success: Float64s,
    recovered: Bools,
) -> TagRows:
    """One row an episode.

    Args:
        episode_id: shape (n,).
        frames: frames of each episode, shape (n,).
        risk: level of its RiskTag, NaN where not assessed, shape (n,).
        success: 1, 0 or NaN as inferred from the segments, shape (n,).
        recovered: it has a RecoveryTag, shape (n,).
    """
    rows = blank_rows(episode_id, SPEC.name, SPEC.kind, end=frames, available=frames)
    high = risk > risk_tag.SPEC.threshold
    rows.fill(np.arange(len(episode_id)), details="risk, or how it ended, is not known")
    # What is surely not lucky is assessed even where the other half is unknown.
    plain = (risk <= risk_tag.SPEC.threshold) | (success == 0) | recovered
    rows.fill(plain, level=0.0, source="risk+outcome", details="")
    lucky = high & (success == 1) & ~recovered
    at = np.flatnonzero(lucky)
    words = [f"risk {level:.3f}, yet success with nothing to recover from" for level in risk[at].tolist()]
    rows.fill(at, level=risk[at], source="risk+outcome", details=np.array(words, object))
    return rows
