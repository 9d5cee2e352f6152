"""How an episode seems to have ended, from its segments and its goal; used only where nothing was recorded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.records.primitives import InferredOutcome
from sima2.records.rollout import Goal
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.vocabulary import ENDS, REASONS

FINAL_ACTIONS = {
    "opened": ("pull",),
    "placed_on": ("place", "release"),
    "placed_in": ("place", "release"),
    "wiped": ("wipe",),
    "held": ("grasp", "lift", "transport"),
}
"""Actions whose success fulfils a goal of that relation."""
CARRIED = ("lift", "transport")
HELD = (*CARRIED, "place", "pull", "wipe")
"""What is done with something between the fingers."""
LET_GO, HOLDING, EMPTY, LOST, NOTHING, UNSURE = ENDS
PUT = ("placed_on", "placed_in", "home")
"""Relations of what the hand has let go."""
UNKNOWN = (math.nan, 0.0)
ANY_FINAL = ("place", "release", "pull", "push", "wipe")


@dataclass(frozen=True, slots=True)
class OutcomeInference:
    """Success, failure or unknown, with a confidence."""

    least_confidence: float = 0.5
    """Below this the answer is unknown."""

    moved_m: float = 0.05
    """Carried over less than that, a thing is where it was."""

    held_s: float = 0.3
    """Fingers that have not closed to the end have held something after so much of a way."""

    fewest: int = 10
    """Episodes of a kind that tell how those of that kind end,"""
    alike: float = 0.6
    """… if at least that share of those that tell end alike."""

    usual: Mapping[str, str] = field(default_factory=dict)
    """How episodes of each kind end as a rule: :data:`HOLDING` or :data:`LET_GO`; only of those that are known by the
    fingers alone."""

    alone: float = 0.75
    """Confidence in what the things alone tell, where the last action says nothing, or in what the fingers alone do: on
    two simulators with policies of their own, a thing that ended elsewhere told successes from failures at a balanced
    accuracy of that. For fingers it is cautious: ``sima2 bench recordings`` finds told successes right in 0.98, told
    failures in all; of rigs seen for the first time, told failures in 0.85."""

    seen: float = 0.95
    """Confidence in what the poses of the things that a goal names show at the end: they told all of 741 made and 96
    simulated rollouts right (fresh seeds), but trackers of foreign robots are less exact."""

    def knowing(self, segments: SegmentTable, episode_ids: Sequence[str], families: Sequence[str]) -> OutcomeInference:
        """The same that knows how episodes of each kind end as a rule, from unlabelled ones."""
        ends: dict[str, Counter[str]] = {}
        for (_, episode), family in zip(_by_episode(segments, episode_ids), families, strict=True):
            if episode is not None and not episode.able.any():
                ends.setdefault(family, Counter())[self._ending(episode)] += 1
        usual = {}
        for family, count in ends.items():
            end = LET_GO if count[LET_GO] >= count[HOLDING] else HOLDING
            if count.total() >= self.fewest and count[end] >= self.alike * (count.total() - count[UNSURE]) > 0:
                usual[family] = end
        return replace(self, usual=dict(sorted(usual.items())))

    def infer(
        self,
        segments: SegmentTable,
        episode_ids: Sequence[str],
        goals: Sequence[Goal | None],
        families: Sequence[str] = (),
        reached: Sequence[float] | Float64s = (),
    ) -> InferredOutcome:
        """One row for each of ``episode_ids``, in that order.

        Where the poses at the end tell whether the goal is ``reached`` (1 or 0, see ``goal_reached``; NaN where they do
        not), that counts, but what is to be put somewhere must have been let go. Else
        an episode succeeded if the last attempt at the kind of action its goal asks for succeeded and no load was lost
        after it; failed if that attempt failed; and is unknown where no such attempt was seen. Where no goal is known,
        any action that ends a task counts, and carrying over some way; and poses of things, where there are any, are a
        second witness: success needs one that moved, failure that none did since it began, and where hand and things
        say different, the answer is unknown. Where joints and fingers are all there is, the last attempt at taking
        something counts: it succeeded if what was taken stayed between the fingers on the way and was let go, or is
        still held where episodes of that kind (``families``) end so as a rule.
        """
        n = len(episode_ids)
        success = np.full(n, np.nan)
        confidence = np.zeros(n, np.float32)
        failed_at = np.full(n, np.nan)
        reason = np.zeros(n, np.int32)
        end = [""] * n
        reasons = segments.failure_reason.recode(REASONS)
        for i, (rows, episode) in enumerate(_by_episode(segments, episode_ids)):
            if episode is None:
                continue
            bad = rows[episode.failed]
            if len(bad):
                failed_at[i] = segments.end_t[bad[-1]]
                reason[i] = max(int(reasons[bad[-1]]), 0)
            if not episode.able.any():
                end[i] = self._ending(episode)
            there = float(reached[i]) if len(reached) else math.nan
            success[i], confidence[i] = self._judged(episode, goals[i], families[i] if families else "", there)
        return InferredOutcome(
            episode_id=Text.of(episode_ids),
            success=success,
            confidence=confidence,
            failed_at_s=failed_at,
            reason=Text(reason, REASONS),
            end=Text.of(end),
        )

    def _judged(self, episode: _Seen, goal: Goal | None, family: str, reached: float) -> tuple[float, float]:
        """Success, NaN where unknown, and the confidence in it."""
        let_go = goal is None or goal.relation not in PUT or not _in_the_hand(episode)
        if reached == 0 or (reached == 1 and let_go):
            return reached, self.seen
        if not episode.able.any():
            return self._by_fingers(self._ending(episode), self.usual.get(family, ""))
        if goal is not None:
            said = self._by_last_action(episode, goal)
            # where poses do not tell of the goal, to know it must not tell less than not to
            open_ = math.isnan(said[0]) and math.isnan(reached) and goal.relation in (*PUT, "opened", "held")
            if not open_:
                return said
        return UNKNOWN if _left_open(episode) else self._with_things(*self._by_last_action(episode, None), episode)

    def _by_last_action(self, episode: _Seen, goal: Goal | None) -> tuple[float, float]:
        """By the last action that ends a task; of an episode that tells of things."""
        label, failed = episode.label, episode.failed
        wanted = FINAL_ACTIONS.get(goal.relation, ANY_FINAL) if goal is not None else ANY_FINAL
        finals = [k for k, name in enumerate(label) if name in wanted]
        # without a goal, a recording may end with the thing in the hand, if nothing was done with it before
        end = len(label) - 1
        while end and label[end] == "idle":
            end -= 1
        ends_held = goal is None and label[end] in CARRIED and episode.distance[end] > self.moved_m
        ends_held &= not any(label[k] in wanted for k in _since(label, "grasp"))
        finals += [end] if ends_held else []
        if not finals:
            return (0.0, float(episode.sure[failed][-1])) if failed.any() else UNKNOWN
        last = finals[-1]
        later = failed[last + 1 :]
        said = episode.told[last] or ends_held
        if not said or episode.sure[last] < self.least_confidence:
            return UNKNOWN
        if not failed[last] and not later.any() and failed[_since(label[: last + 1], "grasp")].any():
            # what was let go had not been taken, or not kept
            return UNKNOWN
        return float(not failed[last] and not later.any()), float(episode.sure[last])

    def _with_things(self, success: float, confidence: float, episode: _Seen) -> tuple[float, float]:
        """What the hand did last, and what became of the things, as one answer.

        Args:
            success: by the last action; 1, 0, or NaN where it says nothing.
            confidence: in that.
            episode: what was seen.
        """
        moved, failed = episode.moved, episode.failed
        if np.isnan(moved).all():
            return success, confidence
        displaced = bool(np.nanmax(moved) > self.moved_m)
        if np.isnan(success):
            # a button that was pressed, a table that was wiped, are where they were: only a grasp must move something
            taken = _since(episode.label, "grasp")
            told = displaced or bool(taken and not np.isnan(moved[taken]).all())
            return (float(displaced), self.alone) if told else UNKNOWN
        if success == 1:
            return (success, confidence) if displaced else UNKNOWN
        # where the things went on moving, the last failure was not the end of it
        last = len(failed) - 1 - int(np.argmax(failed[::-1]))
        begin = last - int(np.argmin(np.append(failed[last::-1], False))) + 1
        return (success, confidence) if np.nansum(moved[begin:]) <= self.moved_m else UNKNOWN

    def _by_fingers(self, end: str, usual: str) -> tuple[float, float]:
        """By what the fingers did last, and what they do last as a rule."""
        if end in (EMPTY, LOST):
            return 0.0, self.alone
        if end == LET_GO and usual != HOLDING:
            return 1.0, self.alone
        if end == HOLDING and usual:
            return float(usual == HOLDING), self.alone
        return UNKNOWN

    def _ending(self, episode: _Seen) -> str:
        """What the last attempt at taking something came to, one of :data:`ENDS`."""
        attempt = _since(episode.label, "grasp")
        if not attempt:
            return NOTHING
        # what another arm does meanwhile is its own affair
        attempt = [k for k in attempt if episode.arm[k] == episode.arm[attempt[0]]]
        if episode.failed[attempt].any():
            return EMPTY if episode.failed[attempt[0]] else LOST
        if not episode.told[attempt[0]]:
            return UNSURE
        # a hand that goes on freely has let go, seen or not
        let_go = any(episode.label[k] in ("place", "release", "retreat", "approach") for k in attempt[1:])
        held = episode.seconds[[k for k in attempt if episode.label[k] in HELD]].sum()
        # what is let go at once was not carried anywhere
        return HOLDING if not let_go else LET_GO if held > self.held_s else UNSURE


def _by_episode(segments: SegmentTable, episode_ids: Sequence[str]) -> Iterator[tuple[Int64s, _Seen | None]]:
    """Rows of each episode, in order of time whichever arm, and what they tell; None where there are none."""
    place = {eid: i for i, eid in enumerate(episode_ids)}
    names = np.array([place[name] for name in segments.episode_id.names], np.int64)
    row = names[segments.episode_id.codes] if len(segments) else np.zeros(0, np.int64)
    seen = _Seen.of(segments)
    order = np.lexsort((segments.start_frame, row))
    bounds = np.searchsorted(row[order], np.arange(len(episode_ids) + 1))
    for i in range(len(episode_ids)):
        rows = order[bounds[i] : bounds[i + 1]]
        yield rows, seen.take(rows) if len(rows) else None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the segments of one episode, or of many, tell of its end; shape (s,) each, in order of time."""

    label: NDArray[np.object_]
    arm: NDArray[np.int32]
    failed: Bools
    told: Bools
    """The outcome is known."""
    knocked: Bools
    """It failed because of what the hand ran into."""
    able: Bools
    """It rests on a channel that tells of things."""
    sure: Float32s
    seconds: Float64s
    distance: Float32s
    """That the hand went, m."""
    moved: Float32s
    """How far a thing was moved, m; NaN where none was seen."""

    @classmethod
    def of(cls, segments: SegmentTable) -> _Seen:
        return cls(
            label=np.asarray(segments.label.decode()),
            arm=segments.manipulator.codes,
            failed=segments.outcome.isin("failure", "retry"),
            told=~segments.outcome.isin("unknown"),
            knocked=segments.failure_reason.isin("collision", "obstructed"),
            able=segments.tells_of_things,
            sure=segments.confidence,
            seconds=segments.end_t - segments.start_t,
            distance=segments.distance,
            moved=segments.object_moved,
        )

    def take(self, rows: Int64s) -> _Seen:
        return _Seen(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})


