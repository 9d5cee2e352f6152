"""How nominal segments look: centroid, spread and duration of every primitive, and how far others are from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.tags.covariance import robust_location_scale, shrunk_covariance
from sima2.tags.observations import KINEMATICS, PLAIN, SegmentObservations

CHANNELS: Final = ("visual", "kinematic", "temporal", "unknown")
"""Reasons for which a segment may be strange."""
SCORES: Final = ("look", "motion", "force", "grip", "long", "short", "doubt", "whole")
"""Columns of :meth:`Nominal.scores`: the look, all measures of motion together, external and grip force, a move
drawn out (long, and slow), a short duration, motion that no label fits, and all that a segment was like as a whole."""
SOURCE: Final = ("visual", "kinematic", "kinematic", "kinematic", "temporal", "temporal", "unknown", "kinematic")
"""Channel of each score."""
MOTION: Final = KINEMATICS[:5]
"""Columns that a hurried arm raises together."""

LEAST_SEGMENTS: Final = 50
"""A primitive with fewer nominal segments has no percentile or mean of its own, but those of its label (specification,
OOD calibration)."""
_PRIOR_SEGMENTS: Final = 8.0
"""Centre and spread of a primitive are drawn towards those of its label as if so many segments spoke for them, those of
a label likewise towards all: so few segments say little of a spread, and nothing is gained by leaving them aside."""
_FLOOR: Final = 0.05
"""Least spread of a logarithm: a change by one part in twenty is never strange."""
TOGETHER: Final = 16_384
"""Segments that are scored at once."""
_SLOWNESS: Final = 0.4
"""A move that is drawn out is not only long but slow: so much its slowness counts beside its duration."""
_FAR: Final = 6.0
"""Robust deviations beyond which one column of motion counts no more."""
_FARTHEST: Final = 50.0
"""Robust deviations beyond which a plain measure counts no more."""
_POOLED: Final = ("", "")


@dataclass(frozen=True, slots=True, eq=False)
class Nominal:
    """References of g primitives, from the pooled one to the finest (family and label), for k kinematic columns."""

    keys: tuple[tuple[str, str], ...]
    """Family and label of each, empty where pooled over; the first is pooled over both."""
    unit: Float64s
    """Median size of each kinematic column, in its own unit, shape (k,)."""
    weight: Float64s
    """Weights of the columns of motion: those of the best linear test for a rise of all together, shape (5,)."""
    centroid: Float64s
    """Mean direction of the embeddings, shape (g, d)."""
    visual: Float64s
    """Centre and spread of the cosine distance to it, shape (g, 2)."""
    location: Float64s
    """Centre of asinh(3 column / unit), shape (g, k)."""
    scale: Float64s
    """Its spread, shape (g, k)."""
    duration: Float64s
    """Centre and spread of the log duration, shape (g, 2)."""
    plain_unit: Float64s
    """Typical size of each plain measure that is a force or a way, 0 for one that is taken as it is, shape (p,)."""
    plain_location: Float64s
    """Centre of each plain measure, shape (g, p)."""
    plain_scale: Float64s
    """Its spread, shape (g, p)."""
    whitening: Float64s
    """Rows that make deviations of the plain measures independent and of unit size, shape (g, p, p)."""
    whole: Float64s
    """Centre and spread of their length, shape (g, 2)."""
    highest: Float64s
    """99th percentile of each kinematic column, in its own unit, shape (g, k)."""
    mean_duration: Float64s
    """s, shape (g,)."""

    def group(self, rows: SegmentObservations) -> Int64s:
        """Finest reference there is for each segment, shape (n,)."""
        known = {key: g for g, key in enumerate(self.keys)}
        table = np.zeros((len(rows.family.names) + 1, len(rows.label.names) + 1), np.int64)
        for f, family in enumerate(rows.family.names):
            for c, label in enumerate(rows.label.names):
                table[f, c] = known.get((family, label), known.get(("", label), 0))
        return np.asarray(table[rows.family.codes, rows.label.codes])

    def cosine_distance(self, rows: SegmentObservations) -> Float64s:
        """Cosine distance of each mean embedding from the nominal centroid, 0–2, NaN where unseen, shape (n,)."""
        return _cosine_distance(rows.embedding, self.centroid, self.group(rows))

    def excess(self, rows: SegmentObservations) -> Float64s:
        """Each kinematic column over its nominal 99th percentile, NaN where unknown, shape (n, k)."""
        top = self.highest[self.group(rows)]
        x = kinematics(rows)
        return np.asarray(np.divide(x, top, out=np.full(x.shape, np.nan), where=top > 0))

    def duration_ratio(self, rows: SegmentObservations) -> Float64s:
        """Duration over the primitive's mean duration, NaN where unknown, shape (n,)."""
        return np.asarray(np.exp(rows.log_duration) / self.mean_duration[self.group(rows)])

    def scores(self, rows: SegmentObservations) -> Float64s:
        """How strange each segment is in the sense of each of :data:`SCORES`, in robust deviations, shape (n, 8).

        NaN where a channel is missing. A recovery maneuver is never strange: it is NaN throughout.
        """
        # each row by itself, so that what is made on the way is never as large as the table
        starts = range(0, len(rows), TOGETHER)
        parts = [self._scores(rows.take(np.arange(start, min(start + TOGETHER, len(rows))))) for start in starts]
        return np.concatenate([np.zeros((0, len(SCORES))), *parts])

    def _scores(self, rows: SegmentObservations) -> Float64s:
        g = self.group(rows)
        x = kinematics(rows)
        z = self._deviations(x, g)
        out = np.full((len(rows), len(SCORES)), np.nan)
        out[:, 0] = self._look(rows, g)
        out[:, 1] = _together(z[:, : len(MOTION)], self.weight)
        out[:, 2:4] = z[:, len(MOTION) :]
        out[:, 5] = -_deviation(rows.log_duration, self.duration[g])
        out[:, 4] = -out[:, 5] - _SLOWNESS * np.nan_to_num(out[:, 1])
        # Motion in units of the ordinary motion of a robot that moves, times the doubt about what it is.
        doubt = np.where(rows.label.isin("unknown"), 1.0, 1.0 - np.nan_to_num(rows.confidence))
        speeds = [KINEMATICS.index(name) for name in ("max_speed", "max_joint_speed")]
        out[:, 6] = doubt * np.fmax(*(x[:, j] / self.unit[j] for j in speeds))
        out[:, 7] = _deviation(_length(self.deviations(rows), self.whitening, g), self.whole[g])
        out[rows.label.isin("recovery_maneuver")] = np.nan
        return out

    def deviations(self, rows: SegmentObservations) -> Float64s:
        """Each plain measure in robust deviations from its nominal centre, NaN where unknown, shape (n, p)."""
        g = self.group(rows)
        return np.asarray((_plain(rows, self.plain_unit) - self.plain_location[g]) / self.plain_scale[g])

    def novelty(self, rows: SegmentObservations) -> Float64s:
        """The first two scores alone, look and motion, shape (n, 2)."""
        g = self.group(rows)
        motion = self._deviations(kinematics(rows), g)[:, : len(MOTION)]
        out = np.stack([self._look(rows, g), _together(motion, self.weight)], axis=1)
        out[rows.label.isin("recovery_maneuver")] = np.nan
        return out

    def _deviations(self, x: Float64s, g: Int64s) -> Float64s:
        return np.asarray((_bent(x, self.unit) - self.location[g]) / self.scale[g])

    def _look(self, rows: SegmentObservations, g: Int64s) -> Float64s:
        return _deviation(_cosine_distance(rows.embedding, self.centroid, g), self.visual[g])


