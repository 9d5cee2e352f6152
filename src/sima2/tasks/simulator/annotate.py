"""Truth of one episode by the written convention, from what the controller was about and what touched what.

The controller's stage names the action. Three things overrule it: an unintended contact that carries force is a
``collision`` until it ends; a load that moves in the hand against the command is a ``slip`` until it is held again, or
lost and at rest; and the border of lifting and carrying is where the motion turns sideways. What a mishap leaves of the
stage it interrupted belongs to the correction that follows, or to the same action where the load is still held.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools, Float64s
from sima2.records.vocabulary import ANOMALIES, FREE_MOTION
from sima2.tasks.chain import shortest_segment
from sima2.tasks.simulator.controller import IDLE_S
from sima2.tasks.simulator.physics import HAND
from sima2.tasks.simulator.recording import SUPPORTS, Played

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


def annotate(played: Played) -> list[Piece]:
    """Segments of an episode in order, gap-free."""
    least = shortest_segment(played.rate)
    hit, blamed = _collisions(played, least)
    code = np.where(hit, 1, np.where(_slips(played, least), 2, 0))
    stage = played.stage
    pieces: list[Piece] = []
    edge = np.flatnonzero((np.diff(stage) != 0) | (np.diff(code) != 0)) + 1
    for start, stop in pairwise([0, *edge.tolist(), len(stage)]):
        here = played.stages[stage[start]]
        if code[start] == 1:
            reason = here.reason if here.reason == "obstructed" else "collision"
            pieces.append(Piece("collision", blamed[start], start, stop, here.recovery, reason))
        elif code[start] == 2:
            body = "handle" if played.held[start] == "drawer" else played.held[start]
            pieces.append(Piece("slip", body, start, stop, here.recovery, _slip_reason(played, start, stop)))
        else:
            label = _remainder(played, code, start, stop)
            same, last = label == here.label, stop == len(stage) or stage[stop] != stage[start]
            body, reason = (here.body if same else ""), (here.reason if last and same else "")
            pieces.append(Piece(label, body, start, stop, here.recovery, reason))
    _lift_ends(pieces, played)
    _contact_starts(pieces, played)
    pieces = _joined(_stopped(_travelled(pieces, played), played), least)
    _blame(pieces)
    return pieces


def _slip_reason(played: Played, start: int, stop: int) -> str:
    """A load that leaves the hand aloft is dropped; one that is kept, or left where it lies, has slipped."""
    aloft = not played.rests[start] and played.held[start] in played.world.movable
    return "drop" if aloft and not played.gripped[stop - 1] else "gripper_slip"


def _remainder(played: Played, code: NDArray[Any], start: int, stop: int) -> str:
    """Label of undisturbed frames: their stage's, unless a mishap in the same stage took the load away."""
    stage, label = played.stage, played.stages[int(played.stage[start])].label
    spoiled = start > 0 and stage[start - 1] == stage[start] and code[start - 1] > 0
    gripped = (played.gripped & (played.column("grip_force") > _GRIPS_N))[start:stop]
    if not spoiled or label not in _HOLDING or gripped.mean() > 0.5:
        return label
    following = played.stages[int(stage[stop])].label if stop < len(stage) else "retreat"
    return following if following in ("recovery_maneuver", "retreat") else label


def _collisions(played: Played, least: int) -> tuple[Bools, list[str]]:
    """Frames of unintended contact, and the body that was met."""
    touching, number, frames = played.touching, played.world.body, len(played.rows)
    hand = [number[name] for name in HAND]
    wiped = {number["target"]} if played.made.family.skeleton == "wipe" else set()
    met = np.zeros((frames, len(number)), np.bool_)
    for k, stage in enumerate(played.stages):
        rows = np.flatnonzero(played.stage == k)
        if not len(rows):
            continue
        load = played.load[rows[0]]
        own = wiped | {load, number.get("drawer" if stage.body == "handle" else stage.body, load)}
        for name, body in number.items():
            meant = name in HAND or body in own or (name in SUPPORTS and stage.label in _RESTING)
            if not meant:
                met[rows, body] |= touching[rows][:, hand, body].any(axis=1)
                met[rows, body] |= touching[rows, load, body] & played.gripped[rows]
    hits = _closed(met.any(axis=1) & (played.contact > _PUSHED_N), least)
    names = list(number)
    blamed = [""] * frames
    for start, stop in _runs(hits):
        body = names[int(np.argmax(met[start:stop].sum(axis=0)))]
        stop = min(frames, max(stop, start + least))
        hits[start:stop] = True
        blamed[start:stop] = [body] * (stop - start)
    return hits, blamed


