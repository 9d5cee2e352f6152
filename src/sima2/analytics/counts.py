"""Trust counts: all that trust is computed from, as integers that merge exactly in any order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.analytics.econ_settings import CostField
from sima2.errors import RecordError, UsageError
from sima2.records.arrays import Float64s, Indices, Int64s
from sima2.records.table import Text, read_only

INFERRED: Final = ":inferred"
"""Ends the name of a panel whose outcomes were inferred from the segments."""
WHOLE: Final = ":whole"
"""Ends the name of a panel of predictive tags as given at any time of the episode: shown beside, never judged by."""

_EXACT_EPISODES: Final = 2**21
"""So many grains of at most 2**31 still add up exactly in a double."""

Counts = Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Every tag against one cost: counts C[tag, stratum, y-bin, tagged] and what they cost in grains."""

    edges: Float64s
    """Bin k holds ``edges[k - 1] <= y < edges[k]``, shape (b - 1,); of y, or of its midrank within the stratum."""
    grain: float
    """Unit of ``mass``, in the cost's unit."""
    tags: tuple[str, ...]
    """Sorted, t of them."""
    strata: tuple[str, ...]
    """Sorted, s of them."""
    cells: Counts
    """Episodes, shape (t, s, b, 2); the last axis is untagged, tagged."""
    mass: Counts
    """Sum of their costs in grains, shape (t, s, b, 2)."""
    dropped: Counts
    """Episodes left out: the cost is not finite or the tag was not assessed, shape (t,)."""
    price: bool = False
    """The cost is a non-negative price, of which a premium is meaningful."""
    given_failure: bool = False
    """Exposure is an attempted correction among episodes that failed, not the tag itself."""
    known: int = 0
    """Episodes whose cost is known, whatever their tags."""

    def __post_init__(self) -> None:
        shape = (len(self.tags), len(self.strata), len(self.edges) + 1, 2)
        if self.cells.shape != shape or self.mass.shape != shape or self.dropped.shape != shape[:1]:
            raise RecordError(f"panel of shape {self.cells.shape}, expected {shape}")
        for name in ("edges", "cells", "mass", "dropped"):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    def digest(self, tag: str) -> str:
        """Digest of what is known of one tag, the same however it was merged."""
        return self.digest_at(self.tags.index(tag))

    def digest_at(self, t: int) -> str:
        """:meth:`digest` of tag number ``t``."""
        tag = self.tags[t]
        hashed = hashlib.blake2b(digest_size=16)
        hashed.update(json.dumps([tag, self.grain, self.price, self.given_failure]).encode())
        hashed.update(self.edges.astype("<f8").tobytes())
        cells, mass = self.cells[t], self.mass[t].sum(axis=1)
        used = np.flatnonzero(cells.max(axis=(1, 2), initial=0))
        hashed.update(json.dumps([self.strata[s] for s in used.tolist()]).encode())
        hashed.update(cells[used].astype("<i8", copy=False).tobytes())
        hashed.update(mass[used].astype("<i8", copy=False).tobytes())
        return hashed.hexdigest()


