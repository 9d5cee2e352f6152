"""Lost frames, leaps and unsteadiness of the clock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sima2.defects.findings import Finding, graded
from sima2.defects.settings import DefectSettings
from sima2.defects.tracks import HAND, JOINT, Tracks

Doubles = NDArray[np.float64]
DECILES = 2.563
"""Distance of the tenth from the ninetieth percentile of a normal distribution, in standard deviations."""
EVEN = 0.4
"""Least share of their mean that each of the four steps around a skip has, along it."""
ALONG = 0.99
"""Cosine between a skip and the motion around it, over all joints."""
SKIP_STEPS = 2.7
"""Steps that a motion makes at once: two lost frames and more; one may be a stumble of the motion."""
SKIP_NOISE = 6.0
"""Even motion, in standard deviations of the noise of all joints, which so bends its direction by a few degrees."""
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
            found += _gaps(tracks, i, took, gaps, settings)
        kept = np.delete(took, gaps)
        if len(kept) >= LEAST_STEPS:
            found += _unsteady(i, kept, b - a, settings)
    return found


def _suspects(tracks: Tracks, settings: DefectSettings) -> NDArray[np.intp]:
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


def _gap_limit(took: Doubles, settings: DefectSettings) -> float:
    low, middle, high = np.quantile(took, [0.1, 0.5, 0.9])
    return float(max(settings.gap_periods * middle, middle + settings.gap_spreads * (high - low) / DECILES))


def _gaps(tracks: Tracks, i: int, took: Doubles, gaps: NDArray[np.intp], settings: DefectSettings) -> list[Finding]:
    period = float(tracks.period[i])
    leaps = [g for g in gaps.tolist() if took[g] >= settings.jump_periods * period and _stood(tracks, i, g)]
    lost = [g for g in gaps.tolist() if g not in leaps]
    found = []
    for g in leaps:
        leap = float(took[g])
        words = f"the clock leaps by {leap:.3g} s ({leap / period:.0f} periods); the robot moved no further than in one"
        severity = graded(leap, 5.0 * settings.jump_periods * period)
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
        severity = max(graded(share, 0.1), graded(float(took[worst]), 1.0))
        found.append(Finding(i, "", "dropped_frames", severity, worst, worst + 2, float(frames), "frames", words))
    return found


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


def _unsteady(i: int, took: Doubles, frames: int, settings: DefectSettings) -> list[Finding]:
    low, middle, high = np.quantile(took, [0.1, 0.5, 0.9])
    half = len(took) // 2
    early, late = float(np.median(took[:half])), float(np.median(took[half:]))
    change = max(early, late) / min(early, late) - 1.0
    # the halves' medians wander by chance where the clock jitters
    if change > max(settings.rate_change, 4.0 * (high - low) / middle / len(took) ** 0.5):
        words = f"{1 / early:.4g} Hz in the first half, {1 / late:.4g} Hz in the second"
        return [Finding(i, "", "rate_change", graded(change, 0.5), 0, frames, change, "relative change", words)]
    spread = float((high - low) / middle)
    if spread > settings.jitter:
        words = f"one frame in ten comes within {low:.3g} s, one after {high:.3g} s; the median is {middle:.3g} s"
        return [Finding(i, "", "irregular_clock", graded(spread, 1.5), 0, frames, spread, "of the period", words)]
    return []


def skip_findings(tracks: Tracks) -> list[Finding]:
    """Frames that are missing although the clock is regular: all joints go on their way by several steps at once.

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
        & (times >= SKIP_STEPS)
        & ~(tracks.repeated[1 : frames - 3] | tracks.repeated[3 : frames - 1])
    )
    at = np.flatnonzero(hit) + 2
    episode = np.searchsorted(tracks.offset, at, side="right") - 1
    good = (at - 2 > tracks.offset[:-1][episode]) & (at + 2 < tracks.offset[1:][episode])
    at, episode = at[good], episode[good]
    return [_skipped(tracks, i, at[episode == i], times[at[episode == i] - 2]) for i in np.unique(episode).tolist()]


def _over_columns(values: Doubles) -> Doubles:
    """Sum over columns, in their order whatever the batch, shape (T,)."""
    total = np.zeros(values.shape[1])
    for row in values:
        total += row
    return total


def _skipped(tracks: Tracks, i: int, at: NDArray[np.intp], times: Doubles) -> Finding:
    lost = int((np.rint(times) - 1).sum())
    worst = int(at[np.argmax(times)] - tracks.offset[i])
    share = lost / (lost + float(tracks.length[i]))
    places = "place" if len(at) == 1 else "places"
    words = (
        f"about {lost} frames missing in {len(at)} {places}, though the clock is regular: "
        f"all joints together go {times.max():.2g} steps at once"
    )
    severity = max(graded(share, 0.1), 0.3)
    return Finding(i, "", "dropped_frames", severity, worst - 1, worst + 1, float(lost), "frames", words)
