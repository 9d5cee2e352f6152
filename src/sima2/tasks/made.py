"""What a plan becomes, whichever generator makes it: rollouts, their outcomes and the sealed truth."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sima2.records.arrays import Bools, Float64s
from sima2.records.outcome import Outcome
from sima2.records.rollout import Goal, RolloutBatch
from sima2.records.table import Text
from sima2.records.truth import Truth, TruthEpisodes
from sima2.records.vocabulary import OUTCOME_SOURCES
from sima2.tasks.design import SPOILED, EpisodePlan
from sima2.tasks.families import Family
from sima2.tasks.garbage import Malformed

EVENT_KINDS: Final = ("failure", "impact", "recovery_start", "recovery_end")
OOD_DISTANCE: Final = 5.0
"""Mahalanobis distance that an unusual scene or motion adds to the novelty."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What a plan became."""

    batch: RolloutBatch
    outcome: Outcome
    truth: Truth
    malformed: tuple[Malformed, ...]
    """Episodes that are no rollouts; they are in neither batch, outcome nor truth."""


def provenance(source: str, version: str, key: str, person: bytes) -> dict[str, str]:
    """Of a rollout: an opaque id says which episode it is, and nothing of what was meant."""
    opaque = hashlib.blake2b(key.encode(), digest_size=8, person=person).hexdigest()
    return {"source": source, "version": version, "id": opaque}


def goal_of(family: Family, item: str, target: str, tolerance: float) -> Goal:
    """What an episode is asked to do; the target of ``opened`` is what moves."""
    moved = target if family.relation == "opened" else item
    alone = family.relation in ("opened", "held", "visible")
    return Goal(moved, "" if alone else target, family.relation, round(tolerance, 6))


def outcome_of(plan: EpisodePlan, success: Bools, failed_at_s: Float64s, nominal: Bools) -> Outcome:
    """What the task sensor tells; of garbage nothing."""
    garbage = plan.garbage.isin(*SPOILED)
    source = np.where(garbage, OUTCOME_SOURCES.index("none"), OUTCOME_SOURCES.index("task_sensor"))
    return Outcome(
        success=np.where(garbage, np.nan, success.astype(np.float64)),
        failed_at_s=np.where(garbage, np.nan, failed_at_s),
        damage=np.full(len(success), np.nan),
        nominal=nominal,
        source=Text(source, OUTCOME_SOURCES),
    )


def truth_of_episodes(plan: EpisodePlan, **happened: Any) -> TruthEpisodes:
    """What was planned of every episode, and what happened instead or besides."""
    planned = ("episode_id", "template", "failure_mode", "recovery_strategy", "geometry", "friction", "mass",
               "ood_source", "debug_mode", "seed")  # fmt: skip
    columns: dict[str, Any] = {name: getattr(plan, name) for name in planned}
    spec = Text.of(json.dumps(row, sort_keys=True) for row in plan.rows())
    columns |= {"recovery_attempts": plan.attempts, "spec": spec, "noise": plan.garbage.isin(*SPOILED)}
    return TruthEpisodes(**columns | happened)
