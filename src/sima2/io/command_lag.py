"""How the columns of a state follow their commands: by how many frames, how closely, and whether at all.

A joint that is told where to be gets there late and, where something is in its way, not quite. The lag is the
controller's and the bus's, the same in every episode; what is left after it is evidence of effort.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sima2.io.column_words import tokens
from sima2.io.sample import Sample
from sima2.records.arrays import Bools, Float64s, Int64s

Key = tuple[str, int]
"""Feature and column."""

LONGEST_LAG_S: Final = 0.5
"""Longest lag looked for: position servos settle in 0.1–0.3 s, and half a second of delay cannot be teleoperated."""
LAG_FRAMES: Final = 15
"""… in frames, where no frame rate is known: half a second at 30 Hz, the most common rate of recordings."""
MOST_LAGS: Final = 64
"""Bound of the work where the frame rate is high."""
MOST_COLUMNS: Final = 256
"""A wider action is no list of joints."""
FIT_FRAMES: Final = 30_000
"""Frames, evenly spread over the sample, on which a lag rests: a quarter of an hour at 30 Hz."""
LEAST_FRAMES: Final = 60
"""Frames below which nothing is estimated."""
MATCH_FRAMES: Final = 3_000
"""Frames on which every command is held against every column."""
SHARP: Final = 1.25
"""The residual at the worst lag over that at the best; below it the column moved too little to tell a lag."""
CORRELATED: Final = 0.7
"""Least correlation by which a column shows that it follows an absolute command."""
LOOSELY: Final = 0.3
"""… once others have shown it: one that often stalls correlates less."""
SAME_UNIT: Final = 2.0
"""Largest factor between the ranges of command and state in one unit; a stalled joint moves less than it is told."""
OWN: Final = 1.25
"""A column's own command leaves at most so many times the residual that the best of the others' leaves."""
OWN_LOOSELY: Final = 2.0
UNMISTAKABLE: Final = 0.5
"""… and where it leaves less than half of it, no other column was meant."""
IDENTICAL: Final = 1e-4
"""Residuals below this share of the range: the recorded actions are the states themselves, not commands."""
HELD: Final = 0.05
"""A command that changes less than this share of its range over the longest lag is held: the joint has settled."""
_SAY_NOTHING: Final = frozenset(
    {"pos", "position", "qpos", "action", "cmd", "command", "target", "goal", "state", "desired", "observation"}
)


@dataclass(frozen=True, slots=True)
class Fit:
    """How one column of the state follows its command in the sample."""

    command: int
    """Column of the action."""
    lag: int
    """Frames by which the mean absolute residual, about its median, is least."""
    sharp: float
    """That residual at the worst lag over the one at the best."""
    correlation: float
    span: float
    """1st to 99th percentile of the state, in its own unit."""
    span_command: float
    offset: float
    """Median residual, command minus state."""
    rest: float
    """99th percentile of the size of the residual about its median."""
    match: float
    """The residual with its own command over that with the best of the others'; 0 where there is no other."""

    @property
    def moves(self) -> bool:
        """Whether command and state both change."""
        return self.span > 0.0 and self.span_command > 0.0

    @property
    def same_unit(self) -> bool:
        """Whether command and state lie in the same range of the same unit."""
        wide, narrow = max(self.span, self.span_command), min(self.span, self.span_command)
        return wide <= SAME_UNIT * narrow and abs(self.offset) <= wide

    @property
    def clear(self) -> bool:
        """Whether it alone shows that the action holds absolute positions."""
        return self.moves and self.same_unit and self.correlation >= CORRELATED and self.match <= OWN


