"""Where tags bring no curation gain, one sentence says so and what is missing for one."""

from __future__ import annotations

from typing import Any

import pytest

from finished_run import summary
from sima2.report.sentences import no_gain_sentence
from sima2.report.trust_reasons import needed_words


def told(**changes: Any) -> str:
    untrusted = {tag: {"tier": "untrusted", "reason": "not_significant"} for tag in ("RiskTag", "OODTag")}
    return no_gain_sentence({**summary(), "trust": untrusted, **changes})


def test_nothing_is_said_where_a_tag_may_act_here_or_in_a_collection() -> None:
    assert no_gain_sentence(summary()) == ""
    assert no_gain_sentence({}) == ""
    assert told(trust_by_collection={"arm": {"RiskTag": {"tier": "provisional"}}}) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"first": {"outcomes": {"recorded": 0}}}, "missing: outcomes"),
        ({"episode_outcomes": {"success": 9, "failure": 3, "unknown": 0, "source": "inferred"}}, "missing: outcomes"),
        ({"episode_outcomes": {"success": 9, "failure": 0, "source": "recorded"}}, "failures (0 of 9 outcomes)"),
        ({"episode_outcomes": {"success": 0, "failure": 9, "source": "recorded"}}, "successes (0 of 9 outcomes)"),
        ({"nominal": {"episodes": 15}}, "nominal episodes (15 of 59)"),
        ({"tags": {"RiskTag": {"assessed": 30, "fired": 0}}}, "episodes that have RiskTag"),
        ({}, "nothing that was counted: the tags go with no cost beyond chance"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, Any], words: str) -> None:
    assert words in told(**changes)


def test_where_only_more_of_the_same_is_missing_the_tag_nearest_to_proof_is_named() -> None:
    need = {"outcomes": 512, "promised": False}
    near = {"outcomes": 617, "promised": True}
    trust = {"RiskTag": {"tier": "untrusted", "needed": need}, "OODTag": {"tier": "untrusted", "needed": near}}
    assert "about 620 more outcomes to prove OODTag" in told(trust=trust)
    assert "about 510 more outcomes to tell RiskTag" in told(trust={"RiskTag": trust["RiskTag"]})


def test_what_is_needed_says_what_it_assumes_and_what_is_left_to_label() -> None:
    need = {"outcomes": 61, "tagged": 30, "untagged": 31, "effect": 0.4, "weakest": 420, "what": "success"}
    typical = needed_words({**need, "assumed": "typical", "at_hand": {"tagged": 12, "untagged": 90}})
    assert "as strong as a useful tag (δ 0.40), about 61 more outcomes" in typical
    assert "the weakest that matters takes 420" in typical
    assert "12 tagged and 90 untagged are left to label" in typical
    assert "61 more episodes" in needed_words({**need, "assumed": "seen", "at_hand": {"tagged": 0, "untagged": 0}})
    assert "takes over 10,000" in needed_words({**need, "assumed": "typical", "weakest": -1})
    assert "even the weakest effect" in needed_words({**need, "assumed": "weakest"})
    assert needed_words({}) == ""
