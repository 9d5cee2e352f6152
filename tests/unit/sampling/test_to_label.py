"""Which episodes to label first: half by lot, half where the inference is least sure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from finished_run import episodes_of
from sima2.records.episodes import EpisodeTable
from sima2.records.table import Text
from sima2.sampling.to_label import to_label, to_label_for_tag


def episodes(n: int, sure: np.ndarray | None = None, source: str = "inferred") -> EpisodeTable:
    return replace(
        episodes_of([f"pick-{k:03d}" for k in range(n)]),
        outcome_source=Text.full(n, source),
        inferred_success=np.ones(n),
        inferred_confidence=(np.full(n, 0.9) if sure is None else sure).astype(np.float32),
    )


def test_half_are_drawn_by_lot_and_half_are_the_least_sure() -> None:
    sure = np.linspace(0.5, 0.99, 100)
    chosen = to_label(episodes(100, sure))
    active = [each.row for each in chosen if each.by == "active"]
    lots = [each.row for each in chosen if each.by == "random"]
    assert len(active) == len(lots) == 6
    assert max(active) < 6 + len([row for row in lots if row < 12])
    assert max(lots) > 30


def test_an_unknown_outcome_is_the_least_sure() -> None:
    table = episodes(50)
    inferred = table.inferred_success.copy()
    inferred[[7, 21, 33, 34, 35, 36]] = np.nan
    table = replace(table, inferred_success=inferred)
    chosen = {each.row for each in to_label(table)}
    assert {7, 21, 33, 34, 35, 36} <= chosen


def test_the_lot_is_the_same_in_any_order_and_another_with_another_seed() -> None:
    table = episodes(60)
    order = np.random.default_rng(0).permutation(60)

    def names(of: EpisodeTable, seed: int = 0) -> set[str]:
        return {of.episode_id[each.row] for each in to_label(of, seed=seed) if each.by == "random"}

    assert names(table) == names(table.take(order))
    assert names(table) != names(table, seed=1)


def test_nobody_is_asked_what_is_known_already() -> None:
    assert to_label(episodes(30, source="recorded")) == []
    assert to_label(replace(episodes(30), debug_mode=np.ones(30, np.bool_))) == []
    assert [each.row for each in to_label(episodes(5))] == [0, 1, 2, 3, 4]


def arms(n: int, every: int = 4) -> np.ndarray:
    return np.where(np.arange(n) % every == 0, 1, 0).astype(np.int8)


def test_for_a_tag_tagged_and_untagged_ones_of_the_same_strata_are_named() -> None:
    given = arms(120)
    strata = Text.of(["a"] * 60 + ["b"] * 40 + ["c"] * 20)
    given[100:] = 0  # nothing to compare with in c
    chosen = to_label_for_tag(episodes(120), given, strata, np.ones(120, np.bool_), (8, 8))
    tagged, untagged = ([each.row for each in chosen if each.tagged is side] for side in (True, False))
    assert len(tagged) == len(untagged) == 8
    assert (given[tagged] == 1).all()
    assert (given[untagged] == 0).all()
    assert max(tagged + untagged) < 100
    assert abs(sum(row < 60 for row in tagged) - sum(row < 60 for row in untagged)) <= 1


def test_half_of_each_arm_is_drawn_by_lot() -> None:
    chosen = to_label_for_tag(episodes(200), arms(200), Text.full(200, "a"), np.ones(200, np.bool_), (10, 10))
    for side in (True, False):
        assert sorted(each.by for each in chosen if each.tagged is side) == ["active"] * 5 + ["random"] * 5


def test_for_a_tag_too_nobody_is_asked_what_is_known_or_could_not_be_assessed() -> None:
    given, open_ = arms(40), np.arange(40) < 20
    given[:4] = -1
    chosen = to_label_for_tag(episodes(40), given, Text.full(40, "a"), open_, (99, 99))
    assert {each.row for each in chosen} == set(range(4, 20))
    assert to_label_for_tag(episodes(40), given, Text.full(40, "a"), open_ & False, (9, 9)) == []


def test_for_a_tag_the_choice_is_the_same_in_any_order() -> None:
    table, given = episodes(60), arms(60)
    order = np.random.default_rng(1).permutation(60)
    every = np.ones(60, np.bool_)

    def names(of: EpisodeTable, marks: np.ndarray) -> set[str]:
        chosen = to_label_for_tag(of, marks, Text.full(60, "a"), every, (6, 6))
        return {of.episode_id[each.row] for each in chosen if each.by == "random"}

    assert names(table, given) == names(table.take(order), given[order])
