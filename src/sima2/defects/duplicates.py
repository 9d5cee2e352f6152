"""Episodes that are copies of others: bit for bit, or the same motion up to noise, resampling and small edits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import Finding
from sima2.records.arrays import Float32s, Float64s, Indices
from sima2.records.defects import POINTS, SLOTS, EpisodeMeasures

Rows = Indices
DIMENSIONS = 8
"""Principal directions in which neighbours are looked for; distances are then taken in all."""
DECILES = 2.563
"""Distance of the tenth from the ninetieth percentile of a normal distribution, in standard deviations."""
SHARED = 0.5
"""Share of an episode's least digests of frames that another one has too, if most of its frames are the same."""
TOGETHER = 256
"""Episodes whose motions are compared at once: so many stay in the cache."""


class Motions(NamedTuple):
    """Whole robots' motions, comparable with each other."""

    row: Rows
    """First row in the measures of each episode, shape (m,)."""
    values: Float64s
    """Standardised signatures, shape (m, d)."""
    noise: Float64s
    """Root mean square noise in the same measure, shape (m,)."""


def duplicate_findings(measures: EpisodeMeasures, settings: DefectSettings) -> list[Finding]:
    """One finding for each episode that has an earlier twin; the first of a group is no defect."""
    rows, content = _contents(measures)
    exact = _exact(measures, rows, content)
    shared = {row: twin for row, twin in _shared(measures, rows).items() if row not in exact}
    near: dict[int, tuple[int, float]] = {}
    distinct = np.array([k for k, row in enumerate(rows.tolist()) if row not in exact and row not in shared], np.intp)
    # over the motion, whatever the rest before and after; and over all, where noise hides when the motion begins
    for signature in (measures.signature, measures.whole):
        for motions in _motions(measures, rows[distinct], signature):
            for row, (twin, distance) in _near(measures, motions, settings).items():
                if row not in near or distance < near[row][1]:
                    near[row] = (twin, distance)
    return [
        *_near_copies(measures, {row: (twin, 0.0) for row, twin in exact.items()}),
        *_told_shared(measures, shared),
        *_near_copies(measures, near),
    ]


def content_keys(measures: EpisodeMeasures) -> dict[str, tuple[str, ...]]:
    """What each episode's recorded motion is known again by, by its id; episodes without motion have none."""
    rows, content = _contents(measures)
    return {
        measures.episode_id[int(row)]: (measures.robot[int(row)], measures.layout[int(row)], *map(str, digests))
        for row, digests in zip(rows, content, strict=True)
        if any(digests)
    }


def _contents(measures: EpisodeMeasures) -> tuple[Rows, list[tuple[int, ...]]]:
    """First row of each episode, and the digests of all its manipulators; rows of an episode stand together."""
    _, first = np.unique(measures.episode_index, return_index=True)
    ends = np.append(first[1:], len(measures))[: len(first)]
    content = measures.content.tolist()
    return np.asarray(first, np.intp), [tuple(content[a:b]) for a, b in zip(first.tolist(), ends.tolist(), strict=True)]


def _exact(measures: EpisodeMeasures, rows: Rows, content: list[tuple[int, ...]]) -> dict[int, int]:
    """Row of each exact copy → row of the first of its kind."""
    seen: dict[tuple[object, ...], int] = {}
    twins = {}
    for row, digest in zip(rows.tolist(), content, strict=True):
        if not any(digest):
            continue
        # whatever is declared beside them: a copy may tell of another robot or task
        key = (measures.layout[row], *digest)
        if key in seen:
            twins[row] = seen[key]
        else:
            seen[key] = row
    return twins


def _shared(measures: EpisodeMeasures, rows: Rows) -> dict[int, int]:
    """Row of each episode that shares most of its moving frames with an earlier one, bit for bit → that one."""
    ends = dict(zip(np.unique(measures.episode_index, return_index=True)[1].tolist(), _ends(measures), strict=True))
    seen: dict[int, int] = {}
    found = {}
    for row in rows.tolist():
        votes: dict[int, int] = {}
        most = 0
        for k in range(row, ends[row]):
            mine = measures.sketch[k]
            mine = mine[mine != 0].tolist()
            most += len(mine)
            for digest in mine:
                twin = seen.setdefault(digest, row)
                if twin != row:
                    votes[twin] = votes.get(twin, 0) + 1
        if votes:
            twin = max(votes, key=lambda each: (votes[each], -each))
            if votes[twin] >= SHARED * most:
                found[row] = twin
    return found


