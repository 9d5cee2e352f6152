"""Runs the whole: pump → pass 1 → freeze → pass 2 → trust → proposals → plan, and keeps it in a folder."""

from __future__ import annotations

import json
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np

from sima2 import __version__
from sima2.cameras import (
    CAMERAS,
    FINDINGS,
    LAST_FRAMES,
    NOT_LOOKED,
    THUMBNAILS,
    declared_cameras,
    moments_for,
    open_videos,
)
from sima2.client import Sima2Client, Source, backend_of, format_at, place_here, place_words, source_named
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
    in_groups,
    judged_defects,
    tagged,
    turtle,
    warnings_of,
)
from sima2.execution.videos import VideoTask, VideoWork
from sima2.incremental import SKIPPED, Known, joined
from sima2.pipeline import (
    MAIN_MIX,
    Aggregates,
    Courses,
    FirstPass,
    Frozen,
    Progress,
    Results,
    RunSettings,
    RunSummary,
    ShardTask,
    defect_counts,
    example_counts,
    finalize,
    freeze,
    proposal_counts,
    shard_spans,
    with_conflicts,
    with_contradicted,
    with_cuts,
    with_defects,
    with_joint_names,
    with_said,
)
from sima2.records.arrays import Int64s
from sima2.records.courses import PointTable
from sima2.records.defects import DefectTable, EpisodeMeasures, PauseTable
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable, GoalTable
from sima2.records.intake import NoteTable, QuarantineTable, SkippedTable
from sima2.records.knowledge import ProposalTable
from sima2.records.labels import SaidTable
from sima2.records.plan import CardTable, SegmentVerdicts
from sima2.records.primitives import PrimitiveTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Table
from sima2.records.tags import TagTable
from sima2.records.video import CameraTable, LastFrameTable, ThumbnailTable
from sima2.semantic_orchestrator import Decision, SemanticOrchestrator

if TYPE_CHECKING:
    from sima2.analytics.prior import Prior
    from sima2.io.label_log import LabelLog
    from sima2.io.store import Coming, Run, Store

T = TypeVar("T", bound=Table)
FIRST, LOOKED, SECOND, PLANNED = "pass 1", "video", "pass 2", "plan"
FEWEST_VERDICTS: Final = 3
"""Fewer failed attempts in all are not worth a card: they are shown to a person."""


class Given(NamedTuple):
    """A source and how it was asked for."""

    source: Source
    settings: RunSettings

    @property
    def inputs(self) -> dict[str, Any]:
        """What the results of its run depend on, as plain JSON."""
        return {**identity(self.settings), "episodes_in": self.source.episodes}

    @property
    def origin(self) -> dict[str, Any]:
        """What it is, as people call it, and what it may be judged together with unasked, as plain JSON."""
        settings, collection = self.settings, self.source.collection
        path = None if settings.path is None else place_words(settings.path, short=True)
        words = f"made rollouts ({settings.source})" if path is None else f"{path} ({collection})"
        told = {"source_id": self.source.source_id, "collection": collection, "words": words}
        return {**told, "name": path, "reading": self.source.reading()} if path is not None else told


class Taken(NamedTuple):
    """A source whose episodes went through pass 1."""

    source: Source
    run: Run
    losses: Losses


def run_pipeline(
    settings: RunSettings | None = None,
    *,
    also: Sequence[RunSettings] = (),
    progress: Callable[[Progress], None] | None = None,
    **changes: Any,
) -> RunSummary:
    """Run everything and leave the results in ``settings.out``.

    Args:
        settings: what to run; the default is the main job.
        also: further sources, judged together with the first: what they are is taken of these settings, how and where
            to run of the first.
        progress: told how far the run has come.
        **changes: fields of ``RunSettings`` to set otherwise.

    Raises:
        UsageError: for a setting that makes no sense, naming the valid ones.
        DataError: if nothing of the source could be used.
    """
    first = replace(settings or RunSettings(), **changes)
    every = [named(each) for each in (first, *(replace(each, prior=first.prior) for each in also))]
    return run_sources([Given(open_source(each), each) for each in every], progress=progress)


def run_source(
    source: Source, settings: RunSettings, *, progress: Callable[[Progress], None] | None = None
) -> RunSummary:
    """The same over any source of episodes; ``settings`` say how and where to."""
    return run_sources([Given(source, named(settings))], progress=progress)


