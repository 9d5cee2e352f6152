"""Where noise hides all motion, whether an arm moves or rests is unknown; a tremble at rest is rest."""

import numpy as np
import pytest

from sima2 import Rollout, RolloutBatch, SegmentationEngine, Sima2Client

FRAMES = 400


def labels(engine=None, *, period=0.05, **channels):
    rollout = Rollout(episode_id="e", time=np.arange(FRAMES) * period, **channels)
    return set((engine or SegmentationEngine()).segment(RolloutBatch.from_rollouts([rollout])).label.tolist())


@pytest.mark.parametrize("period", [0.1, 0.05, 0.02, 0.01])
@pytest.mark.parametrize("channel", ["ee_position", "joint_position"])
def test_white_noise_is_unknown(period: float, channel: str) -> None:
    rng = np.random.default_rng(0)
    track = rng.standard_normal((FRAMES, 3 if channel == "ee_position" else 7))
    width = np.abs(rng.standard_normal(FRAMES))
    assert labels(period=period, gripper_width=width, **{channel: track}) == {"unknown"}


@pytest.mark.parametrize("size", [0.0, 1e-4, 1e-3])
def test_a_tremble_at_rest_is_rest(size: float) -> None:
    assert labels(ee_position=np.random.default_rng(0).normal(0.4, size, (FRAMES, 3))) == {"idle"}


def test_a_fast_hand_is_no_noise() -> None:
    t = np.arange(FRAMES) * 0.05
    swings = 0.4 * np.stack([np.sin(4 * t), np.cos(4 * t), np.sin(2 * t)], axis=1)
    noisy = swings + np.random.default_rng(0).normal(0, 0.02, swings.shape)
    assert "unknown" not in labels(ee_position=noisy, gripper_width=0.04 + 0.04 * np.sin(t))


def test_noise_at_the_start_of_a_long_episode_is_unknown_in_a_stream_as_in_a_batch() -> None:
    rng = np.random.default_rng(1)
    position = np.concatenate([rng.standard_normal((2000, 3)), np.full((2000, 3), 0.4)])
    time = np.arange(4000) * 0.05
    whole = SegmentationEngine().segment(
        RolloutBatch.from_rollouts([Rollout(episode_id="e", time=time, ee_position=position)])
    )
    stream = SegmentationEngine().stream("e")
    parts = [stream.push({"time": time[a : a + 97], "ee_position": position[a : a + 97]}) for a in range(0, 4000, 97)]
    rows = [(s.label, s.start_frame, s.end_frame) for part in [*parts, stream.finish()] for s in part]
    assert rows == [(s.label, s.start_frame, s.end_frame) for s in whole]
    assert rows[0][0] == "unknown"


def test_garbage_of_the_stress_mix_is_put_aside_or_unknown() -> None:
    source = Sima2Client(seed=3).source(mix="stress_mix_v1", episodes=200)
    taken = source.read(0, source.episodes)
    noisy = {
        name for name, noise in zip(taken.batch.episodes.episode_id, taken.truth.episodes.noise, strict=True) if noise
    }
    assert {"frozen", "mostly_missing", "one_frame"} <= set(taken.quarantine.reason.tolist())
    assert len(noisy) > 5
    assert len(noisy) + len(taken.quarantine) == 0.2 * 200
    segments = SegmentationEngine().segment(taken.batch)
    named = {s.episode_id for s in segments if s.label != "unknown"}
    assert not named & noisy
    assert named == set(taken.batch.episodes.episode_id) - noisy
