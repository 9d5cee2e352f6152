"""OODTag: a segment is strange beyond a calibrated level, and which channel says so."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Indices, Int64s
from sima2.records.tags import TagProposal, TagReview, TagSpec, TagStatistic, TagTable
from sima2.records.vocabulary import ANOMALIES
from sima2.tags.conformal import conformal_p
from sima2.tags.nominal import MOTION, SCORES, SOURCE, Nominal
from sima2.tags.observations import KINEMATICS, PLAIN, RiskObservations, SegmentObservations
from sima2.tags.rows import UNCALIBRATED, TagRows, blank_rows
from sima2.tags.seen import FromWhole, Whole
from sima2.tags.strangeness import Strangeness, in_scope

CRITICAL: Final = 0.9
"""Severity above which a person should look, and a stop is proposed."""
SPEC: Final = TagSpec(
    name="OODTag",
    kind="predictive",
    inputs=("segment signals", "nominal references of other folds"),
    available="the end of the segment that fired; rows from a failure or the landmark on are diagnostic",
    cost_field="success",
    direction=-1,
    pulls=MappingProxyType({"bc": 0, "rl": 1}),
    meaning="looks, moves or lasts unlike the nominal episodes",
    group="strange",
    code="ood",
    level="1 − p",
    value="surprise in nats, minus the logarithm of the share of nominal rollouts as strange",
    severity="how far it is from what is nominal, by bands of what the channel measures",
    statistics=(
        TagStatistic(
            "ood_penalty",
            "success",
            "mean",
            "success rate of strange episodes",
            "low",
            shown="success rate, strange episodes",
            reading="low where strangeness does harm",
            share=True,
        ),
        TagStatistic(
            "ood_difference",
            "success",
            "difference",
            "success rate of strange episodes minus that of others",
            "low",
            shown="success rate, strange minus others",
            reading="below 0, strange episodes fail more often; in percentage points",
            share=True,
        ),
    ),
    review=TagReview(CRITICAL, "severe_ood"),
    proposals=(
        TagProposal(
            "critical_ood",
            "safety_stop",
            1.0,
            "critically strange, no recovery at once",
            severity=CRITICAL,
            unless_recovered=True,
        ),
        TagProposal("visual_ood", "inspection_node", 0.7, "looks like nothing nominal", source="visual"),
    ),
    shown=2,
)
DEBUG: Final = "debug_mode"

VISUAL_BANDS: Final = ((0.70, 0.5), (0.85, 0.8), (0.95, 1.0))
"""Cosine distance from which a severity holds."""
KINEMATIC_BANDS: Final = ((1.10, 0.6), (1.25, 0.8), (1.50, 1.0))
"""Share of the nominal 99th percentile from which a severity holds: by 10 to 25 %, to 50 %, beyond."""
TEMPORAL_BANDS: Final = ((3.0, 0.5), (4.0, 0.7), (6.0, 1.0))
"""Duration over the primitive's mean (or mean over duration) from which a severity holds."""
WHOLE_BANDS: Final = ((4.0, 0.5), (6.0, 0.7), (10.0, 1.0))
"""Robust deviations of the farthest plain measure from which a severity holds."""
MILD: Final = 0.3
"""Severity of what the calibrated test finds strange below all bands."""
_UNKNOWN_SEVERITY: Final = 0.5
"""Severity of motion that no label fits: the lowest named one."""
_UNITS: Final = {
    "max_speed": "m/s",
    "max_acceleration": "m/s²",
    "max_joint_speed": "rad/s",
    "max_joint_acceleration": "rad/s²",
    "max_joint_torque": "N·m",
    "peak_force": "N",
    "grip_force": "N",
}
_COLUMNS: Final = {"motion": MOTION, "force": ("peak_force",), "grip": ("grip_force",)}
"""Kinematic columns behind a score."""


def ood_rows(
    rows: SegmentObservations,
    risk: RiskObservations,
    debug: Bools,
    frames: Int64s,
    test: Strangeness | None,
) -> TagTable:
    """One row a segment that fired, and one for each episode in which none did; ``value`` is how surprising it is,
    in nats: minus the logarithm of the share of nominal rollouts that are as strange in that respect.

    A rollout's statistic is the smallest of its segments', so the rollout fires where a segment does, and a segment
    that ends before the landmark fires whatever comes later: its row is predictive, the others diagnostic. So is that
    of a failure before the landmark and of what follows it: they are strange because something has failed, which is
    no prediction.

    Args:
        rows: segments, whole and cut.
        risk: one row an episode, for the landmarks.
        debug: episodes that are never tagged, shape (n,).
        frames: frames of each episode, shape (n,).
        test: calibrated on episodes of other folds.
    """
    calm = blank_rows(risk.episode_id, SPEC.name, "predictive", end=frames, available=frames)
    calm.fill(debug, source=DEBUG, details="debug episodes are not tagged")
    if test is None or not test.rank:
        calibrated_on = 0 if test is None else len(test.calibration)
        calm.fill(
            ~debug,
            source=UNCALIBRATED,
            details=f"{calibrated_on} nominal rollouts to calibrate on, at least 59 are needed",
        )
        return calm.frozen()
    scope, place = in_scope(rows, risk)
    rows = rows.take(scope)
    tails = test.log_tails(test.nominal.scores(rows))
    statistic = np.asarray(np.fmin.reduce(tails, axis=1))
    smallest = np.zeros(len(risk))
    assessed = np.zeros(len(risk), np.bool_)
    np.fmin.at(smallest, place, statistic)
    assessed[place[~np.isnan(statistic)]] = True
    quiet = assessed & ~debug
    p = conformal_p(test.calibration, smallest)
    calm.fill(quiet, level=0.0, severity=0.0, source="", value=-smallest[quiet])
    words = np.array([f"as ordinary as nominal rollouts (p = {each:.3f})" for each in p.tolist()], object)
    calm.fill(quiet, details=words[quiet])
    fired = np.flatnonzero((statistic < test.cutoff) & ~debug[place])
    loud = np.zeros(len(risk), np.bool_)
    loud[place[fired]] = True
    ahead = np.minimum(risk.landmark, _first_failures(rows, place, len(risk)))
    strange = _fired_rows(rows.take(fired), ahead[place[fired]], tails[fired], statistic[fired], test)
    return TagTable.concat([calm.frozen().take(~loud), strange.frozen()])


