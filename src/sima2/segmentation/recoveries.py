"""What follows a failure, up to the next approach or action: stop, let go, back off, reposition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sima2.records.arrays import Bools, Int64s
from sima2.segmentation.features import Features
from sima2.segmentation.labels import CODE, LabelRuns, named
from sima2.segmentation.rules import LAST, Rule, RuleList
from sima2.segmentation.signals import (
    among,
    last_where,
    lengths,
    next_where,
    pick,
    running_max_in,
    runs_of,
    squares,
)
from sima2.segmentation.states import State, States

_ATTEMPTS = ("approach", "grasp", "lift", "transport", "place", "pull", "push", "wipe")


@dataclass(frozen=True, slots=True)
class RecoverySettings:
    """When a motion after a failure is a correction."""

    goes_on: float = 0.5
    """Cosine to the way before a collision above which the hand just carries on."""
    back_m: float = 0.015
    """A hand that moves less away has only been pushed back."""
    came_s: float = 0.3
    """The way before a collision is that of its last moments."""
    slack_share: float = 0.4
    """Force that has fallen for good to that share of the strongest is no attempt any more."""
    eased_share: float = 0.5
    """Less of the force than that is no pulling."""
    comes_and_goes_s: float = 0.3
    """It does not last any longer."""
    eased_s: float = 0.5
    """A shorter time without is no correction."""
    held_fast_m: float = 0.012
    """What has not come by that much has not come."""
    rest_s: float = 0.2
    """Strokes that rest for so long have ended."""
    leaves_s: float = 0.25
    """Contact outlasts the start of the way up by so much."""


def failed_releases(features: Features, action: Int64s, failed: Bools) -> Bools:
    """Frames of failures, and of the letting go right after one, shape (T,)."""
    runs = LabelRuns.of(action, features.ragged)
    return np.asarray(failed | runs.spread(runs.at("release") & runs.before(failed[runs.stop - 1], False)))


def label_recoveries(
    features: Features, states: States, label: Int64s, failed: Bools, settings: RecoverySettings
) -> Int64s:
    """Labels with the recoveries among them, shape (T,).

    Args:
        features: of the batch.
        states: of the batch.
        label: of every frame, free motion named already.
        failed: frames of segments known to have failed.
        settings: thresholds.
    """
    if features.pose is None:
        return label
    attempts = Attempts(features, states, label.copy(), failed, settings)
    for rule, holds in RECOVERY_RULES.asked(attempts):
        attempts.label[holds] = CODE[rule.says]
    return attempts.label


@dataclass(frozen=True, eq=False)
class Attempts:
    """Labels as they are so far, and where attempts failed; rules tell of frames."""

    features: Features
    states: States
    label: Int64s
    """shape (T,)."""
    failed: Bools
    """shape (T,)."""
    settings: RecoverySettings

    @property
    def runs(self) -> LabelRuns:
        """Runs of the labels so far."""
        return LabelRuns.of(self.label, self.features.ragged)


def _lets_go(attempts: Attempts) -> Bools:
    """Fingers that open after a failure, where another attempt follows."""
    runs = attempts.runs
    ended = attempts.failed[runs.stop - 1]
    follows = next_where(runs.at(*_ATTEMPTS), runs.last) >= 0
    return runs.spread(runs.at("release") & ended & runs.before(ended, False) & follows)


def _between_strokes(attempts: Attempts) -> Bools:
    """From strokes that failed to the next ones with the tool still in the hand."""
    runs = attempts.runs
    wipe, carried = runs.at("wipe"), runs.at("lift", "transport", "idle", "unknown", "recovery_maneuver")
    since, until = last_where(~carried, runs.first), next_where(~carried, runs.last)
    failed = pick(since, wipe & attempts.failed[runs.stop - 1], False)
    return runs.spread(carried & failed & pick(until, wipe, False) & (until > runs.here))


def _backs_off(attempts: Attempts) -> Bools:
    """A loaded hand that was stopped and then turns away: up to where it turns again."""
    features, states, label, settings = attempts.features, attempts.states, attempts.label, attempts.settings
    position, ragged, runs = features.position, features.ragged, attempts.runs
    if position is None:
        return label < 0
    stopped = runs.at("collision") | (runs.at("place") & attempts.failed[runs.stop - 1])
    carrying = runs.at("lift", "transport", "place") & runs.before(stopped, False)
    # the first motion after it, with the rest before and after
    parts = runs_of(label * (max(State) + 1) + states.code, ragged)
    start = parts.start
    far = squares(position[parts.stop - 1] - position[start]) > settings.back_m**2
    moves = (far & among(states.code[start], (State.RISE, State.SIDE, State.DOWN))).astype(np.int64)
    count = np.cumsum(moves)
    place = np.searchsorted(start, runs.start)
    number = count - np.repeat(count[place] - moves[place], np.diff(np.append(place, len(start))))
    early = parts.spread(number <= 1)
    way = position[np.maximum(runs.last_in(early), runs.start)] - position[runs.start]
    # what goes on the way it came corrects nothing
    cause = np.maximum(runs.here - 1, 0)
    hit = runs.at("collision")[cause]
    tip = np.where(hit, runs.start[cause], runs.stop[cause] - 1)
    brief = runs.frames(settings.came_s)
    origin = np.where(hit, np.maximum(tip - brief, ragged.first[runs.start]), runs.start[cause])
    came = position[tip] - position[origin]
    size = np.sqrt(squares(came) * squares(way))
    turned = ((came * way).sum(axis=1) < settings.goes_on * size) & (squares(way) > settings.back_m**2)
    return runs.spread(carrying & turned) & early


def _eases(attempts: Attempts) -> Bools:
    """From a pull in vain to the next one with the hand still on it: the force gives way, or comes and goes."""
    features, settings, runs = attempts.features, attempts.settings, attempts.runs
    contact, position, pulled = features.contact, features.position, named(attempts.label, "pull")
    if contact is None or position is None or not pulled.any():
        return pulled & False
    run = runs.spread(runs.here)
    strongest, peak = running_max_in(run, contact), runs.largest(contact)[run]
    slack = pulled & (contact < settings.eased_share * strongest) & (strongest > settings.eased_share * peak)
    slack &= lengths(position - position[runs.start[run]]) < settings.held_fast_m
    parts = runs_of(2 * run + slack, features.ragged)
    # a force that comes and goes is none that pulls
    mine = run[parts.start]
    inner = (parts.start > runs.start[mine]) & (parts.stop < runs.stop[mine])
    slack |= pulled & parts.spread(inner & (parts.seconds < settings.comes_and_goes_s))
    parts = runs_of(2 * run + slack, features.ragged)
    eased = slack[parts.start] & (parts.stop < runs.stop[run[parts.start]])
    return parts.spread(eased & (parts.seconds >= settings.eased_s))


def _gives_up(attempts: Attempts) -> Bools:
    """A failed attempt ends with its last motion; what rests after it belongs to the recovery that follows."""
    features, settings, runs = attempts.features, attempts.settings, attempts.runs
    here = np.arange(len(attempts.label))
    ended = attempts.failed[runs.stop - 1] & runs.after(runs.at("recovery_maneuver"), False)
    # strokes end with the last rest, a pull with the force
    rests = runs_of(features.moving, features.ragged)
    long = ~features.moving[rests.start] & (rests.length >= rests.frames(settings.rest_s))
    rest = rests.spread(np.where(long, rests.start, -1))
    last_rest = rest[np.maximum(runs.stop - 1 - runs.frames(settings.leaves_s), runs.start)]
    wiped = runs.at("wipe") & ended & (last_rest > runs.start)
    slack = attempts.states.code == State.HOLD
    if features.contact is not None:
        slack |= features.contact < settings.slack_share * runs.spread(runs.largest(features.contact))
    taut = runs.last_in(~slack)
    pulled = runs.at("pull") & ended & (taut >= 0)
    return (runs.spread(wiped) & (here >= runs.spread(last_rest))) | (runs.spread(pulled) & (here > runs.spread(taut)))


RECOVERY_RULES = RuleList(
    "label",
    "What after a failure is a recovery",
    LAST,
    tuple(Rule("recovery_maneuver", each) for each in (_lets_go, _between_strokes, _backs_off, _eases, _gives_up)),
)
