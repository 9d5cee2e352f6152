"""What the order of segments, and the tags on them, say of a task: counts that merge by addition."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from sima2.knowledge.evidence import STEPS
from sima2.knowledge.keys import distinct
from sima2.knowledge.packing import packed, unpacked
from sima2.knowledge.support import SAMPLE, sample
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.meanings import FAMILY, OBJECT_CLASS
from sima2.records.segments import SegmentTable
from sima2.records.table import Table, Text, column, matrix, text
from sima2.records.tags import TagProposal, TagSpec, TagTable
from sima2.records.vocabulary import ANOMALIES, UNKNOWN, object_class

START: Final = "start"
END: Final = "end"
FAILED: Final = "(fail)"
"""Suffix of a step that ended in failure or retry."""
ARROW: Final = " → "
LONGEST_WAY: Final = 16
"""Steps of a way that is kept; longer ones are several tasks, and hardly two are alike."""
REPEATS: Final = 3
"""Failures of the same step in a row, without a success between, after which to give up is proposed."""
BINS: Final = 28
"""Bins of a histogram of durations: half octaves."""
SHORTEST_US: Final = 2**15
"""µs, upper edge of the first bin; the last one is open and begins at four minutes."""

_CORRECTING: Final = ("recovery_maneuver", "approach", "grasp", "lift", "transport")
"""What a correction may consist of."""
_KEYS: Final = ("fact", "family", "object", "source", "target")


@dataclass(frozen=True, eq=False)
class TaskEvidence(Table):
    """Facts about a family's tasks, one row each, sorted by all its keys."""

    fact: Text = text(
        "`step`, `transition`, `failed`, `retried`, `recovered`, `repeated`, `part`, `part_transition`, `way`, or what "
        "a tag declares: a fact that it proposes something by, or `assessed_` and its code."
    )
    family: Text = text(FAMILY)
    object: Text = text(OBJECT_CLASS)
    source: Text = text(
        "Step (or the first of a transition); all steps of a `way`; for `retried` and `recovered` the path of the "
        "correction; the reason for `repeated`; for `part` whether the episode had `one` or `several`."
    )
    target: Text = text(
        "Second step of a transition; the step that was mended or repeated; the object class of a part."
    )
    count: Int64s = column(
        np.int64, "How often it occurred; in how many episodes for `repeated`, `part` and tags.", unit="occurrences"
    )
    duration_us: Int64s = column(
        np.int64, "Time in all, for `step`: an integer, so that sums are exact in any order.", unit="µs"
    )
    durations: Int64s = matrix(
        np.int64, f"Of `step`: occurrences by duration in {BINS} half octaves (`bin_edges_s`).", unit="occurrences"
    )
    episodes: Text = text("JSON list of the smallest ids behind it.")

    def to_json(self) -> str:
        """Rows as lists, compressed."""
        names = list(self.columns())
        rows = list(zip(*(getattr(self, name).tolist() for name in names), strict=True))
        return packed({"columns": names, "rows": rows})

    @classmethod
    def from_json(cls, content: str) -> TaskEvidence:
        """The evidence that :meth:`to_json` wrote."""
        data = unpacked(content)
        if not data["rows"]:
            return cls.empty()
        columns: dict[str, Any] = {name: [row[k] for row in data["rows"]] for k, name in enumerate(data["columns"])}
        return cls(**columns)


def bin_edges_s() -> Float64s:
    """Lower edges of the bins of durations and an upper one for the last, s, shape (BINS + 1,).

    >>> bin_edges_s()[[0, 1, 3]].round(3).tolist()
    [0.023, 0.033, 0.066]
    """
    edges: Float64s = SHORTEST_US * 2.0 ** (np.arange(-1, BINS) / 2) / 1e6
    return edges


def merge(parts: Sequence[TaskEvidence]) -> TaskEvidence:
    """Evidence of disjoint sets of episodes together: associative, commutative, exact."""
    table = TaskEvidence.concat(parts)
    if not len(table):
        return TaskEvidence.empty()
    first, place = _cells(table)
    known = [json.loads(each) for each in table.episodes.names]
    behind: list[set[str]] = [set() for _ in first]
    for k, code in zip(place.tolist(), table.episodes.codes.tolist(), strict=True):
        behind[k].update(known[code])
    count, micros = np.zeros((2, len(first)), np.int64)
    durations = np.zeros((len(first), BINS), np.int64)
    np.add.at(count, place, table.count)
    np.add.at(micros, place, table.duration_us)
    np.add.at(durations, place, table.durations)
    return TaskEvidence(
        **{name: getattr(table, name)[first] for name in _KEYS},
        count=count,
        duration_us=micros,
        durations=durations,
        episodes=Text.of(map(sample, behind)),
    )


