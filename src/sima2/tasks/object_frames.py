"""Poses of the objects at every frame: at rest, with the hand, or on their own; and what the camera makes of them."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.records.rollout import spans
from sima2.tasks.chain import BOUNCE
from sima2.tasks.families import SCENE_OBJECTS
from sima2.tasks.rows import Bodies, Channels, Columns, Rows
from sima2.tasks.scene import Scene
from sima2.tasks.steps import OWN_MOTIONS
from sima2.tasks.world_settings import PhysicsSettings

UNSEEN: Final = 0.15
"""Pose confidence below which no pose is reported."""
_CONFIDENCE, _TURN, _PLACE = slice(4, 10), slice(10, 16), slice(16, 34)
"""Where the objects' noise stands in its block."""


def render_objects(
    out: Channels,
    table: Columns,
    rows: Rows,
    scene: Scene,
    bodies: Bodies,
    settings: PhysicsSettings,
    episodes: tuple[int, int],
    where: slice,
    row: Int64s,
    local: Int64s,
    eased: Float32s,
    hand: tuple[Float32s, Float32s, Float32s],
    noise: Float32s,
) -> None:
    """Object channels of the frames ``where`` of a chunk of episodes."""
    position = table.objects[row].reshape(len(row), SCENE_OBJECTS, 3)
    attitude = table.attitude[row].reshape(len(row), SCENE_OBJECTS, 4)
    _carried(position, attitude, table, row, hand)
    _on_their_own(position, attitude, table, row, local, eased, settings)
    begin, stop = episodes
    length = np.diff(rows.offset[begin : stop + 1])
    first = rows.offset[begin:stop] - where.start
    _late(position, attitude, bodies.lag[begin:stop], first, length)
    seen = _confidence(table, rows, scene, (begin, stop), row, eased, length)
    seen += noise[:, _CONFIDENCE]
    hidden = _bursts(bodies.burst[begin:stop], first, length, settings)
    seen.reshape(-1)[hidden] *= np.float32(0.1)
    np.clip(seen, 0, 1, out=seen)
    blur = np.repeat((1.7 - scene.confidence[begin:stop]).astype(np.float32), length, axis=0)
    np.nan_to_num(blur, copy=False)
    wobble = noise[:, _TURN] * blur * np.float32(0.5)
    place = out.object_position[where]
    np.add(
        position.reshape(len(row), -1),
        noise[:, _PLACE] * np.repeat(blur, 3, axis=1),
        out=place.reshape(len(row), -1),
    )
    w, x, y, z = (attitude[:, :, c] for c in range(4))
    turned = out.object_orientation[where]
    np.subtract(w, wobble * z, out=turned[:, :, 0])
    np.subtract(x, wobble * y, out=turned[:, :, 1])
    np.add(y, wobble * x, out=turned[:, :, 2])
    np.add(z, wobble * w, out=turned[:, :, 3])
    unseen = np.flatnonzero(seen.reshape(-1) < UNSEEN)
    place.reshape(-1, 3)[unseen] = np.nan
    turned.reshape(-1, 4)[unseen] = np.nan
    out.object_confidence[where] = seen


def _carried(
    position: Float32s, attitude: Float32s, table: Columns, row: Int64s, hand: tuple[Float32s, Float32s, Float32s]
) -> None:
    """Objects in the hand move and turn about the vertical with it."""
    flat = position.reshape(-1, 3)
    turned = attitude.reshape(-1, 4)
    for slot in table.slot[:2]:
        here = np.flatnonzero((slot >= 0)[row])
        if not len(here):
            continue
        r = row[here]
        at = here * SCENE_OBJECTS + slot[r]
        for axis in range(3):
            flat[at, axis] += hand[axis][here] - table.start[axis][r]
        angle = np.arctan2(hand[1][here], hand[0][here]) - np.arctan2(table.start[1][r], table.start[0][r])
        angle *= np.float32(0.5)
        c, sn = np.cos(angle), np.sin(angle)
        w, x, y, z = (turned[at, k] for k in range(4))
        turned[at] = np.stack([w * c - z * sn, x * c - y * sn, y * c + x * sn, z * c + w * sn], axis=1)


