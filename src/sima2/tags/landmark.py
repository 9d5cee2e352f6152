"""The landmark: up to where a predictive tag may look. It is a stopping time, known as soon as it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sima2.records.arrays import Bools, Float32s, Int64s
from sima2.records.robust import MAD_TO_SIGMA
from sima2.records.rollout import Manipulator, RolloutBatch
from sima2.tags.reductions import first_true, head, row_median, running_max

_GRAIN = 1e-6
"""Gripper widths are compared in whole micrometres (or millionths of the opening): far below any encoder."""


@dataclass(frozen=True, slots=True)
class LandmarkSettings:
    """How a first contact is told from noise."""

    rest_frames: int = 10
    """Frames at the start from which an episode's own floor and noise are taken; no contact is looked for in them."""
    sigmas: float = 8.0
    """Contact is a rise above the floor by so many robust standard deviations. At 8, a normal noise of 10**6 frames
    does not cross; the floor is known only to within a third of a deviation from ten frames."""
    resolution_newtons: float = 0.1
    """Smallest rise that counts: the weight of 10 g, the resolution of common finger sensors."""
    hold_frames: int = 2
    """The rise must last so many frames; the landmark is the last of them."""
    least_closing: float = 0.1
    """Least closing, as a share of the widest opening so far, after which a stop of the fingers is a contact."""
    stop_ratio: float = 0.2
    """The fingers have stopped when a step is below this share of their largest closing step."""
    share: float = 0.5
    """Without any contact so far, the landmark is reached at this share of the family's nominal duration."""


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """Landmark of each of n episodes."""

    frames: Int64s
    """Frames up to and including the landmark, 0 where there is none, shape (n,)."""
    contact: Bools
    """The landmark is a contact and not a share of time, shape (n,)."""
    arm: Int64s
    """Manipulator that touched first (0 where none did), shape (n,)."""


def landmarks(
    batch: RolloutBatch, nominal_s: Mapping[str, float], settings: LandmarkSettings | None = None
) -> Landmarks:
    """First contact of each episode, or a fixed share of its family's nominal duration, whichever comes first.

    Whichever comes *first*, so that no later frame has a say: to wait for a contact that may never come and then
    to look back would be to use the future.

    Args:
        batch: any channels; contact is seen in ``grip_force`` and ``contact_force``, and where an arm has neither,
            in a gripper that closes and stops.
        nominal_s: nominal duration in s by family; a family that is missing has no landmark but a contact.
        settings: how a contact is told from noise.
    """
    rule = settings or LandmarkSettings()
    start, stop, n = batch.offset[:-1], batch.offset[1:], len(batch)
    touched = np.full((max(len(batch.manipulators), 1), n), -1, np.int64)
    for k, arm in enumerate(batch.manipulators.values()):
        touched[k] = first_true(_in_contact(arm, batch, rule), start, stop)
    order = np.where(touched < 0, np.iinfo(np.int64).max, touched)
    arm_index = np.argmin(order, axis=0)
    first = np.min(order, axis=0)
    limit = np.array([rule.share * nominal_s.get(name, np.nan) for name in batch.episodes.family], np.float64)
    some = batch.length > 0
    began = np.repeat(batch.time[start[some]], batch.length[some])
    late = batch.time - began >= np.repeat(limit, batch.length)
    timed = first_true(late, start, stop)
    at = np.minimum(first, np.where(timed < 0, np.iinfo(np.int64).max, timed))
    # An episode that ends before either was reached is seen whole: it ended, and nothing comes later.
    ended = (at == np.iinfo(np.int64).max) & ~np.isnan(limit)
    frames = np.where(ended, batch.length, np.where(at == np.iinfo(np.int64).max, 0, at + 1))
    contact = (first < np.iinfo(np.int64).max) & (first <= at)
    return Landmarks(frames=frames.astype(np.int64), contact=contact, arm=np.where(contact, arm_index, 0))


def _in_contact(arm: Manipulator, batch: RolloutBatch, rule: LandmarkSettings) -> Bools:
    """Frames at which contact is established, shape (T,)."""
    found = np.zeros(batch.frames, np.bool_)
    unfelt = np.ones(len(batch), np.bool_)
    for force in (arm.grip_force, arm.contact_force):
        if force is not None:
            found |= _risen(force, batch, rule)
            known = head(force, batch.offset[:-1], batch.offset[1:], rule.rest_frames)
            unfelt &= np.isnan(known).all(axis=1)
    width = arm.gripper_width if arm.gripper_width is not None else arm.gripper_opening
    if width is not None and unfelt.any():
        found |= _closed_on_something(width, batch, rule) & np.repeat(unfelt, batch.length)
    return found


def _risen(force: Float32s, batch: RolloutBatch, rule: LandmarkSettings) -> Bools:
    """Where a force has stood above the episode's own floor for long enough, shape (T,)."""
    rest = head(force, batch.offset[:-1], batch.offset[1:], rule.rest_frames)
    floor = row_median(rest)
    noise = MAD_TO_SIGMA * row_median(np.abs(rest - floor[:, None]))
    least = floor + np.maximum(rule.sigmas * noise, rule.resolution_newtons)
    return _lasting(force > np.repeat(least, batch.length), batch, rule)


def _closed_on_something(width: Float32s, batch: RolloutBatch, rule: LandmarkSettings) -> Bools:
    """Where closing fingers have come to a stop, shape (T,)."""
    episode = batch.frame_episode
    grains = np.where(np.isnan(width), 0.0, np.clip(width.astype(np.float64), 0.0, 1e5) / _GRAIN).astype(np.int64)
    widest = running_max(grains, episode)
    step = np.zeros(batch.frames, np.int64)
    step[1:] = np.maximum(grains[:-1] - grains[1:], 0)
    step[batch.offset[:-1][batch.length > 0]] = 0
    fastest = running_max(step, episode)
    closed = (widest - grains) > rule.least_closing * widest
    stopped = step <= rule.stop_ratio * fastest
    return _lasting(closed & stopped & ~np.isnan(width), batch, rule)


def _lasting(flag: Bools, batch: RolloutBatch, rule: LandmarkSettings) -> Bools:
    """Where ``flag`` has held for the last ``hold_frames`` frames, none of them in the rest at the start."""
    age = np.arange(batch.frames) - np.repeat(batch.offset[:-1], batch.length)
    flag = flag & (age >= rule.rest_frames)
    held = flag.copy()
    for back in range(1, rule.hold_frames):
        held[back:] &= flag[:-back]
        held[:back] = False
    # The rest frames are never flagged, so a run never reaches into the episode before.
    return held
