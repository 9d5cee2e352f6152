"""Runs the whole: pump → pass 1 → freeze → pass 2 → trust → proposals → plan, and keeps it in a folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sima2 import __version__
from sima2.client import SOURCES, Sima2Client, Source
from sima2.errors import DataError, Sima2Error, StoreError, UnknownNameError, UsageError, masked
from sima2.execution.containment import Losses, contained
from sima2.execution.engines import ENGINES, open_executor
from sima2.execution.executor import Executor, begun, one_thread
from sima2.execution.shards import (
    LOST,
    FirstPassWork,
    Stored,
    TagTask,
    calibrated,
    judged_defects,
    tagged,
    turtle,
    warnings_of,
)
from sima2.incremental import SKIPPED, Known, joined
from sima2.pipeline import (
    MAIN_MIX,
    Aggregates,
    FirstPass,
    Frozen,
    Progress,
    Results,
    RunSettings,
    RunSummary,
    ShardTask,
    defect_counts,
    finalize,
    freeze,
    proposal_counts,
    shard_spans,
    with_defects,
)
from sima2.records.defects import DefectTable, EpisodeVitals
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable, GoalTable
from sima2.records.intake import QuarantineTable, SkippedTable
from sima2.records.knowledge import ProposalTable
from sima2.records.primitives import PrimitiveTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Table
from sima2.records.tags import TagTable
from sima2.semantic_orchestrator import Decision, SemanticOrchestrator

if TYPE_CHECKING:
    from sima2.io.store import Run, Store

T = TypeVar("T", bound=Table)
FIRST, SECOND = "pass 1", "pass 2"


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
    """The same over any source of episodes; ``settings`` say how and where to.

    A folder that holds other runs is added to: references, tags and trust are made anew of all episodes.
    """
    from sima2.io.store import SUMMARY, Store

    tell = progress or (lambda _: None)
    watch = _Seconds()
    executor = open_executor(settings.engine, settings.jobs)
    inputs = {**identity(settings), "episodes_in": source.episodes}
    opened = Store.open(
        settings.out,
        settings=inputs,
        episodes=source.episodes,
        numbers_end=int(source.numbers[-1]) + 1 if source.episodes else 0,
        redone=(SECOND,),
        agrees=partial(_agrees, inputs, out=settings.out),
        resume=settings.resume,
        fresh=settings.fresh,
    )
    with one_thread(), opened as store, executor:
        run = store.find(inputs)
        if run is None:
            raise Sima2Error(f"{settings.out}: the run was not recorded; this is a defect")
        mended = store.mend(run, (SECOND,))
        if run.finished and not mended and (store.path / SUMMARY).is_file():
            return RunSummary(settings.out, {**json.loads(store.read_text(SUMMARY)), "nothing_new": True})
        losses = _first(store, run, source, settings, executor, tell, watch)
        judging = _begin_judging(store, executor)
        with watch("freeze"):
            episodes = EpisodeTable.concat(list(store.read(EpisodeTable, "episode_shards")))
            if not len(episodes):
                raise DataError(_nothing_usable(store, source))
            frozen = freeze(episodes, *_observed(store))
        _second(store, frozen, len(episodes), executor, tell, watch)
        defects, seconds = judging()
        watch.add({"defects": seconds})
        with watch("finalize"):
            values = _finish(store, run, source, frozen, defects, settings, losses, executor, watch)
    return RunSummary(settings.out, values)


def _agrees(inputs: Mapping[str, Any], before: Mapping[str, Any], out: Path) -> None:
    """The same episodes must not be there twice, once with and once without what is known of them."""
    if before.get("sima2_version") != inputs["sima2_version"]:
        raise StoreError(
            f"{out}: holds results of version {before.get('sima2_version')}; choose another folder, or --fresh to drop "
            "them"
        )
    if inputs["path"] is None or any(before.get(name) != inputs[name] for name in ("source", "path")):
        return
    changed = [name for name in ("column_map", "outcomes") if before.get(name) != inputs[name]]
    if changed:
        words = " and ".join(name.replace("_", " ") for name in changed)
        raise StoreError(
            f"{out}: holds a run of the same data with other {words}; choose another folder, or --fresh to drop it"
        )


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
    return client.source(
        mix=settings.mix, families=settings.families, episodes=settings.episodes, request=settings.request
    )


def identity(settings: RunSettings) -> dict[str, Any]:
    """What the results depend on, as plain JSON; how many processes and how large batches are not among it."""
    from sima2.io.durable import fingerprint

    plain = asdict(settings)
    for name in ("jobs", "engine", "batch_size", "out", "resume", "fresh"):
        del plain[name]
    if settings.path is not None:
        plain["data"] = fingerprint(settings.path)
    for name in ("column_map", "outcomes"):
        if plain[name] is not None:
            plain[name] = f"{plain[name]} {fingerprint(plain[name])}"
    plain = {key: masked(str(value)) if isinstance(value, Path) else value for key, value in plain.items()}
    return {
        **plain,
        "families": list(settings.families),
        "request": [list(cell) for cell in settings.request],
        "sima2_version": __version__,
    }


def _first(
    store: Store,
    run: Run,
    source: Source,
    settings: RunSettings,
    executor: Executor,
    tell: Callable[[Progress], None],
    watch: _Seconds,
) -> Losses:
    total = source.episodes
    spans = [(run.first_shard + k, *span) for k, span in enumerate(shard_spans(total))]
    done = store.committed(FIRST)
    left = [span for span in spans if span[0] not in done]
    finished = total - sum(stop - start for _, start, stop in left)
    tell(Progress(FIRST, finished, total))
    losses = Losses(total, _lost_before(store, run))
    if not left:
        return losses
    known = _known(store, run)
    calibration, seconds = calibrated(executor, source, time.process_time)
    watch.add({"calibrate": seconds})
    tasks = (ShardTask(source, calibration, shard, start, stop, settings.batch_size) for shard, start, stop in left)
    for part in contained(executor, FirstPassWork(settings.source, time.process_time), tasks, losses):
        watch.add(part.seconds)
        with watch("store"):
            tables = part.tables()
            if run.number > 1:
                tables = joined(tables, known, run=run.number, first_episode=run.first_episode)
            store.commit(FIRST, part.shard, tables, {})
        finished += len(part.episodes) + len(part.quarantine)
        tell(Progress(FIRST, finished, total))
    return losses


def _lost_before(store: Store, run: Run) -> int:
    """Episodes that brought a worker down before this run was interrupted."""
    before = QuarantineTable.concat(list(store.read(QuarantineTable, "quarantine_shards")))
    return int((before.reason.isin(*LOST) & run.holds(before.episode_index)).sum())


def _known(store: Store, run: Run) -> Known:
    below = run.first_shard
    return Known.of(
        store.read(EpisodeTable, "episode_shards", below=below),
        store.read(EpisodeVitals, "vitals", below=below),
        store.read(QuarantineTable, "quarantine_shards", below=below),
    )


def _observed(store: Store) -> tuple[Any, Any]:
    from sima2.tags.observations import RiskObservations, SegmentObservations, pool, pool_risk

    return (
        pool(list(store.read(SegmentObservations, "observations"))),
        pool_risk(list(store.read(RiskObservations, "landmarks"))),
    )


def _begin_judging(store: Store, executor: Executor) -> Callable[[], tuple[DefectTable, float]]:
    """Judge defects beside what follows: they need no tag, and no tag needs them."""
    shards = sorted(store.committed(FIRST))
    kinds: tuple[tuple[type[Table], str], ...] = ((DefectTable, "defect_shards"), (EpisodeVitals, "vitals"))
    tables = [Stored.of(executor, cls, [store.shard_file(kind, k) for k in shards]) for cls, kind in kinds]
    return begun(executor, partial(judged_defects, clock=time.process_time), (tables[0], tables[1]))


def _second(
    store: Store, frozen: Frozen, total: int, executor: Executor, tell: Callable[[Progress], None], watch: _Seconds
) -> None:
    from sima2.tags.observations import RiskObservations, SegmentObservations

    kinds: tuple[tuple[type[Table], str], ...] = (
        (EpisodeTable, "episode_shards"),
        (SegmentTable, "segments"),
        (PrimitiveTable, "primitives"),
        (EconTable, "econ"),
        (SegmentObservations, "observations"),
        (RiskObservations, "landmarks"),
        (GoalTable, "goals"),
    )
    # a shard needs no other's episodes
    few = replace(frozen, episodes=EpisodeTable.empty())
    done = store.committed(SECOND)

    def task(shard: int) -> TagTask:
        tables = [Stored.of(executor, cls, [store.shard_file(kind, shard)]) for cls, kind in kinds]
        return TagTask(few, shard, tuple(tables))

    left = sorted(store.committed(FIRST) - done)
    finished = 0
    for part in tagged(executor, map(task, left), time.process_time):
        watch.add({"tag": part.seconds})
        with watch("store"):
            store.commit(SECOND, part.shard, {"tags": part.tags}, part.aggregates)
        finished += part.episodes
        tell(Progress(SECOND, total if part.shard == left[-1] else finished, total))


def _finish(
    store: Store,
    run: Run,
    source: Source,
    frozen: Frozen,
    defects: DefectTable,
    settings: RunSettings,
    losses: Losses,
    executor: Executor,
    watch: _Seconds,
) -> dict[str, Any]:
    """Aggregate over shards, decide, and write the single files."""
    from sima2.analytics.gate import next_look
    from sima2.io.store import SUMMARY

    merged = _merged(store)
    tags = TagTable.concat(list(store.read(TagTable, "tags")))
    counted = merged.trust.digest()
    look = next_look([(digest, look) for look, digest, _ in store.calibrations], counted)
    results = finalize(
        # the auditor looks at defects
        replace(frozen, episodes=with_defects(frozen.episodes, defects)),
        merged,
        tags,
        EconTable.concat(list(store.read(EconTable, "econ"))),
        QuarantineTable.concat(list(store.read(QuarantineTable, "quarantine_shards"))),
        look=look,
    )
    orchestrator = SemanticOrchestrator()
    history = [Decision.from_json(text) for text in store.decisions]
    proposals = orchestrator.decide(results.proposals, results.trust, history)
    actions = orchestrator.react(tags, results.trust)
    # of earlier runs the source may be gone: the page shows episodes of this one
    own = results.episodes.take(np.flatnonzero(run.holds(results.episodes.episode_index)))
    signals = begun(executor, partial(_signals, source, own), _fired(tags))
    ontology = begun(executor, turtle, (merged, proposals))
    quarantined = len(results.quarantine)
    skipped = sum(len(part) for part in store.read(SkippedTable, SKIPPED))
    came = sum(each.episodes for each in store.runs)
    if len(frozen.episodes) + quarantined + skipped != came:
        raise Sima2Error(
            f"{came} episodes came in, {len(frozen.episodes)} went through, {quarantined} are in quarantine and "
            f"{skipped} were there already: some were lost; this is a defect"
        )
    store.write_table("episodes", results.episodes)
    store.write_table("defects", defects)
    store.record_decisions([each.to_json() for each in orchestrator.changes(proposals, history, look)])
    store.write_table("proposals", proposals)
    store.write_table("actions", actions)
    store.write_table("quarantine", results.quarantine)
    store.write_table("weights", results.plan)
    store.write_table("audit", results.audit)
    store.write_text("trust_matrix.json", results.trust.to_json())
    store.record_calibration(look, counted, _json(_calibration_told(run, results)))
    store.write_text("references.json", frozen.references.to_json())
    store.write_text("signals.json", _json(signals()))
    for name, text in merged.texts(proposals).items():
        store.write_text(name, text)
    described = source.describe()
    if described.get("column_map"):
        store.write_text("column_map.toml", str(described["column_map"]))
    values = {
        **described,
        "warnings": [*described.get("warnings", ()), *warnings_of(results.quarantine, losses)],
        "sima2_version": __version__,
        "source": settings.source,
        "seed": settings.seed,
        "episodes": {"in": came, "ok": len(results.episodes), "quarantined": quarantined, "skipped": skipped},
        "runs": [_run_told(each) for each in store.runs],
        **results.summary(proposals),
        "defects": defect_counts(defects),
        "alarms": {name: int(actions.action.isin(name).sum()) for name in ("safety_stop", "warning")},
        "digest": store.digest(),
        "seconds": watch.spent,
    }
    store.write_text(SUMMARY, _json(values))
    from sima2.report.html import render
    from sima2.report.inputs import load_report

    store.write_text("report.html", render(load_report(store.path)))
    _write_turtle(store, ontology())
    store.finish()
    return values


def redecide(out: Path, *, undo: str = "", restore: str = "", because: str = "") -> ProposalTable:
    """Take back a proposal that is applied, or let one that was taken back be decided anew, and what follows from it.

    Args:
        out: folder of a finished run.
        undo: id of the proposal to take back.
        restore: id of the proposal to decide on anew.
        because: why, for the history.

    Raises:
        UsageError: if there is no such proposal, or it is not in that state.
    """
    from sima2.io.store import SUMMARY, Store
    from sima2.report.html import render
    from sima2.report.inputs import load_report, read_trust

    orchestrator = SemanticOrchestrator()
    with Store.amend(out) as store:
        values = json.loads(store.read_text(SUMMARY))
        proposals = store.read_table(ProposalTable, "proposals")
        made = (
            orchestrator.undo(proposals, undo, because) if undo else orchestrator.restore(proposals, restore, because)
        )
        merged = _merged(store)
        history = [Decision.from_json(text) for text in (*store.decisions, made.to_json())]
        decided = orchestrator.decide(merged.proposals(), read_trust(out), history)
        store.record_decisions([made.to_json()])
        store.write_table("proposals", decided)
        for name, text in merged.texts(decided).items():
            store.write_text(name, text)
        _write_turtle(store, merged.ontology_turtle(decided))
        values |= {"proposals": proposal_counts(decided), "digest": store.digest()}
        store.write_text(SUMMARY, _json(values))
        store.write_text("report.html", render(load_report(out)))
    return decided


def _write_turtle(store: Store, text: str | None) -> None:
    if text is not None:
        store.write_text("ontology.ttl", text)


def rebuild_ledger(out: Path) -> int:
    """Make the ledger of a folder again from its shards; how many were found whole. A run then finishes them.

    Raises:
        StoreError: if the folder holds no history to go by.
    """
    from sima2.io.store import rebuild

    kinds = list(FirstPass.KINDS)
    return rebuild(out, FIRST, kinds, optional=(SKIPPED,))


def _merged(store: Store) -> Aggregates:
    return Aggregates.merged(
        {name: [text for _, text in store.aggregates(SECOND, name)] for name in ("trust", "evidence", "tasks", "tally")}
    )


def _calibration_told(run: Run, results: Results) -> dict[str, Any]:
    """What the history keeps of a calibration."""
    return {
        "run": run.number,
        "episodes": len(results.episodes),
        "effective": results.drawn["effective_sample_size"] / max(len(results.episodes), 1),
        "trust": {tag: row.trust_level for tag, row in results.trust.items()},
    }


def _run_told(each: Run) -> dict[str, Any]:
    """A run in the summary: what it took in."""
    given = ("source", "path", "mix", "families", "seed", "request")
    inputs = {name: each.settings.get(name) for name in given if each.settings.get(name) not in (None, [])}
    return {"run": each.number, "episodes": each.episodes, "inputs": inputs}


def _signals(source: Source, own: EpisodeTable, fired: Mapping[str, set[str]]) -> list[dict[str, Any]]:
    """What the page shows of a run's episodes, each under the name that it has among all runs."""
    from sima2.report.signals import chosen_episodes, signals_of

    shown = []
    for row in chosen_episodes(own, fired).tolist():
        place = int(np.searchsorted(source.numbers, own.source_index[row]))
        batch = source.read(place, place + 1).batch
        if len(batch):
            named = replace(batch, episodes=replace(batch.episodes, episode_id=(own.episode_id[row],)))
            shown.append(signals_of(named, own))
    return [each for each in shown if each is not None]


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
