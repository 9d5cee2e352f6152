"""From scripts to moves: how long each step takes, what is left out, and where a failure strikes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import UsageError
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.vocabulary import LABELS
from sima2.tasks.chain import Moves, chain, shortest_segment
from sima2.tasks.families import SCENE_OBJECTS
from sima2.tasks.scene import Scene
from sima2.tasks.steps import FIELD, FIELDS, LEVELS, SCALARS, Program
from sima2.tasks.world_settings import PhysicsSettings

_STRIKE_FROM: Final = 0.2
_STRIKE_UNTIL: Final = 0.7
_CARRY_UNTIL: Final = 0.5
"""Shares of a step between which the hazard acts: earlier nothing has moved yet, and what is lost later would be close
enough to where it was going."""
_KNOCKED: Final = 0.18
"""Share of episodes that chance knocks where it alone decides: as many as failures damage in an ordinary batch."""
_STRETCHABLE: Final = ("reach", "carry", "go_home", "lift", "pull", "stroke")
"""Durations of the moves that an unusual motion may befall."""


def lay_out(
    programs: list[Program],
    scene: Scene,
    scalars: Float64s,
    vectors: Float64s,
    roles: Int64s,
    first_task: Int64s,
    event: Bools,
    strike_u: Float64s,
    jitter: Float64s,
    ood: Int64s,
    ood_u: Float64s,
    inject_frame: Int64s,
    start_level: Float64s,
    knock_u: Float64s,
    settings: PhysicsSettings,
) -> Moves:
    """Moves of every episode.

    Args:
        programs: compiled script of each episode.
        scalars, vectors: parameters of the tasks.
        roles: slot of each role of the tasks, shape (m, roles).
        first_task: row of each episode's first task, shape (n,).
        event: whether the failure event occurs, shape (n,).
        strike_u: uniform draws of its time, shape (n,).
        jitter: normal draws of the durations, shape (n, at least the longest script).
        ood: index of the OOD source, shape (n,); ood_u: uniform draws of which move and how much, shape (n, 2).
        inject_frame: frame the event is forced to, -1 for none, shape (n,).
        start_level: width, force and angles at the start, shape (n, levels).
        knock_u: uniform draws of whether chance deals a knock, where the settings leave impacts to it, shape (n,).

    Raises:
        UsageError: if an event cannot be had as early as asked.
    """
    codes = _stack(programs)
    task = first_task[:, None] + codes[FIELD["stage"]]
    k = codes.shape[2]
    seconds = scalars[task, codes[FIELD["time"]]]
    still = np.isin(codes[FIELD["label"]], LABELS.index("idle"))
    seconds = seconds * np.where(still, 1.0, np.exp(settings.move_jitter * np.clip(jitter[:, :k], -3, 3)))
    seconds[codes[FIELD["time"]] == 0] = 0.0
    exists = np.arange(k) < np.array([len(each) for each in programs])[:, None]
    seconds[~exists] = 0.0
    strange, seconds = _stretch(codes, seconds, ood, ood_u)
    shortest = shortest_segment(settings.rate_hz)
    planned = np.rint(seconds * settings.rate_hz).astype(np.int64)
    planned = np.where(seconds > 0, np.maximum(planned, shortest), 0)
    hazard = (codes[FIELD["exposed"]] > 0) & (planned > 0)
    until = np.where(codes[FIELD["time"]] == SCALARS.index("carry"), _CARRY_UNTIL, _STRIKE_UNTIL)
    planned = np.where(hazard, np.maximum(planned, np.ceil((shortest + 1) / until - 1e-9).astype(np.int64)), planned)
    injected = inject_frame >= 0
    if injected.any():
        _calm(codes, planned, injected)
        hazard &= planned > 0
    spared = np.maximum(shortest, np.ceil(_STRIKE_FROM * planned - 1e-9).astype(np.int64))
    exposure = np.where(hazard, np.floor(until * planned + 1e-9).astype(np.int64) - spared, 0)
    frames = planned.copy()
    event_step = _strike(codes, frames, exposure, spared, hazard, event, strike_u, injected)
    if injected.any():
        _force_frame(frames, planned, event_step, inject_frame, hazard)
    if not settings.hazard_hurts:
        _leave_to_chance(codes, frames, knock_u)
    n = len(programs)
    moves = Moves(
        codes=codes,
        frames=frames,
        planned=planned,
        task=task,
        roles=roles,
        seconds=seconds,
        exposure=exposure,
        spared=spared,
        strange=strange,
        event_step=event_step,
        start=np.zeros((n, k, 3 + len(LEVELS))),
        change=np.zeros((n, k, 3 + len(LEVELS))),
        momentum=np.zeros((n, k, 3)),
        arc=scalars[task, codes[FIELD["arc"]]],
        object_start=np.zeros((n, k, SCENE_OBJECTS, 3)),
        object_turn=np.zeros((n, k, SCENE_OBJECTS, 2)),
        own_change=np.zeros((n, k, 4)),
        fall_s=np.zeros((n, k)),
        slot=np.full((3, n, k), -1, np.int64),
        final_object=np.zeros((n, SCENE_OBJECTS, 3)),
        final_turn=np.zeros((n, SCENE_OBJECTS, 2)),
        final_hand=np.zeros((n, 3 + len(LEVELS))),
    )
    _short_slips(moves, scalars, settings)
    chain(moves, scene, scalars, vectors, start_level, settings)
    return moves


def _stack(programs: list[Program]) -> NDArray[np.int16]:
    """Codes of all scripts, padded with the first step, shape (fields, n, k)."""
    distinct = {id(each): each for each in programs}
    place = {key: i for i, key in enumerate(distinct)}
    k = max((len(each) for each in programs), default=1)
    table = np.zeros((len(distinct), k, len(FIELDS)), np.int16)
    for i, each in enumerate(distinct.values()):
        table[i, : len(each)] = each.codes
        table[i, len(each) :, FIELD["role"]] = -1
    rows = np.array([place[id(each)] for each in programs], np.int64)
    return (
        np.ascontiguousarray(table[rows].transpose(2, 0, 1)) if len(rows) else np.zeros((len(FIELDS), 0, k), np.int16)
    )


def _stretch(
    codes: NDArray[np.int16], seconds: Float64s, ood: Int64s, u: Float64s
) -> tuple[NDArray[np.int8], Float64s]:
    """One move of an unusual episode takes several times as long, or is done in a fraction of its time."""
    strange = np.zeros(seconds.shape, np.int8)
    able = np.isin(codes[FIELD["time"]], [SCALARS.index(name) for name in _STRETCHABLE])
    able &= (seconds > 0) & (codes[FIELD["exposed"]] == 0)
    count = able.sum(axis=1)
    rows = np.flatnonzero((ood > 1) & (count > 0))
    which = (u[rows, 0] * count[rows]).astype(np.int64)
    step = np.argmax(np.cumsum(able[rows], axis=1) > which[:, None], axis=1)
    strange[rows, step] = ood[rows]
    factor = np.where(ood[rows] == 3, 3.2 + 3.2 * u[rows, 1], 0.5 - 0.22 * u[rows, 1])
    seconds = seconds.copy()
    seconds[rows, step] *= factor
    return strange, seconds


def _leave_to_chance(codes: NDArray[np.int16], frames: Int64s, u: Float64s) -> None:
    """No failure strikes hard; instead the last move of some episodes, whatever their risk, begins with a knock."""
    pulse = codes[FIELD["pulse"]]
    crash = SCALARS.index("crash")
    pulse[pulse == crash] = SCALARS.index("zero")
    knocked = np.flatnonzero((u < _KNOCKED) & (frames > 0).any(axis=1))
    last = frames.shape[1] - 1 - np.argmax(frames[knocked, ::-1] > 0, axis=1)
    pulse[knocked, last] = crash


def _calm(codes: NDArray[np.int16], planned: Int64s, injected: Bools) -> None:
    """No pauses before a forced event."""
    pauses = np.isin(codes[FIELD["time"]], [SCALARS.index(name) for name in ("hesitate", "pause", "detour")])
    planned[pauses & injected[:, None]] = 0


def _strike(
    codes: NDArray[np.int16],
    frames: Int64s,
    exposure: Int64s,
    spared: Int64s,
    hazard: Bools,
    event: Bools,
    u: Float64s,
    injected: Bools,
) -> Int64s:
    """Cut the step in which the event strikes and drop what it forestalls; the step that starts with the event."""
    n, k = frames.shape
    step = np.full(n, -1, np.int64)
    if not event.any():
        return step
    total = np.cumsum(exposure, axis=1)
    reach = np.where(injected, exposure[np.arange(n), np.argmax(hazard, axis=1)], total[:, -1])
    nth = np.minimum((u * reach).astype(np.int64), reach - 1)
    cut = np.argmax(total > nth[:, None], axis=1)
    rows = np.flatnonzero(event)
    before = total[rows, cut[rows]] - exposure[rows, cut[rows]]
    frames[rows, cut[rows]] = spared[rows, cut[rows]] + nth[rows] - before
    step[rows] = np.argmax(codes[FIELD["event"]][rows] > 0, axis=1)
    order = np.arange(k)
    between = (order > cut[:, None]) & (order < step[:, None])
    frames[between & event[:, None]] = 0
    return step


def _force_frame(frames: Int64s, planned: Int64s, event_step: Int64s, inject_frame: Int64s, hazard: Bools) -> None:
    """Scale what comes before the event so that it falls on the frame asked for."""
    for row in np.flatnonzero((inject_frame >= 0) & (event_step >= 0)).tolist():
        stop, want = int(event_step[row]), int(inject_frame[row])
        lasting = np.flatnonzero(frames[row, :stop])
        length = frames[row, lasting]
        if want < len(lasting):
            raise UsageError(f"the event cannot strike at frame {want}: {len(lasting)} moves come before it")
        spare = want - len(lasting)
        ends = np.floor(np.cumsum(length) * spare / length.sum() + 0.5).astype(np.int64)
        new = 1 + np.diff(ends, prepend=0)
        share = np.where(hazard[row, lasting], planned[row, lasting] / length, 1.0)
        planned[row, lasting] = np.maximum(new, np.rint(new * share).astype(np.int64))
        frames[row, lasting] = new


def _short_slips(moves: Moves, scalars: Float64s, settings: PhysicsSettings) -> None:
    """An object that pops out of closing fingers is gone in less than 0.1 s: no segment of its own."""
    label, time = moves.field("label"), moves.field("time")
    rows = np.flatnonzero(moves.event_step >= 0)
    step = moves.event_step[rows]
    before = np.array(
        [int(np.flatnonzero(moves.frames[row, :k])[-1]) if k else 0 for row, k in zip(rows.tolist(), step.tolist())],
        np.int64,
    )
    slips = (label[rows, step] == LABELS.index("slip")) & (label[rows, before] == LABELS.index("grasp"))
    slips &= moves.field("own")[rows, step] == 0
    rows, step = rows[slips], step[slips]
    brief = shortest_segment(settings.rate_hz) - 1
    if brief < 1:
        return
    popped = scalars[moves.task[rows, step], SCALARS.index("pop")] * 0.35
    count = np.clip(np.rint(popped * settings.rate_hz).astype(np.int64), 1, brief)
    moves.frames[rows, step] = moves.planned[rows, step] = count
    label[rows, step] = LABELS.index("grasp")
    following = np.minimum(step + 1, label.shape[1] - 1)
    again = (label[rows, following] == LABELS.index("slip")) & (time[rows, following] == SCALARS.index("close"))
    label[rows[again], following[again]] = LABELS.index("grasp")