def task_evidence(segments: SegmentTable, family: Mapping[str, str], *, repeats: int = REPEATS) -> TaskEvidence:
    """Steps, transitions, failures, recoveries and repeated failures of whole episodes.

    Args:
        segments: of whole episodes, in order.
        family: family by episode id; ``unknown`` where it is missing.
        repeats: failures in a row that count as repeated.
    """
    n = len(segments)
    if not n:
        return TaskEvidence.empty()
    step = _steps(segments)
    of = _families(segments.episode_id, family)
    micros = np.rint((segments.end_t - segments.start_t) * 1e6).astype(np.int64)
    blank = Text.full(n, "")
    facts = [_Facts("step", segments.episode_id, of, blank, blank, step, micros)]
    new = _first_of_arm(segments)
    inner = np.flatnonzero(~new)
    first, last = np.flatnonzero(new), np.append(np.flatnonzero(new)[1:], n) - 1
    ends = ((first, Text.full(len(first), START), step[first]), (last, step[last], Text.full(len(last), END)))
    for rows, source, target in ((inner, step[inner - 1], step[inner]), *ends):
        facts.append(_Facts("transition", segments.episode_id[rows], of[rows], blank[rows], source, target))
    return _counted([*facts, *_failures(segments, of, repeats), *_parts(segments, of), _ways(segments, of, new)])


def _first_of_arm(segments: SegmentTable) -> Bools:
    """Where an episode, or another arm's part of it, begins, shape (n,)."""
    new = np.ones(len(segments), np.bool_)
    new[1:] = (np.diff(segments.episode_id.codes) != 0) | (np.diff(segments.manipulator.codes) != 0)
    return new


def _ways(segments: SegmentTable, of: Text, new: Bools) -> _Facts:
    """The steps of every episode in which nothing failed, pauses left out and equal neighbours joined."""
    wrong = segments.outcome.isin("failure", "retry") | segments.label.isin(*ANOMALIES, "recovery_maneuver", UNKNOWN)
    start = np.flatnonzero(new)
    clean = np.add.reduceat(wrong.astype(np.int64), start) == 0
    kept = ~segments.label.isin("idle")
    codes, names = segments.label.codes, segments.label.names
    first, ways = [], []
    for a, b in zip(start[clean].tolist(), np.append(start[1:], len(segments))[clean].tolist(), strict=True):
        steps = codes[a:b][kept[a:b]]
        steps = steps[np.concatenate([[True], steps[1:] != steps[:-1]])] if len(steps) else steps
        if 0 < len(steps) <= LONGEST_WAY:
            first.append(a)
            ways.append(ARROW.join(names[code] for code in steps.tolist()))
    rows = np.array(first, np.int64)
    blank = Text.full(len(rows), "")
    return _Facts("way", segments.episode_id[rows], of[rows], blank, Text.of(ways), blank)


def _parts(segments: SegmentTable, of: Text) -> list[_Facts]:
    """Tasks within an episode: a new one begins where another thing is taken hold of than before.

    They do not nest further: the graph is deeper than its tasks by one level, however many episodes come.
    """
    taken = segments.label.isin("grasp") & segments.outcome.isin("success") & ~segments.object.isin("")
    rows = np.flatnonzero(taken)
    if not len(rows):
        return []
    arm = np.cumsum(_first_of_arm(segments))[rows]
    same = np.zeros(len(rows), np.bool_)
    same[1:] = (arm[1:] == arm[:-1]) & (segments.object.codes[rows][1:] == segments.object.codes[rows][:-1])
    begun, arm = rows[~same], arm[~same]
    things = _classes(segments.object)
    several = np.bincount(arm)[arm] > 1
    once, _ = distinct([arm, things.codes[begun]], [int(arm[-1]) + 1, len(things.names)])
    told = begun[once]
    kind = Text(several[once].astype(np.int32), ("one", "several"))
    follows = np.flatnonzero(arm[1:] == arm[:-1]) + 1
    between = segments.episode_id[begun[follows]], of[begun[follows]]
    no_thing = Text.full(len(told), "")
    return [
        _Facts("part", segments.episode_id[told], of[told], no_thing, kind, things[told]),
        _Facts(
            "part_transition",
            *between,
            Text.full(len(follows), ""),
            things[begun[follows - 1]],
            things[begun[follows]],
        ),
    ]


