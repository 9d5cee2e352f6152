"""What follows a failure, up to the next approach or action: stop, let go, back off, reposition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sima2.records.arrays import Bools, Int64s
from sima2.records.vocabulary import LABELS
from sima2.segmentation.features import Features
from sima2.segmentation.signals import among, last_where, next_where, per_run, running_max_in, runs_of
from sima2.segmentation.states import State, States

CODE = {name: code for code, name in enumerate(LABELS)}
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


@dataclass(frozen=True, eq=False)
class _Runs:
    """Runs of equal label."""

    start: Int64s
    stop: Int64s
    kind: Int64s
    first: Int64s
    last: Int64s

    def at(self, *names: str) -> Bools:
        """Runs with one of these labels."""
        return among(self.kind, [CODE[name] for name in names])

    def before(self, mask: Bools) -> Bools:
        """Whether the mask holds for the run before, in the same episode."""
        here = np.arange(len(mask))
        return np.append(False, mask[:-1])[: len(mask)] & (here > self.first)

    def frames(self, mask: Any) -> Any:
        """Values of runs at their frames."""
        return np.repeat(mask, self.stop - self.start)


def _runs(label: Int64s, features: Features) -> _Runs:
    start, stop = runs_of(label, features.ragged)
    episode = features.ragged.episode[start]
    first = np.searchsorted(episode, episode)
    last = np.searchsorted(episode, episode, side="right") - 1
    return _Runs(start, stop, label[start], first, last)


def failed_releases(features: Features, action: Int64s, failed: Bools) -> Bools:
    """Frames of failures, and of the letting go right after one, shape (T,)."""
    if not len(action):
        return failed
    runs = _runs(action, features)
    ended = failed[runs.stop - 1]
    out: Bools = failed | runs.frames(runs.at("release") & runs.before(ended))
    return out


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
    if features.pose is None or not len(label):
        return label
    out = _let_go(features, label, failed)
    out = _between_strokes(features, out, failed)
    out = _backs_off(features, states, out, failed, settings)
    out = _eases(features, out, settings)
    return _gives_up(features, states, out, failed, settings)


def _let_go(features: Features, label: Int64s, failed: Bools) -> Int64s:
    """Fingers that open after a failure, where another attempt follows."""
    runs = _runs(label, features)
    after = next_where(runs.at(*_ATTEMPTS), runs.last)
    opens = runs.at("release") & failed[runs.stop - 1] & runs.before(failed[runs.stop - 1]) & (after >= 0)
    return np.where(runs.frames(opens), CODE["recovery_maneuver"], label)


def _between_strokes(features: Features, label: Int64s, failed: Bools) -> Int64s:
    """From strokes that failed to the next ones with the tool still in the hand."""
    runs = _runs(label, features)
    wipe = runs.at("wipe")
    carried = runs.at("lift", "transport", "idle", "unknown", "recovery_maneuver")
    here = np.arange(len(wipe))
    since = last_where(~carried, runs.first)
    until = next_where(~carried, runs.last)
    ends_failed = wipe & failed[runs.stop - 1]
    between = carried & (since >= 0) & (until > here) & ends_failed[np.maximum(since, 0)] & wipe[np.maximum(until, 0)]
    return np.where(runs.frames(between), CODE["recovery_maneuver"], label)


def _backs_off(features: Features, states: States, label: Int64s, failed: Bools, settings: RecoverySettings) -> Int64s:
    """A loaded hand that was stopped and then turns away: up to where it turns again."""
    if features.velocity is None or features.position is None:
        return label
    ragged = features.ragged
    runs = _runs(label, features)
    stopped = runs.at("collision") | (runs.at("place") & failed[runs.stop - 1])
    carrying = runs.at("lift", "transport", "place") & runs.before(stopped)
    # the first motion after it, with the rest before and after
    start, stop = runs_of(label * (max(State) + 1) + states.code, ragged)
    step = features.position[stop - 1] - features.position[start]
    far = (step * step).sum(axis=1) > settings.back_m**2
    moves = (far & among(states.code[start], (State.RISE, State.SIDE, State.DOWN))).astype(np.int64)
    count = np.cumsum(moves)
    place = np.searchsorted(start, runs.start)
    number = count - np.repeat(count[place] - moves[place], np.diff(np.append(place, len(start))))
    early = np.repeat(number <= 1, stop - start)
    end = per_run(np.maximum, np.where(early, np.arange(len(label)), -1), runs.start)
    way = features.position[np.maximum(end, runs.start)] - features.position[runs.start]
    # what goes on the way it came corrects nothing
    cause = np.maximum(np.arange(len(carrying)) - 1, 0)
    hit = runs.at("collision")[cause]
    tip = np.where(hit, runs.start[cause], runs.stop[cause] - 1)
    brief = ragged.frames(settings.came_s)[ragged.episode[runs.start]]
    origin = np.where(hit, np.maximum(tip - brief, ragged.first[runs.start]), runs.start[cause])
    came = features.position[tip] - features.position[origin]
    size = np.sqrt((came * came).sum(axis=1) * (way * way).sum(axis=1))
    turned = ((came * way).sum(axis=1) < settings.goes_on * size) & ((way * way).sum(axis=1) > settings.back_m**2)
    return np.where(runs.frames(carrying & turned) & early, CODE["recovery_maneuver"], label)


def _eases(features: Features, label: Int64s, settings: RecoverySettings) -> Int64s:
    """From a pull in vain to the next one with the hand still on it: the force gives way, or comes and goes."""
    if features.contact is None or features.position is None:
        return label
    ragged, position = features.ragged, features.position
    runs = _runs(label, features)
    rows = np.flatnonzero(label == CODE["pull"])
    run = np.searchsorted(runs.start, rows, side="right") - 1
    contact, begun = features.contact[rows], runs.start[run]
    head = np.flatnonzero(np.diff(run, prepend=-1))
    strongest = running_max_in(run, contact)
    peak = np.repeat(per_run(np.maximum, contact, head), np.diff(head, append=len(rows)))
    come = np.sqrt(((position[rows] - position[begun]) ** 2).sum(axis=1))
    slack = (contact < settings.eased_share * strongest) & (strongest > settings.eased_share * peak)
    slack &= come < settings.held_fast_m
    period = ragged.period[ragged.episode[rows]]
    start, stop = _stretches(slack, run)
    # a force that comes and goes is none that pulls
    brief = (stop - start) * period[start] < settings.comes_and_goes_s
    inner = (rows[start] > begun[start]) & (rows[stop - 1] + 1 < runs.stop[run[start]])
    slack |= np.repeat(brief & inner & ~slack[start], stop - start)
    start, stop = _stretches(slack, run)
    eased = slack[start] & (rows[stop - 1] + 1 < runs.stop[run[start]])
    eased &= (stop - start) * period[start] >= settings.eased_s
    out = label.copy()
    out[rows[np.repeat(eased, stop - start)]] = CODE["recovery_maneuver"]
    return out


def _stretches(slack: Bools, run: Int64s) -> tuple[Int64s, Int64s]:
    """Starts and stops of equal values within runs."""
    begins = np.append(True, (slack[1:] != slack[:-1]) | (run[1:] != run[:-1]))[: len(slack)]
    start = np.flatnonzero(begins)
    return start, np.append(start[1:], len(slack))[: len(start)]


def _gives_up(features: Features, states: States, label: Int64s, failed: Bools, settings: RecoverySettings) -> Int64s:
    """A failed attempt ends with its last motion; what rests after it belongs to the recovery that follows."""
    ragged = features.ragged
    runs = _runs(label, features)
    follows = np.append(runs.at("recovery_maneuver")[1:], False) & (np.arange(len(runs.kind)) < runs.last)
    ended = failed[runs.stop - 1] & follows
    here = np.arange(len(label))
    # strokes end with the last rest, a pull with the force
    start, stop = runs_of(features.moving, ragged)
    long = ~features.moving[start] & (stop - start >= ragged.frames(settings.rest_s)[ragged.episode[start]])
    rest = np.repeat(np.where(long, start, -1), stop - start)
    reach = ragged.frames(settings.leaves_s)[ragged.episode[runs.start]]
    last_rest = rest[np.maximum(runs.stop - 1 - reach, runs.start)]
    wiped = runs.at("wipe") & ended & (last_rest > runs.start)
    slack = states.code == State.HOLD
    if features.contact is not None:
        strongest = runs.frames(per_run(np.maximum, features.contact, runs.start))
        slack |= features.contact < settings.slack_share * strongest
    pulled = runs.frames(runs.at("pull") & ended)
    taut = per_run(np.maximum, np.where(slack, -1, here), runs.start)
    out = np.where(runs.frames(wiped) & (here >= runs.frames(last_rest)), CODE["recovery_maneuver"], label)
    return np.where(pulled & (here > runs.frames(taut)) & (runs.frames(taut) >= 0), CODE["recovery_maneuver"], out)
