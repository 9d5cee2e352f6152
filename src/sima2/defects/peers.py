"""The course of an episode among those of others: its unit, the way its gripper runs, its task, and how it ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import Finding
from sima2.defects.groups import Rows, groups
from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.records.defects import POINTS, SLOTS, EpisodeMeasures

LEAST: Final = 8
"""Episodes below which none is compared."""
FACTORS: Final = (math.degrees(1.0), 100.0, 1000.0)
"""Between units that scripts mix up: degrees and radians; percent and shares, or cm and m; mm and m."""
ALIKE: Final = 0.6
"""Cosine between the positions of an episode and the usual ones, in whatever unit."""
WITHIN: Final = 1.6
"""Factor within which a ratio of units is met by the size of the positions; by their ranges, its square."""
LEAST_WAY: Final = 0.4
"""Share of the range of all episodes that fingers that work go through in most of them."""
MIRRORED: Final = 0.75
"""A gripper's course is reversed if the mirrored one is off the usual course by less than so many times as much,"""
START_FAR: Final = 0.4
"""… and it starts by this share of the range away from where others do,"""
START_NEAR: Final = 0.25
"""… mirrored by less than this,"""
START_QUANTILE: Final = 0.8
"""… within which this share of the others lies, too."""
NEIGHBOURS: Final = 5
"""Nearest episodes, most of which are of another task."""
TOLD_APART: Final = 0.65
"""Share of the episodes of each of two tasks that most of their neighbours place rightly, without which no course says
anything; those that failed often lie between them."""
ASKED: Final = 300
"""Episodes of a task whose neighbours are looked for to tell this: the share is then known to a twentieth."""
OVER: Final = 0.6
"""How far over on the other task's side an episode lies, where 0 is the middle and 1 the other's median."""


def peer_findings(measures: EpisodeMeasures, settings: DefectSettings) -> Iterator[Finding]:
    """Findings of rows of ``measures``."""
    for rows in groups(measures.robot.codes, measures.manipulator.codes, measures.layout.codes):
        if len(rows) >= LEAST:
            odd = dict(_units(measures, rows))
            yield from (_in_other_unit(measures, row, factor) for row, factor in odd.items())
            yield from _polarity(measures, rows)
    yield from _tasks(measures)
    yield from _ends(measures, settings)


def _units(measures: EpisodeMeasures, rows: Rows) -> Iterator[tuple[int, float]]:
    """Rows whose joints (else hand) are in another unit than most, and the factor."""
    for slots in (slice(0, SLOTS - 4), slice(SLOTS - 4, SLOTS - 1)):
        x = measures.signature[rows].reshape(len(rows), SLOTS, POINTS)[:, slots].astype(np.float64)
        span = measures.span[rows, slots].astype(np.float64)
        used = np.isfinite(x).all(axis=(0, 2))
        if not used.any():
            continue
        x, span = x[:, used], span[:, used]
        usual, wide = np.median(x, axis=0), np.median(span, axis=0)
        moving = wide > 0.05 * wide.max()
        if not wide.max() > 0:
            continue
        ratio = np.median(span[:, moving] / wide[moving], axis=1)
        size = np.sqrt((x * x).sum(axis=(1, 2)) * (usual * usual).sum())
        cosine = np.divide((x * usual).sum(axis=(1, 2)), size, out=np.zeros(len(x)), where=size > 0)
        # a parked arm that trembles goes much farther than usual, but from where it always is
        large = np.sqrt((x * x).sum(axis=(1, 2)) / max(float((usual * usual).sum()), 1e-30))
        for k in np.flatnonzero((ratio > 0) & (cosine >= ALIKE)).tolist():
            for factor in FACTORS:
                near = [abs(abs(math.log(each)) - math.log(factor)) for each in (large[k], ratio[k])]
                if near[0] < math.log(WITHIN) and near[1] < 2.0 * math.log(WITHIN):
                    yield int(rows[k]), factor if ratio[k] > 1 else 1 / factor
                    break
        return


