"""``sima2 query``: SQL over the results of a run, and sequences of what happened."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sima2.cli import options
from sima2.cli.answer import answer
from sima2.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sima2.asking import Given, Session
    from sima2.query.pattern import Pattern
    from sima2.query.views import View
    from sima2.records.episodes import EpisodeTable
    from sima2.records.matches import SequenceMatches

SHOWN: Final = 50
"""Rows for people."""
LISTED: Final = 10_000
"""Rows of ``--json``: an answer to read at once; ``--csv`` takes any number."""
FEW: Final = 6
"""Values of a list that are shown to people."""
TOLD: Final = ("episodes", "segments", "tags", "defects", "plan", "econ")
"""Tables whose columns are explained unasked."""
SEQUENCES: Final = (
    ("lift > slip{<1s} > … success", "slipped within 1 s after a lift, and went well"),
    ("grasp:success[2]", "the second grasp succeeded"),
    ("grasp:missed_grasp … !collision … release", "missed, and without a collision until the release"),
)


def command(
    out: options.Out,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT; without it, what can be asked.")] = "",
    sequence: Annotated[
        str, typer.Option("--sequence", metavar="P", help="What happened in which order, in place of SQL; see above.")
    ] = "",
    table: Annotated[str, typer.Option("--table", metavar="T", help="What the columns of a table or view mean.")] = "",
    rows: Annotated[
        int | None,
        typer.Option("--rows", metavar="N", min=1, help=f"At most so many rows; {SHOWN}, {LISTED} with --json."),
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write all rows there.")] = None,
    episodes: Annotated[
        Path | None,
        typer.Option(
            "--episodes", metavar="FILE", help="Write the episodes of the answer there, for export --episodes."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Ask anything of the results: SQL over episodes, segments, tags, defects, plan and all other tables.

    What is not known is NULL. Without ORDER BY, rows are sorted by all columns. Nothing can be written, and no file but
    the tables of the run be read.

    \b
    Sequences (--sequence):
      lift > slip        slip is the next segment of the same arm
      lift … slip        slip comes later, whatever lies between (or ...)
      lift > slip{<1s}   slip begins less than 1 s after lift ended, whatever
                         lies between; <= > >=, ms, f (frames), {>1s,<3s}
      lift … !slip … place   no slip between the two; first or last: none
                         before or after; alone: none in the episode
      grasp:failure      how it ended: success, failure (tried again or not),
                         retry, unknown; or why: grasp:missed_grasp
      grasp[2]           the second grasp of the episode; [-1] the last
      grasp@left(cup)    by this arm, of this object or class
      grasp|pull  *      either label; any label
      … success          how the episode ended, last: success, failure, unknown

    \b
    Example:
      sima2 query results
      sima2 query results "SELECT label, count(*) FROM segments GROUP BY label"
      sima2 query results --sequence "lift > slip{<1s} > … success"
      sima2 query results "FROM attempts WHERE label = 'grasp' AND number = 2 AND outcome = 'success'" --episodes f.txt
    """
    if sum(map(bool, (sql, sequence, table))) > 1:
        raise UsageError("ask one thing: SQL, --sequence or --table")
    if not (sql or sequence) and (csv or episodes):
        raise UsageError("say what to ask, as SQL or by --sequence")
    _refuse(out, csv, episodes)
    if not (sql or sequence):
        told = _overview(out, table)
        answer(told, as_json=as_json, shown=lambda: _overview_shown(told, out))
        return
    most = rows or (LISTED if as_json else SHOWN)
    told = _sequence(out, sequence, most, csv, episodes) if sequence else _sql(out, sql, most, csv, episodes)
    answer(told, as_json=as_json, shown=lambda: _rendered(told))


# ---- SQL


def given(out: Path) -> list[Given]:
    """The tables of a folder of finished runs.

    Raises:
        StoreError: if it is none.
    """
    from sima2.asking import tables_of
    from sima2.records.plan import CardTable
    from sima2.report.dictionary import FILES
    from sima2.report.inputs import read_summary

    found = tables_of(out, {**FILES, "card.parquet": CardTable, "verdict_card.parquet": CardTable})
    read_summary(out)  # there once a run has finished
    return found


