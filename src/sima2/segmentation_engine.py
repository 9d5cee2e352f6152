"""The segmentation engine: rollouts in, labelled segments out, from raw channels alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sima2.errors import UsageError
from sima2.records.rollout import RolloutBatch
from sima2.records.segments import Segment, SegmentTable
from sima2.records.table import Text
from sima2.records.vocabulary import LABELS, OUTCOMES, REASONS
from sima2.segmentation.confidence import confidence
from sima2.segmentation.features import Features, FeatureSettings, compute_features
from sima2.segmentation.labels import LabelSettings, label_actions, label_gaps, label_loaded_recovery, merge_short
from sima2.segmentation.measures import measure
from sima2.segmentation.motion import MotionSettings, label_motion
from sima2.segmentation.outcomes import OutcomeSettings, Spans, judge
from sima2.segmentation.scales import Scales, fit_scales
from sima2.segmentation.states import State, States, StateSettings, compute_states

__all__ = ["Segment", "SegmentTable", "SegmentationEngine"]


@dataclass(frozen=True, slots=True)
class SegmentationEngine:
    """Frozen settings and one verb; an unfitted engine works from physical defaults.

    >>> import numpy as np
    >>> from sima2 import Rollout, RolloutBatch, SegmentationEngine
    >>> time = np.arange(40) * 0.05
    >>> still = Rollout(episode_id="e", time=time, ee_position=np.zeros((40, 3)))
    >>> batch = RolloutBatch.from_rollouts([still])
    >>> [(s.label, s.start_frame, s.end_frame) for s in SegmentationEngine().segment(batch)]
    [('idle', 0, 40)]
    """

    scales: Scales = field(default_factory=Scales)
    features: FeatureSettings = FeatureSettings()
    states: StateSettings = StateSettings()
    labels: LabelSettings = LabelSettings()
    outcomes: OutcomeSettings = OutcomeSettings()
    motion: MotionSettings = MotionSettings()

    def fit(self, batches: Sequence[RolloutBatch]) -> SegmentationEngine:
        """An engine whose scales come from unlabelled rollouts of the robots at hand."""
        return replace(self, scales=fit_scales(batches))

    def segment(self, batch: RolloutBatch) -> SegmentTable:
        """Segments of every episode and manipulator, ordered by episode, manipulator and start.

        An episode gives the same segments alone and in any batch.
        """
        if not isinstance(batch, RolloutBatch):
            raise UsageError(
                f"segment takes a RolloutBatch, not {type(batch).__name__}: RolloutBatch.from_rollouts([...]) makes one"
            )
        parts = []
        places = []
        for where, sub in batch.by_layout():
            for arm in sub.manipulators:
                table, episode = self._segment_arm(sub, arm)
                parts.append(table)
                places.append(where[episode])
        if not parts:
            return SegmentTable.empty()
        whole = SegmentTable.concat(parts)
        place = np.concatenate(places)
        order = np.argsort(place, kind="stable")
        whole, place = whole.take(order), place[order]
        first = np.searchsorted(place, place)
        return replace(whole, segment_id=np.arange(len(place)) - first)

    def _segment_arm(self, batch: RolloutBatch, arm: str) -> tuple[SegmentTable, NDArray[np.int64]]:
        channels = batch.manipulators[arm]
        features = compute_features(batch, arm, self.scales, self.features)
        states = compute_states(features, self.states)
        action, failed = label_actions(features, states, self.labels)
        # what failed is fully known only once it has been judged, and what follows a failure is a recovery
        spans = self._spans(batch, features, states, action, failed)
        judged = np.isin(spans.outcome, (OUTCOMES.index("failure"), OUTCOMES.index("retry")))
        failed = failed | np.repeat(judged, spans.stop - spans.start)
        # movements of which nothing else is known neither fail nor follow a failure, so they are parted last
        alone = features.grip is None and features.contact is None and features.object_position is None
        spans = self._spans(batch, features, states, action, failed, movements=alone)
        return _table(
            batch,
            arm,
            features,
            spans,
            confidence(features, spans),
            measure(channels, features, spans.start, spans.stop),
        ), spans.episode

    def _spans(
        self,
        batch: RolloutBatch,
        features: Features,
        states: States,
        action: NDArray[np.int64],
        failed: NDArray[np.bool_],
        *,
        movements: bool = False,
    ) -> Spans:
        label = label_gaps(features, states, action, failed, self.labels)
        label = label_loaded_recovery(features, label)
        label = merge_short(label, features, self.labels)
        edge = None
        if movements:
            still = states.code == State.STILL
            label, edge = label_motion(features, label, still, self.motion, self.labels.idle_s)
        return judge(batch, features, states, label, failed, self.outcomes, edge)


def _table(
    batch: RolloutBatch,
    arm: str,
    features: Features,
    spans: Spans,
    sure: NDArray[np.float64],
    measured: dict[str, NDArray[np.float32]],
) -> SegmentTable:
    ragged = features.ragged
    n = len(spans.start)
    begin = batch.offset[:-1][spans.episode]
    last = ragged.last[spans.start] if n else np.zeros(0, np.int64)
    ends = spans.stop > last
    end_t = (
        np.where(
            ends,
            batch.time[np.minimum(spans.stop - 1, max(batch.frames - 1, 0))] + ragged.period[spans.episode],
            batch.time[np.minimum(spans.stop, max(batch.frames - 1, 0))],
        )
        if n
        else np.zeros(0)
    )
    names: list[str] = [""]
    codes = np.zeros(n, np.int32)
    known: dict[str, int] = {"": 0}
    for i in np.flatnonzero(spans.slot >= 0).tolist():
        name = batch.objects[int(spans.episode[i])][int(spans.slot[i])]
        if name not in known:
            known[name] = len(names)
            names.append(name)
        codes[i] = known[name]
    return SegmentTable(
        episode_id=Text(spans.episode, batch.episodes.episode_id),
        manipulator=Text.full(n, arm),
        segment_id=np.arange(n),
        label=Text(spans.label, LABELS),
        object=Text(codes, names),
        start_frame=spans.start - begin,
        end_frame=spans.stop - begin,
        start_t=batch.time[spans.start] if n else np.zeros(0),
        end_t=end_t,
        outcome=Text(spans.outcome, OUTCOMES),
        failure_reason=Text(spans.reason, REASONS),
        confidence=sure.astype(np.float32),
        channels_used=Text.full(n, channels_used(features)),
        **measured,
    )


def channels_used(features: Features) -> str:
    """The kinds of channel that labels rest on.

    Joined by ``+``: ``motion`` (hand pose or joints), ``gripper``, ``grip_force``, ``contact_force``, ``objects``.
    """
    kinds = {
        "motion": features.speed is not None,
        "gripper": features.width is not None,
        "grip_force": features.grip is not None,
        "contact_force": features.contact is not None,
        "objects": features.object_position is not None,
    }
    return "+".join(name for name, there in kinds.items() if there)
