"""What the joints of every arm resist from their commands: lags and usual residuals found, written into the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from sima2.io.column_map import ColumnMap, Columns
from sima2.io.command_lag import SHARP, Commands, Key
from sima2.io.derived import PARTS, CommandResidual
from sima2.records.robust import MAD_TO_SIGMA

LEAST_SPREAD: Final = 1e-3
"""Share of a column's range below which its residual is not resolved: encoders of servos count 1000 to 4000 steps."""
OPEN_FRAMES: Final = 30
"""Frames with an open gripper that are enough to tell what is usual of it."""

STAYS_BEHIND: Final = 20.0
"""Usual spreads by which fingers stay behind their command when something is between them, as segmentation has it."""
FARTHER: Final = 3.0
"""Times as far behind their command as at their closed end: fingers on things are then told from such that met."""
BESIDE: Final = 0.05
"""Share of the range within which fingers are at its closed end."""

_GRIPPERS: Final = ("gripper_opening", "gripper_width")


def with_effort(columns: ColumnMap, commands: Commands, labels: Mapping[str, Sequence[str]]) -> ColumnMap:
    """The map with what ``effort_proxy`` is made of, for every arm whose joints have absolute commands.

    The proxy has a column for each joint of ``joint_position``, then one for each column of the gripper. It is the
    command of ``lag`` frames before, minus the state, minus the median of that, over its spread in the set: 1.4826
    times the median absolute deviation. Of a gripper both are taken where it is told to be open, so that what it
    holds does not count as usual, and it is counted towards open: below 0 is a command more closed than the fingers.

    Args:
        columns: the map; an arm whose proxy it gives keeps it.
        commands: how the columns of the state follow their commands.
        labels: features with the name of each of their columns.
    """
    if not commands.action:
        return columns
    wanted = {arm: _parts(channels) for arm, channels in columns.arms.items() if _open(columns, arm)}
    refused: dict[Key, str] = {}
    among = [key for part in PARTS for key in _keys_of(part, wanted, labels)]
    for part in PARTS:
        refused |= commands.refusals(_keys_of(part, wanted, labels), among)
    shared = {part: _shared_lag(commands, _keys_of(part, wanted, labels), refused) for part in PARTS}
    residuals = dict(columns.residuals)
    notes: list[str] = []
    for arm, parts in wanted.items():
        made = {
            part: _residual(commands, each, _keys(each, labels), shared[part], refused, gripper=part == "gripper")
            for part, each in parts.items()
        }
        if any(each >= 0 for residual in made.values() for each in residual.index):
            residuals[arm] = made
            notes += _described(arm, made, commands, labels)
        notes += _absent(arm, parts, refused, labels)
    return replace(columns, residuals=residuals, notes=(*columns.notes, *notes))


def _open(columns: ColumnMap, arm: str) -> bool:
    return arm not in columns.residuals and "effort_proxy" not in columns.arms[arm]


def _parts(channels: Mapping[str, Columns]) -> dict[str, Columns]:
    """The columns that can have commands, by the part of the proxy."""
    found = {"joints": channels["joint_position"]} if "joint_position" in channels else {}
    gripper = next((channels[name] for name in _GRIPPERS if name in channels), None)
    return found if gripper is None else {**found, "gripper": gripper}


def _keys(columns: Columns, labels: Mapping[str, Sequence[str]]) -> list[Key]:
    places = range(len(labels[columns.feature])) if columns.index is None else columns.index
    return [(columns.feature, place) for place in places]


def _keys_of(part: str, wanted: Mapping[str, Mapping[str, Columns]], labels: Mapping[str, Sequence[str]]) -> list[Key]:
    """Columns of one part of all arms."""
    return [key for parts in wanted.values() if part in parts for key in _keys(parts[part], labels)]


def _residual(
    commands: Commands,
    columns: Columns,
    keys: Sequence[Key],
    shared: int | None,
    refused: Mapping[Key, str],
    *,
    gripper: bool,
) -> CommandResidual:
    """One part of an arm's proxy; a refused column has no command."""
    # a larger number may be more closed; what has no ends is a width or an opening
    closing = [b < a for a, b in zip(columns.closed, columns.open, strict=True)] or [False] * len(keys)
    rows = []
    ends: list[tuple[float, ...]] = list(zip(columns.closed, columns.open, strict=True)) or [()] * len(keys)
    for key, falls, end in zip(keys, closing, ends, strict=True):
        if key in refused:
            rows.append((-1, 0, 0.0, 1.0))
            continue
        fit = commands.fits[key]
        lag = fit.lag if fit.sharp >= SHARP or shared is None else shared
        usual, spread = _usual(commands, key, lag, gripper=gripper, falls=falls)
        if gripper and end and _stops_short(commands, key, lag, usual, spread, *end):
            rows.append((-1, 0, 0.0, 1.0))
            continue
        rows.append((fit.command, lag, usual, -spread if falls else spread))
    index, lags, usuals, spreads = zip(*rows, strict=True)
    return CommandResidual(
        commands.action, index, columns.feature, tuple(place for _, place in keys), lags, usuals, spreads
    )


