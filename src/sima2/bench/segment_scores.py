"""How right a segmentation is: every measure of an episode, and their sums over a corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Final

import numpy as np

from sima2.bench.annotations import Event, Key, Pieces, Track, failures, recoveries
from sima2.bench.calibration import calibration
from sima2.bench.segment_measures import Counts, count, matches, paired, pairs
from sima2.records.vocabulary import ANOMALIES, LABELS

BOUNDARY_S: Final = 0.15
"""A boundary within so much of a true one counts."""
EVENT_S: Final = 0.5
"""A failure within so much of a true one counts."""
FOUND: Final = 0.1
"""Intersection over union from which a recovery or an anomaly counts as found, as for F1@10."""
SAME: Final = 0.5
"""Intersection over union from which two segments are the same one, as for F1@50."""


@dataclass(frozen=True, slots=True)
class Found:
    """Things predicted, true, and both."""

    hits: int = 0
    predicted: int = 0
    actual: int = 0

    def __add__(self, other: Found) -> Found:
        return Found(self.hits + other.hits, self.predicted + other.predicted, self.actual + other.actual)

    @property
    def precision(self) -> float:
        """Share of the predicted that are true; NaN where nothing was predicted."""
        return self.hits / self.predicted if self.predicted else float("nan")

    @property
    def recall(self) -> float:
        """Share of the true that were found; NaN where there were none."""
        return self.hits / self.actual if self.actual else float("nan")


@dataclass(frozen=True, slots=True)
class Score:
    """All measures of one track."""

    track: Track
    predicted: Pieces
    counts: Counts
    failures: Found
    recoveries: Found
    reasons: tuple[tuple[str, str], ...]
    """True and predicted reason of each failure; ``none`` where the other side has no event."""
    outcomes: tuple[tuple[str, str], ...]
    """True and predicted outcome of each segment whose label and span were found."""
    failure_late_s: tuple[float, ...]
    """How much later than meant each matched failure was told, s."""
    sure: tuple[tuple[str, float, bool], ...]
    """Label, confidence and whether most frames bear that label, of each segment that claims one."""
    anomalies: tuple[tuple[float, bool], ...]
    """Confidence of each predicted anomaly and whether it is one."""
    actual_anomalies: int
    unknown: int
    """Frames that the engine left unlabelled."""

    @property
    def false_alarm(self) -> bool:
        """An anomaly in an episode in which nothing failed."""
        return self.track.nominal and bool(self.anomalies)


def score(track: Track, predicted: Pieces) -> Score:
    """Judge the pieces predicted for one track."""
    actual = track.pieces
    spans, true = [p.span for p in predicted], [p.span for p in actual]
    found, told, late = _paired(failures(predicted), failures(actual), EVENT_S * track.rate_hz)
    maneuvers, meant = recoveries(predicted), recoveries(actual)
    odd, truly_odd = ([p.span for p in pieces if p.label in ANOMALIES] for pieces in (predicted, actual))
    right = _right(track, predicted)
    hit = {spans.index(odd[i]) for i in matches(odd, truly_odd, FOUND)}
    return Score(
        track=track,
        predicted=predicted,
        counts=count(spans, true, tolerance=int(BOUNDARY_S * track.rate_hz + 1e-9)),
        failures=found,
        recoveries=Found(len(matches(maneuvers, meant, FOUND)), len(maneuvers), len(meant)),
        reasons=told,
        outcomes=tuple((actual[i].outcome, predicted[k].outcome) for k, i in pairs(spans, true, SAME)),
        failure_late_s=tuple(frames / track.rate_hz for frames in late),
        sure=tuple((p.label, p.confidence, ok) for p, ok in zip(predicted, right) if p.label != "unknown"),
        anomalies=tuple((p.confidence, i in hit) for i, p in enumerate(predicted) if p.label in ANOMALIES),
        actual_anomalies=len(truly_odd),
        unknown=sum(p.stop - p.start for p in predicted if p.label == "unknown"),
    )


def scores(truth: Sequence[Track], predicted: Mapping[Key, Pieces]) -> list[Score]:
    """Scores of every track, in their order; one without a prediction has no segments."""
    return [score(track, predicted.get(track.key, ())) for track in truth]


def summary(scored: Sequence[Score]) -> dict[str, Any]:
    """Figures of a corpus: counts summed first, ratios last."""
    total = counts(scored)
    failed, recovered = (reduce(add, (getattr(s, k) for s in scored), Found()) for k in ("failures", "recoveries"))
    nominal = sum(s.track.nominal for s in scored)
    late = [each for s in scored for each in s.failure_late_s]
    return {
        **segmental(scored),
        "failure_precision": failed.precision,
        "failure_recall": failed.recall,
        "failures": failed.actual,
        "failure_time_error_s": float(np.median(np.abs(late))) if late else float("nan"),
        "recovery_precision": recovered.precision,
        "recovery_recall": recovered.recall,
        "recoveries": recovered.actual,
        "anomaly_average_precision": average_precision(
            [pair for s in scored for pair in s.anomalies], sum(s.actual_anomalies for s in scored)
        ),
        "nominal_episodes": nominal,
        "false_alarm_share": sum(s.false_alarm for s in scored) / nominal if nominal else float("nan"),
        "unknown_share": sum(s.unknown for s in scored) / max(total.frames, 1),
        "calibration_error": _calibration([each for s in scored for each in s.sure])["expected_calibration_error"],
    }


def segmental(scored: Sequence[Score]) -> dict[str, Any]:
    """The measures that need labels and spans alone."""
    total = counts(scored)
    return {
        "episodes": total.episodes,
        "frame_accuracy": total.accuracy,
        "edit": total.edit_score,
        "f1_10": total.f1(10),
        "f1_25": total.f1(25),
        "f1_50": total.f1(50),
        "boundary_f1": total.boundary_f1,
    }


def counts(scored: Sequence[Score]) -> Counts:
    """Counts summed over tracks."""
    return reduce(add, (s.counts for s in scored), Counts())


def reliability(scored: Sequence[Score]) -> dict[str, Any]:
    """Confidence against how often the label is right: of all segments, and of each label."""
    rows = [each for s in scored for each in s.sure]
    by_label = {name: [each for each in rows if each[0] == name] for name in LABELS}
    return {"all": _calibration(rows), **{name: _calibration(mine) for name, mine in by_label.items() if mine}}


def outcomes(scored: Sequence[Score]) -> dict[str, dict[str, int]]:
    """How often each true outcome of a segment was told as each other, over the segments that were found."""
    return _table(pair for s in scored for pair in s.outcomes)


def reasons(scored: Sequence[Score]) -> dict[str, dict[str, int]]:
    """How often each true reason was told as each other; ``none`` on either side is a missed or a false event."""
    return _table(pair for s in scored for pair in s.reasons)


def _table(confused: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for (true, told), n in sorted(Counter(confused).items()):
        table.setdefault(true, {})[told] = n
    return table


def average_precision(ranked: Sequence[tuple[float, bool]], actual: int) -> float:
    """Area under precision over recall of detections by falling confidence; NaN where there is nothing to find.

    Detections of equal confidence enter together, so that their order does not matter.

    >>> average_precision([(0.9, True), (0.8, False), (0.7, True)], 2)
    0.8333333333333333
    """
    if not actual:
        return float("nan")
    # without a confidence a detection comes last
    ranked = [(sure if sure == sure else -1.0, hit) for sure, hit in ranked]
    total, hits, seen = 0.0, 0, 0
    for level in sorted({sure for sure, _ in ranked}, reverse=True):
        tied = [hit for sure, hit in ranked if sure == level]
        hits, seen = hits + sum(tied), seen + len(tied)
        total += sum(tied) * hits / seen
    return total / actual


def _calibration(rows: Sequence[tuple[str, float, bool]]) -> dict[str, Any]:
    p, event = (np.array([row[k] for row in rows], np.float64) for k in (1, 2))
    known = np.isfinite(p)
    return calibration(p[known], event[known] > 0.5).plain()


def _right(track: Track, predicted: Pieces) -> list[bool]:
    """Whether more than half the frames of each predicted piece bear its label."""
    shared: Counter[int] = Counter()
    for k, p in enumerate(predicted):
        for q in track.pieces:
            if q.label == p.label and q.start < p.stop and p.start < q.stop:
                shared[k] += min(p.stop, q.stop) - max(p.start, q.start)
    return [2 * shared[k] > p.stop - p.start for k, p in enumerate(predicted)]


def _paired(
    predicted: Sequence[Event], actual: Sequence[Event], tolerance: float
) -> tuple[Found, tuple[tuple[str, str], ...], list[int]]:
    """Events matched one to one in order of time, their reasons side by side, and how many frames late each was."""
    a, b = sorted(predicted), sorted(actual)
    reasons: list[tuple[str, str]] = []
    late: list[int] = []
    for i, j in paired([each.frame for each in a], [each.frame for each in b], tolerance):
        reasons.append((_reason(b, j), _reason(a, i)))
        if i is not None and j is not None:
            late.append(a[i].frame - b[j].frame)
    return Found(len(late), len(a), len(b)), tuple(reasons), late


def _reason(events: Sequence[Event], place: int | None) -> str:
    return "none" if place is None else events[place].reason or "unnamed"