def run_sources(given: Sequence[Given], *, progress: Callable[[Progress], None] | None = None) -> RunSummary:
    """The same over several sources, each a run of its own, with one judgement at the end; the first says how.

    What persons said (``labels.jsonl`` of the folder) is taken in; where it has changed, all from pass 2 on is made
    anew. A folder that holds other runs is added to: references, tags and trust are made anew of all episodes.

    Raises:
        UsageError: if the folder holds episodes of another collection and nobody asked to judge them together.
    """
    from sima2.io.label_log import read_log
    from sima2.io.store import LABELS, SUMMARY, Coming, Store, told_apart
    from sima2.records.labels import said_of

    settings = given[0].settings
    prior = prior_of(settings)
    for each in given:
        if each.settings.path is not None and settings.out.resolve().is_relative_to(
            place_here(each.settings.path).resolve()
        ):
            raise UsageError(f"{settings.out} lies within the data set {each.settings.path}: give another --out")
    log = read_log(settings.out)
    said = said_of(log.labels)
    watch = _Stopwatch()
    executor = open_executor(settings.engine, settings.jobs)
    inputs = [each.inputs for each in given]
    if len({json.dumps(told_apart(each), sort_keys=True) for each in inputs}) < len(inputs):
        raise UsageError("the same source is given twice")
    coming = [
        Coming(
            settings=known,
            origin=each.origin,
            episodes=each.source.episodes,
            numbers_end=int(each.source.numbers[-1]) + 1 if each.source.episodes else 0,
            shards=len(shard_spans(each.source.episodes)),
        )
        for known, each in zip(inputs, given, strict=True)
    ]
    opened = Store.open(
        settings.out,
        coming,
        redone=(SECOND, PLANNED),
        agrees=partial(_agrees, coming, out=settings.out, pool=settings.pool),
        resume=settings.resume,
        fresh=settings.fresh,
    )
    with one_thread(), opened as store, executor:
        runs = [_run_of(store, each) for each in inputs]
        mended = store.mend(runs, (SECOND, PLANNED))
        again = store.rest_on(LABELS, said.digest(), runs, (SECOND, PLANNED))
        if all(run.finished for run in runs) and not mended and not again and (store.path / SUMMARY).is_file():
            return RunSummary(settings.out, {**json.loads(store.read_text(SUMMARY)), "nothing_new": True})
        tell = _ProgressCounter(progress, sum(source.episodes for source, _ in given))
        taken = [
            Taken(each.source, run, _first(store, run, each, settings, executor, tell, watch))
            for each, run in zip(given, runs, strict=True)
        ]
        _look(store, taken, given, executor, watch)
        judging = _begin_judging(store, executor)
        with watch("freeze"):
            episodes = EpisodeTable.concat(list(store.read(EpisodeTable, "episode_shards")))
            if not len(episodes):
                raise _nothing_usable(store, [source for source, _ in given])
            frozen = freeze(
                episodes, *_observed(store), said, points=partial(_points, store), pictures=_last_pictures(store)
            )
        _second(store, frozen, len(episodes), executor, tell, watch)
        defects, seconds = judging()
        watch.add({"defects": seconds})
        with watch("courses"):
            courses = _courses(store, defects)
            defects, doubts = with_conflicts(defects, frozen.episodes, courses.ended)
            defects, doubts = with_said(defects, episodes, said), [*doubts, *_label_doubts(log, said, episodes)]
            defects = with_contradicted(defects, frozen.episodes, store.read(EpisodeMeasures, "measures"))
            defects = with_joint_names(defects, [each.source.describe() for each in taken])
        with watch("card"):
            card = _card(store, taken, frozen.episodes, defects, courses.verdicts, executor)
        with watch("finalize"):
            values = _finish(
                store,
                taken,
                frozen,
                (defects, courses, doubts, card),
                [each.settings for each in given],
                prior,
                executor,
                watch,
            )
    return RunSummary(settings.out, values)


def _run_of(store: Store, inputs: Mapping[str, Any]) -> Run:
    run = store.find(inputs)
    if run is None:
        raise Sima2Error(f"{store.path}: the run was not recorded; this is a defect")
    return run


def _agrees(coming: Sequence[Coming], runs: Sequence[Run], out: Path, *, pool: bool) -> None:
    """What is there and what is coming may be judged together, and no episode would be there twice.

    Twice it would be once with and once without what is known of it. What was recorded otherwise is another source: it
    is judged together with what is there only where that was asked for, by ``pool`` or by giving both in one command.
    """
    for run in runs:
        before = run.settings.get("sima2_version")
        if before != __version__:
            raise StoreError(
                f"{out}: holds results of version {before}; choose another folder, or --fresh to drop them"
            )
        for each in coming:
            _agree(run, each, out)
            if run.settings.get("prior") != each.settings.get("prior"):
                raise StoreError(
                    f"{out}: what it holds was judged with {_prior_words(run.settings)}, this is to be with "
                    f"{_prior_words(each.settings)}; give the same --prior, choose another folder, or --fresh"
                )
    there, here = ({each.origin["collection"]: each.origin["words"] for each in some} for some in (runs, coming))
    if pool or here.keys() <= there.keys() or there.keys() <= here.keys():
        return
    old = next(words for name, words in there.items() if name not in here)
    new = next(words for name, words in here.items() if name not in there)
    raise UsageError(
        f"{out}: holds {old}, and this is {new}: give another folder (--out), or --pool to judge them together"
    )


