"""A rollout of a million frames: in chunks as at once, and through the whole chain in bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sima2 import SegmentationEngine, Sima2Client
from sima2.bench.children import measured
from sima2.records.rollout import OBJECT_CHANNELS, Rollout
from sima2.records.segments import SegmentTable

CHUNK = 9_973
"""Frames handed over at once; a prime, so that no boundary falls on one of a window."""


def longest() -> Rollout:
    source = Sima2Client().source(mix="edge_cases_v1")
    batches = (source.read(k, k + 1).batch for k in range(source.episodes))
    return max((batch[0] for batch in batches if len(batch)), key=len)


@pytest.mark.stress
def test_a_million_frames_in_chunks_give_the_segments_of_all_at_once() -> None:
    rollout = longest()
    assert len(rollout) == 1_000_000
    from sima2 import RolloutBatch

    engine = SegmentationEngine()
    whole = engine.segment(RolloutBatch.from_rollouts([rollout]))
    stream = engine.stream(rollout.episode_id, robot=rollout.robot)
    parts, held = [], []
    for start in range(0, len(rollout), CHUNK):
        rows = slice(start, start + CHUNK)
        chunk = {
            "time": rollout.time[rows],
            "manipulators": {
                arm: {name: x[rows] for name, x in m.channels().items()} for arm, m in rollout.manipulators.items()
            },
        }
        for kind in OBJECT_CHANNELS:
            chunk[kind] = {name: x[rows] for name, x in getattr(rollout, kind).items()}
        parts.append(stream.push(chunk))
        held.append(stream.held_bytes)
    parts.append(stream.finish())
    streamed = SegmentTable.concat(parts)
    assert len(streamed) == len(whole) > 10_000
    for name in SegmentTable.columns():
        a, b = getattr(streamed, name), getattr(whole, name)
        if hasattr(a, "tolist") and not isinstance(a, np.ndarray):
            assert a.tolist() == b.tolist(), name
        else:
            np.testing.assert_array_equal(a, b, err_msg=name)
    # what is held does not grow with what came before
    assert max(held[len(held) // 2 :]) <= 1.5 * max(held[: len(held) // 2])


@pytest.mark.stress
def test_a_million_frames_go_through_the_whole_chain_in_bounded_memory(tmp_path: Path) -> None:
    told = measured(
        "sima2.bench.stress_cases:whole_run", out=str(tmp_path / "out"), mix="edge_cases_v1", episodes=1, seed=0
    )
    came = told["episodes"]
    assert came["in"] == came["ok"] + came["quarantined"]
    assert told["frames"] > 1_000_000
    assert told["memory_mb"] < 2000