def named_views() -> tuple[View, ...]:
    """The views, with the thresholds that tags are given at."""
    from sima2.query.views import views
    from sima2.tags.specs import THRESHOLDS

    return views(THRESHOLDS)


@contextmanager
def opened(out: Path) -> Iterator[Session]:
    """A database over the tables and views of a folder.

    Raises:
        MissingExtraError: if DuckDB is not installed.
        StoreError: if the folder is none of a finished run, or a table of it is damaged.
    """
    from sima2.asking import session

    with session(given(out), named_views()) as asked:
        yield asked


def _sql(out: Path, sql: str, most: int, csv: Path | None, episodes: Path | None) -> dict[str, Any]:
    with opened(out) as asked:
        written: dict[str, Any] = {}
        if csv is not None:
            written |= _csv(csv, ((each.columns, each.rows) for each in asked.each(sql)))
        if episodes is not None:
            written |= _list(episodes, (_ids(each.columns, each.rows) for each in asked.each(sql)))
        if written:
            return written
        found = asked.ask(sql, most)
    return {"columns": list(found.columns), "rows": [list(row) for row in found.rows], **_bounded(found.more, most)}


def _bounded(more: bool, most: int) -> dict[str, Any]:
    note = f"there are more rows than these {most}: choose fewer, or --rows N, or --csv FILE for all"
    return {"more": more, **({"note": note} if more else {})}


# ---- sequences


def _sequence(out: Path, text: str, most: int, csv: Path | None, episodes: Path | None) -> dict[str, Any]:
    import numpy as np

    from sima2.query.pattern import parsed
    from sima2.query.sequences import matches, refuse_unknown

    pattern = parsed(text)
    table, segments = _read(out)
    refuse_unknown(segments, pattern)
    found = matches(segments, table, pattern)
    if csv is not None or episodes is not None:
        written: dict[str, Any] = {}
        if csv is not None:
            columns, rows = _rows(found, pattern)
            written |= _csv(csv, [(columns, rows)])
        if episodes is not None:
            written |= _list(episodes, [found.episode_id.tolist()])
        return written
    columns, rows = _rows(found.take(np.arange(min(most, len(found)))), pattern)
    head = {
        "matches": len(found),
        "episodes": len(set(found.episode_id)),
        "of_episodes": len(table),
        "segments": len(segments),
        "unlabelled": int(segments.label.isin("unknown").sum()),
        "ended_unknown": int(segments.outcome.isin("unknown").sum()),
    }
    return {**head, "columns": list(columns), "rows": rows, **_bounded(len(found) > most, most)}


def _read(out: Path) -> tuple[EpisodeTable, Any]:
    from sima2.io.store import Store
    from sima2.records.episodes import EpisodeTable
    from sima2.report.inputs import read_single, read_summary
    from sima2.shard_tables import SEGMENTS

    with Store.read_only(out) as store:
        segments = SEGMENTS.whole(store)
    read_summary(out)
    return read_single(out, EpisodeTable, "episodes"), segments


def _rows(found: SequenceMatches, pattern: Pattern) -> tuple[tuple[str, ...], list[list[Any]]]:
    """Matches as rows; ``steps`` names the steps, each with its frames."""
    labels = ["|".join(step.what.labels) or "*" for step in pattern.steps]
    spans = zip(found.step_start_frame.tolist(), found.step_end_frame.tolist(), strict=True)
    steps = [
        ", ".join(f"{label} {start}–{end}" for label, start, end in zip(labels, *each, strict=True)) for each in spans
    ]
    columns = ("episode_index", "episode_id", "manipulator", "start_frame", "end_frame")
    values = [getattr(found, name).tolist() for name in columns]
    times = [[round(float(each), 6) for each in column] for column in (found.start_t, found.end_t)]
    told = zip(*values, *times, steps, strict=True)
    return (*columns, "start_t", "end_t", "steps"), [list(row) for row in told]


# ---- files


