"""A run from its settings to its summary."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sima2.client import Source, place_here
from sima2.errors import Sima2Error, UsageError
from sima2.execution.engines import open_executor
from sima2.execution.executor import one_thread
from sima2.orchestrator.agreement import refuse_disagreement
from sima2.orchestrator.finding import found_in
from sima2.orchestrator.finish import finish
from sima2.orchestrator.passes import begin_judging, frozen_of, look_at_videos, losses_before, tag, take_in
from sima2.orchestrator.run_context import PLANNED, SECOND, ProgressCounter, RunContext, Stopwatch, Taken
from sima2.orchestrator.sources import Given, named, open_source, prior_of
from sima2.pipeline import Progress, RunSettings, RunSummary, shard_spans
from sima2.shard_tables import EPISODES

if TYPE_CHECKING:
    from sima2.io.label_log import LabelLog
    from sima2.io.store import Coming, Run, Store
    from sima2.records.labels import SaidTable

REDONE = (SECOND, PLANNED)
"""Phases that rest on all runs of a folder: made anew when one is added."""


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
    from sima2.io.store import LABELS, SUMMARY, Store
    from sima2.records.labels import said_of

    settings = given[0].settings
    prior = prior_of(settings)
    _refuse_within_data(given)
    log = read_log(settings.out)
    said = said_of(log.labels)
    coming = _coming(given)
    executor = open_executor(settings.engine, settings.jobs)
    opened = Store.open(
        settings.out,
        coming,
        redone=REDONE,
        agrees=partial(refuse_disagreement, coming, out=settings.out, pool=settings.pool),
        resume=settings.resume,
        fresh=settings.fresh,
    )
    with one_thread(), opened as store, executor:
        runs = [_run_of(store, each) for each in coming]
        mended = store.mend(runs, REDONE)
        again = store.rest_on(LABELS, said.digest(), runs, REDONE)
        if all(run.finished for run in runs) and not mended and not again and (store.path / SUMMARY).is_file():
            return RunSummary(settings.out, {**json.loads(store.read_text(SUMMARY)), "nothing_new": True})
        context = RunContext(
            store=store,
            executor=executor,
            taken=tuple(
                Taken(each, run, losses_before(store, run, each.source.episodes))
                for each, run in zip(given, runs, strict=True)
            ),
            prior=prior,
            tell=ProgressCounter(progress, sum(each.source.episodes for each in given)),
            watch=Stopwatch(),
        )
        return RunSummary(settings.out, _through_all_phases(context, log, said))


def _through_all_phases(run: RunContext, log: LabelLog, said: SaidTable) -> dict[str, Any]:
    """Pass 1, the look at videos, references, pass 2, and what follows; what the summary tells.

    Args:
        run: just begun, or gone on with.
        log: the labels of the folder.
        said: what persons say by them.
    """
    take_in(run)
    look_at_videos(run)
    judging = begin_judging(run)
    with run.watch("freeze"):
        recorded = EPISODES.whole(run.store)
        frozen = frozen_of(run, recorded, said)
    tag(run, frozen)
    found = found_in(run, recorded, frozen, log, judging)
    with run.watch("finalize"):
        return finish(run, frozen, found)


def _refuse_within_data(given: Sequence[Given]) -> None:
    """Results never go into a data set that is read."""
    out = given[0].settings.out
    for _, settings in given:
        if settings.path is not None and out.resolve().is_relative_to(place_here(settings.path).resolve()):
            raise UsageError(f"{out} lies within the data set {settings.path}: give another --out")


def _coming(given: Sequence[Given]) -> list[Coming]:
    """The runs that the folder is opened for.

    Raises:
        UsageError: if two are the same.
    """
    from sima2.io.store import Coming, told_apart

    inputs = [each.inputs for each in given]
    if len({json.dumps(told_apart(each), sort_keys=True) for each in inputs}) < len(inputs):
        raise UsageError("the same source is given twice")
    return [
        Coming(
            settings=known,
            origin=each.origin,
            episodes=each.source.episodes,
            numbers_end=int(each.source.numbers[-1]) + 1 if each.source.episodes else 0,
            shards=len(shard_spans(each.source.episodes)),
        )
        for known, each in zip(inputs, given, strict=True)
    ]


def _run_of(store: Store, coming: Coming) -> Run:
    run = store.find(coming.settings)
    if run is None:
        raise Sima2Error(f"{store.path}: the run was not recorded; this is a defect")
    return run
