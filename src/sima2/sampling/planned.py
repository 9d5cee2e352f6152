"""The plan of a pool of episodes, and the probabilities of drawing them: facts and inferences first, tags on top."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sima2.records.plan import KNOWLEDGE, SamplePlan, TrainingPlan
from sima2.records.table import Text
from sima2.sampling.plan import Known, Plan, TrainingPlanner
from sima2.sampling.plan_settings import PlanSettings
from sima2.sampling.pool import Pool
from sima2.sampling.weights import plan_weights


class Planned(NamedTuple):
    """What to do with each episode and frame, and how often each episode is drawn."""

    plan: Plan
    draws: SamplePlan


def planned(known: Known, pool: Pool, settings: PlanSettings, *, strategy: str = "trust_weighted") -> Planned:
    """Facts and inferences leave each episode a base weight; tags move it by their trust.

    Where nothing is trusted, the weights of the plan are exactly the base weights, and where nothing was found all are
    1. Where every episode is left out, draws are even: the plan tells so, and callers refuse.

    Args:
        known: all that is known of the episodes of the pool, in its order.
        pool: with tags and trust.
        settings: of the plan.
        strategy: of the draws.
    """
    plan = TrainingPlanner(settings).plan(known)
    base = plan.episodes.weight
    draws = plan_weights(pool, for_objective=settings.objective, strategy=strategy, base=base)
    moved = np.array([bool(words) for words in draws.reasons.names], np.bool_)[draws.reasons.codes] & (base > 0)
    if (base != 1).any():
        draws = replace(draws, reasons=_with_base(plan.episodes, draws.reasons))
    if not moved.any():
        return Planned(plan, draws)
    kinds = [
        ",".join(kind for kind in KNOWLEDGE if kind in (*before.split(","), "tag")) if by_tag else before
        for before, by_tag in zip(plan.episodes.kind_of_knowledge, moved.tolist(), strict=True)
    ]
    episodes = replace(
        plan.episodes,
        weight=np.where(base > 0, draws.p * math.fsum(base.tolist()), 0.0),
        kind_of_knowledge=Text.of(kinds),
    )
    return Planned(Plan(episodes, plan.spans), draws)


def _with_base(plan: TrainingPlan, reasons: Text) -> Text:
    """By what each weight was moved: first what the plan leaves of the episode and why, then the tags."""
    told = reasons.tolist()
    for i in np.flatnonzero(plan.weight != 1).tolist():
        why = f"{plan.codes[i].replace(',', ', ').replace('_', ' ')} × {plan.weight[i]:.2g}"
        kind = plan.kind_of_knowledge[i].replace(",", ", ")
        told[i] = "; ".join(filter(None, (f"{why} ({kind})", told[i])))
    return Text.of(told)