def _refuse(out: Path, *files: Path | None) -> None:
    """Refuse files that are there, or lie in what is never written into, before anything is read."""
    from sima2.export.target import refuse_file
    from sima2.io.store import Store

    asked = [each for each in files if each is not None]
    if not asked:
        return
    with Store.read_only(out) as store:
        sources = [Path(str(run.settings["path"])) for run in store.runs if run.settings.get("path")]
    for each in asked:
        refuse_file(each, [out, *sources])


def _csv(file: Path, parts: Iterable[tuple[Sequence[str], Sequence[Sequence[Any]]]]) -> dict[str, Any]:
    """Write rows with a header; what is not known is an empty cell."""
    import csv
    from functools import partial

    from sima2.io.durable import replace_file

    rows = 0

    def write(path: Path, parts: Iterator[tuple[Sequence[str], Sequence[Sequence[Any]]]]) -> None:
        nonlocal rows
        with path.open("w", encoding="utf-8", newline="") as sink:
            writer = csv.writer(sink, lineterminator="\n")
            for at, (columns, some) in enumerate(parts):
                if at == 0:
                    writer.writerow(columns)
                writer.writerows([[_cell(each) for each in row] for row in some])
                rows += len(some)

    with _no_half(file):
        replace_file(file, partial(write, parts=iter(parts)))
    return {"csv": str(file), "rows_written": rows}


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _list(file: Path, parts: Iterable[Iterable[str]]) -> dict[str, Any]:
    """Write each episode once, a line each, in the order of the answer."""
    from functools import partial

    from sima2.io.durable import replace_file, write_bytes

    ids = list(dict.fromkeys(each for part in parts for each in part))
    if strange := next((each for each in ids if not each.isprintable() or each != each.strip()), None):
        raise UsageError(f"the episode {strange!r} cannot stand in a list of lines")
    with _no_half(file):
        replace_file(file, partial(write_bytes, data="".join(f"{each}\n" for each in ids).encode()))
    return {"episodes_file": str(file), "episodes_written": len(ids)}


@contextmanager
def _no_half(file: Path) -> Iterator[None]:
    """Nothing is left of a file that was not finished."""
    from sima2.io.durable import TEMPORARY

    try:
        yield
    finally:
        file.with_name(f"{TEMPORARY}{file.name}").unlink(missing_ok=True)


