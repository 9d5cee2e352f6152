"""A receipt for a user's own set: held-out action error under each selection, or a refusal that says the way on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from recordings import write_set
from sima2.cli import app
from sima2.errors import UsageError
from sima2.imitation.policy import FitSettings
from sima2.orchestrator import run_pipeline
from sima2.pipeline import RunSettings
from sima2.receipt import BASELINE, CAVEAT, MEASURED, Demonstrations, Weighed, compared, read, source_of
from sima2.records.episodes import EpisodeTable
from sima2.report.inputs import read_single

FAST = FitSettings(hidden=16, steps=150, batch=64)
LONG = 40


def made_set(n: int = 40) -> tuple[Demonstrations, np.ndarray]:
    """Half of the episodes do the opposite of the others; those that do not are told."""
    rng = np.random.default_rng(0)
    seen = rng.normal(0, 1, (n * LONG, 2))
    right = np.arange(n) % 2 == 0
    done = seen[:, :1] * np.where(np.repeat(right, LONG), 1.0, -1.0)[:, None]
    names = tuple(f"episode_{k:06d}" for k in range(n))
    return Demonstrations(names, np.arange(n), np.arange(n + 1) * LONG, seen, done), right


def test_a_plan_that_leaves_out_what_contradicts_gets_the_smaller_error() -> None:
    made, right = made_set()
    plan = np.repeat(right, LONG).astype(float)
    values = compared(made, {MEASURED: plan}, right, right, settings=FAST)
    assert values["error"][MEASURED]["value"] < 0.5 * values["error"][BASELINE]["value"]
    assert values["over_baseline"][MEASURED]["high"] < 0
    assert set(values["over_baseline"]) == {"all_frames", MEASURED, "random_same_size", "recorded_successes"}
    assert values["caveat"] == CAVEAT
    json.dumps(values)


def test_the_same_seed_gives_the_same_receipt_and_unknown_frames_are_left_out() -> None:
    made, right = made_set()
    plan = np.ones(len(made.seen))
    one = compared(made, {MEASURED: plan}, right, right, seed=3, settings=FAST)
    assert one == compared(made, {MEASURED: plan}, right, right, seed=3, settings=FAST)
    made.seen[5], made.done[50] = np.nan, np.nan
    assert np.isfinite(compared(made, {MEASURED: plan}, right, right, settings=FAST)["error"][MEASURED]["value"])


def test_a_plan_that_keeps_next_to_nothing_whole_is_refused() -> None:
    made, right = made_set()
    with pytest.raises(UsageError, match="too few to judge by"):
        compared(made, {MEASURED: np.ones(len(made.seen))}, np.arange(40) == 3, right, settings=FAST)


def test_weights_find_their_frames_by_episode_and_number() -> None:
    made = Demonstrations(("a", "b"), np.array([3, 7]), np.array([0, 2, 5]), np.zeros((5, 1)), np.zeros((5, 1)))
    weighed = Weighed(np.array([7, 7, 3, 9]), np.array([0, 2, 1, 0]), np.array([0.5, 0.25, 1.0, 9.0]))
    assert made.in_order(weighed).tolist() == [0, 1.0, 0.5, 0, 0.25]
    nothing = Weighed(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    assert made.in_order(nothing).tolist() == [0] * 5


NAMES = ["a.pos", "b.pos", "gripper.pos"]


def recorded(root: Path, n: int, *, action: bool = True) -> Path:
    rng = np.random.default_rng(1)
    states = [np.cumsum(rng.normal(0, 0.02, (60, 3)), axis=0).astype(np.float32) for _ in range(n)]
    write_set(root, states, NAMES, actions=states if action else None)
    return root


def ran(root: Path, out: Path) -> EpisodeTable:
    run_pipeline(RunSettings(path=root, out=out))
    return read_single(out, EpisodeTable, "episodes")


def test_a_recorded_set_is_read_with_its_actions(tmp_path: Path) -> None:
    root, out = recorded(tmp_path / "set", 24), tmp_path / "out"
    made = read(source_of(out, ran(root, out), None))
    assert len(made.episode_id) == 24
    assert len(made.seen) == len(made.done) == 24 * 60
    assert made.known.all()


def test_a_set_that_was_moved_is_asked_for_and_taken_where_it_is(tmp_path: Path) -> None:
    root, out = recorded(tmp_path / "set", 24), tmp_path / "out"
    episodes = ran(root, out)
    shutil.move(root, tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="--path"):
        source_of(out, episodes, None)
    assert source_of(out, episodes, tmp_path / "elsewhere").episodes == 24


def test_a_set_that_changed_is_refused(tmp_path: Path) -> None:
    root, out = recorded(tmp_path / "set", 24), tmp_path / "out"
    episodes = ran(root, out)
    shutil.rmtree(root)
    recorded(root, 25)
    with pytest.raises(UsageError, match="changed since"):
        source_of(out, episodes, None)


def test_a_set_without_actions_or_with_few_episodes_is_refused(tmp_path: Path) -> None:
    without = recorded(tmp_path / "set", 24, action=False)
    with pytest.raises(UsageError, match="no actions"):
        read(source_of(tmp_path / "a", ran(without, tmp_path / "a"), None))
    few = recorded(tmp_path / "few", 12)
    with pytest.raises(UsageError, match="at least 20"):
        read(source_of(tmp_path / "b", ran(few, tmp_path / "b"), None))


def test_made_rollouts_have_no_receipt(tmp_path: Path) -> None:
    run_pipeline(RunSettings(families=("drawer_open",), episodes=4, out=tmp_path / "out"))
    done = CliRunner().invoke(app, ["receipt", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "bench receipts" in done.output
