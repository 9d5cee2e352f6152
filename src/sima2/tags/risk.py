"""RiskTag: how likely a failure is, from what was known at the landmark."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sima2.tags.observations import RiskObservations
from sima2.tags.risk_model import RiskModel
from sima2.tags.rows import NOT_ASSESSED, TagRows, blank_rows
from sima2.tags.specs import THRESHOLDS

FAILED_BEFORE = "failed_before_landmark"


def risk_rows(risk: RiskObservations, novelty: NDArray[np.float64], model: RiskModel | None) -> TagRows:
    """One row an episode; nothing later than the landmark reaches this function.

    Args:
        risk: what was known at the landmark.
        novelty: visual and kinematic score up to it, shape (n, 2).
        model: fitted on other folds, None where they held too few failures to learn from.
    """
    rows = blank_rows(risk.episode_id, "RiskTag", "predictive", end=risk.landmark, available=risk.landmark)
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
    high = THRESHOLDS["RiskTag"]
    details = [
        f"failure after frame {frame} with probability {p:.3f}{' (high)' if p > high else ''}, "
        f"learned from {model.failures} failures in {model.n} other episodes"
        for frame, p in zip(risk.landmark[at].tolist(), level.tolist(), strict=True)
    ]
    rows.fill(at, level=level, source=where.astype(object), details=np.array(details, object))
    return rows
