"""What is wrong with the data, as a page and as a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from rich.console import RenderableType
from rich.text import Text as Line

from sima2.records.defects import DEFECTS, DefectTable
from sima2.report import tables, terminal
from sima2.report.links import to_episode, to_episodes
from sima2.report.markup import Markup, aside, node
from sima2.report.sentences import section
from sima2.report.text import as_number, number, visible

WHOLE: Final = "the whole set"
"""Where a finding is about no single episode."""
FIRST_ROWS: Final = 12
"""Findings shown at once; more of them open on demand."""


def page(summary: Mapping[str, Any], found: DefectTable) -> Markup | None:
    """Counts by kind and the findings, the worst first; None where the run did not look."""
    if "defects" not in summary:
        return None
    kinds = section(summary, "defects")
    if not kinds:
        return node("p", "Nothing was found.")
    rows = [_row(row) for row in found.take(np.arange(min(len(found), tables.MOST_ROWS))).rows()]
    rest = len(found) - len(rows)
    return node(
        "div",
        _counts(kinds),
        _listed(rows[:FIRST_ROWS]),
        tables.folded(
            f"The next {len(rows) - FIRST_ROWS}",
            _listed(rows[FIRST_ROWS:]),
            node("p", f"{number(rest)} more in defects.parquet.", class_="muted") if rest else None,
        )
        if len(rows) > FIRST_ROWS
        else None,
    )


def _counts(kinds: Mapping[str, Any]) -> Markup:
    known = {name: row for name, row in kinds.items() if isinstance(row, Mapping)}
    most = max((as_number(row.get("episodes")) or 0.0 for row in known.values()), default=0.0)
    rows = [
        (
            node("span", to_episodes(_words(name), defect=name), aside(DEFECTS.get(name))),
            tables.bar((as_number(row.get("episodes")) or 0.0) / most if most else 0.0),
            number(row.get("episodes")),
            number(row.get("findings")),
        )
        for name, row in _by_episodes(known)
    ]
    return tables.table(("defect", "", "episodes", "findings"), rows, numeric=(2, 3), spare=(1,))


def _by_episodes(kinds: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted(kinds.items(), key=lambda item: (-(as_number(item[1].get("episodes")) or 0.0), item[0]))


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    arm = f"{row['manipulator']}: " if row["manipulator"] not in ("", "arm") else ""
    name, frames = row["episode_id"], f"{row['start_frame']}–{row['end_frame']}"
    return (
        number(row["severity"], 2),
        to_episode(name) if name else WHOLE,
        _words(row["defect"]),
        to_episode(name, frames, frame=int(row["start_frame"])) if name else "",
        arm + row["details"],
    )


def _listed(rows: Sequence[Sequence[str]]) -> Markup:
    return tables.table(("severity", "episode", "defect", "frames", "evidence"), rows, numeric=(0, 3), spare=(3,))


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def rows(found: Iterable[Mapping[str, Any]], *, named: bool = True) -> RenderableType | None:
    """Findings in a terminal: what and where on one line, the evidence below it; reads at any width.

    Args:
        found: rows of a ``DefectTable``.
        named: whether to tell the episode.
    """
    body = []
    for row in found:
        head = Line(_words(row["defect"]), style="bold")
        where = [
            visible(row["episode_id"] or WHOLE) if named else "",
            visible(row["manipulator"]) if row["manipulator"] not in ("", "arm") else "",
            f"frames {row['start_frame']}–{row['end_frame']}" if row["episode_id"] else "",
        ]
        head.append("  " + ", ".join(part for part in where if part), style="not bold")
        body.append((number(row["severity"], 2), Line("\n").join([head, terminal.plain(row["details"])])))
    return terminal.grid(("sev.", "defect"), body, numeric=(0,)) if body else None


def unlike(found: Iterable[Mapping[str, Any]]) -> RenderableType | None:
    """Episodes unlike the others of their task in a terminal; arguments are rows of an ``UnusualTable``."""
    body = []
    for row in found:
        head = Line(visible(row["episode_id"]), style="bold")
        head.append(f"  frames {row['start_frame']}–{row['end_frame']}", style="not bold")
        body.append((number(row["p"], 2), Line("\n").join([head, terminal.plain(row["words"])])))
    return terminal.grid(("p", "episode"), body, numeric=(0,)) if body else None


def standing(row: Mapping[str, Any] | None) -> RenderableType | None:
    """Where one episode stands among the others of its task; nothing where it was compared with none."""
    if row is None:
        return None
    place = f"{number(row['rank'])} of {number(row['episodes'])}, the furthest first (p {number(row['p'], 2)})"
    return terminal.plain(f"{row['words'] or 'nothing stands out'}; {place}")


def dissent(row: Mapping[str, Any] | None) -> RenderableType | None:
    """How far one episode does otherwise than others of its task in like states; nothing where that is not known."""
    if row is None:
        return None
    most = f"most in frames {row['start_frame']}–{row['end_frame']}"
    of = f"{number(row['p'], 2)} of {number(row['episodes'])} episodes disagree as much"
    return terminal.plain(f"{of} with what others do; {most}")


def counted(kinds: Mapping[str, Any]) -> RenderableType | None:
    """Defects by kind in a terminal."""
    known = {name: row for name, row in kinds.items() if isinstance(row, Mapping)}
    body = [
        (terminal.plain(_words(name)), number(row.get("episodes")), number(row.get("findings")))
        for name, row in _by_episodes(known)
    ]
    return terminal.grid(("defect", "episodes", "findings"), body, numeric=(1, 2)) if body else None
