"""How an episode seems to have ended, from its segments and its goal; used only where nothing was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sima2.records.primitives import InferredOutcome
from sima2.records.rollout import Goal
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.vocabulary import REASONS

FINAL_ACTIONS = {
    "opened": ("pull",),
    "placed_on": ("place", "release"),
    "placed_in": ("place", "release"),
    "wiped": ("wipe",),
    "held": ("grasp", "lift", "transport"),
}
"""Actions whose success fulfils a goal of that relation."""
ANY_FINAL = ("place", "release", "pull", "push", "wipe")


@dataclass(frozen=True, slots=True)
class OutcomeInference:
    """Success, failure or unknown, with a confidence."""

    least_confidence: float = 0.5
    """Below this the answer is unknown."""

    def infer(
        self, segments: SegmentTable, episode_ids: Sequence[str], goals: Sequence[Goal | None]
    ) -> InferredOutcome:
        """One row for each of ``episode_ids``, in that order.

        An episode succeeded if the last attempt at the kind of action its goal asks for succeeded (any action that
        ends a task, where no goal is known) and no load was lost after it; failed if that attempt failed; and is
        unknown where no such attempt was seen or the channels could not have shown a failure.
        """
        n = len(episode_ids)
        place = {eid: i for i, eid in enumerate(episode_ids)}
        row = (
            np.array([place[name] for name in segments.episode_id.names], np.int64)[segments.episode_id.codes]
            if len(segments)
            else np.zeros(0, np.int64)
        )
        failed = segments.outcome.isin("failure", "retry")
        success = np.full(n, np.nan)
        confidence = np.zeros(n, np.float32)
        failed_at = np.full(n, np.nan)
        reason = np.zeros(n, np.int32)
        reasons = segments.failure_reason.recode(REASONS)
        label = segments.label.decode()
        able = segments.tells_of_things
        order = np.argsort(row, kind="stable")
        bounds = np.searchsorted(row[order], np.arange(n + 1))
        for i in range(n):
            rows = order[bounds[i] : bounds[i + 1]]
            if not len(rows):
                continue
            goal = goals[i]
            wanted = FINAL_ACTIONS.get(goal.relation, ANY_FINAL) if goal is not None else ANY_FINAL
            bad = rows[failed[rows]]
            if len(bad):
                failed_at[i] = segments.end_t[bad[-1]]
                reason[i] = max(int(reasons[bad[-1]]), 0)
            finals = [r for r in rows.tolist() if label[r] in wanted]
            if not able[rows].any():
                continue
            if not finals:
                if len(bad):
                    success[i], confidence[i] = 0.0, segments.confidence[bad[-1]]
                continue
            last = finals[-1]
            sure = float(segments.confidence[last])
            lost_later = any(r > last for r in bad.tolist())
            if segments.outcome[last] == "unknown" or sure < self.least_confidence:
                continue
            success[i] = float(not failed[last] and not lost_later)
            confidence[i] = sure
        return InferredOutcome(
            episode_id=Text.of(episode_ids),
            success=success,
            confidence=confidence,
            failed_at_s=failed_at,
            reason=Text(reason, REASONS),
        )
