"""The bench of recordings judges by what happened, and another episode's truth does not do."""

from __future__ import annotations

import math

import pytest

from sima2.bench import recordings
from sima2.bench.recordings import Score, figures
from sima2.errors import UsageError


def test_nothing_to_measure_is_no_figure() -> None:
    assert math.isnan(figures(Score())["grasp_precision"])


def test_a_grasp_where_nothing_was_to_be_taken_costs_precision() -> None:
    found = figures(Score(attempts=8, right=8, invented=2))
    assert found["grasp_precision"] == 0.8
    assert found["grasp_recall"] == 1.0


def test_grasps_of_a_recipe_are_told_and_those_of_another_episode_are_not() -> None:
    values = recordings.run(episodes=12, only=["koch_bricks"])
    assert values["all"]["grasp_precision"] > 0.9
    assert values["control"]["grasp_precision"] < 0.6
    names = [name for name, _, _ in recordings.rows(values)]
    assert any("koch_bricks" in name for name in names)
    assert any("control" in name for name in names)


def test_a_recipe_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="no recipe 'soup'"):
        recordings.run(only=["soup"])
