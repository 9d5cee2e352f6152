"""Tables of which a test says some columns: the rest is nought, and empty words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from sima2.records.table import Table, Text

AnyTable = TypeVar("AnyTable", bound=Table)


def table_of_columns(kind: type[AnyTable], n: int, **columns: Any) -> AnyTable:
    """``n`` rows; a column is one value for all, or one for each row."""
    made: dict[str, Any] = {}
    for each in kind.declared():
        given = columns.get(each.name)
        if each.dtype is None:
            words: Sequence[str] = [given or ""] * n if given is None or isinstance(given, str) else given
            made[each.name] = Text.of(words)
        else:
            made[each.name] = np.broadcast_to(np.asarray(0 if given is None else given, each.dtype), n).copy()
    assert set(columns) <= set(made), set(columns) - set(made)
    return kind(**made)
