"""Features of an episode cut at its landmark, from raw channels and from the cut episode's own segments."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.records.rollout import Manipulator, RolloutBatch, spans
from sima2.records.segments import SegmentTable
from sima2.tags.reductions import head, row_median, span_max, span_mean, span_min, span_sum

FEATURES: Final = (
    "elapsed_s",
    "moving_s",
    "path",
    "speed_max",
    "speed_mean",
    "contact_speed",
    "jerk",
    "still_share",
    "detour",
    "joint_speed_max",
    "joint_torque_max",
    "effort_mean",
    "object_distance",
    "object_lateral",
    "object_offset",
    "object_drift",
    "object_reach",
    "object_height",
    "object_confidence",
    "clearance",
    "target_distance",
    "target_confidence",
    "target_clearance",
    "way_clearance",
    "objects",
    "opening",
    "grip_force",
    "contact_force",
    "force_rise",
    "segments",
    "segment_confidence",
    "idle_s",
)
"""Prefix features, SI units: time to the landmark, and that of it in which the hand moves; the hand's path; its speed
in it and in its last moment; root mean square jerk; share of time below a tenth of the top speed; path over straight
line; joints; nearest object's distance, offset across the direction of approach, horizontal offset from where it was
seen to stand, own movement, place in the robot's frame and median pose confidence; clearance of the hand to the next
nearest; where the goal names a target its distance from the object, its confidence, and the free room of bystanders
about it and about the straight way there (about the object itself where there is no target); gripper, forces and rise
of force at the landmark; pieces, confidence and pauses of the cut episode."""

_MOMENT_FRAMES: Final = 4
"""Frames before the landmark that count as its moment: enough for a speed, too few for another motion."""
_STILL: Final = 0.1
"""Below this share of its top speed a hand is taken to hesitate."""
_REST_FRAMES: Final = 10
_STOOD_FRAMES: Final = 16
"""Frames over which poses of things at rest are averaged: noise falls to a quarter."""
_SURE_FRAMES: Final = 64
"""Frames from the start of which the median pose confidence is taken."""

Column = Float64s


def prefix_features(prefix: RolloutBatch, cut: SegmentTable, place: Int64s, arm: Int64s) -> Float64s:
    """Features of every cut episode in the order of :data:`FEATURES`, NaN where a channel is missing, shape (n, k).

    Args:
        prefix: the episodes cut at their landmarks.
        cut: their segments.
        place: episode of each segment, shape (m,).
        arm: manipulator that touched, shape (n,).
    """
    n = len(prefix)
    out = np.full((n, len(FEATURES)), np.nan)
    for k, channels in enumerate(prefix.manipulators.values()):
        mine = arm == k
        if mine.any():
            found = _motion(prefix, channels) | _joints(prefix, channels) | _objects(prefix, channels)
            found |= _touch(prefix, channels)
            for name, values in found.items():
                out[mine, FEATURES.index(name)] = values[mine]
    for name, values in _pieces(n, cut, place).items():
        out[:, FEATURES.index(name)] = values
    start, some = prefix.offset[:-1], prefix.length > 0
    elapsed = np.full(n, np.nan)
    elapsed[some] = prefix.time[prefix.offset[1:][some] - 1] - prefix.time[start[some]]
    out[:, FEATURES.index("elapsed_s")] = elapsed
    out[~some] = np.nan
    return out


def _steps(prefix: RolloutBatch) -> tuple[Column, Bools]:
    """Seconds since the frame before, and whether that frame is of the same episode, shapes (T,)."""
    dt = np.diff(prefix.time, prepend=0.0)
    inner = np.ones(prefix.frames, np.bool_)
    inner[prefix.offset[:-1][prefix.length > 0]] = False
    return dt, inner


def _speed(position: Float32s, dt: Column, inner: Bools) -> Column:
    """Norm of the finite difference, NaN at the first frame of an episode, shape (T,)."""
    step = np.zeros(position.shape, np.float64)
    step[1:] = np.diff(position.astype(np.float64), axis=0)
    speed = np.full(len(position), np.nan)
    speed[inner] = np.sqrt(np.sum(step[inner] ** 2, axis=1)) / dt[inner]
    return speed


def _motion(prefix: RolloutBatch, arm: Manipulator) -> dict[str, Column]:
    if arm.ee_position is None:
        return {}
    start, stop = prefix.offset[:-1], prefix.offset[1:]
    dt, inner = _steps(prefix)
    speed = _speed(arm.ee_position, dt, inner)
    top = span_max(speed, start, stop)
    still = np.where(np.isnan(speed), np.nan, speed < np.repeat(_STILL * top, prefix.length))
    path = span_sum(speed * dt, start, stop)
    ends = _at(arm.ee_position, stop - 1, prefix) - _at(arm.ee_position, start, prefix)
    line = np.sqrt(np.sum(ends**2, axis=1))
    return {
        "moving_s": span_sum(np.where(np.nan_to_num(still) > 0, 0.0, dt) * inner, start, stop),
        "path": path,
        "speed_max": top,
        "speed_mean": span_mean(speed, start, stop),
        "contact_speed": span_mean(speed, np.maximum(stop - _MOMENT_FRAMES, start), stop),
        "jerk": _jerk(arm.ee_position, prefix, dt),
        "still_share": span_mean(still, start, stop),
        "detour": np.divide(path, line, out=np.full(len(line), np.nan), where=line > 0),
    }


def _jerk(position: Float32s, prefix: RolloutBatch, dt: Column) -> Column:
    """Root mean square of the third finite difference over dt cubed, in m/s³, shape (n,)."""
    age = np.arange(prefix.frames) - np.repeat(prefix.offset[:-1], prefix.length)
    third = np.full(prefix.frames, np.nan)
    if prefix.frames > 3:
        p = position.astype(np.float64)
        difference = p[3:] - 3 * p[2:-1] + 3 * p[1:-2] - p[:-3]
        inside = age[3:] >= 3
        step = (dt[3:] + dt[2:-1] + dt[1:-2])[inside] / 3
        values = np.full(prefix.frames - 3, np.nan)
        values[inside] = np.sum(difference[inside] ** 2, axis=1) / step**6
        third[3:] = values
    return np.sqrt(span_mean(third, prefix.offset[:-1], prefix.offset[1:]))


def _joints(prefix: RolloutBatch, arm: Manipulator) -> dict[str, Column]:
    start, stop = prefix.offset[:-1], prefix.offset[1:]
    found: dict[str, Column] = {}
    for name, channel in (("joint_speed_max", arm.joint_velocity), ("joint_torque_max", arm.joint_torque)):
        if channel is not None:
            found[name] = span_max(_largest(channel), start, stop)
    if arm.joint_velocity is None and arm.joint_position is not None:
        found["joint_speed_max"] = span_max(_joint_speed(arm.joint_position, prefix), start, stop)
    if arm.effort_proxy is not None:
        found["effort_mean"] = span_mean(_largest(arm.effort_proxy), start, stop)
    return found


def _largest(channel: Float32s) -> Float32s:
    """Largest known size among the columns of each frame, shape (T,)."""
    size = np.abs(channel.T)
    return np.asarray(np.fmax.reduce(size, axis=0))


def _joint_speed(position: Float32s, prefix: RolloutBatch) -> Column:
    """Speed of the fastest joint by finite difference, where no velocity was recorded, shape (T,)."""
    dt, inner = _steps(prefix)
    step = np.zeros(position.shape, np.float64)
    step[1:] = np.abs(np.diff(position.astype(np.float64), axis=0))
    speed = np.full(len(position), np.nan)
    speed[inner] = np.fmax.reduce(step[inner], axis=1) / dt[inner]
    return speed


def _distances(prefix: RolloutBatch, arm: Manipulator) -> Float64s | None:
    """From the hand to every object slot, shape (T, K), or None where either is unknown."""
    if arm.ee_position is None or prefix.object_position is None:
        return None
    return _apart(prefix.object_position, arm.ee_position)


def _apart(objects: Float32s, hand: Float32s) -> Float64s:
    """Distances of the objects from the hand, shapes (t, K, 3) and (t, 3); shape (t, K)."""
    x, y, z = (np.square(objects[:, :, k].astype(np.float64) - hand[:, k, None]) for k in range(3))
    return np.asarray(np.sqrt(x + y + z))


def _nearest(last: Float64s) -> Int64s:
    """Slot nearest to the hand by the distances at the last frame, -1 where no object is seen there, shape (n,)."""
    seen = ~np.isnan(last)
    slot = np.argmin(np.where(seen, last, np.inf), axis=1) if last.shape[1] else np.zeros(len(last), np.int64)
    return np.where(seen.any(axis=1), slot, -1)


def _objects(prefix: RolloutBatch, arm: Manipulator) -> dict[str, Column]:
    distance = _distances(prefix, arm)
    if distance is None or prefix.object_position is None or arm.ee_position is None or not distance.shape[1]:
        return {}
    start, stop = prefix.offset[:-1], prefix.offset[1:]
    last = _at(distance, stop - 1, prefix)
    slot = _nearest(last)
    seen = slot >= 0
    pick = np.maximum(slot, 0)
    row = np.arange(len(prefix))
    near_frame = np.repeat(pick, prefix.length)
    others = distance
    others[np.arange(prefix.frames), near_frame] = np.nan
    target = prefix.object_position[np.arange(prefix.frames), near_frame]
    hand, thing = _at(arm.ee_position, stop - 1, prefix), _at(target, stop - 1, prefix)
    before = _at(arm.ee_position, np.maximum(stop - 1 - _MOMENT_FRAMES, start), prefix)
    drift = thing - _at(target, start, prefix)
    # where the object stood, averaged over the last moments before contact: a single pose is too noisy for millimetres
    stood = span_mean(target, np.maximum(stop - 1 - _STOOD_FRAMES, start), np.maximum(stop - 1, start + 1))
    found = {
        "object_distance": last[row, pick],
        "object_lateral": _across(thing - hand, hand - before),
        "object_offset": np.sqrt(np.sum((hand - stood)[:, :2] ** 2, axis=1)),
        "object_drift": np.sqrt(np.sum(drift**2, axis=1)),
        "object_reach": np.sqrt(np.sum(thing[:, :2] ** 2, axis=1)),
        "object_height": thing[:, 2],
        "clearance": span_min(np.fmin.reduce(others, axis=1), start, stop),
        "objects": np.array([float(len(names)) for names in prefix.objects]),
        **_way(prefix, pick),
    }
    return {name: np.where(seen, values, np.nan) for name, values in found.items()}


def _way(prefix: RolloutBatch, pick: Int64s) -> dict[str, Column]:
    """What stands about the way from the nearest object to where the goal wants it, as seen at the first frames.

    Args:
        prefix: cut episodes with object poses.
        pick: slot of the nearest object, shape (n,).
    """
    start, stop = prefix.offset[:-1], prefix.offset[1:]
    assert prefix.object_position is not None
    row = np.arange(len(prefix))
    length = np.minimum(prefix.length, _STOOD_FRAMES)
    first = np.cumsum(length) - length
    place = span_mean(prefix.object_position[spans(start, length), :, :2], first, first + length)
    aim = _target_slots(prefix)
    has = aim >= 0
    end = np.where(has & (aim != pick), aim, pick)
    a, b = place[row, pick], place[row, end]
    gap = place.copy()
    gap[row, pick] = np.nan
    gap[row, end] = np.nan
    found = {
        "target_distance": np.where(has, np.sqrt(np.sum((b - a) ** 2, axis=1)), np.nan),
        "target_clearance": _least(np.sqrt(np.sum((gap - b[:, None]) ** 2, axis=2))),
        "way_clearance": _least(_from_line(gap, a, b)),
    }
    if prefix.object_confidence is not None:
        sure = prefix.object_confidence
        for name, which in (("object_confidence", pick), ("target_confidence", end)):
            found[name] = row_median(
                head(sure[np.arange(prefix.frames), np.repeat(which, prefix.length)], start, stop, _SURE_FRAMES)
            )
        found["target_confidence"] = np.where(has, found["target_confidence"], np.nan)
    return found


def _target_slots(prefix: RolloutBatch) -> Int64s:
    """Slot of the target that each goal names, -1 where it names none that is there, shape (n,)."""
    slots = np.full(len(prefix), -1, np.int64)
    for i, (goal, names) in enumerate(zip(prefix.episodes.goal, prefix.objects, strict=True)):
        if goal is not None and goal.target in names:
            slots[i] = names.index(goal.target)
    return slots


def _from_line(spot: Float64s, a: Column, b: Column) -> Float64s:
    """Distance of spots, shape (n, k, 2), from the straight lines from ``a`` to ``b``, shapes (n, 2); shape (n, k)."""
    along = b - a
    square = np.sum(along**2, axis=1)[:, None]
    share = np.sum((spot - a[:, None]) * along[:, None], axis=2)
    share = np.clip(np.divide(share, square, out=np.zeros_like(share), where=square > 0), 0.0, 1.0)
    nearest = a[:, None] + share[:, :, None] * along[:, None]
    return np.asarray(np.sqrt(np.sum((spot - nearest) ** 2, axis=2)))


def _least(values: Float64s) -> Column:
    """Smallest known value of each row, NaN where none is known, shape (n,)."""
    return np.asarray(np.fmin.reduce(values, axis=1))


def _across(gap: Column, direction: Column) -> Column:
    """Length of the part of ``gap`` that is across ``direction``, NaN where there is no direction, shape (n,)."""
    square = np.sum(direction**2, axis=1)
    along = np.divide(np.sum(gap * direction, axis=1) ** 2, square, out=np.full(len(square), np.nan), where=square > 0)
    return np.asarray(np.sqrt(np.maximum(np.sum(gap**2, axis=1) - along, 0.0)))


def _touch(prefix: RolloutBatch, arm: Manipulator) -> dict[str, Column]:
    start, stop = prefix.offset[:-1], prefix.offset[1:]
    found: dict[str, Column] = {}
    width = arm.gripper_width if arm.gripper_width is not None else arm.gripper_opening
    if width is not None:
        found["opening"] = _at(width, stop - 1, prefix)
    rises = []
    back = np.maximum(stop - 1 - _MOMENT_FRAMES, start)
    for name, force in (("grip_force", arm.grip_force), ("contact_force", arm.contact_force)):
        if force is not None:
            floor = row_median(head(force, start, stop, _REST_FRAMES))
            found[name] = _at(force, stop - 1, prefix) - floor
            rises.append(_at(force, stop - 1, prefix) - _at(force, back, prefix))
    if rises:
        passed = _at(prefix.time, stop - 1, prefix) - _at(prefix.time, back, prefix)
        rise = np.fmax.reduce(np.stack(rises), axis=0)
        found["force_rise"] = np.divide(rise, passed, out=np.full(len(rise), np.nan), where=passed > 0)
    return found


def _pieces(n: int, cut: SegmentTable, place: Int64s) -> dict[str, Column]:
    count = np.bincount(place, minlength=n).astype(np.float64)
    sure = np.bincount(place, weights=cut.confidence.astype(np.float64), minlength=n)
    idle = np.where(cut.label.isin("idle"), cut.end_t - cut.start_t, 0.0)
    return {
        "segments": count,
        "segment_confidence": np.divide(sure, count, out=np.full(n, np.nan), where=count > 0),
        "idle_s": np.bincount(place, weights=idle, minlength=n),
    }


def nearest_names(prefix: RolloutBatch) -> list[str]:
    """Name of the object nearest to the first hand that has a pose, at the last frame; empty where none is seen."""
    for arm in prefix.manipulators.values():
        if arm.ee_position is not None and prefix.object_position is not None:
            some = prefix.length > 0
            at = prefix.offset[1:][some] - 1
            last = np.full((len(prefix), prefix.object_position.shape[1]), np.nan)
            last[some] = _apart(prefix.object_position[at], arm.ee_position[at])
            slots = _nearest(last).tolist()
            return [
                names[slot] if 0 <= slot < len(names) else "" for names, slot in zip(prefix.objects, slots, strict=True)
            ]
    return [""] * len(prefix)


def _at(values: Float32s | Float64s, frame: Int64s, prefix: RolloutBatch) -> Column:
    """Rows of ``values`` at one frame of each episode, NaN where the episode is empty, shape (n, ...)."""
    out = np.full((len(frame), *values.shape[1:]), np.nan)
    some = prefix.length > 0
    out[some] = values[frame[some]]
    return out
