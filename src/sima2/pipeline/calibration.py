"""Calibration: what pass 1 needs to know of a source beforehand, from few of its rollouts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sima2.records.segments import SegmentTable

if TYPE_CHECKING:
    from sima2.client import Source
    from sima2.primitives.outcome_inference import OutcomeInference
    from sima2.records.rollout import RolloutBatch
    from sima2.segmentation_engine import SegmentationEngine

CALIBRATION_SPANS: Final = 8
CALIBRATION_EPISODES: Final = 160
"""Scales come from so many episodes, in spans spread evenly over the source: enough for a quantile, cheap to read."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What pass 1 needs to know of the source beforehand, from unlabelled rollouts."""

    engine: SegmentationEngine
    nominal_s: Mapping[str, float]
    """Median duration of each family, s."""
    inference: OutcomeInference
    """Knows how episodes of each family end as a rule."""


def calibrate(source: Source, without: frozenset[int] = frozenset()) -> Calibration:
    """Scales of each robot and nominal durations, from a fixed, even sample of the source.

    Args:
        source: episodes of which few are read.
        without: places of episodes that must not be read.
    """
    from sima2.primitives.outcome_inference import OutcomeInference
    from sima2.segmentation_engine import SegmentationEngine

    batches = list(_sampled(source, without))
    durations: dict[str, list[float]] = {}
    for batch in batches:
        for i, family in enumerate(batch.episodes.family):
            durations.setdefault(family, []).append(episode_seconds(batch, i))
    engine = SegmentationEngine().fit(batches)
    return Calibration(
        engine=engine,
        nominal_s={family: float(np.median(values)) for family, values in sorted(durations.items())},
        inference=OutcomeInference().knowing(
            SegmentTable.concat([engine.segment(batch) for batch in batches]) if batches else SegmentTable.empty(),
            [name for batch in batches for name in batch.episodes.episode_id],
            [name for batch in batches for name in batch.episodes.family],
        ),
    )


def calibration_spans(total: int) -> list[tuple[int, int]]:
    """Spans of a source of so many episodes that calibration reads: places start .. stop, apart and in order."""
    each = max(1, CALIBRATION_EPISODES // CALIBRATION_SPANS)
    spans: list[tuple[int, int]] = []
    seen = -1
    for start in sorted({int(s) for s in np.linspace(0, max(total - each, 0), CALIBRATION_SPANS)}) if total else []:
        begin, stop = max(start, seen), min(start + each, total)
        if begin < stop:
            spans.append((begin, stop))
            seen = stop
    return spans


def _sampled(source: Source, without: frozenset[int]) -> Iterator[RolloutBatch]:
    """The episodes of the sample, batch by batch."""
    for start, stop in calibration_spans(source.episodes):
        for bad in (*sorted(without.intersection(range(start, stop))), stop):
            if start < bad:
                yield source.read(start, bad).batch
            start = bad + 1


def episode_seconds(batch: RolloutBatch, i: int) -> float:
    """From the first frame of an episode of a batch to its last, s."""
    a, b = int(batch.offset[i]), int(batch.offset[i + 1])
    return float(batch.time[b - 1] - batch.time[a]) if b > a else 0.0
