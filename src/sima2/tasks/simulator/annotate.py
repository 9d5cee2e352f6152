"""Truth of one episode by the written convention, from what the controller was about and what touched what.

The controller's stage names the action. Three things overrule it: an unintended contact that carries force is a
``collision`` until it ends; a load that moves in the hand against the command is a ``slip`` until it is held again, or
lost and at rest; and the border of lifting and carrying is where the motion turns sideways. What a mishap leaves of the
stage it interrupted belongs to the correction that follows, or to the same action where the load is still held.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools, Float64s
from sima2.records.vocabulary import ANOMALIES, FREE_MOTION, LABELS
from sima2.tasks.simulator.controller import IDLE_S
from sima2.tasks.simulator.physics import World
from sima2.tasks.simulator.recording import COLUMNS, Recording

SHORTEST_S: Final = 0.1
"""s, the shortest segment. Source: the annotation convention."""
_STILL: Final = 0.01
"""m/s of hand and fingers below which nothing moves."""
_NOWHERE_M: Final = 0.01
"""m of the hand's way below which nothing was carried."""
_GRIPS_N: Final = 0.4
"""N below which fingers that touch a load do not hold it."""
_PUSHED_N: Final = 1.5
"""N that make a touch a collision."""
_SLIDES: Final = (0.025, 0.01)
"""m/s in the hand at which a slip begins and ends."""
_KEPT_S: Final = 0.2
"""s without sliding after which a load is held again: a hand that turns round only pauses to slide."""
_SLID_M: Final = 0.005
"""m in the hand below which nothing has slipped."""
_RESTS: Final = 0.03
"""m/s below which a lost object lies still."""
_FALLS_S: Final = 1.5
"""s after which a lost object is no longer watched."""
_HOLDING: Final = ("lift", "transport", "place", "pull", "wipe")
_RESTING: Final = ("grasp", "lift", "place", "wipe", "release", "push", "recovery_maneuver")
"""Stages in which hand and load may touch what the load lies on."""
_SUPPORTS: Final = ("world", "target", "bin_a", "bin_b")
_HAND: Final = ("hand", "finger_left", "finger_right")


@dataclass(slots=True)
class Piece:
    """One true segment."""

    label: str
    body: str
    start: int
    stop: int
    recovery: bool
    reason: str = ""
    """Why it failed, empty where it did not."""


def annotate(recording: Recording, world: World) -> list[Piece]:
    """Segments of an episode in order, gap-free."""
    rate = world.scenario.rate_hz
    least = max(1, math.ceil(round(SHORTEST_S * rate, 9)))
    hit, blamed = _collisions(recording, world, least)
    slip = _slips(recording, world, least) & ~hit
    pieces: list[Piece] = []
    stages, stage = recording.stages, np.array(recording.stage)
    code = np.where(hit, 1, np.where(slip, 2, 0))
    edge = np.flatnonzero((np.diff(stage) != 0) | (np.diff(code) != 0)) + 1
    cuts = [0, *edge.tolist(), len(stage)]
    for start, stop in pairwise(cuts):
        here = stages[stage[start]]
        if code[start] == 1:
            reason = here.reason if here.reason == "obstructed" else "collision"
            pieces.append(Piece("collision", blamed[start], start, stop, here.recovery, reason))
        elif code[start] == 2:
            held = recording.held[start]
            body = "handle" if held == "drawer" else held
            reason = _slip_reason(recording, world, start, stop)
            pieces.append(Piece("slip", body, start, stop, here.recovery, reason))
        else:
            label = _remainder(recording, world, stage, code, start, stop)
            same = label == here.label
            body = here.body if same else ""
            last = stop == len(stage) or stage[stop] != stage[start]
            pieces.append(Piece(label, body, start, stop, here.recovery, here.reason if last and same else ""))
    _lift_ends(pieces, recording, world, rate)
    _contact_starts(pieces, recording, world)
    pieces = _stopped(_travelled(pieces, recording), recording, rate)
    pieces = _joined(pieces, least)
    _blame(pieces)
    return pieces


