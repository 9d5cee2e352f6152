"""What a person says acts on its episode; whom somebody chose to look at moves no trust."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from finished_run import episodes_of
from sima2.analytics.econ import brought
from sima2.analytics.econ_correlator import EconCorrelator
from sima2.analytics.econ_settings import EconSettings
from sima2.analytics.gate import next_look
from sima2.analytics.nominal import INFERRED, RECORDED, nominal_episodes
from sima2.analytics.said import costs_as_said, drawn_by_lot, episodes_as_said, references_of_persons
from sima2.analytics.trust_inputs import trust_counts
from sima2.defects.outcome_overrides import said_otherwise
from sima2.records.econ import EconTable
from sima2.records.labels import Label, LabelTable, SaidTable, said_of
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.tags import TagTable
from sima2.tags.specs import TAGS

NAN = float("nan")
TAG = "OODTag"


def said(*labels: Label) -> SaidTable:
    return said_of(LabelTable.of(labels))


def episodes(success: list[float], source: str = "recorded"):
    n = len(success)
    names = [f"pick-{k}" for k in range(n)]
    told = ["none" if each != each else source for each in success]
    return replace(episodes_of(names), success=np.array(success), outcome_source=Text.of(told))


def costs(of, resilience: float = NAN) -> EconTable:
    n = len(of)
    duration, energy, harm = np.full(n, 36.0), np.full(n, 2.0), np.zeros(n)
    mpl, wage_parity = brought(of.success, duration, energy, harm, EconSettings())
    return EconTable(
        episode_id=of.episode_id,
        success=of.success,
        duration_s=duration,
        mpl=mpl,
        energy_wh=energy,
        damage=harm,
        wage_parity=wage_parity,
        resilience=np.full(n, resilience),
        outcome_source=of.outcome_source,
    )


def test_a_persons_word_goes_before_what_was_recorded_or_inferred() -> None:
    for source in ("recorded", "task_sensor", "inferred"):
        now = episodes_as_said(
            episodes([1.0, 0.0, NAN], source), said(Label("pick-0", "failure"), Label("pick-2", "success"))
        )
        assert now.success.tolist() == [0.0, 0.0, 1.0]
        assert now.outcome_source.tolist() == ["person", source, "person"]


def test_where_persons_disagree_the_outcome_is_not_known() -> None:
    both = said(Label("pick-0", "success", by="a"), Label("pick-0", "failure", by="b"))
    now = episodes_as_said(episodes([1.0, 0.0]), both)
    assert np.isnan(now.success[0])
    assert now.outcome_source.tolist() == ["none", "recorded"]
    assert np.isnan(costs_as_said(costs(episodes([1.0, 0.0])), both).mpl[0])


def test_a_reference_that_persons_name_joins_those_of_the_rule_and_replaces_none() -> None:
    table = episodes([1.0, 1.0, NAN])
    named = references_of_persons(table.episode_id, said(Label("pick-2", "nominal")))
    assert named.tolist() == [False, False, True]
    none = np.zeros(3, np.bool_)
    nominal, rule = nominal_episodes(table.success, table.outcome_source, none, ~none, named)
    assert nominal.tolist() == [True, True, True]
    assert rule == f"{RECORDED}; and 1 that persons named"
    assert nominal_episodes(table.success, table.outcome_source, none, ~none)[1] == RECORDED


def test_a_few_successes_that_persons_say_do_not_replace_what_is_inferred_of_many() -> None:
    success = np.ones(40)
    source = Text.of(["inferred"] * 38 + ["person"] * 2)
    none = np.zeros(40, np.bool_)
    nominal, rule = nominal_episodes(success, source, none, ~none)
    assert nominal.all()
    assert rule == f"{INFERRED}; and 2 that persons named"
    nominal, rule = nominal_episodes(success[38:], source[38:], none[38:], ~none[38:])
    assert nominal.all()
    assert "persons" in rule


def test_what_persons_call_a_failure_is_no_reference() -> None:
    designated = replace(episodes([1.0, 1.0]), nominal=np.ones(2, np.bool_))
    assert episodes_as_said(designated, said(Label("pick-1", "failure"))).nominal.tolist() == [True, False]


def test_nothing_said_changes_nothing() -> None:
    table = episodes([1.0, 0.0])
    assert episodes_as_said(table, said()) is table
    assert episodes_as_said(table, said(Label("elsewhere", "failure"))) is table


def test_costs_that_rest_on_the_outcome_are_counted_anew_and_as_if_it_had_been_recorded() -> None:
    table = episodes([1.0, 0.0, NAN])
    told = said(Label("pick-0", "failure"), Label("pick-1", "success"), Label("pick-2", "success"))
    now = costs_as_said(costs(table), told)
    assert now.mpl.tolist() == [0.0, 100.0, 100.0]
    assert now.wage_parity.tolist() == costs(episodes([0.0, 1.0, 1.0])).wage_parity.tolist()
    assert now.outcome_source.tolist() == ["person"] * 3
    again = costs_as_said(costs(table), said(Label("pick-0", "success")))
    assert again.mpl.tolist()[:2] == costs(table).mpl.tolist()[:2]


def test_a_failure_at_a_frame_has_no_resilience_and_what_is_turned_round_has_none_that_is_known() -> None:
    table = episodes([1.0, 0.0])
    at = said(Label("pick-0", "failure", frame=9), Label("pick-1", "success"))
    assert costs_as_said(costs(table), at).resilience.tolist() == pytest.approx([0.0, NAN], nan_ok=True)
    mended = costs_as_said(costs(table, 0.8), said(Label("pick-0", "success"), Label("pick-1", "failure")))
    assert mended.resilience.tolist() == [0.8, 0.0]


def test_what_was_recorded_otherwise_and_what_is_disputed_are_facts_that_are_told() -> None:
    told = said(
        Label("pick-0", "failure", frame=100),
        Label("pick-1", "failure"),
        Label("pick-2", "success"),
        Label("pick-3", "success", by="a"),
        Label("pick-3", "failure", by="b"),
    )
    found = list(said_otherwise(episodes([1.0, 0.0, NAN, 1.0]), told).rows())
    assert [(row["episode_id"], row["defect"], row["start_frame"]) for row in found] == [
        ("pick-0", "outcome_overridden", 100),
        ("pick-3", "outcome_disputed", 0),
    ]
    assert found[0]["details"] == "recorded as a success, called a failure by a person"
    assert len(said_otherwise(episodes([1.0], "inferred"), said(Label("pick-0", "failure")))) == 0


# ---- trust


def tagged(names: list[str], given: np.ndarray) -> TagTable:
    n = len(names)
    return TagTable(
        episode_index=np.arange(n),
        episode_id=names,
        tag=[TAG] * n,
        kind=[TAGS[TAG].kind] * n,
        value=np.full(n, NAN),
        level=given.astype(float),
        severity=np.full(n, NAN),
        source=["rule"] * n,
        start_frame=[0] * n,
        end_frame=[9] * n,
        details=[""] * n,
        available_at_frame=[0] * n,
    )


def trust(table, given: np.ndarray, told: SaidTable):
    """Verdict on a tag as pass 2 counts for it."""
    econ = costs_as_said(costs(table), drawn_by_lot(told))
    tags = tagged(table.episode_id.tolist(), given)
    counts = trust_counts(tags, econ, table, SegmentTable.empty(), {TAG: TAGS[TAG]})
    return EconCorrelator().correlate(counts, specs={TAG: TAGS[TAG]})[TAG], counts.digest()


def world(seed: int, n: int = 300, *, known: bool = True):
    """A tag that tells nothing, and outcomes."""
    rng = np.random.default_rng(seed)
    given, won = rng.random(n) < 0.4, (rng.random(n) < 0.6).astype(float)
    table = replace(episodes(won.tolist() if known else [NAN] * n), family=Text.full(n, "pick"))
    return table, given, won, rng


@pytest.mark.parametrize("known", [True, False])
def test_a_biased_choice_of_whom_to_look_at_moves_no_trust(known: bool) -> None:
    for seed in range(5):
        table, given, won, _ = world(seed, known=known)
        # as one looks who believes in the tag: at failures that have it and at successes that have not; and one who
        # "corrects" all that speaks against it
        agrees = [k for k in range(len(won)) if bool(given[k]) == (won[k] == 0)]
        against = [k for k in range(len(won)) if k not in set(agrees)]
        confirmed = [Label(f"pick-{k}", "success" if won[k] else "failure") for k in agrees]
        turned = [Label(f"pick-{k}", "failure" if won[k] else "success") for k in against]
        for labels in (confirmed, turned, confirmed + turned):
            (row, digest), (plain, before) = trust(table, given, said(*labels)), trust(table, given, said())
            assert (row.trust_level, row.n, digest) == (plain.trust_level, plain.n, before)
        if known:  # the control: the same words as if drawn by lot would have raised it
            lot = [Label(each.episode_id, each.what, chosen="random") for each in turned]
            assert trust(table, given, said(*lot))[0].effect > 0.9


def test_a_tag_that_tells_is_trusted_by_outcomes_of_those_drawn_by_lot() -> None:
    table, given, _, rng = world(7, known=False)
    won = (rng.random(len(given)) > np.where(given, 0.85, 0.15)).astype(float)
    drawn = rng.permutation(len(given))[:150]
    lot = [Label(f"pick-{k}", "success" if won[k] else "failure", chosen="random") for k in drawn]
    (row, digest), (plain, before) = trust(table, given, said(*lot)), trust(table, given, said())
    assert (plain.trust_level, plain.reason) == (0.0, "no_outcome")
    assert row.trust_level > 0.8
    assert row.n == 150
    assert next_look([(before, 1)], digest) == 2, "more labels of the same episodes are another look"
    assert next_look([(before, 1)], before) == 1
