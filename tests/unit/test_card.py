"""The detection card: recall and precision of the detectors on a set, by faults planted into its own episodes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from carried_cups import carried
from recorded_sets import record
from sima2.card import CardSettings, KnownSet, detection_card, precision_at_least, wilson
from sima2.cli import app
from sima2.client import Intake, Source
from sima2.io.arrow import read_table
from sima2.io.store import Store
from sima2.pipeline import Calibration, FirstPass, ShardTask, calibrate, first_pass, judged
from sima2.records.defects import DefectTable
from sima2.records.intake import QuarantineTable
from sima2.records.outcome import Outcome
from sima2.records.plan import CardTable
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.records.table import Text

SMALL = CardSettings(each=4, fewest=2, hosts=24, twins=1)


@dataclass(frozen=True, eq=False)
class Cups(Source):
    """A source of carried cups."""

    batch: RolloutBatch
    source_id: str = "cups"

    @property
    def episodes(self) -> int:
        return len(self.batch)

    def name(self, place: int) -> str:
        return self.batch.episodes.episode_id[place]

    def read(self, start: int, stop: int) -> Intake:
        part = self.batch.take(np.arange(start, min(stop, len(self.batch))))
        return Intake(part, Outcome.unknown(len(part)), QuarantineTable.empty())

    def describe(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True, eq=False)
class Run:
    """A source, and what a run knows of it."""

    source: Source
    calibration: Calibration
    first: FirstPass
    defects: DefectTable

    def card(self, settings: CardSettings = SMALL, **given: Any) -> CardTable:
        first = self.first
        tables = (first.episodes, first.segments, self.defects, first.measures)
        return detection_card(KnownSet(self.source, self.calibration, *tables), settings, **given)


def run_of(source: Source, batch_size: int = 250) -> Run:
    calibration = calibrate(source)
    first = first_pass(ShardTask(source, calibration, 0, 0, source.episodes, batch_size))
    return Run(source, calibration, first, judged(first.defects, first.measures))


@pytest.fixture(scope="module")
def cups() -> Run:
    return run_of(Cups(RolloutBatch.from_rollouts([carried(k) for k in range(24)])))


def rows(card: CardTable) -> dict[str, dict[str, Any]]:
    return {row["detector"]: row for row in card.rows()}


@pytest.fixture(scope="module")
def card(cups: Run) -> dict[str, dict[str, Any]]:
    return rows(cups.card())


def test_what_shows_in_joints_and_poses_is_found(card: dict[str, dict[str, Any]]) -> None:
    for name in ("teleport", "missing_samples", "frozen_channel", "failed_attempt"):
        assert card[name]["planted"] >= 2
        assert card[name]["found"] == card[name]["planted"]
    assert card["failed_attempt"]["clean"] > 20
    assert "planted: missed grasp" in card["failed_attempt"]["note"]


def test_a_detector_that_is_switched_off_finds_nothing_and_the_others_go_on(
    cups: Run, card: dict[str, dict[str, Any]]
) -> None:
    off = rows(cups.card(switched_off=("teleport", "failed_attempt")))
    for name in ("teleport", "failed_attempt"):
        assert off[name]["recall"] == 0.0
        assert math.isnan(off[name]["precision"])
    assert str(off["noise_burst"]) == str(card["noise_burst"])


def test_where_nothing_is_told_there_is_no_precision(card: dict[str, dict[str, Any]]) -> None:
    assert card["teleport"]["told"] == 0
    assert math.isnan(card["teleport"]["precision"])


def test_a_kind_that_cannot_be_planted_stands_last_and_says_why(cups: Run) -> None:
    table = cups.card()
    assert table.detector.tolist()[-2:] == ["label_conflict", "mixed_polarity"]
    assert table.note[len(table) - 2] == "none planted: no outcome is recorded that could be turned round"
    assert np.isnan(table.recall[-2:]).all()
    planted = table.recall[table.planted > 0]
    assert (np.diff(planted) >= 0).all()


def test_the_same_seed_gives_the_same_card_whatever_the_batches(cups: Run) -> None:
    again = run_of(cups.source, batch_size=7)
    for one, two in zip(cups.card().rows(), again.card().rows(), strict=True):
        assert str(one) == str(two)


def test_an_outcome_turned_round_is_found_where_the_motion_tells_it(cups: Run) -> None:
    episodes = cups.first.episodes
    n = len(episodes)
    sure = replace(
        episodes,
        success=np.ones(n),
        inferred_success=np.ones(n),
        inferred_confidence=np.full(n, 0.9, np.float32),
        outcome_source=Text.full(n, "recorded"),
    )
    first = replace(cups.first, episodes=sure)
    row = rows(replace(cups, first=first).card())["label_conflict"]
    assert (row["planted"], row["found"], row["told"]) == (4, 4, 0)
    blind = replace(sure, inferred_success=np.full(n, np.nan), inferred_confidence=np.zeros(n, np.float32))
    assert rows(replace(cups, first=replace(first, episodes=blind)).card())["label_conflict"]["found"] == 0


def test_damaged_episodes_have_a_card_too() -> None:
    rollouts = [carried(k, things=k % 2 == 0, commands=k % 3 != 0) for k in range(10)]
    width, joints = (np.array(getattr(rollouts[0], name)) for name in ("gripper_width", "joint_position"))
    joints[20:60] = np.nan
    nothing = np.full_like(width, np.nan)
    rollouts[3] = rollouts[3].with_(gripper_width=nothing)
    rollouts[4] = rollouts[4].with_(joint_position=joints)
    rollouts[7] = rollouts[7].with_(gripper_closed=nothing)
    rollouts[8] = rollouts[8].with_(object_position={"cup": np.full((len(width), 3), np.nan)})
    time, arm = rollouts[0].time, rollouts[0].manipulators["arm"]
    rollouts.append(Rollout("short", time=[0.0, 0.05], joint_position=np.zeros((2, 3))))
    rollouts.append(Rollout("two", time=time, manipulators={"left": arm, "right": arm}))
    rollouts.append(Rollout("still", time=time, joint_position=np.zeros((len(time), 3)), gripper_width=0 * time))
    rollouts.append(Rollout("none", time=time, joint_position=np.full((len(time), 3), np.nan), robot="other"))
    card = rows(run_of(Cups(RolloutBatch.from_rollouts(rollouts))).card())
    assert card["teleport"]["found"] == card["teleport"]["planted"] > 0


def test_a_set_of_one_episode_and_one_of_none_have_a_card() -> None:
    one = run_of(Cups(RolloutBatch.from_rollouts([carried(0)]))).card()
    assert rows(one)["near_duplicate"]["note"] == "none planted: no other episode recorded the same channels"
    none = run_of(Cups(RolloutBatch.from_rollouts([]))).card()
    assert not none.planted.any()


@given(st.integers(0, 200), st.integers(1, 200), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_precision_at_the_least_is_a_share_and_falls_with_false_alarms(
    told: int, more: int, recall: float, false: float
) -> None:
    asked = told + more
    value = precision_at_least(told, asked, recall, false)
    if not told:
        assert math.isnan(value)
        return
    assert 0.0 <= value <= 1.0
    assert (
        precision_at_least(told, asked, 1.0, min(false + 0.05, 1.0))
        <= precision_at_least(told, asked, 1.0, false) + 1e-9
    )


@given(st.integers(0, 50), st.integers(1, 50))
def test_the_interval_of_a_share_holds_it(hits: int, more: int) -> None:
    share, low, high = wilson(min(hits, more), more)
    assert 0.0 <= low <= share <= high <= 1.0


def sima2(*words: Any) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "60"})
    return done.exit_code, done.stdout, done.stderr


def test_the_command_says_what_is_seen_and_keeps_the_table(tmp_path: Path) -> None:
    data = record(tmp_path / "set", range(8))
    assert sima2("run", "--path", data, "--out", tmp_path / "out")[0] == 0
    code, shown, error = sima2("card", tmp_path / "out")
    assert (code, error) == (0, "")
    assert shown.startswith("Of faults planted into its own episodes,")
    assert max(map(len, shown.splitlines())) <= 60
    table = read_table(CardTable, tmp_path / "out/card.parquet")
    assert "teleport" in set(table.detector)
    with Store.read_only(tmp_path / "out") as store:
        assert store.verify() == []
        assert json.loads(store.read_text("summary.json"))["digest"] == store.digest()
    told = json.loads(sima2("card", tmp_path / "out", "--json")[1])
    assert {row["detector"] for row in told["detectors"]} == set(table.detector)


def test_another_or_a_lost_source_is_refused_with_a_way_on(tmp_path: Path) -> None:
    data = record(tmp_path / "set", range(4))
    assert sima2("run", "--path", data, "--out", tmp_path / "out")[0] == 0
    data.rename(tmp_path / "moved")
    code, _, error = sima2("card", tmp_path / "out")
    assert code == 2
    assert "--path" in error
    assert sima2("card", tmp_path / "out", "--path", tmp_path / "moved")[0] == 0
    other = record(tmp_path / "other", range(4, 9))
    code, _, error = sima2("card", tmp_path / "out", "--path", other)
    assert code == 2
    assert "holds the source" in error


def test_the_hash_seed_changes_nothing(tmp_path: Path) -> None:
    data = record(tmp_path / "set", range(6))
    assert sima2("run", "--path", data, "--out", tmp_path / "out")[0] == 0
    told = []
    for seed in ("1", "2"):
        words = [sys.executable, "-m", "sima2", "card", str(tmp_path / "out"), "--json"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        told.append(subprocess.run(words, env=environment, capture_output=True, check=True).stdout)
    assert told[0] == told[1]
