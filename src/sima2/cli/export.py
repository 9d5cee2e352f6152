"""``sima2 export``: hand what a run found to a trainer, as a copy, as lists, or as plain tables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sima2.cli import options
from sima2.cli.answer import answer, steps
from sima2.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sima2.cli.source_of_run import SourceOfRun
    from sima2.export.lists import Planned


VIEWERS = ("rerun", "mcap")
"""What shows episodes, and is no copy of them."""
ASKED = ("objective", "preset", "without", "also", "review", "keep_whole")
"""Settings that what is written says of itself."""

LeRobot = Annotated[
    Path | None,
    typer.Option(
        "--lerobot", metavar="DIR", help="A copy of the LeRobot data set, episodes dropped and trimmed as planned."
    ),
]
Lists = Annotated[
    Path | None,
    typer.Option(
        "--lists",
        metavar="DIR",
        help="Without copying: lists and a command for LeRobot, weights, progress and subtasks by frame.",
    ),
]
Robomimic = Annotated[
    Path | None,
    typer.Option(
        "--robomimic",
        metavar="FILE",
        help="HDF5 for robomimic: a copy with filter keys of a robomimic file, else what the plan keeps, trimmed.",
    ),
]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="DIR", help="The tables of the plan as csv.")]
Tables = Annotated[Path | None, typer.Option("--tables", metavar="DIR", help="The tables of the plan in a --format.")]
Form = Annotated[str, typer.Option("--format", metavar="F", help="Of --tables: csv, json or parquet.")]
Rerun = Annotated[
    Path | None,
    typer.Option("--rerun", metavar="FILE", help="Episodes for the Rerun viewer (.rrd): states, signals, poses."),
]
Mcap = Annotated[Path | None, typer.Option("--mcap", metavar="FILE", help="Episodes for Foxglove (.mcap): the same.")]
Most = Annotated[
    int, typer.Option("--most", metavar="N", min=1, help="Of --rerun and --mcap: at most so many episodes.")
]
EmbedVideos = Annotated[
    bool,
    typer.Option("--embed-videos", help="Of --rerun: put the video files into it; else it says where they are."),
]
Objective = Annotated[str, typer.Option("--objective", metavar="O", help="What is trained: bc (imitation) or rl.")]
Review = Annotated[
    str, typer.Option("--review", metavar="R", help="Episodes that a person should look at first: keep or drop.")
]
Only = Annotated[
    Path | None,
    typer.Option(
        "--episodes",
        metavar="FILE",
        help="Only these, one a line by id or number (query --episodes writes it); of copies, lists and tables "
        "those of them that the plan keeps.",
    ),
]
KeepWhole = Annotated[
    bool, typer.Option("--keep-whole", help="Drop episodes as planned, but trim none; no video has to be cut.")
]
MovedTo = Annotated[Path | None, typer.Option("--path", metavar="P", help="The recorded data set, if it was moved.")]
OfRun = Annotated[
    int | None, typer.Option("--run", metavar="R", min=1, help="Whose source, if OUT holds several runs.")
]


def command(
    out: options.Out,
    lerobot: LeRobot = None,
    lists: Lists = None,
    robomimic: Robomimic = None,
    csv: Csv = None,
    tables: Tables = None,
    form: Form = "parquet",
    rerun: Rerun = None,
    mcap: Mcap = None,
    most: Most = 50,
    embed_videos: EmbedVideos = False,
    objective: Objective = "bc",
    preset: options.Preset = "measured",
    without: options.Without = None,
    also: options.Also = None,
    review: Review = "keep",
    only: Only = None,
    keep_whole: KeepWhole = False,
    path: MovedTo = None,
    run: OfRun = None,
    as_json: options.Json = False,
) -> None:
    """Hand what a run found to a trainer.

    Nothing of the source is changed, and nothing that is there is written over: the folder is new, and appears only
    when all of it is written.

    \b
    Example:
      sima2 export results --lerobot better_set
      sima2 export results --lists for_lerobot --objective bc
      sima2 export results --robomimic better.hdf5
      sima2 export results --csv tables
      sima2 export results --rerun look.rrd --episodes second_tries.txt
      sima2 export results --mcap look.mcap --most 10
      sima2 export results --lerobot second_tries --episodes second_tries.txt
    """
    what, target = _wanted(
        lerobot=lerobot, lists=lists, robomimic=robomimic, csv=csv, tables=tables, rerun=rerun, mcap=mcap
    )
    from sima2.cli.scenes import write_scenes
    from sima2.cli.source_of_run import source_of

    if what in VIEWERS:
        _need(rerun is not None)
    read = source_of(out, run, path)
    _refuse(what, target, out, read)
    lines = None if only is None else _lines(only)
    if what in VIEWERS:
        with steps() as step:
            step("writing")
            shown = write_scenes(out, read, target, lines, most, rerun=what == "rerun", embed_videos=embed_videos)
        told = {"target": str(target), "what": "viewer", **shown}
    else:
        rules = {"without": list(options.several(without)), "also": list(options.several(also))}
        settings = {"objective": objective, "preset": preset, **rules, "review": review, "keep_whole": keep_whole}
        told = _handed_on(out, read, what, target, {**settings, "format": "csv" if what == "csv" else form}, lines)
    answer(told, as_json=as_json, shown=lambda: (_viewer_shown if what in VIEWERS else _rendered)(told), results=out)


def _wanted(**targets: Path | None) -> tuple[str, Path]:
    """What is to be written, by its option, and where to.

    Raises:
        UsageError: if it is not one thing.
    """
    chosen = [(name, target) for name, target in targets.items() if target is not None]
    if len(chosen) != 1:
        raise UsageError(f"say what to write, as one of {', '.join(f'--{name}' for name in targets)}")
    return chosen[0]


def _refuse(what: str, target: Path, out: Path, read: SourceOfRun) -> None:
    """Nothing is written over, and nothing into the results or the data set."""
    from sima2.export.target import refuse_file, refuse_target

    if what in (*VIEWERS, "robomimic"):
        refuse_file(target, [out, *([] if read.path is None else [read.path])])
    else:
        refuse_target(target, read.path)


def _handed_on(
    out: Path, read: SourceOfRun, what: str, target: Path, settings: Mapping[str, Any], lines: list[str] | None
) -> dict[str, Any]:
    """Write what a trainer reads; what was written.

    Args:
        out: folder of the run.
        read: its source.
        what: ``lerobot``, ``robomimic``, ``lists``, ``csv`` or ``tables``.
        target: where to.
        settings: rules of the plan, ``review``, ``keep_whole`` and, of tables, ``format``.
        lines: only these episodes.
    """
    from sima2.export.selection import chosen_only

    with steps() as step:
        step("plan")
        planned = planned_of(out, read, settings, by_frame=what not in ("lerobot", "robomimic"))
        if lines is not None:
            planned = replace(planned, plan=chosen_only(planned.plan, lines))
        step("writing")
        if what == "lerobot":
            told = _copy(out, read, planned, target, settings)
        elif what == "robomimic":
            told = _robomimic(out, read, planned, target, settings)
        elif what == "lists":
            told = _lists(read, planned, target, settings)
        else:
            told = _tables(out, read, planned, target, settings["format"])
    asked = {name: settings[name] for name in ASKED}
    return {"target": str(target), **asked, "what": "tables" if what == "csv" else what, **told}


def _need(rerun: bool) -> None:
    """Refuse for want of an extra before anything is read."""
    from sima2.export.mcap_file import need_mcap
    from sima2.export.rerun_file import need_rerun

    (need_rerun if rerun else need_mcap)()


MOST_LISTED = 64 << 20
"""Bytes of a list of episodes: a million ids."""


def _lines(file: Path) -> list[str]:
    """Lines of a list that somebody gives.

    Raises:
        UsageError: if it cannot be read.
    """
    from sima2.io.documents import reason

    try:
        if not file.is_file():
            raise UsageError(f"{file}: there is no such file; sima2 query OUT … --episodes FILE writes one")
        if file.stat().st_size > MOST_LISTED:
            raise UsageError(f"{file}: is too large for a list of episodes")
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: is no list of episodes: {reason(error)}") from None


def planned_of(out: Path, read: SourceOfRun, settings: Mapping[str, Any], *, by_frame: bool = True) -> Planned:
    """What a run planned for its source, all under the source's own numbers.

    Args:
        out: folder of the run.
        read: its source.
        settings: ``objective``, ``preset``, ``without`` and ``also``.
        by_frame: whether frames are numbered too, for which the data are read.

    Raises:
        StoreError: if the folder is not one of a finished run.
        UsageError: if a setting is wrong.
    """
    from sima2.export.frames import SourceFrames
    from sima2.export.lists import Planned
    from sima2.io.store import Store
    from sima2.planning import plan_of
    from sima2.shard_tables import SEGMENTS

    rules = {name: settings[name] for name in ("objective", "preset", "without", "also")}
    plan = plan_of(out, **rules)
    with Store.read_only(out) as store:
        segments = SEGMENTS.whole(store)
    return Planned(
        plan=read.own(plan.episodes),
        spans=read.own(plan.spans),
        episodes=read.episodes,
        segments=read.own(segments),
        frames=SourceFrames(*read.frames()) if by_frame else SourceFrames.none(),
    )


def _copy(out: Path, read: SourceOfRun, planned: Planned, target: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    from sima2 import __version__
    from sima2.export.frames import copy_weights
    from sima2.export.lerobot_copy import copy_lerobot, episodes_of
    from sima2.export.selection import select
    from sima2.io.formats import format_of

    if read.path is None:
        given = read.run.settings.get("path")
        why = f"{given} is no data set here" if given else "its rollouts are of no recorded data set"
        raise UsageError(f"{out}: {why}: name it with --path, or use --lists or --tables, which need none")
    if (name := format_of(read.path)) != "lerobot":
        raise UsageError(f"{read.path} is a data set of the format {name}; --lerobot copies LeRobot's own")
    # the encoder of AV1 writes to stderr by itself unless it is told not to before it is loaded
    os.environ.setdefault("SVT_LOG", "1")
    index, held = episodes_of(read.path)
    kept = select(planned.plan, _lengths(read), held, review=settings["review"], cut=not settings["keep_whole"])
    about = {"made_by": f"sima2 {__version__}", "source": next(iter(read.episodes.source), "")}
    about |= {name: settings[name] for name in ASKED}
    told = copy_lerobot(index, kept, target, about, copy_weights(kept, planned.spans), _said(read))
    return {**told, "zero_weight_inside": zero_weight_inside(planned, kept), **_whom(planned, kept)}


def _robomimic(
    out: Path, read: SourceOfRun, planned: Planned, target: Path, settings: Mapping[str, Any]
) -> dict[str, Any]:
    from sima2.cli.source_of_run import rollouts_of
    from sima2.export.robomimic_copy import copy_with_keys, write_kept
    from sima2.export.selection import select
    from sima2.io.formats import format_of

    source = rollouts_of(out, read)
    kept = select(
        planned.plan, _lengths(read), source.numbers, review=settings["review"], cut=not settings["keep_whole"]
    )
    if read.path is not None and format_of(read.path) == "robomimic":
        return {**copy_with_keys(read.path, target, planned.plan, kept), **_whom(planned, kept)}
    return {**write_kept(source, target, kept), **_whom(planned, kept)}


def _said(read: SourceOfRun) -> dict[int, bool]:
    """Whether each episode succeeded of which a person says it, by the source's own number."""
    told = read.episodes.take(read.episodes.outcome_source.isin("person"))
    return dict(zip(told.episode_index.tolist(), (told.success == 1).tolist(), strict=True))


