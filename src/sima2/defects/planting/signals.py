"""Planted defects of the data: what recorders, clocks, cables and copies do to an episode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from sima2.defects.planting.behaviour import NO_FINGERS, Plant, Planted
from sima2.defects.planting.editing import at_rows, follows, frames_of, noise_of, period_of, with_arm
from sima2.defects.planting.hosts import Host, fingers_of, quantile
from sima2.records.arrays import Float32s
from sima2.records.rollout import Manipulator, Rollout

NO_JOINTS: Final = "no joint moves by 0.1 rad or more in it"
NO_COMMANDS: Final = "no commands are recorded"
SHORT: Final = "it is too short"
LEAST_MOTION: Final = 0.1
"""rad that a joint moves in an episode at least, for a fault of it to be one."""
BUSY: Final = 0.25
"""Share of a joint's range that it goes while it is frozen or stalled, at least."""
DEGREES: Final = 180.0 / np.pi


def _moving(host: Host) -> list[tuple[str, int]]:
    """Arms and joints that move."""
    return [
        (arm, k)
        for arm, m in host.rollout.manipulators.items()
        if m.joint_position is not None
        for k in range(m.joint_position.shape[1])
        if np.nan_to_num(np.ptp(m.joint_position[:, k])) >= LEAST_MOTION
    ]


def _picked(host: Host, rng: np.random.Generator) -> tuple[str, int] | None:
    found = _moving(host)
    return found[int(rng.integers(len(found)))] if found else None


def _stretch(host: Host, frames: int, rng: np.random.Generator) -> tuple[str, int, int] | None:
    """An arm, a joint and a frame from which it goes far within so many frames."""
    found = _moving(host)
    for place in rng.permutation(len(found)).tolist():
        arm, joint = found[place]
        track = _joints(host.rollout, arm)[:, joint]
        if frames >= len(track) - 4:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(track, frames)
        far = windows.max(axis=1) - windows.min(axis=1)
        fit = np.flatnonzero(far[1:] >= BUSY * np.ptp(track)) + 1
        if len(fit):
            return arm, joint, int(rng.choice(fit))
    return None


def _joints(rollout: Rollout, arm: str) -> Float32s:
    joints = rollout.manipulators[arm].joint_position
    assert joints is not None  # only arms with joints are picked
    return joints


def _with_joints(rollout: Rollout, arm: str, joints: Float32s) -> Rollout:
    """The rollout with other positions of the joints, and the residuals that follow from them."""
    m = rollout.manipulators[arm]
    changes: dict[str, Any] = {"joint_position": joints.astype(np.float32)}
    if m.effort_proxy is not None and m.joint_command is not None:
        changes["effort_proxy"] = _residuals(m, joints, m.joint_command, period_of(rollout))
    return with_arm(rollout, arm, changes)


def _residuals(m: Manipulator, joints: Float32s, commands: Float32s, period: float) -> Float32s:
    """The residuals of other positions or commands of the joints, where it can be told how they were made."""
    assert m.effort_proxy is not None
    assert m.joint_command is not None
    assert m.joint_position is not None
    out = m.effort_proxy.copy()
    changed = (joints != m.joint_position) | (commands != m.joint_command)
    for k in np.flatnonzero(changed.any(axis=0)).tolist():
        made = follows(m.joint_command[:, k : k + 1], m.joint_position[:, k], m.effort_proxy[:, k], period)
        if made is not None:
            out[:, k] = made.residual(commands[:, k].astype(np.float64), joints[:, k].astype(np.float64))
    return out


def teleport(host: Host, rng: np.random.Generator) -> Planted:
    """A joint reads far off for one to three frames."""
    picked, n = _picked(host, rng), int(rng.integers(1, 4))
    if picked is None:
        return NO_JOINTS
    if len(host.rollout) < n + 8:
        return SHORT
    arm, joint = picked
    start = int(rng.integers(3, len(host.rollout) - n - 3))
    joints = _joints(host.rollout, arm).copy()
    joints[start : start + n, joint] += float(rng.uniform(0.25, 1.2) * rng.choice([-1, 1]))
    return Plant("teleport", _with_joints(host.rollout, arm, joints), start, start + n)


def frozen_channel(host: Host, rng: np.random.Generator) -> Planted:
    """A joint's reading stands bit for bit while it moves."""
    frames = host.frames(float(rng.uniform(1.0, 4.0)))
    found = _stretch(host, frames, rng) or _stretch(host, host.frames(1.0), rng)
    if found is None:
        return NO_JOINTS
    arm, joint, start = found
    stop = min(start + frames, len(host.rollout) - 3)
    joints = _joints(host.rollout, arm).copy()
    joints[start:stop, joint] = joints[start, joint]
    return Plant("frozen_channel", _with_joints(host.rollout, arm, joints), start, stop)


