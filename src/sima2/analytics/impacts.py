"""Impacts: short pulses of contact force, and falls of objects, as impulses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.analytics.econ_settings import GRAVITY, EconSettings
from sima2.analytics.reductions import episode_min, episode_seconds, frame_seconds
from sima2.records.arrays import Float32s, Float64s, Indices, Int64s
from sima2.records.rollout import RolloutBatch, spans

_NOBODY: Final = -2


@dataclass(frozen=True, slots=True, eq=False)
class Impacts:
    """Impulses and what took them (m of them), in order of frame."""

    episode: Int64s
    """shape (m,)."""
    slot: Int64s
    """Slot of the object concerned, -1 where none was near, shape (m,)."""
    impulse: Float64s
    """N·s, shape (m,)."""


def contact_impacts(batch: RolloutBatch, settings: EconSettings) -> Impacts:
    """Pulses of ``contact_force`` over the level of sustained contact, frame by frame, of all manipulators.

    What lasts longer than ``pulse_s`` is taken off by a morphological opening (a white top-hat remains); what is left
    counts where it rises above the episode's own sensor noise.

    Source: Serra, *Image Analysis and Mathematical Morphology*, 1982 (the top-hat transform).
    """
    parts = []
    for arm in batch.manipulators.values():
        if arm.contact_force is None:
            continue
        force = _held(arm.contact_force.astype(np.float64), batch.offset)
        level = _sustained(force, batch, settings.pulse_s)
        floor = np.maximum(settings.harmless_n, settings.force_sigmas * _noise(force, batch.offset))
        # where nothing pulses (nearly everywhere) nothing more is computed
        excess = force - level
        at = np.flatnonzero(excess > np.maximum(np.repeat(floor, batch.length), settings.pulse_share * level))
        seconds = frame_seconds(batch.time, batch.offset)[at]
        episode = np.searchsorted(batch.offset, at, side="right") - 1
        for slot in _nearest(batch, arm.ee_position, at, settings.reach_m):
            met = np.flatnonzero(slot > _NOBODY)
            parts.append((episode[met], slot[met], (excess[at] * seconds)[met]))
    return _joined(parts)


def fall_impacts(batch: RolloutBatch, settings: EconSettings) -> Impacts:
    """Falls of objects: they go down faster than a hand carries them and stay down.

    The impulse is mass times the speed of a free fall from the height lost. The mass is a proxy, that of the object's
    class in the settings, for recordings do not tell it.
    """
    position = batch.object_position
    if position is None:
        return _joined([])
    mass = _mass(batch, settings)
    frame_episode = batch.frame_episode
    parts = []
    for slot in range(position.shape[1]):
        z = position[:, slot, 2].astype(np.float64)
        seen = np.flatnonzero(~np.isnan(z))
        start, height = _falls(z[seen], seen, frame_episode[seen], batch, settings.drop_height_m)
        episode = frame_episode[start]
        parts.append((episode, np.full(len(start), slot), mass[episode, slot] * np.sqrt(2 * GRAVITY * height)))
    return _joined(parts)


def _joined(parts: list[tuple[Int64s, Int64s, Float64s]]) -> Impacts:
    if not parts:
        none = np.zeros(0, np.int64)
        return Impacts(none, none, np.zeros(0))
    episode, slot, impulse = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Impacts(episode, slot, impulse)


def _held(values: Float64s, offset: Int64s) -> Float64s:
    """Missing samples replaced by the last known one of the episode, 0 before the first, shape (T,)."""
    missing = np.isnan(values)
    if not missing.any():
        return values
    row = np.arange(len(values))
    first = np.repeat(offset[:-1], np.diff(offset))
    last = np.maximum.accumulate(np.where(missing, -1, row))
    known = last >= first
    return np.where(known, values[np.maximum(last, 0)], 0.0)


def _noise(force: Float64s, offset: Int64s) -> Float64s:
    """Standard deviation of the sensor's noise from the median step between frames, N, shape (n,)."""
    out = np.zeros(len(offset) - 1)
    step = np.abs(np.diff(force))
    # a loop: the median of ragged spans, one call an episode
    for i, (a, b) in enumerate(zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True)):
        if b - a > 2:
            middle = np.partition(step[a : b - 1], (b - a - 1) // 2)
            out[i] = middle[(b - a - 1) // 2]
    # median |N(0, 2 s²)| = 0.6745 √2 s
    return np.asarray(out / (0.6745 * np.sqrt(2.0)))


def _sustained(force: Float64s, batch: RolloutBatch, pulse_s: float) -> Float64s:
    """Morphological opening of each episode with a window of ``pulse_s``, shape (T,)."""
    steps = np.maximum(batch.length - 1, 1)
    period = episode_seconds(batch.time, batch.offset) / steps
    width = np.full(len(batch), 2, np.int64)
    moving = period > 0
    width[moving] = np.maximum(2, np.rint(pulse_s / period[moving])).astype(np.int64)
    out = np.empty_like(force)
    for each in np.unique(width):
        which = np.flatnonzero(width == each)
        rows = spans(batch.offset[:-1][which], batch.length[which])
        offset = np.concatenate([[0], np.cumsum(batch.length[which])]).astype(np.int64)
        out[rows] = _opening(force[rows], offset, int(each))
    return out


def _opening(values: Float64s, offset: Int64s, width: int) -> Float64s:
    """Highest level below the curve that lasts ``width`` frames; only windows inside the episode count."""
    if not len(values):
        return values
    lowest = _forward(values, width, np.minimum)
    row = np.arange(len(values))
    stop = np.repeat(offset[1:], np.diff(offset))
    lowest[row + width > stop] = -np.inf
    # windows that cover a frame begin at most width - 1 before it; those of the episode before are -inf
    level = _forward(lowest[::-1], width, np.maximum)[::-1]
    return np.maximum(level, np.repeat(episode_min(values, offset), np.diff(offset)))


def _forward(values: Float64s, width: int, ufunc: np.ufunc) -> Float64s:
    """Running minimum or maximum over ``width`` values from each on, by doubling; shorter at the end."""
    out = values.copy()
    size = 1
    while size < width:
        shift = min(size, width - size)
        if shift >= len(out):
            break
        out[:-shift] = ufunc(out[:-shift], out[shift:])
        size += shift
    return out


def _nearest(batch: RolloutBatch, hand: Float32s | None, at: Indices, reach: float) -> tuple[Int64s, Int64s]:
    """The two that may have met at some frames, each of shape (m,): an impact hurts both.

    The first is the slot of the object nearest to the hand (held, or hit by the empty hand), -1 where none is in reach;
    the second that of the next nearest (hit by what is held), ``_NOBODY`` where there is none.
    """
    nobody = np.full(len(at), _NOBODY)
    if hand is None or batch.object_position is None or not len(at) or not batch.object_position.shape[1]:
        return np.full(len(at), -1), nobody
    away = batch.object_position[at].astype(np.float64) - hand[at, None, :]
    distance = np.sqrt(away[..., 0] ** 2 + away[..., 1] ** 2 + away[..., 2] ** 2)
    distance = np.where(np.isnan(distance), np.inf, distance)
    row, order = np.arange(len(at)), np.argsort(distance, axis=1, kind="stable")
    first = np.where(distance[row, order[:, 0]] <= reach, order[:, 0], -1)
    if distance.shape[1] < 2:
        return first, nobody
    return first, np.where(distance[row, order[:, 1]] <= reach, order[:, 1], _NOBODY)


def _mass(batch: RolloutBatch, settings: EconSettings) -> Float64s:
    """kg, shape (n, K)."""
    width = 0 if batch.object_position is None else batch.object_position.shape[1]
    out = np.full((len(batch), width), settings.default_object.mass_kg)
    for i, names in enumerate(batch.objects):
        out[i, : len(names)] = [settings.value_of(name).mass_kg for name in names]
    return out


def _falls(z: Float64s, seen: Indices, episode: Int64s, batch: RolloutBatch, least: float) -> tuple[Indices, Float64s]:
    """First frames and heights (m) of the falls of one object slot, from the frames in which it was seen."""
    if len(seen) < 2:
        return np.zeros(0, np.intp), np.zeros(0)
    drop = -np.diff(z)
    gap = np.diff(batch.time[seen])
    same = np.diff(episode) == 0
    # against a hand that is seen the mean speed of a fall from the least height tells it from being let down;
    # without one only its last speed does
    mean, last = np.sqrt(GRAVITY * least / 2), np.sqrt(2 * GRAVITY * least)
    falling, seen_hand = same & (drop > mean * gap), np.zeros(len(drop), np.bool_)
    for arm in batch.manipulators.values():
        if arm.ee_position is not None:
            hand = -np.diff(arm.ee_position[seen, 2].astype(np.float64))
            seen_hand |= ~np.isnan(hand)
            falling &= ~(drop - np.maximum(hand, 0.0) < mean * gap)
    falling &= seen_hand | (drop > last * gap)
    edge = np.diff(np.concatenate([[0], falling.astype(np.int8), [0]]))
    # a step belongs to the run of the step before only within an episode, which `same` ensures
    start, stop = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
    height = z[start] - z[stop]
    inside = stop < len(drop)
    after = np.minimum(stop, len(drop) - 1)
    rebound = np.where(inside & same[after], -drop[after], 0.0)
    real = (height >= least) & (rebound < 0.5 * height)
    # what was fallen through before the first fast step: least / 4 at that mean speed
    return seen[start[real]], height[real] + least / 4
