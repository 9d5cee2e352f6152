"""`sima2 plan` and what is written by it: of a recorded set with a failure, a copy and lost samples."""

from __future__ import annotations

import hashlib
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
from sima2.planning import frames_of, plan_of

N = 14
FAILED, COPY, LOST = 3, 12, 5


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def told(*arguments: object) -> dict[str, Any]:
    code, out, error = call(*arguments, "--json")
    assert code == 0, error
    return dict(json.loads(out))


def tree(root: Path) -> str:
    hashed = hashlib.sha256()
    for file in sorted(root.rglob("*")):
        if file.is_file():
            hashed.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return hashed.hexdigest()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("plan")
    data = record(root / "set", [*range(COPY), 1, COPY + 1])
    file = data / f"data/chunk-000/episode_{LOST:06d}.parquet"
    table = pq.read_table(file)
    rows = np.array(table["observation.state"].to_pylist(), np.float32)
    rows[20:24] = np.nan
    lost = pa.array(rows.tolist(), pa.list_(pa.float32(), rows.shape[1]))
    pq.write_table(table.set_column(0, "observation.state", lost), file)
    (root / "ended.csv").write_text("episode_index,success\n" + "".join(f"{k},{int(k != FAILED)}\n" for k in range(N)))
    code, _, error = call("run", "--path", data, "--outcomes", root / "ended.csv", "--out", root / "out")
    assert code == 0, error
    return data, root / "out"


def test_facts_act_and_each_row_says_that_they_are_facts(made: tuple[Path, Path]) -> None:
    rows = {row["episode_index"]: row for row in told("plan", made[1])["episodes"]}
    assert (rows[FAILED]["action"], rows[FAILED]["weight"]) == ("drop", 0.0)
    assert (rows[COPY]["action"], "near_duplicate" in rows[COPY]["codes"]) == ("drop", True)
    assert rows[LOST]["action"] == "trim"
    assert all("fact" in rows[k]["kind_of_knowledge"] for k in (FAILED, COPY, LOST))
    assert rows[0]["action"] == "keep"