def _agree(run: Run, coming: Coming, out: Path) -> None:
    if coming.settings["path"] is None or run.origin["source_id"] != coming.origin["source_id"]:
        return
    from sima2.io.store import told_apart

    before, now = told_apart(run.settings), told_apart(coming.settings)
    changed = [name for name in ("column_map", "outcomes", "goals", "video") if before.get(name) != now.get(name)]
    if changed:
        words = " and ".join(name.replace("_", " ") for name in changed)
        raise StoreError(
            f"{out}: holds a run of the same data with other {words}; choose another folder, or --fresh to drop it"
        )


def _prior_words(told: Mapping[str, Any]) -> str:
    return f"the prior {str(told['prior'])[:8]}" if told.get("prior") else "no prior"


MOST_PRIOR: Final = 64 * 1024 * 1024
"""Bytes of an earlier trust matrix; one of 20,000 strata takes a few."""


def prior_of(settings: RunSettings) -> Prior | None:
    """What the earlier trust matrix that the settings name says; None without one.

    Raises:
        UsageError: if it is no trust matrix, or the one of the folder that is to be written.
        DatasetError: if it cannot be read.
    """
    if settings.prior is None:
        return None
    from sima2.analytics.prior import Prior
    from sima2.io.documents import parse_json, read_document

    path = settings.prior / "trust_matrix.json" if settings.prior.is_dir() else settings.prior
    if path.resolve().is_relative_to(settings.out.resolve()):
        raise UsageError(f"--prior {path} lies in the folder of this run: its episodes would count twice")
    told = parse_json(read_document(path.parent, path.name, most=MOST_PRIOR), path)
    try:
        return Prior.of_plain(told)
    except UsageError as error:
        raise UsageError(f"--prior {path}: {error}") from None


def named(settings: RunSettings) -> RunSettings:
    """The settings with the source that ``auto`` stands for."""
    return replace(settings, source=source_named(settings.source, settings.path))


def open_source(settings: RunSettings) -> Source:
    """The source that the settings name.

    Raises:
        UsageError: for an unknown source, engine or number.
    """
    settings = named(settings)
    backend = backend_of(settings.source)
    if settings.engine not in ENGINES:
        raise UnknownNameError("engine", settings.engine, ENGINES)
    if settings.jobs < 1 or settings.batch_size < 1:
        raise UsageError(f"jobs ({settings.jobs}) and batch size ({settings.batch_size}) must be at least 1")
    wanted = settings.episodes if settings.total is None else settings.total
    if wanted is not None and wanted < 1:
        raise UsageError(f"{wanted} episodes are none")
    if backend == "dataset":
        if settings.mix != MAIN_MIX:
            raise UsageError("a mix is of made rollouts; a recorded data set is taken as it is")
        if settings.goals:
            from sima2.io.goals import parse_goal_options

            parse_goal_options(settings.goals)  # refused before anything is read
        if settings.families:
            raise UsageError("families choose among made rollouts; a recorded data set is taken as it is")
        _refuse_other_format(settings)
    else:
        names = {
            "path": "--path",
            "column_map": "--map",
            "outcomes": "--outcomes",
            "goals": "--goal",
            "video": "--video",
        }
        for option, name in names.items():
            if getattr(settings, option):
                way = "add --path" if settings.path is None else "leave --source away"
                raise UsageError(f"{name} belongs to a recorded source: {way}")
    if settings.video:
        from sima2.video.reader import need_av

        need_av("PyAV, which looks at videos (--video),")
    client = Sima2Client(
        backend=backend,
        seed=settings.seed,
        path=settings.path,
        column_map=settings.column_map,
        outcomes=settings.outcomes,
        goals=settings.goals,
        rate_hz=settings.rate_hz,
    )
    return client.source(
        mix=settings.mix,
        families=settings.families,
        episodes=settings.episodes,
        total=settings.total,
        request=settings.request,
    )


def _refuse_other_format(settings: RunSettings) -> None:
    """A format that is named must be that of the data set."""
    if settings.path is not None and (found := format_at(settings.path)) != settings.source:
        raise UsageError(
            f"{settings.path} is a data set of the format {found}, not {settings.source}: leave --source away"
        )


def identity(settings: RunSettings) -> dict[str, Any]:
    """What the results depend on, as plain JSON; how many processes and how large batches are not among it."""
    from sima2.io.source_id import state_of

    plain = asdict(settings)
    for name in ("jobs", "engine", "batch_size", "out", "resume", "fresh", "pool"):
        del plain[name]
    if settings.path is not None:
        plain["path"] = place_words(settings.path)
        plain["data"] = state_of(place_here(settings.path))
    for name in ("column_map", "outcomes"):
        if plain[name] is not None:
            plain[name] = f"{plain[name]} {state_of(plain[name])}"
    plain = {key: masked(str(value)) if isinstance(value, Path) else value for key, value in plain.items()}
    for name in ("goals", "prior", *(() if settings.video else ("video",))):
        del plain[name]
    prior = prior_of(settings)
    if prior is not None:
        plain["prior"] = prior.digest
    if settings.goals:
        plain["goals"] = [masked(goal) for goal in settings.goals]
    return {
        **plain,
        "families": list(settings.families),
        "request": [list(cell) for cell in settings.request],
        "sima2_version": __version__,
    }


