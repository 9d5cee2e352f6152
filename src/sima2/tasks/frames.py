"""Every channel at every frame, from the moves: closed-form physics, then sensors.

Work goes in chunks of whole episodes that fit the cache. Every operation is elementwise over frames (differences stay
inside an episode), so a chunk or batch changes nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.tasks import scene_embedding
from sima2.tasks.chain import Moves
from sima2.tasks.kinematics import JOINTS, ArmPlanes, inverse, rates, torques
from sima2.tasks.object_frames import render_objects
from sima2.tasks.rows import Bodies, Channels, Columns, Rows, columns_of
from sima2.tasks.scene import Scene
from sima2.tasks.sensors import draw_noise, stamp_times, turn_a_little
from sima2.tasks.world_settings import ARMS, PhysicsSettings

CHUNK_FRAMES: Final = 6000
KINEMATIC: Final = 2
"""Code of an unusual motion."""
PULSE_S: Final = 0.06
"""s over which an impact spreads in the structure."""
COMPLIANCE: Final = 1.0 / 650.0
"""m/N of the impedance controller: the commanded pose leads the actual one by it times the force."""


def render(
    moves: Moves,
    rows: Rows,
    scene: Scene,
    scalars: Float64s,
    vectors: Float64s,
    bodies: Bodies,
    generators: list[np.random.Generator],
    settings: PhysicsSettings,
) -> Channels:
    """All channels of all frames."""
    channels = Channels.blank(int(rows.offset[-1]))
    columns = columns_of(moves, rows, scene, scalars, vectors, settings)
    n = len(rows.offset) - 1
    begin = 0
    while begin < n:
        limit = rows.offset[begin] + CHUNK_FRAMES
        stop = max(begin + 1, int(np.searchsorted(rows.offset, limit, side="right")) - 1)
        _render_chunk(channels, columns, rows, scene, bodies, generators, settings, begin, stop)
        begin = stop
    return channels


def _render_chunk(
    out: Channels,
    table: Columns,
    rows: Rows,
    scene: Scene,
    bodies: Bodies,
    generators: list[np.random.Generator],
    settings: PhysicsSettings,
    begin: int,
    stop: int,
) -> None:
    """Fill the frames of the episodes begin … stop."""
    offset = rows.offset[begin : stop + 1]
    where = slice(int(offset[0]), int(offset[-1]))
    length = np.diff(offset)
    first, last = offset[:-1] - offset[0], offset[1:] - offset[0] - 1
    row = np.repeat(np.arange(rows.edge[begin], rows.edge[stop]), rows.frames[rows.edge[begin] : rows.edge[stop]])
    local = np.arange(where.start, where.stop) - rows.first[row]
    s = (local + 0.5).astype(np.float32) * table.scale[row]
    arm = ArmPlanes.of(ARMS, bodies.robot[begin:stop], length)
    state, eased = _state(table, row, local, s, settings.rate_hz)
    x, y, z, pitch, roll, width, grip, level = state
    force = _contact(table, row, local, level, settings.rate_hz)
    pose = inverse(x, y, z, pitch, roll, arm)
    pushes = [table.direction[axis][row] * force for axis in range(3)]
    speed = [rates(joint, settings.rate_hz, first, last) for joint in pose.joints]
    acceleration = [rates(each, settings.rate_hz, first, last) for each in speed]
    torque = torques(pose, speed, acceleration, table.weight[row], pushes, (x, y), arm, settings.gravity)
    _unusual(torque, table, rows, row, bodies)
    one, two = draw_noise(generators[begin:stop], length, bodies.noise[begin:stop], settings)
    episode = np.repeat(np.arange(begin, stop), length)
    for joint in range(JOINTS):
        np.add(pose.joints[joint], one[:, joint], out=out.joint_position[where, joint])
        np.add(speed[joint], one[:, JOINTS + joint], out=out.joint_velocity[where, joint])
        np.add(torque[joint], one[:, 2 * JOINTS + joint], out=out.joint_torque[where, joint])
    for axis, plane in enumerate((x, y, z)):
        np.add(plane, one[:, 15 + axis], out=out.ee_position[where, axis])
        target = out.action[where, axis]
        target[:-1] = plane[1:]
        target[last] = plane[last]
        target -= np.float32(COMPLIANCE) * pushes[axis]
    turn_a_little(pose, one[:, 18], out.ee_orientation[where])
    np.abs(width + two[:, 0], out=out.gripper_width[where])
    np.abs(grip + two[:, 1] * (grip > 0) + np.float32(0.3) * two[:, 1], out=out.grip_force[where])
    shake = np.float32(settings.noise.contact_share / max(settings.noise.contact_n, 1e-9)) * force
    np.abs(force + two[:, 2] * (1 + shake), out=out.contact_force[where])
    np.subtract(width, np.float32(2e-4) * grip, out=out.action[where, 3])
    stamp_times(out.time[where], length, first, two[:, 3], settings)
    render_objects(out, table, rows, scene, bodies, settings, (begin, stop), where, row, local, eased, (x, y, z), two)
    vision = bodies.base.astype(np.float32)[episode]
    for axis, plane in enumerate((x, y, z)):
        vision += (plane - table.objects[row, axis])[:, None] * scene_embedding.POSE[axis]
    np.tanh(vision, out=vision)
    np.add(vision, one[:, 19:], out=out.embedding[where])


def _state(table: Columns, row: Int64s, local: Int64s, s: Float32s, rate_hz: float) -> tuple[list[Float32s], Float32s]:
    """Hand, angles, width and forces, and the share of the way done."""
    eased = s * s * s * (10 + s * (6 * s - 15))
    state = [table.start[c][row] + eased * table.change[c][row] for c in range(8)]
    moving = (table.momentum != 0).any(axis=0)
    here = np.flatnonzero(moving[row])
    if len(here):
        t = s[here]
        extra = t * (1 + t * t * (t * (8 - 3 * t) - 6))
        for axis in range(3):
            state[axis][here] += extra * table.momentum[axis][row[here]]
    here = np.flatnonzero((table.arc != 0)[row])
    t = s[here]
    state[2][here] += table.arc[row[here]] * (16 * np.square(t * (1 - t)))
    for which, level in enumerate((5, 6, 7)):
        here = np.flatnonzero((table.sudden[which] > 0)[row])
        r = row[here]
        t = np.minimum((local[here] + 0.5).astype(np.float32) / (table.sudden[which][r] * np.float32(rate_hz)), 1)
        state[level][here] = table.start[level][r] + t * t * (3 - 2 * t) * table.change[level][r]
    return state, eased


def _contact(table: Columns, row: Int64s, local: Int64s, level: Float32s, rate_hz: float) -> Float32s:
    """External force averaged over the control period: its level plus impacts, whose impulse it keeps."""
    force = np.maximum(level, 0)
    here = np.flatnonzero((table.impulse > 0)[row])
    if len(here):
        begun = np.minimum(local[here] / (rate_hz * PULSE_S), 1.0)
        ended = np.minimum((local[here] + 1) / (rate_hz * PULSE_S), 1.0)
        share = ended * ended * (3 - 2 * ended) - begun * begun * (3 - 2 * begun)
        force[here] += (table.impulse[row[here]] * share * rate_hz).astype(np.float32)
    return force


def _unusual(torque: list[Float32s], table: Columns, rows: Rows, row: Int64s, bodies: Bodies) -> None:
    """Torques of an unusual motion."""
    here = np.flatnonzero((table.strange == KINEMATIC)[row])
    if len(here):
        factor = bodies.torque_factor[rows.episode[row[here]]].astype(np.float32)
        for each in torque:
            each[here] *= factor
