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
from sima2.tasks.chain import BOUNCE, Moves
from sima2.tasks.design import EpisodePlan
from sima2.tasks.families import FAILURE_MODES
from sima2.tasks.risk import remaining, sigmoid
from sima2.tasks.rows import Rows
from sima2.tasks.scene import Scene
from sima2.tasks.steps import OWN_MOTIONS, SCALARS
from sima2.tasks.world_settings import PhysicsSettings

_UNINTERRUPTED: Final = ("wrong_bin",)
"""Failure modes whose event does not fail the segment it falls into: the hand just turns elsewhere."""
OOD_DISTANCE: Final = 5.0
"""Mahalanobis distance that an unusual scene or motion adds to the novelty."""
_EVENT_KINDS: Final = ("failure", "impact", "recovery_start", "recovery_end")


def say_nothing(moves: Moves, episodes: Bools) -> None:
    """Of garbage nothing is true: one segment of unknown label."""
    for name, code in (("label", LABELS.index("unknown")), ("about", -1), ("stage", 0), ("again", 0)):
        moves.field(name)[episodes] = code


def segments_of(plan: EpisodePlan, moves: Moves, rows: Rows, scene: Scene) -> tuple[TruthSegments, Int64s]:
    """True segments, and the segment of each row."""
    label, about = _field(moves, rows, "label"), _object_slot(moves, rows, scene, "about")
    stage, again = _field(moves, rows, "stage"), _field(moves, rows, "again") > 0
    fresh = np.ones(len(label), np.bool_)
    same = rows.episode[1:] == rows.episode[:-1]
    for column in (label, about, stage):
        same &= column[1:] == column[:-1]
    fresh[1:] = ~same | again[1:]
    head = np.flatnonzero(fresh)
    segment = np.cumsum(fresh) - 1
    failed, reason = _failures(plan, moves, rows)
    episode = rows.episode[head]
    bad = np.bitwise_or.reduceat(failed, head) if len(head) else failed
    why = np.maximum.reduceat(np.where(failed, reason, 0), head) if len(head) else reason
    stop = np.append(rows.first[head[1:]], rows.offset[-1]) if len(head) else head
    outcome = np.where(bad, OUTCOMES.index("failure"), OUTCOMES.index("success"))
    outcome = np.where(label[head] == LABELS.index("unknown"), OUTCOMES.index("unknown"), outcome)
    outcome = _retries(outcome, episode, label[head], about[head])
    start = rows.offset[episode]
    table = TruthSegments(
        episode_id=plan.episode_id[episode],
        manipulator=Text.full(len(head), SOLE_ARM),
        label=Text(label[head], LABELS),
        object=_names(scene, episode, about[head]),
        start_frame=rows.first[head] - start,
        end_frame=np.where(np.append(episode[1:], -1) == episode, stop, rows.offset[episode + 1]) - start,
        outcome=Text(outcome, OUTCOMES),
        failure_reason=Text(why, REASONS),
    )
    return table, segment


def frames_of(
    plan: EpisodePlan,
    moves: Moves,
    rows: Rows,
    segments: TruthSegments,
    segment: Int64s,
    score: Float64s,
    fragile: Float64s,
    conditions: Float64s,
) -> TruthFrames:
    """Truth of every frame."""
    row = np.repeat(np.arange(len(rows.frames)), rows.frames)
    length = np.diff(rows.offset)
    elapsed = _elapsed(moves, rows, row)
    initial = np.repeat(sigmoid(score).astype(np.float32), length)
    risk = remaining(initial, elapsed)
    rise = remaining(np.repeat(sigmoid(fragile).astype(np.float32), length), elapsed) - risk
    past = (moves.event_step >= 0)[rows.episode] & (rows.step >= moves.event_step[rows.episode])
    over = (past | (_field(moves, rows, "label") == LABELS.index("unknown")))[row]
    risk[over] = np.nan
    rise[over] = np.nan
    visual = plan.ood_source.isin("visual")
    ood = np.repeat(visual, length) | (rows.gather(moves.strange) > 0)[row]
    base = np.square(conditions).sum(axis=1)
    calm, strange = np.sqrt(base), np.sqrt(base + OOD_DISTANCE**2)
    episode = rows.episode[row]
    return TruthFrames(
        risk=risk,
        fragility=rise,
        recovery=(_field(moves, rows, "recovery") > 0)[row],
        novelty=np.where(ood, strange.astype(np.float32)[episode], calm.astype(np.float32)[episode]),
        ood=ood,
        label=segments.label.recode(LABELS).astype(np.int8)[segment][row],
        outcome=segments.outcome.recode(OUTCOMES).astype(np.int8)[segment][row],
    )


