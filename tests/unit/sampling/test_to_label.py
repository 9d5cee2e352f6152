"""Which episodes to label first: half by lot, half where the inference is least sure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from finished_run import episodes_of
from sima2.records.episodes import EpisodeTable
from sima2.records.table import Text
from sima2.sampling.to_label import to_label


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
