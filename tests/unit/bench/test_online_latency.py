"""The online figures: what they hold, and that they are taken on what they say."""

from __future__ import annotations

import pytest

from sima2 import RolloutBatch, Sima2Client
from sima2.bench.online_latency import online_latency
from sima2.errors import UsageError


def test_pushes_of_single_frames_are_timed_with_the_work_of_blocks() -> None:
    batch = Sima2Client(seed=0).rollouts(family="pick_and_place", count=1).batch
    values = online_latency(batch, frames=2000)
    assert values["online_frames"] == 2000
    assert values["online_objects"] == len(batch.objects[0])
    assert 0 < values["online_push_us_p50"] <= values["online_push_us_p99"] <= values["online_push_us_worst"]
    # the work of the blocks, which the median push does not see, is in the mean
    assert values["online_push_us_mean"] > values["online_push_us_p50"]
    assert values["online_look_ahead_s"] > 0
    assert values["online_held_bytes"] > 0


def test_no_frames_are_nothing_to_time() -> None:
    with pytest.raises(UsageError, match="there are none"):
        online_latency(RolloutBatch.from_rollouts([]))
