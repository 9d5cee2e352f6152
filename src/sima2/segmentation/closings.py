"""Where the fingers of an arm close, and what was measured of the rest after each closing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.segmentation.features import Features
from sima2.segmentation.signals import Ragged, pick, runs_of
from sima2.segmentation.state_settings import StateSettings

FAR: Final = 1000.0
"""Usual spreads beyond which more says nothing more."""


@dataclass(frozen=True, eq=False)
class Closings:
    """One row for each stretch of closing fingers, by episode and time; shape (c,) each."""

    start: Int64s
    stop: Int64s
    until: Int64s
    """One past the frames at rest: where the fingers move next, or one past the episode's end."""
    opens: Bools
    """They open next."""
    episode: Int64s
    width: Float64s
    """At rest."""
    behind: Float64s
    """How far the fingers are kept from where they are told to close to, in usual spreads; NaN without commands."""
    early: tuple[Float64s, Float64s]
    """Width and the same over the first third of the rest,"""
    late: tuple[Float64s, Float64s]
    """… and over the last third."""

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def more(self) -> Bools:
        """The fingers close further before they open."""
        return np.append(self.episode[1:] == self.episode[:-1], False)[: len(self)] & ~self.opens

    @cached_property
    def phase(self) -> Int64s:
        """Number of the span, from one opening to the next, in which it lies."""
        return np.cumsum(np.append(True, ~self.more[:-1])[: len(self)])

    @cached_property
    def let_go(self) -> Bools:
        """That span ends with fingers that open."""
        return np.asarray(self.opens[np.searchsorted(self.phase, self.phase, side="right") - 1])

    def next(self, values: Int64s, default: Int64s) -> Int64s:
        """Value of the next closing where there is more, else the default."""
        return np.where(self.more, np.append(values[1:], 0)[: len(self)], default)

    def earlier(self, mask: Bools, group: Int64s) -> Bools:
        """Whether the mask holds of an earlier closing of the same group; groups stand together."""
        count = np.append(0, np.cumsum(mask))[: len(self)]
        return np.asarray(count > count[np.searchsorted(group, group)])

    def later(self, mask: Bools, group: Int64s) -> Bools:
        """… of a later one."""
        count = np.append(0, np.cumsum(mask))
        return np.asarray(count[np.searchsorted(group, group, side="right")] > count[1:])


def by_fingers_alone(features: Features) -> bool:
    """Whether neither grip force nor poses of things tell what is in the hand."""
    return features.width is not None and features.gripping is None and features.object_position is None


def closings_of(features: Features, closing: Bools, opening: Bools, settings: StateSettings) -> Closings:
    """The closings of an arm, with what was measured of the rests after them."""
    ragged = features.ragged
    runs = runs_of(closing + 2 * opening.astype(np.int64), ragged)
    following = runs.next((closing | opening)[runs.start])
    ends = ragged.last[runs.start] + 1
    mine = np.flatnonzero(closing[runs.start])
    start, stop, until = runs.start[mine], runs.stop[mine], pick(following, runs.start, 0)[mine]
    until = np.where(following[mine] >= 0, until, ends[mine])
    opens = pick(following, opening[runs.start], False)[mine]
    # at rest, if they come to rest at all; else where they have come to
    settles, last = runs.frames(settings.settles_s)[mine], ragged.last[start]
    lo = np.minimum(np.where(until - stop > 2 * settles, stop + settles, np.maximum(until - 1, stop)), last)
    hi = np.minimum(np.maximum(until - 1, lo), last)
    third = (hi - lo) // 3
    parts = (lo, hi), (lo, lo + third), (hi - third, hi)
    kept = None if features.behind is None else np.clip(np.nan_to_num(features.behind), -FAR, FAR)
    (width, *widths), (behind, *behinds) = _means(features.width, ragged, *parts), _means(kept, ragged, *parts)
    if features.width is not None and len(start):
        # too little to be seen as an opening, but they are wider apart when they close again
        at = np.minimum(until, last)
        play = features.finely(at, settings.stop_share)
        opens |= (until <= last) & (features.width[at] > width + 2.0 * play)
    early, late = zip(widths, behinds, strict=True)
    return Closings(start, stop, until, opens, runs.episode[mine], width, behind, early, late)


def _means(x: Float64s | None, ragged: Ragged, *spans: tuple[Int64s, Int64s]) -> list[Float64s]:
    """Means over spans, NaN where nothing was recorded."""
    if x is None or not len(spans[0][0]):
        return [np.full(len(lo), np.nan) for lo, _ in spans]
    return list(ragged.means(x, *spans))
