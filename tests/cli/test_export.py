"""`sima2 export` on a finished run: a copy, lists and tables of what was planned, and what it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from made_lerobot import digest, plan_of
from recorded_sets import record
from sima2.cli import app
from sima2.io.arrow import read_table
from sima2.io.store import Store
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import FrameWeights, PlannedSpans, TrainingPlan
from sima2.records.segments import SegmentTable
from sima2.records.table import Text

VERSIONS = ("v2.1", "v3.0")


@dataclass(frozen=True)
class Plan:
    """Stands for what the planner hands over."""

    episodes: TrainingPlan
    spans: PlannedSpans


def planned(
    out: Path, *, objective: str = "bc", preset: str = "measured", without: Sequence[str] = (), also: Sequence[str] = ()
) -> Plan:
    """Drops the second episode, trims the third by five frames, and finds two frames of the first worth nothing."""
    table = read_table(EpisodeTable, out / "episodes.parquet")
    n = len(table)
    action = ["drop" if k == 1 else "trim" if k == 2 else "review" if k == 3 else "keep" for k in range(n)]
    plan = plan_of(table.frames.tolist(), table.episode_index.tolist())
    plan = replace(
        plan,
        episode_id=table.episode_id,
        source=table.source,
        action=Text.of(action),
        weight=np.array([0.0 if each == "drop" else 1.0 for each in action]),
        keep_start_frame=np.array([5 if each == "trim" else 0 for each in action]),
        codes=Text.of(["failed" if each == "drop" else "" for each in action]),
    )
    first = table.take(np.array([0]))
    spans = PlannedSpans(
        first.episode_index, first.episode_id, np.array([4]), np.array([6]), np.zeros(1), Text.of(["idle"]),
        Text.of(["fact"]),
    )  # fmt: skip
    return Plan(plan, spans)


@pytest.fixture(autouse=True)
def planner(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = ModuleType("sima2.planning")
    stub.plan_of = planned  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sima2.planning", stub)


def call(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(each) for each in words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def ran(source: Path, out: Path) -> Path:
    code, _, err = call("run", "--source", "lerobot", "--path", source, "--out", out)
    assert code == 0, err
    return out


@pytest.fixture(scope="module", params=VERSIONS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("run")
    source = record(folder / "set", range(5), version=request.param)
    return source, ran(source, folder / "out")


def segments(out: Path, episode: int) -> dict[str, Any]:
    with Store.read_only(out) as store:
        table = SegmentTable.concat(list(store.read(SegmentTable, "segments")))
    mine = table.take(table.episode_index == episode)
    return {name: getattr(mine, name).tolist() for name in ("label", "start_frame", "end_frame", "outcome")}


def test_a_copy_segments_its_kept_episodes_as_the_source_does(run: tuple[Path, Path], tmp_path: Path) -> None:
    source, out = run
    before = digest(source)
    told = json.loads(call("export", out, "--lerobot", tmp_path / "copy", "--json")[1])
    assert (told["episodes"], told["left_out"], told["trimmed"], told["under_review"]) == (4, 1, 1, 1)
    assert told["zero_weight_inside"] == 2
    assert told["left_out_for"] == {"failed": 1}
    assert digest(source) == before
    guessed = tmp_path / "map.toml"
    guessed.write_text((next(out.glob("column_map*"))).read_text())
    code, _, err = call("run", "--path", tmp_path / "copy", "--map", guessed, "--out", tmp_path / "again")
    assert code == 0, err
    for new, old in enumerate([0, 3, 4]):
        assert segments(tmp_path / "again", [0, 2, 3][new]) == segments(out, old)


def test_the_copy_tells_the_run_and_its_settings(run: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = run
    call("export", out, "--lerobot", tmp_path / "copy", "--preset", "strict", "--review", "drop")
    told = json.loads((tmp_path / "copy/meta/sima2.json").read_text())
    episodes = read_table(EpisodeTable, out / "episodes.parquet")
    assert (told["source"], told["preset"], told["review"]) == (episodes.source[0], "strict", "drop")
    assert [row["episode_index"] for row in told["episodes"]] == [0, 2, 4]


def test_what_a_person_reads_says_what_stays_and_goes(run: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = run
    code, shown, _ = call("export", out, "--lerobot", tmp_path / "copy")
    assert code == 0
    for words in ("4 kept, 1 left out", "failed 1", "under review", "2 frames of no weight lie inside"):
        assert words in " ".join(shown.split())


def test_lists_are_of_every_frame_of_the_source(run: tuple[Path, Path], tmp_path: Path) -> None:
    source, out = run
    told = json.loads(call("export", out, "--lists", tmp_path / "lists", "--json")[1])
    total = json.loads((source / "meta/info.json").read_text())["total_frames"]
    assert (tmp_path / "lists/drop.txt").read_text() == "1\n"
    table = read_table(FrameWeights, tmp_path / "lists/weights.parquet")
    assert len(table) == told["frames"] == total
    assert table.weight.mean() == pytest.approx(1)
    for name in ("progress", "subtasks", "outcomes"):
        rows = pq.read_table(tmp_path / f"lists/{name}.parquet")
        assert rows.column("index").to_pylist() == table.index.tolist()


def test_csv_and_other_tables(run: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = run
    told = json.loads(call("export", out, "--csv", tmp_path / "csv", "--json")[1])
    assert set(told["rows"]) == {f"{each}.csv" for each in ("plan", "frame_weights", "episodes", "segments", "tags")}
    assert call("export", out, "--tables", tmp_path / "json", "--format", "json")[0] == 0
    rows = [json.loads(line) for line in (tmp_path / "json/plan.jsonl").read_text().splitlines()]
    assert [row["action"] for row in rows] == ["keep", "drop", "trim", "review", "keep"]
    assert call("export", out, "--tables", tmp_path / "x", "--format", "xml")[0] == 2


def test_exactly_one_thing_is_written(run: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = run
    assert "as one of --lerobot, --lists" in call("export", out)[2]
    assert call("export", out, "--lists", tmp_path / "a", "--csv", tmp_path / "b")[0] == 2
    assert not list(tmp_path.iterdir())


def test_a_target_that_is_there_is_refused(run: tuple[Path, Path], tmp_path: Path) -> None:
    source, out = run
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("all of it")
    for option in ("--lerobot", "--lists", "--csv", "--tables"):
        code, _, err = call("export", out, option, tmp_path / "mine")
        assert code == 2
        assert "never overwritten" in err
        assert "within the data set" in call("export", out, option, source / "new")[2]
    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_source_that_changed_since_the_run_is_refused(tmp_path: Path, version: str) -> None:
    source = record(tmp_path / "set", range(3), version=version)
    out = ran(source, tmp_path / "out")
    record(tmp_path / "other", range(3, 6), version=version)
    for option in ("--lerobot", "--lists"):
        code, _, err = call("export", out, option, tmp_path / "copy", "--path", tmp_path / "other")
        assert code == 2
        assert "changed since, or are others; run again, with --fresh" in err
    assert not (tmp_path / "copy").exists()


def test_a_source_that_was_moved_is_named(tmp_path: Path) -> None:
    out = ran(record(tmp_path / "set", range(3)), tmp_path / "out")
    (tmp_path / "set").rename(tmp_path / "moved")
    code, _, err = call("export", out, "--lerobot", tmp_path / "copy")
    assert code == 2
    assert "name it with --path" in err
    assert call("export", out, "--lerobot", tmp_path / "copy", "--path", tmp_path / "moved")[0] == 0


def test_each_of_several_sources_is_exported_by_itself(tmp_path: Path) -> None:
    one, two = record(tmp_path / "one", range(3)), record(tmp_path / "two", range(3, 6))
    code, _, err = call("run", "--path", one, "--path", two, "--out", tmp_path / "out")
    assert code == 0, err
    code, _, err = call("export", tmp_path / "out", "--lerobot", tmp_path / "copy")
    assert code == 2
    assert "say which --run" in err
    told = json.loads(call("export", tmp_path / "out", "--lerobot", tmp_path / "copy", "--run", 2, "--json")[1])
    # the second episode of all is of the first source
    assert told["episodes"] == 3
    assert call("export", tmp_path / "out", "--lists", tmp_path / "lists", "--run", 1)[0] == 0
    assert (tmp_path / "lists/drop.txt").read_text() == "1\n"


def test_a_run_of_no_recorded_set_has_no_copy_but_lists(tmp_path: Path) -> None:
    assert call("run", "--families", "drawer_open", "--episodes", 6, "--out", tmp_path / "out")[0] in (0, 4)
    code, _, err = call("export", tmp_path / "out", "--lerobot", tmp_path / "copy")
    assert code == 2
    assert "of no recorded data set" in err
    assert call("export", tmp_path / "out", "--tables", tmp_path / "tables")[0] == 0
