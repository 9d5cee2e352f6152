"""Which episodes are of one kind where no family is known: those of one task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from sima2.records.vocabulary import UNKNOWN

FEWEST: Final = 5
"""A task with fewer episodes is no kind to compare within: fewer say nothing of what is usual."""
MOST: Final = 200
"""Texts that differ in nearly every episode name no kinds."""


def task_kinds(tasks: Sequence[str]) -> dict[str, str]:
    """Kind of episode by task: the task itself, but for case and spaces.

    Tasks of which there are too few episodes are one kind together, and so are all where every episode has words of
    its own.

    >>> task_kinds(["Pick the cup"] * 5 + ["pick  the cup", "wipe"])
    {'Pick the cup': 'pick the cup', 'pick  the cup': 'pick the cup', 'wipe': 'unknown'}
    """
    folded = {task: " ".join(task.casefold().split()) for task in dict.fromkeys(tasks)}
    counts = Counter(folded[task] for task in tasks)
    kinds = {name for name, count in counts.items() if name and count >= FEWEST}
    if len(kinds) > MOST:
        kinds = set()
    return {task: name if name in kinds else UNKNOWN for task, name in folded.items()}
