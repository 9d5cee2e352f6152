"""Tables as plain files: csv, one JSON object a line, or Parquet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import csv

from sima2.errors import UnknownNameError
from sima2.export.target import target_folder
from sima2.io.arrow import to_arrow, write_table
from sima2.records.table import Table

FORMATS: Final = ("csv", "json", "parquet")
LINES_AT_ONCE: Final = 65_536


def write_tables(tables: Mapping[str, Table], target: Path, kind: str, *, source: Path | None = None) -> dict[str, int]:
    """Write a file a table; how many rows each has, by the file's name.

    csv has a header and empty cells for NaN; a file of JSON has an object a line, null for NaN.

    Args:
        tables: by the name of their file, without its ending.
        target: a folder that is missing or empty.
        kind: one of ``FORMATS``.
        source: the data set, which nothing is written into.

    Raises:
        UnknownNameError: if ``kind`` is none.
        UsageError: if the target is taken.
    """
    if kind not in FORMATS:
        raise UnknownNameError("format", kind, FORMATS)
    ending = "jsonl" if kind == "json" else kind
    written = {}
    with target_folder(target, source) as building:
        for name, table in tables.items():
            file = building / f"{name}.{ending}"
            written[file.name] = len(table)
            if kind == "parquet":
                write_table(file, table)
            elif kind == "csv":
                csv.write_csv(_without_nan(to_arrow(table)), file)
            else:
                _write_lines(file, _without_nan(to_arrow(table)))
    return written


def _without_nan(table: pa.Table) -> pa.Table:
    """Null where there is no number."""
    import pyarrow.compute as pc

    for at, each in enumerate(table.schema):
        if pa.types.is_floating(each.type):
            column = table.column(at)
            clean = pc.if_else(pc.is_finite(column), column, pa.scalar(None, each.type))
            table = table.set_column(at, each.with_nullable(True), clean)
    return table


def _write_lines(file: Path, table: pa.Table) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as sink:
        for piece in table.to_batches(LINES_AT_ONCE):
            rows: list[dict[str, Any]] = piece.to_pylist()
            sink.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