@dataclass(frozen=True, slots=True, eq=False)
class Commands:
    """The command of every column of the state that has one, and how it is followed."""

    action: str
    """The feature that holds the commands; empty where there is none."""
    sample: Sample
    rows: Int64s
    """Frames of the sample whose commands of the longest lag are known, shape (m,)."""
    longest: int
    """Frames."""
    fits: Mapping[Key, Fit]

    def command(self, key: Key, lag: int) -> Float64s:
        """The command that was sent ``lag`` frames before, shape (m,)."""
        return np.asarray(self.sample.values[self.action][self.rows - lag, self.fits[key].command])

    def state(self, key: Key) -> Float64s:
        """The column itself, shape (m,)."""
        feature, column = key
        return np.asarray(self.sample.values[feature][self.rows, column])

    def held(self, key: Key) -> Bools:
        """Where the command has stood still for the longest lag, shape (m,)."""
        sent = _sent(self.sample.values[self.action][:, self.fits[key].command], self.rows, self.longest)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.ptp(sent, axis=1) <= HELD * self.fits[key].span_command)

    def refusals(self, part: Collection[Key], among: Collection[Key]) -> dict[Key, str]:
        """Columns for which the residual would mean nothing, and why.

        Whether the action holds absolute positions is decided together: at least half of what moves must clearly
        follow its own command, in the part and among all, or all of the part unmistakably. The columns then need only
        fit that, since a joint that stalls follows less well, and that is what is looked for.

        Args:
            part: columns of one kind: joints, or fingers.
            among: all columns that may follow this action, those of the part included.
        """
        known = {key: self.fits[key] for key in part if key in self.fits}
        few = len(self.rows) < LEAST_FRAMES
        why = "too few frames to tell how it follows its action" if few else "no action is of its name and place"
        reasons = {key: why for key in part if key not in known}
        moving = [fit for fit in known.values() if fit.moves]
        everything = [self.fits[key] for key in among if key in self.fits and self.fits[key].moves]
        unmistakable = all(fit.clear and fit.match <= UNMISTAKABLE for fit in moving)
        if moving and not (_mostly_clear(moving) and (unmistakable or _mostly_clear(everything))):
            clear = sum(fit.clear for fit in everything)
            tally = f"{clear} of {len(everything)} columns follow theirs"
            why = f"the actions are no absolute positions in its unit ({tally})"
            return reasons | dict.fromkeys(known, why)
        return reasons | {key: why for key, fit in known.items() if (why := _refusal(fit))}


def _mostly_clear(fits: Sequence[Fit]) -> bool:
    return 2 * sum(fit.clear for fit in fits) >= len(fits)


def _refusal(fit: Fit) -> str:
    if not fit.moves:
        return "never moves"
    if fit.rest <= IDENTICAL * fit.span:
        return "its action is the state itself, some frames on"
    if not fit.same_unit:
        return f"its action spans {fit.span_command:.3g} where the state spans {fit.span:.3g}: another unit or origin"
    if fit.correlation < LOOSELY:
        return f"it does not follow its action (correlation {fit.correlation:.2f})"
    return "" if fit.match <= OWN_LOOSELY else "another column's action explains it better"


def fit_commands(
    sample: Sample, names: Mapping[str, Sequence[str]], action: str, states: Sequence[str], fps: float | None
) -> Commands:
    """Lag and residual of every column of ``states`` that has a command; the same for any reading of the set.

    Args:
        sample: frames of the set.
        names: features with the names of their columns, empty where they have none.
        action: the feature of the commands.
        states: features of the state.
        fps: Hz, if known.

    Source: residual by least absolute deviation, which a minority of stalled frames does not move (Koenker and Bassett
    1978), over whole frames of lag.
    """
    longest = LAG_FRAMES if not fps else int(np.clip(round(LONGEST_LAG_S * fps), 1, MOST_LAGS))
    values = sample.values.get(action)
    if values is not None and values.shape[1] > MOST_COLUMNS:
        values = None
    rows = _rows(sample, longest)
    if values is None or len(rows) < LEAST_FRAMES:
        return Commands("" if values is None else action, sample, rows, longest, {})
    matched = {
        (feature, column): command
        for feature in states
        if feature != action and feature in sample.values
        for column, command in _pairs(
            names.get(feature, ()), sample.values[feature].shape[1], names.get(action, ()), values.shape[1]
        ).items()
    }
    fits: dict[Key, Fit] = {}
    for (feature, column), command in matched.items():
        fit = _fit(values[:, command], sample.values[feature][:, column], rows, longest, command)
        if fit is not None:
            fits[feature, column] = fit
    return Commands(action, sample, rows, longest, _with_matches(fits, sample, values, rows))


