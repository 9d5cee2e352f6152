"""How sure a label is: how many independent cues the channels offer, and how far they agree."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s
from sima2.records.vocabulary import LABELS, OUTCOMES
from sima2.segmentation.features import Features
from sima2.segmentation.labels import CODE, named
from sima2.segmentation.outcomes import Spans
from sima2.segmentation.rules import Measure, listening, reason_of
from sima2.segmentation.signals import per_run

FITTED: Final[Mapping[str, Mapping[str, list[float]]]] = json.loads(
    files("sima2.segmentation").joinpath("confidence_weights.json").read_text(encoding="utf-8")
)
"""Weights by the world that was left out of the fit (the empty one left out none): of each label those of one,
agreement and log seconds; ``shared`` ones of absent forces, absent objects, an absent hand pose and a neighbour's log
seconds."""
UNKNOWN_CONFIDENCE: Final = 0.2
LOG_SECONDS: Final = (-2.5, 2.0)
"""Lengths from 0.08 to 7 s make a difference."""
FINGERS_S: Final = 0.2
"""Fingers that move for so long have closed or opened."""
GAP_SHARE: Final = 0.03
MOVING_SHARE: Final = 0.05
"""Shares of their range by which fingers are apart, and which they cross in a second when they move."""
HELD: Final = ("lift", "transport", "wipe", "pull")
FREE: Final = ("approach", "retreat", "recovery_maneuver")
"""Labels that say that the hand holds something, and that it is empty."""
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
        fitted = FITTED.get(self.left_out, FITTED[""])
        own, shared = np.array([fitted[name] for name in LABELS])[spans.label], fitted["shared"]
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
    votes, asked = np.zeros(n), np.zeros(n)

    def vote(
        labels: tuple[str, ...], mask: Bools | None, weight: float, *, against: bool = False, s: float = 0
    ) -> None:
        """Let a cue of every frame vote on segments of some labels; one that lasts ``s`` seconds says all."""
        if mask is not None:
            where = named(spans.label, *labels)
            support = per_run(np.add, mask.astype(np.int64), spans.start) / length
            if s > 0:
                support = np.minimum(1.0, support / (features.ragged.frames(s)[spans.episode] / length))
            votes[where] += weight * (1 - support if against else support)[where]
            asked[where] += weight

    gap = fingers = None
    if features.width is not None:
        gap = features.width > features.width_closed + GAP_SHARE * features.width_range
        fingers = np.abs(features.width_rate) > MOVING_SHARE * features.width_range
    vote(HELD, features.gripping, 1.0)
    vote(FREE, features.gripping, 1.0, against=True)
    vote(HELD, gap, 0.5)
    # however long the hand rests before or after it
    vote(("grasp", "place", "release"), fingers, 2.0, s=FINGERS_S)
    vote(HELD, features.company, 2.0)
    vote(FREE, features.company, 1.0, against=True)
    vote(("pull", "push", "wipe", "collision"), features.touching, 2.0)
    vote(FREE, features.touching, 1.0, against=True)
    vote((*FREE, *HELD), features.moving, 1.0)
    vote(("idle",), features.moving, 3.0, against=True)
    vote(("slip",), np.ones(len(features.missing), np.bool_), 1.5)
    out: Float64s = (votes + 0.5) / (asked + 1.0)
    return out
