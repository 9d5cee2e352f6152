"""How right the engine is on robots, simulators and policies that nobody here made: every source, worst first.

Each source is judged by an engine whose confidence was fitted without its world, and whose scales come from the same
recordings without labels, as a user's would. Rules were mended with all of the sets in sight; what a first look at
each gave is in ``benchmarks/foreign``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.bench.calibration import auroc, calibration
from sima2.bench.channel_sets import CHANNEL_SETS, with_channels
from sima2.bench.figures import Limit, Progress, Rows, missed, number, quiet, ratio, verdict, words
from sima2.bench.foreign_sets import FOLDERS, SAME, Attempt, Recording, by_source, read
from sima2.bench.recorded_sets import by_episode, inferred
from sima2.bench.segment_measures import Counts, Span, count
from sima2.records.arrays import Bools, Float64s
from sima2.records.rollout import RolloutBatch
from sima2.records.segments import Segment
from sima2.segmentation.confidence import Confidence
from sima2.segmentation_engine import SegmentationEngine

BEFORE_S: Final = 0.1
AFTER_S: Final = (0.05, 0.5)
"""A failure told from so much before an attempt begins to so much after it ended (well, badly) is about it."""
RESAMPLES: Final = 200
"""Of episodes, for intervals."""

TARGETS: Final[Mapping[str, Limit]] = {
    "f1_50": (70.0, "at least"),
    "f1_50_answered": (75.0, "at least"),
    "coverage": (0.85, "at least"),
    "failure_precision": (0.85, "at least"),
    "failure_recall": (0.85, "at least"),
    "success_balanced": (0.90, "at least"),
    "success_unknown": (0.25, "at most"),
    "recovery_precision": (0.8, "at least"),
    "recovery_recall": (0.8, "at least"),
    "clean_with_failure": (0.05, "at most"),
    "calibration_error_at_most": (0.10, "at most"),
}
"""Of every world with all its channels."""
WITHOUT: Final = ("failure_precision", (0.8, "at least"))
"""Of every world with fewer channels: not worse than saying nothing."""
SHOWN: Final[Mapping[str, str]] = {
    "f1_50": "F1@50",
    "one_label": "one label",
    "f1_50_answered": "answered",
    "coverage": "coverage",
    "failure_precision": "failures precision",
    "failure_recall": "recall",
    "success_balanced": "success balanced",
    "success_unknown": "unknown",
    "recovery_precision": "recoveries precision",
    "recovery_recall": "recall",
    "clean_with_failure": "clean with a failure",
    "calibration_error": "calibration error",
}


@dataclass(frozen=True, slots=True)
class Told:
    """Yes and no of many cases, against the truth."""

    true_yes: int = 0
    false_yes: int = 0
    false_no: int = 0
    true_no: int = 0
    unknown: int = 0

    @classmethod
    def of(cls, said: float, true: float) -> Told:
        """One case: 1 or 0, or NaN where nothing is said; none where the truth is not known."""
        if math.isnan(true):
            return cls()
        if math.isnan(said):
            return cls(unknown=1)
        return cls(int(said == 1 == true), int(said == 1 != true), int(said != 1 == true), int(said != 1 != true))

    def __add__(self, other: Told) -> Told:
        return Told(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def precision(self) -> float:
        """Share of yes that is right."""
        return ratio(self.true_yes, self.true_yes + self.false_yes)

    @property
    def recall(self) -> float:
        """Share of what is so that was told."""
        return ratio(self.true_yes, self.true_yes + self.false_no)

    @property
    def balanced(self) -> float:
        """Mean of the share right of what is so and of what is not, of those answered."""
        return 0.5 * (self.recall + ratio(self.true_no, self.true_no + self.false_yes))

    @property
    def unanswered(self) -> float:
        """Share without an answer."""
        said = self.true_yes + self.false_yes + self.false_no + self.true_no
        return ratio(self.unknown, said + self.unknown)


@dataclass(frozen=True, slots=True)
class Score:
    """What one episode adds to the figures; sums of many are the figures of a source."""

    counts: Counts = field(default_factory=Counts)
    answered: Counts = field(default_factory=Counts)
    """Of the frames that were given a label."""
    control: Counts = field(default_factory=Counts)
    """Of one label for all frames."""
    judged: int = 0
    covered: int = 0
    failures: Told = Told()
    success: Told = Told()
    recovery: Told = Told()
    clean: int = 0
    clean_failed: int = 0
    sure: tuple[tuple[float, bool], ...] = ()
    """Confidence of each segment, and whether most of its judged frames bear its label."""

    def __add__(self, other: Score) -> Score:
        return Score(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def run(
    *,
    seed: int = 0,
    progress: Progress = quiet,
    data: Sequence[Path] = (),
    engine: SegmentationEngine | None = None,
    channel_sets: Sequence[str] = tuple(CHANNEL_SETS),
) -> dict[str, Any]:
    """Figures of every source with every set of channels.

    Args:
        seed: of the intervals.
        progress: told the step under way.
        data: folders or zip files of recordings; those that are there of :data:`FOLDERS`, if none are given.
        engine: other settings than the usual ones.
        channel_sets: which of ``CHANNEL_SETS``.

    Raises:
        UsageError: if there are no recordings.
    """
    absent = [] if data else [path.name for path in FOLDERS if not path.exists()]
    values: dict[str, Any] = {"seed": seed, "absent": absent, "sources": {}, "worlds": {}}
    pooled: dict[str, dict[str, list[Score]]] = {}
    for name, found in by_source(read(data)).items():
        by_channels, world = {}, found[0].world
        for channels in channel_sets:
            progress(f"{name}: {channels}")
            scored = judge(found, channels, engine)
            pooled.setdefault(world, {}).setdefault(channels, []).extend(scored)
            by_channels[channels] = figures(scored, seed)
        values["sources"][name] = {"world": world, "episodes": len(found), "channel_sets": by_channels}
    for world, by_channels_of_all in pooled.items():
        values["worlds"][world] = {name: figures(scored, seed) for name, scored in by_channels_of_all.items()}
    values["targets"] = {}
    for world, of_world in values["worlds"].items():
        for channels, row in of_world.items():
            wanted = TARGETS if channels == "full" else dict([WITHOUT])
            told_as = f"{world}, {words(channels)}: "
            measured = {name: row[name] for name in wanted if not math.isnan(row[name])}
            values["targets"] |= {told_as + words(name): verdict(x, *wanted[name]) for name, x in measured.items()}
    return values


def judge(found: Sequence[Recording], channels: str, engine: SegmentationEngine | None = None) -> list[Score]:
    """Scores of the episodes of one source, judged by an engine that knows nothing of their world."""
    batch = with_channels(RolloutBatch.from_rollouts([each.rollout for each in found]), channels)
    base = engine or SegmentationEngine(confidence=Confidence(left_out=found[0].world))
    table = base.fit([batch]).segment(batch)
    names = [each.rollout.episode_id for each in found]
    segments, said = by_episode(table, names), inferred(table, batch, [None] * len(names))
    return [_score(each, segments[name], success) for each, name, success in zip(found, names, said, strict=True)]


def _score(one: Recording, segments: Sequence[Segment], success: float) -> Score:
    label = np.full(len(one.label), "unknown", object)
    for each in segments:
        label[each.start_frame : each.end_frame] = SAME.get(each.label, each.label)
    covered = one.judged & (label != "unknown")
    bad = [each for each in segments if each.outcome in ("failure", "retry")]
    failures = reduce(add, (_attempt(each, bad, one.period) for each in one.attempts), Told())
    corrected = any(each.outcome == "retry" or each.label == "recovery_maneuver" for each in segments)
    return Score(
        counts=_counts(label, one.label, one.judged),
        answered=_counts(label, one.label, covered),
        control=_counts(np.full(len(label), "approach", object), one.label, one.judged),
        judged=int(one.judged.sum()),
        covered=int(covered.sum()),
        failures=failures,
        success=Told.of(success, one.success),
        recovery=Told.of(float(corrected), one.recovered),
        clean=int(one.clean),
        clean_failed=int(one.clean and bool(bad)),
        sure=tuple(_sure(one, each) for each in segments if _decided(one, each)),
    )


def _attempt(attempt: Attempt, bad: Sequence[Segment], period: float) -> Told:
    """Whether an attempt was told as a failure."""
    first = attempt.start - round(BEFORE_S / period)
    last = attempt.held + round(AFTER_S[attempt.failed] / period)
    told = any(each.start_frame <= last and each.end_frame > first for each in bad)
    return Told.of(float(told), float(attempt.failed))


def _counts(label: NDArray[np.object_], true: NDArray[np.str_], judged: Bools) -> Counts:
    return count(_spans(label, judged), _spans(true.astype(object), judged), tolerance=0)


def _spans(label: NDArray[np.object_], judged: Bools) -> list[Span]:
    """Runs of equal label among the judged frames."""
    edges = np.flatnonzero(np.append(True, (label[1:] != label[:-1]) | (judged[1:] != judged[:-1])))
    ends = np.append(edges[1:], len(label))
    return [(str(label[a]), int(a), int(b)) for a, b in zip(edges, ends, strict=True) if judged[a]]


def _decided(one: Recording, segment: Segment) -> bool:
    part = one.judged[segment.start_frame : segment.end_frame]
    return segment.label != "unknown" and 2 * int(part.sum()) > len(part)


def _sure(one: Recording, segment: Segment) -> tuple[float, bool]:
    part = slice(segment.start_frame, segment.end_frame)
    same = (one.label[part] == SAME.get(segment.label, segment.label))[one.judged[part]]
    return float(segment.confidence), bool(2 * same.sum() > len(same))


def figures(scored: Sequence[Score], seed: int = 0) -> dict[str, float]:
    """Figures of many episodes: counts summed first, ratios last; NaN where there is nothing to measure."""
    total = reduce(add, scored, Score())
    p, right = _columns(total)
    return {
        "f1_50": total.counts.f1(50),
        "one_label": total.control.f1(50),
        "frame_accuracy": total.counts.accuracy if total.judged else math.nan,
        "f1_50_answered": total.answered.f1(50),
        "coverage": ratio(total.covered, total.judged),
        "failure_precision": total.failures.precision,
        "failure_recall": total.failures.recall,
        "failures": total.failures.true_yes + total.failures.false_no,
        "success_balanced": total.success.balanced,
        "success_unknown": total.success.unanswered,
        "success_wrong": total.success.false_yes + total.success.false_no,
        "recovery_precision": total.recovery.precision,
        "recovery_recall": total.recovery.recall,
        "recoveries": total.recovery.true_yes + total.recovery.false_no,
        "clean": total.clean,
        "clean_with_failure": ratio(total.clean_failed, total.clean),
        "calibration_error": calibration(p, right).expected_error,
        "calibration_error_at_most": _error_at_most(scored, seed),
        "confidence_auroc": auroc(p, right),
    }


def _columns(score: Score) -> tuple[Float64s, Bools]:
    return np.array([p for p, _ in score.sure]), np.array([ok for _, ok in score.sure], np.bool_)


def _error_at_most(scored: Sequence[Score], seed: int) -> float:
    """Upper end of the 95 % bootstrap interval of the calibration error, over episodes, its upward bias taken out.

    A resample adds noise to the noise of the sample, and the error of a calibrated model is all noise.
    """
    rng = np.random.default_rng(seed)
    own = calibration(*_columns(reduce(add, scored, Score()))).expected_error
    again = []
    for _ in range(RESAMPLES):
        drawn = [scored[i] for i in rng.integers(0, len(scored), len(scored))]
        sure = tuple(each for score in drawn for each in score.sure)
        again.append(calibration(*_columns(Score(sure=sure))).expected_error)
    return float(own + np.percentile(again, 97.5) - np.median(again))


def rows(values: Mapping[str, Any]) -> Rows:
    """The figures of every world (of every source, if they are of one), of each set of channels the worst first; then
    the targets missed."""
    out = [(f"not here: {path}", "its recordings are not judged", "") for path in values["absent"]]
    worlds = values["worlds"]
    if len(worlds) == 1:
        worlds = {name: each["channel_sets"] for name, each in values["sources"].items()}
    for channels in dict.fromkeys(name for found in worlds.values() for name in found):
        for world in sorted(worlds, key=lambda name: worlds[name][channels]["f1_50"]):
            row = worlds[world][channels]
            line = ", ".join(f"{told} {number(row[name])}" for name, told in SHOWN.items())
            out.append((f"{world}, {words(channels)}", line, ""))
    return out + missed(values["targets"])
