"""Facts, tags and inferences → what to do with each episode, and what each of its frames weighs.

A *fact* acts by its rule; an *inference* asks for review, or acts with the probability that it states; a *tag* only
asks here, and moves weights by its trust in ``sampling.weights``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.courses import ConsensusTable, moments_of
from sima2.records.defects import DefectTable, PauseTable
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import ACTIONS, KNOWLEDGE, CardTable, PlannedSpans, SegmentVerdicts, TrainingPlan
from sima2.records.table import Text
from sima2.sampling.plan_settings import (
    ASK,
    CUT,
    DROP,
    ON_SPANS,
    PRESETS,
    RULES,
    SCALE,
    TELL,
    PlanRule,
    PlanSettings,
)

SAID: Final = ("recorded", "task_sensor", "person")
"""Sources of an outcome that is a fact."""
PAUSE: Final = "pause"
"""A stop that is short enough to belong to an episode that is kept as it came."""
DEAD_TIME: Final = ("idle", PAUSE)
"""Cuts that take nothing of what was done."""
_ORDER: Final = tuple(RULES)


class Asked(NamedTuple):
    """A reason for review that a tag gives."""

    code: str
    """A rule of ``plan_settings.RULES``."""
    where: Bools
    """Shape (n,)."""
    words: Mapping[int, str]
    """More words by place of the episode, as the names of the tags."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """All that a plan may look at."""

    episodes: EpisodeTable
    """n of them."""
    defects: DefectTable = field(default_factory=DefectTable.empty)
    verdicts: SegmentVerdicts = field(default_factory=SegmentVerdicts.empty)
    pauses: PauseTable = field(default_factory=PauseTable.empty)
    """Where nothing moves."""
    consensus: ConsensusTable = field(default_factory=ConsensusTable.empty)
    """How far each does otherwise than others in like states; looked at only where settings say so."""
    precision: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Precision at the least of each detector on this very set, by its name; what was not measured is not there."""
    asked: tuple[Asked, ...] = ()


class Plan(NamedTuple):
    """What to do with each episode, and which of its frames weigh less than it."""

    episodes: TrainingPlan
    """One row an episode, in the order of the episodes."""
    spans: PlannedSpans
    """All frames that are in no span have the weight of their episode."""


