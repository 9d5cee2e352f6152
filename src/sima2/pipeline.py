"""The phases in order: calibrate, pass 1 over raw signals, freeze, pass 2 over tables, finalize.

Everything here is a pure function of a source and of tables; who runs it, and where results are kept, is told by
``orchestrator`` and ``execution``.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np

from sima2.records.arrays import Bools
from sima2.records.courses import ConsensusTable, CourseTable, Endings, PointTable, Strides, UnusualTable
from sima2.records.defects import DefectTable, EpisodeMeasures, PauseTable, RankedDefects
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable, GoalTable
from sima2.records.examples import ExampleTable
from sima2.records.intake import NoteTable, QuarantineTable
from sima2.records.knowledge import ProposalTable
from sima2.records.labels import SaidTable
from sima2.records.plan import ACTIONS, AuditTable, CardTable, SamplePlan, SegmentVerdicts, TrainingPlan
from sima2.records.primitives import InferredOutcome, PrimitiveTable
from sima2.records.segments import SegmentTable
from sima2.records.signals import SignalTable
from sima2.records.table import Table, Text
from sima2.records.tags import TagTable
from sima2.records.trust import TrustMatrix
from sima2.records.video import CameraTable
from sima2.records.vocabulary import ANOMALIES

if TYPE_CHECKING:
    from sima2.analytics.counts import TrustCounts
    from sima2.analytics.example_views import Pictures
    from sima2.analytics.prior import Prior
    from sima2.analytics.statistics import Statistic
    from sima2.client import Intake, Source
    from sima2.knowledge.evidence import Evidence
    from sima2.knowledge.task_evidence import TaskEvidence
    from sima2.primitives.outcome_inference import OutcomeInference
    from sima2.records.rollout import Episodes, RolloutBatch
    from sima2.sampling.plan import Plan
    from sima2.segmentation_engine import SegmentationEngine
    from sima2.tags.observations import RiskObservations, SegmentObservations
    from sima2.tags.references import References

MAIN_MIX: Final = "hardening"
SHARD_EPISODES: Final = 250
"""Episodes of a shard at least: a few MB of Parquet, and a small part of any run worth resuming."""
CALIBRATION_SPANS: Final = 8
CALIBRATION_EPISODES: Final = 160
"""Scales come from so many episodes, in spans spread evenly over the source: enough for a quantile, cheap to read."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run's results depend on, and where they go."""

    source: str = "auto"
    """``auto`` is the format of the data set at ``path``, else the built-in task library."""
    path: Path | None = None
    column_map: Path | None = None
    outcomes: Path | None = None
    goals: tuple[str, ...] = ()
    """What was asked for of recorded episodes, as ``--goal`` names it."""
    prior: Path | None = None
    """Trust matrix of an earlier or pooled set, or the folder that holds it; it opens no gate."""
    mix: str = MAIN_MIX
    families: tuple[str, ...] = ()
    episodes: int | None = None
    """Of each family (``hardening``) or kind (``edge_cases_v1``), else in all."""
    total: int | None = None
    """In all, whatever the mix; in the place of ``episodes``."""
    seed: int = 0
    rate_hz: float = 20.0
    jobs: int = 1
    engine: str = "local"
    batch_size: int = 250
    """Rollouts in memory at once; changes no result."""
    out: Path = Path("results")
    resume: bool = False
    """Only go on with what is there; never add to it."""
    fresh: bool = False
    """Drop the results that are there instead of adding to them."""
    pool: bool = False
    """Add to results of another collection too: all are judged together."""
    video: bool = False
    """Look at videos too (extra ``video``)."""
    request: tuple[tuple[str, str, int], ...] = ()
    """Made rollouts by family, template and count, in place of ``mix``, ``families`` and ``episodes``."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    phase: str
    done: int
    total: int
    """Episodes."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run found: the content of ``summary.json``."""

    out: Path
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What pass 1 needs to know of the source beforehand, from unlabelled rollouts."""

    engine: SegmentationEngine
    nominal_s: Mapping[str, float]
    """Median duration of each family, s."""
    inference: OutcomeInference
    """Knows how episodes of each family end as a rule."""


@dataclass(frozen=True, slots=True, eq=False)
class ShardTask:
    """A span of the source to take through pass 1."""

    source: Source
    calibration: Calibration
    shard: int
    start: int
    stop: int
    batch_size: int


@dataclass(frozen=True, slots=True, eq=False)
class FirstPass:
    """What pass 1 leaves of a shard."""

    shard: int
    episodes: EpisodeTable
    segments: SegmentTable
    primitives: PrimitiveTable
    econ: EconTable
    observations: SegmentObservations
    landmarks: RiskObservations
    quarantine: QuarantineTable
    notes: NoteTable
    goals: GoalTable
    defects: DefectTable
    measures: EpisodeMeasures
    pauses: PauseTable
    points: PointTable
    signals: SignalTable
    seconds: Mapping[str, float] = field(default_factory=dict)

    KINDS: ClassVar[Mapping[str, str]] = {
        "episode_shards": "episodes",
        "segments": "segments",
        "primitives": "primitives",
        "econ_shards": "econ",
        "observations": "observations",
        "landmarks": "landmarks",
        "quarantine_shards": "quarantine",
        "note_shards": "notes",
        "goals": "goals",
        "defect_shards": "defects",
        "measures": "measures",
        "pauses": "pauses",
        "points": "points",
        "signals": "signals",
    }
    """Kind of table that is stored, and the field that holds it."""

    @classmethod
    def empty(cls, shard: int) -> FirstPass:
        """Of a shard in which nothing was."""
        return cls.concat(shard, [])

    @classmethod
    def concat(cls, shard: int, parts: Sequence[FirstPass]) -> FirstPass:
        """Parts of a shard end to end."""
        from sima2.tags.observations import pool, pool_risk

        seconds: dict[str, float] = {}
        for part in parts:
            for name, value in part.seconds.items():
                seconds[name] = seconds.get(name, 0.0) + value
        return cls(
            shard=shard,
            episodes=EpisodeTable.concat([part.episodes for part in parts]),
            segments=SegmentTable.concat([part.segments for part in parts]),
            primitives=PrimitiveTable.concat([part.primitives for part in parts]),
            econ=EconTable.concat([part.econ for part in parts]),
            observations=pool([part.observations for part in parts]),
            landmarks=pool_risk([part.landmarks for part in parts]),
            quarantine=QuarantineTable.concat([part.quarantine for part in parts]),
            notes=NoteTable.concat([part.notes for part in parts]),
            goals=GoalTable.concat([part.goals for part in parts]),
            defects=DefectTable.concat([part.defects for part in parts]),
            measures=EpisodeMeasures.concat([part.measures for part in parts]),
            pauses=PauseTable.concat([part.pauses for part in parts]),
            points=PointTable.concat([part.points for part in parts]),
            signals=SignalTable.concat([part.signals for part in parts]),
            seconds=seconds,
        )

    def tables(self) -> dict[str, Table]:
        """The tables by the kind they are stored as."""
        return {kind: getattr(self, name) for kind, name in self.KINDS.items()}


def shard_spans(total: int) -> list[tuple[int, int]]:
    """Spans of a source of so many episodes that are shards: twice as large where there are many.

    >>> shard_spans(600), len(shard_spans(9_999)), len(shard_spans(10_000))
    ([(0, 250), (250, 500), (500, 600)], 40, 20)
    """
    size = SHARD_EPISODES * (2 if total >= 40 * SHARD_EPISODES else 1)
    return [(start, min(start + size, total)) for start in range(0, total, size)]


def calibrate(source: Source, without: frozenset[int] = frozenset()) -> Calibration:
    """Scales of each robot and nominal durations, from a fixed, even sample of the source.

    Args:
        source: episodes of which few are read.
        without: places of episodes that must not be read.
    """
    from sima2.primitives.outcome_inference import OutcomeInference
    from sima2.segmentation_engine import SegmentationEngine

    batches = []
    for start, stop in calibration_spans(source.episodes):
        for bad in (*sorted(without.intersection(range(start, stop))), stop):
            if start < bad:
                batches.append(source.read(start, bad).batch)
            start = bad + 1
    durations: dict[str, list[float]] = {}
    for batch in batches:
        for i, family in enumerate(batch.episodes.family):
            durations.setdefault(family, []).append(_duration(batch.time, batch.offset, i))
    engine = SegmentationEngine().fit(batches)
    return Calibration(
        engine=engine,
        nominal_s={family: float(np.median(values)) for family, values in sorted(durations.items())},
        inference=OutcomeInference().knowing(
            SegmentTable.concat([engine.segment(batch) for batch in batches]) if batches else SegmentTable.empty(),
            [name for batch in batches for name in batch.episodes.episode_id],
            [name for batch in batches for name in batch.episodes.family],
        ),
    )


def calibration_spans(total: int) -> list[tuple[int, int]]:
    """Spans of a source of so many episodes that calibration reads: places start .. stop, apart and in order."""
    each = max(1, CALIBRATION_EPISODES // CALIBRATION_SPANS)
    spans: list[tuple[int, int]] = []
    seen = -1
    for start in sorted({int(s) for s in np.linspace(0, max(total - each, 0), CALIBRATION_SPANS)}) if total else []:
        begin, stop = max(start, seen), min(start + each, total)
        if begin < stop:
            spans.append((begin, stop))
            seen = stop
    return spans


def _duration(time: Any, offset: Any, i: int) -> float:
    a, b = int(offset[i]), int(offset[i + 1])
    return float(time[b - 1] - time[a]) if b > a else 0.0


def load_stages(answer: str) -> str:
    """Import what the passes use whatever the source, as a worker does while it waits; and say so."""
    import sima2.analytics.econ
    import sima2.analytics.trust_inputs
    import sima2.client
    import sima2.defects.inspector
    import sima2.io.arrow
    import sima2.io.intake
    import sima2.primitives.extractor
    import sima2.primitives.goal_state
    import sima2.primitives.outcome_inference
    import sima2.report.signals
    import sima2.segmentation_engine
    import sima2.tags.propagator  # noqa: F401

    return answer


def first_pass(task: ShardTask, clock: Callable[[], float] | None = None) -> FirstPass:
    """One look at the raw signals of a shard: all that later phases need of them."""
    parts = []
    for start in range(task.start, task.stop, task.batch_size):
        stop = min(start + task.batch_size, task.stop)
        parts.append(_first_pass_batch(task, start, stop, clock))
    return FirstPass.concat(task.shard, parts)


def _first_pass_batch(task: ShardTask, start: int, stop: int, clock: Callable[[], float] | None) -> FirstPass:
    from sima2.analytics.econ import econ_vectors
    from sima2.defects.inspector import DefectInspector
    from sima2.primitives.extractor import SemanticPrimitiveExtractor
    from sima2.report.signals import thinned_signals
    from sima2.tags.observations import observe

    watch = _Watch(clock)
    engine = task.calibration.engine
    intake = task.source.read(start, stop)
    watch.lap("source")
    batch = intake.batch
    seen = seen_in(task.calibration, batch, watch.lap)
    segments, inferred = seen.segments, seen.inferred
    primitives = SemanticPrimitiveExtractor().extract(segments)
    outcome = intake.outcome.filled_with(inferred.success, inferred.failed_at_s)
    watch.lap("primitives")
    econ = econ_vectors(batch, outcome, nominal_s=task.calibration.nominal_s)
    watch.lap("econ")
    observed = observe(batch, segments, engine.segment, task.calibration.nominal_s)
    watch.lap("observe")
    inspected = DefectInspector().inspect(batch, segments)
    watch.lap("defects")
    signals = thinned_signals(batch)
    watch.lap("signals")
    return FirstPass(
        shard=task.shard,
        episodes=_episode_table(intake, outcome, inferred, segments, task.source.source_id),
        segments=segments,
        primitives=primitives,
        econ=econ,
        observations=observed.segments,
        landmarks=observed.risk,
        quarantine=intake.quarantine,
        notes=intake.notes,
        goals=_goals(batch.episodes),
        defects=inspected.defects,
        measures=inspected.measures,
        pauses=inspected.pauses,
        points=inspected.points,
        signals=signals,
        seconds=watch.laps,
    )


class Seen(NamedTuple):
    """What is told of the episodes of a batch by what happens in them."""

    segments: SegmentTable
    inferred: InferredOutcome


def seen_in(calibration: Calibration, batch: RolloutBatch, lap: Callable[[str], None] = lambda _: None) -> Seen:
    """Segments of a batch, and how its episodes seem to have ended; the same in any batch.

    Args:
        calibration: of the source that the episodes are of.
        batch: whole episodes, read or changed.
        lap: told when a part is done.
    """
    from sima2.primitives.goal_state import goal_reached

    segments = calibration.engine.segment(batch)
    lap("segment")
    each = batch.episodes
    reached = goal_reached(batch)
    return Seen(segments, calibration.inference.infer(segments, each.episode_id, each.goal, each.family, reached))


def _goals(episodes: Episodes) -> GoalTable:
    """The goals of the episodes that have one."""
    named = zip(episodes.episode_id, episodes.goal, episodes.instruction, strict=True)
    rows = [(eid, g.object, g.target, g.relation, words) for eid, g, words in named if g is not None]
    columns = zip(*rows, strict=True) if rows else [()] * 5
    return GoalTable(*(Text.of(column) for column in columns))


def _episode_table(intake: Intake, outcome: Any, inferred: Any, segments: SegmentTable, source_id: str) -> EpisodeTable:
    batch = intake.batch
    each = batch.episodes
    n = len(batch)
    counts = np.bincount(segments.episode_id.recode(each.episode_id), minlength=n) if n else np.zeros(0)
    return EpisodeTable(
        episode_index=each.episode_index,
        episode_id=Text.of(each.episode_id),
        family=Text.of(each.family),
        robot=Text.of(each.robot),
        policy=Text.of(each.policy),
        session=Text.of(each.session),
        instruction=Text.of(each.instruction),
        debug_mode=each.debug_mode,
        frames=batch.length,
        duration_s=np.array([_duration(batch.time, batch.offset, i) for i in range(n)]),
        success=outcome.success,
        outcome_source=outcome.source,
        inferred_success=inferred.success,
        inferred_confidence=inferred.confidence,
        inferred_end=inferred.end,
        failure_reason=inferred.reason,
        nominal=outcome.nominal,
        segments=counts.astype(np.int64),
        defects=np.zeros(n, np.int64),
        worst_defect=Text.full(n, ""),
        defect_severity=np.zeros(n),
        source=Text.full(n, source_id),
        source_index=each.episode_index,
    )


class _Watch:
    """Seconds between laps, where a clock was given."""

    def __init__(self, clock: Callable[[], float] | None) -> None:
        self.laps: dict[str, float] = {}
        self._clock = clock
        self._last = clock() if clock else 0.0

    def lap(self, name: str) -> None:
        if self._clock:
            now = self._clock()
            self.laps[name] = self.laps.get(name, 0.0) + now - self._last
            self._last = now


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """What is fitted between the passes."""

    references: References
    episodes: EpisodeTable
    """All episodes, with ``nominal`` by the rule."""
    nominal_rule: str
    said: SaidTable = field(default_factory=SaidTable.empty)
    """What persons say of outcomes, which ``episodes`` has and shards have not."""
    examples: ExampleTable = field(default_factory=ExampleTable.empty)
    """What episodes whose outcome was said tell of the others."""
    by_example: EpisodeTable = field(default_factory=EpisodeTable.empty)
    """Episodes whose outcome, as ``episodes`` has it, is another by that than in their shard."""


def freeze(
    episodes: EpisodeTable,
    observations: SegmentObservations,
    landmarks: RiskObservations,
    said: SaidTable | None = None,
    *,
    points: Callable[[], PointTable] | None = None,
    pictures: Pictures | None = None,
) -> Frozen:
    """Infer by example what nobody said, and fit references on nominal episodes, out of fold.

    Here, and nowhere before, outcomes become what persons say: all that follows takes them from what is frozen.

    Args:
        episodes: all, as recorded or inferred from their segments.
        observations: of their segments.
        landmarks: of their beginnings.
        said: what persons say of them.
        points: how arms stand in them, asked for where enough was said to infer by example; without it nothing is.
        pictures: what cameras show at their ends.
    """
    from sima2.analytics.inferred_by_example import changed_by, infer_by_example, speaks_by_example, with_examples
    from sima2.analytics.said import chosen_by_persons, episodes_as_said, references_of_persons
    from sima2.tags.observations import episode_places, failed_later
    from sima2.tags.references import fit_references

    said = SaidTable.empty() if said is None else said
    episodes = episodes_as_said(episodes, said)
    examples, by_example = ExampleTable.empty(), EpisodeTable.empty()
    if points is not None and speaks_by_example(episodes):
        examples = infer_by_example(episodes, points(), pictures, active=chosen_by_persons(said))
        before, episodes = episodes, with_examples(episodes, examples)
        by_example = changed_by(before, episodes)
    nominal, rule = _nominal(episodes, observations, references_of_persons(episodes.episode_id, said))
    place = episode_places(landmarks.episode_id, episodes.episode_id)
    references = fit_references(observations, landmarks, nominal[place], failed_later(observations, landmarks))
    return Frozen(references, replace(episodes, nominal=nominal), rule, said, examples, by_example)


def _nominal(episodes: EpisodeTable, observations: SegmentObservations, named: Bools) -> tuple[np.ndarray, str]:
    """Reference episodes, debug ones left aside, and those that persons named besides, shape (n,)."""
    from sima2.analytics.nominal import nominal_episodes
    from sima2.tags.observations import episode_places

    wrong = observations.failed | observations.label.isin(*ANOMALIES, "recovery_maneuver")
    clean = np.ones(len(episodes), np.bool_)
    clean[episode_places(observations.episode_id, episodes.episode_id)[wrong & ~observations.cut]] = False
    usable = ~episodes.debug_mode
    success = np.where(usable, episodes.success, np.nan)
    return nominal_episodes(
        success, episodes.outcome_source, episodes.nominal & usable, clean, named & usable & (episodes.success != 0)
    )


@dataclass(frozen=True, slots=True, eq=False)
class SecondPass:
    """What pass 2 makes of a shard: its tags and costs, and what it adds to each aggregate."""

    tags: TagTable
    econ: EconTable
    """With the outcomes that persons say."""
    trust: TrustCounts
    evidence: Evidence
    tasks: TaskEvidence
    tally: Mapping[str, Mapping[str, int]]
    """Labels and outcomes of segments, counted."""

    def aggregates(self) -> dict[str, str]:
        """As JSON, for the ledger."""
        return {
            "trust": self.trust.to_json(),
            "evidence": self.evidence.to_json(),
            "tasks": self.tasks.to_json(),
            "tally": json.dumps(self.tally, sort_keys=True),
        }


def second_pass(
    frozen: Frozen,
    episodes: EpisodeTable,
    segments: SegmentTable,
    primitives: PrimitiveTable,
    econ: EconTable,
    observations: SegmentObservations,
    landmarks: RiskObservations,
    goals: GoalTable,
) -> SecondPass:
    """Tags, costs and counts of a shard, from its tables and what is frozen alone.

    Counts that trust rests on take what persons say only of episodes that were drawn by lot (``analytics.said``).
    """
    from sima2.analytics.inferred_by_example import costs_by_example, episodes_by_example
    from sima2.analytics.said import costs_as_said, drawn_by_lot
    from sima2.analytics.trust_inputs import trust_counts
    from sima2.knowledge.evidence import evidence
    from sima2.knowledge.task_evidence import merge, tag_evidence, task_evidence
    from sima2.tags.propagator import SemanticTagPropagator
    from sima2.tags.seen import TaggedEpisodes
    from sima2.tags.specs import TAGS

    episodes, econ = episodes_by_example(episodes, frozen.by_example), costs_by_example(econ, frozen.by_example)
    tagged = TaggedEpisodes(
        episode_index=episodes.episode_index,
        episode_id=episodes.episode_id,
        frames=episodes.frames,
        family=episodes.family,
        debug_mode=episodes.debug_mode,
        inferred_success=episodes.inferred_success,
    )
    tags = SemanticTagPropagator().propagate(segments, primitives, observations, landmarks, frozen.references, tagged)
    family = dict(zip(episodes.episode_id, episodes.family, strict=True))
    return SecondPass(
        tags=tags,
        econ=costs_as_said(econ, frozen.said),
        trust=trust_counts(tags, costs_as_said(econ, drawn_by_lot(frozen.said)), episodes, segments, TAGS),
        evidence=evidence(primitives, segments, goals),
        tasks=merge([task_evidence(segments, family), tag_evidence(tags, segments, family, TAGS)]),
        tally={
            "labels": _tally(segments.label),
            "segment_outcomes": _tally(segments.outcome),
            "failure_reasons": _tally(segments.failure_reason),
            "rows": {"segments": len(segments), "primitives": len(primitives), "tags": len(tags)},
        },
    )


def _tally(column: Text) -> dict[str, int]:
    counts = np.bincount(column.codes, minlength=len(column.names)).tolist()
    return {name: count for name, count in zip(column.names, counts, strict=True) if count and name}


@dataclass(frozen=True, slots=True, eq=False)
class Aggregates:
    """The second passes of all shards, merged; every merge is exact and in no need of an order."""

    trust: TrustCounts
    evidence: Evidence
    tasks: TaskEvidence
    tally: Mapping[str, Mapping[str, int]]
    batches: Sequence[TrustCounts] = ()
    """Trust counts of each shard, in the order in which they came."""
    apart: Mapping[str, Sequence[TrustCounts]] = field(default_factory=dict)
    """The same of each collection, where there are several."""

    @classmethod
    def merged(cls, parts: Mapping[str, Sequence[str]], collections: Sequence[str] = ()) -> Aggregates:
        """Of the JSON texts that :meth:`SecondPass.aggregates` wrote, by name, and the collection of each shard."""
        from sima2.analytics import counts
        from sima2.knowledge import evidence, task_evidence

        tally: dict[str, dict[str, int]] = {}
        for part in parts["tally"]:
            for name, column in json.loads(part).items():
                for key, count in column.items():
                    tally.setdefault(name, {})[key] = tally.get(name, {}).get(key, 0) + count
        batches = [counts.TrustCounts.from_json(part) for part in parts["trust"]]
        apart: dict[str, list[counts.TrustCounts]] = {}
        if len(set(collections)) > 1:
            for name, batch in zip(collections, batches, strict=True):
                apart.setdefault(name, []).append(batch)
            batches = [counts.of_collection(batch, name) for name, batch in zip(collections, batches, strict=True)]
        return cls(
            trust=reduce(counts.merge, batches, counts.TrustCounts()),
            evidence=evidence.merge([evidence.Evidence.from_json(part) for part in parts["evidence"]]),
            tasks=task_evidence.merge([task_evidence.TaskEvidence.from_json(part) for part in parts["tasks"]]),
            tally=tally,
            batches=batches,
            apart=apart,
        )

    def texts(self, proposals: ProposalTable) -> dict[str, str]:
        """The files that tell what is known with what is applied, by name."""
        return {"ontology.json": self.ontology(proposals), "task_graph.json": self.task_graph(proposals)}

    def proposals(self) -> ProposalTable:
        """All that is proposed, by priority; nothing is decided on those that rest on a tag."""
        from sima2.knowledge.ontology import OntologyUpdateEngine
        from sima2.knowledge.task_graph import TaskGraphRefiner
        from sima2.tags.specs import TAGS

        found = ProposalTable.concat(
            [OntologyUpdateEngine().propose(self.evidence), TaskGraphRefiner(specs=TAGS).refine(self.tasks)]
        )
        return found.take(np.argsort(-found.priority, kind="stable"))

    def ontology(self, proposals: ProposalTable) -> str:
        """``ontology.json``."""
        from sima2.knowledge.ontology import OntologyUpdateEngine
        from sima2.knowledge.ontology_graph import to_json

        return to_json(OntologyUpdateEngine().ontology(self.evidence, proposals))

    def ontology_turtle(self, proposals: ProposalTable) -> str | None:
        """``ontology.ttl``; None without the extra ``[rdf]``."""
        from importlib.util import find_spec

        if find_spec("rdflib") is None:
            return None
        from sima2.knowledge.ontology import OntologyUpdateEngine
        from sima2.knowledge.turtle import to_turtle

        return to_turtle(OntologyUpdateEngine().ontology(self.evidence, proposals))

    def task_graph(self, proposals: ProposalTable) -> str:
        """``task_graph.json``."""
        from sima2.knowledge.ontology_graph import to_json
        from sima2.knowledge.task_graph import TaskGraphRefiner
        from sima2.tags.specs import TAGS

        return to_json(TaskGraphRefiner(specs=TAGS).graph(self.tasks, proposals))


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What the whole run says, before anything is decided on proposals."""

    frozen: Frozen
    aggregates: Aggregates
    trust: TrustMatrix
    proposals: ProposalTable
    training: Plan
    """What to train on, and by which frames."""
    planned_by: Mapping[str, str]
    """Objective and preset of that."""
    draws: SamplePlan
    """How often each episode is drawn, for reinforcement."""
    audit: AuditTable
    quarantine: QuarantineTable
    drawn: Mapping[str, Any]
    """What a trainer will see: shares that the plan draws, and even ones."""
    values: Mapping[str, Any]
    """Counts, costs and statistics for the summary."""

    @property
    def episodes(self) -> EpisodeTable:
        """All episodes."""
        return self.frozen.episodes

    def summary(self, proposals: ProposalTable) -> dict[str, Any]:
        """What ``summary.json`` says of the results."""
        return {
            **self.values,
            "trust": {
                tag: {"trust_level": row.trust_level, "tier": row.tier, "reason": row.reason}
                for tag, row in self.trust.items()
            },
            **({"trust_by_collection": self._by_collection()} if self.trust.by_collection else {}),
            "shadow": asdict(self.trust.shadow) if self.trust.shadow else None,
            "alerts": [{"tag": a.tag, "kind": a.kind, "message": a.message} for a in self.trust.alerts],
            "proposals": proposal_counts(proposals),
            "audit": _tally(self.audit.status),
            "plan": {**self.planned_by, **plan_counts(self.training, self.episodes)},
            "weights": self.drawn,
        }

    def _by_collection(self) -> dict[str, dict[str, Any]]:
        return {
            name: {
                tag: {"trust_level": row.trust_level, "tier": row.tier, "reason": row.reason}
                for tag, row in rows.items()
            }
            for name, rows in self.trust.by_collection.items()
        }


