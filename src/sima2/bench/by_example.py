"""What twelve outcomes that were said tell of the other 48 of a set, and how often that is wrong.

Most sets are made at once (``postures``), so that there can be 200 of each kind; some are recordings as people make
them (``recordings_maker``), run as a user's are. Neither maker shares anything with what is judged.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from sima2.analytics.inferred_by_example import infer_by_example, said_outcomes
from sima2.bench.foreign import number, verdict
from sima2.bench.postures import CONTROLS, DIFFER, HARD, make
from sima2.bench.recordings_maker import RECIPES, Recipe, make_set
from sima2.records.arrays import Bools, Indices
from sima2.records.courses import PointTable
from sima2.records.episodes import EpisodeTable
from sima2.records.examples import ExampleTable
from sima2.records.table import Text
from sima2.records.vocabulary import OUTCOME_SOURCES

Progress = Callable[[str], None]

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


def run(*, episodes: int = SETS, seed: int = 0, progress: Progress = lambda _: None) -> dict[str, Any]:
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
            made = make(name, world, k, seed=seed, said=SAID)
            found = infer_by_example(made.episodes, made.points, made.looks, active=made.active)
            counts.append(counted(found, made.episodes, made.success))
        worlds[name] = {**figures(counts), "says": world.says}
    recorded = {}
    for recipe in (each for each in RECIPES if each.name in RUN):
        progress(recipe.name)
        draws = max(1, min(DRAWS, episodes))
        with tempfile.TemporaryDirectory() as work:
            told, by_chance = _recorded(Path(work), recipe, seed, draws)
        recorded[recipe.name] = {**figures(told), "says": "recorded and run"}
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


def _recorded(work: Path, recipe: Recipe, seed: int, draws: int) -> tuple[list[Count], list[Count]]:
    """Counts of draws of the twelve from one recorded set, and of the same with what is said handed out by chance."""
    from sima2.io.arrow import read_table
    from sima2.orchestrator import run_pipeline
    from sima2.pipeline import RunSettings

    truth = make_set(work / "set", replace(recipe, outcomes=False), RECORDED, seed)
    run_pipeline(RunSettings(path=work / "set", out=work / "out"))
    episodes = read_table(EpisodeTable, work / "out" / "episodes.parquet")
    points = PointTable.concat([read_table(PointTable, each) for each in sorted((work / "out" / "points").iterdir())])
    ended = {each.episode_index: each.success for each in truth}
    success = np.array([ended[each] for each in episodes.episode_index.tolist()])
    rng = np.random.default_rng([seed, 1])
    told: list[Count] = []
    by_chance: list[Count] = []
    for _ in range(draws):
        rows = rng.permutation(len(episodes))[:SAID]
        for counts, outcome in ((told, success), (by_chance, rng.permutation(success))):
            some = saying(episodes, rows, outcome)
            counts.append(counted(infer_by_example(some, points), some, outcome))
    return told, by_chance


def saying(episodes: EpisodeTable, rows: Indices, success: Bools) -> EpisodeTable:
    """The same in which the outcome of some episodes is said, and of all others inferred at most."""
    told, source = episodes.inferred_success.copy(), np.where(np.isnan(episodes.inferred_success), "none", "inferred")
    told[rows], source[rows] = success[rows], "recorded"
    return replace(episodes, success=told, outcome_source=Text.of(source.tolist(), OUTCOME_SOURCES))


def rows(values: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The figures as a table: what was aimed at over all, then kinds of sets, the most wrong first."""
    targets = values["targets"]
    out = []
    for name in ("answered, ends differ", "error, ends differ"):
        each = targets[name]
        out.append(
            (name, number(each["value"]), f"{each['sense']} {each['limit']:g}" + ("" if each["met"] else ": MISSED"))
        )
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
