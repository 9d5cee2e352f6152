"""Free motion of which nothing else is known: where one movement ends and the next begins.

A movement of a limb has one main peak of speed; between two of them the speed falls deeply. Where it stays low the hand
rests, and the boundaries are where one movement ends and the next begins, not the middle of the rest; where it does
not, the one boundary is where the hand turns, or is slowest.

Source: Flash and Hogan, The coordination of arm movements, Journal of Neuroscience 5, 1985 (bell-shaped speed);
reaching studies place onset and offset at 5–10 % of the peak speed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.vocabulary import LABELS
from sima2.segmentation.features import Features
from sima2.segmentation.signals import Ragged, Runs, among, last_where, lengths, next_where, per_run, runs_of

UNKNOWN: Final = LABELS.index("unknown")
IDLE: Final = LABELS.index("idle")
APPROACH: Final = LABELS.index("approach")
RETREAT: Final = LABELS.index("retreat")


@dataclass(frozen=True, slots=True)
class MotionSettings:
    """Shares and spans of movements, each with its reason."""

    dip_share: float = 0.25
    """Speed below that share of both peaks beside it parts two movements; overlapping ones blend with less of a dip."""
    phase_share: float = 0.5
    """The same between phases of which it is known that something is carried."""
    rest_share: float = 0.10
    """A hand slower than that share of the peaks beside it is at rest."""
    rest_s: float = 0.4
    """A shorter halt is one point in time: twice a person's reaction time, once for its start and once for its end."""
    turn_s: float = 0.2
    """Rates are means over so long, so no rest can be told within it; a hand that turns is farthest out instead."""
    turns: int = 3
    """To and fro at least so often is a wipe."""
    back_share: float = 0.5
    """A hand that ends so much nearer to where the episode began than it was goes back."""
    open_share: float = 0.5
    """Fingers that are farther open than that share of their range hold nothing."""
    turn_cosine: float = 0.5
    """Of the angle between the ways in and out of a turn, 60°; what goes on more straightly than that does not turn."""


@dataclass(frozen=True, eq=False)
class Movements:
    """Rests and boundaries of every frame's motion, shape (T,) each."""

    edge: Bools
    """A movement or a rest begins here; episodes' own starts are left out."""
    rest: Bools
    """The hand rests."""


def part(features: Features, pose: Float64s, settings: MotionSettings) -> Movements:
    """Part the motion of each episode into movements and rests."""
    ragged, frames = features.ragged, len(pose)
    pose, speed = _across_gaps(pose, features)
    dips = _dips(speed, features.still_below, ragged, settings)
    peaks = _peaks(speed, dips, ragged)
    # from peak to peak, with what comes before an episode's first peak and after its last
    start = np.unique(np.concatenate([ragged.first[peaks], peaks]))
    spans = Runs(ragged, start, np.append(start[1:], frames), ragged.episode)
    head, tail = ~np.isin(start, peaks), spans.stop > ragged.last[start]
    left = np.where(head, np.nan, speed[start])
    right = np.where(tail, np.nan, speed[np.minimum(spans.stop, frames - 1)])
    # one rest has one notion of being at rest, from the movements on both sides
    beside = np.sqrt(np.where(head, right, left) * np.where(tail, left, right))
    limit = np.maximum(settings.rest_share * beside, features.still_below[start])
    low = speed < spans.spread(limit)
    begin = np.where(head, start, spans.first_in(low))
    end = np.where(tail, spans.stop, spans.last_in(low) + 1)
    length = np.where(spans.any(low), (end - begin) * ragged.period[spans.episode], 0.0)
    rests = length >= settings.rest_s
    here = np.arange(frames)
    rest = spans.spread(rests) & (here >= spans.spread(begin)) & (here < spans.spread(end))
    edge = np.zeros(frames, np.bool_)
    edge[1:] = (rest[1:] != rest[:-1]) & (ragged.first[1:] == ragged.first[:-1])
    passed = ~rests & ~head & ~tail
    slowest = dips[np.searchsorted(dips, start[passed])]
    turns = _turns(pose, spans, slowest, passed, settings)
    edge[np.where(length[passed] < settings.turn_s, turns, slowest)] = True
    return Movements(edge, rest)


