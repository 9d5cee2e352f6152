"""Which episodes are the reference of what is ordinary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sima2.errors import RecordError
from sima2.records.outcome import Outcome

DESIGNATED = "designated reference episodes"
RECORDED = "recorded successes, for none was designated"
INFERRED = "inferred successes with no anomaly and no recovery, for no outcome was recorded"
NOTHING = "none: no success is known"


def nominal_episodes(outcome: Outcome, clean: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], str]:
    """Nominal episodes, and the rule they were chosen by; never by OOD itself, which they calibrate.

    Args:
        outcome: of n episodes.
        clean: no anomaly and no recovery was seen, shape (n,).

    Returns:
        Where an episode is nominal, shape (n,), and the first rule that finds any, in words.

    Raises:
        RecordError: if ``clean`` has another length.
    """
    clean = np.asarray(clean, np.bool_)
    if clean.shape != (len(outcome),):
        raise RecordError(f"clean of shape {clean.shape} for outcomes of {len(outcome)} episodes")
    won = outcome.success == 1
    inferred = outcome.source.isin("inferred")
    for where, rule in (
        (outcome.nominal, DESIGNATED),
        (won & ~inferred, RECORDED),
        (won & inferred & clean, INFERRED),
    ):
        if where.any():
            return np.array(where), rule
    return np.zeros(len(outcome), np.bool_), NOTHING
