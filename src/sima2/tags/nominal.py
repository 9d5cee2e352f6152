"""How nominal segments look: centroid, spread and duration of every primitive, and how far others are from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.tags.covariance import robust_location_scale, shrunk_covariance, standardised
from sima2.tags.observations import KINEMATICS, SegmentObservations

Array = NDArray[np.float64]

CHANNELS: Final = ("visual", "kinematic", "temporal", "unknown")
"""Reasons for which a segment may be strange, in the order of score columns."""

LEAST_SEGMENTS: Final = 50
"""A primitive with fewer nominal segments is judged by a coarser reference (specification, OOD calibration)."""
_POOLED: Final = ("", "")


@dataclass(frozen=True, slots=True, eq=False)
class Nominal:
    """References of g primitives, from the finest (family and label) to the pooled one, for k kinematic columns."""

    keys: tuple[tuple[str, str], ...]
    """Family and label of each, empty where pooled over; the first is pooled over both."""
    centroid: Array
    """Mean direction of the embeddings, shape (g, d)."""
    visual: Array
    """Median and spread of the cosine distance to it, shape (g, 2)."""
    unit: Array
    """Median size of each kinematic column, in its own unit, shape (g, k)."""
    location: Array
    """Median of asinh(column / unit), shape (g, k)."""
    scale: Array
    """Its robust standard deviation, shape (g, k)."""
    precision: Array
    """Inverse of the shrunk covariance of the robust deviations, shape (g, k, k)."""
    kinematic: Array
    """Median and spread of the Mahalanobis distance, shape (g, 2)."""
    highest: Array
    """99th percentile of each kinematic column, in its own unit, shape (g, k)."""
    duration: Array
    """Median and spread of the log duration, and the mean duration in s, shape (g, 3)."""

    def group(self, rows: SegmentObservations) -> NDArray[np.int64]:
        """Finest reference there is for each segment, shape (n,)."""
        known = {key: g for g, key in enumerate(self.keys)}
        table = np.zeros((len(rows.family.names) + 1, len(rows.label.names) + 1), np.int64)
        for f, family in enumerate(rows.family.names):
            for c, label in enumerate(rows.label.names):
                table[f, c] = known.get((family, label), known.get(("", label), 0))
        return np.asarray(table[rows.family.codes, rows.label.codes])

    def cosine_distance(self, rows: SegmentObservations) -> Array:
        """Cosine distance of each mean embedding from the nominal centroid, 0–2, NaN where unseen, shape (n,)."""
        width = self.centroid.shape[1]
        if not width or rows.embedding.shape[1] != width:
            return np.full(len(rows), np.nan)
        return np.asarray(1.0 - np.einsum("ij,ij->i", _unit_rows(rows.embedding), self.centroid[self.group(rows)]))

    def excess(self, rows: SegmentObservations) -> Array:
        """Each kinematic column over its nominal 99th percentile, NaN where unknown, shape (n, k)."""
        top = self.highest[self.group(rows)]
        x = kinematics(rows)
        return np.asarray(np.divide(x, top, out=np.full(x.shape, np.nan), where=top > 0))

    def duration_ratio(self, rows: SegmentObservations) -> Array:
        """Duration over the primitive's mean duration, NaN where unknown, shape (n,)."""
        return np.asarray(np.exp(rows.log_duration) / self.duration[self.group(rows), 2])

    def scores(self, rows: SegmentObservations) -> Array:
        """How strange each segment is on each of :data:`CHANNELS`, in robust deviations, shape (n, 4).

        NaN where a channel is missing. A recovery maneuver is never strange: it is NaN throughout.
        """
        g = self.group(rows)
        out = np.full((len(rows), len(CHANNELS)), np.nan)
        out[:, 0] = _deviation(self.cosine_distance(rows), self.visual[g])
        x = kinematics(rows)
        z = self._deviations(x, g)
        some = ~np.isnan(x).all(axis=1)
        out[some, 1] = _deviation(_mahalanobis(z, self.precision[g]), self.kinematic[g])[some]
        out[:, 2] = np.abs(_deviation(rows.log_duration, self.duration[g, :2]))
        # Motion in units of the ordinary motion of a robot that moves, times the doubt about what it is.
        doubt = np.where(rows.label.isin("unknown"), 1.0, 1.0 - np.nan_to_num(rows.confidence))
        out[:, 3] = doubt * np.fmax(*(x[:, j] / self.unit[0, j] for j in (0, 1)))
        out[rows.label.isin("recovery_maneuver")] = np.nan
        return out

    def _deviations(self, x: Array, g: NDArray[np.int64]) -> Array:
        return standardised(np.arcsinh(x / self.unit[g]), self.location[g], self.scale[g])