def label_motion(
    features: Features, label: Int64s, still: Bools, settings: MotionSettings, idle_s: float
) -> tuple[Int64s, Bools]:
    """Part episodes in which no action is known, all ``unknown`` or ``idle``, into movements and rests.

    A rest of ``idle_s`` or more is ``idle`` where the hand is still for most of it. A movement stays ``unknown``, since
    its path alone does not tell what it is for; but a hand that stays open is empty, and all it does between two rests
    is an ``approach``, or a ``retreat`` where it ends nearer to where the episode began than halfway.

    Returns:
        Labels, and where a segment begins though its label may be that of the one before, shape (T,) each.
    """
    ragged = features.ragged
    acts = np.zeros(len(ragged.offset) - 1, np.bool_)
    acts[ragged.episode[~among(label, (UNKNOWN, IDLE))]] = True
    free = ~acts.take(ragged.episode) & ~features.missing
    if features.pose is None or not free.any():
        return label, np.zeros(len(label), np.bool_)
    found = part(features, features.pose, settings)
    runs = runs_of(found.rest, ragged)
    long = (runs.seconds >= idle_s) & (2 * runs.count(still) >= runs.length)
    idle = runs.spread(found.rest[runs.start] & long)
    if features.width is None:
        return np.where(free, np.where(idle, IDLE, UNKNOWN), label), found.edge & free
    runs = runs_of(idle, ragged)
    out = np.hypot.reduce(features.pose - features.pose[ragged.first], axis=1)
    name = np.where(out[runs.stop - 1] < settings.back_share * out[runs.start], RETREAT, APPROACH)
    half = features.width_closed + settings.open_share * features.width_range
    empty = (features.width > half)[ragged.first]
    named = np.where(empty, runs.spread(name), UNKNOWN)
    return np.where(free, np.where(idle, IDLE, named), label), found.edge & free & ~empty


def _across_gaps(pose: Float64s, features: Features) -> tuple[Float64s, Float64s]:
    """Pose and speed, straight on where nothing was seen: a hand out of sight has not stopped; as given."""
    missing, ragged = features.missing, features.ragged
    before, after = last_where(~missing, ragged.first), next_where(~missing, ragged.last)
    between = missing & (before >= 0) & (after >= 0)
    if not between.any():
        return pose, features.speed
    a, b = before[between], after[between]
    share = (ragged.time[between] - ragged.time[a]) / np.maximum(ragged.time[b] - ragged.time[a], 1e-9)
    pose = pose.copy()
    pose[between] = pose[a] + share[:, None] * (pose[b] - pose[a])
    rate = np.abs(ragged.slope(pose, features.settings.slope_s))
    return pose, rate.max(axis=1) if features.position is None else lengths(rate)


def _dips(speed: Float64s, still: Float64s, ragged: Ragged, settings: MotionSettings) -> Int64s:
    """Frames of least speed between two movements, in order.

    From all local minima the shallowest go until every one is deep beside both its peaks. One that is shallower than
    those beside it goes at once: what happens to those only lowers theirs.
    """
    inner = (speed[1:-1] <= speed[:-2]) & (speed[1:-1] < speed[2:])
    dips = np.flatnonzero(inner) + 1
    dips = dips[(dips > ragged.first[dips]) & (dips < ragged.last[dips])]
    while len(dips):
        peaks = speed[_peaks(speed, dips, ragged)]
        # each dip lies between two peaks of its episode, and each episode has one peak more than dips
        before = np.arange(len(dips)) + ragged.episode[dips]
        low, high = np.minimum(peaks[before], peaks[before + 1]), np.maximum(peaks[before], peaks[before + 1])
        depth = speed[dips] / np.maximum(low, 1e-12)
        # what moves no more than a rest does is no movement
        twitch = (low <= still[dips]) | (low < settings.rest_share * high)
        depth = np.where(twitch, 1.0 + speed[dips] / np.maximum(high, 1e-12), depth)
        shallow = depth > settings.dip_share
        padded = np.concatenate([[-1.0], depth, [-1.0]])
        same = np.concatenate([[False], ragged.episode[dips[1:]] == ragged.episode[dips[:-1]], [False]])
        worst = shallow & ((depth >= padded[:-2]) | ~same[:-1]) & ((depth > padded[2:]) | ~same[1:])
        if not worst.any():
            break
        dips = dips[~worst]
    return dips


def _peaks(speed: Float64s, dips: Int64s, ragged: Ragged) -> Int64s:
    """First frame of the largest speed in each part between dips and episodes' ends."""
    start = np.union1d(ragged.offset[:-1], dips)
    parts = Runs(ragged, start, np.append(start[1:], len(speed)), ragged.episode)
    return parts.first_in(speed == parts.spread(parts.largest(speed)))


def _turns(pose: Float64s, spans: Runs, slowest: Int64s, passed: Bools, settings: MotionSettings) -> Int64s:
    """Frames at which the hand is farthest out between two peaks, or slowest where it goes straight on."""
    way_in = _unit(pose[slowest] - pose[spans.start[passed]])
    way_out = _unit(pose[spans.stop[passed]] - pose[slowest])
    outward = np.zeros((len(spans), pose.shape[1]))
    outward[passed] = way_in - way_out
    reach = (pose * spans.spread(outward)).sum(axis=1)
    farthest = spans.first_in(reach >= spans.spread(spans.largest(reach)))[passed]
    return np.where((way_in * way_out).sum(axis=1) < settings.turn_cosine, farthest, slowest)


