"""Channels that freeze, lose samples or run into their limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from sima2.defects.commands import Following
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import Finding
from sima2.defects.limits import at_limit
from sima2.defects.tracks import GRIPPER, JOINT, Column, Tracks, runs
from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.records.rollout import RolloutBatch

CHECKED = (
    "joint_position",
    "joint_velocity",
    "joint_torque",
    "joint_command",
    "ee_position",
    "gripper_width",
    "gripper_opening",
    "grip_force",
    "contact_force",
)
COMMANDS = ("joint_command", "action")
"""Commands stand still and arrive anywhere; they may only be missing, or run into a limit."""
FORCES = ("grip_force", "contact_force")
ALTERNATES = 0.6
"""Share of second differences that change sign: 0.77 of white noise, far below a half of a smooth motion."""
WHOLE_STEPS = 0.8
"""Share of differences that are multiples of the smallest: 0.3 of a continuous value, all of an encoder's counts."""
LEAST_KNOWN = 20
"""Values that tell whether any comes twice in a row."""
MOSTLY = 0.5
RARE = 0.01
"""Chance repetitions of a continuous value."""
COUNTS = 4.0
"""Smallest steps of a column, such as counts of its encoder, below which nothing is fast."""
FAR = 0.4
"""Share of the way that a stall must leave, which a frozen value must: it is told by more than by that way."""
BACK = 0.5
"""Share of the way to its command that a value which thaws goes in one frame."""
GOES_ON = 0.5
"""Share of the way that is worth a word, which another joint of the arm goes during a freeze."""
LONG = 3.0
"""A freeze in the longest other stretch of one value, where only its length speaks for it."""
ABRUPT = 0.3
"""Share of the ordinary fast step (95th percentile) with which a motion does not come to rest by itself."""


class Stretch(NamedTuple):
    """Frames of the batch in which a column keeps one value."""

    column: Column
    episode: int
    start: int
    stop: int


class Missing(NamedTuple):
    """Stretches of frames of the batch in which a column has no sample."""

    column: Column
    start: Int64s
    stop: Int64s


def sensor_findings(
    tracks: Tracks, batch: RolloutBatch, follows: Mapping[str, Following], settings: DefectSettings
) -> list[Finding]:
    """Freezes, missing samples and clipping of every channel of every manipulator."""
    frozen: list[Stretch] = []
    missing: list[Missing] = []
    clipped: list[Finding] = []
    first = tracks.first
    moving = tracks.anything_moves
    least = np.maximum(tracks.frames(settings.frozen_s), settings.frozen_frames)
    for column, values in _columns(batch):
        if column.channel != "joint_command":
            missing += _missing(column, values, tracks)
        if column.channel == "action":
            continue
        start, stop, episode = _constant(values, first, tracks.offset, settings.clip_frames)
        long = (stop - start >= least[episode]) & (column.channel not in COMMANDS)
        for k in np.flatnonzero(long).tolist():
            each = Stretch(column, int(episode[k]), int(start[k]), int(stop[k]))
            if _froze(each, values, tracks, moving) or _left_its_command(each, values, tracks, follows):
                frozen.append(each)
        clipped += _clipped(column, values, tracks, start, stop, episode, settings)
    return [
        *_told_frozen(frozen, tracks),
        *_told_missing(missing, tracks),
        *clipped,
        *_repeated(tracks, moving, settings),
    ]


def _repeated(tracks: Tracks, moving: Bools, settings: DefectSettings) -> list[Finding]:
    """Episodes whose sensors come less often than their frames."""
    again = tracks.repeated & moving
    if not again.any():
        return []
    length = tracks.length
    some = np.flatnonzero(length)
    count, moved = np.zeros((2, len(length)), np.int64)
    count[some] = np.add.reduceat(again.astype(np.int64), tracks.offset[:-1][some])
    moved[some] = np.add.reduceat(moving.astype(np.int64), tracks.offset[:-1][some])
    found = []
    for i in np.flatnonzero((count > 2) & (count > settings.repeated_share * moved)).tolist():
        share = float(count[i] / moved[i])
        words = f"{100 * share:.0f} % of the frames in motion repeat all positions of the one before"
        severity = share
        found.append(
            Finding(i, "", "repeated_frames", severity, 0, int(length[i]), share, "of frames in motion", words)
        )
    return found


