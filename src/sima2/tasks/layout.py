"""From scripts to moves: how long each step takes, what is left out, and where a failure strikes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import UsageError
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.vocabulary import LABELS
from sima2.tasks.chain import shortest_segment
from sima2.tasks.design import OOD_SOURCES
from sima2.tasks.draws import Draws
from sima2.tasks.scripts import Structure, program
from sima2.tasks.steps import FIELD, SCALARS
from sima2.tasks.world import Moves, World

_STRIKE_FROM: Final = 0.2
_STRIKE_UNTIL: Final = 0.7
_CARRY_UNTIL: Final = 0.5
"""Shares of a step between which the hazard acts: earlier nothing has moved yet, and what is lost later would be close
enough to where it was going."""
_KNOCKED: Final = 0.18
"""Share of episodes that chance knocks where it alone decides: as many as failures damage in an ordinary batch."""
_STRETCHABLE: Final = ("reach", "carry", "go_home", "lift", "pull", "stroke")
"""Durations of the moves that an unusual motion may befall."""
_POP_SHARE: Final = 0.35
"""Of the time of a rebound, what an object takes to pop out of closing fingers."""


def lay_out(world: World, draws: Draws, jitter: Float64s, knock: Float64s) -> Moves:
    """Moves of every episode, without places.

    Args:
        world: what was decided so far.
        draws: when the event occurs, which move is unusual and how much.
        jitter: standard normal, how long the moves take, shape (n, at least the longest script).
        knock: uniform, whether chance deals a knock, where the settings leave impacts to it, shape (n,).

    Raises:
        UsageError: if an event cannot be had as early as asked.
    """
    plan, settings = world.plan, world.settings
    codes = _stack(world)
    task, time = world.tasks.first[:, None] + codes[FIELD["stage"]], codes[FIELD["time"]]
    seconds = world.scalars[task, time]
    still = np.isin(codes[FIELD["label"]], LABELS.index("idle"))
    jitter = np.clip(jitter[:, : codes.shape[2]], -3, 3)
    seconds = seconds * np.where(still, 1.0, np.exp(settings.move_jitter * jitter))
    when, unusual = draws.uniform(0.0, 1.0), draws.uniforms(2)
    strange = _stretch(codes, seconds, plan.ood_source.recode(("", *OOD_SOURCES)).astype(np.int64), unusual)
    shortest = shortest_segment(settings.rate_hz)
    planned = np.rint(seconds * settings.rate_hz).astype(np.int64)
    planned = np.where(seconds > 0, np.maximum(planned, shortest), 0)
    hazard = (codes[FIELD["exposed"]] > 0) & (planned > 0)
    until = np.where(time == SCALARS.index("carry"), _CARRY_UNTIL, _STRIKE_UNTIL)
    planned = np.where(hazard, np.maximum(planned, np.ceil((shortest + 1) / until - 1e-9).astype(np.int64)), planned)
    injected = plan.inject_frame >= 0
    # no pauses before a forced event
    planned[_times(time, "hesitate", "pause", "detour") & injected[:, None]] = 0
    hazard &= planned > 0
    spared = np.maximum(shortest, np.ceil(_STRIKE_FROM * planned - 1e-9).astype(np.int64))
    moves = Moves(
        codes=codes,
        task=task,
        frames=planned.copy(),
        planned=planned,
        exposure=np.where(hazard, np.floor(until * planned + 1e-9).astype(np.int64) - spared, 0),
        spared=spared,
        strange=strange,
        event_step=np.full(len(plan), -1, np.int64),
    )
    _strike(moves, hazard, np.flatnonzero(~plan.failure_mode.isin("")), when, injected)
    _force_frame(moves, plan.inject_frame, hazard)
    if not settings.hazard_hurts:
        _leave_to_chance(moves, knock)
    _short_slips(world, moves)
    return moves


def _stack(world: World) -> NDArray[np.int16]:
    """Codes of all scripts, padded with steps that do not happen, shape (fields, n, k)."""
    plan = world.plan
    other = [name if template == "mixed" else "" for name, template in zip(plan.other, plan.template, strict=True)]
    columns = (plan.family, plan.template, plan.hazard, plan.recovery_strategy, plan.attempts.tolist(), other)
    place: dict[Structure, int] = {}
    rows = [place.setdefault(Structure(*each), len(place)) for each in zip(*columns, strict=True)]
    programs = [program(each) for each in place]
    table = np.zeros((len(programs), max(map(len, programs), default=1), len(FIELD)), np.int16)
    table[:, :, FIELD["role"]] = -1
    for i, each in enumerate(programs):
        table[i, : len(each)] = each
    return np.ascontiguousarray(table[np.array(rows, np.int64)].transpose(2, 0, 1))


def _times(time: NDArray[np.int16], *names: str) -> Bools:
    """Steps whose duration goes by one of these names."""
    return np.isin(time, [SCALARS.index(name) for name in names])


def _stretch(codes: NDArray[np.int16], seconds: Float64s, ood: Int64s, u: Float64s) -> NDArray[np.int8]:
    """One move of an unusual episode takes several times as long, or is done in a fraction of its time: which it is."""
    strange = np.zeros(seconds.shape, np.int8)
    able = _times(codes[FIELD["time"]], *_STRETCHABLE) & (seconds > 0) & (codes[FIELD["exposed"]] == 0)
    count = able.sum(axis=1)
    rows = np.flatnonzero((ood > 1) & (count > 0))
    which = (u[rows, 0] * count[rows]).astype(np.int64)
    step = np.argmax(np.cumsum(able[rows], axis=1) > which[:, None], axis=1)
    strange[rows, step] = ood[rows]
    seconds[rows, step] *= np.where(ood[rows] == 3, 3.2 + 3.2 * u[rows, 1], 0.5 - 0.22 * u[rows, 1])
    return strange


def _leave_to_chance(moves: Moves, u: Float64s) -> None:
    """No failure strikes hard; instead the last move of some episodes, whatever their risk, begins with a knock."""
    pulse = moves.field("pulse")
    crash = SCALARS.index("crash")
    pulse[pulse == crash] = SCALARS.index("zero")
    knocked = np.flatnonzero((u < _KNOCKED) & (moves.frames > 0).any(axis=1))
    last = moves.frames.shape[1] - 1 - np.argmax(moves.frames[knocked, ::-1] > 0, axis=1)
    pulse[knocked, last] = crash


def _strike(moves: Moves, hazard: Bools, rows: Int64s, u: Float64s, injected: Bools) -> None:
    """Cut the step in which the event of some episodes strikes, and drop what it forestalls."""
    if not len(rows):
        return
    exposure = moves.exposure[rows]
    total = np.cumsum(exposure, axis=1)
    each = np.arange(len(rows))
    reach = np.where(injected[rows], exposure[each, np.argmax(hazard[rows], axis=1)], total[:, -1])
    nth = np.minimum((u[rows] * reach).astype(np.int64), reach - 1)
    cut = np.argmax(total > nth[:, None], axis=1)
    before = total[each, cut] - exposure[each, cut]
    moves.frames[rows, cut] = moves.spared[rows, cut] + nth - before
    moves.event_step[rows] = np.argmax(moves.field("event")[rows] > 0, axis=1)
    order = np.arange(total.shape[1])
    between = (order > cut[:, None]) & (order < moves.event_step[rows, None])
    moves.frames[rows] = np.where(between, 0, moves.frames[rows])


def _force_frame(moves: Moves, inject_frame: Int64s, hazard: Bools) -> None:
    """Scale what comes before the event so that it falls on the frame asked for."""
    frames, planned = moves.frames, moves.planned
    for row in np.flatnonzero((inject_frame >= 0) & (moves.event_step >= 0)).tolist():
        stop, want = int(moves.event_step[row]), int(inject_frame[row])
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


def _short_slips(world: World, moves: Moves) -> None:
    """An object that pops out of closing fingers is gone in less than 0.1 s: no segment of its own."""
    rate = world.settings.rate_hz
    brief = shortest_segment(rate) - 1
    if brief < 1:
        return
    slip, grasp = LABELS.index("slip"), LABELS.index("grasp")
    label, time = moves.field("label"), moves.field("time")
    rows = np.flatnonzero(moves.event_step >= 0)
    step = moves.event_step[rows]
    order = np.arange(label.shape[1])
    before = np.where((moves.frames[rows] > 0) & (order < step[:, None]), order, 0).max(axis=1, initial=0)
    slips = (label[rows, step] == slip) & (label[rows, before] == grasp) & (moves.field("own")[rows, step] == 0)
    rows, step = rows[slips], step[slips]
    popped = world.scalars[moves.task[rows, step], SCALARS.index("pop")] * _POP_SHARE
    count = np.clip(np.rint(popped * rate).astype(np.int64), 1, brief)
    moves.frames[rows, step] = moves.planned[rows, step] = count
    label[rows, step] = grasp
    following = np.minimum(step + 1, label.shape[1] - 1)
    again = (label[rows, following] == slip) & (time[rows, following] == SCALARS.index("close"))
    label[rows[again], following[again]] = grasp