def tag_evidence(
    tags: TagTable, segments: SegmentTable, family: Mapping[str, str], specs: Mapping[str, TagSpec]
) -> TaskEvidence:
    """What tags propose something by, and how often the tags that this rests on were assessed, by family.

    Args:
        tags: of whole episodes.
        segments: of the same episodes: they tell what followed at once.
        family: family by episode id.
        specs: what the tags declare.
    """
    chosen = {}
    for name, spec in specs.items():
        for proposal in spec.proposals:
            basis = specs[proposal.rests_on or name]
            chosen[basis.assessed] = tags.tag.isin(basis.name) & ~np.isnan(tags.level)
            chosen[proposal.fact] = _speaking(tags, spec, proposal, segments)
    facts = []
    for fact, mask in chosen.items():
        _, rows = np.unique(tags.episode_id.codes[mask], return_index=True)
        rows = np.flatnonzero(mask)[rows]
        blank = Text.full(len(rows), "")
        ids = tags.episode_id[rows]
        facts.append(_Facts(fact, ids, _families(ids, family), blank, blank, blank))
    return _counted(facts)


def _speaking(tags: TagTable, spec: TagSpec, proposal: TagProposal, segments: SegmentTable) -> Bools:
    """Rows of a tag that is given, of which what the proposal asks for holds, shape (n,)."""
    where = tags.tag.isin(spec.name) & (np.nan_to_num(tags.level) > spec.threshold)
    if proposal.severity is not None:
        where &= np.nan_to_num(tags.severity) > proposal.severity
    if proposal.source:
        where &= tags.source.isin(proposal.source)
    if proposal.unless_recovered:
        where &= ~_followed_by_recovery(tags, where, segments)
    return where


def _failures(segments: SegmentTable, of: Text, repeats: int) -> list[_Facts]:
    """How often each step failed, what mended it, and where it failed again and again.

    A loop over failed attempts, each of which looks at the few segments up to the next attempt.
    """
    rows = np.flatnonzero(segments.label.isin(*STEPS))
    failed = segments.outcome.isin("failure", "retry")
    codes = [getattr(segments, name).codes[rows] for name in ("episode_id", "manipulator", "object", "label")]
    order = rows[np.lexsort((rows, *codes[::-1]))]
    same = np.ones(max(len(order) - 1, 0), np.bool_)
    for name in ("episode_id", "manipulator", "object", "label"):
        column_codes = getattr(segments, name).codes[order]
        same &= column_codes[1:] == column_codes[:-1]
    lost = rows[failed[rows]]
    blank = Text.full(len(lost), "")
    things = _classes(segments.object)
    parts = [_Facts("failed", segments.episode_id[lost], of[lost], things[lost], blank, segments.label[lost])]
    a, b = order[:-1], order[1:]
    again = np.flatnonzero(same & failed[a])
    paths = Text.of(_path(segments, int(a[k]), int(b[k])) for k in again)
    mended = segments.outcome.isin("success")[b[again]]
    for fact, kept in (("retried", np.ones(len(again), np.bool_)), ("recovered", mended)):
        by = a[again[kept]]
        parts.append(_Facts(fact, segments.episode_id[by], of[by], things[by], paths[kept], segments.label[by]))
    nth = _repeated(order, same, failed, segments, repeats)
    why = segments.failure_reason[nth]
    parts.append(_Facts("repeated", segments.episode_id[nth], of[nth], things[nth], why, segments.label[nth]))
    return parts


def _repeated(
    order: Int64s,
    same: Bools,
    failed: Bools,
    segments: SegmentTable,
    repeats: int,
) -> Int64s:
    """Attempts that are the ``repeats``-th failure of the same step in a row; once an episode and reason."""
    lost = failed[order]
    streak_start = np.ones(len(order), np.bool_)
    streak_start[1:] = ~same | (lost[1:] != lost[:-1])
    begin = np.maximum.accumulate(np.where(streak_start, np.arange(len(order)), 0)) if len(order) else order
    nth = order[lost & (np.arange(len(order)) - begin + 1 == repeats)]
    keys = [getattr(segments, name) for name in ("episode_id", "object", "label", "failure_reason")]
    first, _ = distinct([each.codes[nth] for each in keys], [len(each.names) for each in keys])
    return np.asarray(nth[np.sort(first)])


def _path(segments: SegmentTable, failed: int, mended: int) -> str:
    """Correction between a failure and the next attempt: a maneuver, whether the hand approached anew, and the steps
    that had to be done again before."""
    labels = segments.label
    between = dict.fromkeys(labels.names[code] for code in labels.codes[failed + 1 : mended].tolist())
    step = labels[failed]
    return ARROW.join(name for name in between if name in _CORRECTING and name != step) or "retry"