def _ids(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    if "episode_id" not in columns:
        raise UsageError("a list of episodes needs the column episode_id: select it too")
    at = columns.index("episode_id")
    return [str(row[at]) for row in rows if row[at] not in (None, "")]


# ---- what can be asked


def _overview(out: Path, table: str) -> dict[str, Any]:
    import inspect

    tables = given(out)
    views = named_views()
    every = [*(each.name for each in tables), *(view.name for view in views)]
    if table and table not in every:
        raise UnknownNameError("table", table, every)
    meanings: dict[str, str] = {}
    told: dict[str, Any] = {"tables": {}, "views": {}, "sequences": dict(SEQUENCES)}
    for each in tables:
        columns = {column.name: column for column in each.table.declared()}
        meanings = {name: _in_sql(column.meaning) for name, column in columns.items()} | meanings
        about = _in_sql(inspect.cleandoc(each.table.__doc__ or "").partition("\n")[0].replace("``", ""))
        told["tables"][each.name] = {
            "about": about,
            "there": bool(each.files),
            "columns": {
                name: {"unit": column.unit, "meaning": _in_sql(column.meaning)} for name, column in columns.items()
            },
        }
    for view in views:
        of = {name: each["meaning"] for name, each in told["tables"][view.of]["columns"].items()}
        known = {**meanings, **of, **view.columns}
        own = {name: {"meaning": known.get(name, "")} for name in _view_columns(view)}
        told["views"][view.name] = {"about": view.meaning, "example": view.example, "columns": own}
    if table:
        kind = "tables" if table in told["tables"] else "views"
        return {"table": table, **told[kind][table]}
    return told


def _in_sql(meaning: str) -> str:
    """What a column means, where what is not known is NULL."""
    return meaning.replace("NaN", "NULL")


def _view_columns(view: View) -> list[str]:
    """Names of the columns of a view, as its first SELECT lists them."""
    import re

    listed = re.split(r"\bFROM\b", re.sub(r"\([^()]*\)", "", view.sql.partition("SELECT")[2]))[0]
    return [re.split(r"[\s.]+", each.strip())[-1] for each in listed.split(",")]


def _overview_shown(told: Mapping[str, Any], out: Path) -> RenderableType:
    from rich.console import Group

    from sima2.report.terminal import bullets, plain, titled

    if "table" in told:
        example = [f'sima2 query {out} "{told["example"]}"'] if "example" in told else []
        absent = [] if told.get("there", True) else ["this run has none: it is empty"]
        parts = titled("Columns", _columns(told["columns"]))
        return Group(plain(f"{told['table']}: {told['about']}"), *map(plain, absent), *parts, *map(plain, example))
    parts = []
    for name, view in told["views"].items():
        body = Group(plain(view["about"]), plain(", ".join(view["columns"])), plain(f"e.g. {view['example']}"))
        parts += titled(name, body)
    for name in TOLD:
        table = told["tables"][name]
        parts += titled(name, Group(plain(table["about"]), _columns(table["columns"])))
    rest = {name: table for name, table in told["tables"].items() if name not in TOLD}
    more = [f"{name}: {', '.join(table['columns'])}" for name, table in rest.items() if table["there"]]
    if empty := [name for name, table in rest.items() if not table["there"]]:
        more.append(f"empty in this run: {', '.join(empty)}")
    parts += titled(f"Further tables (sima2 query {out} --table NAME says what columns mean)", bullets(more))
    lines = [f'--sequence "{pattern}": {words}' for pattern, words in told["sequences"].items()]
    return Group(
        plain("Views, made of the tables below; what is not known is NULL, tables are joined on episode_id."),
        *parts,
        *titled("Sequences", bullets(lines)),
    )


def _columns(columns: Mapping[str, Mapping[str, str]]) -> RenderableType:
    from rich.table import Table

    from sima2.report.terminal import plain

    body = Table.grid(padding=(0, 2))
    body.add_column(no_wrap=True)
    body.add_column(overflow="fold", style="dim")
    for name, each in columns.items():
        unit = f" [{each['unit']}]" if each.get("unit") else ""
        body.add_row(plain(name), plain(each["meaning"].replace("`", "") + unit))
    return body


# ---- answers for people


def _rendered(told: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group

    from sima2.report.terminal import listing, plain
    from sima2.report.text import count, number

    if "columns" not in told:
        return listing({name: number(each) if isinstance(each, int) else each for name, each in told.items()})
    parts: list[RenderableType] = []
    if "matches" in told:
        among = f"in {number(told['episodes'])} of {count(told['of_episodes'], 'episode')}"
        parts.append(plain(f"{count(told['matches'], 'match', 'matches')} {among}"))
        if not told["matches"] and told["unlabelled"] + told["ended_unknown"]:
            parts.append(
                plain(
                    f"of {count(told['segments'], 'segment')}, {number(told['unlabelled'])} bear no label (unknown), "
                    f"and of {number(told['ended_unknown'])} it is not known how they ended: these match nothing"
                )
            )
    elif not told["rows"]:
        parts.append(plain("no row"))
    if told["rows"]:
        parts.append(_table(told["columns"], told["rows"]))
    return Group(*parts, *map(plain, [told["note"]] if told["more"] else []))


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> RenderableType:
    """Rows as a table; where that is wider than the terminal, one value a line."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from sima2.report.terminal import Fitting, grid, plain
    from sima2.report.text import visible

    heads = [visible(name, longest=60) for name in columns]
    cells = [[plain(_value(each)) for each in row] for row in rows]
    numeric = [at for at in range(len(columns)) if all(isinstance(row[at], int | float | None) for row in rows)]
    wide = grid(heads, cells, numeric=numeric)
    narrow: list[RenderableType] = []
    for row in cells:
        body = Table.grid(padding=(0, 2))
        body.add_column(style="dim", overflow="fold")
        body.add_column(overflow="fold")
        for name, cell in zip(heads, row, strict=True):
            body.add_row(Text(name), cell)
        narrow += [body, Text()]
    return Fitting(wide, Group(*narrow[:-1]))


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list) and len(value) > FEW:
        return f"{json.dumps(value[:FEW], ensure_ascii=False)[:-1]}, … {len(value)} in all]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