def _unit(x: Float64s) -> Float64s:
    return np.asarray(x / np.maximum(lengths(x), 1e-12)[:, None])


class Carry(IntEnum):
    """What a movement with something in the hand is, as far as joints and fingers tell."""

    NONE = 0
    RISE = 1
    """Back along the way on which the hand came, to begin with."""
    SIDE = 2
    DOWN = 3
    """The last before the fingers open, and the hand leaves back along it."""
    STROKE = 4
    """To and fro."""


def carries(features: Features, loaded: Bools, opening: Bools, settings: MotionSettings) -> Int64s:
    """:class:`Carry` of every frame with a load, for arms whose hand is not tracked, so that no vertical is known.

    A hand goes down to what it takes and leaves up from what it has put down, so up is where it came from.
    """
    ragged, pose = features.ragged, features.pose
    out = np.full(len(loaded), Carry.NONE, np.int64)
    if pose is None or not loaded.any():
        return out
    edge = np.zeros(len(loaded), np.bool_)
    phases = replace(settings, dip_share=settings.phase_share)
    edge[_dips(features.speed, features.still_below, ragged, phases)] = True
    runs = runs_of(loaded, ragged, edge)
    start, episode, held = runs.start, runs.episode, loaded[runs.start]
    way = pose[runs.stop - 1] - pose[start]
    length = lengths(way)
    scale = per_run(np.maximum, np.where(held, length, 0.0), np.unique(runs.first))
    # drift and settling are no movements
    moves = np.flatnonzero((length > settings.rest_share * scale[episode]) & (scale[episode] > 0))
    if not len(moves):
        return out
    begins = np.flatnonzero(np.append(True, held[1:] != held[:-1]) | (start == ragged.first[start]))
    stretch = np.searchsorted(begins, moves, side="right") - 1
    over = np.append(start[begins[1:]], len(loaded))[stretch]
    way, held, episode = _unit(way[moves]), held[moves], episode[moves]
    same = np.concatenate([[False], episode[1:] == episode[:-1], [False]])
    along = np.concatenate([[0.0], (way[1:] * way[:-1]).sum(axis=1), [0.0]])
    joined = np.concatenate([[False], stretch[1:] == stretch[:-1], [False]])
    first, last = ~joined[:-1], ~joined[1:]
    released = opening[np.minimum(over, ragged.last[over - 1])]
    came, leaves = ~same[:-1] | (along[:-1] < 0), ~same[1:] | (along[1:] < 0)
    kind = np.full(len(moves), Carry.SIDE, np.int64)
    kind[first & ~last & came] = Carry.RISE
    kind[last & ~first & released & leaves] = Carry.DOWN
    strokes = _strokes(way, kind, first, settings)
    kind[strokes] = Carry.STROKE
    # a hand goes on from what it has wiped by rising from it
    kind[np.append(False, strokes[:-1]) & ~strokes & ~first & (kind == Carry.SIDE)] = Carry.RISE
    kind[~held] = Carry.NONE
    by_run = np.full(len(runs), Carry.NONE, np.int64)
    by_run[moves] = kind
    return np.where(loaded, runs.spread(by_run), Carry.NONE)


def _strokes(way: Float64s, kind: Int64s, first: Bools, settings: MotionSettings) -> Bools:
    """Movements to and fro, or in rows, that no movement up or down parts from each other."""
    here = np.arange(len(way))
    begin = np.maximum.accumulate(np.where(first, here, 0))
    steep = (np.abs((way * way[begin]).sum(axis=1)) > settings.turn_cosine) & (kind[begin] == Carry.RISE)
    patch = np.cumsum(first | steep | np.append(False, steep[:-1]))
    turned = np.zeros(len(way), np.int64)
    for apart in (1, 2):
        back = (way[apart:] * way[:-apart]).sum(axis=1) < -settings.turn_cosine
        back &= patch[apart:] == patch[:-apart]
        turned[:-apart] += back
        turned[apart:] += back
    # a load may be carried there, back and there again; every turn is counted at both its ends
    stroke = (turned > 0) & (np.bincount(patch, turned)[patch] >= 2 * settings.turns)
    # all from the first to the last of a patch
    begin, end = np.searchsorted(patch, patch), np.searchsorted(patch, patch, side="right") - 1
    return (last_where(stroke, begin) >= 0) & (next_where(stroke, end) >= 0)
