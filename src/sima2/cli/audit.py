"""``sima2 audit``: what is wrong with the data, and which episodes may be used as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sima2.cli import options
from sima2.cli.answer import answer

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN = 50
"""Episodes listed for people; ``--json`` lists all."""


def command(out: options.Out, as_json: options.Json = False) -> None:
    """Tell what is wrong with the data, and which episodes may be used as they are.

    Each one has passed, asks for review (or is used in part), or is rejected, as `sima2 plan` has it: how many for
    each reason, with an example, then the worst of them. Then what is wrong with the raw data, the worst first: lost
    frames, frozen or jumping channels, idle time, stalls, repeated grasps, outliers, copies, and recorded outcomes that
    the motion contradicts. Last the episodes that are furthest from the others of their task: unusual, not bad, and no
    part of any verdict.

    \b
    Example:
      sima2 audit results
    """
    from sima2.records.courses import UnusualTable
    from sima2.records.defects import DefectTable
    from sima2.records.plan import AuditTable
    from sima2.report.inputs import read_single, read_summary

    kinds = read_summary(out).get("defects") or {}
    defects = list(read_single(out, DefectTable, "defects").rows())
    table = read_single(out, AuditTable, "audit")
    unusual = [row for row in read_single(out, UnusualTable, "unusual").rows() if row["shown"]]
    statuses = dict(Counter(table.status).most_common())
    rows = list(table.rows())
    reasons = grouped(rows)
    values = {"statuses": statuses, "reasons": reasons, "episodes": rows, "defects": defects, "unusual": unusual}
    answer(
        values,
        as_json=as_json,
        shown=lambda: _rendered(statuses, reasons, rows, kinds, (defects, unusual)),
        results=out,
    )


def grouped(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Datapacks of each reason, the most frequent first; the worst of them is the example.

    >>> row = {"episode_id": "a", "status": "requires_review", "quality": 0.5, "codes": "failed,low_quality"}
    >>> [(each["code"], each["episodes"], each["example"]) for each in grouped([row])]
    [('failed', 1, 'a'), ('low_quality', 1, 'a')]
    """
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=_worst_first):
        for code in filter(None, row["codes"].split(",")):
            group = found.setdefault(code, {"code": code, "episodes": 0, "not_passed": 0, "example": row["episode_id"]})
            group["episodes"] += 1
            group["not_passed"] += row["status"] != "passed"
    return sorted(found.values(), key=lambda group: (-group["episodes"], group["code"]))


def _worst_first(row: Mapping[str, Any]) -> tuple[bool, bool, float, str]:
    return row["status"] == "passed", row["status"] != "rejected", row["quality"], row["episode_id"]


def _rendered(
    statuses: dict[str, int],
    reasons: list[dict[str, Any]],
    rows: list[dict[str, Any]],
    kinds: dict[str, Any],
    found: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from sima2.report import defects as told
    from sima2.report.terminal import grid, plain, titled
    from sima2.report.text import number, visible

    defects, unusual = found
    counted = [(plain(status.replace("_", " ")), number(n)) for status, n in statuses.items()]
    groups = [
        (
            plain(group["code"].replace("_", " ").replace(":", ": ")),
            number(group["episodes"]),
            number(group["not_passed"]),
            plain(group["example"]),
        )
        for group in reasons
    ]
    doubtful = sorted((row for row in rows if row["status"] != "passed"), key=_worst_first)
    # what and what to do on one line, why below it: reads at any width
    listed = [
        (
            number(row["quality"], 2),
            Text("\n").join(
                [
                    Text.assemble(
                        (visible(row["episode_id"]), "bold"), f"  {visible(row['status'].replace('_', ' '))}"
                    ),
                    plain(row["reasons"]),
                ]
            ),
        )
        for row in doubtful[:SHOWN]
    ]
    more = [plain(f"{number(len(doubtful) - SHOWN)} more: see --json")] if len(doubtful) > SHOWN else []
    return Group(
        grid(("status", "episodes"), counted, numeric=(1,)),
        *titled("Why", grid(("reason", "all", "not passed", "such as"), groups, numeric=(1, 2)) if groups else None),
        *titled("To look at", grid(("quality", "episode"), listed, numeric=(0,)) if listed else None),
        *more,
        *titled("What is wrong with the data", told.counted(kinds)),
        *titled("The worst of it", told.rows(defects[:SHOWN])),
        *([plain(f"{number(len(defects) - SHOWN)} more: see --json")] if len(defects) > SHOWN else []),
        *titled("Unusual, not bad", told.unlike(unusual[:SHOWN])),
        *([plain(f"{number(len(unusual) - SHOWN)} more: see --json")] if len(unusual) > SHOWN else []),
    )
