"""Makes sets as people record them by teleoperation, with failures and defects whose truth is known.

Joints, a gripper and commands in LeRobot v2.1 layout; no force, no poses of objects, no outcomes.
The maker knows nothing of the detectors it judges: it imports numpy, pyarrow and the standard library only.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from sima2.bench.recordings_maker.faults import COPIES, IDLE_S, SIMULATED, Context, copy_of, file, kinds_of, plant
from sima2.bench.recordings_maker.follower import Session, Take, record, session
from sima2.bench.recordings_maker.layout import Filed, write_set
from sima2.bench.recordings_maker.operator import Story, perform, tell
from sima2.bench.recordings_maker.recipes import RECIPES, Recipe
from sima2.bench.recordings_maker.truth import ENDS, KINDS, Attempt, EpisodeTruth, Planted

__all__ = ["ENDS", "KINDS", "RECIPES", "Attempt", "EpisodeTruth", "Planted", "Recipe", "kinds_of", "make_set"]

FAILED: Final = 0.2
"""Usual share of failed episodes."""


@dataclass(frozen=True, slots=True)
class _Studio:
    """A set in the making."""

    recipe: Recipe
    seed: int
    days: tuple[Session, ...]
    first: int
    """Episode with which the second session starts."""
    failures: float

    def rng(self, *keys: int) -> np.random.Generator:
        """A generator of its own for each part, so that no part changes with another."""
        return np.random.default_rng([self.seed, zlib.crc32(self.recipe.name.encode()), *keys])

    def take(self, number: int, planted: str) -> Take:
        """Perform and record an episode."""
        rng = self.rng(1, number)
        day = self.days[int(number >= self.first)] if len(self.days) > 1 else self.days[0]
        task = int(rng.integers(len(self.recipe.tasks)))
        story = tell(rng, self.recipe, self.failures)
        if self.recipe.tasks[task].kind == "push":
            story = Story("gave_up" if story.failure else "", ())
        if self.recipe.tasks[task].kind == "lift" and story.failure == "holding":
            story = Story("missed", story.troubles)
        pace = day.pace * float(rng.lognormal(0, 0.12))
        idle = float(self.rng(2, number).uniform(*IDLE_S)) if planted in SIMULATED else 0.0
        pair = (idle, 0.0) if planted == "idle_start" else (0.0, idle)
        act = perform(rng, self.recipe, self.recipe.tasks[task], story, day.homes, pace, pair)
        take = record(rng, self.recipe, day, act, task)
        fps = self.recipe.fps
        take.calm = (round(pair[0] * fps), round(pair[1] * fps))
        return take


def make_set(
    folder: Path,
    recipe: Recipe,
    episodes: int,
    seed: int,
    planted: Mapping[str, int] | None = None,
    failures: float = FAILED,
) -> tuple[EpisodeTruth, ...]:
    """Write a set and return its truth, which is nowhere in the folder.

    Args:
        folder: new or empty.
        recipe: one of ``RECIPES``, or a changed one.
        episodes: how many.
        seed: the same seed makes the same set; a clean episode does not change with what is planted in others.
        planted: number of episodes with each kind of ``kinds_of(recipe)``; all others are clean.
        failures: chance that an episode fails.

    Returns:
        One truth an episode, in order.

    Raises:
        ValueError: if a kind does not fit the recipe, or there are too few episodes with room for the defects.
    """
    wanted = [kind for kind, count in (planted or {}).items() for _ in range(count)]
    unfit = sorted(set(wanted) - set(kinds_of(recipe)))
    if unfit:
        raise ValueError(f"{recipe.name}: cannot plant {', '.join(unfit)}")
    if len(wanted) + any(kind in COPIES for kind in wanted) > episodes:
        raise ValueError(f"{recipe.name}: {len(wanted)} defects in {episodes} episodes; ask for more episodes")
    rng = np.random.default_rng([seed, zlib.crc32(recipe.name.encode()), 0])
    days = tuple(session(rng, recipe, number) for number in range(recipe.sessions))
    first = round(episodes * rng.uniform(0.4, 0.65)) if recipe.sessions > 1 else episodes
    studio = _Studio(recipe, seed, days, first, failures)
    filed, marks = _plant(studio, episodes, wanted)
    write_set(folder, recipe, filed)
    return tuple(_truth(recipe, number, one, marks.get(number)) for number, one in enumerate(filed))


def _plant(studio: _Studio, episodes: int, wanted: list[str]) -> tuple[list[Filed], dict[int, Planted]]:
    recipe, rng = studio.recipe, studio.rng(3)
    filed = [file(recipe, studio.take(number, ""), studio.rng(6, number)) for number in range(episodes)]
    usual = np.concatenate([one.take.state for one in filed[:60]])
    span = np.quantile(usual, 0.99, axis=0) - np.quantile(usual, 0.01, axis=0)
    free = [int(number) for number in rng.permutation(episodes)]
    marks: dict[int, Planted] = {}
    for kind in [kind for kind in wanted if kind not in COPIES]:
        for number in free:
            context = Context(recipe, studio.rng(4, number, zlib.crc32(kind.encode())), span)
            one = filed[number]
            if kind in SIMULATED:
                one = file(recipe, studio.take(number, kind), studio.rng(6, number))
            mark = plant(kind, context, one)
            if mark is not None:
                filed[number], marks[number] = one, mark
                free.remove(number)
                break
        else:
            raise ValueError(f"{recipe.name}: no episode left with room for {kind}; ask for more episodes")
    copies = [kind for kind in wanted if kind in COPIES]
    targets, sources = free[: len(copies)], free[len(copies) :]
    for kind, number in zip(copies, targets):
        context = Context(recipe, studio.rng(5, number), span)
        source = int(context.rng.choice(sources))
        filed[number], marks[number] = copy_of(kind, context, filed[source], source)
    return filed, marks


def _truth(recipe: Recipe, number: int, filed: Filed, mark: Planted | None) -> EpisodeTruth:
    take = filed.take
    attempts = tuple(sorted(take.attempts, key=lambda attempt: attempt.start))
    told = (take.success != (mark is not None and mark.kind == "label_flipped")) if recipe.outcomes else None
    return EpisodeTruth(
        number,
        take.success,
        take.ends,
        attempts,
        sum(not before.held or before.lost_at is not None for before in attempts[:-1]),
        tuple(sorted(take.idle_closings)),
        () if mark is None else (mark,),
        recipe.tasks[take.task].text,
        told,
        take.session,
    )
