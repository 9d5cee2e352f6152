"""Options that several commands share, so that they read alike everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a finished run.", show_default=False)]
DataSet = Annotated[Path | None, typer.Option("--path", metavar="P", help="Recorded data set to read.")]
DataSets = Annotated[
    list[Path] | None,
    typer.Option("--path", metavar="P", help="Recorded data set to read, or its URL; several are judged together."),
]
ColumnMap = Annotated[
    Path | None,
    typer.Option(
        "--map", metavar="FILE", help="TOML file that says which columns are what; guessed from names otherwise."
    ),
]
Outcomes = Annotated[
    Path | None,
    typer.Option(
        "--outcomes", metavar="FILE", help="How episodes ended, by episode_index (csv, json, jsonl or parquet)."
    ),
]
ColumnMaps = Annotated[
    list[Path] | None,
    typer.Option("--map", metavar="FILE", help="TOML file that says which columns are what; once for each --path."),
]
OutcomeFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--outcomes",
        metavar="FILE",
        help="How episodes ended (csv, json, jsonl or parquet): by episode_index once for each --path, or by "
        "episode_id in one file.",
    ),
]
Goals = Annotated[
    list[str] | None,
    typer.Option(
        "--goal",
        metavar="G",
        help="What was asked for: object=cup,target=plate (or place=[x,y,z]),relation=placed_on,tolerance=0.03 in m; "
        "task=… where tasks differ, once for each.",
    ),
]
Source = Annotated[
    str,
    typer.Option(
        "--source",
        metavar="S",
        help="Where rollouts come from: auto (what --path holds, else synthetic), synthetic, mujoco, or the name of a "
        "format of recorded sets; a wrong one lists them.",
    ),
]
Preset = Annotated[
    str,
    typer.Option(
        "--preset",
        metavar="S",
        help="How far each kind of knowledge goes: measured (facts, and inferences by their probability), conservative "
        "(facts only), strict (all that is doubted is left out) or none.",
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option("--without", metavar="RULE", help="Rules of the plan that are off, comma-separated."),
]
Also = Annotated[
    list[str] | None,
    typer.Option(
        "--also",
        metavar="RULE",
        help="A rule that acts only when asked for: consensus (leave out what others do otherwise in like states).",
    ),
]
Mix = Annotated[
    str, typer.Option("--mix", metavar="M", help="Mix of made episodes: hardening, stress_mix_v1 or edge_cases_v1.")
]
Families = Annotated[
    str, typer.Option("--families", metavar="A,B", help="Task families, comma-separated; all if not given.")
]
Episodes = Annotated[
    int | None,
    typer.Option(
        "--episodes",
        metavar="N",
        min=0,
        help="How many in all, shared out evenly over families and data sets.",
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="S", help="Seed of everything random; the same seed, the same bytes.")
]


def names(listed: str) -> tuple[str, ...]:
    """Comma-separated names.

    >>> names("drawer_open, dish_place,")
    ('drawer_open', 'dish_place')
    """
    return tuple(name for name in (part.strip() for part in listed.split(",")) if name)


def several(given: Sequence[str] | None) -> tuple[str, ...]:
    """Names of an option that is given several times, each of them one or several, comma-separated.

    >>> several(["idle,pause", "failed"]), several(None)
    (('idle', 'pause', 'failed'), ())
    """
    return tuple(name for each in given or () for name in names(each))