def _first(
    store: Store,
    run: Run,
    given: Given,
    settings: RunSettings,
    executor: Executor,
    tell: _ProgressCounter,
    watch: _Stopwatch,
) -> Losses:
    source = given.source
    spans = [(run.first_shard + k, *span) for k, span in enumerate(shard_spans(source.episodes))]
    done = store.committed(FIRST)
    left = [span for span in spans if span[0] not in done]
    tell(FIRST, source.episodes - sum(stop - start for _, start, stop in left))
    losses = Losses(source.episodes, _lost_before(store, run))
    if not left:
        return losses
    known = _known(store, run)
    calibration, seconds = calibrated(executor, source, time.process_time)
    watch.add({"calibrate": seconds})
    tasks = (ShardTask(source, calibration, shard, start, stop, settings.batch_size) for shard, start, stop in left)
    for part in contained(executor, FirstPassWork(given.settings.source, time.process_time), tasks, losses):
        watch.add(part.seconds)
        with watch("store"):
            tables = part.tables()
            if run.number > 1:
                tables = joined(tables, known, run=run.number, first_episode=run.first_episode)
            store.commit(FIRST, part.shard, tables, {})
        tell(FIRST, len(part.episodes) + len(part.quarantine))
    return losses


def _lost_before(store: Store, run: Run) -> int:
    """Episodes that brought a worker down before this run was interrupted."""
    before = QuarantineTable.concat(list(store.read(QuarantineTable, "quarantine_shards")))
    return int((before.reason.isin(*LOST) & run.holds(before.episode_index)).sum())


def _known(store: Store, run: Run) -> Known:
    below = run.first_shard
    return Known.of(
        store.read(EpisodeTable, "episode_shards", below=below),
        store.read(EpisodeMeasures, "measures", below=below),
        store.read(QuarantineTable, "quarantine_shards", below=below),
    )


def said_counts(said: SaidTable, episodes: EpisodeTable, defects: DefectTable) -> dict[str, int]:
    """What persons said of the outcomes of these episodes, counted for the summary."""
    here = said.take(said.episode_id.isin(*episodes.episode_id))
    told = here.take(here.outcome)
    overridden = defects.episode_index[defects.defect.isin("outcome_overridden")]
    return {
        "outcomes": len(told),
        "success": int((told.success == 1).sum()),
        "failure": int((told.success == 0).sum()),
        "disputed": int(told.disputed.sum()),
        "by_lot": int(told.chosen.isin("random").sum()),
        "overridden": len(np.unique(overridden)),
        "nominal": int(here.nominal.sum()),
        "of_other_episodes": len(said) - len(here),
    }


def _label_doubts(log: LabelLog, said: SaidTable, episodes: EpisodeTable) -> list[str]:
    """What must be said of labels: lines that are none, and such as fit no episode."""
    frames = dict(zip(episodes.episode_id, episodes.frames.tolist(), strict=True))
    strange = [name for name in dict.fromkeys(log.labels.episode_id) if name not in frames]
    late = [
        name
        for name, frame in zip(said.episode_id, said.failed_at_frame.tolist(), strict=True)
        if name in frames and frame >= frames[name]
    ]
    told = list(log.problems)
    if strange:
        told.append(f"labels are kept of {len(strange)} episodes that are not here ({strange[0]}, …): not used")
    if late:
        told.append(f"{len(late)} episodes are said to have failed at a frame behind their last ({late[0]}, …)")
    return told


def _observed(store: Store) -> tuple[Any, Any]:
    from sima2.tags.observations import RiskObservations, SegmentObservations, pool, pool_risk

    return (
        pool(list(store.read(SegmentObservations, "observations"))),
        pool_risk(list(store.read(RiskObservations, "landmarks"))),
    )


def _begin_judging(store: Store, executor: Executor) -> Callable[[], tuple[DefectTable, float]]:
    """Judge defects beside what follows: they need no tag, and no tag needs them."""
    shards, looked = (sorted(store.committed(phase)) for phase in (FIRST, LOOKED))

    def stored(cls: type[Table], *kinds: tuple[str, Sequence[int]]) -> Stored:
        return Stored.of(executor, cls, [store.shard_file(kind, k) for kind, some in kinds for k in some])

    tables = (
        stored(DefectTable, ("defect_shards", shards), (FINDINGS, looked)),
        stored(EpisodeMeasures, ("measures", shards)),
        tuple(
            stored(CameraTable, (CAMERAS, mine))
            for run in store.runs
            if (mine := [k for k in looked if store.run_of(k).number == run.number])
        ),
    )
    return begun(executor, partial(judged_defects, clock=time.process_time), tables)


