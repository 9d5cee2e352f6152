"""``sima2 quarantine``: what was set aside, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sima2.cli import options
from sima2.cli.answer import answer

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN = 50
"""Episodes listed for people; ``--json`` lists all."""


def command(out: options.Out, as_json: options.Json = False) -> None:
    """List the episodes that a run put aside, each with its reason.

    \b
    Example:
      sima2 quarantine results
    """
    from sima2.io.store import Store
    from sima2.records.intake import QuarantineTable
    from sima2.report.inputs import read_single, read_summary

    Store.read_only(out).close()
    if not (out / "quarantine.parquet").exists():  # there also where a run found nothing of use
        read_summary(out)

    rows = list(read_single(out, QuarantineTable, "quarantine").rows())
    reasons = dict(Counter(row["reason"] for row in rows).most_common())
    answer(
        {"quarantined": len(rows), "reasons": reasons, "episodes": rows},
        as_json=as_json,
        shown=lambda: _rendered(reasons, rows),
    )


def _rendered(reasons: Mapping[str, int], rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    from rich.console import Group

    from sima2.io.intake import QUARANTINE_REASONS
    from sima2.report.terminal import grid, plain, titled
    from sima2.report.text import number

    if not rows:
        return plain("no episode was set aside")
    grouped = [(plain(reason), number(n), plain(QUARANTINE_REASONS.get(reason, ""))) for reason, n in reasons.items()]
    single = [
        (number(row["episode_index"]), plain(row["episode_id"]), plain(row["reason"]), plain(row["message"]))
        for row in rows[:SHOWN]
    ]
    more = [plain(f"{number(len(rows) - SHOWN)} more: see --json")] if len(rows) > SHOWN else []
    return Group(
        grid(("reason", "episodes", "meaning"), grouped, numeric=(1,)),
        *titled("Episodes", grid(("index", "episode", "reason", "message"), single, numeric=(0,))),
        *more,
    )
