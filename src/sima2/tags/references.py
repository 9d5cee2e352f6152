"""All that is fitted on pass 1, once for every fold of episodes that it will judge and was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sima2.errors import RecordError, UsageError
from sima2.records.arrays import Bools, Int64s
from sima2.records.rollout import fold_of
from sima2.records.table import Text
from sima2.tags.fragility import FailureRates, fit_failure_rates
from sima2.tags.observations import RiskObservations, SegmentObservations, episode_places
from sima2.tags.risk_model import RiskModel, fit_risk
from sima2.tags.strangeness import Strangeness, fit_strangeness, prefix_novelty


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """What judges the episodes of one fold; fitted on the others."""

    strangeness: Strangeness | None
    """None where no other episode was nominal."""
    risk: RiskModel | None
    """None where the others held too few failures, or too few successes."""
    rates: FailureRates


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """One :class:`Fold` for each fold."""

    folds: tuple[Fold, ...]

    def fold(self, episode_id: Text) -> Int64s:
        """Fold of each episode, shape (n,)."""
        by_name = np.array([fold_of(name, len(self.folds)) for name in episode_id.names], np.int64)
        return by_name[episode_id.codes] if len(by_name) else np.zeros(0, np.int64)

    def to_json(self) -> str:
        """Everything, bit for bit; NaN is null."""
        from sima2.tags.references_json import dump

        return dump(self)

    @classmethod
    def from_json(cls, text: str) -> References:
        """The references that :meth:`to_json` wrote."""
        from sima2.tags.references_json import load

        return load(text)


def fit_references(
    segments: SegmentObservations,
    risk: RiskObservations,
    nominal: Bools,
    failed: Bools,
    folds: int = 5,
) -> References:
    """Fit references for every fold on the episodes of the others, in the order of the episodes' ids.

    Args:
        segments: of all episodes, whole and cut, from any number of batches.
        risk: one row an episode.
        nominal: episodes to take as nominal (never chosen by strangeness itself; no debug ones), shape (n,).
        failed: whether a segment failed after the landmark, see ``observations.failed_later``, shape (n,).
        folds: number of folds, at least 2.

    Raises:
        UsageError: if there is no other fold to learn from.
        RecordError: if the arrays do not match the episodes, or an episode occurs twice.
    """
    if folds < 2:
        raise UsageError(f"folds is {folds}: at least 2 are needed, so that no episode judges itself")
    n = len(risk)
    if len(nominal) != n or len(failed) != n:
        raise RecordError(f"{len(nominal)} nominal and {len(failed)} failed marks for {n} episodes")
    if len(set(risk.episode_id.tolist())) != n:
        raise RecordError("an episode occurs twice among the risk observations")
    names = risk.episode_id.decode()
    order = np.argsort(names.astype(str), kind="stable") if n else np.zeros(0, np.int64)
    risk = risk.take(order)
    nominal, failed = np.asarray(nominal, np.bool_)[order], np.asarray(failed, np.bool_)[order]
    place = episode_places(segments.episode_id, risk.episode_id)
    rows = np.argsort(place, kind="stable")
    rows = rows[place[rows] >= 0]
    segments, place = segments.take(rows), place[rows]
    fold = np.array([fold_of(name, folds) for name in risk.episode_id.tolist()], np.int64)
    return References(tuple(_fit_fold(segments, place, risk, nominal, failed, fold != k) for k in range(folds)))


def _fit_fold(
    segments: SegmentObservations,
    place: Int64s,
    risk: RiskObservations,
    nominal: Bools,
    failed: Bools,
    others: Bools,
) -> Fold:
    """What the episodes of other folds teach."""
    segments = segments.take(others[place])
    risk, nominal, failed = risk.take(others), nominal[others], failed[others]
    test = fit_strangeness(segments, risk, nominal)
    at_risk = (risk.landmark > 0) & ~risk.failed_before
    novelty = prefix_novelty(test, segments, risk.episode_id)
    model = fit_risk(risk.take(at_risk), novelty[at_risk], failed[at_risk])
    return Fold(strangeness=test, risk=model, rates=fit_failure_rates(segments))