def missing_samples(host: Host, rng: np.random.Generator) -> Planted:
    """Joints, or the hand's position, are no numbers for some frames."""
    arms = [
        (arm, name)
        for arm, m in host.rollout.manipulators.items()
        for name in ("joint_position", "ee_position", "gripper_width", "gripper_opening")
        if getattr(m, name) is not None
    ]
    if not arms or len(host.rollout) < 12:
        return SHORT if arms else "no positions are recorded"
    arm, name = arms[int(rng.integers(len(arms)))]
    n = min(int(rng.integers(2, 25)), len(host.rollout) // 3)
    start = int(rng.integers(0, len(host.rollout) - n))
    value = getattr(host.rollout.manipulators[arm], name).copy()
    value[start : start + n] = np.nan
    return Plant("missing_samples", with_arm(host.rollout, arm, {name: value}), start, start + n)


def noise_burst(host: Host, rng: np.random.Generator) -> Planted:
    """One joint or all tremble for a while."""
    picked, n = _picked(host, rng), host.frames(float(rng.uniform(0.5, 2.0)))
    if picked is None:
        return NO_JOINTS
    if n > len(host.rollout) - 4:
        return SHORT
    arm, joint = picked
    joints = _joints(host.rollout, arm).copy()
    columns = [joint] if rng.random() < 0.6 else list(range(joints.shape[1]))
    start = int(rng.integers(1, len(host.rollout) - n - 1))
    joints[start : start + n, columns] += rng.normal(0, rng.uniform(0.02, 0.08), (n, len(columns))).astype(np.float32)
    return Plant("noise_burst", _with_joints(host.rollout, arm, joints), start, start + n)


def repeated_frames(host: Host, rng: np.random.Generator) -> Planted:
    """The recorder writes every second or third state twice."""
    if not _moving(host):
        return NO_JOINTS
    n, every = len(host.rollout), int(rng.integers(2, 4))
    rows = np.arange(n)
    rows[every - 1 :: every] -= 1
    return Plant("repeated_frames", at_rows(host.rollout, rows, host.rollout.time), 0, n)


def stalled(host: Host, rng: np.random.Generator) -> Planted:
    """The arm stands while its commands go on, then catches up."""
    if all(m.joint_command is None for m in host.rollout.manipulators.values()):
        return NO_COMMANDS
    frames = host.frames(float(rng.uniform(1.0, 3.0)))
    found = _stretch(host, frames, rng) or _stretch(host, host.frames(1.0), rng)
    if found is None or host.rollout.manipulators[found[0]].joint_command is None:
        return NO_JOINTS
    arm, _, start = found
    before = _joints(host.rollout, arm)
    stop = min(start + frames, len(before) - host.frames(0.3))
    if stop - start < host.frames(0.6):
        return SHORT
    joints = before.astype(np.float64)
    joints[start:stop] = before[start] + rng.normal(0, 1, (stop - start, joints.shape[1])) * noise_of(before)
    left = np.arange(len(before) - stop)[:, None]
    catches_up = np.exp(-left / host.frames(float(rng.uniform(0.1, 0.25))))
    joints[stop:] += (before[start] - before[stop]) * catches_up
    return Plant("stalled", _with_joints(host.rollout, arm, joints.astype(np.float32)), start, stop)


def dropped_frames(host: Host, rng: np.random.Generator) -> Planted:
    """Frames are lost at once or here and there; the clock shows it, or was counted through again."""
    at_once = bool(rng.random() < 0.6)
    frames = host.frames(float(rng.uniform(0.25, 1.0) if at_once else rng.uniform(2.0, 4.0)))
    found = _stretch(host, frames, rng)
    if found is None:
        return NO_JOINTS
    start = found[2]
    gone = np.ones(frames, bool) if at_once else rng.random(frames) < rng.uniform(0.15, 0.35)
    kept = np.setdiff1d(np.arange(len(host.rollout)), start + np.flatnonzero(gone))
    time = host.rollout.time[kept] if rng.random() < 0.5 else None
    last = int(np.searchsorted(kept, start + frames))
    return Plant("dropped_frames", at_rows(host.rollout, kept, time), start, max(last, start + 1))


def idle(host: Host, rng: np.random.Generator) -> Planted:
    """Nothing moves for long, before it begins, at its end, or in its middle."""
    n, place = len(host.rollout), int(rng.integers(3))
    at = {0: 0, 1: n - 1}.get(place, int(rng.integers(n // 4, max(3 * n // 4, n // 4 + 1))))
    rest = host.frames(float(rng.uniform(5.0, 15.0)))
    rows = np.concatenate([np.arange(at + 1), np.full(rest, at), np.arange(at + 1, n)])
    made = at_rows(host.rollout, rows)
    lasts = slice(at + 1, at + 1 + rest)
    for arm, m in made.manipulators.items():
        changes: dict[str, Any] = {}
        for name in ("joint_position", "ee_position", "gripper_width", "gripper_opening"):
            value = getattr(m, name)
            if value is None:
                continue
            own = noise_of(getattr(host.rollout.manipulators[arm], name))
            trembles = rng.normal(0, 1, (rest, len(own))) * own
            still = value.copy()
            still[lasts] += trembles.reshape(still[lasts].shape).astype(np.float32)
            changes[name] = still
        if m.joint_velocity is not None:
            still = m.joint_velocity.copy()
            still[lasts] = 0.0
            changes["joint_velocity"] = still
        made = with_arm(made, arm, changes)
    return Plant("idle", made, at + 1, at + 1 + rest)


def action_lag(host: Host, rng: np.random.Generator) -> Planted:
    """Actions are written later or earlier beside the states than they were sent."""
    rollout = host.rollout
    shift = max(3, host.frames(float(rng.uniform(0.15, 0.4)))) * int(rng.choice([-1, 1]))
    if all(m.joint_command is None for m in rollout.manipulators.values()):
        return NO_COMMANDS
    n = len(rollout)
    if n < 8 * abs(shift):
        return SHORT
    states = np.arange(max(shift, 0), n + min(shift, 0))
    sent = states - shift
    made = at_rows(rollout, states)
    for arm, m in rollout.manipulators.items():
        if m.joint_command is None:
            continue
        late = m.joint_command[sent]
        changes: dict[str, Any] = {"joint_command": late}
        now = made.manipulators[arm]
        if now.effort_proxy is not None and now.joint_position is not None:
            changes["effort_proxy"] = _residuals(now, now.joint_position, late, period_of(rollout))
        made = with_arm(made, arm, changes)
    if rollout.action is not None:
        made = made.with_(action=rollout.action[sent])
    return Plant("action_lag", made, 0, len(made))


def near_duplicate(host: Host, rng: np.random.Generator) -> Planted:
    """Another episode over again, with noise of its own, perhaps cut by some frames, in the place of this one."""
    if host.other is None:
        return "no other episode recorded the same channels"
    source = host.other
    head, tail = (int(x) for x in rng.integers(0, 6, 2)) if rng.random() < 0.4 else (0, 0)
    if len(source) - head - tail < 8:
        return SHORT
    made = noisy(at_rows(source, np.arange(head, len(source) - tail)), rng)
    own = host.rollout
    names = ("episode_id", "family", "robot", "policy", "session", "instruction", "goal", "provenance")
    made = made.with_(**{name: getattr(own, name) for name in names})
    return Plant("near_duplicate", made, 0, len(made), of=source.episode_id)


def noisy(rollout: Rollout, rng: np.random.Generator) -> Rollout:
    """The rollout with as much noise again on its positions as they have."""
    for arm, m in rollout.manipulators.items():
        changes: dict[str, Any] = {}
        for name in ("joint_position", "ee_position", "gripper_width", "gripper_opening"):
            value = getattr(m, name)
            if value is not None and len(value) >= 8:
                own = noise_of(value)
                changes[name] = value + (rng.normal(0, 1, (len(value), len(own))) * own).reshape(value.shape).astype(
                    np.float32
                )
        rollout = with_arm(rollout, arm, changes)
    return rollout


def clipped(host: Host, rng: np.random.Generator) -> Planted:
    """A joint's reading runs into a limit that its command goes beyond."""
    found = _moving(host)
    for place in rng.permutation(len(found)).tolist():
        arm, joint = found[place]
        track, spans = _joints(host.rollout, arm)[:, joint], host.usual.span.get(arm)
        span = float(spans[joint]) if spans is not None and joint < len(spans) else float(np.ptp(track))
        top, share = bool(rng.random() < 0.5), float(rng.uniform(0.06, 0.25))
        limit = np.quantile(track, 1 - share if top else share)
        depth = float(track.max() - limit if top else limit - track.min())
        if np.ptp(track) < 0.5 * span or depth < 0.12 * span:
            continue
        joints = _joints(host.rollout, arm).copy()
        joints[:, joint] = np.minimum(track, limit) if top else np.maximum(track, limit)
        beyond = np.flatnonzero(joints[:, joint] != track)
        return Plant("clipped_channel", _with_joints(host.rollout, arm, joints), int(beyond[0]), int(beyond[-1]) + 1)
    return "no joint goes far enough in it"


def truncated(host: Host, rng: np.random.Generator) -> Planted:
    """The recording breaks off in the middle of a motion, before the last thing is let go."""
    n, carries = len(host.rollout), host.carries()
    joints = [m.joint_position for m in host.rollout.manipulators.values() if m.joint_position is not None]
    if not joints:
        return NO_JOINTS
    speed = np.sum([np.abs(np.diff(each, axis=0)).sum(axis=1) for each in joints], axis=0)
    width = max(2, host.frames(0.15))
    speed = np.convolve(speed, np.ones(width) / width, "same")
    last = min([each.opens for each in carries[-1:]], default=n)
    frame = np.arange(n - 1)
    fast = speed > 0.6 * quantile(speed, 0.75)
    fit = np.flatnonzero(fast & (frame > 0.25 * n) & (frame < min(last, n - host.frames(1.0))))
    if not len(fit):
        return SHORT
    cut = int(rng.choice(fit))
    kept = np.arange(cut)
    return Plant("truncated", at_rows(host.rollout, kept, host.rollout.time[kept]), cut - 1, cut)


def mixed_units(host: Host, rng: np.random.Generator) -> Planted:
    """Joints and their commands are in degrees where the others are in radians."""
    rollout = host.rollout
    if not _moving(host):
        return NO_JOINTS
    for arm, m in host.rollout.manipulators.items():
        names = ("joint_position", "joint_command", "joint_velocity")
        known = {name: getattr(m, name) for name in names if getattr(m, name) is not None}
        rollout = with_arm(rollout, arm, {name: value * np.float32(DEGREES) for name, value in known.items()})
    return Plant("mixed_units", rollout, 0, len(rollout))


def mixed_polarity(host: Host, rng: np.random.Generator) -> Planted:
    """The gripper's numbers run the other way round."""
    if not host.usual.hands:
        return NO_FINGERS
    rollout = host.rollout
    for arm, hand in host.usual.hands.items():
        if arm not in rollout.manipulators:
            continue
        seen = fingers_of(rollout.manipulators[arm])
        if seen is None:
            continue
        if seen[0] == "gripper_width":
            return "a gripper that is read in metres does not run the other way round"
        if np.nan_to_num(np.ptp(seen[1])) < 0.3 * hand.range:
            return "the gripper hardly moves in it"
        rollout = with_arm(rollout, arm, {seen[0]: (hand.shut + hand.open - seen[1]).astype(np.float32)})
    return Plant("mixed_polarity", rollout, 0, len(rollout))


SIGNALS: Final[Mapping[str, Callable[[Host, np.random.Generator], Planted]]] = {
    "teleport": teleport,
    "frozen_channel": frozen_channel,
    "missing_samples": missing_samples,
    "noise_burst": noise_burst,
    "repeated_frames": repeated_frames,
    "stalled": stalled,
    "dropped_frames": dropped_frames,
    "idle": idle,
    "action_lag": action_lag,
    "near_duplicate": near_duplicate,
    "clipped_channel": clipped,
    "truncated": truncated,
    "mixed_units": mixed_units,
    "mixed_polarity": mixed_polarity,
}
"""A planter for each kind of defect."""


def stretched(rollout: Rollout, rng: np.random.Generator) -> Rollout:
    """The same, up to 3 % faster or slower."""
    tempo = 1.0 + float(rng.uniform(-0.03, 0.03))
    made = rollout.with_(time=rollout.time * tempo)
    for arm, m in made.manipulators.items():
        if m.joint_velocity is not None:
            made = with_arm(made, arm, {"joint_velocity": (m.joint_velocity / tempo).astype(np.float32)})
    return made


def jittered(rollout: Rollout, rng: np.random.Generator) -> Rollout:
    """The same, by a clock that is off by some milliseconds, no more than a tenth of a period."""
    most = min(0.003, 0.1 * period_of(rollout))
    return rollout.with_(time=rollout.time + rng.uniform(-0.5, 0.5, len(rollout)) * most)


def gripper_moved(rollout: Rollout, rng: np.random.Generator) -> Rollout:
    """The same, with the fingers read one frame earlier or later."""
    n = len(rollout)
    rows = np.clip(np.arange(n) + int(rng.choice([-1, 1])), 0, n - 1)
    for arm, m in rollout.manipulators.items():
        names = ("gripper_width", "gripper_opening")
        known = {name: getattr(m, name)[rows] for name in names if getattr(m, name) is not None}
        rollout = with_arm(rollout, arm, known)
    return rollout


def trimmed(rollout: Rollout, rng: np.random.Generator) -> Rollout:
    """The same without some of the first and last frames, at most a tenth of a second at each end."""
    most = max(1, frames_of(rollout, 0.1))
    head, tail = (int(x) for x in rng.integers(0, most + 1, 2))
    kept = np.arange(head, len(rollout) - tail)
    return at_rows(rollout, kept, rollout.time[kept] - rollout.time[head]) if len(kept) > 3 else rollout


HARMLESS: Final[Mapping[str, Callable[[Rollout, np.random.Generator], Rollout]]] = {
    "noise": noisy,
    "tempo": stretched,
    "gripper": gripper_moved,
    "clock": jittered,
    "ends": trimmed,
}
"""Changes that mean nothing."""
