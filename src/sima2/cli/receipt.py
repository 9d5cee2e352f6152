"""``sima2 receipt``: what a plan's weights are worth to a small policy trained on the set itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sima2.cli import options
from sima2.cli.answer import answer, steps

if TYPE_CHECKING:
    from rich.console import RenderableType


def command(
    out: options.Out,
    path: Annotated[Path | None, typer.Option("--path", metavar="P", help="The data set, if it was moved.")] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="Write the policy that the plan trains, as arrays (.npz)."),
    ] = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Tell what the plan's weights are worth to a small policy that is trained on the set.

    The episodes of a recorded set are split into five folds. For each selection (every episode alike, all frames alike,
    the plan, random ones of its size, recorded successes) a policy is trained on four of them and asked what it would
    do in episodes of the fifth that the plan keeps whole. Less error is better; it is not success.

    \b
    Example:
      sima2 receipt results
      sima2 receipt results --policy policy.npz
    """
    from sima2.receipt import receipt

    with steps() as told:
        values = receipt(out, path=path, seed=seed, policy=policy, progress=told)
    answer(values, as_json=as_json, shown=lambda: _rendered(values))


def _rendered(values: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from sima2.receipt import NAMES
    from sima2.report.terminal import grid, plain

    rows = [
        (plain(NAMES[name]), plain(_span(error)), plain(_span(values["over_baseline"].get(name), "+")))
        for name, error in values["error"].items()
    ]
    about = f"{values['judged_episodes']} of {values['episodes']} episodes are judged by, in {values['folds']} folds."
    return Group(
        plain(values["verdict"]),
        Text(),
        grid(("selection", "error of held-out actions", "over the baseline"), rows),
        Text(),
        plain(f"In spreads of the actions, with 95 % intervals over folds. {about}"),
        plain(values["caveat"]),
        *([plain(f"policy trained by the plan: {values['policy']}")] if "policy" in values else []),
    )


def _span(values: Mapping[str, float] | None, sign: str = "") -> str:
    if values is None:
        return ""
    return f"{values['value']:{sign}.3f} [{values['low']:{sign}.3f}, {values['high']:{sign}.3f}]"
