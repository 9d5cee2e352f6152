"""Evidence: how often each action on each class of object ended how, episode by episode, in integers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from sima2.knowledge.packing import packed, unpacked
from sima2.records.arrays import Bools, Int64s
from sima2.records.episodes import GoalTable
from sima2.records.meanings import EPISODE_ID, OBJECT_CLASS
from sima2.records.primitives import PrimitiveTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Table, Text, column, text
from sima2.records.vocabulary import CONTACT_ACTIONS, UNKNOWN, object_class

RECOVERED: Final = "recovered"
"""Outcome of a failure that a correction made good."""
PRESENT: Final = "present"
"""Outcome of an object that took part: a primitive or the goal names it."""
STEPS: Final = ("approach", *CONTACT_ACTIONS)
"""Actions that are attempts at something; the others are what happens to them."""
_KEYS: Final = ("episode_id", "object", "action", "outcome", "reason", "correction")
_ENDS: Final = ("success", "failure", UNKNOWN)


@dataclass(frozen=True, eq=False)
class Evidence(Table):
    """Counts of an episode, one row for each combination that occurred, sorted by the text columns."""

    episode_id: Text = text(EPISODE_ID)
    object: Text = text(OBJECT_CLASS)
    action: Text = text("A step; a role that the object played; empty for `present`.")
    outcome: Text = text("`success`, `failure` (a retry is a failed attempt), `unknown`, `recovered` or `present`.")
    reason: Text = text("Failure reason; empty where nothing failed.")
    correction: Text = text("What made a failure good: `recovery_maneuver` or `retry`; empty but for `recovered`.")
    count: Int64s = column(np.int64, "How often it occurred.", unit="occurrences")
    start_frame: Int64s = column(
        np.int64,
        "First frame of the first occurrence; -1 where only the goal named it, or frames were not given.",
        unit="frame",
    )
    end_frame: Int64s = column(np.int64, "One past its last frame; -1 likewise.", unit="frame")

    def to_json(self) -> str:
        """Columns over their vocabularies, compressed."""
        columns = {
            name: {"names": getattr(self, name).names, "codes": getattr(self, name).codes.tolist()} for name in _KEYS
        }
        numbers = {name: getattr(self, name).tolist() for name in ("count", "start_frame", "end_frame")}
        return packed({"columns": columns, "numbers": numbers})

    @classmethod
    def from_json(cls, content: str) -> Evidence:
        """The evidence that :meth:`to_json` wrote."""
        data = unpacked(content)
        columns: dict[str, Any] = {
            name: Text(np.array(c["codes"], np.int32), c["names"]) for name, c in data["columns"].items()
        }
        columns |= {name: np.array(values, np.int64) for name, values in data["numbers"].items()}
        return cls(**columns)


def evidence(
    primitives: PrimitiveTable, segments: SegmentTable | None = None, goals: GoalTable | None = None
) -> Evidence:
    """Count the primitives of whole episodes; ambiguous ones are no evidence.

    Args:
        primitives: of whole episodes, in order.
        segments: of the same episodes, which know the frames.
        goals: what the episodes were asked for: they name what things are put on, into, or wiped.
    """
    from sima2.knowledge.roles import carried_along, let_go_wrongly, looked_at, opened, received

    primitives = primitives.take(~primitives.ambiguous)
    spans = _spans(primitives, segments)
    if goals is not None:
        primitives = looked_at(primitives, goals)
    placed_badly = let_go_wrongly(primitives)
    primitives = _as_places(primitives, placed_badly)
    step = np.flatnonzero(primitives.action.isin(*STEPS))
    parts = [
        _ended(primitives, spans, step),
        _recoveries(primitives, spans),
        _present(primitives, spans),
    ]
    for rows, thing, action in carried_along(primitives):
        parts.append(_ended(primitives, spans, rows, thing, action))
    if goals is not None and len(goals):
        for rows, thing, action in (*received(primitives, goals), *opened(primitives, goals)):
            parts.append(_ended(primitives, spans, rows, thing, action))
        named = [Text.concat([goals.object, goals.target]), Text.concat([goals.episode_id, goals.episode_id])]
        some = ~named[0].isin("")
        parts.append(_rows(named[1][some], named[0][some], PRESENT, np.full((int(some.sum()), 2), -1)))
    return _collected(parts, largest=False)


def merge(parts: Sequence[Evidence]) -> Evidence:
    """Evidence of the union of the episodes: associative, commutative, and the same episodes twice change nothing."""
    return _collected(parts, largest=True)


def without(evidence: Evidence, episode_ids: Collection[str]) -> Evidence:
    """The evidence of the other episodes: what rested on the withdrawn ones alone is gone, and nothing else."""
    return _collected([evidence.take(~evidence.episode_id.isin(*episode_ids))], largest=True)


def _spans(primitives: PrimitiveTable, segments: SegmentTable | None) -> Int64s:
    """First and past-the-last frame of each primitive by its segment, shape (n, 2); -1 where there is none."""
    spans = np.full((len(primitives), 2), -1, np.int64)
    if segments is None or not len(segments) or not len(primitives):
        return spans
    wide = int(max(segments.segment_id.max(), primitives.segment_id.max())) + 1
    known = segments.episode_id.codes.astype(np.int64) * wide + segments.segment_id
    wanted = primitives.episode_id.recode(segments.episode_id.names).astype(np.int64) * wide + primitives.segment_id
    order = np.argsort(known, kind="stable")
    place = order[np.minimum(np.searchsorted(known[order], wanted), len(order) - 1)]
    found = known[place] == wanted
    spans[found] = np.stack([segments.start_frame, segments.end_frame], axis=1)[place[found]]
    return spans


def _rows(episode_id: Text, thing: Text, outcome: str | Text, spans: Int64s, **given: Text) -> Evidence:
    """One row an occurrence; ``thing`` by the name of the instance."""
    n = len(episode_id)
    blank = Text.full(n, "")
    return Evidence(
        episode_id=episode_id,
        object=_classes(thing),
        outcome=Text.full(n, outcome) if isinstance(outcome, str) else outcome,
        **{name: given.get(name, blank) for name in ("action", "reason", "correction")},
        count=np.ones(n, np.int64),
        start_frame=spans[:, 0],
        end_frame=spans[:, 1],
    )


def _ended(
    primitives: PrimitiveTable,
    spans: Int64s,
    rows: Int64s,
    thing: Text | None = None,
    action: str = "",
) -> Evidence:
    """How some primitives ended, said of their own object or of another thing."""
    chosen = primitives.take(rows)
    failed = chosen.outcome.isin("failure", "retry")
    ends = Text(np.where(failed, 1, np.where(chosen.outcome.isin("success"), 0, 2)), _ENDS)
    return _rows(
        chosen.episode_id,
        chosen.object if thing is None else thing,
        ends,
        spans[rows],
        action=Text.full(len(rows), action) if action else chosen.action,
        reason=_masked(chosen.failure_reason, failed),
    )


def _as_places(primitives: PrimitiveTable, rows: Int64s) -> PrimitiveTable:
    """The same primitives, some of them called ``place``."""
    if not len(rows):
        return primitives
    names = [*primitives.action.names, "place"]
    codes = primitives.action.codes.copy()
    codes[rows] = len(names) - 1
    return replace(primitives, action=Text(codes, names))


def _present(primitives: PrimitiveTable, spans: Int64s) -> Evidence:
    named = np.flatnonzero(~primitives.object.isin(""))
    return _rows(primitives.episode_id[named], primitives.object[named], PRESENT, spans[named])


def _recoveries(primitives: PrimitiveTable, spans: Int64s) -> Evidence:
    """Failures whose next attempt at the same step succeeded, each with what lay between.

    The object of a step is compared by instance, not by class: to fail with one cup and lift another mends nothing.
    """
    rows = np.flatnonzero(primitives.action.isin(*STEPS))
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
    both = np.stack([spans[a, 0], spans[b, 1]], axis=1) if len(a) else np.zeros((0, 2), np.int64)
    return _rows(
        primitives.episode_id[a],
        primitives.object[a],
        RECOVERED,
        both,
        action=primitives.action[a],
        reason=primitives.failure_reason[a],
        correction=Text(maneuvered.astype(np.int32), ("retry", "recovery_maneuver")),
    )


def _collected(parts: Sequence[Evidence], *, largest: bool) -> Evidence:
    """One row for each combination, sorted: its count the sum, or the largest, of its parts; its frames the first."""
    table = Evidence.concat(parts)
    if not len(table):
        return Evidence.empty()
    names = {name: tuple(sorted(set(getattr(table, name).names))) for name in _KEYS}
    key = np.zeros(len(table), np.int64)
    for name in _KEYS:
        key = key * max(len(names[name]), 1) + getattr(table, name).recode(names[name])
    seen_last = np.where(table.start_frame < 0, np.iinfo(np.int64).max, table.start_frame)
    order = np.lexsort((table.end_frame, seen_last, key))
    sorted_key = key[order]
    first = np.flatnonzero(np.concatenate([[True], sorted_key[1:] != sorted_key[:-1]]))
    kept = order[first]
    reduce: Any = np.maximum if largest else np.add
    used = {}
    for name in _KEYS:
        codes = getattr(table, name).recode(names[name])[kept]
        present = np.unique(codes)
        used[name] = Text(np.searchsorted(present, codes), [names[name][c] for c in present.tolist()])
    return Evidence(
        **used,
        count=reduce.reduceat(table.count[order], first),
        start_frame=table.start_frame[kept],
        end_frame=table.end_frame[kept],
    )


def _classes(names: Text) -> Text:
    """Object classes; an object that is not known is of the class ``unknown``."""
    if not len(names):
        return Text.of(())
    return Text.of([object_class(name) if name else UNKNOWN for name in names.names])[names.codes]


def _masked(values: Text, kept: Bools) -> Text:
    """Values where ``kept``, else empty."""
    blank = Text.concat([Text.full(1, ""), values])
    return Text(np.where(kept, blank.codes[1:], blank.codes[0]), blank.names)
