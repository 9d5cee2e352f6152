"""What the robot's sensors make of the true frames: noise, late and lost poses."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from sima2.records.arrays import Float64s
from sima2.tasks import scene_embedding
from sima2.tasks.simulator.meta_scripts import LEAST, sight
from sima2.tasks.simulator.recording import Played
from sima2.tasks.simulator.scenario import Scenario
from sima2.tasks.simulator.settings import SimulatorSettings, drawn

_SEEN: Final = (0.85, 0.99)
"""Pose confidence of objects in plain sight."""


def sensed(played: Played, rng: np.random.Generator, settings: SimulatorSettings) -> dict[str, Any]:
    """Channels of a rollout as keyword arguments."""
    noise, made, t, period = settings.noise, played.made, len(played.rows), played.world.period

    def shaken(value: Float64s, sigma: float | Float64s) -> Float64s:
        return value + noise.scale * sigma * rng.standard_normal(value.shape)

    jitter = noise.scale * np.hypot(noise.contact_n, noise.contact_share * played.contact) * rng.standard_normal(t)
    clock = np.clip(noise.scale * noise.clock_s * rng.standard_normal(t), -0.2 * period, 0.2 * period)
    time = np.arange(t) * period + clock
    objects: dict[str, dict[str, Float64s]] = {
        "object_position": {}, "object_orientation": {}, "object_confidence": {},
    }  # fmt: skip
    lost, when = _burst(played, rng, settings)
    # a late pose is that of an earlier frame
    pose = played.bodies[
        np.maximum(np.arange(t) - round(drawn(settings.pose_delay_s, float(rng.random())) / period), 0)
    ]
    hand = played.column("ee_position")
    for slot, (body, name) in enumerate(made.names.items()):
        place = shaken(pose[:, slot, :3], noise.object_m)
        turn = _unit(shaken(pose[:, slot, 3:], 0.5 * noise.object_rad))
        sure = rng.uniform(*_SEEN) + noise.scale * noise.confidence * rng.standard_normal(t)
        if body == "item" and "screen" in made.place:
            seen = sight(hand, pose[:, slot, :3], made)
            sure = shaken(seen, noise.confidence)
            place[seen < LEAST] = turn[seen < LEAST] = np.nan
        elif body == lost:
            place[when] = turn[when] = np.nan
            sure[when] = 0.1
        objects["object_position"][name] = place
        objects["object_orientation"][name] = turn
        objects["object_confidence"][name] = np.clip(sure, 0.0, 1.0)
    channels = {
        name: shaken(played.column(name), sigma)
        for name, sigma in (
            ("joint_position", noise.joint_rad), ("joint_velocity", noise.joint_speed),
            ("joint_torque", noise.joint_torque), ("ee_position", noise.ee_m),
        )
    }  # fmt: skip
    turn = _quaternions(played.column("rotation").reshape(t, 3, 3))
    channels["ee_orientation"] = _unit(shaken(turn, 0.5 * noise.ee_rad))
    for name, sigma in (("gripper_width", noise.width_m), ("grip_force", noise.grip_n)):
        channels[name] = np.maximum(shaken(played.column(name), sigma), 0.0)
    channels["contact_force"] = np.abs(played.contact + jitter)
    channels["embedding"] = _vision(hand - played.bodies[:, 0, :3], made, rng, settings)
    return {"time": time - time[0], **channels, **objects}


def _vision(gap: Float64s, made: Scenario, rng: np.random.Generator, settings: SimulatorSettings) -> Float64s:
    """Embedding of shapes, light and pose, by the function of the synthetic world, shape (t, ``looks.WIDTH``)."""
    shapes = [(made.geometry.name, next(iter(made.family.names), ""))]
    light, strangeness = np.array([rng.standard_normal()]), np.array([rng.random()])
    if made.plan["inject_object"]:
        strangeness = 0.5 + 0.5 * strangeness
    z = rng.standard_normal((1, scene_embedding.WIDTH))
    base = scene_embedding.base_of(shapes, light, np.array([made.alien]), strangeness, z)
    noise = settings.noise.scale * settings.noise.embedding * rng.standard_normal((len(gap), scene_embedding.WIDTH))
    seen: Float64s = np.tanh(base + gap @ scene_embedding.POSE) + noise
    return seen


def _burst(played: Played, rng: np.random.Generator, settings: SimulatorSettings) -> tuple[str, slice]:
    """One object that is not seen for a while, in some episodes."""
    happens, which, start, seconds = rng.random(4)
    names = list(played.made.names)
    if happens > settings.values.dropouts:
        return "", slice(0, 0)
    first = int(start * len(played.rows))
    lasting = drawn(settings.dropout_s, float(seconds))
    return names[int(which * len(names))], slice(first, first + int(lasting / played.world.period))


def _quaternions(turn: Float64s) -> Float64s:
    """Unit quaternions w x y z of rotations, without jumps of sign; shapes (t, 3, 3) and (t, 4)."""
    from scipy.spatial.transform import Rotation

    found = np.roll(Rotation.from_matrix(turn).as_quat(), 1, axis=1)
    flips = np.ones(len(found))
    flips[1:] = np.where((found[1:] * found[:-1]).sum(axis=1) < 0, -1.0, 1.0)
    return found * np.cumprod(flips)[:, None]


def _unit(quaternion: Float64s) -> Float64s:
    unit: Float64s = quaternion / np.sqrt(np.square(quaternion).sum(axis=1, keepdims=True))
    return unit
