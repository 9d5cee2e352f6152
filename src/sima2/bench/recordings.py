"""What is told of recordings of joints, gripper and commands: grasps, retries and how episodes ended.

The recordings are made by ``recordings_maker``, which shares nothing with what it judges, and are read as a user's are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any, Final

import numpy as np

from sima2.bench.figures import Limit, Progress, Rows, number, quiet, ratio, told, verdict, words
from sima2.bench.recorded_sets import by_episode, inferred, made
from sima2.bench.recordings_maker import RECIPES, EpisodeTruth, Recipe
from sima2.client import Sima2Client
from sima2.errors import UsageError
from sima2.records.segments import Segment
from sima2.segmentation_engine import SegmentationEngine

EPISODES: Final = 40
"""Of each recipe."""
AROUND_S: Final = 0.3
"""A grasp and an attempt that lie no farther apart than that are about the same."""
TARGETS: Final[Mapping[str, Limit]] = {
    "grasp_precision": (0.95, "at least"),
    "grasp_recall": (0.95, "at least"),
    "grasp_unknown": (0.20, "at most"),
    "failed_precision": (0.95, "at least"),
    "failed_recall": (0.90, "at least"),
    "retry_precision": (0.95, "at least"),
    "retry_recall": (0.90, "at least"),
}
"""Of all recipes together, and of each in the table."""


Score = Counter[str]
"""Counts over episodes, by what is counted; sums of many are the counts of a recipe.

``attempts``, of which it is told rightly (``right``) or wrongly (``wrong``) whether something was held, or that are
seen and left open (``unsure``); ``invented`` grasps with an outcome where nothing was to be taken; ``idle`` closings;
``episodes``, of which ``failed``, and how many are told so (``told_…``) and rightly (``rightly_…``), or are left open.
"""


def run(
    *, episodes: int = EPISODES, seed: int = 0, progress: Progress = quiet, only: Sequence[str] = ()
) -> dict[str, Any]:
    """Figures of every recipe and of all together.

    Args:
        episodes: of each recipe.
        seed: of the recordings.
        progress: told the step under way.
        only: some recipes by name.

    Raises:
        UsageError: if a recipe is unknown.
    """
    known = {each.name: each for each in RECIPES}
    if wrong := sorted(set(only) - set(known)):
        raise UsageError(f"no recipe {wrong[0]!r}; there are {', '.join(known)}")
    scores, control = {}, Score()
    for name in only or known:
        progress(name)
        own, others = judged(known[name], episodes, seed)
        scores[name], control = reduce(add, own, Score()), reduce(add, others, control)
    found = figures(reduce(add, scores.values(), Score()))
    return {
        "seed": seed,
        "episodes": episodes,
        "recipes": {name: figures(score) for name, score in scores.items()},
        "all": found,
        "control": figures(control),
        "targets": {name: verdict(found[name], *TARGETS[name]) for name in TARGETS if not math.isnan(found[name])},
    }


def judged(recipe: Recipe, episodes: int, seed: int) -> tuple[list[Score], list[Score]]:
    """Scores of the episodes of one recipe, made, read and judged; and the same by the truth of another episode."""
    with made(recipe, episodes, seed) as (folder, truths):
        source = Sima2Client("dataset", path=folder).source()
        batch = source.read(0, source.episodes).batch
    table = SegmentationEngine().fit([batch]).segment(batch)
    names = batch.episodes.episode_id
    segments, said = by_episode(table, names), inferred(table, batch, batch.episodes.goal)
    place = {int(number): k for k, number in enumerate(batch.episodes.episode_index)}
    period = np.diff(batch.time[: batch.offset[1]]).mean() if batch.frames > 1 else 1.0
    known = [(truth, place[truth.episode_index]) for truth in truths if truth.episode_index in place]
    around = round(AROUND_S / period)

    def scored(shift: int) -> list[Score]:
        truths = [truth for truth, _ in known[shift:] + known[:shift]]
        return [_score(truth, segments[names[k]], said[k], around) for truth, (_, k) in zip(truths, known, strict=True)]

    return scored(0), scored(1)


def _score(truth: EpisodeTruth, segments: Sequence[Segment], success: float, around: int) -> Score:
    grasps = [each for each in segments if each.label == "grasp"]
    used: set[int] = set()
    counts = Score(attempts=len(truth.attempts), idle=len(truth.idle_closings), episodes=1)
    for attempt in truth.attempts:
        near = [
            k
            for k, each in enumerate(grasps)
            if each.start_frame < attempt.end + around and each.end_frame > attempt.start - around
        ]
        used.update(near)
        if near:
            outcome = grasps[near[-1]].outcome
            right = "right" if (outcome == "success") == attempt.held else "wrong"
            counts["unsure" if outcome == "unknown" else right] += 1
    counts["invented"] = sum(k not in used and each.outcome != "unknown" for k, each in enumerate(grasps))
    counts["left_open"] = int(math.isnan(success))
    for name, told_so, true in (
        ("failed", success == 0, not truth.success),
        ("succeeded", success == 1, truth.success),
        ("retried", any(each.outcome == "retry" for each in segments), truth.retries > 0),
    ):
        counts.update({name: true, f"told_{name}": told_so, f"rightly_{name}": told_so and true})
    return counts


def figures(score: Score) -> dict[str, float]:
    """Ratios of the counts, NaN where there is nothing to measure."""
    answered = score["right"] + score["wrong"]
    return {
        "attempts": score["attempts"],
        "idle_closings": score["idle"],
        "grasp_precision": ratio(score["right"], answered + score["invented"]),
        "grasp_recall": ratio(score["right"], score["attempts"] - score["unsure"]),
        "grasp_unknown": ratio(score["unsure"], score["attempts"]),
        "invented": score["invented"],
        "episodes": score["episodes"],
        "failed": score["failed"],
        "failed_precision": ratio(score["rightly_failed"], score["told_failed"]),
        "failed_recall": ratio(score["rightly_failed"], score["failed"]),
        "succeeded_precision": ratio(score["rightly_succeeded"], score["told_succeeded"]),
        "success_unknown": ratio(score["left_open"], score["episodes"]),
        "retried": score["retried"],
        "retry_precision": ratio(score["rightly_retried"], score["told_retried"]),
        "retry_recall": ratio(score["rightly_retried"], score["retried"]),
    }


def rows(values: Mapping[str, Any]) -> Rows:
    """The figures as a table: recipe, figures; the worst first, then all against the targets."""

    def line(row: Mapping[str, float]) -> str:
        return (
            f"grasps {number(row['grasp_precision'])} / {number(row['grasp_recall'])}, "
            f"unknown {number(row['grasp_unknown'])}; failed episodes {number(row['failed_precision'])} / "
            f"{number(row['failed_recall'])}, unknown {number(row['success_unknown'])}, successes right "
            f"{number(row['succeeded_precision'])}; "
            f"retries {number(row['retry_precision'])} / {number(row['retry_recall'])}"
        )

    def worst(row: Mapping[str, float]) -> float:
        return min((row[name] for name in TARGETS if "unknown" not in name and not math.isnan(row[name])), default=1.0)

    out = [
        (f"{name} ({row['attempts']} attempts)", f"precision / recall: {line(row)}", "")
        for name, row in sorted(values["recipes"].items(), key=lambda item: worst(item[1]))
    ]
    out.append(("all, by the truth of another episode (control)", f"precision / recall: {line(values['control'])}", ""))
    return out + [(words(name), number(each["value"]), told(each)) for name, each in values["targets"].items()]
