"""What the robot's sensors make of the true frames: noise, late and lost poses."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from sima2.records.arrays import Float64s
from sima2.tasks import scene_embedding
from sima2.tasks.simulator.inspect_scripts import LEAST, sight
from sima2.tasks.simulator.physics import World
from sima2.tasks.simulator.recording import COLUMNS, Recording
from sima2.tasks.simulator.scenario import Scenario
from sima2.tasks.simulator.settings import SimulatorSettings, drawn

_SEEN: Final = (0.85, 0.99)
"""Pose confidence of objects in plain sight."""


def sensed(recording: Recording, world: World, rng: np.random.Generator, settings: SimulatorSettings) -> dict[str, Any]:
    """Channels of a rollout as keyword arguments."""
    noise, true = settings.noise, np.stack(recording.rows)
    t = len(true)

    def noisy(name: str, sigma: float) -> Float64s:
        value = true[:, COLUMNS[name]]
        return value + noise.scale * sigma * rng.standard_normal(value.shape)

    contact = np.sqrt(np.square(true[:, COLUMNS["contact"]]).sum(axis=1))
    jitter = noise.scale * np.hypot(noise.contact_n, noise.contact_share * contact) * rng.standard_normal(t)
    clock = np.clip(noise.scale * noise.clock_s * rng.standard_normal(t), -0.2 * world.period, 0.2 * world.period)
    time = np.arange(t) * world.period + clock
    objects: dict[str, dict[str, Float64s]] = {
        "object_position": {},
        "object_orientation": {},
        "object_confidence": {},
    }
    pose = np.stack(recording.bodies)
    unseen = _burst(world, rng, settings, t)
    # a late pose is that of an earlier frame
    late = np.maximum(np.arange(t) - round(drawn(settings.pose_delay_s, float(rng.random())) / world.period), 0)
    pose = pose[late]
    for slot, (body, name) in enumerate(world.scenario.names.items()):
        place = pose[:, slot, :3] + noise.scale * noise.object_m * rng.standard_normal((t, 3))
        turn = _unit(pose[:, slot, 3:] + noise.scale * 0.5 * noise.object_rad * rng.standard_normal((t, 4)))
        sure = rng.uniform(*_SEEN) + noise.scale * noise.confidence * rng.standard_normal(t)
        if body == "item" and "screen" in world.scenario.place:
            seen = sight(true[:, COLUMNS["ee_position"]], pose[:, slot, :3], world.scenario)
            sure = seen + noise.scale * noise.confidence * rng.standard_normal(t)
            place[seen < LEAST] = turn[seen < LEAST] = np.nan
        elif body == unseen[0]:
            place[unseen[1]] = turn[unseen[1]] = np.nan
            sure[unseen[1]] = 0.1
        objects["object_position"][name] = place
        objects["object_orientation"][name] = turn
        objects["object_confidence"][name] = np.clip(sure, 0.0, 1.0)
    hand, item = true[:, COLUMNS["ee_position"]], np.stack(recording.bodies)[:, 0, :3]
    turn = _quaternions(true[:, COLUMNS["rotation"]].reshape(t, 3, 3))
    return {
        "time": time - time[0],
        "joint_position": noisy("joint_position", noise.joint_rad),
        "joint_velocity": noisy("joint_velocity", noise.joint_speed),
        "joint_torque": noisy("joint_torque", noise.joint_torque),
        "ee_position": noisy("ee_position", noise.ee_m),
        "ee_orientation": _unit(turn + noise.scale * 0.5 * noise.ee_rad * rng.standard_normal((t, 4))),
        "gripper_width": np.maximum(noisy("gripper_width", noise.width_m), 0.0),
        "grip_force": np.maximum(noisy("grip_force", noise.grip_n), 0.0),
        "contact_force": np.abs(contact + jitter),
        "embedding": _vision(hand - item, world.scenario, rng, settings),
        **objects,
    }


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


def _burst(world: World, rng: np.random.Generator, settings: SimulatorSettings, t: int) -> tuple[str, slice]:
    """One object that is not seen for a while, in some episodes."""
    happens, which, start, seconds = rng.random(4)
    names = list(world.scenario.names)
    if happens > settings.values.dropouts:
        return "", slice(0, 0)
    first = int(start * t)
    lasting = drawn(settings.dropout_s, float(seconds))
    return names[int(which * len(names))], slice(first, first + int(lasting / world.period))


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