def events_of(
    plan: EpisodePlan, moves: Moves, rows: Rows, scene: Scene, scalars: Float64s, settings: PhysicsSettings
) -> TruthEvents:
    """Failure events, impacts with the damage they did, beginnings and ends of corrections."""
    start = rows.first - rows.offset[rows.episode]
    struck = np.flatnonzero(rows.step == moves.event_step[rows.episode])
    reason = np.array(
        [REASONS.index(FAILURE_MODES[name].reason) if name else 0 for name in plan.failure_mode], np.int64
    )
    about = _object_slot(moves, rows, scene, "about")
    parts = [(0, struck, start[struck], reason[rows.episode[struck]], about[struck], np.zeros(len(struck)))]
    pulse = _field(moves, rows, "pulse")
    hit = np.flatnonzero(pulse == SCALARS.index("crash"))
    impulse = scalars[rows.gather(moves.task)[hit], pulse[hit]]
    parts.append((1, hit, start[hit], np.full(len(hit), REASONS.index("collision")), about[hit], impulse))
    falls = (_field(moves, rows, "own") == OWN_MOTIONS.index("fall")) & settings.hazard_hurts
    fell = np.flatnonzero(falls & (rows.frames > 0))
    seconds, slot = rows.gather(moves.fall_s)[fell], moves.slot[2][rows.episode[fell], rows.step[fell]]
    landed = np.minimum(
        start[fell] + (seconds * settings.rate_hz).astype(np.int64), start[fell] + rows.frames[fell] - 1
    )
    impulse = scene.mass[rows.episode[fell], slot] * settings.gravity * seconds * (1 + BOUNCE)
    parts.append((1, fell, landed, np.full(len(fell), REASONS.index("drop")), slot, impulse))
    correcting = _field(moves, rows, "recovery") > 0
    inside = np.zeros(len(correcting) + 1, np.bool_)
    inside[1:-1] = (rows.episode[1:] == rows.episode[:-1]) & correcting[:-1] & correcting[1:]
    begins = np.flatnonzero(correcting & ~inside[:-1])
    ends = np.flatnonzero(correcting & ~inside[1:])
    for code, at, when in ((2, begins, start[begins]), (3, ends, start[ends] + rows.frames[ends])):
        parts.append((code, at, when, np.zeros(len(at), np.int64), about[at], np.zeros(len(at))))
    kind = np.concatenate([np.full(len(part[1]), part[0]) for part in parts])
    row, frame, why, slot, force = (np.concatenate([part[c] for part in parts]) for c in range(1, 6))
    episode = rows.episode[row]
    order = np.lexsort((kind, frame, episode))
    worth = np.array([settings.value_of(name) for name in scene.codebook])
    hurt = np.where(slot >= 0, scene.code[episode, slot], -1)
    damage = force * np.where(hurt >= 0, worth[hurt], settings.default_value[0] * settings.default_value[1])
    return TruthEvents(
        episode_id=plan.episode_id[episode[order]],
        kind=Text(kind[order], _EVENT_KINDS),
        reason=Text(why[order], REASONS),
        object=_names(scene, episode, slot)[order],
        frame=frame[order],
        impulse=force[order],
        damage=np.where(kind == 1, damage, 0.0)[order],
    )


def event_frames(moves: Moves, rows: Rows) -> Int64s:
    """Frame of each episode's first failure event, -1 where none occurs, shape (n,)."""
    frame = np.full(len(moves.event_step), -1, np.int64)
    struck = np.flatnonzero(rows.step == moves.event_step[rows.episode])
    frame[rows.episode[struck]] = rows.first[struck] - rows.offset[rows.episode[struck]]
    return frame


def _reasons(plan: EpisodePlan) -> Int64s:
    """Reason of each episode's failure mode."""
    return np.array([REASONS.index(FAILURE_MODES[name].reason) if name else 0 for name in plan.failure_mode], np.int64)


def _field(moves: Moves, rows: Rows, name: str) -> Int64s:
    codes: Int64s = rows.gather(moves.field(name)).astype(np.int64)
    return codes


def _object_slot(moves: Moves, rows: Rows, scene: Scene, name: str) -> Int64s:
    """Slot of a role at each row, -1 for none."""
    role = _field(moves, rows, name)
    slot = moves.roles[rows.gather(moves.task), np.maximum(role, 0)]
    return np.where(role >= 0, slot, -1)


def _names(scene: Scene, episode: Int64s, slot: Int64s) -> Text:
    """Names of slots, empty for -1."""
    code = np.where(slot >= 0, scene.code[episode, slot], -1)
    return Text(code + 1, ("", *scene.codebook))


def _failures(plan: EpisodePlan, moves: Moves, rows: Rows) -> tuple[Bools, Int64s]:
    """Which rows belong to a failing segment, and why."""
    failed = _field(moves, rows, "outcome") == OUTCOMES.index("failure")
    reason = _field(moves, rows, "reason")
    row = np.arange(len(failed))
    struck = np.flatnonzero((rows.step == moves.event_step[rows.episode]) & (row > rows.edge[rows.episode]))
    interrupts = ~plan.failure_mode.isin(*_UNINTERRUPTED)
    why = _reasons(plan)
    struck = struck[interrupts[rows.episode[struck]]]
    failed[struck - 1] = True
    reason[struck - 1] = why[rows.episode[struck]]
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


def _elapsed(moves: Moves, rows: Rows, row: Int64s) -> Float32s:
    """Share of the hazard that has passed at each frame without an event."""
    total = moves.exposure.sum(axis=1)
    before = np.cumsum(moves.exposure, axis=1) - moves.exposure
    here = rows.gather(moves.exposure)
    local = np.arange(rows.offset[-1]) - rows.first[row]
    passed = np.clip(local - rows.gather(moves.spared)[row] + 1, 0, here[row]) + rows.gather(before)[row]
    scale = (1.0 / np.maximum(total, 1)).astype(np.float32)[rows.episode]
    share: Float32s = passed.astype(np.float32) * scale[row]
    return share
