"""``sima2 tasks``: the task library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sima2.cli import options
from sima2.cli.answer import answer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sima2.tasks.families import Family


def command(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="A family to describe; all are listed if not given.")
    ] = "",
    as_json: options.Json = False,
) -> None:
    """List the task families, or describe one.

    \b
    Examples:
      sima2 tasks
      sima2 tasks drawer_open
    """
    from sima2.tasks.families import ALL_FAMILIES, check_family

    families = {name: check_family(name)} if name else dict(ALL_FAMILIES)
    values = {key: described(family) for key, family in families.items()}
    answer(
        values[name] if name else values, as_json=as_json, shown=lambda: _one(values[name]) if name else _all(values)
    )


def described(family: Family) -> dict[str, Any]:
    """A family as plain values, with what each of its failure modes means."""
    from sima2.tasks.failure_modes import FAILURE_MODES
    from sima2.tasks.families import TEMPLATES

    modes = {mode: FAILURE_MODES[mode] for mode in family.failure_modes}
    return {
        "name": family.name,
        "meta": family.meta,
        "instruction": family.instruction,
        "success": family.success,
        "relation": family.relation,
        "tolerance": family.tolerance,
        "templates": list(TEMPLATES),
        "objects": {each.name: dict(each.affordances) for each in family.objects},
        "geometries": [asdict(each) for each in family.geometries],
        "failure_modes": {
            key: {"reason": mode.reason, "evidence": mode.evidence, "channels": list(mode.channels)}
            for key, mode in modes.items()
        },
        "recovery_strategies": list(family.recovery_strategies),
        "triggers": list(family.triggers),
    }


def _all(families: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    from sima2.report.terminal import grid, plain

    rows = [
        (plain(name), plain(family["instruction"]), plain(", ".join(family["failure_modes"])))
        for name, family in families.items()
    ]
    return grid(("family", "instruction", "failure modes"), rows)


def _one(family: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group

    from sima2.report.terminal import grid, listing, plain, titled

    objects = [
        (plain(name), plain(", ".join(each if seen else f"{each} (prior)" for each, seen in known.items())))
        for name, known in family["objects"].items()
    ]
    shapes = [(plain(g["name"]), f"{g['width_m']:g}", f"{g['height_m']:g}") for g in family["geometries"]]
    modes = [
        (plain(key), plain(mode["reason"]), plain(mode["evidence"])) for key, mode in family["failure_modes"].items()
    ]
    return Group(
        listing({key: family[key] for key in ("name", "instruction", "success")}),
        *titled("Objects and affordances", grid(("object", "affordances"), objects)),
        *titled("Geometries", grid(("name", "width, m", "height, m"), shapes, numeric=(1, 2))),
        *titled("Failure modes", grid(("mode", "reason", "evidence"), modes)),
        *titled("Recovery strategies", plain(", ".join(family["recovery_strategies"]) or "none")),
        *(titled("Called for by", plain(", ".join(family["triggers"]))) if family["triggers"] else ()),
    )
