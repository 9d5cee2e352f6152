"""What differs between sources that are judged together is said once each, with what to write in which map."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recorded_sets import NAMES, record
from sima2.client import Sima2Client
from sima2.io.merging import Arm, Reading, differences
from sima2.orchestrator import run_pipeline
from sima2.pipeline import RunSettings

Rows = Callable[[np.ndarray], np.ndarray]


@pytest.fixture
def monday(tmp_path) -> Path:
    return record(tmp_path / "monday", range(10))


def tuesday(tmp_path: Path, *, names: list[str] = NAMES, robot: str = "arm3") -> Path:
    return record(tmp_path / "tuesday", range(10, 20), names=names, robot=robot)


def rewritten(root: Path, rows: Rows | None = None, slower: int = 1, **info: Any) -> Path:
    """The set with other numbers, a slower clock, or other metadata."""
    for file in (root / "data").rglob("*.parquet"):
        table = pq.read_table(file)
        for name, change in (("observation.state", rows), ("timestamp", lambda told: told * slower)):
            if change is not None:
                values = change(np.array(table[name].to_pylist())).tolist()
                table = table.set_column(table.column_names.index(name), name, pa.array(values, table[name].type))
        pq.write_table(table, file)
    told = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps({**told, **info}))
    return root


def read(root: Path) -> Reading:
    plain = json.loads(json.dumps(Sima2Client("dataset", path=root).source().reading()))
    return Reading.of_plain(plain)


def kinds(first: Path, other: Path) -> list[str]:
    return [each.partition(":")[0] for each in differences("monday", read(first), "tuesday", read(other))]


def test_two_parts_of_one_set_differ_in_nothing(monday, tmp_path) -> None:
    assert kinds(monday, tuesday(tmp_path)) == []


def degrees(rows: np.ndarray) -> np.ndarray:
    return rows * [180 / math.pi, 180 / math.pi, 1]


def test_each_planted_difference_is_told_once_and_no_other(monday, tmp_path) -> None:
    planted: dict[str, Callable[[Path], Path]] = {
        "units": lambda at: rewritten(tuesday(at), degrees),
        "joint order": lambda at: rewritten(
            tuesday(at, names=["elbow.pos", "shoulder.pos", "gripper.pos"]), lambda rows: rows[:, [1, 0, 2]]
        ),
        "gripper polarity": lambda at: rewritten(tuesday(at), lambda rows: rows * [1, 1, -1] + [0, 0, 1]),
        "rate": lambda at: rewritten(tuesday(at), slower=2, fps=10),
        "robot type": lambda at: tuesday(at, robot="arm4"),
        "column names": lambda at: tuesday(at, names=["shoulder.pos", "wrist.pos", "gripper.pos"]),
    }
    told = {name: kinds(monday, made(tmp_path / name)) for name, made in planted.items()}
    assert told == {name: [name] for name in planted}


def test_tasks_that_are_written_otherwise_are_told_and_other_tasks_are_not() -> None:
    first = Reading("arm", 30.0, ("pick the cup", "open the door"))
    alike = Reading("arm", 30.0, ("Pick the cup.",))
    assert [each.partition(":")[0] for each in differences("a", first, "b", alike)] == ["task words"]
    assert differences("a", first, "b", Reading("arm", 30.0, ("close the door",))) == []
    assert differences("a", first, "b", Reading("arm", 30.0, ("pick the cup", "Pick the cup"))) != []


SPANS = ((-0.1, 0.0, 0.1), (0.9, 1.0, 1.2), (-2.0, -1.8, -1.5))


def test_joints_without_names_are_told_by_where_they_are() -> None:
    first = Arm(index=(3, 4, 5), unit="rad", channels=("joint_position",), spans=SPANS)
    other = replace(first, spans=tuple(SPANS[k] for k in (0, 2, 1)))
    told = differences("a", Reading("arm", 30.0, (), {"arm": first}), "b", Reading("arm", 30.0, (), {"arm": other}))
    assert len(told) == 1
    assert "joint 1 of a is joint 2 of b" in told[0]
    assert "index = [3, 5, 4] under [arms.arm.joint_position] in the map of b" in told[0]
    elsewhere = replace(first, spans=((0.5, 0.6, 0.7), (1.4, 1.5, 1.6), (-1.0, -0.8, -0.5)))
    unlike = Reading("arm", 30.0, (), {"arm": elsewhere})
    assert differences("a", Reading("arm", 30.0, (), {"arm": first}), "b", unlike) == []


def test_angles_that_both_are_read_alike_and_are_57_times_as_large_are_told() -> None:
    first = Arm(index=(0, 1, 2), unit="rad", channels=("joint_position",), spans=SPANS)
    far = replace(first, spans=tuple(tuple(57.3 * each for each in joint) for joint in SPANS))
    told = differences("a", Reading("arm", 30.0, (), {"arm": first}), "b", Reading("arm", 30.0, (), {"arm": far}))
    assert [each.partition(":")[0] for each in told] == ["units"]
    assert 'unit = "deg" under [arms.arm.joint_position] in the map of b' in told[0]


def test_a_run_of_several_sets_says_what_differs_and_so_does_one_that_comes_later(monday, tmp_path) -> None:
    other = rewritten(tuesday(tmp_path), degrees)
    both = run_pipeline(path=monday, also=[RunSettings(path=other)], out=tmp_path / "both").values
    assert len(both["merging"]) == 1
    assert both["merging"][0].startswith(f"units: joints of {monday} are read as rad, those of {other} as deg")
    assert both["merging"][0] in both["warnings"]
    assert "those of" in (tmp_path / "both/report.html").read_text()
    run_pipeline(path=monday, out=tmp_path / "later")
    later = run_pipeline(path=other, out=tmp_path / "later").values
    assert later["merging"] == both["merging"]
    assert later["digest"] == both["digest"]


def test_a_run_of_two_alike_sets_says_nothing(monday, tmp_path) -> None:
    both = run_pipeline(path=monday, also=[RunSettings(path=tuesday(tmp_path))], out=tmp_path / "both").values
    assert "merging" not in both
