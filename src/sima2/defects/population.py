"""What the other episodes say of one: outliers, constant channels, another frame rate."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import SET, Finding
from sima2.defects.groups import Rows, groups
from sima2.records.arrays import Float32s, Float64s
from sima2.records.defects import SLOTS, EpisodeMeasures

NOISE_TIMES = 12.0
"""Range of a column in standard deviations of its noise from which it moves."""
LEAST_SET = 3
"""Episodes in which a column must not change to be constant."""
NOTABLE = 0.25
"""Least relative deviation from the median that is worth a word."""


def outlier_cut(x: Float64s, runs: int, settings: DefectSettings) -> float:
    """Value above which a sample's greatest lie by chance in a share ``false_flags`` of runs.

    The upper quarter is taken for exponential beyond the upper quartile, with the median excess as its scale: a
    heavier tail than the normal one, and blind to a minority of outliers. (McNeil, Frey and Embrechts 2005, ch. 7:
    excesses over a high threshold.) The few values of a small sample tell the scale badly, which widens it.

    Args:
        x: the sample, finite.
        runs: how many values are judged in the whole run.
    """
    low, high = np.quantile(x, [0.25, 0.75])
    above = np.sort(x[x > high])
    excess = float(np.median(above) - high) / math.log(2.0) if len(above) else 0.0
    # a normal sample's excess over its upper quartile is 0.69 deviations in the mean, its quartiles 1.35 apart
    scale = max(excess, 0.51 * float(high - low)) * (1.0 + 1.0 / math.sqrt(max(len(x) / 4, 1.0)))
    return float(high + scale * math.log(0.25 * max(runs, 1) / settings.false_flags))


def population_findings(measures: EpisodeMeasures, settings: DefectSettings) -> list[Finding]:
    """Findings of rows of ``measures``: the episode of a finding is its row."""
    return [
        *_durations(measures, settings),
        *_jerks(measures, settings),
        *_tracking(measures, settings),
        *_rates(measures, settings),
        *_clocks(measures, settings),
        *_bursts(measures, settings),
        *_constant(measures, settings),
        *_never_moving(measures, settings),
    ]


def _one_a_robot(measures: EpisodeMeasures) -> Rows:
    """The first manipulator's row of every episode."""
    _, first = np.unique(measures.episode_index, return_index=True)
    return np.asarray(first, np.intp)


def _outliers(
    values: Float64s, rows: Rows, judged: int, settings: DefectSettings
) -> Iterator[tuple[int, float, float]]:
    """Rows beyond the cut of either side of log values: row, times the median, severity.

    The severity is the share by which the greater of the two exceeds the less."""
    known = rows[np.isfinite(values[rows]) & (values[rows] > 0)]
    if len(known) < settings.least_population:
        return
    x = np.log(values[known])
    middle = float(np.median(x))
    for sign in (1.0, -1.0):
        cut = outlier_cut(sign * x, 2 * judged, settings)
        # where all are nearly alike, what differs by little is no outlier
        for k in np.flatnonzero(sign * x > max(cut, sign * middle + NOTABLE)).tolist():
            times = math.exp(float(x[k]) - middle)
            yield int(known[k]), times, 1.0 - math.exp(-abs(math.log(times)))


def _durations(measures: EpisodeMeasures, settings: DefectSettings) -> Iterator[Finding]:
    first = _one_a_robot(measures)
    mine = measures.take(first)
    for rows in groups(mine.family.codes, mine.robot.codes):
        for k, times, severity in _outliers(mine.duration_s, rows, len(first), settings):
            usual = float(np.median(mine.duration_s[rows]))
            words = f"lasts {mine.duration_s[k]:.3g} s, {times:.3g} times the median {usual:.3g} s of {_kind(mine, k)}"
            yield Finding(int(first[k]), "", "duration_outlier", severity, 0, int(mine.frames[k]), times,
                          "times the median", words)  # fmt: skip