def finalize(
    frozen: Frozen,
    aggregates: Aggregates,
    tags: TagTable,
    econ: EconTable,
    quarantine: QuarantineTable,
    *,
    defects: DefectTable | None = None,
    verdicts: SegmentVerdicts | None = None,
    pauses: PauseTable | None = None,
    consensus: ConsensusTable | None = None,
    card: CardTable | None = None,
    look: int = 1,
    sources: Mapping[str, str] | None = None,
    prior: Prior | None = None,
) -> Results:
    """Trust, proposals, audit and weights from what both passes left.

    Args:
        frozen: what was fitted, with all episodes.
        aggregates: of all shards.
        tags: of all episodes.
        econ: the same.
        quarantine: what was put aside.
        defects: what is wrong with the data of all episodes.
        verdicts: what segments tell of stretches of them.
        pauses: where nothing moves in them.
        consensus: how far each does otherwise than others in like states.
        card: how well what was found is found on this very set; unknown where none was made.
        look: counts the calibrations so far.
        sources: collection of each source by its id; needed where there are several collections.
        prior: what an earlier set says of the tags.
    """
    from sima2.analytics.statistics import describe
    from sima2.sampling.effective import effective
    from sima2.sampling.plan import Known, precision_of
    from sima2.sampling.plan_settings import PlanSettings
    from sima2.sampling.planned import planned
    from sima2.sampling.pool import Pool
    from sima2.sampling.tag_reviews import tag_reviews
    from sima2.tags.specs import TAGS, THRESHOLDS

    trust = _tested(aggregates, look, sources or {}, prior)
    episodes = frozen.episodes
    pool = Pool.of(episodes, tags, trust, TAGS)
    known = Known(
        episodes=episodes,
        defects=DefectTable.empty() if defects is None else defects,
        verdicts=SegmentVerdicts.empty() if verdicts is None else verdicts,
        pauses=PauseTable.empty() if pauses is None else pauses,
        consensus=ConsensusTable.empty() if consensus is None else consensus,
        precision=precision_of(CardTable.empty() if card is None else card),
        asked=tag_reviews(episodes, tags, trust, TAGS),
    )
    settings = PlanSettings()
    training = planned(known, pool, settings).plan
    draws = planned(known, pool, PlanSettings(objective="rl")).draws
    return Results(
        frozen=frozen,
        aggregates=aggregates,
        trust=trust,
        proposals=aggregates.proposals(),
        training=training,
        planned_by={"objective": settings.objective, "preset": settings.preset},
        draws=draws,
        audit=_audited(episodes, tags, trust, quarantine, training.episodes),
        quarantine=quarantine,
        drawn=effective(pool, draws.p),
        values={
            "frames": int(episodes.frames.sum()),
            "segments": aggregates.tally.get("rows", {}).get("segments", 0),
            "primitives": aggregates.tally.get("rows", {}).get("primitives", 0),
            "labels": aggregates.tally.get("labels", {}),
            "segment_outcomes": aggregates.tally.get("segment_outcomes", {}),
            "failure_reasons": aggregates.tally.get("failure_reasons", {}),
            "episode_outcomes": {
                "success": int((episodes.success == 1).sum()),
                "failure": int((episodes.success == 0).sum()),
                "unknown": int(np.isnan(episodes.success).sum()),
                "source": _in_words(_tally(episodes.outcome_source[~np.isnan(episodes.success)])),
            },
            "nominal": {"episodes": int(episodes.nominal.sum()), "rule": frozen.nominal_rule},
            "tags": _tag_counts(tags, THRESHOLDS),
            "costs": {name: _spread(getattr(econ, name)) for name in ("duration_s", "energy_wh", "damage", "mpl")},
            "statistics": [_statistic(each) for each in describe(aggregates.trust, TAGS).values()],
        },
    )


