"""Evidence: how often each action on each class of object ended how, episode by episode, in integers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.primitives import PrimitiveTable
from sima2.records.table import Table, Text, column, text
from sima2.records.vocabulary import CONTACT_ACTIONS, UNKNOWN, object_class

RECOVERED: Final = "recovered"
"""Outcome of a failure that a correction made good."""
STEPS: Final = ("approach", *CONTACT_ACTIONS)
"""Actions that are attempts at something; the others are what happens to them."""
_KEYS: Final = ("episode_id", "object", "action", "outcome", "reason", "correction")


@dataclass(frozen=True, eq=False)
class Evidence(Table):
    """Counts of an episode, one row for each combination that occurred, sorted by all its columns."""

    episode_id: Text = text()
    object: Text = text()
    """Object class."""
    action: Text = text()
    outcome: Text = text()
    """``success``, ``failure`` (a retry is a failed attempt), ``unknown``, or ``recovered``."""
    reason: Text = text()
    """Failure reason, empty where nothing failed."""
    correction: Text = text()
    """What made a failure good: ``recovery_maneuver`` or ``retry``; empty but for ``recovered``."""
    count: NDArray[np.int64] = column(np.int64)

    def to_json(self) -> str:
        """Columns over their vocabularies."""
        columns = {
            name: {"names": getattr(self, name).names, "codes": getattr(self, name).codes.tolist()} for name in _KEYS
        }
        return json.dumps({"columns": columns, "count": self.count.tolist()}, sort_keys=True)

    @classmethod
    def from_json(cls, content: str) -> Evidence:
        """The evidence that :meth:`to_json` wrote."""
        data = json.loads(content)
        columns = {name: Text(np.array(c["codes"], np.int32), c["names"]) for name, c in data["columns"].items()}
        return cls(**columns, count=np.array(data["count"], np.int64))


def evidence(primitives: PrimitiveTable) -> Evidence:
    """Count the primitives of whole episodes; ambiguous ones are no evidence."""
    sure = primitives.take(~primitives.ambiguous & primitives.action.isin(*STEPS))
    failed = sure.outcome.isin("failure", "retry")
    n = len(sure)
    outcomes = Evidence(
        episode_id=sure.episode_id,
        object=_classes(sure.object),
        action=sure.action,
        outcome=Text(
            np.where(failed, 1, np.where(sure.outcome.isin("success"), 0, 2)), ("success", "failure", UNKNOWN)
        ),
        reason=_masked(sure.failure_reason, failed),
        correction=Text.full(n, ""),
        count=np.ones(n, np.int64),
    )
    return _collected([outcomes, _recoveries(primitives)], largest=False)


def merge(parts: Sequence[Evidence]) -> Evidence:
    """Evidence of the union of the episodes: associative, commutative, and the same episodes twice change nothing."""
    return _collected(parts, largest=True)


def _recoveries(primitives: PrimitiveTable) -> Evidence:
    """Failures whose next attempt at the same step succeeded, each with what lay between.

    The object of a step is compared by instance, not by class: to fail with one cup and lift another mends nothing.
    """
    rows = np.flatnonzero(~primitives.ambiguous & primitives.action.isin(*STEPS))
    key = np.stack([getattr(primitives, name).codes[rows] for name in ("episode_id", "object", "action")])
    order = rows[np.lexsort((rows, *key[::-1]))]
    failed = primitives.outcome.isin("failure", "retry")
    a, b = order[:-1], order[1:]
    same = np.ones(len(a), np.bool_)
    for name in ("episode_id", "object", "action"):
        codes = getattr(primitives, name).codes
        same &= codes[a] == codes[b]
    mended = same & failed[a] & primitives.outcome.isin("success")[b]
    a, b = a[mended], b[mended]
    maneuvers = np.concatenate([[0], np.cumsum(primitives.action.isin("recovery_maneuver"))])
    maneuvered = maneuvers[b] > maneuvers[a]
    return Evidence(
        episode_id=primitives.episode_id[a],
        object=_classes(primitives.object)[a],
        action=primitives.action[a],
        outcome=Text.full(len(a), RECOVERED),
        reason=primitives.failure_reason[a],
        correction=Text(maneuvered.astype(np.int32), ("retry", "recovery_maneuver")),
        count=np.ones(len(a), np.int64),
    )


def _collected(parts: Sequence[Evidence], *, largest: bool) -> Evidence:
    """One row for each combination, sorted; its count the sum, or the largest, of its parts."""
    table = Evidence.concat(parts)
    names = {name: tuple(sorted(set(getattr(table, name).names))) for name in _KEYS}
    if not len(table):
        return table
    codes = np.stack([getattr(table, name).recode(names[name]) for name in _KEYS])
    distinct, place = np.unique(codes, axis=1, return_inverse=True)
    count = np.zeros(distinct.shape[1], np.int64)
    (np.maximum if largest else np.add).at(count, place.ravel(), table.count)
    used = {}
    for k, name in enumerate(_KEYS):
        kept = np.unique(distinct[k])
        used[name] = Text(np.searchsorted(kept, distinct[k]), [names[name][c] for c in kept.tolist()])
    return Evidence(**used, count=count)


def _classes(names: Text) -> Text:
    """Object classes; an object that is not known is of the class ``unknown``."""
    classes = [object_class(name) if name else UNKNOWN for name in names.names]
    return Text.of(classes)[names.codes] if len(names) else Text.of(())


def _masked(values: Text, kept: NDArray[np.bool_]) -> Text:
    """Values where ``kept``, else empty."""
    blank = Text.concat([Text.full(1, ""), values])
    return Text(np.where(kept, blank.codes[1:], blank.codes[0]), blank.names)