def _kind(measures: EpisodeMeasures, row: int) -> str:
    return "the run" if measures.family[row] == "unknown" else measures.family[row]


def _jerks(measures: EpisodeMeasures, settings: DefectSettings) -> Iterator[Finding]:
    for rows in groups(measures.family.codes, measures.robot.codes, measures.manipulator.codes):
        for k, times, severity in _outliers(measures.jerk, rows, len(measures), settings):
            words = f"mean jerk is {times:.3g} times the median of {_kind(measures, k)}"
            yield Finding(k, measures.manipulator[k], "jerk_outlier", severity, 0, int(measures.frames[k]), times,
                          "times the median", words)  # fmt: skip


def _tracking(measures: EpisodeMeasures, settings: DefectSettings) -> Iterator[Finding]:
    for rows in groups(measures.robot.codes, measures.manipulator.codes):
        known = rows[np.isfinite(measures.tracking[rows]) & (measures.tracking[rows] > 0)]
        limit = settings.tracking_least
        if len(known) >= settings.least_population:
            limit = max(limit, math.exp(outlier_cut(np.log(measures.tracking[known]), len(measures), settings)))
        for k in known[measures.tracking[known] > limit].tolist():
            times = float(measures.tracking[k])
            words = (
                f"joint {measures.tracking_slot[k]} stays {times:.3g} usual spreads off its command; "
                f"beyond {limit:.3g} is no longer ordinary here"
            )
            start, end = int(measures.tracking_start[k]), int(measures.tracking_end[k])
            severity = (int(measures.tracking_end[k]) - int(measures.tracking_start[k])) / max(
                int(measures.frames[k]), 1
            )
            yield Finding(
                k, measures.manipulator[k], "tracking_fault", severity, start, end, times, "usual spreads", words
            )


def _rates(measures: EpisodeMeasures, settings: DefectSettings) -> Iterator[Finding]:
    """Episodes at another frame rate than most of the same robot; none where there is no common one."""
    first = _one_a_robot(measures)
    mine = measures.take(first)
    for rows in groups(mine.robot.codes):
        known = rows[np.isfinite(mine.period_s[rows])]
        if len(known) < settings.least_population:
            continue
        usual = float(np.median(mine.period_s[known]))
        change = np.maximum(mine.period_s[known], usual) / np.minimum(mine.period_s[known], usual) - 1.0
        odd = change > settings.rate_change
        if odd.mean() > settings.common:
            continue
        for k, size in zip(known[odd].tolist(), change[odd].tolist(), strict=True):
            words = f"{1 / mine.period_s[k]:.4g} Hz, where most episodes have {1 / usual:.4g} Hz"
            yield Finding(int(first[k]), "", "rate_change", 1.0, 0, int(mine.frames[k]), size,
                          "relative change", words)  # fmt: skip


def _clocks(measures: EpisodeMeasures, settings: DefectSettings) -> Iterator[Finding]:
    """Episodes whose times were put aside for their frame numbers, where those of others could be taken."""
    first = _one_a_robot(measures)
    mine = measures.take(first)
    for rows in groups(mine.robot.codes):
        odd = mine.clock_off[rows] > settings.late_share
        if odd.mean() > settings.common:
            continue  # a coarse clock, which is said once of the set
        for k in rows[odd].tolist():
            off = float(mine.clock_off[k])
            words = (
                f"{100 * off:.0f} % of the steps of time are no period, some are none at all; "
                "no motion is missing, and frame numbers were taken for the times"
            )
            yield Finding(int(first[k]), "", "irregular_clock", off, 0, int(mine.frames[k]), off, "of the steps", words)


