"""The phases over shards: pass 1 over each source, the look at videos, references, pass 2 over all episodes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sima2.cameras import moments_for, open_videos
from sima2.errors import DataError
from sima2.execution.containment import Losses, contained
from sima2.execution.executor import begun
from sima2.execution.shards import (
    LOST,
    FirstPassWork,
    Judged,
    JudgeTask,
    Stored,
    TagTask,
    calibrated,
    judged_together,
    tagged,
)
from sima2.execution.videos import VideoTask, VideoWork
from sima2.incremental import Known, joined
from sima2.orchestrator.run_context import FIRST, LOOKED, SECOND, RunContext, Taken
from sima2.orchestrator.summary import map_name
from sima2.pipeline import Frozen, ShardTask, freeze, shard_spans
from sima2.records.episodes import EpisodeTable
from sima2.records.labels import SaidTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Table
from sima2.records.video import LastFrameTable
from sima2.shard_tables import (
    CAMERAS,
    COSTS,
    DEFECTS,
    EPISODES,
    LANDMARKS,
    LAST_FRAMES,
    MEASURES,
    OBSERVATIONS,
    POINTS,
    QUARANTINE,
    SEGMENTS,
    TAG_ROWS,
    VIDEO_DEFECTS,
    Kind,
    ShardTables,
)

if TYPE_CHECKING:
    from sima2.io.formats.lerobot_videos import LeRobotVideos
    from sima2.io.store import Run, Store

T = TypeVar("T", bound=Table)


def take_in(run: RunContext) -> None:
    """Pass 1 over every source: each shard that is not there yet, committed as it comes."""
    for each in run.taken:
        _take_in(run, each)


def _take_in(run: RunContext, taken: Taken) -> None:
    store, source, first = run.store, taken.source, taken.run.first_shard
    spans = [(first + k, *span) for k, span in enumerate(shard_spans(source.episodes))]
    done = store.committed(FIRST)
    left = [span for span in spans if span[0] not in done]
    run.tell(FIRST, source.episodes - sum(stop - start for _, start, stop in left))
    if not left:
        return
    known = _known(store, taken.run)
    calibration, seconds = calibrated(run.executor, source, time.process_time)
    run.watch.add({"calibrate": seconds})
    size = run.settings.batch_size
    tasks = (ShardTask(source, calibration, shard, start, stop, size) for shard, start, stop in left)
    work = FirstPassWork(taken.settings.source, time.process_time)
    for part in contained(run.executor, work, tasks, taken.losses):
        run.watch.add(part.seconds)
        with run.watch("store"):
            tables = part.tables()
            if taken.run.number > 1:
                tables = joined(tables, known, run=taken.run.number, first_episode=taken.run.first_episode)
            store.commit(FIRST, part.shard, tables, {})
        run.tell(FIRST, len(part.episodes) + len(part.quarantine))


def losses_before(store: Store, run: Run, episodes: int) -> Losses:
    """Episodes of a run that brought a worker down before it was interrupted, of so many."""
    before = QUARANTINE.whole(store)
    return Losses(episodes, int((before.reason.isin(*LOST) & run.holds(before.episode_index)).sum()))


def _known(store: Store, run: Run) -> Known:
    """What runs before this one brought."""
    below = run.first_shard
    return Known.of(
        EPISODES.shards(store, below=below),
        MEASURES.shards(store, below=below),
        QUARANTINE.shards(store, below=below),
    )


def look_at_videos(run: RunContext) -> None:
    """Look at the videos of what was taken in, where that was asked for."""
    for taken in run.taken:
        if not taken.settings.video or taken.settings.path is None:
            continue
        videos = open_videos(taken.settings.path)
        if not videos.cameras:
            continue
        tasks = _video_tasks(run, taken, videos)
        for part in contained(run.executor, VideoWork(time.process_time), tasks, Losses(taken.losses.total)):
            run.watch.add({"video": part.seconds})
            with run.watch("store"):
                run.store.commit(LOOKED, part.shard, part.tables(), {})


def _video_tasks(run: RunContext, taken: Taken, videos: LeRobotVideos) -> list[VideoTask]:
    """The shards of a source whose pictures were not looked at yet."""
    from sima2.io.arrow import read_table

    store = run.store

    def read(kind: Kind[T], shard: int) -> T:
        return read_table(kind.table, store.shard_file(kind.folder, shard))

    shards = sorted(k for k in store.committed(FIRST) if store.run_of(k).number == taken.run.number)
    episodes = {k: read(EPISODES, k) for k in shards}
    segments = SegmentTable.concat([read(SEGMENTS, k) for k in shards])
    moments = moments_for(EpisodeTable.concat(list(episodes.values())), segments, len(videos.cameras))
    done = store.committed(LOOKED)
    return [
        VideoTask(
            taken.source,
            videos,
            k,
            each,
            {name: moments[name] for name in each.episode_id if name in moments},
            run.settings.batch_size,
        )
        for k, each in episodes.items()
        if k not in done
    ]


def begin_judging(run: RunContext) -> Callable[[], Judged]:
    """Judge defects and courses beside what follows: they need no tag, and no tag needs them."""
    store, executor = run.store, run.executor
    shards, looked = (sorted(store.committed(phase)) for phase in (FIRST, LOOKED))

    def stored(*kinds: tuple[Kind[Any], Sequence[int]]) -> Stored:
        files = [store.shard_file(kind.folder, k) for kind, some in kinds for k in some]
        return Stored.of(executor, kinds[0][0].table, files)

    def each(kind: Kind[Any]) -> tuple[Stored, ...]:
        return tuple(stored((kind, [k])) for k in shards)

    task = JudgeTask(
        defects=stored((DEFECTS, shards), (VIDEO_DEFECTS, looked)),
        points=stored((POINTS, shards)),
        cameras=tuple(
            stored((CAMERAS, mine))
            for run_ in store.runs
            if (mine := [k for k in looked if store.run_of(k).number == run_.number])
        ),
        episodes=each(EPISODES),
        measures=each(MEASURES),
        segments=each(SEGMENTS),
    )
    return begun(executor, partial(judged_together, clock=time.process_time), task)


def frozen_of(run: RunContext, recorded: EpisodeTable, said: SaidTable) -> Frozen:
    """References and outcomes, once for all.

    Args:
        run: after pass 1.
        recorded: all its episodes, as pass 1 left them.
        said: what persons say of them.

    Raises:
        DataError: if there is no episode.
    """
    store = run.store
    if not len(recorded):
        raise _nothing_usable(run)
    pictures = list(LAST_FRAMES.shards(store))
    return freeze(
        recorded,
        OBSERVATIONS.whole(store),
        LANDMARKS.whole(store),
        said,
        points=partial(POINTS.whole, store),
        pictures=LastFrameTable.concat(pictures) if pictures else None,
    )


def tag(run: RunContext, frozen: Frozen) -> None:
    """Pass 2 over every shard that it has not been over: tags, costs and counts, committed as they come."""
    store, total = run.store, len(frozen.episodes)
    # a shard needs no other's episodes
    few = replace(frozen, episodes=EpisodeTable.empty())

    def task(shard: int) -> TagTask:
        def stored(kind: Kind[Any]) -> Stored:
            return Stored.of(run.executor, kind.table, [store.shard_file(kind.folder, shard)])

        return TagTask(few, shard, {name: stored(kind) for name, kind in ShardTables.KINDS.items()})

    left = sorted(store.committed(FIRST) - store.committed(SECOND))
    run.tell.total = total
    for part in tagged(run.executor, map(task, left), time.process_time):
        run.watch.add({"tag": part.seconds})
        with run.watch("store"):
            store.commit(SECOND, part.shard, {TAG_ROWS.folder: part.tags, COSTS.folder: part.econ}, part.aggregates)
        run.tell(SECOND, total if part.shard == left[-1] else part.episodes)


def _nothing_usable(run: RunContext) -> DataError:
    """What was put aside and why, what could not be decided, and the way on; the folder keeps both for a look."""
    store = run.store
    aside = QUARANTINE.whole(store)
    store.write_table("quarantine", aside)
    reasons = Counter(aside.reason.tolist())
    told = ", ".join(f"{count} × {reason}" for reason, count in sorted(reasons.items())) or "it holds none"
    lines: list[str] = []
    for each in run.taken:
        described = each.source.describe()
        lines += map(str, described.get("warnings", ()))
        if described.get("unmapped"):
            lines.append(f"not read: {', '.join(map(str, described['unmapped']))}")
        if described.get("column_map"):
            name = map_name(each.source, alone=run.alone)
            store.write_text(name, str(described["column_map"]))
            ways = f"say in {store.path / name} which columns are what and give it back by --map, with --fresh"
            lines.append(f"sima2 quarantine {store.path} lists them; {ways}")
    return DataError(f"no usable episode among {sum(each.source.episodes for each in run.taken)}: {told}", *lines)