def _in_other_unit(measures: EpisodeMeasures, row: int, factor: float) -> Finding:
    times = f"{factor:.3g} times as large" if factor > 1 else f"{1 / factor:.3g} times smaller"
    angle = abs(abs(math.log(factor)) - math.log(FACTORS[0])) < 0.01
    guess = f": {'degrees among radians' if factor > 1 else 'radians among degrees'}, it seems" if angle else ""
    words = f"positions are about {times} than in other episodes, on the same course{guess}"
    return Finding(row, measures.manipulator[row], "mixed_units", 1.0, 0, int(measures.frames[row]), factor,
                   "times the others", words)  # fmt: skip


def _polarity(measures: EpisodeMeasures, rows: Rows) -> Iterator[Finding]:
    """Rows whose gripper opens where the others' closes, from beginning to end."""
    grip = measures.signature[rows].reshape(len(rows), SLOTS, POINTS)[:, -1].astype(np.float64)
    known = np.isfinite(grip).all(axis=1)
    rows, grip = rows[known], grip[known]
    if len(rows) < LEAST:
        return
    bottom, top = float(grip.min()), float(grip.max())
    if float(np.median(measures.span[rows, -1])) < LEAST_WAY * (top - bottom) or not top > bottom:
        return  # of a hand that has nothing to do, where it rests tells nothing
    share = (grip - bottom) / (top - bottom)
    usual = np.median(share, axis=0)
    straight, mirrored = (np.abs(each - usual) for each in (share, 1.0 - share))
    # … unless hands start now here, now there
    agreed = float(np.quantile(straight[:, 0], START_QUANTILE)) < START_NEAR
    hit = (straight[:, 0] > START_FAR) & (mirrored[:, 0] < START_NEAR) & agreed
    # where hands agree counts most: at the start and the end, less on the way
    weight = 1.0 / (0.05 + np.median(straight, axis=0))
    off_course, back_on = (each @ (weight / weight.sum()) for each in (straight, mirrored))
    hit &= back_on < MIRRORED * off_course
    # where fingers start in the middle of their range, the course alone must tell
    hit |= (off_course > START_FAR) & (back_on < MIRRORED / 2 * off_course) & (mirrored[:, 0] < straight[:, 0])
    for k in np.flatnonzero(hit).tolist():
        row = int(rows[k])
        off, back = 100 * float(off_course[k]), 100 * float(back_on[k])
        words = (
            f"the gripper's numbers run the other way round: it starts at {100 * share[k, 0]:.0f} % of the range, the "
            f"others at {100 * usual[0]:.0f} %, and is {off:.0f} % off their course, {back:.0f} % once turned round"
        )
        yield Finding(row, measures.manipulator[row], "mixed_polarity", 1.0, 0, int(measures.frames[row]),
                      off / 100, "of the range", words)  # fmt: skip


def _whole(measures: EpisodeMeasures, signature: Float32s) -> Iterator[tuple[Rows, Float64s]]:
    """First rows of episodes recorded alike, and the courses of all their manipulators, standardised, shape (m, d)."""
    first = np.unique(measures.episode_index, return_index=True)[1]
    ends = np.append(first[1:], len(measures))[: len(first)]
    kinds: dict[tuple[str, ...], list[int]] = {}
    for row, end in zip(first.tolist(), ends.tolist(), strict=True):
        key = (measures.robot[row], *(f"{measures.manipulator[k]} {measures.layout[k]}" for k in range(row, end)))
        kinds.setdefault(key, []).append(row)
    for key, held in kinds.items():
        rows = np.array(held, np.intp)
        x = np.concatenate([signature[rows + k].astype(np.float64) for k in range(len(key) - 1)], axis=1)
        x = x.reshape(len(rows), -1, POINTS)
        low, middle, high = (np.nan_to_num(each) for each in _quantiles(x))
        used = high > low
        # what is far out in one column must not outweigh all the others
        x = np.clip((x[:, used] - middle[used, None]) / (high - low)[used, None], -2.0, 2.0)
        yield rows, np.nan_to_num(x).reshape(len(rows), -1)


