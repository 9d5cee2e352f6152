"""Outcomes given beside a data set."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sima2.errors import DatasetError
from sima2.io.outcomes import Ending, from_columns, load_outcomes

ROWS = [
    {"episode_index": 3, "success": True, "failed_at_s": None, "damage": 0.5, "nominal": True},
    {"episode_index": 5, "success": False, "failed_at_s": 1.25, "damage": None, "nominal": False},
]


def write(path: Path, kind: str) -> Path:
    file = path / f"outcomes.{kind}"
    if kind == "csv":
        file.write_text("episode_index, success,failed_at_s,damage,nominal,remark\n3,true,,0.5,yes,\n5,0,1.25,,no,x\n")
    elif kind == "json":
        file.write_text(json.dumps(ROWS))
    elif kind == "jsonl":
        file.write_text("\n".join(map(json.dumps, ROWS)))
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), file)
    return file


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet"])
def test_every_kind_of_file_says_the_same(tmp_path: Path, kind: str) -> None:
    endings = load_outcomes(write(tmp_path, kind)).endings
    assert sorted(endings) == [3, 5]
    assert (endings[3].success, endings[3].damage, endings[3].nominal) == (1.0, 0.5, True)
    assert np.isnan(endings[3].failed_at_s)
    assert (endings[5].success, endings[5].failed_at_s, endings[5].nominal) == (0.0, 1.25, False)
    assert endings[5].source == "recorded"


def test_json_may_be_keyed_by_the_index(tmp_path: Path) -> None:
    (tmp_path / "o.json").write_text('{"7": {"success": 1}}')
    assert load_outcomes(tmp_path / "o.json")[7].success == 1.0


def test_a_row_that_says_nothing_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("episode_index,success\n7,\n")
    assert load_outcomes(tmp_path / "o.csv")[7].source == "none"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("o.csv", "episode_index,success\n1,1\nx,1\n", "line 3: episode_index 'x'"),
        ("o.csv", "episode_index,success\n1,maybe\n", "line 2: success 'maybe' is not a number"),
        ("o.csv", "episode_index,success\n1,2\n", "line 2: success 2.0 is neither 0 nor 1"),
        ("o.csv", "episode_index,success\n1,1\n1,0\n", "line 3: episode_index 1 occurs twice"),
        ("o.csv", "episode_index,success\n1,1,7\n", "line 2: has more fields than the header"),
        ("o.csv", 'episode_index,success\n1,"1\n', "after line 1: unexpected end"),
        ("o.csv", "episode_index,won\n1,1\n", "has none of the columns success"),
        ("o.csv", "success\n1\n", "line 2: has no episode_index"),
        ("o.csv", "episode_index,damage\n1,-3\n", "cannot be negative"),
        ("o.csv", "episode_index,damage\n1,inf\n", "damage is infinite"),
        ("o.csv", "", "is empty"),
        ("o.json", "{", "is not JSON"),
        ("o.json", "3", "neither a list nor an object"),
        ("o.json", "[3]", "entry 1: is int"),
        ("o.json", '[{"episode_index": 1, "success": [1]}]', "is not a number"),
        ("o.json", '[{"episode_index": true, "success": 1}]', "episode_index True"),
        ("o.jsonl", '{"episode_index": 1, "success": 1}\n{', "line 2: is not JSON"),
        ("o.parquet", "PAR1", "cannot be read"),
        ("o.txt", "x", "is no outcome file"),
    ],
)
def test_a_wrong_file_says_where(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=message):
        load_outcomes(tmp_path / name)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    for kind in ("csv", "parquet"):
        with pytest.raises(DatasetError):
            load_outcomes(tmp_path / f"o.{kind}")


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def test_frames_tell_success_where_they_can() -> None:
    assert from_columns({"next.success": column(0, 1, 0)}).success == 1.0
    assert from_columns({"next.success": column(0, np.nan)}).success == 0.0
    assert from_columns({"next.reward": column(0, 0, 1)}) == Ending(success=1.0, source="recorded")
    assert from_columns({"next.success": column(np.nan), "next.reward": column(0, 0)}).success == 0.0
    for silent in ({}, {"next.reward": column(-1.0, -0.5, 0.2)}, {"next.success": column(np.nan, np.nan)}):
        assert from_columns(silent).source == "none"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("o.csv", "episode_index,success,success\n1,1,0\n", "two columns of one name"),
        ("o.json", '{"1": {"success": 1}, "1": {"success": 0}}', "occurs twice in one object"),
        ("o.csv", "episode_index,nominal\n1,7\n", "nominal 7.0 is neither 0 nor 1"),
        ("o.csv", "episode_index,success\n1_0,1\n", "is not a whole number"),
        ("o.csv", "episode,success\n0,1\n", "has no episode_index; it has column .episode. "),
        ("o.json", '[{"success": 1}]', "has no episode_index; it has column 'success'"),
    ],
)
def test_what_can_be_taken_two_ways_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=message):
        load_outcomes(tmp_path / name)


def test_what_is_not_taken_is_said(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("episode_index,success,sucess,nominal,failed_at_s\n1,0,1,1,\n2,1,1,0,0.5\n")
    got = load_outcomes(tmp_path / "o.csv")
    assert not got[1].nominal
    assert got[2].failed_at_s == 0.5, "a success that had failed before is a recovery"
    assert any("'sucess' (did you mean success?)" in each for each in got.warnings)
    assert any("line 2, episode 1" in each for each in got.warnings)


@pytest.mark.parametrize(
    ("rewards", "success"), [([-1, -1, 0], 1.0), ([-1, -1, -1], 0.0), ([0, 0, 1], 1.0), ([0, 0], 0.0)]
)
def test_a_sparse_reward_may_be_a_cost_of_each_step(rewards: list[float], success: float) -> None:
    assert from_columns({"next.reward": np.array(rewards, np.float64)[:, None]}).success == success


def test_a_file_by_episode_id_speaks_of_several_sets(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from recorded_sets import record
    from sima2.cli import app
    from sima2.io.formats import open_dataset

    sets = [record(tmp_path / name, seeds) for name, seeds in (("a", range(5)), ("b", range(5, 10)))]
    ids = [open_dataset(root).name(place) for root in sets for place in range(5)]
    ends = tmp_path / "ends.csv"
    ends.write_text("episode_id,success\n" + "".join(f"{name},{k % 2}\n" for k, name in enumerate(ids)))
    for root, first in zip(sets, (0, 1), strict=True):
        got = open_dataset(root, outcomes=ends).read(0, 5)
        assert got.outcome.success.tolist() == [(k + first) % 2 for k in range(5)]
    words = ["run", "--path", sets[0], "--path", sets[1], "--outcomes", ends, "--out", tmp_path / "out"]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    ends.write_text("episode_index,success\n0,1\n")
    done = CliRunner().invoke(app, [*map(str, words), "--fresh"])
    assert done.exit_code == 2
    assert "once for each --path" in done.stderr
    stray = tmp_path / "stray.csv"
    stray.write_text("episode_id,success\nnobody-000001,1\n")
    assert "none of its 1 episodes is of this source" in str(open_dataset(sets[0], outcomes=stray).describe().warnings)
