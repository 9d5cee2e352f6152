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


Folder = Annotated[
    Path, typer.Argument(metavar="OUT", help="Folder of a run, or a trust_matrix.json.", show_default=False)
]
Other = Annotated[
    Path | None,
    typer.Option(metavar="OTHER", help="An earlier calibration to compare with, a folder or trust_matrix.json."),
]
Least = Annotated[
    list[str] | None,
    typer.Option(metavar="TAG=LEVEL", help="Exit with 5 unless this tag has at least that trust; may be repeated."),
]
Strata = Annotated[bool, typer.Option("--strata", help="List the effect in each kind of episode.")]
ToLabel = Annotated[
    str,
    typer.Option(metavar="TAG", help="Print as CSV the episodes whose outcome would settle this tag, for --outcomes."),
]
HowMany = Annotated[
    int | None,
    typer.Option("--n", metavar="N", min=1, help="For --label: how many; as many as are needed, if not given."),
]


def command(
    out: Folder,
    diff: Other = None,
    least: Least = None,
    strata: Strata = False,
    label: ToLabel = "",
    n: HowMany = None,
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
      sima2 trust results --label OODTag --n 40 > outcomes.csv
    """
    from sima2.report import terminal
    from sima2.report.inputs import read_trust

    if n is not None and not label:
        raise UsageError("--n says how many episodes to --label: name a tag by it")
    if label:
        _label(out, label, n, as_json=as_json)
        return
    rows = read_trust(out).rows
    if diff is None:
        values: dict[str, Any] = _with_needs({tag: asdict(row) for tag, row in rows.items()}, _summary_beside(out))
        answer(values, as_json=as_json, shown=lambda: _rendered(rows, _summary_beside(out), strata=strata))
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


def _with_needs(values: dict[str, Any], summary: Mapping[str, Any]) -> dict[str, Any]:
    """The rows with what would settle each, where the summary tells it."""
    from sima2.report.sentences import section

    told = section(summary, "trust")
    return {tag: {**row, "needed": section(told, tag).get("needed")} for tag, row in values.items()}


def _label(out: Path, tag: str, n: int | None, *, as_json: bool) -> None:
    """The episodes whose outcome would settle a tag, ready to be filled in."""
    from sima2.io.store import Store
    from sima2.labelling import arms_of, chosen_for
    from sima2.records.episodes import EpisodeTable
    from sima2.report.inputs import read_single, read_summary, read_trust
    from sima2.report.sentences import section
    from sima2.shard_tables import COSTS, SEGMENTS, TAG_ROWS

    if not out.is_dir():
        raise UsageError(f"--label {tag}: {out} is no folder of a run, so that no episodes are known")
    row = read_trust(out)[tag]
    needed = section(section(section(read_summary(out), "trust"), tag), "needed")
    episodes = read_single(out, EpisodeTable, "episodes")
    with Store.read_only(out) as store:
        econ = COSTS.whole(store)
        tags = TAG_ROWS.whole(store)
        segments = SEGMENTS.whole(store)
    arms = arms_of(row, episodes, econ, tags, segments)
    if not arms.what:
        raise UsageError(f"{tag} is tested against {row.cost_field}, which nobody can say afterwards: record it")
    chosen = chosen_for(episodes, arms, needed, n)
    listed = [
        {
            "episode_index": int(episodes.source_index[each.row]),
            "episode_id": episodes.episode_id[each.row],
            "source": episodes.source[each.row],
            "tagged": each.tagged,
            "chosen": each.by,
        }
        for each in chosen
    ]
    told = {"tag": tag, "what": arms.what, "needed": dict(needed) or None, "at_hand": arms.at_hand, "episodes": listed}
    _print_to_label(told, as_json=as_json)


def _print_to_label(told: Mapping[str, Any], *, as_json: bool) -> None:
    import csv
    import io
    import json

    from sima2.cli.answer import plain
    from sima2.report.text import visible

    if as_json:
        typer.echo(json.dumps(plain(told), indent=2, allow_nan=False))
        return
    several = len({each["source"] for each in told["episodes"]}) > 1
    names = ("episode_index", told["what"], *(("source",) if several else ()))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(
        [names, *((each["episode_index"], "", *([visible(each["source"])] * several)) for each in told["episodes"])]
    )
    typer.echo(text.getvalue(), nl=False)
    tagged = sum(bool(each["tagged"]) for each in told["episodes"])
    said = f"{tagged} tagged, {len(told['episodes']) - tagged} untagged"
    lines = [f"{visible(told['tag'])}: {said} episodes to fill in", _needed_here(told)]
    lines += ["of several sources: make a file of each, for its own --outcomes"] * several
    if not told["episodes"]:
        lines.append("no episode is left whose outcome would tell of it: see `sima2 trust OUT` for what it lacks")
    for line in filter(None, lines):
        typer.echo(line, err=True)


def _needed_here(told: Mapping[str, Any]) -> str:
    """What would settle it, with what is at hand for that, which the run may not have counted."""
    from sima2.report.trust_reasons import needed_words

    at_hand = dict(zip(("tagged", "untagged"), told["at_hand"], strict=True))
    return needed_words({**told["needed"], "at_hand": at_hand}) if told["needed"] else ""


def _gate(rows: Mapping[str, TrustRow], least: Sequence[str]) -> None:
    """Every tag that is asked for has the trust that is asked for."""
    short = []
    for given in least:
        tag, _, level = given.partition("=")
        try:
            wanted = float(level)
        except ValueError:
            raise UsageError(f"--least {given}: give a tag and a level, as TAG=0.8") from None
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


def _summary_beside(out: Path) -> dict[str, Any]:
    """The summary beside the matrix; empty where the matrix is alone."""
    from sima2.report.inputs import read_summary

    return read_summary(out) if (out / "summary.json").is_file() else {}


def _rendered(rows: Mapping[str, TrustRow], values: Mapping[str, Any], *, strata: bool) -> RenderableType:
    from rich.console import Group

    from sima2.report import terminal

    apart = terminal.by_collection(values)
    return Group(terminal.forest(rows, values), *apart, *(terminal.by_kind(rows) if strata else ()))
