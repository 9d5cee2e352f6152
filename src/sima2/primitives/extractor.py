"""Segments → primitives. Reads no rollout: what it says rests on the segments alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sima2.records.primitives import AMBIGUOUS_BELOW, PrimitiveTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Text


@dataclass(frozen=True, slots=True)
class SemanticPrimitiveExtractor:
    """Every segment that is an action becomes a candidate primitive."""

    ambiguous_below: float = AMBIGUOUS_BELOW
    """Confidence under which a primitive is marked."""
    not_actions: tuple[str, ...] = ("idle", "unknown")

    def extract(self, segments: SegmentTable) -> PrimitiveTable:
        """Primitives in the order of their segments."""
        kept = segments.take(~segments.label.isin(*self.not_actions))
        episode = _runs_of_episode(kept.episode_id)
        first = np.searchsorted(episode, episode)
        return PrimitiveTable(
            episode_index=kept.episode_index,
            episode_id=kept.episode_id,
            primitive_id=np.arange(len(kept)) - first,
            segment_id=kept.segment_id,
            action=kept.label,
            object=kept.object,
            outcome=kept.outcome,
            failure_reason=kept.failure_reason,
            duration_s=kept.end_t - kept.start_t,
            energy_wh=kept.energy_wh.astype(np.float64),
            confidence=kept.confidence,
            ambiguous=kept.confidence < self.ambiguous_below,
        )


def _runs_of_episode(episode_id: Text) -> np.ndarray:
    """Rank of each row's episode among consecutive runs of equal ids, shape (n,)."""
    codes = episode_id.codes
    return np.cumsum(np.concatenate([[0], codes[1:] != codes[:-1]])) if len(codes) else codes
