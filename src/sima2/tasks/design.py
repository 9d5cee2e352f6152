"""Columns of a plan: exact quotas, full coverage, even splits, and a shuffle that makes the order tell nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.meanings import DEBUG_MODE
from sima2.records.table import Table, Text, column, text
from sima2.tasks.draws import generator
from sima2.tasks.failure_modes import FAILURE_MODES
from sima2.tasks.families import ALL_FAMILIES, FAMILIES, FRICTIONS, MASSES, SCENE_OBJECTS, TEMPLATES, Family

OOD_SOURCES: Final = ("visual", "kinematic", "temporal")
INJECTIONS: Final = ("slip", "unknown_object", "locked_joint")
"""Faults that may be forced, besides the failure modes of the family."""

SPOILED: Final = ("white_noise", "frozen", "nan_bursts")
"""Garbage that has the form of a rollout."""
WELL_FORMED: Final = (*SPOILED, "zero_width_gripper")
"""What of the garbage has the form of a rollout; a gripper that reads zero is odd, not garbage."""

MALFORMED: Final = (
    "empty", "one_frame", "invalid_utf8", "future_time", "negative_time", "duplicate_time", "backward_time",
    "nan_time", "infinite_position", "mixed_dimensions", "no_signal", "million_steps",
)  # fmt: skip
"""Garbage for the checks at the door; some of it is odd but usable (future and negative times, a million steps)."""

STRESS: Final = (
    "white_noise", "empty", "frozen", "one_frame", "nan_bursts", "duplicate_time", "white_noise", "backward_time",
    "frozen", "nan_time", "nan_bursts", "infinite_position", "white_noise", "mixed_dimensions", "frozen", "no_signal",
)  # fmt: skip
"""Kinds of a stress mix in turn: half of them have the form of a rollout."""


_FAILURE_ATTEMPTS: Final = np.array([1, 0, 2, 0], np.int32)
"""Unsuccessful attempts of failed episodes in turn: at least half of them try."""
_MODES: Final = ("", *FAILURE_MODES)
_STRATEGIES: Final = (
    "",
    *dict.fromkeys(name for family in ALL_FAMILIES.values() for name in family.recovery_strategies),
)
_GEOMETRIES: Final = tuple(each.name for family in ALL_FAMILIES.values() for each in family.geometries)


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault forced upon every episode of a plan.

    >>> Injection("slip", frame=10).kind
    'slip'
    """

    kind: str
    """One of :data:`INJECTIONS`, or a failure mode of the family."""
    frame: int | None = None
    """Frame of the failure event; None leaves it to the hazard."""
    object: str | None = None
    """Name of the object that stands in for the one acted on (``unknown_object``)."""
    attempts: int = 4
    """Vain attempts after a lock that stays."""


NO_INJECTION: Final = Injection("")


@dataclass(frozen=True, slots=True)
class MixSettings:
    """Shares of the mixes."""

    hardening: tuple[float, float, float, float] = (0.60, 0.20, 0.15, 0.05)
    """Of success, failure, recovery and mixed, in the order of TEMPLATES. Source: coverage of a hardening batch."""
    hardening_episodes: int = 250
    """Per family."""
    hardening_ood: float = 0.03
    debug: float = 0.01
    stress: tuple[tuple[str, tuple[float, float, float, float]], ...] = (
        ("drawer_open", (0.50, 0.40, 0.10, 0.0)),
        ("dish_place", (0.70, 0.20, 0.10, 0.0)),
    )
    """Family to shares; together 0.3 failed and 0.1 recovered. Source: definition of stress_mix_v1."""
    stress_episodes: int = 10_000
    stress_noise: float = 0.20
    stress_ood: float = 0.05
    stress_tolerance: float = 0.7
    """Tolerance of the precise family, as a share of its own."""
    resolves: float = 0.10
    """Of the recovered episodes, those whose failure came right with no attempt."""
    edge_good: int = 2
    """Good episodes per family among the edge cases."""


