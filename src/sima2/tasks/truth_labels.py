"""The truth of every frame, segment and event, read off the moves that were made."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.records.rollout import SOLE_ARM
from sima2.records.table import Text
from sima2.records.truth import TruthEvents, TruthFrames, TruthSegments
from sima2.records.vocabulary import ANOMALIES, LABELS, OUTCOMES, REASONS
from sima2.tasks.chain import BOUNCE
from sima2.tasks.design import EpisodePlan
from sima2.tasks.failure_modes import FAILURE_MODES
from sima2.tasks.made import EVENT_KINDS, OOD_DISTANCE
from sima2.tasks.risk import remaining, sigmoid
from sima2.tasks.steps import OWN_MOTIONS, SCALARS
from sima2.tasks.world import Moves, World

_UNINTERRUPTED: Final = ("wrong_bin",)
"""Failure modes whose event does not fail the segment it falls into: the hand just turns elsewhere."""


def say_nothing(moves: Moves, episodes: Bools) -> None:
    """Of garbage nothing is true: one segment of unknown label."""
    for name, code in (("label", LABELS.index("unknown")), ("about", -1), ("stage", 0), ("again", 0)):
        moves.field(name)[episodes] = code


def segments_of(world: World) -> tuple[TruthSegments, Int64s]:
    """True segments, and the segment of each row."""
    plan, rows = world.plan, world.rows
    label, about, stage = rows.field("label"), world.slots_of("about"), rows.field("stage")
    fresh = np.ones(len(label), np.bool_)
    for column in (rows.episode, label, about, stage):
        fresh[1:] &= column[1:] == column[:-1]
    fresh[1:] = ~fresh[1:] | (rows.field("again")[1:] > 0)
    head = np.flatnonzero(fresh)
    failed, reason = _failures(world)
    episode = rows.episode[head]
    why = _any_of(np.where(failed, reason, 0), head)
    outcome = np.where(_any_of(failed, head), OUTCOMES.index("failure"), OUTCOMES.index("success"))
    outcome = np.where(label[head] == LABELS.index("unknown"), OUTCOMES.index("unknown"), outcome)
    outcome = _retries(outcome, episode, label[head], about[head])
    start, stop = rows.offset[episode], np.append(rows.first[head], rows.offset[-1])[1:]
    table = TruthSegments(
        episode_id=plan.episode_id[episode],
        manipulator=Text.full(len(head), SOLE_ARM),
        label=Text(label[head], LABELS),
        object=_names(world, episode, about[head]),
        start_frame=rows.first[head] - start,
        end_frame=stop - start,
        outcome=Text(outcome, OUTCOMES),
        failure_reason=Text(why, REASONS),
    )
    return table, np.cumsum(fresh) - 1


def _any_of(values: NDArray[Any], head: Int64s) -> NDArray[Any]:
    """The largest value of the rows of each segment."""
    return np.maximum.reduceat(values, head) if len(head) else values


def frames_of(world: World, segments: TruthSegments, segment: Int64s) -> TruthFrames:
    """Truth of every frame."""
    moves, rows = world.moves, world.rows
    row, length = np.repeat(np.arange(len(rows.frames)), rows.frames), np.diff(rows.offset)
    episode = rows.episode[row]
    elapsed = _elapsed(world, row)
    risk = remaining(np.repeat(sigmoid(world.score).astype(np.float32), length), elapsed)
    rise = remaining(np.repeat(sigmoid(world.fragile).astype(np.float32), length), elapsed) - risk
    past = (moves.event_step >= 0)[rows.episode] & (rows.step >= moves.event_step[rows.episode])
    over = (past | (rows.field("label") == LABELS.index("unknown")))[row]
    risk[over] = rise[over] = np.nan
    ood = np.repeat(world.plan.ood_source.isin("visual"), length) | (rows.gather(moves.strange) > 0)[row]
    base = np.square(world.conditions).sum(axis=1)
    calm, strange = (np.sqrt(base + far).astype(np.float32) for far in (0.0, OOD_DISTANCE**2))
    return TruthFrames(
        risk=risk,
        fragility=rise,
        recovery=(rows.field("recovery") > 0)[row],
        novelty=np.where(ood, strange[episode], calm[episode]),
        ood=ood,
        label=segments.label.codes.astype(np.int8)[segment][row],
        outcome=segments.outcome.codes.astype(np.int8)[segment][row],
    )


def events_of(world: World) -> TruthEvents:
    """Failure events, impacts with the damage they did, beginnings and ends of corrections."""
    moves, rows, scene, settings = world.moves, world.rows, world.scene, world.settings
    start, about = rows.first - rows.offset[rows.episode], world.slots_of("about")
    struck = np.flatnonzero(rows.step == moves.event_step[rows.episode])
    pulse = rows.field("pulse")
    hit = np.flatnonzero(pulse == SCALARS.index("crash"))
    falls = (rows.field("own") == OWN_MOTIONS.index("fall")) & settings.hazard_hurts
    fell = np.flatnonzero(falls & (rows.frames > 0))
    seconds, slot = rows.gather(moves.fall_s)[fell], rows.gather(moves.slot)[fell, 2]
    landed = start[fell] + np.minimum((seconds * settings.rate_hz).astype(np.int64), rows.frames[fell] - 1)
    correcting = rows.field("recovery") > 0
    inside = np.zeros(len(correcting) + 1, np.bool_)
    inside[1:-1] = (rows.episode[1:] == rows.episode[:-1]) & correcting[:-1] & correcting[1:]
    begins, ends = np.flatnonzero(correcting & ~inside[:-1]), np.flatnonzero(correcting & ~inside[1:])
    parts: tuple[tuple[int, Int64s, Int64s, Int64s | int, Int64s, Float64s | float], ...] = (
        # kind, rows, frames, reasons, slots of the objects, impulses
        (0, struck, start[struck], _reasons(world.plan)[rows.episode[struck]], about[struck], 0.0),
        (1, hit, start[hit], REASONS.index("collision"), about[hit],
         world.scalars[rows.gather(moves.task)[hit], pulse[hit]]),
        (1, fell, landed, REASONS.index("drop"), slot,
         scene.mass[rows.episode[fell], slot] * settings.gravity * seconds * (1 + BOUNCE)),
        (2, begins, start[begins], 0, about[begins], 0.0),
        (3, ends, start[ends] + rows.frames[ends], 0, about[ends], 0.0),
    )  # fmt: skip
    columns = zip(*(np.broadcast_arrays(*part) for part in parts), strict=True)
    kind, row, frame, why, slot, impulse = (np.concatenate(each) for each in columns)
    episode = rows.episode[row]
    order = np.lexsort((kind, frame, episode))
    worth = np.array([settings.value_of(name) for name in scene.codebook])
    hurt = np.where(slot >= 0, scene.code[episode, slot], -1)
    damage = impulse * np.where(hurt >= 0, worth[hurt], settings.default_value[0] * settings.default_value[1])
    return TruthEvents(
        episode_id=world.plan.episode_id[episode[order]],
        kind=Text(kind[order], EVENT_KINDS),
        reason=Text(why[order], REASONS),
        object=_names(world, episode, slot)[order],
        frame=frame[order],
        impulse=impulse[order],
        damage=np.where(kind == 1, damage, 0.0)[order],
    )


def event_frames(world: World) -> Int64s:
    """Frame of each episode's first failure event, -1 where none occurs, shape (n,)."""
    rows = world.rows
    frame = np.full(len(world.plan), -1, np.int64)
    struck = np.flatnonzero(rows.step == world.moves.event_step[rows.episode])
    frame[rows.episode[struck]] = rows.first[struck] - rows.offset[rows.episode[struck]]
    return frame