def _lists(read: SourceOfRun, planned: Planned, target: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np

    from sima2.export.lists import write_lists
    from sima2.export.selection import select

    held = np.unique(np.concatenate([planned.frames.episode, read.aside, planned.plan.episode_index]))
    kept = select(planned.plan, _lengths(read), held, review=settings["review"], cut=not settings["keep_whole"])
    return {**write_lists(planned, kept, target, source=read.path), **_whom(planned, kept)}


def _tables(out: Path, read: SourceOfRun, planned: Planned, target: Path, form: str) -> dict[str, Any]:
    from sima2.export.tables import write_tables
    from sima2.io.store import Store
    from sima2.shard_tables import TAG_ROWS

    with Store.read_only(out) as store:
        tags = TAG_ROWS.whole(store)
    tables = {
        "plan": planned.plan,
        "frame_weights": planned.by_frame(),
        "episodes": planned.episodes,
        "segments": planned.segments,
        "tags": read.own(tags),
    }
    return {"format": form, "rows": write_tables(tables, target, form, source=read.path)}


def _lengths(read: SourceOfRun) -> dict[int, int]:
    """Frames of each episode as the run read them."""
    return dict(zip(read.episodes.episode_index.tolist(), read.episodes.frames.tolist(), strict=True))


def zero_weight_inside(planned: Planned, kept: Any) -> int:
    """Frames that weigh nothing within what a copy keeps, where they stay."""
    import numpy as np

    where = {number: at for at, number in enumerate(kept.number.tolist())}
    spans, inside = planned.spans, 0
    for at in np.flatnonzero(spans.weight == 0).tolist():
        row = where.get(int(spans.episode_index[at]))
        if row is not None:
            low = max(int(spans.start_frame[at]), int(kept.start[row]))
            inside += max(0, min(int(spans.end_frame[at]), int(kept.stop[row])) - low)
    return inside


def _whom(planned: Planned, kept: Any) -> dict[str, Any]:
    """How many episodes were left out for which reason, and how many are kept though under review."""
    from collections import Counter

    why = Counter(codes.split(",")[0] for codes in kept.left_out.values())
    return {"left_out_for": dict(why.most_common()), "under_review": int(kept.action.isin("review").sum())}


def _viewer_shown(told: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group

    from sima2.report import terminal
    from sima2.report.text import number, visible

    head = {"written": visible(told["target"], longest=300)}
    head["episodes"] = f"{number(told['episodes'])} of {number(told['of_episodes'])}"
    head |= {name: number(told[name]) for name in ("frames", "videos")}
    return Group(terminal.listing(head), *terminal.titled("Notes", terminal.bullets(told["notes"])))


def _rendered(told: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group

    from sima2.report import terminal
    from sima2.report.text import number, visible

    head: dict[str, object] = {"written": visible(told["target"], longest=300), "preset": told["preset"]}
    head["objective"] = told["objective"]
    lines: list[str] = []
    if told["what"] == "tables":
        head |= {name: f"{number(rows)} rows" for name, rows in told["rows"].items()}
    else:
        head["episodes"] = f"{number(told['episodes'])} kept, {number(told['left_out'])} left out"
        if told["left_out_for"]:
            head["left out for"] = ", ".join(f"{visible(why)} {number(n)}" for why, n in told["left_out_for"].items())
        if told["under_review"]:
            lines.append(f"{number(told['under_review'])} of them are under review: --review drop leaves them out")
    if told["what"] == "robomimic":
        head |= {f"mask/{name}": number(count) for name, count in told.get("keys", {}).items()}
        lines += [visible(note, longest=400) for note in told["notes"]]
    if told["what"] == "lists":
        head["frames"] = f"{number(told['frames'])}, {number(told['without_weight'])} of no weight, {told['numbered']}"
        head["files"] = ", ".join(told["files"])
    if told["what"] == "lerobot":
        head["frames"] = f"{number(told['frames'])}; {number(told['trimmed'])} episodes trimmed"
        if told["zero_weight_inside"]:
            lines.append(
                f"{number(told['zero_weight_inside'])} frames of no weight lie inside and stay: "
                "train with meta/sima2_weights.parquet of the copy to leave them out"
            )
        lines += [visible(note, longest=400) for note in told["notes"]]
    return Group(terminal.listing(head), *terminal.titled("Notes", terminal.bullets(lines)))
