"""Which episodes are of one kind where no family is known: those of one task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from sima2.records.vocabulary import UNKNOWN

FEWEST: Final = 5
"""Where there are many texts, a task with fewer episodes is no kind to compare within."""
OF_ONE: Final = 2
"""Texts that differ in more than every second episode are no tasks that come again."""


def task_kinds(tasks: Sequence[str]) -> dict[str, str]:
    """Kind of episode by task: the task itself, but for case and spaces.

    Where nearly every episode has words of its own, those of which there are few are one kind together.

    >>> task_kinds(["Pick the cup", "pick  the cup", "wipe", "wipe"])
    {'Pick the cup': 'pick the cup', 'pick  the cup': 'pick the cup', 'wipe': 'wipe'}
    """
    folded = {task: " ".join(task.casefold().split()) for task in dict.fromkeys(tasks)}
    counts = Counter(folded[task] for task in tasks)
    few = OF_ONE * len(counts) <= len(tasks) or len(counts) == 1
    kinds = {name for name, count in counts.items() if name and (few or count >= FEWEST)}
    return {task: name if name in kinds else UNKNOWN for task, name in folded.items()}
