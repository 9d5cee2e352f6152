"""Which episodes and frames of a source a copy holds, and under which numbers."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from sima2.errors import UnknownNameError, UsageError
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.plan import TrainingPlan
from sima2.records.table import Text

REVIEW: Final = ("keep", "drop")
"""What becomes of episodes that a person should look at first."""
NOT_READ: Final = "not_read"
"""Code of an episode that the run did not use: put aside, skipped, or unreadable."""
NO_WEIGHT: Final = "no_weight"
"""Code of an episode that weighs nothing, though the plan does not drop it."""
NOT_CHOSEN: Final = "not_chosen"
"""Code of an episode that is not in the list of those asked for."""
UNDER_REVIEW: Final = "under_review"
"""Code of an episode that was left out because it is under review."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Episodes that are kept, in the order of their numbers; the place of each is its new number."""

    number: Int64s
    """The source's own numbers, ascending, shape (n,)."""
    start: Int64s
    """First frame that is kept, shape (n,)."""
    stop: Int64s
    """One past the last, shape (n,); ``stop > start``."""
    frames: Int64s
    """Frames of the episode in the source, shape (n,)."""
    action: Text
    """As the plan has it, shape (n,)."""
    weight: Float64s
    """Of the episode, shape (n,)."""
    codes: Text
    """Why, shape (n,)."""
    left_out: Mapping[int, str]
    """The source's other episodes, each with why, as codes."""

    def __len__(self) -> int:
        return len(self.number)

    @property
    def length(self) -> Int64s:
        """Frames that are kept of each episode, shape (n,)."""
        return self.stop - self.start

    @property
    def offset(self) -> Int64s:
        """Kept frames of all episodes before each, and of all, shape (n + 1,)."""
        before = np.zeros(len(self) + 1, np.int64)
        np.cumsum(self.length, out=before[1:])
        return before

    @property
    def cut(self) -> Bools:
        """Which episodes lose frames, shape (n,)."""
        return (self.start > 0) | (self.stop < self.frames)

    def rows(self) -> list[dict[str, Any]]:
        """Old and new number of each, and what became of it, as plain values."""
        columns = (self.number, self.start, self.stop, self.frames, self.weight)
        told = zip(*(each.tolist() for each in columns), self.action, self.codes, strict=True)
        names = ("episode_index", "keep_start_frame", "keep_end_frame", "frames", "weight", "action", "codes")
        return [{"new_episode_index": k, **dict(zip(names, row, strict=True))} for k, row in enumerate(told)]


def rows_named(number: Int64s, episode_id: Text, lines: Sequence[str]) -> Int64s:
    """Rows of the episodes of a list, in its order, each once.

    Args:
        number: the source's own number of each episode, shape (n,).
        episode_id: of each.
        lines: an episode each, by id or by number; empty ones and those after ``#`` say nothing.

    Raises:
        UsageError: if a line names no episode, or no line names any.

    >>> rows_named(np.array([3, 4]), Text.of(["a-3", "a-4"]), ["# mine", "a-4", "3", "4"]).tolist()
    [1, 0]
    """
    named = [line.strip() for line in lines]
    named = [line for line in named if line and not line.startswith("#")]
    if not named:
        raise UsageError("the list of episodes names none: a line each, by id or by number")
    row_of = {str(each): at for at, each in enumerate(number.tolist())}
    row_of |= {name: at for at, name in enumerate(episode_id)}
    strange = [each for each in named if each not in row_of]
    if strange:
        near = difflib.get_close_matches(strange[0][:200], row_of, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"{len(strange)} of the list are no episodes of this source, the first {strange[0][:200]!r}{hint}"
        )
    return np.array(list(dict.fromkeys(row_of[each] for each in named)), np.int64)


