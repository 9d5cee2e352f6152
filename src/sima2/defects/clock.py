"""Lost frames, leaps and unsteadiness of the clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sima2.defects.commands import Following
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import Finding
from sima2.defects.tracks import HAND, JOINT, NORMAL_MEDIAN, Tracks
from sima2.records.arrays import Float64s, Indices

DECILES = 2.563
"""Distance of the tenth from the ninetieth percentile of a normal distribution, in standard deviations."""
EVEN = 0.4
"""Least share of their mean that each of the four steps around a skip has, along it."""
ALONG = 0.99
"""Cosine between a skip and the motion around it, over all joints."""
ALONG_BOTH = 0.8
"""The same of state and command, which both must have it,"""
CLEAR = 2.0
"""… but for steps so many times those beside them."""
SKIP_NOISE = 6.0
"""Even motion, in standard deviations of the noise of all joints, which so bends its direction by a few degrees."""
BESIDE = 8
"""Steps of the clock before and after a gap, by which it is told whether it came back."""
GAP_NOISE = 4.0
"""Pace beside a gap, in standard deviations of the noise of all joints, from which the motion tells what was lost."""
SLOW_STEPS = 3
"""Steps from which on a motion may have slowed down meanwhile."""
LEAST_STEPS = 8
"""Steps of the clock below which nothing is said of it."""


def clock_findings(tracks: Tracks, settings: DefectSettings) -> list[Finding]:
    """What the times of the frames tell, episode by episode; suspicious ones alone are looked at closely."""
    found: list[Finding] = []
    for i in _suspects(tracks, settings).tolist():
        a, b = int(tracks.offset[i]), int(tracks.offset[i + 1])
        took = np.diff(tracks.time[a:b])
        gaps = np.flatnonzero(took >= _gap_limit(took, settings))
        if len(gaps):
            told, late = _gaps(tracks, i, took, gaps, settings)
            found += told
            gaps = np.setdiff1d(gaps, late)
        kept = np.delete(took, gaps)
        if len(kept) >= LEAST_STEPS:
            found += _unsteady(i, kept, b - a, settings)
    return found


def _suspects(tracks: Tracks, settings: DefectSettings) -> Indices:
    """Episodes with a step that differs clearly from their median step, either way."""
    if not len(tracks.time):
        return np.zeros(0, np.intp)
    took = np.diff(tracks.time, prepend=tracks.time[0])
    usual = np.repeat(tracks.period, tracks.length)
    took[tracks.first] = usual[tracks.first]
    odd = np.abs(took - usual) > settings.rate_change * usual
    some = (tracks.length > LEAST_STEPS).nonzero()[0]
    # summing booleans is exact
    return some[np.add.reduceat(odd.astype(np.int64), tracks.offset[:-1][some]) > 0] if len(some) else some


def _gap_limit(took: Float64s, settings: DefectSettings) -> float:
    low, middle, high = np.quantile(took, [0.1, 0.5, 0.9])
    return float(max(settings.gap_periods * middle, middle + settings.gap_spreads * (high - low) / DECILES))


def _gaps(
    tracks: Tracks, i: int, took: Float64s, gaps: Indices, settings: DefectSettings
) -> tuple[list[Finding], Indices]:
    """Leaps and losses among the gaps of a clock; and the gaps that are neither, which its jitter made."""
    period = float(tracks.period[i])
    leaps = [g for g in gaps.tolist() if took[g] >= settings.jump_periods * period and _stood(tracks, i, g)]
    lost = [g for g in gaps.tolist() if g not in leaps and _went_on(tracks, i, g, took)]
    found = []
    for g in leaps:
        leap = float(took[g])
        words = f"the clock leaps by {leap:.3g} s ({leap / period:.0f} periods); the robot moved no further than in one"
        # what comes after it is told at another time
        severity = 1.0 - (g + 1) / (len(took) + 1)
        found.append(Finding(i, "", "clock_jump", severity, g, g + 2, leap, "s", words))
    if lost:
        frames = int(np.maximum(np.rint(took[lost] / period) - 1, 1).sum())
        worst = max(lost, key=lambda g: float(took[g]))
        share = frames / (frames + len(took) + 1)
        words = (
            f"{frames} frames missing in {len(lost)} {'gap' if len(lost) == 1 else 'gaps'} "
            f"({100 * share:.0f} % of the episode), "
            f"the longest of {took[worst]:.3g} s, {took[worst] / period:.3g} periods"
        )
        found.append(Finding(i, "", "dropped_frames", share, worst, worst + 2, float(frames), "frames", words))
    known = {*leaps, *lost}
    return found, np.array([g for g in gaps.tolist() if g not in known], np.intp)


def _went_on(tracks: Tracks, i: int, gap: int, took: Float64s) -> bool:
    """Whether frames were lost in a gap: the robot went on meanwhile, or (where it stood) the clock never came back.

    A late frame is followed by early ones, and the robot moves over it as over any other; a lost one leaves both the
    clock and the robot further on.
    """
    ratio = float(took[gap] / tracks.period[i])
    went = _steps_over(tracks, i, gap)
    if went is not None:
        return went >= 0.5 * (1.0 + min(ratio, float(SLOW_STEPS)))
    late = np.cumsum(took - tracks.period[i])
    before, after = late[max(gap - BESIDE, 0) : gap], late[gap : gap + BESIDE]
    start = float(np.median(before)) if len(before) else 0.0
    return float(np.median(after)) - start >= 0.6 * float(tracks.period[i])


def _steps_over(tracks: Tracks, i: int, gap: int) -> float | None:
    """How many usual steps the robot made over a gap; None where it hardly moves there or changes its way."""
    a, b = int(tracks.offset[i]), int(tracks.offset[i + 1])
    at = a + gap + 1
    if at - 3 < a or at + 3 > b:
        return None
    rows = tracks.rows(kind=JOINT) or tracks.rows(kind=HAND)
    x = tracks.x[rows, at - 3 : at + 3].astype(np.float64)
    if not rows:
        return None
    before, after = (x[:, 2] - x[:, 0]) / 2, (x[:, 5] - x[:, 3]) / 2
    pace = (before + after) / 2
    noise = float(np.sqrt(np.square(tracks.noise[rows, i].astype(np.float64)).sum()))
    size = float(np.sqrt(pace @ pace))
    if size <= GAP_NOISE * noise or float(before @ after) < 0.5 * size * size:
        return None
    return float((x[:, 3] - x[:, 2]) @ pace / (size * size))


def _stood(tracks: Tracks, i: int, gap: int) -> bool:
    """Whether the robot was in motion and yet moved over a long gap no further than in one frame."""
    a = int(tracks.offset[i])
    x, b = tracks.x, int(tracks.offset[i + 1])
    at = a + gap
    if at - 1 < a or at + 3 > b or not len(x):
        return False
    before, after = np.abs(x[:, at] - x[:, at - 1]), np.abs(x[:, at + 2] - x[:, at + 1])
    pace, over = np.maximum(before, after), np.abs(x[:, at + 1] - x[:, at])
    moves = pace > np.maximum(6.0 * tracks.noise[:, i], tracks.still[:, i] / 4)
    return bool(moves.any() and (over[moves] <= 2.0 * pace[moves]).all())


def _unsteady(i: int, took: Float64s, frames: int, settings: DefectSettings) -> list[Finding]:
    low, middle, high = np.quantile(took, [0.1, 0.5, 0.9])
    half = len(took) // 2
    early, late = float(np.median(took[:half])), float(np.median(took[half:]))
    change = max(early, late) / min(early, late) - 1.0
    # the halves' medians wander by chance where the clock jitters
    if change > max(settings.rate_change, 4.0 * (high - low) / middle / len(took) ** 0.5):
        words = f"{1 / early:.4g} Hz in the first half, {1 / late:.4g} Hz in the second"
        return [Finding(i, "", "rate_change", 1.0, 0, frames, change, "relative change", words)]
    spread = float((high - low) / middle)
    off = float((np.abs(took - middle) > settings.late * middle).mean())
    if spread > settings.jitter or off > settings.late_share:
        words = (
            f"{100 * off:.0f} % of the frames come early or late by more than {100 * settings.late:.0f} % of the "
            f"period ({middle:.3g} s): one in ten within {low:.3g} s, one after {high:.3g} s; no motion is missing"
        )
        return [Finding(i, "", "irregular_clock", max(off, 0.01), 0, frames, spread, "of the period", words)]
    return []


def skip_findings(tracks: Tracks, follows: Mapping[str, Following], settings: DefectSettings) -> list[Finding]:
    """Frames that are missing although the clock is regular.

    Where commands were recorded: state and command skip in one and the same frame, though the one comes later than the
    other. Else: all joints (else hands) go on their way by several steps at once, in even motion. One fast step of the
    arm alone is none.
    """
    if follows:
        return _skips_of_both(tracks, follows, settings)
    return _skips_alone(tracks, settings)


def _skips_of_both(tracks: Tracks, follows: Mapping[str, Following], settings: DefectSettings) -> list[Finding]:
    rows = [row for each in follows.values() for row in each.rows]
    command = np.concatenate([each.command for each in follows.values()])
    found = []
    for i in np.flatnonzero(tracks.length >= LEAST_STEPS).tolist():
        a, b = int(tracks.offset[i]), int(tracks.offset[i + 1])
        sent = command[:, a:b].astype(np.float64)
        told = np.isfinite(sent).all(axis=1)
        if not told.any():
            continue
        state = _skips(tracks.x[rows, a:b].astype(np.float64)[told])
        order = _skips(sent[told])
        along = (state.along >= ALONG_BOTH) & (order.along >= ALONG_BOTH)
        strict = np.minimum(state.strict, order.strict)
        hit = (strict >= settings.skip_times) & (along | (strict >= CLEAR))
        often = (np.minimum(state.loose, order.loose) >= settings.skip_least) & along
        # at few frames a second a motion is over within some frames, and steps are uneven by themselves
        if tracks.period[i] <= settings.slow_s and int(often.sum()) >= settings.skip_often:
            hit |= often
        # what follows a frame that shows the one before over again is as far as the robot has got meanwhile
        again = tracks.repeated[a + 1 : b]
        hit[1:] &= ~again[:-1]
        hit[:-1] &= ~again[1:]
        if hit.any():
            at = np.flatnonzero(hit) + 1
            times = np.maximum(state.loose, state.strict)[hit]
            # where the clock shows the loss it was told already
            took = np.diff(tracks.time[a:b])[at - 1]
            even = took < settings.gap_periods * tracks.period[i]
            if even.any():
                found.append(_skipped(tracks, i, at[even] + a, times[even]))
    return found


class _Skips(NamedTuple):
    """Each step of an episode against those beside it, shape (t - 1,)."""

    strict: Float64s
    """Over the greatest within two frames."""
    loose: Float64s
    """Over the middle one of those."""
    along: Float64s
    """Cosine with the motion before and after."""


def _skips(x: Float64s) -> _Skips:
    """Of columns over the frames of an episode, shape (c, t)."""
    step = np.diff(x, axis=1)
    size = np.sqrt((step * step).sum(axis=0))
    strict, loose, along = np.zeros((3, len(size)))
    n = len(size)
    if n < 5:
        return _Skips(strict, loose, along)
    bend = np.diff(step, axis=1)
    noise = float(np.sqrt(np.square(np.median(np.abs(bend), axis=1) / (NORMAL_MEDIAN * 6**0.5)).sum()))
    fast = float(np.quantile(size, 0.95))
    beside = np.sort(np.stack([size[: n - 4], size[1 : n - 3], size[3 : n - 1], size[4:]]), axis=0)
    near = step[:, 1 : n - 3] + step[:, 3 : n - 1]
    here = size[2 : n - 2]
    least = max(3.0 * noise, 1e-12)
    strict[2 : n - 2] = here / np.maximum(beside[3], max(least, 0.05 * fast))
    loose[2 : n - 2] = here / np.maximum((beside[1] + beside[2]) / 2, max(least, 0.15 * fast))
    length = here * np.sqrt((near * near).sum(axis=0))
    along[2 : n - 2] = np.divide((step[:, 2 : n - 2] * near).sum(axis=0), length, out=np.zeros(n - 4), where=length > 0)
    return _Skips(strict, loose, along)


def _skips_alone(tracks: Tracks, settings: DefectSettings) -> list[Finding]:
    """All joints go on their way by several steps at once.

    Told of joints (else of hands) in even motion: two steps before and two after are alike, and the one between them
    has their direction, but is longer.
    """
    rows = tracks.rows(kind=JOINT) or tracks.rows(kind=HAND)
    frames = len(tracks.time)
    if len(rows) < 2 or frames < 8:
        return []
    cross, size, far, *shares = np.zeros((7, frames - 4))
    for row in rows:
        step = tracks.step[row].astype(np.float64)
        here, *beside = (step[k : frames - 4 + k] for k in (2, 0, 1, 3, 4))
        usual = 0.25 * (beside[0] + beside[1] + beside[2] + beside[3])
        cross += usual * here
        size += usual * usual
        far += here * here
        for share, near in zip(shares, beside, strict=True):
            share += near * usual
    even = np.ones(frames - 4, np.bool_)
    for share in shares:
        even &= (share >= EVEN * size) & (share <= (2.0 - EVEN) * size)
    along = cross >= ALONG * np.sqrt(size * far)
    noise = _over_columns(np.square(tracks.noise[rows].astype(np.float64)))
    inside = size > SKIP_NOISE**2 * np.repeat(noise, tracks.length)[2 : frames - 2]
    times = np.divide(cross, size, out=np.zeros_like(cross), where=size > 0)
    hit = (
        even
        & along
        & inside
        & (times >= settings.skip_alone)
        & ~(tracks.repeated[1 : frames - 3] | tracks.repeated[3 : frames - 1])
    )
    at = np.flatnonzero(hit) + 2
    episode = np.searchsorted(tracks.offset, at, side="right") - 1
    good = (at - 2 > tracks.offset[:-1][episode]) & (at + 2 < tracks.offset[1:][episode])
    at, episode = at[good], episode[good]
    return [_skipped(tracks, i, at[episode == i], times[at[episode == i] - 2]) for i in np.unique(episode).tolist()]


def _over_columns(values: Float64s) -> Float64s:
    """Sum over columns, in their order whatever the batch, shape (T,)."""
    total = np.zeros(values.shape[1])
    for row in values:
        total += row
    return total


def _skipped(tracks: Tracks, i: int, at: Indices, times: Float64s) -> Finding:
    lost = int(np.maximum(np.rint(times) - 1, 1).sum())
    worst = int(at[np.argmax(times)] - tracks.offset[i])
    share = lost / (lost + float(tracks.length[i]))
    places = "place" if len(at) == 1 else "places"
    words = (
        f"about {lost} frames missing in {len(at)} {places}, though the clock is regular: "
        f"all joints together go {times.max():.2g} steps at once"
    )
    return Finding(i, "", "dropped_frames", share, worst - 1, worst + 1, float(lost), "frames", words)
