"""Joints and commands that run into a limit while their counterpart goes on beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from sima2.defects.commands import NEAR, Following
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import SET, Finding
from sima2.defects.groups import groups, joints_follow
from sima2.defects.tracks import Tracks, runs
from sima2.records.arrays import Float64s, Indices
from sima2.records.defects import LIMITS, SLOTS, EpisodeMeasures

SIDES: Final = ("least", "greatest")
PER_LIMIT: Final = 5
"""Numbers of a candidate: kind and slot, frames, first frame, end, and how far the counterpart goes beyond, rad."""
LEAST: Final = 5
"""Episodes without which nobody tells what a joint's range is."""
FEWEST: Final = 3
"""Episodes that stand at one and the same limit, which then is the joint's own."""


def limits_of(tracks: Tracks, follow: Following, slots: dict[int, int], settings: DefectSettings) -> Float64s:
    """The longest plateaus of each episode on its own extreme values, shape (n, LIMITS × PER_LIMIT); NaN for none.

    Of a joint whose command goes on beyond it, or of a command whose joint does. The first number of each is
    ``(2 × of the command + greatest) × SLOTS + slot``.
    """
    n = len(tracks.length)
    out = np.full((n, LIMITS, PER_LIMIT), np.nan)
    for i in np.flatnonzero(np.nan_to_num(follow.floor) > 0).tolist():
        found = [
            each
            for j, row in enumerate(follow.rows)
            if row in slots
            for each in _of_joint(tracks, follow, j, i, slots[row], settings)
        ]
        for k, each in enumerate(sorted(found, key=lambda each: (-each[1], each[0]))[:LIMITS]):
            out[i, k] = each
    return out.reshape(n, LIMITS * PER_LIMIT)


def at_limit(tracks: Tracks, follow: Following, j: int, i: int, start: int, stop: int) -> bool:
    """Whether a joint stands on its extreme value of an episode, its command beyond it; frames of the batch."""
    row = follow.rows[j]
    own = tracks.x[row, int(tracks.offset[i]) : int(tracks.offset[i + 1])]
    value = float(np.median(tracks.x[row, start:stop]))
    sent = float(np.nanmedian(follow.command[j, start:stop])) - float(np.nan_to_num(follow.offset[j, i]))
    near = _tolerance(tracks, follow, row, i)
    low, high = float(np.nanmin(own)), float(np.nanmax(own))
    return (value <= low + near and sent < value) or (value >= high - near and sent > value)


def _tolerance(tracks: Tracks, follow: Following, row: int, i: int) -> float:
    return max(float(tracks.still[row, i]), NEAR * float(follow.floor[i]))


def _of_joint(
    tracks: Tracks, follow: Following, j: int, i: int, slot: int, settings: DefectSettings
) -> Iterator[tuple[float, ...]]:
    lag = follow.lag[i] if np.isfinite(follow.lag[i]) else follow.usual[j, i]
    offset = float(follow.offset[j, i])
    if not (np.isfinite(lag) and np.isfinite(offset)):
        return
    a, b = int(tracks.offset[i]), int(tracks.offset[i + 1])
    shift = max(round(float(lag)), 0)
    if b - a <= shift + settings.clip_frames:
        return
    row = follow.rows[j]
    sent = follow.command[j, a : b - shift].astype(np.float64) - offset
    now = tracks.x[row, a + shift : b].astype(np.float64)
    for command, (own, other, at) in enumerate(((now, sent, shift), (sent, now, 0))):
        for side, sign in enumerate((-1.0, 1.0)):
            seen = _plateau(sign * own, sign * other, settings)
            if seen is not None:
                frames, start, end, beyond = seen
                yield float((2 * command + side) * SLOTS + slot), float(frames), start + at, end + at, beyond


def _plateau(own: Float64s, other: Float64s, settings: DefectSettings) -> tuple[int, float, float, float] | None:
    """Frames on the greatest value while the other goes beyond it, first and end of them, and how far it does.

    None where it does not, or where it is soon over.
    """
    if not np.isfinite(own).any():
        return None
    level = float(np.nanmax(own))
    beyond = np.nan_to_num(other - level, nan=-np.inf)
    hit = np.zeros(len(own), np.bool_)
    start, stop = runs(own == level, np.arange(len(own)) == 0)
    for s, e in zip(start.tolist(), stop.tolist(), strict=True):
        if e - s >= settings.clip_frames and float(beyond[s:e].max()) > 0.0:
            hit[s:e] = True
    frames = int(hit.sum())
    if frames < max(settings.clip_share * len(own), settings.clip_frames):
        return None
    # what is beyond only now and then meanwhile has been left behind, not cut off
    if float((beyond[hit] > 0).mean()) < settings.clip_beyond:
        return None
    at = np.flatnonzero(hit)
    return frames, float(at[0]), float(at[-1] + 1), float(beyond[hit].max())


