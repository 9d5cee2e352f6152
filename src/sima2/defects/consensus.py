"""Whether an episode does what the others of its task do in like states: the agreement of actions, without a label.

A finding, not a fault: where most are wrong, those who do right are alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from sima2.defects.courses import tasks_of
from sima2.records.arrays import Bools, Float32s, Float64s, Indices, Int64s
from sima2.records.courses import MOMENTS, ConsensusTable, PointTable, moments_of
from sima2.records.defects import DefectTable
from sima2.records.robust import MAD_TO_SIGMA

Rows = Indices
SIDES: Final[tuple[Literal["left", "right"], ...]] = ("left", "right")
RESTS: Final = 0.25
"""Least spread of a slot, in its standard deviation."""
CHUNK: Final = 256
"""Moments whose distances are in memory at once."""


@dataclass(frozen=True, slots=True)
class ConsensusSettings:
    """Who is asked, and what counts as another action."""

    least: int = 20
    """Episodes of a task from which on they are compared."""
    references: int = 36
    """Episodes of a task that are asked at most, evenly spread over it: more cost more and tell no better."""
    neighbours: float = 0.5
    """Share of them whose nearest state counts: half of all is a consensus, a few are a clique."""
    floor: float = 1.0
    """Least spread of their actions, in that of all actions: it counts only where they do more different things than
    the task as a whole."""
    known: float = 0.5
    """Share of the task's moments at which a slot must be known to be compared."""
    around: int = 1
    """Moments on each side that a moment is averaged with to say where an episode disagrees."""
    stands_out: float = 0.8
    """… which is where that average is no less than this share of its greatest."""


def consensus(
    points: PointTable, copies: Iterable[str] = (), settings: ConsensusSettings | None = None
) -> ConsensusTable:
    """How far each episode disagrees with the others of its task, task by task.

    At each moment the nearest moments of other episodes, one of each, are sought by the state; what is done is compared
    with the median of what is done there, in the spread of that. The rank of this among all moments of the task,
    averaged over an episode, is its disagreement.

    Args:
        points: of all episodes.
        copies: episodes that repeat another: nobody is vouched for by one.
        settings: who is asked.
    """
    settings = settings or ConsensusSettings()
    left_out = frozenset(copies)
    parts = [_of_task(points.take(rows), left_out, settings) for rows in tasks_of(points)]
    return ConsensusTable.concat([part for part in parts if part is not None])


def copied(defects: DefectTable) -> set[str]:
    """Episodes that repeat another."""
    return set(defects.episode_id[defects.defect.isin("near_duplicate")])


def _of_task(task: PointTable, copies: frozenset[str], settings: ConsensusSettings) -> ConsensusTable | None:
    index, one, of = np.unique(task.episode_index, return_index=True, return_inverse=True)
    n = len(index)
    if n < settings.least:
        return None
    arms = sorted(set(task.manipulator))
    row = np.full((len(arms), n), -1)
    row[task.manipulator.recode(arms), of] = np.arange(len(task))
    states, state_known = _scaled(task.state, row, settings)
    actions, action_known = _scaled(task.motion, row, settings)
    asked = np.array([name not in copies for name in task.episode_id[one]], np.bool_)
    known = state_known & action_known
    far = np.full(n * MOMENTS, np.nan)
    whole = np.flatnonzero(known)
    witnesses = np.flatnonzero(asked & known.reshape(n, MOMENTS).any(axis=1))
    # who is judged asks none of itself, and a copy not what it is of
    if states.shape[1] and actions.shape[1] and len(witnesses) >= settings.least // 2:
        some = np.unique(np.linspace(0, len(witnesses) - 1, min(len(witnesses), settings.references)).astype(np.int64))
        states[~known] = np.inf
        far[whole] = _disagreement(states, actions, whole, witnesses[some], asked, settings)
    rank = _ranked(far.reshape(n, MOMENTS))
    each, dissent = _mean(rank), _ranked(_smooth(rank, settings.around))
    start, end = _where(dissent, task.frames[one], settings)
    finite = np.isfinite(each)
    p = np.full(n, np.nan)
    held = np.sort(each[finite])
    p[finite] = (len(held) - np.searchsorted(held, each[finite])) / max(len(held), 1)
    return ConsensusTable(
        episode_index=index,
        episode_id=task.episode_id[one],
        family=task.family[one],
        robot=task.robot[one],
        episodes=np.full(n, n),
        disagreement=each,
        p=p,
        dissent=dissent.astype(np.float32),
        start_frame=start,
        end_frame=end,
    )


def _scaled(values: Float32s, row: Rows, settings: ConsensusSettings) -> tuple[Float32s, Bools]:
    """Slots of all arms at all moments, each in its own spread, and where all of them are known.

    Returns:
        Shape (n · MOMENTS, k) and (n · MOMENTS,).
    """
    n = row.shape[1]
    width = values.shape[1] // MOMENTS
    parts = []
    for mine in row:
        part = values[np.maximum(mine, 0)].astype(np.float64)
        part[mine < 0] = np.nan
        parts.append(part.reshape(n * MOMENTS, width))
    x = np.concatenate(parts, axis=1)
    x = x[:, np.isfinite(x).mean(axis=0) >= settings.known]
    known = np.isfinite(x).all(axis=1)
    if not known.any():
        return np.zeros((len(x), 0), np.float32), known
    held = x[known]
    middle = np.median(held, axis=0)
    spread = MAD_TO_SIGMA * np.median(np.abs(held - middle), axis=0)
    # what mostly rests, as a hand that is open, has a spread all the same
    spread = np.maximum(spread, RESTS * held.std(axis=0))
    used = spread > 1e-6
    return (np.where(known[:, None], x - middle, 0.0)[:, used] / spread[used]).astype(np.float32), known


