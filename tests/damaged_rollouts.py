"""Clean rollouts, and ways to spoil them."""

from __future__ import annotations

from functools import cache

import numpy as np

from sima2 import Sima2Client
from sima2.defects.inspector import DefectInspector
from sima2.defects.judge import DefectJudge
from sima2.records.defects import DefectTable
from sima2.records.rollout import ARM_CHANNELS, Rollout, RolloutBatch

SENSED = ("joint_velocity", "joint_torque", "ee_position", "ee_orientation", "grip_force", "contact_force", "objects")


@cache
def clean(count: int = 40, family: str = "pick_and_place", seed: int = 11) -> tuple[Rollout, ...]:
    """Nominal successes of the library."""
    return tuple(Sima2Client(seed=seed).rollouts(family=family, template="success", count=count)[0])


@cache
def joints_and_gripper(count: int = 40) -> tuple[Rollout, ...]:
    """The same with nothing else recorded."""
    return tuple(RolloutBatch.from_rollouts(clean(count)).without(*SENSED, "embedding", "action"))


def taken(r: Rollout, rows: np.ndarray, time: np.ndarray | None = None) -> Rollout:
    """Frames of a rollout by index, at their own or at other times."""
    arm = {name: value[rows] for name in ARM_CHANNELS if (value := getattr(r, name)) is not None}
    scene = {name: value[rows] for name in ("embedding", "action") if (value := getattr(r, name)) is not None}
    objects = {
        name: {key: value[rows] for key, value in getattr(r, name).items()}
        for name in ("object_position", "object_orientation", "object_confidence")
    }
    return r.with_(time=r.time[rows] if time is None else time, **arm, **scene, **objects)


def changed(r: Rollout, name: str, column: int | None, frames: slice, value: object) -> Rollout:
    """A channel with other values in some frames."""
    x = getattr(r, name).copy()
    x[frames if column is None else (frames, column)] = value
    return r.with_(**{name: x})


def with_pause(r: Rollout, at: int, seconds: float, seed: int = 0) -> Rollout:
    """The robot stands for a while, with the noise of its sensors."""
    period = float(np.median(np.diff(r.time)))
    n = round(seconds / period)
    rows = np.r_[np.arange(at), np.full(n, at), np.arange(at, len(r))]
    out = taken(r, rows, np.arange(len(rows)) * period)
    rng = np.random.default_rng(seed)
    q = out.joint_position.copy()
    q[at : at + n] += rng.normal(0, 7e-4, (n, q.shape[1])).astype(np.float32)
    return out.with_(joint_position=q)


def resampled(r: Rollout, share: float) -> Rollout:
    """The same motion at another rate, joints and gripper only."""
    n = round(len(r) * share)
    time = np.linspace(r.time[0], r.time[-1], n)
    q = np.stack([np.interp(time, r.time, column) for column in r.joint_position.T], axis=1)
    grip = {} if r.gripper_width is None else {"gripper_width": np.interp(time, r.time, r.gripper_width)}
    return Rollout(episode_id=r.episode_id, time=time, joint_position=q, **grip, family=r.family, robot=r.robot)


def named(r: Rollout, name: str) -> Rollout:
    """Under another id."""
    return r.with_(episode_id=name)


def alone(r: Rollout) -> DefectTable:
    """What the episode tells by itself."""
    return DefectInspector().inspect(RolloutBatch.from_rollouts([r])).defects


def together(rollouts: list[Rollout]) -> DefectTable:
    """What the run tells."""
    return DefectJudge().judge(*DefectInspector().inspect(RolloutBatch.from_rollouts(rollouts))[:2])


def kinds(table: DefectTable) -> set[str]:
    """Kinds found."""
    return set(table.defect)
