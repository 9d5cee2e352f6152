"""One statistic of strangeness a rollout, calibrated on nominal rollouts that fitted nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.rollout import fold_of
from sima2.records.table import Text
from sima2.tags.conformal import certified_rank
from sima2.tags.nominal import SCORES, Nominal, fit_nominal
from sima2.tags.observations import RiskObservations, SegmentObservations, episode_places

_KNOTS = 90
"""Percentiles kept of the bulk of a channel; beyond the last one the tail is taken to fall exponentially."""
_TAIL_FOLDS = 4
CALIBRATION_PARTS: Final = 10
"""Parts into which a hash of the id puts episodes; the first ones calibrate."""
_LEAST = 20
"""A channel known in fewer rollouts of the fit part is left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Strangeness:
    """A calibrated test of strangeness."""

    nominal: Nominal
    knots: Float64s
    """Percentiles 1 … 90 of each score of the rollouts of the fit part, shape (scores, 90); NaN where unknown."""
    mean_excess: Float64s
    """Mean excess of a score over its last knot, shape (scores,)."""
    calibration: Float64s
    """Statistics of the calibration rollouts, ascending, shape (n,)."""
    rank: int
    """The test fires below the statistic of this rank; 0 where it is not calibrated."""
    n_fit: int

    @property
    def alpha(self) -> float:
        """Nominal level that certifies the promised rate, 0 where uncalibrated."""
        return self.rank / (len(self.calibration) + 1.0)

    @property
    def cutoff(self) -> float:
        """The test fires below this statistic; -inf where uncalibrated."""
        return float(self.calibration[self.rank - 1]) if self.rank else -np.inf

    def log_tails(self, scores: Float64s) -> Float64s:
        """Logarithm of the share of nominal rollouts that score as high on a channel, NaN where unknown.

        Beyond the 90th percentile the share is extrapolated by an exponential tail (peaks over threshold), so that
        what lies beyond all that was fitted is still ordered, and ties do not waste the calibration.

        Args:
            scores: one column a channel, shape (n, channels); the result has the same shape.
        """
        out = np.full(scores.shape, np.nan)
        for c in range(scores.shape[1]):
            knots = self.knots[c]
            if np.isnan(knots).any():
                continue
            x = scores[:, c]
            bulk = np.log(1.0 - np.searchsorted(knots, x, side="left") / 100.0)
            over = np.maximum(np.nan_to_num(x) - knots[-1], 0.0) / self.mean_excess[c]
            tail = np.where(x > knots[-1], np.log((100 - _KNOTS) / 100.0) - over, bulk)
            out[:, c] = np.where(np.isnan(x), np.nan, tail)
        return out

    def statistics(self, scores: Float64s) -> Float64s:
        """Smallest log tail over the channels; NaN where none is known, shape (n,)."""
        return np.asarray(np.fmin.reduce(self.log_tails(scores), axis=1))


def in_scope(rows: SegmentObservations, risk: RiskObservations) -> tuple[Int64s, Int64s]:
    """Rows to be tested, and the episode of each: those of the cut episode, and those of the whole one that outlast
    its landmark.

    So each stretch of an episode is judged as it was first known, and what fires before the landmark owes
    nothing to later frames.
    """
    place = episode_places(rows.episode_id, risk.episode_id)
    later = rows.end_frame > np.append(risk.landmark, 0)[place]
    scope = np.flatnonzero((place >= 0) & (rows.cut | later))
    return scope, place[scope]


def rollout_scores(scores: Float64s, place: Int64s, n: int) -> Float64s:
    """Largest known score of each rollout on each channel, NaN where none is known, shape (n, channels)."""
    out = np.full((n, scores.shape[1]), np.nan)
    np.fmax.at(out, place, scores)
    return out


