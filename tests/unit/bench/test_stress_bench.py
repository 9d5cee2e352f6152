"""The worst cases of the stress bench, small; its full size is run by ``make stress``."""

import subprocess
import sys

import pytest

from sima2.bench import stress, stress_cases
from sima2.bench.children import measured
from sima2.bench.figures import met
from sima2.errors import Sima2Error
from sima2.tags.specs import TAGS


def test_a_storm_of_failures_names_each_cause_once_and_says_little() -> None:
    calm, storm = (stress_cases.storm(template, 60, seed=3) for template in ("success", "failure"))
    assert calm["episodes"] == storm["episodes"] == 60
    assert storm["fragility_nodes"] >= 1 > calm["fragility_nodes"]
    assert storm["causes_twice"] == 0
    assert storm["warnings"] <= 1


def test_many_tags_of_noise_are_all_told_and_none_is_trusted() -> None:
    assert stress_cases.tag_explosion(tags=2000, episodes=100, seed=1) == {"tags": 2000, "trusted": 0}
    assert stress_cases.every_tag_everywhere(primitives=200) == {"rows": 200 * len(TAGS), "tagged": 20 * len(TAGS)}


def test_a_long_rollout_of_all_channels_goes_through_the_whole_chain() -> None:
    short, long = (stress_cases.marathon(frames=n, seed=0) for n in (2_000, 20_000))
    assert long["frames"] == 20_000
    assert long["episodes"]["ok"] == 1
    assert long["segments"] > 9 * short["segments"]


def test_deep_and_wide_task_graphs_need_no_recursion() -> None:
    assert stress_cases.deep_graph(levels=3000, nodes=10_000) == {"nodes": 13_001, "depth": 3000}


def test_a_run_in_a_process_of_its_own_tells_its_time_and_memory(tmp_path) -> None:
    told = measured(
        "sima2.bench.stress_cases:whole_run", out=str(tmp_path / "o"), mix="stress_mix_v1", episodes=40, seed=0
    )
    assert told["episodes"]["in"] == 40
    assert 50 < told["memory_mb"] < 1000
    assert told["cpu_s"] > 0
    again = stress_cases.again(str(tmp_path / "o"), "stress_mix_v1", 40, 0)
    assert again["episodes"] == told["episodes"]
    with pytest.raises(AssertionError, match="was not there"):
        stress_cases.again(str(tmp_path / "o"), "stress_mix_v1", 41, 0)


def test_a_child_that_fails_is_an_error_and_only_benches_are_run() -> None:
    with pytest.raises(Sima2Error, match="deep_graph ended with 1"):
        measured("sima2.bench.stress_cases:deep_graph", levels="x")
    with pytest.raises(Sima2Error, match="no bench"):
        measured("os:system")


def test_every_limit_is_judged_and_every_row_shown() -> None:
    values = {row.name: row.target for row in stress.LIMITS} | {"stages": {"tag": 0.1}, "yardstick_s": 1.0}
    values["targets"] = {row.name: {"met": met(row.target, row.target, row.sense)} for row in stress.LIMITS}
    strict = {row.name for row in stress.LIMITS if row.sense in ("above", "below")}
    assert {name for name, each in values["targets"].items() if not each["met"]} == strict
    shown = [(words, told) for words, told, _ in stress.rows(values)]
    assert [words for words, _ in shown[: len(stress.LIMITS)]] == [row.words for row in stress.LIMITS]
    # and beside the limits the yardstick, what is done in as much time, and the one stage
    assert [told for _, told in shown[len(stress.LIMITS) :]] == ["1.00", "600", "0.100"]
    assert len({row.name for row in stress.LIMITS}) == len(stress.LIMITS)


def test_the_script_says_how_it_is_called() -> None:
    command = [sys.executable, "scripts/stress_test_sima2_pipeline.py", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for option in ("--num-rollouts", "--mix", "--jobs", "--seed", "--output-dir"):
        assert option in told
