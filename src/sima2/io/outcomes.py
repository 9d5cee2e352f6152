"""How recorded episodes ended: out of their own columns, or out of a file given beside them."""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError
from sima2.io.documents import inside, parse_json, read_document, read_json_lines, shown
from sima2.records.outcome import Outcome
from sima2.records.table import Text
from sima2.records.vocabulary import OUTCOME_SOURCES

COLUMNS: Final = ("success", "failed_at_s", "damage", "nominal")
SHOWN: Final = 5
"""Of many things of one kind, so many are named in a warning."""
OUTCOME_FEATURES: Final = ("next.success", "next.reward")
_INDEX: Final = re.compile(r"\s*[0-9]{1,18}\s*")
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

    ``next.success``: it succeeded if any frame says so. Else ``next.reward``: it succeeded if any reward is above 0, or
    none of steps that cost. That is right for sparse rewards, the usual ones of recorded sets; dense rewards must be
    given by a file instead, so a reward with more than two distinct values tells nothing here.

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
        # a cost of -1 a step until the goal is reached, or a reward of 1 there
        reached = known.max() >= 0 if known.min() < 0 else known.max() > 0
        return Ending(success=float(reached), source="recorded")
    return Ending()


@dataclass(frozen=True, slots=True)
class OutcomeFile:
    """Endings by ``episode_index``."""

    endings: Mapping[int, Ending]
    warnings: tuple[str, ...] = ()
    """What the file holds that is not taken: unknown columns, references that failed."""

    def __contains__(self, episode_index: int) -> bool:
        return episode_index in self.endings

    def __getitem__(self, episode_index: int) -> Ending:
        return self.endings[episode_index]


def names_episodes(path: Path) -> bool:
    """Whether a file of outcomes names episodes by ``episode_id``, so that it may speak of several sources.

    Raises:
        DatasetError: if it cannot be read.
    """
    _, row = next(iter(_rows(path)), ("", {}))
    return "episode_id" in row and "episode_index" not in row


def load_outcomes(path: Path, numbers: Callable[[], Mapping[str, int]] = dict) -> OutcomeFile:
    """Read outcomes from csv, json, jsonl or parquet.

    Columns: ``episode_index``, or ``episode_id`` in its place, and any of ``success``, ``failed_at_s``, ``damage``,
    ``nominal``; an empty field is unknown. JSON holds a list of objects, or one object keyed by the index. A success
    that had failed at a time before is a recovery; a reference (``nominal``) that failed is none, and is said in a
    warning.

    Args:
        path: of the file.
        numbers: gives the ``episode_index`` of each episode of the source by its ``episode_id``; a file by
            ``episode_id`` may speak of other sources too, which is left to those.

    Raises:
        DatasetError: naming the line that is wrong.
    """
    named: Mapping[str, int] | None = None
    others = 0
    endings: dict[int, Ending] = {}
    columns: dict[str, None] = {}
    failed_references = []
    for where, row in _rows(path):
        if "episode_index" in row:
            index = _index(path, where, row.get("episode_index"))
        elif "episode_id" in row:
            named = numbers() if named is None else named
            found = named.get(str(row["episode_id"]).strip())
            if found is None:
                others += 1
                continue
            index = found
        else:
            raise DatasetError(
                path, f"{where}: has no episode_index; it has {', '.join(map(_near, list(row)[:SHOWN]))}"
            )
        if index in endings:
            raise DatasetError(path, f"{where}: episode_index {index} occurs twice")
        columns |= dict.fromkeys(row)
        ending = _ending(path, where, row)
        if ending.nominal and (ending.success == 0.0 or not math.isnan(ending.failed_at_s)):
            failed_references.append(f"{where}, episode {index}")
            ending = ending._replace(nominal=False)
        endings[index] = ending
    if endings and not set(COLUMNS) & set(columns):
        raise DatasetError(path, f"has none of the columns {', '.join(COLUMNS)}")
    warnings = []
    unknown = [name for name in columns if name not in ("episode_index", "episode_id", *COLUMNS)]
    if others and not endings:
        warnings.append(f"{path.name}: none of its {others} episodes is of this source")
    if unknown:
        warnings.append(f"{path.name}: not read: {', '.join(map(_near, unknown[:SHOWN]))}{_more(unknown)}")
    if failed_references:
        told = "; ".join(failed_references[:SHOWN]) + _more(failed_references)
        warnings.append(f"{path.name}: nominal, yet failed, so not taken as a reference: {told}")
    return OutcomeFile(endings, tuple(warnings))


def _rows(path: Path) -> Rows:
    readers = {".csv": _csv, ".json": _json, ".jsonl": _jsonl, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DatasetError(path, f"is no outcome file: {path.suffix or 'no'} suffix", f"use {', '.join(readers)}")
    return reader(path)


def beyond_the_end(ending: Ending, duration_s: float, period_s: float) -> bool:
    """Whether an episode is said to have failed after its last frame; NaN where one of them is not known is no."""
    return ending.failed_at_s > duration_s + period_s


def _near(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), ("episode_index", *COLUMNS), n=1)
    return f"column {shown(name)}" + (f" (did you mean {near[0]}?)" if near and near[0] != name else "")


def _more(found: Sequence[str]) -> str:
    return f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""


Rows = Iterable[tuple[str, Mapping[str, Any]]]


def _csv(path: Path) -> Rows:
    text = read_document(path.parent, path.name)
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        twice = [name for name in names if name and names.count(name) > 1]
        if twice:
            raise DatasetError(path, f"line 1: has two columns of one name, {shown(twice[0])}")
        for row in reader:
            if "" in row:
                raise DatasetError(path, f"line {reader.line_num}: has more fields than the header")
            yield f"line {reader.line_num}", {key.strip(): value for key, value in row.items() if key}
    except csv.Error as error:
        raise DatasetError(path, f"after line {reader.line_num}: {error}") from None


def _json(path: Path) -> Rows:
    data = parse_json(read_document(path.parent, path.name), path, once=True)
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
    # imported where it is used: other kinds of file need no Arrow
    from sima2.io.arrow import plain_rows
    from sima2.io.parquet import read_whole

    data = read_whole(inside(path.parent, path.name))
    columns = {name: plain_rows(data.column(name)) for name in data.column_names}
    for number, values in enumerate(zip(*columns.values(), strict=True), 1):
        yield f"row {number}", dict(zip(columns, values, strict=True))


def _index(path: Path, where: str, value: Any) -> int:
    # digits alone: int() takes 1_0 for ten, and figures of every script
    text = str(value) if type(value) is int and 0 <= value < 2**63 else value
    if not isinstance(text, str) or not _INDEX.fullmatch(text):
        raise DatasetError(path, f"{where}: episode_index {shown(value)} is not a whole number from 0")
    return int(text)


def _ending(path: Path, where: str, row: Mapping[str, Any]) -> Ending:
    success, failed_at, damage, nominal = (_number(path, where, name, row.get(name)) for name in COLUMNS)
    for name, number in (("success", success), ("nominal", nominal)):
        if number not in (0.0, 1.0) and not math.isnan(number):
            raise DatasetError(path, f"{where}: {name} {number} is neither 0 nor 1")
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
        raise DatasetError(path, f"{where}: {name} {shown(value)} is not a number") from None
    if math.isinf(number):
        raise DatasetError(path, f"{where}: {name} is infinite")
    return number
