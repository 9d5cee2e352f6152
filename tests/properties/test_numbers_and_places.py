"""An episode's number is its source's own name for it, and never its place: curators remove episodes."""

import json
import shutil
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from recorded_sets import record, rows_of
from sima2.cli import app
from sima2.client import Intake, Sima2Client, Source
from sima2.errors import UsageError
from sima2.io.store import Store
from sima2.orchestrator import rebuild_ledger, run_source
from sima2.pipeline import RunSettings
from sima2.records.episodes import EpisodeTable
from sima2.records.intake import QuarantineTable, SkippedTable
from sima2.report.inputs import load_report

KEPT = (0, 1, 2, 5, 6, 9)
"""Numbers that a curator left."""
FIRST = (0, 100, 200, 500, 600, 900)
"""Index of the first frame of each: what was removed left gaps."""


def sima2(*words: Any) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


def run(path: Path, out: Path, *words: Any) -> dict[str, Any]:
    code, told, error = sima2("run", "--source", "lerobot", "--path", path, "--out", out, "--json", *words)
    assert code in (0, 4), error
    return dict(json.loads(told))


def episodes_of(out: Path) -> EpisodeTable:
    with Store.read_only(out) as store:
        return store.read_table(EpisodeTable, "episodes")


@pytest.fixture(scope="module")
def gapped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A set with gaps, and a run over it."""
    folder = tmp_path_factory.mktemp("gapped")
    data = record(folder / "set", range(len(KEPT)), numbers=KEPT, first=FIRST)
    run(data, folder / "out")
    return data, folder / "out"


def test_tables_carry_the_numbers_of_the_source(gapped: tuple[Path, Path]) -> None:
    _, out = gapped
    episodes = episodes_of(out)
    assert episodes.episode_index.tolist() == episodes.source_index.tolist() == list(KEPT)
    for name in ("weights", "episodes"):
        assert pq.read_table(out / f"{name}.parquet")["episode_index"].to_pylist() == list(KEPT)


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_the_page_shows_each_episode_with_its_own_frames(tmp_path: Path, version: str) -> None:
    data = record(tmp_path / "set", range(len(KEPT)), numbers=KEPT, first=FIRST, version=version)
    run(data, tmp_path / "out")
    episodes = episodes_of(tmp_path / "out")
    frames = dict(zip(episodes.episode_id, episodes.frames.tolist(), strict=True))
    told = load_report(tmp_path / "out")
    assert dict(zip(told.overview["id"], told.overview["frames"], strict=True)) == frames
    ends = {name: told.details[str(k)]["segments"][-1][2] for k, name in enumerate(told.overview["id"])}
    assert ends == frames


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_every_row_of_the_data_has_a_weight_under_its_own_index(tmp_path: Path, version: str) -> None:
    data = record(tmp_path / "set", range(len(KEPT)), numbers=KEPT, first=FIRST, version=version)
    run(data, tmp_path / "out")
    file = tmp_path / "frames.parquet"
    code, told, _ = sima2("sample", tmp_path / "out", "--frames", file, "--json")
    assert code == 0
    assert json.loads(told)["frames"]["numbered"] == "by the column index of the data"
    table = pq.read_table(file)
    assert table["index"].to_pylist() == sorted(chain(*rows_of(data).values()))
    weight = np.array(table["weight"])
    assert weight.mean() == pytest.approx(1.0)
    assert (weight > 0).all()


def test_episodes_that_were_put_aside_have_rows_of_no_weight(tmp_path: Path) -> None:
    data = record(tmp_path / "set", range(len(KEPT)), numbers=KEPT, first=FIRST)
    broken = data / "data/chunk-000/episode_000005.parquet"
    table = pq.read_table(broken)
    pq.write_table(table.set_column(1, "timestamp", [np.zeros(len(table), np.float32)]), broken)
    assert run(data, tmp_path / "out")["episodes"]["quarantined"] == 1
    with Store.read_only(tmp_path / "out") as store:
        assert store.read_table(QuarantineTable, "quarantine").episode_index.tolist() == [5]
    file = tmp_path / "frames.parquet"
    assert sima2("sample", tmp_path / "out", "--frames", file)[0] == 0
    weights = dict(zip(*(pq.read_table(file)[name].to_pylist() for name in ("index", "weight")), strict=True))
    for number, rows in rows_of(data).items():
        assert {weights[index] > 0 for index in rows} == {number != 5}


def test_frames_of_a_source_that_is_gone_keep_the_numbers_that_the_run_read(
    gapped: tuple[Path, Path], tmp_path: Path
) -> None:
    data, out = gapped
    shutil.copytree(data, tmp_path / "set")
    run(tmp_path / "set", tmp_path / "out")
    (tmp_path / "set").rename(tmp_path / "moved")
    file = tmp_path / "frames.parquet"
    told = json.loads(sima2("sample", tmp_path / "out", "--frames", file, "--json")[1])["frames"]
    assert told["numbered"].startswith("as the run read them")
    held = pq.read_table(file)
    assert sima2("sample", tmp_path / "out", "--frames", file, "--path", tmp_path / "moved")[0] == 0
    own = tmp_path / "own.parquet"
    assert sima2("sample", out, "--frames", own)[0] == 0
    assert pq.read_table(file).equals(pq.read_table(own))
    assert held.equals(pq.read_table(own))


def test_an_index_that_repeats_is_replaced_by_the_place_of_each_row_and_said(tmp_path: Path) -> None:
    data = record(tmp_path / "set", range(3), first=[0, 0, 0])
    run(data, tmp_path / "out")
    file = tmp_path / "frames.parquet"
    told = json.loads(sima2("sample", tmp_path / "out", "--frames", file, "--json")[1])["frames"]
    assert told["numbered"].startswith("by the place of each row")
    assert pq.read_table(file)["index"].to_pylist() == list(range(told["rows"]))


def test_a_second_source_is_numbered_behind_the_largest_number_of_the_first(tmp_path: Path) -> None:
    first = record(tmp_path / "a", range(4), numbers=(100, 101, 103, 105))
    second = record(tmp_path / "b", range(10, 13), numbers=(0, 2, 3))
    out = tmp_path / "out"
    run(first, out)
    values = run(second, out)
    episodes = episodes_of(out)
    assert values["episodes"] == {"in": 7, "ok": 7, "quarantined": 0, "skipped": 0}
    assert episodes.episode_index.tolist() == [100, 101, 103, 105, 106, 108, 109]
    assert episodes.source_index.tolist() == [100, 101, 103, 105, 0, 2, 3]
    assert len(set(episodes.source)) == 2
    with Store.read_only(out) as store:
        assert [(each.first_episode, each.end_episode) for each in store.runs] == [(0, 106), (106, 110)]
    for number, data in ((1, first), (2, second)):
        file = tmp_path / f"{number}.parquet"
        assert sima2("sample", out, "--frames", file, "--run", number)[0] == 0
        assert pq.read_table(file)["index"].to_pylist() == sorted(chain(*rows_of(data).values()))
    again = run(first, out)
    assert again["nothing_new"]


def test_recordings_that_are_there_already_are_skipped_under_their_own_numbers(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(record(tmp_path / "a", (1, 2, 3), numbers=(4, 6, 7)), out)
    grown = record(tmp_path / "b", (1, 2, 3, 4), numbers=(4, 6, 7, 11))
    assert run(grown, out)["episodes"] == {"in": 7, "ok": 4, "quarantined": 0, "skipped": 3}
    with Store.read_only(out) as store:
        skipped = SkippedTable.concat(list(store.read(SkippedTable, "skipped")))
    assert skipped.episode_index.tolist() == [8 + 4, 8 + 6, 8 + 7]
    assert episodes_of(out).source_index.tolist() == [4, 6, 7, 11]


def test_a_ledger_made_again_knows_the_numbers_of_each_run(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(record(tmp_path / "a", range(3), numbers=(1, 5, 9)), out)
    second = record(tmp_path / "b", range(5, 8), numbers=(0, 1, 7))
    whole = run(second, out)["digest"]
    with Store.read_only(out) as store:
        runs = store.runs
    (out / "ledger.sqlite").unlink()
    rebuild_ledger(out)
    assert run(second, out)["digest"] == whole
    with Store.read_only(out) as store:
        assert store.runs == runs
    assert sima2("doctor", out)[0] == 0


@dataclass(frozen=True, eq=False)
class Deadly(Source):
    """A source one of whose episodes brings down who reads it."""

    inner: Source
    bad: int
    """Its place."""

    @property
    def episodes(self) -> int:
        return self.inner.episodes

    @property
    def numbers(self) -> Any:
        return self.inner.numbers

    def name(self, place: int) -> str:
        return self.inner.name(place)

    def read(self, start: int, stop: int) -> Intake:
        if start <= self.bad < stop:
            raise ArithmeticError("no")
        return self.inner.read(start, stop)

    def describe(self) -> Any:
        return self.inner.describe()


def test_an_episode_that_brought_its_worker_down_is_recorded_under_its_own_number(tmp_path: Path) -> None:
    data = record(tmp_path / "set", range(len(KEPT)), numbers=KEPT)
    source = Sima2Client(backend="dataset", path=data).source()
    run_source(Deadly(source, 4), RunSettings(out=tmp_path / "out"))
    with Store.read_only(tmp_path / "out") as store:
        aside = store.read_table(QuarantineTable, "quarantine")
    assert aside.episode_index.tolist() == [KEPT[4]]
    assert aside.episode_id.tolist() == [source.name(4)]
    assert aside.episode_id[0].endswith("-000006")


def test_numbers_that_would_overflow_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    far = 2**62 - 1
    run(record(tmp_path / "a", range(2), numbers=(0, far)), out)
    before = {file: file.read_bytes() for file in out.rglob("*.parquet")}
    code, _, error = sima2("run", "--source", "lerobot", "--path", record(tmp_path / "b", range(5, 7)), "--out", out)
    assert code == 3
    assert "find no room" in error
    assert {file: file.read_bytes() for file in out.rglob("*.parquet")} == before
    assert sima2("doctor", out)[0] == 0


def test_a_plan_with_gaps_is_drawn_by_number(gapped: tuple[Path, Path]) -> None:
    _, out = gapped
    code, told, _ = sima2("sample", out, "--n", 60, "--json")
    assert code == 0
    assert set(json.loads(told)["episode_index"]) == set(KEPT)


def test_an_unknown_run_is_refused(gapped: tuple[Path, Path]) -> None:
    _, out = gapped
    code, _, error = sima2("sample", out, "--frames", "x.parquet", "--run", 3)
    assert code == UsageError.exit_code
    assert "no run 3" in error
