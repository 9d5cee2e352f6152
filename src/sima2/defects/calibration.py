"""Commands beside states, against the other episodes: constant offsets of joints, and actions shifted in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import SET, Finding
from sima2.defects.groups import Rows, groups, robust_spread
from sima2.records.arrays import Float64s
from sima2.records.defects import SLOTS, EpisodeMeasures

LEAST: Final = 5
"""Episodes below which none is compared."""
OWN_SHARE: Final = 0.8
"""Share of the episodes on either side of a change that are nearer to their own side's median."""
FEWEST: Final = 3
"""Episodes of a session."""


def calibration_findings(measures: EpisodeMeasures, settings: DefectSettings) -> Iterator[Finding]:
    """Findings of rows of ``measures``."""
    for robot in groups(measures.robot.codes):
        # of all arms: one that is parked has no range of its own
        widest = max((_widest(measures, robot[rows]) for rows in _arms(measures, robot)), default=0.0)
        for place in _arms(measures, robot):
            rows = robot[place]
            rows = rows[np.argsort(measures.episode_index[rows], kind="stable")]
            yield from _offsets(measures, rows, settings.offset_floor * widest, settings)
    yield from _lags(measures, settings)


def _arms(measures: EpisodeMeasures, rows: Rows) -> Iterator[Rows]:
    return groups(measures.manipulator.codes[rows], measures.layout.codes[rows])


def _widest(measures: EpisodeMeasures, rows: Rows) -> float:
    """Usual range of the joint that moves most."""
    return float(np.median(np.nan_to_num(measures.span[rows, : SLOTS - 4]), axis=0).max())


def _offsets(measures: EpisodeMeasures, rows: Rows, floor: float, settings: DefectSettings) -> Iterator[Finding]:
    """Joints of single episodes that stand beside the usual offset of their session; and changes of that."""
    changes: list[tuple[int, list[tuple[int, int, float]]]] = []
    constant_in_all: list[tuple[int, float]] = []
    worst: dict[int, tuple[float, int, float, int]] = {}
    for slot in range(SLOTS):
        known = rows[np.isfinite(measures.offset[rows, slot])]
        if len(known) < LEAST or not floor > 0:
            continue
        values = measures.offset[known, slot].astype(np.float64)
        # a small change is worth no word, but what is usual changes with it
        parts = sessions(values, floor / 3, settings)
        usual = np.concatenate([np.full(b - a, np.median(values[a:b])) for a, b in parts])
        beside = values - usual
        varies = float(np.median(measures.offset_spread[known, slot]))
        limit = max(floor, settings.offset_spreads * robust_spread(beside), settings.offset_varies * varies)
        if np.ptp(usual) >= floor:
            changes.append((slot, [(a, b, float(usual[a])) for a, b in parts]))
        elif abs(float(np.median(usual))) >= settings.offset_in_all * floor:
            constant_in_all.append((slot, float(np.median(usual))))
        # of a joint that stands beside its command all the time, not of one that was held up
        constant = measures.offset_spread[known, slot] <= settings.offset_constant * max(
            varies, limit / settings.offset_constant
        )
        # where no lag was told the joint must rest beside its command, or the two move each by itself
        constant &= np.isfinite(measures.lag_s[known]) | (measures.offset_spread[known, slot] <= limit)
        for k in np.flatnonzero((np.abs(beside) > limit) & constant).tolist():
            times = float(abs(beside[k])) / limit
            if times > worst.get(int(known[k]), (0.0, 0, 0.0, 0))[0]:
                others = worst.get(int(known[k]), (0.0, 0, 0.0, 0))[3]
                worst[int(known[k])] = (times, slot, float(beside[k]), others + 1)
    for row, (_, slot, size, count) in sorted(worst.items()):
        more = f" ({count - 1} more joints too)" if count > 1 else ""
        words = (
            f"the command of joint {slot} is {np.degrees(size):+.3g}° beside where it is in other episodes, "
            f"all along{more}"
        )
        yield Finding(row, measures.manipulator[row], "command_offset", 1.0, 0, int(measures.frames[row]), size, "rad",
                      words)  # fmt: skip
    if changes:
        yield _changed(measures, rows, changes)
    if constant_in_all:
        yield _everywhere(measures, rows, constant_in_all)


