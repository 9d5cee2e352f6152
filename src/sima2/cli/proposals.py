"""``sima2 proposals``: what was learned and is applied, and how to take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sima2.cli import options
from sima2.cli.answer import answer
from sima2.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST = 40
"""Rows shown; --json tells all."""


def command(
    out: options.Out,
    undo: Annotated[str, typer.Option(metavar="ID", help="Take back what is applied.")] = "",
    restore: Annotated[str, typer.Option(metavar="ID", help="Decide anew on what was taken back.")] = "",
    because: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the history.")] = "by hand",
    kind: Annotated[str, typer.Option(metavar="K", help="Only of this kind.")] = "",
    as_json: options.Json = False,
) -> None:
    """Show what was learned, decided and applied.

    What rests on a tag is applied while the tag has trust above 0.6; what is taken back stays so, also in later runs.

    \b
    Examples:
      sima2 proposals results --kind fragility_node
      sima2 proposals results --undo 3f2a9c01d4e5b677 --because "the gripper was replaced"
    """
    from sima2.io.store import Store
    from sima2.records.knowledge import ProposalTable
    from sima2.report.inputs import read_single, read_summary

    if undo and restore:
        raise UsageError("--undo and --restore are two decisions: one at a time")
    read_summary(out)
    if undo or restore:
        from sima2.orchestrator import redecide

        redecide(out, undo=undo, restore=restore, because=because)
    with Store.read_only(out) as store:
        history = store.decisions
    table = read_single(out, ProposalTable, "proposals")
    if kind and kind not in table.kind.tolist():
        raise UnknownNameError("kind of proposal", kind, sorted(set(table.kind)))
    # after a decision, what it changed is what one wants to see
    chosen = undo or restore
    rows = [row for row in table.rows() if kind in ("", row["kind"]) and chosen in ("", row["proposal_id"])]
    values = {"proposals": rows, "decisions": history}
    answer(values, as_json=as_json, shown=lambda: _rendered(rows))


def _rendered(rows: list[dict[str, Any]]) -> RenderableType:
    from rich.console import Group

    from sima2.report.terminal import grid, plain

    shown = [
        (plain(row["proposal_id"]), plain(row["status"].replace("_", " ")), plain(row["rationale"]))
        for row in rows[:MOST]
    ]
    left = plain(f"… {len(rows) - MOST} more; --kind or --json tell them") if len(rows) > MOST else plain("")
    return Group(grid(("id", "status", "what"), shown) if shown else plain("none"), left)