def kinematics(rows: SegmentObservations) -> Float64s:
    """The kinematic columns side by side, shape (n, k)."""
    return np.stack([getattr(rows, name) for name in KINEMATICS], axis=1)


def fit_nominal(rows: SegmentObservations, *, scores_only: bool = False) -> Nominal:
    """References from the segments of nominal episodes (recovery maneuvers left out), at least one.

    ``scores_only`` leaves out ``highest`` and ``mean_duration`` (NaN), which are told to people and score nothing.
    """
    rows = rows.take(~rows.label.isin("recovery_maneuver"))
    everything = np.arange(len(rows))
    members: dict[tuple[str, str], Int64s] = {_POOLED: everything}
    for label in sorted(rows.label.names):
        members["", label] = np.flatnonzero(rows.label.isin(label))
    for family in sorted(rows.family.names):
        of_family = rows.family.isin(family)
        for label in sorted(rows.label.names):
            members[family, label] = np.flatnonzero(of_family & rows.label.isin(label))
    members = {key: mine for key, mine in members.items() if len(mine) or key == _POOLED}
    keys = tuple(members)
    place = {key: g for g, key in enumerate(keys)}
    tree = [(mine, 0 if not key[0] else place["", key[1]]) for key, mine in members.items()]
    x = kinematics(rows)
    unit = np.array([_typical_size(x[:, j]) for j in range(x.shape[1])])
    bent = _bent(x, unit)
    location, scale = np.empty((len(tree), len(unit))), np.empty((len(tree), len(unit)))
    for j in range(len(unit)):
        location[:, j], scale[:, j] = _centres(bent[:, j], tree, _FLOOR)
    finest = np.zeros(len(rows), np.int64)
    for g, (mine, _) in enumerate(tree):
        finest[mine] = g
    centroid = _centroids(rows.embedding, tree)
    distance = _cosine_distance(rows.embedding, centroid, finest)
    z = (bent - location[finest]) / scale[finest]
    plain_unit = np.array([_typical_size(getattr(rows, name)) if name in _BENT else 0.0 for name in PLAIN])
    plain = _plain(rows, plain_unit)
    plain_location, plain_scale = np.empty((len(tree), len(PLAIN))), np.empty((len(tree), len(PLAIN)))
    for j in range(len(PLAIN)):
        plain_location[:, j], plain_scale[:, j] = _centres(plain[:, j], tree, _floor(plain[:, j]))
    apart = (plain - plain_location[finest]) / plain_scale[finest]
    whitening = _whitenings(apart, tree)
    return Nominal(
        keys=keys,
        unit=unit,
        weight=_weights(z[:, : len(MOTION)]),
        centroid=centroid,
        visual=np.stack(_centres(distance, tree, 1e-3), axis=1),
        location=location,
        scale=scale,
        duration=np.stack(_centres(rows.log_duration, tree, _FLOOR), axis=1),
        plain_unit=plain_unit,
        plain_location=plain_location,
        plain_scale=plain_scale,
        whitening=whitening,
        whole=np.stack(_centres(_length(apart, whitening, finest), tree, _FLOOR), axis=1),
        highest=np.full(location.shape, np.nan)
        if scores_only
        else np.stack([_own(x[:, j], tree, _percentile) for j in range(len(unit))], axis=1),
        mean_duration=np.full(len(tree), np.nan) if scores_only else _own(np.exp(rows.log_duration), tree, _mean),
    )


