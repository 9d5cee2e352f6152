"""What each segment measured: speed, path, force, energy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sima2.records.rollout import Manipulator
from sima2.segmentation.features import Features
from sima2.segmentation.signals import Doubles, Ints, hold_last, per_run

SECONDS_PER_HOUR = 3600.0


def measure(channels: Manipulator, features: Features, start: Ints, stop: Ints) -> dict[str, NDArray[np.float32]]:
    """Feature columns of the segment table, shape (s,) each; NaN where a channel is absent."""
    ragged = features.ragged
    n = len(start)
    blank = np.full(n, np.nan, np.float32)
    step = np.diff(ragged.time, append=ragged.time[-1:])
    step[ragged.offset[1:][np.diff(ragged.offset) > 0] - 1] = 0.0
    step = np.where(step > 0, step, ragged.period[ragged.episode])

    def largest(x: Doubles) -> NDArray[np.float32]:
        return per_run(np.maximum, x, start).astype(np.float32)

    def total(x: Doubles) -> NDArray[np.float32]:
        return per_run(np.add, x, start).astype(np.float32)

    out = dict.fromkeys(
        (
            "max_speed",
            "distance",
            "peak_force",
            "impulse",
            "grip_force",
            "width_change",
            "max_joint_speed",
            "max_joint_torque",
            "energy_wh",
        ),
        blank,
    )
    if features.speed is not None:
        out["max_speed"] = largest(features.speed)
        if features.position is not None:
            out["distance"] = total(features.speed * step)
    if features.contact is not None:
        out["peak_force"] = largest(features.contact)
        out["impulse"] = total(features.contact * step)
    if features.grip is not None:
        out["grip_force"] = (per_run(np.add, features.grip, start) / (stop - start)).astype(np.float32)
    if features.width is not None:
        out["width_change"] = (features.width[stop - 1] - features.width[start]).astype(np.float32)
    velocity = torque = None
    if channels.joint_velocity is not None:
        velocity, _ = hold_last(channels.joint_velocity.astype(np.float64), ragged)
        out["max_joint_speed"] = largest(np.abs(velocity).max(axis=1))
    if channels.joint_torque is not None:
        torque, _ = hold_last(channels.joint_torque.astype(np.float64), ragged)
        out["max_joint_torque"] = largest(np.abs(torque).max(axis=1))
    if velocity is not None and torque is not None and velocity.shape == torque.shape:
        power = np.abs(velocity * torque).sum(axis=1)
        out["energy_wh"] = total(power * step / SECONDS_PER_HOUR)
    return out
