"""What each segment measured: speed, path, force, energy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.records.rollout import Manipulator
from sima2.segmentation.features import Features
from sima2.segmentation.signals import hold_last, last_where

SECONDS_PER_HOUR = 3600.0
HIDDEN_S: Final = 0.5
"""Trackers find what is in sight at least twice a second."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Measures of pieces of segments, from which those of whole segments follow; shape (p,) each.

    Sums of a segment are those of its pieces, added one by one in their order, so that they are the same whether the
    pieces come at once or one after another.
    """

    frames: Int64s
    largest: Mapping[str, Float64s]
    total: Mapping[str, Float64s]
    """``grip_force`` is a sum over frames."""
    first_width: Float64s
    last_width: Float64s
    first_place: Float64s
    """Where each object was at the first frame, m, shape (p, K, 3); NaN for one never seen; no objects, K = 0."""
    last_place: Float64s

    def joined(self, segment: Int64s, n: int) -> Measured:
        """Of ``n`` segments, of which each piece belongs to one; ``segment`` never falls and leaves none out."""
        first: Int64s = np.searchsorted(segment, np.arange(n)).astype(np.int64)
        last = np.searchsorted(segment, np.arange(n), side="right") - 1

        largest: dict[str, Float64s] = {name: np.maximum.reduceat(x, first) for name, x in self.largest.items()}
        return Measured(
            frames=np.bincount(segment, self.frames, n).astype(np.int64),
            largest=largest,
            total={name: np.bincount(segment, x, n).astype(x.dtype) for name, x in self.total.items()},
            first_width=self.first_width[first],
            last_width=self.last_width[last],
            first_place=self.first_place[first],
            last_place=self.last_place[last],
        )

    def take(self, index: Int64s) -> Measured:
        """Rows by index."""
        return Measured(
            frames=self.frames[index],
            largest={name: x[index] for name, x in self.largest.items()},
            total={name: x[index] for name, x in self.total.items()},
            first_width=self.first_width[index],
            last_width=self.last_width[index],
            first_place=self.first_place[index],
            last_place=self.last_place[index],
        )

    @classmethod
    def concat(cls, parts: Sequence[Measured]) -> Measured:
        """Pieces end to end; at least one part."""
        return cls(
            frames=np.concatenate([part.frames for part in parts]),
            largest={name: np.concatenate([part.largest[name] for part in parts]) for name in parts[0].largest},
            total={name: np.concatenate([part.total[name] for part in parts]) for name in parts[0].total},
            first_width=np.concatenate([part.first_width for part in parts]),
            last_width=np.concatenate([part.last_width for part in parts]),
            first_place=_stacked([part.first_place for part in parts]),
            last_place=_stacked([part.last_place for part in parts]),
        )

    def columns(self) -> dict[str, Float32s]:
        """Feature columns of the segment table; NaN where a channel is absent."""
        out = {**self.largest, **self.total, "width_change": self.last_width - self.first_width}
        shift = np.sqrt(((self.last_place - self.first_place) ** 2).sum(axis=2))
        out["object_moved"] = np.fmax.reduce(shift, axis=1, initial=np.nan)
        out["grip_force"] = self.total["grip_force"] / np.maximum(self.frames, 1)
        return {name: x.astype(np.float32) for name, x in out.items()}


def _stacked(places: Sequence[Float64s]) -> Float64s:
    """Places of objects end to end; one that a part does not know yet has not been seen there."""
    most = max(each.shape[1] for each in places)
    return np.concatenate(
        [np.pad(each, ((0, 0), (0, most - each.shape[1]), (0, 0)), constant_values=np.nan) for each in places]
    )


def measure(channels: Manipulator, features: Features, start: Int64s, stop: Int64s) -> Measured:
    """Measures of half-open spans of frames, ordered and apart, shape (s,)."""
    ragged = features.ragged
    blank = np.full(len(start), np.nan)
    step = np.diff(ragged.time, append=ragged.time[-1:])
    step[ragged.offset[1:][np.diff(ragged.offset) > 0] - 1] = 0.0
    step = np.where(step > 0, step, ragged.period.take(ragged.episode))
    # every second reduction is of what lies between two spans
    cuts = np.stack([start, stop], axis=1).ravel()
    cuts = cuts[:-1] if len(cuts) and cuts[-1] == len(step) else cuts
    if len(start) and (start[1:] == stop[:-1]).all() and len(cuts) % 2:
        cuts = start

    def reduced(ufunc: np.ufunc, x: Float64s) -> Float64s:
        if not len(start):
            return blank
        out: Float64s = ufunc.reduceat(x, cuts)
        return out if cuts is start else out[::2]

    largest = dict.fromkeys(("max_speed", "peak_force", "max_joint_speed", "max_joint_torque"), blank)
    total = dict.fromkeys(("distance", "impulse", "grip_force", "energy_wh"), blank)
    first_width = last_width = blank
    if features.speed is not None:
        largest["max_speed"] = reduced(np.maximum, features.speed)
        if features.position is not None:
            total["distance"] = reduced(np.add, features.speed * step)
    if features.contact is not None:
        largest["peak_force"] = reduced(np.maximum, features.contact)
        total["impulse"] = reduced(np.add, features.contact * step)
    if features.grip is not None:
        total["grip_force"] = reduced(np.add, features.grip)
    if features.width is not None:
        first_width, last_width = features.width[start], features.width[stop - 1]
    where = rests = np.zeros((len(start), 0, 3))
    if features.object_position is not None and features.object_seen is not None and len(start):
        full = np.diff(ragged.offset) > 0
        ever = np.zeros((len(full), features.object_seen.shape[1]), np.bool_)
        ever[full] = np.logical_or.reduceat(features.object_seen, ragged.offset[:-1][full])
        known = ever[ragged.episode[start]][:, :, None]
        where, rests = (np.where(known, features.object_position[at], np.nan) for at in (start, stop - 1))
        if not features.object_seen.all():
            # where it lies is not known of what has been out of sight for long
            late = ragged.frames(HIDDEN_S)[ragged.episode[start]]
            seen_at = np.column_stack([last_where(seen, ragged.first)[stop - 1] for seen in features.object_seen.T])
            hidden = (seen_at < 0) | ((stop - 1 - late)[:, None] > seen_at)
            rests = np.where(hidden[:, :, None], np.nan, rests)
    velocity = torque = None
    if channels.joint_velocity is not None:
        velocity, _ = hold_last(channels.joint_velocity, ragged)
        largest["max_joint_speed"] = reduced(np.maximum, _each(np.maximum, np.abs, velocity))
    if channels.joint_torque is not None:
        torque, _ = hold_last(channels.joint_torque, ragged)
        largest["max_joint_torque"] = reduced(np.maximum, _each(np.maximum, np.abs, torque))
    if velocity is not None and torque is not None and velocity.shape == torque.shape:
        power = _each(np.add, lambda v, t: np.abs(v * t), velocity, torque)
        total["energy_wh"] = reduced(np.add, power * step / SECONDS_PER_HOUR)
    return Measured(stop - start, largest, total, first_width, last_width, where, rests)


def _each(ufunc: np.ufunc, verb: Callable[..., Float64s], *columns: Float64s) -> Float64s:
    """Columns of shape (T, d) joined coordinate by coordinate, each contiguous, shape (T,)."""
    first, *others = zip(*(column.T for column in columns), strict=True)
    out = verb(*first)
    for each in others:
        ufunc(out, verb(*each), out=out)
    return out
