"""FragilityTag: what the episode is about to do has often failed in other episodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

import numpy as np

from sima2.records.arrays import Int64s
from sima2.records.table import Text
from sima2.records.tags import TagSpec, TagTable
from sima2.records.vocabulary import CONTACT_ACTIONS, object_class
from sima2.tags.observations import RiskObservations, SegmentObservations
from sima2.tags.rows import NOT_ASSESSED, TagRows, blank_rows
from sima2.tags.seen import FromPrefix, Prefix

SPEC: Final = TagSpec(
    name="FragilityTag",
    kind="predictive",
    inputs=("object at the landmark", "failure rates of other folds"),
    available="the landmark",
    cost_field="damage",
    direction=1,
    pulls=MappingProxyType({"bc": 0, "rl": 1}),
    meaning="acts on something that has often failed that way",
    group="fragile",
    code="fragility",
    level="the failure rate of the object",
)
ACTIONS: Final = ("approach", *CONTACT_ACTIONS)
"""Labels that are attempts at something."""
_USUAL: Final = 0.5
"""An action is to be expected where at least this share of the episodes with such an object did it."""


@dataclass(frozen=True, slots=True)
class ActionRate:
    """How often an action on an object class failed."""

    object: str
    """Object class."""
    action: str
    trials: int
    failures: int
    episodes: int
    """Episodes that tried it."""
    usual: bool
    """At least half of the episodes with such an object tried it."""
    lower: float
    """Lower 95 % bound of the failure rate (Clopper–Pearson, one-sided)."""

    @property
    def rate(self) -> float:
        """Posterior mean of the failure rate under Jeffreys' prior."""
        return (self.failures + 0.5) / (self.trials + 1.0)


@dataclass(frozen=True)
class FailureRates:
    """Failure rates of the episodes of other folds."""

    actions: tuple[ActionRate, ...]
    trials: int
    failures: int

    @property
    def pooled(self) -> float:
        """Failure rate of any action on anything."""
        return (self.failures + 0.5) / (self.trials + 1.0)

    def most_fragile(self, name: str) -> ActionRate | None:
        """The usual action on an object class whose failure rate is surest to be high, None for an unseen class."""
        return self._most_fragile.get(name)

    @cached_property
    def _most_fragile(self) -> dict[str, ActionRate]:
        usual = [each for each in self.actions if each.usual]
        return {each.object: each for each in sorted(usual, key=lambda each: (each.lower, each.rate, each.action))}


def fit_failure_rates(rows: SegmentObservations) -> FailureRates:
    """Count attempts and failures by object class and action, from whole episodes."""
    from scipy.special import betaincinv

    rows = rows.take(~rows.cut & rows.label.isin(*ACTIONS) & ~rows.object.isin(""))
    names = sorted({object_class(rows.object.names[code]) for code in np.unique(rows.object.codes).tolist()})
    place = {name: k for k, name in enumerate(names)}
    to_class = np.array([place.get(object_class(name), -1) for name in rows.object.names] or [0], np.int64)
    thing, action = to_class[rows.object.codes], rows.label.recode(ACTIONS)
    cell = thing * len(ACTIONS) + action
    cells = len(names) * len(ACTIONS)
    trials = np.bincount(cell, minlength=cells)
    failures = np.bincount(cell[rows.failed], minlength=cells)
    episodes = _distinct(cell, rows.episode_id, cells)
    touching = _distinct(thing, rows.episode_id, len(names))
    lower = np.zeros(cells)
    some = failures > 0
    lower[some] = betaincinv(failures[some], trials[some] - failures[some] + 1, 0.05)
    found = []
    for k in np.flatnonzero(trials).tolist():
        t, a = divmod(k, len(ACTIONS))
        usual = bool(episodes[k] >= _USUAL * touching[t])
        count = int(trials[k]), int(failures[k]), int(episodes[k])
        found.append(ActionRate(names[t], ACTIONS[a], *count, usual, float(lower[k])))
    return FailureRates(tuple(found), int(trials.sum()), int(failures.sum()))


def fragility_rows(risk: RiskObservations, rates: FailureRates) -> TagRows:
    """One row an episode, from the object that it is about to act on and from rates of other folds.

    The level is the failure rate where it is surely above that of any action on anything, else 0.

    Args:
        risk: what was known at the landmark.
        rates: from episodes of other folds.
    """
    rows = blank_rows(risk.episode_id, SPEC.name, SPEC.kind, end=risk.landmark, available=risk.landmark)
    landed = risk.landmark > 0
    for code in np.unique(risk.object.codes[landed]).tolist():
        level, source, details = _verdict(risk.object.names[code], rates)
        rows.fill((risk.object.codes == code) & landed, level=level, source=source, details=details)
    return rows


def _verdict(name: str, rates: FailureRates) -> tuple[float, str, str]:
    worst = rates.most_fragile(object_class(name)) if name else None
    if worst is None:
        return float("nan"), NOT_ASSESSED, "no other episode acted on such an object" if name else "no object known"
    words = (
        f"{worst.action} of {worst.object} failed {worst.failures} of {worst.trials} times in other episodes "
        f"(at least {worst.lower:.3f} with 95 % confidence; any action {rates.pooled:.3f})"
    )
    fragile = worst.lower > rates.pooled
    return (worst.rate if fragile else 0.0), worst.action, words


def _distinct(cell: Int64s, episode_id: Text, cells: int) -> Int64s:
    """Number of distinct episodes in each cell."""
    episodes = len(episode_id.names)
    pair = np.unique(cell * episodes + episode_id.codes)
    return np.bincount(pair // max(episodes, 1), minlength=cells) if cells else np.zeros(0, np.int64)


def _rows(seen: Prefix) -> TagTable:
    return fragility_rows(seen.landmarks, seen.fold.rates).frozen()


TAG: Final = FromPrefix(SPEC, _rows)