def test_the_run_the_command_and_the_exports_say_the_same(made: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = made
    held = pq.read_table(out / "plan.parquet").select(["episode_index", "action", "weight", "codes"]).to_pylist()
    again = [{name: row[name] for name in held[0]} for row in told("plan", out)["episodes"]]
    assert held == again
    kept = pq.read_table(next((out / "frame_weights").glob("*.parquet")))
    made_again = frames_of(out, plan_of(out))
    assert kept["weight"].to_pylist() == made_again.weight.tolist()
    assert kept["index"].to_pylist() == made_again.index.tolist() == list(range(len(kept)))
    assert call("export", out, "--lists", tmp_path / "lists")[0] == 0
    lists = pq.read_table(tmp_path / "lists/weights.parquet")["weight"].to_numpy()
    assert np.allclose(lists / lists.max(), kept["weight"].to_numpy())
    audit = {row["episode_id"]: row["action"] for row in told("audit", out)["episodes"]}
    assert audit == {row["episode_id"]: row["action"] for row in told("plan", out)["episodes"]}


def test_known_failures_and_lost_frames_weigh_nothing_in_what_a_trainer_reads(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    data, out = made
    before = tree(data)
    assert call("sample", out, "--objective", "bc", "--frames", tmp_path / "w.parquet")[0] == 0
    weights = pq.read_table(tmp_path / "w.parquet")["weight"].to_numpy()
    episode = np.concatenate(
        [pq.read_table(file)["episode_index"].to_numpy() for file in sorted(data.glob("data/*/*.parquet"))]
    )
    assert weights[episode == FAILED].tolist() == [0.0] * int((episode == FAILED).sum())
    assert set(weights[episode == LOST][20:24]) == {0.0}
    assert weights[episode == LOST][30] > 0
    assert abs(weights.mean() - 1) < 1e-9
    assert tree(data) == before


def test_presets_and_rules_are_told_and_none_changes_nothing(made: tuple[Path, Path]) -> None:
    _, out = made
    assert {row["weight"] for row in told("plan", out, "--preset", "none")["episodes"]} == {1.0}
    without = {row["episode_index"]: row for row in told("plan", out, "--without", "failed,idle")["episodes"]}
    assert without[FAILED]["action"] != "drop"
    rules = told("plan", out, "--rules")["rules"]
    assert {row["knowledge"] for row in rules} == {"fact", "inference", "tag"}
    assert call("plan", out, "--preset", "mesured")[0] == 2


def test_a_card_for_people_changes_no_result(made: tuple[Path, Path]) -> None:
    _, out = made
    before = told("plan", out), json.loads((out / "summary.json").read_text())["digest"]
    assert call("card", out)[0] == 0
    assert (told("plan", out), json.loads((out / "summary.json").read_text())["digest"]) == before
    assert call("doctor", out)[0] == 0


def test_nothing_is_written_into_a_set_or_the_results_or_over_another_file(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    data, out = made
    before = tree(data)
    for target in (data / "meta/info.json", data / "new.parquet", out / "plan.parquet", tmp_path):
        assert call("sample", out, "--frames", target)[0] == 2
    other = tmp_path / "other"
    other.write_text("mine")
    assert call("sample", out, "--n", 3, "--draws", other)[0] == 2
    assert other.read_text() == "mine"
    for _ in range(2):  # its own file may be written anew
        assert call("sample", out, "--frames", tmp_path / "w.parquet")[0] == 0
    assert call("run", "--path", data, "--out", data / "results")[0] == 2
    assert tree(data) == before
    assert not list(tmp_path.glob(".writing*"))


def test_a_plan_that_leaves_nothing_is_told_and_nothing_is_drawn_by_it(tmp_path: Path) -> None:
    data = record(tmp_path / "set", range(4))
    (tmp_path / "ended.csv").write_text("episode_index,success\n" + "".join(f"{k},0\n" for k in range(4)))
    out = tmp_path / "out"
    assert call("run", "--path", data, "--outcomes", tmp_path / "ended.csv", "--out", out)[0] == 0
    assert told("plan", out)["actions"]["drop"] == 4
    code, _, error = call("sample", out, "--objective", "bc", "--n", 2)
    assert code == 2
    assert "leaves every episode out (failed)" in error


def test_what_is_only_inferred_is_not_exported_as_recorded(tmp_path: Path) -> None:
    data = record(tmp_path / "set", range(6))
    out = tmp_path / "out"
    assert call("run", "--path", data, "--out", out)[0] == 0
    assert call("export", out, "--lists", tmp_path / "lists")[0] == 0
    assert set(pq.read_table(tmp_path / "lists/outcomes.parquet")["next.success"].to_pylist()) == {None}


def test_frames_keep_their_numbers_after_the_set_has_moved(tmp_path: Path) -> None:
    data = record(tmp_path / "set", range(4), first=[1000, 2000, 3000, 4000])
    out = tmp_path / "out"
    assert call("run", "--path", data, "--out", out)[0] == 0
    data.rename(tmp_path / "elsewhere")
    assert call("export", out, "--lists", tmp_path / "lists")[0] == 0
    assert pq.read_table(tmp_path / "lists/weights.parquet")["index"].to_pylist()[:2] == [1000, 1001]


def test_findings_say_what_they_cost_a_trainer(made: tuple[Path, Path]) -> None:
    rows = pq.read_table(made[1] / "defects.parquet").to_pylist()
    lost = next(row for row in rows if row["defect"] == "missing_samples" and row["episode_index"] == LOST)
    assert (lost["kind_of_knowledge"], lost["frames_lost"], lost["cut_end"]) == ("fact", 4, 0)
    copy = next(row for row in rows if row["defect"] == "near_duplicate")
    frames = pq.read_table(made[1] / "episodes.parquet").to_pylist()[COPY]["frames"]
    assert (copy["kind_of_knowledge"], copy["frames_lost"]) == ("fact", frames)