def _disagreement(
    states: Float32s,
    actions: Float32s,
    moments: Rows,
    witnesses: Rows,
    asked: Bools,
    settings: ConsensusSettings,
) -> Float64s:
    """Distance of what is done at each of these moments from what the nearest witnesses do, in their spread.

    Args:
        states: of all moments, infinite where not known, shape (n · MOMENTS, d).
        actions: of all moments, shape (n · MOMENTS, a).
        moments: those that are judged, shape (m,).
        witnesses: episodes that are asked, shape (w,).
        asked: which episodes are no copies, shape (n,); whoever is one does not ask the nearest, for that is its twin.
        settings: who is asked.
    """
    theirs = (witnesses[:, None] * MOMENTS + np.arange(MOMENTS)).ravel()
    held, done, done_here = states[theirs], np.ascontiguousarray(actions[theirs].T), actions[moments].T
    count = max(3, round(settings.neighbours * len(witnesses)))
    square = (held**2).sum(axis=1)
    towards = np.ascontiguousarray(np.where(np.isfinite(square)[:, None], np.float32(-2) * held, np.float32(0)).T)
    own = np.full(len(states) // MOMENTS, -1)
    own[witnesses] = np.arange(len(witnesses))
    out = np.empty(len(moments))
    for begin in range(0, len(moments), CHUNK):
        mine = moments[begin : begin + CHUNK]
        far = states[mine] @ towards
        far += square
        far = far.reshape(len(mine), len(witnesses), MOMENTS)
        nearest = far.argmin(axis=2)
        least = np.take_along_axis(far, nearest[:, :, None], axis=2)[:, :, 0]
        self_ = own[mine // MOMENTS]
        least[np.flatnonzero(self_ >= 0), self_[self_ >= 0]] = np.inf
        twin = np.flatnonzero(~asked[mine // MOMENTS])
        least[twin, least[twin].argmin(axis=1)] = np.inf
        who = np.argpartition(least, count - 1, axis=1)[:, :count]
        like = done[:, who * MOMENTS + np.take_along_axis(nearest, who, axis=1)]
        middle = _median(like)
        spread = MAD_TO_SIGMA * _median(np.abs(like - middle[:, :, None]))
        off = (done_here[:, begin : begin + CHUNK] - middle) / np.maximum(spread, settings.floor)
        out[begin : begin + CHUNK] = np.sqrt((off**2).mean(axis=0))
    return out


def _median(values: Float32s) -> Float32s:
    """Over the last axis; many short rows are sorted much sooner than parted."""
    ordered, middle = np.sort(values, axis=-1), values.shape[-1] // 2
    if values.shape[-1] % 2:
        return np.asarray(ordered[..., middle])
    return np.asarray((ordered[..., middle - 1] + ordered[..., middle]) / np.float32(2))


def _ranked(far: Float64s) -> Float64s:
    """Share of what is known that is less, half of what is equal included, NaN where not known; of the same shape.

    >>> _ranked(np.array([[3.0, 1.0], [np.nan, 2.0]])).round(2).tolist()
    [[0.83, 0.17], [nan, 0.5]]
    """
    rank = np.full(far.shape, np.nan)
    known = np.isfinite(far)
    # a last bit is no difference
    held = np.round(far[known], 6)
    order = np.sort(held)
    below, upto = (np.searchsorted(order, held, side=side) for side in SIDES)
    rank[known] = (below + upto) / (2 * max(len(held), 1))
    return rank


def _mean(rank: Float64s) -> Float64s:
    """Of the known moments of each episode, NaN where there is none, shape (n,)."""
    count = np.isfinite(rank).sum(axis=1)
    mean = np.full(len(rank), np.nan)
    mean[count > 0] = np.nansum(rank[count > 0], axis=1) / count[count > 0]
    return np.round(mean, 4)


def _smooth(rank: Float64s, around: int) -> Float64s:
    """Each moment with so many on each side, as far as they are known; NaN where it is not known itself."""
    wide = np.pad(rank, ((0, 0), (around, around)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, 2 * around + 1, axis=1)
    known = np.isfinite(windows)
    mean = np.where(known, windows, 0.0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)
    return np.where(np.isfinite(rank), mean, np.nan)


def _where(dissent: Float64s, frames: Int64s, settings: ConsensusSettings) -> tuple[Int64s, Int64s]:
    """The stretch about the moment that disagrees most, in frames, shape (n,) each."""
    at, x = moments_of(frames), np.nan_to_num(dissent)
    top = x.argmax(axis=1)
    low = x < settings.stands_out * x.max(axis=1)[:, None]
    place = np.arange(MOMENTS)
    before = np.where(low & (place < top[:, None]), place, -1).max(axis=1) + 1
    after = np.where(low & (place > top[:, None]), place, MOMENTS).min(axis=1) - 1
    rows = np.arange(len(x))
    return at[rows, before], np.minimum(at[rows, after] + 1, frames)