def kinematics(rows: SegmentObservations) -> Array:
    """The kinematic columns side by side, shape (n, k)."""
    return np.stack([getattr(rows, name) for name in KINEMATICS], axis=1)


def fit_nominal(rows: SegmentObservations) -> Nominal:
    """References from the segments of nominal episodes (recovery maneuvers left out), at least one."""
    rows = rows.take(~rows.label.isin("recovery_maneuver"))
    members: dict[tuple[str, str], NDArray[np.bool_]] = {_POOLED: np.ones(len(rows), np.bool_)}
    for label in sorted(rows.label.names):
        of_label = rows.label.isin(label)
        members["", label] = of_label
        for family in sorted(rows.family.names):
            members[family, label] = of_label & rows.family.isin(family)
    kept = [key for key, mask in members.items() if key == _POOLED or int(mask.sum()) >= LEAST_SEGMENTS]
    parts = [_fit_one(rows.take(members[key])) for key in kept]
    columns = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
    return Nominal(keys=tuple(kept), **columns)


def _fit_one(rows: SegmentObservations) -> dict[str, Array]:
    """Reference of one primitive."""
    x = kinematics(rows)
    unit = np.array([_typical_size(x[:, j]) for j in range(x.shape[1])])
    bent = np.arcsinh(x / unit)
    location, scale = robust_location_scale(bent)
    z = standardised(bent, location, scale)
    precision = np.linalg.inv(shrunk_covariance(z))
    centroid = _centroid(rows.embedding)
    distance = 1.0 - _unit_rows(rows.embedding) @ centroid if len(centroid) else np.full(len(rows), np.nan)
    seconds = np.exp(rows.log_duration)
    lasting = seconds[~np.isnan(seconds)]
    return {
        "centroid": centroid,
        "visual": _centre_spread(distance),
        "unit": unit,
        "location": location,
        "scale": scale,
        "precision": precision,
        "kinematic": _centre_spread(_mahalanobis(z, np.broadcast_to(precision, (len(z), *precision.shape)))),
        "highest": np.array([_percentile(x[:, j], 99.0) for j in range(x.shape[1])]),
        "duration": np.append(_centre_spread(rows.log_duration), np.mean(lasting) if len(lasting) else np.nan),
    }


def _typical_size(column: Array) -> float:
    """Median magnitude of what is not zero, 1 where nothing is known."""
    known = np.abs(column[~np.isnan(column) & (column != 0)])
    return float(np.median(known)) if len(known) else 1.0


def _percentile(column: Array, share: float) -> float:
    known = column[~np.isnan(column)]
    return float(np.percentile(known, share)) if len(known) else float("nan")


def _centre_spread(values: Array) -> Array:
    """Median and robust standard deviation; a spread of 0 is replaced by a grain of the median."""
    location, scale = robust_location_scale(values[:, None])
    if scale[0] == 0.0:
        scale = np.maximum(1e-3 * np.abs(location), 1e-6)
    return np.array([location[0], scale[0]])


def _deviation(values: Array, centre_spread: Array) -> Array:
    return np.asarray((values - centre_spread[:, 0]) / centre_spread[:, 1])


def _mahalanobis(z: Array, precision: Array) -> Array:
    """Row by row, so that a segment alone gives the same bits as in a batch, shape (n,)."""
    return np.asarray(np.sqrt(np.maximum(np.einsum("ij,ijk,ik->i", z, precision, z), 0.0)))


def _unit_rows(embedding: NDArray[np.float32]) -> Array:
    x = embedding.astype(np.float64)
    norm = np.sqrt(np.einsum("ij,ij->i", x, x))[:, None]
    return np.asarray(np.divide(x, norm, out=np.full(x.shape, np.nan), where=norm > 0))


def _centroid(embedding: NDArray[np.float32]) -> Array:
    unit = _unit_rows(embedding)
    seen = unit[~np.isnan(unit).any(axis=1)]
    if not len(seen):
        return np.full(embedding.shape[1], np.nan)
    mean = seen.mean(axis=0)
    norm = float(np.sqrt(np.sum(mean**2)))
    return mean / norm if norm > 0 else np.full(embedding.shape[1], np.nan)
