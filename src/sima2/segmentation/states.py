"""Features → what the arm and its gripper are physically doing at each frame."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Int64s
from sima2.segmentation.closing_verdicts import hand_of
from sima2.segmentation.closings import by_fingers_alone
from sima2.segmentation.contacts import coming_down, contacts, pushes, strokes, unyielding
from sima2.segmentation.features import Features
from sima2.segmentation.fingers import collapsed, fist, moving_fingers, shut_fingers
from sima2.segmentation.loads import (
    flown_loads,
    let_fall,
    let_go_unseen,
    loaded_hand,
    loads_of,
    remainders,
    settles,
    slips,
    strained,
)
from sima2.segmentation.motion import carries
from sima2.segmentation.signals import among, last_where, next_where, runs_of, without_short
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


BY_CARRY: Final = np.array([State.HOLD, State.RISE, State.SIDE, State.DOWN, State.STROKE])
"""State of each :class:`~sima2.segmentation.motion.Carry`."""


@dataclass(frozen=True, eq=False)
class States:
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

    def take(self, rows: Int64s) -> States:
        """Some of the frames."""
        return States(**{each.name: getattr(self, each.name).take(rows) for each in fields(self)})


def compute_states(features: Features, settings: StateSettings) -> States:
    """States of every frame of one arm."""
    ragged = features.ragged
    closing, opening = moving_fingers(features, settings)
    fallen = None
    if by_fingers_alone(features):
        hand = hand_of(features, closing, opening, settings)
        closing, loaded, unsure, fallen = hand.taking, hand.loaded, hand.unsure, hand.lost
        shut = shut_fingers(features, closing, opening)
    else:
        met = fist(features, closing, opening, settings)
        # pads that were pressed apart and come together again close on nothing
        closing = closing & ~met
        shut = shut_fingers(features, closing, opening)
        loaded = loaded_hand(features, shut & ~met, closing, opening, settings)
        unsure = loaded & False
    load, moved_with = loads_of(features, loaded, settings)
    flown = flown_loads(features, loaded, closing, settings)
    slip = slips(features, loaded, shut, closing, opening, load, settings)
    pulled_on = strained(features, loaded & ~flown, settings)
    slip &= ~pulled_on
    press, stroke, bump = contacts(features, loaded, flown, closing, opening, slip, settings)
    level = strokes(features, slip | closing | opening, settings)
    bump = bump & ~level
    press = press | (level & loaded) | pulled_on
    if features.touching is not None or features.object_position is not None:
        # an empty hand of which nothing but its way is known may as well be waving
        stroke = stroke | (level & ~loaded)
    press &= ~settles(features, loaded, closing, settings)
    press = press | (pushes(features, loaded, slip | closing | opening, settings) & ~bump & ~stroke)

    loaded = loaded & ~remainders(loaded, slip, opening, ragged, settings)
    moving = without_short(features.moving, ragged, gap=settings.flicker_s, run=settings.flicker_s)
    code = _motion(features, loaded, moving, opening, settings)
    if features.velocity is not None:
        # what comes up with the hand is lifted, however heavy
        press &= code != State.RISE
    code[press] = State.PRESS
    code[stroke] = State.STROKE
    if features.position is not None:
        stuck, wiggle = unyielding(features, press & loaded & ~flown, loaded & ~flown & moving, settings)
        code[stuck] = State.STUCK
        code[wiggle] = State.WIGGLE
    code[closing] = State.CLOSING
    code[opening] = State.OPENING
    slip &= ~let_go_unseen(features, slip, opening, settings)
    slip |= let_fall(features, loaded & flown, opening, closing, load, settings)
    code[slip | (collapsed(closing, opening, loaded, ragged, settings) if fallen is None else fallen)] = State.SLIP
    code[bump] = State.BUMP
    if features.position is not None:
        code[bump & loaded & coming_down(features, bump)] = State.BLOCKED
    if features.speed is None:
        code[:] = State.UNKNOWN
    else:
        code[without_short(features.missing, ragged, gap=0.0, run=0.25)] = State.UNKNOWN
    return States(
        code=_steady(code, features, settings) if len(code) else code,
        loaded=loaded,
        load=load,
        flown=flown,
        unsure=loaded & unsure,
        moved_with=moved_with,
    )


def _motion(features: Features, loaded: Bools, moving: Bools, opening: Bools, settings: StateSettings) -> Int64s:
    """State of each frame by how the arm moves alone, shape (T,)."""
    code = np.where(moving, State.FREE, State.STILL).astype(np.int64)
    code[loaded] = State.HOLD
    carried = loaded & moving
    if features.velocity is None:
        how = carries(features, loaded, opening, settings.motion)
        code[carried] = BY_CARRY[how[carried]]
    else:
        up = features.velocity[:, 2]
        steep = np.abs(up) > features.sideways
        code[carried] = State.SIDE
        code[carried & steep & (up > 0)] = State.RISE
        code[carried & steep & (up < 0)] = State.DOWN
    return code


def _steady(code: Int64s, features: Features, settings: StateSettings) -> Int64s:
    """Give runs shorter than the flicker time to the run before them (the first ones to the run after)."""
    ragged = features.ragged
    start, stop = runs_of(code, ragged)
    long = (stop - start) >= ragged.frames(settings.flicker_s)[ragged.episode[start]]
    long |= among(code[start], (State.CLOSING, State.OPENING, State.SLIP))
    episode = ragged.episode[start]
    first = np.searchsorted(episode, episode)
    last = np.searchsorted(episode, episode, side="right") - 1
    before = last_where(long, first)
    after = next_where(long, last)
    source = np.where(before >= 0, before, np.where(after >= 0, after, np.arange(len(start))))
    return np.repeat(code[start][source], stop - start)