def _tested(aggregates: Aggregates, look: int, sources: Mapping[str, str], prior: Prior | None) -> TrustMatrix:
    """The verdict on every tag: on all episodes, and on those of each collection by themselves if there are several."""
    from sima2.analytics import counts
    from sima2.analytics.econ_correlator import EconCorrelator
    from sima2.tags.specs import TAGS

    def matrix(whole: TrustCounts, batches: Sequence[TrustCounts]) -> TrustMatrix:
        return EconCorrelator().correlate(whole, specs=TAGS, look=look, batches=batches, prior=prior)

    apart = {
        name: matrix(reduce(counts.merge, batches, counts.TrustCounts()), batches)
        for name, batches in sorted(aggregates.apart.items())
    }
    found = matrix(aggregates.trust, aggregates.batches)
    return replace(found, by_collection=apart, sources=dict(sorted(sources.items()))) if apart else found


def _audited(
    episodes: EpisodeTable,
    tags: TagTable,
    trust: TrustMatrix,
    quarantine: QuarantineTable,
    plan: TrainingPlan,
) -> AuditTable:
    """Every datapack audited by its plan and by what was tested on its own collection."""
    from sima2.sampling.auditor import DatapackAuditor
    from sima2.sampling.pool import tested_apart
    from sima2.tags.specs import TAGS

    auditor = DatapackAuditor()
    if not trust.by_collection:
        return auditor.audit(episodes, tags, trust, TAGS, quarantine, plan=plan)
    parts = [
        (np.flatnonzero(member), auditor.audit(episodes.take(member), tags, rows, TAGS, plan=plan.take(member)))
        for member, rows in tested_apart(episodes, trust)
    ]
    whole = AuditTable.concat([audit for _, audit in parts])
    order = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
    aside = auditor.audit(EpisodeTable.empty(), TagTable.empty(), trust, TAGS, quarantine)
    return AuditTable.concat([whole.take(order), aside])


