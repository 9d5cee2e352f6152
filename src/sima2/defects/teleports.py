"""Positions that jump further in one frame than they ever move otherwise."""

from __future__ import annotations

import numpy as np

from sima2.defects.findings import Finding, graded
from sima2.defects.settings import DefectSettings
from sima2.defects.tracks import HAND, JOINT, Bools, Ints, Tracks
from sima2.records.rollout import Floats

MOST_EVENTS = 5
"""Jumps of an episode that are told one by one."""
NOISE_TIMES = 12.0
"""A jump in standard deviations of the noise, out of reach of chance in any number of frames."""
OFTEN = 0.02
"""Share of an episode's frames."""


def teleport_findings(tracks: Tracks, settings: DefectSettings) -> list[Finding]:
    """Isolated steps of joints and hands beyond any speed of the same column and of its manipulator.

    Fingers snap shut in a frame or two, so of grippers nothing is said. Frames that repeat the one before are left out:
    what comes after them is as far as the robot has got meanwhile.
    """
    found: list[Finding] = []
    kept = np.flatnonzero(~tracks.repeated)
    offset = np.searchsorted(kept, tracks.offset)
    for arm in dict.fromkeys(each.arm for each in tracks.columns):
        for kind in (JOINT, HAND):
            rows = tracks.rows(arm=arm, kind=kind)
            if rows and len(kept):
                found += _of_kind(tracks, rows, kind, arm, kept, offset, settings)
    return found


def _of_kind(
    tracks: Tracks, rows: list[int], kind: str, arm: str, kept: Ints, offset: Ints, settings: DefectSettings
) -> list[Finding]:
    whole = len(kept) == len(tracks.time)
    step = tracks.step[rows] if whole else tracks.step[rows][:, kept]
    size = np.abs(step)
    jumps = _isolated(step, size, offset, settings)
    length = np.diff(offset)
    some = np.flatnonzero(length)
    top = np.zeros((len(rows), len(length)), np.float32)
    top[:, some] = np.maximum.reduceat(np.where(jumps, np.float32(0), size), offset[:-1][some], axis=1)
    limit = np.maximum(settings.teleport_times * top, top.max(axis=0))
    limit = np.maximum(limit, np.float32(NOISE_TIMES) * tracks.noise[rows])
    for j in range(len(rows)):
        jumps[j] &= size[j] > np.repeat(limit[j], length)
    events = np.flatnonzero(jumps.any(axis=0))
    episode = np.searchsorted(offset, events, side="right") - 1
    found = []
    for i in np.unique(episode).tolist():
        mine = events[episode == i]
        # what happens all the time is how this robot is recorded
        if len(mine) <= max(MOST_EVENTS, OFTEN * length[i]):
            found += _events(tracks, rows, i, kind, arm, kept[mine], size[:, mine], jumps[:, mine], top[:, i])
    return found


def _isolated(step: Floats, size: Floats, offset: Ints, settings: DefectSettings) -> Bools:
    """Steps far larger than all within two frames, but for the way straight back; shape (C, T)."""
    beside = np.zeros_like(size)
    behind, ahead = size[:, :-1], size[:, 1:]
    back = step[:, 1:] * step[:, :-1] < 0
    back &= np.minimum(ahead, behind) >= 0.5 * np.maximum(ahead, behind)
    beside[:, :-1] = np.where(back, np.float32(0), ahead)
    np.maximum(beside[:, 1:], np.where(back, np.float32(0), behind), out=beside[:, 1:])
    np.maximum(beside[:, :-2], size[:, 2:], out=beside[:, :-2])
    np.maximum(beside[:, 2:], size[:, :-2], out=beside[:, 2:])
    alone = size > np.float32(settings.teleport_times) * beside
    # at the ends of an episode there is no neighbour to tell, and the next episode's are none
    for a, b in zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True):
        alone[:, a : min(a + 3, b)] = False
        alone[:, max(b - 2, a) : b] = False
    return alone


def _events(
    tracks: Tracks,
    rows: list[int],
    i: int,
    kind: str,
    arm: str,
    events: Ints,
    size: Floats,
    jumps: Bools,
    top: Floats,
) -> list[Finding]:
    a = int(tracks.offset[i])
    times = {}
    for k, t in enumerate(events.tolist()):
        where = np.flatnonzero(jumps[:, k])
        fastest = np.where(top[where] > 0, top[where], top.max())
        times[t] = (size[where, k] / np.where(fastest > 0, fastest, 1.0), where, size[where, k])
    worst = sorted(times, key=lambda t: (-float(times[t][0].max()), t))[:MOST_EVENTS]
    unit = "rad" if kind == JOINT else "m"
    found = []
    for t in sorted(worst):
        ratio, where, far = times[t]
        k = int(np.argmax(ratio))
        names = ", ".join(tracks.columns[rows[j]].name for j in where[:4].tolist())
        names += f" and {len(where) - 4} more" if len(where) > 4 else ""
        words = f"{names} jumps by {far[k]:.3g} {unit} in one frame, {ratio[k]:.3g} times its fastest step" + (
            f"; {len(times)} such jumps in the episode" if len(times) > 1 else ""
        )
        found.append(
            Finding(i, arm, "teleport", graded(float(ratio[k]) - 1, 4.0), t - 1 - a, t + 1 - a, float(ratio[k]),
                    "times its fastest step", words)
        )  # fmt: skip
    return found
