"""Runs the whole: pump → pass 1 → freeze → pass 2 → trust → proposals → plan; and decides what is applied."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sima2 import __version__
from sima2.client import SOURCES, Sima2Client, Source
from sima2.errors import DataError, Sima2Error, UnknownNameError, UsageError, masked
from sima2.execution.local import one_thread, run_shards
from sima2.pipeline import (
    MAIN_MIX,
    SHARD_EPISODES,
    Aggregates,
    Calibration,
    Frozen,
    Progress,
    RunSettings,
    RunSummary,
    ShardTask,
    calibrate,
    defect_counts,
    finalize,
    first_pass,
    freeze,
    judged,
    second_pass,
)
from sima2.records.defects import DefectTable, EpisodeVitals
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable, GoalTable
from sima2.records.intake import QuarantineTable
from sima2.records.knowledge import ProposalTable
from sima2.records.primitives import PrimitiveTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Table, Text
from sima2.records.tags import TagTable
from sima2.records.trust import TrustMatrix

if TYPE_CHECKING:
    from sima2.io.store import Store

T = TypeVar("T", bound=Table)
FIRST, SECOND = "pass 1", "pass 2"
ENGINES = ("local",)


@dataclass(frozen=True, slots=True)
class SemanticOrchestrator:
    """Decides on proposals; nothing else applies one."""

    least_trust: float = 0.6
    """Trust that the source tag of a tag-backed proposal needs."""

    def decide(self, proposals: ProposalTable, trust: TrustMatrix) -> ProposalTable:
        """Accept tag-backed proposals whose tag is trusted; the others go on waiting, and say for what.

        Proposals backed by evidence alone keep the verdict of their support.
        """
        status, reason = proposals.status.tolist(), proposals.status_reason.tolist()
        for i, tag in enumerate(proposals.source_tag):
            if not tag or status[i] == "refused":
                continue
            level = trust[tag].trust_level if tag in trust else 0.0
            if level > self.least_trust:
                status[i], reason[i] = "accepted", f"{tag} has trust {level:.2f}, above {self.least_trust}"
            else:
                status[i] = "pending_trust"
                reason[i] = f"{tag} has trust {level:.2f}; {self.least_trust} is needed"
        return replace(proposals, status=Text.of(status), status_reason=Text.of(reason))


def run_pipeline(
    settings: RunSettings | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    **changes: Any,
) -> RunSummary:
    """Run everything and leave the results in ``settings.out``.

    Args:
        settings: what to run; the default is the main job.
        progress: told how far the run has come.
        **changes: fields of ``RunSettings`` to set otherwise.

    Raises:
        UsageError: for a setting that makes no sense, naming the valid ones.
        DataError: if nothing of the source could be used.
    """
    settings = replace(settings or RunSettings(), **changes)
    return run_source(open_source(settings), settings, progress=progress)


def run_source(
    source: Source, settings: RunSettings, *, progress: Callable[[Progress], None] | None = None
) -> RunSummary:
    """The same over any source of episodes; ``settings`` say how and where to."""
    from sima2.io.store import Store

    tell = progress or (lambda _: None)
    watch = _Seconds()
    with one_thread(), Store.open(settings.out, settings=identity(settings), resume=settings.resume) as store:
        with watch("calibrate"):
            calibration = calibrate(source)
        _first(store, source, calibration, settings, tell, watch)
        with watch("freeze"):
            episodes = EpisodeTable.concat(list(store.read(EpisodeTable, "episode_shards")))
            if not len(episodes):
                raise DataError(_nothing_usable(store, source))
            frozen = freeze(episodes, *_observed(store))
        with watch("tag"):
            _second(store, frozen, source.episodes, tell)
        with watch("finalize"):
            values = _finish(store, source, frozen, settings, watch)
    return RunSummary(settings.out, values)


def open_source(settings: RunSettings) -> Source:
    """The source that the settings name.

    Raises:
        UsageError: for an unknown source, engine or number.
    """
    if settings.source not in SOURCES:
        raise UnknownNameError("source", settings.source, SOURCES)
    if settings.engine not in ENGINES:
        raise UnknownNameError("engine", settings.engine, ENGINES)
    if settings.jobs < 1 or settings.batch_size < 1:
        raise UsageError(f"jobs ({settings.jobs}) and batch size ({settings.batch_size}) must be at least 1")
    if settings.episodes is not None and settings.episodes < 1:
        raise UsageError(f"{settings.episodes} episodes are none")
    if SOURCES[settings.source] == "dataset":
        if settings.mix != MAIN_MIX:
            raise UsageError("a mix is of made rollouts; a recorded data set is taken as it is")
    else:
        for option in ("path", "column_map", "outcomes"):
            if getattr(settings, option) is not None:
                name = {"path": "--path", "column_map": "--map", "outcomes": "--outcomes"}[option]
                raise UsageError(f"{name} belongs to a recorded source: add --source lerobot")
    if settings.families and SOURCES[settings.source] == "dataset":
        raise UsageError("families choose among made rollouts; a recorded data set is taken as it is")
    client = Sima2Client(
        backend=SOURCES[settings.source],
        seed=settings.seed,
        path=settings.path,
        column_map=settings.column_map,
        outcomes=settings.outcomes,
        rate_hz=settings.rate_hz,
    )
    return client.source(mix=settings.mix, families=settings.families, episodes=settings.episodes)


def identity(settings: RunSettings) -> dict[str, Any]:
    """What the results depend on, as plain JSON; how many processes and how large batches are not among it."""
    plain = asdict(settings)
    for name in ("jobs", "engine", "batch_size", "out", "resume"):
        del plain[name]
    plain = {key: masked(str(value)) if isinstance(value, Path) else value for key, value in plain.items()}
    return {**plain, "families": list(settings.families), "sima2_version": __version__}


def _first(
    store: Store,
    source: Source,
    calibration: Calibration,
    settings: RunSettings,
    tell: Callable[[Progress], None],
    watch: _Seconds,
) -> None:
    total = source.episodes
    spans = [(k, s, min(s + SHARD_EPISODES, total)) for k, s in enumerate(range(0, total, SHARD_EPISODES))]
    done = store.committed(FIRST)
    tasks = (
        ShardTask(source, calibration, shard, start, stop, settings.batch_size)
        for shard, start, stop in spans
        if shard not in done
    )
    finished = sum(stop - start for shard, start, stop in spans if shard in done)
    tell(Progress(FIRST, finished, total))
    for part in run_shards(partial(first_pass, clock=time.process_time), tasks, jobs=settings.jobs):
        watch.add(part.seconds)
        with watch("store"):
            store.commit(FIRST, part.shard, part.tables(), {})
        finished += len(part.episodes) + len(part.quarantine)
        tell(Progress(FIRST, finished, total))


def _observed(store: Store) -> tuple[Any, Any]:
    from sima2.tags.observations import RiskObservations, SegmentObservations, pool, pool_risk

    return (
        pool(list(store.read(SegmentObservations, "observations"))),
        pool_risk(list(store.read(RiskObservations, "landmarks"))),
    )


def _second(store: Store, frozen: Frozen, total: int, tell: Callable[[Progress], None]) -> None:
    from sima2.tags.observations import RiskObservations, SegmentObservations

    done = store.committed(SECOND)
    kinds: list[tuple[type[Table], str]] = [
        (EpisodeTable, "episode_shards"),
        (SegmentTable, "segments"),
        (PrimitiveTable, "primitives"),
        (EconTable, "econ"),
        (SegmentObservations, "observations"),
        (RiskObservations, "landmarks"),
        (GoalTable, "goals"),
    ]
    finished = 0
    for shard, tables in enumerate(zip(*(store.read(cls, kind) for cls, kind in kinds), strict=True)):
        finished += len(tables[0])
        if shard not in done:
            part = second_pass(frozen, *tables)
            store.commit(SECOND, shard, {"tags": part.tags}, part.aggregates())
        tell(Progress(SECOND, finished, total))


def _finish(store: Store, source: Source, frozen: Frozen, settings: RunSettings, watch: _Seconds) -> dict[str, Any]:
    """Aggregate over shards, decide, and write the single files."""
    merged = Aggregates.merged(
        {name: [text for _, text in store.aggregates(SECOND, name)] for name in ("trust", "evidence", "tasks", "tally")}
    )
    tags = TagTable.concat(list(store.read(TagTable, "tags")))
    results = finalize(
        frozen,
        merged,
        tags,
        EconTable.concat(list(store.read(EconTable, "econ"))),
        QuarantineTable.concat(list(store.read(QuarantineTable, "quarantine_shards"))),
    )
    defects, episodes = judged(
        results.episodes,
        DefectTable.concat(list(store.read(DefectTable, "defect_shards"))),
        EpisodeVitals.concat(list(store.read(EpisodeVitals, "vitals"))),
    )
    proposals = SemanticOrchestrator().decide(results.proposals, results.trust)
    quarantined = len(results.quarantine)
    if len(frozen.episodes) + quarantined != source.episodes:
        raise Sima2Error(
            f"{source.episodes} episodes came in, {len(frozen.episodes)} went through and {quarantined} are in "
            "quarantine: some were lost; this is a defect"
        )
    store.write_table("episodes", episodes)
    store.write_table("defects", defects)
    store.write_table("proposals", proposals)
    store.write_table("quarantine", results.quarantine)
    store.write_table("weights", results.plan)
    store.write_table("audit", results.audit)
    store.write_text("ontology.json", results.ontology(proposals))
    if (turtle := results.ontology_turtle(proposals)) is not None:
        store.write_text("ontology.ttl", turtle)
    store.write_text("task_graph.json", results.task_graph(proposals))
    store.write_text("trust_matrix.json", results.trust.to_json())
    store.write_text("references.json", frozen.references.to_json())
    from sima2.report.signals import chosen_episodes, signals_of

    places = chosen_episodes(results.episodes, _fired(tags))
    shown = [signals_of(source.read(int(i), int(i) + 1).batch, results.episodes) for i in places]
    store.write_text("signals.json", _json([each for each in shown if each is not None]))
    described = source.describe()
    if described.get("column_map"):
        store.write_text("column_map.toml", str(described["column_map"]))
    values = {
        **described,
        "sima2_version": __version__,
        "source": settings.source,
        "seed": settings.seed,
        "episodes": {"in": source.episodes, "ok": len(results.episodes), "quarantined": quarantined, "skipped": 0},
        **results.summary(proposals),
        "defects": defect_counts(defects),
        "digest": store.digest(),
        "seconds": watch.spent,
    }
    store.write_text("summary.json", _json(values))
    from sima2.report.html import render
    from sima2.report.inputs import load_report

    store.write_text("report.html", render(load_report(store.path)))
    return values


def _fired(tags: TagTable) -> Mapping[str, set[str]]:
    """Episodes of each tag that fired."""
    from sima2.tags.specs import THRESHOLDS

    return {
        tag: set(tags.take(tags.tag.isin(tag) & (np.nan_to_num(tags.level) > threshold)).episode_id.tolist())
        for tag, threshold in THRESHOLDS.items()
    }


def _nothing_usable(store: Store, source: Source) -> str:
    reasons: dict[str, int] = {}
    for part in store.read(QuarantineTable, "quarantine_shards"):
        for reason in part.reason:
            reasons[reason] = reasons.get(reason, 0) + 1
    told = ", ".join(f"{count} × {reason}" for reason, count in sorted(reasons.items())) or "it holds none"
    return f"no usable episode among {source.episodes}: {told}"


def _json(value: Any) -> str:
    import json

    return json.dumps(_plain(value), indent=1, sort_keys=True)


def _plain(value: Any) -> Any:
    """JSON has no NaN, and knows no numpy."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value


class _Seconds:
    """CPU seconds of each phase, summed over processes."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._name = ""
        self._begin = 0.0

    def add(self, laps: Mapping[str, float]) -> None:
        for name, value in laps.items():
            self.spent[name] = self.spent.get(name, 0.0) + value

    def __call__(self, name: str) -> _Seconds:
        self._name = name
        return self

    def __enter__(self) -> None:
        self._begin = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.add({self._name: time.process_time() - self._begin})
