"""Descriptive statistics under names that say what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sima2.report.text import as_number, number, percent


class Worth(NamedTuple):
    """A descriptive statistic for people."""

    name: str
    meaning: str
    share: bool = False


_WORTH: Final[Mapping[str, Worth]] = MappingProxyType(
    {
        "risk_premium": Worth(
            "damage, high-risk over others",
            "2 means twice the damage; 1 means that the tag tells nothing about money",
        ),
        "recovery_value": Worth(
            "task units/h won by mending a failure",
            "after the failure, with an attempt minus without one; above 0, recovering pays",
        ),
        "recovery_value_plain": Worth(
            "task units/h, recovered minus others",
            "the others include clean successes, so this is below 0 even where recovery works",
        ),
        "ood_penalty": Worth("success rate, strange episodes", "low where strangeness does harm", share=True),
        "ood_difference": Worth(
            "success rate, strange minus others",
            "below 0, strange episodes fail more often; in percentage points",
            share=True,
        ),
    }
)


def worth(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Name, value, 95 % interval, episodes and meaning of a statistic of the summary."""
    name = str(row.get("name", ""))
    known = _WORTH.get(name) or Worth(name.replace("_", " "), str(row.get("note") or ""))
    value, low, high = (row.get(key) for key in ("value", "low", "high"))
    form = percent if known.share else lambda x: number(x, 3)
    between = f"{form(low)} to {form(high)}" if as_number(low) is not None and as_number(high) is not None else ""
    target = str(row.get("target") or "none")
    bias = str(row.get("bias") or "")
    extra = [f"wanted: {target}" if target != "none" else "", bias if "inferred" in bias else ""]
    tagged = f"{number(row.get('n_tagged'))} of " if as_number(row.get("n_tagged")) is not None else ""
    meaning = "; ".join(part for part in (known.meaning, *extra) if part)
    return known.name, form(value), between, f"{tagged}{number(row.get('n'))}", meaning