def _slip_reason(recording: Recording, world: World, start: int, stop: int) -> str:
    """A load that leaves the hand aloft is dropped; one that is kept, or left where it lies, has slipped."""
    gone = not _held(recording, world)[start:stop][-1]
    aloft = not _rests(recording, world)[start] and recording.held[start] in world.movable
    return "drop" if gone and aloft else "gripper_slip"


def _remainder(
    recording: Recording, world: World, stage: NDArray[Any], code: NDArray[Any], start: int, stop: int
) -> str:
    """Label of undisturbed frames: their stage's, unless a mishap in the same stage took the load away."""
    here = recording.stages[int(stage[start])]
    spoiled = start > 0 and stage[start - 1] == stage[start] and code[start - 1] > 0
    gripped = _held(recording, world) & (np.stack(recording.rows)[:, COLUMNS["grip_force"]] > _GRIPS_N)
    if not spoiled or here.label not in _HOLDING or gripped[start:stop].mean() > 0.5:
        return here.label
    later = stage[stop:]
    following = recording.stages[int(later[0])].label if len(later) else "retreat"
    return following if following in ("recovery_maneuver", "retreat") else here.label


def _held(recording: Recording, world: World) -> Bools:
    """Whether both fingers touch what the hand means to hold, shape (t,)."""
    touching = np.stack(recording.touching)
    held = np.array([world.body[name] for name in recording.held])
    t = np.arange(len(held))
    left, right = world.body["finger_left"], world.body["finger_right"]
    both: Bools = touching[t, left, held] & touching[t, right, held]
    return both


def _collisions(recording: Recording, world: World, least: int) -> tuple[Bools, list[str]]:
    """Frames of unintended contact, and the body that was met."""
    touching = np.stack(recording.touching)
    force = np.sqrt(np.square(np.stack(recording.rows)[:, COLUMNS["contact"]]).sum(axis=1))
    held, frames = _held(recording, world), len(recording.rows)
    hand = [world.body[name] for name in _HAND]
    supports = [world.body[name] for name in _SUPPORTS if name in world.body]
    others = [name for name in world.body if name not in _HAND]
    met = np.zeros((frames, len(world.body)), np.bool_)
    for number, stage in enumerate(recording.stages):
        rows = np.flatnonzero(np.array(recording.stage) == number)
        if not len(rows):
            continue
        load = world.body[recording.held[rows[0]]]
        wiped = {world.body["target"]} if world.scenario.family.skeleton == "wipe" else set()
        own = wiped | {load, world.body.get("drawer" if stage.body == "handle" else stage.body, load)}
        for name in others:
            body = world.body[name]
            if body not in own and (body not in supports or stage.label not in _RESTING):
                met[rows, body] |= touching[rows][:, hand, body].any(axis=1)
                met[rows, body] |= touching[rows, load, body] & held[rows]
    hits = met.any(axis=1) & (force > _PUSHED_N)
    hits = _closed(hits, least)
    names = {number: name for name, number in world.body.items()}
    blamed = [""] * frames
    for start, stop in _runs(hits):
        body = names[int(np.argmax(met[start:stop].sum(axis=0)))]
        hits[start : min(frames, max(stop, start + least))] = True
        for k in range(start, min(frames, max(stop, start + least))):
            blamed[k] = body
    return hits, blamed


