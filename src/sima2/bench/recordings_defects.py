"""How well planted defects of recordings are found, and how often clean ones are accused.

The recordings are made by ``recordings_maker``, which shares nothing with what it judges, and are read as a user's are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from sima2.bench.figures import Progress, Rows, number, quiet, ratio, told, verdict, words
from sima2.bench.recorded_sets import clean as no_defects
from sima2.bench.recorded_sets import made
from sima2.bench.recordings_maker import KINDS, RECIPES, Recipe, kinds_of
from sima2.client import Sima2Client
from sima2.defects.inspector import DefectInspector
from sima2.defects.judge import DefectJudge
from sima2.knowledge.support import upper_bound
from sima2.records.defects import DefectTable, EpisodeMeasures

EPISODES: Final = 90
"""Of each set."""
RECALL: Final = 0.9
FALSE: Final = 0.01
"""Aims: of each kind, and of clean episodes, with the upper end of the interval."""
BATCH: Final = 16
"""Episodes read at once, as a run does."""
EACH: Final = 2
"""Episodes of a set that are given each kind of defect."""
OTHERWISE: Final = {
    "clipped": "clipped_channel",
    "leader_offset": "command_offset",
    "duplicate": "near_duplicate",
    "timestamp_jitter": "irregular_clock",
    "wrong_fps": "rate_change",
    "flipped_gripper": "mixed_polarity",
    "nan_burst": "missing_samples",
    "idle_start": "idle",
    "idle_end": "idle",
    "wrong_task": "task_mismatch",
}
TOLD_AS: Final = {kind: OTHERWISE.get(kind, kind) for kind in KINDS if kind != "label_flipped"}
"""What each planted kind is called where it is found; a label that was flipped is no defect of the signals."""
NO_DEFECT: Final = "repeated_grasp"
"""What a person did, not what is wrong with the data: on clean episodes it is no false alarm."""


class Planted(Protocol):
    """A defect that was planted, as the maker tells it."""

    @property
    def kind(self) -> str: ...

    @property
    def of(self) -> int | None: ...


class Truth(Protocol):
    """What is known of an episode, as the maker tells it."""

    @property
    def episode_index(self) -> int: ...

    @property
    def planted(self) -> Sequence[Planted]: ...


def run(*, episodes: int = EPISODES, seed: int = 0, progress: Progress = quiet) -> dict[str, Any]:
    """Make a set of each recipe with and one without defects, look at all of them, and compare with the truth.

    Args:
        episodes: of each set; at least three for each planted defect.
        seed: of the maker.
        progress: told the step under way.

    Returns:
        ``kinds``: by planted kind the number found, planted, and of each recipe; ``clean``: by recipe clean episodes
        and those with a false finding; ``false``: false findings by kind; ``upper``: the 95 % Clopper–Pearson bound on
        the share of clean episodes with one; ``worst``: kinds by recall, the worst first; ``targets``.
    """
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    clean: dict[str, list[int]] = {}
    false: Counter[str] = Counter()
    for recipe in RECIPES:
        progress(recipe.name)
        clean[recipe.name] = [0, 0]
        for wanted in (no_defects, with_defects):
            with made(recipe, episodes, seed, wanted) as (folder, truth):
                told_of = inspected(folder)
            for kind, hit in recalled(truth, told_of):
                found[kind][recipe.name][0] += hit
                found[kind][recipe.name][1] += 1
            accused, looked = accusations(truth, told_of)
            clean[recipe.name][0] += len({episode for episode, _ in accused})
            clean[recipe.name][1] += looked
            false.update(kind for _, kind in accused)
    values = summed(found, clean, false)
    recall = {f"{kind}: recall": verdict(each["recall"], RECALL, "at least") for kind, each in values["kinds"].items()}
    bound = verdict(values["upper"], FALSE, "at most")
    return {"seed": seed, "episodes": episodes, **values, "targets": {**recall, "clean episodes accused": bound}}


def with_defects(recipe: Recipe, each: int = EACH) -> dict[str, int]:
    """So many episodes with every kind that is to be found."""
    return {kind: each for kind in kinds_of(recipe) if kind in TOLD_AS}


def rows(values: Mapping[str, Any]) -> Rows:
    """The figures as a table: each kind, the worst first, then clean episodes by recipe, the worst first."""
    out = []
    for kind in values["worst"]:
        each, target = values["kinds"][kind], values["targets"][f"{kind}: recall"]
        lost = ", ".join(name for name, (hit, all_) in each["recipes"].items() if hit < all_)
        line = f"{each['found']} of {each['planted']}" + (f"; missed in {lost}" if lost else "")
        out.append((words(kind), line, told(target)))
    clean = sorted(values["clean"].items(), key=lambda item: -item[1][0] / max(item[1][1], 1))
    for name, (wrong, looked) in clean:
        if wrong:
            out.append((f"clean episodes of {name} accused", f"{wrong} of {looked}", ""))
    of = ", ".join(f"{kind} {count}" for kind, count in sorted(values["false"].items(), key=lambda item: -item[1]))
    line = f"{values['clean_false']} of {values['clean_episodes']}, at most {number(values['upper'])} ({of})"
    out.append(("clean episodes accused", line, told(values["targets"]["clean episodes accused"])))
    return out


def inspected(folder: Path) -> DefectTable:
    """All findings of a recorded set, by the way that a run takes: import, inspector, judge."""
    source = Sima2Client(backend="dataset", path=folder).source()
    seen = [
        DefectInspector().inspect(source.read(start, min(start + BATCH, source.episodes)).batch)
        for start in range(0, source.episodes, BATCH)
    ]
    defects = DefectTable.concat([each.defects for each in seen])
    return DefectJudge().judge(defects, EpisodeMeasures.concat([each.measures for each in seen]))


def recalled(truth: Iterable[Truth], told: DefectTable) -> list[tuple[str, bool]]:
    """Each planted kind, and whether it was told of its episode (of a copy: of either of the two)."""
    kinds = _by_episode(told)
    out = []
    for each in truth:
        for planted in each.planted:
            if planted.kind in TOLD_AS:
                of = kinds[each.episode_index] | (kinds[planted.of] if planted.of is not None else set())
                out.append((planted.kind, TOLD_AS[planted.kind] in of))
    return out


def accusations(truth: Sequence[Truth], told: DefectTable) -> tuple[list[tuple[int, str]], int]:
    """Clean episodes with what was told of them, and how many clean episodes there are."""
    copied = {planted.of for each in truth for planted in each.planted}
    clean = [each.episode_index for each in truth if not each.planted and each.episode_index not in copied]
    kinds = _by_episode(told)
    return [(episode, kind) for episode in clean for kind in sorted(kinds[episode] - {NO_DEFECT})], len(clean)


def _by_episode(told: DefectTable) -> dict[int, set[str]]:
    kinds: dict[int, set[str]] = defaultdict(set)
    for episode, kind in zip(told.episode_index.tolist(), told.defect, strict=True):
        kinds[episode].add(kind)
    return kinds


def summed(
    found: Mapping[str, Mapping[str, Sequence[int]]], clean: Mapping[str, Sequence[int]], false: Mapping[str, int]
) -> dict[str, Any]:
    """The counts of all recipes together.

    >>> whole = summed({"truncated": {"a": [1, 2], "b": [2, 2]}}, {"a": [0, 50], "b": [1, 50]}, {"idle": 1})
    >>> whole["kinds"]["truncated"]["recall"], whole["clean_false"], round(whole["upper"], 3)
    (0.75, 1, 0.047)
    """
    kinds: dict[str, Any] = {}
    for kind, recipes in found.items():
        hit, all_ = (sum(each[k] for each in recipes.values()) for k in (0, 1))
        kinds[kind] = {
            "found": hit,
            "planted": all_,
            "recall": ratio(hit, all_),
            "recipes": {name: list(each) for name, each in recipes.items()},
        }
    wrong, looked = (sum(each[k] for each in clean.values()) for k in (0, 1))
    return {
        "kinds": kinds,
        "worst": sorted(kinds, key=lambda kind: (kinds[kind]["recall"], kind)),
        "clean": {name: list(each) for name, each in clean.items()},
        "clean_false": wrong,
        "clean_episodes": looked,
        "upper": float(upper_bound(wrong, looked)),
        "false": dict(false),
    }