def _bursts(measures: EpisodeMeasures, settings: DefectSettings) -> Iterator[Finding]:
    """Episodes in which a value trembles as it does nowhere else in it, nor anywhere in the others."""
    for rows in groups(measures.robot.codes, measures.manipulator.codes):
        burst = measures.burst[rows]
        limit = settings.burst_alone
        if len(rows) >= settings.least_population:
            slow = float(np.nanmedian(measures.period_s[rows])) > settings.slow_s
            least = settings.burst_slow if slow else settings.burst_times
            limit = max(least, settings.burst_others * float(np.quantile(burst, 0.9)))
        for k in rows[burst > limit].tolist():
            start, end = int(measures.burst_start[k]), int(measures.burst_end[k])
            words = (
                f"{slot_name(int(measures.burst_slot[k]))} trembles from frame to frame {measures.burst[k]:.3g} times "
                f"as much as it usually does; beyond {limit:.2g} is no longer ordinary here"
            )
            share = (end - start) / max(int(measures.frames[k]), 1)
            yield Finding(k, measures.manipulator[k], "noise_burst", share, start, end, float(measures.burst[k]),
                          "times its usual", words)  # fmt: skip


def _never_moving(measures: EpisodeMeasures, settings: DefectSettings) -> Iterator[Finding]:
    """Columns that never change in the set: one finding for each arm."""
    for robot in groups(measures.robot.codes):
        for place in groups(measures.manipulator.codes[robot], measures.layout.codes[robot]):
            rows = robot[place]
            if len(rows) < LEAST_SET:
                continue
            span = measures.span[rows]
            slots = np.flatnonzero((np.isfinite(span).any(axis=0)) & ~(np.nan_to_num(span) > 0).any(axis=0))
            if not len(slots):
                continue
            names = ", ".join(slot_name(int(slot)) for slot in slots)
            words = f"{names} never change{'s' * (len(slots) == 1)} in any of {len(rows)} episodes"
            yield Finding(SET, measures.manipulator[int(rows[0])], "constant_channel", 0.0, 0, 0, float(len(slots)),
                          "columns", words)  # fmt: skip


def _constant(measures: EpisodeMeasures, settings: DefectSettings) -> Iterator[Finding]:
    """Columns without any change, or any sample, in an episode that moves, which vary in nearly all others."""
    for rows in groups(measures.robot.codes, measures.manipulator.codes, measures.layout.codes):
        span = measures.span[rows]
        moves = (np.nan_to_num(span) > 0).sum(axis=1)
        used = moves > 0
        if used.sum() < settings.least_population:
            continue
        # fingers may have had nothing to do
        for slot in range(SLOTS - 1):
            usual = span[used, slot] > 0
            odd = np.flatnonzero(used & ~(span[:, slot] > 0))
            if usual.mean() < 1.0 - settings.common or not len(odd):
                continue
            noise = measures.noise[rows][used, slot][usual]
            if not _always_far(span[used, slot][usual], float(np.nanmedian(noise))):
                continue
            for k in odd.tolist():
                yield _dead(measures, int(rows[k]), slot, int(usual.sum()), len(usual))


def _always_far(span: Float32s, noise: float) -> bool:
    """Whether a column that varies does so by much: one that hardly moves may well not move at all."""
    low, middle = np.quantile(span, [0.02, 0.5])
    return bool(low > 0.1 * middle and middle > NOISE_TIMES * noise)


def _dead(measures: EpisodeMeasures, row: int, slot: int, usual: int, all_: int) -> Finding:
    lost = bool(np.isnan(measures.span[row, slot]))
    name = slot_name(slot)
    what = "has no sample" if lost else "never changes"
    words = f"{name} {what} in all of the episode; it varies in {usual} of {all_}"
    defect = "missing_samples" if lost else "frozen_channel"
    return Finding(row, measures.manipulator[row], defect, 1.0, 0, int(measures.frames[row]),
                   float(measures.duration_s[row]), "s", words)  # fmt: skip


def slot_name(slot: int) -> str:
    """A slot as people call it.

    >>> slot_name(3), slot_name(20), slot_name(23)
    ('joint_position[3]', 'ee_position[0]', 'gripper')
    """
    if slot == SLOTS - 1:
        return "gripper"
    return f"joint_position[{slot}]" if slot < SLOTS - 4 else f"ee_position[{slot - SLOTS + 4}]"
