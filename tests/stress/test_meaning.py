"""Long checks of what tags and proposals are worth, at the size at which the README states them."""

from __future__ import annotations

import pytest

from sima2.bench.semantics import run

SHORT_OF_THEIR_AIM = {"synthetic lucky_precision", "synthetic lucky_recall", "synthetic affordances_missed"}
"""Luck rests on about sixteen episodes; two affordances are named by no segment and no goal."""


@pytest.mark.stress
@pytest.mark.parametrize("seed", [2000, 2001])
def test_the_library_meets_the_targets_that_the_readme_says_it_meets(seed: int) -> None:
    targets = run(episodes=1000, seed=seed, backends=("synthetic",))["targets"]
    missed = {name for name, each in targets.items() if not each["met"]}
    assert missed <= SHORT_OF_THEIR_AIM
    assert len(targets) > 20
