"""Rows of data files as they are in a copy: those of the source bit for bit, but for what numbers and times them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sima2.errors import DatasetError
from sima2.io.formats.lerobot_files import numbers_of
from sima2.records.arrays import Float64s, Int64s

NUMBERED: Final = ("timestamp", "frame_index", "episode_index", "index")
"""Columns that are made anew; every other is carried through."""

SUCCESS: Final = "next.success"
"""Column that tells of each frame whether the task is done after it."""

Rows = slice | Int64s


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the frames of an episode come from and where they go."""

    old: int
    """The source's own number."""
    new: int
    start: int
    """First frame that is kept."""
    stop: int
    """One past the last."""
    frames: int
    """Frames in the source."""
    offset: int
    """New ``index`` of the first."""

    @property
    def cut(self) -> bool:
        """Whether it loses frames."""
        return self.start > 0 or self.stop < self.frames

    @property
    def length(self) -> int:
        """Frames that are kept."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Shift:
    """What became of the numbers of an episode."""

    index: float
    """Subtracted from ``index``; NaN where that is no plain shift, or there is no such column."""
    frame: float
    """Subtracted from ``frame_index``."""
    seconds: float
    """Subtracted from ``timestamp``; what a video is begun later by."""


def taken(table: pa.Table, rows: Rows, placed: Placed) -> pa.Table:
    """The kept frames of an episode out of a table, its rows given in order."""
    if isinstance(rows, slice):
        return table.slice(rows.start + placed.start, placed.length)
    return table.take(pa.array(rows[placed.start : placed.stop]))


def renumbered(
    name: object, table: pa.Table, placed: Sequence[Placed], fps: float | None
) -> tuple[pa.Table, list[Shift]]:
    """Kept frames of episodes end to end under their new numbers, and what that changed of each.

    ``timestamp`` and ``frame_index`` begin at 0 in an episode that is cut, in the source's own steps; where the source
    times frames evenly by its rate, so does the copy, to the bit.

    Args:
        name: of the file, for messages.
        table: rows of the episodes one after the other.
        placed: the episodes, in that order.
        fps: frames per second as the source states them.

    Raises:
        DatasetError: if a column of numbers holds something else.
    """
    new: NDArray[np.generic]
    length = np.array([each.length for each in placed], np.int64)
    offset = np.array([each.offset for each in placed], np.int64)
    first = np.r_[0, np.cumsum(length)[:-1]].astype(np.int64)
    place = np.arange(len(table)) - np.repeat(first, length)
    shifts: dict[str, Float64s] = {key: np.full(len(placed), np.nan) for key in ("index", "frame")}
    seconds = np.array([each.start / fps if fps else np.nan for each in placed])
    for column in NUMBERED:
        at = table.schema.get_field_index(column)
        if at < 0:
            continue
        if column == "timestamp" and not any(each.cut for each in placed):
            seconds[:] = 0.0
            continue
        old = _plain(name, table, column)
        if column == "episode_index":
            new = np.repeat(np.array([each.new for each in placed], np.int64), length)
        elif column == "index":
            new = place + np.repeat(offset, length)
            shifts["index"] = _shift(old, new, first, length)
        elif column == "frame_index":
            shifts["frame"] = old[first].astype(np.float64)
            if not shifts["frame"].any():
                continue
            new = old - np.repeat(old[first], length)
        else:
            new, seconds = _times(old, placed, first, fps)
        field = table.schema.field(at)
        table = table.set_column(at, field, _cast(name, column, new, field.type))
    told = zip(shifts["index"].tolist(), shifts["frame"].tolist(), seconds.tolist(), strict=True)
    return table, [Shift(*each) for each in told]


def ended(name: object, table: pa.Table, placed: Sequence[Placed], said: Mapping[int, bool]) -> pa.Table:
    """Kept frames whose ``next.success`` is as persons say: true on the last frame of a success, else false.

    All other rows stay as they are; so does a table without such a column, or whose column is of another form.

    Args:
        name: of the file, for messages.
        table: rows of the episodes one after the other.
        placed: the episodes, in that order.
        said: by old number, whether the episode succeeded; those that are not here stay as they are.

    Raises:
        DatasetError: if the column cannot hold it.
    """
    at = table.schema.get_field_index(SUCCESS)
    mine = [each.old in said for each in placed]
    if at < 0 or not any(mine):
        return table
    field = table.schema.field(at)
    if pa.types.is_nested(field.type) and not (pa.types.is_fixed_size_list(field.type) or _is_list(field.type)):
        return table
    length = np.array([each.length for each in placed], np.int64)
    last = np.cumsum(length) - 1
    values = np.zeros(len(table), np.int8)
    values[last[[said.get(each.old, False) for each in placed]]] = 1
    new = pa.chunked_array([_cast(name, SUCCESS, values, field.type)])
    rows = np.arange(len(table))
    taken = pa.chunked_array([*table.column(at).chunks, *new.chunks], field.type)
    where = np.where(np.repeat(mine, length), rows + len(table), rows)
    return table.set_column(at, field, taken.take(pa.array(where)))


def _times(
    old: NDArray[np.floating], placed: Sequence[Placed], first: Int64s, fps: float | None
) -> tuple[NDArray[np.floating], Float64s]:
    """Times of kept frames, and by what each episode begins later."""
    new, seconds = old.copy(), np.zeros(len(placed))
    for k, each in enumerate(placed):
        if not each.cut:
            continue
        span = slice(int(first[k]), int(first[k]) + each.length)
        ticks = np.arange(each.start, each.stop)
        if fps and np.array_equal(old[span], (ticks / fps).astype(old.dtype)):
            new[span], seconds[k] = (ticks - each.start) / fps, each.start / fps
        elif each.start:
            seconds[k] = old[span][0]
            new[span] = (old[span].astype(np.float64) - seconds[k]).astype(old.dtype)
    return new, seconds


def _shift(old: NDArray[np.generic], new: NDArray[np.generic], first: Int64s, length: Int64s) -> Float64s:
    """What was subtracted of each episode's numbers, NaN where that differs within it."""
    less = old.astype(np.float64) - new.astype(np.float64)
    alike = np.logical_and.reduceat(less == np.repeat(less[first], length), first)
    return np.where(alike, less[first], np.nan)


