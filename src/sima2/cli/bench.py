"""``sima2 bench``: measure a claim."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sima2.cli import options
from sima2.cli.answer import answer, steps
from sima2.errors import GateError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

NUMBER = 20
"""Characters that a number takes at most."""
MISSED = 3
"""Targets that are named where several are missed: all stand in the table."""


Name = Annotated[str, typer.Argument(metavar="NAME", help="Which bench; a wrong name lists them.", show_default=False)]
Size = Annotated[
    int | None, typer.Option("--episodes", metavar="N", min=1, help="How large; the bench's own size if not given.")
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="S", min=0, help="Of what is measured; the bench's own otherwise.")
]
Data = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="PATH", help="Recordings to judge by, for ``foreign`` and ``foreign_changed``."),
]
Page = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Also write a page with pictures, where there are any."),
]
Kept = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="For ``receipts``: keep what is done, so that a long run can go on."),
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", metavar="J", min=1, help="For ``receipts``: processes.", show_default=False)
]
Quick = Annotated[bool, typer.Option("--quick", help="For ``receipts``: a small size that judges nothing.")]


def command(
    name: Name,
    episodes: Size = None,
    seed: Seed = None,
    data: Data = None,
    html: Page = None,
    out: Kept = None,
    jobs: Jobs = None,
    quick: Quick = False,
    as_json: options.Json = False,
) -> None:
    """Measure a claim of docs/measured.md.

    The exit code is 5 if a target is missed.

    On one core ``segmentation`` at its own size takes about 9 minutes, most of them for rivals that learn, ``trust``
    about 3 minutes (with --episodes 10000 it repeats a tenth); fewer --episodes take less. ``receipts`` takes about an
    hour.

    \b
    Example:
      sima2 bench throughput
      sima2 bench segmentation --html worst.html
      sima2 bench trust --episodes 10000
      sima2 bench foreign --data recordings.zip
      sima2 bench receipts --out receipts
    """
    from sima2.bench import BENCHES

    if name not in BENCHES:
        raise UnknownNameError("bench", name, BENCHES)
    import importlib

    module = importlib.import_module(f"sima2.bench.{name}")
    if html is not None and not hasattr(module, "page"):
        raise UsageError(f"bench {name} has no page to write (--html)")
    if html is not None and not html.parent.is_dir():
        raise UsageError(f"--html {html}: there is no folder {html.parent}")
    given = (
        ("episodes", episodes), ("seed", seed), ("data", data or None), ("out", out), ("jobs", jobs),
        ("quick", quick or None),
    )  # fmt: skip
    chosen = {key: value for key, value in given if value is not None}
    unknown = sorted(set(chosen) - set(inspect.signature(module.run).parameters))
    if unknown:
        raise UsageError(f"bench {name} takes no --{unknown[0]}")
    with steps() as told:
        values = module.run(progress=told, **chosen)
    if html is not None:
        html.write_text(module.page(values), encoding="utf-8")
    answer(values, as_json=as_json, shown=lambda: _rendered(module.rows(values)))
    missed = [target for target, each in values["targets"].items() if not each["met"]]
    if missed:
        more = f" and {len(missed) - MISSED} more" if len(missed) > MISSED else ""
        raise GateError(f"missed: {', '.join(missed[:MISSED])}{more}")


def _rendered(rows: list[tuple[str, str, str]]) -> RenderableType:
    from sima2.report.terminal import grid, plain

    # results in words may wrap, so that the figure's name has room in a narrow window
    short = all(len(result) <= NUMBER for _, result, _ in rows)
    return grid(("figure", "result", "target"), [tuple(map(plain, row)) for row in rows], numeric=(1,) if short else ())
