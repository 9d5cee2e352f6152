"""Poses of the objects at every frame: at rest, with the hand, or on their own; and what the camera makes of them."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Float32s, Int64s
from sima2.records.rollout import spans
from sima2.tasks.chain import BOUNCE
from sima2.tasks.columns import Channels, Columns, tilted
from sima2.tasks.families import SCENE_OBJECTS
from sima2.tasks.profiles import min_jerk
from sima2.tasks.sensors import turn_a_little
from sima2.tasks.steps import OWN_MOTIONS
from sima2.tasks.world import World
from sima2.tasks.world_settings import SESSION_LAG

UNSEEN: Final = 0.15
"""Pose confidence below which no pose is reported."""
_CONFIDENCE, _TURN, _PLACE = slice(4, 10), slice(10, 16), slice(16, 34)
"""Where the objects' noise stands in its block."""


class Chunk:
    """Some whole episodes, begin … stop, that are rendered together: their frames, c of them."""

    def __init__(self, world: World, table: Columns, begin: int, stop: int) -> None:
        rows, self.episodes = world.rows, slice(begin, stop)
        offset, edge = rows.offset[begin : stop + 1], slice(rows.edge[begin], rows.edge[stop])
        self.where = slice(int(offset[0]), int(offset[-1]))
        """Their frames in the batch."""
        self.length = np.diff(offset)
        """Frames of each episode."""
        self.first = offset[:-1] - self.where.start
        """First frame of each episode in the chunk."""
        self.row = np.repeat(np.arange(edge.start, edge.stop), rows.frames[edge])
        """Row of each frame, shape (c,)."""
        self.local = np.arange(self.where.start, self.where.stop) - rows.first[self.row]
        """Frame within its row, shape (c,)."""
        self.share: Float32s = (self.local + 0.5).astype(np.float32) * table.scale[self.row]
        """Share of the row's time that has passed, shape (c,)."""
        self.eased: Float32s = min_jerk(self.share)
        """Share of its way that is done, shape (c,)."""


def render_objects(
    out: Channels, table: Columns, world: World, chunk: Chunk, hand: list[Float32s], noise: Float32s
) -> None:
    """Object channels of the frames of a chunk."""
    position, attitude = table.objects[chunk.row], table.attitude[chunk.row]
    _carried(position, attitude, table, chunk, hand)
    _on_their_own(position, attitude, table, world, chunk)
    _late(position, attitude, world, chunk)
    seen = _confidence(table, world, chunk)
    seen += noise[:, _CONFIDENCE]
    seen.reshape(-1)[_bursts(world, chunk)] *= np.float32(0.1)
    np.clip(seen, 0, 1, out=seen)
    blur = np.repeat((1.7 - world.scene.confidence[chunk.episodes]).astype(np.float32), chunk.length, axis=0)
    np.nan_to_num(blur, copy=False)
    place, turned = out["object_position"], out["object_orientation"]
    np.add(
        position.reshape(len(position), -1),
        noise[:, _PLACE] * np.repeat(blur, 3, axis=1),
        out=place.reshape(len(position), -1),
    )
    wobble = noise[:, _TURN] * blur
    turn_a_little([attitude[:, :, c] for c in range(4)], wobble, turned)
    unseen = np.flatnonzero(seen.reshape(-1) < UNSEEN)
    place.reshape(-1, 3)[unseen] = np.nan
    turned.reshape(-1, 4)[unseen] = np.nan
    out["object_confidence"][:] = seen


def _carried(position: Float32s, attitude: Float32s, table: Columns, chunk: Chunk, hand: list[Float32s]) -> None:
    """Objects in the hand move and turn about the vertical with it."""
    flat, turned = position.reshape(-1, 3), attitude.reshape(-1, 4)
    for slot in table.slot[:2]:
        here = np.flatnonzero((slot >= 0)[chunk.row])
        r = chunk.row[here]
        at = here * SCENE_OBJECTS + slot[r]
        for axis in range(3):
            flat[at, axis] += hand[axis][here] - table.start[axis][r]
        angle = np.arctan2(hand[1][here], hand[0][here]) - np.arctan2(table.start[1][r], table.start[0][r])
        angle *= np.float32(0.5)
        c, sn = np.cos(angle), np.sin(angle)
        w, x, y, z = (turned[at, k] for k in range(4))
        turned[at] = np.stack([w * c - z * sn, x * c - y * sn, y * c + x * sn, z * c + w * sn], axis=1)