@dataclass(frozen=True, eq=False)
class EpisodePlan(Table):
    """What each episode is to be; one row an episode. ``take`` picks rows."""

    episode_index: Int64s = column(np.int64, "Place in the whole plan.")
    episode_id: Text = text("Name of the episode.")
    family: Text = text("Family of tasks.")
    family_index: Int64s = column(
        np.int64, "Running index within the family: with seed and family the key of the episode's randomness."
    )
    template: Text = text("How the episode is meant to go.")
    hazard: Text = text("Failure mode the episode is exposed to, whether it occurs or not.")
    failure_mode: Text = text("The hazard where it occurs; else empty.")
    recovery_strategy: Text = text("How it is to be put right; empty where that is not tried.")
    attempts: NDArray[np.int32] = column(np.int32, "Attempts to put it right.", unit="attempts")
    geometry: Text = text("Shape of the family's first object.")
    friction: Text = text("Friction of the scene: `low`, `medium` or `high`.")
    mass: Text = text("Mass of the object: `light` or `heavy`.")
    other: Text = text("Family whose objects are in the scene as well.")
    ood_source: Text = text("What is unusual: `visual`, `kinematic` or `temporal`; empty where nothing is.")
    debug_mode: Bools = column(np.bool_, DEBUG_MODE)
    event_share: Float64s = column(
        np.float64, "Share of events in the law the episode comes from: the mean of its initial risk.", unit="1"
    )
    tolerance: Float64s = column(np.float64, "Tolerance as a share of the family's own.", unit="1")
    garbage: Text = text("Kind of garbage; empty for an honest episode.")
    inject: Text = text("Fault that is forced on the episode; empty where none is.")
    inject_frame: Int64s = column(np.int64, "Frame of the forced fault; -1 where the hazard chooses.", unit="frame")
    inject_object: Text = text("Object that is put in the place of the family's own; empty where none is.")
    seed: Int64s = column(np.int64, "Seed of the run.")


def quotas(total: int, shares: Sequence[float]) -> Int64s:
    """Whole numbers that sum to ``total`` in the given shares, by largest remainder.

    >>> quotas(250, (0.60, 0.20, 0.15, 0.05)).tolist()
    [150, 50, 38, 12]
    """
    weight = np.asarray(shares, np.float64)
    exact = np.round(total * weight / weight.sum(), 9)
    whole: Int64s = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - whole), kind="stable")
    whole[order[: total - int(whole.sum())]] += 1
    return whole


