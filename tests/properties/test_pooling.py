"""Own data are never pooled unasked, an error leaves a finished folder alone, and trust acts where it was tested."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from recorded_sets import NAMES, record
from sima2.cli import app
from sima2.cli.sample import weighed
from sima2.client import Intake, Sima2Client, Source
from sima2.errors import WorkerError
from sima2.io.store import BEFORE, Store
from sima2.orchestrator import Given, run_pipeline, run_source, run_sources
from sima2.pipeline import RunSettings
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import AuditTable, SamplePlan
from sima2.report.inputs import load_report, read_trust

OTHER = ("left.pos", *NAMES)


def sima2(*words: Any) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


def state(out: Path) -> dict[str, bytes]:
    """Every file of a folder; of the ledger, what it says."""
    with Store.read_only(out) as store:
        told = repr((store.runs, store.calibrations, store.decisions, store.kinds())).encode()
    files = [file for file in sorted(out.rglob("*")) if file.is_file() and not file.name.startswith("ledger.")]
    names = [file for file in files if file.name != ".sima2.lock"]
    return {"ledger": told, **{file.relative_to(out).as_posix(): file.read_bytes() for file in names}}


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, Path]:
    """Two sets of one collection, and one of another robot and one with other columns."""
    return {
        "monday": record(tmp_path / "monday", range(5)),
        "tuesday": record(tmp_path / "tuesday", range(10, 14)),
        "robot": record(tmp_path / "robot", range(20, 24), robot="arm9"),
        "columns": record(tmp_path / "columns", range(30, 34), names=OTHER),
    }


def test_a_data_set_has_a_folder_of_its_own_and_its_format_is_found(
    sets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("monday", "robot"):
        code, told, error = sima2("run", "--path", sets[name], "--json")
        assert code == 0, error
        assert json.loads(told)["source"] == "lerobot"
        assert (tmp_path / f"results-{name}" / "summary.json").is_file()
    assert not (tmp_path / "results").exists()
    assert json.loads(sima2("run", "--source", "lerobot", "--path", sets["monday"], "--json")[1])["nothing_new"]


@pytest.mark.parametrize("other", ["robot", "columns", "made"])
def test_another_source_is_refused_with_both_names_and_the_two_ways_on(
    sets: dict[str, Path], tmp_path: Path, other: str
) -> None:
    out = tmp_path / "out"
    assert sima2("run", "--path", sets["monday"], "--out", out)[0] == 0
    before = state(out)
    words = ["--families", "drawer_open", "--episodes", "8"] if other == "made" else ["--path", sets[other]]
    code, told, error = sima2("run", *words, "--out", out)
    assert (code, told) == (2, "")
    assert str(sets["monday"]) in error
    assert ("made rollouts (synthetic)" if other == "made" else str(sets[other])) in error
    assert "--out" in error
    assert "--pool" in error
    assert state(out) == before
    assert sima2("doctor", out)[0] == 0
    code, told, error = sima2("run", *words, "--out", out, "--pool", "--json")
    assert code == 0, error
    assert len(json.loads(told)["sources"]) == 2


def test_recordings_into_a_folder_of_made_rollouts_are_refused(sets: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert sima2("run", "--families", "drawer_open", "--episodes", 8, "--out", out)[0] == 0
    assert sima2("run", "--path", sets["monday"], "--out", out)[0] == 2
    assert sima2("run", "--families", "drawer_open", "--episodes", 8, "--seed", 1, "--out", out)[0] == 0


def test_more_of_the_same_collection_is_added(sets: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert sima2("run", "--path", sets["monday"], "--out", out)[0] == 0
    code, told, _ = sima2("run", "--path", sets["tuesday"], "--out", out, "--json")
    values = json.loads(told)
    assert code == 0
    assert values["episodes"]["ok"] == 9
    assert len({each["collection"] for each in values["sources"]}) == 1
    assert "trust_by_collection" not in values


def test_several_paths_are_judged_once_and_as_one_after_the_other(sets: dict[str, Path], tmp_path: Path) -> None:
    both, turns = tmp_path / "both", tmp_path / "turns"
    code, told, error = sima2("run", "--path", sets["monday"], "--path", sets["robot"], "--out", both, "--json")
    assert code == 0, error
    values = json.loads(told)
    assert [each["episodes"] for each in values["sources"]] == [5, 4]
    for name in ("monday", "robot"):
        code, told, _ = sima2("run", "--path", sets[name], "--out", turns, "--pool", "--json")
    other = json.loads(told)
    with Store.read_only(both) as one, Store.read_only(turns) as two:
        assert [look for look, _, _ in one.calibrations] == [1]
        episodes = one.read_table(EpisodeTable, "episodes")
        assert episodes.episode_id.tolist() == two.read_table(EpisodeTable, "episodes").episode_id.tolist()
        assert [run.settings["path"] for run in one.runs] == [str(sets[name]) for name in ("monday", "robot")]
        for kind in ("segments", "econ", "observations"):
            for shard in (0, 1):
                files = (store.shard_file(kind, shard).read_bytes() for store in (one, two))
                assert len(set(files)) == 1
    assert values["costs"] == other["costs"]
    again = json.loads(sima2("run", "--path", sets["robot"], "--out", both, "--json")[1])
    assert again["nothing_new"]
    shown = load_report(both)
    assert {shown.overview["id"][int(row)] for row in shown.details} == set(episodes.episode_id)
    assert all(each["signals"] for each in shown.details.values())


def test_maps_and_outcomes_belong_to_the_paths_in_order(sets: dict[str, Path], tmp_path: Path) -> None:
    files = []
    for name, success in (("monday", 1), ("tuesday", 0)):
        files.append(tmp_path / f"{name}.csv")
        files[-1].write_text(f"episode_index,success\n0,{success}\n")
    paths = ["--path", sets["monday"], "--path", sets["tuesday"], "--out", tmp_path / "out"]
    code, _, error = sima2("run", *paths, "--outcomes", files[0])
    assert code == 2
    assert "once for each --path" in error
    assert sima2("run", *paths, "--outcomes", files[0], "--outcomes", files[1])[0] == 0
    with Store.read_only(tmp_path / "out") as store:
        episodes = store.read_table(EpisodeTable, "episodes")
    first = np.flatnonzero(episodes.source_index == 0)
    assert episodes.success[first].tolist() == [1.0, 0.0]


def test_the_same_path_twice_is_refused(sets: dict[str, Path], tmp_path: Path) -> None:
    path = sets["monday"]
    code, _, error = sima2("run", "--path", path, "--path", path, "--out", tmp_path / "out")
    assert code == 2
    assert "given twice" in error


def test_the_terminal_says_how_many_sources_and_of_what(sets: dict[str, Path], tmp_path: Path) -> None:
    _, told, _ = sima2("run", "--path", sets["monday"], "--path", sets["robot"], "--out", tmp_path / "out")
    line = " ".join(told.split())
    assert "Of 2 sources:" in line
    assert re.search(r"lerobot arm3 [0-9a-f]{6}.*lerobot arm9 [0-9a-f]{6}", line)
    # where nothing can be tested trust is one line, and the command tells the rest
    assert "not testable without outcomes" in line
    assert "Trust in each collection by itself" in sima2("trust", tmp_path / "out")[1]


@dataclass(frozen=True, eq=False)
class Faulty(Source):
    """A data set that cannot be read after so many reads."""

    inner: Source
    left: list[int]

    @property
    def episodes(self) -> int:
        return self.inner.episodes

    @property
    def source_id(self) -> str:
        return self.inner.source_id

    @property
    def collection(self) -> str:
        return self.inner.collection

    def read(self, start: int, stop: int) -> Intake:
        if not self.left:
            raise ArithmeticError("gone")
        self.left.pop()
        return self.inner.read(start, stop)

    def describe(self) -> Mapping[str, Any]:
        return self.inner.describe()


def opened(path: Path) -> Source:
    return Sima2Client(backend="dataset", path=path).source()


@pytest.mark.parametrize("reads", [0, 1])
def test_an_error_while_reading_leaves_a_finished_folder_as_it_was(
    sets: dict[str, Path], tmp_path: Path, reads: int
) -> None:
    settings = RunSettings(out=tmp_path / "out")
    run_source(opened(sets["monday"]), replace(settings, path=sets["monday"]))
    before = state(settings.out)
    with pytest.raises(WorkerError):
        run_source(Faulty(opened(sets["tuesday"]), [0] * reads), replace(settings, path=sets["tuesday"]))
    assert state(settings.out) == before
    assert sima2("doctor", settings.out)[0] == 0
    added = run_source(opened(sets["tuesday"]), replace(settings, path=sets["tuesday"]))
    assert added.values["episodes"]["ok"] == 9
    assert not (settings.out / BEFORE).exists()


@pytest.mark.parametrize("at", ["deciding.finalize", "finish.turtle", "summary.with_needs"])
def test_an_error_after_reading_leaves_a_finished_folder_as_it_was(
    sets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    out = tmp_path / "out"
    run_pipeline(path=sets["monday"], out=out)
    before = state(out)

    def broken(*_: Any, **__: Any) -> Any:
        raise WorkerError("no")

    monkeypatch.setattr(f"sima2.orchestrator.{at}", broken)
    with pytest.raises(WorkerError):
        run_pipeline(path=sets["tuesday"], out=out)
    monkeypatch.undo()
    assert state(out) == before
    assert sima2("doctor", out)[0] == 0
    whole = run_pipeline(path=sets["tuesday"], out=out).values["digest"]
    run_pipeline(path=sets["monday"], out=tmp_path / "straight")
    assert run_pipeline(path=sets["tuesday"], out=tmp_path / "straight").values["digest"] == whole


def test_an_interrupted_addition_goes_on_and_then_leaves_nothing_beside_the_results(
    sets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run_pipeline(path=sets["monday"], out=out)

    def stopped(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("sima2.orchestrator.deciding.finalize", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(path=sets["tuesday"], out=out)
    monkeypatch.undo()
    assert not (out / "summary.json").exists()
    assert (out / BEFORE / "summary.json").exists()
    assert run_pipeline(path=sets["tuesday"], out=out).values["episodes"]["ok"] == 9
    assert not (out / BEFORE).exists()


@dataclass(frozen=True, eq=False)
class Elsewhere(Source):
    """Made rollouts as if they were a collection of their own."""

    inner: Source
    collection: str = "lerobot elsewhere 000000"
    source_id: str = "e15e00"

    @property
    def episodes(self) -> int:
        return self.inner.episodes

    def read(self, start: int, stop: int) -> Intake:
        return self.inner.read(start, stop)

    def describe(self) -> Mapping[str, Any]:
        return self.inner.describe()


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection in which RecoveryTag is trusted, pooled with one that is far too small to tell."""
    out = tmp_path_factory.mktemp("pooled") / "out"
    large = Sima2Client(seed=3).source(families=("drawer_open", "pick_and_place"), episodes=700)
    small = Elsewhere(Sima2Client(seed=9).source(families=("drawer_open",), episodes=40))
    run_sources([Given(large, RunSettings(out=out)), Given(small, RunSettings(out=out, seed=9))])
    return out


