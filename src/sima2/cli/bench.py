"""``sima2 bench``: measure a claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sima2.cli import options
from sima2.cli.answer import answer, steps
from sima2.errors import GateError, UnknownNameError

if TYPE_CHECKING:
    from rich.console import RenderableType


def command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Which bench; a wrong name lists them.", show_default=False)
    ],
    as_json: options.Json = False,
) -> None:
    """Measure a claim of the README.

    The exit code is 5 if a target is missed.

    \b
    Example:
      sima2 bench throughput
    """
    from sima2.bench import BENCHES

    if name not in BENCHES:
        raise UnknownNameError("bench", name, BENCHES)
    import importlib

    module = importlib.import_module(f"sima2.bench.{name}")
    with steps() as told:
        values = module.run(progress=told)
    answer(values, as_json=as_json, shown=lambda: _shown(module.rows(values)))
    missed = [target for target, each in values["targets"].items() if not each["met"]]
    if missed:
        raise GateError(f"missed: {', '.join(missed)}")


def _shown(rows: list[tuple[str, str, str]]) -> RenderableType:
    from sima2.report.terminal import grid, plain

    return grid(("figure", "result", "target"), [tuple(map(plain, row)) for row in rows], numeric=(1,))
