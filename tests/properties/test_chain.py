"""What the whole chain promises: one digest however it is run, and nothing but names from names."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sima2 import Sima2Client, run_pipeline
from sima2.client import Intake, Source
from sima2.io.store import Store
from sima2.orchestrator import run_source
from sima2.pipeline import RunSettings
from sima2.records.intake import QuarantineTable
from sima2.records.rollout import RolloutBatch, fold_of
from sima2.records.tags import TagTable
from sima2.tags.strangeness import CALIBRATION_PARTS
from sima2.tasks.families import ALL_FAMILIES

EPISODES = 20
"""A family."""
EVERY = EPISODES * len(ALL_FAMILIES)
SHARD = 100
"""Episodes; two shards over all families."""
SMALL_SHARDS = (
    f"import runpy; from sima2.pipeline import pass_one; pass_one.SHARD_EPISODES = {SHARD}; "
    "runpy.run_module('sima2', run_name='__main__')"
)


def files(out: Path) -> dict[str, str]:
    return {
        str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(out.rglob("*.parquet"))
    }


@pytest.fixture(scope="module", autouse=True)
def _small_shards() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sima2.pipeline.pass_one.SHARD_EPISODES", SHARD)
        yield


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("once") / "out"
    run_pipeline(RunSettings(total=EVERY, out=out))
    return out


@pytest.mark.parametrize(("jobs", "batch_size"), [(2, 50), (1, 17), (2, SHARD)])
def test_same_bytes_for_any_number_of_processes_and_any_batch(
    once: Path, tmp_path: Path, jobs: int, batch_size: int
) -> None:
    summary = run_pipeline(RunSettings(total=EVERY, out=tmp_path / "out", jobs=jobs, batch_size=batch_size))
    assert files(tmp_path / "out") == files(once)
    assert summary.values["digest"] == json.loads((once / "summary.json").read_text())["digest"]


def test_another_seed_gives_another_digest(once: Path, tmp_path: Path) -> None:
    summary = run_pipeline(RunSettings(episodes=EPISODES, seed=1, out=tmp_path / "out"))
    assert summary.values["digest"] != json.loads((once / "summary.json").read_text())["digest"]


def test_every_file_of_the_interface_is_there_and_whole(once: Path) -> None:
    names = (
        "episodes.parquet",
        "segments",
        "primitives",
        "tags",
        "econ",
        "proposals.parquet",
        "ontology.json",
        "task_graph.json",
        "trust_matrix.json",
        "weights.parquet",
        "defects.parquet",
        "quarantine.parquet",
        "summary.json",
        "ledger.sqlite",
        "report.html",
    )
    assert [name for name in names if not (once / name).exists()] == []
    with Store.read_only(once) as store:
        assert store.verify() == []


def test_episodes_in_are_episodes_out_and_weights_sum_to_one(once: Path) -> None:
    from sima2.records.plan import SamplePlan

    told = json.loads((once / "summary.json").read_text())["episodes"]
    assert told["in"] == told["ok"] + told["quarantined"] + told["skipped"]
    with Store.read_only(once) as store:
        plan = store.read_table(SamplePlan, "weights")
    assert len(plan) == told["ok"]
    assert abs(plan.p.sum() - 1) < 1e-12


def test_episodes_know_their_defects(once: Path) -> None:
    from sima2.records.defects import DefectTable
    from sima2.records.episodes import EpisodeTable

    with Store.read_only(once) as store:
        defects, episodes = store.read_table(DefectTable, "defects"), store.read_table(EpisodeTable, "episodes")
    told = json.loads((once / "summary.json").read_text())["defects"]
    assert episodes.defects.sum() == len(defects) == sum(row["findings"] for row in told.values()) > 0
    assert ((episodes.defects > 0) == (episodes.worst_defect.decode() != "")).all()
    assert episodes.defect_severity.max() == defects.severity[0]


@dataclass(frozen=True)
class Disguised(Source):
    """A source whose episodes come in another order, under other names, with provenance blank and truth shuffled."""

    inner: Any
    order: np.ndarray
    names: dict[str, str]

    @property
    def episodes(self) -> int:
        return len(self.order)

    def read(self, start: int, stop: int) -> Intake:
        got = self.inner.read(0, self.inner.episodes)
        where = self.order[start:stop]
        rollouts = []
        for i in where:
            r = got.batch[int(i)]
            objects = {k: f"zz_{k}" for k in r.object_position}
            goal = r.goal and replace(
                r.goal,
                object=objects.get(r.goal.object, r.goal.object),
                target=objects.get(r.goal.target, r.goal.target),
            )
            rollouts.append(
                r.with_(
                    episode_id=self.names[r.episode_id],
                    provenance={},
                    goal=goal,
                    object_position={objects[k]: v for k, v in r.object_position.items()},
                    object_orientation={objects[k]: v for k, v in r.object_orientation.items()},
                    object_confidence={objects[k]: v for k, v in r.object_confidence.items()},
                )
            )
        truth = got.truth
        if truth is not None:
            truth = truth.take(np.random.default_rng(0).permutation(len(truth)))
        return Intake(
            RolloutBatch.from_rollouts(rollouts, first_index=start),
            got.outcome.take(where),
            QuarantineTable.empty(),
            truth,
        )

    def describe(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class Plain(Disguised):
    """The same source as it is, read whole for comparison."""

    def read(self, start: int, stop: int) -> Intake:
        return self.inner.read(start, stop)  # type: ignore[no-any-return]


def folds(eid: str) -> tuple[int, bool, bool, int]:
    """All that an id decides: the fold of its episode, and the parts in which references are tuned."""
    calibrates = fold_of(f"calibration of {eid}", CALIBRATION_PARTS) < CALIBRATION_PARTS // 2
    return fold_of(eid, 5), fold_of(f"penalty for {eid}", 3) == 0, calibrates, fold_of(f"tails of {eid}", 4)


def new_names(ids: list[str]) -> dict[str, str]:
    """Another name for every episode, of the same folds."""
    names: dict[str, str] = {}
    k = 0
    for eid in ids:
        while folds(f"renamed-{k}") != folds(eid):
            k += 1
        names[eid] = f"renamed-{k}"
        k += 1
    return names


def test_ids_order_object_names_provenance_and_truth_change_nothing_but_names(tmp_path: Path) -> None:
    inner = Sima2Client(seed=4).source(families=("pick_and_place",), episodes=80)
    ids = list(inner.read(0, inner.episodes).batch.episodes.episode_id)
    names = new_names(ids)
    order = np.random.default_rng(1).permutation(len(ids))
    # calibration reads spans of the source; scales must not depend on which episodes stand where
    settings = RunSettings(episodes=80)
    straight = run_source(Plain(inner, np.arange(len(ids)), {}), replace(settings, out=tmp_path / "a"))
    disguised = run_source(Disguised(inner, order, names), replace(settings, out=tmp_path / "b"))
    keys = ("frames", "segments", "primitives", "labels", "segment_outcomes", "episode_outcomes")
    assert {k: straight.values[k] for k in keys} == {k: disguised.values[k] for k in keys}

    def tags(out: Path, rename: dict[str, str]) -> dict[tuple[str, str, int], tuple[Any, ...]]:
        with Store.read_only(out) as store:
            table = TagTable.concat(list(store.read(TagTable, "tags")))
        return {
            (rename.get(row["episode_id"], row["episode_id"]), row["tag"], row["start_frame"]): (
                round(row["level"], 6) if row["level"] == row["level"] else None,
                row["kind"],
                row["end_frame"],
            )
            for row in table.rows()
        }

    assert tags(tmp_path / "a", names) == tags(tmp_path / "b", {})
    for tag, row in straight.values["trust"].items():
        assert disguised.values["trust"][tag]["tier"] == row["tier"]


def test_threads_hash_seed_and_time_zone_change_no_byte(once: Path, tmp_path: Path) -> None:
    threads = "1" if os.environ.get("OPENBLAS_NUM_THREADS", os.environ.get("OMP_NUM_THREADS")) != "1" else "2"
    numbers = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    others = {"PYTHONHASHSEED": "7", "TZ": "Asia/Kolkata"}
    command = [sys.executable, "-c", SMALL_SHARDS, "run", "--episodes", str(EVERY), "--out", str(tmp_path / "out")]
    subprocess.run(command, env={**os.environ, **numbers, **others}, check=True, capture_output=True)
    assert files(tmp_path / "out") == files(once)


def test_provenance_does_not_tell_the_seed() -> None:
    told = [Sima2Client(seed=seed).rollouts(count=3).batch.episodes.provenance for seed in (1, 2)]
    assert told[0] == told[1]
