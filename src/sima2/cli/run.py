"""``sima2 run``: the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sima2.cli import options
from sima2.cli.answer import answer, watched

QUARANTINED = 4
"""Exit code of a run that finished but had to put episodes aside."""


def command(
    source: options.Source = "synthetic",
    path: options.DataSet = None,
    column_map: options.ColumnMap = None,
    outcomes: options.Outcomes = None,
    mix: options.Mix = "hardening",
    families: options.Families = "",
    episodes: options.Episodes = None,
    seed: options.Seed = 0,
    jobs: Annotated[int, typer.Option(metavar="J", min=1, help="Processes; changes no result.")] = 1,
    engine: Annotated[str, typer.Option(metavar="E", help="Who runs the shards: local, or ray.")] = "local",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where results go.")] = Path("results"),
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with this run, or begin where nothing is; never add to other runs."),
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Drop the results that DIR holds instead of adding to them.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Take rollouts to segments, tags, costs, trust and weights.

    Without options: made rollouts, a hardening batch of every task family, results in results/. A folder that holds
    results of other rollouts is added to: all are judged together, and recordings that are there already are skipped.

    \b
    Examples:
      sima2 run --out results
      sima2 run --source lerobot --path my_dataset --outcomes outcomes.csv --jobs 4 --out results
    """
    from sima2.orchestrator import run_pipeline
    from sima2.pipeline import RunSettings

    settings = RunSettings(
        source=source,
        path=path,
        column_map=column_map,
        outcomes=outcomes,
        mix=mix,
        families=options.names(families),
        episodes=episodes,
        seed=seed,
        jobs=jobs,
        engine=engine,
        out=out,
        resume=resume,
        fresh=fresh,
    )
    with watched() as told:
        summary = run_pipeline(settings, progress=None if told is None else lambda p: told(p.phase, p.done, p.total))

    from sima2.report import terminal
    from sima2.report.inputs import read_trust

    if summary.values.get("nothing_new"):
        typer.echo(f"nothing new: {out} holds these rollouts already", err=True)
    answer(
        summary.values,
        as_json=as_json,
        shown=lambda: terminal.summary(summary.values, trust=read_trust(out).rows, report=str(out / "report.html")),
    )
    if summary.values["episodes"]["quarantined"]:
        raise typer.Exit(QUARANTINED)