def precision_of(card: CardTable) -> dict[str, float]:
    """Precision at the least of each detector that was measured."""
    known = np.isfinite(card.precision)
    return dict(zip(card.detector[known], card.precision[known].tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class TrainingPlanner:
    """Makes one plan of all that is known. It removes nothing: weights and actions are advice to who trains."""

    settings: PlanSettings = PlanSettings()

    def plan(self, known: Known) -> Plan:
        """What to do with each episode.

        * ``drop``: a fact makes all of it useless for the objective.
        * ``review``: a person should settle something; meanwhile it has the weight that the preset leaves it.
        * ``trim``: some of its frames weigh less.
        * ``keep``: as it came.

        Args:
            known: episodes and what was found of them; findings about others are left aside.
        """
        sheet = _Sheet(known.episodes, self.settings)
        for code, where in _broken(known.episodes).items():
            sheet.whole(code, where)
        episodes = known.episodes
        said = episodes.outcome_source.isin(*SAID)
        sheet.whole("failed", (episodes.success == 0) & said)
        inferred = (episodes.inferred_success == 0) & ~said
        p = episodes.inferred_confidence.astype(np.float64)
        words = {i: _inferred_words(episodes, i) for i in np.flatnonzero(inferred).tolist()}
        sheet.whole("inferred_failure", inferred, p, words)
        for asked in known.asked:
            sheet.whole(asked.code, asked.where, words=asked.words)
        self._consensus(sheet, known.consensus)
        self._defects(sheet, known.defects)
        place = sheet.place(known.pauses.episode_id)
        rows = np.flatnonzero(place >= 0)
        spans = (place[rows], known.pauses.start_frame[rows], known.pauses.end_frame[rows])
        sheet.cut(RULES[PAUSE], spans, {})
        self._verdicts(sheet, known)
        return sheet.finished()

    def _consensus(self, sheet: _Sheet, agreed: ConsensusTable) -> None:
        """Frames about the moments that disagree most with what others do there."""
        place = sheet.place(agreed.episode_id)
        mine = np.flatnonzero(place >= 0)
        place, frames = place[mine], sheet.episodes.frames[place[mine]]
        at = moments_of(frames)
        # a moment stands for the frames that are nearest to it
        between = (at[:, 1:] + at[:, :-1] + 1) // 2
        edges = np.concatenate([np.zeros_like(at[:, :1]), between, frames[:, None]], axis=1)
        row, moment = np.nonzero(agreed.dissent[mine] > 1.0 - self.settings.dissent)
        sheet.cut(RULES["consensus"], (place[row], edges[row, moment], edges[row, moment + 1]), {})

    def _defects(self, sheet: _Sheet, defects: DefectTable) -> None:
        place = sheet.place(defects.episode_id)
        for kind in dict.fromkeys(defects.defect):
            rule = RULES.get(kind)
            if rule is None:
                continue
            rows = np.flatnonzero(defects.defect.isin(kind) & (place >= 0))
            if kind == "label_conflict":
                # a failure that was said stays one; a success that was said is doubted with its probability
                rows = rows[sheet.episodes.success[place[rows]] == 1]
            words = dict(zip(place[rows].tolist()[::-1], list(defects.details[rows])[::-1], strict=True))
            if rule.act == CUT:
                spans = (place[rows], defects.start_frame[rows], defects.end_frame[rows])
                sheet.cut(rule, spans, words)
            else:
                where, p = np.zeros(len(sheet.episodes), np.bool_), np.zeros(len(sheet.episodes))
                where[place[rows]] = True
                np.maximum.at(p, place[rows], defects.severity[rows])
                sheet.whole(kind, where, p, words)

    def _verdicts(self, sheet: _Sheet, known: Known) -> None:
        place = sheet.place(known.verdicts.episode_id)
        for name in ON_SPANS:
            rows = np.flatnonzero(known.verdicts.verdict.isin(name) & (place >= 0))
            spans = (place[rows], known.verdicts.start_frame[rows], known.verdicts.end_frame[rows])
            sheet.scale(
                name, spans, known.verdicts.confidence[rows], known.precision.get(RULES[name].detector, float("nan"))
            )


def _broken(episodes: EpisodeTable) -> dict[str, Bools]:
    """Episodes that are no valid datapack, by why."""
    code = episodes.episode_id.codes
    twice = np.bincount(code, minlength=len(episodes.episode_id.names))[code] > 1 if len(code) else code > 1
    short = episodes.frames < 2
    return {
        "no_id": episodes.episode_id.isin(""),
        "id_not_unique": twice,
        "too_short": short,
        "no_time": ~(np.isfinite(episodes.duration_s) & (episodes.duration_s > 0)) & ~short,
        "no_segment": (episodes.segments < 1) & ~short,
    }


def invalid(episodes: EpisodeTable) -> Bools:
    """Episodes that are no valid datapack, shape (n,)."""
    return np.asarray(np.any(list(_broken(episodes).values()), axis=0))


def _inferred_words(episodes: EpisodeTable, i: int) -> str:
    why = episodes.failure_reason[i] or episodes.inferred_end[i]
    told = f" ({why.replace('_', ' ')})" if why else ""
    return f"inferred to have failed with probability {episodes.inferred_confidence[i]:.2g}{told}"


class _Span(NamedTuple):
    start: int
    end: int
    weight: float
    code: str
    knowledge: str


class _Sheet:
    """The plan under construction; only the planner writes on it."""

    def __init__(self, episodes: EpisodeTable, settings: PlanSettings) -> None:
        n = len(episodes)
        self.episodes = episodes
        self.settings = settings
        self.preset = PRESETS[settings.preset]
        self.weight = np.ones(n)
        self.dropped, self.review = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        self.notes: list[dict[str, str]] = [{} for _ in range(n)]
        """Words by code of each episode."""
        self.moved: list[set[str]] = [set() for _ in range(n)]
        self.spans: dict[int, list[_Span]] = {}

    def place(self, episode_id: Text) -> Int64s:
        """Where each name lies among the episodes, -1 where it does not, shape (m,)."""
        at = {name: i for i, name in enumerate(self.episodes.episode_id)}
        known = np.array([at.get(name, -1) for name in episode_id.names], np.int64)
        return known[episode_id.codes] if len(episode_id) else np.zeros(0, np.int64)

    def whole(self, code: str, where: Bools, p: Float64s | None = None, words: Mapping[int, str] | None = None) -> None:
        """A finding about whole episodes; ``p`` is the probability that a ``SCALE`` rule acts with, shape (n,)."""
        rule = RULES[code]
        act = self.settings.act(code)
        rows = np.flatnonzero(where)
        if not act or not len(rows):
            return
        if act == DROP and rule.knowledge == "fact":
            self.dropped[rows] = True
            self.weight[rows] = 0.0
        elif act == DROP:
            self.weight[rows] = 0.0
        elif act == SCALE and p is not None:
            self.weight[rows] *= 1.0 - np.clip(p[rows], 0.0, 1.0)
        if rule.knowledge != "fact" or act == ASK:
            self.review[rows] = True
        self._note(rule, rows.tolist(), words)

    def cut(self, rule: PlanRule, spans: tuple[Int64s, ...], words: Mapping[int, str]) -> None:
        """Frames that weigh nothing, each stretch of a fact with a margin (dead time has none)."""
        if not self.settings.act(rule.name) or not len(spans[0]):
            return
        margin = 0 if rule.name in DEAD_TIME or rule.knowledge != "fact" else self.settings.margin
        for i, start, end in zip(*(each.tolist() for each in spans), strict=True):
            begin, stop = max(start - margin, 0), min(end + margin, int(self.episodes.frames[i]))
            if stop > begin:
                self.spans.setdefault(i, []).append(_Span(begin, stop, 0.0, rule.name, rule.knowledge))
        self._note(rule, np.unique(spans[0]).tolist(), words)

    def scale(self, code: str, spans: tuple[Int64s, ...], sure: Float64s, precision: float) -> None:
        """Frames that an inference is about: less weight where its detector was measured here, else a review."""
        rule = RULES[code]
        act = self.settings.act(code)
        if not act or not len(spans[0]):
            return
        measured = precision >= self.settings.least_precision
        if act == ASK or (act == SCALE and not measured):
            rows = np.unique(spans[0])
            self.review[rows] = True
            self._note(rule, rows.tolist(), None)
            return
        p = np.ones(len(sure)) if act == DROP else np.clip(precision * sure, 0.0, 1.0)
        for i, start, end, share in zip(*(each.tolist() for each in spans), p.tolist(), strict=True):
            self.spans.setdefault(i, []).append(_Span(start, end, 1.0 - share, code, rule.knowledge))
        self._note(rule, np.unique(spans[0]).tolist(), None)

    def finished(self) -> Plan:
        """The plan; spans of dropped episodes are left out, for nothing of them is used."""
        episodes, n = self.episodes, len(self.episodes)
        start, end = np.zeros(n, np.int64), episodes.frames.copy()
        told: list[tuple[int, _Span]] = []
        cut = np.zeros(n, np.bool_)
        lengths = episodes.frames.tolist()
        for i in sorted(self.spans):
            if self.dropped[i]:
                continue
            flat = _flat(self.spans[i])
            told += [(i, span) for span in flat]
            graver = [span for span in self.spans[i] if span.code != PAUSE]
            cut[i] = bool(graver)
            start[i], end[i] = _kept(flat if len(graver) == len(self.spans[i]) else _flat(graver), lengths[i])
            self.moved[i] |= {span.knowledge for span in flat}
            self._little_left(i, flat)
        nothing = end <= start
        self.dropped |= nothing
        self.weight[nothing] = 0.0
        start[self.dropped], end[self.dropped] = 0, 0
        review = self.review & ~self.dropped
        self.weight[review] *= self.preset.doubted
        action = np.select([self.dropped, review, cut], [3, 2, 1], 0)
        return Plan(self._rows(action, start, end), self._spans([each for each in told if not nothing[each[0]]]))

    def _rows(self, action: Int64s, start: Int64s, end: Int64s) -> TrainingPlan:
        codes = [sorted(note, key=_ORDER.index) for note in self.notes]
        return TrainingPlan(
            episode_index=self.episodes.episode_index,
            episode_id=self.episodes.episode_id,
            source=self.episodes.source,
            action=Text(action, ACTIONS),
            weight=self.weight,
            keep_start_frame=start,
            keep_end_frame=end,
            codes=Text.of(",".join(each) for each in codes),
            words=Text.of("; ".join(note[code] for code in each) for note, each in zip(self.notes, codes, strict=True)),
            kind_of_knowledge=Text.of(",".join(kind for kind in KNOWLEDGE if kind in each) for each in self.moved),
        )

    def _spans(self, told: list[tuple[int, _Span]]) -> PlannedSpans:
        rows = np.array([i for i, _ in told], np.int64)
        return PlannedSpans(
            episode_index=self.episodes.episode_index[rows],
            episode_id=self.episodes.episode_id[rows],
            start_frame=np.array([span.start for _, span in told], np.int64),
            end_frame=np.array([span.end for _, span in told], np.int64),
            weight=np.array([span.weight for _, span in told], np.float64),
            reason=Text.of(span.code for _, span in told),
            kind_of_knowledge=Text.of((span.knowledge for _, span in told), KNOWLEDGE),
        )

    def _little_left(self, i: int, flat: list[_Span]) -> None:
        """Ask for a look where what is wrong, dead time apart, takes most of an episode."""
        dead = sum(span.end - span.start for span in flat if span.code in DEAD_TIME)
        lost = sum((span.end - span.start) * (1 - span.weight) for span in flat if span.knowledge == "fact") - dead
        if lost > (1 - self.settings.least_left) * max(int(self.episodes.frames[i]) - dead, 1):
            self.whole("little_left", np.arange(len(self.episodes)) == i)

    def _note(self, rule: PlanRule, rows: Iterable[int], words: Mapping[int, str] | None) -> None:
        for i in rows:
            self.notes[i].setdefault(rule.name, (words or {}).get(i) or rule.words)
            if rule.act != TELL:
                self.moved[i].add(rule.knowledge)


def _flat(spans: list[_Span]) -> list[_Span]:
    """Spans that do not overlap, in order: where several meet, weights multiply, and the gravest is the reason."""
    edges = sorted({edge for span in spans for edge in (span.start, span.end)})
    begin: dict[int, list[int]] = {}
    for k, span in enumerate(spans):
        begin.setdefault(span.start, []).append(k)
    over: list[int] = []
    flat: list[_Span] = []
    for start, end in pairwise(edges):
        # only those that are there or begin are looked at: a long recording has tens of thousands
        over = sorted(k for k in (*over, *begin.get(start, ())) if spans[k].end > start)
        if not over:
            continue
        here = [spans[k] for k in over]
        worst = min(here, key=lambda span: (span.weight, _ORDER.index(span.code)))
        piece = _Span(start, end, math.prod(span.weight for span in here), worst.code, worst.knowledge)
        if flat and flat[-1].end == start and flat[-1][2:] == piece[2:]:
            flat[-1] = flat[-1]._replace(end=end)
        else:
            flat.append(piece)
    return flat


def _kept(flat: list[_Span], frames: int) -> tuple[int, int]:
    """First frame that weighs anything, and one past the last."""
    start, end = 0, frames
    for span in flat:
        if span.weight == 0 and span.start <= start:
            start = max(start, span.end)
    for span in reversed(flat):
        if span.weight == 0 and span.end >= end:
            end = min(end, span.start)
    return start, max(end, start)
