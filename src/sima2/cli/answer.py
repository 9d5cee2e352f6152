"""How a command answers: tables for people, or one JSON object; progress only where somebody watches."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

Watch: TypeAlias = Callable[[str, int, int], None]
"""Told the phase, how many episodes are done and how many there are."""


def answer(
    values: Mapping[str, Any],
    *,
    as_json: bool,
    shown: Callable[[], RenderableType],
    results: Path | None = None,
) -> None:
    """Print the result on stdout: ``values`` as JSON, or what ``shown`` makes of them.

    Args:
        values: plain.
        as_json: print them.
        shown: makes of them what people see.
        results: folder of the run that they are of: where labels are newer than it, stderr says so.
    """
    if results is not None:
        _tell_newer_labels(results)
    if as_json:
        typer.echo(json.dumps(plain(values), indent=2, allow_nan=False))
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    with console.capture() as held:
        console.print(shown())
    told = held.get()
    # lines are filled up to the width, which nobody wants in a file
    typer.echo(told if console.is_terminal else re.sub(r" +$", "", told, flags=re.MULTILINE), nl=False)


def _tell_newer_labels(out: Path) -> None:
    from sima2.io.label_log import read_labels
    from sima2.records.labels import SaidTable, said_of
    from sima2.report.inputs import read_single

    if said_of(read_labels(out)).digest() != read_single(out, SaidTable, "said").digest():
        typer.echo(
            f"note: labels were given since this run; the same `sima2 run … --out {out}` takes them in", err=True
        )


def plain(value: Any) -> Any:
    """JSON values out of numpy's, paths and tuples; what is not a number is null.

    >>> plain({"a": float("nan"), "b": (1, 2.5)})
    {'a': None, 'b': [1, 2.5]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


@contextmanager
def watched() -> Iterator[Watch | None]:
    """A progress bar on stderr while the block runs; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, highlight=False), transient=True) as bar:
        known: dict[str, Any] = {}

        def told(phase: str, done: int, total: int) -> None:
            if phase not in known:
                known[phase] = bar.add_task(phase, total=total)
            bar.update(known[phase], completed=done, total=total)

        yield told


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """The name of the step under way on stderr; silent where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True, highlight=False, markup=False).status("…") as status:
        yield status.update
