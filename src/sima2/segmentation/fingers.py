"""Features → what the fingers do: where they move, where they are shut, and what their width tells."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s
from sima2.segmentation.features import Features
from sima2.segmentation.signals import Ragged, Runs, last_where, next_where, runs_of, squares, without_short
from sima2.segmentation.state_settings import StateSettings

BEYOND: Final = 10.0
"""Times the range of the fingers: no travel is that far."""


def moving_fingers(features: Features, settings: StateSettings) -> tuple[Bools, Bools]:
    """Where the fingers close and open."""
    ragged, width = features.ragged, features.width
    if width is None:
        nothing = np.zeros(len(ragged.time), np.bool_)
        return nothing, nothing
    half = ragged.frames(features.settings.slope_s).take(ragged.episode)
    rate_noise = features.width_noise * np.sqrt(2.0 / (half + 1)) / (half * ragged.period.take(ragged.episode))
    fast = np.maximum(settings.finger_share_per_s * features.width_range, settings.clear * rate_noise)
    able = features.width_range > (settings.able_m if features.metric_width else settings.able_share)
    found: list[Bools] = []
    for sign in (-1.0, 1.0):
        quick = (sign * features.width_rate > fast) & able
        mask = without_short(quick, ragged, gap=settings.flicker_s, run=settings.flicker_s)
        runs = runs_of(mask, ragged)
        start, end = runs.start, np.minimum(runs.stop, ragged.last[runs.start])
        travel = np.abs(width[end] - width[start])
        share = np.full(len(runs), settings.finger_travel)
        if sign > 0 and features.gripping is not None and features.grip is not None:
            # fingers that were pressing and no longer are have let go, however little they opened
            pressed = features.gripping[ragged.ago(start, settings.fade_s)]
            freed = ~features.gripping[end]
            share[pressed & freed] = settings.letting_go
            # and those that press on, however far they spread, yield to what they hold
            share[~freed & (features.grip[end] > settings.eased_share * features.grip[start])] = BEYOND
        enough = np.maximum(share * features.width_range[start], settings.clear * features.width_noise[start])
        opening = sign > 0
        found.append(_under_way(features, width, runs, mask[start] & (travel > enough), opening, settings))
    closing, opened = found
    return closing, opened | _from_loosening(features, closing, opened, settings)


def _from_loosening(features: Features, closing: Bools, opening: Bools, settings: StateSettings) -> Bools:
    """From where the grip of a resting hand ends to where its fingers, of which only a bit is told, open, shape (T,).

    The bit turns when the command comes, or only half the way of the fingers later.
    """
    ragged = features.ragged
    if features.gripping is None or features.pose is None or features.closed_known is None:
        return opening & False
    opens = next_where(opening, ragged.last)
    gripped = last_where(features.gripping, ragged.first)
    span = ragged.frames(settings.told_late_s).take(ragged.episode)
    soon = (opens >= 0) & (gripped >= 0) & (gripped < np.arange(len(opening))) & (opens - gripped <= span)
    rests = features.speed.take(np.maximum(gripped, 0)) < settings.carrying_speed
    since = last_where(closing | opening, ragged.first)
    return np.asarray(soon & rests & (since < gripped) & ~features.closed_known & ~closing)


def _under_way(
    features: Features, width: Float64s, runs: Runs, keep: Bools, opening: bool, settings: StateSettings
) -> Bools:
    """Runs of moving fingers without what smoothing puts before them, nor yielding to a load, shape (T,).

    Pads and links give way under a firm grip: fingers that spread, while they grip as firmly as before or what they
    grip still goes where the hand goes, have not opened.
    """
    begun = np.maximum(settings.begun_share * features.width_range, settings.begun_noise * features.width_noise)
    way = width - runs.spread(width[runs.start])
    begins = (way if opening else -way) > begun
    if opening and features.gripping is not None and features.grip is not None:
        firm = features.grip > settings.eased_share * runs.spread(features.grip[runs.start])
        begins &= ~(features.gripping & (firm if features.company is None else firm | features.company))
    # the frame before the first that has moved
    first = runs.first_in(begins) - 1
    return runs.spread(keep & runs.any(begins)) & (np.arange(len(begins)) >= runs.spread(first))


def shut_fingers(features: Features, closing: Bools, opening: Bools) -> Bools:
    """Fingers closed on something or on nothing: from the end of a closing to the next opening."""
    ragged = features.ragged
    if features.width is None:
        return np.ones(len(ragged.time), np.bool_)
    # before any finger motion nothing is known of a load; only force or company can show one there
    return _later(closing, opening, ragged) & ~closing & ~opening


def _later(mask: Bools, other: Bools, ragged: Ragged) -> Bools:
    """Frames before or at which the mask held later than the other did, shape (T,)."""
    return np.asarray(last_where(mask, ragged.first) > last_where(other, ragged.first))


def fist(features: Features, closing: Bools, opening: Bools, settings: StateSettings) -> Bools:
    """From where closing fingers have met, with no grip, to where they open: what presses on them spreads them."""
    ragged = features.ragged
    shut = shut_fingers(features, closing, opening)
    nothing = ~gap(features, settings) & ~untold(features, settings)
    for told in (features.gripping, features.company, features.blocked):
        if told is not None:
            nothing &= ~told
    runs = runs_of(shut, ragged)
    settled = np.minimum(runs.start + runs.frames(settings.flicker_s), runs.stop - 1)
    met = shut[runs.start] & nothing[runs.start] & nothing[settled]
    at = np.zeros(len(shut), np.bool_)
    at[runs.start[met]] = True
    return _later(at, opening, ragged) | _pressed_on_the_way(features, shut, closing, opening, settings)


def _pressed_on_the_way(
    features: Features, shut: Bools, closing: Bools, opening: Bools, settings: StateSettings
) -> Bools:
    """Shut fingers, of which only a bit is told, that feel something only after the hand has gone some way, shape (T,).

    What they hold presses on them from where they close.
    """
    position = features.position
    if features.gripping is None or position is None or features.closed_known is None:
        return shut & False
    shut = shut | (last_where(closing | opening, features.ragged.first) < 0)
    runs = runs_of(shut, features.ragged)
    felt = runs.first_in(features.gripping)
    step = position[np.minimum(felt, runs.stop - 1)] - position[runs.start]
    gone = (felt >= runs.stop) | (squares(step) > settings.company_m**2)
    gone &= shut[runs.start] & ~(wide_open(features, settings) | features.closed_known)[runs.start]
    return runs.spread(gone)


def wide_open(features: Features, settings: StateSettings) -> Bools:
    """The fingers are as far apart as is known of them: what presses on them is not between them, shape (T,)."""
    if features.width is None:
        return np.zeros(len(features.ragged.time), np.bool_)
    open_end = features.width_closed + features.width_range
    return np.asarray(features.width > open_end - settings.load_gap * features.width_range)


def gap(features: Features, settings: StateSettings) -> Bools:
    """The fingers stop before the most closed that is known of them, shape (T,)."""
    if features.width is None:
        return np.zeros(len(features.ragged.time), np.bool_)
    return np.asarray(features.width > features.width_closed + features.finely(slice(None), settings.load_gap))


def untold(features: Features, settings: StateSettings) -> Bools:
    """The width of the fingers does not tell whether something is between them, nor does their command, shape (T,)."""
    if features.width is None or features.closed_known is None:
        return np.zeros(len(features.ragged.time), np.bool_)
    unknown = ~features.closed_known & ~gap(features, settings)
    return unknown if features.blocked is None else unknown & ~features.blocked


def collapsed(closing: Bools, opening: Bools, loaded: Bools, ragged: Ragged, settings: StateSettings) -> Bools:
    """Fingers that close from a load to none: it has slipped out from between them, shape (T,)."""
    runs = runs_of(closing, ragged)
    reach = runs.frames(settings.fade_s)
    before = last_where(loaded, ragged.first)[runs.start]
    after = next_where(loaded, ragged.last)[np.minimum(runs.stop, ragged.last[runs.start])]
    let_go = last_where(opening, ragged.first)[runs.start]
    held_before = (before > let_go) & (runs.start - before <= reach)
    held_after = (after >= 0) & (after - runs.stop <= reach)
    return runs.spread(closing[runs.start] & held_before & ~held_after)