def _on_their_own(position: Float32s, attitude: Float32s, table: Columns, world: World, chunk: Chunk) -> None:
    """Objects that glide, fall at g with one small bounce, or tip over."""
    here = np.flatnonzero((table.own > 0)[chunk.row])
    r = chunk.row[here]
    at = here * SCENE_OBJECTS + table.slot[2][r]
    shift = world.rows.gather(world.moves.own_change, r)
    share = np.repeat(chunk.eased[here].astype(np.float64)[:, None], 3, axis=1)
    falls = table.own[r] == OWN_MOTIONS.index("fall")
    g = world.settings.fall_gravity
    t = (chunk.local[here[falls]] + 0.5) / world.settings.rate_hz
    landed = world.rows.gather(world.moves.fall_s, r[falls])
    share[falls, :2] = np.minimum(t / landed, 1.0)[:, None]
    drop = 0.5 * g * np.square(landed)
    after = np.maximum(t - landed, 0.0)
    bounce = np.maximum(BOUNCE * g * landed * after - 0.5 * g * after * after, 0.0)
    share[falls, 2] = np.where(t < landed, 0.5 * g * t * t, drop - bounce) / drop
    position.reshape(-1, 3)[at] += (shift[:, :3] * share).astype(np.float32)
    tips = np.flatnonzero(shift[:, 3] != 0)
    turned = world.rows.gather(world.moves.object_turn, r[tips])
    yaw, tilt = turned[np.arange(len(tips)), table.slot[2][r[tips]]].T
    attitude.reshape(-1, 4)[at[tips]] = tilted(yaw, tilt + shift[tips, 3] * share[tips, 2]).astype(np.float32)


def _late(position: Float32s, attitude: Float32s, world: World, chunk: Chunk) -> None:
    """Poses of a slow camera are those of an earlier frame."""
    lag = np.array(SESSION_LAG)[world.session[chunk.episodes]]
    slow = np.flatnonzero((lag > 0) & (chunk.length > 1))
    first, length = chunk.first[slow], chunk.length[slow]
    here = spans(first, length)
    source = np.maximum(here - np.repeat(lag[slow], length), np.repeat(first, length))
    position[here], attitude[here] = position[source], attitude[source]


def _confidence(table: Columns, world: World, chunk: Chunk) -> Float32s:
    """Pose confidence before noise."""
    seen = np.repeat(world.scene.confidence[chunk.episodes].astype(np.float32), chunk.length, axis=0)
    start, end = table.sight[:, 0], table.sight[:, 1]
    initial = world.scene.confidence[world.rows.episode, 0]
    here = np.flatnonzero(((start != initial) | (end != initial))[chunk.row])
    r = chunk.row[here]
    seen[here, 0] = (start[r] + (end[r] - start[r]) * chunk.eased[here]).astype(np.float32)
    return seen


def _bursts(world: World, chunk: Chunk) -> Int64s:
    """Flat places (frame × object) of the bursts in which the camera loses an object."""
    burst = world.burst[chunk.episodes]
    some = np.flatnonzero(burst[:, 0] >= 0)
    slot, share, seconds = burst[some].T
    length = chunk.length[some]
    count = np.minimum(np.maximum(np.rint(seconds * world.settings.rate_hz), 1).astype(np.int64), length)
    start = chunk.first[some] + (share * (length - count)).astype(np.int64)
    places: Int64s = spans(start, count) * SCENE_OBJECTS + np.repeat(slot.astype(np.int64), count)
    return places
