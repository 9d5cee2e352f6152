"""The unit of each column: from its name, its size, its resolution beside that of the others, and its speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.io.sample import Sample
from sima2.records.arrays import Bools, Float64s
from sima2.records.robust import MAD_TO_SIGMA

TURN: Final = math.tau * 1.05
"""Largest angle in radians that a joint of one turn shows, with a margin for offsets."""
FULL_CIRCLE_DEG: Final = 360.0 * 1.05
TURNS_ON: Final = 5.0 * math.tau
"""A joint that turns on and on in radians has seldom gone farther."""
MOVES_RAD: Final = 0.2
"""A joint that is used moves by more, in radians."""
SLIDE_M, SLIDE_CM = 3.0, 150.0
"""Lengths, in m and in cm, that slides of robots do not exceed."""
OUTERMOST: Final = (0.5, 99.5)
"""Percentiles of a column that a few wild samples do not move."""
FINER: Final = 15.0
"""A column whose resolution is so many times another's is in another unit: degrees are 57 radians fine, and sensors of
one robot differ by less than the square root of that."""
SPEED_FITS: Final = 2.0
"""Largest factor between a velocity column and the slope of its position for the two to be in one unit."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The units of some columns."""

    units: tuple[str, ...]
    """Of each; ``raw`` where none fits."""
    why: str
    doubt: str = ""
    """What else they could be; empty where nothing speaks against it."""
    confidence: float = 1.0

    @property
    def alike(self) -> bool:
        """Whether all are the same."""
        return len(set(self.units)) == 1