def _changed(measures: EpisodeMeasures, rows: Rows, changes: list[tuple[int, list[tuple[int, int, float]]]]) -> Finding:
    """Sessions with other offsets: one finding about the set."""
    slot, parts = max(changes, key=lambda each: max(p[2] for p in each[1]) - min(p[2] for p in each[1]))
    size = max(part[2] for part in parts) - min(part[2] for part in parts)
    known = rows[np.isfinite(measures.offset[rows, slot])]
    index = measures.episode_index[known]
    told = ", ".join(f"{np.degrees(at):+.3g}° in episodes {index[a]} to {index[b - 1]}" for a, b, at in parts[:6])
    joints = ", ".join(str(each) for each, _ in changes)
    words = (
        f"commands stand beside states by another offset from session to session (joint{'s' * (len(changes) > 1)} "
        f"{joints}): joint {slot} by {told}"
    )
    share = 1.0 - max(b - a for a, b, _ in parts) / len(known)
    return Finding(SET, measures.manipulator[int(rows[0])], "command_offset", share, 0, 0, size, "rad", words)


def _everywhere(measures: EpisodeMeasures, rows: Rows, offsets: list[tuple[int, float]]) -> Finding:
    """Joints that stand as far beside their command in every episode: one finding about the set."""
    told = ", ".join(f"joint {slot} by {np.degrees(at):+.3g}°" for slot, at in offsets[:6])
    words = (
        f"commands stand beside states by the same in all episodes, {told}: leader and follower may be calibrated "
        "differently, and a policy that is fed states learns commands that are off by it"
    )
    size = max((at for _, at in offsets), key=abs)
    return Finding(SET, measures.manipulator[int(rows[0])], "command_offset", 0.5, 0, 0, size, "rad", words)


def sessions(values: Float64s, floor: float, settings: DefectSettings) -> list[tuple[int, int]]:
    """Stretches of episodes, in their order, with levels of their own.

    Args:
        values: of the episodes, shape (n,).
        floor: least difference that counts.

    >>> steps = np.repeat([0.0, 1.0], 10) + 0.01 * np.arange(20) % 0.03
    >>> sessions(steps, 0.1, DefectSettings())
    [(0, 10), (10, 20)]
    """

    def split(a: int, b: int) -> list[tuple[int, int]]:
        cut = _change(values[a:b], floor, settings)
        return [(a, b)] if cut is None else [*split(a, a + cut), *split(a + cut, b)]

    return split(0, len(values))


def _change(values: Float64s, floor: float, settings: DefectSettings) -> int | None:
    """Where the level changes once and for all; None where it does not."""
    n = len(values)
    if n < 2 * FEWEST:
        return None
    # least squares of clipped values: a few far ones must not draw the cut to themselves
    low, high = np.quantile(values, (0.05, 0.95))
    tame = np.clip(values, low, high)
    sums, squares = np.cumsum(tame), np.cumsum(tame * tame)
    k = np.arange(FEWEST, n - FEWEST + 1)
    left = squares[k - 1] - sums[k - 1] ** 2 / k
    right = (squares[-1] - squares[k - 1]) - (sums[-1] - sums[k - 1]) ** 2 / (n - k)
    cut = int(k[np.argmin(left + right)])
    before, after = float(np.median(values[:cut])), float(np.median(values[cut:]))
    rest = np.concatenate([values[:cut] - before, values[cut:] - after])
    size = abs(after - before)
    if size < max(floor, settings.session_spreads * robust_spread(rest)):
        return None
    middle, up = (before + after) / 2, after > before
    own = min(float(((values[:cut] < middle) == up).mean()), float(((values[cut:] > middle) == up).mean()))
    return cut if own >= OWN_SHARE else None


def _lags(measures: EpisodeMeasures, settings: DefectSettings) -> Iterator[Finding]:
    """Episodes whose actions come by another time before the states than those of the others: the worse of its arms."""
    told: dict[int, tuple[float, Finding]] = {}
    for rows in groups(measures.robot.codes, measures.manipulator.codes, measures.layout.codes):
        known = rows[np.isfinite(measures.lag_s[rows])]
        if len(known) < LEAST:
            continue
        lag, period = measures.lag_s[known], measures.period_s[known]
        usual = float(np.median(lag))
        limit = np.maximum(settings.lag_frames * period, settings.lag_spreads * robust_spread(lag - usual))
        odd = np.abs(lag - usual) > limit
        if odd.mean() > settings.common:
            continue
        for k in np.flatnonzero(odd).tolist():
            row, episode = int(known[k]), int(measures.episode_index[known[k]])
            frames = float((lag[k] - usual) / period[k])
            words = (
                f"states follow the actions by {lag[k]:.3g} s, in other episodes by {usual:.3g} s: "
                f"actions come {abs(frames):.2g} frames too {'early' if frames > 0 else 'late'}"
            )
            if abs(frames) > told.get(episode, (0.0, None))[0]:
                found = Finding(row, "", "action_lag", 1.0, 0, int(measures.frames[row]), frames, "frames", words)
                told[episode] = abs(frames), found
    yield from (found for _, found in told.values())
