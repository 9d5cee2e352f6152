"""``sima2 segment``: segments only."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sima2.cli import options
from sima2.cli.answer import answer, watched
from sima2.cli.run import QUARANTINED

if TYPE_CHECKING:
    from rich.console import RenderableType

BATCH = 64
"""Episodes in memory at once."""


def command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Data set to read.", show_default=False)],
    column_map: options.ColumnMap = None,
    write: Annotated[Path | None, typer.Option(metavar="FILE", help="Parquet file to write the segments to.")] = None,
    as_json: options.Json = False,
) -> None:
    """Segment the episodes of a data set, and nothing else.

    \b
    Example:
      sima2 segment my_dataset --write segments.parquet
    """
    from sima2.client import Sima2Client
    from sima2.pipeline import calibrate
    from sima2.records.segments import SegmentTable

    source = Sima2Client(backend="dataset", path=path, column_map=column_map).source()
    engine = calibrate(source).engine
    parts, labels, outcomes, set_aside = [], Counter[str](), Counter[str](), 0
    with watched() as told:
        for start in range(0, source.episodes, BATCH):
            stop = min(start + BATCH, source.episodes)
            intake = source.read(start, stop)
            set_aside += len(intake.quarantine)
            segments = engine.segment(intake.batch)
            labels.update(segments.label)
            outcomes.update(segments.outcome)
            parts.append(segments)
            if told:
                told("segment", stop, source.episodes)
    if write is not None:
        from sima2.io.arrow import write_table

        write_table(write, SegmentTable.concat(parts))
    values = {
        "episodes": {"in": source.episodes, "ok": source.episodes - set_aside, "quarantined": set_aside},
        "segments": sum(labels.values()),
        "labels": dict(labels.most_common()),
        "segment_outcomes": dict(outcomes.most_common()),
        "written": None if write is None else str(write),
    }
    answer(values, as_json=as_json, shown=lambda: _rendered(values))
    if set_aside:
        raise typer.Exit(QUARANTINED)


def _rendered(values: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    from sima2.report.terminal import grid, plain, titled
    from sima2.report.text import count, number

    episodes = values["episodes"]
    rows = [(plain(label), number(n)) for label, n in values["labels"].items()]
    ends = [(plain(outcome), number(n)) for outcome, n in values["segment_outcomes"].items()]
    return Group(
        plain(
            f"{count(values['segments'], 'segment')} in {count(episodes['ok'], 'episode')}, "
            f"{number(episodes['quarantined'])} set aside"
        ),
        *titled("Labels", grid(("label", "segments"), rows, numeric=(1,))),
        *titled("Outcomes", grid(("outcome", "segments"), ends, numeric=(1,))),
        *([plain(""), plain(f"segments: {values['written']}")] if values["written"] else ()),
    )
