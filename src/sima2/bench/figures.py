"""Figures against their targets, and the table that tells them: what every bench does with what it measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

Limit = tuple[float, str]
"""A bound, and its sense: ``at least``, ``at most``, ``above`` or ``below``."""
Progress = Callable[[str], None]
"""Is told the step under way."""
Rows = list[tuple[str, str, str]]
"""A table: name of a figure, result, target."""


def quiet(step: str) -> None:
    """Tells nobody of the step under way."""


def met(value: float, limit: float, sense: str) -> bool:
    """Whether a figure meets a bound; the senses are those of ``Limit``."""
    told = {"at least": value >= limit, "at most": value <= limit, "above": value > limit, "below": value < limit}
    return bool(told[sense])


def verdict(value: float, limit: float, sense: str) -> dict[str, Any]:
    """A figure against its target, as plain values.

    >>> verdict(400.0, 500.0, "at most")
    {'value': 400.0, 'limit': 500.0, 'sense': 'at most', 'met': True}
    """
    return {"value": value, "limit": limit, "sense": sense, "met": met(value, limit, sense)}


def judged(values: Mapping[str, Any], limits: Mapping[str, Limit], named: str = "{}") -> dict[str, dict[str, Any]]:
    """Whether each figure that has a target meets it; of a list its length counts.

    Args:
        values: figures by name.
        limits: targets by the same names; what was not measured, or is NaN, is not judged.
        named: what the target of a figure is called.

    >>> judged({"memory_mb": 400.0}, {"memory_mb": (500.0, "at most")}, "run {}")
    {'run memory_mb': {'limit': 500.0, 'sense': 'at most', 'met': True}}
    """
    sizes = {name: len(value) if isinstance(value, list) else value for name, value in values.items() if name in limits}
    return {
        named.format(name): {"limit": limit, "sense": sense, "met": met(sizes[name], limit, sense)}
        for name, (limit, sense) in limits.items()
        if name in sizes and not math.isnan(sizes[name])
    }


def told(target: Mapping[str, Any] | None) -> str:
    """A target and whether it is met, in words; empty where there is none.

    >>> told(verdict(400.0, 500.0, "at most"))
    'at most 500: met'
    """
    return f"{target['sense']} {target['limit']:g}: {'met' if target['met'] else 'MISSED'}" if target else ""


def tabled(values: Mapping[str, Any]) -> Rows:
    """The numbers among the values as a table.

    >>> values = {"memory_mb": 400.0}
    >>> tabled({**values, "targets": judged(values, {"memory_mb": (500.0, "at most")})})
    [('memory mb', '400', 'at most 500: met')]
    """
    numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
    return [(words(name), f"{value:,.4g}", told(values["targets"].get(name))) for name, value in numbers.items()]


def missed(targets: Mapping[str, Mapping[str, Any]]) -> Rows:
    """The targets that are missed as a table."""
    return [(name, number(each["value"]), told(each)) for name, each in targets.items() if not each["met"]]


def number(value: float) -> str:
    """Three digits; a dash where there is nothing to measure."""
    return "–" if math.isnan(value) else f"{value:.3g}"


def words(name: str) -> str:
    """A name as it is read."""
    return name.replace("_", " ")


def ratio(part: float, whole: float) -> float:
    """A share; NaN of nothing."""
    return part / whole if whole else math.nan


def cpu_s(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """CPU seconds of this process for a piece of work."""
    begin = clock()
    work()
    return clock() - begin


def least_cpu_s(
    work: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """CPU seconds of several pieces of work, timed so often in turn: what else the machine does only adds."""
    spent = [{name: cpu_s(each, clock) for name, each in work.items()} for _ in range(rounds)]
    return {name: min(each[name] for each in spent) for name in work}
