"""What somebody types by mistake, or knows only in part, gets an answer that helps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from recorded_sets import record
from sima2.cli import app
from sima2.errors import UsageError
from sima2.records.plan import SamplePlan
from sima2.records.table import Text
from sima2.report.sentences import outcome_sentence
from sima2.sampling.sampler import MOST_DRAWS, DataPackRLSampler


def sima2(*words: Any) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which nobody knows how an episode ended."""
    root = tmp_path_factory.mktemp("silent")
    assert sima2("run", "--path", record(root / "set", range(4)), "--out", root / "out")[0] == 0
    return root / "out"


def test_more_draws_than_fit_are_refused_in_one_line(silent: Path) -> None:
    code, _, error = sima2("sample", silent, "--n", 99999999999)
    assert code == 2
    assert len(error.strip().splitlines()) == 1
    assert f"at most {MOST_DRAWS}" in error
    plan = SamplePlan([0], Text.of("a"), [1.0], [1.0], Text.of([""]))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at most"):
        DataPackRLSampler(plan).sample(MOST_DRAWS + 1)


@pytest.mark.parametrize("level", ["9", "-0.1", "nan", "inf"])
def test_a_level_of_trust_lies_between_0_and_1(silent: Path, level: str) -> None:
    code, _, error = sima2("trust", silent, "--least", f"RecoveryTag={level}")
    assert code == 2
    assert "between 0 and 1" in error


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--episodes", "20"), 20),
        (("--episodes", "20", "--families", "drawer_open,dish_place,pick_and_place"), 20),
        (("--mix", "stress_mix_v1", "--episodes", "30"), 30),
        (("--mix", "edge_cases_v1", "--episodes", "36"), 36),
    ],
)
def test_a_number_of_episodes_is_of_all_of_them(tmp_path: Path, words: tuple[str, ...], wanted: int) -> None:
    code, told, error = sima2("run", *words, "--out", tmp_path / "out", "--json")
    assert code in (0, 4), error
    assert json.loads(told)["episodes"]["in"] == wanted


def test_a_number_of_episodes_is_shared_out_over_data_sets(tmp_path: Path) -> None:
    paths = ["--path", record(tmp_path / "a", range(4)), "--path", record(tmp_path / "b", range(10, 14))]
    told = json.loads(sima2("run", *paths, "--episodes", 5, "--out", tmp_path / "out", "--json")[1])
    assert [each["episodes"] for each in told["sources"]] == [3, 2]


def test_outcomes_of_one_episode_are_no_share_of_all(tmp_path: Path) -> None:
    (tmp_path / "outcomes.csv").write_text("episode_index,success\n2,1\n")
    data = record(tmp_path / "set", range(8))
    _, told, _ = sima2("run", "--path", data, "--outcomes", tmp_path / "outcomes.csv", "--out", tmp_path / "out")
    line = " ".join(told.split())
    assert "1 of 8 known (as recorded): 1 succeeded" in line
    assert "100 %" not in line.split("Sampling")[0]
    assert "100 % succeeded" not in (tmp_path / "out" / "report.html").read_text()


def test_outcomes_of_all_episodes_are_told_as_a_share() -> None:
    assert outcome_sentence({"success": 3, "failure": 1, "unknown": 0, "source": "recorded"}).startswith("75 %")


def test_without_any_outcome_nobody_is_known_to_have_failed(silent: Path) -> None:
    code, told, _ = sima2("episodes", silent, "--failed")
    assert code == 0
    assert "it is known how it ended" in " ".join(told.split())
    assert "--outcomes" in told
    assert "outcomes" in json.loads(sima2("episodes", silent, "--failed", "--json")[1])["note"]
    assert "could be assessed in no episode" in sima2("episodes", silent, "--tag", "OODTag")[1]


def test_those_of_which_nobody_knows_how_they_ended_are_listed(silent: Path) -> None:
    every, open_ = (
        json.loads(sima2("episodes", silent, *asked, "--json")[1])["episodes"] for asked in ([], ["--unknown"])
    )
    assert [row["success"] for row in open_] == [None] * len(open_)
    assert [row["episode_id"] for row in open_] == [row["episode_id"] for row in every if row["success"] is None]
    assert open_
    code, _, error = sima2("episodes", silent, "--unknown", "--failed")
    assert (code, "give one" in error) == (2, True)


def test_nobody_is_advised_to_run_into_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "project" / "src").mkdir(parents=True)
    (tmp_path / "project" / "src" / "main.py").write_text("")
    for name in ("project", "project/src", "project/src/main.py"):
        code, _, error = sima2("trust", tmp_path / name)
        assert code == 3
        assert "--out" not in error
    code, _, error = sima2("quarantine", tmp_path / "project" / "src")
    assert "--out" not in error
    assert f"--out {tmp_path / 'new'}" in sima2("episodes", tmp_path / "new")[2]


def test_a_recording_that_lost_samples_or_leaps_is_not_passed_as_it_is(tmp_path: Path) -> None:
    data = record(tmp_path / "set", range(8))
    for number in (2, 5):
        file = data / f"data/chunk-000/episode_{number:06d}.parquet"
        table = pq.read_table(file)
        rows = np.array(table["observation.state"].to_pylist(), np.float32)
        if number == 2:
            rows[20:24] = np.nan
        else:
            rows[25, 0] += 1.5
        column = pa.array(rows.tolist(), pa.list_(pa.float32(), rows.shape[1]))
        pq.write_table(table.set_column(0, "observation.state", column), file)
    assert sima2("run", "--path", data, "--out", tmp_path / "out")[0] == 0
    rows = json.loads(sima2("audit", tmp_path / "out", "--json")[1])["episodes"]
    codes = {row["episode_id"][-6:]: (row["status"], row["codes"]) for row in rows}
    assert codes["000002"][0] == codes["000005"][0] == "requires_review"
    assert "missing_samples" in codes["000002"][1]
    assert "teleport" in codes["000005"][1]
    assert codes["000003"][0] == "passed"


def test_a_name_that_is_no_utf_8_is_wrong_usage_in_one_line(silent: Path, tmp_path: Path) -> None:
    for words in (("query", silent, "SELECT '\udcff'"), ("run", "--episodes", "1", "--out", tmp_path / "o\udcff")):
        code, _, error = sima2(*words)
        assert code == 2
        assert "not UTF-8" in error
        assert len(error.strip().splitlines()) == 1
