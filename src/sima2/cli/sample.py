"""``sima2 sample``: draw episodes to train on, or write the weights that a trainer reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sima2.cli import options
from sima2.cli.answer import plain
from sima2.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sima2.records.plan import DrawTable, SamplePlan
    from sima2.records.table import Table
    from sima2.sampling.planned import Planned
    from sima2.sampling.pool import Pool


Draws = Annotated[int, typer.Option("--n", metavar="N", min=0, help="How many draws; none only tells whom.")]
Strategy = Annotated[
    str, typer.Option(metavar="S", help="uniform, balanced (families alike), trust_weighted, early, mid or advanced.")
]
Objective = Annotated[
    str, typer.Option(metavar="O", help="What is trained: bc (imitation; known failures never gain weight) or rl.")
]
Epoch = Annotated[int, typer.Option(metavar="E", min=0, help="Each epoch draws anew.")]
Rank = Annotated[int, typer.Option(metavar="R", min=0, help="Which process of --world-size this is.")]
WorldSize = Annotated[
    int, typer.Option(metavar="W", min=1, help="Processes that share the draws: each takes every W-th.")
]
OnlySuccesses = Annotated[
    bool, typer.Option("--only-successes", help="Leave out all episodes that are not known to have succeeded.")
]
Weights = Annotated[bool, typer.Option("--weights", help="With each draw its importance weight, for unbiased losses.")]
DrawsFile = Annotated[Path | None, typer.Option("--draws", metavar="FILE", help="Write the draws as Parquet instead.")]
FramesFile = Annotated[
    Path | None,
    typer.Option("--frames", metavar="FILE", help="Write a weight for every frame of the source as Parquet."),
]
Per = Annotated[
    str, typer.Option(metavar="P", help="For --frames: each episode is drawn by its weight, or each frame.")
]
MovedTo = Annotated[
    Path | None, typer.Option("--path", metavar="P", help="For --frames: the LeRobot data set, if it was moved.")
]
OfRun = Annotated[
    int | None, typer.Option(metavar="R", min=1, help="For --frames: whose source, if DIR holds several runs.")
]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print the draws as CSV with a header.")]


def command(
    out: options.Out,
    n: Draws = 0,
    strategy: Strategy = "trust_weighted",
    objective: Objective = "rl",
    epoch: Epoch = 0,
    seed: options.Seed = 0,
    rank: Rank = 0,
    world_size: WorldSize = 1,
    preset: options.Preset = "measured",
    without: options.Without = None,
    also: options.Also = None,
    only_successes: OnlySuccesses = False,
    weights: Weights = False,
    draws_file: DrawsFile = None,
    frames_file: FramesFile = None,
    per: Per = "episode",
    path: MovedTo = None,
    run: OfRun = None,
    as_csv: AsCsv = False,
    as_json: options.Json = False,
) -> None:
    """Draw episodes to train on, by their sampling weights.

    Prints one line a draw, index and id of the episode, and beside it (on stderr) whom the weights favour; the same
    seed and epoch draw the same. By default every episode can be drawn; --only-successes departs from that.

    \b
    Example:
      sima2 sample results --n 256 --strategy trust_weighted --objective bc --epoch 0 --seed 0
      sima2 sample results --objective bc --frames weights_by_frame.parquet
    """
    from sima2.sampling.effective import effective

    rules: dict[str, Any] = {"without": options.several(without), "also": options.several(also)}
    chosen: dict[str, Any] = {"strategy": strategy, "objective": objective, "preset": preset}
    chosen["only_successes"] = only_successes
    order = {"epoch": epoch, "seed": seed, "rank": rank, "world_size": world_size}
    found, pool = weighed(out, **chosen, **rules)
    drawn = drawn_from(found.draws, n, **order)
    told = {"n": n, **chosen, **order, "also": list(also or ()), "effective": effective(pool, found.draws.p)}
    told["no_gain"] = _no_gain(out, told)
    if frames_file is not None:
        written = write_frames(out, found, frames_file, per=per, path=path, run=run)
        told["frames"] = {"file": str(frames_file), **written}
    if draws_file is not None:
        if not n:
            raise UsageError("--draws writes draws: say how many with --n")
        _write(draws_file, drawn, kept_of(out))
        told["draws"] = {"file": str(draws_file), "rows": len(drawn)}
    if as_json:
        _print_json(told, None if draws_file else drawn, weights=weights)
        return
    printed = bool(n) and draws_file is None
    if printed:
        _print(drawn, weights=weights, as_csv=as_csv)
    from rich.console import Console

    # what other programs read stays alone on stdout
    Console(highlight=False, markup=False, emoji=False, stderr=printed).print(_rendered(told))


def _print_json(told: Mapping[str, Any], drawn: DrawTable | None, *, weights: bool) -> None:
    """One object: what was asked for and whom it favours, with the draws unless they were written to a file."""
    import json

    names = ("episode_index", "episode_id", *(("is_weight",) if weights else ()))
    listed = {} if drawn is None else {name: getattr(drawn, name) for name in names}
    typer.echo(json.dumps(plain({**told, **listed}), allow_nan=False))


def _no_gain(out: Path, told: Mapping[str, Any]) -> str:
    """Why tags move no weight and what is missing for that; empty where they do."""
    from sima2.report.inputs import read_summary
    from sima2.report.sentences import no_gain_sentence

    lacking = no_gain_sentence(read_summary(out)) if (out / "summary.json").is_file() else ""
    if lacking or not told["effective"]["uniform"] or told["strategy"] != "trust_weighted":
        return lacking
    return f"No curation gain from tags: none that is trusted here pulls at a weight for {told['objective']}."


def weighed(
    out: Path,
    *,
    strategy: str = "trust_weighted",
    objective: str = "rl",
    preset: str = "measured",
    without: Sequence[str] = (),
    also: Sequence[str] = (),
    only_successes: bool = False,
) -> tuple[Planned, Pool]:
    """Plan and probabilities of a finished run under a strategy, an objective and a preset, and the pool they are of.

    Raises:
        StoreError: if the folder is not one of a finished run.
        UnknownNameError: for a wrong name, naming the valid ones.
        UsageError: if only successes are wanted and there are none, or the plan leaves nothing.
    """
    from sima2.planning import planned_of
    from sima2.sampling.plan_settings import PlanSettings

    settings = PlanSettings(objective=objective, preset=preset, without=tuple(without), also=tuple(also))
    return planned_of(out, settings, strategy=strategy, only_successes=only_successes)


def kept_of(out: Path) -> list[Path]:
    """Folders into which nothing may be written: the results, and the data sets that they are of."""
    from sima2.io.store import Store

    with Store.read_only(out) as store:
        paths = [run.settings.get("path") for run in store.runs]
    return [out, *(Path(str(path)) for path in paths if path)]


def drawn_from(plan: SamplePlan, n: int, *, epoch: int, seed: int, rank: int = 0, world_size: int = 1) -> DrawTable:
    """The drawn episodes in the order of the draws."""
    import numpy as np

    from sima2.records.plan import DrawTable
    from sima2.sampling.sampler import DataPackRLSampler

    index = DataPackRLSampler(plan, seed=seed).sample(n, epoch=epoch, rank=rank, world_size=world_size)
    order = np.argsort(plan.episode_index, kind="stable")
    place = order[np.searchsorted(plan.episode_index[order], index)] if len(plan) else index
    return DrawTable(index, plan.episode_id[place], plan.p[place], plan.is_weight[place])


def write_frames(
    out: Path, found: Planned, file: Path, *, per: str, path: Path | None = None, run: int | None = None
) -> dict[str, Any]:
    """Write ``index, weight`` of every frame of a source; how many, how many of no weight, and how they are numbered.

    Args:
        out: folder of the run.
        found: plan and probability of each episode.
        file: where to.
        per: ``episode`` or ``frame``.
        path: the LeRobot data set; that of the run, if not given.
        run: whose source, from 1; needed where the folder holds several.

    Raises:
        UsageError: if frames cannot be numbered without the data set, or it is another one.
    """
    from dataclasses import replace

    from sima2.cli.source_of_run import source_of
    from sima2.sampling.frames import frame_weights, inside_weights

    read = source_of(out, run, path)
    plan, spans = read.own(found.draws), read.own(found.plan.spans)
    if len(plan) and not plan.p.sum() > 0:
        raise UsageError("the plan leaves every episode of this source out")
    plan = replace(plan, p=plan.p / plan.p.sum()) if len(plan) else plan
    episode, index, numbered = read.frames()
    table = frame_weights(plan, episode, index, per=per, inside=inside_weights(spans, episode, index))
    _write(file, table, [*kept_of(out), *([read.path] if read.path else [])])
    without = int((table.weight == 0).sum())
    return {"rows": len(table), "without_weight": without, "per": per, "numbered": numbered}


def _write(file: Path, table: Table, kept: Sequence[Path]) -> None:
    """Write a table to a file outside of some folders; one of the same columns may be there already."""
    from sima2.export.target import refuse_file
    from sima2.io.arrow import write_table
    from sima2.io.durable import replace_file

    def alike(there: Path) -> bool:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return bool(pq.read_schema(there).names == list(table.columns()))
        except (pa.ArrowInvalid, OSError):
            return False

    refuse_file(file, kept, alike)
    replace_file(file, lambda target: write_table(target, table))


def _print(drawn: DrawTable, *, weights: bool, as_csv: bool) -> None:
    """Lines for other programs, not a table: neither wrapped nor aligned."""
    from sima2.report.text import visible

    names = ("episode_index", "episode_id", *(("is_weight",) if weights else ()))
    rows = zip(*(getattr(drawn, name).tolist() for name in names), strict=True)
    if as_csv:
        import csv
        import io

        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([names, *rows])
        typer.echo(text.getvalue(), nl=False)
        return
    for row in rows:
        typer.echo("\t".join(visible(each) for each in row))


def _rendered(told: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group

    from sima2.report import terminal
    from sima2.report.text import number, percent

    values = told["effective"]
    share = values["effective_sample_size"] / values["n"] if values["n"] else None
    head = {
        "episodes": number(values["n"]) + (" (only successes)" if told["only_successes"] else ""),
        "effective sample size": f"{number(values['effective_sample_size'])} ({percent(share)})",
        "drawn most": "all alike" if values["uniform"] else f"{number(values['largest'], 2)} × an even share",
    }
    for name in ("draws", "frames"):
        if name in told:
            numbered = told[name].get("numbered")
            head[name] = f"{number(told[name]['rows'])} rows in {told[name]['file']}"
            head[name] += f", numbered {numbered}" if numbered else ""
            without = told[name].get("without_weight")
            head[name] += f"; {number(without)} have no weight (left out by the plan, or set aside)" if without else ""
    rows = [("failed episodes", values["failed"]), *values["families"].items()]
    rows += [(f"with {tag}", row) for tag, row in values["tags"].items()]
    lacking = [terminal.plain(told["no_gain"])] if told["no_gain"] else []
    body = [(terminal.plain(name), percent(row["share"]), percent(row["even"])) for name, row in rows]
    return Group(
        terminal.listing(head),
        *lacking,
        *terminal.titled("Shares", terminal.grid(("", "draws", "episodes"), body, numeric=(1, 2))),
    )