def chosen_only(plan: TrainingPlan, lines: Sequence[str]) -> TrainingPlan:
    """The plan with every episode dropped that is not in a list; what it drops already stays dropped for its reason.

    Args:
        plan: of the episodes of one source, under its own numbers.
        lines: an episode each, by id or by the source's own number; empty ones and those after ``#`` say nothing.

    Raises:
        UsageError: if a line names no episode of the plan, or no line names any.

    >>> one = TrainingPlan([3, 4], ["a-3", "a-4"], ["a"] * 2, ["keep"] * 2, [1.0, 1.0], [0, 0], [9, 9], ["", ""],
    ...     ["", ""], ["", ""])
    >>> chosen_only(one, ["# mine", "a-4"]).action.tolist(), chosen_only(one, ["3"]).weight.tolist()
    (['drop', 'keep'], [1.0, 0.0])
    """
    out = np.ones(len(plan), np.bool_)
    out[rows_named(plan.episode_index, plan.episode_id, lines)] = False
    out &= ~plan.action.isin("drop")

    def told(column: Text, value: str) -> Text:
        return Text.of([value if gone else each for gone, each in zip(out.tolist(), column, strict=True)])

    return replace(
        plan,
        action=told(plan.action, "drop"),
        weight=np.where(out, 0.0, plan.weight),
        codes=told(plan.codes, NOT_CHOSEN),
        words=told(plan.words, "not in the list of episodes that was given"),
        kind_of_knowledge=told(plan.kind_of_knowledge, ""),
    )


def select(
    plan: TrainingPlan, frames: Mapping[int, int], held: Int64s, *, review: str = "keep", cut: bool = True
) -> Selection:
    """What a plan keeps of a source.

    Left out are episodes that the plan drops, that weigh nothing, that the plan does not know (they were put aside or
    skipped), and on request those under review.

    Args:
        plan: of the episodes of this source, under its own numbers.
        frames: of each episode of the plan as the run read it.
        held: the source's own numbers of all its episodes.
        review: ``keep`` or ``drop``, for those under review.
        cut: whether episodes are trimmed; otherwise each is kept whole or not at all.

    Raises:
        UnknownNameError: if ``review`` is neither.
        UsageError: if an episode of the plan is not in the source, or nothing is left.

    >>> one = TrainingPlan([3], ["a-3"], ["a"], ["trim"], [1.0], [2], [9], ["idle"], [""], ["fact"])
    >>> kept = select(one, {3: 10}, np.array([3, 4]))
    >>> kept.length.tolist(), kept.left_out
    ([7], {4: 'not_read'})
    """
    if review not in REVIEW:
        raise UnknownNameError("way with episodes under review", review, REVIEW)
    numbers = plan.episode_index.tolist()
    gone = sorted(set(numbers) - set(held.tolist()))
    if gone:
        raise UsageError(
            f"the source holds no episode {gone[0]} any more ({len(gone)} of the plan are missing): it has changed "
            "since the run; run again, with --fresh"
        )
    order = np.argsort(plan.episode_index, kind="stable")
    left_out = {number: NOT_READ for number in held.tolist() if number not in set(numbers)}
    taken = []
    for at in order.tolist():
        why = _left_out(plan.action[at], float(plan.weight[at]), plan.codes[at], review)
        if why is None:
            taken.append(at)
        else:
            left_out[numbers[at]] = why
    if not taken:
        whose = "of those that were chosen" if NOT_CHOSEN in left_out.values() else "of this source"
        why = ", ".join(sorted({each for each in left_out.values() if each != NOT_CHOSEN})[:3])
        told = f" ({why})" if why else ""
        raise UsageError(f"the plan keeps no episode {whose}{told}: choose another --preset, or --review keep")
    kept = plan.take(np.array(taken, np.int64))
    length = np.array([frames[number] for number in kept.episode_index.tolist()], np.int64)
    start = kept.keep_start_frame if cut else np.zeros(len(kept), np.int64)
    stop = kept.keep_end_frame if cut else length
    wrong = np.flatnonzero((start < 0) | (stop > length) | (start >= stop))
    if len(wrong):
        at = int(wrong[0])
        raise UsageError(
            f"episode {kept.episode_index[at]} is to be kept from frame {start[at]} to {stop[at]}, but has {length[at]}"
        )
    return Selection(
        number=kept.episode_index,
        start=start,
        stop=stop,
        frames=length,
        action=kept.action,
        weight=kept.weight,
        codes=kept.codes,
        left_out=dict(sorted(left_out.items())),
    )


def _left_out(action: str, weight: float, codes: str, review: str) -> str | None:
    """Why an episode is left out; None where it is kept."""
    if action == "drop":
        return codes or "drop"
    if action == "review" and review == "drop":
        return f"{UNDER_REVIEW},{codes}".rstrip(",")
    return f"{NO_WEIGHT},{codes}".rstrip(",") if weight <= 0 else None
