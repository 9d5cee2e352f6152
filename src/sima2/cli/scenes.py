"""Episodes of a run as scenes for viewers of recordings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sima2.errors import UsageError
from sima2.records.arrays import Int64s

if TYPE_CHECKING:
    from sima2.cli.source_of_run import SourceOfRun
    from sima2.export.scene import Scene


def write_scenes(
    out: Path,
    read: SourceOfRun,
    file: Path,
    lines: Sequence[str] | None,
    most: int,
    *,
    rerun: bool,
    embed_videos: bool = False,
) -> dict[str, Any]:
    """Write episodes of a run for a viewer; what was written, as plain values.

    Args:
        out: folder of the run.
        read: its source.
        file: where to.
        lines: episodes by id or number, in that order; the first ones if not given.
        most: episodes at most.
        rerun: for Rerun, else as MCAP.
        embed_videos: put video files into it (Rerun alone).

    Raises:
        UsageError: if a line names no episode, the data are not there any more, or the disk does not take the file.
    """
    import numpy as np

    from sima2.export.mcap_file import write_mcap
    from sima2.export.rerun_file import write_rerun
    from sima2.export.scene import ViewerBudget
    from sima2.export.selection import rows_named
    from sima2.io.documents import reason
    from sima2.io.durable import TEMPORARY
    from sima2.report.label_style import LOOKS

    table = read.episodes
    rows = np.arange(len(table)) if lines is None else rows_named(table.episode_index, table.episode_id, lines)
    budget = ViewerBudget(episodes=most)
    scenes = _scenes(out, read, rows[:most])
    try:
        if rerun:
            colours = {label: look.light for label, look in LOOKS.items()}
            name = f"sima2 {next(iter(table.source), '')}"
            told = write_rerun(scenes, file, colours=colours, budget=budget, name=name, embed_videos=embed_videos)
        else:
            told = write_mcap(scenes, file, budget=budget)
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {reason(error)}; nothing was left there") from error
    finally:
        file.with_name(f"{TEMPORARY}{file.name}").unlink(missing_ok=True)
    notes = []
    if len(rows) > most:
        notes.append(f"{len(rows) - most} episodes were left out: choose them with --episodes FILE, or raise --most")
    if told["thinned"]:
        notes.append(f"signals of {told['thinned']} long episodes are thinned to {budget.frames} frames each")
    if told["episodes"] < min(len(rows), most):
        notes.append(f"{min(len(rows), most) - told['episodes']} episodes cannot be read any more")
    if told["videos"] and not (rerun and embed_videos):
        notes.append("videos are named, not copied" + ("; --embed-videos puts their files into it" if rerun else ""))
    return {**told, "of_episodes": len(table), "notes": notes}


def _scenes(out: Path, read: SourceOfRun, rows: Int64s) -> Iterator[Scene]:
    """The scenes of episodes, read one by one; those that cannot be read any more are left out."""
    import numpy as np

    from sima2.cli.source_of_run import rollouts_of
    from sima2.export.scene import Scene, videos_of
    from sima2.io.store import Store
    from sima2.records.plan import TrainingPlan
    from sima2.records.segments import SegmentTable
    from sima2.records.tags import TagTable
    from sima2.report.inputs import read_single
    from sima2.shard_tables import SEGMENTS, TAG_ROWS
    from sima2.tags.specs import THRESHOLDS

    chosen = read.episodes.take(rows)
    wanted = set(chosen.episode_id)
    source = rollouts_of(out, read)
    with Store.read_only(out) as store:
        segments = SegmentTable.concat([_of(each, wanted) for each in SEGMENTS.shards(store)])
        tags = TagTable.concat([_of(each, wanted) for each in TAG_ROWS.shards(store)])
    level = np.array([THRESHOLDS.get(tag, 1.0) for tag in tags.tag])
    tags = tags.take(np.nan_to_num(tags.level, nan=-1.0) > level) if len(tags) else tags
    plan = read_single(out, TrainingPlan, "plan") if (out / "plan.parquet").is_file() else TrainingPlan.empty()
    planned = {row["episode_id"]: row for row in _of(plan, wanted).rows()}
    videos = videos_of(read.path, chosen.source_index.tolist()) if read.path is not None and _lerobot(read.path) else {}
    for row in chosen.rows():
        place = int(np.searchsorted(source.numbers, row["source_index"]))
        batch = source.read(place, place + 1).batch if place < source.episodes else None
        if batch is None or not len(batch):
            continue
        name = row["episode_id"]
        yield Scene(
            rollout=batch[0].with_(episode_id=name),
            segments=segments.take(segments.episode_id.isin(name)),
            tags=tags.take(tags.episode_id.isin(name)),
            words=_words(row, planned.get(name)),
            videos=videos.get(row["source_index"], ()),
        )


def _of(table: Any, wanted: set[str]) -> Any:
    return table.take(table.episode_id.isin(*wanted))


def _lerobot(path: Path) -> bool:
    from sima2.io.formats import format_of

    return format_of(path) == "lerobot"


def _words(row: dict[str, Any], planned: dict[str, Any] | None) -> str:
    """Task, how it ended, what the plan does with it."""
    ended = {1.0: "success", 0.0: "failure"}.get(row["success"], "not known how it ended")
    told = [row["episode_id"], row["instruction"], f"{ended} ({row['outcome_source']})"]
    told += [f"worst defect: {row['worst_defect']}"] if row["worst_defect"] else []
    if planned is not None:
        told.append(
            f"plan: {planned['action']}, weight {planned['weight']:g}{': ' * bool(planned['words'])}{planned['words']}"
        )
    return " · ".join(each for each in told if each)
