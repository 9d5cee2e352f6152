"""Frozen columns: the base of every record that is a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field, fields
from functools import cache
from itertools import chain
from typing import Any, ClassVar, NamedTuple, Self, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sima2.errors import RecordError
from sima2.records.arrays import Bools

Array = TypeVar("Array", bound=np.ndarray[Any, Any])


def read_only(array: Array) -> Array:
    """The same memory behind a view that cannot be written."""
    view = array.view()
    view.flags.writeable = False
    return view


def _is_everything(index: NDArray[Any], n: int) -> bool:
    """Whether an index or mask of rows asks for all of n, in their order."""
    if not isinstance(index, np.ndarray) or index.shape != (n,):
        return False
    return bool(index.all()) if index.dtype == np.bool_ else bool((index == np.arange(n)).all())


class Text:
    """A column of text as small integer codes over a vocabulary.

    >>> labels = Text.of(["grasp", "lift", "grasp"])
    >>> labels.names, labels.codes.tolist(), labels[2]
    (('grasp', 'lift'), [0, 1, 0], 'grasp')
    >>> labels.isin("grasp").tolist()
    [True, False, True]
    """

    __slots__ = ("codes", "names")

    codes: NDArray[np.int32]
    """Index into ``names``, shape (n,)."""
    names: tuple[str, ...]
    """The vocabulary; distinct, may hold names that do not occur."""

    def __init__(self, codes: NDArray[Any], names: Sequence[str]) -> None:
        codes = np.ascontiguousarray(codes, dtype=np.int32)
        if codes.ndim != 1:
            raise RecordError(f"text codes have shape {codes.shape}, not (n,)")
        # one that is negative is a large one without a sign
        if codes.size and int(codes.view(np.uint32).max()) >= len(names):
            raise RecordError(f"text codes {codes.min()}..{codes.max()} leave the {len(names)} names")
        self.codes = read_only(codes)
        self.names = tuple(names)

    @classmethod
    def of(cls, values: Iterable[str], names: Sequence[str] | None = None) -> Self:
        """Encode text; the vocabulary is ``names`` or the values in order of first appearance."""
        values = list(values)
        known = {name: code for code, name in enumerate(dict.fromkeys(values) if names is None else names)}
        try:
            codes = np.fromiter(map(known.__getitem__, values), np.int32, len(values))
        except KeyError as error:
            raise RecordError(f"{error.args[0]!r} is not one of {', '.join(names or ())}") from None
        return cls(codes, tuple(known))

    @classmethod
    def full(cls, n: int, value: str) -> Self:
        """The same value n times."""
        return cls(np.zeros(n, np.int32), (value,))

    @classmethod
    def concat(cls, parts: Sequence[Text]) -> Self:
        """Parts end to end over the union of their vocabularies."""
        if not parts:
            return cls(np.zeros(0, np.int32), ())
        if all(part.names == parts[0].names for part in parts):
            return cls(np.concatenate([part.codes for part in parts]), parts[0].names)
        names = tuple(dict.fromkeys(chain.from_iterable(part.names for part in parts)))
        known = dict(zip(names, range(len(names)), strict=True))
        codes = []
        for part in parts:
            remap = np.fromiter(map(known.__getitem__, part.names), np.int32, len(part.names))
            codes.append(remap[part.codes] if len(part.names) else part.codes)
        return cls(np.concatenate(codes), names)

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[str]:
        return map(self.names.__getitem__, self.codes.tolist())

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> str: ...
    @overload
    def __getitem__(self, index: NDArray[Any] | slice) -> Text: ...
    def __getitem__(self, index: Any) -> str | Text:
        codes = self.codes[index]
        return self.names[int(codes)] if codes.ndim == 0 else self._same_names(codes)

    def _same_names(self, codes: NDArray[np.int32]) -> Text:
        """Some of these codes over the same names, which need no check."""
        text = object.__new__(type(self))
        text.codes, text.names = read_only(np.ascontiguousarray(codes)), self.names
        return text

    def __repr__(self) -> str:
        return f"Text({list(self)!r})" if len(self) < 8 else f"Text(n={len(self)}, {len(self.names)} names)"

    def tolist(self) -> list[str]:
        """The values as a list."""
        return list(self)

    def decode(self) -> NDArray[np.object_]:
        """The values as an object array, shape (n,)."""
        names = np.empty(len(self.names), object)
        names[:] = self.names
        return names[self.codes] if len(self.names) else np.empty(0, object)

    def isin(self, *values: str) -> Bools:
        """Where the value is one of ``values``, shape (n,)."""
        hit = np.array([name in values for name in self.names], np.bool_)
        return hit[self.codes] if len(self.names) else np.zeros(0, np.bool_)

    def recode(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Codes over another vocabulary, -1 where it lacks the value, shape (n,)."""
        known = {name: code for code, name in enumerate(names)}
        remap = np.array([known.get(name, -1) for name in self.names], np.int32)
        return remap[self.codes] if len(self.names) else np.zeros(0, np.int32)