def _slips(recording: Recording, world: World, least: int) -> Bools:
    """Frames in which a load slides in the hand or falls out of it."""
    rate = world.scenario.rate_hz
    rows, bodies = np.stack(recording.rows), np.stack(recording.bodies)
    order = list(world.scenario.names)
    slot = np.array([order.index("handle" if name == "drawer" else name) for name in recording.held])
    t = np.arange(len(rows))
    load = bodies[t, slot, :3]
    turn = rows[:, COLUMNS["rotation"]].reshape(-1, 3, 3)
    inside = np.einsum("tji,tj->ti", turn, load - rows[:, COLUMNS["ee_position"]])
    sliding, moving = _speed(inside, rate), _speed(load, rate)
    held = _held(recording, world)
    rests = _rests(recording, world)
    slips = np.zeros(len(rows), np.bool_)
    stage = np.array(recording.stage)
    k, settled = 1, round(_KEPT_S * rate)
    while k < len(rows):
        here = recording.stages[stage[k]]
        meant = here.label in _HOLDING and not 0 <= here.opened <= k and held[k - 1] and slot[k] == slot[k - 1]
        meant &= not (here.label == "place" and rests[k])
        if not meant or (sliding[k] < _SLIDES[0] and held[k]):
            k += 1
            continue
        stop, lost = k + 1, 0
        while stop < len(rows) and slot[stop] == slot[k]:
            lost = 0 if held[stop] else lost + 1
            kept = slice(stop, stop + settled)
            if sliding[stop] < _SLIDES[1] and held[kept].all() and sliding[kept].max() < _SLIDES[0]:
                break
            if lost and (moving[stop : stop + least].max() < _RESTS or lost > _FALLS_S * rate):
                break
            stop += 1
        far = float(np.sqrt(np.square(inside[min(stop, len(rows) - 1)] - inside[k - 1]).sum()))
        if far > _SLID_M and (stop - k >= least or lost):
            slips[k : max(stop, min(len(rows), k + least))] = True
        k = stop + 1
    return slips


def _rests(recording: Recording, world: World) -> Bools:
    """Whether what the hand means to hold touches something to lie on, shape (t,)."""
    touching = np.stack(recording.touching)
    held = np.array([world.body[name] for name in recording.held])
    supports = [world.body[name] for name in _SUPPORTS if name in world.body]
    found: Bools = touching[np.arange(len(held)), held][:, supports].any(axis=1)
    return found


def _speed(place: Float64s, rate: float) -> Float64s:
    """m/s between frames, shape (t,)."""
    step = np.zeros(len(place))
    step[1:] = np.sqrt(np.square(np.diff(place, axis=0)).sum(axis=1)) * rate
    return step


def _lift_ends(pieces: list[Piece], recording: Recording, world: World, rate: float) -> None:
    """A lift begins when the load rises and ends where the hand moves sideways faster than up."""
    order, bodies = list(world.scenario.names), np.stack(recording.bodies)
    hand = np.stack(recording.rows)[:, COLUMNS["ee_position"]]
    velocity = np.gradient(hand, axis=0) * rate if len(hand) > 1 else np.zeros_like(hand)
    for before, after in pairwise(pieces):
        if (before.label, after.label) == ("grasp", "lift") and after.stop - after.start > 2:
            height = bodies[:, order.index(after.body), 2]
            risen = height[after.start : after.stop] - height[after.start] > 0.002
            after.start += int(np.argmax(risen)) if risen.any() else after.stop - after.start - 1
            before.stop = after.start
        if (before.label, after.label) == ("lift", "transport"):
            own = velocity[after.start : after.stop]
            sideways = np.sqrt(np.square(own[:, :2]).sum(axis=1)) > np.abs(own[:, 2])
            shift = int(np.argmax(sideways)) if sideways.any() else 0
            after.start += min(shift, after.stop - after.start - 1)
            before.stop = after.start


def _contact_starts(pieces: list[Piece], recording: Recording, world: World) -> None:
    """Wiping begins when the tool touches, and ends when it is lifted off; pushing begins with the touch."""
    touching = np.stack(recording.touching)
    fingers = [world.body[name] for name in _HAND]
    rests = _rests(recording, world)
    for before, after in pairwise(pieces):
        if (before.label, after.label) == ("wipe", "lift"):
            off = ~rests[after.start : after.stop]
            after.start += min(int(np.argmax(off)) if off.any() else 0, after.stop - after.start - 1)
            before.stop = after.start
        if after.label not in ("wipe", "push") or before.label not in ("transport", "approach", "recovery_maneuver"):
            continue
        begun = rests[after.start : after.stop]
        if after.label == "push":
            begun = np.any(touching[after.start : after.stop, fingers, world.body[after.body]], axis=1)
        after.start += min(int(np.argmax(begun)) if begun.any() else 0, after.stop - after.start - 1)
        before.stop = after.start


