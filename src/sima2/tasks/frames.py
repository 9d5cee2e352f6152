"""Every channel at every frame, from the moves: closed-form physics, then sensors.

Work goes in chunks of whole episodes that fit the cache. Every operation is elementwise over frames (differences stay
inside an episode), so a chunk or batch changes nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Float32s, Float64s
from sima2.tasks import scene_embedding
from sima2.tasks.columns import Channels, Columns, blank
from sima2.tasks.kinematics import ArmPlanes, Pose, rates, torques
from sima2.tasks.object_frames import Chunk, render_objects
from sima2.tasks.profiles import bump, carry_over, smooth
from sima2.tasks.sensors import draw_noise, stamp_times, turn_a_little
from sima2.tasks.world import World
from sima2.tasks.world_settings import ARMS, SESSION_NOISE

CHUNK_FRAMES: Final = 6000
KINEMATIC: Final = 2
"""Code of an unusual motion."""
PULSE_S: Final = 0.06
"""s over which an impact spreads in the structure."""
COMPLIANCE: Final = 1.0 / 650.0
"""m/N of the impedance controller: the commanded pose leads the actual one by it times the force."""


def render(world: World) -> tuple[Float64s, Channels]:
    """Time stamps and all channels of all frames."""
    offset = world.rows.offset
    time, channels = np.empty(int(offset[-1])), blank(int(offset[-1]))
    table = Columns(world)
    begin = 0
    while begin < len(offset) - 1:
        limit = offset[begin] + CHUNK_FRAMES
        stop = max(begin + 1, int(np.searchsorted(offset, limit, side="right")) - 1)
        _render_chunk(time, channels, table, world, Chunk(world, table, begin, stop))
        begin = stop
    return time, channels


def _render_chunk(time: Float64s, channels: Channels, table: Columns, world: World, chunk: Chunk) -> None:
    """Fill the frames of some episodes."""
    settings = world.settings
    rate, row, first = settings.rate_hz, chunk.row, chunk.first
    out = {name: values[chunk.where] for name, values in channels.items()}
    last = first + chunk.length - 1
    arm = ArmPlanes.of(ARMS, world.robot[chunk.episodes], chunk.length)
    *hand, pitch, roll, width, grip, level = _state(table, chunk, rate)
    force = _contact(table, chunk, level, rate)
    pose = Pose(hand, pitch, roll, arm)
    pushes = [table.direction[axis][row] * force for axis in range(3)]
    speed = [rates(joint, rate, first, last) for joint in pose.joints]
    acceleration = [rates(each, rate, first, last) for each in speed]
    torque = torques(pose, speed, acceleration, table.weight[row], pushes, hand, arm, settings.gravity)
    _unusual(torque, table, world, chunk)
    shaky = np.array(SESSION_NOISE)[world.session[chunk.episodes]]
    one, two = draw_noise(world.generators[chunk.episodes], chunk.length, shaky, settings)
    noise = iter(one.T)
    exact = {"joint_position": pose.joints, "joint_velocity": speed, "joint_torque": torque, "ee_position": hand}
    for name, planes in exact.items():
        for axis, plane in enumerate(planes):
            np.add(plane, next(noise), out=out[name][:, axis])
    turn_a_little(pose.quaternion, next(noise), out["ee_orientation"])
    for axis, plane in enumerate(hand):
        target = out["action"][:, axis]
        target[:-1] = plane[1:]
        target[last] = plane[last]
        target -= np.float32(COMPLIANCE) * pushes[axis]
    np.abs(width + two[:, 0], out=out["gripper_width"])
    np.abs(grip + two[:, 1] * (grip > 0) + np.float32(0.3) * two[:, 1], out=out["grip_force"])
    shake = np.float32(settings.noise.contact_share / max(settings.noise.contact_n, 1e-9)) * force
    np.abs(force + two[:, 2] * (1 + shake), out=out["contact_force"])
    np.subtract(width, np.float32(2e-4) * grip, out=out["action"][:, 3])
    stamp_times(time[chunk.where], chunk.length, first, two[:, 3], settings)
    render_objects(out, table, world, chunk, hand, two)
    vision = np.repeat(world.base[chunk.episodes].astype(np.float32), chunk.length, axis=0)
    for axis, plane in enumerate(hand):
        vision += (plane - table.objects[row, 0, axis])[:, None] * scene_embedding.POSE[axis]
    np.tanh(vision, out=vision)
    np.add(vision, one[:, 19:], out=out["embedding"])


def _state(table: Columns, chunk: Chunk, rate_hz: float) -> list[Float32s]:
    """Hand, angles, width and forces."""
    row, s = chunk.row, chunk.share
    state = [table.start[c][row] + chunk.eased * table.change[c][row] for c in range(8)]
    here = np.flatnonzero((table.momentum != 0).any(axis=0)[row])
    extra = carry_over(s[here])
    for axis in range(3):
        state[axis][here] += extra * table.momentum[axis][row[here]]
    here = np.flatnonzero((table.arc != 0)[row])
    state[2][here] += table.arc[row[here]] * bump(s[here])
    for which, level in enumerate((5, 6, 7)):
        here = np.flatnonzero((table.sudden[which] > 0)[row])
        r = row[here]
        t = np.minimum((chunk.local[here] + 0.5).astype(np.float32) / (table.sudden[which][r] * np.float32(rate_hz)), 1)
        state[level][here] = table.start[level][r] + smooth(t) * table.change[level][r]
    return state


def _contact(table: Columns, chunk: Chunk, level: Float32s, rate_hz: float) -> Float32s:
    """External force averaged over the control period: its level plus impacts, whose impulse it keeps."""
    force = np.maximum(level, 0)
    here = np.flatnonzero((table.impulse > 0)[chunk.row])
    begun, ended = (smooth(np.minimum((chunk.local[here] + k) / (rate_hz * PULSE_S), 1.0)) for k in (0, 1))
    force[here] += (table.impulse[chunk.row[here]] * (ended - begun) * rate_hz).astype(np.float32)
    return force


def _unusual(torque: list[Float32s], table: Columns, world: World, chunk: Chunk) -> None:
    """Torques of an unusual motion."""
    here = np.flatnonzero((table.strange == KINEMATIC)[chunk.row])
    factor = world.torque_factor[world.rows.episode[chunk.row[here]]].astype(np.float32)
    for each in torque:
        each[here] *= factor