def judged(defects: DefectTable, measures: EpisodeMeasures, cameras: Sequence[CameraTable] = ()) -> DefectTable:
    """All defects, the worst first: those of single episodes, and those that the others show.

    Args:
        defects: of single episodes.
        measures: of all episodes.
        cameras: what was measured in their pictures, each source by itself.
    """
    from sima2.cameras import judged_cameras
    from sima2.defects.judge import DefectJudge

    shown = [judged_cameras(each) for each in cameras]
    return DefectJudge().judge(DefectTable.concat([defects, *shown]), measures)


def with_joint_names(defects: DefectTable, described: Sequence[Mapping[str, Any]]) -> DefectTable:
    """Findings that also say what the data set calls the joints, where all sources call them alike."""
    from sima2.defects.findings import named

    names = [dict(each.get("joint_names") or {}) for each in described]
    return named(defects, names[0]) if names and all(each == names[0] for each in names) else defects


def example_counts(examples: ExampleTable) -> list[dict[str, Any]]:
    """What is told by example of each task, for the summary."""
    out = []
    for family, robot in sorted(set(zip(examples.family, examples.robot, strict=True))):
        task = examples.take(examples.family.isin(family) & examples.robot.isin(robot))
        open_ = task.take(task.said.isin(""))
        answer = _tally(open_.answer)
        error = float(task.stated_error[0])
        out.append(
            {
                "family": family,
                "robot": robot,
                "said": len(task) - len(open_),
                **{name: answer.get(name, 0) for name in ("success", "failure", "unsure")},
                "stated_error": None if math.isnan(error) else round(error, 3),
                "confidence": round(float(task.confidence.max()), 3),
                "view": task.view[0],
            }
        )
    return out


