"""``sima2 episodes``: which episodes failed, looked strange, recovered or were lucky."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sima2.cli import options
from sima2.cli.answer import answer
from sima2.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN = 50
"""Episodes listed for people; ``--json`` lists all."""
NO_OUTCOME = (
    "of no episode it is known how it ended, so none is known to have failed: give the outcomes (run --outcomes FILE "
    "--fresh), or record next.success or next.reward"
)


def command(
    out: options.Out,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that ended in failure.")] = False,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Only those of which it is not known how they ended.")
    ] = False,
    tag: Annotated[
        str, typer.Option("--tag", metavar="T", help="Only those with this tag, the highest level first.")
    ] = "",
    family: Annotated[str, typer.Option("--family", metavar="F", help="Only those of this task family.")] = "",
    as_json: options.Json = False,
) -> None:
    """List episodes: how each ended, what failed in it and why, and the tags it was given.

    A failure that is only inferred from the motion is listed too, and says so with its probability.

    \b
    Example:
      sima2 episodes results --failed
      sima2 episodes results --tag OODTag
    """
    if failed and unknown:
        raise UsageError("--failed and --unknown ask for different episodes: give one")
    rows = listed(out, ended=0.0 if failed else math.nan if unknown else None, tag=tag, family=family)
    note = ""
    if not rows and failed and not _any_outcome(out):
        note = NO_OUTCOME
    elif not rows and tag and not _assessed(out, tag):
        note = f"{tag} could be assessed in no episode, so none is known to have it: sima2 trust {out} says why"
    values = {"episodes": rows, **({"note": note} if note else {})}
    answer(values, as_json=as_json, shown=lambda: _rendered(rows, note), results=out)


def _any_outcome(out: Path) -> bool:
    """Whether it is known of any episode how it ended."""
    import numpy as np

    from sima2.records.episodes import EpisodeTable
    from sima2.report.inputs import read_single

    return bool(np.isfinite(read_single(out, EpisodeTable, "episodes").success).any())


def _assessed(out: Path, tag: str) -> bool:
    """Whether a tag could be assessed in any episode."""
    from sima2.report.inputs import read_summary

    return bool(read_summary(out).get("tags", {}).get(tag, {}).get("assessed"))


def listed(out: Path, *, ended: float | None = None, tag: str = "", family: str = "") -> list[dict[str, Any]]:
    """Episodes of a run as plain values, in the order of their source or, with ``tag``, by its level.

    Args:
        out: folder of a finished run.
        ended: only those whose success is this, as in ``EpisodeTable``; NaN for those of which it is not known.
        tag: only those with it.
        family: only those of it.

    Raises:
        UnknownNameError: for a tag or a family that the run does not know, naming those it does.
    """
    from sima2.io.store import Store
    from sima2.records.episodes import EpisodeTable
    from sima2.report.inputs import read_single, read_summary
    from sima2.shard_tables import SEGMENTS, TAG_ROWS
    from sima2.tags.specs import TAGS, THRESHOLDS

    if tag and tag not in TAGS:
        raise UnknownNameError("tag", tag, TAGS)
    Store.read_only(out).close()
    read_summary(out)  # there once a run has finished
    episodes = read_single(out, EpisodeTable, "episodes")
    if family and family not in set(episodes.family):
        raise UnknownNameError("family", family, sorted(set(episodes.family)))
    failures: dict[str, list[str]] = {}
    frames: dict[str, tuple[int, int]] = {}
    given: dict[str, dict[str, tuple[float, str]]] = {}
    with Store.read_only(out) as store:
        for segments in SEGMENTS.shards(store):
            lost = segments.take(segments.outcome.isin("failure", "retry"))
            for row in lost.rows():
                why = f" ({row['failure_reason']})" if row["failure_reason"] else ""
                failures.setdefault(row["episode_id"], []).append(f"{row['label']}{why}")
                span = (row["start_frame"], row["end_frame"])
                frames[row["episode_id"]] = max(frames.get(row["episode_id"], (0, 0)), span)
        for tags in TAG_ROWS.shards(store):
            for row in tags.rows():
                # comparing with NaN is false: what was not assessed was not given
                if row["level"] > THRESHOLDS[row["tag"]]:
                    mine = given.setdefault(row["episode_id"], {})
                    mine[row["tag"]] = max(mine.get(row["tag"], (0.0, "")), (row["level"], row["details"]))
    rows = []
    for each in episodes.rows():
        name = each["episode_id"]
        own = given.get(name, {})
        if ended is not None and not (each["success"] == ended or (math.isnan(ended) and math.isnan(each["success"]))):
            continue
        if (tag and tag not in own) or (family and each["family"] != family):
            continue
        rows.append(
            {
                "episode_index": each["episode_index"],
                "episode_id": name,
                "family": each["family"],
                "success": each["success"],
                "outcome_source": each["outcome_source"],
                "inferred_success": each["inferred_success"],
                "inferred_confidence": round(each["inferred_confidence"], 4),
                "inferred_end": each["inferred_end"],
                "failures": failures.get(name) or _how_it_ended(each),
                "failed_frames": frames.get(name),
                "tags": {key: level for key, (level, _) in own.items()},
                "because": own[tag][1] if tag else "",
                "worst_defect": each["worst_defect"],
            }
        )
    return sorted(rows, key=lambda row: -row["tags"][tag]) if tag else rows


def _how_it_ended(row: Mapping[str, Any]) -> list[str]:
    """How an episode ended that is inferred to have failed, though no segment did."""
    from sima2.report.first import ENDED

    inferred = row["success"] == 0 and row["outcome_source"] == "inferred"
    return [ENDED[row["inferred_end"]]] if inferred and row["inferred_end"] in ENDED else []


def _rendered(rows: Sequence[dict[str, Any]], note: str) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    from sima2.report.terminal import Fitting, grid, plain
    from sima2.report.text import number, visible

    if not rows:
        return plain(note or "no such episode")
    wide: list[Sequence[RenderableType]] = []
    narrow: list[RenderableType] = []
    for row in rows[:SHOWN]:
        ended, why, tags = _ended(row), _why(row), ", ".join(name.removesuffix("Tag") for name in row["tags"])
        wide.append((plain(row["episode_id"]), plain(ended), plain(why), plain(tags)))
        narrow.append(Text.assemble((visible(row["episode_id"]), "bold"), f"  {ended}"))
        narrow += [Padding(plain(part), (0, 0, 0, 2), expand=False) for part in (why, tags and f"tags: {tags}") if part]
    why = "because" if any(row["because"] for row in rows) else "failed steps"
    more = [plain(f"{number(len(rows) - SHOWN)} more: see --json")] if len(rows) > SHOWN else []
    return Group(Fitting(grid(("episode", "ended", why, "tags"), wide, whole=(0, 1)), Group(*narrow)), *more)


def _ended(row: dict[str, Any]) -> str:
    """How it ended, and how sure that is where it is only inferred."""
    from sima2.report.text import number

    told = {1.0: "success", 0.0: "failure"}.get(row["success"], "not known")
    if told == "not known" or row["outcome_source"] != "inferred":
        return told
    return f"{told} (inferred, {number(row['inferred_confidence'], 2)})"


def _why(row: dict[str, Any]) -> str:
    """Why it is listed: a tag's evidence, else the steps that failed and the frames of the last of them."""
    if row["because"] or not row["failures"]:
        return str(row["because"])
    steps = ", ".join(dict.fromkeys(each.replace("_", " ") for each in row["failures"]))
    if row["failed_frames"] is None:
        return steps
    start, end = row["failed_frames"]
    return f"{steps}; frames {start}–{end}"
