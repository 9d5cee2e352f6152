"""``sima2 plan``: what to train on, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sima2.cli import options
from sima2.cli.answer import answer

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN = 50
"""Episodes listed for people; ``--json`` lists all."""
CUTS = 4
"""Stretches of an episode that are named."""


def command(
    out: options.Out,
    preset: options.Preset = "measured",
    objective: Annotated[
        str, typer.Option(metavar="O", help="What is trained: bc (imitation; known failures are left out) or rl.")
    ] = "bc",
    without: options.Without = None,
    also: options.Also = None,
    rules: Annotated[bool, typer.Option("--rules", help="List the rules and what each does under the preset.")] = False,
    as_json: options.Json = False,
) -> None:
    """Plan what to train on: which episodes to keep, trim, review or drop, and why.

    Facts (recorded failures, measured defects, copies, dead time) act by rule. Inferences ask for review, or act with
    their probability. Tags act by the trust they have earned. Nothing of the source is changed: `sima2 export` makes a
    copy, `sima2 sample --frames` weights.

    \b
    Example:
      sima2 plan results --preset conservative
      sima2 plan results --without near_duplicate --json
      sima2 plan results --also consensus
    """
    from sima2.planning import planned_of
    from sima2.sampling.plan_settings import PlanSettings

    settings = PlanSettings(
        objective=objective, preset=preset, without=options.several(without), also=options.several(also)
    )
    if rules:
        listed = ruled(settings)
        answer(
            {"preset": preset, "objective": objective, "rules": listed}, as_json=as_json, shown=lambda: _rules(listed)
        )
        return
    plan = planned_of(out, settings, drawn=False)[0].plan
    values = {
        "preset": preset,
        "objective": objective,
        "without": list(options.several(without)),
        "also": list(options.several(also)),
        **counted(plan),
        "episodes": list(plan.episodes.rows()),
        "spans": list(plan.spans.rows()),
    }
    answer(values, as_json=as_json, shown=lambda: _rendered(values), results=out)


def counted(plan: Any) -> dict[str, Any]:
    """Episodes of each action, and of each reason with how many of them are kept all the same."""
    table = plan.episodes
    actions = {name: int(table.action.isin(name).sum()) for name in ("keep", "trim", "review", "drop")}
    reasons: dict[str, dict[str, Any]] = {}
    for row in table.rows():
        for code in filter(None, row["codes"].split(",")):
            group = reasons.setdefault(code, {"code": code, "episodes": 0, "example": row["episode_id"]})
            group["episodes"] += 1
    order = sorted(reasons.values(), key=lambda group: (-group["episodes"], group["code"]))
    return {"actions": actions, "reasons": order}


def ruled(settings: Any) -> list[dict[str, Any]]:
    """The rules in their order: what each is about, its kind of knowledge, what it does, and whether it is on."""
    from sima2.sampling.plan_settings import RULES

    return [
        {"rule": rule.name, "knowledge": rule.knowledge, "does": settings.act(rule.name), "about": rule.words}
        for rule in RULES.values()
    ]


def _rules(listed: list[dict[str, Any]]) -> RenderableType:
    from sima2.report.terminal import grid, plain

    rows = [(plain(row["rule"]), row["knowledge"], _does(row), plain(row["about"])) for row in listed]
    return grid(("rule", "knowledge", "does", "about"), rows)


def _rendered(values: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from sima2.report.terminal import grid, plain, titled
    from sima2.report.text import number, visible

    counts = [(name, number(n)) for name, n in values["actions"].items()]
    why = [
        (plain(group["code"].replace("_", " ")), number(group["episodes"]), plain(group["example"]))
        for group in values["reasons"]
    ]
    moved = sorted(
        (row for row in values["episodes"] if row["action"] != "keep"),
        key=lambda row: (-("keep", "trim", "review", "drop").index(row["action"]), row["weight"], row["episode_index"]),
    )
    cuts = _cuts(values)
    listed = [
        (
            number(row["weight"], 2),
            Text("\n").join(
                [
                    Text.assemble((visible(row["episode_id"]), "bold"), f"  {row['action']}{_part(row, cuts)}"),
                    plain(row["words"]),
                ]
            ),
        )
        for row in moved[:SHOWN]
    ]
    more = [plain(f"{number(len(moved) - SHOWN)} more: see --json")] if len(moved) > SHOWN else []
    return Group(
        grid(("action", "episodes"), counts, numeric=(1,)),
        *titled("Why", grid(("reason", "episodes", "such as"), why, numeric=(1,)) if why else None),
        *titled("Not used as they are", grid(("weight", "episode"), listed, numeric=(0,)) if listed else None),
        *more,
    )


def _part(row: Mapping[str, Any], cuts: Mapping[str, list[str]]) -> str:
    """Which frames of an episode are used, and which of these weigh less."""
    if row["action"] == "drop":
        return ""
    inside = cuts.get(row["episode_id"], [])
    less = f", less weight on {', '.join(inside[:CUTS])}{', …' if len(inside) > CUTS else ''}" if inside else ""
    return f", frames {row['keep_start_frame']}–{row['keep_end_frame']}{less}"


def _cuts(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Stretches of each episode that weigh less within what is kept of it, short stops left aside."""
    kept = {row["episode_id"]: (row["keep_start_frame"], row["keep_end_frame"]) for row in values["episodes"]}
    told: dict[str, list[str]] = {}
    for span in values["spans"]:
        start, end = kept[span["episode_id"]]
        if span["reason"] != "pause" and span["start_frame"] < end and span["end_frame"] > start:
            told.setdefault(span["episode_id"], []).append(f"{span['start_frame']}–{span['end_frame']}")
    return told


def _does(row: Mapping[str, Any]) -> str:
    """What a rule does, for people."""
    from sima2.sampling.plan_settings import ON_SPANS, SCALE

    if row["rule"] in ON_SPANS and row["does"] == SCALE:
        return "scale where shown right here, else ask"
    return str(row["does"] or "off")
