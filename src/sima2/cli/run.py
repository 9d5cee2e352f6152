"""``sima2 run``: the whole pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sima2.cli import options
from sima2.cli.answer import answer, watched
from sima2.errors import UsageError

if TYPE_CHECKING:
    from sima2.pipeline import RunSettings

QUARANTINED = 4
"""Exit code of a run that finished but had to put episodes aside."""


Prior = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="trust_matrix.json of an earlier or pooled set (or its folder): supports what these episodes show, "
        "never acts alone.",
    ),
]
Jobs = Annotated[int, typer.Option(metavar="J", min=1, help="Processes; changes no result.")]
Engine = Annotated[str, typer.Option(metavar="E", help="Who runs the shards: local, or ray.")]
Folder = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where results go: results-<name of P>, or results, if not given."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with this run, or begin where nothing is; never add to other runs.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Drop the results that DIR holds instead of adding to them.")]
Pool = Annotated[bool, typer.Option("--pool", help="Add to a DIR that holds another source: all are judged together.")]
Video = Annotated[
    bool, typer.Option("--video", help="Look at the cameras' videos too: faults, small pictures; extra [video].")
]


def command(
    source: options.Source = "auto",
    path: options.DataSets = None,
    column_map: options.ColumnMaps = None,
    outcomes: options.OutcomeFiles = None,
    goal: options.Goals = None,
    prior: Prior = None,
    mix: options.Mix = "hardening",
    families: options.Families = "",
    episodes: options.Episodes = None,
    seed: options.Seed = 0,
    jobs: Jobs = 1,
    engine: Engine = "local",
    out: Folder = None,
    resume: Resume = False,
    fresh: Fresh = False,
    pool: Pool = False,
    video: Video = False,
    as_json: options.Json = False,
) -> None:
    """Take rollouts to segments, tags, costs, trust and weights.

    Without options: made rollouts, a hardening batch of every task family, results in results/. A folder that holds
    more of the same (made rollouts; recordings of the same robot and columns) is added to: all are judged together, and
    recordings that are there already are skipped. What was recorded otherwise is added only where you say so, by --pool
    or by several --path in one command; a tag then acts only on episodes of the collection that it was tested in.

    \b
    Examples:
      sima2 run --out results
      sima2 run --path my_dataset --outcomes outcomes.csv --jobs 4
      sima2 run --path my_dataset --video
      sima2 run --path monday --path tuesday --out week
      sima2 run --path wednesday --prior week/trust_matrix.json
      sima2 run --path s3://bucket/thursday --jobs 4
    """
    from sima2.pipeline import RunSettings

    paths: list[Path | None] = [*path] if path else [None]
    asked = RunSettings(
        source=source, goals=tuple(goal or ()), prior=prior, mix=mix, families=options.names(families), seed=seed,
        jobs=jobs, engine=engine, out=out or default_out(paths[0]), resume=resume, fresh=fresh, pool=pool, video=video,
    )  # fmt: skip
    totals = _shared(episodes, len(paths))
    maps, ends = _for_each(paths, "--map", column_map), _for_each(paths, "--outcomes", outcomes)
    each = zip(paths, totals, maps, ends, strict=True)
    _run([replace(asked, path=a, total=b, column_map=c, outcomes=d) for a, b, c, d in each], as_json=as_json)


def _run(every: Sequence[RunSettings], *, as_json: bool) -> None:
    """Run over the sources that some settings name, and tell of it."""
    from sima2.orchestrator import run_pipeline
    from sima2.report import terminal
    from sima2.report.inputs import read_trust

    first, *also = every
    with watched() as told:
        summary = run_pipeline(
            first, also=also, progress=None if told is None else lambda p: told(p.phase, p.done, p.total)
        )
    out, values = summary.out, summary.values
    if values.get("nothing_new"):
        typer.echo(f"nothing new: {out} holds these rollouts already", err=True)
    answer(
        values,
        as_json=as_json,
        shown=lambda: terminal.summary(values, trust=read_trust(out).rows, report=str(out / "report.html")),
    )
    if values["episodes"]["quarantined"]:
        raise typer.Exit(QUARANTINED)


def default_out(path: Path | None) -> Path:
    """Where results go unless it is said: each data set has a folder of its own.

    >>> default_out(None).name, default_out(Path("data/monday/")).name
    ('results', 'results-monday')
    >>> default_out(Path("s3://bucket/tuesday")).name
    'results-tuesday'
    """
    from sima2.io.remote import name_of, url_of

    url = None if path is None else url_of(path)
    name = "" if path is None else path.absolute().resolve().name if url is None else name_of(url)
    return Path(f"results-{name}" if name else "results")


def _shared(episodes: int | None, n: int) -> list[int | None]:
    """A number of episodes shared out evenly, the first ones one more where it does not divide.

    >>> _shared(5, 2), _shared(None, 2)
    ([3, 2], [None, None])
    """
    return [None if episodes is None else episodes // n + (k < episodes % n) for k in range(n)]


def _for_each(paths: Sequence[Path | None], option: str, files: Sequence[Path] | None) -> list[Path | None]:
    """One file a data set, or none at all; outcomes of named episodes may stand in one file for all."""
    if option == "--outcomes" and files and len(files) == 1 < len(paths):
        from sima2.io.outcomes import names_episodes

        if names_episodes(files[0]):
            return [files[0]] * len(paths)
    if files and len(files) != len(paths):
        raise UsageError(
            f"{option} is given {len(files)} times for {len(paths)} data sets: give it once for each --path, in the "
            "same order, or not at all"
        )
    return [*files] if files else [None] * len(paths)
