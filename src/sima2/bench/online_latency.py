"""How long a push of one frame takes, the work of blocks included."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from sima2.errors import UsageError
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.segmentation_engine import SegmentationEngine

TARGETS: Final = {"online_push_us_p99": (100.0, "at most"), "online_push_us_mean": (100.0, "at most")}


def online_latency(batch: RolloutBatch, *, frames: int = 10_000) -> dict[str, Any]:
    """CPU time of pushes of single frames, µs: median, 99th percentile, mean and worst (a push that labels a block).

    Args:
        batch: rollouts whose frames are pushed one after another as one long stream, until there are ``frames``; all
            with the channels of the first.
        frames: frames to push, at least 1.

    Raises:
        UsageError: if the batch has no frames.
    """
    if not batch.frames or frames < 1:
        raise UsageError("online latency is measured on frames, and there are none")
    first = next(rollout for rollout in batch if len(rollout))
    stream = SegmentationEngine().stream(first.episode_id, robot=first.robot)
    spent = np.empty(frames)
    bytes_held = 0
    for k, frame in enumerate(single_frames(first, frames)):
        begin = time.thread_time_ns()
        given = stream.push(frame)
        spent[k] = time.thread_time_ns() - begin
        if len(given):
            bytes_held = max(bytes_held, stream.held_bytes)
    begin = time.thread_time_ns()
    stream.finish()
    last = (time.thread_time_ns() - begin) / 1e3
    spent /= 1e3
    return {
        "online_frames": len(spent),
        "online_objects": len(first.object_position),
        "online_push_us_p50": float(np.median(spent)),
        "online_push_us_p99": float(np.quantile(spent, 0.99)),
        "online_push_us_mean": float((spent.sum() + last) / len(spent)),
        "online_push_us_worst": float(spent.max()),
        "online_held_bytes": bytes_held,
        "online_look_ahead_s": stream.look_ahead_s,
    }


def single_frames(rollout: Rollout, frames: int) -> Iterator[dict[str, Any]]:
    """Single frames of a rollout over and over, its time going on; one by one, as a stream holds them."""
    n = len(rollout)
    step = (rollout.time[-1] - rollout.time[0]) / max(n - 1, 1) or 0.05
    span = rollout.time[-1] - rollout.time[0] + step
    arms = {arm: m.channels() for arm, m in rollout.manipulators.items()}
    sole = len(arms) == 1 and next(iter(arms)) == "arm"
    for k in range(frames):
        turn, i = divmod(k, n)
        frame: dict[str, Any] = {"time": float(rollout.time[i] + turn * span)}
        shown = {arm: {name: x[i] for name, x in channels.items()} for arm, channels in arms.items()}
        frame |= shown["arm"] if sole else {"manipulators": shown}
        if rollout.object_position:
            frame["object_position"] = {name: x[i] for name, x in rollout.object_position.items()}
        yield frame
