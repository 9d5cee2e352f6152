"""The bench of meaning judges by truth, and its controls can fail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sima2 import Sima2Client
from sima2.bench import semantic_scores as scores
from sima2.bench.semantic_chain import Altered, Chained, Renamed, chained
from sima2.bench.semantics import rows, run
from sima2.tasks.families import ALL_FAMILIES


@pytest.fixture(scope="module")
def judged() -> Chained:
    return chained(Sima2Client(seed=77).source(families=("drawer_open", "dish_place"), episodes=300))


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return run(episodes=60, seed=5, backends=("synthetic",))


def test_truth_and_what_was_said_are_of_the_same_episodes(judged: Chained) -> None:
    assert judged.truth.episode_id.tolist() == judged.episodes.episode_id.tolist()
    assert set(judged.true_segments.episode_id) == set(judged.episodes.episode_id)


def test_recoveries_are_judged_by_truth(judged: Chained) -> None:
    honest = scores.recoveries(judged)
    assert honest["recovery_precision"] > 0.9
    shuffled = replace(judged, truth=judged.truth.take(np.random.default_rng(0).permutation(len(judged.truth))))
    assert scores.recoveries(shuffled)["recovery_precision"] < 0.5


def test_risk_is_judged_ahead_of_the_event_and_next_to_elapsed_time(judged: Chained) -> None:
    found = scores.risk(judged)
    assert found["risk_auroc"] > found["risk_elapsed_auroc"] > 0.5
    assert set(found["risk_families"]) == {"drawer_open", "dish_place"}
    noise = np.where(np.isnan(judged.highest("RiskTag")), np.nan, np.random.default_rng(0).random(len(judged.truth)))
    assert abs(scores.risk(judged, noise)["risk_auroc"] - 0.5) < 0.1


def test_affordances_are_held_against_the_library(judged: Chained) -> None:
    families = {name: ALL_FAMILIES[name] for name in ("drawer_open", "dish_place")}
    assert scores.affordances(judged, families) | {"affordances": 0} == {
        "affordances": 0,
        "affordances_missed": [],
        "affordances_false": [],
    }
    missing = scores.affordances(judged, ALL_FAMILIES)["affordances_missed"]
    assert "block: sortable" in missing


def test_episodes_pressed_harder_are_told_as_such_and_are_no_reference() -> None:
    plain = Sima2Client(seed=77).source(families=("drawer_open",), episodes=50)
    before, after = plain.read(0, 50), Altered(plain, every=5).read(0, 50)
    assert after.truth is not None
    chosen = after.truth.episodes.ood_source.isin("force")
    assert 0 < chosen.sum() < 12
    assert not after.outcome.nominal[chosen].any()
    frames = np.repeat(chosen, before.batch.length)
    one, other = (each.batch.manipulators["arm"].contact_force for each in (before, after))
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(other[frames], 4 * one[frames])
    np.testing.assert_array_equal(other[~frames], one[~frames])


def test_other_names_change_names_only() -> None:
    plain = Sima2Client(seed=77).source(families=("drawer_open",), episodes=10)
    before, after = plain.read(0, 10).batch, Renamed(plain).read(0, 10).batch
    assert after.objects[0][0] == "esbxfs_iboemf" + before.objects[0][0][len("drawer_handle") :].translate(
        str.maketrans("abc", "bcd")
    )
    np.testing.assert_array_equal(before.object_position, after.object_position)
    assert set(after.episodes.family) == {"esbxfs_pqfo"}


def test_the_bench_tells_every_figure_with_its_target(values: dict[str, Any]) -> None:
    found = values["sources"]["synthetic"]
    assert found["recovery_recall"] > 0.85
    assert found["renamed_tags_changed"] == 0
    assert found["noise_recovery_share"] < 0.1
    assert found["shuffled_risk_auroc"] < 0.6
    told = rows(values)
    assert any("write amplification" in name for name, _, _ in told)
    assert {"met", "MISSED"} >= {limit.rpartition(" ")[2] for _, _, limit in told if limit}
    assert all(set(each) == {"limit", "sense", "met"} for each in values["targets"].values())


def test_without_the_simulator_the_bench_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sima2.bench.semantics.find_spec", lambda _: None)
    (told,) = rows(run(backends=("mujoco",)))
    assert told == ("mujoco", "not available", "mujoco is not installed: pip install 'sima2[sim]'")
