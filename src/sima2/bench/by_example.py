"""What twelve outcomes that were said tell of the other 48 of a set, and how often that is wrong.

Most sets are made at once (``postures``), so that there can be 200 of each kind; some are recordings as people make
them (``recordings_maker``), run as a user's are. Neither maker shares anything with what is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from sima2.analytics.inferred_by_example import infer_by_example, said_outcomes
from sima2.bench.figures import Progress, Rows, number, quiet, told, verdict
from sima2.bench.postures import CONTROLS, DIFFER, HARD, make
from sima2.bench.recorded_sets import made
from sima2.bench.recordings_maker import RECIPES, Recipe
from sima2.records.arrays import Bools, Indices
from sima2.records.courses import PointTable
from sima2.records.episodes import EpisodeTable
from sima2.records.examples import ExampleTable
from sima2.records.table import Text
from sima2.records.vocabulary import OUTCOME_SOURCES

SETS: Final = 200
"""Of each kind."""
SAID: Final = 12
RECORDED: Final = 60
"""Episodes of a recorded set."""
DRAWS: Final = 20
"""Of the twelve that are said, of each recorded set."""
ERROR, ANSWERED, SILENT = 0.10, 0.60, 0.10
"""Aims: wrong among answered at most, answered at least, and at most where nothing can be known."""
RUN: Final = ("so101_cube", "koch_bricks", "panda_states", "xarm_push")
"""Recipes that are recorded and run: one with a retry habit, one with two tasks, one of states alone, one of pushes."""


class Count(NamedTuple):
    """One set: episodes of which nothing was said, those answered, wrongly, as failures, and those wrongly."""

    open_: int
    answered: int
    wrong: int
    failures: int
    false_failures: int
    stated: float


def run(*, episodes: int = SETS, seed: int = 0, progress: Progress = quiet) -> dict[str, Any]:
    """Figures of every kind of set.

    Args:
        episodes: sets of each kind.
        seed: of the makers.
        progress: told the step under way.

    Returns:
        ``worlds``: of each kind of made set, and ``recorded``: of each recipe and of the same with what is said handed
        out by chance, ``answered`` (mean share), ``error`` (mean over sets of the share of wrong answers, 0 where
        nothing is answered), ``pooled`` (wrong of all answered), ``over`` (of sets with
        answers, the share that has more wrong than stated),
        ``worst`` (95th percentile of the share over sets), ``silent`` (share of sets with no answer), ``failures`` and
        ``false_failures`` (answers); and ``targets``.
    """
    worlds = {}
    for name, world in {**DIFFER, **HARD, **CONTROLS}.items():
        progress(name)
        counts = []
        for k in range(episodes):
            one = make(name, world, k, seed=seed, said=SAID)
            found = infer_by_example(one.episodes, one.points, one.looks, active=one.active)
            counts.append(counted(found, one.episodes, one.success))
        worlds[name] = {**figures(counts), "says": world.says}
    recorded = {}
    for recipe in (each for each in RECIPES if each.name in RUN):
        progress(recipe.name)
        draws = max(1, min(DRAWS, episodes))
        right, by_chance = _recorded(recipe, seed, draws)
        recorded[recipe.name] = {**figures(right), "says": "recorded and run"}
        recorded[f"{recipe.name}, shuffled"] = {**figures(by_chance), "says": "recorded and run; said of others"}
    return {
        "seed": seed,
        "episodes": episodes,
        "worlds": worlds,
        "recorded": recorded,
        "targets": _targets(worlds, recorded),
    }


def _targets(worlds: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    differ = [worlds[name] for name in DIFFER]
    targets = {
        "answered, ends differ": verdict(float(np.mean([each["answered"] for each in differ])), ANSWERED, "at least"),
        "error, ends differ": verdict(float(np.mean([each["error"] for each in differ])), ERROR, "at most"),
    }
    for name, each in {**worlds, **recorded}.items():
        targets[f"{name}: error"] = verdict(each["error"], ERROR, "at most")
    for name in CONTROLS:
        targets[f"{name}: answered"] = verdict(worlds[name]["answered"], SILENT, "at most")
    return targets


def counted(found: ExampleTable, episodes: EpisodeTable, success: Bools) -> Count:
    """How right the answers on one set are, of episodes of which nothing was said."""
    truth = dict(zip(episodes.episode_id, success.tolist(), strict=True))
    open_ = found.take(found.said.isin("") & ~found.answer.isin("unsure"))
    answer = open_.answer.isin("success")
    right = answer == np.array([truth[name] for name in open_.episode_id], np.bool_)
    return Count(
        int(np.isnan(said_outcomes(episodes)).sum()),
        len(open_),
        int((~right).sum()),
        int((~answer).sum()),
        int((~answer & ~right).sum()),
        float(open_.stated_error[0]) if len(open_) else np.nan,
    )


def figures(counts: Iterable[Count]) -> dict[str, Any]:
    """Means over sets.

    >>> some = figures([Count(48, 40, 4, 8, 1, 0.05), Count(48, 0, 0, 0, 0, float("nan"))])
    >>> some["error"], some["pooled"], some["silent"], some["over"]
    (0.05, 0.1, 0.5, 1.0)
    """
    table = np.array(list(counts), np.float64)
    open_, answered, wrong, failures, false, stated = table.T
    share = wrong / np.maximum(answered, 1)
    some = answered > 0
    return {
        "answered": float((answered / open_).mean()),
        "error": float(share.mean()),
        "pooled": float(wrong.sum() / max(answered.sum(), 1)),
        "over": float((share[some] > stated[some]).mean()) if some.any() else 0.0,
        "worst": float(np.quantile(share, 0.95)),
        "silent": float((~some).mean()),
        "failures": int(failures.sum()),
        "false_failures": int(false.sum()),
    }


def _recorded(recipe: Recipe, seed: int, draws: int) -> tuple[list[Count], list[Count]]:
    """Counts of draws of the twelve from one recorded set, and of the same with what is said handed out by chance."""
    from sima2.io.arrow import read_table
    from sima2.orchestrator import run_pipeline
    from sima2.pipeline import RunSettings

    with made(replace(recipe, outcomes=False), RECORDED, seed) as (folder, truth):
        out = folder.with_name("out")
        run_pipeline(RunSettings(path=folder, out=out))
        episodes = read_table(EpisodeTable, out / "episodes.parquet")
        points = PointTable.concat([read_table(PointTable, each) for each in sorted((out / "points").iterdir())])
    ended = {each.episode_index: each.success for each in truth}
    success = np.array([ended[each] for each in episodes.episode_index.tolist()])
    rng = np.random.default_rng([seed, 1])
    counts: tuple[list[Count], list[Count]] = ([], [])
    for _ in range(draws):
        rows = rng.permutation(len(episodes))[:SAID]
        for mine, outcome in zip(counts, (success, rng.permutation(success)), strict=True):
            some = saying(episodes, rows, outcome)
            mine.append(counted(infer_by_example(some, points), some, outcome))
    return counts


def saying(episodes: EpisodeTable, rows: Indices, success: Bools) -> EpisodeTable:
    """The same in which the outcome of some episodes is said, and of all others inferred at most."""
    said, source = episodes.inferred_success.copy(), np.where(np.isnan(episodes.inferred_success), "none", "inferred")
    said[rows], source[rows] = success[rows], "recorded"
    return replace(episodes, success=said, outcome_source=Text.of(source.tolist(), OUTCOME_SOURCES))


def rows(values: Mapping[str, Any]) -> Rows:
    """The figures as a table: what was aimed at over all, then kinds of sets, the most wrong first."""
    targets = values["targets"]
    out = []
    for name in ("answered, ends differ", "error, ends differ"):
        out.append((name, number(targets[name]["value"]), told(targets[name])))
    every = {**values["worlds"], **values["recorded"]}
    for name, each in sorted(every.items(), key=lambda item: (-item[1]["error"], item[1]["answered"])):
        line = (
            f"wrong {number(each['error'])} (95 % of sets to {number(each['worst'])}, of all answers "
            f"{number(each['pooled'])}); answered {number(each['answered'])}, none in {number(each['silent'])}; "
            f"more than stated in {number(each['over'])} of sets with answers; "
            f"failures {each['failures']}, {each['false_failures']} wrongly"
        )
        missed = [key for key in (f"{name}: error", f"{name}: answered") if key in targets and not targets[key]["met"]]
        out.append((f"{name}: {each['says']}", line, f"wrong at most {ERROR:g}" + (": MISSED" if missed else "")))
    return out