def _rows(sample: Sample, longest: int) -> Int64s:
    """Frames at least ``longest`` after their episode's start, evenly thinned, shape (m,)."""
    n = sample.rows
    if not n:
        return np.zeros(0, np.int64)
    inside = np.arange(n) - sample.starts[sample.episode(n)] >= longest
    rows = np.flatnonzero(inside)
    return rows[:: max(-(-len(rows) // FIT_FRAMES), 1)]


def _pairs(state: Sequence[str], width: int, action: Sequence[str], commands: int) -> dict[int, int]:
    """Column of the action for each column of the state: by name, else by place where both are equally wide."""
    for same in (lambda name: (name,), _words):
        mine = [same(name) for name in state[:width]]
        theirs = [same(name) for name in action[:commands]]
        found = {
            place: theirs.index(name)
            for place, name in enumerate(mine)
            if any(name) and mine.count(name) == 1 and theirs.count(name) == 1
        }
        if found:
            return found
    return {place: place for place in range(width)} if width == commands else {}


def _words(name: str) -> tuple[str, ...]:
    return tuple(word for word in tokens(name) if word not in _SAY_NOTHING)


def _sent(command: Float64s, rows: Int64s, longest: int) -> Float64s:
    """The commands of 0 to ``longest`` frames before, shape (m, longest + 1)."""
    return np.asarray(command[rows[:, None] - np.arange(longest + 1)])


def _deviation(residual: Float64s) -> Float64s:
    """Mean absolute deviation from the median along the first axis."""
    return np.asarray(np.abs(residual - np.median(residual, axis=0)).mean(axis=0))


def _fit(command: Float64s, state: Float64s, rows: Int64s, longest: int, column: int) -> Fit | None:
    """None where too few frames are known."""
    sent, now = _sent(command, rows, longest), state[rows]
    known = np.isfinite(now) & np.isfinite(sent).all(axis=1)
    if np.count_nonzero(known) < LEAST_FRAMES:
        return None
    sent, now = sent[known], now[known]
    deviation = _deviation(sent - now[:, None])
    lag = int(np.argmin(deviation))
    best = float(deviation[lag])
    sharp = float(deviation.max()) / best if best > 0.0 else (np.inf if deviation.max() > 0.0 else 1.0)
    residual = sent[:, lag] - now
    offset = float(np.median(residual))
    span, span_command = (float(np.subtract(*np.percentile(each, (99.0, 1.0)))) for each in (now, sent[:, lag]))
    rest = float(np.percentile(np.abs(residual - offset), 99.0))
    return Fit(column, lag, sharp, _correlation(sent[:, lag], now), span, span_command, offset, rest, 0.0)


def _correlation(a: Float64s, b: Float64s) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.sum(a * b)) / size if size > 0.0 else 0.0


def _with_matches(fits: Mapping[Key, Fit], sample: Sample, action: Float64s, rows: Int64s) -> dict[Key, Fit]:
    """Each column held against all commands, each at its own lag."""
    if not fits:
        return {}
    thin = rows[:: max(-(-len(rows) // MATCH_FRAMES), 1)]
    lags = {fit.command: fit.lag for fit in fits.values()}
    order = list(lags)
    sent = np.stack([action[thin - lags[command], command] for command in order], axis=1)
    usable = np.isfinite(sent).mean(axis=0) > 0.5
    out: dict[Key, Fit] = {}
    for (feature, column), fit in fits.items():
        now = sample.values[feature][thin, column, None]
        own = action[thin - fit.lag, fit.command, None] - now
        others = sent[:, usable & (np.array(order) != fit.command)] - now
        known = np.isfinite(own[:, 0]) & np.isfinite(others).all(axis=1)
        if not others.shape[1] or not known.any():
            out[feature, column] = fit
            continue
        mine, least = float(_deviation(own[known])[0]), float(_deviation(others[known]).min())
        out[feature, column] = replace(fit, match=mine / least if least > 0.0 else 1.0)
    return out
