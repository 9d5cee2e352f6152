"""Positions that jump further in one frame than they ever move otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from sima2.defects.commands import Following
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import Finding
from sima2.defects.tracks import HAND, JOINT, Tracks
from sima2.records.arrays import Bools, Float32s, Int64s

MOST_EVENTS = 5
"""Jumps of an episode that are told one by one."""
NOISE_TIMES = 12.0
"""A jump in standard deviations of the noise, out of reach of chance in any number of frames."""
BACK_FRAMES = 5
"""Frames within which a value that was out is back."""
MOST_OF = 3
"""Joints that leap at once where frames are missing: half of them, and so many."""
OFTEN = 0.02
"""Share of an episode's frames."""


class Steps(NamedTuple):
    """Columns that share a unit, and their changes since the frame before."""

    arm: str
    kind: str
    names: tuple[str, ...]
    step: Float32s
    """shape (c, T)."""
    noise: Float32s
    """shape (c, n)."""
    alone: bool = False
    """Joints of which no commands were recorded, beside which they could be held."""


def teleport_findings(tracks: Tracks, follows: Mapping[str, Following], settings: DefectSettings) -> list[Finding]:
    """Isolated steps of joints, their commands and hands beyond any speed of the same column and of its manipulator.

    Fingers snap shut in a frame or two, so of grippers nothing is said. Frames that repeat the one before are left out:
    what comes after them is as far as the robot has got meanwhile.
    """
    found: list[Finding] = []
    kept = np.flatnonzero(~tracks.repeated)
    if not len(kept):
        return found
    offset = np.searchsorted(kept, tracks.offset)
    for each in _columns(tracks, follows):
        found += _of_kind(tracks, each, kept, offset, settings)
    return found


def _columns(tracks: Tracks, follows: Mapping[str, Following]) -> Iterator[Steps]:
    for arm in dict.fromkeys(each.arm for each in tracks.columns):
        for kind in (JOINT, HAND):
            rows = tracks.rows(arm=arm, kind=kind)
            if rows:
                names = tuple(tracks.columns[row].name for row in rows)
                alone = kind == JOINT and not follows
                yield Steps(arm, kind, names, tracks.step[rows], tracks.noise[rows], alone)
    for arm, follow in follows.items():
        step = np.zeros_like(follow.command)
        step[:, 1:] = np.nan_to_num(np.diff(follow.command, axis=1))
        step[:, tracks.first] = 0.0
        names = tuple(f"the command of {tracks.columns[row].name}" for row in follow.rows)
        yield Steps(arm, JOINT, names, step, tracks.noise[follow.rows])


def _of_kind(tracks: Tracks, part: Steps, kept: Int64s, offset: Int64s, settings: DefectSettings) -> list[Finding]:
    step = part.step if len(kept) == len(tracks.time) else part.step[:, kept]
    size = np.abs(step)
    jumps = _isolated(step, size, offset, settings)
    length = np.diff(offset)
    some = np.flatnonzero(length)
    top = np.zeros((len(size), len(length)), np.float32)
    top[:, some] = np.maximum.reduceat(np.where(jumps, np.float32(0), size), offset[:-1][some], axis=1)
    limit = np.maximum(settings.teleport_times * top, top.max(axis=0))
    limit = np.maximum(limit, np.float32(NOISE_TIMES) * part.noise)
    for j in range(len(size)):
        jumps[j] &= size[j] > np.repeat(limit[j], length)
    events = np.flatnonzero(jumps.any(axis=0))
    episode = np.searchsorted(offset, events, side="right") - 1
    found = []
    for i in np.unique(episode).tolist():
        mine = events[episode == i]
        # what happens all the time is how this robot is recorded
        if len(mine) <= max(MOST_EVENTS, OFTEN * length[i]):
            found += _events(tracks, part, i, kept[mine], size[:, mine], jumps[:, mine], top[:, i])
    return found


def _isolated(step: Float32s, size: Float32s, offset: Int64s, settings: DefectSettings) -> Bools:
    """Steps far larger than all within two frames, but for the way straight back; shape (C, T)."""
    beside = np.zeros_like(size)
    for far in (1, 2):
        behind, ahead = size[:, :-far], size[:, far:]
        # a value that is out for one frame or two comes back by as much
        back = step[:, far:] * step[:, :-far] < 0
        back &= np.minimum(ahead, behind) >= 0.5 * np.maximum(ahead, behind)
        near = np.where(back, np.float32(0), ahead)
        np.maximum(beside[:, :-far], near, out=beside[:, :-far])
        near = np.where(back, np.float32(0), behind)
        np.maximum(beside[:, far:], near, out=beside[:, far:])
    alone = size > np.float32(settings.teleport_times) * beside
    # at the ends of an episode there is no neighbour to tell, and the next episode's are none
    for a, b in zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True):
        alone[:, a : min(a + 3, b)] = False
        alone[:, max(b - 2, a) : b] = False
    return alone


def _lost(tracks: Tracks, part: Steps, i: int, t: int, where: Int64s) -> Finding | None:
    """A leap of most joints at once, none of which comes back: the robot moved on while frames were lost."""
    b = int(tracks.offset[i + 1])
    moving = tracks.still[
        [k for k, each in enumerate(tracks.columns) if each.arm == part.arm and each.kind == JOINT], i
    ]
    leap = part.step[where, t]
    stays = np.abs(part.step[where, t : min(t + BACK_FRAMES, b)].sum(axis=1)) >= 0.5 * np.abs(leap)
    if len(where) < max(MOST_OF, len(moving) / 2) or not stays.all():
        return None
    at = t - int(tracks.offset[i])
    words = f"{len(where)} joints leap at once and go on from there: frames are missing, though the clock is regular"
    return Finding(i, "", "dropped_frames", 1.0 / float(tracks.length[i]), at - 1, at + 1, 1.0, "places", words)


def _events(
    tracks: Tracks,
    part: Steps,
    i: int,
    events: Int64s,
    size: Float32s,
    jumps: Bools,
    top: Float32s,
) -> list[Finding]:
    a = int(tracks.offset[i])
    times = {}
    for k, t in enumerate(events.tolist()):
        where = np.flatnonzero(jumps[:, k])
        fastest = np.where(top[where] > 0, top[where], top.max())
        times[t] = (size[where, k] / np.where(fastest > 0, fastest, 1.0), where, size[where, k])
    worst = sorted(times, key=lambda t: (-float(times[t][0].max()), t))[:MOST_EVENTS]
    unit = "rad" if part.kind == JOINT else "m"
    found = []
    for t in sorted(worst):
        ratio, where, far = times[t]
        lost = _lost(tracks, part, i, t, where) if part.alone else None
        if lost is not None:
            found.append(lost)
            continue
        k = int(np.argmax(ratio))
        names = ", ".join(part.names[j] for j in where[:4].tolist())
        names += f" and {len(where) - 4} more" if len(where) > 4 else ""
        words = f"{names} jumps by {far[k]:.3g} {unit} in one frame, {ratio[k]:.3g} times its fastest step" + (
            f"; {len(times)} such jumps in the episode" if len(times) > 1 else ""
        )
        severity = 2.0 / float(tracks.length[i])
        found.append(
            Finding(i, part.arm, "teleport", severity, t - 1 - a, t + 1 - a, float(ratio[k]),
                    "times its fastest step", words)
        )  # fmt: skip
    return found
