"""How sure a label is: how many independent cues the channels offer, and how far they agree."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from sima2.records.arrays import Bools, Float64s
from sima2.records.vocabulary import LABELS, OUTCOMES
from sima2.segmentation.confidence_weights import FITTED
from sima2.segmentation.features import Features
from sima2.segmentation.labels import CODE
from sima2.segmentation.outcomes import Spans
from sima2.segmentation.rules import Measure, listening, reason_of
from sima2.segmentation.signals import among, per_run

UNKNOWN_CONFIDENCE: Final = 0.2
LOG_SECONDS: Final = (-2.5, 2.0)
"""Lengths from 0.08 to 7 s make a difference."""
FINGERS_S: Final = 0.2
"""Fingers that move for so long have closed or opened."""
SHARED: Final = 4
"""Cues whose weight is the same for all labels: force, objects and hand pose absent, a short neighbour."""


@dataclass(frozen=True, slots=True)
class Confidence:
    """A logistic model of the cues, fitted on labelled rollouts by ``scripts/fit_confidence.py``."""

    left_out: str = ""
    """World (a simulator or a robot) of which nothing was seen in the fit: what judges it must not know it. One that
    no fit has seen needs no other than the usual."""
    least: float = 0.3
    """A label that is more than twice as likely wrong as right is not given, nor an outcome."""

    def judged(self, features: Features, spans: Spans) -> tuple[Spans, Float64s]:
        """A label that is more likely wrong than right is not given, nor an outcome.

        Returns:
            The segments, those that are too doubtful unknown, and the confidence in each, shape (s,).
        """
        sure = self.of(features, spans)
        claimed = sure >= self.least
        if (trace := listening()) is not None:
            why = reason_of(type(self).judged)
            for start, stop, each in zip(spans.start[~claimed], spans.stop[~claimed], sure[~claimed], strict=True):
                measured = (Measure("confidence", float(each), self.least),)
                for about in ("label", "outcome"):
                    trace.note(about, "unknown", "too doubtful", why, int(start), int(stop), measured)
        told = replace(
            spans,
            label=np.where(claimed, spans.label, CODE["unknown"]),
            outcome=np.where(claimed, spans.outcome, OUTCOMES.index("unknown")),
            reason=np.where(claimed, spans.reason, 0),
        )
        return told, sure

    def of(self, features: Features, spans: Spans) -> Float64s:
        """Calibrated probability that most frames of each segment bear its label, shape (s,)."""
        x = cues(features, spans)
        by_label, shared = FITTED.get(self.left_out, FITTED[""])
        own = np.array([by_label[name] for name in LABELS])[spans.label]
        logit = (x[:, :-SHARED] * own).sum(axis=1) + (x[:, -SHARED:] * np.array(shared)).sum(axis=1)
        out: Float64s = 1.0 / (1.0 + np.exp(-logit))
        out[spans.label == CODE["unknown"]] = UNKNOWN_CONFIDENCE
        return out


def cues(features: Features, spans: Spans) -> Float64s:
    """What tells how sure a label is, shape (s, 3 + ``SHARED``).

    One; how far the cues agree, -1 to 1; the logarithm of the length in s; then those shared by all labels.
    """
    n = len(spans.start)
    period = features.ragged.period[spans.episode]
    seconds = (spans.stop - spans.start) * period
    size = np.clip(np.log(np.maximum(seconds, 1e-3)), *LOG_SECONDS)
    same = spans.episode[1:] == spans.episode[:-1]
    neighbour = np.full(n, LOG_SECONDS[1])
    if n > 1:
        neighbour[1:] = np.where(same, np.minimum(neighbour[1:], size[:-1]), neighbour[1:])
        neighbour[:-1] = np.where(same, np.minimum(neighbour[:-1], size[1:]), neighbour[:-1])
    absent = (
        features.grip is None and features.contact is None,
        features.object_position is None,
        features.position is None,
    )
    columns = [np.ones(n), 2.0 * agreement(features, spans) - 1.0, size, *(np.full(n, float(x)) for x in absent)]
    return np.column_stack([*columns, neighbour])


def agreement(features: Features, spans: Spans) -> Float64s:
    """Share of the cues that support each label, 0 to 1, shape (s,).

    Every cue that the channels allow (grip force, width, who moves with the hand, external force, speed) votes on
    the loaded or touching state that a label implies. The share of votes is shrunk towards 1/2 by one vote each way.
    """
    n = len(spans.start)
    if not n:
        return np.zeros(0)
    length = (spans.stop - spans.start).astype(np.float64)

    def share(mask: Any) -> Float64s:
        out: Float64s = per_run(np.add, mask.astype(np.int64), spans.start) / length
        return out

    label = spans.label
    held = among(label, [CODE[k] for k in ("lift", "transport", "wipe", "pull")])
    free = among(label, [CODE[k] for k in ("approach", "retreat", "recovery_maneuver")])
    votes = np.zeros(n)
    asked = np.zeros(n)

    def vote(where: Bools, support: Float64s, weight: float = 1.0) -> None:
        votes[where] += weight * support[where]
        asked[where] += weight

    if features.gripping is not None:
        gripping = share(features.gripping)
        vote(held, gripping)
        vote(free, 1 - gripping)
    if features.width is not None:
        gap = features.width > features.width_closed + 0.03 * features.width_range
        vote(held, share(gap), 0.5)
        fingers = np.abs(features.width_rate) > 0.05 * features.width_range
        # however long the hand rests before or after it
        enough = features.ragged.frames(FINGERS_S)[spans.episode] / length
        vote(
            among(label, [CODE[k] for k in ("grasp", "place", "release")]),
            np.minimum(1.0, share(fingers) / enough),
            2.0,
        )
    if features.company is not None:
        company = share(features.company)
        vote(held, company, 2.0)
        vote(free, 1 - company)
    if features.touching is not None:
        force = share(features.touching)
        pressed = among(label, [CODE[k] for k in ("pull", "push", "wipe", "collision")])
        vote(pressed, force, 2.0)
        vote(free, 1 - force)
    moving = share(features.moving)
    vote(free | held, moving)
    vote(label == CODE["idle"], 1 - moving, 3.0)
    vote(label == CODE["slip"], np.ones(n), 1.5)
    out: Float64s = (votes + 0.5) / (asked + 1.0)
    return out
