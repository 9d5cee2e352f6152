"""What stands of what persons say, and what follows for an outcome."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sima2.errors import UsageError
from sima2.records.labels import CHOSEN, SAYINGS, WITHDRAWN, Label, LabelTable, said_of, standing


def said(*labels: Label):
    return said_of(LabelTable.of(labels))


def test_a_later_word_of_the_same_person_replaces_the_earlier_one() -> None:
    first, second = Label("a", "success", by="ann"), Label("a", "failure", frame=7, by="ann")
    assert said(first, second).success.tolist() == [0.0]
    assert said(first, second).failed_at_frame.tolist() == [7]
    assert said(second, first).failed_at_frame.tolist() == [-1]


def test_where_persons_disagree_nothing_is_known_until_one_gives_in() -> None:
    both = [Label("a", "success", by="ann"), Label("a", "failure", frame=3, by="bob")]
    open_ = said(*both)
    assert open_.disputed.tolist() == [True]
    assert np.isnan(open_.success).all()
    assert open_.failed_at_frame.tolist() == [-1]
    assert said(*both, Label("a", "success", by="bob")).success.tolist() == [1.0]
    assert said(*both, Label("a", "failure", WITHDRAWN, by="bob")).success.tolist() == [1.0]


def test_what_is_taken_back_by_all_was_never_said() -> None:
    assert len(said(Label("a", "success"), Label("a", "success", WITHDRAWN))) == 0
    assert said(Label("a", "success"), Label("a", "success", WITHDRAWN)).digest() == said().digest() == ""


def test_nobody_takes_back_the_word_of_another() -> None:
    assert said(Label("a", "success", by="ann"), Label("a", "success", WITHDRAWN, by="bob")).success.tolist() == [1.0]


def test_of_labels_boundaries_and_notes_there_may_be_one_a_frame() -> None:
    table = LabelTable.of(
        [
            Label("a", "label", "lift", frame=3),
            Label("a", "label", "grasp", frame=9),
            Label("a", "label", "slip", frame=3),
            Label("a", "boundary", "12", frame=3),
            Label("a", "note", "odd"),
        ]
    )
    assert standing(table).value.tolist() == ["grasp", "slip", "12", "odd"]
    assert len(said_of(table)) == 0, "they say nothing of an outcome"


def test_a_failure_is_no_reference_and_a_reference_needs_no_outcome() -> None:
    assert said(Label("a", "nominal"), Label("a", "failure")).nominal.tolist() == [False]
    alone = said(Label("a", "nominal"))
    assert alone.nominal.tolist() == [True]
    assert alone.outcome.tolist() == [False]


def test_an_episode_that_was_drawn_by_lot_stays_so_when_it_is_corrected() -> None:
    drawn = Label("a", "success", chosen="random", by="ann")
    assert said(drawn, Label("a", "failure", by="ann")).chosen.tolist() == ["random"]
    assert said(Label("a", "failure", by="ann")).chosen.tolist() == ["active"]
    assert said(Label("a", "note", "hm", chosen="random"), Label("a", "failure")).chosen.tolist() == ["active"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"episode_id": ""},
        {"what": "sucess"},
        {"what": "success", "value": "yes"},
        {"frame": -1},
        {"frame": True},
        {"frame": 1.0},
        {"frame": 2**60},
        {"chosen": "by me"},
        {"what": "label", "value": "lift"},
        {"what": "label", "value": "fly", "frame": 3},
        {"what": "boundary", "value": "3.5", "frame": 3},
        {"what": "boundary", "value": "²", "frame": 3},
        {"what": "note", "value": "  "},
        {"what": "note", "value": "x" * 5000},
        {"by": "\ud800"},
        {"at": 3},
        {"what": None},
    ],
)
def test_what_makes_no_sense_is_refused_with_a_word(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Label(**{"episode_id": "a", "what": "success", **wrong})


WORDS = st.builds(
    Label,
    episode_id=st.sampled_from(["a", "b"]),
    what=st.sampled_from(["success", "failure", "nominal"]),
    value=st.sampled_from(["", WITHDRAWN]),
    frame=st.sampled_from([None, 4]),
    chosen=st.sampled_from(CHOSEN),
    by=st.sampled_from(["ann", "bob"]),
    at=st.sampled_from(["", "2024-05-01"]),
)


@given(st.lists(WORDS, max_size=12))
def test_laws_of_the_fold(labels: list[Label]) -> None:
    table = LabelTable.of(labels)
    kept = standing(table)
    assert standing(kept).value.tolist() == kept.value.tolist(), "folding twice changes nothing"
    assert set(kept.what) <= set(SAYINGS)
    once = said_of(table)
    assert once.episode_id.tolist() == sorted(set(once.episode_id))
    assert not (once.disputed & np.isfinite(once.success)).any()
    assert not (once.nominal & (once.success == 0)).any()
    for renamed in ({"ann": "eve", "bob": "zoe"}, {"ann": "zoe", "bob": "eve"}):
        other = [Label(x.episode_id, x.what, x.value, x.frame, x.chosen, renamed[x.by], "later") for x in labels]
        assert said_of(LabelTable.of(other)).digest() == once.digest(), "who says it, and when, changes nothing"
