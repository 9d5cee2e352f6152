"""``sima2 audit``: which datapacks may be used as they are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from sima2.cli import options
from sima2.cli.answer import answer

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN = 50
"""Datapacks listed for people; ``--json`` lists all."""


def command(out: options.Out, as_json: options.Json = False) -> None:
    """Audit which datapacks may be used as they are.

    Each one has passed, asks for review, or is rejected, with reasons. Then what is wrong with the raw data, the worst
    first: lost frames, frozen or jumping channels, idle time, stalls, repeated grasps, outliers, copies.

    \b
    Example:
      sima2 audit results
    """
    from sima2.records.defects import DefectTable
    from sima2.records.plan import AuditTable
    from sima2.report.inputs import read_single, read_summary

    kinds = read_summary(out).get("defects") or {}
    defects = list(read_single(out, DefectTable, "defects").rows())
    table = read_single(out, AuditTable, "audit")
    statuses = dict(Counter(table.status).most_common())
    rows = list(table.rows())
    values = {"statuses": statuses, "episodes": rows, "defects": defects}
    answer(values, as_json=as_json, shown=lambda: _shown(statuses, rows, kinds, defects))


def _shown(
    statuses: dict[str, int], rows: list[dict[str, Any]], kinds: dict[str, Any], defects: list[dict[str, Any]]
) -> RenderableType:
    from rich.console import Group

    from sima2.report import defects as told
    from sima2.report.terminal import grid, plain, titled
    from sima2.report.text import number

    counted = [(plain(status.replace("_", " ")), number(n)) for status, n in statuses.items()]
    doubtful = sorted(
        (row for row in rows if row["status"] != "passed"), key=lambda row: (row["quality"], row["episode_id"])
    )
    listed = [
        (
            plain(row["episode_id"]),
            plain(row["status"].replace("_", " ")),
            number(row["quality"], 2),
            plain(row["reasons"]),
        )
        for row in doubtful[:SHOWN]
    ]
    more = [plain(f"{number(len(doubtful) - SHOWN)} more: see --json")] if len(doubtful) > SHOWN else []
    return Group(
        grid(("status", "datapacks"), counted, numeric=(1,)),
        *titled("To look at", grid(("episode", "status", "quality", "why"), listed, numeric=(2,)) if listed else None),
        *more,
        *titled("What is wrong with the data", told.counted(kinds)),
        *titled("The worst of it", told.rows(defects[:SHOWN])),
        *([plain(f"{number(len(defects) - SHOWN)} more: see --json")] if len(defects) > SHOWN else []),
    )
