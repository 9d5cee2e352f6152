"""Reductions over ragged spans: each result depends on the rows of its own span alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools, Float64s, Int64s

Array = NDArray[Any]


def _reduce(ufunc: np.ufunc, values: Array, start: Array, stop: Array, empty: float) -> Float64s:
    """``ufunc`` over the rows ``start[i]:stop[i]``; ``empty`` where there are none.

    The closing row of a span is an index of its own, so spans may overlap or leave gaps.
    """
    out = np.full((len(start), *values.shape[1:]), empty)
    some = np.flatnonzero(stop > start)
    if not len(some):
        return out
    # one row of memory a column, so that every span lies in one piece
    padded = np.zeros((*values.shape[1:], len(values) + 1))
    padded[..., :-1] = np.moveaxis(values, 0, -1)
    cuts = np.stack([start[some], stop[some]], axis=1).ravel()
    out[some] = np.moveaxis(ufunc.reduceat(padded, cuts, axis=-1)[..., ::2], -1, 0)
    return out


def span_max(values: Array, start: Array, stop: Array) -> Float64s:
    """Largest known value of each span, NaN where none is known, shape (n, ...).

    >>> span_max(np.array([1.0, np.nan, 3.0]), np.array([0, 1]), np.array([1, 3])).tolist()
    [1.0, 3.0]
    """
    return _reduce(np.fmax, values, start, stop, np.nan)


def span_min(values: Array, start: Array, stop: Array) -> Float64s:
    """Smallest known value of each span, NaN where none is known, shape (n, ...)."""
    return _reduce(np.fmin, values, start, stop, np.nan)


def span_sum(values: Array, start: Array, stop: Array) -> Float64s:
    """Sum of the known values of each span, 0 where none is known, shape (n, ...)."""
    unknown = np.isnan(values)
    return _reduce(np.add, np.where(unknown, 0, values) if unknown.any() else values, start, stop, 0.0)


def span_mean(values: Array, start: Array, stop: Array) -> Float64s:
    """Mean of the known values of each span, NaN where none is known, shape (n, ...).

    >>> span_mean(np.array([1.0, np.nan, 3.0]), np.array([0, 1]), np.array([3, 2])).tolist()
    [2.0, nan]
    """
    unknown = np.isnan(values)
    if unknown.any():
        known = _reduce(np.add, ~unknown, start, stop, 0.0)
        total = _reduce(np.add, np.where(unknown, 0, values), start, stop, 0.0)
    else:
        total = _reduce(np.add, values, start, stop, 0.0)
        known = np.empty_like(total)
        known.T[...] = np.maximum(stop - start, 0)
    mean: Float64s = np.divide(total, known, out=np.full_like(total, np.nan), where=known > 0)
    return mean


def head(values: Array, start: Array, stop: Array, rows: int) -> Float64s:
    """The first ``rows`` values of each span side by side, NaN beyond its end, shape (n, rows)."""
    where = start[:, None] + np.arange(rows)
    inside = where < stop[:, None]
    out = np.full(where.shape, np.nan)
    out[inside] = values[where[inside]]
    return out


def row_median(table: Float64s) -> Float64s:
    """Median of the known values of each row, NaN where none is known, shape (n,)."""
    known = np.sum(~np.isnan(table), axis=1)
    ordered = np.sort(table, axis=1)
    row = np.arange(len(table))
    low, high = np.maximum(known - 1, 0) // 2, known // 2
    high = np.minimum(high, np.maximum(known - 1, 0))
    return np.where(known > 0, 0.5 * (ordered[row, low] + ordered[row, high]), np.nan)


def running_max(values: Array, span: Array) -> Int64s:
    """Largest value so far within each span, for integers of less than 2**40, shape (T,).

    Args:
        values: integers, at least 0, shape (T,).
        span: ascending number of the span of each row, shape (T,).
    """
    lift = span.astype(np.int64) << 40
    top: Int64s = np.maximum.accumulate(np.asarray(values, np.int64) + lift) - lift
    return top


def first_true(flag: Bools, start: Array, stop: Array) -> Int64s:
    """First row of each span where ``flag`` holds, counted from its start; -1 where it never does, shape (n,).

    >>> first_true(np.array([False, True, False]), np.array([0, 2]), np.array([2, 3])).tolist()
    [1, -1]
    """
    hits = np.flatnonzero(flag)
    place = np.searchsorted(hits, start)
    hit = np.append(hits, np.iinfo(np.int64).max)[place]
    return np.where(hit < stop, hit - start, -1).astype(np.int64)