def _travelled(pieces: list[Piece], recording: Recording) -> list[Piece]:
    """A load that was to be carried, but already was where it shall be, is not: what came before lasts on."""
    hand = np.stack(recording.rows)[:, COLUMNS["ee_position"]]
    result: list[Piece] = []
    for piece in pieces:
        way = np.ptp(hand[piece.start : piece.stop], axis=0)
        if result and piece.label == "transport" and not piece.reason and float(way.max()) < _NOWHERE_M:
            result[-1].stop = piece.stop
        else:
            result.append(piece)
    return result


def _stopped(pieces: list[Piece], recording: Recording, rate: float) -> list[Piece]:
    """A free hand that stays where it is for half a second is idle, whatever it waits for."""
    rows = np.stack(recording.rows)
    moving = _speed(rows[:, COLUMNS["ee_position"]], rate) > _STILL
    moving |= _speed(rows[:, COLUMNS["gripper_width"]][:, None], rate) > _STILL
    result: list[Piece] = []
    for piece in pieces:
        start = piece.start
        if piece.label in FREE_MOTION:
            for a, b in _runs(~moving[piece.start : piece.stop]):
                if b - a >= IDLE_S * rate:
                    a, b = piece.start + a, piece.start + b
                    result.append(Piece(piece.label, piece.body, start, a, piece.recovery))
                    result.append(Piece("idle", "", a, b, piece.recovery))
                    start = b
        if start < piece.stop:
            result.append(replace(piece, start=start))
    return [piece for piece in result if piece.stop > piece.start]


def _joined(pieces: list[Piece], least: int) -> list[Piece]:
    """Equal neighbours that did not fail are one; what is too short goes to what came before, with its reason."""
    result: list[Piece] = []
    for piece in pieces:
        last = result[-1] if result else None
        same = last is not None and (last.label, last.body) == (piece.label, piece.body)
        anomaly = piece.label in ANOMALIES
        brief = piece.stop - piece.start < least and not anomaly
        if last is not None and (brief or (same and (anomaly or not last.reason))):
            last.stop, last.reason = piece.stop, last.reason or piece.reason
        else:
            result.append(piece)
    for before, piece in pairwise(result):
        if piece.label == "slip" and piece.stop - piece.start < least:
            before.stop, piece.start = piece.stop, piece.stop
            before.reason = before.reason or piece.reason
    result = [piece for piece in result if piece.stop > piece.start]
    if len(result) > 1 and result[0].stop - result[0].start < least:
        result[1].start = result[0].start
        del result[0]
    return result


def _blame(pieces: list[Piece]) -> None:
    """What a mishap interrupts has failed for the same reason."""
    for before, after in pairwise(pieces):
        interrupts = after.label in ANOMALIES and before.label not in (*ANOMALIES, "idle", "recovery_maneuver")
        if interrupts:
            before.reason = after.reason


def _closed(mask: Bools, gap: int) -> Bools:
    """Gaps shorter than ``gap`` between true frames filled."""
    mask = mask.copy()
    on = np.flatnonzero(mask)
    for a, b in pairwise(on):
        if 1 < b - a <= gap:
            mask[a:b] = True
    return mask


def _runs(mask: Bools) -> list[tuple[int, int]]:
    """Half-open runs of true frames."""
    padded = np.concatenate([[False], mask, [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def labels_of(pieces: list[Piece], frames: int) -> NDArray[np.int8]:
    """Label of each frame, index into ``vocabulary.LABELS``."""
    label = np.zeros(frames, np.int8)
    for piece in pieces:
        label[piece.start : piece.stop] = LABELS.index(piece.label)
    return label