def _left_open(episode: _Seen) -> bool:
    """What was done last tells nothing of how an episode without a goal ended."""
    finals = [k for k, name in enumerate(episode.label) if name in ANY_FINAL]
    if not finals:
        return False
    last, failed = finals[-1], episode.failed
    # what is only pushed, after an attempt at taking it failed, was not meant to end so
    astray = episode.label[last] == "push" and bool(failed[:last].any())
    # what was let go above its place may lie where it should, or not
    let_fall = episode.label[last] == "release" and not episode.told[last]
    # and a hand that runs into something when all is done has not undone it
    later = failed[last + 1 :]
    bumped = not failed[last] and later.any() and not (later & ~episode.knocked[last + 1 :]).any()
    # what is set down after a failure, and was not carried on first, may have been given up
    before = np.flatnonzero(failed[:last])
    carried_on = len(before) == 0 or any(
        name in CARRIED or name == "grasp" for name in episode.label[before[-1] + 1 : last]
    )
    given_up = episode.label[last] == "place" and not failed[last] and not carried_on
    return bool(astray or let_fall or bumped or given_up)


def _in_the_hand(episode: _Seen) -> bool:
    """What was done last, but for resting, leaves something between the fingers."""
    done = np.flatnonzero(episode.label != "idle")
    last = int(done[-1]) if len(done) else 0
    kept = episode.label[last] in ("grasp", *CARRIED, "wipe", "collision", "unknown")
    return bool(kept or (episode.label[last] == "place" and episode.failed[last]))


def _since(label: NDArray[np.object_], action: str) -> list[int]:
    """Places from the last one of an action on; none, where there is no such place."""
    at = np.flatnonzero(label == action)
    return list(range(int(at[-1]), len(label))) if len(at) else []