def _columns(batch: RolloutBatch) -> Iterator[tuple[Column, Float32s]]:
    for arm, channels in batch.manipulators.items():
        for name in CHECKED:
            value = getattr(channels, name)
            if value is None:
                continue
            kind = GRIPPER if name.startswith("gripper") else name
            if value.ndim == 1:
                yield Column(arm, name, 0, kind), value
            else:
                for place in range(value.shape[1]):
                    yield (
                        Column(arm, name, place, JOINT if name == "joint_position" else kind),
                        np.ascontiguousarray(value[:, place]),
                    )
    if batch.action is not None:
        for place in range(batch.action.shape[1]):
            yield Column("", "action", place, "action"), np.ascontiguousarray(batch.action[:, place])


def _missing(column: Column, values: Float32s, tracks: Tracks) -> list[Missing]:
    """Stretches of NaN, but for columns of which an episode has no sample at all."""
    lost = np.isnan(values)
    if not lost.any():
        return []
    some = np.flatnonzero(tracks.length)
    count = np.zeros(len(tracks.length), np.int64)
    count[some] = np.add.reduceat(lost.astype(np.int64), tracks.offset[:-1][some])
    start, stop = runs(lost, tracks.first)
    episode = np.searchsorted(tracks.offset, start, side="right") - 1
    partly = count[episode] < tracks.length[episode]
    return [Missing(column, start[partly], stop[partly])] if partly.any() else []


def _constant(values: Float32s, first: Bools, offset: Int64s, least: int) -> tuple[Int64s, Int64s, Int64s]:
    """Stretches of at least so many frames of one and the same value: start, stop, episode."""
    same = np.zeros(len(values), np.bool_)
    same[1:] = values[1:] == values[:-1]
    same &= ~first
    if not same.any():
        none = np.zeros(0, np.int64)
        return none, none, none
    start, stop = runs(same, first)
    start = start - 1
    kept = stop - start >= least
    start, stop = start[kept], stop[kept]
    return start, stop, np.searchsorted(offset, start, side="right") - 1


def _froze(each: Stretch, values: Float32s, tracks: Tracks, moving: Bools) -> bool:
    """Whether noise fell silent, or a motion stopped dead and went on elsewhere while the robot moved."""
    a, b = int(tracks.offset[each.episode]), int(tracks.offset[each.episode + 1])
    own, start, stop = values[a:b], each.start - a, each.stop - a
    value, low, high = own[start], np.nanmin(own), np.nanmax(own)
    if high == low:
        return False  # constant all along: other episodes must tell
    if value in (low, high) or (each.column.kind in FORCES and value == 0.0):
        return False  # at a limit, which is told as clipping, or nothing is touched
    if each.column.kind == GRIPPER and min(value - low, high - value) <= 0.05 * (high - low):
        return False  # fingers at their stop
    rest = own.copy()
    rest[start:stop] = np.nan
    if _noisy(rest):
        return True
    if each.column.kind == JOINT and _never_repeats(rest):
        return float(moving[each.start : each.stop].mean()) > MOSTLY
    if each.column.kind == GRIPPER or start == 0 or stop == len(own):
        return False
    step = np.abs(np.diff(own))
    fast = np.nanquantile(step, 0.95)
    entry, leave = step[start - 1], step[stop - 1]
    moved = float(moving[each.start : each.stop].mean())
    abrupt = max(ABRUPT * fast, COUNTS * float(step[step > 0].min())) if fast > 0 else np.inf
    return bool(moved > 0.5 and entry >= abrupt and leave >= max(fast, abrupt) and leave > entry)


def _left_its_command(each: Stretch, values: Float32s, tracks: Tracks, follows: Mapping[str, Following]) -> bool:
    """Whether a joint keeps one value while its command goes on, and is back with it from one frame to the next.

    A joint that something stops keeps its value too, but then has a way to go: it is told as stalled.
    """
    follow = follows.get(each.column.arm)
    if each.column.channel != "joint_position" or follow is None:
        return False
    i, j = each.episode, each.column.place
    first, last = int(tracks.offset[i]), int(tracks.offset[i + 1])
    lag = follow.lag[i] if np.isfinite(follow.lag[i]) else follow.usual[j, i]
    if not (np.isfinite(lag) and np.isfinite(follow.offset[j, i]) and follow.floor[i] > 0):
        return False
    shift = max(int(np.rint(lag)), 0)
    due = np.full(last - first, np.nan)
    due[shift:] = follow.command[j, first : last - shift] - follow.offset[j, i]
    own, start, stop = values[first:last], each.start - first, each.stop - first
    floor = float(follow.floor[i])
    # a long freeze itself widens the spread
    least = max(FAR * floor, min(2.0 * float(follow.spread[j, i]), floor))
    away = np.abs(due[start:stop] - own[start])
    if not np.isfinite(away).any() or not (np.nanmax(away) >= least and _range(due[start:stop]) >= least):
        return False
    # while the rest of the arm goes on: where all joints stand, something holds the arm
    meanwhile = each.start + np.flatnonzero(away >= least)[1:-1]
    others = [row for k, row in enumerate(follow.rows) if k != j]
    if not others or len(meanwhile) < 2:
        return False
    if np.ptp(tracks.x[others][:, meanwhile], axis=1).max() < GOES_ON * floor:
        return False
    if stop < len(own):
        behind, back = float(due[stop] - own[start]), float(own[stop] - own[start])
        if abs(behind) >= least and back / behind > BACK:
            return True
    # it never thaws, or its command had come home: then no other stretch of one value goes on so long against one
    rivals = [b - a for a, b in _others(own, start) if LONG * (b - a) > stop - start and _range(due[a:b]) >= least / 2]
    return not rivals and np.nanmax(away) >= floor and not at_limit(tracks, follow, j, i, each.start, each.stop)


