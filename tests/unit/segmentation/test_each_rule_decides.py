"""Each rule of each list has a case that is understood with it, and not without it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from sima2 import segmentation_engine
from sima2.segmentation.rules import RuleList
from sima2.segmentation_engine import RULE_LISTS
from unit.segmentation import test_closings, test_gaps, test_named_rules, test_outcomes, test_recoveries

LISTS: dict[str, RuleList[Any]] = {
    name: value for name, value in vars(segmentation_engine).items() if any(value is each for each in RULE_LISTS)
}


class Cases(NamedTuple):
    """Cases by the names of their rules, each with what is told of it, and the file to add one to."""

    file: str
    of: Mapping[str, Sequence[tuple[Any, Any]]]
    told: Callable[[Any], Any]


def by_rule(name: str, module: Any) -> dict[str, Cases]:
    return {name: Cases(module.__file__, module.CASES, module.told)}


def of_the_hand(rules: str) -> dict[str, Cases]:
    of = {rule: [(case, test_named_rules.EVERY[case][2])] for rule, case in test_named_rules.DECIDES[rules].items()}
    return {rules: Cases(str(test_named_rules.__file__), of, test_named_rules.said)}


CASES: dict[str, Cases] = (
    {
        "VERDICT_RULES": Cases(
            str(test_closings.__file__), {k: [v] for k, v in test_closings.CASES.items()}, test_closings.told
        )
    }
    | of_the_hand("TOUCH_RULES")
    | of_the_hand("LABEL_RULES")
    | of_the_hand("FAILURE_RULES")
    | by_rule("GAP_RULES", test_gaps)
    | by_rule("RECOVERY_RULES", test_recoveries)
    | by_rule("OUTCOME_RULES", test_outcomes)
)


@pytest.mark.parametrize(
    ("rules", "rule"),
    [
        pytest.param(name, rule.name, id=f"{name.removesuffix('_RULES').lower()}-{rule.name}")
        for name, each in LISTS.items()
        for rule in each.rules
    ],
)
def test_each_rule_decides_a_case(rules: str, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rules in CASES, f"no cases of {rules}: name their file in {__file__}"
    file, of, told = CASES[rules]
    assert of.get(rule), f"no case of {rule!r} of {rules}: add one to {file}"
    room = sys.modules[LISTS[rules].rules[0].holds.__module__]
    monkeypatch.setattr(room, rules, LISTS[rules].without(rule))
    otherwise = [told(case) != expected for case, expected in of[rule]]
    assert any(otherwise), f"without {rule!r} of {rules} its cases are told as with it: add one to {file}"


def test_there_are_cases_of_rules_that_are() -> None:
    assert len(LISTS) == len(RULE_LISTS)
    assert {name: set(each.of) for name, each in CASES.items()} == {
        name: {rule.name for rule in each.rules} for name, each in LISTS.items()
    }
