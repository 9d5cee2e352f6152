"""Positions that jump further in one frame than they ever move otherwise."""

from __future__ import annotations

import numpy as np

from sima2.defects.findings import Finding, graded
from sima2.defects.settings import DefectSettings
from sima2.defects.tracks import HAND, JOINT, Bools, Tracks
from sima2.records.rollout import Floats

MOST_EVENTS = 5
"""Jumps of an episode that are told one by one."""
NOISE_TIMES = 12.0


def teleport_findings(tracks: Tracks, settings: DefectSettings) -> list[Finding]:
    """Isolated steps of joints and hands beyond any speed of the same column and of its manipulator.

    Fingers snap shut in a frame or two, so of grippers nothing is said.
    """
    found: list[Finding] = []
    length = tracks.length
    some = np.flatnonzero(length >= 6)
    if not len(some):
        return found
    for arm in dict.fromkeys(each.arm for each in tracks.columns):
        for kind in (JOINT, HAND):
            rows = tracks.rows(arm=arm, kind=kind)
            if rows:
                found += _of_kind(tracks, rows, kind, arm, settings)
    return found


def _of_kind(tracks: Tracks, rows: list[int], kind: str, arm: str, settings: DefectSettings) -> list[Finding]:
    step = tracks.step[rows]
    size = np.abs(step)
    alone = _isolated(step, size, tracks, settings)
    length = tracks.length
    some = np.flatnonzero(length)
    top = np.zeros((len(rows), len(length)), np.float32)
    top[:, some] = np.maximum.reduceat(np.where(alone, np.float32(0), size), tracks.offset[:-1][some], axis=1)
    limit = np.maximum(settings.teleport_times * top, top.max(axis=0))
    limit = np.maximum(limit, np.float32(NOISE_TIMES) * tracks.noise[rows])
    jumps = alone
    for j in range(len(rows)):
        jumps[j] &= size[j] > np.repeat(limit[j], length)
    events = np.flatnonzero(jumps.any(axis=0))
    episode = np.searchsorted(tracks.offset, events, side="right") - 1
    found = []
    for i in np.unique(episode).tolist():
        found += _events(tracks, rows, i, kind, arm, events[episode == i], size, jumps, top)
    return found


def _isolated(step: Floats, size: Floats, tracks: Tracks, settings: DefectSettings) -> Bools:
    """Steps far larger than all within two frames, but for the way straight back; shape (C, T)."""
    beside = np.zeros_like(size)
    for near in (1, 2):
        ahead, behind = np.zeros_like(size), np.zeros_like(size)
        ahead[:, :-near], behind[:, near:] = size[:, near:], size[:, :-near]
        if near == 1:
            back = step[:, 1:] * step[:, :-1] < 0
            back &= np.minimum(size[:, 1:], size[:, :-1]) >= 0.5 * np.maximum(size[:, 1:], size[:, :-1])
            ahead[:, :-1][back] = 0.0
            behind[:, 1:][back] = 0.0
        np.maximum(beside, ahead, out=beside)
        np.maximum(beside, behind, out=beside)
    alone = size > np.float32(settings.teleport_times) * beside
    # at the ends of an episode there is no neighbour to tell, and the next episode's are none
    frames = len(tracks.time)
    for a, b in zip(tracks.offset[:-1].tolist(), tracks.offset[1:].tolist(), strict=True):
        alone[:, a : min(a + 3, frames)] = False
        alone[:, max(b - 2, 0) : b] = False
    return alone


def _events(
    tracks: Tracks,
    rows: list[int],
    i: int,
    kind: str,
    arm: str,
    events: np.ndarray,
    size: Floats,
    jumps: Bools,
    top: Floats,
) -> list[Finding]:
    a = int(tracks.offset[i])
    times = {}
    for t in events.tolist():
        where = np.flatnonzero(jumps[:, t])
        fastest = np.where(top[where, i] > 0, top[where, i], top[:, i].max())
        times[t] = (size[where, t] / np.where(fastest > 0, fastest, 1.0), where)
    worst = sorted(times, key=lambda t: (-float(times[t][0].max()), t))[:MOST_EVENTS]
    unit = "rad" if kind == JOINT else "m"
    found = []
    for t in sorted(worst):
        ratio, where = times[t]
        k = int(np.argmax(ratio))
        names = ", ".join(tracks.columns[rows[j]].name for j in where[:4].tolist())
        names += f" and {len(where) - 4} more" if len(where) > 4 else ""
        words = (
            f"{names} jumps by {size[where[k], t]:.3g} {unit} in one frame, {ratio[k]:.3g} times its fastest step"
            + (f"; {len(times)} such jumps in the episode" if len(times) > 1 else "")
        )
        found.append(
            Finding(i, arm, "teleport", graded(float(ratio[k]) - 1, 4.0), t - 1 - a, t + 1 - a, float(ratio[k]),
                    "times its fastest step", words)
        )  # fmt: skip
    return found