def test_a_tag_acts_on_weights_only_where_it_was_tested(pooled: Path) -> None:
    trust = read_trust(pooled)
    assert set(trust.by_collection) == {"made", "lerobot elsewhere 000000"}
    assert trust.by_collection["made"]["RecoveryTag"].trust_level > 0.5
    assert trust.by_collection["lerobot elsewhere 000000"]["RecoveryTag"].trust_level == 0.0
    with Store.read_only(pooled) as store:
        episodes = store.read_table(EpisodeTable, "episodes")
        plan = store.read_table(SamplePlan, "weights")
        audit = store.read_table(AuditTable, "audit")
    foreign = episodes.source.isin("e15e00")
    assert foreign.sum() == 40
    assert len(np.unique(plan.p[foreign])) == 1
    assert len(np.unique(plan.p[~foreign])) > 1
    assert set(plan.reasons[foreign].tolist()) == {""}
    assert audit.episode_id.tolist() == episodes.episode_id.tolist()
    assert not any("trusted_recovery" in codes for codes in audit.codes[foreign])
    drawn = weighed(pooled, strategy="trust_weighted", objective="rl")[0].draws
    np.testing.assert_array_equal(drawn.p, plan.p)


def test_kinds_of_episode_of_the_whole_name_their_collection_and_a_collection_has_only_its_own(pooled: Path) -> None:
    with Store.read_only(pooled) as store:
        episodes = store.read_table(EpisodeTable, "episodes")
    together = read_trust(pooled)
    for row in together["RecoveryTag"].by_stratum:
        assert row.stratum.rpartition("|")[2] in together.by_collection
    one = together.of_source(episodes.source[0])
    assert one["RecoveryTag"].n < together["RecoveryTag"].n
    assert one is together.by_collection["made"]
    summary = json.loads((pooled / "summary.json").read_text())
    told = summary["trust_by_collection"]["made"]["RecoveryTag"]
    assert told["trust_level"] == pytest.approx(one["RecoveryTag"].trust_level)


def test_explain_tells_the_trust_of_the_episode_s_own_collection(pooled: Path) -> None:
    with Store.read_only(pooled) as store:
        episodes = store.read_table(EpisodeTable, "episodes")
    foreign = episodes.source.isin("e15e00")
    for where, trusted in ((foreign, False), (~foreign, True)):
        name = episodes.episode_id[int(np.flatnonzero(where)[0])]
        rows = json.loads(sima2("explain", pooled, name, "--json")[1])["tags"]
        row = next(row for row in rows if row["tag"] == "RecoveryTag")
        assert (row["trust_level"] > 0.5) is trusted


def test_trust_of_collections_is_shown_beside_the_whole(pooled: Path) -> None:
    code, told, _ = sima2("trust", pooled)
    assert code == 0
    assert "Trust in each collection by itself" in told
    assert "lerobot elsewhere 000000" in " ".join(told.split())