def _quantiles(x: Float64s) -> Float64s:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns that nobody recorded
        return np.asarray(np.nanquantile(x, (0.1, 0.5, 0.9), axis=(0, 2)))


def _tasks(measures: EpisodeMeasures) -> Iterator[Finding]:
    """Episodes whose course is another task's, where tasks differ by their courses."""
    from scipy.spatial import cKDTree

    for rows, x in _whole(measures, measures.signature):
        task = measures.task.codes[rows]
        names, count = np.unique(task, return_counts=True)
        large = names[(count >= LEAST) & np.array([bool(measures.task.names[name]) for name in names.tolist()])]
        kept = np.isin(task, large) & (measures.content[rows] != 0)
        if len(large) < 2 or not x.shape[1]:
            continue
        rows, x, task = rows[kept], x[kept], task[kept]
        tree = cKDTree(x)

        def around(some: Rows, x: Float64s = x, task: NDArray[np.int32] = task, tree: cKDTree = tree) -> Rows:
            """Tasks of the nearest of some episodes, shape (len(some), ≤ NEIGHBOURS)."""
            near = np.asarray(tree.query(x[some], min(NEIGHBOURS + 1, len(x)))[1], np.intp).reshape(len(some), -1)
            return np.asarray(task[near[:, 1:]], np.intp)  # itself comes first, but for exact copies

        right = {int(k): _placed_rightly(around, measures.content[rows], np.flatnonzero(task == k), k) for k in large}
        over_on: dict[int, dict[int, float]] = {}
        for a, b in combinations(large.tolist(), 2):
            if min(right[a], right[b]) >= TOLD_APART:
                for k, over in _over(x, task, a, b):
                    over_on.setdefault(k, {})[b if task[k] == a else a] = over
        doubted = np.array(sorted(over_on), np.intp)
        other = dict(zip(doubted.tolist(), around(doubted) if len(doubted) else (), strict=True))
        best: dict[int, tuple[float, int]] = {}
        for k, seen in over_on.items():
            for seems, over in seen.items():
                if (other[k] == seems).mean() > 0.5 and over > best.get(k, (0.0, 0))[0]:
                    best[k] = (over, seems)
        for k, (over, seems) in sorted(best.items()):
            row, alike = int(rows[k]), int((other[k] == seems).sum())
            words = (
                f"moves as episodes of “{measures.task.names[seems]}” do, not as those of its own "
                f"“{measures.task.names[int(task[k])]}”: {alike} of the {len(other[k])} nearest are of the other task"
            )
            yield Finding(row, "", "task_mismatch", 1.0, 0, int(measures.frames[row]), over,
                          "-1 its own task, 1 the other", words)  # fmt: skip


def _placed_rightly(around: Callable[[Rows], Rows], content: Int64s, rows: Rows, task: int) -> float:
    """Share of the episodes of a task most of whose neighbours are of it; of many, of some that their content draws."""
    drawn = rows[np.argsort(content[rows], kind="stable")[:ASKED]]
    return float(((around(drawn) == task).mean(axis=1) > 0.5).mean())


def _over(x: Float64s, task: NDArray[np.int32], a: int, b: int) -> Iterator[tuple[int, float]]:
    """Episodes of two tasks that lie with the other one: place, and how far over (-1 own median, 1 the other's).

    Source: the diagonal linear discriminant of Dudoit, Fridlyand and Speed 2002, with medians for means, so that a few
    episodes under the wrong name do not move it.
    """
    one, two = x[task == a], x[task == b]
    middle_a, middle_b = np.median(one, axis=0), np.median(two, axis=0)
    spread_a = np.median(np.abs(one - middle_a), axis=0)
    spread_b = np.median(np.abs(two - middle_b), axis=0)
    within = (len(one) * spread_a**2 + len(two) * spread_b**2) / (len(one) + len(two))
    weight = (middle_b - middle_a) / (within + max(float(np.median(within)), 1e-12))
    length = float((middle_b - middle_a) @ weight)
    if not length > 0:
        return
    over = 2.0 * ((x - (middle_a + middle_b) / 2) @ weight) / length
    over = np.where(task == b, -over, over)
    mine = (task == a) | (task == b)
    # a task whose episodes lie all about is told apart by nothing
    if max(float(np.quantile(over[task == each], 0.75)) for each in (a, b)) > 0.0:
        return
    for k in np.flatnonzero(mine & (over > OVER)).tolist():
        yield k, float(over[k])