def _reasons(plan: EpisodePlan) -> Int64s:
    """Reason of each episode's failure mode."""
    known = [REASONS.index(FAILURE_MODES[name].reason) if name else 0 for name in plan.failure_mode.names]
    return np.array(known, np.int64)[plan.failure_mode.codes]


def _names(world: World, episode: Int64s, slot: Int64s) -> Text:
    """Names of slots, empty for -1."""
    code = np.where(slot >= 0, world.scene.code[episode, slot], -1)
    return Text(code + 1, ("", *world.scene.codebook))


def _failures(world: World) -> tuple[Bools, Int64s]:
    """Which rows belong to a failing segment, and why."""
    plan, rows = world.plan, world.rows
    failed, reason = rows.field("outcome") == OUTCOMES.index("failure"), rows.field("reason")
    place = np.arange(len(failed))
    struck = (rows.step == world.moves.event_step[rows.episode]) & (place > rows.edge[rows.episode])
    cut = np.flatnonzero(struck & ~plan.failure_mode.isin(*_UNINTERRUPTED)[rows.episode])
    failed[cut - 1] = True
    reason[cut - 1] = _reasons(plan)[rows.episode[cut]]
    return failed, reason


def _retries(outcome: NDArray[Any], episode: Int64s, label: Int64s, about: Int64s) -> Int64s:
    """A failed attempt followed by another at the same action and object is a retry; anomalies are no attempts."""
    result = outcome.copy()
    failing = outcome == OUTCOMES.index("failure")
    failing &= ~np.isin(label, [LABELS.index(name) for name in ANOMALIES])
    key = (episode * (len(LABELS) + 1) + label) * 8 + about + 1
    _, group = np.unique(key, return_inverse=True)
    last = np.zeros(int(group.max()) + 1 if len(group) else 0, np.int64)
    np.maximum.at(last, group, np.arange(len(group)))
    result[failing & (np.arange(len(group)) < last[group])] = OUTCOMES.index("retry")
    return result


def _elapsed(world: World, row: Int64s) -> Float32s:
    """Share of the hazard that has passed at each frame without an event."""
    moves, rows = world.moves, world.rows
    before = np.cumsum(moves.exposure, axis=1) - moves.exposure
    local = np.arange(rows.offset[-1]) - rows.first[row]
    passed = np.clip(local - rows.gather(moves.spared)[row] + 1, 0, rows.gather(moves.exposure)[row])
    passed += rows.gather(before)[row]
    scale = (1.0 / np.maximum(moves.exposure.sum(axis=1), 1)).astype(np.float32)[rows.episode]
    share: Float32s = passed.astype(np.float32) * scale[row]
    return share
