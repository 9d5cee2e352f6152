"""How an episode seems to have ended, from its segments and its goal; used only where nothing was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
CARRIED = ("lift", "transport")
ANY_FINAL = ("place", "release", "pull", "push", "wipe")


@dataclass(frozen=True, slots=True)
class OutcomeInference:
    """Success, failure or unknown, with a confidence."""

    least_confidence: float = 0.5
    """Below this the answer is unknown."""

    moved_m: float = 0.05
    """Carried over less than that, a thing is where it was."""

    alone: float = 0.75
    """Confidence in what the things alone tell, where the last action says nothing: on two simulators with policies of
    their own, a thing that ended elsewhere told successes from failures at a balanced accuracy of that."""

    def infer(
        self, segments: SegmentTable, episode_ids: Sequence[str], goals: Sequence[Goal | None]
    ) -> InferredOutcome:
        """One row for each of ``episode_ids``, in that order.

        An episode succeeded if the last attempt at the kind of action its goal asks for succeeded and no load was lost
        after it; failed if that attempt failed; and is unknown where no such attempt was seen or the channels could not
        have shown a failure. Where no goal is known, any action that ends a task counts, and carrying over some way;
        and poses of things, where there are any, are a second witness: success needs one that moved, failure that none
        did since it began, and where hand and things say different, the answer is unknown.
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
        knocked = segments.failure_reason.isin("collision", "obstructed")
        label = segments.label.decode()
        able = segments.tells_of_things
        far = segments.distance > self.moved_m
        # in order of time, whichever arm
        order = np.lexsort((segments.start_frame, row))
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
            finals = [k for k, r in enumerate(rows) if label[r] in wanted]
            # without a goal, a recording may end with the thing in the hand, if nothing was done with it before
            ends_held = goal is None and label[rows[-1]] in CARRIED and far[rows[-1]]
            ends_held &= not any(label[r] in wanted for r in _since(rows, label, "grasp"))
            finals += [len(rows) - 1] if ends_held else []
            if not able[rows].any():
                continue
            if finals:
                last = rows[finals[-1]]
                sure = float(segments.confidence[last])
                lost_later = bool(failed[rows[finals[-1] + 1 :]].any())
                said = segments.outcome[last] != "unknown" or ends_held
                # what is only pushed, after an attempt at taking it failed, was not meant to end so
                astray = goal is None and label[last] == "push" and bool(failed[rows[: finals[-1]]].any())
                # and a hand that runs into something when all is done has not undone it
                later = rows[finals[-1] + 1 :]
                bumped = goal is None and not failed[last] and lost_later and bool((knocked | ~failed)[later].all())
                if astray or bumped:
                    continue
                if said and sure >= self.least_confidence:
                    success[i], confidence[i] = float(not failed[last] and not lost_later), sure
            elif len(bad):
                success[i], confidence[i] = 0.0, segments.confidence[bad[-1]]
            if goal is None:
                grasped = bool((label[rows] == "grasp").any())
                success[i], confidence[i] = self._with_things(
                    success[i], confidence[i], segments.object_moved[rows], failed[rows], grasped
                )
        return InferredOutcome(
            episode_id=Text.of(episode_ids),
            success=success,
            confidence=confidence,
            failed_at_s=failed_at,
            reason=Text(reason, REASONS),
        )

    def _with_things(
        self, success: float, confidence: float, moved: NDArray[np.float32], failed: NDArray[np.bool_], grasped: bool
    ) -> tuple[float, float]:
        """What the hand did last, and what became of the things, as one answer.

        Args:
            success: by the last action; 1, 0, or NaN where it says nothing.
            confidence: in that.
            moved: how far each segment moved a thing, m; NaN where none was seen.
            failed: segments that failed.
            grasped: the hand closed on something.
        """
        if np.isnan(moved).all():
            return success, confidence
        displaced = bool(np.nanmax(moved) > self.moved_m)
        if np.isnan(success):
            # a button that was pressed, a table that was wiped, are where they were: only a grasp must move something
            return (float(displaced), self.alone) if displaced or grasped else (np.nan, 0.0)
        if success == 1:
            return (success, confidence) if displaced else (np.nan, 0.0)
        # where the things went on moving, the last failure was not the end of it
        last = len(failed) - 1 - int(np.argmax(failed[::-1]))
        begin = last - int(np.argmin(np.append(failed[last::-1], False))) + 1
        return (success, confidence) if np.nansum(moved[begin:]) <= self.moved_m else (np.nan, 0.0)


def _since(rows: NDArray[np.int64], label: NDArray[np.object_], action: str) -> list[int]:
    """Rows from the last one of an action on; none, where there is no such row."""
    at = np.flatnonzero(label[rows] == action)
    return [int(row) for row in rows[at[-1] :]] if len(at) else []
