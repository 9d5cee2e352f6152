"""Features → what the arm and its gripper are physically doing at each frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Int64s
from sima2.segmentation.closing_verdicts import hand_of
from sima2.segmentation.closings import by_fingers_alone
from sima2.segmentation.columns import Columns
from sima2.segmentation.contacts import coming_down, contacts, pushes, strokes, unyielding
from sima2.segmentation.features import Features
from sima2.segmentation.fingers import collapsed, fist, moving_fingers, shut_fingers
from sima2.segmentation.loads import (
    Loads,
    let_fall,
    let_go_unseen,
    loaded_hand,
    remainders,
    settles,
    slips,
    strained,
)
from sima2.segmentation.motion import carries
from sima2.segmentation.signals import among, runs_of, without_short
from sima2.segmentation.state_settings import StateSettings


class State(IntEnum):
    """Physical state of one arm at one frame."""

    UNKNOWN = 0
    STILL = 1
    """Unloaded and at rest."""
    FREE = 2
    """Unloaded and moving."""
    CLOSING = 3
    OPENING = 4
    HOLD = 5
    """Loaded and at rest."""
    RISE = 6
    """Loaded, mainly up."""
    SIDE = 7
    """Loaded, mainly sideways."""
    DOWN = 8
    """Loaded, mainly down."""
    PRESS = 9
    """Sustained external force along or across the motion."""
    SLIP = 10
    """The load moves against the hand."""
    BUMP = 11
    """External force that nothing explains."""
    STROKE = 12
    """Unloaded, pressed on something that does not move along."""
    BLOCKED = 13
    """A load on its way down is stopped."""
    STUCK = 14
    """Force on what is held, and it does not give way."""
    WIGGLE = 15
    """To and fro under force, getting nowhere."""


BRIEF: Final = (State.CLOSING, State.OPENING, State.SLIP)
"""States that are what they are however short."""
BY_CARRY: Final = np.array([State.HOLD, State.RISE, State.SIDE, State.DOWN, State.STROKE])
"""State of each :class:`~sima2.segmentation.motion.Carry`."""


@dataclass(frozen=True, eq=False)
class States(Columns):
    """State of every frame, and what it is about; shape (T,) each."""

    code: Int64s
    """:class:`State`."""
    loaded: Bools
    load: Int64s
    """Slot of the object in the hand, or last in it; -1 where none is known."""
    flown: Bools
    """The load has been lifted since it was grasped."""
    unsure: Bools
    """Loaded by assumption: the fingers are closed, and nothing tells whether something is between them."""
    moved_with: Int64s
    """Another slot that moves with the load (the body of a handle), -1 where none."""


def compute_states(features: Features, settings: StateSettings) -> States:
    """States of every frame of one arm."""
    loads, unsure, fallen = _hold(features, settings)
    slip = slips(features, loads, settings)
    pulled_on = strained(features, loads.loaded & ~loads.flown, settings)
    slip &= ~pulled_on
    press, stroke, bump = _touches(features, loads, slip, pulled_on, settings)
    loads = replace(loads, loaded=loads.loaded & ~remainders(features, loads, slip, settings))
    loaded, ragged = loads.loaded, features.ragged
    moving = without_short(features.moving, ragged, gap=settings.flicker_s, run=settings.flicker_s)
    code = _motion(features, loaded, moving, loads.opening, settings)
    if features.position is not None:
        # what comes up with the hand is lifted, however heavy
        press &= code != State.RISE
    code[press] = State.PRESS
    code[stroke] = State.STROKE
    if features.position is not None:
        lying = loaded & ~loads.flown
        stuck, wiggle = unyielding(features, features.position, press & lying, lying & moving, settings)
        code[stuck] = State.STUCK
        code[wiggle] = State.WIGGLE
    code[loads.closing] = State.CLOSING
    code[loads.opening] = State.OPENING
    slip &= ~let_go_unseen(features, slip, loads.opening, settings)
    slip |= let_fall(features, loads, settings)
    if fallen is None:
        fallen = collapsed(loads.closing, loads.opening, loaded, ragged, settings)
    code[slip | fallen] = State.SLIP
    code[bump] = State.BUMP
    if features.position is not None:
        code[bump & loaded & coming_down(features, bump, settings)] = State.BLOCKED
    code[without_short(features.missing, ragged, gap=0.0, run=settings.missing_s)] = State.UNKNOWN
    if features.pose is None:
        code[:] = State.UNKNOWN
    runs = runs_of(code, ragged)
    # what is shorter than a flicker belongs to what was before
    long = (runs.length >= runs.frames(settings.flicker_s)) | among(code[runs.start], BRIEF)
    return States(runs.without_brief(code, long), loaded, loads.slot, loads.flown, loaded & unsure, loads.moved_with)


def _hold(features: Features, settings: StateSettings) -> tuple[Loads, Bools, Bools | None]:
    """What is in the hand, whether by assumption alone, and, of fingers alone, where it was lost, shape (T,) each."""
    closing, opening = moving_fingers(features, settings)
    if by_fingers_alone(features):
        hand = hand_of(features, closing, opening, settings)
        return Loads.of(features, hand.loaded, hand.taking, opening, settings), hand.unsure, hand.lost
    met = fist(features, closing, opening, settings)
    # pads that were pressed apart and come together again close on nothing
    closing = closing & ~met
    loaded = loaded_hand(features, shut_fingers(features, closing, opening) & ~met, closing, opening, settings)
    return Loads.of(features, loaded, closing, opening, settings), loaded & False, None


def _touches(
    features: Features, loads: Loads, slip: Bools, pulled_on: Bools, settings: StateSettings
) -> tuple[Bools, Bools, Bools]:
    """Where the hand presses, strokes, and runs into something, shape (T,) each."""
    loaded, other = loads.loaded, slip | loads.busy
    press, stroke, bump = contacts(features, loads, slip, settings)
    level = strokes(features, other, settings)
    bump = bump & ~level
    press = press | (level & loaded) | pulled_on
    if features.touching is not None or features.object_position is not None:
        # an empty hand of which nothing but its way is known may as well be waving
        stroke = stroke | (level & ~loaded)
    press &= ~settles(features, loads, settings)
    return press | (pushes(features, loaded, other, settings) & ~bump & ~stroke), stroke, bump


def _motion(features: Features, loaded: Bools, moving: Bools, opening: Bools, settings: StateSettings) -> Int64s:
    """State of each frame by how the arm moves alone, shape (T,)."""
    code = np.where(moving, State.FREE, State.STILL).astype(np.int64)
    code[loaded] = State.HOLD
    carried = loaded & moving
    if features.position is None:
        how = carries(features, loaded, opening, settings.motion)
        code[carried] = BY_CARRY[how[carried]]
    else:
        up = features.velocity[:, 2]
        steep = carried & (np.abs(up) > features.sideways)
        code[carried] = State.SIDE
        code[steep & (up > 0)] = State.RISE
        code[steep & (up < 0)] = State.DOWN
    return code
