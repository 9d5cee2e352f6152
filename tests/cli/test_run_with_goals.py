"""A goal named for a recorded set: its table is filled, and success is inferred from where the thing ends."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from typer.testing import CliRunner

from recordings import HZ, write_set
from scripted_hand import HZ as MADE_HZ
from scripted_hand import OPEN, World, taken
from sima2.cli import app

NAMES = [*(f"hand.{axis}" for axis in "xyz"), "gripper.pos", *(f"block.{axis}" for axis in "xyz")]
MAP = """
[arms.arm.ee_position]
feature = "observation.state"
index = [0, 1, 2]
unit = "m"

[arms.arm.gripper_width]
feature = "observation.state"
index = [3]
unit = "m"

[objects.block.object_position]
feature = "observation.state"
index = [4, 5, 6]
unit = "m"
"""
WHERE = "object=block,place=[0.6,0,0.02],tolerance=0.03"


def put_at(x: float) -> World:
    return taken().go((x, 0, 0.2), 1.0).go((x, 0, 0.02), 1.0).fingers(OPEN).go((x, 0, 0.3), 1.0).rest(0.6)


def data_set(root: Path) -> Path:
    states = []
    for k in range(6):
        made = put_at(0.6 if k % 2 else 0.5).rollout()
        columns = [made.ee_position, np.asarray(made.gripper_width)[:, None], made.object_position["block"]]
        states.append(np.hstack(columns)[:: max(MADE_HZ // HZ, 1)])
    write_set(root, states, NAMES)
    (root / "map.toml").write_text(MAP)
    return root


def ran(root: Path, out: Path, *words: object) -> tuple[int, str]:
    line = ["run", "--path", root, "--map", root / "map.toml", "--out", out, "--json", *words]
    done = CliRunner().invoke(app, [str(word) for word in line])
    return done.exit_code, done.stdout + done.stderr


def test_success_is_inferred_from_the_goal_and_the_goal_is_kept(tmp_path: Path) -> None:
    root, out = data_set(tmp_path / "set"), tmp_path / "out"
    code, told = ran(root, out, "--goal", WHERE)
    assert code == 0, told
    found = pq.read_table(out / "episodes.parquet").sort_by("episode_index")
    assert found.column("inferred_success").to_pylist() == [0.0, 1.0] * 3
    goals = pq.read_table(next((out / "goals").glob("*.parquet"))).to_pylist()
    assert {(each["object"], each["relation"]) for each in goals} == {("block", "placed_on")}
    assert len(goals) == 6
    named = (out / "column_map.toml").read_text()
    assert '[goals."*"]\nobject = "block"\nplace = [0.6, 0.0, 0.02]' in named
    # another goal is another question to the same recordings
    code, told = ran(root, out, "--goal", WHERE.replace("0.6", "0.5"))
    assert code != 0
    assert "other goals" in told
    # and the map that was left behind asks the same one
    (root / "map.toml").write_text(named)
    code, told = ran(root, tmp_path / "again")
    assert code == 0, told
    assert json.loads(told)["digest"] == json.loads((out / "summary.json").read_text())["digest"]
