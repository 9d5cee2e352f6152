"""Figures against their targets, and the table that tells them; for benches whose figures are single numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Limit = tuple[float, str]
"""A bound, and its sense: ``at least``, ``at most``, ``above`` or ``below``."""


def judged(values: Mapping[str, Any], limits: Mapping[str, Limit]) -> dict[str, dict[str, Any]]:
    """Whether each figure that has a target meets it, as plain values.

    >>> judged({"memory_mb": 400.0}, {"memory_mb": (500.0, "at most")})
    {'memory_mb': {'limit': 500.0, 'sense': 'at most', 'met': True}}
    """
    return {
        name: {"limit": limit, "sense": sense, "met": met(values[name], limit, sense)}
        for name, (limit, sense) in limits.items()
    }


def tabled(values: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The numbers among the values as a table: name, result, target.

    >>> values = {"memory_mb": 400.0}
    >>> tabled({**values, "targets": judged(values, {"memory_mb": (500.0, "at most")})})
    [('memory mb', '400', 'at most 500: met')]
    """
    out = []
    for name, value in values.items():
        if isinstance(value, int | float):
            target = values["targets"].get(name)
            limit = f"{target['sense']} {target['limit']:g}: {'met' if target['met'] else 'MISSED'}" if target else ""
            out.append((name.replace("_", " "), f"{value:,.4g}", limit))
    return out


def met(value: float, limit: float, sense: str) -> bool:
    """Whether a figure meets a bound; the senses are those of ``Limit``."""
    told = {"at least": value >= limit, "at most": value <= limit, "above": value > limit, "below": value < limit}
    return bool(told[sense])
