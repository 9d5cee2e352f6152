"""``sima2 trust``: which tags may be leaned on, why, and whether any was lost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sima2.cli import options
from sima2.cli.answer import answer
from sima2.errors import GateError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sima2.records.trust import TrustRow

TIERS = ("untrusted", "provisional", "trusted")
"""From low to high."""


def command(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of a run, or a trust_matrix.json.", show_default=False)
    ],
    diff: Annotated[
        Path | None,
        typer.Option(metavar="OTHER", help="An earlier calibration to compare with, a folder or trust_matrix.json."),
    ] = None,
    least: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG=LEVEL", help="Exit with 5 unless this tag has at least that trust; may be repeated."),
    ] = None,
    strata: Annotated[bool, typer.Option("--strata", help="List the effect in each kind of episode.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show which tags can be trusted and why, or what changed.

    With --diff the exit code is 5 if a tag has lost its tier since the other calibration, or is gone.

    \b
    Examples:
      sima2 trust results
      sima2 trust results --strata
      sima2 trust results --diff results_last_week
      sima2 trust results --least RecoveryTag=0.8
    """
    from sima2.report import terminal
    from sima2.report.inputs import read_trust

    rows = read_trust(out).rows
    if diff is None:
        values: dict[str, Any] = {tag: asdict(row) for tag, row in rows.items()}
        answer(values, as_json=as_json, shown=lambda: _shown(rows, _told(out), strata=strata))
        _gate(rows, least or [])
        return
    changes = compared(rows, read_trust(diff).rows)
    lost = [tag for tag, change in changes.items() if change["lost"]]
    answer(
        {
            "before": str(diff),
            "now": str(out),
            "changes": changes,
            "lost": lost,
            "new": [tag for tag, change in changes.items() if change["status"] == "new"],
            "gone": [tag for tag, change in changes.items() if change["status"] == "gone"],
        },
        as_json=as_json,
        shown=lambda: terminal.changes(changes),
    )
    if lost:
        raise GateError(f"lost a tier since {diff}: {', '.join(lost)}")
    _gate(rows, least or [])


def _gate(rows: Mapping[str, TrustRow], least: Sequence[str]) -> None:
    """Every tag that is asked for has the trust that is asked for."""
    short = []
    for given in least:
        tag, _, level = given.partition("=")
        try:
            wanted = float(level)
        except ValueError:
            raise UsageError(f"--least {given}: give a tag and a level, as RecoveryTag=0.8") from None
        if not 0.0 <= wanted <= 1.0:
            raise UsageError(f"--least {given}: a level of trust lies between 0 and 1")
        if tag not in rows:
            raise UnknownNameError("tag", tag, rows)
        if not rows[tag].trust_level >= wanted:
            short.append(f"{tag} has trust {rows[tag].trust_level:.2f}, less than {wanted:g}")
    if short:
        raise GateError("; ".join(short))


def compared(now: Mapping[str, TrustRow], before: Mapping[str, TrustRow]) -> dict[str, dict[str, Any]]:
    """What became of every tag in either calibration.

    ``lost`` where its tier fell or the tag is gone; ``overlap`` tells whether the intervals of δ do, None where either
    is not known.
    """
    return {tag: _change(before.get(tag), now.get(tag)) for tag in sorted({*now, *before})}


def _change(before: TrustRow | None, now: TrustRow | None) -> dict[str, Any]:
    pair = {"before": before, "now": now}
    told: dict[str, Any] = {when: row.trust_level if row else None for when, row in pair.items()}
    for name, field in (("tier", "tier"), ("effect", "effect"), ("interval", "interval"), ("digest", "digest")):
        told |= {f"{name}_{when}": getattr(row, field) if row else None for when, row in pair.items()}
    lost = before is not None and (now is None or TIERS.index(now.tier) < TIERS.index(before.tier))
    both = before is not None and now is not None
    return {
        **told,
        "status": "kept" if both else "gone" if now is None else "new",
        "effect_change": now.effect - before.effect if before is not None and now is not None else None,
        "overlap": _overlap(before, now) if before is not None and now is not None else None,
        "same_data": both and told["digest_before"] == told["digest_now"],
        "lost": lost,
    }


def _overlap(before: TrustRow, now: TrustRow) -> bool | None:
    """Whether the intervals of δ share a value; None where either effect is not known."""
    (low, high), (lower, higher) = before.interval, now.interval
    if any(map(math.isnan, (before.effect, now.effect, low, high, lower, higher))):
        return None
    return low <= higher and lower <= high


def _told(out: Path) -> dict[str, Any]:
    """The summary beside the matrix; empty where the matrix is alone."""
    from sima2.report.inputs import read_summary

    return read_summary(out) if (out / "summary.json").is_file() else {}


def _shown(rows: Mapping[str, TrustRow], values: Mapping[str, Any], *, strata: bool) -> RenderableType:
    from rich.console import Group

    from sima2.report import terminal

    apart = terminal.by_collection(values)
    return Group(terminal.forest(rows, values), *apart, *(terminal.by_kind(rows) if strata else ()))
