"""What each segment measured: speed, path, force, energy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.records.rollout import Manipulator
from sima2.segmentation.columns import Columns
from sima2.segmentation.features import Features
from sima2.segmentation.signals import hold_last

SECONDS_PER_HOUR = 3600.0
HIDDEN_S: Final = 0.5
"""Trackers find what is in sight at least twice a second."""


@dataclass(frozen=True, eq=False)
class Measured(Columns):
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
        ends = self.take(np.searchsorted(segment, np.arange(n), side="right") - 1)
        return replace(
            ends,
            frames=np.bincount(segment, self.frames, n).astype(np.int64),
            largest={name: np.maximum.reduceat(x, first) for name, x in self.largest.items()},
            total={name: np.bincount(segment, x, n).astype(x.dtype) for name, x in self.total.items()},
            first_width=self.first_width[first],
            first_place=self.first_place[first],
        )

    @classmethod
    def concat(cls, parts: Sequence[Measured]) -> Measured:
        """Pieces end to end; an object that a part does not know yet has not been seen there."""
        most = max(part.first_place.shape[1] for part in parts)
        return super().concat([part._with_objects(most) for part in parts])

    def _with_objects(self, most: int) -> Measured:
        wider = ((0, 0), (0, most - self.first_place.shape[1]), (0, 0))
        first, last = (np.pad(x, wider, constant_values=np.nan) for x in (self.first_place, self.last_place))
        return replace(self, first_place=first, last_place=last)

    def columns(self) -> dict[str, Float32s]:
        """Feature columns of the segment table; NaN where a channel is absent."""
        out = {**self.largest, **self.total, "width_change": self.last_width - self.first_width}
        shift = np.sqrt(((self.last_place - self.first_place) ** 2).sum(axis=2))
        out["object_moved"] = np.fmax.reduce(shift, axis=1, initial=np.nan)
        out["grip_force"] = self.total["grip_force"] / np.maximum(self.frames, 1)
        return {name: x.astype(np.float32) for name, x in out.items()}


def measure(channels: Manipulator, features: Features, start: Int64s, stop: Int64s) -> Measured:
    """Measures of half-open spans of frames, ordered and apart, shape (s,)."""
    ragged, blank = features.ragged, np.full(len(start), np.nan)
    step = np.diff(ragged.time, append=ragged.time[-1:])
    step[ragged.offset[1:] - 1] = 0.0
    step = np.where(step > 0, step, ragged.period.take(ragged.episode))
    # every second reduction is of what lies between two spans
    cuts = np.stack([start, stop], axis=1).ravel()
    cuts = cuts[:-1] if len(cuts) and cuts[-1] == len(step) else cuts

    def reduced(ufunc: np.ufunc, x: Float64s | None) -> Float64s:
        return blank if x is None else np.asarray(ufunc.reduceat(x, cuts)[::2])

    velocity, torque = (
        None if raw is None else hold_last(raw, ragged)[0] for raw in (channels.joint_velocity, channels.joint_torque)
    )
    power = None
    if velocity is not None and torque is not None and velocity.shape == torque.shape:
        power = _each(np.add, lambda v, t: np.abs(v * t), velocity, torque) * step / SECONDS_PER_HOUR
    largest: dict[str, Float64s | None] = {
        "max_speed": None if features.pose is None else features.speed,
        "peak_force": features.contact,
        "max_joint_speed": None if velocity is None else _each(np.maximum, np.abs, velocity),
        "max_joint_torque": None if torque is None else _each(np.maximum, np.abs, torque),
    }
    total = {
        "distance": None if features.position is None else features.speed * step,
        "impulse": None if features.contact is None else features.contact * step,
        "grip_force": features.grip,
        "energy_wh": power,
    }
    first_place, last_place = _places(features, start, stop)
    return Measured(
        frames=stop - start,
        largest={name: reduced(np.maximum, x) for name, x in largest.items()},
        total={name: reduced(np.add, x) for name, x in total.items()},
        first_width=blank if features.width is None else features.width[start],
        last_width=blank if features.width is None else features.width[stop - 1],
        first_place=first_place,
        last_place=last_place,
    )


def _places(features: Features, start: Int64s, stop: Int64s) -> tuple[Float64s, Float64s]:
    """Where each object is as spans begin, and as they end, m, shape (s, K, 3) each; NaN where that is not known."""
    place, seen, ragged = features.object_position, features.object_seen, features.ragged
    if place is None or not len(start):
        nowhere = np.zeros((len(start), 0, 3))
        return nowhere, nowhere
    known = (features.last_seen[ragged.last[start]] >= 0)[:, :, None]
    first, last = (np.where(known, place[at], np.nan) for at in (start, stop - 1))
    if not seen.all():
        # where it lies is not known of what has been out of sight for long
        late = ragged.frames(HIDDEN_S)[ragged.episode[start]]
        seen_at = features.last_seen[stop - 1]
        hidden = (seen_at < 0) | ((stop - 1 - late)[:, None] > seen_at)
        last = np.where(hidden[:, :, None], np.nan, last)
    return first, last


def _each(ufunc: np.ufunc, verb: Callable[..., Float64s], *columns: Float64s) -> Float64s:
    """Columns of shape (T, d) joined coordinate by coordinate, each contiguous, shape (T,)."""
    first, *others = zip(*(column.T for column in columns), strict=True)
    out = verb(*first)
    for each in others:
        ufunc(out, verb(*each), out=out)
    return out
