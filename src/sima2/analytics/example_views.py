"""Views of the episodes of a task by which some may be like others: their end, fingers, course, segments, pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

import numpy as np

from sima2.analytics.example_geometry import View, beyond, in_few, scaled
from sima2.records.arrays import Bools, Float32s, Float64s
from sima2.records.courses import MOMENTS, THINGS, PointTable
from sima2.records.defects import SLOTS
from sima2.records.episodes import EpisodeTable
from sima2.records.table import Text
from sima2.records.vocabulary import ENDS

LEAST_KNOWN: Final = 0.8
"""Columns that fewer of the episodes have tell more of who has them than of how it ended."""
LAST: Final = 3
"""Moments that are the end of an episode: about a tenth of it."""
LATE: Final = MOMENTS * 5 // 8
"""Moment from which on it is late."""
MIDDLE: Final = slice(MOMENTS // 8, MOMENTS * 5 // 8)
"""Moments that tell where the thing lay, before it is brought anywhere."""
FINE: Final = 0.03
"""Least spread of a posture at the end, as a share of what its column ranges over: below it is noise."""
COARSE: Final = 0.1
"""The same of whole courses, whose many columns would add up their noise."""
FEW: Final = 5
"""Directions that are kept of a view: twelve examples tell no more apart."""
_KINDS: Final = (slice(0, SLOTS - 4), slice(SLOTS - 4, SLOTS - 1), slice(SLOTS - 1, SLOTS), slice(SLOTS, None))
"""Columns of one unit each: joints, hand, gripper, things."""


class Pictures(Protocol):
    """What cameras show at the end of episodes, as a few plain numbers: one row a camera of an episode."""

    @property
    def episode_id(self) -> Text:
        """Names, shape (m,)."""

    @property
    def camera(self) -> Text:
        """Names, shape (m,)."""

    @property
    def values(self) -> Float32s:
        """The last picture scaled down, in [0, 1], NaN where not known, shape (m, d)."""


def views_of(episodes: EpisodeTable, points: PointTable, pictures: Pictures | None = None) -> list[View]:
    """All views of the n episodes of one task; those that nothing was recorded for are left out.

    Args:
        episodes: of the task, in any order.
        points: of the same and of any others, in any order.
        pictures: of the ends of the same; without them there is no view of them.
    """
    found = [*_of_motion(_motion(episodes.episode_id, points)), *_of_segments(episodes)]
    if pictures is not None:
        found += _of_pictures(episodes.episode_id, pictures)
    return [view for view in found if view.place.shape[1] and np.ptp(view.place, axis=0).max() > 0]


class _Motion(NamedTuple):
    state: Float64s
    """Where all arms are at each moment, shape (n, MOMENTS, d)."""
    reach: Float64s
    """What each column ranges over in an episode, shape (d,); columns of one unit share the largest range of an arm,
    so that what hardly moves is not magnified."""
    fingers: Bools
    """Columns that are of a gripper, shape (d,)."""


def _motion(names: Text, points: PointTable) -> _Motion:
    n, width = len(names), SLOTS + 3 * THINGS
    parts, ranges, fingers = [np.zeros((n, MOMENTS, 0))], [np.zeros(0)], [np.zeros(0, np.bool_)]
    place = points.episode_id.recode(names.tolist())
    for arm in sorted(set(points.manipulator)):
        rows = np.flatnonzero(points.manipulator.isin(arm) & (place >= 0))
        state = np.full((n, MOMENTS, width), np.nan)
        state[place[rows]] = points.state[rows].reshape(-1, MOMENTS, width)
        known = np.isfinite(state).any(axis=1)
        kept = known.mean(axis=0) >= LEAST_KNOWN
        state[:, :, ~kept] = 0.0
        state = _filled(state)
        own = np.median(np.ptp(state, axis=1), axis=0)
        reach = np.zeros(width)
        for kind in _KINDS:
            reach[kind] = own[kind].max()
        parts.append(state[:, :, kept])
        ranges.append(reach[kept])
        fingers.append((np.arange(width) == SLOTS - 1)[kept])
    return _Motion(np.concatenate(parts, axis=2), np.concatenate(ranges), np.concatenate(fingers))


def _filled(state: Float64s) -> Float64s:
    """Gaps filled by the moment before (after, at the start), and by what is usual where there is none."""
    n, moments, width = state.shape
    known = np.isfinite(state)
    at = np.where(known, np.arange(moments)[None, :, None], -1)
    before = np.maximum.accumulate(at, axis=1)
    first = np.where(known.any(axis=1), known.argmax(axis=1), 0)[:, None]
    held = np.take_along_axis(state, np.where(before < 0, first, before), axis=1)
    some = known.any(axis=(0, 1))
    usual = np.zeros((moments, width))
    if n and some.any():
        with np.errstate(all="ignore"):
            usual[:, some] = np.nanmedian(held[:, :, some], axis=0)
    return np.where(np.isfinite(held), held, usual)


def _of_motion(motion: _Motion) -> Iterator[View]:
    n, _, width = motion.state.shape
    if not width or n < 2:
        return
    end = scaled(motion.state[:, -LAST:].mean(axis=1), motion.reach, FINE)
    yield View("the posture at the end", in_few(end, FEW))
    yield View("the last part of the course", _course(motion, slice(LATE, MOMENTS)))
    yield View("the course", _course(motion, slice(0, MOMENTS)))
    if motion.fingers.any():
        fingers = _Motion(motion.state[..., motion.fingers], motion.reach[motion.fingers], motion.fingers)
        yield View("the fingers in the second half", _course(fingers, slice(MOMENTS // 2, MOMENTS)))
    given = _course(motion, MIDDLE)[:, : max(n // 6, 1)]
    yield View("the posture at the end beside where the work was", in_few(_alike(beyond(end, given)), FEW))


def _alike(left: Float64s) -> Float64s:
    """Columns in their own spread, but in none that is small beside the largest."""
    return scaled(left, np.full(left.shape[1], left.std(axis=0).max()), FINE)


def _course(motion: _Motion, moments: slice) -> Float64s:
    state = motion.state[:, moments]
    flat = state.reshape(len(state), -1)
    return in_few(scaled(flat, np.tile(motion.reach, state.shape[1]), COARSE), FEW)


def _of_segments(episodes: EpisodeTable) -> Iterator[View]:
    told = np.where(np.isfinite(episodes.inferred_success), episodes.inferred_success, 0.5)
    ends = episodes.inferred_end.recode(ENDS)[:, None] == np.arange(len(ENDS))
    yield View("what their segments tell of the end", np.column_stack([told, ends.astype(np.float64)]))
    pace = np.log1p(np.column_stack([episodes.duration_s, episodes.segments]))
    yield View("how long they take", scaled(pace, np.ones(2), FINE))


def _of_pictures(names: Text, pictures: Pictures) -> Iterator[View]:
    place = pictures.episode_id.recode(names.tolist())
    for camera in sorted(set(pictures.camera)):
        rows = np.flatnonzero(pictures.camera.isin(camera) & (place >= 0) & np.isfinite(pictures.values).all(axis=1))
        if len(np.unique(place[rows])) < LEAST_KNOWN * len(names):
            continue
        values = np.full((len(names), pictures.values.shape[1]), np.nan)
        values[place[rows]] = pictures.values[rows]
        missing = np.isnan(values).any(axis=1)
        values[missing] = np.median(values[~missing], axis=0)
        yield View(f"the last picture of {camera}", in_few(_evenly_lit(values), FEW))


def _evenly_lit(values: Float64s) -> Float64s:
    """Pictures (n, d), colours last, without the mean of each colour: light that changes is no other end."""
    colours = 3 if values.shape[1] % 3 == 0 else 1
    fields = values.reshape(len(values), -1, colours)
    return np.asarray((fields - fields.mean(axis=1, keepdims=True)).reshape(len(values), -1))