def _first_failures(rows: SegmentObservations, place: Int64s, n: int) -> Int64s:
    """Frame at which the first failure that was known at the landmark began, beyond any frame where none was, (n,).

    As for the risk set, the segment that is under way at the landmark has no outcome yet.
    """
    ended = ~np.isnan(rows.log_duration)
    bad = rows.cut & ((rows.failed & ended) | rows.label.isin(*ANOMALIES, "recovery_maneuver"))
    first = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(first, place[bad], rows.start_frame[bad])
    return first


def _fired_rows(
    rows: SegmentObservations, ahead: Int64s, tails: Float64s, statistic: Float64s, test: Strangeness
) -> TagRows:
    """Rows of the segments that fired; those that end by frame ``ahead``, shape (n,), are predictive."""
    out = blank_rows(rows.episode_id, SPEC.name, "diagnostic", end=rows.end_frame, available=rows.end_frame)
    if not len(rows):
        return out
    out.start[:] = rows.start_frame
    out.fill(rows.end_frame <= ahead, kind="predictive")
    score = np.argmin(np.where(np.isnan(tails), np.inf, tails), axis=1)
    out.source[:] = np.array(SOURCE, object)[score]
    out.value[:] = -statistic
    p = conformal_p(test.calibration, statistic)
    out.level[:] = 1.0 - p
    severity, words = _evidence(rows, score, test.nominal)
    out.severity[:] = severity
    out.details[:] = np.array(
        [
            f"{label}: {each} (p = {q:.4f}, fires below {test.alpha:.4f})"
            for label, each, q in zip(rows.label.tolist(), words, p.tolist(), strict=True)
        ],
        object,
    )
    return out


def _evidence(rows: SegmentObservations, score: Indices, nominal: Nominal) -> tuple[Float64s, list[str]]:
    """Severity by the plain thresholds, and what was measured, for the score that fired."""
    distance, excess, ratio = nominal.cosine_distance(rows), nominal.excess(rows), nominal.duration_ratio(rows)
    apart = nominal.deviations(rows)
    columns = [_COLUMNS.get(SCORES[k], ()) for k in score.tolist()]
    mine = np.array([[name in each for name in KINEMATICS] for each in columns], np.bool_) & ~np.isnan(excess)
    column = np.argmax(np.where(mine, excess, -np.inf), axis=1)
    over = np.where(mine.any(axis=1), excess[np.arange(len(rows)), column], 0.0)
    with np.errstate(divide="ignore"):
        stretch = np.fmax(ratio, 1.0 / ratio)
    severities = {
        "visual": banded(distance, VISUAL_BANDS),
        "kinematic": banded(over, KINEMATIC_BANDS),
        "temporal": banded(stretch, TEMPORAL_BANDS),
        "unknown": np.full(len(rows), _UNKNOWN_SEVERITY),
    }
    severity, words = np.zeros(len(rows)), []
    for k, source in enumerate(SOURCE[each] for each in score.tolist()):
        severity[k] = severities[source][k]
        if SCORES[score[k]] == "whole":
            severity[k], told = _whole(rows, k, apart[k], nominal)
            words.append(told)
        elif source == "visual":
            words.append(f"cosine distance {distance[k]:.3f} from the nominal centroid")
        elif source == "kinematic":
            name = KINEMATICS[int(column[k])]
            size = float(getattr(rows, name)[k])
            words.append(f"{name} {size:.3g} {_UNITS[name]}, {over[k]:.2f} × the nominal 99th percentile")
        elif source == "temporal":
            words.append(f"{np.exp(rows.log_duration[k]):.2f} s, {ratio[k]:.2f} × the mean of this primitive")
        else:
            words.append(f"motion that no label fits, confidence {rows.confidence[k]:.2f}")
    return severity, words


def _whole(rows: SegmentObservations, k: int, apart: Float64s, nominal: Nominal) -> tuple[float, str]:
    """Severity by, and words of, the plain measure that is farthest from what is nominal."""
    size = np.abs(np.nan_to_num(apart))
    j = int(np.argmax(size))
    told = f"{PLAIN[j]} {float(getattr(rows, PLAIN[j])[k]):.3g}, {size[j]:.1f} deviations from what is nominal"
    return float(banded(size[j : j + 1], WHOLE_BANDS)[0]), told


def banded(measure: Float64s, bands: tuple[tuple[float, float], ...]) -> Float64s:
    """Severity of each measure: that of the highest band it reaches, :data:`MILD` below all.

    >>> banded(np.array([0.2, 0.7, 0.9, 1.2]), VISUAL_BANDS).tolist()
    [0.3, 0.5, 0.8, 1.0]
    """
    levels = np.array([MILD, *(level for _, level in bands)])
    return np.asarray(levels[np.searchsorted([edge for edge, _ in bands], np.nan_to_num(measure), side="right")])


def _rows(seen: Whole) -> TagTable:
    debug, frames = seen.episodes.debug_mode, seen.episodes.frames
    return ood_rows(seen.observed, seen.landmarks, debug, frames, seen.fold.strangeness)


TAG: Final = FromWhole(SPEC, _rows)
