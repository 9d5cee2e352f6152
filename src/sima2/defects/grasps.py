"""Grasp attempts that are repeated: from segments, and from the gripper alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sima2.defects.defect_settings import DefectSettings
from sima2.defects.findings import Finding
from sima2.defects.tracks import GRIPPER, Tracks
from sima2.records.arrays import Bools, Float32s
from sima2.records.segments import SegmentTable

CLOSED, OPEN = 0.35, 0.65
"""Shares of the gripper's range in the episode below and above which it counts as closed and open."""
LEAST_NOISE = 10.0
"""The range of a gripper that moves, in standard deviations of its noise."""
LEAST_TRAVEL = 0.15
"""The range of a gripper that grasps, as a share of its widest opening in the episode; less is play or drift."""
COUNTS = 30.0
"""The range of a gripper that moves, in the least steps of its numbers."""
RESTLESS = 0.3
"""Share of the frames in which a trembling value changes."""
VAIN = 0.1
"""Share of the joints' range (or the hand's) that a carried object travels at least."""
NEAR = 0.25
"""… within which the next closing is another attempt at the same."""


def from_segments(segments: SegmentTable, episode_id: Sequence[str], length: Sequence[int]) -> list[Finding]:
    """Grasps marked as retried, and the one that followed."""
    grasps = segments.take(segments.label.isin("grasp"))
    episode = grasps.episode_id.recode(episode_id)
    rows: dict[tuple[int, str, str], list[int]] = {}
    for k, key in enumerate(zip(episode.tolist(), grasps.manipulator, grasps.object, strict=True)):
        rows.setdefault(key, []).append(k)
    found = []
    retried = grasps.outcome.isin("retry")
    for (i, arm, thing), held in rows.items():
        vain = [k for k in held if retried[k]]
        if i < 0 or not vain:
            continue
        later = [k for k in held if k > vain[-1]][:1]
        start, end = int(grasps.start_frame[vain[0]]), int(grasps.end_frame[(later or vain)[-1]])
        why = sorted({grasps.failure_reason[k] for k in vain} - {""})
        words = f"{len(vain)} of {len(vain) + len(later)} grasps{f' at {thing}' if thing else ''} failed and came again"
        words += f" ({', '.join(each.replace('_', ' ') for each in why)})" if why else ""
        found.append(_repeated(i, arm, start, end, len(vain), words, length[i]))
    return found


def grasp_spans(segments: SegmentTable, episode_id: Sequence[str]) -> dict[tuple[int, str], list[tuple[int, int]]]:
    """Frames of the grasps of each arm of each episode."""
    grasps = segments.take(segments.label.isin("grasp"))
    out: dict[tuple[int, str], list[tuple[int, int]]] = {}
    for i, arm, start, end in zip(
        grasps.episode_id.recode(episode_id).tolist(),
        grasps.manipulator,
        grasps.start_frame.tolist(),
        grasps.end_frame.tolist(),
        strict=True,
    ):
        out.setdefault((i, arm), []).append((start, end))
    return out


def _repeated(i: int, arm: str, start: int, end: int, vain: int, words: str, length: int) -> Finding:
    severity = (end - start) / max(length, 1)
    return Finding(i, arm, "repeated_grasp", severity, start, end, float(vain), "closings before", words)


def from_gripper(tracks: Tracks, settings: DefectSettings) -> list[Finding]:
    """The gripper closes, opens before anything could be carried, and closes again at the same place."""
    found: list[Finding] = []
    for row in (i for i, each in enumerate(tracks.columns) if each.kind == GRIPPER):
        arm = tracks.columns[row].arm
        rows = tracks.rows(arm=arm, kind="joint") or tracks.rows(arm=arm, kind="hand")
        for i, closings in _closings(tracks, row):
            found += _attempts(tracks, i, arm, rows, closings)
    return found


def _closings(tracks: Tracks, row: int) -> list[tuple[int, list[tuple[int, int]]]]:
    """Spans in which the gripper is closed, of episodes with two or more: close frame, open frame (or the end)."""
    length = tracks.length
    some = np.flatnonzero(length)
    if not len(some):
        return []
    x, at = tracks.x[row], tracks.offset[:-1][some]
    low, high = np.zeros((2, len(length)), np.float32)
    low[some], high[some] = np.minimum.reduceat(x, at), np.maximum.reduceat(x, at)
    span = high - low
    least = LEAST_TRAVEL * np.maximum(np.abs(low), np.abs(high))
    if tracks.columns[row].channel == "gripper_opening":
        # of the whole way: a closed hand that trembles grasps nothing
        least = np.maximum(least, LEAST_TRAVEL)
    use = _decided(tracks, row, span) & (span > LEAST_NOISE * tracks.noise[row]) & (span > least)
    share = (x - np.repeat(low, length)) / np.repeat(np.where(span > 0, span, 1), length)
    state = np.where(share < CLOSED, -1, np.where(share > OPEN, 1, 0)).astype(np.int8)
    told = np.flatnonzero((state != 0) & np.repeat(use, length))
    episode = np.searchsorted(tracks.offset, told, side="right") - 1
    new = np.ones(len(told), np.bool_)
    new[1:] = (state[told][1:] != state[told][:-1]) | (episode[1:] != episode[:-1])
    turn, of = told[new], episode[new]
    out = []
    count = np.bincount(of[state[turn] < 0], minlength=len(length))
    for i in np.flatnonzero(count >= 2).tolist():
        mine = turn[of == i]
        closed = [k for k, t in enumerate(mine.tolist()) if state[t] < 0]
        end = int(tracks.offset[i + 1])
        out.append((i, [(int(mine[k]), int(mine[k + 1]) if k + 1 < len(mine) else end) for k in closed]))
    return out


def _decided(tracks: Tracks, row: int, span: Float32s) -> Bools:
    """Episodes in which the fingers do more than go back and forth by some counts of an encoder all the time."""
    out = np.ones(len(span), np.bool_)
    for i in np.flatnonzero(span > 0).tolist():
        step = np.abs(np.diff(tracks.x[row, tracks.offset[i] : tracks.offset[i + 1]]))
        ratio = float(span[i]) / float(step[step > 0].min())
        out[i] = ratio > COUNTS or float((step > 0).mean()) < RESTLESS
    return out


def _attempts(tracks: Tracks, i: int, arm: str, rows: list[int], closings: list[tuple[int, int]]) -> list[Finding]:
    """Chains of closings after which nothing was carried, each with the one that ends it."""
    a, b = int(tracks.offset[i]), int(tracks.offset[i + 1])
    x = tracks.x[rows]
    span = np.ptp(x[:, a:b], axis=1).max() if rows else 0.0
    if not span > 0:
        return []

    def far(s: int, e: int) -> float:
        return float(np.abs(x[:, s:e] - x[:, s : s + 1]).max() / span)

    found, chain = [], 0
    for k, (close, opened) in enumerate(closings):
        last = k + 1 == len(closings)
        # what was closed from the first frame on was closed by no attempt of this episode
        idle = close > a and not last and far(close, opened) < VAIN and far(close, closings[k + 1][0] + 1) < NEAR
        chain += idle
        if chain and not idle:
            words = f"closes {chain + 1} times at the same place, and opens between without having gone anywhere"
            found.append(_repeated(i, arm, closings[k - chain][0] - a, close + 1 - a, chain, words, b - a))
            chain = 0
    return found
