"""Strategies, directions and limits of sampling, and the auditor's standard: rows and fields, no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sima2.errors import UnknownNameError, UsageError

TRUSTED: Final = 0.8
PROVISIONAL: Final = 0.5
"""Trust above which a tag is trusted, or provisional; half-open."""

SUCCESS: Final = "success"
"""Stands beside the tags in a strategy; it is an outcome and needs no trust."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a strategy weighs episodes: a row of the table. How each tag pulls under it, the tag itself declares."""

    name: str
    success: int = 0
    """+1 where known successes gain weight."""
    by_family: bool = False
    """Every family gets the same share."""
    by_objective: bool = False
    """Tags pull as they do under the objective; under other strategies they are only narrowed by it."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What the episodes are for."""

    name: str
    others: int
    """Pull of tags that declare none for it."""
    only_successes_gain: bool
    """Episodes known to have failed gain nothing, by whatever strategy."""


OBJECTIVES: Final[Mapping[str, Objective]] = MappingProxyType(
    {
        # imitation copies what it sees: only what should be copied gains weight, and no tag that nobody spoke for
        "bc": Objective("bc", others=0, only_successes_gain=True),
        # a critic and an evaluation want any event that is trusted
        "rl": Objective("rl", others=1, only_successes_gain=False),
    }
)

_STRATEGIES: Final = (
    Strategy("uniform"),
    Strategy("balanced", by_family=True),
    Strategy("trust_weighted", by_objective=True),
    # low risk and success, then a mix with recoveries, then the hard ones
    Strategy("early", success=1),
    Strategy("mid"),
    Strategy("advanced"),
)

STRATEGIES: Final[Mapping[str, Strategy]] = MappingProxyType({each.name: each for each in _STRATEGIES})
"""By name."""


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """Limits of the weights (specification, Consumers)."""

    trusted_gain: float = 4.0
    """What a fully trusted tag of large effect adds to the weight 1 of an episode: up to 5 times."""
    provisional_gain: float = 0.5
    """The same of a provisional tag: up to 1.5 times."""
    full_effect: float = 0.474
    """δ from which an effect counts in full; the border of large effects, Romano et al. 2006."""
    cap: float = 5.0
    """No episode is drawn more often than so many times its even share."""
    uniform_mix: float = 0.2
    """Share of draws that ignores all weights."""
    least_effective: float = 0.3
    """Effective sample size as a share of the pool that the weights must leave."""

    def __post_init__(self) -> None:
        if not self.cap >= 1:
            raise UsageError(f"cap is {self.cap}, it must be at least 1")
        for name in ("uniform_mix", "least_effective"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}, it must be between 0 and 1")


@dataclass(frozen=True, slots=True)
class PumpSettings:
    """How a request to the pump is shared out."""

    floor: float = 0.2
    """Share that goes to all families alike, whatever the weights: the uniform mix of sampling."""
    rarity: float = 0.0
    """Exponent: a cell's share is divided by the frequency of its episodes to this power. 0 asks for what is drawn;
    1 only for how much more often than their even share, so that much of a kind earns it nothing."""

    def __post_init__(self) -> None:
        for name in ("floor", "rarity"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}, it must be between 0 and 1")


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """By what a datapack is audited. Quality runs from 0 to 1; what a trusted tag adds, it declares itself."""

    quality_success: float = 0.8
    """Of a sound datapack that ended in success."""
    quality_failure: float = 0.6
    """Of one that failed: of use to a critic, not to imitation."""
    quality_unknown: float = 0.6
    """Of one whose outcome nobody knows."""
    untrusted_loss: float = 0.1
    """What each given tag that has earned no trust takes: the quality must not lean on it."""


def strategy(name: str) -> Strategy:
    """Row of a strategy.

    Raises:
        UnknownNameError: if there is none.
    """
    if name not in STRATEGIES:
        raise UnknownNameError("strategy", name, STRATEGIES)
    return STRATEGIES[name]


def objective(name: str) -> Objective:
    """Row of an objective.

    Raises:
        UnknownNameError: if there is none.
    """
    if name not in OBJECTIVES:
        raise UnknownNameError("objective", name, OBJECTIVES)
    return OBJECTIVES[name]
