"""Real physics: the engine, fitted on nothing, against truth from controller stage and contact state."""

from __future__ import annotations

from collections import defaultdict

import pytest

from sima2 import SegmentationEngine, Sima2Client
from sima2.bench.segment_measures import Counts, count
from sima2.client import Pumped

pytest.importorskip("mujoco")

FAMILIES = ("drawer_open", "dish_place", "wipe_surface", "pick_and_place", "sort_objects")


@pytest.fixture(scope="module")
def made() -> list[Pumped]:
    return [Sima2Client(backend="mujoco", seed=11).rollouts(family=family, count=6) for family in FAMILIES]


def judged(made: list[Pumped], shift: int = 0) -> Counts:
    total = Counts()
    for pumped in made:
        assert pumped.truth is not None
        found, actual = defaultdict(list), defaultdict(list)
        for s in SegmentationEngine().segment(pumped.batch):
            found[s.episode_id].append((s.label, s.start_frame, s.end_frame))
        for row in pumped.truth.segments.rows():
            actual[row["episode_id"]].append((row["label"], row["start_frame"], row["end_frame"]))
        ids = pumped.batch.episodes.episode_id
        for i, eid in enumerate(ids):
            total += count(found[eid], actual[ids[(i + shift) % len(ids)]], tolerance=3)
    return total


def test_segments_agree_with_the_truth_of_real_physics(made: list[Pumped]) -> None:
    total = judged(made)
    assert total.f1(50) > 85
    assert total.accuracy > 0.88


def test_truth_of_another_episode_is_no_match(made: list[Pumped]) -> None:
    assert judged(made, shift=1).f1(50) < 60
