"""Statistics of episodes as LeRobot keeps them, and those of a set made of them.

Source: LeRobot v0.6.1, ``datasets/compute_stats.py``: ``get_feature_stats`` (min, max, mean, std, count, and quantiles
under ``q01`` … ``q99``) and ``aggregate_feature_stats`` (mean and variance by counts, quantiles as the mean of those of
the episodes weighted by count, which is what LeRobot itself writes). Quantiles of an episode are exact here.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Float64s

PLAIN: Final = ("min", "max", "mean", "std", "count")
_QUANTILE: Final = re.compile(r"q(\d{2})\Z")


def is_measure(key: str) -> bool:
    """Whether a statistic is one that can be made anew.

    >>> is_measure("mean"), is_measure("q99"), is_measure("median")
    (True, True, False)
    """
    return key in PLAIN or _QUANTILE.match(key) is not None


def measures(values: NDArray[Any], keys: Iterable[str]) -> dict[str, Float64s]:
    """Statistics over the frames of an episode; what is not finite is left out, NaN where nothing is left.

    Args:
        values: shape (t, w), t > 0.
        keys: which.

    Returns:
        Each of shape (w,), ``count`` of shape (1,).
    """
    rows = np.asarray(values, np.float64)
    good = np.isfinite(rows)
    finite = bool(good.all())
    clean = rows if finite else np.where(good, rows, np.nan)
    found: dict[str, Float64s] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column of which nothing is left
        for key in keys:
            if key == "count":
                found[key] = np.array([float(len(rows))])
            elif key in PLAIN:
                found[key] = getattr(clean, key)(axis=0) if finite else getattr(np, f"nan{key}")(clean, axis=0)
            elif (match := _QUANTILE.match(key)) is not None:
                found[key] = np.nanquantile(clean, int(match[1]) / 100, axis=0)
    return found


def together(each: Mapping[str, Float64s], count: Float64s) -> dict[str, Float64s]:
    """Statistics of a set out of those of its episodes.

    Args:
        each: by key, shape (n, w); with ``mean`` where ``std`` is to be made.
        count: of each episode, shape (n,).

    Returns:
        By key, shape (w,); ``count`` of shape (1,).

    >>> both = together({"min": np.array([[0.0], [2.0]]), "mean": np.array([[1.0], [4.0]])}, np.array([1.0, 2.0]))
    >>> both["min"].tolist(), both["mean"].tolist()
    ([0.0], [3.0])
    """
    share = count[:, None] / count.sum()
    found: dict[str, Float64s] = {}
    for key, values in each.items():
        if key == "count":
            found[key] = np.array([count.sum()])
        elif key in ("min", "max"):
            found[key] = getattr(np, key)(values, axis=0)
        elif key == "std":
            mean = each["mean"]
            centre = (mean * share).sum(axis=0)
            found[key] = np.sqrt(((values**2 + (mean - centre) ** 2) * share).sum(axis=0))
        elif is_measure(key):
            found[key] = (values * share).sum(axis=0)
    return found


def like(sample: Any, values: Float64s) -> Any:
    """Numbers as JSON in the shape and of the kind of what is there already.

    >>> like([[[0.5]], [[0.5]]], np.array([1.0, 2.0])), like([7], np.array([3.0]))
    ([[[1.0]], [[2.0]]], [3])
    """
    if isinstance(sample, list) and len(sample) == len(values) and all(type(each) is float for each in sample):
        return values.tolist()
    shape = np.shape(sample)
    flat = np.asarray(sample).reshape(-1).tolist()
    whole = bool(flat) and all(type(each) is int for each in flat)
    laid = values.reshape(shape) if values.size == int(np.prod(shape)) else values
    whole = whole and bool(np.isfinite(laid).all()) and bool((laid == np.round(laid)).all())
    return (laid.astype(np.int64) if whole else laid).tolist()