def with_cuts(defects: DefectTable, episodes: EpisodeTable) -> RankedDefects:
    """Findings with what each costs a trainer by the rules of the plan, and what can be cut off at an end."""
    from sima2.sampling.plan_settings import CUT, DROP, RULES

    frames = dict(zip(episodes.episode_id, episodes.frames.tolist(), strict=True))
    length = np.array([frames.get(name, 0) for name in defects.episode_id], np.int64)
    acts = np.array([RULES[kind].act if kind in RULES else "" for kind in defects.defect], object)
    start, end = defects.start_frame, np.minimum(defects.end_frame, length)
    cut, gone = acts == CUT, acts == DROP
    head, tail = cut & (start == 0), cut & (end == length) & (start > 0)
    return RankedDefects(
        **{name: getattr(defects, name) for name in DefectTable.columns()},
        kind_of_knowledge=Text.of(RULES[kind].knowledge if kind in RULES else "" for kind in defects.defect),
        frames_lost=np.where(cut, np.maximum(end - start, 0), np.where(gone, length, 0)),
        cut_start=np.where(tail, start, 0),
        cut_end=np.where(head | tail, end, 0),
    )


def with_said(defects: DefectTable, episodes: EpisodeTable, said: SaidTable) -> DefectTable:
    """All findings, and outcomes that persons say otherwise than they were recorded or than each other, worst first.

    Args:
        defects: so far.
        episodes: with outcomes as they were before anybody spoke.
        said: what persons say.
    """
    from sima2.defects.judge import ranked
    from sima2.defects.outcome_overrides import said_otherwise

    found = said_otherwise(episodes, said)
    return ranked(DefectTable.concat([defects, found])) if len(found) else defects