def column(dtype: DTypeLike, meaning: str, *, unit: str = "") -> Any:
    """A numeric column of fixed dtype.

    Args:
        dtype: of numpy.
        meaning: what a value says, and what NaN says where it may occur; it goes into every file and the dictionary.
        unit: as in ``Column``.
    """
    return _declaration(np.dtype(dtype), 1, meaning, unit)


def matrix(dtype: DTypeLike, meaning: str, *, unit: str) -> Any:
    """A column of vectors of one width, shape (n, d); arguments as for :func:`column`."""
    return _declaration(np.dtype(dtype), 2, meaning, unit)


def text(meaning: str) -> Any:
    """A text column; the meaning says what an empty text stands for, where it may occur."""
    return _declaration(None, 1, meaning, "")


def _declaration(dtype: np.dtype[Any] | None, ndim: int, meaning: str, unit: str) -> Any:
    return field(metadata={"dtype": dtype, "ndim": ndim, "meaning": meaning, "unit": unit})


class Column(NamedTuple):
    """A column as its table declares it."""

    name: str
    dtype: np.dtype[Any] | None
    """None is text."""
    ndim: int
    """2 where a value is a vector."""
    meaning: str
    """What a value says, in a sentence or two."""
    unit: str
    """Of a measure its unit (``1`` for a pure number), of a count what is counted; empty for names, for numbers that
    only tell one thing from another, and for truth values."""


def _declared(table: Any) -> tuple[Column, ...]:
    return tuple(Column(each.name, **each.metadata) for each in fields(table))


_columns: Callable[[Any], tuple[Column, ...]] = cache(_declared)


class Table:
    """Parallel read-only columns of one length.

    A subclass is ``@dataclass(frozen=True, eq=False)``; its fields are made by :func:`column`, :func:`matrix` and
    :func:`text`.
    """

    schema_version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        lengths = {}
        for name, dtype, ndim, *_ in _columns(type(self)):
            value = getattr(self, name)
            if dtype is None:
                if not isinstance(value, Text):
                    value = Text.of(value)
            else:
                value = np.asarray(value)
                if value.dtype != dtype:
                    value = value.astype(dtype, casting="same_kind" if value.size else "unsafe")
                if value.ndim != ndim:
                    raise RecordError(f"{type(self).__name__}.{name} has shape {value.shape}")
                value = read_only(value)
            object.__setattr__(self, name, value)
            lengths[name] = len(value)
        if len(set(lengths.values())) > 1:
            raise RecordError(f"{type(self).__name__}: columns of unequal length: {lengths}")

    @classmethod
    def declared(cls) -> tuple[Column, ...]:
        """The columns in order, with what each means."""
        return _columns(cls)

    @classmethod
    def columns(cls) -> dict[str, np.dtype[Any] | None]:
        """Column names in order with their dtypes; None is text."""
        return {each.name: each.dtype for each in _columns(cls)}

    @classmethod
    def empty(cls) -> Self:
        """A table with no rows."""
        return cls(
            **{
                name: Text.of(()) if dtype is None else np.zeros((0,) * ndim, dtype)
                for name, dtype, ndim, *_ in _columns(cls)
            }
        )

    @classmethod
    def concat(cls, tables: Sequence[Self]) -> Self:
        """Tables end to end."""
        tables = [table for table in tables if len(table)] or list(tables[:1])
        if len(tables) == 1:
            return tables[0]
        if not tables:
            return cls.empty()
        parts: dict[str, Any] = {}
        for name, dtype, *_ in _columns(cls):
            values = [getattr(table, name) for table in tables]
            parts[name] = Text.concat(values) if dtype is None else np.concatenate(values)
        return cls(**parts)

    def __len__(self) -> int:
        return len(getattr(self, _columns(type(self))[0].name))

    def take(self, index: NDArray[Any]) -> Self:
        """Rows by index or mask, in that order; all of them in their own order are the table itself."""
        if _is_everything(index, len(self)):
            return self
        return type(self)(**{name: getattr(self, name)[index] for name in self.columns()})

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows as dictionaries of plain values: for people and reports, not for stages."""
        names = list(self.columns())
        lists = [getattr(self, name).tolist() for name in names]
        return (dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True))