def _slips(played: Played, least: int) -> Bools:
    """Frames in which a load slides in the hand or falls out of it."""
    rate, held, slot, frames = played.rate, played.gripped, played.slots(), len(played.rows)
    load = played.bodies[np.arange(frames), slot, :3]
    turn = played.column("rotation").reshape(-1, 3, 3)
    inside = np.einsum("tji,tj->ti", turn, load - played.column("ee_position"))
    sliding, moving = _speed(inside, rate), _speed(load, rate)
    slips = np.zeros(frames, np.bool_)
    k, settled = 1, round(_KEPT_S * rate)
    while k < frames:
        here = played.stages[played.stage[k]]
        meant = here.label in _HOLDING and not 0 <= here.opened <= k and held[k - 1] and slot[k] == slot[k - 1]
        meant &= not (here.label == "place" and played.rests[k])
        if not meant or (sliding[k] < _SLIDES[0] and held[k]):
            k += 1
            continue
        stop, lost = k + 1, 0
        while stop < frames and slot[stop] == slot[k]:
            lost = 0 if held[stop] else lost + 1
            kept = slice(stop, stop + settled)
            if sliding[stop] < _SLIDES[1] and held[kept].all() and sliding[kept].max() < _SLIDES[0]:
                break
            if lost and (moving[stop : stop + least].max() < _RESTS or lost > _FALLS_S * rate):
                break
            stop += 1
        far = float(np.sqrt(np.square(inside[min(stop, frames - 1)] - inside[k - 1]).sum()))
        if far > _SLID_M and (stop - k >= least or lost):
            slips[k : max(stop, min(frames, k + least))] = True
        k = stop + 1
    return slips


def _speed(place: Float64s, rate: float) -> Float64s:
    """m/s between frames, shape (t,)."""
    step = np.zeros(len(place))
    step[1:] = np.sqrt(np.square(np.diff(place, axis=0)).sum(axis=1)) * rate
    return step


def _border(before: Piece, after: Piece, begun: Bools, otherwise: int = 0) -> None:
    """Move a border to the first frame of the piece after it where something has begun, or so many frames on."""
    own = begun[after.start : after.stop]
    after.start += int(np.argmax(own)) if own.any() else otherwise
    before.stop = after.start


def _lift_ends(pieces: list[Piece], played: Played) -> None:
    """A lift begins when the load rises and ends where the hand moves sideways faster than up."""
    hand = played.column("ee_position")
    velocity = np.gradient(hand, axis=0) * played.rate if len(hand) > 1 else np.zeros_like(hand)
    sideways = np.sqrt(np.square(velocity[:, :2]).sum(axis=1)) > np.abs(velocity[:, 2])
    for before, after in pairwise(pieces):
        if (before.label, after.label) == ("grasp", "lift") and after.stop - after.start > 2:
            height = played.place(after.body)[:, 2]
            _border(before, after, height - height[after.start] > 0.002, after.stop - after.start - 1)
        if (before.label, after.label) == ("lift", "transport"):
            _border(before, after, sideways)


def _contact_starts(pieces: list[Piece], played: Played) -> None:
    """Wiping begins when the tool touches, and ends when it is lifted off; pushing begins with the touch."""
    number = played.world.body
    for before, after in pairwise(pieces):
        reaches = before.label in ("transport", "approach", "recovery_maneuver")
        if (before.label, after.label) == ("wipe", "lift"):
            _border(before, after, ~played.rests)
        elif after.label == "wipe" and reaches:
            _border(before, after, played.rests)
        elif after.label == "push" and reaches:
            hand = [number[name] for name in HAND]
            _border(before, after, np.logical_or.reduce(played.touching[:, hand, number[after.body]], axis=1))


def _travelled(pieces: list[Piece], played: Played) -> list[Piece]:
    """A load that was to be carried, but already was where it shall be, is not: what came before lasts on."""
    hand = played.column("ee_position")
    result: list[Piece] = []
    for piece in pieces:
        way = np.ptp(hand[piece.start : piece.stop], axis=0)
        if result and piece.label == "transport" and not piece.reason and float(way.max()) < _NOWHERE_M:
            result[-1].stop = piece.stop
        else:
            result.append(piece)
    return result


def _stopped(pieces: list[Piece], played: Played) -> list[Piece]:
    """A free hand that stays where it is for half a second is idle, whatever it waits for."""
    moving = _speed(played.column("ee_position"), played.rate) > _STILL
    moving |= _speed(played.column("gripper_width")[:, None], played.rate) > _STILL
    result: list[Piece] = []
    for piece in pieces:
        start = piece.start
        for a, b in _runs(~moving[start : piece.stop]) if piece.label in FREE_MOTION else ():
            if b - a >= IDLE_S * played.rate:
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
