"""RiskTag: how likely a failure is, from what was known at the landmark."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np

from sima2.records.arrays import Float64s
from sima2.records.tags import TagSpec, TagStatistic, TagTable
from sima2.tags.observations import RiskObservations
from sima2.tags.risk_model import RiskModel
from sima2.tags.rows import NOT_ASSESSED, TagRows, blank_rows
from sima2.tags.seen import FromPrefix, Prefix

SPEC: Final = TagSpec(
    name="RiskTag",
    kind="predictive",
    inputs=("prefix signals", "prefix segments", "references of other folds"),
    available="the landmark: first contact, else a fixed share of the family's nominal duration",
    cost_field="damage",
    direction=1,
    threshold=0.8,  # the specification's high risk
    # imitation never gains from risk; a critic and an evaluation want the risky
    pulls=MappingProxyType({"bc": 0, "rl": 1, "early": -1, "advanced": 1}),
    meaning="likely to fail or do damage, judged before the first contact",
    group="high-risk",
    code="risk",
    level="the probability of a later failure",
    statistics=(
        TagStatistic(
            "risk_premium",
            "damage",
            "ratio",
            "mean damage with high risk over mean damage with low risk",
            "above 2",
            shown="damage, high-risk over others",
            reading="2 means twice the damage; 1 means that the tag tells nothing about money",
        ),
    ),
)
FAILED_BEFORE = "failed_before_landmark"


def risk_rows(risk: RiskObservations, novelty: Float64s, model: RiskModel | None) -> TagRows:
    """One row an episode; nothing later than the landmark reaches this function.

    Args:
        risk: what was known at the landmark.
        novelty: visual and kinematic score up to it, shape (n, 2).
        model: fitted on other folds, None where they held too few failures to learn from.
    """
    rows = blank_rows(risk.episode_id, SPEC.name, SPEC.kind, end=risk.landmark, available=risk.landmark)
    landed = risk.landmark > 0
    rows.fill(~landed, details="no contact, and no nominal duration of the family")
    failed = landed & risk.failed_before
    rows.fill(failed, source=FAILED_BEFORE, details="a segment had failed before the landmark")
    able = landed & ~risk.failed_before
    if model is None:
        rows.fill(able, source=NOT_ASSESSED, details="too few failures, or too few successes, in other episodes")
        return rows
    at = np.flatnonzero(able)
    level = model.risk(risk.take(at), novelty[at])
    where = np.where(risk.contact[at], "contact", "time")
    high = SPEC.threshold
    details = [
        f"failure after frame {frame} with probability {p:.3f}{' (high)' if p > high else ''}, "
        f"learned from {model.failures} failures in {model.n} other episodes"
        for frame, p in zip(risk.landmark[at].tolist(), level.tolist(), strict=True)
    ]
    rows.fill(at, level=level, source=where.astype(object), details=np.array(details, object))
    return rows


def _rows(seen: Prefix) -> TagTable:
    return risk_rows(seen.landmarks, seen.novelty(), seen.fold.risk).frozen()


TAG: Final = FromPrefix(SPEC, _rows)