def _told_shared(measures: EpisodeMeasures, twins: dict[int, int]) -> list[Finding]:
    found = []
    for row, twin in sorted(twins.items()):
        words = f"frames of {measures.episode_id[twin]} bit for bit, cut otherwise"
        found.append(
            Finding(row, "", "near_duplicate", 1.0, 0, int(measures.frames[row]), 0.0, "spreads over the run", words)
        )
    return found


def _motions(measures: EpisodeMeasures, rows: Rows, signature: Float32s) -> list[Motions]:
    """Moving episodes by what was recorded of them, standardised by the spread over the run."""
    kinds: dict[tuple[str, ...], list[int]] = {}
    ends = dict(zip(np.unique(measures.episode_index, return_index=True)[1].tolist(), _ends(measures), strict=True))
    for row in rows.tolist():
        span = range(row, ends[row])
        if any(measures.content[k] for k in span):
            key = tuple(f"{measures.manipulator[k]} {measures.layout[k]}" for k in span)
            kinds.setdefault(key, []).append(row)
    return [
        _standardised(measures, np.array(held, np.intp), len(key), signature)
        for key, held in kinds.items()
        if len(held) > 1
    ]


def _ends(measures: EpisodeMeasures) -> list[int]:
    first = np.unique(measures.episode_index, return_index=True)[1]
    return [*first[1:].tolist(), len(measures)][: len(first)]