def _plain(name: object, table: pa.Table, column: str) -> NDArray[np.floating]:
    """A column of one number a row."""
    got = None if table.column(column).null_count else numbers_of(table.column(column))
    if got is None or got[0].shape[1] != 1 or got[1] is not None:
        raise DatasetError(name, f"{column} is not one number a row, so its frames cannot be numbered anew")
    return got[0][:, 0]


def _cast(name: object, column: str, values: NDArray[np.generic], kind: pa.DataType) -> pa.Array:
    """Numbers in the type of the column that they replace."""
    inner = kind.value_type if pa.types.is_fixed_size_list(kind) or _is_list(kind) else kind
    try:
        flat = pa.array(values).cast(inner)
    except pa.ArrowInvalid as error:
        raise DatasetError(name, f"{column} cannot hold the new numbers: {str(error)[:100]}") from None
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(flat, 1).cast(kind)
    if _is_list(kind):
        return pa.ListArray.from_arrays(pa.array(np.arange(len(values) + 1), pa.int32()), flat).cast(kind)
    return flat


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def placed_of(number: Int64s, start: Int64s, stop: Int64s, frames: Int64s, offset: Int64s) -> Mapping[int, Placed]:
    """Episodes by their old number; arguments are those of a selection, each of shape (n,)."""
    told = zip(*(each.tolist() for each in (number, start, stop, frames, offset[: len(number)])), strict=True)
    return {old: Placed(old, new, a, b, all_, at) for new, (old, a, b, all_, at) in enumerate(told)}
