"""Features → what the fingers do: where they move, where they are shut, and what their width tells."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Int64s
from sima2.segmentation.features import Features
from sima2.segmentation.signals import Ragged, last_where, next_where, per_run, runs_of, without_short
from sima2.segmentation.state_settings import StateSettings

BEYOND: Final = 10.0
"""Times the range of the fingers: no travel is that far."""


def moving_fingers(features: Features, settings: StateSettings) -> tuple[Bools, Bools]:
    """Where the fingers close and open."""
    ragged = features.ragged
    nothing = np.zeros(len(ragged.time), np.bool_)
    if features.width is None or features.width_rate is None:
        return nothing, nothing
    half = ragged.frames(0.1).take(ragged.episode)
    rate_noise = features.width_noise * np.sqrt(2.0 / (half + 1)) / (half * ragged.period.take(ragged.episode))
    fast = np.maximum(settings.finger_share_per_s * features.width_range, 5.0 * rate_noise)
    able = features.width_range > (settings.able_m if features.metric_width else settings.able_share)
    found: list[Bools] = []
    for sign in (-1.0, 1.0):
        mask = without_short(
            (sign * features.width_rate > fast) & able,
            ragged,
            gap=settings.flicker_s,
            run=settings.flicker_s,
        )
        start, stop = runs_of(mask, ragged)
        travel = np.abs(features.width[np.minimum(stop, ragged.last[start])] - features.width[start])
        share = np.full(len(start), settings.finger_travel)
        if sign > 0 and features.gripping is not None:
            # fingers that were pressing and no longer are have let go, however little they opened
            reach = ragged.frames(settings.fade_s)[ragged.episode[start]]
            pressed = features.gripping[np.maximum(start - reach, ragged.first[start])]
            freed = ~features.gripping[np.minimum(stop, ragged.last[start])]
            share[pressed & freed] = settings.letting_go
            # and those that press on, however far they spread, yield to what they hold
            if features.grip is not None:
                end = np.minimum(stop, ragged.last[start])
                share[~freed & (features.grip[end] > settings.eased_share * features.grip[start])] = BEYOND
        enough = np.maximum(share * features.width_range[start], 5.0 * features.width_noise[start])
        keep = mask[start] & (travel > enough)
        found.append(_under_way(features, start, stop, keep, sign, settings))
    closing, opening = found
    return closing, opening | _from_loosening(features, closing, opening, settings)


def _from_loosening(features: Features, closing: Bools, opening: Bools, settings: StateSettings) -> Bools:
    """From where the grip of a resting hand ends to where its fingers, of which only a bit is told, open, shape (T,).

    The bit turns when the command comes, or only half the way of the fingers later.
    """
    ragged = features.ragged
    if features.gripping is None or features.speed is None or features.closed_known is None:
        return opening & False
    opens = next_where(opening, ragged.last)
    here = np.arange(len(opening))
    gripped = last_where(features.gripping, ragged.first)
    span = ragged.frames(settings.told_late_s).take(ragged.episode)
    soon = (opens >= 0) & (gripped >= 0) & (gripped < here) & (opens - gripped <= span)
    rests = features.speed.take(np.maximum(gripped, 0)) < settings.carrying_speed
    since = last_where(closing | opening, ragged.first)
    return np.asarray(soon & rests & (since < gripped) & ~features.closed_known & ~closing)


def _under_way(
    features: Features, start: Int64s, stop: Int64s, keep: Bools, sign: float, settings: StateSettings
) -> Bools:
    """Runs of moving fingers without what smoothing puts before them, nor yielding to a load, shape (T,).

    Pads and links give way under a firm grip: fingers that spread, while they grip as firmly as before or what they
    grip still goes where the hand goes, have not opened.
    """
    begun = np.maximum(settings.begun_share * features.width_range, 3.0 * features.width_noise)
    span = stop - start
    before = np.repeat(features.width[start], span) if features.width is not None else np.zeros(span.sum())
    begins = sign * (features.width - before) > begun if features.width is not None else before > 0
    if sign > 0 and features.gripping is not None and features.grip is not None:
        firm = features.grip > settings.eased_share * np.repeat(features.grip[start], span)
        begins = begins & ~(features.gripping & (firm if features.company is None else firm | features.company))
    first = per_run(np.minimum, np.where(begins, np.arange(len(begins)), len(begins)), start)
    # the frame before the first that has moved
    first = np.maximum(first - 1, start)
    return np.repeat(keep, span) & (np.arange(len(begins)) >= np.repeat(first, span))


def shut_fingers(features: Features, closing: Bools, opening: Bools) -> Bools:
    """Fingers closed on something or on nothing: from the end of a closing to the next opening."""
    ragged = features.ragged
    if features.width is None:
        return np.ones(len(ragged.time), np.bool_)
    closed_at = last_where(closing, ragged.first)
    opened_at = last_where(opening, ragged.first)
    # before any finger motion nothing is known of a load; only force or company can show one there
    out: Bools = (closed_at > opened_at) & ~closing & ~opening
    return out


def fist(features: Features, closing: Bools, opening: Bools, settings: StateSettings) -> Bools:
    """From where closing fingers have met, with no grip, to where they open: what presses on them spreads them."""
    ragged = features.ragged
    shut = shut_fingers(features, closing, opening)
    nothing = ~gap(features, settings) & ~untold(features, settings)
    if features.gripping is not None:
        nothing &= ~features.gripping
    if features.company is not None:
        nothing &= ~features.company
    if features.blocked is not None:
        nothing &= ~features.blocked
    start, stop = runs_of(shut, ragged)
    settled = np.minimum(start + ragged.frames(settings.flicker_s)[ragged.episode[start]], stop - 1)
    met = shut[start] & nothing[start] & nothing[settled]
    at = np.zeros(len(shut), np.bool_)
    at[start[met]] = True
    met_at, opened_at = last_where(at, ragged.first), last_where(opening, ragged.first)
    met_before: Bools = (met_at >= 0) & (met_at > opened_at)
    return met_before | _pressed_on_the_way(features, shut, closing, opening, settings)


def _pressed_on_the_way(
    features: Features, shut: Bools, closing: Bools, opening: Bools, settings: StateSettings
) -> Bools:
    """Shut fingers, of which only a bit is told, that feel something only after the hand has gone some way, shape (T,).

    What they hold presses on them from where they close.
    """
    ragged = features.ragged
    if features.gripping is None or features.position is None or features.closed_known is None:
        return shut & False
    untouched = last_where(closing | opening, ragged.first) < 0
    start, stop = runs_of(shut | untouched, ragged)
    runs = (shut | untouched)[start] & ~wide_open(features, settings)[start]
    here = np.arange(len(shut))
    felt = per_run(np.minimum, np.where(features.gripping, here, len(here)), start)
    step = features.position[np.minimum(felt, stop - 1)] - features.position[start]
    gone = (felt >= stop) | ((step * step).sum(axis=1) > settings.company_m**2)
    return np.repeat(runs & gone & ~features.closed_known[start], stop - start)


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
    least = np.maximum(settings.load_gap * features.width_range, 4.0 * features.width_noise)
    return np.asarray(features.width > features.width_closed + least)


def untold(features: Features, settings: StateSettings) -> Bools:
    """The width of the fingers does not tell whether something is between them, nor does their command, shape (T,)."""
    if features.width is None or features.closed_known is None:
        return np.zeros(len(features.ragged.time), np.bool_)
    unknown = ~features.closed_known & ~gap(features, settings)
    return unknown if features.blocked is None else unknown & ~features.blocked


def collapsed(closing: Bools, opening: Bools, loaded: Bools, ragged: Ragged, settings: StateSettings) -> Bools:
    """Fingers that close from a load to none: it has slipped out from between them, shape (T,)."""
    start, stop = runs_of(closing, ragged)
    reach = ragged.frames(settings.fade_s)[ragged.episode[start]]
    before = last_where(loaded, ragged.first)[start]
    after = next_where(loaded, ragged.last)[np.minimum(stop, ragged.last[start])]
    let_go = last_where(opening, ragged.first)[start]
    held_before = (before > let_go) & (start - before <= reach)
    held_after = (after >= 0) & (after - stop <= reach)
    return np.repeat(closing[start] & held_before & ~held_after, stop - start)