def _shared_lag(commands: Commands, keys: Sequence[Key], refused: Mapping[Key, str]) -> int | None:
    """Median lag of the columns that move enough to tell theirs; None where none does."""
    lags = [commands.fits[key].lag for key in keys if key not in refused and commands.fits[key].sharp >= SHARP]
    return int(np.median(lags)) if lags else None


def _usual(commands: Commands, key: Key, lag: int, *, gripper: bool, falls: bool) -> tuple[float, float]:
    """Median and spread of the residual, in the column's unit."""
    sent, now = commands.command(key, lag), commands.state(key)
    residual = sent - now
    known = np.isfinite(residual)
    if gripper:
        low, high = np.percentile(sent[known], (5.0, 95.0))
        middle = 0.5 * (low + high)
        wide = known & ((sent <= middle) if falls else (sent >= middle))
        known = wide if np.count_nonzero(wide) >= OPEN_FRAMES else known
    usual = float(np.median(residual[known]))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(residual[known] - usual)))
    return usual, max(spread, LEAST_SPREAD * commands.fits[key].span)


def _stops_short(
    commands: Commands, key: Key, lag: int, usual: float, spread: float, closed: float, open_: float
) -> bool:
    """Whether fingers stay behind their command at the closed end as they do on things that keep them from it.

    Then their command goes beyond where they meet, and that they stay behind it does not tell that they hold.
    """
    sent, now = commands.command(key, lag), commands.state(key)
    opening = (now - closed) / (open_ - closed)
    size = np.abs(sent - now - usual)
    behind = size > STAYS_BEHIND * spread
    told_to_close = commands.held(key) & ((sent - closed) / (open_ - closed) < BESIDE)
    at_end = told_to_close & (opening <= BESIDE)
    before_it = told_to_close & (opening > 2.0 * BESIDE)
    few = min(np.count_nonzero(at_end), np.count_nonzero(before_it)) < OPEN_FRAMES
    if few or not float(behind[at_end].mean()) > 0.5:
        return False
    # a command a little beyond where they meet leaves what holds them far before it as plain as ever
    return bool(float(np.median(size[before_it])) < FARTHER * float(np.median(size[at_end])))


def _described(
    arm: str, made: Mapping[str, CommandResidual], commands: Commands, labels: Mapping[str, Sequence[str]]
) -> list[str]:
    """Lags, the largest residual and where, for people."""
    lags, largest = [], []
    for part, residual in made.items():
        used = [place for place, command in enumerate(residual.index) if command >= 0]
        if not used:
            continue
        few, most = min(residual.lag[place] for place in used), max(residual.lag[place] for place in used)
        lags.append(f"{part} by {few if few == most else f'{few}–{most}'} frames")
        for place in used:
            key = (residual.state, residual.state_index[place])
            behind = commands.command(key, residual.lag[place]) - commands.state(key)
            size = np.abs(behind - residual.usual[place]) / abs(residual.spread[place])
            largest.append((float(np.nanmax(size)), _label(key, labels)))
    largest.sort(reverse=True)
    others = [size for size, _ in largest[1:]]
    beside = f", of the others {np.median(others):.3g} in the median" if others else ""
    notes = [
        f"{arm}.effort_proxy: from {commands.action}, which the state follows: {', '.join(lags)}; largest residual "
        f"{largest[0][0]:.3g} times its usual spread, of {largest[0][1]}{beside}"
    ]
    dull = [
        _label(key, labels)
        for residual in made.values()
        for key, command in zip(_states(residual), residual.index, strict=True)
        if command >= 0 and commands.fits[key].sharp < SHARP
    ]
    if dull:
        notes.append(
            f"{arm}.effort_proxy: too little motion to tell the lag of {', '.join(dull)}: the others' is taken"
        )
    return notes


def _states(residual: CommandResidual) -> list[Key]:
    return [(residual.state, place) for place in residual.state_index]


def _absent(
    arm: str, parts: Mapping[str, Columns], refused: Mapping[Key, str], labels: Mapping[str, Sequence[str]]
) -> list[str]:
    """Columns without a proxy, by reason."""
    reasons: dict[str, list[str]] = {}
    for each in parts.values():
        for key in _keys(each, labels):
            if key in refused:
                reasons.setdefault(refused[key], []).append(_label(key, labels))
    return [f"{arm}.effort_proxy: not of {', '.join(held)}: {why}" for why, held in reasons.items()]


def _label(key: Key, labels: Mapping[str, Sequence[str]]) -> str:
    feature, place = key
    named = labels.get(feature, ())
    return (named[place] if place < len(named) else "") or f"{feature}[{place}]"