def _ends(measures: EpisodeMeasures, settings: DefectSettings) -> Iterator[Finding]:
    """Episodes that end in mid-motion where the others of their task come to rest."""
    first = np.unique(measures.episode_index, return_index=True)[1]
    place = np.searchsorted(measures.episode_index[first], measures.episode_index)
    pace = np.full(len(first), -np.inf)
    np.maximum.at(pace, place, np.where(np.isfinite(measures.end_pace), measures.end_pace, -np.inf))
    at = {int(row): k for k, row in enumerate(first.tolist())}
    for kind, x in _whole(measures, measures.whole):
        last = x.reshape(len(kind), -1, POINTS)[:, :, -1]
        for some in groups(measures.task.codes[kind]):
            rows = np.array([at[int(row)] for row in kind[some]], np.intp)
            known = np.isfinite(pace[rows])
            rows, ends = rows[known], last[some][known]
            if len(rows) < LEAST:
                continue
            yield from _in_motion(measures, first[rows], pace[rows], ends, settings)


def _in_motion(
    measures: EpisodeMeasures, rows: Rows, pace: Float64s, ends: Float64s, settings: DefectSettings
) -> Iterator[Finding]:
    """Of episodes of one task those that end at a pace at which others do not; at a lower one, where others do not."""
    usual = float(np.quantile(pace, settings.end_quantile))
    away = _to_third(ends)
    strange = away > np.quantile(away, settings.end_strange)
    cut = pace > max(settings.end_pace, settings.end_times * usual)
    # a hand that is shut in the air where others are open, or the reverse, was on its way
    away_hand = _far_from_usual(measures.whole[rows].reshape(len(rows), SLOTS, POINTS)[:, -1, -1].astype(np.float64))
    cut |= away_hand & (pace > max(settings.end_pace_elsewhere, 1.5 * usual))
    cut |= strange & (pace > max(settings.end_pace_elsewhere, settings.end_times * usual))
    for k in np.flatnonzero(cut).tolist():
        row = int(rows[k])
        frames = int(measures.frames[row])
        words = (
            f"ends in mid-motion, at {100 * pace[k]:.0f} % of its fast pace; "
            f"{100 * settings.end_quantile:.0f} % of the others end below {100 * usual:.2g} %"
        )
        yield Finding(row, "", "truncated", 1.0, frames - 1, frames, float(pace[k]), "of its fast pace", words)


def _far_from_usual(ends: Float64s) -> Bools:
    """Where a gripper ends far from where nearly all others do; nowhere, if these do not agree."""
    known = np.isfinite(ends)
    if not known.all() or not np.ptp(ends) > 0:
        return np.zeros(len(ends), np.bool_)
    off = np.abs(ends - np.median(ends)) / np.ptp(ends)
    return (off > START_FAR) & (float(np.quantile(off, START_QUANTILE)) < START_NEAR)


def _to_third(places: Float64s) -> Float64s:
    """Distance of each place to its third nearest, shape (n,)."""
    from scipy.spatial import cKDTree

    if not places.shape[1]:
        return np.zeros(len(places))  # of no column that varies
    distance, _ = cKDTree(places).query(places, min(4, len(places)))
    return np.asarray(distance, np.float64).reshape(len(places), -1)[:, -1]
