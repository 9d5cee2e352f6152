"""``sima2 tree``: a family's task as a behaviour tree."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from sima2.cli import options
from sima2.cli.answer import plain


def command(
    out: options.Out,
    family: Annotated[str, typer.Argument(metavar="FAMILY", help="Task family, as in the report.", show_default=False)],
    as_json: options.Json = False,
) -> None:
    """Print a family's mined task as Python that builds a py_trees behaviour tree.

    \b
    Example:
      sima2 tree results drawer_open > drawer_open.py
    """
    from dataclasses import asdict

    from sima2.knowledge.behaviour_tree import to_behaviour_tree, tree_steps
    from sima2.knowledge.ontology_graph import graph_of
    from sima2.report.inputs import read_json, read_summary

    read_summary(out)
    graph = graph_of(read_json(out / "task_graph.json"))
    source = to_behaviour_tree(graph, family)
    if not as_json:
        # not for a console, which would wrap it
        typer.echo(source, nl=False)
        return
    values = {"family": family, "steps": [asdict(step) for step in tree_steps(graph, family)], "python": source}
    typer.echo(json.dumps(plain(values), indent=2, allow_nan=False))
