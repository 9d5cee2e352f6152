"""What was found in the episodes, on the page: failures, second tries, defects, the unusual, each with its frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sima2.report import first, tables
from sima2.report.links import to_episode, to_episodes
from sima2.report.markup import Markup, node, part
from sima2.report.sentences import section
from sima2.report.text import number

FIRST_ROWS: Final = 8
"""Findings of a kind that are shown at once; more of them open on demand."""
FIGURES: Final = {"failed": "failed", "retried": "tried again", "defects": "with defects", "unusual": "unusual"}
"""Kinds of finding that the head of the page counts, and what it calls them."""
WAYS: Final[Mapping[str, Mapping[str, str]]] = {
    "failed": {"ended": "failure"},
    "with defects": {"defect": "any"},
    "unusual": {"unusual": "yes"},
}
"""Filters that leave those episodes, where one does."""
NOTES: Final = {
    "failed": "Inferred: told from the motion, with its probability; never mixed with what was recorded.",
    "conflicts": "The recorded outcome and the motion say different things. A person has to settle which is right.",
    "retried": "What failed was tried again, or the hand closed again at the same place.",
    "unusual": (
        "The episodes furthest from the others of their task, each compared with all others. Unusual is not bad: no "
        "weight and no verdict rests on it. p is the share of the task's episodes that are as far."
    ),
}


def leading(summary: Mapping[str, Any], wrong: Markup | None) -> list[Markup | None]:
    """The parts in their order, where they come first: that none is known to have failed is said.

    Args:
        summary: what ``summary.json`` holds.
        wrong: all that is wrong with the data, in the place of the first of it.
    """
    said = [wrong if kind == "defects" else _findings(kind, summary, always=kind == "failed") for kind in first.PARTS]
    trust = part("Trust", node("p", first.trust_sentence(summary)))
    return [*said, _usual(summary), trust]


def following(summary: Mapping[str, Any]) -> list[Markup | None]:
    """What no other part of the page tells, where trust comes first."""
    return [*(_findings(kind, summary) for kind in ("conflicts", "unusual")), _usual(summary)]


def figures(summary: Mapping[str, Any]) -> dict[str, str]:
    """Number of episodes of each kind of finding, with the way to them."""
    found = section(summary, "first")
    told = {name: number(section(found, kind).get("count")) for kind, name in FIGURES.items()}
    return {name: to_episodes(n, **WAYS[name]) if name in WAYS and n != "0" else n for name, n in told.items()}


def _findings(kind: str, summary: Mapping[str, Any], *, always: bool = False) -> Markup | None:
    found = section(section(summary, "first"), kind)
    rows = [_row(kind, row, summary) for row in found.get("rows") or ()]
    if not rows:
        return (
            part(first.PARTS[kind], node("p", f"{first.none_found(kind, summary).capitalize()}.")) if always else None
        )
    rest = int(found.get("count") or 0) - len(rows)
    body = node(
        "div",
        node("p", NOTES[kind], class_="muted") if kind in NOTES else None,
        _listed(rows[:FIRST_ROWS]),
        tables.folded(f"The next {len(rows) - FIRST_ROWS}", _listed(rows[FIRST_ROWS:])) if rows[FIRST_ROWS:] else None,
        node("p", f"{number(rest)} more: {first.more(kind)}", class_="muted") if rest > 0 else None,
    )
    return part(first.title(kind, found), body)


def _row(kind: str, row: Mapping[str, Any], summary: Mapping[str, Any]) -> tuple[str, ...]:
    name, frames = first.named(row, summary).removeprefix("episode "), first.frames_of(row)
    if frames:
        episode, at = str(row["episode_id"]), int(row["start_frame"])
        return to_episode(episode, name), to_episode(episode, frames, frame=at), first.row_words(kind, row)
    return name, frames, first.row_words(kind, row)


def _listed(rows: list[tuple[str, ...]]) -> Markup:
    return tables.table(("episode", "frames", "evidence"), rows, numeric=(1,))


def _usual(summary: Mapping[str, Any]) -> Markup | None:
    """The usual course of each task, and what is covered once or twice."""
    found = section(summary, "first")
    rows = [
        (first.task_name(each["family"]), number(each["episodes"]), each["words"])
        for each in found.get("courses") or ()
    ]
    if not rows:
        return None
    told = [node("li", line) for line in first.coverage_words(summary)]
    listed = tables.table(("task", "episodes", "usual course"), rows[:FIRST_ROWS], numeric=(1,))
    more = tables.table(("task", "episodes", "usual course"), rows[FIRST_ROWS:], numeric=(1,))
    return part(
        "The usual course of each task",
        node(
            "div",
            listed,
            tables.folded(f"The next {len(rows) - FIRST_ROWS}", more) if rows[FIRST_ROWS:] else None,
            node("ul", *told) if told else None,
        ),
    )