_BENT: Final = ("mean_force", "grip_force", "distance")
"""Plain measures of which the size counts, not the amount."""


def _plain(rows: SegmentObservations, unit: Float64s) -> Float64s:
    """The plain measures side by side, those with a unit bent, shape (n, p)."""
    x = np.stack([getattr(rows, name) for name in PLAIN], axis=1)
    bent = unit > 0
    x[:, bent] = _bent(x[:, bent], unit[bent])
    return x


def _floor(values: Float64s) -> float:
    """Least spread of a plain measure: a twentieth of that over all primitives."""
    known = values[~np.isnan(values)]
    if not len(known):
        return 1.0
    return max(_FLOOR * float(np.subtract(*np.percentile(known, [90.0, 10.0]))), 1e-6)


def _whitenings(z: Float64s, tree: Tree) -> Float64s:
    """Inverse square roots of the covariance of each reference that has enough segments, else of the one above."""
    p = z.shape[1]
    out = np.zeros((len(tree), p, p))
    for g, (mine, above) in enumerate(tree):
        if g and len(mine) < LEAST_SEGMENTS:
            out[g] = out[above]
            continue
        known = np.flatnonzero((~np.isnan(z[mine])).any(axis=0))
        if len(known):
            covariance = shrunk_covariance(np.nan_to_num(z[np.ix_(mine, known)]))
            out[g][np.ix_(known, known)] = np.linalg.inv(np.linalg.cholesky(covariance))
    return out


def _length(z: Float64s, whitening: Float64s, g: Int64s) -> Float64s:
    """Length of whitened deviations, near a normal deviate; NaN where none is known, row by row, shape (n,)."""
    known = ~np.isnan(z)
    z = np.clip(np.nan_to_num(z), -_FARTHEST, _FARTHEST)
    total = np.zeros(len(z))
    for j in range(z.shape[1]):
        part = np.zeros(len(z))
        for k in range(j + 1):
            part += whitening[g, j, k] * z[:, k]
        total += part * part
    degrees = np.maximum(known.sum(axis=1), 1)
    return np.where(known.any(axis=1), np.sqrt(2.0 * total) - np.sqrt(2.0 * degrees - 1.0), np.nan)


Tree = Sequence[tuple[Int64s, int]]
"""Rows of each reference, and the coarser reference above it (the first is its own), coarser ones first."""