def extent(values: Float64s) -> tuple[float, float]:
    """Span and largest size of a column without its outermost values, shape (n,); 0 where it holds nothing."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 0.0
    low, high = np.percentile(known, OUTERMOST)
    return float(high - low), float(max(abs(low), abs(high)))


def _median(values: Float64s) -> float:
    known = values[values > 0.0]
    return float(np.median(known)) if len(known) else 0.0


def _length(size: float) -> str:
    """The unit of a slide by the largest number in it."""
    return "m" if size <= SLIDE_M else "cm" if size <= SLIDE_CM else "mm"


def resolution(values: Float64s) -> float:
    """Noise of a column from frame to frame, or its least step where it has none, in its own unit; shape (n,)."""
    known = values[np.isfinite(values)]
    if len(known) < 5:
        return 0.0
    noise = MAD_TO_SIGMA * float(np.median(np.abs(np.diff(known, 2)))) / math.sqrt(6.0)
    steps = np.abs(np.diff(known))
    steps = steps[steps > 0.0]
    return max(noise, float(np.percentile(steps, 1.0)) if len(steps) else 0.0)


def joint_units(values: Float64s, named: Sequence[str], sliding: Sequence[bool] = ()) -> Unit:
    """Units of the positions of joints.

    A joint in degrees spans more than the 6.28 that a turn has in radians, if it moves at all; a joint that has gone
    round several turns is large, but spans no more than it moves. Most columns of a set are in one unit; one that is
    not is told by its resolution.

    Args:
        values: of the columns, shape (n, j).
        named: the unit that each one's name states, or empty.
        sliding: which of them slide, as their names say.
    """
    spans, sizes = np.array([extent(column) for column in values.T]).reshape(-1, 2).T
    if any(sliding):
        return _with_slides(values, named, sliding, sizes)
    if all(named):
        return Unit(tuple(named), "as the names of the columns say")
    fine = np.array([resolution(column) for column in values.T])
    moving = spans > 0.0
    wide, tells_degrees = _wide(spans, sizes)
    degrees = _in_degrees(spans, sizes, fine)
    major = "deg" if degrees else "rad"
    likely = (wide | (sizes > TURN)) if degrees else ~tells_degrees
    usual = fine[likely & moving & (fine > 0.0)]
    scale = float(np.median(usual)) if len(usual) else 0.0
    units = []
    odd: list[int] = []
    round_and_round: list[int] = []
    for place in range(values.shape[1]):
        unit = named[place] or major
        if not named[place] and not likely[place] and moving[place]:
            coarser = fine[place] / scale if scale > 0.0 and fine[place] > 0.0 else 1.0
            other = 1.0 / coarser if degrees else coarser
            if other > FINER:
                unit = "rad" if degrees else "deg"
                odd.append(place)
            elif not degrees:
                round_and_round.append(place)
        units.append(unit)
    # one that turns on and on may be far; where most are, they are counts of an encoder
    beyond = (sizes > FULL_CIRCLE_DEG) & np.array([unit == "deg" for unit in units])
    if 2 * int(np.count_nonzero(beyond)) > int(np.count_nonzero(moving)):
        units = ["raw" if far_off else unit for far_off, unit in zip(beyond.tolist(), units, strict=True)]
    else:
        round_and_round += np.flatnonzero(beyond).tolist()
    largest = float(sizes.max(initial=0.0))
    why = f"taken as {major}, the largest value is {largest:.3g}"
    doubt, confidence = "", 1.0
    if odd:
        doubt = (
            f"columns {', '.join(map(str, odd))} of them are taken as {'rad' if degrees else 'deg'}, for their steps "
            f"are {'finer' if degrees else 'coarser'} by more than {FINER:g}; a slide in cm or m would look alike"
        )
        confidence = 0.7
    elif round_and_round:
        doubt = f"columns {', '.join(map(str, round_and_round))} of them are taken as joints that turn on and on"
        confidence = 0.7
    elif degrees and (~likely & moving).any():
        why += "; " + f"{int((~likely & moving).sum())} hardly move"
    return Unit(tuple(units), why, doubt, confidence)


def _wide(spans: Float64s, sizes: Float64s) -> tuple[Bools, Bools]:
    """Columns that span more than a turn in radians, and those that tell of degrees: these, and what lies farther than
    any joint turns on."""
    wide = (spans > TURN) & (sizes > TURN)
    return wide, wide | (sizes > TURNS_ON)


def _in_degrees(spans: Float64s, sizes: Float64s, fine: Float64s) -> bool:
    """Whether most columns are in degrees.

    What moves little, near 0, speaks for radians, unless its steps are as coarse as those of what is in degrees.
    """
    wide, tells_degrees = _wide(spans, sizes)
    tells_radians = ~tells_degrees & (spans > MOVES_RAD)
    votes, against = int(np.count_nonzero(tells_degrees)), int(np.count_nonzero(tells_radians))
    if 1 < votes < against:
        apart = _median(fine[tells_degrees]) / max(_median(fine[tells_radians]), 1e-12)
        return 1.0 / FINER < apart < FINER
    # a state that hardly moves but lies beyond a turn, in most of its columns, is in degrees
    still_far = not wide.any() and 2 * int(np.count_nonzero(sizes > TURN)) > len(sizes)
    return (votes > 0 and votes >= against) or still_far


def _with_slides(values: Float64s, named: Sequence[str], sliding: Sequence[bool], sizes: Float64s) -> Unit:
    """Units where some joints slide: those by their length, the others as ever."""
    units = [
        _length(size) if each and not unit else unit for each, unit, size in zip(sliding, named, sizes, strict=True)
    ]
    lengths = [unit for each, unit in zip(sliding, units, strict=True) if each and unit != "m"]
    rest = [place for place, each in enumerate(sliding) if not each]
    found = joint_units(values[:, rest], [named[place] for place in rest]) if rest else Unit((), "slides")
    for place, unit in zip(rest, found.units, strict=True):
        units[place] = unit
    slide = f"a slide is taken as in {lengths[0]}" if lengths else ""
    doubt = "; ".join(part for part in (found.doubt, slide) if part)
    return Unit(tuple(units), found.why, doubt, min(found.confidence, 0.7 if lengths else 1.0))


def speed_unit(
    speeds: Float64s, positions: Float64s | None, factors: Float64s | None, sample: Sample, fps: float
) -> Unit:
    """Unit of the velocities of joints: that in which they are the slopes of the positions.

    Args:
        speeds: shape (n, j).
        positions: in their own unit, shape (n, j); None where they do not stand side by side.
        factors: radians in one of them, shape (j,).
        sample: which rows belong to which episode.
        fps: Hz.
    """
    width = speeds.shape[1]
    if positions is None or factors is None or positions.shape[1] != width or fps <= 0.0:
        size = max((extent(column)[1] for column in speeds.T), default=0.0)
        unit = "rad/s" if size <= 10.0 * TURN else "deg/s"
        return Unit((unit,) * width, f"taken as {unit}, the largest value is {size:.3g}")
    ratios = []
    for place in range(width):
        slopes = [
            (np.gradient(positions[rows, place]) * fps * factors[place], speeds[rows, place])
            for rows in sample.spans()
            if rows.stop - rows.start > 2
        ]
        if not slopes:
            continue
        slope, speed = (np.concatenate(each) for each in zip(*slopes, strict=True))
        known = np.isfinite(slope) & np.isfinite(speed)
        if known.any() and float(np.abs(slope[known]).mean()) > 0.0:
            ratios.append(float(np.abs(speed[known]).mean()) / float(np.abs(slope[known]).mean()))
    ratio = float(np.median(ratios)) if ratios else 1.0
    for unit, size in (("rad/s", 1.0), ("deg/s", math.degrees(1.0))):
        if 1.0 / SPEED_FITS <= ratio / size <= SPEED_FITS:
            return Unit((unit,) * width, f"taken as {unit}, the slope of the positions")
    return Unit(("raw",) * width, f"{ratio:.3g} times the slope of the positions in rad/s, which is no known unit")