def _look(store: Store, taken: Sequence[Taken], given: Sequence[Given], executor: Executor, watch: _Stopwatch) -> None:
    """Look at the videos of what was taken in, where that was asked for."""
    from sima2.io.arrow import read_table

    for (source, run, losses), (_, settings) in zip(taken, given, strict=True):
        if not settings.video or settings.path is None:
            continue
        videos = open_videos(settings.path)
        if not videos.cameras:
            continue
        shards = sorted(k for k in store.committed(FIRST) if store.run_of(k).number == run.number)
        tables = {
            k: (
                read_table(EpisodeTable, store.shard_file("episode_shards", k)),
                read_table(SegmentTable, store.shard_file("segments", k)),
            )
            for k in shards
        }
        moments = moments_for(
            EpisodeTable.concat([each for each, _ in tables.values()]),
            SegmentTable.concat([each for _, each in tables.values()]),
            len(videos.cameras),
        )
        done = store.committed(LOOKED)
        tasks = (
            VideoTask(
                source,
                videos,
                k,
                episodes,
                {name: moments[name] for name in episodes.episode_id if name in moments},
                given[0].settings.batch_size,
            )
            for k, (episodes, _) in tables.items()
            if k not in done
        )
        for part in contained(executor, VideoWork(time.process_time), tasks, Losses(losses.total)):
            watch.add({"video": part.seconds})
            with watch("store"):
                store.commit(LOOKED, part.shard, part.tables(), {})


def _videos_told(store: Store, given: Sequence[RunSettings]) -> dict[str, Any] | None:
    """What the summary says of videos; nothing where there are none."""
    paths = [each.path for each in given if each.path is not None]
    if not any(map(declared_cameras, paths)):
        return None
    if not store.committed(LOOKED):
        return {"looked": False, "words": NOT_LOOKED}
    cameras = CameraTable.concat(list(store.read(CameraTable, CAMERAS)))
    kept = [len(table) for table in store.read(ThumbnailTable, THUMBNAILS)]
    return {
        "looked": True,
        "cameras": sorted(set(cameras.camera)),
        "videos": int(cameras.here.sum()),
        "missing": int((~cameras.here).sum()),
        "pictures": int(cameras.pictures.sum()),
        "unpacked": int(cameras.decoded.sum()),
        "thumbnails": sum(kept),
        "words": "",
    }


def _courses(store: Store, defects: DefectTable) -> Courses:
    """What the episodes of each task have in common; one shard of segments in memory at a time."""
    kinds = (
        store.read(EpisodeTable, "episode_shards"),
        store.read(EpisodeMeasures, "measures"),
        store.read(SegmentTable, "segments"),
    )
    return Courses.of(zip(*kinds, strict=True), _points(store), defects)


def _last_pictures(store: Store) -> LastFrameTable | None:
    """What cameras show at the ends of episodes; None where nobody looked."""
    tables = list(store.read(LastFrameTable, LAST_FRAMES))
    return LastFrameTable.concat(tables) if tables else None


def _points(store: Store) -> PointTable:
    return PointTable.concat(list(store.read(PointTable, "points")))


def _to_label(episodes: EpisodeTable) -> list[dict[str, Any]]:
    """Episodes whose outcome a person should say first, and by what each was chosen."""
    from sima2.sampling.to_label import to_label

    return [
        {
            "source": episodes.source[each.row],
            "episode_id": episodes.episode_id[each.row],
            "episode_index": int(episodes.source_index[each.row]),
            "chosen": each.by,
        }
        for each in to_label(episodes)
    ]


