"""Outcomes of a run's episodes by example: whose, from what, and what they never touch."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sima2.analytics.inferred_by_example import (
    changed_by,
    costs_by_example,
    episodes_by_example,
    infer_by_example,
    speaks_by_example,
    with_examples,
)
from sima2.bench.postures import CONTROLS, DIFFER, HARD, Made, make
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.examples import ExampleTable
from sima2.records.table import Text
from sima2.records.video import LastFrameTable

APART = make("apart", DIFFER["apart"], 0)


def by_name(table: ExampleTable) -> dict[str, dict[str, object]]:
    return {row["episode_id"]: row for row in table.rows()}


def told(made: Made) -> ExampleTable:
    return infer_by_example(made.episodes, made.points, made.looks, active=made.active)


def bytes_of(table: ExampleTable) -> list[object]:
    return [value.tolist() if isinstance(value, Text) else value.tobytes() for value in vars(table).values()]


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_no_order_of_episodes_changes_a_byte(seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(60)
    mixed = infer_by_example(APART.episodes.take(order), APART.points.take(rng.permutation(60)), APART.looks)
    assert bytes_of(mixed) == bytes_of(infer_by_example(APART.episodes, APART.points, APART.looks).take(order))


def test_the_same_input_is_told_the_same_twice() -> None:
    assert bytes_of(told(APART)) == bytes_of(told(APART))


def test_other_names_change_nothing_but_names() -> None:
    names = Text.of(f"other {99 - i}" for i in range(60))
    mine = infer_by_example(replace(APART.episodes, episode_id=names), replace(APART.points, episode_id=names), None)
    was = infer_by_example(APART.episodes, APART.points, None)
    assert mine.answer.tolist() == was.answer.tolist()
    assert mine.margin.tobytes() == was.margin.tobytes()


def test_a_task_of_another_robot_neither_helps_nor_hinders() -> None:
    other = make("same", CONTROLS["same"], 3)
    robot = Text.full(60, "other")
    both = infer_by_example(
        EpisodeTable.concat([replace(other.episodes, robot=robot), APART.episodes]),
        type(APART.points).concat([replace(other.points, robot=robot), APART.points]),
    )
    alone = infer_by_example(APART.episodes, APART.points)
    assert bytes_of(both.take(np.arange(60, 120))) == bytes_of(alone)


@pytest.mark.parametrize("name", [*DIFFER, "picture", "place"])
def test_what_is_answered_is_nearly_always_right(name: str) -> None:
    answered = wrong = 0
    for number in range(8):
        made = make(name, {**DIFFER, **HARD}[name], number)
        found = told(made)
        open_ = found.said.isin("") & ~found.answer.isin("unsure")
        answered += int(open_.sum())
        wrong += int((found.answer.isin("success") != made.success)[open_].sum())
    assert answered > 100
    assert wrong <= 0.1 * answered


def test_answers_are_inferred_and_what_was_said_stays() -> None:
    before, found = APART.episodes, told(APART)
    after = with_examples(before, found)
    said = before.outcome_source.isin("recorded")
    for name in ("success", "inferred_success", "inferred_confidence"):
        np.testing.assert_array_equal(getattr(after, name)[said], getattr(before, name)[said])
    assert after.outcome_source.isin("recorded").tolist() == said.tolist()
    new = ~said & np.isfinite(after.success)
    assert new.any()
    assert after.outcome_source[new].isin("inferred").all()
    assert (after.success[new] == after.inferred_success[new]).all()
    assert after.inferred_confidence[new].max() < 0.95


def test_what_a_person_says_is_an_example_whatever_the_vocabulary_holds() -> None:
    names = ["person" if each == "recorded" else each for each in APART.episodes.outcome_source]
    person = replace(APART.episodes, outcome_source=Text.of(names))
    assert bytes_of(infer_by_example(person, APART.points)) == bytes_of(infer_by_example(APART.episodes, APART.points))


def test_debug_episodes_are_no_examples_and_are_not_answered() -> None:
    debug = np.zeros(60, np.bool_)
    debug[[int(APART.said[0]), 7]] = True
    found = infer_by_example(replace(APART.episodes, debug_mode=debug), APART.points)
    assert len(found) == 58
    after = with_examples(replace(APART.episodes, debug_mode=debug), found)
    np.testing.assert_array_equal(after.success[debug], APART.episodes.success[debug])


@pytest.mark.parametrize(
    "keep",
    [
        pytest.param(lambda made: made.success, id="only successes"),
        pytest.param(lambda made: np.isin(np.arange(60), made.said[:3]), id="three"),
    ],
)
def test_too_little_said_leaves_all_as_it_was(keep) -> None:  # type: ignore[no-untyped-def]
    some = keep(APART) & np.isfinite(APART.episodes.success)
    source = Text.of("recorded" if each else "none" for each in some)
    few = replace(APART.episodes, success=np.where(some, APART.episodes.success, np.nan), outcome_source=source)
    assert not speaks_by_example(few)
    found = infer_by_example(few, APART.points)
    assert len(found) == 0
    assert len(changed_by(few, with_examples(few, found))) == 0


def test_nothing_is_looked_for_where_all_was_said() -> None:
    all_ = replace(APART.episodes, success=APART.success * 1.0, outcome_source=Text.full(60, "recorded"))
    assert not speaks_by_example(all_)


def inferred(made: Made, value: float) -> EpisodeTable:
    """All inferred to have ended so, by segments."""
    said = np.isfinite(made.episodes.success)
    return replace(
        made.episodes,
        success=np.where(said, made.episodes.success, value),
        inferred_success=np.full(60, value),
        inferred_confidence=np.full(60, 0.75, np.float32),
        outcome_source=Text.of("recorded" if each else "inferred" for each in said),
    )


def test_an_inference_that_most_examples_contradict_is_dropped_where_nothing_is_answered() -> None:
    made = make("same", CONTROLS["same"], 1)
    wrong, right = (inferred(made, value) for value in (0.0, 1.0))
    assert told(made._replace(episodes=wrong)).answer.isin("unsure").all()
    after = with_examples(wrong, told(made._replace(episodes=wrong)))
    open_ = wrong.outcome_source.isin("inferred")
    assert np.isnan(after.success[open_]).all()
    assert after.outcome_source[open_].isin("none").all()
    kept = with_examples(right, told(made._replace(episodes=right)))
    assert (kept.success[open_] == 1).all()


def test_where_answer_and_segments_differ_nothing_is_known() -> None:
    open_ = np.isnan(APART.episodes.success)
    row = int(np.flatnonzero(open_ & APART.success & told(APART).answer.isin("success"))[0])
    suggests = np.where(np.arange(60) == row, 0.0, APART.success)
    before = replace(inferred(APART, 1.0), inferred_success=suggests)
    found = told(APART)
    assert by_name(found)[before.episode_id[row]]["answer"] == "success"
    after = with_examples(before, found)
    assert np.isnan(after.success[row])
    assert after.outcome_source[row] == "none"
    assert (after.success == APART.success)[open_ & (np.arange(60) != row)].all()


def test_shards_are_told_what_the_whole_was_told() -> None:
    after = with_examples(APART.episodes, told(APART))
    changed = changed_by(APART.episodes, after)
    for part in (slice(0, 25), slice(25, 60)):
        rows = np.arange(60)[part]
        shard, whole = episodes_by_example(APART.episodes.take(rows), changed), after.take(rows)
        assert list(shard.outcome_source) == list(whole.outcome_source)
        np.testing.assert_array_equal(shard.success, whole.success)
        np.testing.assert_array_equal(shard.inferred_confidence, whole.inferred_confidence)


def test_costs_follow_the_outcomes_and_nothing_else_moves() -> None:
    n = 60
    nothing = np.full(n, np.nan)
    econ = EconTable(
        episode_id=APART.episodes.episode_id,
        success=APART.episodes.success,
        duration_s=np.full(n, 36.0),
        mpl=APART.episodes.success * 100.0,
        energy_wh=np.ones(n),
        damage=np.zeros(n),
        wage_parity=nothing,
        resilience=nothing,
        outcome_source=APART.episodes.outcome_source,
    )
    after = with_examples(APART.episodes, told(APART))
    costs = costs_by_example(econ, changed_by(APART.episodes, after))
    np.testing.assert_array_equal(costs.success, after.success)
    np.testing.assert_allclose(costs.mpl, after.success * 100.0)
    assert list(costs.outcome_source) == list(after.outcome_source)
    np.testing.assert_array_equal(costs.energy_wh, econ.energy_wh)
    assert costs_by_example(econ, EpisodeTable.empty()) is econ


def test_the_last_pictures_that_a_run_keeps_are_what_is_looked_at() -> None:
    made = make("picture", HARD["picture"], 0)
    looks = made.looks
    kept = LastFrameTable(np.zeros(len(looks.episode_id), np.int64), looks.episode_id, looks.camera, looks.values)
    seen = infer_by_example(made.episodes, made.points, kept, active=made.active)
    assert bytes_of(seen) == bytes_of(told(made))
    assert {view for view in seen.view if view} == {f"the last picture of {looks.camera[0]}"}
    blind = infer_by_example(made.episodes, made.points, active=made.active)
    assert blind.answer.isin("success", "failure").sum() < seen.answer.isin("success", "failure").sum()
