"""``sima2 explain``: why an episode got its tags and its weight."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sima2.cli import options
from sima2.cli.answer import answer
from sima2.cli.label import standing_of, standing_rows
from sima2.cli.named import meant
from sima2.cli.segment_rules import listed_rules, rendered, rendered_rules, segment_explained
from sima2.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sima2.records.plan import SamplePlan


def command(
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="Folder of a finished run.", show_default=False)
    ] = None,
    episode: Annotated[
        str, typer.Argument(metavar="EPISODE", help="Its id, or a number that only it has.", show_default=False)
    ] = "",
    segment: Annotated[
        int | None,
        typer.Option(
            "--segment",
            metavar="N",
            help="Which rules named this segment and said how it ended, and on what: reads the episode again.",
            show_default=False,
        ),
    ] = None,
    rules: Annotated[
        bool,
        typer.Option("--rules", help="List all rules of the segments in their order: needs no OUT and no EPISODE."),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Explain why an episode got its tags and its weight, or a segment its name.

    Shows its segments, its tags with their evidence and trust, its costs, what is wrong with its data, and how often it
    is drawn.

    \b
    Example:
      sima2 explain results drawer_open-000007
      sima2 explain results drawer_open-000007 --segment 3
      sima2 explain --rules
    """
    if rules:
        told = listed_rules()
        answer(told, as_json=as_json, shown=lambda: rendered_rules(told))
        return
    if out is None or not episode:
        raise UsageError("say which: sima2 explain OUT EPISODE; sima2 episodes OUT lists them")
    if segment is not None:
        told = segment_explained(out, episode, segment)
        answer(told, as_json=as_json, shown=lambda: rendered(told))
        return
    values = explained(out, episode)
    answer(values, as_json=as_json, shown=lambda: _rendered(values))


def explained(out: Path, episode: str) -> dict[str, Any]:
    """All that a run knows of one episode, as plain values.

    Raises:
        UsageError: if the folder has no such episode, or several.
    """
    from sima2.io.store import Store
    from sima2.records.courses import ConsensusTable, UnusualTable
    from sima2.records.defects import DefectTable
    from sima2.records.econ import EconTable
    from sima2.records.episodes import EpisodeTable
    from sima2.records.intake import QuarantineTable
    from sima2.records.plan import SamplePlan, TrainingPlan
    from sima2.records.primitives import PrimitiveTable
    from sima2.records.segments import SegmentTable
    from sima2.records.tags import TagTable
    from sima2.report.inputs import read_single, read_trust
    from sima2.tags.specs import THRESHOLDS

    with Store.read_only(out) as store:
        episodes = read_single(out, EpisodeTable, "episodes")
        set_aside = read_single(out, QuarantineTable, "quarantine")
        name = meant(episode, episodes, set_aside, store.runs)
        found = _rows(episodes, name)
        if not found:
            return {"quarantined": True, **_rows(set_aside, name)[0]}
        tables = {
            kind: [row for part in store.read(cls, kind) for row in _rows(part, name)]
            for kind, cls in (("segments", SegmentTable), ("primitives", PrimitiveTable), ("tags", TagTable))
        }
        costs = [row for part in store.read(EconTable, "econ") for row in _rows(part, name)]
    trust = read_trust(out).of_source(found[0]["source"]) if (out / "trust_matrix.json").exists() else {}
    for row in tables["tags"]:
        # a level that is not known is neither
        row["given"] = row["level"] > THRESHOLDS[row["tag"]] if row["level"] == row["level"] else None
        verdict = trust.get(row["tag"])
        row["trust_level"] = None if verdict is None else verdict.trust_level
        row["tier"] = None if verdict is None else verdict.tier
        row["trust_reason"] = None if verdict is None else verdict.reason
    return {
        "quarantined": False,
        **found[0],
        "findings": _rows(read_single(out, DefectTable, "defects"), name),
        "unusual": next(iter(_rows(read_single(out, UnusualTable, "unusual"), name)), None),
        "consensus": _agreed(read_single(out, ConsensusTable, "consensus"), name),
        "tags": tables["tags"],
        "costs": costs[0] if costs else {},
        "weight": _weight(read_single(out, SamplePlan, "weights"), name),
        "plan": next(iter(_rows(read_single(out, TrainingPlan, "plan"), name)), None),
        "labels": standing_of(out, name),
        "segments": tables["segments"],
        "primitives": tables["primitives"],
    }


def _rows(table: Any, name: str) -> list[dict[str, Any]]:
    from sima2.records.table import Table
    from sima2.report.inputs import of_episodes

    return list(Table.rows(of_episodes(table, (name,))))


def _agreed(table: Any, name: str) -> dict[str, Any] | None:
    """How far the episode does otherwise than others in like states; None where that is not known."""
    row = next(iter(_rows(table, name)), None)
    if row is None or row["p"] != row["p"]:
        return None
    return {key: row[key] for key in ("disagreement", "p", "start_frame", "end_frame", "episodes")}


def _weight(plan: SamplePlan, name: str) -> dict[str, Any] | None:
    """The episode's place in the plan, against an even share; None where it is not in the pool."""
    from sima2.report.inputs import of_episodes

    row = next(of_episodes(plan, (name,)).rows(), None)
    if row is None:
        return None
    return {
        "p": row["p"],
        "of_even_share": row["p"] * len(plan),
        "is_weight": row["is_weight"],
        "reasons": row["reasons"],
    }


def _rendered(values: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    from sima2.report import defects, terminal
    from sima2.report.text import number

    if values["quarantined"]:
        told = {key: values[key] for key in ("episode_id", "episode_index", "reason", "message", "source")}
        return Group(terminal.plain("This episode was set aside."), terminal.listing(told))
    success = values["success"]
    ended = "not known" if success != success else "success" if success else "failure"
    head = {
        "episode": values["episode_id"],
        "family": values["family"],
        "ended": f"{ended} ({values['outcome_source']})" if ended != "not known" else ended,
        "length": f"{number(values['frames'])} frames, {number(values['duration_s'])} s",
    }
    weight = values["weight"]
    drawn = None
    if weight:
        why = weight["reasons"] or "nothing that counts speaks for or against it"
        drawn = terminal.plain(f"{number(weight['of_even_share'], 2)} × an even share: {why}")
    return Group(
        terminal.listing(head),
        *terminal.titled("What persons say", standing_rows(values["labels"])),
        *terminal.titled("Plan for imitation", _planned(values["plan"])),
        *terminal.titled("Tags", terminal.tag_rows(values["tags"])),
        *terminal.titled("Weight for reinforcement", drawn),
        *terminal.titled("What is wrong with its data", defects.rows(values["findings"], named=False)),
        *terminal.titled("Against the others of its task", defects.standing(values["unusual"])),
        *terminal.titled("What others do in like states", defects.dissent(values["consensus"])),
        *terminal.titled("Costs", terminal.cost_row(values["costs"])),
        *terminal.titled("Segments", terminal.segment_rows(values["segments"])),
    )


def _planned(row: dict[str, Any] | None) -> RenderableType | None:
    """What to do with the episode for imitation, and why."""
    from sima2.report.terminal import plain
    from sima2.report.text import number

    if row is None:
        return None
    part = "" if row["action"] in ("keep", "drop") else f", frames {row['keep_start_frame']}–{row['keep_end_frame']}"
    kind = f" ({row['kind_of_knowledge'].replace(',', ', ')})" if row["kind_of_knowledge"] else ""
    why = row["words"] or "nothing speaks against it"
    return plain(f"{row['action']}{part}, weight {number(row['weight'], 2)}: {why}{kind}")
