"""A run over recordings without outcomes: its first screen, and an oddity that moves nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import recorded_sets
from sima2.cli import app
from sima2.io.arrow import read_table
from sima2.records.courses import ConsensusTable, CourseTable, UnusualTable
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import AuditTable, SamplePlan

N, ODD = 30, 17
FPS = recorded_sets.FPS


def call(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "60"})
    assert done.exit_code == 0, done.output
    return done.stdout


def wait_first(data: Path, number: int, frames: int) -> None:
    """Let an episode begin with a wait."""
    file = data / f"data/chunk-000/episode_{number:06d}.parquet"
    table = pq.read_table(file)
    state = np.array(table["observation.state"].to_pylist(), np.float32)
    rng = np.random.default_rng(0)
    still = state[:1] + rng.normal(0, 2e-4, (frames, state.shape[1])).astype(np.float32) * [1, 1, 0]
    state = np.vstack([still, state]).astype(np.float32)
    n = len(state)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    longer = {name: pa.array([values[0]] * n, table[name].type) for name, values in columns.items()}
    longer |= {
        "observation.state": pa.array(state.tolist(), pa.list_(pa.float32(), state.shape[1])),
        "timestamp": pa.array((np.arange(n) / FPS).astype(np.float32)),
        "frame_index": pa.array(np.arange(n)),
        "index": pa.array(np.arange(n) + columns["index"][0]),
    }
    pq.write_table(pa.table(longer), file)
    meta = data / "meta/episodes.jsonl"
    rows = [json.loads(line) for line in meta.read_text().splitlines()]
    rows[number]["length"] = n
    meta.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    root = tmp_path_factory.mktemp("odd")
    data = recorded_sets.record(root / "set", range(N))
    wait_first(data, ODD, 8 * FPS)
    return root / "out", call("run", "--path", data, "--out", root / "out")


def test_the_first_screen_leads_with_findings_and_names_the_odd_one(screen: tuple[Path, str]) -> None:
    out, told = screen
    line = " ".join(told.split())
    assert line.index("Failed") < line.index("What is wrong with the data") < line.index("Unusual, not bad")
    assert line.index("Unusual, not bad") < line.index("not testable without outcomes. Label 12 episodes")
    assert f"episode {ODD}, frames 0–" in line
    assert "s before the first motion, others" in line
    assert len(told.splitlines()) <= 45
    assert max(map(len, told.splitlines())) <= 60
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.index("Unusual, not bad") < page.index("<h2>Some episodes</h2>") < page.index("Why each tag could")


def test_being_unusual_is_no_defect_moves_no_weight_and_asks_for_no_review(screen: tuple[Path, str]) -> None:
    out, _ = screen
    unusual = read_table(UnusualTable, out / "unusual.parquet")
    odd = next(row for row in unusual.rows() if row["episode_index"] == ODD)
    assert (odd["rank"], odd["p"], odd["shown"]) == (1, 1 / N, True)
    assert len(unusual) == N
    assert unusual.shown.sum() <= 3
    calm = [int(k) for k in unusual.episode_index[unusual.shown] if k != ODD]
    episodes = read_table(EpisodeTable, out / "episodes.parquet")
    assert not episodes.worst_defect.isin("unusual").any()
    audit = read_table(AuditTable, out / "audit.parquet")
    clean = episodes.defects == 0
    assert set(audit.status[clean]) == {"passed"}
    assert all("unusual" not in codes for codes in audit.codes)
    assert set(audit.status[np.array(calm, np.int64)]) <= {"passed"}
    plan = read_table(SamplePlan, out / "weights.parquet")
    assert np.ptp(plan.p) == 0
    assert len(read_table(CourseTable, out / "courses.parquet")) >= 1


def test_the_same_run_says_the_same_and_twelve_are_named_to_label(screen: tuple[Path, str], tmp_path: Path) -> None:
    out, _ = screen
    data = recorded_sets.record(tmp_path / "set", range(N))
    wait_first(data, ODD, 8 * FPS)
    call("run", "--path", data, "--out", tmp_path / "out")
    first, again = (json.loads((folder / "summary.json").read_text())["first"] for folder in (out, tmp_path / "out"))
    assert first == again
    assert [each["chosen"] for each in first["to_label"]].count("random") == 6
    assert len(first["to_label"]) == 12


def test_consensus_is_told_of_an_episode_and_weighs_only_where_it_is_asked_for(screen: tuple[Path, str]) -> None:
    out, _ = screen
    agreed = read_table(ConsensusTable, out / "consensus.parquet")
    assert len(agreed) == N
    assert np.isfinite(agreed.p).all()
    values = json.loads(call("explain", out, ODD, "--json"))
    assert 0 < values["consensus"]["p"] <= 1
    assert "disagree as much with what others do" in " ".join(call("explain", out, ODD).split())
    calm, asked = (json.loads(call("plan", out, "--json", *more)) for more in ((), ("--also", "consensus")))
    assert "consensus" not in {row["code"] for row in calm["reasons"]}
    assert "consensus" in {row["code"] for row in asked["reasons"]}
    cut = sum(row["end_frame"] - row["start_frame"] for row in asked["spans"] if row["reason"] == "consensus")
    frames = int(read_table(EpisodeTable, out / "episodes.parquet").frames.sum())
    assert 0.1 * frames < cut < 0.3 * frames