def _followed_by_recovery(tags: TagTable, critical: Bools, segments: SegmentTable) -> Bools:
    """Critical tags after whose span the next segment but ``idle`` is a recovery maneuver, shape (n,)."""
    contained = np.zeros(len(tags), np.bool_)
    active = segments.take(~segments.label.isin("idle"))
    rank = {name: k for k, name in enumerate(active.episode_id.names)}
    lift = int(max(active.start_frame.max(initial=0), tags.end_frame.max(initial=0))) + 1
    key = active.episode_id.codes.astype(np.int64) * lift + active.start_frame
    order = np.argsort(key, kind="stable")
    is_recovery = active.label.isin("recovery_maneuver")
    for row in np.flatnonzero(critical).tolist():
        episode = rank.get(tags.episode_id[row])
        if episode is not None:
            k = int(np.searchsorted(key[order], episode * lift + tags.end_frame[row]))
            following = order[k] if k < len(order) else -1
            contained[row] = (
                following >= 0 and active.episode_id.codes[following] == episode and bool(is_recovery[following])
            )
    return contained


class _Facts(NamedTuple):
    """Occurrences of one fact, one row each."""

    fact: str
    episode_id: Text
    family: Text
    object: Text
    source: Text
    target: Text
    duration_us: Int64s | None = None


class _Keys(NamedTuple):
    """What tells rows of evidence apart."""

    fact: Text
    family: Text
    object: Text
    source: Text
    target: Text


def _counted(facts: Sequence[_Facts]) -> TaskEvidence:
    """One row for each key, sorted: occurrences counted, durations added, the smallest ids kept."""
    facts = [each for each in facts if len(each.episode_id)]
    if not facts:
        return TaskEvidence.empty()
    lengths = [len(each.episode_id) for each in facts]
    keys = _Keys(
        Text.concat([Text.full(n, each.fact) for each, n in zip(facts, lengths, strict=True)]),
        *(Text.concat([getattr(each, name) for each in facts]) for name in _KEYS[1:]),
    )
    first, place = _cells(keys)
    m = len(first)
    micros, durations = np.zeros(m, np.int64), np.zeros((m, BINS), np.int64)
    for each, where in zip(facts, np.split(place, np.cumsum(lengths)[:-1]), strict=True):
        if each.duration_us is not None:
            np.add.at(micros, where, each.duration_us)
            np.add.at(durations, (where, _bins(each.duration_us)), 1)
    return TaskEvidence(
        **{name: getattr(keys, name)[first] for name in _KEYS},
        count=np.bincount(place, minlength=m),
        duration_us=micros,
        durations=durations,
        episodes=_samples(place, Text.concat([each.episode_id for each in facts]), m),
    )


def _samples(place: Int64s, episode_id: Text, cells: int) -> Text:
    """The smallest ids of each cell, as JSON."""
    names = sorted(set(episode_id.names))
    pairs = np.unique(place * len(names) + episode_id.recode(names))
    cuts = np.searchsorted(pairs, np.arange(cells + 1) * len(names)).tolist()
    ids = (pairs % len(names)).tolist()
    return Text.of(sample(names[k] for k in ids[a : min(a + SAMPLE, b)]) for a, b in pairwise(cuts))


def _cells(rows: TaskEvidence | _Keys) -> tuple[Int64s, Int64s]:
    """First row of each distinct key, sorted by all its parts, and the key of each row."""
    columns = [getattr(rows, name) for name in _KEYS]
    names = [sorted(set(each.names)) for each in columns]
    codes = [each.recode(known) for each, known in zip(columns, names, strict=True)]
    return distinct(codes, [len(known) for known in names])


def _bins(duration_us: Int64s) -> Int64s:
    """Bin of each duration by comparison with whole microseconds, so that no rounding of logarithms decides."""
    edges = np.rint(bin_edges_s()[1:-1] * 1e6).astype(np.int64)
    return np.searchsorted(edges, duration_us, side="right").astype(np.int64)


def _steps(segments: SegmentTable) -> Text:
    """Label of each segment, marked where it failed."""
    lost = segments.outcome.isin("failure", "retry")
    names = [*segments.label.names, *(name + FAILED for name in segments.label.names)]
    return Text(segments.label.codes + lost * len(segments.label.names), names)


def _families(episode_id: Text, family: Mapping[str, str]) -> Text:
    if not len(episode_id):
        return Text.of(())
    return Text.of([family.get(name, UNKNOWN) for name in episode_id.names])[episode_id.codes]


def _classes(names: Text) -> Text:
    if not len(names):
        return Text.of(())
    return Text.of([object_class(name) if name else UNKNOWN for name in names.names])[names.codes]
