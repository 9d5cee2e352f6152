"""``sima2 loop``: let what is known ask for what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sima2.cli import options
from sima2.cli.answer import answer, watched

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sima2.loop import Round


def command(
    rounds: Annotated[int, typer.Option(metavar="R", min=1, help="Turns of the loop.")] = 4,
    episodes: Annotated[int, typer.Option("--episodes", metavar="N", min=1, help="Rollouts of each round.")] = 2000,
    source: Annotated[
        str, typer.Option("--source", metavar="S", help="Who makes rollouts: synthetic or mujoco.")
    ] = "synthetic",
    families: options.Families = "",
    seed: options.Seed = 0,
    jobs: Annotated[int, typer.Option(metavar="J", min=1, help="Processes; changes no result.")] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where results go.")] = Path("results_loop"),
    as_json: options.Json = False,
) -> None:
    """Run, plan, ask for what the plan draws, and run again into the same folder.

    The first round asks for all families alike. Each later one asks for what the weights draw: while no tag is trusted,
    still for all alike.

    \b
    Example:
      sima2 loop --rounds 4 --episodes 2000 --out results_loop
    """
    from sima2.loop import run_loop
    from sima2.pipeline import RunSettings

    settings = RunSettings(source=source, families=options.names(families), seed=seed, jobs=jobs, out=out)
    with watched() as told:
        turns = list(
            run_loop(
                settings,
                rounds=rounds,
                per_round=episodes,
                progress=None if told is None else lambda p: told(p.phase, p.done, p.total),
            )
        )
    answer({"rounds": [asdict(turn) for turn in turns]}, as_json=as_json, shown=lambda: _rendered(turns))


def _moved(turn: Round, name: str) -> str:
    from sima2.report.text import percent

    got = percent(turn.got.get(name, 0.0))
    return f"{percent(turn.asked[name])} → {got}" if name in turn.asked else got


def _rendered(turns: Sequence[Round]) -> RenderableType:
    from rich.console import Group

    from sima2.report.terminal import grid, plain
    from sima2.report.text import number, percent

    tags = sorted(turns[-1].trust, key=lambda tag: -turns[-1].trust[tag])
    trust: list[list[RenderableType]] = [
        [plain(tag), *(plain(number(turn.trust[tag], 2)) for turn in turns)] for tag in tags
    ]
    trust.append([plain("effective sample"), *(plain(percent(turn.effective)) for turn in turns)])
    names = sorted({name for turn in turns for name in turn.got})
    mix: list[list[RenderableType]] = [[plain(name), *(plain(_moved(turn, name)) for turn in turns)] for name in names]
    heads = tuple(f"{turn.episodes:,}" for turn in turns)
    columns = tuple(range(1, len(turns) + 1))
    return Group(
        plain("Trust after so many episodes"),
        grid(("tag", *heads), trust, numeric=columns),
        plain(""),
        plain("Mix of each round, asked → got"),
        grid(("kind", *heads), mix, numeric=columns),
    )