def _standardised(measures: EpisodeMeasures, rows: Rows, arms: int, signature: Float32s) -> Motions:
    used = np.zeros(arms * SLOTS, np.bool_)
    spread = np.zeros(arms * SLOTS)
    parts = [np.zeros((len(rows), 0))]
    # slot by slot, for most are empty
    for slot in range(arms * SLOTS):
        first = slot % SLOTS * POINTS
        values = signature[rows + slot // SLOTS, first : first + POINTS].astype(np.float64)
        used[slot] = not np.isnan(values).all()
        if used[slot]:
            low, middle, high = np.nanquantile(values, [0.1, 0.5, 0.9])
            spread[slot] = (high - low) / DECILES
        if spread[slot] > 0:
            parts.append(np.nan_to_num((values - middle) / spread[slot]))
    noise = np.concatenate([measures.noise[rows + k].astype(np.float64) for k in range(arms)], axis=1)[:, used]
    moving = spread[used] > 0
    noise = noise[:, moving] / spread[used][moving]
    size = np.sqrt(np.mean(np.square(np.nan_to_num(noise)), axis=1)) if moving.any() else np.zeros(len(rows))
    return Motions(rows, np.concatenate(parts, axis=1), size)


def _near(measures: EpisodeMeasures, motions: Motions, settings: DefectSettings) -> dict[int, tuple[int, float]]:
    """Rows of near copies → the nearest earlier episode, and the distance in spreads."""
    m, width = motions.values.shape
    if m < 2 or not width:
        return {}
    k = min(settings.neighbours, m - 1)
    near, distance = _neighbours(motions, k)
    far = close = np.full(m, np.inf)
    if m >= settings.least_population:
        far = distance[:, -1] * _unlikely(distance, m, settings)
        # where episodes lie in clusters, the last neighbour may be of another one and say little
        close = np.min([distance[:, j - 1] * _unlikely(distance[:, :j], m, settings) for j in _references(k)], axis=0)
    here = np.arange(m)[:, None]
    noise = settings.copy_noise * np.hypot(motions.noise[here], motions.noise[near])
    alike = (distance <= noise) & (distance <= np.minimum(settings.copy_share, np.maximum(far[here], far[near])))
    if m >= settings.least_population:
        widest = np.maximum(close[here], close[near])
        alike |= distance <= np.minimum(settings.copy_share + noise, widest)
    out: dict[int, tuple[int, float]] = {}
    for i, c in zip(*(each.tolist() for each in np.nonzero(alike)), strict=True):
        j, d = int(near[i, c]), float(distance[i, c])
        a, b = sorted((i, j), key=lambda p: int(measures.episode_index[motions.row[p]]))
        row, twin = int(motions.row[b]), int(motions.row[a])
        if row not in out or d < out[row][1]:
            out[row] = (twin, d)
    return out


def _neighbours(motions: Motions, k: int) -> tuple[Rows, Float64s]:
    """The ``k`` nearest of each and their distances (root mean square, in spreads), nearest first, shape (m, k)."""
    values = motions.values
    m, width = values.shape
    centred = values - values.mean(axis=0)
    if width > DIMENSIONS:
        _, axes = np.linalg.eigh(centred.T @ centred)
        centred = centred @ axes[:, -DIMENSIONS:]
    from scipy.spatial import cKDTree

    _, place = cKDTree(centred).query(centred, min(2 * k + 1, m))
    place = np.asarray(place, np.intp).reshape(m, -1)
    slopes = np.asarray(np.gradient(values.reshape(m, -1, POINTS), axis=2)).reshape(m, -1)
    distance = np.empty(place.shape)
    for start in range(0, m, TOGETHER):
        some = slice(start, start + TOGETHER)
        for c in range(place.shape[1]):
            other = place[some, c]
            distance[some, c] = _aligned(values[some] - values[other], 0.5 * (slopes[some] + slopes[other]))
    distance[place == np.arange(m)[:, None]] = np.inf
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(place, order, axis=1), np.take_along_axis(distance, order, axis=1)


def _aligned(gap: Float64s, slope: Float64s) -> Float64s:
    """Length of gaps, row by row, after a small shift and stretch in time are taken out, shape (m,).

    Args:
        gap: one motion less another, shape (m, d).
        slope: mean of their slopes, a place, shape (m, d).
    """
    stretch = slope * np.tile(np.linspace(-1.0, 1.0, POINTS), slope.shape[1] // POINTS)
    # least squares over the two trends, by their normal equations
    ss, st, tt = _products(slope, slope), _products(slope, stretch), _products(stretch, stretch)
    gs, gt = _products(gap, slope), _products(gap, stretch)
    det = ss * tt - st * st
    good = det > 1e-9 * np.maximum(ss * tt, 1e-30)
    safe = np.where(good, det, 1.0)
    shift = np.where(good, (gs * tt - gt * st) / safe, 0.0)
    pace = np.where(good, (gt * ss - gs * st) / safe, 0.0)
    # beyond one place it is another motion, not the same a little later
    shift, pace = np.clip(shift, -1.0, 1.0), np.clip(pace, -1.0, 1.0)
    rest = gap - shift[:, None] * slope - pace[:, None] * stretch
    return np.asarray(np.sqrt(_products(rest, rest) / rest.shape[1]))


def _products(a: Float64s, b: Float64s) -> Float64s:
    """Inner products row by row, shape (m,)."""
    return np.asarray(np.einsum("ij,ij->i", a, b))


def _references(k: int) -> list[int]:
    return sorted({max(k // 4, min(3, k)), max(k // 2, min(3, k)), k})


def _unlikely(distance: Float64s, m: int, settings: DefectSettings) -> float:
    """Share of the k-th neighbour's distance below which the first one's lies by chance ``false_flags`` times a run.

    Where episodes lie as points of a smooth cloud of dimension D, the ratio of the distances to the neighbours j and
    k, to the power D, is beta distributed with (j, k − j); D follows from the median ratio of later neighbours, which
    copies do not touch (Facco et al. 2017 take the first two).
    """
    k = distance.shape[1]
    half = max(k // 2, 1)
    ratio = distance[:, half - 1] / np.where(distance[:, -1] > 0, distance[:, -1], 1.0)
    middle = float(np.median(ratio[distance[:, -1] > 0])) if (distance[:, -1] > 0).any() else 0.0
    if not 0.0 < middle < 1.0 or k < 3:
        return 0.0
    dimension = np.log(half / k) / np.log(middle)
    chance = -np.expm1(np.log1p(-settings.false_flags / m) / (k - 1))
    return float(chance ** (1.0 / dimension))


def _near_copies(measures: EpisodeMeasures, twins: dict[int, tuple[int, float]]) -> list[Finding]:
    size: dict[int, int] = {}
    for twin, _ in twins.values():
        size[twin] = size.get(twin, 0) + 1
    found = []
    for row, (twin, distance) in sorted(twins.items()):
        others = f", as {size[twin] - 1} more are" if size[twin] > 1 else ""
        if distance == 0.0:
            words, severity = f"the positions of {measures.episode_id[twin]} bit for bit{others}", 1.0
        else:
            words = f"the motion of {measures.episode_id[twin]} again{others}; they differ by {distance:.2g} spreads"
            severity = 1.0
        found.append(
            Finding(
                row,
                "",
                "near_duplicate",
                severity,
                0,
                int(measures.frames[row]),
                distance,
                "spreads over the run",
                words,
            )
        )
    return found
