"""Parallel columns that are cut and joined as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from sima2.records.arrays import Int64s

C = TypeVar("C", bound="Columns")


class Columns:
    """A frozen dataclass whose fields are arrays of one length, mappings of such, or other columns."""

    __slots__ = ()

    @property
    def nbytes(self) -> int:
        """Bytes of all columns."""
        columns = [getattr(self, each.name) for each in fields(self)]  # type: ignore[arg-type]
        return sum(map(_bytes, columns))

    def take(self: C, index: Int64s) -> C:
        """Rows by index."""
        return type(self)(**{each.name: _take(getattr(self, each.name), index) for each in fields(self)})  # type: ignore[arg-type]

    @classmethod
    def concat(cls: type[C], parts: Sequence[C]) -> C:
        """Rows end to end; at least one part."""
        if len(parts) == 1:
            return parts[0]
        names = [each.name for each in fields(cls)]  # type: ignore[arg-type]
        return cls(**{name: _concat([getattr(part, name) for part in parts]) for name in names})


def _bytes(column: Any) -> int:
    return sum(map(_bytes, column.values())) if isinstance(column, Mapping) else int(column.nbytes)


def _take(column: Any, index: Int64s) -> Any:
    if isinstance(column, Mapping):
        return {name: x[index] for name, x in column.items()}
    return column[index] if isinstance(column, np.ndarray) else column.take(index)


def _concat(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], Mapping):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else type(parts[0]).concat(parts)
