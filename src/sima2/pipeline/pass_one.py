"""Pass 1: one look at the raw signals of a shard, which leaves all that later phases need of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np

from sima2.pipeline.calibration import Calibration, episode_seconds
from sima2.records.courses import PointTable
from sima2.records.defects import DefectTable, EpisodeMeasures, PauseTable
from sima2.records.episodes import EpisodeTable, GoalTable
from sima2.records.intake import NoteTable, QuarantineTable
from sima2.records.primitives import InferredOutcome
from sima2.records.segments import SegmentTable
from sima2.records.signals import SignalTable
from sima2.records.table import Text
from sima2.shard_tables import DEFECTS, MEASURES, NOTES, PAUSES, POINTS, QUARANTINE, SIGNALS, Kind, ShardTables

if TYPE_CHECKING:
    from sima2.client import Intake, Source
    from sima2.records.rollout import Episodes, RolloutBatch

SHARD_EPISODES: Final = 250
"""Episodes of a shard at least: a few MB of Parquet, and a small part of any run worth resuming."""


def shard_spans(total: int) -> list[tuple[int, int]]:
    """Spans of a source of so many episodes that are shards: twice as large where there are many.

    >>> shard_spans(600), len(shard_spans(9_999)), len(shard_spans(10_000))
    ([(0, 250), (250, 500), (500, 600)], 40, 20)
    """
    size = SHARD_EPISODES * (2 if total >= 40 * SHARD_EPISODES else 1)
    return [(start, min(start + size, total)) for start in range(0, total, size)]


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
class FirstPass(ShardTables):
    """What pass 1 leaves of a shard."""

    quarantine: QuarantineTable
    notes: NoteTable
    defects: DefectTable
    measures: EpisodeMeasures
    pauses: PauseTable
    points: PointTable
    signals: SignalTable
    shard: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Of CPU, by stage."""

    KINDS: ClassVar[Mapping[str, Kind[Any]]] = MappingProxyType(
        {
            **ShardTables.KINDS,
            "quarantine": QUARANTINE,
            "notes": NOTES,
            "defects": DEFECTS,
            "measures": MEASURES,
            "pauses": PAUSES,
            "points": POINTS,
            "signals": SIGNALS,
        }
    )

    @classmethod
    def empty(cls, shard: int) -> FirstPass:
        """Of a shard in which nothing was."""
        return cls.concat(shard, [])

    @classmethod
    def concat(cls, shard: int, parts: Sequence[FirstPass]) -> FirstPass:
        """Parts of a shard end to end."""
        seconds: dict[str, float] = {}
        for part in parts:
            for name, value in part.seconds.items():
                seconds[name] = seconds.get(name, 0.0) + value
        tables = {name: kind.joined([getattr(part, name) for part in parts]) for name, kind in cls.KINDS.items()}
        return cls(**tables, shard=shard, seconds=seconds)


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
        shard=task.shard,
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
        duration_s=np.array([episode_seconds(batch, i) for i in range(n)]),
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