def with_contradicted(defects: DefectTable, episodes: EpisodeTable, measures: Iterable[EpisodeMeasures]) -> DefectTable:
    """All findings, and copies of one recording with opposite outcomes, the worst first."""
    from sima2.defects.contradicted_copies import contradicted
    from sima2.defects.judge import ranked

    found = contradicted(episodes, measures)
    return ranked(DefectTable.concat([defects, found])) if len(found) else defects


def with_conflicts(defects: DefectTable, episodes: EpisodeTable, ended: Endings) -> tuple[DefectTable, list[str]]:
    """All defects, and recorded outcomes that contradict the inferred ones, the worst first; and what must be said."""
    from sima2.defects.conflicts import label_conflicts
    from sima2.defects.judge import ranked

    found, doubted = label_conflicts(episodes, ended)
    told = [
        f"in {doubted} episodes the motion suggests another outcome than recorded, but it contradicts most of such "
        "outcomes here: not counted as conflicts"
    ]
    whole = ranked(DefectTable.concat([defects, found])) if len(found) else defects
    return whole, told if doubted else []


@dataclass(frozen=True, slots=True, eq=False)
class Courses:
    """What the episodes of each task have in common, how far each is from it, and by what it ended."""

    usual: CourseTable
    unusual: UnusualTable
    ended: Endings
    verdicts: SegmentVerdicts
    """Failed attempts and drives home."""
    consensus: ConsensusTable
    """How far each does otherwise than others in like states."""

    @classmethod
    def of(
        cls,
        shards: Iterable[tuple[EpisodeTable, EpisodeMeasures, SegmentTable]],
        points: PointTable,
        defects: DefectTable,
    ) -> Courses:
        """Of all shards, of which only what is compared is kept.

        Args:
            shards: tables of each.
            points: of all episodes.
            defects: the same; copies vouch for nobody.
        """
        from sima2.defects.consensus import consensus, copied
        from sima2.defects.courses import endings, strides, usual_courses
        from sima2.defects.unusual import unusual_episodes
        from sima2.sampling.verdicts import segment_verdicts

        taken, ended, told = [], [], []
        for episodes, measures, segments in shards:
            taken.append(strides(measures, segments))
            ended.append(endings(episodes.episode_id, segments))
            told.append(segment_verdicts(segments))
        every = Strides.concat(taken)
        verdicts = SegmentVerdicts.concat(told)
        agreed = consensus(points, copied(defects))
        unusual = unusual_episodes(every, consensus=agreed)
        return cls(usual_courses(every), unusual, Endings.concat(ended), verdicts, agreed)