@dataclass(frozen=True, slots=True)
class TrustCounts:
    """Panels by the name of their cost (with :data:`INFERRED` at its end where its outcomes are inferred).

    >>> TrustCounts() == merge(TrustCounts(), TrustCounts())
    True
    """

    panels: Mapping[str, Panel] = field(default_factory=lambda: MappingProxyType({}))

    def to_json(self) -> str:
        """The counts as JSON text, one row a cell that is not empty."""
        return json.dumps({name: _plain(panel) for name, panel in sorted(self.panels.items())}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> TrustCounts:
        """What :meth:`to_json` wrote.

        Raises:
            RecordError: if the text is something else.
        """
        try:
            return cls({name: _panel(each) for name, each in json.loads(text).items()})
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise RecordError(f"not the JSON text of trust counts: {error!r}") from error

    def digest(self) -> str:
        """Digest of everything counted."""
        parts = {
            name: [panel.digest_at(t) for t in range(len(panel.tags))] for name, panel in sorted(self.panels.items())
        }
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def count(
    indicators: Mapping[str, NDArray[Any]],
    y: Float64s,
    strata: Text | NDArray[Any],
    cost: CostField,
    *,
    name: str | None = None,
) -> TrustCounts:
    """Count episodes by tag, stratum, bin of their cost, and whether they have the tag.

    Args:
        indicators: by tag: bool, or 1 tagged, 0 not, -1 not assessed; shape (n,).
        y: cost of each episode; those that are not finite are left out and counted, shape (n,).
        strata: what kind of episode it is, shape (n,).
        cost: how the cost is binned.
        name: of the panel, the cost's own if none.

    Raises:
        UsageError: if lengths differ.
    """
    strata = strata if isinstance(strata, Text) else Text.of(_names(np.asarray(strata)))
    y = np.asarray(y, np.float64)
    edges = cost.edges
    panel = tally(indicators, y, np.searchsorted(edges, y, side="right"), strata, edges, cost.grain, cost.high)
    return TrustCounts({name or cost.name: replace(panel, price=cost.price, given_failure=cost.given_failure)})


def tally(
    indicators: Mapping[str, NDArray[Any]],
    y: Float64s,
    bins: Int64s,
    strata: Text,
    edges: Float64s,
    grain: float,
    high: float,
) -> Panel:
    """:func:`count` of costs that are binned already; they are cut at ``± high`` before they are added up.

    Only the order of bins within a stratum matters to the counts' use.
    """
    tags = tuple(sorted(indicators))
    columns = {tag: as_indicator(tag, indicators[tag], len(y)) for tag in tags}
    if len(strata) != len(y):
        raise UsageError(f"strata of {len(strata)} episodes for costs of {len(y)}")
    names = tuple(sorted({strata.names[code] for code in np.unique(strata.codes).tolist()}))
    row = strata.recode(names).astype(np.int64)
    shape = (len(tags), len(names), len(edges) + 1, 2)
    cells, mass = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    dropped = np.zeros(len(tags), np.int64)
    for start in range(0, len(y), _EXACT_EPISODES):
        cut = slice(start, start + _EXACT_EPISODES)
        cell = row[cut] * shape[2] + bins[cut]
        _add_slab([columns[tag][cut] for tag in tags], y[cut], cell, (grain, high), cells, mass, dropped)
    return Panel(edges, grain, tags, names, cells, mass, dropped, known=int(np.isfinite(y).sum()))


def _add_slab(
    columns: Sequence[NDArray[np.int8]],
    y: Float64s,
    cell: Int64s,
    scale: tuple[float, float],
    cells: Counts,
    mass: Counts,
    dropped: Counts,
) -> None:
    """Add some episodes to the tensors."""
    grain, high = scale
    finite = np.isfinite(y)
    bins, size = cells.shape[2], cells.shape[1] * cells.shape[2]
    cell = cell[finite]
    grains = np.rint(np.clip(y[finite], -high, high) / grain)

    def add(which: Indices | slice) -> tuple[Counts, Counts]:
        counted = np.bincount(cell[which], minlength=size)
        summed = np.bincount(cell[which], weights=grains[which], minlength=size)
        return counted.reshape(-1, bins), summed.astype(np.int64).reshape(-1, bins)

    whole = add(slice(None))
    for t, column in enumerate(columns):
        given = column[finite]
        assessed = given >= 0
        everybody = bool(assessed.all())
        counted, summed = whole if everybody else add(np.flatnonzero(assessed))
        tagged, tagged_mass = add(np.flatnonzero(given == 1))
        cells[t, :, :, 0] += counted - tagged
        cells[t, :, :, 1] += tagged
        mass[t, :, :, 0] += summed - tagged_mass
        mass[t, :, :, 1] += tagged_mass
        dropped[t] += len(column) - int(assessed.sum())


def as_indicator(tag: str, column: Any, n: int) -> NDArray[np.int8]:
    """1 tagged, 0 not, -1 not assessed (NaN, None, NA or masked), shape (n,).

    Raises:
        UsageError: if it has another length or other values.

    >>> as_indicator("A", [True, None, False], 3).tolist()
    [1, -1, 0]
    """
    given = np.asarray(unmasked(column))
    if given.dtype == np.object_:
        given = _nullable(tag, given)
    if given.shape != (n,):
        raise UsageError(f"tag {tag}: indicator of shape {given.shape} for costs of {n} episodes")
    if given.dtype == np.bool_:
        return given.astype(np.int8)
    if given.dtype.kind not in "iuf":
        raise UsageError(f"tag {tag}: indicator of type {given.dtype}, expected bool")
    values = np.where(np.isnan(given), -1, given) if given.dtype.kind == "f" else given
    if not ((values == 0) | (values == 1) | (values == -1)).all():
        raise UsageError(f"tag {tag}: indicator holds other values than 0 and 1; compare its level with a threshold")
    return values.astype(np.int8)


def unmasked(column: Any) -> Any:
    """A masked array as objects, None where it is masked; anything else as it is."""
    if not isinstance(column, np.ma.MaskedArray):
        return column
    values = np.array(np.ma.getdata(column), object)
    values[np.ma.getmaskarray(column)] = None
    return values


def _nullable(tag: str, given: NDArray[Any]) -> Float64s:
    """Numbers of a column of objects, NaN where it says nothing."""
    values = np.full(given.shape, np.nan)
    for k, value in enumerate(given.ravel().tolist()):
        if isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
            values.flat[k] = float(value)
        elif value is not None and type(value).__name__ != "NAType":
            raise UsageError(f"tag {tag}: indicator holds {value!r}, expected bool")
    return values


def merge(a: TrustCounts, b: TrustCounts) -> TrustCounts:
    """Counts of two disjoint sets of episodes together: associative, commutative, exact.

    Raises:
        RecordError: if a cost was binned in two ways.
    """
    panels = dict(a.panels)
    for name, panel in b.panels.items():
        panels[name] = _merged(name, panels[name], panel) if name in panels else panel
    return TrustCounts(MappingProxyType(dict(sorted(panels.items()))))


def of_collection(counts: TrustCounts, collection: str) -> TrustCounts:
    """The same counts with strata that are of one collection and of no other: its name stands last."""
    panels = {}
    for name, panel in counts.panels.items():
        strata = [f"{stratum}|{collection}" for stratum in panel.strata]
        order = sorted(range(len(strata)), key=strata.__getitem__)
        panels[name] = replace(
            panel,
            strata=tuple(strata[k] for k in order),
            cells=panel.cells[:, order],
            mass=panel.mass[:, order],
        )
    return TrustCounts(MappingProxyType(panels))


def _merged(name: str, a: Panel, b: Panel) -> Panel:
    if not np.array_equal(a.edges, b.edges) or (a.grain, a.price) != (b.grain, b.price):
        raise RecordError(f"counts of {name} were made with other bins: count again with the same settings")
    tags = tuple(sorted({*a.tags, *b.tags}))
    strata = tuple(sorted({*a.strata, *b.strata}))
    shape = (len(tags), len(strata), len(a.edges) + 1, 2)
    cells, mass = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    dropped = np.zeros(len(tags), np.int64)
    for part in (a, b):
        t = np.array([tags.index(each) for each in part.tags], np.intp)
        place = {stratum: k for k, stratum in enumerate(strata)}
        s = np.array([place[each] for each in part.strata], np.intp)
        cells[np.ix_(t, s)] += part.cells
        mass[np.ix_(t, s)] += part.mass
        dropped[t] += part.dropped
    known = a.known + b.known
    return Panel(a.edges, a.grain, tags, strata, cells, mass, dropped, a.price, a.given_failure, known)


def _names(strata: NDArray[Any]) -> list[str]:
    if strata.ndim != 1:
        raise UsageError(f"strata have shape {strata.shape}, expected (n,)")
    return [str(each) for each in strata.tolist()]


def _plain(panel: Panel) -> dict[str, Any]:
    where = np.flatnonzero(panel.cells.any(axis=3).ravel())
    t, s, b = np.unravel_index(where, panel.cells.shape[:3])
    rows = np.concatenate(
        [np.stack([t, s, b], axis=1), panel.cells.reshape(-1, 2)[where], panel.mass.reshape(-1, 2)[where]], axis=1
    )
    return {
        "edges": panel.edges.tolist(),
        "grain": panel.grain,
        "price": panel.price,
        "given_failure": panel.given_failure,
        "tags": list(panel.tags),
        "strata": list(panel.strata),
        "dropped": panel.dropped.tolist(),
        "known": panel.known,
        "cells": rows.tolist(),
    }


def _panel(given: Mapping[str, Any]) -> Panel:
    edges = np.array(given["edges"], np.float64)
    shape = (len(given["tags"]), len(given["strata"]), len(edges) + 1, 2)
    cells, mass = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    rows = np.array(given["cells"], np.int64).reshape(-1, 7)
    where = tuple(rows[:, :3].T)
    cells[where], mass[where] = rows[:, 3:5], rows[:, 5:]
    return Panel(
        edges=edges,
        grain=float(given["grain"]),
        tags=tuple(given["tags"]),
        strata=tuple(given["strata"]),
        cells=cells,
        mass=mass,
        dropped=np.array(given["dropped"], np.int64),
        price=bool(given["price"]),
        given_failure=bool(given["given_failure"]),
        known=int(given["known"]),
    )
