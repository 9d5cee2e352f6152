"""How deep tasks lie within each other; without recursion, so that no nesting is too deep."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sima2.errors import UsageError


def nesting(subtasks: Mapping[str, Sequence[str]], retries: Collection[tuple[str, str]] = ()) -> dict[str, int]:
    """Depth of every task below the tasks that are part of no other, the longest way counting.

    Args:
        subtasks: parts of each task.
        retries: (task, part) pairs that stand for doing a task again: they may close a circle, and add no depth.

    Raises:
        UsageError: if a task is a part of itself in any other way.

    >>> nesting({"tidy": ["pick", "place"], "day": ["tidy"]})
    {'day': 0, 'tidy': 1, 'pick': 2, 'place': 2}
    >>> nesting({"day": ["tidy"], "tidy": ["day"]}, retries={("tidy", "day")})
    {'day': 0, 'tidy': 1}
    """
    again = set(retries)
    below = {task: [part for part in parts if (task, part) not in again] for task, parts in subtasks.items()}
    names = sorted({*subtasks, *(part for parts in subtasks.values() for part in parts)})
    waiting = dict.fromkeys(names, 0)
    for parts in below.values():
        for part in parts:
            waiting[part] += 1
    depth = {name: 0 for name in names if not waiting[name]}
    ready = list(depth)
    for name in ready:
        for part in below.get(name, ()):
            depth[part] = max(depth.get(part, 0), depth[name] + 1)
            waiting[part] -= 1
            if not waiting[part]:
                ready.append(part)
    if len(ready) < len(names):
        caught = ", ".join(name for name in names if waiting[name])
        raise UsageError(f"the subtasks form a cycle among {caught}: a task cannot be a part of itself")
    return {name: depth[name] for name in ready}