def plan_counts(plan: Plan, episodes: EpisodeTable) -> dict[str, Any]:
    """How many episodes get each action, why, by which kind of knowledge, and how much of the frames is left out."""
    table, spans = plan
    whole = int(episodes.frames[table.weight == 0].sum())
    part = float(((spans.end_frame - spans.start_frame) * (1.0 - spans.weight)).sum())
    frames = int(episodes.frames.sum())

    def each(column: Text) -> dict[str, int]:
        counts = Counter(name for row in column for name in filter(None, row.split(",")))
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    return {
        "actions": {name: int(table.action.isin(name).sum()) for name in ACTIONS},
        "codes": each(table.codes),
        "moved_by": each(table.kind_of_knowledge),
        "frames_left_out": (whole + part) / frames if frames else 0.0,
        "even": bool((table.weight == 1).all() and not len(spans)),
    }


def with_defects(episodes: EpisodeTable, found: DefectTable) -> EpisodeTable:
    """The episodes with what they have of the defects."""
    from sima2.defects.judge import by_episode

    count, worst, severity = by_episode(found, episodes.episode_index)
    return replace(episodes, defects=count, worst_defect=worst, defect_severity=severity)


def defect_counts(defects: DefectTable) -> dict[str, dict[str, int]]:
    """Findings of each kind, and the episodes that have any, most frequent first."""
    counts = {}
    for kind, n in sorted(_tally(defects.defect).items(), key=lambda item: (-item[1], item[0])):
        mine = defects.episode_index[defects.defect.isin(kind) & (defects.episode_index >= 0)]
        counts[kind] = {"findings": n, "episodes": len(np.unique(mine))}
    return counts