def _on_their_own(
    position: Float32s,
    attitude: Float32s,
    table: Columns,
    row: Int64s,
    local: Int64s,
    eased: Float32s,
    settings: PhysicsSettings,
) -> None:
    """Objects that glide, fall at g with one small bounce, or tip over."""
    here = np.flatnonzero((table.own > 0)[row])
    if not len(here):
        return
    r = row[here]
    at = here * SCENE_OBJECTS + table.slot[2][r]
    kind, shift = table.own[r], table.own_change[r]
    share = np.repeat(eased[here].astype(np.float64)[:, None], 3, axis=1)
    falls = kind == OWN_MOTIONS.index("fall")
    if falls.any():
        g = settings.fall_gravity
        t, landed = (local[here[falls]] + 0.5) / settings.rate_hz, table.fall_s[r[falls]]
        share[falls, :2] = np.minimum(t / landed, 1.0)[:, None]
        drop = 0.5 * g * np.square(landed)
        after = np.maximum(t - landed, 0.0)
        bounce = np.maximum(BOUNCE * g * landed * after - 0.5 * g * after * after, 0.0)
        fallen = np.where(t < landed, 0.5 * g * t * t, drop - bounce)
        share[falls, 2] = fallen / drop
    position.reshape(-1, 3)[at] += (shift[:, :3] * share).astype(np.float32)
    tips = np.flatnonzero(shift[:, 3] != 0)
    if len(tips):
        yaw, tilt = (table.turn[r[tips], table.slot[2][r[tips]], k] for k in range(2))
        half_yaw, half_tilt = 0.5 * yaw, 0.5 * (tilt + shift[tips, 3] * share[tips, 2])
        cy, sy, ct, st = np.cos(half_yaw), np.sin(half_yaw), np.cos(half_tilt), np.sin(half_tilt)
        turned = np.stack([cy * ct, cy * st, sy * st, sy * ct], axis=1)
        attitude.reshape(-1, 4)[at[tips]] = turned.astype(np.float32)


def _late(position: Float32s, attitude: Float32s, lag: Int64s, first: Int64s, length: Int64s) -> None:
    """Poses of a slow camera are those of an earlier frame."""
    slow = np.flatnonzero((lag > 0) & (length > 1))
    if not len(slow):
        return
    here = spans(first[slow], length[slow])
    start = np.repeat(first[slow], length[slow])
    source = np.maximum(here - np.repeat(lag[slow], length[slow]), start)
    position[here], attitude[here] = position[source], attitude[source]


def _confidence(
    table: Columns, rows: Rows, scene: Scene, episodes: tuple[int, int], row: Int64s, eased: Float32s, length: Int64s
) -> Float32s:
    """Pose confidence before noise."""
    begin, stop = episodes
    seen = np.repeat(scene.confidence[begin:stop].astype(np.float32), length, axis=0)
    start, end = table.sight[:, 0], table.sight[:, 1]
    initial = scene.confidence[rows.episode, 0]
    here = np.flatnonzero(((start != initial) | (end != initial))[row])
    if len(here):
        r = row[here]
        seen[here, 0] = (start[r] + (end[r] - start[r]) * eased[here]).astype(np.float32)
    return seen


def _bursts(burst: Float64s, first: Int64s, length: Int64s, settings: PhysicsSettings) -> Int64s:
    """Flat places (frame × object) of the bursts in which the camera loses an object."""
    some = np.flatnonzero(burst[:, 0] >= 0)
    count = np.minimum(np.maximum(np.rint(burst[some, 2] * settings.rate_hz), 1).astype(np.int64), length[some])
    start = first[some] + (burst[some, 1] * (length[some] - count)).astype(np.int64)
    places: Int64s = spans(start, count) * SCENE_OBJECTS + np.repeat(burst[some, 0].astype(np.int64), count)
    return places
