"""Scenarios are injected through the client, and what comes of them is seen in the raw signals."""

from __future__ import annotations

import numpy as np
import pytest

from sima2 import SegmentationEngine, Sima2Client
from sima2.client import Pumped
from sima2.errors import UnknownNameError
from sima2.tasks.design import Injection

LOST = ("gripper_slip", "drop", "missed_grasp")


def lost_at(frame: int, pumped: Pumped) -> list[bool]:
    """Whether each episode shows a lost grip at a frame."""
    table = SegmentationEngine().segment(pumped.batch)
    return [
        any(
            s.start_frame - 6 <= frame <= s.end_frame + 6
            for s in table
            if s.episode_id == eid and s.failure_reason in LOST
        )
        for eid in pumped.batch.episodes.episode_id
    ]


def test_a_forced_slip_is_seen_where_it_was_forced_and_nowhere_without() -> None:
    client = Sima2Client(seed=2)
    assert all(lost_at(160, client.rollouts(count=6, inject=Injection("slip", frame=160))))
    assert not any(lost_at(160, client.rollouts(template="success", count=6)))


def test_an_alien_object_looks_unlike_the_nominal_ones() -> None:
    client = Sima2Client(seed=2)
    alien = client.rollouts(family="wipe_surface", count=20, inject=Injection("unknown_object")).batch
    usual = client.rollouts(family="wipe_surface", template="success", count=60).batch
    assert any("unknown_mesh_v9" in names for names in alien.objects)
    assert alien.embedding is not None
    assert usual.embedding is not None
    centre = usual.embedding.mean(axis=0)

    def distance(x: np.ndarray) -> np.ndarray:
        return 1 - x @ centre / np.linalg.norm(x, axis=1) / np.linalg.norm(centre)

    assert np.median(distance(alien.embedding)) > np.quantile(distance(usual.embedding), 0.95)


def test_a_drawer_locked_for_good_fails_again_and_again() -> None:
    batch, outcome, _ = Sima2Client(seed=2).rollouts(family="drawer_open", count=4, inject=Injection("locked_joint"))
    table = SegmentationEngine().segment(batch)
    assert outcome.success.tolist() == [0.0] * 4
    for eid in batch.episodes.episode_id:
        assert sum(s.failure_reason == "locked" for s in table if s.episode_id == eid) >= 2


def test_a_wrong_injection_names_the_valid_ones() -> None:
    with pytest.raises(UnknownNameError, match="locked_joint"):
        Sima2Client().rollouts(family="drawer_open", count=1, inject=Injection("locked_joynt"))