def limit_findings(measures: EpisodeMeasures, settings: DefectSettings) -> Iterator[Finding]:
    """Plateaus beyond which other episodes go; and once of the set those beyond which none does: an end stop."""
    for robot in groups(measures.robot.codes):
        if not joints_follow(measures, robot):
            continue
        arms = [robot[rows] for rows in groups(measures.manipulator.codes[robot], measures.layout.codes[robot])]
        spans = [np.median(np.nan_to_num(measures.span[rows].astype(np.float64)), axis=0) for rows in arms]
        # of all arms: one that is parked has no range of its own
        widest = max((float(span[: SLOTS - 4].max()) for span in spans), default=0.0)
        for rows, span in zip(arms, spans, strict=True):
            if len(rows) >= LEAST:
                yield from _of_arm(measures, rows, span, settings.clip_floor * widest, settings)


def _of_arm(
    measures: EpisodeMeasures, rows: Indices, span: Float64s, floor: float, settings: DefectSettings
) -> Iterator[Finding]:
    extent = _extents(measures, rows)
    limits = measures.limits[rows].reshape(len(rows), LIMITS, PER_LIMIT)
    stops: dict[int, list[tuple[int, float]]] = {}
    for k, each in zip(*(part.tolist() for part in np.nonzero(np.isfinite(limits[..., 0]))), strict=True):
        code, frames, start, end, beyond = limits[k, each].tolist()
        kind, slot = divmod(int(code), SLOTS)
        if beyond < max(settings.clip_depth * float(span[slot]), floor):
            continue
        level = float(extent[kind, slot, k])
        sign = 1.0 if kind % 2 else -1.0
        farther = float((sign * (np.delete(extent[kind, slot], k) - level) > floor).mean())
        if farther >= settings.common and frames >= settings.clip_least * measures.frames[rows[k]]:
            yield _finding(measures, int(rows[k]), kind, slot, (frames, start, end, beyond))
        elif farther < settings.common and kind < 2:
            stops.setdefault(int(code), []).append((int(rows[k]), level))
    for code, held in sorted(stops.items()):
        levels = np.array([level for _, level in held])
        alike = int((np.abs(levels - np.median(levels)) < floor / 2).sum())
        if alike >= max(FEWEST, settings.stop_share * len(rows)):
            yield _stop(measures, code, held, len(rows))


def _extents(measures: EpisodeMeasures, rows: Indices) -> Float64s:
    """Least and greatest values of positions, then of commands, shape (4, SLOTS, m)."""
    low = measures.low[rows].astype(np.float64)
    command = measures.command_extent[rows].astype(np.float64).reshape(len(rows), 2, SLOTS)
    return np.stack([low.T, (low + measures.span[rows]).T, command[:, 0].T, command[:, 1].T])


def _finding(
    measures: EpisodeMeasures, row: int, kind: int, slot: int, seen: tuple[float, float, float, float]
) -> Finding:
    frames, start, end, beyond = seen
    what = f"the command of joint {slot}" if kind > 1 else f"joint {slot}"
    partner = "the joint" if kind > 1 else "its command"
    words = (
        f"{what} stays on its {SIDES[kind % 2]} value for {frames:.0f} frames while {partner} goes on, up to "
        f"{np.degrees(beyond):.3g}° beyond; other episodes go farther"
    )
    share = frames / max(int(measures.frames[row]), 1)
    return Finding(
        row, measures.manipulator[row], "clipped_channel", share, int(start), int(end), frames, "frames", words
    )


def _stop(measures: EpisodeMeasures, code: int, held: list[tuple[int, float]], episodes: int) -> Finding:
    kind, slot = divmod(code, SLOTS)
    level = float(np.median([level for _, level in held]))
    words = (
        f"joint {slot} stands on its {SIDES[kind % 2]} value, {np.degrees(level):.3g}°, in {len(held)} of {episodes} "
        "episodes while its command goes on, and no episode goes farther: its end stop"
    )
    # nothing to leave out: states are right, and commands that lead nowhere do no harm
    return Finding(
        SET, measures.manipulator[held[0][0]], "clipped_channel", 0.0, 0, 0, float(len(held)), "episodes", words
    )
