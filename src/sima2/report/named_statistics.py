"""Descriptive statistics under names that say what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sima2.records.tags import TagStatistic
from sima2.report.text import as_number, number, percent


def worth(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Name, value, 95 % interval, episodes and meaning of a statistic of the summary."""
    name, note = str(row.get("name", "")), str(row.get("note") or "")
    known = _declared().get(name) or TagStatistic(name, "", "", "", "", reading=note)
    value, low, high = (row.get(key) for key in ("value", "low", "high"))
    form = percent if known.share else lambda x: number(x, 3)
    between = f"{form(low)} to {form(high)}" if as_number(low) is not None and as_number(high) is not None else ""
    target = str(row.get("target") or "none")
    bias = str(row.get("bias") or "")
    extra = [f"wanted: {target}" if target != "none" else "", bias if "inferred" in bias else ""]
    tagged = f"{number(row.get('n_tagged'))} of " if as_number(row.get("n_tagged")) is not None else ""
    meaning = "; ".join(part for part in (known.reading, *extra) if part)
    return known.shown or name.replace("_", " "), form(value), between, f"{tagged}{number(row.get('n'))}", meaning


def _declared() -> Mapping[str, TagStatistic]:
    """Statistics that tags declare, by name."""
    from sima2.tags.specs import TAGS

    return {each.name: each for spec in TAGS.values() for each in spec.statistics}
