"""Made rollouts as a data set, with the truth beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from sima2.cli import app
from sima2.cli.generate import written
from sima2.client import Intake, Sima2Client
from sima2.errors import DatasetError
from sima2.io.arrow import read_table
from sima2.records.intake import QuarantineTable
from sima2.records.outcome import Outcome
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.records.truth import Truth, TruthEpisodes, TruthEvents, TruthFrames, TruthSegments

REAL = Path(__file__).parents[3] / "shared" / "data" / "lerobot_v21_g1"
FRAMES = 30


def rollout(i: int) -> Rollout:
    """An arm that moves on a straight line."""
    time = np.arange(FRAMES) * 0.05
    return Rollout(episode_id=f"e-{i:03d}", time=time, ee_position=np.outer(time, [0.1, 0.0, 0.01 * (i + 1)]))


@dataclass(frozen=True)
class FewRollouts:
    """A source of n rollouts of which it knows the truth."""

    episodes: int

    def read(self, start: int, stop: int) -> Intake:
        batch = RolloutBatch.from_rollouts([rollout(i) for i in range(start, stop)], first_index=start)
        return Intake(batch, Outcome.unknown(stop - start), QuarantineTable.empty(), truth_of(batch))

    def describe(self) -> Mapping[str, Any]:
        return {}


def blank(cls: Any, n: int, **given: Any) -> Any:
    """A table of n rows of zeros and empty texts but for what is given."""
    columns = {name: [""] * n if dtype is None else np.zeros(n, dtype) for name, dtype in cls.columns().items()}
    return cls(**{**columns, **given})


def truth_of(batch: RolloutBatch) -> Truth:
    ids = batch.episodes.episode_id
    return Truth(
        frames=blank(TruthFrames, batch.frames),
        episodes=blank(TruthEpisodes, len(batch), episode_id=ids),
        segments=blank(TruthSegments, len(batch), episode_id=ids),
        events=blank(TruthEvents, 0),
        offset=batch.offset,
    )


def test_what_is_written_reads_back_and_the_truth_lies_beside_it_in_order(tmp_path: Path) -> None:
    out = tmp_path / "new" / "made"
    told: list[tuple[str, int, int]] = []
    values = written(FewRollouts(130), out, fps=20.0, robot="r", told=lambda *step: told.append(step))
    assert values["episodes"] == {"in": 130, "ok": 130, "quarantined": 0}
    assert (values["frames"], values["truth"], values["quarantine"]) == (130 * FRAMES, True, {})
    assert told == [("generate", 125, 130), ("generate", 130, 130)]
    back = Sima2Client(backend="dataset", path=out).source().read(126, 128).batch
    assert back.episodes.episode_id == ("e-126", "e-127")
    assert np.array_equal(back[0].ee_position, rollout(126).ee_position)
    shards = sorted((out / "truth" / "episodes").iterdir())
    ids = [name for shard in shards for name in read_table(TruthEpisodes, shard).episode_id]
    assert ids == [f"e-{i:03d}" for i in range(130)]
    assert sorted(each.name for each in (out / "truth").iterdir()) == ["episodes", "events", "frames", "segments"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no episodes"):
        written(FewRollouts(0), tmp_path / "made", fps=20.0, robot="r")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = CliRunner().invoke(app, ["generate", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "is not empty" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.skipif(not REAL.exists(), reason="needs the real recordings in ../shared/data")
def test_a_recorded_data_set_is_segmented_and_copied(tmp_path: Path) -> None:
    out = tmp_path / "copy"
    source = ("--source", "lerobot", "--path", str(REAL))
    copied = CliRunner().invoke(app, ["generate", *source, "--out", str(out), "--json"])
    assert copied.exit_code == 0
    assert json.loads(copied.stdout)["truth"] is False
    counts = []
    for path in (REAL, out):
        done = CliRunner().invoke(app, ["segment", str(path), "--json", "--write", str(tmp_path / "s.parquet")])
        assert done.exit_code == 0
        counts.append(json.loads(done.stdout)["labels"])
    assert counts[0] == counts[1]
    assert (tmp_path / "s.parquet").stat().st_size > 0


def test_made_episodes_are_written_and_those_that_are_no_rollouts_are_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["generate", "--mix", "edge_cases_v1", "--episodes", "120", "--out", str(tmp_path / "odd"), "--json"]
    )
    values = json.loads(done.stdout)
    assert done.exit_code == 4
    assert values["truth"] is True
    assert sum(values["quarantine"].values()) == values["episodes"]["quarantined"] > 0
    assert values["episodes"]["ok"] == Sima2Client(backend="dataset", path=tmp_path / "odd").source().episodes