def proposal_counts(proposals: ProposalTable) -> dict[str, dict[str, int]]:
    """Proposals of each kind by status."""
    counts: dict[str, dict[str, int]] = {}
    for kind, status in zip(proposals.kind, proposals.status, strict=True):
        row = counts.setdefault(kind, {"accepted": 0, "refused": 0, "pending_trust": 0, "undone": 0})
        row[status] += 1
    return counts


def _in_words(counts: Mapping[str, int]) -> str:
    """``recorded``, or ``recorded 90, inferred 10`` where there are several."""
    if len(counts) < 2:
        return next(iter(counts), "none")
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _statistic(statistic: Statistic) -> dict[str, Any]:
    """A statistic as the summary tells it: within strata where that is known, else over all; both are kept."""
    raw = math.isnan(statistic.stratified)
    low, high = statistic.raw_interval if raw else statistic.stratified_interval
    note = "; ".join(part for part in (statistic.meaning, statistic.bias, f"target {statistic.target}") if part)
    return {
        **asdict(statistic),
        "value": statistic.raw if raw else statistic.stratified,
        "low": low,
        "high": high,
        "note": note,
    }


def _tag_counts(tags: TagTable, thresholds: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Episodes in which each tag was assessed, and in which it was given."""
    out = {}
    for tag, threshold in thresholds.items():
        mine = tags.take(tags.tag.isin(tag))
        assessed = len(np.unique(mine.episode_id.codes[~np.isnan(mine.level)]))
        given = len(np.unique(mine.episode_id.codes[np.nan_to_num(mine.level) > threshold]))
        out[tag] = {
            "assessed": assessed,
            "fired": given,
            "share": given / assessed if assessed else None,
            "above": threshold,
        }
    return out


def _spread(values: Any) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    if not len(known):
        return {"n": 0, "mean": None, "median": None, "p90": None}
    return {
        "n": len(known),
        "mean": float(math.fsum(known.tolist()) / len(known)),
        "median": float(np.median(known)),
        "p90": float(np.quantile(known, 0.9)),
    }
