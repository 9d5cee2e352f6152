"""``sima2 trust``: which tags may be leaned on, and whether any was lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sima2.cli import options
from sima2.cli.answer import answer
from sima2.errors import GateError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sima2.records.trust import TrustRow

TIERS = ("untrusted", "provisional", "trusted")
"""From low to high."""


def command(
    out: options.Out,
    diff: Annotated[Path | None, typer.Option(metavar="OTHER", help="An earlier run to compare with.")] = None,
    as_json: options.Json = False,
) -> None:
    """Show which tags can be trusted, or what changed.

    With --diff the exit code is 5 if a tag has lost a tier since the other run.

    \b
    Examples:
      sima2 trust results
      sima2 trust results --diff results_last_week
    """
    from sima2.report.inputs import read_trust

    rows = read_trust(out).rows
    if diff is None:
        values: dict[str, Any] = {tag: asdict(row) for tag, row in rows.items()}
        answer(values, as_json=as_json, shown=lambda: _shown(rows))
        return
    changes = compared(rows, read_trust(diff).rows)
    lost = [tag for tag, change in changes.items() if change["lost"]]
    answer({"changes": changes, "lost": lost}, as_json=as_json, shown=lambda: _changes(changes))
    if lost:
        raise GateError(f"lost a tier since {diff}: {', '.join(lost)}")


def compared(now: Mapping[str, TrustRow], before: Mapping[str, TrustRow]) -> dict[str, dict[str, Any]]:
    """Tier and trust of every tag in either run; a tag that is gone has lost what it had."""
    changes = {}
    for tag in sorted({*now, *before}):
        a, b = before.get(tag), now.get(tag)
        rank = [TIERS.index(row.tier) if row else 0 for row in (a, b)]
        changes[tag] = {
            "before": a.trust_level if a else None,
            "now": b.trust_level if b else None,
            "tier_before": a.tier if a else None,
            "tier_now": b.tier if b else None,
            "lost": rank[1] < rank[0],
        }
    return changes


def _shown(rows: Mapping[str, TrustRow]) -> RenderableType:
    from rich.console import Group

    from sima2.report import terminal

    return Group(
        terminal.trust({tag: asdict(row) for tag, row in rows.items()}),
        *terminal.titled("Evidence", terminal.evidence(rows)),
    )


def _changes(changes: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    from sima2.report.terminal import grid, plain
    from sima2.report.text import number

    rows = [
        (
            plain(tag),
            number(each["before"], 2),
            number(each["now"], 2),
            plain(
                f"{each['tier_before'] or 'absent'} → {each['tier_now'] or 'absent'}"
                + (" (lost)" if each["lost"] else "")
            ),
        )
        for tag, each in changes.items()
    ]
    return grid(("tag", "before", "now", "tier"), rows, numeric=(1, 2))