def _range(values: Float64s) -> float:
    return float(np.nanmax(values) - np.nanmin(values)) if np.isfinite(values).any() else 0.0


def _others(own: Float32s, start: int) -> list[tuple[int, int]]:
    """The other stretches of one value in an episode, of two frames and more."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(own) != 0.0) + 1, [len(own)]])
    return [(a, b) for a, b in pairwise(edges.tolist()) if a != start and b - a > 1]


def _never_repeats(values: Float32s) -> bool:
    """Whether a column takes no value twice in a row, and is no encoder's: at rest, too, its noise changes it."""
    known = values[~np.isnan(values)]
    step = np.abs(np.diff(known))
    if len(known) < LEAST_KNOWN or float((step == 0).mean()) > RARE:
        return False
    return not _counts_steps(step[step > 0])


def _noisy(values: Float32s) -> bool:
    """Whether a column carries continuous noise, so that it never repeats a value for long.

    Told by the slowest third of the frames, where nothing but noise bends the curve.
    """
    step = np.diff(values)
    known = step[~np.isnan(step)]
    moved = np.abs(known[known != 0])
    if len(known) < 32 or len(moved) < (1 - RARE) * len(known) or _counts_steps(moved):
        return False
    # over five frames, whose outer two have no part in the bends at the middle
    pace = np.abs(values[5:] - values[:-5])
    bend = np.diff(values, 2)
    turns = (bend[1:] * bend[:-1])[1:-1]
    known = ~(np.isnan(pace) | np.isnan(turns))
    pace, turns = pace[known], turns[known]
    if len(turns) < 24:
        return False
    slow = turns[np.argsort(pace, kind="stable")[: len(turns) // 3]]
    return bool((slow < 0).mean() >= ALTERNATES)


def _counts_steps(moved: Float32s) -> bool:
    """Whether differences are whole multiples of the smallest one, as of an encoder."""
    ratio = moved.astype(np.float64) / float(moved.min())
    small = ratio[(ratio > 1.5) & (ratio < 200.0)]
    if len(small) < 5:
        return bool(ratio.max() < 200.0)
    return bool((np.abs(small - np.rint(small)) < 0.15).mean() > WHOLE_STEPS)


def _clipped(
    column: Column,
    values: Float32s,
    tracks: Tracks,
    start: Int64s,
    stop: Int64s,
    episode: Int64s,
    settings: DefectSettings,
) -> list[Finding]:
    """Plateaus on the extreme value of an episode, entered and left at speed; none of fingers, which have stops."""
    if column.kind == GRIPPER or not len(start):
        return []
    found = []
    for i in np.unique(episode).tolist():
        a, b = int(tracks.offset[i]), int(tracks.offset[i + 1])
        own = values[a:b]
        low, high = np.nanmin(own), np.nanmax(own)
        if high == low:
            continue
        sides = ("greatest", high), ("least", low)
        mine = episode == i
        level = values[start[mine]]
        for side, limit in sides[: 1 if column.kind in FORCES else 2]:
            spans = [
                (s - a, e - a) for s, e in zip(start[mine][level == limit], stop[mine][level == limit], strict=True)
            ]
            if spans:
                found += _on_limit(column, i, own, tracks.anything_moves[a:b], spans, side, settings)
    return found


def _on_limit(
    column: Column,
    i: int,
    own: Float32s,
    moving: Bools,
    spans: list[tuple[int, int]],
    side: str,
    settings: DefectSettings,
) -> list[Finding]:
    step = np.abs(np.diff(own))
    usual = float(np.nanquantile(step, 0.95))
    rest = own.copy()
    for s, e in spans:
        rest[s:e] = np.nan
    goes_on = sum(float(moving[s:e].sum()) for s, e in spans) > MOSTLY * sum(e - s for s, e in spans)
    silent = _noisy(rest) or (column.kind == JOINT and goes_on and _never_repeats(rest))
    moved = step[step > 0]
    fast = max(ABRUPT * usual, COUNTS * float(moved.min())) if usual > 0 else np.inf
    hard = [(s, e) for s, e in spans if silent or (s > 1 and e < len(own) - 1 and _entry(step, s, e) >= fast)]
    if len(hard) < (1 if silent else 2):
        return []  # a goal that lies furthest out is reached once
    frames = sum(e - s for s, e in hard)
    if frames < settings.clip_share * len(own):
        return []
    s, e = max(hard, key=lambda span: span[1] - span[0])
    share = frames / len(own)
    words = (
        f"{column.name} stays on its {side} value for {frames} frames in {len(hard)} "
        f"{'stretch' if len(hard) == 1 else 'stretches'}, "
        + ("bare of its noise" if silent else "entered and left at speed")
    )
    return [Finding(i, column.arm, "clipped_channel", share, int(s), int(e), float(frames), "frames", words)]


def _entry(step: Float32s, start: int, stop: int) -> float:
    """The slower of coming and going; the limit may cut short the step onto it, so the one before counts too."""
    return float(min(step[start - 2 : start].max(), step[stop - 1 : stop + 1].max()))


def _told_frozen(stretches: list[Stretch], tracks: Tracks) -> list[Finding]:
    """One finding for all columns of a channel that freeze in the same frames."""
    groups: dict[tuple[int, str, str, int, int], list[Column]] = {}
    for each in stretches:
        key = (each.episode, each.column.arm, each.column.channel, each.start, each.stop)
        groups.setdefault(key, []).append(each.column)
    found = []
    for (i, arm, channel, start, stop), columns in groups.items():
        a = int(tracks.offset[i])
        share = (stop - start) / float(tracks.length[i])
        lasts = float((stop - start) * tracks.period[i])
        name = _named(channel, columns)
        words = f"{name} keeps one value for {_counted(stop - start)} ({lasts:.3g} s)"
        found.append(Finding(i, arm, "frozen_channel", share, start - a, stop - a, lasts, "s", words))
    return found


def _told_missing(missing: list[Missing], tracks: Tracks) -> list[Finding]:
    """One finding for all columns of a channel that lose the same frames; of a bad sensor there are very many."""
    found: list[Finding] = []
    for arm, channel in dict.fromkeys((each.column.arm, each.column.channel) for each in missing):
        mine = [each for each in missing if each.column[:2] == (arm, channel)]
        start, stop = (np.concatenate(parts) for parts in zip(*((each.start, each.stop) for each in mine), strict=True))
        place = np.repeat(np.arange(len(mine)), [len(each.start) for each in mine])
        order = np.lexsort((place, stop, start))
        start, stop, place = start[order], stop[order], place[order]
        new = np.ones(len(start), np.bool_)
        new[1:] = (start[1:] != start[:-1]) | (stop[1:] != stop[:-1])
        at = np.flatnonzero(new)
        places = place.tolist()
        start, stop = start[at], stop[at]
        episode = np.searchsorted(tracks.offset, start, side="right") - 1
        frames = stop - start
        share, lasts = frames / tracks.length[episode], frames * tracks.period[episode]
        severity = share
        start, stop = start - tracks.offset[episode], stop - tracks.offset[episode]
        rows = zip(
            *(each.tolist() for each in (at, np.append(at[1:], len(places)), episode, frames)),
            *(each.tolist() for each in (severity, start, stop, lasts)),
            strict=True,
        )
        names: dict[tuple[int, ...], str] = {}
        for low, high, i, count, grade, begin, end, seconds in rows:
            key = tuple(places[low:high])
            name = names.get(key) or names.setdefault(key, _named(channel, [mine[k].column for k in key]))
            words = f"{name} has no sample for {_counted(count)} ({seconds:.3g} s)"
            found.append(Finding(i, arm, "missing_samples", grade, begin, end, seconds, "s", words))
    return found


def _counted(frames: int) -> str:
    return "1 frame" if frames == 1 else f"{frames} frames"


def _named(channel: str, columns: list[Column]) -> str:
    if columns[0].kind == GRIPPER or channel in FORCES:
        return channel
    return f"{channel}[{', '.join(str(each.place) for each in columns)}]"
