"""How recorded episodes ended: out of their own columns, or out of a file given beside them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError, StoreError
from sima2.io.documents import parse_json, read_document, read_json_lines
from sima2.records.outcome import Outcome
from sima2.records.table import Text
from sima2.records.vocabulary import OUTCOME_SOURCES

COLUMNS: Final = ("success", "failed_at_s", "damage", "nominal")
OUTCOME_FEATURES: Final = ("next.success", "next.reward")
_WORDS: Final = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0, "": math.nan, "nan": math.nan, "null": math.nan}


class Ending(NamedTuple):
    """How one episode ended."""

    success: float = math.nan
    failed_at_s: float = math.nan
    damage: float = math.nan
    nominal: bool = False
    source: str = "none"


def to_outcome(endings: Sequence[Ending]) -> Outcome:
    """Endings as columns."""
    return Outcome(
        success=np.array([each.success for each in endings], np.float64),
        failed_at_s=np.array([each.failed_at_s for each in endings], np.float64),
        damage=np.array([each.damage for each in endings], np.float64),
        nominal=np.array([each.nominal for each in endings], np.bool_),
        source=Text.of([each.source for each in endings], OUTCOME_SOURCES),
    )


def from_columns(features: Mapping[str, NDArray[Any]]) -> Ending:
    """The ending that one episode's own columns tell.

    ``next.success``: it succeeded if any frame says so. Else ``next.reward``: it succeeded if any reward is above 0,
    which is right for sparse rewards, the usual ones of recorded sets; dense rewards that change sign or fall short
    of 0 must be given by a file instead, so a reward with more than two distinct values tells nothing here.

    >>> from_columns({"next.success": np.array([[0.0], [1.0]])}).success
    1.0
    """
    for name in OUTCOME_FEATURES:
        values = features.get(name)
        if values is None:
            continue
        known = values[np.isfinite(values)]
        if not known.size or (name == "next.reward" and len(np.unique(known)) > 2):
            continue
        return Ending(success=float(known.max() > 0), source="recorded")
    return Ending()


@dataclass(frozen=True, slots=True)
class OutcomeFile:
    """Endings by ``episode_index``."""

    endings: Mapping[int, Ending]

    def __contains__(self, episode_index: int) -> bool:
        return episode_index in self.endings

    def __getitem__(self, episode_index: int) -> Ending:
        return self.endings[episode_index]


def load_outcomes(path: Path) -> OutcomeFile:
    """Read outcomes from csv, json, jsonl or parquet.

    Columns: ``episode_index`` and any of ``success``, ``failed_at_s``, ``damage``, ``nominal``; an empty field is
    unknown. JSON holds a list of objects, or one object keyed by the index.

    Raises:
        DatasetError: naming the line that is wrong.
    """
    readers = {".csv": _csv, ".json": _json, ".jsonl": _jsonl, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DatasetError(path, f"is no outcome file: {path.suffix or 'no'} suffix", f"use {', '.join(readers)}")
    endings: dict[int, Ending] = {}
    seen_column = False
    for where, row in reader(path):
        index = _index(path, where, row.get("episode_index"))
        if index in endings:
            raise DatasetError(path, f"{where}: episode_index {index} occurs twice")
        seen_column |= any(name in row for name in COLUMNS)
        endings[index] = _ending(path, where, row)
    if endings and not seen_column:
        raise DatasetError(path, f"has none of the columns {', '.join(COLUMNS)}")
    return OutcomeFile(endings)


Rows = Iterable[tuple[str, Mapping[str, Any]]]


def _csv(path: Path) -> Rows:
    text = read_document(path.parent, path.name)
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
    try:
        for row in reader:
            if "" in row:
                raise DatasetError(path, f"line {reader.line_num}: has more fields than the header")
            yield f"line {reader.line_num}", {key.strip(): value for key, value in row.items() if key}
    except csv.Error as error:
        raise DatasetError(path, f"after line {reader.line_num}: {error}") from None


def _json(path: Path) -> Rows:
    data = parse_json(read_document(path.parent, path.name), path)
    if isinstance(data, dict):
        data = [{"episode_index": key, **(value if isinstance(value, dict) else {})} for key, value in data.items()]
    if not isinstance(data, list):
        raise DatasetError(path, "holds neither a list nor an object")
    for number, row in enumerate(data, 1):
        if not isinstance(row, dict):
            raise DatasetError(path, f"entry {number}: is {type(row).__name__}, expected an object")
        yield f"entry {number}", row


def _jsonl(path: Path) -> Rows:
    rows, problems = read_json_lines(path.parent, path.name)
    if problems:
        raise DatasetError(path, problems[0])
    for number, row in rows:
        yield f"line {number}", row


def _parquet(path: Path) -> Rows:
    from sima2.io.arrow import plain_rows, read_parquet

    try:
        data = read_parquet(path)
    except StoreError as error:
        raise DatasetError(path, "is not Parquet one can read") from error
    columns = {name: plain_rows(data.column(name)) for name in ("episode_index", *COLUMNS) if name in data.column_names}
    for number, values in enumerate(zip(*columns.values(), strict=True), 1):
        yield f"row {number}", dict(zip(columns, values, strict=True))


def _index(path: Path, where: str, value: Any) -> int:
    try:
        index = int(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else -1
    except ValueError:
        index = -1
    if index < 0:
        raise DatasetError(path, f"{where}: episode_index {value!r} is not a whole number from 0")
    return index


def _ending(path: Path, where: str, row: Mapping[str, Any]) -> Ending:
    success, failed_at, damage, nominal = (_number(path, where, name, row.get(name)) for name in COLUMNS)
    if success not in (0.0, 1.0) and not math.isnan(success):
        raise DatasetError(path, f"{where}: success {success} is neither 0 nor 1")
    if failed_at < 0 or damage < 0:
        raise DatasetError(path, f"{where}: failed_at_s and damage cannot be negative")
    known = any(not math.isnan(each) for each in (success, failed_at, damage, nominal))
    return Ending(success, failed_at, damage, nominal == 1.0, "recorded" if known else "none")


def _number(path: Path, where: str, name: str, value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _WORDS:
            return _WORDS[word]
        value = word
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise DatasetError(path, f"{where}: {name} {value!r} is not a number") from None
    if math.isinf(number):
        raise DatasetError(path, f"{where}: {name} is infinite")
    return number
