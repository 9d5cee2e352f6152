"""What the plan does with planted trouble, with episodes that failed, and with those in which nothing is wrong.

The recordings are made by ``recordings_maker``, which shares nothing with what it judges, and are run as a user's are:
without a map and without outcomes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sima2.bench.figures import Progress, Rows, number, quiet, told, verdict, words
from sima2.bench.recorded_sets import made
from sima2.bench.recordings_defects import EPISODES, with_defects
from sima2.bench.recordings_maker import RECIPES, EpisodeTruth
from sima2.records.plan import TrainingPlan

CAUGHT: Final = 0.9
"""Aim: share of the planted episodes of each kind that are not kept as they are."""
SPARED: Final = 0.02
"""Aim: share of the clean ones that are not."""
PUT_ASIDE: Final = ("drop", "not_read")
ACTIONS: Final = ("keep", "trim", "review", "drop")


def run(*, episodes: int = EPISODES, seed: int = 0, progress: Progress = quiet) -> dict[str, Any]:
    """Make a set of each recipe with all its kinds of defect, plan it, and hold the plan against the truth.

    Args:
        episodes: of each set; at least three for each planted defect.
        seed: of the maker.
        progress: told the step under way.

    Returns:
        ``kinds``: planted kind → count of each action; ``failed``, ``retried`` and ``clean``: the same of episodes that
        failed, that tried again and succeeded, and of those in which nothing is wrong; ``why``: codes of the clean ones
        that are not kept; ``caught``, ``spared`` and ``targets``.
    """
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    others: dict[str, Counter[str]] = {"failed": Counter(), "retried": Counter(), "clean": Counter()}
    why: Counter[str] = Counter()
    for recipe in RECIPES:
        progress(recipe.name)
        with made(recipe, episodes, seed, with_defects) as (folder, truth):
            plan = planned(folder, folder.with_name("out"))
        actions = dict(zip(plan.episode_index.tolist(), zip(plan.action, plan.codes, strict=True), strict=True))
        copied = {planted.of for each in truth for planted in each.planted}
        for each in truth:
            action, codes = actions.get(each.episode_index, PUT_ASIDE)
            if each.planted and each.planted[0].of is not None and action == "keep":
                # of two that are the same either may be the one that stays
                action, codes = actions.get(each.planted[0].of, PUT_ASIDE)
            kind = kind_of(each, copied)
            if each.planted:
                kinds[kind][action] += 1
            elif kind:
                others[kind][action] += 1
                if kind == "clean" and action != "keep":
                    why.update(codes.split(","))
    return {"seed": seed, "episodes": episodes, **summed(kinds, others), "why": dict(why.most_common())}


def planned(folder: Path, out: Path) -> TrainingPlan:
    """The plan of a recorded set, as a run leaves it."""
    from sima2.io.arrow import read_table
    from sima2.orchestrator import run_pipeline
    from sima2.pipeline import RunSettings

    run_pipeline(RunSettings(path=folder, out=out))
    return read_table(TrainingPlan, out / "plan.parquet")


def kind_of(truth: EpisodeTruth, copied: set[int | None]) -> str:
    """What was planted, else how the episode went; empty for the original of a copy."""
    if truth.planted:
        return truth.planted[0].kind
    if truth.episode_index in copied:
        return ""
    if not truth.success:
        return "failed"
    return "retried" if truth.retries else "clean"


def summed(kinds: Mapping[str, Mapping[str, int]], others: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """The counts with the shares that are not kept, worst kind first.

    >>> some = summed({"idle_start": {"trim": 3, "keep": 1}}, {"clean": {"keep": 50}})
    >>> some["caught"], some["spared"]
    ({'idle_start': 0.75}, 0.0)
    """

    def off(counts: Mapping[str, int]) -> float:
        total = sum(counts.values())
        return 1.0 - counts.get("keep", 0) / total if total else float("nan")

    caught = dict(sorted(((kind, off(counts)) for kind, counts in kinds.items()), key=lambda item: item[1]))
    spared = off(others.get("clean", {}))
    targets = {f"{kind}: not kept": verdict(share, CAUGHT, "at least") for kind, share in caught.items()}
    return {
        "kinds": {kind: dict(counts) for kind, counts in kinds.items()},
        **{name: dict(counts) for name, counts in others.items()},
        "caught": caught,
        "spared": spared,
        "targets": {**targets, "clean episodes not kept": verdict(spared, SPARED, "at most")},
    }


def rows(values: Mapping[str, Any]) -> Rows:
    """The figures as a table: planted kinds, the worst first, then how episodes went."""

    def counted(counts: Mapping[str, int]) -> str:
        return ", ".join(f"{name} {counts[name]}" for name in ACTIONS if counts.get(name))

    out = []
    for kind, share in values["caught"].items():
        line = f"{number(share)} not kept ({counted(values['kinds'][kind])})"
        out.append((words(kind), line, told(values["targets"][f"{kind}: not kept"])))
    for name in ("failed", "retried"):
        out.append((f"{name}, nothing planted", counted(values[name]), ""))
    why = ", ".join(f"{code} {count}" for code, count in values["why"].items())
    line = f"{number(values['spared'])} not kept ({counted(values['clean'])}{'; ' + why if why else ''})"
    out.append(("clean", line, told(values["targets"]["clean episodes not kept"])))
    return out
