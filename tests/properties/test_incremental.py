"""Runs one after the other in one folder: all episodes judged together, none twice, and trust moves only with data."""

import json
import shutil

import numpy as np
import pytest

from sima2 import run_pipeline
from sima2.errors import StoreError
from sima2.io.store import Store
from sima2.orchestrator import FIRST, SECOND, redecide
from sima2.pipeline import RunSettings
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.knowledge import ProposalTable
from sima2.records.plan import SamplePlan
from sima2.records.tags import TagTable

EACH = RunSettings(families=("drawer_open", "dish_place", "pick_and_place"), episodes=90)


def run(out, **changes):
    return run_pipeline(EACH, out=out, **changes)


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    out = tmp_path_factory.mktemp("twice") / "out"
    first = run(out, seed=0)
    kept = out.parent / "first"
    shutil.copytree(out, kept)
    return out, kept, first, run(out, seed=1)


def bytes_of(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.suffix in (".parquet", ".json")
    }


def test_a_second_run_adds_its_episodes_under_names_of_their_own(twice) -> None:
    out, _, first, second = twice
    assert first.values["episodes"]["ok"] == 270
    assert second.values["episodes"] == {"in": 540, "ok": 540, "quarantined": 0, "skipped": 0}
    assert [each["inputs"]["seed"] for each in second.values["runs"]] == [0, 1]
    with Store.read_only(out) as store:
        episodes = EpisodeTable.concat(list(store.read(EpisodeTable, "episode_shards")))
        plan = store.read_table(SamplePlan, "weights")
        econ = EconTable.concat(list(store.read(EconTable, "econ")))
        assert store.verify() == []
        assert store.digest() == second.values["digest"]
    ids = episodes.episode_id.tolist()
    assert len(set(ids)) == 540
    assert episodes.episode_index.tolist() == list(range(540))
    assert sorted(name for name in ids if name.endswith("#2"))[0] == "dish_place-000000#2"
    assert plan.episode_id.tolist() == econ.episode_id.tolist() == ids


def test_references_and_tags_are_made_anew_of_all(twice) -> None:
    out, kept, _, _ = twice
    assert bytes_of(out)["references.json"] != bytes_of(kept)["references.json"]
    with Store.read_only(out) as store:
        tags = TagTable.concat(list(store.read(TagTable, "tags")))
        assert store.committed(SECOND) == store.committed(FIRST)
    assert any(name.endswith("#2") for name in tags.episode_id.names)


def test_the_episodes_of_the_first_run_are_as_they_were(twice) -> None:
    out, kept, _, _ = twice
    before, now = bytes_of(kept), bytes_of(out)
    for name in before:
        if name.startswith(("segments/", "econ/", "primitives/", "observations/")):
            assert now[name] == before[name]


def test_trust_changes_only_with_new_data(twice) -> None:
    out, _, _, second = twice
    before = bytes_of(out)
    again = run(out, seed=0)
    assert again.values["nothing_new"]
    assert bytes_of(out) == before
    with Store.read_only(out) as store:
        looks = [look for look, _, _ in store.calibrations]
    assert looks == [1, 2]
    # the same recordings under another request: most are known again and skipped, and no look is spent on none
    assert again.values["trust"] == second.values["trust"]


def test_recordings_that_are_there_already_are_skipped(tmp_path) -> None:
    out = tmp_path / "out"
    one = run(out, families=("drawer_open",))
    both = run(out, families=("drawer_open", "dish_place"))
    assert one.values["episodes"]["ok"] == 90
    assert both.values["episodes"] == {"in": 270, "ok": 180, "quarantined": 0, "skipped": 90}
    same = run(out, families=("dish_place",))
    assert same.values["episodes"] == {"in": 360, "ok": 180, "quarantined": 0, "skipped": 180}
    assert same.values["trust"] == both.values["trust"]
    with Store.read_only(out) as store:
        assert [look for look, _, _ in store.calibrations] == [1, 2]


def test_an_interrupted_second_run_ends_as_if_uninterrupted(twice, tmp_path, monkeypatch) -> None:
    out, kept, _, _ = twice
    cut = tmp_path / "cut"
    shutil.copytree(kept, cut)
    commits = []

    def failing(self, phase, shard, *args):
        if len(commits) == 1:
            raise KeyboardInterrupt
        commits.append((phase, shard))
        return commit(self, phase, shard, *args)

    commit = Store.commit
    monkeypatch.setattr(Store, "commit", failing)
    with pytest.raises(KeyboardInterrupt):
        run(cut, seed=1)
    monkeypatch.undo()
    assert not (cut / "summary.json").exists()
    with pytest.raises(StoreError, match=r"interrupted run with other settings \(seed\)"):
        run(cut, seed=2)
    run(cut, seed=1)
    want, got = bytes_of(out), bytes_of(cut)
    assert want.keys() == got.keys()
    assert [name for name in want if want[name] != got[name] and name != "summary.json"] == []


def test_shuffled_order_of_runs_gives_the_same_counts(twice, tmp_path) -> None:
    out, _, _, second = twice
    run(tmp_path / "other", seed=1)
    other = run(tmp_path / "other", seed=0)
    assert other.values["costs"]["energy_wh"] == second.values["costs"]["energy_wh"]
    with Store.read_only(out) as a, Store.read_only(tmp_path / "other") as b:
        cost = [np.sort(np.concatenate([part.damage for part in s.read(EconTable, "econ")])) for s in (a, b)]
    np.testing.assert_array_equal(*cost)


def test_what_is_taken_back_leaves_the_graphs_and_stays_away_in_later_runs(twice, tmp_path) -> None:
    _, kept, _, _ = twice
    out = tmp_path / "out"
    shutil.copytree(kept, out)
    with Store.read_only(out) as store:
        proposals = store.read_table(ProposalTable, "proposals")
        assert len(store.decisions) == int(proposals.status.isin("accepted").sum()) > 0
    row = next(row for row in proposals.rows() if row["kind"] == "fragility_node" and row["status"] == "accepted")
    name = row["proposal_id"]
    assert name in (out / "ontology.json").read_text()
    redecide(out, undo=name, because="the gripper was replaced")
    assert name not in (out / "ontology.json").read_text()
    with Store.read_only(out) as store:
        assert store.verify() == []
        assert store.digest() == json.loads((out / "summary.json").read_text())["digest"]
    later = run(out, seed=1)
    assert sum(kind["undone"] for kind in later.values["proposals"].values()) == 1
    redecide(out, restore=name)
    assert name in (out / "ontology.json").read_text()
    assert bytes_of(out)["proposals.parquet"] == bytes_of(twice[0])["proposals.parquet"]


def test_a_damaged_shard_is_made_again_by_its_own_run_and_by_no_other(twice, tmp_path) -> None:
    out = tmp_path / "out"
    shutil.copytree(twice[0], out)
    (out / "segments" / "shard-000003.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"segments shard 3 is damaged and of another run"):
        run(out, seed=0)
    run(out, seed=1)
    (out / "segments" / "shard-000000.parquet").unlink()
    run(out, seed=0)
    with Store.read_only(out) as store:
        assert store.verify() == []
        assert store.digest() == twice[3].values["digest"]
