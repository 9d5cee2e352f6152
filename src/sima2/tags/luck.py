"""LuckySuccessTag: risk was high, it went well, and nothing had to be recovered (invariant 1)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.table import Text
from sima2.records.tags import TagProposal, TagSpec, TagTable
from sima2.tags import recovery as recovery_tag
from sima2.tags import risk as risk_tag
from sima2.tags.rows import TagRows, blank_rows
from sima2.tags.seen import FromWhole, Whole

SPEC: Final = TagSpec(
    name="LuckySuccessTag",
    kind="diagnostic",
    inputs=(risk_tag.SPEC.name, recovery_tag.SPEC.name, "inferred outcome"),
    available="the end of the episode",
    cost_field="success",
    direction=1,
    pulls=MappingProxyType({"bc": 0, "rl": 1}),  # luck is no skill to copy
    meaning="succeeded against high risk and without a correction",
    group="lucky",
    code="luck",
    level="the risk that was run",
    reads="the outcome",
    proposals=(
        TagProposal(
            "lucky",
            "verification_node",
            0.6,
            "high risk, yet success and nothing recovered",
            rests_on=risk_tag.SPEC.name,
        ),
    ),
    shown=3,
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


def _rows(seen: Whole) -> TagTable:
    recovered = seen.level(recovery_tag.SPEC.name) > recovery_tag.SPEC.threshold
    risk, episodes = seen.level(risk_tag.SPEC.name), seen.episodes
    return luck_rows(episodes.episode_id, episodes.frames, risk, episodes.inferred_success, recovered).frozen()


TAG: Final = FromWhole(SPEC, _rows)