def fit_strangeness(rows: SegmentObservations, risk: RiskObservations, nominal: Bools) -> Strangeness | None:
    """Fit on one part of the nominal rollouts, calibrate on the other; the parts are told apart by a hash of the id.

    Args:
        rows: segments.
        risk: one row an episode.
        nominal: which of them are nominal, shape (n,).

    Returns:
        The test, or None where a part is empty.
    """
    calibrating = _calibrating(risk.episode_id, nominal)
    scope, place = in_scope(rows, risk)
    rows = rows.take(scope)
    fits, calibrates = nominal & ~calibrating, nominal & calibrating
    of_fit = fits[place]
    if not (of_fit & ~rows.label.isin("recovery_maneuver")).any() or not calibrates.any():
        return None
    reference = fit_nominal(rows.take(of_fit))
    scores = rollout_scores(reference.scores(rows), place, len(risk))
    scores[fits] = _left_out_scores(rows.take(of_fit), risk.episode_id)[fits]
    knots = np.full((len(SCORES), _KNOTS), np.nan)
    mean_excess = np.ones(len(SCORES))
    for c in range(len(SCORES)):
        known = scores[fits, c]
        known = known[~np.isnan(known)]
        if len(known) >= _LEAST:
            knots[c] = np.percentile(known, np.arange(1, _KNOTS + 1))
            over = known[known > knots[c, -1]] - knots[c, -1]
            mean_excess[c] = max(float(np.mean(over)) if len(over) else 0.0, 1e-6 * (1.0 + abs(knots[c, -1])))
    draft = Strangeness(reference, knots, mean_excess, np.zeros(0), 0, int(fits.sum()))
    statistics = draft.statistics(scores[calibrates])
    # A rollout on which no channel is known is as ordinary as can be; leaving it out would not be exchangeable.
    ordered = np.sort(np.where(np.isnan(statistics), 0.0, statistics))
    return Strangeness(reference, knots, mean_excess, ordered, certified_rank(len(ordered)), int(fits.sum()))


def _calibrating(episode_id: Text, nominal: Bools) -> Bools:
    """Episodes that calibrate if they are nominal: half, more where so few would certify little, shape (n,).

    The rank at which a test may fire rises at 59 and again at 93 calibration rollouts, where one odd nominal rollout
    no longer decides alone; a reference can be fitted on fewer.
    """
    part = np.array([fold_of(f"calibration of {name}", CALIBRATION_PARTS) for name in episode_id.tolist()], np.int64)
    count = np.bincount(part[nominal], minlength=CALIBRATION_PARTS).cumsum()
    for enough, left in ((93, 40), (59, _LEAST)):
        able = np.flatnonzero((count >= enough) & (count[-1] - count >= left))
        if len(able):
            return np.asarray(part <= max(int(able[0]), CALIBRATION_PARTS // 2 - 1))
    return np.asarray(part < CALIBRATION_PARTS // 2)


def _left_out_scores(rows: SegmentObservations, episode_id: Text) -> Float64s:
    """Scores of the rollouts of the fit part, each by a reference that it was left out of, shape (n, scores).

    A reference flatters what it was fitted on, the more the more finely it looks, and would make the tails of some
    scores seem shorter than those of others.
    """
    place = episode_places(rows.episode_id, episode_id)
    part = np.array([fold_of(f"tails of {name}", _TAIL_FOLDS) for name in episode_id.tolist()], np.int64)[place]
    out = np.full((len(episode_id), len(SCORES)), np.nan)
    for k in range(_TAIL_FOLDS):
        others = rows.take(part != k)
        if (~others.label.isin("recovery_maneuver")).any():
            mine = part == k
            draft = fit_nominal(others, scores_only=True)
            found = rollout_scores(draft.scores(rows.take(mine)), place[mine], len(episode_id))
            out = np.fmax(out, found)
    return out


def prefix_novelty(test: Strangeness | None, rows: SegmentObservations, episode_id: Text) -> Float64s:
    """Visual and kinematic score of each episode up to its landmark, NaN where unknown, shape (n, 2)."""
    if test is None:
        return np.full((len(episode_id), 2), np.nan)
    place = episode_places(rows.episode_id, episode_id)
    cut = rows.cut & (place >= 0)
    if not cut.all():
        rows, place = rows.take(cut), place[cut]
    return rollout_scores(test.nominal.novelty(rows), place, len(episode_id))
