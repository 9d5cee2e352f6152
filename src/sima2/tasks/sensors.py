"""Sensors: noise of stated size, clocks, small turns."""

from __future__ import annotations

import sys
from typing import Final

import numpy as np

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.tasks import scene_embedding
from sima2.tasks.families import SCENE_OBJECTS
from sima2.tasks.world_settings import PhysicsSettings

_HALVES: Final = (0, 1) if sys.byteorder == "little" else (1, 0)
HALF: Final = 35
"""Normal draws of a frame come in two blocks of this width: joints, hand, vision; gripper, forces, clock, objects."""


def draw_noise(
    generators: list[np.random.Generator], length: Int64s, factor: Float64s, settings: PhysicsSettings
) -> tuple[Float32s, Float32s]:
    """Sensor noise of every frame, two blocks of shape (T, HALF). Source: Box & Muller 1958."""
    frames = int(length.sum())
    words = np.empty((frames, HALF), np.uint64)
    at = 0
    for generator, size in zip(generators, length.tolist(), strict=True):
        words[at : at + size] = generator.bit_generator.random_raw(size * HALF).reshape(size, HALF)
        at += size
    # the halves of a word, the low one first wherever the bytes of a machine begin
    low, high = (words.view(np.uint32).reshape(frames, HALF, 2)[..., k] for k in _HALVES)
    angle = high.astype(np.float32)
    angle *= np.float32(2 * np.pi / 2**32)
    radius = low.astype(np.float32)
    radius += np.float32(1)
    radius *= np.float32(2.0**-32)
    np.log(radius, out=radius)
    radius *= np.float32(-2)
    np.sqrt(radius, out=radius)
    radius *= np.repeat((factor * settings.noise.scale).astype(np.float32), length)[:, None]
    one = np.cos(angle)
    np.sin(angle, out=angle)
    one *= radius
    angle *= radius
    n = settings.noise
    sigma_one = [n.joint_rad] * 5 + [n.joint_speed] * 5 + [n.joint_torque] * 5 + [n.ee_m] * 3 + [n.ee_rad]
    one *= np.array(sigma_one + [n.embedding] * scene_embedding.WIDTH, np.float32)
    k = SCENE_OBJECTS
    sigma_two = [n.width_m, n.grip_n, n.contact_n, n.clock_s] + [n.confidence] * k + [n.object_rad] * k
    angle *= np.array(sigma_two + [n.object_m] * (3 * k) + [0.0], np.float32)
    return one, angle


def turn_a_little(quaternion: list[Float32s], angle: Float32s, out: Float32s) -> None:
    """Quaternions w x y z, given by component, turned about the vertical by a small angle, into shape (…, 4)."""
    half = np.float32(0.5) * angle
    w, x, y, z = quaternion
    np.subtract(w, half * z, out=out[..., 0])
    np.subtract(x, half * y, out=out[..., 1])
    np.add(y, half * x, out=out[..., 2])
    np.add(z, half * w, out=out[..., 3])


def stamp_times(out: Float64s, length: Int64s, first: Int64s, jitter: Float32s, settings: PhysicsSettings) -> None:
    """Time stamps with jitter, from 0."""
    period = 1.0 / settings.rate_hz
    count = np.arange(len(out)) - np.repeat(first, length)
    np.multiply(count, period, out=out)
    out += np.clip(jitter, -0.2 * period, 0.2 * period)
    out[first] = 0.0
