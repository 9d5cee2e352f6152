"""What the closings of an arm tell of its fingers: how far behind their command is held, and where they meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s
from sima2.segmentation.closing_verdicts import CLOSELY
from sima2.segmentation.closings import FAR, Closings
from sima2.segmentation.columns import Columns
from sima2.segmentation.scales import HandScale

FEWEST_CLOSINGS: Final = 4
"""Closings below which nothing is told."""
LEAST_BACK: Final = 6.0
"""Usual spreads from which on fingers may be kept from where they are told to be by something at all."""
APART: Final = 1.8
"""Least ratio between how far fingers are kept back by something and by nothing."""
ALIKE: Final = 0.01
"""Share of the range within which fingers stop alike."""
FEWEST_ALIKE: Final = 2
SELDOM: Final = 0.34
MOSTLY: Final = 0.5
"""Shares of closings after which the arm goes somewhere and lets go, where fingers meet and where they hold."""


def kept_back(behind: Float64s, floor: float = CLOSELY) -> float:
    """Usual spreads from which on fingers are kept from closing by something, NaN where the closings do not tell.

    The middle of the widest gap, as a ratio, between closings that come to where they are told and those that do not.

    Args:
        behind: of each closing.
        floor: what is no farther behind is as good as there.

    >>> round(kept_back(np.array([0.5, 1.8, 2.7, 16.5, 16.9, 17.5])), 1)
    7.0
    >>> kept_back(np.array([0.5, 0.7, 0.9, 1.8]))
    nan
    """
    known = behind[np.isfinite(behind)]
    if len(known) < FEWEST_CLOSINGS:
        return np.nan
    x = np.log(np.sort(np.append(np.clip(known, floor, FAR), floor)))
    gap = np.where(x[1:] >= np.log(LEAST_BACK), np.diff(x), 0.0)
    widest = int(np.argmax(gap))
    return float(np.exp((x[widest] + x[widest + 1]) / 2)) if gap[widest] > np.log(APART) else np.nan


@dataclass(frozen=True, eq=False)
class Shown(Columns):
    """What closings show of the robot that made them, shape (c,) each."""

    behind: Float64s
    """Over the first third of the rest: what is held may slip out later."""
    at_stop: Bools
    width: Float64s
    share: Float64s
    """Width at rest as a share of the range."""
    carried: Bools

    @classmethod
    def of(cls, found: Closings, mine: Bools) -> Shown:
        """Of some of the closings, those that come to rest."""
        share = found.over / np.maximum(found.features.width_range[found.at], 1e-9)
        every = cls(found.early[1], found.at_stop, found.width, share, found.carried)
        return every.take(np.flatnonzero(mine & found.rests))


def hand_scale(shown: Sequence[Shown]) -> HandScale:
    """How far behind fingers that hold are, where they stop short of their own end, and at it; and where that is.

    At their own end they are behind their command by as much as that goes beyond it; only what is clearly more is not
    their end's doing. The end is where closings that take nothing anywhere stop alike.
    """
    if not shown:
        return HandScale()
    every = Shown.concat(shown)
    stop = _own_end(every)
    at_stop = every.at_stop if np.isnan(stop) else every.width <= stop + _fine(every)
    known = np.isfinite(every.behind)
    there = every.behind[known & at_stop]
    floor = max(float(np.quantile(there, 0.25)), CLOSELY) if len(there) else CLOSELY
    at_it = kept_back(there, floor)
    return HandScale(
        kept_back=kept_back(every.behind[known & ~at_stop]),
        stop_back=FAR if len(there) and np.isnan(at_it) else at_it,
        most_back=float(every.behind[known].max(initial=0.0)),
        width_stop=stop,
    )


def _fine(shown: Shown) -> float:
    """Width within which fingers stop alike."""
    span = float(np.median(shown.width / np.maximum(shown.share, 1e-9))) if len(shown.width) else 0.0
    return ALIKE * span


def _own_end(shown: Shown) -> float:
    """Width at which several closings stop alike and after which the arm takes nothing anywhere, as it does after most
    of those that stop before; NaN where there are no such."""
    if len(shown.width) < FEWEST_CLOSINGS:
        return np.nan
    # one may have been pushed farther
    least = float(np.sort(shown.share)[1])
    there, before = np.abs(shown.share - least) <= ALIKE, shown.share > least + 3.0 * ALIKE
    if np.count_nonzero(there) < FEWEST_ALIKE or np.count_nonzero(before) < FEWEST_ALIKE:
        return np.nan
    told = float(shown.carried[there].mean()) <= SELDOM and float(shown.carried[before].mean()) >= MOSTLY
    return float(shown.width[there].max()) if told else np.nan
