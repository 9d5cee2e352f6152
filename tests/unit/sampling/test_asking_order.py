"""Whom to look at next: half by lot, half where a label teaches; and it goes on as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from finished_run import episodes_of
from sima2.records.episodes import EpisodeTable
from sima2.records.table import Text
from sima2.sampling.to_label import Asked, asking_order, most_teaching, unsaid

NAN = float("nan")


def episodes(n: int) -> EpisodeTable:
    rng = np.random.default_rng(n)
    return replace(
        episodes_of([f"pick-{k:03d}" for k in range(n)]),
        outcome_source=Text.full(n, "inferred"),
        inferred_success=(rng.random(n) < 0.7).astype(float),
        inferred_confidence=rng.uniform(0.5, 0.99, n).astype(np.float32),
        duration_s=rng.uniform(5, 9, n),
    )


def order(table: EpisodeTable, open_: np.ndarray, n: int, said: tuple[int, int] = (0, 0), seed: int = 0) -> list[Asked]:
    teaching = most_teaching(table, open_, [], np.full(len(table), NAN))
    return asking_order(table, open_, teaching, n, said=said, seed=seed)


def test_lot_and_choice_take_turns_and_nobody_is_asked_twice() -> None:
    asked = order(episodes(60), np.ones(60, np.bool_), 12)
    assert [each.by for each in asked] == ["random", "active"] * 6
    assert len({each.row for each in asked}) == 12


def test_the_order_goes_on_as_it_was_when_labels_come_in() -> None:
    table, open_ = episodes(60), np.ones(60, np.bool_)
    whole = order(table, open_, 20)
    said = [0, 0]
    for k in range(8):
        open_[whole[k].row] = False
        said[whole[k].by == "active"] += 1
        assert order(table, open_, 20 - k - 1, (said[0], said[1])) == whole[k + 1 :]


def test_the_order_is_the_same_however_the_episodes_came_and_another_by_another_seed() -> None:
    table = episodes(40)
    shuffled = np.random.default_rng(1).permutation(40)

    def names(of: EpisodeTable, seed: int = 0) -> list[tuple[str, str]]:
        return [(of.episode_id[each.row], each.by) for each in order(of, np.ones(40, np.bool_), 14, seed=seed)]

    assert names(table) == names(table.take(shuffled))
    assert names(table)[::2] != names(table, 1)[::2]


def test_who_chose_for_long_is_given_the_lot_until_it_has_caught_up() -> None:
    asked = order(episodes(60), np.ones(60, np.bool_), 10, said=(1, 5))
    assert [each.by for each in asked] == [*["random"] * 5, *["active", "random"] * 2, "active"]


def test_what_is_contradicted_comes_first_then_doubt_and_middles_in_turns() -> None:
    table, open_ = episodes(50), np.ones(50, np.bool_)
    open_[3] = False
    teaching = most_teaching(table, open_, [(3, "recorded otherwise")], np.arange(50.0))
    assert teaching[0] == (3, "recorded otherwise")
    sure = table.inferred_confidence.copy()
    sure[3] = 1
    assert teaching[1][0] == int(np.argmin(sure))
    assert teaching[1][1].startswith("its outcome is inferred with 0.5")
    group = np.flatnonzero(table.inferred_success == (table.inferred_success.mean() > 0.5))
    assert teaching[2] == (group[-1], f"stands in the middle of {len(group)} that go alike")
    assert len({row for row, _ in teaching}) == len(teaching) == 50


@given(st.integers(0, 30), st.integers(0, 40), st.integers(0, 9), st.integers(0, 9), st.integers(0, 3))
def test_at_least_half_are_by_lot_as_long_as_there_are_any(n: int, wanted: int, a: int, b: int, seed: int) -> None:
    table = episodes(n)
    asked = order(table, unsaid(table), wanted, (a, b), seed)
    assert len(asked) == min(n, wanted)
    lot, choice = a, b
    for each in asked:
        assert each.by == "random" or lot > choice
        lot, choice = lot + (each.by == "random"), choice + (each.by == "active")
