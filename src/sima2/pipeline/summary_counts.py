"""What ``summary.json`` counts: episodes, defects, proposals, actions of the plan, tags, costs, statistics."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from sima2.records.arrays import Float64s
from sima2.records.defects import DefectTable
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.examples import ExampleTable
from sima2.records.knowledge import ProposalTable
from sima2.records.plan import ACTIONS
from sima2.records.table import Text
from sima2.records.tags import TagTable

if TYPE_CHECKING:
    from sima2.analytics.statistics import Statistic
    from sima2.pipeline.pass_two import Aggregates
    from sima2.sampling.plan import Plan


def example_counts(examples: ExampleTable) -> list[dict[str, Any]]:
    """What is told by example of each task, for the summary."""
    out = []
    for family, robot in sorted(set(zip(examples.family, examples.robot, strict=True))):
        task = examples.take(examples.family.isin(family) & examples.robot.isin(robot))
        open_ = task.take(task.said.isin(""))
        answer = tally(open_.answer)
        error = float(task.stated_error[0])
        out.append(
            {
                "family": family,
                "robot": robot,
                "said": len(task) - len(open_),
                **{name: answer.get(name, 0) for name in ("success", "failure", "unsure")},
                "stated_error": None if math.isnan(error) else round(error, 3),
                "confidence": round(float(task.confidence.max()), 3),
                "view": task.view[0],
            }
        )
    return out


def plan_counts(plan: Plan, episodes: EpisodeTable) -> dict[str, Any]:
    """How many episodes get each action, why, by which kind of knowledge, and how much of the frames is left out."""
    table, spans = plan
    whole = int(episodes.frames[table.weight == 0].sum())
    part = float(((spans.end_frame - spans.start_frame) * (1.0 - spans.weight)).sum())
    frames = int(episodes.frames.sum())

    def each(column: Text) -> dict[str, int]:
        counts = Counter(name for row in column for name in filter(None, row.split(",")))
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    return {
        "actions": {name: int(table.action.isin(name).sum()) for name in ACTIONS},
        "codes": each(table.codes),
        "moved_by": each(table.kind_of_knowledge),
        "frames_left_out": (whole + part) / frames if frames else 0.0,
        "even": bool((table.weight == 1).all() and not len(spans)),
    }


def defect_counts(defects: DefectTable) -> dict[str, dict[str, int]]:
    """Findings of each kind, and the episodes that have any, most frequent first."""
    counts = {}
    for kind, n in sorted(tally(defects.defect).items(), key=lambda item: (-item[1], item[0])):
        mine = defects.episode_index[defects.defect.isin(kind) & (defects.episode_index >= 0)]
        counts[kind] = {"findings": n, "episodes": len(np.unique(mine))}
    return counts


def proposal_counts(proposals: ProposalTable) -> dict[str, dict[str, int]]:
    """Proposals of each kind by status."""
    counts: dict[str, dict[str, int]] = {}
    for kind, status in zip(proposals.kind, proposals.status, strict=True):
        row = counts.setdefault(kind, {"accepted": 0, "refused": 0, "pending_trust": 0, "undone": 0})
        row[status] += 1
    return counts


def _tag_counts(tags: TagTable, thresholds: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Episodes in which each tag was assessed, and in which it was given."""
    out = {}
    for tag, threshold in thresholds.items():
        mine = tags.take(tags.tag.isin(tag))
        assessed = len(np.unique(mine.episode_id.codes[~np.isnan(mine.level)]))
        given = len(np.unique(mine.episode_id.codes[np.nan_to_num(mine.level) > threshold]))
        out[tag] = {
            "assessed": assessed,
            "fired": given,
            "share": given / assessed if assessed else None,
            "above": threshold,
        }
    return out


def _statistic(statistic: Statistic) -> dict[str, Any]:
    """A statistic as the summary tells it: within strata where that is known, else over all; both are kept."""
    raw = math.isnan(statistic.stratified)
    low, high = statistic.raw_interval if raw else statistic.stratified_interval
    note = "; ".join(part for part in (statistic.meaning, statistic.bias, f"target {statistic.target}") if part)
    return {
        **asdict(statistic),
        "value": statistic.raw if raw else statistic.stratified,
        "low": low,
        "high": high,
        "note": note,
    }


def _spread(values: Float64s) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    if not len(known):
        return {"n": 0, "mean": None, "median": None, "p90": None}
    return {
        "n": len(known),
        "mean": float(math.fsum(known.tolist()) / len(known)),
        "median": float(np.median(known)),
        "p90": float(np.quantile(known, 0.9)),
    }


def _in_words(counts: Mapping[str, int]) -> str:
    """``recorded``, or ``recorded 90, inferred 10`` where there are several."""
    if len(counts) < 2:
        return next(iter(counts), "none")
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def tally(column: Text) -> dict[str, int]:
    """How often each name occurs in a column; the empty one is not counted."""
    counts = np.bincount(column.codes, minlength=len(column.names)).tolist()
    return {name: count for name, count in zip(column.names, counts, strict=True) if count and name}


def run_counts(
    episodes: EpisodeTable, nominal_rule: str, aggregates: Aggregates, tags: TagTable, econ: EconTable
) -> dict[str, Any]:
    """Counts, costs and statistics of all episodes.

    Args:
        episodes: all.
        nominal_rule: by what reference episodes were chosen.
        aggregates: of all shards.
        tags: of all episodes.
        econ: the same.
    """
    from sima2.analytics.statistics import describe
    from sima2.tags.specs import TAGS, THRESHOLDS

    counted = aggregates.tally
    return {
        "frames": int(episodes.frames.sum()),
        "segments": counted.get("rows", {}).get("segments", 0),
        "primitives": counted.get("rows", {}).get("primitives", 0),
        "labels": counted.get("labels", {}),
        "segment_outcomes": counted.get("segment_outcomes", {}),
        "failure_reasons": counted.get("failure_reasons", {}),
        "episode_outcomes": {
            "success": int((episodes.success == 1).sum()),
            "failure": int((episodes.success == 0).sum()),
            "unknown": int(np.isnan(episodes.success).sum()),
            "source": _in_words(tally(episodes.outcome_source[~np.isnan(episodes.success)])),
        },
        "nominal": {"episodes": int(episodes.nominal.sum()), "rule": nominal_rule},
        "tags": _tag_counts(tags, THRESHOLDS),
        "costs": {name: _spread(getattr(econ, name)) for name in ("duration_s", "energy_wh", "damage", "mpl")},
        "statistics": [_statistic(each) for each in describe(aggregates.trust, TAGS).values()],
    }
