"""The audit, the failures and the draws, grouped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from finished_run import episodes_of, made_report, summary
from sima2.records.plan import AuditTable
from sima2.report import quality, sampled
from sima2.report.html import render
from sima2.report.quality import Group, grouped


def audit() -> AuditTable:
    return AuditTable(
        episode_id=["a", "b", "c", "d"],
        action=["keep", "review", "keep", "drop"],
        status=["passed", "requires_review", "passed", "rejected"],
        quality=np.array([0.7, 0.3, 0.9, 0.0]),
        reasons=["leans on T", "leans on T; quality below 0.5", "", "quarantined, empty: no frames; at all"],
        codes=["untrusted_tags:T", "untrusted_tags:T,low_quality", "", "quarantined:empty"],
    )


def test_an_episode_counts_for_each_of_its_reasons_and_the_worst_is_the_example() -> None:
    assert grouped(audit()) == [
        Group("leans on T", 2, 1, "b"),
        Group("quality below 0.5", 1, 1, "b"),
        Group("quarantined, empty", 1, 1, "d"),
    ]


def test_many_messages_of_what_was_set_aside_are_one_reason() -> None:
    n = 500
    table = AuditTable(
        episode_id=[f"e{k}" for k in range(n)],
        action=["drop"] * n,
        status=["rejected"] * n,
        quality=np.zeros(n),
        reasons=[f"quarantined, not_finite: at frame {k}" for k in range(n)],
        codes=["quarantined:not_finite"] * n,
    )
    assert grouped(table) == [Group("quarantined, not_finite", n, n, "e0")]


def test_the_page_tells_reasons_with_counts_and_an_example() -> None:
    page = render(replace(made_report(), audit=audit(), summary={**summary(), "audit": {"passed": 2, "rejected": 1}}))
    assert "Which episodes may be used" in page
    assert "2 passed" in page
    assert "leans on T" in page
    assert "quarantined, empty" in page


def test_failures_are_told_by_reason_and_by_family() -> None:
    episodes = replace(
        episodes_of(["drawer_open-1", "drawer_open-2", "dish_place-1", "dish_place-2"]),
        success=np.array([0.0, 0.0, 1.0, np.nan]),
        failure_reason=["locked", "", "", "locked"],
    )
    told = quality.failures({"failure_reasons": {"locked": 7, "drop": 2}}, episodes)
    assert told is not None
    assert "In 1 failed episode no step was seen to fail." in told
    assert ">2 of 2<" in told
    assert ">0 of 1<" in told
    assert "most often locked" in told
    assert told.index(">locked<") < told.index(">drop<")


def test_where_nothing_failed_there_is_no_such_part() -> None:
    fine = replace(episodes_of(["a-1", "a-2"]), success=np.ones(2))
    assert quality.failures({}, fine) is None
    assert "How episodes failed" not in render(replace(made_report(), episodes=fine))


def test_draws_stand_against_an_even_draw_and_an_older_folder_shows_what_it_has() -> None:
    weights = {"uniform": False, "effective_sample_size": 5.0, "failed": {"share": 0.3, "even": 0.2}}
    told = sampled.page(weights)
    assert told is not None
    assert "failed episodes" in told
    assert "1.5 ×" in told
    assert sampled.page({"effective_sample_size": 5.0, "largest": 2.0, "uniform": False}) is None
    assert "What a trainer will see" in render(made_report())


def test_a_kind_that_no_even_draw_would_give_has_no_ratio() -> None:
    found, rest = sampled.shares({"tags": {"T": {"share": 0.0, "even": 0.0}}, "families": {"f": {"share": None}}})
    assert [each.times for each in found] == [""]
    assert rest == 0


def test_families_left_out_are_counted() -> None:
    families = {f"f{k}": {"share": 0.04, "even": 0.04} for k in range(25)}
    assert sampled.shares({"families": families})[1] == 5