def _centres(values: Float64s, tree: Tree, floor: float) -> tuple[Float64s, Float64s]:
    """Centre and spread of each reference, drawn towards the coarser one above it, shapes (g,)."""
    centre, spread = np.full(len(tree), np.nan), np.full(len(tree), np.nan)
    for g, (mine, above) in enumerate(tree):
        known = values[mine][~np.isnan(values[mine])]
        if not len(known):
            centre[g], spread[g] = centre[above], spread[above]
            continue
        (c,), (s,) = robust_location_scale(known[:, None])
        if g:
            share = len(known) / (len(known) + _PRIOR_SEGMENTS)
            apart = share * (1.0 - share) * (c - centre[above]) ** 2
            s = np.sqrt(share * s**2 + (1.0 - share) * spread[above] ** 2 + apart)
            c = share * c + (1.0 - share) * centre[above]
        centre[g], spread[g] = c, max(s, floor)
    return centre, spread


def _own(values: Float64s, tree: Tree, statistic: Callable[[Float64s], float]) -> Float64s:
    """A statistic of each reference that has enough segments, else that of the coarser one above it, shape (g,)."""
    out = np.full(len(tree), np.nan)
    for g, (mine, above) in enumerate(tree):
        out[g] = statistic(values[mine]) if len(mine) >= LEAST_SEGMENTS or not g else out[above]
    return out


def _weights(z: Float64s) -> Float64s:
    """Weights of the best linear test for a rise of all columns together, inverse covariance times ones, shape (k,).

    Columns that are unknown weigh nothing; the statistic has unit variance under the shrunk covariance.
    """
    weight = np.zeros(z.shape[1])
    some = np.flatnonzero((~np.isnan(z)).any(axis=0))
    if len(some):
        precision = np.linalg.inv(shrunk_covariance(np.nan_to_num(z[:, some])))
        raw = np.maximum(precision.sum(axis=1), 0.0)
        size = float(raw @ np.linalg.inv(precision) @ raw)
        weight[some] = raw / np.sqrt(size) if size > 0 else 0.0
    return weight


def _together(z: Float64s, weight: Float64s) -> Float64s:
    """The weighted sum of the known columns, NaN where none is known, row by row, shape (n,)."""
    known = ~np.isnan(z).all(axis=1)
    total = np.einsum("ij,j->i", np.clip(np.nan_to_num(z), -_FAR, _FAR), weight)
    return np.where(known, total, np.nan)


def _bent(x: Float64s, unit: Float64s) -> Float64s:
    """A logarithm but near zero, where it is linear."""
    return np.asarray(np.arcsinh(3.0 * x / unit))


def _typical_size(column: Float64s) -> float:
    """Median magnitude of what is not zero, 1 where nothing is known."""
    known = np.abs(column[~np.isnan(column) & (column != 0)])
    return float(np.median(known)) if len(known) else 1.0


def _percentile(column: Float64s) -> float:
    known = column[~np.isnan(column)]
    return float(np.percentile(known, 99.0)) if len(known) else float("nan")


def _mean(column: Float64s) -> float:
    known = column[~np.isnan(column)]
    return float(np.mean(known)) if len(known) else float("nan")


def _deviation(values: Float64s, centre_spread: Float64s) -> Float64s:
    return np.asarray((values - centre_spread[:, 0]) / centre_spread[:, 1])


def _unit_rows(embedding: Float32s) -> Float64s:
    x = embedding.astype(np.float64)
    norm = np.sqrt(np.einsum("ij,ij->i", x, x))[:, None]
    return np.asarray(np.divide(x, norm, out=np.full(x.shape, np.nan), where=norm > 0))


def _cosine_distance(embedding: Float32s, centroid: Float64s, group: Int64s) -> Float64s:
    """Row by row, so that a segment alone gives the same bits as in a batch, shape (n,)."""
    width = centroid.shape[1]
    if not width or embedding.shape[1] != width:
        return np.full(len(embedding), np.nan)
    return np.asarray(1.0 - np.einsum("ij,ij->i", _unit_rows(embedding), centroid[group]))


def _centroids(embedding: Float32s, tree: Tree) -> Float64s:
    """Mean direction of each reference, drawn towards the coarser one above it; NaN where unknown, shape (g, d)."""
    unit = _unit_rows(embedding)
    out = np.full((len(tree), embedding.shape[1]), np.nan)
    for g, (mine, above) in enumerate(tree):
        seen = unit[mine][~np.isnan(unit[mine]).any(axis=1)]
        total = seen.sum(axis=0)
        if g:
            total = total + _PRIOR_SEGMENTS * np.nan_to_num(out[above])
        norm = float(np.sqrt(np.sum(total**2)))
        if norm > 0 and (len(seen) or g):
            out[g] = total / norm
    return out
