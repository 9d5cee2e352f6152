"""Outcomes of the episodes of a run by the example of those whose outcome was said."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from sima2.analytics.by_example import UNSURE, Answers, ByExample
from sima2.analytics.econ import brought
from sima2.analytics.econ_settings import EconSettings
from sima2.analytics.example_views import Pictures, views_of
from sima2.records.arrays import Bools, Float64s, Indices
from sima2.records.courses import PointTable
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.examples import ANSWERS, ExampleTable
from sima2.records.table import Text
from sima2.records.vocabulary import OUTCOME_SOURCES

Rows = Indices

NOT_SAID: Final = ("none", "inferred")
"""Sources of an outcome that nobody said."""
FEWEST: Final = 4
"""Fewer that were said hold no error (``mean_error(3, 0)`` is 0.105)."""
AGAINST: Final = 2
"""An inference of a kind that was wrong in so many of those said,"""
DOUBTED: Final = 0.5
"""… and in more than that share of them, tells nothing of the others of its task."""


def infer_by_example(
    episodes: EpisodeTable,
    points: PointTable,
    pictures: Pictures | None = None,
    *,
    active: Collection[str] = (),
    settings: ByExample | None = None,
) -> ExampleTable:
    """How the episodes of each task ended by the example of those whose outcome was said.

    Args:
        episodes: of a run; ``outcome_source`` tells of which of them an outcome was said (recorded, by a sensor, by a
            person). Those recorded for debugging are neither examples nor answered.
        points: how arms stand in them, of the same and of any others.
        pictures: what cameras show at their ends.
        active: names of episodes that were not chosen at random to be said; they count only where they speak against
            an answer. All others count as chosen at random.
        settings: of the answers.

    Returns:
        One row for each episode of the tasks in which both kinds were said, in the order of ``episodes``; the same in
        whatever order they come. Said ones that are no examples, where there are more than enough, have no margin.
    """
    settings = settings or ByExample()
    parts, order = [], [np.zeros(0, np.intp)]
    for rows in _tasks(episodes):
        if not _speaks(episodes.take(rows)):
            continue
        rows = rows[_by_content(episodes, points, rows)]
        task = episodes.take(rows)
        said = said_outcomes(task)
        # of thousands whose outcome is known, those that are no examples would only cost time
        at = settings.asked(said)
        asked = task.take(at)
        random = ~np.isin(asked.episode_id.decode(), list(active))
        found = settings.answer(views_of(asked, points, pictures), said[at], random)
        parts.append(_example_table(task, said, found.among(at, len(task))))
        order.append(rows)
    return ExampleTable.concat(parts).take(np.argsort(np.concatenate(order), kind="stable"))


def speaks_by_example(episodes: EpisodeTable) -> bool:
    """Whether enough was said of any task of a run to look for more of the same."""
    return any(_speaks(episodes.take(rows)) for rows in _tasks(episodes))


def _speaks(task: EpisodeTable) -> bool:
    said = said_outcomes(task)
    known = int(np.isfinite(said).sum())
    return FEWEST <= known < len(task) and bool((said == 0).any() and (said == 1).any())


def said_outcomes(episodes: EpisodeTable) -> Float64s:
    """1 success, 0 failure, NaN where nobody said it, shape (n,)."""
    return np.where(episodes.outcome_source.isin(*NOT_SAID), np.nan, episodes.success)


def with_examples(episodes: EpisodeTable, examples: ExampleTable) -> EpisodeTable:
    """Episodes with what examples tell where nobody said how they ended; all they tell is ``inferred``.

    A kind of suggestion of the segments that was wrong in most of those said of the task counts for nothing. Where an
    answer and what the segments suggest differ, it is not known; else what either of them tells counts, and where both
    do, with the larger confidence.
    """
    n = len(episodes)
    place = {name: row for row, name in enumerate(examples.episode_id)}
    at = np.array([place.get(name, -1) for name in episodes.episode_id], np.int64)
    open_ = episodes.outcome_source.isin(*NOT_SAID) & ~episodes.debug_mode
    told, sure = np.full(n, np.nan), np.zeros(n)
    if len(examples):
        answer = examples.answer.recode(ANSWERS)[at]
        told = np.where((at >= 0) & (answer > 0), answer - 1.0, np.nan)
        sure = examples.confidence[at]
    told[~open_] = np.nan
    doubted = _doubted(episodes, at >= 0) & open_
    suggested = np.where(doubted, np.nan, episodes.inferred_success)
    sure_of = np.where(np.isnan(suggested), 0.0, episodes.inferred_confidence)
    against = np.abs(told - suggested) == 1
    answered, dropped = np.isfinite(told) & ~against, against | (doubted & np.isnan(told))
    inferred = np.where(answered, told, np.where(dropped, np.nan, episodes.inferred_success))
    confidence = np.where(answered, np.maximum(sure, sure_of), np.where(dropped, 0.0, episodes.inferred_confidence))
    changed = answered | dropped
    source = episodes.outcome_source.recode(OUTCOME_SOURCES)
    code = {name: OUTCOME_SOURCES.index(name) for name in NOT_SAID}
    return replace(
        episodes,
        success=np.where(changed, inferred, episodes.success),
        outcome_source=Text(
            np.where(answered, code["inferred"], np.where(dropped, code["none"], source)), OUTCOME_SOURCES
        ),
        inferred_success=inferred,
        inferred_confidence=confidence.astype(np.float32),
    )


def costs_by_example(econ: EconTable, changed: EpisodeTable, settings: EconSettings | None = None) -> EconTable:
    """Costs with the outcomes of some episodes as they are told there; ``mpl`` and ``wage_parity`` are counted anew.

    ``resilience`` of what failed at a known time is 0; that of what turned out a success is not known.

    Args:
        econ: of the outcomes before.
        changed: episodes by name, others than those of ``econ`` are left aside.
        settings: prices, as ``econ`` was made with.
    """
    at, rows = _places(econ.episode_id, changed.episode_id)
    if not len(at):
        return econ
    success, source = econ.success.copy(), econ.outcome_source.recode(OUTCOME_SOURCES)
    success[at], source[at] = changed.success[rows], changed.outcome_source.recode(OUTCOME_SOURCES)[rows]
    mpl, wage_parity = brought(success, econ.duration_s, econ.energy_wh, econ.damage, settings or EconSettings())
    other = ~((success == econ.success) | (np.isnan(success) & np.isnan(econ.success)))
    resilience = np.where(np.isfinite(econ.resilience) & (success == 0), 0.0, np.where(other, np.nan, econ.resilience))
    return replace(
        econ,
        success=success,
        outcome_source=Text(source, OUTCOME_SOURCES),
        mpl=np.where(other, mpl, econ.mpl),
        wage_parity=np.where(other, wage_parity, econ.wage_parity),
        resilience=resilience,
    )


def episodes_by_example(episodes: EpisodeTable, changed: EpisodeTable) -> EpisodeTable:
    """Episodes (of a shard) with the outcomes of some as they are told in ``changed``, by name."""
    at, rows = _places(episodes.episode_id, changed.episode_id)
    if not len(at):
        return episodes
    columns = {}
    for name in ("success", "inferred_success", "inferred_confidence"):
        columns[name] = getattr(episodes, name).copy()
        columns[name][at] = getattr(changed, name)[rows]
    source = episodes.outcome_source.recode(OUTCOME_SOURCES)
    source[at] = changed.outcome_source.recode(OUTCOME_SOURCES)[rows]
    return replace(episodes, outcome_source=Text(source, OUTCOME_SOURCES), **columns)


def changed_by(before: EpisodeTable, after: EpisodeTable) -> EpisodeTable:
    """Rows of ``after`` whose outcome, said or inferred, is not as it was before."""
    same = before.outcome_source.recode(OUTCOME_SOURCES) == after.outcome_source.recode(OUTCOME_SOURCES)
    for name in ("success", "inferred_success", "inferred_confidence"):
        one, other = getattr(before, name), getattr(after, name)
        same &= (one == other) | (np.isnan(one) & np.isnan(other))
    return after.take(~same)


def _places(here: Text, told: Text) -> tuple[Rows, Rows]:
    """Places in ``here`` of those names of ``told`` that are there, and their rows in ``told``."""
    place = {name: i for i, name in enumerate(here)}
    at = np.array([place.get(name, -1) for name in told], np.intp)
    return at[at >= 0], np.flatnonzero(at >= 0)


def _doubted(episodes: EpisodeTable, where: Bools) -> Bools:
    """Episodes whose inferred outcome is of a kind that most of those said of their task contradict, shape (n,)."""
    out = np.zeros(len(episodes), np.bool_)
    said = said_outcomes(episodes)
    for rows in _tasks(episodes):
        rows = rows[where[rows]]
        for kind in (0.0, 1.0):
            mine = rows[episodes.inferred_success[rows] == kind]
            known = mine[np.isfinite(said[mine])]
            wrong = int((said[known] != kind).sum())
            if wrong >= AGAINST and wrong > DOUBTED * len(known):
                out[mine] = True
    return out


def _tasks(episodes: EpisodeTable) -> Iterator[Rows]:
    """Rows of each task (family and robot), debug ones left aside."""
    family, robot = (each.recode(sorted(each.names)) for each in (episodes.family, episodes.robot))
    usable = np.flatnonzero(~episodes.debug_mode)
    keys, of = np.unique(np.stack([family[usable], robot[usable]]), axis=1, return_inverse=True)
    for number in range(keys.shape[1]):
        yield usable[of.ravel() == number]


def _by_content(episodes: EpisodeTable, points: PointTable, rows: Rows) -> Rows:
    """Places of ``rows`` in an order that rests on what was recorded, so that no last bit changes with another."""
    keys: dict[str, list[bytes]] = {episodes.episode_id[row]: [] for row in rows}
    for row, name in enumerate(points.episode_id):
        if name in keys:
            keys[name].append(points.manipulator[row].encode() + points.state[row].tobytes())
    content = [(sorted(keys[episodes.episode_id[row]]), episodes.episode_id[row]) for row in rows]
    return np.array(sorted(range(len(rows)), key=content.__getitem__), np.intp)


def _example_table(task: EpisodeTable, said: Float64s, found: Answers) -> ExampleTable:
    n = len(task)
    names = np.array([*task.episode_id, ""], object)
    answered = bool((found.answer != UNSURE).any())
    return ExampleTable(
        episode_index=task.episode_index,
        episode_id=task.episode_id,
        family=task.family,
        robot=task.robot,
        said=Text.of("" if np.isnan(each) else ANSWERS[1 + int(each)] for each in said),
        answer=Text.of(
            ({0: ANSWERS[0], -1: ANSWERS[1], 1: ANSWERS[2]}[each] for each in found.answer.tolist()), ANSWERS
        ),
        margin=found.margin,
        p_success=found.p[:, 1],
        p_failure=found.p[:, 0],
        confidence=np.where(found.answer != UNSURE, found.confidence, 0.0),
        stated_error=np.full(n, found.stated_error),
        view=Text.full(n, found.view if answered else ""),
        like=Text.of(str(names[row]) if answered else "" for row in found.like.tolist()),
    )