def _second(
    store: Store, frozen: Frozen, total: int, executor: Executor, tell: _ProgressCounter, watch: _Stopwatch
) -> None:
    from sima2.tags.observations import RiskObservations, SegmentObservations

    kinds: tuple[tuple[type[Table], str], ...] = (
        (EpisodeTable, "episode_shards"),
        (SegmentTable, "segments"),
        (PrimitiveTable, "primitives"),
        (EconTable, "econ_shards"),
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
    tell.total = total
    for part in tagged(executor, map(task, left), time.process_time):
        watch.add({"tag": part.seconds})
        with watch("store"):
            store.commit(SECOND, part.shard, {"tags": part.tags, "econ": part.econ}, part.aggregates)
        tell(SECOND, total if part.shard == left[-1] else part.episodes)


def _finish(
    store: Store,
    taken: Sequence[Taken],
    frozen: Frozen,
    found: tuple[DefectTable, Courses, list[str], CardTable],
    asked: Sequence[RunSettings],
    prior: Prior | None,
    executor: Executor,
    watch: _Stopwatch,
) -> dict[str, Any]:
    """Aggregate over shards, decide, and write the single files."""
    from sima2.analytics.gate import next_look
    from sima2.io.store import SUMMARY
    from sima2.labelling import needs
    from sima2.report.first import first_findings
    from sima2.report.sentences import no_gain_sentence

    defects, courses, doubts, card = found
    merged = _merged(store)
    tags = TagTable.concat(list(store.read(TagTable, "tags")))
    econ = EconTable.concat(list(store.read(EconTable, "econ")))
    counted = merged.trust.digest()
    look = next_look([(digest, look) for look, digest, _ in store.calibrations], counted)
    results = finalize(
        # the auditor looks at defects
        replace(frozen, episodes=with_defects(frozen.episodes, defects)),
        merged,
        tags,
        econ,
        QuarantineTable.concat(list(store.read(QuarantineTable, "quarantine_shards"))),
        defects=defects,
        verdicts=courses.verdicts,
        pauses=PauseTable.concat(list(store.read(PauseTable, "pauses"))),
        consensus=courses.consensus,
        card=card,
        look=look,
        sources={each.origin["source_id"]: each.origin["collection"] for each in store.runs},
        prior=prior,
    )
    orchestrator = SemanticOrchestrator()
    history = [Decision.from_json(text) for text in store.decisions]
    proposals = orchestrator.decide(results.proposals, results.trust, history)
    source_of = dict(zip(results.episodes.episode_id, results.episodes.source, strict=True))
    actions = orchestrator.react_apart(tags, results.trust, source_of)
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
    store.write_table("defects", with_cuts(defects, results.episodes))
    store.write_table("unusual", courses.unusual)
    store.write_table("courses", courses.usual)
    store.write_table("consensus", courses.consensus)
    store.record_decisions([each.to_json() for each in orchestrator.changes(proposals, history, look)])
    store.write_table("proposals", proposals)
    store.write_table("actions", actions)
    store.write_table("quarantine", results.quarantine)
    store.write_table("said", frozen.said)
    notes = NoteTable.concat(list(store.read(NoteTable, "note_shards")))
    store.write_table("notes", notes)
    store.write_table("weights", results.draws)
    store.write_table("plan", results.training.episodes)
    store.write_table("by_example", frozen.examples)
    if len(card):
        store.write_table("verdict_card", card)
    _write_frames(store, taken, results)
    store.write_table("audit", results.audit)
    store.write_text("trust_matrix.json", results.trust.to_json())
    if results.trust.by_collection:
        store.write_text("trust_by_collection.json", results.trust.collections_json())
    newest = max(each.run.number for each in taken)
    store.record_calibration(look, counted, _json(_calibration_told(newest, results)))
    store.write_text("references.json", frozen.references.to_json())
    for name, text in merged.texts(proposals).items():
        store.write_text(name, text)
    described = [each.source.describe() for each in taken]
    for each, told in zip(taken, described, strict=True):
        if told.get("column_map"):
            store.write_text(_map_name(each.source, alone=len(taken) == 1), str(told["column_map"]))
    together = _together([(each.run.origin["words"], told) for each, told in zip(taken, described, strict=True)])
    mended = Losses(came, mended=[fault for each in taken for fault in each.losses.mended])
    merging = merged_doubts(store.runs)
    values = {
        **together,
        **({"merging": merging} if merging else {}),
        "warnings": [
            *merging,
            *together.get("warnings", ()),
            *doubts,
            *in_groups(notes),
            *warnings_of(results.quarantine, mended),
        ],
        "sima2_version": __version__,
        "source": asked[0].source,
        "seed": asked[0].seed,
        "episodes": {"in": came, "ok": len(results.episodes), "quarantined": quarantined, "skipped": skipped},
        "runs": [_run_told(each) for each in store.runs],
        "sources": _sources_told(store.runs, results.episodes),
        **_with_needs(results.summary(proposals), needs(results.trust, results.episodes, econ, tags, frozen.said)),
        **({"prior": _prior_told(prior, results)} if prior is not None else {}),
        **({"by_example": example_counts(frozen.examples)} if len(frozen.examples) else {}),
        "defects": defect_counts(defects),
        **({"said": said_counts(frozen.said, results.episodes, defects)} if len(frozen.said) else {}),
        "first": {
            **first_findings(results.episodes, courses.ended, defects, courses.unusual, courses.usual, frozen.said),
            "to_label": _to_label(results.episodes.take(~results.training.episodes.action.isin("drop"))),
        },
        "alarms": {name: int(actions.action.isin(name).sum()) for name in ("safety_stop", "warning")},
        **({"videos": videos} if (videos := _videos_told(store, asked)) else {}),
        "digest": store.digest(),
        "seconds": watch.spent,
    }
    values["no_gain"] = no_gain_sentence(values)
    store.write_text(SUMMARY, _json(values))
    from sima2.report.html import render
    from sima2.report.inputs import load_report

    report = load_report(store.path)
    store.write_text("report.html", render(report))
    store.write_text("signals.json", _json(list(report.signals)))
    _write_turtle(store, ontology())
    store.finish()
    return values


def _card(
    store: Store,
    taken: Sequence[Taken],
    episodes: EpisodeTable,
    defects: DefectTable,
    verdicts: SegmentVerdicts,
    executor: Executor,
) -> CardTable:
    """How sure the verdicts are that the plan would act on, where recordings have enough of them to tell.

    Of several sources the least sure counts, for the plan is one; where some are not at hand, nothing is known.
    """
    from sima2.card import DROP, FAILED_ATTEMPT, CardSettings, detection_card, least_sure

    told = Counter(verdicts.verdict.tolist())
    enough = max(told["failed_attempt"], told["lost_grip"]) >= FEWEST_VERDICTS
    at_hand = {each.run.number for each in taken} == {run.number for run in store.runs}
    if not (enough and at_hand and all(each.run.settings.get("path") for each in taken)):
        return CardTable.empty()
    segments = SegmentTable.concat(list(store.read(SegmentTable, "segments")))
    cards = []
    for each in taken:
        calibration, _ = calibrated(executor, each.source, time.process_time)
        cards.append(
            detection_card(
                each.source,
                calibration,
                episodes.take(each.run.holds(episodes.episode_index)),
                segments.take(each.run.holds(segments.episode_index)),
                defects,
                EpisodeMeasures.empty(),  # which verdicts on segments do not look at
                CardSettings(only=(FAILED_ATTEMPT, DROP)),
            )
        )
    return least_sure(cards)


def _write_frames(store: Store, taken: Sequence[Taken], results: Results) -> None:
    """The weight of every frame, shard by shard as the episodes lie."""
    from sima2.sampling.frames import planned_frames
    from sima2.sampling.plan import Plan

    store.forget(PLANNED)
    table, spans = results.training
    place = dict(zip(table.episode_id, range(len(table)), strict=True))
    numbers = {run.number: _frame_numbers(run, taken) for run in store.runs}
    counted = dict.fromkeys(numbers, 0)
    shards = sorted(store.committed(FIRST))
    for shard, episodes in zip(shards, store.read(EpisodeTable, "episode_shards"), strict=True):
        rows = np.array([place[name] for name in episodes.episode_id], np.int64)
        run = store.run_of(shard)
        index = _numbered(episodes, numbers[run.number])
        if not numbers[run.number] and not run.holds(results.quarantine.episode_index).any():
            index = counted[run.number] + np.arange(len(index))
        counted[run.number] += len(index)
        part = planned_frames(Plan(table.take(rows), spans), episodes.frames, index)
        store.commit(PLANNED, shard, {"frame_weights": part}, {})


def _frame_numbers(run: Run, taken: Sequence[Taken]) -> Mapping[int, Int64s]:
    """What the source of a run numbers the frames of each episode by; nothing where it is not there to tell."""
    from sima2.io.formats import is_dataset
    from sima2.io.frame_rows import frame_numbers

    source = next((each.source for each in taken if each.run.number == run.number), None)
    if source is not None:
        return source.frame_numbers()
    path = run.settings.get("path")
    if path is None or not is_dataset(place_here(Path(path))):
        return {}
    try:
        return frame_numbers(place_here(Path(path)))
    except DataError:
        return {}


def _numbered(episodes: EpisodeTable, known: Mapping[int, Int64s]) -> Int64s:
    """The source's own number of each frame, those of an episode behind those of the one before; -1 unknown."""
    none = np.zeros(0, np.int64)
    told = [none]
    for number, frames in zip(episodes.source_index.tolist(), episodes.frames.tolist(), strict=True):
        own = known.get(number, none)
        told.append(own if len(own) == frames else np.full(frames, -1))
    return np.concatenate(told)


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
    parts = {name: list(store.aggregates(SECOND, name)) for name in ("trust", "evidence", "tasks", "tally")}
    begins = [run.first_shard for run in store.runs]
    collections = [str(run.origin["collection"]) for run in store.runs]
    of_shard = [collections[max(bisect_right(begins, shard) - 1, 0)] for shard, _ in parts["trust"]]
    return Aggregates.merged({name: [text for _, text in rows] for name, rows in parts.items()}, of_shard)


def _together(described: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """What several sources are and lack, each line under the name of its source."""
    if len(described) == 1:
        return dict(described[0][1])
    told: dict[str, Any] = {}
    for name, each in described:
        for key, value in each.items():
            if isinstance(value, list):
                told[key] = [*told.get(key, ()), *(f"{name}: {line}" for line in value)]
    maps = [f"# {name}\n{each['column_map']}" for name, each in described if each.get("column_map")]
    mappings = {str(each["mapping"]) for _, each in described if each.get("mapping")}
    return {**told, "column_map": "\n".join(maps) or None, "mapping": " and ".join(sorted(mappings)) or None}


def merged_doubts(runs: Sequence[Run]) -> list[str]:
    """What differs between the sources of a folder, each against the first, with what to do about it."""
    from sima2.io.merging import Reading, differences

    read = {run.origin["source_id"]: run.origin for run in runs if run.origin.get("reading")}
    found: list[str] = []
    first, *others = read.values() or [{}]
    for each in others:
        names = (str(first["name"]), str(each["name"]))
        names = names if names[0] != names[1] else (first["source_id"], each["source_id"])
        found += differences(names[0], Reading.of_plain(first["reading"]), names[1], Reading.of_plain(each["reading"]))
    return list(dict.fromkeys(found))


def _sources_told(runs: Sequence[Run], episodes: EpisodeTable) -> list[dict[str, Any]]:
    """The sources in the order in which they came, with how many of the episodes used are of each."""
    told = {}
    for run in runs:
        name = str(run.origin["source_id"])
        told[name] = {
            "source": name,
            "collection": run.origin["collection"],
            "is": run.origin["words"],
            "episodes": int(episodes.source.isin(name).sum()),
        }
    return list(told.values())


def _calibration_told(run: int, results: Results) -> dict[str, Any]:
    """What the history keeps of a calibration."""
    return {
        "run": run,
        "episodes": len(results.episodes),
        "effective": results.drawn["effective_sample_size"] / max(len(results.episodes), 1),
        "trust": {tag: row.trust_level for tag, row in results.trust.items()},
    }


def _with_needs(summary: dict[str, Any], needed: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The summary with what each tag that is not settled would need."""
    trust = {
        tag: {**row, **({"needed": needed[tag]} if tag in needed else {})} for tag, row in summary["trust"].items()
    }
    return {**summary, "trust": trust}


def _prior_told(prior: Prior, results: Results) -> dict[str, Any]:
    """The prior in the summary: which it was, and which tags it moved."""
    rows = results.trust.rows.values()
    return {
        "digest": prior.digest,
        "tags": sorted(row.tag for row in rows if row.carried is not None),
        "moved": sorted(row.tag for row in rows if row.carried and row.trust_level > row.carried.without),
    }


def _run_told(each: Run) -> dict[str, Any]:
    """A run in the summary: what it took in."""
    given = ("source", "path", "mix", "families", "seed", "request")
    inputs = {name: each.settings.get(name) for name in given if each.settings.get(name) not in (None, [])}
    return {"run": each.number, "episodes": each.episodes, "inputs": inputs}


def _map_name(source: Source, *, alone: bool) -> str:
    """File of a source's column map in the folder of results."""
    from sima2.io.store import MAPS

    return f"{MAPS}.toml" if alone else f"{MAPS}-{source.source_id}.toml"


def _nothing_usable(store: Store, sources: Sequence[Source]) -> DataError:
    """What was put aside and why, what could not be decided, and the way on; the folder keeps both for a look."""
    aside = QuarantineTable.concat(list(store.read(QuarantineTable, "quarantine_shards")))
    store.write_table("quarantine", aside)
    reasons = Counter(aside.reason.tolist())
    told = ", ".join(f"{count} × {reason}" for reason, count in sorted(reasons.items())) or "it holds none"
    lines: list[str] = []
    for source in sources:
        described = source.describe()
        lines += map(str, described.get("warnings", ()))
        if described.get("unmapped"):
            lines.append(f"not read: {', '.join(map(str, described['unmapped']))}")
        if described.get("column_map"):
            name = _map_name(source, alone=len(sources) == 1)
            store.write_text(name, str(described["column_map"]))
            ways = f"say in {store.path / name} which columns are what and give it back by --map, with --fresh"
            lines.append(f"sima2 quarantine {store.path} lists them; {ways}")
    return DataError(f"no usable episode among {sum(source.episodes for source in sources)}: {told}", *lines)


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


class _ProgressCounter:
    """Tells how far the phases have come."""

    def __init__(self, progress: Callable[[Progress], None] | None, total: int) -> None:
        self.total = total
        """Episodes of the phase."""
        self._progress = progress
        self._done: dict[str, int] = {}

    def __call__(self, phase: str, episodes: int) -> None:
        """So many more are done."""
        self._done[phase] = min(self._done.get(phase, 0) + episodes, self.total)
        if self._progress:
            self._progress(Progress(phase, self._done[phase], self.total))


class _Stopwatch:
    """CPU seconds of each phase, summed over processes."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._name = ""
        self._begin = 0.0

    def add(self, laps: Mapping[str, float]) -> None:
        for name, value in laps.items():
            self.spent[name] = self.spent.get(name, 0.0) + value

    def __call__(self, name: str) -> _Stopwatch:
        self._name = name
        return self

    def __enter__(self) -> None:
        self._begin = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.add({self._name: time.process_time() - self._begin})
