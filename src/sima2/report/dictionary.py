"""The data dictionary: every table that a run leaves, and what each of its columns means."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from sima2.records.courses import ConsensusTable, CourseTable, UnusualTable
from sima2.records.defects import RankedDefects
from sima2.records.episodes import EpisodeTable
from sima2.records.examples import ExampleTable
from sima2.records.intake import NoteTable, QuarantineTable
from sima2.records.knowledge import ActionTable, ProposalTable
from sima2.records.labels import SaidTable
from sima2.records.plan import AuditTable, CardTable, DrawTable, FrameWeights, SamplePlan, TrainingPlan
from sima2.records.table import Column, Table
from sima2.shard_tables import (
    CAMERAS,
    COSTS,
    DEFECTS,
    EPISODES,
    FRAME_WEIGHTS,
    GOALS,
    LANDMARKS,
    LAST_FRAMES,
    MEASURED_COSTS,
    MEASURES,
    NOTES,
    OBSERVATIONS,
    PAUSES,
    POINTS,
    PRIMITIVES,
    QUARANTINE,
    SEGMENTS,
    SIGNALS,
    SKIPPED,
    TAG_ROWS,
    THUMBNAILS,
    VIDEO_DEFECTS,
    Kind,
)
from sima2.tags.specs import TAGS


def _folders(*kinds: Kind[Any]) -> dict[str, type[Table]]:
    return {f"{kind.folder}/": kind.table for kind in kinds}


FILES: Final[Mapping[str, type[Table]]] = MappingProxyType(
    {
        "episodes.parquet": EpisodeTable,
        **_folders(EPISODES, SEGMENTS, PRIMITIVES, TAG_ROWS, COSTS, MEASURED_COSTS),
        "said.parquet": SaidTable,
        "plan.parquet": TrainingPlan,
        **_folders(FRAME_WEIGHTS),
        "weights.parquet": SamplePlan,
        "audit.parquet": AuditTable,
        "defects.parquet": RankedDefects,
        **_folders(DEFECTS),
        "unusual.parquet": UnusualTable,
        "consensus.parquet": ConsensusTable,
        "by_example.parquet": ExampleTable,
        "courses.parquet": CourseTable,
        "quarantine.parquet": QuarantineTable,
        **_folders(QUARANTINE),
        "notes.parquet": NoteTable,
        **_folders(NOTES, SKIPPED),
        "proposals.parquet": ProposalTable,
        "actions.parquet": ActionTable,
        **_folders(GOALS, OBSERVATIONS, LANDMARKS, MEASURES, PAUSES, POINTS, SIGNALS),
    }
)
"""Tables in the folder of a run: a file, or a folder of shards of one table (it ends in ``/``)."""
WITH_VIDEO: Final[Mapping[str, type[Table]]] = MappingProxyType(
    _folders(THUMBNAILS, LAST_FRAMES, CAMERAS, VIDEO_DEFECTS)
)
"""Those that a run with ``--video`` leaves besides."""
ASKED_FOR: Final[Mapping[str, type[Table]]] = MappingProxyType(
    {
        "sima2 sample --frames F.parquet": FrameWeights,
        "sima2 sample --draws F.parquet": DrawTable,
        "sima2 card OUT": CardTable,
    }
)
"""Tables that a command writes where it is told to; that of the card also where a run found failed attempts in
recordings (`verdict_card.parquet`)."""

_INTRODUCTION: Final = """\
# Columns of every table

Written by `python scripts/write_columns.py`; what a column means is declared with it.

A name that ends in `/` is a folder of shards (`shard-000000.parquet`, …): one table in parts, in the order of episodes.
The files tell the same of themselves, each field its `unit` and `description`, and the schema its `schema_version`:

```python
import pyarrow.parquet as pq

for field in pq.read_schema("results/episodes.parquet"):
    print(field.name, field.type, field.metadata[b"unit"].decode(), field.metadata[b"description"].decode())
```

In every table:

- There are no nulls. What is not known is NaN in a number and empty in a text.
- Frames count from 0 at the episode's start. Spans are half-open: `end_frame` is one past the last frame.
- Times count from the episode's start. Units are SI where nothing else is said.
- The unit `1` is that of a pure number; counts name what is counted. Names, numbers that only tell one thing from
  another, and truth values have none.
- Tables are joined on `episode_id`, and with the source on `episode_index`.
"""


def dictionary() -> str:
    """``docs/columns.md``."""
    return "\n".join([_INTRODUCTION, *_chapters({**FILES, **WITH_VIDEO, **ASKED_FOR})])


def _chapters(files: Mapping[str, type[Table]]) -> Iterator[str]:
    for table in dict.fromkeys(files.values()):
        yield f"## {', '.join(f'`{name}`' for name, each in files.items() if each is table)}\n"
        yield f"{inspect.cleandoc(table.__doc__ or '').replace('``', '`')}\n"
        yield "| column | type | unit | meaning |\n|---|---|---|---|"
        yield from map(_row, table.declared())
        yield ""
        if table is TAG_ROWS.table:
            yield from _tags()
            yield ""


def _tags() -> Iterator[str]:
    """What the columns hold for each tag, as its file declares it."""
    yield "The tags, each declared in a file of its own in `sima2/tags/`:\n"
    yield "| `tag` | its episodes | `kind` | given where `level` is above | `level` | `value` | `severity` |"
    yield "|---|---|---|---|---|---|---|"
    for spec in TAGS.values():
        told = (spec.meaning, spec.kind, f"{spec.threshold:g}", spec.level, spec.value, spec.severity)
        yield f"| `{spec.name}` | {' | '.join(told)} |"


def _row(column: Column) -> str:
    return f"| `{column.name}` | {_type(column)} | {column.unit} | {column.meaning} |"


def _type(column: Column) -> str:
    scalar = "string" if column.dtype is None else column.dtype.name
    return f"list of {scalar}" if column.ndim > 1 else scalar