@dataclass(slots=True)
class Design:
    """The episodes of one family in their shuffled order."""

    family: Family
    count: int
    seed: int
    shares: tuple[float, ...]
    ood: float
    settings: MixSettings
    failure_mode: str | None = None
    strategy: str | None = None
    event_share: float | None = None
    inject: Injection = NO_INJECTION
    noise: int = 0
    friction: str | None = None
    tolerance: float = 1.0
    garbage_kinds: tuple[str, ...] = STRESS

    def table(self) -> EpisodePlan:
        """The plan of these episodes, each numbered within its family."""
        rng = generator(self.seed, self.family.name, 0, 0x9A11)
        template = np.repeat(np.arange(4, dtype=np.int32), quotas(self.count, self.shares))
        mode, strategy, attempts = self._events(template, rng)
        n = self.count + self.noise
        shuffle = rng.permutation(n)
        kinds = ("", *dict.fromkeys(self.garbage_kinds))
        turn = np.array([kinds.index(name) for name in self.garbage_kinds], np.int32)
        honest = shuffle < self.count
        garbage = np.zeros(n, np.int32)
        garbage[~honest] = np.resize(turn, self.noise)
        template, hazard, strategy, attempts = (
            np.concatenate([each, np.zeros(self.noise, np.int32)])[shuffle]
            for each in (template, mode, strategy, attempts)
        )
        coverage = self._coverage(n, rng)
        return EpisodePlan(
            episode_index=np.zeros(n, np.int64),
            episode_id=Text(np.arange(n), [f"{self.family.name}-{i:06d}" for i in range(n)]),
            family_index=np.arange(n),
            seed=np.full(n, self.seed),
            template=Text(template, TEMPLATES),
            hazard=Text(hazard, _MODES),
            failure_mode=Text(np.where((template > 0) & honest, hazard, 0), _MODES),
            recovery_strategy=Text(strategy, _STRATEGIES),
            attempts=attempts,
            ood_source=Text(self._ood(honest, rng), ("", *OOD_SOURCES)),
            debug_mode=(rng.permutation(n) < round(self.settings.debug * n)) & honest,
            event_share=np.full(n, sum(self.shares[1:]) if self.event_share is None else self.event_share),
            tolerance=np.full(n, self.tolerance),
            garbage=Text(garbage, kinds),
            **coverage,
            **self._injection(n),
        )

    def _events(self, template: NDArray[np.int32], rng: np.random.Generator) -> tuple[NDArray[np.int32], ...]:
        """Failure mode, strategy and attempts of each episode, evenly within each template."""
        modes = (self.failure_mode,) if self.failure_mode else self.family.failure_modes
        strategies = (self.strategy,) if self.strategy else self.family.recovery_strategies
        pairs = np.array([(_MODES.index(m), _STRATEGIES.index(s)) for m in modes for s in strategies], np.int32)
        resolvable = np.array([bool(m) and FAILURE_MODES[m].resolves for m in _MODES])
        mode, strategy, attempts = (np.zeros(len(template), np.int32) for _ in range(3))
        for code, name in enumerate(TEMPLATES):
            where = np.flatnonzero(template == code)
            turn, place = np.divmod(np.arange(len(where)), len(pairs))
            pick = rng.permutation(len(pairs))[place]
            mode[where] = pairs[pick, 0]
            if name == "success":
                continue
            strategy[where] = pairs[pick, 1]
            if name == "failure":
                attempts[where] = _FAILURE_ATTEMPTS[turn % 4]
                if self.inject.kind == "locked_joint":
                    attempts[where] = self.inject.attempts
                strategy[where[attempts[where] == 0]] = 0
                continue
            attempts[where] = np.where((turn % 5 == 4) & (name == "recovery"), 2, 1)
            if name == "recovery" and not self.strategy and not self.inject.kind:
                able, wanted = where[resolvable[mode[where]]], round(self.settings.resolves * len(where))
                alone = able[:: max(1, -(-len(able) // max(1, wanted)))][:wanted]
                strategy[alone] = attempts[alone] = 0
        return mode, strategy, attempts

    def _coverage(self, n: int, rng: np.random.Generator) -> dict[str, Any]:
        """Geometry, friction, mass and the other family, in all combinations, independent of all else."""
        names = [each.name for each in self.family.geometries]
        combos = len(names) * len(FRICTIONS) * len(MASSES)
        cell = rng.permutation(rng.permutation(combos)[np.arange(n) % combos])
        shape, friction, mass = np.unravel_index(cell, (len(names), len(FRICTIONS), len(MASSES)))
        room = SCENE_OBJECTS - 1 - len(self.family.objects)
        others = [name for name, each in FAMILIES.items() if each is not self.family and len(each.objects) <= room]
        codes = np.array([_GEOMETRIES.index(name) for name in names], np.int32)
        friction = friction if self.friction is None else np.full(n, FRICTIONS.index(self.friction))
        return {
            "family": Text.full(n, self.family.name),
            "geometry": Text(codes[shape], _GEOMETRIES),
            "friction": Text(friction, FRICTIONS),
            "mass": Text(mass, MASSES),
            "other": Text(rng.permutation(np.arange(n) % len(others)), others),
        }

    def _ood(self, honest: Bools, rng: np.random.Generator) -> NDArray[np.int32]:
        """Source of OOD, evenly over the sources, in the exact share."""
        source = np.zeros(len(honest), np.int32)
        if self.inject.kind == "unknown_object":
            return source + 1
        chosen = rng.permutation(np.flatnonzero(honest))[: round(self.ood * int(honest.sum()))]
        source[chosen] = 1 + (np.arange(len(chosen)) + int(rng.integers(3))) % 3
        return source

    def _injection(self, n: int) -> dict[str, Any]:
        fault, alien = self.inject, self.inject.kind == "unknown_object"
        return {
            "inject": Text.full(n, fault.kind),
            "inject_frame": np.full(n, -1 if fault.frame is None or alien else fault.frame),
            "inject_object": Text.full(n, (fault.object or "unknown_mesh_v9") if alien else ""),
        }
