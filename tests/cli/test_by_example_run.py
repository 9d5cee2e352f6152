"""A run to which a dozen outcomes were said: the rest is inferred by their example, and counts as inferred."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sima2.bench.recordings_maker import RECIPES, make_set
from sima2.io.arrow import read_table
from sima2.orchestrator import run_pipeline
from sima2.pipeline import RunSettings
from sima2.records.episodes import EpisodeTable
from sima2.records.examples import ExampleTable

STACK = replace(next(each for each in RECIPES if each.name == "panda_states"), outcomes=False)
"""States of joints and gripper alone, no commands."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, bool], list[int]]:
    work = tmp_path_factory.mktemp("by_example")
    truth = {each.episode_index: each.success for each in make_set(work / "set", STACK, 50, 3, failures=0.3)}
    rows = np.random.default_rng(0).permutation(50)[:16].tolist()
    lines = [f"{row},{int(truth[row])}" for row in rows]
    (work / "outcomes.csv").write_text("\n".join(["episode_index,success", *lines]) + "\n")
    run_pipeline(RunSettings(path=work / "set", out=work / "out", outcomes=work / "outcomes.csv"))
    return work / "out", truth, rows


def test_what_was_said_stays_and_the_rest_is_inferred(ran: tuple[Path, dict[int, bool], list[int]]) -> None:
    out, truth, rows = ran
    episodes = read_table(EpisodeTable, out / "episodes.parquet")
    said = np.isin(episodes.episode_index, rows)
    assert episodes.outcome_source[said].isin("recorded").all()
    assert episodes.outcome_source[~said].isin("inferred", "none").all()
    told = np.isfinite(episodes.success) & ~said
    right = episodes.success == np.array([truth[i] for i in episodes.episode_index.tolist()])
    assert told.sum() > 20
    assert right[told].mean() >= 0.9


def test_the_folder_tells_the_answers_and_their_stated_error(ran: tuple[Path, dict[int, bool], list[int]]) -> None:
    out, _, rows = ran
    found = read_table(ExampleTable, out / "by_example.parquet")
    assert len(found) == 50
    assert (found.said.isin("") == ~np.isin(found.episode_index, rows)).all()
    [task] = json.loads((out / "summary.json").read_text())["by_example"]
    assert task["said"] == 16
    assert task["success"] + task["failure"] + task["unsure"] == 34
    assert 0 < task["stated_error"] <= 0.1


def test_trust_by_such_outcomes_stays_at_most_a_half(ran: tuple[Path, dict[int, bool], list[int]]) -> None:
    matrix = json.loads((ran[0] / "trust_matrix.json").read_text())
    assert max((row.get("trust_level", 0.0) for row in matrix.values() if isinstance(row, dict)), default=0.0) <= 0.5


def test_a_run_without_outcomes_has_no_examples(tmp_path: Path) -> None:
    make_set(tmp_path / "set", STACK, 8, 3)
    run_pipeline(RunSettings(path=tmp_path / "set", out=tmp_path / "out"))
    assert len(read_table(ExampleTable, tmp_path / "out" / "by_example.parquet")) == 0
    assert "by_example" not in json.loads((tmp_path / "out" / "summary.json").read_text())
