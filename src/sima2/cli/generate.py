"""``sima2 generate``: made rollouts as a data set, with what was meant beside it."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sima2.cli import options
from sima2.cli.answer import answer, watched
from sima2.cli.run import QUARANTINED
from sima2.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from sima2.client import Source

BATCH = 125
"""Episodes in memory at once."""
TRUTH_TABLES = ("frames", "episodes", "segments", "events")


def _lerobot(out: Path, parts: Iterator[tuple[Any, Any]], fps: float, robot: str) -> None:
    from sima2.io.formats.lerobot_write import write_lerobot

    write_lerobot(out, parts, fps=fps, robot=robot)


def _mcap(out: Path, parts: Iterator[tuple[Any, Any]], fps: float, robot: str) -> None:
    """Messages have times and need no rate."""
    from sima2.io.formats.mcap_write import write_mcap

    write_mcap(out, parts, robot=robot)


def _robomimic(out: Path, parts: Iterator[tuple[Any, Any]], fps: float, robot: str) -> None:
    from sima2.io.formats.robomimic_write import write_robomimic

    write_robomimic(out / "demo.hdf5", parts, fps=fps, robot=robot)


WRITERS: Mapping[str, Callable[[Path, Iterator[tuple[Any, Any]], float, str], None]] = {
    "lerobot": _lerobot,
    "robomimic": _robomimic,
    "mcap": _mcap,
}
"""What writes a data set of each format."""


def command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the new data set; must be empty or new.")],
    source: options.Source = "auto",
    path: options.DataSet = None,
    column_map: options.ColumnMap = None,
    outcomes: options.Outcomes = None,
    mix: options.Mix = "hardening",
    families: options.Families = "",
    episodes: options.Episodes = None,
    seed: options.Seed = 0,
    form: Annotated[
        str, typer.Option("--format", metavar="F", help=f"Of the data set: {', '.join(WRITERS)}.")
    ] = "lerobot",
    as_json: options.Json = False,
) -> None:
    """Write made episodes as a data set, and their truth.

    The layout is LeRobot v3.0, robomimic's in one file demo.hdf5, or recordings of ROS 2 messages, a file an episode
    (mcap); what was meant goes to truth/ in the same folder, and no reader of the data set sees it.

    \b
    Examples:
      sima2 generate --families drawer_open --episodes 100 --out made
      sima2 generate --episodes 20 --format mcap --out recordings
      sima2 generate --episodes 100 --format robomimic --out made
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: is not empty; choose a new folder for --out")
    if form not in WRITERS:
        raise UnknownNameError("format", form, WRITERS)
    from sima2.orchestrator import named, open_source
    from sima2.pipeline import RunSettings

    settings = named(
        RunSettings(
            source=source,
            path=path,
            column_map=column_map,
            outcomes=outcomes,
            mix=mix,
            families=options.names(families),
            total=episodes,
            seed=seed,
        )
    )
    chosen = open_source(settings)
    with watched() as told:
        values = written(chosen, out, fps=settings.rate_hz, robot=settings.source, told=told, form=form)
    answer({"out": str(out), "seed": seed, **values}, as_json=as_json, shown=lambda: _rendered(out, values))
    if values["episodes"]["quarantined"]:
        raise typer.Exit(QUARANTINED)


def written(
    source: Source,
    out: Path,
    *,
    fps: float,
    robot: str,
    told: Callable[[str, int, int], None] | None = None,
    form: str = "lerobot",
) -> dict[str, Any]:
    """Write all episodes of a source, a batch at a time, and the truth where there is one."""
    write = WRITERS[form]
    frames = kept = 0
    reasons = Counter[str]()
    out.parent.mkdir(parents=True, exist_ok=True)
    # truth is gathered beside the folder: the writer wants its target for itself until the data set is whole
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-truth-") as folder:
        truth = Path(folder) / "truth"

        def parts() -> Iterator[tuple[Any, Any]]:
            nonlocal frames, kept
            for shard, start in enumerate(range(0, source.episodes, BATCH)):
                stop = min(start + BATCH, source.episodes)
                intake = source.read(start, stop)
                if intake.truth is not None:
                    _write_truth(truth, shard, intake.truth)
                reasons.update(intake.quarantine.reason)
                frames, kept = frames + intake.batch.frames, kept + len(intake.batch)
                yield intake.batch, intake.outcome
                if told:
                    told("generate", stop, source.episodes)

        write(out, parts(), fps, robot)
        if truth.exists():
            shutil.move(truth, out / "truth")
    return {
        "episodes": {"in": source.episodes, "ok": kept, "quarantined": source.episodes - kept},
        "quarantine": dict(reasons.most_common()),
        "frames": frames,
        "truth": (out / "truth").exists(),
    }


def _write_truth(folder: Path, shard: int, truth: Any) -> None:
    from sima2.io.arrow import write_table

    for name in TRUTH_TABLES:
        target = folder / name / f"shard-{shard:06d}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_table(target, getattr(truth, name))


def _rendered(out: Path, values: dict[str, Any]) -> Any:
    from sima2.report.terminal import listing
    from sima2.report.text import number

    episodes, left = values["episodes"], values["quarantine"]
    return listing(
        {
            "data set": out,
            "episodes": f"{number(episodes['ok'])} written, {number(episodes['quarantined'])} not fit to be written",
            **({"reasons": ", ".join(f"{n} {reason}" for reason, n in left.items())} if left else {}),
            "frames": number(values["frames"]),
            "truth": out / "truth" if values["truth"] else "none",
        }
    )
